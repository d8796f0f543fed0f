"""From scores to the weights that are held: selection, weighting, caps, and what cannot be traded.

Belongs here: every rule that decides a weight. Does not: what the book earns (`backtest`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools, Carry, drifted, earned, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Portfolio, Strategy

Counts = npt.NDArray[np.int64]

REASONS = (
    "before start",
    "no month-end price",
    "no score",
    "not selected",
    "selected",
    "selected: at max_weight",
    "cash: score not positive",
    "cash: fails only_positive",
    "cash: too few names",
    "drift",
    "held: no price",
    "delisted",
)
(
    BEFORE_START,
    NO_PRICE,
    NO_SCORE,
    NOT_SELECTED,
    SELECTED,
    AT_MAX_WEIGHT,
    NOT_POSITIVE,
    FILTERED,
    TOO_FEW,
    DRIFT,
    UNPRICED,
    DELISTED,
) = range(len(REASONS))

DELISTED_AFTER = 3
"""Consecutive month-ends without a price after which a held name is cash at its last price."""


@dataclass(frozen=True)
class Book:
    """What is held: row t from the close of date t (or the next session) until date t+1.

    weights : (T, N) fraction of capital, 0 before the start; reason : (T, N) index into `REASONS`;
    start : first row that is held, T where the book never starts.
    """

    weights: Floats
    reason: npt.NDArray[np.int8]
    start: int


def build(
    strategy: Strategy,
    score: Floats,
    panel: Panel,
    *,
    raw_filter: Floats | None = None,
    universe_size: int | None = None,
) -> Book:
    """The weights of a strategy, date by date, from scores known at each date.

    A name is eligible where its score and its month-end price are known.

    - Start: the first date with `min_names` eligible names; by default the larger of 2k and half
      the universe (at most the whole of a named universe). k is 1 for a fraction, which is a share
      of whoever is eligible, and a fixed book wants every name it lists. Later dates with fewer
      names than the start needed are all cash (in a fixed book only where min_names is given).
    - Selection: the k highest scores, ties by ticker; shorts are the k last of the same order, so
      nobody is both (where 2k exceeds the eligible, k is half of them).
    - Legs: longs sum to (gross + net)/2, shorts to (gross − net)/2. `equal` gives each selected
      name 1/k of its leg, for the top_k asked for: empty slots stay cash. `signal` is proportional
      to max(score, 0), for shorts to max(−score, 0). `fixed` is as given.
    - `raw_filter` (select.only_positive): longs need a value above 0, shorts below; the share of a
      name that fails (or is not known) stays cash.
    - max_weight: the excess goes to the leg's other names in proportion until none exceeds it;
      what cannot be placed stays cash.
    - Between rebalances weights drift. A held name without a month-end price cannot be traded: it
      drifts on, and the targets share 1 − Σ|w of such names|/gross (at least 0). At its third
      such month-end in a row it is cash at its last price. A wiped-out book drifts to nothing.

    Parameters
    ----------
    score, raw_filter : (T, N), NaN = not known. panel : the strategy's universe.
    universe_size : names in a named universe; None (every ticker of the version) counts, at each
        date, those that had a price by then, never those to come.

    Examples
    --------
    >>> from factorlab_assets.strategy import Factor, Select
    >>> top2 = Strategy(name="top2", description="-", factors=(Factor(name="trend", delay=0),),
    ...     portfolio=Portfolio(select=Select(top_k=2)))
    >>> ones = np.ones((1, 4))
    >>> dates = np.array(["2024-05-31"], dtype="datetime64[D]")
    >>> panel = Panel(dates, np.array(["A", "B", "C", "D"]), *[ones] * 5)
    >>> build(top2, np.array([[1.0, 3.0, 2.0, 2.0]]), panel, universe_size=4).weights.tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    portfolio = strategy.portfolio
    score = np.ascontiguousarray(score, dtype=np.float64)
    eligible, needed = eligibility(portfolio, score, panel, universe_size)
    names = eligible.sum(axis=1)
    enough = np.flatnonzero(names >= needed)
    start = int(enough[0]) if enough.size else len(names)

    target, reason = _targets(portfolio, score, eligible, names, raw_filter, panel)
    np.putmask(reason, np.isnan(score), NO_SCORE)
    np.putmask(reason, np.isnan(panel.seen), NO_PRICE)
    if enough.size and (portfolio.weighting != "fixed" or portfolio.min_names is not None):
        few = names < needed[start]
        target[few], reason[few] = 0.0, TOO_FEW
    target[:start], reason[:start] = 0.0, BEFORE_START
    return _held(strategy, panel, Book(target, reason, start))


def eligibility(
    portfolio: Portfolio, score: Floats, panel: Panel, universe_size: int | None
) -> tuple[Bools, Counts]:
    """Who may be held, (T, N), and how many such names each date needs to be the start, (T,)."""
    priced = np.isfinite(panel.seen)
    eligible = priced & np.isfinite(score)
    dates = np.ones(len(priced), dtype=np.int64)
    either = portfolio.select.fraction is not None or portfolio.type == "long_short"
    twice_k = 2 * (portfolio.select.top_k or int(either))
    if portfolio.weighting == "fixed":
        listed = _fixed_weights(portfolio, panel) != 0.0
        eligible &= listed
        needed = dates * np.count_nonzero(listed)
    elif universe_size is None:
        seen = np.logical_or.accumulate(priced, axis=0).sum(axis=1)
        needed = np.maximum(twice_k, -(-seen // 2))
    else:
        half = -(-universe_size // 2)
        needed = dates * min(max(twice_k, half), universe_size)
    if portfolio.min_names is not None:
        needed = dates * portfolio.min_names
    return eligible, np.maximum(needed, 1)


def _fixed_weights(portfolio: Portfolio, panel: Panel) -> Floats:
    given = portfolio.fixed_weights
    return np.array([given.get(str(ticker), 0.0) for ticker in panel.tickers])


def _targets(
    portfolio: Portfolio,
    score: Floats,
    eligible: Bools,
    names: Counts,
    raw_filter: Floats | None,
    panel: Panel,
) -> tuple[Floats, npt.NDArray[np.int8]]:
    """What each date would hold if everything could be traded, and why."""
    fixed = None
    if portfolio.weighting != "fixed":
        longs, shorts, slots = _selected(portfolio, score, eligible, names)
    else:
        fixed = _fixed_weights(portfolio, panel)
        longs, shorts, slots = eligible & (fixed > 0.0), eligible & (fixed < 0.0), np.ones(1)
    net = portfolio.target_net
    weights = np.zeros(score.shape)
    reason = np.full(score.shape, NOT_SELECTED, dtype=np.int8)
    for side, chosen, leg in (
        (1.0, longs, (portfolio.gross + net) / 2.0),
        (-1.0, shorts, (portfolio.gross - net) / 2.0),
    ):
        if chosen is None or (leg == 0.0 and fixed is None):
            continue
        if fixed is not None:
            share = np.where(chosen, side * fixed, 0.0)
        elif portfolio.weighting == "signal":
            share = _proportional(np.where(chosen, side * score, 0.0), leg)
        else:
            share = np.where(chosen, leg / slots[:, np.newaxis], 0.0)
        np.putmask(reason, chosen, SELECTED)
        np.putmask(reason, chosen & (share == 0.0), NOT_POSITIVE)
        if raw_filter is not None:
            fails = chosen & ~(side * raw_filter > 0.0)
            share[fails], reason[fails] = 0.0, FILTERED
        share = _capped(share, portfolio.max_weight)
        np.putmask(reason, chosen & (share >= portfolio.max_weight), AT_MAX_WEIGHT)
        weights += side * share
    return weights, reason


def _selected(
    portfolio: Portfolio, score: Floats, eligible: Bools, names: Counts
) -> tuple[Bools, Bools | None, Floats]:
    """Longs, shorts (None in a long-only book), and into how many slots an equal leg is cut."""
    top_k, fraction = portfolio.select.top_k, portfolio.select.fraction
    k = names
    if top_k is not None:
        k = np.minimum(names, top_k)
    elif fraction is not None:
        k = np.minimum(names, np.maximum(np.floor(fraction * names + 1e-9).astype(np.int64), 1))
    shorts = None
    if portfolio.type == "long_short":
        k = np.minimum(k, names // 2)
        shorts = eligible & ~_top(score, eligible, names, names - k)
    slots = np.maximum(k, 1) if top_k is None else np.full(len(names), top_k)
    return _top(score, eligible, names, k), shorts, slots.astype(np.float64)


def _top(score: Floats, eligible: Bools, names: Counts, k: Counts) -> Bools:
    """The k best of each row, ties by column; k is at most the row's eligible names."""
    if np.array_equal(k, names):
        return eligible
    order = np.where(eligible, -score, np.inf)
    last = np.sort(order, axis=1)[np.arange(len(k)), np.maximum(k - 1, 0)][:, np.newaxis]
    at_least = order <= last
    if np.count_nonzero(at_least) == k.sum():
        return np.asarray(at_least)  # no ties beyond the k-th: each row has k of them at least
    better = order < last
    tied = at_least & ~better
    room = k - better.sum(axis=1)
    tied &= np.cumsum(tied, axis=1) <= room[:, np.newaxis]
    return np.asarray(better | tied)


def _proportional(strength: Floats, leg: float) -> Floats:
    """Each row's positive strengths scaled to sum to `leg`; a row without any is 0."""
    strength = np.maximum(strength, 0.0)
    largest = strength.max(axis=1, keepdims=True, initial=0.0)
    strength = strength / np.where(largest > 0.0, largest, 1.0)
    total = strength.sum(axis=1, keepdims=True)
    return np.asarray(strength * (leg / np.where(total > 0.0, total, 1.0)))


def _capped(share: Floats, cap: float) -> Floats:
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


def _held(strategy: Strategy, panel: Panel, target: Book) -> Book:
    """The targets as far as they could be traded, drifting in between."""
    weights, reason, start = target.weights, target.reason, target.start
    unpriced = ~np.isfinite(panel.seen)
    rebalanced = rebalances(panel.dates, start, strategy.portfolio.rebalance_months)
    # A date is only worth a step where it does not trade, or where somebody held has no price.
    cannot = unpriced[1:] & (weights[:-1] != 0.0)
    if rebalanced[start:].all() and not cannot.any():
        return target
    stuck = cannot.any(axis=1)
    weights, reason = weights.copy(), reason.copy()
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    carry = Carry.of(strategy)
    was_target = True
    for t in range(start + 1, len(weights)):
        if rebalanced[t] and was_target and not stuck[t - 1]:
            continue
        held, grown = weights[t - 1], period.after[t - 1]
        moved = drifted(held, grown, earned(held, grown, carry))
        was_target = bool(rebalanced[t])
        if not was_target:
            weights[t], reason[t] = moved, DRIFT
        stays = unpriced[t] & (moved != 0.0)
        if not stays.any():
            continue
        gone = stays & unpriced[max(t + 1 - DELISTED_AFTER, 0) : t].all(axis=0)
        stays &= ~gone
        if was_target:
            locked = np.abs(moved[stays]).sum() / strategy.portfolio.gross
            weights[t] *= max(1.0 - locked, 0.0)
        weights[t, stays], weights[t, gone] = moved[stays], 0.0
        reason[t, stays], reason[t, gone] = UNPRICED, DELISTED
        was_target &= not stays.any()
    return Book(weights, reason, start)
