"""The strategy with one thing changed that needs no other book: costs, starts and years, against
`research.run` on a strategy changed by hand, or against arithmetic on its returns.

Invariants: costs only lower figures; settings appear once, in order (`rows_of`).
Tolerance 1e-12: the same sums in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest, growth
from factorlab_assets.evaluation.robustness import break_even, robustness
from factorlab_tests.robust_books import (
    COSTS,
    FEW,
    NAMES,
    TOP,
    assert_says,
    figures,
    market_at,
    ran,
    rows_of,
    top_two,
)
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

# --- costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("turnover", ["drifted", "target"])
def test_costs_are_those_of_a_strategy_that_says_so(turnover: str):
    said = {"execution": {"turnover": turnover}, "cash": {"yield_ann": 0.02}}
    rows, own = rows_of(top_two(**said))
    for bps in FEW.costs_bps:
        costs = COSTS | {"tc_bps": bps, "slippage_bps": 0.0}
        expected = figures(ran(top_two(**said, costs=costs), market_at(0)))
        row = rows["cost"][f"{bps:g} bps"]
        assert_says(row, expected)
        change = expected["sharpe"] - figures(own)["sharpe"]
        assert row["sharpe_change"] == pytest.approx(change, abs=1e-12)
        assert row["value_bps"] == bps
        assert "spread and impact as they are" in row["note"]
    assert rows["cost"]["10 bps"]["sharpe_change"] == pytest.approx(0.0, abs=1e-12)
    falling = [row["cagr"] for row in rows["cost"].values()]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > falling[-1]


def test_at_its_break_even_cost_nothing_is_left():
    strategy = top_two(benchmark="BBB")
    rows, own = rows_of(strategy)

    def at(name: str) -> Backtest:
        bps = rows["break_even"][name]["value_bps"]
        return ran(top_two(costs=COSTS | {"tc_bps": bps, "slippage_bps": 0.0}), market_at(0))

    mean, cagr = at("mean net return"), at("cagr")
    assert mean.net_return.mean() == pytest.approx(0.0, abs=1e-15)
    assert growth(cagr.net_return)[-1] == pytest.approx(1.0, abs=1e-12)
    assert rows["break_even"]["cagr"]["cagr"] == pytest.approx(0.0, abs=1e-12)
    # A mean that is 0 shrinks: growth is gone before.
    values = {name: row["value_bps"] for name, row in rows["break_even"].items()}
    assert 0.0 < values["cagr"] < values["mean net return"]
    before = own.gross_return - own.spread_cost
    excess = 1e4 * (before - own.benchmark_return).sum() / own.turnover.sum()
    row = rows["break_even"]["mean excess over the benchmark"]
    assert row["value_bps"] == pytest.approx(excess, rel=1e-12)
    assert row["excess_ann"] == pytest.approx(0.0, abs=1e-12)


def backtest_of(gross: Sequence[float], turnover: Sequence[float], benchmark: float) -> Backtest:
    """Of these figures, everything else 0."""
    market = panel_of({"SPY": [100.0] * (len(gross) + 1)})
    fixed = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": {"SPY": 1.0}})
    plain = ran(fixed, market, ["SPY"])
    own = np.array(gross)
    return replace(
        plain,
        gross_return=own,
        net_return=own,
        turnover=np.array(turnover),
        benchmark_return=np.full(len(own), benchmark),
    )


def test_break_even_by_hand():
    # 2 % a month against 1 %, half of the capital traded a month: 2 % / 0.5 = 400 bps.
    rows = break_even(backtest_of([0.02] * 12, [0.5] * 12, 0.01))
    said = {row["setting"]: row["value_bps"] for row in rows}
    assert said == pytest.approx(
        {"mean net return": 400.0, "mean excess over the benchmark": 200.0, "cagr": 400.0}, rel=1e-9
    )


def test_growth_is_gone_where_the_product_is_one():
    # (1.1 − c)(0.95 − c) = 1 where c = 1.025 − √(1.025² − 0.045).
    rows = break_even(backtest_of([0.1, -0.05] * 6, [1.0] * 12, 0.01))
    expected = 1.025 - (1.025**2 - 0.045) ** 0.5
    assert rows[2]["value_bps"] == pytest.approx(1e4 * expected, rel=1e-9)
    assert rows[0]["value_bps"] == pytest.approx(250.0, rel=1e-12)


@pytest.mark.parametrize(
    ("gross", "turnover", "notes"),
    [
        (
            [-0.01] * 12,
            [0.5] * 12,
            ["loses before costs", "not above its benchmark", "does not grow"],
        ),
        ([0.02] * 12, [0.0] * 12, ["no turnover"] * 3),
        ([0.005] * 12, [0.5] * 12, ["", "never: it is not above its benchmark", ""]),
        ([0.1, -0.095] * 6, [1.0] * 12, ["", "not above its benchmark", "does not grow"]),
        ([0.05] * 11, [1.0] * 11, ["11 months; figures take at least 12"] * 3),
        # Trades the capital once: 60 % over it are more than the first month leaves.
        ([0.05] * 24, [1.0] + [0.0] * 23, ["at 10500 bps the costs of one month"] + [""] * 2),
    ],
)
def test_where_no_cost_breaks_even_the_row_says_why(
    gross: list[float], turnover: list[float], notes: list[str]
):
    for row, note in zip(break_even(backtest_of(gross, turnover, 0.01)), notes, strict=True):
        assert note in row["note"]
        assert np.isnan(row["value_bps"]) == bool(note)
        assert np.isnan(row["cagr"]) == bool(note)


def test_a_cost_that_takes_all_capital_has_no_figures():
    settings = FEW.model_copy(update={"costs_bps": (10_000.0,)})
    row = rows_of(top_two(), settings=settings)[0]["cost"]["10000 bps"]
    assert np.isnan(row["cagr"])
    assert row["note"].startswith("NAV at or below 0 on 201")


# --- starts and years ----------------------------------------------------------------------------


def test_starts_and_years_are_parts_of_the_same_returns():
    rows, own = rows_of(top_two())
    year = own.dates.astype("datetime64[Y]").astype(int) + 1970
    whole = figures(own)["sharpe"]
    assert list(rows["start"])[:5] == ["2011", "2012", "2013", "2014", "2015"]
    for start in (2011, 2012, 2013):
        row = rows["start"][str(start)]
        assert_says(row, figures(own, year >= start))
        assert row["n_months"] == 12 * (2016 - start)
        assert row["sharpe_change"] == pytest.approx(row["sharpe"] - whole, abs=1e-12)
    assert rows["start"]["2014"]["note"] == "24 months; figures take at least 36"
    assert np.isnan(rows["start"]["2014"]["sharpe"])
    assert "of 3 starts" in rows["start"]["median"]["note"]
    for gone in range(2010, 2016):
        row = rows["without_year"][str(gone)]
        expected = figures(own, year != gone)
        assert row["sharpe"] == pytest.approx(expected["sharpe"], rel=1e-12)
        assert row["excess_ann"] == pytest.approx(expected["excess_ann"], rel=1e-12)
        assert np.isnan(row["cagr"])  # of months on both sides of a hole
        assert f"{(year == gone).sum()} months left out" in row["note"]
    changes = [row["sharpe_change"] for row in rows["without_year"].values()][:-3]
    assert changes == sorted(changes)


def test_a_short_history_has_rows_without_figures():
    short = market_at(0).until(np.datetime64("2011-02-28"))
    rows, own = rows_of(top_two(), short, lambda days: market_at(days).until(short.dates[-1]))
    assert len(own.dates) < 12
    for test, said in rows.items():
        for row in said.values():
            assert np.isnan(row["sharpe"]), test
            assert "figures take at least" in row["note"], test


def test_returns_that_never_move_have_no_sharpe_ratio():
    market = panel_of({"AAA": [100.0] * 30, "SPY": [100.0] * 30}, first="2010-01")
    held = strategy_of(portfolio={"min_names": 1})
    rows, _ = rows_of(held, market, lambda days: market, tickers=["AAA", "SPY"])
    row = rows["cost"]["0 bps"]
    assert row["note"].startswith("returns without spread have no Sharpe ratio")
    assert row["cagr"] == 0.0
    assert np.isnan(row["sharpe"])


def test_a_book_without_a_month_has_no_rows():
    never = resolved_of(top_two(portfolio=TOP | {"min_names": 9}), NAMES)
    market = market_at(0)
    result = research.run(never, market)
    assert len(result.backtest.dates) == 0
    assert robustness(never, market, result.book, result.backtest, FEW, market_at) == []
