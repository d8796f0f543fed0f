"""Files and functions stay small, and only the store opens the database."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from factorlab_tests.architecture.repository import package_modules, text_of
from factorlab_tests.conftest import PROJECT_ROOT

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LONG_FILES = {
    "factorlab_assets/schemas.py": "the data dictionary: one table after the other, nothing else",
}
"""File -> why it is better long than split."""


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as the reader needs."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    said = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - said


def test_no_file_is_long_without_a_reason() -> None:
    lines = {name: len(text_of(PROJECT_ROOT / name).splitlines()) for name in package_modules()}
    assert {name for name, n in lines.items() if n > MAX_FILE_LINES} == set(LONG_FILES)


def test_no_function_is_long() -> None:
    long = {
        f"{name}: {function.name}": code_lines(function)
        for name, tree in package_modules().items()
        for function in functions(tree)
        if code_lines(function) > MAX_FUNCTION_LINES
    }
    assert not long


def test_every_module_says_what_belongs_in_it_and_what_does_not() -> None:
    silent = [
        name
        for name, tree in package_modules().items()
        if not name.endswith("__init__.py")
        and not all(word in (ast.get_docstring(tree) or "") for word in ("Belongs here:", "not:"))
    ]
    assert not silent


def opens_a_file(node: ast.AST) -> bool:
    """Whether a piece of code names a database file: by connecting, by attaching, or in SQL."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        connects = called == "duckdb.connect" and bool(node.args or node.keywords)
        return connects or called.rpartition(".")[2] == "attached"
    return isinstance(node, ast.Constant) and "ATTACH " in str(node.value)


def test_only_the_store_and_its_engine_open_a_database_file() -> None:
    openers = {
        name
        for name, tree in package_modules().items()
        if any(opens_a_file(node) for node in ast.walk(tree))
    }
    assert openers <= {"factorlab_assets/store.py", "factorlab_assets/engine.py"}
