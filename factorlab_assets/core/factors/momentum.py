"""Momentum factors: instruments compared by their past returns.

Belongs here: factors that only a ranking across instruments makes sense of. Does not: trends of an
instrument on its own.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import FactorSpec, Param, Params, highest, lag, lowest
from factorlab_assets.core.panel import Floats


def xsmom(price: Floats, params: Params) -> Floats:
    """P_{t−skip} / P_{t−L} − 1: the return from L months ago to `skip` months ago, decimal.

    Jegadeesh and Titman (1993) rank returns of 3 to 12 months and skip a week before holding; the
    month skipped here has become the custom (12−1).
    """
    return lag(price, params["skip"]) / lag(price, params["lookback"]) - 1.0


def high_52w(price: Floats, params: Params) -> Floats:
    """P_t / max(P_{t−L+1} … P_t): nearness to the high of the last L month-ends, 1 at the high.

    The month-end form: George and Hwang (2004) divide by the highest daily price of the last 12
    months, which is as high or higher.
    """
    return price / highest(price, params["lookback"])


def breakout(price: Floats, params: Params) -> Floats:
    """(P_t − low) / (high − low) of P_{t−L+1} … P_t: 1 at the top of the range, 0 at its bottom.

    In the middle, 0.5, where all L prices are the same. Brock, Lakonishok and LeBaron (1992) buy
    where a price leaves its range of 50 to 200 days upwards; here every place in the range counts.
    """
    low, high = lowest(price, params["lookback"]), highest(price, params["lookback"])
    width = high - low
    return np.where(width == 0.0, 0.5, (price - low) / np.where(width == 0.0, 1.0, width))


def acceleration(price: Floats, params: Params) -> Floats:
    """P_t / P_{t−L} − P_{t−L} / P_{t−2L}: the last L months' return less that of the L before.

    Decimal. The first difference of successive returns, as Ardila, Forró and Sornette (2021) rank
    stocks; L is 6 there too, beside 3 and 12.
    """
    halfway = lag(price, params["lookback"])
    return price / halfway - halfway / lag(price, 2 * params["lookback"])


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
    FactorSpec(
        name="high_52w",
        summary="Price over its highest month-end of the last L: nearness to the 52-week high.",
        formula="P[t] / max(P[t−L+1] … P[t])",
        compute=high_52w,
        params=(Param("lookback", 12, 2, 120, "L, month-ends that the high is of"),),
        delay=1,
        sign=1,
        paper="George, Hwang (2004), The 52-Week High and Momentum Investing, "
        "Journal of Finance 59(5), 2145-2176",
        doi="10.1111/j.1540-6261.2004.00695.x",
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
    ),
    FactorSpec(
        name="breakout",
        summary="Place of the price in the range of the last L month-ends, 0 to 1.",
        formula="(P[t] − low) / (high − low), low and high of P[t−L+1] … P[t]",
        compute=breakout,
        params=(Param("lookback", 12, 2, 120, "L, month-ends that the range is of"),),
        delay=1,
        sign=1,
        paper="Brock, Lakonishok, LeBaron (1992), Simple Technical Trading Rules and the "
        "Stochastic Properties of Stock Returns, Journal of Finance 47(5), 1731-1764",
        doi="10.1111/j.1540-6261.1992.tb04681.x",
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
    ),
    FactorSpec(
        name="acceleration",
        summary="Return of the last L months less that of the L months before.",
        formula="P[t] / P[t−L] − P[t−L] / P[t−2L]",
        compute=acceleration,
        params=(Param("lookback", 6, 1, 60, "L, months of each of the two returns"),),
        delay=1,
        sign=1,
        paper="Ardila, Forró, Sornette (2021), The acceleration effect and Gamma factor in asset "
        "pricing, Physica A 569, 125367",
        doi="10.1016/j.physa.2020.125367",
        first=lambda params: 2 * params["lookback"],
        last=lambda _: 0,
    ),
)
