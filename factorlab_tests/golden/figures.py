"""The figures that the golden tests freeze: every shipped strategy on one month's data version.

Belongs here: computing them by the pure path, and writing them anew. Does not: judging them.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from factorlab_assets import ingest, prices, schemas, strategy, universes, verify
from factorlab_assets.core import factors
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store

MONTH = "2024-05"
HERE = Path(__file__).resolve().parent
METRICS = (
    "n_months",
    "cagr",
    "volatility_ann",
    "sharpe",
    "sortino",
    "max_drawdown",
    "max_drawdown_daily",
    "calmar",
    "hit_rate",
    "turnover_ann",
    "cost_drag_ann",
    "excess_ann",
    "tracking_error_ann",
    "information_ratio",
    "beta",
    "t_excess_equal_vol",
)


def frozen(name: str) -> dict[str, Any]:
    """The figures as they were when they were last written."""
    return json.loads((HERE / f"{name}_2024_05.json").read_text())


def figures(folder: Path, source: str, path: Path | None = None) -> dict[str, Any]:
    """Ingest the month into a store in `folder`, and measure every shipped strategy on it.

    Returns
    -------
    data_version_id; metrics: strategy -> metric -> value of the whole span, None where undefined;
    solved: strategies whose weights are solved for; hashes: strategy -> table -> content hash, of
    the other strategies and of all tables but `metrics`.
    """
    settings = Settings(_env_file=None, data_dir=folder, source=source, source_path=path)
    store = Store(settings.database_path)
    version = ingest.ingest(store, settings, MONTH).version
    inputs = prices.Inputs(version, None, PriceRules())
    good, bad = strategy.load_strategies(settings.strategies_path, factors.complete)
    assert not bad
    named = universes.load_universes(settings.universes_path)
    metrics, hashes = {}, {}
    solved = [name for name, said in good.items() if is_solved(said)]
    for name, said in good.items():
        tables = verify.recompute(store, inputs, strategy.resolve(said, named, good))
        full = next(row for row in tables["metrics"].to_pylist() if row["segment"] == "full")
        metrics[name] = {metric: _known(full[metric]) for metric in METRICS}
        if is_solved(said):
            continue
        hashes[name] = {
            table: store.content_hash(schemas.TABLES[table], rows)[f"{MONTH}|{name}"]
            for table, rows in tables.items()
            if table != "metrics" and rows.num_rows  # without factors there are no signals
        }
    ids = {"data_version_id": version.data_version_id, "solved": solved}
    return {**ids, "metrics": metrics, "hashes": hashes}


def is_solved(said: strategy.Strategy) -> bool:
    """Whether weights come out of linear algebra, which adds up otherwise on another processor."""
    portfolio = said.portfolio
    limits = portfolio.groups or portfolio.max_turnover
    return bool(portfolio.needs_covariance or portfolio.needs_beta or limits)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


if __name__ == "__main__":
    archive = Path(sys.argv[1]) / "stooq" / "bulk_2024" if len(sys.argv) > 1 else None
    source = "stooq-files" if archive else "synthetic"
    with tempfile.TemporaryDirectory() as scratch:
        found = figures(Path(scratch), source, archive)
    if archive:
        found = {"solved": found["solved"], "metrics": found["metrics"]}
    target = HERE / f"{'real' if archive else 'synthetic'}_2024_05.json"
    target.write_text(json.dumps(found, indent=1) + "\n")
