"""How well `core.suspects` finds planted errors: recall, precision, and what is taken for what.

Belongs here: the world that is searched, and the rules by which a finding counts. Does not: the
thresholds asked for (`test_planted_errors`). `python -m factorlab_tests.oracles.confusion 7 11`
prints the table of these seeds taken together.

A finding is right if a planted error of its kind and ticker covers its date:

- from its first wrong bar (or missing session) to its last; of an error that lasts, its first ten.
- `stale`: also the bar before, which the run repeats; a run of unchanged closes begins with it.
- `missing`: a finding covers `value` sessions from its date on, and one session in common will do.
- `outlier`: also the session after. There the error goes, with a return just as odd; which of the
  two begins what is wrong cannot be seen in all cases.

An error is found if at least one finding is right about it, and counts once however many are. So do
wrong findings of a kind on adjacent sessions: precision is errors found over errors claimed.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.suspects import find_suspects
from factorlab_assets.schemas import SUSPECT_KINDS
from factorlab_assets.sources.planted import Planted, Rates, plant
from factorlab_assets.sources.synthetic import Synthetic

FIRST, LAST = dt.date(2004, 1, 1), dt.date(2024, 5, 31)
CLASSES = ("Equity", "Rates", "Credit", "Commodity", "REIT")
LASTING = 10
NOTHING, NOT_FOUND = "nothing", "not found"


@dataclass
class Score:
    """Counts of one kind: errors, those found, and claims that are wrong."""

    planted: int = 0
    found: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    """Errors not found -> what was said of them instead."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Wrong claims -> the kind of error that is there, or `nothing`."""

    def add(self, other: Score) -> None:
        """Count another world's too."""
        self.planted += other.planted
        self.found += other.found
        self.missed += other.missed
        self.wrong += other.wrong

    @property
    def recall(self) -> float:
        """Share of the errors that are found; 1 without any."""
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        """Share of the claims that are right; 1 without any."""
        return self.found / self.claimed if self.claimed else 1.0

    @property
    def claimed(self) -> int:
        """Errors that the findings claim."""
        return self.found + self.wrong.total()


def world(seed: int, rates: Rates | None = None) -> tuple[Planted, dict[str, str]]:
    """Some 250 tickers of six classes over up to 20 years with errors, and their classes."""
    universe = {f"{name[:2].upper()}{at:02d}": name for name in CLASSES for at in range(24)}
    source = Synthetic(universe, seed=seed, extra_tickers=140, start=FIRST)
    bars = source.fetch(None, LAST).prices
    classes = {name: universe.get(name, "Stock") for name in bars["ticker"].unique().to_pylist()}
    return plant(bars, seed, rates=rates, asset_classes=classes), classes


def findings(prices: pa.Table, classes: Mapping[str, str]) -> pa.Table:
    """What `find_suspects` says at its default settings."""
    with duckdb.connect() as con:
        con.register("bars", prices)
        return find_suspects(con, "bars", f"{LAST:%Y-%m}", asset_classes=classes)


def scores(truth: pa.Table, found: pa.Table) -> dict[str, Score]:
    """Recall and precision per kind, and what was taken for what."""
    calendar = sessions(FIRST, LAST)
    result = {kind: Score() for kind in SUSPECT_KINDS}
    errors = _spans(truth, calendar)
    told = _tellings(found, calendar)
    for ticker, spans in errors.items():
        for span in spans:
            score = result[span.kind]
            score.planted += 1
            here = {kind for kind, first, last in told[ticker] if span.is_met(kind, first, last)}
            if span.kind in here:
                score.found += 1
            else:
                score.missed["+".join(sorted(here)) or NOT_FOUND] += 1
    for ticker, tellings in told.items():
        before: dict[str, int] = {}
        for kind, first, last in tellings:
            here = {span.kind for span in errors[ticker] if span.is_met(kind, first, last)}
            if kind not in here:
                if first > before.get(kind, -2) + 1:
                    result[kind].wrong["+".join(sorted(here)) or NOTHING] += 1
                before[kind] = last
    return result


@dataclass(frozen=True)
class _Span:
    """The sessions, by number, that a finding may name an error by."""

    kind: str
    first: int
    last: int

    def is_met(self, kind: str, first: int, last: int) -> bool:
        """Whether a finding covers it; one of another kind may also stand right beside it."""
        slack = 0 if kind == self.kind else 1
        return first <= self.last + slack and last >= self.first - slack


def _spans(truth: pa.Table, calendar: np.ndarray) -> dict[str, list[_Span]]:
    spans = defaultdict(list)
    begins, ends = _numbers(truth["date"], calendar), _numbers(truth["last_date"], calendar)
    for row, begin, end in zip(truth.to_pylist(), begins, ends, strict=True):
        kind = row["kind"]
        end = min(end, begin + LASTING - 1) if kind in ("decimal", "outlier") else end
        first, last = begin - (kind == "stale"), end + (kind == "outlier")
        spans[row["ticker"]].append(_Span(kind, first, last))
    return spans


def _tellings(found: pa.Table, calendar: np.ndarray) -> dict[str, list[tuple[str, int, int]]]:
    told = defaultdict(list)
    found = found.sort_by([("ticker", "ascending"), ("date", "ascending")])
    for row, at in zip(found.to_pylist(), _numbers(found["date"], calendar), strict=True):
        length = int(row["value"]) if row["kind"] == "missing" else 1
        told[row["ticker"]].append((row["kind"], at, at + length - 1))
    return told


def _numbers(days: pa.ChunkedArray, calendar: np.ndarray) -> list[int]:
    return [int(at) for at in np.searchsorted(calendar, days.to_numpy())]


def as_text(result: Mapping[str, Score]) -> str:
    """The table for people."""
    lines = [
        f"{'kind':<15}{'planted':>8}{'found':>7}{'recall':>8}{'claimed':>9}{'precision':>11}"
        "  errors taken for | claims that were"
    ]
    for kind, score in result.items():
        missed = ", ".join(f"{what} {count}" for what, count in score.missed.most_common())
        wrong = ", ".join(f"{what} {count}" for what, count in score.wrong.most_common())
        lines.append(
            f"{kind:<15}{score.planted:>8}{score.found:>7}{score.recall:>8.1%}"
            f"{score.claimed:>9}{score.precision:>11.1%}  {missed or '-'} | {wrong or '-'}"
        )
    return "\n".join(lines)


def together(seeds: Sequence[int], rates: Rates | None = None) -> tuple[dict[str, Score], int]:
    """The scores of several worlds taken together, and their bars."""
    total, bars = {kind: Score() for kind in SUSPECT_KINDS}, 0
    for seed in seeds:
        planted, classes = world(seed, rates)
        bars += planted.prices.num_rows
        for kind, score in scores(planted.truth, findings(planted.prices, classes)).items():
            total[kind].add(score)
    return total, bars


def report(seeds: Sequence[int]) -> str:
    """The table of all seeds taken together, and of findings where nothing was planted."""
    parts = []
    for title, rates in (("usual rates", Rates()), ("source's own gaps alone", Rates().times(0))):
        total, bars = together(seeds, rates)
        named = ", ".join(map(str, seeds))
        parts += [f"{title}: seeds {named}; {bars:,} bars", as_text(total), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(report([int(seed) for seed in sys.argv[1:]] or [7, 11, 2024]))
