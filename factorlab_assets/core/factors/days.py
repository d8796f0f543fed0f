"""Operations on daily bars that families share: returns, sums by month, windows of months.

Belongs here: what more than one factor that reads bars needs. Does not: any particular factor, or
operations on month-ends (`base`).

A block's daily arrays are (D, n), its monthly ones (T, n). A window is the exchange sessions of the
last so many months; what is asked of it is a function of these sessions and the one before alone,
to the bit, so that it is the same however long the history before them is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.factors.base import NO_SPREAD, Data, lag, last_months
from factorlab_assets.core.panel import Floats

COLUMNS = 256
"""Tickers computed at once: the arrays of 20 years of 256 tickers are of 10 MB each."""


@dataclass(frozen=True)
class Block:
    """Some tickers' daily bars, and the market's.

    month : (D,) row of the panel that a session belongs to. n_sessions : (T, 1) sessions of the
    exchange in each month. close, dollar_volume : (D, n). market : (D, 1), no column without one.
    """

    month: npt.NDArray[np.intp]
    n_sessions: Floats
    close: Floats
    dollar_volume: Floats
    market: Floats

    def by_month(self, values: Floats) -> Floats:
        """(T, n) sums of each month's known values; 0 where it has none."""
        rows, starts = np.unique(self.month, return_index=True)
        out = np.zeros((len(self.n_sessions), values.shape[1]))
        out[rows] = np.add.reduceat(np.where(np.isfinite(values), values, 0.0), starts, axis=0)
        return out

    def highest_by_month(self, values: Floats) -> Floats:
        """(T, n) the highest of each month's known values; −inf where it has none."""
        rows, starts = np.unique(self.month, return_index=True)
        out = np.full((len(self.n_sessions), values.shape[1]), -np.inf)
        known = np.where(np.isfinite(values), values, -np.inf)
        out[rows] = np.maximum.reduceat(known, starts, axis=0)
        return out

    def ascending_by_month(self, values: Floats) -> Floats:
        """(T, S, n) each month's values in ascending order, NaN last, S its most sessions."""
        rows, starts, count = np.unique(self.month, return_index=True, return_counts=True)
        place = np.arange(count.max())
        session = np.where(place < count[:, np.newaxis], starts[:, np.newaxis] + place, -1)
        padded = np.vstack([values, np.full((1, values.shape[1]), np.nan)])
        out = np.full((len(self.n_sessions), len(place), values.shape[1]), np.nan)
        out[rows] = np.sort(padded[session], axis=1)
        return out

    def is_half_known(self, values: Floats, months: int) -> npt.NDArray[np.bool_]:
        """(T, n) whether the values of at least half of a window's sessions are known."""
        known = total(self.by_month(np.isfinite(values).astype(np.float64)), months)
        return np.asarray(2.0 * known >= total(self.n_sessions, months))


def over_columns(data: Data, oldest: int, compute: Callable[[Block], Floats]) -> Floats:
    """`compute` (T, n) over the tickers' bars, some tickers at a time.

    NaN on dates with fewer than `oldest` months before them, and where the ticker has no month-end
    price: whatever its bars were, it no longer trades.
    """
    price = np.where(np.isfinite(data.price), 0.0, np.nan)
    price[:oldest] = np.nan
    bars, market = data.bars, data.market_bars
    if bars is None:
        raise ValueError("a factor that reads daily bars was given none")
    stop = int(np.searchsorted(bars.month, len(price)))
    n_sessions = np.bincount(bars.month[:stop], minlength=len(price)).astype(np.float64)
    out = np.empty(price.shape)
    for first in range(0, price.shape[1], COLUMNS):
        own = np.s_[:stop, first : first + COLUMNS]
        block = Block(
            bars.month[:stop],
            n_sessions[:, np.newaxis],
            bars.close[own],
            bars.dollar_volume[own],
            np.empty((stop, 0)) if market is None else market[:stop],
        )
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing known over nothing is NaN
            out[:, own[1]] = compute(block)
    return price + out


def total(values: Floats, months: int) -> Floats:
    """The sum of the last `months` values, NaN where there are not so many."""
    out = np.zeros(values.shape)
    for each in last_months(values, months):
        out += each
    return out


def daily_returns(close: Floats) -> Floats:
    """c_d / c_{d−1} − 1 of consecutive sessions that both have a bar, decimal."""
    return close / lag(close, 1) - 1.0


@dataclass(frozen=True)
class Moments:
    """Count, means and centred sums of squares and products of pairs of daily values, (T, n)."""

    count: Floats
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats
    yy: Floats

    @property
    def sd(self) -> Floats:
        """Standard deviation of y, ddof 1; 0 where it is only rounding."""
        return _deviation(self.count, self.y, self.yy)

    @property
    def x_sd(self) -> Floats:
        """That of x."""
        return _deviation(self.count, self.x, self.xx)

    def last(self, months: int) -> Moments:
        """Those of each date's last `months` months together.

        Of sums that are each taken around their month's own mean, so that nothing cancels: with
        n_k, x̄_k and S_k of month k, S = Σ S_k + Σ n_k (x̄_k − x̄)² cannot be negative.
        """
        count = total(self.count, months)
        x, y = (total(self.count * mean, months) / count for mean in (self.x, self.y))
        xx, xy, yy = (total(each, months) for each in (self.xx, self.xy, self.yy))
        for n, dx, dy in zip(
            last_months(self.count, months),
            (each - x for each in last_months(self.x, months)),
            (each - y for each in last_months(self.y, months)),
            strict=True,
        ):
            xx += n * dx * dx
            xy += n * dx * dy
            yy += n * dy * dy
        return Moments(count, x, y, xx, xy, yy)


def moments(block: Block, x: Floats, y: Floats) -> Moments:
    """The moments of each month's pairs x (D, n) or (D, 1), y (D, n); 0 where there is none."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = (np.where(known, each, np.nan) for each in (x, y))
    count = block.by_month(known.astype(np.float64))
    means = [block.by_month(each) / np.maximum(count, 1.0) for each in (x, y)]
    dx, dy = (each - mean[block.month] for each, mean in zip((x, y), means, strict=True))
    products = (block.by_month(product) for product in (dx * dx, dx * dy, dy * dy))
    return Moments(count, *means, *products)


def _deviation(count: Floats, mean: Floats, squares: Floats) -> Floats:
    spread = np.sqrt(squares / (count - 1.0))
    return np.where(spread <= NO_SPREAD * (1.0 + np.abs(mean)), 0.0, spread)
