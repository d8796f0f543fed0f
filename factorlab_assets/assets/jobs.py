"""The two stages as jobs: one CLI call or run takes one kind of partition.

Belongs here: asset jobs. Does not: when they run (`automation`).
"""

from __future__ import annotations

import dagster as dg

market = dg.define_asset_job(
    "market",
    selection=dg.AssetSelection.groups("market"),
    description="Ingest one month: prices, their quality, monthly returns; register strategies.",
)
_INGESTED = dg.AssetSelection.assets("strategies", "raw_prices")
prices = dg.define_asset_job(
    "prices",
    selection=dg.AssetSelection.groups("market") - _INGESTED,
    description="Judge and adjust one month's prices anew: after other rules, code or a second "
    "source.",
)
_AT_ONCE = dg.AssetSelection.assets("inference", "regime_metrics")
research = dg.define_asset_job(
    "research",
    selection=dg.AssetSelection.groups("research") | _AT_ONCE,
    description="Compute one cell: signals, scores, weights, returns and metrics of a strategy, "
    "and how sure they are.",
)
evaluation = dg.define_asset_job(
    "evaluation",
    selection=_AT_ONCE | dg.AssetSelection.assets("feasibility", "robustness"),
    description="Judge one cell that is done: luck and foresight, and what it hangs on.",
)
report = dg.define_asset_job(
    "report",
    selection=dg.AssetSelection.assets(
        *("rolling_metrics", "calendar_returns", "drawdowns", "contributions", "notable_months"),
        *("exposures", "factor_diagnostics", "verdict", "tear_sheet"),
    ),
    description="Give one cell that is judged its verdict and its pages.",
)
sweep = dg.define_asset_job(
    "sweep",
    selection=dg.AssetSelection.assets("sweep_metrics", "sweep_evidence", "walk_forward"),
    description="Compute every combination of a strategy's sweep, and what the best is worth.",
)
library = dg.define_asset_job(
    "library",
    selection=dg.AssetSelection.groups("library"),
    description="Put a month's strategies side by side.",
)
ASSET_JOBS = [market, prices, research, evaluation, report, sweep, library]
