"""Probability of backtest overfitting: whether what was best in some months is good in the others.

Belongs here: combinatorially symmetric cross-validation of a sweep's returns. Does not: choosing
and earning in the order of time (`splits`), tests against a benchmark (`snooping`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.errors import FactorLabError

FEWEST_TRIALS = 2
FEWEST_MONTHS = 2
"""Of a block, after purging both of its ends."""
TIE_DECIMALS = 10
"""Sharpe ratios per month that agree to so many decimals tie: a trial and the same with leverage
differ by rounding alone."""
STILL = 1e-5
"""A block whose dispersion is at most this share of the whole history's has none. The halves are
pooled from sums of squares, which hold about 14 digits of the whole history's variance."""
MOST_CELLS = 2**20
"""Splits × trials at a time: about 60 MiB beside a few times the returns."""


@dataclass(frozen=True)
class Overfitting:
    """What `cscv` found; every figure NaN and every array empty where `note` says why.

    logits : (n_splits,) of the relative rank out of sample of what was best in sample.
    best_in, best_out : (n_splits,) its annual Sharpe ratio in and out of sample. slope, intercept :
    of the line of best_out on best_in. loss : share of splits in which it lost to cash (of active
    returns: to the benchmark). n_trials : compared; dropped : oldest months that the blocks do not
    hold.
    """

    pbo: float = np.nan
    slope: float = np.nan
    intercept: float = np.nan
    loss: float = np.nan
    logits: Floats = field(default_factory=lambda: np.empty(0))
    best_in: Floats = field(default_factory=lambda: np.empty(0))
    best_out: Floats = field(default_factory=lambda: np.empty(0))
    n_trials: int = 0
    dropped: int = 0
    note: str = ""

    @property
    def n_splits(self) -> int:
        """How many ways there were to halve the blocks."""
        return len(self.logits)

    def rows(self) -> list[dict[str, object]]:
        """Its figures as rows of `sweep_evidence`, less month, strategy and returns."""
        said = {
            "pbo": self.pbo,
            "pbo_slope": self.slope,
            "pbo_loss": self.loss,
            "pbo_splits": float(self.n_splits) if self.n_splits else np.nan,
        }
        return [
            {"statistic": name, "value": value, "low": np.nan, "high": np.nan, "note": self.note}
            for name, value in said.items()
        ]


def cscv(excess: Floats, blocks: int = 16, purge: int = 0) -> Overfitting:
    """How likely the best of a sweep in sample is no better than its median out of sample.

    The months are cut into `blocks` equal blocks. For each of the blocks!/((blocks/2)!)² ways to
    take half of them as in-sample side, the trial with the highest Sharpe ratio there is ranked
    among all C trials by its Sharpe ratio on the other side: ω = rank/(C + 1), the lowest trial
    having rank 1, and λ = ln(ω/(1 − ω)). pbo is the share of splits with λ ≤ 0.

    Parameters
    ----------
    excess : (C, T) decimal per month over cash, or over a benchmark, on a window that all trials
        have. blocks : S, even. Months that S equal blocks cannot hold are dropped from the oldest
        end. purge : holding period, months. Where a block of the in-sample side touches one of the
        other side, the `purge` months next to it are taken out of the in-sample side; the other
        side keeps all of its months, and the first and last month of the history have no neighbour.

    Returns
    -------
    Overfitting. NaN, with the reason in its note, for fewer than 2 trials that vary, a NaN among
    the returns, or blocks of fewer than 2 · purge + 2 months.

    Raises
    ------
    FactorLabError : an odd number of blocks or fewer than 2, or a negative purge.

    Notes
    -----
    λ = 0, the median itself, counts as overfitted. So trials that are exchangeable have a pbo of
    1/2 on average if C is even and of 1/2 + 1/(2C) if it is odd; and where all trials are the same,
    choosing among them is worth nothing and pbo is 1. Ties take the mean of their ranks; where
    several trials are best in sample, theirs out of sample is the mean of their ranks (and so for
    best_out and loss). A trial that does not vary in half of the blocks or more has no Sharpe ratio
    in some split; it is left out, and the note says so.

    References
    ----------
    Bailey, Borwein, López de Prado and Zhu (2017), "The probability of backtest overfitting",
    Journal of Computational Finance 20(4), section 3. doi:10.21314/JCF.2016.322. The paper neither
    purges nor has a rule for ties.

    >>> better = np.array([[0.02, 0.01], [0.0, -0.01]])
    >>> found = cscv(np.tile(better, 8), blocks=4)
    >>> found.n_splits, found.pbo, found.logits.round(3).tolist()
    (6, 0.0, [0.693, 0.693, 0.693, 0.693, 0.693, 0.693])
    """
    if blocks < 2 or blocks % 2 or purge < 0:
        raise FactorLabError(
            "the history cannot be cut like that",
            got=f"{blocks} blocks, {purge} months purged",
            expected="an even number of blocks, at least 2, and 0 or more months purged",
        )
    n_trials, n_months = excess.shape
    length = n_months // blocks
    dropped = n_months - blocks * length
    why = _why_not(excess, blocks, length, purge)
    if why:
        return Overfitting(note=why)
    kept = excess[:, dropped:].reshape(n_trials, blocks, length)
    varies = _varies(kept, purge)
    if np.count_nonzero(varies) < FEWEST_TRIALS:
        return Overfitting(
            note=f"{np.count_nonzero(varies)} of {n_trials} trials vary: at least {FEWEST_TRIALS} "
            "have to be compared"
        )
    rank, best_in, best_out, loss = _best(kept[varies], purge)
    count = int(np.count_nonzero(varies))
    logits = np.log(rank / (count + 1.0 - rank))
    slope, intercept = _line(best_in, best_out)
    left_out = n_trials - count
    return Overfitting(
        float(np.mean(logits <= 0.0)),
        slope,
        intercept,
        float(loss.mean()),
        logits,
        best_in * np.sqrt(MONTHS),
        best_out * np.sqrt(MONTHS),
        count,
        dropped,
        f"{count} trials, {len(logits)} splits of {blocks} blocks of {length} months, {purge} "
        f"purged; {dropped} oldest months dropped"
        + (f"; left out, hardly varying: {left_out} trials" if left_out else ""),
    )


def _why_not(excess: Floats, blocks: int, length: int, purge: int) -> str:
    """Why these returns cannot be cut into such blocks; empty where they can."""
    n_trials, n_months = excess.shape
    if n_trials < FEWEST_TRIALS:
        return f"{n_trials} trials: at least {FEWEST_TRIALS} have to be compared"
    needed = 2 * purge + FEWEST_MONTHS
    if length < needed:
        most = n_months // needed // 2 * 2
        fits = f"at most {most} blocks fit" if most >= 2 else "no blocks fit"
        return (
            f"{n_months} months make {blocks} blocks of {length}: with {purge} purged at either "
            f"end a block needs {needed}; {fits}"
        )
    missing = np.count_nonzero(~np.isfinite(excess).all(axis=1))
    if missing:
        return f"{missing} of {n_trials} trials have no return in some month of the window"
    return ""


def _varies(kept: Floats, purge: int) -> Bools:
    """Which trials vary within more than half of their blocks' inner months, (C,)."""
    flat = kept.reshape(len(kept), -1)
    least = NOISE * (1.0 + np.abs(flat).max(axis=1))
    whole = flat.std(axis=1, ddof=1)
    inner = kept[:, :, purge : kept.shape[2] - purge].std(axis=2, ddof=1)
    still = inner <= np.maximum(least, STILL * whole)[:, np.newaxis]
    return np.asarray((whole > least) & (2 * still.sum(axis=1) < kept.shape[1]))


def _best(kept: Floats, purge: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Of every split's best in sample: its rank among the others out of sample, its Sharpe ratios
    per month in and out of sample, and whether it lost; (n_splits,) each."""
    n_trials, blocks, length = kept.shape
    flat = kept.reshape(n_trials, -1)
    # In units of its own standard deviation about its own mean, a trial's sums of squares keep
    # their digits; the mean is given back at the end.
    spread, centre = flat.std(axis=1, keepdims=True), flat.mean(axis=1, keepdims=True)
    scaled = ((flat - centre) / spread).reshape(kept.shape)
    level = (centre / spread)[:, 0]
    sums, squares = _sums(scaled, purge), _sums(scaled**2, purge)
    months = np.repeat([float(length), float(purge), float(purge)], blocks)
    halves = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    trained = np.zeros((len(halves), blocks))
    np.put_along_axis(trained, halves, 1.0, axis=1)

    found = np.empty((4, len(halves)))
    step = max(1, MOST_CELLS // n_trials)
    for at in range(0, len(halves), step):
        sides = trained[at : at + step], 1.0 - trained[at : at + step]
        within, beyond = (
            _sharpe(weights, weights @ months, sums, squares, level)
            for weights in (_purged(sides[0]), np.pad(sides[1], ((0, 0), (0, 2 * blocks))))
        )
        found[:, at : at + step] = _of_best(within, beyond)
    rank, best_in, best_out, loss = found
    return rank, best_in, best_out, loss


def _sums(values: Floats, purge: int) -> Floats:
    """Every block's sum, that of its first and that of its last `purge` months, (3·blocks, C)."""
    length = values.shape[2]
    parts = values, values[:, :, :purge], values[:, :, length - purge :]
    return np.concatenate([part.sum(axis=2) for part in parts], axis=1).T


def _purged(trained: Floats) -> Floats:
    """What of `_sums` makes up the in-sample side: its blocks, less their first months where the
    block before is on the other side, less their last ones where the next is; (n, 3·blocks)."""
    other = 1.0 - trained
    after_other = np.zeros_like(trained)
    after_other[:, 1:] = trained[:, 1:] * other[:, :-1]
    before_other = np.zeros_like(trained)
    before_other[:, :-1] = trained[:, :-1] * other[:, 1:]
    return np.hstack([trained, -after_other, -before_other])


def _sharpe(weights: Floats, count: Floats, sums: Floats, squares: Floats, level: Floats) -> Floats:
    """Sharpe ratios per month of (n, C) splits and trials, ddof 1."""
    count = count[:, np.newaxis]
    mean = weights @ sums
    mean /= count
    variance = weights @ squares
    variance -= count * mean**2
    variance /= count - 1.0
    mean += level
    mean /= np.sqrt(variance)
    return np.asarray(mean.round(TIE_DECIMALS))


def _of_best(within: Floats, beyond: Floats) -> Floats:
    """Rank, both Sharpe ratios and loss of each row's best, (4, n); the mean of several bests."""
    from scipy.stats import rankdata  # takes a third of a second that only sweeps need

    n = len(within)
    top = within.max(axis=1)
    is_best = within == top[:, np.newaxis]
    found = np.empty((4, n))
    found[1] = top
    alone = is_best.sum(axis=1) == 1
    own = beyond[alone, is_best[alone].argmax(axis=1)]
    others = beyond[alone]
    below = (others < own[:, np.newaxis]).sum(axis=1)
    level = (others == own[:, np.newaxis]).sum(axis=1)
    found[[0, 2, 3]] = np.nan
    found[0, alone] = below + (level + 1.0) / 2.0
    found[2, alone], found[3, alone] = own, own < 0.0
    shared = is_best[~alone]
    if len(shared):
        others = beyond[~alone]
        each = rankdata(others, axis=1), others, others < 0.0
        found[[[0], [2], [3]], np.flatnonzero(~alone)] = [
            np.mean(values, axis=1, where=shared) for values in each
        ]
    return found


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept (annual) of y on x; NaN where x does not vary."""
    apart = x - x.mean()
    size = float(apart @ apart)
    if size <= len(x) * 10.0 ** (-2 * TIE_DECIMALS):
        return np.nan, np.nan
    slope = float(apart @ y) / size
    return slope, float(y.mean() - slope * x.mean()) * float(np.sqrt(MONTHS))
