"""The errors that are planted in one ticker's bars: what each kind is, and how large.

Belongs here: sizes and places. Does not: how often, and the list for all tickers (`planted`).

Sizes follow from sigma, the ticker's own daily volatility as it was known before the bar: 1.4826
times the median absolute return of the 63 bars before. What is smaller than here cannot be told
from news in one file: an error of 1 % where 3 % a day are usual is not planted.

kind            what is planted (size in `truth`)
missing         a run of sessions without a bar, four in five of length 1 (sessions); the source's
                own gaps are listed too
missing_market  a session that 60 to 97 % of the tickers without an error near it lack (share)
stale           the bar before told again: open = high = low = close, for 4 to 20 bars and so long
                that the ticker's own share of unchanged closes makes it a chance below 1e-6 (bars)
spike           one close wrong by 8 sigma and 3 % at least, 35 % at most; the next is right. Half
                are the close alone, high or low going along, half the whole bar (relative error)
decimal         prices times 10 or 1/10 for 1 to 3 bars (a slip by ten that lasts is a 1:10 split),
                100 or 1/100 for 1 to 10 or once to the end, 1000 or 1/1000 for 1 to 10 (factor)
ohlc            high below or low above open or close, or open out of range, by 0.2 to 3 %; or high
                and low exchanged, where they are 0.2 % apart (relative error)
volume          none, or 1/10000 to 1/1000 of the median of the 63 bars before (ratio)
split           from a bar on all prices jump by a ratio of `SPLIT_RATIOS` or its inverse: a split
                that was not applied to what is before, or twice (factor of the jump)
outlier         wrong by 10 sigma and 5 % at least, 25 % at most (3:2 is 33 %), for 2 to 5 bars:
                from the second on by 60 to 100 % of it. An error that never goes looks like news,
                and is not planted unless a split or a unit (relative error of the first)
peers           from a bar on all prices are off by 12 standard deviations of what the ticker did
                beyond its class in the 63 bars before (as sigma is counted), 3 % at least (more
                than an ordinary dividend), 25 % at most: what is before was adjusted for what
                nobody else had. Only of a ticker whose class explains four fifths of its variance;
                to others it is news (relative error)

Errors keep 15 bars of distance, and begin with a ticker's 65th bar (peers: its 379th; a year to
choose relatives by, and half a year of how the ticker parts from them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.planted_dividends import (
    Floats,
    Paid,
    Series,
    draw_ratio,
    significant,
)

Flags = npt.NDArray[np.bool_]
Fault = tuple[str, np.datetime64, np.datetime64, str, float]
"""Ticker, first and last wrong bar or missing session, kind, size."""

APART = 15
MEMORY, LONG_MEMORY, RELATED_MEMORY = 63, 252, 378
BARS_PER_20_YEARS = 5040


class Errors:
    """Errors in the file of one ticker: its bars are changed, and `truth` says where.

    `sigma` is that of its true closes (`robust_sigma`). Each `plant_` takes a rate per
    20 years.
    """

    def __init__(self, bars: Series, sigma: Floats, rng: np.random.Generator) -> None:
        self.bars, self.rng = bars, rng
        self.truth: list[Fault] = []
        self.splits: list[Paid] = []
        self.sigma = sigma
        self.has_new_unit = False
        self.free = np.ones(len(sigma), bool)
        self.free[: MEMORY + 1] = False
        self.free[-APART:] = False
        self.keep = np.ones(len(sigma), bool)

    def plant_split(self, rate: float, taken: Sequence[np.datetime64]) -> None:
        """On none of the days `taken` by a distribution."""
        for at in self._places(rate, self.free & ~np.isin(self.bars.days, np.array(taken))):
            ratio = draw_ratio(self.rng)
            is_twice = bool(self.rng.random() < 0.4)
            # What is before keeps its old unit, or is divided a second time.
            self._scale(slice(0, at), 1 / ratio if is_twice else ratio)
            traded = self.bars.volume[:at] * (ratio if is_twice else 1 / ratio)
            whole = self.bars.volume[:at] % 1 == 0
            self.bars.volume[:at] = np.where(whole, np.rint(traded), significant(traded, 14))
            self._note("split", at, 1, ratio if is_twice else 1 / ratio)
            how = "twice" if is_twice else "missing"
            self.splits.append((self.bars.ticker, self.bars.days[at], 0.0, ratio, how))

    def plant_decimal(self, rate: float) -> None:
        for at in self._places(rate, self.free, span=10):
            power = int(self.rng.choice([1, 2, 3], p=[0.4, 0.5, 0.1]))
            length = int(self.rng.integers(1, 4 if power == 1 else 11))
            if power == 2 and not self.has_new_unit and self.rng.random() < 0.3:
                self.has_new_unit, length = True, len(self.free) - at
            factor = 10.0 ** (power if self.rng.random() < 0.5 else -power)
            self._scale(slice(at, at + length), factor)
            self._note("decimal", at, length, factor)

    def plant_outlier(self, rate: float) -> None:
        low = np.maximum(10 * self.sigma, 0.05)
        for at in self._places(rate, self.free & (low < 0.25), span=5):
            error = self._signed(low[at], 0.25)
            length = int(self.rng.integers(2, 6))
            rest = error * float(self.rng.uniform(0.6, 1))
            self._scale(slice(at, at + 1), 1 + error)
            self._scale(slice(at + 1, at + length), 1 + rest)
            self._note("outlier", at, length, error)

    def plant_spike(self, rate: float) -> None:
        low = np.maximum(8 * self.sigma, 0.03)
        for at in self._places(rate, self.free & (low < 0.35)):
            error = self._signed(low[at], 0.35)
            if self.rng.random() < 0.5:
                self._scale(slice(at, at + 1), 1 + error)
            else:
                self._move_close(at, error)
            self._note("spike", at, 1, error)

    def plant_stale(self, rate: float) -> None:
        same = np.append(0.0, np.cumsum(np.diff(self.bars.close) == 0))
        share = np.full(len(same), 1.0)
        share[LONG_MEMORY:] = (same[LONG_MEMORY:] - same[:-LONG_MEMORY]) / LONG_MEMORY
        least = np.ceil(np.log(1e-6) / np.log(np.clip(share, 0.02, 0.99)))
        for at in self._places(rate, self.free & (least <= 12), span=20):
            length = int(min(20, max(4, least[at]) + self.rng.geometric(0.3) - 1))
            for values in self.bars.prices:
                values[at : at + length] = self.bars.close[at - 1]
            self._note("stale", at, length, length)

    def plant_ohlc(self, rate: float) -> None:
        bars = self.bars
        for at in self._places(rate, self.free):
            off = float(self.rng.uniform(0.002, 0.03))
            ends = sorted((bars.open[at], bars.close[at]))
            variant = int(self.rng.integers(4))
            if variant == 0:
                bars.high[at] = ends[1] * (1 - off)
            elif variant == 1:
                bars.low[at] = ends[0] * (1 + off)
            elif variant == 2 or bars.high[at] < 1.002 * bars.low[at]:
                bars.open[at] = bars.high[at] * (1 + off)
            else:
                bars.high[at], bars.low[at] = bars.low[at], bars.high[at]
                off = bars.low[at] / bars.high[at] - 1
            self._round(slice(at, at + 1))
            self._note("ohlc", at, 1, off)

    def plant_volume(self, rate: float) -> None:
        for at in self._places(rate, self.free):
            usual = float(np.median(self.bars.volume[at - MEMORY : at]))
            share = float(10 ** self.rng.uniform(-4, -3)) if self.rng.random() < 0.5 else 0.0
            self.bars.volume[at] = np.floor(usual * share)
            self._note("volume", at, 1, share)

    def plant_peers(self, rate: float, room: Floats) -> None:
        """`room`: standard deviation of what the ticker does beyond its class, per bar."""
        low = np.maximum(12 * room, 0.03)
        allowed = self.free & (low < 0.25)
        allowed[:RELATED_MEMORY] = False
        for at in self._places(rate, allowed):
            error = self._signed(low[at], 0.25)
            self._scale(slice(0, at), 1 / (1 + error))
            self._note("peers", at, 1, error)

    def plant_missing(self, rate: float) -> None:
        for at in self._places(rate, self.free, span=12):
            is_single = self.rng.random() < 0.8
            length = 1 if is_single else min(12, 1 + int(self.rng.geometric(0.5)))
            self.keep[at : at + length] = False

    def drop_sessions(self, market: Mapping[np.datetime64, float]) -> None:
        """Take away the bars of whole sessions, by their share, unless an error is near."""
        for day, share in market.items():
            at = int(np.searchsorted(self.bars.days, day))
            is_bar = at < len(self.bars.days) and self.bars.days[at] == day
            if (self.rng.random() < share) & is_bar and self.free[at]:
                self.keep[at] = False

    def table(self) -> pa.Table:
        """The bars that are left, as `PRICE_SCHEMA`."""
        columns = [values[self.keep] for values in (*self.bars.prices, self.bars.volume)]
        names = pa.repeat(self.bars.ticker, int(self.keep.sum()))
        days = pa.array(self.bars.days[self.keep])
        return pa.table([names, days, *columns], schema=PRICE_SCHEMA)

    def _places(self, rate: float, allowed: Flags, span: int = 1) -> list[int]:
        """Bars to begin an error at: allowed, and away from every other error."""
        chosen = []
        for _ in range(self.rng.poisson(rate * len(allowed) / BARS_PER_20_YEARS)):
            candidates = np.flatnonzero(allowed & self.free)
            if len(candidates):
                at = int(self.rng.choice(candidates))
                self.free[max(0, at - APART - span) : at + span + APART] = False
                chosen.append(at)
        return chosen

    def _signed(self, low: float, high: float) -> float:
        """An error of either sign between two sizes, half of them below 1.35 times the least."""
        size = min(high, low * (1 + 0.5 * self.rng.standard_exponential()))
        return float(size if self.rng.random() < 0.5 else -size)

    def _scale(self, rows: slice, factor: float) -> None:
        for values in self.bars.prices:
            values[rows] *= factor
        self._round(rows)

    def _move_close(self, at: int, error: float) -> None:
        bars = self.bars
        bars.close[at] *= 1 + error
        bars.high[at] = max(bars.high[at], bars.close[at])
        bars.low[at] = min(bars.low[at], bars.close[at])
        self._round(slice(at, at + 1))

    def _round(self, rows: slice) -> None:
        for values in self.bars.prices:
            values[rows] = significant(values[rows], 6)

    def _note(self, kind: str, at: int, length: int, size: float) -> None:
        days, last = self.bars.days, at + length - 1
        self.truth.append((self.bars.ticker, days[at], days[last], kind, float(size)))


def robust_sigma(close: Floats) -> Floats:
    """Daily volatility known before each bar; infinite where fewer than `MEMORY` bars are."""
    sigma = np.full(len(close), np.inf)
    moves = np.abs(np.diff(np.log(close)))
    if len(moves) > MEMORY:
        windows = np.lib.stride_tricks.sliding_window_view(moves[:-1], MEMORY)
        sigma[MEMORY + 1 :] = 1.4826 * np.median(windows, axis=1)
    return np.where(sigma > 0, sigma, np.inf)
