# ruff: noqa: S608 - every name in this SQL comes from schemas.TABLES, every literal from a schema
"""Judging rows by their table's schema before they are stored, and hashing them.

Belongs here: the pandera schemas as SQL, content hashes. Does not: storing anything.

The SQL takes 2 ms where pandera takes 11 and more, after 0.3 s of imports; a test holds it to
pandera's own verdicts, row by row.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pandera.pandas as pa

from factorlab_assets.errors import RefusedError
from factorlab_assets.schemas import Table

SAMPLE_ROWS = 5
"""So many offending rows are shown per partition and rule."""

Key = tuple[Any, ...]
"""The values of a table's partition columns."""

_LOSSLESS = {
    "VARCHAR": ("VARCHAR", "ENUM"),
    "DOUBLE": ("DOUBLE", "FLOAT"),
    "BIGINT": ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT"),
    "BOOLEAN": ("BOOLEAN",),
    "DATE": ("DATE",),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"),
}
"""Stored type -> the types that become it without loss."""


@dataclass(frozen=True)
class Rule:
    """What must hold of every row: `label` for people, `broken` the SQL that finds offenders.

    `check` is pandera's number of the check within its column (within the table, where `column` is
    empty); None stands for "not null".
    """

    column: str
    check: int | None
    label: str
    broken: str


@dataclass(frozen=True)
class Fault:
    """A rule that rows of one partition break, how many, and the first of them."""

    column: str
    rule: str
    n_rows: int
    rows: Sequence[Mapping[str, Any]] = ()

    def refusal(self, table: Table, where: str) -> RefusedError:
        """The error that says so of `table`."""
        return RefusedError(
            f"the rule “{f'{self.column} {self.rule}'.strip()}” is broken; nothing was stored",
            where=f"table {table.name}, {where}",
            got=f"{self.n_rows} such rows, first {list(self.rows)[:2]}" if self.rows else "no rows",
        )


@dataclass(frozen=True)
class Judgement:
    """The schema's verdict on one partition's rows; it passes where there are no faults."""

    n_rows: int
    content_hash: str
    faults: tuple[Fault, ...] = ()

    @property
    def detail(self) -> dict[str, Any]:
        """What is stored with the verdict: figures, and the first offending rows of each fault."""
        said: dict[str, Any] = {"n_rows": self.n_rows}
        return said | {"faults": [vars(fault) for fault in self.faults]} if self.faults else said


def rules(table: Table) -> list[Rule]:
    """Every rule of a table's pandera schema, in its order.

    Raises
    ------
    NotImplementedError : a check that this module cannot say in SQL.
    """
    found = []
    for name, column in table.schema.columns.items():
        if not column.nullable:
            found.append(Rule(name, None, "is known", f"{name} IS NULL"))
        for number, check in enumerate(column.checks):
            label, holds = _condition(name, check)
            found.append(Rule(name, number, label, f"NOT ({holds})"))
    for number, check in enumerate(table.schema.checks):
        found.append(Rule("", number, check.name, f"NOT ({check.name})"))
    return found


def _condition(column: str, check: pa.Check) -> tuple[str, str]:
    """What a check demands: in words, and as SQL that is unknown where the column is null."""
    signs = {
        "greater_than": ">",
        "greater_than_or_equal_to": ">=",
        "less_than": "<",
        "less_than_or_equal_to": "<=",
    }
    said = check.statistics or {}
    if check.name in signs:
        (bound,) = said.values()
        sign = signs[check.name]
        return f"{sign} {bound}", f"{column} {sign} '{float(bound)}'::DOUBLE"
    if check.name == "isin":
        allowed = said["allowed_values"]
        return f"in {', '.join(allowed)}", f"{column} IN ({', '.join(map(_quoted, allowed))})"
    if check.name == "full_match":
        pattern = said["pattern"]
        return f"like {pattern}", f"regexp_full_match({column}, {_quoted(pattern)})"
    raise NotImplementedError(f"no SQL for pandera's {check} of column {column}")


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def normalise(con: duckdb.DuckDBPyConnection, table: Table, given: Any, name: str) -> None:
    """Make the relation `name` on `con`: `given` as the table stores it.

    The schema's columns, order and types; NaN is NULL, so that "not known" has one form.

    Parameters
    ----------
    given : pyarrow Table, or a relation of `con`.

    Raises
    ------
    RefusedError : other columns than the schema's, or types that would lose something.
    """
    con.register(f"{name}_as_given", given)
    relation = con.table(f"{name}_as_given")
    _same_columns(table, dict(zip(relation.columns, map(str, relation.types), strict=True)))
    cast = {name: f"CAST({name} AS {kind})" for name, kind in table.columns.items()}
    known = {n: f"nullif({c}, 'nan')" if "DOUBLE" in c else c for n, c in cast.items()}
    con.register(name, relation.project(", ".join(f"{c} AS {n}" for n, c in known.items())))


def _same_columns(table: Table, types: Mapping[str, str]) -> None:
    wrong = [f"no column {name}" for name in table.columns if name not in types]
    wrong += [f"unknown column {name}" for name in types if name not in table.columns]
    for name, kind in table.columns.items():
        got = types.get(name, kind)
        if got.partition("(")[0] not in (*_LOSSLESS[kind], '"NULL"'):
            wrong.append(f"{name} is {got}")
    if wrong:
        raise RefusedError(
            "the columns differ from the schema",
            where=f"table {table.name}",
            got="; ".join(wrong),
            expected=", ".join(f"{name} {kind}" for name, kind in table.columns.items()),
        )


def judge(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> dict[Key, Judgement]:
    """The schema's verdict on each partition among the rows, and its content hash.

    The hash is order-free: the sum over rows of DuckDB's hash of all columns but the partition's
    own, so that neither row order nor thread count nor the way of arrival leaks in.

    Parameters
    ----------
    rows : name of a relation that `normalise` made on `con`.
    """
    known = rules(table)
    totals = con.execute(_totals_sql(table, rows, known, *_extent(con, table, rows))).fetchall()
    width = len(table.partition_columns)
    suspects = known if any(total[width + 3] for total in totals) else []
    broken = {
        rule: _faults(con, table, rule, f"SELECT * FROM {rows} WHERE {rule.broken}")
        for rule in suspects
    }
    if any(total[width + 2] for total in totals):
        unique = Rule(", ".join(table.primary_key), None, "is unique", "")
        broken[unique] = _faults(con, table, unique, _duplicates_sql(table, rows))
    judged = {}
    for total in totals:
        key, n, hash_sum = total[:width], total[width], total[width + 1]
        faults = tuple(by_key[key] for by_key in broken.values() if key in by_key)
        judged[key] = Judgement(n, digest(n, hash_sum), faults)
    return judged


def digest(n_rows: int, hash_sum: int) -> str:
    """The content hash of so many rows whose hashes have this sum."""
    return hashlib.sha256(f"{n_rows} {hash_sum}".encode()).hexdigest()[:16]


EMPTY = Judgement(0, digest(0, 0))
"""A partition that may be without rows, and is."""
EMPTY_UNEXPECTEDLY = Judgement(0, digest(0, 0), (Fault("", "has rows", 0),))


def _extent(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> tuple[int, int]:
    """The first and last day of the key's date, within reason, since 1970."""
    day = _day(table)
    if day is None:
        return 0, 0
    first, last = con.execute(
        f"SELECT {_clamped(f'min({day})')}, {_clamped(f'max({day})')} FROM {rows}"
    ).fetchall()[0]
    return first or 0, last or 0


def _clamped(day: str) -> str:
    return f"least(greatest({day}, DATE '1900-01-01'), DATE '2099-12-31') - DATE '1970-01-01'"


def _day(table: Table) -> str | None:
    """The date among a table's key columns."""
    return next((name for name in table.primary_key if table.columns[name] == "DATE"), None)


def _totals_sql(table: Table, rows: str, checked: Sequence[Rule], first: int, last: int) -> str:
    """Per partition: row count, hash sum, whether a key may come twice, whether a rule is broken.

    Two levels: first by all of the key but its date, where one bit per day tells cheaply whether
    a day comes twice (a GROUP BY on the whole key of 15M rows takes ten times as long), and where
    the key's texts are judged once per group instead of once per row.
    """
    partition, day = table.partition_columns, _day(table)
    groups = [name for name in dict.fromkeys((*partition, *table.primary_key)) if name != day]
    content = ", ".join(name for name in table.columns if name not in partition)
    distinct = "1"
    if day is not None:
        near = f"{day} BETWEEN DATE '1970-01-01' + {first} AND DATE '1970-01-01' + {last}"
        number = f"CASE WHEN {near} THEN {day} - DATE '1970-01-01' END"
        distinct = f"coalesce(bit_count(bitstring_agg({number}, {first}, {last})), 0)"
    per_group = [rule.broken for rule in checked if rule.column in groups]
    per_row = [rule.broken for rule in checked if rule.column not in groups]
    inner = [*groups, "count(*) AS n", f"sum(hash({content})) AS h"]
    inner += [f"count(*) <> {distinct} AS twice", f"{_any(per_row)} AS broken"]
    outer = [*partition, "sum(n)::BIGINT", "sum(h)::HUGEINT", "bool_or(twice)"]
    outer += [_any([*per_group, "broken"])]
    grouped = f"SELECT {', '.join(inner)} FROM {rows} GROUP BY ALL"
    return f"SELECT {', '.join(outer)} FROM ({grouped}) GROUP BY ALL HAVING count(*) > 0"


def _any(broken: Sequence[str]) -> str:
    return f"coalesce(bool_or({' OR '.join(broken)}), false)" if broken else "false"


def _duplicates_sql(table: Table, rows: str) -> str:
    key = ", ".join(dict.fromkeys((*table.partition_columns, *table.primary_key)))
    return f"SELECT {key}, count(*) AS times FROM {rows} GROUP BY ALL HAVING count(*) > 1"


def _faults(
    con: duckdb.DuckDBPyConnection, table: Table, rule: Rule, offenders: str
) -> dict[Key, Fault]:
    """A broken rule's fault in each partition among the offenders that a query finds."""
    partition = ", ".join(table.partition_columns)
    per = f"PARTITION BY {partition}" if partition else ""
    shown = con.sql(
        f"""SELECT *, count(*) OVER ({per}) AS n_broken FROM ({offenders}) AS offender
        QUALIFY row_number() OVER ({per} ORDER BY offender) <= {SAMPLE_ROWS} ORDER BY offender"""
    ).to_arrow_table()
    counts: dict[Key, int] = {}
    rows: dict[Key, list[dict[str, Any]]] = {}
    for row in shown.to_pylist():
        key = tuple(row[name] for name in table.partition_columns)
        counts[key] = row.pop("n_broken")
        row = {name: _plain(v) for name, v in row.items() if name not in table.partition_columns}
        rows.setdefault(key, []).append(row)
    return {key: Fault(rule.column, rule.label, counts[key], rows[key]) for key in rows}


def _plain(value: Any) -> Any:
    """`value` as JSON can say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)
