"""A month's library as the library page shows it: strategies, a sweep, a universe, refreshes.

Belongs here: such a month, invented. Does not: what is expected of the page.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import metrics
from factorlab_assets.evaluation.frontier import frontier
from factorlab_assets.reports.library_page import Experiment, Library, Refresh, Verdict

MONTHS = 240
STRATEGIES = ("trend", "dual_momentum", "low_vol", "risk_parity", "reversal", "carry_blend")
ENDS = month_ends("2004-06", "2024-05")


def sample(count: int) -> Library:
    """A month with `count` experiments, the first few of them strategies with a history."""
    rng = np.random.default_rng(11)
    market = rng.normal(0.006, 0.035, MONTHS)
    experiments = [_experiment(i, market, rng) for i in range(count)]
    history = {
        one.name: [_refresh(month, one, 0.02 * month) for month in range(1, 6)]
        for one in experiments
        if not one.sweep
    }
    betas = np.linspace(-0.2, 1.3, 10)
    own = rng.normal(0.002, 1.0, (MONTHS, 10)) * np.linspace(0.015, 0.04, 10)
    tickers = [f"ETF{k}" for k in range(10)]
    universe = frontier(tickers, ENDS, market[:, np.newaxis] * betas + own)
    return Library(
        "2024-05", "synthetic", True, experiments, universe, history=history, notes=["invented"]
    )


def _experiment(i: int, market: Floats, rng: np.random.Generator) -> Experiment:
    start = int(rng.choice([0, 0, 12, 60])) if i else 12
    beta, skill, spread = rng.uniform(0.3, 0.8), rng.normal(0.002, 0.002), rng.uniform(0.005, 0.02)
    net = beta * market[start:] + skill + spread * rng.standard_normal(MONTHS - start)
    zero = np.zeros(len(net))
    figures: dict[str, float | None] = dict(
        metrics(net, zero, market[start:], zero + rng.uniform(0.0, 0.4), zero + 0.0002)
    )
    figures |= {"n_trials": float(rng.integers(1, 900)), "n_months": float(len(net)), "n_same": 1.0}
    figures["dsr_benchmark"] = None if i % 11 == 3 else float(rng.uniform())
    is_strategy = i < len(STRATEGIES)
    judged = is_strategy or i % 7 > 0
    light = ("green", "amber", "red")[i % 3]
    verdict = Verdict(light, "ABCD"[i % 4], float(rng.uniform(20, 95)), "As the parts say.")
    return Experiment(
        STRATEGIES[i] if is_strategy else f"lookback={i % 13} top_k={i % 8} number={i}",
        f"{i:04x}9f3c27ab11",
        figures,
        ENDS[start:],
        net,
        sweep="" if is_strategy else "momentum_grid",
        link=f"2024-05/{STRATEGIES[i]}.html" if is_strategy else "",
        verdict=verdict if judged else None,
        missing={"verdict": "a combination of a sweep has none", "link": "made for strategies"},
    )


def _refresh(month: int, one: Experiment, moved: float) -> Refresh:
    known = {name: value for name, value in one.figures.items() if value is not None}
    return Refresh(f"2024-{month:02}", {name: known[name] + moved for name in ("sharpe", "cagr")})
