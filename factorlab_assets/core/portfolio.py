"""From scores to the weights that are held, all dates of a strategy.

Belongs here: the order of the steps. Does not: who is chosen (`selection`), how much each gets
(`weighting`, `construct`), what can be traded of it (`path`), or what it earns (`backtest`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from factorlab_assets.core.book import (
    BEFORE_START,
    NO_HISTORY,
    NO_PRICE,
    NO_SCORE,
    NOT_A_MEMBER,
    NOT_PLACED,
    RELAXED,
    SAFE,
    TOO_FEW,
    Book,
    no_outcomes,
)
from factorlab_assets.core.limits import Declared, is_stepped
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.path import held, stepped
from factorlab_assets.core.plan import Plan
from factorlab_assets.core.selection import Known, choose, eligibility
from factorlab_assets.core.weighting import targets
from factorlab_assets.strategy import Strategy


def build(strategy: Strategy, score: Floats, panel: Panel, **known: Any) -> Book:
    """The weights of a strategy, date by date, from scores known at each date.

    A name is eligible where its score and its month-end price are known, it is a member of the
    universe, and, where the strategy needs them, its covariance and beta are known. The safe ticker
    is not ranked and needs only a price.

    - Start: the first date with `min_names` eligible names; by default the larger of 2k and half
      the universe (at most the whole of a named universe). k is 1 for a fraction, which is a share
      of whoever is eligible, and a fixed book wants every name it lists. Later dates with fewer
      names than the start needed are all cash (in a fixed book only where min_names is given).
    - Who: `selection.choose`. How much: `weighting.targets`, from a covariance
      `construct.Day`.
    - Limits are kept at every date that trades. Only a strategy that declares more than max_weight,
      or whose dates rest on each other (`limits.is_stepped`), is built date by date.
    - Between rebalances weights drift. A held name without a month-end price cannot be traded: it
      drifts on, and the targets share 1 − Σ|w of such names|/gross (at least 0). At its third
      such month-end in a row it is cash at its last price. A wiped-out book drifts to nothing.

    Parameters
    ----------
    score : (T, N), NaN = not known. panel : the strategy's universe. known : what else is known, as
        in `selection.Known`; without `carry`, the cash ticker is looked up in `panel`.

    Examples
    --------
    >>> from factorlab_assets.strategy_book import Portfolio, Select
    >>> from factorlab_assets.strategy_signals import Factor
    >>> top2 = Strategy(name="top2", description="-", factors=(Factor(name="trend", delay=0),),
    ...     portfolio=Portfolio(select=Select(top_k=2)))
    >>> ones = np.ones((1, 4))
    >>> dates = np.array(["2024-05-31"], dtype="datetime64[D]")
    >>> panel = Panel(dates, np.array(["A", "B", "C", "D"]), *[ones] * 5)
    >>> build(top2, np.array([[1.0, 3.0, 2.0, 2.0]]), panel, universe_size=4).weights.tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    return built(strategy, Known(panel, np.ascontiguousarray(score, dtype=np.float64), **known))


def built(strategy: Strategy, known: Known) -> Book:
    """`build`, of everything that is known."""
    portfolio, panel = strategy.portfolio, known.panel
    eligible = eligibility(portfolio, known)
    start = eligible.start
    chosen = choose(strategy, known, eligible.names)
    target = targets(portfolio, known, chosen)
    weights, reason, outcome = target.weights, target.reason, no_outcomes(len(target.weights))
    free = reason != SAFE
    np.putmask(reason, free & np.isnan(known.score), NO_SCORE)
    if known.members is not None:
        np.putmask(reason, free & ~known.members, NOT_A_MEMBER)
    np.putmask(reason, np.isnan(panel.seen), NO_PRICE)
    if eligible.no_history is not None:
        np.putmask(reason, eligible.no_history, NO_HISTORY)
    few = np.zeros(len(weights), dtype=np.bool_)
    if start < len(weights) and (portfolio.weighting != "fixed" or portfolio.min_names is not None):
        few = eligible.names.sum(axis=1) < eligible.needed[start]
        weights[few] = 0.0
        reason[few[:, np.newaxis] & (reason != NOT_A_MEMBER)] = TOO_FEW
    weights[:start], reason[:start] = 0.0, BEFORE_START
    if is_stepped(strategy):
        return stepped(Plan.of(strategy, known, eligible, chosen, target), start, few)
    if portfolio.has_two_legs:
        declared = Declared.of(strategy, panel, known.groups)
        outcome[declared.is_unbalanced(weights)] = RELAXED + "net"
    has_rest = target.has_rest & ~few
    has_rest[:start] = False
    for t in np.flatnonzero(has_rest):
        outcome[t] = "; ".join(filter(None, [outcome[t], NOT_PLACED]))
    return held(strategy, panel, Book(weights, reason, start, outcome), known.carry)
