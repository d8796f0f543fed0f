"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# A log line with no handler goes to stderr: with parallel workers, below pytest's closing line.
logging.getLogger("factorlab").addHandler(logging.NullHandler())


_LONG = {
    "oracles": "bracket diagnostics exposures luck overfitting performance_tables planted_errors "
    "regimes sharpe verdict",
    "orchestration": "cli_prices library_browser price_changes tear_sheet_browser web_ui",
    "unit": "bracket differences random_paths robustness sharpe_difference snooping sweep_run "
    "tear_sheet_pdf variants verdict_inputs verify",
}
LONG_FILES = {f"{of}/test_{name}.py" for of, names in _LONG.items() for name in names.split()}
"""Files that take too long for `make test` to stay under ten minutes: `make test-all` runs them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests run on one worker, where what they share is made once; documents, which share
    nothing and take minutes, are dealt out one by one."""
    for item in items:
        if "/".join(item.path.parts[-2:]) in LONG_FILES:
            item.add_marker(pytest.mark.slow)
        if item.path.name != "test_documented_commands.py":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real vendor files, which the repository does not carry."""
    shared = Path(os.environ.get("FACTORLAB_SHARED", PROJECT_ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"real data not found: set FACTORLAB_SHARED (looked in {shared}/data)")
    return shared / "data"
