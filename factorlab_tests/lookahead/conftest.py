"""The invented market that the lookahead tests share: listings, delistings, distributions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from factorlab_assets.core import factors
from factorlab_assets.core.returns import on_basis, plain
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.strategy import Resolved, load_strategies, resolve
from factorlab_assets.universes import load_universes
from factorlab_tests.conftest import PROJECT_ROOT
from factorlab_tests.small_bars import grown

MONTH = "2018-12"
ETFS = load_universes(PROJECT_ROOT / "data" / "universes.yaml")["etf13"].tickers


@pytest.fixture(scope="session")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only database of 20 tickers since 2000, in the shape of adjusted prices: `bars`, and
    `grown` by what each paid a quarter. Some month-end closes were repaired only afterwards, a few
    after the next month-end; and so were some closes within months."""
    source = Synthetic(universe=ETFS, seed=7, extra_tickers=7)
    path = str(tmp_path_factory.mktemp("market") / "market.duckdb")
    with duckdb.connect(path) as writing:
        writing.register("fetched", source.fetch(None, dt.date(2018, 12, 31)).prices)
        writing.execute("CREATE TABLE raw AS FROM fetched WHERE date >= '2000-01-01'")
        writing.execute(
            "CREATE TABLE paid AS SELECT ticker, min(date) AS ex_date, 0.01 * max(close) AS amount "
            "FROM raw GROUP BY ticker, time_bucket(INTERVAL 3 MONTH, date)"
        )
        writing.execute(f"CREATE TABLE bars AS FROM {plain('raw')}")
        grown_bars = grown(writing, "raw", "paid", "temporary")
        writing.execute(f"CREATE TABLE grown AS FROM {on_basis(grown_bars, 'total_return')}")
        ends = "SELECT max(date) FROM raw GROUP BY year(date), month(date)"
        for table in ("bars", "grown"):
            writing.execute(
                f"UPDATE {table} SET seen = 1.3 * close, known_at = date + "
                "(10 + hash(date) % 3 * 15)::INT "
                f"WHERE date IN ({ends}) AND hash(ticker || date) % 40 = 0"
            )
            writing.execute(
                f"UPDATE {table} SET seen = 0.8 * close, known_at = date + 20 "
                "WHERE day(date) BETWEEN 11 AND 24 AND hash(ticker || date) % 1000 = 0"
            )
    with duckdb.connect(path, read_only=True) as reading:
        yield reading


def shipped() -> dict[str, Resolved]:
    """Every strategy file of the project, resolved."""
    found, bad = load_strategies(PROJECT_ROOT / "data" / "strategies", factors.complete)
    assert not bad, bad
    universes = load_universes(PROJECT_ROOT / "data" / "universes.yaml")
    return {name: resolve(each, universes, found) for name, each in found.items()}
