"""What was computed before is found again by what it was computed from; the oldest is let go."""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.memo import Memo, digest


def test_the_same_numbers_have_the_same_key_and_others_another():
    numbers = np.arange(6.0)
    assert digest("a", numbers) == digest("a", numbers.copy())
    assert digest(numbers.reshape(2, 3)[:, ::2]) == digest(np.array([[0.0, 2.0], [3.0, 5.0]]))
    others = [
        ("b", numbers),
        ("a", numbers.reshape(2, 3)),
        ("a", numbers.astype(np.int64)),
        ("a", numbers, None),
        ("a", np.where(numbers == 3.0, np.nextafter(3.0, 4.0), numbers)),
    ]
    assert digest("a", numbers) not in [digest(*each) for each in others]
    assert digest(np.zeros((0, 2))) != digest(np.zeros((2, 0)))


def test_what_was_asked_for_longest_ago_is_let_go():
    memo = Memo[str](most_bytes=20)
    made: list[bytes] = []

    def ask(key: bytes) -> None:
        memo.get(key, lambda: str(made.append(key)), 10)

    for key in (b"a", b"b", b"a", b"c", b"a", b"b"):
        ask(key)
    assert made == [b"a", b"b", b"c", b"b"]  # c took the place of b, which a was asked for after


def test_what_is_larger_than_the_memory_is_not_kept():
    memo = Memo[int](most_bytes=20)
    made = iter(range(9))
    assert [memo.get(b"a", lambda: next(made), 21) for _ in range(2)] == [0, 1]
    assert [memo.get(b"b", lambda: next(made), 20) for _ in range(2)] == [2, 2]
