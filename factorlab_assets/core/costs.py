"""What trading costs, part by part: commission, slippage, half the quoted spread, market impact.

Belongs here: from what was traded at a date to its cost, on what was known at that date. Does not:
what was traded (`backtest`), or what a held book pays for money and borrowed shares (`holding`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy_book import Costs

MONTHS = 3
"""Of so many months up to a date, its own included, volatility and volume are taken."""

LEAST_DAYS = 20
"""Fewer daily returns or volumes than this are no history."""

UNKNOWN_VOLATILITY = 0.05
"""Per day, some 80 % a year. A name whose volume or volatility is not known pays as if a whole
day's volume were traded, at its own volatility if that is known and larger, else at this one."""

NOT_TRADED = 1e-12
"""A fraction of capital up to this is rounding, no trade that would be counted."""


@dataclass(frozen=True)
class TradingCosts:
    """Of each trading date t < T−1, decimal of NAV, ≥ 0, (T−1,); `total` is the sum of the parts.

    turnover : Σ|Δw|. n_volume_unknown : names traded whose impact rests on `UNKNOWN_VOLATILITY`.
    """

    turnover: Floats
    commission: Floats
    slippage: Floats
    spread: Floats
    impact: Floats
    total: Floats
    n_volume_unknown: npt.NDArray[np.int64]


def trading_costs(costs: Costs, panel: Panel, traded: Floats) -> TradingCosts:
    """The cost of trades in parts of capital, name by name:

    commission = Σ|Δw|·tc/10 000 · slippage likewise · spread = Σ|Δw|·quoted spread/2/10 000 ·
    impact = Σ impact·σ·√(|Δw|·capital/V)·|Δw|, with σ and V from `liquidity`.

    Parameters
    ----------
    traded : (T−1, N) |Δw| at each date but the last, a fraction of capital; 0 where nothing trades.
    panel : whose tickers they are; where `impact` is above 0 with its daily bars.

    Raises
    ------
    FactorLabError : impact without daily bars.

    Notes
    -----
    All of it is settled at the date of the trade. The square-root law leaves out what decays after
    a trade, and every date is traded as if `capital` were its NAV. Where σ or V is not known, see
    `UNKNOWN_VOLATILITY`.

    References
    ----------
    Tóth et al. (2011), "Anomalous Price Impact and the Critical Nature of Liquidity in Financial
    Markets", Physical Review X 1, 021006, doi:10.1103/PhysRevX.1.021006: the square root, with a
    factor `impact` of the order of 1. Almgren, Thum, Hauptmann and Li (2005), "Direct Estimation of
    Equity Market Impact", Risk, fit a power of 3/5 instead.
    """
    turnover = traded.sum(axis=1)
    nothing, nobody = np.zeros(len(turnover)), np.zeros(len(turnover), dtype=np.int64)
    total = turnover * (costs.tc_bps + costs.slippage_bps) / 1e4
    spread, impact, unknown = nothing, nothing, nobody
    if costs.spread_bps:
        quoted = [costs.spread_bps.get(str(ticker), 0.0) for ticker in panel.tickers]
        spread = (traded * (np.array(quoted) / 2e4)).sum(axis=1)
        total = total + spread
    if costs.capital is not None:
        impact, unknown = _impact(costs.impact, costs.capital, panel, traded)
        total = total + impact
    commission, slippage = turnover * costs.tc_bps / 1e4, turnover * costs.slippage_bps / 1e4
    return TradingCosts(turnover, commission, slippage, spread, impact, total, unknown)


def _impact(
    impact: float, capital: float, panel: Panel, traded: Floats
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The impact of each date, (T−1,), and how many names it had to be assumed of."""
    known = panel.once("liquidity", lambda: liquidity(panel))
    volatility, volume = (values[:-1] for values in known)
    is_unknown = np.isnan(volatility) | np.isnan(volume)
    days = np.where(is_unknown, 1.0, traded * (capital / np.where(is_unknown, 1.0, volume)))
    sigma = np.where(is_unknown, np.fmax(volatility, UNKNOWN_VOLATILITY), volatility)
    cost = (impact * sigma * np.sqrt(days) * traded).sum(axis=1)
    return cost, (is_unknown & (traded > NOT_TRADED)).sum(axis=1)


class Liquidity(NamedTuple):
    """At each date, of each ticker, (T, N), NaN = not known.

    volatility : sd of daily returns, decimal per day. volume : mean dollars a day, above 0.
    """

    volatility: Floats
    volume: Floats


def liquidity(panel: Panel) -> Liquidity:
    """Daily volatility (sample, of P_d/P_{d−1} − 1 between neighbouring sessions) and mean dollar
    volume of the last `MONTHS` months up to each date, as known at its close.

    Days without a bar are left out; with fewer than `LEAST_DAYS` of them, or no volume at all, a
    figure is not known.

    Raises
    ------
    FactorLabError : the panel has no daily bars.
    """
    bars = panel.bars
    if bars is None:
        raise FactorLabError(
            "market impact is reckoned from daily closes and volumes, and there are none",
            where="costs.impact",
            expected="a panel with daily bars",
        )
    volatility, volume = _liquidity(bars, len(panel.dates))
    for t in _known_otherwise(bars, panel):
        # One month more: the window's first return starts from the close before it.
        first = max(t - MONTHS, 0)
        then = _liquidity(bars.as_known(panel.dates[t]).since(first), t - first + 1)
        volatility[t], volume[t] = then.volatility[-1], then.volume[-1]
    return Liquidity(volatility, volume)


def _known_otherwise(bars: Bars, panel: Panel) -> list[int]:
    """Rows of dates whose window has a close that was repaired only after the date."""
    late = bars.late
    own = bars.month[late.row]
    # A close is part of the next session's return too, which may be the next month's first.
    stop = np.minimum(np.searchsorted(panel.dates, late.known_at), own + MONTHS + 1)
    spans = zip(own.tolist(), np.minimum(stop, len(panel.dates)).tolist(), strict=True)
    return sorted({t for first, last in spans for t in range(first, last)})


def _liquidity(bars: Bars, n_rows: int) -> Liquidity:
    """The same from these bars as they are, for panel rows 0 … n_rows − 1."""
    returns = np.full(bars.close.shape, np.nan)
    returns[1:] = bars.close[1:] / bars.close[:-1] - 1.0
    n, total, squares = (_rolled(each, bars, n_rows) for each in _powers(returns))
    days, traded, _ = (_rolled(each, bars, n_rows) for each in _powers(bars.dollar_volume))
    enough = n >= LEAST_DAYS
    n = np.where(enough, n, LEAST_DAYS)
    variance = np.maximum(squares - total * total / n, 0.0) / (n - 1.0)
    volatility = np.where(enough, np.sqrt(variance), np.nan)
    is_known = (days >= LEAST_DAYS) & (traded > 0.0)
    volume = np.where(is_known, traded / np.maximum(days, 1.0), np.nan)
    return Liquidity(volatility, volume)


def _powers(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each value: 1, itself and its square; 0 where it is not known."""
    known = np.isfinite(values)
    plain = np.where(known, values, 0.0)
    return known.astype(np.float64), plain, plain * plain


def _rolled(values: Floats, bars: Bars, n_rows: int) -> Floats:
    """Sums over `MONTHS` panel rows up to each, (n_rows, N).

    Each row is summed by itself, so that no later day can touch it even in the last bit.
    """
    edges = np.searchsorted(bars.month, np.arange(n_rows + 1))
    months = np.zeros((n_rows + MONTHS - 1, values.shape[1]))
    filled = np.flatnonzero(np.diff(edges))
    if filled.size:
        own = values[: edges[-1]]
        months[filled + MONTHS - 1] = np.add.reduceat(own, edges[filled], axis=0)
    return sum((months[k : k + n_rows] for k in range(1, MONTHS)), start=months[:n_rows])
