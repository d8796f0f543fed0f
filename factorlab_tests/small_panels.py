"""Small panels and strategies to test with: as few words as the numbers allow.

Belongs here: builders that several tests share. Does not: real or synthetic histories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from factorlab_assets.core import factors
from factorlab_assets.core.bars import Bars, Late
from factorlab_assets.core.calendar import Dates, month_ends, sessions
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Resolved, Strategy

NAN = float("nan")


def panel_of(
    prices: Mapping[str, Sequence[float]],
    *,
    first: str = "2020-01",
    mark: Mapping[str, Sequence[float]] | None = None,
    entry: Mapping[str, Sequence[float]] | None = None,
) -> Panel:
    """A panel of consecutive month-ends. Marks default to the prices; `entry` (open and close of
    the month's first session) to the price of the month before."""
    tickers = sorted(prices)
    price = np.array([prices[t] for t in tickers], dtype=np.float64).T
    months = month_ends(first, str(np.datetime64(first, "M") + (len(price) - 1)))
    before = np.vstack([np.full((1, len(tickers)), np.nan), price[:-1]])

    def values(given: Mapping[str, Sequence[float]] | None, default: Floats) -> Floats:
        if given is None:
            return default.copy()
        columns = [given.get(t, default[:, i]) for i, t in enumerate(tickers)]
        return np.array(columns, dtype=np.float64).T

    at_first = values(entry, before)
    names = np.array(tickers, dtype=np.str_)
    return Panel(months, names, price, price, values(mark, price), at_first, at_first.copy())


def daily_market(
    n_months: int, tickers: Sequence[str], seed: int, *, gaps: float = 0.02, sd: float = 0.02
) -> tuple[Panel, DailyPrices]:
    """Random daily bars of ascending tickers from 2019-01 on, and the panel of their months.

    `gaps` is the share of missing bars; each ticker also lacks whole weeks now and then, so that
    some months end without a price, and the last ticker is listed some months late.
    """
    rng = np.random.default_rng(seed)
    ends = month_ends("2019-01", str(np.datetime64("2019-01", "M") + (n_months - 1)))
    days = sessions(np.datetime64("2019-01-01").item(), ends[-1].item())
    shape = (len(days), len(tickers))
    close = 100.0 * np.exp(np.cumsum(sd * rng.standard_normal(shape), axis=0))
    opened = close * np.exp(0.5 * sd * rng.standard_normal(shape))
    missing = rng.random(shape) < gaps
    for column in range(shape[1]):
        for week in np.flatnonzero(rng.random(len(days)) < gaps / 10):
            missing[week : week + 30, column] = True
    missing[: 21 * (n_months // 4), -1] = True
    close[missing] = opened[missing] = np.nan

    price, mark, entry_open, entry_close = np.full((4, n_months, shape[1]), np.nan)
    months = days.astype("datetime64[M]")
    for t, month in enumerate(ends.astype("datetime64[M]")):
        inside = np.flatnonzero(months == month)
        entry_open[t], entry_close[t] = opened[inside[0]], close[inside[0]]
        for n in range(shape[1]):
            known = inside[np.isfinite(close[inside, n])]
            if known.size:
                mark[t, n] = close[known[-1], n]
                price[t, n] = mark[t, n] if inside[-1] - known[-1] <= 5 else np.nan
    names = np.array(list(tickers))
    panel = Panel(ends, names, price, price, mark, entry_open, entry_close)
    return panel, (days, names, close, opened)


def month_days(n_months: int, first: str = "2010-01") -> tuple[Dates, np.ndarray]:
    """The sessions of consecutive months, and the row of the month that each is in."""
    ends = month_ends(first, str(np.datetime64(first, "M") + (n_months - 1)))
    days = sessions(np.datetime64(f"{first}-01").item(), ends[-1].item())
    return days, np.searchsorted(ends, days)


def bars_with(close: Floats, volume: Floats | None = None, *, n_months: int) -> Bars:
    """Bars of these closes (D, N) on the sessions of `n_months`, a million dollars a day."""
    days, month = month_days(n_months)
    traded = np.where(np.isnan(close), np.nan, 1e6) if volume is None else volume
    none = np.empty(0, dtype=np.intp)
    late = Late(none, none, np.empty(0), days[:0])
    return Bars(days, month, close, traded, late)


def data_with(close: Floats, market: Floats | None = None, **said: Any) -> factors.Data:
    """What a factor is given where these are the daily closes (D, N): prices are the last of each
    month, in which every ticker has a bar on the last session. `market` is (D,)."""
    n_months = said.pop("n_months")
    bars = bars_with(close, n_months=n_months, **said)
    last = np.searchsorted(bars.month, np.arange(n_months), side="right") - 1
    of_market = np.ones((len(close), 1)) if market is None else market[:, np.newaxis]
    return factors.Data(close[last], of_market[last], bars, of_market)


def data_of(price: Floats, seed: int = 0) -> factors.Data:
    """What a factor is given where these are the month-end prices (T, N).

    Daily bars wander within a month and end it at its price; a month without a price has none. The
    market, the volumes and the panel from outside are random; the panel lacks what `price` lacks.
    """
    rng = np.random.default_rng([seed, 77])
    n_months, n = price.shape
    _, month = month_days(n_months)
    market = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.04, (n_months, 1)), axis=0))
    is_last = np.append(month[1:] != month[:-1], True)[:, np.newaxis]

    def within(at_end: Floats) -> Floats:
        steps = rng.normal(0.0, 0.02, (len(month), at_end.shape[1]))
        return at_end[month] * np.where(is_last, 1.0, np.exp(steps))

    closes, volume = within(price), np.exp(rng.normal(14.0, 1.0, (len(month), n)))
    bars = bars_with(closes, np.where(np.isnan(closes), np.nan, volume), n_months=n_months)
    outside = np.where(np.isnan(price), np.nan, rng.normal(size=price.shape))
    return factors.Data(price, market, bars, within(market), outside)


def times(data: factors.Data, by: Floats, *, volume: bool = False) -> factors.Data:
    """The data with every month's prices, and if said volumes, multiplied by (T, N); NaN removes
    the month."""
    bars, gone = data.bars, np.where(np.isnan(by), np.nan, 1.0)
    traded = bars.dollar_volume * (by if volume else gone)[bars.month]
    bars = replace(bars, close=bars.close * by[bars.month], dollar_volume=traded)
    return replace(data, price=data.price * by, bars=bars, outside=data.outside * by)


def some_tickers(data: factors.Data, columns: Sequence[int]) -> factors.Data:
    """The data of these tickers, in this order."""
    order = np.array(columns, dtype=np.intp)
    own, outside = data.price[:, order], data.outside[:, order]
    return replace(data, price=own, bars=data.bars.select(order), outside=outside)


def some_months(data: factors.Data, first: int, stop: int) -> factors.Data:
    """The data of the months `first` to `stop`, as if there were no others."""
    own = slice(first, stop)
    day, end = np.searchsorted(data.bars.month, (first, stop))
    bars = data.bars.until(data.bars.days[end - 1]).since(first)
    monthly = (data.price[own], data.market[own])
    return factors.Data(*monthly, bars, data.market_bars[day:end], data.outside[own])


def strategy_of(**said: Any) -> Strategy:
    """A strategy named `test` that costs nothing; keys as in a strategy file."""
    free = {"tc_bps": 0.0, "slippage_bps": 0.0}
    plain: dict[str, Any] = {"name": "test", "description": "-", "costs": free}
    return Strategy.model_validate(plain | said)


def least_params(name: str) -> dict[str, Any]:
    """What must be said to use factor `name`, every other parameter having a default."""
    required = (p for p in factors.REGISTRY[name].params if p.pattern and not p.default)
    return {p.name: "some_panel" for p in required}


def short_params(name: str) -> dict[str, Any]:
    """Parameters that let factor `name` need few months: 3 for every lookback, 1 for the others."""
    numbers = [p for p in factors.REGISTRY[name].params if not p.pattern]
    wanted = {p: 3 if "lookback" in p.name else 1 for p in numbers}
    short = {p.name: min(max(number, p.low), p.high) for p, number in wanted.items()}
    return factors.check(name, least_params(name) | short)


def ranked(portfolio: Mapping[str, Any] = MappingProxyType({}), **said: Any) -> Strategy:
    """A strategy with one factor, so that it may rank, and this portfolio."""
    trend = [{"name": "trend", "delay": 0}]
    return strategy_of(factors=trend, portfolio=dict(portfolio), **said)


def resolved_of(strategy: Strategy, tickers: Sequence[str] | None) -> Resolved:
    """The strategy over these tickers (None: every ticker of the version)."""
    names = None if tickers is None else tuple(sorted(tickers))
    return Resolved(strategy=strategy, tickers=names, asset_classes={})
