"""Defensive factors: low risk as an attraction.

Belongs here: factors built on an instrument's own risk. Does not: covariances, or sizing by risk.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import FactorSpec, Param, Params, lag
from factorlab_assets.core.panel import Floats


def low_vol(price: Floats, params: Params) -> Floats:
    """−sd(r_{t−L+1} … r_t), ddof 1: minus the standard deviation of the last L monthly returns.

    Decimal per month, 0 for a constant price. Blitz and van Vliet (2007) rank on three years of
    weekly returns; here three years of monthly ones.
    """
    months = params["lookback"]
    returns = price / lag(price, 1) - 1.0
    total, squares = np.zeros(price.shape), np.zeros(price.shape)
    for k in range(months):
        total += lag(returns, k)
    mean = total / months
    for k in range(months):
        squares += (lag(returns, k) - mean) ** 2
    return 0.0 - np.sqrt(squares / (months - 1))


FACTORS = (
    FactorSpec(
        name="low_vol",
        summary="Minus the standard deviation of the last L monthly returns.",
        formula="−sd(P[t−L+1] / P[t−L] − 1 … P[t] / P[t−1] − 1), ddof 1",
        compute=low_vol,
        params=(Param("lookback", 36, 2, 120, "L, months of returns"),),
        delay=1,
        sign=-1,
        paper="Blitz, van Vliet (2007), The Volatility Effect: Lower Risk Without Lower Return, "
        "Journal of Portfolio Management 34(1), 102-113",
        doi="10.3905/jpm.2007.698039",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
)
