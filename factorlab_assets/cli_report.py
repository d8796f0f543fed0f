"""`factorlab report` and `library`: pages, and their gist in the terminal.

Belongs here: what is computed for a page, where it is, and a summary. Does not: the pages
(`reports`), or what they show (`evaluation`).
"""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from factorlab_assets import schemas
from factorlab_assets.cli_evaluation import Names, judged, known_names
from factorlab_assets.cli_options import Demo, LatestMonth, current_version, settings_of, store_of
from factorlab_assets.cli_run import definitions, progress
from factorlab_assets.cli_tables import (
    out,
    plain,
    plain_table,
    ratio,
    say_version,
    share,
    show_indented,
)
from factorlab_assets.reports import pictures

if TYPE_CHECKING:  # the store costs half a second that help and errors do not need
    from factorlab_assets.settings import Settings
    from factorlab_assets.store import Store

REPORT_STEPS, LIBRARY_STEPS = 9, 3
PICTURE_HEIGHTS = {"tear_sheet": 1330, "library": 940}
"""Pixels: where what stands in the README is cut off without cutting through anything."""
LIGHTS = {"green": "green", "amber": "yellow", "red": "red"}
WIDTH = 40
"""Characters of a sparkline."""
Open = Annotated[bool, typer.Option("--open", help="in the browser, too")]


def report(names: Names, month: LatestMonth = "", open_: Open = False, demo: Demo = False) -> None:
    """Build the pages of strategies, HTML and PDF, with their verdicts, and say where they are.

    What they show is computed first where it is not there or out of date.
    """
    settings = settings_of(demo)
    store = store_of(settings)
    version = current_version(store, month)
    known = known_names(settings, names)
    build_pages(settings, version.month, known)
    say_version(version)
    for name in known:
        _show(store, settings, version.month, name, open_)


def library(month: LatestMonth = "", open_: Open = False, demo: Demo = False) -> None:
    """Build the page of all of a month's experiments, and say where it is."""
    settings = settings_of(demo)
    version = current_version(store_of(settings), month)
    path = build_library(settings, version.month)
    say_version(version)
    out.print(f"library  {plain(path)}", soft_wrap=True)
    if open_:
        webbrowser.open(path.as_uri())


COMMANDS = (report, library)


def build_pages(settings: Settings, month: str, names: list[str]) -> None:
    """Judge strategies and write their pages."""
    from factorlab_assets.assets import launch

    judged(settings, month, names)
    with progress(f"report {month}", REPORT_STEPS):
        launch.run_cells(definitions(settings), "report", month, names)


def build_library(settings: Settings, month: str) -> Path:
    """Write the page of all of a month's experiments, and say where it is."""
    from factorlab_assets.assets import launch

    launch.init_home(settings)
    with progress(f"library {month}", LIBRARY_STEPS):
        launch.run_library(definitions(settings), month)
    return settings.reports_path / "index.html"


def demo_pages(settings: Settings, month: str, names: list[str]) -> None:
    """Pages of some strategies and the library; with pictures of them where a browser is there."""
    build_pages(settings, month, names)
    index = build_library(settings, month)
    store = store_of(settings)
    pages = {}
    for name in names:
        key = [f"{month}|{name}"]
        files = {
            row["format"]: row["path"] for row in store.load(schemas.TEAR_SHEET, key).to_pylist()
        }
        pages[name] = settings.reports_path / files["html"]
        out.print(f"tear sheet    {plain(pages[name])}", soft_wrap=True)
    out.print(f"library       {plain(index)}", soft_wrap=True)
    browser = pictures.find_browser()
    if browser is None:
        out.print("pictures      none: there is no Chromium on the PATH")
        return
    folder = settings.reports_path / "pictures"
    for name, page in (("tear_sheet", pages[names[0]]), ("library", index)):
        to = folder / f"{name}.png"
        failed = pictures.picture(browser, page, to, height=PICTURE_HEIGHTS[name])
        out.print(f"picture       {plain(failed or to)}", soft_wrap=True)


def _show(store: Store, settings: Settings, month: str, name: str, open_: bool) -> None:
    """A strategy's verdict, its NAV as a line of blocks, and its files."""
    from factorlab_assets.reports.charts_prices import sparkline

    key = [f"{month}|{name}"]
    nav = store.load(schemas.BACKTEST_RETURNS, key)["nav"].to_numpy()
    rows = store.load(schemas.VERDICT, key).to_pylist()
    (total,) = (row for row in rows if row["component"] == "total")
    score = "no composite" if total["score"] is None else f"{total['score']:.0f} of 100"
    light = LIGHTS.get(total["light"], "white")
    out.print(
        f"\n[bold]{plain(name)}[/bold]  [{light}]{plain(total['light'])}[/{light}]  "
        f"grade {plain(total['grade'])}, {score}"
    )
    out.print(f"  {sparkline(np.log(np.maximum(nav, 1e-9)), WIDTH)}  {nav[-1]:.2f}×")
    for reason in total["note"].split("; "):
        show_indented(reason, 2, "dim")
    table = plain_table("component", "value", "score", "weight", numbers=3)
    for row in rows:
        if row["component"] != "total":
            label = row["component"].replace("_", " ")
            table.add_row(
                label, ratio(row["value"]), ratio(row["score"]), share(row["weight_used"])
            )
    out.print(table)
    for row in store.load(schemas.TEAR_SHEET, key).to_pylist():
        path = settings.reports_path / row["path"]
        out.print(f"{row['format']:<4} {plain(path)}", soft_wrap=True)
        if open_ and row["format"] == "html":
            webbrowser.open(path.as_uri())
