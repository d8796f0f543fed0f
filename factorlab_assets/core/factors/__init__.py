"""The factor registry: every factor by name, its parameters checked, its values computed.

Belongs here: looking factors up. Does not: their mathematics, which is a family per file. A new
factor is a function and a `FactorSpec` in its family file; everything else follows from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factorlab_assets.core.factors import (
    defensive,
    momentum,
    quality,
    reversal,
    seasonality,
    trend,
    value,
)
from factorlab_assets.core.factors.base import FactorSpec, Param, lag
from factorlab_assets.core.panel import Floats

__all__ = ["REGISTRY", "FactorSpec", "Param", "check", "compute", "window"]

REGISTRY: dict[str, FactorSpec] = {
    spec.name: spec
    for family in (trend, momentum, reversal, value, defensive, quality, seasonality)
    for spec in family.FACTORS
}


def check(name: str, params: Mapping[str, Any]) -> dict[str, int]:
    """Every parameter of factor `name`: the given ones, checked, and the defaults of the others.

    Raises
    ------
    ValueError : an unknown factor or parameter, or a value that is not allowed; says what is.

    Examples
    --------
    >>> check("xsmom", {"lookback": 6})
    {'lookback': 6, 'skip': 1}
    >>> check("trend", {"lookback": 0})
    Traceback (most recent call last):
    ValueError: factor trend: parameter lookback: got 0, allowed a whole number from 1 to 120
    """
    if name not in REGISTRY:
        raise ValueError(f"factor {name!r} does not exist; there are {', '.join(REGISTRY)}")
    spec = REGISTRY[name]
    known = {param.name: param for param in spec.params}
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(
            f"factor {name}: no parameter {', '.join(unknown)}; there are {', '.join(known)}"
        )
    full = {key: params.get(key, param.default) for key, param in known.items()}
    for key, number in full.items():
        low, high = known[key].low, known[key].high
        if type(number) is not int or not low <= number <= high:
            raise ValueError(
                f"factor {name}: parameter {key}: got {number!r}, "
                f"allowed a whole number from {low} to {high}"
            )
    if spec.last(full) >= spec.first(full):
        raise ValueError(
            f"factor {name}: got {full}, where the newest price used, {spec.last(full)} months "
            f"back, is not after the oldest, {spec.first(full)} months back"
        )
    return full


def complete(name: str, params: Mapping[str, Any], delay: int | None) -> tuple[dict[str, Any], int]:
    """`check`'s parameters, and the delay in months: the factor's own where `delay` is None.

    >>> complete("xsmom", {"lookback": 6}, None)
    ({'lookback': 6, 'skip': 1}, 0)
    """
    full = check(name, params)
    return full, REGISTRY[name].delay if delay is None else delay


def window(name: str, params: Mapping[str, Any], delay: int) -> str:
    """Which month-end prices a signal dated t uses.

    >>> window("trend", {"lookback": 12}, 1), window("xsmom", {}, 0)
    ('P[t−13] … P[t−1]', 'P[t−12] … P[t−1]')
    """
    spec, full = REGISTRY[name], check(name, params)
    oldest, newest = spec.first(full) + delay, spec.last(full) + delay
    return f"{_price(oldest)} … {_price(newest)}"


def compute(name: str, price: Floats, params: Mapping[str, Any], delay: int) -> Floats:
    """The factor's values, known at each date's close, higher = more attractive.

    Parameters
    ----------
    price : (..., T, N) prices of consecutive month-ends, NaN = not known.
    params : as `check` takes them.
    delay : whole months that the values are moved back.

    Returns
    -------
    (..., T, N), in the factor's own unit; NaN where a price that it needs is not known.
    """
    return lag(REGISTRY[name].compute(price, check(name, params)), delay)


def _price(months_back: int) -> str:
    return f"P[t−{months_back}]" if months_back else "P[t]"
