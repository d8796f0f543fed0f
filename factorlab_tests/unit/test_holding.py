"""What a held book earns and how it drifts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.holding import (
    Carry,
    carried,
    cash_returns,
    drifted,
    earned,
    legs,
    rebalances,
)
from factorlab_assets.strategy_book import Cash, Schedule
from factorlab_tests.small_panels import NAN, panel_of, strategy_of


def test_cash_margin_and_borrowed_shares_earn_and_cost_what_the_law_says():
    carry = Carry(rf=0.01, spread=0.02, borrow=0.04)
    weights = np.array([[0.4, 0.1], [1.0, 0.5], [1.0, -0.5], [1.5, -0.25]])
    said = carry.earned(weights)
    half_in_cash = 0.5 * 0.01
    levered = -0.5 * 0.01 - 0.5 * 0.02
    hedged = 0.5 * 0.01 - 0.5 * 0.04  # 1 - Σw holds the short's proceeds
    both = -0.25 * 0.01 - 0.25 * 0.02 - 0.25 * 0.04
    assert said == pytest.approx([half_in_cash, levered, hedged, both], abs=1e-15)


def test_annual_rates_of_a_strategy_are_twelfths_and_its_yield_compounds():
    strategy = strategy_of(
        costs={"margin_spread_ann": 0.012, "borrow_ann": 0.024}, cash={"yield_ann": 0.05}
    )
    carry = Carry.of(strategy, panel_of({"A": [1.0, 1.0, 1.0]}))
    assert carry.spread == pytest.approx(0.001, rel=1e-14)
    assert carry.borrow == pytest.approx(0.002, rel=1e-14)
    assert (1.0 + carry.rf) ** 12 == pytest.approx([1.05, 1.05], rel=1e-14)


def test_a_tickers_return_is_the_cash_rate_of_its_month():
    panel = panel_of({"A": [1.0, 1.0, 1.0], "SHY": [100.0, 101.0, 100.0]})
    carry = Carry.of(strategy_of(cash={"ticker": "SHY"}), panel)
    assert carry.rf == pytest.approx([0.01, 100 / 101 - 1], rel=1e-13)
    assert carry.earned(np.array([[0.5], [0.75]])) == pytest.approx([0.005, -0.25 / 101], rel=1e-13)
    assert carry.during(0).rf == pytest.approx(0.01, rel=1e-13)
    assert carry.during(slice(1, 2)).earned(np.zeros((1, 1))) == pytest.approx(
        [-1 / 101], rel=1e-13
    )


def test_the_cash_rate_is_of_marks_so_a_missing_month_is_made_up_for():
    market = panel_of({"SHY": [NAN, 100, NAN, 102, 102]}, mark={"SHY": [NAN, 100, 101, NAN, 102]})
    rates = cash_returns(Cash(ticker="SHY"), market)
    assert rates == pytest.approx([0, 0.01, 0, 1 / 101], abs=1e-15)
    assert cash_returns(Cash(ticker="BIL"), market).tolist() == [0.0] * 4
    assert cash_returns(Cash(yield_ann=0.0), market).tolist() == [0.0] * 4


def test_interest_is_told_by_its_parts():
    carry = Carry(rf=0.01, spread=0.02, borrow=0.04)
    cash, financing, borrow = carry.interest(np.array([[1.5, -0.25], [0.5, 0.0]]))
    assert cash == pytest.approx([-0.0025, 0.005], abs=1e-17)
    assert financing == pytest.approx([0.005, 0.0], abs=1e-17)
    assert borrow == pytest.approx([0.01, 0.0], abs=1e-17)


def test_weights_drift_with_the_whole_book_cash_included():
    weights, returns = np.array([0.5, 0.3]), np.array([0.1, -0.2])
    book = earned(weights, returns, Carry())
    assert book == pytest.approx(-0.01, abs=1e-15)
    assert drifted(weights, returns, book) == pytest.approx([0.55 / 0.99, 0.24 / 0.99], rel=1e-14)


def test_a_levered_long_short_book_drifts_against_its_own_growth():
    weights, returns = np.array([1.5, -0.7]), np.array([0.1, 0.1])
    book = earned(weights, returns, Carry())
    assert book == pytest.approx(0.08, abs=1e-15)
    assert drifted(weights, returns, book) == pytest.approx([1.65 / 1.08, -0.77 / 1.08], rel=1e-14)


def test_a_book_that_lost_everything_drifts_to_nothing():
    weights, returns = np.full((3, 1), 2.0), np.array([[-0.5], [-0.75], [-0.25]])
    moved = drifted(weights, returns, earned(weights, returns, Carry()))
    assert moved.tolist() == [[0.0], [0.0], [3.0]]


def test_marks_are_carried_forward_never_backward():
    marks = np.array([[NAN, 1.0], [5.0, NAN], [NAN, NAN], [7.0, 2.0]])
    said = carried(marks)
    assert np.isnan(said[0, 0])
    assert said[1:].tolist() == [[5.0, 1.0], [5.0, 1.0], [7.0, 2.0]]
    assert said[0, 1] == 1.0


def test_a_month_without_a_bar_earns_nothing_and_the_next_bar_the_whole_way():
    panel = panel_of({"A": [100, NAN, NAN, 121]})
    everywhere = np.ones(4, dtype=bool)
    assert legs(panel, everywhere, "close").after[:, 0] == pytest.approx([0, 0, 0.21], abs=1e-15)


def test_the_first_leg_is_empty_where_nothing_trades_or_no_bar_is_there():
    panel = panel_of({"A": [100, 110, 120], "B": [10, 11, 12]}, entry={"B": [NAN, NAN, 11.5]})
    traded = np.array([True, False, True])
    said = legs(panel, traded, "next_close")
    assert said.before is not None
    assert said.entry.tolist() == [[100.0, 10.0], [110.0, 11.0]]
    assert said.before.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    said = legs(panel, np.array([False, True, True]), "next_open")
    assert said.entry.tolist() == [[100.0, 10.0], [110.0, 11.5]]
    assert said.before is not None
    assert said.before[1] == pytest.approx([0.0, 0.5 / 11], abs=1e-15)
    assert said.after[1] == pytest.approx([10 / 110, 0.5 / 11.5], abs=1e-15)


def test_quarterly_rebalances_fall_on_quarter_ends_and_on_the_start():
    dates = month_ends("2020-01", "2020-12")
    due = rebalances(dates, 1, Schedule(every_months=3))
    assert np.flatnonzero(due).tolist() == [1, 2, 5, 8, 11]
    assert np.flatnonzero(rebalances(dates, 0, Schedule(every_months=12))).tolist() == [0, 11]
    assert rebalances(dates, 12, Schedule()).sum() == 0
