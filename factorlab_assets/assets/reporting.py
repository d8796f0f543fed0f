"""The report assets: what the pages of an experiment show beside its own tables, and the pages.

Belongs here: group `evaluation`'s part that reports read: one function per table, and `tear_sheet`.
Does not: the mathematics (`evaluation`), drawing (`reports`), or the library's page (`library`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import prices, schemas, strategy, universes
from factorlab_assets.assets import present
from factorlab_assets.assets.batch import evaluation_asset, strategy_files
from factorlab_assets.assets.cells import Cell, Month
from factorlab_assets.assets.evaluation import (
    backtest_of,
    book_of,
    cell_rows,
    equal_weight,
    members_of,
    table_of,
)
from factorlab_assets.core import research, signals, tables
from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation import (
    contributions as parts,
)
from factorlab_assets.evaluation import (
    diagnostics,
    performance_tables,
    verdict_inputs,
)
from factorlab_assets.evaluation import (
    exposures as betas,
)
from factorlab_assets.evaluation import (
    verdict as judging,
)
from factorlab_assets.files import write_bytes
from factorlab_assets.reports import tear_sheet_html, tear_sheet_pdf
from factorlab_assets.reports.sheet import Identity, Sheet
from factorlab_assets.store import Version
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_signals import Universe
from factorlab_assets.universes import ASSET_CLASS
from factorlab_assets.verdict_settings import load_verdict

Row = Mapping[str, Any]
MARKET = "SPY"
SHOWN = (
    "memberships",
    "factor_signals",
    "scores",
    "weights",
    "backtest_returns",
    "daily_returns",
    "metrics",
    "inference",
    "regime_metrics",
    "feasibility",
    "robustness",
    "rolling_metrics",
    "calendar_returns",
    "drawdowns",
    "contributions",
    "notable_months",
    "exposures",
    "factor_diagnostics",
    "verdict",
)
"""Tables that a page is drawn from."""
NOT_DRAWN = ("memberships", "factor_signals", "scores")
"""Of these only the content hash is on the page."""


@evaluation_asset("backtest_returns")
def rolling_metrics(month: Month) -> pa.Table:
    """Three years at a time."""

    def made(cell: Cell) -> Sequence[Row]:
        backtest = backtest_of(month, cell)
        market = _earned_by(month, cell, MARKET, backtest.dates)
        return performance_tables.rolling(backtest, market)

    return cell_rows(schemas.ROLLING_METRICS, month.each(made))


@evaluation_asset("backtest_returns")
def calendar_returns(month: Month) -> pa.Table:
    """Year by year."""
    done = month.each(lambda cell: performance_tables.calendar_years(backtest_of(month, cell)))
    for cell, rows in done:
        month.show(cell, years=table_of(rows, ["year", "net_return", "benchmark_return"]))
    return cell_rows(schemas.CALENDAR_RETURNS, done)


@evaluation_asset("backtest_returns")
def drawdowns(month: Month) -> pa.Table:
    """How deep, and how long."""
    done = month.each(lambda cell: performance_tables.drawdowns(backtest_of(month, cell)))
    for cell, rows in done:
        columns = ["peak", "trough", "recovery", "depth", "n_months"]
        month.show(cell, deepest=table_of(rows[:5], columns))
    return cell_rows(schemas.DRAWDOWNS, done)


@evaluation_asset("weights", "backtest_returns", reads_bars=True)
def contributions(month: Month) -> pa.Table:
    """What each ticker, cash and costs added: they sum to the growth."""

    def made(cell: Cell) -> Sequence[Row]:
        return parts.contributions(*_held(month, cell))

    done = month.each(made)
    for cell, rows in done:
        largest = sorted(rows, key=lambda row: -abs(float(row["contribution"])))
        columns = ["item", "asset_class", "contribution", "mean_weight"]
        month.show(cell, largest=table_of(largest[:8], columns))
    return cell_rows(schemas.CONTRIBUTIONS, done)


@evaluation_asset("weights", "backtest_returns", reads_bars=True)
def notable_months(month: Month) -> pa.Table:
    """The best and the worst, with what was held."""
    done = month.each(lambda cell: parts.notable_months(*_held(month, cell)))
    return cell_rows(schemas.NOTABLE_MONTHS, done)


@evaluation_asset("memberships", "backtest_returns")
def exposures(month: Month) -> pa.Table:
    """What the returns move with."""

    def made(cell: Cell) -> Sequence[Row]:
        return betas.exposures(
            backtest_of(month, cell),
            month.everything(cell),
            cell.resolved.asset_classes,
            _styles(month, cell),
            benchmark=cell.resolved.strategy.benchmark,
        )

    done = month.each(made)
    for cell, rows in done:
        month.show(cell, betas=table_of(rows, ["model", "factor", "beta", "t_value"]))
    return cell_rows(schemas.EXPOSURES, done)


@evaluation_asset("memberships", "factor_signals", "scores")
def factor_diagnostics(month: Month) -> pa.Table:
    """What each signal said of the months after it."""

    def made(cell: Cell) -> Sequence[Row]:
        panel = signals.universe(cell.resolved, month.market(cell))
        keys = [factor.key for factor in cell.resolved.strategy.factors]
        known = tables.signals_from_table(month.rows("factor_signals", cell), panel, keys)
        score = tables.scores_from_table(month.rows("scores", cell), panel)
        return diagnostics.diagnostics(known, score, panel, members_of(month, cell).allowed)

    done = month.each(made)
    for cell, rows in done:
        first = [row for row in rows if str(row["statistic"]).startswith("ic_")]
        month.show(cell, information=table_of(first, ["factor", "statistic", "value"]))
    return cell_rows(schemas.FACTOR_DIAGNOSTICS, done)


@evaluation_asset(
    *("memberships", "weights", "backtest_returns", "metrics"),
    *("inference", "robustness", "calendar_returns"),
    reads_bars=True,
)
def verdict(month: Month) -> pa.Table:
    """Seven components, a grade and a light, with the reasons in words."""
    settings = load_verdict(month.settings.verdict_path)
    named = universes.load_universes(month.settings.universes_path)
    everyone = universes.look_up(Universe(of="all"), named, "verdict")
    others = _baselines(month, settings.baselines, named)
    asked = ("metrics", "inference", "robustness", "calendar_returns")

    def made(cell: Cell) -> Sequence[Row]:
        backtest = backtest_of(month, cell)
        beside = [each for each in others.values() if not isinstance(each, str)]
        inputs = verdict_inputs.gather(
            cell.resolved,
            month.market_with_bars(cell, beside),
            book_of(month, cell),
            backtest,
            settings,
            {name: month.rows(name, cell).to_pylist() for name in asked},
            equal_weight=equal_weight(month, cell, backtest.dates),
            strategies=others,
            styles=_styles(month, cell),
            classes=cell.resolved.asset_classes or everyone.groups[ASSET_CLASS],
            merge=cell.resolved.merge or everyone.merge,
            vintage=vintage(month.version),
        )
        return judging.score_v1(inputs, settings, month.judge_by)

    done = month.each(made)
    for cell, rows in done:
        month.show(cell, **_verdict_shown(rows))
    return cell_rows(schemas.VERDICT, done)


@evaluation_asset(
    *("backtest_returns", "metrics"),
    deps=[name for name in SHOWN if name not in ("backtest_returns", "metrics")],
)
def tear_sheet(month: Month) -> pa.Table:
    """An HTML and a PDF file of everything that is stored of the experiment."""

    def made(cell: Cell) -> Sequence[Row]:
        sheet = sheet_of(month, cell)
        pages = {
            "html": tear_sheet_html.render(sheet).encode(),
            "pdf": tear_sheet_pdf.render(sheet),
        }
        rows = []
        for form, content in pages.items():
            path = Path(month.version.month) / f"{cell.name}.{form}"
            write_bytes(month.settings.reports_path / path, content)
            said = {"format": form, "path": path.as_posix(), "n_bytes": len(content)}
            said["sha256"] = hashlib.sha256(content).hexdigest()
            rows.append(said | {"experiment_id": cell.experiment_id})
        total = [row for row in sheet.rows("verdict") if row["component"] == judging.TOTAL]
        month.show(cell, **_pages_shown(month, rows, total, sheet.missing))
        return rows

    return cell_rows(schemas.TEAR_SHEET, month.each(made))


ASSETS = [
    rolling_metrics,
    calendar_returns,
    drawdowns,
    contributions,
    notable_months,
    exposures,
    factor_diagnostics,
    verdict,
    tear_sheet,
]


def sheet_of(month: Month, cell: Cell) -> Sheet:
    """What is stored of a cell, and why what is not there is missing."""
    found: dict[str, pa.Table] = {}
    missing: dict[str, str] = {}
    with month.store.read():  # opened once for all that follows
        for name in SHOWN:
            rows = month.refusal(name, cell) if name in NOT_DRAWN else month.stored(name, cell)
            if isinstance(rows, str):
                missing[name] = rows
            elif rows is not None:
                found[name] = rows.drop_columns(["month", "strategy"])
        lineage = month.store.contents([cell.key], [name for name in SHOWN if name not in missing])
    identity = _identity(month, cell, lineage.get(cell.key, {}))
    return Sheet(identity, found, missing, cell.resolved.asset_classes)


def vintage(version: Version) -> str:
    """Where prices come from, when they were observed, and whether they know what came later."""
    return f"{version.source}, observed {_observed(version)}"


def _observed(version: Version) -> str:
    backfilled = ", backfilled" if version.is_backfilled else ""
    return f"{version.observed_at:%Y-%m-%d}{backfilled}"


def _identity(month: Month, cell: Cell, lineage: Mapping[str, str]) -> Identity:
    experiment, version = cell.experiment, month.version
    said, choice = cell.resolved.strategy, month.choice(cell)
    file = month.settings.strategies_path / f"{cell.name}.yaml"
    return Identity(
        strategy=cell.name,
        description=said.description,
        month=version.month,
        experiment_id=experiment.experiment_id,
        data_version_id=version.data_version_id,
        source=version.source,
        observed=_observed(version),
        config_hash=experiment.config_hash,
        code_version=experiment.code_version,
        git_commit=experiment.git_commit,
        price_basis=choice.label,
        rf_label=said.cash.label,
        benchmark=said.benchmark,
        caveats=prices.caveats(version, cell.resolved, choice),
        config=file.read_text(encoding="utf-8") if file.exists() else experiment.config,
        lineage=lineage,
    )


def _held(month: Month, cell: Cell) -> tuple[Resolved, Any, Any, Any]:
    panel = signals.universe(cell.resolved, month.market(cell))
    return cell.resolved, panel, book_of(month, cell), backtest_of(month, cell)


def _styles(month: Month, cell: Cell) -> dict[str, Floats]:
    """Style returns within the cell's universe, on its market's dates."""
    panel = signals.universe(cell.resolved, month.market(cell))
    return betas.style_returns(panel, members_of(month, cell).allowed)


def _earned_by(month: Month, cell: Cell, ticker: str, dates: Any) -> Floats:
    """What a ticker earned in the months that end at these dates."""
    market = month.everything(cell)
    said = cell.resolved.strategy.model_copy(update={"benchmark": ticker})
    other = cell.resolved.model_copy(update={"strategy": said, "benchmark": None})
    returns = research.benchmark_returns(other, market)
    return np.asarray(returns[np.isin(market.dates, dates)])


def _baselines(
    month: Month, names: Sequence[str], named: Mapping[str, universes.NamedUniverse]
) -> dict[str, Resolved | str]:
    """The verdict's baselines as strategies, or why one is not there."""
    good, bad = strategy_files(month.settings.strategies_path)
    found: dict[str, Resolved | str] = {}
    for name in names:
        if f"{name}.yaml" in bad:
            found[name] = str(bad[f"{name}.yaml"])
        elif name in good:
            found[name] = strategy.resolve(good[name], named, good)
        else:
            found[name] = "there is no such strategy file"
    return found


def _verdict_shown(rows: Sequence[Row]) -> dict[str, Any]:
    (total,) = (row for row in rows if row["component"] == judging.TOTAL)
    shown = {"light": total["light"], "grade": total["grade"], "reasons": total["note"]}
    if np.isfinite(total["score"]):
        shown["composite"] = round(float(total["score"]), 2)
    columns = ["component", "value", "score", "weight", "weight_used"]
    return shown | {"components": table_of(rows, columns)}


def _pages_shown(
    month: Month, rows: Sequence[Row], total: Sequence[Row], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Where the pages are, the verdict, and what they lack."""
    folder = month.settings.reports_path
    shown: dict[str, Any] = {}
    for row in total:
        shown |= {"light": row["light"], "grade": row["grade"], "reasons": row["note"]}
    for row in rows:
        shown[row["format"]] = dg.MetadataValue.path(str(folder / row["path"]))
        shown[f"{row['format']}_bytes"] = row["n_bytes"]
    shown["open"] = dg.MetadataValue.url((folder / rows[0]["path"]).as_uri())
    if missing:
        shown["missing"] = present.figures(missing)
    return shown
