"""Sharpe ratio statistics against arch 8.0.0, statsmodels, skfolio 1.12.2, ffn, published worked
examples and long hand.

Tolerances: rel=1e-10 where the same formula is computed in another order; 5e-5 where a paper prints
four digits. Where a library means something else, its difference is undone in the test and named.

The standard error of a difference was also checked once against the program that accompanies Ledoit
and Wolf (2008), on its hedge fund returns, which are a vendor's and not in the repository: HAC
0.3176271 and prewhitened 0.3872694, `standard_errors` 0.31762715 and 0.38726937.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation import resample, sharpe
from factorlab_assets.evaluation.sharpe import Moments
from factorlab_assets.evaluation.sharpe_difference import standard_errors


def autoregressive(months: int, phi: float, seed: int) -> Floats:
    series = np.random.default_rng(seed).standard_t(5, size=months + 50)
    for t in range(1, len(series)):
        series[t] += phi * series[t - 1]
    return 0.01 + 0.03 * series[50:]


def daily(sharpe_ann: float, skewness: float, kurtosis: float) -> Moments:
    """Bailey and López de Prado's 1250 days, five years of 250."""
    values = (1250.0, sharpe_ann / 250**0.5, skewness, kurtosis)
    return Moments(*(np.array(value) for value in values))


class TestArch:
    @pytest.mark.parametrize("phi", [-0.5, 0.0, 0.1, 0.3, 0.6, 0.9])
    def test_block_lengths(self, phi: float) -> None:
        from arch.bootstrap import optimal_block_length

        for months in (12, 24, 60, 230, 600):
            for seed in range(5):
                series = autoregressive(months, phi, seed)
                theirs = float(optimal_block_length(series)["stationary"].iloc[0])
                # arch also answers below one month, where every block is one month.
                ours = resample.block_length(series)
                assert ours == pytest.approx(max(theirs, 1.0), rel=1e-10)

    def test_resamples_are_those_of_the_same_random_numbers(self) -> None:
        from arch.bootstrap.base import stationary_bootstrap_sample

        months, draws, block = 57, 40, 4.5
        ours = resample.stationary(months, draws, block, np.random.default_rng(9))
        rng = np.random.default_rng(9)
        starts, uniform = rng.integers(months, size=(draws, months)), rng.random((draws, months))
        for row in range(draws):
            theirs = stationary_bootstrap_sample(starts[row].copy(), uniform[row], 1.0 / block)
            assert (ours[row] == theirs).all()

    def test_percentile_interval(self) -> None:
        from arch.bootstrap import StationaryBootstrap

        series = autoregressive(180, 0.3, 1)
        block = resample.block_length(series)
        theirs = StationaryBootstrap(block, series, seed=np.random.default_rng(4)).conf_int(
            lambda x: x.mean() / x.std(ddof=1) * 12**0.5, reps=4000, method="percentile", size=0.9
        )
        ours = sharpe.bootstrap(series, 0.9, 4000, 0)
        # Two quantiles of 4000 other draws each; their error is about 0.01.
        assert (ours.low, ours.high) == pytest.approx(tuple(theirs.ravel()), abs=0.04)


class TestLo:
    @pytest.mark.parametrize("lags", [0, 1, 4, 12])
    def test_long_run_covariance_of_the_moments(self, lags: int) -> None:
        from statsmodels.stats.sandwich_covariance import S_hac_simple

        series = autoregressive(150, 0.4, 3)
        mean, variance = series.mean(), series.var()
        conditions = np.stack([series - mean, (series - mean) ** 2 - variance], axis=1)
        covariance = S_hac_simple(conditions, nlags=lags) / 150
        gradient = np.array([1.0 / variance**0.5, -0.5 * mean / variance**1.5])
        expected = np.sqrt(12.0 * gradient @ covariance @ gradient / 150)
        assert sharpe.lo(series, 0.95, lags=lags).se == pytest.approx(expected, rel=1e-10)


class TestPublished:
    def test_deflated_sharpe_ratio(self) -> None:
        """Bailey and López de Prado (2014), the numerical example: the best of 100 trials with an
        annual ratio of 2.5, V = 1/2, skewness −3, kurtosis 10 has 0.1132 to beat and 0.9004; of 46
        trials it would have had 0.9505, and with normal returns of 88."""
        assert sharpe.expected_maximum(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
        fat, normal = daily(2.5, -3.0, 10.0), daily(2.5, 0.0, 3.0)
        assert float(sharpe.deflated(fat, 100, 0.5 / 250)) == pytest.approx(0.9004, abs=5e-5)
        assert float(sharpe.deflated(fat, 46, 0.5 / 250)) == pytest.approx(0.9505, abs=5e-5)
        assert float(sharpe.deflated(normal, 88, 0.5 / 250)) == pytest.approx(0.9505, abs=5e-5)

    @pytest.mark.parametrize(
        ("per_year", "skewness", "kurtosis", "years"),
        [
            (250, 0.0, 3.0, 2.73),
            (52, 0.0, 3.0, 2.83),
            (12, 0.0, 3.0, 3.24),
            (12, -0.72, 5.78, 4.99),
        ],
    )
    def test_minimum_track_record(
        self, per_year: int, skewness: float, kurtosis: float, years: float
    ) -> None:
        """Bailey and López de Prado (2012): to show at 95 % that an annual 2 is above 1."""
        ratio = 2.0 / per_year**0.5
        m = Moments(*(np.array(value) for value in (0.0, ratio, skewness, kurtosis)))
        got = sharpe.min_track_record(m, 0.5 * ratio, 0.95) / per_year
        assert float(got) == pytest.approx(years, abs=0.01)

    @pytest.mark.parametrize(("n", "off"), [(5, 0.025), (20, 0.018), (100, 0.010), (1000, 0.0025)])
    def test_expected_maximum_of_normal_trials(self, n: int, off: float) -> None:
        rng = np.random.default_rng(0)
        best = [rng.normal(size=(1000, n)).max(axis=1).mean() for _ in range(20)]
        true = float(np.mean(best))
        # 20,000 maxima of spread at most 0.67 tell 0.005; how far the limit is off is documented.
        assert sharpe.expected_maximum(n, 1.0) == pytest.approx(true * (1.0 + off), abs=0.015)


class TestLibraries:
    @pytest.fixture
    def rows(self) -> Floats:
        return np.stack([autoregressive(120, 0.2, seed) for seed in range(8)])

    def test_skfolio(self, rows: Floats) -> None:
        from skfolio import measures

        m = sharpe.moments(rows)
        theirs = measures.probabilistic_sharpe_ratio(rows.T, 0.1)
        assert sharpe.probabilistic(m, 0.1) == pytest.approx(theirs, rel=1e-10)
        deflated = measures.deflated_sharpe_ratio(rows.T, m.sharpe)
        ours = sharpe.deflated(m, 8, float(m.sharpe.var(ddof=1)))
        assert ours == pytest.approx(deflated, rel=1e-10)

    # ffn uses what pandas is going to change.
    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
    def test_ffn(self, rows: Floats) -> None:
        import ffn

        dates = pd.date_range("2010-01-31", periods=120, freq="ME")
        m = sharpe.moments(rows)
        returns = pd.Series(rows[0], index=dates)
        theirs = ffn.core.calc_deflated_sharpe_ratio(
            returns, m.sharpe, nperiods=12, annualized_trials=False
        )
        # ffn's skewness and kurtosis are the bias-corrected ones of pandas.
        corrected = Moments(
            m.n[0],
            m.sharpe[0],
            np.asarray(pd.Series(rows[0]).skew()),
            np.asarray(pd.Series(rows[0]).kurt() + 3.0),
        )
        ours = sharpe.deflated(corrected, 8, float(m.sharpe.var(ddof=1)))
        assert float(ours) == pytest.approx(theirs, rel=1e-10)
        hurdle = ffn.core.calc_expected_max_sharpe(37, 0.2)
        assert sharpe.expected_maximum(37, 0.04) == pytest.approx(hurdle, rel=1e-12)

    @pytest.mark.parametrize(
        ("ours", "theirs"), [("bonferroni", "bonferroni"), ("holm", "holm"), ("bhy", "fdr_by")]
    )
    def test_statsmodels_adjusts_p_values_alike(
        self, ours: sharpe.Method, theirs: str, rows: Floats
    ) -> None:
        from statsmodels.stats.multitest import multipletests

        known = sharpe.p_values(sharpe.moments(rows))
        unknown = np.concatenate([known, np.ones(12)])
        for p, n in ((known, 8), (np.random.default_rng(0).random(50) ** 4, 50)):
            expected = multipletests(p, method=theirs)[1]
            assert sharpe.adjusted(p, n, ours) == pytest.approx(expected, rel=1e-12)
        expected = multipletests(unknown, method=theirs)[1][:8]
        assert sharpe.adjusted(known, 20, ours) == pytest.approx(expected, rel=1e-12)

    def test_the_haircut_ratio_has_the_adjusted_p_value(self, rows: Floats) -> None:
        from scipy import stats
        from statsmodels.stats.multitest import multipletests

        annual = sharpe.haircut(sharpe.moments(rows), 8).holm
        p = 2.0 * stats.t.sf(annual / 12**0.5 * 120**0.5, 119)
        alone = stats.ttest_1samp(rows, 0.0, axis=1)
        assert (alone.statistic > 0.0).all()
        assert p == pytest.approx(multipletests(alone.pvalue, method="holm")[1], rel=1e-9)


class TestLedoitWolf:
    """Their standard error in matrices and loops, one pair at a time, the regressions by
    statsmodels."""

    def long_hand(self, both: Floats, prewhiten: bool) -> float:
        mean, second = both.mean(axis=0), (both**2).mean(axis=0)
        cubed = (second - mean**2) ** 1.5
        gradient = np.array(
            [
                second[0] / cubed[0],
                -second[1] / cubed[1],
                -0.5 * mean[0] / cubed[0],
                0.5 * mean[1] / cubed[1],
            ]
        )
        around = np.hstack([both - mean, both**2 - second])
        recolour = np.eye(4)
        if prewhiten:
            from statsmodels.api import OLS

            fits = [OLS(around[1:, k], around[:-1]).fit().params for k in range(4)]
            left, size, right = np.linalg.svd(np.array(fits))
            slopes = left @ np.diag(np.minimum(size, 0.97)) @ right
            around = around[1:] - around[:-1] @ slopes.T
            recolour = np.linalg.inv(np.eye(4) - slopes)
        psi = recolour @ self.parzen(around) @ recolour.T
        return float(np.sqrt(gradient @ psi @ gradient / len(both)))

    def parzen(self, around: Floats) -> Floats:
        from statsmodels.tsa.ar_model import AutoReg

        months = len(around)
        above = below = 0.0
        for column in around.T:
            fit = AutoReg(column, lags=1, trend="c").fit()
            rho, power = fit.params[1], fit.sigma2**2
            above += 4.0 * rho**2 * power / (1.0 - rho) ** 8
            below += power / (1.0 - rho) ** 4
        bandwidth = min(2.6614 * (above / below * months) ** 0.2, months - 1)
        psi = around.T @ around / months
        for lag in range(1, months):
            x = lag / bandwidth
            if x >= 1.0:
                break
            weight = 1.0 - 6.0 * x**2 + 6.0 * x**3 if x <= 0.5 else 2.0 * (1.0 - x) ** 3
            gamma = around[lag:].T @ around[:-lag] / months
            psi += weight * (gamma + gamma.T)
        return psi * months / (months - 4)

    @pytest.mark.parametrize("prewhiten", [True, False])
    def test_standard_error(self, prewhiten: bool) -> None:
        pairs = np.stack(
            [
                np.stack([autoregressive(110, phi, seed), autoregressive(110, 0.2, 50 + seed)], 1)
                for seed, phi in enumerate([-0.3, 0.0, 0.3, 0.6, 0.95])
            ]
        )
        # In decimals the largest singular value passes 0.97 in every pair, as scaled in none.
        for scaled in (pairs, pairs / pairs.std(axis=1, keepdims=True)):
            expected = [self.long_hand(both, prewhiten) for both in scaled]
            assert standard_errors(scaled, prewhiten) == pytest.approx(expected, rel=1e-8)
