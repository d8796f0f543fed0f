"""What a changed history does to the experiments that rest on the older one.

Belongs here: finding those experiments, and computing each again on what changed. Does not: what
changed in the prices (`core.revisions`), or recording anything.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from factorlab_assets import prices, verify
from factorlab_assets.core.calendar import month_end
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store, Version
from factorlab_assets.strategy import Resolved

METRICS = ("cagr", "sharpe", "volatility_ann", "max_drawdown")
Metrics = Mapping[str, Any]
Compute = Callable[[prices.Inputs, Resolved, str], Metrics]
"""(inputs, strategy, month) -> metrics of the strategy on the version's bars up to that month, and
the price basis that they were read on."""


@dataclass(frozen=True)
class Effect:
    """One experiment's metrics on the earlier version, and on the later one.

    before : on the earlier version. restated : on the later version cut at the earlier one's month,
    so that restated − before is what the changed history does. after : on the later version in
    full; after − restated is what the new months do. `failed` says why there is nothing to compare.
    """

    experiment_id: str
    strategy: str
    before: Metrics
    restated: Metrics
    after: Metrics
    failed: str = ""

    @property
    def other_basis(self) -> str:
        """What the versions are read as, where that is not the same: the changes hold that too.

        >>> close, total = {"price_basis": "close"}, {"price_basis": "total_return"}
        >>> Effect("e", "s", close, total, total).other_basis
        'close → total_return'
        """
        said = [of["price_basis"] for of in (self.before, self.restated, self.after)]
        return " → ".join(dict.fromkeys(said)) if len(set(said)) > 1 else ""

    def changes(self, metric: str) -> tuple[float | None, float | None]:
        """By how much restatement, and then the new months, change a metric.

        >>> Effect("e", "s", {"cagr": 0.05}, {"cagr": 0.07}, {"cagr": 0.06}).changes("cagr")
        (0.02, -0.01)
        """
        before, restated, after = (
            said.get(metric) for said in (self.before, self.restated, self.after)
        )
        return _difference(restated, before), _difference(after, restated)


def _difference(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else round(new - old, 12)


_LEDGER = (
    *("experiment_id", "strategy", "sweep", "status"),
    *("data_version_id", "config_hash", "config", "prices"),
)


def resting_on(store: Store, data_version_id: str) -> list[dict[str, Any]]:
    """Finished experiments computed on a data version: the last of each configuration.

    A sweep's combinations are left out: the sweep is run again as a whole.
    """
    ledger = store.experiments(columns=_LEDGER)
    is_one = pc.equal(ledger["status"], "done")
    is_one = pc.and_(is_one, pc.equal(ledger["data_version_id"], data_version_id))
    is_one = pc.and_(is_one, pc.equal(ledger["sweep"], ""))
    own = ledger.filter(is_one).to_pylist()
    rows = {(row["strategy"], row["config_hash"]): row for row in own}
    return sorted(rows.values(), key=lambda row: (row["strategy"], row["experiment_id"]))


def rested_on(store: Store) -> dict[str, int]:
    """Data versions -> how many configurations' finished experiments rest on each, by name."""
    names = {version.data_version_id for version in store.versions()}
    found = {name: len(resting_on(store, name)) for name in sorted(names)}
    return {name: n for name, n in found.items() if n}


def effects(
    store: Store, earlier: Version, later: Version, compute: Compute | None = None
) -> list[Effect]:
    """What `later` does to the metrics of every experiment that rests on `earlier`.

    All three figures are computed by today's code, so that no change of code is among them. An
    experiment that cannot be computed on one of the versions says why.

    Raises
    ------
    FactorLabError : `later` is of an earlier month than `earlier`.
    """
    if later.month < earlier.month:
        raise FactorLabError(
            "the later version is of an earlier month",
            got=f"{later.data_version_id} after {earlier.data_version_id}",
            do="name them the other way round",
        )
    compute = compute or recomputed(store)
    found = []
    for row in resting_on(store, earlier.data_version_id):
        resolved = Resolved.from_config(row["strategy"], json.loads(row["config"]))
        inputs = prices.Inputs.recorded(store, earlier.data_version_id, row["prices"])
        before: Metrics = {}
        restated: Metrics = {}
        after: Metrics = {}
        failed = ""
        try:
            before = compute(inputs, resolved, earlier.month)
            inputs = replace(inputs, version=later)
            restated = compute(inputs, resolved, earlier.month)
            after = compute(inputs, resolved, later.month)
        except FactorLabError as error:
            failed = str(error)
        name = row["experiment_id"]
        found.append(Effect(name, resolved.name, before, restated, after, failed))
    return found


def recomputed(store: Store) -> Compute:
    """The metrics of the whole span by `verify.recompute`, on a version's bars up to a month."""

    def compute(inputs: prices.Inputs, resolved: Resolved, month: str) -> Metrics:
        last: dt.date = min(inputs.version.last_date, month_end(month))
        cut = replace(inputs, version=replace(inputs.version, month=month, last_date=last))
        rows = verify.recompute(store, cut, resolved)["metrics"].to_pylist()
        (full,) = [row for row in rows if row["segment"] == "full"]
        return {name: full[name] for name in (*METRICS, "price_basis")}

    return compute
