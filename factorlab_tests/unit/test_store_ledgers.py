"""The store's ledgers: data versions, and what pruning and compacting spare.

Invariants: the same content is the same data version however it arrives; ledgers only grow; what an
experiment refers to stays.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factorlab_assets.errors import FactorLabError, RefusedError
from factorlab_assets.schemas import CHARACTERISTICS, MONTHLY_RETURNS, RAW_PRICES, SCORES
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.store import Store, Verdict
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests.store_samples import (
    MONTH,
    bars,
    cell_key,
    changed,
    experiment,
    ingest,
    paid,
    returns,
    scores,
    size,
)

A = cell_key("a")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", lock_timeout_s=0.5)


# Data versions


def test_a_version_is_found_again_with_all_that_belongs_to_it(store: Store) -> None:
    version = ingest(store, bars("A", "B"))
    assert store.versions() == [version]
    assert store.current_version(MONTH) == store.version(version.data_version_id) == version
    assert store.current_version("2024-04") is None
    assert (version.n_tickers, version.n_rows) == (2, 6)
    assert (version.first_date, version.last_date) == (dt.date(2024, 5, 29), dt.date(2024, 5, 31))
    assert version.observed_at == dt.datetime(2024, 6, 1)
    loaded = store.load(RAW_PRICES, [version.data_version_id])
    assert loaded.select(PRICE_SCHEMA.names) == bars("A", "B")
    assert loaded.column("data_version_id").unique().to_pylist() == [version.data_version_id]


def test_the_id_of_known_bars_is_frozen(store: Store) -> None:
    """Versions are compared over years: a DuckDB whose hash() differs must be noticed."""
    assert ingest(store, bars("A", "B")).data_version_id == "2024-05-3e44cd0f8f6c"


def test_the_same_content_is_the_same_version_however_it_arrives(
    store: Store, tmp_path: Path
) -> None:
    first = ingest(store, bars("A", "B"))
    rows = bars("A", "B")
    mixed = rows.take([3, 1, 5, 0, 4, 2])
    encoded = mixed.set_column(0, "ticker", mixed.column("ticker").dictionary_encode())
    pq.write_table(mixed, tmp_path / "bars.parquet")
    before = store.path.stat().st_size
    for same in (rows, mixed, encoded, tmp_path / "bars.parquet"):
        assert ingest(store, same) == first
    assert store.versions() == [first]
    assert store.load(RAW_PRICES, [first.data_version_id]).num_rows == 6
    assert store.path.stat().st_size <= before + 2**20


def test_changed_content_is_a_new_version_beside_the_old(store: Store) -> None:
    first = ingest(store, bars("A"))
    second = ingest(store, changed(bars("A"), 0, volume=101.0))
    assert first.data_version_id != second.data_version_id
    assert store.current_version(MONTH) == second
    assert store.load(RAW_PRICES, [first.data_version_id]).column("volume")[0].as_py() == 100.0
    again = ingest(store, bars("A"))
    assert (again.data_version_id, again.seq) == (first.data_version_id, 3)
    assert store.current_version(MONTH) == again
    assert len(store.load(RAW_PRICES, [first.data_version_id])) == 3


def test_distributions_belong_to_the_content(store: Store) -> None:
    given = [None, paid(0.5), paid(0.6), paid(0.5, split=2.0)]
    ids = [ingest(store, bars("A"), distributions=rows).data_version_id for rows in given]
    assert len(set(ids)) == len(ids)
    with store.read() as con:
        columns = "data_version_id, ticker, ex_date, amount, split"
        stored = con.sql(f"SELECT {columns} FROM distributions ORDER BY split, amount").fetchall()
    figures = [(ids[1], 0.5, 1.0), (ids[2], 0.6, 1.0), (ids[3], 0.5, 2.0)]
    assert stored == [(id_, "A", dt.date(2024, 5, 30), *row) for id_, *row in figures]


def test_characteristics_belong_to_the_content(store: Store) -> None:
    given = [size(), size(2.0), size(known=13), size(panel="other"), size(), None]
    ids = [ingest(store, bars("A"), characteristics=rows).data_version_id for rows in given]
    assert ids[0] == ids[4]
    assert len(set(ids)) == 5
    (row,) = store.load(CHARACTERISTICS, [ids[2]]).to_pylist()
    assert (row["panel"], row["date_avail"], row["value"]) == ("size", dt.date(2024, 5, 13), 1.0)
    assert store.load(CHARACTERISTICS, [ids[5]]).num_rows == 0


def test_without_characteristics_a_version_is_named_as_before_there_were_any(store: Store) -> None:
    for none in (None, size().slice(0, 0)):
        named = ingest(store, bars("A"), characteristics=none).data_version_id
        assert named == "2024-05-ca630aebf02d"


def test_a_pruned_version_takes_its_characteristics_with_it(store: Store) -> None:
    first = ingest(store, bars("A"), characteristics=size()).data_version_id
    ingest(store, bars("A"), characteristics=size(2.0))
    assert store.prune(dry_run=False) == [first]
    with store.read() as con:
        values = con.sql("SELECT value FROM characteristics").fetchall()
    assert values == [(2.0,)]


def test_a_characteristic_of_after_the_months_end_is_refused(store: Store) -> None:
    late = size().set_column(3, "date_avail", pa.array([dt.date(2024, 6, 3)]))
    with pytest.raises(RefusedError, match=r"after the month's end.*characteristics, .*date_avail"):
        ingest(store, bars("A"), characteristics=late)


def test_the_same_bars_of_another_month_are_another_version(store: Store) -> None:
    may, june = ingest(store, bars("A")), ingest(store, bars("A"), month="2024-06")
    assert may.content_hash == june.content_hash
    assert june.data_version_id == "2024-06" + may.data_version_id[7:]


@pytest.mark.parametrize(
    ("last", "expected"),
    [(None, False), (dt.date(2024, 5, 31), False), (dt.date(2024, 6, 3), True)],
)
def test_a_month_cut_out_of_a_later_file_is_backfilled(
    store: Store, last: dt.date | None, expected: bool
) -> None:
    assert ingest(store, bars("A"), last_available=last).is_backfilled == expected


def test_a_months_source_changes_only_when_told_to(store: Store) -> None:
    first = ingest(store, bars("A"))
    with pytest.raises(RefusedError, match=r"another source.*synthetic.*stooq-files"):
        ingest(store, bars("A", close=20.0), source="synthetic")
    assert store.versions() == [first]
    assert ingest(store, bars("A"), source="synthetic", month="2024-06").source == "synthetic"
    told = ingest(store, bars("A", close=20.0), source="synthetic", replace_source=True)
    assert store.current_version(MONTH) == told


def test_a_second_source_stands_beside_the_months_prices(store: Store) -> None:
    assert store.second_version(MONTH) is None
    primary = ingest(store, bars("A"))
    second = ingest(store, bars("A", close=20.0), role="second", source="alphavantage")
    assert (primary.role, second.role) == ("primary", "second")
    assert (store.current_version(MONTH), store.second_version(MONTH)) == (primary, second)
    newer = ingest(store, bars("A", close=11.0))
    assert (store.current_version(MONTH), store.second_version(MONTH)) == (newer, second)
    assert store.second_version("2024-04") is None
    assert store.prune() == [primary.data_version_id]


def test_each_role_keeps_to_its_own_source(store: Store) -> None:
    ingest(store, bars("A"), source="stooq-files")
    ingest(store, bars("A", close=20.0), role="second", source="alphavantage")
    ingest(store, bars("A", close=21.0), role="second", source="alphavantage")
    with pytest.raises(RefusedError, match=r"second data came from another.*Expected: alphav"):
        ingest(store, bars("A", close=22.0), role="second", source="stooq-files")
    with pytest.raises(RefusedError, match=r"primary data came from another.*Expected: stooq"):
        ingest(store, bars("A", close=22.0), source="alphavantage")
    told = ingest(
        store, bars("A", close=9.0), role="second", source="synthetic", replace_source=True
    )
    assert store.second_version(MONTH) == told


def test_prices_are_no_second_source_to_themselves(store: Store) -> None:
    ingest(store, bars("A"))
    with pytest.raises(RefusedError, match="held against themselves"):
        ingest(store, bars("A"), role="second")
    second = ingest(store, bars("A", close=20.0), role="second")
    assert store.second_version(MONTH) == second
    ingest(store, bars("A", close=20.0))
    assert store.second_version(MONTH) is None


def test_no_version_has_a_third_role(store: Store) -> None:
    with pytest.raises(RefusedError, match="role in primary, second"):
        ingest(store, bars("A"), role="third")
    assert store.versions() == []


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        (changed(bars("A"), 0, close=-1.0), r"close > 0.* is broken.*raw_prices"),
        (changed(bars("A"), 0, high=10.5, close=10.8), r"close <= high"),
        (pa.concat_tables([bars("A"), bars("A")]), r"is unique"),
        (
            changed(bars("A"), 0, date=dt.date(2024, 6, 3)),
            r"after the month's end.*A at 2024-06-03",
        ),
        (bars("A")[:0], "no bars"),
        (bars("A").drop_columns("open"), "no column open"),
        (changed(bars("A"), 0, ticker="a'; --"), "ticker like"),
    ],
)
def test_bars_that_break_a_rule_are_not_stored(store: Store, prices: pa.Table, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        ingest(store, prices)
    assert not store.path.exists()


def test_a_distribution_after_the_months_end_is_refused(store: Store) -> None:
    with pytest.raises(RefusedError, match=r"after the month's end.*distributions.*ex_date"):
        ingest(store, bars("A"), distributions=paid(month=6))


def test_bars_without_their_verdicts_are_not_loaded(store: Store) -> None:
    id_ = ingest(store, bars("A"), verdicts=[Verdict("", "coverage", True)]).data_version_id
    assert store.refusals(RAW_PRICES, [id_]) == {id_: "its blocking check freshness has no verdict"}
    ingest(store, bars("A"), verdicts=[Verdict("", "freshness", True)])
    assert store.refusals(RAW_PRICES, [id_]) == {}
    assert [v.check for v in store.verdicts(RAW_PRICES, id_)] == ["schema", "coverage", "freshness"]


def test_a_month_partition_replaces_the_month(store: Store) -> None:
    row = dict.fromkeys(MONTHLY_RETURNS.columns) | {
        "month": MONTH,
        "ticker": "A",
        "close": 1.0,
        "growth": 1.0,
    }
    row |= {
        "data_version_id": "2024-05-0123456789ab",
        "sessions_stale": 0,
        "close": 1.0,
        "growth": 1.0,
    }
    row |= {"date": dt.date(2024, 5, 31), "last_trading_day": dt.date(2024, 5, 31)}
    for mark in (1.0, 2.0):
        rows = pa.Table.from_pylist([row | {"close": mark}], schema=arrow_schema(MONTHLY_RETURNS))
        store.write_partitions(MONTHLY_RETURNS, rows, {MONTH: f"v{mark}"})
    assert store.load(MONTHLY_RETURNS, [MONTH], fingerprints={MONTH: "v2.0"}) == rows


def test_an_unknown_version_is_told(store: Store) -> None:
    with pytest.raises(FactorLabError, match=r"no such data version.*2024-05-0123456789ab"):
        store.version("2024-05-0123456789ab")


# Prune, compact


def test_prune_spares_current_versions_and_those_of_experiments(store: Store) -> None:
    old, used, current = (ingest(store, bars("A", close=c)).data_version_id for c in (10, 11, 12))
    june = ingest(store, bars("A", close=10), month="2024-06").data_version_id
    store.begin_attempts([experiment("e", version=used)], "run")
    store.end_attempts([("e", "done", "{}")], "run", returns("e"))
    before = store.versions(), store.experiments(), store.trial_returns(["e"])
    assert store.prune() == [old]
    assert store.refusals(RAW_PRICES, [old]) == {}
    assert store.prune(dry_run=False) == [old]
    assert list(store.refusals(RAW_PRICES, [old, used, current, june])) == [old]
    with store.read() as con:
        for table in ("raw_prices", "coverage"):
            held = con.sql(f"SELECT DISTINCT data_version_id FROM {table} ORDER BY 1").fetchall()
            assert [id_ for (id_,) in held] == sorted([used, current, june])
    assert (store.versions(), store.experiments(), store.trial_returns(["e"])) == before
    assert before[2].num_rows == 2
    assert store.prune(dry_run=False) == []
    assert ingest(store, bars("A", close=10)).data_version_id == old
    assert store.load(RAW_PRICES, [old]).num_rows == 3


def test_compacting_frees_space_and_keeps_everything(store: Store) -> None:
    many = scores("a", n_days=20_000)
    for value in (1.0, 2.0, 3.0):
        store.write_partitions(SCORES, changed(many, 0, score=value), {A: "one"})
    version = ingest(store, bars("A"))
    store.begin_attempts([experiment("e")], "run")
    store.end_attempts([("e", "done", "{}")], "run", returns("e"))
    earned = store.experiments(), store.trial_returns(["e"])
    before, size = store.load(SCORES, [A]), store.path.stat().st_size
    assert store.compact() == size - store.path.stat().st_size > 0
    assert store.load(SCORES, [A]) == before
    assert store.versions() == [version]
    assert (store.experiments(), store.trial_returns(["e"])) == earned
    names = {path.name for path in store.path.parent.iterdir()}
    assert names == {"x.duckdb", "x.duckdb.lock", "x.duckdb.queue"}
    store.write_partitions(SCORES, scores("a"), {A: "two"})
