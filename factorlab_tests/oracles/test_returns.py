"""Month-end prices against pandas on real Stooq bars, total returns against a vendor's own.

The vendor files are Alpha Vantage's of 2020-12: raw closes, dividends, and an adjusted close that
compounds (P_t + D_t) / P_{t−1}. It has four decimals, hence the tolerance. Months with a split are
left out: raw closes jump there, FactorLab's input is split-adjusted.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core.calendar import month_starts
from factorlab_assets.core.returns import monthly_returns, plain
from factorlab_tests.small_bars import grown

MEMBERS = ("fan.us", "ltl.us", "xlg.us", "ucc.us", "efu.us", "aaxj.us", "spy.us", "dog.us")


@pytest.fixture(scope="module")
def stooq_bars(shared_data: Path) -> pd.DataFrame:
    """Eight ETFs of the real archive: liquid ones, and those with the longest gaps."""
    with zipfile.ZipFile(shared_data / "stooq/us_etfs_20240621.zip") as archive:
        frames = [
            pd.read_csv(io.BytesIO(archive.read(member)))
            for member in archive.namelist()
            if member.rsplit("/", 1)[-1].removesuffix(".txt") in MEMBERS
        ]
    bars = pd.concat(frames).rename(columns=lambda name: name.strip("<>").lower())
    bars["date"] = pd.to_datetime(bars["date"].astype(str)).astype("datetime64[us]")
    return bars.rename(columns={"vol": "volume"})[["ticker", "date", "open", "close", "volume"]]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_real_month_ends_agree_with_pandas(con, stooq_bars: pd.DataFrame) -> None:
    assert stooq_bars["ticker"].nunique() == len(MEMBERS)
    con.register("bars", stooq_bars)
    con.execute("CREATE TABLE b AS SELECT * REPLACE (date::DATE AS date) FROM bars")
    found = monthly_returns(con, plain("b"), "2024-05").to_pandas()
    found["month"] = pd.to_datetime(found["date"]).dt.to_period("M")
    found = found.set_index(["ticker", "month"]).sort_index()

    bars = stooq_bars[stooq_bars["date"] < "2024-06-01"].sort_values(["ticker", "date"])
    by_month = bars.groupby(["ticker", bars["date"].dt.to_period("M").rename("month")])
    assert found["close"].equals(by_month["close"].last())
    last_days = pd.to_datetime(found["last_trading_day"]).astype("datetime64[us]")
    assert last_days.equals(by_month["date"].last().rename("last_trading_day"))

    starts = pd.to_datetime(month_starts("1999-01", "2024-05"))
    starts = pd.Series(starts, index=starts.to_period("M"))
    months = found.index.get_level_values("month")
    on_time = by_month["date"].first().to_numpy() == starts.reindex(months).to_numpy()
    for column, name in (("entry_open", "open"), ("entry_close", "close")):
        assert found[column].equals(by_month[name].first().where(on_time).rename(column))
    assert 0 < (~on_time).sum() < len(found)

    price = found["price"].unstack("ticker").asfreq("M")
    expected = price.pct_change(fill_method=None)
    pd.testing.assert_frame_equal(found["ret"].unstack("ticker").asfreq("M"), expected, rtol=1e-14)
    assert (found["sessions_stale"] > 0).sum() > 20
    assert (found["sessions_stale"] > 5).sum() == found["price"].isna().sum() > 0


def test_total_returns_agree_with_the_vendors_adjusted_closes(con, shared_data: Path) -> None:
    files = shared_data / "alphavantage_2020" / "*.csv"
    con.execute(
        "CREATE TABLE vendor AS SELECT parse_filename(filename, true) AS ticker, "
        f"\"timestamp\" AS date, * FROM read_csv('{files}', filename = true)"
    )
    con.execute(
        "CREATE TABLE paid AS SELECT ticker, date AS ex_date, dividend_amount AS amount "
        "FROM vendor WHERE dividend_amount > 0"
    )
    found = monthly_returns(con, grown(con, "vendor", "paid"), "2020-11").to_pandas()
    vendor = con.sql("SELECT ticker, date, adjusted_close, split_coefficient FROM vendor").df()
    vendor["month"] = pd.to_datetime(vendor["date"]).dt.to_period("M")
    split = vendor.groupby(["ticker", "month"])["split_coefficient"].max() > 1
    last = vendor.sort_values("date").groupby(["ticker", "month"])["adjusted_close"].last()
    expected = last.groupby("ticker").pct_change(fill_method=None)[~split]

    found["month"] = pd.to_datetime(found["date"]).dt.to_period("M")
    ret = found.set_index(["ticker", "month"])["total_ret"]
    both = pd.concat({"found": ret, "expected": expected}, axis=1).dropna()
    assert len(both) > 2500
    assert both.index.get_level_values("ticker").nunique() == 13
    np.testing.assert_allclose(both["found"], both["expected"], rtol=0, atol=2e-6)
    assert np.nanmean(ret) - np.nanmean(found["ret"]) > 0.001
