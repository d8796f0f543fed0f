"""What `workspace.yaml` loads: every asset, check, job, schedule and sensor, assembled.

Belongs here: assembly only. Does not: any asset's body. Tests build the same graph over a store of
their own with `build_definitions(settings=…)`.
"""

from __future__ import annotations

import logging
import os
import warnings

import dagster as dg

# Both features are named by Dagster as beta; the design relies on them and the tests hold them.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from factorlab_assets.assets import (  # noqa: E402  # after the filters above
    automation,
    evaluation,
    io,
    jobs,
    library,
    library_page,
    market,
    prices,
    reporting,
    research,
    submission,
    sweeps,
)
from factorlab_assets.settings import Settings  # noqa: E402  # as above


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """The whole project over one database, by default the one that the settings name."""
    settings = settings or Settings()
    store = io.StoreResource(
        database=str(settings.database_path), lock_timeout_s=settings.lock_timeout_s
    )
    return dg.Definitions(
        assets=[
            *market.ASSETS,
            *prices.ASSETS,
            *research.ASSETS,
            *evaluation.ASSETS,
            *reporting.ASSETS,
            *sweeps.ASSETS,
            *library.ASSETS,
            library_page.library_page,
        ],
        jobs=[*jobs.ASSET_JOBS, submission.submit_experiment],
        schedules=automation.schedules,
        sensors=automation.sensors,
        resources={
            "store": store,
            "duckdb": store,
            "settings": settings,
            "io_manager": io.StoreIOManager(store.store),
        },
        executor=dg.in_process_executor,
    )


if "DAGSTER_HOME" not in os.environ:
    logging.getLogger("factorlab").warning(
        "DAGSTER_HOME is not set: what runs now is forgotten afterwards, strategy partitions "
        "included. Run `factorlab init` once in the project's root."
    )

defs = build_definitions()
