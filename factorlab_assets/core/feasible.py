"""Weights of one date that a solver finds within the declared limits.

Belongs here: the limits in a solver's terms, and fewer names until none is too small or too many.
Does not: which objective, or what to relax where there is no solution (`construct`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.limits import DUST, Declared, Moment
from factorlab_assets.core.optimise import Limits, Solution
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.risk_weights import Unsolved, solved
from factorlab_assets.core.weighting import capped

ROUNDED = 8
"""Digits to which two weights are the same."""
Objective = Callable[[npt.NDArray[np.intp], Limits], Solution]
"""What is to be solved for these columns of the panel."""


@dataclass(frozen=True)
class Wish:
    """What a book of one date should be, before limits; (N,) arrays.

    names : who may get a weight, on which side. totals : Σ|w| of all, or of longs and of shorts.
    is_flexible : whether a turnover cap may leave Σ|w| anywhere between what is held and the
    total; else it goes as far towards it as the cap lets it. penalty : on turnover.
    """

    names: Bools
    side: Floats
    totals: tuple[float, ...]
    is_flexible: bool = True
    penalty: float = 0.0


def within(
    declared: Declared,
    now: Moment,
    wish: Wish,
    objective: Objective,
    able: Bools,
    *,
    groups: bool,
    turnover: bool,
) -> Floats:
    """Weights (N,) under all limits, without those of groups or turnover where these are False.

    Signs are fixed: a wished name is on its side, one that is only sold stays on the side on which
    it is held. Names below min_weight are left out, the smallest first, and what is left is solved
    again; so are names beyond max_names, those not held before first.

    Under a turnover cap names that are held but not wished may be sold in part: as the objective
    has it where the wish is flexible; else, since it has nothing to say of them, all by one factor,
    as far as half the cap goes, the other half being what is bought for them.

    Parameters
    ----------
    able : (N,) whom the objective knows. Others that are held are sold.

    Raises
    ------
    Unsolved : nothing keeps to these limits.
    """
    dropped = np.zeros(len(wish.names), dtype=np.bool_)
    cap = declared.portfolio.max_turnover if turnover and now.before is not None else None
    held = np.where(now.stays, 0.0, 0.0 if now.before is None else now.before)
    while True:
        names, side, fixed = wish.names & able & ~dropped & ~now.stays, wish.side, now.frozen
        left = np.where(wish.names | dropped, 0.0, held)
        if cap is not None and wish.is_flexible:
            names, side = names | (left != 0.0), np.where(left != 0.0, np.sign(left), side)
        elif cap is not None:
            fixed += left * max(1.0 - cap / max(2.0 * float(np.abs(left).sum()), cap), 0.0)
        at = _At(np.flatnonzero(names), side[names], fixed, held, bool(dropped.any()))
        row = fixed.copy()
        if at.columns.size:
            found = solved(objective(at.columns, _limits(declared, now, wish, at, groups, cap)))
            row[at.columns] = np.where(np.abs(found) < DUST, 0.0, found)
        elif _is_wrong(declared, now, fixed, groups=groups, turnover=cap is not None):
            raise Unsolved("infeasible: nobody is left to be held")
        out = too_much(declared, now, row)
        if not out.any():
            return row
        dropped |= out


@dataclass(frozen=True)
class _At:
    """Where a problem is: its columns (n,) and their sides, what all others weigh (N,), what could
    be traded of what was held before (N,), and whether names had to go."""

    columns: npt.NDArray[np.intp]
    side: Floats
    fixed: Floats
    held: Floats
    has_dropped: bool


def _is_wrong(
    declared: Declared, now: Moment, row: Floats, *, groups: bool, turnover: bool
) -> bool:
    broken = declared.broken(row, now)
    return (groups and "groups" in broken) or (turnover and "turnover" in broken)


def _limits(
    declared: Declared, now: Moment, wish: Wish, at: _At, groups: bool, cap: float | None
) -> Limits:
    """The limits of a problem; `cap` on the turnover of the whole book."""
    columns, side = at.columns, at.side
    most = np.full(len(columns), declared.portfolio.max_weight)
    most[columns == declared.safe] = declared.gross
    goes = ~wish.names[columns]
    most[goes] = np.minimum(most[goes], np.abs(at.held[columns[goes]]))
    bounds: list[tuple[Floats, float, float]] = []
    for group in declared.groups if groups else ():
        own = float(at.fixed[group.names].sum())
        mask = group.names[columns].astype(np.float64)
        bounds.append((mask, group.least - own, group.most - own))
    if cap is not None:
        others = np.where(now.stays, 0.0, np.abs(at.held - at.fixed))
        others[columns] = 0.0
        sold = float(others.sum())
        if sold > cap + declared.tolerance:
            raise Unsolved(f"infeasible: {sold:.6g} has to be sold, more than max_turnover")
        cap = max(cap - sold, 0.0)
    legs, ranges = _totals(declared, now, wish, at, most, groups, cap)
    is_held = now.before is not None and (cap is not None or wish.penalty)
    return Limits(
        np.where(side > 0.0, 0.0, -most),
        np.where(side > 0.0, most, 0.0),
        tuple(legs),
        (*bounds, *ranges),
        at.held[columns] if is_held else None,
        cap,
        wish.penalty,
    )


def _totals(
    declared: Declared,
    now: Moment,
    wish: Wish,
    at: _At,
    most: Floats,
    groups: bool,
    cap: float | None,
) -> tuple[list[tuple[Floats, float]], list[tuple[Floats, float, float]]]:
    """What the columns sum to, leg by leg or all together: equations, and ranges."""
    legs, ranges = [], []
    left = np.where(now.stays, 0.0, at.fixed)
    if len(wish.totals) == 2:
        for sign, total in zip((1.0, -1.0), wish.totals, strict=True):
            of_leg = at.side == sign
            total -= float(np.maximum(sign * left, 0.0).sum())
            total = min(max(total, 0.0), float(most[of_leg].sum()))
            legs.append((of_leg.astype(np.float64), sign * total))
    else:
        held, rest = float(np.abs(at.held).sum()), float(np.abs(left).sum())
        room = declared.gross - float(np.abs(at.fixed).sum())
        total = least = _placeable(declared, wish.totals[0] - rest, at, most, groups)
        if cap is not None and wish.is_flexible:
            # A name that may not be bought yet leaves cash for it, which nothing else should fill.
            least = 0.0 if at.has_dropped else min(total, held)
            total = max(total, min(held, room))
        elif cap is not None:
            own = float(np.abs(at.held[at.columns]).sum())
            least = total = min(float(np.clip(total, own - cap, own + cap)), room)
        if least == total:
            legs.append((at.side, total))
        else:
            ranges.append((at.side, least, total))
    if declared.portfolio.is_beta_neutral and now.betas is not None:
        betas = np.nan_to_num(now.betas)
        legs.append((betas[at.columns], -float((betas * left).sum())))
    return legs, ranges


def _placeable(declared: Declared, total: float, at: _At, most: Floats, groups: bool) -> float:
    """How much of a total the limits on names and the most of groups leave room for."""
    room = float(most.sum())
    if groups and (at.side > 0.0).all():
        for group in declared.groups:
            own = float(most[group.names[at.columns]].sum())
            room -= max(own - max(group.most - float(at.fixed[group.names].sum()), 0.0), 0.0)
    return min(max(total, 0.0), room)


def too_much(declared: Declared, now: Moment, row: Floats) -> Bools:
    """Who has to go next because of min_weight or max_names, (N,); nobody where both hold.

    Of names below min_weight the smallest one, or as many as are more than could each reach it. Of
    names beyond max_names half of the excess, those not held before first.
    """
    portfolio = declared.portfolio
    out = np.zeros(len(row), dtype=np.bool_)
    size = np.where(now.stays, 0.0, np.abs(declared.named(row)))
    count, least = np.count_nonzero(size), portfolio.min_weight
    if least is not None:
        small = (size > 0.0) & (size < least - declared.tolerance)
        if small.any():
            reach = int(np.floor(size.sum() / least + declared.tolerance))
            out[_smallest(now, row, small)[: max(count - reach, 1)]] = True
            return out
    if portfolio.max_names is not None and count > portfolio.max_names:
        new = size > 0.0
        if now.before is not None and (new & (now.before == 0.0)).any():
            new &= now.before == 0.0
        excess = count - portfolio.max_names
        out[_smallest(now, row, new)[: -(-excess // 2)]] = True
    return out


def _smallest(now: Moment, row: Floats, among: Bools) -> npt.NDArray[np.intp]:
    """Columns of the smallest first; of ties, who has the lower score (of shorts the higher), then
    who was held less, then the later column."""
    columns = np.flatnonzero(among)[::-1]
    weight = row[columns]
    score = np.where(np.isnan(now.score[columns]), -np.inf, np.sign(weight) * now.score[columns])
    before = weight if now.before is None else now.before[columns]
    # A solver makes weights equal but for their last digits.
    order = np.lexsort((np.abs(before), score, np.round(np.abs(weight), ROUNDED)))
    return columns[order]


def fewer(declared: Declared, now: Moment, row: Floats, is_one: bool) -> Floats:
    """The weights (N,) without names that are too small or too many, each leg's total given to its
    others in proportion, as far as max_weight lets it; both legs are one where `is_one`."""
    cap = declared.portfolio.max_weight
    safe = np.zeros(len(row), dtype=np.bool_)
    if declared.safe is not None:
        safe[declared.safe] = True
    kept = row.copy()
    while (out := too_much(declared, now, kept)).any():
        kept[out] = 0.0
        sides = [np.ones(len(row), dtype=np.bool_)] if is_one else [row > 0.0, row < 0.0]
        for leg in sides:
            free = leg & ~safe & ~now.stays
            total = np.abs(np.where(free, row, 0.0)).sum()
            left = np.abs(np.where(free, kept, 0.0))
            if left.sum() > 0.0:
                share = capped(left[np.newaxis] * (total / left.sum()), cap)
                kept[free] = np.copysign(share[0], kept)[free]
    return kept
