"""What hypothesis draws books from: any strategy's portfolio, and panels with gaps and late starts.

Belongs here: generators. Does not: laws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from pydantic import ValidationError

from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import OPTIMISED, RISK_WEIGHTED
from factorlab_tests.small_panels import NAN, panel_of, strategy_of

TICKERS = "ABCDEFG"
GROUPS = dict(zip(TICKERS, "xxyyzzz", strict=True))
"""Of the books that declare bounds on groups."""
RISK = {"model": "factor", "n_factors": 1, "window": 6, "min_history": 4}
"""Regular however few months there are, so that every optimum is unique."""
SAFE = {"only_positive": "trend", "safe": "B"}


@st.composite
def any_strategy(draw: st.DrawFn, **fixed: Any) -> Strategy:
    """Any selection, weighting, cap, leverage, rebalancing, execution and cost."""
    portfolio: dict[str, Any] = {
        "type": draw(st.sampled_from(["long_only", "long_short"])),
        "weighting": draw(st.sampled_from(["equal", "signal"])),
        "max_weight": draw(st.sampled_from([1.0, 0.5, 0.3, 0.15, 0.05])),
        "gross": draw(st.sampled_from([1.0, 0.6, 1.5, 2.0])),
        "min_names": draw(st.sampled_from([None, 1, 3])),
    }
    leg = portfolio["gross"]
    if portfolio["type"] == "long_short":
        portfolio["net"] = portfolio["gross"] * draw(st.sampled_from([0.0, 0.5, -1.0]))
        leg = (portfolio["gross"] + abs(portfolio["net"])) / 2.0
    # top_k names that cannot fill the book under its cap contradict it; of other selections nobody
    # knows beforehand how many names there are.
    selects: list[dict[str, Any]] = [{}, {"fraction": 0.4}, {"fraction": 0.9}]
    if (cap := portfolio["max_weight"]) == 1.0 or cap >= leg / 3:
        selects.append({"top_k": 3})
    if cap == 1.0 or cap >= leg:
        selects.append({"top_k": 1})
    portfolio["select"] = draw(st.sampled_from(selects))
    return strategy_of(
        factors=[{"name": "trend", "delay": 0}],
        portfolio=portfolio,
        schedule={"every_months": draw(st.sampled_from([1, 1, 3, 12]))},
        execution={
            "trade_at": draw(st.sampled_from(["close", "next_close", "next_open"])),
            "turnover": draw(st.sampled_from(["drifted", "target"])),
        },
        costs=draw(
            st.sampled_from(
                [
                    {"tc_bps": 0.0, "slippage_bps": 0.0},
                    {"tc_bps": 20.0, "borrow_ann": 0.02, "margin_spread_ann": 0.03},
                ]
            )
        ),
        cash={"yield_ann": draw(st.sampled_from([0.0, 0.04]))},
        **fixed,
    )


@st.composite
def any_engine_strategy(draw: st.DrawFn) -> Strategy:
    """Any weighting, limits, targets, filters and schedules that do not contradict each other."""
    some = st.sampled_from
    portfolio: dict[str, Any] = {
        "type": draw(some(["long_only", "long_only", "long_short"])),
        "weighting": draw(some(["equal", "signal", "rank", *OPTIMISED, *RISK_WEIGHTED])),
        "select": dict(
            draw(some([{}, {"top_k": 1}, {"top_k": 3}, {"fraction": 0.4}, {"threshold": 0.3}]))
        ),
        "gross": draw(some([1.0, 1.0, 0.6, 1.5])),
        "max_weight": draw(some([1.0, 0.6, 0.4])),
        "min_weight": draw(some([None, None, 0.05, 0.15])),
        "max_names": draw(some([None, None, 2, 4])),
        "max_turnover": draw(some([None, None, 0.1, 0.4])),
        "min_trade": draw(some([0.0, 0.0, 0.03])),
        "min_names": draw(some([None, 1])),
        "groups": draw(some([{}, {}, {"x": {"max": 0.3}}, {"x": {"min": 0.2}, "z": {"max": 0.4}}])),
        "risk": RISK,
        "beta": {"market": "A", "window": 12},
    }
    if portfolio["type"] == "long_short":
        portfolio["neutral"] = draw(some(["dollar", "beta"]))
        if portfolio["neutral"] == "dollar" and "threshold" not in portfolio["select"]:
            portfolio["net"] = portfolio["gross"] * draw(some([0.0, 0.5]))
    targets: list[dict[str, Any]] = [
        {},
        {"volatility_target": 0.1},
        {"volatility_target": 0.3, "max_leverage": 2.0},
        {"beta_target": 0.5},
    ]
    portfolio |= draw(some(targets))
    if portfolio["weighting"] == "mean_variance":
        portfolio["turnover_penalty"] = draw(some([0.0, 0.002]))
    filters = [{}, {}, {"only_positive": "trend"}, SAFE, SAFE | {"breadth": 2.0}]
    portfolio["select"] |= draw(some(filters))
    schedules: list[dict[str, Any]] = [{}, {}, {"every_months": 3}, {"tranches": 3}]
    try:
        return strategy_of(
            factors=[{"name": "trend", "delay": 0}],
            portfolio=portfolio,
            schedule=draw(some([*schedules, {"band": 0.2}, {"months": [1, 7]}])),
            execution={"trade_at": draw(some(["close", "next_open"]))},
            costs={"borrow_ann": 0.02, "margin_spread_ann": 0.01},
            cash={"yield_ann": 0.03},
        )
    except ValidationError:  # the options contradict each other: no such strategy
        reject()


@st.composite
def any_case(draw: st.DrawFn, longest: int = 16) -> tuple[Panel, Floats, Floats]:
    """A panel of months up to `longest` and 7 tickers, scores without ties, and raw values.

    Prices go missing alone, in runs and for good; marks are missing less often; first sessions have
    bars or not; scores are missing where prices are, and elsewhere.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    months, names = draw(st.integers(2, longest)), draw(st.integers(1, len(TICKERS)))
    shape = (months, names)
    price = 50.0 * np.exp(np.cumsum(0.08 * rng.standard_normal(shape), axis=0))
    gaps = draw(st.sampled_from([0.0, 0.05, 0.3]))
    mark = price.copy()
    no_bar = rng.random(shape) < gaps
    for n in range(names):
        if rng.random() < 2 * gaps:
            no_bar[: rng.integers(months), n] = True
        if rng.random() < 2 * gaps:
            no_bar[rng.integers(months) :, n] = True
    mark[no_bar] = price[no_bar] = NAN
    price[rng.random(shape) < gaps / 2] = NAN
    panel = panel_of(
        dict(zip(TICKERS, price.T, strict=False)),
        first=draw(st.sampled_from(["2019-01", "2020-06"])),
        mark=dict(zip(TICKERS, mark.T, strict=False)),
    )
    entry = mark[:-1] * np.exp(0.02 * rng.standard_normal((months - 1, names)))
    entry[rng.random(entry.shape) < gaps] = NAN
    panel.entry_open[1:] = entry
    panel.entry_close[1:] = entry * np.exp(0.01 * rng.standard_normal(entry.shape))
    score, raw = rng.standard_normal((2, *shape))
    score[np.isnan(price) & (rng.random(shape) < 0.8)] = NAN
    score[rng.random(shape) < gaps / 3] = NAN
    return panel, score, raw
