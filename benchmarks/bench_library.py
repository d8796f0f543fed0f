"""The library page of 1,000 experiments: making it, its size, and sorting it in Chromium.

Belongs here: what the page takes. Does not: reading the store, or the tear sheets. The sort is
timed in the page, from the click until the next frame is drawn; without a browser it is left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import harness
from factorlab_assets.reports.library_page import render
from factorlab_tests.browser import find_chromium, open_page
from factorlab_tests.library_samples import MONTHS, sample

EXPERIMENTS = 1_000
MOST_SECONDS, MOST_MB, MOST_MS = 5.0, 6.0, 100.0
CLICKS = 4
SORTED = ("sharpe", "name", "cagr", "composite", "max_drawdown")
CLICK = """async (name) => {
  const button = document.querySelector(`#rows thead [data-sort="${name}"]`);
  const start = performance.now();
  button.click();
  document.getElementById("scroller").getBoundingClientRect();
  const worked = performance.now() - start;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [worked, performance.now() - start];
}"""


def rows() -> list[harness.Row]:
    """Every part."""
    library = sample(EXPERIMENTS)
    text = render(library)
    name = f"library page, {EXPERIMENTS:,} experiments × {MONTHS} months"
    seconds = harness.best_of(3, lambda: render(library))
    size = len(text.encode()) / 1e6
    made = [
        harness.at_most(name, seconds, "s", MOST_SECONDS),
        harness.at_most("  size", size, "MB", MOST_MB),
    ]
    return made + sorting(text)


def sorting(text: str) -> list[harness.Row]:
    """The slowest of some columns to sort by, each the best of a few clicks."""
    chromium, _ = find_chromium()
    if chromium is None:
        return []
    with tempfile.TemporaryDirectory() as folder, open_page(chromium) as (page, _):
        page.unroute("**/*")
        file = Path(folder) / "index.html"
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        page.wait_for_selector("#rows tbody th")
        took = [[page.evaluate(CLICK, name) for _ in range(CLICKS)] for name in SORTED]
    worked, drawn = (max(min(t[k] for t in each) for each in took) for k in (0, 1))
    slowest = f"  sort in Chromium, laid out: the slowest of {len(SORTED)} columns"
    return [
        harness.at_most(slowest, worked, "ms", MOST_MS),
        harness.Row("    and drawn", drawn, "ms"),
    ]


if __name__ == "__main__":
    harness.show(rows())
