"""What a later version changed in the common history, and the likely cause."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import schemas
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.revisions import revisions
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.store_partitions import arrow_schema

DAYS = sessions(dt.date(2020, 1, 2), dt.date(2020, 7, 31)).tolist()
COMMON = sum(day.month <= 6 for day in DAYS)
"""The earlier version ends with June; the later one holds July too."""
Bars = dict[tuple[str, int], dict[str, Any]]
Change = Callable[[Bars], None]


def history() -> Bars:
    """Tickers A and B: a price of 100 that moves by 1 % a day in turn, with a little noise."""
    noise = np.random.default_rng(3).normal(0, 0.001, len(DAYS))
    closes = 100 * np.exp(np.cumsum(noise) + 0.005 * (-1.0) ** np.arange(len(DAYS)))
    flat = {"open": 90.0, "high": 999.0, "low": 1.0, "volume": 500.0}
    return {
        (ticker, i): {"ticker": ticker, "date": day, "close": round(float(close), 4)} | flat
        for ticker in ("A", "B")
        for i, (day, close) in enumerate(zip(DAYS, closes, strict=True))
    }


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def told(con: duckdb.DuckDBPyConnection) -> Callable[..., list[dict[str, Any]]]:
    """The revisions between two versions of the history, each changed by some functions."""

    def run(later: list[Change], earlier: list[Change] | None = None) -> list[dict[str, Any]]:
        for name, changes in (("earlier", earlier or []), ("later", later)):
            bars = history()
            for change in changes:
                change(bars)
            rows = [bar for (_, i), bar in bars.items() if name == "later" or i < COMMON]
            con.register(name, pa.Table.from_pylist(rows, schema=PRICE_SCHEMA))
        return revisions(con, "earlier", "later", "2020-07").to_pylist()

    return run


def scale(ticker: str, factor: float, *days: int) -> Change:
    def change(bars: Bars) -> None:
        for i in days:
            bars[ticker, i]["close"] = round(bars[ticker, i]["close"] * factor, 4)

    return change


def drop(ticker: str, *days: int) -> Change:
    def change(bars: Bars) -> None:
        for i in days:
            bars.pop((ticker, i))

    return change


def said(rows: list[dict[str, Any]]) -> list[tuple[str, dt.date, dt.date, str, int]]:
    return [(r["ticker"], r["first_date"], r["last_date"], r["kind"], r["n_cells"]) for r in rows]


def test_the_new_month_alone_revises_nothing(told: Callable[..., list[dict[str, Any]]]) -> None:
    assert told([]) == []


def test_a_new_distribution_is_one_stretch_up_to_its_ex_date(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = told([scale("A", 0.99, *range(60)), scale("A", 0.995, *range(30))])
    assert said(rows) == [("A", DAYS[0], DAYS[59], "distribution", 60)]
    assert rows[0]["size"] == pytest.approx(1 - 0.99 * 0.995, abs=1e-5)
    assert rows[0]["size_ret"] == pytest.approx(0.0101, abs=2e-4)
    assert f"steps: 2, the newest on {DAYS[60]}" in rows[0]["evidence"]


def test_a_distribution_of_the_new_month_scales_everything_and_moves_no_return(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    (row,) = told([scale("B", 0.98, *range(COMMON + 5))])
    assert said([row]) == [("B", DAYS[0], DAYS[COMMON - 1], "distribution", COMMON)]
    assert row["size_ret"] < 1e-5
    assert "all closes × 0.98" in row["evidence"]


@pytest.mark.parametrize("days", [60, COMMON])
def test_a_split_scales_by_a_ratio_of_small_numbers(
    told: Callable[..., list[dict[str, Any]]], days: int
) -> None:
    (row,) = told([scale("A", 0.25, *range(days))])
    assert said([row]) == [("A", DAYS[0], DAYS[days - 1], "split", days)]


@pytest.mark.parametrize("side", ["earlier", "later"])
def test_a_close_is_repaired_where_it_now_fits_its_neighbours_and_broken_where_not(
    told: Callable[..., list[dict[str, Any]]], side: str
) -> None:
    wrong = [scale("A", 1.07, 40)]
    (row,) = told([], wrong) if side == "earlier" else told(wrong)
    kind = "repair" if side == "earlier" else "error"
    assert said([row]) == [("A", DAYS[40], DAYS[40], kind, 1)]
    assert row["size_ret"] == pytest.approx(0.07, rel=0.05)


def test_a_repair_within_an_adjusted_history_is_a_row_of_its_own(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = told([scale("A", 0.99, *range(COMMON))], [scale("A", 1.07, 40)])
    assert said(rows) == [
        ("A", DAYS[0], DAYS[COMMON - 1], "distribution", COMMON - 1),
        ("A", DAYS[40], DAYS[40], "repair", 1),
    ]
    assert rows[0]["size_ret"] < 1e-5 < 0.06 < rows[1]["size_ret"]


def test_the_last_bar_that_was_not_final_is_a_repair_or_an_error_but_no_distribution(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    (row,) = told([], [scale("B", 1.03, COMMON - 1)])
    assert said([row]) == [("B", DAYS[COMMON - 1], DAYS[COMMON - 1], "repair", 1)]


def test_closes_that_differ_without_a_pattern_are_no_adjustment(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    pattern = (1.01, 1.04, 1.08, 1.03, 1.06)
    (row,) = told([scale("A", pattern[i % 5], i) for i in range(1, 50)])
    assert said([row]) == [("A", DAYS[1], DAYS[49], "error", 49)]


def test_bars_that_come_or_go_are_listings_at_the_ends_and_repairs_or_errors_within(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = told(
        [drop("B", *range(len(DAYS)))],
        [drop("A", 0, 1, 2, 50, 51), drop("A", COMMON - 1)],
    )
    assert said(rows) == [
        ("A", DAYS[0], DAYS[2], "listing", 3),
        ("A", DAYS[50], DAYS[51], "repair", 2),
        ("A", DAYS[COMMON - 1], DAYS[COMMON - 1], "listing", 1),
        ("B", DAYS[0], DAYS[COMMON - 1], "listing", COMMON),
    ]
    assert "beginning appeared" in rows[0]["evidence"]
    assert "every bar of the ticker disappeared" in rows[3]["evidence"]
    assert said(told([drop("A", 50)])) == [("A", DAYS[50], DAYS[50], "error", 1)]


def test_a_bar_on_a_holiday_that_goes_is_a_repair(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    holiday = dt.date(2020, 5, 25)

    def add(bars: Bars) -> None:
        bars["A", -1] = bars["A", 100] | {"date": holiday}

    assert said(told([], [add])) == [("A", holiday, holiday, "repair", 1)]


def test_volumes_and_decimals_alone_are_repairs_that_move_nothing(
    told: Callable[..., list[dict[str, Any]]],
) -> None:
    def volumes(bars: Bars) -> None:
        for i in range(20):
            bars["A", i]["volume"] = 501.5

    def cents(bars: Bars) -> None:
        for i in range(50):
            bars["B", i]["close"] = round(bars["B", i]["close"], 2)

    first, second = told([volumes, cents])
    assert said([first]) == [("A", DAYS[0], DAYS[19], "repair", 20)]
    assert (first["size"], first["size_ret"]) == (0, 0)
    assert (second["kind"], second["last_date"]) == ("repair", DAYS[49])
    assert "last decimal" in second["evidence"]


def test_rows_are_those_of_the_table(
    told: Callable[..., list[dict[str, Any]]], con: duckdb.DuckDBPyConnection
) -> None:
    told([scale("A", 0.99, *range(60)), drop("B", 7)])
    rows = revisions(con, "earlier", "later", "2020-07")
    keys = ("month", "data_version_id", "earlier_version_id")
    assert rows.schema.equals(arrow_schema(schemas.REVISIONS, without=keys))
