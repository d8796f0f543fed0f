"""Queued experiments: which there are, and whether each would still be computed as submitted.

Belongs here: what became of a submission while it waits. Does not: making one (`submit`), starting
runs (`assets.submission`), or how the ledger keeps its rows (`store_experiments`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import identity, prices, strategy, universes
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store

_LOCKED = (
    *("experiment_id", "attempt", "status", "month", "strategy"),
    *("data_version_id", "prices", "config_hash", "code_version"),
)
"""What of a ledger row says what is to be computed."""


def queued(store: Store) -> list[dict[str, Any]]:
    """The ledger rows of attempts that wait to be computed, oldest first, without configuration."""
    rows = store.experiments(columns=_LOCKED)
    is_queued = pc.equal(rows["status"], "queued")
    waiting = {(r["experiment_id"], r["attempt"]): r for r in rows.filter(is_queued).to_pylist()}
    ids = [id_ for id_, _ in waiting]
    of_these = pc.is_in(rows["experiment_id"], pa.array(ids, pa.string()))
    later = rows.filter(pc.and_(of_these, pc.invert(is_queued)))
    for row in later.select(["experiment_id", "attempt"]).to_pylist():
        waiting.pop((row["experiment_id"], row["attempt"]), None)
    return list(waiting.values())


def why_not(store: Store, settings: Settings, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Queued experiments that would be computed as something else today: id -> what changed."""
    named, files = surroundings(settings)
    found = {}
    now: dict[str, prices.Inputs | None] = {}
    for row in rows:
        month = row["month"]
        if month not in now:
            now[month] = prices.Inputs.current(store, settings, month)
        reason = _changed(row, now[month], named, files)
        if reason:
            found[row["experiment_id"]] = f"{reason}: submit it again"
    return found


def surroundings(
    settings: Settings,
) -> tuple[Mapping[str, universes.NamedUniverse], Mapping[str, strategy.Strategy]]:
    """The named universes and the valid strategies that there are."""
    named = universes.load_universes(settings.universes_path)
    files: Mapping[str, strategy.Strategy] = {}
    if settings.strategies_path.is_dir():
        files, _ = strategy.load_strategies(settings.strategies_path, factors.complete)
    return named, files


def _changed(
    row: Mapping[str, Any],
    inputs: prices.Inputs | None,
    named: Mapping[str, universes.NamedUniverse],
    files: Mapping[str, strategy.Strategy],
) -> str:
    """What is no longer as it was when the row was queued; empty where all is."""
    if inputs is None:
        return f"{row['month']} has no prices any more"
    version, code = inputs.version.data_version_id, identity.code_version()
    if version != row["data_version_id"]:
        return f"the data version changed from {row['data_version_id']} to {version}"
    if inputs.record != row["prices"]:
        return "the second source or the price rules of the month changed"
    if code != row["code_version"]:
        return f"the code changed from {row['code_version']} to {code}"
    if row["strategy"] not in files:
        return f"{row['strategy']}.yaml is no valid strategy file any more"
    try:
        resolved = strategy.resolve(files[row["strategy"]], named, files)
    except FactorLabError as error:
        return f"{row['strategy']}.yaml cannot be resolved any more: {error}"
    if resolved.config_hash != row["config_hash"]:
        return (
            f"{row['strategy']}.yaml, or what it refers to, was edited: the configuration changed "
            f"from {row['config_hash']} to {resolved.config_hash}"
        )
    return ""
