"""Factor diagnostics against scipy's Spearman correlation date by date, and against alphalens'
definitions written out in pandas: `qcut` per date, means per quantile and date, means over dates.

Tolerance 1e-10: the same ranks, correlated by other sums. Names that have a price at t have one
at t+1 here: alphalens drops those that have not, a holder cannot.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import Signals
from factorlab_assets.evaluation.diagnostics import diagnostics, spearman
from factorlab_tests.small_panels import NAN

N_MONTHS = 90


@pytest.fixture(scope="module")
def panel() -> Panel:
    """23 names, of which six are listed late."""
    rng = np.random.default_rng(21)
    price = 100.0 * np.exp(np.cumsum(rng.normal(0.005, 0.06, (N_MONTHS, 23)), axis=0))
    price[:30, 17:] = NAN
    months = month_ends("2010-01", "2017-06")
    names = np.array([f"T{i:02d}" for i in range(23)])
    return Panel(months, names, price, price, price, price, price)


@pytest.fixture(scope="module")
def signal(panel: Panel) -> Floats:
    """Slow, with a grain of the next month's return."""
    rng = np.random.default_rng(22)
    noise = rng.normal(size=panel.price.shape)
    for t in range(1, N_MONTHS):
        noise[t] += 0.8 * noise[t - 1]
    noise[:-1] += np.nan_to_num(3.0 * (panel.price[1:] / panel.price[:-1] - 1.0))
    noise[:5] = NAN
    return noise


@pytest.fixture(scope="module")
def rows(panel: Panel, signal: Floats) -> dict[str, float]:
    signals = Signals(("a",), signal[np.newaxis], signal[np.newaxis])
    found = diagnostics(signals, signal, panel)
    return {str(row["statistic"]): row["value"] for row in found if row["factor"] == "a"}


def by_scipy(first: Floats, second: Floats) -> list[float]:
    """spearmanr of each date's names with both, where there are three."""
    found = []
    for x, y in zip(first, second, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        found.append(stats.spearmanr(x[both], y[both]).statistic if both.sum() >= 3 else NAN)
    return found


@pytest.mark.parametrize("levels", [3, 6, 1000])
def test_spearman_with_ties_and_gaps(levels: int):
    rng = np.random.default_rng(levels)
    first, second = rng.integers(0, levels, (2, 200, 12)).astype(np.float64)
    first[rng.random(first.shape) < 0.3] = NAN
    second[rng.random(first.shape) < 0.3] = NAN
    with np.errstate(all="ignore"), pytest.warns() if levels == 3 else np.errstate():
        expected = by_scipy(first, second)
    assert np.isfinite(expected).sum() > 150
    np.testing.assert_allclose(spearman(first, second).value, expected, rtol=0, atol=1e-10)


def test_correlations_and_decay(panel: Panel, signal: Floats, rows: dict[str, float]):
    returns = pd.DataFrame(panel.price).pct_change(fill_method=None).to_numpy()
    for h in range(1, 13):
        each = by_scipy(signal[:-h], returns[h:])
        assert rows[f"decay_{h}"] == pytest.approx(np.nanmean(each), abs=1e-10)
    each = np.array(by_scipy(signal[:-1], returns[1:]))
    each = each[np.isfinite(each)]
    assert len(each) == 84
    assert rows["ic_mean"] == pytest.approx(each.mean(), abs=1e-10)
    assert rows["ic_positive"] == pytest.approx((each > 0.0).mean(), abs=1e-12)
    assert rows["ic_t"] == pytest.approx(hac_t(each), rel=1e-9)
    assert rows["ic_t"] > 2.0


def test_autocorrelation(signal: Floats, rows: dict[str, float]):
    frame = pd.DataFrame(signal).T
    each = [frame[t - 1].corr(frame[t], method="spearman") for t in range(6, N_MONTHS)]
    assert rows["autocorrelation"] == pytest.approx(np.mean(each), abs=1e-10)


def test_quantile_returns(panel: Panel, signal: Floats, rows: dict[str, float]):
    """Five quantiles, in the months with 15 names of the 17, and then 23."""
    frame = pd.DataFrame({"factor": pd.DataFrame(signal).stack()})
    price = pd.DataFrame(panel.price)
    frame["forward"] = (price.shift(-1) / price - 1.0).stack()
    frame = frame.dropna()
    date = frame.index.get_level_values(0)
    cut = frame.groupby(date)["factor"].transform(lambda x: pd.qcut(x, 5, labels=False) + 1)
    means = frame["forward"].groupby([date, cut]).mean().unstack()
    for q in range(1, 6):
        assert rows[f"quantile_{q}"] == pytest.approx(12 * means[q].mean(), abs=1e-10)
    spread = (means[5] - means[1]).to_numpy()
    assert len(spread) == 84
    assert rows["top_minus_bottom"] == pytest.approx(12 * spread.mean(), abs=1e-10)
    assert rows["top_minus_bottom_t"] == pytest.approx(hac_t(spread), rel=1e-9)


def hac_t(series: Floats) -> float:
    """statsmodels' t-value of a mean, with as many lags as Newey and West's rule of thumb."""
    from statsmodels.api import OLS

    lags = int(4.0 * (len(series) / 100.0) ** (2.0 / 9.0))
    said = {"maxlags": lags, "use_correction": True}
    fit = OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds=said)
    return float(fit.tvalues[0])
