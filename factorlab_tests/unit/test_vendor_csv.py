"""The second vendor's files: raw prices become split-adjusted, and agree with what it computed."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv

from factorlab_assets.distributions import read_distributions
from factorlab_assets.sources.base import PRICE_SCHEMA, Coverage, Fetched
from factorlab_assets.sources.vendor_csv import HEADER, VendorCsv

END = dt.date(2024, 5, 31)
MAY_29, MAY_30 = dt.date(2024, 5, 29), dt.date(2024, 5, 30)
# Newest first; two for one on the 30th, three for one on the 31st.
SPLITS = (
    "2024-06-03,2,2,2,2,2,600,0.0000,1.0",
    "2024-05-31,2,3,1,2,2,600,0.0000,3.0",
    "2024-05-30,6,9,3,6,2,200,0.0000,2.0",
    "2024-05-29,12,18,6,12,2,,0.0000,1.0",
)


def text_of(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows, ""])


def fetched(folder: Path, text: str, name: str = "SPY.csv", through: dt.date = END) -> Fetched:
    (folder / name).write_text(text, newline="")
    return VendorCsv(folder).fetch(None, through)


def columns(got: Fetched) -> dict[str, list[Any]]:
    return {name: got.prices.column(name).to_pylist() for name in got.prices.column_names}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "ending"])
@pytest.mark.parametrize("step", [1, -1], ids=["newest first", "oldest first"])
def test_raw_bars_are_divided_by_the_later_splits(
    tmp_path: Path, ending: str, last: str, step: int
) -> None:
    text = ending.join([HEADER, *SPLITS[::step]]) + (ending if last else "")
    got = fetched(tmp_path, text)
    assert got.prices.schema == PRICE_SCHEMA
    assert columns(got) == {
        "ticker": ["SPY"] * 3,
        "date": [MAY_29, MAY_30, END],
        "open": [2, 2, 2],
        "high": [3, 3, 3],
        "low": [1, 1, 1],
        "close": [2, 2, 2],
        "volume": [None, 600, 600],
    }
    assert got.coverage == [Coverage("SPY", "ok", 3, 0, MAY_29, END)]
    assert got.last_available == dt.date(2024, 6, 3)


def test_a_split_after_the_asked_day_is_in_the_prices_as_in_any_later_archive(
    tmp_path: Path,
) -> None:
    got = fetched(tmp_path, text_of(*SPLITS), through=MAY_30)
    assert columns(got)["close"] == [2, 2]


def test_a_consolidation_raises_earlier_prices(tmp_path: Path) -> None:
    rows = ("2024-05-31,80,80,80,80,80,5,0.0,0.125", "2024-05-30,10,10,10,10,10,8,0.0,1.0")
    got = columns(fetched(tmp_path, text_of(*rows)))
    assert (got["close"], got["volume"]) == ([80, 80], [1, 5])


def test_only_the_asked_tickers_are_read_from_a_folder_or_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vendor.zip", "w") as packed:
        packed.writestr("v/SPY.csv", text_of(*SPLITS))
        packed.writestr("v/QQQ.csv", text_of(*SPLITS))
    got = VendorCsv(tmp_path / "vendor.zip").fetch(["SPY", "TLT"], END)
    assert {record.ticker: record.status for record in got.coverage} == {
        "SPY": "ok",
        "TLT": "missing",
    }


BAD_ROWS = (
    "2024-05-28,12,18,6,19,2,5,0.0000,1.0",
    "2024-05-24,12,18,6",
    "2024-05-32,12,18,6,12,2,5,0.0000,1.0",
)


def test_bad_rows_are_kept_out_and_counted(tmp_path: Path) -> None:
    got = fetched(tmp_path, text_of(*SPLITS, *BAD_ROWS))
    assert columns(got)["date"] == [MAY_29, MAY_30, END]
    assert {(r.reason, r.n_rows, r.sample) for r in got.rejections} == {
        ("close above high", 1, BAD_ROWS[0]),
        ("malformed row", 1, BAD_ROWS[1]),
        ("impossible date", 1, BAD_ROWS[2]),
    }
    assert got.coverage[0].n_rejected == 3


def test_a_row_given_twice_splits_once(tmp_path: Path) -> None:
    got = fetched(tmp_path, text_of(*SPLITS[:3], SPLITS[2], SPLITS[3]))
    assert columns(got)["close"] == [2, 2, 2]
    assert [r.reason for r in got.rejections] == ["duplicate date, same bar"]


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("", "empty_file", "nothing at all"),
        ('{"Note": "Thank you for using our API"}', "unreadable", '{"Note": "Thank you'),
        ("Date,Open,High,Low,Close\n2024-05-31,1,1,1,1\n", "unreadable", "Date,Open,High"),
        (text_of(), "no_data", "no bar up to 2024-05-31"),
        (text_of(SPLITS[0]), "no_data", "no bar up to 2024-05-31"),
        (text_of(BAD_ROWS[0]), "unreadable", "every row was kept out"),
        (text_of(*SPLITS[:3], SPLITS[3][:-3] + "0"), "unreadable", "line 5: '0' is no split"),
        (text_of(*SPLITS[:3], SPLITS[3][:-3] + "1e9"), "unreadable", "line 5: '1e9'"),
        (text_of(*SPLITS[:3], SPLITS[3][:-3]), "unreadable", "line 5: ''"),
        (text_of(*SPLITS, SPLITS[2][:-3] + "4.0"), "unreadable", "line 6: '4.0'"),
        (text_of(*SPLITS, SPLITS[2].replace("05-30", "05-32")), "unreadable", "line 6: '2.0'"),
    ],
)
def test_a_file_that_tells_no_true_price_is_told_and_spares_the_others(
    tmp_path: Path, text: str, status: str, told: str
) -> None:
    (tmp_path / "QQQ.csv").write_text(text_of(*SPLITS))
    good, bad = fetched(tmp_path, text).coverage
    assert (good.ticker, good.status, bad.ticker) == ("QQQ", "ok", "SPY")
    assert (bad.status, bad.n_rows) == (status, 0)
    assert bad.detail.startswith("SPY.csv: ")
    assert told in bad.detail


# The real files


def test_the_vendors_adjusted_close_is_its_raw_close_with_splits_and_dividends(
    shared_data: Path,
) -> None:
    """Daily total returns agree within what four decimals of a dividend leave: 0.00005 per share.

    (P_t + D_t)/P_{t−1} over each ex-date is how the vendor adjusts.
    """
    folder = shared_data / "alphavantage_2020"
    got = VendorCsv(folder).fetch(None, dt.date(2020, 12, 11))
    tickers = [record.ticker for record in got.coverage]
    assert [record.status for record in got.coverage] == ["ok"] * 13
    assert (got.prices.num_rows, got.rejections, got.notes) == (58935, [], [])
    paid, _ = read_distributions(folder, tickers, dt.date(2020, 12, 11), bars=got.prices)
    off = {
        ticker: per_share_off(
            csv.read_csv(folder / f"{ticker}.csv"), rows(got.prices, ticker), rows(paid, ticker)
        )
        for ticker in tickers
    }
    assert len(off) == 13
    assert max(off.values()) < 0.000051, off


def rows(table: pa.Table, ticker: str) -> dict[str, np.ndarray]:
    chosen = table.filter(pc.equal(table["ticker"], ticker))
    return {name: chosen.column(name).to_numpy() for name in chosen.column_names}


def per_share_off(
    given: pa.Table, bars: dict[str, np.ndarray], paid: dict[str, np.ndarray]
) -> float:
    """The largest difference of a day's total return from the vendor's, in money per raw share."""
    theirs, raw = (given.column(name).to_numpy()[::-1] for name in ("adjusted_close", "close"))
    amount = np.zeros(len(theirs))
    amount[np.searchsorted(bars["date"], paid["ex_date"])] = paid["amount"]
    ours = (bars["close"] + amount)[1:] / bars["close"][:-1]
    return float(np.abs((ours / (theirs[1:] / theirs[:-1]) - 1) * raw[1:]).max())
