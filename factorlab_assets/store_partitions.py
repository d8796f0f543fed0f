# ruff: noqa: S608 - every name in this SQL comes from schemas.TABLES, every value is a parameter
"""Partitions of the store's tables on an open connection: judged, replaced, gated, loaded.

Belongs here: what one partition is and whether it may be used. Does not: opening the database,
locks, transactions (`store`), or judging rows (`validation`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.engine import scratch
from factorlab_assets.errors import RefusedError
from factorlab_assets.schemas import Table
from factorlab_assets.validation import (
    EMPTY,
    EMPTY_UNEXPECTEDLY,
    Judgement,
    Key,
    judge,
    normalise,
)

Rows = Callable[[duckdb.DuckDBPyConnection], Any]
"""Rows to write: given a connection, a pyarrow Table or a relation of that connection."""

_PATTERNS = {
    "month": schemas.MONTH_PATTERN,
    "strategy": schemas.STRATEGY_PATTERN,
    "data_version_id": schemas.VERSION_PATTERN,
}
_ARROW = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


WARNING = "warning"
"""A passed verdict whose detail says this is shown as a warning."""


@dataclass(frozen=True)
class Verdict:
    """What a check said of a partition; `detail` holds figures or offending rows, JSON-like."""

    partition: str
    check: str
    passed: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What became of a partition: stored with these verdicts, or refused by the schema's."""

    partition: str
    content_hash: str
    n_rows: int
    is_stored: bool
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class PartitionRecord:
    """A stored partition: its content, and what it was computed from."""

    partition: str
    content_hash: str
    fingerprint: str
    n_rows: int
    written_at: dt.datetime


def now() -> dt.datetime:
    """This moment as the store records it: UTC, without a zone."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def key_of(table: Table, partition: str) -> Key:
    """The values of the table's partition columns that a partition key stands for.

    Raises
    ------
    RefusedError : not of the form that this table's partitions have.

    >>> key_of(schemas.WEIGHTS, "2024-05|trend_12m")
    ('2024-05', 'trend_12m')
    """
    key = (partition[:7], partition) if table.partition == "version" else partition.split("|")
    columns = table.partition_columns
    if len(key) != len(columns) or not all(
        re.fullmatch(_PATTERNS[column], value) for column, value in zip(columns, key, strict=True)
    ):
        raise RefusedError(
            "that is no partition of this table",
            where=f"table {table.name}",
            got=repr(partition),
            expected=" | ".join(columns),
        )
    return tuple(key)


def append(
    con: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table | Iterable[Mapping[str, Any]]
) -> None:
    """Append rows to a ledger.

    Raises
    ------
    RefusedError : rows that break the ledger's schema.
    """
    if not isinstance(rows, pa.Table):
        rows = pa.Table.from_pylist(list(rows), schema=arrow_schema(table))
    normalise(con, table, rows, "new_rows")
    for judgement in judge(con, table, "new_rows").values():
        for fault in judgement.faults:
            raise fault.refusal(table, "new rows")
    con.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM new_rows")


def _put(con: duckdb.DuckDBPyConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store records in place of those with the same key."""
    con.register("records", pa.Table.from_pylist(list(rows), schema=arrow_schema(table)))
    key = ", ".join(table.primary_key)
    con.execute(f"DELETE FROM {table.name} WHERE ({key}) IN (SELECT {key} FROM records)")
    con.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM records")


def arrow_schema(table: Table, *, without: Sequence[str] = ()) -> pa.Schema:
    """A table's columns as pyarrow has them."""
    kept = {name: kind for name, kind in table.columns.items() if name not in without}
    return pa.schema([(name, _ARROW[kind]) for name, kind in kept.items()])


def judge_partitions(table: Table, rows: Rows, partitions: Iterable[str]) -> dict[str, Judgement]:
    """The schema's verdict on each of `partitions`, which the rows are to fill.

    Raises
    ------
    RefusedError : columns that differ from the schema's, or rows outside these partitions.
    """
    expected = {key_of(table, partition): partition for partition in partitions}
    with scratch() as con:
        normalise(con, table, rows(con), "incoming")
        judged = judge(con, table, "incoming")
        strays = [key for key in judged if key not in expected]
        if strays:
            same = " AND ".join(
                f"{name} IS NOT DISTINCT FROM ?" for name in table.partition_columns
            )
            shown = con.sql(f"SELECT * FROM incoming WHERE {same} LIMIT 1", params=list(strays[0]))
            raise RefusedError(
                "rows outside the partitions being written",
                where=f"table {table.name}, columns {', '.join(table.partition_columns)}",
                got=f"{sum(judged[key].n_rows for key in strays)} rows, the first "
                f"{shown.to_arrow_table().to_pylist()[0]}",
                expected=_some(list(expected.values())),
            )
    empty = EMPTY if table.may_be_empty else EMPTY_UNEXPECTEDLY
    return {partition: judged.get(key, empty) for key, partition in expected.items()}


def replace_partitions(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rows: Rows,
    judged: Mapping[str, Judgement],
    fingerprints: Mapping[str, str],
    verdicts: Sequence[Verdict],
) -> dict[str, Written]:
    """Put the rows of every partition that passed in place of the old ones, and all verdicts.

    Runs inside the caller's transaction. A partition that failed keeps its old rows.
    """
    by_partition = _by_partition(table, judged, verdicts)
    good = [partition for partition, judgement in judged.items() if not judgement.faults]
    if good:
        normalise(con, table, rows(con), "incoming")
        chosen = _choose(con, table, good)
        if table.partition != "version":
            con.execute(f"DELETE FROM {table.name} WHERE {chosen}")
        only_good = "" if len(good) == len(judged) else f" WHERE {chosen}"
        con.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM incoming{only_good}")
    moment = now()
    records = [
        {
            "table_name": table.name,
            "partition": partition,
            "content_hash": judged[partition].content_hash,
            "fingerprint": fingerprints[partition],
            "n_rows": judged[partition].n_rows,
            "written_at": moment,
        }
        for partition in good
    ]
    _put(con, schemas.PARTITIONS, records)
    put_verdicts(con, table, {p: j.content_hash for p, j in judged.items()}, by_partition)
    return {
        partition: Written(
            partition, j.content_hash, j.n_rows, not j.faults, by_partition[partition]
        )
        for partition, j in judged.items()
    }


def content_hashes(table: Table, rows: pa.Table) -> dict[str, str]:
    """The content hash of each partition among the rows."""
    with scratch() as con:
        normalise(con, table, rows, "incoming")
        judged = judge(con, table, "incoming")
    own = slice(1, None) if table.partition == "version" else slice(None)
    return {"|".join(key[own]): judgement.content_hash for key, judgement in judged.items()}


def _by_partition(
    table: Table, judged: Mapping[str, Judgement], verdicts: Sequence[Verdict]
) -> dict[str, list[Verdict]]:
    """The schema's verdict on each partition, then those that came with the rows."""
    grouped = {p: [Verdict(p, "schema", not j.faults, j.detail)] for p, j in judged.items()}
    for verdict in verdicts:
        if verdict.partition not in grouped:
            raise RefusedError(
                "a verdict on a partition that is not being written",
                where=f"table {table.name}, check {verdict.check}",
                got=verdict.partition,
                expected=_some(list(judged)),
            )
        grouped[verdict.partition].append(verdict)
    return grouped


def put_verdicts(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    content_hashes: Mapping[str, str],
    verdicts: Mapping[str, Sequence[Verdict]],
) -> None:
    """Record verdicts on the content of partitions, instead of earlier ones on the same content."""
    moment = now()
    rows = [
        {
            "table_name": table.name,
            "partition": partition,
            "content_hash": content_hashes[partition],
            "check_name": verdict.check,
            "passed": verdict.passed,
            "detail": json.dumps(dict(verdict.detail), default=str),
            "recorded_at": moment,
        }
        for partition, said in verdicts.items()
        for verdict in said
    ]
    _put(con, schemas.VERDICTS, rows)


def read_verdicts(
    con: duckdb.DuckDBPyConnection, table: Table, partition: str, content_hash: str | None
) -> list[Verdict]:
    """The verdicts on one content of a partition; None: on the one that was judged last."""
    rows = con.execute(
        """SELECT check_name, passed, detail FROM verdicts
        WHERE table_name = $table AND partition = $partition AND content_hash = coalesce($content, (
            SELECT arg_max(content_hash, recorded_at) FROM verdicts
            WHERE table_name = $table AND partition = $partition))
        ORDER BY check_name""",
        {"table": table.name, "partition": partition, "content": content_hash},
    ).fetchall()
    found = [Verdict(partition, check, passed, json.loads(said)) for check, passed, said in rows]
    order = {check: position for position, check in enumerate(table.checks)}
    return sorted(found, key=lambda verdict: order.get(verdict.check, len(order)))


def read_records(con: duckdb.DuckDBPyConnection, table: Table) -> list[PartitionRecord]:
    """Every stored partition of a table, in order of its key."""
    rows = con.execute(
        """SELECT partition, content_hash, fingerprint, n_rows, written_at FROM partitions
        WHERE table_name = ? ORDER BY partition""",
        [table.name],
    ).fetchall()
    return [PartitionRecord(*row) for row in rows]


def read_contents(
    con: duckdb.DuckDBPyConnection, partitions: Sequence[str], tables: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Partition -> table -> content hash, in the order of `tables`, where it is stored."""
    found = con.execute(
        """SELECT partition, table_name, content_hash FROM partitions
        WHERE partition IN (SELECT unnest(?::VARCHAR[]))
        AND table_name IN (SELECT unnest(?::VARCHAR[]))""",
        [list(partitions), list(tables)],
    ).fetchall()
    held = {(partition, name): content for partition, name, content in found}
    return {p: {t: held[p, t] for t in tables if (p, t) in held} for p in partitions}


def refused(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    partitions: Sequence[str],
    fingerprints: Mapping[str, str] | None,
) -> dict[str, str]:
    """Why partitions may not be used: the reason of each one that is refused."""
    rows = con.execute(
        """SELECT p.partition, p.fingerprint, v.check_name, v.passed, v.detail
        FROM partitions p LEFT JOIN verdicts v
        ON (v.table_name, v.partition, v.content_hash) = (p.table_name, p.partition, p.content_hash)
        WHERE p.table_name = ? AND p.partition IN (SELECT unnest(?::VARCHAR[]))""",
        [table.name, list(partitions)],
    ).fetchall()
    held = {partition: fingerprint for partition, fingerprint, *_ in rows}
    said = {(partition, check): (passed, detail) for partition, _, check, passed, detail in rows}
    reasons = {}
    for partition in partitions:
        wanted = held.get(partition) if fingerprints is None else fingerprints[partition]
        if partition not in held:
            reason = "nothing is stored for it"
        elif held[partition] != wanted:
            reason = f"what is stored was computed from {held[partition]}, not from {wanted}"
        else:
            reason = _failed_check(table, partition, said)
        if reason:
            reasons[partition] = reason + _last_refusal(con, table, partition)
    return reasons


def _failed_check(
    table: Table, partition: str, said: Mapping[tuple[str, str], tuple[bool, str]]
) -> str:
    for check in table.checks:
        passed, detail = said.get((partition, check), (None, ""))
        if passed is None:
            return f"its blocking check {check} has no verdict"
        if not passed:
            return f"its blocking check {check} failed: {detail}"
    return ""


def _last_refusal(con: duckdb.DuckDBPyConnection, table: Table, partition: str) -> str:
    """What the schema said of the last attempt, where that one was not stored."""
    last = read_verdicts(con, table, partition, None)
    failed = [v.detail for v in last if v.check == "schema" and not v.passed]
    return f"; the last attempt broke the schema: {json.dumps(failed[0])}" if failed else ""


def load(con: duckdb.DuckDBPyConnection, table: Table, partitions: Sequence[str]) -> pa.Table:
    """The rows of partitions, ordered by partition and key."""
    chosen = _choose(con, table, partitions)
    order = ", ".join(dict.fromkeys((*table.partition_columns, *table.primary_key)))
    columns = ", ".join(table.columns)
    return con.sql(
        f"SELECT {columns} FROM {table.name} WHERE {chosen} ORDER BY {order}"
    ).to_arrow_table()


def _choose(con: duckdb.DuckDBPyConnection, table: Table, partitions: Sequence[str]) -> str:
    """SQL condition: a row belongs to one of the partitions."""
    keys = [key_of(table, partition) for partition in partitions]
    columns = table.partition_columns
    con.register("chosen", pa.table([list(v) for v in zip(*keys, strict=True)], names=columns))
    said = ", ".join(columns)
    return f"({said}) IN (SELECT {said} FROM chosen)"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
