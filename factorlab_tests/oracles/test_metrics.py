"""Metrics against empyrical-reloaded, quantstats and ffn, run beside ours on the same returns.

Where a definition agrees the tolerance is 1e-10, relative: both sides sum some hundred numbers of
order 1 in another order. Where one does not, the test says how it differs and checks that.
"""

from __future__ import annotations

import math

import empyrical
import ffn.core as ffn
import numpy as np
import pandas as pd
import pytest
import quantstats.stats as quantstats
from scipy import stats

from factorlab_assets.core.backtest import growth
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.performance import metrics

N = 12
RF = 0.002
AGREES = {"rel": 1e-10}


@pytest.fixture(scope="module", params=[3, 36, 240])
def series(request: pytest.FixtureRequest) -> tuple[pd.Series, pd.Series]:
    """Fat-tailed monthly returns of a strategy and of the benchmark that it partly follows."""
    months: int = request.param
    rng = np.random.default_rng(months)
    last = str(np.datetime64("2000-01", "M") + (months - 1))
    index = pd.DatetimeIndex(month_ends("2000-01", last))
    bench = 0.006 + 0.03 * rng.standard_t(4, months)
    net = 0.003 + 0.6 * bench + 0.02 * rng.standard_t(4, months)
    net[1] = -0.08
    return pd.Series(net, index), pd.Series(bench, index)


@pytest.fixture(scope="module")
def ours(series: tuple[pd.Series, pd.Series]) -> dict[str, float]:
    net, bench = series
    zero = np.zeros(len(net))
    return metrics(net.to_numpy(), zero + RF, bench.to_numpy(), zero, zero)


@pytest.fixture(scope="module")
def nav(series: tuple[pd.Series, pd.Series]) -> pd.Series:
    """NAV with the 1 before the first month, as ffn wants it."""
    net, _ = series
    index = net.index.insert(0, net.index[0] - pd.offsets.MonthEnd(1))
    return pd.Series(np.concatenate([[1.0], growth(net.to_numpy())]), index)


def test_empyrical_agrees(series: tuple[pd.Series, pd.Series], ours: dict[str, float]):
    net, bench = series
    theirs = {
        "cagr": empyrical.annual_return(net, period="monthly"),
        "volatility_ann": empyrical.annual_volatility(net, period="monthly"),
        "sharpe": empyrical.sharpe_ratio(net, risk_free=RF, period="monthly"),
        "sortino": empyrical.sortino_ratio(net, required_return=RF, period="monthly"),
        "max_drawdown": empyrical.max_drawdown(net),
        "calmar": empyrical.calmar_ratio(net, period="monthly"),
        "beta": empyrical.beta(net, bench, risk_free=RF),
        # Theirs is per month.
        "information_ratio": empyrical.excess_sharpe(net, bench) * math.sqrt(N),
    }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, **AGREES), name


def test_quantstats_agrees(series: tuple[pd.Series, pd.Series], ours: dict[str, float]):
    net, bench = series
    yearly = (1.0 + RF) ** N - 1.0  # it takes the yearly rate and compounds it down
    theirs = {
        "cagr": quantstats.cagr(net, periods=N),
        "volatility_ann": quantstats.volatility(net, periods=N),
        "sharpe": quantstats.sharpe(net, rf=yearly, periods=N),
        "sortino": quantstats.sortino(net, rf=yearly, periods=N),
        "max_drawdown": quantstats.max_drawdown(net),
        "calmar": quantstats.calmar(net, periods=N),
        "hit_rate": quantstats.win_rate(net),
        "beta": quantstats.greeks(net, bench, periods=N)["beta"],
        # Theirs is per month.
        "information_ratio": quantstats.information_ratio(net, bench) * math.sqrt(N),
    }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, **AGREES), name


def test_ffn_agrees(series: tuple[pd.Series, pd.Series], ours: dict[str, float], nav: pd.Series):
    net, bench = series
    rf = pd.Series(RF, net.index)
    theirs = {
        "sharpe": ffn.calc_sharpe(net, rf=rf, nperiods=N),
        "sortino": ffn.calc_sortino_ratio(net, rf=rf, nperiods=N),
        "max_drawdown": ffn.calc_max_drawdown(nav),
        # Theirs is per month.
        "information_ratio": ffn.calc_information_ratio(net, bench) * math.sqrt(N),
    }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, **AGREES), name


def test_ffn_counts_calendar_days_where_we_count_months():
    index = pd.DatetimeIndex(["2019-12-31", "2020-01-31", "2020-02-28"])
    nav = pd.Series([1.0, 1.01, 1.02], index)
    net, zero = nav.pct_change().to_numpy()[1:], np.zeros(2)
    assert metrics(net, zero, zero, zero, zero)["cagr"] == pytest.approx(1.02**6 - 1, rel=1e-12)
    assert ffn.calc_cagr(nav) == pytest.approx(1.02 ** (365.25 / 59) - 1, rel=1e-12)


def test_quantstats_leaves_months_of_nothing_out_of_its_hit_rate():
    index = pd.DatetimeIndex(month_ends("2020-01", "2020-04"))
    net = pd.Series([0.1, 0.0, -0.1, 0.2], index)
    zero = np.zeros(4)
    assert metrics(net.to_numpy(), zero, zero, zero, zero)["hit_rate"] == 0.5
    assert quantstats.win_rate(net) == pytest.approx(2 / 3, rel=1e-15)


def test_the_others_divide_a_constant_return_by_its_rounding_error_and_we_do_not():
    prices = 100.0 * 1.01 ** np.arange(61)
    net = prices[1:] / prices[:-1] - 1.0
    zero = np.zeros(60)
    assert empyrical.sharpe_ratio(net, period="monthly") > 1e12
    assert math.isnan(metrics(net, zero, zero, zero, zero)["sharpe"])


def test_the_t_value_is_the_paired_t_test_of_scipy(series: tuple[pd.Series, pd.Series], ours):
    net, bench = (values.to_numpy() for values in series)
    scaled = RF + (bench - RF) * net.std(ddof=1) / bench.std(ddof=1)
    expected = stats.ttest_rel(net, scaled).statistic
    assert ours["t_excess_equal_vol"] == pytest.approx(expected, **AGREES)
