"""The pages of experiments as the jobs write them: files, and what they say against the store.

Belongs here: assets of job `report`, and the library's page. Does not: pages of odd sheets
(`unit/test_tear_sheet_html.py`, `test_tear_sheet_pdf.py`), or the commands (`test_cli_report.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factorlab_assets import schemas
from factorlab_assets.assets import partitions
from factorlab_assets.errors import FactorLabError
from factorlab_assets.reports import theme
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)
from factorlab_tests.pdf_text import pages_of
from factorlab_tests.unit.test_library_page import Page as LibraryPage
from factorlab_tests.unit.test_tear_sheet_html import Page, agrees, value_of

FIRST, LAST = "trend_12m", "trend_weighted"
ALONE = "sixty_forty"
"""Judged without luck and foresight: its `feasibility` is missing."""
NAMES = (FIRST, LAST, ALONE)
TABLES = (
    *("rolling_metrics", "calendar_returns", "drawdowns", "contributions", "notable_months"),
    *("exposures", "factor_diagnostics", "verdict", "tear_sheet"),
)
WHOLE = ("calendar_returns", "drawdowns", "contributions", "verdict", "metrics")
"""Tables of which every row is on the page."""
PRINTED = {
    "Growth, compound a year": "cagr",
    "Volatility a year": "volatility_ann",
    "Sharpe ratio": "sharpe",
    "Sortino ratio": "sortino",
    "Calmar ratio": "calmar",
    "Months above 0": "hit_rate",
    "Tracking error a year": "tracking_error_ann",
    "Information ratio": "information_ratio",
    "Turnover a year, two-way": "turnover_ann",
    "Cost a year": "cost_drag_ann",
}
"""Label in the PDF -> column of `metrics`."""
NO_ROWS = {"factor_diagnostics"}
"""What a strategy without factors has none of."""
SWEEP = (
    "sweep:\n"
    "  parameters: {portfolio.select.top_k: [2, 3], factors.trend.lookback: [6, 9]}\n"
    "  blocks: 8\n"
    "  walk_forward: {train_months: 36}\n"
)


QUICK = (
    "bootstrap: {draws: 100}\n"
    "regimes: {market: {rule: average, months: 10}}\n"
    "robustness: {costs_bps: [0.0, 10.0], delays: [0, 2], rebalance_days: 2, most_tickers: 3}\n"
)


@pytest.fixture(scope="module")
def reported(ingested: Project) -> Project:
    """Two neighbouring cells as a range, and one alone."""
    path = ingested.settings.evaluation_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(QUICK)
    for job in ("research", "evaluation"):
        assert failure(ingested.cells(FIRST, LAST, job=job)) == ""
    assert failure(ingested.cell(ALONE)) == ""
    only = [dg.AssetKey("robustness")]
    assert failure(ingested.cell(ALONE, job="evaluation", asset_selection=only)) == ""
    for result, names in (
        (ingested.cells(FIRST, LAST, job="report"), (FIRST, LAST)),
        (ingested.cell(ALONE, job="report"), (ALONE,)),
    ):
        assert failure(result) == ""
        checks = evaluations(result)
        for table in TABLES:
            shown = materializations(result, table)
            assert set(shown) == {f"{MONTH}|{name}" for name in names}
            for key, said in shown.items():
                assert checks[table, "schema", key]
                assert "SYNTHETIC" in said
    return ingested


def files(project: Project, name: str) -> dict[str, Path]:
    folder = project.settings.reports_path
    return {row["format"]: folder / row["path"] for row in project.rows("tear_sheet", name)}


def page_of(project: Project, name: str) -> Page:
    return Page(files(project, name)["html"].read_text(encoding="utf-8"))


def by_key(project: Project, table: str, name: str) -> dict[str, dict[str, Any]]:
    """A cell's rows by what the page calls them."""
    keys = [k for k in schemas.TABLES[table].primary_key if k not in ("month", "strategy")]
    return {"|".join(map(_plain, map(row.get, keys))): row for row in project.rows(table, name)}


def _plain(value: object) -> str:
    return value.isoformat()[:10] if isinstance(value, dt.date) else str(value)


def full(project: Project, name: str) -> dict[str, Any]:
    return by_key(project, "metrics", name)["full"]


def total(project: Project, name: str) -> dict[str, Any]:
    return by_key(project, "verdict", name)["total"]


def after(texts: list[str], label: str, count: int) -> list[str]:
    place = texts.index(label)
    return texts[place + 1 : place + 1 + count]


@pytest.mark.parametrize("name", NAMES)
class TestOfOneExperiment:
    def test_every_table_has_its_rows(self, reported: Project, name: str) -> None:
        empty = {table for table in TABLES if not reported.rows(table, name)}
        assert empty == (NO_ROWS if name == ALONE else set())

    def test_files_are_what_their_rows_say(self, reported: Project, name: str) -> None:
        rows = {row["format"]: row for row in reported.rows("tear_sheet", name)}
        assert set(rows) == {"html", "pdf"}
        for form, row in rows.items():
            assert row["path"] == f"{MONTH}/{name}.{form}"
            content = (reported.settings.data_dir / "reports" / row["path"]).read_bytes()
            assert row["n_bytes"] == len(content) > 10_000
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
            assert row["experiment_id"] == reported.fingerprint("metrics", name)
        assert rows["html"]["experiment_id"] in files(reported, name)["html"].read_text()

    def test_every_number_of_the_html_is_the_stored_one(self, reported: Project, name: str) -> None:
        found = page_of(reported, name).numbers
        drawn = {table for table, _, _ in found} & schemas.TABLES.keys()
        stored = {table: by_key(reported, table, name) for table in drawn}
        seen = set()
        for (table, column, key), said in found.items():
            if table in ("lineage", "weightsticker", "weightsclass") or said == "":
                continue
            rows = stored[table]
            shared = (row for k, row in rows.items() if k.startswith(f"{key}|"))
            row = rows[key] if key in rows else next(shared)
            if column not in row:
                assert column in ("named", "scale")
                continue
            is_heat = table == "backtest_returns" and column == "net_return" and "%" not in said
            agrees(said, row[column], "heat" if is_heat else column)
            seen.add((table, key))
        for table in WHOLE:
            rows = stored[table]
            assert {key for key in rows if (table, key) not in seen} == set()
        assert ("metrics", "full") in seen

    def test_headline_figures_are_on_both_pages(self, reported: Project, name: str) -> None:
        metrics, found = full(reported, name), page_of(reported, name).numbers
        (first, *_) = pages_of(files(reported, name)["pdf"].read_bytes())
        for label, key in PRINTED.items():
            agrees(after(first, label, 1)[0], metrics[key], key)
        for key in ("cagr", "volatility_ann", "sharpe", "max_drawdown", "turnover_ann"):
            agrees(found["metrics", key, "full"], metrics[key], key)

    def test_years_drawdowns_and_verdict_of_the_pdf(self, reported: Project, name: str) -> None:
        first, second, *_ = pages_of(files(reported, name)["pdf"].read_bytes())
        years = reported.rows("calendar_returns", name)
        assert len(years) > 5
        for row in years:
            place = len(second) - second[::-1].index(str(row["year"]))  # axes are written first
            agrees(second[place], row["net_return"], "net_return")
        start = second.index("high reached again") + 1
        columns = ("rank", "depth", "n_months", "peak", "trough", "recovery")
        for k, row in enumerate(reported.rows("drawdowns", name)):
            said = second[start + 6 * k : start + 6 * k + 6]
            for text, column in zip(said, columns, strict=True):
                agrees(text, row[column], column)
        judged = total(reported, name)
        words = " ".join(first)
        assert judged["light"] in first
        assert ("no grade" if judged["grade"] == "none" else f"grade {judged['grade']}") in words
        if judged["score"] is not None:
            assert f"composite {judged['score']:.1f} of 100" in words
        assert re.search(r"source synthetic, observed \d{4}-\d\d-\d\d(?!.*observed)", first[-3])
        nav = reported.rows("backtest_returns", name)[-1]["nav"]
        assert f"{theme.nav(nav)} strategy" in first

    def test_contributions_add_up_to_the_growth(self, reported: Project, name: str) -> None:
        nav = reported.rows("backtest_returns", name)[-1]["nav"]
        parts = [row["contribution"] for row in reported.rows("contributions", name)]
        assert math.fsum(parts) == pytest.approx(nav - 1.0, abs=1e-12 * max(1.0, nav))
        text = files(reported, name)["html"].read_text()
        (said,) = re.findall(r'data-sum="contributions">([^<]+)<', text)
        shown, half = value_of(said)
        assert shown == pytest.approx(nav - 1.0, abs=half * 1.001)

    def test_months_compound_to_years_and_these_to_the_cagr(
        self, reported: Project, name: str
    ) -> None:
        found = page_of(reported, name).numbers
        months = reported.rows("backtest_returns", name)
        years = by_key(reported, "calendar_returns", name)
        growth = dict.fromkeys(years, 1.0)
        for row in months:
            growth[str(row["date"].year)] *= 1.0 + row["net_return"]
            assert ("backtest_returns", "net_return", row["date"].isoformat()) in found
        for year, row in years.items():
            assert growth[year] - 1.0 == pytest.approx(row["net_return"], abs=1e-12)
            agrees(found["calendar_returns", "net_return", year], growth[year] - 1.0, "net_return")
        whole = math.prod(growth.values())
        cagr = whole ** (12.0 / len(months)) - 1.0
        assert full(reported, name)["cagr"] == pytest.approx(cagr, abs=1e-12)
        agrees(found["metrics", "cagr", "full"], cagr, "cagr")


def test_a_second_run_writes_the_same_bytes(reported: Project) -> None:
    paths = [path for name in (FIRST, LAST) for path in files(reported, name).values()]
    before = [path.read_bytes() for path in paths]
    assert len(set(before)) == 4
    for path in paths:
        path.unlink()
    only = [dg.AssetKey("tear_sheet")]
    # One by one, where they were a range before.
    for name in (FIRST, LAST):
        assert failure(reported.cell(name, job="report", asset_selection=only)) == ""
    assert [path.read_bytes() for path in paths] == before
    assert not [*reported.settings.reports_path.rglob("*.unfinished")]


def test_what_was_not_computed_leaves_a_sentence(reported: Project) -> None:
    text = files(reported, ALONE)["html"].read_text()
    assert 'data-missing="feasibility"' in text
    words = " ".join(word for _, word in page_of(reported, ALONE).words)
    assert re.search(r"feasibility|luck", words, re.I)
    assert "nothing is stored" in words
    whole = files(reported, FIRST)["html"].read_text()
    assert "data-missing" not in whole


def test_a_verdict_follows_its_file_and_an_older_one_is_not_shown(reported: Project) -> None:
    path = reported.settings.verdict_path
    assert not path.exists()
    before, old = total(reported, FIRST), reported.fingerprint("verdict", FIRST)
    drawn = files(reported, FIRST)["html"].read_bytes()
    page, both = [dg.AssetKey("tear_sheet")], [dg.AssetKey("verdict"), dg.AssetKey("tear_sheet")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("sharpe_full: 0.01\ngrades: {A: 4.0, B: 3.0, C: 2.0, D: 1.0}\n")
    try:
        # The page alone: the stored verdict is of another file.
        result = reported.cell(FIRST, job="report", asset_selection=page)
        assert failure(result) == ""
        assert "verdict" in str(materializations(result, "tear_sheet")[f"{MONTH}|{FIRST}"])
        assert 'data-missing="verdict"' in files(reported, FIRST)["html"].read_text()
        assert failure(reported.cell(FIRST, job="report", asset_selection=both)) == ""
        now = total(reported, FIRST)
        assert (now["grade"], before["grade"]) != ("none", now["grade"])
        assert now["grade"] == "A"
        assert now["score"] > before["score"] + 1.0
        assert reported.fingerprint("verdict", FIRST) != old
        path.write_text("weights: {sharpe: 0.5}\n")
        refused = failure(reported.cell(FIRST, job="report", asset_selection=both))
        assert "weights that sum to 1, not 1.25" in refused
        assert total(reported, FIRST) == now
    finally:
        path.unlink()
    assert failure(reported.cell(FIRST, job="report", asset_selection=both)) == ""
    assert total(reported, FIRST) == before
    assert reported.fingerprint("verdict", FIRST) == old
    assert files(reported, FIRST)["html"].read_bytes() == drawn


def test_the_library_lists_strategies_and_combinations_with_links(reported: Project) -> None:
    reported.add(grid=reported.text(FIRST) + SWEEP)
    assert failure(reported.cell("grid", job="sweep")) == ""
    result = reported.library()
    assert failure(result) == ""
    assert evaluations(result)["library_page", "schema", MONTH]
    (row,) = reported.store.load(schemas.LIBRARY_PAGE, [MONTH]).to_pylist()
    path = reported.settings.reports_path / row["path"]
    content = path.read_bytes()
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert (row["path"], row["n_bytes"]) == ("index.html", len(content))
    data = LibraryPage(content.decode()).data
    own = {name for name, sweep in zip(data["names"], data["sweeps"], strict=True) if not sweep}
    assert own == set(NAMES)
    combined = data["names"][len(own) :]
    assert len(combined) == row["n_experiments"] - len(own) == 4
    assert set(data["sweeps"]) == {"", "grid"}
    for k, name in enumerate(data["names"]):
        link = data["links"][k]
        if name in own:
            assert path.parent / link == files(reported, name)["html"]
            assert (path.parent / link).is_file()
            judged, metrics = total(reported, name), full(reported, name)
            shown = data["light"][k], data["grade"][k], data["note"][k]
            assert shown == (judged["light"], judged["grade"], judged["note"])
            assert data["composite"][k] == pytest.approx(judged["score"], rel=1e-8)
        else:
            assert (link, data["light"][k]) == ("", "")
            (metrics,) = (r for r in reported.rows("sweep_metrics", "grid") if _is(r, name))
        for figure in ("cagr", "sharpe", "max_drawdown", "volatility_ann"):
            assert data["values"][figure][k] == pytest.approx(metrics[figure], rel=1e-8)
    assert failure(reported.library()) == ""
    assert path.read_bytes() == content


def _is(row: dict[str, Any], name: str) -> bool:
    return bool(row["combination"] == name)


def test_no_name_leads_out_of_the_reports_folder(reported: Project) -> None:
    folder = reported.settings.reports_path
    before = {path for path in folder.parent.rglob("*") if path.suffix in (".html", ".pdf")}
    assert all(path.is_relative_to(folder) for path in before)
    with pytest.raises(FactorLabError, match="name"):
        partitions.register(reported.instance, ["../../out"])
    (reported.settings.strategies_path / "..out.yaml").write_text(reported.text(FIRST))
    for name in ("../../out", "..out", "/tmp/out"):
        reported.instance.add_dynamic_partitions("strategy", [name])
        only = [dg.AssetKey("tear_sheet")]
        assert failure(reported.cell(name, job="report", asset_selection=only)) != ""
        assert reported.store.refusals(schemas.TEAR_SHEET, [f"{MONTH}|{name}"])
    (reported.settings.strategies_path / "..out.yaml").unlink()
    everything = reported.settings.root.rglob("*")
    assert {path for path in everything if path.suffix in (".html", ".pdf")} == before
