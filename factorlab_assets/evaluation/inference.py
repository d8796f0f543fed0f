"""What a result is worth after all that was tried: the rows of `inference`, and a sweep's columns.

Belongs here: which statistic is told of which returns, the verdict, and saying why one cannot be
had. Does not: the statistics (`sharpe`), or counting tries (`trials`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.sharpe import LEAST, Moments, moments
from factorlab_assets.evaluation.trials import OVER, Family
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.schemas import RETURNS

STATISTICS = (
    "sharpe_lo",
    "sharpe_bootstrap",
    "psr",
    "expected_max_sharpe",
    "dsr",
    "dsr_effective",
    "n_trials",
    "n_failed",
    "n_effective_correlation",
    "n_effective_clusters",
    "min_track_record",
    "haircut_bonferroni",
    "haircut_holm",
    "haircut_bhy",
)
"""Of every kind of returns; over the benchmark there is a `verdict` too."""
Row = dict[str, object]
_SHOWN = 3


@dataclass(frozen=True)
class _Judged:
    """One kind of a strategy's returns: excess (T,), its moments, and why it cannot be judged."""

    kind: str
    excess: Floats
    m: Moments
    about: str
    reason: str


def infer(
    dates: Dates,
    net: Floats,
    rf: Floats,
    benchmark: Floats,
    equal_weight: Floats,
    family: Family,
    settings: EvaluationSettings,
) -> list[Row]:
    """Rows of `inference` less month and strategy: `STATISTICS` of net − rf (raw), of net less the
    benchmark, and of net less the equally weighted universe; and the verdict.

    Ratios are annual, probabilities in [0, 1], min_track_record in months. psr is the probability
    that the true Sharpe ratio is above 0; dsr that it is, seen as the best of all N tries of the
    family (`expected_max_sharpe` is what such a best shows without skill); dsr_effective the same
    with as many tries as there are clusters of them. The haircut ratios adjust the p-value by those
    of the family. verdict is 1 where dsr over the benchmark reaches settings.level, else 0: over
    cash a rising universe makes every portfolio of it look skilled.

    Parameters
    ----------
    dates, net, rf, benchmark, equal_weight : (T,) the strategy's rows, decimals per month; NaN in
    the last two = not known. family : of the strategy's configuration, its returns on the same
    benchmark (`trials.family`). settings : level, and draws and seed of the bootstrap.

    Notes
    -----
    What cannot be had is NaN, with the reason in the note: under 12 months with both returns,
    constant returns, a capital that was lost, tries of which fewer than two can be compared. Months
    in which the benchmark is not known are left out. With N = 1, dsr is psr. Papers: see `sharpe`
    and `trials`.
    """
    rows: list[Row] = []
    ruined = _ruin(dates, net)
    for kind, less in zip(RETURNS, (rf, benchmark, equal_weight), strict=True):
        judged = _judged(kind, net - less, ruined)
        rows.extend({"returns": kind, **row} for row in _rows(judged, family, settings))
    return rows


def infer_many(
    net: Floats, rf: Floats, benchmark: Floats, family: Family, settings: EvaluationSettings
) -> dict[str, Floats]:
    """Columns (C,) of `sweep_metrics` for many strategies side by side.

    sharpe_low, sharpe_high (Lo 2002, as `sharpe.lo`), psr, dsr and min_track_record of net − rf;
    psr_benchmark and dsr_benchmark of net less the benchmark; haircut_sharpe by Holm, of net − rf.

    Parameters
    ----------
    net, rf : (C, T) decimals per month, NaN where a strategy has no row. benchmark : (T,), or
    (C, T) where each has its own; NaN = not known. family : that all of them belong to; its N and
    variances judge each, and every strategy is taken to be one of its trials.

    Notes
    -----
    NaN where `infer` has NaN. The haircut takes the strategies given for all tries with a known
    p-value, those of the family beside them as p = 1, so that it is never too small a cut.
    """
    ruined = np.any(net <= -1.0, axis=1, keepdims=True)
    raw = np.where(ruined, np.nan, net - rf)
    over = np.where(ruined, np.nan, net - benchmark)
    m, m_over = _long_enough(moments(raw)), _long_enough(moments(over))
    low, high = _intervals(raw, m, settings.level)
    n = max(family.n, int(np.isfinite(m.sharpe).sum()), 1)
    return {
        "sharpe_low": low,
        "sharpe_high": high,
        "psr": sharpe.probabilistic(m),
        "dsr": sharpe.deflated(m, n, family.variance["raw"]),
        "psr_benchmark": sharpe.probabilistic(m_over),
        "dsr_benchmark": sharpe.deflated(m_over, n, family.variance["benchmark"]),
        "min_track_record": sharpe.min_track_record(m, 0.0, settings.level),
        "haircut_sharpe": sharpe.haircut(m, n).holm,
    }


def _ruin(dates: Dates, net: Floats) -> str:
    """Why nothing can be said of returns that end with the capital; empty where they do not."""
    lost = np.flatnonzero(net <= -1.0)
    if not len(lost):
        return ""
    return f"the capital was lost in {dates[lost[0]].astype('datetime64[M]')}"


def _judged(kind: str, excess: Floats, ruined: str) -> _Judged:
    m = moments(excess)
    known, every = int(m.n), len(excess)
    over = f"over {OVER[kind]}, {known} months"
    over += f" ({every - known} more in which it is not known)" if known < every else ""
    if ruined:
        reason = ruined
    elif known == 0:
        reason = f"{OVER[kind]} is not known in any month"
    elif known < LEAST:
        reason = f"{known} months, at least {LEAST} are needed"
    elif not np.isfinite(m.sharpe):
        reason = f"the returns over {OVER[kind]} are constant"
    else:
        reason = ""
    return _Judged(kind, excess, m, over, reason)


def _rows(judged: _Judged, family: Family, settings: EvaluationSettings) -> Iterator[Row]:
    yield from _counts(family)
    if judged.reason:
        counted = {"n_trials", "n_failed", "n_effective_correlation", "n_effective_clusters"}
        wanted = (*STATISTICS, *(("verdict",) if judged.kind == "benchmark" else ()))
        yield from (_row(name, note=judged.reason) for name in wanted if name not in counted)
        return
    yield from _intervals_of(judged, settings)
    yield from _probabilities(judged, family, settings.level)
    yield from _haircuts(judged, family)


def _row(
    statistic: str,
    value: float = np.nan,
    note: str = "",
    low: float = np.nan,
    high: float = np.nan,
) -> Row:
    said: Row = {"statistic": statistic, "value": float(value)}
    return said | {"low": low, "high": high, "note": note}


def _counts(family: Family) -> Iterator[Row]:
    mean = family.average_correlation
    if np.isfinite(mean):
        by_average = f"{mean:.2f} is the average correlation of the active returns of all tries"
    else:
        by_average = "too few tries can be compared: none is taken off"
    grouped = int((family.cluster >= 0).sum())
    by_cluster = f"groups among the active returns of {grouped} tries: {len(family.groups)}"
    if grouped < family.n:
        by_cluster += f"; {family.n - grouped} without such returns count by themselves"
    by_cluster += f"; the largest: {_shown(family)}" if grouped > len(family.groups) else ""
    yield _row("n_trials", family.n, family.note)
    yield _row("n_failed", family.n_failed, "they count among the tries and have no Sharpe ratio")
    yield _row("n_effective_correlation", family.n_effective_correlation, by_average)
    yield _row("n_effective_clusters", family.n_effective_clusters, by_cluster)


def _shown(family: Family) -> str:
    """The first names of the largest groups."""
    said = []
    for names in (names for names in family.groups[:_SHOWN] if len(names) > 1):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        said.append(f"{', '.join(names[:_SHOWN])}{more}")
    return " | ".join(said)


def _intervals_of(judged: _Judged, settings: EvaluationSettings) -> Iterator[Row]:
    drawn = settings.bootstrap
    for name, said in (
        ("sharpe_lo", sharpe.lo(judged.excess, settings.level)),
        (
            "sharpe_bootstrap",
            sharpe.bootstrap(judged.excess, settings.level, drawn.draws, drawn.seed),
        ),
    ):
        yield _row(name, said.value, said.note, said.low, said.high)


def _probabilities(judged: _Judged, family: Family, level: float) -> Iterator[Row]:
    m, variance = judged.m, family.variance[judged.kind]
    psr, dsr = float(sharpe.probabilistic(m)), float(sharpe.deflated(m, family.n, variance))
    effective = float(sharpe.deflated(m, family.n_effective_clusters, variance))
    best = sharpe.expected_maximum(family.n, variance) * np.sqrt(MONTHS)
    length = float(sharpe.min_track_record(m, 0.0, level))
    tried = _tried(judged.kind, family)
    above = "that the true Sharpe ratio is above 0"
    groups = f"the best of {family.n_effective_clusters} groups of tries"
    needed = (
        f"until psr reaches {level:g}, should the months to come be like these"
        if np.isfinite(length)
        else "the Sharpe ratio is not above 0: no length would do"
    )
    yield _row("psr", psr, f"{above}; {judged.about}")
    yield _row("expected_max_sharpe", best, f"shown without skill by {tried}")
    yield _row("dsr", dsr, f"{above}, seen as {tried}; {judged.about}")
    yield _row("dsr_effective", effective, f"{above}, seen as {groups}; {judged.about}")
    yield _row("min_track_record", length, needed)
    if judged.kind == "benchmark":
        reached = np.nan if np.isnan(dsr) else float(dsr >= level)
        yield _row("verdict", reached, _verdict(judged, family, level, dsr))


def _tried(kind: str, family: Family) -> str:
    """What the tries are, in words that end in why they cannot be compared, if they cannot."""
    if family.n == 1:
        return "the only try"
    said = f"the best of {family.n} tries"
    known = int(np.isfinite(family.moments[kind].sharpe).sum())
    spread = family.variance[kind]
    if np.isfinite(spread):
        return f"{said}, the Sharpe ratios of {known} spread by {np.sqrt(spread * MONTHS):.2f}"
    months = family.months[kind]
    few = f"{months} common months, at least {LEAST} are needed"
    why = few if months < LEAST else f"{known} with a Sharpe ratio, at least 2 are needed"
    return f"{said}, whose spread is not known: {why}"


def _verdict(judged: _Judged, family: Family, level: float, dsr: float) -> str:
    """What was tried, how many, and what it takes."""
    first, tried = f"{family.note}. ", _tried(judged.kind, family)
    if np.isnan(dsr):
        return f"{first}No verdict: {tried}"
    per_year = float(judged.m.sharpe) * np.sqrt(MONTHS)
    takes = _takes(judged.m, family, level)
    needed = f"it takes {takes:.2f}" if np.isfinite(takes) else "no ratio would do"
    outcome = "passes" if dsr >= level else "fails"
    return (
        f"{first}Sharpe ratio {judged.about}: {per_year:.2f} a year; as {tried},"
        f" {needed} to be believed at {level:g}: it {outcome}, with {dsr:.3f}"
    )


def _takes(m: Moments, family: Family, level: float) -> float:
    """The annual Sharpe ratio at which dsr would reach `level`, skewness and kurtosis the same.

    With SR0 the expected maximum and z the quantile of `level`, SR solves
    (SR − SR0)²·(n − 1) = z²·(1 − γ3·SR + (γ4 − 1)/4·SR²), the root above SR0.
    """
    best = sharpe.expected_maximum(family.n, family.variance["benchmark"])
    z2, n = float(ndtri(level)) ** 2, float(m.n) - 1.0
    a = n - z2 * (float(m.kurtosis) - 1.0) / 4.0
    b = -2.0 * n * best + z2 * float(m.skewness)
    c = n * best**2 - z2
    inside = b * b - 4.0 * a * c
    if a <= 0.0 or inside < 0.0:
        return np.nan
    return float((-b + np.sqrt(inside)) / (2.0 * a) * np.sqrt(MONTHS))


def _haircuts(judged: _Judged, family: Family) -> Iterator[Row]:
    """The Sharpe ratio that would be as significant alone; the others' are on common months, its
    own on all of its months."""
    others = family.moments[judged.kind]
    every = Moments(*(np.array(part, dtype=np.float64) for part in vars(others).values()))
    for name, part in vars(judged.m).items():
        getattr(every, name)[family.own] = part
    cut = sharpe.haircut(every, family.n)
    known = int(np.isfinite(every.sharpe).sum())
    note = f"as significant alone as this is among {family.n} tries"
    note += f", of which {known} have a p-value" if known < family.n else ""
    for method in ("bonferroni", "holm", "bhy"):
        yield _row(f"haircut_{method}", float(getattr(cut, method)[family.own]), note)


def _long_enough(m: Moments) -> Moments:
    """Without a Sharpe ratio where there are fewer than 12 months."""
    return replace(m, sharpe=np.where(m.n >= LEAST, m.sharpe, np.nan))


def _intervals(excess: Floats, m: Moments, level: float) -> tuple[Floats, Floats]:
    """Low and high of `sharpe.lo` for each series (C, T) at once; NaN where it has none."""
    there = ~np.isnan(excess)
    packed = np.take_along_axis(excess, np.argsort(~there, axis=1, kind="stable"), axis=1)
    n = np.maximum(m.n, 1.0)
    part = np.arange(excess.shape[1]) < m.n[:, None]
    held = np.where(part, packed, 0.0)
    apart = np.where(part, held - held.sum(axis=1, keepdims=True) / n[:, None], 0.0)
    variance = (apart**2).sum(axis=1) / n
    known = np.isfinite(m.sharpe)
    apart /= np.sqrt(np.where(known, variance, 1.0))[:, None]
    ratio = np.where(known, m.sharpe, 0.0)
    plain = ratio * np.sqrt(n / np.maximum(n - 1.0, 1.0))  # its σ² has the divisor n
    influence = np.where(part, apart - 0.5 * plain[:, None] * (apart**2 - 1.0), 0.0)
    lags = (4.0 * (n / 100.0) ** (2.0 / 9.0)).astype(np.intp)
    long_run = (influence**2).sum(axis=1) / n
    for lag in range(1, int(lags.max(initial=0)) + 1):
        together = (influence[:, lag:] * influence[:, :-lag]).sum(axis=1) / n
        long_run += 2.0 * np.maximum(1.0 - lag / (lags + 1.0), 0.0) * together
    known &= long_run > NOISE
    se = np.sqrt(MONTHS * np.where(known, long_run, np.nan) / n)
    value, reach = ratio * np.sqrt(MONTHS), float(ndtri(0.5 * (1.0 + level))) * se
    return value - reach, value + reach
