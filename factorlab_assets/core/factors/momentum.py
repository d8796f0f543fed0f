"""Momentum factors: instruments compared by their past returns.

Belongs here: factors that only a ranking across instruments makes sense of. Does not: trends of an
instrument on its own.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import (
    MARKET,
    NO_SPREAD,
    Data,
    FactorSpec,
    Param,
    Params,
    highest,
    lag,
    last_months,
    lowest,
    mean,
    returns,
)
from factorlab_assets.core.factors.days import Block, over_columns
from factorlab_assets.core.factors.trend import FABER, FABER_DOI
from factorlab_assets.core.panel import Floats

HORIZONS = (1, 3, 6, 12)
"""Months of the returns that are averaged."""


def xsmom(data: Data, params: Params) -> Floats:
    """P_{t−skip} / P_{t−L} − 1: the return from L months ago to `skip` months ago, decimal.

    Jegadeesh and Titman (1993) rank returns of 3 to 12 months and skip a week before holding; the
    month skipped here has become the custom (12−1).
    """
    return lag(data.price, params["skip"]) / lag(data.price, params["lookback"]) - 1.0


def high_52w(data: Data, params: Params) -> Floats:
    """P_t / max(P_{t−L+1} … P_t): nearness to the high of the last L month-ends, 1 at the high.

    The month-end form: George and Hwang (2004) divide by the highest daily price of the last 12
    months, which is as high or higher.
    """
    return data.price / highest(data.price, params["lookback"])


def breakout(data: Data, params: Params) -> Floats:
    """(P_t − low) / (high − low) of P_{t−L+1} … P_t: 1 at the top of the range, 0 at its bottom.

    In the middle, 0.5, where all L prices are the same. Brock, Lakonishok and LeBaron (1992) buy
    where a price leaves its range of 50 to 200 days upwards; here every place in the range counts.
    """
    low, high = lowest(data.price, params["lookback"]), highest(data.price, params["lookback"])
    width = high - low
    return np.where(width == 0.0, 0.5, (data.price - low) / np.where(width == 0.0, 1.0, width))


def acceleration(data: Data, params: Params) -> Floats:
    """P_t / P_{t−L} − P_{t−L} / P_{t−2L}: the last L months' return less that of the L before.

    Decimal. The first difference of successive returns, as Ardila, Forró and Sornette (2021) rank
    stocks; L is 6 there too, beside 3 and 12.
    """
    halfway = lag(data.price, params["lookback"])
    return data.price / halfway - halfway / lag(data.price, 2 * params["lookback"])


def high_52w_daily(data: Data, params: Params) -> Floats:
    """P_t / max(C_d) over the sessions d of months t−L+1 … t: nearness to the highest close.

    1 at the high. Needs the closes of at least half of these sessions. George and Hwang (2004) take
    the highest price, intraday ones included; here closes.
    """

    def height(block: Block) -> Floats:
        high = highest(block.highest_by_month(block.close), params["lookback"])
        return np.where(block.is_half_known(block.close, params["lookback"]), high, np.nan)

    return data.price / over_columns(data, params["lookback"] - 1, height)


def residual_momentum(data: Data, params: Params) -> Floats:
    """Σ ε / sd(ε) of ε_{t−L+1} … ε_{t−skip}, ddof 1, where r = a + b·m + ε over t−W+1 … t.

    r and m are the monthly returns of ticker and market; in units of one month's deviation. 0 where
    every residual is only rounding, as the market's own; unknown where the market does not move.
    Blitz, Huij and Martens (2011) regress on the three factors of Fama and French in excess of
    cash; here on the market alone.
    """
    window, lookback, skip = params["window"], params["lookback"], params["skip"]
    if data.market is None:
        raise ValueError("residual_momentum was given no market")
    own, market = returns(data.price), returns(data.market)
    centre, market_centre = mean(own, window), mean(market, window)
    together, alone = np.zeros(own.shape), np.zeros(market.shape)
    for y, x in zip(last_months(own, window), last_months(market, window), strict=True):
        together += (x - market_centre) * (y - centre)
        alone += (x - market_centre) ** 2
    has_spread = alone > window * (NO_SPREAD * (1.0 + np.abs(market_centre))) ** 2
    slope = together / np.where(has_spread, alone, np.nan)

    def residual(months_back: int) -> Floats:
        moved = lag(own, months_back) - centre
        left = moved - slope * (lag(market, months_back) - market_centre)
        return np.where(np.abs(left) <= NO_SPREAD * (1.0 + np.abs(moved)), 0.0, left)

    residuals = [residual(months_back) for months_back in range(skip, lookback)]
    middle = sum(residuals) / len(residuals)
    spread = np.sqrt(sum((each - middle) ** 2 for each in residuals) / (len(residuals) - 1))
    score = sum(residuals) / np.where(spread <= NO_SPREAD, np.nan, spread)
    return np.where((spread == 0.0) & (middle == 0.0), 0.0, score)


def momentum_13612w(data: Data, _: Params) -> Floats:
    """(12·r_1 + 4·r_3 + 2·r_6 + r_12) / 4, r_k = P_t / P_{t−k} − 1: fast momentum.

    The mean of four returns, each at its rate per year, uncompounded: decimal per year. Keller and
    Keuning (2017) sum where this divides by 4. Two fifths of the weight on single months is on the
    last, which a delay would take away: the delay is 0.
    """
    own = data.price
    weighted = sum(12 / months * returns(own, months) for months in HORIZONS)
    return np.asarray(weighted / len(HORIZONS))


def momentum_average(data: Data, _: Params) -> Floats:
    """(r_1 + r_3 + r_6 + r_12) / 4, r_k = P_t / P_{t−k} − 1: the mean return of four horizons.

    Decimal. The ranking of Faber's concentrated portfolios of tactical asset allocation, in the
    2013 update of Faber (2007). Each of the four reaches to the newest price, so that the delay is
    0, as there.
    """
    total = sum(returns(data.price, months) for months in HORIZONS)
    return np.asarray(total / len(HORIZONS))


def _residuals_refused(params: Params) -> str:
    window, lookback, skip = params["window"], params["lookback"], params["skip"]
    if lookback > window:
        return f"lookback {lookback} is longer than the window of {window} months"
    if lookback - skip < 2:
        return f"lookback {lookback} less skip {skip} leaves fewer than 2 residuals"
    return ""


GEORGE_HWANG = (
    "George, Hwang (2004), The 52-Week High and Momentum Investing, "
    "Journal of Finance 59(5), 2145-2176"
)
GEORGE_HWANG_DOI = "10.1111/j.1540-6261.2004.00695.x"

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
        paper=GEORGE_HWANG,
        doi=GEORGE_HWANG_DOI,
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
    FactorSpec(
        name="high_52w_daily",
        summary="Price over the highest daily close of the last L months.",
        formula="P[t] / max(C[d]), sessions d of months t−L+1 … t",
        compute=high_52w_daily,
        params=(Param("lookback", 12, 1, 120, "L, months of closes that the high is of"),),
        delay=1,
        sign=1,
        paper=GEORGE_HWANG,
        doi=GEORGE_HWANG_DOI,
        first=lambda params: params["lookback"] - 1,
        last=lambda _: 0,
        reads="bars",
    ),
    FactorSpec(
        name="residual_momentum",
        summary="Past returns that the market does not explain, per unit of their deviation.",
        formula="Σ ε / sd(ε) of months t−L+1 … t−skip, r = a + b·m + ε over t−W+1 … t",
        compute=residual_momentum,
        params=(
            Param("window", 36, 12, 120, "W, months of returns in the regression"),
            Param("lookback", 12, 2, 120, "L, months back where the residuals begin, at most W"),
            Param("skip", 1, 0, 12, "months back where they end, below L − 1"),
            MARKET,
        ),
        delay=0,
        sign=1,
        paper="Blitz, Huij, Martens (2011), Residual momentum, "
        "Journal of Empirical Finance 18(3), 506-521",
        doi="10.1016/j.jempfin.2011.01.003",
        first=lambda params: params["window"],
        last=lambda _: 0,
        refuses=_residuals_refused,
    ),
    FactorSpec(
        name="momentum_13612w",
        summary="Mean of the returns of 1, 3, 6 and 12 months at their rates per year.",
        formula="(12·r1 + 4·r3 + 2·r6 + r12) / 4, rk = P[t] / P[t−k] − 1",
        compute=momentum_13612w,
        params=(),
        delay=0,
        sign=1,
        paper="Keller, Keuning (2017), Breadth Momentum and Vigilant Asset Allocation (VAA): "
        "Winning More by Losing Less, SSRN 3002624",
        doi="10.2139/ssrn.3002624",
        first=lambda _: 12,
        last=lambda _: 0,
    ),
    FactorSpec(
        name="momentum_average",
        summary="Mean of the returns of 1, 3, 6 and 12 months.",
        formula="(r1 + r3 + r6 + r12) / 4, rk = P[t] / P[t−k] − 1",
        compute=momentum_average,
        params=(),
        delay=0,
        sign=1,
        paper=FABER,
        doi=FABER_DOI,
        first=lambda _: 12,
        last=lambda _: 0,
    ),
)
