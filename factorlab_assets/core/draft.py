"""One date's weights on their way into the limits, and what there is to say of them.

Belongs here: how a date's outcome is gathered and put into words. Does not: deciding anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from factorlab_assets.core.book import KEPT, KEPT_LAST, NOT_HELD, RELAXED
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.weighting import Codes

FIRST = ("turnover", "groups")
"""What is relaxed before anything else, in this order."""


@dataclass
class Draft:
    """Weights and reasons (N,) of one date; `relaxed` limits, `notes`, and why it `kept` its last
    weights, "" where it did not."""

    weights: Floats
    reason: Codes
    relaxed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    kept: str = ""

    def copy(self) -> Draft:
        """The same, to be changed by itself."""
        weights, reason = self.weights.copy(), self.reason.copy()
        return Draft(weights, reason, set(self.relaxed), list(self.notes), self.kept)

    def note(self, text: str) -> None:
        """Say this too, once."""
        if text not in self.notes:
            self.notes.append(text)

    def note_estimate(self, text: str) -> None:
        """Say what is to be said of a covariance, who is left out of it first."""
        for part in filter(None, text.split("; ")):
            left_out = part.startswith(("no risk history", "no variance"))
            self.note(NOT_HELD + part if left_out else part)

    def relax(self, names: Iterable[str]) -> None:
        """Say that these limits do not hold."""
        self.relaxed.update(names)

    def keep(self, before: Floats | None, why: str) -> None:
        """Fall back to what was held before: nothing at the start."""
        self.kept = why
        self.weights = np.zeros(len(self.weights)) if before is None else before.copy()
        self.reason = np.full_like(self.reason, KEPT)

    @property
    def outcome(self) -> str:
        """As `Book.outcome` has it.

        >>> draft = Draft(np.zeros(2), np.zeros(2, dtype=np.int8))
        >>> draft.relax(["groups", "turnover"])
        >>> draft.note_estimate("no risk history: A; fewer returns than names: 2 of 3")
        >>> draft.outcome
        'relaxed: turnover, groups; not held, no risk history: A; fewer returns than names: 2 of 3'
        """
        order = [*FIRST, *sorted(self.relaxed - set(FIRST))]
        said = ", ".join(name for name in order if name in self.relaxed)
        first = [KEPT_LAST + self.kept] if self.kept else [RELAXED + said] if said else []
        return "; ".join([*first, *self.notes])
