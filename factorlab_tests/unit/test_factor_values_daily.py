"""Each factor of daily bars on closes that a reader can compute in the head.

What of a window must be known, and what all factors have in common, is in `test_factors`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors
from factorlab_tests.small_panels import data_with, month_days

NAN = float("nan")


def in_last_month(returns: dict[int, float], n_months: int = 2) -> np.ndarray:
    """Closes (D,) of 100 that move by `returns` on some sessions of the last month."""
    _, month = month_days(n_months)
    moves = np.zeros(len(month))
    start = int(np.searchsorted(month, n_months - 1))
    for session, moved in returns.items():
        moves[start + session] = moved
    return 100.0 * np.cumprod(1.0 + moves)


def daily(name: str, closes: list[np.ndarray], n_months: int = 2, **said: Any) -> list[float]:
    """The factor's last values of the columns of daily closes."""
    market, volume = said.pop("of_market", None), said.pop("volume", None)
    data = data_with(np.stack(closes, axis=1), market, volume=volume, n_months=n_months)
    return factors.compute(name, data, said, 0)[-1].tolist()


N_SESSIONS = 19
"""Sessions of 2010-02, the second month of the daily closes here."""


def test_low_vol_daily_is_minus_the_deviation_of_the_sessions_returns() -> None:
    closes = [in_last_month({0: 0.1, 5: -0.1}), in_last_month({})]
    by_hand = [-np.sqrt(0.02 / (N_SESSIONS - 1)), 0.0]
    assert daily("low_vol_daily", closes, lookback=1) == pytest.approx(by_hand, rel=1e-12)
    even = 1.01 ** np.arange(len(closes[0]))
    assert daily("low_vol_daily", [even], lookback=1) == [0.0], "rounding is no volatility"


def test_a_daily_return_spans_one_session_and_needs_both_its_ends() -> None:
    """A missing close takes two returns with it; nothing is said across the gap."""
    close = in_last_month({4: 0.5, 9: 0.1})
    close[len(close) - N_SESSIONS + 4] = NAN  # the bar of the +50 %
    by_hand = -np.std([0.1] + [0.0] * (N_SESSIONS - 3), ddof=1)
    assert daily("low_vol_daily", [close], lookback=1) == pytest.approx([by_hand], rel=1e-12)
    assert daily("max_return", [close], n=1) == pytest.approx([-0.1], rel=1e-12)


def test_max_return_is_minus_the_mean_of_the_highest_of_the_month() -> None:
    moved = {2: 0.03, 7: 0.05, 11: -0.09}
    earlier = in_last_month({2: 0.4}, n_months=3)[: len(in_last_month({}))]
    for n, by_hand in ((1, 0.05), (2, 0.04), (3, 0.08 / 3), (5, 0.08 / 5)):
        found = daily("max_return", [in_last_month(moved), earlier], n=n)
        assert found == pytest.approx([-by_hand, 0.0], rel=1e-12)
    fell = in_last_month(dict.fromkeys(range(N_SESSIONS), -0.01))
    assert daily("max_return", [fell], n=1) == pytest.approx([0.01], rel=1e-12)


def test_idio_vol_is_minus_the_deviation_that_the_market_leaves() -> None:
    """Twice the market's days and two of its own: their deviation is about 0."""
    market = in_last_month({1: 0.01, 2: -0.01})
    own = in_last_month({1: 0.02, 2: -0.02, 8: 0.05, 12: -0.05})
    closes = [own, market, in_last_month({}), 7.0 * market]
    found = daily("idio_vol", closes, lookback=1, of_market=market)
    by_hand = -np.sqrt(2 * 0.05**2 / (N_SESSIONS - 1))
    assert found == [pytest.approx(by_hand, rel=1e-12), 0.0, 0.0, 0.0]


def test_idio_vol_is_exactly_zero_where_only_rounding_is_left() -> None:
    steps = np.random.default_rng(4).normal(0.0, 0.01, len(month_days(2)[0]))
    market, geared = (np.cumprod(1.0 + by * steps) for by in (1.0, 1.3))
    even = 1.003 ** np.arange(len(steps))
    assert daily("idio_vol", [geared, even], lookback=1, of_market=market) == [0.0, 0.0]
    market[-N_SESSIONS : -N_SESSIONS // 2] = NAN  # ten of nineteen
    unknown = daily("idio_vol", [geared], lookback=1, of_market=market)
    assert np.isnan(unknown).all(), "days that both have are too few"


def test_beta_is_the_ratio_of_volatilities_times_the_correlation_shrunk_to_one() -> None:
    steps = np.random.default_rng(5).normal(0.0, 0.01, len(month_days(5)[0]))
    market, twice, against = (np.exp(by * np.cumsum(steps)) for by in (1.0, 2.0, -1.0))
    closes = [market, twice, against, np.full(len(steps), 3.0)]
    found = daily("beta", closes, 5, lookback=4, vol_lookback=2, of_market=market)
    by_hand = [-(0.6 * beta + 0.4) for beta in (1.0, 2.0, -1.0, 0.0)]
    assert found == pytest.approx(by_hand, rel=1e-12)


def test_beta_needs_half_of_either_window_and_of_both_tickers() -> None:
    """Five months, the last of them for the volatilities: bars missing in its first half or more,
    or in the four months before."""
    _, month = month_days(5)
    market = np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.01, len(month))))
    last, early = np.flatnonzero(month == 4), np.flatnonzero((month > 0) & (month < 4))
    few, many, before = market.copy(), market.copy(), market.copy()
    few[last[: len(last) // 2 - 1]] = many[last[: len(last) // 2 + 1]] = NAN
    before[early] = NAN
    params = {"lookback": 4, "vol_lookback": 1}
    found = daily("beta", [few, many, before], 5, of_market=market, **params)
    assert np.isfinite(found).tolist() == [True, False, False]
    for of_market, is_known in ((few, True), (many, False), (before, False)):
        found = daily("beta", [market], 5, of_market=of_market, **params)
        assert np.isfinite(found).tolist() == [is_known]


def test_beta_of_a_price_that_has_stood_still_is_zero_before_it_is_shrunk() -> None:
    """Over the correlation's three months; over the volatilities' four it has moved."""
    _, month = month_days(5)
    market = np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.01, len(month))))
    still = market.copy()
    still[np.flatnonzero(month == 1)[-4] :] = 1.0
    assert daily("beta", [still], 5, lookback=3, vol_lookback=4, of_market=market) == [-0.4]


def test_beta_takes_its_correlation_from_three_days_and_its_volatility_from_one() -> None:
    """A ticker a day behind the market: its single days know nothing of the market's."""
    rng = np.random.default_rng(6)
    n_days = len(month_days(37)[0])
    steps = rng.normal(0.0, 0.01, n_days)
    steps[-250:] *= 3  # the last year's volatilities, in which the two are alike
    market, behind = np.exp(np.cumsum(steps)), np.exp(np.cumsum(np.append(0.0, steps[:-1])))
    found = daily("beta", [behind], 37, lookback=36, vol_lookback=11, of_market=market)
    assert found == pytest.approx([-(0.6 * 2 / 3 + 0.4)], abs=0.03), "two of three days overlap"


def test_high_52w_daily_looks_at_every_close_of_the_window() -> None:
    moved = in_last_month({3: 1.0, 4: -0.5})  # 200 for a day
    assert daily("high_52w_daily", [moved], lookback=1) == [0.5]
    n_months = 3
    later = in_last_month({3: 1.0, 4: -0.5}, n_months=n_months)
    assert daily("high_52w_daily", [later, later * 0 + 5], n_months, lookback=3) == [0.5, 1.0]
    first = np.where(month_days(n_months)[1] == 0, 400.0, 100.0)
    assert daily("high_52w_daily", [first], n_months, lookback=3) == [0.25]
    assert daily("high_52w_daily", [first], n_months, lookback=2) == [1.0]


def test_dollar_volume_is_minus_the_log_of_the_mean_of_a_day() -> None:
    close = in_last_month({})
    volume = np.full((len(close), 3), 1e6)
    volume[-3:, 0] = NAN, 4e6, 1e6  # of 18 days
    volume[-1, 1] = 0.0
    volume[:, 2] = 0.0
    found = daily("dollar_volume", [close] * 3, lookback=1, volume=volume)
    days = N_SESSIONS - 1
    by_hand = [-np.log(1e6 * (days + 3) / days), -np.log(1e6 * days / N_SESSIONS), NAN]
    assert found == pytest.approx(by_hand, rel=1e-12, nan_ok=True)


def test_amihud_is_the_move_per_million_dollars() -> None:
    close = in_last_month({3: 0.1, 6: -0.2})
    volume = np.full((len(close), 2), 2e6)
    volume[-1, 1] = 0.0
    found = daily("amihud", [close] * 2, lookback=1, volume=volume)
    by_hand = [(0.1 + 0.2) / 2 / N_SESSIONS, (0.1 + 0.2) / 2 / (N_SESSIONS - 1)]
    assert found == pytest.approx(by_hand, rel=1e-12), "a day without trading does not count"
