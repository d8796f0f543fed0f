"""Coverage and gaps of tickers, on a calendar that can be counted by hand."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa

from factorlab_assets.core.quality import price_quality

# Sessions of May 2024 from the 24th: 24, 28, 29, 30, 31 (Monday the 27th was a holiday).
BARS = [
    ("FULL", "2024-05-24"),
    ("FULL", "2024-05-28"),
    ("FULL", "2024-05-29"),
    ("FULL", "2024-05-30"),
    ("FULL", "2024-05-31"),
    ("GAPS", "2024-05-24"),
    ("GAPS", "2024-05-30"),
]
COVERAGE = [("FULL", "ok", 5, 0), ("GAPS", "ok", 2, 3), ("NONE", "no_data", 0, 0)]
SUSPECTS = pa.table({"ticker": ["GAPS"] * 3, "kind": ["stale", "spike", "spike"]})
MAY = [dt.date(2024, 5, day) for day in (24, 28, 29, 30, 31)]
BASIS = pa.table(
    {
        "ticker": ["GAPS", "GAPS", "FULL"],
        "first_date": [MAY[0], MAY[2], MAY[0]],
        "last_date": [MAY[1], MAY[3], MAY[4]],
        "basis": ["price_only", "mixed", "adjusted"],
        "is_total_return_known": [True, False, True],
    }
)
REJECTED = [("GAPS", "zero or negative price", 2, "a;b"), ("GAPS", "malformed", 1, "x")]


def test_gaps_staleness_and_reasons_are_counted_in_sessions() -> None:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE bars (ticker VARCHAR, date DATE)")
        con.executemany("INSERT INTO bars VALUES (?, ?)", BARS)
        con.execute(
            "CREATE TABLE coverage (ticker VARCHAR, status VARCHAR, n_rows BIGINT,"
            " n_rejected BIGINT, first_date DATE, last_date DATE)"
        )
        con.executemany("INSERT INTO coverage VALUES (?, ?, ?, ?, NULL, NULL)", COVERAGE)
        con.execute(
            "CREATE TABLE rejected (ticker VARCHAR, reason VARCHAR, n_rows BIGINT, sample VARCHAR)"
        )
        con.executemany("INSERT INTO rejected VALUES (?, ?, ?, ?)", REJECTED)
        rows = price_quality(
            con, "bars", "coverage", "rejected", SUSPECTS, BASIS, "2024-05"
        ).to_pylist()
    full, gaps, none = rows
    assert (full["n_missing_sessions"], full["longest_gap"], full["sessions_stale"]) == (0, 0, 0)
    assert (gaps["n_missing_sessions"], gaps["longest_gap"], gaps["sessions_stale"]) == (2, 2, 1)
    assert gaps["reasons"] == "1 × malformed (x); 2 × zero or negative price (a;b)"
    assert (gaps["n_suspect"], gaps["suspects"]) == (3, "2 × spike, 1 × stale")
    assert (full["n_suspect"], full["suspects"]) == (0, "")
    assert (
        gaps["price_basis"] == "price_only 2024-05-24 to 2024-05-28, mixed 2024-05-29 to 2024-05-30"
    )
    assert (gaps["is_total_return_known"], full["is_total_return_known"]) == (False, True)
    assert (none["is_total_return_known"], none["price_basis"]) == (False, "")
    assert (none["status"], none["n_missing_sessions"], none["sessions_stale"]) == (
        "no_data",
        0,
        None,
    )
