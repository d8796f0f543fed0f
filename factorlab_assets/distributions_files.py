"""The files that list distributions, line by line as they are written.

Belongs here: our own format and the second vendor's, and finding the files. Does not: judging what
a line says, or converting amounts (`distributions`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import price_files, vendor_csv

COLUMNS = ("ticker", "ex_date", "amount")
WITH_SPLIT = (*COLUMNS, "split")
EXPECTED = f"the columns {','.join(COLUMNS)} or {','.join(WITH_SPLIT)}, or {vendor_csv.EXPECTED}"
NOT_FIELDS = "not as many fields as the header"


@dataclass(frozen=True)
class Line:
    """One line of a list as written. `is_raw`: its amount is per share of that time."""

    place: str
    text: str
    ticker: str = ""
    ex_date: str = ""
    amount: str = ""
    split: str = "1"
    is_raw: bool = False
    fault: str = ""


def read_lines(path: Path, tickers: Collection[str]) -> tuple[list[Line], list[str]]:
    """Every line of the file at `path`, or of all .csv and .txt files of that folder.

    Of the second vendor's files, one per ticker, those of other tickers than `tickers` stay shut;
    of the others the days with a dividend or a split are lines, and the first and the last day,
    with the amount 0: between them the list is complete.

    Returns
    -------
    The lines, and notes for the user on the files left out.

    Raises
    ------
    FactorLabError : nothing there, a file that cannot be read or is no text, other columns.
    """
    files, other = [path], []
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        is_list = [f.suffix.lower() in (".csv", ".txt") and f.name[0] != "." for f in found]
        files = [file for file, of_it in zip(found, is_list, strict=True) if of_it]
        other = [file for file, of_it in zip(found, is_list, strict=True) if not of_it]
        if not files:
            raise FactorLabError(
                "no list of distributions found",
                where=path,
                got=f"{len(other)} other files",
                expected="files ending in .csv or .txt",
                do="put the lists into that folder, or name another",
            )
    lines: list[Line] = []
    shut = []
    for file in files:
        body, name = _body(file), f"{file.name} " if len(files) > 1 else ""
        if not vendor_csv.is_format(body):
            lines += _ours(file, body, name)
        elif (ticker := price_files.ticker_of(file.name)) in tickers:
            lines += _vendors(ticker, body, name)
        else:
            shut.append(ticker or file.name)
    notes = []
    if other:
        notes.append(f"{len(other)} files are no lists of distributions: {other[0].name} …")
    if shut:
        some = ", ".join(shut[:5]) + (" …" if len(shut) > 5 else "")
        notes.append(f"files of {len(shut)} tickers that were not asked for not opened: {some}")
    return lines, notes


def _body(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FactorLabError(
            "the distributions cannot be read",
            where=file,
            got=error.strerror or error,
            expected="a file, or a folder of them",
            do="correct --distributions or FACTORLAB_DISTRIBUTIONS_PATH",
        ) from None


def _ours(file: Path, body: bytes, name: str) -> Iterator[Line]:
    rows: list[tuple[int, list[str]]] = []
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows.extend((reader.line_num, [field.strip() for field in row]) for row in reader)
    except (UnicodeDecodeError, csv.Error) as error:
        after = f"after line {rows[-1][0]}: " if rows else ""
        raise FactorLabError(
            "the distributions cannot be read",
            where=file,
            got=f"{after}{error}",
            expected="CSV in UTF-8, quotes closed",
            do="correct the file, or save it as CSV in UTF-8",
        ) from None
    header = tuple(rows[0][1]) if rows else ()
    if header not in (COLUMNS, WITH_SPLIT):
        raise FactorLabError(
            "the distributions have other columns",
            where=file,
            got=",".join(header) or "nothing",
            expected=EXPECTED,
            do="name the columns so and leave out all others; amounts are in the currency of the "
            "prices, others must be converted first",
        )
    for number, fields in rows[1:]:
        place, text = f"{name}line {number}", ",".join(fields)
        if not any(fields):
            continue
        if len(fields) == len(header):
            ticker, day, amount, *split = fields
            ratio = "".join(split) or "1"
            yield Line(place, text, ticker, day, amount, ratio, is_raw=bool(split))
        else:
            yield Line(place, text, fault=NOT_FIELDS)


def _vendors(ticker: str, body: bytes, name: str) -> Iterator[Line]:
    rows = list(vendor_csv.rows(body))
    days = [row.fields["date"] for row in rows if row.fields]
    for day in {min(days), max(days)} if days else ():
        yield Line(f"{name}first or last day", day, ticker, day, "0", is_raw=True)
    for row in rows:
        place, said = f"{name}line {row.number}", row.fields
        if not said:
            yield Line(place, row.text, ticker, fault=NOT_FIELDS)
            continue
        paid, split = said["dividend_amount"], said["split_coefficient"]
        if not (_is(paid, 0) and _is(split, 1)):
            text = f"{ticker},{said['date']},{paid},{split}"
            yield Line(place, text, ticker, said["date"], paid, split, is_raw=True)


def _is(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False
