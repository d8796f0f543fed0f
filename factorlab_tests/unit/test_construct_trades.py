"""Tranches, tolerance bands and smallest trades: what a date rests on of the dates before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.holding import rebalances
from factorlab_assets.core.panel import Panel
from factorlab_assets.strategy_book import Schedule
from factorlab_tests.small_books import book_of, reasons
from factorlab_tests.small_panels import NAN, daily_market, panel_of, ranked, strategy_of


def test_only_the_months_named_are_due_and_the_start():
    panel = panel_of({"A": [1.0] * 14}, first="2020-02")
    due = rebalances(panel.dates, 1, Schedule(months=(1, 7)))
    assert [str(day)[:7] for day in panel.dates[due]] == ["2020-03", "2020-07", "2021-01"]


class TestTranches:
    def test_the_book_is_the_mean_of_the_last_targets_each_drifted(self):
        panel = panel_of({"A": [1.0, 2.0, 2.0], "B": [1.0, 1.0, 1.0]})
        book = book_of(strategy_of(schedule={"tranches": 2}), panel)
        assert book.weights[0].tolist() == [0.5, 0.5]  # one tranche as yet
        assert book.weights[1] == pytest.approx([(2 / 3 + 0.5) / 2, (1 / 3 + 0.5) / 2], abs=1e-12)
        assert book.weights[2] == pytest.approx([0.5, 0.5], abs=1e-12)  # the first is gone

    def test_names_of_earlier_tranches_say_so(self):
        panel = panel_of({"A": [1.0] * 3, "B": [1.0] * 3})
        strategy = ranked({"select": {"top_k": 1}}, schedule={"tranches": 2})
        book = book_of(strategy, panel, np.array([[2, 1], [1, 2], [1, 2]]))
        assert book.weights.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        assert reasons(book, 1) == ["held: earlier tranche", "selected: at max_weight"]

    @pytest.mark.parametrize("trade_at", ["close", "next_open"])
    def test_long_hand(self, trade_at: str):
        panel, _ = daily_market(24, "ABCDE", seed=3, gaps=0.0)
        rng = np.random.default_rng(1)
        score = rng.standard_normal(panel.price.shape)
        strategy = ranked(
            {"type": "long_short", "select": {"top_k": 2}, "min_names": 4},
            schedule={"tranches": 3},
            execution={"trade_at": trade_at},
            cash={"yield_ann": 0.03},
        )
        book = book_of(strategy, panel, score)
        rf = 1.03 ** (1 / 12) - 1
        sold: list[np.ndarray] = []
        for t in range(book.start, 24):
            bought = panel.mark[t - 1]
            if trade_at == "next_open" and t:
                bought = np.where(np.isnan(panel.entry_open[t]), bought, panel.entry_open[t])
            grown = np.nan_to_num(panel.mark[t] / bought - 1.0) if t else 0.0
            sold = [
                w * (1 + grown) / (1 + (w * grown).sum() + (1 - w.sum()) * rf) for w in sold[-2:]
            ]
            known = np.where(np.isnan(panel.seen[t]), -np.inf, score[t])
            order = np.argsort(-known)[: int(np.isfinite(known).sum())]
            new = np.zeros(5)
            new[order[:2]], new[order[-2:]] = 0.25, -0.25
            sold.append(new)
            assert book.weights[t] == pytest.approx(np.mean(sold, axis=0), abs=1e-12)

    def test_limits_that_drift_breaks_are_said(self):
        panel = panel_of({"A": [1.0, 2.0], "B": [1.0, 1.0]})
        capped = strategy_of(portfolio={"max_weight": 0.55}, schedule={"tranches": 2})
        book = book_of(capped, panel)
        assert book.weights[1, 0] == pytest.approx((2 / 3 + 0.5) / 2, abs=1e-12)
        assert book.outcome.tolist() == ["", "relaxed: max_weight"]

    def test_a_name_without_a_price_stays_and_the_rest_makes_room(self):
        panel = panel_of({"A": [1.0, NAN], "B": [1.0, 1.0]}, mark={"A": [1.0, 3.0]})
        book = book_of(strategy_of(schedule={"tranches": 2}), panel)
        assert book.weights[1] == pytest.approx([0.75, 0.25], abs=1e-12)

    def test_a_delisted_name_is_cash_in_every_tranche(self):
        panel = panel_of({"A": [1.0, NAN, NAN, NAN], "B": [1.0] * 4})
        book = book_of(strategy_of(schedule={"tranches": 6}), panel, universe_size=2)
        assert book.weights[2, 0] == pytest.approx(0.5, abs=1e-12)
        # The first of four tranches has half of itself in cash now, the others all in B.
        assert book.weights[3] == pytest.approx([0.0, (0.5 + 3) / 4], abs=1e-12)
        assert reasons(book, 3)[0] == "delisted"


class TestBand:
    def moved(self, band: float = 0.2, **prices: float) -> Any:
        """Two dates of equal weights, the second with these prices instead of 1."""
        panel = panel_of({ticker: [1.0, price] for ticker, price in prices.items()})
        return book_of(strategy_of(schedule={"band": band}), panel)

    def test_what_drifted_within_the_band_is_left(self):
        book = self.moved(A=1.1, B=1.0)
        assert book.weights[1] == pytest.approx([1.1 / 2.1, 1.0 / 2.1], abs=1e-12)
        assert reasons(book, 1) == ["within band"] * 2

    def test_what_drifted_beyond_is_traded_to_its_target(self):
        assert self.moved(A=2.0, B=1.0).weights[1].tolist() == [0.5, 0.5]

    def test_what_a_sale_brings_stays_cash_while_the_others_are_within(self):
        book = self.moved(A=1.4, B=1.0, C=1.0)
        assert book.weights[1] == pytest.approx([1 / 3, 1 / 3.4, 1 / 3.4], abs=1e-12)
        assert reasons(book, 1) == ["selected", "within band", "within band"]

    def test_purchases_are_cut_where_there_is_no_cash_for_them(self):
        book = self.moved(A=0.6, B=1.0, C=1.0)
        assert book.weights[1] == pytest.approx([0.6 / 2.6, 1 / 2.6, 1 / 2.6], abs=1e-12)
        assert book.weights[1].sum() == pytest.approx(1.0, abs=1e-12)

    def test_new_positions_are_opened_and_old_ones_closed(self):
        strategy = ranked({"select": {"top_k": 1}}, schedule={"band": 0.9})
        panel = panel_of({"A": [1.0, 1.0], "B": [1.0, 1.0]})
        book = book_of(strategy, panel, np.array([[2, 1], [1, 2]]))
        assert book.weights.tolist() == [[1.0, 0.0], [0.0, 1.0]]

    def test_a_name_beyond_max_weight_is_traded_whatever_the_band(self):
        panel = panel_of({"A": [1.0, 1.1], "B": [1.0, 1.0]})
        strategy = strategy_of(portfolio={"max_weight": 0.51}, schedule={"band": 0.5})
        book = book_of(strategy, panel)
        assert book.weights[1] == pytest.approx([0.5, 1 / 2.1], abs=1e-12)

    def test_legs_that_drift_beyond_their_total_are_said(self):
        panel = panel_of({"A": [1.0, 1.1], "B": [1.0, 1.0]})
        strategy = ranked({"type": "long_short", "select": {"top_k": 1}}, schedule={"band": 0.5})
        book = book_of(strategy, panel, [2, 1])
        assert book.weights[1] == pytest.approx([0.55 / 1.05, -0.5 / 1.05], abs=1e-12)
        assert book.outcome[1] == "relaxed: long leg, net"


class TestMinTrade:
    def test_smaller_trades_are_not_made(self):
        panel = panel_of({"A": [1.0, 1.1, 1.5], "B": [1.0] * 3})
        book = book_of(strategy_of(portfolio={"min_trade": 0.05}), panel)
        assert book.weights[1] == pytest.approx([1.1 / 2.1, 1.0 / 2.1], abs=1e-12)
        assert reasons(book, 1) == ["below min_trade"] * 2
        assert book.weights[2].tolist() == [0.5, 0.5]

    def test_nor_are_small_positions_opened_or_closed(self):
        panel = panel_of({"A": [1.0] * 2, "B": [1.0] * 2})
        strategy = ranked({"weighting": "signal", "min_trade": 0.1})
        book = book_of(strategy, panel, np.array([[0.95, 0.05], [1.0, 0.0]]))
        assert book.weights == pytest.approx(np.array([[0.95, 0.0]] * 2), abs=1e-12)
        assert reasons(book, 0) == ["selected", "below min_trade"]

    @pytest.mark.parametrize(("min_trade", "made"), [(0.02, True), (0.04, False)])
    def test_a_purchase_that_is_cut_below_it_is_not_made(self, min_trade: float, made: bool):
        panel = panel_of({"A": [1.0, 0.8], "B": [1.0, 1.0], "C": [1.0, 1.0]})
        fixed = {"weighting": "fixed", "fixed_weights": dict.fromkeys("ABC", 0.3), "gross": 0.93}
        book = book_of(strategy_of(portfolio=fixed | {"min_trade": min_trade}), panel)
        # 0.045 of A is to be bought, but B and C stay and leave room for 0.036 of it.
        drifted = np.array([0.24, 0.3, 0.3]) / 0.94
        bought = 0.93 - drifted.sum() if made else 0.0
        assert book.weights[1] == pytest.approx(drifted + np.array([bought, 0.0, 0.0]), abs=1e-12)


def test_months_that_are_not_due_drift():
    panel: Panel = panel_of({"A": [1.0, 2.0, 2.0], "B": [1.0] * 3}, first="2020-01")
    strategy = strategy_of(portfolio={"max_turnover": 2.0}, schedule={"months": [3]})
    book = book_of(strategy, panel)
    assert book.weights[1] == pytest.approx([2 / 3, 1 / 3], abs=1e-12)
    assert book.weights[2].tolist() == [0.5, 0.5]
    assert reasons(book, 1) == ["drift", "drift"]
