"""The store: partitions replaced or refused, gated loads, the file itself.

Invariants: a refused write changes no rows; a load gives rows whose every blocking check passed.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import engine
from factorlab_assets.errors import FactorLabError, RefusedError, StoreBusyError
from factorlab_assets.schemas import (
    DATA_VERSIONS,
    EXPERIMENTS,
    RAW_PRICES,
    SCORES,
    SUSPECT_PRICES,
    WEIGHTS,
)
from factorlab_assets.store import Store, Verdict
from factorlab_assets.store_format import FORMAT
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests.store_samples import cell_key, changed, scores

A, B = cell_key("a"), cell_key("b")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", lock_timeout_s=0.5)


def weights(cell: str, weight: float = 1.0) -> pa.Table:
    rows = scores(cell).rename_columns(["month", "strategy", "date", "ticker", "weight"])
    rows = changed(rows, 0, weight=weight).append_column("reason", pa.array(["x"] * 4))
    return rows.append_column("outcome", pa.array([""] * 4))


# Partitions


def test_what_was_written_is_loaded_in_order_of_its_key(store: Store) -> None:
    rows = scores("a", "b", n_days=3)
    mixed = rows.take(np.random.default_rng(7).permutation(rows.num_rows))
    written = store.write_partitions(SCORES, mixed, {A: "one", B: "two"})
    assert store.load(SCORES, [A, B]) == rows.cast(arrow_schema(SCORES))
    assert store.load(SCORES, [B]).column("strategy").unique().to_pylist() == ["b"]
    assert {p: (w.is_stored, w.n_rows) for p, w in written.items()} == {A: (True, 6), B: (True, 6)}
    assert store.content_hash(SCORES, mixed) == {p: w.content_hash for p, w in written.items()}


def test_columns_are_matched_by_name(store: Store) -> None:
    rows = weights("a").append_column("date2", scores("a").column("date")).drop_columns("date")
    rows = rows.rename_columns(
        ["month", "strategy", "ticker", "weight", "reason", "outcome", "date"]
    )
    store.write_partitions(WEIGHTS, rows, {A: "one"}, [Verdict(A, "constraints", True)])
    assert store.load(WEIGHTS, [A]) == weights("a")


def test_columns_of_an_older_database_may_stand_in_another_order(store: Store) -> None:
    with store.write() as con:
        other = "SELECT strategy, month, score, ticker, date FROM scores"
        con.execute(f"CREATE OR REPLACE TABLE scores AS {other}")
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    assert store.load(SCORES, [A]) == scores("a")


def test_a_write_replaces_its_own_partitions_alone(store: Store) -> None:
    store.write_partitions(SCORES, scores("a", "b"), {A: "one", B: "one"})
    store.write_partitions(SCORES, scores("a", value=5.0, n_days=1), {A: "two"})
    assert store.load(SCORES, [A]) == scores("a", value=5.0, n_days=1)
    assert store.load(SCORES, [B]) == scores("b")
    records = {r.partition: (r.fingerprint, r.n_rows) for r in store.partitions(SCORES)}
    assert records == {A: ("two", 2), B: ("one", 4)}
    assert store.partitions(WEIGHTS) == []


def test_a_bad_partition_is_refused_and_its_neighbours_are_not(store: Store) -> None:
    store.write_partitions(SCORES, scores("a", "b"), {A: "old", B: "old"})
    rows = pa.concat_tables([scores("a", value=math.inf), scores("b", value=2.0)])
    written = store.write_partitions(SCORES, rows, {A: "new", B: "new"})
    assert (written[A].is_stored, written[B].is_stored) == (False, True)
    assert store.load(SCORES, [A], fingerprints={A: "old"}) == scores("a")
    assert store.load(SCORES, [B], fingerprints={B: "new"}) == scores("b", value=2.0)
    (verdict,) = store.verdicts(SCORES, A)
    assert (verdict.check, verdict.passed) == ("schema", False)
    (fault,) = verdict.detail["faults"]
    assert (fault["column"], fault["rule"], fault["n_rows"]) == ("score", "< inf", 4)
    assert fault["rows"][0]["ticker"] == "A"
    assert list(written[A].verdicts) == [verdict]
    assert store.verdicts(SCORES, A, store.partitions(SCORES)[0].content_hash)[0].passed


def test_a_key_that_comes_twice_is_refused(store: Store) -> None:
    twice = pa.concat_tables([scores("a"), scores("a", value=3.0, n_days=1)])
    written = store.write_partitions(SCORES, twice, {A: "one"})
    assert written[A].verdicts[0].detail["faults"][0]["rule"] == "is unique"
    assert store.partitions(SCORES) == []


def test_an_empty_partition_is_refused_unless_its_table_allows_it(store: Store) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    written = store.write_partitions(SCORES, scores("b"), {A: "two", B: "two"})
    assert written[A].verdicts[0].detail["faults"][0]["rule"] == "has rows"
    assert store.load(SCORES, [A], fingerprints={A: "one"}) == scores("a")
    none = arrow_schema(SUSPECT_PRICES).empty_table()
    assert store.write_partitions(SUSPECT_PRICES, none, {"2024-05": "one"})["2024-05"].is_stored
    assert store.load(SUSPECT_PRICES, ["2024-05"]).num_rows == 0


@pytest.mark.parametrize(
    ("rows", "partitions", "told"),
    [
        (scores("a", "b"), [A], r"rows outside .*scores.*4 rows, the first .*'b'"),
        (changed(scores("a"), 1, month=None), [A], r"rows outside .*1 rows, the first .*None"),
        (scores("a").drop_columns("score"), [A], r"columns differ.*scores.*no column score"),
        (scores("a"), ["2024-05"], "no partition of this table"),
        (scores("a"), ["2024-13|a"], "no partition of this table"),
        (scores("a"), ["2024-05|a|b"], "no partition of this table"),
        (scores("a"), ["2024-05|../a"], "no partition of this table"),
        (scores("a"), ["2024-05|a'); DROP TABLE scores; --"], "no partition of this table"),
    ],
)
def test_a_malformed_write_changes_nothing(
    store: Store, rows: pa.Table, partitions: list[str], told: str
) -> None:
    store.write_partitions(SCORES, scores("a", value=9.0), {A: "old"})
    with pytest.raises(RefusedError, match=told):
        store.write_partitions(SCORES, rows, dict.fromkeys(partitions, "new"))
    assert store.load(SCORES, [A], fingerprints={A: "old"}) == scores("a", value=9.0)


def test_a_verdict_on_another_partition_is_refused(store: Store) -> None:
    with pytest.raises(RefusedError, match="verdict on a partition that is not being written"):
        store.write_partitions(SCORES, scores("a"), {A: "one"}, [Verdict(B, "constraints", True)])
    assert store.partitions(SCORES) == []


@pytest.mark.parametrize("table", [RAW_PRICES, DATA_VERSIONS, EXPERIMENTS])
def test_versions_and_ledgers_are_no_partitions_to_replace(store: Store, table: Any) -> None:
    with pytest.raises(RefusedError, match="no partitions to replace"):
        store.write_partitions(table, arrow_schema(table).empty_table(), {})


def test_text_from_outside_is_data(store: Store) -> None:
    nasty = "'; DROP TABLE weights; -- \"$1?"
    rows = weights("a").set_column(5, "reason", pa.array([nasty] * 4))
    store.write_partitions(
        WEIGHTS, rows, {A: nasty}, [Verdict(A, "constraints", True, {"s": nasty})]
    )
    assert store.load(WEIGHTS, [A], fingerprints={A: nasty}) == rows
    assert store.verdicts(WEIGHTS, A)[1].detail == {"s": nasty}
    written = store.write_partitions(SCORES, changed(scores("a"), 0, ticker=nasty), {A: "one"})
    assert not written[A].is_stored


# Gates


def test_what_is_not_stored_is_not_loaded(store: Store) -> None:
    with pytest.raises(RefusedError, match=r"partition 2024-05\|a. Got: nothing is stored"):
        store.load(SCORES, [A])
    assert list(store.refusals(SCORES, [A, B])) == [A, B]


def test_a_load_demands_what_it_was_computed_from(store: Store) -> None:
    store.write_partitions(SCORES, scores("a", "b"), {A: "one", B: "one"})
    assert store.refusals(SCORES, [A, B], {A: "one", B: "two"}) == {
        B: "what is stored was computed from one, not from two"
    }
    with pytest.raises(RefusedError, match="computed from one, not from two"):
        store.load(SCORES, [A, B], fingerprints={A: "one", B: "two"})


def test_a_load_demands_every_blocking_verdict(store: Store) -> None:
    store.write_partitions(WEIGHTS, weights("a"), {A: "one"})
    assert store.refusals(WEIGHTS, [A]) == {A: "its blocking check constraints has no verdict"}
    failed = Verdict(A, "constraints", False, {"violations": 3})
    store.write_partitions(WEIGHTS, weights("a"), {A: "one"}, [failed])
    (reason,) = store.refusals(WEIGHTS, [A]).values()
    assert reason == 'its blocking check constraints failed: {"violations": 3}'
    with pytest.raises(RefusedError, match="constraints failed"):
        store.load(WEIGHTS, [A])
    store.write_partitions(WEIGHTS, weights("a"), {A: "one"}, [Verdict(A, "constraints", True)])
    assert store.load(WEIGHTS, [A]) == weights("a")


def test_verdicts_are_of_one_content(store: Store) -> None:
    store.write_partitions(WEIGHTS, weights("a"), {A: "one"}, [Verdict(A, "constraints", True)])
    store.write_partitions(WEIGHTS, weights("a", weight=0.5), {A: "one"})
    assert store.refusals(WEIGHTS, [A]) == {A: "its blocking check constraints has no verdict"}
    assert [v.check for v in store.verdicts(WEIGHTS, A)] == ["schema"]


def test_a_refused_attempt_is_told_where_its_result_is_missed(store: Store) -> None:
    store.write_partitions(SCORES, scores("a", value=math.inf), {A: "one"})
    (reason,) = store.refusals(SCORES, [A]).values()
    assert "nothing is stored" in reason
    assert "the last attempt broke the schema" in reason
    assert "< inf" in reason


def test_the_contents_of_a_cell_are_told_by_table(store: Store) -> None:
    written = store.write_partitions(SCORES, scores("a"), {A: "one"})
    contents = store.contents([A, B], ["weights", "scores"])
    assert contents == {A: {"scores": written[A].content_hash}, B: {}}


# The file


def test_until_the_first_write_everything_reads_as_empty(store: Store) -> None:
    assert store.versions() == []
    assert store.experiments().num_rows == 0
    assert store.prune() == []
    assert list(store.path.parent.iterdir()) == []


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "x.duckdb")
    with pytest.raises(FactorLabError, match="cannot be locked"):
        store.write_partitions(SCORES, scores("a"), {A: "one"})
    fresh = Store(tmp_path / "new" / "folder" / "x.duckdb")
    fresh.write_partitions(SCORES, scores("a"), {A: "one"})
    assert fresh.load(SCORES, [A]) == scores("a")


def test_reading_inside_a_block_sees_what_it_did(store: Store) -> None:
    with store.write() as con:
        con.begin()
        con.execute("INSERT INTO meta VALUES (0)")
        with store.read() as inner:
            assert inner.execute("SELECT count(*) FROM meta").fetchall() == [(2,)]
        con.commit()
    with store.read():
        assert store.versions() == []


@pytest.mark.parametrize("outer", ["read", "write"])
def test_writing_inside_a_block_is_told_at_once(store: Store, outer: str) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    with getattr(store, outer)(), pytest.raises(FactorLabError, match="would wait for itself"):
        Store(store.path).write_partitions(SCORES, scores("a"), {A: "one"})
    store.write_partitions(SCORES, scores("a"), {A: "one"})


def test_what_a_block_did_not_commit_is_undone(store: Store) -> None:
    with store.write() as con:
        con.begin()
        con.execute("INSERT INTO meta VALUES (0)")
    with store.read() as con:
        assert con.execute("SELECT * FROM meta").fetchall() == [(FORMAT,)]


def test_a_reader_cannot_write(store: Store) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    with store.read() as con, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        con.execute("DELETE FROM scores")


def test_threads_read_together_and_write_in_turn(store: Store) -> None:
    store = Store(store.path, lock_timeout_s=30)
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    errors: list[BaseException] = []

    def work(name: str) -> None:
        key = cell_key(name)
        try:
            for _ in range(3):
                assert store.load(SCORES, [A]) == scores("a")
                store.write_partitions(SCORES, scores(name), {key: name})
                assert store.load(SCORES, [key]) == scores(name)
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.partitions(SCORES)) == 7


def test_a_result_that_was_kept_open_stops_a_writer_with_an_error(store: Store) -> None:
    store.write_partitions(SCORES, scores("a", n_days=9_000), {A: "one"})
    with store.read() as con:
        reader = con.sql("SELECT * FROM scores").to_arrow_reader(10)
    with pytest.raises(StoreBusyError, match="a result that this process kept open"):
        store.write_partitions(SCORES, scores("a"), {A: "two"})
    del reader
    store.write_partitions(SCORES, scores("a"), {A: "two"})


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (99, rf"format is newer.*99.*format {FORMAT}.*update FactorLab"),
        (1, rf"format is older.*format 1.*format {FORMAT}.*ingest into a new database"),
    ],
)
def test_another_format_is_told(store: Store, found: int, told: str) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    with store.write() as con:
        con.execute("UPDATE meta SET format = ?", [found])
    for use in (store.versions, lambda: store.write_partitions(SCORES, scores("a"), {A: "two"})):
        with pytest.raises(FactorLabError, match=told):
            use()


@pytest.mark.parametrize(
    "tables", ["", "CREATE TABLE meta (x INT)", "CREATE TABLE meta (format INT)"]
)
def test_another_programs_database_is_left_alone(store: Store, tables: str) -> None:
    with duckdb.connect(store.path) as con:
        con.execute(tables)
    for use in (store.versions, lambda: store.write_partitions(SCORES, scores("a"), {A: "two"})):
        with pytest.raises(FactorLabError, match="not FactorLab's"):
            use()


def test_a_quote_in_the_path_is_a_letter(tmp_path: Path) -> None:
    store = Store(tmp_path / 'it\'s; "new"' / "x.duckdb")
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    assert store.compact() == 0
    assert store.load(SCORES, [A]) == scores("a")


def test_an_engine_that_failed_for_good_is_replaced(store: Store) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    before = engine._engine(os.getpid())
    with pytest.raises(FactorLabError, match=r"could not go on.*FATAL"), store.read():
        raise duckdb.FatalException("FATAL Error: invalidated")
    assert store.load(SCORES, [A]) == scores("a")
    assert engine._engine(os.getpid()) is not before


def test_a_querys_own_fault_is_its_authors_to_see(store: Store) -> None:
    with pytest.raises(duckdb.CatalogException, match="nope"), store.read() as con:
        con.execute("SELECT * FROM nope")


def test_a_program_without_the_lock_is_named(store: Store) -> None:
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    code = (
        f"import duckdb; c = duckdb.connect({str(store.path)!r}); print('on', flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreBusyError, match=f"does not hold.*PID {other.pid}.*close it"):
            store.load(SCORES, [A])
        other.communicate()
    assert store.load(SCORES, [A]) == scores("a")
