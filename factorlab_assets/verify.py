"""Recomputing an experiment from what the store kept, and comparing every table bit for bit.

Belongs here: `factorlab verify`. Does not: recording anything; a verification changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from factorlab_assets import identity, prices, schemas
from factorlab_assets.core import outside, research, returns, signals, tables
from factorlab_assets.core.market import with_bars
from factorlab_assets.core.membership import members
from factorlab_assets.core.panel import panel_from_table
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved


@dataclass(frozen=True)
class Verification:
    """Whether every table came out the same to the last bit, and the finding in words."""

    identical: bool
    told: str


def verify(store: Store, experiment_id: str) -> Verification:
    """Recompute a finished experiment and compare it with what its ledger row recorded.

    Raises
    ------
    FactorLabError : no such experiment, or it never finished, or its data version is gone.
    """
    row = _finished(store, experiment_id)
    inputs = prices.Inputs.recorded(store, row["data_version_id"], row["prices"])
    version = inputs.version
    resolved = Resolved.from_config(row["strategy"], json.loads(row["config"]))
    recorded: dict[str, str] = json.loads(row["detail"])
    rows = recompute(store, inputs, resolved)
    cell = f"{version.month}|{resolved.name}"
    for name, expected in recorded.items():
        table = schemas.TABLES[name]
        if store.content_hash(table, rows[name])[cell] != expected:
            return Verification(False, _difference(store, row, table, rows[name], cell))
    same_code = row["code_version"] == identity.code_version()
    code = "the same code" if same_code else f"other code ({identity.code_version()})"
    told = (
        f"identical: {experiment_id} ({cell}) on {version.data_version_id}, recomputed by {code}, "
        f"agrees to the last bit in {', '.join(recorded)}"
    )
    return Verification(True, told)


def recompute(store: Store, inputs: prices.Inputs, resolved: Resolved) -> Mapping[str, pa.Table]:
    """Every research table of one experiment, from the stored bars, as the store would hold it."""
    version = inputs.version
    with store.read() as con:
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
            held = signals.universe(resolved, market).tickers.tolist()
            daily_prices = returns.daily_basis(con, bars, choice.basis, held, version.last_date)
    result = research.run(resolved, market)
    daily = research.run_daily(resolved, market, result.book, result.backtest, daily_prices)
    segments = research.measure(
        resolved,
        result.backtest,
        daily,
        price_basis=choice.label,
        caveats=prices.caveats(version, resolved, choice),
    )
    name, panel = resolved.name, result.panel
    rows = {
        "memberships": tables.members_table([(name, panel, members(resolved, market))]),
        "factor_signals": tables.signals_table([(name, panel, result.signals)]),
        "scores": tables.scores_table([(name, panel, result.score)]),
        "weights": tables.weights_table([(name, panel, result.book)]),
        "backtest_returns": tables.backtest_table([(name, result.backtest)]),
        "daily_returns": tables.daily_table([(name, daily)]),
        "metrics": tables.metrics_table([(name, segments)]),
    }
    return {
        table: said.add_column(0, "month", pa.repeat(version.month, said.num_rows))
        for table, said in rows.items()
    }


def _finished(store: Store, experiment_id: str) -> dict[str, Any]:
    rows = [r for r in store.experiments().to_pylist() if r["experiment_id"] == experiment_id]
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


def _difference(
    store: Store, row: Mapping[str, Any], table: schemas.Table, rows: pa.Table, cell: str
) -> str:
    """What explains the difference, and its first row where the store still holds the old ones."""
    code = identity.code_version()
    why = "the code is the same: a defect in what the numbers depend on"
    if row["code_version"] != code:
        why = f"the code changed from {row['code_version']} to {code}"
    head = f"different: {row['experiment_id']} ({cell}), table {table.name}; {why}"
    held = {p.partition: p.fingerprint for p in store.partitions(table)}.get(cell)
    if held != row["experiment_id"]:
        return f"{head}; the cell has been recomputed since, so the old rows are not there to show"
    keys = [(name, "ascending") for name in table.primary_key]
    before = store.load(table, [cell]).sort_by(keys).to_pylist()
    after = rows.sort_by(keys).to_pylist()
    for old, new in zip(before, after, strict=False):
        if old != new:
            changed = [f"{k}: {old[k]!r} → {new[k]!r}" for k in old if old[k] != new[k]]
            place = ", ".join(f"{name} {old[name]}" for name in table.primary_key[2:])
            return f"{head}; first at {place}: {'; '.join(changed)}"
    return f"{head}; {len(before)} rows stored, {len(after)} recomputed"
