"""What a strategy file may say of transforms and combination, and how its mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved, Strategy, load_strategy, resolve
from factorlab_assets.universes import NamedUniverse

TWO: dict[str, Any] = {
    "description": "Two factors.",
    "factors": [{"name": "trend"}, {"name": "low_vol", "weight": 0.5}],
}
UNIVERSES = {
    "etf13": NamedUniverse(
        tickers={"SPY": "Equity", "IEF": "Rates", "GLD": "Commodity"},
        groups={"region": {"SPY": "US", "IEF": "US"}},
        merge={"Commodity": "Equity"},
    )
}


def load(folder: Path, *chain: dict[str, Any], **said: Any) -> Strategy:
    """The file with a chain of transforms for its first factor."""
    data = json.loads(json.dumps(TWO | said))
    data["factors"][0].setdefault("transforms", []).extend(chain)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_strategy(path, factors.complete)


def told(folder: Path, *chain: dict[str, Any], **said: Any) -> str:
    with pytest.raises(FactorLabError) as caught:
        load(folder, *chain, **said)
    assert f"Where: {folder / 'mine.yaml'}: " in str(caught.value)
    assert "What to do: correct it; docs/strategies.md" in str(caught.value)
    return str(caught.value).partition("mine.yaml: ")[2]


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ({"kind": "winsorize", "mads": 3, "lower": 0.1}, "give mads, or lower and upper, not both"),
        ({"kind": "winsorize", "mads": 0}, "greater than 0"),
        ({"kind": "neutralize"}, "give groups, factors, or both"),
        ({"kind": "neutralize", "factors": ["low_vol", "low_vol"]}, "names one of them twice"),
        ({"kind": "clip", "low": 1.0, "high": 1.0}, "low is below high"),
        ({"kind": "delay", "months": 0}, "greater than or equal to 1"),
        ({"kind": "smooth", "months": 1}, "greater than or equal to 2"),
        ({"kind": "smooth", "months": 61}, "less than or equal to 60"),
        ({"kind": "normal", "within": "asset_class"}, "only the keys kind; there is no within"),
        ({"kind": "neutralise", "factors": ["low_vol"]}, "does not match any of the expected tags"),
    ],
    ids=str,
)
def test_a_mistake_in_a_transform_is_told_with_its_place(
    tmp_path: Path, chain: dict[str, Any], expected: str
) -> None:
    said = told(tmp_path, {"kind": "zscore"}, chain)
    assert said.startswith("factors[0].transforms[1]")
    assert expected in said


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            ["beta"],
            "factors[0].transforms: neutralize names 'beta', not one of ['trend', 'low_vol']",
        ),
        (["trend"], "factor 'trend' cannot be neutralized against itself"),
    ],
)
def test_factors_are_neutralized_against_others_of_the_file(
    tmp_path: Path, labels: list[str], expected: str
) -> None:
    assert expected in told(tmp_path, {"kind": "neutralize", "factors": labels})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"how": "median"}, "combine.how. Got: 'median'. Expected: 'mean', 'rank_mean'"),
        ({"missing": "zero"}, "combine.missing. Got: 'zero'. Expected: 'require', 'known'"),
        ({"how": "conditional"}, "combine. Expected: condition goes with how: conditional"),
        ({"condition": "trend"}, "combine. Expected: condition goes with how: conditional"),
        ({"keep": 0.3}, "combine. Expected: keep goes with how: conditional"),
        ({"window": 12}, "combine. Expected: window goes with how: inverse_volatility"),
        ({"how": "inverse_volatility", "window": 5}, "combine.window. Got: 5. Expected: greater"),
        (
            {"how": "conditional", "condition": "trend", "keep": 1},
            "combine.keep. Got: 1. Expected: less than 1",
        ),
        (
            {"how": "conditional", "condition": "beta"},
            "top level. Expected: combine.condition names 'beta', not one of ['trend', 'low_vol']",
        ),
    ],
    ids=str,
)
def test_a_mistake_in_a_combination_is_told_with_its_place(
    tmp_path: Path, rule: dict[str, Any], expected: str
) -> None:
    assert told(tmp_path, combine=rule).startswith(expected)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([{"name": "trend"}], "no other factor has a weight to score those that it keeps"),
        ([{"name": "trend"}, {"name": "low_vol", "weight": 0}], "no other factor has a weight"),
        (
            [{"name": "trend", "weight": -1}, {"name": "low_vol"}],
            "a weight below 0 does not turn it",
        ),
    ],
    ids=["alone", "beside a helper", "turned"],
)
def test_a_condition_needs_another_factor_to_score_by(
    tmp_path: Path, used: list[dict[str, Any]], expected: str
) -> None:
    rule = {"how": "conditional", "condition": "trend"}
    assert expected in told(tmp_path, factors=used, combine=rule)


def resolved(folder: Path, *chain: dict[str, Any], **said: Any) -> Resolved:
    strategy = load(folder, *chain, **said)
    return resolve(strategy, UNIVERSES, {strategy.name: strategy})


@pytest.mark.parametrize(
    "chain", [{"kind": "rank", "within": "sector"}, {"kind": "neutralize", "groups": "sector"}]
)
def test_an_unknown_grouping_is_refused(tmp_path: Path, chain: dict[str, Any]) -> None:
    with pytest.raises(FactorLabError, match=r"unknown grouping.*mine.*'sector'.*asset_class, reg"):
        resolved(tmp_path, chain)


def test_a_universe_too_small_for_a_regression_is_refused(tmp_path: Path) -> None:
    three = [{"name": "trend"}, {"name": "low_vol"}, {"name": "xsmom"}]
    chain = {"kind": "neutralize", "factors": ["low_vol", "xsmom"]}
    with pytest.raises(FactorLabError) as caught:
        resolved(tmp_path, chain, factors=three)
    for part in ("factors[0].transforms: neutralize", "2 factors and an", "at least 4 tickers"):
        assert part in str(caught.value)
    resolved(tmp_path, chain | {"factors": ["xsmom"]}, factors=three)
    resolved(tmp_path, chain, factors=three, universe=["SPY", "IEF", "GLD", "TLT"])
    resolved(tmp_path, chain, factors=three, universe="all")
    resolved(tmp_path, {"kind": "neutralize", "groups": "region"}, universe=["SPY"])


CHAINS: dict[str, dict[str, Any]] = {
    "none": {"kind": "zscore"},
    "mads": {"kind": "winsorize", "mads": 3.0},
    "within": {"kind": "rank", "within": "region"},
    "against": {"kind": "neutralize", "groups": "asset_class", "factors": ["low_vol"]},
    "smooth": {"kind": "smooth"},
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_the_ledger_recorded_is_read_again(tmp_path: Path, name: str) -> None:
    rule = {"how": "conditional", "condition": "low_vol", "keep": 0.3, "missing": "neutral"}
    original = resolved(tmp_path, CHAINS[name], combine=rule)
    rebuilt = Resolved.from_config("mine", json.loads(original.config_json))
    assert rebuilt.config_hash == original.config_hash
    assert (rebuilt.groups, rebuilt.merge) == (original.groups, original.merge)
    assert rebuilt.strategy.factors == original.strategy.factors
    assert rebuilt.strategy.combine == original.strategy.combine


def test_groups_decide_the_configuration_where_a_transform_looks_at_them(tmp_path: Path) -> None:
    def hashes(*chain: dict[str, Any]) -> int:
        strategy = load(tmp_path, *chain)
        merged = UNIVERSES["etf13"].model_copy(update={"merge": {}})
        moved = UNIVERSES["etf13"].model_copy(
            update={"tickers": {"SPY": "Rates", "IEF": "Rates", "GLD": "Commodity"}}
        )
        each = ({"etf13": universe} for universe in (UNIVERSES["etf13"], merged, moved))
        return len({resolve(strategy, named, {}).config_hash for named in each})

    assert hashes({"kind": "zscore"}) == 1
    assert hashes({"kind": "zscore", "within": "asset_class"}) == 3
    assert hashes({"kind": "neutralize", "groups": "asset_class"}) == 3


def test_a_factor_says_what_its_transforms_look_at(tmp_path: Path) -> None:
    chain = [CHAINS["against"], CHAINS["within"], {"kind": "demean"}]
    first, second = load(tmp_path, *chain).factors
    assert (first.others, first.groupings) == (("low_vol",), {"asset_class", "region"})
    assert (second.others, second.groupings) == ((), set())
