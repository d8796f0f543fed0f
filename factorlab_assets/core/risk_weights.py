"""Weights of one leg from a covariance at one date, each leg as a book of its own.

Belongs here: inverse volatility, risk parity, hierarchical risk parity, and diversification of a
leg. Does not: programs of a whole book, other limits than max_weight, fallbacks (`construct`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factorlab_assets.core import optimise
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.optimise import Limits, Solution
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.risk import Covariance
from factorlab_assets.core.weighting import capped
from factorlab_assets.strategy_book import Portfolio


class Unsolved(Exception):  # it is told of a date and always caught, no error
    """There are no weights; the text says why."""


@dataclass(frozen=True)
class Names:
    """A part of a book at one date: who, and on which side each is, (N,); Σ|w| of them."""

    mask: Bools
    side: Floats
    total: float


def of_part(portfolio: Portfolio, part: Names, covariance: Covariance) -> Floats:
    """|w| of one part's names, (N,), with Σ|w| = total; 0 for names without a covariance.

    Returns of a part that has both sides count with their sign. What max_weight leaves no room for
    stays cash.

    Raises
    ------
    Unsolved : the solver found nothing.
    """
    share = np.zeros(len(part.mask))
    inside = part.mask[covariance.names]
    names = covariance.names[inside]
    if not len(names) or part.total == 0.0:
        return share
    matrix, sign = covariance.matrix[np.ix_(inside, inside)], part.side[names]
    if (sign != sign[0]).any():
        matrix = matrix * np.outer(sign, sign)
    if portfolio.weighting == "maximum_diversification":
        cap = np.full(len(names), portfolio.max_weight)
        leg = np.ones(len(names), dtype=np.bool_), min(part.total, float(cap.sum()))
        limits = Limits(np.zeros(len(names)), cap, (leg,))
        share[names] = solved(optimise.maximum_diversification(matrix, limits))
        return share
    share[names] = part.total * _shares(portfolio, matrix)
    return np.asarray(capped(share[np.newaxis], portfolio.max_weight)[0])


def _shares(portfolio: Portfolio, matrix: Floats) -> Floats:
    if portfolio.weighting == "risk_parity":
        return solved(optimise.risk_parity(matrix))
    if portfolio.weighting == "hierarchical_risk_parity":
        return solved(optimise.hierarchical_risk_parity(matrix))
    calm = 1.0 / np.sqrt(np.diag(matrix))
    return np.asarray(calm / calm.sum())


def solved(solution: Solution) -> Floats:
    """The weights of a solution; raises Unsolved where there are none."""
    if solution.weights is None:
        raise Unsolved(solution.status)
    return solution.weights
