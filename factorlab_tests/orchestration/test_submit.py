"""The launchpad's job and the sensor that has queued experiments computed, in a project."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from factorlab_assets import schemas, submit, submit_queue
from factorlab_assets.assets import partitions, submission
from factorlab_assets.definitions import build_definitions
from factorlab_tests.orchestration.conftest import MONTH, Project, failure
from factorlab_tests.orchestration.test_automation import sensor

TOP_3: Mapping[str, Any] = {"portfolio.select.top_k": 3, "factors.trend.lookback": "6"}


def launch(project: Project, name: str, **config: Any) -> dg.ExecuteInProcessResult:
    said = {"name": name, "base": "trend_12m", "overrides": {}} | config
    job = build_definitions(project.settings).resolve_job_def("submit_experiment")
    return job.execute_in_process(
        run_config={"ops": {"submission": {"config": said}}},
        instance=project.instance,
        raise_on_error=False,
    )


def tick(project: Project) -> list[Any]:
    return sensor(project, submission.queued_experiments)[0]


def status(project: Project, name: str) -> tuple[str, str]:
    """Of a strategy's last ledger row, with its detail."""
    rows = project.store.experiments(columns=["strategy", "status", "detail"]).to_pylist()
    last = [row for row in rows if row["strategy"] == name][-1]
    return last["status"], last["detail"]


def test_everything_loads_as_the_web_ui_loads_it(project: Project) -> None:
    """Names of jobs and ops clash only here."""
    repository = build_definitions(project.settings).get_repository_def()
    job = repository.get_job("submit_experiment")
    for shown in ("`portfolio.select.top_k`: none; from 1, whole.", "`factors.trend.lookback`: 12"):
        assert shown in (job.description or "")
    assert repository.get_sensor_def("queued_experiments").default_status is (
        dg.DefaultSensorStatus.RUNNING
    )


def test_the_launchpad_queues_and_the_sensor_has_it_computed_once(ingested: Project) -> None:
    assert isinstance(tick(ingested)[0], dg.SkipReason)
    assert failure(launch(ingested, "from_ui", overrides=TOP_3)) == ""
    assert "from_ui" in ingested.instance.get_dynamic_partitions("strategy")
    (waiting,) = submit_queue.queued(ingested.store)
    said = submit.draft(ingested.settings, "from_ui").said
    assert said["portfolio"]["select"]["top_k"] == 3
    assert said["factors"][0]["params"] == {"lookback": 6}, "a text is read as YAML reads it"

    (request,) = tick(ingested)
    assert request.partition_key == f"{MONTH}|from_ui"
    assert request.run_key == f"{waiting['experiment_id']}:1"
    tags = dict(request.tags)
    assert tags == {partitions.EXPERIMENT_TAG: waiting["experiment_id"]}
    result = ingested.cell("from_ui", tags=tags)
    assert failure(result) == ""
    assert status(ingested, "from_ui")[0] == "done"
    assert isinstance(tick(ingested)[0], dg.SkipReason)
    rows = ingested.store.experiments(waiting["experiment_id"], ["attempt", "status"]).to_pylist()
    assert [(row["attempt"], row["status"]) for row in rows] == [
        (1, "queued"),
        (1, "started"),
        (1, "done"),
    ]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"overrides": {"portfolio.select.top_k": "many"}}, "portfolio.select.top_k"),
        ({"overrides": {"portfolio.nothing": 1}}, "leads to nothing"),
        ({"overrides": {"benchmark": "XYZ"}}, "no prices in that data version"),
        ({"base": "no_such"}, "no such strategy file"),
        ({"base": "../strategies/trend_12m"}, "no such strategy file"),
        ({"name": "../x"}, "cannot be a strategy's name"),
        ({"name": "trend_12m", "overrides": TOP_3}, "says something else"),
        ({"month": "2012-13"}, "2012-13"),
        ({"month": "2012-05"}, "no prices for that month"),
    ],
)
def test_a_wrong_value_fails_the_run_with_one_message_and_leaves_nothing(
    ingested: Project, config: dict[str, Any], told: str
) -> None:
    before = sorted(path.name for path in ingested.settings.strategies_path.iterdir())
    n_rows = ingested.store.experiments().num_rows
    result = launch(ingested, **({"name": "wrong"} | config))
    said = failure(result)
    assert told in said
    assert said.count("Where: ") + said.count("Got: ") <= 2, "one error, not two"
    assert "Traceback" not in said
    assert sorted(path.name for path in ingested.settings.strategies_path.iterdir()) == before
    assert ingested.store.experiments().num_rows == n_rows


def test_the_sweep_of_a_queued_file_is_requested_too(ingested: Project) -> None:
    path = ingested.settings.strategies_path / "grid_base.yaml"
    plain = (ingested.settings.strategies_path / "trend_12m.yaml").read_text()
    path.write_text(f"{plain}\nsweep:\n  parameters:\n    factors.trend.lookback: [6, 9]\n")
    assert failure(launch(ingested, "grid", base="grid_base", overrides=TOP_3)) == ""
    requests = [each for each in tick(ingested) if isinstance(each, dg.RunRequest)]
    assert [(each.job_name, each.partition_key) for each in requests[-2:]] == [
        ("research", f"{MONTH}|grid"),
        ("sweep", f"{MONTH}|grid"),
    ]
    for name in ("grid", "grid_base"):
        (ingested.settings.strategies_path / f"{name}.yaml").unlink()
    tick(ingested)  # ends what is queued


def test_an_edited_file_ends_the_queued_experiment_and_nothing_runs(ingested: Project) -> None:
    assert failure(launch(ingested, "edited", overrides=TOP_3)) == ""
    (waiting,) = submit_queue.queued(ingested.store)
    path = ingested.settings.strategies_path / "edited.yaml"
    path.write_text(path.read_text().replace("top_k: 3", "top_k: 4"))

    run = ingested.cell("edited", tags={partitions.EXPERIMENT_TAG: waiting["experiment_id"]})
    assert f"experiment {waiting['experiment_id']} was asked for" in failure(run)
    assert ingested.store.refusals(schemas.METRICS, [f"{MONTH}|edited"])
    assert [row["experiment_id"] for row in submit_queue.queued(ingested.store)] == [
        waiting["experiment_id"]
    ]

    (answer,) = tick(ingested)
    assert isinstance(answer, dg.SkipReason)
    ended, why = status(ingested, "edited")
    assert ended == "failed"
    assert why.startswith(
        "edited.yaml, or what it refers to, was edited: the configuration changed"
    )
    assert why.endswith("submit it again")


def test_a_run_that_ended_before_it_began_ends_the_experiment(ingested: Project) -> None:
    assert failure(launch(ingested, "cancelled", overrides=TOP_3)) == ""
    (request,) = tick(ingested)
    run = ingested.instance.create_run_for_job(
        build_definitions(ingested.settings).resolve_job_def("research"),
        tags={"dagster/run_key": str(request.run_key)},
        status=dg.DagsterRunStatus.CANCELED,
    )
    assert isinstance(tick(ingested)[0], dg.SkipReason)
    ended, why = status(ingested, "cancelled")
    assert ended == "failed"
    assert why == f"its run {run.run_id} ended (canceled) without beginning on it: submit it again"


def test_the_sensor_skips_while_the_database_is_locked(ingested: Project) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ingested.store.write():
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        (answer,) = tick(ingested)
    finally:
        done.set()
        holder.join()
    assert isinstance(answer, dg.SkipReason)
    assert str(ingested.settings.database_path) in str(answer)
