"""Suspects that need no opinion on returns: absent, unchanged, contradictory or untraded bars.

Belongs here: kinds missing, missing_market, stale, ohlc, volume. Does not: kinds that compare
returns (`suspects_moves`).
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from factorlab_assets.core.suspects_grid import (
    BLOCK,
    FEWEST_TICKERS,
    PAST_BLOCKS,
    Floats,
    Found,
    Grid,
    Ints,
    blocks,
    past,
    past_mean,
    per_bar,
)

ALIVE_SESSIONS = 21
MARKET_SHARE = 0.5
ABSENT_RARELY = 0.02
ABSENT_OFTEN = 0.1
RARE_GAP = 1e-4
LONG_GAP = 21
STALE_LIMIT = 5
RARE_STALE = 1e-6
LEAST_UNCHANGED = 0.02
LEAST_CHANGE = 0.01
OHLC_HABIT = 0.05
TINY_VOLUME = 0.005
USUAL_VOLUME = 1000

_CONTRADICTIONS = """
SELECT n, open, high, low, close
FROM {bars} JOIN factorlab_contradictions USING (ticker, date) ORDER BY n
"""


def missing_market(grid: Grid) -> tuple[Found, Ints]:
    """Sessions on which half of the tickers alive have no bar, and their numbers (M,).

    Alive: had a bar on one of the 21 sessions before. Known at the next session with any bar, which
    is the session itself unless nobody has one. value = the share.
    """
    n, d = len(grid.tickers), len(grid.sessions)
    has_bar = np.zeros((n, d), dtype=np.bool_)
    own = grid.session >= 0
    has_bar[np.nonzero(own)[0], grid.session[own]] = True
    seen = np.zeros((n, d + 1), dtype=np.int16)
    np.cumsum(has_bar, axis=1, out=seen[:, 1:])
    alive = seen[:, :d] > seen[:, np.maximum(np.arange(d) - ALIVE_SESSIONS, 0)]
    n_alive, n_absent = alive.sum(axis=0), (alive & ~has_bar).sum(axis=0)
    share = n_absent / np.maximum(n_alive, 1)
    traded = np.flatnonzero(has_bar.any(axis=0))
    at = np.flatnonzero((share >= MARKET_SHARE) & (n_alive >= FEWEST_TICKERS))
    known = traded[np.searchsorted(traded, at)]
    said = [
        f"{absent} of {living} tickers alive have no bar"
        for absent, living in zip(n_absent[at], n_alive[at], strict=True)
    ]
    market, none = np.full(len(at), -1), np.zeros(len(at))
    severity = np.full(len(at), 2)
    return Found("missing_market", market, at, known, share[at], none, severity, said), at


def missing(grid: Grid, market: Ints) -> Found:
    """Runs of sessions without a bar between two bars of a ticker, beyond its habit.

    value = L, the sessions missing, less those missing for the market. The habit p is the share of
    the sessions spanned by its last 252 bars on which it was absent, plus half a session. Told if
    p^L ≤ 1e-4 and p ≤ 0.1; of a ticker that trades 1,000 shares on its quietest days, if p ≤ 0.02;
    of any, if L > 21. Known when the ticker is back.
    """
    counts = np.ones(len(grid.sessions), dtype=np.int32)
    counts[market] = 0
    number = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    absent = np.zeros(grid.session.shape, dtype=np.int32)
    absent[:, 1:] = number[grid.session[:, 1:]] - number[grid.session[:, :-1] + 1]
    absent[grid.session < 0] = 0
    gone = np.cumsum(absent, axis=1)
    i, b = np.nonzero(absent)
    before, back = b - 1, np.maximum(b - 1 - PAST_BLOCKS * BLOCK, 0)
    span = grid.session[i, before] - grid.session[i, back]
    p = (gone[i, before] - gone[i, back] + 0.5) / np.maximum(span, 1)
    length = absent[i, b]
    trades = ~(_quietest(grid)[i, before] < USUAL_VOLUME)
    told = (trades & (p <= ABSENT_RARELY)) | ((p**length <= RARE_GAP) & (p <= ABSENT_OFTEN))
    told = (told & (span >= BLOCK)) | (length > LONG_GAP)
    i, b, length, p = i[told], b[told], length[told], p[told]
    said = [
        f"no bar on {n} session{'s' if n > 1 else ''}; absent from {share:.1%} of the year before"
        for n, share in zip(length, p, strict=True)
    ]
    severity = np.where(length > STALE_LIMIT, 2, np.where(length > 1, 1, 0))
    first = grid.session[i, b - 1] + 1
    return Found("missing", i, first, grid.session[i, b], length * 1.0, i * 0.0, severity, said)


def stale(grid: Grid) -> Found:
    """Runs of unchanged closes that a ticker's habit makes implausible, one row per run.

    The habit p is the share of unchanged closes over a year's months, at least 0.02. A run is told
    at its first bar with L unchanged closes such that p^L ≤ 1e-6, while it lasts: value = L there,
    expected = the longest run that would not have been told. Not told of a ticker whose close moves
    by less than a cent a day.
    """
    moves = np.zeros(grid.close.shape)
    moves[:, 1:] = np.abs(np.diff(grid.close, axis=1))
    same = moves == 0
    same[:, 0] = False
    share = blocks(same).mean(axis=2)
    share[(blocks(grid.session) < 0).any(axis=2)] = np.nan
    p = np.clip(past_mean(share), LEAST_UNCHANGED, 0.99)
    change = past(blocks(moves).mean(axis=2), 0.5)
    least: Floats = np.ceil(np.log(RARE_STALE) / np.log(p))
    least[~(change >= LEAST_CHANGE)] = np.inf
    changed = np.where(same, 0, np.arange(same.shape[1], dtype=np.int32))
    np.maximum.accumulate(changed, axis=1, out=changed)
    run = np.arange(same.shape[1], dtype=np.int32) - changed
    i, b = np.nonzero(same & (run >= per_bar(least)))
    start = changed[i, b]
    once = np.ones(len(i), dtype=np.bool_)
    once[1:] = (i[1:] != i[:-1]) | (start[1:] != start[:-1])
    i, b, start = i[once], b[once], start[once]
    length = np.asarray(b - start, dtype=np.float64)
    said = [
        f"{n:.0f} closes in a row at {close:g} again; unchanged on {usual:.0%} of days as a rule"
        for n, close, usual in zip(length, grid.close[i, b], p[i, b // BLOCK], strict=True)
    ]
    first, known = grid.session[i, start + 1], grid.session[i, b]
    longest = least[i, b // BLOCK] - 1
    return Found("stale", i, first, known, length, longest, np.ones_like(i), said)


def ohlc(con: duckdb.DuckDBPyConnection, bars: str, grid: Grid) -> Found:
    """Bars whose high is below their low, or whose open or close is outside the two.

    value = the price that contradicts, expected = the bound it breaks. A ticker that did so on more
    than 1 in 20 of the past year's bars follows another convention, and is not told.
    """
    share = blocks(grid.contradicts).mean(axis=2)
    share[(blocks(grid.session) < 0).any(axis=2)] = np.nan
    habit = per_bar(past_mean(share)) > OHLC_HABIT
    i, b = np.nonzero(grid.contradicts & ~habit)
    if not len(i):
        return Found.none("ohlc")
    day = grid.session[i, b]
    names = np.array(grid.tickers, dtype=object)[i]
    at = pa.table({"ticker": names, "date": grid.sessions[day], "n": np.arange(len(i))})
    con.register("factorlab_contradictions", at)
    try:
        prices = con.sql(_CONTRADICTIONS.format(bars=bars)).fetchnumpy()
    finally:
        con.unregister("factorlab_contradictions")
    opened, high, low, close = (np.asarray(prices[c]) for c in ("open", "high", "low", "close"))
    kinds = ("high below low", "close above high", "close below low", "open above high")
    which = np.select([high < low, close > high, close < low, opened > high], range(4), 4)
    value = np.choose(which, [high, close, close, opened, opened])
    expected = np.choose(which, [low, high, low, high, low])
    said = [
        f"{(*kinds, 'open below low')[k]}: open {o:g}, high {h:g}, low {lo:g}, close {c:g}"
        for k, o, h, lo, c in zip(which, opened, high, low, close, strict=True)
    ]
    severity = np.where((which == 1) | (which == 2), 1, 0)
    return Found("ohlc", i, day, day, value, expected, severity, said)


def volume(grid: Grid) -> Found:
    """Bars without volume, or with next to none, of a ticker that trades every day.

    Usual is the lower quartile over a year's months of the month's smallest volume; told below
    0.005 of it, where it is at least 1,000 shares. value = the volume, expected = the usual one.
    """
    least = _quietest(grid)
    i, b = np.nonzero((least >= USUAL_VOLUME) & (grid.volume < TINY_VOLUME * least))
    traded, usual = grid.volume[i, b], least[i, b]
    said = [
        f"volume {few:,.0f}; at least {many:,.0f} on every day of an ordinary month"
        for few, many in zip(traded, usual, strict=True)
    ]
    day = grid.session[i, b]
    return Found("volume", i, day, day, traded, usual, np.where(traded > 0, 0, 1), said)


def _quietest(grid: Grid) -> Floats:
    """(N, B) the lower quartile over the past year's months of the month's smallest volume."""
    return per_bar(past(np.min(blocks(grid.volume), axis=2), 0.25))
