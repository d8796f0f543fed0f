"""What each ticker of a data version is made of: coverage, gaps, rows kept out.

Belongs here: the SQL behind `price_quality`. Does not: judging single prices.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from factorlab_assets.core import calendar

_SQL = """
WITH session AS (SELECT day, row_number() OVER (ORDER BY day) AS n FROM sessions),
last_session AS (SELECT max(n) AS n FROM session),
numbered AS (
    SELECT bar.ticker, session.n,
           session.n - lag(session.n) OVER (PARTITION BY bar.ticker ORDER BY session.n) - 1 AS gap
    FROM {bars} AS bar JOIN session ON session.day = bar.date
),
gaps AS (
    SELECT ticker, sum(coalesce(gap, 0))::BIGINT AS n_missing_sessions,
           max(coalesce(gap, 0))::BIGINT AS longest_gap,
           (any_value(last_session.n) - max(numbered.n))::BIGINT AS sessions_stale
    FROM numbered, last_session GROUP BY ticker
),
reasons AS (
    SELECT ticker,
           string_agg(n_rows || ' × ' || reason || ' (' || sample || ')', '; ' ORDER BY reason)
           AS said
    FROM {rejected} GROUP BY ticker
)
SELECT coverage.ticker, status, n_rows, n_rejected, first_date, last_date,
       coalesce(n_missing_sessions, 0) AS n_missing_sessions,
       coalesce(longest_gap, 0) AS longest_gap, sessions_stale, 0::BIGINT AS n_suspect, '' AS suspects,
       false AS is_total_return_known, coalesce(said, '') AS reasons
FROM {coverage} AS coverage LEFT JOIN gaps USING (ticker) LEFT JOIN reasons USING (ticker)
ORDER BY coverage.ticker
"""


def price_quality(
    con: duckdb.DuckDBPyConnection, bars: str, coverage: str, rejected: str, month: str
) -> pa.Table:
    """One row per requested ticker: outcome, bars, gaps in exchange sessions, reasons of rejection.

    Parameters
    ----------
    bars, coverage, rejected : SQL relation expressions with the columns of `raw_prices`, `coverage`
        and `rejected_rows` of one data version.
    month : the partition; staleness counts sessions from a ticker's last bar to its month-end.

    Returns
    -------
    Table with the columns of `schemas.PRICE_QUALITY` less month, data_version_id and price_basis;
    a gap counts sessions between a ticker's first and last bar on which it has none.
    """
    end = calendar.month_end(month)
    ((first,),) = con.sql(f"SELECT min(date) FROM {bars}").fetchall()  # noqa: S608  # a relation
    days = calendar.sessions(first or end, end)
    con.register("sessions", pa.table({"day": pa.array(days.astype("datetime64[D]"))}))
    try:
        sql = _SQL.format(bars=bars, coverage=coverage, rejected=rejected)
        return con.sql(sql).to_arrow_table()
    finally:
        con.unregister("sessions")
