"""What each ticker of a data version is made of: coverage, gaps, faults, what its closes mean.

Belongs here: the SQL behind `price_quality`. Does not: judging single prices (`suspects`) or their
basis (`basis`).
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
),
by_kind AS (
    SELECT ticker, kind, count(*) AS n FROM quality_suspects GROUP BY ticker, kind
),
suspected AS (
    SELECT ticker, sum(n)::BIGINT AS n_suspect,
           string_agg(n || ' × ' || kind, ', ' ORDER BY n DESC, kind) AS suspects
    FROM by_kind GROUP BY ticker
),
based AS (
    SELECT ticker, bool_and(is_total_return_known) AS is_total_return_known,
           string_agg(basis || ' ' || first_date || ' to ' || last_date, ', ' ORDER BY first_date)
           AS price_basis
    FROM quality_basis GROUP BY ticker
)
SELECT coverage.ticker, status, n_rows, n_rejected, first_date, last_date,
       coalesce(n_missing_sessions, 0) AS n_missing_sessions,
       coalesce(longest_gap, 0) AS longest_gap, sessions_stale,
       coalesce(n_suspect, 0) AS n_suspect, coalesce(suspects, '') AS suspects,
       coalesce(price_basis, '') AS price_basis,
       coalesce(is_total_return_known, false) AS is_total_return_known,
       coalesce(said, '') AS reasons
FROM {coverage} AS coverage LEFT JOIN gaps USING (ticker) LEFT JOIN reasons USING (ticker)
LEFT JOIN suspected USING (ticker) LEFT JOIN based USING (ticker)
ORDER BY coverage.ticker
"""


def price_quality(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    coverage: str,
    rejected: str,
    suspects: pa.Table,
    basis: pa.Table,
    month: str,
) -> pa.Table:
    """One row per requested ticker: outcome, bars, gaps in exchange sessions, faults and basis.

    Parameters
    ----------
    bars, coverage, rejected : SQL relation expressions with the columns of `raw_prices`, `coverage`
        and `rejected_rows` of one data version.
    suspects, basis : rows of `suspect_prices` and `price_basis` of it.
    month : the partition; staleness counts sessions from a ticker's last bar to its month-end.

    Returns
    -------
    Table with the columns of `schemas.PRICE_QUALITY` less month and data_version_id; a gap counts
    sessions between a ticker's first and last bar on which it has none.
    """
    end = calendar.month_end(month)
    ((first,),) = con.sql(f"SELECT min(date) FROM {bars}").fetchall()  # noqa: S608  # a relation
    days = calendar.sessions(first or end, end)
    given = {
        "sessions": pa.table({"day": pa.array(days.astype("datetime64[D]"))}),
        "quality_suspects": suspects,
        "quality_basis": basis,
    }
    try:
        for name, rows in given.items():
            con.register(name, rows)
        sql = _SQL.format(bars=bars, coverage=coverage, rejected=rejected)
        return con.sql(sql).to_arrow_table()
    finally:
        for name in given:
            con.unregister(name)
