"""A headless Chromium for tests of what a user sees: find it, open a page, collect its complaints.

Belongs here: the browser. Does not: what a page should show. Nothing but the local machine is
reached: requests to any other host are cut.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",  # containers run as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def find_chromium() -> tuple[str | None, str]:
    """The browser's path, or None and the reason why no browser test can run."""
    try:
        import playwright  # noqa: F401  # an extra that not every machine has
    except ImportError:
        return None, "the Python package playwright is not installed"
    for name in NAMES:
        if path := shutil.which(name):
            return path, ""
    return None, f"no Chromium on the PATH (looked for {', '.join(NAMES)})"


@contextmanager
def open_page(
    executable: str, *, width: int = 1440, height: int = 900
) -> Iterator[tuple[Page, list[str]]]:
    """A blank page in a fresh profile, and the growing list of its console errors."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.route("**/*", _only_loopback)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on(
                "console",
                lambda said: errors.append(said.text) if said.type == "error" else None,
            )
            yield page, errors
        finally:
            browser.close()


def _only_loopback(route: Route) -> None:
    if urlsplit(route.request.url).hostname in LOOPBACK:
        route.continue_()
    else:
        route.abort()
