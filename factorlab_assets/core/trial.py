"""One strategy under test: its results on altered histories held against the laws of timing.

Belongs here: comparing results, and what is told where they differ. Does not: making the histories
(`histories`), or which of them make a proof (`proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import factors, research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.factors.base import lag
from factorlab_assets.core.histories import PULSE, Cut, Pulse
from factorlab_assets.core.holding import carried, cash_returns
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import repaired_later
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_book import Cash, Costs

Run = Callable[[Resolved, Panel], research.Result]
Finding = dict[str, Any]
Names = npt.NDArray[np.str_]

ROUNDING = 1e-12
"""Allowed where arithmetic is compared, and in universes whose size changes with the history: sums
of other lengths round otherwise. Nothing else may change in a single bit."""
LARGEST_T, LEAST_MONTHS = 4.0, 24
LATE_REPAIRS = 3
"""So many of the last month-ends before the repair of a price are tried, and of a daily bar."""
SET_BEFORE = (
    *("cost", "commission", "slippage", "spread_cost", "impact_cost", "financing", "borrow"),
    *("turnover", "gross_exposure", "net_exposure", "n_holdings", "n_volume_unknown"),
)
"""Columns of a backtest row that are settled before its month begins."""


class Place(NamedTuple):
    """What a finding is about: the law, the last day of the unaltered history, the column."""

    part: str
    cut: np.datetime64
    table: str
    column: str


def finding(
    place: Place, date: object, ticker: object, before: object, after: object, cells: int = 1
) -> Finding:
    """The first cell that breaks a law, and how many do; plain values, None for not known."""

    def plain(value: object) -> object:
        value = value.item() if isinstance(value, np.generic) else value
        return None if value != value else value

    return {
        "part": place.part,
        "cut": str(place.cut),
        "table": place.table,
        "column": place.column,
        "date": str(date),
        "ticker": str(ticker),
        "before": plain(before),
        "after": plain(after),
        "cells": cells,
    }


def compared(
    place: Place,
    dates: npt.NDArray[Any],
    tickers: npt.NDArray[Any] | None,
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    rounding: float = 0.0,
) -> tuple[list[Finding], float]:
    """No finding where two (T,) or (T, N) arrays are equal, NaN to NaN, and the largest difference.

    `rounding` is allowed per unit of a value's size, or of 1 where it is smaller.
    """
    if before.shape == after.shape and before.tobytes() == after.tobytes():
        return [], 0.0
    if before.shape != after.shape:
        return [finding(place, "", "", len(before), len(after))], 0.0
    one, two = before.astype(np.float64), after.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(two - one)
    known = np.isfinite(apart)
    wrong = np.where(known, apart > rounding * np.maximum(1.0, np.abs(one)), True)
    wrong &= (one != two) & ~(np.isnan(one) & np.isnan(two))
    largest = float(apart[known].max(initial=0.0))
    if not wrong.any():
        return [], largest
    at = tuple(np.argwhere(wrong)[0])
    ticker = "" if tickers is None else tickers[at[1]]
    cells = int(wrong.sum())
    return [finding(place, dates[at[0]], ticker, before[at], after[at], cells)], largest


class Trial:
    """A strategy, its result on the true history, and what was found against it so far.

    Each law is a method that runs the strategy on an altered history and, where the law is broken,
    adds to `findings`.
    """

    def __init__(self, resolved: Resolved, true: Panel, run: Run) -> None:
        self.resolved, self._run = resolved, run
        self.rounding = ROUNDING if resolved.tickers is None else 0.0
        self.findings: list[Finding] = []
        counts = ("scenarios", "truncation", "wild future", "impulse", "impulse_held", "gap")
        self.figures: dict[str, Any] = dict.fromkeys((*counts, "repair"), 0)
        self.figures |= {"largest_change": 0.0, "largest_impulse_error": 0.0, "null_t": None}
        self.base = self.run(true)

    def run(self, panel: Panel) -> research.Result:
        """The strategy's result on `panel`."""
        self.figures["scenarios"] += 1
        return self._run(self.resolved, panel)

    def cut(self, cut: Cut) -> None:
        """Nothing up to the cut moves, whatever comes or does not come after it."""
        self.figures[cut.part] += 1
        self._unmoved(cut.part, cut.day, self.run(cut.panel))

    def pulse(self, pulse: Pulse) -> None:
        """A month's returns are earned on the weights of the month-end before it."""
        calm = self.run(pulse.calm)
        self._unmoved("impulse", pulse.day, calm)
        t, tickers = int(np.searchsorted(calm.panel.dates, pulse.day)), calm.panel.tickers
        if calm.panel.dates[t + 1] not in calm.backtest.dates:
            return
        held, then = calm.book.weights[t : t + 2]
        here = pulse.calm.select(tickers)
        last, now = here.once("marks", lambda: carried(here.mark))[t], here.mark[t + 1]
        change = pulse.moved.select(tickers).mark[t + 1] / last - now / last
        picks = {str(tickers[i]): float(held[i] * change[i]) for i in _picks(held, then, change)}
        if (cash := self.resolved.strategy.cash.ticker) is not None and cash in pulse.calm.tickers:
            picks.setdefault(cash, float(np.nan_to_num(held * change)[tickers == cash].sum()))
        for ticker, moved in picks.items():
            altered = pulse.moved_alone(ticker)
            self.figures["impulse"] += 1
            self.figures["impulse_held"] += int(moved != 0.0)
            moved += self._interest(held, pulse.calm, altered, t)
            self._earned("impulse", pulse, calm, self.run(altered), moved)
        self._gap(pulse, calm, t, now / last - 1.0)

    def repairs(self, true: Panel) -> None:
        """What was decided at a month-end rests on what was known then, not on its later repair.

        Marks are left alone: what a book earned is told by the prices known in the end.
        """
        panel = true.select([*self.base.panel.tickers, *self.resolved.strategy.beside])
        kinds = (repaired_later(replace(panel, bars=None)), repaired_later(panel))
        for t in np.unique(np.concatenate([late[-LATE_REPAIRS:] for late in kinds])):
            price, bars, day = true.price.copy(), true.bars, true.dates[t]
            price[t, true.seen[t] != price[t]] *= PULSE
            if bars is not None:
                bars = bars.repaired_otherwise(day, PULSE)
            self.figures["repair"] += 1
            self._unmoved("repair", day, self.run(replace(true, price=price, bars=bars)))

    def null(self, noises: Sequence[Panel]) -> None:
        """Nothing is earned on white noise, cash and carry aside.

        Of the draws the one with the smaller |t| counts: honest strategies share them, and one in
        some thousands would be out of luck with a single one. A leak is there in each.
        """
        free = {"cash": Cash(), "costs": Costs(tc_bps=0.0, slippage_bps=0.0)}
        strategy = self.resolved.strategy.model_copy(update=free)
        resolved = self.resolved.model_copy(update={"strategy": strategy})
        for noise in noises:
            self.figures["scenarios"] += 1
            backtest = self._run(resolved, noise).backtest
            mean, t = _mean_and_t(backtest.gross_return)
            self.figures["null_t"] = t
            if t is None or abs(t) < LARGEST_T:
                return
        place = Place("null", noise.dates[0], "backtest_returns", "mean gross_return")
        count = len(backtest.dates)
        self.findings.append(finding(place, backtest.dates[-1], "", 0.0, mean, count))

    def _gap(self, pulse: Pulse, calm: research.Result, t: int, returns: Floats) -> None:
        """Without a bar in the month a name earns 0 and cannot be traded at its end."""
        self.figures["gap"] += 1
        result, held = self.run(pulse.gapped), calm.book.weights[t]
        gone = np.isin(calm.panel.tickers, pulse.deleted) & np.isfinite(returns) & (held != 0.0)
        lost = float((held * returns)[gone].sum())
        change = self._interest(held, pulse.calm, pulse.gapped, t) - lost
        self._earned("gap", pulse, calm, result, change)
        self._unfilled(pulse.day, pulse.gapped, result)
        row = int(np.sum(result.backtest.dates <= pulse.day))
        gone &= np.isfinite(calm.panel.seen[t])
        growth = 1.0 + result.backtest.gross_return[row : row + 1]
        if gone.any() and (growth > 0.0).any():
            names = calm.panel.tickers[gone]
            found = result.book.weights[[t + 1]][:, np.searchsorted(result.panel.tickers, names)]
            place = Place("gap", pulse.day, "weights", "weight")
            dates = result.panel.dates[[t + 1]]
            self._same(place, dates, names, held[np.newaxis, gone] / growth, found, ROUNDING)

    def _interest(self, held: Floats, calm: Panel, other: Panel, t: int) -> float:
        """What cash earns more from date t on in another history, where a ticker is the cash."""
        cash = self.resolved.strategy.cash
        change = cash_returns(cash, other)[t] - cash_returns(cash, calm)[t]
        return float((1.0 - held.sum()) * change)

    def _earned(
        self, part: str, pulse: Pulse, calm: research.Result, result: research.Result, change: float
    ) -> None:
        """The altered month's gross return is `change` more than in the calm history."""
        self._unmoved(part, pulse.day, result)
        row = int(np.sum(calm.backtest.dates <= pulse.day))
        dates = calm.backtest.dates[row : row + 1]
        for column in ("gross_return", *SET_BEFORE):
            expected = getattr(calm.backtest, column)[row : row + 1]
            got = getattr(result.backtest, column)[row : row + 1]
            place = Place(part, pulse.day, "backtest_returns", column)
            moved = change if column == "gross_return" else 0.0
            error = self._same(place, dates, None, expected + moved, got, ROUNDING)
            largest = max(self.figures["largest_impulse_error"], error)
            self.figures["largest_impulse_error"] = largest

    def _unmoved(self, part: str, day: np.datetime64, result: research.Result) -> None:
        """Members, signals, scores, weights and backtest rows up to `day` are the true ones."""
        base = self.base
        self._paid_by(part, day, result)
        if _unchanged(base, result, day):
            return
        rows, own_rows = (int(np.sum(each.panel.dates <= day)) for each in (base, result))
        names, at, own_at = _shared(base.panel.tickers, result.panel.tickers)
        own = _matrices(result)
        for (table, column), values in _matrices(base).items():
            if table == "weights" and column != "weight" and self.rounding:
                continue  # a weight within rounding of max_weight may be said to be at it or not
            before, after = values[:rows, at], own[table, column][:own_rows, own_at]
            place = Place(part, day, table, column)
            self._settled(place, base.panel.dates, names, before, after)
        for each, count in ((base, rows), (result, own_rows)):
            self._strangers(part, day, each, names, count)
        rows, own_rows = (int(np.sum(each.backtest.dates <= day)) for each in (base, result))
        for field in fields(Backtest):
            before = getattr(base.backtest, field.name)[:rows]
            after = getattr(result.backtest, field.name)[:own_rows]
            place = Place(part, day, "backtest_returns", field.name)
            self._settled(place, base.backtest.dates, None, before, after)

    def _paid_by(self, part: str, day: np.datetime64, result: research.Result) -> None:
        """What a trade at a close costs is settled then, though told in the next row."""
        one, two, every = self.base.backtest, result.backtest, self.base.panel.dates
        row, own = (int(np.sum(each.dates <= day)) for each in (one, two))
        date = one.dates[row : row + 1]
        at_close = self.resolved.strategy.execution.trade_at == "close"
        settled = len(date) > 0 and every[np.searchsorted(every, date[0]) - 1] <= day
        if at_close and settled and np.array_equal(date, two.dates[own : own + 1]):
            for column in SET_BEFORE:
                values = getattr(one, column)[[row]], getattr(two, column)[[own]]
                if values[0].tobytes() != values[1].tobytes():
                    place = Place(part, day, "backtest_returns", column)
                    self._settled(place, date, None, *values)

    def _strangers(
        self, part: str, day: np.datetime64, result: research.Result, names: Names, rows: int
    ) -> None:
        """Of a ticker that only one of two histories holds, nothing is known up to the cut."""
        if len(names) == len(result.panel.tickers):
            return
        strange = ~np.isin(result.panel.tickers, names)
        tickers = result.panel.tickers[strange]
        for (table, column), values in _matrices(result).items():
            if column in ("reason", "outcome"):
                continue
            nothing = 0.0 if table in ("weights", "memberships") else np.nan
            found = values[:rows, strange]
            empty = np.full(found.shape, nothing)
            self._same(Place(part, day, table, column), result.panel.dates, tickers, empty, found)

    def _unfilled(self, day: np.datetime64, market: Panel, result: research.Result) -> None:
        """No signal where the oldest or newest price of its window is not known, and no name is
        newly held at a month-end where it has no price."""
        panel, dates = market.select(result.panel.tickers), result.panel.dates
        price = np.where(np.isfinite(panel.price) | np.isfinite(panel.seen), 0.0, np.nan)
        for i, factor in enumerate(self.resolved.strategy.factors):
            spec, params = factors.REGISTRY[factor.name], factors.check(factor.name, factor.params)
            # Of daily bars half a window's are enough; a user's panel needs no price at all.
            needed = {"prices": (spec.first, spec.last), "bars": (spec.last,), "outside": ()}
            ends = (lag(price, end(params) + factor.lag) for end in needed[spec.reads])
            raw = result.signals.raw[i]
            place = Place("gap", day, "factor_signals", f"raw {factor.key}")
            self._same(place, dates, panel.tickers, sum(ends, start=raw), raw)
        held = result.book.weights
        blind = np.zeros(held.shape)
        blind[1:] = np.where(np.isnan(price[1:]) & (held[:-1] == 0.0), held[1:], 0.0)
        place = Place("gap", day, "weights", "weight without a price")
        self._same(place, dates, panel.tickers, np.zeros(held.shape), blind)

    def _settled(
        self,
        place: Place,
        dates: npt.NDArray[Any],
        tickers: Names | None,
        before: npt.NDArray[Any],
        after: npt.NDArray[Any],
    ) -> None:
        largest = self._same(place, dates, tickers, before, after, self.rounding)
        self.figures["largest_change"] = max(self.figures["largest_change"], largest)

    def _same(
        self,
        place: Place,
        dates: npt.NDArray[Any],
        tickers: Names | None,
        before: npt.NDArray[Any],
        after: npt.NDArray[Any],
        rounding: float = 0.0,
    ) -> float:
        findings, largest = compared(place, dates, tickers, before, after, rounding)
        self.findings += findings
        return largest


def _unchanged(base: research.Result, other: research.Result, day: np.datetime64) -> bool:
    """Whether everything dated up to `day` is the same to the bit: it hardly ever is not."""
    rows, own_rows = (
        tuple(
            int(np.searchsorted(dates, day, side="right"))
            for dates in (r.panel.dates, r.backtest.dates)
        )
        for r in (base, other)
    )
    if rows != own_rows or not np.array_equal(base.panel.tickers, other.panel.tickers):
        return False
    kinds = (_by_month, rows[0]), (lambda of: vars(of.backtest).values(), rows[1])
    return all(
        one[:stop].tobytes() == two[:stop].tobytes()
        for values, stop in kinds
        for one, two in zip(values(base), values(other), strict=True)
    )


def _by_month(result: research.Result) -> list[npt.NDArray[Any]]:
    """Every array of a result with a row for each month-end."""
    signals, book, who = result.signals, result.book, result.members
    members = [] if who is None else [who.is_member, who.reason]
    held = (book.weights, book.reason, book.outcome_codes[:, :1])
    return [*members, *signals.raw, *signals.signal, result.score, *held]


def _matrices(result: research.Result) -> dict[tuple[str, str], npt.NDArray[Any]]:
    """Every (T, N) array of a result, by table and column."""
    signals, who = result.signals, result.members
    out: dict[tuple[str, str], npt.NDArray[Any]] = {}
    if who is not None:
        out["memberships", "is_member"], out["memberships", "reason"] = who.is_member, who.reason
    for i, key in enumerate(signals.keys):
        out["factor_signals", f"raw {key}"] = signals.raw[i]
        out["factor_signals", f"signal {key}"] = signals.signal[i]
    out["scores", "score"] = result.score
    out["weights", "weight"] = result.book.weights
    out["weights", "reason"] = result.book.reason
    out["weights", "outcome"] = result.book.outcome_codes
    return out


def _shared(one: Names, two: Names) -> tuple[Names, Any, Any]:
    """The tickers of both, and where they are in each."""
    if np.array_equal(one, two):
        return one, slice(None), slice(None)
    return np.intersect1d(one, two, assume_unique=True, return_indices=True)


def _mean_and_t(returns: Floats) -> tuple[float, float | None]:
    """The mean and its t-value, None on too few months or none that differ."""
    deviation = float(returns.std(ddof=1)) if len(returns) >= LEAST_MONTHS else 0.0
    if deviation == 0.0:
        return np.nan, None
    mean = float(returns.mean())
    return mean, mean / deviation * float(np.sqrt(len(returns)))


def _picks(held: Floats, then: Floats, change: Floats) -> list[int]:
    """One long, one short and one name not held, two at most, whose return changes.

    Of each kind the one whose weight is changed most at the end of the month: there a return
    earned on the wrong weight shows.
    """
    traded = np.abs(then - held)
    picks = []
    for kind in (held > 0.0, held < 0.0, held == 0.0):
        at = np.flatnonzero(kind & np.isfinite(change) & (change != 0.0))
        picks += [int(at[np.argmax(traded[at])])] if at.size else []
    return picks[:2]
