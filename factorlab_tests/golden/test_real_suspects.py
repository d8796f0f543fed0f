"""The suspects of a real archive: few enough to read, and the errors that a reader knows.

The bounds are a quarter above what was counted when a sample of every kind was looked at bar by
bar; the named errors were confirmed by funds of the same index, by the open of the day after, or
by a second vendor.
"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import csv

from factorlab_assets.core.suspects import MARKET, find_suspects

MONTH = "2024-05"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def found(shared_data: Path) -> list[Row]:
    """All findings in 607 ETFs; rows that hold a price of 0 are kept out, as at ingest."""
    kinds = {f"<{name}>": pa.float64() for name in ("OPEN", "HIGH", "LOW", "CLOSE", "VOL")}
    columns = ["<TICKER>", "<DATE>", *kinds]
    options = csv.ConvertOptions(
        column_types=kinds | {"<DATE>": pa.string()}, include_columns=columns
    )
    with zipfile.ZipFile(shared_data / "stooq" / "us_etfs_20240621.zip") as archive:
        files = [name for name in archive.namelist() if archive.getinfo(name).file_size > 100]
        tables = [csv.read_csv(archive.open(name), convert_options=options) for name in files]
    names = ["ticker", "day", "open", "high", "low", "close", "volume"]
    rows = pa.concat_tables(tables).rename_columns(names)
    with duckdb.connect() as con:
        con.execute("SET threads = 2")
        con.register("rows", rows)
        bars = """(
            SELECT * EXCLUDE (day) REPLACE (replace(ticker, '.US', '') AS ticker),
                strptime(day, '%Y%m%d')::DATE AS date
            FROM rows WHERE least(open, high, low, close) > 0
        )"""
        return find_suspects(con, bars, MONTH).to_pylist()


def test_the_list_is_short_enough_to_be_read(found: list[Row]) -> None:
    bounds = {"missing": 300, "stale": 13, "spike": 290, "outlier": 8, "peers": 165, "volume": 3}
    counts = Counter(row["kind"] for row in found)
    assert {kind: n for kind, n in counts.items() if n > bounds.get(kind, 1)} == {}
    assert sum(row["severity"] != "info" for row in found) < 300


def test_the_session_that_nine_in_ten_lack_is_found(found: list[Row]) -> None:
    (market,) = [row for row in found if row["ticker"] == MARKET]
    assert (market["date"], market["kind"]) == (dt.date(2011, 2, 17), "missing_market")


@pytest.mark.parametrize(
    ("ticker", "day"),
    [
        ("CMF", "2014-12-26"),  # a municipal bond fund 19 % up for a day
        ("TLT", "2013-06-28"),  # month-ends on which bond funds' closes are off
        ("TLT", "2013-09-30"),
        ("VO", "2015-03-31"),
        ("XLE", "2015-03-12"),  # a day on which a dozen closes are off
    ],
)
def test_known_wrong_closes_are_found(found: list[Row], ticker: str, day: str) -> None:
    of_the_day = [row for row in found if (row["ticker"], f"{row['date']}") == (ticker, day)]
    assert [row["kind"] for row in of_the_day] == ["spike"]
    assert of_the_day[0]["known_at"] > of_the_day[0]["date"]


def test_a_fund_that_is_gone_for_two_years_is_found(found: list[Row]) -> None:
    (gap,) = [row for row in found if row["kind"] == "missing" and row["value"] > 100]
    assert (gap["ticker"], f"{gap['date']}", gap["severity"]) == ("FAN", "2010-06-22", "error")


@pytest.mark.parametrize(
    ("first", "last", "most"),
    [
        ("2008-10-06", "2008-10-17", 30),
        ("2010-05-06", "2010-05-07", 6),  # the flash crash
        ("2015-08-24", "2015-08-25", 6),
        ("2018-02-05", "2018-02-06", 6),
        ("2020-03-09", "2020-03-20", 30),
    ],
)
def test_a_crash_makes_no_suspects_of_hundreds(
    found: list[Row], first: str, last: str, most: int
) -> None:
    there = [row for row in found if first <= f"{row['date']}" <= last]
    assert len(there) <= most


def test_nothing_halves_or_slips_by_ten_in_this_archive(found: list[Row]) -> None:
    assert not {"split", "decimal", "ohlc"} & {row["kind"] for row in found}
