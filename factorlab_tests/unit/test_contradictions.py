"""Limits that contradict each other or their universe are refused, with place and cure."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved, Strategy, resolve
from factorlab_assets.universes import NamedUniverse
from factorlab_tests.small_panels import ranked, strategy_of

SHORT = {"type": "long_short"}
UNIVERSES = {
    "five": NamedUniverse(tickers={"A": "x", "B": "x", "C": "y", "D": "y", "E": "z"}),
}


@pytest.mark.parametrize(
    ("portfolio", "told"),
    [
        (
            {"select": {"top_k": 3}, "max_weight": 0.3},
            r"top_k 3 with max_weight 0\.3 holds at most 0\.9 of the 1 that is to be inv.*; raise",
        ),
        ({"select": {"top_k": 2}, "max_weight": 0.2, **SHORT}, r"at most 0\.4 of the 0\.5"),
        ({"select": {"top_k": 2}, "max_weight": 0.2, "neutral": "beta", **SHORT}, "at most 0.4"),
        ({"max_names": 3, "max_weight": 0.3}, r"max_names 3 with max_weight 0\.3 holds at most"),
        (
            {"select": {"top_k": 4}, "min_weight": 0.3},
            r"top_k 4 names of min_weight 0\.3 weigh 1\.2",
        ),
        ({"min_weight": 0.3, "max_weight": 0.2}, "min_weight is at most max_weight"),
        ({"min_trade": 0.3, "max_weight": 0.3}, "min_trade is below max_weight"),
        ({"select": {"top_k": 3}, "max_names": 2}, "top_k takes 3 names, max_names lets 2"),
        (
            {"select": {"top_k": 2}, "max_names": 3, **SHORT},
            "top_k takes 4 names, max_names lets 3",
        ),
        ({"max_names": 1, **SHORT}, "max_names is at least 2"),
        ({"select": {"only_positive": "trend", "safe": "A"}, **SHORT}, "go with type: long_only"),
        ({"select": {"only_positive": "trend", "breadth": 2}, **SHORT}, "go with type: long_only"),
        ({"neutral": "beta"}, "goes with type: long_short"),
        ({"neutral": "beta", "net": 0.2, **SHORT}, "neutral: beta sizes the legs; leave net out"),
        ({"neutral": "beta", "select": {"threshold": 0}, **SHORT}, "leave one out"),
        ({"net": 0.2, "select": {"threshold": 0}, **SHORT}, "the scores decide .* leave net out"),
        ({"neutral": "beta", "beta_target": 1, **SHORT}, "leave beta_target out"),
        ({"beta_target": 0}, "would hold nothing"),
        ({"beta_target": 1, "volatility_target": 0.1}, "leave one out"),
        ({"max_leverage": 2}, "goes with volatility_target or beta_target"),
        ({"turnover_penalty": 0.1}, "goes with weighting: mean_variance"),
        (
            {"groups": {"x": {"max": -0.1}}},
            "groups.x: a long_only group weighs between 0 and gross",
        ),
        ({"groups": {"x": {"min": 1.1}}}, "groups.x: a long_only group"),
        ({"groups": {"x": {"min": 0.6}, "y": {"min": 0.6}}}, "sum to 1.2, more than gross 1"),
    ],
)
def test_a_portfolio_that_contradicts_itself_is_refused(portfolio: dict[str, Any], told: str):
    with pytest.raises(ValidationError, match=told) as caught:
        ranked(portfolio)
    assert caught.value.errors()[0]["loc"] == ("portfolio",)


@pytest.mark.parametrize(
    ("fixed", "told"),
    [
        ({"select": {"threshold": 0.1}}, "and threshold"),
        ({"select": {"only_positive": "trend", "safe": "A"}}, "leave it out of fixed_weights"),
        ({"min_weight": 0.3}, "keep to min_weight"),
        ({"max_names": 1}, "more fixed_weights than max_names"),
    ],
)
def test_so_are_fixed_weights_that_do(fixed: dict[str, Any], told: str):
    weights = {"A": 0.7, "B": 0.2}
    with pytest.raises(ValidationError, match=told):
        ranked({"weighting": "fixed", "fixed_weights": weights} | fixed)


@pytest.mark.parametrize(
    "portfolio",
    [
        {"select": {"top_k": 4}, "max_weight": 0.25},
        {"select": {"top_k": 4}, "min_weight": 0.25},
        {"select": {"top_k": 10}, "min_weight": 0.2, "weighting": "minimum_variance"},
        {"select": {"top_k": 1}, "gross": 2.0},
        {"select": {"threshold": 0.0}, "net": 0.0, **SHORT},
        {"max_weight": 0.05},
        {"groups": {"x": {"min": -0.5, "max": -0.1}}, **SHORT},
    ],
)
def test_what_only_looks_like_it_is_not(portfolio: dict[str, Any]):
    ranked(portfolio)


@pytest.mark.parametrize("name", ["max_turnover", "min_weight", "max_names"])
def test_tranches_do_not_go_with_limits_on_the_whole_book(name: str):
    with pytest.raises(ValidationError, match=f"leave portfolio.{name} out"):
        ranked({name: 1 if name == "max_names" else 0.2}, schedule={"tranches": 3})


def test_max_names_needs_something_to_choose_by():
    with pytest.raises(ValidationError, match="name a factor"):
        strategy_of(portfolio={"max_names": 3})
    strategy_of(portfolio={"max_names": 3, "weighting": "risk_parity"})


def test_a_band_of_a_whole_position_would_never_open_one():
    with pytest.raises(ValidationError, match="less than 1"):
        strategy_of(schedule={"band": 1.0})


def resolved(portfolio: dict[str, Any], **universe: Any) -> Resolved:
    said = {"of": "five"} | universe
    return resolve(ranked(portfolio, universe=said), UNIVERSES, {})


@pytest.mark.parametrize(
    ("portfolio", "told"),
    [
        (
            {"max_weight": 0.19},
            r"portfolio\.max_weight\. Got: a universe of 5 names .* at most 0\.95",
        ),
        ({"max_weight": 0.4, "select": {"fraction": 0.4}}, r"holds at most 0\.8 of the 1"),
        ({"max_weight": 0.2, **SHORT}, r"holds at most 0\.4 of the 0\.5"),
        (
            {"max_weight": 0.22, "select": {"only_positive": "trend", "safe": "E"}},
            "a universe of 4 names to rank",
        ),
        ({"min_weight": 0.21}, r"portfolio\.min_weight\. Got: 5 equal names of at least 0\.21"),
        (
            {"groups": {"x": {"max": 0.3}, "y": {"max": 0.3}, "z": {"max": 0.3}}},
            r"portfolio\.groups\. Got: .*max to 0\.9, .*net 1 between",
        ),
        (
            {"groups": {g: {"min": 0.1} for g in "xyz"}, "net": 0.2, **SHORT},
            r"min sum to 0\.3, .*net 0\.2 between",
        ),
        (
            {"groups": {"z": {"min": 0.5}}, "max_weight": 0.4},
            r"groups\.z\.min\. Got: 0\.5\. Expected: at most 1 tickers times max_weight 0\.4",
        ),
    ],
)
def test_a_universe_that_can_never_keep_the_limits_is_refused(portfolio, told: str):
    with pytest.raises(FactorLabError, match=told):
        resolved(portfolio)


@pytest.mark.parametrize(
    "portfolio",
    [
        {"max_weight": 0.2},
        {"min_weight": 0.2},
        {"min_weight": 0.3, "weighting": "minimum_variance"},
        {"groups": {"x": {"max": 0.3}, "y": {"max": 0.3}}},
        {"max_weight": 0.1, "select": {"threshold": 0.0}},
        {"groups": {g: {"max": -0.1} for g in "xyz"}, "select": {"threshold": 0.0}, **SHORT},
    ],
)
def test_one_that_can_is_not(portfolio: dict[str, Any]):
    resolved(portfolio)


def test_filters_count_as_the_names_they_let_through():
    said = {"max_weight": 0.3}
    resolved(said)
    with pytest.raises(FactorLabError, match="a universe of 3 names"):
        resolved(said, top_dollar_volume=3)


def test_what_is_resolved_can_be_read_back_from_the_ledger():
    for portfolio in (
        {"neutral": "beta", **SHORT},
        {"select": {"threshold": 0.0}, **SHORT},
        {"volatility_target": 0.1, "max_leverage": 2.0},
    ):
        found = resolved(portfolio)
        again = Resolved.from_config("again", found.config)
        assert again.config_hash == found.config_hash
        assert isinstance(again.strategy, Strategy)
