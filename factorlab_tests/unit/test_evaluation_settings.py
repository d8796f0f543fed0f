"""The evaluation file: what it may say, and one clear message about what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation_settings import EvaluationSettings, Regime, load_evaluation
from factorlab_tests.conftest import PROJECT_ROOT


def loaded(tmp_path: Path, text: str) -> EvaluationSettings:
    path = tmp_path / "evaluation.yaml"
    path.write_text(text)
    return load_evaluation(path)


def test_the_shipped_file_says_the_defaults_and_four_regimes():
    shipped = load_evaluation(PROJECT_ROOT / "data" / "evaluation.yaml")
    assert shipped.model_copy(update={"regimes": {}}) == EvaluationSettings()
    assert list(shipped.regimes) == ["market", "drawdown", "volatility", "yields"]
    assert shipped.regimes["yields"].ticker == "IEF"
    assert shipped.regimes["yields"].labels == ("rising yields", "falling yields")


def test_without_a_file_there_are_the_defaults(tmp_path: Path):
    assert load_evaluation(tmp_path / "none.yaml") == EvaluationSettings()


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("level: 1.5", "level", "less than 1"),
        ("level: yes", "level", "valid number"),
        ("levels: 0.9", "top level", "there is no levels"),
        ("bootstrap: {draws: 10}", "bootstrap.draws", "greater than or equal to 100"),
        ("bootstrap: {seed: -1}", "bootstrap.seed", "greater than or equal to 0"),
        ("feasibility: {paths: 100}", "feasibility.paths", "10000"),
        ("robustness: {costs_bps: [5, 5]}", "robustness", "costs_bps go up, each once"),
        ("robustness: {costs_bps: [-5]}", "robustness.costs_bps[0]", "greater than or equal to 0"),
        ("robustness: {delays: [1, 0]}", "robustness", "delays go up, each once"),
        ("robustness: {rebalance_days: 21}", "robustness.rebalance_days", "equal to 20"),
        ("robustness: {most_tickers: 0}", "robustness.most_tickers", "equal to 1"),
        ("regimes: {a: {months: 3}}", "regimes.a.rule", "a value"),
        ("regimes: {a: {rule: mood}}", "regimes.a.rule", "'average', 'drawdown'"),
        ("regimes: {a: {rule: trend, months: 1}}", "regimes.a.months", "equal to 2"),
        ("regimes: {a: {rule: trend, months: 121}}", "regimes.a.months", "equal to 120"),
        ("regimes: {a: {rule: trend, ticker: spy}}", "regimes.a.ticker", "pattern"),
        ("regimes: {a: {rule: trend, edges: [-0.1]}}", "regimes.a", "does not look at edges"),
        ("regimes: {a: {rule: drawdown, months: 5}}", "regimes.a", "does not look at months"),
        ("regimes: {a: {rule: drawdown, edges: [0.1]}}", "regimes.a.edges[0]", "less than 0"),
        ("regimes: {a: {rule: drawdown, edges: [-0.2, -0.1]}}", "regimes.a", "edges fall"),
        ("regimes: {a: {rule: drawdown, edges: []}}", "regimes.a", "at least one"),
        ("regimes: {a: {rule: trend, names: [up]}}", "regimes.a", "2 names, one per label"),
        ("regimes: {a: {rule: trend, names: [up, up]}}", "regimes.a", "a name of its own"),
        ("regimes: {a: {rule: trend, names: [up, unknown]}}", "regimes.a", "none is 'unknown'"),
        ("regimes: [a]", "regimes", "dictionary"),
    ],
)
def test_what_is_not_allowed_is_told_in_one_message(
    tmp_path: Path, text: str, place: str, expected: str
):
    with pytest.raises(FactorLabError) as caught:
        loaded(tmp_path, text)
    said = str(caught.value)
    assert f"evaluation.yaml: {place}." in said
    assert expected in said
    assert "docs/evaluation.md has every key" in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["- a", "level: [", "level: 0.9\nlevel: 0.8"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str):
    with pytest.raises(FactorLabError, match=r"evaluation\.yaml"):
        loaded(tmp_path, text)


def test_the_fingerprint_is_of_all_that_it_says(tmp_path: Path):
    plain = loaded(tmp_path, "level: 0.95").fingerprint
    assert plain == EvaluationSettings().fingerprint
    others = ("level: 0.9", "bootstrap: {seed: 1}", "regimes: {a: {rule: trend}}")
    found = {loaded(tmp_path, text).fingerprint for text in others}
    assert len(found | {plain}) == 4


@pytest.mark.parametrize(
    ("regime", "expected"),
    [
        (Regime(rule="average"), ("at or below its average", "above its average")),
        (Regime(rule="volatility"), ("calm", "middling", "rough")),
        (Regime(rule="trend"), ("fallen or unchanged", "risen")),
        (Regime(rule="trend", names=("down", "up")), ("down", "up")),
        (
            Regime(rule="drawdown"),
            (
                "less than 5 % below its high",
                "5 % to 20 % below its high",
                "at least 20 % below its high",
            ),
        ),
    ],
)
def test_every_label_has_a_name(regime: Regime, expected: tuple[str, ...]):
    assert regime.labels == expected
    assert regime.count == len(expected)
