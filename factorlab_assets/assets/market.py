"""The market assets: strategy files, bars, what is wrong with them, adjusted prices, returns.

Belongs here: group `market`. Does not: anything that depends on a strategy.

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from factorlab_assets import identity, ingest, prices, schemas, strategy
from factorlab_assets.assets import checks, partitions, present
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.core import factors, quality, returns
from factorlab_assets.errors import FactorLabError
from factorlab_assets.reports import charts, charts_prices
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store, Verdict, Version

Result = Iterator[dg.MaterializeResult]


class IngestConfig(dg.Config):
    """What this ingest does differently from the settings; empty = as the settings say."""

    source: str = Field("", description="synthetic, stooq-files, stooq-http, alphavantage")
    path: str = Field("", description="stooq-files, alphavantage: archive, folder or file")
    distributions: str = Field("", description="file or folder: ticker,ex_date,amount[,split]")
    universe: str = Field("", description="a name from the universes file, or all")
    second: bool = Field(False, description="a source to hold the month's prices against")
    replace_source: bool = Field(False, description="let another source take the month over")

    def applied_to(self, settings: Settings) -> Settings:
        said = {
            "source": self.source,
            "source_path": self.path,
            "distributions_path": self.distributions,
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


def _market_asset(name: str, **said: Any) -> Any:
    table = schemas.TABLES[name]
    return dg.asset(
        name=name,
        group_name="market",
        description=table.schema.description,
        kinds={"duckdb", *said.pop("kinds", set())},
        owners=present.OWNERS,
        partitions_def=partitions.MONTHS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": present.column_schema(table)},
        check_specs=checks.specs(table, partitions.MONTHS),
        **said,
    )


@_market_asset("raw_prices", kinds={"csv"})
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
    metadata = _version_metadata(version) | {
        "dagster/row_count": version.n_rows,
        "tickers": version.n_tickers,
        "rows_kept_out": sum(r.n_rows for r in done.fetched.rejections),
        "observed_at": f"{version.observed_at} UTC",
        "notes": "; ".join(done.notes) or "none",
        "preview": present.rows_metadata(last)["preview"],
    }
    verdicts = store.verdicts(schemas.RAW_PRICES, version.data_version_id)
    return checks.Stored(version.content_hash, verdicts, metadata)


def _version_metadata(version: Version) -> dict[str, Any]:
    return present.synthetic(version.price_basis) | {
        "data_version": version.data_version_id,
        "role": version.role,
        "source": version.source,
        "price_basis": version.price_basis,
        "date_range": f"{version.first_date} … {version.last_date}",
        "backfilled": version.is_backfilled,
        "survivors": version.is_survivors,
    }


@_market_asset("suspect_prices", deps=["raw_prices"], code_version=identity.code_version())
def suspect_prices(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """Bars that are probably wrong, and what the rule file does about each."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        with store.store.read() as con:
            rows = inputs.suspects(con)
        by_kind = Counter(zip(rows["kind"].to_pylist(), rows["action"].to_pylist(), strict=True))
        told = {f"{kind}, {action}": n for (kind, action), n in sorted(by_kind.items())}
        extra = {"by_kind_and_action": present.figures(told)} if told else {}
        return _write_month(store.store, schemas.SUSPECT_PRICES, rows, inputs, extra)

    yield from checks.report(context, schemas.SUSPECT_PRICES, one)


@_market_asset("distribution_status", deps=["raw_prices"], code_version=identity.code_version())
def distribution_status(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """Which of the distributions the closes already carry, and which they lack."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        with store.store.read() as con:
            rows = inputs.distribution_status(con)
        extra = {"by_status": present.figures(Counter(rows["status"].to_pylist()))}
        return _write_month(store.store, schemas.DISTRIBUTION_STATUS, rows, inputs, extra)

    yield from checks.report(context, schemas.DISTRIBUTION_STATUS, one)


@_market_asset("price_basis", deps=["distribution_status"], code_version=identity.code_version())
def price_basis(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """What a return of each ticker's closes means, from date to date, as bands."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        with store.store.read() as con:
            rows = inputs.price_basis(con, _loaded(store.store, "distribution_status", inputs))
        known = prices.Chooser.of(rows, is_synthetic=False).known
        picture = charts_prices.basis_band(rows, title=f"Price basis, {month}")
        extra = {
            "total_return_known": f"{sum(known.values())} of {len(known)} tickers",
            "bands": present.picture(picture, "price basis of each ticker over time"),
        }
        return _write_month(store.store, schemas.PRICE_BASIS, rows, inputs, extra)

    yield from checks.report(context, schemas.PRICE_BASIS, one)


@_market_asset("price_quality", deps=["raw_prices", "suspect_prices", "price_basis"])
def price_quality(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """Coverage, gaps, rejected and suspect rows and price basis of every ticker."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        version_id = inputs.version.data_version_id
        with store.store.read() as con:
            rows = quality.price_quality(
                con,
                inputs.bars,
                ingest.version_rows("coverage", version_id),
                ingest.version_rows("rejected_rows", version_id),
                _loaded(store.store, "suspect_prices", inputs),
                _loaded(store.store, "price_basis", inputs),
                month,
            )
        spans = [rows.column(name).to_pylist() for name in ("ticker", "first_date", "last_date")]
        basis = inputs.version.price_basis
        picture = charts.coverage(*spans, title="First to last bar", basis=basis)
        extra = {"spans": present.picture(picture, "which tickers span which years")}
        return _write_month(store.store, schemas.PRICE_QUALITY, rows, inputs, extra)

    yield from checks.report(context, schemas.PRICE_QUALITY, one)


@_market_asset(
    "adjusted_prices",
    deps=["raw_prices", "suspect_prices", "distribution_status"],
    code_version=identity.code_version(),
)
def adjusted_prices(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """The daily prices that research reads: repaired, with their growth to total returns."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        suspected = _loaded(store.store, "suspect_prices", inputs)
        status = _loaded(store.store, "distribution_status", inputs)
        return _write_daily(store.store, inputs, suspected, status)

    yield from checks.report(context, schemas.ADJUSTED_PRICES, one)


@_market_asset("monthly_returns", deps=["adjusted_prices"], code_version=identity.code_version())
def monthly_returns(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    settings: dg.ResourceParam[Settings],
) -> Result:
    """Month-end prices and returns of every ticker of the month's current version."""

    def one(month: str) -> checks.Stored:
        inputs = _inputs(store.store, settings, month)
        with store.store.read() as con:
            _demand(store.store, inputs)
            rows = returns.monthly_returns(con, prices.month_prices(month), month)
        late = sum(n > 0 for n in rows.column("sessions_stale").to_pylist())
        extra = {"ticker_months_ending_early": late}
        return _write_month(store.store, schemas.MONTHLY_RETURNS, rows, inputs, extra)

    yield from checks.report(context, schemas.MONTHLY_RETURNS, one)


def _inputs(store: Store, settings: Settings, month: str) -> prices.Inputs:
    """What the month's prices rest on now; its bars have passed their checks."""
    inputs = prices.Inputs.current(store, settings, month)
    if inputs is None:
        raise FactorLabError(
            "no prices for that month",
            where=f"database, month {month}",
            got="no data version",
            expected="an ingested month",
            do=f"factorlab ingest --month {month}, or materialize raw_prices for it",
        )
    versions = [version for version in (inputs.version, inputs.second) if version is not None]
    ids = [version.data_version_id for version in versions]
    for reason in store.refusals(schemas.RAW_PRICES, ids).values():
        raise FactorLabError("the month's prices are not to be used", where=month, got=reason)
    return inputs


def _loaded(store: Store, name: str, inputs: prices.Inputs) -> pa.Table:
    """A table of the month that was computed from these inputs, less its keys."""
    month = inputs.version.month
    rows = store.load(schemas.TABLES[name], [month], fingerprints={month: inputs.fingerprint})
    return rows.drop_columns(["month", "data_version_id"])


def _demand(store: Store, inputs: prices.Inputs) -> None:
    month = inputs.version.month
    store.demand(schemas.ADJUSTED_PRICES, [month], fingerprints={month: inputs.fingerprint})


def _write_month(
    store: Store,
    table: schemas.Table,
    rows: pa.Table,
    inputs: prices.Inputs,
    extra: Mapping[str, Any],
) -> checks.Stored:
    version, n = inputs.version, rows.num_rows
    for position, (name, value) in enumerate(
        (("month", version.month), ("data_version_id", version.data_version_id))
    ):
        rows = rows.add_column(position, name, pa.array([value] * n, pa.string()))
    written = store.write_partitions(table, rows, {version.month: inputs.fingerprint}, [])
    metadata = _version_metadata(version) | dict(extra) | present.rows_metadata(rows)
    verdicts: list[Verdict] = store.verdicts(table, version.month)
    return checks.Stored(written[version.month].content_hash, verdicts, metadata)


def _write_daily(
    store: Store, inputs: prices.Inputs, suspected: pa.Table, status: pa.Table
) -> checks.Stored:
    """Adjusted prices go from SQL through a Parquet file into the store, never through a frame."""
    version, table = inputs.version, schemas.ADJUSTED_PRICES
    id_ = schemas.check_version(version.data_version_id)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "adjusted.parquet"
        with store.read() as con, prices.adjusted(con, inputs, suspected, status) as relation:
            keyed = (
                f"SELECT '{version.month}' AS month, '{id_}' AS data_version_id, * FROM {relation}"  # noqa: S608  # checked ids
            )
            con.sql(keyed).write_parquet(str(path))
            last = con.sql(
                "SELECT * FROM read_parquet(?) WHERE date = ? ORDER BY ticker LIMIT ?",
                params=[str(path), version.last_date, present.PREVIEW_ROWS],
            ).to_arrow_table()
            broken, tried = inputs.known_too_early(con, status)
        detail = {"violations": len(broken), "first": broken[:5], **tried}
        verdict = Verdict(version.month, "known_at", not broken, detail)
        written = store.write_partitions(
            table, path, {version.month: inputs.fingerprint}, [verdict]
        )
    done = written[version.month]
    repaired = sum(action != "keep" for action in suspected["action"].to_pylist())
    metadata = _version_metadata(version) | {
        "dagster/row_count": done.n_rows,
        "suspects_acted_on": repaired,
        "preview": present.rows_metadata(last)["preview"],
    }
    return checks.Stored(done.content_hash, store.verdicts(table, version.month), metadata)


ASSETS = [
    strategies,
    raw_prices,
    suspect_prices,
    distribution_status,
    price_basis,
    price_quality,
    adjusted_prices,
    monthly_returns,
]
