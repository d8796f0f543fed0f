"""Return series side by side, over the calendar months that all of them have.

Belongs here: aligning series, their metrics and correlations. Does not: the statistics themselves
(`core.performance`), tests of differences (`sharpe_difference`), or which series (`ledger`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa

from factorlab_assets.core.backtest import growth
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import NOISE, metrics
from factorlab_assets.errors import FactorLabError

FEWEST_MONTHS = 12
"""In common, below which there is nothing to compare."""
COLUMNS = ("net_return", "rf", "benchmark_return", "turnover", "cost")


@dataclass(frozen=True)
class Series:
    """What one experiment earned: (T,) each, decimals per month, ascending month-ends; benchmark
    NaN = not known."""

    name: str
    dates: Dates
    net_return: Floats
    rf: Floats
    benchmark_return: Floats
    turnover: Floats
    cost: Floats

    @classmethod
    def from_table(cls, name: str, rows: pa.Table) -> Series:
        """From one experiment's rows of `trial_returns` or `backtest_returns`, in order."""
        values = (np.asarray(rows[column].to_numpy(), dtype=np.float64) for column in COLUMNS)
        return cls(name, rows["date"].to_numpy().astype("datetime64[D]"), *values)

    @property
    def months(self) -> Dates:
        """The calendar months of its dates."""
        return self.dates.astype("datetime64[M]")

    def on(self, months: Dates) -> Series:
        """The same in these calendar months, all of which it has."""
        rows = np.isin(self.months, months)
        values = (getattr(self, column)[rows] for column in COLUMNS)
        return Series(self.name, self.dates[rows], *values)

    @property
    def metrics(self) -> dict[str, float]:
        """See `performance.metrics`."""
        said = (self.net_return, self.rf, self.benchmark_return, self.turnover, self.cost)
        return metrics(*said)


@dataclass(frozen=True)
class Comparison:
    """Series on their common months (T,); metrics, nav (S, T) and correlation (S, S) follow."""

    series: Sequence[Series]

    @property
    def dates(self) -> Dates:
        """(T,) of each month the latest of the series' dates."""
        return np.asarray(np.max([each.dates for each in self.series], axis=0))

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Name -> metric -> figure."""
        return {each.name: each.metrics for each in self.series}

    @property
    def net(self) -> Floats:
        """(S, T) net returns."""
        return np.stack([each.net_return for each in self.series])

    @property
    def excess(self) -> Floats:
        """(S, T) net returns over cash."""
        return np.stack([each.net_return - each.rf for each in self.series])

    @property
    def nav(self) -> Floats:
        """(S, T) growth of 1 from before the first common month."""
        return np.stack([growth(each.net_return) for each in self.series])

    @property
    def correlation(self) -> Floats:
        """(S, S) of net returns; see `correlations`."""
        return correlations(self.net)


def compare(series: Sequence[Series]) -> Comparison:
    """The series over the months that all of them have.

    Months are those of the calendar: what trades some days before a month's end stands beside what
    trades at its end.

    Raises
    ------
    FactorLabError : fewer than two series, a name twice, or fewer than 12 months in common.
    """
    names = [each.name for each in series]
    if len(names) < 2 or len(set(names)) < len(names):
        raise FactorLabError(
            "a comparison takes two or more different experiments", got=", ".join(names) or "none"
        )
    common = reduce(np.intersect1d, [each.months for each in series])
    if len(common) < FEWEST_MONTHS:
        spans = [f"{e.name} {e.dates[0]} to {e.dates[-1]}" for e in series if len(e.dates)]
        raise FactorLabError(
            "too few months in common",
            got=f"{len(common)}: {'; '.join(spans)}",
            expected=f"at least {FEWEST_MONTHS}",
            do="leave out the one with the shortest history",
        )
    return Comparison([each.on(common) for each in series])


def correlations(net: Floats) -> Floats:
    """Pearson correlations of (S, T) returns; NaN for a series that does not vary.

    Two series whose spread is only rounding have none, the diagonal included.

    >>> correlations(np.array([[0.1, -0.1, 0.2], [-0.1, 0.1, -0.2], [0.0, 0.0, 0.0]])).round(12)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan, nan]])
    """
    apart = net - net.mean(axis=1, keepdims=True)
    size = np.sqrt((apart**2).sum(axis=1))
    noise = NOISE * (1.0 + np.abs(net).max(axis=1)) * np.sqrt(net.shape[1])
    scaled = apart / np.where(size > noise, size, np.nan)[:, np.newaxis]
    return np.asarray(np.clip(scaled @ scaled.T, -1.0, 1.0))
