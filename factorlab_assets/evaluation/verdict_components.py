"""The seven components of score_v1: what each looks at, its score, or why it cannot be computed.

Belongs here: scoring one component. Does not: weighing them (`verdict`), or making the series that
are looked at (`verdict_inputs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation import resample
from factorlab_assets.evaluation.sharpe import ANNUAL, AT_ONCE, LEAST, moments
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.verdict_settings import EQUAL_WEIGHT, VerdictSettings

Row = Mapping[str, object]
Series = Floats | str
"""Decimals per month, (T,), NaN = not known; or in words why there are none."""
FLAT = 1e-12
"""A variance below this share of the mean square is rounding."""


@dataclass(frozen=True)
class Inputs:
    """What score_v1 looks at; every series is over the strategy's own T months.

    metrics : the row of segment `full`; empty where there is none. robustness, inference,
    calendar_returns : rows of these tables. excess : net return − rf. active : net return less the
    equally weighted universe's. later, neutral : as excess, of the strategy with later signals, and
    without the class effect. classes : class or size tier -> excess return per unit of its weight.
    baselines : name -> active return. styles : name -> long-short return. over_balanced : net
    return less 60/40's. vintage : when prices were observed. capacity : dollars, and how it was
    reckoned or why it is NaN.
    """

    excess: Floats
    metrics: Row = field(default_factory=dict)
    robustness: Sequence[Row] = ()
    inference: Sequence[Row] = ()
    calendar_returns: Sequence[Row] = ()
    active: Series = "not given"
    later: Series = "not given"
    neutral: Series = "not given"
    classes: Mapping[str, Floats] | str = "not given"
    baselines: Mapping[str, Series] = field(default_factory=dict)
    styles: Mapping[str, Series] | str = "not given"
    over_balanced: Series = "not given"
    vintage: str = "not known"
    capacity: tuple[float, str] = (math.nan, "not given")


@dataclass(frozen=True)
class Part:
    """One component: what is scored with its interval, 0 to 100, and how; score NaN: why not."""

    note: str
    value: float = math.nan
    score: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class _Drawn:
    """How months are resampled, and when a ratio counts."""

    level: float
    draws: int
    seed: int
    least: float


def components(
    inputs: Inputs, settings: VerdictSettings, judged_by: EvaluationSettings
) -> dict[str, Part]:
    """Every component by its name, in the order of the file's weights; see `verdict.score_v1`."""
    drawn = judged_by.bootstrap
    by = _Drawn(judged_by.level, drawn.draws, drawn.seed, settings.least_denominator)
    return {
        "sharpe": _sharpe(inputs, settings),
        "delay_stability": _delay(inputs, settings, by),
        "neutralization_stability": _neutralization(inputs, by),
        "baseline_uniqueness": _baselines(inputs, settings),
        "class_consistency": _consistency(inputs, by),
        "positive_years": _years(inputs),
        "factor_uniqueness": _styles(inputs, settings),
    }


def _clipped(share: float) -> float:
    """A share of full marks as a score."""
    return min(max(100.0 * share, 0.0), 100.0)


def number(row: Row, key: str) -> float:
    """A figure of a row, NaN where it has none."""
    said = row.get(key)
    return float(said) if isinstance(said, int | float) else math.nan


def _sharpe(inputs: Inputs, settings: VerdictSettings) -> Part:
    n_months, value = number(inputs.metrics, "n_months"), number(inputs.metrics, "sharpe")
    if not n_months >= LEAST:
        months = 0 if math.isnan(n_months) else int(n_months)
        return Part(f"{months} months; a score takes at least {LEAST}")
    if math.isnan(value):
        return Part("the returns are constant: they have no Sharpe ratio")
    told = inferred(inputs, "raw", "sharpe_bootstrap")
    note = f"over cash; {settings.sharpe_full:g} scores 100"
    score = _clipped(value / settings.sharpe_full)
    return Part(note, value, score, number(told, "low"), number(told, "high"))


def inferred(inputs: Inputs, returns: str, statistic: str) -> Row:
    """A row of `inference`; empty where there is none."""
    wanted = (returns, statistic)
    own = (row for row in inputs.inference if (row["returns"], row["statistic"]) == wanted)
    return next(own, {})


def _delay(inputs: Inputs, settings: VerdictSettings, by: _Drawn) -> Part:
    found: list[Row] = []
    for months in (settings.delay_months, 0):
        setting = f"{months} months more"
        rows = [row for row in inputs.robustness if row["test"] == "delay"]
        named = [row for row in rows if row["setting"] == setting]
        if not named:
            silent = rows[0]["note"] if len(rows) == 1 else f"no delay of {setting} was tried"
            return Part(str(silent or "no delay was tried"))
        if math.isnan(number(named[0], "sharpe")):
            return Part(f"{setting}: {named[0]['note'] or 'no Sharpe ratio'}")
        found.append(named[0])
    late, own = (number(row, "sharpe") for row in found)
    what = f"Sharpe ratio with signals {settings.delay_months} months later {late:.2f}, as it is"
    if isinstance(inputs.later, str):
        return _ratio(late, own, what, by, inputs.later)
    both = _common(inputs.later, inputs.excess)[:, -int(number(found[0], "n_months")) :]
    return _ratio(late, own, what, by, both)


def _neutralization(inputs: Inputs, by: _Drawn) -> Part:
    if isinstance(inputs.neutral, str):
        return Part(inputs.neutral)
    both = _common(inputs.neutral, inputs.excess)
    if both.shape[1] < LEAST:
        return Part(f"{both.shape[1]} months in common; a score takes at least {LEAST}")
    after, before = (moments(both).sharpe * ANNUAL).tolist()
    if math.isnan(after) or math.isnan(before):
        return Part("constant returns have no Sharpe ratio")
    what = f"Sharpe ratio with signals demeaned within each class {after:.2f}, as it is"
    return _ratio(after, before, what, by, both)


def _common(*series: Floats) -> Floats:
    """The series (K, T) in the months that all of them have."""
    every = np.stack(series)
    return every[:, ~np.isnan(every).any(axis=0)]


def _ratio(above: float, below: float, what: str, by: _Drawn, both: Floats | str) -> Part:
    """above / below; `both` is the pair of series that its interval is of, or why there is none."""
    note = f"{what} {below:.2f}"
    if below <= by.least:
        return Part(f"{note}: a ratio over {by.least:g} or less scores 0", score=0.0)
    value = above / below
    if isinstance(both, str):
        return Part(f"{note}; no interval: {both}", value, _clipped(value))
    low, high, how = _interval(both, lambda sharpes: (sharpes[0], sharpes[1]), by)
    return Part(f"{note}; {how}", value, _clipped(value), low, high)


def _interval(
    series: Floats, sides: Callable[[Floats], tuple[Floats, Floats]], by: _Drawn
) -> tuple[float, float, str]:
    """Low and high of a ratio of annual Sharpe ratios of series (K, T), and how they were had.

    sides : Sharpe ratios (K, draws) -> numerators and denominators (draws,). The same months are
    drawn for every series; the mean block is the longest that any of them asks for.
    """
    known = [each[~np.isnan(each)] for each in series]
    if min(map(len, known)) < LEAST or np.isnan(moments(series).sharpe).any():
        return math.nan, math.nan, "no interval: too few months, or constant returns"
    block = max(resample.block_length(each) for each in known)
    rng = np.random.default_rng(by.seed)
    found = []
    for begin in range(0, by.draws, AT_ONCE):
        size = min(AT_ONCE, by.draws - begin)
        chosen = resample.stationary(series.shape[1], size, block, rng)
        found.append(_sharpes_of(series, chosen))
    above, below = sides(np.concatenate(found, axis=1))
    counts = below > by.least
    ratio = np.where(counts, above / np.where(counts, below, 1.0), 0.0)
    ratio = ratio[~np.isnan(above + below)]
    if len(ratio) < by.draws / 2:
        return math.nan, math.nan, "no interval: most resamples are constant"
    low, high = np.quantile(ratio, [0.5 * (1.0 - by.level), 0.5 * (1.0 + by.level)])
    how = f"interval of {by.level:g} from {by.draws} draws in blocks of {block:.1f} months"
    weak = int((~counts).sum())
    return float(low), float(high), how + (f", {weak} of them count as 0" if weak else "")


def _sharpes_of(series: Floats, chosen: resample.Ints) -> Floats:
    """Annual Sharpe ratios (K, draws) of series (K, T) in the months chosen (draws, T); NaN where
    those that a series has are fewer than two, or one and the same.

    How often a draw has each month is the same for all series: sums are products with that.
    """
    draws, months = chosen.shape
    places = (chosen + months * np.arange(draws)[:, np.newaxis]).ravel()
    times = (
        np.bincount(places, minlength=draws * months).reshape(draws, months).T.astype(np.float64)
    )
    known = ~np.isnan(series)
    middle = np.nanmean(series, axis=1, keepdims=True)
    apart = np.where(known, series - middle, 0.0)
    count, total, squares = (each @ times for each in (known.astype(np.float64), apart, apart**2))
    count = np.maximum(count, 1.0)
    variance = (squares - total**2 / count) / np.maximum(count - 1.0, 1.0)
    moves = (variance > FLAT * squares / count) & (count > 1.0)
    ratio = (middle + total / count) / np.sqrt(np.where(moves, variance, 1.0))
    return np.where(moves, ratio * ANNUAL, np.nan)


def _active(inputs: Inputs, settings: VerdictSettings) -> tuple[Series, bool]:
    """The active return, or why it can be compared with nothing; and whether that is because it
    hardly has any."""
    if isinstance(inputs.active, str):
        return inputs.active, False
    own = inputs.active[~np.isnan(inputs.active)]
    if len(own) < LEAST:
        known = f"the equally weighted universe is known in {len(own)} months"
        return f"{known}; a correlation takes at least {LEAST}", False
    strays = float(own.std(ddof=1)) * ANNUAL
    if strays <= settings.least_tracking_error_ann:
        return f"it strays {100.0 * strays:.2g} % a year from the equally weighted universe", True
    return inputs.active, False


def _baselines(inputs: Inputs, settings: VerdictSettings) -> Part:
    active, is_even = _active(inputs, settings)
    even = inputs.baselines.get(EQUAL_WEIGHT, "not among the baselines")
    if isinstance(active, str):
        if is_even and not isinstance(even, str):
            return Part(f"{active}: it is that universe", value=1.0, score=0.0)
        return Part(active)
    # Over the equally weighted universe that universe itself earns 0: nothing correlates with it.
    others = {
        name: each
        for name, each in inputs.baselines.items()
        if name != EQUAL_WEIGHT or isinstance(each, str)
    }
    return _unlike(active, others, settings.baseline_limit, "baseline")


def _styles(inputs: Inputs, settings: VerdictSettings) -> Part:
    active, _ = _active(inputs, settings)
    if isinstance(active, str):
        return Part(active)
    if isinstance(inputs.styles, str):
        return Part(inputs.styles)
    return _unlike(active, inputs.styles, settings.factor_limit, "style")


def _unlike(active: Floats, others: Mapping[str, Series], limit: float, kind: str) -> Part:
    """(1 − |ρ|/limit)·100 with the one most alike."""
    found: dict[str, float] = {}
    left: list[str] = []
    for name, other in others.items():
        said = other if isinstance(other, str) else _correlation(active, other)
        if isinstance(said, str):
            left.append(f"{name}: {said}")
        else:
            found[name] = said
    without = f"; left out: {', '.join(left)}" if left else ""
    if not found:
        return Part(f"there is no {kind} to compare with{without}")
    most = max(found, key=lambda name: abs(found[name]))
    value = found[most]
    note = f"correlation {value:.2f} with {most}, the {kind} most alike of {len(found)}{without}"
    return Part(note, value, _clipped(1.0 - abs(value) / limit))


def _correlation(one: Floats, other: Floats) -> float | str:
    """Of the months that both have; else why there is none."""
    both = _common(one, other)
    if both.shape[1] < LEAST:
        return f"{both.shape[1]} months in common"
    if np.isnan(moments(both).sharpe).any():
        return "constant returns"
    apart = both - both.mean(axis=1, keepdims=True)
    lengths = np.sqrt((apart**2).sum(axis=1))
    return float(np.clip(apart[0] @ apart[1] / lengths.prod(), -1.0, 1.0))


def _consistency(inputs: Inputs, by: _Drawn) -> Part:
    if isinstance(inputs.classes, str):
        return Part(inputs.classes)
    names = list(inputs.classes)
    every = {name: moments(inputs.classes[name]) for name in names}
    kept = [n for n in names if every[n].n >= LEAST and np.isfinite(every[n].sharpe)]
    left = [name for name in names if name not in kept]
    without = f"; left out, held too briefly or constant: {', '.join(left)}" if left else ""
    if len(kept) < 2:
        return Part(f"{len(kept)} of {len(names)} groups can be compared; it takes two{without}")
    sharpes = {name: float(every[name].sharpe) * ANNUAL for name in kept}
    worst, best = min(kept, key=sharpes.__getitem__), max(kept, key=sharpes.__getitem__)
    note = f"Sharpe ratio in {worst} {sharpes[worst]:.2f}, in {best} {sharpes[best]:.2f}{without}"
    if sharpes[best] <= by.least:
        return Part(f"{note}: a ratio over {by.least:g} or less scores 0", score=0.0)
    value = sharpes[worst] / sharpes[best]
    series = np.stack([inputs.classes[name] for name in kept])
    low, high, how = _interval(series, lambda drawn: (drawn.min(axis=0), drawn.max(axis=0)), by)
    return Part(f"{note}; {how}", value, _clipped(value), low, high)


def _years(inputs: Inputs) -> Part:
    full = [number(row, "net_return") for row in inputs.calendar_returns if row["is_full"]]
    full = [value for value in full if not math.isnan(value)]
    if not full:
        return Part("there is no full calendar year")
    positive = sum(value > 0.0 for value in full)
    share = positive / len(full)
    return Part(f"{positive} of {len(full)} full calendar years", share, _clipped(share))
