"""What a book would have earned with its weights on other names, on many paths at once.

Belongs here: the arithmetic of `backtest.simulate` for paths beside each other. Does not: who is
exchanged with whom (`label_permutations`), or judging what comes out (`bracket`).

Arrays are (N, P), names × paths; months are the rows of the strategy's own backtest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.book import Book
from factorlab_assets.core.costs import UNKNOWN_VOLATILITY, liquidity
from factorlab_assets.core.holding import Bools, Carry, Interest, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.path import DELISTED_AFTER
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import Costs

Arrange = Callable[[int], Floats]
"""The weights (N, P) that a rebalance at row t trades to; the caller may overwrite them."""


@dataclass(frozen=True)
class Terms:
    """What every path of a strategy meets.

    start, stop : the rows t whose book earns a month of the backtest. weights : (T, N) the
    strategy's own. rebalanced : (T,). before : (T−1, N) returns until the trade, None where it is
    at the close; after : (T−1, N) from it. fee : (T−1, N) of what is traded, decimal; power :
    (T−1, N) of its 3/2-th power, None without market impact. is_target : whether turnover is
    against the last weights and not the drifted ones. gone : (T, N) without a price for so long
    that what is held is cash.
    """

    start: int
    stop: int
    weights: Floats
    rebalanced: Bools
    before: Floats | None
    after: Floats
    carry: Carry
    fee: Floats
    power: Floats | None
    is_target: bool
    gone: Bools

    @classmethod
    def of(cls, strategy: Strategy, book: Book, panel: Panel, n_months: int, carry: Carry) -> Terms:
        """The terms of a strategy's first `n_months` months; `panel` is its universe."""
        rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
        period = legs(panel, rebalanced, strategy.execution.trade_at)
        return cls(
            book.start,
            book.start + n_months,
            book.weights,
            rebalanced,
            period.before,
            period.after,
            carry,
            *_fees(strategy.costs, panel),
            strategy.execution.turnover == "target",
            _gone(panel),
        )

    @property
    def trades(self) -> list[int]:
        """Rows at which the book is traded."""
        return [int(t) for t in np.flatnonzero(self.rebalanced[: self.stop]) if t >= self.start]


def _fees(costs: Costs, panel: Panel) -> tuple[Floats, Floats | None]:
    """What `costs.trading_costs` takes, as fee·|Δw| + power·|Δw|^(3/2) of each name and date."""
    quoted = np.array([costs.spread_bps.get(str(ticker), 0.0) for ticker in panel.tickers])
    every = (costs.tc_bps + costs.slippage_bps) / 1e4 + quoted / 2e4
    fee = np.repeat(every[np.newaxis], max(len(panel.dates) - 1, 0), axis=0)
    if costs.capital is None:
        return fee, None
    volatility, volume = (each[:-1] for each in panel.once("liquidity", lambda: liquidity(panel)))
    unknown = np.isnan(volatility) | np.isnan(volume)
    fee += np.where(unknown, costs.impact * np.fmax(volatility, UNKNOWN_VOLATILITY), 0.0)
    root = np.sqrt(costs.capital / np.where(unknown, 1.0, volume))
    return fee, np.where(unknown, 0.0, costs.impact * volatility * root)


def _gone(panel: Panel) -> Bools:
    """Names at their third month-end without a price in a row (`path.DELISTED_AFTER`) or later."""
    without = ~np.isfinite(panel.seen)
    gone = without.copy()
    for k in range(1, DELISTED_AFTER):
        gone[k:] &= without[:-k]
        gone[:k] = False
    return gone


def walk(terms: Terms, arrange: Arrange, n_paths: int) -> tuple[Floats, Floats]:
    """Gross and net returns of paths, (months, P) each, decimal: `backtest.simulate` for all.

    At a rebalance a path trades to `arrange(t)`, in between it drifts with its own names' returns;
    a held name is cash from the date on at which it is gone. The strategy's own weights give the
    strategy's own returns. A path that is lost goes on as numbers that mean nothing.
    """
    gross, net = np.empty((2, terms.stop - terms.start, n_paths))
    held = np.zeros((terms.weights.shape[1], n_paths))
    last = held  # what the month before started from
    for t in range(terms.start, terms.stop):
        growth: Floats | float = 1.0
        cost: Floats | float = 0.0
        if terms.rebalanced[t]:
            if terms.before is not None:
                moved = terms.before[t] @ held
                growth = 1.0 + moved
                _drift(held, terms.before[t], moved)
            wanted = arrange(t)
            traded = np.subtract(last if terms.is_target else held, wanted, out=held)
            cost = _cost(terms, t, np.abs(traded, out=traded))
            held = wanted
        elif terms.gone[t].any():
            held[terms.gone[t]] = 0.0
        if terms.is_target:
            last = held.copy()
        after = terms.after[t] @ held + _interest(terms.carry, t, held)
        m = t - terms.start
        gross[m] = after if terms.before is None else growth * (1.0 + after) - 1.0
        net[m] = gross[m] - cost
        _drift(held, terms.after[t], after)
    return gross, net


def _drift(held: Floats, returns: Floats, earned: Floats) -> None:
    """`holding.drifted`, in place."""
    growth = 1.0 + earned
    held *= (1.0 + returns)[:, np.newaxis]
    held *= np.divide(1.0, growth, out=np.zeros_like(growth), where=growth > 0.0)


def _cost(terms: Terms, t: int, traded: Floats) -> Floats:
    cost: Floats = terms.fee[t] @ traded
    if terms.power is not None:
        cost = cost + terms.power[t] @ (traded * np.sqrt(traded))
    return cost


def _interest(carry: Carry, t: int, held: Floats) -> Floats | float:
    """`Carry.earned`, which has the names last; nothing where money is free."""
    during = carry.during(t)
    if not (np.any(during.rf) or during.spread or during.borrow):
        return 0.0
    interest: Interest = during.interest(held.T)
    return interest.cash - interest.financing - interest.borrow
