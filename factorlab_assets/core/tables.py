"""Between arrays and long tables, for many strategies at once: what the store holds of a cell.

Belongs here: the columns of `schemas` less `month`, one strategy's rows after another's, and back.
Does not: computing, or the database. The way there and back is exact: NaN is a null (or no row).
Every `*_table` takes (strategy name, …) per strategy; every `*_from_table` takes the rows of one
strategy (see `by_strategy`) and its universe's panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import schemas
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import REASONS, Book, no_outcomes
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.membership import MEMBER, Members
from factorlab_assets.core.membership import REASONS as MEMBER_REASONS
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import Signals
from factorlab_assets.errors import FactorLabError

ARROW = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
}
Index = npt.NDArray[np.intp]


def members_table(cells: Iterable[tuple[str, Panel, Members]]) -> pa.Table:
    """`memberships`: every ticker of the universe on every date."""

    def columns(panel: Panel, found: Members) -> dict[str, Any]:
        t, n = np.divmod(np.arange(found.reason.size), len(panel.tickers))
        reason = _named(np.array(MEMBER_REASONS), found.reason.ravel())
        is_member = {"is_member": found.is_member.ravel(), "reason": reason}
        return _placed(panel, t, n) | is_member

    return _table(schemas.MEMBERSHIPS, ((name, columns(p, m)) for name, p, m in cells))


def signals_table(cells: Iterable[tuple[str, Panel, Signals]]) -> pa.Table:
    """`factor_signals`: a row wherever a factor's raw value is known, by date, ticker, factor."""

    def columns(panel: Panel, signals: Signals) -> dict[str, Any]:
        t, n, f = np.nonzero(np.isfinite(signals.raw).transpose(1, 2, 0))
        named = {"factor": _named(np.array(signals.keys, dtype=np.str_), f)}
        values = {"raw": signals.raw[f, t, n], "signal": signals.signal[f, t, n]}
        return _placed(panel, t, n) | named | values

    return _table(schemas.FACTOR_SIGNALS, ((name, columns(p, s)) for name, p, s in cells))


def scores_table(cells: Iterable[tuple[str, Panel, Floats]]) -> pa.Table:
    """`scores`: a row wherever the score is known, by date, ticker."""

    def columns(panel: Panel, score: Floats) -> dict[str, Any]:
        t, n = np.nonzero(np.isfinite(score))
        return _placed(panel, t, n) | {"score": score[t, n]}

    return _table(schemas.SCORES, ((name, columns(p, s)) for name, p, s in cells))


def weights_table(cells: Iterable[tuple[str, Panel, Book]]) -> pa.Table:
    """`weights`: every ticker of the universe on every date from the start on."""

    def columns(panel: Panel, book: Book) -> dict[str, Any]:
        t, n = np.divmod(
            np.arange(book.start * len(panel.tickers), book.weights.size), len(panel.tickers)
        )
        reason = _named(np.array(REASONS), book.reason[book.start :].ravel())
        said, code = np.unique(book.outcome.astype(np.str_), return_inverse=True)
        outcome = _named(said, code[t])
        return _placed(panel, t, n) | {
            "weight": book.weights[t, n],
            "reason": reason,
            "outcome": outcome,
        }

    return _table(schemas.WEIGHTS, ((name, columns(p, b)) for name, p, b in cells))


def backtest_table(cells: Iterable[tuple[str, Backtest]]) -> pa.Table:
    """`backtest_returns`: one row per month."""
    return _table(schemas.BACKTEST_RETURNS, ((name, _series(found)) for name, found in cells))


def daily_table(cells: Iterable[tuple[str, Daily]]) -> pa.Table:
    """`daily_returns`: one row per trading day."""
    return _table(schemas.DAILY_RETURNS, ((name, _series(daily)) for name, daily in cells))


def metrics_table(cells: Iterable[tuple[str, Sequence[Mapping[str, object]]]]) -> pa.Table:
    """`metrics`: one row per segment, from `research.measure`."""
    names = [name for name in _schema(schemas.METRICS).names if name != "strategy"]
    return _table(
        schemas.METRICS,
        ((cell, {name: [row[name] for row in rows] for name in names}) for cell, rows in cells),
    )


def records_table(table: schemas.Table, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Records of any table of cells or months, less month; a NaN or a missing key is null."""
    given = list(rows)
    fields = [pa.field(name, ARROW[kind]) for name, kind in table.columns.items()]
    schema = pa.schema([field for field in fields if field.name != "month"])
    columns = [
        pa.array([row.get(field.name) for row in given], field.type, from_pandas=True)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def by_strategy(table: pa.Table) -> dict[str, pa.Table]:
    """The rows of each strategy, without copying; the table holds one month, rows grouped by
    strategy as the store loads them.

    Raises
    ------
    FactorLabError : a strategy's rows are not next to each other.
    """
    if table.num_rows == 0:
        return {}
    runs = pc.run_end_encode(table["strategy"].combine_chunks())
    names, stops = runs.values.to_pylist(), runs.run_ends.to_pylist()
    if len(set(names)) < len(names):
        raise FactorLabError(
            "rows of different strategies are mixed",
            got=f"{len(names)} runs of {len(set(names))} strategies",
            expected="rows ordered by strategy",
        )
    starts = [0, *stops[:-1]]
    return {
        name: table.slice(low, high - low)
        for name, low, high in zip(names, starts, stops, strict=True)
    }


def members_from_table(table: pa.Table, panel: Panel, *, is_filtered: bool) -> Members:
    """The members of one strategy; `is_filtered` : whether its file has filters."""
    reason = np.zeros(panel.price.shape, dtype=np.int8)
    reason[_positions(table, panel)] = _codes(table, "reason", np.array(MEMBER_REASONS))
    return Members(reason == MEMBER, reason, is_filtered)


def signals_from_table(table: pa.Table, panel: Panel, keys: Sequence[str]) -> Signals:
    """The signals of one strategy; `keys` are its factor labels in the order of its file."""
    t, n = _positions(table, panel)
    f = _codes(table, "factor", np.array(keys, dtype=np.str_))
    raw, signal = np.full((2, len(keys), *panel.price.shape), np.nan)
    raw[f, t, n], signal[f, t, n] = _values(table, "raw"), _values(table, "signal")
    return Signals(tuple(keys), raw, signal)


def scores_from_table(table: pa.Table, panel: Panel) -> Floats:
    """The score of one strategy, (T, N), NaN where there is no row."""
    score = np.full(panel.price.shape, np.nan)
    score[_positions(table, panel)] = _values(table, "score")
    return score


def weights_from_table(table: pa.Table, panel: Panel) -> Book:
    """The book of one strategy; it starts at the first date that has rows."""
    t, n = _positions(table, panel)
    weights = np.zeros(panel.price.shape)
    reason = np.zeros(panel.price.shape, dtype=np.int8)
    weights[t, n] = _values(table, "weight")
    reason[t, n] = _codes(table, "reason", np.array(REASONS))
    outcome = no_outcomes(len(weights))
    outcome[t] = table["outcome"].to_numpy(zero_copy_only=False)
    return Book(weights, reason, int(t.min()) if t.size else len(weights), outcome)


def backtest_from_table(table: pa.Table) -> Backtest:
    """The backtest of one strategy."""
    return Backtest(**_arrays(table, schemas.BACKTEST_RETURNS))


def daily_from_table(table: pa.Table) -> Daily:
    """The daily returns of one strategy."""
    return Daily(**_arrays(table, schemas.DAILY_RETURNS))


def _schema(table: schemas.Table) -> pa.Schema:
    columns = table.columns.items()
    return pa.schema([(name, ARROW[kind]) for name, kind in columns if name != "month"])


def _table(table: schemas.Table, cells: Iterable[tuple[str, Mapping[str, Any]]]) -> pa.Table:
    schema = _schema(table)
    batches = []
    for strategy, columns in cells:
        arrays = [
            pa.array(columns[field.name], field.type, from_pandas=True)
            for field in schema
            if field.name != "strategy"
        ]
        label = pa.repeat(pa.scalar(strategy, pa.string()), len(arrays[0]))
        batches.append(pa.record_batch([label, *arrays], schema=schema))
    # In one piece: DuckDB takes 200 of them in twice the time.
    return pa.Table.from_batches(batches, schema=schema).combine_chunks()


def _placed(panel: Panel, t: Index, n: Index) -> dict[str, Any]:
    return {"date": panel.dates[t], "ticker": _named(panel.tickers, n)}


def _named(names: npt.NDArray[np.str_], codes: npt.NDArray[Any]) -> pa.Array:
    return pa.array(names.tolist(), pa.string()).take(pa.array(codes))


def _positions(table: pa.Table, panel: Panel) -> tuple[Index, Index]:
    """Row and column in the panel of every row of the table."""
    dates = table["date"].to_numpy()
    t = np.searchsorted(panel.dates, dates)
    if not np.array_equal(panel.dates[np.minimum(t, len(panel.dates) - 1)], dates):
        raise _misfit("date", "a date that the panel does not have")
    return t, _codes(table, "ticker", panel.tickers)


def _codes(table: pa.Table, column: str, names: npt.NDArray[np.str_]) -> Index:
    """Each row's place in `names`."""
    coded = table[column].combine_chunks().dictionary_encode()
    place = {name: i for i, name in enumerate(names.tolist())}
    found = [place.get(name, -1) for name in coded.dictionary.to_pylist()]
    if -1 in found:
        raise _misfit(column, repr(coded.dictionary[found.index(-1)].as_py()))
    return np.asarray(np.array(found, dtype=np.intp)[coded.indices.to_numpy()])


def _values(table: pa.Table, column: str) -> Floats:
    return np.asarray(table[column].to_numpy(), dtype=np.float64)


def _series(dated: Backtest | Daily) -> dict[str, Any]:
    return {"date": dated.dates} | vars(dated)


def _arrays(table: pa.Table, like: schemas.Table) -> dict[str, Any]:
    names = [name for name in _schema(like).names if name not in ("strategy", "date")]
    return {"dates": table["date"].to_numpy()} | {name: table[name].to_numpy() for name in names}


def _misfit(column: str, got: str) -> FactorLabError:
    return FactorLabError(
        "stored rows do not fit the panel that they are read against",
        where=f"column {column}",
        got=got,
        expected="rows computed from the same data version and strategy file",
        do="compute the cell again",
    )
