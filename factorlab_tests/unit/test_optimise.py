"""Optimal weights by hand, what cannot be solved in words, and solvers that are used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from factorlab_assets.core import optimise, presolve, programs, quadratic
from factorlab_assets.core.memo import Memo
from factorlab_assets.core.optimise import (
    Limits,
    Solution,
    hierarchical_risk_parity,
    maximum_diversification,
    mean_variance,
    minimum_variance,
    nearest,
    risk_parity,
)
from factorlab_assets.core.panel import Floats

# A solution is exact where its limits bind, and solves a linear system in between.
SOLVED = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(optimise, "_solutions", Memo[Solution](2**20))


def mask(n: int, *names: int) -> np.ndarray:
    return np.isin(np.arange(n), names or range(n))


def invested(n: int, most: float = 1.0, least: float = 0.0, total: float = 1.0) -> Limits:
    return Limits(np.full(n, least), np.full(n, most), legs=((mask(n), total),))


def cov(*sigma: float, rho: float = 0.0) -> Floats:
    """A covariance with one correlation for all."""
    spread = np.array(sigma)
    matrix = rho * np.outer(spread, spread)
    np.fill_diagonal(matrix, spread**2)
    return matrix


def is_about(solution: Solution, *weights: float) -> bool:
    assert solution.status == "solved"
    np.testing.assert_allclose(solution.weights, weights, **SOLVED)
    return True


def test_minimum_variance_is_inverse_variance_without_correlation():
    assert is_about(minimum_variance(cov(0.1, 0.2, 0.2), invested(3)), 2 / 3, 1 / 6, 1 / 6)


def test_minimum_variance_of_two_correlated_names():
    # w_1 = (σ_2² − ρσ_1σ_2) / (σ_1² + σ_2² − 2ρσ_1σ_2); beyond a correlation of σ_1/σ_2 all of it.
    matrix = cov(0.1, 0.2, rho=0.25)
    assert is_about(minimum_variance(matrix, invested(2)), 0.035 / 0.04, 0.005 / 0.04)
    assert minimum_variance(cov(0.1, 0.2, rho=0.8), invested(2)).weights.tolist() == [1.0, 0.0]


def test_bounds_are_met_to_the_last_bit():
    found = minimum_variance(cov(0.1, 0.2, 0.2, 0.4), invested(4, most=0.4, least=0.1)).weights
    assert found[0] == 0.4
    assert found[3] == 0.1
    np.testing.assert_allclose(found[1:3], 0.25, **SOLVED)
    assert not found.flags.writeable


def test_a_group_bound_moves_weight_to_the_others():
    limits = replace(invested(3), groups=((mask(3, 0, 1), -1.0, 0.5),))
    assert is_about(minimum_variance(cov(0.1, 0.1, 0.2), limits), 0.25, 0.25, 0.5)
    limits = replace(invested(3), groups=((mask(3, 2), 0.5, 1.0),))
    assert is_about(minimum_variance(cov(0.1, 0.1, 0.2), limits), 0.25, 0.25, 0.5)


def test_legs_of_a_long_short_book():
    lower, upper = np.array([0.0, 0.0, -1.0, -1.0]), np.array([1.0, 1.0, 0.0, 0.0])
    legs = (mask(4, 0, 1), 0.5), (mask(4, 2, 3), -0.5)
    found = minimum_variance(cov(0.1, 0.2, 0.1, 0.2), Limits(lower, upper, legs=legs))
    assert is_about(found, 0.4, 0.1, -0.4, -0.1)


def test_a_row_may_hold_coefficients():
    betas = np.array([0.5, 1.5])
    limits = replace(invested(2), legs=((mask(2), 1.0), (betas, 1.2)))
    assert is_about(minimum_variance(cov(0.1, 0.2), limits), 0.3, 0.7)
    limits = replace(invested(2), groups=((betas, 1.2, np.inf),))
    assert is_about(minimum_variance(cov(0.1, 0.2), limits), 0.3, 0.7)


def test_turnover_stops_where_it_is_spent():
    limits = replace(invested(2), before=np.array([1.0, 0.0]))
    matrix = cov(0.1, 0.1)
    assert is_about(minimum_variance(matrix, replace(limits, turnover=0.4)), 0.8, 0.2)
    assert is_about(minimum_variance(matrix, replace(limits, turnover=1.0)), 0.5, 0.5)
    assert is_about(minimum_variance(matrix, replace(limits, turnover=9.0)), 0.5, 0.5)
    assert minimum_variance(matrix, replace(limits, turnover=0.0)).weights.tolist() == [1.0, 0.0]
    free = replace(limits, before=None, turnover=0.4)
    assert is_about(minimum_variance(matrix, free), 0.5, 0.5)


def test_a_penalty_is_weighed_against_the_objective():
    # Along w = (1 − x, x) the variance's half falls by 0.01·(1 − 2x) per x and trading x costs 2x.
    limits = replace(invested(2), before=np.array([1.0, 0.0]), penalty=0.002)
    assert is_about(minimum_variance(cov(0.1, 0.1), limits), 0.7, 0.3)
    assert minimum_variance(cov(0.1, 0.1), replace(limits, penalty=0.006)).weights.tolist() == [
        1,
        0,
    ]
    assert is_about(minimum_variance(cov(0.1, 0.1), replace(limits, before=None)), 0.5, 0.5)


def test_mean_variance_by_hand():
    # w_i = (α_i − λ) / (γσ_i²), λ such that they sum to 1.
    matrix, alpha = cov(0.1, 0.1), np.array([0.02, 0.0])
    assert is_about(mean_variance(matrix, alpha, 5.0, invested(2)), 0.7, 0.3)
    assert mean_variance(matrix, alpha, 0.5, invested(2)).weights.tolist() == [1.0, 0.0]
    free = Limits(np.full(2, -np.inf), np.full(2, np.inf))
    assert is_about(mean_variance(matrix, alpha, 5.0, free), 0.4, 0.0)


def test_the_nearest_weights():
    target = np.array([0.7, 0.3, 0.0])
    found = nearest(target, invested(3))
    np.testing.assert_allclose(found.weights, target, rtol=0, atol=1e-15)
    assert is_about(nearest(target, invested(3, most=0.5)), 0.5, 0.4, 0.1)
    limits = replace(invested(3, most=0.5), groups=((mask(3, 1), 0.0, 0.2),))
    assert is_about(nearest(target, limits), 0.5, 0.2, 0.3)
    assert is_about(nearest(target, invested(3, total=1.3)), 0.8, 0.4, 0.1)


def test_maximum_diversification_of_equal_correlations_is_inverse_volatility():
    matrix = cov(0.1, 0.2, 0.4, rho=0.3)
    assert is_about(maximum_diversification(matrix, invested(3)), 4 / 7, 2 / 7, 1 / 7)
    found = maximum_diversification(matrix, invested(3, most=0.4)).weights
    assert found[0] == 0.4
    assert found[1] > found[2] > 1 / 7


def test_the_shorts_of_a_most_diversified_book_count_with_their_sign():
    # −Σ ± σ: for the short second name the correlation is −0.3.
    matrix = cov(0.1, 0.2, rho=0.3)
    lower, upper = np.array([0.0, -1.0]), np.array([1.0, 0.0])
    limits = Limits(lower, upper, legs=((np.array([1.0, -1.0]), 1.0),))
    assert is_about(maximum_diversification(matrix, limits), 2 / 3, -1 / 3)


def test_maximum_diversification_keeps_to_turnover_and_fixed_names():
    matrix = cov(0.1, 0.1, 0.1)
    limits = replace(invested(3), before=np.array([1.0, 0.0, 0.0]), turnover=0.6)
    assert is_about(maximum_diversification(matrix, limits), 0.7, 0.15, 0.15)
    fixed = replace(invested(3), lower=np.array([0.0, 0.0, 0.5]), upper=np.array([1.0, 1.0, 0.5]))
    assert is_about(maximum_diversification(matrix, fixed), 0.25, 0.25, 0.5)


def test_risk_parity_of_equal_correlations_is_inverse_volatility():
    for rho in (-0.4, 0.0, 0.9):
        assert is_about(risk_parity(cov(0.1, 0.2, 0.4, rho=rho)), 4 / 7, 2 / 7, 1 / 7)


def test_risk_budgets_by_hand():
    # Without correlation w_i ∝ √b_i / σ_i.
    found = risk_parity(cov(0.1, 0.2), np.array([4.0, 1.0]))
    assert is_about(found, 0.8, 0.2)
    matrix = cov(0.1, 0.2, 0.3, rho=0.5)
    weights = risk_parity(matrix, np.array([0.5, 0.3, 0.2])).weights
    shares = weights * (matrix @ weights)
    np.testing.assert_allclose(shares / shares.sum(), [0.5, 0.3, 0.2], rtol=0, atol=1e-12)


def test_risk_parity_where_rounding_allows_no_better():
    # w'Σw is 1e-7 of its terms, so that a share of it is known to 1e-9.
    found = risk_parity(cov(0.1, 0.2, rho=-0.9999999))
    np.testing.assert_allclose(found.weights, [2 / 3, 1 / 3], rtol=0, atol=1e-9)


def test_hierarchical_risk_parity_by_hand():
    assert is_about(hierarchical_risk_parity(cov(0.1, 0.2, rho=0.5)), 0.8, 0.2)
    assert hierarchical_risk_parity(cov(0.3)).weights.tolist() == [1.0]
    # Two pairs, each held by inverse variance: variances 0.0132 and 0.0528, so 4 to 1.
    matrix = cov(0.1, 0.2, 0.2, 0.4)
    matrix[0, 1] = matrix[1, 0] = 0.5 * 0.02
    matrix[2, 3] = matrix[3, 2] = 0.5 * 0.08
    assert is_about(hierarchical_risk_parity(matrix), 0.64, 0.16, 0.16, 0.04)


def test_where_only_one_book_fits_it_is_the_answer():
    for solve in (
        lambda limits: minimum_variance(cov(0.1, 0.2, 0.3, 0.4), limits),
        lambda limits: maximum_diversification(cov(0.1, 0.2, 0.3, 0.4), limits),
        lambda limits: nearest(np.array([1.0, 0.0, 0.0, 0.0]), limits),
    ):
        assert solve(invested(4, most=0.25)).weights.tolist() == [0.25] * 4
        short = Limits(np.full(4, -0.25), np.zeros(4), legs=((mask(4), -1.0),))
        assert solve(short).weights.tolist() == [-0.25] * 4
        least = replace(invested(4, least=0.1), groups=((mask(4, 0, 1), 0.0, 0.2),))
        assert solve(least).weights[:2].tolist() == [0.1, 0.1]
        cash = Limits(np.zeros(4), np.ones(4), legs=((mask(4), 0.0),))
        answer = solve(cash)
        if answer.weights is not None:
            assert answer.weights.tolist() == [0.0] * 4
        else:
            assert answer.status.startswith("infeasible: the diversification ratio")


def test_a_book_of_nobody():
    nobody = np.zeros((0, 0))
    assert minimum_variance(nobody, invested(0, total=0.0)).weights.tolist() == []
    assert minimum_variance(nobody, invested(0)).status == (
        "infeasible: leg 1 must reach 1, and at most 0 is possible"
    )


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (invested(3, most=0.3), "leg 1 must reach 1, and at most 0.9 is possible"),
        (invested(3, least=0.4), "leg 1 must stay at 1, and at least 1.2 is needed"),
        (
            replace(invested(3), groups=((mask(3), 0.0, 1.0), (mask(3, 0), 1.2, 2.0))),
            "group 2 must reach 1.2, and at most 1 is possible",
        ),
        (
            replace(invested(3), groups=((mask(3, 0), 0.0, 0.4), (mask(3, 1, 2), 0.0, 0.4))),
            "no weights keep to all limits at once",
        ),
        (
            replace(invested(3, most=0.5), before=np.array([1.0, 0.0, 0.0]), turnover=0.4),
            "turnover must stay at 0.4, and at least 0.5 is needed",
        ),
        (
            replace(invested(3, most=0.5), before=np.array([1.0, 0.0, 0.0]), turnover=0.9),
            "no weights keep to all limits at once",
        ),
        (
            replace(invested(3), upper=np.array([-0.1, 1.0, 1.0])),
            "the least of a weight exceeds its most",
        ),
        (
            replace(invested(3), legs=((mask(3), 1.0), (mask(3), 0.5))),
            "no weights keep to all limits at once",
        ),
    ],
)
def test_what_cannot_be_kept_to_is_said(limits, why):
    matrix = cov(0.1, 0.2, 0.3)
    for found in (
        minimum_variance(matrix, limits),
        mean_variance(matrix, np.ones(3), 5.0, limits),
        maximum_diversification(matrix, limits),
        nearest(np.ones(3), limits),
    ):
        assert (found.weights, found.status) == (None, f"infeasible: {why}")


def test_what_has_no_solution_says_why():
    free = Limits(np.full(2, -np.inf), np.full(2, np.inf), legs=((mask(2), 1.0),))
    riskless = np.zeros((2, 2))
    found = mean_variance(riskless, np.array([0.01, 0.0]), 5.0, free)
    assert (found.weights, found.status) == (None, "unbounded")
    # The larger both are, the less their difference of 1 disturbs an even book.
    endless = Limits(np.zeros(2), np.full(2, np.inf), legs=((np.array([1.0, -1.0]), 1.0),))
    found = maximum_diversification(np.eye(2), endless)
    assert (found.weights, found.status) == (None, "unbounded")
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    found = minimum_variance(indefinite, invested(2))
    assert found.status == "failed: the covariance is not positive semidefinite"
    unknown = np.array([[1.0, np.nan], [np.nan, 1.0]])
    for found in (minimum_variance(unknown, invested(2)), risk_parity(unknown)):
        assert found.status == "failed: a covariance, alpha or target is not known"
    limits = replace(invested(2), before=np.array([np.nan, 0.0]), turnover=1.0)
    assert minimum_variance(np.eye(2), limits).status == "failed: a limit is not known"
    for matrix in (np.diag([1.0, 0.0]), np.diag([1.0, -1.0])):
        assert (
            risk_parity(matrix).status == "failed: risk parity needs variances and budgets above 0"
        )
        assert hierarchical_risk_parity(matrix).weights is None
    assert risk_parity(np.eye(2), np.array([1.0, 0.0])).weights is None
    offsetting = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert risk_parity(offsetting).status == "failed: risk parity was not reached"


def test_a_solution_that_misses_a_limit_is_none(monkeypatch):
    def off(program):
        return quadratic.Answer(np.array([0.5, 0.5 + 2e-9]), "solved", 7, 0.5)

    monkeypatch.setattr(quadratic, "solve", off)
    found = minimum_variance(np.eye(2), invested(2))
    assert found == Solution(None, "failed: the solution misses a limit by 2e-09", 7, 0.5)


def problems(count: int, n: int) -> list[tuple[Floats, Limits]]:
    rng = np.random.default_rng(12)
    found = []
    for i in range(count):
        rows = rng.standard_normal((2 * n, n)) * rng.uniform(0.01, 0.1, n)
        limits = replace(
            invested(n, most=0.9 if i % 5 else 0.01),  # every fifth is infeasible
            groups=((rng.uniform(0.5, 1.5, n), 0.9, 1.1),),
        )
        if i % 3 == 0:
            before = rng.dirichlet(np.ones(n))
            limits = replace(limits, before=before, turnover=0.5, penalty=1e-5)
        found.append((rows.T @ rows / len(rows), limits))
    return found


@pytest.mark.parametrize("solve", [minimum_variance, maximum_diversification])
def test_a_solver_that_is_used_again_gives_the_same_bits(solve, monkeypatch):
    def answers(order: list[int], *, anew: bool) -> dict[int, bytes | str]:
        quadratic.forget()
        monkeypatch.setattr(optimise, "_solutions", Memo[Solution](0))
        said: dict[int, bytes | str] = {}
        for i in order:
            if anew:
                quadratic.forget()
            found = solve(*cases[i])
            said[i] = found.status if found.weights is None else found.weights.tobytes()
        return said

    cases = problems(30, 8)
    order = list(range(30))
    fresh = answers(order, anew=True)
    assert answers(order, anew=False) == fresh
    assert answers(order[::-1], anew=False) == fresh
    assert {type(each) for each in fresh.values()} == {bytes, str}


def test_a_solver_is_set_up_once_per_pattern(monkeypatch):
    monkeypatch.setattr(optimise, "_solutions", Memo[Solution](0))
    made = []
    set_up = quadratic._set_up
    monkeypatch.setattr(quadratic, "_set_up", lambda *a: made.append(1) or set_up(*a))
    quadratic.forget()
    for sigma in (0.1, 0.2, 0.3):
        minimum_variance(cov(sigma, 0.2, 0.3, rho=0.1), invested(3, most=0.5))
    assert len(made) == 1
    minimum_variance(cov(0.1, 0.2, rho=0.1), invested(2, most=0.7))
    minimum_variance(cov(0.1, 0.2, 0.3, rho=0.1), replace(invested(3), upper=np.full(3, np.inf)))
    assert len(made) == 3


def test_what_was_solved_is_remembered():
    limits = replace(invested(3), before=np.array([1.0, 0.0, 0.0]), turnover=0.5)
    matrix = cov(0.1, 0.2, 0.3)
    first = minimum_variance(matrix, limits)
    assert minimum_variance(matrix.copy(), replace(limits, lower=np.zeros(3))) is first
    for other in (
        replace(limits, turnover=0.4),
        replace(limits, penalty=1e-9),
        replace(limits, legs=((mask(3), 0.9),)),
        replace(limits, legs=(), groups=((mask(3), 1.0, 1.0),)),
        replace(limits, before=None),
    ):
        assert minimum_variance(matrix, other) is not first
    assert risk_parity(matrix) is risk_parity(matrix.copy())
    assert hierarchical_risk_parity(matrix) is hierarchical_risk_parity(matrix.copy())
    assert hierarchical_risk_parity(matrix) is not risk_parity(matrix)


def test_a_wrong_guess_of_what_binds_is_corrected_and_never_believed():
    corrected = 0
    for seed in range(40):
        rng, n = np.random.default_rng(seed), 6
        moves = rng.standard_normal((40, n)) * rng.uniform(0.2, 1.0, n)
        group = rng.uniform(0.5, 1.5, n)
        limits = replace(invested(n, most=0.4), groups=((group, group.mean() - 0.1, group.mean()),))
        tight = presolve.tightened(programs.program(moves.T @ moves / 40, np.zeros(n), limits))
        assert not isinstance(tight, str)
        best, sides = quadratic.solve(tight).x, quadratic._Sides.of(tight)
        assert best is not None
        truth = sides.limit - sides.matrix @ best < 1e-9
        one_wrong = truth ^ (np.arange(len(truth)) == rng.integers(1, len(truth)))
        for guess in (one_wrong, *(rng.random((10, len(truth))) < 0.3)):
            found = quadratic._exact(tight, sides, np.full(n, 1 / n), 1.0 * guess, 1.0 * ~guess)
            corrected += guess is one_wrong and found is not None
            if found is not None:
                np.testing.assert_allclose(found, best, **SOLVED)
    assert corrected >= 36


def test_a_point_beside_its_limits_is_moved_the_shortest_way():
    limits = replace(invested(4, most=0.4), groups=((mask(4, 0, 1), 0.0, 0.5),))
    tight = presolve.tightened(programs.program(np.eye(4), np.zeros(4), limits))
    assert not isinstance(tight, str)
    near = np.array([0.25 + 2e-6, 0.25, 0.3 + 1e-6, 0.2])
    found = quadratic._within(tight, quadratic._Sides.of(tight), near)
    np.testing.assert_allclose(found, [0.25, 0.25, 0.3, 0.2], rtol=0, atol=4e-6)
    assert limits.missed(found) <= 1e-11
    far = replace(tight, lower=np.full(4, 0.3))
    assert quadratic._within(far, quadratic._Sides.of(far), near) is None
