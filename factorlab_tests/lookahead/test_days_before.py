"""The proof on strategies whose months end some sessions early: the sessions between that date and
the month's end are as much of the future as the next month."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core import histories
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.proof import Scenarios, prove
from factorlab_assets.core.returns import monthly_returns
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

DAYS_BEFORE = 4
BOOKS: dict[str, dict[str, Any]] = {
    "at the close": {},
    "at the next open, quarterly": {
        "execution": {"trade_at": "next_open"},
        "schedule": {"every_months": 3},
    },
    "of daily bars, at a cost": {
        "factors": [{"name": "low_vol_daily", "delay": 0}],
        "costs": {"impact": 0.1, "capital": 1e6},
        "universe": {"of": list(ETFS), "top_dollar_volume": 9},
    },
}


def offset(kind: str = "at the close", tickers: Any = tuple(ETFS)) -> Resolved:
    """Long the best four, some sessions before the month's end."""
    plain = {"factors": [{"name": "trend", "delay": 0}]}
    said = plain | {"portfolio": {"select": {"top_k": 4}, "min_names": 6}} | BOOKS[kind]
    schedule = {**said.pop("schedule", {}), "days_before_month_end": DAYS_BEFORE}
    return resolved_of(strategy_of(**said, schedule=schedule), tickers)


@pytest.fixture(scope="module")
def scenarios(con: duckdb.DuckDBPyConnection) -> Scenarios:
    return Scenarios.build(con, "grown", MONTH, [offset(kind) for kind in BOOKS])


@pytest.mark.parametrize("kind", BOOKS)
def test_such_a_strategy_passes(scenarios: Scenarios, kind: str):
    proof = scenarios.prove(offset(kind))
    assert proof.findings == []
    assert proof.figures["months"] > 100
    assert proof.figures["impulse_held"] >= 3
    assert abs(proof.figures["null_t"]) < 4


def test_histories_are_cut_and_pulsed_on_its_dates(scenarios: Scenarios):
    found = scenarios.histories
    dates = found.base.dates
    assert dates.tolist() == month_ends(str(dates[0])[:7], MONTH, DAYS_BEFORE).tolist()
    cuts = [cut.day for cut in found.cuts if cut.part == "truncation"]
    assert sum(day in dates for day in cuts) == 12
    for cut in found.cuts:
        last = cut.panel.dates[-1]
        assert last == dates[np.searchsorted(dates, last)]
        if cut.part == "truncation":
            assert last == dates[np.searchsorted(dates, cut.day)]
    for pulse in found.pulses:
        t = dates.tolist().index(pulse.day)
        assert pulse.calm.dates[-1] == dates[t + 1]
        gone = pulse.gapped.select(pulse.deleted).mark
        assert np.isnan(gone[t + 1]).all()
        assert np.isfinite(gone[t]).all()


def at_the_months_end(
    con: Any, bars: str, month: str, *, columns: Any, days_before: int
) -> pa.Table:
    """The prices of the months' last sessions, dated as if they had been known before."""
    rows = monthly_returns(con, bars, month, columns=columns)
    months = rows["date"].to_numpy().astype("datetime64[M]")
    dated = month_ends(str(months.min()), str(months.max()), days_before)
    index = (months - months.min()).astype(int)
    return rows.set_column(rows.column_names.index("date"), "date", pa.array(dated[index]))


def test_prices_of_the_months_end_are_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(histories, "monthly_returns", at_the_months_end)
    proof = prove(offset(), con, "bars", MONTH)
    told = {(finding["part"], finding["table"]) for finding in proof.findings}
    assert {("truncation", "monthly_returns"), ("wild future", "monthly_returns")} <= told
    assert {("truncation", "weights"), ("wild future", "weights")} <= told
