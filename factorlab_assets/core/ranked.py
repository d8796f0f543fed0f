"""Legs that hold the first k names of an order, for every k at once: what `many` is quick by.

Belongs here: sorting scores, and running sums along each order. Does not: what a strategy makes of
them (`many`), or how one book is built by itself (`selection`, `weighting`).

Slot j of a leg of k names weighs scale · base_j, or scale · (k − j) · base_j where weights fall
with the rank: `scale` and k are the strategy's, the bases belong to the order. So what a leg weighs
and earns are running sums along the order, read at k; only its overlap with what has become of the
leg before is a sum over names for each strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats

Columns = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Ranked:
    """S scores of one panel, at each date the eligible names in order.

    score : (S, T, N), 0 where a name is not eligible. count : (S, T), how many are. order :
    (S, T, N) columns, the highest score first, ties by column, whoever is not eligible last.
    place : (S, T, N), where in `order` each column stands. has_ties : (S, T).
    """

    score: Floats
    eligible: Bools
    count: Counts
    order: Columns
    place: Slots
    has_ties: Bools

    @classmethod
    def of(cls, score: Floats, eligible: Bools) -> Ranked:
        """Sort the eligible scores of each date, (S, T, N).

        >>> ranked = Ranked.of(np.array([[[1.0, 3.0, 2.0, 3.0]]]), np.array([[[True] * 4]]))
        >>> ranked.order.tolist(), ranked.place.tolist(), ranked.has_ties.tolist()
        ([[[1, 3, 2, 0]]], [[[3, 0, 2, 1]]], [[True]])
        """
        key = np.where(eligible, -score, np.inf)
        order = np.argsort(key, axis=-1)
        cells = order + _first_cells(key.shape)[..., np.newaxis]
        ordered = key.take(cells)
        has_ties = ((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] < np.inf)).any(-1)
        if has_ties.any():  # the quick sort leaves them in any order
            order[has_ties] = np.argsort(key[has_ties], axis=-1, kind="stable")
            cells = order + _first_cells(key.shape)[..., np.newaxis]
        place = np.empty(key.size, dtype=np.int32)
        each = np.broadcast_to(np.arange(key.shape[-1], dtype=np.int32), key.shape)
        place[cells.ravel()] = each.ravel()
        known = np.where(eligible, score, 0.0)
        return cls(known, eligible, eligible.sum(-1), order, place.reshape(key.shape), has_ties)


class Moves(NamedTuple):
    """What comes after each date, (T, N): `growth`, the return up to the next one, 0 where there is
    none; `is_stuck`, whether the name cannot be traded then."""

    growth: Floats
    is_stuck: Bools


@dataclass(frozen=True)
class Side:
    """The first M names of S orders from one end: side 1.0 the highest, −1.0 the lowest scores.

    Slot j is the j-th name, and slots come first, (M, S, T): cell, earlier : where the name's value
    is found in (S, T, N) values of the date and of the date before; growth : its return to come;
    grown : 1 + the one just past; was_in : the slot it had at the date before, M or more for none.
    """

    side: float
    ranked: Ranked
    cell: Columns
    earlier: Columns
    growth: Floats
    grown: Floats
    was_in: Slots
    is_stuck: Bools

    @classmethod
    def of(cls, ranked: Ranked, moves: Moves, side: float, width: int) -> Side:
        """The first `width` names."""
        _, n_dates, n_names = ranked.order.shape
        last = ranked.count[..., np.newaxis] - 1
        if side > 0.0:
            columns, place = ranked.order[..., :width], ranked.place
        else:
            columns = np.take_along_axis(ranked.order, np.maximum(last - np.arange(width), 0), -1)
            place = np.where(ranked.eligible, last - ranked.place, n_names)
        columns = np.ascontiguousarray(np.moveaxis(columns, -1, 0))
        of_panel = columns + np.arange(n_dates) * n_names
        cell = columns + _first_cells(ranked.order.shape)
        # Before the first date there is none, and no leg has a name there.
        earlier = np.concatenate([cell[:, :, :1], cell[:, :, 1:] - n_names], axis=2)
        was_in = place.take(earlier).astype(np.int32)
        growth, grown = moves.growth.take(of_panel), np.ones(cell.shape)
        grown[:, :, 1:] += moves.growth.take(of_panel[:, :, 1:] - n_names)
        return cls(
            side, ranked, cell, earlier, growth, grown, was_in, moves.is_stuck.take(of_panel)
        )


class Sums(NamedTuple):
    """Of a leg with scale 1, over its first k slots; (M + 1, S, T) for every k, or (c, T).

    total, held : of the weights without and with the filter; earned : of weight · growth.
    """

    total: Floats
    held: Floats
    earned: Floats

    @classmethod
    def of(cls, total: Floats, held: Floats, growth: Floats) -> Sums:
        """Of slot by slot weights, for every k."""
        of_held = _running(held)
        of_total = of_held if total is held else _running(total)
        return cls(of_total, of_held, _running(held * growth))

    def at(self, cells: Columns) -> Sums:
        """Those at flat indices."""
        return Sums(*(each.take(cells) for each in self))


@dataclass(frozen=True)
class Leg:
    """What a leg of every size holds on one side of S orders, with scale 1; (M, S, T).

    base : of slot j, 0 for a name that the filter takes out. before : the base that its name had at
    the date before, grown since then where weights drift; was_in : see `Side`. stuck : (S, T), the
    first slot whose name cannot be traded at the next date. sums : of the bases; falls : of
    j · base, where weights fall with the rank.
    """

    base: Floats
    before: Floats
    was_in: Slots
    stuck: Columns
    sums: Sums
    falls: Sums | None

    @classmethod
    def of(cls, side: Side, weighting: str, passes: Bools | None, *, drifts: bool) -> Leg:
        """The leg of a weighting; `passes`, (S, T, N), says who passes the filter."""
        strength = side.ranked.eligible.astype(np.float64)
        if weighting == "signal":
            strength = np.maximum(side.side * side.ranked.score, 0.0)
            largest = strength.max(axis=-1, keepdims=True)
            strength /= np.where(largest > 0.0, largest, 1.0)
        filtered = strength if passes is None else strength * passes
        base, before = filtered.take(side.cell), filtered.take(side.earlier)
        if drifts:
            before *= side.grown
        is_stuck = side.is_stuck & (base != 0.0)
        stuck = np.where(is_stuck.any(axis=0), is_stuck.argmax(axis=0), len(base))
        total = base if passes is None else strength.take(side.cell)
        sums, falls = Sums.of(total, base, side.growth), None
        if weighting == "rank":
            slot = np.arange(float(len(base))).reshape(-1, 1, 1)
            falling = slot * base
            falls = Sums.of(falling if total is base else slot * total, falling, side.growth)
        return cls(base, before, side.was_in, stuck, sums, falls)

    def read(self, order: Columns, k: Counts) -> Sums:
        """The sums over the first k slots, (c, T), of legs that follow `order`, (c,)."""
        _, n_orders, n_dates = self.base.shape
        cells = (k * n_orders + order[:, np.newaxis]) * n_dates + np.arange(n_dates)
        sums = self.sums.at(cells)
        if self.falls is None:
            return sums
        each = zip(sums, self.falls.at(cells), strict=True)
        return Sums(*(k * of_base - of_fall for of_base, of_fall in each))

    def overlap(self, s: int, k: Slots, scale: Floats, k_before: Slots, faded: Floats) -> Floats:
        """Σ min(weight, what has become of the weight of the date before) over names, (c, T).

        Parameters
        ----------
        s : the order. k, scale : (c, T), of the strategies that follow it. k_before, faded : those
        of the date before; where weights drift, over 1 + the book's return since.
        """
        width = int(k.max(initial=0))
        slot = np.arange(width, dtype=np.int32).reshape(-1, 1, 1)
        was_in = self.was_in[:width, s, np.newaxis]
        now = self.base[:width, s, np.newaxis] * scale
        before = self.before[:width, s, np.newaxis] * faded
        if self.falls is not None:
            now *= k - slot
            before *= k_before - was_in
        np.minimum(now, before, out=now)
        now *= (slot < k) & (was_in < k_before)
        return np.asarray(now.sum(axis=0))


def _first_cells(shape: tuple[int, ...]) -> Columns:
    """Where each row of (S, T, N) begins, (S, T)."""
    n_orders, n_dates, n_names = shape
    return np.arange(n_orders * n_dates).reshape(n_orders, n_dates) * n_names


def _running(values: Floats) -> Floats:
    """Sums of the first 0, 1, … entries of the first axis; `cumsum` is slow along few of them."""
    return np.stack([*accumulate(values, initial=np.zeros(values.shape[1:]))])
