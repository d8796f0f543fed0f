"""From a data version to the prices that research reads: what is done to them, and its identity.

Belongs here: which versions and rules a month's prices rest on, the chain suspects → distribution
status → basis → adjusted prices over them, and which basis a strategy reads. Does not: any of the
chain's steps (`core`), or storing their rows (`assets.market`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from factorlab_assets import identity, ingest, schemas
from factorlab_assets.core import adjust, basis, known_at, research
from factorlab_assets.core.panel import Basis
from factorlab_assets.core.relations import registered
from factorlab_assets.price_rules import PriceRules, load_rules
from factorlab_assets.settings import Settings
from factorlab_assets.store import Experiment, Store, Version
from factorlab_assets.store_partitions import arrow_schema
from factorlab_assets.strategy import Resolved

MOST_UNKNOWN = dt.timedelta(366)
"""So much of a ticker's beginning may lack total returns: it is then not there yet."""

_INVENTED = """
SELECT ticker, min(date) AS first_date, max(date) AS last_date, 'synthetic' AS basis,
    true AS is_total_return_known, 'invented: a close is a total return' AS evidence,
    max(date) AS known_at
FROM {bars} GROUP BY ticker ORDER BY ticker"""


READ_BY_RESEARCH = (schemas.PRICE_BASIS, schemas.ADJUSTED_PRICES, schemas.MONTHLY_RETURNS)
"""The tables of a month that a strategy is computed from."""


@dataclass(frozen=True)
class Inputs:
    """What a month's adjusted prices are a function of, beside the code."""

    version: Version
    second: Version | None
    rules: PriceRules

    @classmethod
    def current(cls, store: Store, settings: Settings, month: str) -> Inputs | None:
        """The month's current versions and the rules in force; None where nothing was ingested."""
        with store.read():  # once: every opening of the database takes some milliseconds
            version, second = store.current_version(month), store.second_version(month)
        if version is None:
            return None
        return cls(version, second, load_rules(settings.price_rules_path))

    @classmethod
    def recorded(cls, store: Store, data_version_id: str, recorded: str) -> Inputs:
        """The inputs of an experiment, from its ledger row."""
        said = json.loads(recorded)
        second = store.version(said["second"]) if said["second"] else None
        return cls(store.version(data_version_id), second, PriceRules(actions=said["actions"]))

    @property
    def record(self) -> str:
        """What the ledger keeps of it, beside the data version's id."""
        second = self.second.data_version_id if self.second else None
        said = {"second": second, "actions": self.rules.spelled_out}
        return json.dumps(said, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Names these prices: every table from `suspect_prices` to `monthly_returns` carries it."""
        return self.named_by(identity.code_version())

    def named_by(self, code_version: str) -> str:
        """The fingerprint that these prices have by some code."""
        said = f"{self.record}|{code_version}"
        return f"{self.version.data_version_id}.{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    def experiment(self, name: str, resolved: Resolved, sweep: str = "") -> Experiment:
        """The ledger's row of a strategy on these prices by the code that runs now.

        sweep : that it is a combination of; empty where it is none.
        """
        code = identity.code_version()
        return Experiment(
            experiment_id=identity.experiment_id(resolved.config_hash, self.fingerprint, code),
            month=self.version.month,
            strategy=name,
            data_version_id=self.version.data_version_id,
            config_hash=resolved.config_hash,
            code_version=code,
            config=resolved.config_json,
            prices=self.record,
            git_commit=identity.git_commit(),
            sweep=sweep,
        )

    @property
    def is_synthetic(self) -> bool:
        """Invented closes are total returns by construction."""
        return self.version.price_basis == "synthetic"

    @property
    def bars(self) -> str:
        """SQL relation: the version's bars as they came."""
        return ingest.version_bars(self.version.data_version_id)

    @property
    def second_bars(self) -> str | None:
        """SQL relation: the second version's bars."""
        if self.second is None:
            return None
        return ingest.version_bars(self.second.data_version_id)

    @property
    def distributions(self) -> str | None:
        """SQL relation: the user's distributions; None where there are none."""
        if self.version.price_basis != "total_return":
            return None
        return ingest.version_rows("distributions", self.version.data_version_id)

    @property
    def characteristics(self) -> str:
        """SQL relation: the user's own panels; no rows where there are none."""
        return ingest.version_rows("characteristics", self.version.data_version_id)

    def suspects(self, con: duckdb.DuckDBPyConnection, status: pa.Table) -> pa.Table:
        """Rows of `suspect_prices`, what the rules do about each of them included."""
        return known_at.suspects_and_repairs(
            con, self.bars, self.second_bars, self.rules, status, self.version.month
        )

    def known_too_early(
        self, con: duckdb.DuckDBPyConnection, status: pa.Table
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """See `core.known_at`."""
        return known_at.known_too_early(
            con, self.bars, self.second_bars, self.rules, status, self.version.month
        )

    def distribution_status(self, con: duckdb.DuckDBPyConnection) -> pa.Table:
        """Rows of `distribution_status`; none without distributions."""
        if self.distributions is None:
            return no_rows(schemas.DISTRIBUTION_STATUS)
        month = self.version.month
        return basis.distribution_status(
            con, self.bars, self.distributions, self.second_bars, month
        )

    def price_basis(self, con: duckdb.DuckDBPyConnection, status: pa.Table) -> pa.Table:
        """Rows of `price_basis`."""
        if self.is_synthetic:
            return con.sql(_INVENTED.format(bars=self.bars)).to_arrow_table()
        month = self.version.month
        return basis.price_basis(
            con, self.bars, self.distributions, status, self.second_bars, month
        )


def are_ready(store: Store, settings: Settings, month: str) -> bool:
    """Whether all that research reads of a month may be read, and is of its current inputs."""
    inputs = Inputs.current(store, settings, month)
    if inputs is None:
        return False
    fresh = {month: inputs.fingerprint}
    with store.read():
        return not any(store.refusals(table, [month], fresh) for table in READ_BY_RESEARCH)


@contextmanager
def adjusted(
    con: duckdb.DuckDBPyConnection,
    inputs: Inputs,
    suspected: pa.Table,
    status: pa.Table,
    stretches: pa.Table,
) -> Iterator[str]:
    """SQL relation of the columns of `adjusted_prices` less its keys, while the block lasts.

    growth is null before the day from which a ticker's total return is known, where that is at most
    a year after its first bar: there it has no total-return price at all.
    """
    since = {ticker: day for ticker, day in _known_since(stretches).items() if day}
    days = pa.table(
        {"ticker": pa.array(since, pa.string()), "since": pa.array(since.values(), pa.date32())}
    )
    with (
        registered(con, "prices_known_since", days),
        adjust.adjusted_prices(con, inputs.bars, suspected, status) as query,
    ):
        yield f"""(SELECT * EXCLUDE (growth, since),
            CASE WHEN since IS NULL OR date >= since THEN growth END AS growth
            FROM ({query}) LEFT JOIN prices_known_since USING (ticker))"""  # noqa: S608  # ours


def _known_since(stretches: pa.Table) -> dict[str, dt.date | None]:
    """Tickers whose total return is known to the end -> since when; None = since the first bar.

    A ticker of which more than a year at the beginning is not known is none of them.
    """
    first: dict[str, dt.date] = {}
    since: dict[str, dt.date | None] = {}
    for row in sorted(stretches.to_pylist(), key=lambda row: (row["ticker"], row["first_date"])):
        ticker, day = row["ticker"], row["first_date"]
        first.setdefault(ticker, day)
        if not row["is_total_return_known"]:
            since.pop(ticker, None)
        elif ticker not in since:
            since[ticker] = None if day == first[ticker] else day
    return {t: day for t, day in since.items() if day is None or day - first[t] <= MOST_UNKNOWN}


def no_rows(table: schemas.Table) -> pa.Table:
    """No rows of a month's table, less its keys."""
    return arrow_schema(table, without=("month", "data_version_id")).empty_table()


def month_prices(month: str) -> str:
    """SQL relation: a month's stored adjusted prices."""
    schemas.check_month(month)
    return f"(SELECT * FROM adjusted_prices WHERE month = '{month}')"  # noqa: S608  # a checked month


@dataclass(frozen=True)
class Choice:
    """The basis that a strategy reads, how its numbers are labelled, and what there is to say.

    mixed : one row per ticker whose prices mean something else than the others'; empty where all
        mean the same.
    """

    basis: Basis
    label: str
    caveat: str
    mixed: list[dict[str, Any]]


@dataclass(frozen=True)
class Chooser:
    """Chooses for each strategy of a month; holds what `price_basis` says of every ticker."""

    about: Mapping[str, dict[str, Any]]
    known: Mapping[str, bool]
    is_synthetic: bool

    @classmethod
    def of(cls, stretches: pa.Table, *, is_synthetic: bool) -> Chooser:
        """From the month's rows of `price_basis`."""
        by_ticker: dict[str, list[dict[str, Any]]] = {}
        for row in stretches.to_pylist():
            by_ticker.setdefault(row["ticker"], []).append(row)
        about = {ticker: _about(rows) for ticker, rows in by_ticker.items()}
        since = _known_since(stretches)
        return cls(about, {ticker: ticker in since for ticker in about}, is_synthetic)

    def choose(self, resolved: Resolved) -> Choice:
        """Which prices a strategy reads, from its own word and from what is known of its tickers.

        `price: close` and `price: total_return` are taken at their word. Without one it is the
        total return where that is known of every ticker that it reads (the benchmark's included),
        else the close for all.
        """
        if self.is_synthetic:
            return Choice("close", "synthetic", "", [])
        read = research.tickers_read(resolved, self.known)
        tickers = [ticker for ticker in sorted(read) if ticker in self.known]
        unknown = [ticker for ticker in tickers if not self.known[ticker]]
        said, without = resolved.strategy.price, _some(unknown, tickers)
        if said == "total_return" or (said is None and not unknown):
            mixed = [self.about[ticker] for ticker in unknown]
            if not unknown:
                return Choice("total_return", "total_return", "", [])
            return Choice("total_return", "mixed", f"no total return of {without}", mixed)
        caveat = "" if said == "close" else f"closes: no total return of {without}"
        return Choice("close", "close", caveat, _unlike([self.about[t] for t in tickers]))


def caveats(version: Version, resolved: Resolved, choice: Choice) -> str:
    """What an experiment's numbers know too much of (later restatements, only survivors), or lack
    (total returns)."""
    said = ["backfilled"] * version.is_backfilled
    if resolved.tickers is None and version.is_survivors:
        said.append("survivors")
    return ", ".join([*said, *filter(None, [choice.caveat])])


def _some(tickers: list[str], of: list[str]) -> str:
    named = ", ".join(tickers[:3]) + (", …" if len(tickers) > 3 else "")
    return f"{len(tickers)} of {len(of)} tickers ({named})"


def _about(stretches: list[dict[str, Any]]) -> dict[str, Any]:
    told = (f"{r['basis']} {r['first_date']} to {r['last_date']}" for r in stretches)
    bases = {row["basis"] for row in stretches}
    basis_ = bases.pop() if len(bases) == 1 else "mixed"
    return {"ticker": stretches[0]["ticker"], "basis": basis_, "stretches": "; ".join(told)}


def _unlike(tickers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every ticker, unless all of them carry no dividends, or all of them all."""
    kinds = {row["basis"] for row in tickers}
    return [] if kinds in ({"price_only"}, {"adjusted"}, set()) else tickers
