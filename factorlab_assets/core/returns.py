"""From daily prices to month-end prices, marks, entry prices and returns, in DuckDB's SQL.

Belongs here: everything that reads daily rows for research. Does not: repairing them or growing
them to total returns (`adjust`), opening a database, or any statistics. Daily rows stay in DuckDB:
15 million of them never become a frame.

`bars` is a SQL relation (a table's name or a query in parentheses) that the caller vouches for,
with the columns of `adjusted_prices`: ticker, date, open, close (null = no price), seen, growth,
and where `Bars` are made dollar_volume and known_at; each key once. A bar on a day that is no
exchange session is not looked at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.calendar import Dates, month_end, month_starts, sessions
from factorlab_assets.core.dense import blocks
from factorlab_assets.core.panel import Basis, Floats
from factorlab_assets.core.relations import registered, sessions_registered

STALE_SESSIONS = 5
"""A month-end price may be this many sessions old (timing law 1)."""

COLUMNS = (
    "ticker",
    "date",
    "last_trading_day",
    "sessions_stale",
    "close",
    "price",
    "seen",
    "growth",
    "entry_open",
    "entry_close",
    "entry_growth",
    "ret",
    "total_ret",
)

_BARS = """
_all AS NOT MATERIALIZED (
    FROM {bars} WHERE date <= DATE '{through}'
),
_bars AS NOT MATERIALIZED (SELECT * EXCLUDE (seen) FROM _all WHERE close IS NOT NULL),
_span AS (
    SELECT ticker, min(date) AS first_bar, max(date) AS last_bar FROM _bars GROUP BY ticker
)"""

# Nearly every ticker-month has a bar on the month-end itself, and a join with those few dates finds
# it at the cost of a scan. Only ticker-months without one are aggregated: with 15 M rows that takes
# two thirds of the time of one GROUP BY ticker, month.
_LAST_BARS = """
_months AS MATERIALIZED (
    SELECT m, min(date) AS month_start, max(date) AS month_end, max(n) AS n_end
    FROM factorlab_sessions GROUP BY m
),
_exact AS MATERIALIZED (
    SELECT ticker, m, date, close, growth FROM _bars JOIN _months ON date = month_end
),
_incomplete AS (
    SELECT ticker, first.m AS first_m, last.m AS last_m
    FROM _span
    ASOF JOIN _months AS first ON first_bar <= first.month_end
    ASOF JOIN _months AS last ON last_bar <= last.month_end
    LEFT JOIN (SELECT ticker, count(*) AS n_exact FROM _exact GROUP BY ticker) USING (ticker)
    WHERE n_exact IS DISTINCT FROM last.m - first.m + 1
),
_missing AS (
    SELECT ticker, m, month_start, month_end, n_end
    FROM _incomplete JOIN _months ON m BETWEEN first_m AND last_m
    ANTI JOIN _exact USING (ticker, m)
),
_candidates AS MATERIALIZED (
    SELECT ticker, _missing.m, month_end, n_end, date, close, growth
    FROM _bars JOIN _missing USING (ticker) WHERE date BETWEEN month_start AND month_end
),
_early AS (
    SELECT
        ticker,
        c.m,
        month_end AS date,
        max(date) AS last_trading_day,
        n_end - max(n) AS sessions_stale,
        arg_max(close, n) AS close,
        arg_max(growth, n) AS growth
    FROM _candidates AS c JOIN factorlab_sessions AS s USING (date)
    GROUP BY ticker, c.m, month_end, n_end
),
_last AS (
    SELECT ticker, m, date, date AS last_trading_day, 0::BIGINT AS sessions_stale, close, growth
    FROM _exact
    UNION ALL
    FROM _early
),
_entered AS (
    SELECT
        ticker, m, open AS entry_open, close AS entry_close, growth AS entry_growth
    FROM _bars JOIN _months ON date = month_start
)"""

# A price that was repaired later than on its own day: what it was then. Few ticker-months have one.
_SEEN = """
_touched AS MATERIALIZED (
    SELECT DISTINCT ticker, m FROM _all JOIN factorlab_sessions USING (date)
    WHERE seen IS DISTINCT FROM close
),
_seen AS (
    SELECT ticker, m, n_end - max(n) AS seen_stale, arg_max(seen, n) AS seen_close
    FROM _all JOIN factorlab_sessions USING (date) JOIN _touched USING (ticker, m)
    JOIN _months USING (m)
    WHERE seen IS NOT NULL GROUP BY ticker, m, n_end
)"""

_RETURNS = """
_marked AS (
    SELECT *, CASE WHEN sessions_stale <= {stale} THEN close END AS price FROM _last
)
SELECT {columns} FROM (
    SELECT
        *,
        {seen} AS seen,
        price / CASE WHEN lag(m) OVER past = m - 1 THEN lag(price) OVER past END - 1 AS ret,
        price * growth
        / CASE WHEN lag(m) OVER past = m - 1 THEN lag(price * growth) OVER past END - 1 AS total_ret
    FROM {rows}
    WINDOW past AS (PARTITION BY ticker ORDER BY m)
)"""
_SEEN_PRICE = """CASE WHEN seen_stale IS NULL THEN price
        WHEN seen_stale <= {stale} THEN seen_close END"""


def monthly_returns(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    month: str,
    *,
    columns: Sequence[str] = COLUMNS,
    days_before: int = 0,
) -> pa.Table:
    """Month-end prices and returns up to `month`, one row per ticker-month with a price.

    close is the month's last, price the same if its bar is at most 5 sessions older than the
    month-end, seen what price was to those who knew no later repair. On the two bases

    ret_t = price_t / price_{t−1} − 1,  total_ret_t = the same of price · growth,

    of consecutive month-ends, else null.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    bars : a SQL relation, see the module.
    month : '2024-05'; later bars are not looked at.
    columns : which of `COLUMNS`; leaving out returns, `seen` and the entry prices saves their work.
    days_before : months end so many sessions before their last one: everything dated on it is of
        that day, and what comes after it belongs to the next month.

    Returns
    -------
    pa.Table with `columns` (schemas.MONTHLY_RETURNS says what each is), in no particular order.

    Notes
    -----
    A row is a function of the bars up to its own `date`: later ones never change it.
    """
    through = month_end(month, days_before)
    parts = [_BARS.format(bars=bars, through=through), _LAST_BARS]
    rows, seen = "_marked", "price"
    if {"entry_open", "entry_close", "entry_growth"} & set(columns):
        rows += " LEFT JOIN _entered USING (ticker, m)"
    if "seen" in columns:
        parts.append(_SEEN)
        rows += " LEFT JOIN _seen USING (ticker, m)"
        seen = _SEEN_PRICE.format(stale=STALE_SESSIONS)
    parts.append(
        _RETURNS.format(stale=STALE_SESSIONS, seen=seen, rows=rows, columns=", ".join(columns))
    )
    with sessions_registered(con, through, days_before):
        return con.sql(f"WITH {','.join(parts)}").to_arrow_table()


def plain(bars: str) -> str:
    """Bars as they are in the shape that this module reads: unrepaired, nothing distributed."""
    return f"""(SELECT ticker, date, open, close, close AS seen, 1.0::DOUBLE AS growth,
        close * volume AS dollar_volume, NULL::DATE AS known_at FROM {bars})"""  # noqa: S608  # a relation


def on_basis(bars: str, basis: Basis) -> str:
    """The bars with every price on one basis, and growth 1; those of which it is known."""
    if basis == "close":
        return f"(SELECT * REPLACE (1.0::DOUBLE AS growth) FROM {bars})"  # noqa: S608  # a relation
    grown = ", ".join(f"{name} * growth AS {name}" for name in ("open", "close", "seen"))
    return f"(SELECT * REPLACE ({grown}, 1.0::DOUBLE AS growth) FROM {bars} WHERE growth > 0)"  # noqa: S608  # a relation


def daily_basis(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    basis: Basis,
    tickers: Iterable[str],
    through: dt.date,
) -> tuple[Dates, npt.NDArray[np.str_], Floats, Floats]:
    """Daily closes and opens on a basis, for the book that is valued day by day.

    Returns
    -------
    dates : (D,) every exchange session from the first bar of any of `tickers` to `through`.
    tickers : (N,) ascending, each once; one without bars is an all-NaN column.
    close, open : (D, N) float64, NaN = no price.
    """
    names = np.unique(np.asarray(list(tickers), dtype=np.str_))
    rows = f"(FROM {on_basis(bars, basis)} WHERE close IS NOT NULL)"
    wanted = pa.table({"ticker": names.tolist()})
    with sessions_registered(con, through) as every, registered(con, "factorlab_wanted", wanted):
        own = f"FROM {rows} JOIN factorlab_sessions USING (date) SEMI JOIN factorlab_wanted"
        query = f"{own} USING (ticker) SELECT coalesce(min(n), {len(every)})"
        days = every[con.sql(query).fetchall()[0][0] :]
    with blocks(con, rows, [(days, names.tolist())]) as found:
        ((close, open_),) = found.read("close", "open")
    return days, names, close, open_


def bars_beside(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    basis: Basis,
    dates: Dates,
    tickers: Iterable[str],
    *,
    days_before: int = 0,
) -> Bars:
    """The daily bars of a panel's tickers on its basis, of all sessions of its months.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    bars : a SQL relation, see the module. Bars after the last date are not looked at.
    dates, tickers : those of the panel; a ticker without bars is an all-NaN column.
    days_before : of the panel's dates, as `monthly_returns` takes it.

    Notes
    -----
    A bar that was dropped has no close; its dollar volume stays what the source said.
    """
    names = np.unique(np.asarray(list(tickers), dtype=np.str_))
    own = [(dates, names.tolist())]
    return bars_of_each(con, on_basis(bars, basis), own, days_before=days_before)[0]


def bars_of_each(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    panels: Sequence[tuple[Dates, Sequence[Any]]],
    *,
    days_before: int = 0,
) -> list[Bars]:
    """The daily bars of several panels, read at once.

    Parameters
    ----------
    bars : a SQL relation, see the module; its growth is not looked at (`on_basis`).
    panels : of each its dates, and its tickers in the order of the columns; no two panels share
        one.
    """
    days = [_days(dates, days_before) for dates, _ in panels]
    wanted = [(own, tickers) for own, (_, tickers) in zip(days, panels, strict=True)]
    with blocks(con, bars, wanted) as found:
        values, late = found.read("close", "dollar_volume"), found.late()
    return [
        Bars(own, np.searchsorted(dates, own), close, dollar_volume, repaired)
        for (dates, _), own, (close, dollar_volume), repaired in zip(
            panels, days, values, late, strict=True
        )
    ]


def _days(dates: Dates, days_before: int) -> Dates:
    """Every session of the months that end on these dates."""
    month = str(dates[0])[:7]
    first = month_starts(month, month, days_before)[0]
    return sessions(first.item(), dates[-1].item())
