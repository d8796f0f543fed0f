"""How sure a Sharpe ratio is: its interval, its probability after many trials, and its haircut.

Belongs here: statistics of one series' Sharpe ratio, or of many series' side by side. Does not:
counting the trials (`trials`), comparing two series (`sharpe_difference`), or drawing resamples
(`resample`).
Monthly excess returns in, decimals; a ratio is per month unless it says annual, which is ·√12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import resample

LEAST = 12
"""Months below which no interval is given."""
ANNUAL = math.sqrt(MONTHS)
"""From a ratio per month to the annual one."""
AT_ONCE = 10_000
"""Resamples held in memory together."""
Method = Literal["bonferroni", "holm", "bhy"]


@dataclass(frozen=True)
class Moments:
    """What the probabilities need to know of series of excess returns; each array (...).

    n : months that are part. sharpe : mean/sd per month (ddof 1). skewness, kurtosis : standardised
    third and fourth moments with divisor n, the kurtosis plain (a normal distribution has 3).
    NaN where fewer than two months are part, or where their spread is only rounding.
    """

    n: Floats
    sharpe: Floats
    skewness: Floats
    kurtosis: Floats


@dataclass(frozen=True)
class Interval:
    """An annual Sharpe ratio, its confidence interval and its standard error, all annual; NaN where
    there is none, and `note` says how it was made or why not."""

    value: float
    low: float
    high: float
    se: float
    note: str


@dataclass(frozen=True)
class Haircuts:
    """Annual Sharpe ratios after allowing for the other trials, each (...), never below 0."""

    bonferroni: Floats
    holm: Floats
    bhy: Floats


def moments(excess: Floats) -> Moments:
    """The moments of each series along the last axis.

    Parameters
    ----------
    excess : (..., T) decimal per month; NaN = the month is not part of the series.

    Notes
    -----
    Skewness and kurtosis are the plain sample moments of Bailey and López de Prado's own program;
    pandas and ffn use bias-corrected ones, which differ by terms of 1/n.

    >>> moments(np.array([[0.1, -0.1, 0.3, np.nan], [0.1, 0.1, 0.1, 0.1]])).sharpe.round(6).tolist()
    [0.5, nan]
    """
    part = ~np.isnan(excess)
    n = part.sum(axis=-1).astype(np.float64)
    some = np.where(n > 0.0, n, np.nan)
    held = np.where(part, excess, 0.0)
    mean = held.sum(axis=-1) / some
    apart = np.where(part, held - mean[..., None], 0.0)
    squares = (apart**2).sum(axis=-1)
    spread = np.sqrt(squares / np.maximum(n - 1.0, 1.0))
    noise = NOISE * (1.0 + np.abs(held).max(axis=-1, initial=0.0))
    spread = np.where(spread > noise, spread, np.nan)
    standard = apart / (np.sqrt((some - 1.0) / some) * spread)[..., None]
    square = standard * standard
    return Moments(
        n=n,
        sharpe=mean / spread,
        skewness=(square * standard).sum(axis=-1) / some,
        kurtosis=(square * square).sum(axis=-1) / some,
    )


def lo(excess: Floats, level: float, lags: int | None = None) -> Interval:
    """The annual Sharpe ratio with the asymptotic interval that allows for autocorrelation.

    value = √12·SR; low, high = value ∓ z·se, z the normal quantile of (1 + level)/2, and
    se = √12·√(V/T) with V the long-run variance, by Bartlett weights 1 − j/(lags + 1), of
    u_t = z_t − SR/2·(z_t² − 1), z_t = (x_t − μ)/σ: the delta method on the moments (μ, σ²).
    Within the errors σ² has the divisor T, as in the paper. The note gives the error that
    independent normal months would have, √12·√((1 + SR²/2)/T), and the annual ratio of
    autocorrelated months, η(12)·SR with η(q) = q/√(q + 2·Σ_{k<q} (q − k)·ρ_k). The interval is of
    √12·SR, the ratio that every table shows, not of η(12)·SR.

    Parameters
    ----------
    excess : (T,) decimal per month; NaN months are left out and their neighbours then adjoin.
    level : of confidence, in (0, 1). lags : of the long-run variance, 0 to T − 1; None is
        ⌊4·(T/100)^(2/9)⌋, the rule of thumb after Newey and West (1994).

    Raises
    ------
    FactorLabError : `lags` is not in its range.

    Notes
    -----
    All NaN, with the reason, for under 12 months or a constant series; only the interval where the
    long-run variance is 0 but for rounding.

    References
    ----------
    Lo (2002), "The statistics of Sharpe ratios", Financial Analysts Journal 58(4), 36–52,
    doi:10.2469/faj.v58.n4.2453: iid and GMM errors, time aggregation. Newey and West (1994), Review
    of Economic Studies 61, 631–653, doi:10.2307/2297912: the number of lags.
    """
    series = excess[~np.isnan(excess)]
    ratio, reason = _ratio(series)
    if reason:
        return _nothing(reason)
    months = len(series)
    if lags is None:
        lags = int(4.0 * (months / 100.0) ** (2.0 / 9.0))
    if not 0 <= lags < months:
        raise FactorLabError("lags out of range", got=lags, expected=f"0 to {months - 1}")
    apart = (series - series.mean()) / series.std()
    plain = series.mean() / series.std()
    influence = apart - 0.5 * plain * (apart**2 - 1.0)
    covariance = resample.autocovariance(influence, lags)
    weights = 1.0 - np.arange(1, lags + 1) / (lags + 1.0)
    long_run = covariance[0] + 2.0 * float(weights @ covariance[1:])
    independent = ANNUAL * math.sqrt((1.0 + 0.5 * plain**2) / months)
    note = (
        f"{months} months; Newey–West with {lags} lags; independent normal months would give a"
        f" standard error of {independent:.2f}; allowing for autocorrelation the annual ratio"
        f" itself is {_aggregated(apart, ratio):.2f}"
    )
    value = ratio * ANNUAL
    if not long_run > NOISE:
        empty = f"{note}; no interval: the long-run variance of the ratio is 0"
        return Interval(value, np.nan, np.nan, np.nan, empty)
    se = ANNUAL * math.sqrt(long_run / months)
    reach = float(ndtri(0.5 * (1.0 + level))) * se
    return Interval(value, value - reach, value + reach, se, note)


def bootstrap(excess: Floats, level: float, draws: int, seed: int) -> Interval:
    """The annual Sharpe ratio with the percentile interval of its stationary bootstrap.

    value = √12·SR of the series; low, high = the (1 ∓ level)/2 quantiles of √12·SR over the
    resamples (linear interpolation), se = their standard deviation. The mean block is that of
    `resample.block_length`.

    Parameters
    ----------
    excess : (T,) decimal per month; NaN months are left out and their neighbours then adjoin.
    level : of confidence, in (0, 1). draws : resamples. seed : of numpy's default generator.

    Notes
    -----
    All NaN, with the reason, for under 12 months or a constant series. A resample that is constant
    is left out, and the note counts them.

    References
    ----------
    Politis and Romano (1994), doi:10.1080/01621459.1994.10476870.
    """
    series = excess[~np.isnan(excess)]
    ratio, reason = _ratio(series)
    if reason:
        return _nothing(reason)
    block = resample.block_length(series)
    rng = np.random.default_rng(seed)
    sizes = [min(AT_ONCE, draws - begin) for begin in range(0, draws, AT_ONCE)]
    ratios = np.concatenate([_drawn(series, size, block, rng) for size in sizes])
    annual = ratios[~np.isnan(ratios)] * ANNUAL
    note = f"{len(series)} months; {draws} draws in blocks of {block:.1f} months, seed {seed}"
    if len(annual) < draws:
        note += f"; {draws - len(annual)} constant resamples left out"
    if len(annual) < 2:
        return _nothing(note)
    low, high = np.quantile(annual, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    value = ratio * ANNUAL
    return Interval(value, float(low), float(high), float(annual.std(ddof=1)), note)


def probabilistic(m: Moments, against: float | Floats = 0.0) -> Floats:
    """The probability that the true Sharpe ratio is above `against`, given the months seen.

    PSR = Φ((SR − against)·√(n − 1)/√(1 − γ3·SR + (γ4 − 1)/4·SR²)), γ3 skewness, γ4 plain kurtosis.

    Parameters
    ----------
    m : arrays (...). against : ratio per month, broadcast.

    Returns
    -------
    (...) in [0, 1]; NaN below three months, without a Sharpe ratio, or where the root is of 0.

    References
    ----------
    Bailey and López de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk 15(2),
    3–44, doi:10.21314/JOR.2012.255.
    """
    scale = np.sqrt(np.maximum(m.n - 1.0, 0.0) / _error(m))
    return np.asarray(ndtr(np.where(m.n >= 3.0, (m.sharpe - against) * scale, np.nan)))


def expected_maximum(n: float, variance: float) -> float:
    """The best Sharpe ratio per month that `n` trials without skill are expected to show.

    √variance·((1 − γ)·Z(1 − 1/n) + γ·Z(1 − 1/(n·e))), γ the Euler–Mascheroni constant, Z the normal
    quantile; exactly 0 for one trial.

    Parameters
    ----------
    n : trials, at least 1; an effective number may be a fraction, and where the formula is then
        below 0 (n < 1.28) it is 0. variance : of the trials' ratios per month; NaN = not known.

    Raises
    ------
    FactorLabError : n below 1, or a variance below 0.

    Notes
    -----
    NaN for more than one trial of unknown variance. The formula is a limit for many trials: 8 %
    below the expectation at n = 2, 2.5 % above at 5, 1 % above at 100.

    References
    ----------
    Bailey and López de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio Management
    40(5), 94–107, doi:10.3905/jpm.2014.40.5.094.

    >>> round(expected_maximum(100, 0.5 / 250), 4)
    0.1132
    """
    if not n >= 1.0 or variance < 0.0:
        got = f"{n} trials, variance {variance}"
        raise FactorLabError("no such trials", got=got, expected="at least 1, and 0 or more")
    if n == 1.0:
        return 0.0
    first, second = ndtri(1.0 - 1.0 / n), ndtri(1.0 - 1.0 / (n * np.e))
    best = (1.0 - np.euler_gamma) * first + np.euler_gamma * second
    return float(np.sqrt(variance) * max(best, 0.0))


def deflated(m: Moments, n: float, variance: float) -> Floats:
    """The probability that the true Sharpe ratio is above 0, seen as the best of `n` trials:
    `probabilistic` against `expected_maximum`, of the same paper; for n = 1 exactly PSR against 0.
    """
    return probabilistic(m, expected_maximum(n, variance))


def min_track_record(m: Moments, against: float | Floats, level: float) -> Floats:
    """Months after which `probabilistic(m, against)` reaches `level`, should the moments stay.

    1 + (1 − γ3·SR + (γ4 − 1)/4·SR²)·(Z(level)/(SR − against))², not rounded.

    Parameters
    ----------
    m : arrays (...); its `n` plays no part. against : ratio per month. level : above 0.5.

    Returns
    -------
    (...) months; NaN where the ratio is not above `against`: no length would do.

    References
    ----------
    Bailey and López de Prado (2012), doi:10.21314/JOR.2012.255.
    """
    lead = m.sharpe - against
    lead = np.where(lead > 0.0, lead, np.nan)
    return np.asarray(1.0 + _error(m) * (ndtri(level) / lead) ** 2)


def p_values(m: Moments) -> Floats:
    """How likely so large a ratio of either sign is without skill, (...): 2·P(t_{n−1} > SR·√n) for
    SR > 0, and 1 for SR ≤ 0; NaN without a ratio."""
    tails = 2.0 * stdtr(m.n - 1.0, -m.sharpe * np.sqrt(m.n))
    return np.asarray(np.where(np.isnan(m.sharpe), np.nan, np.minimum(tails, 1.0)))


def adjusted(p: Floats, n: int, method: Method) -> Floats:
    """P-values that allow for `n` tests, of which those known are `p`.

    With p_(1) ≤ p_(2) ≤ …: bonferroni n·p · holm max_{j≤i} (n − j + 1)·p_(j) · bhy (Benjamini and
    Yekutieli) min_{j≥i} n·c(n)/j·p_(j) with c(n) = Σ_{j≤n} 1/j; all at most 1.

    Parameters
    ----------
    p : (C,); NaN = not known. The tests that are not known, n less those that are, count as p = 1.

    Raises
    ------
    FactorLabError : n below the number of known p-values.
    """
    known = np.flatnonzero(~np.isnan(p))
    if n < len(known):
        raise FactorLabError("fewer tests than p-values", got=n, expected=f"at least {len(known)}")
    order = known[np.argsort(p[known], kind="stable")]
    rank = np.arange(1, len(order) + 1)
    if method == "bonferroni":
        steps = n * p[order]
    elif method == "holm":
        steps = np.maximum.accumulate((n - rank + 1) * p[order])
    else:
        scaled = n * (1.0 / np.arange(1, n + 1)).sum() / rank * p[order]
        steps = np.minimum.accumulate(scaled[::-1])[::-1]
    out = np.full(len(p), np.nan)
    out[order] = np.minimum(steps, 1.0)
    return out


def haircut(m: Moments, n: int) -> Haircuts:
    """The annual Sharpe ratio of each trial that would be as significant alone as it is among all.

    p → `adjusted` p → t = T⁻¹_{months−1}(1 − p/2) → t/√months·√12.

    Parameters
    ----------
    m : arrays (C,), all trials known, a strategy's own among them. n : trials in all, at least C
        with a ratio; failed ones and those made elsewhere count as p = 1.

    Returns
    -------
    (C,) each; 0 where the ratio is not above 0 or the adjusted p is 1; NaN without a ratio.

    References
    ----------
    Harvey and Liu (2015), "Backtesting", Journal of Portfolio Management 42(1), 13–28,
    doi:10.3905/jpm.2015.42.1.013. Deviations: the other trials' p-values are the ledger's, not
    simulated; the largest p is scaled by c(n) like the others under bhy, as Benjamini and Yekutieli
    (2001), doi:10.1214/aos/1013699998, have it; no correction for autocorrelation.
    """
    p = p_values(m)
    return Haircuts(
        bonferroni=_annual(adjusted(p, n, "bonferroni"), m),
        holm=_annual(adjusted(p, n, "holm"), m),
        bhy=_annual(adjusted(p, n, "bhy"), m),
    )


def _annual(p: Floats, m: Moments) -> Floats:
    """The annual ratio of this p-value; the series' own where p is too small to have another."""
    with np.errstate(invalid="ignore"):
        t = -stdtrit(m.n - 1.0, 0.5 * p)
    ratio = np.where(p > 0.0, t / np.sqrt(m.n), m.sharpe)
    return np.asarray(np.clip(np.minimum(ratio, m.sharpe), 0.0, None) * ANNUAL)


def _error(m: Moments) -> Floats:
    """(n − 1) times the variance of the Sharpe ratio; NaN where it is not above 0."""
    error = 1.0 - m.skewness * m.sharpe + 0.25 * (m.kurtosis - 1.0) * m.sharpe**2
    return np.asarray(np.where(error > NOISE, error, np.nan))


def _ratio(series: Floats) -> tuple[float, str]:
    """The ratio per month, or why there is none."""
    if len(series) < LEAST:
        return np.nan, f"{len(series)} months, at least {LEAST} are needed"
    ratio = float(moments(series).sharpe)
    return ratio, "" if np.isfinite(ratio) else "the returns are constant"


def _drawn(series: Floats, draws: int, block: float, rng: np.random.Generator) -> Floats:
    """The ratios of resamples, (draws,); NaN where one is constant."""
    sample = series[resample.stationary(len(series), draws, block, rng)]
    spread = sample.std(axis=1, ddof=1)
    noise = NOISE * (1.0 + np.abs(series).max())
    return np.asarray(sample.mean(axis=1) / np.where(spread > noise, spread, np.nan))


def _nothing(note: str) -> Interval:
    return Interval(np.nan, np.nan, np.nan, np.nan, note)


def _aggregated(apart: Floats, ratio: float) -> float:
    """η(12)·SR of standardised months; NaN where the annual variance is 0."""
    k = np.arange(1, MONTHS)
    years = MONTHS + 2.0 * float((MONTHS - k) @ resample.autocovariance(apart, MONTHS - 1)[1:])
    return float(MONTHS / np.sqrt(years) * ratio) if years > NOISE else np.nan
