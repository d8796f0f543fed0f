"""What the architecture tests look at: the project's files, as git sees them.

Belongs here: listing and reading files. Does not: any rule about them.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from factorlab_tests.conftest import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "factorlab_assets"


def project_files() -> list[Path]:
    """Every file that is or would be committed; skips the test outside a git checkout."""
    if shutil.which("git") is None or not (PROJECT_ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, check=True, text=True)
    found = {PROJECT_ROOT / name for name in done.stdout.split("\0") if name}
    return sorted(path for path in found if path.is_file())


def text_of(path: Path) -> str:
    """The file's text; bytes that are not UTF-8 are replaced, so that pictures can be searched."""
    return path.read_text(encoding="utf-8", errors="replace")


@cache
def package_modules() -> dict[str, ast.Module]:
    """Path below the project root -> syntax tree, for every module of factorlab_assets."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PROJECT_ROOT).as_posix(): ast.parse(text_of(path)) for path in paths}
