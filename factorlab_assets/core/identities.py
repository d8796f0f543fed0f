"""After the fact: does a stored book keep its constraints, does a backtest add up?

Belongs here: the judgements behind the blocking checks of `weights`, `backtest_returns` and
`daily_returns`; each returns the offending rows, none where all is well. Does not: look-ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.backtest import Backtest, drawdown, growth, simulate
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.holding import Bools, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.portfolio import UNPRICED, Book
from factorlab_assets.core.research import universe
from factorlab_assets.strategy import Resolved

TOLERANCE = 1e-12
"""Weights, returns and costs are sums of at most some thousand terms of order 1."""

Violations = list[dict[str, Any]]


def constraint_violations(resolved: Resolved, market: Panel, book: Book) -> Violations:
    """Dates and tickers that break what the strategy declares: sign, max_weight, gross, net.

    Every weight is a number, at least 0 in a long-only book. On dates that trade, |w| is at most
    max_weight, longs sum to at most (gross + net)/2 and shorts to (gross − net)/2 (what could not
    be placed is cash). Where names are held that cannot be traded, they are exempt, and Σ|w| may
    reach gross or what they alone amount to; in between weights drift.
    """
    panel, portfolio = universe(resolved, market), resolved.strategy.portfolio
    weights, limit = book.weights, portfolio.max_weight + TOLERANCE
    trades = rebalances(panel.dates, book.start, portfolio.rebalance_months)[:, np.newaxis]
    stuck = book.reason == UNPRICED
    found = _cells("not a number", ~np.isfinite(weights), weights, "finite", panel)
    if portfolio.type == "long_only":
        found += _cells("short position", weights < 0.0, weights, "at least 0", panel)
    heavy = (np.abs(weights) > limit) & trades & ~stuck
    found += _cells("max_weight", heavy, weights, f"at most {portfolio.max_weight:g}", panel)

    sums = {"long": np.maximum(weights, 0.0), "short": np.maximum(-weights, 0.0)}
    legs_of = {"long": portfolio.target_net, "short": -portfolio.target_net}
    frozen = np.where(stuck, np.abs(weights), 0.0).sum(axis=1)
    free = trades[:, 0] & (frozen == 0.0)
    if portfolio.weighting != "fixed":
        for side, net in legs_of.items():
            total, most = sums[side].sum(axis=1), (portfolio.gross + net) / 2.0
            bad = (total > most + TOLERANCE) & free
            found += _rows(f"{side} leg", bad, total, most, panel.dates)
    gross, most_gross = np.abs(weights).sum(axis=1), np.maximum(frozen, portfolio.gross)
    bad = (gross > most_gross + TOLERANCE) & trades[:, 0]
    return found + _rows("gross", bad, gross, most_gross, panel.dates)


def identity_violations(
    resolved: Resolved, market: Panel, book: Book, backtest: Backtest
) -> Violations:
    """Rows in which the backtest is not what the stored weights earn, or does not add up:
    cost = turnover·bps, net = gross − cost, nav = Π(1 + net), drawdown; or months are missing."""
    strategy = resolved.strategy
    again = simulate(strategy, book, universe(resolved, market), np.full(len(market.dates), np.nan))
    if not np.array_equal(again.dates, backtest.dates):
        got = [str(day) for day in backtest.dates[[0, -1]]] if len(backtest.dates) else []
        return [{"rule": "one row per month after the start", "got": got}]
    earned = ("gross_return", "rf", "turnover", "gross_exposure", "net_exposure")
    expected = {name: getattr(again, name) for name in (*earned, "n_holdings", "n_unpriced")}
    expected |= {
        "cost": backtest.turnover * (strategy.costs.tc_bps + strategy.costs.slippage_bps) / 1e4,
        "net_return": backtest.gross_return - backtest.cost,
        "nav": growth(backtest.net_return),
        "drawdown": drawdown(backtest.nav),
    }
    found: Violations = []
    for column, should in expected.items():
        value = getattr(backtest, column)
        found += _rows(column, _differ(value, should), value, should, backtest.dates)
    return found


def compounding_violations(daily: Daily, backtest: Backtest) -> Violations:
    """Months whose daily returns do not compound to the monthly net return within 1e-12, or whose
    last daily NAV or any daily drawdown is not that of the returns; days outside the backtest."""
    months = daily.dates.astype("datetime64[M]")
    own = backtest.dates.astype("datetime64[M]")
    place = np.searchsorted(own, months)
    stray = ~np.isin(months, own)
    found = _rows("day outside the backtest", stray, daily.net_return, np.nan, daily.dates)
    whole = np.ones(len(own))
    np.multiply.at(whole, place[~stray], 1.0 + daily.net_return[~stray])
    whole[~np.isin(own, months)] = np.nan
    differ = ~(np.abs(whole - 1.0 - backtest.net_return) <= TOLERANCE)
    found += _rows("days compound to month", differ, whole - 1.0, backtest.net_return, own)
    nav = growth(daily.net_return)
    found += _rows("nav", _differ(daily.nav, nav, 1e-9), daily.nav, nav, daily.dates)
    fall = drawdown(daily.nav)
    wrong = _differ(daily.drawdown, fall)
    return found + _rows("drawdown", wrong, daily.drawdown, fall, daily.dates)


def _differ(value: npt.NDArray[Any], should: npt.NDArray[Any], rel: float = TOLERANCE) -> Bools:
    """Not equal within `rel` of the larger of 1 and the value's size; NaN differs."""
    return np.asarray(~(np.abs(value - should) <= rel * np.maximum(1.0, np.abs(should))))


def _cells(rule: str, bad: Bools, weights: Floats, allowed: str, panel: Panel) -> Violations:
    return [
        {
            "rule": rule,
            "date": str(panel.dates[t]),
            "ticker": str(panel.tickers[n]),
            "got": float(weights[t, n]),
            "expected": allowed,
        }
        for t, n in np.argwhere(bad)
    ]


def _rows(
    rule: str, bad: Bools, value: npt.NDArray[Any], should: Any, dates: npt.NDArray[Any]
) -> Violations:
    should = np.broadcast_to(should, value.shape)
    return [
        {
            "rule": rule,
            "date": str(dates[t]),
            "got": float(value[t]),
            "expected": float(should[t]),
        }
        for t in np.flatnonzero(bad)
    ]
