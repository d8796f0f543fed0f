"""The monthly book day by day: bought at the trade, held within the month, marked at every close.

Belongs here: daily returns that compound to the monthly ones. Does not: a daily strategy (weights
change at month-ends only), or reading daily prices (`returns.daily_basis`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.backtest import Backtest, at_trade, drawdown
from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import Dates, sessions
from factorlab_assets.core.holding import Carry, carried, earned, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy

DailyPrices = tuple[Dates, npt.NDArray[np.str_], Floats, Floats]
"""As `returns.daily_basis` gives them: (D,) dates, (N,) tickers ascending, (D, N) closes and opens
on the panel's basis, NaN without a bar."""


@dataclass(frozen=True)
class Daily:
    """One entry per exchange session of the backtest's months; decimals."""

    dates: Dates
    net_return: Floats
    nav: Floats
    drawdown: Floats


def daily_book(
    strategy: Strategy,
    book: Book,
    panel: Panel,
    backtest: Backtest,
    prices: DailyPrices,
    carry: Carry | None = None,
) -> Daily:
    """Each month's value per unit of its starting NAV, at the close of day d = 1 … n:

    V_d = (1 + R_before)·(1 + Σw·(P_d/P_entry − 1) + carry·d/n) − cost, V_0 = 1,

    where P_d is the last close on or before d, P_entry what the weights were bought at, carry the
    month's cash return less financing and borrow (also where a ticker's daily prices would tell
    more), cost booked on the first day. net_return is V_d/V_{d−1} − 1, so that the days of a month
    compound to its monthly net return exactly (rounding apart).

    `prices` needs the tickers that the book holds; `carry` is as in `simulate`. A day is every
    exchange session, whether or not anybody has a bar on it. A value at or below 0 is the last row,
    though the month may have recovered from it.
    """
    days, closes = _days(panel, backtest, prices)
    rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    carry = Carry.of(strategy, panel) if carry is None else carry
    old = at_trade(book, period, earned(book.weights[:-1], period.after, carry))

    rows = slice(book.start, book.start + len(backtest.dates))
    held = book.weights[:-1][rows]
    shares = np.where(held == 0.0, 0.0, held / np.where(held == 0.0, 1.0, period.entry[rows]))
    before = np.zeros(len(held)) if old.earned is None else old.earned[rows]
    month = np.searchsorted(backtest.dates, days)
    first = np.searchsorted(month, np.arange(len(held) + 1))
    day, in_month = np.arange(len(days)) - first[month] + 1, np.diff(first)[month]

    worth = _worth(shares, month, closes) - held.sum(axis=1)[month]
    worth += carry.during(rows).earned(held)[month] * (day / in_month)
    value = (1.0 + before[month]) * (1.0 + worth) - backtest.cost[month]
    previous = np.where(day == 1, 1.0, np.concatenate([[1.0], value[:-1]]))
    opening = np.concatenate([[1.0], backtest.nav[:-1]])[month]

    ruined = np.flatnonzero(value <= 0.0)
    stop = len(days) if ruined.size == 0 else int(ruined[0]) + 1
    nav = (opening * value)[:stop]
    return Daily(days[:stop], (value[:stop] / previous[:stop]) - 1.0, nav, drawdown(nav))


def _days(panel: Panel, backtest: Backtest, prices: DailyPrices) -> tuple[Dates, Floats]:
    """The backtest's sessions, and on each every ticker's last known close, (D, N)."""
    if len(backtest.dates) == 0:
        return backtest.dates, np.empty((0, len(panel.tickers)))
    dates, tickers, given, _ = prices
    start = panel.dates[np.searchsorted(panel.dates, backtest.dates[0]) - 1]
    days = sessions((start + 1).item(), backtest.dates[-1].item())
    known = np.isin(panel.tickers, tickers)
    close = np.full((len(dates) + 1, len(panel.tickers)), np.nan)  # row 0: before the first date
    close[1:, known] = given[:, np.searchsorted(tickers, panel.tickers[known])]
    return days, carried(close)[np.searchsorted(dates, days, side="right")]


def _worth(shares: Floats, month: npt.NDArray[np.intp], closes: Floats) -> Floats:
    """Σ shares·close of each day, in blocks that keep 3,000 tickers within memory."""
    worth = np.empty(len(closes))
    step = max(1, 2_000_000 // max(closes.shape[1], 1))
    for low in range(0, len(closes), step):
        block = slice(low, low + step)
        held = shares[month[block]]
        worth[block] = np.where(held == 0.0, 0.0, held * closes[block]).sum(axis=1)
    return worth
