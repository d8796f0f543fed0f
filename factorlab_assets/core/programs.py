"""The limits of a book, and the quadratic programs that weights within them are the solution of.

Belongs here: limits as rows of a program. Does not: which objective is meant (`optimise`), or
solving (`presolve`, `quadratic`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.presolve import Program

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What the weights (n,) of a book must keep to.

    lower, upper : (n,) least and most of each name; equal where a weight is fixed; may be infinite.
    legs : (row, sum) each: row·w = sum. groups : (row, least, most): least ≤ row·w ≤ most. A row is
        a mask (n,) of names, or their coefficients (betas, say).
    before : (n,) what is held before; None at the first rebalance, which is free of turnover and
        penalty. turnover : Σ|w − before| is at most this; None: no limit.
    penalty : what a unit of turnover takes off the objective of `mean_variance`; minimum_variance
        adds it to ½w'Σw, nearest to ½Σ(w − target)². maximum_diversification knows no penalty.
    """

    lower: Floats
    upper: Floats
    legs: tuple[tuple[Bools | Floats, float], ...] = ()
    groups: tuple[tuple[Bools | Floats, float, float], ...] = ()
    before: Floats | None = None
    turnover: float | None = None
    penalty: float = 0.0

    def missed(self, weights: Floats) -> float:
        """By how much weights (n,) miss the limit that they miss most; 0 where they keep to all."""
        below, above = self.lower - weights, weights - self.upper
        found = [0.0, *(float(each.max(initial=0.0)) for each in (below, above))]
        found += [abs(float(row @ weights) - total) for row, total in self.legs]
        for row, least, most in self.groups:
            found += [least - float(row @ weights), float(row @ weights) - most]
        if self.before is not None and self.turnover is not None:
            found.append(float(np.abs(weights - self.before).sum()) - self.turnover)
        return max(found)


def program(objective: Floats, linear: Floats, limits: Limits) -> Program:
    """Minimise ½w'Pw + q'w + penalty·Σ|w − before| within the limits.

    Its variables are the weights, and after them u ≥ |w − before| where turnover matters.
    """
    lower, upper = limits.lower.astype(np.float64), limits.upper.astype(np.float64)
    said = (*limits.legs, *limits.groups)
    rows = [np.asarray(row[0], dtype=np.float64) for row in said]
    plain = Program(
        objective,
        linear,
        np.array(rows).reshape(len(rows), len(linear)),
        np.array([row[1] for row in said], dtype=np.float64),
        np.array([row[-1] for row in said], dtype=np.float64),
        lower,
        upper,
        (
            *(f"leg {i + 1}" for i in range(len(limits.legs))),
            *(f"group {i + 1}" for i in range(len(limits.groups))),
        ),
    )
    before, turnover = limits.before, limits.turnover
    if before is None:
        return plain
    largest = float(np.maximum(np.abs(upper - before), np.abs(before - lower)).sum())
    most = np.inf if turnover is None or turnover >= largest else turnover
    if limits.penalty == 0.0 and np.isinf(most):
        return plain
    return _with_trades(plain, before, most, limits.penalty)


def _with_trades(plain: Program, before: Floats, most: float, penalty: float) -> Program:
    """The program with u ≥ |w − before| beside w, Σu at most `most` and charged `penalty`."""
    n = len(before)
    unit, nothing = np.eye(n), np.full(n, -np.inf)
    needed = np.maximum(np.maximum(plain.lower - before, before - plain.upper), 0.0)
    return Program(
        np.pad(plain.objective, (0, n)),
        np.concatenate([plain.linear, np.full(n, penalty)]),
        np.vstack(
            [
                np.pad(plain.rows, ((0, 0), (0, n))),
                np.hstack([unit, -unit]),
                np.hstack([-unit, -unit]),
                np.concatenate([np.zeros(n), np.ones(n)]),
            ]
        ),
        np.concatenate([plain.least, nothing, nothing, [-np.inf]]),
        np.concatenate([plain.most, before, -before, [most]]),
        np.concatenate([plain.lower, needed]),
        np.concatenate([plain.upper, np.full(n, np.inf)]),
        (*plain.labels, *["a purchase"] * n, *["a sale"] * n, "turnover"),
    )


def homogenised(plain: Program, ones: Floats) -> Program:
    """Minimise ½y'Py where ones·y = 1 and y/κ keeps to the limits of x, in (y, κ) with κ ≥ 0."""
    n = len(ones)
    rows = np.vstack([plain.rows, np.eye(n)])
    least = np.concatenate([plain.least, plain.lower])
    most = np.concatenate([plain.most, plain.upper])
    equal = least == most
    below, above = ~equal & np.isfinite(most), ~equal & np.isfinite(least)

    def of(which: Bools, limit: Floats) -> Floats:
        """row·y − limit·κ, which is 0, at most 0 or at least 0."""
        return np.column_stack([rows[which], -limit[which]])

    scaled = np.vstack([of(equal, most), of(below, most), of(above, least)])
    n_equal, n_below, n_above = (int(each.sum()) for each in (equal, below, above))
    down, up = np.full(n_below, -np.inf), np.full(n_above, np.inf)
    return Program(
        np.pad(plain.objective, (0, 1)),
        np.zeros(n + 1),
        np.vstack([np.append(ones, 0.0), scaled]),
        np.concatenate([[1.0], np.zeros(n_equal), down, np.zeros(n_above)]),
        np.concatenate([[1.0], np.zeros(n_equal + n_below), up]),
        np.append(np.full(n, -np.inf), 0.0),
        np.full(n + 1, np.inf),
        ("the diversification ratio", *["a limit"] * len(scaled)),
    )
