"""Each factor on prices that a reader can compute in the head, with the prices that it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.factors.base import Data
from factorlab_assets.errors import FactorLabError
from factorlab_tests.small_panels import data_of, least_params

NAN = float("nan")
DOUBLING = np.array([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]])


def column(name: str, price: np.ndarray, delay: int = 0, **params: int) -> list[float]:
    return factors.compute(name, Data(price), params, delay)[:, 0].tolist()


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


def test_high_52w_is_the_price_over_the_highest_month_end_of_the_window() -> None:
    price = np.array([[8.0], [10.0], [5.0], [6.0], [12.0], [9.0]])
    by_hand = [NAN, NAN, 5 / 10, 6 / 10, 12 / 12, 9 / 12]
    assert_column(column("high_52w", price, lookback=3), by_hand)
    assert_column(column("high_52w", price, lookback=2), [NAN, 1, 0.5, 1, 1, 0.75])


def test_breakout_is_the_place_in_the_range() -> None:
    price = np.array([[8.0], [10.0], [4.0], [7.0], [7.0], [7.0]])
    by_hand = [NAN, NAN, 0 / 6, 3 / 6, 3 / 3, 0.5]
    assert_column(column("breakout", price, lookback=3), by_hand)


def test_acceleration_is_the_recent_return_less_the_older() -> None:
    price = np.array([[100.0], [110.0], [132.0], [66.0]])  # +10 %, +20 %, −50 %
    assert_column(column("acceleration", price, lookback=1), [NAN, NAN, 0.1, -0.7])
    assert_column(column("acceleration", DOUBLING, lookback=2), [NAN] * 4 + [0, 0])
    price = np.array([[10.0], [3.0], [20.0], [99.0], [30.0]])  # +100 %, then +50 %
    assert_column(column("acceleration", price, lookback=2), [NAN] * 4 + [-0.5])


def test_trend_scaled_is_the_trend_per_unit_of_annual_volatility() -> None:
    price = np.array([[100.0], [110.0], [99.0], [118.8]])  # +10 %, −10 %, +20 %
    two = [NAN, NAN, -0.01 / np.sqrt(12 * 0.02), 0.08 / np.sqrt(12 * 0.045)]
    assert_column(column("trend_scaled", price, lookback=2, vol_lookback=2), two)
    one = [NAN, NAN, NAN, 0.2 / np.sqrt(12) / np.std([0.1, -0.1, 0.2], ddof=1)]
    assert_column(column("trend_scaled", price, lookback=1, vol_lookback=3), one)


def test_a_trend_without_volatility_cannot_be_scaled_unless_it_is_none() -> None:
    even = 100 * 1.01 ** np.arange(20.0)[:, None]
    assert np.isnan(column("trend_scaled", even)).all()
    assert set(column("low_vol", even, lookback=3)[3:]) == {0.0}
    assert column("trend_scaled", np.full((13, 1), 0.3))[-1] == 0.0


def test_reversal_1m_is_minus_the_last_return() -> None:
    price = np.array([[100.0], [120.0], [90.0]])
    assert_column(column("reversal_1m", price), [NAN, -0.2, 0.25])
    assert_column(column("reversal_1m", price, lookback=2), [NAN, NAN, 0.1])


def test_reversal_5y_is_minus_the_log_return_from_the_lookback_to_the_skip() -> None:
    by_hand = [NAN, NAN, NAN, -2 * np.log(2), -2 * np.log(2), -2 * np.log(2)]
    assert_column(column("reversal_5y", DOUBLING, lookback=3, skip=1), by_hand)
    price = np.arange(1.0, 63.0)[:, None]  # P[0] is 1, P[48] is 49
    assert_column(column("reversal_5y", price)[60:], [-np.log(49 / 1), -np.log(50 / 2)])


def test_downside_vol_counts_losses_only_and_every_month() -> None:
    price = np.array([[100.0], [110.0], [99.0], [118.8], [95.04]])  # +10, −10, +20, −20 %
    by_hand = [NAN, NAN, -np.sqrt(0.01 / 2), -np.sqrt(0.01 / 2), -np.sqrt(0.04 / 2)]
    assert_column(column("downside_vol", price, lookback=2), by_hand)
    assert_column(column("downside_vol", price, lookback=4), [NAN] * 4 + [-np.sqrt(0.05 / 4)])
    assert set(column("downside_vol", DOUBLING, lookback=3)[3:]) == {0.0}


def test_consistency_is_the_share_of_months_with_a_gain() -> None:
    price = np.array([[5.0], [6.0], [6.0], [7.0], [8.0], [1.0]])  # up, flat, up, up, down
    by_hand = [NAN, NAN, NAN, NAN, 3 / 4, 2 / 4]
    assert_column(column("consistency", price, lookback=4), by_hand)
    assert_column(column("consistency", price, lookback=1), [NAN, 1, 0, 1, 1, 0])


def test_shallow_drawdown_is_the_deepest_fall_from_a_high_within_the_window() -> None:
    price = np.array([[10.0], [8.0], [12.0], [9.0], [6.0], [7.0], [8.0]])
    by_hand = [NAN, NAN, 8 / 10 - 1, 9 / 12 - 1, 6 / 12 - 1, 6 / 9 - 1, 0]
    assert_column(column("shallow_drawdown", price, lookback=3), by_hand)
    whole = column("shallow_drawdown", price, lookback=7)[-1]
    assert whole == 6 / 12 - 1, "a low before the high is no fall"


def test_same_month_is_the_mean_return_of_the_coming_month_in_earlier_years() -> None:
    price = np.ones((37, 1))
    price[1], price[13], price[25] = 1.1, 1.3, 0.9  # months 1, 13 and 25 are namesakes
    one, two = (column("same_month", price, years=years) for years in (1, 2))
    assert_column([one[12], one[24], one[36]], [0.1, 0.3, -0.1])
    assert_column([two[12], two[24], two[36]], [NAN, 0.2, 0.1])
    assert_column([one[13], one[25]], [1 / 1.1 - 1, 1 / 1.3 - 1])
    assert set(one[14:24]) == {0.0}


def test_trend_sign_is_the_side_of_the_trend() -> None:
    price = np.array([[10.0], [12.0], [12.0], [9.0], [12.0]])
    assert_column(column("trend_sign", price, lookback=1), [NAN, 1, 0, -1, 1])
    assert_column(column("trend_sign", price, lookback=2), [NAN, NAN, 1, -1, 0])


def test_trend_excess_is_the_trend_less_that_of_the_market() -> None:
    price = np.array([[100.0, 50.0], [120.0, 50.0], [90.0, 60.0]])
    data = Data(price, np.array([[10.0], [11.0], [11.0]]))  # +10 %, 0
    found = factors.compute("trend_excess", data, {"lookback": 1}, 0)
    assert_column(found[:, 0], [NAN, 0.1, -0.25])
    assert_column(found[:, 1], [NAN, -0.1, 0.2])


def test_momentum_13612w_is_the_mean_of_four_returns_at_yearly_rates() -> None:
    price = np.ones((13, 2))
    price[[0, 6, 9, 11, 12], 0] = 10.0, 5.0, 2.0, 4.0, 8.0  # −20 %, +60 %, +300 %, +100 %
    price[12, 1] = 2.0  # all +100 %
    found = factors.compute("momentum_13612w", Data(price), {}, 0)
    assert np.isnan(found[:12]).all()
    np.testing.assert_allclose(
        found[12], [(12 * 1 + 4 * 3 + 2 * 0.6 - 0.2) / 4, (12 + 4 + 2 + 1) / 4], rtol=1e-15
    )


def test_momentum_average_is_the_mean_of_four_returns() -> None:
    price = np.ones((13, 2))
    price[[0, 6, 9, 11, 12], 0] = 10.0, 5.0, 2.0, 4.0, 8.0  # −20 %, +60 %, +300 %, +100 %
    price[12, 1] = 2.0  # all +100 %
    found = factors.compute("momentum_average", Data(price), {}, 0)
    assert np.isnan(found[:12]).all()
    np.testing.assert_allclose(found[12], [(1 + 3 + 0.6 - 0.2) / 4, 1.0], rtol=1e-15)


def test_residual_momentum_is_what_the_market_leaves_per_unit_of_deviation() -> None:
    """Residuals +2 %, +2 %, −2 %, −2 %, … beside a market of +10 %, −10 %, …: orthogonal."""
    market = np.tile([0.1, -0.1], 6)
    left = np.tile([0.02, 0.02, -0.02, -0.02], 3)
    price, of_market = (
        np.cumprod(np.append(1.0, 1.0 + r))[:, np.newaxis]
        for r in (0.01 + 1.5 * market + left, market)
    )
    data = Data(np.hstack([price, of_market]), of_market)

    def last(lookback: int, skip: int) -> list[float]:
        params = {"window": 12, "lookback": lookback, "skip": skip}
        return factors.compute("residual_momentum", data, params, 0)[-1].tolist()

    for (lookback, skip), by_hand in {
        (4, 1): 2 / np.std([2, 2, -2], ddof=1),
        (3, 0): -2 / np.std([2, -2, -2], ddof=1),
        (12, 0): 0.0,
        (2, 0): NAN,  # two equal residuals have no deviation to be divided by
    }.items():
        expected = [pytest.approx(by_hand, rel=1e-12, abs=1e-12, nan_ok=True), 0.0]
        assert last(lookback, skip) == expected, "and the market leaves nothing of itself"


def test_a_characteristic_is_the_users_value_as_it_is() -> None:
    given = np.array([[1.0, NAN], [-2.0, 3.0], [5.0, 0.0]])
    data = Data(np.ones((3, 2)), outside=given)
    found = factors.compute("characteristic", data, {"panel": "book"}, 1)
    np.testing.assert_array_equal(found, [[NAN, NAN], [1.0, NAN], [-2.0, 3.0]])
    with pytest.raises(FactorLabError, match=r"no characteristic of that name.*\bbook\b"):
        factors.compute("characteristic", Data(np.ones((3, 2))), {"panel": "book"}, 0)


FLAT = {"high_52w": 1.0, "breakout": 0.5, "high_52w_daily": 1.0, "beta": -0.4}
"""What a constant price is by the factors for which it is not 0: at its high, mid-range, a β of 0
shrunk towards 1."""
NOT_OF_CHANGE = {"dollar_volume", "characteristic", "trend_excess"}
"""Those that a constant price says nothing about: a volume, a user's number, another's price."""


@pytest.mark.parametrize("name", sorted(set(factors.REGISTRY) - NOT_OF_CHANGE))
def test_a_constant_price_is_exactly_zero_for_every_factor_that_measures_change(name: str) -> None:
    price = np.full((factors.REGISTRY[name].first(factors.check(name, {})) + 2, 3), 0.1 + 0.2)
    data = data_of(price)
    bars = replace(data.bars, close=np.full(data.bars.close.shape, 0.1 + 0.2))
    values = factors.compute(name, replace(data, bars=bars), {}, 0)
    assert set(values[-1]) == {FLAT.get(name, 0.0)}


NEEDED = {
    "trend": ({"lookback": 4}, {0, 4}),
    "trend_sign": ({"lookback": 4}, {0, 4}),
    "trend_excess": ({"lookback": 4}, {0, 4}),
    "trend_scaled": ({"lookback": 5, "vol_lookback": 3}, {0, 1, 2, 3, 5}),
    "ma_trend": ({"lookback": 4}, {0, 1, 2, 3}),
    "xsmom": ({"lookback": 4, "skip": 1}, {1, 4}),
    "high_52w": ({"lookback": 4}, {0, 1, 2, 3}),
    "breakout": ({"lookback": 4}, {0, 1, 2, 3}),
    "acceleration": ({"lookback": 3}, {0, 3, 6}),
    "high_52w_daily": ({"lookback": 4}, {0}),
    "residual_momentum": ({"window": 12, "lookback": 4, "skip": 1}, set(range(13))),
    "momentum_13612w": ({}, {0, 1, 3, 6, 12}),
    "momentum_average": ({}, {0, 1, 3, 6, 12}),
    "reversal_1m": ({}, {0, 1}),
    "reversal_5y": ({"lookback": 5, "skip": 2}, {2, 5}),
    "low_vol": ({"lookback": 3}, {0, 1, 2, 3}),
    "downside_vol": ({"lookback": 3}, {0, 1, 2, 3}),
    "low_vol_daily": ({"lookback": 3}, {0}),
    "beta": ({"lookback": 5, "vol_lookback": 3}, {0}),
    "max_return": ({}, {0}),
    "idio_vol": ({"lookback": 3}, {0}),
    "consistency": ({"lookback": 3}, {0, 1, 2, 3}),
    "shallow_drawdown": ({"lookback": 4}, {0, 1, 2, 3}),
    "dollar_volume": ({"lookback": 3}, {0}),
    "amihud": ({"lookback": 3}, {0}),
    "same_month": ({"years": 2}, {11, 12, 23, 24}),
    "characteristic": ({"panel": "book"}, {0}),
}
"""How many months back the prices are that a value needs: without one of them it is unknown. Where
daily bars are read, half of a window's sessions are enough."""


@pytest.mark.parametrize("name", factors.REGISTRY)
def test_one_unknown_month_hides_exactly_the_dates_that_need_it(name: str) -> None:
    params, needed = NEEDED[name]
    price = np.exp(np.random.default_rng(1).normal(size=(70, 1)))
    price[30] = NAN
    hidden = {30 + back for back in needed}
    unknown = np.flatnonzero(np.isnan(factors.compute(name, data_of(price), params, 0)))
    first = factors.REGISTRY[name].first(factors.check(name, params))
    assert set(unknown) == hidden | set(range(first))
    if factors.REGISTRY[name].reads == "prices":
        assert first == max(needed)


def test_defaults_are_the_textbooks() -> None:
    defaults = {
        name: (factors.check(name, least_params(name)), spec.delay)
        for name, spec in factors.REGISTRY.items()
    }
    assert defaults == {
        "trend": ({"lookback": 12}, 1),
        "trend_sign": ({"lookback": 12}, 1),
        "trend_excess": ({"lookback": 12, "market": "SHY"}, 1),
        "trend_scaled": ({"lookback": 12, "vol_lookback": 12}, 1),
        "ma_trend": ({"lookback": 10}, 1),
        "xsmom": ({"lookback": 12, "skip": 1}, 0),
        "high_52w": ({"lookback": 12}, 1),
        "breakout": ({"lookback": 12}, 1),
        "acceleration": ({"lookback": 6}, 1),
        "high_52w_daily": ({"lookback": 12}, 1),
        "residual_momentum": ({"window": 36, "lookback": 12, "skip": 1, "market": "SPY"}, 0),
        "momentum_13612w": ({}, 0),
        "momentum_average": ({}, 0),
        "reversal_1m": ({"lookback": 1}, 0),
        "reversal_5y": ({"lookback": 60, "skip": 12}, 0),
        "low_vol": ({"lookback": 36}, 1),
        "downside_vol": ({"lookback": 36}, 1),
        "low_vol_daily": ({"lookback": 12}, 1),
        "beta": ({"lookback": 60, "vol_lookback": 12, "market": "SPY"}, 1),
        "max_return": ({"n": 1}, 0),
        "idio_vol": ({"lookback": 1, "market": "SPY"}, 0),
        "consistency": ({"lookback": 12}, 1),
        "shallow_drawdown": ({"lookback": 36}, 1),
        "dollar_volume": ({"lookback": 1}, 1),
        "amihud": ({"lookback": 12}, 1),
        "same_month": ({"years": 5}, 0),
        "characteristic": ({"panel": "some_panel"}, 0),
    }
