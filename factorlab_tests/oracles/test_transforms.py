"""Transforms and combinations against scipy, scikit-learn, pandas and numpy, date by date.

scipy 1.17.1, scikit-learn 1.9.1, pandas 3.1.1, numpy 2.4.6. Both sides work in float64 on the same
cross-sections, so a few units of 1e-16 per value in different order are all that may differ; least
squares carries the condition of its columns, below 1e3 here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from factorlab_assets.core.combine import combine, factor_volatility
from factorlab_assets.core.groups import WHOLE, group_codes
from factorlab_assets.core.signals import Signals
from factorlab_assets.core.transforms import (
    Context,
    apply,
    demean,
    neutralize,
    normal,
    rank,
    winsorize_mads,
    zscore,
)
from factorlab_assets.strategy_signals import Neutralize
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

T, N = 120, 40
TICKERS = [f"T{i:02}" for i in range(N)]
SECTORS = {ticker: f"s{i % 5}" for i, ticker in enumerate(TICKERS[:-4])}
SECTORS |= {TICKERS[-4]: "lone", TICKERS[-3]: "lone"}  # and two without a sector


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Cross-sections of 4 to 40 known values, with ties."""
    rng = np.random.default_rng(21)
    cross = np.round(rng.standard_t(3, (T, N)), 1)
    for t, row in enumerate(cross):
        row[rng.permutation(N)[: t % 37]] = np.nan
    return cross


@pytest.fixture(scope="module")
def others() -> list[np.ndarray]:
    """Regressors with holes of their own, and of very different size."""
    rng = np.random.default_rng(22)
    given = rng.normal(size=(3, T, N)) * np.array([1.0, 1e-3, 1e4])[:, None, None]
    given[2] += 5e4
    given[rng.random(given.shape) < 0.02] = np.nan
    return list(given)


@pytest.mark.parametrize("mads", [0.5, 2.0, 5.0])
def test_winsorizing_by_mads_agrees_with_scipy(values, mads) -> None:
    mad = stats.median_abs_deviation(values, axis=1, scale="normal", nan_policy="omit")[:, None]
    middle = np.nanmedian(values, axis=1, keepdims=True)
    assert (mad > 0).all()
    expected = np.clip(values, middle - mads * mad, middle + mads * mad)
    np.testing.assert_allclose(winsorize_mads(values, mads), expected, rtol=0, atol=1e-14)


def test_normal_scores_agree_with_scipy(values) -> None:
    ranks = stats.rankdata(values, axis=1, nan_policy="omit")
    count = (~np.isnan(values)).sum(axis=1, keepdims=True)
    expected = stats.norm.ppf((ranks - 0.375) / (count + 0.25))
    np.testing.assert_allclose(normal(values), expected, rtol=0, atol=1e-14)


def test_ranks_agree_with_scikit_learn_where_nothing_ties() -> None:
    cross = np.random.default_rng(23).normal(size=(30, 25))
    uniform = QuantileTransformer(n_quantiles=25, output_distribution="uniform")
    expected = uniform.fit_transform(cross.T).T  # it works on columns
    np.testing.assert_allclose(rank(cross), expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def codes(values) -> np.ndarray:
    return group_codes(TICKERS, SECTORS, {"lone": "s0"}, ~np.isnan(values))


PANDAS = {
    "demean": (demean, lambda x: x - x.mean()),
    "zscore": (zscore, lambda x: (x - x.mean()) / (x.std(ddof=0) or 1.0)),
    "rank": (rank, lambda x: (x.rank() - 1) / (x.count() - 1)),
}


@pytest.mark.parametrize("kind", PANDAS)
def test_what_is_done_within_groups_agrees_with_pandas(values, codes, kind) -> None:
    change, oracle = PANDAS[kind]
    found = change(values, codes)
    seen = 0
    for row, code, got in zip(values, codes, found, strict=True):
        frame = pd.Series(row)
        expected = frame.groupby(code).transform(oracle)
        whole = oracle(frame)
        expected = expected.where(code != WHOLE, whole)
        seen += len(set(code[~np.isnan(row)]))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)
    assert seen > 4 * T, "most dates have several groups"


def test_groups_count_as_pandas_counts_them(values, codes) -> None:
    merged = pd.Series(SECTORS).replace("lone", "s0")  # two names are never three
    for row, code in zip(values, codes, strict=True):
        size = pd.Series(~np.isnan(row), index=TICKERS).groupby(merged).sum()
        stands = merged[merged.map(size) >= 3]
        assert (code != WHOLE).tolist() == [ticker in stands.index for ticker in TICKERS]
        own = pd.Series(code, index=TICKERS)[stands.index]
        assert (own.groupby(stands).nunique() == 1).all()
        assert own.nunique() == stands.nunique()


def least_squares(row: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Residuals by numpy's lstsq, whose minimum norm takes care of collinear columns."""
    size = np.linalg.norm(columns, axis=0)
    scaled = columns / np.where(size > 0, size, 1.0)
    return row - scaled @ np.linalg.lstsq(scaled, row, rcond=1e-10)[0]


@pytest.mark.parametrize("grouping", [None, "sector"])
@pytest.mark.parametrize("which", [(), (0,), (0, 1, 2), (0, 1, 0), (2, 1, 2, 0)], ids=str)
def test_neutralizing_agrees_with_lstsq_on_dummies(values, others, grouping, which) -> None:
    sectors = {ticker: f"s{i % 4}" for i, ticker in enumerate(TICKERS)}  # four to ten of each
    if not which and grouping is None:
        return
    chosen = [others[i] for i in which]
    known = ~np.isnan(np.stack([values, *chosen])).any(axis=0)
    code = group_codes(TICKERS, sectors, {}, known) if grouping else None
    found = neutralize(values, chosen, code)
    compared = 0
    for t in range(T):
        k = known[t]
        of_group = np.zeros(k.sum()) if code is None else code[t, k]
        if code is not None and (of_group == WHOLE).any() and (of_group != WHOLE).any():
            continue  # who counts to everyone has no dummy; see below
        dummies = (of_group[:, None] == np.unique(of_group)).astype(float)
        columns = np.column_stack([np.ones(k.sum()), dummies, *(each[t, k] for each in chosen)])
        if k.sum() <= len(np.unique(of_group)) + len(chosen):
            assert np.isnan(found[t]).all()
            continue
        compared += 1
        np.testing.assert_allclose(found[t, k], least_squares(values[t, k], columns), atol=1e-11)
        assert np.isnan(found[t, ~k]).all()
    assert compared > 60


def test_neutralizing_agrees_with_scikit_learn(values, others) -> None:
    for t in range(0, T, 10):
        known = ~np.isnan(np.stack([values, *others])).any(axis=0)[t]
        if known.sum() <= 4:
            continue
        # Its solver gives up columns a million times smaller; the residual has no scale.
        columns = StandardScaler().fit_transform(np.column_stack([o[t, known] for o in others]))
        fitted = LinearRegression().fit(columns, values[t, known]).predict(columns)
        found = neutralize(values[[t]], [each[[t]] for each in others])[0, known]
        np.testing.assert_allclose(found, values[t, known] - fitted, atol=1e-11)


def test_who_counts_to_everyone_is_demeaned_by_everyone(values, others) -> None:
    """By hand what is said of such names: the regression of what demeaning leaves."""
    context = Context(TICKERS, {"sector": SECTORS}, {}, {"x": others[0], "y": others[1]})
    found = apply([Neutralize(groups="sector", factors=("x", "y"))], values, context)
    known = ~np.isnan(np.stack([values, *others[:2]])).any(axis=0)
    code = group_codes(TICKERS, SECTORS, {}, known)
    mixed = 0
    for t in range(T):
        k = known[t]
        if k.sum() <= len(set(code[t, k])) + 2:
            continue
        mixed += int((code[t, k] == WHOLE).any() and (code[t, k] != WHOLE).any())

        def left(row, t=t, k=k):
            frame = pd.Series(row[k])
            of_group = frame.groupby(code[t, k]).transform("mean")
            return (frame - of_group.where(code[t, k] != WHOLE, frame.mean())).to_numpy()

        y, *columns = (left(each[t]) for each in (values, *others[:2]))
        expected = least_squares(y, np.column_stack(columns))
        np.testing.assert_allclose(found[t, k], expected, atol=1e-11)
    assert mixed > 60


@pytest.fixture(scope="module")
def market():
    rng = np.random.default_rng(24)
    price = 50 * np.exp(np.cumsum(rng.normal(0, 0.06, (T, N)), axis=0))
    price[rng.random((T, N)) < 0.03] = np.nan
    return panel_of({name: price[:, i] for i, name in enumerate(TICKERS)}, first="2010-01")


@pytest.mark.parametrize("window", [6, 36])
def test_the_volatility_of_a_factor_agrees_with_pandas(values, market, window) -> None:
    price = pd.DataFrame(market.price)
    signal = pd.DataFrame(values).where(price.notna())
    held = signal.sub(signal.mean(axis=1), axis=0)
    held = held.div(held.abs().sum(axis=1), axis=0).shift(1)
    moved = price.pct_change(fill_method=None).fillna(0.0)
    returns = (held * moved).sum(axis=1, min_count=1)
    expected = returns.rolling(window, min_periods=6).std()
    found = factor_volatility(values, market, window)
    assert np.isfinite(found).sum() > 100
    # pandas updates its rolling deviations from month to month.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("missing", ["require", "known", "neutral"])
@pytest.mark.parametrize("how", ["mean", "rank_mean"])
def test_the_score_agrees_with_pandas(values, others, market, how, missing) -> None:
    weights = (0.5, -1.0, 2.0)
    signal = [values, others[0], others[1]]
    factors = [
        {"name": "trend", "label": label, "delay": 0, "weight": weight}
        for label, weight in zip("abc", weights, strict=True)
    ]
    strategy = strategy_of(factors=factors, combine={"how": how, "missing": missing})
    given = Signals(("a", "b", "c"), np.stack(signal), np.stack(signal))
    found = combine(resolved_of(strategy, TICKERS), market, given)
    frames = [pd.DataFrame(each) for each in signal]
    if how == "rank_mean":
        frames = [
            f.rank(axis=1).sub(1).div(f.count(axis=1).sub(1).clip(lower=1), axis=0) for f in frames
        ]
    has_one = pd.concat([f.notna() for f in frames]).groupby(level=0).any()
    if missing == "neutral":
        frames = [f.T.fillna(f.mean(axis=1)).T for f in frames]
    known = [f.notna() for f in frames]
    gross = sum(abs(w) * k for w, k in zip(weights, known, strict=True))
    total = sum(w * f.fillna(0.0) for w, f in zip(weights, frames, strict=True))
    enough = has_one if missing != "require" else known[0] & known[1] & known[2]
    expected = (total / gross.where(gross > 0)).where(enough)
    assert np.isfinite(found).sum() > 2000
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
