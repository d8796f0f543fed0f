"""The path from prices to net returns against a second one, written the way a bookkeeper would.

`kept_by_hand` shares nothing with core: pure Python loops over a cash account and numbers of
shares, no weights between rebalances, no arrays. Tolerance 1e-12: both sides multiply and add some
hundred numbers of order 1, in another order. What a trade pays per dollar, ticker by ticker, comes
from `fees_by_hand`, out of daily bars read one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import factors, research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.panel import Panel
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of
from factorlab_tests.traded_panels import with_bars

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
    rf: Sequence[float],
    borrow: float,
    dear: Callable[[str, int, float], float] = lambda ticker, t, traded: 0.0,
) -> list[dict[str, float]]:
    """Top-K momentum (short the bottom K too), kept as shares and cash; one dict per month.

    `rf` by month; `dear`(ticker, t, traded) is what a dollar traded pays beside `bps`.
    """
    rows: list[dict[str, float]] = []
    nav, cash, shares = 1.0, 1.0, dict.fromkeys(prices, 0.0)
    started = False
    for t in range(MONTHS - 1):
        momentum = {}
        for ticker, series in prices.items():
            if t >= LOOKBACK and series[t - LOOKBACK] == series[t - LOOKBACK]:  # not NaN
                momentum[ticker] = series[t - SKIP] / series[t - LOOKBACK] - 1.0
        traded = fee = 0.0
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
                order = abs(wanted[ticker] - held.get(ticker, 0.0) / worth)
                traded += order
                fee += nav * order * (bps / 1e4 + dear(ticker, t, order))
                price = prices[ticker][t]
                shares[ticker] = wanted[ticker] * nav / price if wanted[ticker] else 0.0
            cash = nav - sum(n * prices[ticker][t] for ticker, n in shares.items() if n)
        if not started:
            continue
        lent = sum(-n * prices[ticker][t] for ticker, n in shares.items() if n < 0)
        cash += cash * rf[t] - lent * borrow
        value = cash + sum(n * prices[ticker][t + 1] for ticker, n in shares.items() if n)
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
    portfolio: dict[str, Any] = {"select": {"top_k": K}}
    strategy = strategy_of(
        factors=[
            {
                "name": "xsmom",
                "delay": 0,
                "params": factors.check("xsmom", {"lookback": LOOKBACK, "skip": SKIP}),
            }
        ],
        schedule={"every_months": every},
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
        rf=[1.03 ** (1 / 12) - 1] * MONTHS,
        borrow=0.002,
    )
    assert len(said.dates) == len(by_hand) == MONTHS - 1 - LOOKBACK
    agree(said, by_hand)


def agree(said: Backtest, by_hand: list[dict[str, float]]) -> None:
    for column, name in {
        "gross_return": "gross",
        "turnover": "turnover",
        "net_return": "net",
        "nav": "nav",
    }.items():
        expected = [row[name] for row in by_hand]
        assert getattr(said, column) == pytest.approx(expected, rel=1e-12, abs=1e-12), column


SPREADS = {"A": 8.0, "C": 25.0, "H": 40.0}
IMPACT, CAPITAL = 0.2, 1e7


def fees_by_hand(panel: Panel) -> Callable[[str, int, float], float]:
    """Half the quoted spread, and volatility times the root of the days' volume that is traded."""
    assert panel.bars is not None
    bars = panel.bars
    closes = {t: bars.close[:, i].tolist() for i, t in enumerate(TICKERS)}
    dollars = {t: bars.dollar_volume[:, i].tolist() for i, t in enumerate(TICKERS)}
    month_of = bars.month.tolist()

    def paid(ticker: str, t: int, traded: float) -> float:
        gains, volumes = [], []
        for day in range(1, len(month_of)):
            if t - 2 <= month_of[day] <= t:
                gain = closes[ticker][day] / closes[ticker][day - 1] - 1.0
                gains += [gain] if gain == gain else []
                volumes += [dollars[ticker][day]] if dollars[ticker][day] > 0.0 else []
        mean = sum(gains) / max(len(gains), 1)
        sigma = 0.0
        if len(gains) >= 20:
            sigma = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1))
        days = traded * CAPITAL * len(volumes) / max(sum(volumes), 1.0)
        if len(gains) < 20 or len(volumes) < 20:
            sigma, days = max(sigma, 0.05), 1.0
        return SPREADS.get(ticker, 0.0) / 2e4 + IMPACT * sigma * math.sqrt(days)

    return paid


def with_days(panel: Panel) -> Panel:
    """Daily bars that wander between the month-ends; B trades little, of F it is long not known."""
    rng = np.random.default_rng(23)
    days = sessions(panel.dates[0].astype("M8[M]").astype("M8[D]").item(), panel.dates[-1].item())
    month = np.searchsorted(panel.dates, days)
    close = panel.price[month] * np.exp(0.02 * rng.standard_normal((len(days), len(TICKERS))))
    dollars = np.exp(rng.normal(16.0, 1.0, close.shape))
    dollars[:, 1] /= 20.0
    dollars[: len(days) // 2, 5] = np.nan
    dollars[np.isnan(close)] = np.nan
    return with_bars(panel, close, dollars)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("every", [1, 3])
def test_with_spreads_impact_and_a_ticker_as_cash_too(panel: Panel, short: bool, every: int):
    """A is the cash: its monthly returns, up or down, are what money earns and borrowing costs."""
    daily = with_days(panel)
    factor = {"name": "xsmom", "delay": 0}
    params = factors.check("xsmom", {"lookback": LOOKBACK, "skip": SKIP})
    strategy = strategy_of(
        factors=[factor | {"params": params}],
        schedule={"every_months": every},
        portfolio={"select": {"top_k": K}, "type": "long_short" if short else "long_only"},
        costs={
            "tc_bps": 2.0,
            "slippage_bps": 0.0,
            "borrow_ann": 0.024,
            "spread_bps": SPREADS,
            "impact": IMPACT,
            "capital": CAPITAL,
        },
        cash={"ticker": "A"},
    )
    said = research.run(resolved_of(strategy, TICKERS), daily).backtest
    prices = {t: panel.price[:, i].tolist() for i, t in enumerate(TICKERS)}
    by_hand = kept_by_hand(
        prices,
        [day.month for day in panel.dates.tolist()],
        short=short,
        every=every,
        bps=2.0,
        rf=[after / before - 1.0 for before, after in pairwise(prices["A"])],
        borrow=0.002,
        dear=fees_by_hand(daily),
    )
    agree(said, by_hand)
    assert said.impact_cost.sum() > said.spread_cost.sum() > 0.0
    assert (said.n_volume_unknown > 0).any()
    assert (said.n_volume_unknown == 0).any()
