"""Laws of month-end returns on random bars: holes, listings, delistings and distributions included.

1. Adding bars or distributions after month t never changes a row up to t, by a single bit.
2. The order of rows and the number of threads never change a row, by a single bit.
3. A row is what a plain loop over the ticker's bars says (the oracle below).
4. The last daily close of a month on the basis is the month's mark.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.calendar import month_end, sessions
from factorlab_assets.core.returns import daily_basis, monthly_returns
from factorlab_tests.small_bars import grown

FIRST, LAST = dt.date(2019, 11, 1), dt.date(2020, 5, 29)
MONTHS = ["2019-11", "2019-12", "2020-01", "2020-02", "2020-03", "2020-04", "2020-05"]
DAYS = sessions(FIRST, LAST)

histories = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.6, 0.97]))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def random_history(seed: int, missing: float) -> tuple[pa.Table, pa.Table]:
    """Bars of four tickers with `missing` of them left out, and distributions on any day at all."""
    rng = np.random.default_rng(seed)
    names = ("ticker", "date", "open", "close", "volume")
    bars: dict[str, list[Any]] = {name: [] for name in names}
    paid: dict[str, list[Any]] = {"ticker": [], "ex_date": [], "amount": []}
    for ticker in ("AA", "B", "C", "DDD"):
        listed, delisted = sorted(rng.integers(0, len(DAYS) + 1, 2)) if ticker > "B" else (0, 999)
        days = [day for day in DAYS[listed:delisted].tolist() if rng.random() >= missing]
        close = 20 * np.exp(np.cumsum(rng.normal(0, 0.05, len(days))))
        bars["ticker"] += [ticker] * len(days)
        bars["date"] += days
        bars["close"] += close.tolist()
        bars["open"] += (close * rng.uniform(0.95, 1.05, len(days))).tolist()
        bars["volume"] += [1.0] * len(days)
        span = (LAST - FIRST).days + 1
        for offset in rng.choice(span, rng.integers(0, 25), replace=False).tolist():
            paid["ticker"].append(ticker)
            paid["ex_date"].append(FIRST + dt.timedelta(days=offset))
            paid["amount"].append(float(rng.uniform(0.01, 3)))
    kinds = {"date": pa.date32(), "ex_date": pa.date32(), "ticker": pa.string()}
    return tuple(
        pa.table({k: pa.array(v, kinds.get(k, pa.float64())) for k, v in columns.items()})
        for columns in (bars, paid)
    )


def rows(
    con: duckdb.DuckDBPyConnection, bars: pa.Table, paid: pa.Table, month: str
) -> dict[tuple[str, dt.date], dict[str, Any]]:
    con.register("t_bars", bars)
    con.register("t_paid", paid)
    found = monthly_returns(con, grown(con, "t_bars", "t_paid"), month).to_pylist()
    by_key = {(row["ticker"], row["date"]): row for row in found}
    assert len(by_key) == len(found)
    return by_key


def cut(table: pa.Table, column: str, last: dt.date) -> pa.Table:
    return table.filter(pa.compute.less_equal(table[column], pa.scalar(last)))


@given(histories, st.sampled_from(MONTHS), st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_comes_after_a_month_never_changes_it(con, history, month, in_full) -> None:
    bars, paid = random_history(*history)
    end = month_end(month)
    known = rows(con, cut(bars, "date", end), cut(paid, "ex_date", end), month)
    later = rows(con, bars, paid, MONTHS[-1] if in_full else month)
    assert known == {key: row for key, row in later.items() if key[1] <= end}


def test_distributions_to_come_never_change_the_last_bit(con) -> None:
    """Many tickers with many distributions: where a running product() over a window differs."""
    con.execute(
        "CREATE OR REPLACE TABLE many AS SELECT 'T' || i AS ticker, day::DATE AS date, "
        "10 + (i * 7 + dayofyear(day) * 13) % 17 AS close, close AS open, 0.37 AS amount, "
        "1 AS volume "
        "FROM range(13) t(i), range(DATE '2019-01-01', DATE '2020-06-01', INTERVAL 4 DAY) r(day)"
    )
    paid = "(SELECT ticker, date AS ex_date, amount FROM many {})"
    columns = ("ticker", "date", "growth")
    whole = monthly_returns(con, grown(con, "many", paid.format("")), "2020-05", columns=columns)
    for month in MONTHS:
        until = f"WHERE date <= DATE '{month_end(month)}'"
        grown_now = grown(con, "many", paid.format(until))
        now = monthly_returns(con, grown_now, month, columns=columns)
        known = cut(whole, "date", month_end(month))
        assert sorted(now.to_pylist(), key=str) == sorted(known.to_pylist(), key=str)


@given(histories, st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_row_order_and_threads_change_nothing(con, history, threads) -> None:
    bars, paid = random_history(*history)
    expected = rows(con, bars, paid, MONTHS[-1])
    rng = np.random.default_rng(0)
    with duckdb.connect(config={"threads": threads}) as other:
        shuffled = [table.take(rng.permutation(table.num_rows)) for table in (bars, paid)]
        assert rows(other, *shuffled, MONTHS[-1]) == expected


def looped(bars: pa.Table, paid: pa.Table) -> dict[tuple[str, dt.date], dict[str, Any]]:
    """Every row by a plain loop over days, ticker by ticker: the meaning, without any speed."""
    found: dict[tuple[str, dt.date], dict[str, Any]] = {}
    for ticker in sorted(set(bars["ticker"].to_pylist())):
        mine = [bar for bar in bars.to_pylist() if bar["ticker"] == ticker]
        by_day = {bar["date"]: bar for bar in mine}
        due = [cash for cash in paid.to_pylist() if cash["ticker"] == ticker]
        due = [cash for cash in due if min(by_day) < cash["ex_date"]]
        growth, last, last_price, last_total = 1.0, None, None, None
        row: dict[str, Any] = {}
        for i, day in enumerate(DAYS.tolist()):
            first_of_month = i == 0 or DAYS[i - 1].item().month != day.month
            if first_of_month:
                row = {"entry_open": None, "entry_close": None, "entry_growth": None}
                last = None
            if day in by_day:
                close = by_day[day]["close"]
                reached = [cash for cash in due if cash["ex_date"] <= day]
                due = [cash for cash in due if cash["ex_date"] > day]
                growth *= 1 + sum(cash["amount"] for cash in reached) / close
                last = (i, day, close, growth)
                if first_of_month:
                    row["entry_open"] = by_day[day]["open"]
                    row["entry_close"] = close
                    row["entry_growth"] = growth
            if day == month_end(f"{day:%Y-%m}"):
                price = total = None
                if last is not None:
                    at, traded, close, factor = last
                    price = close if i - at <= 5 else None
                    total = price and price * factor
                    ret = price / last_price - 1 if price and last_price else None
                    total_ret = total / last_total - 1 if total and last_total else None
                    found[ticker, day] = row | {
                        "ticker": ticker,
                        "date": day,
                        "last_trading_day": traded,
                        "sessions_stale": i - at,
                        "close": close,
                        "price": price,
                        "seen": price,
                        "growth": factor,
                        "ret": ret,
                        "total_ret": total_ret,
                    }
                last_price, last_total = price, total
    return found


@given(histories)
@settings(max_examples=30, deadline=None)
def test_rows_are_what_a_plain_loop_says(con, history) -> None:
    bars, paid = random_history(*history)
    found, expected = rows(con, bars, paid, MONTHS[-1]), looped(bars, paid)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert row.keys() == expected[key].keys()
        for name, value in row.items():
            # rel: growth multiplies up to 25 factors; abs: a return is a difference near 0
            wanted = expected[key][name]
            if isinstance(wanted, float):
                wanted = pytest.approx(wanted, rel=1e-13, abs=1e-13)
            assert value == wanted, (key, name)


@given(histories)
@settings(max_examples=12, deadline=None)
def test_the_daily_basis_ends_each_month_at_its_mark(con, history) -> None:
    bars, paid = random_history(*history)
    monthly = rows(con, bars, paid, MONTHS[-1])
    dates, tickers, close, opened = daily_basis(
        con, grown(con, "t_bars", "t_paid"), "total_return", ["AA", "C", "NONE"], LAST
    )
    assert tickers.tolist() == ["AA", "C", "NONE"]
    np.testing.assert_array_equal(np.isnan(close), np.isnan(opened))
    assert np.isnan(close[:, 2]).all()
    months = dates.astype("datetime64[M]")
    expected = {
        key: row["close"] * row["growth"] for key, row in monthly.items() if key[0] in ("AA", "C")
    }
    found = {}
    for month in np.unique(months):
        for i, ticker in enumerate(tickers[:2].tolist()):
            known = close[months == month, i]
            known = known[~np.isnan(known)]
            if len(known):
                found[ticker, month_end(str(month))] = known[-1]
    assert found == pytest.approx(expected, rel=1e-13)
