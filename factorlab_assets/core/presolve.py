"""What the limits of a quadratic program alone decide, before anything is solved.

Belongs here: the program, and drawing its limits tight. Does not: solving it (`quadratic`), or what
it stands for (`optimise`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats

Bools = npt.NDArray[np.bool_]

TIGHT = 1e-12
"""A row that the bounds let go no further than this beyond its limit can only just be met."""
BROKEN = 1e-10
"""Limits that miss each other by more than this cannot be met."""


@dataclass(frozen=True)
class Program:
    """Minimise ½x'Px + q'x, where least ≤ rows·x ≤ most and lower ≤ x ≤ upper.

    objective : P (n, n), symmetric positive semidefinite. linear : q (n,). rows : (m, n). least,
    most : (m,), equal where the row must sum to it. lower, upper : (n,). Any limit may be infinite.
    labels : what each row is called.
    """

    objective: Floats
    linear: Floats
    rows: Floats
    least: Floats
    most: Floats
    lower: Floats
    upper: Floats
    labels: tuple[str, ...]

    def of(self, free: Bools, fixed: Floats) -> Program:
        """The program of the free variables alone, the others being as in `fixed`."""
        rest = np.where(free, 0.0, fixed)
        taken = self.rows @ rest
        return Program(
            self.objective[np.ix_(free, free)],
            self.linear[free] + self.objective[free] @ rest,
            self.rows[:, free],
            self.least - taken,
            self.most - taken,
            self.lower[free],
            self.upper[free],
            self.labels,
        )


def tightened(program: Program) -> Program | str:
    """The same program with the bounds that its rows imply, without the rows that bind nothing.

    A row that can only just be met fixes its variables; one of a single free variable becomes its
    bound. Instead of a program, the reason in words where a row or a bound cannot be met.

    Examples
    --------
    >>> one, nothing = np.ones(2), np.zeros((2, 2))
    >>> def legs(total):
    ...     return Program(nothing, one, np.ones((1, 2)), np.array([total]), np.array([total]),
    ...         0 * one, 0.4 * one, ("leg 1",))
    >>> tightened(legs(0.8)).lower.tolist()
    [0.4, 0.4]
    >>> tightened(legs(1.0))
    'leg 1 must reach 1, and at most 0.8 is possible'
    """
    rows, least, most = program.rows, program.least, program.most
    lower, upper = program.lower.copy(), program.upper.copy()
    binds = np.ones(len(rows), dtype=np.bool_)
    while True:
        if np.any(lower > upper + BROKEN):
            return "the least of a weight exceeds its most"
        smallest, largest = _reach(rows, lower, upper)
        binds &= (smallest < least) | (largest > most)
        missed = np.maximum(least - largest, smallest - most)
        if (missed > BROKEN).any():
            row = int(np.argmax(missed))
            if largest[row] < least[row]:
                possible = f"reach {least[row]:.6g}, and at most {largest[row]:.6g} is possible"
            else:
                possible = f"stay at {most[row]:.6g}, and at least {smallest[row]:.6g} is needed"
            return f"{program.labels[row]} must {possible}"
        if not _drawn(program, binds, smallest, largest, lower, upper):
            break
    if binds.all():
        return replace(program, lower=lower, upper=upper)
    return replace(
        program,
        rows=rows[binds],
        least=least[binds],
        most=most[binds],
        lower=lower,
        upper=upper,
        labels=tuple(name for name, is_kept in zip(program.labels, binds, strict=True) if is_kept),
    )


def _reach(rows: Floats, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """The smallest and the largest value of each row within the bounds."""
    with np.errstate(invalid="ignore"):  # 0 · ∞, which is not looked at
        at_lower, at_upper = rows * lower, rows * upper
    at_lower[rows == 0.0] = at_upper[rows == 0.0] = 0.0
    ends = np.minimum(at_lower, at_upper), np.maximum(at_lower, at_upper)
    return ends[0].sum(axis=1), ends[1].sum(axis=1)


def _drawn(
    program: Program,
    binds: Bools,
    smallest: Floats,
    largest: Floats,
    lower: Floats,
    upper: Floats,
) -> bool:
    """Draw the bounds in by one round of the rows; whether that changed anything."""
    rows = program.rows
    at_most = binds & (largest <= program.least + TIGHT)
    at_least = binds & (smallest >= program.most - TIGHT)
    if (at_most | at_least).any():
        row = int(np.argmax(at_most | at_least))
        up, down = rows[row] > 0.0, rows[row] < 0.0
        if at_most[row]:
            lower[up], upper[down] = upper[up], lower[down]
        else:
            upper[up], lower[down] = lower[up], upper[down]
        binds[row] = False
        return True
    free = lower < upper
    concerned = (rows != 0.0) & free
    singles = np.flatnonzero(binds & (concerned.sum(axis=1) == 1))
    for single in singles:
        column = int(np.argmax(concerned[single]))
        rest = rows[single] @ np.where(free, 0.0, lower)
        ends = np.array([program.least[single], program.most[single]]) - rest
        ends = ends / rows[single, column]
        lower[column] = max(lower[column], ends.min())
        upper[column] = min(upper[column], ends.max())
        binds[single] = False
    return singles.size > 0
