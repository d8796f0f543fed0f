"""The strategy with one thing changed: how much of its figures hangs on that one thing.

Belongs here: costs, starts and years, which need no other book; and the order of all tests. Does
not: books that are built anew (`variants`), or random portfolios (`bracket`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import Book
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.evaluation.variants import (
    LEAST_MONTHS,
    Earned,
    Row,
    by_change,
    delays,
    figures,
    joined,
    rebalance_days,
    summary,
    tickers_left_out,
    too_few,
    without_figures,
)
from factorlab_assets.evaluation_settings import Robustness
from factorlab_assets.strategy import Resolved

LEAST_MONTHS_FROM_START = 36
"""A shorter history from a later start says little but what its last years were like."""


def robustness(
    resolved: Resolved,
    market: Panel,
    book: Book,
    backtest: Backtest,
    settings: Robustness,
    market_at: Callable[[int], Panel],
) -> list[Row]:
    """Rows of `robustness`, less month and strategy: every test, its settings by `position`.

    cagr, sharpe and excess_ann as `performance.metrics` says; sharpe_change is the Sharpe ratio
    less that of the strategy as it is, over the same months where a changed book has others.

    - cost — the same book where commission and slippage are costs_bps of turnover: Σ|Δw|·bps/10 000
      of NAV; spread and impact stay. break_even — value_bps at which the mean net return, its mean
      excess over the benchmark, or the growth rate is 0.
    - delay — every factor's delay and so many months more. start — from January of each later year.
      rebalance_day — months that end so many trading days before their last.
    - without_ticker, without_year — one left out, the one it hangs on most first.

    Tests of many settings end with the minimum, median and maximum, each figure by itself.

    Parameters
    ----------
    market, book, backtest : what the strategy ran on, and what it gave.
    market_at : sessions before the month's last -> the same market on months that end there.

    Returns
    -------
    One dict per row. What cannot be computed is a row without figures, and `note` says why; a book
    without a month has no rows.
    """
    if len(backtest.dates) == 0:
        return []
    shared = market if isinstance(market, SharedPanel) else SharedPanel.of(market)
    own = Earned.of(backtest)
    tests: dict[str, list[Row]] = {
        "cost": costs(backtest, settings.costs_bps),
        "break_even": break_even(backtest),
        "delay": delays(resolved, shared, own, settings.delays),
        "start": starts(own),
        "rebalance_day": rebalance_days(
            resolved, shared, own, market_at, market.dates[book.start], settings.rebalance_days
        ),
        "without_ticker": tickers_left_out(resolved, shared, book, own, settings.most_tickers),
        "without_year": years_left_out(own),
    }
    return [
        {"test": test, "position": position, "value_bps": np.nan} | row
        for test, rows in tests.items()
        for position, row in enumerate(rows)
    ]


def costs(backtest: Backtest, costs_bps: tuple[float, ...]) -> list[Row]:
    """The same book at other costs: net = gross − spread − impact − turnover·bps/10 000."""
    sharpe = figures(Earned.of(backtest))["sharpe"]
    note = "commission and slippage together, of what is traded; spread and impact as they are"
    rows = []
    for bps in costs_bps:
        said = _figures_at(backtest, bps / 1e4, sharpe)
        about = {"setting": f"{bps:.12g} bps", "value_bps": bps}
        rows.append(said | about | {"note": joined(said["note"], note)})
    return rows


def break_even(backtest: Backtest) -> list[Row]:
    """The cost of turnover, in basis points, at which nothing is left, by three measures.

    With net(c) = g − τ·c, g the gross return less spread and impact, τ the turnover: the mean net
    return is 0 at c = Σg/Στ, its excess over the benchmark b at Σ(g − b)/Στ (of months in which b
    is known), and Π(1 + net(c)) is 1 at the c that bisection finds; never above the first.
    """
    before, turnover = _before(backtest), backtest.turnover
    sharpe = figures(Earned.of(backtest))["sharpe"]
    if len(before) < LEAST_MONTHS:
        said = without_figures(len(before), too_few(len(before))) | {"value_bps": np.nan}
        return [said | {"setting": name} for name in _BREAK_EVEN]
    known = np.isfinite(backtest.benchmark_return)
    traded = turnover > 0.0
    ruin = float(((1.0 + before[traded]) / turnover[traded]).min(initial=np.inf))
    mean = _zero_of_mean(before, turnover, ruin, "it loses before costs")
    above = (before - backtest.benchmark_return)[known]
    worse = "it is not above its benchmark before costs"
    excess = _zero_of_mean(above, turnover[known], ruin, worse)
    found = (mean, excess, _zero_of_growth(before, turnover, min(mean[0], ruin)))
    rows = []
    for name, (cost, reason) in zip(_BREAK_EVEN, found, strict=True):
        if reason:
            said = without_figures(len(before), reason) | {"value_bps": np.nan}
        else:
            said = _figures_at(backtest, cost, sharpe) | {"value_bps": cost * 1e4}
        rows.append(said | {"setting": name})
    return rows


_BREAK_EVEN = ("mean net return", "mean excess over the benchmark", "cagr")


def starts(own: Earned) -> list[Row]:
    """The same returns from January of each year after the first on."""
    sharpe = figures(own)["sharpe"]
    rows = []
    for year in np.unique(own.years)[1:]:
        said = figures(own.of_rows(own.years >= year), sharpe, least=LEAST_MONTHS_FROM_START)
        rows.append(said | {"setting": str(year)})
    return [*rows, *summary(rows, "starts")]


def years_left_out(own: Earned) -> list[Row]:
    """The same returns less one calendar year, the year that the Sharpe ratio hangs on most first.

    The months left are scattered: they have no growth rate.
    """
    sharpe = figures(own)["sharpe"]
    rows = []
    for year in np.unique(own.years):
        left = own.years != year
        said = figures(own.of_rows(left), sharpe) | {"cagr": np.nan}
        note = joined(said["note"], f"{np.count_nonzero(~left)} months left out")
        rows.append(said | {"setting": str(year), "note": note})
    rows = by_change(rows)
    return [*rows, *summary(rows, "years")]


def _before(backtest: Backtest) -> Floats:
    """Returns before commission and slippage, (T,)."""
    return backtest.gross_return - backtest.spread_cost - backtest.impact_cost


def _figures_at(backtest: Backtest, cost: float, sharpe: float) -> Row:
    """The figures where turnover costs that much, a decimal."""
    own = Earned.of(backtest)._replace(net=_before(backtest) - backtest.turnover * cost)
    ruined = np.flatnonzero(1.0 + own.net <= 0.0)
    if ruined.size:
        return without_figures(len(own.net), f"NAV at or below 0 on {backtest.dates[ruined[0]]}")
    return figures(own, sharpe)


def _zero_of_mean(gain: Floats, turnover: Floats, ruin: float, never: str) -> tuple[float, str]:
    """The cost, below `ruin`, at which Σ(gain − turnover·cost) = 0; else ∞ and why."""
    if len(gain) < LEAST_MONTHS:
        return np.inf, f"the benchmark is known in {too_few(len(gain))}"
    if not turnover.any():
        return np.inf, _NO_TURNOVER
    if gain.sum() <= 0.0:
        return np.inf, f"never: {never}"
    cost = float(gain.sum() / turnover.sum())
    if cost >= ruin:
        return np.inf, f"none: at {ruin * 1e4:.6g} bps the costs of one month take all capital"
    return cost, ""


_NO_TURNOVER = "no turnover: costs of trading take nothing"


def _zero_of_growth(before: Floats, turnover: Floats, high: float) -> tuple[float, str]:
    """The cost in 0 … high at which Π(1 + before − turnover·cost) = 1; else ∞ and why.

    log(1 + x) ≤ x: growth is gone no later than the mean is, and at a cost that ruins.
    """

    def grows(cost: float) -> bool:
        nav = 1.0 + before - turnover * cost
        return bool((nav > 0.0).all() and np.log(nav).sum() > 0.0)

    if not turnover.any():
        return np.inf, _NO_TURNOVER
    if not grows(0.0):
        return np.inf, "never: it does not grow before costs"
    low = 0.0
    while (middle := 0.5 * (low + high)) not in (low, high):
        low, high = (middle, high) if grows(middle) else (low, middle)
    return low, ""
