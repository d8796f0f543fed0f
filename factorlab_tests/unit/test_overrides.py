"""Dotted paths change what a strategy file says, and files written out say what they were of."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets import parsing
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.overrides import apply, from_config, parse_set, place, strategy_text
from factorlab_assets.strategy import Resolved, Strategy, from_mapping, load_strategies, resolve
from factorlab_assets.universes import NamedUniverse, load_universes
from factorlab_tests.conftest import PROJECT_ROOT
from factorlab_tests.invariants.any_book import any_engine_strategy, any_strategy

SAID: dict[str, Any] = {
    "description": "-",
    "universe": "etf13",
    "factors": [
        {"name": "trend", "label": "fast", "params": {"lookback": 3}},
        {"name": "trend", "label": "slow.12", "transforms": [{"kind": "zscore"}]},
        {"name": "xsmom"},
    ],
    "portfolio": {"select": {"top_k": 3}},
}


class TestApply:
    @pytest.mark.parametrize(
        ("path", "where"),
        [
            ("portfolio.select.top_k", ("portfolio", "select", "top_k")),
            ("cash.yield_ann", ("cash", "yield_ann")),
            ("universe", ("universe",)),
            ("universe.min_history", ("universe", "min_history")),
            ("factors.fast.params.lookback", ("factors", 0, "params", "lookback")),
            ("factors.fast.lookback", ("factors", 0, "params", "lookback")),
            ("factors.0.lookback", ("factors", 0, "params", "lookback")),
            ("factors.fast.weight", ("factors", 0, "weight")),
            ("factors.slow.12.lookback", ("factors", 1, "params", "lookback")),
            ("factors.1.transforms.0.within", ("factors", 1, "transforms", 0, "within")),
            ("factors.xsmom.skip", ("factors", 2, "params", "skip")),
            ("costs.spread_bps.BRK.B", ("costs", "spread_bps", "BRK.B")),
            ("portfolio.groups.Equity.max", ("portfolio", "groups", "Equity", "max")),
            ("portfolio.groups.U.S. stocks.max", ("portfolio", "groups", "U.S. stocks", "max")),
            ("sweep.sample", ("sweep", "sample")),
        ],
    )
    def test_a_path_names_keys_of_the_file(self, path, where):
        assert place(SAID, path) == where
        before = copy.deepcopy(SAID)
        said: Any = apply(SAID, {path: 7})
        for key in where:
            said = said[key]
        assert said == 7
        assert before == SAID

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("porfolio.select.top_k", "in the file: description, active"),
            ("portfolio.select.topk", "in portfolio.select: top_k, fraction"),
            ("name", "in the file: description"),
            ("benchmark.ticker", "in benchmark: nothing"),
            ("factors.mom.lookback", "in factors: 0 (fast), 1 (slow.12), 2 (xsmom)"),
            ("factors.3.lookback", "in factors: 0 (fast)"),
            ("factors.1.transforms.1.within", "in factors.1.transforms: 0 to 0"),
            ("factors.0.transforms.0.within", "an empty list"),
            ("portfolio..top_k", "Got: ''"),
            ("", "in the file: description"),
        ],
    )
    def test_a_path_that_leads_nowhere_is_told_with_what_there_is(self, path, told):
        with pytest.raises(FactorLabError, match="leads to nothing") as caught:
            apply(SAID, {path: 1})
        assert told in str(caught.value)
        assert path in str(caught.value)

    def test_a_name_that_two_factors_have_is_ambiguous(self):
        with pytest.raises(FactorLabError, match=r"factors\.0 \(fast\), factors\.1 \(slow\.12\)"):
            apply(SAID, {"factors.trend.lookback": 6})

    def test_a_label_goes_before_another_factors_name(self):
        said = {"factors": [{"name": "xsmom"}, {"name": "trend", "label": "xsmom2"}]}
        said["factors"][1]["label"] = "trend"
        said["factors"].append({"name": "trend", "label": "other"})
        assert place(said, "factors.trend.lookback")[1] == 1

    def test_short_universes_become_mappings(self):
        for of in ("etf13", ["SPY", "TLT"]):
            changed = apply(SAID | {"universe": of}, {"universe.min_history": 12})
            assert changed["universe"] == {"of": of, "min_history": 12}
        without = {"description": "-", "portfolio": None}
        changed = apply(without, {"universe.min_history": 12, "portfolio.select.top_k": 2})
        assert changed["universe"] == {"min_history": 12}
        assert changed["portfolio"] == {"select": {"top_k": 2}}

    def test_later_changes_see_earlier_ones(self):
        changed = apply(SAID, {"factors.2.label": "mom", "factors.mom.weight": 2.0})
        assert changed["factors"][2] == {"name": "xsmom", "label": "mom", "weight": 2.0}


class TestParseSet:
    def test_values_are_as_yaml_reads_them(self):
        said = ["a=1", "b=0.5", "c=yes", "d='5'", "e=[1, x]", "f={g: 2}", "h=", "i=x=y", "j=~"]
        assert parse_set(said) == {
            "a": 1,
            "b": 0.5,
            "c": True,
            "d": "5",
            "e": [1, "x"],
            "f": {"g": 2},
            "h": None,
            "i": "x=y",
            "j": None,
        }

    @pytest.mark.parametrize(
        "said", [["a"], ["=3"], [" =3"], ["a=1", "a=2"], ["a=[1"], ["a={b: 1, b: 2}"]]
    )
    def test_what_sets_nothing_is_an_error(self, said):
        with pytest.raises(FactorLabError, match="--set"):
            parse_set(said)


def read_back(text: str) -> dict[str, Any]:
    return parsing.mapping(text, "there")


class TestStrategyText:
    def test_it_is_in_the_models_order_however_it_was_said(self):
        text = strategy_text(
            {
                "portfolio": {"weighting": "equal", "select": {"top_k": 2}},
                "factors": [{"params": {"lookback": 12, "skip": 1}, "name": "xsmom"}],
                "description": "Two.",
                "universe": ["SPY", "TLT"],
                "name": "not said",
            }
        )
        assert text == (
            "description: Two.\n"
            "universe: [SPY, TLT]\n"
            "factors:\n"
            "- name: xsmom\n"
            "  params: {lookback: 12, skip: 1}\n"
            "portfolio:\n"
            "  select: {top_k: 2}\n"
            "  weighting: equal\n"
        )

    @settings(max_examples=300, deadline=None)
    @given(st.text(min_size=1), st.text(), st.text(max_size=20), st.floats(allow_nan=False))
    def test_no_text_breaks_out_of_its_place(self, description, header, label, number):
        said = {"description": description, "factors": [{"name": label, "params": {label: number}}]}
        text = strategy_text(said, header)
        assert read_back(text) == said
        assert read_back(text.encode().decode()) == said

    @settings(max_examples=60, deadline=None)
    @given(st.one_of(any_strategy(), any_engine_strategy()))
    def test_reading_it_gives_the_same_strategy(self, strategy):
        said = strategy.model_dump(exclude={"name"})
        again = read_back(strategy_text(said, "About it."))
        assert Strategy.model_validate(again | {"name": strategy.name}) == strategy


UNIVERSES = {
    "trio": NamedUniverse(tickers={"SPY": "Equity", "IEF": "Rates", "GLD": "Commodity"}),
    "copy": NamedUniverse(
        tickers={"SPY": "Stocks", "IEF": "Bonds", "GLD": "Gold", "TLT": "Bonds"},
    ),
}


def resolved(said: dict[str, Any], universes=UNIVERSES, strategies=None) -> Resolved:
    strategy = from_mapping("mine", {"description": "-"} | said, "here", factors.complete)
    return resolve(strategy, universes, strategies or {})


def config(one: Resolved) -> dict[str, Any]:
    """As the ledger gives it back."""
    return json.loads(one.config_json)


def same_again(one: Resolved, universes=UNIVERSES, strategies=None) -> dict[str, Any]:
    """What a file of its configuration says, after seeing that it resolves to the same."""
    said = from_config("new", config(one), universes, strategies or {})
    again = from_mapping("new", read_back(strategy_text(said)), "there", factors.complete)
    assert resolve(again, universes, strategies or {}).config_hash == one.config_hash
    return said


class TestFromConfig:
    def test_every_shipped_strategy_comes_back(self):
        named = load_universes(PROJECT_ROOT / "data" / "universes.yaml")
        good, bad = load_strategies(PROJECT_ROOT / "data" / "strategies", factors.complete)
        assert not bad
        assert len(good) >= 30
        for strategy in good.values():
            same_again(resolve(strategy, named, good), named, good)

    def test_a_universe_is_named_where_one_has_the_tickers(self):
        assert same_again(resolved({"universe": "trio"}))["universe"] == "trio"
        of_two = resolved({"universe": ["SPY", "GLD"]})
        assert same_again(of_two)["universe"] == ["GLD", "SPY"]
        assert same_again(resolved({"universe": "all"}))["universe"] == "all"
        filtered = resolved({"universe": {"of": "trio", "min_history": 24}})
        assert same_again(filtered)["universe"] == {"of": "trio", "min_history": 24}

    def test_defaults_are_left_out(self):
        said = same_again(resolved({"universe": "trio", "costs": {"tc_bps": 0.0}}))
        assert said["costs"] == {"tc_bps": 0.0}
        assert set(said) == {"description", "universe", "costs", "portfolio"}
        assert said["portfolio"] == {"net": 1.0}

    def test_groups_are_those_of_a_universe_that_has_them(self):
        ranked = [{"name": "trend", "transforms": [{"kind": "demean", "within": "asset_class"}]}]
        twin = {"twin": NamedUniverse(tickers={"SPY": "A", "IEF": "A", "GLD": "B"})}
        both = twin | {"trio": UNIVERSES["trio"]}
        assert (
            same_again(resolved({"universe": "trio", "factors": ranked}, both), both)["universe"]
            == "trio"
        )
        assert (
            same_again(resolved({"universe": "twin", "factors": ranked}, both), both)["universe"]
            == "twin"
        )
        bonds = {"of": "copy", "asset_class": "Bonds"}
        # Both universes together call IEF's class Rates, so that a list of tickers will not do.
        last = {"copy": UNIVERSES["copy"], "trio": UNIVERSES["trio"]}
        part = resolved({"universe": bonds, "factors": ranked}, last)
        assert same_again(part, last)["universe"] == bonds
        with pytest.raises(FactorLabError, match="no universe has the groups"):
            from_config("new", config(resolved({"universe": "trio", "factors": ranked})), twin, {})

    def test_a_strategy_that_it_is_compared_with_must_be_the_same_today(self):
        other = from_mapping(
            "other", {"description": "-", "universe": "trio"}, "", factors.complete
        )
        one = resolved(
            {"benchmark": "strategy:other", "universe": "trio"}, strategies={"other": other}
        )
        same_again(one, strategies={"other": other})
        changed = other.model_copy(update={"prior_trials": 3, "description": "more"})
        same_again(one, strategies={"other": changed})
        dear = Strategy.model_validate(other.model_dump() | {"costs": {"tc_bps": 9.0}})
        with pytest.raises(FactorLabError, match="is another today"):
            from_config("new", config(one), UNIVERSES, {"other": dear})
        with pytest.raises(FactorLabError, match="is gone"):
            from_config("new", config(one), UNIVERSES, {})

    @settings(max_examples=60, deadline=None)
    @given(any_engine_strategy())
    def test_any_configuration_comes_back(self, strategy):
        factored = tuple(
            f.model_copy(
                update=dict(
                    zip(
                        ("params", "delay"),
                        factors.complete(f.name, f.params, f.delay),
                        strict=True,
                    )
                )
            )
            for f in strategy.factors
        )
        whole = strategy.model_copy(
            update={
                "factors": factored,
                "universe": strategy.universe.model_copy(update={"of": "all"}),
            }
        )
        one = Resolved(strategy=whole, tickers=None, asset_classes={})
        if whole.groupings:
            return  # of every ticker nobody has groups here
        same_again(one)
