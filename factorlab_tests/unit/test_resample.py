"""Months drawn in blocks, and how long the blocks should be. arch is the oracle in
`oracles/test_sharpe.py`."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.evaluation import resample


def drawn(months: int, draws: int, block: float) -> np.ndarray:
    return resample.stationary(months, draws, block, np.random.default_rng(3))


def test_a_block_goes_on_through_the_end_to_the_first_month() -> None:
    whole = drawn(7, 50, 1e12)
    assert (whole[:, 1:] == (whole[:, :-1] + 1) % 7).all()
    assert set(whole[:, 0]) == set(range(7))


def test_blocks_have_the_mean_length_that_was_asked_for() -> None:
    months, block = 400, 5.0
    path = drawn(months, 500, block)
    follows = (path[:, 1:] == (path[:, :-1] + 1) % months).mean()
    # A month drawn anew follows by chance once in 400. Tolerance abs=0.005: 200,000 draws.
    assert follows == pytest.approx(1.0 - 1.0 / block * (1.0 - 1.0 / months), abs=0.005)


def test_every_month_is_drawn_as_often_as_any_other() -> None:
    counts = np.bincount(drawn(10, 20_000, 4.0).ravel(), minlength=10) / 200_000
    assert counts == pytest.approx(np.full(10, 0.1), abs=0.004)


def test_a_block_of_one_draws_independent_months() -> None:
    path = drawn(50, 400, 1.0)
    follows = (path[:, 1:] == (path[:, :-1] + 1) % 50).mean()
    assert follows == pytest.approx(0.02, abs=0.005)


def test_blocks_grow_with_dependence_and_stay_in_their_range() -> None:
    shocks = np.random.default_rng(0).normal(size=400)
    slow = np.convolve(shocks, np.ones(12), mode="valid")
    lengths = [resample.block_length(series) for series in (shocks, slow, np.tile([0.0, 1.0], 12))]
    assert 1.0 <= lengths[0] < 4.0 < 7.0 < lengths[1] <= 60.0
    assert lengths[2] == 24 / 3


def test_autocovariances_by_hand() -> None:
    # Around the mean 1: −1, 0, 1, 0. Products at lag 1 are 0, at lag 2 −1 and 0; divisor 4.
    assert resample.autocovariance(np.array([0.0, 1.0, 2.0, 1.0]), 2) == pytest.approx(
        [0.5, 0.0, -0.25], abs=1e-15
    )
