"""Momentum factors: instruments compared by their past returns.

Belongs here: factors that only a ranking across instruments makes sense of. Does not: trends of an
instrument on its own.
"""

from __future__ import annotations

from factorlab_assets.core.factors.base import FactorSpec, Param, Params, lag
from factorlab_assets.core.panel import Floats


def xsmom(price: Floats, params: Params) -> Floats:
    """P_{t−skip} / P_{t−L} − 1: the return from L months ago to `skip` months ago, decimal.

    Jegadeesh and Titman (1993) rank returns of 3 to 12 months and skip a week before holding; the
    month skipped here has become the custom (12−1).
    """
    return lag(price, params["skip"]) / lag(price, params["lookback"]) - 1.0


FACTORS = (
    FactorSpec(
        name="xsmom",
        summary="Return from t−L to t−skip: cross-sectional momentum.",
        formula="P[t−skip] / P[t−L] − 1",
        compute=xsmom,
        params=(
            Param("lookback", 12, 1, 120, "L, months back where the return begins"),
            Param("skip", 1, 0, 12, "months back where the return ends, below lookback"),
        ),
        delay=0,
        sign=1,
        paper="Jegadeesh, Titman (1993), Returns to Buying Winners and Selling Losers: "
        "Implications for Stock Market Efficiency, Journal of Finance 48(1), 65-91",
        doi="10.1111/j.1540-6261.1993.tb04702.x",
        first=lambda params: params["lookback"],
        last=lambda params: params["skip"],
    ),
)
