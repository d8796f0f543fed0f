"""The book day by day: by hand, and compounding to the months whatever the book."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.daily import Daily, DailyPrices, daily_book
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.portfolio import Book, build
from factorlab_assets.strategy import Strategy
from factorlab_tests.small_panels import NAN, daily_market, panel_of, ranked, strategy_of


def days_of(panel: Panel, days: list[str], **closes: list[float]) -> DailyPrices:
    dates = np.array(days, dtype="datetime64[D]")
    close = np.array([closes[t] for t in panel.tickers], dtype=np.float64).T
    return DailyPrices(dates, panel.tickers, close)


def both(
    strategy: Strategy, panel: Panel, prices: DailyPrices, weights: list[list[float]]
) -> tuple[Backtest, Daily]:
    values = np.array(weights, dtype=np.float64)
    book = Book(values, np.zeros(values.shape, dtype=np.int8), 0)
    backtest = simulate(strategy, book, panel, np.full(len(values), NAN))
    return backtest, daily_book(strategy, book, panel, backtest, prices)


def compounded(daily: Daily, backtest: Backtest) -> np.ndarray:
    """Each month's daily returns, compounded."""
    months = daily.dates.astype("datetime64[M]")
    own = backtest.dates.astype("datetime64[M]")
    return np.array([np.prod(1.0 + daily.net_return[months == m]) - 1.0 for m in own])


DAYS = ["2020-01-31", "2020-02-03", "2020-02-14", "2020-02-28", "2020-03-02", "2020-03-31"]
AB = panel_of({"A": [100, 121, 121], "B": [50, 50, 100]})
PRICES = days_of(AB, DAYS, A=[100, 110, NAN, 121, NAN, 121], B=[50, 50, 40, 50, 75, 100])


def test_a_day_is_worth_what_its_last_closes_say():
    backtest, daily = both(strategy_of(), AB, PRICES, [[0.5, 0.5], [0.0, 1.0], [0, 0]])
    assert daily.dates.tolist() == PRICES.dates[1:].tolist()
    nav = [1.05, 0.55 + 0.4, 1.105, 1.105 * 1.5, 1.105 * 2]
    assert daily.nav == pytest.approx(nav, rel=1e-14)
    assert daily.net_return == pytest.approx(
        [0.05, 0.95 / 1.05 - 1, 1.105 / 0.95 - 1, 0.5, 1 / 3], rel=1e-13
    )
    assert daily.drawdown == pytest.approx([0, 0.95 / 1.05 - 1, 0, 0, 0], abs=1e-14)
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-15)


def test_costs_fall_on_the_first_day_and_interest_comes_day_by_day():
    strategy = strategy_of(costs={"tc_bps": 100.0, "slippage_bps": 0.0}, cash={"yield_ann": 0.2})
    rf = 1.2 ** (1 / 12) - 1
    _, daily = both(strategy, AB, PRICES, [[0.0, 0.5], [0.0, 0.5], [0, 0]])
    cost, cash = 0.01 * 0.5, 0.5 * rf
    assert daily.nav[0] == pytest.approx(1 + cash / 3 - cost, rel=1e-14)
    assert daily.nav[1] == pytest.approx(1 - 0.1 + cash * 2 / 3 - cost, rel=1e-14)
    assert daily.nav[2] == pytest.approx(1 + cash - cost, rel=1e-14)


def test_the_drawdown_within_a_month_is_deeper_than_at_its_end():
    backtest, daily = both(strategy_of(), AB, PRICES, [[0.0, 1.0]] * 3)
    assert daily.drawdown.min() == pytest.approx(-0.2, abs=1e-15)
    assert backtest.drawdown.min() == 0.0


@pytest.mark.parametrize("trade_at", ["next_close", "next_open"])
def test_the_first_day_holds_the_old_book_until_the_trade(trade_at: str):
    panel = panel_of({"A": [100, 120, 120], "B": [50, 50, 100]}, entry={"A": [NAN, 110, 120]})
    panel.entry_close[1, 0] = 105.0
    prices = days_of(panel, DAYS, A=[100, 105, NAN, 120, NAN, 120], B=[50, 50, 40, 50, 60, 100])
    panel.entry_open[2, 1], panel.entry_close[2, 1] = 55.0, 60.0
    strategy = strategy_of(execution={"trade_at": trade_at})
    backtest, daily = both(strategy, panel, prices, [[1, 0], [0, 1], [0, 0]])
    bought = {"next_close": 105.0, "next_open": 110.0}[trade_at]
    # The first trade is from cash; in March A is sold, flat, and B bought on the way up.
    assert daily.nav[:3] == pytest.approx([105 / bought, 105 / bought, 120 / bought], rel=1e-14)
    entry = {"next_close": 60.0, "next_open": 55.0}[trade_at]
    assert daily.nav[3:] / daily.nav[2] == pytest.approx([60 / entry, 100 / entry], rel=1e-14)
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-14)


def test_a_month_in_which_nobody_has_a_bar_is_still_booked():
    panel = panel_of({"A": [100, NAN, 110]})
    prices = days_of(panel, ["2020-01-31", "2020-03-31"], A=[100, 110])
    strategy = strategy_of(cash={"yield_ann": 0.1})
    backtest, daily = both(strategy, panel, prices, [[0.5], [0.5], [0.5]])
    assert daily.dates.tolist() == panel.dates[1:].tolist()
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-15)


def test_days_are_those_of_the_strategys_tickers_alone():
    other = np.array([1.0, 1, 1, 1, 1, 1, 1])
    dates = np.insert(PRICES.dates, 2, np.datetime64("2020-02-09"))
    close = np.insert(PRICES.close, 2, np.nan, axis=0)
    wider = DailyPrices(dates, np.array(["A", "B", "C"]), np.column_stack([close, other]))
    weights = [[0.5, 0.5], [0.0, 1.0], [0, 0]]
    _, alone = both(strategy_of(), AB, PRICES, weights)
    _, beside = both(strategy_of(), AB, wider, weights)
    assert beside.dates.tolist() == alone.dates.tolist()
    assert beside.nav.tolist() == alone.nav.tolist()


def test_ruin_within_a_month_ends_the_days():
    prices = days_of(AB, DAYS, A=[100, 110, NAN, 121, NAN, 121], B=[50, 50, 20, 50, 75, 100])
    _, daily = both(strategy_of(), AB, prices, [[0.0, 2.0]] * 3)
    assert len(daily.dates) == 2
    assert daily.nav[-1] == pytest.approx(-0.2, abs=1e-15)


def test_a_backtest_without_rows_has_no_days():
    book = Book(np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8), 3)
    backtest = simulate(strategy_of(), book, AB, np.full(3, NAN))
    assert len(daily_book(strategy_of(), book, AB, backtest, PRICES).dates) == 0


BOOKS: dict[str, dict[str, Any]] = {
    "equal": {},
    "quarterly": {"rebalance_months": 3},
    "levered": {"gross": 1.8},
    "long_short": {"type": "long_short", "select": {"top_k": 2}, "gross": 1.5, "net": 0.3},
    "yearly_long_short": {"type": "long_short", "select": {"top_k": 1}, "rebalance_months": 12},
}


@pytest.mark.parametrize("trade_at", ["close", "next_close", "next_open"])
@pytest.mark.parametrize("name", BOOKS)
def test_days_compound_to_the_months_of_any_book_gaps_included(name: str, trade_at: str):
    panel, prices = daily_market(36, "ABCDEF", seed=3)
    assert np.isnan(panel.price[3:, :5]).any()
    strategy = ranked(
        {"min_names": 2} | BOOKS[name],
        execution={"trade_at": trade_at},
        cash={"yield_ann": 0.04},
        costs={"borrow_ann": 0.01, "margin_spread_ann": 0.02},
    )
    score = np.random.default_rng(1).standard_normal(panel.price.shape)
    score[np.isnan(panel.price)] = NAN
    book = build(strategy, score, panel, universe_size=6)
    backtest = simulate(strategy, book, panel, np.full(36, NAN))
    daily = daily_book(strategy, book, panel, backtest, prices)
    assert len(backtest.dates) == 35
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-12)
    ends = np.isin(daily.dates, backtest.dates)
    assert daily.nav[ends] == pytest.approx(backtest.nav, rel=1e-12)
    assert daily.nav == pytest.approx(np.cumprod(1 + daily.net_return), rel=1e-11)
