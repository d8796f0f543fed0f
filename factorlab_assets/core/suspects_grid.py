"""A data version's daily bars as dense arrays, and what is usual for each ticker.

Belongs here: reading bars into arrays, trailing habits, how much a group moves. Does not: what
makes a bar suspect.

A ticker is a row, its own bars are the columns, oldest first: column b is its b-th bar, whatever
sessions it missed, so that the bar before and the bar after are the columns beside it. What is
usual for a ticker at a bar is read from whole blocks of 21 of its bars that ended before that bar:
cutting the bars off at any session changes nothing of what was usual before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.calendar import Dates, sessions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.signedinteger[Any]]
Flags = npt.NDArray[np.bool_]
_Number = TypeVar("_Number", bound=np.generic)

BLOCK = 21
"""Bars of a block: a month."""
PAST_BLOCKS = 12
"""Blocks that make a habit: a year."""
FEWEST_BLOCKS = 2
"""With fewer blocks behind it nothing is usual yet."""
FEWEST_TICKERS = 5
"""A group of fewer tickers has no common move."""
OHLC_SLACK = 1e-6
"""Relative: a price beyond the bar's range by less is rounding."""

_BATCH = 500_000
_ROWS = """
SELECT i, (date - DATE '1970-01-01')::INTEGER AS day, open, close, volume, coalesce(
    high * {up} < low OR greatest(open, close) > high * {up} OR least(open, close) < low * {down},
    false
) AS contradicts
FROM {bars} JOIN factorlab_names USING (ticker) WHERE date BETWEEN DATE '{first}' AND DATE '{last}'
"""


@dataclass(frozen=True)
class Grid:
    """Daily bars: N tickers, each with up to B bars, over D sessions.

    sessions : (D,) from the first bar of any ticker to the last.
    tickers : N names, ascending.
    session : (N, B) index into `sessions` of each bar, −1 where the ticker has no more bars.
    open, close, volume : (N, B) float64, NaN = none.
    contradicts : (N, B) whether open, high, low and close of the bar cannot all be true.
    group : (N,) the asset class of each ticker as a number from 0.
    """

    sessions: Dates
    tickers: list[str]
    session: npt.NDArray[np.int32]
    open: Floats
    close: Floats
    volume: Floats
    contradicts: Flags
    group: Ints


@dataclass(frozen=True)
class Found:
    """Findings of one kind, M of them.

    ticker : (M,) index into `Grid.tickers`, −1 = the market. session, known : (M,) index into
        `Grid.sessions`: the suspect bar's, and the last one that the evidence used.
    value, expected : (M,) in the kind's unit. severity : (M,) 0 info, 1 warning, 2 error.
    evidence : M texts.
    """

    kind: str
    ticker: Ints
    session: Ints
    known: Ints
    value: Floats
    expected: Floats
    severity: Ints
    evidence: list[str]

    @classmethod
    def none(cls, kind: str) -> Found:
        """No finding."""
        i, x = np.empty(0, dtype=np.int64), np.empty(0)
        return cls(kind, i, i, i, x, x, i, [])


def read_grid(
    con: duckdb.DuckDBPyConnection, bars: str, last: dt.date, asset_classes: Mapping[str, str]
) -> Grid:
    """The bars of the relation up to `last`; a bar on a day that is no session is not looked at."""
    span = f"SELECT ticker, min(date), max(date) FROM {bars} WHERE date <= DATE '{last}' GROUP BY 1"  # noqa: S608 - a relation the caller vouches for
    spans = sorted(con.sql(span).fetchall())
    names = [name for name, _, _ in spans]
    first = min((begin for _, begin, _ in spans), default=last)
    days = sessions(first, max((end for _, _, end in spans), default=last))
    fields, contradicts = _read(con, bars, names, days)
    has_bar = ~np.isnan(fields[1])
    n_bars = has_bar.sum(axis=1)
    width = -(-int(n_bars.max(initial=0)) // BLOCK) * BLOCK
    own = np.arange(width) < n_bars[:, None]
    session = np.full(own.shape, -1, dtype=np.int32)
    session[own] = np.nonzero(has_bar)[1]
    wrong = np.zeros(own.shape, dtype=np.bool_)
    wrong[own] = contradicts[has_bar]
    columns = []
    while fields:
        columns.append(np.full(own.shape, np.nan))
        columns[-1][own] = fields.pop(0)[has_bar]
    opened, close, volume = columns
    classes = np.array([asset_classes.get(name, "") for name in names], dtype=np.str_)
    group = np.unique(classes, return_inverse=True)[1]
    return Grid(days, names, session, opened, close, volume, wrong, group)


def _read(
    con: duckdb.DuckDBPyConnection, bars: str, names: list[str], days: Dates
) -> tuple[list[Floats], Flags]:
    """Open, close and volume (N, D), and whether the bar contradicts itself."""
    fields = [np.full((len(names), len(days)), np.nan) for _ in range(3)]
    contradicts = np.zeros((len(names), len(days)), dtype=np.bool_)
    if not contradicts.size:
        return fields, contradicts
    number = days.astype(np.int64)
    index = np.full(int(number[-1] - number[0]) + 1, -1)
    index[number - number[0]] = np.arange(len(days))
    up, down = 1 + OHLC_SLACK, 1 - OHLC_SLACK
    query = _ROWS.format(bars=bars, first=days[0], last=days[-1], up=up, down=down)
    con.register("factorlab_names", pa.table({"ticker": names, "i": np.arange(len(names))}))
    try:
        # Batch by batch, so that the long rows never exist all at once.
        for batch in con.sql(query).to_arrow_reader(_BATCH):
            i, day, *values = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
            d = index[day - number[0]]
            on = d >= 0
            for field, value in zip([*fields, contradicts], values, strict=True):
                field[i[on], d[on]] = value[on]
    finally:
        con.unregister("factorlab_names")
    return fields, contradicts


def blocks(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """(N, B) as (N, K, 21): block by block."""
    return values.reshape(len(values), values.shape[1] // BLOCK, BLOCK)


def past(per_block: Floats, quantile: float) -> Floats:
    """(N, K) the lower `quantile` of the 12 blocks before each block; NaN with fewer than 2.

    A block whose figure is NaN is none.
    """
    ordered = np.sort(_before(per_block), axis=2)
    known = PAST_BLOCKS - np.isnan(ordered).sum(axis=2)
    at = np.floor(quantile * np.maximum(known - 1, 0)).astype(np.int64)
    usual: Floats = np.take_along_axis(ordered, at[:, :, None], axis=2)[:, :, 0]
    usual[known < FEWEST_BLOCKS] = np.nan
    return usual


def past_mean(per_block: Floats) -> Floats:
    """(N, K) the mean of the 12 blocks before each block; NaN with fewer than 2."""
    before = _before(per_block)
    known = (~np.isnan(before)).sum(axis=2)
    mean: Floats = np.nan_to_num(before).sum(axis=2) / np.maximum(known, 1)
    mean[known < FEWEST_BLOCKS] = np.nan
    return mean


def _before(per_block: Floats) -> Floats:
    """(N, K, 12) the blocks before each block, NaN where there are none."""
    n, k = per_block.shape
    padded = np.concatenate([np.full((n, PAST_BLOCKS), np.nan), per_block], axis=1)
    return np.lib.stride_tricks.sliding_window_view(padded, PAST_BLOCKS, axis=1)[:, :k]


def per_bar(per_block: Floats) -> Floats:
    """(N, K) as (N, B): each block's figure at each of its bars."""
    return np.repeat(per_block, BLOCK, axis=1)


def by_session(grid: Grid, values: Floats) -> Floats:
    """(N, B) per bar as (N, D) per session, NaN without a bar."""
    spread = np.full((len(grid.tickers), len(grid.sessions)), np.nan)
    own = grid.session >= 0
    spread[np.nonzero(own)[0], grid.session[own]] = values[own]
    return spread


def group_moves(grid: Grid, size: Floats) -> Floats:
    """(G, D) how far each group moved on each session: the median size of its tickers' moves.

    size : (N, B) in units of each ticker's habit. A group with fewer than 5 such tickers on a
    session takes the median of all tickers; fewer than 5 of all: 0.
    """
    spread = by_session(grid, size)
    every = np.nan_to_num(_median(spread))
    n_groups = int(grid.group.max(initial=0)) + 1
    if n_groups == 1:
        return every[None]
    own = np.stack([_median(spread[grid.group == g]) for g in range(n_groups)])
    return np.where(np.isnan(own), every, own)


def _median(values: Floats) -> Floats:
    """(N, D) the median of what is known per column, NaN with fewer than 5."""
    ordered = np.sort(values.T, axis=1)
    n = len(values)
    known = n - np.isnan(ordered).sum(axis=1)
    rows, low = np.arange(len(ordered)), np.maximum(known - 1, 0) // 2
    middle: Floats = (ordered[rows, low] + ordered[rows, np.minimum(known // 2, n - 1)]) / 2
    middle[known < FEWEST_TICKERS] = np.nan
    return middle
