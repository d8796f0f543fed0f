"""A panel that many strategies run on: what they compute of it alike is computed once.

Belongs here: what is kept of a panel, and how much. Does not: computing it (the callers of `once`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from factorlab_assets.core.panel import VALUES, Panel

T = TypeVar("T")

MOST_BYTES = 2 * 2**20
"""Kept per panel; what was made longest ago goes first. A proof has some thirty panels."""


@dataclass(frozen=True)
class SharedPanel(Panel):
    """A panel with a memory: `once` returns the very arrays that it returned before.

    They are shared, and so read-only. What `make` gives is an array or a tuple of arrays, None or
    a panel among them.
    """

    # Not an argument: a panel with other prices (`dataclasses.replace`) remembers nothing.
    kept: dict[Hashable, tuple[Any, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, panel: Panel) -> SharedPanel:
        """The same panel, its arrays not copied."""
        return cls(panel.dates, panel.tickers, *(getattr(panel, name) for name in VALUES))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self.kept:
            value = make()
            self.kept[key] = value, _frozen_bytes(value)
            spent = sum(size for _, size in self.kept.values())
            for oldest in list(self.kept):
                if spent <= MOST_BYTES:
                    break
                spent -= self.kept.pop(oldest)[1]
            return value
        found: T = self.kept[key][0]
        return found

    def select(self, tickers: Iterable[str]) -> Panel:
        wanted = tuple(tickers)
        return self.once(
            ("select", wanted), lambda: SharedPanel.of(super(SharedPanel, self).select(wanted))
        )


def _frozen_bytes(value: Any) -> int:
    """The size of all arrays in a value, which can be read only from here on."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
        return value.nbytes
    if isinstance(value, Panel):
        return sum(_frozen_bytes(each) for each in vars(value).values())
    return sum(map(_frozen_bytes, value)) if isinstance(value, tuple) else 0
