"""The format of the database: the tables of a new one, and whether those of another are the same.

Belongs here: what has to hold before anything is read or written. Does not: opening the file
(`store`).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from factorlab_assets import schemas
from factorlab_assets.errors import FactorLabError

FORMAT = 3
"""Of the database's tables: 2 since prices are judged and adjusted, 3 since adjusted prices have
dollar volumes."""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table, empty, in a new database."""
    con.begin()
    con.execute("CREATE TABLE meta (format BIGINT)")
    con.execute("INSERT INTO meta VALUES (?)", [FORMAT])
    for table in schemas.TABLES.values():
        columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
        con.execute(f"CREATE TABLE {table.name} ({columns})")
    con.commit()


def check(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise FactorLabError unless the database is FactorLab's, of this format."""
    try:
        found = con.execute("SELECT max(format) FROM meta").fetchall()[0][0]
    except duckdb.ProgrammingError:
        found = None
    if found is None:
        raise FactorLabError(
            "that DuckDB database is not FactorLab's",
            where=path,
            got="no format in a table meta",
            do="set FACTORLAB_DATABASE to another file",
        )
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
