"""Which tickers a strategy's universe names, and what its filters may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved, resolve
from factorlab_assets.strategy_signals import Universe
from factorlab_assets.universes import NamedUniverse, look_up
from factorlab_tests.small_panels import strategy_of

NAMED = {
    "two": NamedUniverse(
        tickers={"SPY": "Equity", "IEF": "Rates"}, groups={"region": {"SPY": "US", "IEF": "US"}}
    ),
    "other": NamedUniverse(tickers={"EFA": "Equity", "GLD": "Gold"}),
}
LOOKED_UP: dict[str, tuple[Any, tuple[str, ...] | None]] = {
    "a name": ("two", ("IEF", "SPY")),
    "a list, sorted, each once": (["XYZ", "SPY", "XYZ"], ("SPY", "XYZ")),
    "the whole version": ("all", None),
    "a class of a name": ({"of": "two", "asset_class": "Rates"}, ("IEF",)),
    "a class of a list": ({"of": ["GLD", "EFA", "XYZ"], "asset_class": "Equity"}, ("EFA",)),
    "a class of every universe": ({"of": "all", "asset_class": "Equity"}, ("EFA", "SPY")),
}


def looked_up(universe: Any) -> Resolved:
    return resolve(strategy_of(universe=universe), NAMED, {})


@pytest.mark.parametrize("kind", LOOKED_UP)
def test_a_universe_is(kind: str) -> None:
    said, expected = LOOKED_UP[kind]
    assert looked_up(said).tickers == expected


def test_groups_are_of_the_tickers_that_are_left() -> None:
    found = look_up(Universe(of="two", asset_class="Rates"), NAMED, "here")
    assert found.groups == {"asset_class": {"IEF": "Rates"}, "region": {"IEF": "US"}}
    every = look_up(Universe(of="all"), NAMED, "here")
    assert sorted(every.groups["asset_class"]) == ["EFA", "GLD", "IEF", "SPY"]


def test_a_class_without_a_ticker_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(FactorLabError) as error:
        looked_up({"of": "two", "asset_class": "Gold"})
    said = str(error.value)
    assert "no ticker of that asset class" in said
    assert "strategy test: universe.asset_class" in said
    assert "Got: 'Gold'. Expected: one of Equity, Rates" in said


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("min_history", 0),
        ("min_history", 601),
        ("min_history", 2.5),
        ("min_price", 0.0),
        ("min_price", float("nan")),
        ("min_dollar_volume", -1.0),
        ("top_dollar_volume", 0),
        ("top_dollar_volume", True),
        ("liquidity_months", 61),
        ("max_stale_sessions", 6),
        ("max_stale_sessions", -1),
        ("of", []),
        ("of", ["spy"]),
        ("min_volume", 1),
    ],
)
def test_a_filter_out_of_range_is_refused(key: str, bad: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        Universe.model_validate({key: bad})


def test_filters_are_what_is_set() -> None:
    assert Universe().filters == {}
    assert Universe(min_history=12, liquidity_months=6).filters == {"min_history": 12}
    largest = Universe(top_dollar_volume=5, max_stale_sessions=0)
    assert largest.filters == {
        "top_dollar_volume": 5,
        "max_stale_sessions": 0,
        "liquidity_months": 3,
    }
    assert [Universe(min_history=1).reads_daily, largest.reads_daily] == [False, True]
    assert Universe(max_stale_sessions=5).reads_daily
    assert Universe(min_dollar_volume=1.0).reads_daily


def test_filters_are_part_of_the_experiment_and_come_back_from_its_record() -> None:
    plain, filtered = looked_up("two"), looked_up({"of": "two", "min_price": 5.0})
    assert plain.config_hash != filtered.config_hash
    again = Resolved.from_config("test", filtered.config)
    assert again.config_hash == filtered.config_hash
    assert again.strategy.universe.filters == {"min_price": 5.0}
