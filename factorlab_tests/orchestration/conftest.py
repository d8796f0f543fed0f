"""A whole project in a temporary folder: settings, Dagster instance, one synthetic month."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factorlab_assets import schemas
from factorlab_assets.assets import partitions
from factorlab_assets.definitions import build_definitions
from factorlab_assets.settings import PROJECT_ROOT, Settings
from factorlab_assets.store import Store

MONTH = "2012-06"


FEW = (
    *("equal_weight_13", "faber_10m", "low_vol", "sixty_forty", "sixty_forty_quarterly"),
    *("three_factor_ls", "trend_12m", "trend_weighted", "xsmom_12_1"),
)
"""Strategies that take a fraction of a second; the golden tests and the proof have them all."""


@dataclass(frozen=True)
class Project:
    """Settings over a temporary folder, and the runs of its two jobs."""

    settings: Settings
    instance: dg.DagsterInstance

    @property
    def store(self) -> Store:
        return Store(self.settings.database_path, lock_timeout_s=10)

    def market(self, month: str = MONTH, **config: Any) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {"raw_prices": {"config": config}}}
        return self._execute("market", partition_key=month, run_config=run_config)

    def cell(
        self, name: str, month: str = MONTH, job: str = "research", **said: Any
    ) -> dg.ExecuteInProcessResult:
        return self._execute(job, partition_key=f"{month}|{name}", **said)

    def cells(
        self, first: str, last: str, month: str = MONTH, job: str = "research"
    ) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": f"{month}|{first}",
            "dagster/asset_partition_range_end": f"{month}|{last}",
        }
        return self._execute(job, tags=tags)

    def library(self, month: str = MONTH) -> dg.ExecuteInProcessResult:
        return self._execute("library", partition_key=month)

    def strategy(self, name: str, text: str) -> None:
        (self.settings.strategies_path / f"{name}.yaml").write_text(text)

    def text(self, name: str) -> str:
        return (self.settings.strategies_path / f"{name}.yaml").read_text()

    def add(self, **texts: str) -> None:
        """Strategy files that are partition keys at once, without a market stage."""
        for name, text in texts.items():
            self.strategy(name, text)
        partitions.register(self.instance, list(texts))

    def rows(self, table: str, name: str, month: str = MONTH) -> list[dict[str, Any]]:
        """What is stored of a cell."""
        return list(self.store.load(schemas.TABLES[table], [f"{month}|{name}"]).to_pylist())

    def fingerprint(self, table: str, name: str, month: str = MONTH) -> str:
        """What the stored rows of a cell were computed from."""
        (found,) = (
            record.fingerprint
            for record in self.store.partitions(schemas.TABLES[table])
            if record.partition == f"{month}|{name}"
        )
        return str(found)

    def _execute(self, job: str, **said: Any) -> dg.ExecuteInProcessResult:
        definition = build_definitions(self.settings).resolve_job_def(job)
        return definition.execute_in_process(instance=self.instance, raise_on_error=False, **said)


def settings_in(folder: Path, **said: Any) -> Settings:
    """Settings whose every path lies in `folder`, universes and some strategies copied there."""
    (folder / "strategies").mkdir()
    for name in FEW:
        shutil.copy(PROJECT_ROOT / "data" / "strategies" / f"{name}.yaml", folder / "strategies")
    shutil.copy(PROJECT_ROOT / "data" / "universes.yaml", folder / "universes.yaml")
    paths: Mapping[str, Any] = {
        "root": folder,
        "data_dir": folder / "data",
        "strategies_dir": folder / "strategies",
        "universes_file": folder / "universes.yaml",
    }
    return Settings(_env_file=None, **paths, **said)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project."""
    with dg.instance_for_test() as instance:
        yield Project(settings_in(tmp_path), instance)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose market stage has run; its tests add cells but change no prices."""
    with dg.instance_for_test() as instance:
        project = Project(settings_in(tmp_path_factory.mktemp("project")), instance)
        assert failure(project.market()) == ""
        yield project


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The reasons of a failed run, as the UI shows them; empty where it succeeded."""
    return " ".join(
        str(event.step_failure_data.user_failure_data or event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure
    )


def evaluations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str, str | None], bool]:
    """(asset, check, partition) -> passed, of every check evaluation of a run."""
    return {
        (e.asset_key.to_user_string(), e.check_name, e.partition): e.passed
        for e in (
            event.event_specific_data
            for event in result.all_events
            if event.event_type_value == "ASSET_CHECK_EVALUATION"
        )
    }


def materializations(result: dg.ExecuteInProcessResult, asset: str) -> dict[str | None, Any]:
    """Partition -> metadata values of an asset's materializations in a run."""
    return {
        event.partition: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    }
