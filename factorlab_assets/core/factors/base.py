"""What a factor is, and the one array operation that all families share.

Belongs here: `Param`, `FactorSpec`, `lag`. Does not: any particular factor (those are in the family
files) or looking one up (the package itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.panel import Floats

Params = Mapping[str, int]


@dataclass(frozen=True)
class Param:
    """A whole number that a factor is computed with, from `low` to `high`."""

    name: str
    default: int
    low: int
    high: int
    meaning: str

    @property
    def described(self) -> str:
        return f"default {self.default}, {self.low} to {self.high}"


@dataclass(frozen=True)
class FactorSpec:
    """A factor: how to compute it, its parameters, its timing and where it comes from.

    compute : month-end prices (..., T, N) and every parameter -> values of the same shape, before
        any delay, signed so that higher is more attractive; NaN where a needed price is not known.
    delay : months that the values are moved back unless a strategy says otherwise.
    sign : +1 where the raw quantity itself is attractive, -1 where `compute` has negated it.
    first, last : all parameters -> how many months before the signal the oldest and the newest
        price used lie, before any delay.
    """

    name: str
    summary: str
    formula: str
    compute: Callable[[Floats, Params], Floats]
    params: tuple[Param, ...]
    delay: int
    sign: int
    paper: str
    doi: str
    first: Callable[[Params], int]
    last: Callable[[Params], int]


def lag(values: Floats, months: int) -> Floats:
    """Values (..., T, N) of `months` rows before, NaN where there is no such row."""
    out = np.full(values.shape, np.nan)
    kept = max(values.shape[-2] - months, 0)
    out[..., months:, :] = values[..., :kept, :]
    return out
