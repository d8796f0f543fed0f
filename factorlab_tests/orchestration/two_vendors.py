"""Files of two invented vendors, and of what was paid: a small world of which all is known.

Belongs here: builders, no tests. Vendor one gives price-only closes in Stooq's per-symbol form, one
of them wrong at a month-end; vendor two gives the traded prices in its own form.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.prices import Inputs
from factorlab_assets.sources import vendor_csv
from factorlab_tests.orchestration.conftest import Project, failure, settings_in
from factorlab_tests.vendor_files import Traded

MONTH = "2020-06"
FIRST_DAY, LAST_DAY = dt.date(2019, 1, 2), dt.date(2020, 6, 30)
N_DAYS = 377
SPIKE = dt.date(2020, 1, 31)
"""A month-end on which vendor one's close of INC is a sixth too high; the next open denies it."""
SPIKE_TIMES = 1.16
LAST_GOOD, AFTER_SPIKE = dt.date(2020, 1, 30), dt.date(2020, 2, 3)

FROM_INPUTS = (
    "suspect_prices",
    "distribution_status",
    "price_basis",
    "price_quality",
    "adjusted_prices",
    "monthly_returns",
    "reconciliation",
    "revisions",
)
"""The tables of a month that follow from its versions and rules."""

PAYING = {"INC": 12, "BIG": 2, "IDX": 3}
NOTHING_PAID = {"STK": 4}
NO_LIST = {"NOL": 5}
TRADED = {
    ticker: Traded(seed, N_DAYS) for ticker, seed in (PAYING | NOTHING_PAID | NO_LIST).items()
}

_COMMON = "costs: {tc_bps: 0, slippage_bps: 0}\nbenchmark: IDX\n"
_TREND = (
    "description: last quarter's best\n"
    "factors: [{name: trend, params: {lookback: 3}, delay: 0}]\n"
    "portfolio: {select: {top_k: 1}}\n" + _COMMON
)
_HELD = "description: one fund, held\nuniverse: [BIG]\n" + _COMMON
LISTED, NOT_ALL_LISTED = "universe: [INC, BIG, STK]\n", "universe: [INC, BIG, NOL]\n"
STRATEGIES = {
    "closes": _TREND + LISTED + "price: close\n",
    "totals": _TREND + LISTED + "price: total_return\n",
    "unsaid": _TREND + LISTED,
    "unsaid_unlisted": _TREND + NOT_ALL_LISTED,
    "totals_unlisted": _TREND + NOT_ALL_LISTED + "price: total_return\n",
    "held_close": _HELD + "price: close\n",
    "held_total": _HELD + "price: total_return\n",
}


def spiked(traded: Traded) -> np.ndarray:
    """(4, days) vendor one's prices of INC: the close of one day too high, and so its high."""
    prices, at = traded.prices.copy(), traded.days.tolist().index(SPIKE)
    wrong = round(prices[3, at] * SPIKE_TIMES, 2)
    prices[3, at], prices[1, at] = wrong, max(wrong, prices[1, at])
    # The next session opens where the close should have been.
    opened = traded.prices[3, at]
    prices[0, at + 1] = opened
    prices[1, at + 1] = max(prices[1, at + 1], opened)
    prices[2, at + 1] = min(prices[2, at + 1], opened)
    return prices


def vendor_one(folder: Path, *, carrying: str = "") -> Path:
    """Stooq's per-symbol files; the closes of `carrying` carry all that was paid."""
    folder.mkdir(parents=True)
    for ticker, traded in TRADED.items():
        rows = traded.table(spiked(traded) if ticker == "INC" else traded.prices, traded.volume)
        if ticker == carrying:
            rows = traded.file(range(len(traded.at)))
        lines = ["Date,Open,High,Low,Close,Volume", *_lines(rows)]
        (folder / f"{ticker.lower()}_us_d.csv").write_text("\n".join(lines) + "\n")
    return folder


def _lines(rows: pa.Table) -> Iterator[str]:
    for row in rows.to_pylist():
        prices = ",".join(f"{row[name]:.10g}" for name in ("open", "high", "low", "close"))
        yield f"{row['date']},{prices},{row['volume']:.10g}"


def vendor_two(folder: Path, *, through: dt.date = LAST_DAY) -> Path:
    """The second vendor's files up to a day: traded prices and what was paid, newest first."""
    folder.mkdir(parents=True)
    for ticker, traded in TRADED.items():
        paid = dict(zip(traded.at.tolist(), traded.amount.tolist(), strict=True))
        lines = []
        for at, day in enumerate(d for d in traded.days.tolist() if d <= through):
            o, h, low, c = (f"{price:.2f}" for price in traded.prices[:, at])
            volume, amount = f"{traded.volume[at]:.0f}", paid.get(at, 0) * (ticker in PAYING)
            lines.append(f"{day},{o},{h},{low},{c},{c},{volume},{amount:.3f},1.0")
        text = "\n".join([vendor_csv.HEADER, *reversed(lines)])
        (folder / f"{ticker}.csv").write_text(text + "\n")
    return folder


def paid_list(path: Path) -> Path:
    """What was paid, each list complete to the last day; NOL has none."""
    lines = ["ticker,ex_date,amount"]
    for ticker in PAYING:
        traded = TRADED[ticker]
        days = traded.days[traded.at].tolist()
        lines += [f"{ticker},{d},{a:.3f}" for d, a in zip(days, traded.amount, strict=True)]
    lines += [f"{ticker},{LAST_DAY},0" for ticker in (*PAYING, *NOTHING_PAID)]
    path.write_text("\n".join(lines) + "\n")
    return path


def restated(project: Project) -> None:
    """Vendor one's next archive, `restated`: BIG's closes carry all that it paid."""
    if not (project.settings.root / "restated").exists():
        vendor_one(project.settings.root / "restated", carrying="BIG")


def ingest_one(project: Project, folder: str = "one") -> dg.ExecuteInProcessResult:
    """Ingest vendor one's files with what was paid."""
    root = project.settings.root
    result = project.market(
        MONTH,
        source="stooq-files",
        path=str(root / folder),
        distributions=str(root / "paid.csv"),
    )
    assert failure(result) == ""
    return result


def ingest_two(project: Project) -> None:
    """Ingest vendor two's files as the second ones."""
    path = str(project.settings.root / "two")
    result = project.market(MONTH, source="alphavantage", path=path, second=True)
    assert failure(result) == ""


@contextmanager
def world(folder: Path) -> Iterator[Project]:
    """A project with the files of both vendors and the strategies, nothing ingested."""
    settings = settings_in(folder, universe="small")
    for path in settings.strategies_path.iterdir():
        path.unlink()
    listed = "".join(f"    {ticker}: Equity\n" for ticker in TRADED)
    settings.universes_path.write_text(f"small:\n  tickers:\n{listed}")
    vendor_one(folder / "one")
    vendor_two(folder / "two")
    paid_list(folder / "paid.csv")
    with dg.instance_for_test() as instance:
        project = Project(
            settings.model_copy(update={"price_rules_file": folder / "rules.yaml"}), instance
        )
        for name, text in STRATEGIES.items():
            project.strategy(name, text)
        yield project


def copied(project: Project, folder: Path) -> Project:
    """The same project with a database and a rule file of its own."""
    rules, database = folder / "rules.yaml", folder / "factorlab.duckdb"
    shutil.copy(project.settings.database_path, database)
    if project.settings.price_rules_path.exists():
        shutil.copy(project.settings.price_rules_path, rules)
    own = {"price_rules_file": rules, "database": database}
    return replace(project, settings=project.settings.model_copy(update=own))


def current_inputs(project: Project) -> Inputs:
    """What the month's prices rest on now."""
    inputs = Inputs.current(project.store, project.settings, MONTH)
    assert inputs is not None
    return inputs


def rows(project: Project, table: str, **where: object) -> list[dict[str, Any]]:
    """A month table's rows in which each column has that value."""
    found = project.store.load(schemas.TABLES[table], [MONTH]).to_pylist()
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def fingerprints(project: Project) -> dict[str, str]:
    """Table -> what the month's rows in it were computed from."""
    tables = [schemas.TABLES[name] for name in FROM_INPUTS]
    return {t.name: r.fingerprint for t in tables for r in project.store.partitions(t)}


def traded(ticker: str, day: dt.date) -> float:
    """The close that was traded."""
    of = TRADED[ticker]
    return float(of.close[of.days.tolist().index(day)])
