"""Many strategies on one panel at once: what `research.run` earns with each, beside each other.

Belongs here: which strategies can be evaluated as a batch, and doing so. Does not: the sums that
make it quick (`ranked`), what anything means (`portfolio`, `backtest`), or one strategy's details:
books, days and tables are `research.run`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any

import numpy as np

from factorlab_assets.core import research
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.many_books import books
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.ranked import Counts
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.model import Model
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_book import Cash, Costs, Execution, Portfolio, Schedule, Select

_FREE: dict[type[Model], tuple[str, ...]] = {
    Portfolio: ("type", "select", "weighting", "gross", "net", "max_weight", "min_names"),
    Select: ("top_k", "fraction", "only_positive"),
    Schedule: (),
    Execution: ("turnover",),
    Costs: ("tc_bps", "slippage_bps", "borrow_ann", "margin_spread_ann"),
    Cash: ("yield_ann",),
}
"""What may be said of each part; other keys have to have their defaults, but for those in `_IDLE`,
which only serve others."""

_IDLE = ("risk", "risk_aversion", "alpha_per_score", "beta", "group_by")


def _defaults(kind: type[Model]) -> tuple[dict[str, Any], itemgetter[Any]]:
    """Of the keys that have to have their defaults; and what reads them all at once."""
    wanted = {
        name: said.get_default(call_default_factory=True)
        for name, said in kind.model_fields.items()
        if name not in (*_FREE[kind], *_IDLE)
    }
    return wanted, itemgetter(*wanted)


_DEFAULTS = {kind: _defaults(kind) for kind in _FREE}


@dataclass(frozen=True)
class Batch:
    """Backtests side by side: (C, T) arrays, column t the month that ends at dates[t], decimals.

    What the fields say is what those of `Backtest` of the same name say; NaN outside a strategy's
    rows, which are the months after `start` (C,), T where a book never starts, until a NAV at or
    below 0. alone : for each strategy why it was evaluated by itself, "" where it was not.
    """

    dates: Dates
    start: Counts
    gross_return: Floats
    cost: Floats
    net_return: Floats
    turnover: Floats
    alone: tuple[str, ...]


VALUES = tuple(f.name for f in fields(Batch) if f.name not in ("dates", "start", "alone"))


def why_alone(resolved: Resolved) -> str:
    """Why a strategy cannot be part of a batch; empty where it can.

    >>> from factorlab_assets.strategy import Strategy
    >>> said = {"name": "rp", "description": "-", "portfolio": {"weighting": "risk_parity"}}
    >>> why_alone(Resolved(strategy=Strategy(**said), tickers=None, asset_classes={}))
    'portfolio.weighting: risk_parity'
    """
    strategy = resolved.strategy
    if strategy.portfolio.weighting not in ("equal", "signal", "rank"):
        return f"portfolio.weighting: {strategy.portfolio.weighting}"
    for place, part in (
        ("portfolio", strategy.portfolio),
        ("portfolio.select", strategy.portfolio.select),
        ("schedule", strategy.schedule),
        ("execution", strategy.execution),
        ("costs", strategy.costs),
        ("cash", strategy.cash),
    ):
        defaults, read = _DEFAULTS[type(part)]
        said = vars(part)
        if read(said) != read(defaults):
            name = next(name for name in defaults if said[name] != defaults[name])
            return f"{place}.{name}: {said[name]}"
    return ""


def is_batchable(resolved: Resolved) -> bool:
    """Whether a strategy can be part of a batch: `why_alone` has nothing to say."""
    return not why_alone(resolved)


def evaluate(
    strategies: Sequence[Resolved],
    market: Panel,
    failed: dict[int, FactorLabError] | None = None,
) -> Batch:
    """What every strategy earns on one panel, as `research.run` would say within 1e-12.

    Strategies may differ in anything. Those that share universe and factors share their score, and
    each score is sorted once, whatever number of names, weighting or costs is tried on it. A
    strategy that does something else than hold ranked names from month to month (`why_alone`) is
    evaluated by `research.run`; and so is one that holds a name at whose next month-end there is no
    price, whose max_weight cuts unequal weights, or that weighs by rank where scores tie.

    Parameters
    ----------
    strategies : C of them, with any names. market : the month's full panel. failed : takes up
    place -> error of the strategies that cannot be computed, whose rows are NaN then; without it
    the first such error ends everything.

    Returns
    -------
    Batch, in the order of the strategies. Beside it no more than 64 MiB are needed at any time, or
    512 bytes per cell of a panel of more than 2¹⁷ dates × names, however many strategies there are:
    they are worked on in pieces (`many_books.MOST_CELLS`).

    Raises
    ------
    FactorLabError : what `research.run` raises for one of the strategies, without `failed`.

    Notes
    -----
    A strategy's numbers are the same to the last bit whatever else is evaluated with it: every sum
    runs along one ranking or one date's names, entry by entry in the same order.

    Sums are taken along the ranking, not along the tickers: the last bits differ from those of
    `research.run`, which takes over where a name turns out to lose its price.
    """

    def refuse(places: Sequence[int], error: FactorLabError) -> None:
        if failed is None:
            raise error
        failed.update(dict.fromkeys(places, error))

    _keep_freed_memory()
    shared = market if isinstance(market, SharedPanel) else SharedPanel.of(market)
    shape = (len(strategies), len(market.dates))
    values = {name: np.full(shape, np.nan) for name in VALUES}
    start = np.full(shape[0], shape[1])
    alone = [why_alone(each) for each in strategies]
    batched = np.array([i for i, why in enumerate(alone) if not why], dtype=np.intp)
    quick = [strategies[i] for i in batched]
    for found in books(quick, shared, lambda at, error: refuse(batched[at].tolist(), error)):
        rows = batched[found.which]
        start[rows] = found.start
        for name, of_found in found.values.items():
            values[name][rows, 1:] = of_found[:, :-1]
        for i, why in zip(rows.tolist(), found.alone, strict=True):
            alone[i] = why
    for i, why in enumerate(alone):
        if why:
            try:
                said = research.run(strategies[i], shared)
            except FactorLabError as error:
                refuse([i], error)
                continue
            first = start[i] = said.book.start
            for name, of_all in values.items():
                own = getattr(said.backtest, name)
                of_all[i] = np.nan
                of_all[i, first + 1 : first + 1 + len(own)] = own
    return Batch(market.dates, start, alone=tuple(alone), **values)


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next array.

    glibc hands memory back to the system, to be faulted in again page by page, beyond a threshold
    that follows the largest block freed so far: here 16 MiB, which nobody touches. Without it a
    batch of 500 tickers takes half as long again.
    """
    np.empty(2**21)
