"""Laws of every backtest, for any book, prices and gaps:

1. it adds up: turnover, cost, net, NAV, drawdown;
2. raising costs never raises the net return of any month;
3. prices quoted in another unit change nothing;
4. nothing before a cut changes when the panel ends there, to the last bit;
5. the next month's return of one name reaches the row through its weight alone;
6. days compound to months.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.daily import daily_book
from factorlab_assets.core.holding import carried
from factorlab_assets.core.identities import compounding_violations, identity_violations
from factorlab_assets.core.panel import VALUES, Floats, Panel
from factorlab_assets.core.portfolio import Book, build
from factorlab_assets.strategy import Strategy
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import NAN, daily_market, resolved_of

EXAMPLES = settings(max_examples=150, deadline=None)


def run(strategy: Strategy, panel: Panel, score: Floats, raw: Floats) -> tuple[Book, Backtest]:
    book = build(strategy, score, panel, raw_filter=raw, universe_size=len(panel.tickers))
    return book, simulate(strategy, book, panel, np.full(len(panel.dates), NAN))


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


MARKETS = [daily_market(14, "ABCDE", seed=seed, gaps=0.05) for seed in range(4)]


@settings(max_examples=60, deadline=None)
@given(any_strategy(), st.sampled_from(range(len(MARKETS))), st.integers(0, 1000))
def test_days_compound_to_months(strategy, market, seed):
    panel, prices = MARKETS[market]
    score, raw = np.random.default_rng(seed).standard_normal((2, *panel.price.shape))
    score[np.isnan(panel.price)] = NAN
    book, said = run(strategy, panel, score, raw)
    daily = daily_book(strategy, book, panel, said, prices)
    assert compounding_violations(daily, said) == []
    assert np.isin(said.dates, daily.dates).all()
