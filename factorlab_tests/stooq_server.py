"""A loopback server that answers as Stooq does, and as broken networks do.

Belongs here: ways of answering. Does not: assertions.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

Play = Callable[[BaseHTTPRequestHandler], None]
"""One way of answering one request."""

HEADER = b"Date,Open,High,Low,Close,Volume\r\n"
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
def stooq_server() -> Iterator[StooqServer]:
    """A running server on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stooq.next_play(self.path)(self)

        def log_message(self, *args: object) -> None:
            """Keeps the tests' output clean."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    stooq = StooqServer(f"http://127.0.0.1:{server.server_address[1]}/q/d/l/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stooq
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
