"""Coverage and gaps of tickers, on a calendar that can be counted by hand."""

from __future__ import annotations

import duckdb

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
        rows = price_quality(con, "bars", "coverage", "rejected", "2024-05").to_pylist()
    full, gaps, none = rows
    assert (full["n_missing_sessions"], full["longest_gap"], full["sessions_stale"]) == (0, 0, 0)
    assert (gaps["n_missing_sessions"], gaps["longest_gap"], gaps["sessions_stale"]) == (2, 2, 1)
    assert gaps["reasons"] == "1 × malformed (x); 2 × zero or negative price (a;b)"
    assert (none["status"], none["n_missing_sessions"], none["sessions_stale"]) == (
        "no_data",
        0,
        None,
    )
