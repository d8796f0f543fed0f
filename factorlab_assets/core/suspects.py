"""Which bars of a data version are probably wrong, why, and since when that could be known.

Belongs here: the table of findings. Does not: how each kind is found (`suspects_presence`,
`suspects_moves`), the thresholds' reasons (`suspects_rules`), or what is done about it.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.calendar import month_end
from factorlab_assets.core.suspects_grid import Found, Grid, read_grid
from factorlab_assets.core.suspects_moves import suspect_moves
from factorlab_assets.core.suspects_presence import missing, missing_market, ohlc, stale, volume
from factorlab_assets.core.suspects_rules import SUSPECT_RULES

__all__ = ["MARKET", "SUSPECT_RULES", "find_suspects"]

MARKET = "^MARKET"
"""The ticker of a finding about a whole session."""
SEVERITIES = ("info", "warning", "error")
SIGNIFICANT = 10
"""Digits of `expected`: what follows them is rounding."""

_COLUMNS = pa.schema(
    [
        ("ticker", pa.string()),
        ("date", pa.date32()),
        ("kind", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("expected", pa.float64()),
        ("evidence", pa.string()),
        ("known_at", pa.date32()),
    ]
)


def find_suspects(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    month: str,
    *,
    asset_classes: Mapping[str, str] = {},
) -> pa.Table:
    """Suspect bars up to `month`, ordered by ticker, date and kind.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    bars : SQL relation, columns of `raw_prices`; each (ticker, date) once.
    asset_classes : ticker -> class; a class of five or more is what a ticker's move is held
        against on days on which much moves, instead of all tickers.

    Returns
    -------
    pa.Table of ticker, date, kind, severity, value, expected, evidence, known_at
    (schemas.SUSPECT_PRICES says what each is), each (ticker, date, kind) once.

    Notes
    -----
    With the bars after any session cut off, exactly the rows with `known_at` up to it are found.
    """
    grid = read_grid(con, bars, month_end(month), asset_classes)
    if not grid.tickers:
        return _COLUMNS.empty_table()
    market, closed = missing_market(grid)
    found = [market, missing(grid, closed), stale(grid), ohlc(con, bars, grid), volume(grid)]
    return _table(grid, found + suspect_moves(grid))


def _table(grid: Grid, found: list[Found]) -> pa.Table:
    names = np.array([*grid.tickers, MARKET], dtype=object)
    kind = np.concatenate([np.full(len(f.evidence), f.kind, dtype=object) for f in found])
    ticker = names[np.concatenate([f.ticker for f in found])]
    value, expected = (
        np.concatenate([getattr(f, c) for f in found]) for c in ("value", "expected")
    )
    columns = [
        pa.array(ticker, pa.string()),
        pa.array(grid.sessions[np.concatenate([f.session for f in found])], pa.date32()),
        pa.array(kind, pa.string()),
        pa.array(np.array(SEVERITIES, dtype=object)[np.concatenate([f.severity for f in found])]),
        pa.array(value, from_pandas=True),
        pa.array([float(f"{x:.{SIGNIFICANT}g}") for x in expected], from_pandas=True),
        pa.array([text for f in found for text in f.evidence], pa.string()),
        pa.array(grid.sessions[np.concatenate([f.known for f in found])], pa.date32()),
    ]
    table = pa.table(columns, schema=_COLUMNS)
    return table.sort_by([("ticker", "ascending"), ("date", "ascending"), ("kind", "ascending")])
