# ruff: noqa: S608 - every name in this SQL comes from schemas.TABLES, every value is a parameter
"""Data versions on an open connection: what identifies one, storing it, the ledger of months.

Belongs here: the tables that are kept per data version and `data_versions`. Does not: opening the
database, locks (`store`), or where bars come from (`sources`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.engine import scratch
from factorlab_assets.errors import RefusedError
from factorlab_assets.schemas import Table
from factorlab_assets.sources.base import Fetched
from factorlab_assets.store_partitions import (
    Rows,
    Verdict,
    append,
    arrow_schema,
    judge_partitions,
    put_verdicts,
    replace_partitions,
)
from factorlab_assets.validation import Judgement, normalise

TABLES = tuple(table for table in schemas.TABLES.values() if table.partition == "version")
_KEY = ("month", "data_version_id")
Lines = list[tuple[Any, ...]]
"""Per ticker: n rows, hash, first day, last day; in order of ticker."""


@dataclass(frozen=True)
class Version:
    """A row of `data_versions`: one snapshot that a month points, or pointed, at in that role."""

    seq: int
    month: str
    data_version_id: str
    role: str
    source: str
    observed_at: dt.datetime
    is_backfilled: bool
    is_survivors: bool
    price_basis: str
    n_tickers: int
    n_rows: int
    first_date: dt.date
    last_date: dt.date
    content_hash: str


@dataclass(frozen=True)
class Snapshot:
    """A data version ready to be stored: its identity, its rows per table, their verdicts."""

    month: str
    data_version_id: str
    content_hash: str
    n_tickers: int
    n_rows: int
    first_date: dt.date
    last_date: dt.date
    rows: dict[str, Rows]
    judged: dict[str, Judgement]


def snapshot(
    month: str,
    fetched: Fetched,
    distributions: pa.Table | None,
    characteristics: pa.Table | None = None,
) -> Snapshot:
    """Identify and judge what a source gave for `month`, before any lock is taken.

    content_hash = SHA-256 over one line "ticker n hash" per ticker, of the prices, of the
    distributions and, where there are any, of the characteristics, where hash is the order-free sum
    over that ticker's n rows.

    Raises
    ------
    RefusedError : no bars, rows after the month's end, or rows that break the schema.
    """
    given: dict[str, Any] = {
        "raw_prices": fetched.prices,
        "coverage": _records(schemas.COVERAGE, fetched.coverage),
        "rejected_rows": _records(schemas.REJECTED_ROWS, fetched.rejections),
        "distributions": _or_none(schemas.DISTRIBUTIONS, distributions),
        "characteristics": _or_none(schemas.CHARACTERISTICS, characteristics),
    }
    nameless = f"{month}-{'0' * 12}"
    draft = {name: _with_key(rows, month, nameless) for name, rows in given.items()}
    bars = _per_ticker(schemas.RAW_PRICES, draft["raw_prices"], "date", month)
    paid = _per_ticker(schemas.DISTRIBUTIONS, draft["distributions"], "ex_date", month)
    if not bars:
        raise RefusedError("no bars at all", where=f"prices of {month}", expected="at least one")
    said = _per_ticker(schemas.CHARACTERISTICS, draft["characteristics"], "date_avail", month)
    content_hash = _content_hash(bars, paid, said)
    data_version_id = f"{month}-{content_hash[:12]}"
    judged = {}
    for table in TABLES:
        judged[table.name] = judge_partitions(table, draft[table.name], [nameless])[nameless]
        for fault in judged[table.name].faults:
            raise fault.refusal(table, data_version_id)
    return Snapshot(
        month,
        data_version_id,
        content_hash,
        n_tickers=len(bars),
        n_rows=sum(n for _, n, *_ in bars),
        first_date=min(first for *_, first, _ in bars),
        last_date=max(last for *_, last in bars),
        rows={name: _with_key(rows, month, data_version_id) for name, rows in given.items()},
        judged=judged,
    )


def _content_hash(bars: Lines, paid: Lines, said: Lines) -> str:
    lines = ["prices", *(f"{t} {n} {h}" for t, n, h, *_ in bars)]
    lines += ["distributions", *(f"{t} {n} {h}" for t, n, h, *_ in paid)]
    if said:  # a version without any is named as before there were characteristics
        lines += ["characteristics", *(f"{t} {n} {h}" for t, n, h, *_ in said)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stored_content(con: duckdb.DuckDBPyConnection, version: Version) -> str:
    """The content hash of a version's rows as they are stored now; empty where it has no bars."""
    named = (version.data_version_id,)

    def lines(table: Table, day: str) -> Lines:
        rows = con.sql(f"SELECT * FROM {table.name} WHERE data_version_id = ?", params=named)
        normalise(con, table, rows, "incoming")
        return _lines(con, table, day)

    bars = lines(schemas.RAW_PRICES, "date")
    others = lines(schemas.DISTRIBUTIONS, "ex_date"), lines(schemas.CHARACTERISTICS, "date_avail")
    return _content_hash(bars, *others) if bars else ""


def _or_none(table: Table, rows: pa.Table | None) -> pa.Table:
    return arrow_schema(table, without=_KEY).empty_table() if rows is None else rows


def _records(table: Table, records: Sequence[Any]) -> pa.Table:
    return pa.Table.from_pylist(
        [asdict(record) for record in records], schema=arrow_schema(table, without=_KEY)
    )


def _with_key(given: pa.Table | Path, month: str, data_version_id: str) -> Rows:
    """The rows with their partition columns before them."""
    key = [
        duckdb.ConstantExpression(value).alias(name)
        for name, value in zip(_KEY, (month, data_version_id), strict=True)
    ]

    def rows(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        stored = isinstance(given, Path)
        relation = con.read_parquet(str(given)) if stored else con.from_arrow(given)
        return relation.select(*key, duckdb.StarExpression())

    return rows


def _lines(con: duckdb.DuckDBPyConnection, table: Table, day: str) -> Lines:
    """Of the relation `incoming`."""
    content = ", ".join(name for name in table.columns if name not in _KEY)
    return con.execute(
        f"""SELECT ticker, count(*), sum(hash({content}))::HUGEINT, min({day}), max({day})
        FROM incoming GROUP BY ticker ORDER BY ticker"""
    ).fetchall()


def _per_ticker(table: Table, rows: Rows, day: str, month: str) -> Lines:
    with scratch() as con:
        normalise(con, table, rows(con), "incoming")
        found = _lines(con, table, day)
    late = [(ticker, last) for ticker, *_, last in found if last and f"{last:%Y-%m}" > month]
    if late:
        ticker, last = late[0]
        raise RefusedError(
            "rows after the month's end",
            where=f"table {table.name}, column {day}",
            got=f"{ticker} at {last} (and {len(late) - 1} more tickers)",
            expected=f"nothing after {month}: a month holds what was known at its close",
        )
    return found


def add(
    con: duckdb.DuckDBPyConnection,
    new: Snapshot,
    *,
    observed: dict[str, Any],
    replace_source: bool,
    verdicts: Sequence[Verdict],
) -> Version:
    """Store a snapshot that is not stored yet, and point its month at it.

    `observed` holds the ledger's columns that are not the content's: role, source, price_basis, ….

    Raises
    ------
    RefusedError : the month's current version of that role has another source, and
        `replace_source` is off; or a second version is the month's primary one.
    """
    id_ = new.data_version_id
    ledger = versions(con)
    current = current_of(ledger, new.month, observed["role"])
    if current and current.source != observed["source"] and not replace_source:
        raise another_source(current, observed["source"])
    primary = current_of(ledger, new.month, "primary")
    if observed["role"] == "second" and primary and primary.data_version_id == id_:
        raise RefusedError(
            "the month's prices cannot be held against themselves",
            where=f"month {new.month}",
            got=f"a second source with the content of the primary one, {id_}",
            expected="prices of another source, or of another archive of the same one",
        )
    judged_prices = [Verdict(id_, v.check, v.passed, v.detail) for v in verdicts]
    held = con.execute(
        "SELECT count(*) FROM partitions WHERE table_name = 'raw_prices' AND partition = ?", [id_]
    ).fetchall()[0][0]
    if held:
        hashes = {id_: new.judged["raw_prices"].content_hash}
        put_verdicts(con, schemas.RAW_PRICES, hashes, {id_: judged_prices})
    else:
        with _in_any_order(con):
            for table in TABLES:
                said = judged_prices if table.name == "raw_prices" else []
                judged = {id_: new.judged[table.name]}
                replace_partitions(con, table, new.rows[table.name], judged, {id_: id_}, said)
    if current and current.data_version_id == id_:
        return current
    row = {name: vars(new)[name] for name in schemas.DATA_VERSIONS.columns if name in vars(new)}
    append(con, schemas.DATA_VERSIONS, [row | observed | {"seq": _next_seq(con)}])
    return versions(con)[-1]


@contextmanager
def _in_any_order(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let each thread fill row groups of its own: in order they are rewritten at the checkpoint.

    Measured on 15M bars: 7 s of processor time instead of 11; the hash knows no order anyway.
    """
    con.execute("SET preserve_insertion_order = false")
    try:
        yield
    finally:
        con.execute("RESET preserve_insertion_order")


def _next_seq(con: duckdb.DuckDBPyConnection) -> int:
    found: int = con.execute("SELECT coalesce(max(seq), 0) + 1 FROM data_versions").fetchall()[0][0]
    return found


def versions(con: duckdb.DuckDBPyConnection) -> list[Version]:
    """The ledger in order of recording; of a month and role the last row is current."""
    columns = ", ".join(schemas.DATA_VERSIONS.columns)
    rows = con.execute(f"SELECT {columns} FROM data_versions ORDER BY seq").fetchall()
    names = list(schemas.DATA_VERSIONS.columns)
    return [Version(**dict(zip(names, row, strict=True))) for row in rows]


def current_of(ledger: Sequence[Version], month: str, role: str) -> Version | None:
    """The version that a month points at in a role; None where there is none."""
    found = [version for version in ledger if (version.month, version.role) == (month, role)]
    return found[-1] if found else None


def before(ledger: Sequence[Version], later: Version, kept: Collection[str]) -> Version | None:
    """The last version of the same role before `later`, by month, of those kept."""
    older = [
        version
        for version in ledger
        if version.role == later.role
        and version.data_version_id != later.data_version_id
        and version.data_version_id in kept
        and (version.month, version.seq) < (later.month, later.seq)
    ]
    return max(older, key=lambda version: (version.month, version.seq), default=None)


def another_source(current: Version, source: str) -> RefusedError:
    """The refusal to let `source` take over from the current version of a month and role."""
    return RefusedError(
        f"the month's {current.role} data came from another source",
        where=f"month {current.month}, version {current.data_version_id}",
        got=source,
        expected=current.source,
        do="use another data folder (FACTORLAB_DATA_DIR), or say --replace-source; the old version "
        "is kept either way",
    )


def unused(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Stored versions that no month points at in any role and no experiment refers to."""
    rows = con.execute(
        """SELECT partition FROM partitions WHERE table_name = 'raw_prices'
        AND partition NOT IN (
            SELECT arg_max(data_version_id, seq) FROM data_versions GROUP BY month, role)
        AND partition NOT IN (SELECT data_version_id FROM experiments)
        AND partition NOT IN (
            SELECT prices ->> '$.second' FROM experiments WHERE prices ->> '$.second' IS NOT NULL)
        ORDER BY partition"""
    ).fetchall()
    return [partition for (partition,) in rows]


def drop(con: duckdb.DuckDBPyConnection, data_version_ids: Sequence[str]) -> None:
    """Delete the rows of data versions; the ledger keeps saying that there were."""
    chosen = [list(data_version_ids)]
    for table in TABLES:
        con.execute(
            f"DELETE FROM {table.name} WHERE data_version_id IN (SELECT unnest(?::VARCHAR[]))",
            chosen,
        )
        con.execute(
            f"""DELETE FROM partitions WHERE table_name = '{table.name}'
            AND partition IN (SELECT unnest(?::VARCHAR[]))""",
            chosen,
        )
