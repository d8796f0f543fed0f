"""Rolling statistics and drawdowns against pandas, quantstats and ffn on the same returns.

Tolerance 1e-10, relative: sums of some forty numbers in another order. quantstats and ffn begin a
drawdown with its first month below the high and quantstats ends it with the last; ours begins with
the high itself and ends with the month that reaches it again.
"""

from __future__ import annotations

import ffn.core as ffn
import numpy as np
import pandas as pd
import pytest
import quantstats.stats as quantstats

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.evaluation.performance_tables import calendar_years, drawdowns, rolling
from factorlab_tests.small_backtests import earning

MONTHS, FIRST, RF = 200, "2000-01", 0.002


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    spy = 0.006 + 0.03 * rng.standard_t(4, MONTHS)
    net = 0.004 + 0.6 * spy + 0.02 * rng.standard_t(4, MONTHS)
    bench = 0.5 * spy + 0.01 * rng.standard_t(4, MONTHS)
    net[0] = -0.03
    last = str(np.datetime64(FIRST, "M") + (MONTHS - 1))
    index = pd.DatetimeIndex(month_ends(FIRST, last))
    return pd.DataFrame({"net": net, "bench": bench, "spy": spy}, index)


def test_rolling_statistics_are_those_of_pandas(returns: pd.DataFrame):
    net, bench, spy = (returns[name] for name in ("net", "bench", "spy"))
    rows = rolling(earning(net.to_numpy(), bench.to_numpy(), rf=RF, first=FIRST), spy.to_numpy())
    found = pd.DataFrame(rows).set_index("date").astype(float)
    over, windows = net - RF, net.rolling(36)
    excess = over.rolling(36)
    expected = pd.DataFrame(
        {
            "sharpe": excess.mean() / excess.std() * np.sqrt(12.0),
            "volatility_ann": windows.std() * np.sqrt(12.0),
            "beta": excess.cov(bench) / bench.rolling(36).var(),
            "market_beta": excess.cov(spy) / spy.rolling(36).var(),
        }
    ).dropna()
    assert found.index.tolist() == expected.index.date.tolist()
    assert len(found) == MONTHS - 35
    np.testing.assert_allclose(found[expected.columns], expected, rtol=1e-10, atol=1e-10)


def test_years_are_those_of_pandas_and_quantstats(returns: pd.DataFrame):
    rows = calendar_years(earning(returns["net"].to_numpy(), returns["bench"], first=FIRST))
    by_year = (1.0 + returns).groupby(returns.index.year).prod() - 1.0
    assert [row["year"] for row in rows] == by_year.index.tolist()
    assert [row["net_return"] for row in rows] == pytest.approx(by_year["net"], rel=1e-10)
    assert [row["benchmark_return"] for row in rows] == pytest.approx(by_year["bench"], rel=1e-10)
    months = quantstats.monthly_returns(returns["net"], eoy=True)["EOY"]
    assert [row["net_return"] for row in rows] == pytest.approx(months.to_list(), rel=1e-10)


def in_time(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: str(row["peak"]))


def test_drawdowns_are_those_of_ffn(returns: pd.DataFrame):
    backtest = earning(returns["net"].to_numpy(), first=FIRST)
    rows = in_time(drawdowns(backtest, most=MONTHS))
    start = returns.index[0] - pd.offsets.MonthEnd(1)
    nav = pd.Series([1.0, *backtest.nav], [start, *returns.index])
    theirs = ffn.drawdown_details(ffn.to_drawdown_series(nav))
    dates = [start.date(), *returns.index.date]
    assert len(rows) == len(theirs) > 10
    for row, (_, other) in zip(rows, theirs.iterrows(), strict=True):
        assert row["depth"] == pytest.approx(other["drawdown"], rel=1e-10)
        assert dates.index(row["peak"]) + 1 == dates.index(other["Start"].date())
        assert (row["recovery"] or dates[-1]) == other["End"].date()


def test_drawdowns_are_those_of_quantstats(returns: pd.DataFrame):
    backtest = earning(returns["net"].to_numpy(), first=FIRST)
    rows = in_time(drawdowns(backtest, most=MONTHS))
    below = pd.Series(
        [0.0, *backtest.drawdown], [returns.index[0] - pd.offsets.MonthEnd(1), *returns.index]
    )
    theirs = quantstats.drawdown_details(below)
    assert len(rows) == len(theirs)
    dates = [str(day)[:10] for day in below.index]
    for row, (_, other) in zip(rows, theirs.iterrows(), strict=True):
        assert 100.0 * float(str(row["depth"])) == pytest.approx(other["max drawdown"], rel=1e-10)
        assert str(row["trough"]) == other["valley"]
        months = dates.index(other["end"]) - dates.index(other["start"]) + 1
        assert row["n_months"] == months + (row["recovery"] is not None)
