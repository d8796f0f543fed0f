"""The pure path from a panel to results: signals → score → book → backtest → daily → metrics.

Belongs here: the order of the steps, and what a strategy file hands to each. Does not: the steps
themselves, or long tables (`tables`). `market` is a month's full panel: all tickers of the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import factors, transforms
from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.daily import Daily, DailyPrices, daily_book
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import segments
from factorlab_assets.core.portfolio import Book, build, eligibility
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Costs, Factor, Portfolio, Resolved, Strategy

BALANCED: Mapping[str, float] = {"SPY": 0.6, "IEF": 0.4}
"""What the benchmark `60/40` holds, rebalanced monthly."""


@dataclass(frozen=True)
class Signals:
    """A strategy's factors: labels (F,), and values (F, T, N) raw and after transforms."""

    keys: tuple[str, ...]
    raw: Floats
    signal: Floats


@dataclass(frozen=True)
class Result:
    """Everything that a strategy yields on one panel; `panel` is its universe."""

    panel: Panel
    signals: Signals
    score: Floats
    book: Book
    backtest: Backtest
    daily: Daily | None = None


def run(resolved: Resolved, market: Panel, daily: DailyPrices | None = None) -> Result:
    """The whole path. A book that never starts has an empty backtest (see `check_started`)."""
    signals = compute_signals(resolved, market)
    score = combine(resolved, market, signals)
    book = build_book(resolved, market, score, signals)
    backtest = run_backtest(resolved, market, book)
    days = None if daily is None else run_daily(resolved, market, book, backtest, daily)
    return Result(universe(resolved, market), signals, score, book, backtest, days)


def universe(resolved: Resolved, market: Panel) -> Panel:
    """The part of the market that the strategy may hold."""
    if resolved.tickers is None or list(resolved.tickers) == market.tickers.tolist():
        return market
    return market.select(resolved.tickers)


def compute_signals(resolved: Resolved, market: Panel) -> Signals:
    """Each factor of the strategy over its universe: raw, and after its transforms."""
    panel = universe(resolved, market)
    keys = tuple(factor.key for factor in resolved.strategy.factors)
    if not keys:
        return Signals((), *np.empty((2, 0, *panel.price.shape)))
    each = [_factor(panel, factor) for factor in resolved.strategy.factors]
    raw, signal = (
        values[0][np.newaxis] if len(values) == 1 else np.stack(values)
        for values in zip(*each, strict=True)
    )
    return Signals(keys, raw, signal)


def _factor(panel: Panel, factor: Factor) -> tuple[Floats, Floats]:
    """A factor raw, and after its transforms, (T, N)."""

    def make() -> tuple[Floats, Floats]:
        raw = factors.compute(factor.name, panel.price, factor.params, factor.lag)
        if factor.lag == 0:
            _put_as_seen(raw, factor, panel)
        return raw, transforms.apply(factor.transforms, raw)

    params = tuple(sorted(factor.params.items()))
    return panel.once(("factor", factor.name, params, factor.lag, factor.transforms), make)


def _put_as_seen(raw: Floats, factor: Factor, panel: Panel) -> None:
    """Replace each date's values by those from its prices as they were known then.

    Only dates with a price that was repaired later differ. A signal with a delay knows every repair
    of the prices it uses: none is made that was known more than a month late.
    """
    back = factors.REGISTRY[factor.name].first(factors.check(factor.name, factor.params))
    for t in panel.once("repaired later", lambda: repaired_later(panel)):
        known = panel.price[max(t - back, 0) : t + 1].copy()
        known[-1] = panel.seen[t]
        raw[t] = factors.compute(factor.name, known, factor.params, 0)[-1]


def repaired_later(panel: Panel) -> npt.NDArray[np.intp]:
    """The rows of the dates on which some price was known otherwise than it is now."""
    same = (panel.seen == panel.price) | (np.isnan(panel.seen) & np.isnan(panel.price))
    return np.flatnonzero(~same.all(axis=1))


def combine(resolved: Resolved, market: Panel, signals: Signals) -> Floats:
    """The score Σ weight·signal / Σ|weight|, (T, N), over the factors whose weight is not 0.

    NaN where one of them is not known. Without any, 0 where the month-end price is known.
    """
    used = [(i, f.weight) for i, f in enumerate(resolved.strategy.factors) if f.weight != 0.0]
    if not used:
        return np.where(np.isfinite(universe(resolved, market).seen), 0.0, np.nan)
    total = sum(abs(weight) for _, weight in used)
    score = np.zeros(signals.signal.shape[1:])
    for i, weight in used:
        score += signals.signal[i] * (weight / total)
    return score


def build_book(resolved: Resolved, market: Panel, score: Floats, signals: Signals) -> Book:
    """The weights; `signals` serves select.only_positive."""
    wanted = resolved.strategy.portfolio.select.only_positive
    return build(
        resolved.strategy,
        score,
        universe(resolved, market),
        raw_filter=None if wanted is None else signals.raw[signals.keys.index(wanted)],
        universe_size=None if resolved.tickers is None else len(resolved.tickers),
    )


def run_backtest(resolved: Resolved, market: Panel, book: Book) -> Backtest:
    """The monthly returns of a book beside its benchmark's."""
    benchmark = benchmark_returns(resolved, market)
    return simulate(resolved.strategy, book, universe(resolved, market), benchmark)


def run_daily(
    resolved: Resolved, market: Panel, book: Book, backtest: Backtest, prices: DailyPrices
) -> Daily:
    """The same book day by day; `prices` may hold more tickers than the strategy's."""
    return daily_book(resolved.strategy, book, universe(resolved, market), backtest, prices)


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
        "rf_label": resolved.strategy.cash.label,
        "benchmark": resolved.strategy.benchmark,
        "caveats": caveats,
    }
    rows = segments(backtest, daily, resolved.strategy.in_sample_until)
    return [{**row, **about} for row in rows]


def benchmark_returns(resolved: Resolved, market: Panel) -> Floats:
    """The benchmark's return of the month that ends at each date, (T,); NaN where it has no price.

    A ticker is bought and held, 60/40 is SPY and IEF rebalanced monthly, equal_weight every name of
    the strategy's universe with a price, rebalanced monthly and held by the rules of `build`; all
    three before costs. `strategy:NAME` is that strategy's net return on the same market.
    """
    name, universe_of_it = resolved.strategy.benchmark, None
    if resolved.benchmark is not None:
        name = resolved.benchmark.config_hash
    elif name == "equal_weight":
        universe_of_it = resolved.tickers
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


def check_started(resolved: Resolved, market: Panel, score: Floats, book: Book) -> None:
    """Raise FactorLabError where the book has no month to earn anything in."""
    if book.start < len(market.dates) - 1:
        return
    panel = universe(resolved, market)
    size = None if resolved.tickers is None else len(resolved.tickers)
    eligible, needed = eligibility(resolved.strategy.portfolio, score, panel, size)
    raise FactorLabError(
        "the strategy has no month to earn a return in",
        where=f"strategy {resolved.name}: {market.dates[0]} to {market.dates[-1]}",
        got=f"at most {eligible.sum(axis=1).max()} of {len(panel.tickers)} tickers eligible",
        expected=f"score and price of at least {needed.min()} at a month-end before the last",
        do="ingest a longer history or more tickers, or lower portfolio.min_names",
    )


def _equal_weight(resolved: Resolved) -> Resolved:
    """The strategy that holds every priced name of the same universe, free of charge."""
    plain = Strategy(
        name="equal_weight",
        description="every priced name of the universe",
        portfolio=Portfolio(min_names=1),
        costs=Costs(tc_bps=0.0, slippage_bps=0.0),
    )
    return Resolved(strategy=plain, tickers=resolved.tickers, asset_classes={})


def _on_dates(market: Panel, backtest: Backtest, column: str) -> Floats:
    returns = np.full(len(market.dates), np.nan)
    returns[np.isin(market.dates, backtest.dates)] = getattr(backtest, column)
    return returns
