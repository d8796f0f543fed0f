"""A user's own panels as they were known at each month-end.

Belongs here: which value counts at a date, and which panels a strategy reads. Does not: reading the
user's files (`characteristics`), or what a factor makes of the values (`factors.outside`).

Rows have the columns panel, ticker, date, date_avail, value, each (panel, ticker, date, date_avail)
once and date_avail not before date.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets.core import factors
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved

NO_ROWS = pa.schema(
    {
        "panel": pa.string(),
        "ticker": pa.string(),
        "date": pa.date32(),
        "date_avail": pa.date32(),
        "value": pa.float64(),
    }
).empty_table()
_DAYS = 1_000_000
"""More than any day's number since 1970, so that a ticker's number and a day make one number."""


def read_by(resolved: Resolved) -> set[str]:
    """The panels that a strategy's factors read, those of a strategy it is compared with included.

    >>> from factorlab_assets.strategy import Strategy
    >>> own = {"name": "characteristic", "params": {"panel": "book_to_price"}, "delay": 0}
    >>> cheap = Strategy(name="cheap", description="-", factors=[own])
    >>> read_by(Resolved(strategy=cheap, tickers=("A",), asset_classes={}))
    {'book_to_price'}
    """
    own = {
        str(factors.check(factor.name, factor.params)["panel"])
        for factor in resolved.strategy.factors
        if factors.REGISTRY[factor.name].reads == "outside"
    }
    return own if resolved.benchmark is None else own | read_by(resolved.benchmark)


def check_there(resolved: Resolved, there: Collection[str]) -> None:
    """Raise FactorLabError where a strategy reads a panel that is not among those."""
    missing = sorted(read_by(resolved) - set(there))
    if missing:
        raise FactorLabError(
            "the data version has no panel of that name",
            where=f"strategy {resolved.name}: parameter panel",
            got=", ".join(missing),
            expected=f"one of {', '.join(sorted(there))}" if there else "none: it has no panels",
            do="put its file into a folder and ingest the month again with --characteristics "
            "FOLDER, or correct the name (docs/characteristics.md)",
        )


def read_for(
    con: duckdb.DuckDBPyConnection, characteristics: str, strategies: Iterable[Resolved]
) -> tuple[pa.Table, dict[str, FactorLabError]]:
    """The rows of all panels that the strategies read, and by name the error of each strategy that
    reads one that is not there.

    Parameters
    ----------
    characteristics : a SQL relation of rows.
    """
    every, wanted = list(strategies), set[str]()
    missing: dict[str, FactorLabError] = {}
    there = panels_of(con, characteristics) if any(map(read_by, every)) else []
    for resolved in every:
        try:
            check_there(resolved, there)
            wanted |= read_by(resolved)
        except FactorLabError as error:
            missing[resolved.name] = error
    return rows_of(con, characteristics, wanted) if wanted else NO_ROWS, missing


def panels_of(con: duckdb.DuckDBPyConnection, characteristics: str) -> list[str]:
    """The names of all panels of a relation of rows."""
    names = con.sql(f"SELECT DISTINCT panel FROM {characteristics} ORDER BY panel").fetchall()  # noqa: S608  # a relation
    return [name for (name,) in names]


def rows_of(
    con: duckdb.DuckDBPyConnection, characteristics: str, panels: Collection[str]
) -> pa.Table:
    """The rows of some panels of a relation of rows."""
    columns = "panel, ticker, date, date_avail, value"
    chosen = "list_contains(?, panel)"
    query = f"SELECT {columns} FROM {characteristics} WHERE {chosen} ORDER BY ALL"  # noqa: S608  # a relation
    return con.sql(query, params=[sorted(panels)]).to_arrow_table()


def beside(panel: Panel, rows: pa.Table) -> Panel:
    """The panel with every one of the user's panels among `rows` beside it.

    A value counts where its ticker has a month-end price: of a ticker that is not listed yet, or no
    longer, nobody would have had it in a cross-section.
    """
    if rows.num_rows == 0:
        return panel
    priced, known = np.isfinite(panel.seen), dict(panel.outside)
    for name in pc.unique(rows["panel"]).to_pylist():
        own = rows.filter(pc.equal(rows["panel"], name))
        known[name] = np.where(priced, as_known(own, panel.dates, panel.tickers), np.nan)
    return replace(panel, outside=known)


def as_known(rows: pa.Table, dates: Dates, tickers: npt.NDArray[np.str_]) -> Floats:
    """The value of one panel that counts at each date t, (T, N); NaN where none was available.

    x_t is the value of the latest `date` among the rows with date_avail ≤ t, of these the one with
    the latest date_avail: a value counts from the day at whose close it was known, a restatement
    from the day of the restatement, and what is told late of an earlier period changes nothing.

    Parameters
    ----------
    rows : of one panel, in any order; tickers that are not asked for are not looked at.
    dates : (T,) ascending. tickers : (N,) ascending.

    Examples
    --------
    >>> day = lambda *said: np.array(said, dtype="datetime64[D]")
    >>> rows = pa.table({
    ...     "ticker": ["A", "A", "A"], "value": [1.0, 2.0, 1.5],
    ...     "date": day("2023-12-31", "2024-03-31", "2023-12-31"),
    ...     "date_avail": day("2024-02-10", "2024-05-10", "2024-06-01")})
    >>> dates = day("2024-01-31", "2024-02-29", "2024-04-30", "2024-05-31", "2024-06-28")
    >>> as_known(rows, dates, np.array(["A"]))[:, 0]
    array([nan,  1.,  1.,  2.,  2.])
    """
    column, value = _columns(rows, tickers), rows["value"].to_numpy()
    of_day, known = (
        rows[name].to_numpy().astype("datetime64[D]").astype(np.int64)
        for name in ("date", "date_avail")
    )
    order = np.lexsort((known, column))
    column, of_day, known, value = (each[order] for each in (column, of_day, known, value))
    # In order of becoming known a row counts unless one of a later date was known before it.
    newest = column * _DAYS + of_day
    counts = newest == np.maximum.accumulate(newest)
    column, known, value = column[counts], known[counts], value[counts]
    asked = np.arange(len(tickers)) * _DAYS + dates.astype(np.int64)[:, np.newaxis]
    last = np.searchsorted(column * _DAYS + known, asked, side="right") - 1
    found = np.zeros(last.shape, dtype=np.bool_)
    out = np.full(last.shape, np.nan)
    if len(value):
        found = (last >= 0) & (column[last] == np.arange(len(tickers)))
        out[found] = value[last[found]]
    return out


def _columns(rows: pa.Table, tickers: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Each row's place among the tickers; −1 where it is none of them."""
    coded = rows["ticker"].combine_chunks().dictionary_encode()
    place: Mapping[str, int] = {name: i for i, name in enumerate(tickers.tolist())}
    found = np.array([place.get(name, -1) for name in coded.dictionary.to_pylist()], np.int64)
    return np.asarray(found[coded.indices.to_numpy()])
