"""The HTML tear sheet in a real Chromium, opened from a file.

Belongs here: what a reader does with the page. Does not: its text (`unit/test_tear_sheet_html.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from factorlab_assets.reports.tear_sheet_html import render
from factorlab_tests import sheets
from factorlab_tests.browser import find_chromium, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@contextmanager
def opened(tmp_path: Path, name: str, *, width: int = 1440) -> Iterator[Page]:
    """The page of a sheet; afterwards nothing was complained of and nothing asked for."""
    chromium, reason = find_chromium()
    if chromium is None:
        pytest.skip(reason)
    path = tmp_path / "page.html"
    path.write_text(render(sheets.ALL[name]()), encoding="utf-8")
    asked: list[str] = []
    with open_page(chromium, width=width) as (page, errors):
        page.unroute("**/*")  # which lets only the local machine's servers through, and no file
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
        page.on(
            "console", lambda said: errors.append(said.text) if said.type == "warning" else None
        )
        page.goto(path.as_uri())
        yield page
        assert errors == []
        assert [url for url in asked if url not in (path.as_uri(), "data:,")] == []


def wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


SLOW = ("divided", "one_ticker", "nothing_held", "all_nan", "empty", "ruined")
"""Odd sheets that only the slow suite opens."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in sorted(sheets.ALL)],
)
def test_every_sheet_opens_without_complaint_and_fits_a_phone(tmp_path: Path, name: str) -> None:
    with opened(tmp_path, name, width=390) as page:
        assert wide(page) <= 390
        assert page.locator("main").count() == 1
        for each in page.locator("details").all():
            each.evaluate("each => { each.open = true; }")
        assert wide(page) <= 390


def test_tables_sort_by_what_a_number_is_worth(tmp_path: Path) -> None:
    with opened(tmp_path, "full") as page:
        table = page.locator("table[data-table=drawdowns]")
        head = table.get_by_role("button", name="depth")
        depth = [float(row["depth"]) for row in sheets.full().rows("drawdowns")]
        first = table.locator("tbody tr:first-child td:nth-child(5)")
        head.focus()
        page.keyboard.press("Enter")
        shallow = f"−{-100 * max(depth):.1f}%"
        assert first.inner_text() == shallow
        assert table.locator("th[aria-sort=descending]").inner_text().startswith("depth")
        page.keyboard.press("Enter")
        assert first.inner_text() == f"−{-100 * min(depth):.1f}%"
        assert table.locator("tbody tr").count() == len(depth)


def test_the_keyboard_reaches_every_month_of_a_chart(tmp_path: Path) -> None:
    rows = sheets.full().rows("backtest_returns")
    with opened(tmp_path, "full") as page:
        slider = page.locator("#nav-chart input")
        for _ in range(60):
            page.keyboard.press("Tab")
            if slider.evaluate("each => each === document.activeElement"):
                break
        assert slider.evaluate("each => each === document.activeElement")
        page.keyboard.press("Home")
        said = slider.get_attribute("aria-valuetext") or ""
        assert said.startswith(f"{rows[0]['date']}, NAV {rows[0]['nav']:.2f}×")
        page.keyboard.press("ArrowRight")
        said = page.locator("#nav-chart .said").inner_text()
        assert str(rows[1]["date"]) in said
        assert f"{rows[1]['nav']:.2f}×" in said
        assert page.locator("#nav-chart .cursor").count() == 1


def test_pointing_shows_the_date_and_value_there(tmp_path: Path) -> None:
    rows = sheets.full().rows("backtest_returns")
    with opened(tmp_path, "full") as page:
        picture = page.locator("#nav-chart svg")
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 392 / 480, box["y"] + 60)
        assert str(rows[-1]["date"]) in page.locator("#nav-chart .said").inner_text()
        page.mouse.move(box["x"] + box["width"] * 46 / 480, box["y"] + 60)
        assert str(rows[0]["date"]) in page.locator("#nav-chart .said").inner_text()


def test_dark_paper_where_the_reader_asks_for_it(tmp_path: Path) -> None:
    with opened(tmp_path, "full") as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(colour) == "rgb(20, 24, 28)"
        line = "getComputedStyle([...document.querySelectorAll('#nav-chart .line')].at(-1)).stroke"
        assert page.evaluate(line) == "rgb(86, 180, 233)"


def test_print_leaves_out_what_only_a_screen_can_do(tmp_path: Path) -> None:
    with opened(tmp_path, "full") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert not page.locator("nav").is_visible()
        assert not page.locator("#nav-chart input").is_visible()
        assert page.locator("#nav-chart svg").is_visible()
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
