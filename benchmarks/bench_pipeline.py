"""Closes in DuckDB → month-ends → XsMom 12−1 → top 20 % → costs → metrics, without Dagster.

Belongs here: this pipeline at 13, 500 and 3,000 tickers of 20 years, beside DuckDB's own scan of
the columns it reads and a plain pandas version of the same numbers, each in a process of its own.
Does not: asserting anything.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from factorlab_assets.core import research, returns
from factorlab_assets.core.panel import panel_from_table
from factorlab_assets.sources.synthetic import write_parquet
from factorlab_assets.strategy import Factor, Portfolio, Resolved, Select, Strategy

ROOT = Path(__file__).resolve().parent.parent
SIZES = (13, 500, 3000)
YEARS = 20
MONTH = "2024-05"
ROUNDS = 7
COST_BPS = 10.0


def main() -> None:
    """Measure every size and print what it took."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            # The data are made in a child too: a process hands its peak memory on to its children.
            rows = _child("data", folder, str(size))["rows"]
            ours, plain = _child("ours", folder), _child("plain", folder)
        same = abs(ours["cagr"] - plain["cagr"]) < 1e-9
        print(
            f"pipeline, {size} tickers, {rows} bars: {ours['seconds'] * 1e3:.0f} ms, "
            f"{ours['seconds'] / ours['scan']:.2f} x the scan's {ours['scan'] * 1e3:.0f} ms, "
            f"peak {ours['peak_mib']:.0f} MiB; plain pandas {plain['seconds']:.2f} s, "
            f"{plain['peak_mib']:.0f} MiB, {'same' if same else 'ANOTHER'} CAGR"
        )
        steps = ", ".join(f"{name} {taken * 1e3:.0f} ms" for name, taken in ours["steps"].items())
        print(f"  {steps}; the process's first run {ours['first'] * 1e3:.0f} ms")
    print("  limits: 3 x the scan and 500 MiB at 3000 tickers, 40 ms at 13")


def _child(what: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_pipeline", what, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"peak_mib": told["peak_kib"] / 1024}


def make_data(folder: Path, size: int) -> dict[str, Any]:
    """The synthetic bars as a Parquet file and as a DuckDB table."""
    rows = write_parquet(folder / "bars.parquet", size, YEARS)
    with duckdb.connect(str(folder / "bars.duckdb")) as con:
        con.execute("CREATE TABLE bars AS FROM read_parquet(?)", [str(folder / "bars.parquet")])
    return {"rows": rows}


def measure_ours(folder: Path) -> dict[str, Any]:
    """By turns the scan and the pipeline, after one of each to warm caches; the fastest counts."""
    bars = folder / "bars.parquet"
    scans: list[float] = []
    whole: list[float] = []
    steps: list[dict[str, float]] = []
    with duckdb.connect(str(folder / "bars.duckdb"), read_only=True) as con:
        con.execute("SET memory_limit = '128MiB'")
        scan(con, bars)
        first, cagr = _timed(lambda: ours(con, {}))
        for _ in range(ROUNDS):
            scans.append(_timed(lambda: scan(con, bars))[0])
            steps.append({})
            whole.append(_timed(lambda: ours(con, steps[-1]))[0])
    return {
        "scan": min(scans),
        "seconds": min(whole),
        "steps": {name: min(step[name] for step in steps) for name in steps[0]},
        "first": first,
        "cagr": cagr,
    }


def measure_plain(folder: Path) -> dict[str, Any]:
    """The pandas version, once: it is slow."""
    seconds, cagr = _timed(lambda: plain_pandas(folder / "bars.parquet"))
    return {"seconds": seconds, "cagr": cagr}


def _timed(call: Callable[[], float]) -> tuple[float, float]:
    begin = time.perf_counter()
    value = call()
    return time.perf_counter() - begin, value


def scan(con: duckdb.DuckDBPyConnection, bars: Path) -> float:
    """The three columns, every value decoded: a bare count would be answered from the metadata."""
    query = "SELECT bit_xor(hash(ticker)), max(date), sum(close) FROM read_parquet(?)"
    return con.execute(query, [str(bars)]).fetchall()[0][2]


def ours(con: duckdb.DuckDBPyConnection, taken: dict[str, float]) -> float:
    """The product's own path; the CAGR, and the seconds of each step in `taken`."""
    begin = time.perf_counter()

    def step(name: str) -> None:
        nonlocal begin
        taken[name], begin = time.perf_counter() - begin, time.perf_counter()

    columns = ("ticker", "date", "price", "mark")
    monthly = returns.monthly_returns(con, "bars", None, MONTH, columns=columns)
    step("month-ends")
    for entry in ("entry_open", "entry_close"):  # not needed when trading at the close
        monthly = monthly.append_column(entry, pa.nulls(len(monthly), pa.float64()))
    market = panel_from_table(monthly)
    step("panel")
    result = research.run(STRATEGY, market)
    step("signals, book, backtest")
    metrics = research.measure(STRATEGY, result.backtest, None, price_basis="synthetic")
    step("metrics")
    return float(metrics[0]["cagr"])


def plain_pandas(bars: Path) -> float:
    """The same numbers as one would write them in pandas; only for panels without a lost month."""
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
    return float((1 + net).prod() ** (12 / len(net)) - 1)


STRATEGY = Resolved(
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


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "data": lambda folder, size: make_data(Path(folder), int(size)),
    "ours": lambda folder: measure_ours(Path(folder)),
    "plain": lambda folder: measure_plain(Path(folder)),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        told = CHILDREN[sys.argv[1]](*sys.argv[2:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(told | {"peak_kib": peak}))
    else:
        main()
