"""10,000 random portfolios of 20 years, with constraints and costs, beside a plain loop over them.

Belongs here: 13 and 500 tickers, the top five by momentum, no name above a quarter, no third of the
names above 60 %; time, memory, and that the numbers are the same. Does not: what the paths mean
(`evaluation.bracket`).

The loop is what one would write first: path after path, month after month, numpy over the tickers.
It is timed on 50 paths and scaled to 10,000; drawing its permutations is not counted.
"""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np

from benchmarks import harness
from factorlab_assets.core import research
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.panel import Panel
from factorlab_assets.evaluation.bracket import bracket, figures, measured
from factorlab_assets.evaluation.exchange import Exchange
from factorlab_assets.evaluation.label_permutations import Columns
from factorlab_assets.evaluation.random_paths import Terms, walk
from factorlab_assets.evaluation_settings import Feasibility
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_assets.strategy_book import Bounds, Costs, Portfolio, Select
from factorlab_assets.strategy_signals import Factor

PATHS, LOOPED, MONTHS, LOOKBACK = 10_000, 50, 240, 12
GROUPS = ("x", "y", "z")
MOST_SECONDS, MOST_MIB = 2.0, 64.0
SAME = 1e-9
SIZES = (13, 500)


def rows() -> list[harness.Row]:
    """Both sizes; only 13 tickers are held to a time."""
    return [row for size in SIZES for row in _rows(size)]


def _rows(size: int) -> list[harness.Row]:
    said = harness.in_child("benchmarks.bench_bracket", str(size))
    timed = harness.at_most if size == min(SIZES) else _untargeted
    name = f"{PATHS:,} random portfolios × {MONTHS} months, {size} tickers"
    loop = f"    of processor time, a plain loop ({LOOPED} paths, scaled)"
    return [
        timed(f"{name}: labels kept", said["kept seconds"], "s", MOST_SECONDS),
        harness.Row(loop, said["loop cpu"] / said["kept cpu"], "x"),
        timed("  drawn afresh at every rebalance", said["fresh seconds"], "s", MOST_SECONDS),
        harness.Row(loop, said["loop cpu"] / said["fresh cpu"], "x"),
        timed("  the whole bracket: both, and the oracle", said["whole"], "s", MOST_SECONDS),
        harness.at_most(
            "  growth rates of the loop less ours, at most", said["off"] / SAME, "e-9", 1
        ),
        harness.at_most("  memory", said["mib"], "MiB", MOST_MIB),
    ]


def _untargeted(name: str, figure: float, unit: str, _limit: float) -> harness.Row:
    return harness.Row(name, figure, unit)


def measure(size: int) -> None:
    """Times one size, in a process of its own."""
    resolved, market = _book(size)
    said = research.run(resolved, market)
    carry = Carry.of(resolved.strategy, market)
    terms = Terms.of(resolved.strategy, said.book, said.panel, len(said.backtest.dates), carry)
    exchange = Exchange.of(resolved, market, said.book, said.members, said.score)
    assert len(said.backtest.dates) == MONTHS
    settings, rf = Feasibility(paths=PATHS), said.backtest.rf
    rounds = 5 if size == min(SIZES) else 1

    def of_null(*, is_fresh: bool) -> dict[str, float]:
        return harness.least_of(
            rounds, lambda: figures(terms, exchange, settings, is_fresh=is_fresh, rf=rf)
        )

    def whole() -> object:
        return bracket(
            resolved,
            market,
            said.book,
            said.backtest,
            settings,
            who=said.members,
            score=said.score,
        )

    orders, rng = (
        np.repeat(np.arange(size)[:, np.newaxis], LOOPED, axis=1),
        np.random.default_rng(0),
    )
    for names in exchange.classes(terms.start):
        orders[names] = rng.permuted(orders[names], axis=0)
    _, net = walk(terms, lambda t: terms.weights[t][orders], LOOPED)
    nav: list[float] = []
    loop = harness.least_of(1, lambda: nav.extend(looped(terms, orders)))
    off = np.abs(
        measured(np.array(nav).reshape(LOOPED, -1).T, rf)["cagr"] - measured(net, rf)["cagr"]
    )
    kept, fresh = of_null(is_fresh=False), of_null(is_fresh=True)
    taken = harness.best_of(rounds, whole)
    tracemalloc.start()
    few = settings if size == min(SIZES) else Feasibility.model_construct(paths=1_000, seed=0)
    figures(terms, exchange, few, is_fresh=True, rf=rf)
    _, peak = tracemalloc.get_traced_memory()
    told = {"whole": taken, "off": float(off.max()), "mib": peak / 2**20}
    for name, each in {"kept": kept, "fresh": fresh}.items():
        told |= {f"{name} {key}": figure for key, figure in each.items()}
    harness.report(told | {"loop cpu": loop["cpu"] * PATHS / LOOPED})


def looped(terms: Terms, orders: Columns) -> list[float]:
    """Monthly net returns, path after path."""
    net = []
    fee = float(terms.fee[0, 0])
    for path in range(orders.shape[1]):
        order = orders[:, path]
        drifted = np.zeros(len(order))
        for t in range(terms.start, terms.stop):
            weights = terms.weights[t][order]
            cost = np.abs(weights - drifted).sum() * fee
            gross = (weights * terms.after[t]).sum()
            drifted = weights * (1.0 + terms.after[t]) / (1.0 + gross)
            net.append(gross - cost)
    return net


def _book(size: int) -> tuple[Resolved, Panel]:
    months = LOOKBACK + MONTHS + 1
    steps = np.random.default_rng(1).standard_normal((months, size))
    price = 100.0 * np.exp(np.cumsum(0.004 + 0.05 * steps, axis=0))
    first = np.datetime64("2004-06", "M")
    dates = month_ends(str(first), str(first + (months - 1)))
    tickers = [f"T{i:04d}" for i in range(size)]
    strategy = Strategy(
        name="bench",
        description="the best five",
        universe="all",
        factors=(Factor(name="xsmom", params={"lookback": LOOKBACK, "skip": 1}, delay=0),),
        portfolio=Portfolio(
            select=Select(top_k=5),
            min_names=10,
            max_weight=0.25,
            groups={name: Bounds(max=0.6) for name in GROUPS},
        ),
        costs=Costs(tc_bps=10.0, slippage_bps=0.0),
    )
    groups = {ticker: GROUPS[i % len(GROUPS)] for i, ticker in enumerate(tickers)}
    resolved = Resolved(
        strategy=strategy,
        tickers=None,
        asset_classes={},
        groups={strategy.portfolio.group_by: groups},
    )
    return resolved, Panel(dates, np.array(tickers), *[price] * 5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        harness.show(rows())
