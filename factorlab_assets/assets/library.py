"""The library: the strategies of a month side by side.

Belongs here: group `library`, which experiments of a month belong in it, and what its tables show.
Does not: aligning and comparing series (`evaluation`), or any one experiment (`research`).

Dagster reads the annotations of decorated functions: they are not postponed here.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import prices, schemas
from factorlab_assets.assets import checks, partitions, present
from factorlab_assets.assets.evaluation import table_of
from factorlab_assets.assets.io import StoreResource
from factorlab_assets.core.tables import by_strategy, records_table
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import compare, sharpe_difference
from factorlab_assets.reports import charts, charts_library
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store, Version

FEWEST_MONTHS = 36
"""A shorter history would leave the others too little in common: it is left out, and named."""

MOST_SHOWN = 8
"""Strategies that the UI shows without a click."""


@dataclass(frozen=True)
class Month:
    """The finished cells of a month that rest on its current prices; left_out : why others do not
    belong; inference : their stored rows, by strategy."""

    key: str
    fingerprint: str
    series: list[compare.Series]
    metrics: dict[str, dict[str, Any]]
    experiments: dict[str, str]
    inference: dict[str, pa.Table]
    left_out: dict[str, str]
    store: Store
    settings: Settings
    version: Version

    @property
    def basis(self) -> str:
        """What the pictures name as the price basis."""
        found = sorted({row["price_basis"] for row in self.metrics.values()})
        return " and ".join(found)


def month_of(store: Store, settings: Settings, key: str) -> Month:
    """Read a month's cells.

    Raises
    ------
    FactorLabError : there is no cell to show.
    """
    inputs = prices.Inputs.current(store, settings, key)
    with store.read():
        cells = [
            record
            for record in store.partitions(schemas.METRICS)
            if record.partition.startswith(f"{key}|")
        ]
        names = [record.partition for record in cells]
        refused = store.refusals(schemas.METRICS, names)
        refused |= store.refusals(schemas.BACKTEST_RETURNS, names)
        good = [name for name in names if name not in refused]
        metrics = store.load(schemas.METRICS, good).to_pylist() if good else []
        earned = by_strategy(store.load(schemas.BACKTEST_RETURNS, good)) if good else {}
        judged = [p.partition for p in store.partitions(schemas.INFERENCE) if p.partition in good]
        judged = [p for p in judged if p not in store.refusals(schemas.INFERENCE, judged)]
        inference = by_strategy(store.load(schemas.INFERENCE, judged)) if judged else {}
        columns = ["experiment_id", "data_version_id", "prices"]
        rested = {
            row["experiment_id"]: (row["data_version_id"], row["prices"])
            for row in store.experiments(columns=columns).to_pylist()
        }
    left_out = {name.partition("|")[2]: reason for name, reason in refused.items()}
    full = {row["strategy"]: row for row in metrics if row["segment"] == "full"}
    of = {record.partition.partition("|")[2]: record.fingerprint for record in cells}
    wanted = None if inputs is None else (inputs.version.data_version_id, inputs.record)
    series = []
    for name, rows in earned.items():
        if rested.get(of[name]) != wanted:
            left_out[name] = "rests on other prices than the month's current ones"
        elif rows.num_rows < FEWEST_MONTHS:
            left_out[name] = f"{rows.num_rows} months; {FEWEST_MONTHS} are the fewest"
        else:
            series.append(compare.Series.from_table(name, rows))
    if not series or inputs is None:
        raise FactorLabError(
            "no strategy of that month to show",
            where=f"month {key}",
            got="; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no cell",
            do=f"factorlab run --month {key} --all",
        )
    rests_on = ".".join(sorted(of[each.name] for each in series))
    fingerprint = hashlib.sha256(rests_on.encode()).hexdigest()[:16]
    about = store, settings, inputs.version
    return Month(key, fingerprint, series, full, of, inference, left_out, *about)


def library_asset(*deps: str) -> Callable[[Callable[[Month], Any]], dg.AssetsDefinition]:
    """An asset of group `library`: the function makes the rows of one month, and what is shown."""

    def decorate(compute: Callable[[Month], Any]) -> dg.AssetsDefinition:
        table = schemas.TABLES[compute.__name__]

        @dg.asset(
            name=table.name,
            group_name="library",
            description=table.schema.description,
            kinds={"duckdb"},
            owners=present.OWNERS,
            deps=list(deps),
            partitions_def=partitions.MONTHS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            metadata={"dagster/column_schema": present.column_schema(table)},
            check_specs=checks.specs(table, partitions.MONTHS),
        )
        def asset(
            context: dg.AssetExecutionContext,
            store: StoreResource,
            settings: dg.ResourceParam[Settings],
        ) -> Iterator[dg.MaterializeResult[Any]]:
            def one(key: str) -> checks.Stored:
                month = month_of(store.store, settings, key)
                rows, shown = compute(month)
                rows = rows.add_column(0, "month", pa.repeat(key, rows.num_rows))
                written = store.store.write_partitions(table, rows, {key: month.fingerprint})
                counted = {"dagster/row_count": rows.num_rows}
                shown = {**_said(month), **counted, **shown}
                told = store.store.verdicts(table, key)
                return checks.Stored(written[key].content_hash, told, shown)

            yield from checks.report(context, table, one)

        return asset

    return decorate


@library_asset("metrics", "backtest_returns", "inference")
def leaderboard(month: Month) -> tuple[pa.Table, dict[str, Any]]:
    """Metrics over the common months, the best Sharpe ratio first."""
    common = _common(month.series)
    rows = [_standing(month, each) for each in common]
    rows.sort(key=lambda row: -(row["sharpe"] if np.isfinite(row["sharpe"]) else -np.inf))
    order = {row["strategy"]: i for i, row in enumerate(rows)}
    series = sorted(common, key=lambda each: order[each.name])
    nav = compare.Comparison(series).nav
    names = [each.name for each in series]
    title = f"{len(names)} strategies, {month.key}"
    picture = charts_library.nav_overlay(
        series[0].dates, nav, names, title=title, basis=month.basis
    )
    table = records_table(schemas.LEADERBOARD, rows)
    first = ["strategy", "cagr", "sharpe", "max_drawdown", "n_trials"]
    return table, {
        "highest_sharpe": table_of(rows[:MOST_SHOWN], first),
        "all": table_of(rows, [*first, "volatility_ann", "information_ratio", "dsr_benchmark"]),
        "nav": present.picture(picture, "NAV of every strategy"),
    }


@library_asset("backtest_returns")
def return_correlations(month: Month) -> tuple[pa.Table, dict[str, Any]]:
    """Correlation and Sharpe ratios' difference of every pair."""
    common = compare.Comparison(_common(month.series))
    names = [each.name for each in common.series]
    correlation = common.correlation
    first, second = np.triu_indices(len(names), 1)
    tested = sharpe_difference.differences(common.excess)
    rows = pa.table(
        {
            "strategy": pa.array([names[i] for i in first], pa.string()),
            "other": pa.array([names[i] for i in second], pa.string()),
            "n_months": pa.array(np.full(len(first), len(common.dates)), pa.int64()),
            "correlation": pa.array(correlation[first, second], from_pandas=True),
            "sharpe_difference": pa.array(tested.difference[first, second], from_pandas=True),
            "p_value": pa.array(tested.p_value[first, second], from_pandas=True),
        }
    )
    known = correlation[first, second]
    basis = month.basis
    picture = charts_library.correlation_map(names, correlation, title=month.key, basis=basis)
    shown: dict[str, Any] = {"pairs": len(first)}
    if np.isfinite(known).any():
        shown["mean_correlation"] = float(np.nanmean(known))
    return rows, shown | {"correlations": present.picture(picture, "correlations of returns")}


ASSETS = [leaderboard, return_correlations]


def _common(series: list[compare.Series]) -> list[compare.Series]:
    return [*(compare.compare(series).series if len(series) > 1 else series)]


def _standing(month: Month, series: compare.Series) -> dict[str, Any]:
    """One row of the leaderboard."""
    said, found = month.metrics[series.name], series.metrics
    stored = month.inference.get(series.name)
    judged = {} if stored is None else _statistics(stored)
    n_trials = judged.get("n_trials")
    columns = [name for name in schemas.LEADERBOARD.columns if name in found]
    return {name: found[name] for name in columns} | {
        "strategy": series.name,
        "experiment_id": month.experiments[series.name],
        "price_basis": said["price_basis"],
        "benchmark": said["benchmark"],
        "first_date": series.dates[0].item(),
        "last_date": series.dates[-1].item(),
        "n_months": len(series.dates),
        "dsr_benchmark": judged.get("dsr"),
        "n_trials": None if n_trials is None else int(n_trials),
    }


def _statistics(rows: pa.Table) -> dict[str, float | None]:
    """Statistic -> value, of the returns over the benchmark."""
    return {
        row["statistic"]: row["value"]
        for row in rows.to_pylist()
        if row["returns"] == "benchmark" and row["value"] is not None
    }


def _said(month: Month) -> dict[str, Any]:
    """SYNTHETIC first, then which months are shown and who is missing."""
    said = present.synthetic(month.basis) | {"strategies": len(month.series)}
    if month.left_out:
        said["left_out"] = _by_name(month.left_out)
    return said


def _by_name(said: dict[str, str]) -> dg.MarkdownMetadataValue:
    """Strategies, as they are called, and what is said of each."""
    lines = (f"- {charts.escape_markdown(f'{name}: {words}')}" for name, words in said.items())
    return dg.MetadataValue.md("\n".join(lines))
