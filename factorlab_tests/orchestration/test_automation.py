"""The schedule and the sensors, ticked."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from factorlab_assets.assets import automation
from factorlab_assets.definitions import build_definitions
from factorlab_tests.orchestration.conftest import MONTH, Project, failure

HEADER = "Date,Open,High,Low,Close,Volume\n"


def schedule(project: Project, day: dt.date) -> object:
    definitions = build_definitions(project.settings)
    when = dt.datetime.combine(day, dt.time(20), ZoneInfo("America/New_York"))
    with dg.build_schedule_context(
        instance=project.instance,
        scheduled_execution_time=when,
        resources=definitions.resources,
    ) as context:
        return automation.monthly_refresh(context)


def sensor(project: Project, which: Any, cursor: str | None = None) -> tuple[list[object], str]:
    definitions = build_definitions(project.settings)
    with dg.build_sensor_context(
        instance=project.instance,
        cursor=cursor,
        definitions=definitions,
        resources=definitions.resources,
    ) as context:
        said = which(context)
        answers = list(said) if not isinstance(said, dg.SkipReason) else [said]
        return answers, context.cursor or ""


def test_the_month_just_closed_is_asked_for_until_it_is_there(project: Project) -> None:
    request = schedule(project, dt.date(2012, 7, 2))
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == MONTH
    assert failure(project.market()) == ""
    assert isinstance(schedule(project, dt.date(2012, 7, 3)), dg.SkipReason)
    later = schedule(project, dt.date(2012, 8, 1))
    assert isinstance(later, dg.RunRequest)
    assert later.partition_key == "2012-07"


def test_a_dropped_archive_is_ingested_once_when_it_is_complete(project: Project) -> None:
    folder = project.settings.drop_path
    folder.mkdir(parents=True)
    answers, cursor = sensor(project, automation.drop_folder)
    assert isinstance(answers[0], dg.SkipReason)
    path = folder / "spy_us_d.csv"
    path.write_text(HEADER + "2012-06-28,10,11,9,10,5\n")
    answers, cursor = sensor(project, automation.drop_folder, cursor)
    assert isinstance(answers[0], dg.SkipReason)
    path.write_text(HEADER + "2012-06-28,10,11,9,10,5\n2012-06-29,10,11,9,10,5\n")
    answers, cursor = sensor(project, automation.drop_folder, cursor)
    assert isinstance(answers[0], dg.SkipReason), "still being written"
    (request,), cursor = sensor(project, automation.drop_folder, cursor)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == MONTH
    assert request.run_config["ops"]["raw_prices"]["config"]["path"] == str(path)
    answers, _ = sensor(project, automation.drop_folder, cursor)
    assert isinstance(answers[0], dg.SkipReason), "once"


def test_links_and_hidden_files_in_the_drop_folder_are_left_alone(
    project: Project, tmp_path: Path
) -> None:
    folder = project.settings.drop_path
    folder.mkdir(parents=True)
    outside = tmp_path / "outside.csv"
    outside.write_text(HEADER + "2012-06-29,10,11,9,10,5\n")
    (folder / "link.csv").symlink_to(outside)
    (folder / ".partial.csv").write_text(HEADER)
    _, cursor = sensor(project, automation.drop_folder)
    answers, _ = sensor(project, automation.drop_folder, cursor)
    assert isinstance(answers[0], dg.SkipReason)


def test_new_strategy_files_are_registered_and_bad_ones_are_not(project: Project) -> None:
    project.strategy("bad", "nonsense: true\n")
    sensor(project, automation.strategy_files)
    keys = project.instance.get_dynamic_partitions("strategy")
    assert "trend_12m" in keys
    assert "bad" not in keys
    project.strategy("mine", (project.settings.strategies_path / "low_vol.yaml").read_text())
    answers, _ = sensor(project, automation.strategy_files)
    assert "mine" in str(answers[0])


@pytest.mark.slow
def test_new_data_recompute_the_active_cells_that_rest_on_the_old(
    project: Project, tmp_path: Path
) -> None:
    assert failure(project.market()) == ""
    assert failure(project.cell("trend_12m")) == ""
    assert failure(project.cell("low_vol")) == ""
    path = project.settings.strategies_path / "low_vol.yaml"
    path.write_text("active: false\n" + path.read_text().replace("active: true\n", ""))
    answers, _ = sensor(project, automation.changed_data)
    assert isinstance(answers[0], dg.SkipReason)

    changed = Project(project.settings.model_copy(update={"seed": 8}), project.instance)
    assert failure(changed.market()) == ""
    answers, _ = sensor(project, automation.changed_data)
    assert [a.partition_key for a in answers if isinstance(a, dg.RunRequest)] == [
        f"{MONTH}|trend_12m"
    ]


def test_sensors_skip_with_a_reason_while_the_database_is_locked(project: Project) -> None:
    assert failure(project.market()) == ""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with project.store.write():
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        answers, _ = sensor(project, automation.changed_data)
        request = schedule(project, dt.date(2012, 8, 1))
    finally:
        done.set()
        holder.join()
    assert isinstance(answers[0], dg.SkipReason)
    assert isinstance(request, dg.SkipReason)
