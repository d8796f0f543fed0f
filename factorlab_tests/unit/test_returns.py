"""Month-end prices and returns, by hand."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest

from factorlab_assets.core.returns import COLUMNS, daily_basis, monthly_returns, on_basis, plain
from factorlab_tests.small_bars import day, grown, monthly, put_bars, put_distributions

# 2020: January ends on Friday 31, February on Friday 28, March on Tuesday 31, April on Thursday 30.


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        put_distributions(connection, [])
        yield connection


def test_the_month_end_price_is_the_last_close_and_the_return_compares_two(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", "2020-01-30", 90), ("A", "2020-01-31", 100), ("A", "2020-02-28", 110)])
    found = monthly(con, "2020-02")
    assert found["A", "2020-01"] == {
        "ticker": "A",
        "date": day("2020-01-31"),
        "last_trading_day": day("2020-01-31"),
        "sessions_stale": 0,
        "close": 100.0,
        "price": 100.0,
        "seen": 100.0,
        "growth": 1.0,
        "entry_open": None,
        "entry_close": None,
        "entry_growth": None,
        "ret": None,
        "total_ret": None,
    }
    assert found["A", "2020-02"]["ret"] == pytest.approx(0.10, abs=1e-15)


@pytest.mark.parametrize(
    ("last_bar", "stale", "price"),
    [("2020-02-24", 4, 7.0), ("2020-02-21", 5, 7.0), ("2020-02-20", 6, None)],
)
def test_a_price_more_than_five_sessions_old_is_unknown_but_still_marks(
    con: duckdb.DuckDBPyConnection, last_bar: str, stale: int, price: float | None
) -> None:
    put_bars(con, [("A", "2020-02-03", 5), ("A", last_bar, 7)])
    row = monthly(con, "2020-02")["A", "2020-02"]
    assert (row["sessions_stale"], row["price"], row["close"]) == (stale, price, 7.0)
    assert (row["date"], row["last_trading_day"]) == (day("2020-02-28"), day(last_bar))


def test_staleness_counts_sessions_not_days(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2019-12-24", 1)])  # then 26, 27, 30, 31 December: Christmas is closed
    assert monthly(con, "2019-12")["A", "2019-12"]["sessions_stale"] == 4


def test_a_return_needs_two_consecutive_known_month_ends(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(
        con,
        [
            ("GAP", "2020-01-31", 10),
            ("GAP", "2020-03-31", 20),
            ("STALE", "2020-01-31", 10),
            ("STALE", "2020-02-03", 12),
            ("STALE", "2020-03-31", 24),
        ],
    )
    found = monthly(con, "2020-03")
    assert ("GAP", "2020-02") not in found
    assert found["GAP", "2020-03"]["ret"] is None
    assert [found["STALE", f"2020-0{m}"]["ret"] for m in (1, 2, 3)] == [None, None, None]


def test_the_month_asked_for_is_the_last_one_looked_at(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2020-01-31", 10), ("A", "2020-02-03", 11), ("B", "2020-02-28", 12)])
    assert set(monthly(con, "2020-01")) == {("A", "2020-01")}


def test_entry_prices_are_the_first_sessions_and_unknown_without_a_bar_there(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(
        con,
        [
            ("A", "2020-02-03", 10, 9),
            ("A", "2020-02-28", 12, 11),
            ("B", "2020-02-04", 20, 19),
            ("B", "2020-02-28", 22, 21),
        ],
    )
    found = monthly(con, "2020-02")
    assert (found["A", "2020-02"]["entry_open"], found["A", "2020-02"]["entry_close"]) == (9, 10)
    assert found["B", "2020-02"]["entry_open"] is None
    assert found["B", "2020-02"]["entry_close"] is None


def test_a_delisted_ticker_keeps_its_last_close_in_its_last_month(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", "2020-01-31", 10), ("A", "2020-02-05", 4), ("B", "2020-04-30", 1)])
    found = monthly(con, "2020-04")
    assert set(found) == {("A", "2020-01"), ("A", "2020-02"), ("B", "2020-04")}
    assert (found["A", "2020-02"]["close"], found["A", "2020-02"]["price"]) == (4.0, None)


def test_a_bar_on_a_day_without_a_session_is_not_looked_at(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(
        con,
        [
            ("A", "2020-01-31", 10),
            ("A", "2020-02-27", 11),
            ("A", "2020-02-29", 99),  # a Saturday
            ("B", "2020-02-23", 99),  # a Sunday, and all there is
        ],
    )
    found = monthly(con, "2020-03")
    assert set(found) == {("A", "2020-01"), ("A", "2020-02")}
    assert (found["A", "2020-02"]["close"], found["A", "2020-02"]["sessions_stale"]) == (11.0, 1)
    assert 99.0 not in daily_basis(con, plain("bars"), "close", ["A", "B"], day("2020-03-31"))[2]


def test_bars_older_than_the_calendar_yield_no_month(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "1927-12-30", 1), ("A", "1928-01-31", 2)])
    assert set(monthly(con, "1928-01")) == {("A", "1928-01")}


def test_a_distribution_is_earned_exactly_on_its_ex_date(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2020-01-31", 100), ("A", "2020-02-28", 99), ("A", "2020-03-31", 108.9)])
    put_distributions(con, [("A", "2020-02-28", 3)])
    found = monthly(con, "2020-03", "paid")
    assert found["A", "2020-02"]["total_ret"] == pytest.approx((99 + 3) / 100 - 1, abs=1e-15)
    assert found["A", "2020-03"]["total_ret"] == pytest.approx(108.9 / 99 - 1, abs=1e-15)
    assert [found["A", f"2020-0{m}"]["close"] for m in (1, 2, 3)] == [100.0, 99.0, 108.9]
    assert found["A", "2020-02"]["growth"] == pytest.approx(102 / 99, rel=1e-15)
    assert found["A", "2020-02"]["ret"] == pytest.approx(99 / 100 - 1, abs=1e-15)


def test_daily_total_returns_compound_to_the_monthly_one(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(
        con,
        [
            ("A", "2020-01-31", 50),
            ("A", "2020-02-10", 48),
            ("A", "2020-02-20", 60),
            ("A", "2020-02-28", 54),
        ],
    )
    put_distributions(con, [("A", "2020-02-10", 2), ("A", "2020-02-20", 6)])
    by_hand = (48 + 2) / 50 * ((60 + 6) / 48) * (54 / 60) - 1
    assert monthly(con, "2020-02", "paid")["A", "2020-02"]["total_ret"] == pytest.approx(
        by_hand, rel=1e-14
    )


def test_an_ex_date_without_a_bar_moves_to_the_next_bar(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(
        con,
        [
            ("A", "2020-01-31", 100),
            ("A", "2020-02-28", 100),
            ("A", "2020-03-03", 50),
            ("A", "2020-03-31", 50),
        ],
    )
    put_distributions(con, [("A", "2020-02-29", 5), ("A", "2020-03-02", 1)])  # Saturday, no bar
    found = monthly(con, "2020-03", "paid")
    assert found["A", "2020-02"]["total_ret"] == 0.0
    assert found["A", "2020-03"]["total_ret"] == pytest.approx((50 + 6) / 100 - 1, abs=1e-15)


@pytest.mark.parametrize("ex_date", ["2020-02-28", "2020-02-29"])
def test_an_ex_date_never_moves_to_a_day_without_a_session(
    con: duckdb.DuckDBPyConnection, ex_date: str
) -> None:
    put_bars(
        con,
        [
            ("A", "2020-01-31", 50),
            ("A", "2020-02-29", 500),  # a Saturday
            ("A", "2020-03-02", 50),
            ("A", "2020-03-31", 60),
        ],
    )
    put_distributions(con, [("A", ex_date, 5)])
    assert monthly(con, "2020-03", "paid")["A", "2020-03"]["growth"] == pytest.approx(
        1.1, rel=1e-15
    )


@pytest.mark.parametrize("ex_date", ["2019-12-31", "2020-01-31", "2020-03-16"])
def test_a_distribution_outside_the_tickers_bars_is_ignored(
    con: duckdb.DuckDBPyConnection, ex_date: str
) -> None:
    put_bars(con, [("A", "2020-01-31", 10), ("A", "2020-02-28", 11), ("B", "2020-03-31", 1)])
    put_distributions(con, [("A", ex_date, 5), ("NOBODY", "2020-02-10", 5)])
    assert monthly(con, "2020-03", "paid") == monthly(con, "2020-03")


def test_distributions_touch_their_own_ticker_only(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [(t, d, 10) for t in "AB" for d in ("2020-01-31", "2020-02-14", "2020-02-28")])
    put_distributions(con, [("B", "2020-02-14", 1)])
    found = monthly(con, "2020-02", "paid")
    assert found["A", "2020-02"]["total_ret"] == 0.0
    assert found["B", "2020-02"]["total_ret"] == pytest.approx(0.1, abs=1e-15)


def test_entry_prices_have_a_growth_of_their_own(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2020-01-31", 100), ("A", "2020-02-03", 80, 90), ("A", "2020-02-28", 80)])
    put_distributions(con, [("A", "2020-02-03", 20)])
    row = monthly(con, "2020-02", "paid")["A", "2020-02"]
    assert (row["entry_open"], row["entry_close"]) == (90.0, 80.0)
    assert row["entry_growth"] == pytest.approx(1.25, rel=1e-15)


def test_fewer_columns_are_the_same_columns(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2020-01-31", 10), ("A", "2020-02-27", 11, 12), ("B", "2020-02-03", 9)])
    keys = [("ticker", "ascending"), ("date", "ascending")]
    every = monthly_returns(con, plain("bars"), "2020-02").sort_by(keys)
    assert tuple(every.column_names) == COLUMNS
    for column in COLUMNS[2:]:
        few = monthly_returns(con, plain("bars"), "2020-02", columns=["date", column, "ticker"])
        assert few.sort_by(keys).equals(every.select(["date", column, "ticker"]))


def test_bars_may_be_a_query_and_nothing_stays_on_the_connection(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", "2020-01-31", 10), ("B", "2020-01-31", 20)])
    before = con.sql("SELECT view_name FROM duckdb_views()").fetchall()
    found = monthly_returns(con, plain("(SELECT * FROM bars WHERE ticker = 'B')"), "2020-01")
    assert found["ticker"].to_pylist() == ["B"]
    daily_basis(con, plain("bars"), "close", ["A"], day("2020-01-31"))
    assert con.sql("SELECT view_name FROM duckdb_views()").fetchall() == before


def test_daily_bars_lie_on_every_session_since_the_first_bar(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", "2020-02-26", 10, 9), ("A", "2020-02-28", 12, 11), ("C", "2020-01-02", 1)])
    dates, tickers, close, opened = daily_basis(
        con, plain("bars"), "close", ["B", "A"], day("2020-03-02")
    )
    nan = float("nan")
    assert tickers.tolist() == ["A", "B"]
    assert dates.astype(str).tolist() == ["2020-02-26", "2020-02-27", "2020-02-28", "2020-03-02"]
    np.testing.assert_array_equal(close, [[10, nan], [nan, nan], [12, nan], [nan, nan]])
    np.testing.assert_array_equal(opened, [[9, nan], [nan, nan], [11, nan], [nan, nan]])


def test_daily_bars_carry_the_growth_of_their_distributions(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", d, 10) for d in ("2020-02-25", "2020-02-26", "2020-02-27", "2020-02-28")])
    put_distributions(con, [("A", "2020-02-26", 1), ("A", "2020-02-28", 1), ("B", "2020-02-26", 1)])
    _, _, close, opened = daily_basis(
        con, grown(con, "bars", "paid"), "total_return", ["A"], day("2020-02-28")
    )
    np.testing.assert_allclose(close[:, 0], [10, 11, 11, 12.1], rtol=1e-15)
    np.testing.assert_array_equal(opened, close)


def test_daily_bars_of_nobody_are_empty(con: duckdb.DuckDBPyConnection) -> None:
    put_bars(con, [("A", "2020-02-26", 10)])
    dates, tickers, close, _ = daily_basis(
        con, grown(con, "bars", "paid"), "total_return", ["Z"], day("2020-02-28")
    )
    assert (dates.shape, tickers.tolist(), close.shape) == ((0,), ["Z"], (0, 1))


def put_repaired(con: duckdb.DuckDBPyConnection, *rows: tuple[str, float | None, float]) -> str:
    """Ticker A's (day, close, seen), opens as the closes; the relation's name."""
    con.execute(
        "CREATE OR REPLACE TABLE repaired (ticker VARCHAR, date DATE, open DOUBLE, close DOUBLE, "
        "seen DOUBLE, growth DOUBLE)"
    )
    for when, close, seen in rows:
        con.execute("INSERT INTO repaired VALUES ('A', ?, ?, ?, ?, 1)", [when, close, close, seen])
    return "repaired"


def test_a_price_repaired_later_was_seen_as_it_came(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_repaired(
        con, ("2020-01-31", 100, 100), ("2020-02-28", 101, 180), ("2020-03-31", 102, 102)
    )
    rows = monthly_returns(con, bars, "2020-03").sort_by("date").to_pylist()
    assert [row["price"] for row in rows] == [100, 101, 102]
    assert [row["seen"] for row in rows] == [100, 180, 102]
    assert rows[1]["ret"] == pytest.approx(0.01, abs=1e-15)


def test_a_repair_known_within_the_month_leaves_nothing_to_see(
    con: duckdb.DuckDBPyConnection,
) -> None:
    bars = put_repaired(con, ("2020-01-30", 100, 180), ("2020-01-31", 101, 101))
    (row,) = monthly_returns(con, bars, "2020-01").to_pylist()
    assert (row["price"], row["seen"]) == (101, 101)


def test_a_bar_dropped_later_leaves_the_close_before_it(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_repaired(con, ("2020-01-30", 100, 100), ("2020-01-31", None, 180))
    (row,) = monthly_returns(con, bars, "2020-01").to_pylist()
    assert (row["price"], row["seen"], row["sessions_stale"]) == (100, 180, 1)
    _, _, close, _ = daily_basis(con, bars, "close", ["A"], day("2020-01-31"))
    np.testing.assert_array_equal(close[:, 0], [100, np.nan])


def test_a_price_seen_too_long_ago_was_not_known(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_repaired(con, ("2020-01-03", 100, 100), ("2020-01-06", 101, 180))
    (row,) = monthly_returns(con, bars, "2020-01").to_pylist()
    assert (row["price"], row["seen"]) == (None, None)


def test_a_bar_without_growth_is_none_on_total_returns(con: duckdb.DuckDBPyConnection) -> None:
    bars = put_repaired(con, ("2020-01-31", 100, 100), ("2020-02-28", 110, 110))
    con.execute("UPDATE repaired SET growth = NULL WHERE date = '2020-01-31'")
    rows = monthly_returns(con, bars, "2020-02").sort_by("date").to_pylist()
    assert [row["ret"] for row in rows] == [None, pytest.approx(0.1, abs=1e-15)]
    assert [row["total_ret"] for row in rows] == [None, None]
    known = monthly_returns(con, on_basis(bars, "total_return"), "2020-02").to_pylist()
    assert [row["price"] for row in known] == [110]
    dates, _, close, _ = daily_basis(con, bars, "total_return", ["A"], day("2020-02-28"))
    assert (len(dates), close[:, 0].tolist()) == (1, [110])
