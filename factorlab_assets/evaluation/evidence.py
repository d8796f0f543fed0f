"""What a sweep's best is worth: every judgement of a sweep, in the rows of `sweep_evidence`.

Belongs here: on which months each judgement is made, and of which combinations. Does not: the
judgements (`overfitting`, `snooping`, `splits`), or the combinations' own figures (`inference`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from factorlab_assets.core import factors
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation import sharpe
from factorlab_assets.evaluation.overfitting import cscv
from factorlab_assets.evaluation.plateau import neighbours
from factorlab_assets.evaluation.snooping import snooping
from factorlab_assets.evaluation.splits import Earned, cross_validate
from factorlab_assets.evaluation_settings import EvaluationSettings
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_signals import Delay, Factor, Smooth, Transform
from factorlab_assets.strategy_sweep import Sweep

Row = dict[str, Any]
YEAR = 12


def evidence(
    sweep: Sweep,
    rows: Sequence[Mapping[str, Any]],
    dates: Dates,
    earned: Earned,
    settings: EvaluationSettings,
    *,
    lookback: int,
    holding: int,
) -> list[Row]:
    """Rows of `sweep_evidence`, less month and strategy, but for the walks forward.

    raw: best (its annual Sharpe ratio; the note names it), neighbours (the mean of those one step
    away from it, low and high), pbo and its kin, and cross-validation. benchmark: pbo and its kin,
    Hansen's SPA, White's reality check and StepM.

    Parameters
    ----------
    rows : of `sweep_metrics`, of the combinations that are done. earned : what they earned (C, T).
    lookback, holding : of the combinations, months (see `memory`).
    """
    window = np.isfinite(earned.net).all(axis=0)
    months = np.flatnonzero(window)
    shared = earned.rows(months)
    raw, active = shared.net - shared.rf, shared.net - shared.benchmark
    about = _window(dates[months], int((~window).sum()))
    names = [str(row["combination"]) for row in rows]
    found = [_best(rows, names), _neighbours(rows)]
    found += cscv(raw, sweep.blocks, holding).rows()
    drawn = settings.bootstrap
    how = sweep.cross_validation
    by = sweep.walk_forward.choose_by
    found += cross_validate(earned, how, lookback=lookback, holding=holding, choose_by=by).rows()
    over = cscv(active, sweep.blocks, holding).rows()
    over += snooping(active, settings.level, drawn.draws, drawn.seed).rows(names)
    said = [{**row, "returns": "raw"} for row in found]
    said += [{**row, "returns": "benchmark"} for row in over]
    return [{**row, "note": f"{row['note']}; {about}".lstrip("; ")} for row in said]


def walked(
    scheme: str, net: Floats, rf: Floats, benchmark: Floats, note: str, level: float
) -> list[Row]:
    """Rows of `sweep_evidence` on one walk forward: the annual Sharpe ratio of what it earned, and
    of that over the benchmark, with Lo's interval."""
    found = []
    for kind, less in (("raw", rf), ("benchmark", benchmark)):
        said = sharpe.lo(net - less, level)
        row = {"value": said.value, "low": said.low, "high": said.high}
        told = "; ".join(filter(None, [note, said.note]))
        name = f"walk_forward_{scheme}"
        found.append({"returns": kind, "statistic": name, **row, "note": told})
    return found


def not_walked(scheme: str, reason: str) -> list[Row]:
    """Rows like those of `walked` where there was no walk."""
    row = _row(f"walk_forward_{scheme}", np.nan, reason)
    return [{**row, "returns": kind} for kind in ("raw", "benchmark")]


def memory(strategies: Sequence[Resolved]) -> tuple[int, int]:
    """How many months the longest factor of any of them looks back, its delay and transforms
    included, and how many a weight is held at most."""
    lookback, holding = 0, 1
    for said in (each.strategy for each in strategies):
        for factor in said.factors:
            own = [each for each in said.factors if each.key in (factor.key, *factor.others)]
            lookback = max(lookback, max(map(_first, own)) + _further_back(factor.transforms))
        schedule = said.schedule
        apart = _most_apart(schedule.months) if schedule.months else schedule.every_months
        holding = max(holding, apart, schedule.tranches)
    return lookback, holding


def _first(factor: Factor) -> int:
    """The oldest month-end that a factor's raw values look at, months back, delay included."""
    params = factors.check(factor.name, factor.params)
    return factors.REGISTRY[factor.name].first(params) + factor.lag


def _further_back(transforms: Sequence[Transform]) -> int:
    """How many months more its transforms look back."""
    delayed = sum(each.months for each in transforms if isinstance(each, Delay))
    return delayed + sum(each.months - 1 for each in transforms if isinstance(each, Smooth))


def _most_apart(months: Sequence[int]) -> int:
    """The longest way between two of these months of the year.

    >>> _most_apart((1, 7)), _most_apart((12,)), _most_apart((1, 2, 3))
    (6, 12, 10)
    """
    around = [*sorted(months), min(months) + YEAR]
    return max(later - earlier for earlier, later in pairwise(around))


def _window(dates: Dates, left_out: int) -> str:
    if not len(dates):
        return "no month that all combinations have"
    more = f", {left_out} other months left out" if left_out else ""
    return f"{len(dates)} months from {dates[0]} to {dates[-1]}{more}"


def _best(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Row:
    best, _ = neighbours(rows, "sharpe")
    if best < 0:
        return _row("best", np.nan, "no combination has a Sharpe ratio")
    return _row("best", float(rows[best]["sharpe"]), f"{names[best]}, of {len(rows)}")


def _neighbours(rows: Sequence[Mapping[str, Any]]) -> Row:
    best, around = neighbours(rows, "sharpe")
    if best < 0 or not around:
        return _row("neighbours", np.nan, "the best has no neighbour in the grid")
    note = f"mean of the {len(around)} combinations one step away from the best; a plateau is close"
    row = _row("neighbours", float(np.mean(around)), f"{note} to it, a spike stands alone")
    return row | {"low": min(around), "high": max(around)}


def _row(statistic: str, value: float, note: str) -> Row:
    return {"statistic": statistic, "value": value, "low": np.nan, "high": np.nan, "note": note}
