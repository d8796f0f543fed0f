"""The months of one run: what each month's prices rest on, and storing what was computed of them.

Belongs here: everything that the assets computed from a stored data version share. Does not: what
any one of them computes (`prices`, `market`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from factorlab_assets import identity, prices, schemas
from factorlab_assets.assets import checks, partitions, present
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store, Verdict, Version

Result = Iterator[dg.MaterializeResult]


@dataclass(frozen=True)
class Month:
    """One month of one table: where its rows come from, and where they go."""

    table: schemas.Table
    store: Store
    settings: Settings
    inputs: prices.Inputs

    @property
    def key(self) -> str:
        return self.inputs.version.month

    @property
    def _fingerprints(self) -> dict[str, str]:
        return {self.key: self.inputs.fingerprint}

    def loaded(self, name: str) -> pa.Table:
        """A table of the month that was computed from the same inputs, less its keys."""
        table = schemas.TABLES[name]
        rows = self.store.load(table, [self.key], fingerprints=self._fingerprints)
        return rows.drop_columns(["month", "data_version_id"])

    def demand(self, name: str) -> None:
        """Raise where a table of the month may not be read, for rows that SQL reads itself."""
        self.store.demand(schemas.TABLES[name], [self.key], fingerprints=self._fingerprints)

    def write(self, rows: pa.Table, **shown: Any) -> checks.Stored:
        """Store rows that have every column but the keys, and show `shown` beside them."""
        n, id_ = rows.num_rows, self.inputs.version.data_version_id
        rows = rows.add_column(0, "month", pa.repeat(self.key, n))
        rows = rows.add_column(1, "data_version_id", pa.repeat(id_, n))
        return self._stored(rows, [], shown | present.rows_metadata(rows))

    def write_file(
        self, path: Path, verdicts: Sequence[Verdict], preview: pa.Table, **shown: Any
    ) -> checks.Stored:
        """Store a Parquet file's rows, keys included."""
        shown["preview"] = present.rows_metadata(preview)["preview"]
        return self._stored(path, verdicts, shown)

    def _stored(
        self, rows: pa.Table | Path, verdicts: Sequence[Verdict], shown: dict[str, Any]
    ) -> checks.Stored:
        written = self.store.write_partitions(self.table, rows, self._fingerprints, verdicts)
        done = written[self.key]
        metadata = version_metadata(self.inputs.version) | {"dagster/row_count": done.n_rows}
        told = self.store.verdicts(self.table, self.key)
        return checks.Stored(done.content_hash, told, metadata | shown)


def market_asset(name: str, **said: Any) -> Any:
    """The decorator of an asset of group `market` that fills a table, month by month."""
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


def month_asset(
    *deps: str,
) -> Callable[[Callable[[Month], checks.Stored]], dg.AssetsDefinition]:
    """An asset computed from a stored data version: the function does one month at a time."""

    def decorate(compute: Callable[[Month], checks.Stored]) -> dg.AssetsDefinition:
        table = schemas.TABLES[compute.__name__]

        @market_asset(table.name, deps=list(deps), code_version=identity.code_version())
        def asset(
            context: dg.AssetExecutionContext,
            store: StoreResource,
            settings: dg.ResourceParam[Settings],
        ) -> Result:
            def one(month: str) -> checks.Stored:
                inputs = _inputs(store.store, settings, month)
                return compute(Month(table, store.store, settings, inputs))

            yield from checks.report(context, table, one)

        definition: dg.AssetsDefinition = asset
        return definition

    return decorate


def version_metadata(version: Version) -> dict[str, Any]:
    """What a data version is, as every asset that rests on it shows it."""
    return present.synthetic(version.price_basis) | {
        "data_version": version.data_version_id,
        "role": version.role,
        "source": version.source,
        "price_basis": version.price_basis,
        "date_range": f"{version.first_date} … {version.last_date}",
        "backfilled": version.is_backfilled,
        "survivors": version.is_survivors,
    }


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
