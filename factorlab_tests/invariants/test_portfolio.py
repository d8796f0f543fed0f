"""Laws of every book, for any scores, prices and gaps:

1. weights keep sign, max_weight, leg totals and gross;
2. the order of tickers is no part of it: renaming them, where nobody ties, renames the weights;
3. nothing before a cut changes when the panel ends there, to the last bit;
4. scores scaled by a power of two give the same book;
5. nobody is bought without a score and a price, and whoever cannot be traded is not.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.book import DELISTED, DRIFT, UNPRICED, Book
from factorlab_assets.core.identities import constraint_violations
from factorlab_assets.core.panel import VALUES, Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.strategy import Strategy
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import resolved_of

EXAMPLES = settings(max_examples=150, deadline=None)


def built(strategy: Strategy, panel: Panel, score: Floats, raw: Floats | None) -> Book:
    return build(strategy, score, panel, raw_filter=raw, universe_size=len(panel.tickers))


@EXAMPLES
@given(any_strategy(), any_case())
def test_weights_keep_their_constraints(strategy, case):
    panel, score, raw = case
    for raw_filter in (None, raw):
        book = built(strategy, panel, score, raw_filter)
        cell = resolved_of(strategy, panel.tickers.tolist())
        assert constraint_violations(cell, panel, book) == []
        assert np.isfinite(book.weights).all()


@EXAMPLES
@given(any_strategy(), any_case(), st.randoms(use_true_random=False))
def test_renaming_tickers_renames_weights(strategy, case, random):
    panel, score, raw = case
    order = list(range(len(panel.tickers)))
    random.shuffle(order)
    values = (getattr(panel, name)[:, order] for name in VALUES)
    shuffled = Panel(panel.dates, panel.tickers, *values)
    expected = built(strategy, panel, score, raw)
    said = built(strategy, shuffled, score[:, order], raw[:, order])
    assert said.start == expected.start
    # Sums over another order of names round otherwise.
    np.testing.assert_allclose(said.weights, expected.weights[:, order], rtol=0, atol=1e-12)
    assert np.array_equal(said.reason == UNPRICED, expected.reason[:, order] == UNPRICED)


@EXAMPLES
@given(any_strategy(), any_case(), st.data())
def test_nothing_before_a_cut_knows_what_comes_after(strategy, case, data):
    panel, score, raw = case
    months = data.draw(st.integers(1, len(panel.dates)))
    whole = built(strategy, panel, score, raw)
    cut = panel.until(panel.dates[months - 1])
    part = built(strategy, cut, score[:months], raw[:months])
    assert part.weights.tobytes() == whole.weights[:months].tobytes()
    assert part.reason.tobytes() == whole.reason[:months].tobytes()
    assert part.start == min(whole.start, months)


@EXAMPLES
@given(any_strategy(), any_case(), st.integers(-40, 40))
def test_the_size_of_scores_does_not_matter(strategy, case, power):
    panel, score, raw = case
    expected = built(strategy, panel, score, raw)
    said = built(strategy, panel, score * 2.0**power, raw)
    assert said.weights.tobytes() == expected.weights.tobytes()


@EXAMPLES
@given(any_strategy(), any_case())
def test_only_known_names_are_bought_and_only_priced_ones_traded(strategy, case):
    panel, score, raw = case
    book = built(strategy, panel, score, raw)
    held = book.weights != 0.0
    eligible = np.isfinite(panel.price) & np.isfinite(score)
    untraded = (book.reason == DRIFT) | (book.reason == UNPRICED)
    assert (eligible | untraded)[held].all()
    before = np.vstack([np.zeros_like(held[:1]), held[:-1]])
    assert before[(book.reason == UNPRICED) | (book.reason == DELISTED)].all()
    assert not held[book.reason == DELISTED].any()
    appears = held & ~before
    assert np.isfinite(panel.price)[appears].all()
