"""Risk and return of a universe's tickers, and the best that holding them could have given.

Belongs here: the points and the long-only efficient frontier of monthly returns. Does not: drawing
them (`reports.library_page`), or solving a program (`core.optimise`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from factorlab_assets.core import optimise
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.optimise import Limits
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.errors import FactorLabError

FEWEST_MONTHS = 36
"""In common, below which tickers are left out, those of the fewest months first."""
POINTS = 20
"""On the frontier, from the least volatile to the highest mean."""


@dataclass(frozen=True)
class Frontier:
    """Tickers and efficient portfolios, known in hindsight: annual decimals, means not compounded.

    tickers : those (N,) with a return in every common month; mean, volatility : (N,).
    frontier_mean, frontier_volatility : (P,), rising; weights : (P, N), each row sums to 1.
    first, last, n_months : of the common months. left_out : ticker -> why.
    """

    tickers: tuple[str, ...]
    mean: Floats
    volatility: Floats
    frontier_mean: Floats
    frontier_volatility: Floats
    weights: Floats
    first: np.datetime64
    last: np.datetime64
    n_months: int
    left_out: Mapping[str, str]


def frontier(
    tickers: Sequence[str], dates: Dates, returns: Floats, *, points: int = POINTS
) -> Frontier:
    """The long-only, fully invested portfolios of least variance for their mean return.

    With μ = 12·mean and Σ = 12·covariance (ddof 1) of the common months' returns: w minimising
    w'Σw where w ≥ 0, Σw = 1 and w·μ ≥ m, for m evenly spaced from the mean of the least volatile
    portfolio to the highest mean of a ticker; rebalanced monthly, no costs.

    Parameters
    ----------
    tickers : N names. dates : (T,) month-ends, ascending. returns : (T, N) decimal per month, NaN =
        not known.
    points : how many, at least 2; one where a single portfolio is both ends.

    Raises
    ------
    FactorLabError : no ticker has 36 months, or the solver gave up.

    Notes
    -----
    Means and covariances are those of the very months that are shown: nobody could have held these
    portfolios knowingly. Tickers that never vary take part. References: Markowitz (1952), Portfolio
    Selection, Journal of Finance 7(1), 77-91, doi 10.1111/j.1540-6261.1952.tb01525.x.

    Examples
    --------
    >>> swing = 0.01 * np.resize([1.0, -1.0, 1.0, -1.0], 48)
    >>> turns = 0.01 * np.resize([1.0, 1.0, -1.0, -1.0], 48)
    >>> ends = np.arange("2020-01", "2024-01", dtype="datetime64[M]").astype("datetime64[D]")
    >>> found = frontier(["A", "B"], ends, np.stack([swing, turns + 0.01], axis=1), points=3)
    >>> found.weights.round(9).tolist()
    [[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]]
    >>> found.frontier_mean.round(9).tolist()
    [0.06, 0.09, 0.12]
    """
    if points < 2:
        raise FactorLabError("a frontier has two ends", got=points, expected="2 or more points")
    kept, rows, left_out = _common(tickers, returns)
    within = returns[np.ix_(rows, kept)]
    mean = within.mean(axis=0) * MONTHS
    apart = within - within.mean(axis=0)
    matrix = apart.T @ apart * (MONTHS / (len(within) - 1))
    weights = _portfolios(mean, matrix, points)
    variance = np.einsum("pi,ij,pj->p", weights, matrix, weights)
    return Frontier(
        tickers=tuple(tickers[i] for i in kept),
        mean=mean,
        volatility=np.sqrt(np.diag(matrix)),
        frontier_mean=weights @ mean,
        frontier_volatility=np.sqrt(np.maximum(variance, 0.0)),
        weights=weights,
        first=dates[rows[0]],
        last=dates[rows[-1]],
        n_months=len(rows),
        left_out=left_out,
    )


def _common(tickers: Sequence[str], returns: Floats) -> tuple[list[int], list[int], dict[str, str]]:
    """Columns to keep, the rows that all of them have, and why the others are left out."""
    known = np.isfinite(returns)
    counts = known.sum(axis=0)
    kept = list(range(len(tickers)))
    left_out: dict[str, str] = {}
    while kept:
        rows = np.flatnonzero(known[:, kept].all(axis=1)).tolist()
        if len(rows) >= FEWEST_MONTHS:
            return kept, rows, left_out
        shortest = min(kept, key=lambda i: (counts[i], tickers[i]))
        kept.remove(shortest)
        left_out[tickers[shortest]] = (
            f"{counts[shortest]} months of its own; with it fewer than {FEWEST_MONTHS} in common"
        )
    raise FactorLabError(
        "no frontier: no ticker has enough months",
        got=f"at most {counts.max(initial=0)}",
        expected=f"at least {FEWEST_MONTHS}",
    )


def _portfolios(mean: Floats, matrix: Floats, points: int) -> Floats:
    """(P, N) weights from the least variance to the highest mean."""
    count = len(mean)
    every = np.ones(count)
    whole = Limits(np.zeros(count), every, legs=((every, 1.0),))
    least = _solved(optimise.minimum_variance(matrix, whole))
    low, high = float(least @ mean), float(mean.max())
    if high - low <= NOISE * (1.0 + abs(high)):
        return least[np.newaxis]
    found = [least]
    for target in np.linspace(low, high, points)[1:]:
        reached = (mean, min(float(target), high), np.inf)
        limits = Limits(np.zeros(count), every, legs=((every, 1.0),), groups=(reached,))
        found.append(_solved(optimise.minimum_variance(matrix, limits)))
    return np.stack(found)


def _solved(solution: optimise.Solution) -> Floats:
    if solution.weights is None:
        raise FactorLabError("no frontier: a portfolio on it was not found", got=solution.status)
    return solution.weights
