"""The judgements behind the blocking checks: silent on good books, and each planted fault named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.book import SELECTED, UNPRICED, Book
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.identities import (
    compounding_violations,
    constraint_violations,
    identity_violations,
)
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_book import Cash
from factorlab_tests.small_panels import (
    NAN,
    daily_market,
    panel_of,
    ranked,
    resolved_of,
    strategy_of,
)
from factorlab_tests.traded_panels import traded_market

MARKET, DAYS = daily_market(30, "ABCDEF", seed=5)
GOOD = [0.5, 0.5, 0.0]
FLAT = panel_of({"A": [1.0] * 3, "B": [1.0] * 3, "C": [1.0] * 3})


def book_of(*weights: list[float], reason: int = SELECTED) -> Book:
    values = np.array(weights)
    return Book(values, np.full(values.shape, reason, dtype=np.int8), 0)


def broken(cell: Resolved, *weights: list[float], **said: Any) -> set[tuple[str, str]]:
    found = constraint_violations(cell, FLAT, book_of(*weights, **said))
    return {(row["rule"], row["date"]) for row in found}


class TestConstraints:
    cell = resolved_of(strategy_of(portfolio={"max_weight": 0.5}), "ABC")
    both = resolved_of(
        ranked({"type": "long_short", "gross": 1.0, "net": 0.2, "max_weight": 0.5}), "ABC"
    )

    def test_a_good_book_is_left_alone(self):
        assert broken(self.cell, GOOD, GOOD, GOOD) == set()
        assert broken(self.both, [0.5, 0.1, -0.4], [0.0] * 3, [0.3, 0.3, -0.4]) == set()

    def test_each_broken_rule_names_its_date(self):
        on = "2020-02-28"
        assert broken(self.cell, GOOD, [0.6, 0.4, 0.0], GOOD) == {("max_weight", on)}
        assert broken(self.cell, GOOD, [0.5, 0.5, 0.1], GOOD) == {
            ("long leg", on),
            ("gross", on),
        }
        assert ("short position", on) in broken(self.cell, GOOD, [0.5, -0.1, 0], GOOD)
        assert broken(self.cell, GOOD, [0.5, NAN, 0.0], GOOD) == {("not a number", on)}
        assert broken(self.both, [0.5, 0.0, 0.0], [0.5, 0.2, -0.3], [0.0] * 3) == {("long leg", on)}
        assert broken(self.both, [0.0] * 3, [0.4, -0.3, -0.2], [0.0] * 3) == {("short leg", on)}

    def test_the_offending_ticker_is_named_with_its_weight(self):
        found = constraint_violations(self.cell, FLAT, book_of(GOOD, [0.4, 0.6, 0], GOOD))
        assert found == [
            {
                "rule": "max_weight",
                "date": "2020-02-28",
                "ticker": "B",
                "got": 0.6,
                "expected": "at most 0.5",
            }
        ]

    def test_names_that_cannot_be_traded_are_exempt_but_not_the_rest(self):
        stuck = book_of(GOOD, [0.7, 0.3, 0.0], GOOD)
        stuck.reason[1, 0] = UNPRICED
        assert constraint_violations(self.cell, FLAT, stuck) == []
        stuck.weights[1, 1] = 0.35
        assert [row["rule"] for row in constraint_violations(self.cell, FLAT, stuck)] == ["gross"]

    def test_between_rebalances_weights_may_drift_but_not_change_sign(self):
        yearly = resolved_of(
            strategy_of(portfolio={"max_weight": 0.5}, schedule={"every_months": 12}), "ABC"
        )
        assert broken(yearly, GOOD, [0.7, 0.3, 0.0], [0.8, 0.3, 0.0]) == set()
        assert broken(yearly, GOOD, [0.7, 0.3, -0.1], GOOD) == {("short position", "2020-02-28")}

    @pytest.mark.parametrize("kind", ["equal", "levered", "long_short"])
    def test_what_is_built_keeps_its_constraints(self, kind: str):
        every = 3 if kind == "levered" else 1
        portfolio = {
            "equal": {"max_weight": 0.18},
            "levered": {"gross": 1.7},
            "long_short": {"type": "long_short", "gross": 1.5, "net": -0.3, "max_weight": 0.25},
        }[kind]
        cell = resolved_of(
            ranked(portfolio | {"min_names": 2}, schedule={"every_months": every}), "ABCDEF"
        )
        cell.strategy.factors[0].params["lookback"] = 3
        book = research.run(cell, MARKET).book
        assert (book.reason == UNPRICED).any()
        assert constraint_violations(cell, MARKET, book) == []


@pytest.mark.parametrize("trade_at", ["close", "next_open"])
@pytest.mark.parametrize("counted", ["drifted", "target"])
class TestIdentities:
    def case(self, trade_at: str, counted: str) -> tuple[Resolved, research.Result]:
        strategy = strategy_of(
            portfolio={"gross": 1.2},
            schedule={"every_months": 3},
            execution={"trade_at": trade_at, "turnover": counted},
            costs={"tc_bps": 7.0},
        )
        cell = resolved_of(strategy, "ABCDEF")
        return cell, research.run(cell, MARKET, DAYS)

    def test_a_good_backtest_is_left_alone(self, trade_at: str, counted: str):
        cell, said = self.case(trade_at, counted)
        assert identity_violations(cell, MARKET, said.book, said.backtest) == []

    def test_every_cost_and_a_cash_ticker_beside_the_universe_add_up(
        self, trade_at: str, counted: str
    ):
        market, _ = traded_market(24, "ABCDEF", seed=5)
        costs = {"tc_bps": 7.0, "spread_bps": {"B": 12.0}, "impact": 1.0, "capital": 1e8}
        strategy = ranked(
            {"type": "long_short", "select": {"top_k": 2}, "gross": 3.0, "net": 1.5},
            schedule={"every_months": 3},
            execution={"trade_at": trade_at, "turnover": counted},
            costs=costs | {"borrow_ann": 0.02, "margin_spread_ann": 0.01},
            cash={"ticker": "F"},
        )
        cell = resolved_of(strategy, "ABCDE")
        cell.strategy.factors[0].params["lookback"] = 3
        said = research.run(cell, market)
        for column in ("impact_cost", "spread_cost", "financing", "borrow", "cash_return", "rf"):
            assert getattr(said.backtest, column).any(), column
        assert identity_violations(cell, market, said.book, said.backtest) == []
        free = strategy.model_copy(update={"cash": Cash()})
        other = cell.model_copy(update={"strategy": free})
        found = identity_violations(other, market, said.book, said.backtest)
        assert {"rf", "cash_return", "gross_return"} <= {row["rule"] for row in found}

    @pytest.mark.parametrize(
        ("column", "rules"),
        [
            ("turnover", {"turnover", "cost"}),
            ("cost", {"cost", "net_return"}),
            ("commission", {"commission"}),
            ("slippage", {"slippage"}),
            ("spread_cost", {"spread_cost", "cost"}),
            ("impact_cost", {"impact_cost", "cost"}),
            ("n_volume_unknown", {"n_volume_unknown"}),
            ("cash_return", {"cash_return"}),
            ("financing", {"financing"}),
            ("borrow", {"borrow"}),
            ("gross_return", {"gross_return", "net_return"}),
            ("rf", {"rf"}),
            ("net_return", {"net_return", "nav"}),
            ("nav", {"nav", "drawdown"}),
            ("drawdown", {"drawdown"}),
            ("gross_exposure", {"gross_exposure"}),
            ("net_exposure", {"net_exposure"}),
            ("n_holdings", {"n_holdings"}),
            ("n_unpriced", {"n_unpriced"}),
        ],
    )
    def test_one_wrong_cell_of_any_column_is_found(
        self, trade_at: str, counted: str, column: str, rules: set[str]
    ):
        cell, said = self.case(trade_at, counted)
        values = getattr(said.backtest, column).copy()
        values[4] += 1 if column.startswith("n_") else 1e-9
        wrong = replace(said.backtest, **{column: values})
        found = identity_violations(cell, MARKET, said.book, wrong)
        assert {row["rule"] for row in found} == rules
        assert found[0]["date"] == str(said.backtest.dates[4])

    def test_weights_that_the_turnover_does_not_come_from_are_found(
        self, trade_at: str, counted: str
    ):
        cell, said = self.case(trade_at, counted)
        weights = said.book.weights.copy()
        weights[:, 0] *= 1.001
        moved = replace(said.book, weights=weights)
        found = identity_violations(cell, MARKET, moved, said.backtest)
        assert {"turnover", "gross_return"} <= {row["rule"] for row in found}

    def test_a_missing_month_is_found(self, trade_at: str, counted: str):
        cell, said = self.case(trade_at, counted)
        holed = type(said.backtest)(
            **{name: np.delete(values, 3) for name, values in vars(said.backtest).items()}
        )
        found = identity_violations(cell, MARKET, said.book, holed)
        assert [row["rule"] for row in found] == ["one row per month after the start"]


class TestCompounding:
    said = research.run(resolved_of(strategy_of(), "ABCDEF"), MARKET, DAYS)

    def test_the_books_own_days_compound(self):
        assert self.said.daily is not None
        assert compounding_violations(self.said.daily, self.said.backtest) == []

    def test_a_wrong_missing_or_stray_day_is_found(self):
        daily, backtest = self.said.daily, self.said.backtest
        assert daily is not None
        net = daily.net_return.copy()
        net[30] += 1e-10
        wrong = replace(daily, net_return=net)
        month = str(daily.dates[30].astype("datetime64[M]"))
        found = compounding_violations(wrong, backtest)
        assert [(row["rule"], row["date"]) for row in found] == [("days compound to month", month)]

        def without(keep: np.ndarray) -> list[str]:
            part = type(daily)(**{name: values[keep] for name, values in vars(daily).items()})
            return [row["rule"] for row in compounding_violations(part, backtest)]

        months = daily.dates.astype("datetime64[M]")
        assert "days compound to month" in without(months != months[100])
        assert "days compound to month" in without(np.arange(len(months)) != 100)
        late = replace(daily, dates=daily.dates + np.timedelta64(3650, "D"))
        rules = {row["rule"] for row in compounding_violations(late, backtest)}
        assert rules == {"day outside the backtest", "days compound to month"}

    def test_a_month_without_days_is_found_though_nothing_was_earned_in_it(self):
        zero = np.zeros(len(self.said.backtest.dates))
        backtest = replace(self.said.backtest, net_return=zero)
        daily = self.said.daily
        assert daily is not None
        kept = daily.dates > backtest.dates[0]
        nothing = np.zeros(kept.sum())
        flat = Daily(daily.dates[kept], nothing, 1.0 + nothing, nothing)
        found = compounding_violations(flat, backtest)
        assert [row["date"] for row in found] == [str(backtest.dates[0].astype("M8[M]"))]

    def test_months_after_the_days_came_to_nothing_are_not_compared(self):
        daily, backtest = self.said.daily, self.said.backtest
        assert daily is not None
        net = daily.net_return[:60].copy()
        net[-1] = -1.5
        nav = np.cumprod(1.0 + net)
        fall = nav / np.maximum.accumulate(np.maximum(nav, 1.0)) - 1.0
        ruined = Daily(daily.dates[:60], net, nav, fall)
        assert compounding_violations(ruined, backtest) == []
        early = ruined.net_return
        early[3] += 1e-6
        found = {row["rule"] for row in compounding_violations(ruined, backtest)}
        assert "days compound to month" in found

    def test_a_wrong_nav_or_drawdown_is_found(self):
        daily, backtest = self.said.daily, self.said.backtest
        assert daily is not None
        for column, rules in (("nav", {"nav", "drawdown"}), ("drawdown", {"drawdown"})):
            values = getattr(daily, column).copy()
            values[7] += 1e-6
            found = compounding_violations(replace(daily, **{column: values}), backtest)
            assert {row["rule"] for row in found} == rules

    def test_an_unknown_return_is_found(self):
        daily, backtest = self.said.daily, self.said.backtest
        assert daily is not None
        net = daily.net_return.copy()
        net[3] = NAN
        found = compounding_violations(replace(daily, net_return=net), backtest)
        assert "days compound to month" in {row["rule"] for row in found}
