"""The proof that adjusted prices use nothing before it was known (timing law 9).

Belongs here: findings and adjusted prices of histories that are cut short, held against those of
the whole. Does not: the strategies' own proof (`proof`), which takes adjusted prices as given.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets.core.adjust import adjusted_prices, repairs
from factorlab_assets.core.calendar import Dates, month_ends
from factorlab_assets.core.proof import sample
from factorlab_assets.core.relations import registered
from factorlab_assets.core.suspects import find_suspects
from factorlab_assets.price_rules import PriceRules

CUTS = (0.5, 0.8, 0.95)
"""The history is cut where the last repair before this share of its months became known: a finding
that is told too early is told of bars that the cut history does not have."""


def suspects_and_repairs(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    second: str | None,
    rules: PriceRules,
    status: pa.Table,
    month: str,
) -> pa.Table:
    """Suspect bars up to a month and what the rules make of each: rows of `suspect_prices`."""
    return repairs(con, find_suspects(con, bars, month), bars, second, rules, status)


def known_too_early(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    second: str | None,
    rules: PriceRules,
    status: pa.Table,
    month: str,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What findings and adjusted prices knew before it was known, on histories cut short.

    With the bars after a day cut off, the findings are exactly those of the whole history with
    `known_at` up to it, `seen` and `growth` up to it are the same, and so is every `close` that the
    whole history says was known by then.

    Parameters
    ----------
    con : an open connection, read-only will do; nothing is left behind on it.
    status : rows of `distribution_status`, taken as given: they say what is in the file.

    Returns
    -------
    The first row that breaks each law at each cut, and what was tried: of a hundred tickers or
    more, forty.
    """
    names = [name for (name,) in con.sql(f"FROM {bars}").unique("ticker").fetchall()]
    chosen = sample(names)
    broken: list[dict[str, Any]] = []
    with registered(con, "known_at_tickers", pa.table({"ticker": chosen})):
        own = f"FROM {bars} SEMI JOIN known_at_tickers USING (ticker)"
        con.execute(f"CREATE OR REPLACE TEMP TABLE known_at_bars AS {own}")
    try:
        ((first,),) = con.sql("SELECT min(date) FROM known_at_bars").fetchall()
        whole = suspects_and_repairs(con, "known_at_bars", second, rules, status, month)
        cuts = _cuts(whole, month_ends(f"{first:%Y-%m}", month))
        _adjust(con, "known_at_whole", "known_at_bars", whole, status)
        for cut in cuts:
            bars_then = f"(FROM known_at_bars WHERE date <= DATE '{cut}')"
            month_then = f"{cut:%Y-%m}"
            then = suspects_and_repairs(con, bars_then, second, rules, status, month_then)
            broken += _other_findings(con, whole, then, cut)
            _adjust(con, "known_at_then", bars_then, then, status)
            broken += _other_prices(con, cut)
    finally:
        for name in ("known_at_bars", "known_at_whole", "known_at_then"):
            con.execute(f"DROP TABLE IF EXISTS {name}")
    tried = {"tickers": len(chosen), "of_tickers": len(names), "cuts": [str(cut) for cut in cuts]}
    return broken, tried | {"findings": whole.num_rows}


def _cuts(found: pa.Table, ends: Dates) -> list[dt.date]:
    """The days to cut at: the last repair's `known_at` up to a month-end, else that month-end."""
    acted = found.filter(pc.not_equal(found["action"], "keep"))
    known = acted["known_at"].to_pylist()
    shares = [ends[int(len(ends) * share)].item() for share in CUTS]
    return sorted({max((day for day in known if day <= end), default=end) for end in shares})


def _adjust(
    con: duckdb.DuckDBPyConnection, name: str, bars: str, repaired: pa.Table, status: pa.Table
) -> None:
    with adjusted_prices(con, bars, repaired, status) as relation:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {relation}")


def _other_findings(
    con: duckdb.DuckDBPyConnection, whole: pa.Table, then: pa.Table, cut: dt.date
) -> list[dict[str, Any]]:
    """The first finding that only one of the histories has, of those known at the cut."""
    with registered(con, "known_at_now", whole), registered(con, "known_at_cut", then):
        found = con.sql(
            """WITH now AS (FROM known_at_now WHERE known_at <= $cut)
            SELECT * FROM (
                (SELECT 'only in the whole history' AS what, * FROM now EXCEPT ALL
                 SELECT 'only in the whole history', * FROM known_at_cut)
                UNION ALL
                (SELECT 'only in the cut one' AS what, * FROM known_at_cut EXCEPT ALL
                 SELECT 'only in the cut one', * FROM now)
            ) ORDER BY date, ticker, kind LIMIT 1""",
            params={"cut": cut},
        ).to_arrow_table()
    return [{"cut": str(cut), "table": "suspect_prices", **row} for row in found.to_pylist()]


def _other_prices(con: duckdb.DuckDBPyConnection, cut: dt.date) -> list[dict[str, Any]]:
    """The first adjusted price up to the cut that was known otherwise in the cut history."""
    found = con.sql(
        """SELECT ticker, date, now.seen, past.seen AS seen_then, now.growth,
            past.growth AS growth_then, now.close, past.close AS close_then, now.known_at
        FROM known_at_whole AS now FULL JOIN known_at_then AS past USING (ticker, date)
        WHERE date <= $cut AND (
            (now.seen, now.growth) IS DISTINCT FROM (past.seen, past.growth)
            OR (coalesce(now.known_at, date) <= $cut
                AND (now.close, now.known_at) IS DISTINCT FROM (past.close, past.known_at))
        )
        ORDER BY date, ticker LIMIT 1""",
        params={"cut": cut},
    ).to_arrow_table()
    return [{"cut": str(cut), "table": "adjusted_prices", **row} for row in found.to_pylist()]
