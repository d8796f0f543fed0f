"""Panels with daily bars beside them, for what reads volumes and volatilities.

Belongs here: builders, no tests. Does not: panels of months alone (`small_panels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from factorlab_assets.core.bars import Bars, Late
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.panel import Floats, Panel
from factorlab_tests.small_panels import daily_market


def no_repairs() -> Late:
    """No close was repaired after its own day."""
    none = np.empty(0, dtype=np.intp)
    return Late(none, none, np.empty(0), np.empty(0, dtype="datetime64[D]"))


def with_bars(panel: Panel, close: Floats, volume: Floats, late: Late | None = None) -> Panel:
    """The panel with daily closes and dollar volumes (D, N), on every session of its months."""
    first = panel.dates[0].astype("datetime64[M]").astype("datetime64[D]")
    days = sessions(first.item(), panel.dates[-1].item())
    assert close.shape == volume.shape == (len(days), len(panel.tickers))
    month = np.searchsorted(panel.dates, days)
    bars = Bars(days, month, close, volume, no_repairs() if late is None else late)
    return replace(panel, bars=bars)


def traded_market(
    n_months: int, tickers: Sequence[str], seed: int, *, gaps: float = 0.02
) -> tuple[Panel, DailyPrices]:
    """`daily_market` with dollar volumes around ten million a day, none of the first ticker's last
    half, and closes that were repaired some days or months later."""
    panel, prices = daily_market(n_months, tickers, seed, gaps=gaps)
    days, _, close, _ = prices
    rng = np.random.default_rng([seed, 5])
    volume = np.exp(rng.normal(16.0, 1.0, close.shape))
    volume[np.isnan(close)] = np.nan
    volume[len(days) // 2 :, 0] = np.nan
    row, column = np.nonzero(np.isfinite(close) & (rng.random(close.shape) < 0.01))
    seen = 1.5 * close[row, column]
    known_at = days[row] + rng.integers(1, 150, len(row)).astype("timedelta64[D]")
    late = Late(row, column, seen, known_at)
    return with_bars(panel, close, volume, late), prices
