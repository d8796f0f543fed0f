"""`make bench`: every benchmark, one after another, as one table.

Belongs here: their order, and what machine and versions the figures are of.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from benchmarks import (
    bench_bracket,
    bench_cell,
    bench_evaluation,
    bench_ingest,
    bench_library,
    bench_many,
    bench_optimise,
    bench_pipeline,
    bench_prices,
    bench_report,
    bench_store,
    bench_sweep,
    harness,
)

LIBRARIES = ("arch", "clarabel", "dagster", "duckdb", "numpy", "pandas", "pyarrow")


def _processor() -> str:
    """The processor's model where the system says it, else its architecture."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def main() -> None:
    """Run the small ones first: they are the ones that other work on the machine disturbs most."""
    rows: list[harness.Row] = []
    small = bench_cell, bench_many, bench_evaluation, bench_bracket, bench_sweep, bench_optimise
    pages = bench_library, bench_report
    for bench in (*small, *pages, bench_pipeline, bench_prices, bench_store, bench_ingest):
        rows += bench.rows()
    harness.show(rows)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    python = f"Python {platform.python_version()}"
    print(f"\n{_processor()}, {os.cpu_count()} cores, {platform.system()}; {python}, {versions}")
    missed = [row.name.strip() for row in rows if row.ok is False]
    print(f"missed: {'; '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
