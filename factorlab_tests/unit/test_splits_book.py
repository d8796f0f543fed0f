"""One book of a walk's choices: whose rows it has, and that going from one to the next costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import many, research
from factorlab_assets.core.book import BEFORE_START, NOT_SELECTED, Book
from factorlab_assets.core.holding import rebalances
from factorlab_assets.core.panel import Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.splits import (
    NONE,
    Earned,
    Walk,
    Window,
    as_traded,
    stitched_book,
    walk_forward,
)
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_sweep import WalkForward
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of


def random_panel() -> Panel:
    rng = np.random.default_rng(4)
    price = 50.0 * np.exp(np.cumsum(0.08 * rng.standard_normal((60, 6)), axis=0))
    return panel_of({f"T{i}": price[:, i] for i in range(6)})


def momentum(lookback: int, **said: Any) -> Resolved:
    factor = {"name": "xsmom", "params": {"lookback": lookback, "skip": 0}, "delay": 0}
    portfolio = {"select": {"top_k": 2}, "min_names": 4}
    parts = {"costs": {"tc_bps": 60.0, "slippage_bps": 40.0}, "portfolio": portfolio} | said
    return resolved_of(strategy_of(factors=[factor], **parts), None)


def stitched(**said: Any) -> tuple[Walk, list[research.Result], Any, Resolved]:
    """A walk over three momentum strategies, each by itself, and the walk's own backtest."""
    market = random_panel()
    each = [momentum(lookback, **said) for lookback in (1, 3, 6)]
    batch = many.evaluate(each, market)
    earned = Earned(batch.net_return, np.zeros(60), np.zeros(60))
    wanted = WalkForward(train_months=12, test_months=5)
    walk = walk_forward(earned, market.dates, wanted, "rolling")
    runs = [research.run(one, market) for one in each]
    book = stitched_book(walk, {i: run.book for i, run in enumerate(runs)})
    assert book.start == walk.windows[0].train.stop - 1
    resolved = as_traded(each[0])
    return walk, runs, research.run_backtest(resolved, market, book), resolved


class TestStitchedBook:
    def by_month(self, backtest: Any, column: str) -> dict[Any, float]:
        return dict(zip(backtest.dates.tolist(), getattr(backtest, column), strict=True))

    @pytest.mark.parametrize("every", [1, 3])
    def test_gross_is_that_of_the_choice_and_changes_cost(self, every: int):
        walk, runs, whole, resolved = stitched(schedule={"every_months": every})
        market = random_panel()
        gross = [self.by_month(run.backtest, "gross_return") for run in runs]
        turnover = [self.by_month(run.backtest, "turnover") for run in runs]
        changes = 0
        for row, date in enumerate(whole.dates.tolist()):
            t = int(np.searchsorted(market.dates, np.datetime64(date)))
            now, before = walk.chosen[t], walk.chosen[t - 1]
            assert whole.gross_return[row] == pytest.approx(gross[now][date], abs=1e-12)
            if row == 0:
                assert whole.turnover[row] == pytest.approx(1.0, abs=1e-12)
            elif now == before:
                assert whole.turnover[row] == pytest.approx(turnover[now][date], abs=1e-12)
            else:
                held = runs[before].book.weights[t - 2]
                moved = market.price[t - 1] / market.price[t - 2]
                drifted = held * moved / (held @ moved)
                traded = np.abs(runs[now].book.weights[t - 1] - drifted).sum()
                assert whole.turnover[row] == pytest.approx(traded, abs=1e-12)
                assert whole.cost[row] == pytest.approx(0.01 * traded, abs=1e-12)
                changes += 1
        assert changes >= 2
        assert resolved.strategy.schedule.every_months == 1
        assert whole.dates.tolist() == market.dates[walk.chosen != NONE].tolist()

    def test_left_to_its_own_schedule_a_change_would_be_free(self):
        # why the stitched book is run as_traded
        walk, runs, whole, _ = stitched(schedule={"every_months": 3})
        market = random_panel()
        book = stitched_book(walk, {i: run.book for i, run in enumerate(runs)})
        own = momentum(1, schedule={"every_months": 3})
        free = research.run_backtest(own, market, book)
        assert free.cost.sum() < whole.cost.sum() - 0.005
        trades = rebalances(market.dates, book.start, as_traded(own).strategy.schedule)
        assert trades[book.start :].all()

    def test_turnover_is_from_what_the_book_became(self):
        _, _, whole, resolved = stitched(execution={"turnover": "target"})
        assert resolved.strategy.execution.turnover == "drifted"
        assert whole.turnover[1:].max() > 0.0

    def test_rows_are_those_of_the_choice_and_the_last_is_the_last_one(self):
        books = {i: book_of(i + 1.0) for i in range(2)}
        walk = walk_of([NONE, NONE, 0, 0, 1])
        book = stitched_book(walk, books)
        assert book.weights[:, 0].tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]
        assert book.start == 1
        assert (book.reason[0] == BEFORE_START).all()
        assert book.outcome.tolist() == ["", "said 1.0", "said 1.0", "said 2.0", "said 2.0"]

    def test_without_a_choice_nothing_is_held(self):
        book = stitched_book(walk_of([NONE, NONE, 0, NONE, 0]), {0: book_of(1.0)})
        assert book.weights[:, 0].tolist() == [0.0, 1.0, 0.0, 1.0, 1.0]
        assert (book.reason[2] == NOT_SELECTED).all()
        assert book.outcome[2] == "no combination could be chosen"

    def test_books_that_do_not_fit_are_refused(self):
        walk = walk_of([NONE, NONE, 0, 0, 1])
        with pytest.raises(FactorLabError, match=r"cannot be one book.*books of \[0, 1\]"):
            stitched_book(walk, {0: book_of(1.0)})
        with pytest.raises(FactorLabError, match="cannot be one book"):
            stitched_book(walk, {0: book_of(1.0), 1: book_of(1.0, names=3)})


def book_of(weight: float, names: int = 2) -> Book:
    weights = np.full((5, names), weight)
    outcome = np.full(5, f"said {weight}", dtype=object)
    return Book(weights, np.full((5, names), 4, dtype=np.int8), 0, outcome)


def walk_of(chosen: list[int]) -> Walk:
    last = Window(slice(0, 2), slice(2, 5), chosen[-1], 1.0)
    return Walk("rolling", (last,), np.array(chosen), np.zeros(5))
