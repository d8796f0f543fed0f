"""Every judgement of a sweep in rows: on which months, by which names, and what has no answer."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets import schemas, strategy, universes
from factorlab_assets.core import factors
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.tables import records_table
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.evidence import evidence, memory, not_walked, walked
from factorlab_assets.evaluation.overfitting import cscv
from factorlab_assets.evaluation.snooping import snooping
from factorlab_assets.evaluation.splits import Earned
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.strategy_sweep import Sweep
from factorlab_assets.validation import judge, normalise
from factorlab_tests.conftest import PROJECT_ROOT
from factorlab_tests.small_panels import NAN, resolved_of, strategy_of

ENDS = month_ends("2010-01", "2019-12")
SETTINGS = EvaluationSettings.model_validate({"bootstrap": {"draws": 100, "seed": 3}})
PBO = ("pbo", "pbo_slope", "pbo_loss", "pbo_splits")
CPCV = ("cpcv_min", "cpcv_p25", "cpcv_median", "cpcv_p75", "cpcv_max", "cpcv_paths")
SPA = ("spa_lower", "spa_consistent", "spa_upper", "reality_check", "stepm")
NAMES = {
    "raw": ("best", "neighbours", *PBO, *CPCV),
    "benchmark": (*PBO, *SPA),
}


def swept(n: int, **said: Any) -> Sweep:
    whole = {"parameters": {"factors.trend.lookback": list(range(1, n + 1))}, "blocks": 4}
    return Sweep.model_validate(whole | {"cross_validation": {"folds": 4, "test_folds": 2}} | said)


def noise(n: int, months: int = 120) -> Earned:
    rng = np.random.default_rng(8)
    net = rng.normal(0.008, 0.04, (n, months))
    return Earned(net, np.full((n, months), 0.001), rng.normal(0.006, 0.03, months))


def rows_of(earned: Earned) -> list[dict[str, Any]]:
    """What `sweep_metrics` says of combinations along one parameter."""
    found = []
    for i, (net, rf) in enumerate(zip(earned.net, earned.rf, strict=True)):
        excess = (net - rf)[np.isfinite(net)]
        value = excess.mean() / excess.std(ddof=1) * np.sqrt(12.0) if len(excess) > 1 else NAN
        said = {"combination": f"s.lookback-{i + 1}", "sharpe": value if value == value else None}
        found.append(said | {"parameters": json.dumps({"factors.trend.lookback": i + 1})})
    return found


def judged(earned: Earned, **said: Any) -> dict[tuple[str, str], dict[str, Any]]:
    n, months = earned.net.shape
    plain: dict[str, Any] = {"lookback": 2, "holding": 1}
    found = evidence(
        swept(max(n, 1)), rows_of(earned), ENDS[:months], earned, SETTINGS, **(plain | said)
    )
    of = {(row["returns"], row["statistic"]): row for row in found}
    assert len(of) == len(found), "a statistic twice: the primary key would refuse it"
    assert list(of) == [(kind, name) for kind, names in NAMES.items() for name in names]
    return of


def values(of: Any, kind: str, names: Any) -> Floats:
    return np.array([of[kind, name]["value"] for name in names])


class TestMonths:
    def test_only_those_that_all_combinations_have(self):
        whole = noise(4)
        late = noise(4)
        late.net[1, :9] = late.rf[1, :9] = NAN
        late.net[3, 118:] = late.rf[3, 118:] = NAN
        of = judged(late)
        cut = whole.rows(slice(9, 118))
        raw, active = cut.net - cut.rf, cut.net - cut.benchmark
        for kind, excess in (("raw", raw), ("benchmark", active)):
            by_hand = cscv(excess, 4, 1)
            expected = [by_hand.pbo, by_hand.slope, by_hand.loss, by_hand.n_splits]
            assert values(of, kind, PBO) == pytest.approx(expected, abs=1e-15)
        said = snooping(active, SETTINGS.level, 100, 3)
        expected = [said.lower, said.consistent, said.upper, said.reality_check]
        assert values(of, "benchmark", SPA[:4]) == pytest.approx(expected, abs=0.0)
        about = "109 months from 2010-10-29 to 2019-10-31, 11 other months left out"
        assert all(row["note"].endswith(about) for row in of.values())

    def test_all_months_are_said_plainly(self):
        note = judged(noise(3))["raw", "pbo"]["note"]
        assert note.endswith("; 120 months from 2010-01-29 to 2019-12-31")

    def test_a_month_that_one_lacks_in_the_middle_is_left_out(self):
        earned = noise(3)
        earned.net[0, 50] = NAN
        of = judged(earned)
        kept = np.arange(120) != 50
        by_hand = cscv((earned.net - earned.rf)[:, kept], 4, 1)
        assert of["raw", "pbo"]["value"] == pytest.approx(by_hand.pbo, abs=0.0)
        assert "119 months" in of["raw", "pbo"]["note"]

    def test_without_a_common_month_there_are_reasons(self):
        earned = noise(2)
        earned.net[0, :60] = NAN
        earned.net[1, 60:] = NAN
        of = judged(earned)
        for key in of.keys() - {("raw", "best"), ("raw", "neighbours")}:
            assert np.isnan(of[key]["value"]), key
            assert of[key]["note"].endswith("; no month that all combinations have"), key
            assert len(of[key]["note"]) > 50, key


class TestSmallSweeps:
    def test_one_combination(self):
        of = judged(noise(1))
        (row,) = rows_of(noise(1))
        assert of["raw", "best"]["value"] == pytest.approx(row["sharpe"], abs=0.0)
        assert of["raw", "best"]["note"].startswith("s.lookback-1, of 1; 120 months")
        assert np.isnan(of["raw", "neighbours"]["value"])
        assert "no neighbour in the grid" in of["raw", "neighbours"]["note"]
        for kind in NAMES:
            assert np.isnan(values(of, kind, PBO)).all()
            assert "1 trials: at least 2" in of[kind, "pbo"]["note"]
        assert np.isnan(values(of, "raw", CPCV)).all()
        assert "2 are needed" in of["raw", "cpcv_min"]["note"]
        assert np.isfinite(values(of, "benchmark", SPA)).all(), "one trial has luck, too"

    def test_combinations_that_are_all_the_same(self):
        """Choosing among equals is worth nothing: pbo is 1, and every path earns the same."""
        same = noise(1)
        earned = Earned(np.repeat(same.net, 3, 0), np.repeat(same.rf, 3, 0), same.benchmark)
        of = judged(earned)
        assert of["raw", "pbo"]["value"] == 1.0
        assert of["benchmark", "pbo"]["value"] == 1.0
        own = rows_of(same)[0]["sharpe"]
        assert of["raw", "best"]["value"] == of["raw", "neighbours"]["value"] == own
        assert of["raw", "best"]["note"].startswith("s.lookback-1, of 3")
        assert values(of, "raw", CPCV[:5]) == pytest.approx([own] * 5, abs=1e-9)
        assert of["benchmark", "stepm"]["value"] in (0.0, 3.0)
        assert of["benchmark", "spa_upper"]["value"] >= of["benchmark", "spa_lower"]["value"]

    def test_one_month(self):
        of = judged(noise(3, months=1))
        assert np.isnan([row["value"] for row in of.values()]).all()
        assert of["raw", "best"]["note"].startswith("no combination has a Sharpe ratio; 1 months")
        assert "24" in of["benchmark", "spa_lower"]["note"]
        assert all(len(row["note"]) > 60 for row in of.values())

    def test_none_done(self):
        of = judged(Earned(np.empty((0, 120)), np.empty((0, 120)), noise(1).benchmark))
        assert np.isnan([row["value"] for row in of.values()]).all()

    def test_a_benchmark_that_is_not_known(self):
        earned = noise(3)
        earned.benchmark[:] = NAN
        of = judged(earned)
        assert np.isnan(values(of, "benchmark", NAMES["benchmark"])).all()
        assert np.isfinite(values(of, "raw", NAMES["raw"])).all()


class TestBest:
    def test_best_and_neighbours_are_those_of_the_rows(self):
        rows = rows_of(noise(5))
        of = judged(noise(5))
        ratios = [row["sharpe"] for row in rows]
        top = int(np.argmax(ratios))
        around = [ratios[i] for i in (top - 1, top + 1) if 0 <= i < 5]
        best, beside = of["raw", "best"], of["raw", "neighbours"]
        assert best["value"] == ratios[top]
        assert best["note"].startswith(f"s.lookback-{top + 1}, of 5; ")
        assert np.isnan([best["low"], best["high"]]).all()
        assert [beside[key] for key in ("value", "low", "high")] == pytest.approx(
            [np.mean(around), min(around), max(around)], abs=1e-15
        )

    def test_the_superior_are_named(self):
        earned = noise(3)
        earned.net[2] += 0.05
        of = judged(earned)
        assert of["benchmark", "stepm"]["value"] == 1.0
        assert of["benchmark", "stepm"]["note"].startswith("s.lookback-3; 120 months")

    def test_purge_and_embargo_are_handed_on(self):
        notes = {
            holding: judged(noise(3), lookback=4, holding=holding)["raw", "cpcv_min"]["note"]
            for holding in (1, 3)
        }
        assert "1 purged, 4 embargoed" in notes[1]
        assert "3 purged, 4 embargoed" in notes[3]
        assert "2 purged" in judged(noise(3), holding=2)["raw", "pbo"]["note"]


class TestWalks:
    def test_the_figure_is_los_of_each_kind(self):
        rng = np.random.default_rng(2)
        net, rf, benchmark = rng.normal(0.01, 0.04, (3, 60))
        benchmark[:5] = NAN
        raw, active = walked("anchored", net, rf, benchmark, "7 windows", 0.9)
        assert [row["returns"] for row in (raw, active)] == ["raw", "benchmark"]
        assert {row["statistic"] for row in (raw, active)} == {"walk_forward_anchored"}
        for row, excess in ((raw, net - rf), (active, (net - benchmark)[5:])):
            said = sharpe.lo(excess, 0.9)
            assert (row["value"], row["low"], row["high"]) == (said.value, said.low, said.high)
            assert row["low"] < row["value"] < row["high"]
            assert row["note"] == f"7 windows; {said.note}"
        assert active["note"].startswith("7 windows; 55 months")

    @pytest.mark.parametrize("net", [np.full(60, 0.01), np.empty(0), np.array([0.1])])
    def test_what_has_no_ratio_says_why(self, net):
        for row in walked("rolling", net, 0.0 * net, np.full(len(net), NAN), "walk", 0.95):
            assert np.isnan([row["value"], row["low"], row["high"]]).all()
            assert row["note"].startswith("walk; ")
            assert len(row["note"]) > len("walk; ")

    def test_no_walk_has_the_same_rows_with_the_reason(self):
        made = walked("rolling", *noise(3).net, "walk", 0.95)
        for said, none in zip(made, not_walked("rolling", "too short"), strict=True):
            assert said.keys() == none.keys()
            assert (said["returns"], said["statistic"]) == (none["returns"], none["statistic"])
            assert np.isnan(none["value"])
            assert none["note"] == "too short"


def test_the_rows_are_those_of_the_table():
    """As the assets store them: no value is null, no key comes twice, nothing is out of range."""
    rows = [*judged(noise(4)).values(), *not_walked("anchored", "-"), *not_walked("rolling", "-")]
    table = records_table(schemas.SWEEP_EVIDENCE, [{**row, "strategy": "s"} for row in rows])
    table = table.append_column("month", [["2024-05"] * len(rows)])
    with duckdb.connect() as con:
        normalise(con, schemas.SWEEP_EVIDENCE, table, "incoming")
        (found,) = judge(con, schemas.SWEEP_EVIDENCE, "incoming").values()
    assert found.n_rows == 2 + 4 + 6 + 4 + 5 + 4
    assert not found.faults


BY_HAND = {
    # P[t−13] … P[t−1]: a year's trend a month late.
    "trend_12m": (13, 1),
    # P[t−12] … P[t−1].
    "xsmom_12_1": (12, 1),
    # The mean of ten month-ends, this one's included.
    "faber_10m": (9, 1),
    # Six months' return; a sixth of the book is held for six.
    "overlapping_momentum": (6, 6),
    # No factor; traded every December, and in every third month.
    "permanent_portfolio": (0, 12),
    "sixty_forty_quarterly": (0, 3),
    "sixty_forty": (0, 1),
    # The longest of its factors: 36 months' volatility, a month late.
    "three_factor_ls": (37, 1),
    # Five years back, though the newest of its prices is a year old.
    "value_and_momentum": (60, 1),
    "same_month_seasonality": (60, 1),
}


def shipped() -> dict[str, strategy.Resolved]:
    files, _ = strategy.load_strategies(PROJECT_ROOT / "data" / "strategies", factors.complete)
    named = universes.load_universes(PROJECT_ROOT / "data" / "universes.yaml")
    return {name: strategy.resolve(said, named, files) for name, said in files.items()}


def test_the_memory_of_shipped_strategies():
    all_ = shipped()
    assert {name: memory([all_[name]]) for name in BY_HAND} == BY_HAND
    assert memory([all_["low_vol"], all_["permanent_portfolio"]]) == (37, 12)
    assert memory(list(all_.values())) == (60, 12)


@pytest.mark.parametrize(
    ("transforms", "lookback"),
    [
        ([], 13),
        ([{"kind": "zscore"}, {"kind": "clip"}], 13),
        ([{"kind": "smooth", "months": 3}], 15),
        ([{"kind": "delay", "months": 2}], 15),
        ([{"kind": "smooth", "months": 6}, {"kind": "delay", "months": 4}], 22),
        ([{"kind": "neutralize", "factors": ["low_vol"]}], 24),
        ([{"kind": "neutralize", "factors": ["low_vol"]}, {"kind": "delay", "months": 2}], 26),
    ],
)
def test_transforms_look_further_back(transforms, lookback):
    """trend looks 12 + 1 months back; what it is neutralized against 24."""
    trend = {"name": "trend", "params": {"lookback": 12}, "delay": 1, "transforms": transforms}
    said = [trend]
    if transforms and transforms[0]["kind"] == "neutralize":
        said.append({"name": "low_vol", "params": {"lookback": 24}, "delay": 0})
    assert memory([resolved_of(strategy_of(factors=said), None)]) == (lookback, 1)


@pytest.mark.parametrize(
    ("months", "apart"), [([1, 7], 6), ([3], 12), ([1, 2, 3], 10), ([12, 6, 1], 6), ([11, 2], 9)]
)
def test_months_of_the_year_are_held_until_the_next_of_them(months, apart):
    assert memory([resolved_of(strategy_of(schedule={"months": months}), None)]) == (0, apart)
