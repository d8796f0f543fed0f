"""Random exchanges of ticker labels, many paths at once: kept over time, or drawn afresh.

Belongs here: permutations, and how many different books they make. Does not: who may be exchanged
with whom, or what a path earns (`random_paths`).

Arrays are (N, P), names × paths, so that one name's numbers lie side by side.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats

Columns = npt.NDArray[np.intp]

DIGITS = 12
"""Weights that agree so far are the same weight."""
EXACT = 10**12
"""Larger numbers of books are told as powers of ten."""


class Labels:
    """One permutation per path of the names present; everyone else keeps the own label.

    slots : (N, P) whose weight each name carries. Names may come and go, and on each path the
    permutation of those present stays as likely as any other, given that it was before:

    - who comes is exchanged with one of those present, itself included, each as likely (the
      inside-out shuffle of Fisher and Yates, Knuth's Algorithm P; also the Chinese restaurant
      process, which the same step builds from nobody);
    - who leaves hands what it carried to whoever carries its own: its cycle is closed without it.

    Nobody else's label moves, so a book is not traded because some other name came or went.

    >>> labels = Labels(3, 1)
    >>> rng = np.random.default_rng(1)
    >>> for name in range(3):
    ...     labels.enter(name, np.arange(name), rng)
    >>> labels.slots.ravel().tolist()
    [1, 2, 0]
    >>> labels.leave(0)
    >>> labels.slots.ravel().tolist()
    [0, 2, 1]

    References
    ----------
    Durstenfeld (1964), "Algorithm 235: Random permutation", Communications of the ACM 7, 420,
    doi:10.1145/364520.364540.
    """

    def __init__(self, n_names: int, n_paths: int) -> None:
        own = np.arange(n_names, dtype=np.intp)[:, np.newaxis]
        self.slots: Columns = np.repeat(own, n_paths, axis=1)
        self._carrier = self.slots.copy()  # the inverse: who carries each name's weight
        self._paths = np.arange(n_paths)

    def enter(self, name: int, present: Columns, rng: np.random.Generator) -> None:
        """`name` joins those `present`, with any of whom it may change places."""
        among = np.append(present, name)
        other = among[rng.integers(len(among), size=len(self._paths))]
        taken = self.slots[other, self._paths]
        self._assign(other, self.slots[name].copy())
        self._assign(np.full_like(other, name), taken)

    def leave(self, name: int) -> None:
        """`name` goes; those that remain keep what they carry, but for the one that had its own."""
        carrier, carried = self._carrier[name].copy(), self.slots[name].copy()
        own = np.full_like(carrier, name)
        self._assign(carrier, carried)
        self._assign(own, own)

    def _assign(self, names: Columns, slots: Columns) -> None:
        self.slots[names, self._paths] = slots
        self._carrier[slots, self._paths] = names


def shuffled(
    weights: Floats, classes: Sequence[Columns], n_paths: int, rng: np.random.Generator
) -> Floats:
    """The weights (N,) dealt out anew on each path within each class of names: (N, P).

    Every arrangement is as likely as any other. Only weights that differ from the most frequent one
    of their class (mostly 0) have to be dealt: the first steps of a Fisher–Yates shuffle, taken in
    reverse, so that they move the weights themselves.
    """
    dealt = np.repeat(weights[:, np.newaxis], n_paths, axis=1)
    flat, paths = dealt.reshape(-1), np.arange(n_paths)
    for names in classes:
        values, counts = np.unique(weights[names], return_counts=True)
        is_plain = weights[names] == values[counts.argmax()] if len(names) else names == names
        order = names[np.argsort(is_plain, kind="stable")]
        special = len(names) - int(np.count_nonzero(is_plain))
        for s in reversed(range(special)):
            place = order[rng.integers(s, len(order), size=n_paths)] * n_paths + paths
            moved, there = dealt[order[s]].copy(), flat[place]
            flat[place] = moved
            dealt[order[s]] = there
    return dealt


def arrangements(weights: Floats, classes: Sequence[Columns]) -> int:
    """How many different books the weights make within the classes: Π n!/Π(times of each weight)!.

    >>> arrangements(np.array([0.5, 0.5, 0.0, 0.0]), [np.arange(4)])
    6
    """
    total = 1
    for names in classes:
        total *= math.factorial(len(names))
        for times in Counter(np.round(weights[names], DIGITS).tolist()).values():
            total //= math.factorial(times)
    return total


def told(count: int) -> str:
    """A number of books: exact, or as a power of ten.

    >>> told(715), told(math.comb(500, 5) ** 2)
    ('715', '6.5·10^22')
    """
    if count <= EXACT:
        return f"{count:,}"
    power = len(str(count)) - 1
    leading = round(count // 10 ** (power - 3) / 1000, 1)
    return f"{leading:.1f}·10^{power}" if leading < 10 else f"1.0·10^{power + 1}"
