"""A sweep of 1,000 combinations on 13 tickers, through Dagster, beside a loop in numpy.

Belongs here: the whole of it: expanding, computing, ledger and return rows, every judgement. Does
not: the batch by itself (`bench_many`), or overfitting by itself (`bench_evaluation`).

What counts as ours: everything inside `batch.Run.execute`, less the bootstrap of the data-snooping
tests. The loop is what one would write first: month by month for each combination, then its Sharpe
ratio's probability, then overfitting split by split; timed on 1 combination in 50 and 1 split in
100, and scaled. It stores nothing, and has no walk forward and no cross-validation.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks import bench_cell, bench_evaluation, harness, rivals

MONTH, NAME = "2024-05", "momentum_grid"
SWEEP = """\
description: a thousand tries at momentum
universe: etf13
factors:
  - name: xsmom
    params: {lookback: 12, skip: 1}
    delay: 0
portfolio:
  select: {top_k: 5, only_positive: xsmom}
benchmark: equal_weight
sweep:
  parameters:
    factors.xsmom.lookback: {start: 5, stop: 14, step: 1}
    factors.xsmom.skip: [0, 1, 2, 3]
    portfolio.select.top_k: [1, 2, 3, 4, 5]
    factors.xsmom.delay: [0, 1, 2, 3, 4]
"""
COMBINATIONS, EVERY = 1_000, 50
MOST_SECONDS = 10.0


def rows() -> list[harness.Row]:
    """The sweep, its parts, and the loop."""
    with tempfile.TemporaryDirectory() as folder:
        found = harness.in_child("benchmarks.bench_sweep", "ours", folder)
    plain = harness.in_child("benchmarks.bench_sweep", "loop", "")
    ours = found["execute"] - found["bootstrap"]
    name = f"a sweep of {COMBINATIONS:,} combinations, 13 tickers, all but the bootstrap: our part"
    return [
        harness.at_most(name, ours, "s", MOST_SECONDS),
        *(
            harness.Row(f"  of which {table}", seconds, "s")
            for table, seconds in found["tables"].items()
        ),
        harness.Row("  the bootstrap beside it", found["bootstrap"], "s"),
        harness.Row("  the whole run by the clock, Dagster and all", found["whole"], "s"),
        harness.Row("  rows of returns, and of the ledger", found["n_returns"], "rows"),
        harness.Row("  a numpy loop over combinations and splits", plain["cpu"] / ours, "x"),
    ]


def ours(folder: Path) -> None:
    """One run of the sweep's job on synthetic prices."""
    from factorlab_assets.assets import launch
    from factorlab_assets.definitions import build_definitions
    from factorlab_assets.evaluation import evidence
    from factorlab_assets.settings import Settings
    from factorlab_assets.store import Store

    strategies = folder / "strategies"
    strategies.mkdir()
    (strategies / f"{NAME}.yaml").write_text(SWEEP)
    settings = Settings(strategies_dir=strategies)
    definitions = build_definitions(settings)
    launch.init_home(settings)
    launch.run_market(definitions, MONTH, {})
    bootstrap: list[float] = []
    snooping = evidence.snooping

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        result = snooping(*arguments)
        bootstrap.append(time.process_time() - start)
        return result

    evidence.snooping = timed
    with bench_cell.counting() as spent:
        start = time.perf_counter()
        launch.run_cells(definitions, "sweep", MONTH, [NAME])
        whole = time.perf_counter() - start
    store = Store(settings.database_path)
    ids = store.trials()["experiment_id"].to_pylist()
    n_returns = store.trial_returns(ids).num_rows + store.experiments(columns=["seq"]).num_rows
    more = {"whole": whole, "bootstrap": sum(bootstrap), "n_returns": n_returns}
    harness.report(spent | more)


def loop(_: Path) -> None:
    """Processor time of the loop over all combinations and splits."""
    price = rivals.prices(13)
    grid = itertools.product(range(5, 15), range(4), range(1, 6), range(5))
    taken = list(grid)[::EVERY]
    backtests = harness.least_of(2, lambda: [probability(one(price, *each)) for each in taken])
    excess = bench_evaluation.returns()
    splits = list(itertools.combinations(range(bench_evaluation.BLOCKS), 8))
    some = splits[:: bench_evaluation.EVERY]
    judged = harness.least_of(2, lambda: bench_evaluation.loop(excess, some))
    scaled = backtests["cpu"] * COMBINATIONS / len(taken) + judged["cpu"] * len(splits) / len(some)
    harness.report({"cpu": scaled})


def one(price: np.ndarray, lookback: int, skip: int, k: int, delay: int) -> np.ndarray:
    """Monthly net returns of one combination, month by month."""
    held, net = np.zeros(price.shape[1]), []
    for t in range(lookback + delay, len(price) - 1):
        momentum = price[t - delay - skip] / price[t - delay - lookback] - 1.0
        best = np.argsort(-momentum, kind="stable")[:k]
        weights = np.zeros(price.shape[1])
        weights[best[momentum[best] > 0.0]] = 1.0 / k
        change = price[t + 1] / price[t] - 1.0
        gross = (weights * change).sum()
        net.append(gross - np.abs(weights - held).sum() * 10.0 / 1e4)
        held = weights * (1.0 + change) / (1.0 + gross)
    return np.array(net)


def probability(net: np.ndarray) -> float:
    """Of a Sharpe ratio above 0 (Bailey and López de Prado 2012)."""
    ratio = net.mean() / net.std(ddof=1)
    z = (net - net.mean()) / net.std()
    spread = 1.0 - (z**3).mean() * ratio + ((z**4).mean() - 1.0) / 4.0 * ratio**2
    return float(ndtr(ratio * np.sqrt((len(net) - 1.0) / spread)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        own = Path(sys.argv[2])
        os.environ |= bench_cell.environment(own)
        {"ours": ours, "loop": loop}[sys.argv[1]](own)
    else:
        harness.show(rows())
