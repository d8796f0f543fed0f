"""What is held at every date, why, and which declared limits it could not keep.

Belongs here: the book and the words for its reasons. Does not: deciding any weight (`portfolio`).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats

Outcomes = npt.NDArray[np.object_]

REASONS = (
    "before start",
    "no month-end price",
    "no score",
    "not selected",
    "selected",
    "selected: at max_weight",
    "cash: score not positive",
    "cash: fails only_positive",
    "cash: too few names",
    "drift",
    "held: no price",
    "delisted",
    "not a member",
    "no risk history",
    "safe",
    "to safe: fails only_positive",
    "below min_weight",
    "beyond max_names",
    "within band",
    "below min_trade",
    "held: sold in part",
    "held: earlier tranche",
    "kept: no solution",
    "selected: no weight",
)
(
    BEFORE_START,
    NO_PRICE,
    NO_SCORE,
    NOT_SELECTED,
    SELECTED,
    AT_MAX_WEIGHT,
    NOT_POSITIVE,
    FILTERED,
    TOO_FEW,
    DRIFT,
    UNPRICED,
    DELISTED,
    NOT_A_MEMBER,
    NO_HISTORY,
    SAFE,
    TO_SAFE,
    TOO_SMALL,
    TOO_MANY,
    IN_BAND,
    SMALL_TRADE,
    SOLD_IN_PART,
    EARLIER,
    KEPT,
    NO_WEIGHT,
) = range(len(REASONS))

RELAXED, KEPT_LAST, NOT_HELD = "relaxed: ", "kept last weights: ", "not held, "
"""How the parts of an outcome begin; "; " stands between them."""
NOT_PLACED = "not all placed, the rest is cash"
"""The limits on names and groups leave no room for the whole book: the rest is cash."""
NOT_REACHED = "target not reached within the limits"
"""Volatility or beta are below their target: the book may not be larger."""
AS_WANTED = "all as wanted"
"""What a date without an outcome says to a reader."""
MOST_NAMED = 5


@dataclass(frozen=True)
class Book:
    """What is held: row t from the close of date t (or the next session) until date t+1.

    weights : (T, N) fraction of capital, 0 before the start; reason : (T, N) index into `REASONS`;
    start : first row that is held, T where the book never starts. outcome : (T,) text, "" where
    there is nothing to say, else what the date could not keep to ("relaxed: turnover, groups",
    "kept last weights: infeasible") or do without ("not held, no risk history: A, B").
    """

    weights: Floats
    reason: npt.NDArray[np.int8]
    start: int
    outcome: Outcomes = field(default_factory=lambda: np.empty(0, dtype=object))

    def __post_init__(self) -> None:
        if len(self.outcome) == 0:
            object.__setattr__(self, "outcome", no_outcomes(len(self.weights)))

    @cached_property
    def outcome_codes(self) -> npt.NDArray[np.int64]:
        """A number for each text, the same for the same text in any book, (T, N) alike in N."""
        code = {text: zlib.crc32(str(text).encode()) for text in set(self.outcome)}
        column = np.array([code[text] for text in self.outcome], dtype=np.int64)
        return np.broadcast_to(column[:, np.newaxis], self.weights.shape)


def no_outcomes(count: int) -> Outcomes:
    """Nothing to say of so many dates."""
    return np.full(count, "", dtype=object)


def listed(names: Iterable[str]) -> str:
    """A, B, C … and how many more.

    >>> listed("ABCDEFG")
    'A, B, C, D, E and 2 more'
    """
    every = [str(name) for name in names]
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more


def relaxed_of(outcome: str) -> set[str]:
    """The limits that a date says it does not keep to; {"all"} where it kept its last weights.

    >>> sorted(relaxed_of("relaxed: turnover, groups; not held, no risk history: A, B"))
    ['groups', 'turnover']
    """
    found: set[str] = set()
    for part in outcome.split("; "):
        if part.startswith(KEPT_LAST):
            found.add("all")
        elif part.startswith(RELAXED):
            found.update(part.removeprefix(RELAXED).split(", "))
    return found


def told(outcomes: Iterable[str]) -> dict[str, str]:
    """How many of some dates say what, most frequent first.

    >>> told(["", "relaxed: turnover"])
    {'all as wanted': '1 of 2 dates', 'relaxed: turnover': '1 of 2 dates'}
    """
    every = [str(outcome) for outcome in outcomes]
    found: Counter[str] = Counter()
    for outcome in every:
        parts = outcome.split("; ") if outcome else [AS_WANTED]
        found.update({part if part.startswith(RELAXED) else part.split(":")[0] for part in parts})
    return {
        what: f"{count} of {len(every)} dates"
        for what, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    }
