"""Running the jobs in this process, as the `factorlab` command does.

Belongs here: starting runs on the user's Dagster instance. Does not: printing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factorlab_assets.assets import partitions
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DAGSTER_YAML = """\
# Written by `factorlab init`; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
"""
_FAILED_CHECK = "dagster._core.errors.DagsterAssetCheckFailedError: "


def init_home(settings: Settings) -> Path:
    """Create the Dagster home with its configuration and make it this process's own.

    The instance is opened once under a file lock: several processes opening a new home at the same
    time would corrupt its SQLite files.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    with (home / "init.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(_DAGSTER_YAML)
        dg.DagsterInstance.get()
    return home


def register(names: Sequence[str]) -> None:
    """Make strategy names partition keys of the user's instance."""
    partitions.register(dg.DagsterInstance.get(), names)


def run_market(definitions: dg.Definitions, month: str, config: dict[str, Any]) -> None:
    """Run the market stage for one month; `config` is `IngestConfig`'s."""
    partitions.check_month(month)
    run_config = _QUIET | {"ops": {"raw_prices": {"config": config}}}
    _execute(definitions, "market", partition_key=month, run_config=run_config)


def run_prices(definitions: dg.Definitions, month: str) -> None:
    """Judge and adjust a month's stored prices anew."""
    partitions.check_month(month)
    _execute(definitions, "prices", partition_key=month, run_config=_QUIET)


def run_library(definitions: dg.Definitions, month: str) -> None:
    """Put a month's strategies side by side."""
    partitions.check_month(month)
    _execute(definitions, "library", partition_key=month, run_config=_QUIET)


def run_research(definitions: dg.Definitions, month: str, names: Sequence[str]) -> None:
    """Run the research stage for these strategies of a month."""
    run_cells(definitions, "research", month, names)


def run_cells(definitions: dg.Definitions, job: str, month: str, names: Sequence[str]) -> None:
    """Run a job of cells for these strategies of a month, as few runs as their order allows.

    A Dagster run takes a contiguous range of keys, in the order in which they were registered.
    """
    instance = dg.DagsterInstance.get()
    partitions.register(instance, names)
    failures = []
    for first, last in _slices(instance.get_dynamic_partitions("strategy"), set(names)):
        tags = {
            "dagster/asset_partition_range_start": partitions.cell_key(month, first),
            "dagster/asset_partition_range_end": partitions.cell_key(month, last),
        }
        said: dict[str, Any] = {"tags": tags}
        if first == last:
            said = {"partition_key": partitions.cell_key(month, first)}
        try:
            _execute(definitions, job, run_config=_QUIET, **said)
        except FactorLabError as error:
            failures.append(str(error))
    if failures:
        raise FactorLabError("some strategies could not be computed", got=" | ".join(failures))


def _slices(keys: Sequence[str], wanted: set[str]) -> list[tuple[str, str]]:
    """Contiguous runs of `wanted` within `keys`, as (first, last).

    >>> _slices(["a", "b", "c", "d"], {"a", "b", "d"})
    [('a', 'b'), ('d', 'd')]
    """
    slices: list[tuple[str, str]] = []
    previous = ""
    for key in keys:
        if key in wanted:
            extends = bool(slices) and slices[-1][1] == previous
            slices[-1:] = [(slices[-1][0], key)] if extends else [*slices[-1:], (key, key)]
        previous = key
    return slices


def _execute(definitions: dg.Definitions, job: str, **said: Any) -> None:
    definition = definitions.resolve_job_def(job)
    result = definition.execute_in_process(
        instance=dg.DagsterInstance.get(), raise_on_error=False, **said
    )
    if not result.success:
        failed = [e for e in result.all_events if e.is_step_failure]
        reasons = dict.fromkeys(_reason(event) for event in failed)
        if failed and all(event.step_failure_data.user_failure_data for event in failed):
            raise FactorLabError(" | ".join(reasons))  # they say what, where and what to do
        raise FactorLabError(
            f"the {job} run failed",
            where=", ".join(dict.fromkeys(str(e.step_key) for e in failed)) or job,
            got=" | ".join(reasons) or "a failed blocking check",
            do=_advice(result) or "see the run in `factorlab ui`",
        )


def _advice(result: dg.ExecuteInProcessResult) -> str:
    """What the checks that failed say to do."""
    judged = result.get_asset_check_evaluations()
    said = [one.metadata.get("what to do") for one in judged if not one.passed]
    return " | ".join(dict.fromkeys(str(text.value) for text in said if text is not None))


def _reason(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown"
    # Dagster's class of a failed check is no news; that of an unexpected error is.
    return str(error.message).strip().removeprefix(_FAILED_CHECK)
