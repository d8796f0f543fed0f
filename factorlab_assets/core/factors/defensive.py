"""Defensive factors: low risk as an attraction.

Belongs here: factors built on an instrument's own risk. Does not: covariances, or sizing by risk.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.factors.base import (
    MARKET,
    Data,
    FactorSpec,
    Param,
    Params,
    deviation,
    lag,
    mean,
    returns,
)
from factorlab_assets.core.factors.days import Block, Moments, daily_returns, moments, over_columns
from factorlab_assets.core.panel import Floats

SHRUNK, MEAN_BETA = 0.6, 1.0
"""Frazzini and Pedersen's weight on an estimated beta, the rest being on the mean of all betas."""
ALL_MARKET = 1e-12
"""A residual variance below this share of the whole is the rounding of a perfect fit."""


def low_vol(data: Data, params: Params) -> Floats:
    """−sd(r_{t−L+1} … r_t), ddof 1: minus the standard deviation of the last L monthly returns.

    Decimal per month, 0 for a price that is constant or grows evenly. Blitz and van Vliet (2007)
    rank on three years of weekly returns; here three years of monthly ones.
    """
    return 0.0 - deviation(returns(data.price), params["lookback"])


def downside_vol(data: Data, params: Params) -> Floats:
    """−√(Σ min(r, 0)² / L) over r_{t−L+1} … r_t: minus the downside deviation, target return 0.

    Decimal per month, 0 without a loss. The mean is over all L months, as in Sortino and van der
    Meer (1991), not over the losing ones alone: rare losses are less risk than frequent ones.
    """
    losses = np.minimum(returns(data.price), 0.0)
    return 0.0 - np.sqrt(mean(losses**2, params["lookback"]))


def low_vol_daily(data: Data, params: Params) -> Floats:
    """−sd(r_d), ddof 1, over the sessions of months t−L+1 … t: minus the daily volatility.

    Decimal per day, 0 for a constant price. Needs the returns of at least half of these sessions.
    Ang, Hodrick, Xing and Zhang (2006) sort on one month of daily returns; here a year, so that a
    single day weighs less.
    """

    def volatility(block: Block) -> Floats:
        daily = daily_returns(block.close)
        sd = moments(block, daily, daily).last(params["lookback"]).sd
        return np.where(block.is_half_known(daily, params["lookback"]), 0.0 - sd, np.nan)

    return over_columns(data, params["lookback"], volatility)


def beta(data: Data, params: Params) -> Floats:
    """−(0.6·ρ·σ_i/σ_m + 0.4): minus the beta to the market, shrunk towards 1.

    ρ is the correlation of the sums of three successive daily log returns of ticker and market over
    the sessions of months t−L+1 … t, σ the standard deviation, ddof 1, of daily log returns over
    those of the last V months, each over the days that are known; at least half of either window's
    sessions must be. A price that has not moved has ρ = 0. Frazzini and Pedersen (2014) take
    returns in excess of cash and at least 750 days for ρ and 120 for σ; a ranking by this is what
    betting against beta trades.
    """

    def minus_beta(block: Block) -> Floats:
        own, market = (np.log(each / lag(each, 1)) for each in (block.close, block.market))
        slow = _three_days(own)
        both = moments(block, _three_days(market), slow).last(params["lookback"])
        spread = np.sqrt(both.xx * both.yy)
        sd = moments(block, own, own).last(params["vol_lookback"]).sd
        market_sd = moments(block, market, market).last(params["vol_lookback"]).sd
        correlation = np.where(both.sd == 0.0, 0.0, np.clip(both.xy / spread, -1.0, 1.0))
        ratio = sd / np.where(market_sd == 0.0, np.nan, market_sd)
        value = 0.0 - (SHRUNK * correlation * ratio + (1.0 - SHRUNK) * MEAN_BETA)
        known = block.is_half_known(slow + _three_days(market), params["lookback"])
        known &= block.is_half_known(own, params["vol_lookback"])
        known &= block.is_half_known(market, params["vol_lookback"])
        return np.where(known, value, np.nan)

    return over_columns(data, max(params["lookback"], params["vol_lookback"]), minus_beta)


def _three_days(daily: Floats) -> Floats:
    """The sum of the last three days' log returns."""
    return daily + lag(daily, 1) + lag(daily, 2)


def max_return(data: Data, params: Params) -> Floats:
    """−mean of the n highest daily returns of month t, decimal: minus the lottery-like payoff.

    Needs the returns of at least half of the month's sessions. Bali, Cakici and Whitelaw (2011)
    sort on n = 1 to 5 and hold the very next month, so that the delay is 0.
    """

    def lottery(block: Block) -> Floats:
        daily = daily_returns(block.close)
        highest = block.ascending_by_month(-daily)[:, : params["n"]]
        value = highest.sum(axis=1) / params["n"]
        return np.where(block.is_half_known(daily, 1), value, np.nan)

    return over_columns(data, 1, lottery)


def idio_vol(data: Data, params: Params) -> Floats:
    """−sd(ε_d), ddof 1, of r_d = a + b·m_d + ε_d over the sessions of months t−L+1 … t.

    Decimal per day; r and m are the daily returns of ticker and market, on days that both have; at
    least half of the sessions must be such days. 0 for the market itself and for a constant price;
    unknown where the market does not move. Ang, Hodrick, Xing and Zhang (2006) regress on the three
    factors of Fama and French in excess of cash; here on the market alone. One month as theirs,
    which they hold for the very next, so that the delay is 0.
    """

    def residual(block: Block) -> Floats:
        daily, market = daily_returns(block.close), daily_returns(block.market)
        both = moments(block, market, daily).last(params["lookback"])
        sd = np.where(both.x_sd == 0.0, np.nan, _residual_sd(both))
        known = block.is_half_known(daily + market, params["lookback"])
        return np.where(known, 0.0 - sd, np.nan)

    return over_columns(data, params["lookback"], residual)


def _residual_sd(both: Moments) -> Floats:
    """Standard deviation, ddof 1, of y's residuals on x; 0 where they are only rounding."""
    left = both.yy - both.xy**2 / both.xx
    left = np.where((left <= ALL_MARKET * both.yy) | (both.sd == 0.0), 0.0, left)
    return np.sqrt(left / (both.count - 1.0))


AHXZ = (
    "Ang, Hodrick, Xing, Zhang (2006), The Cross-Section of Volatility and Expected Returns, "
    "Journal of Finance 61(1), 259-299"
)
AHXZ_DOI = "10.1111/j.1540-6261.2006.00836.x"

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
    FactorSpec(
        name="low_vol_daily",
        summary="Minus the standard deviation of the daily returns of the last L months.",
        formula="−sd(C[d] / C[d−1] − 1), ddof 1, sessions d of months t−L+1 … t",
        compute=low_vol_daily,
        params=(Param("lookback", 12, 1, 120, "L, months of daily returns"),),
        delay=1,
        sign=-1,
        paper=AHXZ,
        doi=AHXZ_DOI,
        first=lambda params: params["lookback"],
        last=lambda _: 0,
        reads="bars",
    ),
    FactorSpec(
        name="beta",
        summary="Minus the beta to the market, shrunk towards 1: betting against beta.",
        formula="−(0.6·ρ·σ/σ_m + 0.4), ρ of 3-day log returns, σ of daily ones",
        compute=beta,
        params=(
            Param("lookback", 60, 3, 120, "L, months of 3-day returns in the correlation"),
            Param("vol_lookback", 12, 1, 120, "V, months of daily returns in the volatilities"),
            MARKET,
        ),
        delay=1,
        sign=-1,
        paper="Frazzini, Pedersen (2014), Betting against beta, "
        "Journal of Financial Economics 111(1), 1-25",
        doi="10.1016/j.jfineco.2013.10.005",
        first=lambda params: max(params["lookback"], params["vol_lookback"]),
        last=lambda _: 0,
        reads="bars",
    ),
    FactorSpec(
        name="max_return",
        summary="Minus the mean of the n highest daily returns of the month.",
        formula="−mean of the n highest C[d] / C[d−1] − 1, sessions d of month t",
        compute=max_return,
        params=(Param("n", 1, 1, 5, "n, highest returns that count"),),
        delay=0,
        sign=-1,
        paper="Bali, Cakici, Whitelaw (2011), Maxing out: Stocks as lotteries and the "
        "cross-section of expected returns, Journal of Financial Economics 99(2), 427-446",
        doi="10.1016/j.jfineco.2010.08.014",
        first=lambda _: 1,
        last=lambda _: 0,
        reads="bars",
    ),
    FactorSpec(
        name="idio_vol",
        summary="Minus the daily volatility that the market does not explain, of L months.",
        formula="−sd(ε[d]), r[d] = a + b·m[d] + ε[d], sessions d of months t−L+1 … t",
        compute=idio_vol,
        params=(Param("lookback", 1, 1, 60, "L, months of daily returns"), MARKET),
        delay=0,
        sign=-1,
        paper=AHXZ,
        doi=AHXZ_DOI,
        first=lambda params: params["lookback"],
        last=lambda _: 0,
        reads="bars",
    ),
)
