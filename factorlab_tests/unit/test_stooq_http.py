"""The per-symbol download against a loopback Stooq: every answer and every fault."""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import http_get, stooq_http
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.stooq_http import GIVE_UP_AFTER, StooqHttp
from factorlab_tests.stooq_server import (
    CSV,
    HEADER,
    KEY,
    PASSING,
    REFUSALS,
    Make,
    Play,
    StooqServer,
    chunked,
    drip,
    endless,
    gzipped,
    late,
    reset,
    running_server,
    send,
    source,
    statuses,
    unframed,
)

MAY = dt.date(2024, 5, 31)


@pytest.fixture
def stooq(monkeypatch: pytest.MonkeyPatch) -> Iterator[StooqServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_server() as server:
        yield server


@pytest.fixture
def make(stooq: StooqServer, tmp_path: Path) -> Make:
    return partial(source, stooq, tmp_path)


def test_a_list_of_tickers_is_downloaded(stooq: StooqServer, make: Make) -> None:
    fetched = make(first=dt.date(2000, 1, 3)).fetch(["SPY", "QQQ"], MAY)
    assert fetched.prices.schema.equals(PRICE_SCHEMA)
    assert fetched.prices["ticker"].to_pylist() == ["SPY", "SPY", "QQQ", "QQQ"]
    assert fetched.prices["close"].to_pylist() == [9.5, 10.0, 9.5, 10.0]
    assert statuses(fetched) == {"SPY": "ok", "QQQ": "ok"}
    spy = fetched.coverage[0]
    assert (spy.n_rows, spy.first_date, spy.last_date) == (2, dt.date(2024, 5, 30), MAY)
    assert fetched.notes == []
    span = {"i": "d", "d1": "20000103", "d2": "20240531", "apikey": KEY}
    assert stooq.queries == [{"s": "spy.us", **span}, {"s": "qqq.us", **span}]


def test_without_a_key_none_is_sent(stooq: StooqServer, tmp_path: Path) -> None:
    StooqHttp(stooq.url, None, tmp_path).fetch(["SPY"], MAY)
    assert "apikey" not in stooq.queries[0]


def test_other_markets_and_indices_are_asked_for_as_they_are(
    stooq: StooqServer, make: Make
) -> None:
    make().fetch(["AAL.UK", "^SPX", "BRK-B", "SPY", "SPY"], MAY)
    assert stooq.asked() == ["aal.uk", "^spx", "brk-b.us", "spy.us"]


def test_every_ticker_there_is_cannot_be_asked_for(make: Make) -> None:
    with pytest.raises(FactorLabError, match=r"needs a list of them.*stooq-files"):
        make().fetch(None, MAY)


@pytest.mark.parametrize("name", ["../etc/passwd", "spy", "A B", "", "SPY\n", "A" * 33])
def test_a_name_that_is_no_ticker_reaches_neither_network_nor_disk(
    stooq: StooqServer, make: Make, tmp_path: Path, name: str
) -> None:
    with pytest.raises(FactorLabError, match="no ticker"):
        make().fetch(["SPY", name], MAY)
    assert stooq.queries == []
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://stooq.com/",
        "stooq.com/q",
        "http://",
        "http://a/b c",
        "http://[",
        "http://a/b?c=d",
        "http://a@b/",
        "http://a:b/",
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FactorLabError, match="no download address"):
        StooqHttp(url, None, tmp_path)


def test_a_key_in_the_address_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(FactorLabError, match="no download address") as caught:
        StooqHttp(f"https://me:{KEY}@stooq.com/q/d/l/?apikey={KEY}", None, tmp_path)
    assert KEY not in str(caught.value)


# Failures that pass: asked again.


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_failure_is_tried_again(stooq: StooqServer, make: Make, fault: str) -> None:
    stooq.scripts["spy.us"] = [PASSING[fault], PASSING[fault], send(CSV)]
    fetched = make().fetch(["SPY"], MAY)
    assert statuses(fetched) == {"SPY": "ok"}
    assert fetched.prices.num_rows == 2
    assert stooq.asked() == ["spy.us"] * 3


@pytest.mark.parametrize("slow", [late(0.8, send(CSV)), drip(CSV, 0.1)], ids=["silent", "drips"])
def test_an_answer_that_takes_too_long_is_tried_again(
    stooq: StooqServer, make: Make, slow: Play
) -> None:
    stooq.scripts["spy.us"] = [slow, send(CSV)]
    fetched = make(timeout_s=0.4).fetch(["SPY"], MAY)
    assert statuses(fetched) == {"SPY": "ok"}
    assert stooq.asked() == ["spy.us"] * 2


@pytest.mark.parametrize("fault", PASSING)
def test_a_failure_that_does_not_pass_costs_only_its_ticker(
    stooq: StooqServer, make: Make, tmp_path: Path, fault: str
) -> None:
    stooq.scripts["spy.us"] = [PASSING[fault]]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "not_fetched", "QQQ": "ok"}
    assert fetched.coverage[0].detail.startswith("gave up after 3 tries: ")
    assert stooq.asked() == ["spy.us"] * 3 + ["qqq.us"]
    assert "repeat the same command" in fetched.notes[0]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [
        "stooq_qqq.us_19000101_20240531.csv"
    ]


def test_waits_between_tries_double_with_jitter(stooq: StooqServer, make: Make) -> None:
    stooq.scripts["spy.us"] = [reset]
    waits: list[float] = []
    for _ in range(20):
        make(tries=5, sleep=waits.append).fetch(["SPY", "QQQ"], MAY)
    assert len(waits) == 20 * 4
    for attempt, usual in enumerate([1, 2, 4, 8]):
        some = waits[attempt::4]
        assert 0.5 * usual <= min(some) < 0.9 * usual
        assert 1.1 * usual < max(some) <= 1.5 * usual


@pytest.mark.parametrize(("asked", "waited"), [("20", 20.0), ("86400", 60.0)])
def test_a_server_that_asks_to_wait_gets_its_time(
    stooq: StooqServer, make: Make, asked: str, waited: float
) -> None:
    stooq.scripts["spy.us"] = [send(b"", status=429, Retry_After=asked), send(CSV)]
    waits: list[float] = []
    make(sleep=waits.append).fetch(["SPY"], MAY)
    assert waits == [waited]


def test_a_server_out_of_reach_is_not_asked_for_every_ticker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        waits: list[float] = []
        client = StooqHttp(url, KEY, tmp_path, parallel=1, pause_s=0, tries=2, sleep=waits.append)
        with pytest.raises(FactorLabError, match="check the network") as caught:
            client.fetch([f"T{number}" for number in range(50)], MAY)
    assert "Connection refused" in str(caught.value)
    assert len(waits) == GIVE_UP_AFTER


def test_failures_in_a_row_end_a_download_but_scattered_ones_do_not(
    stooq: StooqServer, make: Make
) -> None:
    tickers = [f"T{number}" for number in range(4 * GIVE_UP_AFTER)]
    for ticker in tickers[::2]:
        stooq.scripts[f"{ticker.lower()}.us"] = [reset]
    fetched = make(tries=1).fetch(tickers, MAY)
    assert list(statuses(fetched).values()) == ["not_fetched", "ok"] * (2 * GIVE_UP_AFTER)
    for ticker in tickers[: GIVE_UP_AFTER + 1]:
        stooq.scripts[f"{ticker.lower()}.us"] = [reset]
    fetched = make(tries=1, first=dt.date(2000, 1, 1)).fetch(["SPY", *tickers], MAY)
    assert list(statuses(fetched).values()) == ["ok"] + ["not_fetched"] * len(tickers)
    assert "the same command: it goes on where it stopped" in fetched.notes[0]


# Answers that are final for one ticker: asked once.

FINAL = {
    "no data": (send(b"No data"), "no_data"),
    "no data, Polish": (send(b"Brak danych"), "no_data"),
    "a header alone": (send(HEADER), "no_data"),
    "nothing": (send(b""), "empty_file"),
    "unknown text": (send(b"Guten Tag"), "unreadable"),
    "only bad rows": (send(HEADER + b"2024-05-31,0,0,0,0,0\r\n"), "unreadable"),
    "404": (send(b"not here", status=404), "not_fetched"),
}


@pytest.mark.parametrize("answer", FINAL)
def test_a_final_answer_is_taken_and_not_asked_for_again(
    stooq: StooqServer, make: Make, answer: str
) -> None:
    play, status = FINAL[answer]
    stooq.scripts["spy.us"] = [play]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": status, "QQQ": "ok"}
    assert fetched.coverage[0].detail
    assert stooq.asked() == ["spy.us", "qqq.us"]


def test_rows_kept_out_are_reported_and_later_rows_cut(stooq: StooqServer, make: Make) -> None:
    rows = b"2024-05-29,9,8,10,9,1\r\n" + CSV[len(HEADER) :] + b"2024-06-03,9,10,8,9,1\r\n"
    stooq.default = send(HEADER + rows)
    fetched = make().fetch(["SPY"], MAY)
    assert fetched.prices["date"].to_pylist() == [dt.date(2024, 5, 30), MAY]
    assert [rejection.n_rows for rejection in fetched.rejections] == [1]
    assert fetched.coverage[0].n_rejected == 1


@pytest.mark.parametrize("play", [gzipped(CSV), chunked(CSV, whole=True), unframed(CSV)])
def test_whole_answers_are_read_however_they_are_framed(
    stooq: StooqServer, make: Make, play: Play
) -> None:
    stooq.default = play
    assert make().fetch(["SPY"], MAY).prices.num_rows == 2


@pytest.mark.parametrize("play", [endless, gzipped(CSV * 2000)], ids=["endless", "gzip bomb"])
def test_a_huge_answer_is_read_no_further_than_allowed(
    stooq: StooqServer, make: Make, monkeypatch: pytest.MonkeyPatch, play: Play
) -> None:
    monkeypatch.setattr(http_get, "MAX_BODY", 50_000)
    stooq.scripts["spy.us"] = [play]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "not_fetched", "QQQ": "ok"}
    assert "an answer of more than" in fetched.coverage[0].detail
    assert stooq.asked() == ["spy.us", "qqq.us"]


# Answers that end the whole download.


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_stops_at_once_and_keeps_what_came(
    stooq: StooqServer, make: Make, refusal: str
) -> None:
    stooq.scripts["qqq.us"] = [REFUSALS[refusal]]
    fetched = make().fetch(["SPY", "QQQ", "IWM", "TLT"], MAY)
    assert statuses(fetched) == {
        "SPY": "ok", "QQQ": "not_fetched", "IWM": "not_fetched", "TLT": "not_fetched"
    }  # fmt: skip
    assert fetched.prices.num_rows == 2
    assert stooq.asked() == ["spy.us", "qqq.us"]
    assert set(stooq.paths) == {"/q/d/l/"}
    assert fetched.notes[0].startswith("3 of 4 tickers were not fetched: ")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_before_any_price_is_an_error_that_says_what_to_do(
    stooq: StooqServer, make: Make, refusal: str
) -> None:
    stooq.default = REFUSALS[refusal]
    with pytest.raises(FactorLabError, match="Stooq sent no prices") as caught:
        make().fetch(["SPY", "QQQ"], MAY)
    assert stooq.asked() == ["spy.us"]
    said = str(caught.value)
    if refusal.startswith("limit"):
        assert "after 2024-06-02 00:00, Warsaw time, repeat the same command" in said
    else:
        assert "https://stooq.com/db/h/" in said
        assert "--source stooq-files --path" in said
    if refusal.startswith(("key", "denied")):
        assert "get_apikey" in said
        assert "FACTORLAB_STOOQ_APIKEY" in said


def test_the_limit_ends_at_the_next_midnight_in_warsaw(stooq: StooqServer, make: Make) -> None:
    stooq.default = REFUSALS["limit"]
    late_evening = dt.datetime(2024, 6, 1, 22, 30, tzinfo=dt.UTC)  # 00:30 on June 2 in Warsaw
    with pytest.raises(FactorLabError, match="after 2024-06-03 00:00, Warsaw time"):
        make(now=lambda: late_evening).fetch(["SPY"], MAY)


def test_the_limit_stops_every_worker(stooq: StooqServer, make: Make) -> None:
    tickers = [f"T{number}" for number in range(60)]
    stooq.default = late(0.02, send(CSV))
    for ticker in tickers[8:]:
        stooq.scripts[f"{ticker.lower()}.us"] = [REFUSALS["limit"]]
    fetched = make(parallel=4).fetch(tickers, MAY)
    came = [ticker for ticker, status in statuses(fetched).items() if status == "ok"]
    assert 5 <= len(came) <= 8
    assert len(stooq.queries) <= len(came) + 4


def test_a_refusal_ends_the_waiting_of_the_others(
    stooq: StooqServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stooq_http, "_pause", lambda *_: 10.0)
    begun = time.monotonic()
    stooq.scripts["spy.us"] = [send(CSV)]
    stooq.scripts["qqq.us"] = [reset]
    stooq.scripts["iwm.us"] = [late(0.2, REFUSALS["denied"])]
    fetched = make(parallel=3, tries=5, sleep=None).fetch(["SPY", "QQQ", "IWM"], MAY)
    assert statuses(fetched) == {"SPY": "ok", "QQQ": "not_fetched", "IWM": "not_fetched"}
    assert stooq.asked().count("qqq.us") == 1
    assert time.monotonic() - begun < 5


def test_only_tickers_without_data_are_an_answer_and_no_error(
    stooq: StooqServer, make: Make
) -> None:
    stooq.default = send(b"No data")
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "no_data", "QQQ": "no_data"}
    assert (fetched.prices.num_rows, fetched.last_available) == (0, None)
