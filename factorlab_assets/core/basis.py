"""What each ticker's closes carry of its distributions, and so what a return of them means.

Belongs here: the tables `distribution_status` and `price_basis`, and the SQL that feeds them. Does
not: the arithmetic of one ticker (`basis_evidence`), or total returns (`adjust`).

`bars`, `second` and `distributions` are SQL relations that the caller vouches for. `second` holds
the split-adjusted closes of another vendor or of another version of the same one; neither file is
presumed right about a price, and all that is read from them is where their ratio steps.

Everything said here is an inference about the file as of its last bar, its known_at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core import basis_evidence as evidence
from factorlab_assets.core.basis_evidence import Series
from factorlab_assets.core.basis_stretches import Printed, Stepped, stretches
from factorlab_assets.core.calendar import month_end
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.relations import registered, sessions_registered

BEYOND = 1.5
"""A list holds from its first row to its last, or for so many of its median gaps before its first
ex-date and beyond its last. One that names no distribution holds from the first bar."""
OFF_CENT = 0.02
OFF_CENT_SPLIT = 0.08
OFF_WHOLE = 0.01
"""How far from a whole number of cents, or of shares, a printed one may lie; a price before a split
was rounded to six digits after division."""
SIX_DIGITS = 1000.0
"""From here on six digits print any price in whole cents."""
_BATCH = 50

STATUS_SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("ex_date", pa.date32()),
        ("amount", pa.float64()),
        ("status", pa.string()),
        ("applied_on", pa.date32()),
        ("carried", pa.float64()),
        ("factor", pa.float64()),
        ("early_step", pa.float64()),
        ("early_until", pa.date32()),
        ("evidence", pa.string()),
        ("known_at", pa.date32()),
    ]
)
BASIS_SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("first_date", pa.date32()),
        ("last_date", pa.date32()),
        ("basis", pa.string()),
        ("is_total_return_known", pa.bool_()),
        ("evidence", pa.string()),
        ("known_at", pa.date32()),
    ]
)

# A list that goes on beyond the last day says that it is complete to there, and no more.
_LISTED = """
SELECT ticker, least(ex_date, DATE '{through}') AS ex_date,
    CASE WHEN ex_date <= DATE '{through}' THEN amount ELSE 0 END AS amount,
    CASE WHEN ex_date <= DATE '{through}' THEN split ELSE 1 END AS split
FROM {distributions} AS d
SEMI JOIN (SELECT DISTINCT ticker FROM {bars} WHERE date <= DATE '{through}') USING (ticker)
QUALIFY min(d.ex_date) OVER (PARTITION BY ticker) <= DATE '{through}'
ORDER BY ticker, ex_date, amount DESC"""

_SERIES = """
SELECT
    ticker, date, open, high, low, close, volume, second_close,
    list_median([ln(high / second_high), ln(low / second_low), ln(close / second_close)]) AS ratio,
    CASE WHEN volume > 0 AND second_volume > 0 THEN ln(second_volume / volume) END AS volume_ratio
FROM (
    SELECT ticker, date, open, high, low, close, volume
    FROM {bars} SEMI JOIN factorlab_chosen USING (ticker) WHERE date <= DATE '{through}'
)
LEFT JOIN (
    SELECT
        ticker, date, high AS second_high, low AS second_low, close AS second_close,
        volume AS second_volume
    FROM {second} SEMI JOIN factorlab_chosen USING (ticker) WHERE date <= DATE '{through}'
) USING (ticker, date)
SEMI JOIN factorlab_sessions USING (date)
ORDER BY ticker, date"""


def distribution_status(
    con: duckdb.DuckDBPyConnection, bars: str, distributions: str, second: str | None, month: str
) -> pa.Table:
    """Of each distribution with an amount, whether the closes carry it, since when, and why.

    Parameters
    ----------
    bars, second : relations ticker, date, open, high, low, close, volume.
    distributions : relation ticker, ex_date, amount, split; amounts per split-adjusted share.
    month : '2024-05'; nothing later is looked at.

    Returns
    -------
    schemas.DISTRIBUTION_STATUS less its partition's columns. An ex-date on or before the first bar
    or after the last touches no return and has no row.
    """
    through = month_end(month)
    listed = _listed(con, bars, distributions, through)
    known_at = _last_bar(con, bars, through)
    rows: list[dict[str, Any]] = []
    for ticker, series in _each_series(con, bars, second, listed, through):
        rows += _status_rows(ticker, series, listed[ticker], known_at)
    return pa.Table.from_pylist(rows, STATUS_SCHEMA)


class _List:
    """One ticker's rows of the list: ex_date (k,), amount (k,), split (k,), ascending."""

    def __init__(self, columns: dict[str, Any], rows: slice) -> None:
        self.ex_date = columns["ex_date"][rows].astype("datetime64[D]")
        self.amount = columns["amount"][rows]
        self.split = columns["split"][rows]

    def complete(self) -> tuple[dt.date, dt.date]:
        """The first and the last day on which it is known whether something was paid: of the rows,
        or as long as no distribution is long overdue."""
        paid = self.ex_date[self.amount > 0]
        first, last = self.ex_date[[0, -1]]
        if not len(paid):
            return dt.date.min, last.item()
        if len(paid) > 1:
            reach = int(BEYOND * float(np.median(np.diff(paid).astype(np.int64))))
            first, last = min(first, paid[0] - reach), max(last, paid[-1] + reach)
        return first.item(), last.item()

    def shares_since(self, date: Any) -> Floats:
        """(n,) today's shares per share of each day: the product of the later splits."""
        later = np.append(np.cumprod(self.split[::-1])[::-1], 1.0)
        shares: Floats = later[np.searchsorted(self.ex_date, date, side="right")]
        return shares


def _listed(
    con: duckdb.DuckDBPyConnection, bars: str, distributions: str, through: dt.date
) -> dict[str, _List]:
    query = _LISTED.format(distributions=distributions, bars=bars, through=through)
    columns = con.sql(query).fetchnumpy()
    return {ticker: _List(columns, rows) for ticker, rows in evidence.by_ticker(columns)}


def _last_bar(con: duckdb.DuckDBPyConnection, bars: str, through: dt.date) -> dt.date | None:
    query = f"SELECT max(date) FROM {bars} WHERE date <= DATE '{through}'"  # noqa: S608 - the caller vouches for the relation
    last: dt.date | None = con.sql(query).fetchall()[0][0]
    return last


def _each_series(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    second: str | None,
    listed: Mapping[str, _List | None],
    through: dt.date,
) -> Iterator[tuple[str, Series]]:
    names = sorted(listed)
    none = f"(FROM {bars} LIMIT 0)"
    query = _SERIES.format(bars=bars, second=second or none, through=through)
    for start in range(0, len(names), _BATCH):
        chosen = pa.table({"ticker": names[start : start + _BATCH]})
        with registered(con, "factorlab_chosen", chosen), sessions_registered(con, through):
            columns = con.sql(query).fetchnumpy()
        for ticker, rows in evidence.by_ticker(columns):
            own = {name: values[rows] for name, values in columns.items()}
            yield ticker, _series(own, listed[ticker])


def _series(own: dict[str, Any], listed: _List | None) -> Series:
    date = own["date"].astype("datetime64[D]")
    known = {
        name: np.ma.filled(values.astype(float), np.nan)
        for name, values in own.items()
        if name not in ("ticker", "date")
    }
    shares = listed.shares_since(date) if listed else np.ones(len(date))
    parts = np.nan_to_num(known["volume"]) * evidence.SPLIT_PARTS
    is_whole = np.abs(parts - np.round(parts)) <= OFF_WHOLE
    plain = is_whole
    if is_whole.mean() > 1 - evidence.FRACTIONAL_SHARE:
        prices = (known[name] for name in ("open", "high", "low", "close"))
        on_cents = np.sum([_on_cents(price, shares) for price in prices], axis=0)
        plain = (on_cents >= evidence.PLAIN_PRICES) & (known["close"] * shares < SIX_DIGITS)
    other = known["second_close"]
    other_plain = _on_cents(other, shares) | _on_cents(other, np.ones(len(date)))
    close, ratio, volume_ratio = (known[name] for name in ("close", "ratio", "volume_ratio"))
    unit = np.ones(len(date))
    if listed:
        at = np.searchsorted(date, listed.ex_date)
        unit = evidence.units(close, at.astype(np.int64), listed.split)
    return Series(date, close, ratio, volume_ratio, plain, other_plain, unit)


def _on_cents(price: Floats, shares: Floats) -> evidence.Flags:
    """Whether prices were whole ticks when there were so many of today's shares to one."""
    traded = price * shares
    ticks = traded * np.where(traded < 1, 10_000, 100)
    slack = np.where(shares == 1, OFF_CENT, OFF_CENT_SPLIT)
    return np.asarray(np.abs(ticks - np.round(ticks)) <= slack)


def _status_rows(
    ticker: str, series: Series, listed: _List, known_at: dt.date | None
) -> list[dict[str, Any]]:
    bar = np.searchsorted(series.date, listed.ex_date)
    inside = (listed.amount > 0) & (bar > 0) & (bar < len(series.date))
    at, which = np.unique(bar[inside], return_inverse=True)
    amount = np.bincount(which, weights=listed.amount[inside]).astype(np.float64)
    if not len(at):
        return []
    found = evidence.judge(series, at.astype(np.int64), amount)
    rows = []
    for ex_date, paid, k in zip(
        listed.ex_date[inside].tolist(), listed.amount[inside].tolist(), which, strict=True
    ):
        one = found[k]
        rows.append(
            {
                "ticker": ticker,
                "ex_date": ex_date,
                "amount": paid,
                "status": one.status,
                "applied_on": _day(series, one.applied),
                "carried": paid * one.share,
                "factor": one.factor,
                "early_step": one.early_step,
                "early_until": _day(series, one.until),
                "evidence": one.words,
                "known_at": known_at,
            }
        )
    return rows


def _day(series: Series, bar: int | None) -> dt.date | None:
    day: dt.date | None = None if bar is None else series.date[bar].item()
    return day


_PRINT = """
WITH _flagged AS (
    SELECT ticker, date,
        abs(volume * {parts} - round(volume * {parts})) > {whole} AS is_fractional,
        (abs(open * 100 - round(open * 100)) <= {cent})::INT
        + (abs(high * 100 - round(high * 100)) <= {cent})::INT
        + (abs(low * 100 - round(low * 100)) <= {cent})::INT
        + (abs(close * 100 - round(close * 100)) <= {cent})::INT < {prices} AS is_off
    FROM {bars} WHERE date <= DATE '{through}'
),
_months AS (
    SELECT ticker, min(date) AS first_bar, max(date) AS last_bar, count(*) AS n,
        max(date) FILTER (is_fractional) AS last_fractional,
        count(*) FILTER (is_fractional) AS n_fractional,
        max(date) FILTER (is_off) AS last_off, count(*) FILTER (is_off) AS n_off
    FROM _flagged GROUP BY ticker, 12 * year(date) + month(date)
)
SELECT ticker, min(first_bar) AS first_bar, max(last_bar) AS last_bar, sum(n)::BIGINT AS n,
    sum(n_fractional)::BIGINT AS n_fractional, max(last_fractional) AS last_fractional,
    sum(n_off)::BIGINT AS n_off,
    CASE WHEN sum(n_fractional) < {share} * sum(n) THEN max(last_off) FILTER (n_off * 2 > n) END
        AS last_off
FROM _months GROUP BY ticker ORDER BY ticker"""

# A stretch begins and ends on bars; only those of tickers with a cut inside have to be looked for.
_SNAPPED = """
WITH _cut AS (
    SELECT ticker, first_date AS cut FROM factorlab_stretches
    QUALIFY row_number() OVER (PARTITION BY ticker ORDER BY first_date) > 1
),
_bar AS (
    SELECT ticker, cut, min(date) FILTER (date >= cut) AS after,
        max(date) FILTER (date < cut) AS before
    FROM (SELECT ticker, date FROM {bars} WHERE date <= DATE '{through}') JOIN _cut USING (ticker)
    GROUP BY ticker, cut
)
SELECT s.ticker, coalesce(a.after, s.first_date) AS first_date,
    coalesce(b.before, s.last_date) AS last_date, basis, is_total_return_known, evidence, known_at
FROM factorlab_stretches AS s
LEFT JOIN _bar AS a ON a.ticker = s.ticker AND a.cut = s.first_date
LEFT JOIN _bar AS b ON b.ticker = s.ticker AND b.cut = s.last_date + 1
WHERE coalesce(a.after, s.first_date) <= coalesce(b.before, s.last_date)
ORDER BY s.ticker, first_date"""


def price_basis(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    distributions: str | None,
    status: pa.Table,
    second: str | None,
    month: str,
) -> pa.Table:
    """Per ticker, from bar to bar, whether returns of the closes hold all distributions or none.

    Parameters
    ----------
    bars, distributions, second : relations, as in `distribution_status`.
    status : what that said of the same ones.

    Returns
    -------
    schemas.PRICE_BASIS less its partition's columns; the stretches of a ticker cover its bars.
    """
    through = month_end(month)
    known_at = _last_bar(con, bars, through)
    listed = _listed(con, bars, distributions, through) if distributions else {}
    query = _PRINT.format(
        bars=bars,
        through=through,
        parts=evidence.SPLIT_PARTS,
        whole=OFF_WHOLE,
        cent=OFF_CENT,
        prices=evidence.PLAIN_PRICES,
        share=evidence.FRACTIONAL_SHARE,
    )
    printed = [Printed(**one) for one in con.sql(query).to_arrow_table().to_pylist()]
    by_ticker: dict[str, list[dict[str, Any]]] = {}
    for row in status.to_pylist():
        by_ticker.setdefault(row["ticker"], []).append(row)
    stepped = _stepped(con, bars, second, listed, through) if second else {}
    rows: list[dict[str, Any]] = []
    for one in printed:
        complete = listed[one.ticker].complete() if one.ticker in listed else None
        found = stretches(one, complete, by_ticker.get(one.ticker, []), stepped.get(one.ticker))
        rows += [{"ticker": one.ticker, "known_at": known_at, **each._asdict()} for each in found]
    with registered(con, "factorlab_stretches", pa.Table.from_pylist(rows, BASIS_SCHEMA)):
        snapped = con.sql(_SNAPPED.format(bars=bars, through=through))
        return snapped.to_arrow_table().cast(BASIS_SCHEMA)


def _stepped(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    second: str,
    listed: dict[str, _List],
    through: dt.date,
) -> dict[str, Stepped]:
    """Of tickers without a list, where the ratio to the second file steps."""
    query = f"SELECT DISTINCT ticker FROM {second} SEMI JOIN {bars} USING (ticker)"  # noqa: S608 - the caller vouches for the relations
    names = {ticker: None for (ticker,) in con.sql(query).fetchall() if ticker not in listed}
    found = {}
    for ticker, series in _each_series(con, bars, second, names, through):
        known = np.isfinite(series.ratio)
        is_plain = known.any() and series.other_plain[known].mean() >= evidence.SHARE_PLAIN
        if is_plain and len(series.date) > 2 * evidence.WINDOW:
            first, last = series.date[known][[0, -1]].tolist()
            found[ticker] = Stepped(first, last, series.date[evidence.steps(series)].tolist())
    return found
