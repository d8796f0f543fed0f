"""The store's verdicts as Dagster checks, one per table, check and partition.

Belongs here: check specs from the schemas, and reporting what the store said. Does not: judging.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import AssetCheckEvaluation

# Dagster exports the evaluation but not the materialization that it is about.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from factorlab_assets import schemas
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Verdict
from factorlab_assets.store_partitions import WARNING

PROGRESS = logging.getLogger("factorlab.progress")
"""Says each table as it is done; the `factorlab` command listens."""

DESCRIPTIONS = {
    "schema": "Columns, types, ranges, row rules and primary key of the table's schema.",
    "coverage": "Enough of the tickers asked for have bars.",
    "freshness": "The source reaches the month's last exchange session.",
    "known_at": "On histories cut short, findings and adjusted prices are those of the whole "
    "history that were known by then.",
    "one_basis": "All prices of the strategy mean the same: with distributions, or without.",
    "constraints": "The weights respect every constraint their strategy declares.",
    "compounds_to_months": "The daily returns of a month compound to its monthly return.",
    "identities": "Turnover, cost, NAV and drawdown follow from the weights and returns.",
    "no_lookahead": "Cutting, altering or extending the history after a date changes nothing up to "
    "it, and a return moves the result by exactly the weight held.",
}


@dataclass(frozen=True)
class Stored:
    """What became of one partition: its content hash, verdicts and metadata."""

    content_hash: str
    verdicts: Sequence[Verdict]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def failures(self) -> str:
        """What each failed check said."""
        failed = [verdict for verdict in self.verdicts if not verdict.passed]
        return "; ".join(f"{v.check}: {json.dumps(dict(v.detail), default=str)}" for v in failed)


def specs(table: schemas.Table, of: dg.PartitionsDefinition[Any]) -> list[dg.AssetCheckSpec]:
    """One blocking spec per check of the table."""
    return [
        dg.AssetCheckSpec(
            name,
            asset=table.name,
            blocking=True,
            partitions_def=of,
            description=DESCRIPTIONS[name],
        )
        for name in table.checks
    ]


def report(
    context: dg.AssetExecutionContext, table: schemas.Table, one: Callable[[str], Stored]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Do each partition of the run by itself, then report; a bad one is not fatal to the others."""
    stored: dict[str, Stored] = {}
    for key in sorted(context.partition_keys):
        try:
            stored[key] = one(key)
        except FactorLabError as error:
            context.log.error(f"{key}: {error}")
            stored[key] = refused(str(error), table)
    yield from told(context, table, stored)


def refused(reason: str, table: schemas.Table) -> Stored:
    """A partition that was not written, with the reason on its first check."""
    detail = {"refused": reason}
    return Stored("", [Verdict("", table.checks[0], False, detail)], {"REFUSED": reason})


def told(
    context: dg.AssetExecutionContext, table: schemas.Table, stored: Mapping[str, Stored]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Metadata and check evaluations of every partition; fails where none was written well.

    Dagster records a range run's own check results without a partition, and one failed result
    would block every cell: so each cell's evaluation is logged by itself, and the run's result
    says only whether any cell was good.
    """
    good = sum(done.good for done in stored.values())
    PROGRESS.info("%s: %d of %d", table.name, good, len(stored))
    alone = len(stored) == 1 and all(done.content_hash for done in stored.values())
    for key, done in stored.items():
        context.add_asset_metadata(dict(done.metadata), asset_key=table.name, partition_key=key)
    if not alone and not good:
        _log(context, table, stored)
        raise dg.Failure(description=_reasons(stored), allow_retries=False)
    only = next(iter(stored.values())) if alone else None
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(only.content_hash) if only else None,
        check_results=[_result(name, only, stored) for name in table.checks],
    )
    if not alone:
        _log(context, table, stored)


def _log(
    context: dg.AssetExecutionContext, table: schemas.Table, stored: Mapping[str, Stored]
) -> None:
    """Each cell's evaluations, aimed at its latest materialization: others count as outdated."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(table.name), asset_partitions=list(stored))
    latest: dict[str | None, AssetCheckEvaluationTargetMaterializationData] = {}
    for record in context.instance.fetch_materializations(wanted, limit=len(stored)).records:
        of = AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        latest.setdefault(record.partition_key, of)
    for key, done in stored.items():
        for verdict in done.verdicts:
            context.log_event(_evaluation(table, key, verdict, latest.get(key)))


def _result(name: str, only: Stored | None, stored: Mapping[str, Stored]) -> dg.AssetCheckResult:
    if only is None:
        failed = sorted(key for key, done in stored.items() if not done.good)
        cells = f"{len(stored) - len(failed)} of {len(stored)} good, each told by itself"
        metadata = {"cells": cells, "refused": ", ".join(failed) or "none"}
        return dg.AssetCheckResult(check_name=name, passed=True, metadata=metadata)
    verdict = next(v for v in only.verdicts if v.check == name)
    return dg.AssetCheckResult(
        check_name=name,
        **_outcome(verdict),
        metadata=_shown(verdict.detail),
    )


def _outcome(verdict: Verdict) -> dict[str, Any]:
    """A warning is shown as not passed and blocks nothing, an error does."""
    if verdict.passed and WARNING in verdict.detail:
        return {"passed": False, "severity": dg.AssetCheckSeverity.WARN}
    return {"passed": verdict.passed, "severity": dg.AssetCheckSeverity.ERROR}


def _evaluation(
    table: schemas.Table,
    key: str,
    verdict: Verdict,
    of: AssetCheckEvaluationTargetMaterializationData | None,
) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=dg.AssetKey(table.name),
        check_name=verdict.check,
        **_outcome(verdict),
        metadata=_shown(verdict.detail),
        target_materialization_data=of,
        blocking=True,
        partition=key,
    )


def _shown(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
        if isinstance(value, list | dict)
        else value
        for key, value in detail.items()
    }


def _reasons(stored: Mapping[str, Stored]) -> str:
    return " | ".join(
        str(done.metadata.get("REFUSED", "")) or f"{key}: {done.failures}"
        for key, done in stored.items()
    )
