"""The lock: who may hold it together, how a wait ends, and whom it names.

Locks of one process on files it opened twice exclude each other as those of two processes do, so
threads stand for processes here; `orchestration/test_store_faults.py` uses real ones.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from factorlab_assets import lock
from factorlab_assets.errors import FactorLabError, StoreBusyError
from factorlab_assets.lock import database_lock, is_gone, this_process


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "x.duckdb"


@contextmanager
def held(database: Path, *, exclusive: bool) -> Iterator[threading.Event]:
    """Another thread holds the lock until the event is set, at the latest until the block ends."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with database_lock(database, exclusive=exclusive, timeout_s=5):
            taken.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(5)
    try:
        yield release
    finally:
        release.set()
        thread.join()


def is_free(database: Path, *, exclusive: bool) -> bool:
    try:
        with database_lock(database, exclusive=exclusive, timeout_s=0):
            return True
    except StoreBusyError:
        return False


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_only_readers_hold_it_together(database: Path, first: bool, second: bool) -> None:
    with held(database, exclusive=first):
        assert is_free(database, exclusive=second) == (not first and not second)
    assert is_free(database, exclusive=True)


def test_an_error_inside_frees_it(database: Path) -> None:
    with pytest.raises(ZeroDivisionError), database_lock(database, exclusive=True, timeout_s=0):
        _ = 1 / 0
    assert is_free(database, exclusive=True)


def test_a_wait_ends_when_the_holder_is_done(database: Path) -> None:
    with held(database, exclusive=True) as release:
        threading.Timer(0.2, release.set).start()
        start = time.monotonic()
        with database_lock(database, exclusive=True, timeout_s=5):
            assert 0.1 < time.monotonic() - start < 4


def test_giving_up_names_database_holder_and_wait(database: Path) -> None:
    with held(database, exclusive=True):
        start = time.monotonic()
        patient = database_lock(database, exclusive=False, timeout_s=0.3)
        with pytest.raises(StoreBusyError) as caught, patient:
            pass
    assert 0.3 <= time.monotonic() - start < 3
    said = str(caught.value)
    assert "busy for 0.3 s" in said
    assert str(database) in said
    assert f"process {os.getpid()} on {socket.gethostname()}, writing since 20" in said


def test_a_long_wait_is_logged_once_with_the_holder(
    database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_SAY_AFTER_S", 0.1)
    patient = database_lock(database, exclusive=True, timeout_s=0.3)
    with held(database, exclusive=False), pytest.raises(StoreBusyError), patient:
        pass
    (record,) = caplog.records
    assert f"waiting for {database}" in record.getMessage()
    assert f"process {os.getpid()}" in record.getMessage()
    assert "reading" in record.getMessage()


def test_a_short_wait_is_not_logged(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    with held(database, exclusive=True) as release, caplog.at_level(logging.WARNING):
        threading.Timer(0.05, release.set).start()
        with database_lock(database, exclusive=True, timeout_s=5):
            assert not caplog.records


def test_new_readers_queue_behind_a_waiting_writer(database: Path) -> None:
    order: list[str] = []

    def take(name: str, exclusive: bool) -> None:
        with database_lock(database, exclusive=exclusive, timeout_s=5):
            order.append(name)

    with held(database, exclusive=False) as release:
        writer = threading.Thread(target=take, args=("writer", True))
        writer.start()
        deadline = time.monotonic() + 5
        while is_free(database, exclusive=False):
            assert time.monotonic() < deadline, "a reader overtakes the waiting writer"
            time.sleep(0.01)
        reader = threading.Thread(target=take, args=("reader", False))
        reader.start()
        time.sleep(0.1)
        assert order == []
        release.set()
        writer.join()
        reader.join()
    assert sorted(order) == ["reader", "writer"]


def test_a_child_forked_meanwhile_does_not_keep_it(database: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from factorlab_assets.lock import database_lock
with database_lock(Path({str(database)!r}), exclusive=True, timeout_s=0):
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
print("released", flush=True)
time.sleep(5)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "released\n"
        try:
            assert is_free(database, exclusive=True)
        finally:
            parent.kill()


def test_the_folder_is_made(tmp_path: Path) -> None:
    assert is_free(tmp_path / "new" / "x.duckdb", exclusive=True)


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FactorLabError, match=r"cannot be locked.*FACTORLAB_DATABASE"):
        is_free(tmp_path / "file" / "x.duckdb", exclusive=True)


def test_processes_are_told_apart_from_later_ones_of_the_same_number() -> None:
    host, pid, start = this_process().rsplit(":", 2)
    assert (host, pid) == (socket.gethostname(), str(os.getpid()))
    assert not is_gone(this_process())
    assert is_gone(f"{host}:{pid}:{start}0")


def test_an_ended_process_is_gone_even_before_its_parent_looked() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = lock._name(child.pid)
    assert not is_gone(name)
    child.kill()
    deadline = time.monotonic() + 5
    while not is_gone(name):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.communicate()
    assert is_gone(name)


def test_nothing_is_said_of_another_hosts_processes() -> None:
    assert not is_gone("elsewhere.example:1:gone")
