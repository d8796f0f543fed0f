"""What a researcher sees in the web UI that `factorlab ui` starts, in a real Chromium.

Belongs here: that the pages show and run what the assets say. Does not: how a picture is drawn
(`unit/test_charts.py`). One test, since each would need a server of its own under pytest-xdist.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import dagster as dg
import pytest

from factorlab_assets import schemas
from factorlab_assets.assets import launch
from factorlab_assets.settings import PROJECT_ROOT, Settings
from factorlab_tests.browser import find_chromium, open_page
from factorlab_tests.orchestration.conftest import MONTH, Project, failure, settings_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

RUN, LAUNCHED = "trend_12m", "low_vol"
PATIENCE_S = 120
"""A loaded machine starts a Dagster process in half a minute; an idle one in five seconds."""


@pytest.mark.browser
def test_the_web_ui_shows_every_asset_and_runs_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chromium, reason = find_chromium()
    if chromium is None:
        pytest.skip(reason)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # put back afterwards: init_home sets its own
    settings = settings_in(tmp_path)
    launch.init_home(settings)
    project = Project(settings, dg.DagsterInstance.get())
    with web_ui(settings) as address:
        with patient_page(chromium) as page:
            shows_every_group_and_asset(page, address)
            shows_the_columns_before_any_run(page, address)
        assert failure(project.market()) == ""
        assert failure(project.cell(RUN)) == ""
        with patient_page(chromium) as page:
            shows_the_grid_and_the_cell(page, address, project)
            shows_every_check_as_passed(page, address)
            materializes_a_cell(page, address, project)


@contextmanager
def patient_page(chromium: str) -> Iterator[Page]:
    """A page that waits as long as a loaded machine needs; its console must stay free of errors."""
    with open_page(chromium, height=2000) as (page, errors):
        page.set_default_timeout(PATIENCE_S * 1000)
        yield page
        assert errors == []


def shows_every_group_and_asset(page: Page, address: str) -> None:
    for group, assets in _assets().items():  # all of them open at once fill more than a screen
        page.goto(f"{address}/asset-groups?expanded=global@global:{group}")
        for name in (group, *assets):
            # A small node has a long name's beginning and end.
            shortened = f"{re.escape(name[:3])}.*….*{re.escape(name[-5:])}"
            wait_for(page, re.compile(f"^({re.escape(name)}|{shortened})$"))


def shows_the_columns_before_any_run(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/backtest_returns")
    wait_for(page, "Never materialized")
    for name, column in schemas.BACKTEST_RETURNS.schema.columns.items():
        wait_for(page, name)
        wait_for(page, re.compile("^" + re.escape(str(column.description))))


def shows_the_grid_and_the_cell(page: Page, address: str, project: Project) -> None:
    page.goto(_cell(address, "backtest_returns", RUN))
    wait_for(page, "Materialized (1)")
    for shown in (MONTH, *(file.stem for file in project.settings.strategies_path.iterdir())):
        wait_for(page, shown)
    version = project.store.current_version(MONTH)
    assert version is not None
    ids = set(project.store.experiments()["experiment_id"].to_pylist())
    for shown in ("SYNTHETIC", version.data_version_id, *ids):
        wait_for(page, shown)
    page.wait_for_function(
        "() => document.querySelector('img[alt=\"NAV and drawdown\"]')?.naturalWidth > 0"
    )
    box = page.get_by_alt_text("NAV and drawdown").bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["height"] > 50


def shows_every_check_as_passed(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/backtest_returns?view=checks")
    checks = schemas.BACKTEST_RETURNS.checks
    for name in checks:
        wait_for(page, name)
    wait_for(page, "Passed")
    assert page.get_by_text("Succeeded", exact=True).count() == len(checks)


def materializes_a_cell(page: Page, address: str, project: Project) -> None:
    cell = f"{MONTH}|{LAUNCHED}"
    page.goto(_cell(address, "memberships", LAUNCHED))
    wait_for(page, cell)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Launch 1 run").click()
    of_cell = dg.RunsFilter(tags={"dagster/partition": cell})
    wait_until(
        lambda: any(run.is_finished for run in project.instance.get_runs(of_cell)),
        lambda: page.wait_for_timeout(200),  # while Python sleeps, the page's requests do too
    )
    assert [run.status for run in project.instance.get_runs(of_cell)] == [
        dg.DagsterRunStatus.SUCCESS
    ]
    page.reload()
    wait_for(page, "Materialized")
    wait_for(page, "experiment_id")
    assert project.store.load(schemas.MEMBERSHIPS, [cell]).num_rows > 0


def wait_for(page: Page, text: str | re.Pattern[str]) -> None:
    """Until the text is to be seen; Dagster also keeps hidden copies that it measures."""
    page.get_by_text(text, exact=True).locator("visible=true").first.wait_for()


def wait_until(
    true: Callable[[], bool], pause: Callable[[], None] = lambda: time.sleep(0.2)
) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s"
        pause()


def _assets() -> dict[str, list[str]]:
    """Group -> its assets."""
    from factorlab_assets.definitions import build_definitions

    found: dict[str, list[str]] = {}
    for node in build_definitions().resolve_asset_graph().asset_nodes:
        found.setdefault(node.group_name, []).append(node.key.to_user_string())
    return found


def _cell(address: str, asset: str, strategy: str) -> str:
    return f"{address}/assets/{asset}?view=partitions&partition={quote(f'{MONTH}|{strategy}')}"


@contextmanager
def web_ui(settings: Settings) -> Iterator[str]:
    """`factorlab ui` over these settings on a free port: its address, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = {"PYTHONPATH": str(PROJECT_ROOT)}
    for name in ("root", "data_dir", "strategies_dir", "universes_file"):
        said[f"FACTORLAB_{name.upper()}"] = str(getattr(settings, name))
    workspace = settings.root / "workspace.yaml"
    workspace.write_bytes((PROJECT_ROOT / workspace.name).read_bytes())
    log = settings.root / "ui.log"
    command = [sys.executable, "-m", "factorlab_assets.cli", "ui", "--port", str(port)]
    with log.open("wb") as told:
        server = subprocess.Popen(
            command,
            cwd=settings.root,
            env=os.environ | said,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:

        def answers() -> bool:
            assert server.poll() is None, log.read_text()
            try:
                with urlopen(f"{address}/server_info", timeout=10):
                    return True
            except (URLError, TimeoutError, ConnectionError):
                return False

        wait_until(answers)
        yield address
    finally:
        _end(server.pid)
        server.wait(PATIENCE_S)


def _end(group: int) -> None:
    """Ctrl-C to the whole group, as a terminal would; what stays after that is killed."""
    try:
        os.killpg(group, signal.SIGINT)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.2)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
