"""Archives, folders and files of Stooq data: what is found, what is read, what cannot hurt."""

from __future__ import annotations

import datetime as dt
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import price_files
from factorlab_assets.sources.base import PRICE_SCHEMA, STATUSES, Coverage, Fetched
from factorlab_assets.sources.price_files import ticker_of
from factorlab_assets.sources.stooq_files import StooqFiles, latest_month

MAY = dt.date(2024, 5, 31)
SPY = "Date,Open,High,Low,Close,Volume\n2024-05-30,9,9,8,8,5\n2024-05-31,7,9,7,8,6\n"
QQQ = "Date,Open,High,Low,Close\n2024-05-31,70,90,70,80\n2024-06-03,71,91,71,81\n"


def folder(path: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def coverage(fetched: Fetched) -> dict[str, Coverage]:
    return {record.ticker: record for record in fetched.coverage}


def closes(fetched: Fetched) -> list[tuple[str, int, float]]:
    columns = [fetched.prices.column(name).to_pylist() for name in ("ticker", "date", "close")]
    return [(ticker, date.day, close) for ticker, date, close in zip(*columns, strict=True)]


@pytest.mark.parametrize("pack", [folder, archive])
def test_tickers_are_found_wherever_in_the_tree_they_lie(pack, tmp_path: Path) -> None:
    files = {"data/daily/us/nyse etfs/2/spy.us.txt": SPY, "data/daily/us/qqq.us.txt": QQQ}
    fetched = StooqFiles(pack(tmp_path / "stooq.zip", files)).fetch(None, MAY)
    assert fetched.prices.schema == PRICE_SCHEMA
    assert closes(fetched) == [("QQQ", 31, 80.0), ("SPY", 30, 8.0), ("SPY", 31, 8.0)]
    assert coverage(fetched) == {
        "QQQ": Coverage("QQQ", "ok", 1, 0, MAY, MAY),
        "SPY": Coverage("SPY", "ok", 2, 0, dt.date(2024, 5, 30), MAY),
    }
    assert fetched.last_available == dt.date(2024, 6, 3)
    assert (fetched.rejections, fetched.notes) == ([], [])


def test_one_file_is_a_source_of_one_ticker(tmp_path: Path) -> None:
    path = folder(tmp_path, {"spy_us_d.csv": SPY}) / "spy_us_d.csv"
    assert closes(StooqFiles(path).fetch(None, MAY)) == [("SPY", 30, 8.0), ("SPY", 31, 8.0)]


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("spy_us_d.csv", "SPY"),
        ("SPY.US.TXT", "SPY"),
        ("spy.csv", "SPY"),
        ("spy_d.csv", "SPY"),
        ("spy.us_d.csv", "SPY"),
        ("brk-b.us.txt", "BRK-B"),
        ("bac_l.us.txt", "BAC_L"),
        ("cdr.pl.txt", "CDR.PL"),
        ("aal_uk_d.csv", "AAL.UK"),
        ("^spx_d.csv", "^SPX"),
        ("data\\daily\\us\\spy.us.txt", "SPY"),
        ("../../../etc/spy.us.txt", "SPY"),
        ("d.us.txt", "D"),
        ("._spy.us.txt", ""),
        ("spy;drop table.csv", ""),
        ("spy\n.csv", ""),
        ("stra\u00dfe.csv", ""),
        (".csv", ""),
        ("a" * 33 + ".csv", ""),
    ],
)
def test_file_name_says_the_ticker(name: str, ticker: str) -> None:
    assert ticker_of(name) == ticker


def test_only_the_asked_tickers_are_read_and_the_others_are_missing(tmp_path: Path) -> None:
    path = folder(tmp_path, {"spy.csv": SPY, "qqq.csv": QQQ})
    fetched = StooqFiles(path).fetch(["SPY", "TLT", "../spy"], MAY)
    assert {r.ticker: r.status for r in fetched.coverage} == {
        "SPY": "ok",
        "TLT": "missing",
        "../spy": "missing",
    }
    assert set(fetched.prices.column("ticker").to_pylist()) == {"SPY"}
    assert fetched.last_available == MAY


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        ("", "empty_file", "nothing at all"),
        ("No data", "no_data", "has no data"),
        ("Exceeded the daily hits limit", "unreadable", "daily limit"),
        ("<html>", "unreadable", "a web page"),
        ("a;b\n1;2\n", "unreadable", "none of Stooq's formats"),
        ("Date,Open,High,Low,Close\n", "no_data", "no bar up to 2024-05-31"),
        ("Date,Open,High,Low,Close\n2024-06-03,1,1,1,1\n", "no_data", "no bar up to 2024-05-31"),
        ("Date,Open,High,Low,Close\n2024-05-31,1,1,0,1\n", "unreadable", "every row was kept out"),
    ],
)
def test_file_without_a_bar_is_told_and_spares_the_others(
    content: str, status: str, detail: str, tmp_path: Path
) -> None:
    path = archive(tmp_path / "a.zip", {"bad.us.txt": content, "spy.us.txt": SPY})
    fetched = StooqFiles(path).fetch(None, MAY)
    record = coverage(fetched)["BAD"]
    assert (record.status, record.n_rows, record.first_date) == (status, 0, None)
    assert record.status in STATUSES
    assert record.detail.startswith("bad.us.txt: ")
    assert detail in record.detail
    assert coverage(fetched)["SPY"].status == "ok"


def test_rejected_rows_are_counted_in_the_coverage(tmp_path: Path) -> None:
    path = folder(tmp_path, {"spy.csv": SPY + "2024-05-31,0,1,1,1,1\nfoo\nbar\n"})
    fetched = StooqFiles(path).fetch(None, MAY)
    assert coverage(fetched)["SPY"].n_rejected == 3
    assert {(r.reason, r.n_rows, r.sample) for r in fetched.rejections} == {
        ("malformed row", 2, "foo"),
        ("zero or negative price", 1, "2024-05-31,0,1,1,1,1"),
    }


def test_of_two_files_for_a_ticker_the_larger_is_read_and_the_other_named(tmp_path: Path) -> None:
    old = "Date,Open,High,Low,Close\n2024-05-30,1,1,1,1\n"
    path = folder(tmp_path, {"2023/spy.us.txt": old, "2024/spy_us_d.csv": SPY, "qqq.csv": QQQ})
    fetched = StooqFiles(path).fetch(None, MAY)
    assert [bar for bar in closes(fetched) if bar[0] == "SPY"] == [("SPY", 30, 8), ("SPY", 31, 8)]
    assert coverage(fetched)["SPY"].detail == f"not read: 2023/spy.us.txt ({len(old)} bytes)"
    assert len(fetched.notes) == 1
    assert "1 tickers have more than one file, SPY for example" in fetched.notes[0]
    assert StooqFiles(path).fetch(["QQQ"], MAY).notes == []


def test_of_two_equal_files_the_first_by_name_is_read(tmp_path: Path) -> None:
    other = SPY.replace(",9,9,8,8,5", ",9,9,8,9,5")
    path = archive(tmp_path / "a.zip", {"b/spy.us.txt": other, "a/spy.us.txt": SPY})
    fetched = StooqFiles(path).fetch(None, MAY)
    assert closes(fetched)[0] == ("SPY", 30, 8.0)
    assert coverage(fetched)["SPY"].detail.startswith("not read: b/spy.us.txt")


def test_files_left_out_are_told_with_harmless_names(tmp_path: Path) -> None:
    files = {"spy.csv": SPY, "README.md": "hello", "a b\x1b[2J.csv": QQQ, "._spy.csv": "x"}
    notes = StooqFiles(archive(tmp_path / "a.zip", files)).fetch(None, MAY).notes
    assert sorted(notes) == [
        "1 files are left out, neither .txt nor .csv: README.md for example",
        "2 files are left out, named for no possible ticker: ._spy.csv for example",
    ]
    del files["._spy.csv"]
    notes = StooqFiles(archive(tmp_path / "b.zip", files)).fetch(None, MAY).notes
    assert any("a b\\x1b[2J.csv" in note for note in notes)


def test_unsafe_member_names_never_reach_the_file_system(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    names = ("../spy.us.txt", "../../qqq.us.txt", f"{tmp_path}/ief.us.txt", "..\\tlt.us.txt")
    path = archive(inside / "a.zip", dict.fromkeys(names, SPY))
    assert set(coverage(StooqFiles(path).fetch(None, MAY))) == {"SPY", "QQQ", "IEF", "TLT"}
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("make", [archive, folder])
def test_huge_member_is_refused_and_the_others_are_read(make, tmp_path: Path) -> None:
    bomb = bytes(price_files.MAX_BYTES + 1)
    path = make(tmp_path / "a.zip", {"bomb.us.txt": bomb, "spy.us.txt": SPY})
    found = coverage(StooqFiles(path).fetch(None, MAY))
    assert found["BOMB"].status == "unreadable"
    assert "larger than any price file" in found["BOMB"].detail
    assert found["SPY"].status == "ok"


def test_member_that_lies_about_its_size_is_not_inflated(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"bomb.us.txt": bytes(2**26), "spy.us.txt": SPY})
    honest, lie = struct.pack("<L", 2**26), struct.pack("<L", 1000)
    path.write_bytes(path.read_bytes().replace(honest, lie))
    tracemalloc.start()
    found = coverage(StooqFiles(path).fetch(None, MAY))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found["BOMB"].status, found["SPY"].status) == ("unreadable", "ok")
    assert peak < 3 * price_files.MAX_BYTES


def test_damaged_member_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("spy.us.txt", SPY)
        packed.writestr("qqq.us.txt", QQQ)
    path.write_bytes(path.read_bytes().replace(b"71,91,71,81", b"71,91,71,82"))
    found = coverage(StooqFiles(path).fetch(None, MAY))
    assert (found["QQQ"].status, found["SPY"].status) == ("unreadable", "ok")
    assert "Bad CRC-32" in found["QQQ"].detail


def test_member_without_a_name_spares_the_others(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"qqq.us.txt": QQQ, "spy.us.txt": SPY})
    path.write_bytes(path.read_bytes().replace(b"qqq.us.txt", b"\0qq.us.txt"))
    assert set(coverage(StooqFiles(path).fetch(None, MAY))) == {"SPY"}


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"", "not a zip"), (b"not a zip at all", "not a zip"), (None, "not a zip")],
    ids=["empty", "text", "cut in half"],
)
def test_corrupt_zip_is_one_clear_error(content: bytes | None, got: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"spy.us.txt": SPY})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(FactorLabError, match=f"cannot read the price files.*{got}.*download"):
        StooqFiles(path).fetch(None, MAY)
    with pytest.raises(FactorLabError, match="cannot read the price files"):
        latest_month(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no price files found.*Got: nothing"),
        ({"README.md": ""}, "no price files found.*README.md"),
        ({"a b.csv": SPY}, "no price files found.*named for no possible ticker"),
    ],
)
@pytest.mark.parametrize("make", [archive, folder])
def test_nothing_to_read_is_an_error(make, files, message: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    path = make(tmp_path / "x" / "a.zip", files) if make is archive else make(tmp_path / "x", files)
    with pytest.raises(FactorLabError, match=message):
        StooqFiles(path).fetch(["SPY"], MAY)


def test_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    for name in ("nowhere", "nowhere.zip", "nowhere.csv"):
        with pytest.raises(FactorLabError, match="no such file or folder"):
            StooqFiles(tmp_path / name).fetch(None, MAY)


def test_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, {"spy.csv": SPY, "closed/qqq.csv": QQQ})
    listed = os.scandir

    def scandir(place: str) -> object:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(FactorLabError, match=r"cannot read the price files.*Permission denied"):
        StooqFiles(path).fetch(None, MAY)


def _small_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("spy.us.txt", SPY)
        packed.writestr("d/qqq.us.txt", QQQ)
    return buffer.getvalue()


_WHOLE = _small_archive()


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255), min_size=1, max_size=4)
)
def test_any_damage_to_an_archive_is_an_error_or_a_coverage_record(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    content = bytearray(_WHOLE)
    for place, byte in damage.items():
        content[place] = byte
    path.write_bytes(content)
    try:
        fetched = StooqFiles(path).fetch(["SPY", "QQQ"], MAY)
    except FactorLabError:
        return
    assert {record.status for record in fetched.coverage} <= set(STATUSES)


@pytest.mark.parametrize(
    ("last_days", "month"),
    [
        (["2024-05-31"], "2024-05"),
        (["2024-05-30"], "2024-04"),
        (["2024-06-21"], "2024-05"),
        (["2024-03-28"], "2024-03"),
        (["2024-06-21", "2024-06-21", "2024-01-15"], "2024-05"),
        (["2024-06-21", "2024-06-21", "2042-06-30"], "2024-05"),
        (["2024-06-28", "2024-05-31"], "2024-06"),
    ],
)
def test_latest_month_is_the_last_whole_one_that_most_files_cover(
    last_days: list[str], month: str, tmp_path: Path
) -> None:
    files = {
        f"t{i}.csv": f"Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n{day},1,1,1,1\n"
        for i, day in enumerate(last_days)
    }
    assert latest_month(folder(tmp_path / "a", files)) == month
    assert latest_month(archive(tmp_path / "a.zip", files | {"empty.csv": ""})) == month


def test_latest_month_of_files_without_a_date_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FactorLabError, match="no dated row in 2 files"):
        latest_month(folder(tmp_path, {"spy.csv": "No data", "qqq.csv": ""}))


def test_real_bulk_files_are_read_as_duckdb_reads_them(shared_data: Path) -> None:
    path = shared_data / "stooq" / "bulk_2024"
    fetched = StooqFiles(path).fetch(None, MAY)
    theirs = duckdb.sql(
        """SELECT replace("<TICKER>", '.US', '') AS ticker,
                  strptime("<DATE>"::VARCHAR, '%Y%m%d')::DATE AS date,
                  "<OPEN>" AS open, "<HIGH>" AS high, "<LOW>" AS low, "<CLOSE>" AS close,
                  "<VOL>"::DOUBLE AS volume
           FROM read_csv(?) WHERE "<DATE>" <= 20240531 ORDER BY ticker, date""",
        params=[f"{path}/*.txt"],
    ).to_arrow_table()
    assert fetched.prices.equals(theirs.cast(PRICE_SCHEMA))
    assert (fetched.prices.num_rows, len(fetched.coverage), fetched.rejections) == (63754, 13, [])


def test_real_archive_is_read_whole_and_its_flaws_are_told(shared_data: Path) -> None:
    path = shared_data / "stooq" / "us_etfs_20240621.zip"
    fetched = StooqFiles(path).fetch(None, MAY)
    assert fetched.prices.num_rows == 2_655_171
    assert fetched.last_available == dt.date(2024, 6, 21)
    assert {record.status for record in fetched.coverage} == {"ok"}
    assert len(fetched.coverage) == 607
    assert {r.reason for r in fetched.rejections} == {"zero or negative price"}
    assert {r.ticker: r.n_rows for r in fetched.rejections} == {
        **dict.fromkeys(("CWI", "SPAB", "SPTI", "SPTL"), 4),
        "RWX": 2,
        **dict.fromkeys(("EFV", "EVX", "ILTB", "ITM", "IWV", "MLN", "SMB", "SPMB"), 1),
    }
    assert latest_month(path) == "2024-05"
