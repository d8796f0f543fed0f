"""A sweep block becomes strategies with names; what is none is left out with the reason."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets import parsing, sweep
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import STRATEGY_PATTERN
from factorlab_assets.strategy import from_mapping, load_strategy, resolve
from factorlab_assets.strategy_sweep import MOST_COMBINATIONS, Span, Sweep
from factorlab_assets.universes import NamedUniverse

UNIVERSES = {
    "five": NamedUniverse(tickers=dict.fromkeys(("SPY", "EFA", "TLT", "GLD", "VNQ"), "Any")),
    "two": NamedUniverse(tickers=dict.fromkeys(("SPY", "TLT"), "Any")),
}
PLAIN: dict[str, Any] = {
    "description": "Momentum.",
    "universe": "five",
    "factors": [{"name": "xsmom", "params": {"lookback": 12, "skip": 1}}],
    "portfolio": {"select": {"top_k": 2}},
}


def said_of(parameters: dict[str, Any], plain: dict[str, Any] | None = None, **block: Any) -> Any:
    return (plain or PLAIN) | {"sweep": {"parameters": parameters} | block}


def expand(parameters: dict[str, Any], **block: Any) -> sweep.Expansion:
    said = said_of(parameters, **block)
    return sweep.expand("mom", said, factors.complete, UNIVERSES, {})


class TestGrid:
    def test_every_combination_in_order_with_its_name(self):
        found = expand({"factors.xsmom.lookback": [6, 12], "portfolio.select.top_k": [1, 3]})
        assert [each.name for each in found.combinations] == [
            "mom.lookback-6.top_k-1",
            "mom.lookback-6.top_k-3",
            "mom.lookback-12.top_k-1",
            "mom.lookback-12.top_k-3",
        ]
        last = found.combinations[-1]
        assert last.parameters == {"factors.xsmom.lookback": 12, "portfolio.select.top_k": 3}
        assert last.resolved.strategy.factors[0].params == {"lookback": 12, "skip": 1}
        assert last.resolved.strategy.portfolio.select.top_k == 3
        assert last.resolved.strategy.sweep is None
        assert (found.total, found.left_out) == (4, ())

    def test_a_combination_is_the_strategy_that_a_file_of_it_would_be(self):
        found = expand({"factors.xsmom.lookback": [6, 9]})
        own = {"name": "xsmom", "params": {"lookback": 9, "skip": 1}}
        strategy = from_mapping("x", PLAIN | {"factors": [own]}, "", factors.complete)
        assert found.combinations[1].resolved.config_hash == (
            resolve(strategy, UNIVERSES, {}).config_hash
        )

    def test_a_span_has_both_ends(self):
        found = expand({"factors.xsmom.lookback": {"start": 3, "stop": 12, "step": 3}})
        assert [each.parameters["factors.xsmom.lookback"] for each in found.combinations] == [
            *(3, 6, 9, 12)
        ]

    def test_values_keep_their_types(self):
        block = Sweep.model_validate({"parameters": {"a": [1, 0.5, True, "5", None]}})
        kinds = [type(block.at(i)["a"]) for i in range(5)]
        assert kinds == [int, float, bool, str, type(None)]

    def test_what_no_file_could_say_is_left_out_with_the_reason(self):
        lookbacks = {"factors.xsmom.lookback": [1, 12], "factors.xsmom.skip": [0, 1]}
        found = expand(lookbacks)
        assert [each.name for each in found.combinations] == [
            "mom.lookback-1.skip-0",
            "mom.lookback-12.skip-0",
            "mom.lookback-12.skip-1",
        ]
        (left,) = found.left_out
        assert left.name == "mom.lookback-1.skip-1"
        assert left.parameters == {"factors.xsmom.lookback": 1, "factors.xsmom.skip": 1}
        assert "is not after the oldest" in left.reason

    def test_more_names_than_there_are_is_no_combination(self):
        assert [each.name for each in expand({"portfolio.select.top_k": [5, 6]}).left_out] == [
            "mom.top_k-6"
        ]
        found = expand({"portfolio.type": ["long_only", "long_short"], "universe": ["five", "two"]})
        (left,) = found.left_out
        assert left.name == "mom.type-long_short.universe-two"
        assert left.reason == "4 names to hold, and 2 in the universe"

    def test_the_same_configuration_counts_once(self):
        found = expand({"universe": ["five", "two"], "portfolio.select.top_k": [1, 1.0]})
        assert len(found.combinations) == 2
        assert len(found.left_out) == 2
        twice = {"universe.of": ["five"], "costs.tc_bps": [5, 5.0]}
        found = expand(twice)
        assert [each.name for each in found.combinations] == ["mom.of-five.tc_bps-5"]
        assert found.left_out[0].reason == "the same configuration as mom.of-five.tc_bps-5"

    def test_if_all_are_left_out_it_is_an_error_with_a_reason(self):
        with pytest.raises(FactorLabError, match=r"no combination.*2 refused.*is not after"):
            expand({"factors.xsmom.lookback": [1], "factors.xsmom.skip": [1, 2]})


class TestRefused:
    @pytest.mark.parametrize(
        ("parameters", "told"),
        [
            ({"portfolio.select.topk": [1]}, "in portfolio.select: top_k"),
            ({"name": ["a"]}, "in the file: description"),
            ({"description": ["a", "b"]}, "none of name, description"),
            ({"active": [True]}, "none of name, description"),
            ({"prior_trials": [1, 2]}, "none of name, description"),
            ({"sweep.seed": [1, 2]}, "none of name, description"),
            ({"factors.0.lookback": [1], "factors.xsmom.params.lookback": [2]}, "same value"),
            ({"universe": ["two"], "universe.min_history": [3]}, "same value"),
        ],
    )
    def test_a_path_that_sweeps_nothing(self, parameters, told):
        with pytest.raises(FactorLabError) as caught:
            expand(parameters)
        assert told in str(caught.value)
        assert list(parameters)[-1] in str(caught.value)

    def test_a_strategy_without_a_sweep_block(self):
        with pytest.raises(FactorLabError, match="no sweep block"):
            sweep.expand("mom", PLAIN, factors.complete, UNIVERSES, {})

    def test_too_many_are_refused_with_the_count_and_how_to_sample(self):
        million = {"start": 1, "stop": 100, "step": 1}
        paths = ("factors.xsmom.lookback", "portfolio.select.top_k", "costs.tc_bps")
        with pytest.raises(FactorLabError) as caught:
            expand(dict.fromkeys(paths, million) | {"cash.yield_ann": [i / 100 for i in range(10)]})
        assert "10,000,000" in str(caught.value)
        assert f"{MOST_COMBINATIONS:,}" in str(caught.value)
        assert "sample: 1000" in str(caught.value)

    def test_a_whole_limit_is_not_too_many(self):
        assert Sweep(parameters={"a": Span(start=1, stop=10_000, step=1)}).total == 10_000
        with pytest.raises(ValueError, match="10,001"):
            Sweep(parameters={"a": Span(start=0, stop=10_000, step=1)})


class TestSample:
    @staticmethod
    def block(**said: Any) -> Sweep:
        span = {"start": 1, "stop": 10**6, "step": 1}
        return Sweep.model_validate({"parameters": {"a": span, "b": span}} | said)

    def test_it_is_drawn_from_any_grid_without_making_it(self):
        block = self.block(sample=1000)
        assert block.total == 10**12
        drawn = sweep._drawn(block)
        assert len(set(drawn)) == 1000
        assert list(drawn) == sorted(drawn)
        assert max(drawn) < 10**12
        assert drawn[500] == pytest.approx(5e11, rel=0.15)  # uniform: 0.5 ± 0.016 at the median
        spread = {"factors.xsmom.lookback": {"start": 2, "stop": 120, "step": 1}}
        spread["costs.tc_bps"] = {"start": 0, "stop": 1e3, "step": 1e-9}
        found = expand(spread, sample=20)
        assert found.total == 119 * (10**12 + 1)
        assert len(found.combinations) == 20

    def test_seeds_draw_different_ones_and_each_the_same_again(self):
        drawn = [tuple(sweep._drawn(self.block(sample=50, seed=seed))) for seed in (0, 0, 1)]
        assert drawn[0] == drawn[1]
        assert not set(drawn[0]) & set(drawn[2])

    def test_a_draw_never_changes(self):
        # The last digits of the numbers that `printf '7|0' | sha256sum` and so on give: 9, 3, 1.
        block = Sweep(parameters={"a": tuple(range(10))}, sample=3, seed=7)
        assert sweep._drawn(block) == [1, 3, 9]

    def test_a_sample_as_large_as_the_grid_is_the_grid(self):
        assert list(sweep._drawn(Sweep(parameters={"a": (1, 2, 3)}, sample=5))) == [0, 1, 2]


def names(parameters: dict[str, Any], plain: dict[str, Any] | None = None, name: str = "mom"):
    said = said_of(parameters, plain)
    found = sweep.expand(name, said, factors.complete, UNIVERSES, {})
    return [each.name for each in (*found.combinations, *found.left_out)]


class TestNames:
    def test_the_shortest_ends_that_tell_parameters_apart(self):
        both = [{"name": "trend", "label": t, "params": {"lookback": 6}} for t in ("Fast", "slow")]
        paths = ("factors.0.lookback", "factors.slow.params.lookback", "factors.0.weight")
        assert names({path: [3] for path in paths}, PLAIN | {"factors": both}) == [
            "mom.fast_lookback-3.slow_lookback-3.weight-3"
        ]

    def test_values_are_made_safe_and_stay_apart(self):
        found = names({"benchmark": ["SPY", "60/40", "^GSPC", "strategy:x"]}, None)
        assert found[:3] == ["mom.benchmark-spy", "mom.benchmark-60_40", "mom.benchmark-_gspc"]
        labels = {"factors.0.label": ["Mom", "mom", "MOM"]}
        apart = names(labels)
        assert len(set(apart)) == 3
        assert all(each.startswith("mom.label-mom-") for each in apart)

    def test_long_ones_are_shortened_and_stay_apart(self):
        paths = ["factors.xsmom.lookback", "portfolio.select.top_k", "costs.tc_bps"]
        found = names({path: [2, 3] for path in paths}, name="a" * 80)
        assert len(set(found)) == 8
        assert {len(each) for each in found} == {80}
        assert found[0].startswith("a" * 71 + "-")

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.one_of(st.text(max_size=90), st.floats(allow_nan=False), st.booleans()),
            min_size=1,
            unique_by=repr,
        ),
        st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,79}", fullmatch=True),
    )
    def test_any_values_give_names_that_may_be_a_strategys(self, values, name):
        drawn = [{"benchmark": value} for value in values]
        found = sweep._names(name, PLAIN, {"benchmark": ("benchmark",)}, drawn)
        assert len(set(found)) == len(values)
        assert all(re.fullmatch(STRATEGY_PATTERN, each) for each in found)


class TestPromote:
    @staticmethod
    def file(folder: Path, said: dict[str, Any]) -> Path:
        path = folder / "mom.yaml"
        path.write_text(yaml.safe_dump(said), encoding="utf-8")
        return path

    def test_it_is_the_combination_with_where_it_comes_from(self, tmp_path):
        parameters = {"factors.xsmom.lookback": [6, 12], "portfolio.select.top_k": [1, 3]}
        path = self.file(tmp_path, said_of(parameters))
        text = sweep.promote(path, "mom.lookback-6.top_k-3", "best", factors.complete)
        (tmp_path / "best.yaml").write_text(text, encoding="utf-8")
        new = load_strategy(tmp_path / "best.yaml", factors.complete)
        found = sweep.expand_file(path, factors.complete, UNIVERSES, {})
        assert resolve(new, UNIVERSES, {}).config_hash == found.combinations[1].resolved.config_hash
        assert new.sweep is None
        assert new.description == (
            "Momentum. Combination mom.lookback-6.top_k-3 of the sweep mom: "
            "factors.xsmom.lookback = 6, portfolio.select.top_k = 3."
        )
        assert "sweep:" not in text
        assert parsing.mapping(text, "")["factors"] == [
            {"name": "xsmom", "params": {"lookback": 6, "skip": 1}}
        ]

    def test_one_that_is_not_there_or_no_strategy_is_an_error(self, tmp_path):
        path = self.file(tmp_path, said_of({"factors.xsmom.lookback": [1, 6]}))
        with pytest.raises(
            FactorLabError, match=r"no such combination.*one of 2, as mom\.lookback-1"
        ):
            sweep.promote(path, "mom.lookback-7", "best", factors.complete)
        with pytest.raises(FactorLabError, match=r"mom\.lookback-1.*is not after"):
            sweep.promote(path, "mom.lookback-1", "best", factors.complete)
        with pytest.raises(FactorLabError, match="cannot be a strategy's name"):
            sweep.promote(path, "mom.lookback-6", "../best", factors.complete)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_grid_is_that_of_itertools(counts):
    values = [tuple(range(count)) for count in counts]
    block = Sweep(parameters={str(i): each for i, each in enumerate(values)})
    found = [tuple(block.at(i).values()) for i in range(block.total)]
    assert found == list(itertools.product(*values))
    assert all(list(block.at(i)) == list(block.parameters) for i in range(block.total))
