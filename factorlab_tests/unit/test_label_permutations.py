"""Every exchange of labels is as likely as any other: counted over all draws there are."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets.evaluation.label_permutations import Labels, arrangements, shuffled, told


class Every:
    """Draws each combination of numbers exactly once, one per path: what a perfect die would do
    over infinitely many. Give the (low, high) of every draw in the order they are asked for."""

    def __init__(self, *ranges: tuple[int, int]) -> None:
        self.ranges = ranges
        self.columns = list(np.array(list(product(*(range(*each) for each in ranges)))).T)
        self.n_paths = len(self.columns[0])
        self.asked = 0

    def integers(self, low: int, high: int | None = None, size: int = 0) -> Any:
        expected = self.ranges[self.asked]
        assert ((0, low) if high is None else (low, high)) == expected
        assert size == self.n_paths
        self.asked += 1
        return self.columns[self.asked - 1]


def counted(labels: Labels, names: list[int]) -> Counter[tuple[int, ...]]:
    return Counter(map(tuple, labels.slots[names].T.tolist()))


def test_names_that_come_and_go_leave_every_permutation_as_likely() -> None:
    rng: Any = Every((0, 1), (0, 2), (0, 3), (0, 4), (0, 4))
    labels = Labels(5, rng.n_paths)
    for name in range(4):
        labels.enter(name, np.arange(name), rng)
    every = set(permutations(range(4)))
    assert counted(labels, [0, 1, 2, 3]) == dict.fromkeys(every, 4)
    labels.leave(1)
    left = set(permutations((0, 2, 3)))
    assert counted(labels, [0, 2, 3]) == dict.fromkeys(left, 16)
    assert (labels.slots[1] == 1).all(), "who left carries its own"
    labels.enter(4, np.array([0, 2, 3]), rng)
    now = set(permutations((0, 2, 3, 4)))
    assert counted(labels, [0, 2, 3, 4]) == dict.fromkeys(now, 4)
    labels.leave(3)
    labels.leave(0)
    assert counted(labels, [2, 4]) == {(2, 4): 48, (4, 2): 48}


def test_a_departure_moves_one_label_at_most() -> None:
    labels, rng = Labels(6, 500), np.random.default_rng(3)
    for name in range(6):
        labels.enter(name, np.arange(name), rng)
    before = labels.slots.copy()
    labels.leave(2)
    moved = (labels.slots != before).sum(axis=0)
    own = before[2] == 2
    assert own.any()
    assert (moved[own] == 0).all()
    assert (moved[~own] == 2).all(), "the one that goes, and the one that carried its weight"
    labels.enter(2, np.array([0, 1, 3, 4, 5]), rng)
    assert sorted(labels.slots[:, 0].tolist()) == list(range(6))


def test_fresh_draws_deal_every_arrangement_as_often() -> None:
    weights = np.array([0.5, 0.0, 0.3, 0.0])
    rng: Any = Every((1, 4), (0, 4))  # two of the four are not plain: two steps, the second first
    dealt = shuffled(weights, [np.arange(4)], rng.n_paths, rng)
    found = Counter(map(tuple, dealt.T.tolist()))
    assert found == dict.fromkeys(set(permutations(weights.tolist())), 1)


def test_fresh_draws_stay_within_their_class_and_leave_the_others_alone() -> None:
    weights = np.array([0.4, 0.1, 0.3, 0.0, 0.2])
    classes = [np.array([0, 3]), np.array([1, 4])]
    dealt = shuffled(weights, classes, 400, np.random.default_rng(0))
    assert (dealt[2] == 0.3).all()
    assert {tuple(pair) for pair in dealt[[0, 3]].T.tolist()} == {(0.4, 0.0), (0.0, 0.4)}
    assert {tuple(pair) for pair in dealt[[1, 4]].T.tolist()} == {(0.1, 0.2), (0.2, 0.1)}
    assert shuffled(weights, [np.array([], dtype=np.intp)], 1, np.random.default_rng(0)).T[
        0
    ].tolist() == pytest.approx(weights.tolist(), abs=0.0)


@given(st.lists(st.sampled_from([0.0, 0.25, -0.25, 0.5]), min_size=1, max_size=6))
def test_books_are_counted_as_a_list_of_all_would(weights: list[float]) -> None:
    names = np.arange(len(weights))
    assert arrangements(np.array(weights), [names]) == len(set(permutations(weights)))
    low, high = names[::2], names[1::2]
    apart = [len(set(permutations(np.array(weights)[half].tolist()))) for half in (low, high)]
    assert arrangements(np.array(weights), [low, high]) == math.prod(apart)


def test_weights_that_differ_by_rounding_are_the_same() -> None:
    thirds = np.array([1.0 / 3.0, 1.0 - 2.0 / 3.0, 0.1 + 0.2 + 0.1 / 3.0, 0.0])
    assert len(set(thirds.tolist())) > 2
    assert arrangements(thirds, [np.arange(4)]) == 4


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1"),
        (10**12, "1,000,000,000,000"),
        (math.comb(3000, 5), "2.0·10^15"),
        (99_999 * 10**20, "1.0·10^25"),
        (math.factorial(500), "1.2·10^1134"),
    ],
)
def test_numbers_of_books_are_told(count: int, text: str) -> None:
    assert told(count) == text
