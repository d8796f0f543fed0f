"""Which strategies look at daily bars, whose prices they read, and what panel they are given."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import research, shared
from factorlab_assets.core.market import with_bars
from factorlab_assets.core.panel import panel_from_table
from factorlab_assets.core.returns import monthly_returns, plain
from factorlab_assets.core.shared import SharedPanel
from factorlab_tests.small_bars import put_bars
from factorlab_tests.small_panels import resolved_of, strategy_of

DAILY: dict[str, dict[str, Any]] = {
    "a factor": {"factors": [{"name": "low_vol_daily", "delay": 0}]},
    "a filter": {"universe": {"of": ["A"], "min_dollar_volume": 1e6}},
    "staleness": {"universe": {"of": ["A"], "max_stale_sessions": 0}},
    "impact": {"costs": {"impact": 0.1, "capital": 1e6}},
    "daily risk": {
        "portfolio": {"weighting": "minimum_variance", "risk": {"returns": "daily"}},
    },
    "a volatility target": {
        "portfolio": {"volatility_target": 0.1, "risk": {"returns": "daily"}},
    },
}
MONTHLY: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a factor of months": {"factors": [{"name": "low_vol", "delay": 0}]},
    "a filter of months": {"universe": {"of": ["A"], "min_history": 12, "min_price": 5.0}},
    "monthly risk": {"portfolio": {"weighting": "minimum_variance"}},
    "daily risk that nobody asks for": {"portfolio": {"risk": {"returns": "daily"}}},
}


@pytest.mark.parametrize("kind", DAILY)
def test_daily_bars_are_read_where_something_needs_them(kind: str) -> None:
    cell = resolved_of(strategy_of(**DAILY[kind]), ["A"])
    assert research.reads_bars(cell)
    against = resolved_of(strategy_of(), ["A"]).model_copy(update={"benchmark": cell})
    assert research.reads_bars(against)


@pytest.mark.parametrize("kind", MONTHLY)
def test_otherwise_they_are_not(kind: str) -> None:
    assert not research.reads_bars(resolved_of(strategy_of(**MONTHLY[kind]), ["A"]))


def test_what_a_strategy_reads_is_its_universe_its_benchmark_and_what_stands_beside() -> None:
    beside = {
        "factors": [{"name": "beta", "params": {"market": "M"}, "delay": 0}],
        "cash": {"ticker": "C"},
        "benchmark": "60/40",
    }
    cell = resolved_of(strategy_of(**beside), ["A", "B"])
    assert research.tickers_read(cell, ["Z"]) == {"A", "B", "M", "C", "SPY", "IEF"}
    assert research.tickers_read(resolved_of(strategy_of(), None), ["Y", "Z"]) == {"Y", "Z", "SPY"}
    alone = resolved_of(strategy_of(benchmark="equal_weight"), ["A"])
    assert research.tickers_read(alone, ["Z"]) == {"A"}
    against = resolved_of(strategy_of(benchmark="strategy:other"), ["A"])
    against = against.model_copy(update={"benchmark": cell})
    assert research.tickers_read(against, ["Z"]) == {"A", "B", "M", "C"}


@pytest.fixture
def con() -> Any:
    days = ["2020-01-31", "2020-02-14", "2020-02-28"]
    with duckdb.connect() as connection:
        closes = {"A": 10.0, "B": 20.0, "C": 30.0, "SPY": 40.0}
        put_bars(connection, [(t, d, p + i) for t, p in closes.items() for i, d in enumerate(days)])
        yield connection


def test_the_market_has_bars_of_what_is_read_and_of_nothing_else(con: Any) -> None:
    market = panel_from_table(monthly_returns(con, plain("bars"), "2020-02"))
    daily, monthly = (
        resolved_of(strategy_of(**said), tickers)
        for said, tickers in ((DAILY["impact"], ["A", "GONE"]), ({}, ["B"]))
    )
    assert with_bars(con, plain("bars"), market, "close", [monthly]) is market
    found = with_bars(con, plain("bars"), market, "close", [monthly, daily])
    assert found.tickers.tolist() == ["A", "SPY"]
    assert found.bars is not None
    assert found.bars.close.shape == (len(found.bars.days), 2)
    assert found.bars.close[-1].tolist() == [12.0, 42.0]
    np.testing.assert_array_equal(found.price, market.select(["A", "SPY"]).price)
    everyone = resolved_of(strategy_of(**DAILY["impact"]), None)
    whole = with_bars(con, plain("bars"), market, "close", [everyone, daily])
    assert whole.tickers.tolist() == ["A", "B", "C", "SPY"]


def test_a_shared_panel_keeps_the_bars_of_a_universe_and_does_not_count_its_own(
    con: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MOST_BYTES", 1000)
    market = panel_from_table(monthly_returns(con, plain("bars"), "2020-02"))
    everyone = resolved_of(strategy_of(**DAILY["impact"]), None)
    own = SharedPanel.of(with_bars(con, plain("bars"), market, "close", [everyone]))
    assert own.bars is not None
    assert own.bars.close.nbytes > 1000
    assert own.select(["A", "B", "C"]) is own.select(["A", "B", "C"])
    whole = own.select(own.tickers.tolist())
    assert whole.bars is own.bars
    assert own.kept["select", ("A", "B", "C", "SPY")][1] < own.bars.close.nbytes
    assert own.select(["A", "B", "C"]) is not own.select(["A", "B"]), "both are kept"
    assert len(own.kept) == 3
    monkeypatch.setattr(shared, "MOST_BARS", 0)
    assert own.select(["B", "C"]) is not own.select(["B", "C"])
