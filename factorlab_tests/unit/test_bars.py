"""Daily bars beside a panel, by hand: where they lie, and which were repaired when."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest

from factorlab_assets.core.calendar import month_ends, sessions
from factorlab_assets.core.returns import bars_beside, bars_of_each
from factorlab_tests.small_bars import day


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


NAN = float("nan")
ENDS = month_ends("2020-01", "2020-02")


def put_traded(con: duckdb.DuckDBPyConnection, *rows: tuple[object, ...]) -> str:
    """Rows of (ticker, day, close, seen, known_at, dollar volume, growth); the relation's name."""
    con.execute(
        "CREATE OR REPLACE TABLE traded (ticker VARCHAR, date DATE, open DOUBLE, close DOUBLE, "
        "seen DOUBLE, known_at DATE, dollar_volume DOUBLE, growth DOUBLE)"
    )
    for ticker, when, close, *rest in rows:
        con.execute(
            "INSERT INTO traded VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [ticker, when, close, close, *rest],
        )
    return "traded"


def test_bars_lie_beside_the_panel_month_by_month(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_traded(
        con,
        ("B", "2020-01-30", 10, 10, None, 500, 1), ("B", "2020-02-03", 12, 12, None, None, 1),
        ("A", "2020-02-04", 7, 7, None, 70, 1), ("A", "2020-03-02", 9, 9, None, 90, 1),
        ("C", "2020-01-02", 1, 1, None, 1, 1),
    )  # fmt: skip
    found = bars_beside(con, bars, "close", ENDS, ["B", "Z", "A"])
    assert found.days.tolist() == sessions(day("2020-01-01"), day("2020-02-28")).tolist()
    january = [f"{d}".startswith("2020-01") for d in found.days]
    assert found.month.tolist() == np.where(january, 0, 1).tolist()
    close, volume = np.full((2, len(found.days), 3), NAN)
    for when, column, price, traded in (
        ("2020-01-30", 1, 10, 500), ("2020-02-03", 1, 12, NAN), ("2020-02-04", 0, 7, 70),
    ):  # fmt: skip
        row = found.days.tolist().index(day(when))
        close[row, column], volume[row, column] = price, traded
    np.testing.assert_array_equal(found.close, close)
    np.testing.assert_array_equal(found.dollar_volume, volume)
    assert len(found.late.row) == 0


def test_bars_repaired_later_are_told_with_what_was_seen_and_when_it_ended(
    con: duckdb.DuckDBPyConnection,
) -> None:
    bars = put_traded(
        con,
        ("A", "2020-01-31", 100, 180, "2020-02-04", 5, 2),
        ("A", "2020-02-03", 101, 101, None, 5, 2),
        ("B", "2020-02-03", None, 9, "2020-02-05", 6, 1),
        ("B", "2020-02-04", None, None, None, 6, 1),
    )
    found = bars_beside(con, bars, "close", ENDS, ["A", "B"])
    first = found.days.tolist().index(day("2020-01-31"))
    late = zip(found.late.row, found.late.column, found.late.seen, found.late.known_at, strict=True)
    assert [(*where, str(known)) for *where, known in late] == [
        (first, 0, 180.0, "2020-02-04"),
        (first + 1, 1, 9.0, "2020-02-05"),
    ]
    np.testing.assert_array_equal(found.close[first:][:3], [[100, NAN], [101, NAN], [NAN, NAN]])
    assert found.dollar_volume[first:][1:3, 1].tolist() == [6, 6], "what was traded was traded"
    then = found.as_known(np.datetime64("2020-02-03"))
    np.testing.assert_array_equal(then.close[first:], [[180, NAN], [101, 9]])
    after = found.as_known(np.datetime64("2020-02-04"))
    np.testing.assert_array_equal(after.close[first:], [[100, NAN], [101, 9], [NAN, NAN]])
    both = bars_beside(con, bars, "total_return", ENDS, ["A"])
    assert (both.close[first:][:2, 0].tolist(), both.late.seen.tolist()) == ([200, 202], [360])
    assert both.dollar_volume[first:][:2, 0].tolist() == [5, 5], "money is not grown"


def test_bars_of_several_panels_are_those_of_each(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_traded(
        con,
        *(
            (
                ticker,
                day_,
                10 * i + n,
                10 * i + n + (n == 1),
                "2020-02-10" if n == 1 else None,
                n,
                1,
            )
            for i, ticker in enumerate("ABC")
            for n, day_ in enumerate(["2020-01-30", "2020-02-03", "2020-02-27"])
        ),
    )
    panels = [(ENDS, ["C", "A"]), (ENDS[:1], []), (ENDS[:1], ["B"])]
    each = bars_of_each(con, bars, panels)
    for (dates, tickers), own in zip(panels, each, strict=True):
        assert own.close.shape == (len(own.days), len(tickers))
        for column, ticker in enumerate(tickers):
            alone = bars_beside(con, bars, "close", dates, [ticker])
            assert own.days.tolist() == alone.days.tolist()
            assert own.month.tolist() == alone.month.tolist()
            np.testing.assert_array_equal(own.close[:, [column]], alone.close)
            np.testing.assert_array_equal(own.dollar_volume[:, [column]], alone.dollar_volume)
            mine = own.late.column == column
            assert own.late.row[mine].tolist() == alone.late.row.tolist()
            assert own.late.seen[mine].tolist() == alone.late.seen.tolist()
    assert [len(own.late.row) for own in each] == [2, 0, 0]
