"""The Makefile: every target is listed, and what it cannot do it says in one line."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from factorlab_tests.architecture.documents import Reader
from factorlab_tests.architecture.repository import project_files, text_of
from factorlab_tests.conftest import PROJECT_ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


def program(folder: Path, script: str) -> Path:
    path = folder / "fake"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text_of(PROJECT_ROOT / "Makefile"), re.MULTILINE)
    assert sorted(re.findall(r"^make ([\w-]+) ", make("help").stdout, re.MULTILINE)) == sorted(
        phony.split()
    )


def test_an_old_python_is_refused_with_the_way_out(tmp_path: Path) -> None:
    old = program(tmp_path, '[ "$1" = --version ] && echo Python 3.9.1 || exit 1')
    done = make("demo", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer. Got: " in done.stderr
    assert "Python 3.9.1. What to do: make demo PYTHON=" in done.stderr


def test_a_missing_python_is_refused_the_same_way(tmp_path: Path) -> None:
    done = make("test", f"PYTHON={tmp_path}/none", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer. Got: " in done.stderr


def test_a_python_without_venv_is_refused_with_the_package_to_install(tmp_path: Path) -> None:
    bare = program(tmp_path, '[ "$1" = -c ]')
    done = make("demo", f"PYTHON={bare}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr


def test_what_a_machine_runs_is_executable_and_parses() -> None:
    script = PROJECT_ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_fresh_clone_shows_the_demo_from_an_empty_home(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.settle(project_files())
    done = reader.run('make demo VENV=.venv && ls "$FACTORLAB_DATA_DIR/demo"', timeout_s=900)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (PROJECT_ROOT / "data" / "strategies").glob("*.yaml"):
        assert path.stem in done.stdout
    assert "SYNTHETIC" in done.stdout.upper()
