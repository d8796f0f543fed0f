"""The book day by day: by hand, and compounding to the months whatever the book."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.daily import Daily, DailyPrices, daily_book
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.strategy import Strategy
from factorlab_tests.small_panels import NAN, panel_of, ranked, strategy_of
from factorlab_tests.traded_panels import traded_market


def days_of(panel: Panel, **bars: dict[str, float]) -> DailyPrices:
    """Closes by ticker and day ('02-14' of 2020); the month-ends' are the panel's own."""
    dates = sessions(panel.dates[0].item(), panel.dates[-1].item())
    close = np.full((len(dates), len(panel.tickers)), NAN)
    close[np.searchsorted(dates, panel.dates)] = panel.price
    for n, ticker in enumerate(panel.tickers):
        for day, value in bars.get(str(ticker), {}).items():
            close[np.searchsorted(dates, np.datetime64(f"2020-{day}")), n] = value
    return dates, panel.tickers, close, close


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


AB = panel_of({"A": [100, 121, 121], "B": [50, 50, 100]})
PRICES = days_of(AB, A={"02-03": 110}, B={"02-03": 50, "02-14": 40, "03-02": 75})
FEBRUARY, MARCH = 19, 22  # sessions


def at(daily: Daily, values: np.ndarray, *days: str) -> list[float]:
    """The values of these days of 2020."""
    return [float(values[daily.dates == np.datetime64(f"2020-{day}")][0]) for day in days]


def test_a_day_is_worth_what_its_last_closes_say():
    backtest, daily = both(strategy_of(), AB, PRICES, [[0.5, 0.5], [0.0, 1.0], [0, 0]])
    days = ("02-03", "02-04", "02-14", "02-28", "03-02", "03-31")
    nav = [1.05, 1.05, 0.55 + 0.4, 1.105, 1.105 * 1.5, 1.105 * 2]
    assert at(daily, daily.nav, *days) == pytest.approx(nav, rel=1e-14)
    returns = [0.05, 0.0, 0.95 / 1.05 - 1, 1.105 / 0.95 - 1, 0.5, 1 / 3]
    assert at(daily, daily.net_return, *days) == pytest.approx(returns, abs=1e-14)
    assert at(daily, daily.drawdown, *days)[2] == pytest.approx(0.95 / 1.05 - 1, rel=1e-13)
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-15)


def test_every_exchange_session_has_a_row_whoever_has_a_bar():
    _, daily = both(strategy_of(), AB, PRICES, [[0.5, 0.5]] * 3)
    assert len(daily.dates) == FEBRUARY + MARCH
    assert str(daily.dates[0]) == "2020-02-03"
    assert np.datetime64("2020-02-17") not in daily.dates  # Presidents' Day


def test_costs_fall_on_the_first_day_and_interest_comes_day_by_day():
    strategy = strategy_of(costs={"tc_bps": 100.0, "slippage_bps": 0.0}, cash={"yield_ann": 0.2})
    rf = 1.2 ** (1 / 12) - 1
    _, daily = both(strategy, AB, PRICES, [[0.0, 0.5], [0.0, 0.5], [0, 0]])
    cost, cash = 0.01 * 0.5, 0.5 * rf
    said = at(daily, daily.nav, "02-03", "02-14", "02-28")
    assert said[0] == pytest.approx(1 + cash / FEBRUARY - cost, rel=1e-14)
    assert said[1] == pytest.approx(1 - 0.1 + cash * 10 / FEBRUARY - cost, rel=1e-14)
    assert said[2] == pytest.approx(1 + cash - cost, rel=1e-14)


def test_a_cash_tickers_month_is_spread_over_its_days():
    panel = panel_of({"A": [100, 100, 100], "SHY": [50, 51, 50]})
    strategy = strategy_of(cash={"ticker": "SHY"})
    backtest, daily = both(strategy, panel, days_of(panel, SHY={"02-14": 40}), [[0.5, 0]] * 3)
    february, march = 0.5 * 0.02, 0.5 * (50 / 51 - 1)
    said = at(daily, daily.nav, "02-03", "02-14", "02-28", "03-02")
    assert said[0] == pytest.approx(1 + february / FEBRUARY, rel=1e-14)
    assert said[1] == pytest.approx(1 + february * 10 / FEBRUARY, rel=1e-14)
    assert said[2] == pytest.approx(1 + february, rel=1e-14)
    assert said[3] == pytest.approx((1 + february) * (1 + march / MARCH), rel=1e-14)
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-15)


def test_the_drawdown_within_a_month_is_deeper_than_at_its_end():
    backtest, daily = both(strategy_of(), AB, PRICES, [[0.0, 1.0]] * 3)
    assert daily.drawdown.min() == pytest.approx(-0.2, abs=1e-15)
    assert backtest.drawdown.min() == 0.0


@pytest.mark.parametrize("trade_at", ["next_close", "next_open"])
def test_the_first_day_holds_the_old_book_until_the_trade(trade_at: str):
    panel = panel_of({"A": [100, 120, 120], "B": [50, 50, 100]})
    panel.entry_open[1:] = [[110.0, 50.0], [120.0, 55.0]]
    panel.entry_close[1:] = [[105.0, 50.0], [120.0, 60.0]]
    prices = days_of(panel, A={"02-03": 105}, B={"02-14": 40, "03-02": 60})
    strategy = strategy_of(execution={"trade_at": trade_at})
    backtest, daily = both(strategy, panel, prices, [[1, 0], [0, 1], [0, 0]])
    bought = {"next_close": 105.0, "next_open": 110.0}[trade_at]
    # The first trade is from cash; in March A is sold, flat, and B bought on the way up.
    february = at(daily, daily.nav, "02-03", "02-14", "02-28")
    assert february == pytest.approx([105 / bought, 105 / bought, 120 / bought], rel=1e-14)
    entry = {"next_close": 60.0, "next_open": 55.0}[trade_at]
    march = np.array(at(daily, daily.nav, "03-02", "03-31"))
    assert march / february[-1] == pytest.approx([60 / entry, 100 / entry], rel=1e-14)
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-14)


def test_a_month_in_which_nobody_has_a_bar_is_still_booked():
    panel = panel_of({"A": [100, NAN, 110]})
    strategy = strategy_of(cash={"yield_ann": 0.1})
    backtest, daily = both(strategy, panel, days_of(panel), [[0.5], [0.5], [0.5]])
    assert len(daily.dates) == FEBRUARY + MARCH
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-14)


def test_prices_of_names_not_held_neither_help_nor_hurt():
    dates, _, close, _ = PRICES
    other = np.ones((len(dates), 1))
    wider = (dates, np.array(["A", "B", "C"]), np.hstack([close, other]), np.empty((0, 0)))
    alone = (dates, np.array(["B"]), close[:, 1:], np.empty((0, 0)))
    weights = [[0.0, 0.5], [0.0, 1.0], [0, 0]]
    _, expected = both(strategy_of(), AB, PRICES, weights)
    for prices in (wider, alone):
        _, said = both(strategy_of(), AB, prices, weights)
        assert said.dates.tolist() == expected.dates.tolist()
        assert said.nav.tolist() == expected.nav.tolist()


def test_days_that_the_prices_lack_are_worth_the_last_close_before():
    dates, tickers, close, _ = PRICES
    kept = np.isfinite(close).any(axis=1)
    kept[-1] = False  # and the prices end a day early: March's last close is the one of the 2nd
    fewer = (dates[kept], tickers, close[kept], close[kept])
    weights = [[0.5, 0.5], [0.0, 1.0], [0, 0]]
    _, expected = both(strategy_of(), AB, PRICES, weights)
    _, said = both(strategy_of(), AB, fewer, weights)
    assert said.nav[:-1].tolist() == expected.nav[:-1].tolist()
    assert said.nav[-1] == said.nav[-2] != expected.nav[-1]


def test_a_held_name_without_daily_prices_is_unknown_not_flat():
    dates, _, close, _ = PRICES
    prices = (dates, np.array(["A"]), close[:, :1], close[:, :1])
    _, said = both(strategy_of(), AB, prices, [[0.5, 0.5]] * 3)
    assert np.isnan(said.net_return).all()


def test_ruin_within_a_month_ends_the_days():
    prices = days_of(AB, A={"02-03": 110}, B={"02-14": 20})
    _, daily = both(strategy_of(), AB, prices, [[0.0, 2.0]] * 3)
    assert str(daily.dates[-1]) == "2020-02-14"
    assert daily.nav[-1] == pytest.approx(-0.2, abs=1e-15)


def test_a_backtest_without_rows_has_no_days():
    book = Book(np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8), 3)
    backtest = simulate(strategy_of(), book, AB, np.full(3, NAN))
    assert len(daily_book(strategy_of(), book, AB, backtest, PRICES).dates) == 0


BOOKS: dict[str, dict[str, Any]] = {
    "equal": {},
    "quarterly": {},
    "levered": {"gross": 1.8},
    "long_short": {"type": "long_short", "select": {"top_k": 2}, "gross": 1.5, "net": 0.3},
    "yearly_long_short": {"type": "long_short", "select": {"top_k": 1}},
}
EVERY = {"quarterly": 3, "yearly_long_short": 12}


DEAR = {"spread_bps": {"A": 30.0}, "impact": 1.0, "capital": 1e7}
CASHES: dict[str, dict[str, Any]] = {"constant": {"yield_ann": 0.04}, "ticker": {"ticker": "B"}}


@pytest.mark.parametrize("cash", CASHES)
@pytest.mark.parametrize("trade_at", ["close", "next_close", "next_open"])
@pytest.mark.parametrize("name", BOOKS)
def test_days_compound_to_the_months_of_any_book_gaps_included(name: str, trade_at: str, cash: str):
    panel, prices = traded_market(36, "ABCDEF", seed=3)
    assert np.isnan(panel.price[3:, :5]).any()
    strategy = ranked(
        {"min_names": 2} | BOOKS[name],
        schedule={"every_months": EVERY.get(name, 1)},
        execution={"trade_at": trade_at},
        cash=CASHES[cash],
        costs={"borrow_ann": 0.01, "margin_spread_ann": 0.02} | DEAR,
    )
    score = np.random.default_rng(1).standard_normal(panel.price.shape)
    score[np.isnan(panel.price)] = NAN
    book = build(strategy, score, panel, universe_size=6)
    backtest = simulate(strategy, book, panel, np.full(36, NAN))
    daily = daily_book(strategy, book, panel, backtest, prices)
    assert len(backtest.dates) == 35
    assert backtest.impact_cost.any()
    assert compounded(daily, backtest) == pytest.approx(backtest.net_return, abs=1e-12)
    ends = np.isin(daily.dates, backtest.dates)
    assert daily.nav[ends] == pytest.approx(backtest.nav, rel=1e-12)
    assert daily.nav == pytest.approx(np.cumprod(1 + daily.net_return), rel=1e-11)
