"""Recomputing an experiment from what the store kept, and comparing it bit for bit.

Belongs here: `factorlab verify`, and the recomputation that comparisons rest on. Does not:
recording anything; a verification changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from factorlab_assets import explain, identity, prices, schemas
from factorlab_assets.core import many, outside, research, returns, signals, tables
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.market import with_bars
from factorlab_assets.core.membership import members
from factorlab_assets.core.panel import Panel, panel_from_table
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.trial_rows import of_backtests, trial_rows
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved

RETURNS = schemas.TRIAL_RETURNS.name
"""What alone the done row of a sweep's combination names: it has no tables of its own."""


@dataclass(frozen=True)
class Verification:
    """Whether every table came out the same to the last bit, and the finding in words."""

    identical: bool
    told: str


def verify(store: Store, experiment_id: str) -> Verification:
    """Recompute a finished experiment and compare it with what its ledger row recorded.

    A cell is recomputed table by table, a sweep's combination as a batch of its own. What differs
    is told with the first row that does, and with which of data, configuration and code explains
    it; where none of them changed it is a defect.

    Raises
    ------
    FactorLabError : no such experiment, or it never finished.
    """
    row = finished(store, experiment_id)
    who = f"{experiment_id} ({row['month']}|{row['strategy']})"
    recorded: dict[str, str] = json.loads(row["detail"])
    try:
        inputs = prices.Inputs.recorded(store, row["data_version_id"], row["prices"])
        resolved = Resolved.from_config(row["strategy"], json.loads(row["config"]))
        again = _again(store, inputs, resolved, row)
    except FactorLabError as error:
        why = "; ".join(explain.causes(store, row)) or explain.DEFECT
        return Verification(False, f"not to be recomputed: {who}: {error} {why}")
    for name in recorded:
        if again.hashes[name] != recorded[name]:
            why = "; ".join(explain.causes(store, row)) or explain.DEFECT
            kept = _first(store, row, again, name) or _first_return(store, inputs, resolved, row)
            return Verification(False, f"different: {who}, table {name}; {why}; {kept}")
    same_code = row["code_version"] == identity.code_version()
    code = "the same code" if same_code else f"other code ({identity.code_version()})"
    told = (
        f"identical: {who} on {inputs.version.data_version_id}, recomputed by {code}, "
        f"agrees to the last bit in {', '.join(recorded)}"
    )
    return Verification(True, told)


def finished(store: Store, experiment_id: str) -> dict[str, Any]:
    """The ledger's last done row of an experiment.

    Raises
    ------
    FactorLabError : there is none.
    """
    rows = store.experiments(experiment_id).to_pylist()
    done = [r for r in rows if r["status"] == "done"]
    if not done:
        raise FactorLabError(
            "no finished experiment of that id",
            got=experiment_id,
            expected="an id that `factorlab experiments` lists as done",
            do=f"its attempts: {', '.join(r['status'] for r in rows) or 'none'}",
        )
    last: dict[str, Any] = done[-1]
    return last


def is_combination(row: Mapping[str, Any]) -> bool:
    """Whether a done row is of a sweep's combination, computed in a batch."""
    return list(json.loads(row["detail"])) == [RETURNS]


def is_of_batch(store: Store, experiment_id: str) -> bool:
    """Whether the returns that the ledger keeps of an experiment were computed in a batch.

    They came with its first done row: of a combination that was promoted, the sweep's.
    """
    rows = store.experiments(experiment_id, ["status", "detail"]).to_pylist()
    return is_combination(next(row for row in rows if row["status"] == "done"))


@dataclass(frozen=True)
class _Prepared:
    """What one strategy is computed on."""

    market: Panel
    choice: prices.Choice
    daily: DailyPrices | None


def _prepare(
    store: Store, inputs: prices.Inputs, resolved: Resolved, *, with_daily: bool
) -> _Prepared:
    """The panel of a strategy, from the stored bars; and closes to value its book day by day."""
    version = inputs.version
    with store.read() as con:
        _demand_stored(store, inputs)
        own, missing = outside.read_for(con, inputs.characteristics, [resolved])
        for error in missing.values():
            raise error
        status = inputs.distribution_status(con)
        suspected = inputs.suspects(con, status)
        stretches = inputs.price_basis(con, status)
        choice = prices.Chooser.of(stretches, is_synthetic=inputs.is_synthetic).choose(resolved)
        with prices.adjusted(con, inputs, suspected, status, stretches) as bars:
            days = resolved.strategy.schedule.days_before_month_end
            monthly = returns.monthly_returns(con, bars, version.month, days_before=days)
            panel = panel_from_table(monthly, choice.basis, days_before=days)
            market = outside.beside(panel, own)
            market = with_bars(con, bars, market, choice.basis, [resolved], days_before=days)
            daily = None
            if with_daily:
                held = signals.universe(resolved, market).tickers.tolist()
                daily = returns.daily_basis(con, bars, choice.basis, held, version.last_date)
    return _Prepared(market, choice, daily)


def _demand_stored(store: Store, inputs: prices.Inputs) -> None:
    kept = {record.partition for record in store.partitions(schemas.RAW_PRICES)}
    for version in (inputs.version, inputs.second):
        if version is not None and version.data_version_id not in kept:
            raise FactorLabError(
                "the rows of that data version are gone",
                where=store.path,
                got=version.data_version_id,
                expected="a version that was not pruned",
                do="ingest it again from the same files",
            )


def recompute(store: Store, inputs: prices.Inputs, resolved: Resolved) -> Mapping[str, pa.Table]:
    """Every research table of one experiment, from the stored bars, as the store would hold it."""
    version = inputs.version
    prepared = _prepare(store, inputs, resolved, with_daily=True)
    market, choice = prepared.market, prepared.choice
    result = research.run(resolved, market, prepared.daily)
    segments = research.measure(
        resolved,
        result.backtest,
        result.daily,
        price_basis=choice.label,
        caveats=prices.caveats(version, resolved, choice),
    )
    name, panel, daily = resolved.name, result.panel, result.daily
    rows = {
        "memberships": tables.members_table([(name, panel, members(resolved, market))]),
        "factor_signals": tables.signals_table([(name, panel, result.signals)]),
        "scores": tables.scores_table([(name, panel, result.score)]),
        "weights": tables.weights_table([(name, panel, result.book)]),
        "backtest_returns": tables.backtest_table([(name, result.backtest)]),
        "daily_returns": tables.daily_table([] if daily is None else [(name, daily)]),
        "metrics": tables.metrics_table([(name, segments)]),
    }
    return {
        table: said.add_column(0, "month", pa.repeat(version.month, said.num_rows))
        for table, said in rows.items()
    }


def earned(
    store: Store, inputs: prices.Inputs, resolved: Resolved, id_: str, *, as_batch: bool
) -> pa.Table:
    """What a strategy earns on a version's stored bars: rows of `trial_returns` under an id.

    as_batch : computed as a sweep's combinations are; else as a cell is. They differ in last bits.
    """
    market = SharedPanel.of(_prepare(store, inputs, resolved, with_daily=False).market)
    if as_batch:
        return trial_rows([id_], [resolved], many.evaluate([resolved], market), market)
    backtest = research.run(resolved, market).backtest
    return of_backtests(tables.backtest_table([(resolved.name, backtest)]), {resolved.name: id_})


@dataclass(frozen=True)
class _Again:
    """The tables of an experiment, recomputed, and their content hashes."""

    rows: Mapping[str, pa.Table]
    hashes: Mapping[str, str]


def _again(
    store: Store, inputs: prices.Inputs, resolved: Resolved, row: Mapping[str, Any]
) -> _Again:
    id_ = row["experiment_id"]
    if is_combination(row):
        own = earned(store, inputs, resolved, id_, as_batch=True)
        return _Again({RETURNS: own}, {RETURNS: store.returns_hashes(own).get(id_, "no rows")})
    rows = recompute(store, inputs, resolved)
    hashes = {}
    for name, table in rows.items():
        found = store.content_hash(schemas.TABLES[name], table)
        hashes[name] = found.get(_cell(row), "no rows")
    return _Again(rows, hashes)


def _cell(row: Mapping[str, Any]) -> str:
    return f"{row['month']}|{row['strategy']}"


def _first(store: Store, row: Mapping[str, Any], again: _Again, name: str) -> str:
    """The first row of a table that differs; empty where the old ones are no longer stored."""
    if name == RETURNS:
        kept = store.trial_returns([row["experiment_id"]])
        if json.loads(row["detail"])[name] not in store.returns_hashes(kept).values():
            return ""
        return _first_row(schemas.TRIAL_RETURNS, kept, again.rows[name])
    table, cell = schemas.TABLES[name], _cell(row)
    stored = store.contents([cell], [name])[cell].get(name)
    if stored != json.loads(row["detail"])[name] or store.refusals(table, [cell]):
        return ""
    return _first_row(table, store.load(table, [cell]), again.rows[name])


def _first_return(
    store: Store, inputs: prices.Inputs, resolved: Resolved, row: Mapping[str, Any]
) -> str:
    """The first difference to the returns that the ledger keeps of an experiment for good."""
    id_ = row["experiment_id"]
    kept = store.trial_returns([id_])
    if kept.num_rows == 0:
        return "its old rows are not there to show: the cell has been computed anew since"
    now = earned(store, inputs, resolved, id_, as_batch=is_of_batch(store, id_))
    if store.returns_hashes(kept) == store.returns_hashes(now):
        return "its old rows are not there to show, but what it earned is the same"
    return f"in what it earned, {_first_row(schemas.TRIAL_RETURNS, kept, now)}"


def _first_row(table: schemas.Table, before: pa.Table, after: pa.Table) -> str:
    keys = [k for k in table.primary_key if k not in ("month", "strategy", "experiment_id")]
    old, new = (
        {tuple(row[k] for k in keys): row for row in rows.to_pylist()} for rows in (before, after)
    )
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key), new.get(key)
        if was == is_:
            continue
        place = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
        if was is None or is_ is None:
            return f"first at {place}: {'only now' if was is None else 'no longer there'}"
        changes = [f"{k}: {was[k]!r} → {is_[k]!r}" for k in was if was[k] != is_[k]]
        return f"first at {place}: {'; '.join(changes)}"
    return "the rows look the same"
