"""Small panels and strategies to test with: as few words as the numbers allow.

Belongs here: builders that several tests share. Does not: real or synthetic histories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from factorlab_assets.core import factors
from factorlab_assets.core.calendar import month_ends, sessions
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


def strategy_of(**said: Any) -> Strategy:
    """A strategy named `test` that costs nothing; keys as in a strategy file."""
    free = {"tc_bps": 0.0, "slippage_bps": 0.0}
    plain: dict[str, Any] = {"name": "test", "description": "-", "costs": free}
    return Strategy.model_validate(plain | said)


def short_params(name: str) -> dict[str, int]:
    """Parameters that let factor `name` need few months: 3 for every lookback, 1 for the others."""
    wanted = {p: 3 if "lookback" in p.name else 1 for p in factors.REGISTRY[name].params}
    return {p.name: min(max(number, p.low), p.high) for p, number in wanted.items()}


def ranked(portfolio: Mapping[str, Any] = MappingProxyType({}), **said: Any) -> Strategy:
    """A strategy with one factor, so that it may rank, and this portfolio."""
    trend = [{"name": "trend", "delay": 0}]
    return strategy_of(factors=trend, portfolio=dict(portfolio), **said)


def resolved_of(strategy: Strategy, tickers: Sequence[str] | None) -> Resolved:
    """The strategy over these tickers (None: every ticker of the version)."""
    names = None if tickers is None else tuple(sorted(tickers))
    return Resolved(strategy=strategy, tickers=names, asset_classes={})
