"""The verdict file: what it may say, and one clear message about what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import PROJECT_ROOT, Settings
from factorlab_assets.strategy import check_name
from factorlab_assets.verdict_settings import EQUAL_WEIGHT, VerdictSettings, Weights, load_verdict

SHIPPED = PROJECT_ROOT / "data" / "verdict.yaml"


def loaded(tmp_path: Path, text: str) -> VerdictSettings:
    path = tmp_path / "verdict.yaml"
    path.write_text(text)
    return load_verdict(path)


def test_the_shipped_file_says_every_key_and_the_defaults():
    assert load_verdict(SHIPPED) == VerdictSettings()
    said = yaml.safe_load(SHIPPED.read_text())
    assert set(said) == set(VerdictSettings.model_fields)
    for part in ("weights", "grades", "lights", "capacity"):
        assert set(said[part]) == set(getattr(VerdictSettings(), part).model_dump())


def test_the_weights_are_those_of_score_v1():
    assert list(Weights().model_dump().items()) == [
        ("sharpe", 0.25),
        ("delay_stability", 0.15),
        ("neutralization_stability", 0.15),
        ("baseline_uniqueness", 0.15),
        ("class_consistency", 0.10),
        ("positive_years", 0.10),
        ("factor_uniqueness", 0.10),
    ]


def test_its_baselines_are_strategies_that_ship():
    for name in VerdictSettings().baselines:
        path = PROJECT_ROOT / "data" / "strategies" / f"{check_name(name)}.yaml"
        assert path.exists() == (name != EQUAL_WEIGHT)


def test_the_settings_name_the_file(tmp_path: Path):
    assert Settings().verdict_path == SHIPPED
    assert Settings(verdict_file=tmp_path / "mine.yaml").verdict_path == tmp_path / "mine.yaml"


def test_without_a_file_there_are_the_defaults(tmp_path: Path):
    assert load_verdict(tmp_path / "none.yaml") == VerdictSettings()


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("weights: {sharpe: 0.5}", "weights", "weights that sum to 1, not 1.25"),
        ("weights: {sharpe: -0.1}", "weights.sharpe", "greater than or equal to 0"),
        ("weights: {sharpe: 1.5}", "weights.sharpe", "less than or equal to 1"),
        ("weights: {sharpe: yes}", "weights.sharpe", "valid number"),
        ("weights: {luck: 0.1}", "weights", "there is no luck"),
        ("weight: 1", "top level", "there is no weight"),
        ("sharpe_full: 0.0", "sharpe_full", "greater than 0"),
        ("sharpe_full: .inf", "sharpe_full", "finite"),
        ("delay_months: 0", "delay_months", "greater than or equal to 1"),
        ("delay_months: 1.5", "delay_months", "valid integer"),
        ("least_denominator: 0.0", "least_denominator", "greater than 0"),
        ("baseline_limit: 1.1", "baseline_limit", "less than or equal to 1"),
        ("factor_limit: 0.0", "factor_limit", "greater than 0"),
        ("least_tracking_error_ann: -1.0", "least_tracking_error_ann", "equal to 0"),
        ("least_weight: 0.0", "least_weight", "greater than 0"),
        ("grades: {A: 60.0}", "grades", "each letter takes less than the one before it"),
        ("grades: {A: 101.0}", "grades.A", "less than or equal to 100"),
        ("grades: {E: 10.0}", "grades", "there is no E"),
        ("lights: {green: 35.0}", "lights", "green takes more than amber"),
        ("lights: {amber: -1.0}", "lights.amber", "greater than or equal to 0"),
        ("baselines: []", "baselines", "at least 1 item"),
        ("baselines: [a, b, a]", "top level", "names one of them twice"),
        ("baselines: [1]", "baselines[0]", "valid string"),
        ("baselines: ['']", "baselines[0]", "at least 1 character"),
        ("capacity: {cost_bps_ann: 0.0}", "capacity.cost_bps_ann", "greater than 0"),
        ("capacity: {impact: 11.0}", "capacity.impact", "less than or equal to 10"),
        ("capacity: {months: 11}", "capacity.months", "greater than or equal to 12"),
        ("capacity: {least_known: 1.1}", "capacity.least_known", "less than or equal to 1"),
    ],
)
def test_what_is_not_allowed_is_told_in_one_message(
    tmp_path: Path, text: str, place: str, expected: str
):
    with pytest.raises(FactorLabError) as caught:
        loaded(tmp_path, text)
    said = str(caught.value)
    assert f"verdict.yaml: {place}." in said
    assert expected in said
    assert "data/verdict.yaml has every key" in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["- a", "weights: [", "sharpe_full: 1.0\nsharpe_full: 2.0", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str):
    with pytest.raises(FactorLabError, match=r"verdict\.yaml"):
        loaded(tmp_path, text)


def test_the_fingerprint_is_of_all_that_it_says(tmp_path: Path):
    plain = loaded(tmp_path, "sharpe_full: 2.0").fingerprint
    assert plain == VerdictSettings().fingerprint
    others = ("sharpe_full: 1.0", "grades: {A: 90.0}", "baselines: [low_vol]")
    assert len({loaded(tmp_path, text).fingerprint for text in others} | {plain}) == 4
