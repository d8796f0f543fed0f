"""What a book earned month by month: the lagged returns, turnover, costs and NAV.

Belongs here: the timing law from weights to monthly net returns. Does not: choosing weights
(`portfolio`), what a trade costs (`costs`), days (`daily`), statistics (`performance`), whose
benchmark it is (`research`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.costs import trading_costs
from factorlab_assets.core.holding import Carry, Legs, drifted, earned, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy


@dataclass(frozen=True)
class Backtest:
    """One entry per month, the first being the one after the book's start; decimals.

    gross_return = Σw·r + cash_return − financing − borrow; cost is the sum of commission, slippage,
    spread_cost and impact_cost; all of them parts of the NAV that the month started from. `rf` is
    the rate that cash earned. `n_volume_unknown` counts the names whose impact had to be assumed.
    Exposures and counts are of the book that earned the row: set at the month-end before.
    `n_unpriced` counts its names without a price at the row's own date, whose return is not whole
    yet. `benchmark_return` is NaN where the benchmark has no price. `drawdown` is ≤ 0.
    """

    dates: Dates
    gross_return: Floats
    cash_return: Floats
    financing: Floats
    borrow: Floats
    cost: Floats
    commission: Floats
    slippage: Floats
    spread_cost: Floats
    impact_cost: Floats
    net_return: Floats
    rf: Floats
    turnover: Floats
    benchmark_return: Floats
    nav: Floats
    drawdown: Floats
    gross_exposure: Floats
    net_exposure: Floats
    n_holdings: npt.NDArray[np.int64]
    n_unpriced: npt.NDArray[np.int64]
    n_volume_unknown: npt.NDArray[np.int64]

    @property
    def ended(self) -> str:
        """Why the run stopped early; empty where it did not."""
        if len(self.nav) == 0 or self.nav[-1] > 0.0:
            return ""
        return f"NAV at or below 0 on {self.dates[-1]}"


def simulate(
    strategy: Strategy, book: Book, panel: Panel, benchmark: Floats, carry: Carry | None = None
) -> Backtest:
    """Row t+1 is what weights row t earned from date t to date t+1.

    gross = Σw·r + (1 − Σw)·rf − max(Σw − 1, 0)·spread − Σ|w⁻|·borrow, the annual rates / 12 and rf
    as `holding.cash_returns` says; a held name's r is between its last known closes, so a month
    without a bar is 0 and the next bar books P_next/P_last − 1. With trade_at next_close or
    next_open the drifted old book earns from the close of t to that session, the new one from there
    (the month's cash return with it): gross = (1 + R_before)(1 + R_after) − 1.

    turnover = Σ|w_t − w_t^drift| (at the trade) or Σ|w_t − w_{t−1}| on dates that trade, else 0;
    cost: see `costs.trading_costs`; net = gross − cost; nav = Π(1 + net). A NAV at or below 0 is
    the last row.

    Parameters
    ----------
    panel : the strategy's universe. benchmark : (T,) return of the month that ends at each date.
    carry : what cash earns and loans cost; None: the cash ticker, if any, is looked up in `panel`.
    """
    carry = Carry.of(strategy, panel) if carry is None else carry
    rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    held = book.weights[:-1]

    after = earned(held, period.after, carry)
    old = at_trade(book, period, after)
    start = 1.0 if old.earned is None else 1.0 + old.earned
    gross = after if old.earned is None else start * (1.0 + after) - 1.0
    # Of a book that was lost before the trade nothing is lent; + 0.0 leaves no −0 behind.
    cash, financing, borrow = (np.maximum(start, 0.0) * x + 0.0 for x in carry.interest(held))
    before = old.weights
    if strategy.execution.turnover == "target":
        before = np.vstack([np.zeros_like(held[:1]), held[:-1]])
    traded = np.where(rebalanced[:-1, np.newaxis], np.abs(held - before), 0.0)
    paid = trading_costs(strategy.costs, panel, traded)
    net = gross - paid.total
    rows = slice(book.start, _stop(net, book.start))
    nav, is_held = growth(net[rows]), held != 0.0
    return Backtest(
        dates=panel.dates[1:][rows],
        gross_return=gross[rows],
        cash_return=cash[rows],
        financing=financing[rows],
        borrow=borrow[rows],
        cost=paid.total[rows],
        commission=paid.commission[rows],
        slippage=paid.slippage[rows],
        spread_cost=paid.spread[rows],
        impact_cost=paid.impact[rows],
        net_return=net[rows],
        rf=np.full(net.shape, carry.rf)[rows],
        turnover=paid.turnover[rows],
        benchmark_return=benchmark[1:][rows],
        nav=nav,
        drawdown=drawdown(nav),
        gross_exposure=np.abs(held[rows]).sum(axis=1),
        net_exposure=held[rows].sum(axis=1),
        n_holdings=is_held[rows].sum(axis=1),
        n_unpriced=(np.isnan(panel.price[1:]) & is_held)[rows].sum(axis=1),
        n_volume_unknown=paid.n_volume_unknown[rows],
    )


@dataclass(frozen=True)
class AtTrade:
    """The old book when the new weights of row t are traded, (T−1, N), and what it earned since
    the close of t, (T−1,); None where the trade is at that close."""

    weights: Floats
    earned: Floats | None


def at_trade(book: Book, period: Legs, after: Floats) -> AtTrade:
    """The book as it drifted up to each trade; `after` is what `period.after` earned it.

    Money waits one session at most for a trade at `next_close` or `next_open`: it earns nothing
    before it.
    """
    old = at_close(book, period, after)
    if period.before is None:
        return AtTrade(old, None)
    moved = (old * period.before).sum(axis=1)
    return AtTrade(drifted(old, period.before, moved), moved)


def at_close(book: Book, period: Legs, after: Floats) -> Floats:
    """The old book at the close of each date, before any trade: (T−1, N); see `at_trade`."""
    held = book.weights[:-1]
    old = np.zeros_like(held)
    old[1:] = drifted(held[:-1], period.after[:-1], after[:-1])
    return old


def growth(returns: Floats) -> Floats:
    """NAV of returns: 1 before the first entry, then Π(1 + r)."""
    return np.asarray(np.cumprod(1.0 + returns), dtype=np.float64)


def drawdown(nav: Floats) -> Floats:
    """NAV over its running maximum, less 1; NAV was 1 before the first entry.

    >>> drawdown(np.array([0.9, 1.2, 0.6])).round(12).tolist()
    [-0.1, 0.0, -0.5]
    """
    return np.asarray(nav / np.maximum.accumulate(np.maximum(nav, 1.0)) - 1.0)


def _stop(net: Floats, start: int) -> int:
    """The row after the one that brings NAV to 0 or below, else the end."""
    ruined = np.flatnonzero(1.0 + net[start:] <= 0.0)
    return len(net) if ruined.size == 0 else start + int(ruined[0]) + 1
