"""What score_v1 looks at beside stored rows: series of other books, parts of the own, and capacity.

Belongs here: the strategy without its class effect, its baselines, its returns within each class,
and how much capital its trades bear. Does not: scoring (`verdict`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest, at_trade
from factorlab_assets.core.book import Book
from factorlab_assets.core.costs import liquidity
from factorlab_assets.core.groups import group_codes
from factorlab_assets.core.holding import Carry, earned, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import MONTHS
from factorlab_assets.core.research import BALANCED
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.signals import universe
from factorlab_assets.evaluation import variants
from factorlab_assets.evaluation.variants import Earned
from factorlab_assets.evaluation.verdict_components import Inputs, Row, Series
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_signals import Demean
from factorlab_assets.universes import ASSET_CLASS
from factorlab_assets.verdict_settings import EQUAL_WEIGHT, Capacity, VerdictSettings

Months = npt.NDArray[np.datetime64]
TIERS = ("small", "middle", "large")
"""Thirds of a universe without classes, by dollar volume at each date."""


def gather(
    resolved: Resolved,
    market: Panel,
    book: Book,
    backtest: Backtest,
    settings: VerdictSettings,
    rows: Mapping[str, Sequence[Row]],
    *,
    equal_weight: Floats,
    strategies: Mapping[str, Resolved | str],
    styles: Mapping[str, Floats] | str,
    classes: Mapping[str, str],
    merge: Mapping[str, str],
    vintage: str,
) -> Inputs:
    """All that a verdict looks at.

    Parameters
    ----------
    market, book, backtest : what the strategy ran on, and what it gave; the market with daily bars
        where there are any, for capacity.
    rows : of the tables metrics, robustness, inference and calendar_returns; a table not there is
        as one without rows.
    equal_weight : (T,) return of the strategy's universe in the backtest's months.
    strategies : the baselines of the file by name, or why one is not there.
    styles : as `exposures.style_returns` gives them, on the market's dates; or why there are none.
    classes : ticker -> asset class; merge : small class -> larger. vintage : in words.
    """
    shared = market if isinstance(market, SharedPanel) else SharedPanel.of(market)
    own = Earned.of(backtest)
    late = variants.later(resolved, settings.delay_months) if resolved.strategy.factors else None
    balanced = balanced_returns(resolved, shared, own)
    return Inputs(
        excess=own.net - own.rf,
        metrics=next((row for row in rows.get("metrics", ()) if row["segment"] == "full"), {}),
        robustness=rows.get("robustness", ()),
        inference=rows.get("inference", ()),
        calendar_returns=rows.get("calendar_returns", ()),
        active=own.net - equal_weight,
        later="the strategy has no factors" if late is None else _excess(late, shared, own),
        neutral=_excess(neutralized(resolved, classes, merge), shared, own),
        classes=class_returns(resolved, shared, book, backtest, classes),
        baselines=baselines(resolved, shared, own, settings.baselines, strategies, equal_weight),
        styles=styles
        if isinstance(styles, str)
        else {name: _on(own, _months(market), values) for name, values in styles.items()},
        over_balanced=balanced if isinstance(balanced, str) else own.net - balanced,
        vintage=vintage,
        capacity=capacity(resolved, shared, book, backtest, settings.capacity),
    )


def neutralized(
    resolved: Resolved, classes: Mapping[str, str], merge: Mapping[str, str]
) -> Resolved | str:
    """The same strategy with each factor's signal demeaned within its asset class, after all of its
    own transforms; or why there is no such strategy.

    A class of fewer than three names at a date counts to the one that `merge` names, else to the
    whole cross-section (`groups.group_codes`). Filters on raw values stay as they are.
    """
    if not resolved.strategy.factors:
        return "the strategy has no factors, and so no class effect in a signal"
    names = sorted(classes) if resolved.tickers is None else resolved.tickers
    own = {ticker: classes[ticker] for ticker in names if ticker in classes}
    if not own:
        return "no asset classes are known"
    codes = group_codes(names, own, merge, np.ones((1, len(names)), dtype=np.bool_))
    if len(np.unique(codes)) < 2:
        return "there are no two classes of at least three names to compare within"
    last = Demean(within=ASSET_CLASS)
    factors = tuple(
        factor.model_copy(update={"transforms": (*factor.transforms, last)})
        for factor in resolved.strategy.factors
    )
    changed = variants.changed(resolved, resolved.tickers, factors=factors)
    groups = resolved.groups | {ASSET_CLASS: own}
    return changed.model_copy(update={"groups": groups, "merge": dict(merge)})


def _excess(changed: Resolved | str, market: SharedPanel, own: Earned) -> Series:
    """Return over cash of a changed strategy in the months of `own`."""
    if isinstance(changed, str):
        return changed
    found = variants.earned(changed, market)
    return found if isinstance(found, str) else _on(own, found.months, found.net - found.rf)


def _on(own: Earned, months: Months, values: Floats) -> Floats:
    """Values of some months in those of `own`, NaN where they have none."""
    there = np.isin(own.months, months)
    out = np.full(len(own.months), np.nan)
    out[there] = values[np.isin(months, own.months)]
    return out


def _months(market: Panel) -> Months:
    return market.dates.astype("datetime64[M]")


def balanced_returns(resolved: Resolved, market: Panel, own: Earned) -> Series:
    """What 60/40 earned in the months of `own`, before costs."""
    said = resolved.strategy.model_copy(update={"benchmark": "60/40"})
    other = resolved.model_copy(update={"strategy": said, "benchmark": None})
    returns = research.benchmark_returns(other, market)
    found = _on(own, _months(market), returns)
    if not np.isfinite(found).any():
        return f"{' and '.join(BALANCED)} have no prices in its months"
    return found


def baselines(
    resolved: Resolved,
    market: SharedPanel,
    own: Earned,
    names: Sequence[str],
    strategies: Mapping[str, Resolved | str],
    equal_weight: Floats,
) -> dict[str, Series]:
    """Each baseline's net return less that of the strategy's own equally weighted universe, in the
    months of `own`; or why it is left out."""
    found: dict[str, Series] = {}
    for name in names:
        other = strategies.get(name, "there is no such strategy")
        reason = own_baseline(resolved, name, other)
        if reason:
            found[name] = reason
        elif name == EQUAL_WEIGHT:
            found[name] = np.zeros(len(own.months))
        elif isinstance(other, str):
            found[name] = other
        else:
            found[name] = _baseline(other, market, own, equal_weight)
    return found


def _baseline(other: Resolved, market: SharedPanel, own: Earned, equal_weight: Floats) -> Series:
    """A baseline's active return. What it earned is remembered by the market: all ask for it."""

    def make() -> tuple[Months, Floats] | tuple[()]:
        ran = variants.earned(other, market)
        return () if isinstance(ran, str) else (ran.months, ran.net)

    kept = market.once(("verdict baseline", other.config_hash), make)
    if kept:
        return _on(own, *kept) - equal_weight
    ran = variants.earned(other, market)
    return ran if isinstance(ran, str) else _on(own, ran.months, ran.net) - equal_weight


def own_baseline(resolved: Resolved, name: str, other: Resolved | str) -> str:
    """Why a baseline is the strategy's own: its name, its configuration, what it is compared with;
    empty where it is another.

    A strategy without factors that weights equally is the equally weighted universe.
    """
    said = resolved.strategy
    if name == EQUAL_WEIGHT:
        if said.benchmark == EQUAL_WEIGHT:
            return "its benchmark"
        is_even = not said.factors and said.portfolio.weighting == "equal"
        return "it is itself the equally weighted universe" if is_even else ""
    if name == said.name:
        return "the strategy itself"
    if said.benchmark == f"strategy:{name}":
        return "its benchmark"
    if isinstance(other, str):
        return ""
    if other.config_hash == resolved.config_hash:
        return "the same configuration"
    if said.benchmark == "60/40" and other.strategy.portfolio.fixed_weights == BALANCED:
        return "its benchmark"
    return ""


def class_returns(
    resolved: Resolved,
    market: Panel,
    book: Book,
    backtest: Backtest,
    classes: Mapping[str, str],
) -> dict[str, Floats] | str:
    """What each class earned over cash per unit of its weight: Σ w·(r − rf) / Σ|w| of its names.

    Divided by the class's weight a series is of the names chosen, not of how much was held; shorts
    count by their size. Where no ticker has a class, the same of thirds of the universe by dollar
    volume at the date that the weights are of.

    Returns
    -------
    class -> (T,) in the backtest's months, from the trade to the month-end, NaN where the class is
    not held; or why there are none.
    """
    panel = universe(resolved, market)
    tickers = [str(ticker) for ticker in panel.tickers]
    rows = slice(book.start, book.start + len(backtest.dates))
    groups = np.array([classes.get(ticker, "") for ticker in tickers])
    if (groups == "").all():
        if panel.bars is None:
            return "no asset classes are known, and no dollar volumes to make tiers of size of"
        member = _tiers(panel)[:-1][rows]
        named = {name: member == tier for tier, name in enumerate(TIERS)}
    else:
        shape = book.weights[:-1][rows].shape
        named = {
            str(name): np.broadcast_to(groups == name, shape)
            for name in np.unique(groups[groups != ""])
        }
    held, over = book.weights[:-1][rows], _monthly(resolved, panel, book)[rows]
    over = over - backtest.rf[:, np.newaxis]
    found = {}
    for name, is_in in named.items():
        own = np.where(is_in, held, 0.0)
        size = np.abs(own).sum(axis=1)
        per_unit = (own * over).sum(axis=1) / np.where(size > 0.0, size, np.nan)
        if np.isfinite(per_unit).any():
            found[name] = per_unit
    return found or "nothing that has a class was ever held"


def _monthly(resolved: Resolved, panel: Panel, book: Book) -> Floats:
    """What a name earned from each trade to the next month-end, (T−1, N)."""
    strategy = resolved.strategy
    rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
    return legs(panel, rebalanced, strategy.execution.trade_at).after


def _tiers(panel: Panel) -> npt.NDArray[np.int64]:
    """The third of the known dollar volumes of its date that each name is in, (T, N); −1: none."""
    volume = panel.once("liquidity", lambda: liquidity(panel)).volume
    known = np.isfinite(volume)
    order = np.where(known, volume, np.inf).argsort(axis=1, kind="stable").argsort(axis=1)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, order * len(TIERS) // count, -1)


def trades(resolved: Resolved, market: Panel, book: Book) -> Floats:
    """|Δw| of every name at every date but the last, (T−1, N), as `backtest.simulate` pays for."""
    strategy, panel = resolved.strategy, universe(resolved, market)
    rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    held = book.weights[:-1]
    if strategy.execution.turnover == "target":
        before = np.vstack([np.zeros_like(held[:1]), held[:-1]])
    else:
        after = earned(held, period.after, Carry.of(strategy, market))
        before = at_trade(book, period, after).weights
    return np.where(rebalanced[:-1, np.newaxis], np.abs(held - before), 0.0)


def capacity(
    resolved: Resolved, market: Panel, book: Book, backtest: Backtest, settings: Capacity
) -> tuple[float, str]:
    """The capital, in dollars, whose square-root impact costs `cost_bps_ann` a year, and how it was
    reckoned; NaN and why.

    With k = 12/T·Σ impact·σ·√(|Δw|/V)·|Δw| over the last T months, a year's impact is k·√capital:
    capital = (cost/k)². Trades whose volume or volatility is not known count as dear as the others.
    σ and V: `costs.liquidity`; the law: `costs.trading_costs`.
    """
    panel = universe(resolved, market)
    if panel.bars is None:
        return math.nan, "dollar volumes were not read"
    stop = book.start + len(backtest.dates)
    rows = slice(max(stop - settings.months, book.start), stop)
    traded = trades(resolved, market, book)[rows]
    if not traded.any():
        return math.nan, "nothing was traded: no capital costs that much"
    volatility, volume = (
        values[:-1][rows] for values in panel.once("liquidity", lambda: liquidity(panel))
    )
    is_known = np.isfinite(volatility) & np.isfinite(volume)
    share = float(traded[is_known].sum() / traded.sum())
    if share < settings.least_known:
        least = f"at least {settings.least_known:.0%} is needed"
        return math.nan, f"dollar volumes are known of {share:.0%} of what was traded, {least}"
    impact = resolved.strategy.costs.impact or settings.impact
    size, sigma, dollars = (each[is_known] for each in (traded, volatility, volume))
    root = float((sigma * np.sqrt(size / dollars) * size).sum())
    if root <= 0.0:
        return math.nan, "prices did not move: trading them costs nothing"
    per_year = impact * root / share * MONTHS / len(traded)
    note = f"by square-root impact with a factor of {impact:g} over the last {len(traded)} months"
    return (settings.cost_bps_ann / 1e4 / per_year) ** 2, note
