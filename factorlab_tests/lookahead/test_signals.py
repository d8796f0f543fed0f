"""Every transform and every rule of combination passes the proof; one that looks ahead does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import combine as combine_module
from factorlab_assets.core import proof as proof_module
from factorlab_assets.core import transforms
from factorlab_assets.core.proof import Scenarios
from factorlab_assets.strategy import Resolved
from factorlab_assets.universes import load_universes
from factorlab_tests.conftest import PROJECT_ROOT
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

ETF13 = load_universes(PROJECT_ROOT / "data" / "universes.yaml")["etf13"]
CHAINS: dict[str, list[dict[str, Any]]] = {
    "mads": [{"kind": "winsorize", "mads": 2.0}],
    "zscore within": [{"kind": "zscore", "within": "asset_class"}],
    "demean within": [{"kind": "demean", "within": "asset_class"}],
    "rank within": [{"kind": "rank", "within": "asset_class"}],
    "normal": [{"kind": "normal"}],
    "neutral to groups": [{"kind": "neutralize", "groups": "asset_class"}],
    "neutral to a factor": [{"kind": "neutralize", "factors": ["low_vol"]}],
    "neutral to both": [
        {"kind": "neutralize", "groups": "asset_class", "factors": ["low_vol", "year"]}
    ],
    "clip": [{"kind": "zscore"}, {"kind": "clip", "low": -1.0, "high": 1.0}],
    "delay": [{"kind": "zscore"}, {"kind": "delay", "months": 2}],
    "smooth": [{"kind": "zscore"}, {"kind": "smooth", "months": 3}],
    "all": [
        {"kind": "winsorize", "mads": 3.0},
        {"kind": "neutralize", "groups": "asset_class", "factors": ["low_vol"]},
        {"kind": "smooth", "months": 2},
        {"kind": "zscore", "within": "asset_class"},
        {"kind": "clip"},
        {"kind": "normal"},
    ],
}
RULES: dict[str, dict[str, Any]] = {
    "rank mean": {"how": "rank_mean", "missing": "neutral"},
    "inverse volatility": {"how": "inverse_volatility", "window": 12},
    "inverse volatility of what is known": {"how": "inverse_volatility", "missing": "known"},
    "conditional": {"how": "conditional", "condition": "low_vol", "missing": "known"},
    "known": {"missing": "known"},
    "neutral": {"missing": "neutral"},
}


@pytest.fixture(scope="module")
def everything(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """Every ticker of the version: some of them list late, some are delisted."""
    return Scenarios.build(con, "grown", MONTH, [three_factors([], {}, None)])


@pytest.fixture
def fresh(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """The same, without a memory of honest signals."""
    return Scenarios.build(con, "grown", MONTH, [three_factors([], {}, None)])


def three_factors(
    chain: list[dict[str, Any]], rule: dict[str, Any], tickers: Sequence[str] | None, **said: Any
) -> Resolved:
    """Three months' trend under a chain, beside low volatility and the trend of a year."""
    factors = [
        {"name": "trend", "delay": 0, "params": {"lookback": 3}, "transforms": chain},
        {"name": "low_vol", "delay": 0, "params": {"lookback": 12}, "weight": 0.5},
        {"name": "trend", "label": "year", "delay": 1, "params": {"lookback": 12}, "weight": 0.01},
    ]
    book = {"select": {"top_k": 3}, "min_names": 4}
    strategy = strategy_of(factors=factors, combine=rule, portfolio=book, **said)
    groups = {"asset_class": dict(ETF13.tickers)}
    return resolved_of(strategy, tickers).model_copy(
        update={"groups": groups, "merge": ETF13.merge}
    )


FILTERED = {"of": "all", "min_history": 24}


@pytest.mark.parametrize("kind", CHAINS)
def test_every_transform_passes(everything: Scenarios, kind: str):
    cells = (
        three_factors(CHAINS[kind], {}, None, universe=FILTERED),
        three_factors(CHAINS[kind], {}, tuple(ETFS)),
    )
    for cell in cells:
        proof = everything.prove(cell)
        assert proof.findings == []
        assert proof.figures["impulse_held"] >= 3


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_of_combination_passes(everything: Scenarios, kind: str):
    cells = (
        three_factors(CHAINS["zscore within"], RULES[kind], None, universe=FILTERED),
        three_factors(CHAINS["zscore within"], RULES[kind], tuple(ETFS)),
    )
    for cell in cells:
        proof = everything.prove(cell)
        assert proof.findings == []
        assert proof.figures["impulse_held"] >= 3


def test_smoothing_over_months_to_come_is_caught(fresh, monkeypatch):
    def centred(values: np.ndarray, months: int) -> np.ndarray:
        return (np.roll(values, 1, axis=-2) + values + np.roll(values, -1, axis=-2)) / 3.0

    monkeypatch.setattr(transforms, "mean", centred)
    proof = fresh.prove(three_factors(CHAINS["smooth"], {}, tuple(ETFS)))
    assert {"truncation", "wild future"} <= {finding["part"] for finding in proof.findings}


def test_groups_of_whoever_was_ever_known_are_caught(fresh, monkeypatch):
    honest = transforms.group_codes

    def in_hindsight(tickers: Any, groups: Any, merge: Any, known: np.ndarray) -> np.ndarray:
        return honest(tickers, groups, merge, np.broadcast_to(known.any(axis=-2), known.shape))

    monkeypatch.setattr(transforms, "group_codes", in_hindsight)
    cell = three_factors(CHAINS["demean within"], {}, None)
    groups = {"asset_class": dict.fromkeys(["QQQ", "SPY", "X0003"], "Late")}  # the third in 2008
    proof = fresh.prove(cell.model_copy(update={"groups": groups}))
    assert {"truncation", "wild future"} <= {finding["part"] for finding in proof.findings}


@pytest.mark.parametrize("leak", ["of the whole sample", "of the month to come"])
def test_a_volatility_of_later_months_is_caught(everything, monkeypatch, leak):
    honest = combine_module.factor_volatility

    def in_hindsight(signal: np.ndarray, panel: Any, window: int) -> np.ndarray:
        own = honest(signal, panel, window)
        if leak == "of the month to come":
            return np.roll(own, -1)
        return np.full(own.shape, [np.nan, *own[~np.isnan(own)]][-1])

    monkeypatch.setattr(combine_module, "factor_volatility", in_hindsight)
    proof = everything.prove(three_factors([], RULES["inverse volatility"], tuple(ETFS)))
    assert {"truncation", "wild future"} <= {finding["part"] for finding in proof.findings}


def test_the_sample_of_a_big_universe_keeps_its_groups(con, monkeypatch):
    monkeypatch.setattr(proof_module, "SAMPLED_FROM", 13)
    monkeypatch.setattr(proof_module, "SAMPLE", 8)
    cell = three_factors(CHAINS["neutral to both"], RULES["known"], tuple(ETFS))
    proof = Scenarios.build(con, "bars", MONTH, [cell]).prove(cell)
    assert proof.findings == []
    assert (proof.figures["tickers"], proof.figures["of_tickers"]) == (8, 13)
