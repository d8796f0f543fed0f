"""The verdict file: weights, limits and thresholds of `score_v1`, the same for every strategy.

Belongs here: what the file may say. Does not: scoring (`evaluation.verdict`), or the level, seed
and draws, which are those of every judgement (`evaluation_settings`).
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from factorlab_assets import parsing
from factorlab_assets.model import Model, Name, Number, Whole

Share = Annotated[Number, Field(ge=0.0, le=1.0)]
Above = Annotated[Number, Field(gt=0.0)]
Score = Annotated[Number, Field(ge=0.0, le=100.0)]
EQUAL_WEIGHT = "equal_weight"
"""The baseline that is no strategy file: every member of the strategy's own universe."""


class Weights(Model):
    """What each component counts; together 1."""

    sharpe: Share = 0.25
    delay_stability: Share = 0.15
    neutralization_stability: Share = 0.15
    baseline_uniqueness: Share = 0.15
    class_consistency: Share = 0.10
    positive_years: Share = 0.10
    factor_uniqueness: Share = 0.10

    @model_validator(mode="after")
    def _whole(self) -> Weights:
        total = math.fsum(self.model_dump().values())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"weights that sum to 1, not {total:g}")
        return self


class Grades(Model):
    """The least composite of each letter; below the last it is F."""

    A: Score = 80.0
    B: Score = 65.0
    C: Score = 50.0
    D: Score = 35.0

    @model_validator(mode="after")
    def _falling(self) -> Grades:
        if any(high <= low for high, low in pairwise(self.model_dump().values())):
            raise ValueError("each letter takes less than the one before it")
        return self


class Lights(Model):
    """The least composite of green (which takes the deflated Sharpe probability too) and amber."""

    green: Score = 65.0
    amber: Score = 35.0

    @model_validator(mode="after")
    def _falling(self) -> Lights:
        if self.green <= self.amber:
            raise ValueError("green takes more than amber")
        return self


class Capacity(Model):
    """At which cost capacity is told.

    cost_bps_ann : impact, of capital per year. impact : factor of the square-root law where the
    strategy states none. months : the last so many are looked at. least_known : share of what is
    traded whose volume and volatility have to be known.
    """

    cost_bps_ann: Annotated[Number, Field(gt=0.0, le=10_000.0)] = 50.0
    impact: Annotated[Number, Field(gt=0.0, le=10.0)] = 1.0
    months: Annotated[Whole, Field(ge=12, le=600)] = 36
    least_known: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.9


class VerdictSettings(Model):
    """The whole file.

    sharpe_full : Sharpe ratio that scores 100. delay_months : how much later signals are in
    delay_stability, one of `robustness.delays` in the evaluation file. least_denominator : a ratio
    over no more than this scores 0. baseline_limit, factor_limit : |correlation| that scores 0.
    least_tracking_error_ann : a strategy that strays less from its equally weighted universe is
    that universe. least_weight : of the components that can be computed, for a grade.
    baselines : strategies, or equal_weight.
    """

    weights: Weights = Weights()
    sharpe_full: Above = 2.0
    delay_months: Annotated[Whole, Field(ge=1, le=12)] = 2
    least_denominator: Above = 0.1
    baseline_limit: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.5
    factor_limit: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.3
    least_tracking_error_ann: Share = 0.005
    least_weight: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.8
    grades: Grades = Grades()
    lights: Lights = Lights()
    baselines: Annotated[tuple[Name, ...], Field(min_length=1)] = (
        EQUAL_WEIGHT,
        "sixty_forty",
        "trend_12m",
        "xsmom_12_1",
        "low_vol",
    )
    capacity: Capacity = Capacity()

    @model_validator(mode="after")
    def _each_once(self) -> VerdictSettings:
        if len(set(self.baselines)) < len(self.baselines):
            raise ValueError("baselines names one of them twice")
        return self

    @property
    def fingerprint(self) -> str:
        """12 hex digits over all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def load_verdict(path: Path) -> VerdictSettings:
    """What the file says; the defaults where there is none.

    Raises
    ------
    FactorLabError : the file cannot be read or says something not allowed.
    """
    if not path.exists():
        return VerdictSettings()
    do = "correct it; the shipped data/verdict.yaml has every key"
    return parsing.read_yaml(path, VerdictSettings, do)
