"""The second vendor's daily CSV files (Alpha Vantage's): raw prices, dividends and splits per day.

Belongs here: that format, and making its raw prices split-adjusted. Does not: finding the files
(`price_files`), what makes a bar a good one (`stooq_format`), or judging distributions.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets.sources import price_files, stooq_format
from factorlab_assets.sources.base import PRICE_SCHEMA, Answer, Coverage, Fetched, coverage_of

HEADER = "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"
EXPECTED = f"a folder or zip of the vendor's files TICKER.csv with the columns {HEADER}"
LARGEST_SPLIT = 1000.0
"""No fund or share was ever split, or consolidated, by more in one day: beyond it is a slip."""

_OURS = {"timestamp": "date"}
_COLUMNS = [_OURS.get(name, name) for name in HEADER.split(",")]
_SHOWN = 60


class VendorCsv:
    """The second vendor's files: raw prices made split-adjusted to the last date of each file.

    A bar is divided by every later split coefficient of its file, its volume multiplied. Those
    after the day asked for count as well: prices are on the same footing as another archive's of
    the same age, and returns are the same either way. A coefficient that is no ratio makes the
    ticker unreadable, as every earlier price hangs on it.
    """

    name = "alphavantage"

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` (None = of every file) dated up to `through`, by ticker and date.

        Raises
        ------
        FactorLabError : as `price_files.fetch`.
        """
        return price_files.fetch(self.path, EXPECTED, read, tickers, through)


@dataclass(frozen=True)
class Row:
    """A line of a file: its number, what it says, and its fields."""

    number: int
    text: str
    fields: Mapping[str, str]


def is_format(body: bytes) -> bool:
    """Whether a body begins with this vendor's header."""
    header = body[:1024].removeprefix(stooq_format.BOM).splitlines()[:1]
    return [line.decode("latin-1").strip().lower() for line in header] == [HEADER]


def rows(body: bytes) -> Iterator[Row]:
    """Every line below the header that is not blank; without fields where their number is off."""
    for number, line in enumerate(body.splitlines()[1:], start=2):
        text = line.decode("latin-1").strip()
        fields = [field.strip() for field in text.split(",")]
        if text:
            is_whole = len(fields) == len(_COLUMNS)
            yield Row(number, text, dict(zip(_COLUMNS, fields, strict=True)) if is_whole else {})


def ratio(text: str) -> float | None:
    """A split coefficient: new shares per old one; None where that is none.

    >>> [ratio(text) for text in ("2.0", "3.000003", "0", "", "1e9", "nan")]
    [2.0, 3.000003, None, None, None, None]
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return None
    value = float(text)
    return value if 1 / LARGEST_SPLIT <= value <= LARGEST_SPLIT else None


def read(body: bytes, ticker: str, through: dt.date) -> Answer:
    """The split-adjusted bars of one body, or why there are none."""
    if not body.strip():
        return Answer(Coverage(ticker, "empty_file", detail="holds nothing at all"))
    if not is_format(body):
        said = f"holds none of this vendor's files: {body[:_SHOWN].decode('latin-1')!a}"
        return Answer(Coverage(ticker, "unreadable", detail=said))
    splits: dict[dt.date | None, float] = {}
    for row in rows(body):
        written = row.fields.get("split_coefficient", "1")
        day, found = stooq_format.date_of(row.fields.get("date", "")), ratio(written)
        is_lost = day is None and found != 1
        if found is None or is_lost or splits.setdefault(day, found) != found:
            said = f"line {row.number}: {written!r} is no split of one day, or a second one of it"
            return Answer(Coverage(ticker, "unreadable", detail=said))
    header, *lines = body.splitlines()
    oldest_first = b"\n".join([header, *reversed(lines), b""])  # which is read by column
    bars, rejections = stooq_format.parse(oldest_first, ticker, through, _COLUMNS)
    coverage = coverage_of(ticker, bars, rejections, through)
    last = stooq_format.last_date(oldest_first, _COLUMNS)
    return Answer(coverage, _adjusted(bars, splits), rejections, last)


def _adjusted(bars: pa.Table, splits: Mapping[dt.date | None, float]) -> pa.Table:
    """Raw `bars` per share of today: price / Π of the later coefficients, volume times as much."""
    real = sorted((day, value) for day, value in splits.items() if day and value != 1)
    if not real:
        return bars
    days = np.array([day for day, _ in real], "datetime64[D]")
    later = np.append(np.cumprod([value for _, value in real[::-1]])[::-1], 1.0)
    factor = pa.array(later[np.searchsorted(days, bars.column("date").to_numpy(), side="right")])
    for place, name in enumerate(PRICE_SCHEMA.names):
        if name in stooq_format.VALUES:
            change = pc.multiply if name == "volume" else pc.divide
            bars = bars.set_column(place, name, change(bars.column(name), factor))
    return bars
