"""The cells of one run: which there are, what they may read, and what became of each.

Belongs here: everything that the research assets share — resolving cells, gating their inputs,
writing, the experiment ledger, reporting. Does not: what a month's cells are handed (`cells`), or
what any one asset computes (`research`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from factorlab_assets import identity, prices, schemas, strategy, universes
from factorlab_assets.assets import checks, handover, partitions, present
from factorlab_assets.assets.cells import Cell, Month
from factorlab_assets.core import factors, outside
from factorlab_assets.core.tables import by_strategy
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Experiment, Store, Written

RESEARCH_TABLES = (
    "memberships",
    "factor_signals",
    "scores",
    "weights",
    "backtest_returns",
    "daily_returns",
)
LAST_TABLE = "metrics"
Files = tuple[Mapping[str, strategy.Strategy], Mapping[str, FactorLabError]]
Compute = Callable[[Month], pa.Table]


def research_asset(
    *inputs: str,
    deps: Sequence[str] = (),
    reads_bars: bool = False,
    kinds: frozenset[str] = frozenset({"numpy"}),
) -> Callable[[Compute], dg.AssetsDefinition]:
    """An asset of the research group: the function computes all cells of one month at once.

    Parameters
    ----------
    inputs : research tables that the function reads, gated by their verdicts and experiment.
    deps : further upstream assets, read by the function itself or through the market panel.
    reads_bars : the market panel has daily bars, for the strategies that look at them.
    """

    def decorate(compute: Compute) -> dg.AssetsDefinition:
        table = schemas.TABLES[compute.__name__]

        @dg.asset(
            name=table.name,
            group_name="research",
            description=table.schema.description,
            kinds={"duckdb", *kinds},
            owners=present.OWNERS,
            deps=["monthly_returns", "price_basis", "adjusted_prices", *deps, *inputs],
            partitions_def=partitions.CELLS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            metadata={"dagster/column_schema": present.column_schema(table)},
            check_specs=checks.specs(table, partitions.CELLS),
            code_version=identity.code_version(),
        )
        def asset(
            context: dg.AssetExecutionContext,
            store: dg.ResourceParam[Any],
            settings: dg.ResourceParam[Settings],
        ) -> Iterator[dg.MaterializeResult[Any]]:
            run = Run(store.store, settings, table, inputs, reads_bars, context.run.run_id)
            stored = run.execute(context.partition_keys, compute)
            yield from checks.told(context, table, stored)

        return asset

    return decorate


@dataclass(frozen=True)
class Run:
    """One research table, computed for the cells of one Dagster run."""

    store: Store
    settings: Settings
    table: schemas.Table
    inputs: Sequence[str]
    reads_bars: bool
    run_id: str

    def execute(self, keys: Sequence[str], compute: Compute) -> dict[str, checks.Stored]:
        """Compute and store the cells, month by month; each cell's fate by its key."""
        files = _strategies(self.settings.strategies_path)
        named = universes.load_universes(self.settings.universes_path)
        stored: dict[str, checks.Stored] = {}
        for month, names in partitions.by_month(keys).items():
            dropped: dict[str, str] = {}
            cells = self._cells(month, names, files, named, dropped)
            if cells:
                stored |= self._month(cells, compute, dropped)
            for key, reason in dropped.items():
                stored[key] = checks.refused(f"{key}: {reason}", self.table)
        return stored

    def _cells(
        self,
        month: str,
        names: Sequence[str],
        files: Files,
        named: Mapping[str, universes.NamedUniverse],
        dropped: dict[str, str],
    ) -> list[Cell]:
        good, bad = files
        inputs = prices.Inputs.current(self.store, self.settings, month)
        cells = []
        for name in names:
            key = partitions.cell_key(month, name)
            if inputs is None:
                dropped[key] = f"no data version of {month}: factorlab ingest --month {month}"
            elif f"{name}.yaml" in bad:
                dropped[key] = str(bad[f"{name}.yaml"])
            elif name not in good:
                dropped[key] = f"no strategy file {self.settings.strategies_path / name}.yaml"
            else:
                try:
                    resolved = strategy.resolve(good[name], named, good)
                    cells.append(Cell(name, resolved, inputs))
                except FactorLabError as error:
                    dropped[key] = str(error)
        return cells

    def _month(
        self, cells: list[Cell], compute: Compute, dropped: dict[str, str]
    ) -> dict[str, checks.Stored]:
        experiments = {cell.key: cell.experiment_id for cell in cells}
        self.store.begin_attempts([_experiment(cell) for cell in cells], self.run_id)
        month = self._gated(cells, experiments)
        failed = month.dropped
        if not month.cells:
            self._close(experiments, {}, failed)
            dropped |= failed
            return {}
        rows = compute(month)
        good = {key: id_ for key, id_ in experiments.items() if key not in failed}
        written = self.store.write_partitions(
            self.table, _with_month(rows, month.version.month), good, month.verdicts
        )
        stored = {}
        by_name = by_strategy(rows)
        self._hand_over(month, written, by_name)
        for cell in month.cells:
            if cell.key in failed:
                continue
            outcome = written[cell.key]
            about = _cell_metadata(cell, month.choice(cell))
            shown = (
                present.synthetic(about["price_basis"]) | month.metadata.get(cell.key, {}) | about
            )
            shown |= present.rows_metadata(by_name.get(cell.name, rows.slice(0, 0)))
            done = checks.Stored(outcome.content_hash, outcome.verdicts, shown)
            stored[cell.key] = done
            if not done.good:
                failed[cell.key] = done.failures
        self._close(experiments, stored, failed)
        dropped |= {key: reason for key, reason in failed.items() if key not in stored}
        return stored

    def _gated(self, cells: list[Cell], experiments: Mapping[str, str]) -> Month:
        """The month with the cells whose inputs may be used, and those inputs."""
        inputs = cells[0].inputs
        month = inputs.version.month
        fresh = {month: inputs.fingerprint}
        dropped: dict[str, str] = {}
        with self.store.read() as con:
            monthly = self.store.load(schemas.MONTHLY_RETURNS, [month], fingerprints=fresh)
            stretches = self.store.load(schemas.PRICE_BASIS, [month], fingerprints=fresh)
            for name in self.inputs:
                dropped |= self.store.refusals(schemas.TABLES[name], list(experiments), experiments)
            read = (cell.resolved for cell in cells if cell.key not in dropped)
            own, missing = outside.read_for(con, inputs.characteristics, read)
            dropped |= {partitions.cell_key(month, n): str(why) for n, why in missing.items()}
            good = [cell for cell in cells if cell.key not in dropped]
            keys = {cell.key: cell.experiment_id for cell in good}
            given = {name: self._input(name, keys) for name in (self.inputs if good else ())}
        chooser = prices.Chooser.of(stretches, is_synthetic=inputs.is_synthetic)
        choices = {cell.name: chooser.choose(cell.resolved) for cell in good}
        return Month(
            inputs,
            good,
            choices,
            monthly,
            stretches,
            self.store,
            given,
            self.reads_bars,
            own,
            dropped,
        )

    def _input(self, table: str, experiments: Mapping[str, str]) -> dict[str, pa.Table]:
        """The rows of cells by strategy: those that this process wrote, or as they are stored."""
        contents = self.store.contents(list(experiments), [table])
        hashes = {key.partition("|")[2]: content[table] for key, content in contents.items()}
        month = next(iter(experiments)).partition("|")[0]
        kept = handover.take((self.store.path, table, month), hashes)
        if kept is not None:
            return kept
        schema = schemas.TABLES[table]
        return by_strategy(self.store.load(schema, list(experiments), fingerprints=experiments))

    def _hand_over(
        self, month: Month, written: Mapping[str, Written], rows: Mapping[str, pa.Table]
    ) -> None:
        """Keep the cells that were stored for the tables to come."""
        hashes = {
            cell.name: written[cell.key].content_hash
            for cell in month.cells
            if cell.key in written and written[cell.key].is_stored
        }
        place = (self.store.path, self.table.name, month.version.month)
        handover.keep(place, hashes, rows)

    def _close(
        self,
        experiments: Mapping[str, str],
        stored: Mapping[str, checks.Stored],
        failed: Mapping[str, str],
    ) -> None:
        """Ledger rows of the attempts that end with this table: the failed, at the last all."""
        ended = [
            (experiments[key], "failed", f"{self.table.name}: {reason}")
            for key, reason in failed.items()
        ]
        if self.table.name == LAST_TABLE:
            tables = (*RESEARCH_TABLES, LAST_TABLE)
            with self.store.read():
                done = [key for key in stored if key not in failed]
                contents = self.store.contents(done, tables)
                ended += [(experiments[key], "done", json.dumps(contents[key])) for key in done]
        if ended:
            self.store.end_attempts(ended, self.run_id)


def _strategies(folder: Path) -> Files:
    """All strategy files, read anew only where one of them has changed: six tables ask for them."""
    looks = [(path.name, path.stat()) for path in sorted(folder.glob("*.y*ml"))]
    return _read(folder, tuple((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in looks))


@lru_cache(maxsize=1)
def _read(folder: Path, _looks: tuple[tuple[str, int, int, int], ...]) -> Files:
    return strategy.load_strategies(folder, factors.complete)


def _with_month(rows: pa.Table, month: str) -> pa.Table:
    return rows.add_column(0, "month", pa.repeat(month, rows.num_rows))


def _experiment(cell: Cell) -> Experiment:
    return Experiment(
        experiment_id=cell.experiment_id,
        month=cell.version.month,
        strategy=cell.name,
        data_version_id=cell.version.data_version_id,
        config_hash=cell.resolved.config_hash,
        code_version=identity.code_version(),
        config=cell.resolved.config_json,
        prices=cell.inputs.record,
        git_commit=identity.git_commit(),
    )


def _cell_metadata(cell: Cell, choice: prices.Choice) -> dict[str, Any]:
    said = {"price_caveat": choice.caveat} if choice.caveat else {}
    return said | {
        "experiment_id": cell.experiment_id,
        "data_version": cell.version.data_version_id,
        "config_hash": cell.resolved.config_hash,
        "price_basis": choice.label,
    }
