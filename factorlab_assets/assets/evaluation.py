"""The evaluation assets: what an experiment that is done is worth.

Belongs here: group `evaluation` but for sweeps, one function per table: load, one pure call, what
it shows. Does not: the statistics (`evaluation`), sweeps (`assets.sweeps`), gating or writing
(`batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import ledger, schemas
from factorlab_assets.assets import present
from factorlab_assets.assets.batch import evaluation_asset, strategy_files
from factorlab_assets.assets.cells import Cell, Month
from factorlab_assets.core import membership, research, signals, tables
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation import bracket, regimes
from factorlab_assets.evaluation import inference as judging
from factorlab_assets.evaluation import robustness as varied
from factorlab_assets.evaluation.trials import Family, Trials, family
from factorlab_assets.reports import charts, charts_evaluation

Row = Mapping[str, Any]


@evaluation_asset("backtest_returns", "metrics", reads_bars=True)
def inference(month: Month) -> pa.Table:
    """How sure each Sharpe ratio is, after all that was tried."""
    trials = ledger.trials(month.store, prior_trials(month))

    def made(cell: Cell) -> tuple[Family, Sequence[Row]]:
        backtest = backtest_of(month, cell)
        even = equal_weight(month, cell, backtest.dates)
        kin = family_of(cell, trials, backtest, even)
        series = backtest.net_return, backtest.rf, backtest.benchmark_return, even
        return kin, judging.infer(backtest.dates, *series, kin, month.judge_by)

    done = month.each(made)
    for cell, (kin, rows) in done:
        month.show(cell, **_inference_shown(kin, rows))
    return cell_rows(schemas.INFERENCE, ((cell, rows) for cell, (_, rows) in done))


@evaluation_asset("backtest_returns", reads_bars=True)
def regime_metrics(month: Month) -> pa.Table:
    """What was earned in which state of the market."""

    def made(cell: Cell) -> Sequence[Row]:
        return regimes.regime_metrics(
            cell.resolved,
            month.market(cell),
            backtest_of(month, cell),
            month.judge_by.regimes,
            price_basis=month.choice(cell).label,
            prices=month.everything(cell),
        )

    done = month.each(made)
    for cell, rows in done:
        shown = ["regime", "label", "n_months", "return_ann", "sharpe", "excess_ann"]
        month.show(cell, by_regime=table_of(rows, shown))
    return cell_rows(schemas.REGIME_METRICS, done)


@evaluation_asset("memberships", "scores", "weights", "backtest_returns", reads_bars=True)
def feasibility(month: Month) -> pa.Table:
    """Between luck and foresight."""

    def made(cell: Cell) -> bracket.Bracket:
        panel = signals.universe(cell.resolved, month.market(cell))
        score = tables.scores_from_table(month.rows("scores", cell), panel)
        has_factors = bool(cell.resolved.strategy.factors)
        return bracket.bracket(
            cell.resolved,
            month.market(cell),
            book_of(month, cell),
            backtest_of(month, cell),
            month.judge_by.feasibility,
            who=members_of(month, cell),
            score=score if has_factors else None,
        )

    done = month.each(made)
    for cell, found in done:
        shown = ["kind", "metric", "value", "median", "p95", "percentile"]
        month.show(cell, bracket=table_of(found.rows, shown))
        month.show(cell, **_bracket_pictures(cell.name, month.choice(cell).label, found))
    return cell_rows(schemas.FEASIBILITY, ((cell, found.rows) for cell, found in done))


@evaluation_asset("weights", "backtest_returns", reads_bars=True)
def robustness(month: Month) -> pa.Table:
    """The strategy with one thing changed at a time."""

    def made(cell: Cell) -> Sequence[Row]:
        return varied.robustness(
            cell.resolved,
            month.market(cell),
            book_of(month, cell),
            backtest_of(month, cell),
            month.judge_by.robustness,
            lambda days_before: month.market(cell, days_before),
        )

    done = month.each(made)
    for cell, rows in done:
        for test in schemas.ROBUSTNESS_TESTS:
            of = [row for row in rows if row["test"] == test]
            shown = ["setting", "sharpe", "sharpe_change", "value_bps"]
            month.show(cell, **{test: table_of(of, shown)})
    return cell_rows(schemas.ROBUSTNESS, done)


ASSETS = [inference, regime_metrics, feasibility, robustness]


def backtest_of(month: Month, cell: Cell) -> Backtest:
    """The stored backtest of a cell."""
    return tables.backtest_from_table(month.rows("backtest_returns", cell))


def book_of(month: Month, cell: Cell) -> Book:
    """The stored book of a cell."""
    panel = signals.universe(cell.resolved, month.market(cell))
    return tables.weights_from_table(month.rows("weights", cell), panel)


def members_of(month: Month, cell: Cell) -> membership.Members:
    """The stored members of a cell."""
    is_filtered = bool(cell.resolved.strategy.universe.filters)
    panel = signals.universe(cell.resolved, month.market(cell))
    rows = month.rows("memberships", cell)
    return tables.members_from_table(rows, panel, is_filtered=is_filtered)


def prior_trials(month: Month) -> dict[str, int]:
    """Strategy file -> the tries made elsewhere that it names."""
    files, _ = strategy_files(month.settings.strategies_path)
    return {name: said.prior_trials for name, said in files.items()}


def equal_weight(month: Month, cell: Cell, dates: Dates) -> Floats:
    """What the cell's universe earned, equally weighted, in the months that end at these dates."""
    market, resolved = month.market(cell), cell.resolved
    said = resolved.strategy.model_copy(update={"benchmark": "equal_weight"})
    other = resolved.model_copy(update={"strategy": said, "benchmark": None})
    even = research.benchmark_returns(other, market)
    # By calendar month: the cell may trade some days before the month-ends that are asked for.
    has, wanted = (each.astype("datetime64[M]") for each in (market.dates, dates))
    return np.asarray(even[np.isin(has, wanted)])


def family_of(cell: Cell, trials: Trials, backtest: Backtest, even: Floats) -> Family:
    """All that was tried of the cell's idea, over its own months."""
    on = on_months(trials, backtest.dates)
    own = cell.resolved.config_hash
    return family(own, trials, on(backtest.benchmark_return), on(even))


def on_months(trials: Trials, dates: Dates) -> Callable[[Floats], Floats]:
    """Puts a series of these dates on those of the trials, by calendar month; months that no trial
    has are left out."""
    months, own = (each.astype("datetime64[M]") for each in (trials.dates, dates))
    is_there = np.isin(own, months)
    row = np.searchsorted(months, own[is_there])

    def placed(values: Floats) -> Floats:
        out = np.full(len(months), np.nan)
        out[row] = values[is_there]
        return out

    return placed


def cell_rows(table: schemas.Table, done: Any) -> pa.Table:
    """The rows of all cells, named by their strategy."""
    rows = ({**row, "strategy": cell.name} for cell, found in done for row in found)
    return tables.records_table(table, rows)


def table_of(rows: Sequence[Row], columns: Sequence[str]) -> Any:
    """Some columns of rows as the UI shows them."""
    said = {name: [_shown(row.get(name)) for row in rows] for name in columns}
    kept = {name: column for name, column in said.items() if any(v is not None for v in column)}
    return dg.MetadataValue.md(charts.markdown_table(pa.table(kept)) if rows else "none")


def _bracket_pictures(name: str, basis: str, found: bracket.Bracket) -> dict[str, Any]:
    """Growth and Sharpe ratio between luck and foresight."""
    if found.reason:
        return {"no_bracket": found.reason}
    said: dict[str, Any] = {}
    for metric in ("cagr", "sharpe"):
        null = found.own[metric], found.permuted[metric], found.random[metric]
        small = charts_evaluation.bracket_inline(*null, metric=metric, basis=basis)
        knew = found.oracle_gross[metric], found.oracle_net[metric]
        large = charts_evaluation.bracket_picture(
            *null, *knew, metric=metric, title=name, basis=basis
        )
        said[metric] = dg.MetadataValue.md(small)
        said[f"{metric}_picture"] = present.picture(large, "between luck and foresight")
    return said


def _shown(value: Any) -> Any:
    """A figure to four digits after the point, nothing for one that is not there."""
    if not isinstance(value, float):
        return value
    return round(value, 4) + 0.0 if np.isfinite(value) else None


def _pivoted(of: Mapping[tuple[str, str], Row]) -> pa.Table:
    """A row per statistic, a column per kind of returns, to three digits."""
    names = [name for name in judging.STATISTICS if not name.startswith("haircut")]
    columns = {"statistic": pa.array(names)}
    for kind in schemas.RETURNS:
        values = [round(float(of[kind, name]["value"]), 3) for name in names]
        columns[kind] = pa.array(values, from_pandas=True)
    return pa.table(columns)


def _inference_shown(kin: Family, rows: Sequence[Row]) -> dict[str, Any]:
    """The verdict first, then the figures over the benchmark and over cash, and who is who."""
    of = {(row["returns"], row["statistic"]): row for row in rows}
    shown = {
        f"{statistic}_{kind}": round(float(of[kind, statistic]["value"]), 6)
        for statistic in ("dsr", "psr")
        for kind in ("benchmark", "raw")
        if np.isfinite(of[kind, statistic]["value"])
    }
    groups = [f"- {', '.join(map(charts.escape_markdown, names))}" for names in kin.groups]
    return {
        "verdict": str(of["benchmark", "verdict"]["note"]),
        "n_trials": kin.n,
        **shown,
        "statistics": dg.MetadataValue.md(charts.markdown_table(_pivoted(of))),
        "all": table_of(rows, ["returns", "statistic", "value", "low", "high", "note"]),
        "groups_of_trials": dg.MetadataValue.md("\n".join(groups) or "none"),
    }
