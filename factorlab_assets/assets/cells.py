"""The cells of one month: what each is, and what it is handed to compute with.

Belongs here: a month's prices, panels and inputs as the research assets see them, and what they
leave there to be judged and shown. Does not: gating, writing, the ledger (`batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from factorlab_assets import prices, schemas, strategy
from factorlab_assets.assets import partitions
from factorlab_assets.core import outside, research
from factorlab_assets.core.market import with_bars
from factorlab_assets.core.panel import Basis, Panel, panel_from_table
from factorlab_assets.core.returns import bars_beside, monthly_returns
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.settings import Settings
from factorlab_assets.store import Experiment, Store, Verdict, Version
from factorlab_assets.store_partitions import WARNING, arrow_schema

T = TypeVar("T")


class Kind(NamedTuple):
    """What cells share that have the same panel of months."""

    basis: Basis
    days_before: int


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

    @cached_property
    def experiment(self) -> Experiment:
        """Its row of the ledger."""
        return self.inputs.experiment(self.name, self.resolved)

    @property
    def experiment_id(self) -> str:
        return self.experiment.experiment_id


@dataclass
class Month:
    """The cells of one month: their prices, their inputs, and who was dropped and why.

    chooser : what basis each strategy reads. monthly : the month's rows of `monthly_returns`.
    stretches : those of `price_basis`. reads_bars : whether the table that is computed looks at
    daily bars, where a strategy does. outside : rows of the user's own panels that they read.
    """

    price_inputs: prices.Inputs
    cells: list[Cell]
    chooser: prices.Chooser
    monthly: pa.Table
    stretches: pa.Table
    store: Store
    settings: Settings
    inputs: dict[str, dict[str, pa.Table]]
    reads_bars: bool
    outside: pa.Table
    dropped: dict[str, str] = field(default_factory=dict)
    judged_by: EvaluationSettings | None = None
    run_id: str = ""
    fingerprints: Callable[[str, Mapping[str, str]], dict[str, str]] = lambda _, keys: dict(keys)
    verdicts: list[Verdict] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    _choices: dict[str, prices.Choice] = field(default_factory=dict)
    _monthly: dict[int, pa.Table] = field(default_factory=dict)
    _markets: dict[tuple[Kind, bool], Panel] = field(default_factory=dict)

    @property
    def version(self) -> Version:
        return self.price_inputs.version

    def choice(self, cell: Cell) -> prices.Choice:
        if cell.name not in self._choices:
            self._choices[cell.name] = self.chooser.choose(cell.resolved)
        return self._choices[cell.name]

    def kind(self, cell: Cell) -> Kind:
        """On which prices, and how many sessions before the months' ends, the cell is computed."""
        schedule = cell.resolved.strategy.schedule
        return Kind(self.choice(cell).basis, schedule.days_before_month_end)

    @property
    def judge_by(self) -> EvaluationSettings:
        """The evaluation file."""
        return self.judged_by or EvaluationSettings()

    def market(self, cell: Cell, days_before: int | None = None) -> Panel:
        """The month's panel of the cell's kind, with daily bars if it looks at them.

        It is made once for all cells that need the same. days_before : another day of the month
        than the cell's own.
        """
        key = self.panel_key(cell, days_before)
        if key not in self._markets:
            self._markets[key] = SharedPanel.of(self._market(key[0], with_daily=key[1]))
        return self._markets[key]

    def market_with_bars(self, cell: Cell, beside: Iterable[strategy.Resolved]) -> Panel:
        """`market` with the daily bars of what the cell reads, whether it looks at bars or not.

        beside : further strategies that are to run on the panel.
        """
        market = self.market(cell)
        if market.bars is not None:
            return market
        every, kind = market.tickers.tolist(), self.kind(cell)
        read = research.tickers_read(cell.resolved, every)
        own = market.select(read.union(*(research.tickers_read(e, every) for e in beside)))
        with self.store.read() as con:
            at = own.dates, own.tickers.tolist()
            bars = bars_beside(con, self.bars(), kind.basis, *at, days_before=kind.days_before)
        return SharedPanel.of(replace(own, bars=bars))

    def panel_key(self, cell: Cell, days_before: int | None = None) -> tuple[Kind, bool]:
        """Equal of two cells that `market` gives the same panel."""
        kind = self.kind(cell)
        if days_before is not None:
            kind = kind._replace(days_before=days_before)
        return kind, self.reads_bars and research.reads_bars(cell.resolved)

    def beside(self, strategies: Sequence[strategy.Resolved]) -> Month:
        """The same month with other cells, and panels that have what these look at."""
        key = self.version.month
        with self.store.read() as con:
            own, missing = outside.read_for(con, self.price_inputs.characteristics, strategies)
        return replace(
            self,
            cells=[Cell(each.name, each, self.price_inputs) for each in strategies],
            outside=own,
            dropped={partitions.cell_key(key, name): str(why) for name, why in missing.items()},
            verdicts=[],
            metadata={},
            _choices={},
            _markets={},
        )

    def everything(self, cell: Cell) -> Panel:
        """The panel of the cell's kind with every ticker, and without daily bars."""
        return self._market(self.kind(cell), with_daily=False)

    def _market(self, kind: Kind, *, with_daily: bool) -> Panel:
        basis, days_before = kind
        if days_before not in self._monthly:
            self._monthly[days_before] = self._monthly_returns(days_before)
        rows = self._monthly[days_before]
        panel = outside.beside(panel_from_table(rows, basis, days_before=days_before), self.outside)
        if not with_daily:
            return panel
        alike = [cell.resolved for cell in self.cells if self.kind(cell).basis == basis]
        with self.store.read() as con:
            return with_bars(con, self.bars(), panel, basis, alike, days_before=days_before)

    def _monthly_returns(self, days_before: int) -> pa.Table:
        """The stored rows are those of the months' last sessions; others are made of the bars."""
        if days_before == 0:
            return self.monthly
        month = self.version.month
        with self.store.read() as con:
            return monthly_returns(con, self.bars(), month, days_before=days_before)

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

    def stored(self, table: str, cell: Cell) -> pa.Table | str:
        """The stored rows of any table of one cell; or why they may not be shown."""
        wanted = self.fingerprints(table, {cell.key: cell.experiment_id})
        reason = self.refusal(table, cell)
        return reason or self.store.load(schemas.TABLES[table], [cell.key], fingerprints=wanted)

    def refusal(self, table: str, cell: Cell) -> str | None:
        """Why the stored rows of a table of one cell may not be shown; None where they may."""
        wanted = self.fingerprints(table, {cell.key: cell.experiment_id})
        return self.store.refusals(schemas.TABLES[table], [cell.key], wanted).get(cell.key)

    def show(self, cell: Cell, **metadata: Any) -> None:
        self.metadata.setdefault(cell.key, {}).update(metadata)
