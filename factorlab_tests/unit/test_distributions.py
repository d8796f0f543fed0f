"""A user's distributions: read whole, or refused whole with the rows to look at."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from factorlab_assets.distributions import read_distributions
from factorlab_assets.errors import FactorLabError

END = dt.date(2024, 5, 31)


def read(folder: Path, text: str) -> tuple[list[dict[str, object]], list[str]]:
    path = folder / "paid.csv"
    path.write_text(text)
    table, notes = read_distributions(path, {"SPY", "IEF"}, END)
    return table.to_pylist(), notes


def test_amounts_of_one_day_are_added_and_later_ex_dates_fall_away(tmp_path: Path) -> None:
    rows, notes = read(
        tmp_path,
        "ticker,ex_date,amount\nSPY,2024-03-15,1.5\nIEF,2024-03-01,0.25\nSPY,2024-03-15,0.5\n"
        "SPY,2024-06-21,1.7\n",
    )
    assert rows == [
        {"ticker": "IEF", "ex_date": dt.date(2024, 3, 1), "amount": 0.25},
        {"ticker": "SPY", "ex_date": dt.date(2024, 3, 15), "amount": 2.0},
    ]
    assert notes == []


def test_tickers_without_bars_are_left_out_aloud(tmp_path: Path) -> None:
    rows, notes = read(tmp_path, "ticker,ex_date,amount\nXYZ,2024-03-15,1\nSPY,2024-03-15,1\n")
    assert [row["ticker"] for row in rows] == ["SPY"]
    assert notes == ["distributions of 1 tickers without bars left out: XYZ"]


@pytest.mark.parametrize(
    "line",
    [
        "spy,2024-03-15,1",
        "SPY,15.03.2024,1",
        "SPY,2024-02-30,1",
        "SPY,2024-03-15,-1",
        "SPY,2024-03-15,0",
        "SPY,2024-03-15,inf",
        "SPY,2024-03-15,abc",
        "SPY,2024-03-15,",
        "'; DROP TABLE raw_prices; --,2024-03-15,1",
    ],
)
def test_one_bad_row_refuses_the_file_and_shows_the_row(tmp_path: Path, line: str) -> None:
    with pytest.raises(FactorLabError, match=r"1 rows .* nothing was applied") as error:
        read(tmp_path, f"ticker,ex_date,amount\nSPY,2024-03-14,1\n{line}\n")
    assert f"line 3: {line}" in str(error.value)


@pytest.mark.parametrize("text", ["", "ticker,date,amount\n", "ticker,ex_date,amount,currency\n"])
def test_other_columns_or_none_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FactorLabError, match="distributions"):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FactorLabError, match="cannot be read"):
        read_distributions(tmp_path / "none.csv", set(), END)
