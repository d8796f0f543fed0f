"""Quality factors: how smoothly an instrument got where it is.

Belongs here: proxies of quality by prices alone. Does not: fundamentals, or the size of returns and
of their swings.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params, lag, mean
from factorlab_assets.core.panel import Floats


def consistency(data: Data, params: Params) -> Floats:
    """#(r > 0) / L over r_{t−L+1} … r_t: the share of the last L months with a gain.

    From 0 to 1; a return of 0 is no gain. Grinblatt and Moskowitz (2004) set consistent winners
    apart by a threshold for it; here the share itself.
    """
    gained = np.heaviside(data.price - lag(data.price, 1), 0.0)
    return mean(gained, params["lookback"])


def shallow_drawdown(data: Data, params: Params) -> Floats:
    """min over s ≤ u of P_u / P_s − 1 in t−L+1 … t: minus the largest drawdown, decimal.

    From −1 to 0, which is no month-end below an earlier one. A high before the window does not
    count. Choi (2021) ranks stocks by their maximum drawdown; between month-ends it may be deeper.
    """
    peak = lag(data.price, params["lookback"] - 1)
    deepest = peak - peak
    for months_back in range(params["lookback"] - 2, -1, -1):
        current = lag(data.price, months_back)
        peak = np.maximum(peak, current)
        deepest = np.minimum(deepest, current / peak - 1.0)
    return deepest


FACTORS = (
    FactorSpec(
        name="consistency",
        summary="Share of the last L months with a gain.",
        formula="#(r > 0) / L over r = P[t−L+1] / P[t−L] − 1 … P[t] / P[t−1] − 1",
        compute=consistency,
        params=(Param("lookback", 12, 1, 120, "L, months of returns"),),
        delay=1,
        sign=1,
        paper="Grinblatt, Moskowitz (2004), Predicting stock price movements from past returns: "
        "the role of consistency and tax-loss selling, "
        "Journal of Financial Economics 71(3), 541-579",
        doi="10.1016/S0304-405X(03)00176-4",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
    FactorSpec(
        name="shallow_drawdown",
        summary="Minus the largest drawdown within the last L month-ends.",
        formula="min(P[u] / P[s] − 1) over t−L+1 ≤ s ≤ u ≤ t",
        compute=shallow_drawdown,
        params=(Param("lookback", 36, 2, 120, "L, month-ends that the drawdown is within"),),
        delay=1,
        sign=-1,
        paper="Choi (2021), Maximum Drawdown, Recovery, and Momentum, "
        "Journal of Risk and Financial Management 14(11), 542",
        doi="10.3390/jrfm14110542",
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
    ),
)
