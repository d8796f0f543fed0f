"""Each factor on prices that a reader can compute in the head, and the registry's promises."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.factors.base import lag

NAN = float("nan")
DOUBLING = np.array([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]])


def column(name: str, price: np.ndarray, delay: int = 0, **params: int) -> list[float]:
    return factors.compute(name, price, params, delay)[:, 0].tolist()


def assert_column(found: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_trend_is_the_return_over_lookback_months() -> None:
    assert_column(column("trend", DOUBLING, lookback=2), [NAN, NAN, 3, 3, 3, 3])
    price = np.array([[100.0], [120.0], [90.0]])
    assert_column(column("trend", price, lookback=1), [NAN, 0.2, -0.25])


def test_ma_trend_is_the_distance_from_the_average_that_includes_today() -> None:
    price = np.array([[10.0], [20.0], [30.0], [0.5]])
    by_hand = [NAN, 20 / 15 - 1, 30 / 25 - 1, 0.5 / 15.25 - 1]
    assert_column(column("ma_trend", price, lookback=2), by_hand)
    assert_column(
        column("ma_trend", price, lookback=3), [NAN, NAN, 30 / 20 - 1, 0.5 / (50.5 / 3) - 1]
    )


def test_xsmom_ends_skip_months_before_and_begins_lookback_months_before() -> None:
    price = np.array([[1.0], [2.0], [6.0], [24.0], [120.0]])
    assert_column(column("xsmom", price, lookback=3, skip=1), [NAN, NAN, NAN, 5, 11])
    assert_column(column("xsmom", price, lookback=3, skip=0), [NAN, NAN, NAN, 23, 59])


def test_xsmom_12_1_skips_one_month_not_two() -> None:
    price = np.arange(1.0, 15.0)[:, None]  # P[12] is 13, P[0] is 1, P[11] is 12
    assert column("xsmom", price, lookback=12, skip=1)[12] == 12 / 1 - 1


def test_low_vol_is_minus_the_sample_standard_deviation_of_returns() -> None:
    price = np.array([[100.0], [110.0], [99.0], [118.8]])  # +10 %, −10 %, +20 %
    by_hand = [NAN, NAN, -np.sqrt(0.02), -np.sqrt(0.045)]
    assert_column(column("low_vol", price, lookback=2), by_hand)
    assert_column(
        column("low_vol", price, lookback=3), [NAN, NAN, NAN, -np.std([0.1, -0.1, 0.2], ddof=1)]
    )


def test_a_constant_price_is_exactly_zero_for_every_factor() -> None:
    price = np.full((50, 3), 0.1 + 0.2)
    for name in factors.REGISTRY:
        assert set(factors.compute(name, price, {}, 0)[-1]) == {0.0}


def test_delay_moves_values_back_by_whole_months() -> None:
    price = np.array([[100.0], [120.0], [90.0], [99.0]])
    assert_column(column("trend", price, delay=1, lookback=1), [NAN, NAN, 0.2, -0.25])
    assert_column(column("trend", price, delay=3, lookback=1), [NAN] * 4)


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_a_history_shorter_than_the_lookback_is_unknown_throughout(name: str) -> None:
    values = factors.compute(name, np.ones((5, 2)), {}, 1)
    assert values.shape == (5, 2)
    assert np.isnan(values).all()


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_one_unknown_price_hides_exactly_the_dates_that_need_it(name: str) -> None:
    lookback, hole, delay = 4, 10, 2
    price = np.exp(np.random.default_rng(1).normal(size=(30, 2)))
    price[hole, 0] = NAN
    known = ~np.isnan(factors.compute(name, price, {"lookback": lookback}, delay))
    spec, full = factors.REGISTRY[name], factors.check(name, {"lookback": lookback})
    back = range(spec.last(full), spec.first(full) + 1)
    needs_all = name in ("ma_trend", "low_vol")
    used = back if needs_all else (back[0], back[-1])
    hidden = {hole + months + delay for months in used}
    start = spec.first(full) + delay
    for t in range(30):
        assert known[t, 0] == (t >= start and t not in hidden), t
        assert known[t, 1] == (t >= start), t


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_a_batch_axis_changes_nothing(name: str) -> None:
    price = np.exp(np.random.default_rng(2).normal(size=(2, 3, 40, 4)))
    batch = factors.compute(name, price, {"lookback": 3}, 1)
    np.testing.assert_array_equal(
        batch[1, 2], factors.compute(name, price[1, 2], {"lookback": 3}, 1)
    )


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_the_window_names_the_oldest_and_newest_price_that_matter(name: str) -> None:
    """Change one price at a time: the signal moves for both ends of the window, and not beyond."""
    price = np.exp(np.random.default_rng(3).normal(size=(60, 1)))
    base = factors.compute(name, price, {}, 1)[-1, 0]
    moved = []
    for months_back in range(60):
        other = price.copy()
        other[-1 - months_back] *= 1.5
        if factors.compute(name, other, {}, 1)[-1, 0] != base:
            moved.append(months_back)
    assert factors.window(name, {}, 1) == f"P[t−{max(moved)}] … P[t−{min(moved)}]"


def test_windows_read_as_documented() -> None:
    assert factors.window("trend", {}, 1) == "P[t−13] … P[t−1]"
    assert factors.window("xsmom", {}, 0) == "P[t−12] … P[t−1]"
    assert factors.window("ma_trend", {}, 0) == "P[t−9] … P[t]"
    assert factors.window("low_vol", {"lookback": 24}, 0) == "P[t−24] … P[t]"


def test_defaults_are_the_textbooks() -> None:
    defaults = {
        name: (factors.check(name, {}), spec.delay) for name, spec in factors.REGISTRY.items()
    }
    assert defaults == {
        "trend": ({"lookback": 12}, 1),
        "ma_trend": ({"lookback": 10}, 1),
        "xsmom": ({"lookback": 12, "skip": 1}, 0),
        "low_vol": ({"lookback": 36}, 1),
    }


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
        edge = {param.name: getattr(param, extreme) for param in spec.params[:1]}
        edge |= {param.name: 0 for param in spec.params[1:]}
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
        ("momentum", {}, "'momentum' does not exist; there are trend, ma_trend, xsmom, low_vol"),
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
