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
from factorlab_assets.core.trial_rows import of_backtests
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation_settings import EvaluationSettings, load_evaluation
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store, Written
from factorlab_assets.verdict_settings import load_verdict

RESEARCH_TABLES = (
    "memberships",
    "factor_signals",
    "scores",
    "weights",
    "backtest_returns",
    "daily_returns",
)
LAST_TABLE = "metrics"
LIGHT = ("inference", "regime_metrics")
"""Evaluations that are quick enough to come with every experiment."""
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
    return _cell_asset("research", inputs, deps, reads_bars, kinds)


def evaluation_asset(
    *inputs: str, deps: Sequence[str] = (), reads_bars: bool = False
) -> Callable[[Compute], dg.AssetsDefinition]:
    """An asset of the evaluation group: as `research_asset`, but it judges experiments that are
    done, by the evaluation file, and is no part of them."""
    return _cell_asset("evaluation", inputs, deps, reads_bars, frozenset({"numpy"}))


def _cell_asset(
    group: str,
    inputs: Sequence[str],
    deps: Sequence[str],
    reads_bars: bool,
    kinds: frozenset[str],
) -> Callable[[Compute], dg.AssetsDefinition]:
    def decorate(compute: Compute) -> dg.AssetsDefinition:
        table, code = schemas.TABLES[compute.__name__], identity.code_version()
        if group == "evaluation":
            code = f"{code}.{identity.evaluation_version()}"

        @dg.asset(
            name=table.name,
            group_name=group,
            description=table.schema.description,
            kinds={"duckdb", *kinds},
            owners=present.OWNERS,
            deps=["monthly_returns", "price_basis", "adjusted_prices", *deps, *inputs],
            partitions_def=partitions.CELLS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            metadata={"dagster/column_schema": present.column_schema(table)},
            check_specs=checks.specs(table, partitions.CELLS),
            code_version=code,
        )
        def asset(
            context: dg.AssetExecutionContext,
            store: dg.ResourceParam[Any],
            settings: dg.ResourceParam[Settings],
        ) -> Iterator[dg.MaterializeResult[Any]]:
            judged_by = None
            if group == "evaluation":
                judged_by = load_evaluation(settings.evaluation_path)
            run_id, wanted = context.run.run_id, context.run.tags.get(partitions.EXPERIMENT_TAG, "")
            run = Run(store.store, settings, table, inputs, reads_bars, run_id, judged_by, wanted)
            stored = run.execute(context.partition_keys, compute)
            yield from checks.told(context, table, stored)

        return asset

    return decorate


@dataclass(frozen=True)
class Run:
    """One table of cells, computed for those of one Dagster run; judged_by : the evaluation file,
    for a table that is no part of an experiment. wanted : the id of the one experiment that was
    asked for; empty: whatever the cells are today."""

    store: Store
    settings: Settings
    table: schemas.Table
    inputs: Sequence[str]
    reads_bars: bool
    run_id: str
    judged_by: EvaluationSettings | None = None
    wanted: str = ""

    def execute(self, keys: Sequence[str], compute: Compute) -> dict[str, checks.Stored]:
        """Compute and store the cells, month by month; each cell's fate by its key."""
        files = strategy_files(self.settings.strategies_path)
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
                    cell = Cell(name, resolved, inputs)
                except FactorLabError as error:
                    dropped[key] = str(error)
                    continue
                if self.wanted not in ("", cell.experiment_id):
                    dropped[key] = (
                        f"experiment {self.wanted} was asked for, and the cell is "
                        f"{cell.experiment_id} by now: submit it again"
                    )
                    continue
                cells.append(cell)
        return cells

    def _month(
        self, cells: list[Cell], compute: Compute, dropped: dict[str, str]
    ) -> dict[str, checks.Stored]:
        experiments = {cell.key: cell.experiment_id for cell in cells}
        if self.judged_by is None:
            self.store.begin_attempts([cell.experiment for cell in cells], self.run_id)
        month = self._gated(cells, experiments)
        failed = month.dropped
        if not month.cells:
            self._close(experiments, {}, failed)
            dropped |= failed
            return {}
        rows = compute(month)
        good = {key: id_ for key, id_ in experiments.items() if key not in failed}
        written = self.store.write_partitions(
            self.table,
            _with_month(rows, month.version.month),
            self._fingerprints(self.table.name, good),
            month.verdicts,
        )
        stored = {}
        by_name = by_strategy(rows)
        self._hand_over(month, written, by_name)
        for cell in month.cells:
            if cell.key in failed:
                continue
            outcome = written[cell.key]
            about = _cell_metadata(cell, month.choice(cell), self.settings.reports_path)
            shown = (
                present.synthetic(about["price_basis"]) | month.metadata.get(cell.key, {}) | about
            )
            told = present.rows_metadata(by_name.get(cell.name, rows.slice(0, 0)))
            if self.judged_by is not None:
                told.pop("preview", None)  # they show tables of their own
            shown |= told
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
                wanted = self._fingerprints(name, experiments)
                for key, why in self.store.refusals(
                    schemas.TABLES[name], [*wanted], wanted
                ).items():
                    dropped.setdefault(key, self._told(name, key, why))
            read = (cell.resolved for cell in cells if cell.key not in dropped)
            own, missing = outside.read_for(con, inputs.characteristics, read)
            dropped |= {partitions.cell_key(month, n): str(why) for n, why in missing.items()}
            good = [cell for cell in cells if cell.key not in dropped]
            keys = {cell.key: cell.experiment_id for cell in good}
            given = {name: self._input(name, keys) for name in (self.inputs if good else ())}
        chooser = prices.Chooser.of(stretches, is_synthetic=inputs.is_synthetic)
        return Month(
            inputs,
            good,
            chooser,
            monthly,
            stretches,
            self.store,
            self.settings,
            given,
            self.reads_bars,
            own,
            dropped,
            judged_by=self.judged_by,
            run_id=self.run_id,
            fingerprints=self._fingerprints,
        )

    def _told(self, table: str, key: str, why: str) -> str:
        """Why a cell's input may not be used; what is done is judged only where it is up to date,
        and what may be judged is computed by another job."""
        month, name = key.split("|")
        is_part = self.judged_by is None or table not in (*RESEARCH_TABLES, LAST_TABLE)
        do = "" if is_part else f". What to do: factorlab run --month {month} --strategy {name}."
        return f"{table}: {why}{do}"

    def _input(self, table: str, experiments: Mapping[str, str]) -> dict[str, pa.Table]:
        """The rows of cells by strategy: those that this process wrote, or as they are stored."""
        contents = self.store.contents(list(experiments), [table])
        hashes = {key.partition("|")[2]: content[table] for key, content in contents.items()}
        month = next(iter(experiments)).partition("|")[0]
        kept = handover.take((self.store.path, table, month), hashes)
        if kept is not None:
            return kept
        schema, wanted = schemas.TABLES[table], self._fingerprints(table, experiments)
        return by_strategy(self.store.load(schema, list(wanted), fingerprints=wanted))

    def _fingerprints(self, table: str, experiments: Mapping[str, str]) -> dict[str, str]:
        """What the rows of a table are computed from: the experiment, and what judges it."""
        is_part = table in (*RESEARCH_TABLES, LAST_TABLE)
        if self.judged_by is None or is_part:
            return dict(experiments)
        judge = f"{self.judged_by.fingerprint}.{identity.evaluation_version()}"
        if table in ("verdict", "tear_sheet"):
            judge += f".{load_verdict(self.settings.verdict_path).fingerprint}"
        return {key: f"{id_}.{judge}" for key, id_ in experiments.items()}

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
        if self.judged_by is not None:
            return
        ended = [
            (experiments[key], "failed", f"{self.table.name}: {reason}")
            for key, reason in failed.items()
        ]
        returns = None
        done = [key for key in stored if key not in failed]
        if self.table.name == LAST_TABLE and done:
            with self.store.read():
                contents = self.store.contents(done, (*RESEARCH_TABLES, LAST_TABLE))
                # Strategies that differ in nothing but their name are one experiment.
                keys = {experiments[key]: key for key in done}
                earned = self.store.load(schemas.BACKTEST_RETURNS, list(keys.values()))
            ended += [(id_, "done", json.dumps(contents[key])) for id_, key in keys.items()]
            names = {key.partition("|")[2]: id_ for id_, key in keys.items()}
            returns = of_backtests(earned, names)
        if ended:
            self.store.end_attempts(ended, self.run_id, returns)


def strategy_files(folder: Path) -> Files:
    """All strategy files, read anew only where one of them has changed: six tables ask for them."""
    looks = [(path.name, path.stat()) for path in sorted(folder.glob("*.y*ml"))]
    return _read(folder, tuple((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in looks))


@lru_cache(maxsize=1)
def _read(folder: Path, _looks: tuple[tuple[str, int, int, int], ...]) -> Files:
    return strategy.load_strategies(folder, factors.complete)


def _with_month(rows: pa.Table, month: str) -> pa.Table:
    return rows.add_column(0, "month", pa.repeat(month, rows.num_rows))


def _cell_metadata(cell: Cell, choice: prices.Choice, reports: Path) -> dict[str, Any]:
    said: dict[str, Any] = {"price_caveat": choice.caveat} if choice.caveat else {}
    page = reports / cell.version.month / f"{cell.name}.html"
    how = f"factorlab report {cell.name} --month {cell.version.month}"
    said["tear_sheet"] = dg.MetadataValue.url(page.as_uri()) if page.exists() else how
    return said | {
        "experiment_id": cell.experiment_id,
        "data_version": cell.version.data_version_id,
        "config_hash": cell.resolved.config_hash,
        "price_basis": choice.label,
    }
