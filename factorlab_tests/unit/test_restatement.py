"""Which experiments rest on an older version, and what the newer one does to their metrics."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from factorlab_assets import restatement
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.prices import Inputs
from factorlab_assets.settings import PROJECT_ROOT
from factorlab_assets.store import Store, Version
from factorlab_assets.strategy import Resolved, load_strategies, resolve
from factorlab_assets.universes import load_universes
from factorlab_tests.store_samples import bars, experiment, ingest

SHIPPED = PROJECT_ROOT / "data"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "factorlab.duckdb", lock_timeout_s=5)


@pytest.fixture(scope="module")
def strategies() -> list[Resolved]:
    good, _ = load_strategies(SHIPPED / "strategies", factors.complete)
    universes = load_universes(SHIPPED / "universes.yaml")
    return [resolve(good[name], universes, good) for name in ("low_vol", "trend_12m")]


def rest(store: Store, version: Version, *strategies: Resolved, code: str = "k") -> None:
    """A finished experiment of each strategy on the version."""
    begun = [
        dataclasses.replace(
            experiment(f"{said.name}-{code}", version.data_version_id),
            strategy=said.name,
            config=said.config_json,
            config_hash=said.config_hash,
            code_version=code,
        )
        for said in strategies
    ]
    store.begin_attempts(begun, code)
    store.end_attempts([(e.experiment_id, "done", "{}") for e in begun], code)


def test_restatement_is_told_from_the_new_month(store: Store, strategies: list[Resolved]) -> None:
    earlier, later = (ingest(store, bars("A", close=close)) for close in (10.0, 11.0))
    later = dataclasses.replace(later, month="2024-06")
    rest(store, earlier, *strategies)
    cagr = {
        (earlier.data_version_id, "2024-05"): 0.05,
        (later.data_version_id, "2024-05"): 0.07,
        (later.data_version_id, "2024-06"): 0.06,
    }

    def compute(inputs: Inputs, resolved: Resolved, month: str) -> Mapping[str, float]:
        return {"cagr": cagr[inputs.version.data_version_id, month]}

    found = restatement.effects(store, earlier, later, compute)
    assert [effect.strategy for effect in found] == ["low_vol", "trend_12m"]
    assert found[0].changes("cagr") == (0.02, -0.01)
    assert found[0].changes("sharpe") == (None, None)


def test_only_finished_experiments_on_that_version_rest_on_it_each_configuration_once(
    store: Store, strategies: list[Resolved]
) -> None:
    earlier, later = (ingest(store, bars("A", close=close)) for close in (10.0, 11.0))
    first, second = strategies
    rest(store, earlier, first, code="old")
    rest(store, earlier, first, code="new")
    rest(store, later, second)
    store.begin_attempts([experiment("unfinished", earlier.data_version_id)], "run")
    store.begin_attempts([experiment("k-1", earlier.data_version_id, sweep="grid")], "run")
    store.end_attempts([("k-1", "done", "{}")], "run")
    resting = restatement.resting_on(store, earlier.data_version_id)
    assert [row["experiment_id"] for row in resting] == ["low_vol-new"]
    assert restatement.rested_on(store) == {earlier.data_version_id: 1, later.data_version_id: 1}


def test_what_cannot_be_computed_says_why_and_stops_nothing(
    store: Store, strategies: list[Resolved]
) -> None:
    earlier = ingest(store, bars("A"))
    rest(store, earlier, *strategies)

    def compute(inputs: Inputs, resolved: Resolved, month: str) -> Mapping[str, float]:
        if resolved.name == "low_vol":
            raise FactorLabError("no prices at all")
        return {"cagr": 0.05}

    failed, good = restatement.effects(store, earlier, earlier, compute)
    assert (failed.failed, failed.changes("cagr")) == ("no prices at all.", (None, None))
    assert good.changes("cagr") == (0, 0)


def test_versions_the_wrong_way_round_are_refused(store: Store) -> None:
    version = ingest(store, bars("A"))
    later = dataclasses.replace(version, month="2024-06")
    with pytest.raises(FactorLabError, match="other way round"):
        restatement.effects(store, later, version)


def test_a_version_is_recomputed_as_if_it_ended_with_the_asked_month(
    store: Store, strategies: list[Resolved], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = dataclasses.replace(ingest(store, bars("A")), month="2024-06")
    asked = []

    def recompute(store: Store, cut: Inputs, resolved: Resolved) -> Mapping[str, pa.Table]:
        asked.append((cut.version.data_version_id, cut.version.month, cut.version.last_date))
        figures = dict.fromkeys(restatement.METRICS, 0.5)
        full = {"segment": "full", "price_basis": "close"} | figures
        texts = [("segment", pa.string()), ("price_basis", pa.string())]
        schema = pa.schema([*texts, *((name, pa.float64()) for name in figures)])
        rows = [{"segment": "in_sample"}, full]
        return {"metrics": pa.Table.from_pylist(rows, schema=schema)}

    monkeypatch.setattr(restatement.verify, "recompute", recompute)
    compute, inputs = restatement.recomputed(store), Inputs(version, None, PriceRules())
    assert compute(inputs, strategies[0], "2024-03")["cagr"] == 0.5
    compute(inputs, strategies[0], "2024-06")
    id_ = version.data_version_id
    assert asked == [
        (id_, "2024-03", dt.date(2024, 3, 28)),  # its last session, before Good Friday
        (id_, "2024-06", version.last_date),
    ]
