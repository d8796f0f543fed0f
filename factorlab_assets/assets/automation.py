"""When things run by themselves: the monthly refresh, the drop folder, new strategies, new data.

Belongs here: schedules and sensors; each skips with a reason rather than waiting for the
database. Does not: what a run does (`market`, `research`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from factorlab_assets import prices, schemas, strategy
from factorlab_assets.assets import jobs, partitions, submission
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.core import calendar, factors
from factorlab_assets.errors import FactorLabError, StoreBusyError
from factorlab_assets.settings import Settings
from factorlab_assets.sources import stooq_files
from factorlab_assets.store import Store


def _impatient(store: StoreResource) -> Store:
    """The store, refusing at once where it is locked: a sensor skips instead of waiting."""
    return Store(store.store.path, lock_timeout_s=0)


@dg.schedule(
    job=jobs.market,
    cron_schedule="0 20 * * 1-5",
    execution_timezone="America/New_York",
    description="Each weekday evening: ingest the month just closed unless that is done.",
)
def monthly_refresh(
    context: dg.ScheduleEvaluationContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> dg.RunRequest | dg.SkipReason:
    """Request the month just closed on the first session after it, and again until it is there."""
    month = calendar.last_closed_month(context.scheduled_execution_time.date())
    if settings.source == "stooq-files":
        return dg.SkipReason("the source is stooq-files: put the archive into the drop folder")
    if settings.source == "alphavantage":
        return dg.SkipReason("the source is alphavantage: its files are ingested by hand")
    try:
        current = _impatient(store).current_version(month)
    except StoreBusyError as error:
        return dg.SkipReason(str(error))
    if current is not None:
        return dg.SkipReason(f"{month} is there: {current.data_version_id}")
    return dg.RunRequest(partition_key=month)


@dg.sensor(
    job=jobs.market,
    minimum_interval_seconds=60,
    description="Ingest each archive that appears in the drop folder, once.",
)
def drop_folder(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a run per new file, once its size has stood still from one tick to the next.

    The cursor keeps what each file looked like, and whether it was dealt with; the run key is the
    content, so that a file copied again under another name is not ingested again.
    """
    folder = settings.drop_path
    seen: dict[str, dict[str, Any]] = json.loads(context.cursor or "{}")
    now: dict[str, dict[str, Any]] = {}
    settled = []
    for path in _dropped(folder):
        look = _look(path)
        before = seen.get(path.name, {})
        unchanged = before.get("look") == look
        now[path.name] = {"look": look, "done": unchanged}
        if unchanged and not before["done"]:
            settled.append(path)
    context.update_cursor(json.dumps(now))
    if not settled:
        yield dg.SkipReason(f"nothing new and complete in {folder}")
    for path in settled:
        try:
            month = stooq_files.latest_month(path)
        except FactorLabError as error:
            context.log.error(f"{path.name}: {error}")
            continue
        config = {"source": "stooq-files", "path": str(path)}
        yield dg.RunRequest(
            run_key=_content_key(path),
            partition_key=month,
            run_config={"ops": {"raw_prices": {"config": config}}},
        )


def _dropped(folder: Path) -> list[Path]:
    """Plain archives directly in the folder; hidden files and links are not looked at."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in {".zip", ".txt", ".csv"}
        and not path.name.startswith(".")
        and path.is_file()
        and not path.is_symlink()
    )


def _look(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _content_key(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dg.sensor(
    minimum_interval_seconds=30,
    description="Make each new valid strategy file a partition.",
)
def strategy_files(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SkipReason:
    """Register new strategy names; files that are not valid are logged with what is wrong."""
    good, bad = strategy.load_strategies(settings.strategies_path, factors.complete)
    for name, error in bad.items():
        context.log.error(f"{name}: {error}")
    new = partitions.register(context.instance, good)
    return dg.SkipReason(f"registered {', '.join(new)}" if new else "no new strategy file")


@dg.sensor(
    job=jobs.research,
    minimum_interval_seconds=60,
    description="Recompute the cells of active strategies whose month has new data.",
)
def changed_data(
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request each computed cell of an active strategy that rests on other prices than today's."""
    good, _ = strategy.load_strategies(settings.strategies_path, factors.complete)
    active = {name for name, said in good.items() if said.active}
    try:
        outdated = outdated_cells(_impatient(store), settings)
        records = _impatient(store).partitions(schemas.METRICS)
    except StoreBusyError as error:
        yield dg.SkipReason(str(error))
        return
    wanted = {key: named for key, named in outdated.items() if key.split("|")[1] in active}
    if not wanted:
        yield dg.SkipReason("every computed cell of an active strategy rests on current data")
    # Asked for once per state of the cell: the same prices may be wanted again after others.
    since = {record.partition: record.written_at.isoformat() for record in records}
    for key, named in sorted(wanted.items()):
        yield dg.RunRequest(run_key=f"{named}|{key}|{since[key]}", partition_key=key)


def outdated_cells(store: Store, settings: Settings) -> dict[str, str]:
    """Computed cells whose month has other, ready prices -> what those prices are named by."""
    ready = {p.partition: p.fingerprint for p in store.partitions(schemas.MONTHLY_RETURNS)}
    columns = ["experiment_id", "data_version_id", "prices"]
    used = {
        row["experiment_id"]: (row["data_version_id"], row["prices"])
        for row in store.experiments(columns=columns).to_pylist()
    }
    cells = {cell: cell.partition.split("|")[0] for cell in store.partitions(schemas.METRICS)}
    now = {month: prices.Inputs.current(store, settings, month) for month in set(cells.values())}
    outdated = {}
    for cell, month in cells.items():
        inputs = now[month]
        if inputs is None or ready.get(month) != inputs.fingerprint:
            continue
        if used.get(cell.fingerprint) != (inputs.version.data_version_id, inputs.record):
            outdated[cell.partition] = inputs.fingerprint
    return outdated


schedules = [monthly_refresh]
sensors = [drop_folder, strategy_files, changed_data, submission.queued_experiments]
