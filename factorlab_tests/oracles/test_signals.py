"""Factors and transforms against pandas and scipy, on real-sized panels with holes.

pandas 3.1.1 and scipy 1.17.1. Where definitions differ: scipy.stats.mstats.winsorize replaces a
count of values instead of clipping at interpolated quantiles, so `Series.clip(quantile)` is the
oracle for winsorizing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from factorlab_assets.core import factors
from factorlab_assets.core.factors.base import Data
from factorlab_assets.core.transforms import rank, winsorize, zscore
from factorlab_tests.small_panels import data_of

# Rolling means and deviations in pandas are updated from month to month and so carry the rounding
# of every month before; ratios of single prices do not.
RATIO, ROLLING = 1e-15, 1e-11
AS_IS = {"fill_method": None}


def monthly(price: pd.DataFrame) -> pd.DataFrame:
    return price.pct_change(**AS_IS)


@pytest.fixture(scope="module")
def price() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    values = 50 * np.exp(np.cumsum(rng.normal(0.005, 0.06, (240, 60)), axis=0))
    values[rng.random(values.shape) < 0.02] = np.nan
    values[:100, 7] = np.nan
    return pd.DataFrame(values)


@pytest.mark.parametrize(
    ("name", "params", "oracle", "tolerance"),
    [
        ("trend", {"lookback": 12}, lambda p: p / p.shift(12) - 1, RATIO),
        ("trend", {"lookback": 1}, lambda p: p.pct_change(fill_method=None), RATIO),
        ("ma_trend", {"lookback": 10}, lambda p: p / p.rolling(10).mean() - 1, ROLLING),
        ("xsmom", {"lookback": 12, "skip": 1}, lambda p: p.shift(1) / p.shift(12) - 1, RATIO),
        ("xsmom", {"lookback": 6, "skip": 2}, lambda p: p.shift(2) / p.shift(6) - 1, RATIO),
        (
            "low_vol",
            {"lookback": 36},
            lambda p: -monthly(p).rolling(36).std(),
            ROLLING,
        ),
        ("high_52w", {}, lambda p: p / p.rolling(12).max(), RATIO),
        (
            "breakout",
            {"lookback": 6},
            lambda p: (p - p.rolling(6).min()) / (p.rolling(6).max() - p.rolling(6).min()),
            RATIO,
        ),
        ("acceleration", {}, lambda p: p.pct_change(6, **AS_IS).diff(6), RATIO),
        (
            "trend_scaled",
            {"vol_lookback": 24},
            lambda p: p.pct_change(12, **AS_IS) / monthly(p).rolling(24).std() / 12**0.5,
            ROLLING,
        ),
        ("reversal_1m", {}, lambda p: -monthly(p), RATIO),
        ("reversal_5y", {}, lambda p: -np.log(p).diff(48).shift(12), ROLLING),
        (
            "downside_vol",
            {"lookback": 24},
            lambda p: -((monthly(p).clip(upper=0) ** 2).rolling(24).mean() ** 0.5),
            ROLLING,
        ),
        (
            "consistency",
            {},
            lambda p: (monthly(p) > 0).where(monthly(p).notna()).astype(float).rolling(12).mean(),
            ROLLING,
        ),
        (
            "shallow_drawdown",
            {"lookback": 24},
            lambda p: p.rolling(24).apply(lambda x: (x / x.cummax()).min() - 1),
            RATIO,
        ),
        (
            "same_month",
            {"years": 3},
            lambda p: sum(monthly(p).shift(12 * year - 1) for year in (1, 2, 3)) / 3,
            RATIO,
        ),
    ],
)
@pytest.mark.parametrize("delay", [0, 1, 3])
def test_factors_agree_with_pandas(price, name, params, oracle, tolerance, delay) -> None:
    found = factors.compute(name, Data(price.to_numpy()), params, delay)
    expected = oracle(price).shift(delay).to_numpy()
    assert np.isfinite(found).sum() > 3000
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def data() -> Data:
    """Seven years of eight tickers, a market and a panel; days and months are missing."""
    rng = np.random.default_rng(13)
    price = 50 * np.exp(np.cumsum(rng.normal(0.005, 0.06, (84, 8)), axis=0))
    price[rng.random(price.shape) < 0.02] = np.nan
    price[:30, 3] = np.nan
    data = data_of(price, 13)
    gone = rng.random(data.bars.close.shape) < 0.04
    close, volume = (np.where(gone, np.nan, v) for v in (data.bars.close, data.bars.dollar_volume))
    close[data.bars.month == 40, 5] = volume[data.bars.month == 40, 5] = np.nan
    close[-400:-360, 6] = volume[-400:-360, 6] = np.nan
    at_end = close[np.append(np.diff(data.bars.month) > 0, True)]
    return replace(data, price=at_end, bars=replace(data.bars, close=close, dollar_volume=volume))


MONTHLY_BESIDE_A_MARKET = {
    "trend_sign": ({}, lambda p, m: np.sign(p.pct_change(12, **AS_IS))),
    "trend_excess": (
        {"lookback": 6},
        lambda p, m: p.pct_change(6, **AS_IS).sub(m.pct_change(6, **AS_IS), axis=0),
    ),
    "momentum_13612w": (
        {},
        lambda p, m: sum(12 / k * p.pct_change(k, **AS_IS) for k in (1, 3, 6, 12)) / 4,
    ),
    "momentum_average": (
        {},
        lambda p, m: sum(p.pct_change(k, **AS_IS) for k in (1, 3, 6, 12)) / 4,
    ),
    "residual_momentum": (
        {"window": 24, "lookback": 12, "skip": 1},
        lambda p, m: residual_momentum(monthly(p), monthly(m), 24, 12, 1),
    ),
}


def unexplained(y: pd.Series, x: pd.Series) -> pd.Series:
    fit = stats.linregress(x, y)
    return y - fit.intercept - fit.slope * x


def residual_momentum(own, market, window, lookback, skip) -> pd.DataFrame:
    """By scipy's regression, ticker by ticker and month by month."""
    out = own * np.nan
    for ticker in own:
        for t in range(window, len(own)):
            y, x = (each.iloc[t - window + 1 : t + 1] for each in (own[ticker], market))
            if y.notna().all() and x.notna().all():
                left = unexplained(y, x)
                left = left.iloc[window - lookback : window - skip]
                out.loc[t, ticker] = left.sum() / left.std()
    return out


@pytest.mark.parametrize("name", MONTHLY_BESIDE_A_MARKET)
def test_factors_beside_a_market_agree_with_pandas_and_scipy(data, name) -> None:
    params, oracle = MONTHLY_BESIDE_A_MARKET[name]
    found = factors.compute(name, data, params, 0)
    expected = oracle(pd.DataFrame(data.price), pd.Series(data.market[:, 0])).to_numpy()
    assert np.isfinite(found).sum() > 100
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def betas(c, v, m) -> float:
    """Frazzini and Pedersen's, of the last 24 months and for volatilities 12."""
    daily = pd.DataFrame({"own": np.log(c).diff(), "market": np.log(m).diff()})
    slow = daily.rolling(3).sum()
    year, whole = daily[in_months(daily, 12)], slow[in_months(slow, 24)].dropna()
    if len(whole) < in_months(slow, 24).sum() / 2 or year["own"].count() < len(year) / 2:
        return np.nan
    ratio = year["own"].std() / year["market"].std()
    return -(0.6 * whole["own"].corr(whole["market"]) * ratio + 0.4)


def idio_vol(c, v, m) -> float:
    daily = pd.DataFrame({"own": returns(c), "market": returns(m)})[in_months(c, 3)]
    both = daily.dropna()
    if len(both) < len(daily) / 2:
        return np.nan
    return -unexplained(both["own"], both["market"]).std()


def known(series: pd.Series, value: float) -> float:
    """The value where at least half of the days have one."""
    return value if series.count() >= len(series) / 2 else np.nan


def returns(closes: pd.Series) -> pd.Series:
    return closes.pct_change(**AS_IS)


def in_months(of, months: int) -> pd.Series:
    """The rows of the last so many months of an index of panel rows."""
    return pd.Series(of.index > of.index[-1] - months, index=of.index)


def volatility(c, v, m) -> float:
    last = returns(c)[in_months(c, 6)]
    return known(last, -last.std())


def max_return(c, v, m) -> float:
    last = returns(c)[in_months(c, 1)]
    return known(last, -last.nlargest(5).mean())


def amihud(c, v, m) -> float:
    last = (returns(c).abs() / v)[in_months(c, 12)]
    return known(last, 1e6 * last.mean())


def dollar_volume(c, v, m) -> float:
    last = v[in_months(v, 3)]
    return known(last, -np.log(last.mean()))


def high(c, v, m) -> float:
    last = c[in_months(c, 12)]
    return known(last, c.iloc[-1] / last.max())


DAILY = {
    "low_vol_daily": ({"lookback": 6}, volatility),
    "beta": ({"lookback": 24}, betas),
    "max_return": ({"n": 5}, max_return),
    "idio_vol": ({"lookback": 3}, idio_vol),
    "amihud": ({}, amihud),
    "dollar_volume": ({"lookback": 3}, dollar_volume),
    "high_52w_daily": ({}, high),
}


@pytest.mark.parametrize("name", DAILY)
def test_factors_of_daily_bars_agree_with_pandas_and_scipy(data, name) -> None:
    """Each value from the bars up to its date, month by month and ticker by ticker."""
    params, oracle = DAILY[name]
    first = factors.REGISTRY[name].first(factors.check(name, params))
    month = data.bars.month
    closes, volumes = (pd.DataFrame(v, month) for v in (data.bars.close, data.bars.dollar_volume))
    market = pd.Series(data.market_bars[:, 0], month)
    expected = np.full(data.price.shape, np.nan)
    for t, i in np.argwhere(np.isfinite(data.price)):
        if t >= first:
            upto = [each[month <= t] for each in (closes[i], volumes[i], market)]
            expected[t, i] = oracle(*upto)
    found = factors.compute(name, data, params, 0)
    assert np.isfinite(found).sum() > 300
    assert (np.isnan(found) & np.isfinite(data.price))[first:].any(), "some windows are too empty"
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Cross-sections of 1 to 40 known values, with ties."""
    rng = np.random.default_rng(12)
    cross = np.round(rng.standard_t(3, (200, 40)), 1)
    for t, row in enumerate(cross):
        row[rng.permutation(40)[: t % 40]] = np.nan
    return cross


@pytest.mark.parametrize(("lower", "upper"), [(0.05, 0.95), (0.0, 0.9), (0.25, 1.0)])
def test_winsorize_agrees_with_clipping_at_quantiles_in_pandas(values, lower, upper) -> None:
    frame = pd.DataFrame(values)
    low, high = frame.quantile(lower, axis=1), frame.quantile(upper, axis=1)
    np.testing.assert_allclose(
        winsorize(values, lower, upper), frame.clip(low, high, axis=0), rtol=1e-14, atol=1e-15
    )


def test_zscore_agrees_with_scipy(values) -> None:
    spread = np.nanmax(values, axis=1) > np.nanmin(values, axis=1)
    expected = stats.zscore(values[spread], axis=1, ddof=0, nan_policy="omit")
    assert spread.sum() > 180
    np.testing.assert_allclose(zscore(values[spread]), expected, rtol=1e-12, atol=1e-14)


def test_rank_agrees_with_scipy(values) -> None:
    many = (~np.isnan(values)).sum(axis=1) > 1
    ranks = stats.rankdata(values[many], axis=1, nan_policy="omit")
    expected = (ranks - 1) / ((~np.isnan(values[many])).sum(axis=1, keepdims=True) - 1)
    np.testing.assert_allclose(rank(values[many]), expected, rtol=1e-15)
