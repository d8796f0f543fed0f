"""The research assets: from monthly returns to the metrics of each strategy.

Belongs here: group `research`, one function per table: load, one pure call, what it shows. Does
not: the mathematics (`core`), or gating, writing and the ledger (`batch`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from factorlab_assets import ingest
from factorlab_assets.assets import present
from factorlab_assets.assets.batch import Cell, Month, research_asset
from factorlab_assets.core import proof, research, returns
from factorlab_assets.reports import charts


@research_asset()
def factor_signals(month: Month) -> pa.Table:
    """Every factor's raw value and transformed signal."""
    done = month.each(lambda cell: research.compute_signals(cell.resolved, month.market))
    return research.signals_table(_named(done))


@research_asset("factor_signals")
def scores(month: Month) -> pa.Table:
    """The factors' signals combined into one score per date and ticker."""
    done = month.each(lambda cell: research.combine(cell.resolved, _signals(month, cell)))
    return research.scores_table(_named(done))


@research_asset("factor_signals", "scores")
def weights(month: Month) -> pa.Table:
    """The book that the scores make, date by date, with the reason of every weight."""

    def build(cell: Cell) -> Any:
        score = research.scores_from_table(_rows(month, "scores", cell), cell.resolved, month.market)
        return research.build_book(cell.resolved, month.market, score, _signals(month, cell))

    done = month.each(build)
    for cell, book in done:
        month.judge(cell, "constraints", research.constraint_violations(cell.resolved, book))
        picture = charts.weights_over_time(
            book.dates,
            book.weights,
            book.tickers,
            cell.resolved.asset_classes,
            title=cell.name,
            basis=cell.version.price_basis,
        )
        month.show(cell, weights_over_time=present.picture(picture, "weights over time"))
    return research.weights_table(_named(done))


@research_asset("weights")
def backtest_returns(month: Month) -> pa.Table:
    """Monthly returns of the lagged book, proved free of lookahead."""
    done = month.each(
        lambda cell: research.run_backtest(cell.resolved, month.market, _book(month, cell))
    )
    for cell, backtest in done:
        book = _book(month, cell)
        broken = research.identity_violations(cell.resolved, book, backtest, month.market)
        month.judge(cell, "identities", broken)
        month.show(cell, ended=backtest.ended or "ran to the end", **_nav_picture(cell, backtest))
    _prove(month, [cell for cell, _ in done])
    return research.backtest_table(_named(done))


@research_asset("weights", "backtest_returns", deps=("raw_prices",))
def daily_returns(month: Month) -> pa.Table:
    """The same book day by day; its products are the monthly rows."""
    prices = _daily_prices(month)

    def run(cell: Cell) -> Any:
        return research.run_daily(
            cell.resolved, month.market, _book(month, cell), _backtest(month, cell), prices
        )

    done = month.each(run)
    for cell, daily in done:
        broken = research.compounding_violations(daily, _backtest(month, cell))
        month.judge(cell, "compounds_to_months", broken)
        month.show(cell, **_nav_picture(cell, daily))
    return research.daily_table(_named(done))


@research_asset("backtest_returns", "daily_returns")
def metrics(month: Month) -> pa.Table:
    """Performance per segment, monthly and daily."""

    def measure(cell: Cell) -> Any:
        daily = research.daily_from_table(_rows(month, "daily_returns", cell))
        return research.measure(
            cell.resolved,
            _backtest(month, cell),
            daily,
            price_basis=cell.version.price_basis,
            caveats=caveats(cell),
        )

    done = month.each(measure)
    for cell, segments in done:
        full = segments[0]
        month.show(cell, **{name: full[name] for name in _HEADLINE if np.isfinite(full[name])})
    return research.metrics_table(_named(done))


ASSETS = [factor_signals, scores, weights, backtest_returns, daily_returns, metrics]
_HEADLINE = ("cagr", "volatility_ann", "sharpe", "max_drawdown", "max_drawdown_daily")


def caveats(cell: Cell) -> str:
    """What this cell's numbers know too much of: later restatements, only survivors."""
    said = ["backfilled"] * cell.version.is_backfilled
    if cell.resolved.tickers is None and cell.version.is_survivors:
        said.append("survivors")
    return ", ".join(said)


def _named(done: list[tuple[Cell, Any]]) -> list[tuple[str, Any]]:
    return [(cell.name, result) for cell, result in done]


def _rows(month: Month, table: str, cell: Cell) -> pa.Table:
    return month.inputs[table][cell.name]


def _signals(month: Month, cell: Cell) -> research.Signals:
    rows = _rows(month, "factor_signals", cell)
    return research.signals_from_table(rows, cell.resolved, month.market)


def _book(month: Month, cell: Cell) -> research.Book:
    return research.weights_from_table(_rows(month, "weights", cell), cell.resolved, month.market)


def _backtest(month: Month, cell: Cell) -> research.Backtest:
    return research.backtest_from_table(_rows(month, "backtest_returns", cell))


def _nav_picture(cell: Cell, series: Any) -> dict[str, Any]:
    benchmark = getattr(series, "benchmark_return", None)
    picture = charts.nav_and_drawdown(
        series.dates,
        series.nav,
        series.drawdown,
        benchmark_nav=None if benchmark is None else np.cumprod(1 + benchmark),
        title=cell.name,
        basis=cell.version.price_basis,
    )
    return {"nav_and_drawdown": present.picture(picture, "NAV and drawdown")}


def _daily_prices(month: Month) -> Any:
    held = sorted({t for rows in month.inputs["weights"].values() for t in _held(rows)})
    version = month.version
    with month.store.read() as con:
        return returns.daily_basis(
            con,
            ingest.version_bars(version.data_version_id),
            ingest.version_distributions(version),
            held,
            version.last_date,
        )


def _held(rows: pa.Table) -> list[str]:
    mask = pa.compute.not_equal(rows.column("weight"), 0.0)
    return [str(t) for t in rows.filter(mask).column("ticker").unique().to_pylist()]


def _prove(month: Month, cells: list[Cell]) -> None:
    """The lookahead proof of every cell, on scenarios of the daily bars that they share."""
    if not cells:
        return
    version = month.version
    with month.store.read() as con:
        scenarios = proof.Scenarios.build(
            con,
            ingest.version_bars(version.data_version_id),
            ingest.version_distributions(version),
            version.month,
        )
    for cell in cells:
        found = scenarios.prove(cell.resolved)
        month.judge(cell, "no_lookahead", found.findings)
        month.show(cell, proof=found.figures, proof_cannot_see=list(found.cannot_see))
