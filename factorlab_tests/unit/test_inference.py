"""The rows that say what a result is worth, and a sweep's columns.

Invariants: the rows and the columns say the same of one strategy; more tries never raise a deflated
ratio; what cannot be had is NaN with its reason.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.inference import STATISTICS, infer, infer_many
from factorlab_assets.evaluation.sharpe import Moments
from factorlab_assets.evaluation.trials import Family, Trial, Trials, family
from factorlab_assets.evaluation_settings import Bootstrap, EvaluationSettings
from factorlab_assets.schemas import INFERENCE, RETURNS

T = 120
DATES = (np.arange("2000-02", "2010-02", dtype="datetime64[M]")).astype("datetime64[D]") - 1
SETTINGS = EvaluationSettings(bootstrap=Bootstrap(draws=200, seed=7))
ZERO = np.zeros(T)


def _ratio_of(ratio: float, months: int = T) -> np.ndarray:
    """±1 % a month in turn, moved so that the Sharpe ratio per month is `ratio`."""
    up_down = 0.01 * np.tile([1.0, -1.0], months // 2)
    return up_down + ratio * up_down.std(ddof=1)


def _family(net: np.ndarray, *, failed: int = 0, prior: int = 0, benchmark=ZERO) -> Family:
    said = [Trial(f"c{i:04}", f"s{i}", "", f"e{i}", "done", "u", prior) for i in range(len(net))]
    said += [Trial(f"f{i}", f"f{i}", "", f"f{i}", "failed", "u") for i in range(failed)]
    rows = np.vstack([net, np.full((failed, net.shape[1]), np.nan)])
    trials = Trials(tuple(said), DATES, rows, np.where(np.isfinite(rows), 0.0, np.nan))
    return family("c0000", trials, benchmark, benchmark)


def _infer(net: np.ndarray, of: Family, benchmark=ZERO, equal_weight=ZERO) -> pd.DataFrame:
    rows = infer(DATES[: len(net)], net, ZERO[: len(net)], benchmark, equal_weight, of, SETTINGS)
    return pd.DataFrame(rows).set_index(["returns", "statistic"])


def test_every_row_is_there_once_and_fits_the_table():
    net = np.array([_ratio_of(r) for r in (0.3, 0.1, 0.0)])
    rows = infer(DATES, net[0], ZERO, ZERO + 0.001, ZERO + 0.002, _family(net), SETTINGS)
    frame = pd.DataFrame(rows).assign(month="2009-12", strategy="s0")
    strings = {name: "string" for name in frame.columns if frame[name].dtype.kind not in "fi"}
    INFERENCE.schema.validate(frame[list(INFERENCE.columns)].astype(strings), lazy=True)
    said = frame.groupby("returns")["statistic"].apply(set).to_dict()
    assert said == {kind: {*STATISTICS} | ({"verdict"} if kind == "benchmark" else set())
                    for kind in RETURNS}  # fmt: skip
    assert not frame["value"].isna().any()


def test_the_values_by_hand():
    """±1 in turn has skewness 0 and kurtosis 1: psr = Φ(SR·√119) and a root of 1 elsewhere."""
    net = np.array([_ratio_of(r) for r in (0.2, 0.1, 0.0)])
    found = _infer(net[0], _family(net), equal_weight=ZERO + 0.2 * _ratio_of(0.0).std(ddof=1))
    raw = found.loc["raw", "value"]
    phi, z = NormalDist().cdf, NormalDist().inv_cdf
    assert raw["psr"] == pytest.approx(phi(0.2 * 119**0.5), abs=1e-12)
    # three tries whose ratios are 0.2, 0.1 and 0 have a variance of 0.01
    best = 0.1 * ((1 - 0.5772156649) * z(1 - 1 / 3) + 0.5772156649 * z(1 - 1 / (3 * math.e)))
    assert raw["expected_max_sharpe"] == pytest.approx(best * 12**0.5, abs=1e-9)
    assert raw["dsr"] == pytest.approx(phi((0.2 - best) * 119**0.5), abs=1e-9)
    assert raw["min_track_record"] == pytest.approx(1 + (1.6448536270 / 0.2) ** 2, abs=1e-6)
    assert raw["sharpe_lo"] == pytest.approx(0.2 * 12**0.5, abs=1e-12)
    assert raw["n_trials"] == 3
    assert raw["n_effective_clusters"] == 1  # all three go up and down together
    assert raw["dsr_effective"] == pytest.approx(raw["psr"], abs=1e-12)
    told = found.loc[("raw", "n_effective_clusters"), "note"]
    assert told == "groups among the active returns of 3 tries: 1; the largest: s0, s1, s2"
    assert found.loc[("equal_weight", "psr"), "value"] == pytest.approx(0.5, abs=1e-12)


def test_one_try_alone_is_not_deflated():
    net = _ratio_of(0.25)
    found = _infer(net, _family(net[None]))["value"]
    for kind in RETURNS:
        assert found[kind, "dsr"] == found[kind, "psr"] > 0.99
        assert found[kind, "dsr_effective"] == found[kind, "psr"]
        assert found[kind, "expected_max_sharpe"] == 0.0
        assert found[kind, "n_trials"] == 1
    assert found["benchmark", "verdict"] == 1.0


def test_failures_raise_n_and_leave_the_variance():
    net = np.array([_ratio_of(r) for r in (0.2, 0.1, 0.0)])
    few, more = _infer(net[0], _family(net)), _infer(net[0], _family(net, failed=7))
    assert (few.loc[("raw", "n_trials"), "value"], few.loc[("raw", "n_failed"), "value"]) == (3, 0)
    assert more.loc[("raw", "n_trials"), "value"] == 10
    assert more.loc[("raw", "n_failed"), "value"] == 7
    expected = sharpe.expected_maximum(10, 0.01) * 12**0.5
    assert more.loc[("raw", "expected_max_sharpe"), "value"] == pytest.approx(expected, rel=1e-9)
    assert more.loc[("raw", "dsr"), "value"] < few.loc[("raw", "dsr"), "value"]
    assert more.loc[("benchmark", "psr"), "value"] > 0.95 > more.loc[("benchmark", "dsr"), "value"]
    assert more.loc[("benchmark", "verdict"), "value"] == 0.0
    assert "3 finished, 7 failed" in more.loc[("benchmark", "verdict"), "note"]


def test_tries_made_elsewhere_count():
    net = np.array([_ratio_of(r) for r in (0.2, 0.1, 0.0)])
    one, found = _infer(net[0], _family(net)), _infer(net[0], _family(net, prior=97))
    expected = sharpe.expected_maximum(100 + 2 * 97, 0.01) * 12**0.5  # three files say it
    assert found.loc[("raw", "n_trials"), "value"] == 3 + 3 * 97
    assert found.loc[("raw", "expected_max_sharpe"), "value"] == pytest.approx(expected, rel=1e-9)
    holm = ("raw", "haircut_holm")
    assert found.loc[holm, "value"] < one.loc[holm, "value"]


def test_only_failures_beside_it_is_no_verdict():
    net = _ratio_of(0.25)
    found = _infer(net, _family(net[None], failed=3))
    for name in ("dsr", "expected_max_sharpe"):
        assert np.isnan(found.loc[("raw", name), "value"])
        assert "1 with a Sharpe ratio, at least 2 are needed" in found.loc[("raw", name), "note"]
    assert np.isnan(found.loc[("benchmark", "verdict"), "value"])
    assert "No verdict" in found.loc[("benchmark", "verdict"), "note"]
    assert found.loc[("raw", "psr"), "value"] > 0.99


def test_the_verdict_says_what_was_tried_and_what_it_takes():
    rng = np.random.default_rng(0)
    net = rng.normal(0.0, 0.03, (50, T))
    net[0] += 0.006
    of = _family(net)
    note = _infer(net[0], of).loc[("benchmark", "verdict"), "note"]
    assert note.startswith(
        "50 distinct configurations (1 of s0, 1 of s1, 1 of s10, 47 more files): 50 f"
    )
    takes = float(note.split("it takes ")[1].split()[0])
    m = sharpe.moments(net[0])
    for ratio, reached in ((takes - 0.01, False), (takes + 0.01, True)):
        would = Moments(m.n, np.asarray(ratio / 12**0.5), m.skewness, m.kurtosis)
        assert (sharpe.deflated(would, 50, of.variance["benchmark"]) >= 0.95) == reached


def test_the_haircut_counts_the_other_tries():
    """p-values 0.0…, ordered as the ratios: Bonferroni multiplies the best by N, Holm too; BHY by
    N·(1 + 1/2 + 1/3)."""
    net = np.array([_ratio_of(r) for r in (0.3, 0.05, 0.0)])
    raw = _infer(net[0], _family(net)).loc["raw", "value"]
    p = sharpe.p_values(sharpe.moments(net[0]))

    def annual(p_value: float) -> float:
        return float(-sharpe.stdtrit(T - 1.0, p_value / 2) / T**0.5 * 12**0.5)

    assert raw["haircut_bonferroni"] == pytest.approx(annual(3 * p), rel=1e-9)
    assert raw["haircut_holm"] == pytest.approx(annual(3 * p), rel=1e-9)
    assert raw["haircut_bhy"] == pytest.approx(annual(3 * (1 + 1 / 2 + 1 / 3) * p), rel=1e-9)


def test_the_own_p_value_is_that_of_all_its_months():
    net = np.random.default_rng(4).normal(0.005, 0.03, (3, T))
    net[0, :40] += 0.02
    net[1:, :40] = np.nan
    found = _infer(net[0], _family(net)).loc["raw", "value"]
    expected = sharpe.haircut(sharpe.moments(net[:1]), 3).bonferroni[0]
    assert found["haircut_bonferroni"] == pytest.approx(expected, rel=1e-9)
    assert found["haircut_bonferroni"] > 0.5  # on the common months it would be 0


NOT_KNOWN = np.full(T, np.nan)
SHORT = np.where(np.arange(T) < 11, 0.0, np.nan)


@pytest.mark.parametrize(
    ("net", "benchmark", "kinds", "reason"),
    [
        (_ratio_of(0.1), NOT_KNOWN, ("benchmark",), "the benchmark is not known in any month"),
        (_ratio_of(0.1), SHORT, ("benchmark",), "11 months, at least 12 are needed"),
        (_ratio_of(0.1), _ratio_of(0.1) - 0.001, ("benchmark",), "over the benchmark are constant"),
        (ZERO + 0.01, ZERO, RETURNS, "are constant"),
        (np.where(np.arange(T) == T - 1, -1.2, 0.01), ZERO, RETURNS, "was lost in 2009-12"),
    ],
    ids=["no benchmark", "short benchmark", "is its benchmark", "constant", "ruin"],
)
def test_what_cannot_be_had_says_why(net, benchmark, kinds, reason):
    of = _family(np.array([net, _ratio_of(0.1)]), benchmark=benchmark)
    found = _infer(net, of, benchmark)
    for kind in kinds:
        rows = found.loc[kind]
        rows = rows[~rows.index.str.startswith("n_")]
        assert rows[["value", "low", "high"]].isna().all(axis=None)
        assert rows["note"].str.contains(reason).all()
        assert found.loc[(kind, "n_trials"), "value"] == 2
    for kind in set(RETURNS) - set(kinds):
        assert np.isfinite(found.loc[(kind, "psr"), "value"])


def test_months_without_a_benchmark_are_left_out_and_told():
    benchmark = np.where(np.arange(T) < 20, np.nan, 0.0)
    net = np.array([_ratio_of(0.1), _ratio_of(0.2)])
    found = _infer(net[0], _family(net, benchmark=benchmark), benchmark)
    expected = sharpe.probabilistic(sharpe.moments(net[0, 20:]))
    assert found.loc[("benchmark", "psr"), "value"] == pytest.approx(float(expected), rel=1e-12)
    told = "100 months (20 more in which it is not known)"
    assert told in found.loc[("benchmark", "psr"), "note"]


def test_the_seed_decides_the_bootstrap():
    net = np.random.default_rng(2).normal(0.005, 0.03, T)
    of = _family(net[None])
    once, again = (_infer(net, of).loc[("raw", "sharpe_bootstrap"), "low"] for _ in range(2))
    other = EvaluationSettings(bootstrap=Bootstrap(draws=200, seed=8))
    rows = infer(DATES, net, ZERO, ZERO, ZERO, of, other)
    assert once == again
    assert rows[5]["statistic"] == "sharpe_bootstrap"
    assert rows[5]["low"] != once


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), failed=st.integers(0, 50), first=st.integers(0, 60))
def test_columns_and_rows_say_the_same(seed: int, failed: int, first: int):
    rng = np.random.default_rng(seed)
    net = rng.standard_t(4, (5, T)) * 0.03 + 0.006
    net[0, :first] = np.nan
    net = net + 0.3 * np.roll(net, 1, axis=1)  # autocorrelated
    benchmark = rng.normal(0.004, 0.03, T)
    of = _family(net, failed=failed, benchmark=benchmark)
    rf = np.full(T, 0.002)
    columns = infer_many(net, np.broadcast_to(rf, net.shape), benchmark, of, SETTINGS)
    known = np.isfinite(net[0])
    rows = pd.DataFrame(
        infer(DATES[known], net[0, known], rf[known], benchmark[known], benchmark[known], of,
              SETTINGS)
    ).set_index(["returns", "statistic"])  # fmt: skip
    for column, place in {
        "sharpe_low": ("raw", "sharpe_lo", "low"),
        "sharpe_high": ("raw", "sharpe_lo", "high"),
        "psr": ("raw", "psr", "value"),
        "dsr": ("raw", "dsr", "value"),
        "psr_benchmark": ("benchmark", "psr", "value"),
        "dsr_benchmark": ("benchmark", "dsr", "value"),
        "min_track_record": ("raw", "min_track_record", "value"),
    }.items():
        expected = rows.loc[place[:2], place[2]]
        assert columns[column][0] == pytest.approx(expected, rel=1e-9, nan_ok=True), column
        assert columns[column].shape == (5,)
    assert columns["dsr"][0] <= columns["psr"][0]


def test_columns_are_nan_where_rows_are():
    short = np.where(np.arange(T) < 11, _ratio_of(0.2), np.nan)
    ruin = np.where(np.arange(T) == 50, -1.0, 0.01)
    net = np.array([_ratio_of(0.2), ZERO + 0.01, short, ruin, _ratio_of(0.1), NOT_KNOWN])
    columns = infer_many(net, np.zeros_like(net), ZERO, _family(net), SETTINGS)
    for name, values in columns.items():
        assert np.isfinite(values).tolist() == [True, False, False, False, True, False], name
    assert columns["haircut_sharpe"][0] < 0.2 * 12**0.5
    unknown = infer_many(net, np.zeros_like(net), NOT_KNOWN, _family(net), SETTINGS)
    assert np.isnan(unknown["dsr_benchmark"]).all()
    assert np.isfinite(unknown["dsr"][0])


def test_each_strategy_may_have_its_own_benchmark():
    net = np.random.default_rng(5).normal(0.005, 0.03, (3, T))
    own = np.vstack([ZERO, net[1] - 0.01 * net[0], ZERO])
    of = _family(net)
    columns = infer_many(net, np.zeros_like(net), own, of, SETTINGS)
    expected = sharpe.probabilistic(sharpe.moments(0.01 * net[0]))
    assert columns["psr_benchmark"][1] == pytest.approx(float(expected), rel=1e-9)
    assert columns["psr_benchmark"][2] == pytest.approx(columns["psr"][2], rel=1e-12)


def test_no_strategies_are_no_rows():
    empty = np.empty((0, T))
    columns = infer_many(empty, empty, ZERO, _family(_ratio_of(0.1)[None]), SETTINGS)
    assert all(values.shape == (0,) for values in columns.values())


def test_a_thousand_strategies_take_well_under_a_second():
    net = np.random.default_rng(0).normal(0.005, 0.03, (1_000, 230))
    of = replace(_family(net[:50, :T]), n=1_000)
    began = time.process_time()
    columns = infer_many(net, np.zeros_like(net), np.zeros(230), of, SETTINGS)
    assert time.process_time() - began < 0.5
    assert np.isfinite(columns["dsr_benchmark"]).all()
    assert pa.table(columns).num_rows == 1_000
