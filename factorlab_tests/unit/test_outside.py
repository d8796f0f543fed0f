"""Which value of a user's own panel counts at a date: by hand, and row by row in plain Python."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core import outside
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.errors import FactorLabError
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

Row = tuple[str, str, str, str, float]
DATES = month_ends("2024-01", "2024-06")
READS_SIZE = {"name": "characteristic", "params": {"panel": "size"}, "delay": 0}


def rows(*said: Row) -> pa.Table:
    """(panel, ticker, date, date_avail, value)."""
    names = ("panel", "ticker", "date", "date_avail", "value")
    columns = dict(zip(names, zip(*said, strict=True), strict=True))
    for name in ("date", "date_avail"):
        columns[name] = [dt.date.fromisoformat(day) for day in columns[name]]
    return pa.table({name: list(values) for name, values in columns.items()})


def column(*said: tuple[str, str, float]) -> list[float]:
    """What is known of ticker A at the month-ends of January to June 2024."""
    table = rows(*(("size", "A", *row) for row in said))
    return outside.as_known(table, DATES, np.array(["A"]))[:, 0].tolist()


def test_a_value_counts_from_the_close_of_its_date_avail() -> None:
    assert column(("2023-12-31", "2024-03-28", 5.0))[:2] == pytest.approx([NAN, NAN], nan_ok=True)
    assert column(("2023-12-31", "2024-03-28", 5.0))[2:] == [5.0] * 4  # 28 March is a month-end
    late = column(("2023-12-31", "2024-03-29", 5.0))
    assert np.isnan(late[:3]).all()
    assert late[3:] == [5.0] * 3


def test_the_latest_period_counts_and_of_it_the_latest_word() -> None:
    first, second = ("2023-12-31", "2024-01-15", 1.0), ("2024-03-31", "2024-04-15", 2.0)
    restated = ("2023-12-31", "2024-02-15", 1.5)
    too_late = ("2023-12-31", "2024-05-15", 9.0)
    assert column(second, too_late, restated, first) == [1.0, 1.5, 1.5, 2.0, 2.0, 2.0]
    at_once = ("2023-09-30", "2024-01-15", 7.0)
    assert column(at_once, first) == column(first, at_once) == [1.0] * 6


def test_tickers_are_kept_apart_and_strangers_left_aside() -> None:
    table = rows(
        ("size", "B", "2024-01-31", "2024-01-31", 1.0),
        ("size", "ZZ", "2024-01-31", "2024-01-31", 9.0),
        ("size", "A", "2024-02-29", "2024-03-01", 2.0),
    )
    found = outside.as_known(table, DATES[:3], np.array(["A", "B", "C"]))
    np.testing.assert_array_equal(found, [[NAN, 1, NAN], [NAN, 1, NAN], [2, 1, NAN]])
    assert np.isnan(outside.as_known(table.slice(0, 0), DATES, np.array(["A"]))).all()


def test_old_periods_and_days_before_1970_are_in_order() -> None:
    early = month_ends("2000-01", "2000-02")
    table = rows(
        ("size", "B", "1931-12-31", "1932-01-31", 1.0),
        ("size", "A", "1999-12-31", "2000-02-01", 2.0),
    )
    found = outside.as_known(table, early, np.array(["A", "B"]))
    np.testing.assert_array_equal(found, [[NAN, 1], [2, 1]])


DAY = st.integers(0, 200)
STRATEGY = st.lists(
    st.tuples(st.sampled_from("ABC"), DAY, st.integers(0, 120), st.floats(-9, 9)),
    unique_by=lambda row: row[:3],
    max_size=25,
)


@settings(deadline=None)
@given(STRATEGY)
def test_it_is_what_a_search_through_the_rows_finds(said: list[Any]) -> None:
    start = dt.date(2023, 12, 1)
    full = [
        (ticker, start + dt.timedelta(a), start + dt.timedelta(a + lag), value)
        for ticker, a, lag, value in said
    ]
    table = pa.table(
        {
            "ticker": pa.array([row[0] for row in full], pa.string()),
            "date": pa.array([row[1] for row in full], pa.date32()),
            "date_avail": pa.array([row[2] for row in full], pa.date32()),
            "value": pa.array([row[3] for row in full], pa.float64()),
        }
    )
    expected: Floats = np.full((len(DATES), 2), NAN)
    for t, day in enumerate(DATES.tolist()):
        for n, ticker in enumerate("AC"):
            known = [row for row in full if row[0] == ticker and row[2] <= day]
            if known:
                expected[t, n] = max(known, key=lambda row: (row[1], row[2]))[3]
    found = outside.as_known(table, DATES, np.array(["A", "C"]))
    np.testing.assert_array_equal(found, expected)
    cut = outside.as_known(table, DATES[:3], np.array(["A", "C"]))
    assert cut.tobytes() == found[:3].tobytes()


def test_panels_stand_beside_the_prices() -> None:
    panel = panel_of({"A": [NAN, 1.0, 1.0, 1.0, 1.0, NAN], "B": [1.0] * 6}, first="2024-01")
    table = rows(
        ("size", "A", "2024-01-31", "2024-01-31", 1.0),
        ("value", "B", "2024-01-31", "2024-05-31", 2.0),
    )
    both = outside.beside(SharedPanel.of(panel), table)
    assert sorted(both.outside) == ["size", "value"]
    # Without a month-end price a ticker is in no cross-section.
    np.testing.assert_array_equal(both.outside["size"][:, 0], [NAN, 1, 1, 1, 1, NAN])
    assert both.select(["B"]).outside["value"][4:].tolist() == [[2.0], [2.0]]
    assert outside.beside(panel, table.slice(0, 0)) is panel


def test_rows_are_read_of_the_panels_that_are_asked_for() -> None:
    table = rows(
        ("value", "B", "2024-01-31", "2024-05-31", 2.0),
        ("size", "B", "2024-01-31", "2024-01-31", 1.0),
        ("size", "A", "2024-01-31", "2024-01-31", 1.0),
    )
    with duckdb.connect() as con:
        con.register("given", table)
        assert outside.panels_of(con, "given") == ["size", "value"]
        found = outside.rows_of(con, "given", {"size", "none"})
    assert [(row["panel"], row["ticker"]) for row in found.to_pylist()] == [
        ("size", "A"),
        ("size", "B"),
    ]


def test_a_panel_that_is_not_there_is_named_with_those_that_are() -> None:
    mine = resolved_of(strategy_of(factors=[READS_SIZE]), ["A"])
    outside.check_there(mine, ["size"])
    with pytest.raises(FactorLabError) as error:
        outside.check_there(mine, ["value", "book"])
    for said in ("strategy test", "Got: size", "one of book, value", "--characteristics FOLDER"):
        assert said in str(error.value)
    with pytest.raises(FactorLabError, match="none: it has no panels"):
        outside.check_there(mine, [])


def test_the_panels_of_a_strategy_to_compare_with_are_read_too() -> None:
    plain = resolved_of(strategy_of(), ["A"])
    assert outside.read_by(plain) == set()
    against = plain.model_copy(
        update={"benchmark": resolved_of(strategy_of(factors=[READS_SIZE]), ["A"])}
    )
    assert outside.read_by(against) == {"size"}
