"""The store under faults, with real processes: kills, crowds, full disks, damage.

Whatever happens, a partition holds its old rows or its new ones, with its record and verdicts, and
the next write just works.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import duckdb
import pytest

from factorlab_assets import engine
from factorlab_assets.errors import FactorLabError, StoreBusyError
from factorlab_assets.schemas import RAW_PRICES, SCORES
from factorlab_assets.store import Store
from factorlab_tests.store_samples import bars, cell_key, experiment, ingest, returns, scores
from factorlab_tests.unit.test_store_format import as_format_3

A = cell_key("a")
OLD, NEW = scores("a", value=1.0, n_days=100), scores("a", value=2.0, n_days=150)
NOBODY = 65534

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__])  # so that a child starts in milliseconds


def started(work: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    process = processes.Process(target=work, args=arguments)
    process.start()
    return process


def ended(process: ForkServerProcess) -> int:
    """The exit code of a process that is given half a minute; negative: the signal's number."""
    process.join(30)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "x.duckdb")
    store.write_partitions(SCORES, OLD, {A: "old"})
    return store


def state(store: Store) -> str:
    """Which rows the cell holds, all its parts agreeing; `load` itself demands the verdict."""
    (record,) = store.partitions(SCORES)
    rows = store.load(SCORES, [A], fingerprints={A: record.fingerprint})
    assert rows == {"old": OLD, "new": NEW}[record.fingerprint]
    assert record.content_hash == store.content_hash(SCORES, rows)[A]
    return record.fingerprint


# Killed


class KilledAt:
    """A connection that kills its process before its n-th call that DuckDB sees."""

    def __init__(self, con: duckdb.DuckDBPyConnection, calls: Iterator[int], n: int) -> None:
        self._con, self._calls, self._n = con, calls, n

    def __getattr__(self, name: str) -> Any:
        if name in ("begin", "execute", "commit") and next(self._calls) == self._n:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._con, name)


def write_and_be_killed(path: Path, n: int, work: Callable[[Store], object]) -> None:
    """Do `work`, killed before the n-th call of any connection that writes."""
    calls, attached = iter(range(10**6)), engine.attached

    @contextmanager
    def deadly(file: Path | None, *, read_only: bool) -> Iterator[Any]:
        with attached(file, read_only=read_only) as con:
            yield con if read_only else KilledAt(con, calls, n)

    engine.attached = deadly
    work(Store(path))


def write_new(store: Store) -> None:
    store.write_partitions(SCORES, NEW, {A: "new"})


def ingest_bars(store: Store) -> None:
    ingest(store, bars("A"))


def test_a_write_killed_at_any_statement_leaves_old_or_new(store: Store) -> None:
    found, n, code = [], 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = ended(started(write_and_be_killed, store.path, n, write_new))
        found.append(state(store))
        n += 1
    assert code == 0
    assert n > 8, "it was killed at too few points to mean something"
    assert found == ["old"] * (n - 1) + ["new"]


def test_a_first_ingest_killed_at_any_statement_leaves_nothing_or_all(tmp_path: Path) -> None:
    store, n, code = Store(tmp_path / "x.duckdb"), 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = ended(started(write_and_be_killed, store.path, n, ingest_bars))
        n += 4  # of some fifty statements, those that make the file among them
        if code != 0:
            assert store.versions() == []
            assert store.partitions(RAW_PRICES) == []
    (version,) = store.versions()
    assert n > 20, "it was killed at too few points to mean something"
    assert store.load(RAW_PRICES, [version.data_version_id]).num_rows == 3


def convert(store: Store) -> None:
    with store.write():
        pass


def test_a_conversion_killed_at_any_statement_leaves_the_format_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    ledger = as_format_3(store)
    found, n, code = [], 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = ended(started(write_and_be_killed, store.path, n, convert))
        with duckdb.connect(store.path, read_only=True) as con:
            (said,) = con.sql("SELECT format FROM meta").fetchall()
            found.append((*said, len(con.sql("SELECT * FROM experiments").columns)))
        n += 4  # of some forty statements
    before = found.count((3, 16))
    assert code == 0
    assert found == [(3, 16)] * before + [(4, 17)] * (len(found) - before)
    assert before > 6, "it was killed at too few points to mean something"
    kept = store.experiments().drop_columns("sweep").to_pylist()
    assert [tuple(row.values()) for row in kept] == ledger


def end_both(store: Store) -> None:
    both = [(id_, "done", "{}") for id_ in ("e", "f")]
    store.end_attempts(both, "run", returns("e", "f"))


def test_an_end_killed_at_any_statement_leaves_the_attempts_or_all_that_they_earned(
    store: Store,
) -> None:
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    begun, n, code = store.experiments(), 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = ended(started(write_and_be_killed, store.path, n, end_both))
        n += 1
        if code != 0:
            assert store.experiments() == begun
            assert store.trial_returns(["e", "f"]).num_rows == 0
    assert code == 0
    assert n > 5, "it was killed at too few points to mean something"
    assert store.experiments()[2:]["status"].to_pylist() == ["done", "done"]
    assert store.trial_returns(["e", "f"]) == returns("e", "f")


def begin_and_wait(path: Path, pipe: Connection) -> None:
    store = Store(path)
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    store.end_attempts([("e", "done", "{}")], "run", returns("e"))
    pipe.send("begun")
    pipe.recv()


def test_a_run_that_was_killed_is_recorded_as_failed_by_whoever_looks(store: Store) -> None:
    here, there = processes.Pipe()
    process = started(begin_and_wait, store.path, there)
    assert here.poll(30)
    assert store.settle_attempts() == 0
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert store.settle_attempts() == 1
    last = store.experiments()[3:].to_pylist()
    assert [(row["experiment_id"], row["status"]) for row in last] == [("f", "failed")]
    assert "is gone" in last[0]["detail"]
    assert store.trial_returns(["e", "f"]) == returns("e")


def write_by_turns(path: Path, pipe: Connection) -> None:
    store = Store(path)
    big = {"one": scores("a", value=3.0, n_days=60_000), "two": scores("a", n_days=60_000)}
    store.write_partitions(SCORES, big["two"], {A: "two"})
    pipe.send("begun")
    while True:
        for fingerprint, rows in big.items():
            store.write_partitions(SCORES, rows, {A: fingerprint})


def test_large_writes_killed_at_any_time_leave_one_or_the_other(store: Store) -> None:
    seen = set()
    for delay in (0.0, 0.04, 0.08, 0.12):
        here, there = processes.Pipe()
        process = started(write_by_turns, store.path, there)
        assert here.poll(30)
        time.sleep(delay)
        process.kill()
        assert ended(process) == -signal.SIGKILL
        (record,) = store.partitions(SCORES)
        rows = store.load(SCORES, [A], fingerprints={A: record.fingerprint})
        assert rows.num_rows == record.n_rows == 120_000
        assert store.content_hash(SCORES, rows)[A] == record.content_hash
        seen.add(record.fingerprint)
    assert seen <= {"one", "two"}
    store.write_partitions(SCORES, NEW, {A: "new"})
    assert state(store) == "new"


# Crowds


def write_own_cell(path: Path, name: str, together: Barrier) -> None:
    together.wait(30)
    for value in (1.0, 2.0):
        rows = scores(name, value=value, n_days=200)
        Store(path).write_partitions(SCORES, rows, {cell_key(name): name})


def test_eight_processes_write_their_cells_at_once_and_all_land(tmp_path: Path) -> None:
    store, together = Store(tmp_path / "x.duckdb"), processes.Barrier(8)
    names = [f"s{i}" for i in range(8)]
    crowd = [started(write_own_cell, store.path, name, together) for name in names]
    assert [ended(process) for process in crowd] == [0] * 8
    for name in names:
        assert store.load(SCORES, [cell_key(name)]) == scores(name, value=2.0, n_days=200)


def hold(path: Path, pipe: Connection) -> None:
    with Store(path).write():
        pipe.send("held")
        pipe.poll(30)


@contextmanager
def another_holds(store: Store) -> Iterator[tuple[ForkServerProcess, Connection]]:
    """A process that has the store open to write, until it is sent something or killed."""
    here, there = processes.Pipe()
    process = started(hold, store.path, there)
    assert here.poll(30)
    try:
        yield process, here
    finally:
        process.kill()
        ended(process)


def test_a_second_writer_waits_visibly_and_gives_up_with_the_holders_name(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = Store(store.path, lock_timeout_s=1.3)
    with another_holds(store) as (holder, _), caplog.at_level(logging.WARNING):
        with pytest.raises(StoreBusyError) as caught:
            impatient.write_partitions(SCORES, NEW, {A: "new"})
        named = f"process {holder.pid} on {socket.gethostname()}, writing since"
    said = str(caught.value)
    assert named in said
    assert str(store.path) in said
    assert "busy for 1.3 s" in said
    (record,) = caplog.records
    assert named in record.getMessage()
    assert state(store) == "old"


def test_a_second_writer_goes_on_when_the_first_is_done_or_killed(store: Store) -> None:
    with another_holds(store) as (_, pipe):
        pipe.send("enough")
        store.write_partitions(SCORES, NEW, {A: "new"})
    assert state(store) == "new"
    with another_holds(store) as (holder, _):
        holder.kill()
        store.write_partitions(SCORES, OLD, {A: "old"})
    assert state(store) == "old"


# Disks


def write_on_a_full_disk(path: Path, told: Path) -> None:
    limit = path.stat().st_size + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        Store(path).write_partitions(SCORES, scores("a", n_days=500_000), {A: "new"})
    except FactorLabError as error:
        told.write_text(str(error))


def test_a_full_disk_is_told_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    assert ended(started(write_on_a_full_disk, store.path, tmp_path / "told")) == 0
    said = (tmp_path / "told").read_text()
    assert "could not go on" in said
    assert "File too large" in said
    assert "disk has space" in said
    assert "\n" not in said
    assert state(store) == "old"
    store.write_partitions(SCORES, NEW, {A: "new"})
    assert state(store) == "new"


def write_as_a_stranger(path: Path, told: Path) -> None:
    if os.getuid() == 0:  # no permission holds for root
        os.setuid(NOBODY)
    try:
        Store(path).write_partitions(SCORES, NEW, {A: "new"})
    except FactorLabError as error:
        told.write_text(str(error))


@pytest.mark.parametrize("has_lock_files", [True, False])
def test_a_read_only_folder_is_told(has_lock_files: bool) -> None:
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        told = Path(outer) / "told"
        told.mkdir(mode=0o777)
        told.chmod(0o777)
        store = Store(Path(outer) / "data" / "x.duckdb")
        store.write_partitions(SCORES, OLD, {A: "old"})
        for file in store.path.parent.iterdir():
            file.chmod(0o666 if has_lock_files else 0o444)
        store.path.chmod(0o444)
        store.path.parent.chmod(0o555)
        assert ended(started(write_as_a_stranger, store.path, told / "error")) == 0
        store.path.parent.chmod(0o755)
        said = (told / "error").read_text()
        assert "Permission denied" in said
        assert str(store.path) in said
        assert "\n" not in said
        for file in store.path.parent.iterdir():
            file.chmod(0o644)
        assert state(store) == "old"


# Damage


@pytest.mark.parametrize("damage", ["empty", "short", "text", "flipped"])
def test_a_damaged_file_is_told_and_left_as_it_is(store: Store, damage: str) -> None:
    store.write_partitions(SCORES, scores("a", n_days=20_000), {A: "old"})
    content = store.path.read_bytes()
    flipped = bytearray(content)
    for i in range(3 * 4096, len(flipped), 1000):  # behind the headers, in every block
        flipped[i] ^= 255
    damaged = {"empty": b"", "short": content[: len(content) // 2], "text": b"x" * 9_000}
    store.path.write_bytes(damaged.get(damage, bytes(flipped)))
    before = store.path.read_bytes()
    with pytest.raises(FactorLabError) as caught:
        store.load(SCORES, [A])
    said = str(caught.value)
    assert "damaged, or is no DuckDB database" in said
    assert str(store.path) in said
    assert "restore it from a backup" in said
    assert "\n" not in said
    assert store.path.read_bytes() == before
