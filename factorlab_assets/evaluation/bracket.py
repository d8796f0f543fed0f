"""The feasibility bracket: what a strategy could have earned, knowing the next month or by luck.

Belongs here: who may be exchanged with whom, the oracle, and rows and figures of both. Does not:
permutations (`label_permutations`), the returns of paths (`random_paths`), or pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.membership import Members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.core.signals import universe
from factorlab_assets.evaluation.exchange import Exchange, foresight
from factorlab_assets.evaluation.label_permutations import Labels, arrangements, shuffled, told
from factorlab_assets.evaluation.random_paths import Arrange, Terms, walk
from factorlab_assets.evaluation_settings import Feasibility
from factorlab_assets.strategy import Resolved

METRICS = ("cagr", "sharpe")
KINDS = ("strategy", "oracle_gross", "oracle_net", "permuted", "random")
QUANTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
MOST_CELLS, MOST_PATHS = 2**17, 2**12
"""Names × paths, and paths, that are walked at once: a temporary array is 1 MiB at most, and the
returns of 20 years are 8 MiB."""
TIED = 1e-10
"""Figures closer than this, relative to 1 + their size, are the same: sums in another order."""
REPRODUCED = 1e-9
"""A book whose own returns come out further off than this does not belong to its backtest."""
INVESTED = 1e-9
"""A book that lacks more than this of its gross has the rest in cash."""

LOST = "the book that gains most until the next rebalance is ruined on the way there"

Figures = dict[str, Floats]
"""Metric -> one value per path."""


@dataclass(frozen=True)
class Bracket:
    """Where a strategy lies between luck and foresight.

    rows : of the FEASIBILITY table, less month and strategy. own, oracle_gross, oracle_net : metric
    -> value. permuted, random : metric -> (P,), NaN where a path has none. reason : why there is
    nothing of all this; then every value is NaN and every array empty.
    """

    rows: list[dict[str, Any]]
    own: Mapping[str, float] = field(default_factory=dict)
    oracle_gross: Mapping[str, float] = field(default_factory=dict)
    oracle_net: Mapping[str, float] = field(default_factory=dict)
    permuted: Figures = field(default_factory=dict)
    random: Figures = field(default_factory=dict)
    reason: str = ""


def bracket(
    resolved: Resolved,
    market: Panel,
    book: Book,
    backtest: Backtest,
    settings: Feasibility,
    *,
    who: Members | None = None,
    score: Floats | None = None,
) -> Bracket:
    """A strategy's growth and Sharpe ratio, net, beside an oracle's and those of random books.

    **permuted** (the null): ticker labels are exchanged once per path, so that path p earns
    Σ w[t,i]·r[t+1,π_p(i)] with the strategy's own weights, dates, drift, turnover convention, costs
    of each ticker, cash and financing. Persistence, and with it turnover, stays the strategy's.
    Exchanged are names that could be held (price, membership, where needed a risk history, and a
    score where `score` is given) or are; those that come or go enter or leave the permutation at
    the next rebalance (`Labels`). Bounds on groups: within each group only. The safe ticker and
    cash keep what they have, so that this asks about the choice of names, not about when to be out
    of the market. **random**: the same, drawn anew at every rebalance. **oracle_gross**,
    **oracle_net**: see `exchange.foresight`, before and after trading costs, financing and borrow.
    The former bounds growth (not the Sharpe ratio), the latter is feasible and no bound: trading
    less might leave more.

    Parameters
    ----------
    market : the month's full panel. book, backtest : the strategy's, on that market. settings :
    number of paths, seed. who : its members, if they are known already. score : (T, N).

    Returns
    -------
    Bracket. `percentile` is the strategy's among the nulls, ties at midrank.

    Notes
    -----
    NaN with the reason where the book has no month, is ruined, fewer than two names could ever be
    exchanged, or the book is not the backtest's. The same seed gives the same paths. A path that
    held a name without a price leaves it at its last one. Betas, volatility targets, bands and
    limits on turnover are the strategy's own and not made anew for a path.
    """
    if reason := _refused(backtest):
        return _nothing(reason)
    carry, panel = Carry.of(resolved.strategy, market), universe(resolved, market)
    terms = Terms.of(resolved.strategy, book, panel, len(backtest.dates), carry)
    exchange = Exchange.of(resolved, market, book, who, score)
    if reason := _not_exchangeable(terms, exchange, backtest):
        return _nothing(reason)
    rf = backtest.rf
    own = _figures_of(backtest.net_return, rf)
    knew = _foreseen(terms, exchange, rf)
    permuted, random = (
        figures(terms, exchange, settings, is_fresh=is_fresh, rf=rf) for is_fresh in (False, True)
    )
    counts = [arrangements(terms.weights[t], exchange.classes(t)) for t in terms.trades]
    notes = _notes(resolved, backtest, terms, counts)
    rows = [
        _row(kind, metric, notes[kind] if np.isfinite(said["cagr"]) else LOST, value=said[metric])
        for kind, said in zip(KINDS, (own, *knew), strict=False)
        for metric in METRICS
    ]
    for kind, null in (("permuted", permuted), ("random", random)):
        rows += _null_rows(kind, null, own, notes[kind], is_ranked=max(counts) > 1)
    return Bracket(rows, own, *knew, permuted, random)


def _refused(backtest: Backtest) -> str:
    if len(backtest.dates) == 0:
        return "the book is never rebalanced within the history"
    return backtest.ended


def _not_exchangeable(terms: Terms, exchange: Exchange, backtest: Backtest) -> str:
    if max(max(map(len, exchange.classes(t)), default=0) for t in terms.trades) < 2:
        return "fewer than two names could be exchanged at any rebalance"
    gross, net = walk(terms, lambda t: terms.weights[t, :, np.newaxis].copy(), 1)
    off = np.abs([gross[:, 0] - backtest.gross_return, net[:, 0] - backtest.net_return])
    if not off.max() <= REPRODUCED:
        return "the backtest is not what this book earns on these prices"
    return ""


def _foreseen(
    terms: Terms, exchange: Exchange, rf: Floats
) -> tuple[dict[str, float], dict[str, float]]:
    """The oracle's figures before costs of any kind, and after all of them."""
    weights = foresight(terms, exchange)
    free = replace(terms, carry=Carry(terms.carry.rf))

    def arrange(t: int) -> Floats:
        return weights[t, :, np.newaxis].copy()

    gross, net = walk(free, arrange, 1)[0], walk(terms, arrange, 1)[1]
    found = _figures_of(gross[:, 0], rf), _figures_of(net[:, 0], rf)
    for each in found:
        if each["cagr"] == -1.0:  # what gains most by the end may have lost it all before
            each.update(dict.fromkeys(METRICS, np.nan))
    return found


def figures(
    terms: Terms, exchange: Exchange, settings: Feasibility, *, is_fresh: bool, rf: Floats
) -> Figures:
    """Growth and Sharpe ratio of the random paths, net, (P,) each, a piece of them at a time."""
    # glibc gives freed blocks back to the system, to be faulted in again, beyond a threshold that
    # follows the largest block freed so far: here 16 MiB, which nobody touches.
    np.empty(2**21)
    step = min(max(MOST_CELLS // terms.weights.shape[1], 1), MOST_PATHS)
    found: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
    for low in range(0, settings.paths, step):
        n_paths = min(step, settings.paths - low)
        rng = np.random.default_rng([settings.seed, is_fresh, low])
        make = drawn_afresh if is_fresh else kept_labels
        _, net = walk(terms, make(terms, exchange, n_paths, rng), n_paths)
        for metric, values in measured(net, rf).items():
            found[metric].append(values)
    return {metric: np.concatenate(values) for metric, values in found.items()}


def drawn_afresh(
    terms: Terms, exchange: Exchange, n_paths: int, rng: np.random.Generator
) -> Arrange:
    """Each rebalance deals the weights out anew."""
    return lambda t: shuffled(terms.weights[t], exchange.classes(t), n_paths, rng)


def kept_labels(
    terms: Terms, exchange: Exchange, n_paths: int, rng: np.random.Generator
) -> Arrange:
    """Each path keeps its permutation; names enter and leave it as they come and go."""
    labels = Labels(terms.weights.shape[1], n_paths)
    present = np.zeros(terms.weights.shape[1], dtype=np.bool_)

    def arrange(t: int) -> Floats:
        movable = exchange.movable[t]
        for name in np.flatnonzero(present & ~movable).tolist():
            labels.leave(name)
            present[name] = False
        for name in np.flatnonzero(movable & ~present).tolist():
            among = np.flatnonzero(present & (exchange.group == exchange.group[name]))
            labels.enter(name, among, rng)
            present[name] = True
        return np.take(terms.weights[t], labels.slots, mode="clip")

    return arrange


def measured(net: Floats, rf: Floats) -> Figures:
    """Growth per year and annual Sharpe ratio of columns (M, P), as `performance.metrics` has them.

    rf : (M,). A column whose NAV reaches 0 has growth −1, and the ratio of its months up to then.
    """
    growth = 1.0 + net
    nav = np.prod(growth, axis=0)
    is_lost = (growth <= 0.0).any(axis=0)
    cagr = np.where(is_lost, -1.0, np.where(is_lost, 1.0, nav) ** (MONTHS / len(net)) - 1.0)
    excess = net - rf[:, np.newaxis]
    sharpe = _sharpe(excess)
    for p in np.flatnonzero(is_lost):  # rarely one at all
        sharpe[p] = _sharpe(excess[: int(np.argmax(growth[:, p] <= 0.0)) + 1, [p]])[0]
    return {"cagr": cagr, "sharpe": sharpe}


def _sharpe(excess: Floats) -> Floats:
    if len(excess) < 2:
        return np.full(excess.shape[1], np.nan)
    spread = excess.std(axis=0, ddof=1)
    is_noise = spread <= NOISE * (1.0 + np.abs(excess).max(axis=0))
    ratio = excess.mean(axis=0) / np.where(is_noise, 1.0, spread) * np.sqrt(MONTHS)
    return np.where(is_noise, np.nan, ratio)


def _figures_of(net: Floats, rf: Floats) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measured(net[:, np.newaxis], rf).items()}


def percentile(value: float, among: Floats) -> float:
    """The share of known values below, those that are the same counting half; NaN where unknown.

    >>> percentile(2.0, np.array([1.0, 2.0, 2.0, 3.0]))
    0.5
    """
    known = among[np.isfinite(among)]
    if not len(known) or not np.isfinite(value):
        return float("nan")
    is_same = np.abs(known - value) <= TIED * (1.0 + abs(value))
    return float(np.mean((known < value) & ~is_same) + np.mean(is_same) / 2.0)


def _notes(
    resolved: Resolved,
    backtest: Backtest,
    terms: Terms,
    counts: Sequence[int],
) -> dict[str, str]:
    """What each kind is, in words."""
    portfolio, schedule = resolved.strategy.portfolio, resolved.strategy.schedule
    months = backtest.dates.astype("datetime64[M]")
    number = f"different books possible at the last rebalance: {told(counts[-1])}"
    if min(counts) < max(counts):
        number += f" ({told(min(counts))} to {told(max(counts))} over time)"
    if max(counts) == 1:
        number += ", never more, so there is no percentile"
    within = f" within each {portfolio.group_by}" if portfolio.groups else ""
    kept = f"; {portfolio.select.safe} keeps its weights" if portfolio.select.safe else ""
    if np.abs(terms.weights[terms.trades]).sum(axis=1).min() < portfolio.gross - INVESTED:
        kept += "; cash keeps its share"
    lost = {
        "beta": portfolio.needs_beta,
        "volatility_target": portfolio.volatility_target is not None,
        "max_turnover": portfolio.max_turnover is not None,
        "tranches": schedule.tranches > 1,
        "band": schedule.band > 0.0,
        "min_trade": portfolio.min_trade > 0.0,
    }
    if any(lost.values()):
        kept += f"; not made anew: {', '.join(name for name, is_so in lost.items() if is_so)}"
    about = f"{within}; {number}{kept}"
    return {
        "strategy": f"net of costs, {len(months)} months, {months[0]} to {months[-1]}",
        "oracle_gross": "knows what gains most until the next rebalance; before all costs no book "
        "of such legs, number of names and largest weight grew more; its Sharpe ratio is no bound",
        "oracle_net": "the same book after all costs: feasible, not a bound",
        "permuted": f"own weights, tickers exchanged once per path{about}",
        "random": f"own weights, tickers drawn anew at every rebalance{about}",
    }


def _row(kind: str, metric: str, note: str, n_paths: int = 0, **said: float) -> dict[str, Any]:
    blank = dict.fromkeys(("value", "mean", *QUANTILES, "best", "percentile"), float("nan"))
    return {"kind": kind, "metric": metric, **blank, **said, "n_paths": n_paths, "note": note}


def _nothing(reason: str) -> Bracket:
    rows = [_row(kind, metric, reason) for kind in KINDS for metric in METRICS]
    return Bracket(rows, reason=reason)


def _null_rows(
    kind: str,
    null: Figures,
    own: Mapping[str, float],
    note: str,
    *,
    is_ranked: bool,
) -> list[dict[str, Any]]:
    rows = []
    for metric, values in null.items():
        known = values[np.isfinite(values)]
        said: dict[str, float] = {}
        if len(known):
            cuts = np.quantile(known, list(QUANTILES.values())).tolist()
            said = dict(zip(QUANTILES, cuts, strict=True))
            said |= {"mean": float(known.mean()), "best": float(known.max())}
        if is_ranked:
            said["percentile"] = percentile(own[metric], values)
        rows.append(_row(kind, metric, note, len(values), **said))
    return rows
