"""Total returns of thirteen real ETFs from Stooq's closes, against the second vendor's.

Belongs here: the comparison and what explains its worst rows. Does not: the figures asked for
(`test_total_returns_real`). `python -m factorlab_tests.oracles.total_returns [shared data folder]`
prints the report.

Stooq's closes and the vendor's list of distributions give ours; the vendor's raw prices are the
evidence of which of them Stooq carries; its adjusted close is what ours is held against. Monthly
returns are from one month's last session to the next one's, to 2020-11-30; annual ones (CAGR) over
the same months.

Why a month differs is looked for in the two closes that it is measured by: the one is odd whose
ratio to the other vendor's is furthest off the usual one between two ex-dates. It is the vendor's
close where it is too low by the very distribution of the next day, or repeats the day before; else
that vendor's whose returns are further from the ticker's relatives on days with such closes.
"""

from __future__ import annotations

import datetime as dt
import io
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from factorlab_assets.core.adjust import REPAIR_COLUMNS, adjusted_prices
from factorlab_assets.core.basis import distribution_status, price_basis
from factorlab_assets.core.calendar import month_end, month_ends
from factorlab_assets.distributions import read_distributions
from factorlab_assets.sources.vendor_csv import VendorCsv

LAST = dt.date(2020, 12, 11)
FIRST_MONTH, LAST_MONTH = "1999-03", "2020-11"
SINCE = "2005-02-28"
"""Before, there is QQQ alone, whose closes of the first years are from another exchange's hours."""
BASIS_POINT = 1e-4
OFF = 4 * BASIS_POINT
"""Closes that part by less than that from their usual ratio are rounded."""
WRONG = 15 * BASIS_POINT
"""Closes that part by more than that are held against the relatives."""
RELATIVES = {
    "DBC": ("GSG", "DJP"),
    "VNQ": ("IYR", "RWR", "ICF"),
    "IWM": ("IJR", "VB", "IWN"),
    "TLT": ("TLH", "IEF"),
    "IEF": ("TLH", "SHY"),
    "LQD": ("AGG", "IEF"),
}


@dataclass
class Comparison:
    """months : ticker, date, ours, theirs, bp (ours less theirs). days : every day, both vendors.

    status, basis : what was found. n_bars : Stooq's.
    """

    months: pd.DataFrame
    days: pd.DataFrame
    status: pd.DataFrame
    basis: pd.DataFrame


def compare(shared: Path, *, with_second: bool = True, month: str = "2020-12") -> Comparison:
    """Both vendors' total returns, month by month."""
    with _loaded(shared, month) as con:
        second = "second" if with_second else None
        status = distribution_status(con, "stooq", "paid", second, month)
        basis = price_basis(con, "stooq", "paid", status, second, month)
        nothing = pa.table({name: _empty(name) for name in REPAIR_COLUMNS})
        con.register("ends", pa.table({"date": month_ends(FIRST_MONTH, LAST_MONTH)}))
        with adjusted_prices(con, "stooq", nothing, status) as query:
            days = con.sql(
                f"""
                SELECT b.ticker, b.date, b.close, b.high, b.low, s.close AS second_close,
                    s.high AS second_high, s.low AS second_low, v.amount, v.close AS raw,
                    ln(b.close * a.growth) AS ours, ln(v.adjusted) AS theirs,
                    b.date IN (FROM ends) AS is_end
                FROM ({query}) AS a JOIN stooq AS b USING (ticker, date)
                JOIN second AS s USING (ticker, date) JOIN vendor AS v USING (ticker, date)
                ORDER BY ticker, date"""
            ).df()
    ends = days[days["is_end"]]
    gains = np.expm1(ends.groupby("ticker")[["ours", "theirs"]].diff())
    months = pd.concat([ends[["ticker", "date"]], gains], axis=1).dropna()
    months = months[months["date"] > SINCE]
    months["bp"] = (months["ours"] - months["theirs"]) / BASIS_POINT
    return Comparison(months, days, status.to_pandas(), basis.to_pandas())


def by_ticker(compared: Comparison) -> pd.DataFrame:
    """n months, share within 5 bp, rows beyond 10 bp, CAGR of ours, theirs, difference."""
    rows = {}
    for ticker, own in compared.months.groupby("ticker"):
        off = own["bp"].abs()
        ours, theirs = (
            (1 + own[name]).prod() ** (12 / len(own)) - 1 for name in ("ours", "theirs")
        )
        rows[ticker] = {
            "months": len(own),
            "within_5bp": (off < 5).mean(),
            "over_10bp": int((off > 10).sum()),
            "cagr": ours,
            "vendor_cagr": theirs,
            "difference": ours - theirs,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def explained(compared: Comparison, shared: Path, beyond: float = 10.0) -> pd.DataFrame:
    """Months off by more than `beyond` bp: odd = stooq, vendor or unclear, and why."""
    days = _told(compared.days, shared)
    rows = []
    for row in compared.months[compared.months["bp"].abs() > beyond].itertuples():
        own = days[(days["ticker"] == row.ticker) & (days["date"] <= row.date)]
        ends = own[own["is_end"]].tail(2)  # one of the two closes that the month is measured by
        worst = ends.loc[ends["off"].abs().idxmax()]
        rows.append(
            {
                "ticker": row.ticker,
                "month": f"{row.date:%Y-%m}",
                "bp": row.bp,
                "odd": worst["odd"],
                "why": f"{worst['date']:%Y-%m-%d}: {worst['why']}",
            }
        )
    return pd.DataFrame(rows, columns=["ticker", "month", "bp", "odd", "why"])


def _told(days: pd.DataFrame, shared: Path) -> pd.DataFrame:
    """Per day: how far the two closes part beyond their highs and lows, which is odd, and why."""
    days = days.copy()
    ratios = np.log(
        np.stack([days[name] / days[f"second_{name}"] for name in ("close", "high", "low")])
    )
    groups = days.groupby("ticker")
    level = pd.Series(np.median(ratios, axis=0), days.index)
    between = [days["ticker"], (days["amount"] > 0).groupby(days["ticker"]).cumsum()]
    days["off"] = ratios[0] - level.groupby(between).transform("median")
    amount = groups["amount"].shift(-1)
    before = groups["raw"].shift(1)
    own = dict(iter(groups))

    @cache
    def side(ticker: str, year: int) -> tuple[str, str]:
        return _relatives_side(own[ticker], year, shared)

    odd, why = [], []
    for row, due, last in zip(days.itertuples(), amount, before, strict=True):
        low = row.raw * np.expm1(row.off)
        if abs(row.off) < OFF:
            odd.append("unclear")
            why.append("rounding adds up")
        elif due > 0 and abs(low - due) < 0.1 * due + 0.01:
            odd.append("vendor")
            why.append(f"its close is {low:.2f} too low, the {due:.2f} paid the next day")
        elif row.raw == last:
            odd.append("vendor")
            why.append(f"its close repeats the {last:.2f} of the day before")
        else:
            who, said = side(row.ticker, row.date.year)
            odd.append(who)
            why.append(f"the closes part by {row.off / BASIS_POINT:+.0f} bp; {said}")
    return days.assign(odd=odd, why=why)


def _relatives_side(own: pd.DataFrame, year: int, shared: Path) -> tuple[str, str]:
    """Which vendor's returns are further from the relatives on a year's days with odd closes."""
    ticker = own["ticker"].iloc[0]
    relatives = RELATIVES.get(ticker, ())
    if not relatives:
        return "unclear", "no relatives to hold them against"
    own = own.set_index("date")
    gains = pd.DataFrame({name: _closes(shared, name) for name in relatives})
    gains = np.log(gains).diff().reindex(own.index)
    ours, theirs = own["ours"].diff(), own["theirs"].diff()
    known = gains.notna().all(axis=1) & ours.notna() & theirs.notna()
    factors = np.c_[gains[known].to_numpy(), np.ones(known.sum())]
    slope, *_ = np.linalg.lstsq(factors, ((ours + theirs) / 2)[known].to_numpy(), rcond=None)
    expected = pd.Series(factors @ slope, index=own.index[known])
    parts = (own["off"].abs() > WRONG)[known] & (expected.index.year == year)
    miss = [(one[known] - expected)[parts] for one in (ours, theirs)]
    nearer = int((miss[0].abs() < miss[1].abs()).sum())
    n = int(parts.sum())
    said = f"{', '.join(relatives)} are nearer to Stooq on {nearer} of {n} such days of {year}"
    if n and nearer >= 0.7 * n:
        return "vendor", said
    return ("stooq", said) if n and nearer <= 0.3 * n else ("unclear", said)


def report(shared: Path) -> str:
    """The tables for people."""
    compared = compare(shared)
    months, table = compared.months, by_ticker(compared)
    off = months["bp"].abs()
    worst = explained(compared, shared)
    beyond = explained(compared, shared, 5.0)
    vendors = int((beyond["odd"] == "vendor").sum())
    alone = compare(shared, with_second=False)
    parts = [
        f"{len(months)} ticker-months to {LAST_MONTH}: {(off < 5).mean():.2%} within 5 bp, median "
        f"{off.median():.2f} bp; {int((off >= 5).sum())} are not, {vendors} of them by a wrong "
        f"close of the second vendor; without those {right_within(months, beyond):.2%}",
        table.to_string(formatters=_FORMATS),
        "beyond 10 bp:",
        worst.to_string(index=False, formatters={"bp": "{:+.1f}".format}),
        "with the second vendor's prices as evidence:",
        _counts(compared.status),
        "without them:",
        _counts(alone.status),
    ]
    for month in (LAST_MONTH, "2024-05"):
        parts += [f"bands to {month}:", _bands(compare(shared, month=month).basis)]
    return "\n".join(parts)


def right_within(months: pd.DataFrame, beyond: pd.DataFrame) -> float:
    """Share within 5 bp of the months in which the second vendor's closes are not proven wrong."""
    vendors = int((beyond["odd"] == "vendor").sum())
    return 1 - (len(beyond) - vendors) / (len(months) - vendors)


_FORMATS = {
    "within_5bp": "{:.2%}".format,
    "cagr": "{:.3%}".format,
    "vendor_cagr": "{:.3%}".format,
    "difference": "{:+.3%}".format,
}


def _counts(status: pd.DataFrame) -> str:
    return pd.crosstab(status["ticker"], status["status"]).to_string()


def _bands(basis: pd.DataFrame) -> str:
    shown = basis[
        ["ticker", "first_date", "last_date", "basis", "is_total_return_known", "evidence"]
    ]
    return shown.to_string(index=False)


@contextmanager
def _loaded(shared: Path, month: str) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = shared / "alphavantage_2020"
    tickers = sorted(file.stem for file in folder.glob("*.csv"))
    paid, _ = read_distributions(folder, tickers, month_end(month))
    frames = [_vendor(folder / f"{name}.csv") for name in tickers]
    with duckdb.connect() as con:
        con.register("paid", paid)
        con.register("second", VendorCsv(folder).fetch(tickers, LAST).prices)
        con.register("vendor", pa.Table.from_pandas(pd.concat(frames), preserve_index=False))
        con.execute(
            f"""
            CREATE TABLE stooq AS SELECT
                replace("<TICKER>", '.US', '') AS ticker,
                strptime("<DATE>", '%Y%m%d')::DATE AS date, "<OPEN>"::DOUBLE AS open,
                "<HIGH>"::DOUBLE AS high, "<LOW>"::DOUBLE AS low, "<CLOSE>"::DOUBLE AS close,
                "<VOL>"::DOUBLE AS volume
            FROM read_csv('{shared}/stooq/bulk_2024/*.txt', all_varchar = true)"""
        )
        yield con


def _vendor(file: Path) -> pd.DataFrame:
    rows = pd.read_csv(file, parse_dates=["timestamp"])
    return pd.DataFrame(
        {
            "ticker": file.stem,
            "date": rows["timestamp"].dt.date,
            "close": rows["close"],
            "adjusted": rows["adjusted_close"],
            "amount": rows["dividend_amount"],
        }
    )


@cache
def _closes(shared: Path, ticker: str) -> pd.Series:
    """A ticker's closes in the archive."""
    with zipfile.ZipFile(shared / "stooq" / "us_etfs_20240621.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith(f"/{ticker.lower()}.us.txt"))
        rows = pd.read_csv(io.BytesIO(archive.read(name)), usecols=["<DATE>", "<CLOSE>"])
    return pd.Series(rows["<CLOSE>"].to_numpy(), pd.to_datetime(rows["<DATE>"].astype(str)))


def _empty(name: str) -> pa.Array:
    if name in ("date", "known_at"):
        return pa.array([], pa.date32())
    is_number = name in ("value", "expected", "old_close", "new_close")
    return pa.array([], pa.float64() if is_number else pa.string())


if __name__ == "__main__":
    usual = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    sys.stdout.write(report(Path(sys.argv[1]) if len(sys.argv) > 1 else usual) + "\n")
