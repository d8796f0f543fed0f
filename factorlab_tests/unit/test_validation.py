"""Rules of the schemas as SQL and as pandera, which must say the same; content hashes.

Invariants: every rule of every table is found broken by both judges, in the same rows, and by
neither where it holds; a content hash changes with the content and with nothing else.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pandera.errors
import pandera.pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets import schemas, validation
from factorlab_assets.engine import scratch
from factorlab_assets.errors import RefusedError
from factorlab_assets.schemas import SCORES, TABLES, WEIGHTS, Table
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests.store_samples import changed, scores

SOME = {
    "string": ["2024-05", "2024-05-0123456789ab", "SPY", "ok", "close", "started", "trend"],
    "float": [1.0, 0.5, -0.5, 100.0],
    "int": [1, 0],
    "bool": [True],
    "date": [dt.date(2024, 5, 31)],
    "timestamp": [dt.datetime(2024, 5, 31, 12)],
}
NASTY = {
    "string": ["", "spy", "SPY\n", "२०२४-05", "2024-13", "a'; DROP TABLE meta; --", "x" * 90, None],
    "float": [0.0, -0.0, -1e300, math.inf, -math.inf, math.nan, None],
    "int": [-1, None],
    "bool": [False, None],
    "date": [dt.date(1850, 1, 1), dt.date(2150, 1, 1), dt.date(2024, 6, 1), None],
    "timestamp": [None],
}


Judged = dict[tuple[Any, ...], validation.Judgement]


def judged(table: Table, rows: Any) -> Judged:
    with scratch() as con:
        validation.normalise(con, table, rows, "rows")
        return validation.judge(con, table, "rows")


def by_pandera(table: Table, rows: Any) -> Judged:
    """The verdict that is due: hashes, counts and repeated keys as judged, rules as pandera's."""
    with scratch() as con:
        validation.normalise(con, table, rows, "rows")
        found = _broken(con, table, con.table("rows").to_arrow_table())
        due = {}
        for key, judgement in validation.judge(con, table, "rows").items():
            own = [faults[key] for faults in found if key in faults]
            own += [fault for fault in judgement.faults if fault.rule == "is unique"]
            due[key] = replace(judgement, faults=tuple(own))
        return due


def _broken(
    con: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table
) -> list[dict[tuple[Any, ...], validation.Fault]]:
    """Per rule that pandera finds broken, the faults of each partition."""
    # A null in an int64 or bool column would be the whole column's fault instead of a row's.
    kinds = {"BIGINT": "Int64", "BOOLEAN": "boolean"}
    changed = {c: {"dtype": kinds[kind]} for c, kind in table.columns.items() if kind in kinds}
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    schema = table.schema.update_columns(changed) if changed else table.schema
    try:
        schema.validate(rows.to_pandas(types_mapper=nullable.get), lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
    else:
        return []
    found = []
    for rule in validation.rules(table):
        number = cases["check_number"]
        chosen = number.isna() if rule.check is None else number.eq(rule.check)
        if rule.column:
            chosen &= cases["schema_context"].eq("Column") & cases["column"].eq(rule.column)
        else:
            chosen &= cases["schema_context"].eq("DataFrameSchema")
        if chosen.any():
            con.register("offenders", rows.take(sorted(set(cases.loc[chosen, "index"]))))
            found.append(validation._faults(con, table, rule, "SELECT * FROM offenders"))
    return found


def good_row(table: Table) -> dict[str, Any]:
    """A row that the schema's own pandera checks let through, one column at a time."""
    row = {}
    for name, column in table.schema.columns.items():
        listed = [check.statistics.get("allowed_values", []) for check in column.checks]
        choices = [*SOME[column.metadata["kind"]], *itertools.chain(*listed)]
        row[name] = next(v for v in choices if _passes(column, v))
    return row


def _passes(column: pandera.pandas.Column, value: Any) -> bool:
    series = pa.array([value]).to_pandas()
    return all(check(series).check_passed for check in column.checks)


@pytest.fixture(params=sorted(TABLES))
def table(request: pytest.FixtureRequest) -> Table:
    return TABLES[request.param]


def test_a_good_row_passes(table: Table) -> None:
    rows = pa.Table.from_pylist([good_row(table)], schema=arrow_schema(table))
    (judgement,) = judged(table, rows).values()
    assert judgement.faults == ()
    assert judgement.n_rows == 1
    assert judged(table, rows) == by_pandera(table, rows)


def test_every_rule_can_be_broken_and_both_judges_see_it_alike(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = good_row(table)
    kinds = {name: column.metadata["kind"] for name, column in table.schema.columns.items()}
    tried = [good | {c: v} for c, kind in kinds.items() for v in [*SOME[kind], *NASTY[kind]]]
    rows = pa.Table.from_pylist(tried, schema=arrow_schema(table))
    monkeypatch.setattr(validation, "SAMPLE_ROWS", len(tried))
    in_sql = judged(table, rows)
    assert by_pandera(table, rows) == in_sql
    broken = {(f.column, f.rule) for judgement in in_sql.values() for f in judgement.faults}
    known = {(rule.column, rule.label) for rule in validation.rules(table)}
    assert broken - known == {(", ".join(table.primary_key), "is unique")}
    assert known - broken == set()


BARS = schemas.RAW_PRICES
changes = st.lists(
    st.sampled_from(
        [
            (name, value)
            for name, column in BARS.schema.columns.items()
            for value in SOME[column.metadata["kind"]] + NASTY[column.metadata["kind"]]
        ]
    ),
    max_size=3,
).map(dict)


@given(st.lists(changes, min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_both_judges_agree_on_any_rows(rows: list[dict[str, Any]]) -> None:
    given_rows = [good_row(BARS) | row for row in rows]
    given_table = pa.Table.from_pylist(given_rows, schema=arrow_schema(BARS))
    in_sql = judged(BARS, given_table)
    assert by_pandera(BARS, given_table) == in_sql
    keys = [(row["month"], row["data_version_id"]) for row in given_rows]
    assert {key: j.n_rows for key, j in in_sql.items()} == {key: keys.count(key) for key in keys}


def test_a_check_without_sql_is_an_error_and_not_forgotten() -> None:
    column = pandera.pandas.Column("str", pandera.pandas.Check.str_startswith("a"))
    column.metadata = {"kind": "string"}
    odd = Table("odd", pandera.pandas.DataFrameSchema({"name": column}), ("name",), "ledger")
    with pytest.raises(NotImplementedError, match="startswith"):
        validation.rules(odd)


def test_the_first_offending_rows_are_shown_per_partition() -> None:
    rows = pa.concat_tables([scores("bad", value=math.inf, n_days=9), scores("good")])
    found = judged(SCORES, rows)
    assert found["2024-05", "good"].faults == ()
    (fault,) = found["2024-05", "bad"].faults
    assert (fault.column, fault.rule, fault.n_rows) == ("score", "< inf", 18)
    assert len(fault.rows) == validation.SAMPLE_ROWS
    assert fault.rows[0] == {"date": "2024-01-01", "ticker": "A", "score": "inf"}


def test_a_rule_over_two_columns_passes_where_one_is_unknown() -> None:
    bars = BARS
    good = good_row(bars) | {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0}
    rows = [good, good | {"ticker": "X", "high": None}, good | {"ticker": "Y", "close": 12.0}]
    given_rows = pa.Table.from_pylist(rows, schema=arrow_schema(bars))
    (judgement,) = judged(bars, given_rows).values()
    broken = {(f.column, f.rule): [r["ticker"] for r in f.rows] for f in judgement.faults}
    assert broken == {("high", "is known"): ["X"], ("", "close <= high"): ["Y"]}


@pytest.mark.parametrize(
    "day", [dt.date(2024, 2, 1), dt.date(1850, 1, 1), dt.date(2150, 1, 1), None]
)
def test_a_key_that_comes_twice_is_shown(day: dt.date | None) -> None:
    rows = pa.concat_tables([scores("a"), scores("b"), changed(scores("b"), 0, date=day)[:1]])
    rows = pa.concat_tables([rows, changed(scores("b"), 0, date=day, score=7.0)[:1]])
    found = judged(SCORES, rows)
    assert found["2024-05", "a"].faults == ()
    (fault,) = [f for f in found["2024-05", "b"].faults if f.rule == "is unique"]
    assert fault.column == "month, strategy, date, ticker"
    (row,) = fault.rows
    assert (row["date"], row["ticker"]) == (str(day) if day else None, "A")
    assert row["times"] == 2


def test_days_before_1900_and_after_2099_are_no_duplicates() -> None:
    days = [dt.date(1, 1, 1), dt.date(1850, 1, 1), dt.date(2024, 1, 1), dt.date(9999, 12, 31)]
    rows = pa.concat_tables([changed(scores("a"), 0, date=day)[:1] for day in days])
    (judgement,) = judged(SCORES, rows).values()
    assert judgement.faults == ()
    never = pa.array([2**31 - 1, -(2**31) + 2], pa.int32()).view(pa.date32())
    rows = rows[:2].set_column(2, "date", never)
    (judgement,) = judged(SCORES, rows).values()
    assert judgement.faults == ()


def test_columns_that_differ_are_named() -> None:
    rows = scores("a").rename_columns(["month", "strategy", "date", "symbol", "score"])
    rows = rows.set_column(4, "score", pa.array(["1"] * 4))
    with scratch() as con, pytest.raises(RefusedError) as caught:
        validation.normalise(con, SCORES, rows, "rows")
    for said in ("no column ticker", "unknown column symbol", "score is VARCHAR", "table scores"):
        assert said in str(caught.value)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.string(), pa.int32()])
def test_a_type_that_would_lose_something_is_refused(kind: pa.DataType) -> None:
    rows = scores("a")
    rows = rows.set_column(2, "date", pa.nulls(rows.num_rows, kind))
    with scratch() as con, pytest.raises(RefusedError, match="date is"):
        validation.normalise(con, SCORES, rows, "rows")


def hash_of(rows: Any, table: Table = SCORES) -> str:
    with scratch() as con:
        validation.normalise(con, table, rows, "rows")
        (judgement,) = validation.judge(con, table, "rows").values()
    return judgement.content_hash


def test_the_hash_of_known_rows_is_frozen() -> None:
    """Stored hashes are compared with new ones: a DuckDB whose hash() differs must be noticed."""
    assert duckdb.sql("SELECT hash('SPY', DATE '2024-05-31', 1.5, 2, true)").fetchall() == [
        (2672885344568903826,)
    ]
    assert hash_of(scores("a")) == "b21015b7b9dc463e"


def test_no_order_chunk_or_way_of_arrival_changes_the_hash(tmp_path: Path) -> None:
    rows = scores("a", n_days=50)
    expected = hash_of(rows)
    mixed = rows.take(np.random.default_rng(7).permutation(rows.num_rows))
    assert hash_of(mixed) == expected
    assert hash_of(pa.concat_tables([rows[60:], rows[:7], rows[7:60]])) == expected
    assert hash_of(rows.select(["score", "ticker", "date", "strategy", "month"])) == expected
    for name in ("ticker", "strategy"):
        position = rows.schema.get_field_index(name)
        column = rows.column(name)
        for same in (column.dictionary_encode(), column.cast(pa.large_string())):
            assert hash_of(rows.set_column(position, name, same)) == expected
    pq.write_table(mixed, tmp_path / "rows.parquet", row_group_size=9)
    with scratch() as con:
        validation.normalise(con, SCORES, con.read_parquet(str(tmp_path / "rows.parquet")), "rows")
        (judgement,) = validation.judge(con, SCORES, "rows").values()
    assert judgement.content_hash == expected


def test_no_thread_count_changes_the_hash() -> None:
    rows = scores("a", n_days=100_000)
    found = set()
    for threads in (1, 2, 5):
        with duckdb.connect(config={"threads": threads}) as con:
            validation.normalise(con, SCORES, rows, "rows")
            (judgement,) = validation.judge(con, SCORES, "rows").values()
            found.add(judgement.content_hash)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("score", 1.0000000000000002), ("ticker", "C"), ("date", dt.date(2024, 1, 3))],
)
def test_any_changed_value_changes_the_hash(name: str, value: Any) -> None:
    assert hash_of(changed(scores("a"), 0, **{name: value})) != hash_of(scores("a"))


def test_a_row_more_or_twice_changes_the_hash() -> None:
    rows = scores("a")
    assert len({hash_of(rows), hash_of(rows[:3]), hash_of(pa.concat_tables([rows, rows]))}) == 3


def test_the_partition_is_no_content() -> None:
    assert hash_of(scores("a")) == hash_of(scores("b"))
    assert hash_of(scores("a")) != hash_of(scores("a", value=2.0))


def test_minus_zero_is_zero_and_nan_is_null() -> None:
    zero, minus = (hash_of(changed(scores("a"), 0, score=v)) for v in (0.0, -0.0))
    assert zero == minus
    nan, negative_nan, null = (
        hash_of(changed(scores("a"), 0, score=v)) for v in (math.nan, -math.nan, None)
    )
    assert nan == negative_nan == null
    assert nan != zero


def test_values_moved_to_another_column_change_the_hash() -> None:
    quality = good_row(schemas.PRICE_QUALITY) | {"n_rows": 3, "n_rejected": 4}
    swapped = quality | {"n_rows": 4, "n_rejected": 3}
    one, other = (
        hash_of(
            pa.Table.from_pylist([r], schema=arrow_schema(schemas.PRICE_QUALITY)),
            schemas.PRICE_QUALITY,
        )
        for r in (quality, swapped)
    )
    assert one != other


def test_the_weights_table_needs_no_date_range() -> None:
    """No rows at all: nothing to judge, and no error from an empty span of days."""
    with scratch() as con:
        validation.normalise(con, WEIGHTS, arrow_schema(WEIGHTS).empty_table(), "rows")
        assert validation.judge(con, WEIGHTS, "rows") == {}
