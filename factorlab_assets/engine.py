"""The process's DuckDB engine, and databases attached to it for a moment.

Belongs here: connections, and what DuckDB's failures mean. Does not: locks or formats: only `store`
attaches a file.
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

from factorlab_assets.errors import FactorLabError, StoreBusyError

_QUERY_FAULTS = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.NotSupportedError,
    duckdb.InterruptException,
)
_DAMAGE = ("not a valid DuckDB database", "Corrupt database file", "Could not read enough bytes")
_OPEN_ELSEWHERE = ("Could not set lock", "already attached")
_numbers = itertools.count(1)


@functools.cache
def _engine(pid: int) -> duckdb.DuckDBPyConnection:
    """One engine per process: starting one takes 15 ms, attaching a file to it 1 ms.

    Keyed by process, because a forked child has none of its parent's engine threads.
    """
    spill = Path(tempfile.gettempdir()) / f"factorlab-{os.getuid()}-{pid}"
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


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """DuckDB's failures as one paragraph; a query's own faults are its author's to see."""
    try:
        yield
    except _QUERY_FAULTS:
        raise
    except duckdb.Error as error:
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            _engine.cache_clear()  # it does not survive these; the next use starts another
        said = str(error)
        if any(sign in said for sign in _OPEN_ELSEWHERE):
            raise StoreBusyError(
                "something that does not hold FactorLab's lock has the database open",
                where=path,
                got=said,
                do="close it: a DuckDB shell, a notebook, or a result that this process kept open",
            ) from error
        if any(sign in said for sign in _DAMAGE):
            raise FactorLabError(
                "the database file is damaged, or is no DuckDB database",
                where=path,
                got=said,
                do="restore it from a backup, or move it away and ingest again",
            ) from error
        raise FactorLabError(
            "DuckDB could not go on: what was committed is kept, the rest undone",
            where=path,
            got=said,
            do="see that the disk has space and the folder may be written to, then try again",
        ) from error
