"""Laws of every book that is built date by date, for any options, scores, prices and gaps:

1. every declared limit holds on every date that trades, or the date says that it does not;
2. the order of tickers is no part of it: renaming them, where nobody ties, renames the weights;
3. nothing before a cut changes when the panel ends there, to the last bit;
4. neither the size of prices nor the unit they are quoted in matters;
5. nobody is bought without a score and a price, and whoever cannot be traded is not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factorlab_assets.core.book import DELISTED, DRIFT, KEPT, SAFE, UNPRICED, Book
from factorlab_assets.core.identities import constraint_violations
from factorlab_assets.core.panel import VALUES, Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.core.risk import betas
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.invariants.any_book import GROUPS, any_case, any_engine_strategy

EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    # Half of what is drawn contradicts itself.
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
CASES = any_case(longest=24)


def built(
    strategy: Strategy, panel: Panel, score: Floats, raw: Floats, groups: dict[str, str] = GROUPS
) -> Book:
    portfolio = strategy.portfolio
    return build(
        strategy,
        score,
        panel,
        raw_filter=raw if portfolio.select.only_positive else None,
        universe_size=len(panel.tickers),
        betas=betas(portfolio.beta, panel, panel) if portfolio.needs_beta else None,
        groups={t: groups[t] for t in panel.tickers.tolist()},
    )


@EXAMPLES
@given(any_engine_strategy(), CASES)
def test_limits_hold_or_the_date_says_so(strategy, case):
    panel, score, raw = case
    book = built(strategy, panel, score, raw)
    cell = Resolved(
        strategy=strategy,
        tickers=tuple(panel.tickers.tolist()),
        asset_classes={},
        groups={"asset_class": GROUPS},
    )
    assert constraint_violations(cell, panel, book) == []
    assert np.isfinite(book.weights).all()
    assert set(book.outcome[: book.start]) <= {""}


@EXAMPLES
@given(any_engine_strategy(), CASES, st.randoms(use_true_random=False))
def test_renaming_tickers_renames_weights(strategy, case, random):
    panel, score, raw = case
    order = list(range(len(panel.tickers)))
    random.shuffle(order)
    values = (getattr(panel, name)[:, order] for name in VALUES)
    shuffled = Panel(panel.dates, panel.tickers, *values)
    new = {str(panel.tickers[was]): str(panel.tickers[now]) for now, was in enumerate(order)}
    groups = GROUPS | {name: GROUPS[was] for was, name in new.items()}
    expected = built(strategy, panel, score, raw)
    said = built(renamed(strategy, new), shuffled, score[:, order], raw[:, order], groups)
    assert said.start == expected.start
    np.testing.assert_allclose(said.weights, expected.weights[:, order], rtol=0, atol=1e-9)


def renamed(strategy: Strategy, new: dict[str, str]) -> Strategy:
    """The same strategy where every ticker that it names has its new name."""
    portfolio = strategy.portfolio
    safe, market = portfolio.select.safe, portfolio.beta.market
    changes: dict[str, Any] = {
        "select": portfolio.select.model_copy(update={"safe": new.get(safe or "", safe)}),
        "beta": portfolio.beta.model_copy(update={"market": new.get(market, market)}),
    }
    return strategy.model_copy(update={"portfolio": portfolio.model_copy(update=changes)})


@EXAMPLES
@given(any_engine_strategy(), CASES, st.data())
def test_nothing_before_a_cut_knows_what_comes_after(strategy, case, data):
    panel, score, raw = case
    months = data.draw(st.integers(1, len(panel.dates)))
    whole = built(strategy, panel, score, raw)
    part = built(strategy, panel.until(panel.dates[months - 1]), score[:months], raw[:months])
    assert part.weights.tobytes() == whole.weights[:months].tobytes()
    assert part.reason.tobytes() == whole.reason[:months].tobytes()
    assert part.outcome.tolist() == whole.outcome[:months].tolist()


@EXAMPLES
@given(any_engine_strategy(), CASES, st.integers(-9, 9), st.sampled_from([1.0, 1.37]))
def test_the_size_of_prices_does_not_matter(strategy, case, power, unit):
    panel, score, raw = case
    # Each ticker by another power of two: returns are the same to the last bit.
    size = unit * 2.0 ** (power * np.arange(len(panel.tickers)) % 7)
    scaled = replace(panel, **{name: getattr(panel, name) * size for name in VALUES})
    expected, said = built(strategy, panel, score, raw), built(strategy, scaled, score, raw)
    if unit == 1.0:
        assert said.weights.tobytes() == expected.weights.tobytes()
    np.testing.assert_allclose(said.weights, expected.weights, rtol=0, atol=1e-9)


@EXAMPLES
@given(any_engine_strategy(), CASES)
def test_only_known_names_are_bought_and_only_priced_ones_traded(strategy, case):
    panel, score, raw = case
    book = built(strategy, panel, score, raw)
    held = book.weights != 0.0
    before = np.vstack([np.zeros_like(held[:1]), held[:-1]])
    appears = held & ~before & ~np.isin(book.reason, (DRIFT, KEPT))
    assert np.isfinite(panel.price)[appears].all()
    assert (np.isfinite(score) | (book.reason == SAFE))[appears].all()
    assert before[(book.reason == UNPRICED) | (book.reason == DELISTED)].all()
    assert not held[book.reason == DELISTED].any()
