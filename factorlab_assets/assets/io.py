"""The store as Dagster resources: for assets that a user adds beside the shipped ones.

Belongs here: the resource and the IO manager. Does not: SQL, locking or validation (`store.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
from dagster_duckdb import DuckDBResource

from factorlab_assets import schemas
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store


class StoreResource(DuckDBResource):
    """`dagster_duckdb.DuckDBResource` whose connections go through the store's lock."""

    lock_timeout_s: float = 60.0

    @property
    def store(self) -> Store:
        return Store(Path(self.database), lock_timeout_s=self.lock_timeout_s)

    @classmethod
    def _is_dagster_maintained(cls) -> bool:
        return False

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A writing connection under the exclusive lock; others wait until it is closed."""
        with self.store.write() as connection:
            yield connection


class StoreIOManager(dg.IOManager):
    """Loads a FactorLab table's partitions into an asset's argument, verdicts demanded.

    The argument's annotation chooses pandas or pyarrow. The shipped assets write through the store
    themselves; an asset of a user's own that returns a frame uses an IO manager of its own.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def load_input(self, context: dg.InputContext) -> Any:
        table = schemas.TABLES[context.asset_key.path[-1]]
        rows = self._store.load(table, sorted(context.asset_partition_keys))
        return rows if context.dagster_type.typing_type is pa.Table else rows.to_pandas()

    def handle_output(self, context: dg.OutputContext, _obj: Any) -> None:
        raise FactorLabError(
            "the store holds FactorLab's own tables only",
            where=f"asset {context.asset_key.to_user_string()}, which returned a frame",
            do="write it with the `duckdb` resource, or give the asset an IO manager of its own",
        )
