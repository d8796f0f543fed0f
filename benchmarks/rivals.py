"""The 200 strategies of `bench_many` in pandas and in vectorbt, and the prices that they run on.

Belongs here: how a competent user of each would write it. Does not: anything of FactorLab's, so
that a Python with numpy, pandas and vectorbt alone can run it.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks import harness

MONTHS, COST_BPS = 240, 10.0
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)


class Combination(NamedTuple):
    """Return from `lookback` to `skip` months ago; the k highest; equal or in proportion to it."""

    lookback: int
    skip: int
    k: int
    weighting: str


def combinations(size: int) -> list[Combination]:
    """10 lookbacks × 2 skips × 5 sizes × 2 weightings."""
    sizes = [max(round(size * share), 1) for share in SHARES]
    every = itertools.product(range(3, 13), (0, 1), sizes, ("equal", "signal"))
    return [Combination(*each) for each in every]


def prices(size: int) -> np.ndarray:
    """20 years of month-ends, (240, size), nothing missing."""
    steps = np.random.default_rng(1).standard_normal((MONTHS, size))
    return 50.0 * np.exp(np.cumsum(0.005 + 0.06 * steps, axis=0))


def weights_in_pandas(price: pd.DataFrame, said: Combination) -> pd.DataFrame:
    """What one combination holds from each month-end on, from the first that all names have."""
    momentum = price.shift(said.skip) / price.shift(said.lookback) - 1
    chosen = momentum.rank(axis=1, ascending=False, method="first") <= said.k
    if said.weighting == "equal":
        weights = chosen / said.k
    else:
        strength = momentum.where(chosen, 0.0).clip(lower=0.0)
        weights = strength.div(strength.sum(axis=1), axis=0).fillna(0.0)
    return weights.loc[momentum.notna().all(axis=1)]


def in_pandas(price: pd.DataFrame, change: pd.DataFrame, said: Combination) -> pd.Series:
    """The monthly net returns of one combination."""
    weights = weights_in_pandas(price, said)
    change, held = change.loc[weights.index], weights.shift(1).fillna(0.0)
    gross = (held * change).sum(axis=1)
    drifted = (held * (1 + change)).div(1 + gross, axis=0)
    turnover = (weights - drifted).abs().sum(axis=1)
    return (gross - (turnover * COST_BPS / 1e4).shift(1))[1:]


def weights_in_numpy(price: np.ndarray, said: Combination) -> np.ndarray:
    """The same weights, NaN before the first."""
    momentum = price[said.lookback - said.skip : len(price) - said.skip] / price[: -said.lookback]
    momentum -= 1.0
    best = np.argsort(-momentum, axis=1, kind="stable")[:, : said.k]
    if said.weighting == "equal":
        share = np.full(best.shape, 1.0 / said.k)
    else:
        strength = np.maximum(np.take_along_axis(momentum, best, axis=1), 0.0)
        total = strength.sum(axis=1, keepdims=True)
        share = strength / np.where(total > 0.0, total, 1.0)
    weights = np.full(price.shape, np.nan)
    weights[said.lookback :] = 0.0
    np.put_along_axis(weights[said.lookback :], best, share, axis=1)
    return weights


def in_vectorbt(
    price: np.ndarray, every: list[Combination], *, fees: float, is_numpy: bool
) -> pd.DataFrame:
    """The monthly returns of all combinations: one call, a group of columns each."""
    vectorbt = importlib.import_module("vectorbt")
    months, size = price.shape
    target = np.empty((months, len(every), size))
    if is_numpy:
        for i, said in enumerate(every):
            target[:, i] = weights_in_numpy(price, said)
    else:
        frame = pd.DataFrame(price)
        for i, said in enumerate(every):
            target[:, i] = weights_in_pandas(frame, said).reindex(frame.index)
    target[-1] = np.nan  # what is bought at the last close earns nothing
    book = vectorbt.Portfolio.from_orders(
        pd.DataFrame(np.tile(price, (1, len(every)))),
        target.reshape(months, -1),
        size_type="targetpercent",
        fees=fees,
        init_cash=1e6,
        group_by=np.repeat(np.arange(len(every)), size),
        cash_sharing=True,
        call_seq="auto",
        freq="30D",
    )
    return book.returns()


def pandas(folder: Path, size: int, rounds: int) -> None:
    """Times 200 single runs; writes their final NAVs."""
    price = pd.DataFrame(prices(size))
    last = []

    def run() -> None:
        change = price.pct_change(fill_method=None)
        last[:] = [(1 + in_pandas(price, change, each)).prod() for each in combinations(size)]

    taken = harness.least_of(rounds, run)
    np.save(folder / "pandas.npy", last)
    harness.report(taken)


def vectorbt(folder: Path, size: int, rounds: int) -> None:
    """Times all of them, their targets made by pandas and by numpy, after a small run that
    compiles; writes final NAVs with and without fees."""
    price, every, fees = prices(size), combinations(size), COST_BPS / 1e4
    in_vectorbt(prices(5)[:24], combinations(5)[:4], fees=fees, is_numpy=True)

    def run(is_numpy: bool) -> dict[str, float]:
        return harness.least_of(
            rounds, lambda: in_vectorbt(price, every, fees=fees, is_numpy=is_numpy)
        )

    taken, quicker = run(is_numpy=False), run(is_numpy=True)
    each = (in_vectorbt(price, every, fees=charged, is_numpy=True) for charged in (fees, 0.0))
    np.save(folder / "vectorbt.npy", [(1 + returns).prod() for returns in each])
    harness.report(taken | {f"{key} in numpy": said for key, said in quicker.items()})


if __name__ == "__main__":
    {"pandas": pandas, "vectorbt": vectorbt}[sys.argv[1]](
        Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    )
