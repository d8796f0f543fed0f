"""Counting tries: what is a trial, what is a family, and that no naming lowers the count.

Invariants: N, the variance and the effective numbers do not move under renaming, reordering,
reruns, further months and other code versions; failures and prior trials move N alone.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.clusters import (
    _silhouette,
    average_correlation,
    clusters,
    effective_number,
)
from factorlab_assets.evaluation.trials import Family, Trial, Trials, family, universe_of
from factorlab_assets.strategy import Resolved, Strategy

MONTHS = np.arange("2000-01", "2010-01", dtype="datetime64[M]") + 1
DATES = MONTHS.astype("datetime64[D]") - 1
T = len(DATES)
HERE = universe_of({"tickers": ["SPY", "TLT"]})
THERE = universe_of({"tickers": ["GLD"]})


def _trial(number: int, **said: object) -> Trial:
    plain = Trial(f"{number:016x}", f"s{number}", "", f"e{number}", "done", HERE)
    return replace(plain, **said)


def _returns(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.005, 0.03, (count, T))


def _trials(net: np.ndarray, trials: list[Trial] | None = None) -> Trials:
    given_or_plain = trials or [_trial(i) for i in range(len(net))]
    return Trials(tuple(given_or_plain), DATES, net, np.where(np.isfinite(net), 0.0, np.nan))


def _family(trials: Trials, own: int = 0) -> Family:
    return family(f"{own:016x}", trials, np.zeros(T), np.full(T, 0.001))


def _counts(found: Family) -> dict[str, object]:
    return {
        "n": found.n,
        "failed": found.n_failed,
        "variance": found.variance,
        "correlation": found.n_effective_correlation,
        "clusters": found.n_effective_clusters,
        "cluster": found.cluster.tolist(),
        "hashes": [trial.config_hash for trial in found.trials],
    }


def test_the_variance_is_that_of_sharpe_ratios_per_month():
    up_down = np.tile([1.0, -1.0], T // 2)
    sd = up_down.std(ddof=1)
    net = np.array([0.01 * up_down + 0.01 * sd * ratio for ratio in (0.1, 0.2, 0.6)])
    found = _family(_trials(net))
    assert found.moments["raw"].sharpe == pytest.approx([0.1, 0.2, 0.6], abs=1e-12)
    assert found.variance["raw"] == pytest.approx(0.07, abs=1e-12)  # of 0.1, 0.2, 0.6 about 0.3
    assert found.n == 3
    assert found.months == {"raw": T, "benchmark": T, "equal_weight": T}
    shift = 0.001 / (0.01 * sd)  # what earning 0.001 less does to each
    assert found.moments["equal_weight"].sharpe == pytest.approx(
        found.moments["raw"].sharpe - shift, abs=1e-12
    )
    assert found.moments["benchmark"].sharpe == pytest.approx(
        found.moments["raw"].sharpe, abs=1e-12
    )


def test_one_configuration_alone_has_no_variance():
    found = _family(_trials(_returns(1)))
    assert (found.n, found.n_failed, found.n_effective_clusters) == (1, 0, 1)
    assert found.n_effective_correlation == pytest.approx(1.0, abs=0.0)
    assert np.isnan(found.variance["raw"])
    assert np.isnan(found.average_correlation)


def test_one_that_only_follows_the_benchmark_counts_and_is_not_spread():
    benchmark = _returns(1, seed=1)[0]
    tries = benchmark + _returns(3, seed=2)
    follower = benchmark - 0.0002 + 0.0001 * np.random.default_rng(3).standard_normal(T)
    three = _trials(tries)
    four = _trials(np.vstack([tries, follower]))
    of_three, of_four = (
        family("0" * 16, each, benchmark, np.full(T, 0.001)) for each in (three, four)
    )
    assert of_four.n == of_three.n + 1
    assert of_four.variance["benchmark"] == pytest.approx(of_three.variance["benchmark"], abs=1e-15)
    assert of_four.variance["raw"] != pytest.approx(of_three.variance["raw"], rel=1e-3)


def test_failures_count_in_n_and_in_nothing_else():
    net = _returns(4)
    few = _family(_trials(net[:2], [_trial(0), _trial(1)]))
    nothing = np.full((2, T), np.nan)
    failed = [_trial(8, status="failed"), _trial(9, status="failed")]
    more = _family(_trials(np.vstack([net[:2], nothing]), [_trial(0), _trial(1), *failed]))
    assert (few.n, few.n_failed, more.n, more.n_failed) == (2, 0, 4, 2)
    assert more.variance == few.variance
    assert more.n_effective_clusters == few.n_effective_clusters + 2
    assert more.cluster[2:].tolist() == [-1, -1]
    assert (
        "4 distinct configurations (1 of s0, 1 of s1, 1 of s8, 1 more files): 2 finished, 2 f"
        in more.note
    )


def test_a_configuration_that_failed_once_and_finished_once_finished():
    net = np.vstack([_returns(1), np.full((1, T), np.nan)])
    said = [_trial(0), _trial(0, experiment_id="e7", status="failed", recorded=9)]
    found = _family(_trials(net, said))
    assert (found.n, found.n_failed) == (1, 0)


def test_prior_trials_are_said_once_per_file_and_summed_over_files():
    said = [
        _trial(0, name="grid.a", sweep="grid", prior=30),
        _trial(1, name="grid.b", sweep="grid", prior=30),
        _trial(2, name="other", prior=5),
        _trial(2, name="other_renamed", experiment_id="e5", prior=7),
        _trial(3, name="elsewhere", universe=THERE, prior=1_000),
    ]
    found = _family(_trials(_returns(5), said))
    assert (found.prior, found.n) == (37, 3 + 37)
    assert found.n_effective_clusters == len(set(found.cluster.tolist())) + 37


def test_a_copy_on_another_universe_is_recognised_by_its_returns():
    net = _returns(3)
    net[1] = net[0] + 0.01 * np.random.default_rng(1).normal(size=T)  # correlates about 0.95
    said = [_trial(0), _trial(1, universe=THERE), _trial(2, universe=THERE)]
    found = _family(_trials(net, said))
    assert [trial.config_hash for trial in found.trials] == [f"{0:016x}", f"{1:016x}"]
    expected = np.corrcoef(net[0], net[1])[0, 1]
    assert found.correlation == pytest.approx([1.0, expected], abs=1e-12)
    assert "1 on another universe, alike in returns over the benchmark" in found.note


@pytest.mark.parametrize(("common", "n"), [(35, 1), (36, 2)])
def test_a_copy_needs_three_years_in_common(common: int, n: int):
    net = _returns(2)
    net[1] = net[0]
    net[1, common:] = np.nan
    found = _family(_trials(net, [_trial(0), _trial(1, universe=THERE)]))
    assert found.n == n


def test_trials_that_cover_less_than_half_count_and_are_not_compared():
    net = _returns(4)
    net[2, : T // 2 + 1] = np.nan
    net[3, :10] = np.nan
    found = _family(_trials(net))
    assert found.n == 4
    assert found.months["raw"] == T - 10
    assert np.isnan(found.moments["raw"].sharpe[2])
    by_hand = net[[0, 1, 3], 10:]
    ratios = by_hand.mean(axis=1) / by_hand.std(axis=1, ddof=1)
    assert found.moments["raw"].sharpe[[0, 1, 3]] == pytest.approx(ratios, rel=1e-12)
    assert found.variance["raw"] == pytest.approx(ratios.var(ddof=1), rel=1e-12)
    assert "without 1 that cover less than half of the own months" in found.note


def test_no_common_month_is_no_variance():
    net = _returns(3)
    net[1, T // 2 :] = np.nan
    net[2, : T // 2] = np.nan
    found = _family(_trials(net))
    assert found.n == 3
    assert found.months["raw"] == 0
    assert np.isnan(found.variance["raw"])
    assert found.n_effective_correlation == pytest.approx(3.0, abs=0.0)  # unknown: none taken off
    assert "no month that all 3 compared ones have" in found.note


def test_a_benchmark_with_few_months_is_not_what_trials_are_recognised_by():
    net = _returns(2)
    net[1] = net[0] + 0.003 * np.random.default_rng(1).normal(size=T)
    short = np.full(T, np.nan)
    short[:40] = 0.0
    trials = _trials(net, [_trial(0), _trial(1, universe=THERE)])
    found = family(f"{0:016x}", trials, short, np.full(T, 0.001))
    assert found.n == 2
    assert found.months == {"raw": T, "benchmark": 40, "equal_weight": T}
    assert "over the equally weighted universe" in found.note


def test_a_strategy_that_is_its_benchmark_has_no_kin_elsewhere():
    net = _returns(2)
    net[1] = net[0]
    trials = _trials(net, [_trial(0), _trial(1, universe=THERE)])
    found = family(f"{0:016x}", trials, net[0], np.zeros(T))
    assert found.n == 1
    assert np.isnan(found.moments["benchmark"].sharpe[0])


def test_nothing_to_judge_says_so():
    with pytest.raises(FactorLabError, match=r"no returns to judge.*materialize"):
        _family(_trials(_returns(2)), own=7)


def test_rows_of_the_ledger_are_placed_by_experiment_and_month():
    said = [_trial(0), _trial(1), _trial(2, status="failed")]
    day = DATES[:3].astype(object)
    rows = pa.table(
        {
            "experiment_id": ["e1", "e0", "e1", "foreign", "e1"],
            "date": [day[2], day[1], day[0], day[0], DATES[50].astype(object)],
            "net_return": [0.3, 0.2, 0.1, 9.0, 0.9],
            "rf": [0.03, 0.02, 0.01, 9.0, 0.09],
        }
    )
    wanted = DATES[:3].astype("datetime64[M]").astype("datetime64[D]")  # any day of the month does
    found = Trials.of(said, rows, wanted)
    nan = np.nan
    assert found.net == pytest.approx(
        np.array([[nan, 0.2, nan], [0.1, nan, 0.3], [nan] * 3]), abs=0.0, nan_ok=True
    )
    assert found.rf[1] == pytest.approx([0.01, nan, 0.03], abs=0.0, nan_ok=True)
    assert (len(found), found[1].name, list(found) == said) == (3, "s1", True)
    every = Trials.of(said, rows)
    assert every.dates.tolist() == [*day, DATES[50].astype(object)]


def test_a_universe_is_its_tickers_and_the_filters_that_are_set():
    def key(**universe: object) -> str:
        return universe_of({"tickers": ["B", "A"], "universe": universe})

    assert key(min_price=None, liquidity_months=3) == key() == universe_of({"tickers": ["A", "B"]})
    assert key(max_stale_sessions=0) != key()
    assert key(top_dollar_volume=5, liquidity_months=3) != key(top_dollar_volume=5)
    assert universe_of({"tickers": None}) != key()


def test_a_recorded_configuration_says_its_universe():
    plain = Strategy(name="a", description="-", universe={"of": ["SPY", "TLT"], "min_history": 12})
    config = Resolved(strategy=plain, tickers=("SPY", "TLT"), asset_classes={}).config
    assert universe_of(config) == '{"filters":{"min_history":12},"tickers":["SPY","TLT"]}'


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_count_does_not_move(data: st.DataObject):
    """Under renaming, order, reruns on other months or by other code, whoever ran them when."""
    count = data.draw(st.integers(2, 6), "configurations")
    net = _returns(count, seed=data.draw(st.integers(0, 99), "seed"))
    plain = [_trial(i, prior=3, sweep="grid") for i in range(count)]
    expected = _counts(_family(_trials(net, plain)))
    trials, rows = list(plain), list(net)
    for which in data.draw(st.lists(st.integers(0, count - 1), max_size=6), "reruns"):
        until = data.draw(st.sampled_from([T // 3, T - 1, T]), "months")
        name = data.draw(st.sampled_from(["mine", "another", f"s{which}"]), "called")
        again = f"r{len(rows)}"
        trials.append(replace(plain[which], name=name, sweep="", experiment_id=again))
        rows.append(np.where(np.arange(T) < until, net[which], np.nan))
    order = data.draw(st.permutations(range(len(rows))), "order")
    found = _family(_trials(np.array(rows)[order], [trials[i] for i in order]))
    assert _counts(found) == expected


@pytest.mark.parametrize("last", [1, 2])
def test_of_reruns_the_last_recorded_speaks_for_the_configuration(last: int):
    net = _returns(3)
    said = [_trial(0), _trial(1), _trial(1, experiment_id="e2")]
    said[last] = replace(said[last], recorded=9)
    found = _family(_trials(net, said))
    ratio = net[last].mean() / net[last].std(ddof=1)
    assert found.moments["raw"].sharpe[1] == pytest.approx(ratio, rel=1e-12)


def test_one_idea_spread_over_files_is_shown_as_one_group():
    rng = np.random.default_rng(3)
    two = rng.normal(0, 0.03, (2, T))
    net = two[[0, 1, 0, 0, 1]] + rng.normal(0, 0.004, (5, T))
    names = ["momentum", "value", "brilliant_new", "unrelated.v2", "cheap"]
    found = _family(_trials(net, [_trial(i, name=name) for i, name in enumerate(names)]))
    assert found.groups == (("brilliant_new", "momentum", "unrelated.v2"), ("cheap", "value"))
    assert found.n_effective_clusters == 2
    rho = np.corrcoef(net)[np.triu_indices(5, 1)].mean()
    assert found.average_correlation == pytest.approx(rho, abs=1e-12)
    assert found.n_effective_correlation == pytest.approx(rho + (1 - rho) * 5, abs=1e-12)


def test_a_constant_stream_correlates_with_nothing_and_stands_alone():
    net = _returns(3)
    net[2] = net[1]
    net[0] = 0.004
    assert clusters(net).tolist() == [1, 0, 0]
    assert average_correlation(net) == pytest.approx(1 / 3, abs=1e-12)


@pytest.mark.parametrize("factors", [2, 7, 40])
def test_clusters_are_those_that_were_planted(factors: int):
    rng = np.random.default_rng(factors)
    which = np.arange(5 * factors) % factors
    streams = rng.normal(size=(factors, T))[which] + 0.3 * rng.normal(size=(5 * factors, T))
    assert clusters(streams).tolist() == which.tolist()


def test_the_silhouette_is_that_of_scikit_learn():
    """1.9.1's silhouette_score of the same distances; 1e-12: sums in another order."""
    streams = np.random.default_rng(8).normal(size=(3, T))[np.arange(30) % 3] + _returns(30) * 20
    distance = np.sqrt(np.clip((1 - np.corrcoef(streams)) / 2, 0, 1))
    np.fill_diagonal(distance, 0.0)
    labels = np.sort(np.r_[np.arange(29) % 4, 4])  # the last is alone
    sums = np.c_[np.zeros(30), distance.cumsum(axis=1)]
    expected = silhouette_score(distance, labels, metric="precomputed")
    assert _silhouette(sums, labels) == pytest.approx(expected, abs=1e-12)


def test_unrelated_streams_are_a_cluster_each_and_copies_a_single_one():
    rng = np.random.default_rng(0)
    assert len(set(clusters(rng.normal(size=(50, T))))) == 50
    assert set(clusters(rng.normal(size=T) + 0.2 * rng.normal(size=(50, T)))) == {0}


def test_average_correlation_is_that_of_all_pairs():
    streams = _returns(9)
    pairs = np.corrcoef(streams)[np.triu_indices(9, 1)]
    assert average_correlation(streams) == pytest.approx(pairs.mean(), abs=1e-13)
    assert effective_number(9, -0.2) == pytest.approx(9.0, abs=0.0)


def test_more_streams_than_are_compared_in_pairs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("factorlab_assets.evaluation.clusters.MOST", 20)
    rng = np.random.default_rng(4)
    which = np.arange(120) % 3
    streams = rng.normal(size=(3, T))[which] + 0.3 * rng.normal(size=(120, T))
    assert clusters(streams).tolist() == which.tolist()


def test_a_thousand_trials_take_less_than_two_seconds():
    net = _returns(1_200)
    trials = _trials(net)
    began = time.process_time()
    found = _family(trials)
    assert found.n == 1_200
    assert time.process_time() - began < 2.0
