"""The proof that a strategy uses nothing that comes later (timing law 10).

Belongs here: which laws make the proof, on which tickers, and what it cannot see. Does not: the
altered histories (`histories`), or holding one strategy against a law (`trial`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core import outside, research
from factorlab_assets.core.histories import Histories, build_histories
from factorlab_assets.core.outside_histories import with_outside
from factorlab_assets.core.panel import VALUES
from factorlab_assets.core.trial import Finding, Place, Run, Trial, compared, finding
from factorlab_assets.strategy import Resolved, Strategy

SAMPLED_FROM, SAMPLE = 100, 40
"""A universe of so many tickers is proved on a sample of so many, evenly spaced by name."""

CANNOT_SEE = (
    "survivorship: a ticker that the source no longer holds is in none of the histories",
    "hindsight: a strategy or a parameter chosen because it worked on these very prices",
    "restatement: a price that the source has corrected since it was first published",
)


@dataclass(frozen=True)
class Proof:
    """The verdict on one strategy.

    findings : broken laws, the first cell of each: part, cut, table, column, date, ticker, before
        (or as expected), after, cells. figures : what was run, and how close it came.
    cannot_see : what an empty list of findings does not exclude.
    """

    findings: list[Finding]
    figures: dict[str, Any]
    cannot_see: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no law is broken."""
        return not self.findings


def prove(
    resolved: Resolved,
    con: duckdb.DuckDBPyConnection,
    bars: str,
    month: str,
    *,
    run: Run = research.run,
) -> Proof:
    """The proof of one strategy; see `Scenarios`, which many of a month share."""
    return Scenarios.build(con, bars, month, [resolved]).prove(resolved, run=run)


@dataclass(frozen=True)
class Scenarios:
    """The altered histories of one month.

    n_tickers : how many tickers the data version has (0 where no strategy takes every one).
    findings : laws that the month-end prices themselves break, whatever the strategy.
    """

    histories: Histories
    n_tickers: int
    findings: tuple[Finding, ...]

    @classmethod
    def build(
        cls,
        con: duckdb.DuckDBPyConnection,
        bars: str,
        month: str,
        strategies: Sequence[Resolved],
        own: pa.Table = outside.NO_ROWS,
    ) -> Scenarios:
        """The scenarios for these strategies, from the daily prices that they read.

        Parameters
        ----------
        con : an open connection, read-only will do; nothing is left behind on it.
        bars : a relation as `build_histories` takes it.
        strategies : all with the same schedule.days_before_month_end.
        own : rows of the user's own panels that the strategies read.
        """
        every: list[str] = []
        if any(each.tickers is None for each in _with_benchmarks(strategies)):
            every = [row[0] for row in con.sql("FROM " + bars).unique("ticker").fetchall()]
        tickers = set(research.BALANCED)
        for each in _with_benchmarks(strategies):
            tickers |= _sample_of(each.strategy, every if each.tickers is None else each.tickers)
            tickers |= {each.strategy.benchmark, *each.strategy.beside}
        (days_before,) = {each.strategy.schedule.days_before_month_end for each in strategies}
        histories = build_histories(
            con,
            bars,
            month,
            sorted(tickers),
            with_bars=any(map(research.reads_bars, strategies)),
            days_before=days_before,
        )
        findings = tuple(_price_findings(histories))
        return cls(with_outside(histories, own), len(every), findings)

    def prove(self, resolved: Resolved, *, run: Run = research.run) -> Proof:
        """Run the strategy on every history and hold its results against the laws.

        - truncation, wild future: signals, scores, weights and backtest rows dated up to the cut
          are those of the whole history, bit for bit (to 1e-12 where the universe is every ticker).
          After a cut in mid-month these are the rows up to the month-end before; the month that
          was cut is not compared.
        - impulse: every price of one ticker i after the first session of month t+1 is half again.
          Row t+1's gross return changes by w_{t,i}·Δr_i to 1e-12 (and where cash earns what i
          returns, by (1 − Σw)·Δr_i too); its costs and exposures, and everything up to t, do not.
          That session trades at the close of t in these histories, so that `close`, `next_close`
          and `next_open` trade at one price and Δr is earned after it.
        - gap: every second ticker has no bar in month t+1. Row t+1's gross return changes by −Σw·r
          of these, their weights drift, and no signal knows a price that is not there.
        - repair: a price that was repaired only after its month-end is half again in the end, and
          so is every daily bar that was repaired only then. No signal, score, weight or backtest
          row up to that month-end knows it.
        - null: on white-noise prices, without cash return and carry, the mean gross return has
          |t| < 4 in one of two draws (not judged on fewer than 24 months).

        Where the strategy reads daily bars they are altered with the prices: a cut history has them
        as they were known at the cut; before a wild future what is repaired after the cut comes out
        three times what was seen; beyond it dollar volumes are wild too.

        Parameters
        ----------
        run : the path from a panel of month-ends to a result.
        """
        trial = Trial(self._sampled(resolved), self.histories.base, run)
        for cut in self.histories.cuts:
            trial.cut(cut)
        for pulse in self.histories.pulses:
            trial.pulse(pulse)
        trial.repairs(self.histories.base)
        trial.null(self.histories.noises)
        n_rows = len(trial.base.backtest.dates)
        if n_rows == 0:
            place = Place("truncation", self.histories.base.dates[-1], "backtest_returns", "date")
            trial.findings.append(finding(place, "", "", "rows to prove", "none"))
        cannot_see: tuple[str, ...] = CANNOT_SEE
        if trial.figures["null_t"] is None:
            cannot_see += (
                "returns earned on white noise: fewer than 24 months, or none that moves",
            )
        if outside.read_by(resolved):
            cannot_see += ("characteristics: a date_avail before the value was really known",)
        if trial.figures["impulse_held"] == 0:
            cannot_see += ("whose return a month earns: nothing was held where prices were moved",)
        figures = {
            "months": n_rows,
            "tickers": len(trial.base.panel.tickers),
            "of_tickers": self._size(resolved),
        }
        if trial.base.panel.bars is not None:
            figures["sessions"] = len(trial.base.panel.bars.days)
        return Proof([*self.findings, *trial.findings], figures | trial.figures, cannot_see)

    def _size(self, resolved: Resolved) -> int:
        return self.n_tickers if resolved.tickers is None else len(resolved.tickers)

    def _sampled(self, resolved: Resolved) -> Resolved:
        """The strategy on the tickers at hand, its counts of names scaled with its universe."""
        benchmark = resolved.benchmark and self._sampled(resolved.benchmark)
        size, tickers = self._size(resolved), resolved.tickers
        if size < SAMPLED_FROM:
            return resolved.model_copy(update={"benchmark": benchmark})
        strategy = resolved.strategy
        portfolio, universe, select = (
            strategy.portfolio,
            strategy.universe,
            strategy.portfolio.select,
        )
        here: Sequence[str] = self.histories.base.tickers.tolist()
        if tickers is not None:
            here = tickers = tuple(sorted(_sample_of(strategy, tickers)))
        share = len(here) / size

        def scaled(count: int | None) -> int | None:
            return None if count is None else max(round(count * share), 1)

        breadth = None if select.breadth is None else select.breadth * share
        select = select.model_copy(update={"top_k": scaled(select.top_k), "breadth": breadth})
        changed = {
            "select": select,
            "min_names": scaled(portfolio.min_names),
            "max_names": scaled(portfolio.max_names),
            "fixed_weights": {t: w for t, w in portfolio.fixed_weights.items() if t in here},
        }
        most = {"top_dollar_volume": scaled(universe.top_dollar_volume)}
        both = {
            "portfolio": portfolio.model_copy(update=changed),
            "universe": universe.model_copy(update=most),
        }
        return Resolved(
            strategy=strategy.model_copy(update=both),
            tickers=tickers,
            asset_classes=resolved.asset_classes,
            groups=resolved.groups,
            merge=resolved.merge,
            benchmark=benchmark,
        )


def _sample_of(strategy: Strategy, tickers: Iterable[str]) -> set[str]:
    """Of a strategy's tickers those that it is proved on: a sample, and who is named."""
    safe = strategy.portfolio.select.safe
    named = sample(strategy.portfolio.fixed_weights)
    return {*sample(tickers), *named, *([safe] if safe else [])}


def _with_benchmarks(strategies: Iterable[Resolved]) -> Iterator[Resolved]:
    for resolved in strategies:
        yield resolved
        if resolved.benchmark is not None:
            yield from _with_benchmarks([resolved.benchmark])


def sample(tickers: Iterable[str]) -> list[str]:
    """The tickers that something is proved on: all, or `SAMPLE` of `SAMPLED_FROM` and more."""
    ordered = sorted(tickers)
    if len(ordered) < SAMPLED_FROM:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, SAMPLE).astype(int)]


def _price_findings(histories: Histories) -> Iterator[Finding]:
    """Prices up to a cut that what came later has changed, or month-ends that a gap has not."""
    base = histories.base
    for cut in histories.cuts:
        before, after = base.until(cut.day), cut.panel.until(cut.day)
        names = np.union1d(before.tickers, after.tickers)
        before, after = before.select(names), after.select(names)
        for column in VALUES:
            place = Place(cut.part, cut.day, "monthly_returns", column)
            one, two = getattr(before, column), getattr(after, column)
            yield from compared(place, before.dates, names, one, two)[0]
        if before.bars is None or after.bars is None:
            continue
        known = before.bars.as_known(cut.day), after.bars.as_known(cut.day)
        for column in ("close", "dollar_volume"):
            place = Place(cut.part, cut.day, "adjusted_prices", column)
            one, two = (getattr(each, column) for each in known)
            yield from compared(place, known[0].days, names, one, two)[0]
    for pulse in histories.pulses:
        gapped = pulse.gapped.select(pulse.deleted)
        month = gapped.dates.searchsorted(pulse.day) + 1
        for column in VALUES:
            place = Place("gap", pulse.day, "monthly_returns", column)
            found = getattr(gapped, column)[[month]]
            empty = np.full(found.shape, np.nan)
            yield from compared(place, gapped.dates[[month]], gapped.tickers, empty, found)[0]
