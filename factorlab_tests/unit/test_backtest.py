"""From weights to monthly net returns: the timing law on numbers that fit in the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.backtest import Backtest, drawdown, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.core.research import rf_label
from factorlab_assets.strategy_book import Cash
from factorlab_tests.small_panels import NAN, panel_of, strategy_of
from factorlab_tests.traded_panels import traded_market


def fixed(weights: dict[str, float], **said: Any) -> dict[str, Any]:
    return {"portfolio": {"weighting": "fixed", "fixed_weights": weights} | said}


def backtest_of(
    panel: Panel, weights: list[list[float]] | None = None, start: int = 0, **said: Any
) -> Backtest:
    """Simulate given weights (T rows), or those of the strategy itself."""
    strategy = strategy_of(**said)
    if weights is None:
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy, score, panel, universe_size=len(panel.tickers))
    else:
        values = np.array(weights, dtype=np.float64)
        book = Book(values, np.zeros(values.shape, dtype=np.int8), start)
    return simulate(strategy, book, panel, unknown(panel))


def unknown(panel: Panel) -> Floats:
    return np.full(len(panel.dates), NAN)


TWO = panel_of({"A": [100, 110, 99, 99], "B": [100, 100, 150, 75]})


class TestTiming:
    def test_a_row_earns_on_the_weights_of_the_row_before(self):
        said = backtest_of(TWO, [[1, 0], [0, 1], [1, 0], [0, 1]])
        assert said.gross_return == pytest.approx([0.1, 0.5, 0.0], abs=1e-15)
        assert said.dates.tolist() == TWO.dates[1:].tolist()

    def test_rows_begin_the_month_after_the_start(self):
        said = backtest_of(TWO, [[0, 0], [0, 1], [1, 0], [0, 1]], start=1)
        assert said.dates.tolist() == TWO.dates[2:].tolist()
        assert said.gross_return == pytest.approx([0.5, 0.0], abs=1e-15)
        assert said.turnover == pytest.approx([1.0, 2.0], abs=1e-15)

    def test_a_book_that_never_starts_or_starts_last_has_no_row(self):
        for start in (3, 4):
            said = backtest_of(TWO, [[0, 0]] * 4, start=start)
            assert len(said.dates) == len(said.nav) == 0
            assert said.ended == ""

    def test_exposures_and_counts_are_of_the_book_that_earned_the_row(self):
        said = backtest_of(TWO, [[0.5, -0.25], [0.5, 0.0], [0, 0], [1, 1]])
        assert said.gross_exposure.tolist() == [0.75, 0.5, 0.0]
        assert said.net_exposure.tolist() == [0.25, 0.5, 0.0]
        assert said.n_holdings.tolist() == [2, 1, 0]


class TestUnpriced:
    def test_a_missing_month_earns_nothing_is_counted_and_is_made_up_by_the_next_bar(self):
        panel = panel_of({"A": [100, NAN, 121], "B": [100, 100, 100]})
        said = backtest_of(panel)
        assert said.gross_return == pytest.approx([0.0, 0.5 * 0.21], abs=1e-15)
        assert said.n_unpriced.tolist() == [1, 0]
        assert said.turnover == pytest.approx([1.0, 0.0], abs=1e-15)

    def test_a_delisted_name_is_worth_its_last_price(self):
        panel = panel_of(
            {"A": [100, NAN, NAN, NAN, NAN], "B": [100.0] * 5}, mark={"A": [100, 40, NAN, NAN, NAN]}
        )
        said = backtest_of(panel)
        assert said.gross_return == pytest.approx([-0.3, 0, 0, 0], abs=1e-15)
        assert said.n_holdings.tolist() == [2, 2, 2, 1]


class TestCash:
    def test_cash_earns_the_yield_and_so_do_short_proceeds(self):
        flat = panel_of({"A": [1, 1], "B": [1, 1]})
        yields = {"yield_ann": 0.12}
        rf = 1.12 ** (1 / 12) - 1
        for weights, times in (([0.0, 0.0], 1.0), ([0.25, 0.0], 0.75), ([0.5, -0.5], 1.0)):
            said = backtest_of(flat, [weights, weights], cash=yields)
            assert said.gross_return == pytest.approx([times * rf], rel=1e-12)
            assert said.rf == pytest.approx([rf], rel=1e-15)

    def test_margin_costs_the_yield_and_a_spread_and_shorts_cost_borrow(self):
        flat = panel_of({"A": [1, 1], "B": [1, 1]})
        costs = {"margin_spread_ann": 0.024, "borrow_ann": 0.012, "tc_bps": 0, "slippage_bps": 0}
        said = backtest_of(flat, [[1.5, 0.0]] * 2, costs=costs)
        assert said.gross_return == pytest.approx([-0.5 * 0.002], rel=1e-12)
        said = backtest_of(flat, [[1.0, -0.5]] * 2, costs=costs)
        assert said.gross_return == pytest.approx([-0.5 * 0.001], rel=1e-12)


CASH = panel_of({"A": [100, 110, 121, 121], "SHY": [50, 50.5, 50, 51]})
RATES = [0.01, 50 / 50.5 - 1, 0.02]


class TestCashTicker:
    def test_cash_earns_the_tickers_return_of_the_same_month_and_so_do_the_ratios(self):
        said = backtest_of(CASH, [[0.5, 0.0]] * 4, cash={"ticker": "SHY"})
        assert said.rf == pytest.approx(RATES, rel=1e-14)
        assert said.cash_return == pytest.approx([0.5 * rate for rate in RATES], rel=1e-14)
        expected = [0.05 + 0.005, 0.05 + 0.5 * RATES[1], 0.01]
        assert said.gross_return == pytest.approx(expected, rel=1e-13)

    def test_what_is_borrowed_costs_it(self):
        said = backtest_of(CASH, [[1.5, 0.0]] * 4, cash={"ticker": "SHY"})
        assert said.cash_return == pytest.approx([-0.5 * rate for rate in RATES], rel=1e-14)

    def test_the_market_beside_the_universe_has_it(self):
        own = CASH.select(["A"])
        strategy = strategy_of(cash={"ticker": "SHY"})
        book = Book(np.full((4, 1), 0.5), np.zeros((4, 1), dtype=np.int8), 0)
        inside = backtest_of(CASH, [[0.5, 0.0]] * 4, cash={"ticker": "SHY"})
        said = simulate(strategy, book, own, unknown(own), Carry.of(strategy, CASH))
        assert said.net_return.tolist() == inside.net_return.tolist()
        without = simulate(strategy, book, own, unknown(own))
        assert without.rf.tolist() == [0.0, 0.0, 0.0]

    def test_a_month_without_a_bar_is_nothing_and_the_next_bar_makes_up_for_it(self):
        panel = panel_of({"A": [1.0] * 5, "SHY": [NAN, 50, NAN, 51, NAN]})
        said = backtest_of(panel, [[0.0, 0.0]] * 5, cash={"ticker": "SHY"})
        assert said.rf == pytest.approx([0, 0, 0.02, 0], abs=1e-16)

    def test_months_in_which_it_says_nothing_are_counted_in_the_label(self):
        panel = panel_of({"A": [1.0] * 5, "SHY": [NAN, 50, NAN, 51, 52]})
        said = backtest_of(panel, [[0.0, 0.0]] * 5, cash={"ticker": "SHY"})
        assert rf_label(Cash(ticker="SHY"), said) == "rf = SHY, 0 in 2 of 4 months"
        full = backtest_of(CASH, [[0.5, 0.0]] * 4, cash={"ticker": "SHY"})
        assert rf_label(Cash(ticker="SHY"), full) == "rf = SHY"
        assert rf_label(Cash(), backtest_of(TWO)) == "rf = 0"
        assert rf_label(Cash(yield_ann=0.03), backtest_of(TWO)) == "rf = 0.03"

    def test_the_weights_between_rebalances_drift_by_it(self):
        panel = panel_of({"A": [100, 110, 121, 121], "SHY": [50, 60, 60, 60]}, first="2020-03")
        said = backtest_of(
            panel,
            portfolio={"weighting": "fixed", "fixed_weights": {"A": 0.5}},
            schedule={"every_months": 3},
            cash={"ticker": "SHY"},
        )
        # A half in A, which gains 10 % twice, a half in cash, which gains 20 % once.
        nav = [0.5 * 1.1 + 0.5 * 1.2, 0.5 * 1.21 + 0.5 * 1.2, 0.5 * 1.21 + 0.5 * 1.2]
        assert said.nav == pytest.approx(nav, rel=1e-14)
        assert said.net_exposure == pytest.approx([0.5, 0.55 / 1.15, 0.605 / 1.205], rel=1e-14)


EVERY_COST = {"tc_bps": 6.0, "slippage_bps": 2.0, "spread_bps": {"A": 10.0}}
EVERY_COST |= {"margin_spread_ann": 0.024, "borrow_ann": 0.012}


class TestParts:
    @pytest.mark.parametrize("trade_at", ["close", "next_open"])
    def test_gross_and_cost_are_the_sums_of_their_parts(self, trade_at: str):
        panel = panel_of(
            {"A": [100, 110, 99, 99], "B": [100, 100, 150, 75]},
            entry={"A": [NAN, 100, 104.5, 99], "B": [NAN, 100, 100, 150]},
        )
        said = backtest_of(
            panel,
            [[1.5, -0.25]] * 4,
            costs=EVERY_COST,
            cash={"yield_ann": 0.05},
            execution={"trade_at": trade_at},
        )
        rf = 1.05 ** (1 / 12) - 1
        assert said.cash_return[0] == pytest.approx(-0.25 * rf, rel=1e-14)
        assert said.financing[0] == pytest.approx(0.25 * 0.002, rel=1e-14)
        assert said.borrow[0] == pytest.approx(0.25 * 0.001, rel=1e-14)
        own = [1.5 * 0.1, 0.0, 0.0]
        paid = said.cash_return - said.financing - said.borrow
        assert said.gross_return[0] == pytest.approx(own[0] + paid[0], rel=1e-14)
        if trade_at == "close":
            returns = panel.price[1:] / panel.price[:-1] - 1
            own = (returns * [1.5, -0.25]).sum(axis=1)
        else:
            # In the second month the drifted book falls by 5 % of A until the trade.
            first = 1.65 / (1 + said.gross_return[0]) * -0.05
            second = 1.5 * (99 / 104.5 - 1) - 0.25 * 0.5
            own[1] = (1 + first) * (1 + second) - 1
            scaled = 1 + first
            assert said.cash_return[1] == pytest.approx(-0.25 * rf * scaled, rel=1e-13)
            assert said.borrow[1] == pytest.approx(0.25 * 0.001 * scaled, rel=1e-13)
        assert (said.gross_return - paid)[:2] == pytest.approx(own[:2], rel=1e-12)
        assert said.commission[0] == pytest.approx(1.75 * 6e-4, rel=1e-14)
        assert said.slippage[0] == pytest.approx(1.75 * 2e-4, rel=1e-14)
        assert said.spread_cost[0] == pytest.approx(1.5 * 5e-4, rel=1e-14)
        parts = said.commission + said.slippage + said.spread_cost + said.impact_cost
        assert said.cost == pytest.approx(parts, rel=1e-13)

    def test_impact_is_charged_on_the_row_after_the_trade_and_assumptions_are_counted(self):
        panel, _ = traded_market(12, "ABC", seed=3, gaps=0.0)
        strategy: dict[str, Any] = {"costs": {"tc_bps": 0.0, "slippage_bps": 0.0}}
        free = backtest_of(panel, **strategy)
        strategy["costs"] |= {"impact": 0.7, "capital": 1e8}
        said = backtest_of(panel, **strategy)
        assert (said.impact_cost > 0.0).all()
        assert said.cost.tolist() == said.impact_cost.tolist()
        assert said.net_return == pytest.approx(free.net_return - said.impact_cost, abs=1e-16)
        assert said.n_volume_unknown[0] == 0
        assert said.n_volume_unknown[-1] == 1, "A has no volume in the last half"

    def test_a_book_lost_before_the_trade_pays_no_interest(self):
        panel = panel_of({"A": [100, 100, 100]}, entry={"A": [NAN, 100, 40]})
        said = backtest_of(
            panel,
            [[2.0]] * 3,
            costs={"margin_spread_ann": 0.12},
            execution={"trade_at": "next_open"},
        )
        assert said.financing.tolist() == [0.01, 0.0]
        assert said.ended


class TestTurnover:
    def test_the_first_trade_is_from_cash_and_the_last_position_is_kept(self):
        said = backtest_of(TWO, [[0.5, 0.5], [0, 0], [0, 0], [1, 1]])
        assert said.turnover[0] == 1.0
        assert said.turnover.tolist()[1:] == pytest.approx([1.0, 0.0], abs=1e-15)
        assert len(said.turnover) == 3

    def test_drifted_turnover_is_what_brings_the_drifted_book_back(self):
        said = backtest_of(TWO)
        back = abs(0.5 - 0.55 / 1.05) + abs(0.5 - 0.5 / 1.05)
        assert said.turnover[:2] == pytest.approx([1.0, back], rel=1e-13)

    def test_target_turnover_is_the_change_of_weights(self):
        weights = [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [0, 0]]
        said = backtest_of(TWO, weights, execution={"turnover": "target"})
        assert said.turnover.tolist() == [1.0, 0.0, 1.0]

    def test_drifting_costs_nothing(self):
        panel = panel_of({"A": [100, 110, 99, 99], "B": [100, 100, 150, 75]}, first="2020-03")
        costs = {"tc_bps": 10.0, "slippage_bps": 0.0}
        for counted in ("drifted", "target"):
            said = backtest_of(
                panel,
                schedule={"every_months": 3},
                costs=costs,
                execution={"turnover": counted},
            )
            assert said.turnover.tolist() == [1.0, 0.0, 0.0]
            assert said.cost == pytest.approx([0.001, 0.0, 0.0], abs=1e-18)

    def test_a_quarterly_book_earns_as_if_bought_and_held(self):
        panel = panel_of({"A": [100, 110, 99, 99], "B": [100, 100, 150, 75]}, first="2020-03")
        said = backtest_of(panel, schedule={"every_months": 3})
        assert said.nav == pytest.approx([1.05, 1.245, 0.87], rel=1e-14)

    def test_costs_are_basis_points_of_what_is_traded_and_come_off_the_next_row(self):
        costs = {"tc_bps": 7.0, "slippage_bps": 3.0}
        said = backtest_of(TWO, [[1, 0], [0, 1], [0, 1], [0, 1]], costs=costs)
        assert said.turnover == pytest.approx([1.0, 2.0, 0.0], abs=1e-15)
        assert said.cost == pytest.approx([0.001, 0.002, 0.0], abs=1e-17)
        assert said.net_return == pytest.approx([0.099, 0.498, -0.5], abs=1e-15)
        assert said.nav == pytest.approx([1.099, 1.099 * 1.498, 1.099 * 1.498 * 0.5], rel=1e-14)


class TestExecution:
    """A: close 100, then 110 at the next month's first session, 121 at its end."""

    panel = panel_of(
        {"A": [100, 121, 121], "B": [100, 100, 100]}, entry={"A": [NAN, 110, 121], "B": [100] * 3}
    )

    @pytest.mark.parametrize("trade_at", ["next_close", "next_open"])
    def test_new_weights_earn_from_the_trade_on(self, trade_at: str):
        said = backtest_of(self.panel, [[1, 0]] * 3, execution={"trade_at": trade_at})
        assert said.gross_return == pytest.approx([0.1, 0.0], abs=1e-15)

    def test_old_weights_earn_until_the_trade(self):
        panel = panel_of(
            {"A": [100, 100, 121], "B": [100, 100, 100]},
            entry={"A": [NAN, 100, 110], "B": [100] * 3},
        )
        sold = backtest_of(panel, [[1, 0], [0, 1], [0, 1]], execution={"trade_at": "next_open"})
        kept = backtest_of(panel, [[1, 0], [1, 0], [1, 0]], execution={"trade_at": "next_open"})
        assert sold.gross_return == pytest.approx([0.0, 0.1], abs=1e-15)
        assert kept.gross_return == pytest.approx([0.0, 0.21], abs=1e-15)
        assert kept.turnover == pytest.approx([1.0, 0.0], abs=1e-15)

    def test_open_and_close_of_the_first_session_are_told_apart(self):
        panel = panel_of({"A": [100, 121]}, entry={"A": [NAN, 110]})
        panel.entry_close[1, 0] = 96.8
        at_close = backtest_of(panel, [[1], [1]], execution={"trade_at": "next_close"})
        at_open = backtest_of(panel, [[1], [1]], execution={"trade_at": "next_open"})
        assert at_close.gross_return == pytest.approx([0.25], abs=1e-15)
        assert at_open.gross_return == pytest.approx([0.1], abs=1e-15)

    def test_without_a_bar_that_day_the_trade_is_at_the_last_close(self):
        panel = panel_of({"A": [100, 121], "B": [100, 100]}, entry={"A": [NAN, NAN]})
        said = backtest_of(panel, [[1, 0]] * 2, execution={"trade_at": "next_open"})
        assert said.gross_return == pytest.approx([0.21], abs=1e-15)

    def test_turnover_is_counted_at_the_trade(self):
        panel = panel_of(
            {"A": [100, 100, 100], "B": [100, 100, 100]},
            entry={"A": [NAN, 100, 150], "B": [100, 100, 100]},
        )
        said = backtest_of(panel, execution={"trade_at": "next_open"})
        back = abs(0.5 - 0.75 / 1.25) + abs(0.5 - 0.5 / 1.25)
        assert said.turnover == pytest.approx([1.0, back], rel=1e-14)
        assert said.gross_return[1] == pytest.approx(1.25 * (1 - 0.5 / 3) - 1, rel=1e-14)

    def test_no_price_of_the_first_session_matters_where_nothing_trades(self):
        panel = panel_of({"A": [100, 110, 121]}, first="2020-03", entry={"A": [NAN, 100, 7.0]})
        said = backtest_of(panel, schedule={"every_months": 3}, execution={"trade_at": "next_open"})
        assert said.gross_return == pytest.approx([0.1, 0.1], abs=1e-15)


class TestRuin:
    def test_a_net_asset_value_of_nothing_ends_the_run_and_says_when(self):
        panel = panel_of({"A": [100, 40, 80, 160]})
        said = backtest_of(panel, [[2.0]] * 4)
        assert said.dates.tolist() == panel.dates[1:2].tolist()
        assert said.nav == pytest.approx([-0.2], abs=1e-15)
        assert said.drawdown == pytest.approx([-1.2], abs=1e-15)
        assert said.ended == f"NAV at or below 0 on {panel.dates[1]}"

    def test_costs_alone_can_ruin(self):
        panel = panel_of({"A": [100, 51, 51]})
        costs = {"tc_bps": 1000.0, "slippage_bps": 0.0}
        said = backtest_of(panel, [[2.0]] * 3, costs=costs)
        assert len(said.dates) == 1
        assert said.ended

    def test_a_run_that_goes_on_says_nothing(self):
        assert backtest_of(TWO).ended == ""


def test_drawdown_is_against_the_highest_value_since_the_first_unit():
    assert drawdown(np.array([0.8, 1.1, 0.55, 1.2])) == pytest.approx([-0.2, 0, -0.5, 0], abs=1e-15)


def test_the_benchmark_is_carried_beside_the_rows():
    strategy = strategy_of()
    book = build(strategy, np.zeros((4, 2)), TWO, universe_size=2)
    said = simulate(strategy, book, TWO, np.array([NAN, 0.1, NAN, 0.3]))
    assert said.benchmark_return[[0, 2]].tolist() == [0.1, 0.3]
    assert np.isnan(said.benchmark_return[1])
