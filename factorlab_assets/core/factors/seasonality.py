"""Seasonality factors: what an instrument did at the same time of earlier years.

Belongs here: returns picked by the calendar. Does not: returns of a whole stretch of months.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import Data, FactorSpec, Param, Params, lag, returns
from factorlab_assets.core.panel import Floats


def same_month(data: Data, params: Params) -> Floats:
    """mean(r_{t−11}, r_{t−23} … r_{t−12Y+1}): the mean return of month t+1's namesakes, decimal.

    Of the last Y years, each of which must be known. The month that a signal of t is held in is
    t+1, so that the delay is 0: one month later it would be about another calendar month. Heston
    and Sadka (2008) rank by the returns at annual lags of up to 20 years.
    """
    monthly = returns(data.price)
    total: Floats = np.zeros(monthly.shape)
    for year in range(1, params["years"] + 1):
        total += lag(monthly, 12 * year - 1)
    return np.asarray(total / params["years"])


FACTORS = (
    FactorSpec(
        name="same_month",
        summary="Mean return of the coming calendar month in the last Y years.",
        formula="mean(P[t−12k+1] / P[t−12k] − 1), k = 1 … Y",
        compute=same_month,
        params=(Param("years", 5, 1, 20, "Y, years whose month counts"),),
        delay=0,
        sign=1,
        paper="Heston, Sadka (2008), Seasonality in the cross-section of stock returns, "
        "Journal of Financial Economics 87(2), 418-445",
        doi="10.1016/j.jfineco.2007.02.003",
        first=lambda params: 12 * params["years"],
        last=lambda _: 11,
    ),
)
