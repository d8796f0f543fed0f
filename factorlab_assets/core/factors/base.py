"""What a factor is, and the array operations that families share.

Belongs here: `Param`, `FactorSpec`, and operations of more than one factor. Does not: any
particular factor (those are in the family files) or looking one up (the package itself).

Arrays are (..., T, N). What an operation over months needs and does not know makes it NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.panel import Floats
from factorlab_assets.schemas import TICKER_PATTERN

Params = Mapping[str, Any]

NO_SPREAD = 1e-12
"""A standard deviation below this, per 1 + the mean return in size, is the rounding of returns."""


@dataclass(frozen=True)
class Param:
    """What a factor is computed with: a whole number from `low` to `high`, a ticker or a name.

    A factor with a parameter `market` is given that ticker's prices beside its own.
    """

    name: str
    default: int | str
    low: int = 0
    high: int = 0
    meaning: str = ""
    pattern: str = ""
    """Of a text; empty for a whole number."""

    @property
    def described(self) -> str:
        """Default and what is allowed."""
        if self.pattern:
            return f"default {self.default}" if self.default else "required"
        return f"default {self.default}, {self.low} to {self.high}"

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.pattern:
            return f"text of the form {self.pattern}"
        return f"a whole number from {self.low} to {self.high}"

    def allows(self, value: object) -> bool:
        """Whether the value may be given."""
        if self.pattern:
            return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None
        return type(value) is int and self.low <= value <= self.high


MARKET = Param("market", "SPY", meaning="ticker of the market", pattern=TICKER_PATTERN)
"""The parameter of a factor that compares with a market."""


@dataclass(frozen=True)
class Data:
    """What a factor may look at: everything is known at the last of its T month-ends.

    price : (..., T, N) month-end prices, NaN = not known. market : (..., T, 1) those of the ticker
    that the parameter `market` names. bars : the daily bars of the N tickers, and market_bars :
    (D, 1) daily closes of that ticker, where the factor `reads` "bars". outside : (T, N) a user's
    own panel, as known at each date, where it reads "outside".
    """

    price: Floats
    market: Floats | None = None
    bars: Bars | None = None
    market_bars: Floats | None = None
    outside: Floats | None = None


@dataclass(frozen=True)
class FactorSpec:
    """A factor: how to compute it, its parameters, its timing and where it comes from.

    compute : `Data` and every parameter -> values (..., T, N), before any delay, signed so that
        higher is more attractive; NaN where something that is needed is not known.
    reads : "prices" (month-ends), "bars" (daily too) or "outside" (a user's own panel).
    delay : months that the values are moved back unless a strategy says otherwise.
    sign : +1 where the raw quantity itself is attractive, -1 where `compute` has negated it.
    first, last : all parameters -> how many months before the signal the oldest and the newest
        price used lie, before any delay.
    refuses : all parameters, each allowed on its own -> what is wrong with them together, or "".
    """

    name: str
    summary: str
    formula: str
    compute: Callable[[Data, Params], Floats]
    params: tuple[Param, ...]
    delay: int
    sign: int
    paper: str
    doi: str
    first: Callable[[Params], int]
    last: Callable[[Params], int]
    reads: Literal["prices", "bars", "outside"] = "prices"
    refuses: Callable[[Params], str] = lambda _: ""


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
