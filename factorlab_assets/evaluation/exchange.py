"""Who may be exchanged with whom, and the book of someone who knows what each will gain.

Belongs here: which names other books could have held in the strategy's place, and the best such
book. Does not: random ones (`label_permutations`), or what any of them earns (`random_paths`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from factorlab_assets.core import research
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.membership import Members, members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.selection import column, eligibility
from factorlab_assets.core.signals import universe
from factorlab_assets.evaluation.label_permutations import Columns
from factorlab_assets.evaluation.random_paths import Terms
from factorlab_assets.strategy import Resolved

SMALLEST = 1e-12
"""A weight up to this is rounding."""


@dataclass(frozen=True)
class Exchange:
    """Who may be exchanged with whom: (T, N) `movable`, and `group` (N,) of names, all 0 where no
    bounds on groups are declared."""

    movable: Bools
    group: Columns

    @classmethod
    def of(
        cls,
        resolved: Resolved,
        market: Panel,
        book: Book,
        who: Members | None = None,
        score: Floats | None = None,
    ) -> Exchange:
        """Whoever could be held or is, but for the safe ticker.

        Fixed weights are put on any names of the universe: whom they name is the strategy's choice.
        """
        portfolio, panel = resolved.strategy.portfolio, universe(resolved, market)
        if portfolio.weighting == "fixed":
            portfolio = portfolio.model_copy(update={"weighting": "equal", "fixed_weights": {}})
        allowed = (members(resolved, market) if who is None else who).allowed
        scored = np.zeros_like(panel.seen) if score is None else score
        known = research.known(resolved, market, scored, None, allowed)
        movable = eligibility(portfolio, known).names | (book.weights != 0.0)
        safe = column(panel, portfolio.select.safe)
        if safe is not None:
            movable[:, safe] = False
        group = np.zeros(len(panel.tickers), dtype=np.intp)
        if portfolio.groups:
            of = resolved.groups.get(portfolio.group_by, {})
            _, group = np.unique(
                [of.get(str(ticker), "") for ticker in panel.tickers], return_inverse=True
            )
        return cls(movable, group)

    def classes(self, t: int) -> list[Columns]:
        """The names of each group that may be exchanged at row t."""
        return [np.flatnonzero(self.movable[t] & (self.group == g)) for g in np.unique(self.group)]


def foresight(terms: Terms, exchange: Exchange) -> Floats:
    """The oracle's weights at each rebalance, (T, N); other rows are 0.

    Of all books with the strategy's legs, cash, safe ticker and (where bounded) group totals, at
    most as many names and none heavier than its heaviest, the one that gains most until the next
    rebalance: the best names are filled to that weight one after another, the last with what is
    left, and shorts likewise from the worst.

    Why that is a bound: without fees the worth of a held book, cash included, is linear in the
    weights it started from, Σ w·gain + (1 − Σw)·cash, also over several months, as drift trades
    nothing. Under Σw⁺ = L, Σw⁻ = S and |w| ≤ m, which any number of names may meet, filling
    greedily solves that linear programme, and it needs no more names than the strategy has.
    Financing, borrow fees and trading costs only take away. No holding period by itself can gain
    more, hence neither can all of them together.
    """
    held = np.zeros_like(terms.weights)
    rows = [*terms.trades, terms.stop]
    for t, until in pairwise(rows):
        own = held[t]
        own[:] = terms.weights[t]
        gain = _gains(terms, t, until)
        for names in exchange.classes(t):
            was = terms.weights[t, names]
            heaviest = np.abs(was).max(initial=0.0)
            best = names[np.argsort(-gain[names], kind="stable")]
            own[names] = 0.0
            own[best] += _filled(was[was > 0.0].sum(), heaviest, len(best))
            own[best[::-1]] -= _filled(-was[was < 0.0].sum(), heaviest, len(best))
    return held


def _filled(total: float, heaviest: float, count: int) -> Floats:
    """`total` in parts of `heaviest`, the last one what is left."""
    parts = np.clip(total - heaviest * np.arange(count), 0.0, heaviest)
    return np.where(parts > SMALLEST, parts, 0.0)


def _gains(terms: Terms, t: int, until: int) -> Floats:
    """What a unit of each name held from the trade at t to that at `until` has become, (N,)."""
    worth, is_cash = np.ones(terms.weights.shape[1]), np.zeros(terms.weights.shape[1], np.bool_)
    for u in range(t, until):
        if u > t:
            is_cash |= terms.gone[u]
        rf = float(np.asarray(terms.carry.during(u).rf))
        worth *= np.where(is_cash, 1.0 + rf, 1.0 + terms.after[u])
    if until < terms.stop and terms.before is not None:
        worth *= np.where(is_cash, 1.0, 1.0 + terms.before[until])
    return worth
