"""From when on a ticker has total returns, and what that does to its adjusted prices."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from factorlab_assets import identity, prices, schemas
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.store import Store
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests import store_samples
from factorlab_tests.small_bars import day, put_bars
from factorlab_tests.small_panels import resolved_of, strategy_of

KEYS = ("month", "data_version_id")


def stretches(*rows: tuple[str, str, str, bool]) -> pa.Table:
    """Rows of `price_basis`: ticker, first and last day, whether total returns are known."""
    columns: dict[str, list[Any]] = {name: [] for name in schemas.PRICE_BASIS.columns}
    for ticker, first, last, is_known in rows:
        said = {"ticker": ticker, "first_date": day(first), "last_date": day(last)}
        said |= {"basis": "mixed", "is_total_return_known": is_known, "evidence": "-"}
        for name, value in (said | {"known_at": day(last)}).items():
            columns[name].append(value)
    schema = arrow_schema(schemas.PRICE_BASIS, without=KEYS)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


@pytest.mark.parametrize(
    ("rows", "since"),
    [
        ([("1999-03-10", "2020-11-30", True)], None),
        ([("1999-03-10", "1999-10-29", False), ("1999-11-01", "2020-11-30", True)], "1999-11-01"),
        ([("2005-02-25", "2023-08-01", False), ("2023-08-02", "2024-05-31", True)], "no"),
        ([("2005-02-25", "2020-12-11", True), ("2020-12-14", "2024-05-31", False)], "no"),
        (
            [
                ("2005-02-25", "2005-03-31", True),
                ("2005-04-01", "2005-04-29", False),
                ("2005-05-02", "2024-05-31", True),
            ],
            "2005-05-02",
        ),
    ],
)
def test_total_returns_are_known_to_the_end_and_from_within_a_year(rows, since) -> None:
    table = stretches(*(("A", *row) for row in rows))
    found = prices.Chooser.of(table, is_synthetic=False).known
    assert found == {"A": since != "no"}
    expected = {} if since == "no" else {"A": since and day(since)}
    assert prices._known_since(table) == expected


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_before_that_day_there_is_no_growth(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [(ticker, f"2024-05-{d}", 10) for ticker in "AB" for d in (28, 29, 30)])

    class Inputs:
        bars = "bars"

    suspects, status = (
        arrow_schema(table, without=KEYS).empty_table()
        for table in (schemas.SUSPECT_PRICES, schemas.DISTRIBUTION_STATUS)
    )
    known = stretches(
        ("A", "2024-05-28", "2024-05-28", False),
        ("A", "2024-05-29", "2024-05-30", True),
        ("B", "2024-05-28", "2024-05-30", False),
    )
    with prices.adjusted(con, Inputs(), suspects, status, known) as relation:
        rows = con.sql(f"SELECT ticker, date, growth FROM {relation} ORDER BY ALL").fetchall()
    days = [dt.date(2024, 5, d) for d in (28, 29, 30)]
    assert rows == [
        *(("A", day_, growth) for day_, growth in zip(days, (None, 1.0, 1.0), strict=True)),
        *(("B", day_, 1.0) for day_ in days),
    ]


def test_an_experiment_is_named_by_configuration_prices_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "lab.duckdb")
    version = store_samples.ingest(store, store_samples.bars("A"))
    said = prices.Inputs(version, None, PriceRules())
    one, other = (resolved_of(strategy_of(cash={"yield_ann": r}), ["A"]) for r in (0.0, 0.5))
    row = said.experiment("name", one)
    assert (row.strategy, row.sweep, row.month) == ("name", "", "2024-05")
    assert (row.config, row.config_hash) == (one.config_json, one.config_hash)
    assert (row.data_version_id, row.prices) == (said.version.data_version_id, said.record)
    assert row.code_version == identity.code_version()
    assert row.experiment_id == identity.experiment_id(
        one.config_hash, said.fingerprint, identity.code_version()
    )
    combination = said.experiment("grid.k-1", one, "grid")
    assert (combination.strategy, combination.sweep) == ("grid.k-1", "grid")
    assert combination.experiment_id == row.experiment_id, "a name is no part of it"
    assert said.experiment("name", other).experiment_id != row.experiment_id
    beside = replace(said, second=said.version)
    assert beside.experiment("name", one).experiment_id != row.experiment_id
    assert json.loads(beside.experiment("name", one).prices)["second"] == row.data_version_id
    again = prices.Inputs.recorded(store, row.data_version_id, row.prices)
    assert again.experiment("name", one) == row
    monkeypatch.setattr(identity, "code_version", lambda: "another")
    later = replace(said).experiment("name", one)
    assert later.code_version == "another"
    assert later.experiment_id != row.experiment_id
