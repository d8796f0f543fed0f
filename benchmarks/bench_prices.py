"""Judging prices: suspects, basis and adjusted prices of the real archive, and of 15 million bars.

Belongs here: these times, their memory, and whether a bar takes longer where there are more. Does
not: asserting anything.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections.abc import Callable
from math import nan
from pathlib import Path

import duckdb

from benchmarks import harness
from benchmarks.bench_ingest import ARCHIVE
from factorlab_assets.core.adjust import adjusted_prices, repairs
from factorlab_assets.core.basis import price_basis
from factorlab_assets.core.suspects import find_suspects
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.schemas import DISTRIBUTION_STATUS
from factorlab_assets.sources.stooq_files import StooqFiles
from factorlab_assets.sources.synthetic import write_parquet
from factorlab_assets.store_partitions import arrow_schema

MONTH = "2024-05"
LAST = dt.date(2024, 5, 31)
TICKERS, YEARS = 3_000, 20
STEPS = ("suspects", "basis", "adjusted prices")
SECONDS, MEBIBYTES = 10.0, 1024.0
NONE = arrow_schema(DISTRIBUTION_STATUS, without=("month", "data_version_id")).empty_table()


def rows() -> list[harness.Row]:
    """The archive, then the large panel; each is made and judged in children of its own."""
    if not ARCHIVE.is_file():
        return [
            harness.Row("prices: not measured, FACTORLAB_SHARED names no real archive", nan, "")
        ]
    real, large = _measured("archive"), _measured("panel")
    per_bar = [1e6 * told["seconds"] / told["bars"] for told in (real, large)]
    per_bar_cpu = [1e6 * told["cpu"] / told["bars"] for told in (real, large)]
    return [
        harness.at_most(
            f"real archive, {real['bars'] / 1e6:.1f}M bars: quality and basis",
            real["suspects"] + real["basis"],
            "s",
            SECONDS,
        ),
        *(harness.Row(f"  {step}", real[step], "s") for step in STEPS),
        harness.at_most("  peak memory", real["peak_mib"], "MiB", MEBIBYTES),
        harness.Row(f"{large['bars'] / 1e6:.1f}M bars: the same", large["seconds"], "s"),
        *(harness.Row(f"  {step}", large[step], "s") for step in STEPS),
        harness.at_most("  time per bar over the archive's", per_bar[1] / per_bar[0], "x", 1.0),
        harness.Row("  of processor time", per_bar_cpu[1] / per_bar_cpu[0], "x"),
        harness.Row("  peak memory", large["peak_mib"], "MiB"),
    ]


def _measured(what: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        for step in (what, "judge"):
            told = harness.in_child("benchmarks.bench_prices", step, folder)
    return told


def archive(folder: Path) -> None:
    """The real archive's bars as a DuckDB table."""
    fetched = StooqFiles(ARCHIVE).fetch(None, LAST)
    with duckdb.connect(str(folder / "bars.duckdb")) as con:
        con.register("fetched", fetched.prices)
        con.execute("CREATE TABLE bars AS FROM fetched")
    harness.report({})


def panel(folder: Path) -> None:
    """The synthetic bars as a DuckDB table."""
    write_parquet(folder / "bars.parquet", TICKERS, YEARS)
    with duckdb.connect(str(folder / "bars.duckdb")) as con:
        con.execute("SET enable_progress_bar = false")
        con.execute("CREATE TABLE bars AS FROM read_parquet(?)", [str(folder / "bars.parquet")])
    harness.report({})


def judge(folder: Path) -> None:
    """Each step once, on a warm page cache; adjusted prices end in a Parquet file."""
    told: dict[str, float] = {"cpu": 0.0, "seconds": 0.0}
    with duckdb.connect(str(folder / "bars.duckdb"), read_only=True) as con:
        con.execute("SET enable_progress_bar = false")
        told["bars"] = con.execute("SELECT count(*), sum(close) FROM bars").fetchall()[0][0]
        found = find_suspects(con, "(FROM bars LIMIT 100000)", MONTH)  # imports and first use

        def suspects() -> None:
            nonlocal found
            found = repairs(con, find_suspects(con, "bars", MONTH), "bars", None, PriceRules())

        def basis() -> None:
            price_basis(con, "bars", None, NONE, None, MONTH)

        def adjusted() -> None:
            with adjusted_prices(con, "bars", found, NONE) as query:
                con.sql(query).write_parquet(str(folder / "adjusted.parquet"))

        work: dict[str, Callable[[], None]] = dict(
            zip(STEPS, (suspects, basis, adjusted), strict=True)
        )
        for step in STEPS:
            taken = harness.timed(work[step])
            told[step] = taken["seconds"]
            if step != "adjusted prices":
                told["cpu"] += taken["cpu"]
                told["seconds"] += taken["seconds"]
    harness.report(told)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        harness.show(rows())
    else:
        {"archive": archive, "panel": panel, "judge": judge}[sys.argv[1]](Path(sys.argv[2]))
