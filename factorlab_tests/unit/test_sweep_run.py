"""A sweep is recorded whole, reused as it is, and goes on where it was killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import sweep, sweep_run
from factorlab_assets.core import factors, many, many_books, performance, research
from factorlab_assets.core.holding import cash_returns
from factorlab_assets.core.panel import Panel
from factorlab_assets.errors import FactorLabError, StoreBusyError
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.prices import Inputs
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved
from factorlab_assets.universes import NamedUniverse
from factorlab_tests import store_samples
from factorlab_tests.conftest import PROJECT_ROOT
from factorlab_tests.small_panels import NAN, panel_of

TICKERS = tuple(f"T{i}" for i in range(6))
UNIVERSES = {"six": NamedUniverse(tickers=dict.fromkeys(TICKERS, "Any"))}
GRID: dict[str, Any] = {
    "portfolio.select.top_k": [1, 2, 3],
    "factors.xsmom.lookback": [3, 6, 12],
    "portfolio.weighting": ["equal", "signal"],
}


def market() -> Panel:
    """Ten years of random walks, one of them listed late, and a benchmark with a gap."""
    rng = np.random.default_rng(5)
    price = 50.0 * np.exp(np.cumsum(0.05 * rng.standard_normal((120, 7)), axis=0))
    price[:20, 2] = NAN
    price[50, 6] = NAN
    return panel_of({name: price[:, i] for i, name in enumerate((*TICKERS, "SPY"))})


MARKET = market()


def expanded(grid: dict[str, Any] = GRID, **said: Any) -> sweep.Expansion:
    plain = {
        "description": "-",
        "universe": "six",
        "factors": [{"name": "xsmom", "params": {"lookback": 12, "skip": 1}}],
        "portfolio": {"select": {"top_k": 2}},
        "cash": {"yield_ann": 0.02},
    }
    whole = plain | said | {"sweep": {"parameters": grid}}
    return sweep.expand("mom", whole, factors.complete, UNIVERSES, {})


def a_store(folder: Path) -> tuple[Store, Inputs]:
    store = Store(folder / "lab.duckdb")
    version = store_samples.ingest(store, store_samples.bars("A"))
    return store, Inputs(version, None, PriceRules())


def on(panel: Panel = MARKET) -> sweep_run.MarketFor:
    return lambda _: ("close", panel)


def run(store: Store, inputs: Inputs, found: sweep.Expansion, run_id: str = "run", **said: Any):
    return sweep_run.run_sweep(store, found, inputs, said.pop("market_for", on()), run_id, **said)


def ledger(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.experiments().to_pylist()
    return rows


class TestRecorded:
    def test_every_combination_has_its_rows(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded()
        told: list[tuple[int, int]] = []
        done = run(store, inputs, found, progress=lambda *said: told.append(said))
        assert (done.n_computed, done.n_reused, done.failed) == (18, 0, {})
        assert told == [(0, 18), (18, 18)]
        rows = ledger(store)
        assert [row["status"] for row in rows] == ["started"] * 18 + ["done"] * 18
        assert {row["sweep"] for row in rows} == {"mom"}
        assert {row["strategy"] for row in rows} == {each.name for each in found.combinations}
        ids = list(done.experiment_ids.values())
        returns = store.trial_returns(ids)
        hashes = store.returns_hashes(returns)
        for row in rows[18:]:
            assert json.loads(row["detail"]) == {"trial_returns": hashes[row["experiment_id"]]}

    def test_the_returns_are_what_each_earns_by_itself(self, tmp_path):
        store, inputs = a_store(tmp_path)
        parameters = {
            "portfolio.select.top_k": [2],
            "benchmark": ["SPY", "equal_weight"],
            "portfolio.weighting": ["equal", "inverse_volatility"],
            "cash.yield_ann": [0.0, 0.03],
        }
        found = expanded(parameters)
        done = run(store, inputs, found)
        for each in found.combinations:
            expected = research.run(each.resolved, MARKET).backtest
            stored = store.trial_returns([done.experiment_ids[each.name]])
            assert stored["date"].to_pylist() == expected.dates.tolist()
            for name in ("gross_return", "cost", "net_return", "turnover", "rf"):
                assert stored[name].to_numpy() == pytest.approx(getattr(expected, name), abs=1e-12)
            said = np.array(stored["benchmark_return"].to_pylist(), dtype=float)
            assert said == pytest.approx(expected.benchmark_return, abs=1e-15, nan_ok=True)
            assert np.isnan(said).any() == (each.parameters["benchmark"] == "SPY")

    def test_a_month_without_a_cash_bar_is_not_missing(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"portfolio.select.top_k": [2]}, cash={"ticker": "SPY"})
        done = run(store, inputs, found)
        stored = store.trial_returns(done.experiment_ids.values())
        cash = cash_returns(found.combinations[0].resolved.strategy.cash, MARKET)
        assert stored["rf"].to_pylist() == cash[-stored.num_rows :].tolist()
        assert 0.0 in stored["rf"].to_pylist()

    def test_strategies_of_another_panel_are_computed_on_it(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"schedule.days_before_month_end": [0, 5]})
        other = panel_of({name: MARKET.price[:, i] ** 0.5 for i, name in enumerate(MARKET.tickers)})

        def market_for(resolved: Resolved) -> tuple[int, Panel]:
            days = resolved.strategy.schedule.days_before_month_end
            return days, other if days else MARKET

        done = run(store, inputs, found, market_for=market_for)
        for each, panel in zip(found.combinations, (MARKET, other), strict=True):
            stored = store.trial_returns([done.experiment_ids[each.name]])["net_return"]
            expected = research.run(each.resolved, panel).backtest.net_return
            assert stored.to_numpy() == pytest.approx(expected, abs=1e-12)


class TestReused:
    def test_a_second_run_computes_and_writes_nothing(self, tmp_path, monkeypatch):
        store, inputs = a_store(tmp_path)
        found = expanded({"factors.xsmom.lookback": [3, 6, 119]} | {"universe": ["six"]})
        first = run(store, inputs, found)
        before = ledger(store), store.path.read_bytes()
        monkeypatch.setattr(many, "evaluate", None)
        second = run(store, inputs, found, "another")
        assert (second.n_computed, second.n_reused) == (0, 3)
        assert second.experiment_ids == first.experiment_ids
        assert second.failed == first.failed
        assert (ledger(store), store.path.read_bytes()) == before

    def test_a_larger_sweep_computes_what_is_new(self, tmp_path):
        store, inputs = a_store(tmp_path)
        run(store, inputs, expanded({"portfolio.select.top_k": [1, 2]}))
        done = run(store, inputs, expanded({"portfolio.select.top_k": [1, 2, 3]}), "another")
        assert (done.n_computed, done.n_reused) == (1, 2)
        assert len(ledger(store)) == 6

    def test_a_sweep_over_k_does_not_recompute_signals(self, tmp_path, monkeypatch):
        store, inputs = a_store(tmp_path)
        made: list[Any] = []
        compute = many_books.compute_signals

        def counted(resolved: Resolved, *rest: Any) -> Any:
            made.append(resolved.strategy.factors[0].params["lookback"])
            return compute(resolved, *rest)

        monkeypatch.setattr(many_books, "compute_signals", counted)
        monkeypatch.setattr(sweep_run, "CHUNK", 6)
        run(store, inputs, expanded())
        assert sorted(made) == [3, 6, 12]

    def test_chunks_change_no_bit(self, tmp_path, monkeypatch):
        found = expanded()
        stored = []
        for i, size in enumerate((200, 7)):
            (tmp_path / str(i)).mkdir()
            monkeypatch.setattr(sweep_run, "CHUNK", size)
            store, inputs = a_store(tmp_path / str(i))
            stored.append(store.trial_returns(run(store, inputs, found).experiment_ids.values()))
        assert stored[0].num_rows > 18 * 90
        assert stored[0] == stored[1]


class TestFailed:
    def test_it_has_its_reason_and_the_others_go_on(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"factors.xsmom.lookback": [6, 119], "portfolio.select.top_k": [1, 2]})
        done = run(store, inputs, found)
        assert list(done.failed) == ["mom.lookback-119.top_k-1", "mom.lookback-119.top_k-2"]
        assert "no month to earn a return in" in done.failed["mom.lookback-119.top_k-1"]
        ended = {row["strategy"]: row for row in ledger(store) if row["status"] != "started"}
        assert [row["status"] for row in ended.values()].count("done") == 2
        assert (
            ended["mom.lookback-119.top_k-2"]["detail"] == (done.failed["mom.lookback-119.top_k-2"])
        )

    def test_every_kind_of_error_is_its_own(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded(
            {
                "cash.ticker": [None, "NONE"],
                "portfolio.weighting": ["equal", "inverse_volatility"],
                "universe.min_dollar_volume": [None, 1e6],
            },
            cash={},
            portfolio={"select": {"top_k": 2}, "risk": {"returns": "daily"}},
        )
        done = run(store, inputs, found)
        names = [each.name for each in found.combinations]
        assert len(names) == 8
        assert list(done.experiment_ids) == names
        assert set(done.failed) == set(names[1:])
        assert "a risk model on daily returns needs daily bars" in done.failed[names[2]]
        assert "dollar" in done.failed[names[1]]
        assert all("NONE" in done.failed[name] for name in names[4:])

    def test_one_that_has_no_panel(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"price": ["close", "total_return"]})

        def market_for(resolved: Resolved) -> tuple[str, Panel]:
            if resolved.strategy.price == "total_return":
                raise FactorLabError("no total returns")
            return "close", MARKET

        done = run(store, inputs, found, market_for=market_for)
        assert done.failed == {"mom.price-total_return": "cannot be computed: no total returns."}

    def test_a_busy_store_is_no_fault_of_a_combination(self, tmp_path):
        store, inputs = a_store(tmp_path)

        def busy(_: Resolved) -> tuple[str, Panel]:
            raise StoreBusyError("busy")

        with pytest.raises(StoreBusyError):
            run(store, inputs, expanded(), market_for=busy)
        assert {row["status"] for row in ledger(store)} == {"started"}
        assert run(store, inputs, expanded()).n_computed == 18  # the same run goes on

    def test_a_failed_cell_does_not_keep_it_from_being_computed(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"portfolio.select.top_k": [2]})
        (each,) = found.combinations
        row = inputs.experiment(each.name, each.resolved)
        store.begin_attempts([row], "cell")
        store.end_attempts([(row.experiment_id, "failed", "weights: out of memory")], "cell")
        assert run(store, inputs, found).failed == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from factorlab_assets import sweep_run
from factorlab_tests.unit import test_sweep_run as t

sweep_run.CHUNK = 4
store, inputs = t.a_store(Path(sys.argv[1]))
asked = []

def market_for(resolved):
    asked.append(resolved)
    if len(asked) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return "close", t.MARKET

sweep_run.run_sweep(store, t.expanded(), inputs, market_for, "killed")
"""


def test_killed_mid_way_the_next_run_computes_what_is_missing(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=PROJECT_ROOT, check=False, timeout=60
    )
    assert child.returncode == -9
    store, inputs = a_store(tmp_path)
    assert [row["status"] for row in ledger(store)] == ["started"] * 4 + ["done"] * 4 + [
        "started"
    ] * 4
    done = run(store, inputs, expanded())
    assert (done.n_computed, done.n_reused, done.failed) == (14, 4, {})
    rows = ledger(store)
    dead = [row for row in rows if row["status"] == "failed"]
    assert len(dead) == 4
    assert all(row["detail"].startswith("never ended") for row in dead)
    assert [row["status"] for row in rows].count("done") == 18
    (tmp_path / "fresh").mkdir()
    fresh, inputs = a_store(tmp_path / "fresh")
    ids = run(fresh, inputs, expanded()).experiment_ids.values()
    assert store.trial_returns(ids) == fresh.trial_returns(ids)


class TestRows:
    def test_the_figures_are_those_of_the_metrics_table(self, tmp_path):
        store, inputs = a_store(tmp_path)
        found = expanded({"factors.xsmom.lookback": [6, 12, 119], "benchmark": ["SPY", "T0"]})
        done = run(store, inputs, found)
        rows = sweep_run.sweep_rows(store, found, done)
        assert rows["combination"] == [each.name for each in found.combinations]
        assert rows["status"] == ["done"] * 4 + ["failed"] * 2
        assert rows["note"][5] == done.failed["mom.lookback-119.benchmark-t0"]
        assert json.loads(rows["parameters"][1]) == found.combinations[1].parameters
        for i, each in enumerate(found.combinations[:4]):
            back = research.run(each.resolved, MARKET).backtest
            expected = performance.metrics(
                back.net_return, back.rf, back.benchmark_return, back.turnover, back.cost
            )
            assert rows["n_months"][i] == len(back.dates)
            for name in ("cagr", "volatility_ann", "sharpe", "max_drawdown", "turnover_ann"):
                assert rows[name][i] == pytest.approx(expected[name], rel=1e-9, abs=1e-12)
            for name in ("cost_drag_ann", "excess_ann", "information_ratio"):
                assert rows[name][i] == pytest.approx(expected[name], rel=1e-9, abs=1e-12)
        assert np.isnan(rows["sharpe"][4:]).all()
        assert rows["n_months"][4:].tolist() == [0, 0]

    def test_a_thousand_take_less_than_half_a_second(self):
        rng = np.random.default_rng(0)
        given = rng.normal(0.0, 0.05, (5, 1000, 240))
        start = time.perf_counter()
        sweep_run.metrics_of_many(*given)
        assert time.perf_counter() - start < 0.5


def rows_of(*said: tuple[str, str, float]) -> pa.Table:
    """Rows of `trial_returns`: experiment, date, net return; the rest follows from that."""
    ids, dates, net = zip(*said, strict=True) if said else ((), (), ())
    figures = {"net_return": net, "rf": [x / 10 for x in net], "turnover": [x * 2 for x in net]}
    figures |= {"cost": [x / 100 for x in net], "benchmark_return": [None] * len(net)}
    columns = {name: pa.array(values, pa.float64()) for name, values in figures.items()}
    days = pa.array(np.array(dates, dtype="datetime64[D]"))
    return pa.table({"experiment_id": pa.array(ids, pa.string()), "date": days} | columns)


class TestSideBySide:
    def dates(self, found: sweep_run.Series) -> list[str]:
        said: list[str] = found.dates.astype(str).tolist()
        return said

    def test_each_in_its_row_in_the_order_asked_for(self):
        table = rows_of(
            ("b", "2024-02-29", 0.2), ("a", "2024-01-31", 0.1), ("b", "2024-04-30", 0.4)
        )
        found = sweep_run.side_by_side(table, ["b", "none", "a"])
        assert self.dates(found) == ["2024-01-31", "2024-02-29", "2024-04-30"]
        expected = [[NAN, 0.2, 0.4], [NAN, NAN, NAN], [0.1, NAN, NAN]]
        assert found.net_return == pytest.approx(np.array(expected), abs=0.0, nan_ok=True)
        for name, times in (("rf", 0.1), ("turnover", 2.0), ("cost", 0.01)):
            scaled = times * np.array(expected)
            assert getattr(found, name) == pytest.approx(scaled, abs=1e-15, nan_ok=True)
        assert np.isnan(found.benchmark_return).all()

    def test_days_before_the_month_end_stand_in_the_same_month(self):
        """Dated by the month's latest, whichever experiment comes first."""
        table = rows_of(
            ("early", "2024-01-24", 0.1),
            ("early", "2024-02-22", 0.2),
            ("end", "2024-02-29", 0.3),
            ("end", "2024-03-28", 0.4),
        )
        for order in (["early", "end"], ["end", "early"]):
            found = sweep_run.side_by_side(table, order)
            assert self.dates(found) == ["2024-01-24", "2024-02-29", "2024-03-28"]
            net = dict(zip(order, found.net_return, strict=True))
            assert net["early"] == pytest.approx([0.1, 0.2, NAN], nan_ok=True)
            assert net["end"] == pytest.approx([NAN, 0.3, 0.4], nan_ok=True)

    def test_months_before_1970(self):
        table = rows_of(("a", "1962-01-31", 0.1), ("a", "1969-12-31", 0.2), ("b", "1962-01-26", 1))
        found = sweep_run.side_by_side(table, ["a", "b"])
        assert self.dates(found) == ["1962-01-31", "1969-12-31"]

    def test_without_rows_there_are_no_months(self):
        found = sweep_run.side_by_side(rows_of(), ["a", "b"])
        assert (len(found.dates), found.net_return.shape) == (0, (2, 0))
