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
research = dg.define_asset_job(
    "research",
    selection=dg.AssetSelection.groups("research"),
    description="Compute one cell: signals, scores, weights, returns and metrics of a strategy.",
)
