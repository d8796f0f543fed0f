"""Paths earn what `backtest.simulate` says of the same book, by any of its conventions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from factorlab_assets import strategy as files
from factorlab_assets import universes
from factorlab_assets.core import factors, research
from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.core.risk import betas
from factorlab_assets.evaluation.random_paths import Terms, walk
from factorlab_assets.settings import Settings
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.invariants.any_book import any_case, any_engine_strategy, any_strategy
from factorlab_tests.small_panels import NAN, strategy_of
from factorlab_tests.traded_panels import traded_market

# Many a drawn strategy is not valid, or never starts: they are passed over.
EXAMPLES = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
SAME = {"rtol": 0.0, "atol": 1e-12}
"""The same sums in another order, of returns below 1 in size."""


def earned(strategy: Strategy, book: Book, panel: Panel) -> Backtest:
    return simulate(strategy, book, panel, np.full(len(panel.dates), NAN))


def terms_of(strategy: Strategy, book: Book, panel: Panel, n_months: int) -> Terms:
    return Terms.of(strategy, book, panel, n_months, Carry.of(strategy, panel))


def assert_reproduced(strategy: Strategy, book: Book, panel: Panel) -> None:
    said = earned(strategy, book, panel)
    assume(len(said.dates) > 0)
    terms = terms_of(strategy, book, panel, len(said.dates))
    gross, net = walk(terms, lambda t: np.repeat(book.weights[t][:, np.newaxis], 2, axis=1), 2)
    for path in range(2):
        np.testing.assert_allclose(gross[:, path], said.gross_return, **SAME)
        np.testing.assert_allclose(net[:, path], said.net_return, **SAME)


@EXAMPLES
@given(any_strategy(), any_case())
def test_the_book_itself_earns_its_own_returns(strategy, case):
    panel, score, raw = case
    names = len(panel.tickers)
    assert_reproduced(
        strategy, build(strategy, score, panel, raw_filter=raw, universe_size=names), panel
    )


@EXAMPLES
@given(any_engine_strategy(), any_case())
def test_so_does_one_with_targets_tranches_bands_and_safe_tickers(strategy, case):
    panel, score, raw = case
    portfolio = strategy.portfolio
    known: dict[str, Any] = {"raw_filter": raw if portfolio.select.only_positive else None}
    if portfolio.needs_beta:
        known["betas"] = betas(portfolio.beta, panel, panel)
    book = build(strategy, score, panel, universe_size=len(panel.tickers), **known)
    assert_reproduced(strategy, book, panel)


SHIPPED = {
    "xsmom_12_1": {},
    "sixty_forty_quarterly": {"costs": {"margin_spread_ann": 0.02}},
    "three_factor_ls": {"cash": {"yield_ann": 0.03}},
    "trend_12m": {"execution": {"turnover": "target"}, "cash": {"yield_ann": 0.03}},
    "low_vol": {"execution": {"trade_at": "next_close"}},
    "permanent_portfolio": {"execution": {"trade_at": "next_open", "turnover": "target"}},
    "protective_paa2": {"costs": {"impact": 1.0, "capital": 1e8}},
    "overlapping_momentum": {"execution": {"trade_at": "next_close"}},
    "mean_variance_momentum": {"costs": {"spread_bps": {"SPY": 30.0}}},
}
"""Files, and what is said otherwise."""


@pytest.fixture(scope="module")
def etfs() -> tuple[Panel, dict[str, Resolved]]:
    """Eight years of the universe's tickers with gaps, and every shipped strategy."""
    said = Settings(_env_file=None)
    good, _ = files.load_strategies(said.strategies_path, factors.complete)
    named = universes.load_universes(said.universes_path)
    every = {name: files.resolve(each, named, good) for name, each in good.items()}
    tickers = {ticker for name in SHIPPED for ticker in every[name].tickers or ()}
    return traded_market(96, sorted(tickers | {"SPY", "IEF"}), seed=2, gaps=0.004)[0], every


@pytest.mark.parametrize(("name", "otherwise"), SHIPPED.items(), ids=SHIPPED)
def test_so_do_shipped_strategies(
    etfs: tuple[Panel, dict[str, Resolved]], name: str, otherwise: dict[str, Any]
):
    market, shipped = etfs
    said = shipped[name].strategy.model_dump(exclude={"universe", "sweep"})
    for part, keys in otherwise.items():
        said[part] = said[part] | keys
    strategy = Strategy.model_validate(said | {"universe": shipped[name].strategy.universe})
    resolved = shipped[name].model_copy(update={"strategy": strategy})
    result = research.run(resolved, market)
    months = len(result.backtest.dates)
    assert months > 30
    terms = Terms.of(strategy, result.book, result.panel, months, Carry.of(strategy, market))
    gross, net = walk(terms, lambda t: result.book.weights[t][:, np.newaxis].copy(), 1)
    np.testing.assert_allclose(gross[:, 0], result.backtest.gross_return, **SAME)
    np.testing.assert_allclose(net[:, 0], result.backtest.net_return, **SAME)
    assert (net < gross).any()


def random_weights(strategy: Strategy, shape: tuple[int, int], seed: int) -> Floats:
    """Weights of every month from the third on, most of them 0, long and short where the strategy
    is."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.05, 0.4, shape) * (rng.random(shape) < 0.4)
    if strategy.portfolio.type == "long_short":
        weights *= rng.choice([-1.0, 1.0], shape)
    weights[:2] = 0.0
    return np.asarray(weights)


TICKERS = "ABCDE"
CONVENTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "target turnover": {"execution": {"turnover": "target"}},
    "next close": {"execution": {"trade_at": "next_close"}},
    "next open, target": {"execution": {"trade_at": "next_open", "turnover": "target"}},
    "shorts that are lent, cash that earns": {
        "portfolio": {"type": "long_short"},
        "factors": [{"name": "trend", "delay": 0}],
        "costs": {"borrow_ann": 0.05, "margin_spread_ann": 0.02},
        "cash": {"yield_ann": 0.04},
    },
    "spreads by ticker": {"costs": {"spread_bps": {"A": 40.0, "C": 200.0}}},
    "market impact": {"costs": {"impact": 1.0, "capital": 1e6}},
}


@pytest.mark.parametrize("said", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_path_is_the_backtest_of_the_book_with_its_columns_exchanged(said: dict[str, Any]):
    strategy = strategy_of(**said)
    panel, _ = traded_market(18, TICKERS, seed=4)
    book = Book(random_weights(strategy, panel.price.shape, 9), np.zeros(panel.price.shape), 2)
    terms = terms_of(strategy, book, panel, len(panel.dates) - 3)
    rng = np.random.default_rng(1)
    orders = rng.permuted(np.repeat(np.arange(5)[:, np.newaxis], 40, axis=1), axis=0)
    gross, net = walk(terms, lambda t: book.weights[t][orders], 40)
    assert np.ptp(net[5]) > 0.01, "paths differ"
    for path in range(40):
        other = replace(book, weights=np.ascontiguousarray(book.weights[:, orders[:, path]]))
        expected = earned(strategy, other, panel)
        np.testing.assert_allclose(gross[:, path], expected.gross_return, **SAME)
        np.testing.assert_allclose(net[:, path], expected.net_return, **SAME)
    if {"spread_bps", "impact"} & set(said.get("costs", {})):
        assert (net < gross).any(), "there are costs to compare"


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
@pytest.mark.parametrize("turnover", ["drifted", "target"])
def test_between_rebalances_a_path_drifts_with_its_own_names(trade_at: str, turnover: str):
    """Quarterly: of the strategy's rows only those of March, June … are read; the others are NaN,
    and so would be every path that looked."""
    strategy = strategy_of(
        schedule={"every_months": 3},
        execution={"trade_at": trade_at, "turnover": turnover},
        costs={"tc_bps": 50.0},
        cash={"yield_ann": 0.05},
    )
    panel, _ = traded_market(20, TICKERS, seed=5, gaps=0.0)
    weights = random_weights(strategy, panel.price.shape, 2)
    book = Book(weights, np.zeros(panel.price.shape), 2)
    terms = terms_of(strategy, book, panel, 17)
    is_read = np.zeros(len(weights), dtype=np.bool_)
    is_read[terms.trades] = True
    weights[~is_read] = NAN
    order = np.array([3, 0, 4, 1, 2])
    gross, net = walk(terms, lambda t: weights[t][order][:, np.newaxis], 1)
    assert terms.trades == [2, 5, 8, 11, 14, 17]

    own, growth = np.zeros(5), np.ones(17)
    period = terms.after
    held = np.zeros((19, 5))  # the same by hand, one name after the other
    for t in range(2, 19):
        before = own
        if terms.rebalanced[t]:
            if terms.before is not None:
                growth[t - 2] = 1.0 + (own * terms.before[t]).sum()
                own = own * (1.0 + terms.before[t]) / growth[t - 2]
            against = (held[t - 1] if turnover == "target" else own) if t > 2 else np.zeros(5)
            cost = np.abs(weights[t][order] - against).sum() * 55.0 / 1e4
            own = weights[t][order]
        else:
            own, cost = before, 0.0
        held[t] = own
        rf = 1.05 ** (1 / 12) - 1.0
        month = (own * period[t]).sum() + (1.0 - own.sum()) * rf
        expected = growth[t - 2] * (1.0 + month) - 1.0
        assert gross[t - 2, 0] == pytest.approx(expected, abs=1e-13)
        assert net[t - 2, 0] == pytest.approx(expected - cost, abs=1e-13)
        own = own * (1.0 + period[t]) / (1.0 + month)


@given(st.integers(0, 3))
def test_a_name_is_gone_at_its_third_month_end_without_a_price(first: int):
    strategy = strategy_of(schedule={"months": [1]})
    panel, _ = traded_market(10, TICKERS, seed=1, gaps=0.0)
    seen = panel.seen.copy()
    seen[first + 3 : first + 7, 1] = NAN
    book = Book(np.zeros(seen.shape), np.zeros(seen.shape), 0)
    terms = terms_of(strategy, book, replace(panel, seen=seen), 9)
    assert np.flatnonzero(terms.gone[:, 1]).tolist() == [first + 5, first + 6]
