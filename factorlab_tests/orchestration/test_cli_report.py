"""`factorlab report` and `library`, as their user sees them in a terminal of 80 columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from factorlab_assets import schemas
from factorlab_assets.store import Store
from factorlab_tests.orchestration.conftest import MONTH
from factorlab_tests.orchestration.test_cli import Command, factorlab

pytestmark = pytest.mark.slow  # test_reports and test_sweeps show the same assets at work

__all__ = ["factorlab"]  # a fixture, by its name

NAME = "sixty_forty_quarterly"
"""Of the shipped strategies' names that these tests have, the longest."""
LINK = re.compile(r"^(html|pdf|library) +(\S+)$", re.M)


@pytest.fixture(scope="module")
def narrow(factorlab: Command) -> Command:
    """A terminal of 80 columns, on one month of prices."""
    assert factorlab("ingest", "--month", MONTH).returncode == 0
    return replace(factorlab, width=80)


@pytest.fixture(scope="module")
def printed(narrow: Command) -> str:
    """What `report` prints of a strategy that was never computed."""
    done = narrow("report", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_report_names_its_files_and_the_verdict(narrow: Command, printed: str) -> None:
    store = Store(narrow.folder / "data" / "factorlab.duckdb")
    rows = store.load(schemas.VERDICT, [f"{MONTH}|{NAME}"]).to_pylist()
    (total,) = (row for row in rows if row["component"] == "total")
    assert "SYNTHETIC" in printed
    assert re.search(rf"^{NAME}  {total['light']}  grade {total['grade']}, ", printed, re.M)
    assert f"{total['score']:.0f} of 100" in printed
    said = " ".join(printed.split())
    for reason in total["note"].split("; "):
        assert " ".join(reason.split()) in said
    assert re.search(r"^  [ ▁▂▃▄▅▆▇█]+  \d+\.\d\d×$", printed, re.M), printed
    for row in rows:
        if row["component"] != "total":
            label = row["component"].replace("_", " ")
            (line,) = re.findall(rf"^{label} +(\S+) +(\S+) +(\S+)$", printed, re.M)
            for text, value in zip(line, (row["value"], row["score"]), strict=False):
                assert text == ("–" if value is None else f"{round(value, 2) + 0.0:.2f}")
            assert line[2] == f"{row['weight_used']:.1%}"
    links = dict(LINK.findall(printed))
    assert set(links) == {"html", "pdf"}
    for form, path in links.items():
        assert Path(path) == narrow.folder / "data" / "reports" / MONTH / f"{NAME}.{form}"
        assert Path(path).is_file()


def test_it_fits_a_terminal_of_80_columns(printed: str) -> None:
    lines = [line for line in printed.splitlines() if not LINK.match(line)]
    assert [line for line in lines if len(line) > 80] == []


def test_a_library_names_its_page(narrow: Command, printed: str) -> None:
    done = narrow("library")
    assert done.returncode == 0, done.stdout + done.stderr
    ((_, path),) = LINK.findall(done.stdout)
    page = Path(path).read_text(encoding="utf-8")
    assert Path(path) == narrow.folder / "data" / "reports" / "index.html"
    assert f'"links":["{MONTH}/{NAME}.html"]' in page
    assert "SYNTHETIC" in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "no_such"), ["unknown strategy", "'no_such'", NAME, "add no_such.yaml"]),
        (("report", "../../out"), ["unknown strategy", "'../../out'"]),
        (("report", NAME, "--month", "2011-01"), ["no prices for that month", "2011-01"]),
        (("report", NAME, "--month", "../out"), ["../out"]),
        (("library", "--month", "2011-01"), ["no prices for that month", "2011-01"]),
    ],
)
def test_refusals_say_what_and_what_to_do(
    narrow: Command, words: tuple[str, ...], told: list[str]
) -> None:
    said = narrow.refused(*words)
    for each in told:
        assert each in said, said


def test_nothing_was_written_elsewhere(narrow: Command, printed: str) -> None:
    pages = {path for path in narrow.folder.rglob("*") if path.suffix in (".html", ".pdf")}
    assert pages
    assert all(path.is_relative_to(narrow.folder / "data" / "reports") for path in pages)
