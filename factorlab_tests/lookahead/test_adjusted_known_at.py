"""An adjusted close is known when it says so: told too early, cut histories tell on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from factorlab_assets.core import adjust, known_at
from factorlab_assets.core.basis import STATUS_SCHEMA
from factorlab_assets.core.calendar import sessions
from factorlab_assets.price_rules import PriceRules
from factorlab_tests.small_bars import Bar, day, put_bars

MONTH = "2016-12"
SPIKE = "2014-06-30"
"""The last session of a month; the next close shows that it was one."""
SPLIT = "2015-09-01"


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """One quiet ticker with a spike at a month's end and, later, a split that was not applied."""
    days = sessions(day("2012-01-03"), day("2016-12-30")).astype(str).tolist()
    bars: list[Bar] = [("A", d, 20.0 + (i % 7) * 0.05) for i, d in enumerate(days)]
    bars = [(t, d, price / 2 if d >= SPLIT else price) for t, d, price in bars]
    bars = [(t, d, price * 2 if d == SPIKE else price) for t, d, price in bars]
    with duckdb.connect() as connection:
        put_bars(connection, bars)
        yield connection


def broken(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    rules = PriceRules(actions={"spike": "drop", "split": "rescale"})
    status = STATUS_SCHEMA.empty_table()
    found, tried = known_at.known_too_early(con, "bars", None, rules, status, MONTH)
    assert tried["findings"] >= 2
    return found


def test_closes_are_known_when_they_say_so(con: duckdb.DuckDBPyConnection) -> None:
    assert broken(con) == []


@pytest.mark.parametrize("early", ["NULL::DATE", "known_at - 1"])
def test_a_close_that_says_so_too_early_is_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, early: str
) -> None:
    @contextmanager
    def leaky(*given: Any) -> Iterator[str]:
        with adjust.adjusted_prices(*given) as query:
            yield f"SELECT * REPLACE ({early} AS known_at) FROM ({query})"

    monkeypatch.setattr(known_at, "adjusted_prices", leaky)
    monkeypatch.setattr(known_at, "_cuts", lambda *_: [day(SPIKE), day(SPLIT)])
    found = broken(con)
    assert {(row["table"], str(row["cut"])) for row in found} >= {("adjusted_prices", SPIKE)}
    assert all(row["close"] != row["close_then"] for row in found)
