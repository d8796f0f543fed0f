"""Weights from a covariance: minimum variance and the like under limits, risk parity, HRP.

Belongs here: what each construction minimises, and what it gives back. Does not: limits as rows of
a program (`programs`), solving one (`quadratic`), the covariance (`risk`), or who is held
(`portfolio`).

A problem that was solved before is not solved again. Nothing here raises on a problem that has no
solution: the status says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import quadratic
from factorlab_assets.core.memo import Memo, digest
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.presolve import tightened
from factorlab_assets.core.programs import Limits, homogenised, program

__all__ = [
    "Limits",
    "Solution",
    "hierarchical_risk_parity",
    "maximum_diversification",
    "mean_variance",
    "minimum_variance",
    "nearest",
    "risk_parity",
]

KEPT = 1e-9
"""By how much a solution may miss a limit."""
EVEN, ROUNDED = 1e-13, 1e-9
"""By how much a share of the variance may miss its budget, and where rounding allows no better."""
MOST_STEPS = 100
"""Newton steps to risk parity; some ten are enough where it exists."""
NEAR, TINY = 1e-3, 1e-300
SOLUTION_BYTES = 500
"""What a remembered solution takes beside its weights, about."""


@dataclass(frozen=True)
class Solution:
    """Weights (n,), read-only, that keep to the limits to 1e-9; None where there are none.

    status : "solved", or in words why there is nothing: "infeasible: …", "unbounded", "failed: …".
    iterations, solve_seconds : the solver's own; 0 where it was not needed.
    """

    weights: Floats | None
    status: str
    iterations: int = 0
    solve_seconds: float = 0.0


_solutions = Memo[Solution](most_bytes=32 * 2**20)


def minimum_variance(matrix: Floats, limits: Limits) -> Solution:
    """The weights of least variance: minimise ½w'Σw + penalty·Σ|w − before|.

    Parameters
    ----------
    matrix : Σ (n, n), decimal squared.

    Notes
    -----
    Where Σ is singular several weights may have the least variance; the one that is given depends
    on nothing but Σ and the limits.

    References
    ----------
    Markowitz (1952), Portfolio Selection, Journal of Finance 7(1), 77-91,
    doi 10.1111/j.1540-6261.1952.tb01525.x.

    Examples
    --------
    >>> invested = (np.ones(2, dtype=bool), 1.0)
    >>> free = Limits(lower=np.zeros(2), upper=np.ones(2), legs=(invested,))
    >>> minimum_variance(np.diag([0.04, 0.01]), free).weights.round(12).tolist()
    [0.2, 0.8]
    >>> minimum_variance(np.eye(2), replace(free, upper=np.array([0.4, 0.4]))).status
    'infeasible: leg 1 must reach 1, and at most 0.8 is possible'
    """
    return _minimum(matrix, np.zeros(len(matrix)), limits)


def mean_variance(matrix: Floats, alpha: Floats, aversion: float, limits: Limits) -> Solution:
    """Maximise α·w − aversion/2·w'Σw − penalty·Σ|w − before|.

    Parameters
    ----------
    matrix : Σ (n, n), decimal squared per month. alpha : α (n,), decimal per month.

    References
    ----------
    Markowitz (1952), doi 10.1111/j.1540-6261.1952.tb01525.x.
    """
    return _minimum(aversion * matrix, -np.asarray(alpha, dtype=np.float64), limits)


def nearest(target: Floats, limits: Limits) -> Solution:
    """The weights within the limits that are nearest to `target`, (n,).

    Minimise ½Σ(w − target)² + penalty·Σ|w − before|.
    """
    return _minimum(np.eye(len(target)), -np.asarray(target, dtype=np.float64), limits)


def maximum_diversification(matrix: Floats, limits: Limits) -> Solution:
    """Maximise the diversification ratio Σ|w|σ / √(w'Σw).

    A name counts as short where its upper limit is at most 0, and its lower one below 0; else long.
    Solved as a quadratic program in y = κw, κ > 0: minimise y'Σy where Σ±yσ = 1, all limits of w
    times κ holding for y.

    Parameters
    ----------
    matrix : Σ (n, n), decimal squared.

    Returns
    -------
    Solution; "infeasible: …" also where no weights within the limits have a ratio above 0.

    References
    ----------
    Choueifaty, Coignard (2008), Toward Maximum Diversification, Journal of Portfolio Management
    35(1), 40-51, doi 10.3905/JPM.2008.35.1.40. Short names are not in the paper.
    """

    def solve() -> Solution:
        plain = program(matrix, np.zeros(len(matrix)), replace(limits, penalty=0.0))
        plain_or_reason = tightened(plain)
        if isinstance(plain_or_reason, str):
            return Solution(None, f"infeasible: {plain_or_reason}")
        is_short = (limits.upper <= 0.0) & (limits.lower < 0.0)
        sigma = np.zeros(len(plain.linear))
        sigma[: len(matrix)] = np.where(is_short, -1.0, 1.0) * np.sqrt(np.diag(matrix))
        scale = np.abs(sigma).max(initial=0.0) or 1.0
        answer = quadratic.solve(homogenised(plain_or_reason, sigma / scale))
        if answer.x is not None and answer.x[-1] <= KEPT:
            answer = replace(answer, x=None, status="unbounded")
        if answer.x is not None:
            answer = replace(answer, x=answer.x[:-1] / answer.x[-1])
        return _checked(answer, limits)

    return _remembered("diversification", (matrix,), limits, solve)


def risk_parity(matrix: Floats, budgets: Floats | None = None) -> Solution:
    """Long-only weights, Σw = 1, whose shares of the variance w_i(Σw)_i / w'Σw are the budgets.

    Newton's method on the convex ½y'Cy − Σ b_i ln y_i, C the correlations; w ∝ y/σ. The minimum is
    where y_i(Cy)_i = b_i, and the only such weights.

    Parameters
    ----------
    matrix : Σ (n, n), decimal squared. budgets : (n,) above 0, in any unit; None: equal.

    Returns
    -------
    Solution, shares within 1e-9 of the budgets; "failed: …" where a variance or a budget is 0, or
    names offset each other entirely.

    References
    ----------
    Maillard, Roncalli, Teiletche (2010), The Properties of Equally Weighted Risk Contribution
    Portfolios, Journal of Portfolio Management 36(4), 60-70, doi 10.3905/jpm.2010.36.4.060. Spinu
    (2013), An Algorithm for Computing Risk Parity Weights, doi 10.2139/ssrn.2297383.

    Examples
    --------
    >>> risk_parity(np.diag([0.04, 0.01])).weights.round(12).tolist()
    [0.333333333333, 0.666666666667]
    """
    budget = np.ones(len(matrix)) if budgets is None else np.asarray(budgets, dtype=np.float64)

    def solve() -> Solution:
        variance = np.diag(matrix)
        if not ((variance > 0.0).all() and (budget > 0.0).all()):
            return Solution(None, "failed: risk parity needs variances and budgets above 0")
        sigma = np.sqrt(variance)
        y, steps = _even(matrix / np.outer(sigma, sigma), budget / budget.sum())
        if y is None:
            return Solution(None, "failed: risk parity was not reached", steps)
        return _given(y / sigma / (y / sigma).sum(), steps)

    return _remembered("risk parity", (matrix, budget), None, solve)


def _even(correlation: Floats, budget: Floats) -> tuple[Floats | None, int]:
    """y > 0 with y_i(Cy)_i / y'Cy = b_i, and the Newton steps taken."""

    def objective(y: Floats) -> float:
        return float(0.5 * y @ correlation @ y - budget @ np.log(y))

    y = np.sqrt(budget / max(correlation.sum(), 1.0))
    missed = np.inf
    for step in range(MOST_STEPS):
        share = y * (correlation @ y)
        if not share.sum() > EVEN * float(y @ y):
            return None, step  # names that offset each other
        missed, before = float(np.abs(share / share.sum() - budget).max()), missed
        if missed <= EVEN or before <= missed <= ROUNDED:
            return y, step
        gradient = (share - budget) / y
        towards = -np.linalg.solve(correlation + np.diag(budget / y**2), gradient)
        slope = float(gradient @ towards)
        # At most 99 % of the way to where a weight would be 0, and halved until it is downhill,
        # which rounding would hide near the minimum; there whole steps converge (Spinu).
        length = min(1.0, 0.99 / max(float((-towards / y).max()), TINY))
        near = -slope <= NEAR * budget.min()
        while not near and objective(y + length * towards) > objective(y) + 1e-4 * length * slope:
            length /= 2.0
        y = y + length * towards
    return None, MOST_STEPS


def hierarchical_risk_parity(matrix: Floats) -> Solution:
    """Long-only weights, Σw = 1, by inverse variance down a tree of correlated clusters.

    Names are put in the order of the leaves of the tree that Ward's linkage builds on the distances
    √((1 − ρ)/2), the leaves ordered for neighbours to be alike. Then the list is halved over and
    over, and its weight split by 1/variance of the halves, each held in proportion to 1/variance.

    Parameters
    ----------
    matrix : Σ (n, n), decimal squared.

    Returns
    -------
    Solution; "failed: …" where a variance is 0.

    References
    ----------
    López de Prado (2016), Building Diversified Portfolios that Outperform Out of Sample, Journal of
    Portfolio Management 42(4), 59-69, doi 10.3905/jpm.2016.42.4.059; the paper links singly. Ward's
    linkage and ordered leaves are skfolio's default, and do not depend on the order of tickers.
    """

    def solve() -> Solution:
        if not (np.diag(matrix) > 0.0).all():
            return Solution(None, "failed: hierarchical risk parity needs variances above 0")
        return _given(_bisected(matrix, _leaves(matrix)), 0)

    return _remembered("hierarchical", (matrix,), None, solve)


def _leaves(matrix: Floats) -> npt.NDArray[np.intp]:
    """The names in the order of the tree."""
    if len(matrix) < 3:
        return np.arange(len(matrix))
    from scipy.cluster.hierarchy import leaves_list, linkage  # takes half a second
    from scipy.spatial.distance import squareform

    sigma = np.sqrt(np.diag(matrix))
    distance = np.sqrt(np.clip((1.0 - matrix / np.outer(sigma, sigma)) / 2.0, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "ward", optimal_ordering=True)
    return np.asarray(leaves_list(tree), dtype=np.intp)


def _bisected(matrix: Floats, order: npt.NDArray[np.intp]) -> Floats:
    """Weights by halving the ordered names."""
    weights = np.ones(len(matrix))
    parts = [order]
    while parts:
        part = parts.pop()
        if len(part) < 2:
            continue
        halves = part[: len(part) // 2], part[len(part) // 2 :]
        left, right = (_inverse_variance_risk(matrix[np.ix_(half, half)]) for half in halves)
        weights[halves[0]] *= right / (left + right)
        weights[halves[1]] *= left / (left + right)
        parts += halves
    return weights


def _inverse_variance_risk(matrix: Floats) -> float:
    """The variance of these names, held in proportion to 1/variance."""
    weights = 1.0 / np.diag(matrix)
    weights = weights / weights.sum()
    return float(weights @ matrix @ weights)


def _minimum(objective: Floats, linear: Floats, limits: Limits) -> Solution:
    def solve() -> Solution:
        return _checked(quadratic.solve(program(objective, linear, limits)), limits)

    return _remembered("quadratic", (objective, linear), limits, solve)


def _remembered(
    kind: str, given: tuple[Floats, ...], limits: Limits | None, solve: Callable[[], Solution]
) -> Solution:
    """What was found before for the same numbers, else what `solve` finds."""
    if not all(np.isfinite(each).all() for each in given):
        return Solution(None, "failed: a covariance, alpha or target is not known")
    said: tuple[object, ...] = ()
    if limits is not None:
        rows = [part for row in (*limits.legs, *limits.groups) for part in row]
        spent = (limits.before, limits.turnover, limits.penalty)
        said = (limits.lower, limits.upper, len(limits.legs), *rows, *spent)
        numbers = (each for each in said if each is not None)
        if any(np.isnan(each).any() for each in numbers):  # type: ignore[call-overload]  # numbers
            return Solution(None, "failed: a limit is not known")
    size = SOLUTION_BYTES + 8 * len(given[0])
    return _solutions.get(digest(kind, *given, *said), solve, size)


def _checked(answer: quadratic.Answer, limits: Limits) -> Solution:
    """The solution, if it keeps to every limit."""
    spent = answer.iterations, answer.seconds
    if answer.x is None:
        return Solution(None, answer.status, *spent)
    weights = np.clip(answer.x[: len(limits.lower)], limits.lower, limits.upper)
    missed = limits.missed(weights)
    if missed > KEPT:
        return Solution(None, f"failed: the solution misses a limit by {missed:.2g}", *spent)
    return _given(weights, *spent)


def _given(weights: Floats, iterations: int, seconds: float = 0.0) -> Solution:
    weights.setflags(write=False)
    return Solution(weights, "solved", iterations, seconds)
