"""Weights from covariances and within limits, on numbers that fit in the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import optimise
from factorlab_tests.small_books import (
    PATTERNS,
    RISK,
    book_of,
    calm_panel,
    last,
    reasons,
    weighed,
)
from factorlab_tests.small_panels import NAN, panel_of, ranked

TWO = calm_panel({"A": 0.02, "B": 0.01})
THREE = calm_panel({"A": 0.02, "B": 0.01, "C": 0.04})
FOUR = calm_panel({"A": 0.02, "B": 0.01, "C": 0.02, "D": 0.01})
RISK_WEIGHTS = (
    "inverse_volatility",
    "risk_parity",
    "maximum_diversification",
    "hierarchical_risk_parity",
    "minimum_variance",
)


class TestRiskWeights:
    @pytest.mark.parametrize(
        ("weighting", "expected"),
        [
            ("inverse_volatility", [2 / 7, 4 / 7, 1 / 7]),
            ("risk_parity", [2 / 7, 4 / 7, 1 / 7]),
            ("maximum_diversification", [2 / 7, 4 / 7, 1 / 7]),
            ("minimum_variance", [4 / 21, 16 / 21, 1 / 21]),
            ("hierarchical_risk_parity", [4 / 21, 16 / 21, 1 / 21]),
        ],
    )
    def test_uncorrelated_names_weigh_by_their_volatility_or_variance(self, weighting, expected):
        assert last(weighed(weighting), THREE) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("weighting", RISK_WEIGHTS)
    def test_each_leg_of_a_long_short_book_is_weighted_by_itself(self, weighting):
        strategy = weighed(weighting, True, type="long_short", gross=1.2, net=0.2)
        light = 0.2 if weighting in RISK_WEIGHTS[3:] else 1 / 3
        expected = [0.7 * light, 0.7 * (1 - light), -0.5 * light, -0.5 * (1 - light)]
        assert last(strategy, FOUR, [4, 3, 2, 1]) == pytest.approx(expected, abs=1e-9)

    def test_minimum_variance_hedges_one_leg_with_the_other(self):
        moves = 1.0 + np.array([[0.02], [0.01], [0.02], [0.01]]) * PATTERNS[[0, 1, 0, 2]]
        panel = panel_of({t: [1.0, *np.cumprod(m)] for t, m in zip("ABCD", moves, strict=True)})
        strategy = weighed("minimum_variance", True, type="long_short")
        assert last(strategy, panel, [4, 3, 2, 1]) == pytest.approx([0.5, 0, -0.5, 0], abs=1e-9)

    @pytest.mark.parametrize("weighting", ["inverse_volatility", "maximum_diversification"])
    def test_without_fixed_legs_all_names_share_gross_each_on_its_side(self, weighting):
        select = {"select": {"threshold": 0.5}}
        strategy = weighed(weighting, True, type="long_short", **select)
        expected = [2 / 7, 4 / 7, -1 / 7]
        assert last(strategy, THREE, [2, 1, -1]) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(
        ("weighting", "rest"),
        [
            ("inverse_volatility", [1 / 3, 1 / 6]),
            ("risk_parity", [1 / 3, 1 / 6]),
            ("maximum_diversification", [0.5 * 23 / 34, 0.5 * 11 / 34]),  # solved again
            ("hierarchical_risk_parity", [0.4, 0.1]),
            ("minimum_variance", [0.4, 0.1]),
        ],
    )
    def test_max_weight_holds_and_the_others_share_the_rest(self, weighting, rest):
        got = last(weighed(weighting, max_weight=0.5), THREE)
        assert got == pytest.approx([rest[0], 0.5, rest[1]], abs=1e-9)

    def test_returns_of_shorts_count_with_their_sign_where_one_total_holds_both(self):
        moves = np.array([0.02, 0.01, 0.03]) * PATTERNS[:3].T
        moves[:, 1] += moves[:, 0]
        panel = panel_of({t: [1.0, *np.cumprod(1.0 + moves[:, i])] for i, t in enumerate("ABC")})
        select = {"select": {"threshold": 0.5}}
        strategy = weighed("risk_parity", True, type="long_short", **select)
        sign = np.array([1.0, -1.0, 1.0])
        expected = optimise.risk_parity(np.cov(moves.T) * np.outer(sign, sign)).weights
        assert last(strategy, panel, 2.0 * sign) == pytest.approx(sign * expected, abs=1e-9)
        plain = optimise.risk_parity(np.cov(moves.T)).weights
        assert np.abs(plain - expected).max() > 0.05

    def test_nobody_is_held_before_a_covariance_is_known_nor_a_name_without_one(self):
        late = panel_of(
            {"A": THREE.price[:, 0], "B": THREE.price[:, 1], "C": [NAN, NAN, *THREE.price[2:, 2]]}
        )
        book = book_of(weighed("minimum_variance"), late)
        assert book.start == 8
        assert book.weights[8] == pytest.approx([0.2, 0.8, 0.0], abs=1e-9)
        assert book.outcome[8] == "not held, no risk history: C"
        assert reasons(book, 8) == ["selected", "selected", "no risk history"]

    def test_a_name_whose_history_has_a_gap_makes_room_for_the_next_best(self):
        price = calm_panel({"A": 0.02, "B": 0.01}, rounds=3).price.copy()
        price[12:14, 1] = NAN
        panel = panel_of({"A": price[:, 0], "B": price[:, 1]})
        strategy = weighed("inverse_volatility", True, select={"top_k": 1})
        book = book_of(strategy, panel, [1.0, 2.0])
        assert book.weights[11].tolist() == [0.0, 1.0]
        assert book.weights[16].tolist() == [1.0, 0.0]
        assert book.outcome[16] == "not held, no risk history: B"
        assert book.weights[22].tolist() == [0.0, 1.0]

    def test_a_name_that_does_not_move_has_no_risk_to_weigh(self):
        panel = panel_of({"A": THREE.price[:, 0], "B": THREE.price[:, 1], "C": [5.0] * 9})
        book = book_of(weighed("risk_parity"), panel)
        assert book.weights[8] == pytest.approx([1 / 3, 2 / 3, 0.0], abs=1e-9)
        assert book.outcome[8] == "not held, no variance: C"

    def test_mean_variance_balances_expected_return_against_risk(self):
        strategy = weighed("mean_variance", True, risk_aversion=8.0, alpha_per_score=0.001)
        a, b = 8 / 7 * 4e-4, 8 / 7 * 1e-4
        expected = (0.001 * (2.0 - 1.0) + 8.0 * b) / (8.0 * (a + b))
        got = last(strategy, TWO, [2.0, 1.0])
        assert got == pytest.approx([expected, 1 - expected], abs=1e-9)

    def test_a_penalty_on_turnover_leaves_small_gains_alone(self):
        panel = calm_panel({"A": 0.02, "B": 0.01}, rounds=2)
        said: dict[str, Any] = {"risk_aversion": 8.0, "alpha_per_score": 0.001}
        free = book_of(weighed("mean_variance", True, **said), panel, [2.0, 1.0])
        dear = book_of(weighed("mean_variance", True, **said, turnover_penalty=0.5), panel, [2, 1])
        assert free.weights[8] == pytest.approx(dear.weights[8], abs=1e-12)  # the first is free
        grown = free.weights[8] * panel.price[9] / panel.price[8]
        assert dear.weights[9] == pytest.approx(grown / grown.sum(), abs=1e-9)
        assert free.weights[9] == pytest.approx(free.weights[8], abs=1e-9)


MARKET = calm_panel({"M": 0.02}, rounds=2).price[:, 0]


def with_betas(**betas: float) -> Any:
    """Tickers that move so many times as the market M does each month."""
    moves = MARKET[1:] / MARKET[:-1] - 1.0
    prices = {t: [1.0, *np.cumprod(1.0 + beta * moves)] for t, beta in betas.items()}
    return panel_of({"M": MARKET.tolist(), **prices})


def by_beta(**portfolio: Any) -> Any:
    return ranked({"beta": {"market": "M", "window": 12}, "min_names": 1, **portfolio})


class TestBetas:
    def test_legs_are_sized_so_that_their_betas_offset(self):
        strategy = by_beta(type="long_short", select={"top_k": 1}, neutral="beta")
        book = book_of(strategy, with_betas(A=2.0, B=0.5), [3, 1, 2])
        assert book.start == 12
        assert book.weights[-1] == pytest.approx([0.2, -0.8, 0.0], abs=1e-9)

    def test_each_leg_keeps_its_proportions(self):
        strategy = by_beta(type="long_short", select={"top_k": 2}, neutral="beta")
        book = book_of(strategy, with_betas(A=2.0, B=1.0, C=0.5), [4, 3, 2, 1])
        assert book.weights[-1] == pytest.approx([1 / 6, 1 / 6, -1 / 3, -1 / 3], abs=1e-9)

    def test_where_a_cap_forbids_that_weights_move_as_little_as_neutral_allows(self):
        strategy = by_beta(type="long_short", select={"top_k": 2}, neutral="beta", max_weight=0.45)
        book = book_of(strategy, with_betas(A=2.0, B=1.0, C=0.5), [4, 3, 2, 1])
        weights, beta = book.weights[-1], np.array([2.0, 1.0, 0.5, 1.0])
        assert weights @ beta == pytest.approx(0.0, abs=1e-9)
        assert np.abs(weights).sum() == pytest.approx(1.0, abs=1e-9)
        assert np.abs(weights).max() <= 0.45 + 1e-9

    def test_betas_that_cannot_offset_keep_what_is_held(self):
        strategy = by_beta(type="long_short", select={"top_k": 1}, neutral="beta")
        book = book_of(strategy, with_betas(A=-1.0, B=1.0), [3, 1, 2])
        assert not book.weights.any()
        assert book.outcome[-1].startswith("kept last weights: infeasible")

    def test_a_beta_target_scales_the_book(self):
        strategy = by_beta(beta_target=0.75)
        assert last(strategy, with_betas(A=2.0)) == pytest.approx([0.25, 0.25], abs=1e-9)
        levered = book_of(by_beta(beta_target=4.5, max_leverage=2.0), with_betas(A=2.0))
        assert levered.weights[-1] == pytest.approx([1.0, 1.0], abs=1e-9)
        assert levered.outcome[-1] == "target not reached within the limits"

    def test_a_beta_that_no_scale_brings_to_the_target_is_said(self):
        book = book_of(by_beta(beta_target=0.5, select={"top_k": 1}), with_betas(A=-1.0), [2, 1])
        assert book.weights[-1].tolist() == [1.0, 0.0]
        assert book.outcome[-1] == "relaxed: beta_target"


class TestVolatilityTarget:
    volatility = float(np.sqrt(12 * 8 / 7 * (0.2**2 * 4e-4 + 0.8**2 * 1e-4)))

    def test_the_book_is_scaled_down_to_it(self):
        strategy = weighed("minimum_variance", volatility_target=self.volatility / 2)
        assert last(strategy, TWO) == pytest.approx([0.1, 0.4], abs=1e-9)

    def test_and_up_to_it_as_far_as_leverage_and_max_weight_let_it(self):
        wanted = self.volatility * 1.2

        def scaled(**said: Any) -> Any:
            book = book_of(weighed("minimum_variance", volatility_target=wanted, **said), TWO)
            return book.weights[-1].tolist(), book.outcome[-1]

        short = "target not reached within the limits"
        assert scaled(max_leverage=2.0) == (pytest.approx([0.24, 0.96], abs=1e-9), "")
        assert scaled(max_leverage=1.1) == (pytest.approx([0.22, 0.88], abs=1e-9), short)
        assert scaled() == (pytest.approx([0.2, 0.8], abs=1e-9), short)
        capped = scaled(max_leverage=2.0, max_weight=0.9)
        assert capped == (pytest.approx([0.225, 0.9], abs=1e-9), short)

    def test_cash_that_a_filter_left_may_be_used_up_by_it(self):
        strategy = weighed(
            "equal",
            True,
            select={"only_positive": "trend"},
            volatility_target=float(np.sqrt(12 * 8 / 7) * 0.01 * 0.75),
        )
        got = last(strategy, TWO, raw_filter=np.tile([-1.0, 1.0], (9, 1)))
        assert got == pytest.approx([0.0, 0.75], abs=1e-9)

    def test_a_leg_is_not_scaled_beyond_its_total_for_want_of_the_other(self):
        strategy = ranked(
            {
                "type": "long_short",
                "select": {"top_k": 1, "only_positive": "trend"},
                "volatility_target": 0.5,
                "risk": RISK,
                "min_names": 1,
            }
        )
        book = book_of(strategy, TWO, [2.0, 1.0], raw_filter=np.ones((9, 2)))
        assert book.weights[-1].tolist() == [0.5, 0.0]

    def test_positions_that_become_too_small_are_closed(self):
        strategy = weighed(
            "minimum_variance", volatility_target=self.volatility / 2, min_weight=0.15
        )
        book = book_of(strategy, TWO)
        # 0.1 in A is too little; B alone may then be as volatile as both were to be.
        expected = self.volatility / 2 / np.sqrt(12 * 8 / 7 * 1e-4)
        assert book.weights[-1] == pytest.approx([0.0, expected], abs=1e-9)

    def test_a_group_that_scaling_starves_is_relaxed(self):
        strategy = weighed(
            "minimum_variance", volatility_target=self.volatility / 2, groups={"x": {"min": 0.15}}
        )
        book = book_of(strategy, TWO, groups={"A": "x"})
        assert book.weights[-1] == pytest.approx([0.1, 0.4], abs=1e-9)
        assert book.outcome[-1] == "relaxed: groups"

    def test_the_turnover_cap_gives_way_where_the_book_would_stay_too_volatile(self):
        panel = calm_panel({"A": 0.01}, rounds=2)
        panel.price[9:] = panel.price[8] * np.cumprod(1 + 0.04 * np.tile([[1.0], [-1]], (4, 1)), 0)
        said: dict[str, Any] = {"volatility_target": float(np.sqrt(12 * 8 / 7) * 0.01)}
        book = book_of(weighed("equal", max_turnover=0.1, **said), panel)
        assert book.weights[8] == pytest.approx([1.0], abs=1e-9)
        assert book.weights[9, 0] < 0.9
        assert book.outcome[9] == "relaxed: turnover"

    def test_but_not_where_it_only_grows_more_slowly(self):
        panel = calm_panel({"A": 0.04}, rounds=2)
        panel.price[9:] = panel.price[8] * np.cumprod(1 + 0.01 * np.tile([[1.0], [-1]], (4, 1)), 0)
        said: dict[str, Any] = {"volatility_target": float(np.sqrt(12 * 8 / 7) * 0.01)}
        book = book_of(weighed("equal", max_turnover=0.1, **said), panel)
        assert book.weights[8] == pytest.approx([0.25], abs=1e-9)
        drifted = 0.25 * 1.01 / (1 + 0.25 * 0.01)
        assert 0.25 < book.weights[9, 0] <= drifted + 0.1
        assert book.weights[11, 0] > book.weights[9, 0]
        assert not any("relaxed" in said for said in book.outcome)


class TestUntradable:
    def test_names_without_a_price_keep_their_share_of_every_limit(self):
        panel = calm_panel({"A": 0.02, "B": 0.01, "C": 0.04}, rounds=2)
        panel.seen[9, 2] = NAN  # the same array as its price
        book = book_of(weighed("minimum_variance", max_turnover=2.0), panel)
        grown = book.weights[8] * panel.mark[9] / panel.mark[8]
        stays = grown[2] / grown.sum()
        assert book.weights[9] == pytest.approx([0.2 * (1 - stays), 0.8 * (1 - stays), stays])
        assert reasons(book, 9)[2] == "held: no price"

    def test_at_the_third_such_month_end_they_are_cash(self):
        panel = panel_of({"A": [1.0] * 5, "B": [1.0] + [NAN] * 4})
        book = book_of(ranked({"max_turnover": 0.6}), panel, universe_size=2)
        assert book.weights.tolist() == [[0.5, 0.5]] * 3 + [[1.0, 0.0]] * 2
        assert reasons(book, 3) == ["selected: at max_weight", "delisted"]
