"""Which returns a covariance rests on, each model by hand, and betas."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import risk
from factorlab_assets.core.bars import Bars, Late
from factorlab_assets.core.memo import Memo
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.risk import Covariance, betas, covariance, semidefinite
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy_book import Beta, Risk
from factorlab_tests.small_panels import NAN, daily_market, panel_of

MODELS = ["sample", "exponential", "ledoit_wolf", "oas", "denoised", "gerber", "factor"]
ROUNDING = 1e-15


def prices(*returns: float, start: float = 100.0) -> list[float]:
    """A price before and after each return."""
    return [start, *(start * np.cumprod(1.0 + np.array(returns)))]


def of(panel: Panel, t: int = -1, wanted: str | None = None, **said: Any) -> Covariance:
    """The covariance at a row (the last) of who is wanted (everybody)."""
    names = panel.tickers if wanted is None else np.array(list(wanted))
    model = Risk.model_validate({"model": "sample"} | said)
    row = len(panel.dates) - 1 if t < 0 else t
    return covariance(model, panel, row, np.isin(panel.tickers, names))


def random_panel(months: int, names: int, seed: int = 1) -> Panel:
    rng = np.random.default_rng(seed)
    moves = 0.05 * rng.standard_normal((months, names)) + 0.03 * rng.standard_normal((months, 1))
    price = 50.0 * np.exp(np.cumsum(moves, axis=0))
    return panel_of({f"T{i:02d}": price[:, i] for i in range(names)})


def with_bars(months: int, names: str, seed: int, *, gaps: float = 0.0) -> Panel:
    """A panel with its daily bars, no price of which was repaired."""
    panel, (days, _, close, _) = daily_market(months, list(names), seed, gaps=gaps)
    month = np.searchsorted(panel.dates, days)
    nothing = np.zeros(0, dtype=np.intp)
    late = Late(nothing, nothing, np.zeros(0), np.zeros(0, dtype="datetime64[D]"))
    return replace(panel, bars=Bars(days, month, close, np.ones_like(close), late))


def walk(shape: tuple[int, ...]) -> Floats:
    return 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(2).standard_normal(shape), axis=0))


TWO = panel_of({"A": prices(0.1, -0.1, 0.0), "B": prices(0.2, 0.0, -0.2)})


def test_sample_covariance_by_hand():
    found = of(TWO, window=3)
    assert found.names.tolist() == [0, 1]
    np.testing.assert_allclose(found.matrix, [[0.01, 0.01], [0.01, 0.04]], rtol=0, atol=ROUNDING)
    assert (found.n_obs, found.note) == (3, "")


def test_only_the_wanted_names_and_the_window_count():
    longer = panel_of({"A": [1.0, *prices(0.1, -0.1, 0.0)], "B": [7.0, *prices(0.2, 0.0, -0.2)]})
    np.testing.assert_array_equal(of(longer, window=3).matrix, of(TWO, window=3).matrix)
    found = of(TWO, wanted="B", window=3)
    assert found.names.tolist() == [1]
    np.testing.assert_allclose(found.matrix, [[0.04]], rtol=0, atol=ROUNDING)
    assert of(TWO, wanted="B", window=2).matrix[0, 0] == pytest.approx(0.02, abs=ROUNDING)


def test_the_last_price_is_as_it_was_seen_and_those_before_as_repaired():
    seen = TWO.price.copy()
    seen[2, 0] *= 1.5
    late = replace(TWO, seen=seen)
    assert of(late, t=2, wanted="A", window=2).matrix[0, 0] == pytest.approx(
        (0.1 - (0.9 * 1.5 - 1.0)) ** 2 / 2.0, abs=ROUNDING
    )
    np.testing.assert_array_equal(of(late, t=3, window=3).matrix, of(TWO, window=3).matrix)


def test_names_without_history_or_variance_are_left_out_and_said():
    panel = panel_of(
        {
            "A": prices(0.1, -0.1, 0.0),
            "B": [NAN, *prices(0.1, -0.1)],
            "C": prices(0.01, 0.01, 0.01),
            "D": prices(0.2, 0.0, -0.2),
        }
    )
    found = of(panel, window=3)
    assert panel.tickers[found.names].tolist() == ["A", "D"]
    assert found.note == "no risk history: B; no variance: C"
    np.testing.assert_array_equal(found.matrix, of(TWO, window=3).matrix)
    shorter = of(panel, window=3, min_history=2)
    assert panel.tickers[shorter.names].tolist() == ["A", "B", "D"]
    assert shorter.note == "no variance: C; fewer returns than names: 2 of 3"


def test_nobody_with_a_history_gives_an_empty_covariance():
    for found in (of(TWO, window=4), of(TWO, t=0, window=2), of(TWO, t=1, window=2)):
        assert found.matrix.shape == (0, 0)
        assert found.names.size == 0
        assert found.note == "no risk history: A, B"
    assert of(TWO, wanted="", window=3).note == ""


def test_many_names_without_history_are_counted():
    assert of(random_panel(3, 12), window=6).note == (
        "no risk history: T00, T01, T02, T03, T04 and 7 more"
    )


def test_a_row_with_a_gap_is_dropped_where_enough_are_left():
    gap = prices(*[0.02, -0.01] * 10)
    gap[7] = NAN  # two returns of twenty
    other = prices(*[0.05, 0.01, -0.03, 0.0] * 5)
    panel = panel_of({"A": gap, "B": other})
    found = of(panel, window=20, min_history=18)
    assert (found.n_obs, found.note) == (18, "")
    kept = np.delete(
        np.column_stack([gap, other])[1:] / np.column_stack([gap, other])[:-1], [6, 7], 0
    )
    np.testing.assert_allclose(found.matrix, np.cov(kept.T), rtol=1e-12)


def test_elsewhere_gaps_are_filled_and_a_names_own_variance_stays():
    rng = np.random.default_rng(3)
    moves = 0.05 * rng.standard_normal((12, 2)) + 0.05 * rng.standard_normal((12, 1))
    early, late = prices(*moves[:, 0]), prices(*moves[:, 1])
    panel = panel_of({"A": [*early[:7], *[NAN] * 6], "B": [*[NAN] * 4, *late[4:]], "C": early})
    found = of(panel, window=12, min_history=6)
    assert (found.n_obs, found.note) == (12, "10 missing returns filled")
    own = [np.var(moves[:6, 0], ddof=1), np.var(moves[4:, 1], ddof=1), np.var(moves[:, 0], ddof=1)]
    np.testing.assert_allclose(np.diag(found.matrix), own, rtol=1e-12)
    # A is half of C: its correlation with it is √(its part of the sums of squares), not 1.
    a, c = moves[:6, 0] - moves[:6, 0].mean(), moves[:, 0] - moves[:, 0].mean()
    rho = found.matrix[0, 2] / np.sqrt(found.matrix[0, 0] * found.matrix[2, 2])
    assert rho == pytest.approx(a @ c[:6] / np.sqrt((a @ a) * (c @ c)), rel=1e-12)
    assert rho < 0.95


def test_exponential_weights_by_hand():
    panel = panel_of({"A": prices(0.1, -0.2, 0.3)})
    found = of(panel, model="exponential", window=3, half_life=1)
    assert found.matrix[0, 0] == pytest.approx((0.01 + 2 * 0.04 + 4 * 0.09) / 7.0, rel=1e-12)


def test_factor_model_keeps_variances_and_what_its_factors_explain():
    panel = random_panel(61, 8)
    sample = of(panel, window=60).matrix
    spread = np.sqrt(np.diag(sample))
    one = of(panel, model="factor", n_factors=1, window=60).matrix
    np.testing.assert_allclose(np.diag(one), np.diag(sample), rtol=1e-12)
    correlation = one / np.outer(spread, spread)
    # With one factor ρ_ij = l_i l_j, so that ρ_ij ρ_kl = ρ_ik ρ_jl.
    assert correlation[0, 1] * correlation[2, 3] == pytest.approx(
        correlation[0, 2] * correlation[1, 3], rel=1e-12
    )
    assert np.abs(one - sample).max() > 1e-5
    for n_factors in (8, 50):
        every = of(panel, model="factor", n_factors=n_factors, window=60).matrix
        np.testing.assert_allclose(every, sample, rtol=0, atol=1e-16)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("months", "names"), [(6, 20), (20, 20), (21, 20), (60, 3), (24, 2)])
def test_every_model_is_symmetric_and_positive_semidefinite(model, months, names):
    found = of(random_panel(months + 1, names), model=model, window=months)
    assert found.n_obs == months
    assert found.note == (
        f"fewer returns than names: {months} of {names}" if months < names else ""
    )
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    values = np.linalg.eigvalsh(found.matrix)
    assert values[0] >= -1e-14 * values[-1]
    assert not found.matrix.flags.writeable
    variances = np.diag(of(random_panel(months + 1, names), window=months).matrix)
    assert 0.2 < (np.diag(found.matrix) / variances).mean() < 2.0


@pytest.mark.parametrize("model", MODELS)
def test_one_name_has_its_variance(model):
    panel = random_panel(25, 1)
    change = panel.price[1:, 0] / panel.price[:-1, 0] - 1.0
    found = of(panel, model=model, window=24).matrix
    expected = np.var(change, ddof=1)
    if model == "exponential":
        weight = 0.5 ** (np.arange(23, -1, -1) / 12)
        expected = weight @ change**2 / weight.sum()
    np.testing.assert_allclose(found, [[expected]], rtol=1e-12)


def test_negative_eigenvalues_are_moved_to_zero_and_variances_stay():
    indefinite = np.array([[1.0, 0.9, -0.9], [0.9, 4.0, 1.8], [-0.9, 1.8, 1.0]])
    assert np.linalg.eigvalsh(indefinite)[0] < -0.5
    found = semidefinite(indefinite)
    np.testing.assert_allclose(np.diag(found), np.diag(indefinite), rtol=1e-14)
    assert np.linalg.eigvalsh(found)[0] > -1e-14
    np.testing.assert_array_equal(semidefinite(np.eye(3)), np.eye(3))


@pytest.mark.parametrize("model", MODELS)
def test_what_comes_after_a_date_changes_no_bit(model, monkeypatch):
    monkeypatch.setattr(risk, "_covariances", Memo[Covariance](0))  # nothing is remembered
    whole = with_bars(16, "ABCDE", 7, gaps=0.01)
    seen = whole.price.copy()
    seen[9, 1] *= 1.2
    whole = replace(whole, seen=seen)
    for returns in ("monthly", "daily"):
        said = {"model": model, "returns": returns, "window": 8, "min_history": 4}
        for t in (6, 9, 12):
            cut = whole.until(whole.dates[t])
            now, then = of(whole, t=t, **said), of(cut, **said)
            assert now.matrix.tobytes() == then.matrix.tobytes()
            assert (now.note, now.names.tolist()) == (then.note, then.names.tolist())


def test_a_window_is_estimated_once(monkeypatch):
    monkeypatch.setattr(risk, "_covariances", Memo[Covariance](2**20))
    panel = random_panel(31, 4)
    first = of(panel, model="oas", window=24)
    again = of(panel.until(panel.dates[-1]), model="oas", window=24)
    assert again is first
    renamed = replace(panel, tickers=np.char.add(panel.tickers, "X"))
    assert of(renamed, model="oas", window=24) is not first
    assert of(panel, model="ledoit_wolf", window=24).matrix is not first.matrix


def test_daily_covariance_is_a_months():
    panel = with_bars(8, "AB", 5)
    assert panel.bars is not None
    close, month = panel.bars.close, panel.bars.month
    # Beside daily_market's own gaps: none in the last five months of either ticker.
    inside = np.flatnonzero(month >= 3)
    close[:] = walk(close.shape)
    found = of(panel, returns="daily", window=5)
    window = close[inside[0] - 1 :]
    change = window[1:] / window[:-1] - 1.0
    np.testing.assert_allclose(found.matrix, 21.0 * np.cov(change.T), rtol=1e-12)
    assert (found.n_obs, found.note) == (len(inside), "")


def test_a_daily_return_needs_bars_on_consecutive_sessions_and_a_month_half_of_its_own():
    panel = with_bars(4, "AB", 5)
    assert panel.bars is not None
    close, month = panel.bars.close, panel.bars.month
    close[:] = walk(close.shape)
    last = np.flatnonzero(month == 3)
    close[last[4], 0] = NAN  # takes two returns
    found = of(panel, returns="daily", window=3)
    assert (found.n_obs, found.note) == (np.sum(month >= 1) - 2, "")
    close[last[4 : 4 + len(last) // 2], 0] = NAN  # half the month and one more return
    assert of(panel, returns="daily", window=3, wanted="A").names.tolist() == []
    assert of(panel, returns="daily", window=3, min_history=2, wanted="A").names.tolist() == [0]


def test_a_bar_that_was_repaired_later_counts_as_it_was_seen_until_then():
    panel = with_bars(4, "A", 5)
    assert panel.bars is not None
    days, close = panel.bars.days, panel.bars.close
    close[:] = walk(close.shape)
    row = int(np.flatnonzero(panel.bars.month == 2)[-1])
    late = Late(np.array([row]), np.array([0]), 1.5 * close[row], days[[row + 3]])
    repaired = replace(panel, bars=replace(panel.bars, late=late))
    said = {"returns": "daily", "window": 2, "wanted": "A"}
    then, after = of(repaired, t=2, **said), of(repaired, t=3, **said)
    assert then.matrix[0, 0] > 10.0 * of(panel, t=2, **said).matrix[0, 0]
    np.testing.assert_array_equal(after.matrix, of(panel, t=3, **said).matrix)


def test_daily_returns_need_bars():
    with pytest.raises(FactorLabError, match="daily returns needs daily bars"):
        of(TWO, returns="daily", window=2)


def test_betas_by_hand():
    panel = panel_of({"A": prices(0.2, -0.1, 0.4), "B": prices(-0.1, 0.1, 0.0)})
    market = panel_of({"M": prices(0.1, 0.0, 0.2), "X": prices(0.0, 0.0, 0.0)})
    found = betas(Beta.model_construct(market="M", window=3), panel, market)
    assert np.isnan(found[:3]).all()
    # m − m̄ = (0, −0.1, 0.1): Σ = 0.02; A: 0.01 + 0.04; B: −0.01.
    np.testing.assert_allclose(found[3], [2.5, -0.5], rtol=0, atol=1e-12)
    flat = betas(Beta.model_construct(market="X", window=3), panel, market)
    assert np.isnan(flat).all()


def test_betas_are_of_what_was_seen_and_need_every_return_of_the_window():
    rng = np.random.default_rng(4)
    price = 100.0 * np.exp(np.cumsum(0.05 * rng.standard_normal((40, 4)), axis=0))
    price[20, 2] = NAN
    panel = panel_of(dict(zip("ABCM", price.T, strict=True)))
    seen = panel.price.copy()
    seen[15, 0], seen[16, 3] = 1.3 * seen[15, 0], 0.8 * seen[16, 3]
    panel = replace(panel, seen=seen)
    beta = Beta(market="M", window=14)
    found = betas(beta, panel, panel)

    def slope(t: int, column: int) -> float:
        then = panel.price[t - 14 : t + 1].copy()
        then[-1] = panel.seen[t]
        change = then[1:] / then[:-1] - 1.0
        return float(np.polyfit(change[:, 3], change[:, column], 1)[0])

    for t in range(14, 40):
        for column in (0, 1, 3):
            assert found[t, column] == pytest.approx(slope(t, column), rel=1e-9)
    assert np.isnan(found[20:35, 2]).all()
    assert found[35, 2] == pytest.approx(slope(35, 2), rel=1e-9)
    for t in (13, 14, 15, 16, 30):
        cut = panel.until(panel.dates[t])
        assert betas(beta, cut, cut).tobytes() == found[: t + 1].tobytes()


def test_the_first_beta_of_a_history_is_that_of_a_longer_one():
    rng = np.random.default_rng(3)
    price = 100.0 * np.exp(np.cumsum(0.05 * rng.standard_normal((60, 2)), axis=0))
    panel = panel_of({"A": price[:, 0], "M": price[:, 1]})
    for window in range(12, 50):
        cut, beta = panel.until(panel.dates[window]), Beta(market="M", window=window)
        assert betas(beta, cut, cut)[-1].tobytes() == betas(beta, panel, panel)[window].tobytes()


def test_models_that_need_no_library_import_none():
    code = """if True:
        import sys, numpy as np
        from factorlab_assets.core import optimise, risk
        from factorlab_assets.strategy_book import Risk
        rows = np.random.default_rng(0).standard_normal((9, 3))
        for model in ("sample", "exponential", "factor"):
            risk._estimate(Risk(model=model), rows)
        optimise.risk_parity(np.eye(2))
        heavy = {"skfolio", "sklearn", "scipy"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
