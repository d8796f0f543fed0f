"""The database: opened here alone, under a lock, in short transactions.

Belongs here: the file, its format, and one method per thing that the other layers do with it; those
for experiments are in `store_ledgers`. Does not: how rows are judged (`validation`), kept
(`store_partitions`), versioned (`store_versions`), or how experiments are recorded
(`store_experiments`).
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from factorlab_assets import (
    engine,
    schemas,
    store_format,
    store_partitions,
    store_versions,
)
from factorlab_assets.errors import FactorLabError, RefusedError
from factorlab_assets.lock import database_lock
from factorlab_assets.schemas import Table
from factorlab_assets.sources.base import Fetched
from factorlab_assets.store_experiments import Experiment
from factorlab_assets.store_ledgers import ExperimentLedgers
from factorlab_assets.store_partitions import PartitionRecord, Verdict, Written
from factorlab_assets.store_versions import Version

__all__ = ["Experiment", "PartitionRecord", "Store", "Verdict", "Version", "Written"]


class _OpenHere(threading.local):
    """Per thread: the connection that is open on a database."""

    def __init__(self) -> None:
        self.connections: dict[Path, duckdb.DuckDBPyConnection] = {}


_open_here = _OpenHere()


class Store(ExperimentLedgers):
    """Partitions, verdicts and ledgers in one DuckDB file.

    Parameters
    ----------
    path : the database; made by the first write. Until then everything reads as empty.
    lock_timeout_s : how long to wait for other processes, seconds.
    """

    def __init__(self, path: Path, lock_timeout_s: float = 60.0) -> None:
        self.path = Path(path).absolute()
        self.lock_timeout_s = lock_timeout_s

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reads, together with other readers; fetch everything before it closes.

        Inside another block of the same thread it is that block's connection.

        Raises
        ------
        StoreBusyError, FactorLabError : the database is locked, damaged, or of a newer format.
        """
        outer = _open_here.connections.get(self.path)
        if outer is not None:
            yield outer
        elif self.path.exists():
            with ExitStack() as stack:
                try:
                    con = stack.enter_context(self._reading())
                except store_format.ConvertibleError:
                    with self.write():  # alone, which converts it
                        pass
                    con = stack.enter_context(self._reading())
                yield con
        else:
            with engine.attached(None, read_only=False) as con:
                store_format.create(con)
                yield con

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._locked(exclusive=False), self._opened(read_only=True) as con:
            yield con

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that writes, alone. What is not committed when the block ends is undone.

        Raises
        ------
        StoreBusyError, FactorLabError : as for `read`, or inside another block of this thread.
        """
        with self._locked(exclusive=True), self._opened(read_only=False) as con:
            yield con

    @contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock, the database being there, and tell DuckDB's failures in one paragraph."""
        if self.path in _open_here.connections:
            raise FactorLabError(
                "a write inside another read or write of the same database would wait for itself",
                where=self.path,
                do="end the outer block first",
            )
        lock = database_lock(self.path, exclusive=exclusive, timeout_s=self.lock_timeout_s)
        with lock, engine.explained(self.path):
            if not self.path.exists():
                new = self._beside(".new")
                with engine.attached(new, read_only=False) as con:
                    store_format.create(con)
                new.replace(self.path)
            yield

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with engine.attached(self.path, read_only=read_only) as con:
            if not read_only:
                store_format.convert(con)
            store_format.check(con, self.path)
            _open_here.connections[self.path] = con
            try:
                yield con
            finally:
                del _open_here.connections[self.path]

    def _beside(self, suffix: str) -> Path:
        """The path of a new file beside the database, without what a killed process left there."""
        path = self.path.with_name(self.path.name + suffix)
        for leftover in (path, path.with_name(path.name + ".wal")):
            leftover.unlink(missing_ok=True)
        return path

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A writing connection in one transaction; closing it after an error undoes everything."""
        with self.write() as con:
            con.begin()
            yield con
            con.commit()

    def write_partitions(
        self,
        table: Table,
        rows: pa.Table | Path,
        fingerprints: Mapping[str, str],
        verdicts: Sequence[Verdict] = (),
    ) -> dict[str, Written]:
        """Replace partitions by new rows, all in one transaction, each judged by itself.

        A partition that breaks the schema is refused: it keeps its old rows, and the verdict with
        the first offending rows is recorded. The others are stored.

        Parameters
        ----------
        rows : the rows of all these partitions together, columns as in the schema; daily ones as
            the path of a Parquet file.
        fingerprints : partition -> what its rows were computed from.
        verdicts : of the table's other checks, on these rows.

        Raises
        ------
        RefusedError : columns that differ, rows or verdicts outside these partitions, a malformed
            partition; nothing was changed.
        """
        if table.partition not in ("month", "cell"):
            raise RefusedError(
                "that table has no partitions to replace", where=f"table {table.name}"
            )

        def given(con: duckdb.DuckDBPyConnection) -> object:
            return con.read_parquet(str(rows)) if isinstance(rows, Path) else rows

        judged = store_partitions.judge_partitions(table, given, fingerprints)
        with self._transaction() as con:
            return store_partitions.replace_partitions(
                con, table, given, judged, fingerprints, verdicts
            )

    def load(
        self,
        table: Table,
        partitions: Sequence[str],
        *,
        fingerprints: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """The rows of partitions, ordered by partition and key.

        Raises
        ------
        RefusedError : a partition is not stored, was computed from something else than
            `fingerprints` says, or a blocking check of its content failed or has no verdict.
        """
        with self.read() as con:
            self.demand(table, partitions, fingerprints=fingerprints)
            return store_partitions.load(con, table, partitions)

    def demand(
        self,
        table: Table,
        partitions: Sequence[str],
        *,
        fingerprints: Mapping[str, str] | None = None,
    ) -> None:
        """Raise the RefusedError that `load` would; for rows that are read by SQL of one's own."""
        reasons = self.refusals(table, partitions, fingerprints)
        for partition, reason in reasons.items():
            raise RefusedError(
                f"a partition that may not be used (one of {len(reasons)})",
                where=f"table {table.name}, partition {partition}",
                got=reason,
                do="materialize it again",
            )

    def refusals(
        self,
        table: Table,
        partitions: Sequence[str],
        fingerprints: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Why `load` would refuse partitions: the reason of each one that it would."""
        with self.read() as con:
            return store_partitions.refused(con, table, partitions, fingerprints)

    def content_hash(self, table: Table, rows: pa.Table) -> dict[str, str]:
        """Partition -> the content hash that the store would record for its rows."""
        return store_partitions.content_hashes(table, rows)

    def partitions(self, table: Table) -> list[PartitionRecord]:
        """Every stored partition of a table, in order of its key."""
        with self.read() as con:
            return store_partitions.read_records(con, table)

    def verdicts(
        self, table: Table, partition: str, content_hash: str | None = None
    ) -> list[Verdict]:
        """The verdicts on a content of a partition: by default on the one that was judged last."""
        with self.read() as con:
            return store_partitions.read_verdicts(con, table, partition, content_hash)

    def contents(
        self, partitions: Sequence[str], tables: Sequence[str]
    ) -> dict[str, dict[str, str]]:
        """Partition -> table -> content hash, in the order of `tables`, where it is stored."""
        with self.read() as con:
            return store_partitions.read_contents(con, partitions, tables)

    def add_version(
        self,
        month: str,
        fetched: Fetched,
        *,
        source: str,
        price_basis: str,
        distributions: pa.Table | None,
        characteristics: pa.Table | None = None,
        observed_at: dt.datetime,
        is_survivors: bool,
        role: str = "primary",
        replace_source: bool = False,
        verdicts: Sequence[Verdict] = (),
    ) -> Version:
        """Store what a source gave for a month, and point the month at it in that role.

        The same content as before is the same version: no new rows, no new ledger row.

        Parameters
        ----------
        fetched : its prices may be the path of a Parquet file of `PRICE_SCHEMA` instead of a table.
        distributions : ticker, ex_date, amount, split; None where returns are of closes alone.
        characteristics : panel, ticker, date, date_avail, value of the user's own panels.
        observed_at : when the source was observed, UTC.
        role : "primary", the month's prices; "second", a source to hold them against.
        verdicts : of the other blocking checks of raw_prices; their partition is filled in.

        Raises
        ------
        RefusedError : the rows break the schema or reach beyond the month; the month's current
            version of that role has another source and `replace_source` is off; a second version
            is the same content as the primary one. Nothing was changed.
        """
        last = fetched.last_available
        observed = {
            "role": role,
            "source": source,
            "observed_at": observed_at,
            "is_backfilled": last is not None and f"{last:%Y-%m}" > month,
            "is_survivors": is_survivors,
            "price_basis": price_basis,
        }
        new = store_versions.snapshot(month, fetched, distributions, characteristics)
        with self._transaction() as con:
            return store_versions.add(
                con, new, observed=observed, replace_source=replace_source, verdicts=verdicts
            )

    def versions(self) -> list[Version]:
        """The ledger of data versions in order of recording."""
        with self.read() as con:
            return store_versions.versions(con)

    def current_version(self, month: str) -> Version | None:
        """The version of a month's prices; None where nothing was ingested."""
        return store_versions.current_of(self.versions(), month, "primary")

    def second_version(self, month: str) -> Version | None:
        """The version to hold a month's prices against; None where there is none but themselves."""
        ledger = self.versions()
        primary, second = (
            store_versions.current_of(ledger, month, role) for role in ("primary", "second")
        )
        is_same = primary and second and primary.data_version_id == second.data_version_id
        return None if is_same else second

    def earlier_version(self, later: Version) -> Version | None:
        """The version that a month pointed at before, else that of the last month before it.

        Of the same role, and stored still; None where there is none.
        """
        kept = {record.partition for record in self.partitions(schemas.RAW_PRICES)}
        return store_versions.before(self.versions(), later, kept)

    def version(self, data_version_id: str) -> Version:
        """The ledger's last row of a data version.

        Raises
        ------
        FactorLabError : there was never such a version.
        """
        rows = [v for v in self.versions() if v.data_version_id == data_version_id]
        if not rows:
            raise FactorLabError(
                "no such data version",
                where=self.path,
                got=data_version_id,
                do="see `factorlab versions`",
            )
        return rows[-1]

    def is_as_ingested(self, data_version_id: str) -> bool:
        """Whether a version's stored rows are still those that its id was made of.

        Raises
        ------
        FactorLabError : there was never such a version.
        """
        version = self.version(data_version_id)
        with self.read() as con:
            return store_versions.stored_content(con, version) == version.content_hash

    def prune(self, dry_run: bool = True) -> list[str]:
        """Delete data versions that no month points at and no experiment refers to; returns them.

        Ledgers keep every row. The freed space is used again by later writes; `compact` gives it
        back to the disk.
        """
        with self.read() if dry_run else self._transaction() as con:
            unused = store_versions.unused(con)
            if not dry_run:
                store_versions.drop(con, unused)
            return unused

    def compact(self) -> int:
        """Put a copy without unused space in the database's place; returns the bytes freed."""
        with self._locked(exclusive=True):
            before = self.path.stat().st_size
            new = self._beside(".new")
            with self._opened(read_only=False) as con:
                (name,) = con.execute("SELECT current_database()").fetchall()[0]
                con.execute("ATTACH $path AS compacted", {"path": str(new)})
                con.execute(f"COPY FROM DATABASE {name} TO compacted")
                con.execute("DETACH compacted")
            new.replace(self.path)
            return before - self.path.stat().st_size
