"""Invented daily bars: the embedded default source, and large panels for benchmarks.

Belongs here: the simulation. Does not: anything fitted to real prices, or any real price.

A number is a function of (seed, universe, start, ticker, day), whatever else is asked for. Every
stream is the raw output of a Philox generator keyed by a BLAKE2 hash of (seed, name), which numpy
promises to keep (NEP 19; its distributions it does not), read from the ticker's first day on: a
month's history is a prefix of the next month's. From there only + - * / and square roots are used,
no sums whose order is free, so that every platform rounds alike.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from factorlab_assets.core.calendar import sessions
from factorlab_assets.sources.base import PRICE_SCHEMA, Coverage, Fetched

Floats = npt.NDArray[np.float64]

EPOCH = dt.date(1990, 1, 1)
"""Where the simulated market begins, unless `start` says otherwise."""

INCEPTIONS = {
    "SPY": dt.date(1993, 1, 29),
    "QQQ": dt.date(1999, 3, 10),
    "IWM": dt.date(2000, 5, 26),
    "EFA": dt.date(2001, 8, 17),
    "LQD": dt.date(2002, 7, 26),
    "SHY": dt.date(2002, 7, 26),
    "IEF": dt.date(2002, 7, 26),
    "TLT": dt.date(2002, 7, 26),
    "EEM": dt.date(2003, 4, 14),
    "VNQ": dt.date(2004, 9, 29),
    "GLD": dt.date(2004, 11, 18),
    "DBC": dt.date(2006, 2, 3),
    "HYG": dt.date(2007, 4, 11),
}
"""First trading days, the earliest bar that any of the vendors at hand shows."""

VOLATILITIES = {
    "SPY": 0.18, "QQQ": 0.22, "IWM": 0.22, "EFA": 0.19, "EEM": 0.22,
    "TLT": 0.14, "IEF": 0.07, "SHY": 0.015,
    "LQD": 0.07, "HYG": 0.09,
    "GLD": 0.17, "DBC": 0.19, "VNQ": 0.25,
}  # fmt: skip
"""Standard deviation per year of the tickers that are known."""

YEAR = 252
CASH_RETURN, SHARPE = 0.02, 0.4
"""Mean return per year = CASH_RETURN + SHARPE * volatility."""
TREND_SHARPE, TREND_MEMORY = 0.8, 0.92
"""Standard deviation of the drift per unit of volatility; its AR(1) coefficient per month."""
CALM_SHARE, STORM_MEMORY = 0.4, 0.99
"""Variance is CALM_SHARE + (1 - CALM_SHARE) * x^2, x an AR(1) with this coefficient per day."""
GAP, LONG_GAP = 2.84, 3.1
"""A day is missing where its draw is beyond GAP (0.07 % of days), the week beyond LONG_GAP."""


@dataclass(frozen=True)
class _Profile:
    """An asset class: volatility per year, and its loadings on two shared factors and its own."""

    volatility: float
    growth: float
    rates: float
    common: float

    @property
    def own(self) -> float:
        shared = self.growth * self.growth + self.rates * self.rates + self.common * self.common
        return math.sqrt(1 - shared)


PROFILES = {
    "Equity": _Profile(0.20, growth=0.85, rates=0.0, common=0.35),
    "Rates": _Profile(0.07, growth=-0.30, rates=0.90, common=0.10),
    "Credit": _Profile(0.08, growth=0.45, rates=0.55, common=0.40),
    "Commodity": _Profile(0.18, growth=0.20, rates=0.05, common=0.40),
    "REIT": _Profile(0.25, growth=0.70, rates=0.10, common=0.45),
    "Stock": _Profile(0.32, growth=0.50, rates=0.0, common=0.20),
}
EXTRA_CLASS = "Stock"


@dataclass(frozen=True)
class _Ticker:
    """One simulated ticker: what it is, and from when to when it trades."""

    name: str
    asset_class: str
    volatility: float
    first: dt.date
    last: dt.date = dt.date.max


@dataclass(frozen=True)
class Synthetic:
    """The synthetic source.

    Parameters
    ----------
    universe : ticker -> asset class (`PROFILES`; any other name moves like Equity, with a class
        factor of its own). The thirteen shipped ETFs list on their real first day, others on a
        day between 1993 and 2005 that follows from (seed, ticker).
    seed : another seed, another history of the world.
    extra_tickers : this many stocks `X0001`, `X0002`, ... that list, and often delist, over time.
    start : the simulated market begins here (default 1990): nothing trades before, and the numbers
        are others than without it.

    Examples
    --------
    >>> source = Synthetic({"SPY": "Equity"}, seed=7)
    >>> source.fetch(["SPY"], dt.date(1993, 2, 1)).prices.num_rows
    2
    """

    universe: Mapping[str, str]
    seed: int
    extra_tickers: int = 0
    start: dt.date | None = None
    name = "synthetic"

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` (None = the universe and every extra ticker) up to `through`.

        A ticker that lists later has coverage `no_data`, one that is not simulated `missing`.
        """
        known = self._tickers()
        asked = list(known) if tickers is None else list(dict.fromkeys(tickers))
        market = _Market(self.seed, self.start or EPOCH, through)
        bars = {name: _bars(market, known[name]) for name in asked if name in known}
        coverage = [_coverage(name, bars.get(name)) for name in asked]
        last = max((record.last_date for record in coverage if record.last_date), default=None)
        prices = pa.concat_tables([PRICE_SCHEMA.empty_table(), *bars.values()])
        note = f"SYNTHETIC: these prices are invented (seed {self.seed})"
        return Fetched(prices, coverage, last_available=last, notes=(note,))

    def _tickers(self) -> dict[str, _Ticker]:
        known = {name: _listed(self.seed, name, of) for name, of in self.universe.items()}
        extras = {name: _extra(self.seed, name) for name in _extra_names(self.extra_tickers)}
        return known | {name: stock for name, stock in extras.items() if name not in known}


def write_parquet(path: Path, n_tickers: int, n_years: int, seed: int = 7) -> int:
    """Write a panel for benchmarks to one Parquet file and return its number of rows.

    `n_tickers` stocks `X0001`, ... trade all of the `n_years` up to 2024-05-31, a few gaps apart;
    rows are ordered by ticker and date, and are made and written a few tickers at a time.
    """
    start = dt.date(2024 - n_years, 6, 1)
    market = _Market(seed, start, dt.date(2024, 5, 31))
    rows = 0
    with pq.ParquetWriter(path, PRICE_SCHEMA, use_dictionary=["ticker", "date"]) as writer:
        for begin in range(0, n_tickers, 25):
            names = _extra_names(min(begin + 25, n_tickers))[begin:]
            group = pa.concat_tables(
                _bars(market, _simulated(seed, name, EXTRA_CLASS, start)) for name in names
            )
            writer.write_table(group, row_group_size=group.num_rows)
            rows += group.num_rows
    return rows


class _Market:
    """What all tickers share from `first` to `through`: sessions, and the paths of each class."""

    def __init__(self, seed: int, first: dt.date, through: dt.date) -> None:
        self.seed = seed
        self.days = sessions(first, through)
        self.months = self.days.astype("datetime64[M]").astype(np.int64)
        self.growth, self.rates = self._shocks("growth"), self._shocks("rates")
        self._classes: dict[str, _Paths] = {}

    def paths(self, asset_class: str) -> _Paths:
        if asset_class not in self._classes:
            profile = PROFILES.get(asset_class, PROFILES["Equity"])
            name = f"class {asset_class}"
            shocks = profile.growth * self.growth + profile.rates * self.rates
            shocks = shocks + profile.common * self._shocks(name)
            storm = math.sqrt(0.5) * (self._storm("world") + self._storm(name))
            storm = np.sqrt(CALM_SHARE + (1 - CALM_SHARE) * storm * storm)
            trend = _monthly_trend(self.seed, name, self.months)
            self._classes[asset_class] = _Paths(shocks, profile.own, storm, trend)
        return self._classes[asset_class]

    def _shocks(self, name: str) -> Floats:
        draws = _draws(self.seed, f"shocks of {name}", len(self.days), 2)
        return _fat_tailed(draws[:, 0], draws[:, 1])

    def _storm(self, name: str) -> Floats:
        draws = _draws(self.seed, f"storms of {name}", len(self.days), 1)
        return _persistent(draws[:, 0], STORM_MEMORY)


@dataclass(frozen=True)
class _Paths:
    """What the tickers of a class share, day by day.

    `shocks` and `own` * a ticker's shocks add up to variance 1; `storm` scales volatility, mean
    square 1; `trend` has variance 1.
    """

    shocks: Floats
    own: float
    storm: Floats
    trend: Floats


def _bars(market: _Market, ticker: _Ticker) -> pa.Table:
    """The bars of one ticker: `PRICE_SCHEMA`, ordered by date."""
    begin = int(np.searchsorted(market.days, np.datetime64(ticker.first)))
    days, paths = market.days[begin:], market.paths(ticker.asset_class)
    draws = _draws(market.seed, f"bars of {ticker.name}", len(days), 7)
    own, tail, overnight, up, down, traded, gap = draws.T

    storm = paths.storm[begin:]
    span = ticker.volatility / math.sqrt(YEAR) * storm
    trend = _monthly_trend(market.seed, f"ticker {ticker.name}", market.months[begin:])
    trend = TREND_SHARPE * math.sqrt(0.5) * (paths.trend[begin:] + trend)
    drift = (CASH_RETURN + ticker.volatility * (SHARPE + trend)) / YEAR
    ret = drift + span * (paths.shocks[begin:] + paths.own * _fat_tailed(own, tail))
    ret = np.clip(ret, -0.4, 0.5)

    size = _uniforms(market.seed, f"size of {ticker.name}", 2)
    issued = 15 + 85 * size[:1]
    level = np.maximum(issued * np.cumprod(1 + ret), 0.01)
    opened = np.concatenate((issued, level))[:-1] * (1 + 0.35 * ret + 0.3 * span * overnight)
    high = np.maximum(opened, level) * (1 + 0.35 * span * np.abs(up))
    low = np.minimum(opened, level) * (1 - 0.35 * span * np.abs(down))
    usual = 1e5 * (1 + 9 * size[1]) * (1 + 9 * size[1])
    shares = np.rint(usual * storm * (0.3 + traded * traded))

    keep = _is_traded(gap) & (days <= np.datetime64(ticker.last))
    # Rounding keeps the order of numbers: low <= open, close <= high stays true.
    prices = [np.round(values[keep], 4) for values in (opened, high, low, level)]
    names = pa.repeat(ticker.name, len(prices[0]))
    return pa.table([names, pa.array(days[keep]), *prices, shares[keep]], schema=PRICE_SCHEMA)


def _monthly_trend(seed: int, name: str, months: npt.NDArray[np.int64]) -> Floats:
    """A drift of variance 1 for each day, the same within a month."""
    since = months - months[:1]
    draws = _draws(seed, f"trend of {name}", int(since[-1]) + 1 if len(since) else 0, 1)
    drift: Floats = _persistent(draws[:, 0], TREND_MEMORY)[since]
    return drift


def _is_traded(gap: Floats) -> npt.NDArray[np.bool_]:
    missing: npt.NDArray[np.bool_] = gap > GAP
    for later in range(1, 5):
        missing[later:] |= gap[:-later] > LONG_GAP
    missing[:1] = False
    return ~missing


def _simulated(seed: int, name: str, asset_class: str, first: dt.date, **rest: dt.date) -> _Ticker:
    usual = PROFILES.get(asset_class, PROFILES["Equity"]).volatility
    own = usual * (0.7 + 0.6 * float(_uniforms(seed, f"volatility of {name}", 1)[0]))
    return _Ticker(name, asset_class, VOLATILITIES.get(name, own), first, **rest)


def _listed(seed: int, name: str, asset_class: str) -> _Ticker:
    """A ticker of the universe: real first day where known, else one between 1993 and 2005."""
    days = int(12 * 365 * _uniforms(seed, f"listing of {name}", 1)[0])
    first = INCEPTIONS.get(name, dt.date(1993, 1, 4) + dt.timedelta(days=days))
    return _simulated(seed, name, asset_class, first)


def _extra(seed: int, name: str) -> _Ticker:
    """A stock: listed from the epoch (three in ten) or until 2022; half of them delist."""
    since, delists, life = _uniforms(seed, f"listing of {name}", 3)
    first = EPOCH + dt.timedelta(days=int(max(0.0, since - 0.3) / 0.7 * 32 * 365))
    last = first + dt.timedelta(days=int((1 + 24 * life) * 365))
    return _simulated(seed, name, EXTRA_CLASS, first, last=last if delists < 0.5 else dt.date.max)


def _extra_names(count: int) -> list[str]:
    return [f"X{number:04d}" for number in range(1, count + 1)]


def _bits(seed: int, name: str, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` words of the stream called `name`."""
    # The prefix was picked so that the default seed, 7, is an ordinary world in which no class
    # is lucky or ruined beyond measure.
    key = hashlib.blake2b(f"factorlab prices|{seed}|{name}".encode(), digest_size=16).digest()
    bits: npt.NDArray[np.uint64] = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(
        count
    )
    return bits


def _uniforms(seed: int, name: str, count: int) -> Floats:
    return (_bits(seed, name, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _draws(seed: int, name: str, rows: int, columns: int) -> Floats:
    """Nearly normal draws, mean 0 and variance 1, within 3.47: four 16-bit uniforms, summed.

    Whole numbers until the last step, and row after row: fewer rows are a prefix of more.
    """
    parts = _bits(seed, name, rows * columns).view(np.uint16).reshape(rows, columns, 4)
    total: Floats = parts.astype(np.float64).sum(axis=2)
    return (total - 2 * 65535) / math.sqrt((65536**2 - 1) / 3)


def _fat_tailed(draws: Floats, tail: Floats) -> Floats:
    """Draws of variance 1 and a kurtosis of 5.6, scaled by a second, independent draw."""
    scaled: Floats = draws * np.sqrt(0.2 + 0.8 * tail * tail)
    return scaled


def _persistent(draws: Floats, memory: float) -> Floats:
    """An AR(1) of variance 1 driven by `draws`, its first value the first draw."""
    values, state, fresh = [], None, math.sqrt(1 - memory * memory)
    for draw in draws.tolist():
        state = draw if state is None else memory * state + fresh * draw
        values.append(state)
    return np.array(values, dtype=np.float64)


def _coverage(name: str, bars: pa.Table | None) -> Coverage:
    if bars is None:
        return Coverage(name, "missing", detail="neither in the universe nor an extra ticker")
    if not bars.num_rows:
        return Coverage(name, "no_data", detail="not listed in that time")
    first, last = bars["date"][0].as_py(), bars["date"][-1].as_py()
    return Coverage(name, "ok", bars.num_rows, first_date=first, last_date=last)
