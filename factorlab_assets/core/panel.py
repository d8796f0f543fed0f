"""The monthly panel: dates × tickers arrays that everything after the daily bars computes on.

Belongs here: the panel and how the `monthly_returns` table becomes one. Does not: any statistics.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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

    dates : (T,) datetime64[D], consecutive month-ends (last XNYS sessions).
    tickers : (N,) str, ascending, each once.
    price : month-end price, repaired; NaN where the month's last bar is over 5 sessions old.
    seen : the same as known on its own date: another where a repair was known only later. What is
        decided at a date rests on `seen` of that date and on `price` of earlier ones.
    mark : last close of the month; NaN only where the month has no bar. Never filled forward.
    entry_open, entry_close : open and close of the month's first session; NaN without a bar there.
    """

    dates: Dates
    tickers: npt.NDArray[np.str_]
    price: Floats
    seen: Floats
    mark: Floats
    entry_open: Floats
    entry_close: Floats

    def select(self, tickers: Iterable[str]) -> Panel:
        """The panel of these tickers, ascending; one it does not hold becomes an all-NaN column."""
        wanted = np.unique(np.asarray(list(tickers), dtype=np.str_))
        known = np.isin(wanted, self.tickers)
        source = np.searchsorted(self.tickers, wanted[known])

        def column(values: Floats) -> Floats:
            out = np.full((len(self.dates), len(wanted)), np.nan)
            out[:, known] = values[:, source]
            return out

        return Panel(self.dates, wanted, *(column(getattr(self, name)) for name in VALUES))

    def once(self, _key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, a function of this panel and the key alone; see `shared.SharedPanel`."""
        return make()

    def until(self, day: dt.date | np.datetime64) -> Panel:
        """The panel as far as `day`, included."""
        stop = int(np.sum(self.dates <= np.datetime64(day)))
        values = (getattr(self, name)[:stop] for name in VALUES)
        return Panel(self.dates[:stop], self.tickers, *values)


def panel_from_table(monthly: pa.Table, basis: Basis = "close") -> Panel:
    """The panel of one month partition's `monthly_returns` rows, whatever their order.

    Parameters
    ----------
    monthly : the columns ticker, date (month-ends), close, price, entry_open, entry_close, and if
        there are, seen, growth, entry_growth; others are ignored. Each (ticker, date) once.
    basis : "total_return" multiplies every price by the growth of its day.

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
    dates = month_ends(str(first), str(last))
    cells = (months - first).astype(np.int64) * len(names) + columns

    def dense(name: str, growth: str) -> Floats:
        out = np.full(len(dates) * len(names), np.nan)
        values = monthly[name].to_numpy()
        out[cells] = values * monthly[growth].to_numpy() if basis == "total_return" else values
        return out.reshape(len(dates), len(names))

    price = dense("price", "growth")
    seen = dense("seen", "growth") if "seen" in monthly.column_names else price
    entries = (dense(name, "entry_growth") for name in ("entry_open", "entry_close"))
    return Panel(dates, names[order], price, seen, dense("close", "growth"), *entries)
