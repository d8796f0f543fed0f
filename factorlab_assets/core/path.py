"""From what each date wants to what is held: drift, names that cannot be traded, trades not made.

Belongs here: everything in which a date's weights rest on those of the date before. Does not:
what a date wants (`weighting`, `construct`), or what a book earns (`backtest`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from factorlab_assets.core.book import (
    DELISTED,
    DRIFT,
    EARLIER,
    IN_BAND,
    SMALL_TRADE,
    UNPRICED,
    Book,
)
from factorlab_assets.core.construct import Day
from factorlab_assets.core.draft import Draft
from factorlab_assets.core.holding import Bools, Carry, drifted, earned, legs, rebalances
from factorlab_assets.core.limits import Declared
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.plan import Plan
from factorlab_assets.strategy import Strategy

DELISTED_AFTER = 3
"""Consecutive month-ends without a price after which a held name is cash at its last price."""
NEVER_LEFT = frozenset(("turnover", "min_trade"))
"""Limits that are kept whatever is not traded; others may drift beyond what is declared."""


def held(strategy: Strategy, panel: Panel, target: Book, carry: Carry | None) -> Book:
    """The targets as far as they could be traded, drifting in between."""
    weights, reason, start = target.weights, target.reason, target.start
    unpriced = ~np.isfinite(panel.seen)
    rebalanced = rebalances(panel.dates, start, strategy.schedule)
    # A date is only worth a step where it does not trade, or where somebody held has no price.
    cannot = unpriced[1:] & (weights[:-1] != 0.0)
    if rebalanced[start:].all() and not cannot.any():
        return target
    stuck = cannot.any(axis=1)
    weights, reason = weights.copy(), reason.copy()
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    carry = carry or Carry.of(strategy, panel)
    was_target = True
    for t in range(start + 1, len(weights)):
        if rebalanced[t] and was_target and not stuck[t - 1]:
            continue
        before, grown = weights[t - 1], period.after[t - 1]
        moved = drifted(before, grown, earned(before, grown, carry.during(t - 1)))
        was_target = bool(rebalanced[t])
        if not was_target:
            weights[t], reason[t] = moved, DRIFT
        stays, gone = _stuck(unpriced, t, moved)
        if not (stays | gone).any():
            continue
        if was_target:
            locked = np.abs(moved[stays]).sum() / strategy.portfolio.gross
            weights[t] *= max(1.0 - locked, 0.0)
        weights[t, stays], weights[t, gone] = moved[stays], 0.0
        reason[t, stays], reason[t, gone] = UNPRICED, DELISTED
        was_target &= not stays.any()
    target.outcome[~rebalanced] = ""
    return Book(weights, reason, start, target.outcome)


def _stuck(unpriced: Bools, t: int, moved: Floats) -> tuple[Bools, Bools]:
    """Who of those held has no price at date t, and who of these so long that it is cash now."""
    without = unpriced[t] & (moved != 0.0)
    gone = without & unpriced[max(t + 1 - DELISTED_AFTER, 0) : t].all(axis=0)
    return without & ~gone, gone


def stepped(plan: Plan, start: int, is_cash: Bools) -> Book:
    """The book date by date, where a date cannot be built without the one before it.

    Between rebalances weights drift; names without a price stay as they are, and are cash at their
    third such month-end in a row, as in `held`. At a rebalance the constructor's weights are the
    target, or the mean of the last `tranches` ones, each drifted since its own date as a book of
    its own (of as many as there are until then). Then:

    - a volatility or beta target scales what can be traded;
    - `band`: a name whose drifted weight is off its target by at most band · |target| is not
      traded, unless it breaks max_weight or min_weight; `min_trade`: nor is one whose trade would
      be smaller. What that leaves undone goes to or comes from cash; where the legs or gross would
      be exceeded, all purchases are cut by one factor (and not made where they become smaller than
      min_trade). Limits that still do not hold, because of what drifted, are recorded as relaxed.

    Parameters
    ----------
    is_cash : (T,) dates with too few names.
    """
    strategy, panel = plan.strategy, plan.known.panel
    weights = np.zeros_like(plan.target.weights)
    book = Book(weights, plan.target.reason.copy(), start)
    unpriced = ~np.isfinite(panel.seen)
    rebalanced = rebalances(panel.dates, start, strategy.schedule)
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    carry = plan.known.carry or Carry.of(strategy, panel)
    tranches: list[Floats] = []
    for t in range(start, len(weights)):
        before, moved = None, np.zeros(len(panel.tickers))
        if t > start:
            grown, during = period.after[t - 1], carry.during(t - 1)
            before = moved = _drift(weights[t - 1], grown, during)
            tranches = [_drift(each, grown, during) for each in tranches]
        stays, gone = _stuck(unpriced, t, moved)
        for each in (moved, *tranches):
            each[gone] = 0.0
        if rebalanced[t]:
            day = plan.day(t, before, stays)
            draft = day.on_target(_drafted(strategy, day, tranches, is_cash=bool(is_cash[t])))
            _trade(strategy, day, draft)
            weights[t], book.reason[t], book.outcome[t] = draft.weights, draft.reason, draft.outcome
        else:
            weights[t], book.reason[t] = moved, DRIFT
        book.reason[t, stays], book.reason[t, gone] = UNPRICED, DELISTED
    return book


def _drift(weights: Floats, grown: Floats, carry: Carry) -> Floats:
    return drifted(weights, grown, earned(weights, grown, carry))


def _drafted(strategy: Strategy, day: Day, tranches: list[Floats], *, is_cash: bool) -> Draft:
    """What a date wants: its own target, or the mean of the last ones, which it joins."""
    count, now = strategy.schedule.tranches, day.now
    if count == 1:
        return day.drafted(is_cash=is_cash)
    nobody = np.zeros_like(now.stays)
    alone = replace(now, stays=nobody, before=tranches[-1] if tranches else None)
    draft = replace(day, now=alone).drafted(is_cash=is_cash)
    if draft.kept:  # the newest tranche repeats the one before it
        draft.note(f"newest tranche as the last: {draft.kept}")
        draft.kept = ""
    tranches[:] = [*tranches, draft.weights][-count:]
    row = np.mean(tranches, axis=0)
    draft.reason[(row != 0.0) & (draft.weights == 0.0)] = EARLIER
    free = np.where(now.stays, 0.0, row)
    room = max(day.declared.gross - float(np.abs(now.frozen).sum()), 0.0)
    total = float(np.abs(free).sum())
    if now.stays.any() and total > room:
        free *= room / total
    draft.weights = free + now.frozen
    return draft


def _trade(strategy: Strategy, day: Day, draft: Draft) -> None:
    """Leave undone what band and min_trade forbid; say which limits do not hold for it."""
    portfolio, band = strategy.portfolio, strategy.schedule.band
    declared, now = day.declared, day.now
    if not (band or portfolio.min_trade or strategy.schedule.tranches > 1) or draft.kept:
        return
    target = draft.weights
    before = np.zeros_like(target) if now.before is None else now.before
    size, off = np.abs(declared.named(before)), np.abs(target - before)
    wrong = size > portfolio.max_weight + declared.tolerance
    if portfolio.min_weight is not None:
        wrong |= (size > 0.0) & (size < portfolio.min_weight)
    small = off < portfolio.min_trade
    idle = (small | ((off <= band * np.abs(target)) & ~wrong)) & (off > 0.0) & ~now.stays
    draft.weights = np.where(idle, before, target)
    if idle.any():
        _cut_purchases(declared, draft, before, idle | now.stays)
        draft.reason[idle] = np.where(small, SMALL_TRADE, IN_BAND)[idle]
    draft.relax(set(declared.broken(draft.weights, now)) - NEVER_LEFT)


def _cut_purchases(declared: Declared, draft: Draft, before: Floats, idle: Bools) -> None:
    """Cut what is bought of each leg, then of both, by one factor until legs and gross fit."""

    def cut(sides: tuple[float, ...], most: float) -> None:
        now = draft.weights
        of_sides = np.isin(np.sign(now), sides)
        was = np.where(np.sign(before) == np.sign(now), np.abs(before), 0.0)
        bought = np.where(of_sides & ~idle, np.maximum(np.abs(now) - was, 0.0), 0.0)
        excess, total = float(np.abs(now[of_sides]).sum()) - most, float(bought.sum())
        if excess > declared.tolerance and total > 0.0:
            draft.weights = now - np.sign(now) * bought * min(excess / total, 1.0)

    for side, most in zip((1.0, -1.0), declared.legs, strict=True):
        cut((side,), most)
    cut((1.0, -1.0), declared.gross)
    undone = ~idle & (np.abs(draft.weights - before) < declared.portfolio.min_trade)
    draft.weights = np.where(undone, before, draft.weights)
