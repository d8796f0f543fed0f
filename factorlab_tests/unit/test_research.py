"""The path from a panel to results: its steps, its benchmarks, and that tables change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core import combine, factors, research, signals, tables
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.research import Signals
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import NAN, daily_market, panel_of, resolved_of, strategy_of

TICKERS = ("EEM", "GLD", "IEF", "QQQ", "SPY", "TLT", "VNQ")
MARKET, DAYS = daily_market(60, TICKERS, seed=11)
NORMAL = [{"kind": "winsorize"}, {"kind": "zscore"}]


def factor(name: str, delay: int = 0, **said: Any) -> dict[str, Any]:
    short = {"trend": 6, "xsmom": 6, "low_vol": 6, "ma_trend": 6}
    params = factors.check(name, {"lookback": short[name]})
    return {"name": name, "delay": delay, "params": params} | said


CASES: dict[str, dict[str, Any]] = {
    "equal_weight_all": {"universe": "all", "benchmark": "60/40"},
    "sixty_forty": {
        "portfolio": {"weighting": "fixed", "fixed_weights": {"SPY": 0.6, "IEF": 0.4}},
        "benchmark": "equal_weight",
    },
    "trend": {
        "factors": [factor("trend", 1, transforms=NORMAL)],
        "portfolio": {"select": {"only_positive": "trend"}, "max_weight": 0.2},
        "cash": {"yield_ann": 0.03},
    },
    "top_three": {
        "factors": [factor("xsmom")],
        "portfolio": {"select": {"top_k": 3}},
        "schedule": {"every_months": 3},
        "execution": {"trade_at": "next_open"},
        "costs": {"tc_bps": 12.5},
    },
    "composite": {
        "factors": [
            factor("xsmom", weight=0.7, transforms=NORMAL),
            factor("trend", 1, weight=0.5, transforms=[{"kind": "rank"}]),
            factor("low_vol", weight=-0.2, transforms=NORMAL),
        ],
        "portfolio": {
            "type": "long_short",
            "weighting": "signal",
            "select": {"fraction": 0.4},
            "max_weight": 0.35,
            "gross": 1.6,
            "net": 0.2,
        },
        "execution": {"trade_at": "next_close", "turnover": "target"},
        "costs": {"borrow_ann": 0.01, "margin_spread_ann": 0.01},
        "in_sample_until": "2021-12",
    },
}


def resolved(name: str) -> Resolved:
    strategy = strategy_of(**({"costs": {}} | CASES[name] | {"name": name}))
    return resolved_of(strategy, None if strategy.universe.of == "all" else TICKERS[1:])


def stored(table: pa.Table, order: Sequence[str]) -> pa.Table:
    """The table as DuckDB gives it back, rows in the order of the primary key."""
    with duckdb.connect() as connection:
        connection.register("rows", table)
        connection.execute("CREATE TABLE kept AS SELECT * FROM rows ORDER BY random()")
        return connection.sql(f"FROM kept ORDER BY {', '.join(order)}").to_arrow_table()


def same(left: object, right: object) -> None:
    """Every array of two dataclasses equal to the last bit."""
    assert vars(left).keys() == vars(right).keys()
    for name, value in vars(left).items():
        other = getattr(right, name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert np.array_equal(value, other, equal_nan=True), name
        else:
            assert np.array_equal(value, other), name


def test_the_path_through_stored_tables_is_the_path_without_them_to_the_last_bit():
    cells = {name: resolved(name) for name in CASES}
    whole = {name: research.run(cell, MARKET, DAYS) for name, cell in cells.items()}
    panels = {name: signals.universe(cell, MARKET) for name, cell in cells.items()}
    by = ("strategy", "date", "ticker")

    computed = {name: signals.compute_signals(cell, MARKET) for name, cell in cells.items()}
    rows = tables.signals_table((n, panels[n], s) for n, s in computed.items())
    found = tables.by_strategy(stored(rows, (*by, "factor")))
    assert set(found) == {"trend", "top_three", "composite"}
    nothing = rows.slice(0, 0)
    for name, cell in cells.items():
        keys = [f.key for f in cell.strategy.factors]
        read = tables.signals_from_table(found.get(name, nothing), panels[name], keys)
        same(read, whole[name].signals)
        computed[name] = read

    scores = {n: combine.combine(c, MARKET, computed[n]) for n, c in cells.items()}
    table = stored(tables.scores_table((n, panels[n], s) for n, s in scores.items()), by)
    for name, part in tables.by_strategy(table).items():
        scores[name] = tables.scores_from_table(part, panels[name])
        assert np.array_equal(scores[name], whole[name].score, equal_nan=True)

    books = {n: research.build_book(c, MARKET, scores[n], computed[n]) for n, c in cells.items()}
    table = stored(tables.weights_table((n, panels[n], b) for n, b in books.items()), by)
    for name, part in tables.by_strategy(table).items():
        books[name] = tables.weights_from_table(part, panels[name])
        same(books[name], whole[name].book)

    backtests = {n: research.run_backtest(c, MARKET, books[n]) for n, c in cells.items()}
    table = stored(tables.backtest_table(backtests.items()), ("strategy", "date"))
    for name, part in tables.by_strategy(table).items():
        backtests[name] = tables.backtest_from_table(part)
        same(backtests[name], whole[name].backtest)

    daily = {
        n: research.run_daily(c, MARKET, books[n], backtests[n], DAYS) for n, c in cells.items()
    }
    table = stored(tables.daily_table(daily.items()), ("strategy", "date"))
    for name, part in tables.by_strategy(table).items():
        same(tables.daily_from_table(part), whole[name].daily)


def test_every_case_above_has_something_to_show():
    for name in CASES:
        said = research.run(resolved(name), MARKET, DAYS)
        assert len(said.backtest.dates) > 24, name
        assert np.isfinite(said.backtest.benchmark_return).sum() > 24, name
        assert said.daily is not None
        assert len(said.daily.dates) > 500, name
        assert said.backtest.n_unpriced.any(), name


class TestSteps:
    def test_the_score_is_the_mean_of_the_signals_weighted_by_size(self):
        cell = resolved("composite")
        signals = Signals(
            ("xsmom", "trend", "low_vol"),
            np.ones((3, 1, 2)),
            np.array([[[1.0, 1.0]], [[2.0, NAN]], [[3.0, 3.0]]]),
        )
        score = combine.combine(cell, MARKET, signals)
        assert score[0, 0] == pytest.approx((0.7 + 1.0 - 0.6) / 1.4, rel=1e-14)
        assert np.isnan(score[0, 1])

    def test_a_factor_of_weight_zero_serves_selection_alone(self):
        strategy = strategy_of(
            factors=[factor("trend", weight=0.0)],
            portfolio={"select": {"only_positive": "trend"}, "min_names": 1},
        )
        market = panel_of({"A": [1.0] * 6 + [2.0, 4.0], "B": [4.0] * 6 + [2.0, 1.0]})
        said = research.run(resolved_of(strategy, ["A", "B"]), market)
        assert not said.score.any()
        assert said.book.weights[:6].tolist() == [[0.0, 0.0]] * 6
        assert said.book.weights[6:].tolist() == [[0.5, 0.0]] * 2

    def test_a_delay_moves_a_factor_back(self):
        def raw(delay: int) -> np.ndarray:
            strategy = strategy_of(factors=[factor("xsmom", delay)])
            return signals.compute_signals(resolved_of(strategy, TICKERS), MARKET).raw[0]

        assert np.array_equal(raw(2)[2:], raw(0)[:-2], equal_nan=True)
        assert np.isfinite(raw(2)).any()

    def test_names_that_the_data_lack_count_in_a_named_universe(self):
        market = panel_of({"A": [1.0, 1.0], "B": [1.0, 1.0]})
        named = research.run(resolved_of(strategy_of(), ["A", "B", "C", "D", "E"]), market)
        assert named.book.start == 2
        assert research.run(resolved_of(strategy_of(), None), market).book.start == 0

    def test_only_the_universe_is_held(self):
        said = research.run(resolved_of(strategy_of(), ["GLD", "NEW", "TLT"]), MARKET)
        assert said.panel.tickers.tolist() == ["GLD", "NEW", "TLT"]
        assert said.book.weights[-1].tolist() == [0.5, 0.0, 0.5]

    def test_metrics_rows_say_what_they_rest_on(self):
        cell = resolved("composite")
        said = research.run(cell, MARKET, DAYS)
        rows = research.measure(
            cell, said.backtest, said.daily, price_basis="synthetic", caveats="backfilled"
        )
        assert [row["segment"] for row in rows] == ["full", "in_sample", "out_of_sample"]
        assert rows[0]["rf_label"] == "rf = 0"
        assert rows[0]["benchmark"] == "SPY"
        assert rows[0]["caveats"] == "backfilled"
        table = tables.metrics_table([("composite", rows), ("other", rows[:1])])
        assert table["strategy"].to_pylist() == ["composite"] * 3 + ["other"]
        assert table["n_months"].to_pylist()[1:3] == [rows[1]["n_months"], rows[2]["n_months"]]
        assert table["max_drawdown_daily"][0].as_py() <= table["max_drawdown"][0].as_py() < 0


class TestBenchmarks:
    market = panel_of(
        {"IEF": [NAN, 100, 100, 110], "SPY": [100, 110, NAN, 121], "ZZZ": [100, 100, 50, 50]}
    )

    def returns(
        self, benchmark: str, tickers: Sequence[str] | None = ("IEF", "ZZZ")
    ) -> list[float]:
        cell = resolved_of(strategy_of(benchmark=benchmark), tickers)
        return research.benchmark_returns(cell, self.market).tolist()

    def test_a_ticker_is_bought_and_held_though_outside_the_universe(self):
        assert self.returns("SPY") == pytest.approx([NAN, 0.1, NAN, NAN], nan_ok=True, abs=1e-15)

    def test_sixty_forty_needs_both(self):
        market = panel_of({"IEF": [NAN, 100, 100], "SPY": [100, 110, 121]})
        cell = resolved_of(strategy_of(benchmark="60/40"), ["SPY"])
        said = research.benchmark_returns(cell, market)
        assert said == pytest.approx([NAN, NAN, 0.06], nan_ok=True, abs=1e-15)

    def test_equal_weight_is_of_the_strategys_universe(self):
        expected = [NAN, 0.0, -0.25, 0.05]
        assert self.returns("equal_weight") == pytest.approx(expected, nan_ok=True, abs=1e-15)
        sparse = ("IEF", "N1", "N2", "N3", "ZZZ")
        assert self.returns("equal_weight", sparse) == pytest.approx(
            expected, nan_ok=True, abs=1e-15
        )
        # All: SPY is held through its missing month, and books the whole way in the next.
        by_hand = [NAN, 0.05, (0.0 + 0.0 - 0.5) / 3]
        said = self.returns("equal_weight", None)
        assert said[:3] == pytest.approx(by_hand, nan_ok=True, abs=1e-15)
        spy = (1 / 3) / (1 - 0.5 / 3)
        rest = (1 - spy) / 2
        assert said[3] == pytest.approx(spy * 0.1 + rest * 0.1, rel=1e-13)

    def test_a_benchmark_that_the_data_do_not_hold_is_unknown(self):
        assert np.isnan(self.returns("QQQ")).all()

    def test_another_strategy_is_its_net_return_on_the_same_market(self):
        other = resolved("top_three")
        cell = resolved("composite").model_copy(update={"benchmark": other})
        said = research.run(cell, MARKET).backtest
        alone = research.run(other, MARKET).backtest
        aligned = dict(zip(alone.dates.tolist(), alone.net_return, strict=True))
        expected = [aligned.get(day, NAN) for day in said.dates.tolist()]
        assert np.array_equal(said.benchmark_return, expected, equal_nan=True)
        assert np.isfinite(said.benchmark_return).sum() == len(alone.dates)


class TestNotStarted:
    def test_a_book_with_no_month_to_earn_in_is_an_error_that_says_why(self):
        strategy = strategy_of(portfolio={"min_names": 3})
        cell = resolved_of(strategy, ["A", "B"])
        market = panel_of({"A": [1.0, 1.0], "B": [1.0, 1.0]})
        said = research.run(cell, market)
        assert len(said.backtest.dates) == 0
        with pytest.raises(FactorLabError, match=r"at most 2 of 2 .* at least 3") as caught:
            research.check_started(cell, market, said.score, said.book)
        assert "strategy test: 2020-01-31 to 2020-02-28" in str(caught.value)

    def test_a_cash_ticker_that_nobody_ingested_is_an_error_that_names_it(self):
        market = panel_of({"A": [1.0, 1.0], "SHY": [1.0, NAN], "BIL": [NAN, NAN]})
        for ticker in ("XYZ", "BIL"):
            cell = resolved_of(strategy_of(cash={"ticker": ticker}), ["A"])
            said = research.run(cell, market)
            with pytest.raises(FactorLabError, match=f"cash.* {ticker}"):
                research.check_started(cell, market, said.score, said.book)
        cell = resolved_of(strategy_of(cash={"ticker": "SHY"}), ["A"])
        said = research.run(cell, market)
        research.check_started(cell, market, said.score, said.book)

    def test_a_window_longer_than_the_history_is_named(self):
        said = [factor("trend"), factor("low_vol", delay=2)]
        cell = resolved_of(strategy_of(factors=said), ["A"])
        market = panel_of({"A": [1.0] * 8})
        run = research.run(cell, market)
        with pytest.raises(FactorLabError) as caught:
            research.check_started(cell, market, run.score, run.book)
        assert "at any of 8 month-ends" in str(caught.value)
        assert "factor low_vol has its first value after 9 month-ends" in str(caught.value)

    def test_a_market_that_the_data_do_not_have_is_named(self):
        own = {"lookback": 1, "market": "SHY"}
        said = [{"name": "trend_excess", "delay": 0, "params": own}]
        cell = resolved_of(strategy_of(factors=said), ["A"])
        for prices, is_there in (
            ({}, False),
            ({"SHY": [NAN] * 4}, False),
            ({"SHY": [1] * 4}, True),
        ):
            market = panel_of({"A": [1.0] * 4} | prices)
            run = research.run(cell, market)
            if is_there:
                research.check_started(cell, market, run.score, run.book)
                continue
            with pytest.raises(FactorLabError, match="to be compared with has no prices") as caught:
                research.check_started(cell, market, run.score, run.book)
            assert "factor trend_excess: parameter market. Got: SHY" in str(caught.value)

    def test_starting_at_the_last_date_is_too_late_and_one_before_is_not(self):
        cell = resolved_of(strategy_of(), ["A"])
        late = panel_of({"A": [NAN, 1.0], "B": [1.0, 1.0]})
        said = research.run(cell, late)
        with pytest.raises(FactorLabError, match="no month to earn"):
            research.check_started(cell, late, said.score, said.book)
        early = panel_of({"A": [1.0, 1.0]})
        said = research.run(cell, early)
        research.check_started(cell, early, said.score, said.book)
        assert len(said.backtest.dates) == 1


def test_a_strategy_that_never_trades_earns_the_cash_rate_and_its_ratios_are_undefined():
    strategy = strategy_of(
        factors=[factor("trend", weight=-1.0)],
        portfolio={"weighting": "signal"},
        cash={"yield_ann": 0.12},
    )
    months = 30
    market = panel_of({t: [1.01**i for i in range(months)] for t in ("A", "B")}, first="2019-01")
    nobody: Any = (MARKET.dates[:0], np.array([], dtype="U1"), np.empty((0, 0)), np.empty((0, 0)))
    cell = resolved_of(strategy, ["A", "B"])
    said = research.run(cell, market, nobody)
    row = research.measure(cell, said.backtest, said.daily, price_basis="close")[0]
    assert not said.backtest.turnover.any()
    assert row["cagr"] == pytest.approx(0.12, rel=1e-12)
    assert row["max_drawdown"] == row["max_drawdown_daily"] == row["turnover_ann"] == 0.0
    for name in ("sharpe", "sortino", "calmar", "t_excess_equal_vol"):
        assert np.isnan(row[name]), name


def test_a_market_of_one_month_runs_to_an_empty_end():
    for name in CASES:
        cell, market = (
            resolved(name),
            Panel(MARKET.dates[:1], MARKET.tickers, *[np.ones((1, 7))] * 5),
        )
        said = research.run(cell, market, DAYS)
        assert len(said.backtest.dates) == 0
        assert research.measure(cell, said.backtest, said.daily, price_basis="close") == []
