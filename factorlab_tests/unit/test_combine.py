"""Combining small signals by hand: every rule, and every rule for what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.combine import combine, factor_volatility
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.signals import Signals
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

NAMES = ["A", "B", "C", "D"]
WEIGHTS = {"x": 1.0, "y": 3.0}


def market(n_months: int = 1) -> Panel:
    return panel_of({name: [1.0] * n_months for name in NAMES})


def signals(**rows: Any) -> Signals:
    """Signals by label, each (N,) or (T, N)."""
    values = np.stack([np.atleast_2d(np.array(row, dtype=np.float64)) for row in rows.values()])
    return Signals(tuple(rows), values, values)


def score(
    given: Signals,
    panel: Panel | None = None,
    members: Any = None,
    weights: dict[str, float] | None = None,
    **how: Any,
) -> np.ndarray:
    """The score of these signals, weighted 1 and 3 where nothing else is said."""
    weights = weights or WEIGHTS
    factors = [
        {"name": "trend", "label": label, "delay": 0, "weight": weights.get(label, 1.0)}
        for label in given.keys
    ]
    strategy = strategy_of(factors=factors, combine=how)
    there = market(given.signal.shape[1]) if panel is None else panel
    return combine(resolved_of(strategy, NAMES), there, given, members)


HOLES = signals(x=[1.0, 5.0, NAN, NAN], y=[2.0, NAN, 6.0, NAN])


class TestMissing:
    def test_require_gives_no_score_without_every_signal(self):
        np.testing.assert_array_equal(score(HOLES), [[1.75, NAN, NAN, NAN]])

    def test_known_is_the_mean_of_the_signals_that_are_there(self):
        np.testing.assert_array_equal(score(HOLES, missing="known"), [[1.75, 5.0, 6.0, NAN]])
        signed = score(HOLES, missing="known", weights={"x": 1.0, "y": -3.0})
        np.testing.assert_array_equal(signed, [[-1.25, 5.0, -6.0, NAN]])

    def test_neutral_puts_the_mean_of_the_cross_section_in_its_place(self):
        # the mean of x is 3, that of y is 4
        expected = [[1.75, (5.0 + 12.0) / 4, (3.0 + 18.0) / 4, NAN]]
        np.testing.assert_array_equal(score(HOLES, missing="neutral"), expected)

    @pytest.mark.parametrize(
        ("missing", "expected"),
        [("require", [NAN] * 4), ("known", [1, 5, 3, NAN]), ("neutral", [NAN] * 4)],
    )
    def test_a_signal_that_nobody_has(self, missing: str, expected: list[float]):
        given = signals(x=[1.0, 5.0, 3.0, NAN], y=[NAN] * 4)
        np.testing.assert_array_equal(score(given, missing=missing), [expected])

    @pytest.mark.parametrize("missing", ["require", "known", "neutral"])
    def test_where_all_is_known_the_rules_agree_to_the_bit(self, missing: str):
        rng = np.random.default_rng(0)
        given = signals(x=rng.normal(size=(5, 4)), y=rng.normal(size=(5, 4)))
        assert score(given, missing=missing).tobytes() == score(given).tobytes()


class TestRankMean:
    def test_it_is_the_mean_of_ranks(self):
        given = signals(x=[10.0, 20.0, 30.0, 99.0], y=[0.4, 0.4, 0.1, 0.2])
        ranks_y = np.array([2.5, 2.5, 0.0, 1.0]) / 3
        expected = (np.array([0, 1, 2, 3]) / 3 + 3 * ranks_y) / 4
        np.testing.assert_allclose(score(given, how="rank_mean")[0], expected, rtol=1e-15)

    def test_a_missing_rank_may_count_as_the_middle(self):
        given = signals(x=[10.0, 20.0, 30.0, NAN], y=[1.0, 2.0, 3.0, 4.0])
        found = score(given, how="rank_mean", missing="neutral")[0]
        np.testing.assert_allclose(found, [0.0, 1.5 / 4, 3 / 4, 3.5 / 4], atol=1e-15)
        assert np.isnan(score(given, how="rank_mean")[0, 3])


class TestFactorVolatility:
    """A and B move by turns; a factor that prefers A earns half of what A earns."""

    growth = np.array([1.0, 1.1, 1.0, 1.3, 1.0, 1.2, 1.0, 1.1])
    panel = panel_of({"A": np.cumprod(growth), "B": np.ones(8), "C": np.full(8, NAN)})
    prefers_a = np.tile([2.0, 1.0, 9.0], (8, 1))

    def test_it_is_of_a_dollar_neutral_portfolio_of_gross_one(self):
        returns = 0.5 * (self.growth - 1.0)
        found = factor_volatility(self.prefers_a, self.panel, 36)
        assert np.isnan(found[:6]).all(), "six returns are first there at the seventh date"
        assert found[6] == pytest.approx(np.std(returns[1:7], ddof=1), rel=1e-13)
        assert found[7] == pytest.approx(np.std(returns[1:8], ddof=1), rel=1e-13)

    def test_only_the_last_months_of_the_window_count(self):
        returns = 0.5 * (self.growth - 1.0)
        found = factor_volatility(self.prefers_a, self.panel, 6)
        assert found[7] == pytest.approx(np.std(returns[2:8], ddof=1), rel=1e-13)

    def test_signals_of_the_month_before_earn(self):
        only_at_the_end = np.where(np.arange(8)[:, None] < 7, NAN, self.prefers_a)
        assert np.isnan(factor_volatility(only_at_the_end, self.panel, 36)).all()
        not_at_the_end = np.where(np.arange(8)[:, None] < 7, self.prefers_a, NAN)
        np.testing.assert_array_equal(
            factor_volatility(not_at_the_end, self.panel, 36),
            factor_volatility(self.prefers_a, self.panel, 36),
        )

    def test_signals_that_are_all_alike_hold_nobody(self):
        assert np.isnan(factor_volatility(np.ones((8, 3)), self.panel, 36)).all()

    def test_a_return_that_never_moves_has_no_volatility(self):
        calm = panel_of({name: [1.0] * 8 for name in "ABC"})
        assert np.isnan(factor_volatility(self.prefers_a, calm, 36)).all()

    def test_a_name_that_loses_its_price_earns_nothing_that_month(self):
        price = self.panel.price.copy()
        price[3, 0] = NAN
        gone = replace(self.panel, price=price, seen=price)
        returns = 0.5 * (self.growth - 1.0)
        returns[3] = 0.0  # then only B has a price at that date: nobody is held for the next
        expected = np.std(np.delete(returns[1:], 3), ddof=1)
        found = factor_volatility(self.prefers_a, gone, 36)
        assert np.isnan(found[6])
        assert found[7] == pytest.approx(expected, rel=1e-13)

    def test_a_date_knows_its_own_prices_as_they_were_seen_and_earlier_ones_repaired(self):
        seen = self.panel.price.copy()
        seen[6, 0] *= 1.7
        late = replace(self.panel, seen=seen)
        returns = 0.5 * (self.growth - 1.0)
        found = factor_volatility(self.prefers_a, late, 36)
        assert found[7] == pytest.approx(np.std(returns[1:8], ddof=1), rel=1e-13)
        returns[6] = 0.5 * (1.7 * self.growth[6] - 1.0)
        assert found[6] == pytest.approx(np.std(returns[1:7], ddof=1), rel=1e-13)


class TestInverseVolatility:
    rng = np.random.default_rng(2)
    growth = np.cumprod(1 + rng.normal(0, 0.05, (4, 20)), axis=1)
    panel = panel_of(dict(zip(NAMES, growth, strict=True)))
    given = signals(x=rng.normal(size=(20, 4)), y=rng.normal(size=(20, 4)))

    def test_each_weight_is_divided_by_the_factors_own_volatility(self):
        found = score(self.given, self.panel, how="inverse_volatility", window=12)
        one, two = (factor_volatility(each, self.panel, 12) for each in self.given.signal)
        for t in range(7, 20):
            a, b = 1.0 / one[t], 3.0 / two[t]
            expected = (a * self.given.signal[0, t] + b * self.given.signal[1, t]) / (a + b)
            np.testing.assert_allclose(found[t], expected, rtol=1e-12)

    def test_until_all_volatilities_are_known_the_weights_are_as_given(self):
        late = self.given.signal.copy()
        late[1, :9] = NAN
        given = Signals(self.given.keys, late, late)
        found = score(given, self.panel, how="inverse_volatility", missing="known")
        plain = score(given, self.panel, missing="known")
        np.testing.assert_array_equal(found[:15], plain[:15])
        assert not np.allclose(found[15:], plain[15:])

    def test_volatilities_are_of_members(self):
        members = np.ones((20, 4), dtype=bool)
        members[:, 3] = False
        found = score(self.given, self.panel, members, how="inverse_volatility")
        hidden = np.where(members, self.given.signal, NAN)
        expected = score(
            Signals(self.given.keys, hidden, hidden), self.panel, how="inverse_volatility"
        )
        np.testing.assert_array_equal(found, expected)


class TestConditional:
    def test_only_the_highest_of_the_condition_have_the_score_of_the_others(self):
        given = signals(c=[4.0, 1.0, 3.0, 2.0], x=[1.0, 2.0, 3.0, 4.0], y=[2.0, 2.0, 7.0, 2.0])
        found = score(given, how="conditional", condition="c")
        np.testing.assert_array_equal(found, [[1.75, NAN, 6.0, NAN]])

    @pytest.mark.parametrize(
        ("keep", "kept"), [(0.1, "A"), (0.25, "A"), (0.5, "AC"), (0.74, "AC"), (0.75, "ACD")]
    )
    def test_the_share_is_rounded_down_to_one_at_least(self, keep: float, kept: str):
        given = signals(c=[4.0, 1.0, 3.0, 2.0], x=[1.0, 1.0, 1.0, 1.0])
        found = score(given, how="conditional", condition="c", keep=keep)[0]
        assert "".join(np.array(NAMES)[np.isfinite(found)]) == kept

    def test_ties_go_by_ticker(self):
        given = signals(c=[1.0, 2.0, 1.0, 1.0], x=[1.0, 2.0, 3.0, 4.0])
        found = score(given, how="conditional", condition="c")
        np.testing.assert_array_equal(found, [[1.0, 2.0, NAN, NAN]])

    @pytest.mark.parametrize("missing", ["require", "known", "neutral"])
    def test_without_the_condition_there_is_no_score_and_no_place(self, missing: str):
        given = signals(c=[NAN, 1.0, 2.0, NAN], x=[1.0, 2.0, 3.0, 4.0])
        found = score(given, how="conditional", condition="c", missing=missing)
        np.testing.assert_array_equal(found, [[NAN, NAN, 3.0, NAN]])

    def test_where_nobody_has_the_condition_nobody_has_a_score(self):
        given = signals(c=[NAN] * 4, x=[1.0, 2.0, 3.0, 4.0])
        found = score(given, how="conditional", condition="c", missing="known")
        assert np.isnan(found).all()

    def test_the_weight_of_the_condition_plays_no_part(self):
        given = signals(c=[4.0, 1.0, 3.0, 2.0], x=[1.0, 2.0, 3.0, 4.0])
        for weight in (0.0, 1.0, 7.0):
            found = score(given, weights={"c": weight}, how="conditional", condition="c")
            np.testing.assert_array_equal(found, [[1.0, NAN, 3.0, NAN]])


class TestMembers:
    members = np.array([[True, True, True, False]])
    given = signals(c=[1.0, 2.0, 3.0, 9.0], x=[10.0, 30.0, 20.0, 40.0])

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ({}, [5.5, 16.0, 11.5, NAN]),
            ({"how": "rank_mean"}, [0.0, 0.75, 0.75, NAN]),
            ({"how": "conditional", "condition": "c", "keep": 0.7}, [NAN, 30.0, 20.0, NAN]),
        ],
        ids=str,
    )
    def test_nobody_else_has_a_score_or_moves_one(self, how: Any, expected: list[float]):
        found = score(self.given, members=self.members, **how)
        np.testing.assert_array_equal(found, [expected])

    def test_without_factors_members_have_the_score_zero(self):
        bare = resolved_of(strategy_of(), NAMES)
        nothing = Signals((), *np.empty((2, 0, 1, 4)))
        found = combine(bare, market(), nothing, self.members)
        np.testing.assert_array_equal(found, [[0.0, 0.0, 0.0, NAN]])
