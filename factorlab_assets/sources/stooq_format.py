"""One Stooq text body: what kind of answer it is, and the bars in it.

Belongs here: Stooq's formats and the judgement of a row. Does not: where a body comes from, zip
files or HTTP.

A body whose rows are all good is parsed by column, in a few milliseconds. Any fault sends that one
body through a row-by-row reading, which alone knows the reasons; both accept the same rows.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources.base import PRICE_SCHEMA, Rejection

BOM = b"\xef\xbb\xbf"
PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
SAMPLE_BYTES = 120
EARLIEST_YEAR = 1700
"""Stooq's oldest series begin in the 18th century; a year below is a misread number."""

_EARLIEST = np.datetime64(dt.date(EARLIEST_YEAR, 1, 1))
_ENDS = 4096
_MAY_BE_MISSING = ("volume", "openint")
_DASHED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBERS = re.compile(r"[0-9A-Za-z.,+-]+")

_WORDS = {
    **{word: word for word in ("ticker", "per", "date", "time", *VALUES, "openint")},
    "vol": "volume",
    "data": "date",
    "otwarcie": "open",
    "najwyzszy": "high",
    "najnizszy": "low",
    "zamkniecie": "close",
    "wolumen": "volume",
    "lop": "openint",
}

SAYINGS = {
    "data": "prices",
    "empty": "nothing at all",
    "no_data": "Stooq's answer that it has no data",
    "limit": "Stooq's answer that the daily limit of downloads is used up",
    "denied": "Stooq's answer that access is denied",
    "key_wanted": "Stooq's instructions to get an apikey",
    "write_to": "Stooq's request to write to them before using their data",
    "challenge": "Stooq's check that a browser is asking",
    "html_other": "a web page",
    "unknown": "text that is none of Stooq's formats",
}
"""Every kind of body that `classify` names, in words for the user."""

_PHRASES = (
    (b"hits limit", "limit"),
    (b"dzienny limit", "limit"),
    (b"access denied", "denied"),
    (b"odmowa dost", "denied"),
    (b"apikey", "key_wanted"),
    (b"www@stooq", "write_to"),
    (b"no data", "no_data"),
    (b"brak danych", "no_data"),
)


def classify(body: bytes) -> str:
    """What a body is: one of the keys of `SAYINGS`. Stooq sends them all with HTTP 200.

    >>> classify(b"No data"), classify(b"Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie")
    ('no_data', 'data')
    """
    head = body[:_ENDS].removeprefix(BOM).strip().lower()
    if not head:
        return "empty"
    if _columns(body) is not None:
        return "data"
    if head.startswith(b"<"):
        return "challenge" if b"verify your browser" in head else "html_other"
    return next((kind for phrase, kind in _PHRASES if phrase in head), "unknown")


def parse(
    body: bytes,
    ticker: str,
    through: dt.date = dt.date.max,
    columns: Sequence[str] | None = None,
) -> tuple[pa.Table, list[Rejection]]:
    """The good bars of one body dated up to `through`, ascending, and what was kept out of them.

    Rows dated after `through` fall away unjudged: they are no rejections and change nothing.
    Kept out, counted per reason:

    - malformed rows: not as many fields as the header names (volume and open interest may be
      missing where the line is ended), or a field that is no number;
    - impossible dates; rows of another ticker or another period than a day;
    - prices that are not above zero or not finite; a negative volume (an empty one is null);
    - open or close outside [low, high], compared exactly: Stooq rounds after adjusting, and
      rounding keeps the order, so not one of 2.7 million real rows needs a tolerance;
    - a second row of the same date: copies beyond the first, and where the bars differ all of
      them, as nobody can say which is true;
    - rows out of order: a date that contradicts its neighbours. As few as possible are kept out
      (all but a longest ascending run). A file that is newest first is read from its end.

    Parameters
    ----------
    ticker : FactorLab's name of the symbol; rows that name a ticker must name this one.
    columns : of another vendor's body, whose header is not looked at; ours among them are read.

    Raises
    ------
    FactorLabError : the header is none of Stooq's (see `classify`).

    Examples
    --------
    >>> text = b"Date,Open,High,Low,Close\\n2024-05-30,9,9,8,8\\n2024-05-31,7,9,8,8\\n"
    >>> bars, rejections = parse(text, "SPY")
    >>> bars.column("date").to_pylist(), bars.column("volume").to_pylist()
    ([datetime.date(2024, 5, 30)], [None])
    >>> rejections
    [Rejection(ticker='SPY', reason='open below low', n_rows=1, sample='2024-05-31,7,9,8,8')]
    """
    columns = columns or _columns(body)
    if columns is None:
        raise FactorLabError(
            "this is not a Stooq price file",
            where=ticker,
            got=_printable(body.lstrip().splitlines()[0] if body.strip() else b"nothing"),
            expected="a header such as Date,Open,High,Low,Close,Volume",
        )
    bars = _by_column(body, columns, ticker, through)
    return (bars, []) if bars is not None else _row_by_row(body, columns, ticker, through)


def last_date(body: bytes, columns: Sequence[str] | None = None) -> dt.date | None:
    """The latest date of a body, by its first and last dated rows alone; None without any."""
    columns = columns or _columns(body)
    if columns is None:
        return None
    place = columns.index("date")
    head, tail = body[:_ENDS].splitlines()[1:], body[-_ENDS:].splitlines()[::-1]
    found = (
        next(filter(None, (date_of(*_fields(line)[place:][:1]) for line in lines)), None)
        for lines in (head, tail)
    )
    return max(filter(None, found), default=None)


def _columns(body: bytes) -> list[str] | None:
    """Our names of the header's columns, None where it is none of Stooq's headers."""
    header = body[:_ENDS].removeprefix(BOM).splitlines()[:1]
    words = _fields(header[0]) if header else []
    names = [_WORDS.get(word.strip("<>").lower(), "") for word in words]
    is_known = "" not in names and len(set(names)) == len(names)
    return names if is_known and {"date", *PRICES} <= set(names) else None


def _fields(line: bytes) -> list[str]:
    return [field.strip(" \t") for field in line.decode("latin-1").rstrip("\r\n").split(",")]


def _spellings(ticker: str) -> tuple[str, str]:
    """How a row may name a ticker: FactorLab drops the `.US` that Stooq writes."""
    return ticker, f"{ticker}.US"


def _by_column(
    body: bytes, columns: Sequence[str], ticker: str, through: dt.date
) -> pa.Table | None:
    """The bars of a faultless body; None where any row needs a closer look."""
    table = _typed(body, columns)
    if table is None or table.column("date").null_count:
        return None
    days = _days(table.column("date"))
    if np.isnat(days).any() or not (days[1:] > days[:-1]).all():
        return None
    days = days[: np.searchsorted(days, np.datetime64(through), side="right")]
    table = table.slice(0, len(days))
    for name, allowed in (("ticker", _spellings(ticker)), ("per", ("D",))):
        if name in columns and not set(table.column(name).unique().to_pylist()) <= set(allowed):
            return None
    if "volume" not in columns:
        table = table.append_column("volume", pa.nulls(len(days), pa.float64()))
    open_, high, low, close, volume = (table.column(name).to_numpy() for name in VALUES)
    good = (low > 0) & (high < np.inf)
    good &= (low <= open_) & (open_ <= high) & (low <= close) & (close <= high)
    good_volumes = ((volume >= 0) & (volume < np.inf)).sum()
    if not good.all() or good_volumes + table.column("volume").null_count < len(days):
        return None
    return _bars(ticker, days, [table.column(name) for name in VALUES])


def _typed(body: bytes, columns: Sequence[str]) -> pa.Table | None:
    """The columns that matter, each with its type; None where a row does not fit."""
    date = columns.index("date")
    first_row = [_fields(line) for line in body[:_ENDS].splitlines()[1:2]]
    has_dashes = any("-" in field for row in first_row for field in row[date:][:1])
    word, number = pa.dictionary(pa.int32(), pa.string()), pa.float64()
    types = {"ticker": word, "per": word, "date": pa.date32() if has_dashes else pa.int32()}
    types |= dict.fromkeys(VALUES, number)
    try:
        return csv.read_csv(
            pa.BufferReader(body),
            csv.ReadOptions(
                use_threads=False, block_size=len(body), column_names=columns, skip_rows=1
            ),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                include_columns=[name for name in columns if name in types],
            ),
        )
    except pa.ArrowInvalid:
        return None


def _days(dates: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    """A column of dates or of numbers like 20240531 as days; NaT where there is no such day."""
    if pa.types.is_date(dates.type):
        days: npt.NDArray[np.datetime64] = dates.to_numpy()
        return np.where(days >= _EARLIEST, days, np.datetime64("NaT"))
    number = dates.to_numpy().astype(np.int64)
    month = (number // 10000 - 1970) * 12 + number // 100 % 100 - 1
    months = month.astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (number % 100 - 1)
    exists = (days.astype("datetime64[M]") == months) & (number // 100 % 100 - 1 == month % 12)
    exists &= (days >= _EARLIEST) & (days <= np.datetime64(dt.date.max))
    return np.where(exists, days, np.datetime64("NaT"))


def _bars(ticker: str, days: object, values: Sequence[object]) -> pa.Table:
    dates = pa.array(days, pa.date32())
    tickers = pa.repeat(pa.scalar(ticker, pa.string()), len(dates))
    return pa.table([tickers, dates, *values], schema=PRICE_SCHEMA)


class _Row(NamedTuple):
    day: dt.date
    bar: tuple[float | None, ...]
    line: bytes


def _row_by_row(
    body: bytes, columns: Sequence[str], ticker: str, through: dt.date
) -> tuple[pa.Table, list[Rejection]]:
    kept_out: dict[str, list[bytes]] = defaultdict(list)
    rows: list[_Row] = []
    needed = 1 + max(columns.index(name) for name in columns if name not in _MAY_BE_MISSING)
    date = columns.index("date")
    for line in body.splitlines(keepends=True)[1:]:
        fields = _fields(line)
        day = date_of(*fields[date:][:1])
        if not line.strip() or (day is not None and day > through):
            continue
        # A line that the download cut short ends without a line end.
        fewest = needed if line.endswith((b"\n", b"\r")) else len(columns)
        if not fewest <= len(fields) <= len(columns):
            kept_out["malformed row"].append(line)
        elif day is None:
            kept_out["impossible date"].append(line)
        else:
            bar = _bar(dict(zip(columns, fields, strict=False)), ticker)
            if isinstance(bar, str):
                kept_out[bar].append(line)
            else:
                rows.append(_Row(day, bar, line))
    rows = _in_order(_one_per_day(rows, kept_out), kept_out)
    values = list(zip(*(row.bar for row in rows), strict=True)) or [()] * len(VALUES)
    bars = _bars(ticker, [row.day for row in rows], [pa.array(v, pa.float64()) for v in values])
    return bars, [
        Rejection(ticker, reason, len(lines), _printable(lines[0]))
        for reason, lines in sorted(kept_out.items())
        if lines
    ]


def date_of(text: str = "") -> dt.date | None:
    """The day that a text like 2024-05-31 or 20240531 means; None where it is none."""
    digits = text.replace("-", "") if _DASHED.fullmatch(text) else text
    try:
        number = int(digits) if digits.isascii() and digits.isdigit() else 0
        day = dt.date(number // 10000, number // 100 % 100, number % 100)
    except (ValueError, OverflowError):
        return None
    return day if day.year >= EARLIEST_YEAR else None


def _bar(row: Mapping[str, str], ticker: str) -> tuple[float | None, ...] | str:
    """A row's open, high, low, close and volume; or why it is kept out."""
    if row.get("ticker", ticker) not in _spellings(ticker):
        return "row of another ticker"
    if row.get("per", "D") != "D":
        return "not a daily bar"
    given = [row[name] for name in PRICES] + [row.get("volume") or "0"]
    if not _NUMBERS.fullmatch(",".join(given)):
        return "malformed row"
    try:
        numbers = [float(text) for text in given]
    except ValueError:
        return "malformed row"
    return _fault(*numbers) or (*numbers[:-1], numbers[-1] if row.get("volume") else None)


def _fault(open_: float, high: float, low: float, close: float, volume: float) -> str:
    """What is wrong with a bar, '' for nothing."""
    if 0 < low <= open_ <= high < math.inf and low <= close <= high and 0 <= volume < math.inf:
        return ""
    prices = (open_, high, low, close)
    faults = {
        "price not finite": not all(map(math.isfinite, prices)),
        "zero or negative price": min(prices) <= 0,
        "high below low": high < low,
        "close above high": close > high,
        "close below low": close < low,
        "open above high": open_ > high,
        "open below low": open_ < low,
        "volume negative or not finite": True,
    }
    return next(reason for reason, is_so in faults.items() if is_so)


def _one_per_day(rows: Sequence[_Row], kept_out: dict[str, list[bytes]]) -> list[_Row]:
    """Rows of a day that is given once; of identical rows the first."""
    by_day: dict[dt.date, list[_Row]] = defaultdict(list)
    for row in rows:
        by_day[row.day].append(row)
    single = []
    for first, *others in by_day.values():
        if all(other.bar == first.bar for other in others):
            single.append(first)
            kept_out["duplicate date, same bar"] += [row.line for row in others]
        else:
            kept_out["duplicate date, different bars"] += [row.line for row in (first, *others)]
    return single


def _in_order(rows: list[_Row], kept_out: dict[str, list[bytes]]) -> list[_Row]:
    """A longest ascending run of the rows, read from the end if they are newest first.

    Patience sorting, from the last row to the first: of two rows that contradict each other alone
    the upper one stays.
    """
    falls = sum(later.day < earlier.day for earlier, later in pairwise(rows))
    if 2 * falls > len(rows) - 1:
        rows = rows[::-1]
    starts: list[int] = []  # [k]: minus the latest day that an ascent of k + 1 rows can start with,
    its_row: list[int] = []  # and the row that does
    after: dict[int, int] = {}  # the row after each row in its ascent
    for i in reversed(range(len(rows))):
        start = -rows[i].day.toordinal()
        k = bisect_left(starts, start)
        if k:
            after[i] = its_row[k - 1]
        starts[k : k + 1], its_row[k : k + 1] = [start], [i]
    kept = its_row[-1:]
    while kept and kept[-1] in after:
        kept.append(after[kept[-1]])
    misplaced = set(range(len(rows))).difference(kept)
    kept_out["out of date order"] += [rows[i].line for i in sorted(misplaced)]
    return [rows[i] for i in kept]


def _printable(line: bytes) -> str:
    """The start of a line of unknown bytes, with everything unprintable escaped."""
    return repr(line.rstrip(b"\r\n")[:SAMPLE_BYTES])[2:-1]
