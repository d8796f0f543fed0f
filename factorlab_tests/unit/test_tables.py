"""Between arrays and long tables: columns, nulls, and rows that do not belong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import schemas
from factorlab_assets.core import tables
from factorlab_assets.core.book import DRIFT, SELECTED, Book
from factorlab_assets.core.membership import Members
from factorlab_assets.core.research import Signals
from factorlab_assets.errors import FactorLabError
from factorlab_tests.small_panels import NAN, panel_of

PANEL = panel_of({"A": [1.0, 2.0, 3.0], "B": [1.0, 2.0, 3.0]})
SIGNALS = Signals(
    ("slow", "fast"),
    np.array([[[NAN, NAN], [1.0, 2.0], [3.0, 4.0]], [[NAN, NAN], [NAN, NAN], [5.0, 6.0]]]),
    np.array([[[NAN, NAN], [0.1, NAN], [0.3, 0.4]], [[NAN, NAN], [NAN, NAN], [0.5, 0.6]]]),
)


def test_signals_have_a_row_where_the_raw_value_is_known_and_a_null_where_the_signal_is_not():
    rows = tables.signals_table([("one", PANEL, SIGNALS)]).to_pylist()
    said = [(r["date"].month, r["ticker"], r["factor"], r["raw"], r["signal"]) for r in rows]
    assert said == [
        (2, "A", "slow", 1.0, 0.1),
        (2, "B", "slow", 2.0, None),
        (3, "A", "slow", 3.0, 0.3),
        (3, "A", "fast", 5.0, 0.5),
        (3, "B", "slow", 4.0, 0.4),
        (3, "B", "fast", 6.0, 0.6),
    ]


def test_members_have_every_ticker_on_every_date_and_come_back_the_same():
    reason = np.array([[0, 1], [6, 0], [3, 4]], dtype=np.int8)
    found = Members(reason == 0, reason, is_filtered=True)
    table = tables.members_table([("one", PANEL, found)])
    rows = [(r["date"].month, r["ticker"], r["is_member"], r["reason"]) for r in table.to_pylist()]
    assert rows == [
        (1, "A", True, "member"),
        (1, "B", False, "no month-end price"),
        (2, "A", False, "not among the largest"),
        (2, "B", True, "member"),
        (3, "A", False, "too short a history"),
        (3, "B", False, "price too low"),
    ]
    again = tables.members_from_table(table, PANEL, is_filtered=True)
    assert again.reason.tolist() == reason.tolist()
    assert again.allowed is not None
    assert again.allowed.tolist() == (reason == 0).tolist()
    assert tables.members_from_table(table, PANEL, is_filtered=False).allowed is None


def test_weights_have_every_ticker_on_every_date_from_the_start_with_the_reason():
    book = Book(
        np.array([[0.0, 0.0], [1.0, 0.0], [0.9, 0.0]]),
        np.array([[0, 0], [SELECTED, 3], [DRIFT, DRIFT]], dtype=np.int8),
        1,
    )
    rows = tables.weights_table([("one", PANEL, book)]).to_pylist()
    assert [(r["ticker"], r["weight"], r["reason"]) for r in rows] == [
        ("A", 1.0, "selected"),
        ("B", 0.0, "not selected"),
        ("A", 0.9, "drift"),
        ("B", 0.0, "drift"),
    ]


@pytest.mark.parametrize(
    ("table", "schema"),
    [
        (tables.members_table([]), schemas.MEMBERSHIPS),
        (tables.signals_table([("s", PANEL, SIGNALS)]), schemas.FACTOR_SIGNALS),
        (tables.scores_table([("s", PANEL, PANEL.price)]), schemas.SCORES),
        (tables.weights_table([]), schemas.WEIGHTS),
        (tables.backtest_table([]), schemas.BACKTEST_RETURNS),
        (tables.daily_table([]), schemas.DAILY_RETURNS),
        (tables.metrics_table([]), schemas.METRICS),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_columns_are_those_of_the_schema_less_the_month(table: pa.Table, schema: schemas.Table):
    assert table.column_names == [name for name in schema.columns if name != "month"]
    kinds = {"VARCHAR": "string", "DOUBLE": "double", "BIGINT": "int64", "DATE": "date32[day]"}
    kinds["BOOLEAN"] = "bool"
    for name in table.column_names:
        assert str(table.schema.field(name).type) == kinds[schema.columns[name]]


def test_a_book_that_never_starts_has_no_rows_and_comes_back_as_such():
    book = Book(np.zeros((3, 2)), np.zeros((3, 2), dtype=np.int8), 3)
    table = tables.weights_table([("one", PANEL, book)])
    assert table.num_rows == 0
    assert tables.weights_from_table(table, PANEL).start == 3


def test_strategies_come_apart_again():
    table = tables.scores_table([(name, PANEL, PANEL.price) for name in ("b", "a", "c")])
    parts = tables.by_strategy(table)
    assert {name: part.num_rows for name, part in parts.items()} == {"b": 6, "a": 6, "c": 6}
    assert set(parts["a"]["strategy"].to_pylist()) == {"a"}
    assert tables.by_strategy(table.slice(0, 0)) == {}


def test_mixed_rows_are_refused():
    one = tables.scores_table([("a", PANEL, PANEL.price)])
    other = tables.scores_table([("b", PANEL, PANEL.price)])
    with pytest.raises(FactorLabError, match="3 runs of 2 strategies"):
        tables.by_strategy(pa.concat_tables([one, other, one]))


@pytest.mark.parametrize(
    ("panel", "column"),
    [
        (panel_of({"A": [1.0, 2.0, 3.0], "C": [1.0, 2.0, 3.0]}), "ticker"),
        (panel_of({"A": [1.0, 2.0], "B": [1.0, 2.0]}), "date"),
        (panel_of({"A": [1.0] * 3, "B": [1.0] * 3}, first="2019-12"), "date"),
    ],
)
def test_rows_of_another_panel_are_refused(panel, column: str):
    table = tables.scores_table([("a", PANEL, PANEL.price)])
    with pytest.raises(FactorLabError, match=rf"do not fit the panel.*column {column}"):
        tables.scores_from_table(table, panel)


def test_a_factor_that_the_file_no_longer_has_is_refused():
    table = tables.signals_table([("a", PANEL, SIGNALS)])
    with pytest.raises(FactorLabError, match=r"column factor\. Got: 'slow'"):
        tables.signals_from_table(table, PANEL, ["fast"])


def test_records_have_the_tables_columns_and_null_for_what_is_not_known():
    rows = [
        {"strategy": "a", "returns": "raw", "statistic": "dsr", "value": 0.5, "note": "said"},
        {"note": "", "value": NAN, "statistic": "psr", "returns": "raw", "strategy": "b", "x": 1},
    ]
    table = tables.records_table(schemas.SWEEP_EVIDENCE, rows)
    wanted = [name for name in schemas.SWEEP_EVIDENCE.columns if name != "month"]
    assert table.column_names == wanted
    assert table["value"].to_pylist() == [0.5, None]
    assert table["low"].to_pylist() == [None, None]
    assert table["note"].to_pylist() == ["said", ""]
    assert table["strategy"].to_pylist() == ["a", "b"]


def test_records_keep_whole_numbers_and_dates():
    day = PANEL.dates[0]
    rows = [{"strategy": "a", "n_months": 36, "first_date": day.item(), "n_trials": None}]
    table = tables.records_table(schemas.LEADERBOARD, rows)
    assert table.schema.field("n_months").type == pa.int64()
    assert table["n_months"].to_pylist() == [36]
    assert table["n_trials"].to_pylist() == [None]
    assert table["first_date"].to_pylist() == [day.item()]
    assert table["cagr"].null_count == 1


def test_without_records_there_are_columns_still():
    table = tables.records_table(schemas.WALK_FORWARD, iter([]))
    assert table.num_rows == 0
    assert table.schema.field("date").type == pa.date32()
    assert table.schema.field("nav").type == pa.float64()
