"""Laws of factors and transforms, whatever the prices.

1. Permuting the tickers permutes the values.      2. A ticker's price scale does not matter.
3. Later prices never change earlier values.       4. Another ticker's prices never change a factor.
5. NaN in, NaN out.                                6. Values start when their window is full.
7. z-scores have mean 0 and sd 1.                  8. Ranks lie in [0, 1] and sum to n / 2.
9. Winsorized values stay within the cross-section, in order.
10. Shares, places in a range, drawdowns and risks stay within their bounds.
11. Transforms ignore location and scale, and turn over with the sign.
12. A value is the same to the bit, however many months came before its window.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from factorlab_assets.core import factors
from factorlab_assets.core.factors import days
from factorlab_assets.core.factors.base import Data
from factorlab_assets.core.transforms import rank, winsorize, zscore
from factorlab_tests.small_panels import data_of, short_params, some_months, some_tickers, times

NAMES = sorted(factors.REGISTRY)


def law(*examples):
    """The test on every drawn example; a busy machine's slowness is no counterexample."""
    return lambda test: settings(deadline=None)(given(*examples)(test))


name = st.sampled_from(NAMES)
delay = st.integers(0, 3)


@st.composite
def prices(draw: st.DrawFn, holes: bool = True) -> np.ndarray:
    """(T, N) prices, some of them unknown; T from 6 to 24, N from 1 to 5."""
    shape = draw(st.tuples(st.integers(6, 24), st.integers(1, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    price = 50 * np.exp(np.cumsum(rng.normal(0, 0.1, shape), axis=0))
    if holes:
        price[rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.4]))] = np.nan
    return price


@st.composite
def histories(draw: st.DrawFn, holes: bool = True) -> Data:
    """Such prices with daily bars of them, a market and a panel from outside; days are missing."""
    price = draw(prices(holes))
    data = data_of(price, draw(st.integers(0, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gone = rng.random(data.bars.close.shape) < (0.1 if holes else 0.0)
    month = data.bars.month
    gone[np.append(month[1:] != month[:-1], True)] = False  # the bar that the month's price is of
    close, volume = (
        np.where(gone, np.nan, each) for each in (data.bars.close, data.bars.dollar_volume)
    )
    return replace(data, bars=replace(data.bars, close=close, dollar_volume=volume))


def of_kind(reads: str) -> list[str]:
    return [which for which in NAMES if factors.REGISTRY[which].reads == reads]


# Values are rounded so that distinct ones differ by far more than rounding error.
cell = st.one_of(st.just(float("nan")), st.floats(-1e3, 1e3).map(lambda value: round(value, 3)))
cross_sections = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=cell
)


def computed(which: str, data: Data, months: int) -> np.ndarray:
    return factors.compute(which, data, short_params(which), months)


@law(name, histories(), delay, st.randoms(use_true_random=False))
def test_permuting_tickers_permutes_values(which, data, months, random) -> None:
    order = list(range(data.price.shape[1]))
    random.shuffle(order)
    permuted = computed(which, some_tickers(data, order), months)
    np.testing.assert_array_equal(permuted, computed(which, data, months)[:, order])


@law(name, histories(), delay, st.floats(1e-3, 1e3))
def test_the_scale_of_a_tickers_price_does_not_matter(which, data, months, scale) -> None:
    """Dollar volume being given in dollars, whatever a share costs."""
    by = np.where(np.arange(data.price.shape[1]) == 0, scale, 1.0) * np.ones(data.price.shape)
    scaled = replace(times(data, by), outside=data.outside)
    # Ratios of prices carry a few units of 1e-16; breakout, trend_scaled and residual_momentum
    # divide them by a range or a deviation that may by chance be a millionth of the price.
    np.testing.assert_allclose(
        computed(which, scaled, months), computed(which, data, months), rtol=1e-9, atol=1e-9
    )


@law(histories(), st.floats(1e-3, 1e3))
def test_factors_of_volume_alone_know_the_scale_of_a_dollar(data, scale) -> None:
    dearer = times(data, np.full(data.price.shape, scale), volume=True)
    params = {"lookback": 1}
    for which, law_of_scale in (
        ("dollar_volume", lambda x: x - np.log(scale)),
        ("amihud", lambda x: x / scale),
    ):
        now, then = (factors.compute(which, each, params, 0) for each in (data, dearer))
        np.testing.assert_allclose(then, law_of_scale(now), rtol=1e-9)


@law(name, histories(), delay, st.data())
def test_later_months_never_change_earlier_values(which, data, months, draw) -> None:
    n_months = len(data.price)
    cut = draw.draw(st.integers(1, n_months))
    whole = computed(which, data, months)
    np.testing.assert_array_equal(computed(which, some_months(data, 0, cut), months), whole[:cut])
    by = np.ones(data.price.shape)
    by[cut:] = draw.draw(st.sampled_from([np.nan, 1e9, 1e-9]))
    wild = times(data, by, volume=True)
    wild = replace(wild, market=np.vstack([data.market[:cut], 7.0 * data.market[cut:]]))
    day = np.searchsorted(data.bars.month, cut)
    beside = np.vstack([data.market_bars[:day], 7.0 * data.market_bars[day:]])
    wild = replace(wild, market_bars=beside)
    np.testing.assert_array_equal(computed(which, wild, months)[:cut], whole[:cut])


@law(name, histories(), st.data())
def test_a_value_is_the_same_to_the_bit_however_long_the_history_before_its_window(
    which, data, draw
) -> None:
    """What was known at a date is computed from its window alone (`signals`)."""
    n_months, oldest = len(data.price), factors.REGISTRY[which].first(short_params(which))
    begin = draw.draw(st.integers(0, n_months - 1))
    short = computed(which, some_months(data, begin, n_months), 0)
    whole = computed(which, data, 0)
    np.testing.assert_array_equal(short[oldest:], whole[begin + oldest :])
    assert np.isnan(short[:oldest]).all()


@law(name, histories(), delay)
def test_another_tickers_prices_never_change_a_factor(which, data, months) -> None:
    alone = computed(which, some_tickers(data, [0]), months)
    np.testing.assert_array_equal(computed(which, data, months)[:, :1], alone)


@law(st.sampled_from(of_kind("bars")), histories())
def test_how_many_tickers_are_computed_at_once_changes_nothing(which, data) -> None:
    together = computed(which, data, 0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(days, "COLUMNS", 2)
        np.testing.assert_array_equal(computed(which, data, 0), together)


@law(name, histories(), delay)
def test_delay_is_the_undelayed_value_of_months_before(which, data, months) -> None:
    now, later = computed(which, data, 0), computed(which, data, months)
    np.testing.assert_array_equal(later[months:], now[: len(now) - months])
    assert np.isnan(later[:months]).all()


@law(name, histories(), delay)
def test_a_value_is_known_only_where_its_newest_and_oldest_price_are(which, data, months) -> None:
    """Of daily bars the newest month alone, of a panel from outside that date's value."""
    spec, full = factors.REGISTRY[which], short_params(which)
    known = ~np.isnan(computed(which, data, months))
    ends = (spec.first, spec.last) if spec.reads == "prices" else (spec.last,)
    given = data.outside if spec.reads == "outside" else data.price
    for t, i in np.argwhere(known):
        for end in ends:
            assert not np.isnan(given[t - months - end(full), i])


@law(name, histories(holes=False), delay)
def test_a_full_history_is_known_from_the_first_full_window_on(which, data, months) -> None:
    known = ~np.isnan(computed(which, data, months))
    start = factors.REGISTRY[which].first(short_params(which)) + months
    assert known[start:].all()
    assert not known[:start].any()


BOUNDS = {
    "low_vol": (-np.inf, 0),
    "downside_vol": (-np.inf, 0),
    "shallow_drawdown": (-1, 0),
    "consistency": (0, 1),
    "breakout": (0, 1),
    "high_52w": (0, 1),
    "high_52w_daily": (0, 1),
    "low_vol_daily": (-np.inf, 0),
    "idio_vol": (-np.inf, 0),
    "amihud": (0, np.inf),
    "trend_sign": (-1, 1),
}


@law(st.sampled_from(sorted(BOUNDS)), histories())
def test_a_factor_with_bounds_stays_within_them(which, data) -> None:
    values, (low, high) = computed(which, data, 0), BOUNDS[which]
    assert (np.isnan(values) | ((values >= low) & (values <= high))).all()


TRANSFORMS = {
    "winsorize": lambda values: winsorize(values, 0.1, 0.9),
    "zscore": zscore,
    "rank": rank,
}
transform = st.sampled_from(sorted(TRANSFORMS)).map(TRANSFORMS.get)


@law(transform, cross_sections, st.randoms(use_true_random=False))
def test_transforms_permute_with_the_tickers(change, values, random) -> None:
    order = list(range(values.shape[1]))
    random.shuffle(order)
    np.testing.assert_allclose(change(values[:, order]), change(values)[:, order], atol=1e-9)


@law(transform, cross_sections)
def test_transforms_keep_unknown_unknown_and_known_known(change, values) -> None:
    np.testing.assert_array_equal(np.isnan(change(values)), np.isnan(values))


@law(cross_sections)
def test_zscores_have_mean_zero_and_sd_one_or_are_all_zero(values) -> None:
    for row, scores in zip(values, zscore(values), strict=True):
        known = scores[~np.isnan(row)]
        if len(set(row[~np.isnan(row)])) < 2:
            assert (known == 0).all()
        else:
            assert np.mean(known) == pytest.approx(0, abs=1e-9)
            assert np.std(known) == pytest.approx(1, abs=1e-9)


@law(cross_sections)
def test_ranks_lie_in_the_unit_interval_and_keep_the_order(values) -> None:
    for row, ranks in zip(values, rank(values), strict=True):
        seen = ~np.isnan(row)
        known = ranks[seen]
        assert ((known >= 0) & (known <= 1)).all()
        assert known.sum() == pytest.approx(len(known) / 2, abs=1e-9)
        larger = row[seen][:, None] > row[seen][None, :]
        assert (known[:, None] > known[None, :])[larger].all()


@law(cross_sections, st.floats(0, 0.45), st.floats(0.55, 1))
def test_winsorizing_stays_inside_and_keeps_the_order(values, lower, upper) -> None:
    for row, clipped in zip(values, winsorize(values, lower, upper), strict=True):
        before, after = row[~np.isnan(row)], clipped[~np.isnan(row)]
        if len(before):
            assert before.min() <= after.min() <= after.max() <= before.max()
            larger = before[:, None] >= before[None, :]
            assert (after[:, None] >= after[None, :])[larger].all()


@law(cross_sections, st.floats(0.1, 10), st.floats(-100, 100))
def test_location_and_scale_pass_through_or_vanish(values, scale, shift) -> None:
    moved = values * scale + shift
    np.testing.assert_allclose(zscore(moved), zscore(values), atol=1e-6)
    np.testing.assert_array_equal(rank(np.round(moved, 9)), rank(values))
    np.testing.assert_allclose(
        winsorize(moved, 0.1, 0.9), winsorize(values, 0.1, 0.9) * scale + shift, atol=1e-6
    )


@law(cross_sections)
def test_turning_the_sign_turns_the_transform(values) -> None:
    np.testing.assert_allclose(zscore(-values), -zscore(values), atol=1e-9)
    np.testing.assert_allclose(rank(-values), 1 - rank(values), atol=1e-12)
    np.testing.assert_allclose(
        winsorize(-values, 0.1, 0.9), -winsorize(values, 0.1, 0.9), atol=1e-9
    )
