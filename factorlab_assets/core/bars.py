"""Daily bars beside a monthly panel: dates × tickers arrays of the same tickers and basis.

Belongs here: the arrays, and what of them was known when. Does not: reading them (`returns`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.calendar import Dates

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Late:
    """Closes that were repaired only after their own day: where in (D, N), what each was seen as,
    and the day at whose close the repair was known."""

    row: npt.NDArray[np.intp]
    column: npt.NDArray[np.intp]
    seen: Floats
    known_at: Dates

    def where(self, kept: npt.NDArray[np.bool_]) -> Late:
        """Those of them."""
        return Late(self.row[kept], self.column[kept], self.seen[kept], self.known_at[kept])


@dataclass(frozen=True)
class Bars:
    """Daily bars of a panel's tickers, on its basis; (D, N) float64, NaN = no bar.

    days : (D,) every exchange session of the panel's months, up to its last date.
    month : (D,) row of the panel that the session belongs to: that of the next date on or after it.
    close : repaired closes. dollar_volume : close times volume as the source has them.
    """

    days: Dates
    month: npt.NDArray[np.intp]
    close: Floats
    dollar_volume: Floats
    late: Late

    def select(self, source: npt.NDArray[np.intp]) -> Bars:
        """The columns `source`; -1 becomes an all-NaN column."""
        if np.array_equal(source, np.arange(self.close.shape[1])):
            return self
        known = source >= 0

        def column(values: Floats) -> Floats:
            # Not values[:, source]: that lies column by column, where sums round otherwise.
            out = np.full((len(values), len(source)), np.nan)
            out[:, known] = values[:, source[known]]
            return out

        place = np.full(self.close.shape[1], -1)
        place[source[known]] = np.flatnonzero(known)
        kept = place[self.late.column] >= 0
        late = self.late.where(kept)
        late = replace(late, column=place[late.column])
        return replace(
            self, close=column(self.close), dollar_volume=column(self.dollar_volume), late=late
        )

    def mixed(self, own: npt.NDArray[np.bool_], other: Bars) -> Bars:
        """These bars, but the columns `own` (N,) from bars of the same days and tickers."""
        both = self.late.where(~own[self.late.column]), other.late.where(own[other.late.column])
        late = (
            np.concatenate(pair)
            for pair in zip(*(vars(late).values() for late in both), strict=True)
        )
        close = np.where(own, other.close, self.close)
        dollar_volume = np.where(own, other.dollar_volume, self.dollar_volume)
        return Bars(self.days, self.month, close, dollar_volume, Late(*late))

    def repaired_otherwise(self, day: np.datetime64, factor: float) -> Bars:
        """The bars, but what is repaired only after `day` comes out at `factor` times what was
        seen."""
        at = self.late.where((self.late.known_at > day) & (self.days[self.late.row] <= day))
        close = self.close.copy()
        close[at.row, at.column] = at.seen * factor
        return replace(self, close=close)

    def until(self, day: np.datetime64) -> Bars:
        """The bars as far as `day`, included; what is repaired stays repaired."""
        stop = int(np.searchsorted(self.days, day, side="right"))
        late = self.late.where(self.late.row < stop)
        return Bars(
            self.days[:stop],
            self.month[:stop],
            self.close[:stop],
            self.dollar_volume[:stop],
            late,
        )

    def since(self, row: int) -> Bars:
        """The bars of the panel's rows from `row` on, numbered from there; repairs are done."""
        start = int(np.searchsorted(self.month, row))
        nothing = self.late.where(np.zeros(len(self.late.row), dtype=np.bool_))
        return Bars(
            self.days[start:],
            self.month[start:] - row,
            self.close[start:],
            self.dollar_volume[start:],
            nothing,
        )

    def as_known(self, day: np.datetime64, first: int = 0, last: int | None = None) -> Bars:
        """The bars as far as `day`, as they were known at its close; only those of the panel's rows
        `first` … `last`, numbered from `first`."""
        start = int(np.searchsorted(self.month, first))
        stop = int(np.searchsorted(self.days, day, side="right"))
        if last is not None:
            stop = min(stop, int(np.searchsorted(self.month, last, side="right")))
        own = slice(start, max(start, stop))
        late = self.late.where((self.late.row >= own.start) & (self.late.row < own.stop))
        late = replace(late, row=late.row - own.start)
        close, unknown = self.close[own], late.where(late.known_at > day)
        if unknown.row.size:
            close = close.copy()
            close[unknown.row, unknown.column] = unknown.seen
        return Bars(self.days[own], self.month[own] - first, close, self.dollar_volume[own], late)
