"""Splits: a date, walking forward by hand and blind to the future, cross-validation whose purged
months are really absent, and bad input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.calendar import Dates, month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.splits import (
    NONE,
    Earned,
    Walk,
    choose,
    cross_validate,
    in_and_out,
    score,
    walk_forward,
)
from factorlab_assets.strategy_sweep import CrossValidation, WalkForward
from factorlab_tests.small_panels import NAN

ROUNDING = 1e-9


def ends(months: int) -> Dates:
    return month_ends("2010-01", str(np.datetime64("2010-01", "M") + (months - 1)))


def noise(combinations: int, months: int, seed: int = 0) -> Earned:
    rng = np.random.default_rng(seed)
    net = 0.04 * rng.standard_normal((combinations, months)) + 0.005
    return Earned(net, np.full(months, 0.001), 0.03 * rng.standard_normal(months))


class TestByDate:
    def test_the_month_itself_is_in_sample(self):
        early, late = in_and_out(ends(4), "2010-03")
        assert early.tolist() == [True, True, True, False]
        assert late.tolist() == [False, False, False, True]

    @pytest.mark.parametrize("until", ["2009-12", "2010-04", "2031-01"])
    def test_a_split_outside_the_data_is_refused(self, until: str):
        with pytest.raises(FactorLabError, match=r"outside the data.*2010-01 to 2010-03"):
            in_and_out(ends(4), until)

    def test_one_month_cannot_be_split(self):
        with pytest.raises(FactorLabError, match="two months of returns"):
            in_and_out(ends(1), "2010-01")


class TestScore:
    def test_scores_are_those_of_the_metrics_table(self):
        earned = noise(3, 40)
        zero = np.zeros(40)
        said = [metrics(net, earned.rf, earned.benchmark, zero, zero) for net in earned.net]
        for by in ("sharpe", "information_ratio", "cagr"):
            assert score(earned, by) == pytest.approx([each[by] for each in said], abs=ROUNDING)

    def test_rf_may_differ_by_combination(self):
        earned = noise(2, 30)
        rf = np.vstack([earned.rf, earned.rf + 0.002])
        own = score(earned._replace(rf=rf), "sharpe")
        assert own[0] == score(earned, "sharpe")[0]
        assert own[1] == score(earned._replace(rf=rf[1]), "sharpe")[1]
        assert score(earned._replace(rf=rf).of(np.array([1])), "sharpe") == own[1]

    def test_unknown_benchmark_months_are_left_out(self):
        earned = noise(2, 30)
        earned.benchmark[:5] = NAN
        assert score(earned, "information_ratio").tolist() == (
            score(earned.rows(slice(5, 30)), "information_ratio").tolist()
        )
        earned.benchmark[:] = NAN
        assert np.isnan(score(earned, "information_ratio")).all()

    def test_a_missing_month_a_still_series_and_ruin_have_none(self):
        earned = noise(4, 30)
        earned.net[0, 7], earned.net[1], earned.net[2, 3] = NAN, 0.001, -1.5
        assert np.isnan(score(earned, "sharpe")).tolist() == [True, True, False, False]
        assert np.isnan(score(earned, "cagr")).tolist() == [True, False, True, False]

    def test_ties_go_to_the_first_and_nan_is_never_chosen(self):
        earned = noise(3, 30)
        earned.net[2] = earned.net[1]
        earned.net[0] = NAN
        assert choose(earned, "cagr")[0] == 1
        leverage = Earned(np.vstack([3.0 * earned.net[1], earned.net[1]]), np.zeros(30), earned.rf)
        assert choose(leverage, "sharpe")[0] == 0
        assert choose(earned.of(np.array([0])), "sharpe")[0] == NONE


UP, DOWN = np.tile([0.02, 0.01], 20), np.tile([-0.01, -0.02], 20)


class TestWalkByHand:
    """A does well for 16 months, then B; windows of 12 months, tests of 4."""

    def walk(self, scheme: Any, months: int = 30, **said: Any) -> Walk:
        net = np.array([np.append(UP[:16], DOWN), np.append(DOWN[:16], UP)])[:, :months]
        earned = Earned(net, np.zeros(months), np.zeros(months))
        wanted = WalkForward(train_months=12, test_months=4, **said)
        return walk_forward(earned, ends(months), wanted, scheme)

    def test_rolling_windows_forget(self):
        # trained on months 0-11: A; 4-15: A; 8-19: 8 months of A, 4 of B: A; 12-23: 4 and 8: B
        walk = self.walk("rolling")
        assert [each.chosen for each in walk.windows] == [0, 0, 0, 1, 1]
        assert [each.train for each in walk.windows] == [
            slice(i, i + 12) for i in (0, 4, 8, 12, 16)
        ]
        assert walk.windows[-1].test == slice(28, 30)
        assert walk.chosen.tolist() == [NONE] * 12 + [0] * 12 + [1] * 6
        assert np.isnan(walk.net[:12]).all()
        assert walk.net[12:].tolist() == [*UP[:4], *DOWN[:8], *UP[:6]]
        assert walk.note == "5 rolling windows, 1 changes of the choice"

    def test_anchored_windows_remember(self):
        # at month 28 A has 16 good and 12 bad months: still the better one
        walk = self.walk("anchored")
        assert [each.chosen for each in walk.windows] == [0] * 5
        assert [each.train for each in walk.windows] == [slice(0, i) for i in (12, 16, 20, 24, 28)]
        assert walk.net[12:].tolist() == [*UP[:4], *DOWN[:14]]

    def test_the_choice_may_go_by_other_figures(self):
        assert self.walk("rolling", choose_by="cagr").chosen[-1] == 1
        assert self.walk("rolling", choose_by="information_ratio").chosen[-1] == 1

    def test_the_shortest_history_has_one_window(self):
        assert len(self.walk("rolling", 16).windows) == 1
        with pytest.raises(
            FactorLabError,
            match=r"longer than the history.*train_months 12 and test_months 4 for 15 months.*"
            r"at most 15 together",
        ):
            self.walk("rolling", 15)


class TestWalk:
    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        scheme=st.sampled_from(["anchored", "rolling"]),
        by=st.sampled_from(["sharpe", "information_ratio", "cagr"]),
        test=st.integers(1, 9),
    )
    def test_nothing_after_a_choice_moves_it(self, seed: int, scheme: Any, by: Any, test: int):
        earned = noise(4, 50, seed)
        wanted = WalkForward(train_months=20, test_months=test, choose_by=by)
        walk = walk_forward(earned, ends(50), wanted, scheme)
        rng = np.random.default_rng(seed)
        for window in walk.windows:
            assert window.train.stop == window.test.start
            later = slice(window.test.start, None)
            wild = Earned(earned.net.copy(), earned.rf.copy(), earned.benchmark.copy())
            wild.net[:, later] = rng.standard_normal(wild.net[:, later].shape)
            wild.rf[later] = rng.standard_normal(len(wild.rf[later]))
            wild.benchmark[later] = NAN
            again = walk_forward(wild, ends(50), wanted, scheme)
            cut = [each for each in again.windows if each.train.stop <= window.train.stop]
            assert cut[-1].chosen == window.chosen
            assert again.net[: window.test.start].tolist() == pytest.approx(
                walk.net[: window.test.start].tolist(), abs=0.0, nan_ok=True
            )

    def test_the_last_training_month_counts(self):
        earned = noise(3, 24)
        wanted = WalkForward(train_months=12, test_months=12, choose_by="cagr")
        before = walk_forward(earned, ends(24), wanted, "rolling").windows[0].chosen
        other = (before + 1) % 3
        earned.net[other, 11] += 5.0
        assert walk_forward(earned, ends(24), wanted, "rolling").windows[0].chosen == other

    def test_the_first_window_begins_when_all_have_returns(self):
        earned = noise(3, 40)
        earned.net[0, :3], earned.net[1, :7] = NAN, NAN
        walk = walk_forward(earned, ends(40), WalkForward(train_months=20), "rolling")
        assert walk.windows[0].train == slice(7, 27)

    def test_one_that_never_earned_neither_delays_nor_is_chosen(self):
        earned = noise(3, 40)
        earned.net[1] = NAN
        walk = walk_forward(earned, ends(40), WalkForward(train_months=20), "anchored")
        assert walk.windows[0].train == slice(0, 20)
        assert 1 not in walk.chosen
        earned.net[:] = NAN
        with pytest.raises(FactorLabError, match="no combination has a return"):
            walk_forward(earned, ends(40), WalkForward(train_months=20), "anchored")

    def test_one_that_ended_is_not_chosen_again_and_its_months_are_missing(self):
        earned = noise(2, 36)
        earned.net[0, :20] += 0.2
        earned.net[0, 20:] = NAN
        wanted = WalkForward(train_months=12, test_months=12)
        walk = walk_forward(earned, ends(36), wanted, "anchored")
        assert [each.chosen for each in walk.windows] == [0, 1]
        assert np.isnan(walk.net[20:24]).all()
        assert np.isfinite(walk.net[24:]).all()
        assert walk.note.endswith("1 changes of the choice; 4 months without a return")

    def test_where_none_can_be_chosen_nothing_is_earned(self):
        earned = noise(2, 36)
        earned.net[:, :12] = 0.001
        wanted = WalkForward(train_months=12, test_months=12)
        walk = walk_forward(earned, ends(36), wanted, "rolling")
        assert walk.chosen[12:24].tolist() == [NONE] * 12
        assert np.isnan(walk.windows[0].score)
        assert walk.chosen[24] != NONE

    def test_equal_combinations_are_the_first_of_them(self):
        earned = noise(1, 40)
        same = earned._replace(net=np.tile(earned.net, (5, 1)))
        walk = walk_forward(same, ends(40), WalkForward(train_months=12), "rolling")
        assert set(walk.chosen.tolist()) == {NONE, 0}


def splits(months: int, folds: int, taken: int) -> Iterator[tuple[tuple[int, ...], list[range]]]:
    """The test folds of each split, and the rows of every fold."""
    length = months // folds
    rows = [range(i * length, (i + 1) * length if i < folds - 1 else months) for i in range(folds)]
    for tested in itertools.combinations(range(folds), taken):
        yield tested, rows


def trained(months: int, tested: tuple[int, ...], rows: list[range], purge: int, embargo: int):
    """The rows that a split may train on, month by month."""
    found = []
    for t in range(months):
        if any(t in rows[f] for f in tested):
            continue
        before = any(rows[f].start - purge <= t < rows[f].start for f in tested)
        after = any(rows[f].stop <= t < rows[f].stop + purge + embargo for f in tested)
        if not (before or after):
            found.append(t)
    return np.array(found)


class TestCrossValidation:
    @pytest.mark.parametrize(("lookback", "holding"), [(0, 0), (3, 1), (1, 3)])
    @pytest.mark.parametrize(("months", "folds", "taken"), [(42, 5, 2), (48, 4, 3), (37, 3, 2)])
    def test_paths_by_hand(self, months: int, folds: int, taken: int, lookback: int, holding: int):
        earned = noise(4, months)
        wanted = CrossValidation(folds=folds, test_folds=taken)
        found = cross_validate(earned, wanted, lookback=lookback, holding=holding)
        excess = earned.net - earned.rf
        pieces: list[list[Floats]] = [[] for _ in range(folds)]
        for i, (tested, rows) in enumerate(splits(months, folds, taken)):
            train = trained(months, tested, rows, holding, lookback)
            ratio = excess[:, train].mean(axis=1) / excess[:, train].std(axis=1, ddof=1)
            assert found.chosen[i] == ratio.argmax()
            for fold in tested:
                pieces[fold].append(excess[ratio.argmax(), rows[fold]])
        paths = [np.concatenate(path) for path in zip(*pieces, strict=True)]
        expected = [path.mean() / path.std(ddof=1) * np.sqrt(12.0) for path in paths]
        assert found.sharpe == pytest.approx(expected, abs=ROUNDING)
        assert len(found.chosen) == len(list(splits(months, folds, taken)))
        assert f"{holding} purged, {lookback} embargoed" in found.note

    def test_only_training_months_decide(self):
        earned, wanted = noise(4, 60), CrossValidation(folds=5, test_folds=2)
        plain = cross_validate(earned, wanted, lookback=4, holding=2).chosen
        for i, (tested, rows) in enumerate(splits(60, 5, 2)):
            train = trained(60, tested, rows, 2, 4)
            wild = earned.net.copy()
            gone = np.setdiff1d(np.arange(60), train)
            wild[:, gone] = np.random.default_rng(i).standard_normal((4, len(gone)))
            again = cross_validate(earned._replace(net=wild), wanted, lookback=4, holding=2)
            assert again.chosen[i] == plain[i]
            for edge in (train[0], train[-1]):
                near = earned.net.copy()
                near[:, edge] = -1.0
                near[(plain[i] + 1) % 4, edge] = 0.5
                moved = cross_validate(earned._replace(net=near), wanted, lookback=4, holding=2)
                assert moved.chosen[i] == (plain[i] + 1) % 4

    def test_quantiles_and_rows(self):
        found = cross_validate(noise(4, 120), CrossValidation(), lookback=3, holding=1)
        assert len(found.sharpe) == 9
        said = {row["statistic"]: row["value"] for row in found.rows()}
        ordered = np.sort(found.sharpe)
        assert [said[f"cpcv_{name}"] for name in ("min", "p25", "median", "p75", "max")] == (
            pytest.approx(ordered[[0, 2, 4, 6, 8]].tolist(), abs=1e-12)
        )
        assert said["cpcv_paths"] == 9.0

    def test_equal_combinations_have_one_history(self):
        earned = noise(1, 60)
        same = earned._replace(net=np.tile(earned.net, (3, 1)))
        found = cross_validate(same, CrossValidation(folds=4, test_folds=2), lookback=1, holding=1)
        assert set(found.chosen.tolist()) == {0}
        assert found.sharpe == pytest.approx([score(earned, "sharpe")[0]] * 3, abs=ROUNDING)

    def test_combinations_that_lack_months_are_left_out(self):
        earned = noise(4, 60)
        full = cross_validate(earned.of(np.array([1, 3])), CV4, lookback=1, holding=1)
        earned.net[0, 30:], earned.net[2] = NAN, NAN
        found = cross_validate(earned, CV4, lookback=1, holding=1)
        assert found.sharpe.tolist() == full.sharpe.tolist()
        assert found.chosen.tolist() == [1 + 2 * i for i in full.chosen]
        assert found.note.endswith("left out, lacking months: 2 combinations")


CV4 = CrossValidation(folds=4, test_folds=2)


class TestNoCrossValidation:
    def why(self, earned: Earned, lookback: int = 1) -> str:
        found = cross_validate(earned, CV4, lookback=lookback, holding=1)
        assert len(found.sharpe) == 0
        for row in found.rows():
            assert np.isnan(row["value"])
            assert row["note"] == found.note
        return found.note

    def test_folds_too_short_for_the_embargo(self):
        assert self.why(noise(3, 60), 13) == (
            "60 months make 4 folds of 15: with 1 purged and 13 embargoed a fold needs 16; "
            "at most 3 folds fit"
        )
        assert self.why(noise(3, 60), 40).endswith("no folds fit")
        assert len(cross_validate(noise(3, 60), CV4, lookback=12, holding=1).sharpe) == 3

    def test_too_few_combinations(self):
        assert self.why(noise(1, 60)) == (
            "1 combinations have a return in every month: 2 are needed"
        )
        earned = noise(3, 60)
        earned.net[:] = NAN
        assert self.why(earned).startswith("0 combinations")

    def test_none_can_be_chosen(self):
        earned = noise(2, 60)
        earned.net[:] = 0.01
        assert self.why(earned) == "no combination could be chosen in split 1 of 6"
