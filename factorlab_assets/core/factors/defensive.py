"""Defensive factors: low risk as an attraction.

Belongs here: factors built on an instrument's own risk. Does not: covariances, or sizing by risk.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import (
    FactorSpec,
    Param,
    Params,
    deviation,
    mean,
    returns,
)
from factorlab_assets.core.panel import Floats


def low_vol(price: Floats, params: Params) -> Floats:
    """−sd(r_{t−L+1} … r_t), ddof 1: minus the standard deviation of the last L monthly returns.

    Decimal per month, 0 for a price that is constant or grows evenly. Blitz and van Vliet (2007)
    rank on three years of weekly returns; here three years of monthly ones.
    """
    return 0.0 - deviation(returns(price), params["lookback"])


def downside_vol(price: Floats, params: Params) -> Floats:
    """−√(Σ min(r, 0)² / L) over r_{t−L+1} … r_t: minus the downside deviation, target return 0.

    Decimal per month, 0 without a loss. The mean is over all L months, as in Sortino and van der
    Meer (1991), not over the losing ones alone: rare losses are less risk than frequent ones.
    """
    losses = np.minimum(returns(price), 0.0)
    return 0.0 - np.sqrt(mean(losses**2, params["lookback"]))


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
    FactorSpec(
        name="downside_vol",
        summary="Minus the downside deviation of the last L monthly returns.",
        formula="−√(Σ min(r, 0)² / L) over r = P[t−L+1] / P[t−L] − 1 … P[t] / P[t−1] − 1",
        compute=downside_vol,
        params=(Param("lookback", 36, 1, 120, "L, months of returns"),),
        delay=1,
        sign=-1,
        paper="Sortino, van der Meer (1991), Downside Risk, "
        "Journal of Portfolio Management 17(4), 27-31",
        doi="10.3905/jpm.1991.409343",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
)
