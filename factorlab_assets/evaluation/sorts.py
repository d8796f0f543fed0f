"""Portfolios of names sorted by a signal: equal weights, formed at each month-end.

Belongs here: who is sorted, what ties get, and what a part of the order earns. Does not: which
signals (`exposures`, `diagnostics`), or the books of strategies (`core.portfolio`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools, legs
from factorlab_assets.core.panel import Floats, Panel

Counts = npt.NDArray[np.intp]


class Sorted(NamedTuple):
    """What each place in the order earned. earned : (T−1, N), the lowest signal first, NaN behind
    the last name of a row; names : (T−1,) how many are in it."""

    earned: Floats
    names: Counts

    def means(self, first: Counts, stop: Counts) -> Floats:
        """The mean over the places first … stop − 1 of each row, (T−1,); NaN where there is none.

        >>> row = Sorted(np.array([[0.01, 0.03, 0.08]]), np.array([3]))
        >>> row.means(np.array([1]), np.array([3])).tolist()
        [0.055]
        """
        total = np.zeros((len(self.earned), self.earned.shape[1] + 1))
        np.cumsum(np.nan_to_num(self.earned), axis=1, out=total[:, 1:])
        rows = np.arange(len(total))
        size = np.where(stop > first, stop - first, np.nan)
        return np.asarray((total[rows, stop] - total[rows, first]) / size)


def earned_next(panel: Panel) -> Floats:
    """What a holder of each ticker earns from date t to t+1, (T−1, N): between its last known
    closes, 0 where a month has no bar, the next bar booking the whole way (timing law 7)."""
    return legs(panel, np.ones(len(panel.dates), dtype=np.bool_), "close").after


def investable(panel: Panel, members: Bools | None = None) -> Bools:
    """Who can be bought at each date, (T, N): whoever has a month-end price, known at its close,
    and is one of the `members`, if any are given."""
    priced = np.isfinite(panel.seen)
    return priced if members is None else priced & members


def in_order(signal: Floats, earned: Floats, formed: Bools) -> Sorted:
    """What names earn in the order of their signal; names that tie share their places' mean.

    So it does not matter how a ticker is spelt: a tie across the edge of two portfolios counts to
    each by its share of the places.

    Parameters
    ----------
    signal, formed : (T−1, N) at the dates t; whoever is not `formed` or has no signal is left out.
    earned : (T−1, N) from t to t+1, known of everyone who is formed.

    >>> values = np.array([[2.0, 1.0, 2.0]])
    >>> in_order(values, np.array([[0.02, 0.01, 0.04]]), values > 0.0).earned.tolist()
    [[0.01, 0.03, 0.03]]
    """
    keys = np.where(formed & np.isfinite(signal), signal, np.nan)
    order = np.argsort(keys, axis=-1, kind="stable")
    keys = np.take_along_axis(keys, order, axis=-1)
    known = ~np.isnan(keys)
    each = np.where(known, np.take_along_axis(earned, order, axis=-1), 0.0)
    starts = np.ones(keys.shape, dtype=np.bool_)
    starts[:, 1:] = keys[:, 1:] != keys[:, :-1]  # NaN is no tie of NaN
    if starts.all():
        shared = each
    else:
        tie = np.cumsum(starts.ravel()) - 1
        means = np.bincount(tie, each.ravel()) / np.bincount(tie)
        shared = means[tie].reshape(keys.shape)
    return Sorted(np.where(known, shared, np.nan), known.sum(axis=-1))
