"""The `factorlab` command as its user meets it: output, exit codes, one-paragraph errors."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from factorlab_assets import (
    cli,
    cli_compare,
    cli_evaluation,
    cli_experiments,
    cli_factors,
    cli_prices,
    cli_report,
    cli_revisions,
    cli_run,
    cli_tables,
    cli_universe,
)
from factorlab_assets.settings import PROJECT_ROOT
from factorlab_tests.orchestration.conftest import MONTH, settings_in


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Command:
    """`factorlab` in a project of its own, run in this process: starting Python costs seconds."""

    folder: Path
    env: Mapping[str, str]
    width: int = 200

    def __call__(self, *arguments: str, **env: str) -> Done:
        stdout, stderr, code = io.StringIO(), io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (dict(self.env) | env).items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["factorlab", *arguments])
            shown = (cli_experiments, cli_factors, cli_prices, cli_revisions, cli_run, cli_tables)
            for module in (cli, cli_compare, cli_evaluation, cli_report, cli_universe, *shown):
                patch.setattr(module, "out", Console(width=self.width, highlight=False))
            with redirect_stdout(stdout), redirect_stderr(stderr):
                try:
                    cli.main()
                except SystemExit as ended:
                    code = int(ended.code or 0)
        return Done(code, stdout.getvalue(), stderr.getvalue())

    def refused(self, *arguments: str, **env: str) -> str:
        """The one paragraph of a command that must fail."""
        done = self(*arguments, **env)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr + done.stdout
        assert done.stderr.startswith("Error: "), done.stderr
        return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def factorlab(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("cli")
    settings = settings_in(folder)
    env = {
        "DAGSTER_HOME": str(settings.dagster_home),  # so that it is put back afterwards
        "FACTORLAB_ROOT": str(folder),
        "FACTORLAB_DATA_DIR": str(settings.data_dir),
        "FACTORLAB_STRATEGIES_DIR": str(settings.strategies_dir),
        "FACTORLAB_UNIVERSES_FILE": str(settings.universes_file),
    }
    return Command(folder, env)


@pytest.fixture(scope="module")
def used(factorlab: Command) -> Command:
    """After one ingest and one run."""
    for words in (
        ("ingest", "--month", MONTH),
        ("run", "--month", MONTH, "--strategy", "trend_12m", "--strategy", "low_vol"),
    ):
        done = factorlab(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    return factorlab


def test_init_writes_what_plain_dagster_needs_and_keeps_what_is_there(factorlab: Command) -> None:
    env = factorlab.folder / ".env"
    env.write_text("FACTORLAB_SEED=7\n")
    for _ in range(2):
        assert factorlab("init").returncode == 0
    lines = env.read_text().splitlines()
    assert lines[0] == "FACTORLAB_SEED=7"
    (home,) = [line.split("=", 1)[1] for line in lines if line.startswith("DAGSTER_HOME=")]
    assert (Path(home) / "dagster.yaml").exists()


def test_the_installed_command_starts_and_fails_in_one_paragraph(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "factorlab_assets.cli", "verify", "nothing"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FACTORLAB_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no such experiment")
    assert "Traceback" not in done.stderr


def test_run_prints_a_row_per_strategy_that_says_synthetic(used: Command) -> None:
    done = used("run", "--month", MONTH, "--strategy", "equal_weight_13")
    assert done.returncode == 0
    assert "basis: SYNTHETIC" in done.stdout
    assert re.search(r"^equal_weight_13 +[0-9]+ ", done.stdout, re.MULTILINE)
    assert "Sharpe" in done.stdout


def test_versions_experiments_and_verify_tell_of_the_run(used: Command) -> None:
    assert re.search(rf"^{MONTH}-[0-9a-f]{{12}} +synthetic", used("versions").stdout, re.MULTILINE)
    listed = used("experiments").stdout
    found = re.search(r"^([0-9a-f]{16}) +trend_12m .* done", listed, re.MULTILINE)
    assert found is not None, listed
    done = used("verify", found[1])
    assert done.returncode == 0
    assert done.stdout.startswith("identical")


def test_factors_and_strategies_are_listed_with_their_timing(factorlab: Command) -> None:
    listed = factorlab("factors").stdout
    assert "P[t−12]" in listed
    assert "trend_12m" in factorlab("strategies").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "--month", "2013-01", "--strategy", "trend_12m"), "no prices for that month"),
        (("run", "--month", MONTH, "--strategy", "no_such"), "unknown strategy"),
        (("run", "--month", MONTH, "--strategy", "../../x"), "unknown strategy"),
        (("run", "--month", MONTH), "--strategy NAME or --all"),
        (("ingest", "--month", "2012-13"), "2012-13"),
        (("ingest", "--month", "2049-11"), "not over"),
        (("ingest", "--month", MONTH, "--source", "yahoo"), "yahoo"),
        (("ingest", "--month", MONTH, "--universe", "none"), "unknown universe"),
        (("ingest", "--month", "2012-05", "--source", "stooq-files"), "needs an archive"),
        (
            ("ingest", "--month", "2012-05", "--source", "stooq-files", "--path", "no.zip"),
            "no.zip",
        ),
        (("ingest", "--month", "2012-05", "--second"), "without --second first"),
        (("verify", "0000000000000000"), "no such experiment"),
    ],
)
def test_what_cannot_be_done_is_one_paragraph(
    used: Command, words: tuple[str, ...], told: str
) -> None:
    said = used.refused(*words)
    assert told in said
    assert max(said.count(label) for label in ("Got: ", "What to do: ")) <= 1, "one error, not two"


def test_a_second_source_is_listed_beside_the_months_prices(used: Command) -> None:
    header = "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"
    (used.folder / "vendor").mkdir()
    (used.folder / "vendor" / "SPY.csv").write_text(f"{header}\n2012-06-29,9,9,8,8,8,5,0.1,1.0\n")
    (used.folder / "paid").mkdir()
    for ticker in ("SPY", "QQQ"):
        shutil.copy(used.folder / "vendor" / "SPY.csv", used.folder / "paid" / f"{ticker}.csv")
    words = ("--second", "--source", "alphavantage", "--path", "vendor", "--universe", "all")
    done = used("ingest", "--month", MONTH, *words, "--distributions", "paid")
    assert done.returncode == 0, done.stderr
    assert "Note: files of 1 tickers that were not asked for not opened: QQQ" in done.stdout
    first, second = re.findall(rf"^{MONTH}-.*$", done.stdout, re.MULTILINE)
    assert re.search(r"synthetic +current +.* 13 ", first)
    assert re.search(r"alphavantage, .* second source, current +.* 1 +1$", second)
    assert "second data came from another source" in used.refused(
        "ingest", "--month", MONTH, "--second"
    )


def test_a_corrupt_archive_is_refused_and_nothing_is_lost(used: Command) -> None:
    before = used("versions").stdout
    (used.folder / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing")
    told = used.refused(
        "ingest", "--month", MONTH, "--source", "stooq-files", "--path", "broken.zip",
        "--replace-source",
    )  # fmt: skip
    assert "broken.zip" in told
    assert used("versions").stdout == before


def test_a_strategy_edited_to_nonsense_names_file_place_and_value(used: Command) -> None:
    path = used.folder / "strategies" / "nonsense.yaml"
    path.write_text("description: x\nportfolio: {max_weight: 7}\n")
    try:
        told = used.refused("run", "--month", MONTH, "--strategy", "nonsense")
        assert "nonsense.yaml: portfolio.max_weight" in told
        assert "7" in told
        others = used("run", "--month", MONTH, "--strategy", "low_vol")
        assert others.returncode == 0
        assert "left out nonsense.yaml" in others.stdout
        assert used("strategies").returncode == 1
    finally:
        path.unlink()


def test_a_database_of_a_newer_format_or_none_at_all_is_refused(
    used: Command, tmp_path: Path
) -> None:
    (tmp_path / "not.duckdb").write_text("this is no database, " * 500)
    told = used.refused("versions", FACTORLAB_DATABASE=str(tmp_path / "not.duckdb"))
    assert "not.duckdb" in told


def test_a_second_writer_waits_and_gives_up_naming_the_holder(used: Command) -> None:
    database = used.folder / "data" / "factorlab.duckdb"
    script = (
        "import sys, time; from pathlib import Path; from factorlab_assets.store import Store\n"
        f"with Store(Path({str(database)!r})).write():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = used.refused("ingest", "--month", MONTH, FACTORLAB_LOCK_TIMEOUT_S="1")
        assert str(database) in told
        assert str(holder.pid) in told
    finally:
        holder.communicate("")
