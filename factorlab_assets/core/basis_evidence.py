"""What one ticker's closes say of its distributions: carried, early, missing, or not to be told.

Belongs here: arithmetic on one ticker's arrays. Does not: SQL, or how the answers become tables
(`core.basis`).

A vendor carries a distribution D by scaling every close before the ex-date by 1 − D / P of the bar
before it. So close = f × price, where f is 1 at the file's end and steps up on each ex-date that is
carried; ln f steps by ln(1 + D·f / close of the bar before), its *due*. Three things show f:

1. a second file's closes: where the ratio of the two steps by the due, one carries it and the
   other does not. Where the second prints plain cents it carries nothing, and the ratio is f;
2. the file's own print: whole volumes and closes on the cent mean f = 1 (an adjusted row has its
   volume multiplied by 1/f), so nothing after the first such bar is carried;
3. nothing else was found to hold on real files: they rounded prices and volumes again after each
   adjustment, so that f cannot be had from the grid that they lie on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.panel import Floats

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

WINDOW = 15
"""Bars on each side of an ex-date whose median ratio is the level there: a wrong close or a
distribution carried some bars early does not move it, and it stays within a month."""
SURE = 4.0
"""A due below so many standard errors of a step cannot be told by that step."""
SHARE_PRINTED = 0.98
"""Of the closes of a file in plain cents: vendors print some closes to the tenth of a cent."""
SHARE_OF_WINDOW = 0.5
"""… and of the closes around one ex-date; a scaled close falls within 0.02 of a cent by chance 4
times in a hundred."""
FEWEST_PRINTED = 5
"""Bars that must lie on the print before it says anything: a close lies on a cent by chance once
in a hundred times."""
EARLY_SLACK = 0.1
QUANTUM = 1e-4
"""Bars that carry a distribution early have the factor of later bars: their prices are too high and
their volume too low by the same, within a tenth and 1 bp. A price alone is a wrong price."""
PARTIAL = 5e-4
"""A step that differs from the due by more than that (5 bp), and surely, carries another amount
than the list: a special distribution counted apart, or a part of it left out. Smaller differences
are the file's rounding, a few basis points at worst."""
ROUNDING = 1e-5
"""Standard error of a level that the median of few bars would hide."""
SPLIT_PARTS = 120.0
"""A volume divided by a split ratio is a whole number of 120ths, an adjusted one is not."""


@dataclass(frozen=True)
class Series:
    """One ticker's bars, (n,) each.

    ratio : ln of this file's prices over the second's, NaN = no bar there: the median over high,
    low and close, as a factor applies to all of them and a wrong price is usually one alone.
    volume_ratio : ln of the second's volume over this file's, which a factor raises alike.
    plain : on the cent, in the units of the time, with a whole volume. fractional : the volume is
    not whole. other_plain : the second file's close is on the cent.
    """

    date: npt.NDArray[np.datetime64]
    close: Floats
    ratio: Floats
    volume_ratio: Floats
    plain: Flags
    fractional: Flags
    other_plain: Flags


class Finding(NamedTuple):
    """What was found of the distributions on one bar.

    words : the figures. applied : bar at which the closes carry them. share : how much of the
    amount they carry, 0 = nothing. factor : close over price on the ex-date, None if not known.
    early_step : early: by how much the closes are too high from `applied` to before `until`.
    """

    status: str
    words: str
    factor: float | None = None
    applied: int | None = None
    share: float = 0.0
    early_step: float | None = None
    until: int | None = None


class _Step(NamedTuple):
    """The ratio to the second file around a bar: ln before and after, and the step's error.

    is_factor : the second file is raw there, so that the ratio is this file's factor.
    """

    before: float
    after: float
    error: float
    is_factor: bool


def plain_since(series: Series) -> int:
    """The first bar from which on the file prints plain cents and whole volumes: f = 1 there."""
    n = len(series.plain)
    share = np.cumsum(series.plain[::-1])[::-1] / np.arange(n, 0, -1)
    good = (share >= SHARE_PRINTED) & series.plain
    good &= ~np.logical_or.accumulate(series.fractional[::-1])[::-1]
    first = int(np.argmax(good)) if good.any() else n
    return first if n - first >= min(FEWEST_PRINTED, n) else n


def judge(series: Series, at: Ints, amount: Floats) -> list[Finding]:
    """What the closes carry of `amount`, paid on the bars `at` (ascending, each once, not 0)."""
    plain = plain_since(series)
    bounds = np.concatenate(([0], at, [len(series.close)]))
    factor = 1.0 if plain <= at[-1] else None
    found: list[Finding] = []
    for k in range(len(at) - 1, -1, -1):
        window = int(bounds[k]), int(at[k]), int(bounds[k + 2])
        step = _step(series, window)
        if step is not None and step.is_factor:
            factor = float(np.exp(step.after))
        elif plain <= at[k]:
            factor = 1.0
        due = float(np.log1p(amount[k] * (factor or 1.0) / series.close[at[k] - 1]))
        one = _by_ratio(series, window, step, factor, due) or _by_print(series, window[1], plain)
        found.append(one)
        if one.status == "unknown":
            factor = None
        elif factor is not None:
            factor *= float(np.exp(-due * one.share))
    return found[::-1]


def _by_ratio(
    series: Series,
    window: tuple[int, int, int],
    step: _Step | None,
    factor: float | None,
    due: float,
) -> Finding | None:
    """What the ratio to the second file shows of a distribution."""
    bar = window[1]
    if step is None or step.error * SURE > due:
        return None
    size = step.after - step.before
    said = f"ratio to the second source steps {size:+.5f}, due {due:.5f} (± {step.error:.5f})"
    share: float = round(size / due)
    if step.is_factor and abs(size - share * due) > max(SURE * step.error, PARTIAL):
        share = size / due
        said += f": {share:.2f} of it"
    if size <= due / 2:
        if size > -due / 2 and not step.is_factor:
            return None
        if share <= 0:
            return Finding("missing", said, factor)
        return Finding("missing", said, factor, bar, share)
    if early := _early(series, window, due):
        first, until, high = early
        bars = f"{until - first} bars" if until > first + 1 else "bar"
        said += f"; the {bars} from {series.date[first]} {high:+.5f}, volumes too"
        return Finding("early", said, factor, first, share, float(np.expm1(high)), until)
    late = _late(series, window, step, due)
    said += f", {late} bars late" if late else ""
    return Finding("carried", said, factor, bar + late, share)


def _early(
    series: Series, window: tuple[int, int, int], due: float
) -> tuple[int, int, float] | None:
    """The last run of bars before an ex-date with a later factor: first, past the last, ln."""
    rows = slice(window[0], window[1])
    price = series.ratio[rows] - np.nanmedian(series.ratio[rows])
    volume = series.volume_ratio[rows] - np.nanmedian(series.volume_ratio[rows])
    noise = 1.4826 * np.nanmedian(np.abs(price))
    is_high = (price > max(due / 2, SURE * noise)) & (
        np.abs(price - volume) <= EARLY_SLACK * price + QUANTUM
    )
    if not is_high.any():
        return None
    last = int(np.flatnonzero(is_high)[-1])
    before = np.flatnonzero(~is_high[:last])
    first = int(before[-1]) + 1 if len(before) else 0
    high = float(np.median(price[first : last + 1]))
    return window[0] + first, window[0] + last + 1, high


def _late(series: Series, window: tuple[int, int, int], step: _Step, due: float) -> int:
    """How many bars from the ex-date on still have the factor of before."""
    after = series.ratio[window[1] : min(window[2], window[1] + WINDOW)]
    still = np.abs(after - step.before) < due / 4
    return int(np.argmin(still)) if not still.all() else 0


def _by_print(series: Series, bar: int, plain: int) -> Finding:
    """What the file's own print shows: nothing is carried where its factor is 1 already before."""
    if plain < bar:
        since = f"plain cents and whole volumes since {series.date[plain]}: factor 1"
        return Finding("missing", since, 1.0)
    if plain == bar:
        last = "the bar before is the last that is not plainly printed"
        return Finding("carried", last, 1.0, bar, 1.0)
    return Finding("unknown", "no second source tells, and the factor is not 1")


def _step(series: Series, window: tuple[int, int, int]) -> _Step | None:
    bar, ratio = window[1], series.ratio
    start, stop = max(window[0], bar - WINDOW), min(window[2], bar + WINDOW)
    levels = []
    for rows in (slice(start, bar), slice(bar, stop)):
        side = ratio[rows][np.isfinite(ratio[rows])]
        if not len(side):
            return None
        middle = float(np.median(side))
        spread = 1.4826 * float(np.median(np.abs(side - middle)))
        levels.append((middle, 1.25 * spread / len(side) ** 0.5 + ROUNDING))
    around = slice(max(0, bar - WINDOW), bar + WINDOW)
    printed = series.other_plain[around][np.isfinite(ratio[around])]
    (before, before_error), (after, after_error) = levels
    error = float(np.hypot(before_error, after_error))
    return _Step(before, after, error, bool(printed.mean() >= SHARE_OF_WINDOW))


def by_ticker(columns: dict[str, Any]) -> Iterator[tuple[str, slice]]:
    """Each ticker of columns ordered by ticker, and where its rows are."""
    names = columns["ticker"]
    if len(names):
        starts = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
            yield str(names[start]), slice(int(start), int(stop))
