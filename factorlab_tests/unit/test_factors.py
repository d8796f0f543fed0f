"""What the registry promises of every factor, and that its refusals explain themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.factors.base import Data, highest, lag, lowest, mean
from factorlab_tests.small_panels import data_of, least_params, short_params, times

NAN = float("nan")


def random_data(n_months: int, n_tickers: int) -> Data:
    """Prices that double or halve in a month, and all that goes with them."""
    rng = np.random.default_rng(3)
    return data_of(np.exp(rng.normal(0.0, 0.7, size=(n_months, n_tickers))))


def of_kind(reads: str) -> list[str]:
    return [name for name, spec in factors.REGISTRY.items() if spec.reads == reads]


def test_delay_moves_values_back_by_whole_months() -> None:
    price = np.array([[100.0], [120.0], [90.0], [99.0]])
    later = factors.compute("trend", Data(price), {"lookback": 1}, 1)[:, 0]
    np.testing.assert_allclose(later, [NAN, NAN, 0.2, -0.25], rtol=0, atol=1e-15)
    assert np.isnan(factors.compute("trend", Data(price), {"lookback": 1}, 3)).all()


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_a_history_shorter_than_the_window_is_unknown_throughout(name: str) -> None:
    params = factors.check(name, least_params(name))
    oldest = factors.REGISTRY[name].first(params) + 1
    values = factors.compute(name, random_data(oldest + 1, 2), params, 1)
    assert values.shape == (oldest + 1, 2)
    assert np.isnan(values[:-1]).all()
    assert np.isfinite(values[-1]).all()


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_one_unknown_month_hides_dates_of_its_own_ticker_within_the_window(name: str) -> None:
    """Which dates, is in the factor's own test; the newest month is always among them, and where
    month-ends are read the oldest."""
    hole, delay, params = 20, 2, short_params(name)
    price = np.exp(np.random.default_rng(1).normal(size=(50, 2)))
    price[hole, 0] = NAN
    known = ~np.isnan(factors.compute(name, data_of(price), params, delay))
    newest, oldest = factors.REGISTRY[name].last(params), factors.REGISTRY[name].first(params)
    needed = {newest, oldest} if factors.REGISTRY[name].reads == "prices" else {newest}
    assert not known[: oldest + delay].any()
    assert known[oldest + delay :, 1].all()
    hidden = set(np.flatnonzero(~known[oldest + delay :, 0]) + oldest - hole)
    assert needed <= hidden <= set(range(newest, oldest + 1))


@pytest.mark.parametrize("name", of_kind("prices"))
def test_a_batch_axis_changes_nothing(name: str) -> None:
    price = np.exp(np.random.default_rng(2).normal(size=(2, 3, 40, 4)))
    market = np.exp(np.random.default_rng(4).normal(size=(2, 3, 40, 1)))
    batch = factors.compute(name, Data(price, market), short_params(name), 1)
    assert np.isfinite(batch).any()
    for own in (market[1, 2], market[0, 0]):
        batch = factors.compute(name, Data(price, own), short_params(name), 1)
        np.testing.assert_array_equal(
            batch[1, 2], factors.compute(name, Data(price[1, 2], own), short_params(name), 1)
        )


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_the_window_names_the_oldest_and_newest_month_that_matter(name: str) -> None:
    """Change one month at a time: the signal moves for both ends of the window, and not beyond."""
    params = factors.check(name, least_params(name))
    n_months = factors.REGISTRY[name].first(params) + 12
    data = random_data(n_months, 1)
    base = factors.compute(name, data, params, 1)[-1, 0]
    assert np.isfinite(base)
    moved = set()
    for months_back in range(n_months):
        for change in (1e-6, 1e6):
            by = np.ones((n_months, 1))
            by[-1 - months_back] = change
            other = times(data, by, volume=True)
            if factors.compute(name, other, params, 1)[-1, 0] != base:
                moved.add(months_back)
    named = [int(months) for months in re.findall(r"t−(\d+)", factors.window(name, params, 1))]
    assert (named[0], named[-1]) == (max(moved), min(moved))


@pytest.mark.parametrize("name", [n for n in factors.REGISTRY if "market" in short_params(n)])
def test_without_a_market_nothing_is_known_of_what_it_is_compared_with(name: str) -> None:
    data, params = random_data(40, 3), short_params(name)
    alone = replace(data, market=data.market * NAN, market_bars=data.market_bars * NAN)
    assert np.isnan(factors.compute(name, alone, params, 0)).all()
    flat = replace(data, market=data.market * 0 + 3.0, market_bars=data.market_bars * 0 + 3.0)
    stands_still = factors.compute(name, flat, params, 0)
    assert np.isfinite(stands_still).any() == (name == "trend_excess"), "nothing to regress on"


LOST = {"dollar_volume": 0, "high_52w_daily": 0, "beta": 3}
"""Days at the beginning of a ticker's bars without a value of their own; 1 for a daily return."""


@pytest.mark.parametrize("name", of_kind("bars"))
def test_half_of_the_sessions_are_enough_and_fewer_are_not(name: str) -> None:
    """Bars that begin within the window, ever later."""
    params, data = short_params(name), random_data(6, 1)
    lost = LOST.get(name, 1)
    months = factors.REGISTRY[name].first(params) + (lost == 0)
    start = int(np.searchsorted(data.bars.month, 6 - months))
    n_days = len(data.bars.days) - start
    known = []
    for kept in range(1, n_days + 1):
        close, volume = data.bars.close.copy(), data.bars.dollar_volume.copy()
        close[:-kept] = volume[:-kept] = NAN
        bars = replace(data.bars, close=close, dollar_volume=volume)
        values = factors.compute(name, replace(data, bars=bars), params, 0)[-1]
        known.append(bool(np.isfinite(values[0])))
    least = -(-n_days // 2) + lost
    assert known == [kept >= least for kept in range(1, n_days + 1)]


@pytest.mark.parametrize("name", of_kind("bars"))
def test_how_bars_lie_in_memory_changes_nothing(name: str) -> None:
    """Plain sums of columns that lie one after the other round otherwise than of rows that do."""
    data, params = random_data(24, 5), short_params(name)
    bars = replace(
        data.bars,
        close=np.asfortranarray(data.bars.close),
        dollar_volume=np.asfortranarray(data.bars.dollar_volume),
    )
    np.testing.assert_array_equal(
        factors.compute(name, replace(data, bars=bars), params, 0),
        factors.compute(name, data, params, 0),
    )


def test_windows_read_as_documented() -> None:
    assert factors.window("trend", {}, 1) == "P[t−13] … P[t−1]"
    assert factors.window("xsmom", {}, 0) == "P[t−12] … P[t−1]"
    assert factors.window("ma_trend", {}, 0) == "P[t−9] … P[t]"
    assert factors.window("low_vol", {"lookback": 24}, 0) == "P[t−24] … P[t]"
    assert factors.window("high_52w", {}, 0) == "P[t−11] … P[t]"
    assert factors.window("reversal_5y", {}, 0) == "P[t−60] … P[t−12]"
    assert factors.window("same_month", {}, 0) == "P[t−60] … P[t−11]"
    assert factors.window("trend_scaled", {"vol_lookback": 36}, 0) == "P[t−36] … P[t]"
    assert factors.window("residual_momentum", {}, 0) == "P[t−36] … P[t]"
    assert factors.window("beta", {}, 1) == "daily P[t−61] … P[t−1]"
    assert factors.window("dollar_volume", {}, 0) == "daily P[t] … P[t]"
    assert factors.window("characteristic", {"panel": "pe"}, 2) == "X[t−2]"


@pytest.mark.parametrize("spec", factors.REGISTRY.values(), ids=lambda spec: spec.name)
def test_every_factor_says_what_it_is_and_where_it_comes_from(spec: factors.FactorSpec) -> None:
    assert re.fullmatch(r"10\.\d{4,}/\S+", spec.doi)
    assert re.search(r"\(\d{4}\), .+, .+ \d+", spec.paper)
    assert all((spec.summary, spec.formula))
    assert spec.params or re.search(r"\d", spec.formula), "what is fixed stands in the formula"
    assert spec.sign in (1, -1)
    said = factors.check(spec.name, least_params(spec.name))
    for param in spec.params:
        assert param.meaning
        assert param.allows(said[param.name])
        if param.pattern:
            assert param.described == (f"default {param.default}" if param.default else "required")
            continue
        assert param.low <= param.default <= param.high
        assert param.described == f"default {param.default}, {param.low} to {param.high}"
    for extreme in ("low", "high"):
        edge = {param.name: getattr(param, extreme) for param in spec.params if not param.pattern}
        assert factors.check(spec.name, said | edge) == said | edge


def test_every_factor_is_of_one_family_and_the_file_of_that_name() -> None:
    for family, specs in factors.FAMILIES.items():
        assert {spec.compute.__module__.rpartition(".")[2] for spec in specs} == {family}
    assert sum(map(len, factors.FAMILIES.values())) == len(factors.REGISTRY), "names are unique"


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
        ("residual_momentum", {"lookback": 48}, "lookback 48 is longer than the window of 36"),
        ("residual_momentum", {"lookback": 3, "skip": 2}, "leaves fewer than 2 residuals"),
        ("momentum_13612w", {"lookback": 12}, "no parameter lookback; there are none"),
        ("beta", {"market": "spy"}, "parameter market: got 'spy', allowed text of the form"),
        ("beta", {"market": 7}, "parameter market: got 7"),
        ("characteristic", {}, "parameter panel: got '', allowed text"),
        ("max_return", {"n": 6}, "from 1 to 5"),
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
            factors.compute(name, Data(np.ones((3, 1))), params, 0)


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
