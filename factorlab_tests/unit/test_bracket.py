"""Where a strategy lies between luck and foresight: figures, ranks, bounds, and why there are none.

Laws: no book with the oracle's legs, names and largest weight gains more in any holding period;
every path keeps group totals, safe ticker and cash; equal seeds give equal paths.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings

from factorlab_assets import schemas
from factorlab_assets.core import research
from factorlab_assets.core.backtest import simulate
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import metrics
from factorlab_assets.core.portfolio import build
from factorlab_assets.evaluation import bracket as module
from factorlab_assets.evaluation.bracket import (
    KINDS,
    METRICS,
    Bracket,
    bracket,
    drawn_afresh,
    figures,
    kept_labels,
    measured,
    percentile,
)
from factorlab_assets.evaluation.exchange import Exchange, foresight
from factorlab_assets.evaluation.random_paths import Terms, walk
from factorlab_assets.evaluation_settings import Feasibility
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.invariants.any_book import any_case, any_strategy
from factorlab_tests.small_panels import NAN, panel_of, ranked, resolved_of, strategy_of

EXAMPLES = settings(max_examples=100, deadline=None)
FEW = Feasibility.model_construct(paths=300, seed=0)
"""Fewer paths than a file may ask for."""


def wandering(names: int, months: int = 60, seed: int = 0, **said: Any) -> Panel:
    """Prices that wander by 4 % a month."""
    rng = np.random.default_rng(seed)
    price = 100.0 * np.exp(np.cumsum(0.04 * rng.standard_normal((months, names)), axis=0))
    return panel_of({f"T{i:03d}": price[:, i] for i in range(names)}, **said)


def judged(strategy: Strategy, market: Panel, **said: Any) -> Bracket:
    asked = said.pop("settings", FEW)
    resolved = said.pop("resolved", resolved_of(strategy, market.tickers.tolist()))
    result = research.run(resolved, market)
    return bracket(resolved, market, result.book, result.backtest, asked, **said)


def by_kind(found: Bracket, metric: str = "cagr") -> dict[str, dict[str, Any]]:
    return {row["kind"]: row for row in found.rows if row["metric"] == metric}


def setting(resolved: Resolved, market: Panel) -> tuple[Terms, Exchange]:
    said = research.run(resolved, market)
    carry = Carry.of(resolved.strategy, market)
    terms = Terms.of(resolved.strategy, said.book, said.panel, len(said.backtest.dates), carry)
    return terms, Exchange.of(resolved, market, said.book, said.members, said.score)


MOMENTUM = ranked({"select": {"top_k": 3}}, costs={"tc_bps": 10.0, "slippage_bps": 0.0})


def test_rows_are_those_of_the_table() -> None:
    found = judged(MOMENTUM, wandering(8))
    assert [(row["kind"], row["metric"]) for row in found.rows] == [
        (kind, metric) for kind in KINDS for metric in METRICS
    ]
    frame = pd.DataFrame([{"month": "2024-05", "strategy": "s", **row} for row in found.rows])
    columns = list(schemas.FEASIBILITY.columns)
    schemas.FEASIBILITY.schema.validate(frame[columns])
    assert found.reason == ""


def test_the_strategys_figures_are_its_metrics_and_the_quantiles_are_of_the_paths() -> None:
    market = wandering(8)
    said = research.run(resolved_of(MOMENTUM, market.tickers.tolist()), market).backtest
    own = metrics(said.net_return, said.rf, said.benchmark_return, said.turnover, said.cost)
    found = judged(MOMENTUM, market)
    for metric in METRICS:
        row = by_kind(found, metric)
        assert row["strategy"]["value"] == pytest.approx(own[metric], abs=1e-12)
        for kind, null in (("permuted", found.permuted), ("random", found.random)):
            assert null[metric].shape == (300,)
            assert row[kind]["n_paths"] == 300
            assert row[kind]["median"] == np.median(null[metric])
            assert row[kind]["p95"] == np.quantile(null[metric], 0.95)
            assert row[kind]["best"] == null[metric].max()
            share = np.mean(null[metric] < own[metric])
            assert row[kind]["percentile"] == pytest.approx(share, abs=1e-12)
            assert np.isnan(row[kind]["value"])
        assert row["oracle_net"]["value"] < row["oracle_gross"]["value"]
        assert row["oracle_gross"]["value"] > row["random"]["best"]


def test_fresh_draws_pay_for_trades_that_a_kept_permutation_does_not_make() -> None:
    """Buy and hold of three names: no path that keeps its labels trades more than drift."""
    fixed = {"T000": 0.5, "T001": 0.3, "T002": 0.2}
    portfolio = {"weighting": "fixed", "fixed_weights": fixed}
    costly = strategy_of(portfolio=portfolio, costs={"tc_bps": 100.0, "slippage_bps": 0.0})
    found = judged(costly, wandering(6))
    means = {kind: row["mean"] for kind, row in by_kind(found).items()}
    assert means["random"] < means["permuted"] - 0.1
    assert "last rebalance: 120;" in by_kind(found)["permuted"]["note"] + ";"


def test_the_number_of_books_is_of_the_names_that_could_be_held() -> None:
    prices = {f"T{i}": np.cumprod(np.full(30, 1.0 + 0.01 * i)) for i in range(6)}
    prices["T5"][:25] = NAN
    found = judged(ranked({"select": {"top_k": 2}, "min_names": 2}), panel_of(prices))
    note = by_kind(found)["permuted"]["note"]
    # Five names until the sixth has its first price.
    assert "last rebalance: 15 (10 to 15 over time)" in note
    assert judged(MOMENTUM, wandering(12)).rows[6]["note"].count("last rebalance: 220") == 1


def test_with_the_scores_given_a_name_without_one_is_not_held() -> None:
    market = wandering(5, months=24)
    score = np.ones(market.price.shape)
    score[:, 4] = NAN
    assert Exchange.of(
        resolved_of(MOMENTUM, market.tickers.tolist()),
        market,
        build(MOMENTUM, score, market, universe_size=5),
        score=score,
    ).movable.any(axis=0).tolist() == [True] * 4 + [False]


def test_names_change_places_within_bounded_groups_only() -> None:
    market = wandering(6)
    groups = dict(zip(market.tickers.tolist(), "xxxyyy", strict=True))
    bounded = ranked({"select": {"top_k": 4}, "groups": {"x": {"max": 0.4}}})
    tickers = tuple(market.tickers.tolist())
    resolved = Resolved(
        strategy=bounded, tickers=tickers, asset_classes={}, groups={"asset_class": groups}
    )
    terms, exchange = setting(resolved, market)
    for make in (kept_labels, drawn_afresh):
        arrange = make(terms, exchange, 50, np.random.default_rng(0))
        differ = False
        for t in terms.trades[:6]:
            dealt, own = arrange(t), terms.weights[t]
            for half in (slice(0, 3), slice(3, 6)):
                np.testing.assert_array_equal(
                    np.sort(dealt[half], axis=0),
                    np.repeat(np.sort(own[half])[:, np.newaxis], 50, axis=1),
                )
            differ |= bool(np.ptp(dealt, axis=1).any())
        assert differ
    oracle = foresight(terms, exchange)
    kept = [oracle[t, :3].sum() - terms.weights[t, :3].sum() for t in terms.trades]
    np.testing.assert_allclose(kept, 0.0, atol=1e-12)
    note = by_kind(judged(bounded, market, resolved=resolved))["permuted"]["note"]
    assert "within each asset_class" in note


def test_the_safe_ticker_and_cash_keep_what_they_have() -> None:
    select = {"top_k": 2, "only_positive": "trend", "safe": "T001"}
    market = wandering(6)
    terms, exchange = setting(
        resolved_of(ranked({"select": select}), market.tickers.tolist()), market
    )
    assert terms.weights[:, 1].any()
    for make in (kept_labels, drawn_afresh):
        arrange = make(terms, exchange, 20, np.random.default_rng(0))
        for t in terms.trades:
            dealt = arrange(t)
            assert (dealt[1] == terms.weights[t, 1]).all()
            np.testing.assert_allclose(dealt.sum(axis=0), terms.weights[t].sum(), atol=1e-15)
    assert (foresight(terms, exchange)[terms.trades, 1] == terms.weights[terms.trades, 1]).all()
    note = by_kind(judged(ranked({"select": select}), market))["permuted"]["note"]
    assert note.endswith("; T001 keeps its weights")
    cash = ranked({"select": {"top_k": 2, "only_positive": "trend"}})
    note = by_kind(judged(cash, market))["permuted"]["note"]
    assert note.endswith("; cash keeps its share")


def test_labels_stay_until_a_name_comes() -> None:
    prices = {f"T{i}": np.cumprod(np.full(40, 1.0 + 0.01 * i)) for i in range(5)}
    prices["T4"][:20] = NAN
    terms, exchange = setting(
        resolved_of(ranked({"select": {"top_k": 2}, "min_names": 2}), list(prices)),
        panel_of(prices),
    )
    come = int(np.flatnonzero(exchange.movable[:, 4])[0])
    assert come == 32, "twelve months after its first price it has a score"
    arrange = kept_labels(terms, exchange, 200, np.random.default_rng(0))
    dealt = {t: arrange(t) for t in terms.trades}
    first = dealt[terms.trades[0]]
    for t in terms.trades:
        if t < come:  # the strategy's weights never change, and so no path's do
            np.testing.assert_array_equal(dealt[t], first)
    assert not first[4].any()
    assert 0 < np.count_nonzero(dealt[come][4]) < 200


@EXAMPLES
@given(any_strategy(), any_case())
def test_no_book_of_such_legs_gains_more_than_the_oracle_in_any_holding_period(strategy, case):
    panel, score, raw = case
    said = strategy.model_copy(update={"costs": strategy.costs.model_copy(update={"impact": 0.0})})
    resolved = resolved_of(said, panel.tickers.tolist())
    book = build(said, score, panel, raw_filter=raw, universe_size=len(panel.tickers))
    backtest = simulate(said, book, panel, np.full(len(panel.dates), NAN))
    assume(len(backtest.dates) > 0 and not backtest.ended)
    carry = Carry.of(said, panel)
    terms = Terms.of(said, book, panel, len(backtest.dates), carry)
    exchange = Exchange.of(resolved, panel, book)
    weights = foresight(terms, exchange)
    free = replace(terms, carry=Carry(carry.rf))
    best = walk(free, lambda t: weights[t][:, np.newaxis].copy(), 1)[0]
    assume((1.0 + best > 0.0).all())
    make = drawn_afresh(terms, exchange, 20, np.random.default_rng(0))
    others = np.column_stack([backtest.gross_return, walk(terms, make, 20)[0]])
    alive = (1.0 + others > 0.0).all(axis=0)
    growth = np.prod(1.0 + others[:, alive], axis=0)
    assert growth.max() <= np.prod(1.0 + best) * (1.0 + 1e-12), "over the whole history"
    if said.execution.trade_at == "close":  # else a row has the end of another holding period
        starts = np.array(terms.trades) - terms.start
        periods = np.multiply.reduceat(1.0 + others[:, alive], starts, axis=0)
        most = np.multiply.reduceat(1.0 + best, starts, axis=0)
        assert (periods <= most * (1.0 + 1e-12)).all()
    for t in terms.trades:
        own, knew = terms.weights[t], weights[t]
        assert np.count_nonzero(knew) <= np.count_nonzero(own)
        assert np.abs(knew).max() <= np.abs(own).max() + 1e-12
        for side in (1.0, -1.0):
            legs = [np.maximum(side * each, 0.0).sum() for each in (own, knew)]
            assert legs[0] == pytest.approx(legs[1], abs=1e-11)


def test_the_oracle_fills_the_best_names_in_turn() -> None:
    """A rises 30 %, B 20 %, C 10 % and D falls: 0.5 in A, 0.4 of what is left in B."""
    weights = {"A": 0.1, "B": 0.2, "C": 0.5, "D": 0.1}
    fixed = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": weights})
    prices = {"A": [1.0, 1.3], "B": [1.0, 1.2], "C": [1.0, 1.1], "D": [1.0, 0.5]}
    terms, exchange = setting(resolved_of(fixed, list(prices)), panel_of(prices))
    np.testing.assert_allclose(foresight(terms, exchange)[0], [0.5, 0.4, 0.0, 0.0], atol=1e-15)


def test_the_oracle_knows_who_will_be_gone_and_earn_what_cash_earns() -> None:
    """B is cash from its third month-end without a price on: at 2 % a month better than A."""
    weights = {"A": 1.0}
    said = strategy_of(
        portfolio={"weighting": "fixed", "fixed_weights": weights},
        schedule={"every_months": 12},
        cash={"yield_ann": 1.02**12 - 1.0},
    )
    prices = {"A": [1.0] * 9 + [1.01], "B": [1.0, 1.0] + [NAN] * 8, "C": [1.0] * 10}
    terms, exchange = setting(resolved_of(said, list(prices)), panel_of(prices))
    weights_known = foresight(terms, exchange)
    np.testing.assert_array_equal(weights_known[0], [0.0, 1.0, 0.0])
    gross, _ = walk(terms, lambda t: weights_known[t][:, np.newaxis].copy(), 1)
    np.testing.assert_allclose(gross[:, 0], [0.0] * 4 + [0.02] * 5, atol=1e-12)


def test_an_oracle_that_is_ruined_on_the_way_has_no_figures() -> None:
    """Short B, which ends lowest, but first doubles and more: held for two months, all is lost."""
    weights = {"A": 0.5, "C": -1.0}
    portfolio = {"type": "long_short", "weighting": "fixed", "fixed_weights": weights, "gross": 1.5}
    prices = {"A": [1.0, 1.0, 1.0, 1.0], "B": [1.0, 2.2, 0.1, 0.1], "C": [1.0, 1.1, 1.0, 1.0]}
    said = strategy_of(portfolio=portfolio, schedule={"every_months": 12})
    rows = by_kind(judged(said, panel_of(prices, first="2020-02")))
    assert np.isfinite(rows["strategy"]["value"])
    assert np.isnan(rows["oracle_gross"]["value"])
    assert "ruined on the way" in rows["oracle_gross"]["note"]
    assert rows["permuted"]["p05"] == -1.0


def test_ranks_count_ties_half() -> None:
    among = np.array([1.0, 2.0, 2.0 + 1e-13, 3.0, NAN])
    assert percentile(2.0, among) == 0.5
    assert percentile(0.0, among) == 0.0
    assert percentile(9.0, among) == 1.0
    assert percentile(2.0 + 1e-6, among) == 0.75
    assert np.isnan(percentile(NAN, among))
    assert np.isnan(percentile(1.0, np.array([NAN])))


def test_figures_of_paths_are_those_of_performance() -> None:
    net = np.random.default_rng(0).normal(0.01, 0.05, (40, 5))
    rf = np.linspace(0.0, 0.004, 40)
    net[:, 4] = rf + 0.01  # no dispersion beyond rounding
    found, nothing = measured(net, rf), np.full(40, NAN)
    for path in range(5):
        said = metrics(net[:, path], rf, nothing, rf, rf)
        assert found["cagr"][path] == pytest.approx(said["cagr"], abs=1e-12)
        assert found["sharpe"][path] == pytest.approx(said["sharpe"], abs=1e-12, nan_ok=True)
    assert np.isnan(found["sharpe"][4])
    assert np.isnan(measured(net[:1], rf[:1])["sharpe"]).all()


def test_a_path_that_is_lost_grows_by_minus_one_and_counts_until_then() -> None:
    net = np.array([[0.1, 0.1], [-0.2, -1.5], [0.3, -3.0], [0.1, 0.4]])
    found = measured(net, np.zeros(4))
    assert found["cagr"][1] == -1.0
    until = net[:2, 1]
    assert found["sharpe"][1] == pytest.approx(
        until.mean() / until.std(ddof=1) * 12**0.5, abs=1e-12
    )
    assert found["cagr"][0] == pytest.approx((1.1 * 0.8 * 1.3 * 1.1) ** 3 - 1.0, abs=1e-12)


def test_equal_seeds_give_equal_paths() -> None:
    market = wandering(7)
    one, same, other = (
        judged(MOMENTUM, market, settings=Feasibility.model_construct(paths=50, seed=seed))
        for seed in (4, 4, 5)
    )
    for kind in ("permuted", "random"):
        for metric in METRICS:
            first = getattr(one, kind)[metric]
            np.testing.assert_array_equal(first, getattr(same, kind)[metric])
            assert (first != getattr(other, kind)[metric]).any()


def test_paths_are_walked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    market = wandering(7)
    terms, exchange = setting(resolved_of(MOMENTUM, market.tickers.tolist()), market)
    rf: Floats = np.zeros(terms.stop - terms.start)
    sizes: list[int] = []

    def spied(terms: Terms, arrange: Any, n_paths: int) -> tuple[Floats, Floats]:
        sizes.append(n_paths)
        return walk(terms, arrange, n_paths)

    monkeypatch.setattr(module, "walk", spied)
    monkeypatch.setattr(module, "MOST_CELLS", 7 * 128)
    found = figures(terms, exchange, FEW, is_fresh=True, rf=rf)
    assert sizes == [128, 128, 44]
    assert len(np.unique(found["cagr"].round(12))) > 290, "the pieces are not the same"


def assert_nothing(found: Bracket, reason: str) -> None:
    assert reason in found.reason
    assert len(found.rows) == len(KINDS) * len(METRICS)
    for row in found.rows:
        assert row["note"] == found.reason
        values = [value for name, value in row.items() if isinstance(value, float)]
        assert len(values) == 9
        assert np.isnan(values).all()


def test_a_book_that_never_starts_has_no_bracket() -> None:
    assert_nothing(judged(ranked({"min_names": 9}), wandering(4)), "never rebalanced")


def test_a_ruined_book_has_no_bracket() -> None:
    weights = {"A": 1.0, "B": -1.0}
    portfolio = {"type": "long_short", "weighting": "fixed", "fixed_weights": weights, "gross": 2.0}
    market = panel_of({"A": [1.0, 0.5, 0.5], "B": [1.0, 1.9, 1.9], "C": [1.0, 1.0, 1.0]})
    found = judged(strategy_of(portfolio=portfolio), market)
    assert_nothing(found, "NAV at or below 0")


def test_one_name_has_nobody_to_change_places_with() -> None:
    assert_nothing(judged(strategy_of(), wandering(1)), "fewer than two names")


def test_a_book_beside_another_backtest_is_refused() -> None:
    market = wandering(6)
    resolved = resolved_of(MOMENTUM, market.tickers.tolist())
    said = research.run(resolved, market)
    off = replace(said.backtest, net_return=said.backtest.net_return + 1e-6)
    found = bracket(resolved, market, said.book, off, FEW)
    assert_nothing(found, "not what this book earns")


def test_where_only_one_book_is_possible_there_is_no_percentile() -> None:
    found = judged(strategy_of(), wandering(5))
    row = by_kind(found)["permuted"]
    assert np.isnan(row["percentile"])
    assert "last rebalance: 1, never more, so there is no percentile" in row["note"]
    assert row["median"] == pytest.approx(found.own["cagr"], abs=1e-12)
