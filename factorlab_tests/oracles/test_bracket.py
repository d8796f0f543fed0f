"""The bracket against enumeration, scipy 1.17's linear programming, and strategies whose skill is
known: one that sees the next month, many that see nothing.

Tolerances: abs=1e-12 where the same returns are compounded in another order; counts of random paths
within five standard errors, all seeded. Percentiles of the real archive are within five standard
errors of what other seeds give.
"""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import linprog

from factorlab_assets import strategy as files
from factorlab_assets import universes
from factorlab_assets.core import factors, research
from factorlab_assets.core.backtest import simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.evaluation.bracket import bracket, figures, percentile
from factorlab_assets.evaluation.exchange import Exchange, foresight
from factorlab_assets.evaluation.random_paths import Terms
from factorlab_assets.evaluation_settings import Feasibility
from factorlab_assets.settings import Settings
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

COSTS = {"tc_bps": 30.0, "slippage_bps": 0.0, "spread_bps": {"T2": 60.0}}


def market_of(names: int, months: int, seed: int, *, sd: float = 0.05) -> Panel:
    rng = np.random.default_rng(seed)
    price = 50.0 * np.exp(np.cumsum(sd * rng.standard_normal((months, names)), axis=0))
    return panel_of({f"T{i}": price[:, i] for i in range(names)})


def growth(strategy: Strategy, weights: Floats, market: Panel) -> float:
    """Growth per year, net, of weights held from the first date on, by `simulate`."""
    book = Book(weights, np.zeros(weights.shape), 0)
    said = simulate(strategy, book, market, np.full(len(market.dates), NAN))
    return float(said.nav[-1] ** (12 / len(said.nav)) - 1.0)


def null_of(
    strategy: Strategy, weights: Floats, market: Panel, *, n_paths: int, is_fresh: bool, seed: int
) -> Floats:
    book = Book(weights, np.zeros(weights.shape), 0)
    resolved = resolved_of(strategy, market.tickers.tolist())
    months = len(market.dates) - 1
    terms = Terms.of(strategy, book, market, months, Carry.of(strategy, market))
    exchange = Exchange.of(resolved, market, book)
    few = Feasibility.model_construct(paths=n_paths, seed=seed)
    return figures(terms, exchange, few, is_fresh=is_fresh, rf=np.zeros(months))["cagr"]


def drifting(strategy: Strategy, market: Panel, rows: dict[int, Floats]) -> Floats:
    """Weights of every date from those of the rebalances."""
    weights = np.zeros(market.price.shape)
    for t in range(len(weights)):
        weights[t] = rows.get(t, 0.0)
        if t not in rows:
            moved = weights[t - 1] * market.price[t] / market.price[t - 1]
            weights[t] = moved / (1.0 + moved.sum() - weights[t - 1].sum())
    return weights


def frequencies_match(found: Floats, every: list[float]) -> None:
    """Paths take on exactly these values, each as often as it stands in the list."""
    values, times = np.unique(np.round(every, 11), return_counts=True)
    place = np.abs(found[:, np.newaxis] - values).argmin(axis=1)
    np.testing.assert_allclose(found, values[place], atol=2e-11)
    share = times / len(every)
    seen = np.bincount(place, minlength=len(values)) / len(found)
    error = np.sqrt(share * (1.0 - share) / len(found))
    assert (np.abs(seen - share) < 5.0 * error).all()


@pytest.mark.parametrize("turnover", ["drifted", "target"])
def test_kept_labels_are_the_24_permutations_of_four_names_alike(turnover: str):
    strategy = strategy_of(costs=COSTS, execution={"turnover": turnover})
    market = market_of(4, 14, seed=3)
    rng = np.random.default_rng(8)
    weights = rng.dirichlet(np.ones(4), 14) * (rng.random((14, 4)) < 0.7)
    every = [growth(strategy, weights[:, list(p)], market) for p in permutations(range(4))]
    assert len(set(np.round(every, 11))) == 24
    found = null_of(strategy, weights, market, n_paths=30_000, is_fresh=False, seed=0)
    frequencies_match(found, every)


def test_fresh_draws_are_every_pair_of_permutations_of_four_names_alike():
    strategy = strategy_of(costs=COSTS, schedule={"every_months": 3})
    market = market_of(4, 6, seed=3)
    rows = {0: np.array([0.5, 0.3, 0.0, 0.0]), 2: np.array([0.0, 0.4, 0.4, 0.2])}
    rows[5] = np.zeros(4)  # of the last date nothing is earned any more
    every = []
    for one, two in product(permutations(rows[0]), permutations(rows[2])):
        own = {0: np.array(one), 2: np.array(two), 5: rows[5]}
        every.append(growth(strategy, drifting(strategy, market, own), market))
    assert len(every) == 576
    weights = drifting(strategy, market, rows)
    found = null_of(strategy, weights, market, n_paths=60_000, is_fresh=True, seed=1)
    frequencies_match(found, every)


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_is_the_optimum_of_the_linear_programme(seed: int):
    rng = np.random.default_rng(seed)
    names, market = 7, market_of(7, 2, seed=seed)
    weights = rng.uniform(0.1, 0.5, (2, names)) * rng.choice([-1.0, 0.0, 1.0], (2, names))
    strategy = strategy_of(
        portfolio={"type": "long_short"}, factors=[{"name": "trend", "delay": 0}]
    )
    book = Book(weights, np.zeros(weights.shape), 0)
    terms = Terms.of(strategy, book, market, 1, Carry.of(strategy, market))
    exchange = Exchange.of(resolved_of(strategy, market.tickers.tolist()), market, book)
    knew, gain = foresight(terms, exchange)[0], market.price[1] / market.price[0] - 1.0
    long, short = (np.maximum(side * weights[0], 0.0).sum() for side in (1.0, -1.0))
    heaviest = np.abs(weights[0]).max()
    best = linprog(  # longs, then shorts, nobody with more than the heaviest
        np.concatenate([-gain, gain]),
        A_eq=np.kron(np.eye(2), np.ones(names)),
        b_eq=[long, short],
        bounds=[(0.0, heaviest)] * (2 * names),
    )
    assert knew @ gain == pytest.approx(-best.fun, abs=1e-12)


def looking(market: Panel, skill: float, seed: int) -> Floats:
    """Weights of a third each for the three highest of next month's returns, so far as they are
    seen through noise; `skill` 0 sees nothing."""
    rng = np.random.default_rng([seed, 1])
    seen = rng.standard_normal(market.price.shape)
    seen[:-1] += skill * np.diff(np.log(market.price), axis=0) / 0.05
    return np.where(seen.argsort(axis=1).argsort(axis=1) >= seen.shape[1] - 3, 1.0 / 3.0, 0.0)


def test_a_planted_skill_is_beyond_the_99th_percentile_of_either_null():
    strategy, market = strategy_of(costs=COSTS), market_of(10, 121, seed=5)
    weights = looking(market, 0.3, seed=0)
    own = growth(strategy, weights, market)
    for is_fresh in (False, True):
        found = null_of(strategy, weights, market, n_paths=2_000, is_fresh=is_fresh, seed=0)
        assert percentile(own, found) >= 0.99
    # Half as much luck as skill would not do: the middle path is far below.
    assert own > np.median(found) + 0.05


def test_strategies_without_skill_lie_anywhere_alike():
    """Their percentiles are uniform: Kolmogorov–Smirnov over 150 of them, of both nulls."""
    strategy = strategy_of(costs=COSTS)
    found: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(150):
        market = market_of(6, 37, seed=seed)
        weights = looking(market, 0.0, seed)
        own = growth(strategy, weights, market)
        for is_fresh, ranks in found.items():
            null = null_of(strategy, weights, market, n_paths=240, is_fresh=is_fresh, seed=seed)
            ranks.append(percentile(own, null))
    for ranks in found.values():
        assert stats.kstest(ranks, "uniform").pvalue > 0.05
        assert np.mean(ranks) == pytest.approx(0.5, abs=3.0 / np.sqrt(12.0 * len(ranks)))


@pytest.fixture(scope="module")
def thirteen(shared_data: Path) -> Panel:
    """Last closes of the months of February 2005 to May 2024."""
    paths = sorted((shared_data / "stooq" / "bulk_2024").glob("*.txt"))
    frames = [pd.read_csv(path, usecols=["<TICKER>", "<DATE>", "<CLOSE>"]) for path in paths]
    rows = pd.concat(frames).set_axis(["ticker", "date", "close"], axis=1)
    rows["ticker"] = rows["ticker"].str.removesuffix(".US")
    month = pd.to_datetime(rows["date"].astype(str)).dt.to_period("M")
    closes = rows.groupby([month, "ticker"])["close"].last().unstack().loc["2005-02":"2024-05"]
    return panel_of({name: closes[name].to_numpy() for name in closes}, first="2005-02")


def shipped(name: str, bps: float) -> Resolved:
    """A strategy file as it ships, but for its trading costs."""
    settings = Settings(_env_file=None)
    good, _ = files.load_strategies(settings.strategies_path, factors.complete)
    resolved = files.resolve(good[name], universes.load_universes(settings.universes_path), good)
    costs = resolved.strategy.costs.model_copy(update={"tc_bps": bps, "slippage_bps": 0.0})
    said = resolved.strategy.model_copy(update={"costs": costs})
    return resolved.model_copy(update={"strategy": said})


AT_30_BPS = {
    "xsmom_12_1": (0.994, 1.000),
    "trend_12m": (0.989, 1.000),
    "low_vol": (0.097, 0.954),
    "residual_momentum": (0.623, 0.995),
}
"""Percentile of the growth rate among kept labels, and among fresh draws."""


@pytest.mark.parametrize(("name", "expected"), AT_30_BPS.items())
def test_fresh_draws_flatter_a_strategy_that_costs_more_to_draw_than_to_keep(
    thirteen: Panel, name: str, expected: tuple[float, float]
):
    resolved = shipped(name, 30.0)
    said = research.run(resolved, thirteen)
    found = bracket(
        resolved,
        thirteen,
        said.book,
        said.backtest,
        Feasibility(),
        who=said.members,
        score=said.score,
    )
    rows = {row["kind"]: row for row in found.rows if row["metric"] == "cagr"}
    for kind, share in zip(("permuted", "random"), expected, strict=True):
        error = np.sqrt(max(share * (1.0 - share), 1e-4) / 10_000)
        assert rows[kind]["percentile"] == pytest.approx(share, abs=5.0 * error + 5e-4)
    assert rows["oracle_gross"]["value"] > rows["oracle_net"]["value"] > rows["random"]["best"]
    costs = said.backtest.cost.mean() * 12.0
    kept, fresh = (found.own["cagr"] - rows[kind]["mean"] for kind in ("permuted", "random"))
    assert fresh - kept > costs, "what fresh draws pay beyond the strategy's own costs"
