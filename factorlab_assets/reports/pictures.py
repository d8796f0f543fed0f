"""Pictures of pages, taken by a Chromium where the machine has one.

Belongs here: finding the browser and taking a picture of a file. Does not: making the page, or
deciding where pictures go. Nothing is installed for it and nothing is asked of a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
SETTLED_MS = 3000
"""How long a page's own clock runs before the picture; the real wait is shorter."""
PATIENCE_S = 30.0


def find_browser() -> str | None:
    """The path of a Chromium or Chrome, None where none is on the PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def picture(browser: str, page: Path, to: Path, *, width: int = 1440, height: int = 900) -> str:
    """Write the top of a page as a PNG file of so many pixels.

    Parameters
    ----------
    page : an HTML file. to : the picture; its folder is made.

    Returns
    -------
    Empty, or in words why there is no picture; then `to` is not there either.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    # Chromium's own sandbox refuses to start as root, which is what containers run as.
    root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(browser, *FLAGS, *root, f"--user-data-dir={profile}"),
            *(f"--window-size={width},{height}", f"--virtual-time-budget={SETTLED_MS}"),
            *(f"--screenshot={to}", page.as_uri()),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
        except subprocess.CalledProcessError as error:
            return f"{browser} ended with {error.returncode}"
        except subprocess.TimeoutExpired:
            return f"{browser} took more than {PATIENCE_S:g} s"
        except OSError as error:
            return f"{browser} did not start: {error.strerror}"
    return "" if to.exists() else f"{browser} wrote no picture"
