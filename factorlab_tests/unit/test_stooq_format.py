"""One Stooq body: every format, every kind of fault, and the laws that any body obeys."""

from __future__ import annotations

import datetime as dt
from itertools import combinations, pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import stooq_format
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.stooq_format import classify, last_date, parse

HEADER = "Date,Open,High,Low,Close,Volume"
BULK = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
GOOD = [
    "2024-05-28,10,12,9,11,1000",
    "2024-05-29,11,13,10,12,2000.5",
    "2024-05-30,12,14,11,13,3000",
    "2024-05-31,13,15,12,14,4000",
]


def body(*rows: str, header: str = HEADER, end: str = "\r\n") -> bytes:
    return "".join(line + end for line in (header, *rows)).encode()


def days(bars: pa.Table) -> list[int]:
    """The days of May 2024 that have a bar."""
    return [day.day for day in bars.column("date").to_pylist()]


def kept_out(text: bytes, **options: dt.date) -> dict[str, int]:
    return {r.reason: r.n_rows for r in parse(text, "SPY", **options)[1]}


FORMATS = {
    "English per symbol": body("2024-05-31,13,15,12,14,4000"),
    "Polish per symbol": body(
        "2024-05-31,13,15,12,14,4000",
        header="Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen",
        end="\n",
    ),
    "bulk of 2020": body(
        "20240531,13,15,12,14,4000,0", header="Date,Open,High,Low,Close,Volume,OpenInt"
    ),
    "bulk of 2024": body("SPY.US,D,20240531,000000,13,15,12,14,4000,0", header=BULK),
    "with a byte order mark": b"\xef\xbb\xbf" + body("2024-05-31,13,15,12,14,4000"),
    "no line end at the end": body("2024-05-31,13,15,12,14,4000").rstrip(),
    "blanks and empty lines": body("", " 2024-05-31 , 13,15,12, 14,4000", ""),
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_bar(text: bytes) -> None:
    bars, rejections = parse(text, "SPY")
    assert bars.schema == PRICE_SCHEMA
    assert bars.to_pylist() == [
        {
            "ticker": "SPY",
            "date": dt.date(2024, 5, 31),
            "open": 13.0,
            "high": 15.0,
            "low": 12.0,
            "close": 14.0,
            "volume": 4000.0,
        }
    ]
    assert rejections == []
    assert classify(text) == "data"


@pytest.mark.parametrize(
    "text",
    [
        body("2024-05-31,13,15,12,14", header="Date,Open,High,Low,Close"),
        body("2024-05-31,13,15,12,14,"),
        body("2024-05-31,13,15,12,14"),
    ],
    ids=["no such column", "empty field", "field left away"],
)
def test_volume_that_is_not_given_is_null(text: bytes) -> None:
    bars, rejections = parse(text, "SPY")
    assert bars.column("volume").to_pylist() == [None]
    assert rejections == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-06-03,10,12", "malformed row"),
        ("2024-06-03,10,12,9,11,1000,7,7", "malformed row"),
        ("2024-06-03,10,12,9,eleven,1000", "malformed row"),
        ("2024-06-03,10,12,9,1_1,1000", "malformed row"),
        ("2024-06-03,10,12,9,,1000", "malformed row"),
        ('2024-06-03,"10",12,9,11,1000', "malformed row"),
        ("2024-06-03,10,12,9,11,much", "malformed row"),
        ("\x00\x1b[2J", "malformed row"),
        ("2024-02-30,10,12,9,11,1000", "impossible date"),
        ("20241301,10,12,9,11,1000", "impossible date"),
        ("1024-06-03,10,12,9,11,1000", "impossible date"),
        ("June 3,10,12,9,11,1000", "impossible date"),
        ("2024-06-03,0,12,0,11,1000", "zero or negative price"),
        ("2024-06-03,10,12,-9,11,1000", "zero or negative price"),
        ("2024-06-03,10,12,9,nan,1000", "price not finite"),
        ("2024-06-03,10,inf,9,11,1000", "price not finite"),
        ("2024-06-03,10,1e999,9,11,1000", "price not finite"),
        ("2024-06-03,10,9,12,11,1000", "high below low"),
        ("2024-06-03,10,12,9,12.0001,1000", "close above high"),
        ("2024-06-03,10,12,9,8.9999,1000", "close below low"),
        ("2024-06-03,12.0001,12,9,11,1000", "open above high"),
        ("2024-06-03,8.9999,12,9,11,1000", "open below low"),
        ("2024-06-03,10,12,9,11,-1", "volume negative or not finite"),
        ("2024-06-03,10,12,9,11,nan", "volume negative or not finite"),
        ("2024-06-03,10,12,9,11,inf", "volume negative or not finite"),
        ("2024-05-31,13,15,12,14,4000", "duplicate date, same bar"),
        ("2024-05-27,10,12,9,11,1000", "out of date order"),
    ],
)
def test_bad_row_is_kept_out_with_its_reason_and_the_others_stay(row: str, reason: str) -> None:
    bars, rejections = parse(body(*GOOD, row), "SPY")
    assert days(bars) == [28, 29, 30, 31]
    assert [(r.ticker, r.reason, r.n_rows) for r in rejections] == [("SPY", reason, 1)]
    assert rejections[0].sample == row.replace("\x00", "\\x00").replace("\x1b", "\\x1b")


@pytest.mark.parametrize(
    "date", ["20240230", "20241301", "20240001", "20240200", "10240301", "2024031", "", "-20240301"]
)
@pytest.mark.parametrize("before", [0, 2])
def test_impossible_date_without_dashes_is_kept_out(date: str, before: int) -> None:
    rows = [f"{day},10,12,9,11,1000" for day in ("20240227", "20240228", date, "20250304")]
    text = body(*rows[2 - before :])
    bars, rejections = parse(text, "SPY")
    assert bars.num_rows == before + 1
    assert [(r.reason, r.sample) for r in rejections] == [("impossible date", rows[2])]
    assert kept_out(body(rows[2])) == {"impossible date": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("QQQ.US,D,20240531,000000,13,15,12,14,4000,0", "row of another ticker"),
        ("SPY.UK,D,20240531,000000,13,15,12,14,4000,0", "row of another ticker"),
        ("SPY.US,60,20240531,000000,13,15,12,14,4000,0", "not a daily bar"),
    ],
)
def test_bulk_row_must_be_a_daily_bar_of_the_ticker(row: str, reason: str) -> None:
    good = "SPY.US,D,20240530,000000,12,14,11,13,3000,0"
    text = body(good, row, header=BULK)
    assert days(parse(text, "SPY")[0]) == [30]
    assert kept_out(text) == {reason: 1}


def test_bars_of_a_date_that_contradict_each_other_are_all_kept_out() -> None:
    text = body(*GOOD, "2024-05-29,11,13,10,12.5,2000")
    assert days(parse(text, "SPY")[0]) == [28, 30, 31]
    assert kept_out(text) == {"duplicate date, different bars": 2}


def test_of_identical_bars_the_first_stays() -> None:
    text = body(GOOD[0], GOOD[1], GOOD[1], GOOD[1], GOOD[2])
    assert days(parse(text, "SPY")[0]) == [28, 29, 30]
    assert kept_out(text) == {"duplicate date, same bar": 2}


def test_one_misprinted_date_costs_one_row_and_not_all_that_follow() -> None:
    text = body("2024-05-24,9,9,9,9,1", "2024-05-30,8,8,8,8,1", *GOOD[:2], "2024-05-31,9,9,9,9,1")
    bars, rejections = parse(text, "SPY")
    assert days(bars) == [24, 28, 29, 31]
    assert [(r.reason, r.sample) for r in rejections] == [
        ("out of date order", "2024-05-30,8,8,8,8,1")
    ]


@pytest.mark.parametrize(
    ("order", "stay", "sample"),
    [((0, 1, 3, 2), [28, 29, 31], 2), ((0, 2, 1), [28, 30], 1), ((1, 2, 0, 3), [29, 30, 31], 0)],
)
def test_row_that_goes_back_is_the_one_out_of_order(
    order: tuple[int, ...], stay: list[int], sample: int
) -> None:
    bars, rejections = parse(body(*(GOOD[i] for i in order)), "SPY")
    assert days(bars) == stay
    assert [(r.reason, r.sample) for r in rejections] == [("out of date order", GOOD[sample])]


def test_file_that_is_newest_first_is_read_from_its_end() -> None:
    bars, rejections = parse(body(*GOOD[::-1]), "SPY")
    assert days(bars) == [28, 29, 30, 31]
    assert rejections == []


def test_rows_after_the_asked_day_fall_away_unjudged() -> None:
    partial_bar, nonsense = "2024-05-31,13,15", "2024-06-03,0,0,0,0,-1"
    text = body(*GOOD[:3], partial_bar, nonsense)
    bars, rejections = parse(text, "SPY", dt.date(2024, 5, 30))
    assert days(bars) == [28, 29, 30]
    assert rejections == []
    assert kept_out(text) == {"malformed row": 1, "zero or negative price": 1}


def test_last_line_that_was_cut_short_is_no_bar() -> None:
    whole = body(*GOOD)
    cut = whole[: whole.rindex(b",4000")]
    assert cut.endswith(b"2024-05-31,13,15,12,14")
    assert days(parse(cut, "SPY")[0]) == [28, 29, 30]
    assert kept_out(cut) == {"malformed row": 1}


def test_long_sample_is_cut() -> None:
    rejections = parse(body("x" * 5000), "SPY")[1]
    assert rejections[0].sample == "x" * 120


def test_header_without_rows_is_no_bars_and_no_rejection() -> None:
    bars, rejections = parse(body(), "SPY")
    assert (bars.num_rows, bars.schema, rejections) == (0, PRICE_SCHEMA, [])


@pytest.mark.parametrize(
    "text", [b"", b"No data", b"Date,Open,High,Low,Close,Adj Close,Volume\n", b"Date,Date\n"]
)
def test_unknown_header_is_an_error_that_shows_it(text: bytes) -> None:
    with pytest.raises(FactorLabError, match=r"not a Stooq price file.*Where: SPY") as error:
        parse(text, "SPY")
    assert (text.decode().strip() or "nothing") in str(error.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"No data", "no_data"),
        (b"Brak danych\n", "no_data"),
        (b"Exceeded the daily hits limit", "limit"),
        (b"Przekroczony dzienny limit wywolan", "limit"),
        (b"Access denied", "denied"),
        ("Odmowa dostępu".encode(), "denied"),
        (b"Get your apikey:\n\n1. Open", "key_wanted"),
        (b"Write to www@stooq.com if you want to use our data", "write_to"),
        (b"<html><noscript>to verify your browser. Please", "challenge"),
        (b"<!DOCTYPE html><title>No data, access denied</title>", "html_other"),
        (b"hello", "unknown"),
        (b"PK\x03\x04", "unknown"),
    ],
)
def test_body_that_stooq_sends_instead_of_data_is_recognised(text: bytes, kind: str) -> None:
    assert classify(text) == kind
    assert kind in stooq_format.SAYINGS


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (body(*GOOD), dt.date(2024, 5, 31)),
        (body(*GOOD[::-1]), dt.date(2024, 5, 31)),
        (body(*GOOD, "2024-06-0", "garbage"), dt.date(2024, 5, 31)),
        (body(*GOOD * 200), dt.date(2024, 5, 31)),
        (body("SPY.US,D,20240530,000000,1,1,1,1,1,0", header=BULK), dt.date(2024, 5, 30)),
        (body(), None),
        (b"No data", None),
    ],
)
def test_last_date_is_read_off_the_ends(text: bytes, last: dt.date | None) -> None:
    assert last_date(text) == last


# Laws: of any body, however broken.

_day = st.dates(dt.date(2024, 5, 1), dt.date(2024, 5, 12))
_number = st.sampled_from(["10", "10.5", "11", "9.9999", "1e1", "+10", ".5", "0", "-1", "nan", ""])
_row = st.one_of(
    st.builds(lambda d: f"{d},10,11,9.5,10.5,100", _day),
    st.builds(
        lambda d, dashes, numbers: ",".join([f"{d}" if dashes else f"{d:%Y%m%d}", *numbers]),
        _day,
        st.booleans(),
        st.lists(_number, min_size=3, max_size=6),
    ),
    st.text("0123456789-,.enx \t\x00\xff", max_size=30),
)
_broken = st.lists(_row, max_size=12)
_spelt = st.sampled_from(["10", "10.5", "1e1", "+10", ".5e1", "010", " 10\t", "5."])
_volume = st.sampled_from(["100", "0", "", "2.5", "-0", "1e3"])
_nearly_whole = st.builds(
    lambda days, form, opens, volumes, more: [
        *(
            f"{day:{form}},{price},20,1,{price},{volume}"
            for day, price, volume in zip(sorted(days), opens, volumes, strict=False)
        ),
        *more,
    ],
    st.sets(_day, min_size=2, max_size=6),
    st.sampled_from(["%Y-%m-%d", "%Y%m%d", "0%Y%m%d"]),
    st.lists(_spelt, min_size=6, max_size=6),
    st.lists(_volume, min_size=6, max_size=6),
    st.lists(_row, max_size=1),
)
_bodies = st.builds(
    lambda rows, end, last: (HEADER + end + end.join(rows) + last).encode("latin-1"),
    st.one_of(_broken, _nearly_whole),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)


@settings(deadline=None)  # pyarrow's first call imports pandas
@given(_bodies)
def test_no_row_is_lost_and_every_bar_obeys_the_rules(text: bytes) -> None:
    bars, rejections = parse(text, "SPY")
    n_rows = sum(1 for line in text.splitlines()[1:] if line.strip())
    assert bars.num_rows + sum(r.n_rows for r in rejections) == n_rows
    dates = bars.column("date").to_pylist()
    assert dates == sorted(set(dates))
    for bar in bars.to_pylist():
        assert 0 < bar["low"] <= bar["open"] <= bar["high"] < float("inf")
        assert bar["low"] <= bar["close"] <= bar["high"]
        assert bar["volume"] is None or 0 <= bar["volume"] < float("inf")


@settings(deadline=None)
@given(st.lists(_day, min_size=1, max_size=7, unique=True))
def test_no_longer_ascending_run_could_stay(dates: list[dt.date]) -> None:
    falls = sum(b < a for a, b in pairwise(dates))
    ordered = dates[::-1] if 2 * falls > len(dates) - 1 else dates
    longest = max(
        size
        for size in range(1, len(dates) + 1)
        for run in combinations(ordered, size)
        if list(run) == sorted(run)
    )
    bars, rejections = parse(body(*(f"{day},9,9,9,9,1" for day in dates)), "SPY")
    assert bars.num_rows == longest
    assert sum(r.n_rows for r in rejections) == len(dates) - longest


@settings(deadline=None)  # pyarrow's first call imports pandas
@given(_bodies)
def test_reading_by_column_and_row_by_row_agree(text: bytes) -> None:
    columns = HEADER.lower().split(",")
    by_column = stooq_format._by_column(text, columns, "SPY", dt.date.max)
    if by_column is not None:
        bars, rejections = stooq_format._row_by_row(text, columns, "SPY", dt.date.max)
        assert (by_column.to_pylist(), []) == (bars.to_pylist(), rejections)


@settings(deadline=None)  # pyarrow's first call imports pandas
@given(_bodies, _day)
def test_rows_after_the_asked_day_change_nothing(text: bytes, through: dt.date) -> None:
    header, *lines = text.splitlines(keepends=True)
    early = [
        line
        for line in lines
        if (day := stooq_format.date_of(*stooq_format._fields(line)[:1])) is None or day <= through
    ]
    whole, cut = parse(text, "SPY", through), parse(header + b"".join(early), "SPY")
    assert (whole[0].to_pylist(), whole[1]) == (cut[0].to_pylist(), cut[1])


def test_every_real_format_is_read_whole(shared_data: Path) -> None:
    heads = sorted((shared_data / "stooq" / "formats").glob("*head*"))
    assert len(heads) == 5
    for head in heads:
        text = head.read_bytes()
        bars, rejections = parse(text, "SPY")
        assert (bars.num_rows, rejections) == (len(text.splitlines()) - 1, []), head
        assert last_date(text) == bars.column("date")[-1].as_py()


def test_every_real_answer_without_data_is_recognised(shared_data: Path) -> None:
    kinds = {
        path.stem: classify(path.read_bytes())
        for path in (shared_data / "stooq" / "formats").glob("body_*")
    }
    assert kinds == {
        "body_denied_en": "denied",
        "body_denied_pl": "denied",
        "body_get_apikey": "key_wanted",
        "body_js_challenge_truncated": "challenge",
        "body_limit_en": "limit",
        "body_limit_pl": "limit",
        "body_no_data_en": "no_data",
        "body_no_data_pl": "no_data",
        "body_write_to": "write_to",
    }
