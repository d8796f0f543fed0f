"""Quadratic programs, solved by Clarabel and then made exact.

Belongs here: one program in, one point out. Does not: what the program stands for (`optimise`), or
what its limits alone decide (`presolve`).

The interior-point solver comes within about 1e-8 of the optimum and tells which limits bind. The
equations of those limits, solved once more as a linear system, give the point to rounding, its
bounds exactly met; what the system says is believed only if it satisfies the optimality conditions.

A solver's set-up, which depends only on where the numbers are not zero, is kept. Its own scaling
of the problem would be that of the first problem it saw, and the last digits of a solution would
depend on what was solved before: it is off, and the programs are scaled here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import clarabel
import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.presolve import Program, tightened

Bools = npt.NDArray[np.bool_]

MOST_SOLVERS = 32
EXACT, OPTIMAL = 1e-11, 1e-9
"""How far a point may be beyond its limits, and a gradient of the scaled objective from 0."""
ROUNDS = 20
"""Corrections of which limits bind."""

_solvers: OrderedDict[tuple[object, ...], _Solver] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Answer:
    """A program's minimum (n,), or None and in words why not."""

    x: Floats | None
    status: str
    iterations: int = 0
    seconds: float = 0.0


def solve(program: Program) -> Answer:
    """The minimum of the program; where there are several, one that depends on nothing else.

    Returns
    -------
    Answer with status "solved"; or without a point: "infeasible: …", "unbounded", "failed: …".
    """
    program_or_reason = tightened(program)
    if isinstance(program_or_reason, str):
        return Answer(None, f"infeasible: {program_or_reason}")
    tight = program_or_reason
    free = tight.lower < tight.upper
    x = np.where(free, 0.0, tight.lower)
    if not free.any():
        return Answer(x, "solved")
    part = tight if free.all() else tight.of(free, x)
    scale = float(np.diag(part.objective).mean()) or float(np.abs(part.linear).max()) or 1.0
    part = replace(part, objective=part.objective / scale, linear=part.linear / scale)
    raised = part.objective.copy()
    np.fill_diagonal(raised, raised.diagonal() + OPTIMAL)
    try:
        np.linalg.cholesky(raised)
    except np.linalg.LinAlgError:
        return Answer(None, "failed: the covariance is not positive semidefinite")
    answer = _solved(part)
    if answer.x is None:
        return answer
    x[free] = answer.x
    return replace(answer, x=x)


def forget() -> None:
    """Set solvers up anew: to measure what that takes, and to prove that it changes nothing."""
    with _lock:
        _solvers.clear()


@dataclass(frozen=True)
class _Sides:
    """The limits of a program as matrix·x ≤ limit, the first `n_equal` of them as equations.

    `rows` come first, (n_rows, n); then upper bounds of `has_upper`, then lower ones.
    """

    rows: Floats
    limit: Floats
    n_equal: int
    has_upper: Bools
    has_lower: Bools

    @classmethod
    def of(cls, program: Program) -> _Sides:
        equal = program.least == program.most
        below = ~equal & np.isfinite(program.most)
        above = ~equal & np.isfinite(program.least)
        has_upper, has_lower = np.isfinite(program.upper), np.isfinite(program.lower)
        rows = [program.rows[equal], program.rows[below], -program.rows[above]]
        limits = [program.most[equal], program.most[below], -program.least[above]]
        limits += [program.upper[has_upper], -program.lower[has_lower]]
        n_equal = int(equal.sum())
        return cls(np.vstack(rows), np.concatenate(limits), n_equal, has_upper, has_lower)

    @property
    def matrix(self) -> Floats:
        unit = np.eye(self.rows.shape[1])
        return np.vstack([self.rows, unit[self.has_upper], -unit[self.has_lower]])


def _solved(program: Program) -> Answer:
    """The minimum of a scaled program each of whose variables is free."""
    sides = _Sides.of(program)
    found, seconds = _interior_point(program, sides)
    status, iterations = str(found.status), found.iterations
    if status.endswith("PrimalInfeasible"):
        words = "infeasible: no weights keep to all limits at once"
        return Answer(None, words, iterations, seconds)
    if status.endswith("DualInfeasible"):
        return Answer(None, "unbounded", iterations, seconds)
    near, price, slack = np.array(found.x), np.array(found.z), np.array(found.s)
    x = _exact(program, sides, near, price, slack) if np.isfinite(near).all() else None
    if x is None and status in {"Solved", "AlmostSolved"}:
        x = _within(program, sides, near)
    if x is None:
        return Answer(None, f"failed: the solver ended with {status}", iterations, seconds)
    return Answer(x, "solved", iterations, seconds)


@dataclass
class _Solver:
    """A solver that is set up, and the rows that it has."""

    solver: Any
    rows: Floats


def _interior_point(program: Program, sides: _Sides) -> tuple[Any, float]:
    """Clarabel's solution, and the seconds that it took to take the numbers and to solve.

    (Its own count of them adds the set-up each time.) The same numbers give the same bits whatever
    was solved before.
    """
    objective = (np.triu(program.objective) != 0.0).T
    pattern = (sides.rows != 0.0, sides.has_upper, sides.has_lower, objective)
    key = (sides.n_equal, len(sides.rows), *(each.tobytes() for each in pattern))
    numbers = program.objective.T[objective]
    with _lock:
        kept = _solvers.get(key)
        start = time.perf_counter()
        if kept is None:
            kept = _Solver(_set_up(program, sides, numbers, objective), sides.rows)
            _solvers[key] = kept
            while len(_solvers) > MOST_SOLVERS:
                _solvers.popitem(last=False)
            start = time.perf_counter()
        else:
            _solvers.move_to_end(key)
            # Clarabel reads a memoryview in a third of the time that it reads an array.
            kept.solver.update(P=memoryview(numbers), q=program.linear, b=sides.limit)
            if not np.array_equal(kept.rows, sides.rows):
                matrix = sides.matrix.T
                kept.solver.update(A=matrix[matrix != 0.0])
                kept.rows = sides.rows
        return kept.solver.solve(), time.perf_counter() - start


def _set_up(program: Program, sides: _Sides, numbers: Floats, objective: Bools) -> Any:
    """A solver of the program; `numbers` of its objective are those of the mask, columns first."""
    from scipy.sparse import csc_matrix  # takes a third of a second

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.equilibrate_enable = False  # see the module's docstring
    settings.presolve_enable = False  # a solver with it cannot be used again
    settings.direct_solve_method = "qdldl"  # one thread, one order of adding
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = 1e-7
    settings.reduced_tol_feas = 1e-8
    starts = np.concatenate([[0], np.cumsum(objective.sum(axis=1))])
    triangle = csc_matrix((numbers, np.nonzero(objective)[1], starts), shape=objective.shape)
    n_below = len(sides.limit) - sides.n_equal
    cones = [clarabel.ZeroConeT(sides.n_equal)] if sides.n_equal else []
    cones += [clarabel.NonnegativeConeT(n_below)] if n_below else []
    matrix = csc_matrix(sides.matrix)
    return clarabel.DefaultSolver(triangle, program.linear, matrix, sides.limit, cones, settings)


def _exact(
    program: Program, sides: _Sides, near: Floats, price: Floats, slack: Floats
) -> Floats | None:
    """The minimum from a point near it, what its limits cost there and how far it is from them.

    A limit binds where it costs more than it is away; corrected until the optimality conditions
    hold, or None where they do not within `ROUNDS` corrections.
    """
    rows, n_rows, n_upper = sides.rows, len(sides.rows), int(np.count_nonzero(sides.has_upper))
    binds, price, limit = price > slack, price[:n_rows], sides.limit[:n_rows]
    at_upper, at_lower = np.zeros((2, len(near)), dtype=np.bool_)
    at_upper[sides.has_upper] = binds[n_rows : n_rows + n_upper]
    at_lower[sides.has_lower] = binds[n_rows + n_upper :]
    active = binds[:n_rows]
    is_equal = np.arange(n_rows) < sides.n_equal
    for _ in range(ROUNDS):
        active |= is_equal
        price = np.where(active, price, 0.0)
        x = np.where(at_lower, program.lower, np.where(at_upper, program.upper, near))
        free, held = np.flatnonzero(~(at_upper | at_lower)), np.flatnonzero(active)
        found = _newton(
            program.objective[free[:, np.newaxis], free],
            (program.objective @ x + program.linear + price @ rows)[free],
            rows[held[:, np.newaxis], free],
            (limit - rows @ x)[held],
        )
        if found is None:
            return None
        x[free] += found[: len(free)]
        price[held] += found[len(free) :]
        gradient = program.objective @ x + program.linear + price @ rows
        too_cheap = ~is_equal & (price < -OPTIMAL)
        leaves = too_cheap, at_upper & (gradient > OPTIMAL), at_lower & (gradient < -OPTIMAL)
        joins = limit - rows @ x < -EXACT, x > program.upper + EXACT, x < program.lower - EXACT
        if not np.concatenate(leaves + joins).any():
            return np.clip(x, program.lower, program.upper)
        active, at_upper, at_lower = (
            (now & ~out) | into
            for now, out, into in zip((active, at_upper, at_lower), leaves, joins, strict=True)
        )
    return None


def _newton(objective: Floats, gradient: Floats, rows: Floats, missing: Floats) -> Floats | None:
    """The step to the minimum on rows·step = missing, and the correction of the rows' prices.

    The shortest ones where the system is singular; None where there are none.
    """
    n = len(gradient)
    system = np.zeros((n + len(missing), n + len(missing)))
    system[:n, :n], system[n:, :n], system[:n, n:] = objective, rows, rows.T
    wanted = np.concatenate([-gradient, missing])

    def off(found: Floats) -> float:
        return float(np.abs(system @ found - wanted).max(initial=0.0))

    try:
        found = np.linalg.solve(system, wanted)
    except np.linalg.LinAlgError:
        found = np.full(len(wanted), np.nan)
    if not off(found) <= EXACT:
        found = np.linalg.lstsq(system, wanted)[0]
    return found if off(found) <= EXACT else None


def _within(program: Program, sides: _Sides, near: Floats) -> Floats | None:
    """The point moved the shortest way to its equations and inside its bounds."""
    x = np.clip(near, program.lower, program.upper)
    rows, limit = sides.rows, sides.limit[: len(sides.rows)]
    is_equal = np.arange(len(rows)) < sides.n_equal
    for _ in range(ROUNDS):
        slack = limit - rows @ x
        off = np.where(is_equal, np.abs(slack), -slack) > EXACT
        if not off.any():
            return x
        room = (x > program.lower) & (x < program.upper)
        x[room] += np.linalg.lstsq(rows[np.ix_(off, room)], slack[off])[0]
        x = np.clip(x, program.lower, program.upper)
    return None
