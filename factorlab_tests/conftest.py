"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# A log line with no handler goes to stderr: with parallel workers, below pytest's closing line.
logging.getLogger("factorlab").addHandler(logging.NullHandler())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real vendor files, which the repository does not carry."""
    shared = Path(os.environ.get("FACTORLAB_SHARED", PROJECT_ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"real data not found: set FACTORLAB_SHARED (looked in {shared}/data)")
    return shared / "data"
