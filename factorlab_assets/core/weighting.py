"""How much of its leg each chosen name gets where no covariance is needed, and the cap on it.

Belongs here: equal, signal, rank and fixed weights, and max_weight, over whole histories at once.
Does not: who is chosen (`selection`), weights from a covariance (`construct`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.book import (
    AT_MAX_WEIGHT,
    FILTERED,
    NOT_POSITIVE,
    NOT_SELECTED,
    SAFE,
    SELECTED,
    TO_SAFE,
    TOO_MANY,
)
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.selection import Chosen, Known, column, fixed_weights
from factorlab_assets.strategy_book import Portfolio

Codes = npt.NDArray[np.int8]

ROUNDING = 1e-12
"""Of a sum of weights."""


@dataclass(frozen=True)
class Part:
    """Names that share one total: a leg, or all names of a book whose legs nothing fixes.

    side : 1 long, −1 short; (T, N) where a part has both. chosen : (T, N). total : Σ|w|.
    """

    side: float | Floats
    chosen: Bools
    total: float


def parts(portfolio: Portfolio, chosen: Chosen) -> Iterator[Part]:
    """The parts of a book: longs sum to (gross + net)/2, shorts to (gross − net)/2; where the score
    decides each name's side, both together to gross."""
    net = portfolio.target_net
    if portfolio.is_directional and chosen.shorts is not None:
        sides = np.where(chosen.shorts, -1.0, 1.0)
        yield Part(sides, chosen.longs | chosen.shorts, portfolio.gross)
        return
    for side, names, total in (
        (1.0, chosen.longs, (portfolio.gross + net) / 2.0),
        (-1.0, chosen.shorts, (portfolio.gross - net) / 2.0),
    ):
        if names is not None and (total != 0.0 or portfolio.weighting == "fixed"):
            yield Part(side, names, total)


@dataclass(frozen=True)
class Targets:
    """What each date would hold if everything could be traded, and why, (T, N).

    has_rest : (T,) whether max_weight left no room for all of it.
    """

    weights: Floats
    reason: Codes
    has_rest: Bools


def targets(portfolio: Portfolio, known: Known, chosen: Chosen) -> Targets:
    """The weights of every date by the strategy's weighting, no covariance asked for.

    - `equal` gives each name 1/k of its part, for the top_k asked for: empty slots stay cash.
      `signal` is proportional to max(score, 0), for shorts to max(−score, 0); `rank` to the rank
      within the part, 1 for the weakest, ties by ticker. `fixed` is as given.
    - The share of a name that fails only_positive goes to safe, or stays cash.
    - max_weight: the excess goes to the part's other names in proportion until none exceeds it;
      what cannot be placed stays cash. The safe ticker stands for cash and has no cap.
    """
    weights = np.zeros(known.score.shape)
    reason = np.full(known.score.shape, NOT_SELECTED, dtype=np.int8)
    lost, has_rest = np.zeros(len(weights)), np.zeros(len(weights), dtype=np.bool_)
    fixed = fixed_weights(portfolio, known.panel) if portfolio.fixed_weights else None
    for part in parts(portfolio, chosen):
        side, names = part.side, part.chosen
        if fixed is not None:
            share = np.where(names, side * fixed, 0.0)
        elif portfolio.weighting == "signal":
            share = proportional(np.where(names, side * known.score, 0.0), part.total)
        elif portfolio.weighting == "rank":
            share = proportional(ranks(side, known.score, names), part.total)
        else:
            share = np.where(names, part.total / chosen.slots[:, np.newaxis], 0.0)
        np.putmask(reason, names, SELECTED)
        np.putmask(reason, names & (share == 0.0), NOT_POSITIVE)
        share, taken = filtered(share, part, chosen, fixed)
        lost += taken
        if (share > portfolio.max_weight).any():
            whole = share.sum(axis=1)
            share = capped(share, portfolio.max_weight)
            has_rest |= share.sum(axis=1) < whole - ROUNDING
        np.putmask(reason, names & (share >= portfolio.max_weight), AT_MAX_WEIGHT)
        weights += side * share
    if known.raw_filter is not None or chosen.beyond is not None:
        safe = column(known.panel, portfolio.select.safe)
        give_to_safe(safe, has_safe(known.panel, safe), chosen, lost, weights, reason)
    return Targets(weights, reason, has_rest)


def has_safe(panel: Panel, safe: int | None) -> Bools:
    """Whether there is a safe ticker with a price, (T,)."""
    if safe is None:
        return np.zeros(len(panel.dates), dtype=np.bool_)
    return np.isfinite(panel.seen[:, safe])


def filtered(
    share: Floats, part: Part, chosen: Chosen, fixed: Floats | None = None
) -> tuple[Floats, Floats]:
    """The shares that only_positive and breadth leave, and the sum of what they take, (T,)."""
    if chosen.to_safe is not None and chosen.unranked is not None:
        kept = share * (1.0 - chosen.to_safe)[:, np.newaxis]
        would = np.where(part.chosen.any(axis=1), share.sum(axis=1), part.total)
        if fixed is not None:
            would = share.sum(axis=1) + np.where(chosen.unranked, part.side * fixed, 0.0).sum(
                axis=1
            )
        return kept, np.asarray(would - kept.sum(axis=1))
    if chosen.fails is None:
        return share, np.zeros(len(share))
    kept = np.where(chosen.fails, 0.0, share)
    return kept, np.where(chosen.fails, share, 0.0).sum(axis=1)


def give_to_safe(
    safe: int | None,
    has_price: Bools,
    chosen: Chosen,
    lost: Floats,
    weights: Floats,
    reason: Codes,
) -> None:
    """Put what the filters took on the safe ticker where it has a price, and say who lost it.

    Parameters
    ----------
    safe : its column. has_price, lost : (T,). weights, reason : (T, N), changed in place.
    """
    if safe is not None:
        weights[:, safe] += np.where(has_price, lost, 0.0)
        reason[:, safe] = np.where(weights[:, safe] != 0.0, SAFE, reason[:, safe])
    said = np.where(has_price, TO_SAFE, FILTERED)[:, np.newaxis]
    if chosen.fails is not None:
        fails = chosen.fails & (reason != NOT_SELECTED)  # of a leg that is held at all
        reason[...] = np.where(fails, said, reason)
    for mask, code in ((chosen.unranked, said), (chosen.beyond, TOO_MANY)):
        if mask is not None:
            reason[...] = np.where(mask, code, reason)


def ranks(side: float | Floats, score: Floats, names: Bools) -> Floats:
    """1 for the weakest of each row's names up to their number, ties by column; 0 for the others.

    Shorts count from the other end of the same order; where a row has both sides, the size of the
    score counts.

    >>> score, names = np.array([[0.3, 0.1, 0.3, 9.0]]), np.array([[True, True, True, False]])
    >>> ranks(1.0, score, names), ranks(-1.0, score, names)
    (array([[3., 1., 2., 0.]]), array([[1., 3., 2., 0.]]))
    """
    size = score if np.isscalar(side) else np.abs(score)
    order = np.argsort(np.where(names, -size, np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[np.newaxis], axis=1)
    from_top = names.sum(axis=1, keepdims=True) - place
    strength = place + 1 if np.isscalar(side) and side == -1.0 else from_top
    return np.where(names, strength, 0).astype(np.float64)


def proportional(strength: Floats, leg: float) -> Floats:
    """Each row's positive strengths scaled to sum to `leg`; a row without any is 0."""
    strength = np.maximum(strength, 0.0)
    largest = strength.max(axis=1, keepdims=True, initial=0.0)
    strength = strength / np.where(largest > 0.0, largest, 1.0)
    total = strength.sum(axis=1, keepdims=True)
    return np.asarray(strength * (leg / np.where(total > 0.0, total, 1.0)))


def capped(share: Floats, cap: float) -> Floats:
    """min(cap, λ·share) with each row's λ ≥ 1 such that the sum stays; without such a λ all cap."""
    above = share > cap
    if above.any():
        over = np.flatnonzero(above.any(axis=1))
        share[over] = _water_filled(share[over], cap)
    return share


def _water_filled(share: Floats, cap: float) -> Floats:
    ordered = -np.sort(-share, axis=1)
    rest = np.cumsum(ordered[:, ::-1], axis=1)[:, ::-1]
    room = share.sum(axis=1, keepdims=True) - cap * np.arange(share.shape[1])
    # Column m: λ if exactly the m largest are at the cap. The first m whose own largest stays
    # below it is the answer; a row of names that all end at the cap has none.
    scale = np.divide(room, rest, out=np.full_like(rest, np.inf), where=rest > 0.0)
    fits = (ordered > 0.0) & (scale * np.where(ordered > 0.0, ordered, 1.0) <= cap)
    first = np.argmax(fits, axis=1)[:, np.newaxis]
    placed = np.take_along_axis(fits, first, axis=1)
    factor = np.where(placed, np.take_along_axis(scale, first, axis=1), 1.0)
    filled = np.minimum(share * factor, cap)
    return np.where(placed, filled, np.where(share > 0.0, cap, 0.0))
