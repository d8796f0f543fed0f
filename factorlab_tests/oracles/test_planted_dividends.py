"""Dividends of invented vendors' files, with errors planted: what the files carry is told.

The second file is the same market's, without dividends or errors in it, as another vendor's raw
prices are. Splits that are planted as errors are in the list, and not in the second file.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from factorlab_assets.core.adjust import adjusted_prices
from factorlab_assets.core.basis import distribution_status, price_basis
from factorlab_assets.sources.planted import Planted, Rates, plant
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_tests.oracles.confusion import CLASSES, FIRST, LAST
from factorlab_tests.unit.test_adjust import NOTHING

pytestmark = pytest.mark.slow
MONTH = f"{LAST:%Y-%m}"


def planted(seed: int, rate: float) -> tuple[Planted, pa.Table]:
    """A file of some 250 tickers, and the second one."""
    universe = {f"{name[:2].upper()}{at:02d}": name for name in CLASSES for at in range(24)}
    bars = Synthetic(universe, seed=seed, extra_tickers=140, start=FIRST).fetch(None, LAST).prices
    raw = plant(bars, seed, rates=Rates().times(0), basis="price_only")
    return plant(bars, seed, rates=Rates().times(rate)), raw.prices


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def lend(con: duckdb.DuckDBPyConnection, file: Planted, raw: pa.Table) -> None:
    con.register("bars", file.prices)
    con.register("raw", raw)
    con.register("truth", file.distributions)
    con.execute(
        "CREATE VIEW paid AS SELECT ticker, ex_date, sum(amount) AS amount, "
        "product(split) AS split FROM truth GROUP BY ALL"
    )


@pytest.mark.parametrize("seed", [7, 2024])
def test_planted_early_missing_and_carried_dividends_are_told(
    con: duckdb.DuckDBPyConnection, seed: int
) -> None:
    file, raw = planted(seed, 1)
    lend(con, file, raw)
    status = distribution_status(con, "bars", "paid", "raw", MONTH)
    con.register("status", status)
    both = con.sql(
        "SELECT s.status, t.truth FROM status AS s JOIN truth AS t USING (ticker, ex_date) "
        "WHERE t.amount > 0"
    ).df()
    assert len(file.prices["ticker"].unique()) >= 200
    table = pd.crosstab(both["truth"], both["status"])
    for kind in ("carried", "early", "missing"):
        found = table.loc[kind, kind]
        assert table.loc[kind].sum() >= 200
        assert found / table.loc[kind].sum() >= 0.95, table
        assert found / table[kind].sum() >= 0.99, table


def test_total_returns_of_invented_files_are_what_a_holder_earned(
    con: duckdb.DuckDBPyConnection,
) -> None:
    file, raw = planted(7, 0)
    lend(con, file, raw)
    status = distribution_status(con, "bars", "paid", "raw", MONTH)
    basis = price_basis(con, "bars", "paid", status, "raw", MONTH)
    con.register("wealth", file.total_return)
    con.register("basis", basis)
    with adjusted_prices(con, "bars", NOTHING, status) as query:
        off = con.sql(
            f"""
            SELECT ticker, max(date) AS last, arg_max(ln(a.close * growth / w.close), date)
                - arg_min(ln(a.close * growth / w.close), date) AS drift,
                date_diff('day', min(date), max(date)) / 365.25 AS years
            FROM ({query}) AS a JOIN wealth AS w USING (ticker, date)
            WHERE ticker NOT IN (FROM basis SELECT ticker WHERE NOT is_total_return_known)
            GROUP BY ticker HAVING years > 2"""
        ).df()
    assert len(off) >= 150
    # 0.01 % a year: prices of one dollar are printed to the cent, the list to a hundredth of it.
    assert (off["drift"].abs() / off["years"]).quantile(0.95) < 1e-4
