"""Settings come from arguments, then FACTORLAB_ variables, then .env; and paths come from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import PROJECT_ROOT, Settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("FACTORLAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_everything_lies_in_the_project_by_default() -> None:
    settings = Settings()
    assert settings.database_path == PROJECT_ROOT / "data" / "factorlab.duckdb"
    assert settings.strategies_path == PROJECT_ROOT / "data" / "strategies"
    assert settings.universes_path == PROJECT_ROOT / "data" / "universes.yaml"
    assert settings.drop_path == PROJECT_ROOT / "data" / "drop"
    assert settings.downloads_path == PROJECT_ROOT / "data" / "downloads"
    assert settings.dagster_home == PROJECT_ROOT / "data" / "dagster_home"
    assert settings.source == "synthetic"


def test_what_is_made_at_run_time_follows_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = (settings.database_path, settings.drop_path, settings.dagster_home)
    assert {path.parent for path in made} == {tmp_path}
    assert settings.strategies_path == PROJECT_ROOT / "data" / "strategies"


def test_an_argument_wins_over_a_variable_and_a_variable_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "FACTORLAB_SEED=1\nFACTORLAB_UNIVERSE=mine\nFACTORLAB_EXTRA_TICKERS=3\nDAGSTER_HOME=/x\n"
    (tmp_path / ".env").write_text(said)
    monkeypatch.setenv("FACTORLAB_SEED", "2")
    monkeypatch.setenv("FACTORLAB_EXTRA_TICKERS", "4")
    settings = Settings(seed=5)
    assert (settings.seed, settings.extra_tickers, settings.universe) == (5, 4, "mine")


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORLAB_DATABASE", "")
    assert Settings().database_path == PROJECT_ROOT / "data" / "factorlab.duckdb"


def test_relative_paths_start_at_the_root_and_a_tilde_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = Settings(root=tmp_path, database=Path("a/b.duckdb"), drop_dir=Path("~/drop"))
    assert settings.database_path == tmp_path / "a" / "b.duckdb"
    assert settings.drop_path == tmp_path / "home" / "drop"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SOURCE", "yahoo", "source. Got: 'yahoo'. Expected: 'synthetic', 'stooq-files', "),
        ("SEED", "seven", "seed. Got: 'seven'. Expected: a valid integer"),
        ("EXTRA_TICKERS", "-1", "extra_tickers. Got: '-1'. Expected: greater than or equal to 0"),
        ("LOCK_TIMEOUT_S", "-1", "lock_timeout_s. Got: '-1'. Expected: greater than or equal to 0"),
    ],
)
def test_a_bad_value_is_told_with_its_name_and_what_is_allowed(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FACTORLAB_{variable}", value)
    with pytest.raises(FactorLabError) as caught:
        Settings()
    assert f"Where: settings: {told}" in str(caught.value)


def test_the_apikey_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORLAB_STOOQ_APIKEY", "hush")
    settings = Settings()
    assert settings.stooq_apikey is not None
    assert settings.stooq_apikey.get_secret_value() == "hush"
    assert "hush" not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"
