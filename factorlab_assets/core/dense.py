"""Long daily rows as dense arrays of sessions × tickers, for several sets of tickers at once.

Belongs here: where each row goes, and reading them batch by batch. Does not: which rows and columns
are wanted (`returns`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.bars import Late
from factorlab_assets.core.calendar import LAST_DAY, Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.relations import registered, sessions_registered

Wanted = Sequence[tuple[Dates, Sequence[Any]]]
"""(D,) consecutive sessions and the tickers of each block; no ticker stands in two blocks."""
Ints = npt.NDArray[np.int64]

_BATCH = 1_000_000
# Which days a ticker's block has is looked at afterwards: as a condition of the join it makes
# DuckDB take thirty times as long.
_KEYED = """FROM {rows} JOIN factorlab_sessions AS day USING (date)
JOIN factorlab_wanted AS own USING (ticker) SELECT day.n, own.i"""


class Blocks:
    """Daily rows of several sets of tickers, each a block of its own days × tickers.

    starts : number of each block's first session in the calendar.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, rows: str, wanted: Wanted, starts: Ints
    ) -> None:
        self._con, self._keyed = con, _KEYED.format(rows=rows)
        self._heights = np.array([len(days) for days, _ in wanted])
        self._widths = np.array([len(tickers) for _, tickers in wanted])
        self._block = np.repeat(np.arange(len(wanted)), self._widths)
        self._start, self._height = starts[self._block], self._heights[self._block]

    def read(self, *columns: str) -> list[list[Floats]]:
        """The columns of each block, (D, N) float64, NaN where there is no row or a null."""
        ends = np.cumsum(self._heights * self._widths)
        begins = ends - self._heights * self._widths
        flat = np.full((len(columns), ends[-1]), np.nan)
        # A ticker's cell of its block's first session; the next session's is a width further.
        first = begins[self._block] + self._columns(np.arange(len(self._block)))
        width = self._widths[self._block]
        query = f"{self._keyed}, {', '.join(columns)}"
        # Batch by batch, so that the long rows never exist all at once.
        for batch in self._con.sql(query).to_arrow_reader(_BATCH):
            i, row, *given = self._own(batch)
            cells = first[i] + width[i] * row
            for values, known in zip(flat, given, strict=True):
                values[cells] = known
        shapes = zip(begins, ends, self._heights, self._widths, strict=True)
        return [
            [values[low:high].reshape(height, width) for values in flat]
            for low, high, height, width in shapes
        ]

    def late(self) -> list[Late]:
        """Of each block the closes that were seen otherwise until some day after their own."""
        query = f"{self._keyed}, seen, known_at"
        query += " WHERE seen IS DISTINCT FROM close ORDER BY own.i, day.n"
        i, row, *told = self._own(self._con.sql(query).to_arrow_table())
        found = (row, self._columns(i), *told)
        cuts = np.searchsorted(self._block[i], np.arange(len(self._widths) + 1))
        return [Late(*(each[low:high] for each in found)) for low, high in pairwise(cuts)]

    def _columns(self, i: Ints) -> Ints:
        """The tickers' columns in their blocks."""
        return np.asarray(i - (np.cumsum(self._widths) - self._widths)[self._block[i]])

    def _own(self, rows: pa.Table | pa.RecordBatch) -> tuple[npt.NDArray[Any], ...]:
        """Of rows n, i, … those of their blocks' days: i, row in the block, …"""
        n, i, *given = (column.to_numpy(zero_copy_only=False) for column in rows.columns)
        row = n - self._start[i]
        own = (row >= 0) & (row < self._height[i])
        found = (i, row, *given)
        return found if own.all() else tuple(values[own] for values in found)


@contextmanager
def blocks(con: duckdb.DuckDBPyConnection, rows: str, wanted: Wanted) -> Iterator[Blocks]:
    """Blocks of the SQL relation `rows` (ticker, date, and what is read), inside the `with`."""
    names = [ticker for _, tickers in wanted for ticker in tickers]
    own = pa.table({"ticker": names, "i": np.arange(len(names))})
    with sessions_registered(con, LAST_DAY) as every, registered(con, "factorlab_wanted", own):
        starts = [np.searchsorted(every, days[:1]).sum() for days, _ in wanted]
        yield Blocks(con, rows, wanted, np.array(starts))
