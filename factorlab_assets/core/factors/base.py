"""What a factor is, and the array operations that families share.

Belongs here: `Param`, `FactorSpec`, and operations of more than one factor. Does not: any
particular factor (those are in the family files) or looking one up (the package itself).

Arrays are (..., T, N). What an operation over months needs and does not know makes it NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from factorlab_assets.core.panel import Floats

Params = Mapping[str, int]

NO_SPREAD = 1e-12
"""A standard deviation below this, per 1 + the mean return in size, is the rounding of returns."""


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


def last_months(values: Floats, months: int) -> Iterator[Floats]:
    """Values of each date's last `months` rows, its own first."""
    return (lag(values, back) for back in range(months))


def returns(price: Floats, months: int = 1) -> Floats:
    """P_t / P_{t−months} − 1, decimal."""
    return price / lag(price, months) - 1.0


def highest(price: Floats, months: int) -> Floats:
    """The highest of the last `months` month-end prices."""
    return reduce(np.maximum, last_months(price, months))


def lowest(price: Floats, months: int) -> Floats:
    """The lowest of the last `months` month-end prices."""
    return reduce(np.minimum, last_months(price, months))


def mean(values: Floats, months: int) -> Floats:
    """The mean of the last `months` values."""
    total = np.zeros(values.shape)
    for each in last_months(values, months):
        total += each
    return total / months


def deviation(values: Floats, months: int) -> Floats:
    """The standard deviation, ddof 1, of the last `months` returns; 0 where it is only rounding."""
    centre = mean(values, months)
    squares = np.zeros(values.shape)
    for each in last_months(values, months):
        squares += (each - centre) ** 2
    spread = np.sqrt(squares / (months - 1))
    return np.where(spread <= NO_SPREAD * (1.0 + np.abs(centre)), 0.0, spread)
