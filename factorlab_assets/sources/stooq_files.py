"""Prices from Stooq files that the user downloaded: a zip, a folder of any depth, or one file.

Belongs here: what Stooq's files mean. Does not: finding and opening them (`price_files`), the text
inside (`stooq_format`), downloading, or the database.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from factorlab_assets.core import calendar
from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import price_files, stooq_format
from factorlab_assets.sources.base import Answer, Coverage, Fetched, coverage_of

EXPECTED = "Stooq's zip as downloaded, its unpacked folder, or a folder of CSV files"
FILES_LOOKED_INTO = 25
"""How many files `latest_month` opens: they agree on the last date, so a sample tells it."""


class StooqFiles:
    """Stooq's bulk archive as downloaded, its unpacked folder, or per-symbol files."""

    name = "stooq-files"

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` (None = of every file) dated up to `through`, by ticker and date.

        Raises
        ------
        FactorLabError : as `price_files.fetch`.
        """
        return price_files.fetch(self.path, EXPECTED, read, tickers, through)


def latest_month(path: Path) -> str:
    """The last month that the files at `path` cover up to its last session, as '2024-05'.

    Told by the last date that most of a sample of files have, so that neither a delisted ticker
    nor a misprinted date decides. Whether the bar of that day is whole cannot be seen.

    Raises
    ------
    FactorLabError : as `StooqFiles.fetch`, or no file of the sample holds a date.
    """
    with price_files.listing(path, EXPECTED) as found:
        files = [same[0] for _, same in sorted(found.by_ticker.items())]
        sample = files[:: -(-len(files) // FILES_LOOKED_INTO)]
        days = [stooq_format.last_date(price_files.contents(file)[0]) for file in sample]
    counts = Counter(day for day in days if day is not None)
    if not counts:
        raise FactorLabError(
            "no prices found",
            where=path,
            got=f"no dated row in {len(sample)} files, {sample[0].name} for example",
            expected="Stooq price files",
            do="see what the files hold; download the archive again",
        )
    last = max(counts, key=lambda day: (counts[day], day))
    return calendar.last_closed_month(last + dt.timedelta(days=1))


def read(body: bytes, ticker: str, through: dt.date) -> Answer:
    """The bars of one of Stooq's bodies, or why there are none."""
    kind = stooq_format.classify(body)
    if kind != "data":
        status = {"empty": "empty_file", "no_data": "no_data"}.get(kind, "unreadable")
        return Answer(Coverage(ticker, status, detail=f"holds {stooq_format.SAYINGS[kind]}"))
    bars, rejections = stooq_format.parse(body, ticker, through)
    coverage = coverage_of(ticker, bars, rejections, through)
    return Answer(coverage, bars, rejections, stooq_format.last_date(body))
