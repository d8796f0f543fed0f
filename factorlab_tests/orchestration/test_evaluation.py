"""The evaluation assets: what they store agrees with what is judged, and with nothing older."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pytest

from factorlab_assets import identity, schemas
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
    settings_in,
)

pytestmark = pytest.mark.slow  # test_reports and test_sweeps show the same assets at work

FIRST, LAST = "trend_12m", "trend_weighted"
TABLES = ("inference", "regime_metrics", "feasibility", "robustness")
REGIMES = """\
regimes:
  market: {rule: average, months: 10, names: [below, above]}
  bonds: {rule: trend, ticker: IEF, months: 12}
"""
SHORT = "2006-01"
"""Until then the strategies of this page have three months."""


@pytest.fixture(scope="module")
def judged(ingested: Project) -> Project:
    """Two neighbouring cells, computed and judged as a range."""
    path = ingested.settings.evaluation_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(REGIMES)
    assert failure(ingested.cells(FIRST, LAST)) == ""
    result = ingested.cells(FIRST, LAST, job="evaluation")
    assert failure(result) == ""
    checks = evaluations(result)
    for table in TABLES:
        for name in (FIRST, LAST):
            assert checks[table, "schema", f"{MONTH}|{name}"]
            assert "SYNTHETIC" in materializations(result, table)[f"{MONTH}|{name}"]
    return ingested


def statistic(project: Project, name: str, statistic: str, kind: str = "raw", month: str = MONTH):
    (row,) = (
        row
        for row in project.rows("inference", name, month)
        if (row["statistic"], row["returns"]) == (statistic, kind)
    )
    return row


def full(project: Project, name: str) -> dict[str, Any]:
    (row,) = (row for row in project.rows("metrics", name) if row["segment"] == "full")
    return row


def earned(project: Project, name: str) -> dict[str, np.ndarray]:
    rows = project.rows("backtest_returns", name)
    columns = ("net_return", "rf", "benchmark_return")
    return {column: np.array([row[column] for row in rows]) for column in columns}


@pytest.mark.parametrize("name", [FIRST, LAST])
class TestRowsAreOfTheExperiment:
    def test_sharpe_ratios_are_those_of_its_own_returns(self, judged: Project, name: str) -> None:
        own = earned(judged, name)
        drawn = EvaluationSettings().bootstrap
        for kind, less in (("raw", own["rf"]), ("benchmark", own["benchmark_return"])):
            excess = own["net_return"] - less
            lo = statistic(judged, name, "sharpe_lo", kind)
            assert lo["value"] == pytest.approx(
                excess.mean() / excess.std(ddof=1) * np.sqrt(12), rel=1e-12
            )
            expected = sharpe.bootstrap(excess, 0.95, drawn.draws, drawn.seed)
            found = statistic(judged, name, "sharpe_bootstrap", kind)
            assert (found["low"], found["high"]) == (expected.low, expected.high)
        assert statistic(judged, name, "sharpe_lo")["value"] == pytest.approx(
            full(judged, name)["sharpe"], rel=1e-12
        )
        believed = statistic(judged, name, "dsr", "benchmark")["value"] >= 0.95
        assert statistic(judged, name, "verdict", "benchmark")["value"] == float(believed)

    def test_every_month_has_one_label(self, judged: Project, name: str) -> None:
        rows, own = judged.rows("regime_metrics", name), earned(judged, name)
        assert {row["regime"] for row in rows} == {"market", "bonds"}
        for regime in ("market", "bonds"):
            of = [row for row in rows if row["regime"] == regime]
            assert sum(row["n_months"] for row in of) == len(own["net_return"])
            whole = sum(row["n_months"] * row["return_ann"] for row in of if row["n_months"] >= 12)
            few = [row for row in of if row["n_months"] < 12]
            assert all(row["return_ann"] is None and row["note"] for row in few if row["n_months"])
            if not few:
                assert whole == pytest.approx(12 * own["net_return"].sum(), rel=1e-9)

    def test_the_strategy_lies_where_its_metrics_say(self, judged: Project, name: str) -> None:
        said = {(r["kind"], r["metric"]): r for r in judged.rows("feasibility", name)}
        whole = full(judged, name)
        for metric in ("cagr", "sharpe"):
            own = said["strategy", metric]["value"]
            assert own == pytest.approx(whole[metric], rel=1e-9)
            for luck in ("permuted", "random"):
                row = said[luck, metric]
                assert row["n_paths"] == 10_000
                assert row["p05"] <= row["median"] <= row["p95"] <= row["best"]
                assert (row["percentile"] > 0.5) == (own > row["median"])
        assert said["oracle_gross", "cagr"]["value"] > said["oracle_net", "cagr"]["value"]
        assert said["oracle_net", "cagr"]["value"] > said["strategy", "cagr"]["value"]

    def test_unchanged_it_is_itself(self, judged: Project, name: str) -> None:
        rows = {(r["test"], r["setting"]): r for r in judged.rows("robustness", name)}
        assert {test for test, _ in rows} == set(schemas.ROBUSTNESS_TESTS)
        whole, same = full(judged, name), rows["cost", "10 bps"]
        assert same["sharpe"] == pytest.approx(whole["sharpe"], rel=1e-9)
        assert same["cagr"] == pytest.approx(whole["cagr"], rel=1e-9)
        assert same["sharpe_change"] == pytest.approx(0.0, abs=1e-12)
        assert rows["cost", "100 bps"]["sharpe_change"] < 0.0


def test_judging_is_no_attempt(judged: Project) -> None:
    before = judged.store.experiments().num_rows
    for job in ("evaluation", "sweep"):
        judged.cell("low_vol", job=job)
    assert judged.store.experiments().num_rows == before


def test_another_evaluation_file_makes_other_rows_of_the_same_experiment(judged: Project) -> None:
    name, path = FIRST, judged.settings.evaluation_path
    text, ledger = path.read_text(), judged.store.experiments().num_rows
    before = {table: judged.fingerprint(table, name) for table in TABLES}
    wide = statistic(judged, name, "sharpe_lo")
    path.write_text("level: 0.8\n" + text)
    assert failure(judged.cell(name, job="evaluation")) == ""
    narrow = statistic(judged, name, "sharpe_lo")
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
    experiment = judged.fingerprint("metrics", name)
    for table in TABLES:
        own = judged.fingerprint(table, name)
        assert own != before[table]
        assert own.startswith(f"{experiment}.")
        assert own.endswith(identity.evaluation_version())
    assert judged.store.experiments().num_rows == ledger
    path.write_text(text)
    assert failure(judged.cell(name, job="evaluation")) == ""
    assert {table: judged.fingerprint(table, name) for table in TABLES} == before


def test_a_bad_evaluation_file_is_refused_by_its_place(judged: Project) -> None:
    path = judged.settings.evaluation_path
    text = path.read_text()
    path.write_text("level: 2\n")
    told = failure(judged.cell(FIRST, job="evaluation"))
    path.write_text(text)
    assert str(path) in told
    assert "level" in told


def count(project: Project, name: str) -> dict[str, float]:
    """Judges a cell anew; how many tries its inference knows of."""
    only = [dg.AssetKey("inference")]
    assert failure(project.cell(name, job="evaluation", asset_selection=only)) == ""
    asked = ("n_trials", "n_failed")
    return {each: statistic(project, name, each)["value"] for each in asked}


class TestTrials:
    """What was tried of one idea, in the order of these tests."""

    def test_they_cannot_be_lowered_by_another_name(self, judged: Project) -> None:
        first = count(judged, FIRST)
        text = judged.text(FIRST)
        judged.add(renamed=text)
        assert failure(judged.cell("renamed")) == ""
        assert count(judged, "renamed") == first
        assert "finished" in statistic(judged, "renamed", "n_trials")["note"]
        judged.add(varied=text.replace("lookback: 12", "lookback: 11"))
        assert failure(judged.cell("varied")) == ""
        assert count(judged, "varied")["n_trials"] == first["n_trials"] + 1
        assert count(judged, "renamed")["n_trials"] == first["n_trials"] + 1

    def test_failed_ones_count_and_say_nothing_of_the_spread(self, judged: Project) -> None:
        before = count(judged, FIRST)
        best = statistic(judged, FIRST, "expected_max_sharpe")["value"]
        text = judged.text(FIRST)
        judged.add(never=text + "in_sample_until: 2030-01\n")
        told = failure(judged.cell("never"))
        assert "the split is outside the data" in told
        assert "in_sample_until: 2030-01" in told
        assert "choose a month with returns before and after it" in told
        after = count(judged, FIRST)
        assert after["n_trials"] == before["n_trials"] + 1
        assert after["n_failed"] == before["n_failed"] + 1
        n = before["n_trials"]
        more = sharpe.expected_maximum(n + 1, 1.0) / sharpe.expected_maximum(n, 1.0)
        found = statistic(judged, FIRST, "expected_max_sharpe")["value"]
        assert found == pytest.approx(best * more, rel=1e-9), "the spread is what it was"

    def test_those_made_elsewhere_are_added(self, judged: Project) -> None:
        before, text = count(judged, FIRST), judged.text(FIRST)
        deflated = statistic(judged, FIRST, "dsr", "benchmark")["value"]
        judged.strategy(FIRST, text + "prior_trials: 50\n")
        after = count(judged, FIRST)
        judged.strategy(FIRST, text)
        assert after == {**before, "n_trials": before["n_trials"] + 50}
        assert statistic(judged, FIRST, "dsr", "benchmark")["value"] < deflated


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of a month at which the strategies have just started."""
    with dg.instance_for_test() as instance:
        project = Project(settings_in(tmp_path_factory.mktemp("early")), instance)
        assert failure(project.market(SHORT)) == ""
        yield project


def test_an_experiment_that_is_out_of_date_is_not_judged(early: Project) -> None:
    told = failure(early.cell(LAST, SHORT, job="evaluation"))
    assert f"{SHORT}|{LAST}: backtest_returns: nothing is stored for it" in told
    assert f"factorlab run --month {SHORT} --strategy {LAST}" in told
    assert failure(early.cell(LAST, SHORT)) == ""
    before = early.rows("inference", LAST, SHORT)
    text = early.text(LAST)
    early.strategy(LAST, text.replace("lookback: 12", "lookback: 11"))
    told = failure(early.cell(LAST, SHORT, job="evaluation"))
    assert f"{SHORT}|{LAST}: backtest_returns: " in told
    assert "what is stored was computed from" in told
    assert f"factorlab run --month {SHORT} --strategy {LAST}" in told
    assert text != early.text(LAST)
    assert early.rows("inference", LAST, SHORT) == before


def test_three_months_have_reasons_and_no_figures(early: Project) -> None:
    assert failure(early.cell(FIRST, SHORT)) == ""
    assert failure(early.cell(FIRST, SHORT, job="evaluation")) == ""
    assert len(early.rows("backtest_returns", FIRST, SHORT)) == 3
    for name in ("sharpe_lo", "sharpe_bootstrap", "psr", "dsr", "verdict"):
        row = statistic(early, FIRST, name, "benchmark", SHORT)
        assert row["value"] is None, name
        assert "3 months" in row["note"], name
    for row in early.rows("regime_metrics", FIRST, SHORT):
        assert row["sharpe"] is None
        assert row["note"]
    for table in ("feasibility", "robustness"):
        for row in early.rows(table, FIRST, SHORT):
            shown = row.get("value") if table == "feasibility" else row["sharpe"]
            assert shown is None or row["note"], row
