"""The library: the strategies of a month side by side, and who is missing and why."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pytest

from factorlab_assets import schemas
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)

pytestmark = pytest.mark.slow  # test_reports and test_sweeps show the same assets at work

FIRST, LAST = "trend_12m", "xsmom_12_1"
NAMES = ("trend_12m", "trend_weighted", "xsmom_12_1")
EARLY = "2006-01"
WHOLE, OLDER = "sixty_forty", "sixty_forty_quarterly"
"""They have enough months by then."""


def plain(markdown: str) -> str:
    return html.unescape(markdown)


@pytest.fixture(scope="module")
def shelved(ingested: Project) -> Project:
    """Three strategies side by side."""
    assert failure(ingested.cells(FIRST, LAST)) == ""
    result = ingested.library()
    assert failure(result) == ""
    checks = evaluations(result)
    for table in ("leaderboard", "return_correlations"):
        assert checks[table, "schema", MONTH]
        assert "SYNTHETIC" in materializations(result, table)[MONTH]
    assert "data:image/svg+xml" in materializations(result, "leaderboard")[MONTH]["nav"]
    assert "left_out" not in materializations(result, "leaderboard")[MONTH]
    return ingested


def stored(project: Project, table: str, month: str = MONTH) -> list[dict[str, Any]]:
    return list(project.store.load(schemas.TABLES[table], [month]).to_pylist())


def common(project: Project) -> dict[str, np.ndarray]:
    """Net returns of the months that all have: rf is 0."""
    of = {
        name: {r["date"]: r["net_return"] for r in project.rows("backtest_returns", name)}
        for name in NAMES
    }
    dates = sorted(set.intersection(*(set(rows) for rows in of.values())))
    return {name: np.array([rows[date] for date in dates]) for name, rows in of.items()}


def test_figures_are_of_the_months_that_all_have(shelved: Project) -> None:
    rows, net = {row["strategy"]: row for row in stored(shelved, "leaderboard")}, common(shelved)
    assert set(rows) == set(NAMES)
    for name, row in rows.items():
        own = net[name]
        assert row["n_months"] == len(own)
        assert row["sharpe"] == pytest.approx(own.mean() / own.std(ddof=1) * np.sqrt(12), rel=1e-9)
        assert row["cagr"] == pytest.approx(np.prod(1 + own) ** (12 / len(own)) - 1, rel=1e-9)
        assert row["experiment_id"] == shelved.fingerprint("metrics", name)
        said = {(r["returns"], r["statistic"]): r for r in shelved.rows("inference", name)}
        assert row["dsr_benchmark"] == said["benchmark", "dsr"]["value"]
        assert row["n_trials"] == said["benchmark", "n_trials"]["value"]


def test_pairs_are_told_apart_once_each(shelved: Project) -> None:
    rows, net = stored(shelved, "return_correlations"), common(shelved)
    pairs = {(row["strategy"], row["other"]): row for row in rows}
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in ((a, b) for a in NAMES for b in NAMES if a != b)
    }
    assert len(rows) == 3
    for (one, other), row in pairs.items():
        assert row["correlation"] == pytest.approx(np.corrcoef(net[one], net[other])[0, 1])
        ratio = [net[name].mean() / net[name].std(ddof=1) * np.sqrt(12) for name in (one, other)]
        assert row["sharpe_difference"] == pytest.approx(ratio[0] - ratio[1], rel=1e-9)
        assert 0.0 <= row["p_value"] <= 1.0


def test_one_that_rests_on_older_prices_is_left_out_and_named(project: Project) -> None:
    assert failure(project.market(EARLY)) == ""
    said = failure(project.library(EARLY))
    assert f"no strategy of that month to show. Where: month {EARLY}. Got: no cell" in said
    assert f"factorlab run --month {EARLY} --all" in said

    for name in (WHOLE, OLDER, FIRST):
        assert failure(project.cell(name, EARLY)) == ""
    result = project.library(EARLY)
    assert failure(result) == ""
    shown = materializations(result, "leaderboard")[EARLY]
    assert f"- {FIRST}: 3 months; 36 are the fewest" in plain(shown["left_out"])
    assert {row["strategy"] for row in stored(project, "leaderboard", EARLY)} == {WHOLE, OLDER}

    anew = Project(project.settings.model_copy(update={"seed": 8}), project.instance)
    assert failure(anew.market(EARLY)) == ""
    said = failure(anew.library(EARLY))
    assert f"{WHOLE}: rests on other prices than the month's current ones" in said
    assert failure(anew.cell(WHOLE, EARLY)) == ""
    result = anew.library(EARLY)
    assert failure(result) == ""
    shown = materializations(result, "leaderboard")[EARLY]
    assert f"- {OLDER}: rests on other prices than the month's current ones" in plain(
        shown["left_out"]
    )
    assert [row["strategy"] for row in stored(anew, "leaderboard", EARLY)] == [WHOLE]
    assert stored(anew, "return_correlations", EARLY) == []
