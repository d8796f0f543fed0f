"""The whole path on thirteen real ETFs, against the month-ends that pandas makes of the files.

Tolerance 1e-12: the same closes, divided and multiplied in another order.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.panel import Panel, panel_from_table
from factorlab_assets.core.returns import daily_basis, monthly_returns, plain
from factorlab_tests.small_bars import grown
from factorlab_tests.small_panels import resolved_of, strategy_of


@pytest.fixture(scope="module")
def closes(shared_data: Path) -> pd.DataFrame:
    files = sorted((shared_data / "stooq" / "bulk_2024").glob("*.txt"))
    frames = [pd.read_csv(file, usecols=["<TICKER>", "<DATE>", "<CLOSE>"]) for file in files]
    rows = pd.concat(frames).set_axis(["ticker", "date", "close"], axis=1)
    rows["ticker"] = rows["ticker"].str.removesuffix(".US")
    rows["date"] = pd.to_datetime(rows["date"].astype(str))
    wide = rows[rows["date"] <= "2024-05-31"].pivot(index="date", columns="ticker", values="close")
    return wide.loc["2005-02-25":]


@pytest.fixture(scope="module")
def market(closes: pd.DataFrame) -> tuple[Panel, DailyPrices]:
    bars = closes.stack().dropna().rename("close").reset_index()
    bars["date"] = bars["date"].dt.date
    for name in ("open", "high", "low"):
        bars[name] = bars["close"]
    bars["volume"] = 0.0
    with duckdb.connect() as con:
        con.register("frame", bars)
        con.execute("CREATE TABLE bars AS SELECT * REPLACE (date::DATE AS date) FROM frame")
        panel = panel_from_table(monthly_returns(con, plain("bars"), "2024-05"))
        last = closes.index[-1].date()
        return panel, daily_basis(con, plain("bars"), "close", list(closes.columns), last)


def test_spy_held_all_along(closes: pd.DataFrame, market: tuple[Panel, DailyPrices]):
    panel, prices = market
    cell = resolved_of(strategy_of(), ["SPY"])
    said = research.run(cell, panel, prices)
    row = research.measure(cell, said.backtest, said.daily, price_basis="close")[0]
    spy = closes["SPY"].dropna()
    monthly = spy.groupby(spy.index.to_period("M")).last()
    assert len(said.backtest.dates) == len(monthly) - 1 == 231
    assert said.backtest.nav == pytest.approx((monthly / monthly.iloc[0]).to_numpy()[1:], rel=1e-12)
    assert row["max_drawdown"] == pytest.approx((monthly / monthly.cummax() - 1).min(), rel=1e-12)
    inside = spy.loc["2005-02-28":]
    deeper = (inside / inside.cummax() - 1).min()
    assert row["max_drawdown_daily"] == pytest.approx(deeper, rel=1e-12)


def test_spy_with_its_dividends_fell_as_far_as_the_design_says(shared_data: Path):
    spy = pd.read_csv(shared_data / "alphavantage_2020" / "SPY.csv")
    spy = spy.rename(columns={"timestamp": "date", "dividend_amount": "amount"})
    with duckdb.connect() as con:
        con.register("frame", spy)
        con.execute(
            "CREATE TABLE bars AS SELECT 'SPY' AS ticker, date::DATE AS date, open, high, low, "
            "close, volume FROM frame"
        )
        con.execute(
            "CREATE TABLE paid AS SELECT 'SPY' AS ticker, date::DATE AS ex_date, amount "
            "FROM frame WHERE amount > 0"
        )
        bars = grown(con, "bars", "paid")
        panel = panel_from_table(monthly_returns(con, bars, "2020-11"), "total_return")
        prices = daily_basis(con, bars, "total_return", ["SPY"], dt.date(2020, 11, 30))
    cell = resolved_of(strategy_of(), ["SPY"])
    said = research.run(cell, panel, prices)
    row = research.measure(cell, said.backtest, said.daily, price_basis="total_return")[0]
    # DESIGN section 7, and the vendor's own adjusted closes: -0.508 and -0.552.
    assert row["max_drawdown"] == pytest.approx(-0.508, abs=0.0005)
    assert row["max_drawdown_daily"] == pytest.approx(-0.552, abs=0.0005)


def test_thirteen_in_equal_parts(closes: pd.DataFrame, market: tuple[Panel, DailyPrices]):
    panel, _ = market
    said = research.run(resolved_of(strategy_of(), list(closes.columns)), panel).backtest
    monthly = closes.groupby(closes.index.to_period("M")).last()
    returns = (monthly / monthly.shift() - 1).iloc[1:]
    expected = returns.where(monthly.shift().notna()).mean(axis=1)
    # A ticker is held from its first month-end on; nobody lacks a month-end price later.
    assert np.isfinite(panel.price).sum(axis=1).tolist() == monthly.notna().sum(axis=1).tolist()
    assert said.gross_return == pytest.approx(expected.to_numpy(), rel=1e-12, abs=1e-14)
