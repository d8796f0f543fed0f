"""Two files of the same daily bars, held side by side: where their returns differ, and who is odd.

Belongs here: comparing any two relations of bars in SQL; neither is presumed right. Does not: what
a later version changed in an earlier one's history (`core.revisions`), or repairing anything.

Returns are compared, not levels: files of different bases agree on every day but the steps. A
return runs from one common bar to the next, so that a bar missing in one file spoils no other day.
A difference counts where it exceeds `FLOOR` and what printing the four closes can cost: half a unit
of each one's last decimal, at its price level.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from factorlab_assets.core.calendar import month_end
from factorlab_assets.core.relations import registered, sessions_registered

FLOOR = 3e-4
"""3 bp: closes that were divided by split or dividend factors were rounded more than once, which
their last decimal does not show."""
PAIRED_BARS = 5
"""A difference undone within a week is a wrong close; a basis does not come and go."""
LARGEST_DISTRIBUTION = 0.15
"""A lasting step above it is called a level: funds rarely pay out more at once."""
SPLIT_RATIOS = (1.25, 4 / 3, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)
SPLIT_TOLERANCE = 0.01
"""What a distribution or a rounded factor may add to the ratio of a split."""
DECISIVE = 3.0
"""Typical deviations from the peers by which one file must be further off to be called odd: under
fat (Laplace) tails a likelihood ratio of e³, about 20 to 1."""
FEWEST_PEERS = 2
"""A move is the median of at least so many tickers told alike. A class that has them in all but not
on that day is no reason to ask the market: then most of the class is wrong in one of the files."""
MOST_PEERS = 60
"""… and at most so many, those with the most bars: more of them do not move a median."""
DRIFT = 1e-3
"""10 bp a year: what hides in the rounding of single days shows when it adds up."""

_COMMON = """
_both AS MATERIALIZED (
    SELECT ticker, date, a.close AS h, b.close AS t
    FROM (SELECT ticker, date, close FROM {here} WHERE date <= DATE '{through}' AND close > 0) AS a
    FULL JOIN
        (SELECT ticker, date, close FROM {there} WHERE date <= DATE '{through}' AND close > 0) AS b
    USING (ticker, date)
),
_common AS MATERIALIZED (
    SELECT
        *, row_number() OVER past AS n, lag(h) OVER past AS before_h, lag(t) OVER past AS before_t
    FROM _both WHERE h IS NOT NULL AND t IS NOT NULL
    WINDOW past AS (PARTITION BY ticker ORDER BY date)
),
_different AS MATERIALIZED (
    SELECT
        * EXCLUDE (before_h, before_t),
        h / before_h - 1 AS ret, t / before_t - 1 AS second_ret,
        ln(h / before_h * before_t / t) AS step, {tolerance} AS tolerance
    FROM _common
    WHERE n > 1 AND abs(h / before_h - t / before_t) > {floor}
        AND abs(h / before_h - t / before_t) > {tolerance}
)"""

# A difference that the next one undoes is one wrong close. In a chain of them (up, down, up, down)
# the first, third, … open a pair and the others close it.
PAIRS = """
_next AS (
    SELECT *,
        coalesce(
            lead(n) OVER later - n <= {paired}
            AND abs(step + lead(step) OVER later)
                <= tolerance + lead(tolerance) OVER later + abs(step) / 10,
            false
        ) AS is_undone,
        lead(n) OVER later AS next_n,
        lead(date) OVER later AS next_date,
        lead(ret) OVER later AS next_ret,
        lead(second_ret) OVER later AS next_second_ret
    FROM _different WINDOW later AS (PARTITION BY ticker ORDER BY n)
),
_linked AS (
    SELECT *, coalesce(lag(is_undone) OVER (PARTITION BY ticker ORDER BY n), false) AS undoes
    FROM _next
),
_chained AS (
    SELECT *, sum((NOT undoes)::INT) OVER (PARTITION BY ticker ORDER BY n) AS chain FROM _linked
),
_opening AS (
    FROM _chained QUALIFY row_number() OVER (PARTITION BY ticker, chain ORDER BY n) % 2 = 1
)"""
"""From `_different` (ticker, date, n, step, tolerance, ret, second_ret): `_opening`, paired."""

_KINDS = """
_levels AS (
    SELECT o.ticker, o.n, any_value(date) FILTER (k = -1) AS since,
        median(ln(h / t)) FILTER (k >= 0) - median(ln(h / t)) FILTER (k < 0) AS lasting,
        min(ln(h / t)) FILTER (k >= 0) > max(ln(h / t)) FILTER (k < 0)
        OR max(ln(h / t)) FILTER (k >= 0) < min(ln(h / t)) FILTER (k < 0) AS is_apart
    FROM (SELECT ticker, n, unnest(range(-{paired}, {paired})) AS k FROM _opening) AS o
    JOIN _common AS c ON c.ticker = o.ticker AND c.n = o.n + o.k
    GROUP BY o.ticker, o.n
),
_told AS MATERIALIZED (
    SELECT *, ret - second_ret AS difference, CASE
        WHEN is_undone OR NOT is_apart THEN 'price'
        WHEN abs(lasting - step) > greatest(tolerance, abs(step) / 4) THEN 'price'
        WHEN {is_split} THEN 'split'
        WHEN abs(step) <= {largest} THEN 'distribution'
        ELSE 'level'
    END AS kind
    FROM _opening JOIN _levels USING (ticker, n)
)"""

# How the asset class moved (the market, where a class has too few tickers), by the tickers
# on which both files agree that day; how far a ticker usually is from it, told by every tenth day;
# and how many times as far the tickers were that day.
_PEERS = """
_class_of AS MATERIALIZED (
    SELECT
        ticker, coalesce(class, '') AS class,
        row_number() OVER (PARTITION BY class ORDER BY max(n) DESC, ticker) <= {most} AS is_peer
    FROM _common LEFT JOIN factorlab_classes USING (ticker)
    GROUP BY ticker, class
),
_days AS MATERIALIZED (
    SELECT date, (date - DATE '2000-01-03') % 10 = 0 AS is_sample
    FROM (SELECT DISTINCT date FROM _common)
    WHERE is_sample OR date IN (SELECT date FROM _told)
        OR date IN (SELECT next_date FROM _told WHERE is_undone)
),
_alike AS MATERIALIZED (
    SELECT ticker, date, class, is_peer, is_sample, h / before_h - 1 AS ret
    FROM (FROM _common JOIN _days USING (date)) JOIN _class_of USING (ticker)
    ANTI JOIN _different USING (ticker, date)
    WHERE n > 1 AND (is_peer OR is_sample)
),
_moved AS MATERIALIZED (
    SELECT date, class, grouping(class) = 1 AS is_market, median(ret) AS move FROM _alike
    WHERE is_peer GROUP BY GROUPING SETS ((date, class), (date))
    HAVING count(*) >= {fewest}
),
_move AS MATERIALIZED (
    SELECT
        date, class, is_own, CASE WHEN is_own THEN own.move ELSE market.move END AS move
    FROM (SELECT class, class <> '' AND count(*) > {fewest} AS is_own
          FROM _class_of GROUP BY class) CROSS JOIN _days
    LEFT JOIN (FROM _moved WHERE NOT is_market) AS own USING (date, class)
    LEFT JOIN (FROM _moved WHERE is_market) AS market USING (date)
),
_distance AS MATERIALIZED (
    SELECT ticker, date, is_peer, is_sample, abs(ret - move) AS distance
    FROM _alike JOIN _move USING (class, date)
),
_usual AS (
    SELECT ticker, greatest(median(distance), {floor}) AS usual
    FROM _distance WHERE is_sample GROUP BY ticker
),
_wild AS (
    SELECT date, greatest(median(distance / usual), 1) AS wildness
    FROM _distance JOIN _usual USING (ticker) WHERE is_peer GROUP BY date
),
_off AS (
    SELECT
        told.*, m.move, m.is_own, usual, wildness,
        (abs(told.ret - m.move) + coalesce(abs(next_ret - next_m.move), 0))
            / (usual * wildness) AS off_here,
        (abs(second_ret - m.move) + coalesce(abs(next_second_ret - next_m.move), 0))
            / (usual * wildness) AS off_there
    FROM (FROM _told JOIN _class_of USING (ticker)) AS told
    LEFT JOIN _usual USING (ticker)
    LEFT JOIN _wild USING (date)
    LEFT JOIN _move AS m ON m.class = told.class AND m.date = told.date
    LEFT JOIN _move AS next_m
    ON told.is_undone AND next_m.class = told.class AND next_m.date = told.next_date
)"""

_NO_THIRD = "_judged AS (SELECT *, NULL::DOUBLE AS third_ret FROM _off)"
_THIRD = """
_third AS (SELECT ticker, date, close FROM {third} WHERE date <= DATE '{through}' AND close > 0),
_judged AS (
    SELECT _off.*, now.close / before.close - 1 AS third_ret
    FROM _off
    LEFT JOIN _third AS now ON now.ticker = _off.ticker AND now.date = _off.date
    LEFT JOIN _third AS before ON before.ticker = _off.ticker AND before.date = _off.since
)"""

_VERDICTS = """
_verdicts AS (
    SELECT *,
        abs(third_ret - ret) <= tolerance AS third_here,
        abs(third_ret - second_ret) <= tolerance AS third_there
    FROM _judged
),
_rows AS (
    SELECT
        ticker, date, ret, second_ret, difference, kind,
        CASE
            WHEN third_here AND NOT third_there THEN 'there'
            WHEN third_there AND NOT third_here THEN 'here'
            WHEN third_ret IS NOT NULL AND NOT third_here
                AND abs(third_ret - move) + {decisive} * usual * wildness
                    < least(abs(ret - move), abs(second_ret - move)) THEN 'both'
            WHEN kind = 'distribution' THEN 'unclear'
            WHEN off_here > off_there + {decisive} THEN 'here'
            WHEN off_there > off_here + {decisive} THEN 'there'
            ELSE 'unclear'
        END AS odd,
        concat_ws(
            '; ',
            CASE
                WHEN is_undone THEN 'undone on ' || next_date
                WHEN kind = 'price' THEN 'neither undone nor lasting'
                WHEN kind = 'split' THEN printf('closes step by %.4g and stay', exp(step))
                WHEN kind = 'level' THEN printf('closes step by %.4g and stay', exp(step))
                ELSE printf(
                    'closes step by %+.3f %% and stay, as if a distribution were in those %s',
                    100 * (exp(step) - 1), CASE WHEN step > 0 THEN 'here' ELSE 'there' END)
            END,
            CASE WHEN date > since + 5 THEN 'over all days since ' || since END,
            CASE WHEN off_here IS NULL THEN 'no peers to tell by' ELSE printf(
                '%s %+.2f %%, here %.1f and there %.1f usual deviations off it',
                CASE WHEN is_own THEN 'asset class' ELSE 'market' END,
                100 * move, off_here, off_there) END,
            printf('third source %+.2f %%', 100 * third_ret)
        ) AS evidence
    FROM _verdicts
)"""

# A year's differences below the threshold, each of them; a day that is told is none of them.
_DRIFT = """
_drift AS (
    SELECT ticker, max(date) AS date, count(*) AS n_days, sum(ln(h / before_h * before_t / t)) AS d,
        2 * max({tolerance}) + {drift} AS tolerance
    FROM (FROM _common ANTI JOIN _different USING (ticker, date)) WHERE n > 1
    GROUP BY ticker, year(date) HAVING abs(d) > tolerance
)"""

_BARS = """
_spans AS (
    SELECT
        ticker, greatest(min(date) FILTER (h > 0), min(date) FILTER (t > 0)) AS first_date,
        least(max(date) FILTER (h > 0), max(date) FILTER (t > 0)) AS last_date
    FROM _both GROUP BY ticker HAVING count(h) > 0 AND count(t) > 0
),
_alone AS (
    SELECT ticker, date, session, h IS NOT NULL AS is_here
    FROM _both JOIN _spans USING (ticker)
    LEFT JOIN (SELECT date, n AS session FROM factorlab_sessions) USING (date)
    WHERE (h IS NULL OR t IS NULL) AND date BETWEEN first_date AND last_date
),
_runs AS (
    SELECT ticker, min(date) AS date, max(date) AS until, count(*) AS n_bars, is_here,
        any_value(session) IS NOT NULL AS is_session
    FROM (SELECT *, coalesce(
              session - row_number() OVER (PARTITION BY ticker, is_here, session IS NULL
                                           ORDER BY date),
              -(date - DATE '1900-01-01')) AS run FROM _alone)
    GROUP BY ticker, is_here, run
)"""

_ALL = """
FROM _rows
UNION ALL
SELECT ticker, date, NULL, NULL, d, 'drift', 'unclear', printf(
    'differences too small to tell add up to %+.3f %% over %d days of the year', 100 * d, n_days)
FROM _drift
UNION ALL
SELECT ticker, date, NULL, NULL, NULL, CASE WHEN is_session THEN 'missing bar' ELSE 'extra bar' END,
    CASE WHEN is_here = is_session THEN 'there' ELSE 'here' END,
    printf('%d exchange %s without a bar %s, to %s', n_bars,
           CASE WHEN is_session THEN 'session(s)' ELSE 'holiday(s)' END,
           CASE WHEN is_here THEN 'there' ELSE 'here' END, until::VARCHAR)
FROM _runs
ORDER BY ticker, date"""


def reconcile(
    con: duckdb.DuckDBPyConnection,
    here: str,
    there: str,
    month: str,
    *,
    asset_classes: Mapping[str, str] | None = None,
    third: str | None = None,
) -> pa.Table:
    """Every day on which two files tell different returns of a ticker, of what kind, who is odd.

    Parameters
    ----------
    con : an open connection; nothing is left behind on it.
    here, there, third : SQL relations with ticker, date, close that the caller vouches for; each
        key once. Two sources, or two versions of one.
    month : '2024-05'; later bars are not looked at.
    asset_classes : ticker -> class, whose median move a return is held against.

    Returns
    -------
    pa.Table with schemas.RECONCILIATION's columns less month and version ids, by ticker and date.
    kind is one of
        distribution : the ratio of the closes steps by at most 15 % and stays;
        split : it steps by the ratio of a split and stays; level : by anything else and stays;
        price : a close that differs; the difference is undone within five bars (one row for the
            pair), or at least does not stay;
        missing bar, extra bar : a run of sessions (holidays) on which one file alone has bars;
        drift : a calendar year's smaller differences add up; its row is the last of their days.

    Notes
    -----
    odd: by the calendar for bars; by the third file where it agrees with exactly one of the two
    (both, where it agrees with neither and is nearer to the class by as much as below); else, but
    for distributions, which a day's move hides, by the asset class: that file is odd whose return
    is `DECISIVE` usual deviations further from the class's. Days outside the span that both files
    cover of a ticker are not compared.
    """
    through = month_end(month)
    tolerance = printing_tolerance()
    parts = [
        _COMMON.format(here=here, there=there, through=through, tolerance=tolerance, floor=FLOOR),
        PAIRS.format(paired=PAIRED_BARS),
        _KINDS.format(paired=PAIRED_BARS, is_split=is_split("step"), largest=LARGEST_DISTRIBUTION),
        _PEERS.format(fewest=FEWEST_PEERS, most=MOST_PEERS, floor=FLOOR),
        _NO_THIRD if third is None else _THIRD.format(third=third, through=through),
        _VERDICTS.format(decisive=DECISIVE),
        _DRIFT.format(tolerance=tolerance, drift=DRIFT),
        _BARS,
    ]
    known = asset_classes or {}
    classes = pa.table(
        {"ticker": list(known), "class": list(known.values())},
        schema=pa.schema([("ticker", pa.string()), ("class", pa.string())]),
    )
    with registered(con, "factorlab_classes", classes), sessions_registered(con, through):
        return con.sql(f"WITH {','.join(parts)} {_ALL}").to_arrow_table()


def is_split(step: str) -> str:
    """SQL: whether a step of logarithms is that of a split, either way."""
    ratios = [float(ratio) for ratio in SPLIT_RATIOS]
    return f"list_bool_or([abs(abs({step}) - ln(r)) < {SPLIT_TOLERANCE} FOR r IN {ratios}])"


def printing_tolerance() -> str:
    """SQL: what printing h, before_h, t and before_t can cost their returns, and `FLOOR`."""
    units = " + ".join(
        f"{printed_unit(close)} / {close}" for close in ("h", "before_h", "t", "before_t")
    )
    return f"(({units}) / 2 + {FLOOR})"


def printed_unit(close: str) -> str:
    """SQL: a unit of the last decimal that a close is printed with, a cent or less."""
    return (
        f"CASE WHEN abs({close} * 1e2 - round({close} * 1e2)) < 1e-5 THEN 1e-2 "
        f"WHEN abs({close} * 1e4 - round({close} * 1e4)) < 1e-4 THEN 1e-4 ELSE 1e-6 END"
    )
