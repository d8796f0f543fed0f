"""Factors and transforms against pandas and scipy, on real-sized panels with holes.

pandas 3.1.1 and scipy 1.17.1. Where definitions differ: scipy.stats.mstats.winsorize replaces a
count of values instead of clipping at interpolated quantiles, so `Series.clip(quantile)` is the
oracle for winsorizing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from factorlab_assets.core import factors
from factorlab_assets.core.transforms import rank, winsorize, zscore

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
    found = factors.compute(name, price.to_numpy(), params, delay)
    expected = oracle(price).shift(delay).to_numpy()
    assert np.isfinite(found).sum() > 3000
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


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
