"""From single distributions to stretches: from when to when the closes mean what.

Belongs here: one ticker's stretches. Does not: SQL, or judging a distribution (`basis_evidence`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, zip_longest
from statistics import median
from typing import Any, NamedTuple

from factorlab_assets.core.basis_evidence import STEPS_FEWEST, STEPS_GAP

SOLID_ROWS = 4
SOLID_DAYS = 366
"""A run of distributions treated alike is a stretch of its own if it has so many of them or lasts
that long; a shorter one makes its surroundings mixed: one coupon left out is no change of basis."""
NAMED = 5
"""So many ex-dates are named in the evidence."""

DAY = dt.timedelta(1)


class Printed(NamedTuple):
    """How a ticker's rows are printed. last_fractional : last bar with a fractional volume.

    last_off : where volumes are whole throughout, the last bar off the cent in a month most of
    whose bars are. Bars up to either carry some factor.
    """

    ticker: str
    first_bar: dt.date
    last_bar: dt.date
    n: int
    n_fractional: int
    last_fractional: dt.date | None
    n_off: int
    last_off: dt.date | None


class Stepped(NamedTuple):
    """Where the ratio to a plain second file, known from first to last, steps up: dates."""

    first: dt.date
    last: dt.date
    steps: list[dt.date]


class Stretch(NamedTuple):
    """Bars from first_date to last_date, both to be moved inwards to the next bar."""

    first_date: dt.date
    last_date: dt.date
    basis: str
    is_total_return_known: bool
    evidence: str


def stretches(
    printed: Printed,
    complete: tuple[dt.date, dt.date] | None,
    status: Sequence[dict[str, Any]],
    stepped: Stepped | None = None,
) -> list[Stretch]:
    """One ticker's stretches, in order, from its first bar to its last.

    complete : first and last day that its list of distributions covers, None without a list.
    status : rows of `distribution_status`, by ex-date. stepped : without a list, what a second
    file shows.
    """
    if complete is None or complete[1] < printed.first_bar:
        why = "no list of distributions" if complete is None else f"list ends {complete[1]}"
        if stepped is None:
            return list(_unlisted(printed, printed.first_bar, why))
        found = [*_unlisted(printed._replace(last_bar=stepped.first - DAY), printed.first_bar, why)]
        found += _by_steps(stepped)
        return [*found, *_unlisted(printed, stepped.last + DAY, why)]
    complete_from, complete_to = complete
    if complete_from > printed.last_bar:
        return list(_unlisted(printed, printed.first_bar, f"list begins {complete_from}"))
    listed: list[Stretch] = []
    if complete_from > printed.first_bar:
        before = printed._replace(last_bar=complete_from - DAY)
        listed += _unlisted(before, printed.first_bar, f"list begins {complete_from}")
    start = max(printed.first_bar, complete_from)
    listed += _listed(start, min(printed.last_bar, complete_to), status)
    if complete_to < printed.last_bar:
        listed += _unlisted(printed, complete_to + DAY, f"list ends {complete_to}")
    return listed


def _by_steps(stepped: Stepped) -> Iterator[Stretch]:
    """Steps that keep their rhythm are all there is; a long time without any holds none."""
    every = stepped.steps
    gaps = [(after - before).days for before, after in pairwise(every)]
    reach = dt.timedelta(int(STEPS_GAP * median(gaps)) if gaps else 0)
    start = stepped.first
    runs: list[list[dt.date]] = []
    for day in every:
        if runs and day - runs[-1][-1] <= reach:
            runs[-1].append(day)
        else:
            runs.append([day])
    for run in runs:
        if len(run) < STEPS_FEWEST:
            continue
        since = max(start, run[0] - reach)
        if start < since:
            yield _stepless(start, since - DAY, every)
        until = min(stepped.last, run[-1] + reach)
        said = f"ratio to a plain second source steps up {len(run)} times without a longer gap"
        yield Stretch(since, until, "adjusted", True, said)
        start = until + DAY
    if start <= stepped.last:
        yield _stepless(start, stepped.last, every)


def _stepless(start: dt.date, end: dt.date, steps: Sequence[dt.date]) -> Stretch:
    n = sum(start <= day <= end for day in steps)
    said = f"ratio to a plain second source steps up {n} times; no list of distributions"
    return Stretch(start, end, "unknown" if n else "price_only", False, said)


def _unlisted(printed: Printed, start: dt.date, why: str) -> Iterator[Stretch]:
    """By how the rows are printed alone: where the factor is 1, nothing later is in the closes."""
    marks = [day for day in (printed.last_fractional, printed.last_off) if day is not None]
    factored = min(max(marks), printed.last_bar) if marks else None
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
    runs = _merged([list(run) for _, run in groupby(status, key=_class)])
    for run, after in zip_longest(runs, runs[1:]):
        until = min(end, after[0]["ex_date"] - DAY) if after else end
        if start <= until:
            yield _stretch(start, until, run)
        start = max(start, until + DAY)


def _class(row: dict[str, Any]) -> str:
    if row["status"] == "missing":
        return "price_only" if not row["carried"] else "mixed"
    return "unknown" if row["status"] == "unknown" else "adjusted"


Rows = list[dict[str, Any]]


def _merged(runs: Sequence[Rows]) -> list[Rows]:
    """Runs too short to stand alone join the long one beside them that is like most of them, or
    both where those are alike. What cannot be told always stands alone: around it, it can."""
    blocks: list[tuple[str, Rows]] = []
    for run in runs:
        name = _class(run[0]) if _is_solid(run) else ""
        if blocks and not name and not blocks[-1][0]:
            blocks[-1][1].extend(run)
        else:
            blocks.append((name, list(run)))
    names = ["", *("" if name == "unknown" else name for name, _ in blocks), ""]
    joins_next = [False] * (len(blocks) + 1)
    for i, (name, rows) in enumerate(blocks):
        left, right = names[i], names[i + 2]
        if not name:
            to_left = bool(left) and (not right or right == left or left == _usual(rows)[0])
            joins_next[i] = to_left
            joins_next[i + 1] = bool(right) and (right == left or not to_left)
    merged: list[Rows] = []
    for joined, (_, rows) in zip(joins_next, blocks, strict=False):
        if joined:
            merged[-1].extend(rows)
        else:
            merged.append(rows)
    return merged


def _is_solid(run: Rows) -> bool:
    days = (run[-1]["ex_date"] - run[0]["ex_date"]).days
    return len(run) >= SOLID_ROWS or days >= SOLID_DAYS or _class(run[0]) == "unknown"


def _usual(run: Rows) -> tuple[str, int]:
    names = [_class(row) for row in run]
    return max(((name, names.count(name)) for name in sorted(set(names))), key=lambda pair: pair[1])


def _stretch(start: dt.date, end: dt.date, run: list[dict[str, Any]]) -> Stretch:
    usual, most = _usual(run)
    odd = [row for row in run if _class(row) != usual]
    basis = usual if not odd or usual == "unknown" else "mixed"
    known = all(row["status"] != "unknown" and row["factor"] is not None for row in run)
    verb = {"adjusted": "are in the closes", "price_only": "are not in the closes"}
    said = f"{most} of {len(run)} distributions {verb.get(usual, 'cannot be told')}"
    if odd:
        names = ", ".join(f"{row['ex_date']} {_told(row)}" for row in odd[:NAMED])
        said += f"; {names}" + (f" and {len(odd) - NAMED} more" if len(odd) > NAMED else "")
    if early := sum(row["status"] == "early" for row in run):
        said += f"; {early} carried early"
    return Stretch(start, end, basis, known, said)


def _told(row: dict[str, Any]) -> str:
    return "in part" if _class(row) == "mixed" else str(row["status"])
