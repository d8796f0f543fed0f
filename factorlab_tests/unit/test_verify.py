"""Experiments recomputed: identical to the last bit, or what differs first, and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from factorlab_assets import explain, identity, sweep, sweep_run
from factorlab_assets import verify as verification
from factorlab_assets.core import factors, many, performance, research
from factorlab_assets.core.panel import Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.prices import Inputs
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved
from factorlab_assets.universes import NamedUniverse
from factorlab_assets.verify import verify
from factorlab_tests.kept_experiments import (
    behind_its_back,
    inputs_of,
    keep_cell,
    keep_combination,
    momentum,
)

CELL, COMBINATION, OLDER, REPLACED = "momentum", "sweep.top_k-1", "older", "replaced"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database of finished experiments, and their ids by name.

    One of them was a combination first and then a cell of its own, which now holds another.
    """
    store = Store(tmp_path_factory.mktemp("kept") / "x.duckdb")
    inputs = inputs_of(store)
    ids = {CELL: keep_cell(store, inputs, momentum())}
    ids[COMBINATION] = keep_combination(store, inputs, momentum(COMBINATION, top_k=1))
    ids[OLDER] = keep_cell(store, inputs, momentum(OLDER, benchmark="GONE"), code="older")
    keep_combination(store, inputs, momentum("sweep.top_k-1.lookback-5", top_k=1, lookback=5))
    ids[REPLACED] = keep_cell(store, inputs, momentum(REPLACED, top_k=1, lookback=5))
    keep_cell(store, inputs, momentum(REPLACED, top_k=1, lookback=4))
    return store.path, ids


@pytest.fixture
def ids(kept: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return kept[1]


@pytest.fixture
def store(kept: tuple[Path, dict[str, str]], tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copy(kept[0], tmp_path / "x.duckdb"), lock_timeout_s=5)


def told(store: Store, experiment_id: str) -> str:
    """What is found not to be the same; looking changes nothing."""
    before = store.experiments(), store.path.read_bytes()
    found = verify(store, experiment_id)
    assert not found.identical, found.told
    assert (store.experiments(), store.path.read_bytes()) == before
    return found.told


def batches_earn_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    right = many.evaluate

    def wrong(*said: Any) -> many.Batch:
        batch = right(*said)
        batch.net_return[0, -2:] += 0.25
        return batch

    monkeypatch.setattr(many, "evaluate", wrong)


def test_a_cell_and_a_combination_come_out_identical(store: Store, ids: dict[str, str]) -> None:
    every = "memberships, factor_signals, scores, weights, backtest_returns, daily_returns, metrics"
    for name, tables in ((CELL, every), (COMBINATION, "trial_returns")):
        found = verify(store, ids[name])
        assert found.identical, found.told
        assert found.told.startswith(f"identical: {ids[name]} (2024-05|{name}) on 2024-05-")
        assert found.told.endswith(f"by the same code, agrees to the last bit in {tables}")


@pytest.mark.slow
def test_every_combination_of_a_sweep_comes_out_identical_by_itself(store: Store) -> None:
    inputs = Inputs(store.versions()[0], None, PriceRules())
    named = {"three": NamedUniverse(tickers=dict.fromkeys("ABC", "Any"))}
    factor = {"name": "xsmom", "params": {"lookback": 3, "skip": 1}, "delay": 0}
    grid = {"portfolio.select.top_k": [1, 2, 9], "factors.xsmom.lookback": [3, 6, 60]}
    said = {"description": "-", "universe": "three", "factors": [factor]}
    said |= {"portfolio": {"min_names": 2}, "sweep": {"parameters": grid}}
    expansion = sweep.expand("grid", said, factors.complete, named, {})

    def market_for(resolved: Resolved) -> tuple[str, Panel]:
        return "close", verification._prepare(store, inputs, resolved, with_daily=False).market

    done = sweep_run.run_sweep(store, expansion, inputs, market_for, "run")
    ran = [name for name in done.experiment_ids if name not in done.failed]
    assert len(ran) >= 4
    for name in ran:
        found = verify(store, done.experiment_ids[name])
        assert found.identical, found.told
        assert "to the last bit in trial_returns" in found.told


def test_a_defect_is_said_with_the_first_row(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ids[CELL]
    right = research.combine
    monkeypatch.setattr(research, "combine", lambda *said: right(*said) * 1.5)
    said = told(store, id_)
    assert "table scores; " + explain.DEFECT in said
    assert "first at date 2023-01-31, ticker A: score: " in said


def test_a_combination_that_differs_shows_its_first_return(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ids[COMBINATION]
    batches_earn_more_at_the_end(monkeypatch)
    said = told(store, id_)
    assert f"table trial_returns; {explain.DEFECT}; first at date 2024-04-30: net_return: " in said


def test_other_code_that_says_the_same_is_named(store: Store, ids: dict[str, str]) -> None:
    id_ = ids[OLDER]
    found = verify(store, id_)
    assert found.identical
    assert f"recomputed by other code ({identity.code_version()})" in found.told


@pytest.mark.parametrize(
    ("here", "why"),
    [("unknown", "recorded at commit unknown"), ("abc", "recorded at commit unknown, now abc")],
)
def test_code_explains_what_it_changed(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, here: str, why: str
) -> None:
    id_ = ids[OLDER]
    monkeypatch.setattr(performance, "MONTHS", 11)
    monkeypatch.setattr(identity, "git_commit", lambda: here)
    said = told(store, id_)
    assert f"table metrics; code: from older to {identity.code_version()} ({why}" in said
    assert explain.DEFECT not in said
    assert "first at segment full: cagr: " in said


def test_the_same_commit_leaves_the_libraries(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ids[OLDER]
    behind_its_back(store, "UPDATE experiments SET git_commit = 'abc'")
    monkeypatch.setattr(performance, "MONTHS", 11)
    monkeypatch.setattr(identity, "git_commit", lambda: "abc")
    assert "the commit is the same, abc: a numerical library has another version" in told(
        store, id_
    )


def test_data_explains_what_it_changed(store: Store, ids: dict[str, str]) -> None:
    id_ = ids[CELL]
    (version,) = (each.data_version_id for each in store.versions())
    behind_its_back(
        store,
        "UPDATE raw_prices SET close = close * 1.001, high = high * 1.001 WHERE ticker = 'B'"
        " AND date = '2023-06-30'",
    )
    said = told(store, id_)
    assert f"data: the stored rows of the version {version} (prices, distributions or" in said
    assert "table factor_signals; " in said
    assert "first at date 2023-07-31, ticker B, factor xsmom: raw: " in said
    assert "code:" not in said
    assert "configuration:" not in said


def test_data_that_is_gone_is_told(store: Store, ids: dict[str, str]) -> None:
    id_ = ids[CELL]
    (version,) = (each.data_version_id for each in store.versions())
    behind_its_back(store, "DELETE FROM partitions WHERE table_name = 'raw_prices'")
    said = told(store, id_)
    assert said.startswith(f"not to be recomputed: {id_}")
    assert f"data: the version {version} is no longer stored" in said


def test_a_configuration_that_was_edited_is_told(store: Store, ids: dict[str, str]) -> None:
    id_ = ids[CELL]
    behind_its_back(
        store, "UPDATE experiments SET config = replace(config, '\"tc_bps\":', '\"tc_bps\":9')"
    )
    said = told(store, id_)
    assert "table backtest_returns; configuration: what is recorded no longer hashes to" in said
    assert "data:" not in said


def test_a_configuration_that_is_read_otherwise_today_is_told(
    store: Store, ids: dict[str, str]
) -> None:
    id_ = ids[CELL]
    row = store.experiments(id_).to_pylist()[-1] | {"config": '{"tickers":["A","B"]}'}
    (hashed, said) = explain.causes(store, row)
    assert hashed.startswith("configuration: what is recorded no longer hashes to")
    assert said.startswith(
        'configuration: today\'s models read it otherwise (benchmark: nothing → "SPY"'
    )


@pytest.mark.slow
def test_rows_of_a_cell_that_was_computed_anew_are_those_that_the_ledger_kept(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ids[REPLACED]
    assert verify(store, first).identical
    right = research.combine
    monkeypatch.setattr(research, "combine", lambda *said: right(*said) * 1.5)
    assert told(store, first).endswith("but what it earned is the same")
    batches_earn_more_at_the_end(monkeypatch)  # as a batch they were kept
    assert "; in what it earned, first at date 2024-04-30: net_return: " in told(store, first)
    behind_its_back(store, "DELETE FROM trial_returns")
    assert told(store, first).endswith("the cell has been computed anew since")


def test_what_never_finished_cannot_be_verified(store: Store, ids: dict[str, str]) -> None:
    id_ = ids[CELL]
    behind_its_back(store, "DELETE FROM experiments WHERE status = 'done'")
    with pytest.raises(FactorLabError, match=r"no finished experiment.*attempts: started"):
        verify(store, id_)
    with pytest.raises(FactorLabError, match=r"no finished experiment.*attempts: none"):
        verify(store, "nothing")
