"""Rows of `robustness` on a small market of daily bars, and strategies changed by hand.

Belongs here: what several tests of robustness share. Does not: what a row has to say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import duckdb
import pandas as pd
import pytest

from factorlab_assets import schemas
from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.panel import Panel, panel_from_table
from factorlab_assets.core.performance import metrics
from factorlab_assets.core.returns import monthly_returns
from factorlab_assets.evaluation.robustness import robustness
from factorlab_assets.evaluation_settings import Robustness
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.strategy import Strategy
from factorlab_tests.small_panels import resolved_of, strategy_of

FIRST, LAST, MONTH = dt.date(2010, 1, 4), dt.date(2015, 12, 31), "2015-12"
NAMES = ("AAA", "BBB", "CCC", "DDD", "SPY")
TREND = [{"name": "trend", "params": {"lookback": 6}, "delay": 1}]
TOP = {"select": {"top_k": 2}, "min_names": 3}
COSTS = {"tc_bps": 5.0, "slippage_bps": 5.0, "spread_bps": {"AAA": 20.0}}
FEW = Robustness(rebalance_days=2, delays=(0, 2), costs_bps=(0.0, 10.0, 40.0))
Rows = dict[str, dict[str, dict[str, Any]]]


@cache
def daily_bars() -> pd.DataFrame:
    """Bars of five tickers, one of which is listed late."""
    rows = Synthetic(dict.fromkeys(NAMES, "Equity"), seed=3, start=FIRST).fetch(None, LAST)
    bars = rows.prices.to_pandas()
    bars = bars[(bars["ticker"] != "DDD") | (bars["date"] >= dt.date(2010, 6, 15))]
    return bars.assign(seen=bars["close"], growth=1.0)


@cache
def market_at(days: int) -> Panel:
    """The market on months that end so many sessions early."""
    with duckdb.connect() as con:
        con.register("frame", daily_bars())
        con.execute("CREATE TABLE bars AS SELECT * REPLACE (date::DATE AS date) FROM frame")
        monthly = monthly_returns(con, "bars", MONTH, days_before=days)
    return panel_from_table(monthly, "close", days_before=days)


def top_two(**said: Any) -> Strategy:
    """The best two of five by trend, at a cost."""
    return strategy_of(**({"factors": TREND, "portfolio": TOP, "costs": COSTS} | said))


def rows_of(
    strategy: Strategy,
    market: Panel | None = None,
    offsets: Any = market_at,
    settings: Robustness = FEW,
    tickers: Sequence[str] | None = NAMES,
) -> tuple[Rows, Backtest]:
    """Rows by test and setting; found to be rows that the table takes, in order."""
    resolved, market = resolved_of(strategy, tickers), market or market_at(0)
    result = research.run(resolved, market)
    rows = robustness(resolved, market, result.book, result.backtest, settings, offsets)
    frame = pd.DataFrame([{"month": MONTH, "strategy": "test"} | row for row in rows])
    schemas.ROBUSTNESS.schema.validate(frame)
    assert set(frame) == set(schemas.ROBUSTNESS.columns)
    assert not frame.duplicated(list(schemas.ROBUSTNESS.primary_key)).any()
    assert set(frame["test"]) == set(schemas.ROBUSTNESS_TESTS)
    found: Rows = {}
    for row in rows:
        own = found.setdefault(row["test"], {})
        assert row["position"] == len(own)
        own[row["setting"]] = row
    return found, result.backtest


def ran(strategy: Strategy, market: Panel, tickers: Sequence[str] | None = NAMES) -> Backtest:
    """What it earns."""
    return research.run(resolved_of(strategy, tickers), market).backtest


def figures(backtest: Backtest, months: Any = None, **said: Any) -> dict[str, float]:
    """Its figures in these months, the last so many, or in all."""
    own = replace(backtest, **said)
    rows = slice(None) if months is None else months
    rows = slice(-months, None) if isinstance(months, int) else rows
    columns = ("net_return", "rf", "benchmark_return", "turnover", "cost")
    found = metrics(*(getattr(own, column)[rows] for column in columns))
    return {name: found[name] for name in ("cagr", "sharpe", "excess_ann")}


def assert_says(row: dict[str, Any], expected: dict[str, float]) -> None:
    """The row has these figures, but for rounding."""
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)
