"""Groups, numbers of names and turnover: weights within limits, on numbers that fit in the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_tests.small_books import book_of, calm_panel, last, reasons, weighed
from factorlab_tests.small_panels import panel_of, ranked, strategy_of

THREE = calm_panel({"A": 0.02, "B": 0.01, "C": 0.04})
FOUR = calm_panel({"A": 0.02, "B": 0.01, "C": 0.02, "D": 0.01})


class TestGroups:
    groups = {"A": "x", "B": "x", "C": "y"}  # noqa: RUF012  # read only

    def equal(self, bounds: dict[str, Any], **said: Any) -> Any:
        strategy = strategy_of(portfolio={"groups": bounds, **said})
        return book_of(strategy, THREE, groups=self.groups)

    @pytest.mark.parametrize("bounds", [{"x": {"max": 0.5}}, {"y": {"min": 0.5}}])
    def test_weights_move_the_shortest_way_into_their_bounds(self, bounds):
        book = self.equal(bounds)
        assert book.weights[-1] == pytest.approx([0.25, 0.25, 0.5], abs=1e-9)
        assert set(book.outcome) == {""}

    def test_weights_within_their_bounds_are_left_alone(self):
        assert self.equal({"x": {"max": 0.7}}).weights[-1].tolist() == [1 / 3] * 3

    def test_what_the_most_of_groups_leave_no_room_for_is_cash(self):
        book = self.equal({"x": {"max": 0.3}, "y": {"max": 0.5}})
        assert book.weights[-1] == pytest.approx([0.15, 0.15, 0.5], abs=1e-9)
        assert book.outcome[-1] == "not all placed, the rest is cash"

    def test_a_least_weight_that_nobody_chosen_can_fill_is_relaxed_and_said(self):
        strategy = ranked({"select": {"top_k": 1}, "groups": {"y": {"min": 0.2}}})
        book = book_of(strategy, THREE, [3, 2, 1], self.groups)
        assert book.weights[-1].tolist() == [1.0, 0.0, 0.0]
        assert book.outcome[-1] == "relaxed: groups"

    def test_an_optimised_book_is_solved_within_its_groups(self):
        strategy = weighed("minimum_variance", groups={"x": {"max": 0.5}})
        got = last(strategy, THREE, groups=self.groups)
        assert got == pytest.approx([0.1, 0.4, 0.5], abs=1e-9)

    def test_bounds_are_on_net_weights(self):
        strategy = ranked(
            {"type": "long_short", "select": {"top_k": 2}, "groups": {"x": {"max": 0.1}}}
        )
        groups = {"A": "x", "D": "x"}
        got = last(strategy, FOUR, [4, 3, 2, 1], groups=groups)
        assert got == pytest.approx([0.25, 0.25, -0.25, -0.25], abs=1e-9)
        groups = {"A": "x", "B": "y"}
        got = last(strategy, FOUR, [4, 3, 2, 1], groups=groups)
        assert got == pytest.approx([0.1, 0.4, -0.25, -0.25], abs=1e-9)


class TestNumberOfNames:
    def test_positions_below_min_weight_are_not_opened_and_the_rest_shared(self):
        strategy = ranked({"weighting": "signal", "min_weight": 0.2})
        book = book_of(strategy, THREE, [6, 3, 1])
        assert book.weights[-1] == pytest.approx([2 / 3, 1 / 3, 0.0], abs=1e-12)
        assert reasons(book, -1) == ["selected", "selected", "below min_weight"]

    def test_only_as_many_go_as_have_to_the_lowest_score_first(self):
        strategy = ranked({"min_weight": 0.3})
        assert last(strategy, FOUR, [4, 1, 2, 3]) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])

    def test_an_optimised_book_is_solved_again_without_them(self):
        got = last(weighed("minimum_variance", min_weight=0.1), THREE)
        assert got == pytest.approx([0.2, 0.8, 0.0], abs=1e-9)

    def test_max_names_keeps_the_largest_weights_where_nothing_ranks(self):
        for weighting, light in (("minimum_variance", 0.2), ("inverse_volatility", 1 / 3)):
            book = book_of(weighed(weighting, max_names=2), THREE)
            assert book.weights[-1] == pytest.approx([light, 1 - light, 0.0], abs=1e-9)
            assert reasons(book, -1)[2] == "beyond max_names"

    def test_max_names_keeps_the_highest_scores_where_something_does(self):
        book = book_of(ranked({"max_names": 2}), THREE, [1, 3, 2])
        assert book.weights[-1].tolist() == [0.0, 0.5, 0.5]
        assert reasons(book, -1)[0] == "beyond max_names"

    def test_names_sold_in_part_count_against_max_names(self):
        strategy = ranked({"select": {"top_k": 1}, "max_names": 1, "max_turnover": 0.5})
        flat = panel_of({"A": [1.0] * 5, "B": [1.0] * 5})
        book = book_of(strategy, flat, np.array([[2, 1], [1, 2], [1, 2], [1, 2], [1, 2]]))
        # B would be a second name: first all of A is sold, for cash.
        expected = [[1.0, 0.0], [0.5, 0.0], [0.0, 0.0], [0.0, 0.5], [0.0, 1.0]]
        assert book.weights == pytest.approx(np.array(expected), abs=1e-9)

    def test_a_new_name_waits_though_the_one_that_goes_is_smaller(self):
        strategy = ranked({"select": {"top_k": 1}, "max_names": 1, "max_turnover": 1.6})
        flat = panel_of({"A": [1.0] * 3, "B": [1.0] * 3})
        book = book_of(strategy, flat, np.array([[2, 1], [1, 2], [1, 2]]))
        assert book.weights.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
        assert set(book.outcome) == {""}


class TestTurnover:
    flat = panel_of({"A": [1.0] * 4, "B": [1.0] * 4})

    def test_trades_beyond_the_cap_wait(self):
        strategy = ranked({"select": {"top_k": 1}, "max_turnover": 0.5})
        book = book_of(strategy, self.flat, np.array([[2, 1], [1, 2], [1, 2], [1, 2]]))
        assert book.weights[0].tolist() == [1.0, 0.0]
        for t, held in enumerate((0.75, 0.5, 0.25), start=1):
            assert book.weights[t] == pytest.approx([held, 1 - held], abs=1e-9)
        assert set(book.outcome) == {""}
        assert reasons(book, 1) == ["held: sold in part", "selected"]

    def test_going_to_cash_takes_its_time_too(self):
        strategy = ranked({"select": {"top_k": 1, "only_positive": "trend"}, "max_turnover": 0.4})
        raw = np.array([[1.0, 1], [-1, -1], [-1, -1], [-1, -1]])
        book = book_of(strategy, self.flat, [2, 1], raw_filter=raw)
        assert book.weights[:, 0] == pytest.approx([1.0, 0.6, 0.2, 0.0], abs=1e-9)

    def test_an_optimised_book_goes_towards_its_optimum_as_far_as_the_cap_lets_it(self):
        panel = calm_panel({"A": 0.02, "B": 0.01}, rounds=2)
        said: dict[str, Any] = {"risk_aversion": 8.0, "alpha_per_score": 0.01}
        score = np.where(np.arange(17)[:, None] < 9, [2.0, 1.0], [1.0, 2.0])
        book = book_of(weighed("mean_variance", True, **said, max_turnover=0.3), panel, score)
        assert book.weights[8] == pytest.approx([1.0, 0.0], abs=1e-9)
        assert book.weights[9] == pytest.approx([0.85, 0.15], abs=1e-9)

    def test_what_is_no_longer_chosen_is_sold_first_however_calm_it_is(self):
        panel = calm_panel({"A": 0.02, "B": 0.01, "C": 0.01}, rounds=2)
        score = np.where(np.arange(17)[:, None] < 9, [1.0, 3.0, 2.0], [3.0, 1.0, 2.0])
        select = {"select": {"top_k": 2}, "max_turnover": 0.4}
        book = book_of(weighed("minimum_variance", True, **select), panel, score)
        assert book.weights[8] == pytest.approx([0.0, 0.5, 0.5], abs=1e-9)
        grown = book.weights[8] * panel.price[9] / panel.price[8]
        drifted = grown / grown.sum()
        assert book.weights[9, 1] == pytest.approx(drifted[1] - 0.2, abs=1e-9)
        assert book.weights[9, [0, 2]].sum() == pytest.approx(1 - drifted[1] + 0.2, abs=1e-9)
        assert reasons(book, 9)[1] == "held: sold in part"
        assert set(book.outcome[9:]) == {""}
        assert book.weights[12, 1] == 0.0

    def test_an_optimised_book_comes_back_from_cash_as_the_cap_lets_it(self):
        panel = calm_panel({"A": 0.02, "B": 0.01}, rounds=2)
        raw = np.where(np.arange(17)[:, None] == 8, -1.0, 1.0) * np.ones((17, 2))
        said: dict[str, Any] = {"select": {"only_positive": "trend"}, "max_turnover": 0.4}
        book = book_of(weighed("minimum_variance", True, **said), panel, raw_filter=raw)
        assert book.weights[8].tolist() == [0.0, 0.0]
        assert book.weights[9] == pytest.approx([0.08, 0.32], abs=1e-9)
        assert book.weights[10].sum() == pytest.approx(0.8, abs=0.01)
        assert book.weights[11].sum() == pytest.approx(1.0, abs=1e-9)
        assert set(book.outcome) == {""}

    def test_a_cap_that_the_legs_cannot_keep_is_relaxed_first(self):
        strategy = ranked({"type": "long_short", "select": {"top_k": 1}, "max_turnover": 0.3})
        book = book_of(strategy, self.flat, np.array([[2, 1], [1, 2], [1, 2], [1, 2]]))
        assert book.weights[1].tolist() == [-0.5, 0.5]
        assert book.outcome.tolist() == ["", "relaxed: turnover", "", ""]

    def test_so_is_one_that_what_is_too_small_to_keep_exceeds(self):
        strategy = ranked({"weighting": "signal", "max_turnover": 0.2, "min_weight": 0.3})
        book = book_of(strategy, self.flat, np.array([[5, 5], [9, 1], [9, 1], [9, 1]]))
        # From 0.3 of B a fifth may be traded, but 0.2 would be too small a position.
        assert book.weights[2] == pytest.approx([0.7, 0.3], abs=1e-9)
        assert book.weights[3].tolist() == [1.0, 0.0]
        assert book.outcome.tolist() == ["", "", "", "relaxed: turnover"]

    def test_groups_are_relaxed_after_it(self):
        strategy = ranked(
            {"select": {"top_k": 1}, "max_turnover": 0.3, "groups": {"y": {"min": 0.2}}}
        )
        score = np.array([[1, 2], [2, 1], [2, 1], [2, 1]])
        book = book_of(strategy, self.flat, score, {"B": "y"})
        assert book.outcome[0] == ""
        assert book.outcome[1] == "relaxed: turnover, groups"
        assert book.weights[1].tolist() == [1.0, 0.0]
