"""The research assets: from monthly returns to the metrics of each strategy.

Belongs here: group `research`, one function per table: load, one pure call, what it shows. Does
not: the mathematics (`core`), or gating, writing and the ledger (`batch`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import prices
from factorlab_assets.assets import present
from factorlab_assets.assets.batch import Cell, Month, research_asset
from factorlab_assets.core import identities, proof, research, returns, tables
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.daily import Daily, DailyPrices
from factorlab_assets.core.holding import carried
from factorlab_assets.core.panel import Basis, Panel
from factorlab_assets.core.portfolio import Book
from factorlab_assets.reports import charts, charts_prices, inline


@research_asset()
def factor_signals(month: Month) -> pa.Table:
    """Every factor's raw value and transformed signal."""
    done = month.each(lambda cell: research.compute_signals(cell.resolved, month.market(cell)))
    warn = month.price_inputs.rules.mixed_basis == "warn"
    for cell, _ in done:
        month.judge(cell, "one_basis", month.choice(cell).mixed, only_warn=warn, do=_ONE_BASIS)
    return tables.signals_table((cell.name, _panel(month, cell), made) for cell, made in done)


@research_asset("factor_signals")
def scores(month: Month) -> pa.Table:
    """The factors' signals combined into one score per date and ticker."""

    def combine(cell: Cell) -> Any:
        return research.combine(cell.resolved, month.market(cell), _signals(month, cell))

    done = month.each(combine)
    return tables.scores_table((cell.name, _panel(month, cell), made) for cell, made in done)


@research_asset("factor_signals", "scores")
def weights(month: Month) -> pa.Table:
    """The book that the scores make, date by date, with the reason of every weight."""

    def build(cell: Cell) -> Book:
        score = tables.scores_from_table(month.rows("scores", cell), _panel(month, cell))
        book = research.build_book(cell.resolved, month.market(cell), score, _signals(month, cell))
        research.check_started(cell.resolved, month.market(cell), score, book)
        return book

    done = month.each(build)
    for cell, book in done:
        panel = _panel(month, cell)
        month.judge(
            cell,
            "constraints",
            identities.constraint_violations(cell.resolved, month.market(cell), book),
        )
        basis = month.choice(cell).label
        month.show(cell, **_weights_pictures(cell, panel, book, basis))
    return tables.weights_table((cell.name, _panel(month, cell), book) for cell, book in done)


@research_asset("weights", deps=("adjusted_prices",))
def backtest_returns(month: Month) -> pa.Table:
    """Monthly returns of the lagged book, proved free of lookahead."""

    def run(cell: Cell) -> tuple[Book, Backtest]:
        book = _book(month, cell)
        return book, research.run_backtest(cell.resolved, month.market(cell), book)

    done = month.each(run)
    for cell, (book, backtest) in done:
        broken = identities.identity_violations(cell.resolved, month.market(cell), book, backtest)
        month.judge(cell, "identities", broken)
        if not np.isfinite(backtest.benchmark_return).any():
            month.show(cell, no_benchmark=f"{cell.resolved.strategy.benchmark} has no prices here")
        benchmark = np.cumprod(1.0 + np.nan_to_num(backtest.benchmark_return))
        month.show(cell, ended=backtest.ended or "ran to the end")
        month.show(cell, **_nav_pictures(cell, month.choice(cell).label, backtest, benchmark))
    _prove(month, [cell for cell, _ in done])
    return tables.backtest_table((cell.name, made) for cell, (_, made) in done)


@research_asset("weights", "backtest_returns", deps=("adjusted_prices",))
def daily_returns(month: Month) -> pa.Table:
    """The same book day by day; its products are the monthly rows."""
    daily_prices = _daily_prices(month)

    def run(cell: Cell) -> tuple[Backtest, Daily]:
        book, backtest = _book(month, cell), _backtest(month, cell)
        closes = daily_prices[month.choice(cell).basis]
        daily = research.run_daily(cell.resolved, month.market(cell), book, backtest, closes)
        return backtest, daily

    done = month.each(run)
    for cell, (backtest, daily) in done:
        broken = identities.compounding_violations(daily, backtest)
        month.judge(cell, "compounds_to_months", broken)
        month.show(cell, **_nav_pictures(cell, month.choice(cell).label, daily))
    return tables.daily_table((cell.name, made) for cell, (_, made) in done)


@research_asset("backtest_returns", "daily_returns")
def metrics(month: Month) -> pa.Table:
    """Performance per segment, monthly and daily."""

    def measure(cell: Cell) -> Any:
        return research.measure(
            cell.resolved,
            _backtest(month, cell),
            tables.daily_from_table(month.rows("daily_returns", cell)),
            price_basis=month.choice(cell).label,
            caveats=prices.caveats(cell.version, cell.resolved, month.choice(cell)),
        )

    done = month.each(measure)
    for cell, segments in done:
        full = segments[0]
        shown = {name: full[name] for name in _HEADLINE if np.isfinite(full[name])}
        month.show(cell, **{name: round(float(value), 6) for name, value in shown.items()})
        month.show(cell, all=present.figures(full), price_bands=_bands(month, cell))
    return tables.metrics_table(((cell.name, made) for cell, made in done))


ASSETS = [factor_signals, scores, weights, backtest_returns, daily_returns, metrics]
_ONE_BASIS = (
    "ingest with --distributions and a second source, so that total returns are known of all "
    "tickers, or say mixed_basis: warn in the price rules (docs/prices.md)"
)
_HEADLINE = ("cagr", "volatility_ann", "sharpe", "max_drawdown", "max_drawdown_daily")


def _bands(month: Month, cell: Cell) -> Any:
    """What the closes of the strategy's tickers mean, year by year."""
    own = pa.array(_panel(month, cell).tickers.tolist())
    stretches = month.stretches.filter(pc.is_in(month.stretches["ticker"], own))
    return dg.MetadataValue.md(charts_prices.basis_text(stretches) or "too many tickers to show")


def _panel(month: Month, cell: Cell) -> Panel:
    return research.universe(cell.resolved, month.market(cell))


def _signals(month: Month, cell: Cell) -> research.Signals:
    keys = [factor.key for factor in cell.resolved.strategy.factors]
    return tables.signals_from_table(month.rows("factor_signals", cell), _panel(month, cell), keys)


def _book(month: Month, cell: Cell) -> Book:
    return tables.weights_from_table(month.rows("weights", cell), _panel(month, cell))


def _backtest(month: Month, cell: Cell) -> Backtest:
    return tables.backtest_from_table(month.rows("backtest_returns", cell))


def _weights_pictures(cell: Cell, panel: Panel, book: Book, basis: str) -> dict[str, Any]:
    dates, held = panel.dates[book.start :], book.weights[book.start :]
    names, classes = panel.tickers.tolist(), cell.resolved.asset_classes
    small = inline.weights_inline(dates, held, names, classes, basis=basis)
    large = charts.weights_over_time(dates, held, names, classes, title=cell.name, basis=basis)
    return {
        "held": dg.MetadataValue.md(small),
        "weights_over_time": present.picture(large, "weights over time"),
    }


def _nav_pictures(cell: Cell, basis: str, series: Any, benchmark: Any = None) -> dict[str, Any]:
    label = cell.resolved.strategy.benchmark.removeprefix("strategy:")
    curve = (series.dates, series.nav, series.drawdown)
    against = {"benchmark_nav": benchmark, "benchmark_label": label}
    small = inline.nav_inline(*curve, **against, basis=basis)
    large = charts.nav_and_drawdown(*curve, **against, title=cell.name, basis=basis)
    return {
        "nav": dg.MetadataValue.md(small),
        "nav_and_drawdown": present.picture(large, "NAV and drawdown"),
    }


def _daily_prices(month: Month) -> dict[Basis, DailyPrices]:
    """Per basis the daily closes of whatever any of its cells holds, read once for all."""
    held: dict[Basis, set[str]] = {}
    for name, rows in month.inputs["weights"].items():
        names = rows.filter(pc.not_equal(rows["weight"], 0.0))["ticker"].unique().to_pylist()
        held.setdefault(month.choices[name].basis, set()).update(names)
    version = month.version
    found: dict[Basis, DailyPrices] = {}
    with month.store.read() as con:
        bars = month.bars()
        for basis in month.markets:
            dates, tickers, close, open_ = returns.daily_basis(
                con, bars, basis, held.get(basis, set()), version.last_date
            )
            found[basis] = dates, tickers, carried(close), open_
    return found


def _prove(month: Month, cells: list[Cell]) -> None:
    """The lookahead proof of every cell, on altered histories of the daily prices they share."""
    by_basis: dict[Basis, list[Cell]] = {}
    for cell in cells:
        by_basis.setdefault(month.choice(cell).basis, []).append(cell)
    for basis, alike in by_basis.items():
        with month.store.read() as con:
            scenarios = proof.Scenarios.build(
                con,
                returns.on_basis(month.bars(), basis),
                month.version.month,
                [cell.resolved for cell in alike],
            )
        _judge(month, alike, scenarios)


def _judge(month: Month, cells: list[Cell], scenarios: proof.Scenarios) -> None:
    for cell in cells:
        found = scenarios.prove(cell.resolved)
        month.judge(cell, "no_lookahead", found.findings)
        month.show(cell, proof=present.figures(found.figures))
        cannot = "\n".join(f"- {sentence}" for sentence in found.cannot_see)
        month.show(cell, proof_cannot_see=dg.MetadataValue.md(cannot))
