"""The pure path from a panel to results: signals → score → book → backtest → daily → metrics.

Belongs here: the order of the steps, and what a strategy file hands to each. Does not: the steps
themselves, or long tables (`tables`). `market` is a month's full panel: all tickers of the version.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from factorlab_assets.core import factors
from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.combine import combine
from factorlab_assets.core.daily import Daily, DailyPrices, daily_book
from factorlab_assets.core.holding import Bools, Carry
from factorlab_assets.core.membership import Members, members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import segments
from factorlab_assets.core.portfolio import built
from factorlab_assets.core.risk import betas
from factorlab_assets.core.selection import Known, eligibility
from factorlab_assets.core.signals import Signals, compute_signals, universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_assets.strategy_book import Cash, Costs, Portfolio

BALANCED: Mapping[str, float] = {"SPY": 0.6, "IEF": 0.4}
"""What the benchmark `60/40` holds, rebalanced monthly."""


@dataclass(frozen=True)
class Result:
    """Everything that a strategy yields on one panel; `panel` is its universe."""

    panel: Panel
    signals: Signals
    score: Floats
    book: Book
    backtest: Backtest
    daily: Daily | None = None
    members: Members | None = None


def run(resolved: Resolved, market: Panel, daily: DailyPrices | None = None) -> Result:
    """The whole path. A book that never starts has an empty backtest (see `check_started`)."""
    who = members(resolved, market)
    signals = compute_signals(resolved, market, who.allowed)
    score = combine(resolved, market, signals, who.allowed)
    book = build_book(resolved, market, score, signals, who.allowed)
    backtest = run_backtest(resolved, market, book)
    days = None if daily is None else run_daily(resolved, market, book, backtest, daily)
    return Result(universe(resolved, market), signals, score, book, backtest, days, who)


def build_book(
    resolved: Resolved,
    market: Panel,
    score: Floats,
    signals: Signals,
    members: Bools | None = None,
) -> Book:
    """The weights; `signals` serves select.only_positive. `members` : who may be held, (T, N);
    None is whoever has a month-end price."""
    return built(resolved.strategy, known(resolved, market, score, signals, members))


def known(
    resolved: Resolved,
    market: Panel,
    score: Floats,
    signals: Signals | None,
    members: Bools | None = None,
) -> Known:
    """What a book is decided from; a universe is as large as its filters let it be at most.

    Without `signals` it says who is eligible, but not what only_positive makes of them.
    """
    strategy, panel = resolved.strategy, universe(resolved, market)
    portfolio, largest = strategy.portfolio, strategy.universe.top_dollar_volume
    sizes = [largest, None if resolved.tickers is None else len(resolved.tickers)]
    wanted = portfolio.select.only_positive
    return Known(
        panel,
        np.ascontiguousarray(score if members is None else np.where(members, score, np.nan)),
        raw_filter=None if not (wanted and signals) else signals.raw[signals.keys.index(wanted)],
        members=members,
        betas=betas(portfolio.beta, panel, market) if portfolio.needs_beta else None,
        groups=resolved.groups.get(portfolio.group_by, {}),
        universe_size=min((size for size in sizes if size is not None), default=None),
        carry=Carry.of(strategy, market),
    )


def run_backtest(resolved: Resolved, market: Panel, book: Book) -> Backtest:
    """The monthly returns of a book beside its benchmark's."""
    benchmark = benchmark_returns(resolved, market)
    carry = Carry.of(resolved.strategy, market)
    return simulate(resolved.strategy, book, universe(resolved, market), benchmark, carry)


def run_daily(
    resolved: Resolved, market: Panel, book: Book, backtest: Backtest, prices: DailyPrices
) -> Daily:
    """The same book day by day; `prices` may hold more tickers than the strategy's."""
    carry = Carry.of(resolved.strategy, market)
    return daily_book(resolved.strategy, book, universe(resolved, market), backtest, prices, carry)


def measure(
    resolved: Resolved,
    backtest: Backtest,
    daily: Daily | None,
    *,
    price_basis: str,
    caveats: str = "",
) -> list[dict[str, object]]:
    """Rows of the `metrics` table, less month and strategy: one per segment."""
    about = {
        "price_basis": price_basis,
        "rf_label": rf_label(resolved.strategy.cash, backtest),
        "benchmark": resolved.strategy.benchmark,
        "caveats": caveats,
    }
    rows = segments(backtest, daily, resolved.strategy.in_sample_until)
    return [{**row, **about} for row in rows]


def reads_bars(resolved: Resolved) -> bool:
    """Whether any part of the strategy, or of its benchmark, looks at daily bars."""
    said = resolved.strategy
    portfolio = said.portfolio
    return (
        any(factors.REGISTRY[factor.name].reads == "bars" for factor in said.factors)
        or said.universe.reads_daily
        or said.costs.impact > 0.0
        or (portfolio.needs_covariance and portfolio.risk.returns == "daily")
        or (resolved.benchmark is not None and reads_bars(resolved.benchmark))
    )


def tickers_read(resolved: Resolved, every: Iterable[str]) -> set[str]:
    """Every ticker whose prices the strategy's figures rest on; `every` is all of the version."""
    both = [resolved] if resolved.benchmark is None else [resolved, resolved.benchmark]
    read = {t for one in both for t in (every if one.tickers is None else one.tickers)}
    read = read.union(*(one.strategy.beside for one in both))
    named = resolved.strategy.benchmark
    if resolved.benchmark is not None or named == "equal_weight":
        return read
    return read | (set(BALANCED) if named == "60/40" else {named})


def rf_label(cash: Cash, backtest: Backtest) -> str:
    """Which cash rate the ratios are over; in how many months its ticker said nothing, if any."""
    silent = np.count_nonzero(backtest.rf == 0.0)
    if cash.ticker is None or silent == 0:
        return cash.label
    return f"{cash.label}, 0 in {silent} of {len(backtest.rf)} months"


def benchmark_returns(resolved: Resolved, market: Panel) -> Floats:
    """The benchmark's return of the month that ends at each date, (T,); NaN where it has no price.

    A ticker is bought and held, 60/40 is SPY and IEF rebalanced monthly, equal_weight every name of
    the strategy's universe with a price that passes its filters, rebalanced monthly and held by the
    rules of `build`; all three before costs. `strategy:NAME` is that strategy's net return on the
    same market.
    """
    name: str = resolved.strategy.benchmark
    universe_of_it: tuple[Hashable, ...] = ()
    if resolved.benchmark is not None:
        name = resolved.benchmark.config_hash
    elif name == "equal_weight":
        universe_of_it = resolved.tickers, *resolved.strategy.universe.filters.items()
    key = ("benchmark", name, universe_of_it)
    return market.once(key, lambda: _benchmark_returns(resolved, market))


def _benchmark_returns(resolved: Resolved, market: Panel) -> Floats:
    name = resolved.strategy.benchmark
    if resolved.benchmark is not None:
        return _on_dates(market, run(resolved.benchmark, market).backtest, "net_return")
    if name == "equal_weight":
        return _on_dates(market, run(_equal_weight(resolved), market).backtest, "gross_return")
    weights = BALANCED if name == "60/40" else {name: 1.0}
    of = market.select(weights)
    price = np.where(np.isfinite(of.price), of.mark, np.nan)
    held = np.array([weights[ticker] for ticker in sorted(weights)])
    returns = np.full(len(price), np.nan)
    returns[1:] = (held * (price[1:] / price[:-1] - 1.0)).sum(axis=1)
    return returns


def check_started(
    resolved: Resolved, market: Panel, score: Floats, book: Book, members: Bools | None = None
) -> None:
    """Raise FactorLabError where the book has no month to earn anything in, or no cash rate."""
    check_beside(resolved, market)
    if book.start < len(market.dates) - 1:
        return
    found = eligibility(resolved.strategy.portfolio, known(resolved, market, score, None, members))
    panel, eligible, needed = universe(resolved, market), found.names, found.needed
    raise FactorLabError(
        "the strategy has no month to earn a return in",
        where=f"strategy {resolved.name}: {market.dates[0]} to {market.dates[-1]}",
        got=f"at most {eligible.sum(axis=1).max()} of {len(panel.tickers)} tickers eligible at "
        f"any of {len(market.dates)} month-ends",
        expected=f"score and price of at least {needed.min()} at a month-end before the last"
        + _longest_window(resolved),
        do="ingest a longer history or more tickers, or lower portfolio.min_names",
    )


def check_beside(resolved: Resolved, market: Panel) -> None:
    """Raise FactorLabError where a ticker that the strategy looks at, but need not hold, is not in
    the data: nothing could be computed."""
    strategy = resolved.strategy
    named = [("cash.ticker", strategy.cash.ticker, "be the cash", "give cash.yield_ann")]
    for factor in strategy.factors:
        place = f"factor {factor.key}: parameter market"
        params = factors.check(factor.name, factor.params)
        named.append((place, params.get("market"), "be compared with", "name another"))
    for place, ticker, what, instead in named:
        if ticker is not None and np.isnan(market.select([ticker]).mark).all():
            raise FactorLabError(
                f"the ticker that is to {what} has no prices",
                where=f"strategy {resolved.name}: {place}",
                got=ticker,
                expected="a ticker of the data version",
                do=f"ingest it too, or {instead}",
            )


def _longest_window(resolved: Resolved) -> str:
    """How many month-ends the factor that looks back furthest needs for its first value."""
    windows = []
    for factor in resolved.strategy.factors:
        first = factors.REGISTRY[factor.name].first(factors.check(factor.name, factor.params))
        windows.append((first + factor.lag + 1, factor.key))
    if not windows:
        return ""
    months, key = max(windows)
    return f"; factor {key} has its first value after {months} month-ends"


def _equal_weight(resolved: Resolved) -> Resolved:
    """The strategy that holds every member of the same universe, free of charge."""
    plain = Strategy(
        name="equal_weight",
        description="every priced name of the universe",
        universe=resolved.strategy.universe,
        portfolio=Portfolio(min_names=1),
        costs=Costs(tc_bps=0.0, slippage_bps=0.0),
    )
    return Resolved(strategy=plain, tickers=resolved.tickers, asset_classes={})


def _on_dates(market: Panel, backtest: Backtest, column: str) -> Floats:
    returns = np.full(len(market.dates), np.nan)
    returns[np.isin(market.dates, backtest.dates)] = getattr(backtest, column)
    return returns
