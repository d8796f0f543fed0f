"""The monthly panel: dates × tickers arrays that everything after the daily bars computes on.

Belongs here: the panel and how the `monthly_returns` table becomes one. Does not: any statistics.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factorlab_assets.core.calendar import Dates, month_ends
from factorlab_assets.errors import FactorLabError

Floats = npt.NDArray[np.float64]
T = TypeVar("T")
VALUES = ("price", "mark", "entry_open", "entry_close")


@dataclass(frozen=True)
class Panel:
    """Monthly prices on the version's basis; (T, N) float64 arrays, NaN = not known.

    dates : (T,) datetime64[D], consecutive month-ends (last XNYS sessions).
    tickers : (N,) str, ascending, each once.
    price : month-end price; NaN where the month's last bar is more than 5 sessions old.
    mark : last close of the month; NaN only where the month has no bar. Never filled forward.
    entry_open, entry_close : open and close of the month's first session; NaN without a bar there.
    """

    dates: Dates
    tickers: npt.NDArray[np.str_]
    price: Floats
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


def panel_from_table(monthly: pa.Table) -> Panel:
    """The panel of one month partition's `monthly_returns` rows, whatever their order.

    Parameters
    ----------
    monthly : the columns ticker, date (month-ends), price, mark, entry_open, entry_close; others
        are ignored. Each (ticker, date) once.

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

    def dense(name: str) -> Floats:
        out = np.full(len(dates) * len(names), np.nan)
        out[cells] = monthly[name].to_numpy()
        return out.reshape(len(dates), len(names))

    return Panel(dates, names[order], *(dense(name) for name in VALUES))
