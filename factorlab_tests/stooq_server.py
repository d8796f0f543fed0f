"""A loopback server that answers as Stooq does, and as broken networks do.

Belongs here: ways of answering, and a source that asks this server. Does not: assertions.
"""

from __future__ import annotations

import datetime as dt
import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from factorlab_assets.sources.base import Fetched
from factorlab_assets.sources.stooq_http import StooqHttp

Play = Callable[[BaseHTTPRequestHandler], None]
"""One way of answering one request."""
Make = Callable[..., StooqHttp]
"""`source` for a server and folder: takes the options of `StooqHttp`."""

HEADER = b"Date,Open,High,Low,Close,Volume\r\n"
KEY = "k3y+S3CR3T/with=odd&signs"
SATURDAY = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)
CSV = HEADER + b"2024-05-30,9,10,8,9.5,1000\r\n2024-05-31,9.5,11,9,10,2000\r\n"


def send(body: bytes, status: int = 200, **headers: str) -> Play:
    """A whole answer with its Content-Length."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return play


def gzipped(body: bytes, length: int | None = None) -> Play:
    """A gzip answer, of its first `length` bytes only where given."""
    return send(gzip.compress(body)[:length], Content_Encoding="gzip")


def cut(body: bytes, after: int) -> Play:
    """Announces the whole body and closes the connection in the midst of it."""
    return send(body[:after], Content_Length=str(len(body)))


def unframed(body: bytes) -> Play:
    """No length announced: the end of the connection is the end of the body."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    return play


def chunked(body: bytes, *, whole: bool) -> Play:
    """One chunk, with or without the mark that no further chunk follows."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) + b"0\r\n\r\n" * whole)

    return play


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Resets the connection instead of answering."""
    linger_for_0_s = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_0_s)
    handler.connection.close()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without a word."""


def late(seconds: float, play: Play) -> Play:
    """The answer, but only after some time."""

    def wait(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        play(handler)

    return wait


def drip(body: bytes, pause_s: float) -> Play:
    """Ten bytes at a time: no single read takes long, the whole does."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        for begin in range(0, len(body), 10):
            handler.wfile.write(body[begin : begin + 10])
            time.sleep(pause_s)

    return play


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Prices without end."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + HEADER)
    while True:
        handler.wfile.write(b"2024-05-30,9,10,8,9.5,1000\r\n" * 1000)


KEY_WANTED = b"Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey\n"
CHALLENGE = (
    b"<!DOCTYPE html><html><noscript>This site requires JavaScript to verify your browser."
    b"</noscript></html>"
)
REFUSALS: dict[str, Play] = {
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
"""What ends a whole download."""

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
"""What another try may cure."""


@dataclass
class StooqServer:
    """What the server answers, and what it was asked.

    `scripts[symbol]` are played one after the other, the last of them for ever; a symbol without
    a script gets `default`.
    """

    url: str
    default: Play = field(default_factory=lambda: send(CSV))
    scripts: dict[str, list[Play]] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self) -> list[str]:
        """The symbols asked for, in order."""
        return [query["s"] for query in self.queries]

    def next_play(self, target: str) -> Play:
        """Notes a request and says how to answer it."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        with self.lock:
            self.paths.append(parts.path)
            self.queries.append(query)
            script = self.scripts.get(query.get("s", ""), [self.default])
            return script.pop(0) if len(script) > 1 else script[0]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here."""


@contextmanager
def running_server() -> Iterator[StooqServer]:
    """A running server on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.next_play(self.path)(self)

        def log_message(self, *args: object) -> None:
            """Keeps the tests' output clean."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    served = StooqServer(f"http://127.0.0.1:{server.server_address[1]}/q/d/l/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def source(stooq: StooqServer, folder: Path, **options: object) -> StooqHttp:
    """A source that asks the loopback server, one ticker at a time and without waiting."""
    usual = {"parallel": 1, "pause_s": 0.0, "tries": 3, "timeout_s": 5.0}
    usual |= {"sleep": lambda _: None, "now": lambda: SATURDAY}
    return StooqHttp(stooq.url, SecretStr(KEY), folder / "kept", **(usual | options))  # type: ignore[arg-type]  # options of several types


def statuses(fetched: Fetched) -> dict[str, str]:
    """Ticker -> status of its coverage."""
    return {record.ticker: record.status for record in fetched.coverage}
