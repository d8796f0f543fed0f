"""The test of a difference of two Sharpe ratios: what it must be whatever its inner workings, and
how often it rejects. Its arithmetic is held against long hand in `oracles/test_sharpe.py`.

Invariants: swapping the series turns the sign and nothing else; units and leverage of either series
do not matter; the pair of a matrix is the pair alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import sharpe_difference
from factorlab_assets.evaluation.sharpe_difference import difference, differences, standard_errors

Whole = tuple[Floats, Floats]


def pair(months: int = 120, seed: int = 0, apart: float = 0.0) -> Whole:
    """Two series, independent over time, with a correlation of 0.5."""
    common, a, b = np.random.default_rng(seed).normal(size=(3, months))
    return 0.04 * (0.25 + apart + (common + a) / 2**0.5), 0.02 * (0.25 + (common + b) / 2**0.5)


def memmel(months: int, first: float, second: float, correlation: float) -> float:
    """The standard error for independent normal months (Jobson and Korkie as Memmel corrected)."""
    both = 0.5 * (first**2 + second**2) - first * second * correlation**2
    return float(np.sqrt((2.0 - 2.0 * correlation + both) / months))


def test_is_the_difference_of_the_annual_ratios() -> None:
    a, b = pair()
    zero = np.zeros(120)
    first, second = (metrics(x, zero, zero, zero, zero)["sharpe"] for x in (a, b))
    assert difference(a, b).difference == pytest.approx(first - second, rel=1e-12)


def test_independent_normal_months_have_the_closed_form_error() -> None:
    a, b = pair(months=20_000, seed=1, apart=0.2)
    expected = memmel(20_000, 0.45, 0.25, 0.5) * 12**0.5
    # Tolerance rel=0.03: fourth moments of 20,000 months are known to about 2 %.
    assert difference(a, b).se == pytest.approx(expected, rel=0.03)
    plain = standard_errors(np.stack([a / a.std(), b / b.std()], axis=-1)[None], prewhiten=False)
    assert plain[0] * 12**0.5 == pytest.approx(expected, rel=0.03)


def test_dependence_over_time_widens_the_error() -> None:
    a, b = (np.convolve(x, np.ones(3) / 3, mode="valid") for x in pair(months=602, seed=2))
    independent = memmel(600, 0.45, 0.45, 0.5) * 12**0.5
    # Three months' sums have a long-run variance of three times their own.
    assert difference(a, b).se == pytest.approx(3**0.5 * independent, rel=0.2)


@given(st.integers(0, 300), st.floats(1e-3, 100.0), st.floats(1e-3, 100.0))
def test_neither_the_order_nor_the_unit_matters(seed: int, first: float, second: float) -> None:
    a, b = pair(months=48, seed=seed)
    one = difference(a, b, draws=49, seed=seed)
    other = difference(second * b, first * a, draws=49, seed=seed)
    assert other.difference == pytest.approx(-one.difference, rel=1e-9, abs=1e-12)
    assert (other.se, other.p_value) == pytest.approx((one.se, one.p_value), rel=1e-8)
    assert other.p_bootstrap == one.p_bootstrap
    assert 0.0 <= one.p_value <= 1.0
    assert 1 / 50 <= one.p_bootstrap <= 1.0


def test_a_bootstrap_is_its_seed() -> None:
    a, b = pair(seed=3, apart=0.2)
    one = difference(a, b, draws=499, seed=1)
    assert one == difference(a, b, draws=499, seed=1)
    assert one.p_bootstrap != difference(a, b, draws=499, seed=3).p_bootstrap
    assert np.isnan(difference(a, b).p_bootstrap)
    assert "499 draws in blocks of 5 months, seed 1" in one.note
    assert one.p_bootstrap == pytest.approx(one.p_value, abs=0.05)


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_a_multiple_of_itself_tests_nothing(factor: float) -> None:
    a, _ = pair()
    got = difference(a, factor * a, draws=99)
    assert got.difference == pytest.approx(0.0, abs=1e-12)
    assert np.isnan([got.se, got.p_value, got.p_bootstrap]).all()
    assert (
        got.note
        == "nothing to test: the error is 0, as where one series is a multiple of the other"
    )


def test_too_few_months_and_constant_series_say_so() -> None:
    a, b = pair(24)
    for series in (a[:23], np.append(a[:23], np.nan)):
        got = difference(series, b[: len(series)])
        assert np.isnan([got.difference, got.se, got.p_value]).all()
        assert got.note == "23 months in common, at least 24 are needed"
    assert np.isfinite(difference(a, b, draws=99).p_bootstrap)
    flat = difference(a, np.full(24, 0.01))
    assert np.isnan([flat.difference, flat.se, flat.p_value]).all()
    assert flat.note == "the returns of one series are constant"


def test_missing_months_of_either_are_left_out_of_both() -> None:
    a, b = pair(60)
    holed, other = a.copy(), b.copy()
    holed[[0, 30]] = other[[30, 59]] = np.nan
    kept = np.delete(np.arange(60), [0, 30, 59])
    one = difference(holed, other, draws=99)
    assert one == difference(a[kept], b[kept], draws=99)
    assert one.note.startswith("57 months")


def test_a_block_longer_than_half_the_months_is_refused() -> None:
    a, b = pair(24)
    assert np.isfinite(difference(a, b, draws=99, block=12).p_bootstrap)
    for block in (0, 13):
        with pytest.raises(FactorLabError, match="block length out of range"):
            difference(a, b, block=block)


def test_equal_ratios_are_rejected_as_often_as_the_level_says() -> None:
    both = np.stack([np.stack(pair(seed=seed), axis=-1) for seed in range(1000)])
    both /= both.std(axis=1, ddof=1, keepdims=True)
    ratios = both.mean(axis=1)
    t = np.abs(ratios[:, 0] - ratios[:, 1]) / standard_errors(both)
    # 5 % is meant, over 120 months some more; 1000 pairs tell ± 1.4 %.
    assert (t > 1.959964).mean() == pytest.approx(0.06, abs=0.02)
    p = np.array([difference(*pair(seed=seed), draws=199).p_bootstrap for seed in range(300)])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_a_true_difference_is_found() -> None:
    a, b = pair(240, seed=6, apart=0.35)
    got = difference(a, b, draws=999)
    assert got.difference > 0.5
    assert max(got.p_value, got.p_bootstrap) < 0.005


class TestAllPairs:
    @pytest.fixture
    def rows(self) -> Floats:
        return np.concatenate([np.stack(pair(90, seed=s, apart=0.1)) for s in range(3)])

    def test_are_the_pairs_alone(self, rows: Floats) -> None:
        got = differences(rows)
        assert got.n_months == 90
        for i in range(6):
            for j in range(6):
                if i == j:
                    continue
                one = difference(rows[i], rows[j])
                assert got.difference[i, j] == pytest.approx(one.difference, rel=1e-9, abs=1e-12)
                assert got.se[i, j] == pytest.approx(one.se, rel=1e-9)
                assert got.p_value[i, j] == pytest.approx(one.p_value, rel=1e-9)
        assert (np.diag(got.difference) == 0.0).all()
        assert np.isnan([np.diag(got.se), np.diag(got.p_value)]).all()

    def test_do_not_depend_on_how_many_are_held_at_once(
        self, rows: Floats, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = differences(rows)
        monkeypatch.setattr(sharpe_difference, "AT_ONCE", 4)
        assert differences(rows).se == pytest.approx(whole.se, rel=1e-12, nan_ok=True)

    def test_use_the_months_that_all_have(self, rows: Floats) -> None:
        holed = rows.copy()
        holed[0, :10] = holed[3, 80:] = np.nan
        got, cut = differences(holed), differences(rows[:, 10:80])
        assert got.n_months == 70
        assert got.p_value == pytest.approx(cut.p_value, rel=1e-12, nan_ok=True)
        holed[1, 20:70] = np.nan
        nothing = differences(holed)
        assert nothing.n_months == 20
        assert np.isnan([nothing.difference, nothing.se, nothing.p_value]).all()

    def test_leave_out_the_constant_and_the_equal(self, rows: Floats) -> None:
        got = differences(np.concatenate([rows[:2], np.zeros((1, 90)), 3.0 * rows[:1]]))
        assert np.isnan(got.difference[2]).all()
        assert np.isnan(got.p_value[2]).all()
        assert got.difference[0, 3] == pytest.approx(0.0, abs=1e-12)
        assert np.isnan(got.p_value[0, 3])
        assert got.p_value[1, 3] == pytest.approx(got.p_value[1, 0], rel=1e-8)

    def test_of_one_series_is_a_single_empty_cell(self, rows: Floats) -> None:
        got = differences(rows[:1])
        assert got.difference.tolist() == [[0.0]]
        assert np.isnan(got.p_value).all()
