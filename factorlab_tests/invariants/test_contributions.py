"""Laws of contributions, for any book, prices and gaps:

1. they sum to NAV_T − 1, mean weights to 1, and the items of a notable month to its net return;
2. leaving the order of the tickers aside, nothing depends on their names.

Tolerance: 1e-12 of the largest NAV on the way, as sums of some hundred products round.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.panel import VALUES, Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.evaluation.contributions import OTHERS, contributions, notable_months
from factorlab_assets.strategy import Strategy
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import NAN, resolved_of

EXAMPLES = settings(max_examples=150, deadline=None)


def assert_adds_up(strategy: Strategy, panel: Panel, book: Book) -> Backtest:
    said = simulate(strategy, book, panel, np.full(len(panel.dates), NAN))
    resolved = resolved_of(strategy, panel.tickers.tolist())
    rows = contributions(resolved, panel, book, said)
    months = notable_months(resolved, panel, book, said)
    if len(said.nav) == 0:
        assert (rows, months) == ([], [])
        return said
    total = sum(float(str(row["contribution"])) for row in rows)
    within = 1e-12 * max(1.0, float(np.abs(said.nav).max()))
    assert total == pytest.approx(said.nav[-1] - 1.0, abs=within)
    assert sum(float(str(row["mean_weight"])) for row in rows) == pytest.approx(1.0, abs=1e-12)
    held = np.abs(book.weights[book.start :][: len(said.nav)]).sum(axis=0) > 0
    named = {str(row["item"]) for row in rows} - set(OTHERS)
    assert named >= set(panel.tickers[held].tolist())
    of: dict[object, list[dict[str, object]]] = {}
    for row in months:
        of.setdefault(row["date"], []).append(row)
    assert len(of) == min(10, len(said.nav))
    for own in of.values():
        part = sum(float(str(row["contribution"])) for row in own)
        assert part == pytest.approx(float(str(own[0]["net_return"])), abs=1e-12)
        assert len({row["item"] for row in own}) == len(own)
    return said


@EXAMPLES
@given(any_strategy(), any_case(longest=40))
def test_contributions_sum_to_what_was_earned(
    strategy: Strategy, case: tuple[Panel, Floats, Floats]
):
    panel, score, raw = case
    book = build(strategy, score, panel, raw_filter=raw, universe_size=len(panel.tickers))
    assert_adds_up(strategy, panel, book)


@EXAMPLES
@given(any_strategy(), any_case(longest=40), st.integers(0, 2**32 - 1))
def test_they_do_so_for_weights_that_nobody_would_choose(
    strategy: Strategy, case: tuple[Panel, Floats, Floats], seed: int
):
    panel, rng = case[0], np.random.default_rng(seed)
    weights = rng.normal(0.3, 1.0, panel.price.shape) * (rng.random(panel.price.shape) < 0.7)
    start = int(rng.integers(len(weights)))
    weights[:start] = 0.0
    assert_adds_up(strategy, panel, Book(weights, np.zeros(weights.shape, dtype=np.int8), start))


@EXAMPLES
@given(any_strategy(), any_case(longest=24), st.randoms(use_true_random=False))
def test_another_order_of_tickers_moves_nothing(
    strategy: Strategy, case: tuple[Panel, Floats, Floats], random: Random
):
    panel, score, raw = case
    book = build(strategy, score, panel, raw_filter=raw, universe_size=len(panel.tickers))
    order = list(range(len(panel.tickers)))
    random.shuffle(order)
    values = (getattr(panel, name)[:, order] for name in VALUES)
    shuffled = Panel(panel.dates, panel.tickers, *values)
    other = Book(book.weights[:, order], book.reason[:, order], book.start, book.outcome)
    renamed = {str(panel.tickers[was]): str(panel.tickers[now]) for now, was in enumerate(order)}
    found = []
    for on, held in ((panel, book), (shuffled, other)):
        said = simulate(strategy, held, on, np.full(len(on.dates), NAN))
        rows = contributions(resolved_of(strategy, on.tickers.tolist()), on, held, said)
        found.append({str(row["item"]): float(str(row["contribution"])) for row in rows})
    first = {renamed.get(item, item): value for item, value in found[0].items()}
    assert first == pytest.approx(found[1], abs=1e-12)
