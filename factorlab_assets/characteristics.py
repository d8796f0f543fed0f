# ruff: noqa: S608 - the SQL is this module's own, every value from outside is a column or parameter
"""A user's own panels, fundamentals or anything else: read whole, or refused whole.

Belongs here: which files are panels, what they may say, and what of them a month may know. Does
not: storing them (`store_versions`), or which value counts at a date (`core.outside`).
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from factorlab_assets.engine import scratch
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import PANEL_PATTERN, TICKER_PATTERN

COLUMNS = ("ticker", "date", "date_avail", "value")
EXPECTED = f"CSV or Parquet files, one per panel, with the columns {', '.join(COLUMNS)}"
KINDS = {".csv": "line", ".parquet": "row"}
"""How a file ends -> what its rows are called in an error."""
SHOWN = 20
_GIVEN = pa.schema(
    [("file", pa.int64()), ("number", pa.int64()), ("fault", pa.string())]
    + [(name, pa.string()) for name in COLUMNS]
)
_TYPED = """
CREATE TEMP TABLE typed AS
SELECT
    file, number, fault, ticker, date, date_avail, value,
    CASE WHEN regexp_full_match(date, $day) THEN try_cast(left(date, 10) AS DATE) END AS of_day,
    CASE WHEN regexp_full_match(date_avail, $day)
        THEN try_cast(left(date_avail, 10) AS DATE) END AS known,
    CASE WHEN regexp_full_match(value, $number) THEN try_cast(value AS DOUBLE) END AS x
FROM (
    SELECT file, number, fault, coalesce(trim(ticker), '') AS ticker,
        coalesce(trim(date), '') AS date, coalesce(trim(date_avail), '') AS date_avail,
        coalesce(trim(value), '') AS value
    FROM given
)
"""
_JUDGED = """
CREATE TEMP TABLE faults AS
SELECT reason, before, place, file, number, CASE fault
    WHEN '' THEN concat_ws(',', ticker, date, date_avail, value) ELSE ticker END AS said
FROM (
    SELECT
        *,
        CASE
            WHEN fault <> '' THEN fault
            WHEN NOT regexp_full_match(ticker, $ticker) THEN 'no ticker'
            WHEN of_day IS NULL THEN 'no date'
            WHEN known IS NULL THEN 'no date_avail'
            WHEN known < of_day THEN 'date_avail before date'
            WHEN regexp_full_match(value, $nothing) THEN 'no value'
            WHEN isinf(x) OR regexp_full_match(value, $infinite) THEN 'infinite value'
            WHEN x IS NULL THEN 'value is no number'
            WHEN before = x THEN 'there twice'
            WHEN before IS NOT NULL THEN 'two values for one ticker, date and date_avail'
            ELSE ''
        END AS reason
    FROM (
        SELECT *, lag(x) OVER same AS before, lag(number) OVER same AS place FROM typed
        WINDOW same AS (PARTITION BY file, ticker, of_day, known ORDER BY number)
    )
)
WHERE reason <> ''
"""
_HINTS = {
    "no ticker": "; expected upper case, as in SPY",
    "no date": "; expected YYYY-MM-DD",
    "no date_avail": "; expected YYYY-MM-DD",
    "no value": "; leave such rows out",
    "value is no number": "; expected a plain decimal",
}
_PATTERNS = {
    "day": r"[0-9]{4}-[0-9]{2}-[0-9]{2}( 00:00:00)?",
    "number": r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?",
    "infinite": r"(?i)[+-]?inf(inity)?",
    "nothing": r"(?i)(nan|na|n/a|null|none)?",
    "ticker": TICKER_PATTERN,
}


@dataclass(frozen=True)
class _File:
    """One panel's file."""

    path: Path

    @property
    def panel(self) -> str:
        return self.path.stem

    @property
    def kind(self) -> str:
        return self.path.suffix.lower()


def read_characteristics(
    path: Path, tickers: Collection[str], through: dt.date
) -> tuple[pa.Table, list[str]]:
    """Every panel in a folder, as far as it was available by `through`.

    A panel is a file, its name the file's: `book_to_price.csv` or `book_to_price.parquet`. Its
    columns are ticker, date (the day or the end of the period that the value is of), date_avail
    (the first day at whose close it was known) and value, in any order; others are not read. A
    restatement is another row of the same date with a later date_avail; both are kept.

    Parameters
    ----------
    path : the folder, or a single file.
    tickers : those that have bars; rows of others are left out.
    through : the month's end; rows that became available later are left out.

    Returns
    -------
    Table (panel, ticker, date date32, date_avail date32, value float64), sorted; and notes for the
    user on what was left out.

    Raises
    ------
    FactorLabError : no panels there, a file that cannot be read, bears no panel's name or lacks a
        column; or one row or more without ticker, dates or value, with an infinite one, with
        date_avail before date, or there twice. Then nothing is used, and the error counts the rows
        by reason and shows the first of each, with file and line.
    """
    files, notes = _files(path)
    given = []
    for number, file in enumerate(files):
        rows, unread = _rows(file)
        if unread:
            names = ", ".join(unread)
            notes.append(f"columns of {file.path.name} that are not read: {names}")
        given.append(rows.add_column(0, "file", pa.repeat(number, rows.num_rows)).cast(_GIVEN))
    with scratch() as con:
        con.register("given", pa.concat_tables(given))
        con.execute(_TYPED, {name: _PATTERNS[name] for name in ("day", "number")})
        judging = ("ticker", "infinite", "nothing")
        con.execute(_JUDGED, {name: _PATTERNS[name] for name in judging})
        _refuse(con, path, files)
        panels = pa.table({"file": range(len(files)), "panel": [file.panel for file in files]})
        con.register("panels", panels)
        con.register("listed", pa.table({"ticker": pa.array(sorted(tickers), pa.string())}))
        notes += _left_out(con, through)
        kept = con.sql(
            """SELECT panel, ticker, of_day AS date, known AS date_avail, x AS value
            FROM typed JOIN panels USING (file) SEMI JOIN listed USING (ticker)
            WHERE known <= ? ORDER BY ALL""",
            params=[through],
        ).to_arrow_table()
    return kept, notes


def _files(path: Path) -> tuple[list[_File], list[str]]:
    """The panels' files in order of their names, and a note on the others."""
    if not path.exists():
        raise FactorLabError(
            "there are no characteristics",
            where=path,
            got="no such folder",
            expected=EXPECTED,
            do="correct --characteristics or FACTORLAB_CHARACTERISTICS",
        )
    found = sorted(f for f in path.iterdir() if f.name[0] != ".") if path.is_dir() else [path]
    files = [_File(file) for file in found if file.suffix.lower() in KINDS]
    others = [file.name for file in found if file.suffix.lower() not in KINDS]
    if not files:
        raise FactorLabError(
            "there are no characteristics",
            where=path,
            got=", ".join(others[:5]) or "nothing",
            expected=EXPECTED,
            do="put the panels into that folder, or name another",
        )
    seen: dict[str, str] = {}
    for file in files:
        if not re.fullmatch(PANEL_PATTERN, file.panel):
            raise FactorLabError(
                "that cannot be a panel's name",
                where=file.path,
                got=repr(file.panel),
                expected="1 to 80 of a-z, 0-9, '_' and '-', the first a letter or a digit",
                do="rename the file",
            )
        if seen.setdefault(file.panel, file.path.name) != file.path.name:
            raise FactorLabError(
                "two files of one panel",
                where=path,
                got=f"{seen[file.panel]} and {file.path.name}",
                expected="one file per panel",
                do="keep one of them, or rename it",
            )
    notes = [f"not read as characteristics: {', '.join(others[:5])}"] if others else []
    return files, notes


def _rows(file: _File) -> tuple[pa.Table, list[str]]:
    """A file's rows as text, numbered as in the file, and the columns that are not read."""
    try:
        if file.kind == ".csv":
            return _of_csv(file)
        schema = parquet.read_schema(file.path)
        unread = _checked_columns(file, schema.names)
        table = parquet.read_table(file.path, columns=list(COLUMNS))
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise FactorLabError(
            "a panel cannot be read",
            where=file.path,
            got=str(error).splitlines()[0],
            expected="CSV in UTF-8, quotes closed, or Parquet",
            do="save the file again",
        ) from None
    with scratch() as con:
        con.register("written", table)
        texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in COLUMNS)
        rows = con.sql(f"SELECT {texts} FROM written").to_arrow_table()
    return _numbered(rows, range(1, rows.num_rows + 1)), unread


def _of_csv(file: _File) -> tuple[pa.Table, list[str]]:
    with file.path.open(encoding="utf-8-sig", newline="") as text:
        unread = _checked_columns(file, next(csv.reader(text), []))
    short: dict[int, str] = {}

    def skip(row: Any) -> str:
        short[row.number] = row.text
        return "skip"

    table = arrow_csv.read_csv(
        file.path,
        read_options=arrow_csv.ReadOptions(use_threads=False),  # else rows know no number
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=COLUMNS, column_types=dict.fromkeys(COLUMNS, pa.string())
        ),
    )
    every = range(2, 2 + table.num_rows + len(short))
    rows = _numbered(table, [number for number in every if number not in short])
    empty = [pc.equal(pc.utf8_trim_whitespace(rows[name]), "") for name in COLUMNS]
    written = pc.invert(pc.and_(pc.and_(empty[0], empty[1]), pc.and_(empty[2], empty[3])))
    bad = pa.table({"ticker": list(short.values())}, pa.schema([("ticker", pa.string())]))
    for name in COLUMNS[1:]:
        bad = bad.append_column(name, pa.nulls(len(short), pa.string()))
    fault = "not as many fields as the header"
    return pa.concat_tables([rows.filter(written), _numbered(bad, list(short), fault)]), unread


def _checked_columns(file: _File, names: Sequence[str]) -> list[str]:
    """The columns that are not read; raises where one is missing, or there twice."""
    if any(names.count(name) != 1 for name in COLUMNS):
        raise FactorLabError(
            "a panel has other columns",
            where=file.path,
            got=", ".join(names) or "nothing",
            expected=f"{', '.join(COLUMNS)}, each once",
            do="name the columns so",
        )
    return [name for name in names if name not in COLUMNS]


def _numbered(rows: pa.Table, numbers: Sequence[int], fault: str = "") -> pa.Table:
    faults = pa.repeat(pa.scalar(fault), rows.num_rows)
    rows = rows.add_column(0, "number", pa.array(numbers, pa.int64()))
    return rows.add_column(1, "fault", faults).select([f.name for f in _GIVEN][1:])


def _refuse(con: duckdb.DuckDBPyConnection, path: Path, files: Sequence[_File]) -> None:
    """Raise where a row is not usable."""
    counts = con.sql(
        "SELECT reason, count(*) FROM faults GROUP BY reason ORDER BY min((file, number))"
    ).fetchall()
    if not counts:
        return
    each = max(SHOWN // len(counts), 1)
    first = con.execute(
        """SELECT file, number, said, reason, before, place FROM faults
        QUALIFY row_number() OVER (PARTITION BY reason ORDER BY file, number) <= ?
        ORDER BY file, number""",
        [each],
    ).fetchall()
    (total,) = con.sql("SELECT count(*) FROM typed").fetchall()[0]
    raise FactorLabError(
        f"the characteristics are refused as a whole, {sum(n for _, n in counts)} of {total} rows "
        "not being usable; nothing was stored",
        where=path,
        got=", ".join(f"{n} × {reason}" for reason, n in counts)
        + ". "
        + "; ".join(_shown(files[file], *rest) for file, *rest in first),
        expected="a ticker, two dates with date_avail not before date, a finite value, each once",
        do="correct these rows or take them out, then ingest again",
    )


def _shown(
    file: _File, number: int, said: str, reason: str, before: float | None, place: int | None
) -> str:
    """One faulty row: where, what it says, what is wrong with it."""
    unit = KINDS[file.kind]
    hint = _HINTS.get(reason, "")
    if place is not None and reason == "there twice":
        hint = f"; as in {unit} {place}"
    elif place is not None and reason.startswith("two values"):
        hint = f"; {before:g} in {unit} {place}"
    return f"{file.path.name} {unit} {number}: {ascii(said[:80])[1:-1]} ({reason}{hint})"


def _left_out(con: duckdb.DuckDBPyConnection, through: dt.date) -> Iterator[str]:
    """Notes on rows of tickers without bars, on later ones, on panels that are not there yet."""
    rows = con.execute(
        """SELECT panel, count(of_day), count(*) FILTER (strange), count(*) FILTER (later),
            count(*) FILTER (NOT strange AND NOT later AND of_day IS NOT NULL),
            count(DISTINCT ticker) FILTER (strange), min(ticker) FILTER (strange)
        FROM (
            SELECT panel, of_day, ticker, known > ? AS later,
                ticker NOT IN (SELECT ticker FROM listed) AS strange
            FROM panels LEFT JOIN typed USING (file)
        ) GROUP BY panel ORDER BY panel""",
        [through],
    ).fetchall()
    for panel, total, strange, later, kept, names, one in rows:
        if strange:
            yield f"{panel}: {strange} rows of {names} tickers without bars left out, as of {one}"
        if later:
            yield f"{panel}: {later} rows that became available after {through} left out"
        if not kept:
            yield f"{panel} is not part of the version: none of its {total} rows is left"
