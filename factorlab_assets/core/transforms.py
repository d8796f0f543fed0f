"""Transforms of a date's cross-section: winsorize, z-score, rank.

Belongs here: what happens to a factor's values before they are combined. Does not: combining them.
Each works on the last axis alone, so that no date sees another; NaN in, NaN out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from factorlab_assets.core.panel import Floats
from factorlab_assets.strategy import Rank, Transform, Winsorize, ZScore

NO_SPREAD = 1e-12
"""A standard deviation below this share of the largest value is rounding error, not spread."""


def apply(transforms: Sequence[Transform], values: Floats) -> Floats:
    """The values (..., T, N) after each transform in turn, per date.

    >>> apply([Rank()], np.array([[30.0, 10.0, np.nan, 20.0]]))
    array([[1. , 0. , nan, 0.5]])
    """
    for transform in transforms:
        match transform:
            case Winsorize(lower=lower, upper=upper):
                values = winsorize(values, lower, upper)
            case ZScore():
                values = zscore(values)
            case Rank():
                values = rank(values)
    return values


def winsorize(values: Floats, lower: float, upper: float) -> Floats:
    """Each cross-section clipped at its quantiles `lower` and `upper`.

    The q-quantile of n known values lies at q·(n − 1) of their ascending order, counted from 0,
    linear in between (numpy's and pandas' default). One value alone stays as it is.
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    last = np.maximum(np.sum(~np.isnan(values), axis=-1, keepdims=True) - 1, 0)

    def quantile(share: float) -> Floats:
        at = share * last
        below = np.floor(at).astype(np.intp)
        low = np.take_along_axis(ordered, below, axis=-1)
        high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=-1)
        between: Floats = low + (high - low) * (at - below)
        return between

    return np.clip(values, quantile(lower), quantile(upper))


def zscore(values: Floats) -> Floats:
    """(x − mean) / sd of each cross-section, ddof 0.

    A cross-section of one, or without spread (sd not above rounding error), is 0 where known.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.sum(values, axis=-1, keepdims=True, where=known) / count
    centred = values - mean
    sd = np.sqrt(np.sum(centred**2, axis=-1, keepdims=True, where=known) / count)
    largest = np.max(np.abs(values), axis=-1, keepdims=True, where=known, initial=0.0)
    has_spread = sd > NO_SPREAD * largest
    scores: Floats = np.where(has_spread, centred, 0.0) / np.where(has_spread, sd, 1.0)
    return np.where(known, scores, np.nan)


def rank(values: Floats) -> Floats:
    """(r − 1) / (n − 1) of each cross-section, r the average rank of ties: 0 lowest, 1 highest.

    One value alone has rank 0.5, the middle, as have values that all tie.
    """
    flat = pd.DataFrame(values.reshape(-1, values.shape[-1]))
    ranks = flat.rank(axis=1).to_numpy().reshape(values.shape)
    count = np.sum(~np.isnan(values), axis=-1, keepdims=True)
    return np.where((count == 1) & ~np.isnan(values), 0.5, (ranks - 1.0) / np.maximum(count - 1, 1))
