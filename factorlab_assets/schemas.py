"""One pandera schema per table: columns, units, ranges, primary key.

Belongs here: what a row of each table is. The DDL, the write-time validation, the Dagster check and
column tab and the data dictionary all follow from it. Does not: SQL that runs, or computing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandera.pandas as pa

from factorlab_assets.errors import FactorLabError

Partition = Literal["version", "month", "cell", "ledger"]
"""What one write replaces: a data version (insert-only), a month, a cell, or nothing."""

MONTH_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
STRATEGY_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,79}$"
TICKER_PATTERN = r"^[A-Z0-9^][A-Z0-9.^_=-]{0,31}$"
VERSION_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])-[0-9a-f]{12}$"
PANEL_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,79}$"


def check_version(data_version_id: str) -> str:
    """`data_version_id` itself if it is one: it may then stand in SQL and in paths."""
    if not re.fullmatch(VERSION_PATTERN, data_version_id):
        raise FactorLabError(
            "that is no data version",
            got=repr(data_version_id),
            expected="as in 2024-05-1f0c9b2a77e4",
        )
    return data_version_id


def check_month(month: str) -> str:
    """`month` itself if it is one: it may then stand in SQL and in paths."""
    if not re.fullmatch(MONTH_PATTERN, month):
        raise FactorLabError("that is no month", got=repr(month), expected="as in 2024-05")
    return month


SQL_TYPES = {"string": "VARCHAR", "float": "DOUBLE", "int": "BIGINT", "bool": "BOOLEAN"}
SQL_TYPES |= {"date": "DATE", "timestamp": "TIMESTAMP"}


@dataclass(frozen=True)
class Table:
    """A table of the store: its schema, and how it is partitioned and keyed.

    `checks` names the blocking checks whose verdict a load demands, "schema" first.
    """

    name: str
    schema: pa.DataFrameSchema
    primary_key: tuple[str, ...]
    partition: Partition
    checks: tuple[str, ...] = ("schema",)
    may_be_empty: bool = False

    @property
    def columns(self) -> dict[str, str]:
        """Column name -> SQL type, in order."""
        return {name: sql_type(column) for name, column in self.schema.columns.items()}

    @property
    def partition_columns(self) -> tuple[str, ...]:
        keys: Mapping[str, tuple[str, ...]] = {
            "version": ("month", "data_version_id"),
            "month": ("month",),
            "cell": ("month", "strategy"),
        }
        return keys.get(self.partition, ())


def sql_type(column: pa.Column) -> str:
    """DuckDB's type of a schema column."""
    return SQL_TYPES[column.metadata["kind"]]


def _column(
    kind: str, description: str, *checks: pa.Check, null: bool = False, unit: str = ""
) -> Any:
    dtype = {"string": "str", "float": "float64", "int": "int64", "bool": "bool"}.get(kind)
    return pa.Column(
        dtype if not (null and kind == "int") else "Int64",
        list(checks),
        nullable=null,
        coerce=False,
        description=description,
        metadata={"kind": kind, "unit": unit},
    )


def text(description: str, *checks: pa.Check, null: bool = False) -> Any:
    """A text column."""
    return _column("string", description, *checks, null=null)


def matching(description: str, pattern: str) -> Any:
    """A text that is the pattern from end to end (str_matches would let a last newline through)."""
    return text(
        description,
        pa.Check(
            lambda said: said.str.fullmatch(pattern, na=False),
            name="full_match",
            error=f"not of the form {pattern}",
            statistics={"pattern": pattern},
        ),
    )


def one_of(description: str, *allowed: str) -> Any:
    """A text column of a closed set of values."""
    return text(description, pa.Check.isin(list(allowed)))


def number(
    description: str,
    unit: str = "decimal",
    *,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
    null: bool = False,
) -> Any:
    """A finite float column; NaN only where `null`."""
    checks = [pa.Check.gt(gt)] if gt is not None else []
    checks += [pa.Check.ge(ge)] if ge is not None else []
    checks += [pa.Check.le(le)] if le is not None else []
    checks += [pa.Check.lt(float("inf"))] if le is None else []
    checks += [pa.Check.gt(float("-inf"))] if ge is None and gt is None else []
    return _column("float", description, *checks, null=null, unit=unit)


def count(description: str, unit: str = "rows", *, null: bool = False) -> Any:
    """A whole number of things, 0 or more."""
    return _column("int", description, pa.Check.ge(0), null=null, unit=unit)


def flag(description: str) -> Any:
    """A column of true and false."""
    return _column("bool", description)


def date(description: str, *, null: bool = False) -> Any:
    """A calendar day."""
    return _column("date", description, null=null)


def timestamp(description: str, *, null: bool = False) -> Any:
    """A moment, UTC without zone."""
    return _column("timestamp", description, null=null, unit="UTC")


def row_rule(expression: str, reason: str) -> pa.Check:
    """A rule over one row, written once in the language that pandas.eval and SQL share.

    A row in which the expression is unknown (a null) passes.
    """
    return pa.Check(
        lambda frame: _holds_or_unknown(frame, expression),
        name=expression,
        error=reason,
        ignore_na=False,
    )


def _holds_or_unknown(frame: Any, expression: str) -> Any:
    names = [name for name in frame.columns if name in expression.replace("(", " ").split()]
    return frame.eval(expression) | frame[names].isna().any(axis=1)


def _table(
    name: str,
    description: str,
    partition: Partition,
    primary_key: tuple[str, ...],
    columns: dict[str, Any],
    *,
    rules: tuple[pa.Check, ...] = (),
    checks: tuple[str, ...] = (),
    may_be_empty: bool = False,
) -> Table:
    schema = pa.DataFrameSchema(
        columns,
        checks=list(rules),
        strict=True,
        name=name,
        description=description,
    )
    return Table(name, schema, primary_key, partition, ("schema", *checks), may_be_empty)


_MONTH = {"month": matching("partition: everything known at this month's close", MONTH_PATTERN)}
_CELL = _MONTH | {"strategy": matching("strategy name: the second partition", STRATEGY_PATTERN)}
_VERSION = _MONTH | {"data_version_id": matching("the ingested snapshot", VERSION_PATTERN)}
_TICKER = {"ticker": matching("symbol as the source names it, upper case", TICKER_PATTERN)}

RAW_PRICES = _table(
    "raw_prices",
    "Daily bars as the source gave them, one immutable snapshot per data version.",
    "version",
    ("data_version_id", "ticker", "date"),
    _VERSION
    | _TICKER
    | {
        "date": date("trading day"),
        "open": number("first price", "per share", gt=0),
        "high": number("highest price", "per share", gt=0),
        "low": number("lowest price", "per share", gt=0),
        "close": number("last price", "per share", gt=0),
        "volume": number("traded volume", "shares", ge=0, null=True),
    },
    rules=(
        row_rule("high >= low", "high below low"),
        row_rule("close <= high", "close above high"),
        row_rule("close >= low", "close below low"),
        row_rule("open <= high", "open above high"),
        row_rule("open >= low", "open below low"),
    ),
    checks=("coverage", "freshness"),
)
COVERAGE = _table(
    "coverage",
    "What each requested ticker of a data version yielded.",
    "version",
    ("data_version_id", "ticker"),
    _VERSION
    | _TICKER
    | {
        "status": one_of(
            "outcome", "ok", "no_data", "empty_file", "unreadable", "missing", "not_fetched"
        ),
        "n_rows": count("bars accepted"),
        "n_rejected": count("rows kept out"),
        "first_date": date("first bar", null=True),
        "last_date": date("last bar", null=True),
        "detail": text("why, where not ok"),
    },
)
REJECTED_ROWS = _table(
    "rejected_rows",
    "Rows kept out of raw_prices: per ticker and reason, how many and a sample.",
    "version",
    ("data_version_id", "ticker", "reason"),
    _VERSION
    | _TICKER
    | {
        "reason": text("why the rows were kept out"),
        "n_rows": count("rows kept out"),
        "sample": text("the first such row as the source wrote it"),
    },
    may_be_empty=True,
)
DISTRIBUTIONS = _table(
    "distributions",
    "Cash distributions and splits given by the user with a data version.",
    "version",
    ("data_version_id", "ticker", "ex_date"),
    _VERSION
    | _TICKER
    | {
        "ex_date": date("ex-date"),
        "amount": number("cash paid; 0 says that nothing was", "per split-adjusted share", ge=0),
        "split": number("new shares per old one, 1 without a split", "ratio", gt=0),
    },
    may_be_empty=True,
)
CHARACTERISTICS = _table(
    "characteristics",
    "The user's own panels, given with a data version: a value counts from its date_avail.",
    "version",
    ("data_version_id", "panel", "ticker", "date", "date_avail"),
    _VERSION
    | {"panel": matching("which panel: the name of its file", PANEL_PATTERN)}
    | _TICKER
    | {
        "date": date("day or end of the period that the value is of"),
        "date_avail": date("first day at whose close the value was known"),
        "value": number("as given", "the panel's own unit"),
    },
    may_be_empty=True,
)
ROLES = ("primary", "second")
"""What a month uses a data version for: its prices, or another source to hold them against."""
DATA_VERSIONS = _table(
    "data_versions",
    "Ledger: which snapshots each month points at; of a month and role the highest seq is current.",
    "ledger",
    ("seq",),
    {"seq": count("order of recording", "number")}
    | _VERSION
    | {
        "role": one_of("the month's prices, or a second source to hold them against", *ROLES),
        "source": text("where the bars came from"),
        "observed_at": timestamp("when the source was observed"),
        "is_backfilled": flag("cut out of a later file: knows later restatements and survivors"),
        "is_survivors": flag("the universe is whatever a later archive still held"),
        "price_basis": one_of("what a return of it means", "close", "total_return", "synthetic"),
        "n_tickers": count("tickers with bars", "tickers"),
        "n_rows": count("bars"),
        "first_date": date("first bar"),
        "last_date": date("last bar"),
        "content_hash": text("hash of the canonical content"),
    },
)
SUSPECT_KINDS = (
    "missing",
    "missing_market",
    "stale",
    "spike",
    "decimal",
    "ohlc",
    "volume",
    "split",
    "outlier",
    "peers",
)
"""What may be wrong with a bar; `core/suspects.py` says how each is found."""
ACTIONS = ("keep", "drop", "replace", "rescale")
"""What is done about it: nothing, no price, the second source's, all later prices by a ratio."""
SUSPECT_PRICES = _table(
    "suspect_prices",
    "Bars that are probably wrong, why, since when that could be known, and what was done.",
    "month",
    ("month", "ticker", "date", "kind"),
    _VERSION
    | _TICKER
    | {
        "date": date("the suspect bar, or the first session of a gap or run"),
        "kind": one_of("what is wrong", *SUSPECT_KINDS),
        "severity": one_of("how much it matters to a return", "info", "warning", "error"),
        "value": number("what the source says", "kind's unit", null=True),
        "expected": number("what the rule expects instead", "kind's unit", null=True),
        "evidence": text("the figures that speak for it"),
        "known_at": date("first session at whose close all of the evidence was there"),
        "action": one_of("what the rule file says", *ACTIONS),
        "old_close": number("close before the action", "per share", gt=0, null=True),
        "new_close": number("close after it; null = no price", "per share", gt=0, null=True),
        "reason": text("why that action"),
    },
    may_be_empty=True,
)
DISTRIBUTION_STATUS = _table(
    "distribution_status",
    "Which of the user's distributions the closes already carry, and which they lack.",
    "month",
    ("month", "ticker", "ex_date"),
    _VERSION
    | _TICKER
    | {
        "ex_date": date("ex-date"),
        "amount": number("cash paid", "per split-adjusted share", gt=0),
        "status": one_of("in the closes", "carried", "early", "missing", "unknown"),
        "applied_on": date("bar at which the closes carry it", null=True),
        "carried": number("cash that the closes carry", "per split-adjusted share", ge=0),
        "factor": number("close over price on the ex-date", "ratio", gt=0, null=True),
        "early_step": number("early: by how much the closes are too high", gt=0, null=True),
        "early_until": date("early: first bar that no longer is", null=True),
        "evidence": text("the figures that speak for it"),
        "known_at": date("when the evidence was complete"),
    },
    may_be_empty=True,
)
BASES = ("price_only", "adjusted", "mixed", "unknown", "synthetic")
PRICE_BASIS = _table(
    "price_basis",
    "What a return of each ticker's closes means, from date to date.",
    "month",
    ("month", "ticker", "first_date"),
    _VERSION
    | _TICKER
    | {
        "first_date": date("first bar of the stretch"),
        "last_date": date("its last bar"),
        "basis": one_of("dividends in the closes: none, all, some, cannot be told", *BASES),
        "is_total_return_known": flag("total returns can be had: closes and distributions suffice"),
        "evidence": text("the figures that speak for it"),
        "known_at": date("when the evidence was complete"),
    },
)
ADJUSTED_PRICES = _table(
    "adjusted_prices",
    "Daily prices that research reads: repaired, and their growth to total returns.",
    "month",
    ("month", "ticker", "date"),
    _VERSION
    | _TICKER
    | {
        "date": date("trading day"),
        "open": number("first price, repaired", "per share", gt=0, null=True),
        "close": number("last price, repaired; null = dropped", "per share", gt=0, null=True),
        "seen": number("close as known on its own day", "per share", gt=0, null=True),
        "growth": number(
            "total-return price over close, 1 before any distribution; null = not known yet",
            gt=0,
            null=True,
        ),
        "dollar_volume": number(
            "the source's close times its volume; null = no volume", "per day", ge=0, null=True
        ),
        "known_at": date("day at whose close `close` was known; null = its own", null=True),
    },
    checks=("known_at",),
)
RECONCILIATION = _table(
    "reconciliation",
    "Days on which the second source says another return, and which of the two is odd.",
    "month",
    ("month", "ticker", "date"),
    _VERSION
    | _TICKER
    | {
        "date": date("trading day"),
        "second_version_id": matching("the other snapshot", VERSION_PATTERN),
        "ret": number("return here", "decimal per day", null=True),
        "second_ret": number("return there", "decimal per day", null=True),
        "difference": number("here less there", "decimal per day", null=True),
        "kind": text("what kind of difference: price, distribution, split, missing bar, …"),
        "odd": one_of("which one is odd", "here", "there", "both", "unclear"),
        "evidence": text("the figures that speak for it"),
    },
    may_be_empty=True,
)
REVISIONS = _table(
    "revisions",
    "What this month's data version changed in the history that an earlier one had told.",
    "month",
    ("month", "ticker", "first_date", "kind"),
    _VERSION
    | _TICKER
    | {
        "first_date": date("first changed bar"),
        "last_date": date("last changed bar"),
        "kind": one_of("likely cause", "distribution", "split", "repair", "error", "listing"),
        "earlier_version_id": matching("the snapshot compared with", VERSION_PATTERN),
        "n_cells": count("changed bars"),
        "size": number("largest relative change of a close", "decimal", null=True),
        "size_ret": number("largest change of a daily return", "decimal", null=True),
        "evidence": text("the figures that speak for it"),
    },
    may_be_empty=True,
)
PRICE_QUALITY = _table(
    "price_quality",
    "Per ticker: coverage, gaps, rows kept out, suspect bars and price basis.",
    "month",
    ("month", "ticker"),
    _VERSION
    | _TICKER
    | {
        "status": text("coverage outcome"),
        "n_rows": count("bars"),
        "n_rejected": count("rows kept out"),
        "first_date": date("first bar", null=True),
        "last_date": date("last bar", null=True),
        "n_missing_sessions": count("exchange sessions without a bar", "sessions"),
        "longest_gap": count("longest run of missing sessions", "sessions"),
        "sessions_stale": count("sessions from last bar to the month's end", "sessions", null=True),
        "n_suspect": count("suspect bars"),
        "suspects": text("suspect bars by kind"),
        "price_basis": text("what a return of its closes means: the stretches of price_basis"),
        "is_total_return_known": flag("total returns can be had for all of its bars"),
        "reasons": text("reasons of rejected rows, with counts and a sample"),
    },
)
MONTHLY_RETURNS = _table(
    "monthly_returns",
    "Month-end prices and returns of every ticker, one row per month with at least one bar.",
    "month",
    ("month", "ticker", "date"),
    _VERSION
    | _TICKER
    | {
        "date": date("month-end: the month's last exchange session"),
        "last_trading_day": date("day of the last bar in that month"),
        "sessions_stale": count("sessions from the last bar to the month-end", "sessions"),
        "close": number("last close of the month, repaired: a holder's mark", "per share", gt=0),
        "price": number("close if at most 5 sessions old, else unknown", gt=0, null=True),
        "seen": number("price as known on the date: repairs known later left out", gt=0, null=True),
        "growth": number("total-return price over close on that day", "ratio", gt=0, null=True),
        "entry_open": number("open of the month's first session", gt=0, null=True),
        "entry_close": number("close of the month's first session", gt=0, null=True),
        "entry_growth": number("growth on that session", "ratio", gt=0, null=True),
        "ret": number("price over the previous month-end's price, less 1", gt=-1, null=True),
        "total_ret": number("the same of price times growth", gt=-1, null=True),
    },
)
MEMBER_REASONS = (
    "member",
    "no month-end price",
    "no longer trading",
    "too short a history",
    "price too low",
    "dollar volume too low",
    "not among the largest",
)
"""Why a ticker may be held or may not: the first of these that says so."""
MEMBERSHIPS = _table(
    "memberships",
    "Who of the universe may be held at each month-end, every ticker on every date, and why not.",
    "cell",
    ("month", "strategy", "date", "ticker"),
    _CELL
    | {"date": date("month-end at whose close it is decided")}
    | _TICKER
    | {
        "is_member": flag("may be held"),
        "reason": one_of("why, or why not: the first filter that fails", *MEMBER_REASONS),
    },
)
PRICE_LABELS = ("close", "total_return", "mixed", "synthetic")
FACTOR_SIGNALS = _table(
    "factor_signals",
    "Each factor's raw value and transformed signal; only what is known has a row.",
    "cell",
    ("month", "strategy", "date", "ticker", "factor"),
    _CELL
    | {"date": date("month-end at whose close the signal is known")}
    | _TICKER
    | {
        "factor": text("factor label in the strategy file"),
        "raw": number("the factor's own value", "factor's unit"),
        "signal": number("after transforms; higher is more attractive", "score", null=True),
    },
    checks=("one_basis",),
    may_be_empty=True,
)
SCORES = _table(
    "scores",
    "The combined signal that the portfolio is built from.",
    "cell",
    ("month", "strategy", "date", "ticker"),
    _CELL
    | {"date": date("month-end")}
    | _TICKER
    | {"score": number("higher is more attractive", "score")},
)
WEIGHTS = _table(
    "weights",
    "The book held from one month-end to the next, every ticker of the universe on every date.",
    "cell",
    ("month", "strategy", "date", "ticker"),
    _CELL
    | {"date": date("month-end at which the weight is set")}
    | _TICKER
    | {
        "weight": number("target fraction of capital", "decimal of NAV"),
        "reason": text("why this weight"),
        "outcome": text("what the date could not keep to or do without; empty where nothing"),
    },
    checks=("constraints",),
)
_RETURN_COLUMNS = {
    "net_return": number("after costs", "decimal per period", ge=-10),
    "nav": number("growth of 1"),
    "drawdown": number("NAV over its running maximum, less 1", le=0),
}
DAILY_RETURNS = _table(
    "daily_returns",
    "The same book day by day.",
    "cell",
    ("month", "strategy", "date"),
    _CELL | {"date": date("trading day")} | _RETURN_COLUMNS,
    checks=("compounds_to_months",),
)
BACKTEST_RETURNS = _table(
    "backtest_returns",
    "Monthly returns of the lagged book: row t+1 earns on the weights of row t.",
    "cell",
    ("month", "strategy", "date"),
    _CELL
    | {
        "date": date("month-end at which the return is complete"),
        "gross_return": number("before trading costs, interest included", "decimal per month"),
        "cash_return": number("of what is not invested; below 0: owed", "decimal of NAV"),
        "financing": number("paid above rf for what is borrowed", "decimal of NAV", ge=0),
        "borrow": number("paid for shares sold short", "decimal of NAV", ge=0),
        "cost": number("trading cost: the next four together", "decimal of NAV", ge=0),
        "commission": number("tc_bps of turnover", "decimal of NAV", ge=0),
        "slippage": number("slippage_bps of turnover", "decimal of NAV", ge=0),
        "spread_cost": number("half the quoted spreads of what is traded", "decimal of NAV", ge=0),
        "impact_cost": number("square-root market impact", "decimal of NAV", ge=0),
        "net_return": _RETURN_COLUMNS["net_return"],
        "rf": number("cash return", "decimal per month"),
        "turnover": number("two-way, at the rebalance before", "decimal of NAV", ge=0),
        "benchmark_return": number("benchmark", "decimal per month", null=True),
        "nav": _RETURN_COLUMNS["nav"],
        "drawdown": _RETURN_COLUMNS["drawdown"],
        "gross_exposure": number("sum of absolute weights", "decimal of NAV", ge=0),
        "net_exposure": number("sum of weights", "decimal of NAV"),
        "n_holdings": count("names held", "tickers"),
        "n_unpriced": count("names held without a month-end price", "tickers"),
        "n_volume_unknown": count("names traded at an assumed impact", "tickers"),
    },
    rules=(),
    checks=("identities", "no_lookahead"),
)
METRICS = _table(
    "metrics",
    "Performance per segment, one column per metric.",
    "cell",
    ("month", "strategy", "segment"),
    _CELL
    | {
        "segment": text("full, in_sample or out_of_sample"),
        "price_basis": one_of("what a return of it means", *PRICE_LABELS),
        "rf_label": text("which cash return"),
        "benchmark": text("which benchmark"),
        "caveats": text("backfilled, survivors: what the numbers know too much of"),
        "first_date": date("first return"),
        "last_date": date("last return"),
        "n_months": count("months", "months"),
        "cagr": number("compound growth", "decimal per year", null=True),
        "volatility_ann": number("standard deviation", "decimal per year", null=True),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "sortino": number("excess of cash per downside deviation", "per year", null=True),
        "max_drawdown": number("on monthly NAV", le=0, null=True),
        "max_drawdown_daily": number("on daily NAV", le=0, null=True),
        "calmar": number("CAGR per maximum drawdown", "ratio", null=True),
        "hit_rate": number("share of months above 0", ge=0, le=1, null=True),
        "turnover_ann": number("two-way", "decimal of NAV per year", ge=0, null=True),
        "cost_drag_ann": number("mean cost", "decimal of NAV per year", ge=0, null=True),
        "commission_ann": number("its part of the cost", "decimal of NAV per year", ge=0),
        "slippage_ann": number("its part of the cost", "decimal of NAV per year", ge=0),
        "spread_cost_ann": number("its part of the cost", "decimal of NAV per year", ge=0),
        "impact_cost_ann": number("its part of the cost", "decimal of NAV per year", ge=0),
        "borrow_ann": number("mean paid for shorts", "decimal of NAV per year", ge=0),
        "financing_ann": number("mean paid above rf for loans", "decimal of NAV per year", ge=0),
        "excess_ann": number("mean return over the benchmark's", "decimal per year", null=True),
        "tracking_error_ann": number("sd of that excess", "decimal per year", ge=0, null=True),
        "information_ratio": number("excess per tracking error", "per year", null=True),
        "beta": number("slope on the benchmark, both over cash", "ratio", null=True),
        "t_excess_equal_vol": number("t of the excess at the benchmark's volatility", null=True),
    },
)
EXPERIMENTS = _table(
    "experiments",
    "Ledger of every attempt: queued (maybe), started before, done or failed after.",
    "ledger",
    ("experiment_id", "attempt", "status"),
    {
        "seq": count("order of recording", "number"),
        "experiment_id": text("hash of configuration, data version and code version"),
        "attempt": count("number of the try", "number"),
        "status": one_of("what happened", "queued", "started", "done", "failed"),
        "recorded_at": timestamp("when"),
    }
    | _CELL
    | {
        "data_version_id": matching("the ingested snapshot", VERSION_PATTERN),
        "config_hash": text("hash of the resolved configuration"),
        "code_version": text("hash of the source that computes"),
        "config": text("the resolved configuration, JSON"),
        "prices": text("second version and rules of its prices, JSON"),
        "git_commit": text("commit, '+dirty' where the tree was not clean, 'unknown' outside git"),
        "sweep": text("the sweep that it is a combination of; empty: none"),
        "run_id": text("the run that computes; empty: queued"),
        "holder": text("host:pid:process start of the attempt; empty: queued"),
        "detail": text("done: table -> content hash, JSON; failed: the reason"),
    },
)
TRIAL_RETURNS = _table(
    "trial_returns",
    "What every finished experiment earned: kept for good, by experiment.",
    "ledger",
    ("experiment_id", "date"),
    {
        "experiment_id": text("hash of configuration, data version and code version"),
        "date": date("month-end at which the return is complete"),
        "gross_return": number("before trading costs, interest included", "decimal per month"),
        "cost": number("trading cost", "decimal of NAV", ge=0),
        "net_return": number("after costs", "decimal per month", ge=-10),
        "turnover": number("two-way, at the rebalance before", "decimal of NAV", ge=0),
        "rf": number("cash return", "decimal per month"),
        "benchmark_return": number("benchmark", "decimal per month", null=True),
    },
)
VERDICTS = _table(
    "verdicts",
    "What each check said of each partition's content.",
    "ledger",
    ("table_name", "partition", "content_hash", "check_name"),
    {
        "table_name": text("table"),
        "partition": text("its partition key"),
        "content_hash": text("identity of the content judged"),
        "check_name": text("check"),
        "passed": flag("verdict"),
        "detail": text("offending rows or figures, JSON"),
        "recorded_at": timestamp("when"),
    },
)
PARTITIONS = _table(
    "partitions",
    "What each stored partition is: its content hash and what it was computed from.",
    "ledger",
    ("table_name", "partition"),
    {
        "table_name": text("table"),
        "partition": text("its partition key"),
        "content_hash": text("order-free hash of its rows"),
        "fingerprint": text("experiment_id (research) or data_version_id (market)"),
        "n_rows": count("rows"),
        "written_at": timestamp("when"),
    },
)

RETURNS = ("raw", "benchmark", "equal_weight")
"""What a statistic is of: returns over cash, over the strategy's benchmark, or over every member of
its universe equally weighted."""
_STATISTIC = {
    "returns": one_of("over what", *RETURNS),
    "statistic": text("its name"),
    "value": number("the figure; null: see note", "as the statistic", null=True),
    "low": number("lower end of its confidence interval", "as the statistic", null=True),
    "high": number("upper end", "as the statistic", null=True),
    "note": text("how it was made, or why there is none"),
}
INFERENCE = _table(
    "inference",
    "How sure the Sharpe ratio is, and how it stands after all that was tried.",
    "cell",
    ("month", "strategy", "returns", "statistic"),
    _CELL | _STATISTIC,
)
REGIME_METRICS = _table(
    "regime_metrics",
    "What was earned in which months: every label was known at the month-end before.",
    "cell",
    ("month", "strategy", "regime", "label"),
    _CELL
    | {
        "regime": text("its name in the evaluation file"),
        "label": text("what the months have in common"),
        "definition": text("when a month has this label"),
        "n_months": count("months", "months"),
        "return_ann": number("mean", "decimal per year", null=True),
        "volatility_ann": number("standard deviation", "decimal per year", null=True),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "hit_rate": number("share of months above 0", ge=0, le=1, null=True),
        "benchmark_return_ann": number("mean of the benchmark", "decimal per year", null=True),
        "excess_ann": number("mean return over the benchmark's", "decimal per year", null=True),
        "note": text("why there are no figures"),
    },
    may_be_empty=True,
)
FEASIBILITY = _table(
    "feasibility",
    "What could have been earned: knowing the next month, and by luck.",
    "cell",
    ("month", "strategy", "kind", "metric"),
    _CELL
    | {
        "kind": one_of("whose", "strategy", "oracle_gross", "oracle_net", "permuted", "random"),
        "metric": one_of("which", "cagr", "sharpe"),
        "value": number("of the strategy or oracle", "as the metric", null=True),
        "mean": number("of the random ones", "as the metric", null=True),
        "p05": number("5 % are lower", "as the metric", null=True),
        "p25": number("25 % are lower", "as the metric", null=True),
        "median": number("half are lower", "as the metric", null=True),
        "p75": number("75 % are lower", "as the metric", null=True),
        "p95": number("95 % are lower", "as the metric", null=True),
        "best": number("the highest", "as the metric", null=True),
        "percentile": number("where the strategy lies among them", "share", ge=0, le=1, null=True),
        "n_paths": count("random portfolios", "paths"),
        "note": text("what it is, or why there is none"),
    },
)
ROBUSTNESS_TESTS = (
    "cost",
    "break_even",
    "delay",
    "start",
    "rebalance_day",
    "without_ticker",
    "without_year",
)
ROBUSTNESS = _table(
    "robustness",
    "The strategy with one thing changed.",
    "cell",
    ("month", "strategy", "test", "setting"),
    _CELL
    | {
        "test": one_of("what is changed", *ROBUSTNESS_TESTS),
        "setting": text("to what"),
        "position": count("order within the test", "number"),
        "n_months": count("months", "months"),
        "cagr": number("compound growth", "decimal per year", null=True),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "excess_ann": number("mean return over the benchmark's", "decimal per year", null=True),
        "sharpe_change": number("against the strategy itself", "per year", null=True),
        "value_bps": number("a cost", "basis points", null=True),
        "note": text("what it is, or why there are no figures"),
    },
)
SWEEP_METRICS = _table(
    "sweep_metrics",
    "Every combination of a sweep: an experiment each.",
    "cell",
    ("month", "strategy", "combination"),
    _CELL
    | {
        "combination": matching("its name", STRATEGY_PATTERN),
        "experiment_id": text("hash of configuration, data version and code version"),
        "parameters": text("path -> value, JSON"),
        "status": one_of("what became of it", "done", "failed"),
        "note": text("why it failed"),
        "n_months": count("months", "months"),
        "cagr": number("compound growth", "decimal per year", null=True),
        "volatility_ann": number("standard deviation", "decimal per year", null=True),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "sharpe_low": number("lower end of its confidence interval", "per year", null=True),
        "sharpe_high": number("upper end", "per year", null=True),
        "max_drawdown": number("on monthly NAV", le=0, null=True),
        "turnover_ann": number("two-way", "decimal of NAV per year", ge=0, null=True),
        "cost_drag_ann": number("mean cost", "decimal of NAV per year", ge=0, null=True),
        "excess_ann": number("mean return over the benchmark's", "decimal per year", null=True),
        "information_ratio": number("excess per tracking error", "per year", null=True),
        "psr": number("probability of a Sharpe ratio above 0", ge=0, le=1, null=True),
        "dsr": number("the same after all trials", ge=0, le=1, null=True),
        "psr_benchmark": number("psr over the benchmark", ge=0, le=1, null=True),
        "dsr_benchmark": number("dsr over the benchmark", ge=0, le=1, null=True),
        "min_track_record": number("for a Sharpe ratio above 0", "months", ge=0, null=True),
        "haircut_sharpe": number("after all trials, by Holm", "per year", null=True),
    },
    may_be_empty=True,
)
SWEEP_EVIDENCE = _table(
    "sweep_evidence",
    "What a sweep's best is worth: overfitting, data snooping, out of sample.",
    "cell",
    ("month", "strategy", "returns", "statistic"),
    _CELL | _STATISTIC,
    may_be_empty=True,
)
WALK_FORWARD = _table(
    "walk_forward",
    "Chosen on each training window, earned in the months after it.",
    "cell",
    ("month", "strategy", "scheme", "date"),
    _CELL
    | {
        "scheme": one_of("whether training windows grow or roll", "anchored", "rolling"),
        "date": date("month-end at which the return is complete"),
        "combination": matching("what was chosen", STRATEGY_PATTERN),
        "net_return": number("after costs", "decimal per month", ge=-10),
        "benchmark_return": number("benchmark", "decimal per month", null=True),
        "nav": number("growth of 1"),
    },
    may_be_empty=True,
)
ROLLING_METRICS = _table(
    "rolling_metrics",
    "Statistics of the last 36 months, month by month.",
    "cell",
    ("month", "strategy", "date"),
    _CELL
    | {
        "date": date("last month of the window"),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "volatility_ann": number("standard deviation", "decimal per year", null=True),
        "beta": number("slope on the benchmark, both over cash", "ratio", null=True),
        "market_beta": number("slope on SPY, both over cash", "ratio", null=True),
    },
    may_be_empty=True,
)
CALENDAR_RETURNS = _table(
    "calendar_returns",
    "What each calendar year earned: its months compounded.",
    "cell",
    ("month", "strategy", "year"),
    _CELL
    | {
        "year": count("calendar year", "number"),
        "n_months": count("of it in the backtest", "months"),
        "net_return": number("after costs", "decimal per year"),
        "benchmark_return": number("benchmark, where all of its months are known", null=True),
        "is_full": flag("twelve months"),
    },
)
DRAWDOWNS = _table(
    "drawdowns",
    "The deepest drawdowns of the monthly NAV, one after another.",
    "cell",
    ("month", "strategy", "rank"),
    _CELL
    | {
        "rank": count("1 is the deepest", "number"),
        "peak": date("month-end of the high before it; the start, where there was none"),
        "trough": date("month-end of the low"),
        "recovery": date("month-end at which the high was reached again; null: not yet", null=True),
        "depth": number("low over high, less 1", le=0),
        "n_months": count("from peak to recovery, or to the end", "months"),
    },
    may_be_empty=True,
)
CONTRIBUTIONS = _table(
    "contributions",
    "What each ticker, cash and costs added to the growth of 1: they sum to it.",
    "cell",
    ("month", "strategy", "item"),
    _CELL
    | {
        "item": text("ticker, or cash, costs, financing, borrow"),
        "kind": one_of("what it is", "ticker", "other"),
        "asset_class": text("of a ticker; empty where there is none"),
        "contribution": number("sum over months of NAV before times weight times return"),
        "mean_weight": number("average weight"),
        "n_months": count("held", "months"),
    },
)
NOTABLE_MONTHS = _table(
    "notable_months",
    "The best and worst months with what was held.",
    "cell",
    ("month", "strategy", "date", "item"),
    _CELL
    | {
        "date": date("month-end"),
        "rank": count("1 is the best, and 1 the worst", "number"),
        "side": one_of("which", "best", "worst"),
        "net_return": number("of the month", "decimal per month"),
        "item": text("ticker held, or cash, costs, financing, borrow"),
        "weight": number("at the month-end before"),
        "ret": number("its return", "decimal per month"),
        "contribution": number("its part of the net return", "decimal per month"),
    },
    may_be_empty=True,
)
EXPOSURES = _table(
    "exposures",
    "Betas of the returns over cash, with Newey and West's t-values.",
    "cell",
    ("month", "strategy", "model", "factor"),
    _CELL
    | {
        "model": one_of("regressed on", "market", "classes", "styles"),
        "factor": text("ticker, class, style, or intercept (annual)"),
        "beta": number("slope; of the intercept the annual return", null=True),
        "t_value": number("Newey-West", null=True),
        "r_squared": number("of the whole model", le=1, null=True),
        "n_months": count("months", "months"),
        "note": text("what the factor is, or why there are no figures"),
    },
)
FACTOR_DIAGNOSTICS = _table(
    "factor_diagnostics",
    "What each factor's signal said of the months after it.",
    "cell",
    ("month", "strategy", "factor", "statistic"),
    _CELL
    | {
        "factor": text("label, or score for the combined score"),
        "statistic": text(
            "ic_mean, ic_t, ic_positive, quantile_1 …, top_minus_bottom, top_minus_bottom_t, "
            "decay_1 …, autocorrelation"
        ),
        "value": number("the figure", "as the statistic", null=True),
        "n_months": count("months", "months"),
        "note": text("what it is, or why there is none"),
    },
    may_be_empty=True,
)
VERDICT = _table(
    "verdict",
    "score_v1: what a result is worth in seven components, a grade and a light.",
    "cell",
    ("month", "strategy", "component"),
    _CELL
    | {
        "component": text("its name; total for the whole"),
        "value": number("what is scored: a ratio, a correlation or a share", null=True),
        "low": number("lower end of its bootstrap interval", null=True),
        "high": number("upper end", null=True),
        "score": number("0 to 100; of the total the composite", ge=0, le=100, null=True),
        "weight": number("in the file", "share", ge=0, le=1),
        "weight_used": number("after what cannot be computed", "share", ge=0, le=1),
        "grade": text("of the total: A to F, or none"),
        "light": text("of the total: green, amber, red"),
        "note": text("reasons in words, or why it cannot be computed"),
    },
)
TEAR_SHEET = _table(
    "tear_sheet",
    "The pages of an experiment: files under data/reports.",
    "cell",
    ("month", "strategy", "format"),
    _CELL
    | {
        "format": one_of("which", "html", "pdf"),
        "path": text("relative to the reports folder"),
        "sha256": text("of the file"),
        "n_bytes": count("size", "bytes"),
        "experiment_id": text("that it shows"),
    },
)
LEADERBOARD = _table(
    "leaderboard",
    "The strategies of a month side by side, over the months that all of them have.",
    "month",
    ("month", "strategy"),
    _CELL
    | {
        "experiment_id": text("hash of configuration, data version and code version"),
        "price_basis": one_of("what a return of it means", *PRICE_LABELS),
        "benchmark": text("which benchmark"),
        "first_date": date("first common return"),
        "last_date": date("last common return"),
        "n_months": count("common months", "months"),
        "cagr": number("compound growth", "decimal per year", null=True),
        "volatility_ann": number("standard deviation", "decimal per year", null=True),
        "sharpe": number("excess of cash per volatility", "per year", null=True),
        "max_drawdown": number("on monthly NAV", le=0, null=True),
        "turnover_ann": number("two-way", "decimal of NAV per year", ge=0, null=True),
        "cost_drag_ann": number("mean cost", "decimal of NAV per year", ge=0, null=True),
        "excess_ann": number("mean return over the benchmark's", "decimal per year", null=True),
        "information_ratio": number("excess per tracking error", "per year", null=True),
        "dsr_benchmark": number("deflated, over the benchmark", ge=0, le=1, null=True),
        "n_trials": count("tries of its family", "trials", null=True),
    },
)
RETURN_CORRELATIONS = _table(
    "return_correlations",
    "Every pair of a month's strategies, over the months that both have.",
    "month",
    ("month", "strategy", "other"),
    _CELL
    | {
        "other": matching("the other strategy", STRATEGY_PATTERN),
        "n_months": count("months", "months"),
        "correlation": number("of net returns", ge=-1, le=1, null=True),
        "sharpe_difference": number("its Sharpe ratio less the other's", "per year", null=True),
        "p_value": number("two-sided, of no difference", ge=0, le=1, null=True),
    },
    may_be_empty=True,
)

LIBRARY_PAGE = _table(
    "library_page",
    "data/reports/index.html: every experiment of the month.",
    "month",
    ("month", "path"),
    _MONTH
    | {
        "path": text("relative to the reports folder"),
        "sha256": text("of the file"),
        "n_bytes": count("size", "bytes"),
        "n_experiments": count("on the page", "experiments"),
    },
)

TABLES: dict[str, Table] = {
    table.name: table for table in list(globals().values()) if isinstance(table, Table)
}
