"""The sweep assets: every combination of a strategy's sweep, and what choosing among them is worth.

Belongs here: one function per table: which combinations, their panels, one pure call, what it
shows. Does not: running a sweep (`sweep_run`), or the judgements (`evaluation`).
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import ledger, schemas, sweep, sweep_run, universes
from factorlab_assets.assets import present
from factorlab_assets.assets.batch import evaluation_asset, strategy_files
from factorlab_assets.assets.cells import Cell, Month
from factorlab_assets.assets.evaluation import (
    cell_rows,
    equal_weight,
    on_months,
    prior_trials,
    table_of,
)
from factorlab_assets.core import factors, research
from factorlab_assets.core.book import Book
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import evidence as judging
from factorlab_assets.evaluation import inference, plateau, splits, walk
from factorlab_assets.evaluation.trials import family
from factorlab_assets.reports import charts, charts_evaluation
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_sweep import Sweep

Row = Mapping[str, Any]
PROGRESS = logging.getLogger("factorlab.progress")
BEST = ["combination", "cagr", "sharpe", "max_drawdown", "dsr", "dsr_benchmark"]
MOST_SHOWN = 20


@evaluation_asset(reads_bars=True)
def sweep_metrics(month: Month) -> pa.Table:
    """Compute the combinations that are missing; figures of all of them."""

    def made(cell: Cell) -> list[Row]:
        expansion = _expanded(month, cell)
        combined = month.beside([each.resolved for each in expansion.combinations])
        done = sweep_run.run_sweep(
            month.store,
            expansion,
            month.price_inputs,
            lambda resolved: _market_for(combined, resolved),
            month.run_id,
            lambda n, of: PROGRESS.debug("%s: %d of %d combinations", cell.name, n, of),
        )
        columns: dict[str, Any] = {**sweep_run.sweep_rows(month.store, expansion, done)}
        columns |= _judged(combined, expansion, columns)
        month.show(cell, **_about(expansion, done))
        table = pa.table({k: pa.array(v, from_pandas=True) for k, v in columns.items()})
        return list(table.to_pylist())

    done = month.each(made)
    for cell, rows in done:
        month.show(cell, **_grid_shown(cell, rows, month.choice(cell).label))
    return cell_rows(schemas.SWEEP_METRICS, done)


@evaluation_asset("sweep_metrics", reads_bars=True)
def walk_forward(month: Month) -> pa.Table:
    """Chosen on each training window, earned after it."""

    def made(cell: Cell) -> list[Row]:
        tried = _tried(month, cell)
        rows: list[Row] = []
        for scheme in walk.SCHEMES:
            try:
                found = tried.walked(scheme)
            except FactorLabError as error:  # the history is too short: no walk, and why
                month.show(cell, **{scheme: str(error)})
                continue
            month.show(cell, **{scheme: found.note})
            rows += found.rows(tried.names)
        return rows

    return cell_rows(schemas.WALK_FORWARD, month.each(made))


@evaluation_asset("sweep_metrics", reads_bars=True)
def sweep_evidence(month: Month) -> pa.Table:
    """Overfitting, data snooping, cross-validation, and the walks forward."""

    def made(cell: Cell) -> list[Row]:
        tried = _tried(month, cell)
        strategies = [each.resolved for each in tried.combinations]
        lookback, holding = judging.memory(strategies)
        said = judging.evidence(
            tried.sweep,
            tried.rows,
            tried.market.dates,
            tried.earned,
            month.judge_by,
            lookback=lookback,
            holding=holding,
        )
        return [*said, *_walks(tried, month.judge_by.level)]

    done = month.each(made)
    for cell, rows in done:
        shown = ["returns", "statistic", "value", "low", "high", "note"]
        month.show(cell, evidence=table_of(rows, shown))
    return cell_rows(schemas.SWEEP_EVIDENCE, done)


ASSETS = [sweep_metrics, walk_forward, sweep_evidence]


@dataclass(frozen=True)
class _Tried:
    """The combinations of a sweep that are done: their rows of `sweep_metrics`, and what they
    earned on the dates of the sweep's own strategy."""

    base: Resolved
    month: Month
    market: Panel
    combinations: Sequence[sweep.Combination]
    sweep: Sweep
    rows: Sequence[Row]
    earned: splits.Earned

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.combinations]

    def walked(self, scheme: splits.Scheme) -> walk.Stitched:
        """See `walk.stitched`."""
        return walk.stitched(scheme, self.sweep, self.base, self.market, self.earned, self._book_of)

    def _book_of(self, i: int) -> Book:
        resolved = self.combinations[i].resolved
        return research.run(resolved, _market_for(self.month, resolved)[1]).book


def _tried(month: Month, cell: Cell) -> _Tried:
    """What the stored rows of `sweep_metrics` say, and the returns of those that are done."""
    expansion = _expanded(month, cell)
    stored = {row["combination"]: row for row in month.rows("sweep_metrics", cell).to_pylist()}
    if strange := {each.name for each in expansion.combinations} ^ stored.keys():
        raise FactorLabError(
            "the sweep block changed since its combinations were computed",
            where=cell.key,
            got=f"{len(strange)} combinations that are in one and not in the other",
            do=f"factorlab sweep {cell.name}, or materialize sweep_metrics again",
        )
    done = [each for each in expansion.combinations if stored[each.name]["status"] == "done"]
    if not done:
        raise FactorLabError(
            "no combination of the sweep could be computed",
            where=cell.key,
            got=next(iter(stored.values()))["note"],
            do="see the notes of `sweep_metrics`",
        )
    rows = [stored[each.name] for each in done]
    ids = [row["experiment_id"] for row in rows]
    found = sweep_run.side_by_side(month.store.trial_returns(ids), ids)
    combined = month.beside([each.resolved for each in done])
    market = month.market(cell)
    row = np.searchsorted(market.dates.astype("datetime64[M]"), found.dates.astype("datetime64[M]"))

    def placed(values: Floats) -> Floats:
        out = np.full((*values.shape[:-1], len(market.dates)), np.nan)
        out[..., row] = values
        return out

    benchmark = research.benchmark_returns(cell.resolved, market)
    earned = splits.Earned(placed(found.net_return), placed(found.rf), benchmark)
    return _Tried(cell.resolved, combined, market, done, expansion.sweep, rows, earned)


def _expanded(month: Month, cell: Cell) -> sweep.Expansion:
    """The combinations of the cell's strategy file."""
    settings = month.settings
    files, _ = strategy_files(settings.strategies_path)
    if cell.resolved.strategy.sweep is None:
        raise FactorLabError(
            "the strategy has no sweep",
            where=f"{settings.strategies_path / cell.name}.yaml",
            expected="a `sweep` block (docs/evaluation.md)",
        )
    return sweep.expand_file(
        settings.strategies_path / f"{cell.name}.yaml",
        factors.complete,
        universes.load_universes(settings.universes_path),
        files,
    )


def _market_for(month: Month, resolved: Resolved) -> tuple[Hashable, Panel]:
    """The panel of one of the month's combinations, and a key that is equal where it is the same.

    Raises
    ------
    FactorLabError : it reads a panel of the user's own that the data version does not have.
    """
    cell = Cell(resolved.name, resolved, month.price_inputs)
    if cell.key in month.dropped:
        raise FactorLabError(month.dropped[cell.key])
    return month.panel_key(cell), month.market(cell)


def _judged(month: Month, expansion: sweep.Expansion, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of inference: what each combination is worth after all that was tried."""
    ids = columns["experiment_id"]
    found = sweep_run.side_by_side(month.store.trial_returns(ids), ids)
    lengths = np.isfinite(found.net_return).sum(axis=1)
    if not lengths.any():
        return {}
    longest = int(lengths.argmax())
    resolved = expansion.combinations[longest].resolved
    cell = Cell(resolved.name, resolved, month.price_inputs)
    trials = ledger.trials(month.store, prior_trials(month))
    on = on_months(trials, found.dates)
    even = equal_weight(month, cell, found.dates)
    kin = family(resolved.config_hash, trials, on(found.benchmark_return[longest]), on(even))
    return inference.infer_many(
        found.net_return, found.rf, found.benchmark_return, kin, month.judge_by
    )


def _walks(tried: _Tried, level: float) -> list[Row]:
    """What the walks forward earned; too short a history is a reason instead of a figure."""
    rows: list[Row] = []
    for scheme in walk.SCHEMES:
        try:
            found = tried.walked(scheme)
        except FactorLabError as error:
            rows += judging.not_walked(scheme, str(error))
            continue
        series = found.net, found.rf, found.benchmark
        rows += judging.walked(scheme, *series, found.note, level)
    return rows


def _about(expansion: sweep.Expansion, done: sweep_run.SweepDone) -> dict[str, Any]:
    """How many combinations there are, and what became of them."""
    said: dict[str, Any] = {
        "combinations": len(expansion.combinations),
        "of_a_grid_of": expansion.total,
        "computed_now": done.n_computed,
        "reused": done.n_reused,
        "failed": len(done.failed),
    }
    if expansion.left_out:
        reasons = {each.name: each.reason for each in expansion.left_out[:MOST_SHOWN]}
        said["left_out"] = present.figures({"in all": len(expansion.left_out), **reasons})
    return said


def _grid_shown(cell: Cell, rows: Sequence[Row], basis: str) -> dict[str, Any]:
    """The best combinations, and the Sharpe ratio over two parameters."""
    best = sorted(rows, key=lambda row: (row["sharpe"] is None, -(row["sharpe"] or 0.0)))
    shown: dict[str, Any] = {"best": table_of(best[:MOST_SHOWN], BEST)}
    grid = plateau.plateau(rows, "sharpe")
    if grid.down:
        about = "Sharpe per year" + (f", best over {grid.over}" if grid.over else "")
        sides = grid.names, grid.columns, grid.values
        picture = charts_evaluation.heat_map(
            *sides, title=cell.name, basis=basis, row=grid.down, column=grid.across, about=about
        )
        small = charts.markdown_table(_grid_table(grid))
        if charts.inline_excess(small) > 0:
            small = charts_evaluation.heat_inline(*sides, basis=basis, about=about)
        shown["heat"] = dg.MetadataValue.md(small)
        shown["heat_map"] = present.picture(picture, "Sharpe ratio by parameter")
    return shown


def _grid_table(grid: plateau.Plateau) -> pa.Table:
    """The figures of a plateau to two digits, its rows named in the first column."""
    head = f"{grid.down} by {grid.across}" if grid.across else grid.down
    values = np.round(grid.values, 2)
    columns = {name or "value": values[:, i] for i, name in enumerate(grid.columns)}
    arrays = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    return pa.table({head: pa.array(grid.names)} | arrays)
