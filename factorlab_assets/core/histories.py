"""Altered price histories: the daily bars cut short, with another future, pulsed, or pure noise.

Belongs here: the SQL that alters daily bars, and the panels that come of it by the real path
(`returns.monthly_returns`, `returns.bars_of_each`). Does not: judging a strategy on them (`proof`).

All histories go through that one SQL statement together, each as a set of tickers of its own, and a
ticker is a number there: thirty statements, or names, would take half a second more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.calendar import Dates, month_starts
from factorlab_assets.core.panel import VALUES, Floats, Panel, panel_from_table
from factorlab_assets.core.returns import bars_of_each, monthly_returns
from factorlab_assets.core.shared import SharedPanel

N_MONTH_ENDS, N_MID_MONTH, N_PULSES, N_NOISES = 12, 3, 3, 2
WILD_STEP, WILD_DAYS = 4, 730
"""Every fourth cut gets a wild future too, of two years."""
PULSE = 1.5
"""What a pulse multiplies prices by: enough to change who is selected at the month's end."""
SEED = 20240531
"""Of the white noise."""

_OWN_BARS = """
CREATE TEMP TABLE proof_bars AS
SELECT ticker, n, date, open, close, seen{more} FROM {relation} JOIN proof_names USING (ticker)
"""

# In each history ticker n is the number `zero` + n, the new one in its place `zero` + `fresh` + n.
# Beyond a wild cut a third of the tickers each is inverted, runs from outlier to outlier, or is
# deleted while a new ticker goes on in its place; `shift` deals the fates anew at every cut.
# In a pulse's month the first session (`entry`) trades at the close before it, so that nothing is
# earned before the trade, whenever the strategy trades; afterwards prices are multiplied by
# `factor`, and of the tickers with n % 2 = `deleted` the whole month is missing.
_ALTER = """
CREATE TEMP TABLE proof_altered AS
SELECT zero + n AS ticker, date, open, close, seen{cut_bars}
FROM proof_bars JOIN proof_cuts ON date <= cut
UNION ALL
SELECT
    zero + n + CASE WHEN fate = 2 AND date > cut THEN fresh ELSE 0 END, date,
{wild}{wild_bars}
FROM (
    SELECT *, (n + shift) % 3 AS fate, CASE WHEN day(date) % 7 = 0 THEN 1e3 ELSE 0.1 END AS far
    FROM proof_bars JOIN proof_wild ON date <= stop
)
UNION ALL
SELECT
    zero + n, date,
    CASE WHEN date > entry THEN open * factor ELSE open END,
    CASE WHEN date > entry THEN close * factor ELSE close END,
    CASE WHEN date > entry THEN seen * factor ELSE seen END{pulse_bars}
FROM proof_bars JOIN proof_pulses ON date <= stop
WHERE date <> entry AND (date < entry OR date > month_end OR n % 2 <> deleted)
UNION ALL
SELECT zero + bar.n, bar.date, last.close, last.close, last.close{entry_bars}
FROM (FROM proof_bars JOIN proof_pulses ON date = entry WHERE n % 2 <> deleted) AS bar
ASOF JOIN (FROM proof_bars WHERE close IS NOT NULL) AS last
    ON bar.n = last.n AND bar.date > last.date
UNION ALL
FROM proof_noise
"""

# Where daily bars are read each history has three columns more: the close as bars have it, the
# dollar volume, and the day on which that close was known. To bars that are cut off it is not known
# what is repaired later, and before a wild future such repairs come out otherwise. Month-end prices
# stay what is known in the end, by which is told what a book earned.
_WITH_BARS = {
    "cut_bars": """, CASE WHEN known_at > cut THEN seen ELSE close END AS repaired, dollar_volume,
    CASE WHEN known_at <= cut THEN known_at END AS known_at""",
    "wild_bars": """, CASE WHEN date <= cut AND known_at > cut THEN 3 * seen ELSE {wild} END,
    CASE WHEN date <= cut OR fate = 2 THEN dollar_volume
        WHEN fate = 1 THEN dollar_volume * far ELSE 1e14 / (1 + dollar_volume) END, known_at""",
    "pulse_bars": """, CASE WHEN date > entry THEN close * factor ELSE close END,
    CASE WHEN date > entry THEN dollar_volume * factor ELSE dollar_volume END, known_at""",
    "entry_bars": ", last.close, bar.dollar_volume, NULL",
}
_REPAIRED = "(SELECT * EXCLUDE (close, repaired), repaired AS close FROM proof_altered)"


@dataclass(frozen=True)
class Cut:
    """A history altered beyond `day`; `part` says how: truncation or wild future."""

    part: str
    day: np.datetime64
    panel: Panel


@dataclass(frozen=True)
class Pulse:
    """Three histories that go other ways after `day`, a month-end.

    calm : the first session of the next month trades at the close before it; ends with that month.
    moved : calm, and every later price times `PULSE`.
    gapped : calm, that month's bars of every second ticker missing; goes on for two more months.
    deleted : those tickers.
    """

    day: np.datetime64
    calm: Panel
    moved: Panel
    gapped: Panel
    deleted: tuple[str, ...]

    def moved_alone(self, ticker: str) -> Panel:
        """The calm panel with one ticker's column of the moved one, which has the same tickers."""
        calm, moved = self.calm, self.moved

        def make() -> Panel:
            own = calm.tickers == ticker
            values = (np.where(own, getattr(moved, v), getattr(calm, v)) for v in VALUES)
            bars = calm.bars
            if bars is not None and moved.bars is not None:
                bars = bars.mixed(own, moved.bars)
            return SharedPanel(calm.dates, calm.tickers, *values, bars=bars, outside=calm.outside)

        return calm.once(("moved", ticker), make)


@dataclass(frozen=True)
class Histories:
    """The true panel (`base`) and the altered ones; `noises` have white-noise returns, seeded."""

    base: Panel
    cuts: tuple[Cut, ...]
    pulses: tuple[Pulse, ...]
    noises: tuple[Panel, ...]


def build_histories(
    con: duckdb.DuckDBPyConnection,
    bars: str,
    month: str,
    tickers: Sequence[str],
    *,
    with_bars: bool = False,
    days_before: int = 0,
) -> Histories:
    """Every history of the proof, of `tickers`, from the daily bars up to `month`.

    Parameters
    ----------
    con : an open connection, read-only will do; nothing is left behind on it.
    bars : a relation as `monthly_returns` takes it, on the basis that the strategies read; its
        growth is not looked at (`returns.on_basis`).
    with_bars : every panel has its daily bars.
    days_before : how the months are dated, as `monthly_returns` takes it.

    Notes
    -----
    Cut: twelve month-ends over the whole history, each calendar month once, and three days in
    mid-month. Every fourth of them also gets a wild future, of two years. Pulsed: three month-ends
    of the later half. A history too short for so many has fewer.
    """
    names = pa.table({"ticker": list(tickers), "n": np.arange(len(tickers), dtype=np.int32)})
    more = ", dollar_volume, known_at" if with_bars else ""
    with _relations(con, {"proof_names": names}):
        con.execute(_OWN_BARS.format(relation=bars, more=more))
        rows = _rows(con, "proof_bars", month, days_before)
        base = panel_from_table(rows, days_before=days_before)
        if with_bars:
            of = [(base.dates, base.tickers.tolist())]
            (own,) = bars_of_each(con, "proof_bars", of, days_before=days_before)
            base = replace(base, bars=own)
        plan = _Plan(base.dates, tickers, with_bars=with_bars, days_before=days_before)
        with _relations(con, plan.relations(con)):
            wild = ", ".join(map(_wild, ("open", "close", "seen")))
            also = {name: sql * with_bars for name, sql in _WITH_BARS.items()}
            also["wild_bars"] = also["wild_bars"].format(wild=_wild("close"))
            con.execute(_ALTER.format(wild=wild, **also))
            return plan.dealt(con, base, _rows(con, "proof_altered", month, days_before))


def _rows(con: duckdb.DuckDBPyConnection, bars: str, month: str, days_before: int) -> pa.Table:
    columns = ("ticker", "date", "close", "price", "seen", "entry_open", "entry_close")
    grown = f"(SELECT ticker, date, open, close, seen, 1.0::DOUBLE AS growth FROM {bars})"  # noqa: S608  # our own tables
    return monthly_returns(con, grown, month, columns=columns, days_before=days_before)


def _wild(price: str) -> str:
    """SQL: a price of a wild future by its ticker's fate."""
    return f"""CASE WHEN date <= cut OR fate = 2 THEN {price}
        WHEN fate = 1 THEN {price} * far ELSE 1e4 / {price} END"""


class _Plan:
    """Which days are cut and pulsed, and where each history ends and its tickers' numbers begin."""

    def __init__(
        self, dates: Dates, tickers: Sequence[str], *, with_bars: bool, days_before: int
    ) -> None:
        self.dates, self.tickers = dates, list(tickers)
        self.with_bars, self.days_before = with_bars, days_before
        self.cut = _cut_days(dates)
        self.wild = self.cut[::WILD_STEP]
        last = len(dates) - 1
        rows = np.linspace(len(dates) // 2, max(last - 1, 0), N_PULSES).astype(int)
        self.pulsed = np.unique(rows[rows < last])

        after = dates[self.pulsed + 1]
        self.stops: dict[str, Dates] = {
            "truncated": self.cut,
            "wild": np.minimum(self.wild + WILD_DAYS, dates[-1]),
            "calm": after,
            "moved": after,
            "gapped": dates[np.minimum(self.pulsed + 3, last)],
            "noise": np.repeat(dates[-1:], N_NOISES),
        }
        lengths = np.cumsum([0, *(len(stop) for stop in self.stops.values())])
        width = 2 * len(self.tickers)
        self.zeros = {
            kind: np.arange(first, first + len(stop), dtype=np.int32) * width
            for (kind, stop), first in zip(self.stops.items(), lengths[:-1], strict=True)
        }

    def relations(self, con: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
        """What `_ALTER` reads beside the bars."""
        span = str(self.dates[0])[:7], str(self.dates[-1])[:7]
        entry = month_starts(*span, self.days_before)[self.pulsed + 1]
        pulses = [
            pa.table(
                {
                    "zero": self.zeros[kind],
                    "entry": entry,
                    "month_end": self.stops["calm"],
                    "stop": self.stops[kind],
                    "factor": np.full(len(entry), factor),
                    "deleted": deleted,
                }
            )
            for kind, factor, deleted in (
                ("calm", 1.0, np.full(len(entry), -1)),
                ("moved", PULSE, np.full(len(entry), -1)),
                ("gapped", 1.0, np.arange(len(entry)) % 2),
            )
        ]
        count = len(self.wild)
        wild = {"cut": self.wild, "stop": self.stops["wild"], "zero": self.zeros["wild"]}
        wild |= {"shift": np.arange(count), "fresh": np.full(count, len(self.tickers), np.int32)}
        return {
            "proof_cuts": pa.table({"cut": self.cut, "zero": self.zeros["truncated"]}),
            "proof_wild": pa.table(wild),
            "proof_pulses": pa.concat_tables(pulses),
            "proof_noise": self._noise(con),
        }

    def dealt(self, con: duckdb.DuckDBPyConnection, base: Panel, altered: pa.Table) -> Histories:
        """The panel of each history, out of the rows of all."""
        numbers = altered["ticker"].combine_chunks().dictionary_encode()
        names = [*self.tickers, *(f"ZZ.{ticker}" for ticker in self.tickers)]
        known = {number: divmod(number, len(names)) for number in numbers.dictionary.to_pylist()}
        labels = {f"{history:03d}{names[n]}": number for number, (history, n) in known.items()}
        tickers = pa.DictionaryArray.from_arrays(numbers.indices, pa.array(labels))
        altered = altered.set_column(0, "ticker", tickers)
        every = panel_from_table(altered, days_before=self.days_before)
        history = every.tickers.astype("U3").astype(np.int64)

        def panel(zero: np.int32, stop: np.datetime64) -> tuple[Panel, list[int]]:
            own = slice(*np.searchsorted(history, zero // len(names) + np.arange(2)))
            rows = slice(np.searchsorted(every.dates, stop) + 1)
            named = np.array([ticker[3:] for ticker in every.tickers[own]], dtype=np.str_)
            values = (np.ascontiguousarray(getattr(every, v)[rows, own]) for v in VALUES)
            of = [labels[label] for label in every.tickers[own].tolist()]
            return Panel(every.dates[rows], named, *values), of

        made = [
            panel(zero, stop)
            for kind, stops in self.stops.items()
            for zero, stop in zip(self.zeros[kind], stops, strict=True)
        ]
        bars: list[Bars] | list[None] = [None] * len(made)
        if self.with_bars:
            of_each = [(each.dates, of) for each, of in made]
            bars = bars_of_each(con, _REPAIRED, of_each, days_before=self.days_before)
        panels = iter(
            SharedPanel.of(replace(each, bars=own))
            for (each, _), own in zip(made, bars, strict=True)
        )
        kinds = {kind: list(islice(panels, len(stops))) for kind, stops in self.stops.items()}

        truncated = map(Cut, ["truncation"] * len(self.cut), self.cut, kinds["truncated"])
        wild = map(Cut, ["wild future"] * len(self.wild), self.wild, kinds["wild"])
        pulsed = (kinds[kind] for kind in ("calm", "moved", "gapped"))
        deleted = [tuple(self.tickers[i % 2 :: 2]) for i in range(len(self.pulsed))]
        pulses = map(Pulse, self.dates[self.pulsed], *pulsed, deleted)
        cuts = (*truncated, *wild)
        return Histories(SharedPanel.of(base), cuts, tuple(pulses), tuple(kinds["noise"]))

    def _noise(self, con: duckdb.DuckDBPyConnection) -> pa.Table:
        """Bars on the true days that walk at random; a next month leaves a ticker's past alone."""
        bars = con.sql("SELECT n, date FROM proof_bars ORDER BY n, date").to_arrow_table()
        owners, lengths = np.unique(bars["n"].to_numpy(), return_counts=True)

        def walk(draw: int, owner: int, length: int) -> Floats:
            rng = np.random.default_rng([SEED, draw, int.from_bytes(self.tickers[owner].encode())])
            steps = rng.normal(0.0, (0.004, 0.01), (length, 2))
            return np.asarray(np.exp(np.cumsum(np.log1p(steps)))).reshape(-1, 2)

        def traded(draw: int, owner: int, length: int) -> Floats:
            named = int.from_bytes(self.tickers[owner].encode())
            return 1e7 * np.exp(np.random.default_rng([SEED, draw, named, 1]).normal(size=length))

        tables = []
        for draw, zero in enumerate(self.zeros["noise"].tolist()):
            each = list(zip(owners, lengths, strict=True))
            prices = np.concatenate([walk(draw, *own) for own in each])
            columns = {"ticker": bars["n"].to_numpy() + zero, "date": bars["date"]}
            columns |= {"open": prices[:, 0], "close": prices[:, 1], "seen": prices[:, 1]}
            if self.with_bars:
                columns |= {"repaired": prices[:, 1]}
                columns |= {"dollar_volume": np.concatenate([traded(draw, *own) for own in each])}
                columns |= {"known_at": pa.nulls(len(prices), pa.date32())}
            tables.append(pa.table(columns))
        return pa.concat_tables(tables)


def _cut_days(dates: Dates) -> Dates:
    """Month-ends a stride apart that shares no factor with 12, and the 15ths of other months."""
    newest = len(dates) - 2
    widest = newest // (N_MONTH_ENDS - 1)
    stride = max((s for s in range(1, widest + 1) if math.gcd(s, 12) == 1), default=1)
    ends = dates[list(range(newest, -1, -stride))[:N_MONTH_ENDS]]
    rows = np.linspace(0, len(dates) - 1, N_MID_MONTH + 2)[1:-1].astype(int)
    mid_month = dates[rows].astype("datetime64[M]").astype("datetime64[D]") + 14
    return np.union1d(ends, mid_month)


@contextmanager
def _relations(con: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> Iterator[None]:
    """`tables` readable by name; afterwards they are gone, and every table made of them."""
    try:
        for name, table in tables.items():
            con.register(name, table)
        yield
    finally:
        for name in ("proof_bars", "proof_altered"):
            con.execute(f"DROP TABLE IF EXISTS {name}")
        for name in tables:
            con.unregister(name)
