"""Books that rest on covariances, betas and their own past pass the proof; a leak into any of these
is found, though what was computed before is remembered."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import limits, research
from factorlab_assets.core.construct import Day
from factorlab_assets.core.plan import Plan
from factorlab_assets.core.proof import Scenarios
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import ranked, resolved_of

RISK = {"model": "exponential", "window": 24}
BOOKS: dict[str, dict[str, Any]] = {
    "minimum variance": {"weighting": "minimum_variance", "risk": RISK},
    "capped": {
        "weighting": "minimum_variance",
        "risk": RISK,
        "max_weight": 0.4,
        "max_turnover": 0.2,
        "min_weight": 0.03,
        "groups": {"Equity": {"max": 0.5}, "Rates": {"min": 0.1}},
    },
    "on target": {
        "type": "long_short",
        "select": {"threshold": 0.0},
        "weighting": "inverse_volatility",
        "risk": RISK,
        "volatility_target": 0.1,
        "max_leverage": 3.0,
    },
    "beta-neutral": {"type": "long_short", "select": {"top_k": 3}, "neutral": "beta"},
}
SCHEDULES = {"capped": {"band": 0.1}, "beta-neutral": {"tranches": 3}}


@pytest.fixture(scope="module")
def scenarios(con: duckdb.DuckDBPyConnection) -> Scenarios:
    return Scenarios.build(con, "bars", MONTH, [book("capped")])


def book(name: str) -> Resolved:
    strategy = ranked(BOOKS[name], schedule=SCHEDULES.get(name, {}))
    strategy.factors[0].params["lookback"] = 12
    groups = {"groups": {"asset_class": dict(ETFS)}}
    return resolved_of(strategy, tuple(ETFS)).model_copy(update=groups)


@pytest.mark.parametrize("name", BOOKS)
def test_honest_books_pass_to_the_last_bit(scenarios: Scenarios, name: str):
    proof = scenarios.prove(book(name))
    assert proof.findings == []
    assert proof.figures["largest_change"] == 0.0
    assert proof.figures["impulse_held"] >= 3


def test_a_covariance_that_knows_the_next_month_is_found(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch
):
    assert scenarios.prove(book("minimum variance")).passed  # and is remembered
    honest = limits.covariance

    def leaking(risk: Any, panel: Any, t: int, wanted: Any) -> Any:
        return honest(risk, panel, min(t + 1, len(panel.dates) - 1), wanted)

    monkeypatch.setattr(limits, "covariance", leaking)
    found = scenarios.prove(book("minimum variance")).findings
    assert {"truncation", "wild future"} <= {finding["part"] for finding in found}


def test_betas_that_know_the_next_month_are_found(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch
):
    honest = research.betas
    monkeypatch.setattr(
        research,
        "betas",
        lambda *given: np.vstack([(of := honest(*given))[1:], of[-1:]]),
    )
    found = scenarios.prove(book("beta-neutral")).findings
    assert "truncation" in {finding["part"] for finding in found}


def test_a_date_that_is_given_what_the_next_one_knows_is_found(
    scenarios: Scenarios, monkeypatch: pytest.MonkeyPatch
):
    honest = Plan.day

    def leaking(self: Plan, t: int, before: Any, stays: Any) -> Day:
        return honest(self, min(t + 1, len(self.known.score) - 1), before, stays)

    monkeypatch.setattr(Plan, "day", leaking)
    found = scenarios.prove(book("capped")).findings
    assert "truncation" in {finding["part"] for finding in found}


def test_an_outcome_that_moves_is_found(scenarios: Scenarios):
    def run(resolved: Resolved, panel: Any) -> research.Result:
        result = research.run(resolved, panel)
        result.book.outcome[:] = f"until {panel.dates[-1]}"
        return result

    found = scenarios.prove(book("capped"), run=run).findings
    assert ("weights", "outcome") in {(row["table"], row["column"]) for row in found}
