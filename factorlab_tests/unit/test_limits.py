"""Declared limits after the fact: silent on what is built, and each planted fault named, unless the
date says so itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.book import Book
from factorlab_assets.core.identities import constraint_violations
from factorlab_assets.core.panel import Panel
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.small_books import RISK, calm_panel
from factorlab_tests.small_panels import ranked

MARKET = calm_panel({"A": 0.02, "B": 0.01, "C": 0.03, "D": 0.015}, rounds=2)
GROUPS = {"A": "x", "B": "x", "C": "y", "D": "y"}
BETA = {"beta": {"market": "A", "window": 12}}
TREND = {"lookback": 3}
T = len(MARKET.dates) - 1

CASES: dict[str, tuple[dict[str, Any], list[float], str]] = {
    # what is declared, weights on the last date that break it, and the rule they break
    "min_weight": ({"min_weight": 0.1}, [0.05, 0.45, 0.25, 0.25], "min_weight"),
    "max_names": ({"max_names": 2}, [0.3, 0.3, 0.4, 0.0], "max_names"),
    "group max": ({"groups": {"x": {"max": 0.5}}}, [0.3, 0.3, 0.2, 0.2], "groups"),
    "group min": ({"groups": {"y": {"min": 0.5}}}, [0.3, 0.3, 0.2, 0.2], "groups"),
    "turnover": ({"max_turnover": 0.2}, [1.0, 0.0, 0.0, 0.0], "turnover"),
    "min_trade": ({"min_trade": 0.9}, [0.0, 0.0, 0.5, 0.5], "min_trade"),
    "too volatile": (
        {"volatility_target": 0.01, "risk": RISK},
        [0.5, 0.5, 0.0, 0.0],
        "volatility_target",
    ),
    "too calm": (
        {"volatility_target": 0.03, "risk": RISK},
        [0.05, 0.05, 0.0, 0.0],
        "volatility_target",
    ),
    "beta": ({"beta_target": 0.1, **BETA}, [0.5, 0.5, 0.0, 0.0], "beta_target"),
    "beta of the wrong sign": ({"beta_target": -0.1, **BETA}, [0.5, 0, 0, 0], "beta_target"),
    "neutral": (
        {"type": "long_short", "neutral": "beta", **BETA},
        [0.5, 0.0, 0.0, -0.5],
        "neutral",
    ),
    "long leg": ({"type": "long_short", "max_turnover": 9}, [0.6, 0, 0, -0.4], "long leg"),
    "short leg": ({"type": "long_short", "max_turnover": 9}, [0.4, 0, 0, -0.6], "short leg"),
    "net": ({"type": "long_short", "max_turnover": 9}, [0.5, 0, 0, -0.2], "net"),
    "gross": ({"max_turnover": 9}, [0.6, 0.5, 0.0, 0.0], "gross"),
    "max_weight": ({"max_turnover": 9, "max_weight": 0.4}, [0.5, 0.3, 0.1, 0.1], "max_weight"),
    "leverage": (
        {"volatility_target": 2.0, "max_leverage": 1.5, "risk": RISK},
        [0.8, 0.8, 0.0, 0.0],
        "gross",
    ),
}


def cell_of(portfolio: dict[str, Any]) -> Resolved:
    strategy: Strategy = ranked({"min_names": 2, **portfolio})
    strategy.factors[0].params.update(TREND)
    groups = {"asset_class": GROUPS}
    return Resolved(strategy=strategy, tickers=tuple("ABCD"), asset_classes={}, groups=groups)


def rules(cell: Resolved, market: Panel, book: Book, date: Any) -> set[str]:
    found = constraint_violations(cell, market, book)
    assert {row["date"] for row in found} <= {str(date)}
    return {row["rule"] for row in found}


@pytest.mark.parametrize("name", CASES)
def test_a_limit_that_does_not_hold_is_found_unless_the_date_says_so(name: str):
    portfolio, weights, rule = CASES[name]
    cell = cell_of(portfolio)
    book = research.run(cell, MARKET).book
    assert book.start < T
    assert constraint_violations(cell, MARKET, book) == []

    wrong = replace(book, weights=book.weights.copy(), outcome=book.outcome.copy())
    wrong.weights[T], wrong.outcome[T] = weights, ""
    assert rule in rules(cell, MARKET, wrong, MARKET.dates[T])

    others = sorted(rules(cell, MARKET, wrong, MARKET.dates[T]) - {rule})
    wrong.outcome[T] = "relaxed: " + ", ".join([rule, *others])
    assert rules(cell, MARKET, wrong, MARKET.dates[T]) == set()
    wrong.outcome[T] = "relaxed: " + ", ".join(["something else", *others])
    assert rules(cell, MARKET, wrong, MARKET.dates[T]) == {rule}
    wrong.outcome[T] = "kept last weights: infeasible"
    assert rules(cell, MARKET, wrong, MARKET.dates[T]) == set()


def test_a_short_position_or_no_number_is_never_excused():
    cell = cell_of({"max_turnover": 9})
    book = research.run(cell, MARKET).book
    book.weights[T] = [0.5, -0.1, np.nan, 0.0]
    book.outcome[T] = "kept last weights: infeasible"
    assert rules(cell, MARKET, book, MARKET.dates[T]) == {"short position", "not a number"}


def test_a_first_trade_is_free_of_the_turnover_cap():
    cell = cell_of({"max_turnover": 0.1})
    book = research.run(cell, MARKET).book
    assert np.abs(book.weights[book.start]).sum() == pytest.approx(1.0, abs=1e-9)
    assert constraint_violations(cell, MARKET, book) == []
