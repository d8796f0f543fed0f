"""After the fact: does a stored book keep its constraints, does a backtest add up?

Belongs here: the judgements behind the blocking checks of `weights`, `backtest_returns` and
`daily_returns`; each returns the offending rows, none where all is well. Does not: look-ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.backtest import Backtest, drawdown, growth, simulate
from factorlab_assets.core.book import DELISTED, UNPRICED, Book, relaxed_of
from factorlab_assets.core.calendar import months_of
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.holding import Bools, Carry, drifted, earned, legs, rebalances
from factorlab_assets.core.limits import Declared, Moment, is_stepped
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.risk import betas
from factorlab_assets.core.signals import universe
from factorlab_assets.strategy import Resolved

TOLERANCE = 1e-12
"""Returns and costs are sums of at most some thousand terms of order 1."""
_ELSEWHERE = {"max_weight", "long leg", "short leg", "gross"}
"""Rules that whole histories are held against at once."""

Violations = list[dict[str, Any]]

_AGAIN = (
    *("gross_return", "cash_return", "financing", "borrow", "rf", "turnover"),
    *("commission", "slippage", "spread_cost", "impact_cost", "n_volume_unknown"),
    *("gross_exposure", "net_exposure", "n_holdings", "n_unpriced"),
)
"""Columns that follow from the weights and prices alone."""


def constraint_violations(resolved: Resolved, market: Panel, book: Book) -> Violations:
    """Dates and tickers that break what the strategy declares, unless the date says so itself.

    Every weight is a number, at least 0 in a long-only book. On dates that trade, |w| is at most
    max_weight, longs sum to at most (gross + net)/2 and shorts to (gross − net)/2 (what could not
    be placed is cash), and every other limit of `limits.Declared` holds. Where names are held that
    cannot be traded, they are exempt, and Σ|w| may reach gross or what they alone amount to; in
    between weights drift. `Book.outcome` names the limits that a date does not keep.
    """
    panel, strategy = universe(resolved, market), resolved.strategy
    portfolio, weights = strategy.portfolio, book.weights
    declared = Declared.of(strategy, panel, resolved.groups.get(portfolio.group_by, {}))
    trades = rebalances(panel.dates, book.start, strategy.schedule)
    said = [relaxed_of(outcome) for outcome in book.outcome]

    def holds(rule: str) -> Bools:
        exempt = [rule in names or "all" in names for names in said]
        return np.asarray(trades & ~np.array(exempt, dtype=np.bool_))

    stuck = book.reason == UNPRICED
    found = _cells("not a number", ~np.isfinite(weights), weights, "finite", panel)
    if portfolio.type == "long_only":
        found += _cells("short position", weights < 0.0, weights, "at least 0", panel)
    size = np.abs(declared.named(weights))
    heavy = (size > portfolio.max_weight + declared.tolerance) & ~stuck
    heavy &= holds("max_weight")[:, np.newaxis]
    found += _cells("max_weight", heavy, weights, f"at most {portfolio.max_weight:g}", panel)

    frozen = np.where(stuck, np.abs(weights), 0.0).sum(axis=1)
    if portfolio.weighting != "fixed":
        for side, sign, most in zip(("long", "short"), (1.0, -1.0), declared.legs, strict=True):
            total = np.maximum(sign * weights, 0.0).sum(axis=1)
            bad = (total > most + declared.tolerance) & holds(f"{side} leg") & (frozen == 0.0)
            found += _rows(f"{side} leg", bad, total, most, panel.dates)
    gross, most_gross = np.abs(weights).sum(axis=1), np.maximum(frozen, declared.gross)
    bad = (gross > most_gross + declared.tolerance) & holds("gross")
    found += _rows("gross", bad, gross, most_gross, panel.dates)
    says_more = is_stepped(strategy) or portfolio.max_names is not None
    if not says_more or not np.isfinite(weights).all():
        return found
    return found + _stepped_violations(resolved, market, book, declared, said)


def _stepped_violations(
    resolved: Resolved, market: Panel, book: Book, declared: Declared, said: list[set[str]]
) -> Violations:
    """Limits that a date breaks without a word, beyond those of single names, legs and gross."""
    panel, strategy = universe(resolved, market), resolved.strategy
    portfolio = strategy.portfolio
    trades = rebalances(panel.dates, book.start, strategy.schedule)
    period, carry = legs(panel, trades, strategy.execution.trade_at), Carry.of(strategy, market)
    beta_of = betas(portfolio.beta, panel, market) if portfolio.needs_beta else None
    found: Violations = []
    for t in np.flatnonzero(trades).tolist():
        if "all" in said[t]:
            continue
        before = None
        if t > book.start:
            held, grown = book.weights[t - 1], period.after[t - 1]
            before = drifted(held, grown, earned(held, grown, carry.during(t - 1)))
            before[book.reason[t] == DELISTED] = 0.0
        stays = book.reason[t] == UNPRICED
        now = Moment.at(portfolio, panel, beta_of, book.weights, t, before, stays)
        broken = set(declared.broken(book.weights[t], now)) - _ELSEWHERE - said[t]
        about = {"date": str(panel.dates[t]), "got": book.outcome[t] or "no word of it"}
        expected = {"expected": "kept, or said to be relaxed"}
        found += [{"rule": rule} | about | expected for rule in sorted(broken)]
    return found


def identity_violations(
    resolved: Resolved, market: Panel, book: Book, backtest: Backtest
) -> Violations:
    """Rows in which the backtest is not what the stored weights earn, or does not add up:
    every part of gross_return and cost, cost = turnover·bps + spread + impact, net = gross − cost,
    nav = Π(1 + net), drawdown; or months are missing."""
    strategy = resolved.strategy
    panel, carry = universe(resolved, market), Carry.of(strategy, market)
    again = simulate(strategy, book, panel, np.full(len(market.dates), np.nan), carry)
    if not np.array_equal(again.dates, backtest.dates):
        got = [str(day) for day in backtest.dates[[0, -1]]] if len(backtest.dates) else []
        return [{"rule": "one row per month after the start", "got": got}]
    expected = {name: getattr(again, name) for name in _AGAIN}
    linear = backtest.turnover * (strategy.costs.tc_bps + strategy.costs.slippage_bps) / 1e4
    expected |= {
        "cost": linear + backtest.spread_cost + backtest.impact_cost,
        "net_return": backtest.gross_return - backtest.cost,
        "nav": growth(backtest.net_return),
        "drawdown": drawdown(backtest.nav),
    }
    found: Violations = []
    for column, should in expected.items():
        value = getattr(backtest, column)
        found += _rows(column, _differ(value, should), value, should, backtest.dates)
    return found


def compounding_violations(daily: Daily, backtest: Backtest, days_before: int = 0) -> Violations:
    """Months whose daily returns do not compound to the monthly net return within 1e-12, or whose
    last daily NAV or any daily drawdown is not that of the returns; days outside the backtest.

    Its months end `days_before` sessions before their last one. From the month on in which the
    days end with a NAV at or below 0 the months may have recovered: they are not compared.
    """
    months, own = (months_of(each.dates, days_before) for each in (daily, backtest))
    place = np.searchsorted(own, months)
    stray = ~np.isin(months, own)
    found = _rows("day outside the backtest", stray, daily.net_return, np.nan, daily.dates)
    whole = np.ones(len(own))
    np.multiply.at(whole, place[~stray], 1.0 + daily.net_return[~stray])
    whole[~np.isin(own, months)] = np.nan
    differ = ~(np.abs(whole - 1.0 - backtest.net_return) <= TOLERANCE)
    if len(daily.nav) and daily.nav[-1] <= 0.0:
        differ[own >= months[-1]] = False
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
