"""Reversal factors: what fell last as an attraction.

Belongs here: returns of up to a year, turned around. Does not: those of several years, which stand
for value.
"""

from __future__ import annotations

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params, lag
from factorlab_assets.core.panel import Floats


def reversal_1m(data: Data, params: Params) -> Floats:
    """1 − P_t / P_{t−L}: minus the return of the last L months, decimal; L is 1.

    Jegadeesh (1990) finds that one month's return turns around in the very next, so that the delay
    is 0: a month later the factor would be another one.
    """
    return 1.0 - data.price / lag(data.price, params["lookback"])


FACTORS = (
    FactorSpec(
        name="reversal_1m",
        summary="Minus the return of the last month.",
        formula="−(P[t] / P[t−L] − 1)",
        compute=reversal_1m,
        params=(Param("lookback", 1, 1, 12, "L, months of the return"),),
        delay=0,
        sign=-1,
        paper="Jegadeesh (1990), Evidence of Predictable Behavior of Security Returns, "
        "Journal of Finance 45(3), 881-898",
        doi="10.1111/j.1540-6261.1990.tb05110.x",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
)
