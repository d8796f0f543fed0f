"""A strategy on a panel, run through the pure functions into what its pages are drawn from.

Belongs here: the order of the steps, as the assets take them, without a store. Does not: which
strategies and panels (`sheets`), or the evaluation tables (`sheet_tables`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets import strategy as files
from factorlab_assets.core import factors, research, tables
from factorlab_assets.core.daily import DailyPrices
from factorlab_assets.core.panel import panel_from_table
from factorlab_assets.core.returns import bars_beside, daily_basis, monthly_returns
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.reports.sheet import Identity, Sheet
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.strategy import Resolved
from factorlab_assets.universes import load_universes
from factorlab_assets.verdict_settings import EQUAL_WEIGHT
from factorlab_tests.sheet_tables import DATA, Case, evaluated, verdict_settings

MONTH, FIRST, LAST = "2024-05", dt.date(2004, 5, 3), dt.date(2024, 5, 31)
"""Twenty years of months whose returns are known."""
UNIVERSE = "etf13"


@cache
def asset_classes() -> dict[str, str]:
    """Ticker -> class of the shipped universe."""
    return dict(load_universes(DATA / "universes.yaml")[UNIVERSE].tickers)


@cache
def merge() -> dict[str, str]:
    """Small class -> larger of the shipped universe."""
    return dict(load_universes(DATA / "universes.yaml")[UNIVERSE].merge)


@cache
def _prices() -> pa.Table:
    return Synthetic(asset_classes(), seed=7).fetch(None, LAST).prices


@contextmanager
def _bars() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the synthetic source's bars, none of them repaired, as `bars`."""
    with duckdb.connect() as con:
        con.register("prices", _prices())
        con.execute(
            "CREATE TABLE bars AS SELECT *, close AS seen, 1.0::DOUBLE AS growth, NULL::DATE AS "
            f"known_at, close * volume AS dollar_volume FROM prices WHERE date >= '{FIRST}'"
        )
        yield con


@cache
def market(days_before: int = 0) -> SharedPanel:
    """The synthetic source's last twenty years with daily bars, on months that end so many sessions
    early."""
    with _bars() as con:
        monthly = monthly_returns(con, "bars", MONTH, days_before=days_before)
        panel = panel_from_table(monthly, "close", days_before=days_before)
        of = panel.dates, panel.tickers.tolist()
        bars = bars_beside(con, "bars", "close", *of, days_before=days_before)
    return SharedPanel.of(replace(panel, bars=bars))


@cache
def daily_prices() -> DailyPrices:
    """The same, day by day."""
    with _bars() as con:
        return daily_basis(con, "bars", "close", list(asset_classes()), LAST)


def shipped(name: str) -> Resolved:
    """A strategy that ships."""
    good, _ = files.load_strategies(DATA / "strategies", factors.complete)
    return files.resolve(good[name], load_universes(DATA / "universes.yaml"), good)


@cache
def baselines() -> dict[str, Resolved]:
    """The strategies that the shipped verdict file compares with."""
    names = verdict_settings().baselines
    return {name: shipped(name) for name in names if name != EQUAL_WEIGHT}


def sheet_of(case: Case) -> Sheet:
    """All tables of a strategy as the store would hold them, less month and strategy."""
    resolved = case.resolved
    result = research.run(resolved, case.market, case.daily)
    measured = research.measure(
        resolved, result.backtest, result.daily, price_basis="synthetic", caveats="backfilled"
    )
    name, panel = resolved.name, result.panel
    assert result.members is not None
    found = {
        "memberships": tables.members_table([(name, panel, result.members)]),
        "factor_signals": tables.signals_table([(name, panel, result.signals)]),
        "scores": tables.scores_table([(name, panel, result.score)]),
        "weights": tables.weights_table([(name, panel, result.book)]),
        "backtest_returns": tables.backtest_table([(name, result.backtest)]),
        "metrics": tables.metrics_table([(name, measured)]),
    }
    if result.daily is not None:
        found["daily_returns"] = tables.daily_table([(name, result.daily)])
    for table, rows in evaluated(case, result, measured).items():
        if rows or schemas.TABLES[table].may_be_empty:
            found[table] = records(table, rows)
    missing = {} if case.daily else {"daily_returns": "no daily prices in this sample"}
    missing |= case.skipped
    identity = _identity(case, result, {table: rows.num_rows for table, rows in found.items()})
    of_store = {table: as_stored(table, rows) for table, rows in found.items()}
    return Sheet(identity, of_store, missing, dict(case.asset_classes))


def records(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows that a pure function made, held against the table's schema as a write would."""
    made = tables.records_table(
        schemas.TABLES[table], [{**row, "strategy": "test"} for row in rows]
    )
    stray = {key for row in rows for key in row} - set(made.column_names)
    assert not stray, f"{table} has no columns {stray}"
    if rows:
        frame = made.add_column(0, "month", pa.repeat(MONTH, made.num_rows)).to_pandas()
        whole = [n for n, kind in schemas.TABLES[table].columns.items() if kind == "BIGINT"]
        nullable = schemas.TABLES[table].schema.columns
        frame = frame.astype({n: "Int64" for n in whole if nullable[n].nullable})
        schemas.TABLES[table].schema.validate(frame)
        assert not frame.duplicated(list(schemas.TABLES[table].primary_key)).any()
    return made


def as_stored(table: str, rows: pa.Table) -> pa.Table:
    """The rows in the order of their key, less month and strategy."""
    key = [name for name in schemas.TABLES[table].primary_key if name not in ("month", "strategy")]
    own = [name for name in rows.column_names if name not in ("month", "strategy")]
    return rows.select(own).sort_by([(name, "ascending") for name in key])


def _identity(case: Case, result: research.Result, counts: Mapping[str, int]) -> Identity:
    said = case.resolved.strategy
    return Identity(
        strategy=said.name,
        description=said.description,
        month=MONTH,
        experiment_id="0123456789abcdef",
        data_version_id=f"{MONTH}-1f0c9b2a77e4",
        source="synthetic",
        observed="2024-06-03 (backfilled)",
        config_hash=case.resolved.config_hash,
        code_version="89abcdef01234567",
        git_commit="0" * 40,
        price_basis="synthetic",
        rf_label=research.rf_label(said.cash, result.backtest),
        benchmark=said.benchmark,
        caveats="backfilled",
        config=case.config,
        lineage={table: f"{count:016x}" for table, count in sorted(counts.items())},
    )
