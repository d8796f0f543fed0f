"""What the project's files may not hold, and that the lock, the settings and the code agree."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from factorlab_assets.settings import Settings
from factorlab_tests.architecture.repository import package_modules, project_files, text_of
from factorlab_tests.conftest import PROJECT_ROOT

UNWANTED = {
    "a machine's path": re.compile(
        r"(?<![\w.~/])/(root|work|opt|Users|home/\w+)/\w|[A-Z]:\\+Users"
    ),
    "a package index": re.compile(r"pypi\.|pythonhosted|index-url[ =]\S*:|find-links[ =]\S*:"),
    "unfinished work": re.compile(r"\b(TODO|FIXME|XXX)\b"),
}
BAR = re.compile(r"[\w.^<>-]+(?:,[\w.:<>-]*){4,}")
NOT_IMPORTED = {"dagster-webserver": "`dagster dev` and `factorlab ui` start it as a program"}

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(said) for said in PROJECT["project"]["dependencies"]]
DEV = [Requirement(said) for said in PROJECT["project"]["optional-dependencies"]["dev"]]
LOCK = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("what", UNWANTED)
def test_no_file_mentions(what: str) -> None:
    # Three letters stand somewhere in a picture's packed pixels by chance.
    passed = ".png" if what == "unfinished work" else None
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        if path != Path(__file__) and path.suffix != passed
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if UNWANTED[what].search(line)
    ]
    assert not found


def vendor_lines(folder: Path) -> Iterator[str]:
    """Every line of the real data that holds a bar: five fields or more, a digit among them."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix.lower() in (".txt", ".csv"):
            yield from (line for line in text_of(path).splitlines() if line.count(",") >= 4)


def test_no_file_holds_a_line_of_the_real_data(shared_data: Path) -> None:
    real = {line.strip() for line in vendor_lines(shared_data) if re.search(r"\d{3}", line)}
    assert len(real) > 50_000
    copied = {
        f"{path.relative_to(PROJECT_ROOT)}: {bar}"
        for path in project_files()
        for bar in BAR.findall(text_of(path))
        if bar in real
    }
    assert not copied


def test_no_file_is_a_database_an_archive_or_a_table_of_prices() -> None:
    kept_out = {".csv", ".db", ".duckdb", ".gz", ".parquet", ".txt", ".zip"}
    assert [path for path in project_files() if path.suffix.lower() in kept_out] == []


def test_the_lock_pins_every_requirement_with_hashes_and_no_address() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\w.!+]+)", LOCK, re.MULTILINE))
    for requirement in RUNTIME + DEV:
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), (
            f"{requirement} against {version}: make lock"
        )
    assert LOCK.count("--hash=sha256:") > len(locked)
    assert "://" not in LOCK


def imported() -> set[str]:
    """Distributions that factorlab_assets imports."""
    names = {
        name.partition(".")[0]
        for tree in package_modules().values()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and node.level == 0
            else []
        )
    }
    names -= {*sys.stdlib_module_names, "factorlab_assets", ""}
    known = importlib.metadata.packages_distributions()
    return {canonicalize_name(known[name][0]) for name in names}


def test_the_declared_dependencies_are_those_that_are_imported() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in RUNTIME}
    assert declared - set(NOT_IMPORTED) == imported()


def test_the_example_settings_name_every_setting_with_its_default() -> None:
    said = text_of(PROJECT_ROOT / ".env.example")
    shown = dict(re.findall(r"^# FACTORLAB_(\w+)=(\S*)", said, re.MULTILINE))
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    defaults = {
        name: "" if default is None or name == "ROOT" else str(default).removesuffix(".0")
        for name, default in fields.items()
    }
    assert shown == defaults
