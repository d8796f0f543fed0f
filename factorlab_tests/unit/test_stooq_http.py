"""The per-symbol download against a loopback Stooq: every answer, every fault, nothing leaked."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from pydantic import SecretStr

from factorlab_assets.errors import FactorLabError
from factorlab_assets.sources import http_get, stooq_http
from factorlab_assets.sources.base import PRICE_SCHEMA, Fetched
from factorlab_assets.sources.stooq_http import GIVE_UP_AFTER, StooqHttp
from factorlab_tests.stooq_server import (
    CSV,
    HEADER,
    Play,
    StooqServer,
    chunked,
    cut,
    drip,
    endless,
    gzipped,
    hang_up,
    late,
    reset,
    send,
    stooq_server,
    unframed,
)

MAY = dt.date(2024, 5, 31)
SATURDAY = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)
KEY = "k3y+S3CR3T/with=odd&signs"
Make = Callable[..., StooqHttp]

KEY_WANTED = b"Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey\n"
CHALLENGE = (
    b"<!DOCTYPE html><html><noscript>This site requires JavaScript to verify your browser."
    b"</noscript></html>"
)
REFUSALS = {
    "limit": send(b"Exceeded the daily hits limit"),
    "limit, Polish": send(b"Przekroczony dzienny limit wywolan"),
    "denied": send(b"Access denied"),
    "denied, Polish": send("Odmowa dostępu".encode()),
    "denied by status": send(b"Forbidden", status=403),
    "key wanted": send(KEY_WANTED),
    "write to": send(b"Write to www@stooq.com if you want to use our data"),
    "challenge": send(CHALLENGE),
    "challenge by status": send(CHALLENGE, status=503),
    "web page": send(b"<html><body>Hello</body></html>"),
    "redirect": send(b"", status=302, Location="/elsewhere/"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StooqServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with stooq_server() as running:
        yield running


@pytest.fixture
def make(server: StooqServer, tmp_path: Path) -> Make:
    """A source that asks the loopback server, one ticker at a time and without waiting."""

    def build(**options: object) -> StooqHttp:
        usual = {"parallel": 1, "pause_s": 0.0, "tries": 3, "timeout_s": 5.0}
        usual |= {"sleep": lambda _: None, "now": lambda: SATURDAY}
        return StooqHttp(server.url, SecretStr(KEY), tmp_path / "kept", **(usual | options))  # type: ignore[arg-type]

    return build


def statuses(fetched: Fetched) -> dict[str, str]:
    return {record.ticker: record.status for record in fetched.coverage}


def test_a_list_of_tickers_is_downloaded(server: StooqServer, make: Make) -> None:
    fetched = make(first=dt.date(2000, 1, 3)).fetch(["SPY", "QQQ"], MAY)
    assert fetched.prices.schema.equals(PRICE_SCHEMA)
    assert fetched.prices["ticker"].to_pylist() == ["SPY", "SPY", "QQQ", "QQQ"]
    assert fetched.prices["close"].to_pylist() == [9.5, 10.0, 9.5, 10.0]
    assert statuses(fetched) == {"SPY": "ok", "QQQ": "ok"}
    spy = fetched.coverage[0]
    assert (spy.n_rows, spy.first_date, spy.last_date) == (2, dt.date(2024, 5, 30), MAY)
    assert fetched.notes == []
    span = {"i": "d", "d1": "20000103", "d2": "20240531", "apikey": KEY}
    assert server.queries == [{"s": "spy.us", **span}, {"s": "qqq.us", **span}]


def test_without_a_key_none_is_sent(server: StooqServer, tmp_path: Path) -> None:
    StooqHttp(server.url, None, tmp_path).fetch(["SPY"], MAY)
    assert "apikey" not in server.queries[0]


def test_other_markets_and_indices_are_asked_for_as_they_are(
    server: StooqServer, make: Make
) -> None:
    make().fetch(["AAL.UK", "^SPX", "BRK-B", "SPY", "SPY"], MAY)
    assert server.asked() == ["aal.uk", "^spx", "brk-b.us", "spy.us"]


def test_every_ticker_there_is_cannot_be_asked_for(make: Make) -> None:
    with pytest.raises(FactorLabError, match=r"needs a list of them.*stooq-files"):
        make().fetch(None, MAY)


@pytest.mark.parametrize("name", ["../etc/passwd", "spy", "A B", "", "SPY\n", "A" * 33])
def test_a_name_that_is_no_ticker_reaches_neither_network_nor_disk(
    server: StooqServer, make: Make, tmp_path: Path, name: str
) -> None:
    with pytest.raises(FactorLabError, match="no ticker"):
        make().fetch(["SPY", name], MAY)
    assert server.queries == []
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

PASSING: dict[str, Play] = {
    "reset": reset,
    "hung up": hang_up,
    "500": send(b"oops", status=500),
    "503 with a page": send(b"<html>busy</html>", status=503),
    "429": send(b"slow down", status=429),
    "429 with a page": send(b"<html>slow down</html>", status=429),
    "cut": cut(CSV, 50),
    "cut between rows": cut(CSV, len(HEADER)),
    "ends mid-row": send(CSV[:-12]),
    "ends before its last line break": send(CSV.rstrip()),
    "unframed, ends mid-row": unframed(CSV[:-12]),
    "chunk cut": chunked(CSV, whole=False),
    "gzip cut": gzipped(CSV, length=-10),
    "gzip without its checksum": gzipped(CSV, length=-4),
    "gzip that is none": send(CSV, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_failure_is_tried_again(server: StooqServer, make: Make, fault: str) -> None:
    server.scripts["spy.us"] = [PASSING[fault], PASSING[fault], send(CSV)]
    fetched = make().fetch(["SPY"], MAY)
    assert statuses(fetched) == {"SPY": "ok"}
    assert fetched.prices.num_rows == 2
    assert server.asked() == ["spy.us"] * 3


@pytest.mark.parametrize("slow", [late(0.8, send(CSV)), drip(CSV, 0.1)], ids=["silent", "drips"])
def test_an_answer_that_takes_too_long_is_tried_again(
    server: StooqServer, make: Make, slow: Play
) -> None:
    server.scripts["spy.us"] = [slow, send(CSV)]
    fetched = make(timeout_s=0.4).fetch(["SPY"], MAY)
    assert statuses(fetched) == {"SPY": "ok"}
    assert server.asked() == ["spy.us"] * 2


@pytest.mark.parametrize("fault", PASSING)
def test_a_failure_that_does_not_pass_costs_only_its_ticker(
    server: StooqServer, make: Make, tmp_path: Path, fault: str
) -> None:
    server.scripts["spy.us"] = [PASSING[fault]]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "not_fetched", "QQQ": "ok"}
    assert fetched.coverage[0].detail.startswith("gave up after 3 tries: ")
    assert server.asked() == ["spy.us"] * 3 + ["qqq.us"]
    assert "repeat the same command" in fetched.notes[0]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [
        "stooq_qqq.us_19000101_20240531.csv"
    ]


def test_waits_between_tries_double_with_jitter(server: StooqServer, make: Make) -> None:
    server.scripts["spy.us"] = [reset]
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
    server: StooqServer, make: Make, asked: str, waited: float
) -> None:
    server.scripts["spy.us"] = [send(b"", status=429, Retry_After=asked), send(CSV)]
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
        source = StooqHttp(url, KEY, tmp_path, parallel=1, pause_s=0, tries=2, sleep=waits.append)
        with pytest.raises(FactorLabError, match="check the network") as caught:
            source.fetch([f"T{number}" for number in range(50)], MAY)
    assert "Connection refused" in str(caught.value)
    assert len(waits) == GIVE_UP_AFTER


def test_failures_in_a_row_end_a_download_but_scattered_ones_do_not(
    server: StooqServer, make: Make
) -> None:
    tickers = [f"T{number}" for number in range(4 * GIVE_UP_AFTER)]
    for ticker in tickers[::2]:
        server.scripts[f"{ticker.lower()}.us"] = [reset]
    fetched = make(tries=1).fetch(tickers, MAY)
    assert list(statuses(fetched).values()) == ["not_fetched", "ok"] * (2 * GIVE_UP_AFTER)
    for ticker in tickers[: GIVE_UP_AFTER + 1]:
        server.scripts[f"{ticker.lower()}.us"] = [reset]
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
    server: StooqServer, make: Make, answer: str
) -> None:
    play, status = FINAL[answer]
    server.scripts["spy.us"] = [play]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": status, "QQQ": "ok"}
    assert fetched.coverage[0].detail
    assert server.asked() == ["spy.us", "qqq.us"]


def test_rows_kept_out_are_reported_and_later_rows_cut(server: StooqServer, make: Make) -> None:
    rows = b"2024-05-29,9,8,10,9,1\r\n" + CSV[len(HEADER) :] + b"2024-06-03,9,10,8,9,1\r\n"
    server.default = send(HEADER + rows)
    fetched = make().fetch(["SPY"], MAY)
    assert fetched.prices["date"].to_pylist() == [dt.date(2024, 5, 30), MAY]
    assert [rejection.n_rows for rejection in fetched.rejections] == [1]
    assert fetched.coverage[0].n_rejected == 1


@pytest.mark.parametrize("play", [gzipped(CSV), chunked(CSV, whole=True), unframed(CSV)])
def test_whole_answers_are_read_however_they_are_framed(
    server: StooqServer, make: Make, play: Play
) -> None:
    server.default = play
    assert make().fetch(["SPY"], MAY).prices.num_rows == 2


@pytest.mark.parametrize("play", [endless, gzipped(CSV * 2000)], ids=["endless", "gzip bomb"])
def test_a_huge_answer_is_read_no_further_than_allowed(
    server: StooqServer, make: Make, monkeypatch: pytest.MonkeyPatch, play: Play
) -> None:
    monkeypatch.setattr(http_get, "MAX_BODY", 50_000)
    server.scripts["spy.us"] = [play]
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "not_fetched", "QQQ": "ok"}
    assert "an answer of more than" in fetched.coverage[0].detail
    assert server.asked() == ["spy.us", "qqq.us"]


# Answers that end the whole download.


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_stops_at_once_and_keeps_what_came(
    server: StooqServer, make: Make, refusal: str
) -> None:
    server.scripts["qqq.us"] = [REFUSALS[refusal]]
    fetched = make().fetch(["SPY", "QQQ", "IWM", "TLT"], MAY)
    assert statuses(fetched) == {
        "SPY": "ok", "QQQ": "not_fetched", "IWM": "not_fetched", "TLT": "not_fetched"
    }  # fmt: skip
    assert fetched.prices.num_rows == 2
    assert server.asked() == ["spy.us", "qqq.us"]
    assert set(server.paths) == {"/q/d/l/"}
    assert fetched.notes[0].startswith("3 of 4 tickers were not fetched: ")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_before_any_price_is_an_error_that_says_what_to_do(
    server: StooqServer, make: Make, refusal: str
) -> None:
    server.default = REFUSALS[refusal]
    with pytest.raises(FactorLabError, match="Stooq sent no prices") as caught:
        make().fetch(["SPY", "QQQ"], MAY)
    assert server.asked() == ["spy.us"]
    said = str(caught.value)
    if refusal.startswith("limit"):
        assert "after 2024-06-02 00:00, Warsaw time, repeat the same command" in said
    else:
        assert "https://stooq.com/db/h/" in said
        assert "--source stooq-files --path" in said
    if refusal.startswith(("key", "denied")):
        assert "get_apikey" in said
        assert "FACTORLAB_STOOQ_APIKEY" in said


def test_the_limit_ends_at_the_next_midnight_in_warsaw(server: StooqServer, make: Make) -> None:
    server.default = REFUSALS["limit"]
    late_evening = dt.datetime(2024, 6, 1, 22, 30, tzinfo=dt.UTC)  # 00:30 on June 2 in Warsaw
    with pytest.raises(FactorLabError, match="after 2024-06-03 00:00, Warsaw time"):
        make(now=lambda: late_evening).fetch(["SPY"], MAY)


def test_the_limit_stops_every_worker(server: StooqServer, make: Make) -> None:
    tickers = [f"T{number}" for number in range(60)]
    server.default = late(0.02, send(CSV))
    for ticker in tickers[8:]:
        server.scripts[f"{ticker.lower()}.us"] = [REFUSALS["limit"]]
    fetched = make(parallel=4).fetch(tickers, MAY)
    came = [ticker for ticker, status in statuses(fetched).items() if status == "ok"]
    assert 5 <= len(came) <= 8
    assert len(server.queries) <= len(came) + 4


def test_a_refusal_ends_the_waiting_of_the_others(
    server: StooqServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stooq_http, "_pause", lambda *_: 10.0)
    begun = time.monotonic()
    server.scripts["spy.us"] = [send(CSV)]
    server.scripts["qqq.us"] = [reset]
    server.scripts["iwm.us"] = [late(0.2, REFUSALS["denied"])]
    fetched = make(parallel=3, tries=5, sleep=None).fetch(["SPY", "QQQ", "IWM"], MAY)
    assert statuses(fetched) == {"SPY": "ok", "QQQ": "not_fetched", "IWM": "not_fetched"}
    assert server.asked().count("qqq.us") == 1
    assert time.monotonic() - begun < 5


def test_only_tickers_without_data_are_an_answer_and_no_error(
    server: StooqServer, make: Make
) -> None:
    server.default = send(b"No data")
    fetched = make().fetch(["SPY", "QQQ"], MAY)
    assert statuses(fetched) == {"SPY": "no_data", "QQQ": "no_data"}
    assert (fetched.prices.num_rows, fetched.last_available) == (0, None)


# Going on where it stopped.


def test_what_came_is_not_asked_for_again_until_the_ingest_is_finished(
    server: StooqServer, make: Make
) -> None:
    server.scripts["qqq.us"] = [send(b"No data")]
    server.scripts["iwm.us"] = [REFUSALS["limit"], send(CSV)]
    source, tickers = make(), ["SPY", "QQQ", "IWM", "TLT"]
    first = source.fetch(tickers, MAY)
    source.finish(first, MAY)  # stored, but not complete: the answers stay
    again = make().fetch(tickers, MAY)
    assert server.asked() == ["spy.us", "qqq.us", "iwm.us", "iwm.us", "tlt.us"]
    assert statuses(again) == {"SPY": "ok", "QQQ": "no_data", "IWM": "ok", "TLT": "ok"}
    assert again.prices.slice(0, 2).equals(first.prices)
    assert again.notes[0].startswith("2 of 4 tickers were downloaded by an earlier")
    source.finish(again, MAY)
    assert make().fetch(tickers, MAY).notes == []
    assert server.asked()[5:] == ["spy.us", "qqq.us", "iwm.us", "tlt.us"]


def test_answers_of_another_span_are_not_taken(server: StooqServer, make: Make) -> None:
    source = make()
    fetched = source.fetch(["SPY"], MAY)
    source.fetch(["SPY"], dt.date(2024, 4, 30))
    make(first=dt.date(2020, 1, 1)).fetch(["SPY"], MAY)
    assert len(server.queries) == 3
    source.finish(fetched, MAY)
    source.fetch(["SPY"], dt.date(2024, 4, 30))
    make(first=dt.date(2020, 1, 1)).fetch(["SPY"], MAY)
    assert len(server.queries) == 3


@pytest.mark.parametrize("left", [b"", CSV[:-12], b"<html>", b"Access denied"])
def test_a_kept_file_that_settles_nothing_is_asked_for_again(
    server: StooqServer, make: Make, tmp_path: Path, left: bytes
) -> None:
    source = make()
    path = tmp_path / "kept" / source.kept_as("spy.us", MAY)
    path.parent.mkdir()
    path.write_bytes(left)
    assert statuses(source.fetch(["SPY"], MAY)) == {"SPY": "ok"}
    assert path.read_bytes() == CSV


def test_a_killed_write_leaves_no_answer_behind(
    server: StooqServer, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    source = make()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            source.fetch(["SPY"], MAY)
    assert not (tmp_path / "kept" / source.kept_as("spy.us", MAY)).exists()
    assert statuses(source.fetch(["SPY"], MAY)) == {"SPY": "ok"}


def test_a_folder_that_cannot_be_used_is_an_error(
    server: StooqServer, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file, no folder")
    with pytest.raises(FactorLabError, match=r"could not be kept.*kept.*FACTORLAB_DATA_DIR"):
        make().fetch([f"T{number}" for number in range(10)], MAY)
    assert len(server.queries) <= 3


def test_odd_tickers_are_kept_in_the_folder_under_plain_names(
    server: StooqServer, make: Make, tmp_path: Path
) -> None:
    make().fetch(["^SPX", "CON", "A=B"], MAY)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        "stooq_^spx_19000101_20240531.csv",
        "stooq_a=b.us_19000101_20240531.csv",
        "stooq_con.us_19000101_20240531.csv",
    ]


# Politeness.


def test_requests_begin_a_pause_apart_whatever_the_workers(server: StooqServer, make: Make) -> None:
    waits: list[float] = []
    source = make(parallel=3, pause_s=0.5, sleep=waits.append, clock=lambda: 100.0)
    source.fetch(["SPY", "QQQ", "IWM", "TLT", "IEF"], MAY)
    assert sorted(waits) == [0.5, 1.0, 1.5, 2.0]


def test_no_more_requests_run_at_a_time_than_allowed(server: StooqServer, make: Make) -> None:
    running: list[str] = []
    counts: list[int] = []

    def counted(handler: BaseHTTPRequestHandler) -> None:
        running.append(handler.path)
        counts.append(len(running))
        time.sleep(0.03)
        running.remove(handler.path)
        send(CSV)(handler)

    server.default = counted
    fetched = make(parallel=3).fetch([f"T{number}" for number in range(15)], MAY)
    assert max(counts) == 3
    assert [record.ticker for record in fetched.coverage] == [f"T{n}" for n in range(15)]


# What it says about time, and what it never says.


@pytest.mark.parametrize(
    ("asked_on", "held"),
    [
        (dt.datetime(2024, 6, 3, 20, tzinfo=dt.UTC), dt.date(2024, 5, 31)),
        (dt.datetime(2024, 6, 4, 3, tzinfo=dt.UTC), dt.date(2024, 5, 31)),  # still June 3 there
        (dt.datetime(2024, 6, 4, 5, tzinfo=dt.UTC), dt.date(2024, 6, 3)),
        (dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC), dt.date(2025, 12, 31)),
    ],
)
def test_the_source_may_have_held_every_session_over_when_asked(
    server: StooqServer, make: Make, asked_on: dt.datetime, held: dt.date
) -> None:
    assert make(now=lambda: asked_on).fetch(["SPY"], MAY).last_available == held


ECHOES: dict[str, Play] = {
    "unknown text": send(f"no such key: {KEY}".encode()),
    "redirect": send(b"", status=302, Location=f"http://127.0.0.1:1/{KEY}?apikey={KEY}"),
    "a row": send(CSV + f"{KEY},1,1,1,1,1\r\n".encode()),
    "another row": send(CSV + b"k3y%2BS3CR3T%2Fwith%3Dodd%26signs,1,1,1,1,1\r\n"),
    "status line": lambda handler: handler.send_error(500, KEY),
    "nonsense": lambda handler: handler.wfile.write(f"{KEY} {KEY}\r\n\r\n".encode()) and None,
    **REFUSALS,
    **PASSING,
}


@pytest.mark.parametrize("echo", ECHOES)
def test_the_apikey_is_nowhere_to_be_seen(
    server: StooqServer,
    make: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    echo: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.scripts["spy.us"] = [ECHOES[echo]]
    source = make()
    seen = [repr(source), str(vars(source))]
    try:
        seen.append(str(source.fetch(["SPY"], MAY)))
    except FactorLabError as error:
        seen += traceback.format_exception(error)
        seen += [str(error.__cause__), str(error.__context__)]
    seen += [str(source.fetch(["QQQ", "SPY"], MAY)), caplog.text, *capfd.readouterr()]
    for path in (tmp_path / "kept").rglob("*"):
        seen += [path.name, path.read_text()]
    assert server.queries[0]["apikey"] == KEY
    for text in seen:
        assert "S3CR3T" not in text


def test_the_bodies_seen_in_the_wild_are_each_understood(
    server: StooqServer, make: Make, shared_data: Path
) -> None:
    expected = {"no_data": "no_data", "limit": "stop", "denied": "stop", "get": "stop"}
    expected |= {"js": "stop", "write": "stop"}
    bodies = sorted((shared_data / "stooq/formats").glob("body_*"))
    assert len(bodies) == 9
    for number, path in enumerate(bodies):
        server.scripts["spy.us"] = [send(path.read_bytes())]
        source = make(first=dt.date(2000 + number, 1, 1))
        fetched = source.fetch(["QQQ", "SPY", "TLT"], MAY)
        kind = path.name.removeprefix("body_")
        meant = next(value for start, value in expected.items() if kind.startswith(start))
        spy, tlt = statuses(fetched)["SPY"], statuses(fetched)["TLT"]
        wanted = ("no_data", "ok") if meant == "no_data" else ("not_fetched", "not_fetched")
        assert (spy, tlt) == wanted, path.name
    for path in sorted((shared_data / "stooq/formats").glob("per_symbol_*")):
        server.scripts["spy.us"] = [send(path.read_bytes())]
        source = make(first=dt.date(1990, 1, len(server.queries) % 28 + 1))
        assert statuses(source.fetch(["SPY"], MAY)) == {"SPY": "ok"}, path.name
