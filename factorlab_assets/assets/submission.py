"""Experiments from the web UI: a job that submits one, and the sensor that has them computed.

Belongs here: the launchpad's form, and when a queued experiment runs. Does not: what a submission
is and what it is locked to (`submit`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from factorlab_assets import fields, overrides, prices, submit, submit_queue
from factorlab_assets.assets import jobs, partitions
from factorlab_assets.assets.batch import strategy_files
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.errors import FactorLabError, StoreBusyError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store

_HOW = """\
Submit an experiment: `base`, an existing strategy, with other values at some paths, as the new
strategy `name` on a `month`'s current prices. All of it is checked before anything is written: then
the month's data version and the code are locked, the strategy file is written, the partition is
registered, and the sensor `queued_experiments` starts the run. `factorlab experiments` shows where
it stands. The launchpad starts with an example.
"""
_EXAMPLE = {
    "name": "my_variant",
    "base": "trend_12m",
    "month": "",
    "overrides": {"factors.trend.lookback": 6, "portfolio.select.top_k": 3},
}
_RUN_KEY = "dagster/run_key"
_OVER = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS)


class Submission(dg.Config):
    """What the launchpad asks for."""

    name: str = Field(description="of the new strategy: a-z, 0-9, '_', '-', '.', at most 80")
    base: str = Field(description="an existing strategy, which the new one is a variant of")
    month: str = Field("", description="as in 2024-05; empty: the latest month with prices")
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="dotted path: value, as in portfolio.select.top_k: 5; every path with its "
        "default, range and meaning is on this job's Overview, under Description",
    )


@dg.op(
    name="submission",
    description="Check, lock, write and queue one experiment.",
    out=dg.Out(dg.Nothing),
)
def _submit_experiment(
    context: dg.OpExecutionContext,
    config: Submission,
    store: dg.ResourceParam[Any],
    settings: dg.ResourceParam[Settings],
) -> None:
    try:
        ready = _submitted(store.store, settings, config)
    except FactorLabError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    partitions.register(context.instance, [ready.name])
    context.log.info(f"queued {ready.experiment.experiment_id}: {ready.name} on {ready.month}")
    context.add_output_metadata(
        {
            "experiment_id": ready.experiment.experiment_id,
            "strategy": ready.name,
            "month": ready.month,
            "data_version": ready.experiment.data_version_id,
            "file": dg.MetadataValue.path(str(ready.path)),
        }
    )


def _submitted(store: Store, settings: Settings, config: Submission) -> submit.Submission:
    changes: dict[str, Any] = {}
    for path, value in config.overrides.items():
        # A text is read as YAML reads a scalar: "5" in quotes is meant as 5.
        is_text = isinstance(value, str)
        changes |= overrides.parse_set([f"{path}={value}"]) if is_text else {path: value}
    said = submit.draft(settings, config.base, only_names=True).varied(changes, config.name)
    ready = submit.prepare(store, settings, said, month=config.month)
    if not prices.are_ready(store, settings, ready.month):
        raise FactorLabError(
            "the month's prices are not judged by today's rules, second source and code",
            where=ready.month,
            do="run the job `prices` for that month, then submit again",
        )
    submit.submit(store, settings, ready)
    return ready


@dg.job(
    name="submit_experiment",
    description=f"{_HOW}\n{fields.described()}",
    config={"ops": {"submission": {"config": _EXAMPLE}}},
)
def submit_experiment() -> None:
    """The launchpad's job."""
    _submit_experiment()


@dg.sensor(
    jobs=[jobs.research, jobs.sweep],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Compute each queued experiment, if it would still be what was submitted, and the "
    "sweep of its file.",
)
def queued_experiments(
    context: dg.SensorEvaluationContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a run per queued experiment; end those that would be something else today."""
    impatient = Store(store.store.path, lock_timeout_s=0)
    try:
        waiting = submit_queue.queued(impatient)
        ended = _ended_without(context.instance, waiting)
        ended |= submit_queue.why_not(impatient, settings, waiting) if waiting else {}
        if ended:
            impatient.end_queued(list(ended.items()))
    except StoreBusyError as error:
        yield dg.SkipReason(str(error))
        return
    for experiment_id, reason in ended.items():
        context.log.warning(f"{experiment_id} is not computed: {reason}")
    ready = [row for row in waiting if row["experiment_id"] not in ended]
    if not ready:
        told = f"{len(ended)} queued experiments cannot run" if ended else "no experiment is queued"
        yield dg.SkipReason(told)
        return
    partitions.register(context.instance, [row["strategy"] for row in ready])
    files, _ = strategy_files(settings.strategies_path)
    for row in ready:
        key = partitions.cell_key(row["month"], row["strategy"])
        tags = {partitions.EXPERIMENT_TAG: row["experiment_id"]}
        run_key = _run_key(row)
        yield dg.RunRequest(run_key, partition_key=key, tags=tags, job_name=jobs.research.name)
        if files[row["strategy"]].sweep is not None:
            yield dg.RunRequest(f"{run_key}:sweep", partition_key=key, job_name=jobs.sweep.name)


def _run_key(row: Mapping[str, Any]) -> str:
    return f"{row['experiment_id']}:{row['attempt']}"


def _ended_without(
    instance: dg.DagsterInstance, waiting: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Queued experiments whose run is over and never began on them: id -> what became of it."""
    if not waiting:
        return {}
    keys = {_run_key(row): row["experiment_id"] for row in waiting}
    wanted = dg.RunsFilter(tags={_RUN_KEY: list(keys)}, statuses=list(_OVER))
    return {
        keys[run.tags[_RUN_KEY]]: f"its run {run.run_id} ended ({run.status.value.lower()}) "
        "without beginning on it: submit it again"
        for run in instance.get_runs(wanted)
    }
