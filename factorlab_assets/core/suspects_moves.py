"""Suspects among returns: closes that leave their relatives, or their own level, and come back.

Belongs here: what surprises about a return; kinds spike, outlier, peers. Does not: jumps by a
telling ratio (`suspects_ratios`), who is related to whom (`suspects_peers`), kinds that need no
opinion on returns (`suspects_presence`).

A bar's surprise is its log return less what its peers' returns say, or the return itself where it
has no peers. Every bar is screened in arrays; the few that stand out are then held against the
bars before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.suspects_grid import (
    Flags,
    Floats,
    Found,
    Grid,
    Ints,
    blocks,
    group_moves,
    past,
    per_bar,
)
from factorlab_assets.core.suspects_peers import Peers, expected_returns
from factorlab_assets.core.suspects_ratios import decimals, splits

SPIKE_RARITY = 4.0
SPIKE_LEAST = 0.004
SPIKE_BACK = 0.25
OUTLIER_BACK = 0.6
OUTLIER_RARITY = 6.0
PEERS_RARITY = 5.0
PEERS_LEAST = 0.02
QUIET = 0.5
RECENT = 10
FLOOR = 5e-4
LONGEST_SPAN = 10


@dataclass(frozen=True)
class Surprise:
    """What a bar's return has beyond what was to be expected of it.

    size : (N, B) signed log return; NaN = not known. largest : (N, K) a month's largest, as a rule.
    turn : (N, B) see `_turn`. turned : (N, K) a month's largest turn, as a rule.
    common : (G, D) the group's median |size| / largest on a session.
    """

    size: Floats
    largest: Floats
    turn: Floats
    turned: Floats
    common: Floats

    @classmethod
    def of(cls, grid: Grid, size: Floats) -> Surprise:
        """The habits behind (N, B) surprises."""
        largest = np.maximum(past(np.fmax.reduce(blocks(np.abs(size)), axis=2), 0.5), FLOOR)
        turn = _turn(size)
        turned = np.maximum(past(np.fmax.reduce(blocks(turn), axis=2), 0.75), FLOOR)
        common = group_moves(grid, np.abs(size) / per_bar(largest))
        return cls(size, largest, turn, turned, common)

    def excess(self, grid: Grid, i: Ints, b: Ints, size: Floats, usual: Floats) -> Floats:
        """(M,) how many times larger than the habit, or than the last ten bars; where the whole
        group moves more than on a quiet day, both are scaled up by as much.

        Of the ten bars the third largest counts: an earlier wrong close makes two.
        """
        before = np.maximum(b[:, None] - np.arange(1, RECENT + 1), 0)
        recent = np.sort(np.nan_to_num(np.abs(self.size[i[:, None], before])), axis=1)[:, -3]
        moved = self.common[grid.group[i], grid.session[i, b]] / QUIET
        scale = np.maximum(usual[i, b // (grid.close.shape[1] // usual.shape[1])], recent)
        times: Floats = size / (scale * np.maximum(moved, 1))
        return times


def suspect_moves(grid: Grid) -> list[Found]:
    """Findings of the kinds decimal, spike, outlier, split and peers; a bar is told once."""
    raw = np.full(grid.close.shape, np.nan)
    raw[:, 1:] = np.diff(np.log(grid.close), axis=1)
    told = np.zeros(raw.shape, dtype=np.bool_)
    decimal = decimals(grid, raw, told)
    own = Surprise.of(grid, raw)
    peers = expected_returns(grid, raw, per_bar(own.largest))
    related = Surprise.of(grid, raw - peers.expected)
    turned = _turned(grid, own, related, peers, told)
    split, jumped = splits(grid, raw, own.largest, own.common, told)
    return [decimal, *turned, split, _apart(grid, related, peers, told | jumped)]


def _turn(size: Floats) -> Floats:
    """(N, B) the smaller of a bar's and the next bar's surprise if they are opposite, else 0."""
    turn = np.zeros_like(size)
    a, b = size[:, :-1], size[:, 1:]
    turn[:, :-1] = np.where(a * b < 0, np.minimum(np.abs(a), np.abs(b)), 0)
    return turn


def _turned(
    grid: Grid, own: Surprise, related: Surprise, peers: Peers, told: Flags
) -> tuple[Found, Found]:
    """Closes that leave and come back: fully (spike), or in good part (outlier)."""
    candidates = np.zeros_like(told)
    has_peers = np.zeros_like(told)
    known = np.isfinite(related.size) & np.isfinite(per_bar(related.largest))
    has_peers[:, :-1] = known[:, :-1] & known[:, 1:]
    times = {}
    for surprise, here in ((related, has_peers), (own, ~has_peers)):
        least = np.maximum(per_bar(SPIKE_RARITY * surprise.turned), SPIKE_LEAST)
        i, b = np.nonzero((surprise.turn >= least) & here & ~told)
        span = grid.session[i, b + 1] - grid.session[i, b - 1]
        size = surprise.turn[i, b] / np.sqrt(span / 2)
        excess = surprise.excess(grid, i, b, size, surprise.turned)
        stands = (excess >= SPIKE_RARITY) & (span <= LONGEST_SPAN)
        candidates[i[stands], b[stands]] = True
        times |= dict(zip(zip(i, b, strict=True), excess, strict=True))
    candidates[:, 1:] &= ~candidates[:, :-1]
    i, b = np.nonzero(candidates)
    by_peers = has_peers[i, b]
    x = np.where(by_peers, related.size[i, b], own.size[i, b])
    y = np.where(by_peers, related.size[i, b + 1], own.size[i, b + 1])
    left = np.abs(x + y) / np.maximum(np.abs(x), np.abs(y))
    found = []
    excess = np.array([times[j, t] for j, t in zip(i, b, strict=True)])
    for kind, lowest, highest, rarity in (
        ("spike", -1, SPIKE_BACK, SPIKE_RARITY),
        ("outlier", SPIKE_BACK, OUTLIER_BACK, OUTLIER_RARITY),
    ):
        at = (left > lowest) & (left <= highest) & (excess >= rarity)
        rows = i[at], b[at], x[at], y[at], by_peers[at]
        said = [
            f"{_percent(u)} and {_percent(v)} the next day{peers.named(grid, j, t) if p else ''}, "
            f"{times[j, t]:.1f} × what turns back in a month"
            for j, t, u, v, p in zip(*rows, strict=True)
        ]
        found.append(_found(grid, kind, i[at], b[at], (x[at] - y[at]) / 2, said))
        told[i[at], b[at]] = told[i[at], b[at] + 1] = True
    return found[0], found[1]


def _apart(grid: Grid, related: Surprise, peers: Peers, told: Flags) -> Found:
    """Days that disagree with three peers, and stay so the next day."""
    least = np.maximum(per_bar(PEERS_RARITY * related.largest), PEERS_LEAST)
    away = (np.abs(related.size) >= least) & ~told
    away[:, :-1] &= grid.session[:, 1:] >= 0
    away[:, -1] = False
    i, b = np.nonzero(away)
    x = related.size[i, b]
    times = related.excess(grid, i, b, np.abs(x), related.largest)
    far = times >= PEERS_RARITY
    i, b, x, times = i[far], b[far], x[far], times[far]
    said = [
        f"{_percent(u)}{peers.named(grid, j, t)}, {n:.1f} × the largest of a month"
        for j, t, u, n in zip(i, b, x, times, strict=True)
    ]
    return _found(grid, "peers", i, b, x, said)


def _found(grid: Grid, kind: str, i: Ints, b: Ints, error: Floats, said: list[str]) -> Found:
    """Closes that are wrong by a log error, as known one bar later."""
    size = np.abs(error)
    severity = np.where(size >= 0.02, 2, np.where(size >= 0.01, 1, 0))
    close = grid.close[i, b]
    expected = close * np.exp(-error)
    return Found(
        kind, i, grid.session[i, b], grid.session[i, b + 1], close, expected, severity, said
    )


def _percent(move: float) -> str:
    return f"{np.expm1(move):+.2%}"
