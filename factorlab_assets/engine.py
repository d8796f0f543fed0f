"""The process's DuckDB engine, and databases attached to it for a moment.

Belongs here: connections. Does not: locks or formats (`store`): only the store attaches a file.
"""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

_numbers = itertools.count(1)


@functools.cache
def _engine(pid: int) -> duckdb.DuckDBPyConnection:
    """One engine per process: starting one takes 15 ms, attaching a file to it 1 ms.

    Keyed by process, because a forked child has none of its parent's engine threads.
    """
    spill = Path(tempfile.gettempdir()) / f"factorlab-duckdb-{pid}"
    return duckdb.connect(config={"temp_directory": str(spill)})


@contextmanager
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to nothing stored, to judge rows with before any lock is taken."""
    with closing(_engine(os.getpid()).cursor()) as con:
        yield con


@contextmanager
def attached(path: Path | None, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose database is the file at `path`; an empty one in memory for None.

    What is not committed when the block ends is undone. The file is closed then, whatever still
    holds on to the connection.
    """
    name = f"factorlab_{next(_numbers)}"
    mode = " (READ_ONLY)" if read_only else ""
    with scratch() as outer:
        outer.execute(f"ATTACH $path AS {name}{mode}", {"path": str(path or ":memory:")})
        try:
            with scratch() as con:
                con.execute(f"USE {name}")
                yield con
        finally:
            outer.execute(f"DETACH {name}")


def forget() -> None:
    """Drop the engine after a failure that it does not survive; the next use starts another."""
    _engine.cache_clear()
