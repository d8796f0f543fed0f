"""What a walk forward over a sweep would have earned, the cost of changing the choice included.

Belongs here: from the choices of a walk to one series. Does not: choosing (`splits`), or computing
any combination (`core.research`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from factorlab_assets.core import research
from factorlab_assets.core.backtest import growth
from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.evaluation.splits import (
    NONE,
    Earned,
    Scheme,
    Walk,
    as_traded,
    stitched_book,
    walk_forward,
)
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_sweep import Sweep

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
OF_A_BOOK = ("factors", "combine", "portfolio")
"""Parts of a strategy that decide weights alone: combinations that differ in nothing else can
follow one another in one book."""


@dataclass(frozen=True)
class Stitched:
    """A walk's series, (T,) each: chosen is the place of the combination that earned the month."""

    scheme: Scheme
    dates: Dates
    chosen: Sequence[int]
    net: Floats
    rf: Floats
    benchmark: Floats
    note: str

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows of `walk_forward`, less month and strategy."""
        columns = self.dates.tolist(), self.chosen, self.net, self.benchmark, growth(self.net)
        for date, i, net, benchmark, nav in zip(*columns, strict=True):
            yield {
                "scheme": self.scheme,
                "date": date,
                "combination": names[i],
                "net_return": float(net),
                "benchmark_return": float(benchmark),
                "nav": float(nav),
            }


def stitched(
    scheme: Scheme,
    sweep: Sweep,
    base: Resolved,
    market: Panel,
    earned: Earned,
    book_of: Callable[[int], Book],
) -> Stitched:
    """Walk forward over a sweep's combinations, and what that earns as one book.

    Where the sweep varies factors, their combination or the portfolio alone, the books of the
    combinations chosen follow one another, and a change of the choice trades from one to the next
    at the base strategy's costs. Elsewhere their own returns are put one after another, and what a
    change costs is left out; the note says which.

    Parameters
    ----------
    market : the panel of the base strategy. earned : on the market's dates, NaN where a combination
    has no return. book_of : the book of a combination by its place.

    Raises
    ------
    FactorLabError : the walk's windows do not fit into the history.
    """
    walk = walk_forward(earned, market.dates, sweep.walk_forward, scheme)
    is_there = (walk.chosen != NONE) & np.isfinite(walk.net)
    is_one_book = all(path.partition(".")[0] in OF_A_BOOK for path in sweep.parameters)
    net, how = walk.net, "the cost of changing the choice is left out"
    if is_one_book:
        net, how = _traded(walk, base, market, book_of), "changes of the choice are traded and paid"
        is_there &= np.isfinite(net)
    rf = (
        earned.rf if earned.rf.ndim == 1 else np.nan_to_num(earned.rf[walk.chosen, range(len(net))])
    )
    return Stitched(
        scheme,
        market.dates[is_there],
        walk.chosen[is_there].tolist(),
        net[is_there],
        np.asarray(rf)[is_there],
        earned.benchmark[is_there],
        f"{walk.note}; {how}",
    )


def _traded(walk: Walk, base: Resolved, market: Panel, book_of: Callable[[int], Book]) -> Floats:
    """Net returns of the one book, (T,), NaN where it has none."""
    chosen = sorted({window.chosen for window in walk.windows} - {NONE})
    book = stitched_book(walk, {i: book_of(i) for i in chosen})
    backtest = research.run_backtest(as_traded(base), market, book)
    net = np.full(len(market.dates), np.nan)
    net[np.isin(market.dates, backtest.dates)] = backtest.net_return
    return net
