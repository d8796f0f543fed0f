"""Small rows for tests of the store: cells of scores, a month of bars.

Belongs here: samples that a reader can verify in the head. Does not: assertions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from factorlab_assets.sources.base import PRICE_SCHEMA, Coverage, Fetched
from factorlab_assets.store import Experiment, Store, Verdict, Version

MONTH = "2024-05"


def cell_key(name: str) -> str:
    return f"{MONTH}|{name}"


def scores(*cells: str, value: float = 1.0, n_days: int = 2) -> pa.Table:
    """Per cell: tickers A and B on the first days of 2024, A's score `value`, B's twice it."""
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(n_days)]
    rows = [(cell, day, ticker) for cell in cells for day in days for ticker in ("A", "B")]
    return pa.table(
        {
            "month": [MONTH] * len(rows),
            "strategy": [cell for cell, _, _ in rows],
            "date": pa.array([day for _, day, _ in rows], pa.date32()),
            "ticker": [ticker for *_, ticker in rows],
            "score": [value * (1 + (ticker == "B")) for *_, ticker in rows],
        }
    )


def changed(rows: pa.Table, row: int, **values: Any) -> pa.Table:
    """`rows` with some columns of one row changed."""
    said = rows.to_pylist()
    said[row] |= values
    return pa.Table.from_pylist(said, schema=rows.schema)


def bars(*tickers: str, close: float = 10.0) -> pa.Table:
    """Three bars per ticker, the last three sessions of May 2024."""
    rows = [
        {"ticker": t, "date": dt.date(2024, 5, day), "open": close, "high": close + 1}
        | {"low": close - 1, "close": close, "volume": None if day == 31 else 100.0}
        for t in tickers
        for day in (29, 30, 31)
    ]
    return pa.Table.from_pylist(rows, schema=PRICE_SCHEMA)


def paid(amount: float = 0.5, split: float = 1.0, month: int = 5) -> pa.Table:
    """One distribution of ticker A on the 30th of a month of 2024."""
    said = {"ticker": ["A"], "ex_date": [dt.date(2024, month, 30)]}
    return pa.table(said | {"amount": [amount], "split": [split]})


def size(value: float = 1.0, known: int = 10, panel: str = "size") -> pa.Table:
    """One number of ticker A at the end of April 2024, known on a day of May."""
    said = {"panel": [panel], "ticker": ["A"], "date": [dt.date(2024, 4, 30)]}
    return pa.table(said | {"date_avail": [dt.date(2024, 5, known)], "value": [value]})


def ingest(
    store: Store,
    prices: pa.Table | Path,
    *,
    month: str = MONTH,
    source: str = "stooq-files",
    distributions: pa.Table | None = None,
    characteristics: pa.Table | None = None,
    last_available: dt.date | None = None,
    role: str = "primary",
    replace_source: bool = False,
    verdicts: Sequence[Verdict] = (
        Verdict("", "coverage", True),
        Verdict("", "freshness", True),
    ),
) -> Version:
    """Add a version of `prices`, everything else as it usually is."""
    return store.add_version(
        month,
        Fetched(prices, [Coverage("A", "ok", n_rows=3)], last_available=last_available),
        source=source,
        price_basis="close",
        distributions=distributions,
        characteristics=characteristics,
        observed_at=dt.datetime(2024, 6, 1),
        is_survivors=False,
        role=role,
        replace_source=replace_source,
        verdicts=verdicts,
    )


def returns(*experiment_ids: str, net: float = 0.01) -> pa.Table:
    """Rows of `trial_returns`: April and May 2024, `net` earned in each."""
    n = 2 * len(experiment_ids)
    ids = [id_ for id_ in experiment_ids for _ in range(2)]
    days = [dt.date(2024, 4, 30), dt.date(2024, 5, 31)] * len(experiment_ids)
    said = {"experiment_id": pa.array(ids, pa.string()), "date": pa.array(days, pa.date32())}
    figures = {"gross_return": net + 0.001, "cost": 0.001, "net_return": net, "turnover": 1.0}
    figures |= {"rf": 0.0, "benchmark_return": 0.005}
    return pa.table(said | {name: [value] * n for name, value in figures.items()})


def experiment(
    experiment_id: str,
    version: str = "2024-05-0123456789ab",
    *,
    strategy: str = "trend",
    config_hash: str = "c",
    config: str = "{}",
    sweep: str = "",
) -> Experiment:
    return Experiment(
        experiment_id=experiment_id,
        month=MONTH,
        strategy=strategy,
        data_version_id=version,
        config_hash=config_hash,
        code_version="k",
        config=config,
        sweep=sweep,
        prices='{"actions":{},"second":null}',
        git_commit="unknown",
    )
