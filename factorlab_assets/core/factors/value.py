"""Value factors: cheapness as an attraction.

Belongs here: how low a price is against what it was years ago, which stands for value where there
are only prices. Does not: fundamentals.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params, lag
from factorlab_assets.core.panel import Floats


def reversal_5y(data: Data, params: Params) -> Floats:
    """ln(P_{t−L} / P_{t−skip}): minus the log return from L months ago to `skip` months ago.

    A proxy: no earnings or book value is looked at. Asness, Moskowitz and Pedersen (2013) value
    assets without a book by the log of the average price 4.5 to 5.5 years ago over the newest; here
    both are single month-ends, and the last year is left out, since it is momentum.
    """
    return np.log(lag(data.price, params["lookback"]) / lag(data.price, params["skip"]))


FACTORS = (
    FactorSpec(
        name="reversal_5y",
        summary="Minus the log return from t−L to t−skip: value as far as prices alone tell.",
        formula="−ln(P[t−skip] / P[t−L])",
        compute=reversal_5y,
        params=(
            Param("lookback", 60, 2, 120, "L, months back where the return begins"),
            Param("skip", 12, 0, 60, "months back where the return ends, below lookback"),
        ),
        delay=0,
        sign=-1,
        paper="Asness, Moskowitz, Pedersen (2013), Value and Momentum Everywhere, "
        "Journal of Finance 68(3), 929-985",
        doi="10.1111/jofi.12021",
        first=lambda params: params["lookback"],
        last=lambda params: params["skip"],
    ),
)
