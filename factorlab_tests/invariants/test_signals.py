"""Laws of factors and transforms, whatever the prices.

1. Permuting the tickers permutes the values.      2. A ticker's price scale does not matter.
3. Later prices never change earlier values.       4. Another ticker's prices never change a factor.
5. NaN in, NaN out.                                6. Values start when their window is full.
7. z-scores have mean 0 and sd 1.                  8. Ranks lie in [0, 1] and sum to n / 2.
9. Winsorized values stay within the cross-section, in order.
10. Shares, places in a range, drawdowns and risks stay within their bounds.
11. Transforms ignore location and scale, and turn over with the sign.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from factorlab_assets.core import factors
from factorlab_assets.core.transforms import rank, winsorize, zscore
from factorlab_tests.small_panels import short_params

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


# Values are rounded so that distinct ones differ by far more than rounding error.
cell = st.one_of(st.just(float("nan")), st.floats(-1e3, 1e3).map(lambda value: round(value, 3)))
cross_sections = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=cell
)


def computed(which: str, price: np.ndarray, months: int) -> np.ndarray:
    return factors.compute(which, price, short_params(which), months)


@law(name, prices(), delay, st.randoms(use_true_random=False))
def test_permuting_tickers_permutes_values(which, price, months, random) -> None:
    order = list(range(price.shape[1]))
    random.shuffle(order)
    permuted = computed(which, price[:, order], months)
    np.testing.assert_array_equal(permuted, computed(which, price, months)[:, order])


@law(name, prices(), delay, st.floats(1e-3, 1e3))
def test_the_scale_of_a_tickers_price_does_not_matter(which, price, months, scale) -> None:
    scaled = price * np.where(np.arange(price.shape[1]) == 0, scale, 1.0)
    # Ratios of prices carry a few units of 1e-16; breakout and trend_scaled divide them by a range
    # or a volatility that may by chance be a millionth of the price.
    np.testing.assert_allclose(
        computed(which, scaled, months), computed(which, price, months), rtol=1e-9, atol=1e-9
    )


@law(name, prices(), delay, st.data())
def test_later_prices_never_change_earlier_values(which, price, months, data) -> None:
    cut = data.draw(st.integers(1, len(price)))
    whole = computed(which, price, months)
    np.testing.assert_array_equal(computed(which, price[:cut], months), whole[:cut])
    wild = price.copy()
    wild[cut:] = data.draw(st.sampled_from([np.nan, 1e9, 1e-9]))
    np.testing.assert_array_equal(computed(which, wild, months)[:cut], whole[:cut])


@law(name, prices(), delay)
def test_another_tickers_prices_never_change_a_factor(which, price, months) -> None:
    alone = computed(which, price[:, :1], months)
    np.testing.assert_array_equal(computed(which, price, months)[:, :1], alone)


@law(name, prices(), delay)
def test_delay_is_the_undelayed_value_of_months_before(which, price, months) -> None:
    now, later = computed(which, price, 0), computed(which, price, months)
    np.testing.assert_array_equal(later[months:], now[: len(now) - months])
    assert np.isnan(later[:months]).all()


@law(name, prices(), delay)
def test_a_value_is_known_only_where_its_newest_and_oldest_price_are(which, price, months) -> None:
    spec, full = factors.REGISTRY[which], short_params(which)
    known = ~np.isnan(computed(which, price, months))
    for t, i in np.argwhere(known):
        assert not np.isnan(price[t - months - spec.first(full), i])
        assert not np.isnan(price[t - months - spec.last(full), i])


@law(name, prices(holes=False), delay)
def test_a_full_history_is_known_from_the_first_full_window_on(which, price, months) -> None:
    known = ~np.isnan(computed(which, price, months))
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
}


@law(st.sampled_from(sorted(BOUNDS)), prices())
def test_a_factor_with_bounds_stays_within_them(which, price) -> None:
    values, (low, high) = computed(which, price, 0), BOUNDS[which]
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
