"""Prices from Stooq files that the user downloaded: a zip, a folder of any depth, or one file.

Belongs here: finding the file of each ticker and reading it safely. Does not: the text inside
(`stooq_format`), downloading, or the database.

Names inside an archive are only ever compared and printed: nothing is unpacked, so no name reaches
the file system.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import struct
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa

from factorlab_assets.core import calendar
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import TICKER_PATTERN
from factorlab_assets.sources import stooq_format
from factorlab_assets.sources.base import PRICE_SCHEMA, Coverage, Fetched, Rejection

SUFFIXES = (".txt", ".csv")
MAX_BYTES = 16 * 2**20
"""A century of daily bars takes about 2 MB: what is larger is no price file, but may be a bomb."""
THREADS = 2
FILES_LOOKED_INTO = 25
"""How many files `latest_month` opens: they agree on the last date, so a sample tells it."""

_BROKEN = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile raises on a damaged, encrypted or exotically packed archive or member."""


class StooqFiles:
    """Stooq's bulk archive as downloaded, its unpacked folder, or per-symbol files.

    Where several files are named for one ticker the largest is read (of equals the first by name),
    and the ticker's coverage names the others. Files named for no possible ticker, and files that
    are neither .txt nor .csv, are left out and told in the notes.
    """

    name = "stooq-files"

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` (None = of every file) dated up to `through`, by ticker and date.

        Raises
        ------
        FactorLabError : the path does not exist or cannot be opened, or holds no price file at all.
        """
        with _listing(self.path) as listing:
            wanted = sorted(listing.by_ticker if tickers is None else set(tickers))
            with ThreadPoolExecutor(THREADS) as pool:
                read = partial(_read, listing.by_ticker, through)
                answers = list(pool.map(read, wanted))
        bars = [answer.bars for answer in answers if answer.bars is not None]
        several = [ticker for ticker in wanted if len(listing.by_ticker.get(ticker, ())) > 1]
        notes = list(listing.notes)
        if several:
            notes.append(
                f"{len(several)} tickers have more than one file, {several[0]} for example; "
                "the largest of each is read, and its coverage names the others"
            )
        return Fetched(
            pa.concat_tables([PRICE_SCHEMA.empty_table(), *bars]),
            [answer.coverage for answer in answers],
            [rejection for answer in answers for rejection in answer.rejections],
            max((answer.last for answer in answers if answer.last), default=None),
            notes,
        )


def latest_month(path: Path) -> str:
    """The last month that the files at `path` cover up to its last session, as '2024-05'.

    Told by the last date that most of a sample of files have, so that neither a delisted ticker
    nor a misprinted date decides. Whether the bar of that day is whole cannot be seen.

    Raises
    ------
    FactorLabError : as `StooqFiles.fetch`, or no file of the sample holds a date.
    """
    with _listing(path) as listing:
        files = [same[0] for _, same in sorted(listing.by_ticker.items())]
        sample = files[:: -(-len(files) // FILES_LOOKED_INTO)]
        found = [stooq_format.last_date(_body(file)[0]) for file in sample]
    counts = Counter(day for day in found if day is not None)
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


def ticker_of(name: str) -> str:
    """The ticker that a file is named for, '' for none: upper case, `.US` dropped.

    Other countries' suffixes stay, as the bare symbol would mean another share. In the names of
    per-symbol downloads (`aal_uk_d.csv`) the underscore before the country stands for the dot.

    >>> [ticker_of(n) for n in ("data/daily/us/nyse etfs/2/spy.us.txt", "spy_us_d.csv", "SPY.csv")]
    ['SPY', 'SPY', 'SPY']
    >>> [ticker_of(n) for n in ("aal_uk_d.csv", "cdr.pl.txt", "cdr_d.csv", "^spx.txt", "a b.txt")]
    ['AAL.UK', 'CDR.PL', 'CDR', '^SPX', '']
    """
    stem = re.split(r"[/\\]", name)[-1].rpartition(".")[0]
    if stem.lower().endswith("_d"):
        stem = stem[:-2] if "." in stem else ".".join(stem[:-2].rsplit("_", 1))
    # Only ASCII: upper() would make a ticker of a letter like the German sharp s.
    ticker = stem.upper().removesuffix(".US") if stem.isascii() else ""
    return ticker if re.fullmatch(TICKER_PATTERN, ticker) else ""


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class _Listing:
    """The files of each ticker, the one to read first, and what was left out."""

    by_ticker: Mapping[str, Sequence[_File]]
    notes: Sequence[str]


@dataclass(frozen=True)
class _Answer:
    coverage: Coverage
    bars: pa.Table | None = None
    rejections: Sequence[Rejection] = ()
    last: dt.date | None = None


@contextmanager
def _listing(path: Path) -> Iterator[_Listing]:
    """What is at `path`; an archive stays open for reading until the block ends."""
    with ExitStack() as opened:
        try:
            files = _every_file(path, opened)
        except _BROKEN as error:
            raise FactorLabError(
                "cannot read the price files",
                where=path,
                got="no such file or folder" if isinstance(error, FileNotFoundError) else error,
                expected="Stooq's zip as downloaded, its unpacked folder, or a folder of CSV files",
                do="correct the path; if it is right, download the archive again",
            ) from error
        listing = _sorted_by_ticker(files)
        if not listing.by_ticker:
            raise FactorLabError(
                "no price files found",
                where=path,
                got="; ".join(listing.notes) or "nothing",
                expected=f"files named for tickers, ending in {' or '.join(SUFFIXES)}",
            )
        yield listing


def _every_file(path: Path, opened: ExitStack) -> list[_File]:
    if path.is_dir():
        return list(_files_in_folder(path))
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        archive = opened.enter_context(zipfile.ZipFile(path))
        return [
            _File(member.filename, member.file_size, partial(archive.open, member))
            for member in archive.infolist()
            if not member.filename.endswith("/")
        ]
    return [_File(path.name, path.stat().st_size, partial(_open, path))]


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _files_in_folder(path: Path) -> Iterator[_File]:
    def cannot_list(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(path, onerror=cannot_list):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                inside = file.relative_to(path).as_posix()
                yield _File(inside, file.stat().st_size, partial(_open, file))


def _sorted_by_ticker(files: Sequence[_File]) -> _Listing:
    by_ticker: dict[str, list[_File]] = defaultdict(list)
    left_out: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files, key=lambda file: (-file.size, file.name)):
        ticker = ticker_of(file.name)
        if not file.name.lower().endswith(SUFFIXES):
            left_out["neither .txt nor .csv"].append(file.name)
        elif not ticker:
            left_out["named for no possible ticker"].append(file.name)
        else:
            by_ticker[ticker].append(file)
    notes = [
        f"{len(names)} files are left out, {why}: {_printable(min(names))} for example"
        for why, names in left_out.items()
    ]
    return _Listing(by_ticker, notes)


def _read(by_ticker: Mapping[str, Sequence[_File]], through: dt.date, ticker: str) -> _Answer:
    """The bars of one ticker, or why there are none: never raises for what a file holds."""
    if ticker not in by_ticker:
        return _Answer(Coverage(ticker, "missing", detail="no file is named for it"))
    file, *others = by_ticker[ticker]
    detail = [f"not read: {_printable(o.name)} ({o.size} bytes)" for o in others]
    body, problem = _body(file)
    kind = stooq_format.classify(body)
    if problem or kind != "data":
        status = {"empty": "empty_file", "no_data": "no_data"}.get(kind, "unreadable")
        what = problem or f"holds {stooq_format.SAYINGS[kind]}"
        detail.insert(0, f"{_printable(file.name)}: {what}")
        return _Answer(
            Coverage(ticker, "unreadable" if problem else status, detail="; ".join(detail))
        )
    bars, rejections = stooq_format.parse(body, ticker, through)
    dates = bars.column("date")
    if not len(dates):
        what = "every row was kept out" if rejections else f"no bar up to {through}"
        detail.insert(0, f"{_printable(file.name)}: {what}")
    coverage = Coverage(
        ticker,
        "ok" if len(dates) else "unreadable" if rejections else "no_data",
        len(dates),
        sum(rejection.n_rows for rejection in rejections),
        dates[0].as_py() if len(dates) else None,
        dates[-1].as_py() if len(dates) else None,
        "; ".join(detail),
    )
    return _Answer(coverage, bars, rejections, stooq_format.last_date(body))


def _body(file: _File) -> tuple[bytes, str]:
    """A file's content, and what was wrong with it ('' for nothing)."""
    try:
        with file.open() as stream:
            # Bounded whatever size an archive states: that may be a lie.
            body = stream.read(MAX_BYTES + 1)
    except _BROKEN as error:
        return b"", f"cannot be read: {error}"
    if len(body) > MAX_BYTES:
        return b"", f"larger than any price file ({MAX_BYTES} bytes)"
    return body, ""


def _printable(name: str) -> str:
    return ascii(name[-100:])[1:-1]
