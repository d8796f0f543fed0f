"""The format of a database: one of the format before is converted where it is first opened."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from factorlab_assets import schemas, store_format
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import RAW_PRICES, SCORES
from factorlab_assets.store import Store
from factorlab_tests.store_samples import bars, cell_key, experiment, ingest, returns, scores

OLD_EXPERIMENTS = """CREATE TABLE experiments (seq BIGINT, experiment_id VARCHAR, attempt BIGINT,
    status VARCHAR, recorded_at TIMESTAMP, month VARCHAR, strategy VARCHAR, data_version_id VARCHAR,
    config_hash VARCHAR, code_version VARCHAR, config VARCHAR, prices VARCHAR, git_commit VARCHAR,
    run_id VARCHAR, holder VARCHAR, detail VARCHAR)"""
NEW_TABLES = (
    "trial_returns",
    "inference",
    "regime_metrics",
    "feasibility",
    "robustness",
    "sweep_metrics",
    "sweep_evidence",
    "walk_forward",
    "leaderboard",
    "return_correlations",
)
A = cell_key("a")


def as_format_3(store: Store) -> list[tuple[object, ...]]:
    """Make the store's database one of format 3, with its rows; returns those of its ledger."""
    ingest(store, bars("A"))
    store.write_partitions(SCORES, scores("a"), {A: "one"})
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    store.end_attempts([("e", "done", '{"a":"b"}')], "run")
    with duckdb.connect(store.path) as con:
        con.execute("ALTER TABLE experiments RENAME TO newer")
        con.execute(OLD_EXPERIMENTS)
        con.execute("INSERT INTO experiments BY NAME SELECT * EXCLUDE (sweep) FROM newer")
        for table in ("newer", *NEW_TABLES):
            con.execute(f"DROP TABLE {table}")
        con.execute("UPDATE meta SET format = 3")
        return con.execute("SELECT * FROM experiments ORDER BY seq").fetchall()


def shape(path: Path) -> set[tuple[object, ...]]:
    """Every column of every table, with type and default."""
    with duckdb.connect(path, read_only=True) as con:
        return set(
            con.execute(
                "SELECT table_name, column_name, data_type, column_default FROM duckdb_columns() "
                "WHERE NOT internal"
            ).fetchall()
        )


@pytest.mark.parametrize("by", ["reading", "writing", "compacting"])
def test_a_database_of_format_3_keeps_every_row(tmp_path: Path, by: str) -> None:
    store = Store(tmp_path / "x.duckdb")
    ledger = as_format_3(store)
    assert len(ledger) == 3
    if by == "writing":
        store.write_partitions(SCORES, scores("b"), {cell_key("b"): "two"})
    elif by == "compacting":
        store.compact()
    rows = store.experiments()
    assert rows["sweep"].to_pylist() == ["", "", ""]
    assert [tuple(row.values()) for row in rows.drop_columns("sweep").to_pylist()] == ledger
    (version,) = store.versions()
    assert store.load(RAW_PRICES, [version.data_version_id]).num_rows == 3
    assert store.load(SCORES, [A]) == scores("a")
    assert store.trial_returns(["e"]).num_rows == 0
    fresh = Store(tmp_path / "fresh.duckdb")
    fresh.write_partitions(SCORES, scores("a"), {A: "one"})
    assert shape(store.path) == shape(fresh.path)


def test_a_converted_database_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    as_format_3(store)
    store.end_attempts([("f", "done", "{}")], "run", returns("f"))
    store.begin_attempts([experiment("g", sweep="grid")], "run")
    assert store.experiments()["sweep"].to_pylist() == ["", "", "", "", "grid"]
    assert store.trial_returns(["f"]) == returns("f")


def test_older_formats_are_refused_as_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    as_format_3(store)
    with duckdb.connect(store.path) as con:
        con.execute("UPDATE meta SET format = 2")
    before = shape(store.path)
    for use in (store.versions, store.compact):
        with pytest.raises(FactorLabError, match=r"format is older.*format 2.*format 4"):
            use()
    assert shape(store.path) == before


def test_a_new_database_has_this_format_and_every_table(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    ingest(store, bars("A"))
    with store.read() as con:
        assert con.execute("SELECT format FROM meta").fetchall() == [(store_format.FORMAT,)]
    assert {table for table, *_ in shape(store.path)} == {"meta", *schemas.TABLES}
