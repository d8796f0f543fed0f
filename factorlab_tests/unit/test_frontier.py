"""The efficient frontier: a case solved by hand, scipy's general solver, who is left out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.frontier import FEWEST_MONTHS, frontier

NAN = float("nan")
ENDS = month_ends("2015-01", "2019-12")
NAMES = ["A", "B", "C", "D", "E"]


def noise(seed: int = 3) -> Floats:
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.0, 0.02, (60, 1))
    own = rng.normal(0.0, 1.0, (60, 5)) * np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    return shared + own + np.array([0.002, 0.003, 0.008, 0.006, 0.01])


def test_points_are_annual_means_and_sample_deviations():
    returns = noise()
    found = frontier(NAMES, ENDS, returns)
    assert found.tickers == tuple(NAMES)
    assert found.mean == pytest.approx(12 * returns.mean(axis=0), rel=1e-12)
    assert found.volatility == pytest.approx(np.sqrt(12) * returns.std(axis=0, ddof=1), rel=1e-12)
    assert (found.first, found.last, found.n_months) == (ENDS[0], ENDS[-1], 60)
    assert not found.left_out


def test_every_point_is_what_a_general_solver_finds():
    returns = noise()
    found = frontier(NAMES, ENDS, returns, points=7)
    matrix = 12 * np.cov(returns, rowvar=False, ddof=1)
    mean = 12 * returns.mean(axis=0)
    for weights, target, volatility in zip(
        found.weights, found.frontier_mean, found.frontier_volatility, strict=True
    ):
        assert weights.sum() == pytest.approx(1.0, abs=1e-9)
        assert weights.min() >= 0.0
        other = minimize(
            lambda w: 100 * w @ matrix @ w,
            np.full(5, 0.2),
            jac=lambda w: 200 * matrix @ w,
            bounds=[(0, 1)] * 5,
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "ineq", "fun": lambda w, m=target: w @ mean - m},
            ],
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        # SLSQP ends within about 1e-7 of the least variance of this size.
        assert volatility == pytest.approx(np.sqrt(other.x @ matrix @ other.x), rel=1e-5)
        assert weights == pytest.approx(other.x, abs=2e-3)


def test_it_rises_from_the_least_variance_to_the_highest_mean():
    found = frontier(NAMES, ENDS, noise())
    assert len(found.frontier_mean) == 20
    assert np.diff(found.frontier_mean) == pytest.approx(
        np.full(19, np.diff(found.frontier_mean).mean()), rel=1e-6
    )
    assert (np.diff(found.frontier_volatility) > 0).all()
    assert found.frontier_volatility[0] < found.volatility.min()
    assert found.frontier_mean[-1] == pytest.approx(found.mean.max(), abs=1e-9)
    assert found.weights[-1].round(6).tolist() == [0, 0, 0, 0, 1]


def test_only_common_months_count_and_the_shortest_are_left_out():
    returns = noise()
    returns[:5, 0] = NAN
    returns[:40, 3] = NAN
    found = frontier(NAMES, ENDS, returns)
    assert found.tickers == ("A", "B", "C", "E")
    assert found.n_months == 55
    assert found.first == ENDS[5]
    assert found.mean == pytest.approx(12 * returns[5:, [0, 1, 2, 4]].mean(axis=0), rel=1e-12)
    assert found.left_out["D"].startswith("20 months of its own")


def test_one_best_portfolio_is_one_point():
    returns = noise()[:, :1]
    found = frontier(["A"], ENDS, returns)
    assert found.weights.tolist() == [[1.0]]
    assert found.frontier_volatility == pytest.approx(found.volatility)


def test_more_tickers_than_months_is_no_obstacle():
    rng = np.random.default_rng(5)
    returns = rng.normal(0.005, 0.03, (40, 60))
    found = frontier([f"T{i:02}" for i in range(60)], ENDS[:40], returns, points=5)
    assert found.frontier_volatility[0] == pytest.approx(
        np.sqrt(12) * (returns @ found.weights[0]).std(ddof=1), abs=1e-7
    )
    assert found.frontier_mean[-1] == pytest.approx(found.mean.max(), abs=1e-9)


def test_too_few_months_are_refused():
    with pytest.raises(FactorLabError, match=f"at least {FEWEST_MONTHS}"):
        frontier(NAMES, ENDS[:35], noise()[:35])
    with pytest.raises(FactorLabError, match="two ends"):
        frontier(NAMES, ENDS, noise(), points=1)
