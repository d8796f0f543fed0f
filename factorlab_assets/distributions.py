"""Distributions that a user hands in: read whole, per split-adjusted share, or refused whole.

Belongs here: what a list may say, and what its amounts are per share. Does not: the files' formats
(`distributions_files`), or applying distributions to prices (`core`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from factorlab_assets.core import calendar
from factorlab_assets.distributions_files import EXPECTED, Line, read_lines
from factorlab_assets.engine import scratch
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import TICKER_PATTERN
from factorlab_assets.sources.vendor_csv import ratio

SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("ex_date", pa.date32()),
        ("amount", pa.float64()),
        ("split", pa.float64()),
    ]
)
ABSURD_SHARE = 0.25
"""An amount above this share of the ex-date's close is a slip of the decimal point, or of another
currency: of 1,406 payments of 13 real ETFs the largest is 4 %, and a monthly coupon slipped by two
places is 30 %. A real payment as large can be given in two rows."""
SHOWN = 20
UNSEEN_DAYS = 100
"""A list of raw amounts that ends more than a quarter before the prices' source may lack splits."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_distributions(
    path: Path,
    tickers: Collection[str],
    through: dt.date,
    *,
    bars: pa.Table | None = None,
    adjusted_to: dt.date | None = None,
) -> tuple[pa.Table, list[str]]:
    """The distributions of `tickers` with ex-dates up to `through` that a file or folder lists.

    Formats: CSV with the header ticker,ex_date,amount[,split]; the second vendor's files, one per
    ticker. With the column split (new shares per old one, empty or 1 without a split), and in the
    vendor's files, amounts are as paid, and divided by every later split up to `adjusted_to`;
    without it they are per split-adjusted share already. Amounts of one ticker and day add up. An
    amount of 0 says that the list is complete to that day; where a ticker's list goes on beyond
    `through`, such a row on `through` says so.

    Parameters
    ----------
    tickers : those that were asked for; all others are unknown.
    bars : columns ticker, date, close of split-adjusted prices, to tell absurd amounts by.
    adjusted_to : the last day whose splits are in the prices; None = all of the list's are.

    Returns
    -------
    Table (ticker, ex_date date32, amount per split-adjusted share, split on the day), sorted; and
    notes for the user on what was left out or cannot be known.

    Raises
    ------
    FactorLabError : unreadable, other columns; or one row or more that is malformed, of an unknown
        ticker, on no exchange session, absurd, negative or there twice. Then nothing is used, and
        the error counts the rows by reason and shows the first of each.
    """
    lines, notes = read_lines(path, tickers)
    given, faults = _judged(lines, tickers)
    _per_adjusted_share(given, adjusted_to or dt.date.max)
    if bars is not None:
        faults |= _absurd(given, bars)
    if faults:
        raise _refusal(path, lines, faults)
    if not given:
        raise FactorLabError(
            "no distributions of any ticker that was asked for",
            where=path,
            got="; ".join(notes) or "no rows",
            expected=EXPECTED,
        )
    if adjusted_to is not None:
        notes += _unseen_splits(given, adjusted_to)
    return _table(given, through), notes


@dataclass
class _Given:
    """A line that could be read; `amount` becomes per split-adjusted share."""

    number: int
    ticker: str
    day: dt.date
    amount: float
    split: float
    is_raw: bool


def _judged(
    lines: Sequence[Line], tickers: Collection[str]
) -> tuple[list[_Given], dict[int, tuple[str, str]]]:
    """The good lines, and number of the line -> reason and its figures for the others."""
    given: list[_Given] = []
    faults: dict[int, tuple[str, str]] = {}
    seen: dict[tuple[object, ...], str] = {}
    splits: dict[tuple[str, dt.date], str] = {}
    for number, line in enumerate(lines):
        said = _said(number, line, tickers)
        if isinstance(said, tuple):
            faults[number] = said
            continue
        same = (said.ticker, said.day, said.amount, said.split)
        before = seen.setdefault(same, line.place)
        if before != line.place:
            faults[number] = ("there twice", f"as in {before}")
        elif said.split != 1 and splits.setdefault(same[:2], line.place) != line.place:
            faults[number] = ("a second split on one day", f"after {splits[same[:2]]}")
        else:
            given.append(said)
    return given, faults


def _said(number: int, line: Line, tickers: Collection[str]) -> _Given | tuple[str, str]:
    """What a line says, or the reason that it says nothing usable and the figures to it."""
    if line.fault:
        return line.fault, ""
    if not re.fullmatch(TICKER_PATTERN, line.ticker):
        return "no ticker", "expected upper case, as in SPY"
    if line.ticker not in tickers:
        return "unknown ticker", ""
    day = _day(line.ex_date)
    if day is None:
        return "no ex-date", "expected YYYY-MM-DD"
    every = _sessions()
    later = bisect_left(every, day)
    if every[later : later + 1] != [day]:
        following = every[later] if 0 < later < len(every) else "not known"
        return "ex-date on no trading day", f"the next one is {following}"
    if not _NUMBER.fullmatch(line.amount):
        return "amount is no number", "a plain decimal in the currency of the prices"
    amount = float(line.amount)
    if amount < 0:
        return "negative amount", ""
    split = ratio(line.split)
    if split is None or math.isinf(amount):
        return "absurd split or amount", "splits from 0.001 to 1000 new shares per old one"
    return _Given(number, line.ticker, day, amount, split, line.is_raw)


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


@cache
def _sessions() -> list[dt.date]:
    days: list[dt.date] = calendar.sessions(calendar.FIRST_DAY, calendar.LAST_DAY).tolist()
    return days


def _per_adjusted_share(given: Sequence[_Given], adjusted_to: dt.date) -> None:
    """Divide each raw amount by Π of its ticker's splits after the ex-date, to `adjusted_to`."""
    splits: Mapping[str, list[tuple[dt.date, float]]] = defaultdict(list)
    for row in given:
        if row.split != 1 and row.day <= adjusted_to:
            splits[row.ticker].append((row.day, row.split))
    for row in given:
        if row.is_raw:
            later = (split for day, split in splits.get(row.ticker, ()) if day > row.day)
            row.amount /= math.prod(later)


def _absurd(given: Sequence[_Given], bars: pa.Table) -> dict[int, tuple[str, str]]:
    """The amounts above `ABSURD_SHARE` of their ex-date's close; a day without a bar tells none."""
    rows = _columns(given) | {"number": [row.number for row in given]}
    with scratch() as con:
        con.register("given", pa.table(rows, schema=SCHEMA.append(pa.field("number", pa.int64()))))
        con.register("bars", bars)
        found = con.execute(
            """SELECT number, amount, close FROM given JOIN bars USING (ticker)
            WHERE bars.date = ex_date AND amount > ? * close""",
            [ABSURD_SHARE],
        ).fetchall()
    why = f"amount above {ABSURD_SHARE:.0%} of the close"
    return {n: (why, f"{amount:g} per adjusted share at {close:g}") for n, amount, close in found}


def _refusal(
    path: Path, lines: Sequence[Line], faults: Mapping[int, tuple[str, str]]
) -> FactorLabError:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for number in sorted(faults):
        reason, figures = faults[number]
        line = lines[number]
        why = f"{reason}; {figures}" if figures else reason
        by_reason[reason].append(f"{line.place}: {ascii(line.text[:80])[1:-1]} ({why})")
    each = max(SHOWN // len(by_reason), 1)
    counts = ", ".join(f"{len(rows)} × {reason}" for reason, rows in by_reason.items())
    shown = "; ".join("; ".join(rows[:each]) for rows in by_reason.values())
    return FactorLabError(
        f"the distributions are refused as a whole, {len(faults)} of {len(lines)} rows not being "
        "usable; nothing was applied",
        where=path,
        got=f"{counts}. {shown}",
        expected="rows of tickers that were asked for, ex-dates on exchange sessions, amounts of 0 "
        "or more, each once",
        do="correct these rows or take them out, then ingest again",
    )


def _unseen_splits(given: Sequence[_Given], adjusted_to: dt.date) -> list[str]:
    last: dict[str, dt.date] = {}
    for row in given:
        if row.is_raw:
            last[row.ticker] = max(row.day, last.get(row.ticker, row.day))
    early = sorted(t for t, day in last.items() if (adjusted_to - day).days > UNSEEN_DAYS)
    if not early:
        return []
    return [
        f"the lists of {len(early)} tickers end well before the prices' source ({adjusted_to}), "
        f"{early[0]} on {last[early[0]]} for example: a split after that is not in their amounts"
    ]


def _columns(given: Sequence[_Given]) -> dict[str, list[object]]:
    return {
        "ticker": [row.ticker for row in given],
        "ex_date": [row.day for row in given],
        "amount": [row.amount for row in given],
        "split": [row.split for row in given],
    }


def _table(given: Sequence[_Given], through: dt.date) -> pa.Table:
    total: dict[tuple[str, dt.date], tuple[float, float]] = {}
    begun: set[str] = set()
    for row in sorted(given, key=lambda row: (row.ticker, row.day, row.amount)):
        day, amount, split = row.day, row.amount, row.split
        if day <= through:
            begun.add(row.ticker)
        elif row.ticker in begun:
            day, amount, split = through, 0.0, 1.0
        else:
            continue
        before, ratio_before = total.get((row.ticker, day), (0.0, 1.0))
        total[row.ticker, day] = (before + amount, ratio_before * split)
    return pa.Table.from_pylist(
        [
            {"ticker": ticker, "ex_date": day, "amount": amount, "split": split}
            for (ticker, day), (amount, split) in sorted(total.items())
        ],
        schema=SCHEMA,
    )
