"""Risk models and optimal weights against skfolio 1.12.2 (scikit-learn 1.9.1, pandas 3.1.1).

Both see the same returns. skfolio's iterations end, at the tolerances that are asked of them here,
with weights that are within 1e-5 of the optimum and leave the limits by up to 1e-10, both ways. So
weights are held at 2e-5, and what they are worth at 1e-8 of it: ours may be better by that, but not
worse than 1e-9. What is not iterated is held at rounding.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skfolio import RiskMeasure, moments
from skfolio.optimization import (
    HierarchicalRiskParity,
    MaximumDiversification,
    MeanRisk,
    ObjectiveFunction,
    RiskBudgeting,
)
from skfolio.prior import EmpiricalPrior
from sklearn.decomposition import PCA

from factorlab_assets.core.optimise import (
    Limits,
    hierarchical_risk_parity,
    maximum_diversification,
    mean_variance,
    minimum_variance,
    risk_parity,
)
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.risk import betas, covariance
from factorlab_assets.strategy_book import Beta, Risk
from factorlab_tests.small_panels import panel_of

WINDOW = 60
ROUNDING, SOLVED = 1e-12, 2e-5
BETTER, WORSE = 1e-8, 1e-9
PRECISE = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}


def panel(names: int) -> Panel:
    rng = np.random.default_rng(names)
    moves = rng.standard_normal((100, names)) * rng.uniform(0.01, 0.08, names)
    moves += 0.03 * rng.standard_normal((100, 1))
    moves += 0.02 * rng.standard_normal((100, 1)) * rng.choice([-1.0, 1.0], names)
    price = 50.0 * np.cumprod(1.0 + np.clip(moves, -0.5, 1.0), axis=0)
    return panel_of({f"T{i:02d}": price[:, i] for i in range(names)})


def returns(names: int) -> Floats:
    """The last WINDOW monthly returns."""
    price = pd.DataFrame(panel(names).price)
    return price.pct_change(fill_method=None).to_numpy()[-WINDOW:]


def ours(names: int, **said: object) -> Floats:
    everyone = np.ones(names, dtype=np.bool_)
    risk = Risk.model_validate({"window": WINDOW} | said)
    return covariance(risk, panel(names), 99, everyone).matrix


SIZES = [2, 5, 13, 30]


@pytest.mark.parametrize("names", [*SIZES, 80])
@pytest.mark.parametrize(
    ("model", "oracle"),
    [
        ("sample", moments.EmpiricalCovariance(nearest=False)),
        ("exponential", moments.EWCovariance(half_life=12, min_observations=1, nearest=False)),
        ("ledoit_wolf", moments.LedoitWolf()),
        ("oas", moments.OAS()),
        ("gerber", moments.GerberCovariance(nearest=False)),
        (
            "denoised",
            moments.DenoiseCovariance(moments.EmpiricalCovariance(nearest=False), nearest=False),
        ),
    ],
)
def test_covariances(model, oracle, names):
    with np.errstate(divide="ignore", invalid="ignore"):  # denoised divides by 0 noise eigenvalues
        expected = oracle.fit(returns(names)).covariance_
    np.testing.assert_allclose(ours(names, model=model), expected, rtol=1e-9, atol=1e-15)


def test_principal_components():
    change = returns(13)
    spread = change.std(axis=0, ddof=1)
    components = PCA(n_components=4, svd_solver="full").fit(change / spread)
    loadings = components.components_.T * np.sqrt(components.explained_variance_)
    correlation = loadings @ loadings.T
    np.fill_diagonal(correlation, 1.0)
    expected = correlation * np.outer(spread, spread)
    found = ours(13, model="factor", n_factors=4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_betas():
    market = panel(5)
    found = betas(Beta(market="T03", window=36), market, market)
    change = pd.DataFrame(market.price).pct_change(fill_method=None)
    index = change[3]
    expected = change.rolling(36).cov(index).div(index.rolling(36).var(), axis=0)
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=1e-9, atol=1e-12)


def limits(names: int, most: float) -> Limits:
    return Limits(np.zeros(names), np.full(names, most), legs=((np.ones(names), 1.0),))


def is_as_good(found: float, expected: float) -> bool:
    """Whether one worth is the other but for their solvers' tolerances."""
    return bool(-WORSE * abs(expected) <= found - expected <= BETTER * abs(expected))


def prior() -> EmpiricalPrior:
    return EmpiricalPrior(covariance_estimator=moments.LedoitWolf())


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("most", [1.0, 0.6])
def test_minimum_variance(names, most):
    matrix = ours(names, model="ledoit_wolf")
    found = minimum_variance(matrix, limits(names, most)).weights
    model = MeanRisk(
        risk_measure=RiskMeasure.VARIANCE,
        max_weights=most,
        prior_estimator=prior(),
        solver_params=PRECISE,
    )
    expected = model.fit(returns(names)).weights_
    np.testing.assert_allclose(found, expected, rtol=0, atol=SOLVED)
    assert is_as_good(-found @ matrix @ found, -expected @ matrix @ expected)


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("aversion", [2.0, 50.0])
def test_mean_variance_with_a_penalty(names, aversion):
    matrix, change = ours(names, model="ledoit_wolf"), returns(names)
    alpha, before = change.mean(axis=0), np.full(names, 1.0 / names)
    said = Limits(**{**vars(limits(names, 0.8)), "before": before, "penalty": 0.001})
    found = mean_variance(matrix, alpha, aversion, said).weights
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_measure=RiskMeasure.VARIANCE,
        risk_aversion=aversion / 2.0,  # skfolio's utility has the variance whole
        max_weights=0.8,
        transaction_costs=0.001,
        previous_weights=before,
        prior_estimator=prior(),
        solver_params=PRECISE,
    )
    expected = model.fit(change).weights_

    def worth(w: Floats) -> float:
        charge = 0.001 * np.abs(w - before).sum()
        return float(alpha @ w - aversion / 2.0 * w @ matrix @ w - charge)

    np.testing.assert_allclose(found, expected, rtol=0, atol=SOLVED)
    assert is_as_good(worth(found), worth(expected))


@pytest.mark.parametrize("names", SIZES)
def test_minimum_variance_under_turnover_and_group_limits(names):
    matrix, change = ours(names, model="ledoit_wolf"), returns(names)
    before, group = np.full(names, 1.0 / names), np.arange(names) % 2 == 0
    said = {"before": before, "turnover": 0.3, "groups": ((group, 0.0, 0.55),)}
    found = minimum_variance(matrix, Limits(**{**vars(limits(names, 1.0)), **said})).weights
    model = MeanRisk(
        risk_measure=RiskMeasure.VARIANCE,
        # skfolio bounds each name's turnover; the sum of all is a norm of its cvxpy variable.
        add_constraints=lambda w: _norm(w - before) <= 0.3,
        left_inequality=group[np.newaxis].astype(float),
        right_inequality=np.array([0.55]),
        previous_weights=before,
        prior_estimator=prior(),
        solver_params=PRECISE,
    )
    expected = model.fit(change).weights_
    np.testing.assert_allclose(found, expected, rtol=0, atol=SOLVED)
    assert is_as_good(-found @ matrix @ found, -expected @ matrix @ expected)


def _norm(trades: object) -> object:
    import cvxpy

    return cvxpy.norm(trades, 1)


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("most", [1.0, 0.6])
def test_maximum_diversification(names, most):
    matrix = ours(names, model="ledoit_wolf")
    found = maximum_diversification(matrix, limits(names, most)).weights
    model = MaximumDiversification(max_weights=most, prior_estimator=prior(), solver_params=PRECISE)
    expected = model.fit(returns(names)).weights_

    def ratio(w: Floats) -> float:
        return float(w @ np.sqrt(np.diag(matrix)) / np.sqrt(w @ matrix @ w))

    np.testing.assert_allclose(found, expected, rtol=0, atol=SOLVED)
    assert is_as_good(ratio(found), ratio(expected))


@pytest.mark.parametrize("names", SIZES)
@pytest.mark.parametrize("budgets", [None, "rising"])
def test_risk_budgeting(names, budgets):
    budget = None if budgets is None else np.arange(1.0, names + 1.0)
    matrix = ours(names, model="ledoit_wolf")
    model = RiskBudgeting(
        risk_measure=RiskMeasure.VARIANCE,
        risk_budget=None if budget is None else budget / budget.sum(),
        prior_estimator=prior(),
        solver_params=PRECISE,
    )
    expected = model.fit(returns(names)).weights_
    np.testing.assert_allclose(risk_parity(matrix, budget).weights, expected, rtol=0, atol=SOLVED)


@pytest.mark.parametrize("names", [*SIZES, 31, 64])
def test_hierarchical_risk_parity(names):
    matrix = ours(names, model="sample")
    empirical = EmpiricalPrior(covariance_estimator=moments.EmpiricalCovariance(nearest=False))
    expected = HierarchicalRiskParity(prior_estimator=empirical).fit(returns(names)).weights_
    found = hierarchical_risk_parity(matrix).weights
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
