"""Transforms of small cross-sections, value by value."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.transforms import apply, rank, winsorize, zscore
from factorlab_assets.strategy import Rank, Winsorize, ZScore

NAN = float("nan")
EACH = [Winsorize(lower=0.25, upper=0.75), ZScore(), Rank()]


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
