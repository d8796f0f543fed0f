"""The monthly panel: dates × tickers arrays that everything after the daily bars computes on.

Belongs here: the panel and how the `monthly_returns` table becomes one. Does not: any statistics.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.calendar import Dates, month_ends
from factorlab_assets.errors import FactorLabError

Floats = npt.NDArray[np.float64]
Basis = Literal["close", "total_return"]
"""What prices are compared by: alone, or with what was distributed."""
T = TypeVar("T")
VALUES = ("price", "seen", "mark", "entry_open", "entry_close")


@dataclass(frozen=True)
class Panel:
    """Monthly prices on one basis; (T, N) float64 arrays, NaN = not known.

    dates : (T,) datetime64[D], consecutive month-ends (last XNYS sessions, or some sessions before
        them: `schedule.days_before_month_end`).
    tickers : (N,) str, ascending, each once.
    price : month-end price, repaired; NaN where the month's last bar is over 5 sessions old.
    seen : the same as known on its own date: another where a repair was known only later. What is
        decided at a date rests on `seen` of that date and on `price` of earlier ones.
    mark : last close of the month; NaN only where the month has no bar. Never filled forward.
    entry_open, entry_close : open and close of the month's first session; NaN without a bar there.
    bars : the daily bars, where something reads them. outside : name of a user's own panel ->
        (T, N) values as known at each date. quoted : `seen` as a close, without distributions;
        None where prices are closes.
    """

    dates: Dates
    tickers: npt.NDArray[np.str_]
    price: Floats
    seen: Floats
    mark: Floats
    entry_open: Floats
    entry_close: Floats
    bars: Bars | None = field(default=None, kw_only=True)
    outside: Mapping[str, Floats] = field(default_factory=dict, kw_only=True)
    quoted: Floats | None = field(default=None, kw_only=True)

    def select(self, tickers: Iterable[str]) -> Panel:
        """The panel of these tickers, ascending; one it does not hold becomes an all-NaN column."""
        wanted = np.unique(np.asarray(list(tickers), dtype=np.str_))
        known = np.isin(wanted, self.tickers)
        source = np.searchsorted(self.tickers, wanted[known])

        def column(values: Floats) -> Floats:
            out = np.full((len(self.dates), len(wanted)), np.nan)
            out[:, known] = values[:, source]
            return out

        bars = None
        if self.bars is not None:
            place = np.full(len(wanted), -1)
            place[known] = source
            bars = self.bars.select(place)
        values = (column(getattr(self, name)) for name in VALUES)
        outside = {name: column(given) for name, given in self.outside.items()}
        quoted = None if self.quoted is None else column(self.quoted)
        return Panel(self.dates, wanted, *values, bars=bars, outside=outside, quoted=quoted)

    def once(self, _key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a function of this panel and the key alone; see `shared.SharedPanel`."""
        return make()

    def until(self, day: dt.date | np.datetime64) -> Panel:
        """The panel as far as `day`, included."""
        stop = int(np.sum(self.dates <= np.datetime64(day)))
        values = (getattr(self, name)[:stop] for name in VALUES)
        bars = None if self.bars is None else self.bars.until(np.datetime64(day))
        outside = {name: given[:stop] for name, given in self.outside.items()}
        quoted = None if self.quoted is None else self.quoted[:stop]
        own = self.dates[:stop]
        return Panel(own, self.tickers, *values, bars=bars, outside=outside, quoted=quoted)


def panel_from_table(monthly: pa.Table, basis: Basis = "close", *, days_before: int = 0) -> Panel:
    """The panel of one month partition's `monthly_returns` rows, whatever their order.

    Parameters
    ----------
    monthly : the columns ticker, date (month-ends), close, price, entry_open, entry_close, and if
        there are, seen, growth, entry_growth; others are ignored. Each (ticker, date) once.
    basis : "total_return" multiplies every price by the growth of its day.
    days_before : how the months are dated, as `monthly_returns` takes it.

    Returns
    -------
    Panel from the earliest to the latest month of the rows; a (month, ticker) without a row is NaN.

    Raises
    ------
    FactorLabError : no rows.
    """
    if monthly.num_rows == 0:
        raise FactorLabError("no monthly returns to compute on", got="0 rows")
    coded = monthly["ticker"].combine_chunks().dictionary_encode()
    names = np.asarray(coded.dictionary.to_pylist(), dtype=np.str_)
    order = np.argsort(names)
    columns = np.argsort(order)[coded.indices.to_numpy()]

    months = monthly["date"].to_numpy().astype("datetime64[M]")
    first, last = months.min(), months.max()
    dates = month_ends(str(first), str(last), days_before)
    cells = (months - first).astype(np.int64) * len(names) + columns

    def dense(name: str, growth: str = "") -> Floats:
        out = np.full(len(dates) * len(names), np.nan)
        values = monthly[name].to_numpy()
        is_grown = growth and basis == "total_return"
        out[cells] = values * monthly[growth].to_numpy() if is_grown else values
        return out.reshape(len(dates), len(names))

    known = "seen" if "seen" in monthly.column_names else "price"
    price = dense("price", "growth")
    seen = price if known == "price" else dense(known, "growth")
    quoted = dense(known) if basis == "total_return" else None
    mark = dense("close", "growth")
    entries = (dense(name, "entry_growth") for name in ("entry_open", "entry_close"))
    return Panel(dates, names[order], price, seen, mark, *entries, quoted=quoted)
