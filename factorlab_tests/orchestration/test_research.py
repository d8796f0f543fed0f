"""The research stage: cells, ranges, bad cells, the ledger, reproducibility."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from factorlab_assets import identity, schemas
from factorlab_assets.assets.batch import LAST_TABLE, RESEARCH_TABLES
from factorlab_assets.verify import verify
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)

TABLES = (*RESEARCH_TABLES, LAST_TABLE)


def hashes(project: Project, name: str) -> dict[str, str]:
    """Table -> content hash of a cell."""
    return {
        table: record.content_hash
        for table in TABLES
        for record in project.store.partitions(schemas.TABLES[table])
        if record.partition == f"{MONTH}|{name}"
    }


def test_a_cell_runs_from_signals_to_metrics(ingested: Project) -> None:
    result = ingested.cell("trend_12m")
    assert failure(result) == ""
    key = f"{MONTH}|trend_12m"
    assert set(hashes(ingested, "trend_12m")) == set(TABLES)
    checks = evaluations(result)
    assert all(checks.values())
    assert ("backtest_returns", "no_lookahead", key) in checks
    shown = materializations(result, "backtest_returns")[key]
    assert "data:image/svg+xml" in shown["nav_and_drawdown"]
    assert "SYNTHETIC" in shown
    assert shown["experiment_id"]
    assert "sharpe" in materializations(result, "metrics")[key]
    book = materializations(result, "weights")[key]
    assert book["last_rebalance"].endswith(": all as wanted")
    assert "all as wanted" in book["outcomes"]


def test_twice_is_the_same_to_the_last_bit_and_one_experiment(ingested: Project) -> None:
    assert failure(ingested.cell("low_vol")) == ""
    first = hashes(ingested, "low_vol")
    assert failure(ingested.cell("low_vol")) == ""
    assert hashes(ingested, "low_vol") == first
    rows = [r for r in ingested.store.experiments().to_pylist() if r["strategy"] == "low_vol"]
    assert len({r["experiment_id"] for r in rows}) == 1
    assert [(r["attempt"], r["status"]) for r in rows] == [
        (1, "started"),
        (1, "done"),
        (2, "started"),
        (2, "done"),
    ]


def test_a_range_runs_as_one_and_a_bad_cell_harms_no_other(project: Project) -> None:
    assert failure(project.market()) == ""
    project.strategy("faber_10m", "description: nonsense\nfactors: [{name: no_such, delay: 1}]\n")
    result = project.cells("equal_weight_13", "xsmom_12_1")
    assert failure(result) == ""
    names = set(project.instance.get_dynamic_partitions("strategy"))
    done = {r.partition for r in project.store.partitions(schemas.METRICS)}
    assert done == {f"{MONTH}|{name}" for name in names - {"faber_10m"}}
    checks = evaluations(result)
    assert checks["metrics", "schema", f"{MONTH}|faber_10m"] is False
    assert checks["metrics", "schema", f"{MONTH}|trend_12m"] is True
    assert aims_at_its_own_materialization(project, result, f"{MONTH}|trend_12m")
    shown = materializations(result, "metrics")
    assert "no_such" in shown[f"{MONTH}|faber_10m"]["REFUSED"]


def aims_at_its_own_materialization(
    project: Project, result: dg.ExecuteInProcessResult, key: str
) -> bool:
    """Whether the UI counts a cell's check as current: it is about the cell's latest rows."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey("metrics"), asset_partitions=[key])
    latest = project.instance.fetch_materializations(wanted, limit=1).records[0].storage_id
    (target,) = (
        event.event_specific_data.target_materialization_data.storage_id
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
        and event.event_specific_data.partition == key
        and event.event_specific_data.asset_key == dg.AssetKey("metrics")
    )
    return bool(target == latest)


def test_alone_and_in_a_range_a_cell_is_the_same(project: Project) -> None:
    assert failure(project.market()) == ""
    assert failure(project.cell("trend_12m")) == ""
    alone = hashes(project, "trend_12m")
    assert failure(project.cells("equal_weight_13", "xsmom_12_1")) == ""
    assert hashes(project, "trend_12m") == alone


def test_verify_recomputes_to_the_last_bit(ingested: Project) -> None:
    assert failure(ingested.cell("three_factor_ls")) == ""
    done = [
        r
        for r in ingested.store.experiments().to_pylist()
        if r["strategy"] == "three_factor_ls" and r["status"] == "done"
    ]
    found = verify(ingested.store, done[-1]["experiment_id"])
    assert found.identical, found.told
    assert json.loads(done[-1]["detail"]) == hashes(ingested, "three_factor_ls")


def test_verify_shows_the_first_difference(
    ingested: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failure(ingested.cell("xsmom_12_1")) == ""
    done = [
        r
        for r in ingested.store.experiments().to_pylist()
        if r["strategy"] == "xsmom_12_1" and r["status"] == "done"
    ]
    from factorlab_assets.core import combine, research

    combine = combine.combine
    monkeypatch.setattr(research, "combine", lambda *said: combine(*said) * 1.5)
    found = verify(ingested.store, done[-1]["experiment_id"])
    assert not found.identical
    assert "scores" in found.told
    assert "score:" in found.told


@pytest.mark.slow
def test_a_changed_parameter_price_or_code_is_another_experiment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def experiment(project: Project = project) -> str:
        assert failure(project.market()) == ""
        assert failure(project.cell("trend_12m")) == ""
        (cell,) = project.store.partitions(schemas.METRICS)
        return cell.fingerprint

    first = experiment()
    assert experiment() == first
    path = project.settings.strategies_path / "trend_12m.yaml"
    text = path.read_text()
    path.write_text(text.replace("lookback: 12", "lookback: 11"))
    assert text != path.read_text()
    parameter = experiment()
    path.write_text("# a comment\n" + text)
    assert experiment() == first
    monkeypatch.setattr(identity, "code_version", lambda: "another")
    code = experiment()
    monkeypatch.undo()
    other_prices = project.settings.model_copy(update={"seed": 8})
    price = experiment(Project(other_prices, project.instance))
    assert len({first, parameter, code, price}) == 4


def test_a_cell_of_a_month_without_prices_fails_saying_so(project: Project) -> None:
    assert failure(project.market()) == ""
    result = project.cell("trend_12m", month="2011-03")
    assert not result.success
    rows = project.store.experiments().to_pylist()
    assert rows == []


@pytest.mark.parametrize("table", ["metrics", "daily_returns"])
def test_inputs_of_another_experiment_are_refused(project: Project, table: str) -> None:
    assert failure(project.market()) == ""
    assert failure(project.cell("trend_12m")) == ""
    path = project.settings.strategies_path / "trend_12m.yaml"
    path.write_text(path.read_text().replace("lookback: 12", "lookback: 11"))
    result = project.cell("trend_12m", asset_selection=[dg.AssetKey(table)])
    assert not result.success
    last = project.store.experiments().to_pylist()[-1]
    assert last["status"] == "failed"
    assert table in last["detail"]
