"""The panel that the strategies of a month run on: month-ends, and daily bars where they are read.

Belongs here: which tickers' bars a panel needs beside it. Does not: reading them (`returns`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import duckdb

from factorlab_assets.core import research
from factorlab_assets.core.panel import Basis, Panel
from factorlab_assets.core.returns import bars_beside
from factorlab_assets.strategy import Resolved


def with_bars(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    market: Panel,
    basis: Basis,
    strategies: Iterable[Resolved],
    *,
    days_before: int = 0,
) -> Panel:
    """The market with the daily bars of all that those of the strategies look at who read bars.

    Parameters
    ----------
    bars : a SQL relation as `returns` takes it. market : the month's panel on `basis`.
    days_before : of the market's dates, as `returns` takes it.

    Returns
    -------
    The tickers that these strategies read and no others, so that no bars lie there in vain; or
    `market` itself where none of them reads bars.
    """
    every = market.tickers.tolist()
    read: set[str] = set()
    for resolved in strategies:
        if research.reads_bars(resolved):
            read |= research.tickers_read(resolved, every)
    if not read:
        return market
    own = market.select(read.intersection(every))
    of = own.dates, own.tickers.tolist()
    return replace(own, bars=bars_beside(con, bars, basis, *of, days_before=days_before))
