"""A user's own panels: read whole, cut to what a month may know, or refused whole row by row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from factorlab_assets.characteristics import SHOWN, read_characteristics
from factorlab_assets.errors import FactorLabError

END = dt.date(2024, 5, 31)
TICKERS = frozenset({"SPY", "IEF"})
HEADER = "ticker,date,date_avail,value"
GOOD = "SPY,2024-03-31,2024-05-10,1.5"


def csv_of(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))
    return path


def rows_of(path: Path) -> list[tuple[str, str, str, str, float]]:
    table, _ = read_characteristics(path, TICKERS, END)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "panel": "string",
        "ticker": "string",
        "date": "date32[day]",
        "date_avail": "date32[day]",
        "value": "double",
    }
    return [
        (r["panel"], r["ticker"], str(r["date"]), str(r["date_avail"]), r["value"])
        for r in table.to_pylist()
    ]


def notes_of(path: Path) -> list[str]:
    return read_characteristics(path, TICKERS, END)[1]


def refusal(path: Path) -> str:
    with pytest.raises(FactorLabError) as error:
        read_characteristics(path, TICKERS, END)
    return str(error.value)


# What a panel says


def test_panels_are_named_after_their_files_and_sorted(tmp_path: Path) -> None:
    csv_of(tmp_path / "size.csv", GOOD, "IEF,2024-03-31,2024-04-01,-2e3")
    csv_of(tmp_path / "book-to_price2.csv", "SPY,2024-03-31,2024-03-31,.5")
    assert rows_of(tmp_path) == [
        ("book-to_price2", "SPY", "2024-03-31", "2024-03-31", 0.5),
        ("size", "IEF", "2024-03-31", "2024-04-01", -2000.0),
        ("size", "SPY", "2024-03-31", "2024-05-10", 1.5),
    ]
    assert notes_of(tmp_path) == []


def test_a_single_file_is_a_single_panel(tmp_path: Path) -> None:
    csv_of(tmp_path / "a.csv", GOOD)
    assert rows_of(csv_of(tmp_path / "b.csv", GOOD))[0][0] == "b"


def test_a_restatement_is_another_row_and_both_are_kept(tmp_path: Path) -> None:
    later = "SPY,2024-03-31,2024-05-20,1.7"
    rows = rows_of(csv_of(tmp_path / "x.csv", later, GOOD))
    assert [(row[3], row[4]) for row in rows] == [("2024-05-10", 1.5), ("2024-05-20", 1.7)]


def test_columns_are_found_by_name_and_others_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    csv_of(path, "1.5,USD,SPY,2024-05-10,2024-03-31", header="value,cur,ticker,date_avail,date")
    assert rows_of(path) == [("x", "SPY", "2024-03-31", "2024-05-10", 1.5)]
    assert notes_of(path) == ["columns of x.csv that are not read: cur"]


def test_blanks_quotes_a_mark_at_the_start_and_empty_lines_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = f'{HEADER}\n\n"SPY", 2024-03-31 ,2024-05-10,1.5\n , , ,\n'
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert rows_of(path) == [("x", "SPY", "2024-03-31", "2024-05-10", 1.5)]


@pytest.mark.parametrize("kind", ["date32", "timestamp", "text", "pandas"])
def test_parquet_says_the_same_whatever_its_types(tmp_path: Path, kind: str) -> None:
    day, known = dt.date(2024, 3, 31), dt.date(2024, 5, 10)
    said: dict[str, Any] = {"ticker": ["SPY"], "date": [day], "date_avail": [known]}
    said["value"] = [1 / 3]
    if kind == "text":
        said |= {"date": [str(day)], "date_avail": [str(known)]}
    elif kind == "timestamp":
        moments = [[dt.datetime.combine(each, dt.time())] for each in (day, known)]
        said |= {"date": moments[0], "date_avail": moments[1]}
    path = tmp_path / "x.parquet"
    if kind == "pandas":
        frame = pd.DataFrame(said | {"ticker": pd.Categorical(["SPY"])}, index=[7])
        frame.assign(date=pd.to_datetime(frame["date"])).to_parquet(path)
    else:
        parquet.write_table(pa.table(said), path)
    assert rows_of(path) == [("x", "SPY", "2024-03-31", "2024-05-10", 1 / 3)]


# What a month may know


def test_rows_known_later_and_rows_of_tickers_without_bars_are_left_out_and_told(
    tmp_path: Path,
) -> None:
    lines = (
        "SPY,2024-04-30,2024-06-03,9",
        "XYZ,2024-03-31,2024-04-30,1",
        "XYZ,2024-04-30,2025-01-02,1",
    )
    path = csv_of(tmp_path / "x.csv", *lines, GOOD, "SPY,2024-05-31,2024-05-31,2")
    assert [row[3] for row in rows_of(path)] == ["2024-05-10", "2024-05-31"]
    assert notes_of(path) == [
        "x: 2 rows of 1 tickers without bars left out, as of XYZ",
        "x: 2 rows that became available after 2024-05-31 left out",
    ]


def test_a_panel_of_which_nothing_is_left_is_no_part_of_the_version(tmp_path: Path) -> None:
    csv_of(tmp_path / "later.csv", "SPY,2024-05-31,2024-06-03,9")
    csv_of(tmp_path / "empty.csv")
    csv_of(tmp_path / "known.csv", GOOD)
    assert {row[0] for row in rows_of(tmp_path)} == {"known"}
    assert notes_of(tmp_path) == [
        "empty is not part of the version: none of its 0 rows is left",
        "later: 1 rows that became available after 2024-05-31 left out",
        "later is not part of the version: none of its 1 rows is left",
    ]


# What is refused

FAULTS = {
    "spy,2024-03-31,2024-05-10,1": "no ticker; expected upper case, as in SPY",
    ",2024-03-31,2024-05-10,1": "no ticker",
    "SPY,2024-02-30,2024-05-10,1": "no date; expected YYYY-MM-DD",
    "SPY,31.03.2024,2024-05-10,1": "no date",
    "SPY,2024-03-31,,1": "no date_avail; expected YYYY-MM-DD",
    "SPY,2024-03-31,2024-05-10 16:30:00,1": "no date_avail",
    "SPY,2024-03-31,2024-03-30,1": "date_avail before date",
    "SPY,2024-03-31,2024-05-10,": "no value; leave such rows out",
    "SPY,2024-03-31,2024-05-10,NaN": "no value",
    "SPY,2024-03-31,2024-05-10,1.5 EUR": "value is no number; expected a plain decimal",
    "SPY,2024-03-31,2024-05-10,-inf": "infinite value",
    "SPY,2024-03-31,2024-05-10,1e999": "infinite value",
    "SPY,2024-03-31,2024-05-10": "not as many fields as the header",
    "SPY,2024-03-31,2024-05-10,1,2": "not as many fields as the header",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_bad_row_refuses_all_and_is_shown_with_file_line_and_reason(
    tmp_path: Path, line: str
) -> None:
    csv_of(tmp_path / "good.csv", GOOD)
    csv_of(tmp_path / "bad.csv", GOOD.replace("2024-03", "2023-03"), "", line)
    said = refusal(tmp_path)
    assert "refused as a whole, 1 of 3 rows not being usable; nothing was stored" in said
    assert f"1 × {FAULTS[line].split(';')[0]}. bad.csv line 4: {line} ({FAULTS[line]}" in said


def test_a_key_that_comes_twice_names_the_line_before_and_its_other_value(tmp_path: Path) -> None:
    other = GOOD.replace("1.5", "1.75")
    said = refusal(csv_of(tmp_path / "x.csv", "broken", GOOD, GOOD, other))
    assert "1 × not as many fields as the header, 1 × there twice, 1 × two values for one" in said
    assert f"x.csv line 4: {GOOD} (there twice; as in line 3)" in said
    two = "two values for one ticker, date and date_avail; 1.5 in line 4"
    assert f"x.csv line 5: {other} ({two})" in said


def test_one_key_in_two_panels_is_no_duplicate(tmp_path: Path) -> None:
    csv_of(tmp_path / "x.csv", GOOD)
    csv_of(tmp_path / "y.csv", GOOD)
    assert len(rows_of(tmp_path)) == 2


def test_of_many_bad_rows_the_first_of_each_reason_are_shown(tmp_path: Path) -> None:
    bad = [f"SPY,2024-03-31,2024-05-10,x{i}" for i in range(50)]
    bad += ["SPY,2024-03-31,2024-03-30,1"] * 30
    said = refusal(csv_of(tmp_path / "x.csv", *bad))
    assert "80 of 80 rows" in said
    assert "50 × value is no number, 30 × date_avail before date" in said
    assert said.count("(value is no number") == said.count("(date_avail before") == SHOWN // 2


def test_a_bad_row_of_parquet_is_shown_by_its_row(tmp_path: Path) -> None:
    said: dict[str, Any] = {"ticker": ["SPY", None], "value": [1.0, float("inf")]}
    said |= {name: [dt.date(2024, 3, 31), dt.date(2024, 4, 1)] for name in ("date", "date_avail")}
    parquet.write_table(pa.table(said), tmp_path / "x.parquet")
    assert "x.parquet row 2: ,2024-04-01,2024-04-01,inf (no ticker" in refusal(tmp_path)
    said["ticker"] = ["SPY", "IEF"]
    parquet.write_table(pa.table(said), tmp_path / "x.parquet")
    assert "x.parquet row 2: IEF,2024-04-01,2024-04-01,inf (infinite value)" in refusal(tmp_path)


def test_files_that_are_no_panels_are_refused_with_what_to_do(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt" in refusal(tmp_path)
    good = csv_of(tmp_path / "x.csv", GOOD)
    assert notes_of(tmp_path) == ["not read as characteristics: notes.txt"]
    parquet.write_table(pa.table({"ticker": ["SPY"]}), tmp_path / "x.parquet")
    assert "x.csv and x.parquet" in refusal(tmp_path)
    (tmp_path / "x.parquet").unlink()
    csv_of(tmp_path / "Book Value.csv", GOOD)
    assert "'Book Value'" in refusal(tmp_path)
    (tmp_path / "Book Value.csv").unlink()
    csv_of(good, "SPY;2024", header="ticker;date;date_avail;value")
    assert "a panel has other columns" in refusal(tmp_path)
    csv_of(good, GOOD, header="ticker,date,date,value")
    assert "each once" in refusal(tmp_path)
    good.write_bytes(b"ticker,date,date_avail,value\nSPY,2024-03-31,2024-05-10,\xff\n")
    assert "cannot be read" in refusal(tmp_path)
    good.write_bytes(b"")
    assert "Got: nothing" in refusal(tmp_path)
    good.rename(tmp_path / "x.parquet")
    assert "cannot be read" in refusal(tmp_path)
