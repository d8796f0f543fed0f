"""From scores to weights: every rule of `portfolio.build` on numbers that fit in the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.book import Book
from factorlab_assets.core.portfolio import build
from factorlab_assets.strategy import Strategy
from factorlab_tests.small_books import one_date, reasons
from factorlab_tests.small_panels import NAN, panel_of, ranked, strategy_of


class TestSelection:
    def test_without_a_selection_every_known_name_gets_the_same(self):
        book = one_date(strategy_of(), [0.0, 0.0, NAN, 0.0])
        assert book.weights[0] == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3], rel=1e-15)
        assert reasons(book) == ["selected", "selected", "no score", "selected"]

    def test_top_k_takes_the_highest_scores_and_ties_go_by_ticker(self):
        book = one_date(ranked({"select": {"top_k": 2}}), [1.0, 2.0, 1.0, 1.0])
        assert book.weights.tolist() == [[0.5, 0.5, 0.0, 0.0]]
        assert reasons(book)[2:] == ["not selected", "not selected"]

    def test_long_and_short_never_share_a_name_though_all_scores_tie(self):
        book = one_date(ranked({"type": "long_short", "select": {"top_k": 2}}), [1.0] * 5)
        assert book.weights.tolist() == [[0.25, 0.25, 0.0, -0.25, -0.25]]

    def test_a_long_short_book_of_too_many_names_takes_half_on_each_side(self):
        book = one_date(
            ranked({"type": "long_short", "select": {"top_k": 3}, "min_names": 1}),
            [3.0, 2.0, 1.0, NAN, 0.0],
        )
        sixth = 0.5 / 3
        assert book.weights[0] == pytest.approx([sixth, sixth, -sixth, 0.0, -sixth], rel=1e-15)

    def test_a_single_name_can_be_no_long_short_book(self):
        book = one_date(ranked({"type": "long_short", "min_names": 1}), [3.0, NAN])
        assert book.weights.tolist() == [[0.0, 0.0]]

    @pytest.mark.parametrize(("fraction", "held"), [(0.5, 5), (0.29, 2), (0.3, 3), (0.01, 1)])
    def test_a_fraction_is_floored_but_at_least_one(self, fraction: float, held: int):
        book = one_date(ranked({"select": {"fraction": fraction}}), [float(i) for i in range(10)])
        assert np.count_nonzero(book.weights) == held
        assert book.weights.sum() == pytest.approx(1.0, rel=1e-15)

    def test_a_fraction_that_is_a_whole_number_but_for_rounding_is_that_number(self):
        assert 0.29 * 100 < 29  # floating point
        book = one_date(ranked({"select": {"fraction": 0.29}}), [float(i) for i in range(100)])
        assert np.count_nonzero(book.weights) == 29

    def test_slots_that_nobody_fills_stay_cash(self):
        book = one_date(ranked({"select": {"top_k": 4}, "min_names": 1}), [1.0, NAN, 2.0, NAN])
        assert book.weights.tolist() == [[0.25, 0.0, 0.25, 0.0]]

    def test_a_name_without_a_month_end_price_is_not_bought_whatever_its_score(self):
        panel = panel_of({"A": [100.0], "B": [NAN], "C": [100.0]}, mark={"B": [99.0]})
        book = build(ranked({"select": {"top_k": 1}}), np.array([[1.0, 9.0, 0.0]]), panel)
        assert book.weights.tolist() == [[1.0, 0.0, 0.0]]
        assert reasons(book)[1] == "no month-end price"


class TestOnlyPositive:
    def test_a_long_that_fails_leaves_its_slot_in_cash(self):
        strategy = ranked({"select": {"top_k": 3}})
        book = one_date(strategy, [3.0, 2.0, 1.0, 0.0], raw=[0.1, -0.1, 0.0, 5.0])
        assert book.weights[0] == pytest.approx([1 / 3, 0.0, 0.0, 0.0], rel=1e-15)
        assert reasons(book)[1] == reasons(book)[2] == "cash: fails only_positive"

    def test_shorts_need_a_raw_value_below_zero(self):
        strategy = ranked({"type": "long_short"})
        book = one_date(strategy, [3.0, 2.0, 1.0, 0.0], raw=[0.1, -0.1, 0.1, -0.1])
        assert book.weights.tolist() == [[0.25, 0.0, 0.0, -0.25]]

    def test_an_unknown_raw_value_fails(self):
        book = one_date(ranked({"select": {"top_k": 2}}), [3.0, 2.0, 1.0], raw=[NAN, 0.1, 0.1])
        assert book.weights.tolist() == [[0.0, 0.5, 0.0]]

    def test_a_signal_weighted_share_that_fails_is_not_given_to_others(self):
        strategy = ranked({"weighting": "signal"})
        book = one_date(strategy, [3.0, 1.0], raw=[-0.1, 0.1])
        assert book.weights.tolist() == [[0.0, 0.25]]


class TestWeighting:
    def test_signal_weights_are_proportional_to_the_positive_scores(self):
        book = one_date(ranked({"weighting": "signal"}), [3.0, 1.0, -2.0, 0.0])
        assert book.weights.tolist() == [[0.75, 0.25, 0.0, 0.0]]
        assert reasons(book)[2:] == ["cash: score not positive"] * 2

    def test_signal_weights_of_a_book_without_a_positive_score_are_cash(self):
        book = one_date(ranked({"weighting": "signal"}), [-1.0, -2.0, 0.0])
        assert book.weights.tolist() == [[0.0, 0.0, 0.0]]

    def test_each_leg_of_a_signal_weighted_long_short_book_has_its_own_total(self):
        book = one_date(
            ranked({"type": "long_short", "weighting": "signal"}), [3.0, 1.0, -1.0, -4.0]
        )
        assert book.weights[0] == pytest.approx([0.375, 0.125, -0.1, -0.4], rel=1e-15)

    def test_scores_of_any_size_weigh_the_same(self):
        small = one_date(ranked({"weighting": "signal"}), [3e-310, 1e-310])
        large = one_date(ranked({"weighting": "signal"}), [3e307, 1e307])
        assert small.weights[0] == pytest.approx([0.75, 0.25], rel=1e-9)
        assert large.weights[0] == pytest.approx([0.75, 0.25], rel=1e-9)

    def test_gross_and_net_set_the_two_legs(self):
        strategy = ranked({"type": "long_short", "select": {"top_k": 1}, "gross": 1.6, "net": 0.4})
        assert one_date(strategy, [2.0, 1.0, 0.0]).weights.tolist() == [
            [1.0, 0.0, -0.6000000000000001]
        ]

    def test_a_short_leg_of_nothing_holds_nothing(self):
        strategy = ranked({"type": "long_short", "gross": 1.0, "net": 1.0})
        book = one_date(strategy, [2.0, 1.0])
        assert book.weights.tolist() == [[1.0, 0.0]]
        assert reasons(book)[1] == "not selected"

    def test_a_levered_long_only_book_reaches_its_gross(self):
        book = one_date(strategy_of(portfolio={"gross": 2.0}), [0.0] * 4)
        assert book.weights.tolist() == [[0.5] * 4]

    def test_fixed_weights_are_as_given_and_a_name_without_a_price_is_cash(self):
        strategy = strategy_of(
            portfolio={"weighting": "fixed", "fixed_weights": {"A": 0.6, "B": 0.3}}
        )
        panel = panel_of({"A": [1, 1], "B": [1, NAN], "C": [1, 1]})
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy, score, panel, universe_size=3)
        assert book.weights[0].tolist() == [0.6, 0.3, 0.0]
        assert reasons(book) == ["selected", "selected", "not selected"]

    def test_a_fixed_book_starts_once_all_its_names_have_a_price(self):
        strategy = strategy_of(
            portfolio={"weighting": "fixed", "fixed_weights": {"A": 0.6, "B": 0.4}}
        )
        panel = panel_of({"A": [1, 1, 1, 1], "B": [NAN, 1, 1, 1], "C": [NAN] * 4})
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        assert build(strategy, score, panel, universe_size=3).start == 1


class TestMaxWeight:
    def test_the_excess_goes_to_the_others_in_proportion(self):
        book = one_date(ranked({"weighting": "signal", "max_weight": 0.5}), [6.0, 3.0, 1.0])
        assert book.weights[0] == pytest.approx([0.5, 0.375, 0.125], rel=1e-14)
        assert reasons(book) == ["selected: at max_weight", "selected", "selected"]

    def test_redistribution_repeats_until_nobody_exceeds_the_cap(self):
        book = one_date(ranked({"weighting": "signal", "max_weight": 0.4}), [6.0, 3.0, 1.0])
        assert book.weights[0] == pytest.approx([0.4, 0.4, 0.2], rel=1e-14)

    def test_what_cannot_be_placed_stays_cash(self):
        book = one_date(ranked({"weighting": "signal", "max_weight": 0.25}), [6.0, 3.0, 1.0, -1.0])
        assert book.weights.tolist() == [[0.25, 0.25, 0.25, 0.0]]

    def test_names_that_exactly_fill_the_caps_do(self):
        book = one_date(strategy_of(portfolio={"max_weight": 1 / 13}), [0.0] * 13)
        assert book.weights.sum() == pytest.approx(1.0, rel=1e-14)
        assert book.weights.max() <= 1 / 13

    def test_both_legs_are_capped(self):
        strategy = ranked({"type": "long_short", "weighting": "signal", "max_weight": 0.3})
        book = one_date(strategy, [4.0, 1.0, -1.0, -9.0])
        assert book.weights[0] == pytest.approx([0.3, 0.2, -0.2, -0.3], rel=1e-14)

    def test_shares_freed_by_the_filter_are_not_placed_by_the_cap(self):
        strategy = ranked({"weighting": "signal", "max_weight": 0.3})
        book = one_date(strategy, [5.0, 3.0, 2.0], raw=[1.0, -1.0, 1.0])
        assert book.weights[0] == pytest.approx([0.3, 0.0, 0.3], rel=1e-14)


class TestStart:
    def grow(self, strategy: Strategy, listed_from: list[int], **said: Any) -> Book:
        """Tickers A, B … with a price of 1 from these rows on, over 6 months."""
        prices = {
            chr(65 + i): [NAN] * first + [1.0] * (6 - first) for i, first in enumerate(listed_from)
        }
        panel = panel_of(prices)
        return build(strategy, np.where(np.isnan(panel.price), NAN, 0.0), panel, **said)

    def test_the_default_is_half_the_universe_rounded_up(self):
        assert self.grow(strategy_of(), [0, 1, 2, 3, 6], universe_size=5).start == 2

    def test_the_default_is_twice_k_where_that_is_more(self):
        strategy = ranked({"select": {"top_k": 2}})
        assert self.grow(strategy, [0, 1, 2, 3, 6], universe_size=5).start == 3

    def test_the_default_is_never_more_than_the_universe(self):
        strategy = ranked({"select": {"top_k": 4}})
        assert self.grow(strategy, [0, 1, 2, 3, 4], universe_size=5).start == 4

    @pytest.mark.parametrize(
        ("portfolio", "start"),
        [({}, 0), ({"select": {"fraction": 0.2}}, 1), ({"type": "long_short"}, 1)],
    )
    def test_a_fraction_or_two_sides_need_two_names(self, portfolio: dict[str, Any], start: int):
        book = self.grow(ranked(portfolio), [0, 1, 6, 6], universe_size=None)
        assert book.start == start

    def test_min_names_given_is_what_counts(self):
        assert (
            self.grow(strategy_of(portfolio={"min_names": 1}), [2, 3], universe_size=9).start == 2
        )

    def test_before_the_start_nothing_is_held_and_the_reason_says_so(self):
        book = self.grow(strategy_of(), [0, 1, 2, 3, 6], universe_size=5)
        assert not book.weights[:2].any()
        assert reasons(book, 1) == ["before start"] * 5

    def test_every_ticker_of_the_version_means_those_listed_so_far(self):
        book = self.grow(strategy_of(), [0, 0, 5, 5, 5, 5], universe_size=None)
        assert book.start == 0
        strategy = ranked({"select": {"top_k": 2}})
        assert self.grow(strategy, [0, 0, 3, 4], universe_size=None).start == 4

    def test_half_of_two_listed_so_far_is_one(self):
        panel = panel_of({"A": [1.0, 1.0], "B": [1.0, 1.0]})
        score = np.array([[1.0, NAN], [1.0, 2.0]])
        assert build(strategy_of(), score, panel).start == 0

    def test_a_book_without_enough_names_ever_never_starts(self):
        book = self.grow(strategy_of(portfolio={"min_names": 3}), [0, 1], universe_size=2)
        assert book.start == 6
        assert not book.weights.any()

    def test_too_few_names_later_are_all_cash(self):
        panel = panel_of({"A": [1.0] * 4, "B": [1.0] * 4})
        score = np.array([[1.0, 2.0], [1.0, NAN], [NAN, NAN], [2.0, 1.0]])
        strategy = ranked({"select": {"top_k": 1}})
        book = build(strategy, score, panel, universe_size=2)
        assert book.weights.tolist() == [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
        assert reasons(book, 1) == reasons(book, 2) == ["cash: too few names"] * 2

    def test_what_later_dates_need_is_fixed_at_the_start(self):
        # Two of four listings are gone later; the two that remain are all there was at the start.
        prices = {"A": [1.0] * 6, "B": [1.0] * 6}
        prices |= {t: [NAN, 1.0, 1.0, NAN, NAN, NAN] for t in "CDEF"}
        panel = panel_of(prices)
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy_of(), score, panel, universe_size=None)
        assert book.start == 0
        assert book.weights[5, :2].tolist() == [0.5, 0.5]


class TestDrift:
    def test_between_quarters_weights_drift_with_prices_and_cash(self):
        panel = panel_of({"A": [100, 110, 110, 121], "B": [100, 100, 100, 100]}, first="2020-03")
        strategy = strategy_of(
            portfolio={
                "weighting": "fixed",
                "fixed_weights": {"A": 0.5, "B": 0.3},
            },
            schedule={"every_months": 3},
        )
        book = build(strategy, np.zeros((4, 2)), panel, universe_size=2)
        grown = [0.55 / 1.05, 0.3 / 1.05]
        assert book.weights[1] == pytest.approx(grown, rel=1e-14)
        assert book.weights[2] == pytest.approx(grown, rel=1e-14)
        assert book.weights[3].tolist() == [0.5, 0.3]
        assert reasons(book, 1) == ["drift", "drift"]

    def test_cash_that_earns_interest_shrinks_the_weights(self):
        panel = panel_of({"A": [100, 100]}, first="2020-03")
        strategy = strategy_of(
            portfolio={"weighting": "fixed", "fixed_weights": {"A": 0.5}},
            schedule={"every_months": 3},
            cash={"yield_ann": 0.5},
        )
        book = build(strategy, np.zeros((2, 1)), panel, universe_size=1)
        rf = 1.5 ** (1 / 12) - 1
        assert book.weights[1, 0] == pytest.approx(0.5 / (1 + 0.5 * rf), rel=1e-14)

    def test_a_short_that_rises_grows_and_a_long_short_book_keeps_no_balance(self):
        panel = panel_of({"A": [100, 110], "B": [100, 120]}, first="2020-03")
        strategy = ranked(
            {"type": "long_short", "select": {"top_k": 1}}, schedule={"every_months": 3}
        )
        book = build(strategy, np.array([[2.0, 1.0], [1.0, 2.0]]), panel, universe_size=2)
        assert book.weights[0].tolist() == [0.5, -0.5]
        assert book.weights[1] == pytest.approx([0.55 / 0.95, -0.6 / 0.95], rel=1e-14)

    def test_the_start_trades_though_its_month_is_not_due(self):
        panel = panel_of({"A": [1.0, 1.0, 2.0]}, first="2020-01")
        book = build(strategy_of(schedule={"every_months": 12}), np.zeros((3, 1)), panel)
        assert book.weights.tolist() == [[1.0], [1.0], [1.0]]
        assert reasons(book) == ["selected: at max_weight"]

    def test_weights_bought_at_the_next_open_drift_from_there(self):
        panel = panel_of({"A": [100, 120], "B": [50, 50]}, first="2020-03", entry={"A": [NAN, 110]})
        strategy = strategy_of(schedule={"every_months": 3}, execution={"trade_at": "next_open"})
        book = build(strategy, np.zeros((2, 2)), panel, universe_size=2)
        grown = 0.5 * 120 / 110
        assert book.weights[1] == pytest.approx(
            [grown / (grown + 0.5), 0.5 / (grown + 0.5)], rel=1e-14
        )


class TestUnpriced:
    def test_a_held_name_without_a_price_stays_and_the_others_share_the_rest(self):
        panel = panel_of(
            {"A": [100, NAN, 100], "B": [100, 110, 110], "C": [100, 100, 100]},
            mark={"A": [100, 100, 100]},
        )
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy_of(), score, panel, universe_size=3)
        stays = (1 / 3) / (1 + 0.1 / 3)
        rest = (1 - stays) / 2
        assert book.weights[1] == pytest.approx([stays, rest, rest], rel=1e-14)
        assert reasons(book, 1) == ["held: no price", "selected", "selected"]
        assert book.weights[2] == pytest.approx([1 / 3] * 3, rel=1e-14)

    def test_it_moves_with_the_bars_it_has_though_they_are_stale(self):
        panel = panel_of({"A": [100, NAN], "B": [100, 100]}, mark={"A": [100, 50]})
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy_of(), score, panel, universe_size=2)
        assert book.weights[1] == pytest.approx([0.25 / 0.75, 0.5 / 0.75], rel=1e-14)

    def test_at_the_third_month_end_in_a_row_it_is_delisted(self):
        panel = panel_of({"A": [1, NAN, NAN, NAN, NAN], "B": [1.0] * 5})
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy_of(), score, panel, universe_size=2)
        assert book.weights[:, 0].tolist() == [0.5, 0.5, 0.5, 0.0, 0.0]
        assert book.weights[:, 1].tolist() == [0.5, 0.5, 0.5, 1.0, 1.0]
        assert [reasons(book, t)[0] for t in range(1, 5)] == [
            "held: no price",
            "held: no price",
            "delisted",
            "no month-end price",
        ]

    def test_a_price_in_between_starts_the_count_again(self):
        panel = panel_of({"A": [1, NAN, NAN, 1, NAN, NAN], "B": [1.0] * 6})
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        book = build(strategy_of(), score, panel, universe_size=2)
        assert book.weights[:, 0].tolist() == [0.5] * 6

    def test_names_that_hold_all_the_capital_leave_nothing_to_the_others(self):
        panel = panel_of({"A": [1, NAN, NAN], "B": [1.0] * 3}, mark={"A": [1.0, 3.0, 3.0]})
        strategy = ranked({"select": {"top_k": 1}, "min_names": 1})
        book = build(strategy, np.array([[1.0, 0.0], [NAN, 0.0], [NAN, 0.0]]), panel)
        assert book.weights.tolist() == [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]

    def test_a_short_without_a_price_is_locked_like_a_long(self):
        panel = panel_of({"A": [1, 1], "B": [1, NAN], "C": [1, 1]})
        strategy = ranked({"type": "long_short", "select": {"top_k": 1}, "min_names": 2})
        book = build(strategy, np.array([[2.0, 0.0, 1.0], [2.0, NAN, 1.0]]), panel, universe_size=3)
        assert book.weights.tolist() == [[0.5, -0.5, 0.0], [0.25, -0.5, -0.25]]

    def test_it_stays_through_a_date_of_too_few_names(self):
        panel = panel_of({"A": [1, NAN], "B": [1, 1]})
        score = np.array([[1.0, 1.0], [NAN, 1.0]])
        book = build(strategy_of(portfolio={"min_names": 2}), score, panel)
        assert book.weights[1].tolist() == [0.5, 0.0]
        assert reasons(book, 1) == ["held: no price", "cash: too few names"]

    def test_it_is_delisted_between_rebalances_too(self):
        panel = panel_of({"A": [1, NAN, NAN, NAN, NAN], "B": [1.0] * 5}, first="2020-01")
        score = np.where(np.isnan(panel.price), NAN, 0.0)
        strategy = strategy_of(schedule={"every_months": 12})
        book = build(strategy, score, panel, universe_size=2)
        assert book.weights[:, 0].tolist() == [0.5, 0.5, 0.5, 0.0, 0.0]
        assert book.weights[:, 1].tolist() == [0.5] * 5
