"""Ingesting the real archive against DuckDB's own CSV reader on the extracted files.

Belongs here: this one ratio. Does not: timing helpers that others share, or asserting anything.
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from math import nan
from pathlib import Path

import duckdb

from benchmarks import harness
from factorlab_assets.sources.stooq_files import StooqFiles

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("FACTORLAB_SHARED", ROOT.parent / "shared"))
ARCHIVE = SHARED / "data" / "stooq" / "us_etfs_20240621.zip"
ROUNDS = 5
LIMIT = 2.0


def rows() -> list[harness.Row]:
    """Time both by turns in one process, after one round that warms the page cache."""
    if not ARCHIVE.is_file():
        return [
            harness.Row("ingest: not measured, FACTORLAB_SHARED names no real archive", nan, "")
        ]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extractall(folder)
        contenders: dict[str, Callable[[], int]] = {
            "duckdb": lambda: duckdb_reads(f"{folder}/**/*.txt"),
            "ours": ours,
        }
        counts = {name: read() for name, read in contenders.items()}
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, read in contenders.items():
                begin = time.perf_counter()
                read()
                seconds[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        harness.Row(f"ingest of the real archive, {counts['ours']} rows", median["ours"], "s"),
        harness.Row("  DuckDB's CSV reader on the extracted files", median["duckdb"], "s"),
        harness.at_most("  ratio", median["ours"] / median["duckdb"], "x", LIMIT),
    ]


def ours() -> int:
    """Unzip, parse, judge every row, and sort into one table."""
    return StooqFiles(ARCHIVE).fetch(None, dt.date.max).prices.num_rows


def duckdb_reads(pattern: str) -> int:
    """The extracted text into a DuckDB table, as DuckDB does it by itself."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE bars AS SELECT * FROM read_csv(?)", [pattern])
        return con.execute("SELECT count(*) FROM bars").fetchall()[0][0]


if __name__ == "__main__":
    harness.show(rows())
