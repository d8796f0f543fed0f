"""Daily bars small enough to check by eye, as DuckDB tables. Belongs here: builders, no tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import duckdb

from factorlab_assets.core.returns import monthly_returns

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


def monthly(
    con: duckdb.DuckDBPyConnection, month: str, distributions: str | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """`monthly_returns` of the table `bars` by (ticker, month)."""
    rows = monthly_returns(con, "bars", distributions, month).to_pylist()
    found = {(row["ticker"], f"{row['date']:%Y-%m}"): row for row in rows}
    assert len(found) == len(rows), "a ticker-month twice"
    return found


def day(text: str) -> dt.date:
    """A date from its ISO text."""
    return dt.date.fromisoformat(text)
