"""Who is held at every date: who may be, how many must be there to start, and who is chosen.

Belongs here: eligibility, and `Select` over whole histories at once. Does not: how much each gets
(`weighting`, `construct`), or what a book that holds them may trade (`path`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools, Carry
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import Portfolio, Risk

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """What a book is decided from, beside the strategy: (T, N) arrays, each row as known then.

    panel : the strategy's universe. score : NaN = not known. raw_filter : raw values of the factor
    that select.only_positive names. members : who may be held; None is whoever has a price.
    betas : where the portfolio needs them. groups : ticker -> group of `portfolio.group_by`.
    universe_size : names in a named universe, or the most that its filters let through; None (every
    ticker of the version) counts, at each date, those that could be held by then. carry : what
    drifting books earn and pay beside their returns.
    """

    panel: Panel
    score: Floats
    raw_filter: Floats | None = None
    members: Bools | None = None
    betas: Floats | None = None
    groups: dict[str, str] = field(default_factory=dict)
    universe_size: int | None = None
    carry: Carry | None = None


@dataclass(frozen=True)
class Eligible:
    """Who may be held (T, N), how many of them each date needs to be the start (T,), and who
    would be but for a covariance or beta (T, N; None where none is needed)."""

    names: Bools
    needed: Counts
    no_history: Bools | None = None

    @property
    def start(self) -> int:
        """The first date with enough names; T where there is none."""
        enough = np.flatnonzero(self.names.sum(axis=1) >= self.needed)
        return int(enough[0]) if enough.size else len(self.needed)


def eligibility(portfolio: Portfolio, known: Known) -> Eligible:
    """Who may be held and when a book starts; see `portfolio.build`."""
    panel, universe_size = known.panel, known.universe_size
    priced = np.isfinite(panel.seen)
    allowed = priced if known.members is None else priced & known.members
    eligible = allowed & np.isfinite(known.score)
    safe = column(panel, portfolio.select.safe)
    if safe is not None:
        eligible[:, safe] = False
        universe_size = None if universe_size is None else universe_size - 1
    without = None
    if portfolio.needs_covariance or portfolio.needs_beta:
        without = eligible & ~_has_history(portfolio, known)
        eligible = eligible & ~without

    dates = np.ones(len(priced), dtype=np.int64)
    either = portfolio.select.fraction is not None or portfolio.type == "long_short"
    twice_k = 2 * (portfolio.select.top_k or int(either))
    if portfolio.weighting == "fixed":
        listed = fixed_weights(portfolio, panel) != 0.0
        eligible &= listed
        needed = dates * np.count_nonzero(listed)
    elif universe_size is None:
        seen = np.logical_or.accumulate(allowed, axis=0).sum(axis=1)
        needed = np.maximum(twice_k, -(-seen // 2))
    else:
        half = -(-universe_size // 2)
        needed = dates * min(max(twice_k, half), universe_size)
    if portfolio.min_names is not None:
        needed = dates * portfolio.min_names
    return Eligible(eligible, np.maximum(needed, 1), without)


def column(panel: Panel, ticker: str | None) -> int | None:
    """Where the ticker is in the panel; None where it is not, or none is named."""
    at = np.flatnonzero(panel.tickers == ticker) if ticker else np.empty(0, dtype=np.intp)
    return int(at[0]) if at.size else None


def fixed_weights(portfolio: Portfolio, panel: Panel) -> Floats:
    """`portfolio.fixed_weights` in the panel's order, (N,)."""
    given = portfolio.fixed_weights
    return np.array([given.get(str(ticker), 0.0) for ticker in panel.tickers])


def _has_history(portfolio: Portfolio, known: Known) -> Bools:
    enough = np.ones(known.score.shape, dtype=np.bool_)
    if portfolio.needs_covariance:
        enough &= _months(portfolio.risk, known.panel) >= portfolio.risk.least_months
    if portfolio.needs_beta and known.betas is not None:
        enough &= np.isfinite(known.betas)
    return enough


def _months(risk: Risk, panel: Panel) -> Counts:
    """Months of the window before each date that a covariance knows returns of, (T, N)."""
    if risk.returns == "daily" and panel.bars is not None:
        change = np.isfinite(panel.bars.close[1:]) & np.isfinite(panel.bars.close[:-1])
        month, own = panel.bars.month[1:], np.zeros(panel.seen.shape, dtype=np.bool_)
        starts = np.flatnonzero(np.diff(month, prepend=-1))
        if starts.size:
            sizes = np.diff(starts, append=len(month))[:, np.newaxis]
            counts = np.add.reduceat(change.astype(np.intp), starts, axis=0)
            own[month[starts]] = 2 * counts >= sizes
        before = own
    else:
        own, before = (np.zeros(panel.seen.shape, dtype=np.bool_) for _ in range(2))
        own[1:] = np.isfinite(panel.seen[1:]) & np.isfinite(panel.price[:-1])
        before[1:] = np.isfinite(panel.price[1:]) & np.isfinite(panel.price[:-1])
    total: Counts = np.cumsum(before, axis=0) - before  # of the dates before each
    earlier = np.zeros_like(total)
    earlier[risk.window :] = total[1 : max(len(total) - risk.window, 0) + 1]
    return np.asarray(total - earlier + own, dtype=np.int64)


@dataclass(frozen=True)
class Chosen:
    """Who is held long and short, (T, N), before anything is taken from them.

    slots : (T,) into how many an equal leg is cut. fails : (T, N) who of them loses its share to
    select.only_positive; unranked : who was not ranked for failing it. to_safe : (T,) the share of
    everything that breadth takes. beyond : (T, N) who is left out for max_names.
    """

    longs: Bools
    shorts: Bools | None
    slots: Floats
    fails: Bools | None = None
    unranked: Bools | None = None
    to_safe: Floats | None = None
    beyond: Bools | None = None

    def at(self, t: int) -> Chosen:
        """The choice of one date, as arrays of one row."""

        def row(values: Any) -> Any:
            return None if values is None else values[t : t + 1]

        return Chosen(**{name: row(values) for name, values in vars(self).items()})


def choose(strategy: Strategy, known: Known, eligible: Bools) -> Chosen:
    """`Select` at every date.

    - top_k, fraction: the k highest scores, ties by ticker; shorts are the k last of the same
      order, so nobody is both (where 2k exceeds the eligible, k is half of them).
    - threshold: longs score above it, in a long_short book shorts below its negative.
    - max_names: of more, the highest scores (in a long_short book half of them on each side; with a
      threshold the largest in size). A book without factors leaves this to its weights.
    - only_positive: longs need a raw value above 0, shorts below; an unknown one fails.
    - breadth b: min(1, failing/b) of everything is to go to safe, and only names that pass are
      ranked (Keller and Keuning's protective and vigilant asset allocation, with b = N − aN/4 and
      b = B in their words; as there, an equal leg is cut into min(k, passing) parts).
    """
    portfolio = strategy.portfolio
    passes, to_safe, rankable = None, None, eligible
    raw = known.raw_filter
    if raw is not None and portfolio.select.breadth is not None:
        rankable = eligible & (raw > 0.0)
        failing = (eligible & ~rankable).sum(axis=1)
        to_safe = np.minimum(failing / portfolio.select.breadth, 1.0)
        passes = rankable
    if portfolio.weighting == "fixed":
        fixed = fixed_weights(portfolio, known.panel)
        shorts: Bools | None = rankable & (fixed < 0.0)
        longs, slots, beyond = rankable & (fixed > 0.0), np.ones(len(rankable)), None
    else:
        longs, shorts, slots, beyond = _ranked(strategy, known.score, rankable)
    if passes is not None:
        slots = np.maximum(np.minimum(slots, passes.sum(axis=1)), 1.0)
        return Chosen(longs, shorts, slots, None, eligible & ~passes, to_safe, beyond)
    fails = None
    if raw is not None:
        fails = longs & ~(raw > 0.0)
        if shorts is not None:
            fails |= shorts & ~(-raw > 0.0)
    return Chosen(longs, shorts, slots, fails, beyond=beyond)


def _ranked(
    strategy: Strategy, score: Floats, eligible: Bools
) -> tuple[Bools, Bools | None, Floats, Bools | None]:
    """Longs, shorts (None in a long-only book), slots, and who is beyond max_names."""
    portfolio = strategy.portfolio
    most = portfolio.max_names if strategy.factors else None
    names: Counts = eligible.sum(axis=1)
    if portfolio.select.threshold is not None:
        return _beyond_threshold(portfolio, score, eligible, most)
    top_k, fraction = portfolio.select.top_k, portfolio.select.fraction
    k = names
    if top_k is not None:
        k = np.minimum(names, top_k)
    elif fraction is not None:
        k = np.minimum(names, np.maximum(np.floor(fraction * names + 1e-9).astype(np.int64), 1))
    short = portfolio.type == "long_short"
    if short:
        k = np.minimum(k, names // 2)
    wanted = k
    if most is not None:
        k = np.minimum(k, most // (1 + short))
    shorts = eligible & ~_top(score, eligible, names, names - k) if short else None
    longs = _top(score, eligible, names, k)
    beyond = None
    if most is not None:
        beyond = _top(score, eligible, names, wanted) & ~longs
        if shorts is not None:
            beyond |= eligible & ~_top(score, eligible, names, names - wanted) & ~shorts
    slots = np.maximum(k, 1) if top_k is None else np.full(len(names), top_k)
    return longs, shorts, slots.astype(np.float64), beyond


def _beyond_threshold(
    portfolio: Portfolio, score: Floats, eligible: Bools, most: int | None
) -> tuple[Bools, Bools | None, Floats, Bools | None]:
    limit = portfolio.select.threshold or 0.0
    short = portfolio.type == "long_short"
    size = np.abs(score) if short else score
    chosen = eligible & (size > limit)
    beyond = None
    if most is not None:
        count: Counts = chosen.sum(axis=1)
        kept = _top(size, chosen, count, np.minimum(count, most))
        chosen, beyond = kept, chosen & ~kept
    slots = np.maximum(chosen.sum(axis=1), 1).astype(np.float64)
    return chosen & (score > 0.0), chosen & (score < 0.0) if short else None, slots, beyond


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
