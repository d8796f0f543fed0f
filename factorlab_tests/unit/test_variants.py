"""Books built anew with one thing changed, against `research.run` on a strategy changed by hand.

Invariant: minimum ≤ median ≤ maximum. Tolerance 1e-12: the same sums in another order.
"""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.panel import Panel
from factorlab_assets.errors import FactorLabError
from factorlab_tests.robust_books import (
    FEW,
    NAMES,
    TOP,
    TREND,
    assert_says,
    figures,
    market_at,
    ran,
    rows_of,
    top_two,
)
from factorlab_tests.small_panels import NAN, panel_of, strategy_of


def test_a_delay_is_that_of_a_strategy_that_says_so():
    rows, own = rows_of(top_two())
    late = ran(top_two(factors=[TREND[0] | {"delay": 3}]), market_at(0))
    n = len(late.dates)
    assert n == len(own.dates) - 2
    said = rows["delay"]["2 months more"]
    assert_says(said, figures(late))
    assert said["n_months"] == rows["delay"]["0 months more"]["n_months"] == n
    assert_says(rows["delay"]["0 months more"], figures(own, n))
    change = figures(late)["sharpe"] - figures(own, n)["sharpe"]
    assert said["sharpe_change"] == pytest.approx(change, abs=1e-12)
    assert abs(change) > 1e-3


def test_without_factors_nothing_is_late():
    rows, _ = rows_of(strategy_of(portfolio={"min_names": 1}))
    (row,) = rows["delay"].values()
    assert row["note"] == "the strategy has no factors that could be late"


def test_every_trading_day_is_that_of_a_strategy_that_says_so():
    rows, own = rows_of(top_two(), settings=FEW.model_copy(update={"rebalance_days": 20}))
    found = dict(rows["rebalance_day"])
    ends = [found.pop(name) for name in ("minimum", "median", "maximum")]
    # The shortest February has 19 sessions, beyond the 15 that a file may say.
    assert list(found) == [f"{days} before month-end" for days in range(19)]
    assert "of 19 trading days" in ends[0]["note"]
    months = own.dates.astype("datetime64[M]")
    n_months = {row["n_months"] for row in found.values()}
    assert len(n_months) == 1
    n = n_months.pop()
    for days in (1, 7, 15):
        early = ran(top_two(schedule={"days_before_month_end": days}), market_at(days))
        assert early.dates.astype("datetime64[M]")[-n:].tolist() == months[-n:].tolist()
        row = found[f"{days} before month-end"]
        assert_says(row, figures(early, n))
        change = figures(early, n)["sharpe"] - figures(own, n)["sharpe"]
        assert row["sharpe_change"] == pytest.approx(change, abs=1e-12)
    assert found["0 before month-end"]["sharpe_change"] == 0.0
    for name, reduced in zip(ends, (np.min, np.median, np.max), strict=True):
        for figure in ("cagr", "sharpe", "excess_ann", "sharpe_change"):
            values = [row[figure] for row in found.values()]
            assert name[figure] == pytest.approx(reduced(values), rel=1e-12)
    assert ends[0]["sharpe"] < ends[1]["sharpe"] < ends[2]["sharpe"]


def test_of_a_strategy_that_trades_early_its_own_day_is_the_strategy():
    asked = []

    def noted(days: int) -> Panel:
        asked.append(days)
        return market_at(days)

    early = top_two(schedule={"days_before_month_end": 1})
    rows, own = rows_of(early, market_at(1), noted)
    assert asked == [0]
    row = rows["rebalance_day"]["1 before month-end"]
    assert row["sharpe_change"] == 0.0
    assert_says(row, figures(own, row["n_months"]))


def test_a_day_that_cannot_be_had_is_a_row_that_says_why():
    def broken(days: int) -> Panel:
        raise FactorLabError("the bars are gone")

    rows, own = rows_of(top_two(), market_at(0), broken)
    row = rows["rebalance_day"]["1 before month-end"]
    assert row["note"] == "the bars are gone."
    assert np.isnan(row["sharpe"])
    assert rows["rebalance_day"]["0 before month-end"]["n_months"] == len(own.dates)


def test_without_a_ticker_it_is_the_strategy_of_the_others():
    rows, own = rows_of(top_two(benchmark="equal_weight"))
    found = dict(rows["without_ticker"])
    ends = [found.pop(name) for name in ("minimum", "median", "maximum")]
    assert set(found) == set(NAMES)
    n = found["AAA"]["n_months"]
    for gone in NAMES:
        others = [name for name in NAMES if name != gone]
        less = ran(top_two(), market_at(0), others)
        benchmark = own.benchmark_return[-n:]  # of all five
        part = {"benchmark_return": np.concatenate([np.full(len(less.dates) - n, NAN), benchmark])}
        assert_says(found[gone], figures(less, n, **part))
        change = figures(less, n)["sharpe"] - figures(own, n)["sharpe"]
        assert found[gone]["sharpe_change"] == pytest.approx(change, abs=1e-12)
        assert found[gone]["note"].startswith("mean weight 0.")
    changes = [row["sharpe_change"] for row in found.values()]
    assert changes == sorted(changes)
    assert ends[0]["sharpe_change"] == changes[0] < changes[-1] == ends[2]["sharpe_change"]


def test_of_many_tickers_the_heaviest_are_left_out():
    fixed = dict(zip(NAMES, (0.1, 0.3, 0.2, 0.15, 0.25), strict=True))
    held = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": fixed})
    settings = FEW.model_copy(update={"most_tickers": 2})
    rows, _ = rows_of(held, settings=settings)
    assert set(rows["without_ticker"]) == {"BBB", "SPY", "minimum", "median", "maximum"}
    assert "2 tickers, the heaviest of 5" in rows["without_ticker"]["minimum"]["note"]
    # The others as they were to each other: 0.1 / 0.7 and so on.
    scaled = {name: weight / 0.7 for name, weight in fixed.items() if name != "BBB"}
    less = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": scaled})
    expected = ran(less, market_at(0), list(scaled))
    row = rows["without_ticker"]["BBB"]
    assert_says(row, figures(expected, row["n_months"]))
    assert "the others scaled to the same Σ|w|" in row["note"]


def test_fixed_weights_that_cannot_be_scaled_say_so():
    fixed = {"AAA": 0.5, "BBB": 0.5}
    book = {"weighting": "fixed", "fixed_weights": fixed, "max_weight": 0.6}
    rows, _ = rows_of(strategy_of(portfolio=book), tickers=["AAA", "BBB"])
    row = rows["without_ticker"]["AAA"]
    assert "the others would weigh more than max_weight 0.6" in row["note"]
    assert np.isnan(row["sharpe"])
    assert "scaled" not in row["note"]
    alone = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": {"AAA": 1.0}})
    rows, _ = rows_of(alone, tickers=["AAA"])
    assert "it has no other ticker to hold" in rows["without_ticker"]["AAA"]["note"]
    assert set(rows["without_ticker"]) == {"AAA"}  # of nothing there is no median


def test_without_its_safe_asset_a_book_holds_cash():
    select = {"top_k": 2, "only_positive": "trend"}
    rows, _ = rows_of(top_two(portfolio=TOP | {"select": select | {"safe": "SPY"}}))
    row = rows["without_ticker"]["SPY"]
    assert "cash is the safe asset instead" in row["note"]
    less = ran(top_two(portfolio=TOP | {"select": select}), market_at(0), NAMES[:-1])
    assert row["sharpe"] == pytest.approx(figures(less, row["n_months"])["sharpe"], rel=1e-9)


def test_a_book_that_needs_everyone_cannot_do_without_one():
    strict = top_two(portfolio=TOP | {"min_names": 5})
    rows, _ = rows_of(strict)
    for name in NAMES:
        row = rows["without_ticker"][name]
        assert "no month to earn a return in" in row["note"]
        assert np.isnan(row["sharpe"])
        assert row["n_months"] == 0


def test_every_ticker_of_the_version_is_left_out_too():
    rows, _ = rows_of(top_two(), tickers=None)
    assert set(NAMES) < set(rows["without_ticker"])
    less = ran(top_two(), market_at(0), NAMES[1:])
    row = rows["without_ticker"]["AAA"]
    assert row["sharpe"] == pytest.approx(figures(less, row["n_months"])["sharpe"], rel=1e-9)


def test_a_variant_that_loses_everything_says_so_and_cuts_no_other_short():
    short = {"weighting": "fixed", "type": "long_short", "gross": 2.0}
    prices = {"AAA": [100.0 + t % 2 for t in range(40)], "BBB": [100.0] * 20 + [250.0] * 20}
    prices["CCC"] = [100.0 + t % 3 for t in range(40)]
    # Without AAA or CCC the short in BBB is scaled from 60 % to 87 %, and BBB gains 150 %.
    fixed = {"AAA": 0.5, "BBB": -0.6, "CCC": 0.5}
    held = strategy_of(portfolio=short | {"fixed_weights": fixed}, benchmark="AAA")
    market = panel_of(prices, first="2010-01")
    rows, own = rows_of(held, market, lambda days: market, tickers=list(prices))
    assert own.ended == ""
    for gone in ("AAA", "CCC"):
        row = rows["without_ticker"][gone]
        assert row["note"].startswith("NAV at or below 0 on 2011-09-30")
        assert np.isnan(row["sharpe"])
    assert rows["without_ticker"]["BBB"]["n_months"] == len(own.dates)
