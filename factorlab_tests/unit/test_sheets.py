"""The sheets that pages are tested with are what they say, and what a store could hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import schemas
from factorlab_tests import sheets
from factorlab_tests.sheet_runs import MONTH, as_stored, records

CELLS = {name for name, table in schemas.TABLES.items() if table.partition == "cell"}
NOT_OF_AN_EXPERIMENT = {"sweep_metrics", "sweep_evidence", "walk_forward", "tear_sheet"}


@pytest.mark.parametrize("name", sheets.ALL)
def test_every_table_is_one_that_the_store_would_take(name: str):
    sheet = sheets.ALL[name]()
    for table, rows in sheet.tables.items():
        schema = schemas.TABLES[table]
        expected = [column for column in schema.columns if column not in ("month", "strategy")]
        assert rows.column_names == expected, table
        assert as_stored(table, rows).equals(rows), f"{table} is not in the order of its key"
        assert rows.num_rows or schema.may_be_empty, f"{table} is empty"
        assert records(table, rows.to_pylist()).num_rows == rows.num_rows


@pytest.mark.parametrize("name", sheets.ALL)
def test_every_table_is_there_or_missing_for_a_reason(name: str):
    sheet = sheets.ALL[name]()
    assert not set(sheet.tables) & set(sheet.missing)
    assert set(sheet.tables) | set(sheet.missing) == CELLS - NOT_OF_AN_EXPERIMENT
    assert all(sheet.missing.values())
    assert sheet.identity.month == MONTH


def test_each_is_made_once():
    assert sheets.full() is sheets.full()
    assert sheets.full("xsmom_12_1").identity.strategy == "xsmom_12_1"


def test_the_full_one_lacks_nothing():
    sheet = sheets.full()
    assert sheet.missing == {}
    assert sheet.tables["backtest_returns"].num_rows > 200
    (total,) = (row for row in sheet.rows("verdict") if row["component"] == "total")
    assert total["grade"] in set("ABCDF")
    capacity = [row for row in sheet.rows("verdict") if "volumes were not read" in row["note"]]
    assert capacity == []


@pytest.mark.parametrize("name", sorted(set(sheets.ALL) - {"empty"}))
def test_contributions_sum_to_the_growth_of_the_sheet(name: str):
    sheet = sheets.ALL[name]()
    added = sum(float(str(row["contribution"])) for row in sheet.rows("contributions"))
    last = sheet.tables["backtest_returns"]["nav"].to_numpy()[-1]
    assert added == pytest.approx(last - 1.0, abs=1e-12)
    years = [1.0 + float(str(row["net_return"])) for row in sheet.rows("calendar_returns")]
    assert np.prod(years) == pytest.approx(last, rel=1e-12, abs=1e-12)


def test_the_odd_ones_are_odd():
    assert sheets.short().tables["backtest_returns"].num_rows == 3
    held = sheets.nothing_held().tables["backtest_returns"]
    assert set(held["n_holdings"].to_pylist()) == {0}
    assert set(held["net_return"].to_pylist()) == {0.0}
    ruined = sheets.ruined().rows("backtest_returns")[-1]
    assert (ruined["net_return"], ruined["nav"]) == (-1.0, 0.0)
    tickers = sheets.many_tickers().tables["weights"]["ticker"].unique()
    assert (len(tickers), sheets.one_ticker().asset_classes) == (500, {"SPY": "Equity"})
    segments = [row["segment"] for row in sheets.divided().rows("metrics")]
    assert segments == ["full", "in_sample", "out_of_sample"]
    (unknown,) = sheets.all_nan().rows("metrics")
    assert unknown["sharpe"] is unknown["cagr"] is None


def test_hostile_text_is_wherever_text_is_free():
    sheet = sheets.hostile()
    assert sheets.ODD in sheet.identity.description
    assert "script" in sheet.identity.config
    assert sheets.SCRIPT in sheet.asset_classes.values()
    for table, column in (
        ("weights", "outcome"),
        ("metrics", "caveats"),
        ("factor_signals", "factor"),
        ("regime_metrics", "label"),
        ("verdict", "note"),
        ("robustness", "note"),
        ("exposures", "factor"),
    ):
        said = sheet.tables[table][column].to_pylist()
        assert all(sheets.ODD in text for text in said), (table, column)
    assert sheets.SCRIPT in sheet.tables["contributions"]["asset_class"].to_pylist()


def test_without_leaves_out_one_table_and_says_why():
    sheet = sheets.without(sheets.short(), "verdict", "not made yet")
    assert "verdict" not in sheet.tables
    assert sheet.missing["verdict"] == "not made yet"
    assert sheet.rows("verdict") == []
    assert isinstance(sheets.short().tables["verdict"], pa.Table)
