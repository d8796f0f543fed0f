"""Newey-West regressions against statsmodels 0.15.0, and style returns against plain loops.

Tolerance 1e-10: the same sums, solved by a QR decomposition here and a pseudo-inverse there. The
convention that is shared: Bartlett weights 1 − j/(L + 1), variance times n/(n − k)
(`use_correction=True`; without it statsmodels' t-values are larger by √(n/(n − k))).
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.evaluation.exposures import exposures, lags_of, newey_west, style_returns
from factorlab_tests.small_panels import NAN, panel_of

CLASSES = {"A": "equity", "B": "equity", "C": "bonds", "D": "gold"}


def autocorrelated(n: int, k: int, seed: int) -> tuple[Floats, Floats]:
    """Regressors with an intercept, and returns whose errors are autocorrelated and uneven."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(0.005, 0.04, (n, k))])
    error = rng.normal(0.0, 0.02, n) * (1.0 + 10.0 * np.abs(x[:, -1]))
    for t in range(1, n):
        error[t] += 0.4 * error[t - 1]
    return x, x @ rng.normal(0.3, 0.5, k + 1) + error


@pytest.mark.parametrize(("n", "k"), [(12, 1), (60, 3), (240, 8), (600, 0)])
@pytest.mark.parametrize("lags", [0, 1, 4, 11])
def test_newey_west_is_statsmodels_hac(n: int, k: int, lags: int):
    from statsmodels.api import OLS

    x, y = autocorrelated(n, k, seed=n + lags)
    said = {"maxlags": lags, "use_correction": True}
    theirs = OLS(y, x).fit(cov_type="HAC", cov_kwds=said)
    ours = newey_west(x, y, lags)
    np.testing.assert_allclose(ours.beta, theirs.params, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(ours.se, theirs.bse, rtol=1e-10)
    np.testing.assert_allclose(ours.t, theirs.tvalues, rtol=1e-10)
    assert ours.r_squared == pytest.approx(theirs.rsquared, rel=1e-10, abs=1e-14)


def random_panel(n_months: int = 120, names: str = "ABCDEFGHIJ") -> Panel:
    rng = np.random.default_rng(11)
    moves = np.exp(np.cumsum(rng.normal(0.005, 0.05, (n_months, len(names))), axis=0))
    panel = panel_of({name: 100.0 * moves[:, i] for i, name in enumerate(names)})
    price = np.where(rng.random(moves.shape) < 0.01, NAN, panel.price)
    price[:30, 2] = NAN  # listed late
    price[80:, 3] = NAN  # delisted
    return replace(panel, price=price, seen=price, mark=price)


def test_rows_are_statsmodels_of_what_pandas_puts_together():
    from statsmodels.api import OLS, add_constant

    panel = random_panel(names="ABCD")
    rng = np.random.default_rng(5)
    net, rf = rng.normal(0.01, 0.03, 100), rng.uniform(0.0, 0.004, 100)
    nothing = {each.name: np.zeros(100) for each in fields(Backtest)}
    said = {"dates": panel.dates[-100:], "net_return": net, "rf": rf}
    backtest = Backtest(**(nothing | said))
    rows = pd.DataFrame(exposures(backtest, panel, CLASSES, {}, benchmark="equal_weight"))
    found = rows[rows["model"] == "classes"].set_index("factor")

    price = pd.DataFrame(panel.price, columns=list("ABCD"))
    held = price.ffill().pct_change(fill_method=None).fillna(0.0).where(price.shift().notna())
    of = {c: held[[t for t in "ABCD" if CLASSES[t] == c]] for c in ("bonds", "equity", "gold")}
    frame = pd.DataFrame({name: each.mean(axis=1) for name, each in of.items()})
    frame = frame.iloc[-100:].reset_index(drop=True)
    frame = frame.loc[:, frame.notna().sum() >= 50].sub(rf, axis=0).assign(y=net - rf).dropna()
    lags = lags_of(len(frame))
    said = {"maxlags": lags, "use_correction": True}
    model = OLS(frame["y"], add_constant(frame.drop(columns="y")))
    theirs = model.fit(cov_type="HAC", cov_kwds=said)
    assert set(found.index) - {"intercept"} == set(frame.columns) - {"y"} | {"gold"}
    for name in set(frame.columns) - {"y"}:
        assert found.loc[name, "beta"] == pytest.approx(theirs.params[name], rel=1e-10)
        assert found.loc[name, "t_value"] == pytest.approx(theirs.tvalues[name], rel=1e-10)
    assert found.loc["intercept", "beta"] == pytest.approx(12 * theirs.params["const"], rel=1e-10)
    assert found.loc["intercept", "t_value"] == pytest.approx(theirs.tvalues["const"], rel=1e-10)
    assert found.loc["equity", "r_squared"] == pytest.approx(theirs.rsquared, rel=1e-10)
    assert found.loc["equity", "n_months"] == len(frame)


def long_hand(panel: Panel, signal: Floats) -> list[float]:
    """Top less bottom third by plain loops; random prices have no ties."""
    found = [NAN]
    last: dict[int, float] = {}
    for t in range(len(panel.dates) - 1):
        last |= {n: p for n, p in enumerate(panel.price[t]) if p == p}
        known = np.isfinite(signal[t]) & np.isfinite(panel.price[t])
        there = np.flatnonzero(known).tolist()
        there.sort(key=lambda n, t=t: signal[t, n])
        size = len(there) // 3
        after = {n: panel.price[t + 1, n] / last[n] - 1.0 for n in there}
        after = {n: r if r == r else 0.0 for n, r in after.items()}
        if size == 0:
            found.append(NAN)
            continue
        top, bottom = there[-size:], there[:size]
        found.append(sum(after[n] for n in top) / size - sum(after[n] for n in bottom) / size)
    return found


@pytest.mark.parametrize(
    ("style", "params", "delay"),
    [
        ("xsmom", {"lookback": 12, "skip": 1}, 0),
        ("trend", {"lookback": 12}, 1),
        ("low_vol", {"lookback": 36}, 1),
        ("reversal_1m", {"lookback": 1}, 0),
    ],
)
def test_style_returns_by_hand(style: str, params: dict[str, int], delay: int):
    panel = random_panel()
    signal = factors.compute(style, factors.Data(panel.price), params, delay)
    expected = long_hand(panel, signal)
    assert np.isfinite(expected).sum() > 30
    np.testing.assert_allclose(style_returns(panel)[style], expected, rtol=0, atol=1e-12)
