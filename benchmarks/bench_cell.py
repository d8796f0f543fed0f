"""Research cells through Dagster: one by itself, and 200 strategies in one run.

Belongs here: processor time of both, and which part of it is ours. Does not: asserting anything.

What counts as ours: everything inside `batch.Run.execute`, which reads the strategy files, gates,
loads, computes, proves, draws, judges and writes; for one cell also what importing
`factorlab_assets.definitions` costs once dagster, dagster_duckdb, duckdb, numpy, pandas and pyarrow
are imported. The rest of the process is Dagster's own: its imports, its event log, its steps.
"""

from __future__ import annotations

import importlib
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import harness

MONTH, ONE = "2024-05", "trend_12m"
ROUNDS = 3
N_STRATEGIES, N_TABLES = 200, 6
ASK = ["asset", "materialize", "-m", "factorlab_assets.definitions"]
ASK += ["--select", "group:research", "--partition", f"{MONTH}|{ONE}"]
THIRD_PARTY = ("dagster", "dagster_duckdb", "duckdb", "numpy", "pandas", "pyarrow")
VARIANT = """\
description: a variant of trend_12m
universe: etf13
factors:
  - name: trend
    params: {{lookback: {lookback}}}
    delay: 1
portfolio:
  select: {{top_k: {top_k}}}
benchmark: SPY
"""


def rows() -> list[harness.Row]:
    """Measure both; every figure is processor time, in processes of their own."""
    return [*_one_cell(), *_many()]


def _one_cell() -> list[harness.Row]:
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | environment(Path(folder))
        harness.in_child("benchmarks.bench_cell", "market", folder)
        command = [sys.executable, "-m", "dagster", *ASK]
        whole = min(_children_cpu(command, environ) for _ in range(ROUNDS))
        runs = [harness.in_child("benchmarks.bench_cell", "cell", folder) for _ in range(ROUNDS)]
    ours = min(runs, key=lambda run: run["execute"] + run["imports"])
    return [
        harness.at_most("one cell through dagster asset materialize", whole, "s", 4),
        harness.at_most("  our part", ours["execute"] + ours["imports"], "s", 1),
        harness.Row("    importing", ours["imports"], "s"),
        harness.Row("    assets", ours["execute"], "s"),
        harness.Row("      of which the lookahead proof", ours["proof"], "s"),
    ]


def _many() -> list[harness.Row]:
    with tempfile.TemporaryDirectory() as folder:
        found = harness.in_child("benchmarks.bench_cell", "many", folder)
    each = 1e3 / N_STRATEGIES
    dagster = (found["whole"] - found["execute"]) * each / N_TABLES
    return [
        harness.at_most(
            f"{N_STRATEGIES} strategies in one run: our part",
            found["execute"] * each,
            "ms each",
            10,
        ),
        harness.Row("  of which the lookahead proof", found["proof"] * each, "ms each"),
        *(
            harness.Row(f"  of which {table}", spent * each, "ms each")
            for table, spent in found["tables"].items()
        ),
        harness.Row("  Dagster's own time per asset and cell", dagster, "ms"),
    ]


def environment(folder: Path) -> dict[str, str]:
    """Settings of a project whose data lie in `folder`."""
    home = folder / "dagster_home"
    return {"FACTORLAB_DATA_DIR": str(folder), "DAGSTER_HOME": str(home)}


def _children_cpu(command: list[str], environ: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def counting() -> Iterator[dict[str, Any]]:
    """Seconds of processor time inside `Run.execute`, whole and per table, and in the proof."""
    from factorlab_assets.assets import batch
    from factorlab_assets.core import proof

    spent: dict[str, Any] = {"execute": 0.0, "proof": 0.0, "tables": {}}

    def counted(owner: Any, name: str, add: Callable[[Any, float], None]) -> None:
        original = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            result = original(*arguments, **named)
            add(arguments[0], time.process_time() - start)
            return result

        setattr(owner, name, timed)

    def add_table(run: Any, seconds: float) -> None:
        spent["execute"] += seconds
        spent["tables"][run.table.name] = seconds

    def add_proof(_: Any, seconds: float) -> None:
        spent["proof"] += seconds

    counted(batch.Run, "execute", add_table)
    counted(proof.Scenarios, "build", add_proof)
    counted(proof.Scenarios, "prove", add_proof)
    yield spent


def market(_: Path) -> None:
    """A project whose market stage has run: prices, monthly returns, partition keys."""
    from factorlab_assets.assets import launch
    from factorlab_assets.definitions import build_definitions
    from factorlab_assets.settings import Settings

    settings = Settings()
    launch.init_home(settings)
    launch.run_market(build_definitions(settings), MONTH, {})
    harness.report({})


def cell(_: Path) -> None:
    """The command that the whole is measured by, in this process, counting our part of it."""
    for name in THIRD_PARTY:
        importlib.import_module(name)
    start = time.process_time()
    importlib.import_module("factorlab_assets.definitions")
    imports = time.process_time() - start
    with counting() as spent:
        sys.argv = ["dagster", *ASK]
        try:
            runpy.run_module("dagster", run_name="__main__")
        except SystemExit as done:
            if done.code:
                raise
    harness.report(spent | {"imports": imports})


def many(folder: Path) -> None:
    """One run over strategies that differ in lookback and number of names."""
    from factorlab_assets.assets import launch
    from factorlab_assets.definitions import build_definitions
    from factorlab_assets.settings import Settings

    strategies = folder / "strategies"
    strategies.mkdir()
    names = [f"variant_{i:03d}" for i in range(N_STRATEGIES)]
    for i, name in enumerate(names):
        text = VARIANT.format(lookback=3 + i % 22, top_k=1 + i // 22)
        (strategies / f"{name}.yaml").write_text(text)
    settings = Settings(strategies_dir=strategies)
    definitions = build_definitions(settings)
    launch.init_home(settings)
    launch.run_market(definitions, MONTH, {})
    with counting() as spent:
        start = time.process_time()
        launch.run_research(definitions, MONTH, names)
        whole = time.process_time() - start
    harness.report(spent | {"whole": whole})


CHILDREN: dict[str, Callable[[Path], None]] = {"market": market, "cell": cell, "many": many}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ |= environment(Path(sys.argv[2]))
        CHILDREN[sys.argv[1]](Path(sys.argv[2]))
    else:
        harness.show(rows())
