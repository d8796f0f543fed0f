"""What an asset shows in the Dagster UI: column schema, row counts, preview, pictures.

Belongs here: metadata from frames. Does not: drawing (`reports.charts`) or loading.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import schemas
from factorlab_assets.reports import charts

PREVIEW_ROWS = 8
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


def rows_metadata(rows: pa.Table) -> dict[str, Any]:
    """Row count, date range and a preview of the last rows."""
    said: dict[str, Any] = {"dagster/row_count": rows.num_rows}
    if "date" in rows.column_names and rows.num_rows:
        span = pc.min_max(rows.column("date")).as_py()
        said["date_range"] = f"{span['min']} … {span['max']}"
    if rows.num_rows:
        last = rows.slice(max(rows.num_rows - PREVIEW_ROWS, 0))
        said["preview"] = dg.MetadataValue.md(charts.preview_table(last, PREVIEW_ROWS))
    return said


def picture(svg: str, alt: str) -> dg.MarkdownMetadataValue:
    """A picture as the UI shows it; above 1,000 characters behind a click."""
    return dg.MetadataValue.md(charts.as_markdown_image(svg, alt))
