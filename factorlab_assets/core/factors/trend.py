"""Trend factors: an instrument against its own past.

Belongs here: factors that a sign alone makes sense of. Does not: comparisons across instruments.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import (
    Data,
    FactorSpec,
    Param,
    Params,
    deviation,
    lag,
    returns,
)
from factorlab_assets.core.panel import Floats
from factorlab_assets.schemas import TICKER_PATTERN

MONTHS = 12
"""Periods per year."""


def trend(data: Data, params: Params) -> Floats:
    """P_t / P_{t−L} − 1: the return of the last L months, decimal.

    Moskowitz, Ooi, Pedersen (2012) take the sign of the 12-month return in excess of cash; here the
    return itself, and a strategy decides what to do with its sign.
    """
    return returns(data.price, params["lookback"])


def trend_sign(data: Data, params: Params) -> Floats:
    """sign(P_t / P_{t−L} − 1): +1 up, −1 down, 0 unmoved over the last L months.

    What Moskowitz, Ooi, Pedersen (2012) hold long or short; theirs is of the return in excess of
    cash (see `trend_excess`).
    """
    return np.sign(data.price - lag(data.price, params["lookback"]))


def trend_excess(data: Data, params: Params) -> Floats:
    """P_t / P_{t−L} − M_t / M_{t−L}: the return of the last L months less the market's, decimal.

    With bills or short bonds for the market it is the return in excess of cash, whose sign is the
    absolute momentum of Antonacci (2013), who takes three-month bills; a user may name any ticker.
    """
    if data.market is None:
        raise ValueError("trend_excess was given no market")
    return returns(data.price, params["lookback"]) - returns(data.market, params["lookback"])


def trend_scaled(data: Data, params: Params) -> Floats:
    """(P_t / P_{t−L} − 1) / (sd(r_{t−V+1} … r_t)·√12): the trend per unit of annual volatility.

    Moskowitz, Ooi, Pedersen (2012) divide by an exponentially weighted volatility of daily excess
    returns; here by that of the last V monthly returns, ddof 1. A price that has not moved has
    trend 0; one that has grown evenly, without any volatility to divide by, is NaN.
    """
    moved = returns(data.price, params["lookback"])
    volatility = deviation(returns(data.price), params["vol_lookback"]) * np.sqrt(MONTHS)
    scaled = moved / np.where(volatility == 0.0, np.nan, volatility)
    return np.where((volatility == 0.0) & (moved == 0.0), 0.0, scaled)


def ma_trend(data: Data, params: Params) -> Floats:
    """P_t / mean(P_{t−L+1} … P_t) − 1: distance of the price from its L-month average, decimal.

    The average is taken of P_{t−k} / P_t, so that a constant price is at distance 0 exactly.
    Faber (2007) holds an asset while its month-end price is above its 10-month average.
    """
    total: Floats = np.zeros(data.price.shape)
    for months in range(params["lookback"]):
        total += lag(data.price, months) / data.price
    return np.asarray(params["lookback"] / total - 1.0)


MOP = (
    "Moskowitz, Ooi, Pedersen (2012), Time series momentum, "
    "Journal of Financial Economics 104(2), 228-250"
)
MOP_DOI = "10.1016/j.jfineco.2011.11.003"
FABER = (
    "Faber (2007), A Quantitative Approach to Tactical Asset Allocation, "
    "Journal of Wealth Management 9(4), 69-79"
)
FABER_DOI = "10.3905/jwm.2007.674809"

FACTORS = (
    FactorSpec(
        name="trend",
        summary="Return of the last L months: time-series momentum.",
        formula="P[t] / P[t−L] − 1",
        compute=trend,
        params=(Param("lookback", 12, 1, 120, "L, months of the return"),),
        delay=1,
        sign=1,
        paper=MOP,
        doi=MOP_DOI,
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
    FactorSpec(
        name="trend_sign",
        summary="Sign of the return of the last L months: time-series momentum's side.",
        formula="sign(P[t] / P[t−L] − 1)",
        compute=trend_sign,
        params=(Param("lookback", 12, 1, 120, "L, months of the return"),),
        delay=1,
        sign=1,
        paper=MOP,
        doi=MOP_DOI,
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
    FactorSpec(
        name="trend_excess",
        summary="Return of the last L months less the market's: above bills, absolute momentum.",
        formula="P[t] / P[t−L] − M[t] / M[t−L]",
        compute=trend_excess,
        params=(
            Param("lookback", 12, 1, 120, "L, months of the return"),
            Param("market", "SHY", meaning="ticker to be above", pattern=TICKER_PATTERN),
        ),
        delay=1,
        sign=1,
        paper="Antonacci (2013), Absolute Momentum: A Simple Rule-Based Strategy and Universal "
        "Trend-Following Overlay, SSRN 2244633",
        doi="10.2139/ssrn.2244633",
        first=lambda params: params["lookback"],
        last=lambda _: 0,
    ),
    FactorSpec(
        name="trend_scaled",
        summary="Return of the last L months per unit of volatility.",
        formula="(P[t] / P[t−L] − 1) / (sd(P[t−V+1] / P[t−V] − 1 … P[t] / P[t−1] − 1)·√12), ddof 1",
        compute=trend_scaled,
        params=(
            Param("lookback", 12, 1, 120, "L, months of the return"),
            Param("vol_lookback", 12, 2, 120, "V, months of returns in the volatility"),
        ),
        delay=1,
        sign=1,
        paper=MOP,
        doi=MOP_DOI,
        first=lambda params: max(params["lookback"], params["vol_lookback"]),
        last=lambda _: 0,
    ),
    FactorSpec(
        name="ma_trend",
        summary="Price against its own L-month average.",
        formula="P[t] / mean(P[t−L+1] … P[t]) − 1",
        compute=ma_trend,
        params=(Param("lookback", 10, 2, 120, "L, month-ends in the average"),),
        delay=1,
        sign=1,
        paper=FABER,
        doi=FABER_DOI,
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
    ),
)
