"""What hypothesis draws books from: any strategy's portfolio, and panels with gaps and late starts.

Belongs here: generators. Does not: laws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Strategy
from factorlab_tests.small_panels import NAN, panel_of, strategy_of

TICKERS = "ABCDEFG"


@st.composite
def any_strategy(draw: st.DrawFn, **fixed: Any) -> Strategy:
    """Any selection, weighting, cap, leverage, rebalancing, execution and cost."""
    portfolio: dict[str, Any] = {
        "type": draw(st.sampled_from(["long_only", "long_short"])),
        "weighting": draw(st.sampled_from(["equal", "signal"])),
        "max_weight": draw(st.sampled_from([1.0, 0.5, 0.3, 0.15, 0.05])),
        "gross": draw(st.sampled_from([1.0, 0.6, 1.5, 2.0])),
        "rebalance_months": draw(st.sampled_from([1, 1, 3, 12])),
        "min_names": draw(st.sampled_from([None, 1, 3])),
        "select": draw(
            st.sampled_from([{}, {"top_k": 1}, {"top_k": 3}, {"fraction": 0.4}, {"fraction": 0.9}])
        ),
    }
    if portfolio["type"] == "long_short":
        portfolio["net"] = portfolio["gross"] * draw(st.sampled_from([0.0, 0.5, -1.0]))
    return strategy_of(
        factors=[{"name": "trend", "delay": 0}],
        portfolio=portfolio,
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
def any_case(draw: st.DrawFn) -> tuple[Panel, Floats, Floats]:
    """A panel of up to 16 months and 7 tickers, scores without ties, and raw values.

    Prices go missing alone, in runs and for good; marks are missing less often; first sessions have
    bars or not; scores are missing where prices are, and elsewhere.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    months, names = draw(st.integers(2, 16)), draw(st.integers(1, len(TICKERS)))
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
