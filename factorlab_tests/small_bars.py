"""Daily bars small enough to check by eye, as DuckDB tables. Belongs here: builders, no tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import duckdb

from factorlab_assets import schemas
from factorlab_assets.core.adjust import adjusted_prices
from factorlab_assets.core.returns import monthly_returns, plain
from factorlab_assets.store_partitions import arrow_schema

Bar = tuple[str, str, float] | tuple[str, str, float, float]


def put_bars(con: duckdb.DuckDBPyConnection, bars: Iterable[Bar], name: str = "bars") -> None:
    """A table of (ticker, day, close[, open]); open is close where left out."""
    con.execute(
        f"CREATE OR REPLACE TABLE {name} (ticker VARCHAR, date DATE, open DOUBLE, high DOUBLE, "
        "low DOUBLE, close DOUBLE, volume DOUBLE)"
    )
    for ticker, day, close, *opened in bars:
        start = opened[0] if opened else close
        high, low = max(start, close), min(start, close)
        con.execute(
            f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?, 1)",
            [ticker, day, start, high, low, close],
        )


def put_distributions(
    con: duckdb.DuckDBPyConnection, paid: Iterable[tuple[str, str, float]], name: str = "paid"
) -> None:
    """A table of (ticker, ex-date, amount)."""
    con.execute(f"CREATE OR REPLACE TABLE {name} (ticker VARCHAR, ex_date DATE, amount DOUBLE)")
    for row in paid:
        con.execute(f"INSERT INTO {name} VALUES (?, ?, ?)", list(row))


def grown(con: duckdb.DuckDBPyConnection, bars: str, paid: str | None, name: str = "grown") -> str:
    """The bars with these distributions, none of which they carry yet, as a table `name`."""
    if paid is None:
        return plain(bars)
    keys = ("month", "data_version_id")
    suspects = arrow_schema(schemas.SUSPECT_PRICES, without=keys).empty_table()
    said = {"ticker": "ticker", "ex_date": "ex_date", "amount": "amount", "status": "'missing'"}
    said |= {"carried": "0.0::DOUBLE", "evidence": "''", "known_at": "ex_date"}
    columns = ", ".join(
        f"{said.get(name, f'NULL::{kind}')} AS {name}"
        for name, kind in schemas.DISTRIBUTION_STATUS.columns.items()
        if name not in keys
    )
    status = con.sql(f"SELECT {columns} FROM {paid}").to_arrow_table()
    with adjusted_prices(con, bars, suspects, status) as relation:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM ({relation})")
    return name


def monthly(
    con: duckdb.DuckDBPyConnection, month: str, distributions: str | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """`monthly_returns` of the table `bars` by (ticker, month)."""
    rows = monthly_returns(con, grown(con, "bars", distributions), month).to_pylist()
    found = {(row["ticker"], f"{row['date']:%Y-%m}"): row for row in rows}
    assert len(found) == len(rows), "a ticker-month twice"
    return found


def day(text: str) -> dt.date:
    """A date from its ISO text."""
    return dt.date.fromisoformat(text)
