"""The two partition dimensions: the month and the strategy.

Belongs here: partition definitions, keys and the registration of strategy names. Does not: reading
strategy files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import dagster as dg

from factorlab_assets import strategy
from factorlab_assets.errors import FactorLabError

FIRST_MONTH = "2000-01"

EXPERIMENT_TAG = "factorlab/experiment_id"
"""Of a run: the experiment that its cell must be."""

MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt="%Y-%m")
STRATEGIES = dg.DynamicPartitionsDefinition(name="strategy")
CELLS = dg.MultiPartitionsDefinition({"month": MONTHS, "strategy": STRATEGIES})


def check_month(month: str) -> str:
    """`month` itself if it is a partition: not before the first, and over."""
    keys = MONTHS.get_partition_keys()
    if month not in keys:
        raise FactorLabError(
            "that month is before the first, or not over, or not a month",
            got=repr(month),
            expected=f"{keys[0]} to {keys[-1]}",
        )
    return month


def cell_key(month: str, name: str) -> str:
    """'2024-05|trend_12m', as Dagster spells a multi-partition key."""
    return f"{month}|{name}"


def by_month(keys: Iterable[str]) -> Mapping[str, list[str]]:
    """Cell keys as month -> strategy names, both sorted."""
    pairs = sorted(tuple(key.split("|", 1)) for key in keys)
    return {month: [name for _, name in of] for month, of in groupby(pairs, lambda pair: pair[0])}


def register(instance: dg.DagsterInstance, names: Iterable[str]) -> list[str]:
    """Make strategy names partition keys; returns those that are new.

    Every name is validated first: Dagster itself accepts anything, '../x' included.
    """
    known = set(instance.get_dynamic_partitions("strategy"))
    new = sorted(strategy.check_name(name) for name in set(names) - known)
    if new:
        instance.add_dynamic_partitions("strategy", new)
    return new
