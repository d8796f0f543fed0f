"""What one ticker's closes say of its distributions: carried, early, missing, or not to be told.

Belongs here: arithmetic on one ticker's arrays. Does not: SQL, or how the answers become tables
(`core.basis`).

A vendor carries a distribution D by scaling every close before the ex-date by 1 − D / P of the bar
before it. So close = f × price, where f is 1 at the file's end and steps up on each ex-date that is
carried; ln f steps by ln(1 + D·f / close of the bar before), its *due*. Two things show f:

1. a second file: where the ratio of the two steps by the due, one carries it and the other does
   not. Where the second prints plain cents it carries nothing, and the ratio is f itself;
2. the file's own print: plain cents and whole volumes mean f = 1 (an adjusted row has its volume
   divided by f), so that nothing after the first such bar is carried.

Two more were tried on real files and do not hold. Prices over f lie on no grid of cents, nor
volumes times f on whole numbers: the files were rounded again after each adjustment. And the fall
of the price on ex-dates, taken together over runs of them, left more than half untold and had a
tenth of the rest wrong at a stated confidence of 99 %.
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
"""Bars on each side of an ex-date whose median ratio is the level there: a wrong price or a
distribution carried some bars early does not move it, and it stays within a month."""
SURE = 4.0
"""A due below so many standard errors of a step cannot be told by that step. One below 5 bp is
taken as it looks: told wrongly it costs no more."""
ROUNDING = 1e-5
"""Standard error of a level that the median of few bars would hide."""
UNIT = 0.25
"""Prices that are off the others around by more than that (ln) are in another unit: a decimal slip,
an unapplied split. No distribution is as large, and nothing is read from them."""
UNSPLIT_BARS, UNSPLIT_SLACK = 5, 0.15
"""A split is lacking where the medians of a week before and after it differ by its ratio (ln)."""
MOST_SHARE = 3.0
"""A step of more than three times the due is another thing: a run of wrong prices."""
PARTIAL = 5e-4
"""A step that differs from the due by more than that (5 bp), and surely, carries another amount
than the list: a special distribution counted apart, or a part of it left out. Smaller differences
are the file's rounding, a few basis points at worst."""
EARLY_SLACK = 0.1
QUANTUM = 1e-4
"""Bars that carry a distribution early have the factor of later bars: their prices are too high and
their volume too low by the same, within a tenth and 1 bp. A price alone is a wrong price."""
SHARE_PLAIN = 0.5
"""Of the second file's closes around a bar where it is plain; a scaled close falls within 0.02 of a
cent by chance 4 times in a hundred."""
SPLIT_PARTS = 120.0
"""A volume divided by a split ratio is a whole number of 120ths, an adjusted one is not."""
PLAIN_PRICES = 3
"""Of a bar's four prices on the cent, where volumes tell nothing: funds quoted in tenths of a cent
have such highs and lows."""
FRACTIONAL_SHARE = 0.01
"""A file with so many fractional volumes has them on every adjusted row."""
STEPS_LEAST = 3e-4
STEPS_FEWEST = 4
STEPS_GAP = 1.5
"""Without a list, steps of at least 3 bp, four or more of them with no gap above 1.5 times their
median gap, are a file that carries everything; a longer time without a step carries nothing."""


@dataclass(frozen=True)
class Series:
    """One ticker's bars, (n,) each.

    ratio : ln of this file's prices over the second's, NaN = no bar there: the median over high,
    low and close, as a factor applies to all of them and a wrong price is usually one alone.
    volume_ratio : ln of the second's volume over this file's, which a factor raises alike.
    plain : printed as if the factor were 1: a whole volume, or in files without fractional ones
    prices on the cent in the units of the time. other_plain : the second's close is on the cent.
    unit : close over the split-adjusted one, 1 unless the file lacks a later split of the list.
    """

    date: npt.NDArray[np.datetime64]
    close: Floats
    ratio: Floats
    volume_ratio: Floats
    plain: Flags
    other_plain: Flags
    unit: Floats


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

    is_factor : the second file is plain there, so that the ratio is this file's factor.
    """

    before: float
    after: float
    error: float
    is_factor: bool

    @property
    def size(self) -> float:
        return self.after - self.before


def units(close: Floats, at: Ints, split: Floats) -> Floats:
    """(n,) by what each close is too large because of splits, on the bars `at`, that the file did
    not apply to what is before, or applied twice.

    >>> units(np.array([100.0, 100.0, 50.0, 50.0]), np.array([2]), np.array([2.0]))
    array([2., 2., 1., 1.])
    """
    unit = np.ones(len(close))
    for bar, ratio in zip(at.tolist(), split.tolist(), strict=True):
        sides = close[max(0, bar - UNSPLIT_BARS) : bar], close[bar : bar + UNSPLIT_BARS]
        if abs(np.log(ratio)) > 2 * UNSPLIT_SLACK and all(map(len, sides)):
            before, after = (_median(np.log(side)) for side in sides)
            for lacking in (ratio, 1 / ratio):
                if abs(before - after - np.log(lacking)) <= UNSPLIT_SLACK:
                    unit[:bar] *= lacking
    return unit


def plain_since(plain: Flags) -> int:
    """The first bar from which on the file is printed plainly (f = 1), or n.

    A bar off the cent does not end that, but 15 bars most of which are.
    """
    n = len(plain)
    off = np.concatenate(([0], np.cumsum(~plain)))
    start = np.maximum(np.arange(n) - WINDOW + 1, 0)
    many = (off[1:] - off[start]) * 2 > np.arange(n) - start + 1
    if not many.any():
        return 0
    last = int(np.flatnonzero(many)[-1])
    return int(np.flatnonzero(~plain[: last + 1])[-1]) + 1


def judge(series: Series, at: Ints, amount: Floats) -> list[Finding]:
    """What the closes carry of `amount`, paid on the bars `at` (ascending, each once, not 0)."""
    plain = plain_since(series.plain)
    bounds, last = [0, *at.tolist(), len(series.close)], len(series.close) - 1
    factor = None
    found: list[Finding] = []
    for k in range(len(at) - 1, -1, -1):
        window = bounds[k], bounds[k + 1], bounds[k + 2]
        step = _step(series, window)
        if step is not None and step.is_factor:
            factor = float(np.exp(step.after))
        elif plain <= window[1]:
            factor = float(series.unit[window[1]])
        elif factor is not None:
            factor *= float(series.unit[window[1]] / series.unit[min(window[2], last)])
        close = _close_before(series, window[1], step)
        due = float(np.log1p(amount[k] * (factor or 1.0) / close))
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
    if step is None or abs(step.size) > max(MOST_SHARE * due, PARTIAL):
        return None
    if step.error * SURE > max(due, PARTIAL):
        return None
    said = f"ratio to the second source steps {step.size:+.5f}, due {due:.5f} (± {step.error:.5f})"
    share: float = round(step.size / due)
    if step.is_factor and abs(step.size - share * due) > max(SURE * step.error, PARTIAL):
        share = step.size / due
        said += f": {share:.2f} of it"
    if step.size <= due / 2:
        if step.size > -due / 2 and not step.is_factor:
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
    if late:
        said += f", {late} bars late"
        factor = None if factor is None else factor * float(np.exp(-due * share))
    return Finding("carried", said, factor, bar + late, share)


def _by_print(series: Series, bar: int, plain: int) -> Finding:
    """What the file's own print shows: nothing is carried where its factor is 1 already before."""
    unit = float(series.unit[bar])
    if plain == bar:
        last = "the bar before is the last that is not printed in plain cents and whole volumes"
        return Finding("carried", last, unit, bar, 1.0)
    if plain < bar - WINDOW or plain == 0:
        since = f"plain cents and whole volumes since {series.date[plain]}: factor 1"
        return Finding("missing", since, unit)
    return Finding("unknown", "no second source tells, and the factor is not 1")


def _step(series: Series, window: tuple[int, int, int]) -> _Step | None:
    start, bar, stop = window
    before = series.ratio[max(start, bar - WINDOW) : bar]
    after = series.ratio[bar : min(stop, bar + WINDOW)]
    both = np.concatenate((before, after))
    both = both[np.isfinite(both)]
    if not len(both):
        return None
    level = _median(both)
    low, high = (_level(side[np.abs(side - level) <= UNIT]) for side in (before, after))
    if low is None or high is None:
        return None
    error = float(np.hypot(low[1], high[1]))
    return _Step(low[0], high[0], error, _is_plain(series, bar))


def _level(ratio: Floats) -> tuple[float, float] | None:
    """Median and its standard error."""
    if not len(ratio):
        return None
    middle = _median(ratio)
    spread = 1.4826 * _median(np.abs(ratio - middle))
    return middle, 1.25 * spread / len(ratio) ** 0.5 + ROUNDING


def _median(values: Floats) -> float:
    """np.median without what it costs on a handful of numbers."""
    n = len(values)
    middle = np.sort(values)[(n - 1) // 2 : n // 2 + 1]
    return float(middle[0] + middle[-1]) / 2


def _is_plain(series: Series, bar: int) -> bool:
    """Whether the second file carries nothing, told by its bars before."""
    before = slice(max(0, bar - 2 * WINDOW), bar)
    known = series.other_plain[before][np.isfinite(series.ratio[before])]
    return bool(len(known) and known.sum() >= SHARE_PLAIN * len(known))


def _close_before(series: Series, bar: int, step: _Step | None) -> float:
    """The close before a bar, of the last one in the unit of those around."""
    last = bar - 1
    if step is not None:
        near = np.abs(series.ratio[max(0, bar - WINDOW) : bar] - step.before) <= UNIT
        last -= int(np.argmax(near[::-1]))
    return float(series.close[last])


def _early(
    series: Series, window: tuple[int, int, int], due: float
) -> tuple[int, int, float] | None:
    """The last run of bars before an ex-date with a later factor: first, past the last, ln."""
    price = series.ratio[window[0] : window[1]]
    volume = series.volume_ratio[window[0] : window[1]]
    known = np.isfinite(price) & np.isfinite(volume)
    if not known.any():
        return None
    price, volume = price - _median(price[known]), volume - _median(volume[known])
    least = max(due / 2, SURE * 1.4826 * _median(np.abs(price[known])))
    is_alike = np.abs(price - volume) <= EARLY_SLACK * price + QUANTUM
    is_high = (price > least) & (price < UNIT) & is_alike
    if not is_high.any():
        return None
    last = int(np.flatnonzero(is_high)[-1])
    low = np.flatnonzero(~is_high[:last])
    first = int(low[-1]) + 1 if len(low) else 0
    high = _median(price[first : last + 1])
    return window[0] + first, window[0] + last + 1, high


def _late(series: Series, window: tuple[int, int, int], step: _Step, due: float) -> int:
    """How many bars from the ex-date on still have the factor of before."""
    after = series.ratio[window[1] : min(window[2], window[1] + WINDOW)]
    still = np.abs(after - step.before) < due / 4
    return int(np.argmin(still)) if not still.all() else 0


def steps(series: Series) -> Ints:
    """The bars at which the ratio to a plain second file steps up for good, without any list."""
    bars = np.flatnonzero(np.isfinite(series.ratio))
    ratio = series.ratio[bars]
    if len(ratio) < 2 * WINDOW:
        return bars[:0]
    levels = np.median(np.lib.stride_tricks.sliding_window_view(ratio, WINDOW), axis=1)
    size = levels[WINDOW:] - levels[:-WINDOW]
    noise = 1.4826 * float(np.median(np.abs(np.diff(ratio)))) / WINDOW**0.5
    found: list[int] = []
    left = np.where(size > max(STEPS_LEAST, SURE * noise), size, 0.0)
    while left.any():
        top = int(left.argmax())
        found.append(top + WINDOW)
        left[max(0, top - WINDOW + 1) : top + WINDOW] = 0
    return bars[np.sort(np.array(found, dtype=np.int64))]


def by_ticker(columns: dict[str, Any]) -> Iterator[tuple[str, slice]]:
    """Each ticker of columns ordered by ticker, and where its rows are."""
    names = columns["ticker"]
    if len(names):
        starts = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
            yield str(names[start]), slice(int(start), int(stop))
