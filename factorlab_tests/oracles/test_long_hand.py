"""The path from prices to net returns against a second one, written the way a bookkeeper would.

`kept_by_hand` shares nothing with core: pure Python loops over a cash account and numbers of
shares, no weights between rebalances, no arrays. Tolerance 1e-12: both sides multiply and add some
hundred numbers of order 1, in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors, research
from factorlab_assets.core.panel import Panel
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

K, LOOKBACK, SKIP = 2, 6, 1
MONTHS, TICKERS = 60, "ABCDEFGH"


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Eight random walks, two of them listed later."""
    rng = np.random.default_rng(17)
    walk = 40.0 * np.exp(np.cumsum(0.06 * rng.standard_normal((MONTHS, len(TICKERS))), axis=0))
    walk[:20, 3] = walk[:9, 6] = np.nan
    return panel_of({t: walk[:, i].tolist() for i, t in enumerate(TICKERS)}, first="2015-01")


def kept_by_hand(
    prices: dict[str, list[float]],
    months: list[int],
    *,
    short: bool,
    every: int,
    bps: float,
    rf: float,
    borrow: float,
) -> list[dict[str, float]]:
    """Top-K momentum (short the bottom K too), kept as shares and cash; one dict per month."""
    rows: list[dict[str, float]] = []
    nav, cash, shares = 1.0, 1.0, dict.fromkeys(prices, 0.0)
    started = False
    for t in range(MONTHS - 1):
        momentum = {}
        for ticker, series in prices.items():
            if t >= LOOKBACK and series[t - LOOKBACK] == series[t - LOOKBACK]:  # not NaN
                momentum[ticker] = series[t - SKIP] / series[t - LOOKBACK] - 1.0
        traded = 0.0
        if len(momentum) >= max(2 * K, len(prices) / 2) and (not started or months[t] % every == 0):
            started = True
            best = sorted(momentum, key=lambda ticker: (-momentum[ticker], ticker))
            wanted = dict.fromkeys(prices, 0.0)
            for ticker in best[:K]:
                wanted[ticker] = (0.5 if short else 1.0) / K
            for ticker in best[-K:] if short else []:
                wanted[ticker] = -0.5 / K
            # What is in the books now, as a share of what they are worth before costs.
            held = {ticker: n * prices[ticker][t] for ticker, n in shares.items() if n}
            worth = cash + sum(held.values())
            for ticker in prices:
                traded += abs(wanted[ticker] - held.get(ticker, 0.0) / worth)
                price = prices[ticker][t]
                shares[ticker] = wanted[ticker] * nav / price if wanted[ticker] else 0.0
            cash = nav - sum(n * prices[ticker][t] for ticker, n in shares.items() if n)
        if not started:
            continue
        lent = sum(-n * prices[ticker][t] for ticker, n in shares.items() if n < 0)
        cash += cash * rf - lent * borrow
        value = cash + sum(n * prices[ticker][t + 1] for ticker, n in shares.items() if n)
        fee = nav * traded * bps / 1e4
        gross, before = value / nav - 1.0, nav
        nav = value - fee
        rows.append({"gross": gross, "turnover": traded, "net": nav / before - 1.0, "nav": nav})
        # Fees are paid out of everything in proportion, as weights have it.
        shares = {ticker: n * nav / value for ticker, n in shares.items()}
        cash *= nav / value
    return rows


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("every", [1, 3])
def test_a_bookkeeper_comes_to_the_same_returns(panel: Panel, short: bool, every: int):
    portfolio: dict[str, Any] = {"select": {"top_k": K}, "rebalance_months": every}
    strategy = strategy_of(
        factors=[
            {
                "name": "xsmom",
                "delay": 0,
                "params": factors.check("xsmom", {"lookback": LOOKBACK, "skip": SKIP}),
            }
        ],
        portfolio=portfolio | {"type": "long_short" if short else "long_only"},
        costs={"tc_bps": 12.0, "slippage_bps": 3.0, "borrow_ann": 0.024},
        cash={"yield_ann": 0.03},
    )
    said = research.run(resolved_of(strategy, TICKERS), panel).backtest
    by_hand = kept_by_hand(
        {t: panel.price[:, i].tolist() for i, t in enumerate(TICKERS)},
        [day.month for day in panel.dates.tolist()],
        short=short,
        every=every,
        bps=15.0,
        rf=1.03 ** (1 / 12) - 1,
        borrow=0.002,
    )
    assert len(said.dates) == len(by_hand) == MONTHS - 1 - LOOKBACK
    for column, name in {
        "gross_return": "gross",
        "turnover": "turnover",
        "net_return": "net",
        "nav": "nav",
    }.items():
        expected = [row[name] for row in by_hand]
        assert getattr(said, column) == pytest.approx(expected, rel=1e-12, abs=1e-12), column
