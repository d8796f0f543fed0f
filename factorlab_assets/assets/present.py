"""What an asset shows in the Dagster UI: column schema, row counts, preview, pictures.

Belongs here: metadata from frames. Does not: drawing (`reports.charts`) or loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import schemas
from factorlab_assets.reports import charts

PREVIEW_ROWS = 8
SAID_ELSEWHERE = ("month", "strategy", "data_version_id", "second_version_id", "earlier_version_id")
"""Columns that are the same in every row of a partition, and so not in its preview."""
PROSE = (
    "evidence",
    "reason",
    "outcome",
    "reasons",
    "detail",
    "note",
    "definition",
    "parameters",
    "known_at",
    "old_close",
    "price_basis",
)
"""Columns that a preview has no room for; the table and `factorlab prices` have them."""
OWNERS = ["team:research"]


def column_schema(table: schemas.Table) -> dg.TableSchema:
    """The column tab: names, types, descriptions with units, keys."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                schemas.sql_type(column).lower(),
                description=_described(column),
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.primary_key == (name,)
                ),
            )
            for name, column in table.schema.columns.items()
        ],
        constraints=dg.TableConstraints(other=[f"primary key: {', '.join(table.primary_key)}"]),
    )


def _described(column: Any) -> str:
    unit = column.metadata["unit"]
    return f"{column.description} [{unit}]" if unit else str(column.description)


def synthetic(price_basis: str) -> dict[str, Any]:
    """The warning that stands first wherever prices were invented."""
    return {"SYNTHETIC": "from invented prices"} if price_basis == "synthetic" else {}


def rows_metadata(rows: pa.Table) -> dict[str, Any]:
    """Row count, date range and a preview: the last rows, of tickers those of the last date."""
    said: dict[str, Any] = {"dagster/row_count": rows.num_rows}
    if "date" in rows.column_names and rows.num_rows:
        span = pc.min_max(rows.column("date")).as_py()
        said["date_range"] = f"{span['min']} … {span['max']}"
    if rows.num_rows:
        last = rows
        if "ticker" in rows.column_names and "date_range" in said:
            last = rows.filter(pc.equal(rows["date"], span["max"]))
            if last.num_rows < 2:
                last = rows.sort_by([("date", "ascending"), ("ticker", "ascending")])
        last = last.slice(max(last.num_rows - PREVIEW_ROWS, 0))
        unsaid = (*SAID_ELSEWHERE, *PROSE)
        last = last.drop_columns([name for name in unsaid if name in rows.column_names])
        said["preview"] = dg.MetadataValue.md(charts.preview_table(last, PREVIEW_ROWS))
    return said


def figures(said: Mapping[str, Any]) -> dg.MarkdownMetadataValue:
    """Names and values as a list; a long float to five digits."""
    lines = [f"- {k.replace('_', ' ')}: {_short(v)}" for k, v in said.items()]
    return dg.MetadataValue.md("\n".join(lines))


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else charts.escape_markdown(str(value))


def picture(svg: str, alt: str) -> dg.MarkdownMetadataValue:
    """A picture as the UI shows it; above 1,000 characters behind a click."""
    return dg.MetadataValue.md(charts.as_markdown_image(svg, alt))
