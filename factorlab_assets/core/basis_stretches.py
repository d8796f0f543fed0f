"""From single distributions to stretches: from when to when the closes mean what.

Belongs here: one ticker's stretches. Does not: SQL, or judging a distribution (`basis_evidence`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

SOLID_ROWS = 4
SOLID_DAYS = 366
"""A run of distributions treated alike is a stretch of its own if it has so many of them or lasts
that long; a shorter one makes its surroundings mixed: one coupon left out is no change of basis."""
NAMED = 5
"""So many ex-dates are named in the evidence."""

DAY = dt.timedelta(1)


class Printed(NamedTuple):
    """How a ticker's rows are printed. last_fractional : last bar with a fractional volume.
    last_off : last bar off the cent in a month with many such; earlier rows carry some factor."""

    ticker: str
    first_bar: dt.date
    last_bar: dt.date
    n: int
    n_fractional: int
    last_fractional: dt.date | None
    n_off: int
    last_off: dt.date | None


class Stretch(NamedTuple):
    """Bars from first_date to last_date, both to be moved inwards to the next bar."""

    first_date: dt.date
    last_date: dt.date
    basis: str
    is_total_return_known: bool
    evidence: str


def stretches(
    printed: Printed, complete_to: dt.date | None, status: Sequence[dict[str, Any]]
) -> list[Stretch]:
    """One ticker's stretches, in order, from its first bar to its last.

    complete_to : the last day that its list of distributions covers, None without a list.
    status : rows of `distribution_status`, by ex-date.
    """
    if complete_to is None or complete_to < printed.first_bar:
        why = "no list of distributions" if complete_to is None else f"list ends {complete_to}"
        return list(_unlisted(printed, printed.first_bar, why))
    listed = list(_listed(printed.first_bar, min(printed.last_bar, complete_to), status))
    if complete_to < printed.last_bar:
        listed += _unlisted(printed, complete_to + DAY, f"list ends {complete_to}")
    return listed


def _unlisted(printed: Printed, start: dt.date, why: str) -> Iterator[Stretch]:
    """By how the rows are printed alone: where the factor is 1, nothing later is in the closes."""
    marks = [day for day in (printed.last_fractional, printed.last_off) if day is not None]
    factored = max(marks) if marks else None
    if factored is not None and factored >= start:
        what = (
            f"{printed.n_fractional} of {printed.n} bars have a fractional volume"
            if printed.n_fractional
            else f"{printed.n_off} of {printed.n} closes are off the cent, volumes are whole"
        )
        said = f"{why}; {what}: a factor applies, what is in it cannot be told"
        yield Stretch(start, factored, "unknown", False, said)
        start = factored + DAY
    if start <= printed.last_bar:
        said = f"{why}; plain cents and whole volumes: nothing paid from here on is in the closes"
        yield Stretch(start, printed.last_bar, "price_only", False, said)


def _listed(start: dt.date, end: dt.date, status: Sequence[dict[str, Any]]) -> Iterator[Stretch]:
    if not status:
        said = "the list has no distribution in these bars: price returns are total returns"
        yield Stretch(start, end, "adjusted", True, said)
    runs: list[Any] = _merged([list(run) for _, run in groupby(status, key=_class)])
    for run, after in zip(runs, [*runs[1:], None][: len(runs)], strict=True):
        until = min(end, after[0]["ex_date"] - DAY) if after else end
        if start <= until:
            yield _stretch(start, until, run)
        start = max(start, until + DAY)


def _class(row: dict[str, Any]) -> str:
    if row["status"] == "missing":
        return "price_only" if not row["carried"] else "mixed"
    return "unknown" if row["status"] == "unknown" else "adjusted"


def _merged(runs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Runs too short to stand alone, with the runs on both sides of them."""
    merged: list[list[dict[str, Any]]] = []
    was_solid = True
    for run in runs:
        days = (run[-1]["ex_date"] - run[0]["ex_date"]).days
        solid = len(run) >= SOLID_ROWS or days >= SOLID_DAYS
        if merged and not (solid and was_solid):
            merged[-1] = merged[-1] + run
        else:
            merged.append(run)
        was_solid = solid
    return merged


def _stretch(start: dt.date, end: dt.date, run: list[dict[str, Any]]) -> Stretch:
    classes = [_class(row) for row in run]
    (usual, most), *others = sorted(
        ((name, classes.count(name)) for name in set(classes)), key=lambda pair: -pair[1]
    )
    basis = usual if not others or usual == "unknown" else "mixed"
    known = all(row["status"] != "unknown" and row["factor"] is not None for row in run)
    verb = {"adjusted": "are in the closes", "price_only": "are not in the closes"}
    said = f"{most} of {len(run)} distributions {verb.get(usual, 'cannot be told')}"
    odd = [row for row, name in zip(run, classes, strict=True) if name != usual]
    if odd:
        names = ", ".join(f"{row['ex_date']} {row['status']}" for row in odd[:NAMED])
        said += f"; {names}" + (f" and {len(odd) - NAMED} more" if len(odd) > NAMED else "")
    if early := sum(row["status"] == "early" for row in run):
        said += f"; {early} carried early"
    return Stretch(start, end, basis, known, said)
