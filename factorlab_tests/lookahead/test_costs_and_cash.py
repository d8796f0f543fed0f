"""The proof on strategies whose cash is a ticker and whose trades cost by name: honest ones pass,
and a rate or a cost that knows the next month is caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import simulate
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.proof import Scenarios
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

CASH = "SHY"
WITHOUT = tuple(ticker for ticker in ETFS if ticker != CASH)
DEAR = {"tc_bps": 5.0, "spread_bps": {"EEM": 12.0, "SPY": 2.0}, "borrow_ann": 0.02}
DEAR |= {"impact": 0.7, "capital": 1e7}
BOOKS: dict[str, dict[str, Any]] = {
    "long, half in cash": {"gross": 0.5},
    "levered": {"gross": 1.6},
    "long/short": {"type": "long_short", "gross": 1.2},
}


def momentum(tickers: tuple[str, ...], **said: Any) -> Resolved:
    """The best four of the last year (and short the worst), paying for everything."""
    portfolio = {"select": {"top_k": 4}, "min_names": 6} | said.pop("portfolio", {})
    plain = {"costs": DEAR | {"margin_spread_ann": 0.01}, "cash": {"ticker": CASH}}
    factors = [{"name": "trend", "delay": 0}]
    return resolved_of(strategy_of(**plain | said, factors=factors, portfolio=portfolio), tickers)


@pytest.fixture(scope="module")
def scenarios(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """The cash ticker is in their histories because a strategy reads it beside its universe."""
    return Scenarios.build(con, "grown", MONTH, [momentum(WITHOUT)])


@pytest.mark.parametrize("trade_at", ["close", "next_open"])
@pytest.mark.parametrize("tickers", [WITHOUT, tuple(ETFS)], ids=["beside", "inside"])
@pytest.mark.parametrize("book", BOOKS)
def test_a_ticker_as_cash_passes(
    scenarios: Scenarios, book: str, tickers: tuple[str, ...], trade_at: str
):
    execution = {"trade_at": trade_at}
    schedule = {"every_months": 3}
    cell = momentum(tickers, portfolio=BOOKS[book], execution=execution, schedule=schedule)
    assert CASH in scenarios.histories.base.tickers
    proof = scenarios.prove(cell)
    assert proof.findings == []
    assert proof.figures["largest_impulse_error"] < 1e-12
    # At each of three pulses two names are moved, and the cash where it is neither.
    assert proof.figures["impulse"] == 9 or (tickers != WITHOUT and proof.figures["impulse"] >= 6)


def early_rate(resolved: Resolved, market: Panel) -> research.Result:
    """Cash earns what its ticker is going to earn next month."""
    honest = research.run(resolved, market)
    carry = Carry.of(resolved.strategy, market)
    ahead = carry._replace(rf=np.append(carry.rf[1:], 0.0))
    return with_carry(resolved, market, honest, ahead)


def another_rate(resolved: Resolved, market: Panel) -> research.Result:
    """Cash earns half of what its ticker does."""
    honest = research.run(resolved, market)
    carry = Carry.of(resolved.strategy, market)
    return with_carry(resolved, market, honest, carry._replace(rf=carry.rf / 2))


def with_carry(
    resolved: Resolved, market: Panel, honest: research.Result, carry: Carry
) -> research.Result:
    benchmark = research.benchmark_returns(resolved, market)
    book, panel = honest.book, honest.panel
    return replace(honest, backtest=simulate(resolved.strategy, book, panel, benchmark, carry))


def spread_of_the_next_trade(resolved: Resolved, market: Panel) -> research.Result:
    honest = research.run(resolved, market)
    later = np.append(honest.backtest.spread_cost[1:], 0.0)[: len(honest.backtest.dates)]
    return replace(honest, backtest=replace(honest.backtest, spread_cost=later))


def bars_known_in_the_end(resolved: Resolved, market: Panel) -> research.Result:
    """Volatility as if every close had been repaired on its own day."""
    assert market.bars is not None
    late = market.bars.late
    at_once = market.bars.late.where(np.zeros(len(late.row), dtype=np.bool_))
    return research.run(resolved, replace(market, bars=replace(market.bars, late=at_once)))


def volume_of_the_whole_history(resolved: Resolved, market: Panel) -> research.Result:
    assert market.bars is not None
    volume = market.bars.dollar_volume
    known = np.isfinite(volume)
    mean = np.where(known, volume, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    bars = replace(market.bars, dollar_volume=np.where(known, mean, np.nan))
    return research.run(resolved, replace(market, bars=bars))


LEAKS = {
    "repairs of daily closes": (bars_known_in_the_end, {"truncation"}),
    "volumes to come": (volume_of_the_whole_history, {"truncation", "wild future"}),
    "the cash rate of the next month": (early_rate, {"truncation", "wild future", "impulse"}),
    "another cash rate": (another_rate, {"impulse"}),
    "spreads of the next trade": (spread_of_the_next_trade, {"truncation", "gap"}),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(scenarios: Scenarios, leak: str):
    run, caught_by = LEAKS[leak]
    honest = momentum(WITHOUT, portfolio={"gross": 0.5})
    proof = scenarios.prove(honest, run=run)
    assert caught_by <= {finding["part"] for finding in proof.findings}
