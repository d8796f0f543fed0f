"""What a later version of the same bars changed in the history that an earlier one had told.

Belongs here: comparing two versions bar by bar in SQL, and the likely cause of each change. Does
not: telling which of two sources is odd (`core.reconcile`), or what a change does to a strategy
(`restatement`).
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from factorlab_assets.core.calendar import FIRST_DAY, month_end
from factorlab_assets.core.reconcile import (
    LARGEST_DISTRIBUTION,
    PAIRED_BARS,
    PAIRS,
    is_split,
    printed_unit,
    printing_tolerance,
)
from factorlab_assets.core.relations import sessions_registered

GAP_BARS = 10
"""Changed bars at most two weeks apart are one stretch: rounding can hide a small factor."""
STEPS_PER_BAR = 0.1
"""Distributions step the ratio of the closes at most every tenth bar, but for the few weekly ones;
what steps more often was no adjustment."""

# `h` is the earlier close and `t` the later one; n numbers a ticker's bars in either of them.
_BARS = """
_bars AS MATERIALIZED (
    SELECT
        *, row_number() OVER past AS n, lag(h) OVER past AS before_h, lag(t) OVER past AS before_t
    FROM (
        SELECT
            ticker, date, a.close AS h, b.close AS t, h <> t AS is_other_close,
            CASE WHEN a.close IS NULL THEN 'appeared' WHEN b.close IS NULL THEN 'disappeared'
                 WHEN is_other_close OR a.open <> b.open OR a.high <> b.high OR a.low <> b.low
                     OR a.volume IS DISTINCT FROM b.volume THEN 'changed'
                 ELSE 'kept' END AS state
        FROM (FROM {earlier} WHERE date <= DATE '{through}') AS a
        FULL JOIN (FROM {later} WHERE date <= DATE '{through}') AS b USING (ticker, date)
    )
    WINDOW past AS (PARTITION BY ticker ORDER BY date)
),
_last AS (SELECT ticker, max(n) AS last_n FROM _bars GROUP BY ticker),
_different AS MATERIALIZED (
    SELECT
        ticker, date, n, h / before_h - 1 AS ret, t / before_t - 1 AS second_ret,
        ln(t / before_t * before_h / h) AS step, {tolerance} AS tolerance
    FROM _bars WHERE abs(ret - second_ret) > {tolerance}
)"""

# Bars between a step of the ratio and the step that undoes it: single closes, whatever else was
# done to the history around them.
_SINGLES = """
_singles AS MATERIALIZED (
    SELECT
        s.ticker, s.n AS first_n, next_n - 1 AS last_n, s.date AS first_date,
        until.date AS last_date, next_n - s.n AS n_cells, abs(exp(step) - 1) AS size,
        greatest(abs(ret - second_ret), abs(next_ret - next_second_ret)) AS size_ret,
        abs(ret - next_ret) AS rough, abs(second_ret - next_second_ret) AS second_rough
    FROM _opening AS s JOIN _bars AS until ON until.ticker = s.ticker AND until.n = next_n - 1
    WHERE is_undone
)"""

_STRETCHES = """
_cells AS (
    SELECT
        c.*, d.n IS NULL AS is_quiet,
        c.n - lag(c.n) OVER (PARTITION BY c.ticker ORDER BY c.n) > {gap} AS is_new
    FROM (FROM _bars WHERE state = 'changed') AS c
    LEFT JOIN _different AS d ON d.ticker = c.ticker AND d.n = c.n
    ASOF LEFT JOIN _singles AS s ON s.ticker = c.ticker AND s.first_n <= c.n
    WHERE s.last_n IS NULL OR c.n > s.last_n
),
_numbered AS (
    SELECT *, sum(coalesce(is_new, true)::INT) OVER (PARTITION BY ticker ORDER BY n) AS stretch
    FROM _cells
),
_bare AS (
    SELECT
        ticker, stretch, min(n) AS first_n, max(n) AS last_n,
        min(date) AS first_date, max(date) AS last_date, count(*) AS n_cells,
        count(*) FILTER (is_other_close) AS n_closes,
        bool_and(abs(t - h) <= ({unit_h} + {unit_t}) / 2) AS is_printing,
        max(abs(t / h - 1)) AS size,
        max(abs(h / before_h - t / before_t)) FILTER (is_quiet) AS size_ret,
        arg_min(t / h, n) AS first_ratio, arg_max(t / h, n) AS last_ratio,
        sum(abs(h / before_h - 1)) AS rough, sum(abs(t / before_t - 1)) AS second_rough
    FROM _numbered GROUP BY ticker, stretch
),
_steps AS (
    SELECT
        b.ticker, b.stretch, count(*) AS n_steps, max(abs(step)) AS largest, max(o.date) AS newest,
        max(abs(ret - second_ret)) AS size_ret, bool_or({step_is_split}) AS has_split
    FROM _opening AS o
    ASOF JOIN _bare AS b ON b.ticker = o.ticker AND b.first_n <= o.n
    WHERE NOT is_undone AND o.n <= b.last_n + 1
    GROUP BY b.ticker, b.stretch
),
_stretches AS (
    SELECT
        b.* REPLACE (greatest(b.size_ret, s.size_ret, 0) AS size_ret),
        coalesce(n_steps, 0) AS n_steps, newest,
        CASE
            WHEN n_closes = 0 THEN 'volume'
            WHEN is_printing THEN 'printing'
            WHEN n_cells <= {paired} AND first_n > 1 THEN 'single'
            WHEN has_split OR n_steps IS NULL AND {level_is_split} THEN 'split'
            WHEN coalesce(n_steps, 0) <= 1 + {steps_per_bar} * n_cells
                AND coalesce(largest, abs(ln(last_ratio))) <= {largest} THEN 'distribution'
            ELSE 'single'
        END AS told
    FROM _bare AS b LEFT JOIN _steps AS s USING (ticker, stretch)
)"""

_LISTINGS = """
_runs AS (
    SELECT
        ticker, state, min(n) AS first_n, max(n) AS until_n, min(date) AS first_date,
        max(date) AS last_date, count(*) AS n_cells, count(session) > 0 AS is_session
    FROM (
        SELECT *, n - row_number() OVER (PARTITION BY ticker, state ORDER BY n) AS run
        FROM _bars LEFT JOIN (SELECT date, n AS session FROM factorlab_sessions) USING (date)
        WHERE state IN ('appeared', 'disappeared')
    )
    GROUP BY ticker, state, run
),
_listings AS (
    SELECT
        *, first_n = 1 AND until_n = last_n AS is_whole,
        CASE WHEN first_n = 1 OR until_n = last_n THEN 'listing'
             WHEN is_session = (state = 'appeared') THEN 'repair' ELSE 'error' END AS kind
    FROM _runs JOIN _last USING (ticker)
)"""

_ALL = """
SELECT
    ticker, first_date, last_date,
    CASE WHEN second_rough <= rough THEN 'repair' ELSE 'error' END AS kind, n_cells, size, size_ret,
    printf('the close left its neighbours by %.2f %% and now by %.2f %%', 50 * rough,
           50 * second_rough) AS evidence
FROM _singles
UNION ALL
SELECT
    ticker, first_date, last_date,
    CASE WHEN told IN ('split', 'distribution') THEN told
         WHEN told <> 'single' OR second_rough <= rough THEN 'repair' ELSE 'error' END,
    n_cells, size, size_ret,
    CASE
        WHEN told = 'volume' THEN 'closes are the same; open, high, low or volume changed'
        WHEN told = 'printing' THEN 'closes differ by their last decimal alone'
        WHEN told = 'single' THEN printf(
            'daily moves add up to %.2f %% and now to %.2f %%, no adjustment''s pattern',
            100 * rough, 100 * second_rough)
        WHEN n_steps = 0 THEN printf('all closes × %.6g', last_ratio)
        WHEN n_steps = 1 AND abs(first_ratio / last_ratio - 1) < 1e-4
            THEN printf('closes × %.6g, with a step on %s', last_ratio, newest::VARCHAR)
        ELSE printf('closes × %.6g at first and × %.6g at last; steps: %d, the newest on %s',
                    first_ratio, last_ratio, n_steps, newest::VARCHAR)
    END
FROM _stretches
UNION ALL
SELECT
    ticker, first_date, last_date, kind, n_cells, NULL, NULL,
    CASE WHEN is_whole THEN 'every bar of the ticker ' || state
         WHEN kind = 'listing' AND first_n = 1 THEN 'bars at the beginning ' || state
         WHEN kind = 'listing' THEN 'bars at the end ' || state
         WHEN is_session THEN 'bars of exchange sessions ' || state
         ELSE 'bars of exchange holidays ' || state END
FROM _listings
ORDER BY ticker, first_date, kind"""


def revisions(con: duckdb.DuckDBPyConnection, earlier: str, later: str, month: str) -> pa.Table:
    """What `later` says otherwise of the days that `earlier` told: a row per ticker and stretch.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    earlier, later : SQL relations of bars that the caller vouches for: two versions of one source.
    month : '2024-05'; later bars are not looked at, nor those after the last one of `earlier`.

    Returns
    -------
    pa.Table with schemas.REVISIONS's columns less month and version ids. kind, the likely cause:
        distribution, split : the ratio of the closes is constant between steps (or everywhere);
        repair, error : up to five closes, or a ratio without a pattern, that now disturb their
            neighbours less, or more; bars of sessions (holidays) within the history that came or
            went; volumes, or decimals printed;
        listing : bars came or went at the beginning or the end of a ticker's history.

    Notes
    -----
    A new distribution that scales the whole common history has no step in it: its ex-date lies
    after the last bar of `earlier`.
    """
    found = con.sql(f"SELECT max(date) FROM {earlier}").fetchall()[0][0]  # noqa: S608  # a relation
    through = min(found or FIRST_DAY, month_end(month))
    parts = [
        _BARS.format(earlier=earlier, later=later, through=through, tolerance=printing_tolerance()),
        PAIRS.format(paired=PAIRED_BARS),
        _SINGLES,
        _STRETCHES.format(
            gap=GAP_BARS,
            unit_h=printed_unit("h"),
            unit_t=printed_unit("t"),
            paired=PAIRED_BARS,
            step_is_split=is_split("step"),
            level_is_split=is_split("ln(last_ratio)"),
            steps_per_bar=STEPS_PER_BAR,
            largest=LARGEST_DISTRIBUTION,
        ),
        _LISTINGS,
    ]
    with sessions_registered(con, through):
        return con.sql(f"WITH {','.join(parts)} {_ALL}").to_arrow_table()
