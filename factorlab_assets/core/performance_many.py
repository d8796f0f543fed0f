"""The headline statistics of many return series at once: `performance.metrics`, side by side.

Belongs here: the same formulas over (C, T). Does not: what they mean (`performance`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE

Counts = npt.NDArray[np.int64]


def metrics_of_many(
    net: Floats, rf: Floats, benchmark: Floats, turnover: Floats, cost: Floats
) -> dict[str, Floats]:
    """`performance.metrics` of every row, by column; (C,) each, and n_months, how many there are.

    Parameters
    ----------
    net, rf, benchmark, turnover, cost : (C, T) decimals per month. A row's months are those in
    which its `net` is finite, taken one after the other as if the others were not there.

    Notes
    -----
    Sums run over all T columns: the last bits differ from those of `performance.metrics`.

    >>> nothing = np.zeros((1, 3))
    >>> net = np.array([[np.nan, 0.1, -0.1]])
    >>> said = metrics_of_many(net, nothing, nothing, nothing, nothing)
    >>> said["n_months"].tolist(), said["max_drawdown"].round(12).tolist(), said["sharpe"].tolist()
    ([2.0], [-0.1], [0.0])
    """
    there = np.isfinite(net)
    n = there.sum(axis=1)
    excess = np.where(there, net - rf, np.nan)
    known = there & np.isfinite(benchmark)
    active = np.where(known, net - benchmark, np.nan)
    nav = np.cumprod(1.0 + np.where(there, net, 0.0), axis=1)
    final = nav[:, -1] if nav.shape[1] else np.ones(len(nav))
    peak = np.maximum.accumulate(np.maximum(nav, 1.0), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = np.where(final >= 0.0, np.maximum(final, 0.0) ** (MONTHS / n) - 1.0, np.nan)
    said = {
        "n_months": n.astype(np.float64),
        "cagr": grown,
        "volatility_ann": _spread(net) * np.sqrt(MONTHS),
        "sharpe": _ratio(_mean(excess), _spread(excess), excess) * np.sqrt(MONTHS),
        "max_drawdown": (nav / peak - 1.0).min(axis=1, initial=0.0),
        "turnover_ann": _mean(np.where(there, turnover, np.nan)) * MONTHS,
        "cost_drag_ann": _mean(np.where(there, cost, np.nan)) * MONTHS,
        "excess_ann": _mean(active) * MONTHS,
        "information_ratio": _ratio(_mean(active), _spread(active), active) * np.sqrt(MONTHS),
    }
    nothing = n == 0
    return {
        name: values if name == "n_months" else np.where(nothing, np.nan, values)
        for name, values in said.items()
    }


def _mean(values: Floats) -> Floats:
    """Of what is finite in each row, NaN where nothing is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1))


def _spread(values: Floats) -> Floats:
    """Sample standard deviation of what is finite; 0 where only rounding, NaN below two values."""
    there = np.isfinite(values)
    n = there.sum(axis=1)
    off = np.where(there, values - _mean(values)[:, np.newaxis], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt((off**2).sum(axis=1) / np.where(n > 1, n - 1, np.nan))
    return np.where(spread <= _noise(values), 0.0, spread)


def _ratio(numerator: Floats, denominator: Floats, values: Floats) -> Floats:
    """NaN where the denominator is NaN, 0, or only the rounding of `values`."""
    is_safe = denominator > _noise(values)
    return np.where(is_safe, numerator / np.where(is_safe, denominator, 1.0), np.nan)


def _noise(values: Floats) -> Floats:
    largest = np.where(np.isfinite(values), np.abs(values), 0.0).max(axis=1, initial=0.0)
    return np.asarray(NOISE * (1.0 + largest))
