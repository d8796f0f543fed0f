"""From daily bars to month-end prices, marks, entry prices and returns, in DuckDB's SQL.

Belongs here: everything that reads daily rows for research. Does not: opening a database, or any
statistics. Daily rows stay in DuckDB: 15 million of them never become a frame.

`bars` and `distributions` are SQL relations (a table's name or a query in parentheses) that the
caller vouches for: ticker, date, open, close, and ticker, ex_date, amount; each key once. A bar on
a day that is no exchange session is not looked at.

The basis of a price is close × growth, where growth multiplies 1 + D / P_ex over the ticker's
ex-dates up to that day: a total-return index that equals the close before the first distribution,
with (P_t + D_t) / P_{t−1} − 1 on every day. An ex-date without a bar moves to the next bar. One on
or before the first bar, or after the last, touches no return and is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.calendar import Dates, month_end
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.relations import registered, sessions_registered

STALE_SESSIONS = 5
"""A month-end price may be this many sessions old (timing law 1)."""

COLUMNS = (
    "ticker",
    "date",
    "last_trading_day",
    "sessions_stale",
    "close",
    "mark",
    "price",
    "entry_open",
    "entry_close",
    "ret",
)

_BATCH = 1_000_000
_KEYED = "FROM {rows} JOIN factorlab_sessions USING (date) JOIN factorlab_wanted USING (ticker)"

_BARS = """
_bars AS NOT MATERIALIZED (
    SELECT ticker, date, open, close FROM {bars} WHERE date <= DATE '{through}'
),
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
    SELECT ticker, m, date, close FROM _bars JOIN _months ON date = month_end
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
    SELECT ticker, _missing.m, month_end, n_end, date, close
    FROM _bars JOIN _missing USING (ticker) WHERE date BETWEEN month_start AND month_end
),
_early AS (
    SELECT
        ticker,
        c.m,
        month_end AS date,
        max(date) AS last_trading_day,
        n_end - max(n) AS sessions_stale,
        arg_max(close, n) AS close
    FROM _candidates AS c JOIN factorlab_sessions AS s USING (date)
    GROUP BY ticker, c.m, month_end, n_end
),
_last AS (
    SELECT ticker, m, date, date AS last_trading_day, 0::BIGINT AS sessions_stale, close
    FROM _exact
    UNION ALL
    FROM _early
),
_entry AS (
    SELECT ticker, m, date, open, close FROM _bars JOIN _months ON date = month_start
)"""

_STEPS = """
_paid AS MATERIALIZED (
    SELECT ticker, ex_date, amount
    FROM {distributions} JOIN _span USING (ticker)
    WHERE ex_date > first_bar AND ex_date <= last_bar
),
_on_day AS MATERIALIZED (
    SELECT ticker, ex_date, amount, date, close
    FROM (FROM _paid SEMI JOIN factorlab_sessions ON ex_date = date) JOIN _bars USING (ticker)
    WHERE date = ex_date
),
_after AS MATERIALIZED (
    SELECT ticker, ex_date, amount, date, close
    FROM (FROM _paid ANTI JOIN _on_day USING (ticker, ex_date)) JOIN _bars USING (ticker)
    WHERE date > ex_date
),
_moved AS (
    SELECT ticker, ex_date, amount, min(date) AS date, arg_min(close, date) AS close
    FROM _after SEMI JOIN factorlab_sessions USING (date)
    GROUP BY ticker, ex_date, amount
),
_steps AS (
    SELECT ticker, date, 1 + sum(amount ORDER BY ex_date) / any_value(close) AS step
    FROM (FROM _on_day UNION ALL FROM _moved)
    GROUP BY ticker, date
)"""

# product() over a window multiplies in an order that depends on the rows to come, which shows in
# the last bit; a sum of decimals has no order.
_GROWTH = """
_growth AS MATERIALIZED (
    SELECT
        ticker, date,
        exp(sum(ln(step)::DECIMAL(38, 20)) OVER (PARTITION BY ticker ORDER BY date)) AS growth
    FROM _steps
)"""

_WITH_GROWTH = """(
    SELECT {rows}.*, coalesce(growth, 1) AS growth
    FROM {rows} ASOF LEFT JOIN _growth
    ON {rows}.ticker = _growth.ticker AND {rows}.{day} >= _growth.date
)"""

_RETURNS = """
_marked AS (
    SELECT
        * EXCLUDE (growth),
        close * growth AS mark,
        CASE WHEN sessions_stale <= {stale} THEN close * growth END AS price
    FROM {last}
),
_entered AS (
    SELECT ticker, m, open * growth AS entry_open, close * growth AS entry_close FROM {entry}
)
SELECT {columns} FROM (
    SELECT
        *,
        price / CASE WHEN lag(m) OVER past = m - 1 THEN lag(price) OVER past END - 1 AS ret
    FROM {rows}
    WINDOW past AS (PARTITION BY ticker ORDER BY m)
)"""


def monthly_returns(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    distributions: str | None,
    month: str,
    *,
    columns: Sequence[str] = COLUMNS,
) -> pa.Table:
    """Month-end prices and returns up to `month`, one row per ticker-month with a bar.

    price_t is the mark if its bar is at most 5 sessions older than the month-end, and
    ret_t = price_t / price_{t−1} − 1 of consecutive month-ends; else both are null.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    bars, distributions : SQL relations, see the module. Without distributions the basis is close.
    month : '2024-05'; later bars are not looked at.
    columns : which of `COLUMNS`; leaving out `ret` and the entry prices saves their joins.

    Returns
    -------
    pa.Table with `columns` (schemas.MONTHLY_RETURNS says what each is), in no particular order.

    Notes
    -----
    A row is a function of bars and distributions up to its own `date`: later ones never change it.
    A distribution lifts open and close of its ex-date alike, by 1 + D / close.
    """
    through = month_end(month)
    parts = [_BARS.format(bars=bars, through=through), _LAST_BARS]
    if distributions is not None:
        parts += [_STEPS.format(distributions=distributions), _GROWTH]
    entered = {"entry_open", "entry_close"} & set(columns)
    parts.append(
        _RETURNS.format(
            stale=STALE_SESSIONS,
            last=_with_growth("_last", "last_trading_day", distributions),
            entry=_with_growth("_entry", "date", distributions),
            rows="_marked LEFT JOIN _entered USING (ticker, m)" if entered else "_marked",
            columns=", ".join(columns),
        )
    )
    with sessions_registered(con, through):
        return con.sql(f"WITH {','.join(parts)}").to_arrow_table()


def daily_basis(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    distributions: str | None,
    tickers: Iterable[str],
    through: dt.date,
) -> tuple[Dates, npt.NDArray[np.str_], Floats, Floats]:
    """Daily closes and opens on the basis, for the book that is valued day by day.

    Returns
    -------
    dates : (D,) every exchange session from the first bar of any of `tickers` to `through`.
    tickers : (N,) ascending, each once; one without bars is an all-NaN column.
    close, open : (D, N) float64, NaN = no bar.
    """
    names = np.unique(np.asarray(list(tickers), dtype=np.str_))
    wanted = pa.table({"ticker": names.tolist(), "i": np.arange(len(names))})
    own = f"(FROM {bars} SEMI JOIN factorlab_wanted USING (ticker))"
    query = f"WITH {_BARS.format(bars=own, through=through)}"
    with sessions_registered(con, through) as every, registered(con, "factorlab_wanted", wanted):
        keyed = f"{query} {_KEYED.format(rows='_bars')}"
        start = con.sql(f"{keyed} SELECT coalesce(min(n), {len(every)})").fetchall()[0][0]
        dates = every[start:]
        close, open_ = np.full((2, len(dates), len(names)), np.nan)
        # Batch by batch, so that the long rows never exist all at once.
        for batch in con.sql(f"{keyed} SELECT n, i, close, open").to_arrow_reader(_BATCH):
            n, i, closes, opens = (column.to_numpy() for column in batch.columns)
            close[n - start, i] = closes
            open_[n - start, i] = opens
        if distributions is not None:
            steps = _STEPS.format(distributions=distributions)
            keyed = f"{query}, {steps} {_KEYED.format(rows='_steps')}"
            n, i, step = con.sql(f"{keyed} SELECT n, i, step").fetchnumpy().values()
            growth = np.ones_like(close)
            growth[n - start, i] = step
            np.cumprod(growth, axis=0, out=growth)
            close *= growth
            open_ *= growth
    return dates, names, close, open_


def _with_growth(rows: str, day: str, distributions: str | None) -> str:
    if distributions is None:
        return f"(SELECT *, 1.0::DOUBLE AS growth FROM {rows})"  # noqa: S608 - our own names
    return _WITH_GROWTH.format(rows=rows, day=day)
