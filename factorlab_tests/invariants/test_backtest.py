"""Laws of every backtest, for any book, prices and gaps:

1. it adds up: turnover, every part of gross and cost, net, NAV, drawdown;
2. raising a trading cost never raises the net return of any month and leaves the turnover alone;
   raising what loans or shorts cost never does for given weights (a book that paid more is smaller,
   so that what it holds drifts to larger weights: those may earn and save more). Where nothing
   costs anything, net is gross;
3. prices quoted in another unit change nothing, nor do capital and dollar volumes in another one;
4. nothing before a cut changes when the panel ends there, to the last bit;
5. the next month's return of one name reaches the row through its weight alone;
6. days compound to months.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.daily import daily_book
from factorlab_assets.core.holding import carried
from factorlab_assets.core.identities import compounding_violations, identity_violations
from factorlab_assets.core.panel import VALUES, Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import Cash, Costs
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import NAN, resolved_of
from factorlab_tests.traded_panels import traded_market

EXAMPLES = settings(max_examples=150, deadline=None)


def run(strategy: Strategy, panel: Panel, score: Floats, raw: Floats) -> tuple[Book, Backtest]:
    book = build(strategy, score, panel, raw_filter=raw, universe_size=len(panel.tickers))
    return book, simulate(strategy, book, panel, np.full(len(panel.dates), NAN))


def costing(strategy: Strategy, **costs: Any) -> Strategy:
    """The strategy with these of its costs."""
    said = strategy.costs.model_dump() | costs
    return strategy.model_copy(update={"costs": Costs.model_validate(said)})


def altered(panel: Panel, **values: Floats) -> Panel:
    return replace(panel, **values)


@EXAMPLES
@given(any_strategy(), any_case())
def test_every_row_adds_up(strategy, case):
    panel = case[0]
    book, said = run(strategy, *case)
    cell = resolved_of(strategy, panel.tickers.tolist())
    assert identity_violations(cell, panel, book, said) == []
    assert (said.turnover >= 0).all()
    assert (said.drawdown <= 0).all()
    assert np.isfinite(said.net_return).all()
    assert (said.nav[:-1] > 0).all()
    if len(said.nav):
        assert said.turnover[0] == pytest.approx(np.abs(book.weights[book.start]).sum(), abs=1e-12)
        assert bool(said.ended) == (said.nav[-1] <= 0)


@EXAMPLES
@given(any_strategy(), any_case(), st.floats(0.0, 1000.0))
def test_costs_only_lower_the_net_return(strategy, case, more):
    dear = strategy.model_copy(
        update={"costs": strategy.costs.model_copy(update={"slippage_bps": 5.0 + more})}
    )
    cheap = strategy.model_copy(
        update={"costs": strategy.costs.model_copy(update={"slippage_bps": 5.0})}
    )
    (book, before), (same_book, after) = run(cheap, *case), run(dear, *case)
    rows = len(after.dates)
    assert book.weights.tobytes() == same_book.weights.tobytes()
    assert rows <= len(before.dates)
    assert (after.net_return <= before.net_return[:rows]).all()
    assert after.gross_return.tobytes() == before.gross_return[:rows].tobytes()


RAISED = {
    "tc_bps": {"tc_bps": 500.0},
    "slippage_bps": {"slippage_bps": 500.0},
    "spread_bps": {"spread_bps": dict.fromkeys("ABCDEFG", 2000.0)},
    "impact": {"impact": 5.0},
    "capital": {"capital": 1e11},
}
DEAR = {"spread_bps": {"A": 10.0, "C": 3.0}, "impact": 0.5, "capital": 1e7}
MARKETS = [traded_market(14, "ABCDE", seed=seed, gaps=0.05) for seed in range(4)]


def daily_case(market: int, seed: int) -> tuple[Panel, Floats, Floats]:
    """A market with bars, scores and raw values."""
    panel, _ = MARKETS[market]
    score, raw = np.random.default_rng(seed).standard_normal((2, *panel.price.shape))
    score[np.isnan(panel.price)] = NAN
    return panel, score, raw


CASHES = st.sampled_from([Cash(), Cash(yield_ann=0.04), Cash(ticker="B")])
ANY_MARKET = st.builds(daily_case, st.sampled_from(range(len(MARKETS))), st.integers(0, 1000))


@pytest.mark.parametrize("cost", RAISED)
@settings(max_examples=40, deadline=None)
@given(any_strategy(), ANY_MARKET)
def test_no_trading_cost_raises_a_net_return_or_touches_the_turnover(cost, strategy, case):
    cheap = costing(strategy, **DEAR)
    dear = costing(strategy, **DEAR | RAISED[cost])
    (book, before), (same_book, after) = run(cheap, *case), run(dear, *case)
    rows = len(after.dates)
    assert book.weights.tobytes() == same_book.weights.tobytes()
    assert (after.net_return <= before.net_return[:rows]).all()
    assert after.turnover.tobytes() == before.turnover[:rows].tobytes()
    assert after.gross_return.tobytes() == before.gross_return[:rows].tobytes()
    assert (after.cost >= before.cost[:rows]).all()


@pytest.mark.parametrize("cost", ["borrow_ann", "margin_spread_ann"])
@settings(max_examples=40, deadline=None)
@given(any_strategy(), ANY_MARKET, st.floats(0.0, 0.9))
def test_no_carrying_cost_raises_what_given_weights_earn(cost, strategy, case, more):
    panel, score, raw = case
    plain = {"trade_at": "close", "turnover": "target"}
    strategy = strategy.model_copy(
        update={"execution": strategy.execution.model_copy(update=plain)}
    )
    dear = costing(strategy, **{cost: getattr(strategy.costs, cost) + more})
    book, before = run(strategy, panel, score, raw)
    after = simulate(dear, book, panel, np.full(len(panel.dates), NAN))
    rows = len(after.dates)
    assert (after.net_return <= before.net_return[:rows]).all()
    assert (after.gross_return <= before.gross_return[:rows]).all()
    assert after.turnover.tobytes() == before.turnover[:rows].tobytes()


@EXAMPLES
@given(any_strategy(), any_case())
def test_where_nothing_costs_anything_net_is_gross(strategy, case):
    free = costing(strategy, tc_bps=0.0, slippage_bps=0.0)
    _, said = run(free, *case)
    assert said.net_return.tobytes() == said.gross_return.tobytes()
    assert not said.cost.any()


@settings(max_examples=60, deadline=None)
@given(any_strategy(), ANY_MARKET)
def test_every_part_of_every_cost_adds_up(strategy, case):
    strategy = costing(strategy, **DEAR).model_copy(update={"cash": Cash(ticker="B")})
    panel = case[0]
    book, said = run(strategy, *case)
    cell = resolved_of(strategy, panel.tickers.tolist())
    assert identity_violations(cell, panel, book, said) == []
    parts = said.commission + said.slippage + said.spread_cost + said.impact_cost
    assert said.cost == pytest.approx(parts, rel=1e-13, abs=1e-17)
    for values in (said.commission, said.spread_cost, said.impact_cost, said.financing):
        assert (values >= 0.0).all()
    if strategy.execution.trade_at == "close":
        rows = slice(book.start, book.start + len(said.dates))
        marks = carried(panel.mark)
        returns = np.nan_to_num(marks[1:] / marks[:-1] - 1.0)
        own = (book.weights[:-1] * returns).sum(axis=1)[rows]
        expected = own + said.cash_return - said.financing - said.borrow
        assert said.gross_return == pytest.approx(expected, rel=1e-12, abs=1e-14)


@settings(max_examples=60, deadline=None)
@given(any_strategy(), ANY_MARKET, st.integers(-6, 6), st.lists(st.integers(-6, 6), min_size=5))
def test_neither_the_unit_of_money_nor_that_of_a_price_matters_to_the_impact(
    strategy, case, money, powers
):
    panel, score, raw = case
    strategy = costing(strategy, **DEAR)
    other_money = costing(strategy, capital=DEAR["capital"] * 4.0**money)
    unit = 2.0 ** np.array(powers[:5])
    bars = panel.bars
    late = replace(bars.late, seen=bars.late.seen * unit[bars.late.column])
    bars = replace(
        bars,
        close=bars.close * unit,
        dollar_volume=bars.dollar_volume * 4.0**money,
        late=late,
    )
    scaled = altered(panel, **{name: getattr(panel, name) * unit for name in VALUES})
    _, said = run(strategy, panel, score, raw)
    _, other = run(other_money, replace(scaled, bars=bars), score, raw)
    assert said.impact_cost.any() == bool(len(said.dates) and said.turnover.any())
    for name, values in vars(said).items():
        assert getattr(other, name).tobytes() == values.tobytes(), name


@settings(max_examples=60, deadline=None)
@given(any_strategy(), ANY_MARKET, st.integers(1, 14))
def test_no_cost_before_a_cut_knows_a_day_after_it(strategy, case, months):
    panel, score, raw = case
    strategy = costing(strategy, **DEAR).model_copy(update={"cash": Cash(ticker="B")})
    _, whole = run(strategy, panel, score, raw)
    part_of = panel.until(panel.dates[months - 1])
    _, part = run(strategy, part_of, score[:months], raw[:months])
    for name, values in vars(part).items():
        assert values.tobytes() == getattr(whole, name)[: len(values)].tobytes(), name


@EXAMPLES
@given(any_strategy(), any_case(), st.lists(st.integers(-12, 12), min_size=7, max_size=7))
def test_the_unit_of_a_price_does_not_matter(strategy, case, powers):
    panel, score, raw = case
    unit = 2.0 ** np.array(powers[: len(panel.tickers)])
    scaled = altered(panel, **{name: getattr(panel, name) * unit for name in VALUES})
    book, said = run(strategy, panel, score, raw)
    other_book, other = run(strategy, scaled, score, raw)
    assert other_book.weights.tobytes() == book.weights.tobytes()
    assert other.net_return.tobytes() == said.net_return.tobytes()


@EXAMPLES
@given(any_strategy(), any_case(), st.data())
def test_nothing_before_a_cut_knows_what_comes_after(strategy, case, data):
    panel, score, raw = case
    months = data.draw(st.integers(1, len(panel.dates)))
    _, whole = run(strategy, panel, score, raw)
    _, part = run(strategy, panel.until(panel.dates[months - 1]), score[:months], raw[:months])
    for name, values in vars(part).items():
        assert values.tobytes() == getattr(whole, name)[: len(values)].tobytes(), name
    expected = int((whole.dates <= panel.dates[months - 1]).sum())
    assert len(part.dates) == expected


@EXAMPLES
@given(any_strategy(), any_case(), st.data())
def test_a_return_reaches_its_row_through_its_weight_alone(strategy, case, data):
    panel, score, raw = case
    strategy = strategy.model_copy(
        update={"execution": strategy.execution.model_copy(update={"trade_at": "close"})}
    )
    book, said = run(strategy, panel, score, raw)
    assume(len(said.dates) > 0)
    row = data.draw(st.integers(0, len(said.dates) - 1))
    t = book.start + row
    n = data.draw(st.integers(0, len(panel.tickers) - 1))
    assume(np.isfinite(panel.mark[t + 1, n]))
    later = {name: getattr(panel, name).copy() for name in VALUES}
    for values in later.values():
        values[t + 1 :, n] *= 1.25
    _, moved = run(strategy, altered(panel, **later), score, raw)
    last = carried(panel.mark)[t, n]
    change = 0.0 if np.isnan(last) else 0.25 * panel.mark[t + 1, n] / last
    expected = said.gross_return[row] + book.weights[t, n] * change
    assert moved.gross_return[row] == pytest.approx(expected, abs=1e-12)
    assert moved.gross_return[:row].tobytes() == said.gross_return[:row].tobytes()
    assert moved.turnover[: row + 1].tobytes() == said.turnover[: row + 1].tobytes()


@settings(max_examples=60, deadline=None)
@given(any_strategy(), st.sampled_from(range(len(MARKETS))), st.integers(0, 1000), CASHES)
def test_days_compound_to_months(strategy, market, seed, cash):
    strategy = costing(strategy, **DEAR).model_copy(update={"cash": cash})
    _, prices = MARKETS[market]
    panel, score, raw = daily_case(market, seed)
    book, said = run(strategy, panel, score, raw)
    daily = daily_book(strategy, book, panel, said, prices)
    assert compounding_violations(daily, said) == []
    ruined = len(daily.nav) > 0 and daily.nav[-1] <= 0.0
    months = said.dates[said.dates <= daily.dates[-1]] if ruined else said.dates
    assert np.isin(months, daily.dates).all()
