"""What a held book earns over one month, and how its weights drift meanwhile.

Belongs here: the arithmetic that building, back-testing and the daily book share, so that it exists
once. Does not: choosing weights (`portfolio`), trading costs (`backtest`), days (`daily`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import Cash, Schedule

Bools = npt.NDArray[np.bool_]


class Interest(NamedTuple):
    """What a book's capital earned and paid over a period, parts of its value at the start: (...).

    cash : (1 − Σw)·rf, below 0 where it borrows. financing, borrow : ≥ 0, to be subtracted.
    """

    cash: Floats
    financing: Floats
    borrow: Floats


class Carry(NamedTuple):
    """What capital earns and costs by itself, decimal per month; annual rates are divided by 12.

    rf : on 1 − Σw, of each period (T−1,) or one for all; spread : above rf, on what is borrowed
    beyond Σw = 1; borrow : on Σ|w⁻|.
    """

    rf: float | Floats = 0.0
    spread: float = 0.0
    borrow: float = 0.0

    @classmethod
    def of(cls, strategy: Strategy, market: Panel) -> Carry:
        """The carry of a strategy on a panel that has its cash ticker, if it names one."""
        costs = strategy.costs
        rf = cash_returns(strategy.cash, market)
        return cls(rf, costs.margin_spread_ann / 12.0, costs.borrow_ann / 12.0)

    def during(self, periods: int | slice) -> Carry:
        """The carry of one period, or of some."""
        rf = self.rf
        return self._replace(rf=rf[periods] if isinstance(rf, np.ndarray) else rf)

    def interest(self, weights: Floats) -> Interest:
        """The parts of `earned`."""
        invested = weights.sum(axis=-1)
        return Interest(
            (1.0 - invested) * self.rf,
            np.maximum(invested - 1.0, 0.0) * self.spread,
            np.where(weights < 0.0, -weights, 0.0).sum(axis=-1) * self.borrow,
        )

    def earned(self, weights: Floats) -> Floats:
        """(1 − Σw)·rf − max(Σw − 1, 0)·spread − Σ|w⁻|·borrow of (..., N) weights."""
        cash, financing, borrow = self.interest(weights)
        return np.asarray(cash - financing - borrow)


def cash_returns(cash: Cash, market: Panel) -> Floats:
    """The cash rate of every period dates[t] → dates[t+1], (T−1,), decimal per month.

    A constant yield's monthly rate, or the ticker's return on the panel's basis between its last
    known closes: 0 where the month has no bar of it (the next bar books the whole way), before its
    first, and all along where the market does not have it.
    """
    if cash.ticker is None:
        return np.full(max(len(market.dates) - 1, 0), cash.monthly)
    marks = carried(market.select([cash.ticker]).mark)[:, 0]
    return _growth(marks[:-1], marks[1:])


@dataclass(frozen=True)
class Legs:
    """Each ticker's return of the periods dates[t] → dates[t+1], cut at the trade.

    entry : (T−1, N) price that the new weights are bought at, on the panel's basis.
    before : (T−1, N) from the close of t to the trade, earned by the drifted book; None where
        everything trades at that close. after : from the trade to t+1, earned by the new weights.
    Returns are 0 where a price is not known: a name without a bar stays at its last mark, and its
    next bar books the whole way.
    """

    entry: Floats
    before: Floats | None
    after: Floats


def legs(panel: Panel, rebalanced: Bools, trade_at: str) -> Legs:
    """The legs of every period; without a trade at t (`rebalanced` False) the first leg is empty.

    At `next_close` and `next_open` the trade happens at the next month's first session; a ticker
    without a bar that day trades at its last close.
    """
    marks = panel.once("marks", lambda: carried(panel.mark))
    last = marks[:-1]
    if trade_at == "close":
        return Legs(last, None, panel.once("growth", lambda: _growth(last, marks[1:])))
    first = (panel.entry_open if trade_at == "next_open" else panel.entry_close)[1:]
    traded = rebalanced[:-1, np.newaxis] & np.isfinite(first) & np.isfinite(last)
    entry = np.where(traded, first, last)
    return Legs(entry, _growth(last, entry), _growth(entry, marks[1:]))


def carried(marks: Floats) -> Floats:
    """Marks with the last known one carried forward down each column: a holder's valuation.

    >>> carried(np.array([[np.nan, 1.0], [2.0, np.nan]])).tolist()
    [[nan, 1.0], [2.0, 1.0]]
    """
    unknown = np.isnan(marks)
    if not (unknown[1:] & ~unknown[:-1]).any():
        return marks  # nothing known is followed by an unknown
    rows = np.arange(len(marks), dtype=np.int32)[:, np.newaxis]
    source = np.maximum.accumulate(np.where(unknown, np.int32(0), rows), axis=0)
    return np.asarray(np.take_along_axis(marks, source, axis=0))


def earned(weights: Floats, returns: Floats, carry: Carry) -> Floats:
    """A book's return before trading costs: Σw·r + what its cash earns; (..., N) → (...)."""
    return np.asarray((weights * returns).sum(axis=-1) + carry.earned(weights))


def drifted(weights: Floats, returns: Floats, book_return: Floats) -> Floats:
    """What weights have become: w·(1 + r)/(1 + R); a book that lost everything holds nothing."""
    growth = 1.0 + np.asarray(book_return)[..., np.newaxis]
    moved = weights * (1.0 + returns)
    return np.divide(moved, growth, out=np.zeros_like(moved), where=growth > 0.0)


def rebalances(dates: Dates, start: int, schedule: Schedule) -> Bools:
    """Which dates trade: `start`, and later those of the schedule.

    >>> dates = np.array(["2024-01-31", "2024-02-29", "2024-03-28"], dtype="datetime64[D]")
    >>> rebalances(dates, 0, Schedule(every_months=3)).tolist()
    [True, False, True]
    """
    due = np.ones(len(dates), dtype=np.bool_)
    number = dates.astype("datetime64[M]").astype(np.int64) + 1970 * 12
    if schedule.months:
        due = np.isin(number % 12 + 1, schedule.months)
    elif schedule.every_months > 1:
        due = (number + 1) % schedule.every_months == 0
    due[:start] = False
    due[start : start + 1] = True
    return np.asarray(due)


def _growth(start: Floats, end: Floats) -> Floats:
    growth = end / start - 1.0
    return np.where(np.isnan(growth), 0.0, growth)
