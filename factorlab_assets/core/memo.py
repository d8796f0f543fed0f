"""What pure functions gave before, found again by the bytes of what they were given.

Belongs here: the memory and its keys. Does not: computing anything.

The lookahead proof runs a book on some thirty histories that agree up to a cut, so most covariances
and optimal weights are asked for many times over.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


def digest(*parts: object) -> bytes:
    """The SHA-256 of all that is given: arrays by their bytes, anything else by its repr."""
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            hashed.update(f"{part.dtype.str}{part.shape}".encode())
            hashed.update(part.tobytes())
        else:
            hashed.update(f"{part!r}\0".encode())
    return hashed.digest()


class Memo(Generic[T]):
    """Values by key, at most so many bytes of them; what was not asked for longest goes first.

    Examples
    --------
    >>> memo = Memo[str](most_bytes=20)
    >>> [memo.get(b"a", lambda: "made", 8), memo.get(b"a", lambda: "made again", 8)]
    ['made', 'made']
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self._spent = 0
        self._lock = Lock()

    def get(self, key: bytes, make: Callable[[], T], size: int) -> T:
        """The value kept under the key, else `make()`, which counts as `size` bytes."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value, size
                self._spent += size
            while self._spent > self._most:
                self._spent -= self._kept.popitem(last=False)[1][1]
        return value
