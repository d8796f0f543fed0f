"""A panel that many strategies run on: what they compute of it alike is computed once.

Belongs here: what is kept of a panel, and how much. Does not: computing it (the callers of `once`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from factorlab_assets.core.bars import Bars, Late
from factorlab_assets.core.panel import VALUES, Panel

T = TypeVar("T")

MOST_BYTES = 2 * 2**20
"""Kept per panel; what was made longest ago goes first. A proof has some thirty panels."""
MOST_BARS = 2
"""A panel with daily bars may keep so many times their size more: those of a universe, which every
step asks for, and of a strategy that it is compared with. Its own bars are not counted."""


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
        values = (getattr(panel, name) for name in VALUES)
        bars, outside, quoted = panel.bars, panel.outside, panel.quoted
        own = panel.dates, panel.tickers
        return cls(*own, *values, bars=bars, outside=outside, quoted=quoted)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self.kept:
            value = make()
            own = {} if self.bars is None else vars(self.bars)
            self.kept[key] = value, _frozen_bytes(value, {id(each) for each in own.values()})
            spent = sum(size for _, size in self.kept.values())
            most = MOST_BYTES
            if self.bars is not None:
                most += MOST_BARS * (self.bars.close.nbytes + self.bars.dollar_volume.nbytes)
            for oldest in list(self.kept):
                if spent <= most:
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


def _frozen_bytes(value: Any, counted: set[int]) -> int:
    """The size of the arrays in a value that are not counted yet; all can only be read from here
    on."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
        is_new = id(value) not in counted
        counted.add(id(value))
        return value.nbytes if is_new else 0
    if isinstance(value, Panel | Bars | Late):
        value = vars(value)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return sum(_frozen_bytes(each, counted) for each in value) if isinstance(value, tuple) else 0
