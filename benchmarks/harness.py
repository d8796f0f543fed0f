"""What the benchmarks share: timing, a child's peak memory, rows of figures against targets.

Belongs here: these helpers. Does not: any one measurement.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure and what it is held to; `ok` is None where nothing is asked of it."""

    name: str
    figure: float
    unit: str
    target: str = ""
    ok: bool | None = None


def at_least(name: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that may not fall below `limit`."""
    return Row(name, figure, unit, f"≥ {limit:g}", figure >= limit)


def at_most(name: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that may not exceed `limit`."""
    return Row(name, figure, unit, f"≤ {limit:g}", figure <= limit)


def best_of(n: int, work: Callable[[], object]) -> float:
    """The shortest of n runs, seconds: the one that other processes disturbed least."""
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def in_child(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """What `python -m module arguments…` reports with `report`, in a process of its own."""
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def report(figures: Mapping[str, float]) -> None:
    """Said by a child as its last line: its figures, and `peak_mib`, its peak resident memory."""
    per_kib = 2**10 if sys.platform == "darwin" else 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_kib
    print(json.dumps({**figures, "peak_mib": peak / 2**10}))


def timed(work: Callable[[], object]) -> dict[str, float]:
    """How long one call takes: `seconds` by the clock, `cpu` seconds of all its threads."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def least_of(n: int, work: Callable[[], object]) -> dict[str, float]:
    """`timed`, the least `seconds` and the least `cpu` of n calls."""
    runs = [timed(work) for _ in range(n)]
    return {key: min(run[key] for run in runs) for key in ("seconds", "cpu")}


def show(rows: Sequence[Row]) -> None:
    """Print rows as a table."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
        line = f"{row.name:<{width}}  {row.figure:>10.2f} {row.unit:<16} {row.target:<10} {verdict}"
        print(line.rstrip())
