"""The proof on strategies that read daily bars: honest ones pass, who knows what is to come is
caught. The factors are made up here: the laws hold whatever is in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import factors, histories, research
from factorlab_assets.core.bars import Bars
from factorlab_assets.core.factors.base import FactorSpec
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.proof import Proof, Scenarios, prove
from factorlab_assets.core.returns import bars_of_each
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

Values = Callable[[Bars], Floats]


def monthly_mean(bars: Bars, values: Floats, n_months: int) -> Floats:
    """The mean of each month's known values."""
    rows, starts = np.unique(bars.month, return_index=True)
    out = np.full((n_months, values.shape[1]), np.nan)
    known = np.isfinite(values)
    counts = np.add.reduceat(known, starts, axis=0)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
    out[rows] = np.where(counts, sums / np.maximum(counts, 1), np.nan)
    return out


def of(read: Values, ahead: int = 0) -> Any:
    """A factor's `compute`: month-end price over its mean of daily values, of months ahead."""

    def compute(data: factors.Data, _: Any) -> Floats:
        assert data.bars is not None
        mean = monthly_mean(data.bars, read(data.bars), len(data.price))
        return data.price / np.vstack([mean[ahead:], mean[:ahead] * np.nan])

    return compute


COMPUTES = {
    "honest": of(lambda bars: bars.close),
    "traded": of(lambda bars: bars.dollar_volume),
    "next month": of(lambda bars: bars.close, ahead=1),
    "traded next month": of(lambda bars: bars.dollar_volume, ahead=1),
    "over the whole history": of(lambda bars: bars.close / np.nanmean(bars.close)),
}


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, compute in COMPUTES.items():
        said = (name, "-", "-", compute, (), 0, 1, "-", "-", lambda _: 0, lambda _: 0)
        monkeypatch.setitem(factors.REGISTRY, name, FactorSpec(*said, reads="bars"))


def toy(name: str, tickers: Any = tuple(ETFS), delay: int = 0, **said: Any) -> Resolved:
    """The best and worst three by one factor."""
    book = {"type": "long_short", "select": {"top_k": 3}}
    factor = {"name": name, "delay": delay, "transforms": [{"kind": "zscore"}]}
    return resolved_of(strategy_of(factors=[factor], portfolio=book, **said), tickers)


@pytest.fixture(scope="module")
def scenarios(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """Of the whole market, with bars because of what trading costs."""
    costs = {"impact": 0.1, "capital": 1e6}
    return Scenarios.build(con, "grown", MONTH, [resolved_of(strategy_of(costs=costs), None)])


def parts(proof: Proof) -> set[str]:
    return {finding["part"] for finding in proof.findings}


@pytest.mark.parametrize("tickers", [None, tuple(ETFS)], ids=["all", "etfs"])
@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("name", ["honest", "traded"])
def test_honest_bars_pass(scenarios: Scenarios, name: str, delay: int, tickers: Any):
    proof = scenarios.prove(toy(name, tickers, delay))
    assert proof.findings == []
    assert proof.figures["sessions"] > 4000
    assert proof.figures["repair"] >= 3
    assert proof.figures["impulse_held"] == 6, "a long and a short at each pulse"


@pytest.mark.parametrize(
    ("name", "caught_by"),
    [
        ("next month", {"truncation", "wild future", "null"}),
        ("traded next month", {"truncation", "wild future"}),
        ("over the whole history", {"truncation", "wild future", "impulse", "gap"}),
    ],
)
def test_bars_to_come_are_caught(scenarios: Scenarios, name: str, caught_by: set[str]):
    assert caught_by <= parts(scenarios.prove(toy(name)))


def repaired_at_once(resolved: Resolved, market: Panel) -> research.Result:
    """Bars as they are known in the end, whenever that was known."""
    bars = market.bars
    assert bars is not None
    nothing = bars.late.where(np.zeros(len(bars.late.row), dtype=np.bool_))
    return research.run(resolved, replace(market, bars=replace(bars, late=nothing)))


@pytest.mark.parametrize(("delay", "caught_by"), [(0, {"truncation", "repair"}), (1, {"repair"})])
def test_a_repair_before_it_is_known_is_caught(
    scenarios: Scenarios, delay: int, caught_by: set[str]
):
    # With a delay by those repairs alone that were known more than a month late.
    assert parts(scenarios.prove(toy("honest", None, delay), run=repaired_at_once)) == caught_by


def test_a_leak_in_reading_the_bars_is_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    def leaky(con: Any, bars: str, panels: Any, **said: Any) -> Any:
        ahead = "lead(close, 1, close) OVER (PARTITION BY ticker ORDER BY date)"
        return bars_of_each(
            con, f"(SELECT * REPLACE ({ahead} AS close) FROM {bars})", panels, **said
        )

    monkeypatch.setattr(histories, "bars_of_each", leaky)
    proof = prove(toy("honest"), con, "bars", MONTH)
    told = {(finding["part"], finding["table"]) for finding in proof.findings}
    assert ("truncation", "adjusted_prices") in told


def test_bars_are_read_only_where_a_strategy_looks_at_them(con: duckdb.DuckDBPyConnection):
    plain = resolved_of(strategy_of(), ["SPY", "IEF"])
    for strategies, wanted in (([plain], False), ([plain, toy("honest")], True)):
        found = Scenarios.build(con, "bars", MONTH, strategies).histories
        of = [found.base, *(cut.panel for cut in found.cuts), *found.noises]
        of += [panel for p in found.pulses for panel in (p.calm, p.moved, p.gapped)]
        assert {panel.bars is not None for panel in of} == {wanted}
