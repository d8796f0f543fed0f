"""A backtest of given monthly returns, for what needs no book.

Belongs here: the builder that several tests share. Does not: backtests of books (`small_books`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from factorlab_assets.core.backtest import Backtest, drawdown, growth
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats


def earning(
    net: Sequence[float] | Floats,
    benchmark: Sequence[float] | Floats | float = np.nan,
    *,
    rf: float | Floats = 0.0,
    first: str = "2020-01",
    days_before: int = 0,
) -> Backtest:
    """Consecutive months of these net returns, free of charge, fully invested in one name."""
    returns = np.array(net, dtype=np.float64)
    zero, one = np.zeros(len(returns)), np.ones(len(returns), dtype=np.int64)
    last = str(np.datetime64(first, "M") + (len(returns) - 1))
    dates = month_ends(first, last, days_before) if len(returns) else month_ends(first, first)[:0]
    nav = growth(returns)
    return Backtest(
        dates=dates,
        gross_return=returns,
        cash_return=zero,
        financing=zero,
        borrow=zero,
        cost=zero,
        commission=zero,
        slippage=zero,
        spread_cost=zero,
        impact_cost=zero,
        net_return=returns,
        rf=zero + np.asarray(rf),
        turnover=zero,
        benchmark_return=zero + np.asarray(benchmark, dtype=np.float64),
        nav=nav,
        drawdown=drawdown(nav),
        gross_exposure=one.astype(np.float64),
        net_exposure=one.astype(np.float64),
        n_holdings=one,
        n_unpriced=0 * one,
        n_volume_unknown=0 * one,
    )
