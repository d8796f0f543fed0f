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
from factorlab_assets.assets.batch import research_asset
from factorlab_assets.assets.cells import Cell, Kind, Month
from factorlab_assets.core import (
    combine,
    identities,
    membership,
    proof,
    research,
    returns,
    signals,
    tables,
)
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import AS_WANTED, Book, told
from factorlab_assets.core.daily import Daily, DailyPrices
from factorlab_assets.core.holding import carried, rebalances
from factorlab_assets.core.panel import Basis, Panel
from factorlab_assets.core.performance import PAID
from factorlab_assets.evaluation.splits import in_and_out
from factorlab_assets.reports import charts, charts_prices, inline


@research_asset(reads_bars=True)
def memberships(month: Month) -> pa.Table:
    """Who of the universe may be held at each month-end, and why the others may not."""

    def made(cell: Cell) -> membership.Members:
        found = membership.members(cell.resolved, month.market(cell))
        membership.check_anyone(cell.resolved, _panel(month, cell), found)
        return found

    done = month.each(made)
    for cell, found in done:
        month.show(cell, **_membership_shown(month, cell, found))
    return tables.members_table((cell.name, _panel(month, cell), found) for cell, found in done)


@research_asset("memberships", reads_bars=True)
def factor_signals(month: Month) -> pa.Table:
    """Every factor's raw value and transformed signal."""

    def made(cell: Cell) -> signals.Signals:
        who = _members(month, cell)
        return signals.compute_signals(cell.resolved, month.market(cell), who.allowed)

    done = month.each(made)
    warn = month.price_inputs.rules.mixed_basis == "warn"
    for cell, _ in done:
        month.judge(cell, "one_basis", month.choice(cell).mixed, only_warn=warn, do=_ONE_BASIS)
    return tables.signals_table((cell.name, _panel(month, cell), made) for cell, made in done)


@research_asset("memberships", "factor_signals")
def scores(month: Month) -> pa.Table:
    """The factors' signals combined into one score per date and ticker."""

    def made(cell: Cell) -> Any:
        who = _members(month, cell).allowed
        return combine.combine(cell.resolved, month.market(cell), _signals(month, cell), who)

    done = month.each(made)
    return tables.scores_table((cell.name, _panel(month, cell), made) for cell, made in done)


@research_asset("memberships", "factor_signals", "scores", reads_bars=True)
def weights(month: Month) -> pa.Table:
    """The book that the scores make, date by date, with the reason of every weight."""

    def build(cell: Cell) -> Book:
        score = tables.scores_from_table(month.rows("scores", cell), _panel(month, cell))
        known, who = _signals(month, cell), _members(month, cell).allowed
        book = research.build_book(cell.resolved, month.market(cell), score, known, who)
        research.check_started(cell.resolved, month.market(cell), score, book, who)
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
        month.show(cell, **_outcomes(cell, panel, book))
        month.show(cell, **_weights_pictures(cell, panel, book, basis))
    return tables.weights_table((cell.name, _panel(month, cell), book) for cell, book in done)


@research_asset("weights", reads_bars=True)
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
        basis = month.choice(cell).label
        month.show(cell, **_nav_pictures(cell, basis, backtest, benchmark))
        month.show(cell, **_what_was_paid(cell, basis, backtest))
    _prove(month, [cell for cell, _ in done])
    return tables.backtest_table((cell.name, made) for cell, (_, made) in done)


@research_asset("weights", "backtest_returns")
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
        days_before = month.kind(cell).days_before
        broken = identities.compounding_violations(daily, backtest, days_before)
        month.judge(cell, "compounds_to_months", broken)
        month.show(cell, **_nav_pictures(cell, month.choice(cell).label, daily))
    return tables.daily_table((cell.name, made) for cell, (_, made) in done)


@research_asset("backtest_returns", "daily_returns")
def metrics(month: Month) -> pa.Table:
    """Performance per segment, monthly and daily."""

    def measure(cell: Cell) -> Any:
        backtest, until = _backtest(month, cell), cell.resolved.strategy.in_sample_until
        if until is not None:
            in_and_out(backtest.dates, until)  # raises where one of the two would be empty
        return research.measure(
            cell.resolved,
            backtest,
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


ASSETS = [memberships, factor_signals, scores, weights, backtest_returns, daily_returns, metrics]
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
    return signals.universe(cell.resolved, month.market(cell))


def _members(month: Month, cell: Cell) -> membership.Members:
    is_filtered = bool(cell.resolved.strategy.universe.filters)
    rows = month.rows("memberships", cell)
    return tables.members_from_table(rows, _panel(month, cell), is_filtered=is_filtered)


def _membership_shown(month: Month, cell: Cell, found: membership.Members) -> dict[str, Any]:
    """How many names there are at the last date and why the others are none, and over time."""
    panel, reasons = _panel(month, cell), membership.REASONS
    counts = np.stack([(found.reason == code).sum(axis=1) for code in range(len(reasons))], axis=1)
    basis = month.choice(cell).label
    picture = inline.members_inline(panel.dates, counts.astype(float), reasons, basis=basis)
    empty = [f"{first} to {last}" for first, last in membership.empty_spans(panel.dates, found)]
    return {
        "members": f"{int(found.is_member[-1].sum())} of {len(panel.tickers)}",
        "reasons": present.figures(membership.counts(found.reason[-1])),
        "empty": ", ".join(empty) or "on no date",
        "over_time": dg.MetadataValue.md(picture),
    }


def _signals(month: Month, cell: Cell) -> signals.Signals:
    keys = [factor.key for factor in cell.resolved.strategy.factors]
    return tables.signals_from_table(month.rows("factor_signals", cell), _panel(month, cell), keys)


def _book(month: Month, cell: Cell) -> Book:
    return tables.weights_from_table(month.rows("weights", cell), _panel(month, cell))


def _backtest(month: Month, cell: Cell) -> Backtest:
    return tables.backtest_from_table(month.rows("backtest_returns", cell))


def _outcomes(cell: Cell, panel: Panel, book: Book) -> dict[str, Any]:
    """What the dates that trade say of themselves, and the last of them."""
    trades = rebalances(panel.dates, book.start, cell.resolved.strategy.schedule)
    last = np.flatnonzero(trades)[-1]
    return {
        "outcomes": present.figures(told(book.outcome[trades])),
        "last_rebalance": f"{panel.dates[last]}: {book.outcome[last] or AS_WANTED}",
    }


def _weights_pictures(cell: Cell, panel: Panel, book: Book, basis: str) -> dict[str, Any]:
    dates, held = panel.dates[book.start :], book.weights[book.start :]
    names, classes = panel.tickers.tolist(), cell.resolved.asset_classes
    small = inline.weights_inline(dates, held, names, classes, basis=basis)
    large = charts.weights_over_time(dates, held, names, classes, title=cell.name, basis=basis)
    return {
        "held": dg.MetadataValue.md(small),
        "weights_over_time": present.picture(large, "weights over time"),
    }


def _what_was_paid(cell: Cell, basis: str, backtest: Backtest) -> dict[str, Any]:
    """Every cost over time and per year, what of the impact is an assumption, and the cash rate."""
    paid = {name.replace("_", " "): getattr(backtest, name) for name in PAID}
    costs = inline.costs_inline(backtest.dates, paid, basis=basis)
    said: dict[str, Any] = {"costs": dg.MetadataValue.md(costs)}
    if assumed := int(backtest.n_volume_unknown.sum()):
        trades = "trades of names whose volume or volatility is not known"
        said["assumed_impact"] = f"{assumed:,} {trades}"
    return said | {"cash": research.rf_label(cell.resolved.strategy.cash, backtest)}


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
    basis = {cell.name: month.choice(cell).basis for cell in month.cells}
    held: dict[Basis, set[str]] = {each: set() for each in basis.values()}
    for name, rows in month.inputs["weights"].items():
        names = rows.filter(pc.not_equal(rows["weight"], 0.0))["ticker"].unique().to_pylist()
        held[basis[name]].update(names)
    version = month.version
    found: dict[Basis, DailyPrices] = {}
    with month.store.read() as con:
        bars = month.bars()
        for each, tickers in held.items():
            dates, known, close, open_ = returns.daily_basis(
                con, bars, each, tickers, version.last_date
            )
            found[each] = dates, known, carried(close), open_
    return found


def _prove(month: Month, cells: list[Cell]) -> None:
    """The lookahead proof of every cell, on altered histories of the daily prices they share.

    Cells that look at daily bars have histories of their own: the others' need none.
    """
    by_kind: dict[tuple[Kind, bool], list[Cell]] = {}
    for cell in cells:
        key = month.kind(cell), research.reads_bars(cell.resolved)
        by_kind.setdefault(key, []).append(cell)
    for (kind, _), alike in by_kind.items():
        with month.store.read() as con:
            scenarios = proof.Scenarios.build(
                con,
                returns.on_basis(month.bars(), kind.basis),
                month.version.month,
                [cell.resolved for cell in alike],
                month.outside,
            )
        _judge(month, alike, scenarios)


def _judge(month: Month, cells: list[Cell], scenarios: proof.Scenarios) -> None:
    for cell in cells:
        found = scenarios.prove(cell.resolved)
        month.judge(cell, "no_lookahead", found.findings)
        month.show(cell, proof=present.figures(found.figures))
        cannot = "\n".join(f"- {sentence}" for sentence in found.cannot_see)
        month.show(cell, proof_cannot_see=dg.MetadataValue.md(cannot))
