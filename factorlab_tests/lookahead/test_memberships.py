"""Filters of a universe under the proof: each passes, and members chosen in hindsight do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import membership, research
from factorlab_assets.core import proof as proof_module
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.membership import MEMBER, NO_PRICE, STALE, Members
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.proof import Scenarios
from factorlab_assets.core.signals import universe
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

FILTERS: dict[str, dict[str, Any]] = {
    "history": {"min_history": 30},
    "price": {"min_price": 40.0},
    "trading": {"max_stale_sessions": 0},
    "volume": {"min_dollar_volume": 2e7, "liquidity_months": 2},
    "largest": {"top_dollar_volume": 7, "liquidity_months": 1},
    "all": {
        "min_history": 12,
        "min_price": 20.0,
        "max_stale_sessions": 2,
        "min_dollar_volume": 1e6,
        "top_dollar_volume": 9,
    },
}


def momentum(
    tickers: Sequence[str] | None, benchmark: str = "equal_weight", **filters: Any
) -> Resolved:
    """Long the best three of the last half year among the members."""
    factor = {"name": "trend", "params": {"lookback": 6}, "transforms": [{"kind": "zscore"}]}
    return resolved_of(
        strategy_of(
            universe={"of": "all" if tickers is None else tickers} | filters,
            factors=[factor | {"delay": 0}],
            portfolio={"select": {"top_k": 3}, "min_names": 4},
            benchmark=benchmark,
        ),
        tickers,
    )


@pytest.fixture(scope="module", params=["bars", "grown"], ids=["close", "total_return"])
def scenarios(con: duckdb.DuckDBPyConnection, request: pytest.FixtureRequest) -> Scenarios:
    every = momentum(None, **FILTERS["all"])
    return Scenarios.build(con, request.param, MONTH, [every])


@pytest.mark.parametrize("kind", FILTERS)
def test_every_filter_passes(scenarios: Scenarios, kind: str) -> None:
    for tickers in (None, tuple(ETFS)):
        resolved = momentum(tickers, **FILTERS[kind])
        proof = scenarios.prove(resolved)
        assert proof.findings == []
        assert proof.figures["impulse_held"] >= 3
        found = membership.members(resolved, scenarios.histories.base)
        reasons = set(membership.counts(found.reason)) - {"no month-end price"}
        assert len(reasons) > 1, "a filter that keeps nobody out proves nothing"


Change = Callable[[Resolved, Panel, Members], Bools]


def chosen(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let members be decided by `change`."""

    def members(resolved: Resolved, market: Panel) -> Members:
        honest = membership.members(resolved, market)
        is_member = change(resolved, universe(resolved, market), honest)
        reason = np.where(is_member, MEMBER, np.maximum(honest.reason, NO_PRICE)).astype(np.int8)
        return Members(is_member, reason, is_filtered=True)

    monkeypatch.setattr(research, "members", members)


def survivors(resolved: Resolved, panel: Panel, honest: Members) -> Bools:
    return honest.is_member & np.isfinite(panel.seen[-1])


def long_lived(resolved: Resolved, panel: Panel, honest: Members) -> Bools:
    return honest.is_member & (np.isfinite(panel.seen).sum(axis=0) > 60)


def liquid_on_the_whole(resolved: Resolved, panel: Panel, honest: Members) -> Bools:
    volume = np.nanmedian(membership.median_dollar_volume(panel, 3), axis=0)
    return honest.is_member & (volume >= np.nanmedian(volume))


def next_months_members(resolved: Resolved, panel: Panel, honest: Members) -> Bools:
    return np.vstack([honest.is_member[1:], honest.is_member[-1:]])


@pytest.mark.parametrize(
    "change", [survivors, long_lived, liquid_on_the_whole, next_months_members]
)
def test_members_chosen_in_hindsight_are_caught(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    chosen(change, monkeypatch)
    # A benchmark of the members would be remembered from honest runs on these histories.
    proof = scenarios.prove(momentum(None, "SPY", top_dollar_volume=9, liquidity_months=1))
    of_members = [f for f in proof.findings if f["table"] == "memberships"]
    assert {finding["part"] for finding in of_members} >= {"truncation", "wild future"}
    assert proof.findings[0] == of_members[0]
    assert of_members[0]["column"] == "is_member"


def test_a_reason_told_in_hindsight_is_caught_though_no_number_moves(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch
) -> None:
    def members(resolved: Resolved, market: Panel) -> Members:
        honest = membership.members(resolved, market)
        gone = np.isnan(universe(resolved, market).seen[-1])
        reason = np.where(gone & ~honest.is_member, STALE, honest.reason).astype(np.int8)
        return replace(honest, reason=reason)

    monkeypatch.setattr(research, "members", members)
    proof = scenarios.prove(momentum(tuple(ETFS), "SPY", min_history=30))
    found = {(finding["table"], finding["column"]) for finding in proof.findings}
    assert found == {("memberships", "reason")}


def test_members_of_prices_before_they_are_repaired_are_those_that_were_seen(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repaired(resolved: Resolved, panel: Panel, honest: Members) -> Bools:
        known = replace(panel, seen=panel.price)
        return membership.members(resolved, known).is_member

    resolved = momentum(None, min_price=40.0)
    assert scenarios.prove(resolved).figures["repair"] == 3
    base = scenarios.histories.base
    late = base.seen != base.price
    # Whatever the repair did to these prices, a filter set between the two tells them apart.
    t, n = np.argwhere(late & np.isfinite(base.seen) & np.isfinite(base.price))[-1]
    resolved = momentum(None, min_price=float(base.price[t, n] + base.seen[t, n]) / 2)
    assert scenarios.prove(resolved).passed
    chosen(repaired, monkeypatch)
    proof = scenarios.prove(resolved)
    assert {finding["part"] for finding in proof.findings} >= {"repair"}


def test_of_a_big_universe_the_largest_are_scaled_with_the_sample(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_module, "SAMPLED_FROM", 13)
    monkeypatch.setattr(proof_module, "SAMPLE", 6)
    resolved = momentum(None, top_dollar_volume=10)
    scenarios = Scenarios.build(con, "bars", MONTH, [resolved])
    asked = set()

    def spying(resolved: Resolved, market: Panel) -> research.Result:
        asked.add(resolved.strategy.universe.top_dollar_volume)
        return research.run(resolved, market)

    proof = scenarios.prove(resolved, run=spying)
    assert proof.findings == []
    assert asked == {round(10 * proof.figures["tickers"] / 20)}
