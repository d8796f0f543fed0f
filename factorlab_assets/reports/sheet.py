"""What the pages of one experiment show: rows of the store, and who they are of.

Belongs here: the container that pages are drawn from. Does not: drawing (`tear_sheet_html`,
`tear_sheet_pdf`), or reading the store (`assets.reporting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Identity:
    """Which experiment it is: what the footer and the head of a page say.

    config : the strategy file's text, or the recorded configuration as YAML. lineage : table ->
    content hash of its rows. observed : when the source was observed, and whether it is backfilled.
    """

    strategy: str
    description: str
    month: str
    experiment_id: str
    data_version_id: str
    source: str
    observed: str
    config_hash: str
    code_version: str
    git_commit: str
    price_basis: str
    rf_label: str
    benchmark: str
    caveats: str
    config: str
    lineage: Mapping[str, str]

    @property
    def is_synthetic(self) -> bool:
        """Whether prices were invented."""
        return self.price_basis == "synthetic"


@dataclass(frozen=True)
class Sheet:
    """An experiment's stored rows, by table, in the order of their keys, less month and strategy.

    missing : table -> why there are no rows to show. asset_classes : ticker -> class.
    """

    identity: Identity
    tables: Mapping[str, pa.Table]
    missing: Mapping[str, str]
    asset_classes: Mapping[str, str]

    def rows(self, table: str) -> list[dict[str, object]]:
        """A table's rows as records; none where it is missing."""
        found = self.tables.get(table)
        return [] if found is None else list(found.to_pylist())
