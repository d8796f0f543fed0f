"""What the registry promises of every factor, and that its refusals explain themselves."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.factors.base import highest, lag, lowest, mean
from factorlab_tests.small_panels import short_params

NAN = float("nan")


def test_delay_moves_values_back_by_whole_months() -> None:
    price = np.array([[100.0], [120.0], [90.0], [99.0]])
    later = factors.compute("trend", price, {"lookback": 1}, 1)[:, 0]
    np.testing.assert_allclose(later, [NAN, NAN, 0.2, -0.25], rtol=0, atol=1e-15)
    assert np.isnan(factors.compute("trend", price, {"lookback": 1}, 3)).all()


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_a_history_shorter_than_the_window_is_unknown_throughout(name: str) -> None:
    oldest = factors.REGISTRY[name].first(factors.check(name, {})) + 1
    values = factors.compute(name, np.ones((oldest + 1, 2)), {}, 1)
    assert values.shape == (oldest + 1, 2)
    assert np.isnan(values[:-1]).all()
    assert np.isfinite(values[-1]).all()


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_one_unknown_price_hides_dates_of_its_own_ticker_within_the_window(name: str) -> None:
    """Which dates, is in the factor's own test; the window's two ends are always among them."""
    hole, delay, params = 20, 2, short_params(name)
    price = np.exp(np.random.default_rng(1).normal(size=(50, 2)))
    price[hole, 0] = NAN
    known = ~np.isnan(factors.compute(name, price, params, delay))
    newest, oldest = factors.REGISTRY[name].last(params), factors.REGISTRY[name].first(params)
    assert not known[: oldest + delay].any()
    assert known[oldest + delay :, 1].all()
    hidden = set(np.flatnonzero(~known[oldest + delay :, 0]) + oldest - hole)
    assert {newest, oldest} <= hidden <= set(range(newest, oldest + 1))


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_a_batch_axis_changes_nothing(name: str) -> None:
    price = np.exp(np.random.default_rng(2).normal(size=(2, 3, 40, 4)))
    batch = factors.compute(name, price, short_params(name), 1)
    assert np.isfinite(batch).any()
    np.testing.assert_array_equal(
        batch[1, 2], factors.compute(name, price[1, 2], short_params(name), 1)
    )


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_the_window_names_the_oldest_and_newest_price_that_matter(name: str) -> None:
    """Change one price at a time: the signal moves for both ends of the window, and not beyond."""
    n_months = factors.REGISTRY[name].first(factors.check(name, {})) + 12
    price = np.exp(np.random.default_rng(3).normal(size=(n_months, 1)))
    base = factors.compute(name, price, {}, 1)[-1, 0]
    assert np.isfinite(base)
    moved = set()
    for months_back in range(n_months):
        for times in (1e-6, 1e6):
            other = price.copy()
            other[-1 - months_back] *= times
            if factors.compute(name, other, {}, 1)[-1, 0] != base:
                moved.add(months_back)
    assert factors.window(name, {}, 1) == f"P[t−{max(moved)}] … P[t−{min(moved)}]"


def test_windows_read_as_documented() -> None:
    assert factors.window("trend", {}, 1) == "P[t−13] … P[t−1]"
    assert factors.window("xsmom", {}, 0) == "P[t−12] … P[t−1]"
    assert factors.window("ma_trend", {}, 0) == "P[t−9] … P[t]"
    assert factors.window("low_vol", {"lookback": 24}, 0) == "P[t−24] … P[t]"
    assert factors.window("high_52w", {}, 0) == "P[t−11] … P[t]"
    assert factors.window("reversal_5y", {}, 0) == "P[t−60] … P[t−12]"
    assert factors.window("same_month", {}, 0) == "P[t−60] … P[t−11]"
    assert factors.window("trend_scaled", {"vol_lookback": 36}, 0) == "P[t−36] … P[t]"


@pytest.mark.parametrize("spec", factors.REGISTRY.values(), ids=lambda spec: spec.name)
def test_every_factor_says_what_it_is_and_where_it_comes_from(spec: factors.FactorSpec) -> None:
    assert re.fullmatch(r"10\.\d{4,}/\S+", spec.doi)
    assert re.search(r"\(\d{4}\), .+, .+ \d+", spec.paper)
    assert all((spec.summary, spec.formula, spec.params))
    assert spec.sign in (1, -1)
    for param in spec.params:
        assert param.low <= param.default <= param.high
        assert param.described == f"default {param.default}, {param.low} to {param.high}"
    for extreme in ("low", "high"):
        edge = {param.name: getattr(param, extreme) for param in spec.params}
        assert factors.check(spec.name, edge) == edge


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("trend", {"lookback": 0}, "parameter lookback: got 0, allowed .* from 1 to 120"),
        ("trend", {"lookback": 121}, "got 121"),
        ("trend", {"lookback": 12.0}, "got 12.0, allowed a whole number"),
        ("trend", {"lookback": True}, "got True"),
        ("trend", {"lookback": "12"}, "got '12'"),
        ("trend", {"lokback": 12, "x": 1}, "no parameter lokback, x; there are lookback"),
        ("low_vol", {"lookback": 1}, "from 2 to 120"),
        ("xsmom", {"lookback": 6, "skip": 6}, "newest price used, 6 months back, is not after"),
        ("reversal_5y", {"lookback": 12}, "newest price used, 12 months back, is not after"),
        ("same_month", {"years": 21}, "parameter years: got 21, allowed .* from 1 to 20"),
        (
            "momentum",
            {},
            "'momentum' does not exist; there are trend, .*ma_trend, xsmom, .*low_vol",
        ),
    ],
)
def test_a_parameter_that_is_not_allowed_is_explained(
    name: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        factors.check(name, params)
    if name in factors.REGISTRY:
        with pytest.raises(ValueError, match=said):
            factors.compute(name, np.ones((3, 1)), params, 0)


def test_lag_of_zero_is_the_values_and_lag_beyond_the_end_is_unknown() -> None:
    values = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(lag(values, 0), values)
    np.testing.assert_array_equal(lag(values, 1), [[NAN, NAN], [0, 1], [2, 3]])
    assert np.isnan(lag(values, 7)).all()


def test_an_operation_over_months_needs_every_one_of_them() -> None:
    values = np.array([[5.0], [1.0], [3.0], [NAN], [2.0], [4.0]])
    expected = {highest: [NAN, 5, 3, NAN, NAN, 4], lowest: [NAN, 1, 1, NAN, NAN, 2]}
    for operation, by_hand in (expected | {mean: [NAN, 3, 2, NAN, NAN, 3]}).items():
        np.testing.assert_array_equal(operation(values, 2)[:, 0], by_hand)
