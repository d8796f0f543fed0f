"""score_v1: what a result is worth, as a composite, a grade and a light with reasons in words.

Belongs here: weighing the components and saying why. Does not: scoring each (`verdict_components`),
or making the series that are looked at (`verdict_inputs`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from factorlab_assets.core.performance import MONTHS
from factorlab_assets.evaluation.exposures import lags_of, newey_west
from factorlab_assets.evaluation.sharpe import LEAST
from factorlab_assets.evaluation.verdict_components import (
    Inputs,
    Part,
    Series,
    components,
    inferred,
    number,
)
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.verdict_settings import Grades, VerdictSettings

TOTAL, NO_GRADE = "total", "none"
ROUNDING = 1e-9
"""A composite this little below a threshold has reached it."""


def score_v1(
    inputs: Inputs,
    settings: VerdictSettings | None = None,
    judged_by: EvaluationSettings | None = None,
) -> list[dict[str, object]]:
    """Rows of `verdict` less month and strategy: the seven components and `total`.

    Each score is held between 0 and 100, by the limits of the shipped file:

    - sharpe — SR/2·100, with the bootstrap interval of `inference`.
    - delay_stability — SR with signals two months later / SR as it is, ·100: robustness rows.
    - neutralization_stability — SR of the strategy whose factors' signals are demeaned within their
      asset class / SR as it is, over the months of both, ·100.
    - baseline_uniqueness — (1 − |ρ|/0.5)·100, ρ the correlation with the baseline most alike, both
      as active returns over the equally weighted universe: over cash every long-only portfolio of a
      universe correlates with every other, whatever it does. A strategy that hardly strays from
      that universe is that universe: ρ = 1. Its own baseline is left out.
    - class_consistency — smallest / largest SR of what was earned in each class per unit of its
      weight, ·100.
    - positive_years — share of full calendar years with a return above 0, ·100.
    - factor_uniqueness — (1 − |ρ|/0.3)·100, ρ of the active return with the style most alike. A
      style that the strategy itself uses counts: who sells nothing but a known style is told so.

    A ratio over 0.1 or less scores 0. The intervals of ratios are percentiles of the stationary
    bootstrap, the same months drawn for both sides and the rule of 0.1 applied to each draw. The
    composite is Σ weight_used·score with weight_used = weight / Σ weights of what can be computed;
    under 80 % of the weight there is no grade. Green takes the composite and the deflated Sharpe
    probability over the benchmark; red is a composite below amber's, or a lost capital.

    Parameters
    ----------
    settings, judged_by : None is the defaults; level, draws and seed are `judged_by`'s.

    Returns
    -------
    The composite is the score of `total`; its note is the light's reasons, then trials, data
    vintage, price basis, excess over 60/40 with Newey and West's t, and capacity.

    References: Politis and Romano (1994), doi:10.1080/01621459.1994.10476870; Bailey and López de
    Prado (2014), doi:10.3905/jpm.2014.40.5.094; Newey and West (1987), doi:10.2307/1913610.
    """
    settings = VerdictSettings() if settings is None else settings
    judged_by = EvaluationSettings() if judged_by is None else judged_by
    parts = components(inputs, settings, judged_by)
    weights: dict[str, float] = settings.weights.model_dump()
    used = redistributed(weights, {name: part.score for name, part in parts.items()})
    rows = [
        {"component": name, "value": part.value, "low": part.low, "high": part.high}
        | {"score": part.score, "weight": weights[name], "weight_used": used[name]}
        | {"grade": "", "light": "", "note": part.note}
        for name, part in parts.items()
    ]
    return [*rows, _total(inputs, parts, settings, judged_by.level)]


def redistributed(weights: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, float]:
    """The weights with those of scores that are NaN spread over the others in proportion; all 0
    where nothing with a weight is known.

    >>> redistributed({"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 1.0, "b": 2.0, "c": float("nan")})
    {'a': 0.6666666666666666, 'b': 0.3333333333333333, 'c': 0.0}
    """
    kept = {name: 0.0 if math.isnan(scores[name]) else weight for name, weight in weights.items()}
    whole = math.fsum(kept.values())
    return {name: weight / whole if whole > 0.0 else 0.0 for name, weight in kept.items()}


def composite(weights: Mapping[str, float], scores: Mapping[str, float]) -> float:
    """The weighted mean of the scores that are known, 0 to 100; NaN where none with a weight is."""
    used = redistributed(weights, scores)
    counted = {name: scores[name] for name, weight in used.items() if weight > 0.0}
    if not counted:
        return math.nan
    mean = math.fsum(used[name] * score for name, score in counted.items())
    # Weights sum to 1 but for rounding: a mean of equal scores is that score.
    return min(max(mean, min(counted.values())), max(counted.values()))


def grade(value: float, grades: Grades) -> str:
    """The letter of a composite."""
    letters: dict[str, float] = grades.model_dump()
    reached = (letter for letter, least in letters.items() if value >= least - ROUNDING)
    return next(reached, "F")


def _total(
    inputs: Inputs, parts: Mapping[str, Part], settings: VerdictSettings, level: float
) -> dict[str, object]:
    weights: dict[str, float] = settings.weights.model_dump()
    scores = {name: part.score for name, part in parts.items()}
    value = composite(weights, scores)
    missing = [name for name, score in scores.items() if math.isnan(score)]
    known = math.fsum(weight for name, weight in weights.items() if name not in missing)
    is_graded = not math.isnan(value) and known >= settings.least_weight - ROUNDING
    light, reasons = _light(inputs, value, is_graded, settings, level)
    if missing:
        least = "" if is_graded else f", a grade takes {settings.least_weight:.0%}"
        named = ", ".join(name.replace("_", " ") for name in missing)
        reasons.append(f"{known:.0%} of the weight could be computed{least}; without {named}")
    said: dict[str, object] = {"component": TOTAL}
    said |= dict.fromkeys(("value", "low", "high"), math.nan)
    said |= {"score": value, "weight": 1.0, "weight_used": 0.0 if math.isnan(value) else 1.0}
    said |= {"grade": grade(value, settings.grades) if is_graded else NO_GRADE, "light": light}
    return said | {"note": "; ".join([*reasons, *_facts(inputs, settings)])}


def _light(
    inputs: Inputs, value: float, is_graded: bool, settings: VerdictSettings, level: float
) -> tuple[str, list[str]]:
    """The light, and in words why it is not another."""
    green, amber = settings.lights.green, settings.lights.amber
    is_green, is_red = value >= green - ROUNDING, value < amber - ROUNDING
    if math.isnan(value):
        whole = "no component could be computed"
    elif is_green or is_red:
        side = f"at least {green:g}" if is_green else f"below {amber:g}"
        whole = f"composite {value:.1f} of 100, {side}"
    else:
        whole = f"composite {value:.1f} of 100, at least {amber:g} but below {green:g}"
    told = inferred(inputs, "benchmark", "dsr")
    dsr = number(told, "value")
    gate = "deflated Sharpe probability over the benchmark"
    if math.isnan(dsr):
        gate += f" not known: {told.get('note') or 'not computed'}"
    else:
        gate += f" {dsr:.3f}, {'at least' if dsr >= level else 'below'} {level:g}"
    reasons = [whole, gate]
    if number(inputs.metrics, "max_drawdown") <= -1.0:
        return "red", ["the capital was lost", *reasons]
    if is_red:
        return "red", reasons
    return ("green" if is_graded and is_green and dsr >= level else "amber"), reasons


def _facts(inputs: Inputs, settings: VerdictSettings) -> list[str]:
    """What stands beside the verdict, in words."""
    trials = number(inferred(inputs, "benchmark", "n_trials"), "value")
    counted = "not counted" if math.isnan(trials) else f"N = {trials:.0f}"
    dollars, how = inputs.capacity
    cost = f"{settings.capacity.cost_bps_ann:g} bps a year"
    size = f"not known: {how}" if math.isnan(dollars) else f"${_rough(dollars)}, {how}"
    return [
        f"trials: {counted}",
        f"data: {inputs.vintage}",
        f"price basis: {inputs.metrics.get('price_basis', 'not known')}",
        f"excess over 60/40: {_over_balanced(inputs.over_balanced)}",
        f"capacity at {cost}: {size}",
    ]


def _rough(dollars: float) -> str:
    """Two digits of it, with thousands separated: a square-root law bears no more.

    >>> _rough(12_345_679.0), _rough(0.4)
    ('12,000,000', '0')
    """
    if dollars < 1.0:
        return "0"
    return f"{round(dollars, 1 - math.floor(math.log10(dollars))):,.0f}"


def _over_balanced(over: Series) -> str:
    if isinstance(over, str):
        return f"not known: {over}"
    own = over[~np.isnan(over)]
    if len(own) < LEAST:
        return f"not known: {len(own)} months, at least {LEAST} are needed"
    t = float(newey_west(np.ones((len(own), 1)), own, lags_of(len(own))).t[0])
    said = f"{100.0 * MONTHS * own.mean():+.1f} % a year"
    return f"{said}, constant" if math.isnan(t) else f"{said}, t = {t:.2f}"
