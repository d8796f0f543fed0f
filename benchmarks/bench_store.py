"""Writing through the store against bare DuckDB: a month of 15M bars, and 200 cells at once.

Belongs here: the store's figures. Does not: asserting anything; each ratio is taken in one run.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks import harness
from factorlab_assets import schemas
from factorlab_assets.sources.base import Coverage, Fetched
from factorlab_assets.sources.synthetic import write_parquet
from factorlab_assets.store import Store, Verdict

TICKERS, YEARS = 3_000, 20
ROUNDS = 3
CELLS, CELL_MONTHS, CELL_TICKERS, CELL_TABLES = 200, 240, 13, 6
MONTH = "2024-05"


def rows() -> list[harness.Row]:
    """Measure everything; each contender in a process of its own, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        bars = Path(folder) / "bars.parquet"
        n_rows = write_parquet(bars, TICKERS, YEARS)
        bare, ours = [], []
        for turn in range(ROUNDS):
            for kind, found in (("bare", bare), ("store", ours)):
                target = f"{folder}/{kind}{turn}.duckdb"
                found.append(harness.in_child("benchmarks.bench_store", kind, str(bars), target))
        cells = harness.in_child("benchmarks.bench_store", "cells", "", f"{folder}/cells.duckdb")
    bare_s, ours_s = (min(run["seconds"] for run in runs) for runs in (bare, ours))
    bare_cpu, ours_cpu = (min(run["cpu"] for run in runs) for runs in (bare, ours))
    millions = f"{n_rows / 1e6:.1f}M rows"
    per = CELLS * CELL_TABLES
    return [
        harness.Row(f"bare CREATE TABLE AS, {millions}", bare_s, "s"),
        harness.Row("  its peak memory", max(run["peak_mib"] for run in bare), "MiB"),
        harness.Row("the same through the store", ours_s, "s"),
        harness.at_most("  ratio", ours_s / bare_s, "x", 2),
        harness.Row("  ratio of processor time", ours_cpu / bare_cpu, "x"),
        harness.at_most("  peak memory", max(run["peak_mib"] for run in ours), "MiB", 1536),
        harness.Row(
            f"{CELLS} cells x {CELL_TABLES} tables, write", cells["write"] * 1e3 / per, "ms each"
        ),
        harness.Row("  bare CREATE TABLE AS of the same", cells["bare"] * 1e3 / per, "ms each"),
        harness.Row(f"{CELLS} cells, load one table", cells["load"] * 1e3 / CELLS, "ms each"),
        harness.Row("one cell, write one table", cells["write_one"] * 1e3, "ms"),
        harness.Row("one cell, load one table", cells["load_one"] * 1e3, "ms"),
        harness.Row("any small read", cells["look"] * 1e3, "ms"),
    ]


def bare(bars: str, database: str) -> None:
    """What DuckDB does by itself."""

    def write() -> None:
        with duckdb.connect(database) as con:
            con.execute("CREATE TABLE raw_prices AS SELECT * FROM read_parquet(?)", [bars])

    harness.report(harness.timed(write))


def store(bars: str, database: str) -> None:
    """The same bars as a data version: judged, hashed, with verdicts and a ledger row."""

    def write() -> None:
        Store(Path(database)).add_version(
            MONTH,
            Fetched(Path(bars), [Coverage("X0001", "ok")]),
            source="synthetic",
            price_basis="synthetic",
            distributions=None,
            observed_at=dt.datetime(2024, 5, 31),
            is_survivors=False,
        )

    harness.report(harness.timed(write))


def cells(_: str, database: str) -> None:
    """Partitions of the weights table, all at once and one alone."""
    held = Store(Path(database))
    many, one = _weights(CELLS), _weights(1)
    held.write_partitions(schemas.WEIGHTS, many, *_said(CELLS))
    bare_con = duckdb.connect(f"{database}.bare")
    harness.report(
        {
            "write": CELL_TABLES
            * harness.best_of(
                5, lambda: held.write_partitions(schemas.WEIGHTS, many, *_said(CELLS))
            ),
            "bare": CELL_TABLES
            * harness.best_of(
                5,
                lambda: bare_con.from_arrow(many).query(
                    "given", "CREATE OR REPLACE TABLE weights AS SELECT * FROM given"
                ),
            ),
            "load": harness.best_of(5, lambda: held.load(schemas.WEIGHTS, list(_said(CELLS)[0]))),
            "write_one": harness.best_of(
                20, lambda: held.write_partitions(schemas.WEIGHTS, one, *_said(1))
            ),
            "load_one": harness.best_of(20, lambda: held.load(schemas.WEIGHTS, list(_said(1)[0]))),
            "look": harness.best_of(20, held.versions),
        }
    )


def _weights(n_cells: int) -> pa.Table:
    per_cell = CELL_MONTHS * CELL_TICKERS
    days = (np.datetime64("2004-06") + np.arange(CELL_MONTHS)).astype("datetime64[D]")
    tickers = np.array([f"T{i:02d}" for i in range(CELL_TICKERS)])
    return pa.table(
        {
            "month": pa.repeat(MONTH, n_cells * per_cell),
            "strategy": np.repeat([f"s{i:03d}" for i in range(n_cells)], per_cell),
            "date": np.tile(np.repeat(days, CELL_TICKERS), n_cells),
            "ticker": np.tile(tickers, n_cells * CELL_MONTHS),
            "weight": np.random.default_rng(7).normal(size=n_cells * per_cell),
            "reason": pa.repeat("selected", n_cells * per_cell),
        }
    )


def _said(n_cells: int) -> tuple[dict[str, str], list[Verdict]]:
    keys = [f"{MONTH}|s{i:03d}" for i in range(n_cells)]
    return dict.fromkeys(keys, "experiment"), [Verdict(key, "constraints", True) for key in keys]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        harness.show(rows())
    else:
        {"bare": bare, "store": store, "cells": cells}[sys.argv[1]](*sys.argv[2:])
