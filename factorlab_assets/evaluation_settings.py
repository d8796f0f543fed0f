"""The evaluation file: how results are judged, the same for every strategy.

Belongs here: regimes, seeds and numbers of draws. Does not: what decides a strategy's numbers, or
computing any judgement (`evaluation`).
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from factorlab_assets import parsing
from factorlab_assets.model import Model, Name, Number, Ticker, Whole

Seed = Annotated[Whole, Field(ge=0)]
UNKNOWN = "unknown"
"""What a regime calls months whose label is not known."""
_LABELS = {
    "average": ("at or below its average", "above its average"),
    "volatility": ("calm", "middling", "rough"),
    "trend": ("fallen or unchanged", "risen"),
}


class Regime(Model):
    """Labels of months, known at the month-end before them.

    ticker : whose closes decide; None is the strategy's benchmark. rule : `average` above or below
    its mean over `months` month-ends; `drawdown` by how far it is below its running maximum, cut at
    `edges`; `volatility` in which third of its own past its trailing volatility over `months` lies;
    `trend` whether it rose or fell over `months`. names : what the labels are called.
    """

    rule: Literal["average", "drawdown", "volatility", "trend"]
    ticker: Ticker | None = None
    months: Annotated[Whole, Field(ge=2, le=120)] = 10
    edges: tuple[Annotated[Number, Field(lt=0.0, gt=-1.0)], ...] = (-0.05, -0.2)
    names: tuple[Name, ...] = ()

    @property
    def count(self) -> int:
        """How many labels it has."""
        return {"volatility": 3, "drawdown": len(self.edges) + 1}.get(self.rule, 2)

    @property
    def labels(self) -> tuple[str, ...]:
        """What its labels are called, in the order of `names`.

        >>> Regime(rule="drawdown", edges=(-0.1,)).labels
        ('less than 10 % below its high', 'at least 10 % below its high')
        """
        if self.names:
            return self.names
        if self.rule == "drawdown":
            depths = [f"{-100.0 * edge:.6g} %" for edge in self.edges]
            between = [f"{low} to {high} below its high" for low, high in pairwise(depths)]
            first, last = f"less than {depths[0]}", f"at least {depths[-1]}"
            return (f"{first} below its high", *between, f"{last} below its high")
        return _LABELS[self.rule]

    @model_validator(mode="after")
    def _consistent(self) -> Regime:
        if not self.edges or list(self.edges) != sorted(set(self.edges), reverse=True):
            raise ValueError("edges fall from −0 towards −1, each once, at least one")
        idle = "months" if self.rule == "drawdown" else "edges"
        if getattr(self, idle) != type(self).model_fields[idle].default:
            raise ValueError(f"rule: {self.rule} does not look at {idle}; leave them out")
        if self.names and len(self.names) != self.count:
            raise ValueError(f"{self.count} names, one per label, or none")
        if len(set(self.labels)) < self.count or UNKNOWN in self.names:
            raise ValueError(f"every label has a name of its own, and none is {UNKNOWN!r}")
        return self


class Bootstrap(Model):
    """Stationary bootstrap of the Sharpe ratio."""

    draws: Annotated[Whole, Field(ge=100, le=100_000)] = 2_000
    seed: Seed = 0


class Feasibility(Model):
    """Random portfolios beside the strategy."""

    paths: Annotated[Whole, Field(ge=10_000, le=1_000_000)] = 10_000
    seed: Seed = 0


Cost = Annotated[Number, Field(ge=0.0, le=10_000.0)]


class Robustness(Model):
    """How a strategy is varied.

    costs_bps : of turnover. delays : further months that every signal waits. rebalance_days : at
    most so many trading days are tried, the month's last and those before it. most_tickers : so
    many are left out in turn, the heaviest first.
    """

    costs_bps: tuple[Cost, ...] = (0.0, 5.0, 10.0, 20.0, 50.0, 100.0)
    delays: tuple[Annotated[Whole, Field(ge=0, le=12)], ...] = (0, 1, 2, 3)
    rebalance_days: Annotated[Whole, Field(ge=1, le=20)] = 20
    most_tickers: Annotated[Whole, Field(ge=1)] = 50

    @model_validator(mode="after")
    def _each_once(self) -> Robustness:
        for key in ("costs_bps", "delays"):
            said = getattr(self, key)
            if list(said) != sorted(set(said)):
                raise ValueError(f"{key} go up, each once")
        return self


class EvaluationSettings(Model):
    """The whole file. level : of every confidence interval and test."""

    level: Annotated[Number, Field(gt=0.5, lt=1.0)] = 0.95
    bootstrap: Bootstrap = Bootstrap()
    feasibility: Feasibility = Feasibility()
    robustness: Robustness = Robustness()
    regimes: dict[Name, Regime] = {}

    @property
    def fingerprint(self) -> str:
        """12 hex digits over all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def load_evaluation(path: Path) -> EvaluationSettings:
    """What the file says; the defaults where there is none.

    Raises
    ------
    FactorLabError : the file cannot be read or says something not allowed.
    """
    if not path.exists():
        return EvaluationSettings()
    return parsing.read_yaml(
        path, EvaluationSettings, "correct it; docs/evaluation.md has every key"
    )
