"""Performance over time: rolling statistics, calendar years and drawdowns of a backtest.

Belongs here: rows that are functions of monthly returns alone. Does not: who earned them
(`contributions`), statistics of a whole span (`core.performance`), or drawing.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.calendar import Dates, month_ends, sessions
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import NOISE
from factorlab_assets.core.performance_many import metrics_of_many

Row = dict[str, object]
WINDOW = 36
"""Months of a rolling statistic."""


def rolling(backtest: Backtest, market_returns: Floats, window: int = WINDOW) -> list[Row]:
    """Rows of `rolling_metrics` less month and strategy: each month's figures of the last `window`.

    sharpe, volatility_ann and beta as `performance.metrics` has them over these months alone; beta
    is the slope on the benchmark, market_beta on `market_returns`, both over cash.

    Parameters
    ----------
    market_returns : (T,) of SPY in the backtest's months, decimal; NaN = not known.

    Returns
    -------
    One row per month from the `window`-th on; none of a shorter backtest.

    Notes
    -----
    A slope is NaN where a month of the window is not known, or the other series is constant; a
    Sharpe ratio where the returns over cash are.
    """
    if len(backtest.dates) < window:
        return []

    def windows(values: Floats) -> Floats:
        return np.lib.stride_tricks.sliding_window_view(values, window)

    net, rf = windows(backtest.net_return), windows(backtest.rf)
    nothing = np.zeros_like(net)
    said = metrics_of_many(net, rf, nothing, nothing, nothing)
    excess = net - rf
    columns = {
        "sharpe": said["sharpe"],
        "volatility_ann": said["volatility_ann"],
        "beta": _slopes(excess, windows(backtest.benchmark_return) - rf),
        "market_beta": _slopes(excess, windows(np.asarray(market_returns)) - rf),
    }
    dates = backtest.dates[window - 1 :].tolist()
    return [
        {"date": date, **{name: float(values[i]) for name, values in columns.items()}}
        for i, date in enumerate(dates)
    ]


def calendar_years(backtest: Backtest) -> list[Row]:
    """Rows of `calendar_returns` less month and strategy: Π(1 + r) − 1 of each year's months.

    is_full : the year has twelve months in the backtest. benchmark_return is NaN where one of its
    months is not known.
    """
    years = backtest.dates.astype("datetime64[Y]").astype(np.int64) + 1970
    found: list[Row] = []
    for year in np.unique(years):
        own = years == year
        months = int(own.sum())
        row: Row = {"year": int(year), "n_months": months}
        row["net_return"] = _compounded(backtest.net_return[own])
        row["benchmark_return"] = _compounded(backtest.benchmark_return[own])
        found.append({**row, "is_full": months == 12})
    return found


def drawdowns(backtest: Backtest, most: int = 10) -> list[Row]:
    """Rows of `drawdowns` less month and strategy: the deepest runs of months below the high.

    A drawdown begins at the last month-end at the high, NAV 1 at the start included, and ends with
    the first at which NAV is as high again; so none overlaps another. Its depth is the lowest
    NAV / high − 1 on the way, at `trough` for the first time.

    Parameters
    ----------
    most : so many at most, deepest first; of two as deep the earlier first.

    Notes
    -----
    recovery is None where the high was not reached again; n_months then runs to the last month.
    A NAV below the high by no more than rounding is at it (`performance.NOISE`).
    """
    below = backtest.drawdown < -NOISE
    edges = np.diff(np.concatenate([[False], below, [False]]).astype(np.int8))
    dates = np.concatenate([_start(backtest.dates), backtest.dates])  # dates[i]: before row i
    found = []
    for first, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        low = int(first + np.argmin(backtest.drawdown[first:stop]))
        is_over = bool(stop < len(below))
        row: Row = {
            "peak": dates[first].item(),
            "trough": dates[low + 1].item(),
            "recovery": dates[stop + 1].item() if is_over else None,
            "depth": float(backtest.drawdown[low]),
            "n_months": int(stop - first + is_over),
        }
        found.append((float(backtest.drawdown[low]), row))
    deepest = sorted(found, key=lambda each: each[0])[:most]
    return [{"rank": i, **row} for i, (_, row) in enumerate(deepest, 1)]


def _compounded(returns: Floats) -> float:
    return float(np.prod(1.0 + returns) - 1.0)


def _slopes(values: Floats, others: Floats) -> Floats:
    """cov/var of each row, (W, n) both; NaN where a month is not known or `others` is constant."""
    off = others - others.mean(axis=1, keepdims=True)
    variance = (off**2).sum(axis=1)
    least = (NOISE * (1.0 + np.abs(others).max(axis=1))) ** 2 * (others.shape[1] - 1)
    is_safe = variance > least
    covariance = (off * (values - values.mean(axis=1, keepdims=True))).sum(axis=1)
    return np.where(is_safe, covariance / np.where(is_safe, variance, 1.0), np.nan)


def _start(dates: Dates) -> Dates:
    """The date at which the capital of the first row was put to work; empty where there is none."""
    if len(dates) == 0:
        return dates
    month = dates[:1].astype("datetime64[M]")
    after = sessions(dates[0].item(), month_ends(str(month[0]), str(month[0]))[0].item())
    before = str(month[0] - 1)
    return month_ends(before, before, len(after) - 1)
