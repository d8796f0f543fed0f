"""Two files of the same bars side by side: what differs, of what kind, and who is odd."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import schemas
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.reconcile import reconcile
from factorlab_assets.settings import PROJECT_ROOT
from factorlab_assets.sources.stooq_files import StooqFiles
from factorlab_assets.store_partitions import arrow_schema
from factorlab_assets.universes import load_universes

DAYS = sessions(dt.date(2020, 1, 2), dt.date(2020, 12, 31)).tolist()
TICKERS = ("A", "B", "C", "D", "E", "F")
OTHERS = ("X", "Y", "Z")
CLASSES = dict.fromkeys(TICKERS, "Equity") | dict.fromkeys(OTHERS, "Rates")
Closes = dict[tuple[str, dt.date], float]


def truth() -> Closes:
    """Nine tickers that move with one market (1 % a day) and a little on their own (0.1 %)."""
    rng = np.random.default_rng(5)
    market = rng.normal(0, 0.01, len(DAYS))
    closes = {}
    for ticker in TICKERS + OTHERS:
        path = 50 * np.exp(np.cumsum(market + rng.normal(0, 0.001, len(DAYS))))
        closes |= {(ticker, day): float(c) for day, c in zip(DAYS, path, strict=True)}
    return closes


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def told(con: duckdb.DuckDBPyConnection) -> Callable[..., list[dict[str, Any]]]:
    """Reconcile the truth with `changed` copies of it, all printed in cents."""

    def run(
        here: Callable[[Closes], None] = lambda _: None,
        there: Callable[[Closes], None] = lambda _: None,
        third: Callable[[Closes], None] | None = None,
    ) -> list[dict[str, Any]]:
        for name, change in (("here", here), ("there", there), ("third", third or here)):
            closes = truth()
            change(closes)
            rows = {
                "ticker": [ticker for ticker, _ in closes],
                "date": [day for _, day in closes],
                "close": [round(c, 2) for c in closes.values()],
            }
            con.register("given", pa.table(rows))
            con.execute(f"CREATE OR REPLACE TABLE {name} AS FROM given")
        return reconcile(
            con, "here", "there", "2020-12", asset_classes=CLASSES, third="third" if third else None
        ).to_pylist()

    return run


def scaled(ticker: str, factor: float, *days: int) -> Callable[[Closes], None]:
    """Multiply closes on some of the days (by number)."""

    def change(closes: Closes) -> None:
        for i in days:
            closes[ticker, DAYS[i]] *= factor

    return change


def without(ticker: str, *days: int) -> Callable[[Closes], None]:
    def change(closes: Closes) -> None:
        for i in days:
            del closes[ticker, DAYS[i]]

    return change


def test_equal_files_differ_nowhere(told: Callable[..., list[dict[str, Any]]]) -> None:
    assert told() == []


def test_rounding_alone_is_no_difference(con: duckdb.DuckDBPyConnection) -> None:
    closes = truth()
    for name, digits in (("here", 2), ("there", 5)):
        rows = {"ticker": [t for t, _ in closes], "date": [d for _, d in closes]}
        rows["close"] = [round(c / 20, digits) for c in closes.values()]  # 2.50: a cent is 40 bp
        con.register("given", pa.table(rows))
        con.execute(f"CREATE TABLE {name} AS FROM given")
    assert reconcile(con, "here", "there", "2020-12").num_rows == 0


@pytest.mark.parametrize("odd", ["here", "there"])
def test_a_wrong_close_is_one_row_and_the_one_off_its_class_is_odd(
    told: Callable[..., list[dict[str, Any]]], odd: str
) -> None:
    (row,) = told(**{odd: scaled("B", 1.02, 100)})
    assert (row["ticker"], row["date"], row["kind"], row["odd"]) == ("B", DAYS[100], "price", odd)
    assert f"undone on {DAYS[101]}" in row["evidence"]
    assert row["difference"] == pytest.approx(0.02 if odd == "here" else -0.02, rel=0.03)
    assert row["difference"] == pytest.approx(row["ret"] - row["second_ret"], abs=1e-15)


def test_a_week_of_wrong_closes_is_one_row(told: Callable[..., list[dict[str, Any]]]) -> None:
    (row,) = told(here=scaled("B", 1.02, *range(100, 105)))
    assert (row["date"], row["kind"], row["odd"]) == (DAYS[100], "price", "here")


def test_a_smaller_step_back_undoes_nothing(told: Callable[..., list[dict[str, Any]]]) -> None:
    def change(closes: Closes) -> None:
        scaled("B", 0.98, *range(100))(closes)
        scaled("B", 1.01, *range(103))(closes)

    assert [row["date"] for row in told(here=change)] == [DAYS[100], DAYS[103]]


def test_where_most_of_a_class_differs_nobody_is_left_to_tell_by(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    def change(closes: Closes) -> None:
        for ticker in TICKERS:
            scaled(ticker, 1.02, 100)(closes)

    rows = told(here=change)
    assert [row["odd"] for row in rows] == ["unclear"] * 6
    assert "no peers" in rows[0]["evidence"]


def test_two_wrong_closes_in_a_row_in_opposite_ways_are_two_rows(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    def change(closes: Closes) -> None:
        scaled("B", 1.02, 100)(closes)
        scaled("B", 0.98, 103)(closes)

    rows = told(here=change)
    assert [(r["date"], r["kind"]) for r in rows] == [(DAYS[100], "price"), (DAYS[103], "price")]


def test_a_lasting_small_step_is_a_distribution_of_which_a_day_cannot_tell_the_odd_one(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    (row,) = told(here=scaled("C", 0.99, *range(80)))  # adjusted before the ex-date
    assert (row["date"], row["kind"], row["odd"]) == (DAYS[80], "distribution", "unclear")
    assert "in those here" in row["evidence"]
    assert row["difference"] == pytest.approx(0.0101, abs=5e-4)
    (row,) = told(there=scaled("C", 0.99, *range(80)))
    assert "in those there" in row["evidence"]


def test_a_third_file_decides_what_the_class_cannot(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    carried = scaled("C", 0.99, *range(80))
    assert [r["odd"] for r in told(here=carried, third=lambda _: None)] == ["here"]
    assert [r["odd"] for r in told(here=carried, third=carried)] == ["there"]
    elsewhere = scaled("B", 1.05, 100)
    (row,) = told(here=elsewhere, there=scaled("B", 0.95, 100), third=lambda _: None)
    assert row["odd"] == "both"


@pytest.mark.parametrize(("factor", "kind"), [(0.25, "split"), (1.5, "split"), (0.6, "level")])
def test_a_large_lasting_step_is_a_split_where_its_ratio_is_one(
    told: Callable[..., list[dict[str, Any]]], factor: float, kind: str
) -> None:
    (row,) = told(there=scaled("D", factor, *range(120)))
    assert (row["date"], row["kind"], row["odd"]) == (DAYS[120], kind, "there")


def test_missing_bars_are_one_row_a_run_and_the_calendar_says_who_is_odd(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = told(here=without("A", 10, 11, 40), there=without("F", 20))
    assert [(r["ticker"], r["date"], r["kind"], r["odd"]) for r in rows] == [
        ("A", DAYS[10], "missing bar", "here"),
        ("A", DAYS[40], "missing bar", "here"),
        ("F", DAYS[20], "missing bar", "there"),
    ]
    assert str(DAYS[11]) in rows[0]["evidence"]


def test_a_bar_on_a_holiday_is_extra(told: Callable[..., list[dict[str, Any]]]) -> None:
    def change(closes: Closes) -> None:
        closes["A", dt.date(2020, 7, 3)] = closes["A", dt.date(2020, 7, 2)]

    (row,) = told(there=change)
    assert (row["date"], row["kind"], row["odd"]) == (dt.date(2020, 7, 3), "extra bar", "there")


def test_before_a_ticker_begins_in_one_file_nothing_is_missing(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    assert told(here=without("A", *range(50)), there=without("B", *range(200, len(DAYS)))) == []


def test_differences_that_hide_in_rounding_add_up_to_a_drift(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    def fee(closes: Closes) -> None:
        for i, day in enumerate(DAYS):
            closes["E", day] *= 0.9999**i

    (row,) = told(there=fee)
    assert (row["date"], row["kind"], row["odd"]) == (DAYS[-1], "drift", "unclear")
    assert row["difference"] == pytest.approx(1e-4 * (len(DAYS) - 1), rel=0.02)


def test_rows_are_those_of_the_table_and_nothing_stays_on_the_connection(
    told: Callable[..., list[dict[str, Any]]], con: duckdb.DuckDBPyConnection
) -> None:
    told(here=scaled("B", 1.02, 100))
    rows = reconcile(con, "here", "there", "2020-12")
    keys = ("month", "data_version_id", "second_version_id")
    assert rows.schema.equals(arrow_schema(schemas.RECONCILIATION, without=keys))
    names = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    views = con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert names == {"here", "there", "third"}
    assert [name for (name,) in views if name.startswith("factorlab")] == []


def test_on_real_files_steps_fall_on_ex_dates_and_known_wrong_closes_are_found(
    con: duckdb.DuckDBPyConnection, shared_data: Path
) -> None:
    prices = StooqFiles(shared_data / "stooq" / "bulk_2024").fetch(None, dt.date(2020, 12, 11))
    con.register("stooq", prices.prices)
    con.execute(
        f"""CREATE TABLE vendor AS
        SELECT upper(parse_filename(filename, true)) AS ticker, timestamp::DATE AS date,
            close / coalesce(product(split_coefficient) OVER (
                PARTITION BY filename ORDER BY timestamp
                ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 1) AS close,
            dividend_amount > 0 AS is_ex_date
        FROM read_csv('{shared_data}/alphavantage_2020/*.csv', filename = true)"""
    )
    classes = load_universes(PROJECT_ROOT / "data" / "universes.yaml")["etf13"].tickers
    told = reconcile(con, "stooq", "vendor", "2020-12", asset_classes=classes)
    con.register("rows", told)
    ((n_steps, n_ex),) = con.execute(
        """SELECT count(*), count(*) FILTER (is_ex_date) FROM rows JOIN vendor USING (ticker, date)
        WHERE kind = 'distribution'"""
    ).fetchall()
    assert n_steps > 700
    assert n_ex / n_steps > 0.93
    wrong = con.execute("SELECT ticker, date, odd FROM rows WHERE kind = 'price'").fetchall()
    assert ("EFA", dt.date(2014, 7, 3), "there") in wrong
    assert ("EEM", dt.date(2008, 10, 28), "here") in wrong
