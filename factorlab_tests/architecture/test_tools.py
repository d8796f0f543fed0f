"""ruff, mypy and import-linter find nothing, each told in pyproject.toml what to look for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from factorlab_tests.architecture.repository import package_modules, project_files, text_of
from factorlab_tests.conftest import PROJECT_ROOT

CONFIG = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
EXPLAINED = re.compile(r"# ((?:ruff: )?noqa: [A-Z0-9, ]*\d|type: ignore\[[a-z, -]+\]) .*[a-z]{3}.*")
STARTS_RUNS = {"cli", "cli_compare", "cli_evaluation", "cli_experiments", "cli_report", "cli_run"}
MAY_IMPORT_DAGSTER = {"assets", "definitions", *STARTS_RUNS}


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy", "lint-imports"])
def test_the_tool_finds_nothing(command: str) -> None:
    program, *arguments = command.split()
    script = Path(sys.executable).with_name(program)
    done = subprocess.run(
        [script, *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


def test_the_dagster_rule_covers_every_part_that_may_not_import_it() -> None:
    (rule,) = [c for c in CONFIG["importlinter"]["contracts"] if c["type"] == "forbidden"]
    parts = {name.split("/")[1].removesuffix(".py") for name in package_modules()} - {"__init__"}
    covered = {module.rpartition(".")[2] for module in rule["source_modules"]}
    assert covered == parts - MAY_IMPORT_DAGSTER


def test_every_exception_to_a_rule_says_why_beside_it() -> None:
    exception = re.compile(r"# ((ruff: )?noqa|type: ignore).*")
    bare = [
        f"{path.relative_to(PROJECT_ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        if path.suffix == ".py" and path != Path(__file__)
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (found := exception.search(line)) and not EXPLAINED.fullmatch(found.group())
    ]
    assert not bare, "no code or no reason:\n" + "\n".join(bare)
