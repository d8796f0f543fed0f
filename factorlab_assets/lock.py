"""The cross-process lock of a database file, and who holds it.

Belongs here: waiting for a file lock, and naming processes. Does not: databases.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factorlab_assets.errors import FactorLabError, StoreBusyError

_LOG = logging.getLogger(__name__)
_POLL_S = 0.01
_SAY_AFTER_S = 1.0
_RECORD_BYTES = 256


@contextmanager
def database_lock(database: Path, *, exclusive: bool, timeout_s: float) -> Iterator[None]:
    """Hold `database`'s lock: alone to write, together with other readers to read.

    The operating system frees the lock when its holder dies, so nothing is ever left locked. Who
    waits holds the queue, so that new readers cannot overtake a waiting writer for ever. A wait of
    more than a second is logged with the holder's name.

    Raises
    ------
    StoreBusyError : not free within `timeout_s` seconds.
    FactorLabError : the lock files beside the database cannot be opened.
    """
    waiting = _Waiting(database, timeout_s)
    with _opened(database, ".lock") as lock:
        with _opened(database, ".queue") as queue:
            waiting.take(queue, fcntl.LOCK_EX, holder=lock)
            waiting.take(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, holder=lock)
            _sign(lock, "writing" if exclusive else "reading")
        yield


class _Waiting:
    """One bounded, visible wait."""

    def __init__(self, database: Path, timeout_s: float) -> None:
        self.database = database
        self.timeout_s = timeout_s
        self.start = time.monotonic()
        self.said = False

    def take(self, file: int, mode: int, *, holder: int) -> None:
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._wait(holder)

    def _wait(self, holder: int) -> None:
        waited = time.monotonic() - self.start
        if waited >= self.timeout_s:
            raise StoreBusyError(
                f"the database stayed busy for {waited:.1f} s",
                where=self.database,
                got=f"last taken by {_signed(holder)}",
                expected=f"free within {self.timeout_s:g} s",
                do="wait until that process is done, or raise FACTORLAB_LOCK_TIMEOUT_S",
            )
        if waited >= _SAY_AFTER_S and not self.said:
            _LOG.warning("waiting for %s, last taken by %s", self.database, _signed(holder))
            self.said = True
        time.sleep(_POLL_S)


@contextmanager
def _opened(database: Path, suffix: str) -> Iterator[int]:
    path = database.with_name(database.name + suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise FactorLabError(
            "the database cannot be locked",
            where=path,
            got=error.strerror or error,
            expected="a folder that this user may write to",
            do="correct the permissions, or set FACTORLAB_DATABASE to another place",
        ) from error
    try:
        yield file
    finally:
        # Closing alone would leave the lock with a child process that was forked meanwhile.
        fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def _sign(lock: int, doing: str) -> None:
    """Leave this process's name in the lock file, always in the same few bytes."""
    since = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    record = {"doing": doing, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    try:
        os.pwrite(lock, json.dumps(record).encode()[:_RECORD_BYTES].ljust(_RECORD_BYTES), 0)
    except OSError as error:  # a full disk keeps nobody from reading: the name is for messages
        _LOG.warning("cannot sign the lock file: %s", error.strerror)


def _signed(lock: int) -> str:
    try:
        said = json.loads(os.pread(lock, _RECORD_BYTES, 0))
    except ValueError:  # nobody signed yet, or in this very moment
        return "an unknown process"
    return f"process {said['pid']} on {said['host']}, {said['doing']} since {said['since']}"


def this_process() -> str:
    """This process's name, which no later one shares: host:pid:start."""
    return _name(os.getpid())


def is_gone(process: str) -> bool:
    """Whether a process named by `this_process` has ended; never said of another host's."""
    host, pid, _ = process.rsplit(":", 2)
    return host == socket.gethostname() and _name(int(pid)) != process


def _name(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_start_of(pid)}"


def _start_of(pid: int) -> str:
    """When a process started, as the system counts it; "gone" where there is none of that id."""
    if Path("/proc/self/stat").exists():
        try:
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return "gone"
        return "gone" if state in "ZX" else rest[18]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        return "another user's"
    return "running"
