"""Intervals, probabilities and haircuts of Sharpe ratios, on numbers that can be checked by hand.

Invariants, by hypothesis: nothing depends on the unit of the returns; the probabilistic ratio rises
with the ratio and with the months; the deflated one falls with the number of trials and with their
variance; after `min_track_record` months the probabilistic ratio is the level; a haircut takes
nothing from order and never adds.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.sharpe import Moments

ANNUAL = 12**0.5


def some(months: int, seed: int = 0, mean: float = 0.01) -> Floats:
    return np.random.default_rng(seed).normal(mean, 0.04, months)


def of(n: object, ratio: object, skewness: object = 0.0, kurtosis: object = 3.0) -> Moments:
    return Moments(*(np.asarray(v, dtype=np.float64) for v in (n, ratio, skewness, kurtosis)))


class TestMoments:
    def test_by_hand(self) -> None:
        # Around the mean 0.1: 0, −0.2, 0.2. sd² (ddof 1) 0.04; m2 0.08/3; m4 0.0032/3.
        m = sharpe.moments(np.array([0.1, -0.1, 0.3]))
        assert (m.n, m.sharpe) == (3.0, pytest.approx(0.5, rel=1e-14))
        assert m.skewness == pytest.approx(0.0, abs=1e-14)
        assert m.kurtosis == pytest.approx(1.5, rel=1e-14)
        lopsided = sharpe.moments(np.array([0.0, 0.0, 0.0, 0.4]))
        # Around 0.1: three −0.1, one 0.3. m2 0.03, m3 0.006, m4 0.0021.
        assert lopsided.skewness == pytest.approx(0.006 / 0.03**1.5, rel=1e-14)
        assert lopsided.kurtosis == pytest.approx(0.0021 / 0.03**2, rel=1e-14)

    def test_missing_months_are_no_months(self) -> None:
        rows = np.stack([some(40), some(40, seed=1)])
        holed = rows.copy()
        holed[0, [0, 7, 39]] = holed[1, 20:] = np.nan
        m = sharpe.moments(holed)
        for row in range(2):
            alone = sharpe.moments(holed[row][~np.isnan(holed[row])])
            for name in ("n", "sharpe", "skewness", "kurtosis"):
                got = getattr(m, name)[row]
                assert got == pytest.approx(float(getattr(alone, name)), rel=1e-12)

    @pytest.mark.parametrize(
        "series",
        [[], [np.nan, np.nan], [0.1], [0.1, np.nan], [0.01] * 5, [0.01, 0.01 + 1e-16, 0.01]],
        ids=["none", "all missing", "one", "one and a gap", "constant", "rounding"],
    )
    def test_no_ratio_without_a_spread(self, series: list[float]) -> None:
        m = sharpe.moments(np.array(series))
        assert np.isnan([m.sharpe, m.skewness, m.kurtosis]).all()

    def test_is_the_sharpe_ratio_of_the_metrics_table(self) -> None:
        series, zero = some(60), np.zeros(60)
        table = metrics(series, zero, zero, zero, zero)["sharpe"]
        assert float(sharpe.moments(series).sharpe) * ANNUAL == pytest.approx(table, rel=1e-13)


class TestLo:
    def test_without_lags_it_is_the_error_of_independent_months(self) -> None:
        series = some(60)
        m = sharpe.moments(series)
        plain = float(m.sharpe) * (60 / 59) ** 0.5
        error = 1.0 - m.skewness * plain + 0.25 * (m.kurtosis - 1.0) * plain**2
        got = sharpe.lo(series, 0.95, lags=0)
        assert got.value == pytest.approx(float(m.sharpe) * ANNUAL, rel=1e-13)
        assert got.se == pytest.approx(float(np.sqrt(12.0 * error / 60)), rel=1e-12)
        reach = float(ndtri(0.975)) * got.se
        assert (got.value - got.low, got.high - got.value) == pytest.approx((reach, reach))

    @pytest.mark.parametrize(("months", "lags"), [(12, 2), (60, 3), (100, 4), (230, 4), (400, 5)])
    def test_how_many_lags(self, months: int, lags: int) -> None:
        series = some(months)
        got = sharpe.lo(series, 0.95)
        assert f"with {lags} lags" in got.note
        assert got == sharpe.lo(series, 0.95, lags=lags)

    def test_the_note_has_the_independent_error_and_the_aggregated_ratio(self) -> None:
        series = np.convolve(some(130), np.ones(3) / 3, mode="valid")
        apart = series - series.mean()
        rho = [float(apart[k:] @ apart[: 128 - k] / (apart @ apart)) for k in range(12)]
        eta = 12 / np.sqrt(12 + 2 * sum((12 - k) * rho[k] for k in range(1, 12)))
        ratio = series.mean() / series.std(ddof=1)
        independent = np.sqrt(12 * (1 + 0.5 * (series.mean() / series.std()) ** 2) / 128)
        note = sharpe.lo(series, 0.95).note
        assert f"standard error of {independent:.2f}" in note
        assert note.endswith(f"the annual ratio itself is {eta * ratio:.2f}")
        assert eta < 0.8 * ANNUAL

    def test_covers_where_independence_does_not(self) -> None:
        rng = np.random.default_rng(5)
        shocks = rng.normal(size=(400, 290))
        for t in range(1, 290):
            shocks[:, t] += 0.4 * shocks[:, t - 1]
        series = 0.15 / (1 - 0.16) ** 0.5 + shocks[:, 50:]
        inside = {0: 0, 4: 0}
        for row in series:
            for lags in inside:
                got = sharpe.lo(row, 0.95, lags=lags)
                inside[lags] += got.low <= 0.15 * ANNUAL <= got.high
        # 0.95 is meant; 400 draws tell ± 0.02, and five weights miss some of the persistence.
        assert inside[4] / 400 == pytest.approx(0.92, abs=0.04)
        assert inside[0] / 400 < 0.86

    def test_no_interval_where_the_error_is_zero(self) -> None:
        # The skewness 2/SR of two values makes mean and spread errors cancel month by month.
        got = sharpe.lo(np.array([0.01, 0.01, 0.01, 0.03] * 6), 0.95)
        assert got.value == pytest.approx(3.0**0.5 * (23 / 24) ** 0.5 * ANNUAL, rel=1e-12)
        assert np.isnan([got.low, got.high, got.se]).all()
        assert "no interval" in got.note

    def test_lags_out_of_range(self) -> None:
        for lags in (-1, 24):
            with pytest.raises(FactorLabError, match="lags out of range"):
                sharpe.lo(some(24), 0.95, lags=lags)


class TestBootstrap:
    def test_a_seed_is_a_result(self) -> None:
        series = some(120)
        first = sharpe.bootstrap(series, 0.95, 500, 7)
        assert first == sharpe.bootstrap(series, 0.95, 500, 7)
        other = sharpe.bootstrap(series, 0.95, 500, 8)
        assert (first.value, first.low) != (other.value, other.low)
        assert first.value == other.value
        assert first.low < first.value < first.high
        assert first.note == "120 months; 500 draws in blocks of 1.1 months, seed 7"

    def test_many_draws_are_made_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        series = some(120)
        whole = sharpe.bootstrap(series, 0.95, 3000, 7)
        monkeypatch.setattr(sharpe, "AT_ONCE", 700)
        parts = sharpe.bootstrap(series, 0.95, 3000, 7)
        assert parts.note == whole.note
        assert parts.se == pytest.approx(whole.se, rel=0.05)
        assert parts.low != whole.low

    def test_agrees_with_the_asymptotic_interval_on_independent_months(self) -> None:
        series = some(600, seed=2)
        drawn, wide = sharpe.bootstrap(series, 0.9, 4000, 0), sharpe.lo(series, 0.9, lags=0)
        # Tolerance rel=0.06: the error of a standard deviation over 4000 draws, and 600 months.
        assert drawn.se == pytest.approx(wide.se, rel=0.06)
        assert (drawn.low, drawn.high) == pytest.approx((wide.low, wide.high), abs=0.05)

    def test_dependence_widens_it(self) -> None:
        slow = np.convolve(some(242, seed=4), np.ones(3) / 3, mode="valid")
        shuffled = np.random.default_rng(0).permutation(slow)
        kept, lost = (sharpe.bootstrap(x, 0.95, 1000, 0) for x in (slow, shuffled))
        assert kept.se > 1.3 * lost.se

    def test_constant_resamples_are_left_out_and_counted(self) -> None:
        series = np.zeros(24)
        series[5] = 0.1
        got = sharpe.bootstrap(series, 0.95, 1000, 0)
        assert np.isfinite([got.low, got.high, got.se]).all()
        left_out = int(got.note.split("; ")[2].split(" ")[0])
        # A resample of 24 independent months misses the one in (23/24)^24 = 0.36 of draws.
        assert left_out / 1000 == pytest.approx(0.36, abs=0.05)


@pytest.mark.parametrize("how", ["lo", "bootstrap"])
class TestNothingToSay:
    def interval(self, how: str, series: Floats) -> sharpe.Interval:
        if how == "lo":
            return sharpe.lo(series, 0.95)
        return sharpe.bootstrap(series, 0.95, 200, 0)

    def test_of_a_constant_series(self, how: str) -> None:
        got = self.interval(how, np.full(60, 0.01))
        assert np.isnan([got.value, got.low, got.high, got.se]).all()
        assert got.note == "the returns are constant"

    def test_of_eleven_months(self, how: str) -> None:
        series = np.append(some(11), [np.nan] * 5)
        got = self.interval(how, series)
        assert np.isnan([got.value, got.low, got.high, got.se]).all()
        assert got.note == "11 months, at least 12 are needed"

    def test_but_twelve_are_enough(self, how: str) -> None:
        got = self.interval(how, some(12))
        assert got.low < got.value < got.high

    def test_missing_months_are_left_out(self, how: str) -> None:
        series = some(30)
        holed = np.insert(series, [0, 10, 30], np.nan)
        assert self.interval(how, holed) == self.interval(how, series)


class TestProbabilities:
    def test_by_hand(self) -> None:
        # 0.5·√12/√(1 + 0.5·0.25) = 1.63299; with skewness −1 and kurtosis 5: 1 + 0.5 + 0.25.
        m = of([13, 13], 0.5, [0.0, -1.0], [3.0, 5.0])
        expected = [0.948764, ndtr(0.5 * 12**0.5 / 1.75**0.5)]
        assert sharpe.probabilistic(m) == pytest.approx(expected, abs=1e-6)
        assert sharpe.probabilistic(m, against=0.5) == pytest.approx([0.5, 0.5], abs=1e-15)

    def test_two_months_say_nothing(self) -> None:
        got = sharpe.probabilistic(of([2, 3, 50, 50], [1.0, 1.0, np.nan, 0.1]))
        assert np.isnan(got).tolist() == [True, False, True, False]

    def test_one_trial_deflates_nothing(self) -> None:
        m = sharpe.moments(np.stack([some(60), some(60, seed=1)]))
        for variance in (0.04, np.nan):
            assert (sharpe.deflated(m, 1, variance) == sharpe.probabilistic(m)).all()

    def test_expected_maximum_at_its_edges(self) -> None:
        assert sharpe.expected_maximum(1, np.nan) == 0.0
        assert sharpe.expected_maximum(1.2, 1.0) == 0.0
        assert sharpe.expected_maximum(50, 0.0) == 0.0
        assert np.isnan(sharpe.expected_maximum(2, np.nan))
        assert sharpe.expected_maximum(50, 0.09) == pytest.approx(
            0.3 * sharpe.expected_maximum(50, 1.0), rel=1e-14
        )
        for n, variance in ((0.5, 1.0), (np.nan, 1.0), (10, -0.1)):
            with pytest.raises(FactorLabError, match="no such trials"):
                sharpe.expected_maximum(n, variance)

    def test_no_length_proves_a_ratio_that_is_not_above(self) -> None:
        got = sharpe.min_track_record(of(60, [0.1, 0.2, 0.3, np.nan]), 0.2, 0.95)
        assert np.isnan(got).tolist() == [True, True, False, True]
        # 1 + (1 + 0.5·0.09)·(1.644854/0.1)²
        assert got[2] == pytest.approx(283.7301, abs=1e-3)

    @given(
        st.floats(-1, 1),
        st.floats(0.01, 0.5),
        st.integers(3, 600),
        st.floats(-2, 2),
        st.floats(6, 20),
    )
    def test_rises_with_the_ratio_and_with_the_months(
        self, ratio: float, step: float, n: int, skewness: float, kurtosis: float
    ) -> None:
        low, high = sharpe.probabilistic(of(n, [ratio, ratio + step]))
        assert low <= high
        short, long = sharpe.probabilistic(of([n, n + 12], abs(ratio), skewness, kurtosis))
        assert 0.5 <= short <= long <= 1.0

    @given(st.floats(0, 0.6), st.floats(1, 5000), st.floats(0, 3000), st.floats(0, 0.1))
    def test_deflation_grows_with_trials_and_with_their_variance(
        self, ratio: float, n: float, more: float, variance: float
    ) -> None:
        m = of(120, ratio, -0.5, 4.0)
        base = float(sharpe.deflated(m, n, variance))
        assert float(sharpe.deflated(m, n + more, variance)) <= base + 1e-12
        assert float(sharpe.deflated(m, n, 2.0 * variance)) <= base + 1e-12
        assert base <= float(sharpe.probabilistic(m)) + 1e-12

    @given(
        st.floats(0.05, 1),
        st.floats(0, 0.04),
        st.floats(-2, 2),
        st.floats(6, 20),
        st.floats(0.6, 0.999),
    )
    def test_the_track_record_reaches_its_level(
        self, ratio: float, against: float, skewness: float, kurtosis: float, level: float
    ) -> None:
        months = sharpe.min_track_record(of(0, ratio, skewness, kurtosis), against, level)
        if months >= 3.0:
            reached = sharpe.probabilistic(of(months, ratio, skewness, kurtosis), against)
            assert float(reached) == pytest.approx(level, abs=1e-9)

    @given(st.integers(0, 1000), st.sampled_from([1e-3, 0.5, 7.0, 100.0]))
    def test_nothing_depends_on_the_unit(self, seed: int, unit: float) -> None:
        series = some(36, seed)
        one, other = (sharpe.moments(x) for x in (series, unit * series))
        for name in ("sharpe", "skewness", "kurtosis"):
            same = pytest.approx(float(getattr(one, name)), rel=1e-9, abs=1e-12)
            assert float(getattr(other, name)) == same
        for interval in (
            lambda x: sharpe.lo(x, 0.95),
            lambda x: sharpe.bootstrap(x, 0.95, 100, seed),
        ):
            a, b = interval(series), interval(unit * series)
            assert (a.low, a.high) == pytest.approx((b.low, b.high), rel=1e-9, abs=1e-12)


class TestHaircuts:
    def test_p_values_by_hand(self) -> None:
        # Two months leave one degree of freedom, Cauchy: P(t > 1) = 1/4.
        got = sharpe.p_values(of(2, [2**-0.5, 0.0, -1.0, np.nan]))
        assert got[:3] == pytest.approx([0.5, 1.0, 1.0], rel=1e-12)
        assert np.isnan(got[3])

    def test_adjusted_by_hand(self) -> None:
        p = np.array([0.03, 0.01, np.nan, 0.02, 0.5])
        assert sharpe.adjusted(p, 4, "bonferroni")[[0, 1, 3, 4]] == pytest.approx(
            [0.12, 0.04, 0.08, 1.0], rel=1e-12
        )
        # 4·0.01, 3·0.02, 2·0.03, 1·0.5, none below the one before.
        assert sharpe.adjusted(p, 4, "holm")[[0, 1, 3, 4]] == pytest.approx(
            [0.06, 0.04, 0.06, 0.5], rel=1e-12
        )
        # c(4) = 25/12: 4·25/12·(0.01/1, 0.02/2, 0.03/3) are one and the same.
        assert sharpe.adjusted(p, 4, "bhy")[[0, 1, 3, 4]] == pytest.approx(
            [1 / 12, 1 / 12, 1 / 12, 1.0], rel=1e-12
        )
        assert np.isnan(sharpe.adjusted(p, 4, "holm")[2])

    def test_trials_without_a_p_value_still_count(self) -> None:
        p = np.array([0.01])
        got = [float(sharpe.adjusted(p, 5, method)[0]) for method in ("bonferroni", "holm", "bhy")]
        assert got == pytest.approx([0.05, 0.05, 0.05 * 137 / 60], rel=1e-12)
        with pytest.raises(FactorLabError, match="fewer tests than p-values"):
            sharpe.adjusted(np.array([0.1, 0.2]), 1, "holm")

    def test_one_trial_alone_keeps_its_ratio(self) -> None:
        cut = sharpe.haircut(of([120], [0.25]), 1)
        for annual in (cut.bonferroni, cut.holm, cut.bhy):
            assert annual == pytest.approx([0.25 * ANNUAL], rel=1e-9)

    def test_at_its_edges(self) -> None:
        cut = sharpe.haircut(of(120, [0.3, 0.0, -0.4, np.nan, 9.0, 0.05]), 40)
        for annual in (cut.bonferroni, cut.holm, cut.bhy):
            assert annual[[1, 2, 5]].tolist() == [0.0, 0.0, 0.0]
            assert np.isnan(annual[3])
            assert 0.0 < annual[0] < 0.3 * ANNUAL
            assert 0.0 < annual[4] <= 9.0 * ANNUAL

    def test_a_p_value_below_every_number_keeps_its_ratio(self) -> None:
        assert float(sharpe.p_values(of(5000, 9.0))) == 0.0
        assert sharpe.haircut(of([5000], [9.0]), 7).holm == pytest.approx([9.0 * ANNUAL], rel=1e-12)

    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 500))
    def test_never_adds_and_keeps_the_order(self, ratios: list[float], others: int) -> None:
        m = of(np.full(len(ratios), 180), np.array(ratios))
        cut = sharpe.haircut(m, len(ratios) + others)
        more = sharpe.haircut(m, len(ratios) + others + 10)
        by_ratio = np.argsort(ratios, kind="stable")
        for name in ("bonferroni", "holm", "bhy"):
            annual = getattr(cut, name)
            assert (annual >= 0.0).all()
            assert (annual <= np.maximum(m.sharpe, 0.0) * ANNUAL).all()
            assert (np.diff(annual[by_ratio]) >= -1e-9).all()
            assert (getattr(more, name) <= annual + 1e-9).all()
        assert (cut.bonferroni <= cut.holm + 1e-9).all()
