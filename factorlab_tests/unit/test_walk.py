"""What a walk forward earns as one book: by hand, with what a change of the choice costs, and blind
to what comes after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import many, research
from factorlab_assets.core.book import Book, no_outcomes
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.splits import Earned
from factorlab_assets.evaluation.walk import SCHEMES, Stitched, stitched
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_sweep import Sweep
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

LOOKBACKS = (1, 3, 6)
PATH = "factors.xsmom.lookback"
MONTHS, TRAIN, TEST = 72, 24, 6


def prices(seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return np.asarray(50.0 * np.exp(np.cumsum(0.08 * rng.standard_normal((MONTHS, 6)), axis=0)))


def panel(price: Floats) -> Panel:
    return panel_of({f"T{i}": price[:, i] for i in range(price.shape[1])})


def momentum(lookback: int = 1, **said: Any) -> Resolved:
    factor = {"name": "xsmom", "params": {"lookback": lookback, "skip": 0}, "delay": 0}
    portfolio = {"select": {"top_k": 2}, "min_names": 4}
    plain = {"costs": {"tc_bps": 60.0, "slippage_bps": 40.0}, "cash": {"yield_ann": 0.03}}
    parts = plain | {"portfolio": portfolio, "benchmark": "T0"} | said
    return resolved_of(strategy_of(factors=[factor], **parts), None)


def sweep_of(path: str, values: tuple[Any, ...]) -> Sweep:
    windows = {"train_months": TRAIN, "test_months": TEST}
    return Sweep.model_validate({"parameters": {path: values}, "walk_forward": windows})


def earned_by(each: list[Resolved], market: Panel) -> Earned:
    batch = many.evaluate(each, market)
    rf = np.full(batch.net_return.shape, 0.03 / 12.0)
    rf[np.isnan(batch.net_return)] = NAN
    return Earned(batch.net_return, rf, research.benchmark_returns(each[0], market))


def books(each: list[Resolved], market: Panel) -> Callable[[int], Book]:
    return lambda i: research.run(each[i], market).book


def walked(
    scheme: Any = "rolling", price: Floats | None = None, path: str = PATH, **said: Any
) -> tuple[Stitched, Earned, list[Resolved], Panel]:
    market = panel(prices() if price is None else price)
    each = [momentum(lookback, **said) for lookback in LOOKBACKS]
    earned = earned_by(each, market)
    sweep = sweep_of(path, LOOKBACKS)
    found = stitched(scheme, sweep, each[0], market, earned, books(each, market))
    return found, earned, each, market


def choices_by_hand(earned: Earned, scheme: str) -> list[int]:
    """Per test month: the highest Sharpe ratio of the training months before its window."""
    excess = earned.net - earned.rf
    first = int(np.isfinite(excess).all(axis=0).argmax())
    chosen = []
    for t in range(first + TRAIN, MONTHS):
        at = first + TRAIN + (t - first - TRAIN) // TEST * TEST
        seen = excess[:, first if scheme == "anchored" else at - TRAIN : at]
        chosen.append(int((seen.mean(axis=1) / seen.std(axis=1, ddof=1)).argmax()))
    return chosen


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_book_earns_what_its_weights_earn(scheme):
    """The weights are put one below another here, and handed to the backtest."""
    found, earned, each, market = walked(scheme)
    chosen = choices_by_hand(earned, scheme)
    first = MONTHS - len(chosen)
    assert found.chosen == chosen
    assert len(set(chosen)) > 1
    assert found.dates.tolist() == market.dates[first:].tolist()
    held = [research.run(one, market).book for one in each]
    weights = np.zeros((MONTHS, 6))
    for t, i in zip(range(first, MONTHS), chosen, strict=True):
        weights[t - 1] = held[i].weights[t - 1]
    weights[-1] = held[chosen[-1]].weights[-1]
    book = Book(weights, np.zeros(weights.shape, np.int8), first - 1, no_outcomes(MONTHS))
    expected = research.run_backtest(each[0], market, book)
    assert found.net == pytest.approx(expected.net_return, abs=1e-12)
    assert found.rf == pytest.approx(np.full(len(chosen), 0.03 / 12.0), abs=1e-15)
    assert found.benchmark == pytest.approx(
        market.price[first:, 0] / market.price[first - 1 : -1, 0] - 1.0, abs=1e-12
    )


def test_a_change_pays_for_its_trade_and_other_months_for_their_own():
    found, earned, each, market = walked()
    first = MONTHS - len(found.chosen)
    own = earned.net[found.chosen, range(first, MONTHS)]
    changes = 1 + np.flatnonzero(np.diff(found.chosen))
    assert len(changes) >= 2
    same = np.setdiff1d(np.arange(1, len(own)), changes)
    assert found.net[same] == pytest.approx(own[same], abs=1e-12)
    runs = [research.run(one, market) for one in each]
    for row in changes:
        t, now, before = first + row, found.chosen[row], found.chosen[row - 1]
        grown = runs[before].book.weights[t - 2] * market.price[t - 1] / market.price[t - 2]
        traded = np.abs(runs[now].book.weights[t - 1] - grown / grown.sum()).sum()
        gross = runs[now].book.weights[t - 1] @ (market.price[t] / market.price[t - 1]) - 1.0
        assert found.net[row] == pytest.approx(gross - 0.01 * traded, abs=1e-12)
    assert found.note.endswith("; changes of the choice are traded and paid")
    n = len(changes)
    assert found.note.startswith(f"7 rolling windows, {n} changes of the choice; ")


@pytest.mark.parametrize(
    ("path", "is_traded"),
    [
        ("factors.xsmom.lookback", True),
        ("portfolio.select.top_k", True),
        ("combine.condition", True),
        ("costs.tc_bps", False),
        ("universe.min_history", False),
        ("schedule.every_months", False),
        ("benchmark", False),
    ],
)
def test_only_what_decides_weights_alone_is_one_book(path, is_traded):
    found, earned, *_ = walked(path=path)
    own = earned.net[found.chosen, range(MONTHS - len(found.chosen), MONTHS)]
    if is_traded:
        assert found.note.endswith("; changes of the choice are traded and paid")
        assert np.abs(found.net - own).max() > 0.005
    else:
        assert found.note.endswith("; the cost of changing the choice is left out")
        assert found.net == pytest.approx(own, abs=0.0)


def test_a_sweep_over_costs_asks_for_no_book():
    market = panel(prices())
    each = [momentum(3, costs={"tc_bps": bps, "slippage_bps": 0.0}) for bps in (0.0, 50.0)]

    def none(_: int) -> Book:
        raise AssertionError("no book is needed")

    sweep = sweep_of("costs.tc_bps", (0.0, 50.0))
    found = stitched("anchored", sweep, each[0], market, earned_by(each, market), none)
    assert set(found.chosen) == {0}
    assert "0 changes of the choice; the cost of changing the choice is left out" in found.note


@pytest.mark.parametrize("scheme", SCHEMES)
def test_prices_to_come_change_nothing_before_them(scheme):
    before = walked(scheme)[0]
    first = MONTHS - len(before.chosen)
    moved = 0
    for cut in range(first + 1, MONTHS, TEST):  # a month after each window begins
        price = prices()
        price[cut:] = price[cut - 1] * np.exp(
            np.cumsum(0.3 * np.random.default_rng(cut).standard_normal((MONTHS - cut, 6)), axis=0)
        )
        after = walked(scheme, price)[0]
        known = cut - first
        assert after.net[:known].tolist() == before.net[:known].tolist()
        assert after.benchmark[:known].tolist() == before.benchmark[:known].tolist()
        # The choice of the window that holds the cut was made before it, too.
        decided = min(known + TEST - 1, len(before.chosen))
        assert after.chosen[:decided] == before.chosen[:decided]
        moved += after.chosen != before.chosen
        assert after.net[known] != before.net[known]
    assert moved


def test_a_month_without_a_return_is_left_out_and_said():
    market = panel(prices())
    each = [momentum(3), momentum(6)]
    earned = earned_by(each, market)
    earned.net[:, 50] = NAN  # falls into a test window: nobody can be chosen on it later
    sweep = sweep_of("costs.tc_bps", (1.0, 2.0))
    found = stitched("rolling", sweep, each[0], market, earned, books(each, market))
    assert market.dates[50] not in found.dates
    assert np.isfinite(found.net).all()
    assert "months without a return" in found.note
    rows = list(found.rows(["a", "b"]))
    assert [row["date"] for row in rows] == found.dates.tolist()


def test_rows_name_the_choice_and_grow():
    found = walked()[0]
    rows = list(found.rows(["one", "three", "six"]))
    assert len(rows) == len(found.dates)
    assert {row["scheme"] for row in rows} == {"rolling"}
    assert [row["combination"] for row in rows] == [
        ["one", "three", "six"][i] for i in found.chosen
    ]
    assert [row["nav"] for row in rows] == pytest.approx(np.cumprod(1.0 + found.net), rel=1e-12)
    assert [row["net_return"] for row in rows] == found.net.tolist()


def test_too_short_a_history_is_refused():
    with pytest.raises(FactorLabError, match="longer than the history"):
        walked(price=prices()[:30])


def test_a_rate_of_cash_by_month_or_by_combination_is_the_same():
    found, earned, each, market = walked()
    common = Earned(earned.net, np.full(MONTHS, 0.03 / 12.0), earned.benchmark)
    sweep = sweep_of(PATH, LOOKBACKS)
    again = stitched("rolling", sweep, each[0], market, common, books(each, market))
    assert again.rf.tolist() == found.rf.tolist()
    assert again.net.tolist() == found.net.tolist()
