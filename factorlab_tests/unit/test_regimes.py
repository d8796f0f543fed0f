"""Regimes: what each rule says of hand-sized prices, that no label knows the future, and what is
told of the months of each label.

Invariants: a label at t moves with nothing that comes after t's close; n_months add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets import schemas
from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.panel import Panel
from factorlab_assets.evaluation import regimes
from factorlab_assets.evaluation.regimes import labels, of_rows, regime_metrics
from factorlab_assets.evaluation_settings import Regime
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

RULES = {
    "average": Regime(rule="average", months=10),
    "trend": Regime(rule="trend", months=12),
    "drawdown": Regime(rule="drawdown"),
    "volatility": Regime(rule="volatility", months=6),
}
NAMES = ("IEF", "QQQ", "SPY", "TLT")


def coded(regime: Regime, price: Sequence[float], seen: Sequence[float] | None = None) -> list[int]:
    known = np.array(price, dtype=np.float64)
    return labels(regime, known, known if seen is None else np.array(seen)).tolist()


def wandering(n_months: int = 90, seed: int = 1) -> Panel:
    rng = np.random.default_rng(seed)
    moves = np.exp(np.cumsum(rng.normal(0.005, 0.04, (n_months, len(NAMES))), axis=0))
    return panel_of({name: 100.0 * moves[:, i] for i, name in enumerate(NAMES)}, first="2010-01")


def held(benchmark: str = "SPY", **said: Any) -> Resolved:
    """Everything equally weighted."""
    plain = {"benchmark": benchmark, "portfolio": {"min_names": 1}}
    return resolved_of(strategy_of(**(plain | said)), NAMES)


def against(benchmark: str) -> Resolved:
    if not benchmark.startswith("strategy:"):
        return held(benchmark)
    fixed = {"weighting": "fixed", "fixed_weights": {"SPY": 0.5, "TLT": 0.5}}
    other = resolved_of(strategy_of(portfolio=fixed), ["SPY", "TLT"])
    return held(benchmark).model_copy(update={"benchmark": other})


# --- the rules -----------------------------------------------------------------------------------


def test_average_is_of_the_last_months_this_one_included():
    three = Regime(rule="average", months=3)
    # Means from the third month on: 2, 4/3, 2.
    assert coded(three, [1.0, 2.0, 3.0, 1.0, 2.0]) == [-1, -1, 1, 0, 0]


def test_a_price_at_its_average_is_not_above_it():
    # 0.1 + 0.1 + 0.1 is not 0.3: rounding does not make a level price rise.
    for level in (0.1, 0.7, 100.1):
        assert coded(Regime(rule="average", months=3), [level] * 5) == [-1, -1, 0, 0, 0]
        assert coded(Regime(rule="trend", months=3), [level] * 5) == [-1, -1, -1, 0, 0]


def test_trend_looks_so_many_months_back():
    two = Regime(rule="trend", months=2)
    assert coded(two, [3.0, 1.0, 2.0, 2.0, 1.5]) == [-1, -1, 0, 1, 0]


def test_a_missing_price_leaves_out_the_labels_that_need_it():
    assert coded(Regime(rule="average", months=2), [1.0, 2.0, NAN, 3.0, 4.0]) == [-1, 1, -1, -1, 1]
    assert coded(Regime(rule="trend", months=2), [1.0, 2.0, NAN, 3.0, 4.0]) == [-1, -1, -1, 1, -1]
    assert coded(Regime(rule="drawdown"), [NAN, 10.0, NAN, 9.0]) == [-1, 0, -1, 1]


def test_drawdown_labels_reach_from_their_edge_included_to_the_next():
    price = [100.0, 96.0, 95.0, 81.0, 80.0, 50.0, 101.0, 95.95]
    assert coded(Regime(rule="drawdown"), price) == [0, 0, 1, 1, 2, 2, 0, 1]
    assert coded(Regime(rule="drawdown", edges=(-0.5,)), price) == [0, 0, 0, 0, 0, 1, 0, 0]


def test_volatility_has_no_label_before_36_of_them():
    price = np.cumprod(1.0 + np.random.default_rng(3).normal(0.0, 0.05, 60))
    codes = coded(Regime(rule="volatility", months=6), price)
    assert codes[:41] == [-1] * 41  # six returns end at row 6, the 36th window of them at row 41
    assert -1 not in codes[41:]


def test_volatility_is_in_a_third_of_its_own_past_as_pandas_says():
    price = pd.Series(np.cumprod(1.0 + np.random.default_rng(4).normal(0.0, 0.05, 120)))
    codes = np.array(coded(Regime(rule="volatility", months=6), price.tolist()))
    own = price.pct_change().rolling(6).std()
    low, high = (own.expanding(36).quantile(q) for q in (1 / 3, 2 / 3))
    expected = (own > low).astype(int) + (own > high).astype(int)
    assert codes[41:].tolist() == expected[41:].tolist()
    assert set(codes[41:]) == {0, 1, 2}


def test_volatility_of_a_steady_growth_is_rounding_and_calm():
    codes = coded(Regime(rule="volatility", months=6), (100.0 * 1.01 ** np.arange(60)).tolist())
    assert set(codes[41:]) == {0}


def test_a_month_end_is_judged_by_what_was_seen_then():
    # The close of the third month read 3 and was put right to 1 later.
    price, seen = [1.0, 2.0, 1.0, 1.6], [1.0, 2.0, 3.0, 1.6]
    assert coded(Regime(rule="average", months=2), price, seen) == [-1, 1, 1, 1]
    assert coded(Regime(rule="average", months=2), price) == [-1, 1, 0, 1]
    assert coded(Regime(rule="trend", months=2), price, seen) == [-1, -1, 1, 0]
    # A high of 3 that was known to be wrong by then is no high to be 47 % below.
    assert coded(Regime(rule="drawdown", edges=(-0.3,)), price, seen) == [0, 0, 0, 0]


# --- nothing is known early ----------------------------------------------------------------------


@given(seed=st.integers(0, 2**16), rule=st.sampled_from(sorted(RULES)), t=st.integers(0, 89))
@settings(max_examples=60, deadline=None)
def test_prices_after_t_move_no_label_up_to_t(seed: int, rule: str, t: int):
    rng = np.random.default_rng(seed)
    price = np.exp(np.cumsum(rng.normal(0.0, 0.05, 90)))
    seen = np.where(rng.random(90) < 0.1, price * 1.1, price)
    other, other_seen = price.copy(), seen.copy()
    other[t + 1 :] *= np.exp(rng.normal(0.0, 0.5, 89 - t))
    other_seen[t + 1 :] *= np.exp(rng.normal(0.0, 0.5, 89 - t))
    other[t] *= 2.0  # t's close is repaired, but only later
    regime = RULES[rule]
    before, after = labels(regime, price, seen), labels(regime, other, other_seen)
    assert after[: t + 1].tolist() == before[: t + 1].tolist()


def labels_of_rows(resolved: Resolved, market: Panel, regime: Regime) -> np.ndarray:
    found = regimes.followed(regime, resolved, market)
    codes = labels(regime, found.price, found.seen)
    return of_rows(codes, market.dates, market.dates[1:])


def moved_early(resolved: Resolved, regime: Regime, t: int) -> bool:
    """Whether the labels of returns up to the one complete at t + 1 move with prices of t + 1."""
    market = wandering()
    rows = []
    for by in (1.0, 0.2, 5.0):
        price = market.price.copy()
        price[t + 1 :] *= by * np.exp(np.random.default_rng(7).normal(0.0, 0.3, len(NAMES)))
        moved = replace(market, price=price, seen=price, mark=price)
        rows.append(labels_of_rows(resolved, moved, regime)[: t + 1].tolist())
    return rows[0] != rows[1] or rows[0] != rows[2]


@pytest.mark.parametrize("benchmark", ["SPY", "60/40", "equal_weight", "strategy:test"])
@pytest.mark.parametrize("rule", RULES)
def test_the_label_of_a_return_knows_no_price_of_its_own_month(rule: str, benchmark: str):
    resolved = against(benchmark)
    assert not any(moved_early(resolved, RULES[rule], t) for t in (20, 50, 70))


def test_labelling_a_month_by_itself_is_caught(monkeypatch: pytest.MonkeyPatch):
    def same_month(codes: Any, dates: Any, rows: Any) -> Any:
        return codes[np.searchsorted(dates, rows)]

    monkeypatch.setitem(globals(), "of_rows", same_month)
    for rule, regime in RULES.items():
        assert any(moved_early(against("SPY"), regime, t) for t in (50, 60, 70)), rule


def test_a_return_has_the_label_of_the_month_end_before_it():
    dates = panel_of({"A": [1.0] * 4}).dates
    assert of_rows(np.array([0, 1, -1, 0]), dates, dates[1:]).tolist() == [0, 1, -1]
    assert of_rows(np.array([0, 1, -1, 0]), dates, dates[:2]).tolist() == [-1, 0]


# --- what a regime looks at ----------------------------------------------------------------------


@pytest.mark.parametrize("benchmark", ["60/40", "equal_weight", "strategy:test"])
def test_a_benchmark_that_is_no_ticker_is_an_index_of_its_returns(benchmark: str):
    market, resolved = wandering(), against(benchmark)
    found = regimes.followed(RULES["trend"], resolved, market)
    returns = research.benchmark_returns(resolved, market)
    known = np.isfinite(returns)
    growth = found.price[1:] / found.price[:-1] - 1.0
    assert growth[known[1:]] == pytest.approx(returns[known], abs=1e-12)
    assert found.price[np.argmax(known) - 1] == 1.0
    assert found.name == benchmark


def test_an_index_is_seen_as_its_prices_were():
    market, t = wandering(), 40
    seen = market.seen.copy()
    seen[t] *= 1.5  # of every ticker, put right later
    repaired = replace(market, seen=seen)
    for benchmark in ("60/40", "equal_weight", "strategy:test"):
        found = regimes.followed(RULES["trend"], against(benchmark), repaired)
        assert found.seen[t] == pytest.approx(1.5 * found.price[t], rel=1e-12)
        others = np.arange(len(seen)) != t
        assert found.seen[others] == pytest.approx(found.price[others], rel=0, abs=0, nan_ok=True)


def test_an_index_ends_at_a_gap():
    market = wandering()
    price = market.price.copy()
    price[30, NAMES.index("IEF")] = NAN
    gap = replace(market, price=price, seen=price)
    found = regimes.followed(RULES["trend"], against("60/40"), gap)
    assert np.isfinite(found.price[:30]).all()
    assert np.isnan(found.price[30:]).all()


def test_the_equal_weight_of_one_early_ticker_is_no_market():
    market = wandering()
    price = market.price.copy()
    price[:20, 1:] = NAN  # two of four are there from row 20 on
    price[:30, 2:] = NAN
    late = replace(market, price=price, seen=price, mark=price)
    found = regimes.followed(RULES["trend"], held("equal_weight"), late)
    assert np.isnan(found.price[:20]).all()
    assert np.isfinite(found.price[20:]).all()
    assert "since half of its tickers" in regimes.define(RULES["trend"], 0, "equal_weight", "close")


# --- the rows ------------------------------------------------------------------------------------


def measured(
    resolved: Resolved, market: Panel, **regime: Regime
) -> tuple[list[dict[str, Any]], Backtest]:
    backtest = research.run(resolved, market).backtest
    rows = regime_metrics(resolved, market, backtest, regime, price_basis="close")
    frame = pd.DataFrame([{"month": "2017-06", "strategy": "test"} | row for row in rows])
    schemas.REGIME_METRICS.schema.validate(frame)
    assert not frame.duplicated(list(schemas.REGIME_METRICS.primary_key)).any()
    return rows, backtest


@pytest.mark.parametrize("benchmark", ["SPY", "60/40", "equal_weight", "strategy:test"])
def test_the_months_of_a_regime_add_up_to_all(benchmark: str):
    rows, backtest = measured(against(benchmark), wandering(), **RULES)
    for name, regime in RULES.items():
        own = [row for row in rows if row["regime"] == name]
        assert sum(row["n_months"] for row in own) == len(backtest.dates)
        assert [row["label"] for row in own][: regime.count] == list(regime.labels)
        assert {row["label"] for row in own} <= {*regime.labels, "unknown"}


def test_figures_are_those_of_the_labelled_months():
    resolved, market = held(cash={"yield_ann": 0.03}), wandering()
    rows, backtest = measured(resolved, market, trend=Regime(rule="trend", months=3))
    spy = market.price[:, NAMES.index("SPY")]
    rose = np.concatenate([[False] * 3, spy[3:] > spy[:-3]])
    own = rose[:-1][-len(backtest.dates) :]  # the row complete at t + 1 is labelled at t
    net, rf = backtest.net_return[own], backtest.rf[own]
    benchmark = backtest.benchmark_return[own]
    risen = next(row for row in rows if row["label"] == "risen")
    assert risen["n_months"] == own.sum()
    assert risen["return_ann"] == pytest.approx(12 * net.mean(), rel=1e-12)
    assert risen["volatility_ann"] == pytest.approx(12**0.5 * net.std(ddof=1), rel=1e-12)
    sharpe = 12**0.5 * (net - rf).mean() / (net - rf).std(ddof=1)
    assert risen["sharpe"] == pytest.approx(sharpe, rel=1e-12)
    assert risen["hit_rate"] == np.mean(net > 0.0)
    assert risen["benchmark_return_ann"] == pytest.approx(12 * benchmark.mean(), rel=1e-12)
    assert risen["excess_ann"] == pytest.approx(12 * (net - benchmark).mean(), abs=1e-12)
    assert risen["note"] == ""
    assert "cagr" not in risen


def test_a_regime_of_three_months_has_no_figures_but_says_why():
    prices = [100.0] * 40
    prices[20:23] = [50.0, 50.0, 50.0]
    rows, _ = measured(
        resolved_of(strategy_of(portfolio={"min_names": 1}), ["SPY"]),
        panel_of({"SPY": prices}),
        crash=Regime(rule="drawdown", edges=(-0.4,), names=("calm", "crash")),
    )
    calm, crash = rows
    assert crash["n_months"] == 3
    assert crash["note"] == "3 months; figures take at least 12"
    assert all(np.isnan(crash[name]) for name in regimes.FIGURES)
    assert calm["n_months"] == 36
    assert np.isfinite(calm["return_ann"])


def test_months_without_a_label_are_counted_and_explained():
    rows, _ = measured(held(), wandering(), slow=Regime(rule="average", months=24))
    unknown = rows[-1]
    assert unknown["label"] == "unknown"
    assert unknown["n_months"] == 23  # rows labelled at the month-ends 0 … 22
    assert "24 month-end prices in a row, which SPY does not have" in unknown["note"]
    assert np.isnan(unknown["return_ann"])


def test_a_ticker_that_is_not_in_the_data_labels_nothing():
    rows, backtest = measured(held(), wandering(), gold=Regime(rule="trend", ticker="GLD"))
    assert [row["n_months"] for row in rows] == [0, 0, len(backtest.dates)]
    assert rows[-1]["note"] == "GLD has no price in the data"


def test_a_ticker_is_looked_up_where_the_caller_says():
    market, resolved = wandering(), held()
    regime = {"gold": Regime(rule="trend", ticker="QQQ", months=3)}
    backtest = research.run(resolved, market).backtest
    own = market.select(["IEF", "SPY", "TLT"])
    said = {"price_basis": "close"}
    expected = regime_metrics(resolved, market, backtest, regime, **said)
    assert regime_metrics(resolved, own, backtest, regime, prices=market, **said) == expected
    without = regime_metrics(resolved, own, backtest, regime, **said)
    assert without[-1]["n_months"] == len(backtest.dates)


def test_a_benchmark_that_is_known_in_few_months_has_no_figures():
    market = wandering()
    price = market.price.copy()
    price[8:, NAMES.index("SPY")] = NAN
    short = replace(market, price=price, seen=price)
    regime = Regime(rule="drawdown", ticker="QQQ", edges=(-0.9,))
    row = measured(held(), short, deep=regime)[0][0]
    assert np.isfinite(row["return_ann"])
    assert np.isnan(row["benchmark_return_ann"])
    assert np.isnan(row["excess_ann"])
    assert row["note"].startswith("the benchmark is known in 7 of 89 months")


@pytest.mark.parametrize("rule", RULES)
def test_a_definition_says_ticker_rule_months_timing_and_basis(rule: str):
    regime = RULES[rule]
    said = [regimes.define(regime, i, "SPY", "total_return") for i in range(regime.count)]
    assert len(set(said)) == regime.count
    for text in said:
        assert text.startswith("SPY at month-end t ")
        assert "known at the close of t, for the return from t to t+1" in text
        assert text.endswith("price basis: total_return")
        assert rule == "drawdown" or str(regime.months) in text


def test_the_definition_of_a_drawdown_names_both_ends():
    regime = RULES["drawdown"]
    between = [regimes.define(regime, i, "SPY", "close") for i in range(3)]
    assert "less than 5 % below" in between[0]
    assert "at least 5 % and less than 20 % below" in between[1]
    assert "at least 20 % below" in between[2]
