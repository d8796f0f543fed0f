"""The panel: dense, ordered, nothing filled in."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core.panel import VALUES, Panel, panel_from_table
from factorlab_assets.errors import FactorLabError

NAN = float("nan")
JAN, MAR = dt.date(2020, 1, 31), dt.date(2020, 3, 31)


def rows(*cells: tuple[str, dt.date, float | None]) -> pa.Table:
    ticker, date, price = zip(*cells, strict=True)
    values = pa.array(price, pa.float64())
    marks = pa.array([1000.0 if value is None else value + 1 for value in price])
    return pa.table(
        {
            "date": pa.array(date),
            "ticker": pa.array(ticker),
            "price": values,
            "close": marks,
            "growth": pa.array([2.0] * len(price)),
            "entry_growth": pa.array([4.0] * len(price)),
            "entry_open": pa.array([None] * len(price), pa.float64()),
            "entry_close": marks,
        }
    )


@pytest.fixture
def panel() -> Panel:
    return panel_from_table(
        rows(("B", MAR, 4.0), ("A", JAN, 1.0), ("B", JAN, 2.0), ("A", MAR, None))
    )


def test_rows_in_any_order_become_dates_by_sorted_tickers(panel: Panel) -> None:
    assert panel.tickers.tolist() == ["A", "B"]
    np.testing.assert_array_equal(panel.price[[0, 2]], [[1.0, 2.0], [NAN, 4.0]])
    np.testing.assert_array_equal(panel.mark[[0, 2]], [[2.0, 3.0], [1000.0, 5.0]])


def test_every_ticker_keeps_its_own_prices_wherever_its_rows_lie() -> None:
    first_seen = [("C", JAN, 3.0), ("A", JAN, 1.0), ("D", JAN, 4.0), ("B", JAN, 2.0)]
    panel = panel_from_table(rows(*first_seen))
    assert panel.tickers.tolist() == ["A", "B", "C", "D"]
    np.testing.assert_array_equal(panel.price, [[1.0, 2.0, 3.0, 4.0]])


def test_a_month_without_any_row_is_there_and_unknown(panel: Panel) -> None:
    assert panel.dates.astype(str).tolist() == ["2020-01-31", "2020-02-28", "2020-03-31"]
    assert np.isnan(panel.price[1]).all()
    assert np.isnan(panel.mark[1]).all()


def test_each_column_goes_to_its_own_array(panel: Panel) -> None:
    assert np.isnan(panel.entry_open).all()
    np.testing.assert_array_equal(panel.entry_close, panel.mark)


def test_prices_seen_are_the_prices_where_nothing_else_is_said(panel: Panel) -> None:
    np.testing.assert_array_equal(panel.seen, panel.price)
    table = rows(("A", JAN, 1.0)).append_column("seen", pa.array([1.5]))
    np.testing.assert_array_equal(panel_from_table(table).seen, [[1.5]])


def test_total_returns_multiply_every_price_by_the_growth_of_its_day() -> None:
    table = rows(("A", JAN, 1.0)).append_column("seen", pa.array([1.5]))
    panel = panel_from_table(table, "total_return")
    found = [getattr(panel, name)[0, 0] for name in VALUES]
    np.testing.assert_array_equal(found, [2.0, 3.0, 4.0, NAN, 8.0])


def test_beside_total_returns_stands_the_close_as_it_was_seen(panel: Panel) -> None:
    assert panel.quoted is None
    table = rows(("A", JAN, 1.0))
    for known, close in ((table, 1.0), (table.append_column("seen", pa.array([1.5])), 1.5)):
        assert panel_from_table(known).quoted is None
        np.testing.assert_array_equal(panel_from_table(known, "total_return").quoted, [[close]])


def test_selecting_sorts_drops_doubles_and_leaves_the_missing_unknown(panel: Panel) -> None:
    chosen = panel.select(["Z", "B", "AA", "B"])
    assert chosen.tickers.tolist() == ["AA", "B", "Z"]
    np.testing.assert_array_equal(chosen.price[0], [NAN, 2.0, NAN])
    np.testing.assert_array_equal(chosen.mark[2], [NAN, 5.0, NAN])


def test_selecting_nothing_keeps_the_dates(panel: Panel) -> None:
    assert panel.select([]).price.shape == (3, 0)


@pytest.mark.parametrize(
    ("day", "n_dates"),
    [(JAN, 1), (dt.date(2020, 2, 27), 1), (np.datetime64("2020-02-28"), 2), (MAR, 3)],
)
def test_until_keeps_month_ends_up_to_and_including_the_day(
    panel: Panel, day: dt.date, n_dates: int
) -> None:
    cut = panel.until(day)
    assert len(cut.dates) == n_dates
    for name in VALUES:
        np.testing.assert_array_equal(getattr(cut, name), getattr(panel, name)[:n_dates])


def test_no_rows_at_all_is_an_error(panel: Panel) -> None:
    with pytest.raises(FactorLabError, match="no monthly returns"):
        panel_from_table(rows(("A", JAN, 1.0)).slice(0, 0))
