"""A covariance and a minimum-variance book for each of 240 months, beside the solver's own time.

Belongs here: 100 and 13 tickers, the same solved by skfolio, and what importing each library takes.
Does not: asserting anything. Every process measures after importing numpy and pandas.

The solver's own time is that of its calls; the whole is everything from a covariance and limits to
weights that were checked against them.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import harness
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Panel

SIZES = (100, 13)
MONTHS, WINDOW, ROUNDS = 240, 60, 3
MAX_WEIGHT, FEW_MAX_WEIGHT = 0.05, 0.3
BESIDE = 12
"""Months that skfolio solves: it is slow."""
IMPORTS = ("clarabel", "scipy.sparse", "scipy.cluster.hierarchy", "sklearn.covariance")
IMPORTS += ("skfolio.moments", "skfolio.optimization")
OWN = ("factorlab_assets.core.optimise", "factorlab_assets.core.risk")


def rows() -> list[harness.Row]:
    """Each size, then the imports."""
    return [*(row for size in SIZES for row in _rows(size)), *_imports()]


def _rows(size: int) -> list[harness.Row]:
    own = harness.in_child("benchmarks.bench_optimise", "own", str(size))
    theirs = harness.in_child("benchmarks.bench_optimise", "skfolio", str(size))
    share = 100.0 * own["solver"] / own["seconds"]
    name = f"{MONTHS} months of minimum variance, {size} tickers"
    large = size == max(SIZES)
    shown = "  the solver's own part"
    month = 1e3 / MONTHS
    whole = 100.0 * own["solver"] / (own["seconds"] + own["covariance"])
    return [
        harness.Row(name, own["seconds"] * 1e3, "ms"),
        harness.at_least(shown, share, "%", 80) if large else harness.Row(shown, share, "%"),
        harness.Row("  and of covariances and weights together", whole, "%"),
        harness.Row("  set up anew each month, the same takes", own["anew"] / own["seconds"], "x"),
        harness.Row("  asked again, the same takes", own["again"] / own["seconds"], "x"),
        harness.Row("  a month's weights", own["seconds"] * month, "ms"),
        harness.Row("  a month's Ledoit-Wolf covariance before", own["covariance"] * month, "ms"),
        harness.Row("  a month's weights by skfolio", theirs["seconds"] / BESIDE * 1e3, "ms"),
        harness.Row("  its variance above ours, at least", theirs["risk"] * 1e9, "e-9"),
    ]


def _imports() -> list[harness.Row]:
    names = (*IMPORTS, *OWN)
    taken = [harness.in_child("benchmarks.bench_optimise", "import", name) for name in names]
    pairs = zip(names, taken, strict=True)
    return [harness.Row(f"importing {name}", each["seconds"], "s") for name, each in pairs]


def market(size: int) -> Panel:
    """Random month-ends of names with a common part and volatilities from 2 to 10 % a month."""
    rng = np.random.default_rng(5)
    n_months = WINDOW + MONTHS
    moves = rng.standard_normal((n_months, size)) * rng.uniform(0.02, 0.1, size)
    price = 100.0 * np.exp(np.cumsum(moves + 0.03 * rng.standard_normal((n_months, 1)), axis=0))
    last = np.datetime64("1999-06", "M") + (n_months - 1)
    names = np.array([f"T{i:03d}" for i in range(size)])
    return Panel(month_ends("1999-06", str(last)), names, *[price] * 5)


def own(size: int) -> None:
    """All months, over and over; each round with limits of its own, so that none is remembered."""
    from factorlab_assets.core import optimise, quadratic
    from factorlab_assets.core.optimise import Limits
    from factorlab_assets.core.risk import covariance
    from factorlab_assets.strategy_book import Risk

    panel, wanted = market(size), np.ones(size, dtype=np.bool_)

    def estimates(round_: int) -> list[np.ndarray]:
        """Ledoit-Wolf does not look at half_life, but nothing is remembered across it."""
        risk = Risk(model="ledoit_wolf", window=WINDOW, half_life=round_)
        dates = range(WINDOW, WINDOW + MONTHS)
        return [covariance(risk, panel, t, wanted).matrix for t in dates]

    found = estimates(ROUNDS + 1)  # imports skfolio
    runs = [harness.timed(lambda i=i: estimates(i)) for i in range(1, ROUNDS + 1)]
    told = {"covariance": min(run["seconds"] for run in runs)}
    most = MAX_WEIGHT if size == max(SIZES) else FEW_MAX_WEIGHT

    def all_months(round_: int, *, anew: bool) -> tuple[float, float]:
        upper = np.full(size, most * (1.0 + 1e-6 * round_))
        limits = Limits(np.zeros(size), upper, legs=((wanted, 1.0),))
        start, solver = time.perf_counter(), 0.0
        for matrix in found:
            if anew:
                quadratic.forget()
            solver += optimise.minimum_variance(matrix, limits).solve_seconds
        return time.perf_counter() - start, solver

    all_months(0, anew=False)  # imports scipy
    told["seconds"], told["solver"] = min(all_months(i, anew=False) for i in range(1, ROUNDS + 1))
    told["again"] = all_months(ROUNDS, anew=False)[0]
    told["anew"] = min(all_months(i, anew=True)[0] for i in range(-ROUNDS, 0))
    harness.report(told)


def skfolio(size: int) -> None:
    """The last months by skfolio's MeanRisk on the same window, and how its risk compares."""
    from skfolio import RiskMeasure
    from skfolio.moments import LedoitWolf
    from skfolio.optimization import MeanRisk
    from skfolio.prior import EmpiricalPrior

    from factorlab_assets.core.optimise import Limits, minimum_variance

    warnings.simplefilter("ignore")
    price = pd.DataFrame(market(size).price)
    change = price.pct_change(fill_method=None).to_numpy()
    most = MAX_WEIGHT if size == max(SIZES) else FEW_MAX_WEIGHT
    limits = Limits(
        np.zeros(size), np.full(size, most), legs=((np.ones(size, dtype=np.bool_), 1.0),)
    )
    seconds, excess = 0.0, []
    for t in range(len(change) - BESIDE - 1, len(change)):
        window = change[t - WINDOW + 1 : t + 1]
        start = time.perf_counter()
        model = MeanRisk(
            risk_measure=RiskMeasure.VARIANCE,
            max_weights=most,
            prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()),
        ).fit(window)
        seconds += (time.perf_counter() - start) * (t >= len(change) - BESIDE)  # first: imports
        matrix, weights = LedoitWolf().fit(window).covariance_, model.weights_
        ours = minimum_variance(matrix, limits).weights
        excess.append(weights @ matrix @ weights / (ours @ matrix @ ours) - 1.0)
    harness.report({"seconds": seconds, "risk": min(excess)})


def imported(name: str) -> None:
    """What one library takes after numpy and pandas."""
    harness.report(harness.timed(lambda: importlib.import_module(name)))


CHILDREN: dict[str, Callable[[str], None]] = {
    "own": lambda size: own(int(size)),
    "skfolio": lambda size: skfolio(int(size)),
    "import": imported,
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        CHILDREN[sys.argv[1]](sys.argv[2])
    else:
        harness.show(rows())
