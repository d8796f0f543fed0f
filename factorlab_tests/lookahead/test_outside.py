"""A user's own panels under the proof: an honest join passes, each planted leak is caught."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core import histories as altered
from factorlab_assets.core import outside
from factorlab_assets.core.outside_histories import FAR, _altered, with_outside
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.proof import Proof, Scenarios
from factorlab_assets.strategy import Resolved
from factorlab_tests.lookahead.conftest import ETFS, MONTH
from factorlab_tests.small_panels import resolved_of, strategy_of

LAG = 45


def quarterly(tickers: Sequence[str]) -> pa.Table:
    """A number per ticker and quarter, known 45 days later, some restated another 60 days later."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for ticker in tickers:
        for quarter in np.arange("2000-03", "2018-12", 3, dtype="datetime64[M]"):
            day: dt.date = ((quarter + 1).astype("datetime64[D]") - 1).item()
            told = {"panel": "size", "ticker": ticker, "date": day, "value": rng.normal()}
            rows.append(told | {"date_avail": day + dt.timedelta(LAG)})
            if rng.random() < 0.2:
                late = {"value": rng.normal(), "date_avail": day + dt.timedelta(LAG + 60)}
                rows.append(told | late)
    return pa.Table.from_pylist(rows, schema=outside.NO_ROWS.schema)


ROWS = quarterly(sorted(ETFS))


def largest(tickers: Sequence[str] | None = tuple(ETFS), **said: Any) -> Resolved:
    """Long the four largest by the user's panel."""
    factor = {"name": "characteristic", "params": {"panel": "size"}, "delay": 0}
    portfolio = {"select": {"top_k": 4}, "min_names": 6}
    return resolved_of(strategy_of(factors=[factor], portfolio=portfolio, **said), tickers)


def proved(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> Proof:
    return Scenarios.build(con, "bars", MONTH, [resolved], ROWS).prove(resolved)


def test_a_panel_that_counts_from_date_avail_passes(con: duckdb.DuckDBPyConnection) -> None:
    for tickers in (tuple(ETFS), None):
        proof = proved(con, largest(tickers))
        assert proof.findings == []
        assert proof.figures["impulse_held"] >= 3
        assert any("date_avail before" in sentence for sentence in proof.cannot_see)


def leaky(rows: pa.Table, *where: Any) -> Floats:
    """A value counts from its date."""
    column = rows.column_names.index("date_avail")
    return outside_as_known(rows.set_column(column, "date_avail", rows["date"]), *where)


def newest_word(rows: pa.Table, *where: Any) -> Floats:
    """A restatement replaces what was said before it, from the first day on."""
    sorted_rows = rows.sort_by([(name, "ascending") for name in ("ticker", "date", "date_avail")])
    keys = ["ticker", "date"]
    grouped = sorted_rows.group_by(keys, use_threads=False)
    once = grouped.aggregate([("date_avail", "first"), ("value", "last")])
    return outside_as_known(once.rename_columns([*keys, "date_avail", "value"]), *where)


outside_as_known = outside.as_known


@pytest.mark.parametrize("leak", [leaky, newest_word])
def test_a_panel_that_is_known_too_early_is_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, leak: Any
) -> None:
    monkeypatch.setattr(outside, "as_known", leak)
    proof = proved(con, largest())
    assert {finding["part"] for finding in proof.findings} == {"truncation", "wild future"}
    first = proof.findings[0]
    assert (first["table"], first["column"]) == ("factor_signals", "raw characteristic")


def test_histories_know_no_more_than_was_available_at_their_cut(
    con: duckdb.DuckDBPyConnection,
) -> None:
    plain = altered.build_histories(con, "bars", MONTH, ["QQQ", "SPY"])
    found = with_outside(plain, ROWS)
    base = found.base.outside["size"]
    assert np.isfinite(base[4:]).all()  # from 15 May 2000 on
    for cut in found.cuts:
        own, before = cut.panel.outside["size"], cut.panel.dates <= cut.day
        own = own[:, : len(base[0])]
        np.testing.assert_array_equal(own[before], base[: before.sum()])
        later = own[~before]
        if cut.part == "truncation":
            assert (~before).sum() <= 1  # the end of a month that was cut in its midst
            assert max(_altered(cut, ROWS)["date_avail"].to_pylist()) <= cut.day.item()
        elif len(later):
            assert np.nanmax(np.abs(later)) > FAR / 10
            known = np.isfinite(later)
            changed = later != base[: len(own)][~before]
            assert changed[known].all(), "everything is restated at once"
    for pulse in found.pulses:
        for panel in (pulse.calm, pulse.moved, pulse.gapped):
            expected = np.where(np.isfinite(panel.seen), base[: len(panel.dates)], np.nan)
            np.testing.assert_array_equal(panel.outside["size"], expected)
    for noise in found.noises:
        np.testing.assert_array_equal(noise.outside["size"], base)
    assert with_outside(plain, outside.NO_ROWS) is plain


def test_a_panel_of_which_no_ticker_at_hand_has_a_row_is_unknown_and_not_missing(
    con: duckdb.DuckDBPyConnection,
) -> None:
    plain = altered.build_histories(con, "bars", MONTH, ["GLD", "SPY"])
    column = ROWS.column_names.index("ticker")
    strange = ROWS.set_column(column, "ticker", pa.repeat("ZZZ", ROWS.num_rows)).slice(0, 3)
    assert np.isnan(with_outside(plain, strange).base.outside["size"]).all()
