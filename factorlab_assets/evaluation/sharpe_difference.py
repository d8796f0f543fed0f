"""Whether two series differ in their Sharpe ratio: the test of Ledoit and Wolf, for a pair or all.

Belongs here: differences of Sharpe ratios, their standard errors and p-values. Does not: choosing
what is compared, or over which months (`compare`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import NOISE
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.sharpe import ANNUAL, moments

LEAST = 24
"""Months below which nothing is tested: the autoregression of four series takes 16 coefficients."""
BLOCK = 5
"""Months per block of the bootstrap, the default of the authors' own program."""
PARZEN = 2.6614
"""Andrews' constant for the Parzen kernel."""
NO_ERROR = "nothing to test: the error is 0, as where one series is a multiple of the other"
MOST_PERSISTENT = 0.97
"""The largest singular value that the autoregression may have."""
AT_ONCE = 1000
"""Pairs whose months are held in memory together."""


@dataclass(frozen=True)
class Difference:
    """Annual Sharpe ratio of a less that of b, its annual standard error, and how likely so large a
    difference of either sign is where there is none: by HAC errors and by the bootstrap. NaN where
    there is none, with the reason in `note`."""

    difference: float
    se: float
    p_value: float
    p_bootstrap: float
    note: str


@dataclass(frozen=True)
class Differences:
    """All pairs: (C, C), row less column, annual; the diagonal is 0 with NaN errors and p-values.

    n_months : months in which every series has a return; the tests are over these alone.
    """

    difference: Floats
    se: Floats
    p_value: Floats
    n_months: int


def difference(
    a: Floats, b: Floats, draws: int = 0, seed: int = 0, block: int = BLOCK
) -> Difference:
    """The difference of two annual Sharpe ratios, √12·(SR_a − SR_b), and whether it may be chance.

    p_value = 2Φ(−|Δ|/se) with se of `standard_errors`; p_bootstrap = (1 + #{d* ≥ d})/(1 + draws) of
    d = |Δ|/se against d* = |Δ* − Δ|/se* over circular block resamples of the pairs of months, se*
    from the blocks' own sums.

    Parameters
    ----------
    a, b : (T,) excess returns, decimal per month; months where either is NaN are left out and their
        neighbours then adjoin. Each is first divided by its standard deviation, so that nothing
        depends on its unit or leverage.
    draws : resamples; 0 is no bootstrap. seed : of numpy's default generator. block : months.

    Raises
    ------
    FactorLabError : `block` is not 1 to half the months.

    Notes
    -----
    NaN with the reason: under 24 months, a constant series, or two series of which one is a
    multiple of the other (an error of 0 tests nothing).

    References
    ----------
    Ledoit and Wolf (2008), "Robust performance hypothesis testing with the Sharpe ratio", Journal
    of Empirical Finance 15, 850–859, doi:10.1016/j.jempfin.2008.03.002. Deviations: the division by
    the standard deviation; a given block in place of their calibration; months that fill no block
    are not drawn.

    >>> months = np.array([0.02, -0.01, 0.03, 0.0] * 6)
    >>> difference(months, 2.0 * months).note
    'nothing to test: the error is 0, as where one series is a multiple of the other'
    """
    both = np.stack([a, b], axis=-1)
    both = both[~np.isnan(both).any(axis=-1)]
    if len(both) < LEAST:
        return _nothing(f"{len(both)} months in common, at least {LEAST} are needed")
    ratios = moments(both.T).sharpe
    if np.isnan(ratios).any():
        return _nothing("the returns of one series are constant")
    if not 1 <= block <= len(both) // 2:
        expected = f"1 to {len(both) // 2}, half the months"
        raise FactorLabError("block length out of range", got=block, expected=expected)
    scaled = both / both.std(axis=0, ddof=1)
    apart = float(ratios[0] - ratios[1])
    se = float(standard_errors(scaled[None])[0])
    note = f"{len(both)} months; Parzen kernel after an autoregression"
    if not se > NOISE:
        return _nothing(NO_ERROR, apart)
    p_bootstrap = np.nan
    if draws:
        p_bootstrap = _bootstrap(scaled, apart, abs(apart) / se, draws, seed, block)
        note += f"; {draws} draws in blocks of {block} months, seed {seed}"
    p_value = float(2.0 * ndtr(-abs(apart) / se))
    return Difference(apart * ANNUAL, se * ANNUAL, p_value, p_bootstrap, note)


def differences(returns: Floats) -> Differences:
    """`difference` of every pair of rows by HAC errors, over the months that all rows have.

    Parameters
    ----------
    returns : (C, T) excess returns, decimal per month.

    Notes
    -----
    NaN where `difference` is: everywhere under 24 common months.
    """
    common = returns[:, ~np.isnan(returns).any(axis=0)]
    count, months = common.shape
    if months < LEAST:
        empty = np.full((count, count), np.nan)
        return Differences(empty, empty.copy(), empty.copy(), months)
    ratios = moments(common).sharpe
    known = np.isfinite(ratios)
    scaled = common / np.where(known, common.std(axis=1, ddof=1), np.nan)[:, None]
    first, second = np.triu_indices(count, 1)
    tested = known[first] & known[second]
    first, second = first[tested], second[tested]
    errors = np.full(len(first), np.nan)
    for begin in range(0, len(first), AT_ONCE):
        chunk = slice(begin, begin + AT_ONCE)
        errors[chunk] = standard_errors(np.stack([scaled[first[chunk]], scaled[second[chunk]]], -1))
    se = np.full((count, count), np.nan)
    se[first, second] = se[second, first] = np.where(errors > NOISE, errors, np.nan)
    apart = ratios[:, None] - ratios[None, :]
    return Differences(apart * ANNUAL, se * ANNUAL, 2.0 * ndtr(-np.abs(apart) / se), months)


def standard_errors(pairs: Floats, prewhiten: bool = True) -> Floats:
    """Asymptotic standard errors of SR_a − SR_b per month, allowing for dependence over time, (P,).

    √(g'Ψg/T): g the gradient of SR_a − SR_b by the means and second moments v = (a, b, a², b²),
    Ψ the long-run covariance of v by the Parzen kernel with Andrews' bandwidth 2.6614·(α·T)^(1/5),
    α from an AR(1) of each of the four, and T/(T − 4). With `prewhiten` Ψ is that of the residuals
    of a VAR(1) with singular values of at most 0.97, recoloured.

    Parameters
    ----------
    pairs : (P, T, 2), no NaN. The bandwidth and the singular values depend on the units of the two
        series (in decimals squares are so small that 0.97 is passed by white noise): `difference`
        gives both the standard deviation 1.

    References
    ----------
    Ledoit and Wolf (2008), section 3.1, and the program that accompanies it. Andrews (1991),
    Econometrica 59, 817–858, doi:10.2307/2938229. Andrews and Monahan (1992), Econometrica 60,
    953–966, doi:10.2307/2951574.
    """
    mean, second = pairs.mean(axis=1), (pairs**2).mean(axis=1)
    months = pairs.shape[1]
    gradient = _gradient(mean, second)
    around = np.concatenate([pairs - mean[:, None], pairs**2 - second[:, None]], axis=2)
    if prewhiten:
        around, gradient = _whitened(around, gradient)
    bandwidth = _bandwidth(around)
    series = np.einsum("ptk,pk->pt", around, gradient)
    left = series.shape[1]
    total = (series**2).sum(axis=1)
    for lag in range(1, int(np.ceil(bandwidth.max(initial=0.0)))):
        weight = _parzen(lag / bandwidth)
        total += 2.0 * weight * (series[:, lag:] * series[:, : left - lag]).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(total, 0.0) / (left - 4.0) / months))


def _gradient(mean: Floats, second: Floats) -> Floats:
    """(…, 4): of SR_a − SR_b by both means, then by both second moments; inputs (…, 2)."""
    cubed = (second - mean**2) ** 1.5
    signs = np.array([1.0, -1.0])
    return np.concatenate([signs * second / cubed, -0.5 * signs * mean / cubed], axis=-1)


def _whitened(around: Floats, gradient: Floats) -> tuple[Floats, Floats]:
    """The residuals of a VAR(1) of each (T, 4), (P, T − 1, 4), and g'(I − A)⁻¹, which recolours."""
    before, after = around[:, :-1], around[:, 1:]
    turned = before.transpose(0, 2, 1)
    inverse = np.linalg.pinv(turned @ before, rcond=1e-12, hermitian=True)
    left, size, right = np.linalg.svd((inverse @ (turned @ after)).transpose(0, 2, 1))
    slopes = (left * np.minimum(size, MOST_PERSISTENT)[:, None, :]) @ right
    residual = after - before @ slopes.transpose(0, 2, 1)
    open_loop = np.eye(around.shape[2]) - slopes
    recolour = np.linalg.solve(open_loop.transpose(0, 2, 1), gradient[..., None])[..., 0]
    return residual, recolour


def _bandwidth(around: Floats) -> Floats:
    """Andrews' bandwidth of each (T, 4), at most T − 1."""
    months = around.shape[1]
    before, after = around[:, :-1], around[:, 1:]
    before = before - before.mean(axis=1, keepdims=True)
    after = after - after.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = (before * after).sum(axis=1) / (before**2).sum(axis=1)
        power = ((after - rho[:, None] * before) ** 2).mean(axis=1) ** 2
        alpha = (4.0 * rho**2 * power / (1.0 - rho) ** 8).sum(axis=1)
        alpha /= (power / (1.0 - rho) ** 4).sum(axis=1)
    wide = np.nan_to_num(PARZEN * (alpha * months) ** 0.2, nan=0.0, posinf=np.inf)
    return np.asarray(np.clip(wide, 1.0, months - 1.0))


def _parzen(at: Floats) -> Floats:
    at = np.minimum(at, 1.0)
    return np.where(at <= 0.5, 1.0 - 6.0 * at**2 + 6.0 * at**3, 2.0 * (1.0 - at) ** 3)


def _bootstrap(
    both: Floats, apart: float, statistic: float, draws: int, seed: int, block: int
) -> float:
    """The share of resamples, counting the series itself, whose statistic is at least as large; one
    whose own error is 0 counts as larger. All that a resample needs is the means of its blocks."""
    powers = np.concatenate([both, both**2], axis=1)
    around = np.concatenate([powers, powers[: block - 1]])
    means = np.lib.stride_tricks.sliding_window_view(around, block, axis=0).mean(axis=-1)
    rng = np.random.default_rng(seed)
    blocks = means[rng.integers(len(both), size=(draws, len(both) // block))]
    months = blocks.shape[1] * block
    overall = blocks.mean(axis=1)
    mean, second = overall[:, :2], overall[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = mean / np.sqrt((second - mean**2) * months / (months - 1.0))
        sums = np.einsum("dlk,dk->dl", blocks - overall[:, None], _gradient(mean, second))
        se = np.sqrt(block * (sums**2).mean(axis=1) / months)
        smaller = np.abs(ratios[:, 0] - ratios[:, 1] - apart) / se < statistic
    return float((1 + np.count_nonzero(~smaller)) / (draws + 1))


def _nothing(note: str, apart: float = np.nan) -> Difference:
    return Difference(apart * ANNUAL, np.nan, np.nan, np.nan, note)
