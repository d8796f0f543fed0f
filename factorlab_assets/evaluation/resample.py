"""Resamples of a series that keep its dependence: which months follow which, drawn many at once.

Belongs here: drawing month numbers in blocks, and how long blocks should be. Does not: the
statistics of a resample (`sharpe`, `sharpe_difference`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats

Ints = npt.NDArray[np.int64]
FEWEST_INSIDE = 5
"""K_n of Politis and White: so many autocorrelations in a row in the band end the dependence."""


def stationary(months: int, draws: int, block: float, rng: np.random.Generator) -> Ints:
    """Month numbers of stationary bootstrap resamples, (draws, months).

    A resample starts at a month drawn evenly; each further month is with probability 1/block drawn
    evenly anew, else the one after the last, the first following the last of the series. So blocks
    have geometric lengths of mean `block`, and block = 1 draws independent months.

    References
    ----------
    Politis and Romano (1994), "The stationary bootstrap", Journal of the American Statistical
    Association 89, 1303–1313, doi:10.1080/01621459.1994.10476870.
    """
    starts = rng.integers(months, size=(draws, months))
    fresh = rng.random((draws, months)) < 1.0 / block
    fresh[:, 0] = True
    places = np.arange(months)
    began = np.maximum.accumulate(np.where(fresh, places, 0), axis=1)
    chosen: Ints = np.take_along_axis(starts, began, axis=1)
    chosen += places - began
    chosen[chosen >= months] -= months
    return chosen


def block_length(values: Floats) -> float:
    """The mean block, in months, that the stationary bootstrap of this series' mean should have.

    b = (|G|/D)^(2/3) · n^(1/3) with G = Σ_k λ(k/M)·|k|·γ_k, D = Σ_k λ(k/M)·γ_k, the flat-top window
    λ(s) = min(1, 2(1 − |s|)) and γ_k the autocovariance (divisor n). M = 2m, where m is the first
    lag from which K_n = max(5, log10 n) autocorrelations in a row lie inside ±2√(log10 n / n), at
    most √n + K_n. Held between 1 and min(3√n, n/3), rounded up.

    Parameters
    ----------
    values : (T,) without NaN, not constant, T ≥ 12.

    References
    ----------
    Politis and White (2004), Econometric Reviews 23, 53–70, doi:10.1081/ETC-120028836, as corrected
    by Patton, Politis and White (2009), Econometric Reviews 28, 372–375,
    doi:10.1080/07474930802459016. m is counted, and an autocorrelation scaled by the squares of
    its own months, as arch does after Patton's program.
    """
    months = len(values)
    inside = max(FEWEST_INSIDE, int(np.log10(months)))
    most = int(np.ceil(np.sqrt(months))) + inside
    longest = float(np.ceil(min(3.0 * np.sqrt(months), months / 3.0)))
    covariance = autocovariance(values, most)
    band = 2.0 * np.sqrt(np.log10(months) / months)
    small = np.abs(covariance[:most]) * months < band * _scale(values, most)
    ends = np.lib.stride_tricks.sliding_window_view(small, inside).all(axis=1)
    reach = min(2 * max(int(ends.argmax()), 1), most) if ends.any() else most
    lags = np.arange(1, reach + 1)
    weighted = np.minimum(1.0, 2.0 * (1.0 - lags / reach)) * covariance[1 : reach + 1]
    slope, level = 2.0 * (weighted @ lags), covariance[0] + 2.0 * weighted.sum()
    if level == 0.0:
        return longest
    return float(np.clip(np.cbrt((slope / level) ** 2 * months), 1.0, longest))


def autocovariance(values: Floats, most: int) -> Floats:
    """γ_0 … γ_most with divisor n, (most + 1,); `most` is below the length."""
    apart = values - values.mean()
    months = len(values)
    return np.array([apart[lag:] @ apart[: months - lag] for lag in range(most + 1)]) / months


def _scale(values: Floats, most: int) -> Floats:
    """What the sums of products at lags 0 … most − 1 are divided by to be autocorrelations: the
    root of the squares after the first lag + 1 months times those before the last lag + 1."""
    squares = (values - values.mean()) ** 2
    lags = np.arange(most)
    after, before = squares[::-1].cumsum()[::-1], squares.cumsum()
    return np.asarray(np.sqrt(after[lags + 1] * before[len(values) - lags - 2]))
