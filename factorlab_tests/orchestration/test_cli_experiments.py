"""Submitting, running again, promoting, listing, verifying, telling apart, as their user does."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from factorlab_assets.store import Experiment, Store
from factorlab_tests.orchestration.conftest import MONTH
from factorlab_tests.orchestration.test_cli import Command, factorlab
from factorlab_tests.store_samples import experiment

__all__ = ["factorlab"]  # a fixture, by its name

GRID = "sweep: {parameters: {portfolio.select.top_k: [2, 3], factors.trend.lookback: [6, 9]}}\n"


@pytest.fixture(scope="module")
def submitted(factorlab: Command) -> dict[str, str]:
    """After one ingest, a file from elsewhere computed at once, and a variant of it that waits:
    name -> the experiment's id."""
    assert factorlab("ingest", "--month", MONTH).returncode == 0
    idea = factorlab.folder / "my_idea.yaml"
    idea.write_bytes((factorlab.folder / "strategies" / "low_vol.yaml").read_bytes())
    ids = {}
    for name, words in {
        "my_idea": ("submit", str(idea), "--now"),
        "my_idea.top_k-3": ("submit", "my_idea", "--set", "portfolio.select.top_k=3"),
    }.items():
        done = factorlab(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.match(rf"experiment +([0-9a-f]{{16}}) +{re.escape(name)}\n", done.stdout)
        assert found is not None, done.stdout
        ids[name] = found[1]
    return ids


def store_of(factorlab: Command) -> Store:
    return Store(factorlab.folder / "data" / "factorlab.duckdb")


def test_what_is_submitted_now_is_computed_and_what_is_queued_waits(
    factorlab: Command, submitted: dict[str, str]
) -> None:
    listed = factorlab("experiments").stdout
    assert re.search(rf"^{submitted['my_idea']} +my_idea +{MONTH} +[0-9a-f]+ +done$", listed, re.M)
    waits = submitted["my_idea.top_k-3"]
    assert re.search(rf"^{waits} +my_idea.top_k-3 +{MONTH} +[0-9a-f]+ +queued$", listed, re.M)
    assert (factorlab.folder / "strategies" / "my_idea.yaml").read_bytes() == (
        factorlab.folder / "my_idea.yaml"
    ).read_bytes()
    told = factorlab("submit", "my_idea.top_k-3").stdout
    assert "`factorlab ui` computes it" in told
    assert "--now" in told
    assert "commit" in told
    assert re.search(rf"^data +{MONTH}-[0-9a-f]{{12}}  synthetic", told, re.M)


def test_a_rerun_is_computed_and_diff_and_verify_take_beginnings_of_ids(
    factorlab: Command, submitted: dict[str, str]
) -> None:
    first = submitted["my_idea"]
    done = factorlab("rerun", first[:8], "--set", "portfolio.select.top_k=2", "--now")
    assert done.returncode == 0, done.stderr
    second = done.stdout.split()[1]
    assert "my_idea.top_k-2" in done.stdout
    same = factorlab("rerun", first)
    assert same.stdout.split()[:3] == ["experiment", first, f"my_idea.rerun-{first[:6]}"]

    told = factorlab("diff", first[:7], second[:7]).stdout
    assert f"from {first} to {second}" in told
    assert "portfolio.select.top_k: 4 → 2" in told
    (row,) = re.findall(r"^sharpe +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$", told, re.M)
    before, after, data, configuration, code = map(float, row)
    assert (data, code) == (0.0, 0.0)
    assert configuration == pytest.approx(after - before, abs=0.0011)  # three digits each
    assert configuration != 0.0

    verified = factorlab("verify", second[:6])
    assert verified.returncode == 0
    assert verified.stdout.startswith(f"identical: {second}")


def test_a_combination_is_promoted_and_says_what_to_do_next(
    factorlab: Command, submitted: dict[str, str]
) -> None:
    text = (factorlab.folder / "strategies" / "trend_12m.yaml").read_text()
    (factorlab.folder / "grid.yaml").write_text(text + GRID)
    told = factorlab("submit", "grid.yaml").stdout
    assert re.search(r"^sweep +4 combinations of 4:", told, re.M)
    done = factorlab("promote", "grid", "top_k-2.lookback-9", "--name", "winner")
    assert done.returncode == 0, done.stderr
    assert f"factorlab run --month {MONTH} --strategy winner" in done.stdout
    text = (factorlab.folder / "strategies" / "winner.yaml").read_text()
    assert "sweep:" not in text
    assert "grid.top_k-2.lookback-9" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit", "no_such.yaml"), "no such strategy file"),
        (("submit", "my_idea", "--set", "portfolio.select.top_k"), "path=value"),
        (("submit", "my_idea", "--set", "portfolio.gross=77"), "portfolio.gross"),
        (("submit", "my_idea", "--month", "2011-01"), "no prices for that month"),
        (("submit", "my_idea", "--name", "../x"), "cannot be a strategy's name"),
        (
            ("submit", "my_idea", "--set", "portfolio.select.top_k=2", "--name", "low_vol"),
            "--replace",
        ),
        (("rerun", "ffffffffffff"), "no such experiment"),
        (("rerun", "a"), "first 6 characters"),
        (("verify", "nothing"), "no such experiment"),
        (("diff", "nothing", "more"), "no such experiment"),
        (("promote", "grid", "lookback-1000"), "no such combination"),
        (("promote", "../grid", "x"), "cannot be a strategy's name"),
        (("experiments", "--status", "lost"), "queued, running, done, failed"),
    ],
)
def test_what_cannot_be_done_is_one_paragraph(
    factorlab: Command, submitted: dict[str, str], words: tuple[str, ...], told: str
) -> None:
    said = factorlab.refused(*words)
    assert told in said
    assert max(said.count(label) for label in ("Got: ", "What to do: ")) <= 1, "one error, not two"


# The list, of ledgers made by hand


@pytest.fixture
def ledger(factorlab: Command, tmp_path: Path) -> tuple[Command, Store]:
    """The command over an empty database of its own."""
    env = dict(factorlab.env) | {"FACTORLAB_DATABASE": str(tmp_path / "x.duckdb")}
    return Command(factorlab.folder, env), Store(tmp_path / "x.duckdb")


def ended(store: Store, experiments: Sequence[Experiment], how: str, why: str = "") -> None:
    store.begin_attempts(experiments, "run")
    store.end_attempts([(each.experiment_id, how, why) for each in experiments], "run")


def test_an_empty_ledger_says_what_to_do(ledger: tuple[Command, Store]) -> None:
    assert ledger[0]("experiments").stdout == "no experiment yet: factorlab submit FILE\n"


def test_each_experiment_is_a_line_and_a_sweep_is_one_in_80_characters(
    ledger: tuple[Command, Store],
) -> None:
    command, store = ledger
    long = "a_strategy.with-a-very_long_name." * 2
    ended(store, [experiment("d" * 16)], "done", "{}")
    ended(store, [experiment("f" * 16, strategy=long)], "failed", "no prices " * 12)
    grid = [experiment(f"{i:016x}", sweep="grid", strategy=f"grid.k-{i}") for i in range(3)]
    ended(store, grid[:2], "done", "{}")
    ended(store, grid[2:], "failed", "no [bold]luck")
    store.queue_attempts([experiment("e" * 16, strategy="waits")])
    store.begin_attempts([experiment("9" * 16, strategy="runs")], "here")
    lines = command("experiments").stdout.splitlines()
    assert lines[0].split() == ["experiment", "strategy", "month", "data", "status"]
    firsts = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert firsts == ["d" * 16, "f" * 16, "sweep", "e" * 16, "9" * 16]
    assert [line.split()[-1] for line in lines[1:] if not line.startswith(" ")] == [
        *("done", "failed", "done", "queued", "running")
    ]
    assert "2 done, 1 failed (--sweep grid lists them)" in " ".join(lines)
    assert "no prices no prices" in " ".join(lines)
    narrow = [line for line in lines if not line.strip().startswith("no prices")]
    assert max(map(len, narrow)) <= 80, "reasons are folded at the terminal's width"

    each = command("experiments", "--sweep", "grid").stdout
    assert re.findall(r"grid\.k-\d", each) == ["grid.k-0", "grid.k-1", "grid.k-2"]
    assert "no [bold]luck" in each
    for words, n in (
        (("--strategy", "trend"), 1),
        (("--status", "queued"), 1),
        (("--status", "failed"), 2),
        (("--month", "2024-05"), 5),
        (("--limit", "2"), 2),
    ):
        shown = command("experiments", *words).stdout.splitlines()[1:]
        assert len([line for line in shown if re.match(r"[0-9a-f]{16} |sweep ", line)]) == n, words
    assert command("experiments", "--strategy", "none").stdout == "no such experiment\n"


def test_an_attempt_whose_process_is_gone_is_shown_as_failed(
    ledger: tuple[Command, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, store = ledger
    store.begin_attempts([experiment("a" * 16)], "run")
    assert "running" in command("experiments").stdout
    monkeypatch.setattr("factorlab_assets.store_experiments.is_gone", lambda holder: True)
    said = command("experiments").stdout
    assert re.search(r"failed$", said, re.M)
    assert "never ended" in said


def test_another_strategys_run_may_end_an_attempt_of_the_same_configuration(
    ledger: tuple[Command, Store],
) -> None:
    command, store = ledger
    store.queue_attempts([experiment("a" * 16, strategy="twin")])
    ended(store, [experiment("a" * 16, strategy="first")], "done", "{}")
    said = command("experiments").stdout
    assert re.search(r"twin .* done$", said, re.M)
    assert "queued" not in said


def test_ten_thousand_rows_take_no_time(ledger: tuple[Command, Store]) -> None:
    command, store = ledger
    many = [
        experiment(f"{i:016x}", sweep="grid", strategy=f"grid.k-{i}", config="x" * 2000)
        for i in range(3333)
    ]
    store.queue_attempts(many)
    ended(store, many, "done", "{}")
    began = time.perf_counter()
    said = command("experiments").stdout
    assert time.perf_counter() - began < 5.0  # 0.3 s on an idle machine
    assert "3,333 done" in said
