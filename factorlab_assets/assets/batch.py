"""The cells of one run: what each is, what it may read, and what became of it.

Belongs here: everything that the research assets share — resolving cells, gating their inputs,
writing, the experiment ledger, reporting. Does not: what any one asset computes (`research`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pyarrow as pa

from factorlab_assets import identity, prices, schemas, strategy
from factorlab_assets.assets import checks, handover, partitions, present
from factorlab_assets.core import factors
from factorlab_assets.core.panel import Basis, Panel, panel_from_table
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.tables import by_strategy
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Experiment, Store, Verdict, Version, Written
from factorlab_assets.store_partitions import WARNING, arrow_schema

RESEARCH_TABLES = ("factor_signals", "scores", "weights", "backtest_returns", "daily_returns")
LAST_TABLE = "metrics"
Files = tuple[Mapping[str, strategy.Strategy], Mapping[str, FactorLabError]]
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One strategy on one month's current data version, by the code that runs now."""

    name: str
    resolved: strategy.Resolved
    inputs: prices.Inputs

    @property
    def version(self) -> Version:
        return self.inputs.version

    @property
    def key(self) -> str:
        return partitions.cell_key(self.version.month, self.name)

    @property
    def experiment_id(self) -> str:
        return identity.experiment_id(
            self.resolved.config_hash, self.inputs.fingerprint, identity.code_version()
        )


@dataclass
class Month:
    """The cells of one month: their prices, their inputs, and who was dropped and why.

    choices : what basis each strategy reads. markets : the month's panel on each basis in use.
    stretches : the month's rows of `price_basis`.
    """

    price_inputs: prices.Inputs
    cells: list[Cell]
    choices: dict[str, prices.Choice]
    markets: dict[Basis, Panel]
    stretches: pa.Table
    store: Store
    inputs: dict[str, dict[str, pa.Table]]
    dropped: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def version(self) -> Version:
        return self.price_inputs.version

    def choice(self, cell: Cell) -> prices.Choice:
        return self.choices[cell.name]

    def market(self, cell: Cell) -> Panel:
        """The month's panel on the basis that the cell reads."""
        return self.markets[self.choice(cell).basis]

    def bars(self) -> str:
        """SQL relation: the month's daily prices, their verdicts demanded."""
        month = self.version.month
        fresh = {month: self.price_inputs.fingerprint}
        self.store.demand(schemas.ADJUSTED_PRICES, [month], fingerprints=fresh)
        return prices.month_prices(month)

    def each(self, compute: Callable[[Cell], T]) -> list[tuple[Cell, T]]:
        """`compute` of every cell; one that cannot be computed is dropped with the reason."""
        done = []
        for cell in self.cells:
            try:
                done.append((cell, compute(cell)))
            except FactorLabError as error:
                self.dropped[cell.key] = str(error)
        return done

    def judge(
        self,
        cell: Cell,
        check: str,
        violations: Sequence[Mapping[str, Any]],
        *,
        only_warn: bool = False,
        do: str = "",
    ) -> None:
        """Record a blocking check's verdict: it passes where there is no violation.

        One that should `only_warn` passes with the violations as a warning. `do` is told with them.
        """
        detail: dict[str, Any] = {"violations": len(violations), "first": list(violations[:5])}
        if do and violations:
            detail["what to do"] = do
        if only_warn and violations:
            detail[WARNING] = f"{len(violations)} violations; the setting is to warn"
        self.verdicts.append(Verdict(cell.key, check, only_warn or not violations, detail))

    def rows(self, table: str, cell: Cell) -> pa.Table:
        """An input's rows of one cell; none where it stored none."""
        stored = self.inputs[table].get(cell.name)
        return arrow_schema(schemas.TABLES[table]).empty_table() if stored is None else stored

    def show(self, cell: Cell, **metadata: Any) -> None:
        self.metadata.setdefault(cell.key, {}).update(metadata)


Compute = Callable[[Month], pa.Table]


def research_asset(
    *inputs: str, deps: Sequence[str] = (), kinds: frozenset[str] = frozenset({"numpy"})
) -> Callable[[Compute], dg.AssetsDefinition]:
    """An asset of the research group: the function computes all cells of one month at once.

    Parameters
    ----------
    inputs : research tables that the function reads, gated by their verdicts and experiment.
    deps : further upstream assets, read by the function itself or through the market panel.
    """

    def decorate(compute: Compute) -> dg.AssetsDefinition:
        table = schemas.TABLES[compute.__name__]

        @dg.asset(
            name=table.name,
            group_name="research",
            description=table.schema.description,
            kinds={"duckdb", *kinds},
            owners=present.OWNERS,
            deps=["monthly_returns", "price_basis", *deps, *inputs],
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
            run = Run(store.store, settings, table, inputs, context.run.run_id)
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
    run_id: str

    def execute(self, keys: Sequence[str], compute: Compute) -> dict[str, checks.Stored]:
        """Compute and store the cells, month by month; each cell's fate by its key."""
        files = _strategies(self.settings.strategies_path)
        universes = strategy.load_universes(self.settings.universes_path)
        stored: dict[str, checks.Stored] = {}
        for month, names in partitions.by_month(keys).items():
            dropped: dict[str, str] = {}
            cells = self._cells(month, names, files, universes, dropped)
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
        universes: Mapping[str, strategy.Universe],
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
                    resolved = strategy.resolve(good[name], universes, good)
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
        with self.store.read():
            monthly = self.store.load(schemas.MONTHLY_RETURNS, [month], fingerprints=fresh)
            stretches = self.store.load(schemas.PRICE_BASIS, [month], fingerprints=fresh)
            for name in self.inputs:
                dropped |= self.store.refusals(schemas.TABLES[name], list(experiments), experiments)
            good = [cell for cell in cells if cell.key not in dropped]
            keys = {cell.key: cell.experiment_id for cell in good}
            given = {name: self._input(name, keys) for name in (self.inputs if good else ())}
        chooser = prices.Chooser.of(stretches, is_synthetic=inputs.is_synthetic)
        choices = {cell.name: chooser.choose(cell.resolved) for cell in good}
        bases = {choice.basis for choice in choices.values()}
        markets = {basis: SharedPanel.of(panel_from_table(monthly, basis)) for basis in bases}
        return Month(inputs, good, choices, dict(markets), stretches, self.store, given, dropped)

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
