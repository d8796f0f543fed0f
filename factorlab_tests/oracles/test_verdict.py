"""The verdict's figures against other programs, and against the back-test that they speak of.

- Newey and West's t: statsmodels 0.15 `OLS(...).fit(cov_type="HAC", use_correction=True)`, to the
  two digits that are told.
- Intervals of ratios: Sharpe ratios by pandas, draw after draw, on the months that
  `resample.stationary` draws; 1e-9. Its own draws are held against arch elsewhere.
- Capacity: the strategy run again with that much capital pays exactly that much; 1e-9.
- Luck: the best of many random series must not be green, a planted one that knows must.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from factorlab_assets.core import research
from factorlab_assets.core.performance import metrics
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.resample import block_length, stationary
from factorlab_assets.evaluation.verdict import score_v1
from factorlab_assets.evaluation.verdict_components import Inputs
from factorlab_assets.evaluation.verdict_inputs import capacity
from factorlab_assets.evaluation_settings import Bootstrap, EvaluationSettings
from factorlab_assets.verdict_settings import Capacity
from factorlab_tests.small_panels import bars_with, month_days, panel_of, resolved_of, strategy_of

DRAWS, SEED, MONTHS = 300, 4, 120
SETTINGS = EvaluationSettings(bootstrap=Bootstrap(draws=DRAWS, seed=SEED))
NAMES = list("ABCDE")


@pytest.mark.parametrize(("months", "lags"), [(24, 2), (120, 4), (400, 5)])
def test_the_t_of_the_excess_is_statsmodels(months: int, lags: int):
    noise = np.random.default_rng(months).normal(0.01, 0.04, months + 1)
    over = noise[1:] + 0.4 * noise[:-1]
    fit = sm.OLS(over, np.ones(months)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    said = str(score_v1(Inputs(excess=over, over_balanced=over), None, SETTINGS)[-1]["note"])
    assert f"{1200.0 * over.mean():+.1f} % a year, t = {float(fit.tvalues[0]):.2f}" in said


def sharpes(frame: pd.DataFrame) -> pd.Series:
    return frame.mean() / frame.std() * math.sqrt(12.0)


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """Sharpe ratios of every draw, by the months that they have."""
    block = max(block_length(frame[name].dropna().to_numpy()) for name in frame)
    chosen = stationary(len(frame), DRAWS, block, np.random.default_rng(SEED))
    return pd.DataFrame([sharpes(frame.iloc[months]) for months in chosen])


def test_the_interval_of_a_ratio_is_that_of_its_draws():
    rng = np.random.default_rng(0)
    own = rng.normal(0.006, 0.05, MONTHS)
    after = 0.6 * own + rng.normal(0.002, 0.03, MONTHS)
    after[:7] = np.nan
    rows = score_v1(Inputs(excess=own, neutral=after), None, SETTINGS)
    row = next(row for row in rows if row["component"] == "neutralization_stability")
    both = pd.DataFrame({"after": after, "own": own}).dropna()
    plain = sharpes(both)
    assert row["value"] == pytest.approx(plain["after"] / plain["own"], rel=1e-9)
    of = drawn(both)
    ratio = (of["after"] / of["own"]).where(of["own"] > 0.1, 0.0)
    assert 0 < (of["own"] <= 0.1).sum() < DRAWS / 2
    assert row["low"] == pytest.approx(ratio.quantile(0.025), rel=1e-9)
    assert row["high"] == pytest.approx(ratio.quantile(0.975), rel=1e-9)
    assert f"{(of['own'] <= 0.1).sum()} of them count as 0" in str(row["note"])


def test_the_interval_of_consistency_takes_the_extremes_of_every_draw():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal([0.02, 0.015, 0.01], 0.04, (MONTHS, 3)), columns=list("abc"))
    frame.loc[rng.random(MONTHS) < 0.3, "b"] = np.nan
    classes = {name: frame[name].to_numpy() for name in frame}
    rows = score_v1(Inputs(excess=np.zeros(MONTHS), classes=classes), None, SETTINGS)
    row = next(row for row in rows if row["component"] == "class_consistency")
    plain = sharpes(frame)
    assert row["value"] == pytest.approx(plain.min() / plain.max(), rel=1e-9)
    of = drawn(frame)
    ratio = (of.min(axis=1) / of.max(axis=1)).where(of.max(axis=1) > 0.1, 0.0)
    assert row["low"] == pytest.approx(ratio.quantile(0.025), rel=1e-9)
    assert row["high"] == pytest.approx(ratio.quantile(0.975), rel=1e-9)


def test_correlations_are_pandas():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(0.0, 0.03, (MONTHS, 3)), columns=["active", "near", "far"])
    frame["near"] = 0.3 * frame["active"] - frame["near"]
    frame.loc[rng.random(MONTHS) < 0.2, "near"] = np.nan
    others: dict[str, Any] = {name: frame[name].to_numpy() for name in ("near", "far")}
    given = Inputs(
        excess=np.zeros(MONTHS),
        active=frame["active"].to_numpy(),
        baselines=others,
        styles=others,
    )
    rows = {row["component"]: row for row in score_v1(given, None, SETTINGS)}
    expected = frame["active"].corr(frame["near"])
    assert abs(expected) > abs(frame["active"].corr(frame["far"]))
    for name, limit in (("baseline_uniqueness", 0.5), ("factor_uniqueness", 0.3)):
        assert rows[name]["value"] == pytest.approx(expected, rel=1e-9)
        scored = max(0.0, 100.0 * (1.0 - abs(expected) / limit))
        assert rows[name]["score"] == pytest.approx(scored, abs=1e-9)


def test_with_the_capital_of_its_capacity_a_strategy_pays_that_cost():
    days, month = month_days(48)
    rng = np.random.default_rng(6)
    close = np.exp(0.01 * rng.normal(size=(len(days), len(NAMES))).cumsum(axis=0))
    volume = np.exp(rng.normal(15.0, 0.5, close.shape))
    last = np.searchsorted(month, np.arange(48), side="right") - 1
    prices = dict(zip(NAMES, close[last].T, strict=True))
    bars = bars_with(close, volume, n_months=48)
    panel = SharedPanel.of(replace(panel_of(prices, first="2010-01"), bars=bars))
    said: dict[str, Any] = {
        "factors": [{"name": "trend", "params": {"lookback": 3}, "delay": 1}],
        "portfolio": {"select": {"top_k": 2}, "min_names": 3},
    }
    free = resolved_of(strategy_of(**said), NAMES)
    result = research.run(free, panel)
    wanted = Capacity(cost_bps_ann=30.0, impact=0.8, months=24)
    dollars, _ = capacity(free, panel, result.book, result.backtest, wanted)
    costs = {"tc_bps": 0.0, "slippage_bps": 0.0, "impact": 0.8, "capital": dollars}
    paid = research.run(resolved_of(strategy_of(**said | {"costs": costs}), NAMES), panel).backtest
    assert (paid.n_volume_unknown[-24:] == 0).all()
    assert 12.0 * paid.impact_cost[-24:].mean() == pytest.approx(0.0030, rel=1e-9)


TRIES, LONG = 200, 240


def verdict_of(active: np.ndarray, tried: np.ndarray) -> dict[str, Any]:
    """The total of a series that does well by every component, given all tries of it."""
    m = sharpe.moments(tried)
    dsr = float(sharpe.deflated(sharpe.moments(active), len(tried), float(m.sharpe.var(ddof=1))))
    market = np.random.default_rng(99).normal(0.01, 0.01, LONG)
    net, zero = active + market, np.zeros(LONG)
    full = metrics(net, zero, market, zero, zero) | {"n_months": LONG}
    row = {"test": "delay", "sharpe": full["sharpe"], "n_months": LONG, "note": ""}
    given = Inputs(
        excess=net,
        metrics=full,
        robustness=[row | {"setting": f"{months} months more"} for months in (0, 2)],
        inference=[{"returns": "benchmark", "statistic": "dsr", "value": dsr, "note": ""}],
        calendar_returns=[{"net_return": 0.1, "is_full": True}],
        active=active,
        later=net,
        neutral=net,
        classes={"a": net, "b": net},
        baselines={"other": tried[0]},
        styles={"other": tried[1]},
    )
    return dict(score_v1(given, None, SETTINGS)[-1])


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_many_without_skill_is_not_green_and_one_that_knows_is(seed: int):
    tried = np.random.default_rng(seed).normal(0.0, 0.02, (TRIES, LONG))
    best = tried[sharpe.moments(tried).sharpe.argmax()]
    lucky = verdict_of(best, tried)
    assert lucky["grade"] in "AB"  # each component alone is taken in
    assert lucky["light"] == "amber"
    assert "below 0.95" in lucky["note"]
    skilled = verdict_of(tried[2] + 0.012, tried)
    assert skilled["light"] == "green"
