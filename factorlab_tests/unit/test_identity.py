"""What names an experiment, and what does not."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest

from factorlab_assets import identity


def version_of(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(identity, "PACKAGE", package)
    return identity.code_version.__wrapped__()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(identity.PACKAGE, tmp_path / "factorlab_assets"))


def test_each_part_changes_the_experiment_id() -> None:
    ids = {
        identity.experiment_id(config, version, code)
        for config in ("a", "b")
        for version in ("2024-05-000000000000", "2024-05-000000000001")
        for code in ("x", "y")
    }
    assert len(ids) == 8


@pytest.mark.parametrize("name", ["core/backtest.py", "core/factors/trend.py", "strategy.py"])
def test_a_change_of_the_source_that_computes_is_another_code_version(
    package: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = version_of(package, monkeypatch)
    with (package / name).open("a") as file:
        file.write("\nX = 1\n")
    assert version_of(package, monkeypatch) != before


def test_a_new_file_in_core_is_another_code_version(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version_of(package, monkeypatch)
    (package / "core" / "new.py").write_text("")
    assert version_of(package, monkeypatch) != before


@pytest.mark.parametrize("name", ["reports/charts.py", "cli.py", "sources/synthetic.py"])
def test_a_change_of_reports_command_or_sources_is_not(
    package: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = version_of(package, monkeypatch)
    (package / name).write_text("")
    assert version_of(package, monkeypatch) == before


def test_another_version_of_a_numerical_library_is_another_code_version(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version_of(package, monkeypatch)
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0" if name == "numpy" else real(name)
    )
    assert version_of(package, monkeypatch) != before


def judged_by(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(identity, "PACKAGE", package)
    return identity.evaluation_version.__wrapped__()


def test_judging_otherwise_is_another_evaluation_version_and_the_same_code_version(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, judge = version_of(package, monkeypatch), judged_by(package, monkeypatch)
    assert code != judge
    (package / "evaluation" / "new.py").write_text("")
    with_new = judged_by(package, monkeypatch)
    with (package / "evaluation" / "sharpe.py").open("a") as file:
        file.write("\nX = 1\n")
    assert len({judge, with_new, judged_by(package, monkeypatch)}) == 3
    assert version_of(package, monkeypatch) == code


def test_computing_otherwise_is_no_other_evaluation_version(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = judged_by(package, monkeypatch)
    for name in ("core/backtest.py", "reports/charts.py", "ledger.py"):
        (package / name).write_text("")
    assert judged_by(package, monkeypatch) == judge


@pytest.mark.parametrize("library", ["arch", "statsmodels"])
def test_another_version_of_a_library_that_judges(
    package: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    code, judge = version_of(package, monkeypatch), judged_by(package, monkeypatch)
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0" if name == library else real(name)
    )
    assert judged_by(package, monkeypatch) != judge
    assert version_of(package, monkeypatch) == code
