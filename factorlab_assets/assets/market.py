"""The market assets at both ends: strategy files and bars that come in, monthly returns.

Belongs here: the ingest, and group `market`'s last table. Does not: what is done to prices between
(`prices`), or anything that depends on a strategy.

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from factorlab_assets import ingest, prices, schemas, strategy
from factorlab_assets.assets import checks, partitions, present
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.assets.months import (
    Month,
    Result,
    market_asset,
    month_asset,
    version_metadata,
)
from factorlab_assets.core import factors, returns
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store


class IngestConfig(dg.Config):
    """What this ingest does differently from the settings; empty = as the settings say."""

    source: str = Field("", description="synthetic, stooq-files, stooq-http, alphavantage")
    path: str = Field("", description="stooq-files, alphavantage: archive, folder or file")
    distributions: str = Field("", description="file or folder: ticker,ex_date,amount[,split]")
    characteristics: str = Field("", description="folder of panels, see docs/characteristics.md")
    universe: str = Field("", description="a name from the universes file, or all")
    second: bool = Field(False, description="a source to hold the month's prices against")
    replace_source: bool = Field(False, description="let another source take the month over")

    def applied_to(self, settings: Settings) -> Settings:
        said = {
            "source": self.source,
            "source_path": self.path,
            "distributions_path": self.distributions,
            "characteristics": self.characteristics,
            "universe": self.universe,
        }
        return Settings.model_validate(
            settings.model_dump() | {name: value for name, value in said.items() if value}
        )


@dg.asset(
    group_name="market",
    description="Every valid strategy file; materializing it registers the strategy partitions.",
    kinds={"yaml"},
    owners=present.OWNERS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def strategies(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[Any]:
    """Read the strategy files, register the names of the valid ones, show the rest with reasons."""
    good, bad = strategy.load_strategies(settings.strategies_path, factors.complete)
    new = partitions.register(context.instance, good)
    for name, error in bad.items():
        context.log.error(f"{name}: {error}")
    checks.PROGRESS.info("strategies: %d of %d", len(good), len(good) + len(bad))
    rows = pa.table(
        {
            "strategy": list(good),
            "active": [s.active for s in good.values()],
            "description": [_first_sentence(s.description) for s in good.values()],
        }
    )
    return dg.MaterializeResult(
        metadata=present.rows_metadata(rows) | {"registered_now": new, "not_valid": _listed(bad)}
    )


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].split(" (")[0]


def _listed(bad: Mapping[str, FactorLabError]) -> str:
    return "; ".join(f"{name}: {error}" for name, error in bad.items()) or "none"


@market_asset("raw_prices", kinds={"csv"})
def raw_prices(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """Ingest each month of the run from the configured source."""

    def one(month: str) -> checks.Stored:
        said = config.applied_to(settings)
        how = {"second": config.second, "replace_source": config.replace_source}
        done = ingest.ingest(store.store, said, month, **how)
        for note in done.notes:
            context.log.warning(note)
            checks.PROGRESS.warning(note)
        return _stored_prices(store.store, done)

    yield from checks.report(context, schemas.RAW_PRICES, one)


def _stored_prices(store: Store, done: ingest.Ingested) -> checks.Stored:
    version = done.version
    with store.read() as con:
        bars = ingest.version_bars(version.data_version_id)
        last = con.sql(
            f"SELECT * FROM {bars} WHERE date = ? ORDER BY ticker LIMIT ?",  # noqa: S608  # a checked id
            params=[version.last_date, present.PREVIEW_ROWS],
        ).to_arrow_table()
        own = ingest.version_rows("characteristics", version.data_version_id)
        panels = con.sql(f"SELECT panel, count(*) FROM {own} GROUP BY panel ORDER BY panel")  # noqa: S608  # a checked id
        counts = [f"{panel} ({n} rows)" for panel, n in panels.fetchall()]
    metadata = version_metadata(version) | {
        "dagster/row_count": version.n_rows,
        "tickers": version.n_tickers,
        "rows_kept_out": sum(r.n_rows for r in done.fetched.rejections),
        "observed_at": f"{version.observed_at} UTC",
        "characteristics": ", ".join(counts) or "none",
        "notes": "; ".join(done.notes) or "none",
        "preview": present.rows_metadata(last)["preview"],
    }
    verdicts = store.verdicts(schemas.RAW_PRICES, version.data_version_id)
    return checks.Stored(version.content_hash, verdicts, metadata)


@month_asset("adjusted_prices")
def monthly_returns(month: Month) -> checks.Stored:
    """Month-end prices and returns of every ticker of the month's current version."""
    month.demand("adjusted_prices")
    with month.store.read() as con:
        rows = returns.monthly_returns(con, prices.month_prices(month.key), month.key)
    late = sum(n > 0 for n in rows.column("sessions_stale").to_pylist())
    return month.write(rows, ticker_months_ending_early=late)


ASSETS = [strategies, raw_prices, monthly_returns]
