"""Price files that the user has, one per ticker: in a zip, a folder of any depth, or one file.

Belongs here: finding the file of each ticker and reading it safely. Does not: the text inside
(`stooq_format`, `vendor_csv`), downloading, or the database.

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
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import TICKER_PATTERN
from factorlab_assets.sources.base import Answer, Coverage, Fetched, gathered

SUFFIXES = (".txt", ".csv")
MAX_BYTES = 16 * 2**20
"""A century of daily bars takes about 2 MB: what is larger is no price file, but may be a bomb."""
THREADS = 2

Read = Callable[[bytes, str, dt.date], Answer]
"""A body's answer for a ticker up to a day: never raises for what a file holds."""

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


def fetch(
    path: Path, expected: str, read: Read, tickers: Sequence[str] | None, through: dt.date
) -> Fetched:
    """What `read` makes of the files of `tickers` (None = of every file), by ticker.

    Where several files are named for one ticker the largest is read (of equals the first by name),
    and the ticker's coverage names the others. Files named for no possible ticker, and files that
    are neither .txt nor .csv, are left out and told in the notes.

    Parameters
    ----------
    expected : what should be at `path`, for the error.

    Raises
    ------
    FactorLabError : the path does not exist or cannot be opened, or holds no price file at all.
    """
    with listing(path, expected) as found:
        wanted = sorted(found.by_ticker if tickers is None else set(tickers))
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(partial(_answer, found.by_ticker, read, through), wanted))
    several = [ticker for ticker in wanted if len(found.by_ticker.get(ticker, ())) > 1]
    notes = list(found.notes)
    if several:
        notes.append(
            f"{len(several)} tickers have more than one file, {several[0]} for example; "
            "the largest of each is read, and its coverage names the others"
        )
    last = max((answer.last for answer in answers if answer.last), default=None)
    return gathered(answers, last, notes)


def _answer(
    by_ticker: Mapping[str, Sequence[File]], read: Read, through: dt.date, ticker: str
) -> Answer:
    if ticker not in by_ticker:
        return Answer(Coverage(ticker, "missing", detail="no file is named for it"))
    file, *others = by_ticker[ticker]
    body, problem = contents(file)
    answer = Answer(Coverage(ticker, "unreadable", detail=problem))
    if not problem:
        answer = read(body, ticker, through)
    detail = answer.coverage.detail
    said = [f"{_printable(file.name)}: {detail}"] if detail else []
    said += [f"not read: {_printable(other.name)} ({other.size} bytes)" for other in others]
    return replace(answer, coverage=replace(answer.coverage, detail="; ".join(said)))


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
class File:
    """A file by its name inside the folder or archive, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Listing:
    """The files of each ticker, the one to read first, and what was left out."""

    by_ticker: Mapping[str, Sequence[File]]
    notes: Sequence[str]


@contextmanager
def listing(path: Path, expected: str) -> Iterator[Listing]:
    """What is at `path`; an archive stays open for reading until the block ends.

    Raises
    ------
    FactorLabError : as for `fetch`.
    """
    with ExitStack() as opened:
        try:
            files = _every_file(path, opened)
        except _BROKEN as error:
            raise FactorLabError(
                "cannot read the price files",
                where=path,
                got="no such file or folder" if isinstance(error, FileNotFoundError) else error,
                expected=expected,
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


def _every_file(path: Path, opened: ExitStack) -> list[File]:
    if path.is_dir():
        return list(_files_in_folder(path))
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        archive = opened.enter_context(zipfile.ZipFile(path))
        return [
            File(member.filename, member.file_size, partial(archive.open, member))
            for member in archive.infolist()
            if not member.filename.endswith("/")
        ]
    return [File(path.name, path.stat().st_size, partial(_open, path))]


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _files_in_folder(path: Path) -> Iterator[File]:
    def cannot_list(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(path, onerror=cannot_list):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                inside = file.relative_to(path).as_posix()
                yield File(inside, file.stat().st_size, partial(_open, file))


def _sorted_by_ticker(files: Sequence[File]) -> Listing:
    by_ticker: dict[str, list[File]] = defaultdict(list)
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
    return Listing(by_ticker, notes)


def contents(file: File) -> tuple[bytes, str]:
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
