"""Stooq's per-symbol download: polite, resumable, and clear about every answer that is no prices.

Belongs here: which tickers to ask for, when to try again, when to stop, and keeping what came.
Does not: the wire (`http_get`), or reading a body (`stooq_format`).
"""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus, urlencode
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from factorlab_assets.core import calendar
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import TICKER_PATTERN
from factorlab_assets.sources import http_get, stooq_format
from factorlab_assets.sources.base import Answer, Coverage, Fetched, coverage_of, gathered
from factorlab_assets.sources.http_get import LastingError, PassingError

LONGEST_WAIT_S = 60.0
GIVE_UP_AFTER = 5
"""Tickers in a row that failed every try: then it is the server, not a ticker."""

_BY_HAND = (
    "download the archive 'U.S. daily ASCII' in a browser at https://stooq.com/db/h/ and run "
    "`factorlab ingest --month YYYY-MM --source stooq-files --path THE_ZIP`"
)
_GET_KEY = (
    "open https://stooq.com/q/d/?s=spy.us&get_apikey in a browser, enter the captcha code, copy "
    "the value after apikey= in the download link at the bottom of the page, and write "
    "FACTORLAB_STOOQ_APIKEY=VALUE into .env"
)
_GO_ON = "repeat the same command: it goes on where it stopped"
STOPS = {
    "limit": f"after {{midnight}}, Warsaw time, {_GO_ON}",
    "key_wanted": f"{_GET_KEY}; or {_BY_HAND}",
    "denied": f"get a new apikey: {_GET_KEY}; or {_BY_HAND}",
    "write_to": f"write to www@stooq.com; or {_BY_HAND}",
    "challenge": f"FactorLab does not pass for a browser: {_BY_HAND}",
    "html_other": _BY_HAND,
    "redirect": f"check FACTORLAB_STOOQ_URL; or {_BY_HAND}",
    "unreachable": f"check the network and FACTORLAB_STOOQ_URL, then {_GO_ON}",
}
"""What ends a whole download at once, and what the user can do about it."""


class StooqHttp:
    """Stooq's per-symbol CSV download with the user's own apikey.

    Parameters
    ----------
    url : the download address; `s`, `d1`, `d2`, `i` and `apikey` are added.
    apikey : never shown, logged or written; None asks without one.
    folder : keeps each answer (a file per ticker and span) until `finish`, so that repeating an
        ingest asks only for what is missing.
    first : first day asked for.
    parallel, pause_s : at most so many requests at a time, begun at least so many seconds apart.
    tries, timeout_s : tries per ticker, and the seconds that one answer may take.
    sleep, clock, now : for tests; `clock` counts seconds, `now` is the time with its zone.
    """

    name = "stooq-http"

    def __init__(
        self,
        url: str,
        apikey: SecretStr | str | None,
        folder: Path,
        *,
        first: dt.date = dt.date(1900, 1, 1),
        parallel: int = 4,
        pause_s: float = 0.5,
        tries: int = 5,
        timeout_s: float = 30.0,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        http_get.check_address(url)
        self.url, self.folder, self.first = url, folder, first
        self.apikey = SecretStr(apikey) if isinstance(apikey, str) else apikey or SecretStr("")
        self.parallel, self.pause_s = parallel, pause_s
        self.tries, self.timeout_s = tries, timeout_s
        self.sleep, self.clock, self.now = sleep, clock, now

    def fetch(self, tickers: Sequence[str] | None, through: dt.date) -> Fetched:
        """Bars of `tickers` up to `through`.

        A ticker is Stooq's US symbol without `.us`; one with a dot (`AAL.UK`) or a caret (`^SPX`)
        is asked for as it is. Whatever ends the download early (`STOPS`) keeps what came: the
        other tickers are `not_fetched`, and a note says what to do.

        Raises
        ------
        FactorLabError : no list of tickers, a name that is no ticker, a folder that cannot be
            used, or an end before any bar came.
        """
        if tickers is None:
            raise FactorLabError(
                "stooq-http asks ticker by ticker and needs a list of them",
                got="every ticker there is",
                expected="a universe that names its tickers",
                do=f"choose one, such as FACTORLAB_UNIVERSE=etf13; or {_BY_HAND}",
            )
        for ticker in tickers:
            if not re.fullmatch(TICKER_PATTERN, ticker):
                raise FactorLabError(
                    "that is no ticker", got=repr(ticker), expected=f"a match of {TICKER_PATTERN}"
                )
        download = _Download(self, through)
        answers = download.run(list(dict.fromkeys(tickers)))
        has_bars = any(answer.bars for answer in answers)
        lacking = [a.coverage for a in answers if a.coverage.status == "not_fetched"]
        if lacking and not has_bars:
            raise FactorLabError(
                "Stooq sent no prices",
                where=http_get.shown(self.url),
                got=download.reason or lacking[0].detail,
                expected="daily prices as CSV",
                do=download.cure() or f"{_GO_ON}; or {_BY_HAND}",
            )
        last = self._last_session() if has_bars else None
        return gathered(answers, last, _notes(download, answers, len(lacking)))

    def finish(self, fetched: Fetched, through: dt.date) -> None:
        """Once `fetched` is stored: drop the kept answers, unless tickers are still to come."""
        if all(record.status != "not_fetched" for record in fetched.coverage):
            for path in self.folder.glob(self.kept_as("*", through)):
                path.unlink(missing_ok=True)

    def kept_as(self, symbol: str, through: dt.date) -> str:
        """The file that keeps the answer for a symbol; all that is in it is a valid file name."""
        # The prefix: on Windows a file named con.us is the console.
        return f"stooq_{symbol}_{self.first:%Y%m%d}_{through:%Y%m%d}.csv"

    def _last_session(self) -> dt.date:
        """The last day that Stooq can have held: the last session over when it was asked."""
        today = self.now().astimezone(ZoneInfo("America/New_York")).date()
        recent = calendar.sessions(today - dt.timedelta(14), today - dt.timedelta(1))
        return dt.date.fromisoformat(str(recent[-1]))


@dataclass(frozen=True)
class _Answer(Answer):
    """`kept_on`: the day on which an earlier try downloaded it."""

    kept_on: dt.date | None = None


class _StoppedError(Exception):
    """The whole download has ended."""


class _Download:
    """One fetch: what its workers share, and what each of them does."""

    def __init__(self, source: StooqHttp, through: dt.date) -> None:
        self.source, self.through = source, through
        self.stop, self.reason = "", ""
        self.halt, self.lock = threading.Event(), threading.Lock()
        self.wait = source.sleep or self.halt.wait
        self.next_start, self.failed_in_a_row = source.clock(), 0
        self.opener = http_get.opener()

    def run(self, tickers: Sequence[str]) -> list[_Answer]:
        with ThreadPoolExecutor(self.source.parallel) as pool:
            try:
                return list(pool.map(self.one, tickers))
            finally:
                self.halt.set()  # after an error or Ctrl-C too, no worker begins another request

    def one(self, ticker: str) -> _Answer:
        """One ticker: from the answer kept by an earlier try, or asked for."""
        path = self.source.folder / self.source.kept_as(_symbol(ticker), self.through)
        try:
            kept_on, body = _kept(path)
            if kept_on is None:
                body = self.tried(ticker)
                _keep(path, body)
        except _StoppedError:
            return _Answer(Coverage(ticker, "not_fetched", detail=f"stopped: {self.reason}"))
        except LastingError as failure:
            return _Answer(Coverage(ticker, "not_fetched", detail=str(failure)))
        except OSError as error:
            raise FactorLabError(
                "an answer could not be kept",
                where=path,
                got=error.strerror,
                expected="a folder that can be read and written, with room in it",
                do=f"make room or set FACTORLAB_DATA_DIR, then {_GO_ON}",
            ) from error
        return _read(ticker, body, self.through, kept_on)

    def tried(self, ticker: str) -> bytes:
        """An answer that settles the ticker, after as many tries as it takes."""
        reason = ""
        for attempt in range(self.source.tries):
            try:
                self.pace()
                body = self.ask(ticker)
            except PassingError as failure:
                reason = f"gave up after {attempt + 1} tries: {failure}"
                if attempt + 1 < self.source.tries:
                    self.wait(_pause(attempt, failure.wait_s))
            else:
                self.failed_in_a_row = 0
                return body
        with self.lock:
            self.failed_in_a_row += 1
        if self.failed_in_a_row >= GIVE_UP_AFTER:
            self.end("unreachable", f"{self.failed_in_a_row} tickers in a row failed; {reason}")
        raise LastingError(reason)

    def pace(self) -> None:
        """Wait for this request's turn; all workers share one row of turns."""
        with self.lock:
            start = max(self.source.clock(), self.next_start)
            self.next_start = start + self.source.pause_s
        if start > self.source.clock():
            self.wait(start - self.source.clock())
        if self.halt.is_set():
            raise _StoppedError

    def ask(self, ticker: str) -> bytes:
        """One request: the body that answers for the ticker, or the failure."""
        reply = http_get.get(self.opener, self.address(ticker), self.source.timeout_s)
        body = self.without_key(reply.body)
        kind = stooq_format.classify(body)
        if kind == "html_other" or kind not in STOPS:  # the text is none of Stooq's own refusals
            if reply.status in (401, 403):
                kind = "denied"
            elif 300 <= reply.status < 400:
                kind = "redirect"
            elif reply.status == 429 or reply.status >= 500:
                raise PassingError(f"HTTP {reply.status}", reply.wait_s)
            elif reply.status != 200:
                raise LastingError(f"HTTP {reply.status}")
        if kind in STOPS:
            leads_to = reply.redirect_host or "another page"
            self.end(kind, stooq_format.SAYINGS.get(kind, f"a redirect to {leads_to}"))
            raise _StoppedError
        if kind == "data" and not _settles(body):
            raise PassingError("the CSV ends in the middle of a row")
        return body

    def address(self, ticker: str) -> str:
        source = self.source
        query = {"s": _symbol(ticker), "i": "d"}
        query |= {"d1": f"{source.first:%Y%m%d}", "d2": f"{self.through:%Y%m%d}"}
        key = source.apikey.get_secret_value().strip()
        return f"{source.url}?{urlencode(query | ({'apikey': key} if key else {}))}"

    def without_key(self, body: bytes) -> bytes:
        """`body` without the apikey: a server may send back what it was sent."""
        key = self.source.apikey.get_secret_value().strip()
        for spelling in {key, quote_plus(key)} - {""}:
            body = body.replace(spelling.encode(), b"***")
        return body

    def end(self, stop: str, reason: str) -> None:
        """End the whole download; the first reason stays."""
        with self.lock:
            self.stop, self.reason = self.stop or stop, self.reason or reason
        self.halt.set()

    def cure(self) -> str:
        """What the user can do about the end; '' where there was none."""
        tomorrow = self.source.now().astimezone(ZoneInfo("Europe/Warsaw")) + dt.timedelta(days=1)
        return STOPS.get(self.stop, "").format(midnight=f"{tomorrow:%Y-%m-%d} 00:00")


def _symbol(ticker: str) -> str:
    """Stooq's symbol: lower case, `.us` added where no other market or index is named.

    >>> [_symbol(ticker) for ticker in ("SPY", "BRK-B", "AAL.UK", "^SPX")]
    ['spy.us', 'brk-b.us', 'aal.uk', '^spx']
    """
    return ticker.lower() + ("" if "." in ticker or ticker.startswith("^") else ".us")


def _pause(attempt: int, asked_s: float) -> float:
    """Seconds before the next try: 1, 2, 4, ... each within a factor of 0.5 to 1.5, or as asked."""
    jitter = random.uniform(0.5, 1.5)  # noqa: S311 (spreads workers, hides nothing)
    return min(max(2.0**attempt * jitter, asked_s), LONGEST_WAIT_S)


def _settles(body: bytes) -> bool:
    """Whether a body is the last word on a ticker. Stooq ends every row with a line break."""
    kind = stooq_format.classify(body)
    return kind == "no_data" or (kind == "data" and body.endswith(b"\n"))


def _kept(path: Path) -> tuple[dt.date | None, bytes]:
    """When an answer was kept, and the answer; None where it must be asked for (again)."""
    if not path.exists():
        return None, b""
    body = path.read_bytes()
    day = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).date()
    return (day, body) if _settles(body) else (None, b"")


def _keep(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(body)
    unfinished.replace(path)


def _read(ticker: str, body: bytes, through: dt.date, kept_on: dt.date | None) -> _Answer:
    """The bars of an answer, or why there are none."""
    kind = stooq_format.classify(body)
    if kind != "data":
        status = {"no_data": "no_data", "empty": "empty_file"}.get(kind, "unreadable")
        sample = f": {body[:60].decode('latin-1')!r}" if kind == "unknown" else ""
        detail = f"answered with {stooq_format.SAYINGS[kind]}{sample}"
        return _Answer(Coverage(ticker, status, detail=detail), kept_on=kept_on)
    bars, rejections = stooq_format.parse(body, ticker, through)
    coverage = coverage_of(ticker, bars, rejections, through)
    return _Answer(coverage, bars, rejections, kept_on=kept_on)


def _notes(download: _Download, answers: Sequence[_Answer], lacking: int) -> list[str]:
    notes = []
    if lacking:
        why = f"{download.reason}; " if download.reason else ""
        do = download.cure() or _GO_ON
        notes.append(f"{lacking} of {len(answers)} tickers were not fetched: {why}{do}")
    days = [answer.kept_on for answer in answers if answer.kept_on]
    if days:
        notes.append(
            f"{len(days)} of {len(answers)} tickers were downloaded by an earlier, unfinished try "
            f"(from {min(days)}) and not asked for again; to do so, empty {download.source.folder}"
        )
    return notes
