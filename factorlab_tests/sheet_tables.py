"""What is told of an experiment beside its results: the rows of every evaluation table.

Belongs here: which pure function makes each table from what. Does not: results or panels
(`sheet_runs`), or sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from factorlab_assets.core import research, tables
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.trial_rows import of_backtests
from factorlab_assets.evaluation import (
    bracket,
    inference,
    regimes,
    robustness,
    trials,
    verdict,
    verdict_inputs,
)
from factorlab_assets.evaluation.contributions import contributions, notable_months
from factorlab_assets.evaluation.diagnostics import diagnostics
from factorlab_assets.evaluation.exposures import exposures, style_returns
from factorlab_assets.evaluation.performance_tables import calendar_years, drawdowns, rolling
from factorlab_assets.evaluation_settings import EvaluationSettings, load_evaluation
from factorlab_assets.strategy import Resolved
from factorlab_assets.verdict_settings import VerdictSettings, load_verdict

DATA = Path(__file__).resolve().parents[1] / "data"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """Who runs on what.

    others : more tries of the same idea. baselines : of the verdict. offsets : the market on months
    that end so many sessions early. merge : small class -> larger. skipped : table -> why it is
    left out. config : the strategy file's text.
    """

    resolved: Resolved
    market: Panel
    daily: DailyPrices | None = None
    others: Sequence[Resolved] = ()
    baselines: Mapping[str, Resolved] = field(default_factory=dict)
    offsets: Callable[[int], Panel] | None = None
    asset_classes: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    config: str = "universe: all\n"


@cache
def settings() -> EvaluationSettings:
    """The shipped evaluation file."""
    return load_evaluation(DATA / "evaluation.yaml")


@cache
def verdict_settings() -> VerdictSettings:
    """The shipped verdict file."""
    return load_verdict(DATA / "verdict.yaml")


def evaluated(
    case: Case, result: research.Result, measured: Sequence[Row]
) -> dict[str, Sequence[Row]]:
    """Table -> its rows, less month and strategy, of all that is not skipped."""
    book, backtest, panel = result.book, result.backtest, result.panel
    classified = case.resolved.model_copy(update={"asset_classes": dict(case.asset_classes)})
    on = classified, panel, book, backtest
    who = None if result.members is None else result.members.allowed
    at = np.isin(case.market.dates, backtest.dates)
    styles = style_returns(panel, who)
    even = _earned(case, "equal_weight")[at]
    makers: dict[str, Callable[[], Sequence[Row]]] = {
        "inference": lambda: _inference(case, result, even),
        "regime_metrics": lambda: regimes.regime_metrics(
            case.resolved, case.market, backtest, settings().regimes, price_basis="synthetic"
        ),
        "feasibility": lambda: _feasibility(case, result),
        "robustness": lambda: robustness.robustness(
            case.resolved,
            case.market,
            book,
            backtest,
            settings().robustness,
            case.offsets or (lambda _: case.market),
        ),
        "rolling_metrics": lambda: rolling(backtest, _earned(case, "SPY")[at]),
        "calendar_returns": lambda: calendar_years(backtest),
        "drawdowns": lambda: drawdowns(backtest),
        "contributions": lambda: contributions(*on),
        "notable_months": lambda: notable_months(*on),
        "exposures": lambda: exposures(
            backtest,
            case.market,
            case.asset_classes,
            styles,
            benchmark=case.resolved.strategy.benchmark,
        ),
        "factor_diagnostics": lambda: diagnostics(result.signals, result.score, panel, who),
    }
    found = {table: make() for table, make in makers.items() if table not in case.skipped}
    if "verdict" not in case.skipped:
        found["verdict"] = _verdict(case, result, found | {"metrics": measured}, even, styles)
    return found


def _inference(case: Case, result: research.Result, even: Floats) -> Sequence[Row]:
    backtest = result.backtest
    series = backtest.net_return, backtest.rf, backtest.benchmark_return, even
    return inference.infer(backtest.dates, *series, _family(case, result, even), settings())


def _feasibility(case: Case, result: research.Result) -> Sequence[Row]:
    return bracket.bracket(
        case.resolved,
        case.market,
        result.book,
        result.backtest,
        settings().feasibility,
        who=result.members,
        score=result.score if case.resolved.strategy.factors else None,
    ).rows


def _verdict(
    case: Case,
    result: research.Result,
    rows: Mapping[str, Sequence[Row]],
    even: Floats,
    styles: Mapping[str, Floats],
) -> Sequence[Row]:
    inputs = verdict_inputs.gather(
        case.resolved,
        case.market,
        result.book,
        result.backtest,
        verdict_settings(),
        rows,
        equal_weight=even,
        strategies=case.baselines,
        styles=styles,
        classes=case.asset_classes,
        merge=case.merge,
        vintage="observed 2024-06-03, backfilled",
    )
    return verdict.score_v1(inputs, verdict_settings(), settings())


def _earned(case: Case, benchmark: str) -> Floats:
    """What a benchmark earned in the market's months."""
    said = case.resolved.strategy.model_copy(update={"benchmark": benchmark})
    other = case.resolved.model_copy(update={"strategy": said, "benchmark": None})
    return research.benchmark_returns(other, case.market)


def _family(case: Case, result: research.Result, even: Floats) -> trials.Family:
    """The strategy and its other tries, over its own months."""
    tried = {case.resolved.name: (case.resolved, result.backtest)}
    for other in case.others:
        tried[other.name] = (other, research.run(other, case.market).backtest)
    rows = of_backtests(
        tables.backtest_table((name, backtest) for name, (_, backtest) in tried.items()),
        {name: name for name in tried},
    )
    listed = [
        trials.Trial(one.config_hash, name, "", name, "done", trials.universe_of(one.config))
        for name, (one, _) in tried.items()
    ]
    placed = trials.Trials.of(listed, rows)
    months = placed.dates.astype("datetime64[M]")
    row = np.searchsorted(months, result.backtest.dates.astype("datetime64[M]"))
    beside = np.full((2, len(months)), np.nan)
    beside[:, row] = result.backtest.benchmark_return, even
    return trials.family(case.resolved.config_hash, placed, *beside)
