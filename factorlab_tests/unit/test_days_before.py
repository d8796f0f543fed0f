"""Months that end some sessions before their last one: dates, prices, bars and daily books."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core import calendar, research
from factorlab_assets.core.identities import compounding_violations
from factorlab_assets.core.panel import VALUES, Panel, panel_from_table
from factorlab_assets.core.returns import bars_beside, daily_basis, monthly_returns, plain
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_tests.small_panels import resolved_of, strategy_of

FIRST, LAST, MONTH = dt.date(2010, 1, 4), dt.date(2016, 12, 30), "2016-12"
NAMES = {"AAA": "Equity", "BBB": "Rates", "CCC": "Gold", "DDD": "Equity", "EEE": "REIT"}
SESSIONS = pd.DatetimeIndex(calendar.sessions(dt.date(2009, 12, 1), LAST))
"""From a month before the first bar on: December's last ones may belong to January."""
DAYS_BEFORE = 3


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """Daily bars of five tickers with holes: single days, whole weeks and, of one, two months."""
    rows = Synthetic(NAMES, seed=3, start=FIRST).fetch(None, LAST).prices.to_pandas()
    rows["date"] = pd.to_datetime(rows["date"])
    rng = np.random.default_rng(5)
    gone = rng.random(len(rows)) < 0.05
    for start in np.flatnonzero(rng.random(len(rows)) < 0.005):
        gone[start : start + 8] = True
    gone |= (rows["ticker"] == "CCC") & rows["date"].between("2012-03-20", "2012-05-25")
    return rows[~gone & (rows["date"] >= "2010-01-04")].reset_index(drop=True)


@pytest.fixture(scope="module")
def con(bars: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.register("frame", bars)
        connection.execute("CREATE TABLE bars AS SELECT * REPLACE (date::DATE AS date) FROM frame")
        yield connection


def dates_by_pandas(days_before: int) -> pd.DatetimeIndex:
    """The session so many before each month's last, by counting."""
    by_month = SESSIONS.to_series().groupby(SESSIONS.to_period("M"))
    return pd.DatetimeIndex(by_month.apply(lambda days: days.iloc[-1 - days_before]))


@pytest.mark.parametrize("days_before", [0, 1, 3, 15])
def test_months_are_dated_by_counting_sessions(days_before: int) -> None:
    found = calendar.month_ends("2009-12", MONTH, days_before)
    expected = dates_by_pandas(days_before)
    assert found.astype("datetime64[ns]").tolist() == expected.as_unit("ns").asi8.tolist()
    starts = calendar.month_starts("2010-01", MONTH, days_before)
    after = SESSIONS.searchsorted(expected[:-1]) + 1
    assert pd.DatetimeIndex(starts).tolist() == SESSIONS[after].tolist()
    months = calendar.months_of(np.array(SESSIONS, dtype="datetime64[D]"), days_before)
    place = expected.searchsorted(SESSIONS)
    assert (months.astype(int) - months[0].astype(int)).tolist() == place.tolist()


def test_a_month_with_too_few_sessions_is_dated_on_its_first() -> None:
    assert calendar.month_end("2001-09", 14) == dt.date(2001, 9, 4)
    assert calendar.month_end("2001-09", 15) == dt.date(2001, 9, 4), "it has fifteen"
    assert calendar.month_end("2001-10", 15) == dt.date(2001, 10, 10)


def panel_of(con: duckdb.DuckDBPyConnection, days_before: int, bars: str = "bars") -> Panel:
    rows = monthly_returns(con, plain(bars), MONTH, days_before=days_before)
    return panel_from_table(rows, days_before=days_before)


def by_pandas(bars: pd.DataFrame, days_before: int) -> dict[str, pd.DataFrame]:
    """Price, mark and entry prices of each month (dates × tickers), by pandas."""
    dates = dates_by_pandas(days_before)
    bars = bars[bars["date"].isin(SESSIONS) & (bars["date"] <= dates[-1])].copy()
    bars["end"] = dates[dates.searchsorted(bars["date"])]
    starts = SESSIONS[np.append(0, SESSIONS.searchsorted(dates[:-1]) + 1)]
    last = bars.sort_values("date").groupby(["end", "ticker"])[["close", "date"]].last()
    stale = SESSIONS.searchsorted(last.index.get_level_values("end")) - SESSIONS.searchsorted(
        last["date"]
    )
    entered = bars[bars["date"].isin(starts)].set_index(["end", "ticker"])
    return {
        "mark": last["close"].unstack("ticker"),
        "price": last["close"].where(stale <= 5).unstack("ticker"),
        "entry_open": entered["open"].unstack("ticker"),
        "entry_close": entered["close"].unstack("ticker"),
    }


@pytest.mark.parametrize("days_before", [0, DAYS_BEFORE, 15])
def test_prices_are_those_of_pandas(
    con: duckdb.DuckDBPyConnection, bars: pd.DataFrame, days_before: int
) -> None:
    panel, expected = panel_of(con, days_before), by_pandas(bars, days_before)
    assert pd.DatetimeIndex(panel.dates).tolist() == expected["mark"].index.tolist()
    assert panel.tickers.tolist() == list(NAMES)
    for name, frame in expected.items():
        wanted = frame.reindex(index=expected["mark"].index, columns=list(NAMES))
        np.testing.assert_array_equal(getattr(panel, name), wanted, err_msg=name)
    assert np.isnan(panel.price).any()
    assert np.isnan(panel.entry_open).any()


def test_returns_are_those_of_pandas(con: duckdb.DuckDBPyConnection, bars: pd.DataFrame) -> None:
    rows = monthly_returns(con, plain("bars"), MONTH, days_before=DAYS_BEFORE).to_pandas()
    found = rows.pivot(index="date", columns="ticker", values="ret")
    expected = by_pandas(bars, DAYS_BEFORE)["price"].pct_change(fill_method=None)
    found.index = pd.to_datetime(found.index)
    pd.testing.assert_frame_equal(
        found, expected, check_names=False, check_freq=False, check_index_type=False
    )
    stale = rows["sessions_stale"].max()
    assert 5 < stale < 23


def test_no_days_before_is_what_there_was(con: duckdb.DuckDBPyConnection) -> None:
    keys = [("ticker", "ascending"), ("date", "ascending")]
    one, two = (
        monthly_returns(con, plain("bars"), MONTH, **said).sort_by(keys)
        for said in ({}, {"days_before": 0})
    )
    assert one.equals(two)


def test_nothing_after_the_last_date_is_looked_at(con: duckdb.DuckDBPyConnection) -> None:
    last = calendar.month_end(MONTH, DAYS_BEFORE)
    cut = f"(FROM bars WHERE date <= DATE '{last}')"
    one, two = panel_of(con, DAYS_BEFORE), panel_of(con, DAYS_BEFORE, cut)
    assert one.dates[-1] == two.dates[-1] == np.datetime64(last)
    for name in VALUES:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    bars = bars_beside(con, plain("bars"), "close", one.dates, one.tickers, days_before=DAYS_BEFORE)
    assert bars.days[-1] == np.datetime64(last)
    first = calendar.month_end("2009-12", DAYS_BEFORE)
    days = SESSIONS[(first < SESSIONS.date) & (last >= SESSIONS.date)]
    assert bars.days.tolist() == days.date.tolist()
    assert bars.month.tolist() == one.dates.searchsorted(bars.days).tolist()


BOOKS: dict[str, dict[str, Any]] = {
    "at the close": {},
    "at the next close": {"execution": {"trade_at": "next_close"}},
    "quarterly, at the next open": {
        "execution": {"trade_at": "next_open"},
        "schedule": {"every_months": 3, "days_before_month_end": DAYS_BEFORE},
    },
}


@pytest.mark.parametrize("kind", BOOKS)
def test_the_days_of_such_a_book_compound_to_its_months(
    con: duckdb.DuckDBPyConnection, kind: str
) -> None:
    said = {"schedule": {"days_before_month_end": DAYS_BEFORE}, "costs": {"tc_bps": 10.0}}
    book = {"select": {"top_k": 2}, "min_names": 2}
    factors = [{"name": "trend", "params": {"lookback": 6}, "delay": 0}]
    strategy = strategy_of(**said | BOOKS[kind], factors=factors, portfolio=book)
    panel = panel_of(con, DAYS_BEFORE)
    daily = daily_basis(con, plain("bars"), "close", NAMES, LAST)
    found = research.run(resolved_of(strategy, list(NAMES)), panel, daily)
    assert found.daily is not None
    assert found.daily.dates[-1] == found.backtest.dates[-1] == panel.dates[-1]
    assert compounding_violations(found.daily, found.backtest, DAYS_BEFORE) == []
    assert compounding_violations(found.daily, found.backtest) != []


def test_one_name_earns_from_date_to_date(con: duckdb.DuckDBPyConnection) -> None:
    schedule = {"days_before_month_end": DAYS_BEFORE}
    panel = panel_of(con, DAYS_BEFORE)
    found = research.run(resolved_of(strategy_of(schedule=schedule), ["AAA"]), panel).backtest
    mark = pd.Series(panel.mark[:, 0]).ffill()
    expected = (mark / mark.shift(1) - 1).to_numpy()[-len(found.dates) :]
    np.testing.assert_allclose(found.net_return, expected, rtol=0, atol=1e-15)


def test_metrics_of_a_segment_are_of_its_own_days(con: duckdb.DuckDBPyConnection) -> None:
    schedule = {"days_before_month_end": DAYS_BEFORE}
    strategy = strategy_of(schedule=schedule, in_sample_until="2013-12")
    daily = daily_basis(con, plain("bars"), "close", NAMES, LAST)
    cell = resolved_of(strategy, ["AAA"])
    found = research.run(cell, panel_of(con, DAYS_BEFORE), daily)
    assert found.daily is not None
    days, net = found.daily.dates, found.daily.net_return.copy()
    net[days == np.datetime64("2013-12-30")] = -0.9  # belongs to the month that ends in January
    fallen = replace(found.daily, net_return=net)
    _, early, late = research.measure(cell, found.backtest, fallen, price_basis="close")
    assert (str(early["last_date"]), str(late["first_date"])) == ("2013-12-26", "2014-01-28")
    assert early["max_drawdown_daily"] > -0.5
    assert late["max_drawdown_daily"] < -0.85
