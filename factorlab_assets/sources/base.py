"""The protocol that every price source follows, and the records that it returns.

Belongs here: what all sources share. Does not: any one format or any database write.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

PRICE_SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("date", pa.date32()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
    ]
)
"""One bar: split-adjusted prices per share, volume in shares (null = not given)."""

STATUSES = ("ok", "no_data", "empty_file", "unreadable", "missing", "not_fetched")


@dataclass(frozen=True)
class Rejection:
    """Rows of one ticker kept out of the prices for one reason, the first of them as sample."""

    ticker: str
    reason: str
    n_rows: int
    sample: str


@dataclass(frozen=True)
class Coverage:
    """What one requested ticker yielded; `status` is one of `STATUSES`, `detail` says why."""

    ticker: str
    status: str
    n_rows: int = 0
    n_rejected: int = 0
    first_date: dt.date | None = None
    last_date: dt.date | None = None
    detail: str = ""


@dataclass(frozen=True)
class Fetched:
    """The answer of a source: bars (`PRICE_SCHEMA`) up to the asked day, and how they came about.

    `coverage` has one record per requested ticker (per ticker found, where all were asked for).
    `last_available` is the last date the source held at all, before cutting: a month cut out of a
    later file is backfilled. `notes` are sentences for the user (limits hit, when to go on).
    """

    prices: pa.Table
    coverage: Sequence[Coverage]
    rejections: Sequence[Rejection] = field(default_factory=tuple)
    last_available: dt.date | None = None
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Answer:
    """What one requested ticker yielded; `last` is its last date before cutting, if known."""

    coverage: Coverage
    bars: pa.Table | None = None
    rejections: Sequence[Rejection] = ()
    last: dt.date | None = None


def coverage_of(
    ticker: str, bars: pa.Table, rejections: Sequence[Rejection], through: dt.date
) -> Coverage:
    """The record of a ticker whose rows could be read: bars by date, and what was kept out."""
    dates = bars.column("date")
    n_rejected = sum(rejection.n_rows for rejection in rejections)
    if len(dates):
        return Coverage(ticker, "ok", len(dates), n_rejected, dates[0].as_py(), dates[-1].as_py())
    if rejections:
        return Coverage(
            ticker, "unreadable", n_rejected=n_rejected, detail="every row was kept out"
        )
    return Coverage(ticker, "no_data", detail=f"no bar up to {through}")


def gathered(
    answers: Sequence[Answer], last_available: dt.date | None, notes: Sequence[str]
) -> Fetched:
    """The answers about single tickers as the answer of the source."""
    bars = [answer.bars for answer in answers if answer.bars is not None]
    return Fetched(
        pa.concat_tables([PRICE_SCHEMA.empty_table(), *bars]),
        [answer.coverage for answer in answers],
        [rejection for answer in answers for rejection in answer.rejections],
        last_available,
        notes,
    )


class Source(Protocol):
    """A place that prices come from."""

    name: str

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` (None = every ticker there is) dated up to and including `through`.

        Never raises for one bad ticker: that is a coverage record. Raises FactorLabError where
        nothing at all can be had (no such file, corrupt zip, access denied).
        """
        ...
