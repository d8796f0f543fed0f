"""The market assets that judge and adjust prices: suspects, distributions, basis, second source.

Belongs here: group `market` from a stored data version to `adjusted_prices`, one function per
table: load, one pure call, what it shows. Does not: the ingest and monthly returns (`market`), or
the mathematics (`core`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow as pa

from factorlab_assets import ingest, prices, schemas, universes
from factorlab_assets.assets import checks, present
from factorlab_assets.assets.months import Month, month_asset
from factorlab_assets.core import quality, reconcile
from factorlab_assets.core import revisions as restated
from factorlab_assets.reports import charts, charts_prices
from factorlab_assets.store import Verdict


@month_asset("raw_prices", "distribution_status")
def suspect_prices(month: Month) -> checks.Stored:
    """Bars that are probably wrong, and what the rule file does about each."""
    with month.store.read() as con:
        rows = month.inputs.suspects(con, month.loaded("distribution_status"))
    return month.write(rows, by_kind_and_action=_counted(rows, "kind", "action"))


@month_asset("raw_prices")
def distribution_status(month: Month) -> checks.Stored:
    """Which of the distributions the closes already carry, and which they lack."""
    with month.store.read() as con:
        rows = month.inputs.distribution_status(con)
    return month.write(rows, by_status=_counted(rows, "status"))


@month_asset("raw_prices", "distribution_status")
def price_basis(month: Month) -> checks.Stored:
    """What a return of each ticker's closes means, from date to date, as bands."""
    with month.store.read() as con:
        rows = month.inputs.price_basis(con, month.loaded("distribution_status"))
    known = prices.Chooser.of(rows, is_synthetic=False).known
    picture = charts_prices.basis_band(rows, title=f"Price basis, {month.key}")
    return month.write(
        rows,
        total_return_known=f"{sum(known.values())} of {len(known)} tickers",
        by_year=dg.MetadataValue.md(charts_prices.basis_text(rows) or "too many tickers to show"),
        bands=present.picture(picture, "price basis of each ticker over time"),
    )


@month_asset("raw_prices", "suspect_prices", "price_basis")
def price_quality(month: Month) -> checks.Stored:
    """Coverage, gaps, rejected and suspect rows and price basis of every ticker."""
    inputs = month.inputs
    version_id = inputs.version.data_version_id
    with month.store.read() as con:
        rows = quality.price_quality(
            con,
            inputs.bars,
            ingest.version_rows("coverage", version_id),
            ingest.version_rows("rejected_rows", version_id),
            month.loaded("suspect_prices"),
            month.loaded("price_basis"),
            month.key,
        )
    spans = [rows.column(name).to_pylist() for name in ("ticker", "first_date", "last_date")]
    picture = charts.coverage(*spans, title="First to last bar", basis=inputs.version.price_basis)
    return month.write(rows, spans=present.picture(picture, "which tickers span which years"))


@month_asset("raw_prices", "suspect_prices", "distribution_status", "price_basis")
def adjusted_prices(month: Month) -> checks.Stored:
    """The daily prices that research reads: repaired, with their growth to total returns.

    They go from SQL through a Parquet file into the store, never through a frame.
    """
    inputs, version = month.inputs, month.inputs.version
    suspected, status = month.loaded("suspect_prices"), month.loaded("distribution_status")
    stretches = month.loaded("price_basis")
    keys = f"'{version.month}' AS month, '{schemas.check_version(version.data_version_id)}'"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "adjusted.parquet"
        with month.store.read() as con:
            with prices.adjusted(con, inputs, suspected, status, stretches) as relation:
                keyed = f"SELECT {keys} AS data_version_id, * FROM {relation}"  # noqa: S608  # checked ids
                con.sql(keyed).write_parquet(str(path))
            last = con.sql(
                "SELECT * FROM read_parquet(?) WHERE date = ? ORDER BY ticker LIMIT ?",
                params=[str(path), version.last_date, present.PREVIEW_ROWS],
            ).to_arrow_table()
            broken, tried = inputs.known_too_early(con, status)
        detail = {"violations": len(broken), "first": broken[:5], **tried}
        verdict = Verdict(month.key, "known_at", not broken, detail)
        acted = sum(action != "keep" for action in suspected["action"].to_pylist())
        return month.write_file(path, [verdict], last, suspects_acted_on=acted)


@month_asset("raw_prices")
def reconciliation(month: Month) -> checks.Stored:
    """Days on which the second source says another return; none where there is no second."""
    inputs = month.inputs
    if inputs.second is None or inputs.second_bars is None:
        none = "none: factorlab ingest --second gives one"
        return month.write(prices.no_rows(schemas.RECONCILIATION), second_source=none)
    id_ = inputs.second.data_version_id
    named = universes.load_universes(month.settings.universes_path)
    with month.store.read() as con:
        rows = reconcile.reconcile(
            con,
            inputs.bars,
            inputs.second_bars,
            month.key,
            asset_classes=ingest.asset_classes(named),
        )
    return month.write(
        rows.append_column("second_version_id", pa.repeat(id_, rows.num_rows)),
        second_source=f"{inputs.second.source}, {id_}",
        by_kind_and_odd=_counted(rows, "kind", "odd"),
    )


@month_asset("raw_prices")
def revisions(month: Month) -> checks.Stored:
    """What this month's data changed in the history that the version before it had told."""
    version = month.inputs.version
    earlier = month.store.earlier_version(version)
    if earlier is None or earlier.source != version.source:
        nothing = "nothing: no earlier version of this source"
        return month.write(prices.no_rows(schemas.REVISIONS), compared_with=nothing)
    id_ = earlier.data_version_id
    with month.store.read() as con:
        rows = restated.revisions(con, ingest.version_bars(id_), month.inputs.bars, month.key)
    columns = ["strategy", "sweep", "data_version_id", "status"]
    resting = {
        row["sweep"] or row["strategy"]
        for row in month.store.experiments(columns=columns).to_pylist()
        if row["data_version_id"] == id_ and row["status"] == "done"
    }
    return month.write(
        rows.append_column("earlier_version_id", pa.repeat(id_, rows.num_rows)),
        compared_with=id_,
        tickers_changed=len(set(rows["ticker"].to_pylist())),
        by_likely_cause=_counted(rows, "kind"),
        strategies_that_rest_on_it=", ".join(sorted(resting)) or "none",
        their_metrics=f"factorlab revisions --month {month.key}",
    )


ASSETS = [
    suspect_prices,
    distribution_status,
    price_basis,
    price_quality,
    adjusted_prices,
    reconciliation,
    revisions,
]


def _counted(rows: pa.Table, *columns: str) -> Any:
    values = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    counts = Counter(", ".join(each) for each in values)
    return present.figures(dict(sorted(counts.items()))) if counts else "none"
