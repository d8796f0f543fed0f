"""Closes in DuckDB → month-ends → XsMom 12−1 → top 20 % → costs → metrics, without Dagster.

Belongs here: this pipeline at 13, 500 and 3,000 tickers of 20 years, beside DuckDB's own scan of
the columns it reads and a plain pandas version of the same numbers. Does not: asserting anything;
each ratio is taken in one process, by turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from benchmarks import harness
from factorlab_assets.core import research, returns
from factorlab_assets.core.panel import panel_from_table
from factorlab_assets.sources.synthetic import write_parquet
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_assets.strategy_book import Portfolio, Select
from factorlab_assets.strategy_signals import Factor

SIZES, YEARS = (13, 500, 3_000), 20
ROUNDS = 7
MONTH = "2024-05"
COST_BPS = 10.0
STEPS = ("month-ends", "panel", "signals, book, backtest", "metrics")

XSMOM = Resolved(
    strategy=Strategy(
        name="bench",
        description="XsMom 12-1, top 20 %",
        universe="all",
        factors=(Factor(name="xsmom", params={"lookback": 12, "skip": 1}, delay=0),),
        portfolio=Portfolio(select=Select(fraction=0.2)),
    ),
    tickers=None,
    asset_classes={},
)


def rows() -> list[harness.Row]:
    """Measure every size; the data are made in a child, whose memory would else count for all."""
    return [row for size in SIZES for row in _rows(size)]


def _rows(size: int) -> list[harness.Row]:
    with tempfile.TemporaryDirectory() as folder:
        made, ours, plain = (
            harness.in_child("benchmarks.bench_pipeline", what, folder, str(size))
            for what in ("data", "ours", "pandas")
        )
    same = abs(ours["cagr"] - plain["cagr"]) < 1e-9
    ratio, peak, seconds = ours["seconds"] / ours["scan"], ours["peak_mib"], ours["seconds"]
    largest, smallest = size == max(SIZES), size == min(SIZES)
    name = f"{size} tickers, {made['rows'] / 1e6:.1f}M rows: closes to metrics"
    return [
        harness.at_most(name, seconds * 1e3, "ms", 40)
        if smallest
        else harness.Row(name, seconds * 1e3, "ms"),
        *(harness.Row(f"  {step}", ours[step] * 1e3, "ms") for step in STEPS),
        harness.Row("  DuckDB's scan of ticker, date, close", ours["scan"] * 1e3, "ms"),
        harness.at_most("  ratio", ratio, "x", 3)
        if largest
        else harness.Row("  ratio", ratio, "x"),
        harness.Row("  ratio of processor time", ours["cpu"] / ours["scan_cpu"], "x"),
        harness.at_most("  peak memory", peak, "MiB", 500)
        if largest
        else harness.Row("  peak memory", peak, "MiB"),
        harness.Row("  first run of a process", ours["first"] * 1e3, "ms"),
        harness.Row("  plain pandas", plain["seconds"] * 1e3, "ms"),
        harness.Row("  its peak memory", plain["peak_mib"], "MiB"),
        harness.Row("  its CAGR less ours", plain["cagr"] - ours["cagr"], "", "0", same),
    ]


def data(folder: Path, size: int) -> None:
    """The synthetic bars as a Parquet file and as a DuckDB table."""
    n_rows = write_parquet(folder / "bars.parquet", size, YEARS)
    with duckdb.connect(str(folder / "bars.duckdb")) as con:
        con.execute("SET enable_progress_bar = false")
        con.execute("CREATE TABLE bars AS FROM read_parquet(?)", [str(folder / "bars.parquet")])
    harness.report({"rows": n_rows})


def ours(folder: Path, _: int) -> None:
    """The scan and the pipeline by turns, after one of each to warm caches; the fastest counts."""
    bars = str(folder / "bars.parquet")
    told: dict[str, float] = {}
    with duckdb.connect(str(folder / "bars.duckdb"), read_only=True) as con:
        con.execute("SET memory_limit = '160MiB'")
        scan(con, bars)
        first = harness.timed(lambda: pipeline(con, told))["seconds"]
        scans, whole, steps = [], [], []
        for _ in range(ROUNDS):
            scans.append(harness.timed(lambda: scan(con, bars)))
            steps.append(dict.fromkeys(STEPS, 0.0))
            whole.append(harness.timed(lambda: pipeline(con, steps[-1])))
    told |= {step: min(taken[step] for taken in steps) for step in STEPS}
    told |= {"scan": min(run["seconds"] for run in scans)}
    told |= {"scan_cpu": min(run["cpu"] for run in scans)}
    told |= {key: min(run[key] for run in whole) for key in ("seconds", "cpu")}
    harness.report(told | {"first": first})


def scan(con: duckdb.DuckDBPyConnection, bars: str) -> None:
    """The three columns, every value decoded: a bare count would be answered from the metadata."""
    query = "SELECT bit_xor(hash(ticker)), max(date), sum(close) FROM read_parquet(?)"
    con.execute(query, [bars]).fetchall()


def pipeline(con: duckdb.DuckDBPyConnection, told: dict[str, float]) -> None:
    """The product's own path; `told` receives the seconds of each step, and the CAGR."""
    marks = [time.perf_counter()]
    columns = ("ticker", "date", "price", "close")
    monthly = returns.monthly_returns(con, returns.plain("bars"), MONTH, columns=columns)
    for entry in ("entry_open", "entry_close"):  # not looked at when trading at the close
        monthly = monthly.append_column(entry, pa.nulls(len(monthly), pa.float64()))
    marks.append(time.perf_counter())
    market = panel_from_table(monthly)
    marks.append(time.perf_counter())
    result = research.run(XSMOM, market)
    marks.append(time.perf_counter())
    metrics = research.measure(XSMOM, result.backtest, None, price_basis="synthetic")
    marks.append(time.perf_counter())
    told |= {name: end - start for name, start, end in zip(STEPS, marks, marks[1:], strict=False)}
    told["cagr"] = metrics[0]["cagr"]


def pandas(folder: Path, _: int) -> None:
    """The pandas version, once: it is slow."""
    told: dict[str, float] = {}
    taken = harness.timed(lambda: plain(folder / "bars.parquet", told))
    harness.report(told | taken)


def plain(bars: Path, told: dict[str, float]) -> None:
    """The same numbers as one would write them in pandas; holds where no ticker loses a month."""
    frame = pd.read_parquet(bars, columns=["ticker", "date", "close"])
    frame["month"] = pd.to_datetime(frame["date"]).dt.to_period("M")
    frame = frame.sort_values(["ticker", "date"])
    price = frame.groupby(["ticker", "month"])["close"].last().unstack("ticker")
    change = price.pct_change(fill_method=None)
    momentum = price.shift(1) / price.shift(12) - 1
    k = max(int(0.2 * price.shape[1] + 1e-9), 1)
    chosen = momentum.rank(axis=1, ascending=False, method="first") <= k
    weights = (chosen / k).loc[momentum.notna().all(axis=1)]
    change, held = change.loc[weights.index], weights.shift(1).fillna(0.0)
    gross = (held * change).sum(axis=1)
    drifted = (held * (1 + change)).div(1 + gross, axis=0)
    turnover = (weights - drifted).abs().sum(axis=1)
    net = (gross - (turnover * COST_BPS / 1e4).shift(1))[1:]
    told["cagr"] = float((1 + net).prod() ** (12 / len(net)) - 1)


CHILDREN: dict[str, Callable[[Path, int], None]] = {"data": data, "ours": ours, "pandas": pandas}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        CHILDREN[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        harness.show(rows())
