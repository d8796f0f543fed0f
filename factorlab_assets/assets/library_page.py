"""The library's page: everything of a month that is done, on one HTML page.

Belongs here: asset `library_page`, and reading what it shows. Does not: drawing it
(`reports.library_page`), or the library's tables (`library`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import schemas, universes
from factorlab_assets.assets.library import Month, library_asset
from factorlab_assets.assets.reporting import vintage
from factorlab_assets.core.panel import Basis, panel_from_table
from factorlab_assets.core.tables import by_strategy, records_table
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.compare import Series
from factorlab_assets.evaluation.frontier import Frontier, frontier
from factorlab_assets.evaluation.verdict import TOTAL
from factorlab_assets.files import write_file
from factorlab_assets.reports import library_page as page
from factorlab_assets.strategy_signals import Universe

INDEX = "index.html"
FIGURES = [name for name, kind in schemas.METRICS.columns.items() if kind in ("DOUBLE", "BIGINT")]
OF_COMBINATIONS = [
    name for name, kind in schemas.SWEEP_METRICS.columns.items() if kind in ("DOUBLE", "BIGINT")
]
Row = Mapping[str, Any]


@library_asset("metrics", "backtest_returns", "inference", "verdict", "tear_sheet", "sweep_metrics")
def library_page(month: Month) -> tuple[pa.Table, dict[str, Any]]:
    """data/reports/index.html of the month."""
    library = library_of(month)
    text = page.render(library)
    folder = month.settings.reports_path
    write_file(folder / INDEX, text)
    content = text.encode()
    row = {"path": INDEX, "sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}
    rows = records_table(schemas.LIBRARY_PAGE, [row | {"n_experiments": len(library.experiments)}])
    shown = {
        "experiments": len(library.experiments),
        "file": dg.MetadataValue.path(str(folder / INDEX)),
        "open": dg.MetadataValue.url((folder / INDEX).as_uri()),
    }
    return rows, shown


def library_of(month: Month) -> page.Library:
    """What the store has for the page."""
    found, why_not = _frontier(month)
    strategies = _strategies(month)
    return page.Library(
        month=month.key,
        price_basis=month.basis,
        is_synthetic=month.basis == "synthetic",
        experiments=[*strategies, *_combinations(month)],
        universe=found,
        universe_note=why_not,
        history=_history(month, [each.name for each in strategies]),
        notes=[
            vintage(month.version),
            *(f"left out {name}: {why}" for name, why in month.left_out.items()),
        ],
    )


def _strategies(month: Month) -> list[page.Experiment]:
    """The month's cells: figures over their own months, as `metrics` has them."""
    verdicts, links = _verdicts(month), _links(month)
    found = []
    for series in month.series:
        name = series.name
        judged = {
            row["statistic"]: row["value"]
            for row in month.inference.get(name, pa.table({})).to_pylist()
            if row["returns"] == "benchmark"
        }
        figures = {key: month.metrics[name][key] for key in FIGURES}
        figures |= {"dsr_benchmark": judged.get("dsr"), "n_trials": judged.get("n_trials")}
        missing = {} if name in verdicts else {"verdict": "none is stored: factorlab report"}
        if name not in links:
            missing["link"] = "no pages are stored: factorlab report"
        found.append(
            page.Experiment(
                name=name,
                experiment_id=month.experiments[name],
                figures=figures,
                dates=series.dates,
                net_return=series.net_return,
                link=links.get(name, ""),
                verdict=verdicts.get(name),
                missing=missing,
            )
        )
    return found


def _combinations(month: Month) -> list[page.Experiment]:
    """The combinations of the month's sweeps."""
    store = month.store
    sweeps = _readable(month, schemas.SWEEP_METRICS)
    rows = [
        row
        for row in (store.load(schemas.SWEEP_METRICS, sweeps).to_pylist() if sweeps else [])
        if row["status"] == "done"
    ]
    earned = store.trial_returns(row["experiment_id"] for row in rows)
    by_id = by_strategy(earned.rename_columns(["strategy", *earned.column_names[1:]]))
    found = []
    for row in rows:
        if row["experiment_id"] not in by_id:
            continue
        series = Series.from_table(row["combination"], by_id[row["experiment_id"]])
        found.append(
            page.Experiment(
                name=row["combination"],
                experiment_id=row["experiment_id"],
                figures={key: row[key] for key in OF_COMBINATIONS},
                dates=series.dates,
                net_return=series.net_return,
                sweep=row["strategy"],
                missing={
                    "verdict": "a combination has none: promote it",
                    "link": "a combination has no pages: promote it",
                },
            )
        )
    return found


def _readable(month: Month, table: schemas.Table, *, every: bool = False) -> list[str]:
    """Stored cells of a table, of the month or of every month, that may be read."""
    store = month.store
    keys = [record.partition for record in store.partitions(table)]
    own = [key for key in keys if every or key.startswith(f"{month.key}|")]
    return [key for key in own if key not in store.refusals(table, own)]


def _verdicts(month: Month) -> dict[str, page.Verdict]:
    """Strategy -> the total of its stored verdict."""
    keys = _readable(month, schemas.VERDICT)
    rows = month.store.load(schemas.VERDICT, keys).to_pylist() if keys else []
    return {
        row["strategy"]: page.Verdict(row["light"], row["grade"], row["score"], row["note"])
        for row in rows
        if row["component"] == TOTAL
    }


def _links(month: Month) -> dict[str, str]:
    """Strategy -> its page, relative to the index, where the file is there."""
    keys = _readable(month, schemas.TEAR_SHEET)
    rows = month.store.load(schemas.TEAR_SHEET, keys).to_pylist() if keys else []
    folder = month.settings.reports_path
    return {
        row["strategy"]: row["path"]
        for row in rows
        if row["format"] == "html" and (folder / row["path"]).exists()
    }


def _history(month: Month, names: Iterable[str]) -> dict[str, list[page.Refresh]]:
    """Strategy -> its figures as each month's data knew them."""
    wanted = set(names)
    keys = [k for k in _readable(month, schemas.METRICS, every=True) if k.split("|")[1] in wanted]
    rows = month.store.load(schemas.METRICS, keys).to_pylist() if keys else []
    found: dict[str, list[page.Refresh]] = {}
    for row in sorted(rows, key=lambda row: str(row["month"])):
        if row["segment"] == "full":
            figures = {key: row[key] for key in FIGURES}
            found.setdefault(row["strategy"], []).append(page.Refresh(row["month"], figures))
    return found


def _frontier(month: Month) -> tuple[Frontier | None, str]:
    """The frontier of the universe that the settings name, or why there is none."""
    named = universes.load_universes(month.settings.universes_path)
    try:
        who = universes.look_up(Universe(of=month.settings.universe), named, "settings").tickers
        if who is None:
            return None, "the universe is every ticker: no frontier is drawn of so many"
        rows = month.store.load(schemas.MONTHLY_RETURNS, [month.key])
        basis: Basis = "total_return" if month.basis == "total_return" else "close"
        own = panel_from_table(rows, basis).select(who)
        returns = np.full(own.price.shape, np.nan)
        returns[1:] = own.price[1:] / own.price[:-1] - 1.0
        return frontier(own.tickers.tolist(), own.dates, returns), ""
    except FactorLabError as error:  # a page without it is a page
        return None, str(error)
