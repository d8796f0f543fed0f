"""Who is chosen: thresholds, safe tickers, breadth, members, ranks, and what a date says of it."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.portfolio import build
from factorlab_tests.small_books import one_date, reasons
from factorlab_tests.small_panels import NAN, panel_of, ranked, strategy_of


class TestThreshold:
    def test_longs_score_above_it_and_share_the_book(self):
        strategy = ranked({"select": {"threshold": 0.5}, "min_names": 1})
        book = one_date(strategy, [2.0, 0.5, 0.6, -3.0])
        assert book.weights.tolist() == [[0.5, 0.0, 0.5, 0.0]]

    def test_nobody_above_it_is_cash(self):
        strategy = ranked({"select": {"threshold": 5.0}})
        assert not one_date(strategy, [2.0, 0.5, 0.6, -3.0]).weights.any()

    @pytest.mark.parametrize(
        ("weighting", "expected"),
        [
            ("equal", [0.5, 0.5, 0.0, -0.5]),
            ("signal", [0.5, 0.25, 0.0, -0.75]),
            ("rank", [0.5, 0.25, 0.0, -0.75]),
        ],
    )
    def test_in_a_long_short_book_scores_decide_the_side_and_all_share_gross(
        self, weighting: str, expected: list[float]
    ):
        strategy = ranked(
            {
                "type": "long_short",
                "weighting": weighting,
                "select": {"threshold": 0.5},
                "gross": 1.5,
            }
        )
        book = one_date(strategy, [2.0, 1.0, 0.5, -3.0])
        assert book.weights[0] == pytest.approx(expected, rel=1e-14)


class TestSafe:
    def test_it_gets_what_fails_and_is_not_ranked_itself(self):
        strategy = ranked({"select": {"top_k": 2, "only_positive": "trend", "safe": "D"}})
        book = one_date(strategy, [3.0, 2.0, 1.0, 9.0], raw=[0.1, -0.1, 0.1, 0.1])
        assert book.weights.tolist() == [[0.5, 0.0, 0.0, 0.5]]
        assert reasons(book) == ["selected", "to safe: fails only_positive", "not selected", "safe"]

    def test_it_stands_for_cash_and_has_no_max_weight(self):
        strategy = ranked(
            {"max_weight": 0.4, "select": {"top_k": 3, "only_positive": "trend", "safe": "D"}}
        )
        book = one_date(strategy, [3.0, 2.0, 1.0, NAN], raw=[-1.0, -1.0, 1.0, NAN])
        assert book.weights[0] == pytest.approx([0.0, 0.0, 1 / 3, 2 / 3], rel=1e-14)

    def test_without_a_price_it_is_cash(self):
        panel = panel_of({"A": [1.0], "B": [1.0], "C": [NAN]})
        strategy = ranked({"select": {"top_k": 2, "only_positive": "trend", "safe": "C"}})
        raw = np.array([[0.1, -0.1, 0.1]])
        book = build(strategy, np.array([[2.0, 1.0, NAN]]), panel, raw_filter=raw, universe_size=3)
        assert book.weights.tolist() == [[0.5, 0.0, 0.0]]
        assert reasons(book)[1] == "cash: fails only_positive"

    def test_it_takes_what_fixed_weights_lose(self):
        strategy = strategy_of(
            factors=[{"name": "trend", "delay": 0}],
            portfolio={
                "weighting": "fixed",
                "fixed_weights": {"A": 0.6, "B": 0.3},
                "select": {"only_positive": "trend", "safe": "C"},
            },
        )
        book = one_date(strategy, [1.0, 1.0, 1.0], raw=[-0.1, 0.1, 0.1])
        assert book.weights.tolist() == [[0.0, 0.3, 0.6]]

    @pytest.mark.parametrize(
        ("failing", "safe", "each"), [(0, 0.0, 1 / 2), (1, 0.5, 1 / 4), (2, 1.0, 0.0), (3, 1.0, 0)]
    )
    def test_breadth_moves_a_share_of_all_by_how_many_fail(
        self, failing: int, safe: float, each: float
    ):
        select = {"top_k": 2, "only_positive": "trend", "safe": "E", "breadth": 2.0}
        raw = [-1.0] * failing + [1.0] * (4 - failing)
        book = one_date(ranked({"select": select}), [4.0, 3.0, 2.0, 1.0, NAN], raw=[*raw, NAN])
        assert book.weights[0, 4] == pytest.approx(safe, abs=1e-15)
        held = book.weights[0, failing : failing + 2][: max(4 - failing, 0)]
        assert held == pytest.approx([each] * len(held), abs=1e-15)

    def test_of_fewer_passing_names_than_k_each_gets_a_larger_part(self):
        # Keller and Keuning: the share that stays risky is split among min(k, passing) names.
        select = {"top_k": 3, "only_positive": "trend", "safe": "E", "breadth": 4.0}
        raw = [-1.0, 1.0, -1.0, 1.0, NAN]
        book = one_date(ranked({"select": select}), [4.0, 3.0, 2.0, 1.0, NAN], raw=raw)
        assert book.weights.tolist() == [[0.0, 0.25, 0.0, 0.25, 0.5]]

    def test_breadth_without_safe_leaves_cash(self):
        select = {"top_k": 1, "only_positive": "trend", "breadth": 2.0}
        book = one_date(ranked({"select": select}), [2.0, 1.0], raw=[-1.0, 1.0])
        assert book.weights.tolist() == [[0.0, 0.5]]
        assert reasons(book)[0] == "cash: fails only_positive"


class TestMembers:
    def test_who_is_no_member_is_not_held_and_does_not_count_to_the_start(self):
        panel = panel_of({t: [1.0, 1.0] for t in "ABCD"})
        members = np.array([[True, False, False, False], [True, True, False, False]])
        score = np.where(members, 1.0, NAN)
        book = build(strategy_of(), score, panel, members=members, universe_size=4)
        assert book.start == 1
        assert book.weights[1].tolist() == [0.5, 0.5, 0.0, 0.0]
        assert reasons(book, 1)[2:] == ["not a member"] * 2

    def test_of_every_ticker_half_of_those_that_could_be_held_so_far_are_needed(self):
        panel = panel_of({t: [1.0] for t in "ABCDEFGH"})
        members = np.array([[True, True, True, False, False, False, False, False]])
        score = np.where(members, 1.0, NAN)
        assert build(strategy_of(), score, panel).start == 1
        assert build(strategy_of(), score, panel, members=members).start == 0


class TestOutcome:
    def test_what_max_weight_leaves_in_cash_is_said_on_that_date(self):
        panel = panel_of({t: [1.0, 1.0] for t in "AB"})
        score = np.array([[1.0, 1.0], [1.0, 0.0]])
        strategy = ranked({"weighting": "signal", "max_weight": 0.5})
        book = build(strategy, score, panel, universe_size=2)
        assert book.weights.tolist() == [[0.5, 0.5], [0.5, 0.0]]
        assert book.outcome.tolist() == ["", "not all placed, the rest is cash"]

    def test_legs_that_are_not_as_far_apart_as_net_says_are_said(self):
        strategy = ranked({"type": "long_short", "select": {"top_k": 1}, "max_weight": 0.5})
        assert one_date(strategy, [2.0, 1.0], raw=[1.0, -1.0]).outcome[0] == ""
        assert one_date(strategy, [2.0, 1.0], raw=[1.0, 1.0]).outcome[0] == "relaxed: net"
        assert one_date(strategy, [2.0, 1.0], raw=[-1.0, 1.0]).outcome[0] == ""  # nothing is held

    def test_nothing_is_said_between_rebalances(self):
        panel = panel_of({"A": [1.0] * 3}, first="2020-01")
        strategy = strategy_of(portfolio={"max_weight": 0.5}, schedule={"every_months": 12})
        book = build(strategy, np.zeros((3, 1)), panel)
        assert book.outcome.tolist() == ["not all placed, the rest is cash", "", ""]


class TestRank:
    def test_rank_weights_fall_evenly_and_ties_go_by_ticker(self):
        book = one_date(ranked({"weighting": "rank"}), [5.0, 1.0, 5.0])
        assert book.weights[0] == pytest.approx([3 / 6, 1 / 6, 2 / 6], rel=1e-14)

    def test_rank_weights_of_shorts_count_from_the_other_end(self):
        strategy = ranked({"type": "long_short", "weighting": "rank"})
        book = one_date(strategy, [4.0, 3.0, 2.0, -9.0])
        assert book.weights[0] == pytest.approx([2 / 6, 1 / 6, -1 / 6, -2 / 6], rel=1e-14)
