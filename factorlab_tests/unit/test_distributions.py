"""A user's distributions: read whole, per split-adjusted share, or refused whole row by row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.distributions import SCHEMA, SHOWN, read_distributions
from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources.vendor_csv import HEADER

END = dt.date(2024, 5, 31)
TICKERS = frozenset({"SPY", "IEF"})
PLAIN = "ticker,ex_date,amount"
SPLIT = f"{PLAIN},split"


def listed(path: Path, *lines: str, header: str = PLAIN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))
    return path


def vendor_file(path: Path, *rows: str) -> Path:
    """Rows as `2024-05-31,0.5,1.0`: day, dividend, split coefficient; always 10 per share."""
    said = [row.split(",") for row in rows]
    return listed(path, *(f"{d},10,11,9,10,8,100,{a},{s}" for d, a, s in said), header=HEADER)


def rows_of(
    path: Path, tickers: Collection[str] = TICKERS, through: dt.date = END, **said: Any
) -> list[tuple[str, str, float, float]]:
    table, _ = read_distributions(path, tickers, through, **said)
    assert table.schema == SCHEMA
    return [(r["ticker"], str(r["ex_date"]), r["amount"], r["split"]) for r in table.to_pylist()]


def refusal(path: Path, **said: Any) -> str:
    with pytest.raises(FactorLabError) as error:
        read_distributions(path, TICKERS, END, **said)
    return str(error.value)


def bars(*closes: tuple[str, str, float]) -> pa.Table:
    rows = [{"ticker": t, "date": dt.date.fromisoformat(d), "close": c} for t, d, c in closes]
    schema = pa.schema([("ticker", pa.string()), ("date", pa.date32()), ("close", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)


# What a list says


def test_amounts_of_one_day_are_added_and_the_rows_sorted(tmp_path: Path) -> None:
    lines = ("SPY,2024-03-15,1.5", "IEF,2024-03-01,0.25", "SPY,2024-03-15,0.5")
    assert rows_of(listed(tmp_path / "paid.csv", *lines)) == [
        ("IEF", "2024-03-01", 0.25, 1.0),
        ("SPY", "2024-03-15", 2.0, 1.0),
    ]


def test_a_list_that_goes_on_is_complete_to_the_months_end(tmp_path: Path) -> None:
    lines = ("SPY,2024-03-15,1.5", "SPY,2024-06-21,1.7", "SPY,2024-09-20,1.8", "IEF,2024-06-03,1")
    assert rows_of(listed(tmp_path / "paid.csv", *lines)) == [
        ("SPY", "2024-03-15", 1.5, 1.0),
        ("SPY", "2024-05-31", 0.0, 1.0),
    ]


def test_an_amount_of_nothing_says_that_the_list_is_complete_to_there(tmp_path: Path) -> None:
    assert rows_of(listed(tmp_path / "paid.csv", "SPY,2024-05-30,0")) == [
        ("SPY", "2024-05-30", 0.0, 1.0)
    ]


def test_without_splits_amounts_are_per_adjusted_share_already(tmp_path: Path) -> None:
    assert rows_of(listed(tmp_path / "paid.csv", "SPY,2024-03-15,1.5")) == [
        ("SPY", "2024-03-15", 1.5, 1.0)
    ]


SPLIT_LINES = (
    "SPY,2024-01-05,12,",
    "SPY,2024-02-01,6,2",
    "SPY,2024-02-05,6,1",
    "SPY,2024-03-01,0,3",
    "SPY,2024-03-04,2,",
    "IEF,2024-01-05,12,",
)


def test_a_split_in_another_file_leaves_adjusted_amounts_alone(tmp_path: Path) -> None:
    listed(tmp_path / "in" / "raw.csv", "SPY,2024-01-05,12,", "SPY,2024-03-01,0,3", header=SPLIT)
    listed(tmp_path / "in" / "adjusted.csv", "SPY,2024-02-01,12")
    assert rows_of(tmp_path / "in") == [
        ("SPY", "2024-01-05", 4.0, 1.0),
        ("SPY", "2024-02-01", 12.0, 1.0),
        ("SPY", "2024-03-01", 0.0, 3.0),
    ]


def test_with_splits_amounts_are_divided_by_the_later_ones(tmp_path: Path) -> None:
    path = listed(tmp_path / "paid.csv", *SPLIT_LINES, header=SPLIT)
    assert rows_of(path) == [
        ("IEF", "2024-01-05", 12.0, 1.0),
        ("SPY", "2024-01-05", 2.0, 1.0),
        ("SPY", "2024-02-01", 2.0, 2.0),
        ("SPY", "2024-02-05", 2.0, 1.0),
        ("SPY", "2024-03-01", 0.0, 3.0),
        ("SPY", "2024-03-04", 2.0, 1.0),
    ]


def test_splits_that_the_prices_do_not_know_yet_convert_nothing(tmp_path: Path) -> None:
    path = listed(tmp_path / "paid.csv", *SPLIT_LINES, header=SPLIT)
    before = rows_of(path, adjusted_to=dt.date(2024, 2, 29))
    assert [amount for ticker, _, amount, _ in before if ticker == "SPY"] == [6, 6, 6, 0, 2]
    on_the_day = rows_of(path, adjusted_to=dt.date(2024, 3, 1))
    assert [amount for ticker, _, amount, _ in on_the_day if ticker == "SPY"] == [2, 2, 2, 0, 2]


def test_a_split_after_the_months_end_converts_where_the_prices_know_it(tmp_path: Path) -> None:
    lines = ("SPY,2024-01-05,12,", "SPY,2024-06-03,0,4")
    path = listed(tmp_path / "paid.csv", *lines, header=SPLIT)
    known = rows_of(path, adjusted_to=dt.date(2024, 6, 21))
    assert known == [("SPY", "2024-01-05", 3.0, 1.0), ("SPY", "2024-05-31", 0.0, 1.0)]
    assert rows_of(path, adjusted_to=END)[0] == ("SPY", "2024-01-05", 12.0, 1.0)


def test_raw_amounts_that_may_lack_a_later_split_are_told(tmp_path: Path) -> None:
    raw = listed(tmp_path / "raw.csv", "SPY,2024-05-30,1,", header=SPLIT)
    plain = listed(tmp_path / "plain.csv", "SPY,2024-05-30,1")
    told = [
        read_distributions(path, TICKERS, END, adjusted_to=day)[1]
        for path in (raw, plain)
        for day in (dt.date(2024, 8, 1), dt.date(2024, 12, 31))
    ]
    assert [len(notes) for notes in told] == [0, 1, 0, 0]
    assert "SPY on 2024-05-30" in told[1][0]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_spreadsheets_marks_and_quotes_do_not_matter(tmp_path: Path, ending: str) -> None:
    lines = ['"ticker", ex_date ,amount', '"SPY", 2024-03-15 ,1.5 ', "", ",,", ""]
    path = tmp_path / "paid.csv"
    path.write_bytes(("\ufeff" + ending.join(lines)).encode())
    assert rows_of(path) == [("SPY", "2024-03-15", 1.5, 1.0)]


@settings(max_examples=30, deadline=None)
@given(st.permutations(SPLIT_LINES))
def test_the_order_of_lines_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    assert rows_of(listed(folder / "a.csv", *lines, header=SPLIT)) == rows_of(
        listed(folder / "b.csv", *SPLIT_LINES, header=SPLIT)
    )


# Folders, and the second vendor's files


def test_the_files_of_a_folder_are_one_list(tmp_path: Path) -> None:
    listed(tmp_path / "in" / "2023.csv", "SPY,2023-12-15,1.9,", header=SPLIT)
    listed(tmp_path / "in" / "deeper" / "paid dividends.txt", "IEF,2024-03-01,0.25")
    listed(tmp_path / "in" / "2024.csv", "SPY,2024-03-15,0,2", header=SPLIT)
    (tmp_path / "in" / "README.md").write_text("where they came from")
    table, notes = read_distributions(tmp_path / "in", TICKERS, END)
    assert table.column("amount").to_pylist() == [0.25, 0.95, 0.0]
    assert notes == ["1 files are no lists of distributions: README.md …"]


def test_a_vendors_file_lists_dividends_splits_and_its_first_and_last_day(tmp_path: Path) -> None:
    days = ("2024-05-31,0.0000,1.0", "2024-05-30,0.5000,1.0", "2024-05-29,0.0000,2.0")
    path = vendor_file(tmp_path / "SPY.csv", *days, "2024-05-28,3.0000,1.0", "2024-05-24,0,1")
    assert rows_of(path) == [
        ("SPY", "2024-05-24", 0.0, 1.0),
        ("SPY", "2024-05-28", 1.5, 1.0),
        ("SPY", "2024-05-29", 0.0, 2.0),
        ("SPY", "2024-05-30", 0.5, 1.0),
        ("SPY", "2024-05-31", 0.0, 1.0),
    ]
    assert rows_of(path, through=dt.date(2024, 5, 28))[1:] == [("SPY", "2024-05-28", 1.5, 1.0)]


def test_a_vendors_dividend_on_its_last_day_is_not_lost(tmp_path: Path) -> None:
    path = vendor_file(tmp_path / "SPY.csv", "2024-05-31,0.5,1.0", "2024-05-30,0.0,1.0")
    assert rows_of(path)[-1] == ("SPY", "2024-05-31", 0.5, 1.0)


def test_a_vendors_files_of_other_tickers_stay_shut_aloud(tmp_path: Path) -> None:
    vendor_file(tmp_path / "SPY.csv", "2024-05-31,0.5,1.0")
    vendor_file(tmp_path / "XYZ.csv", "2024-05-31,nonsense,1.0")
    table, notes = read_distributions(tmp_path, TICKERS, END)
    assert set(table.column("ticker").to_pylist()) == {"SPY"}
    assert notes == ["files of 1 tickers that were not asked for not opened: XYZ"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("2024-05-30,-0.5,1.0", "negative amount"),
        ("2024-05-30,much,1.0", "amount is no number"),
        ("2024-05-30,0.5,0", "absurd split"),
        ("2024-05-30,0.5,", "absurd split"),
        ("2024-05-27,0.5,1.0", "on no trading day; the next one is 2024-05-28"),
    ],
)
def test_a_vendors_bad_row_refuses_all_of_the_folder(tmp_path: Path, row: str, told: str) -> None:
    vendor_file(tmp_path / "SPY.csv", "2024-05-31,0.5,1.0", row)
    vendor_file(tmp_path / "IEF.csv", "2024-05-31,0.5,1.0")
    said = refusal(tmp_path)
    assert told in said
    assert "SPY.csv line 3" in said


def test_a_vendors_row_cut_short_is_refused(tmp_path: Path) -> None:
    path = listed(tmp_path / "SPY.csv", "2024-05-31,10,11,9,10,8,100,0.5", header=HEADER)
    assert "not as many fields as the header" in refusal(path)


# What is refused


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("spy,2024-03-15,1", "no ticker"),
        ("'; DROP TABLE raw_prices; --,2024-03-15,1", "no ticker"),
        ("XYZ,2024-03-15,1", "unknown ticker"),
        ("SPY,15.03.2024,1", "no ex-date"),
        ("SPY,2024-02-30,1", "no ex-date"),
        ("SPY,20240315,1", "no ex-date"),
        ("SPY,2024-03-29,1", "ex-date on no trading day; the next one is 2024-04-01"),
        ("SPY,2024-03-16,1", "ex-date on no trading day; the next one is 2024-03-18"),
        ("SPY,1901-03-15,1", "ex-date on no trading day; the next one is not known"),
        ("SPY,2061-03-15,1", "ex-date on no trading day; the next one is not known"),
        ("SPY,2024-03-15,-1", "negative amount"),
        ("SPY,2024-03-15,inf", "amount is no number"),
        ("SPY,2024-03-15,nan", "amount is no number"),
        ("SPY,2024-03-15,abc", "amount is no number"),
        ("SPY,2024-03-15,$1.50", "amount is no number"),
        ("SPY,2024-03-15,1.50 EUR", "amount is no number"),
        ('SPY,2024-03-15,"1,50"', "amount is no number"),
        ("SPY,2024-03-15,1_0", "amount is no number"),
        ("SPY,2024-03-15,", "amount is no number"),
        ("SPY,2024-03-15,1e999", "absurd split or amount"),
        ("SPY,2024-03-15", "not as many fields as the header"),
        ("SPY,2024-03-15,1,EUR", "not as many fields as the header"),
        ("SPY,2024-03-14,1.0", "there twice; as in line 2"),
    ],
)
def test_one_bad_row_refuses_the_file_and_is_shown_with_its_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    said = refusal(listed(tmp_path / "paid.csv", "SPY,2024-03-14,1", line))
    assert "refused as a whole, 1 of 2 rows" in said
    assert f"Got: 1 × {reason.partition(';')[0]}. line 3: " in said
    assert f"({reason}" in said


@pytest.mark.parametrize("split", ["0", "-2", "2:1", "nan", "5000", "0.0001"])
def test_a_split_that_is_no_ratio_is_refused(tmp_path: Path, split: str) -> None:
    path = listed(tmp_path / "paid.csv", f"SPY,2024-03-14,1,{split}", header=SPLIT)
    assert "absurd split" in refusal(path)


def test_two_splits_on_one_day_are_refused(tmp_path: Path) -> None:
    lines = ("SPY,2024-03-14,1,2", "SPY,2024-03-14,0,3")
    said = refusal(listed(tmp_path / "paid.csv", *lines, header=SPLIT))
    assert "line 3: SPY,2024-03-14,0,3 (a second split on one day; after line 2)" in said


def test_a_row_in_two_files_is_there_twice(tmp_path: Path) -> None:
    listed(tmp_path / "in" / "a.csv", "SPY,2024-03-14,1")
    listed(tmp_path / "in" / "b.csv", "SPY,2024-03-14,1.00")
    assert "b.csv line 2: SPY,2024-03-14,1.00 (there twice; as in a.csv line 2)" in refusal(
        tmp_path / "in"
    )


def test_reasons_are_counted_and_each_is_shown(tmp_path: Path) -> None:
    many = [f"XYZ,2024-03-15,{n}" for n in range(1000)]
    said = refusal(listed(tmp_path / "paid.csv", *many, "SPY,2024-03-14,-1", "SPY,2024-03-15,1"))
    assert "1001 of 1002 rows" in said
    assert "1000 × unknown ticker, 1 × negative amount" in said
    assert "line 1002: SPY,2024-03-14,-1 (negative amount)" in said
    assert said.count("(unknown ticker)") == SHOWN // 2
    assert "\n" not in said


def test_an_absurd_share_of_the_close_is_refused_and_the_share_shown(tmp_path: Path) -> None:
    lines = ("SPY,2024-03-14,2.5", "SPY,2024-03-15,2.6", "IEF,2024-03-15,9")
    path = listed(tmp_path / "paid.csv", *lines)
    closes = bars(*((t, f"2024-03-{d}", 10.0) for t, d in (("SPY", 14), ("SPY", 15), ("IEF", 14))))
    said = refusal(path, bars=closes)
    assert "1 × amount above 25% of the close" in said
    assert "line 3: SPY,2024-03-15,2.6" in said
    assert "2.6 per adjusted share at 10" in said
    assert len(rows_of(path)) == 3


def test_absurd_is_judged_per_adjusted_share(tmp_path: Path) -> None:
    path = listed(tmp_path / "p.csv", "SPY,2024-03-14,8,", "SPY,2024-03-15,0,4", header=SPLIT)
    closes = bars(("SPY", "2024-03-14", 10.0))
    assert rows_of(path, bars=closes)[0] == ("SPY", "2024-03-14", 2.0, 1.0)
    assert "amount above" in refusal(path, bars=closes, adjusted_to=dt.date(2024, 3, 14))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ticker,date,amount\n",
        "ticker,ex_date,amount,currency\nSPY,2024-03-15,1,EUR\n",
        "ticker,ex_date,amount,split,currency\nSPY,2024-03-15,1,1,USD\n",
        "ticker;ex_date;amount\nSPY;2024-03-15;1\n",
    ],
)
def test_other_columns_or_none_are_refused_with_those_expected(tmp_path: Path, text: str) -> None:
    (tmp_path / "paid.csv").write_text(text)
    said = refusal(tmp_path / "paid.csv")
    assert "other columns" in said
    assert "Expected: the columns ticker,ex_date,amount or ticker,ex_date,amount,split" in said
    assert "currency of the prices" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        (b"ticker,ex_date,amount\nSPY,2024-03-15,\xff\n", "cannot be read"),
        (b'ticker,ex_date,amount\n"SPY,2024-03-15,1\n', "after line 1: unexpected end"),
        (b"ticker,ex_date,amount\n", "no distributions of any ticker"),
    ],
)
def test_a_file_that_lists_nothing_is_refused(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "paid.csv"
    if content is not None:
        path.write_bytes(content)
    assert told in refusal(path)


def test_a_folder_without_lists_is_refused(tmp_path: Path) -> None:
    assert "no list of distributions found" in refusal(tmp_path)
    vendor_file(tmp_path / "XYZ.csv", "2024-05-31,0.5,1.0")
    assert "no distributions of any ticker" in refusal(tmp_path)


# The real files


def test_the_second_vendors_real_files_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "alphavantage_2020"
    tickers = {path.stem for path in folder.glob("*.csv")}
    rows = rows_of(folder, tickers, dt.date(2020, 11, 30))
    paid = {t: sum(1 for ticker, _, amount, _ in rows if ticker == t and amount) for t in tickers}
    assert paid == {
        "DBC": 5,
        "EEM": 34,
        "EFA": 33,
        "GLD": 0,
        "IWM": 82,
        "QQQ": 64,
        "SPY": 85,
        "VNQ": 64,
        "HYG": 163,
        "IEF": 219,
        "LQD": 219,
        "SHY": 219,
        "TLT": 219,
    }
    assert [(t, day, round(split, 3)) for t, day, _, split in rows if split != 1] == [
        ("EEM", "2005-06-09", 3.0),
        ("EEM", "2008-07-24", 3.0),
        ("EFA", "2005-06-09", 3.0),
        ("IWM", "2005-06-09", 2.0),
        ("QQQ", "2000-03-20", 2.0),
    ]
    assert rows[-1] == ("VNQ", "2020-11-30", 0.0, 1.0)
    assert [row for row in rows if row[0] == "GLD"] == [
        ("GLD", "2004-11-18", 0.0, 1.0),
        ("GLD", "2020-11-30", 0.0, 1.0),
    ]
