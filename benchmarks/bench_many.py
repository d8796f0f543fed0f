"""200 parameter combinations as one batch, beside the same in plain pandas and in vectorbt.

Belongs here: 13 and 500 tickers of 20 years; time, memory, and that the numbers are the same. Does
not: the rivals themselves (`rivals`). Everyone starts from month-end prices in memory and ends with
200 series of monthly net returns.

vectorbt is no dependency: its licence (Apache 2.0 with Commons Clause) forbids selling it on. Where
this Python has none, FACTORLAB_BENCH_VECTORBT_PYTHON names one that has:

    python -m venv elsewhere && elsewhere/bin/pip install vectorbt==1.2.0
    FACTORLAB_BENCH_VECTORBT_PYTHON=elsewhere/bin/python make bench

Its targets are made in pandas, as its users make them, and beside that in numpy, which is several
times quicker and no part of vectorbt. All combinations are one call, after a small one that
compiles. It charges fees to the cash of the date of the trade, where we subtract them from the
month's return: with fees the final NAVs differ by some tenths of a percent, without by rounding.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks import harness, rivals
from factorlab_assets.core import many, research
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Panel
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_assets.strategy_book import Costs, Portfolio, Select
from factorlab_assets.strategy_signals import Factor

AT_LEAST = {13: {"pandas": 14, "vectorbt": 20}, 500: {"pandas": 7, "vectorbt": 30}}
ROUNDS = {"ours": 15, "pandas": 6, "vectorbt": 6}
SAME, SAME_WITH_FEES = (1e-9, "e-9"), (1e-2, "%")
MOST_MIB = 64.0
PYTHON = "FACTORLAB_BENCH_VECTORBT_PYTHON"


def rows() -> list[harness.Row]:
    """Both sizes."""
    return [row for size in AT_LEAST for row in _rows(size)]


def _rows(size: int) -> list[harness.Row]:
    with tempfile.TemporaryDirectory() as folder:
        ours = _child("benchmarks.bench_many", "ours", folder, size)
        plain = _child("benchmarks.rivals", "pandas", folder, size)
        python = _with_vectorbt()
        other = None
        if python is not None:
            other = _child("benchmarks.rivals", "vectorbt", folder, size, python)
        nav = {each.stem: np.load(each) for each in Path(folder).glob("*.npy")}
    name = f"200 combinations as a batch, {size} tickers × 20 years"
    return [
        harness.Row(name, ours["seconds"] * 1e3, "ms"),
        harness.at_most("  its memory beside the results", ours["mib"], "MiB", MOST_MIB),
        harness.Row("  making the strategies beforehand", ours["making"] * 1e3, "ms"),
        harness.Row("  one by one by research.run", ours["single"] / ours["seconds"], "x"),
        *_ratios("plain pandas", plain, ours, AT_LEAST[size]["pandas"]),
        _agree("    its final NAVs less ours, at most", nav["pandas"], nav["ours"][0], *SAME),
        *_vectorbt(size, ours, other, nav),
    ]


def _vectorbt(
    size: int,
    ours: dict[str, float],
    other: dict[str, float] | None,
    nav: dict[str, np.ndarray],
) -> list[harness.Row]:
    if other is None:
        return [harness.Row("  vectorbt: not installed, bench_many.py says how", math.nan, "x")]
    with_fees, free = nav["vectorbt"]
    return [
        *_ratios("vectorbt", other, ours, AT_LEAST[size]["vectorbt"]),
        harness.Row(
            "    with its targets made by numpy", other["seconds in numpy"] / ours["seconds"], "x"
        ),
        harness.Row("      of processor time", other["cpu in numpy"] / ours["cpu"], "x"),
        _agree("    without fees, its final NAVs less ours, at most", free, nav["ours"][1], *SAME),
        _agree("    with fees", with_fees, nav["ours"][0], *SAME_WITH_FEES),
        harness.Row("    its peak memory", other["peak_mib"], "MiB"),
    ]


def _ratios(
    name: str, theirs: dict[str, float], ours: dict[str, float], least: float
) -> list[harness.Row]:
    return [
        harness.at_least(f"  {name}", theirs["seconds"] / ours["seconds"], "x", least),
        harness.Row("    of processor time", theirs["cpu"] / ours["cpu"], "x"),
    ]


def _agree(name: str, theirs: np.ndarray, ours: np.ndarray, most: float, unit: str) -> harness.Row:
    """The largest difference of final NAVs, relative to ours, in a unit of which `most` is one."""
    found = float(np.abs(theirs / ours - 1.0).max()) / most
    return harness.at_most(name, found, unit, 1)


def _child(
    module: str, what: str, folder: str, size: int, python: str = sys.executable
) -> dict[str, float]:
    rounds = ROUNDS[what] if size == min(AT_LEAST) else max(ROUNDS[what] // 3, 2)
    return harness.in_child(module, what, folder, str(size), str(rounds), python=python)


def _with_vectorbt() -> str | None:
    """A Python that has vectorbt; None where none is known."""
    here = sys.executable if importlib.util.find_spec("vectorbt") else None
    return os.environ.get(PYTHON) or here


def ours(folder: Path, size: int, rounds: int) -> None:
    """Times the batch, and the same strategies one by one; writes final NAVs, with and without
    fees. Memory is of one more batch: following it takes time."""
    price = rivals.prices(size)
    first = np.datetime64("2004-06", "M")
    dates = month_ends(str(first), str(first + (rivals.MONTHS - 1)))
    tickers = np.array([f"T{i:04d}" for i in range(size)])
    market = Panel(dates, tickers, price, price, price, price, price)
    made: list[Resolved] = []
    making = harness.best_of(1, lambda: made.extend(strategies(size, rivals.COST_BPS)))
    batch = many.evaluate(made, market)
    assert not any(batch.alone)
    free = many.evaluate(strategies(size, 0.0), market)
    taken = harness.least_of(rounds, lambda: many.evaluate(made, market))
    single = harness.best_of(2, lambda: [research.run(each, market) for each in made])
    tracemalloc.start()
    many.evaluate(made, market)
    _, peak = tracemalloc.get_traced_memory()
    nav = [np.nancumprod(1.0 + each.net_return, axis=1)[:, -1] for each in (batch, free)]
    np.save(folder / "ours.npy", nav)
    mib = (peak - sum(getattr(batch, name).nbytes for name in many.VALUES)) / 2**20
    harness.report(taken | {"making": making, "single": single, "mib": mib})


def strategies(size: int, cost_bps: float) -> list[Resolved]:
    """The combinations as strategy files would say them."""
    return [
        Resolved(
            strategy=Strategy(
                name="bench",
                description="one of many",
                universe="all",
                factors=(
                    Factor(
                        name="xsmom",
                        params={"lookback": each.lookback, "skip": each.skip},
                        delay=0,
                    ),
                ),
                portfolio=Portfolio(
                    select=Select(top_k=each.k), weighting=each.weighting, min_names=size
                ),
                costs=Costs(tc_bps=cost_bps, slippage_bps=0.0),
            ),
            tickers=None,
            asset_classes={},
        )
        for each in rivals.combinations(size)
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ours(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        harness.show(rows())
