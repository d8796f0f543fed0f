"""What signals said of the months after them: the rows of `factor_diagnostics`.

Belongs here: rank correlations with later returns, quantile portfolios, decay, autocorrelation.
Does not: making signals (`core.signals`), or sorting names (`sorts`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from factorlab_assets.core.factors.base import returns
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import MONTHS
from factorlab_assets.core.signals import Signals
from factorlab_assets.core.transforms import rank
from factorlab_assets.evaluation.exposures import lags_of, newey_west
from factorlab_assets.evaluation.sorts import Counts, Sorted, earned_next, in_order, investable

Row = dict[str, object]

LEAST_MONTHS = 12
LEAST_NAMES = 3
"""Of a rank correlation, and of each quantile."""
MOST_QUANTILES = 5
HORIZON = 12
"""Months ahead that the decay looks."""
SCORE = "score"


def diagnostics(
    signals: Signals, score: Floats, panel: Panel, members: Bools | None = None
) -> list[Row]:
    """Rows of `factor_diagnostics`, less month and strategy: every factor, then the score.

    - ic_mean, ic_t, ic_positive: over months, of the Spearman correlation between the signal at t
      and the return from t to t+1, across names that have both: its mean, the mean's t-value by
      Newey and West (`exposures.newey_west`), and the share of months above 0.
    - quantile_1 (lowest signal) … quantile_n (highest): mean return of equally weighted portfolios
      formed at t of whoever has a signal and a price, held to t+1, ·12; top_minus_bottom and its
      top_minus_bottom_t. n is at most 5, and as many as leave 3 names in each in at least half of
      the months; months with fewer names are left out.
    - decay_1 … decay_12: mean correlation of the signal at t with the return of month t+h alone,
      from t+h−1 to t+h; decay_1 is ic_mean.
    - autocorrelation: mean Spearman correlation of the signal at t−1 with that at t.

    Parameters
    ----------
    signals : `signal` (F, T, N). score : (T, N). panel : the universe they are of. members :
    (T, N), whose signals count; None is whoever has one.

    Returns
    -------
    No rows of a strategy without factors. NaN, with the reason in `note`, where fewer than 12
    months have 3 names that do not all tie. Ties have their average rank. Prices that are not known
    at either end leave a name out of a correlation; a portfolio books what a holder would.

    References
    ----------
    Grinold and Kahn (1999), Active Portfolio Management, 2nd edition, chapter 6, for the
    information coefficient.
    """
    if not signals.keys:
        return []
    name = SCORE if SCORE not in signals.keys else "combined score"
    moved, earned = returns(panel.price), earned_next(panel)
    formed = investable(panel, members)[:-1]
    rows: list[Row] = []
    for label, values in zip((*signals.keys, name), (*signals.signal, score), strict=True):
        signal = values if members is None else np.where(members, values, np.nan)
        of = _of_correlations(signal, moved)
        of += _of_quantiles(in_order(signal[:-1], earned, formed))
        rows += [{"factor": label, **row} for row in of]
    return rows


class Correlations(NamedTuple):
    """Of each date: the Spearman correlation, NaN where there is none, and its number of names."""

    value: Floats
    names: Counts


def spearman(first: Floats, second: Floats) -> Correlations:
    """Rank correlation of each row's names, of those that are known in both (T, N).

    Pearson's correlation of ranks, the average rank for ties; NaN of fewer than 3 names, and where
    all tie in one of the two.

    >>> spearman(np.array([[1.0, 2.0, 3.0]]), np.array([[9.0, 8.0, 7.0]])).value.tolist()
    [-1.0]
    """
    both = np.isfinite(first) & np.isfinite(second)
    count = both.sum(axis=-1)
    x, y = (_centred(np.where(both, values, np.nan), count) for values in (first, second))
    length = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    known = (count >= LEAST_NAMES) & (length > 0.0)
    value = (x * y).sum(axis=-1) / np.where(known, length, np.nan)
    return Correlations(np.clip(value, -1.0, 1.0), count)


def _centred(values: Floats, count: Counts) -> Floats:
    """Ranks less their mean, 0 where not known; all 0 exactly where all tie."""
    ranks = rank(values)
    known = ~np.isnan(ranks)
    middle = np.where(known, ranks, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(known, ranks - middle[:, np.newaxis], 0.0)


def _of_correlations(signal: Floats, moved: Floats) -> list[Row]:
    """ic_mean, ic_t, ic_positive, decay and autocorrelation."""
    by_horizon = [spearman(signal[:-h], moved[h:]) for h in range(1, HORIZON + 1)]
    now = by_horizon[0]
    about = "rank correlation of the signal at t with the return from t to t+1"
    positive = np.where(np.isnan(now.value), np.nan, now.value > 0.0)
    rows = [
        _mean("ic_mean", now, f"mean {about}"),
        _t_value("ic_t", now.value, _lacking(now)),
        _mean("ic_positive", now._replace(value=positive), f"share of months above 0: {about}"),
    ]
    for h, each in enumerate(by_horizon, start=1):
        rows.append(_mean(f"decay_{h}", each, f"mean with the return of month t+{h} alone"))
    before = spearman(signal[:-1], signal[1:])
    return [*rows, _mean("autocorrelation", before, "mean of the signal at t−1 with that at t")]


def _of_quantiles(order: Sorted) -> list[Row]:
    """The quantile portfolios, and the top one less the bottom one."""
    parts = _how_many(order)
    if parts < 2:
        most = int(order.names.max(initial=0))
        note = (
            f"two portfolios of {LEAST_NAMES} names take {2 * LEAST_NAMES} in {LEAST_MONTHS} months"
            f" and in half of those with {LEAST_NAMES}; at most {most} have a signal and a price"
        )
        names = ("quantile_1", "top_minus_bottom", "top_minus_bottom_t")
        return [_row(name, np.nan, 0, note) for name in names]
    wide = order.names >= LEAST_NAMES * parts
    found = quantiles(Sorted(order.earned[wide], order.names[wide]), parts)
    months = len(found)
    few = int((order.names >= LEAST_NAMES).sum()) - months
    left = f"; {few} months with fewer than {LEAST_NAMES * parts} names are left out" if few else ""
    rows = []
    for q in range(parts):
        end = {0: ", the lowest signal", parts - 1: ", the highest signal"}.get(q, "")
        note = f"mean return a year of portfolio {q + 1} of {parts}{end}; before costs{left}"
        rows.append(_row(f"quantile_{q + 1}", float(found[:, q].mean()) * MONTHS, months, note))
    apart = found[:, -1] - found[:, 0]
    note = f"quantile_{parts} less quantile_1, a year{left}"
    rows.append(_row("top_minus_bottom", float(apart.mean()) * MONTHS, months, note))
    return [*rows, _t_value("top_minus_bottom_t", apart, "")]


def _how_many(order: Sorted) -> int:
    """The number of quantiles: see `diagnostics`; 1 where there are not enough names for two."""
    enough = max(LEAST_MONTHS, 0.5 * float((order.names >= LEAST_NAMES).sum()))
    for parts in range(MOST_QUANTILES, 1, -1):
        if (order.names >= LEAST_NAMES * parts).sum() >= enough:
            return parts
    return 1


def quantiles(order: Sorted, parts: int) -> Floats:
    """Mean return of each quantile portfolio, (T−1, parts), from the lowest signal to the highest.

    Place j of n, from 0, is in the first portfolio whose upper edge k·(n − 1)/parts it does not
    exceed: the linear quantiles that pandas' `qcut` cuts at.

    Parameters
    ----------
    order : of at least 3 · parts names at every date.

    >>> four = Sorted(np.array([[0.01, 0.02, 0.03, 0.06]]), np.array([4]))
    >>> quantiles(four, 2).round(4).tolist()
    [[0.015, 0.045]]
    """
    last = order.names - 1
    edges = [np.zeros_like(last), *(k * last // parts + 1 for k in range(1, parts + 1))]
    return np.column_stack([order.means(first, stop) for first, stop in pairwise(edges)])


def _mean(statistic: str, of: Correlations, about: str) -> Row:
    """The mean over months, if there are enough of them."""
    months = int(np.isfinite(of.value).sum())
    if lacking := _lacking(of):
        return _row(statistic, np.nan, months, lacking)
    return _row(statistic, float(np.nanmean(of.value)), months, about)


def _lacking(of: Correlations) -> str:
    """Why correlations of these dates have no mean; empty where they have one."""
    months = int(np.isfinite(of.value).sum())
    if months >= LEAST_MONTHS:
        return ""
    most = int(of.names.max(initial=0))
    return (
        f"{months} months with {LEAST_NAMES} names that have both and do not all tie, at least"
        f" {LEAST_MONTHS} are needed; at most {most} names have both"
    )


def _t_value(statistic: str, series: Floats, lacking: str) -> Row:
    """The t-value of a mean over the months that are known, one after another."""
    known = series[np.isfinite(series)]
    if lacking:
        return _row(statistic, np.nan, len(known), lacking)
    lags = lags_of(len(known))
    t = float(newey_west(np.ones((len(known), 1)), known, lags).t[0])
    note = f"t-value of the mean, Newey-West with {lags} lags, variance times n/(n − 1)"
    return _row(statistic, t, len(known), note if np.isfinite(t) else "every month is the same")


def _row(statistic: str, value: float, n_months: int, note: str) -> Row:
    return {"statistic": statistic, "value": value, "n_months": n_months, "note": note}
