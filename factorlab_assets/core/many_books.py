"""Books of many strategies on one panel at once, from their scores to what they earn.

Belongs here: grouping strategies by what they share, and the arithmetic of a group. Does not: which
strategies may come here, or what becomes of those that turn out not to fit (`many`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from factorlab_assets.core import holding, research
from factorlab_assets.core.combine import combine
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.membership import members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.ranked import Columns, Counts, Leg, Moves, Ranked, Side
from factorlab_assets.core.selection import Eligible, eligibility
from factorlab_assets.core.signals import Signals, compute_signals, universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_book import Portfolio

MOST_CELLS = 2**17
"""Names × dates × scores, or × strategies, that are worked on at once where one alone has not more:
a temporary array is 1 MiB."""

ROUNDING = 1e-14
"""A weight above max_weight by this share of it is rounding, and not cut."""


Refuse = Callable[[Sequence[int], FactorLabError], None]
"""Is told which strategies cannot be computed and why; the others go on where it returns."""


@dataclass(frozen=True)
class Books:
    """Some of the strategies given, evaluated.

    which, start : (c,), and the first row of each book. alone : why it has to be evaluated by
    itself after all, "" where not. values : by field of `Backtest` (c, T), in column t what the
    book of date t cost and earned until t+1, so that the last one means nothing; NaN outside its
    backtest.
    """

    which: Columns
    start: Counts
    alone: list[str]
    values: dict[str, Floats]


class _Terms(NamedTuple):
    """What strategies of one shape say in numbers, (c, 1) each; fee : of turnover, decimal."""

    top: Floats
    fraction: Floats
    long: Floats
    short: Floats
    cap: Floats
    fee: Floats
    rf: Floats
    spread: Floats
    borrow: Floats


def _terms(strategies: Sequence[Resolved]) -> _Terms:
    rows = []
    for strategy in (each.strategy for each in strategies):
        portfolio, costs = strategy.portfolio, strategy.costs
        gross, net = portfolio.gross, portfolio.target_net
        rows.append(
            (
                portfolio.select.top_k or np.inf,
                portfolio.select.fraction or 1.0,
                (gross + net) / 2.0,
                (gross - net) / 2.0,
                portfolio.max_weight,
                costs.tc_bps + costs.slippage_bps,
                strategy.cash.monthly,
                costs.margin_spread_ann / 12.0,
                costs.borrow_ann / 12.0,
            )
        )
    return _Terms(*np.array(rows).T[..., np.newaxis])


class _Shape(NamedTuple):
    """What all strategies of one call of the arithmetic have in common."""

    is_long_short: bool
    weighting: str
    only_positive: str | None
    drifts: bool

    @classmethod
    def of(cls, resolved: Resolved) -> _Shape:
        strategy = resolved.strategy
        return cls(
            strategy.portfolio.type == "long_short",
            strategy.portfolio.weighting,
            strategy.portfolio.select.only_positive,
            strategy.execution.turnover == "drifted",
        )


def books(strategies: Sequence[Resolved], market: Panel, refuse: Refuse) -> Iterator[Books]:
    """All strategies, each once, in pieces that need little memory beside each other."""
    universes: dict[Hashable, dict[Hashable, list[int]]] = {}
    for i, resolved in enumerate(strategies):
        who = (resolved.tickers, *vars(resolved.strategy.universe).values())
        universes.setdefault(who, {}).setdefault(_score_key(resolved), []).append(i)
    for by_score in universes.values():
        every = list(by_score.values())
        try:
            piece = _Universe(strategies[every[0][0]], market)
        except FactorLabError as error:
            refuse([i for rows in every for i in rows], error)
            continue
        for low in range(0, len(every), piece.at_once):
            yield from piece.books(strategies, every[low : low + piece.at_once], refuse)


def _score_key(resolved: Resolved) -> Hashable:
    """Equal of two strategies of one universe with the same score."""
    groups = json.dumps([resolved.groups, resolved.merge]) if resolved.groups else ""
    said = resolved.strategy
    factors = tuple(
        (f.name, f.key, *f.params.items(), f.lag, f.transforms, f.weight) for f in said.factors
    )
    return groups, said.combine, factors


class _Universe:
    """What strategies that may hold the same names have in common."""

    def __init__(self, resolved: Resolved, market: Panel) -> None:
        self.market, self.panel = market, universe(resolved, market)
        self.members = members(resolved, market).allowed
        n_dates, n_names = self.panel.seen.shape
        always = np.ones(n_dates, dtype=np.bool_)
        growth, is_stuck = np.zeros((n_dates, n_names)), np.zeros((n_dates, n_names), np.bool_)
        growth[:-1] = holding.legs(self.panel, always, "close").after
        # Who cannot be traded at the last date changes nothing that is earned up to it.
        is_stuck[:-2] = ~np.isfinite(self.panel.seen[1:-1])
        self.moves = Moves(growth, is_stuck)
        self.at_once = max(MOST_CELLS // max(growth.size, 1), 1)
        # Who would be eligible with a score: a plain portfolio asks for nothing else.
        self._known = research.known(resolved, market, np.zeros_like(growth), None, self.members)
        self._eligible: dict[Hashable, Eligible] = {}

    def eligible(self, portfolio: Portfolio) -> Eligible:
        """As if everyone had a score."""
        select = portfolio.select
        key = (portfolio.type, select.top_k, select.fraction is None, portfolio.min_names)
        if key not in self._eligible:
            self._eligible[key] = eligibility(portfolio, self._known)
        return self._eligible[key]

    def books(
        self,
        strategies: Sequence[Resolved],
        every: Sequence[Sequence[int]],
        refuse: Refuse,
    ) -> Iterator[Books]:
        """The strategies at `every` place, those of one score together."""
        signals, scores, by_score = [], [], []
        for rows in every:
            first = strategies[rows[0]]
            try:
                own_signals = compute_signals(first, self.market, self.members)
                scores.append(combine(first, self.market, own_signals, self.members))
            except FactorLabError as error:
                refuse(rows, error)
                continue
            signals.append(own_signals)
            by_score.append(rows)
        if not by_score:
            return
        score = np.stack(scores)
        anyone = self.eligible(first.strategy.portfolio).names
        ranked = Ranked.of(score, anyone & np.isfinite(score))
        shapes: dict[_Shape, list[tuple[int, int]]] = {}
        for s, rows in enumerate(by_score):
            for i in rows:
                shapes.setdefault(_Shape.of(strategies[i]), []).append((s, i))
        width = _width([strategies[i] for rows in by_score for i in rows], score.shape[-1])
        both = any(shape.is_long_short for shape in shapes)
        sides = [Side.of(ranked, self.moves, side, width) for side in (1.0, -1.0)[: 1 + both]]
        for shape, found in shapes.items():
            legs = [_leg(shape, side, signals) for side in sides[: 1 + shape.is_long_short]]
            order, which = np.array(found).T
            step = max(MOST_CELLS // (4 * len(self.panel.dates)), 1)
            for low in range(0, len(found), step):
                part = slice(low, low + step)
                own = [strategies[i] for i in which[part]]
                needed = np.stack([self.eligible(each.strategy.portfolio).needed for each in own])
                said = _evaluate(shape, ranked, legs, order[part], _terms(own), needed)
                yield Books(which[part], *said)


def _leg(shape: _Shape, side: Side, signals: Sequence[Signals]) -> Leg:
    """A leg of every score; of those that lack the factor of only_positive nobody reads it."""
    passes, label = None, shape.only_positive
    if label is not None:
        nothing = np.full(signals[0].raw.shape[1:], np.nan)
        every = (dict(zip(each.keys, each.raw, strict=True)) for each in signals)
        passes = side.side * np.stack([each.get(label, nothing) for each in every]) > 0.0
    return Leg.of(side, shape.weighting, passes, drifts=shape.drifts)


def _width(strategies: Sequence[Resolved], n_names: int) -> int:
    """The most names that a leg of them may hold, at least 1."""
    selects = [each.strategy.portfolio.select for each in strategies]
    shares = (math.floor((select.fraction or 1.0) * n_names + 1e-9) for select in selects)
    most = (min(select.top_k or n, n) for select, n in zip(selects, shares, strict=True))
    return max(*most, 1)


class _Held(NamedTuple):
    """A leg of c strategies, (c, T): `scale` (see `ranked`), Σ|w| and Σ|w|·r."""

    leg: Leg
    scale: Floats
    weight: Floats
    earned: Floats


def _evaluate(
    shape: _Shape,
    ranked: Ranked,
    legs: Sequence[Leg],
    order: Columns,
    terms: _Terms,
    needed: Counts,
) -> tuple[Counts, list[str], dict[str, Floats]]:
    """Start (c,), why alone (c,) and values (c, T) of strategies that follow `order`, (c,)."""
    start, k, slots = _sizes(shape, ranked.count[order], terms, needed)
    alone = np.array([""] * len(order), dtype=object)
    if shape.weighting == "rank":
        alone[(ranked.has_ties[order] & (k > 0)).any(axis=1)] = "scores tie"
    sides = []
    for leg, total in zip(legs, (terms.long, terms.short), strict=False):
        sums = leg.read(order, k)
        if shape.weighting == "equal":
            scale = np.minimum(total / slots, terms.cap)
        else:
            scale = total / np.where(sums.total > 0.0, sums.total, np.inf)
            largest = scale * (k if shape.weighting == "rank" else 1.0)
            is_cut = largest > terms.cap * (1.0 + ROUNDING)
            alone[is_cut.any(axis=1)] = "portfolio.max_weight binds"
        is_stuck = (leg.stuck[order] < k) & (scale > 0.0)
        alone[is_stuck.any(axis=1)] = "a held name has no price at a later date"
        sides.append(_Held(leg, scale, scale * sums.held, scale * sums.earned))

    gross, invested = sides[0].earned, sides[0].weight
    borrowed = np.zeros_like(gross)
    if shape.is_long_short:
        gross, invested = gross - sides[1].earned, invested - sides[1].weight
        borrowed = sides[1].weight * terms.borrow
    gross = gross + (1.0 - invested) * terms.rf
    gross -= np.maximum(invested - 1.0, 0.0) * terms.spread + borrowed
    turnover = _turnover(shape, sides, order, k, 1.0 + gross)
    cost = turnover * terms.fee / 1e4
    values = {"gross_return": gross, "cost": cost, "net_return": gross - cost, "turnover": turnover}
    is_none = ~_rows(start, values["net_return"])
    for each in values.values():
        np.copyto(each, np.nan, where=is_none)
    return start, alone.tolist(), values


def _sizes(
    shape: _Shape, names: Counts, terms: _Terms, needed: Counts
) -> tuple[Counts, Counts, Floats]:
    """The first row of each book (c,), how many names a leg holds at each date, 0 where it is all
    cash, and into how many slots an equal leg is cut, (c, T); see `portfolio.build`."""
    n_dates = names.shape[1]
    is_enough = names >= needed
    start = np.where(is_enough.any(axis=1), is_enough.argmax(axis=1), n_dates)
    least = np.take_along_axis(needed, np.minimum(start, n_dates - 1)[:, np.newaxis], axis=1)
    is_held = (np.arange(n_dates) >= start[:, np.newaxis]) & (names >= least)
    share = np.maximum(np.floor(terms.fraction * names + 1e-9), 1.0)
    size = np.minimum(np.minimum(names, terms.top), share)
    if shape.is_long_short:
        size = np.minimum(size, names // 2)
    slots = np.where(np.isinf(terms.top), np.maximum(size, 1.0), terms.top)
    return start, np.where(is_held, size, 0.0).astype(np.int64), slots


def _turnover(
    shape: _Shape, sides: Sequence[_Held], order: Columns, k: Counts, growth: Floats
) -> Floats:
    """Σ|w − w_before| = Σ|w| + Σ|w_before| − 2·Σ min(|w|, |w_before|) over names of one side."""
    total, left, kept = np.zeros((3, *k.shape))
    for side in sides:
        faded, before = side.scale, side.weight
        if shape.drifts:
            is_left = growth > 0.0
            faded = np.divide(faded, growth, out=np.zeros_like(growth), where=is_left)
            moved = side.weight + side.earned
            before = np.divide(moved, growth, out=np.zeros_like(growth), where=is_left)
        total += side.weight
        left += before
        kept += _overlap(side.leg, order, k, side.scale, faded)
    total[:, 1:] += left[:, :-1]
    return np.asarray(np.maximum(total - 2.0 * kept, 0.0))  # not −1e−17


def _overlap(leg: Leg, order: Columns, k: Counts, scale: Floats, faded: Floats) -> Floats:
    """`Leg.overlap` of strategies that follow ascending orders, so many at a time as fit."""
    out = np.empty(k.shape)
    now, before, then = k.astype(np.int32), np.zeros(k.shape, np.int32), np.zeros(k.shape)
    before[:, 1:], then[:, 1:] = k[:, :-1], faded[:, :-1]
    edges = [*np.flatnonzero(np.diff(order, prepend=-1)), len(order)]
    for first, last in pairwise(edges):
        step = max(MOST_CELLS // max(k[first:last].max() * k.shape[1], 1), 1)
        for low in range(first, last, step):
            at = slice(low, min(low + step, last))
            out[at] = leg.overlap(int(order[first]), now[at], scale[at], before[at], then[at])
    return out


def _rows(start: Counts, net: Floats) -> Bools:
    """Which (c, T) are rows of a backtest: from the start, and not after a NAV at or below 0."""
    is_row = np.arange(net.shape[1]) >= start[:, np.newaxis]
    ruined = is_row & (1.0 + net <= 0.0)
    if ruined.any():
        is_row &= np.cumsum(ruined, axis=1) - ruined == 0
    return is_row
