"""Turn invented total returns into a vendor's file: prices that carry some dividends, not others.

Belongs here: schedules of dividends and splits, and what a vendor's file makes of them. Does not:
errors (`planted`), or any real vendor's figures.

What is imitated was seen in real Stooq archives. A dividend that the file carries multiplies all
earlier prices by 1 - D / P, P the close before the ex-date; such a row has six significant digits,
and its volume, divided by the same factor, has a fraction (fourteen digits), unless the vendor has
repaired the ticker: then it is whole again. A row without a factor is as it was traded: whole
cents from 1 on, hundredths of a cent below. Mixed files carry the dividends of a stretch of years,
with a few left out. Some are carried one bar early.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Places = npt.NDArray[np.intp]
T = TypeVar("T")
Basis = Literal["adjusted", "price_only", "mixed"]

BASES: tuple[tuple[Basis, float], ...] = (("mixed", 0.6), ("price_only", 0.25), ("adjusted", 0.15))
"""How a ticker's file treats dividends, and the share of tickers: mostly mixed, as in 2024."""
PAYERS = (((12, 0.02, 0.06), 0.35), ((4, 0.005, 0.045), 0.45), ((0, 0.0, 0.0), 0.20))
"""Payments per year, lowest and highest yield per year; share of tickers."""
DROPPED, EARLY = 0.05, 0.03
"""Share of a mixed stretch's dividends that are left out; of carried ones applied a bar early."""
REPAIRED = 0.15
"""Share of tickers whose volumes are whole although their prices carry dividends."""
SPLITS_PER_20_YEARS = 0.5
SPLIT_RATIOS = ((2.0, 0.4), (3.0, 0.12), (4.0, 0.12), (1.5, 0.12), (0.2, 0.12), (0.1, 0.12))
"""New shares per old one, and how often."""

DISTRIBUTIONS = pa.schema(
    [
        ("ticker", pa.string()),
        ("ex_date", pa.date32()),
        ("amount", pa.float64()),
        ("split", pa.float64()),
        ("truth", pa.string()),
    ]
)
"""What was paid, per split-adjusted share, and what the file makes of it: carried, early (carried,
a bar too soon), missing; a split also `twice`; `none` where amount is 0: the list is complete."""


Paid = tuple[str, np.datetime64, float, float, str]


@dataclass
class Series:
    """The bars of one ticker as arrays of one length; prices are changed in place."""

    ticker: str
    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def prices(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Open, high, low and close: the arrays themselves."""
        return self.open, self.high, self.low, self.close


@dataclass(frozen=True)
class Filed:
    """A vendor's file of one ticker, and what is true of it.

    bars : as the vendor writes them.
    paid : rows of `DISTRIBUTIONS`.
    total_return : a holder's wealth, (P_t + D_t) / P_{t-1} chained from the first close.
    """

    bars: Series
    paid: list[Paid]
    total_return: Floats


def stream(seed: int, name: str) -> np.random.Generator:
    """Random numbers that follow from (seed, name) alone."""
    key = hashlib.blake2b(f"factorlab planted|{seed}|{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def split_tickers(prices: pa.Table) -> Iterator[Series]:
    """Each ticker's bars; the table is ordered by ticker and date."""
    names = prices["ticker"].to_numpy()
    columns = [prices[name].to_numpy() for name in ("open", "high", "low", "close", "volume")]
    days = prices["date"].to_numpy().astype("datetime64[D]")
    edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    for begin, end in pairwise(edges if len(names) else []):
        bars = (values[begin:end].copy() for values in columns)
        yield Series(str(names[begin]), days[begin:end], *bars)


def significant(values: Floats, digits: int) -> Floats:
    """Rounded to so many significant digits, and never coarser than two decimals."""
    size = np.floor(np.log10(np.where(values > 0, values, 1)))
    scale = 10 ** np.clip(digits - 1 - size, 2, 12)
    rounded: Floats = np.rint(values * scale) / scale
    return rounded


def file_of(bars: Series, seed: int, basis: Basis | None = None) -> Filed:
    """The vendor's file of one ticker whose closes are total returns.

    What was paid, what was traded and the truth follow from (seed, ticker); only the file depends
    on `basis` (None: drawn as in `BASES`).
    """
    rng = stream(seed, f"actions of {bars.ticker}")
    exes, shares = _dividends(bars, rng)
    splits = _splits(len(bars.days), exes, rng)
    traded, amounts, exes = _as_traded(bars, exes, shares, splits)

    rng = stream(seed, f"file of {bars.ticker}")
    drawn = _one_of(rng, BASES)
    truth = _carried(bars.days[exes], basis or drawn, rng)
    before = traded.close[exes - 1] if len(exes) else traded.close[:0]
    factor = np.ones(len(bars.days) + 1)
    applied = exes - (truth == "early")
    held = truth != "missing"
    np.multiply.at(factor, applied[held], (1 - amounts / before)[held])
    filed = _written(traded, _before(factor), is_repaired=bool(rng.random() < REPAIRED))

    paid = [
        (bars.ticker, bars.days[at], float(amount), 1.0, str(how))
        for at, amount, how in zip(exes, amounts, truth, strict=True)
    ]
    done = [(bars.ticker, bars.days[at], 0.0, ratio, "carried") for at, ratio in splits.items()]
    gains: Floats = traded.close[1:] / traded.close[:-1]
    gains[exes - 1] = (traded.close[exes] + amounts) / before
    wealth = traded.close[0] * np.cumprod(np.append(1.0, gains))
    return Filed(filed, paid + done, wealth)


def _one_of(rng: np.random.Generator, choices: Sequence[tuple[T, float]]) -> T:
    """One of (value, share) by its share."""
    edges = np.cumsum([share for _, share in choices])
    return choices[int(np.searchsorted(edges[:-1], rng.random(), side="right"))][0]


def draw_ratio(rng: np.random.Generator) -> float:
    """A split ratio, as often as `SPLIT_RATIOS` says."""
    return _one_of(rng, SPLIT_RATIOS)


def _dividends(bars: Series, rng: np.random.Generator) -> tuple[Places, Floats]:
    """Bars on which a dividend is in the price, and its share of the close before."""
    per_year, low, high = _one_of(rng, PAYERS)
    rate, day = low + (high - low) * rng.random(), int(rng.integers(1, 25))
    if not per_year:
        return np.empty(0, np.intp), np.empty(0)
    months = np.arange(bars.days[0].astype("datetime64[M]"), bars.days[-1].astype("datetime64[M]"))
    months = months[(months.astype(np.int64) + 1) % (12 // per_year) == 0]
    wanted = months.astype("datetime64[D]") + np.timedelta64(day, "D")
    exes = np.unique(np.searchsorted(bars.days, wanted))
    exes = exes[(exes >= 2) & (exes < len(bars.days))]
    drift = np.exp(np.cumsum(0.03 * rng.standard_normal(len(exes))))
    shares = np.clip(rate * drift, low / 2, 1.5 * high) / per_year
    return exes, shares * (1 + 0.05 * rng.standard_normal(len(exes)))


def _splits(n_bars: int, exes: Places, rng: np.random.Generator) -> dict[int, float]:
    """Bars from which a split counts, and its ratio."""
    count = rng.poisson(SPLITS_PER_20_YEARS * n_bars / 5040) if n_bars > 500 else 0
    places = sorted({int(at) for at in rng.integers(250, max(n_bars - 100, 251), count)})
    places = [at for at in places if at not in exes]
    return {at: draw_ratio(rng) for at in places}


def _as_traded(
    bars: Series, exes: Places, shares: Floats, splits: dict[int, float]
) -> tuple[Series, Floats, Places]:
    """Split-adjusted prices without dividends, the amounts paid, and their bars.

    P_t / P_{t-1} = 1 + R_t - D_t / P_{t-1}; prices are rounded as they were traded.
    """
    gains = bars.close[exes] / bars.close[exes - 1]
    kept = np.ones(len(bars.days))
    kept[exes] = 1 - shares / gains
    level = np.cumprod(kept)
    split = np.ones(len(bars.days) + 1)
    split[list(splits)] = list(splits.values())
    scale = _before(split)
    opened, high, low, close = (_ticks(values * level * scale) / scale for values in bars.prices)
    traded = replace(bars, open=opened, high=high, low=low, close=close)
    amounts = np.round(shares * traded.close[exes - 1], 4)
    paid = amounts > 0
    return traded, amounts[paid], exes[paid]


def _before(factor: Floats) -> Floats:
    """Per bar, the product of the factors of all later bars: they belong to what is before them."""
    product: Floats = np.multiply.accumulate(factor[::-1])[::-1][1:]
    return product


def _ticks(values: Floats) -> Floats:
    rounded: Floats = np.where(values >= 1, np.round(values, 2), np.round(values, 4))
    return np.maximum(rounded, 0.0001)


def _carried(days: Days, basis: Basis, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    """Per dividend: carried, early or missing."""
    if basis == "price_only" or not len(days):
        return np.full(len(days), "missing")
    years = days.astype("datetime64[Y]").astype(np.int64)
    length = years[-1] - years[0] + 1
    span = max(1, round(length * (0.3 + 0.4 * rng.random())))
    first = years[0] + int(rng.integers(0, length - span + 1))
    inside = (years >= first) & (years < first + span) & (rng.random(len(days)) >= DROPPED)
    is_carried = inside if basis == "mixed" else np.ones(len(days), bool)
    is_early = rng.random(len(days)) < EARLY
    return np.where(is_carried, np.where(is_early, "early", "carried"), "missing")


def _written(traded: Series, factor: Floats, *, is_repaired: bool) -> Series:
    """The file's rows: prices times `factor`, volumes divided by it, in the vendor's digits."""
    opened, high, low, close = (significant(values * factor, 6) for values in traded.prices)
    volume = significant(traded.volume / factor, 14)
    volume = np.rint(volume) if is_repaired else volume
    return replace(traded, open=opened, high=high, low=low, close=close, volume=volume)
