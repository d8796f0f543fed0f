"""The factor registry: every factor by name, its parameters checked, its values computed.

Belongs here: looking factors up. Does not: their mathematics, which is a family per file. A new
factor is a function and a `FactorSpec` in its family file; everything else follows from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factorlab_assets.core.factors import (
    defensive,
    liquidity,
    momentum,
    outside,
    quality,
    reversal,
    seasonality,
    trend,
    value,
)
from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params, lag
from factorlab_assets.core.panel import Floats

__all__ = [
    "FAMILIES",
    "REGISTRY",
    "Data",
    "FactorSpec",
    "Param",
    "Params",
    "check",
    "compute",
    "window",
]

FAMILIES: dict[str, tuple[FactorSpec, ...]] = {
    "trend": trend.FACTORS,
    "momentum": momentum.FACTORS,
    "reversal": reversal.FACTORS,
    "value": value.FACTORS,
    "defensive": defensive.FACTORS,
    "quality": quality.FACTORS,
    "liquidity": liquidity.FACTORS,
    "seasonality": seasonality.FACTORS,
    "outside": outside.FACTORS,
}
REGISTRY: dict[str, FactorSpec] = {spec.name: spec for own in FAMILIES.values() for spec in own}


def check(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
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
        there = ", ".join(known) or "none"
        raise ValueError(f"factor {name}: no parameter {', '.join(unknown)}; there are {there}")
    full = {key: params.get(key, param.default) for key, param in known.items()}
    for key, given in full.items():
        if not known[key].allows(given):
            raise ValueError(
                f"factor {name}: parameter {key}: got {given!r}, allowed {known[key].allowed}"
            )
    if refused := spec.refuses(full):
        raise ValueError(f"factor {name}: {refused}")
    if spec.reads == "prices" and spec.last(full) >= spec.first(full):
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
    """Which month-end prices, months of daily bars, or values of a panel a signal dated t uses.

    >>> window("trend", {"lookback": 12}, 1), window("xsmom", {}, 0)
    ('P[t−13] … P[t−1]', 'P[t−12] … P[t−1]')
    >>> window("low_vol_daily", {"lookback": 3}, 1), window("characteristic", {"panel": "pe"}, 0)
    ('daily P[t−4] … P[t−1]', 'X[t]')
    """
    spec, full = REGISTRY[name], check(name, params)
    oldest, newest = spec.first(full) + delay, spec.last(full) + delay
    if spec.reads == "outside":
        return _at("X", newest)
    daily = "daily " if spec.reads == "bars" else ""
    return f"{daily}{_at('P', oldest)} … {_at('P', newest)}"


def compute(name: str, data: Data, params: Mapping[str, Any], delay: int) -> Floats:
    """The factor's values, known at each date's close, higher = more attractive.

    Parameters
    ----------
    data : prices of consecutive month-ends (..., T, N), and what else the factor reads.
    params : as `check` takes them.
    delay : whole months that the values are moved back.

    Returns
    -------
    (..., T, N), in the factor's own unit; NaN where something that it needs is not known.
    """
    return lag(REGISTRY[name].compute(data, check(name, params)), delay)


def _at(what: str, months_back: int) -> str:
    return f"{what}[t−{months_back}]" if months_back else f"{what}[t]"
