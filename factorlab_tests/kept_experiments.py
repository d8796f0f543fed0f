"""Finished experiments in a store, made without Dagster: what `verify` and `diff` look back at.

Belongs here: small prices, a strategy, and recording what it earns on them. Does not: assertions.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets import identity, schemas, verify
from factorlab_assets.core.trial_rows import of_backtests
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.prices import Inputs
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.store import Experiment, Store, Verdict
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import resolved_of, strategy_of
from factorlab_tests.store_samples import ingest

TICKERS = ("A", "B", "C", "SPY")


def month_bars(month: str = "2024-05", *, up: float = 0.0, volume: float = 100.0) -> pa.Table:
    """A bar per ticker and weekday up to a month's end, random walks; each grows by `up` more."""
    last = np.datetime64(month, "M") + 1
    days = np.arange(np.datetime64("2022-10-03"), last.astype("datetime64[D]"))
    days = days[np.is_busday(days)]
    rng = np.random.default_rng(11)  # ever the same walk, however far it is told
    steps = 0.01 * rng.standard_normal((600, len(TICKERS)))[: len(days)] + up
    close = (50.0 * np.exp(np.cumsum(steps, axis=0))).ravel(order="F")
    n = len(days)
    said: dict[str, Any] = {"ticker": np.repeat(TICKERS, n), "date": np.tile(days, len(TICKERS))}
    said |= {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    said["volume"] = np.full(len(close), volume)
    return pa.table(
        {
            name: pa.array(said[name].tolist(), PRICE_SCHEMA.field(name).type)
            for name in PRICE_SCHEMA.names
        }
    )


def inputs_of(store: Store, month: str = "2024-05", **said: Any) -> Inputs:
    """The prices of a month, ingested."""
    return Inputs(ingest(store, month_bars(month, **said), month=month), None, PriceRules())


def momentum(name: str = "momentum", *, top_k: int = 2, lookback: int = 3, **said: Any) -> Resolved:
    """The best of A, B and C over some months, the last of them left out."""
    factor = {"name": "xsmom", "params": {"lookback": lookback, "skip": 1}, "delay": 0}
    portfolio = {"select": {"top_k": top_k}, "min_names": 2}
    strategy = strategy_of(factors=[factor], portfolio=portfolio, **said)
    return resolved_of(strategy.model_copy(update={"name": name}), ("A", "B", "C"))


def experiment_of(inputs: Inputs, resolved: Resolved, code: str, sweep: str = "") -> Experiment:
    named = inputs.named_by(code)
    return Experiment(
        experiment_id=identity.experiment_id(resolved.config_hash, named, code),
        month=inputs.version.month,
        strategy=resolved.name,
        data_version_id=inputs.version.data_version_id,
        config_hash=resolved.config_hash,
        code_version=code,
        config=resolved.config_json,
        prices=inputs.record,
        git_commit="unknown",
        sweep=sweep,
    )


def keep_cell(store: Store, inputs: Inputs, resolved: Resolved, code: str = "") -> str:
    """Compute a cell and record it with all its tables, as done by `code`; its experiment's id."""
    experiment = experiment_of(inputs, resolved, code or identity.code_version())
    id_, cell = experiment.experiment_id, f"{experiment.month}|{resolved.name}"
    store.begin_attempts([experiment], "run")
    rows = verify.recompute(store, inputs, resolved)
    for name, said in rows.items():
        table = schemas.TABLES[name]
        passed = [Verdict(cell, check, True) for check in table.checks[1:]]
        store.write_partitions(table, said, {cell: id_}, passed)
    detail = store.contents([cell], list(rows))[cell]
    earned = of_backtests(rows["backtest_returns"], {resolved.name: id_})
    store.end_attempts([(id_, "done", json.dumps(detail))], "run", earned)
    return id_


def keep_combination(store: Store, inputs: Inputs, resolved: Resolved, code: str = "") -> str:
    """Compute a sweep's combination and record it, as done by `code`; its experiment's id."""
    experiment = experiment_of(inputs, resolved, code or identity.code_version(), sweep="sweep")
    id_ = experiment.experiment_id
    store.begin_attempts([experiment], "run")
    earned = verify.earned(store, inputs, resolved, id_, as_batch=True)
    detail = {verify.RETURNS: store.returns_hashes(earned)[id_]}
    store.end_attempts([(id_, "done", json.dumps(detail))], "run", earned)
    return id_


def behind_its_back(store: Store, statement: str) -> None:
    """Change the database as no part of FactorLab does."""
    with duckdb.connect(store.path) as con:
        con.execute(statement)
