"""Laws of every optimum, for any covariance and limits:

1. weights keep to every limit to 1e-9, or there are none and a linear program finds none either;
2. no other weights within the limits are better: a linear program finds no direction downhill;
3. the order of names is no part of it, nor is the unit of the covariance;
4. risk parity's shares of the variance are the budgets, to 1e-8;
5. every name of a most diversified long-only book has one correlation with it, and no other name a
   lower one.

Where a covariance is singular the best weights may be many: 3 holds of what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

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

EXAMPLES = settings(max_examples=120, deadline=None)
KEPT = 1e-9
LP = 1e-7
"""The linear program's own tolerance, HiGHS's default."""


@st.composite
def any_covariance(draw: st.DrawFn, *, singular: bool = True) -> Floats:
    """Monthly, of 1 to 12 names with volatilities from 0.2 to 10 % and one common part."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 12))
    length = draw(st.sampled_from([3 * n + 3, 60, *([4] if singular else [])]))
    moves = rng.standard_normal((length, n)) * rng.uniform(0.002, 0.1, n)
    moves += draw(st.sampled_from([0.0, 0.01, 0.05])) * rng.standard_normal((length, 1))
    moves -= moves.mean(axis=0)
    return np.asarray(moves.T @ moves / (length - 1))


@st.composite
def any_limits(draw: st.DrawFn, n: int) -> Limits:
    """Long-only, long/short or dollar-neutral; groups, betas, turnover and penalty or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = np.full(n, draw(st.sampled_from([1.0, 0.5, 0.3, 1.0 / n, 2.0 / n, 0.05])))
    kind = draw(st.sampled_from(["long", "long", "either", "legs"]))
    everyone = np.ones(n, dtype=np.bool_)
    if kind == "legs":
        is_long = rng.random(n) < 0.6
        limits = Limits(
            np.where(is_long, 0.0, -most),
            np.where(is_long, most, 0.0),
            legs=((is_long, 0.5 * is_long.any()), (~is_long, -0.5 * (~is_long).any())),
        )
    else:
        lower = -most if kind == "either" else 0.0 * most
        limits = Limits(lower, most, legs=((everyone, 1.0),))
    if draw(st.booleans()):
        group = rng.random(n) < 0.5
        low = draw(st.sampled_from([-10.0, -0.2, 0.1, 0.3]))
        limits = replace(limits, groups=((group, low, draw(st.sampled_from([0.4, 1.0, 10.0]))),))
    if draw(st.booleans()):
        beta = rng.normal(1.0, 0.4, n)
        limits = replace(limits, groups=(*limits.groups, (beta, 0.8, 1.1)))
    if draw(st.booleans()):
        before = rng.dirichlet(np.ones(n)) * (1.0 if kind == "long" else rng.choice([-1.0, 1.0], n))
        turnover = draw(st.sampled_from([None, 0.0, 0.2, 0.7, 1.5, 3.0]))
        penalty = draw(st.sampled_from([0.0, 1e-4, 1e-2]))
        limits = replace(limits, before=before, turnover=turnover, penalty=penalty)
    return limits


@dataclass(frozen=True)
class Case:
    """A problem, how it is solved, and what weights are worth: the least is best, its gradient is
    of terms of about `size`."""

    matrix: Floats
    limits: Limits
    alpha: Floats
    solve: Callable[[Floats, Floats, Limits], Solution]
    worth: Callable[[Floats], float]
    gradient: Callable[[Floats], Floats]
    size: float

    def solution(self) -> Solution:
        return self.solve(self.matrix, self.alpha, self.limits)


KINDS = ["minimum variance", "mean variance", "nearest", "diversification"]


@st.composite
def any_case(draw: st.DrawFn, *, singular: bool = True) -> Case:
    kind = draw(st.sampled_from(KINDS))
    matrix = draw(any_covariance(singular=singular))
    n = len(matrix)
    limits = draw(any_limits(n))
    if kind == "diversification":
        limits = replace(limits, penalty=0.0)
    alpha = np.random.default_rng(draw(st.integers(0, 99))).normal(0.0, 0.01, n)
    side = np.where((limits.upper <= 0.0) & (limits.lower < 0.0), -1.0, 1.0)
    sigma = side * np.sqrt(np.diag(matrix))

    def charge(w: Floats) -> float:
        return 0.0 if limits.before is None else limits.penalty * np.abs(w - limits.before).sum()

    if kind == "minimum variance":
        return Case(
            matrix,
            limits,
            alpha,
            lambda m, _, said: minimum_variance(m, said),
            lambda w: 0.5 * w @ matrix @ w + charge(w),
            lambda w: matrix @ w,
            np.diag(matrix).max(),
        )
    if kind == "mean variance":
        return Case(
            matrix,
            limits,
            alpha,
            lambda m, a, said: mean_variance(m, a, 5.0, said),
            lambda w: 2.5 * w @ matrix @ w - alpha @ w + charge(w),
            lambda w: 5.0 * matrix @ w - alpha,
            np.abs(alpha).max(),
        )
    if kind == "nearest":
        return Case(
            matrix,
            limits,
            10.0 * alpha,
            lambda _, a, said: nearest(a, said),
            lambda w: 0.5 * ((w - 10.0 * alpha) ** 2).sum() + charge(w),
            lambda w: w - 10.0 * alpha,
            1.0,
        )
    return Case(
        matrix,
        limits,
        alpha,
        lambda m, _, said: maximum_diversification(m, said),
        lambda w: (w @ matrix @ w) / (sigma @ w) ** 2,  # of a riskless book 0
        lambda w: (matrix @ w) * (sigma @ w) / (w @ matrix @ w) - sigma,
        np.abs(sigma).max(),
    )


def lowest(direction: Floats, limits: Limits) -> tuple[float, Floats] | None:
    """The least of direction·w + penalty·Σ|w − before| within the limits, by a linear program."""
    n = len(direction)
    rows, most = [], []
    for row, low, high in limits.groups:
        rows += [row.astype(float), -row.astype(float)]
        most += [high, -low]
    inequalities = np.hstack([np.array(rows).reshape(-1, n), np.zeros((len(rows), n))])
    if limits.before is not None:
        unit = np.eye(n)
        inequalities = np.vstack(
            [inequalities, np.hstack([unit, -unit]), np.hstack([-unit, -unit])]
        )
        most += [*limits.before, *-limits.before]
        if limits.turnover is not None:
            inequalities = np.vstack([inequalities, np.r_[np.zeros(n), np.ones(n)]])
            most.append(limits.turnover)
    found = linprog(
        np.r_[direction, np.full(n, limits.penalty if limits.before is not None else 0.0)],
        inequalities,
        most,
        [np.r_[row.astype(float), np.zeros(n)] for row, _ in limits.legs],
        [total for _, total in limits.legs],
        [*zip(limits.lower, limits.upper, strict=True), *[(0.0, None)] * n],
        method="highs",
    )
    return (found.fun, found.x[:n]) if found.status == 0 else None


@EXAMPLES
@given(any_case())
def test_weights_keep_to_every_limit_or_nothing_does(case):
    found, limits = case.solution(), case.limits
    possible = lowest(np.zeros(len(case.matrix)), replace(limits, penalty=0.0))
    if found.weights is None:
        assert found.status.startswith("infeasible: ")
        assert possible is None or "diversification" in found.status
        return
    assert found.status == "solved"
    assert limits.missed(found.weights) <= KEPT
    assert (found.weights >= limits.lower).all()
    assert (found.weights <= limits.upper).all()
    assert possible is not None


@EXAMPLES
@given(any_case(singular=False))
def test_nothing_within_the_limits_is_better(case):
    w = case.solution().weights
    if w is None or not (w @ case.matrix @ w > 0.0):
        return
    gradient = case.gradient(w)
    least = lowest(gradient, case.limits)
    assert least is not None
    charge = 0.0
    if case.limits.before is not None:
        charge = case.limits.penalty * np.abs(w - case.limits.before).sum()
    assert gradient @ w + charge - least[0] <= LP * (case.size + case.limits.penalty)


@EXAMPLES
@given(any_case(), st.randoms(use_true_random=False))
def test_the_order_of_names_is_no_part_of_it(case, random):
    order = list(range(len(case.matrix)))
    random.shuffle(order)
    limits = case.limits
    moved = replace(
        limits,
        lower=limits.lower[order],
        upper=limits.upper[order],
        legs=tuple((row[order], total) for row, total in limits.legs),
        groups=tuple((row[order], low, high) for row, low, high in limits.groups),
        before=None if limits.before is None else limits.before[order],
    )
    found = case.solution()
    said = case.solve(case.matrix[np.ix_(order, order)], case.alpha[order], moved)
    # Of two limits that are missed alike, rounding decides which one is named.
    assert said.status.partition(":")[0] == found.status.partition(":")[0]
    if found.weights is None:
        return
    back = np.empty(len(order))
    back[order] = said.weights
    worth = case.worth(found.weights)
    assert case.worth(back) == pytest.approx(worth, rel=1e-7, abs=1e-9)
    if np.linalg.eigvalsh(case.matrix)[0] > 1e-4 * np.diag(case.matrix).mean():
        np.testing.assert_allclose(back, found.weights, rtol=0, atol=1e-9)


@EXAMPLES
@given(any_covariance(), st.data())
def test_the_unit_of_the_covariance_is_no_part_of_it(matrix, data):
    limits = replace(data.draw(any_limits(len(matrix))), penalty=0.0)
    for solve in (minimum_variance, maximum_diversification):
        found, said = solve(matrix, limits), solve(4.0 * matrix, limits)
        assert said.status == found.status
        if found.weights is not None:
            assert said.weights.tobytes() == found.weights.tobytes()
    for weigh in (risk_parity, hierarchical_risk_parity):
        found, said = weigh(matrix), weigh(4.0 * matrix)
        if found.weights is not None:
            np.testing.assert_allclose(said.weights, found.weights, rtol=0, atol=1e-12)


@EXAMPLES
@given(any_covariance(singular=False), st.data())
def test_shares_of_the_variance_are_the_budgets(matrix, data):
    n = len(matrix)
    budgets = data.draw(st.sampled_from([None, np.arange(1.0, n + 1), np.geomspace(1.0, 1e3, n)]))
    weights = risk_parity(matrix, budgets).weights
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights.min() > 0.0
    share = weights * (matrix @ weights)
    wanted = np.full(n, 1.0 / n) if budgets is None else budgets / budgets.sum()
    np.testing.assert_allclose(share / share.sum(), wanted, rtol=0, atol=1e-8)


@EXAMPLES
@given(any_covariance(singular=False))
def test_a_most_diversified_book_is_equally_correlated_with_what_it_holds(matrix):
    n = len(matrix)
    limits = Limits(np.zeros(n), np.ones(n), legs=((np.ones(n, dtype=np.bool_), 1.0),))
    w = maximum_diversification(matrix, limits).weights
    correlation = matrix @ w / np.sqrt(np.diag(matrix) * (w @ matrix @ w))
    held = w > 0.0
    assert np.ptp(correlation[held]) <= 1e-8
    assert (correlation[~held] >= correlation[held].max() - 1e-8).all()
    # The same by minimum variance on the correlations, weights divided by the volatilities.
    sigma = np.sqrt(np.diag(matrix))
    calm = minimum_variance(matrix / np.outer(sigma, sigma), limits).weights / sigma
    np.testing.assert_allclose(w, calm / calm.sum(), rtol=0, atol=1e-9)


@EXAMPLES
@given(any_covariance(singular=False), st.randoms(use_true_random=False))
def test_weights_without_limits_do_not_know_the_order_of_names_either(matrix, random):
    order = list(range(len(matrix)))
    random.shuffle(order)
    for weigh in (risk_parity, hierarchical_risk_parity):
        found, said = weigh(matrix).weights, weigh(matrix[np.ix_(order, order)]).weights
        assert found.sum() == pytest.approx(1.0, abs=1e-12)
        assert found.min() > 0.0
        np.testing.assert_allclose(said, found[order], rtol=0, atol=1e-9)
