"""Three strategies against bt 1.4.1 (pmorissette/bt), NAV for NAV, on thirteen real ETFs: the top
four by 12−1 momentum, the same by trend with cash for what fell, and inverse volatility.

bt ranks and selects by its own algos and keeps shares, cash and fees in its own accounts. What it
does otherwise, and how the two are brought to the same convention:

- bt's `Rebalance` takes each trade's fee out of that trade's quantity, so that its weights after a
  trade are not the targets. `TradeTo` trades the exact quantities of the targets instead.
- bt pays fees out of cash, here out of everything in proportion: weights drift by gross returns.
  `TradeTo` first restores that, free of fees.
- bt's value at a date is after the fees of that date's trades, a NAV here before them (they are
  booked on the next row): `TradeTo` notes the value before it trades.
- ffn, which bt ranks by, takes a shorter return where a price lacks: `SelectHasData` leaves out who
  has no whole year of prices, and so no signal here.
- Both trade at the close that the signal is of. bt's cash earns nothing, as with rf = 0.

Without fees none of that matters, and bt's own `Rebalance` is used as it is.

Tolerance rel=1e-10: the same numbers, added in another order over 219 months; at most 5e-15 were
found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bt
import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.factors import check
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

K = 4
SPREADS = {"SPY": 1.0, "EEM": 6.0, "DBC": 12.0, "HYG": 8.0, "VNQ": 5.0}

pytestmark = [
    # bt 1.4.1 and its ffn use what pandas 3.1 says it is going to change.
    pytest.mark.filterwarnings("ignore:The inplace keyword in Series.sort_values"),
    pytest.mark.filterwarnings("ignore:A future version of pandas will return a BaseOffset"),
]


@pytest.fixture(scope="module")
def prices(shared_data: Path) -> pd.DataFrame:
    """Last closes of the months of February 2005 to May 2024, each dated by its month's first day:
    so a month back is a date of the table, whatever its last day."""
    files = sorted((shared_data / "stooq" / "bulk_2024").glob("*.txt"))
    frames = [pd.read_csv(file, usecols=["<TICKER>", "<DATE>", "<CLOSE>"]) for file in files]
    rows = pd.concat(frames).set_axis(["ticker", "date", "close"], axis=1)
    rows["ticker"] = rows["ticker"].str.removesuffix(".US")
    month = pd.to_datetime(rows["date"].astype(str)).dt.to_period("M")
    closes = rows.groupby([month, "ticker"])["close"].last().unstack().loc["2005-02":"2024-05"]
    return closes.set_axis(closes.index.to_timestamp())


class TradeTo(bt.Algo):
    """Trades the exact quantities of temp['weights']; see the module's docstring.

    before : the strategy's value at each date before its trades.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[pd.Timestamp, float] = {}
        self.fees = 0.0

    def __call__(self, target: Any) -> bool:
        value, commission = target.value, target.commission_fn
        self.before[target.now] = value
        target.set_commissions(lambda quantity, price: 0.0)
        for child in target.children.values():
            share = self.fees / (value + self.fees)
            child.transact(-share * child.position, price=child.price)  # at mid: no spread either
        target.set_commissions(commission)
        wanted = dict(target.temp["weights"])
        for name in {*wanted, *target.children}:
            held = target.children[name].position if name in target.children else 0.0
            price = target.universe.at[target.now, name]
            target.transact(wanted.get(name, 0.0) * value / price - held, child=name)
        target.update(target.now)
        self.fees = value - target.value
        return True


class SlotsOfThePositive(bt.Algo):
    """One Kth in each selected name whose stat is above 0, the rest in cash."""

    def __call__(self, target: Any) -> bool:
        stat = target.temp["stat"]
        target.temp["weights"] = {t: 1.0 / K for t in target.temp["selected"] if stat[t] > 0.0}
        return True


def algos(name: str) -> list[bt.Algo]:
    """What decides the weights, from the first month in which enough names have a history."""
    now = pd.DateOffset(months=0)
    if name == "inverse volatility":
        three_years = pd.DateOffset(months=36)
        start = bt.algos.RunAfterDate("2008-01-31")
        known = bt.algos.SelectHasData(lookback=three_years, min_count=37)
        return [start, known, bt.algos.WeighInvVol(lookback=three_years, lag=now)]
    year = pd.DateOffset(months=12)
    start = bt.algos.RunAfterDate("2006-01-31")
    known = bt.algos.SelectHasData(lookback=year, min_count=13)
    if name == "trend":
        return [start, known, bt.algos.SelectMomentum(K, year, now), SlotsOfThePositive()]
    eleven, one = pd.DateOffset(months=11), pd.DateOffset(months=1)
    return [start, known, bt.algos.SelectMomentum(K, eleven, one), bt.algos.WeighEqually()]


PARTS: dict[str, dict[str, Any]] = {
    "momentum": {
        "factors": [{"name": "xsmom", "delay": 0, "params": check("xsmom", {})}],
        "portfolio": {"select": {"top_k": K}},
    },
    "trend": {
        "factors": [{"name": "trend", "delay": 0, "params": check("trend", {})}],
        "portfolio": {"select": {"top_k": K, "only_positive": "trend"}},
    },
    "inverse volatility": {
        "portfolio": {
            "weighting": "inverse_volatility",
            "risk": {"model": "sample", "window": 36},
        },
    },
}
FIRST = {"momentum": "2006-02", "trend": "2006-02", "inverse volatility": "2008-02"}


def ours(prices: pd.DataFrame, name: str, **costs: Any) -> Backtest:
    """The same strategy here."""
    panel = panel_of({t: prices[t].tolist() for t in prices}, first="2005-02")
    free = {"tc_bps": 0.0, "slippage_bps": 0.0}
    strategy = strategy_of(**PARTS[name], costs=free | costs)
    said = research.run(resolved_of(strategy, list(prices)), panel).backtest
    assert str(said.dates[0] - 31)[:7] == FIRST[name]
    return said


@pytest.mark.parametrize("name", PARTS)
def test_without_fees_bts_own_accounts_come_to_the_same_nav(prices: pd.DataFrame, name: str):
    theirs = bt.Strategy(name, [*algos(name), bt.algos.Rebalance()])
    test = bt.Backtest(theirs, prices, initial_capital=1.0, integer_positions=False)
    test.run()
    said = ours(prices, name)
    values = test.strategy.values.iloc[-len(said.nav) :]
    assert len(said.nav) == (195 if name == "inverse volatility" else 219)
    assert said.nav == pytest.approx(values.to_numpy(), rel=1e-10)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("spreads", [{}, SPREADS])
def test_with_commissions_and_spreads_too(
    prices: pd.DataFrame, name: str, spreads: dict[str, float]
):
    trade = TradeTo()
    wide = prices.mul(pd.Series(spreads).reindex(prices.columns).fillna(0.0) / 1e4)
    test = bt.Backtest(
        bt.Strategy(name, [*algos(name), trade]),
        prices,
        initial_capital=1.0,
        integer_positions=False,
        commissions=lambda quantity, price: abs(quantity) * price * 12e-4,
        additional_data={"bidoffer": wide},
    )
    test.run()
    before = test.strategy.stack.algos[-1].before  # bt runs a copy
    said = ours(prices, name, tc_bps=12.0, spread_bps=spreads)
    assert next(iter(before)) == pd.Timestamp(FIRST[name])
    assert said.nav == pytest.approx(list(before.values())[1:], rel=1e-10)
    assert said.spread_cost.any() == bool(spreads)
    assert said.cost.sum() > (0.005 if name == "inverse volatility" else 0.05)


def test_bts_own_rebalance_differs_by_its_conventions_alone(prices: pd.DataFrame):
    theirs = bt.Strategy("momentum", [*algos("momentum"), bt.algos.Rebalance()])
    test = bt.Backtest(
        theirs,
        prices,
        initial_capital=1.0,
        integer_positions=False,
        commissions=lambda quantity, price: abs(quantity) * price * 12e-4,
    )
    test.run()
    said = ours(prices, "momentum", tc_bps=12.0)
    last_fee = 1.0 - said.cost[1:]  # of the trades at each date, booked on the next row
    values = test.strategy.values.to_numpy()[-len(said.nav) : -1]
    apart = np.abs(values / (said.nav[:-1] * last_fee) - 1.0)
    assert 1e-5 < apart.max() < 1e-3
