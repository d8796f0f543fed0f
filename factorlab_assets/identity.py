"""What makes an experiment that experiment: code version, git state and the experiment id.

Belongs here: hashes that name a computation. Does not: the store, or computing anything.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from factorlab_assets.settings import PROJECT_ROOT

PACKAGE = Path(__file__).resolve().parent
NUMERICAL_LIBRARIES = (
    "clarabel",
    "duckdb",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skfolio",
)
"""Locked libraries whose version can move a number."""


MODELS = ("model", "strategy", "strategy_book", "strategy_signals", "universes")


@cache
def code_version() -> str:
    """16 hex digits over the source that computes and the numerical libraries' versions.

    The source is `core/`, the models of strategies and of price rules, and `schemas.py` (SQL
    included). Docs, evaluation, reports, sources and the Dagster layer are left out: they move no
    number that an experiment has earned.
    """
    leaves = [PACKAGE / f"{name}.py" for name in (*MODELS, "price_rules", "schemas")]
    return _hash_of([*(PACKAGE / "core").rglob("*.py"), *leaves], NUMERICAL_LIBRARIES)


@cache
def evaluation_version() -> str:
    """16 hex digits over the source that judges experiments: no part of what they are."""
    return _hash_of((PACKAGE / "evaluation").rglob("*.py"), ("arch", "statsmodels"))


def _hash_of(sources: Iterable[Path], libraries: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    for library in libraries:
        digest.update(f"{library}=={importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()[:16]


@cache
def git_commit() -> str:
    """The checked-out commit, '+dirty' where the tree was not clean, 'unknown' outside git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+dirty" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def experiment_id(config_hash: str, data_version_id: str, code: str) -> str:
    """16 hex digits naming one configuration on one data version by one code version.

    Examples
    --------
    >>> experiment_id("44db", "2024-05-1f0c9b2a77e4", "c0de") == experiment_id(
    ...     "44db", "2024-05-1f0c9b2a77e4", "c0de"
    ... )
    True
    """
    return hashlib.sha256(f"{config_hash}|{data_version_id}|{code}".encode()).hexdigest()[:16]
