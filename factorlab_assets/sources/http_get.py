"""One bounded HTTP GET that tells passing failures from lasting ones and never shows its address.

Belongs here: the wire. Does not: retrying, or what an answer means.

The standard library asks: `requests` and `urllib3` log and raise whole addresses, and an address
may hold a user's key. For the same reason no error of the library is shown or chained here: its
text may quote the address.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import zlib
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from factorlab_assets.errors import FactorLabError

MAX_BODY = 32 * 2**20
"""Bytes, before and after decompression; the longest daily history there is has about 2 MiB."""


class PassingError(Exception):
    """A failure that another try may cure; `wait_s` is how long the server asked to wait."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class LastingError(Exception):
    """A failure that another try will not cure."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, where a redirect leads (the host alone), and what Retry-After asks for."""

    status: int
    body: bytes
    redirect_host: str = ""
    wait_s: float = 0.0


def opener() -> OpenerDirector:
    """What `get` asks through: the environment's proxies, no cookies, and no redirects.

    A redirect is an answer like any other: following it would take the user's key elsewhere.
    """
    director = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler):
        director.add_handler(handler())
    return director


def check_address(url: str) -> None:
    """Refuse what is no plain http(s) address: nothing but scheme, host, port and path."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?(/[!-~]*)?", url) or set("?#@") & set(url):
        raise FactorLabError(
            "that is no download address",
            where="setting FACTORLAB_STOOQ_URL",
            got=shown(url),
            expected="http(s)://host/path and no more, such as https://stooq.com/q/d/l/",
        )


def shown(url: str) -> str:
    """An address without its query, and none that names a user: what may be shown.

    >>> shown("https://stooq.com/q/d/l/?s=spy.us&apikey=SECRET"), shown("https://me:SECRET@host/")
    ('https://stooq.com/q/d/l/', '(an address with a user name)')
    """
    return "(an address with a user name)" if "@" in url else re.split(r"[?#]", url)[0]


def get(through: OpenerDirector, url: str, timeout_s: float) -> Reply:
    """The whole answer to one GET, whatever its status.

    Raises
    ------
    PassingError : refused, reset or cut connections, timeouts, an answer shorter than announced.
    LastingError : an answer above MAX_BODY, a certificate that does not verify.
    """
    deadline = time.monotonic() + timeout_s
    request = Request(url, headers={"User-Agent": "FactorLab"})  # noqa: S310 (check_address)
    try:
        with through.open(request, timeout=timeout_s) as answer:
            body = _read(answer, deadline)
            leads_to = re.match(r"https?://([A-Za-z0-9.-]+)", answer.headers.get("Location") or "")
            asked = answer.headers.get("Retry-After") or ""
            return Reply(
                answer.status,
                body,
                leads_to[1] if leads_to else "",
                float(asked) if asked.isdecimal() else 0.0,
            )
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise LastingError("the server's certificate does not verify")
    if isinstance(cause, TimeoutError):
        raise PassingError(f"no whole answer within {timeout_s:g} s")
    said = getattr(cause, "strerror", None) or type(cause).__name__
    raise PassingError(f"the connection failed ({said})")


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    while chunk := answer.read1(2**16):
        body += chunk
        if len(body) > MAX_BODY:
            raise LastingError(f"an answer of more than {MAX_BODY / 2**20:g} MiB")
        if time.monotonic() > deadline:  # the socket's own timeout starts again with every byte
            raise TimeoutError
    announced = answer.headers.get("Content-Length") or ""
    if not answer.chunked and announced.isdecimal() and len(body) < int(announced):
        raise PassingError(f"cut off after {len(body)} of {announced} bytes")
    return _gunzip(body) if answer.headers.get("Content-Encoding") == "gzip" else bytes(body)


def _gunzip(body: bytes | bytearray) -> bytes:
    """Nobody asked for gzip, but proxies send it."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(body, MAX_BODY)
    except zlib.error:
        raise PassingError("a gzip answer that does not unpack") from None
    if unpacking.unconsumed_tail:
        raise LastingError(f"an answer of more than {MAX_BODY / 2**20:g} MiB")
    if not unpacking.eof:
        raise PassingError("a gzip answer that is cut off")
    return plain
