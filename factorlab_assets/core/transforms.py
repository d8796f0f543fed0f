"""Transforms of a date's cross-section, and of a name's values over time, between raw and signal.

Belongs here: what happens to a factor's values before they are combined. Does not: combining them,
or who counts to which group (`groups`).
All but `delay` and `smooth` work on the last axis alone, so that no date sees another. NaN in, NaN
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from factorlab_assets.core.factors.base import lag, mean
from factorlab_assets.core.groups import WHOLE, Codes, group_codes
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats
from factorlab_assets.strategy_signals import (
    Clip,
    Delay,
    Demean,
    Neutralize,
    Normal,
    Rank,
    Smooth,
    Transform,
    Winsorize,
    ZScore,
)

NO_SPREAD = 1e-12
"""A standard deviation below this share of the largest value is rounding error, not spread."""
COLLINEAR = 1e-10
"""What a regression leaves of a column is rounding error below this share of its length."""
MAD_TO_SD = 1.0 / float(ndtri(0.75))
"""1.4826: a normal distribution's standard deviation in median absolute deviations."""
BLOM = 3.0 / 8.0


@dataclass(frozen=True)
class Context:
    """What transforms look at beside the values themselves.

    tickers : (N,). groups : grouping -> ticker -> group; merge : small group -> larger.
    raws : factor label -> raw values (T, N). members : (T, N), who may be held at each date; None
    is everyone.
    """

    tickers: Sequence[str] | npt.NDArray[np.str_] = ()
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    merge: Mapping[str, str] = field(default_factory=dict)
    raws: Mapping[str, Floats] = field(default_factory=dict)
    members: Bools | None = None

    def codes(self, grouping: str | None, known: Bools) -> Codes | None:
        """The groups of whoever is known; None without a grouping."""
        if grouping is None:
            return None
        return group_codes(self.tickers, self.groups[grouping], self.merge, known)

    def of_members(self, values: Floats) -> Floats:
        """The values of each date's members, NaN elsewhere."""
        return values if self.members is None else np.where(self.members, values, np.nan)


_NOTHING = Context()


def apply(transforms: Sequence[Transform], values: Floats, context: Context = _NOTHING) -> Floats:
    """The values (..., T, N) after each transform in turn.

    A cross-section is of the date's members. `clip`, `delay` and `smooth` look at each name alone,
    member or not: a delayed or smoothed raw value is there from a name's first month of membership
    on, a delayed or smoothed z-score only where the name was a member in those earlier months too,
    for without it there was no z-score. In the end only members keep a value.

    >>> apply([Rank()], np.array([[30.0, 10.0, np.nan, 20.0]]))
    array([[1. , 0. , nan, 0.5]])
    """
    for transform in transforms:
        values = _applied(transform, values, context)
    return context.of_members(values)


def _applied(transform: Transform, values: Floats, context: Context) -> Floats:
    match transform:
        case Clip(low=low, high=high):
            return np.clip(values, low, high)
        case Delay(months=months):
            return lag(values, months)
        case Smooth(months=months):
            return mean(values, months)
        case _:
            return _across(transform, context.of_members(values), context)


def _across(
    transform: Winsorize | ZScore | Demean | Rank | Normal | Neutralize,
    values: Floats,
    context: Context,
) -> Floats:
    """The transforms of cross-sections."""
    match transform:
        case Winsorize(mads=float(mads)):
            return winsorize_mads(values, mads)
        case Winsorize(lower=lower, upper=upper):
            return winsorize(values, lower, upper)
        case ZScore(within=grouping) | Demean(within=grouping) | Rank(within=grouping):
            change = {"zscore": zscore, "demean": demean, "rank": rank}[transform.kind]
            return change(values, context.codes(grouping, ~np.isnan(values)))
        case Normal():
            return normal(values)
        case Neutralize(groups=grouping, factors=labels):
            others = [context.raws[label] for label in labels]
            known = _all_known(values, others)
            return neutralize(values, others, context.codes(grouping, known))
        case _:
            assert_never(transform)


def winsorize(values: Floats, lower: float, upper: float) -> Floats:
    """Each cross-section clipped at its quantiles `lower` and `upper`.

    The q-quantile of n known values lies at q·(n − 1) of their ascending order, counted from 0,
    linear in between (numpy's and pandas' default). One value alone stays as it is.
    """
    return np.clip(values, *_quantiles(values, lower, upper))


def winsorize_mads(values: Floats, mads: float) -> Floats:
    """Each cross-section clipped at median ± mads · 1.4826 · MAD, MAD = median |x − median|.

    The factor makes the scaled MAD of a normal distribution its standard deviation, so that `mads`
    counts standard deviations that outliers do not widen. Where more than half of the values are
    equal the MAD is 0 and says nothing of spread: that cross-section stays as it is.

    References: Rousseeuw and Croux (1993), Alternatives to the Median Absolute Deviation,
    doi:10.1080/01621459.1993.10476408.

    >>> winsorize_mads(np.array([[1.0, 2.0, 3.0, 4.0, 100.0]]), 2.0).round(4)
    array([[1.    , 2.    , 3.    , 4.    , 5.9652]])
    """
    (middle,) = _quantiles(values, 0.5)
    (mad,) = _quantiles(np.abs(values - middle), 0.5)
    largest = _Parts.of(values, None).largest(np.abs(values))
    half = np.where(mad > NO_SPREAD * largest, mads * MAD_TO_SD * mad, np.inf)
    return np.clip(values, middle - half, middle + half)


def _quantiles(values: Floats, *shares: float) -> list[Floats]:
    """Quantiles (..., 1) of each cross-section's known values, linear in between."""
    ordered = np.sort(values, axis=-1)  # NaN last
    last = np.maximum(np.sum(~np.isnan(values), axis=-1, keepdims=True) - 1, 0)

    def quantile(share: float) -> Floats:
        at = share * last
        below = np.floor(at).astype(np.intp)
        low = np.take_along_axis(ordered, below, axis=-1)
        high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=-1)
        between: Floats = low + (high - low) * (at - below)
        return between

    return [quantile(share) for share in shares]


def zscore(values: Floats, codes: Codes | None = None) -> Floats:
    """(x − mean) / sd of each cross-section, ddof 0; with `codes` of each group in it.

    One value alone, or values without spread (sd not above rounding error), are 0 where known. A
    name of code `WHOLE` is compared with everyone.
    """
    centred, sd = _centred(values, codes)
    return np.asarray(centred / np.where(sd > 0.0, sd, 1.0))


def demean(values: Floats, codes: Codes | None = None) -> Floats:
    """x − mean of each cross-section; with `codes` of each group in it (see `zscore`)."""
    return _centred(values, codes)[0]


def _centred(values: Floats, codes: Codes | None) -> tuple[Floats, Floats]:
    """x − mean, and the sd with ddof 0; both 0 where there is no spread."""
    parts = _Parts.of(values, codes)
    count = np.maximum(parts.sum(np.ones(values.shape)), 1.0)
    centred = values - parts.sum(values) / count
    sd = np.sqrt(parts.sum(centred**2) / count)
    has_spread = sd > NO_SPREAD * parts.largest(np.abs(values))
    centred = np.where(parts.known, np.where(has_spread, centred, 0.0), np.nan)
    sd = np.where(has_spread, sd, 0.0)
    if codes is None:
        return centred, sd
    everyone = _centred(values, None)
    is_whole = codes == WHOLE
    return np.where(is_whole, everyone[0], centred), np.where(is_whole, everyone[1], sd)


@dataclass(frozen=True)
class _Parts:
    """What is taken together: the known values of each cross-section, or of each group in it.

    cells : (..., T, N), the group that each value is in, numbered over all dates; None: no groups.
    """

    known: Bools
    cells: npt.NDArray[np.intp] | None

    @classmethod
    def of(cls, values: Floats, codes: Codes | None) -> _Parts:
        if codes is None:
            return cls(~np.isnan(values), None)
        rows = np.arange(codes.size // max(codes.shape[-1], 1)).reshape(*codes.shape[:-1], 1)
        return cls(~np.isnan(values), rows * (codes.max(initial=WHOLE) + 2) + codes + 1)

    def sum(self, values: Floats) -> Floats:
        """The sum over each part, (..., T, 1), or (..., T, N) where there are groups."""
        if self.cells is None:
            return np.asarray(np.sum(values, axis=-1, keepdims=True, where=self.known))
        filled = np.where(self.known, values, 0.0)
        return np.asarray(np.bincount(self.cells.ravel(), filled.ravel())[self.cells])

    def largest(self, values: Floats) -> Floats:
        """The largest over each part of values that are not below 0, of the same shape."""
        if self.cells is None:
            known = self.known
            return np.asarray(np.max(values, axis=-1, keepdims=True, where=known, initial=0.0))
        most = np.zeros(self.cells.max(initial=0) + 1)
        np.maximum.at(most, self.cells[self.known], values[self.known])
        return most[self.cells]


def rank(values: Floats, codes: Codes | None = None) -> Floats:
    """(r − 1) / (n − 1) of each cross-section, r the average rank of ties: 0 lowest, 1 highest.

    One value alone has rank 0.5, the middle, as have values that all tie. With `codes`, of each
    group in it (see `zscore`).
    """
    ranks, count = _ranks(values, codes)
    alone = (count == 1) & ~np.isnan(values)
    within = np.where(alone, 0.5, (ranks - 1.0) / np.maximum(count - 1.0, 1.0))
    return within if codes is None else np.where(codes == WHOLE, rank(values), within)


def normal(values: Floats) -> Floats:
    """Φ⁻¹((r − 3/8) / (n + 1/4)) of each cross-section, r the average rank of ties, 1 lowest.

    Blom's scores, which come close to the expected order statistics of a normal sample. One value
    alone, or values that all tie, are 0.

    References: Blom (1958), Statistical Estimates and Transformed Beta-Variables; compared with
    its relatives by Beasley, Erickson and Allison (2009), doi:10.1007/s10519-009-9281-0.

    >>> normal(np.array([[30.0, 10.0, np.nan, 20.0]])).round(4)
    array([[ 0.8694, -0.8694,     nan,  0.    ]])
    """
    ranks, count = _ranks(values, None)
    scores: Floats = ndtri((ranks - BLOM) / (count + (1.0 - 2.0 * BLOM)))
    return scores


def _ranks(values: Floats, codes: Codes | None) -> tuple[Floats, Floats]:
    """Average ranks from 1 in each part, and how many are known in it."""

    def ranked(keys: Floats) -> Floats:
        flat = pd.DataFrame(keys.reshape(-1, keys.shape[-1]))
        return flat.rank(axis=1).to_numpy().reshape(keys.shape)

    parts = _Parts.of(values, codes)
    count = parts.sum(np.ones(values.shape))
    ranks = ranked(values)
    if codes is not None:
        # Ranked by group first, a group's n ranks are consecutive: around their mean as 1 … n are
        # around (n + 1) / 2. All of these are whole or half numbers, so nothing is rounded.
        ranks = ranked(codes * (values.shape[-1] + 1.0) + ranks)
        ranks = ranks - parts.sum(ranks) / np.maximum(count, 1.0) + (count + 1.0) / 2.0
    return ranks, count


def neutralize(values: Floats, others: Sequence[Floats], codes: Codes | None = None) -> Floats:
    """The residual of each cross-section's least squares on an intercept, groups and `others`.

    Groups are taken out by demeaning values and others within them, which leaves the residual of
    the regression on their dummies (Frisch and Waugh 1933, doi:10.2307/1907330; Lovell 1963,
    doi:10.1080/01621459.1963.10480682). A name that counts to the whole cross-section is demeaned
    by everyone's mean, where a dummy of few such names would make their residuals 0.

    Parameters
    ----------
    values, others : (..., T, N), NaN = not known. codes : as `group_codes` gives them for the names
        of which values and others are all known; None: no groups.

    Returns
    -------
    (..., T, N) in the unit of `values`; NaN for a name that lacks a value or an other, and at a
    date with no more names than regressors. One regressor is each other and each group with a name
    at the date, where everyone who counts to the whole cross-section, and everyone where there are
    no groups, is one group.

    Notes
    -----
    An other that is constant, or a combination of groups and others before it, adds nothing: what
    is left of it has less than 1e-10 of its length. Values that are such a combination leave 0.
    Columns are made orthogonal twice over, so that residuals are orthogonal to all of them to
    rounding (Giraud et al. 2005, doi:10.1007/s00211-005-0615-4).

    >>> beta = np.array([[0.0, 1.0, 2.0, 3.0]])
    >>> neutralize(np.array([[1.0, 3.0, 5.0, 11.0]]), [beta])
    array([[ 0.8, -0.4, -1.6,  1.2]])
    """
    known = _all_known(values, others)
    basis: list[Floats] = []
    for other in others:
        rest, is_left = _rest(other, known, codes, basis)
        basis.append(rest / np.where(is_left, _length(rest), 1.0))
    rest, _ = _rest(values, known, codes, basis)
    n_groups = np.ones(1, dtype=np.intp) if codes is None else _n_groups(codes, known)
    enough = np.sum(known, axis=-1, keepdims=True) > len(others) + n_groups
    return np.where(known & enough, rest, np.nan)


def _rest(
    column: Floats, known: Bools, codes: Codes | None, basis: Sequence[Floats]
) -> tuple[Floats, Bools]:
    """What groups and basis leave of a column, 0 where not known, and whether it is anything."""
    rest = demean(np.where(known, column, np.nan), codes)
    rest = np.where(known, rest, 0.0)
    for _ in range(2):
        for unit in basis:
            rest = rest - np.sum(rest * unit, axis=-1, keepdims=True) * unit
    is_left = _length(rest) > COLLINEAR * _length(np.where(known, column, 0.0))
    return np.where(is_left, rest, 0.0), is_left


def _n_groups(codes: Codes, known: Bools) -> npt.NDArray[np.intp]:
    """How many codes the known names of each date have, (..., T, 1)."""
    ordered = np.sort(np.where(known, codes, WHOLE - 1), axis=-1)
    changes = np.sum(ordered[..., 1:] > ordered[..., :-1], axis=-1, keepdims=True)
    return np.asarray(changes + (ordered[..., :1] >= WHOLE))


def _length(column: Floats) -> Floats:
    return np.asarray(np.sqrt(np.sum(column**2, axis=-1, keepdims=True)))


def _all_known(values: Floats, others: Sequence[Floats]) -> Bools:
    known: Bools = reduce(np.logical_and, (~np.isnan(each) for each in (values, *others)))
    return known
