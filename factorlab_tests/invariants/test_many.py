"""Laws of a batch, for any strategies, prices and gaps:

1. each row is what the strategy earns by itself;
2. its neighbours do not matter, nor their order and number, to the last bit;
3. nothing before a cut changes when the panel ends there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core import many, many_books, research
from factorlab_assets.core.panel import Panel
from factorlab_assets.strategy import Resolved
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

EXAMPLES = settings(max_examples=120, deadline=None)
TOLERANCE = 1e-12


@st.composite
def any_resolved(draw: st.DrawFn, tickers: list[str]) -> Resolved:
    """Any strategy, most of them such as a batch is made for, over some or all tickers."""
    strategy = draw(any_strategy())
    params = {"lookback": draw(st.sampled_from([1, 2, 3])), "skip": 0}
    transforms = draw(st.sampled_from([[], [{"kind": "rank"}], [{"kind": "zscore"}]]))
    xsmom = {"name": "xsmom", "params": params, "delay": 0, "transforms": transforms}
    trend = {"name": "trend", "params": {"lookback": 2}, "delay": 1, "weight": -0.4}
    said: dict[str, Any] = strategy.model_dump(exclude_unset=True)
    said["factors"] = draw(st.sampled_from([[xsmom], [xsmom, trend]]))
    said["portfolio"]["min_names"] = draw(st.sampled_from([None, 1, 2]))
    if draw(st.integers(0, 3)):
        said["schedule"], said["execution"]["trade_at"] = {}, "close"
    if draw(st.booleans()):
        said["portfolio"]["weighting"] = "rank"
    if draw(st.booleans()):
        said["portfolio"]["select"]["only_positive"] = "xsmom"
    if draw(st.booleans()):
        said["portfolio"]["max_weight"] = 1.0
    some = draw(st.sampled_from([None, tickers, tickers[::2]]))
    return resolved_of(type(strategy).model_validate(said), some)


@st.composite
def any_batch(draw: st.DrawFn) -> tuple[list[Resolved], Panel]:
    """Up to five strategies; some prices of the panel were another, or none, at their time."""
    panel, raw, _ = draw(any_case())
    seen = panel.price.copy()
    if draw(st.booleans()):
        odd = np.abs(np.nan_to_num(raw)) < 0.1
        seen[odd] *= np.where(raw[odd] > 0.0, 1.5, NAN)
    panel = replace(panel, seen=seen)
    each = any_resolved(panel.tickers.tolist())
    return draw(st.lists(each, min_size=1, max_size=5)), panel


@EXAMPLES
@given(any_batch())
def test_each_row_is_what_the_strategy_earns_by_itself(case):
    strategies, market = case
    batch = many.evaluate(strategies, market)
    for i, resolved in enumerate(strategies):
        one = research.run(resolved, market)
        assert batch.start[i] == one.book.start
        first, rows = one.book.start + 1, len(one.backtest.dates)
        for name in many.VALUES:
            said = getattr(batch, name)[i]
            expected = getattr(one.backtest, name)
            assert said[first : first + rows] == pytest.approx(expected, abs=TOLERANCE), name
            assert np.isnan(said[:first]).all()
            assert np.isnan(said[first + rows :]).all()


@EXAMPLES
@given(any_batch())
def test_neighbours_do_not_matter(case):
    strategies, market = case
    batch = many.evaluate(strategies, market)
    backwards = many.evaluate(strategies[::-1], market)
    for i, resolved in enumerate(strategies):
        alone = many.evaluate([resolved], market)
        for name in many.VALUES:
            said = getattr(batch, name)[i]
            assert said.tobytes() == getattr(backwards, name)[-1 - i].tobytes(), name
            assert said.tobytes() == getattr(alone, name)[0].tobytes(), name


def grid() -> list[Resolved]:
    """Of everything that a batch is quick at: 24 scores, and what holds few and many names."""
    selects: list[dict[str, Any]] = [{}, {"top_k": 5}, {"top_k": 9}, {"fraction": 0.4}]
    every = product(range(2, 14), (0, 1), selects, ("equal", "signal", "rank"), (False, True))
    return [
        resolved_of(
            strategy_of(
                factors=[{"name": "xsmom", "params": {"lookback": n, "skip": skip}, "delay": 0}],
                portfolio={
                    "type": "long_short" if is_odd else "long_only",
                    "select": select,
                    "weighting": weighting,
                    "min_names": 2,
                },
                execution={"turnover": "target" if is_odd and n % 2 else "drifted"},
                costs={"tc_bps": 7.0, "borrow_ann": 0.02},
                cash={"yield_ann": 0.03},
            ),
            None,
        )
        for n, skip, select, weighting, is_odd in every
    ]


def walks(months: int, names: int) -> Panel:
    """Random walks, some of them listed late."""
    rng = np.random.default_rng([months, names])
    price = 50.0 * np.exp(np.cumsum(0.06 * rng.standard_normal((months, names)), axis=0))
    price[: months // 3, ::4] = NAN
    return panel_of({f"T{i:03d}": price[:, i] for i in range(names)})


GRID = grid()
SIZES = ((240, 13), (60, 40), (5, 30))


@cache
def whole(size: tuple[int, int]) -> tuple[Panel, many.Batch]:
    """A panel, and all of the grid on it."""
    panel = walks(*size)
    return panel, many.evaluate(GRID, panel)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.lists(st.sampled_from(range(len(GRID))), min_size=1, max_size=40, unique=True),
    st.sampled_from([2**6, 2**11, 2**17]),
)
def test_some_of_a_large_batch_are_what_they_are_in_all_of_it(size, some, cells):
    panel, every = whole(size)
    with mock.patch.object(many_books, "MOST_CELLS", cells):
        part = many.evaluate([GRID[i] for i in some], panel)
    for name in many.VALUES:
        said, expected = getattr(part, name), getattr(every, name)[some]
        assert said.tobytes() == expected.tobytes(), name
    assert part.start.tolist() == every.start[some].tolist()
    assert list(part.alone) == [every.alone[i] for i in some]


def test_the_large_batches_are_of_every_kind():
    for size in SIZES:
        _, batch = whole(size)
        quick = [not why for why in batch.alone]
        assert sum(quick) > len(GRID) / 2, size
        assert np.isfinite(batch.net_return).any(axis=1)[quick].sum() > 50, size


@EXAMPLES
@given(any_batch(), st.data())
def test_nothing_before_a_cut_knows_what_comes_after(case, data):
    strategies, market = case
    months = data.draw(st.integers(1, len(market.dates)))
    whole = many.evaluate(strategies, market)
    part = many.evaluate(strategies, market.until(market.dates[months - 1]))
    for name in many.VALUES:
        said, expected = getattr(part, name), getattr(whole, name)[:, :months]
        assert said == pytest.approx(expected, abs=TOLERANCE, nan_ok=True), name
