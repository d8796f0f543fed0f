"""Arrow tables as DuckDB relations for the length of a block.

Belongs here: lending tables to a connection. Does not: any query.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.calendar import FIRST_DAY, Dates, months_of, sessions


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """`name` is a relation on `con` inside the block."""
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)


@contextmanager
def sessions_registered(
    con: duckdb.DuckDBPyConnection, through: dt.date, days_before: int = 0
) -> Iterator[Dates]:
    """`factorlab_sessions`: date, its number n in the calendar and the number m of its month, a
    month ending so many sessions before its last one (`calendar.months_of`)."""
    every = sessions(FIRST_DAY, through)
    months = months_of(every, days_before).astype(np.int64)
    table = pa.table({"date": every, "m": months, "n": np.arange(len(every))})
    with registered(con, "factorlab_sessions", table):
        yield every
