"""The format of the database: the tables of a new one, and whether those of another are the same.

Belongs here: what has to hold before anything is read or written, and turning the format before
into this one. Does not: opening the file (`store`).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from factorlab_assets import schemas
from factorlab_assets.errors import FactorLabError

FORMAT = 4
"""Of the database's tables: 2 since prices are judged and adjusted, 3 since adjusted prices have
dollar volumes, 4 since every trial's returns are kept."""

CONVERTIBLE = 3
"""The format that `convert` turns into this one, ledgers and all."""


class ConvertibleError(FactorLabError):
    """The database is of the format before: `convert` it first."""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table, empty, in a new database."""
    con.begin()
    con.execute("CREATE TABLE meta (format BIGINT)")
    con.execute("INSERT INTO meta VALUES (?)", [FORMAT])
    _create_missing(con)
    con.commit()


def convert(con: duckdb.DuckDBPyConnection) -> None:
    """Turn a database of the format before into this one, in one transaction; others stay.

    No row is moved, changed or dropped: `experiments` gets a column, missing tables are made.
    """
    if _found(con) != CONVERTIBLE:
        return
    con.begin()
    con.execute("ALTER TABLE experiments ADD COLUMN sweep VARCHAR DEFAULT ''")
    con.execute("ALTER TABLE experiments ALTER COLUMN sweep DROP DEFAULT")
    _create_missing(con)
    con.execute("UPDATE meta SET format = ?", [FORMAT])
    con.commit()


def _create_missing(con: duckdb.DuckDBPyConnection) -> None:
    for table in schemas.TABLES.values():
        columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})")


def _found(con: duckdb.DuckDBPyConnection) -> int | None:
    """The format that the database says it has; None where it says none."""
    try:
        found: int | None = con.execute("SELECT max(format) FROM meta").fetchall()[0][0]
    except duckdb.ProgrammingError:
        return None
    return found


def check(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise FactorLabError unless the database is FactorLab's, of this format.

    Raises
    ------
    ConvertibleError : it is of the format before.
    FactorLabError : anything else that is not this format.
    """
    found = _found(con)
    if found is None:
        raise FactorLabError(
            "that DuckDB database is not FactorLab's",
            where=path,
            got="no format in a table meta",
            do="set FACTORLAB_DATABASE to another file",
        )
    if found == CONVERTIBLE:
        raise ConvertibleError("the database is of the format before", where=path)
    if found != FORMAT:
        newer = found > FORMAT
        raise FactorLabError(
            f"the database's format is {'newer' if newer else 'older'} than this FactorLab's",
            where=path,
            got=f"format {found}",
            expected=f"format {FORMAT}",
            do="update FactorLab, or use another database"
            if newer
            else "ingest into a new database (FACTORLAB_DATABASE), or check out the FactorLab "
            "that wrote this one; it is left as it is",
        )
