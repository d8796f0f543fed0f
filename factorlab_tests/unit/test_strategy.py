"""A strategy file is read into a complete configuration, or its mistake is told with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import (
    Resolved,
    Strategy,
    check_name,
    load_strategies,
    load_strategy,
    resolve,
)
from factorlab_assets.strategy_book import Cash
from factorlab_assets.universes import NamedUniverse, load_universes
from factorlab_tests.conftest import PROJECT_ROOT

PLAIN = """
description: The two strongest trends.
factors:
  - name: trend
    delay: 1
    transforms: [{kind: winsorize, lower: 0.1}, {kind: zscore}]
portfolio:
  select: {top_k: 2}
"""
UNIVERSES = {
    "etf13": NamedUniverse(tickers={"SPY": "Equity", "IEF": "Rates", "GLD": "Commodity"}),
    "bonds": NamedUniverse(tickers={"IEF": "Rates", "TLT": "Rates"}),
}


def check_factor(
    name: str, params: Mapping[str, Any], delay: int | None
) -> tuple[dict[str, Any], int]:
    """A registry of one factor with one parameter."""
    lookback = params.get("lookback", 12)
    if name != "trend":
        raise ValueError(f"unknown factor {name}, allowed trend")
    if lookback not in range(1, 121):
        raise ValueError(f"parameter lookback: got {lookback}, allowed 1 to 120")
    return {"lookback": lookback}, 1 if delay is None else delay


def load(folder: Path, text: str, name: str = "mine.yaml") -> Strategy:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_strategy(path, check_factor)


def strategy(**said: Any) -> Strategy:
    """The plain strategy with some keys given otherwise; None takes a key away."""
    full = yaml.safe_load(PLAIN) | {"name": "mine"} | said
    return Strategy.model_validate({k: value for k, value in full.items() if value is not None})


def resolved(of: Strategy, *others: Strategy) -> Resolved:
    return resolve(of, UNIVERSES, {other.name: other for other in (of, *others)})


def test_a_file_is_read_with_its_name_and_every_default_spelled_out(tmp_path: Path) -> None:
    read = load(tmp_path, PLAIN)
    assert read.name == "mine"
    assert read.factors[0].params == {"lookback": 12}
    assert [t.kind for t in read.factors[0].transforms] == ["winsorize", "zscore"]
    assert (read.portfolio.gross, read.portfolio.target_net, read.benchmark) == (1.0, 1.0, "SPY")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # unknown keys, at every depth
        (("universe_", "x"), "top level. Expected: only the keys name, description, active,"),
        (("factors.0.lookback", 12), "factors[0]. Expected: only the keys name, label, params,"),
        (("factors.0.transforms.0.lo", 0), "factors[0].transforms[0]. Expected: only the keys"),
        (("portfolio.select.k", 4), "portfolio.select. Expected: only the keys top_k, fraction,"),
        (("name", "other"), "name. Expected: no such key"),
        # missing
        (("description", None), "description. Got: nothing. Expected: a value"),
        # wrong types; YAML's yes and on are no numbers
        (("factors.0.delay", "1"), "factors[0].delay. Got: '1'. Expected: a valid integer"),
        (("factors.0.delay", True), "factors[0].delay. Got: True. Expected: a valid integer"),
        (("costs", {"tc_bps": True}), "costs.tc_bps. Got: True. Expected: a valid number"),
        (("factors", {"name": "trend"}), "factors. Expected: a valid tuple"),
        (("universe", 5), "universe. Got: 5. Expected: a valid string or a valid tuple"),
        (("universe", ["SPY", True]), "universe[1]. Got: True. Expected: a valid string"),
        (("universe", ["spy"]), "universe[0]. Got: 'spy'. Expected: String should match pattern"),
        (("universe", []), "universe. Got: []. Expected: "),
        # out of range
        (("factors.0.delay", 13), "factors[0].delay. Got: 13. Expected: less than or equal to 12"),
        (
            ("factors.0.transforms.0.lower", 0.5),
            "factors[0].transforms[0].lower. Got: 0.5. Expected: less than 0.5",
        ),
        (("portfolio.select.top_k", 0), "portfolio.select.top_k. Got: 0. Expected: greater than"),
        (("costs", {"tc_bps": float("nan")}), "costs.tc_bps. Got: nan. Expected: a finite number"),
        (("portfolio.weighting", "cap"), "portfolio.weighting. Got: 'cap'. Expected: 'equal',"),
        (
            ("schedule", {"every_months": 0}),
            "schedule.every_months. Got: 0. Expected: greater than",
        ),
        (
            ("factors.0.transforms.0.kind", "median"),
            "factors[0].transforms[0]. Expected: Input tag 'median' found using 'kind'",
        ),
        (("in_sample_until", "2024-13"), "in_sample_until. Got: '2024-13'. Expected: String"),
        (("benchmark", "spy"), "benchmark. Got: 'spy'. Expected: an upper-case ticker, equal"),
        (("benchmark", "strategy:../x"), "benchmark. Got: 'strategy:../x'. Expected: an upper"),
        # contradictions
        (
            ("portfolio.select.fraction", 0.2),
            "portfolio.select. Expected: give one of top_k, fraction",
        ),
        (("portfolio.weighting", "fixed"), "portfolio. Expected: fixed_weights go with weighting"),
        (("portfolio.net", 0.5), "portfolio. Expected: net is 1 in such a book; leave it out"),
        (
            ("portfolio", {"type": "long_short", "gross": 1, "net": 2}),
            "portfolio. Expected: net is at most gross",
        ),
        (
            ("portfolio.select.only_positive", "low_vol"),
            "top level. Expected: portfolio.select.only_positive names 'low_vol', not one of",
        ),
        (("factors", []), "top level. Expected: ranking, signal weights and long_short need"),
        # factors and their parameters
        (("factors.0.name", "trnd"), "factors[0]. Got: unknown factor trnd, allowed trend"),
        (
            ("factors.0.params", {"lookback": 0}),
            "factors[0]. Got: parameter lookback: got 0, allowed 1 to 120",
        ),
    ],
    ids=lambda said: said[0] if isinstance(said, tuple) else "",
)
def test_a_mistake_is_told_with_file_place_value_and_what_is_allowed(
    change: tuple[str, Any], told: str, tmp_path: Path
) -> None:
    data = yaml.safe_load(PLAIN)
    *steps, last = [int(step) if step.isdigit() else step for step in change[0].split(".")]
    node = data
    for step in steps:
        node = node[step]
    node[last] = change[1]
    if change[1] is None:
        del node[last]
    with pytest.raises(FactorLabError) as caught:
        load(tmp_path, yaml.safe_dump(data))
    assert f"Where: {tmp_path / 'mine.yaml'}: {told}" in str(caught.value)


@pytest.mark.parametrize(
    ("fixed", "told"),
    [
        ({"fixed_weights": {"SPY": 1.2}}, "keep to gross and max_weight"),
        ({"fixed_weights": {"SPY": 0.6}, "max_weight": 0.5}, "keep to gross and max_weight"),
        ({"fixed_weights": {"SPY": -0.5}}, "not below 0"),
        ({"fixed_weights": {"SPY": 1.0}, "select": {"top_k": 1}}, "leave top_k and fraction out"),
    ],
)
def test_fixed_weights_that_contradict_the_other_limits_are_refused(
    fixed: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        strategy(portfolio={"weighting": "fixed"} | fixed)


def test_fixed_weights_say_gross_and_net_of_a_long_short_book() -> None:
    fixed = {"SPY": 0.6, "IEF": -0.4}
    book = strategy(
        factors=None,
        portfolio={"type": "long_short", "weighting": "fixed", "fixed_weights": fixed},
    ).portfolio
    assert book.target_net == pytest.approx(0.2, abs=1e-15)


def test_several_mistakes_are_counted_and_the_deepest_is_told(tmp_path: Path) -> None:
    wrong = PLAIN.replace("lower: 0.1", "lower: 2") + "costs: {tc_bps: -1}\nactive: maybe\n"
    with pytest.raises(FactorLabError, match=r"\(and in 2 other places\)\. .*factors\[0\]\.trans"):
        load(tmp_path, wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file holds no mapping. Where: {path}. Got: nothing."),
        ("- a\n- b\n", "the file holds no mapping. Where: {path}. Got: list."),
        ("1: one\n", "the file holds no mapping. Where: {path}. Got: dict."),
        ("description: [\n", "the file is not valid YAML. Where: {path}. Got: while parsing"),
        ("description: a\ndescription: b\n", "the key description is given twice"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_what_is_no_mapping_in_yaml_is_refused(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(FactorLabError) as caught:
        load(tmp_path, text)
    assert told.format(path=tmp_path / "mine.yaml") in str(caught.value)


def test_what_is_not_utf8_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("description: Börse".encode("latin-1"))
    with pytest.raises(FactorLabError, match=r"not valid YAML.*latin\.yaml.*mapping in UTF-8"):
        load_strategy(tmp_path / "latin.yaml", check_factor)
    with pytest.raises(FactorLabError, match=r"cannot be read.*gone\.yaml\. Got: No such file"):
        load_strategy(tmp_path / "gone.yaml", check_factor)


@pytest.mark.parametrize("name", ["A", "a b", "../x", "", "-x", ".x", "é", "x|y", "a" * 81, "x\n"])
def test_a_name_that_could_not_be_a_partition_key_is_refused(name: str) -> None:
    with pytest.raises(FactorLabError, match="cannot be a strategy's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "0", "xsmom_12-1.v2", "a" * 80])
def test_a_good_name_is_returned_as_it_is(name: str) -> None:
    assert check_name(name) == name


def test_a_folder_gives_its_good_strategies_and_says_what_is_wrong_with_the_others(
    tmp_path: Path,
) -> None:
    for name in ("b.yaml", "a.yaml", "Bad Name.yaml", "wrong_end.yml"):
        (tmp_path / name).write_text(PLAIN)
    (tmp_path / "broken.yaml").write_text("description: 5\n")
    (tmp_path / "notes.md").write_text("not a strategy")
    good, bad = load_strategies(tmp_path, check_factor)
    assert list(good) == ["a", "b"]
    assert sorted(bad) == ["Bad Name.yaml", "broken.yaml", "wrong_end.yml"]
    assert "broken.yaml: description. Got: 5. Expected: a valid string" in str(bad["broken.yaml"])
    assert "ends in .yaml" in str(bad["wrong_end.yml"])
    with pytest.raises(FactorLabError, match="no such folder"):
        load_strategies(tmp_path / "gone", check_factor)


def test_a_universe_is_looked_up_sorted_with_asset_classes() -> None:
    named = resolved(strategy(universe="bonds"))
    assert (named.tickers, named.asset_classes) == (
        ("IEF", "TLT"),
        {"IEF": "Rates", "TLT": "Rates"},
    )
    listed = resolved(strategy(universe=["XYZ", "SPY", "XYZ"]))
    assert (listed.tickers, listed.asset_classes) == (("SPY", "XYZ"), {"SPY": "Equity"})
    assert resolved(strategy(universe="all")).tickers is None


def test_unknown_universes_and_benchmarks_and_stray_fixed_weights_are_refused() -> None:
    with pytest.raises(FactorLabError, match=r"unknown universe.*'etf'\. Expected: 'all', .*bonds"):
        resolved(strategy(universe="etf"))
    with pytest.raises(FactorLabError, match=r"unknown benchmark strategy.*'x'.*another of mine"):
        resolved(strategy(benchmark="strategy:x"))
    with pytest.raises(FactorLabError, match=r"unknown benchmark strategy.*'mine'"):
        resolved(strategy(benchmark="strategy:mine"))
    fixed = {"weighting": "fixed", "fixed_weights": {"TLT": 0.5, "QQQ": 0.5}}
    with pytest.raises(FactorLabError, match=r"outside the universe.*Got: QQQ\."):
        resolved(strategy(universe="bonds", portfolio=fixed))


def test_universes_are_read_and_their_mistakes_told(tmp_path: Path) -> None:
    path = tmp_path / "universes.yaml"
    path.write_text("mine:\n  tickers: {SPY: Equity}\n")
    assert load_universes(path) == {"mine": NamedUniverse(tickers={"SPY": "Equity"})}
    path.write_text("mine:\n  tickers: {SPY: 5}\n")
    with pytest.raises(FactorLabError, match=r"universes.yaml: mine\.tickers\.SPY\. Got: 5"):
        load_universes(path)
    path.write_text("all:\n  tickers: {SPY: Equity}\n")
    with pytest.raises(FactorLabError, match="named all"):
        load_universes(path)


def test_prose_name_and_order_of_tickers_leave_the_configuration_alone() -> None:
    one = resolved(strategy(universe=["SPY", "IEF"]))
    two = resolved(
        strategy(name="other", description="Other words.", active=False, universe=["IEF", "SPY"])
    )
    assert one.config_hash == two.config_hash


def test_a_default_written_out_leaves_the_configuration_alone() -> None:
    written = {"type": "long_only", "gross": 1, "net": 1, "select": {"top_k": 2, "fraction": None}}
    assert resolved(strategy(portfolio=written)).config_hash == resolved(strategy()).config_hash


@pytest.mark.parametrize(
    "change",
    [
        {"universe": "bonds"},
        {"benchmark": "60/40"},
        {"in_sample_until": "2015-12"},
        {"factors": [{"name": "trend", "delay": 0}]},
        {"factors": [{"name": "trend", "delay": 1, "params": {"lookback": 6}}]},
        {"portfolio": {"select": {"top_k": 3}}},
        {"schedule": {"every_months": 3}},
        {"execution": {"trade_at": "next_close"}},
        {"costs": {"tc_bps": 6}},
        {"cash": {"yield_ann": 0.02}},
    ],
    ids=str,
)
def test_whatever_decides_a_number_changes_the_configuration(change: dict[str, Any]) -> None:
    assert resolved(strategy(**change)).config_hash != resolved(strategy()).config_hash


def test_a_changed_benchmark_strategy_changes_the_configuration() -> None:
    mine = strategy(benchmark="strategy:other")
    hashes = {
        resolved(mine, strategy(name="other", costs={"tc_bps": bps})).config_hash for bps in (1, 2)
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("said", "others"),
    [
        ({}, ()),
        ({"universe": "all"}, ()),
        ({"benchmark": "strategy:other"}, (strategy(name="other", universe="bonds"),)),
        ({"portfolio": {"type": "long_short", "gross": 2, "net": 0.5}}, ()),
        (
            {
                "factors": None,
                "portfolio": {
                    "type": "long_short",
                    "weighting": "fixed",
                    "fixed_weights": {"SPY": 0.1, "IEF": 0.2, "GLD": -0.3},
                },
            },
            (),
        ),
    ],
)
def test_a_strategy_is_rebuilt_from_what_the_ledger_recorded(
    said: dict[str, Any], others: tuple[Strategy, ...]
) -> None:
    original = resolved(strategy(**said), *others)
    rebuilt = Resolved.from_config("mine", json.loads(original.config_json))
    assert rebuilt.config_hash == original.config_hash
    assert rebuilt.tickers == original.tickers
    assert rebuilt.strategy.factors == original.strategy.factors
    assert (rebuilt.benchmark is None) == (original.benchmark is None)
    assert rebuilt.strategy.benchmark == original.strategy.benchmark


def test_a_recorded_configuration_of_another_version_is_refused() -> None:
    recorded = json.loads(resolved(strategy()).config_json)
    recorded["costs"]["tax_bps"] = 1
    with pytest.raises(FactorLabError, match=r"does not fit this version.*mine: costs\. .*tax_bps"):
        Resolved.from_config("mine", recorded)


def test_cash_compounds_to_its_yearly_yield() -> None:
    assert (1 + Cash(yield_ann=0.05).monthly) ** 12 == pytest.approx(1.05, rel=1e-14)
    assert Cash().monthly == 0.0
    assert Cash(yield_ann=0.02).label == "rf = 0.02"


SHIPPED = sorted((PROJECT_ROOT / "data" / "strategies").glob("*.yaml"))


def test_the_shipped_files_all_load_and_resolve() -> None:
    good, bad = load_strategies(SHIPPED[0].parent, factors.complete)
    universes = load_universes(PROJECT_ROOT / "data" / "universes.yaml")
    assert not bad
    assert len(good) == len(SHIPPED) >= 6
    hashes = {resolve(one, universes, good).config_hash for one in good.values()}
    assert len(hashes) == len(good)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_states_its_idea_its_paper_its_costs_and_its_benchmark(path: Path) -> None:
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"description", "universe", "portfolio", "costs", "benchmark"} <= said.keys()
    assert "doi:10." in said["description"]
    assert "should " in said["description"].lower()
    assert {"tc_bps", "slippage_bps"} <= said["costs"].keys()


def test_a_factor_whose_file_states_no_delay_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for name, own in (("trend", 1), ("xsmom", 0)):
        path.write_text(f"description: x\nfactors: [{{name: {name}}}]\n", encoding="utf-8")
        assert load_strategy(path, factors.complete).factors[0].lag == own
