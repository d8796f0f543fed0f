"""Tear sheets: the two pages of one experiment, and 200 HTML pages in one run.

Belongs here: what reading the store and drawing take. Does not: computing what is shown, or the
library's page. A child makes a store of invented prices with a few strategies that are judged, and
measures in the process that made it, after one of each. The 200 are pages of these strategies over
and over, each read from the store anew, one after another in one process: no computation of theirs
is shared but what every page of a run shares.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks import harness

MONTH = "2024-05"
STRATEGIES = ["trend_12m", "xsmom_12_1", "sixty_forty"]
PAGES = 200
MOST_SECONDS, MOST_SECONDS_MANY = 4.0, 60.0
IMPORTS = (
    "import time; start = time.perf_counter(); "
    "import factorlab_assets.assets.reporting, matplotlib.figure, "
    "matplotlib.backends.backend_pdf; print(time.perf_counter() - start)"
)


def rows() -> list[harness.Row]:
    """Every part."""
    with tempfile.TemporaryDirectory() as folder:
        told = harness.in_child("benchmarks.bench_report", folder)
    return [
        harness.at_most(
            "tear sheet, HTML and PDF, from the store", told["both"], "s", MOST_SECONDS
        ),
        *(
            harness.Row(f"  {label}", told[key] * 1e3, "ms")
            for key, label in (
                ("read", "reading 19 tables"),
                ("html", "HTML"),
                ("pdf", "PDF"),
                ("first", "the first of a process"),
                ("imports", "imports, before that"),
            )
        ),
        *(
            harness.Row(f"  size, {form}", told[f"{form}_bytes"] / 1e3, "kB")
            for form in ("html", "pdf")
        ),
        harness.at_most(
            f"{PAGES} HTML tear sheets in one process", told["many"], "s", MOST_SECONDS_MANY
        ),
    ]


def measure(folder: Path) -> None:
    """In the child: make the store, then read and draw."""
    told = {"imports": _imports()}
    from factorlab_assets import schemas
    from factorlab_assets.assets import launch
    from factorlab_assets.assets.batch import Run
    from factorlab_assets.definitions import build_definitions
    from factorlab_assets.evaluation_settings import load_evaluation
    from factorlab_assets.settings import Settings
    from factorlab_assets.store import Store

    settings = Settings(data_dir=folder, database=None, source="synthetic")
    launch.init_home(settings)
    definitions = build_definitions(settings)
    launch.run_market(definitions, MONTH, {"source": "synthetic"})
    for job in ("research", "evaluation", "report"):
        launch.run_cells(definitions, job, MONTH, STRATEGIES)
    run = Run(
        store=Store(settings.database_path),
        settings=settings,
        table=schemas.TEAR_SHEET,
        inputs=("backtest_returns", "metrics"),
        reads_bars=False,
        run_id="bench",
        judged_by=load_evaluation(settings.evaluation_path),
    )

    def compute(month: Any) -> Any:
        return _measured(month, told)

    run.execute([f"{MONTH}|{name}" for name in STRATEGIES], compute)
    harness.report(told)


def _imports() -> float:
    """Seconds that a process of its own takes to import what draws."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=True)
    return float(done.stdout)


def _measured(month: Any, told: dict[str, float]) -> Any:
    """Time reading and drawing of a month's cells; give no rows to store."""
    from factorlab_assets import schemas
    from factorlab_assets.assets.reporting import sheet_of
    from factorlab_assets.core.tables import records_table
    from factorlab_assets.reports import tear_sheet_html, tear_sheet_pdf

    cell = month.cells[0]

    def both() -> tuple[str, bytes]:
        sheet = sheet_of(month, cell)
        return tear_sheet_html.render(sheet), tear_sheet_pdf.render(sheet)

    def many() -> None:
        for each in islice(cycle(month.cells), PAGES):
            tear_sheet_html.render(sheet_of(month, each))

    told["first"] = harness.timed(both)["seconds"]
    told["both"] = harness.best_of(3, both)
    sheet = sheet_of(month, cell)
    html, pdf = both()
    told |= {"html_bytes": len(html.encode()), "pdf_bytes": len(pdf)}
    told["read"] = harness.best_of(3, lambda: sheet_of(month, cell))
    told["html"] = harness.best_of(3, lambda: tear_sheet_html.render(sheet))
    told["pdf"] = harness.best_of(3, lambda: tear_sheet_pdf.render(sheet))
    told["many"] = harness.timed(many)["seconds"]
    return records_table(schemas.TEAR_SHEET, [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        harness.show(rows())
