"""Plant known errors in invented prices, to measure what finds them.

Belongs here: rates of errors, and the list of what was planted. Does not: the errors themselves
(`planted_errors`), what vendors make of dividends (`planted_dividends`), or finding anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from factorlab_assets.core.calendar import sessions
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.planted_dividends import (
    DISTRIBUTIONS,
    Basis,
    Days,
    Floats,
    Paid,
    Series,
    file_of,
    split_tickers,
    stream,
)
from factorlab_assets.sources.planted_errors import (
    APART,
    BARS_PER_20_YEARS,
    MEMORY,
    Errors,
    Fault,
    robust_sigma,
)

MARKET = "^MARKET"
"""The ticker of what concerns most tickers at once."""
NEWS_SIGMAS, MOST_OVERNIGHT = 3.0, 0.9
"""Of a move of 3 sigma and more, between nothing and this much has happened at the open: two in
five have more than half, as in 607 real ETFs. The source's opens always take about a third; what
tells an error, which is there at the open, from news by that share would find too much."""
FURTHEST = 0.45
"""Of a ticker's volatility, at most this much is its own if others of its class are its peers."""

TRUTH = pa.schema(
    [
        ("ticker", pa.string()),
        ("date", pa.date32()),
        ("last_date", pa.date32()),
        ("kind", pa.string()),
        ("size", pa.float64()),
    ]
)
"""One planted error: its first and last wrong bar (or missing session), and its size."""


@dataclass(frozen=True)
class Rates:
    """How many errors of each kind to expect per ticker and 20 years, `missing_market` in all.

    They suffice to measure recall on some 200 tickers. The 607 ETFs of a real archive, the cleanest
    part of the market, have fewer: 0.02 spikes, and one session that nine in ten tickers lack; but
    of other missing sessions every fourth ticker has eight and more, every tenth over forty.
    """

    missing: float = 1.0
    missing_market: float = 5.0
    stale: float = 0.5
    spike: float = 0.5
    decimal: float = 0.5
    ohlc: float = 0.5
    volume: float = 0.5
    split: float = 0.5
    outlier: float = 0.5
    peers: float = 2.0

    def times(self, factor: float) -> Rates:
        """All rates multiplied; 0 plants nothing."""
        return Rates(*(getattr(self, rate.name) * factor for rate in fields(self)))


@dataclass(frozen=True)
class Planted:
    """A vendor's file with errors, and all that is true of it.

    prices : `PRICE_SCHEMA`, ordered by ticker and date, contradictory bars among them.
    truth : `TRUTH`, ordered by ticker, date and kind.
    distributions : `planted_dividends.DISTRIBUTIONS`, ordered by ticker and ex-date; the last row
        of each ticker says that the list is complete.
    total_return : ticker, date, close: a holder's wealth on every bar before errors were planted.
    """

    prices: pa.Table
    truth: pa.Table
    distributions: pa.Table
    total_return: pa.Table


def plant(
    prices: pa.Table,
    seed: int,
    *,
    rates: Rates | None = None,
    basis: Basis | None = None,
    asset_classes: Mapping[str, str] | None = None,
) -> Planted:
    """Make a vendor's file of total-return bars, and plant errors in it.

    Parameters
    ----------
    prices : bars of the synthetic source, ordered by ticker and date.
    seed : the same seed plants the same.
    rates : how much of what; default `Rates()`.
    basis : what the files carry of dividends; None = some of each.
    asset_classes : ticker -> class; without it nothing of kind `peers` is planted.

    Examples
    --------
    >>> import datetime as dt
    >>> from factorlab_assets.sources.synthetic import Synthetic
    >>> bars = Synthetic({"SPY": "Equity"}, seed=7).fetch(None, dt.date(2013, 1, 31)).prices
    >>> planted = plant(bars, seed=1)
    >>> planted.truth.column_names
    ['ticker', 'date', 'last_date', 'kind', 'size']
    """
    rates = rates or Rates()
    clean = list(split_tickers(prices))
    calendar = _calendar(clean)
    sigmas = {bars.ticker: robust_sigma(bars.close) for bars in clean}
    rooms = _peer_rooms(clean, sigmas, calendar, asset_classes or {})
    market = _market_sessions(calendar, rates.missing_market, stream(seed, MARKET))
    files, wealth = [], []
    truth: list[Fault] = []
    paid: list[Paid] = []
    nights = MOST_OVERNIGHT * stream(seed, "nights").random(len(calendar))
    for bars in clean:
        _open_with_news(bars, sigmas[bars.ticker], nights[np.searchsorted(calendar, bars.days)])
        filed = file_of(bars, seed, basis)
        errors = Errors(filed.bars, sigmas[bars.ticker], stream(seed, f"errors of {bars.ticker}"))
        _plant_all(errors, rates, rooms.get(bars.ticker), [day for _, day, *_ in filed.paid])
        errors.drop_sessions(market)
        files.append(errors.table())
        truth += errors.truth
        paid += _complete(bars, filed.paid + errors.splits)
        wealth.append(_wealth(bars, filed.total_return))
    return Planted(
        pa.concat_tables([PRICE_SCHEMA.empty_table(), *files]),
        _table(TRUTH, truth + _gaps(files, calendar, list(market)), "date", "kind"),
        _table(DISTRIBUTIONS, paid, "ex_date"),
        pa.concat_tables([_wealth_schema().empty_table(), *wealth]),
    )


def _plant_all(
    errors: Errors, rates: Rates, room: Floats | None, paid_on: list[np.datetime64]
) -> None:
    errors.plant_split(rates.split, paid_on)
    errors.plant_decimal(rates.decimal)
    errors.plant_outlier(rates.outlier)
    errors.plant_spike(rates.spike)
    if room is not None:
        errors.plant_peers(rates.peers, room)
    errors.plant_stale(rates.stale)
    errors.plant_ohlc(rates.ohlc)
    errors.plant_volume(rates.volume)
    errors.plant_missing(rates.missing)


def _complete(bars: Series, paid: list[Paid]) -> list[Paid]:
    """With a last row that says nothing else was paid to the last bar."""
    last = bars.days[-1]
    is_told = any(day == last for _, day, *_ in paid)
    return paid if is_told else [*paid, (bars.ticker, last, 0.0, 1.0, "none")]


def _open_with_news(bars: Series, sigma: Floats, share: Floats) -> None:
    """Let `share` (per bar) of each large move be there at the open."""
    before = np.append(bars.close[:1], bars.close[:-1])
    is_news = np.abs(np.log(bars.close / before)) >= NEWS_SIGMAS * sigma
    opened = before + share * (bars.close - before)
    bars.open[:] = np.where(is_news, opened, bars.open)
    np.maximum(bars.high, bars.open, out=bars.high)
    np.minimum(bars.low, bars.open, out=bars.low)


def _calendar(clean: list[Series]) -> Days:
    if not clean:
        return np.empty(0, "datetime64[D]")
    first, last = min(bars.days[0] for bars in clean), max(bars.days[-1] for bars in clean)
    return sessions(first.astype(object), last.astype(object))


def _market_sessions(
    calendar: Days, rate: float, rng: np.random.Generator
) -> dict[np.datetime64, float]:
    """Session -> share of the tickers that lack it."""
    count = round(rate * len(calendar) / BARS_PER_20_YEARS)
    inner = calendar[MEMORY + 1 : -APART]
    chosen = np.sort(rng.choice(inner, min(count, len(inner)), replace=False))
    return {day: float(rng.uniform(0.6, 0.97)) for day in chosen}


def _peer_rooms(
    clean: list[Series],
    sigmas: Mapping[str, Floats],
    calendar: Days,
    asset_classes: Mapping[str, str],
) -> dict[str, Floats]:
    """Ticker with peers -> per bar, the standard deviation of its return beyond that of its class.

    Returns over sigma are regressed on the mean of the class's others, five of them at least; what
    is left counts as sigma does, over the 63 bars before.
    """
    rooms = {}
    for name in sorted(set(asset_classes.values())):
        members = [bars for bars in clean if asset_classes.get(bars.ticker) == name]
        moves = np.full((len(members), len(calendar)), np.nan)
        places = [np.searchsorted(calendar, bars.days) for bars in members]
        for row, (bars, at) in enumerate(zip(members, places, strict=True)):
            sigma = sigmas[bars.ticker][1:]
            is_used = (np.diff(at) == 1) & np.isfinite(sigma)
            moves[row, at[1:]] = np.where(is_used, np.diff(np.log(bars.close)) / sigma, np.nan)
        known = np.isfinite(moves)
        total, count = np.where(known, moves, 0).sum(axis=0), known.sum(axis=0)
        for row, bars in enumerate(members):
            is_used = known[row] & (count > 5)
            own = moves[row, is_used]
            others = (total[is_used] - own) / (count[is_used] - 1)
            left = own - others * float(own @ others) / max(float(others @ others), 1e-9)
            if len(own) and 1.4826 * float(np.median(np.abs(left))) <= FURTHEST:
                at = np.flatnonzero(is_used[places[row]])
                rooms[bars.ticker] = np.full(len(bars.days), np.inf)
                apart = np.cumsum(left * sigmas[bars.ticker][at])
                rooms[bars.ticker][at] = robust_sigma(np.exp(apart))
    return rooms


def _gaps(files: list[pa.Table], calendar: Days, market: list[np.datetime64]) -> list[Fault]:
    """Runs of sessions that a ticker lacks, and the sessions that most of them lack."""
    gone = np.array(market, "datetime64[D]")
    usual = calendar[~np.isin(calendar, gone)]
    found: list[Fault] = []
    alive, lacking = np.zeros(len(market)), np.zeros(len(market))
    for file in files:
        days = file["date"].to_numpy().astype("datetime64[D]")
        if not len(days):
            continue
        name = file["ticker"][0].as_py()
        at = np.searchsorted(usual, days[np.isin(days, usual)])
        for gap in np.flatnonzero(np.diff(at) > 1):
            first, last = usual[at[gap] + 1], usual[at[gap + 1] - 1]
            found.append((name, first, last, "missing", float(np.diff(at)[gap] - 1)))
        is_alive = (gone > days[0]) & (gone < days[-1])
        alive += is_alive
        lacking += is_alive & ~np.isin(gone, days)
    for day, share in zip(market, lacking / np.maximum(alive, 1), strict=True):
        found.append((MARKET, day, day, "missing_market", float(share)))
    return found


def _table(schema: pa.Schema, rows: Sequence[Fault | Paid], *order: str) -> pa.Table:
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    # A list of numpy's days is refused, an array of them is not.
    arrays = [pa.array(np.array(v), of.type) for v, of in zip(columns, schema, strict=True)]
    table = pa.table(arrays, schema=schema)
    return table.sort_by([(name, "ascending") for name in ("ticker", *order)])


def _wealth_schema() -> pa.Schema:
    return pa.schema([PRICE_SCHEMA.field(name) for name in ("ticker", "date", "close")])


def _wealth(bars: Series, wealth: Floats) -> pa.Table:
    names = pa.repeat(bars.ticker, len(wealth))
    return pa.table([names, pa.array(bars.days), wealth], schema=_wealth_schema())
