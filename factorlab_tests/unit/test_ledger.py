"""Which experiment is meant, and what counts as a try: on a real store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factorlab_assets import identity, ledger, schemas
from factorlab_assets.core import factors
from factorlab_assets.core.tables import records_table
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.trials import Trials, universe_of
from factorlab_assets.store import Experiment, Store
from factorlab_assets.strategy import Resolved, from_mapping
from factorlab_tests import store_samples
from factorlab_tests.small_panels import resolved_of

OLD = "an older code"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "lab.duckdb", lock_timeout_s=0.5)


def record(
    store: Store, *said: Experiment, status: str = "done", run: str = "run", net: float = 0.01
) -> None:
    """Rows as a run writes them, up to the `status`."""
    ids = [each.experiment_id for each in said]
    if status == "queued":
        store.queue_attempts(said)
        return
    store.begin_attempts(said, run)
    if status != "started":
        returns = store_samples.returns(*ids, net=net) if status == "done" else None
        store.end_attempts([(id_, status, "{}") for id_ in ids], run, returns)


def named(id_: str, strategy: str, month: str = "2024-05", **said: Any) -> Experiment:
    made = store_samples.experiment(id_, strategy=strategy, **said)
    return Experiment(**(vars(made) | {"month": month}))


class TestFind:
    def test_a_name_is_the_latest_finished_of_that_name(self, store):
        record(store, named("a" * 16, "trend"), named("b" * 16, "other"), run="1")
        record(store, named("c" * 16, "trend"), run="2")
        record(store, named("d" * 16, "trend"), run="3", status="failed")
        record(store, named("e" * 16, "trend"), run="4", status="started")
        record(store, named("f" * 16, "trend"), status="queued")
        found = ledger.find(store, "trend")
        assert found == {
            "seq": 6,
            "experiment_id": "c" * 16,
            "month": "2024-05",
            "strategy": "trend",
            "sweep": "",
            "status": "done",
        }
        record(store, named("a" * 16, "trend"), run="5")  # computed once more
        assert ledger.find(store, "trend")["experiment_id"] == "a" * 16

    def test_a_month_is_of_the_name(self, store):
        record(store, named("a" * 16, "trend", "2024-04"), run="1")
        record(store, named("b" * 16, "trend", "2024-05"), run="2")
        assert ledger.find(store, "trend")["experiment_id"] == "b" * 16
        assert ledger.find(store, "trend", "2024-04")["experiment_id"] == "a" * 16
        with pytest.raises(FactorLabError, match="Got: trend in 2024-06"):
            ledger.find(store, "trend", "2024-06")
        # An id says its month itself.
        assert ledger.find(store, "b" * 16, "2024-04")["month"] == "2024-05"

    def test_a_combination_has_a_name_of_its_own(self, store):
        record(store, named("a" * 16, "grid.k-1", sweep="grid"))
        assert ledger.find(store, "grid.k-1")["sweep"] == "grid"
        with pytest.raises(FactorLabError, match=r"no finished experiment.*Got: grid"):
            ledger.find(store, "grid")

    def test_a_combination_that_was_tried_before_by_another_name(self, store):
        """The ledger has it by the first name alone, the sweep's rows by its own."""
        record(store, named("a" * 16, "grid"), run="1")
        record(store, named("b" * 16, "grid.k-2", sweep="grid"), run="2")
        names = {"grid.k-1": "a" * 16, "grid.k-2": "b" * 16, "grid.k-3": "c" * 16}
        rows = [
            {"strategy": "grid", "combination": name, "experiment_id": id_, "parameters": "{}"}
            | {"status": "done", "note": "", "n_months": 2}
            for name, id_ in names.items()
        ]
        table = records_table(schemas.SWEEP_METRICS, rows)
        table = table.append_column("month", [["2024-05"] * 3])
        store.write_partitions(schemas.SWEEP_METRICS, table, {"2024-05|grid": "one"})
        found = ledger.find(store, "grid.k-1", "2024-05")
        assert (found["experiment_id"], found["strategy"]) == ("a" * 16, "grid")
        assert ledger.find(store, "grid.k-2")["experiment_id"] == "b" * 16
        with pytest.raises(FactorLabError, match=r"Got: grid\.k-1 in 2024-04"):
            ledger.find(store, "grid.k-1", "2024-04")
        for unknown in ("grid.k-3", "grid.k-4"):  # not finished, and none
            with pytest.raises(FactorLabError, match="no finished experiment"):
                ledger.find(store, unknown)

    def test_the_beginning_of_an_id(self, store):
        record(store, named("abcdef0123456789", "one"), run="1")
        record(store, named("abcdef9876543210", "two"), run="2")
        record(store, named("abcdef0123456789", "renamed"), run="3")
        for said in ("abcdef0123456789", "abcdef0"):
            found = ledger.find(store, said)
            assert (found["experiment_id"], found["strategy"]) == ("abcdef0123456789", "renamed")
        both = "abcdef0123456789, abcdef9876543210"
        with pytest.raises(FactorLabError, match=f"several.*Got: abcdef. Expected: {both}"):
            ledger.find(store, "abcdef")
        with pytest.raises(FactorLabError, match="no finished experiment"):
            ledger.find(store, "abcde")  # too short to mean anything
        with pytest.raises(FactorLabError, match="no finished experiment"):
            ledger.find(store, "bcdef0")  # not its beginning

    def test_a_name_comes_before_an_id(self, store):
        record(store, named("abcdef0123456789", "one"), run="1")
        record(store, named("1" * 16, "abcdef"), run="2")
        assert ledger.find(store, "abcdef")["experiment_id"] == "1" * 16

    @pytest.mark.parametrize("status", ["queued", "started", "failed"])
    def test_what_is_not_finished_is_not_found(self, store, status):
        record(store, named("abcdef0123456789", "one"), status=status)
        for said in ("one", "abcdef0123456789"):
            with pytest.raises(FactorLabError, match="no finished experiment of that name or id"):
                ledger.find(store, said)

    def test_an_empty_ledger(self, store):
        with pytest.raises(FactorLabError, match=r"Where: .*lab\.duckdb.*factorlab run --month"):
            ledger.find(store, "trend")


class TestSeries:
    def test_its_rows_under_the_name_asked_for(self, store):
        record(store, named("a" * 16, "one"), run="1")
        record(store, named("b" * 16, "two"), run="2", net=0.5)
        found = ledger.series(store, "b" * 16, "said")
        assert found.name == "said"
        assert found.net_return.tolist() == [0.5, 0.5]
        assert found.dates.astype(str).tolist() == ["2024-04-30", "2024-05-31"]
        assert ledger.returns(store, "a" * 16)["net_return"].to_pylist() == [0.01, 0.01]

    def test_without_rows_it_says_so(self, store):
        record(store, named("a" * 16, "one"), status="failed")
        with pytest.raises(FactorLabError, match=r"no returns.*trial_returns.*Got: aaaa"):
            ledger.series(store, "a" * 16, "one")


PLAIN: dict[str, Any] = {
    "description": "-",
    "universe": ["SPY", "TLT"],
    "factors": [{"name": "xsmom", "params": {"lookback": 6}}],
    "portfolio": {"select": {"top_k": 1}},
}


def resolved(**said: Any) -> Resolved:
    return resolved_of(from_mapping("mom", PLAIN | said, "test", factors.complete), ["SPY", "TLT"])


def hashed(config: str) -> str:
    return hashlib.sha256(config.encode()).hexdigest()[:16]


def tried(
    id_: str,
    name: str = "mom",
    *,
    sweep: str = "",
    code: str | None = None,
    edit: Callable[[dict[str, Any]], Any] = lambda _: None,
    **said: Any,
) -> Experiment:
    """The ledger's row of a strategy by some code whose models wrote an `edit`ed configuration."""
    config = json.loads(resolved(**said).config_json)
    edit(config)
    written = json.dumps(config, sort_keys=True, separators=(",", ":"))
    made = store_samples.experiment(
        id_, strategy=name, sweep=sweep, config=written, config_hash=hashed(written)
    )
    return Experiment(**(vars(made) | {"code_version": code or identity.code_version()}))


def hashes(found: Trials) -> dict[str, str]:
    return {trial.experiment_id: trial.config_hash for trial in found}


LACKING: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a part": lambda said: said.pop("cash"),
    "a key": lambda said: said["portfolio"].pop("min_names"),
    "a key of a part of a part": lambda said: said["portfolio"]["select"].pop("only_positive"),
    "a parameter of a factor": lambda said: said["factors"][0]["params"].pop("skip"),
    "a key of a factor": lambda said: said["factors"][0].pop("transforms"),
    "a factor's delay": lambda said: said["factors"][0].pop("delay"),
    "the universe's filters": lambda said: said.pop("universe"),
}


class TestTrials:
    @pytest.mark.parametrize("edit", LACKING.values(), ids=LACKING)
    def test_what_only_gained_a_default_is_the_same_trial(self, store, edit):
        record(store, tried("old", code=OLD, edit=edit), run="1")
        record(store, tried("new"), run="2")
        found = ledger.trials(store, {})
        assert tried("old", edit=edit).config_hash != resolved().config_hash
        assert hashes(found) == {"old": resolved().config_hash, "new": resolved().config_hash}
        assert {trial.universe for trial in found} == {universe_of(resolved().config)}

    def test_a_gained_filter_setting_leaves_the_universe_what_it_is(self, store):
        universe = {"of": ["SPY", "TLT"], "min_dollar_volume": 1e6}

        def edit(said: dict[str, Any]) -> None:
            del said["universe"]["liquidity_months"]

        record(store, tried("old", code=OLD, edit=edit, universe=universe), run="1")
        record(store, tried("new", universe=universe), run="2")
        old, new = ledger.trials(store, {})
        assert (old.config_hash, old.universe) == (new.config_hash, new.universe)
        assert '"liquidity_months":3' in new.universe

    def test_what_says_something_else_is_another(self, store):
        def edit(said: dict[str, Any]) -> None:
            said["portfolio"]["select"]["top_k"] = 2
            del said["cash"]

        record(store, tried("old", code=OLD, edit=edit), tried("new"))
        other = resolved(portfolio={"select": {"top_k": 2}}).config_hash
        assert hashes(ledger.trials(store, {})) == {
            "old": other,
            "new": resolved().config_hash,
        }

    @pytest.mark.parametrize(
        "edit",
        [
            lambda said: said.update(gone="a field that no model has"),
            lambda said: said["factors"][0].update(name="dropped_factor"),
            lambda said: said["factors"][0]["params"].update(lookback=-1),
            lambda said: said["costs"].update(tc_bps="dear"),
        ],
        ids=["a field", "a factor", "a parameter", "a value"],
    )
    def test_what_todays_models_refuse_counts_as_itself(self, store, edit):
        record(store, tried("old", code=OLD, edit=edit), tried("new"))
        found = ledger.trials(store, {})
        assert hashes(found) == {
            "old": tried("old", edit=edit).config_hash,
            "new": resolved().config_hash,
        }
        assert len(set(hashes(found).values())) == 2
        assert {trial.universe for trial in found} == {universe_of(resolved().config)}

    def test_a_benchmark_that_is_a_strategy_gains_its_defaults_too(self, store):
        def edit(said: dict[str, Any]) -> None:
            del said["factors"][0]["params"]["skip"]
            del said["benchmark_config"]["factors"][0]["params"]["skip"]

        whole = resolved(benchmark="strategy:other")
        whole = whole.model_copy(update={"benchmark": resolved(benchmark="SPY")})
        config = json.loads(whole.config_json)
        edit(config)
        read = Resolved.from_config("mom", config, factors.complete)
        assert read.config_hash == whole.config_hash
        assert Resolved.from_config("mom", config).config_hash != whole.config_hash

    def test_statuses(self, store):
        """Queued and started ones are no tries yet; done once is done, whatever came after."""
        for i, status in enumerate(("done", "failed", "started", "queued")):
            record(
                store,
                tried(status, portfolio={"select": {"top_k": i + 1}}),
                status=status,
                run=status,
            )
        record(store, tried("done"), status="failed", run="again")
        found = ledger.trials(store, {})
        assert {trial.experiment_id: trial.status for trial in found} == {
            "failed": "failed",
            "done": "done",
        }
        assert np.isfinite(found.net).all(axis=1).tolist() == [False, True]

    def test_a_cell_and_a_combination_of_one_configuration_are_one_trial(self, store):
        record(store, tried("cell"), run="1")
        other = {"portfolio": {"select": {"top_k": 2}}}
        record(
            store,
            tried("combination", "mom.top_k-1", sweep="mom"),
            tried("another", "mom.top_k-2", sweep="mom", **other),
            run="2",
        )
        found = ledger.trials(store, {"mom": 40, "mom.top_k-1": 7})
        said = {trial.experiment_id: trial for trial in found}
        assert said["cell"].config_hash == said["combination"].config_hash
        assert len(set(hashes(found).values())) == 2
        assert [trial.file for trial in found] == ["mom"] * 3
        assert [trial.prior for trial in found] == [40] * 3

    def test_one_experiment_under_two_names_is_named_as_it_was_last(self, store):
        record(store, tried("same"), run="1")
        record(store, tried("same", "mom.top_k-1", sweep="mom"), run="2")
        (trial,) = ledger.trials(store, {})
        assert (trial.name, trial.sweep) == ("mom.top_k-1", "mom")

    def test_the_last_recorded_speaks_for_a_configuration(self, store):
        """Of what ran twice the returns are those of the later one; the other has none."""
        record(store, tried("zz-old", code=OLD), run="1", net=0.5)
        record(store, tried("new"), run="2", net=0.02)
        record(store, tried("failed"), run="3", status="failed")
        found = ledger.trials(store, {})
        assert found.dates.astype(str).tolist() == ["2024-04-30", "2024-05-31"]
        net = dict(zip([t.experiment_id for t in found], found.net.tolist(), strict=True))
        assert net["new"] == [0.02, 0.02]
        assert np.isnan([net["zz-old"], net["failed"]]).all()
        assert [trial.recorded for trial in found] == [2, 4, 6]

    def test_an_older_month_that_is_computed_later_takes_no_months_away(self, store):
        """Each month's data are an experiment of their own; the latest month has the most."""
        late, early = tried("late"), tried("early")
        early = Experiment(**(vars(early) | {"month": "2024-04"}))
        record(store, late, run="1", net=0.02)
        record(store, early, run="2", net=0.5)
        found = ledger.trials(store, {})
        net = dict(zip([t.experiment_id for t in found], found.net.tolist(), strict=True))
        assert net["late"] == [0.02, 0.02]
        assert np.isnan(net["early"]).all()

    def test_tries_elsewhere_are_of_the_file(self, store):
        record(store, tried("a", "one"), tried("b", "two"))
        assert [trial.prior for trial in ledger.trials(store, {"two": 3, "gone": 9})] == [0, 3]

    def test_an_empty_ledger_has_none(self, store):
        found = ledger.trials(store, {})
        assert (len(found), found.net.shape) == (0, (0, 0))
