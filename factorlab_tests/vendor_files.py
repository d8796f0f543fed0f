"""Small vendors' files of one ticker, of which it is known what they carry.

Belongs here: builders, no tests. A file is made from traded prices (whole cents, whole volumes) as
a vendor makes it: every earlier price times 1 − D / P, every earlier volume divided by that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.calendar import sessions

SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("date", pa.date32()),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
    ]
)
FIRST = dt.date(2019, 1, 2)
EVERY = 20
"""A distribution every so many bars."""


class Traded:
    """What was traded and paid: prices in cents around 50, about 0.4 % every 20 bars."""

    def __init__(self, seed: int = 1, n: int = 300) -> None:
        rng = np.random.default_rng(seed)
        self.days = sessions(FIRST, dt.date(2025, 12, 31))[:n]
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
        opened = close * np.exp(rng.normal(0, 0.003, n))
        high = np.maximum(close, opened) * np.exp(np.abs(rng.normal(0, 0.004, n)))
        low = np.minimum(close, opened) / np.exp(np.abs(rng.normal(0, 0.004, n)))
        self.prices = np.round(np.stack([opened, high, low, close]), 2)
        self.volume = rng.integers(100_000, 2_000_000, n).astype(float)
        self.at = np.arange(EVERY, n - 5, EVERY)
        self.amount = np.round(rng.uniform(0.15, 0.25, len(self.at)), 3)

    @property
    def close(self) -> np.ndarray:
        return self.prices[3]

    def total_return(self) -> np.ndarray:
        """(P_t + D_t) / P_{t−1} chained from 1."""
        paid = np.zeros(len(self.days))
        paid[self.at] = self.amount
        gains = (self.close[1:] + paid[1:]) / self.close[:-1]
        return np.cumprod(np.append(1.0, gains))

    def file(
        self,
        carried: Iterable[int],
        *,
        moved: Mapping[int, int] = {},
        share: Mapping[int, float] = {},
        digits: int = 4,
        ticker: str = "A",
    ) -> pa.Table:
        """The bars of a file that carries the distributions number `carried`, some of them `moved`
        by so many bars, of some only a `share`."""
        factor = np.ones(len(self.days))
        for k in carried:
            before = self.close[self.at[k] - 1]
            factor[: self.at[k] + moved.get(k, 0)] *= 1 - share.get(k, 1) * self.amount[k] / before
        return self.table(np.round(self.prices * factor, digits), self.volume / factor, ticker)

    def table(self, prices: np.ndarray, volume: np.ndarray, ticker: str = "A") -> pa.Table:
        columns = [pa.array([ticker] * len(self.days)), pa.array(self.days), *prices, volume]
        return pa.table(columns, names=SCHEMA.names).cast(SCHEMA)

    def paid(self, ticker: str = "A") -> pa.Table:
        """The list of distributions, with a last row that says it is complete."""
        dates = [*self.days[self.at].tolist(), self.days[-1].item()]
        return pa.table(
            {
                "ticker": [ticker] * len(dates),
                "ex_date": pa.array(dates, pa.date32()),
                "amount": [*self.amount, 0.0],
                "split": [1.0] * len(dates),
            }
        )


def lend(con: duckdb.DuckDBPyConnection, **tables: pa.Table) -> None:
    """Tables as relations of their names."""
    for name, table in tables.items():
        con.register(name, table)
