"""Data snooping: whether the best of many trials beats the benchmark by more than luck would.

Belongs here: Hansen's SPA, White's reality check and Romano and Wolf's StepM over a sweep. Does
not: one strategy's own significance (`inference`), overfitting (`overfitting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import NOISE
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.resample import block_length

FEWEST_MONTHS = 24
MOST_LISTED = 5


@dataclass(frozen=True)
class Snooping:
    """What `snooping` found; p-values are NaN where `note` says why.

    lower, consistent, upper : Hansen's p-values. reality_check : White's. superior : the rows of
    the trials that StepM finds better than the benchmark, ascending; None where nothing was tested.
    block : mean length of a bootstrap block, months.
    """

    lower: float = np.nan
    consistent: float = np.nan
    upper: float = np.nan
    reality_check: float = np.nan
    superior: tuple[int, ...] | None = None
    block: int = 0
    note: str = ""

    def rows(self, names: list[str]) -> list[dict[str, object]]:
        """Its figures as rows of `sweep_evidence`, less month, strategy and returns."""
        said = {
            "spa_lower": self.lower,
            "spa_consistent": self.consistent,
            "spa_upper": self.upper,
            "reality_check": self.reality_check,
        }
        notes = dict.fromkeys(said, self.note)
        said["stepm"], notes["stepm"] = np.nan, self.note
        if self.superior is not None:
            said["stepm"] = float(len(self.superior))
            listed = ", ".join(names[i] for i in self.superior[:MOST_LISTED]) or "none"
            more = len(self.superior) - MOST_LISTED
            notes["stepm"] = listed + (f" and {more} more" if more > 0 else "")
        return [
            {"statistic": name, "value": value, "low": np.nan, "high": np.nan, "note": notes[name]}
            for name, value in said.items()
        ]


def snooping(
    active: Floats, level: float = 0.95, draws: int = 2_000, seed: int = 0, block: int | None = None
) -> Snooping:
    """p-values of "no trial has a higher mean return than the benchmark", and who has.

    With d̄_k the mean active return of trial k over T months, s_k the standard deviation of its
    active returns, ω_k² the variance of √T·d̄_k under the stationary bootstrap and d̄*_k the mean of
    a bootstrap draw:
    SPA: max_k d̄_k/s_k against max_k (d̄*_k − g(d̄_k))/s_k, p the share of draws above it, with
    g(x) = max(x, 0) (lower), x where x ≥ −ω_k·√(2·ln ln T/T) else 0 (consistent), x (upper).
    Reality check: max_k d̄_k against max_k (d̄*_k − d̄_k), not studentised.
    StepM: trials with d̄_k/s_k above the `level` quantile of SPA's consistent maxima are superior;
    they are set aside, and again, until none is found: with probability `level`, asymptotically,
    every trial named has a higher mean than the benchmark.

    Parameters
    ----------
    active : (C, T) decimal per month, net less benchmark, on a window that all trials have. More is
        better; `arch` takes losses, of which a trial's are −active/s and the benchmark's are 0.
    level, draws, seed : of the bootstrap. block : its mean block, months; None is what
        `resample.block_length` says of the trial with the highest d̄_k/s_k, rounded up.

    Returns
    -------
    Snooping. NaN with the reason in its note for no trials or none that varies, a NaN among the
    returns, or fewer than 24 months. Trials whose spread is only rounding are left out, and the
    note says so.

    Raises
    ------
    FactorLabError : level not in (0, 1), no draws, or a block below 1.

    Notes
    -----
    A p-value is a share of `draws`: 0 means below 1/draws. Memory: 24 · C · draws bytes, twice.
    Hansen divides by an estimate of ω_k. Any scale gives a valid test, as the draws are divided by
    the same; but one from blocks is so uncertain over 240 months that the largest ratio of 800
    trials without skill was found significant at 5 % in 7 of 24 samples (blocks of 7 months), with
    s_k in none. arch 8.0 divides by neither, whatever `studentize` says, and its StepM fails where
    all trials are superior: so returns are divided before, and the steps are made here.

    References
    ----------
    Hansen (2005), Journal of Business & Economic Statistics 23(4), 365-380,
    doi:10.1198/073500105000000063. White (2000), Econometrica 68(5), 1097-1126,
    doi:10.1111/1468-0262.00152. Romano and Wolf (2005), Econometrica 73(4), 1237-1282,
    doi:10.1111/j.1468-0262.2005.00615.x; with SPA's consistent recentring in place of theirs, as
    arch does it.

    >>> rng = np.random.default_rng(0)
    >>> active = 0.02 * rng.standard_normal((3, 120)) + [[0.02], [0.0], [0.0]]
    >>> found = snooping(active, draws=200)
    >>> found.consistent, found.superior
    (0.0, (0,))
    """
    if not 0.0 < level < 1.0 or draws < 1 or (block is not None and block < 1):
        raise FactorLabError(
            "the bootstrap cannot be drawn",
            got=f"level {level}, {draws} draws, blocks of {block or 0} months",
            expected="a level between 0 and 1, at least one draw, blocks of at least a month",
        )
    n_trials, n_months = active.shape
    why = _why_not(active)
    if why:
        return Snooping(note=why)
    spread = active.std(axis=1, ddof=1)
    varies = spread > NOISE * (1.0 + np.abs(active).max(axis=1))
    if not varies.any():
        return Snooping(note=f"none of {n_trials} trials varies against the benchmark")
    tested = active[varies]
    scaled = tested / spread[varies, np.newaxis]
    if block is None:
        block = int(np.ceil(block_length(scaled[scaled.mean(axis=1).argmax()])))
    spa = _spa(scaled, draws, seed, block)
    lower, consistent, upper = (float(p) for p in spa.pvalues)
    superior = np.flatnonzero(varies)[_stepped(spa, 1.0 - level, len(tested))]
    check = float(_spa(tested, draws, seed, block).pvalues["upper"])
    still = n_trials - len(tested)
    return Snooping(
        lower,
        consistent,
        upper,
        check,
        tuple(superior.tolist()),
        block,
        f"{len(tested)} trials, {n_months} months, {draws} draws of the stationary bootstrap with "
        f"blocks of {block} months on average, seed {seed}"
        + (f"; left out, as they do not vary: {still} trials" if still else ""),
    )


def _why_not(active: Floats) -> str:
    n_trials, n_months = active.shape
    if n_trials == 0:
        return "no trials"
    if n_months < FEWEST_MONTHS:
        return f"{n_months} months: at least {FEWEST_MONTHS} are needed"
    missing = np.count_nonzero(~np.isfinite(active).all(axis=1))
    if missing:
        return f"{missing} of {n_trials} trials have no active return in some month of the window"
    return ""


def _spa(better: Floats, draws: int, seed: int, block: int) -> Any:
    """arch's SPA, computed, of trials (C, T) of which more is better, against 0."""
    from arch.bootstrap import SPA  # takes seconds to import

    losses = np.ascontiguousarray(-better.T)
    spa = SPA(np.zeros(len(losses)), losses, block_size=block, reps=draws, seed=seed)
    spa.compute()
    return spa


def _stepped(spa: Any, size: float, count: int) -> Bools:
    """Which trials are superior, (C,): step by step, without those already found."""
    superior = np.zeros(count, dtype=np.bool_)
    while not superior.all():
        spa.subset(~superior)
        spa.compute()
        found = spa.better_models(size, "consistent")
        if len(found) == 0:
            break
        superior[found] = True
    return superior
