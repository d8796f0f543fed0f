"""Repaired closes, and their growth to total returns.

Belongs here: what the rule file makes of suspect bars, and the prices that research reads, in SQL:
daily rows never leave DuckDB. Does not: finding suspects (`suspects`), or what the closes carry
(`basis`).

Total return. Each distribution D counts once, on its ex-date (the next bar, where that day has
none): (P_t + D) / P_{t−1}. The closes are f × P, so D counts as D·f beside them: growth steps by
1 + D·f / close there. Where the closes carry D they have stepped by 1 + D·f / close_{t−1} already,
and growth is divided by that (for as much of D as they carry); where they carried it early, it is
taken out for those days. So closes that carry all, some or none of the same distributions have the
same total returns. One whose status is unknown is left out.

Known-at. `close` and `open` are what is known in the end, from `known_at` on where that is later
than the bar's own day; `seen` is the close as known on its own day. `growth` is computed from what
was known: where a close that a step rests on is repaired later, the step is put right on the day on
which that is known, never before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import duckdb
import pyarrow as pa

from factorlab_assets.core.basis import STATUS_SCHEMA
from factorlab_assets.core.calendar import LAST_DAY
from factorlab_assets.core.relations import registered, sessions_registered
from factorlab_assets.core.suspects_ratios import ANOTHER_UNIT
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.schemas import SUSPECT_KINDS

GOOD_BAR_DAYS = 21
"""The second source's return starts at a good bar at most so many days before the bad one."""
SAME_MOVE = 0.1
"""A jump is the second source's too, and no split was missed, if the two differ by less (ln)."""
SAME_CLOSE = 0.0005
"""A suspect close is confirmed where the second source's differs by less (ln): rounding, twice."""
REPAIR_COLUMNS = (
    "ticker",
    "date",
    "kind",
    "severity",
    "value",
    "expected",
    "evidence",
    "known_at",
    "action",
    "old_close",
    "new_close",
    "reason",
)

_REPAIRS = """
WITH _ruled AS (
    SELECT * REPLACE (
        CASE WHEN action <> 'keep' AND kind = 'decimal' AND evidence LIKE '%{unit}' THEN 'rescale'
        ELSE action END AS action
    ) FROM factorlab_suspects JOIN factorlab_actions USING (kind)
),
_bad AS MATERIALIZED (
    SELECT DISTINCT ticker, date FROM _ruled WHERE action IN ('drop', 'replace')
),
_suspect AS MATERIALIZED (
    SELECT DISTINCT ticker, date FROM _ruled WHERE action IN ('replace', 'rescale')
),
_days AS (
    SELECT ticker, date, date - unnest(range(1, {days} + 1))::INT AS day FROM _suspect
),
_good AS MATERIALIZED (
    SELECT d.ticker, d.date, max(d.day) AS since, arg_max(b.close, d.day) AS close,
        arg_max(s.close, d.day) AS second_close
    FROM _days AS d
    JOIN {bars} AS b ON b.ticker = d.ticker AND b.date = d.day
    JOIN {second} AS s ON s.ticker = d.ticker AND s.date = d.day
    ANTI JOIN _bad ON _bad.ticker = d.ticker AND _bad.date = d.day
    GROUP BY d.ticker, d.date
),
_carried AS (
    SELECT g.ticker, g.date, product(1 + p.carried * coalesce(p.factor, 1) / g.close) AS step
    FROM _good AS g JOIN factorlab_status AS p ON p.ticker = g.ticker
    WHERE p.carried > 0 AND p.applied_on > g.since AND p.applied_on <= g.date
    GROUP BY g.ticker, g.date
),
_told AS MATERIALIZED (
    SELECT g.ticker, g.date, g.since, g.close,
        s.close / g.second_close * coalesce(c.step, 1) AS move
    FROM _good AS g JOIN {second} AS s ON s.ticker = g.ticker AND s.date = g.date
    LEFT JOIN _carried AS c ON c.ticker = g.ticker AND c.date = g.date
),
_early AS (
    SELECT r.ticker, r.date, min(p.ex_date) AS ex_date
    FROM _ruled AS r JOIN factorlab_status AS p
    ON p.ticker = r.ticker AND r.date >= p.applied_on AND r.date < p.early_until
    GROUP BY r.ticker, r.date
),
_old AS MATERIALIZED (
    SELECT ticker, date, close FROM {bars}
    SEMI JOIN factorlab_suspects USING (ticker, date)
)
SELECT r.* EXCLUDE (action), r.action, o.close AS old_close,
    CASE CASE WHEN e.ex_date IS NULL THEN r.action ELSE 'keep' END
        WHEN 'replace' THEN
            CASE WHEN abs(ln(t.move * t.close / o.close)) < {alike} THEN o.close
            ELSE t.close * t.move END
        WHEN 'rescale' THEN
            CASE WHEN abs(ln(t.move * t.close / o.close)) < {same} THEN o.close
            ELSE r.expected END
        WHEN 'keep' THEN o.close
    END AS new_close,
    CASE
        WHEN r.action = 'keep' THEN 'the rule keeps it'
        WHEN e.ex_date IS NOT NULL
            THEN format('kept: it carries the distribution of {{}} too early', e.ex_date)
        WHEN r.action = 'drop' THEN 'the rule drops it; nothing is filled in'
        WHEN r.action = 'replace' THEN CASE WHEN t.move IS NULL
            THEN 'dropped: the second source has no return to here from a good bar'
            WHEN abs(ln(t.move * t.close / o.close)) < {alike}
            THEN 'kept: the second source makes the same move'
            ELSE format('second source''s return since {{}}: {{:+.4f}}', t.since, t.move - 1) END
        ELSE CASE WHEN abs(ln(t.move * t.close / o.close)) < {same}
            THEN 'kept: the second source makes the same move'
            ELSE format('this and later prices × {{:.6g}}', r.expected / r.value) END
    END AS reason
FROM _ruled AS r
LEFT JOIN _old AS o ON o.ticker = r.ticker AND o.date = r.date
LEFT JOIN _told AS t ON t.ticker = r.ticker AND t.date = r.date
LEFT JOIN _early AS e ON e.ticker = r.ticker AND e.date = r.date
ORDER BY r.ticker, r.date, r.kind"""

_NO_SECOND = "(SELECT NULL::VARCHAR AS ticker, NULL::DATE AS date, NULL::DOUBLE AS close)"

# One repair per bar: the earliest known, so that a later one changes nothing that was known. A run
# of stale closes is one finding, of its first bar; what drops that drops all of them.
_KNOWN = """
_repair AS MATERIALIZED (
    SELECT ticker, date, new_close, known_at FROM (
        SELECT ticker, date, new_close, known_at, action, kind FROM factorlab_repaired
        WHERE action IN ('drop', 'replace') AND new_close IS DISTINCT FROM old_close
        UNION ALL
        (SELECT r.ticker, b.date, NULL, greatest(r.known_at, b.date), action, kind
        FROM factorlab_repaired AS r JOIN {bars} AS b ON b.ticker = r.ticker AND b.date > r.date
        WHERE action = 'drop' AND kind = 'stale'
        QUALIFY bool_and(b.close = old_close)
            OVER (PARTITION BY r.ticker, r.date ORDER BY b.date))
    )
    QUALIFY row_number() OVER (PARTITION BY ticker, date ORDER BY known_at, action, kind) = 1
),
_rescaled AS (
    SELECT ticker, date, known_at, round(new_close / old_close, 9) AS ratio
    FROM factorlab_repaired WHERE action = 'rescale' AND new_close <> old_close
),
_bars AS NOT MATERIALIZED (
    FROM {bars} SEMI JOIN factorlab_sessions USING (date)
)"""

# The bars around each ex-date: first a join with the few days beside it; only where those hold
# none (a hole, a sparse ticker) are all bars of the ticker looked at.
_PLACED = """
_paid AS MATERIALIZED (
    SELECT *, row_number() OVER () AS id,
        amount * coalesce(factor, 1) AS cash, carried * coalesce(factor, 1) AS carried_cash
    FROM factorlab_status WHERE status <> 'unknown'
),
_beside AS (
    SELECT p.id, b.date FROM
    (SELECT id, ticker, ex_date + unnest(range(-16, 11))::INT AS day FROM _paid) AS p
    JOIN _bars AS b ON b.ticker = p.ticker AND b.date = p.day
),
_bracket AS MATERIALIZED (
    SELECT id, min(date) FILTER (date >= ex_date) AS bar,
        max(date) FILTER (date < ex_date) AS eve
    FROM _paid JOIN _beside USING (id) GROUP BY id
    HAVING bar IS NOT NULL AND eve IS NOT NULL
),
_unplaced AS MATERIALIZED (
    FROM _paid ANTI JOIN _bracket USING (id)
),
_span AS (
    SELECT ticker, min(date) AS first_bar, max(date) AS last_bar
    FROM _bars SEMI JOIN _unplaced USING (ticker) GROUP BY ticker
),
_sparse AS (
    SELECT id, min(date) FILTER (date >= ex_date) AS bar,
        max(date) FILTER (date < ex_date) AS eve
    FROM _unplaced JOIN _span USING (ticker) JOIN _bars USING (ticker)
    WHERE ex_date > first_bar AND ex_date <= last_bar
    GROUP BY id
    HAVING bar IS NOT NULL AND eve IS NOT NULL
),
_placed AS MATERIALIZED (
    SELECT ticker, bar, eve, applied_on, early_step,
        eve >= applied_on AND eve < early_until AS is_early,
        sum(cash ORDER BY ex_date) AS cash, sum(carried_cash ORDER BY ex_date) AS carried_cash
    FROM _paid JOIN (FROM _bracket UNION ALL FROM _sparse) USING (id)
    GROUP BY ALL
)"""

# A step rests on one close: the ex-date's where D is counted; where it is taken out the one before,
# less what that one holds too early; the other of the two where that one is dropped. Carried late,
# the ex-date still has the scale of the day before, and so has its cash. made_on is the day of the
# step, with the close as known then; a repair known later is a second step on the day it is known.
_STEPS = """
_early AS (
    SELECT DISTINCT ticker, applied_on, early_until, early_step FROM factorlab_status
    WHERE status = 'early'
),
_resting AS (
    SELECT ticker, bar AS made_on, bar AS rests_on, eve AS other, cash, 1 AS sign FROM _placed
    UNION ALL
    SELECT ticker, bar, eve, bar,
        carried_cash * CASE WHEN is_early THEN 1 + early_step ELSE 1 END, -1
    FROM _placed WHERE carried_cash > 0 AND NOT coalesce(applied_on > bar, false)
    UNION ALL
    SELECT ticker, applied_on, eve, bar, -carried_cash, 1
    FROM _placed WHERE carried_cash > 0 AND applied_on > bar
),
_priced AS MATERIALIZED (
    SELECT s.*, b.close AS raw, coalesce(r.new_close, o.close) AS mended, r.known_at
    FROM _resting AS s
    JOIN _bars AS b ON b.ticker = s.ticker AND b.date = s.rests_on
    JOIN _bars AS o ON o.ticker = s.ticker AND o.date = s.other
    LEFT JOIN _repair AS r ON r.ticker = s.ticker AND r.date = s.rests_on
),
_steps AS (
    SELECT ticker, made_on AS date,
        sign * ln(1 + cash / CASE WHEN known_at <= made_on THEN mended ELSE raw END) AS step
    FROM _priced
    UNION ALL
    SELECT ticker, known_at, sign * (ln(1 + cash / mended) - ln(1 + cash / raw)) FROM _priced
    WHERE known_at > made_on
    UNION ALL
    SELECT ticker, applied_on, -ln(1 + early_step) FROM _early
    UNION ALL
    SELECT ticker, early_until, ln(1 + early_step) FROM _early
)"""

# product() over a window multiplies in an order that depends on the rows to come, which shows in
# the last bit; a sum of decimals has no order, and a product over a list only has its own.
_LEVELS = """
_changes AS (
    SELECT ticker, date, sum(step::DECIMAL(38, 20)) AS step, NULL::DOUBLE AS ratio,
        NULL::DOUBLE AS seen_ratio, NULL::DATE AS known_at
    FROM _steps GROUP BY ticker, date
    UNION ALL
    SELECT ticker, date, 0, ratio, NULL, known_at FROM _rescaled
    UNION ALL
    SELECT ticker, greatest(date, known_at), 0, NULL, ratio, NULL FROM _rescaled
),
_levels AS (
    SELECT ticker, date AS since,
        lead(date, 1, {after}) OVER later AS until,
        exp(sum(sum(step)) OVER later) AS growth,
        coalesce(list_product(flatten(list(list(ratio)) OVER later)), 1) AS scale,
        coalesce(list_product(flatten(list(list(seen_ratio)) OVER later)), 1) AS seen_scale,
        max(max(known_at)) OVER later AS scale_known_at
    FROM _changes GROUP BY ticker, date
    WINDOW later AS (PARTITION BY ticker ORDER BY date)
),
_cells AS MATERIALIZED (
    SELECT * EXCLUDE (first_m), first_m + unnest(range(
        12 * year(until - 1) + month(until - 1) - first_m + 1
    )) AS m
    FROM (SELECT *, 12 * year(since) + month(since) AS first_m FROM _levels WHERE until > since)
)"""

_ADJUSTED = """
SELECT b.ticker, b.date,
    CASE WHEN r.known_at IS NULL THEN b.open END * coalesce(c.scale, 1) AS open,
    CASE WHEN r.known_at IS NULL THEN b.close ELSE r.new_close END * coalesce(c.scale, 1) AS close,
    CASE WHEN r.known_at <= b.date THEN r.new_close ELSE b.close END
        * coalesce(c.seen_scale, 1) AS seen,
    coalesce(c.growth, 1) AS growth,
    b.close * b.volume AS dollar_volume,
    greatest(
        CASE WHEN r.known_at > b.date THEN r.known_at END,
        CASE WHEN c.scale_known_at > b.date AND (r.known_at IS NULL OR r.new_close IS NOT NULL)
            THEN c.scale_known_at END
    ) AS known_at
FROM {bars} AS b
LEFT JOIN _repair AS r ON r.ticker = b.ticker AND r.date = b.date
LEFT JOIN _cells AS c
    ON c.ticker = b.ticker AND c.m = 12 * year(b.date) + month(b.date)
    AND b.date >= c.since AND b.date < c.until"""


def repairs(
    con: duckdb.DuckDBPyConnection,
    suspects: pa.Table,
    bars: str,
    second: str | None,
    rules: PriceRules,
    status: pa.Table | None = None,
) -> pa.Table:
    """What the rules make of each suspect: schemas.SUSPECT_PRICES less its partition's columns.

    Parameters
    ----------
    suspects : the columns of `core.suspects.find_suspects`.
    bars, second : relations ticker, date, open, high, low, close, volume.
    status : `core.basis.distribution_status` of the same. A close that carries a distribution too
        early is right but for that, which `adjusted_prices` mends; and what is carried between the
        good bar and the bad one is in the return that replaces it.

    Returns
    -------
    `suspects` with action, old_close, new_close, reason, ordered by ticker, date, kind. keep: the
    old close. drop: null. replace: the last good close times the second source's return since
    then; the old close where that is the same, null where the second has no such return. rescale:
    old close × ratio, which holds for every later price, or the old close where the second source
    moves alike, so that no split was missed.

    Notes
    -----
    new_close is in the file's own units, before any rescaling of an earlier split. It rests on bars
    up to the suspect one; whether the bar is suspect rests on bars up to its known_at.
    """
    actions = pa.table(
        {"kind": list(SUSPECT_KINDS), "action": [rules.action(kind) for kind in SUSPECT_KINDS]}
    )
    query = _REPAIRS.format(
        bars=bars,
        second=second or _NO_SECOND,
        days=GOOD_BAR_DAYS,
        unit=ANOTHER_UNIT,
        same=SAME_MOVE,
        alike=SAME_CLOSE,
    )
    lent = {
        "factorlab_suspects": suspects,
        "factorlab_actions": actions,
        "factorlab_status": STATUS_SCHEMA.empty_table() if status is None else status,
    }
    with ExitStack() as stack:
        for name, table in lent.items():
            stack.enter_context(registered(con, name, table))
        return con.sql(query).to_arrow_table().select(REPAIR_COLUMNS)


@contextmanager
def adjusted_prices(
    con: duckdb.DuckDBPyConnection, bars: str, repaired: pa.Table, status: pa.Table
) -> Iterator[str]:
    """A query, good inside the block, of the prices that research reads, one row per bar.

    Parameters
    ----------
    bars : relation ticker, date, open, high, low, close, volume; each (ticker, date) once.
    repaired : the columns of `repairs`. status : those of `core.basis.distribution_status`.

    Yields
    ------
    SQL: schemas.ADJUSTED_PRICES less its partition's columns. The total-return close is
    close × growth, the total-return open is open × growth. A repaired bar has no open: its other
    prices are no better than its close. The dollar volume is the file's own close × volume: it is
    what traded, and repairs do not touch it.

    Notes
    -----
    Cutting bars and findings at any date changes nothing dated up to it but `close`, `open` and
    `known_at` where `known_at` is later than the cut; all else never changes. Of a bar with two
    repairs `known_at` is the later one.
    """
    last = f"(SELECT max(date) + 1 FROM {bars})"  # noqa: S608 - the caller vouches for the relation
    parts = [
        _KNOWN.format(bars=bars),
        _PLACED,
        _STEPS,
        _LEVELS.format(after=last),
    ]
    with ExitStack() as stack:
        stack.enter_context(registered(con, "factorlab_repaired", repaired))
        stack.enter_context(registered(con, "factorlab_status", status))
        stack.enter_context(sessions_registered(con, LAST_DAY))
        yield f"WITH {','.join(parts)} {_ADJUSTED.format(bars=bars)}"
