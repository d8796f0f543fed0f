"""Transforms of small cross-sections, value by value."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.transforms import (
    Context,
    apply,
    demean,
    neutralize,
    normal,
    rank,
    winsorize,
    winsorize_mads,
    zscore,
)
from factorlab_assets.strategy_signals import (
    Clip,
    Delay,
    Demean,
    Neutralize,
    Normal,
    Rank,
    Smooth,
    Winsorize,
    ZScore,
)

NAN = float("nan")
EACH = [Winsorize(lower=0.25, upper=0.75), Winsorize(mads=1.0), ZScore(), Demean(), Rank()]
EACH += [Normal(), Clip(low=-0.5, high=0.5)]
FIVE = ["A", "B", "C", "D", "E"]
TRIO = {"A": "big", "B": "big", "C": "big", "D": "small"}
"""Three of a group, one of another, and E of none."""
GROUPED = Context(FIVE, {"sector": TRIO})


def of(*row: float, chain: list, context: Context = GROUPED) -> list[float]:
    """One cross-section after a chain of transforms."""
    return apply(chain, np.array([row]), context)[0].tolist()


def test_winsorize_clips_at_interpolated_quantiles_of_the_known() -> None:
    values = np.array([[0.0, 10.0, NAN, 20.0, 30.0, 100.0]])
    np.testing.assert_allclose(
        winsorize(values, 0.1, 0.9), [[4.0, 10.0, NAN, 20.0, 30.0, 72.0]], rtol=1e-15
    )


def test_winsorize_at_the_ends_changes_nothing() -> None:
    values = np.array([[3.0, -1.0, 7.0], [NAN, 2.0, NAN]])
    np.testing.assert_array_equal(winsorize(values, 0.0, 1.0), values)


def test_zscore_uses_the_population_standard_deviation() -> None:
    found = zscore(np.array([[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, NAN]]))  # mean 5, sd 2
    np.testing.assert_allclose(found, [[-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2, NAN]], rtol=1e-15)


def test_rank_goes_from_zero_to_one_and_ties_share_their_average() -> None:
    found = rank(np.array([[30.0, 10.0, 20.0, 10.0, NAN, 50.0]]))
    np.testing.assert_array_equal(found, [[0.75, 0.125, 0.5, 0.125, NAN, 1.0]])


def test_a_cross_section_of_one() -> None:
    alone = np.array([[NAN, 7.0, NAN]])
    np.testing.assert_array_equal(winsorize(alone, 0.05, 0.95), alone)
    np.testing.assert_array_equal(zscore(alone), [[NAN, 0.0, NAN]])
    np.testing.assert_array_equal(rank(alone), [[NAN, 0.5, NAN]])


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1 + 0.2, -1e-9, 1e12])
def test_a_cross_section_without_spread(value: float) -> None:
    same = np.array([[value, value, NAN, value]])
    np.testing.assert_array_equal(winsorize(same, 0.05, 0.95), same)
    np.testing.assert_array_equal(zscore(same), [[0.0, 0.0, NAN, 0.0]])
    np.testing.assert_array_equal(rank(same), [[0.5, 0.5, NAN, 0.5]])


def test_rounding_error_is_not_spread() -> None:
    np.testing.assert_array_equal(zscore(np.array([[0.3, 0.1 + 0.2]])), [[0.0, 0.0]])
    np.testing.assert_array_equal(zscore(np.array([[1.0, 1.0 + 1e-9]])) != 0, [[True, True]])


@pytest.mark.parametrize("transform", EACH, ids=lambda transform: transform.kind)
def test_a_date_without_any_value_and_a_panel_without_dates_stay_as_they_are(
    transform: object,
) -> None:
    assert np.isnan(apply([transform], np.full((2, 3), NAN))).all()
    assert apply([transform], np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("transform", EACH, ids=lambda transform: transform.kind)
def test_no_date_sees_another_and_batches_change_nothing(transform: object) -> None:
    values = np.random.default_rng(0).normal(size=(2, 5, 7))
    values[0, 1, 2:] = NAN
    whole = apply([transform], values)
    for s in range(2):
        for t in range(5):
            np.testing.assert_array_equal(whole[s, t], apply([transform], values[s, t][None])[0])


def test_transforms_are_applied_in_their_order() -> None:
    values = np.array([[0.0, 1.0, 2.0, 3.0, 100.0]])
    there = apply([Winsorize(lower=0.25, upper=0.75), ZScore()], values)
    np.testing.assert_allclose(there, zscore(np.array([[1.0, 1.0, 2.0, 3.0, 3.0]])), rtol=1e-15)
    back = apply([ZScore(), Winsorize(lower=0.25, upper=0.75)], values)
    assert not np.allclose(there, back)
    np.testing.assert_array_equal(apply([], values), values)


def test_the_values_given_are_not_written_to() -> None:
    values = np.array([[3.0, 1.0, NAN, 2.0]])
    before = values.copy()
    apply(EACH, values)
    np.testing.assert_array_equal(values, before)


class TestWinsorizeByMads:
    def test_it_clips_at_the_median_and_so_many_normal_standard_deviations(self) -> None:
        # median 3, distances 2 1 0 1 97, their median 1; ±2 of them are ±2.9652
        found = winsorize_mads(np.array([[1.0, NAN, 2.0, 3.0, 4.0, 100.0]]), 2.0)
        expected = [[1.0, NAN, 2.0, 3.0, 4.0, 3.0 + 2.0 * 1.482602218505602]]
        np.testing.assert_allclose(found, expected, rtol=1e-15)

    def test_where_most_values_are_equal_nothing_is_clipped(self) -> None:
        most = np.array([[5.0, 5.0, 5.0, 5.0 + 4e-15, 9.0, NAN]])
        np.testing.assert_array_equal(winsorize_mads(most, 3.0), most)

    def test_it_is_chosen_by_mads(self) -> None:
        found = of(1.0, 2.0, 3.0, 4.0, 100.0, chain=[Winsorize(mads=2.0)])
        assert found[4] == pytest.approx(5.965204437, abs=1e-9)
        assert of(1.0, 2.0, 3.0, 4.0, 100.0, chain=[Winsorize()])[4] == pytest.approx(80.8)


class TestWithinGroups:
    values = (1.0, 2.0, 6.0, 10.0, 21.0)  # big: mean 3; everyone: mean 8

    def test_each_group_loses_its_own_mean_and_who_has_no_group_that_of_all(self) -> None:
        found = of(*self.values, chain=[Demean(within="sector")])
        assert found == pytest.approx([-2.0, -1.0, 3.0, 2.0, 13.0], rel=1e-15)
        assert of(*self.values, chain=[Demean()]) == [-7.0, -6.0, -2.0, 2.0, 13.0]

    def test_zscores_are_by_the_groups_own_deviation(self) -> None:
        found = of(*self.values, chain=[ZScore(within="sector")])
        own, all_of_them = np.std([1, 2, 6]), np.std(self.values)
        expected = [-2 / own, -1 / own, 3 / own, 2 / all_of_them, 13 / all_of_them]
        assert found == pytest.approx(expected, rel=1e-14)

    def test_ranks_run_from_zero_to_one_in_each_group(self) -> None:
        found = of(*self.values, chain=[Rank(within="sector")])
        assert found == [0.0, 0.5, 1.0, 0.75, 1.0]
        assert of(2.0, 2.0, 6.0, NAN, 1.0, chain=[Rank(within="sector")])[:3] == [0.25, 0.25, 1.0]

    def test_a_group_of_equals_is_zero_and_half(self) -> None:
        same = (0.1 + 0.2, 0.3, 0.3, 7.0, 8.0)
        assert of(*same, chain=[ZScore(within="sector")])[:3] == [0.0, 0.0, 0.0]
        assert of(0.3, 0.3, 0.3, 7.0, 8.0, chain=[Rank(within="sector")])[:3] == [0.5, 0.5, 0.5]

    @pytest.mark.parametrize("kind", [Demean, ZScore])
    def test_demeaning_a_single_name_never_zeroes_it_for_ever(self, kind: type) -> None:
        values = np.random.default_rng(3).normal(size=(50, 5))
        values[:, 1] = NAN  # so that even the group of three has two
        found = apply([kind(within="sector")], values, GROUPED)
        assert not (found[:, [0, 2, 3, 4]] == 0.0).any()
        neutral = apply([Neutralize(groups="sector")], values, GROUPED)
        np.testing.assert_allclose(neutral, demean(values), atol=1e-15)

    def test_who_is_known_decides_whether_a_group_is_large_enough(self) -> None:
        values = np.array([[1.0, 2.0, 6.0, 10.0, 21.0], [NAN, 2.0, 6.0, 10.0, 22.0]])
        found = apply([Demean(within="sector")], values, GROUPED)
        np.testing.assert_allclose(found[0], [-2.0, -1.0, 3.0, 2.0, 13.0], rtol=1e-15)
        np.testing.assert_allclose(found[1], [NAN, -8.0, -4.0, 0.0, 12.0], rtol=1e-15)

    def test_small_groups_are_merged_as_the_universe_says(self) -> None:
        merged = Context(FIVE, {"sector": TRIO}, {"small": "big"})
        found = of(*self.values, chain=[Demean(within="sector")], context=merged)
        assert found == pytest.approx([-3.75, -2.75, 1.25, 5.25, 13.0], rel=1e-15)


class TestNormal:
    def test_ranks_become_normal_quantiles(self) -> None:
        # ranks 3, 1, 2 of 3: (r − 3/8) / 3.25 is 0.8077, 0.1923, 0.5
        found = normal(np.array([[30.0, 10.0, NAN, 20.0]]))
        np.testing.assert_allclose(found, [[0.86942378, -0.86942378, NAN, 0.0]], atol=5e-9)

    def test_one_alone_and_ties_are_in_the_middle(self) -> None:
        np.testing.assert_array_equal(normal(np.array([[NAN, 7.0]])), [[NAN, 0.0]])
        np.testing.assert_array_equal(normal(np.array([[5.0, 5.0, 5.0]])), [[0.0, 0.0, 0.0]])


class TestNeutralize:
    line = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    values = np.array([[1.0, 3.0, 5.0, 11.0, 5.0]])

    def test_what_a_line_leaves(self) -> None:
        # slope Σ(x−2)(y−5)/Σ(x−2)² = 16/10, so y − 5 − 1.6·(x − 2)
        found = neutralize(self.values, [self.line])
        np.testing.assert_allclose(found, [[-0.8, -0.4, 0.0, 4.4, -3.2]], atol=1e-14)

    def test_groups_alone_take_out_their_means(self) -> None:
        found = of(1.0, 2.0, 6.0, 10.0, 21.0, chain=[Neutralize(groups="sector")])
        assert found == pytest.approx([-2.0, -1.0, 3.0, 2.0, 13.0], rel=1e-14)

    def test_groups_and_a_factor_together(self) -> None:
        groups = {"A": "x", "B": "x", "C": "x", "D": "y", "E": "y", "F": "y"}
        beta = np.array([[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]])
        context = Context([*groups], {"sector": groups}, raws={"beta": beta})
        chain = [Neutralize(groups="sector", factors=("beta",))]
        # within each group the slope is 2 for x and 4 for y: 3 together
        found = of(5.0, 7.0, 9.0, 0.0, 4.0, 8.0, chain=chain, context=context)
        assert found == pytest.approx([1.0, 0.0, -1.0, -1.0, 0.0, 1.0], abs=1e-14)

    def test_a_name_without_a_regressor_has_no_signal_and_no_say(self) -> None:
        line = np.array([[0.0, 1.0, NAN, 3.0, 4.0]])
        found = neutralize(self.values, [line])
        without = neutralize(self.values[:, [0, 1, 3, 4]], [line[:, [0, 1, 3, 4]]])
        assert np.isnan(found[0, 2])
        np.testing.assert_allclose(found[:, [0, 1, 3, 4]], without, atol=1e-14)

    @pytest.mark.parametrize(("names", "is_known"), [(2, False), (3, True)])
    def test_as_many_names_as_regressors_are_too_few(self, names: int, is_known: bool) -> None:
        values = np.where(np.arange(5) < names, self.values, NAN)
        found = neutralize(values, [self.line**2])  # an intercept and a slope
        assert np.isfinite(found[0, :names]).all() == is_known
        assert np.isnan(found[0, names:]).all()

    @pytest.mark.parametrize(("names", "is_known"), [(3, False), (4, True)])
    def test_every_group_that_is_there_counts_as_a_regressor(self, names: int, is_known: bool):
        values = np.where(np.arange(5) < names, self.values, NAN)
        codes = np.array([[0, 0, 1, 1, 2]], dtype=np.int16)  # two of them at either date
        found = neutralize(values, [self.line**2], codes)
        assert np.isfinite(found[0, :names]).all() == is_known

    def test_a_regressor_that_says_nothing_new_changes_nothing(self) -> None:
        alone = neutralize(self.values, [self.line])
        constant, double = np.full((1, 5), 0.1 + 0.2), 2.0 * self.line + 0.7
        for others in ([self.line, double], [self.line, constant], [constant, self.line]):
            np.testing.assert_allclose(neutralize(self.values, others), alone, atol=1e-14)

    def test_regressors_that_are_nearly_one_are_both_taken_out_whole(self) -> None:
        rng = np.random.default_rng(4)
        values, line, bend = rng.normal(size=(3, 1, 30))
        twin = line + 1e-8 * bend
        (found,) = neutralize(values, [line, twin])
        for column in (line[0], twin[0]):
            assert abs(found @ column) < 1e-10 * np.linalg.norm(values) * np.linalg.norm(column)

    def test_what_regressors_explain_whole_is_exactly_zero(self) -> None:
        explained = 0.1 * self.line + 0.3 * self.line**2 - 7.0
        found = neutralize(explained, [self.line, self.line**2])
        np.testing.assert_array_equal(found, np.zeros((1, 5)))

    def test_regressors_are_the_raw_values_of_the_named_factors(self) -> None:
        context = Context(FIVE, raws={"beta": self.line, "size": self.line**2})
        found = of(*self.values[0], chain=[Neutralize(factors=("size",))], context=context)
        np.testing.assert_array_equal([found], neutralize(self.values, [self.line**2]))


class TestOverTime:
    values = np.array([[1.0, 4.0], [2.0, NAN], [6.0, 5.0], [7.0, 9.0]])

    def test_clip_sets_what_lies_outside_to_the_nearer_bound(self) -> None:
        assert of(-9.0, -1.0, NAN, 2.0, 9.0, chain=[Clip(low=-2.0, high=3.0)]) == pytest.approx(
            [-2.0, -1.0, NAN, 2.0, 3.0], nan_ok=True, rel=0
        )

    def test_delay_gives_the_values_of_months_before(self) -> None:
        found = apply([Delay(months=2)], self.values)
        np.testing.assert_array_equal(found, [[NAN, NAN], [NAN, NAN], [1.0, 4.0], [2.0, NAN]])

    def test_smooth_is_the_mean_of_months_that_are_all_known(self) -> None:
        found = apply([Smooth(months=2)], self.values)
        np.testing.assert_array_equal(found, [[NAN, NAN], [1.5, NAN], [4.0, NAN], [6.5, 7.0]])
        assert np.isnan(apply([Smooth(months=5)], self.values)).all()


class TestMembers:
    values = np.array([[1.0, 3.0, 8.0], [1.0, 3.0, 5.0], [2.0, 4.0, 9.0]])
    members = np.array([[True, True, False], [True, True, True], [True, False, True]])
    context = Context(["A", "B", "C"], raws={"x": values**2}, members=members)

    def after(self, *chain: object) -> np.ndarray:
        return apply(list(chain), self.values, self.context)

    @pytest.mark.parametrize("transform", [*EACH, Neutralize(factors=("x",))], ids=repr)
    def test_a_cross_section_is_of_members_alone(self, transform: object) -> None:
        alone = apply([transform], np.where(self.members, self.values, NAN), self.context)
        np.testing.assert_array_equal(self.after(transform), alone)
        np.testing.assert_array_equal(self.after(), np.where(self.members, self.values, NAN))

    def test_whoever_is_no_member_moves_nobody(self) -> None:
        np.testing.assert_array_equal(
            self.after(Demean()), [[-1.0, 1.0, NAN], [-2.0, 0.0, 2.0], [-3.5, NAN, 3.5]]
        )

    def test_a_raw_value_is_delayed_and_smoothed_from_before_membership(self) -> None:
        np.testing.assert_array_equal(self.after(Delay(months=1))[1:], [[1, 3, 8], [1, NAN, 5]])
        np.testing.assert_array_equal(
            self.after(Smooth(months=2))[1:], [[1, 3, 6.5], [1.5, NAN, 7]]
        )

    def test_what_a_cross_section_gave_is_not_there_from_before_membership(self) -> None:
        delayed = self.after(Demean(), Delay(months=1))
        np.testing.assert_array_equal(delayed[1:], [[-1.0, 1.0, NAN], [-2.0, NAN, 2.0]])
        smoothed = self.after(Demean(), Smooth(months=2))
        np.testing.assert_array_equal(smoothed[1:], [[-1.5, 0.5, NAN], [-2.75, NAN, 2.75]])


def test_groups_and_members_stay_with_the_date_in_a_batch() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 6, 5))
    values[0, 2, :3] = NAN
    context = Context(
        FIVE,
        {"sector": TRIO},
        raws={"x": rng.normal(size=(6, 5))},
        members=rng.random((6, 5)) < 0.9,
    )
    chain = [ZScore(within="sector"), Neutralize(factors=("x",)), Delay(), Rank(within="sector")]
    whole = apply(chain, values, context)
    for s in range(2):
        np.testing.assert_array_equal(whole[s], apply(chain, values[s], context))
