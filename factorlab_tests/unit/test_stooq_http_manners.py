"""The per-symbol download: it goes on where it stopped, is polite, and keeps the apikey secret."""

from __future__ import annotations

import datetime as dt
import logging
import time
import traceback
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from factorlab_assets.errors import FactorLabError
from factorlab_tests.stooq_server import (
    CSV,
    KEY,
    PASSING,
    REFUSALS,
    Make,
    Play,
    StooqServer,
    running_server,
    send,
    source,
    statuses,
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


# Going on where it stopped.


def test_what_came_is_not_asked_for_again_until_the_ingest_is_finished(
    stooq: StooqServer, make: Make
) -> None:
    stooq.scripts["qqq.us"] = [send(b"No data")]
    stooq.scripts["iwm.us"] = [REFUSALS["limit"], send(CSV)]
    client, tickers = make(), ["SPY", "QQQ", "IWM", "TLT"]
    first = client.fetch(tickers, MAY)
    client.finish(first, MAY)  # stored, but not complete: the answers stay
    again = make().fetch(tickers, MAY)
    assert stooq.asked() == ["spy.us", "qqq.us", "iwm.us", "iwm.us", "tlt.us"]
    assert statuses(again) == {"SPY": "ok", "QQQ": "no_data", "IWM": "ok", "TLT": "ok"}
    assert again.prices.slice(0, 2).equals(first.prices)
    assert again.notes[0].startswith("2 of 4 tickers were downloaded by an earlier")
    client.finish(again, MAY)
    assert make().fetch(tickers, MAY).notes == []
    assert stooq.asked()[5:] == ["spy.us", "qqq.us", "iwm.us", "tlt.us"]


def test_answers_of_another_span_are_not_taken(stooq: StooqServer, make: Make) -> None:
    client = make()
    fetched = client.fetch(["SPY"], MAY)
    client.fetch(["SPY"], dt.date(2024, 4, 30))
    make(first=dt.date(2020, 1, 1)).fetch(["SPY"], MAY)
    assert len(stooq.queries) == 3
    client.finish(fetched, MAY)
    client.fetch(["SPY"], dt.date(2024, 4, 30))
    make(first=dt.date(2020, 1, 1)).fetch(["SPY"], MAY)
    assert len(stooq.queries) == 3


@pytest.mark.parametrize("left", [b"", CSV[:-12], b"<html>", b"Access denied"])
def test_a_kept_file_that_settles_nothing_is_asked_for_again(
    stooq: StooqServer, make: Make, tmp_path: Path, left: bytes
) -> None:
    client = make()
    path = tmp_path / "kept" / client.kept_as("spy.us", MAY)
    path.parent.mkdir()
    path.write_bytes(left)
    assert statuses(client.fetch(["SPY"], MAY)) == {"SPY": "ok"}
    assert path.read_bytes() == CSV


def test_a_killed_write_leaves_no_answer_behind(
    stooq: StooqServer, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    client = make()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            client.fetch(["SPY"], MAY)
    assert not (tmp_path / "kept" / client.kept_as("spy.us", MAY)).exists()
    assert statuses(client.fetch(["SPY"], MAY)) == {"SPY": "ok"}


def test_a_folder_that_cannot_be_used_is_an_error(
    stooq: StooqServer, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file, no folder")
    with pytest.raises(FactorLabError, match=r"could not be kept.*kept.*FACTORLAB_DATA_DIR"):
        make().fetch([f"T{number}" for number in range(10)], MAY)
    assert len(stooq.queries) <= 3


def test_odd_tickers_are_kept_in_the_folder_under_plain_names(
    stooq: StooqServer, make: Make, tmp_path: Path
) -> None:
    make().fetch(["^SPX", "CON", "A=B"], MAY)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        "stooq_^spx_19000101_20240531.csv",
        "stooq_a=b.us_19000101_20240531.csv",
        "stooq_con.us_19000101_20240531.csv",
    ]


# Politeness.


def test_requests_begin_a_pause_apart_whatever_the_workers(stooq: StooqServer, make: Make) -> None:
    waits: list[float] = []
    client = make(parallel=3, pause_s=0.5, sleep=waits.append, clock=lambda: 100.0)
    client.fetch(["SPY", "QQQ", "IWM", "TLT", "IEF"], MAY)
    assert sorted(waits) == [0.5, 1.0, 1.5, 2.0]


def test_no_more_requests_run_at_a_time_than_allowed(stooq: StooqServer, make: Make) -> None:
    running: list[str] = []
    counts: list[int] = []

    def counted(handler: BaseHTTPRequestHandler) -> None:
        running.append(handler.path)
        counts.append(len(running))
        time.sleep(0.03)
        running.remove(handler.path)
        send(CSV)(handler)

    stooq.default = counted
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
    stooq: StooqServer, make: Make, asked_on: dt.datetime, held: dt.date
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
    stooq: StooqServer,
    make: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    echo: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    stooq.scripts["spy.us"] = [ECHOES[echo]]
    client = make()
    seen = [repr(client), str(vars(client))]
    try:
        seen.append(str(client.fetch(["SPY"], MAY)))
    except FactorLabError as error:
        seen += traceback.format_exception(error)
        seen += [str(error.__cause__), str(error.__context__)]
    seen += [str(client.fetch(["QQQ", "SPY"], MAY)), caplog.text, *capfd.readouterr()]
    for path in (tmp_path / "kept").rglob("*"):
        seen += [path.name, path.read_text()]
    assert stooq.queries[0]["apikey"] == KEY
    for text in seen:
        assert "S3CR3T" not in text


def test_the_bodies_seen_in_the_wild_are_each_understood(
    stooq: StooqServer, make: Make, shared_data: Path
) -> None:
    expected = {"no_data": "no_data", "limit": "stop", "denied": "stop", "get": "stop"}
    expected |= {"js": "stop", "write": "stop"}
    bodies = sorted((shared_data / "stooq/formats").glob("body_*"))
    assert len(bodies) == 9
    for number, path in enumerate(bodies):
        stooq.scripts["spy.us"] = [send(path.read_bytes())]
        client = make(first=dt.date(2000 + number, 1, 1))
        fetched = client.fetch(["QQQ", "SPY", "TLT"], MAY)
        kind = path.name.removeprefix("body_")
        meant = next(value for start, value in expected.items() if kind.startswith(start))
        spy, tlt = statuses(fetched)["SPY"], statuses(fetched)["TLT"]
        wanted = ("no_data", "ok") if meant == "no_data" else ("not_fetched", "not_fetched")
        assert (spy, tlt) == wanted, path.name
    for path in sorted((shared_data / "stooq/formats").glob("per_symbol_*")):
        stooq.scripts["spy.us"] = [send(path.read_bytes())]
        client = make(first=dt.date(1990, 1, len(stooq.queries) % 28 + 1))
        assert statuses(client.fetch(["SPY"], MAY)) == {"SPY": "ok"}, path.name
