"""The sweep assets: one cell, an experiment per combination, each computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets import schemas, sweep_run
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)

GRID = (
    "sweep:\n"
    "  parameters: {portfolio.select.top_k: [2, 3], factors.trend.lookback: [6, 9]}\n"
    "  blocks: 8\n"
    "  walk_forward: {train_months: 36}\n"
)
LONG = GRID.replace("train_months: 36", "train_months: 200")
TABLES = ("sweep_metrics", "sweep_evidence", "walk_forward")
COUNTS = ("combinations", "of_a_grid_of", "computed_now", "reused", "failed")
NAMES = {f"grid.top_k-{k}.lookback-{n}" for k in (2, 3) for n in (6, 9)}


def plain(project: Project) -> str:
    return project.text("trend_12m")


def shown(result: Any, name: str, table: str = "sweep_metrics") -> dict[str, Any]:
    return dict(materializations(result, table)[f"{MONTH}|{name}"])


def of_sweep(project: Project, name: str) -> list[dict[str, Any]]:
    return [row for row in project.store.experiments().to_pylist() if row["sweep"] == name]


@pytest.fixture(scope="module")
def swept(ingested: Project) -> Project:
    """A sweep of four that ran once."""
    ingested.add(grid=plain(ingested) + GRID)
    result = ingested.cell("grid", job="sweep")
    assert failure(result) == ""
    checks = evaluations(result)
    assert all(checks[table, "schema", f"{MONTH}|grid"] for table in TABLES)
    said = shown(result, "grid")
    assert [said[key] for key in COUNTS] == [4, 4, 4, 0, 0]
    assert "data:image/svg+xml" in said["heat_map"]
    assert "SYNTHETIC" in said
    return ingested


def test_one_cell_holds_an_experiment_per_combination(swept: Project) -> None:
    for table in TABLES:
        keys = [record.partition for record in swept.store.partitions(schemas.TABLES[table])]
        assert [key for key in keys if "grid" in key] == [f"{MONTH}|grid"], table
    registered = set(swept.instance.get_dynamic_partitions("strategy"))
    assert not registered & NAMES
    ledger = of_sweep(swept, "grid")
    for status in ("started", "done"):
        assert sorted(r["strategy"] for r in ledger if r["status"] == status) == sorted(NAMES)
    assert len(ledger) == 2 * len(NAMES)
    rows = swept.rows("sweep_metrics", "grid")
    ids = {row["combination"]: row["experiment_id"] for row in rows}
    assert ids == {row["strategy"]: row["experiment_id"] for row in ledger}
    returns = swept.store.trial_returns(list(ids.values()))
    assert set(returns["experiment_id"].to_pylist()) == set(ids.values())


def test_figures_are_those_of_the_returns(swept: Project) -> None:
    for row in swept.rows("sweep_metrics", "grid"):
        own = swept.store.trial_returns([row["experiment_id"]])
        net = own["net_return"].to_numpy()
        excess = net - own["rf"].to_numpy()
        assert row["n_months"] == len(net)
        assert row["sharpe"] == pytest.approx(
            excess.mean() / excess.std(ddof=1) * np.sqrt(12), rel=1e-9
        )
        assert row["cagr"] == pytest.approx(np.prod(1 + net) ** (12 / len(net)) - 1, rel=1e-9)
        assert row["sharpe_low"] < row["sharpe"] < row["sharpe_high"]
        assert row["dsr"] < row["psr"], "four tries are more than one"
        assert row["dsr_benchmark"] < row["psr_benchmark"]


def test_evidence_names_the_best_and_its_neighbours(swept: Project) -> None:
    rows = swept.rows("sweep_metrics", "grid")
    sharpe = {row["combination"]: row["sharpe"] for row in rows}
    best = max(sharpe, key=lambda name: sharpe[name])
    said = {(r["returns"], r["statistic"]): r for r in swept.rows("sweep_evidence", "grid")}
    assert said["raw", "best"]["value"] == sharpe[best]
    assert said["raw", "best"]["note"].startswith(f"{best}, of 4")
    ends = best.split(".")[1:]
    beside = [s for n, s in sharpe.items() if sum(e in n.split(".") for e in ends) == 1]
    assert said["raw", "neighbours"]["value"] == pytest.approx(np.mean(beside), rel=1e-12)
    for statistic in ("pbo", "spa_consistent", "reality_check"):
        assert 0.0 <= said["benchmark", statistic]["value"] <= 1.0
    lower, upper = (said["benchmark", f"spa_{end}"]["value"] for end in ("lower", "upper"))
    assert lower <= said["benchmark", "spa_consistent"]["value"] <= upper


def test_a_walk_earns_what_was_chosen(swept: Project) -> None:
    """A month without a trade of its own, and none of a change, is that of the combination."""
    rows = swept.rows("sweep_metrics", "grid")
    ids = {row["combination"]: row["experiment_id"] for row in rows}
    earned = {
        (name, row["date"]): row["net_return"]
        for name, id_ in ids.items()
        for row in swept.store.trial_returns([id_]).to_pylist()
    }
    walked = swept.rows("walk_forward", "grid")
    assert {row["scheme"] for row in walked} == {"anchored", "rolling"}
    evidence = {(r["returns"], r["statistic"]): r for r in swept.rows("sweep_evidence", "grid")}
    for scheme in ("anchored", "rolling"):
        of = sorted((r for r in walked if r["scheme"] == scheme), key=lambda row: row["date"])
        same = [i for i in range(1, len(of)) if of[i]["combination"] == of[i - 1]["combination"]]
        assert len(same) > len(of) - 8
        for i in same:
            expected = earned[of[i]["combination"], of[i]["date"]]
            assert of[i]["net_return"] == pytest.approx(expected, abs=1e-12)
        assert of[0]["net_return"] <= earned[of[0]["combination"], of[0]["date"]]
        net = np.array([row["net_return"] for row in of])
        assert of[-1]["nav"] == pytest.approx(np.prod(1 + net), rel=1e-12)
        said = evidence["raw", f"walk_forward_{scheme}"]["value"]
        assert said == pytest.approx(net.mean() / net.std(ddof=1) * np.sqrt(12), rel=1e-12)


def test_a_second_run_computes_nothing(swept: Project) -> None:
    before, ledger = swept.rows("sweep_metrics", "grid"), len(of_sweep(swept, "grid"))
    kept = swept.store.trial_returns([row["experiment_id"] for row in before]).num_rows
    result = swept.cell("grid", job="sweep")
    assert failure(result) == ""
    said = shown(result, "grid")
    assert (said["computed_now"], said["reused"]) == (0, 4)
    assert swept.rows("sweep_metrics", "grid") == before
    assert len(of_sweep(swept, "grid")) == ledger
    assert swept.store.trial_returns([r["experiment_id"] for r in before]).num_rows == kept


def test_one_that_broke_in_the_middle_goes_on(
    swept: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = plain(swept) + GRID.replace("[6, 9]", "[7, 8]")
    swept.add(broken=text)
    monkeypatch.setattr(sweep_run, "CHUNK", 2)
    real, asked = sweep_run._computed, []

    def breaks(chunk: Any, *said: Any) -> Any:
        asked.append(len(chunk))
        if len(asked) == 2:
            raise RuntimeError("the power went out")
        return real(chunk, *said)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_run, "_computed", breaks)
        assert "the power went out" in failure(swept.cell("broken", job="sweep"))
    assert asked == [2, 2]
    done = [row["strategy"] for row in of_sweep(swept, "broken") if row["status"] == "done"]
    assert len(done) == 2
    result = swept.cell("broken", job="sweep")
    assert failure(result) == ""
    said = shown(result, "broken")
    assert (said["computed_now"], said["reused"]) == (2, 2)
    rows = of_sweep(swept, "broken")
    once = [row["strategy"] for row in rows if row["status"] == "done"]
    assert len(once) == len(set(once)) == 4
    again = {row["strategy"] for row in rows if row["attempt"] == 2}
    assert again == set(once) - set(done), "none that was done was begun anew"
    assert [row["status"] for row in swept.rows("sweep_metrics", "broken")] == ["done"] * 4


def test_a_strategy_without_a_sweep_is_told_once(swept: Project) -> None:
    told = failure(swept.cell("trend_12m", job="sweep"))
    assert told.count("the strategy has no sweep") == 1
    assert f"{swept.settings.strategies_path / 'trend_12m'}.yaml" in told
    assert "`sweep` block (docs/evaluation.md)" in told


def test_a_range_leaves_out_the_one_without(swept: Project) -> None:
    swept.add(other=plain(swept) + GRID)
    names = list(swept.instance.get_dynamic_partitions("strategy"))
    low, high = sorted(names.index(name) for name in ("trend_12m", "other"))
    wanted = names[low : high + 1]
    with_sweep = {name for name in wanted if "sweep:" in swept.text(name)}
    assert len(with_sweep) > 1
    assert with_sweep < set(wanted)
    result = swept.cells(names[low], names[high], job="sweep")
    assert failure(result) == ""
    for table in TABLES:
        checks = evaluations(result)
        found = {name for name in wanted if checks.get((table, "schema", f"{MONTH}|{name}"))}
        assert found == with_sweep, table
    assert shown(result, "other")["computed_now"] == 0, "configurations that were there"
    assert [row["sharpe"] for row in swept.rows("sweep_metrics", "other")] == [
        row["sharpe"] for row in swept.rows("sweep_metrics", "grid")
    ]


def test_too_short_a_history_for_a_walk_has_reasons_alone(swept: Project) -> None:
    swept.add(longer=plain(swept) + LONG)
    result = swept.cell("longer", job="sweep")
    assert failure(result) == ""
    said = shown(result, "longer", "walk_forward")
    assert swept.rows("walk_forward", "longer") == []
    rows = [r for r in swept.rows("sweep_evidence", "longer") if "walk_forward" in r["statistic"]]
    assert len(rows) == 4
    for scheme in ("anchored", "rolling"):
        assert "the walk-forward window is longer than the history" in said[scheme]
        assert "train_months 200 and test_months 12" in said[scheme]
    for row in rows:
        assert row["value"] is None
        assert "the walk-forward window is longer than the history" in row["note"]


def test_combinations_that_fail_are_rows_with_the_reason(swept: Project) -> None:
    text = plain(swept).replace("top_k: 5", "top_k: 13")
    values = GRID.replace("[2, 3]", "[2, 13]").replace("[6, 9]", "[6, 120]")
    swept.add(some=text + values)
    result = swept.cell("some", job="sweep")
    assert failure(result) == ""
    rows = {row["combination"]: row for row in swept.rows("sweep_metrics", "some")}
    failed = {name: row for name, row in rows.items() if row["status"] == "failed"}
    assert set(failed) >= {"some.top_k-13.lookback-120"}
    assert set(rows) - set(failed) >= {"some.top_k-2.lookback-6"}
    assert shown(result, "some")["failed"] == len(failed)
    for row in failed.values():
        assert "no month to earn a return in" in row["note"]
        assert row["sharpe"] is None
    ledger = {row["experiment_id"]: row for row in of_sweep(swept, "some")}
    for row in failed.values():
        assert ledger[row["experiment_id"]]["status"] == "failed"


def test_nothing_to_judge_is_told_with_the_reason(swept: Project) -> None:
    values = GRID.replace("[2, 3]", "[13]").replace("[6, 9]", "[118, 119]")
    swept.add(none=plain(swept) + values)
    told = failure(swept.cell("none", job="sweep"))
    assert "no combination of the sweep could be computed" in told
    assert f"{MONTH}|none" in told
    assert "no month to earn a return in" in told
    assert [row["status"] for row in swept.rows("sweep_metrics", "none")] == ["failed"] * 2
