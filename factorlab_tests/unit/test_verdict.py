"""score_v1 on rows and series whose scores can be worked out in the head, and its laws.

Invariants: a better component never lowers the composite; the composite is from 0 to 100; the
weights used sum to 1 where anything is known; leaving out the same component keeps the order of any
two results. Tolerance 1e-9: ratios of means and deviations of 24 numbers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets import schemas
from factorlab_assets.evaluation.verdict import composite, grade, redistributed, score_v1
from factorlab_assets.evaluation.verdict_components import Inputs
from factorlab_assets.evaluation_settings import Bootstrap, EvaluationSettings
from factorlab_assets.verdict_settings import EQUAL_WEIGHT, VerdictSettings, Weights

NAN = math.nan
MONTHS = 24
P = np.array([1.0, -1.0] * (MONTHS // 2))
Q = np.array([1.0, 1.0, -1.0, -1.0] * (MONTHS // 4))
"""P and Q have the mean 0, the same spread and no correlation."""
QUICK = EvaluationSettings(bootstrap=Bootstrap(draws=200))
NAMES = list(Weights().model_dump())
Rows = dict[str, dict[str, Any]]


def with_mean(mean: float) -> np.ndarray:
    """A series whose Sharpe ratio is proportional to its mean."""
    return mean + 0.04 * P


def delayed(late: float, own: float, **said: Any) -> list[dict[str, Any]]:
    """Robustness rows of these two Sharpe ratios, among others."""
    row = {"test": "delay", "n_months": MONTHS, "note": ""}
    return [
        {"test": "cost", "setting": "0 months more", "sharpe": 9.0, "note": "", "n_months": 9},
        row | {"setting": "0 months more", "sharpe": own},
        row | {"setting": "1 months more", "sharpe": 7.0},
        row | {"setting": "2 months more", "sharpe": late} | said,
    ]


def judged(dsr: float = 0.97, note: str = "") -> list[dict[str, Any]]:
    """Rows of inference: what a verdict reads, beside what it must not."""
    nothing = {"low": NAN, "high": NAN, "note": note}
    return [
        {"returns": "raw", "statistic": "dsr", "value": 0.5} | nothing,
        {"returns": "raw", "statistic": "sharpe_bootstrap", "value": 1.0, "low": 0.4, "high": 1.6},
        {"returns": "benchmark", "statistic": "dsr", "value": dsr} | nothing,
        {"returns": "benchmark", "statistic": "n_trials", "value": 12.0} | nothing,
    ]


def years(*returns: float) -> list[dict[str, Any]]:
    """Full calendar years, and one that is not."""
    full = [{"net_return": each, "is_full": True} for each in returns]
    return [*full, {"net_return": -0.5, "is_full": False}]


def inputs(**said: Any) -> Inputs:
    """Scores 50, 80, 50, 50, 25, 75 and 20/3."""
    plain: dict[str, Any] = {
        "excess": with_mean(0.02),
        "metrics": {
            "sharpe": 1.0,
            "n_months": 60,
            "max_drawdown": -0.2,
            "price_basis": "total return",
        },
        "robustness": delayed(0.8, 1.0),
        "inference": judged(),
        "calendar_returns": years(0.1, 0.2, -0.1, 0.01),
        "active": P,
        "later": with_mean(0.016),
        "neutral": with_mean(0.01),
        "classes": {"Equity": with_mean(0.02), "Rates": with_mean(0.005), "REIT": with_mean(0.01)},
        "baselines": {
            EQUAL_WEIGHT: np.zeros(MONTHS),
            "sixty_forty": -P - math.sqrt(15.0) * Q,  # −1/4
            "trend_12m": 0.1 * P + Q,
            "low_vol": "the strategy itself",
        },
        "styles": {"trend": 7.0 * P + 24.0 * Q, "reversal": Q},  # 7/25
        "over_balanced": with_mean(0.01),
        "vintage": "observed 2024-06-01",
        "capacity": (12_345_678.9, "over the last 36 months"),
    }
    return Inputs(**plain | said)


def rows_of(given: Inputs, **said: Any) -> Rows:
    """Rows by component; found to be rows that the table takes."""
    rows = score_v1(given, VerdictSettings(**said), QUICK)
    frame = pd.DataFrame([{"month": "2024-05", "strategy": "test"} | row for row in rows])
    schemas.VERDICT.schema.validate(frame)
    assert set(frame) == set(schemas.VERDICT.columns)
    assert [*frame["component"]] == [*NAMES, "total"]
    used = math.fsum(row["weight_used"] for row in rows[:-1])
    known = [row for row in rows[:-1] if not math.isnan(row["score"])]
    assert used == pytest.approx(1.0 if known else 0.0, abs=1e-12)
    assert all((row["weight_used"] > 0.0) == (row in known) for row in rows[:-1])
    assert all(row["note"] for row in rows)
    return {str(row["component"]): row for row in rows}


# --- by hand -------------------------------------------------------------------------------------


def test_every_component_by_hand():
    rows = rows_of(inputs())
    expected = {
        "sharpe": (1.0, 50.0),
        "delay_stability": (0.8, 80.0),
        "neutralization_stability": (0.5, 50.0),
        "baseline_uniqueness": (-0.25, 50.0),
        "class_consistency": (0.25, 25.0),
        "positive_years": (0.75, 75.0),
        "factor_uniqueness": (0.28, 20.0 / 3.0),
    }
    for name, (value, score) in expected.items():
        assert rows[name]["value"] == pytest.approx(value, rel=1e-9), name
        assert rows[name]["score"] == pytest.approx(score, rel=1e-9), name
        assert rows[name]["weight_used"] == pytest.approx(rows[name]["weight"], rel=1e-12)
        assert (rows[name]["grade"], rows[name]["light"]) == ("", "")
    # 12.5 + 12 + 7.5 + 7.5 + 2.5 + 7.5 + 2/3
    total = rows["total"]
    assert total["score"] == pytest.approx(49.5 + 2.0 / 3.0, rel=1e-9)
    assert (total["grade"], total["light"]) == ("C", "amber")
    assert (total["weight"], total["weight_used"]) == (1.0, 1.0)
    assert np.isnan(total["value"])


def test_notes_say_what_was_compared():
    notes = {name: row["note"] for name, row in rows_of(inputs()).items()}
    assert notes["sharpe"] == "over cash; 2 scores 100"
    assert notes["delay_stability"].startswith(
        "Sharpe ratio with signals 2 months later 0.80, as it is 1.00; interval of 0.95 from 200"
    )
    assert "demeaned within each class 0.85, as it is 1.70" in notes["neutralization_stability"]
    assert notes["baseline_uniqueness"] == (
        "correlation -0.25 with sixty_forty, the baseline most alike of 2; left out: low_vol: the"
        " strategy itself"
    )
    assert notes["class_consistency"].startswith("Sharpe ratio in Rates 0.42, in Equity 1.70; int")
    assert notes["positive_years"] == "3 of 4 full calendar years"
    assert notes["factor_uniqueness"] == "correlation 0.28 with trend, the style most alike of 2"


def test_the_total_tells_the_lights_reasons_first_and_then_the_facts():
    # Months alternate: γ1 = −23/24·γ0, γ2 = 22/24·γ0, and two lags weigh 2/3 and 1/3.
    variance = 0.04**2 * (1.0 - 4.0 / 3.0 * 23.0 / 24.0 + 2.0 / 3.0 * 22.0 / 24.0)
    t = 0.01 / math.sqrt(variance / 23.0)
    note = rows_of(inputs())["total"]["note"].split("; ")
    assert note == [
        "composite 50.2 of 100, at least 35 but below 65",
        "deflated Sharpe probability over the benchmark 0.970, at least 0.95",
        "trials: N = 12",
        "data: observed 2024-06-01",
        "price basis: total return",
        f"excess over 60/40: +12.0 % a year, t = {t:.2f}",
        "capacity at 50 bps a year: $12,000,000, over the last 36 months",
    ]


def test_facts_that_are_not_known_say_so():
    bare = inputs(inference=[], over_balanced=P[:5], capacity=(NAN, "dollar volumes were not read"))
    note = rows_of(replace(bare, metrics={}))["total"]["note"]
    for said in (
        "probability over the benchmark not known: not computed",
        "trials: not counted",
        "price basis: not known",
        "excess over 60/40: not known: 5 months, at least 12 are needed",
        "capacity at 50 bps a year: not known: dollar volumes were not read",
    ):
        assert said in note
    note = rows_of(inputs(over_balanced="IEF has no prices"))["total"]["note"]
    assert "excess over 60/40: not known: IEF has no prices" in note


@pytest.mark.parametrize(
    ("name", "said", "score"),
    [
        ("sharpe", {"metrics": {"sharpe": 3.0, "n_months": 60}}, 100.0),
        ("sharpe", {"metrics": {"sharpe": -1.0, "n_months": 60}}, 0.0),
        ("delay_stability", {"robustness": delayed(1.5, 1.0)}, 100.0),
        ("delay_stability", {"robustness": delayed(-0.5, 1.0)}, 0.0),
        ("neutralization_stability", {"neutral": with_mean(0.03)}, 100.0),
        ("neutralization_stability", {"neutral": with_mean(-0.03)}, 0.0),
        ("baseline_uniqueness", {"baselines": {"a": Q}}, 100.0),
        ("baseline_uniqueness", {"baselines": {"a": -P}}, 0.0),
        ("baseline_uniqueness", {"baselines": {"a": 3.0 * P + 4.0 * Q}}, 0.0),
        ("class_consistency", {"classes": dict.fromkeys("ab", with_mean(0.02))}, 100.0),
        (
            "class_consistency",
            {"classes": {"a": with_mean(0.02), "b": with_mean(-0.02)}},
            0.0,
        ),
        ("positive_years", {"calendar_returns": years(0.1)}, 100.0),
        ("positive_years", {"calendar_returns": years(0.0, -0.1)}, 0.0),
        ("factor_uniqueness", {"styles": {"a": Q}}, 100.0),
        ("factor_uniqueness", {"styles": {"a": -P}}, 0.0),
    ],
)
def test_scores_are_held_between_0_and_100(name: str, said: dict[str, Any], score: float):
    assert rows_of(inputs(**said))[name]["score"] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [
        (
            "delay_stability",
            {"robustness": delayed(0.3, 0.1)},
            {"robustness": delayed(0.3, 0.1001)},
        ),
        (
            "neutralization_stability",
            {"excess": with_mean(0.001), "neutral": with_mean(0.02)},
            {"excess": with_mean(0.002), "neutral": with_mean(0.02)},
        ),
        (
            "class_consistency",
            {"classes": dict.fromkeys("ab", with_mean(0.001))},
            {"classes": dict.fromkeys("ab", with_mean(0.002))},
        ),
    ],
)
def test_a_ratio_over_a_tenth_or_less_scores_0(
    name: str, weak: dict[str, Any], strong: dict[str, Any]
):
    row = rows_of(inputs(**weak))[name]
    assert row["score"] == 0.0
    assert row["weight_used"] == pytest.approx(row["weight"], rel=1e-12)  # it counts, as 0
    assert np.isnan(row["value"])
    assert "a ratio over 0.1 or less scores 0" in row["note"]
    assert rows_of(inputs(**strong))[name]["score"] == pytest.approx(100.0, abs=1e-9)


# --- what cannot be computed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said", "reason"),
    [
        ("sharpe", {"metrics": {}}, "0 months; a score takes at least 12"),
        ("sharpe", {"metrics": {"sharpe": 5.0, "n_months": 3}}, "3 months; a score takes"),
        ("sharpe", {"metrics": {"sharpe": None, "n_months": 60}}, "returns are constant"),
        ("delay_stability", {"robustness": []}, "no delay of 2 months more was tried"),
        ("delay_stability", {"robustness": delayed(1.0, 1.0)[:2]}, "delay was tried"),
        (
            "delay_stability",
            {"robustness": delayed(NAN, 1.0, note="11 months; figures take 12")},
            "2 months more: 11 months; figures take 12",
        ),
        (
            "delay_stability",
            {
                "robustness": [
                    {"test": "delay", "setting": "none", "sharpe": None, "note": "no factors"}
                ]
            },
            "no factors",
        ),
        ("neutralization_stability", {"neutral": "no asset classes"}, "no asset classes"),
        (
            "neutralization_stability",
            {"neutral": np.where(np.arange(MONTHS) < 11, 0.01 * P, NAN)},
            "11 months in common",
        ),
        ("neutralization_stability", {"neutral": 0.0 * P}, "constant returns"),
        ("baseline_uniqueness", {"active": "it never started"}, "it never started"),
        (
            "baseline_uniqueness",
            {"active": np.full(MONTHS, NAN)},
            "the equally weighted universe is known in 0 months",
        ),
        ("baseline_uniqueness", {"baselines": {}}, "there is no baseline to compare with"),
        (
            "baseline_uniqueness",
            {"baselines": {"a": "its benchmark", "b": 0.0 * P, "c": np.full(MONTHS, NAN)}},
            "left out: a: its benchmark, b: constant returns, c: 0 months in common",
        ),
        ("class_consistency", {"classes": "no classes"}, "no classes"),
        (
            "class_consistency",
            {"classes": {"a": P, "b": np.where(np.arange(MONTHS) < 11, P, NAN)}},
            "1 of 2 groups can be compared; it takes two; left out, held too briefly",
        ),
        ("positive_years", {"calendar_returns": years()}, "there is no full calendar year"),
        ("factor_uniqueness", {"styles": "too few names"}, "too few names"),
        ("factor_uniqueness", {"styles": {}}, "there is no style to compare with"),
    ],
)
def test_what_cannot_be_computed_is_named_and_its_weight_goes_to_the_others(
    name: str, said: dict[str, Any], reason: str
):
    rows = rows_of(inputs(**said))
    row = rows[name]
    assert reason in row["note"]
    assert np.isnan(row["score"])
    assert row["weight_used"] == 0.0
    assert row["weight"] == Weights().model_dump()[name]
    other = rows["sharpe" if name != "sharpe" else "positive_years"]
    missing = math.fsum(rows[n]["weight"] for n in NAMES if np.isnan(rows[n]["score"]))
    assert other["weight_used"] == pytest.approx(other["weight"] / (1.0 - missing), rel=1e-12)
    assert f"without {name.replace('_', ' ')}" in rows["total"]["note"].replace(", ", "without ")
    assert f"{1.0 - missing:.0%} of the weight could be computed" in rows["total"]["note"]


def test_who_hugs_the_equally_weighted_universe_is_it():
    hugging = {"active": 0.0001 * P}
    rows = rows_of(inputs(**hugging))
    assert (rows["baseline_uniqueness"]["value"], rows["baseline_uniqueness"]["score"]) == (1, 0)
    assert "it is that universe" in rows["baseline_uniqueness"]["note"]
    assert np.isnan(rows["factor_uniqueness"]["score"])
    assert "strays 0.035 % a year" in rows["factor_uniqueness"]["note"]
    of_it = inputs(**hugging, baselines={EQUAL_WEIGHT: "its benchmark", "a": Q})
    assert np.isnan(rows_of(of_it)["baseline_uniqueness"]["score"])


def test_a_component_that_cannot_be_computed_does_not_count_as_0():
    rows = rows_of(inputs(neutral="no asset classes"))
    assert rows["total"]["score"] == pytest.approx((49.5 + 2.0 / 3.0 - 7.5) / 0.85, rel=1e-9)


def test_under_four_fifths_of_the_weight_there_is_no_grade():
    less = {"neutral": "-", "classes": "-"}  # 75 %
    rows = rows_of(inputs(**less))
    # 12.5 + 12 + 7.5 + 7.5 + 2/3, of 75 %
    assert rows["total"]["score"] == pytest.approx((40.0 + 1.0 / 6.0) / 0.75, rel=1e-9)
    assert rows["total"]["grade"] == "none"
    assert "75% of the weight could be computed, a grade takes 80%" in rows["total"]["note"]
    assert rows_of(inputs(**less), least_weight=0.75)["total"]["grade"] == "C"
    only_20 = {"classes": "-", "styles": "-"}  # 80 %: just enough
    assert rows_of(inputs(**only_20))["total"]["grade"] != "none"


def test_nothing_at_all_is_amber_without_a_grade():
    rows = rows_of(Inputs(excess=np.empty(0)))
    assert (rows["total"]["grade"], rows["total"]["light"]) == ("none", "amber")
    assert np.isnan(rows["total"]["score"])
    assert rows["total"]["weight_used"] == 0.0
    assert rows["total"]["note"].startswith("no component could be computed")


# --- grade and light -----------------------------------------------------------------------------


def scoring(score: float, **said: Any) -> Inputs:
    """All seven components score the same."""
    share = score / 100.0
    mixed = {
        limit: Q if share == 1.0 else alike * P + math.sqrt(1.0 - alike**2) * Q
        for limit, alike in ((0.5, 0.5 * (1.0 - share)), (0.3, 0.3 * (1.0 - share)))
    }
    n = round(20 * share)
    return inputs(
        **{
            "metrics": {"sharpe": 2.0 * share, "n_months": 60},
            "robustness": delayed(share, 1.0),
            "neutral": with_mean(0.02 * share),
            "classes": {"a": with_mean(0.02), "b": with_mean(0.02 * share)},
            "baselines": {"a": mixed[0.5]},
            "styles": {"a": mixed[0.3]},
            "calendar_returns": years(*[0.1] * n, *[-0.1] * (20 - n)),
        }
        | said
    )


@pytest.mark.parametrize(
    ("score", "letter", "light"),
    [
        (100.0, "A", "green"),
        (80.0, "A", "green"),
        (75.0, "B", "green"),
        (65.0, "B", "green"),
        (60.0, "C", "amber"),
        (50.0, "C", "amber"),
        (35.0, "D", "amber"),
        (30.0, "F", "red"),
        (0.0, "F", "red"),
    ],
)
def test_letters_and_lights_begin_at_their_thresholds(score: float, letter: str, light: str):
    total = rows_of(scoring(score))["total"]
    assert total["score"] == pytest.approx(score, abs=1e-9)
    assert (total["grade"], total["light"]) == (letter, light)


def test_the_deflated_sharpe_probability_is_a_gate_and_no_weight():
    good = rows_of(scoring(90.0))["total"]
    assert good["light"] == "green"
    for dsr, said in ((0.949, "0.949, below 0.95"), (NAN, "not known: too few tries")):
        total = rows_of(scoring(90.0, inference=judged(dsr, "too few tries")))["total"]
        assert total["light"] == "amber"
        assert total["score"] == pytest.approx(good["score"], rel=1e-12)
        assert total["grade"] == good["grade"] == "A"
        assert said in total["note"]
    assert rows_of(scoring(90.0, inference=judged(0.95)))["total"]["light"] == "green"


def test_without_a_grade_nothing_is_green():
    few = scoring(90.0, neutral="-", classes="-")
    assert rows_of(few)["total"]["light"] == "amber"


def test_a_lost_capital_is_red_whatever_else():
    lost = scoring(90.0, metrics={"sharpe": 1.8, "n_months": 60, "max_drawdown": -1.0})
    total = rows_of(lost)["total"]
    assert total["light"] == "red"
    assert total["note"].startswith("the capital was lost; composite 90.0")


def test_thresholds_are_those_of_the_file():
    said = {"grades": {"A": 55.0, "B": 50.0, "C": 40.0}, "lights": {"green": 45.0, "amber": 20.0}}
    total = rows_of(inputs(), **said)["total"]
    assert (total["grade"], total["light"]) == ("B", "green")
    assert rows_of(inputs(), sharpe_full=4.0)["sharpe"]["score"] == 25.0
    assert rows_of(inputs(), delay_months=1)["delay_stability"]["value"] == 7.0


# --- intervals -----------------------------------------------------------------------------------


def test_ratios_carry_an_interval_and_the_sharpe_ratio_that_of_inference():
    rng = np.random.default_rng(1)
    own = rng.normal(0.02, 0.04, 120)
    later = 0.9 * own + rng.normal(0.0, 0.02, 120)
    other = rng.normal(0.02, 0.04, 120)
    given = inputs(excess=own, later=later, neutral=later, classes={"a": own, "b": other})
    given = replace(given, robustness=[{**row, "n_months": 120} for row in given.robustness])
    rows = rows_of(given)
    assert (rows["sharpe"]["low"], rows["sharpe"]["high"]) == (0.4, 1.6)
    for name in ("delay_stability", "neutralization_stability", "class_consistency"):
        row = rows[name]
        assert row["low"] < row["high"], name
        assert row["note"].count("200 draws in blocks of") == 1
    both = rows["neutralization_stability"]
    assert both["low"] < both["value"] < both["high"]
    assert str(rows_of(given)) == str(rows)  # seeded
    for name in ("baseline_uniqueness", "positive_years", "factor_uniqueness"):
        assert np.isnan(rows[name]["low"])


def test_months_are_drawn_together():
    # A multiple of the same returns has the same Sharpe ratio in every draw.
    rng = np.random.default_rng(2)
    own = rng.normal(0.02, 0.04, 60)
    row = rows_of(inputs(excess=own, later="-", neutral=3.0 * own))["neutralization_stability"]
    assert row["low"] in (pytest.approx(1.0, rel=1e-9), 0.0)
    assert row["high"] == pytest.approx(1.0, rel=1e-9)


def test_draws_in_which_a_series_is_constant_are_left_out():
    # b moves in one month of 24 only: a draw without it says nothing of b.
    own = {"a": with_mean(0.03), "b": np.full(MONTHS, 0.01)}
    own["b"][5] = 0.02
    row = rows_of(inputs(classes=own))["class_consistency"]
    assert np.isfinite(row["low"])
    assert 0.001 < row["low"] < row["high"] <= 1.0
    mostly = {name: np.where(np.arange(MONTHS) < 12, each, NAN) for name, each in own.items()}
    mostly["b"] = np.where(np.arange(MONTHS) < 12, mostly["b"], NAN)
    assert rows_of(inputs(classes=mostly))["class_consistency"]["score"] > 0.0


def test_without_the_later_returns_there_is_a_ratio_but_no_interval():
    row = rows_of(inputs(later="not kept"))["delay_stability"]
    assert (row["value"], row["score"]) == (0.8, 80.0)
    assert np.isnan(row["low"])
    assert row["note"].endswith("no interval: not kept")


def test_the_interval_is_over_the_months_of_the_stored_row():
    rng = np.random.default_rng(3)
    own, later = rng.normal(0.02, 0.04, (2, 60))
    rows = [{**row, "n_months": 40} for row in delayed(0.8, 1.0)]
    given = inputs(excess=own, later=later, neutral="-", robustness=rows)
    wild = replace(given, excess=np.where(np.arange(60) < 20, 0.5, own))
    first, second = (rows_of(each)["delay_stability"] for each in (given, wild))
    assert first["low"] == second["low"]
    assert np.isfinite(first["low"])


# --- laws ----------------------------------------------------------------------------------------

SCORES = st.lists(
    st.one_of(st.floats(0.0, 100.0), st.just(NAN)), min_size=len(NAMES), max_size=len(NAMES)
)
KNOWN = st.lists(st.floats(0.0, 100.0), min_size=len(NAMES), max_size=len(NAMES))
WEIGHTS: dict[str, float] = Weights().model_dump()


def named(scores: list[float]) -> dict[str, float]:
    return dict(zip(NAMES, scores, strict=True))


@given(SCORES)
def test_the_composite_lies_between_its_scores_and_the_weights_used_sum_to_1(scores: list[float]):
    given = named(scores)
    value, used = composite(WEIGHTS, given), redistributed(WEIGHTS, given)
    known = [score for score in scores if not math.isnan(score)]
    if not known:
        assert math.isnan(value)
        assert set(used.values()) == {0.0}
        return
    assert min(known) <= value <= max(known)
    assert math.fsum(used.values()) == pytest.approx(1.0, abs=1e-12)
    for name, weight in used.items():
        assert (weight > 0.0) == (not math.isnan(given[name]))
        assert weight == 0.0 or weight >= WEIGHTS[name]


@given(KNOWN, st.sampled_from(NAMES), st.floats(0.0, 100.0))
def test_a_better_component_never_lowers_the_composite(
    scores: list[float], name: str, better: float
):
    given = named(scores)
    higher = given | {name: max(better, given[name])}
    assert composite(WEIGHTS, higher) >= composite(WEIGHTS, given) - 1e-12


@given(KNOWN, KNOWN, st.sets(st.sampled_from(NAMES), max_size=len(NAMES) - 1))
def test_what_both_lack_does_not_change_their_order(
    one: list[float], other: list[float], lacking: set[str]
):
    def without(scores: list[float]) -> dict[str, float]:
        return {n: NAN if n in lacking else score for n, score in named(scores).items()}

    def plain(scores: list[float]) -> float:
        return math.fsum(WEIGHTS[n] * s for n, s in named(scores).items() if n not in lacking)

    apart = plain(one) - plain(other)
    between = composite(WEIGHTS, without(one)) - composite(WEIGHTS, without(other))
    if abs(apart) > 1e-9:
        assert np.sign(between) == np.sign(apart)
    else:
        assert between == pytest.approx(0.0, abs=1e-7)


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_a_higher_composite_has_no_worse_letter(one: float, other: float):
    low, high = sorted((one, other))
    grades = VerdictSettings().grades
    assert grade(high, grades) <= grade(low, grades)  # A before B


@given(st.floats(-1.0, 3.0), st.floats(-1.0, 3.0))
def test_a_higher_sharpe_ratio_never_scores_less(one: float, other: float):
    def total(sharpe: float) -> float:
        rows = score_v1(inputs(metrics={"sharpe": sharpe, "n_months": 60}), None, FEW)
        return float(rows[-1]["score"])  # type: ignore[arg-type]  # a number in this table

    low, high = sorted((one, other))
    assert total(low) <= total(high) + 1e-12


FEW = EvaluationSettings(bootstrap=Bootstrap(draws=100))
