"""Judging, sweeping and comparing on the command line, as their user does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from factorlab_assets.store import Store
from factorlab_tests.orchestration.conftest import MONTH
from factorlab_tests.orchestration.test_cli import Command, factorlab

pytestmark = pytest.mark.slow  # test_reports and test_sweeps show the same assets at work

__all__ = ["factorlab"]  # a fixture, by its name

GRID = (
    "sweep:\n"
    "  parameters: {portfolio.select.top_k: [2, 3], factors.trend.lookback: [6, 9]}\n"
    "  blocks: 8\n"
    "  walk_forward: {train_months: 36}\n"
)
LONGEST = "sixty_forty_quarterly"
"""Of the shipped strategies' names that these tests have, the longest."""


@pytest.fixture(scope="module")
def narrow(factorlab: Command) -> Command:
    """A terminal of 80 columns, on one month of prices."""
    assert factorlab("ingest", "--month", MONTH).returncode == 0
    return replace(factorlab, width=80)


def fits(printed: str) -> bool:
    """Whether every line of figures is whole at 80 columns; sentences and the picture's path are
    folded by the terminal."""
    tables = [line for line in printed.splitlines() if re.search(r"\S {2,}\S", line)]
    tables = [line for line in tables if not line.startswith("picture  ")]
    return all(len(line) <= 80 and "…" not in re.sub(r"\d…", "", line) for line in tables)


def store_of(command: Command) -> Store:
    return Store(command.folder / "data" / "factorlab.duckdb")


@pytest.fixture(scope="module")
def judged(narrow: Command) -> str:
    """What `evaluate` prints of two strategies that were never computed."""
    done = narrow("evaluate", "trend_12m", LONGEST)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_not_computed_is_computed_first(narrow: Command, judged: str) -> None:
    rows = store_of(narrow).experiments().to_pylist()
    done = {row["strategy"] for row in rows if row["status"] == "done"}
    assert done == {"trend_12m", LONGEST}
    assert "research 2012-06: inference: 1 of 1" in judged
    assert re.search(r" 18/18 ", judged), "two runs: the one is no neighbour of the other"
    for name in done:
        assert re.search(rf"^{name}  {MONTH}$", judged, re.M)
    for said in ("sharpe_lo", "psr", "dsr", "n_trials", "verdict: "):
        assert judged.count(f"\n{said}") + judged.count(f"\n  {said}") >= 2, said
    for head in ("regime", "luck, foresight", "robustness"):
        assert len(re.findall(rf"^{head} ", judged, re.M)) == (0 if head == "regime" else 2), head
    assert fits(judged), judged


def test_a_second_evaluation_makes_no_attempt_and_a_changed_file_does(
    narrow: Command, judged: str
) -> None:
    before = store_of(narrow).experiments().num_rows
    assert narrow("evaluate", LONGEST).returncode == 0
    assert store_of(narrow).experiments().num_rows == before
    path = narrow.folder / "strategies" / f"{LONGEST}.yaml"
    text = path.read_text()
    path.write_text(text + "cash: {yield_ann: 0.01}\n")
    done = narrow("evaluate", LONGEST)
    path.write_text(text)
    assert done.returncode == 0, done.stderr
    rows = store_of(narrow).experiments().to_pylist()[before:]
    assert [(row["strategy"], row["status"]) for row in rows] == [
        (LONGEST, "started"),
        (LONGEST, "done"),
    ]


def test_evidence_prints_what_is_stored_and_says_what_is_not(narrow: Command, judged: str) -> None:
    before = store_of(narrow).experiments().num_rows
    told = narrow("evidence", "trend_12m").stdout
    assert "SYNTHETIC" in told
    shown = judged[judged.index(f"\ntrend_12m  {MONTH}") : judged.index(f"\n{LONGEST}  {MONTH}")]
    assert shown.strip() in told
    told = narrow("evidence", "low_vol").stdout
    assert "no inference: nothing is stored for it" in told
    assert store_of(narrow).experiments().num_rows == before


def test_a_sweep_is_shown_best_first_and_goes_on(narrow: Command) -> None:
    folder = narrow.folder / "strategies"
    (folder / "grid.yaml").write_text((folder / "trend_12m.yaml").read_text() + GRID)
    done = narrow("sweep", "grid")
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"^lookback (\d), top_k (\d)|^top_k (\d), lookback (\d) +\S+ +(\S+)", done.stdout, re.M
    )
    assert len(found) == 4
    sharpe = [float(row[-1]) for row in found]
    assert sharpe == sorted(sharpe, reverse=True)
    assert "4 combinations done, 0 failed" in done.stdout
    assert re.search(r"^sharpe: top_k by lookback +6 +9$", done.stdout, re.M), done.stdout
    assert re.search(r"^pbo +\S+ +\S+$", done.stdout, re.M)
    assert "best: grid.top_k-" in done.stdout
    assert fits(done.stdout), done.stdout
    before = store_of(narrow).experiments().num_rows
    again = narrow("sweep", "grid", "--sort", "cagr", "--limit", "1")
    assert store_of(narrow).experiments().num_rows == before
    assert "cagr: top_k by lookback" in again.stdout
    assert len(re.findall(r"^top_k \d, lookback \d", again.stdout, re.M)) == 1


def test_experiments_are_put_side_by_side(narrow: Command, judged: str) -> None:
    done = narrow("compare", "trend_12m", LONGEST, "--sort", "sharpe")
    assert done.returncode == 0, done.stderr
    assert "common months" in done.stdout
    assert "Sharpe less trend_12m's" in done.stdout
    assert re.search(rf"^\(2\) {LONGEST} +-?\d\.\d\d +1\.00$", done.stdout, re.M), done.stdout
    assert fits(done.stdout), done.stdout
    (path,) = re.findall(r"^picture  (\S+\.svg)$", done.stdout, re.M)
    assert "SYNTHETIC" in Path(path).read_text()
    swapped = narrow("compare", LONGEST, "trend_12m").stdout
    first = re.search(rf"^{LONGEST} +(-?\d+\.\d\d) +(\d\.\d\d)", done.stdout, re.M)
    second = re.search(r"^trend_12m +(-?\d+\.\d\d) +(\d\.\d\d)", swapped, re.M)
    assert first is not None
    assert second is not None
    assert float(first[1]) == -float(second[1]) != 0.0
    assert first[2] == second[2]


def test_the_leaderboard_says_who_is_missing(narrow: Command, judged: str) -> None:
    done = narrow("leaderboard")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{LONGEST} +-?\d", done.stdout, re.M)
    assert fits(done.stdout), done.stdout
    assert "left out" not in done.stdout
    assert narrow("run", "--month", MONTH, "--strategy", "low_vol").returncode == 0
    short = (narrow.folder / "strategies" / "trend_12m.yaml").read_text()
    short = short.replace("lookback: 12", "lookback: 70")
    (narrow.folder / "strategies" / "late.yaml").write_text(short)
    assert narrow("run", "--month", MONTH, "--strategy", "late").returncode == 0
    done = narrow("leaderboard", "--sort", "volatility_ann")
    assert re.search(r"^left out late: \d+ months; 36 are the fewest$", done.stdout, re.M)
    named = re.findall(rf"^(trend_12m|low_vol|{LONGEST}) +\S+ +(\S+)%", done.stdout, re.M)
    assert len(named) == 3
    assert [float(v) for _, v in named] == sorted(float(v) for _, v in named)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("evaluate", "no_such"),
            ["unknown strategy", "'no_such'", "trend_12m", "add no_such.yaml"],
        ),
        (("evaluate", "trend_12m", "--month", "2011-01"), ["no prices for that month", "2011-01"]),
        (("sweep", "trend_12m"), ["the strategy has no sweep", "trend_12m.yaml", "`sweep` block"]),
        (("sweep", "no_such"), ["unknown strategy", "'no_such'"]),
        (("sweep", "trend_12m", "--sort", "luck"), ["no column to sort by", "luck", "sharpe"]),
        (
            ("compare", "trend_12m", "no_such"),
            ["no finished experiment of that name or id", "no_such", "factorlab run"],
        ),
        (
            ("compare", "trend_12m", "trend_12m"),
            ["two or more different experiments", "trend_12m, trend_12m"],
        ),
        (("compare", "trend_12m"), ["two or more different experiments"]),
        (("compare", "trend_12m", LONGEST, "--sort", "luck"), ["no metric to sort by", "luck"]),
        (("leaderboard", "--sort", "luck"), ["no metric to sort by", "luck"]),
        (("leaderboard", "--month", "2011-01"), ["no prices for that month", "2011-01"]),
    ],
)
def test_refusals_say_what_and_what_to_do(
    narrow: Command, judged: str, words: tuple[str, ...], told: list[str]
) -> None:
    said = narrow.refused(*words)
    for each in told:
        assert each in said, said
    assert said.count(told[0]) == 1, said
