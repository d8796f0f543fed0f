"""Sheets to draw pages from: an ordinary one, and every odd one that a page has to bear.

Belongs here: builders that the tests of pages share, each made once per process. Does not: running
a strategy (`sheet_runs`), or pages.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pyarrow as pa
import yaml

from factorlab_assets import schemas
from factorlab_assets.reports.sheet import Sheet
from factorlab_tests import sheet_runs
from factorlab_tests.sheet_tables import DATA, Case
from factorlab_tests.small_panels import daily_market, panel_of, resolved_of, strategy_of

OTHERS = ("faber_10m", "equal_weight_13", "gtaa_top3")
TREND = [{"name": "trend", "params": {"lookback": 2}, "delay": 0}]
_RATES = {"AAA": 1.01, "BBB": 1.02}
SCRIPT = "<script>alert('x')</script>"
ODD = (
    f"{SCRIPT} \"double\" 'single' `code` [link](javascript:alert(1)) **bold** | pipe | </style>"
    " <img src=x onerror=alert(2)> &amp; {{ 7*7 }} {% raw %} ${x} \u202ertl\u202c \u2028 \u2029"
    " \u0007 \u200b ]]> --> $\\frac{a}{b}$ _^% \\ é 漢字 🙂"
)
"""What escapes markup, scripts, templates, markdown and TeX; and turns, breaks and rings."""


@cache
def full(name: str = "trend_12m") -> Sheet:
    """A shipped strategy on twenty synthetic years."""
    return sheet_runs.sheet_of(
        Case(
            sheet_runs.shipped(name),
            sheet_runs.market(),
            sheet_runs.daily_prices(),
            [sheet_runs.shipped(other) for other in OTHERS],
            sheet_runs.baselines(),
            sheet_runs.market,
            sheet_runs.asset_classes(),
            sheet_runs.merge(),
            config=(DATA / "strategies" / f"{name}.yaml").read_text(),
        )
    )


@cache
def divided() -> Sheet:
    """The ordinary one with a month that divides it: metrics in and out of sample."""
    resolved = sheet_runs.shipped("trend_12m")
    said = resolved.strategy.model_copy(update={"in_sample_until": "2016-12"})
    resolved = resolved.model_copy(update={"strategy": said})
    skipped = dict.fromkeys(("feasibility", "robustness"), "left out of this sample")
    days, classes = sheet_runs.daily_prices(), sheet_runs.asset_classes()
    case = Case(resolved, sheet_runs.market(), days, asset_classes=classes, skipped=skipped)
    return sheet_runs.sheet_of(case)


@cache
def short() -> Sheet:
    """Three months: too few for most figures."""
    prices = {"AAA": [10, 11, 12, 11, 13, 14], "BBB": [20, 20, 21, 23, 22, 24]}
    prices |= {"SPY": [30, 31, 30, 32, 33, 32]}
    return _small(prices, {"select": {"top_k": 2}}, "short")


@cache
def nothing_held() -> Sheet:
    """Every price only falls and nothing falling is held: cash at nothing, no trade, every month
    exactly 0."""
    falling = {name: [100 * 0.97**t for t in range(40)] for name in ("AAA", "BBB", "SPY")}
    select = {"top_k": 1, "only_positive": "trend"}
    return _small(falling, {"select": select}, "nothing_held")


@cache
def ruined() -> Sheet:
    """Twice its capital in two tickers that halve: a month of −100 %, after which there is none."""
    rising = {name: [100 * rate**t for t in range(30)] for name, rate in _RATES.items()}
    prices = {name: [*path, path[-1] / 2.0, path[-1]] for name, path in rising.items()}
    portfolio = {"select": {"top_k": 2}, "gross": 2.0}
    return _small(prices | {"SPY": [50.0] * 32}, portfolio, "ruined")


@cache
def one_ticker() -> Sheet:
    """A universe of one, which is its own benchmark."""
    panel, daily = daily_market(60, ["SPY"], seed=5)
    said = strategy_of(
        name="one_ticker", factors=TREND, portfolio={"min_names": 1}, benchmark="SPY"
    )
    classes = {"SPY": "Equity"}
    return sheet_runs.sheet_of(
        Case(resolved_of(said, ["SPY"]), panel, daily, asset_classes=classes)
    )


@cache
def many_tickers() -> Sheet:
    """Five hundred tickers in eleven classes, fifty held at a time, over five years."""
    names = [f"X{i:04d}" for i in range(500)]
    panel, daily = daily_market(61, names, seed=9)
    said = strategy_of(
        name="many_tickers",
        description="The best tenth of many.",
        factors=TREND,
        portfolio={"select": {"fraction": 0.1}},
        costs={"tc_bps": 5.0, "slippage_bps": 5.0},
        benchmark="equal_weight",
    )
    classes = {name: f"Sector {i % 11 + 1}" for i, name in enumerate(names)}
    skipped = dict.fromkeys(("feasibility", "robustness"), "left out of this sample")
    case = Case(resolved_of(said, names), panel, daily, asset_classes=classes, skipped=skipped)
    return sheet_runs.sheet_of(case)


@cache
def hostile() -> Sheet:
    """Markup, quotes, markdown, TeX, templates and control characters wherever a text may be what
    somebody wrote: description, classes, factor labels, tickers, configuration, notes, reasons."""
    names = ["A.B-C_D=E", "^GSPC", "SPY", "X" * 32]
    panel, daily = daily_market(48, sorted(names), seed=11)
    said = strategy_of(
        name="a.-_" + "b" * 76,
        description=ODD,
        factors=TREND,
        portfolio={"select": {"top_k": 2}},
        costs={"tc_bps": 5.0, "slippage_bps": 5.0},
    )
    classes = dict(zip(sorted(names), (SCRIPT, "a'b\"c", "{{ 7*7 }}", "\u202eytiuqE"), strict=True))
    text = yaml.safe_dump({"description": ODD, "note": SCRIPT}, allow_unicode=True)
    own = {"asset_classes": classes, "skipped": {"feasibility": ODD}, "config": text}
    sheet = sheet_runs.sheet_of(Case(resolved_of(said, names), panel, daily, **own))
    identity = replace(sheet.identity, source=ODD, caveats=ODD, observed=ODD, rf_label=ODD)
    tables = {table: _with_odd_texts(table, rows) for table, rows in sheet.tables.items()}
    return replace(sheet, identity=identity, tables=tables)


@cache
def all_nan() -> Sheet:
    """The full sheet where no figure is known that may be unknown."""
    sheet = full()
    tables = {table: _unknown(table, rows) for table, rows in sheet.tables.items()}
    return replace(sheet, tables=tables)


@cache
def empty() -> Sheet:
    """An experiment of which nothing is stored."""
    sheet = full()
    return replace(sheet, tables={}, missing=dict.fromkeys(sheet.tables, "never computed"))


def without(sheet: Sheet, table: str, reason: str) -> Sheet:
    """The sheet less one table, which is missing for that reason."""
    left = {name: rows for name, rows in sheet.tables.items() if name != table}
    return replace(sheet, tables=left, missing={**sheet.missing, table: reason})


ALL = {
    made.__name__: made
    for made in (
        full,
        divided,
        short,
        nothing_held,
        ruined,
        one_ticker,
        many_tickers,
        hostile,
        all_nan,
        empty,
    )
}
"""Name -> builder of every sheet."""


def _small(prices: dict[str, Any], portfolio: dict[str, Any], name: str) -> Sheet:
    """A strategy on prices that can be read, free of charge, against SPY."""
    said = strategy_of(
        name=name,
        description="A few months.",
        factors=TREND,
        portfolio={"min_names": 2, **portfolio},
        benchmark="SPY",
    )
    panel, names = panel_of(prices, first="2020-01"), sorted(set(prices) - {"SPY"})
    classes = dict.fromkeys(names, "Equity")
    return sheet_runs.sheet_of(Case(resolved_of(said, names), panel, asset_classes=classes))


_FREE_TEXT = ("note", "definition", "outcome", "factor", "regime", "label", "caveats", "reason")


def _with_odd_texts(table: str, rows: pa.Table) -> pa.Table:
    """The rows with odd text behind whatever is free text in them."""
    schema = schemas.TABLES[table].schema
    for name in set(_FREE_TEXT) & set(rows.column_names):
        if schema.columns[name].checks:
            continue  # a closed set of values, or a form that admits nothing odd
        said = [f"{value} {ODD}" for value in rows[name].to_pylist()]
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pa.array(said, pa.string()))
    return rows


def _unknown(table: str, rows: pa.Table) -> pa.Table:
    """The rows with null wherever the schema lets a figure be null."""
    schema = schemas.TABLES[table].schema
    for place, name in enumerate(rows.column_names):
        if schema.columns[name].nullable:
            nothing = pa.nulls(rows.num_rows, rows.schema.field(name).type)
            rows = rows.set_column(place, name, nothing)
    return rows
