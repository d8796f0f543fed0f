"""Books built anew with one thing changed, over the months that all of them have.

Belongs here: later signals, other trading days, one ticker fewer; and what a row of figures is.
Does not: what needs no other book (`robustness`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.book import Book
from factorlab_assets.core.calendar import month_ends, month_of, sessions
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import metrics
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.signals import universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved

Row = dict[str, Any]

LEAST_MONTHS = 12
"""Fewer months have no figures: they would be mostly chance."""
FIGURES = ("cagr", "sharpe", "excess_ann", "sharpe_change")
SUMMARY: Mapping[str, Callable[[Floats], Any]] = {
    "minimum": np.min,
    "median": np.median,
    "maximum": np.max,
}


class Earned(NamedTuple):
    """What a book earned, (T,): months, and decimals per month; benchmark NaN = not known."""

    months: npt.NDArray[np.datetime64]
    net: Floats
    rf: Floats
    benchmark: Floats

    @classmethod
    def of(cls, backtest: Backtest) -> Earned:
        months = backtest.dates.astype("datetime64[M]")
        return cls(months, backtest.net_return, backtest.rf, backtest.benchmark_return)

    def of_rows(self, rows: Bools) -> Earned:
        """The same in these rows only."""
        return Earned(self.months[rows], self.net[rows], self.rf[rows], self.benchmark[rows])

    @property
    def years(self) -> npt.NDArray[np.int64]:
        """The calendar year of each month."""
        return self.months.astype("datetime64[Y]").astype(np.int64) + 1970


def figures(own: Earned, sharpe: float = np.nan, *, least: int = LEAST_MONTHS) -> Row:
    """Figures of a row; `sharpe` is what sharpe_change is against."""
    count = len(own.net)
    if count < least:
        return without_figures(count, too_few(count, least))
    nothing = np.zeros(count)
    said = metrics(own.net, own.rf, own.benchmark, nothing, nothing)
    found = {name: said[name] for name in FIGURES[:-1]}
    note = "" if np.isfinite(said["sharpe"]) else "returns without spread have no Sharpe ratio"
    return {"n_months": count, **found, "sharpe_change": said["sharpe"] - sharpe, "note": note}


def without_figures(count: int, why: str) -> Row:
    """A row that cannot be had."""
    return {"n_months": count, **dict.fromkeys(FIGURES, np.nan), "note": why}


def too_few(count: int, least: int = LEAST_MONTHS) -> str:
    """Why so few months have no figures."""
    return f"{count} months; figures take at least {least}"


def joined(*notes: str) -> str:
    """Notes that are not empty, as one."""
    return "; ".join(note for note in notes if note)


def by_change(rows: Sequence[Row]) -> list[Row]:
    """Rows whose Sharpe ratio fell most first, those without one last."""
    change = np.array([row["sharpe_change"] for row in rows])
    return [rows[i] for i in np.argsort(change, kind="stable")]


def summary(rows: Sequence[Row], what: str) -> list[Row]:
    """Least, middle and largest of each figure by itself, over the rows that have a Sharpe ratio;
    no rows where none has."""
    own = [row for row in rows if np.isfinite(row["sharpe"])]
    found = []
    for name, reduced in SUMMARY.items() if own else ():
        columns = {figure: np.array([row[figure] for row in own]) for figure in FIGURES}
        values = {
            figure: float(reduced(column[known])) if known.any() else np.nan
            for figure, column in columns.items()
            for known in [np.isfinite(column)]
        }
        months = int(reduced(np.array([row["n_months"] for row in own], dtype=np.float64)))
        note = f"of {len(own)} {what}, each figure by itself"
        found.append({"setting": name, "n_months": months, **values, "note": note})
    return found


def delays(
    resolved: Resolved, market: SharedPanel, own: Earned, months: Sequence[int]
) -> list[Row]:
    """Every factor with so many months of delay more than it has."""
    if not resolved.strategy.factors:
        why = "the strategy has no factors that could be late"
        return [without_figures(0, why) | {"setting": "none"}]
    settings = {f"{more} months more": more for more in months}
    found = {name: earned(later(resolved, more), market) for name, more in settings.items()}
    return _compared(own, found)


def rebalance_days(
    resolved: Resolved,
    market: SharedPanel,
    own: Earned,
    market_at: Callable[[int], Panel],
    since: np.datetime64,
    most: int,
) -> list[Row]:
    """The strategy on months that end 0, 1, 2 … sessions before their last.

    There are as many such days as the shortest month since `since`, the book's start, has sessions,
    but at most as many as asked for.
    """
    shortest = _shortest_month(since, market.dates[-1])
    given = resolved.strategy.schedule.days_before_month_end
    found: dict[str, Earned | str] = {}
    for days in range(min(most, shortest)):
        setting = f"{days} before month-end"
        if days == given:
            found[setting] = own
            continue
        try:
            found[setting] = earned(_on_day(resolved, days), market_at(days))
        except FactorLabError as error:
            found[setting] = str(error)
    rows = _compared(own, found)
    what = f"trading days; the shortest month since {str(since)[:7]} has {shortest}"
    return [*rows, *summary(rows, what)]


def tickers_left_out(
    resolved: Resolved, market: SharedPanel, book: Book, own: Earned, most: int
) -> list[Row]:
    """The strategy without each ticker of its universe in turn, the `most` with the largest mean
    |weight|; the benchmark stays.

    Fixed weights of the others are scaled to the same Σ|w|; without its safe asset a book holds
    cash instead.
    """
    names = universe(resolved, market).tickers
    size = np.abs(book.weights[book.start :]).mean(axis=0)
    heaviest = np.argsort(-size, kind="stable")[:most]
    found: dict[str, Earned | str] = {}
    for i in heaviest:
        less = _without(resolved, names.tolist(), str(names[i]))
        said = less if isinstance(less, str) else earned(less, market)
        found[str(names[i])] = said if isinstance(said, str) else _beside(said, own)
    rows = by_change(_compared(own, found))
    held = {str(names[i]): f"mean weight {size[i]:.4g}" for i in heaviest}
    for row in rows:
        instead = _instead(resolved, row["setting"]) if np.isfinite(row["sharpe"]) else ""
        row["note"] = joined(row["note"], held[row["setting"]], instead)
    what = "tickers" if len(heaviest) == len(names) else f"tickers, the heaviest of {len(names)}"
    return [*rows, *summary(rows, what)]


def earned(resolved: Resolved, market: Panel) -> Earned | str:
    """What a strategy earned; in words why it did not."""
    try:
        found = research.run(resolved, market)
        allowed = None if found.members is None else found.members.allowed
        research.check_started(resolved, market, found.score, found.book, allowed)
    except FactorLabError as error:
        return str(error)
    return found.backtest.ended or Earned.of(found.backtest)


def _compared(own: Earned, found: Mapping[str, Earned | str]) -> list[Row]:
    """A row of each setting, over the months that all of them and the strategy have."""
    series = [own, *(each for each in found.values() if isinstance(each, Earned))]
    months = reduce(np.intersect1d, [each.months for each in series])

    def common(of: Earned) -> Earned:
        return of.of_rows(np.isin(of.months, months))

    sharpe = figures(common(own))["sharpe"]
    rows = []
    for setting, each in found.items():
        if isinstance(each, str):
            rows.append(without_figures(0, each) | {"setting": setting})
        else:
            rows.append(figures(common(each), sharpe) | {"setting": setting})
    return rows


def _beside(said: Earned, own: Earned) -> Earned:
    """The returns beside the benchmark of `own`, NaN in months that it does not have."""
    at = np.searchsorted(own.months, said.months)
    there = np.isin(said.months, own.months)
    benchmark = np.full(len(said.net), np.nan)
    benchmark[there] = own.benchmark[at[there]]
    return said._replace(benchmark=benchmark)


def changed(resolved: Resolved, tickers: tuple[str, ...] | None, **parts: object) -> Resolved:
    """Another strategy of these tickers; nothing that was derived of the old one is taken along."""
    return Resolved(
        strategy=resolved.strategy.model_copy(update=parts),
        tickers=tickers,
        asset_classes={},
        groups=resolved.groups,
        merge=resolved.merge,
        benchmark=resolved.benchmark,
    )


def later(resolved: Resolved, more: int) -> Resolved:
    """The strategy whose every factor has so many months of delay more."""
    every = resolved.strategy.factors
    factors = tuple(each.model_copy(update={"delay": each.lag + more}) for each in every)
    return changed(resolved, resolved.tickers, factors=factors)


def _on_day(resolved: Resolved, days: int) -> Resolved:
    # Beyond what a file may say: here no month is too short.
    schedule = resolved.strategy.schedule.model_copy(update={"days_before_month_end": days})
    return changed(resolved, resolved.tickers, schedule=schedule)


def _without(resolved: Resolved, names: Sequence[str], gone: str) -> Resolved | str:
    """The strategy without a ticker; in words why there is none."""
    left = tuple(name for name in names if name != gone)
    portfolio = resolved.strategy.portfolio
    if not left:
        return "it has no other ticker to hold"
    parts: dict[str, object] = {}
    if portfolio.select.safe == gone:
        parts["select"] = portfolio.select.model_copy(update={"safe": None})
    if gone in portfolio.fixed_weights:
        fixed = {t: w for t, w in portfolio.fixed_weights.items() if t != gone}
        rest = sum(abs(weight) for weight in fixed.values())
        if rest == 0.0:
            return "no other ticker has a weight that could be scaled up"
        scale = sum(abs(weight) for weight in portfolio.fixed_weights.values()) / rest
        fixed = {ticker: weight * scale for ticker, weight in fixed.items()}
        if max(map(abs, fixed.values())) > portfolio.max_weight + 1e-9:
            return f"the others would weigh more than max_weight {portfolio.max_weight:g}"
        parts["fixed_weights"] = fixed
    return changed(resolved, left, portfolio=portfolio.model_copy(update=parts))


def _instead(resolved: Resolved, gone: str) -> str:
    """What takes a ticker's place where nothing is ranked for it."""
    portfolio = resolved.strategy.portfolio
    if portfolio.select.safe == gone:
        return "cash is the safe asset instead"
    return "the others scaled to the same Σ|w|" if gone in portfolio.fixed_weights else ""


def _shortest_month(first: np.datetime64, last: np.datetime64) -> int:
    """Sessions of the calendar month that has fewest, of those from `first`'s to `last`'s."""
    one, other = (month_of(dt.date.fromisoformat(str(day))) for day in (first, last))
    end: dt.date = month_ends(one, other)[-1].item()
    months = sessions(dt.date.fromisoformat(f"{one}-01"), end).astype("datetime64[M]")
    return int(np.unique(months, return_counts=True)[1].min())
