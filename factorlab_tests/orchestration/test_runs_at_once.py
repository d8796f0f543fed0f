"""Eight Dagster runs of a user's, each a process of its own, on different cells of one database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from factorlab_assets import schemas
from factorlab_tests.orchestration.conftest import MONTH, Project

ASK = ("asset", "materialize", "-m", "factorlab_assets.definitions", "--select", "group:research")


@pytest.mark.slow
def test_eight_runs_at_once_all_land(ingested: Project) -> None:
    names = sorted(path.stem for path in ingested.settings.strategies_path.glob("*.yaml"))[:8]
    assert len(names) == 8
    settings = ingested.settings
    environment = os.environ | {
        "FACTORLAB_ROOT": str(settings.root),
        "FACTORLAB_DATA_DIR": str(settings.data_dir),
        "FACTORLAB_STRATEGIES_DIR": str(settings.strategies_dir),
        "FACTORLAB_UNIVERSES_FILE": str(settings.universes_file),
        "DAGSTER_HOME": str(ingested.instance.root_directory),
        "PYTHONWARNINGS": "ignore",
    }
    dagster = str(Path(sys.executable).with_name("dagster"))
    runs = [
        subprocess.Popen(
            [dagster, *ASK, "--partition", f"{MONTH}|{name}"],
            env=environment,
            cwd=settings.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    told = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, "\n".join(t[-2000:] for t in told)
    keys = [f"{MONTH}|{name}" for name in names]
    rows = ingested.store.load(schemas.METRICS, keys).to_pylist()
    assert {row["strategy"] for row in rows} == set(names)
    done = [r for r in ingested.store.experiments().to_pylist() if r["status"] == "done"]
    assert sorted(row["strategy"] for row in done) == names
