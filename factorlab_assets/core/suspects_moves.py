"""Suspects among returns: closes that leave where they belong, and come back.

Belongs here: what surprises about a return; kinds spike, peers, outlier. Does not: jumps by a
telling ratio (`suspects_ratios`), who is related to whom (`suspects_peers`), kinds that need no
opinion on returns (`suspects_presence`).

A bar's surprise is its log return less what its peers' returns say, or the return itself where it
has no peers. Every bar is screened in arrays; the few that stand out are then held against the
bars around them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.suspects_grid import (
    BLOCK,
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
from factorlab_assets.core.suspects_ratios import Slip, decimals, splits

TURN_SIGMAS = 6.6
TURN_SIGMAS_RELATED = 9.0
TURN_HABIT = 3.0
TURN_LEAST = 0.004
TURN_BACK = 0.2
TURN_NOISY_BACK = 0.45
TURN_NOISE = 7.0
AWAY_SIGMAS = 8.0
AWAY_HABIT = 2.2
AWAY_LEAST = 0.03
AWAY_LEAST_RELATED = 0.01
AWAY_BARS = 5
AWAY_SLACK = 0.5
AWAY_HALF_SLACK = 0.3
AWAY_BACK = 0.55
PEERS_SIGMAS = 8.0
PEERS_HABIT = 2.5
PEERS_LEAST = 0.025
PEERS_BACK = 0.9
PEERS_STILL = 1.5
RECENT = 10
QUIET = 0.5
RECENT_TIMES = 2.5
SIGMA_BARS = 63
SIGMA_FEWEST = 21
MEDIAN_TO_SIGMA = 1.4826
FLOOR = 5e-4
OVERNIGHT = 0.6
SURE_SIGMAS = 15.0
LONGEST_SPAN = 10


@dataclass(frozen=True)
class Surprise:
    """What a bar's return has beyond what was to be expected of it.

    size : (N, B) signed log return; NaN = not known. largest : (N, K) a month's largest, as a rule.
    turn : (N, B) the smaller of a bar's and the next bar's size if they are opposite, else 0.
    turned : (N, K) a month's largest turn, as a rule. common : (G, D) the group's median
    |size| / largest on a session. expected : (N, B) what peers said, None = none are asked.
    """

    size: Floats
    largest: Floats
    turn: Floats
    turned: Floats
    common: Floats
    expected: Floats | None = None

    @property
    def is_related(self) -> bool:
        return self.expected is not None

    @classmethod
    def of(cls, grid: Grid, raw: Floats, expected: Floats | None = None) -> Surprise:
        """The habits behind (N, B) surprises."""
        size = raw if expected is None else raw - expected
        much = np.abs(size)
        largest = np.maximum(past(np.fmax.reduce(blocks(much), axis=2), 0.5), FLOOR)
        turn = np.zeros_like(size)
        opposite = size[:, :-1] * size[:, 1:] < 0
        turn[:, :-1] = np.where(opposite, np.minimum(much[:, :-1], much[:, 1:]), 0)
        turn[np.isnan(size)] = np.nan
        turned = np.maximum(past(np.fmax.reduce(blocks(turn), axis=2), 0.75), FLOOR)
        common = group_moves(grid, much / per_bar(largest))
        return cls(size, largest, turn, turned, common, expected)

    def sigmas(
        self, grid: Grid, i: Ints, b: Ints, size: Floats, habit: Floats, quiet: float = 1.0
    ) -> tuple[Floats, Floats]:
        """(M,) how many times the ticker's daily sigma, 0 if `size` is not beyond its habit; sigma.

        Sigma is 1.4826 × the median size of the 63 bars before. Beyond its habit: larger than
        `habit`, and than 3 × the third largest of the ten bars before (an earlier wrong close makes
        two). On a session on which half the group moves beyond a month's largest, all of it is
        scaled up by as much.
        """
        before = np.abs(
            self.size[i[:, None], np.maximum(b[:, None] - np.arange(1, SIGMA_BARS + 1), 0)]
        )
        ordered = np.sort(before, axis=1)
        known = SIGMA_BARS - np.isnan(ordered).sum(axis=1)
        sigma = np.maximum(ordered[np.arange(len(i)), known // 2] * MEDIAN_TO_SIGMA, FLOOR)
        recent = np.sort(np.nan_to_num(before[:, :RECENT]), axis=1)[:, -3]
        moved = np.maximum(self.common[grid.group[i], grid.session[i, b]] / quiet, 1)
        beyond = size >= np.maximum(habit, RECENT_TIMES * recent) * moved
        return np.where(beyond & (known >= SIGMA_FEWEST), size / sigma, 0), sigma

    def away(self, grid: Grid, here: Flags) -> list[Away]:
        """Closes among `here` that leave by more than is usual and are back within five bars."""
        least = AWAY_LEAST_RELATED if self.is_related else AWAY_LEAST
        rare = TURN_SIGMAS_RELATED if self.is_related else TURN_SIGMAS
        # A turn of less than 0.7 times its mean is not back.
        turn_habit, away_habit = TURN_HABIT * self.turned, AWAY_HABIT * self.largest
        stands = self.turn >= 0.7 * np.maximum(per_bar(turn_habit), TURN_LEAST)
        stands |= np.abs(self.size) >= np.maximum(per_bar(away_habit), least)
        i, b = np.nonzero(stands & here)
        ahead = b[:, None] + np.arange(AWAY_BARS + 1)
        moves = self.size[i[:, None], np.minimum(ahead, self.size.shape[1] - 1)]
        moves[ahead >= self.size.shape[1]] = np.nan
        size = np.abs(moves)
        turned = (size[:, 0] + size[:, 1]) / 2
        span = grid.session[i, np.minimum(b + 1, self.size.shape[1] - 1)] - grid.session[i, b - 1]
        waited = np.sqrt(np.maximum(span, 2) / 2)
        near, sigma = self.sigmas(grid, i, b, turned / waited, turn_habit[i, b // BLOCK])
        left, most = np.abs(moves[:, 0] + moves[:, 1]), size[:, :2].max(axis=1)
        is_turn = left <= np.maximum(
            TURN_BACK * most, np.minimum(TURN_NOISY_BACK * most, TURN_NOISE * sigma)
        )
        is_turn &= (near >= rare) & (turned >= TURN_LEAST) & (span <= LONGEST_SPAN)
        if not self.is_related:
            is_turn &= _overnight(grid, i, b + 1, moves[:, 1]) | (near >= SURE_SIGMAS)
        is_back = _is_back(moves / moves[:, :1])
        far, _ = self.sigmas(grid, i, b, size[:, 0], away_habit[i, b // BLOCK], QUIET)
        is_away = is_back.any(axis=1) & (far >= AWAY_SIGMAS) & (size[:, 0] >= least)
        end = is_back.argmax(axis=1)
        is_away &= _overnight(grid, i, b, moves[:, 0], self.expected)
        is_away &= _overnight(grid, i, b + end, moves[np.arange(len(i)), end], self.expected)
        # Half back at once may be the first half of two: the other one would come by the last bar.
        is_clear = left <= TURN_BACK * most
        is_turn &= is_clear | (~is_away & ~np.isnan(moves).any(axis=1))
        back = np.where(is_turn, 1, end)
        known = np.where(is_turn & ~is_clear, AWAY_BARS, back)
        times = np.where(is_turn, near, far)
        rows = np.flatnonzero(is_turn | is_away)
        columns = (i, b, back, known, moves[:, 0], moves[np.arange(len(i)), back], times)
        told = zip(*(column[rows].tolist() for column in columns), strict=True)
        return [Away(*row, self.is_related) for row in told]


def _overnight(grid: Grid, i: Ints, b: Ints, x: Floats, expected: Floats | None = None) -> Flags:
    """(M,) whether half of a move `x` was there at the open, or no open is known.

    Half of what peers say of the day is expected at the open.
    """
    at = np.minimum(b, grid.close.shape[1] - 1)
    gap = np.log(grid.open[i, at] / grid.close[i, at - 1])
    if expected is not None:
        gap -= expected[i, at] / 2
    there: Flags = ~(gap * np.sign(x) < OVERNIGHT * np.abs(x))
    return there


def _is_back(moves: Floats) -> Flags:
    """(M, 6) whether a close is back at that bar: all at once, or by halves, and flat in between.

    moves : (M, 6) in units of the first. Two bars at least: a bar that turns at once is no run.
    """
    flat = np.abs(moves) <= AWAY_SLACK
    halves = np.abs(moves + 0.5) <= AWAY_HALF_SLACK
    still = np.logical_and.accumulate(flat[:, 2:-1], axis=1)
    still = np.concatenate([np.ones((len(moves), 1), dtype=np.bool_), still], axis=1)
    is_back = np.zeros(moves.shape, dtype=np.bool_)
    is_back[:, 2:] = still & (np.abs(np.cumsum(moves, axis=1)[:, 2:]) <= AWAY_BACK)
    at_once = flat[:, 1:2] & (moves[:, 2:] <= AWAY_BACK - 1)
    is_back[:, 2:] &= at_once | (halves[:, 1:2] & halves[:, 2:])
    return is_back


@dataclass(frozen=True)
class Away:
    """A close that leaves by `there` at a bar, and is `back` by `then` so many bars later.

    known : bars until that is sure. times : in daily sigmas.
    """

    ticker: int
    bar: int
    back: int
    known: int
    there: float
    then: float
    times: float
    is_related: bool


def suspect_moves(grid: Grid) -> list[Found]:
    """Findings of the kinds decimal, spike, outlier, split and peers; a bar is told once."""
    raw = np.full(grid.close.shape, np.nan)
    raw[:, 1:] = np.diff(np.log(grid.close), axis=1)
    decimal, slips = decimals(grid, raw)
    own = Surprise.of(grid, raw)
    peers = expected_returns(grid, raw, per_bar(own.largest))
    related = Surprise.of(grid, raw, peers.expected)
    known = np.isfinite(related.size) & np.isfinite(per_bar(related.largest))
    known[:, :-1] &= known[:, 1:]
    told = np.zeros(raw.shape, dtype=np.bool_)
    found = _apart(related.away(grid, known) + own.away(grid, ~known), slips, told)
    split, like_split = splits(grid, raw, own.largest, own.common, told)
    apart = _disagree(grid, related, peers, told | like_split, own.largest)
    return [decimal, *_told(grid, found, peers), split, apart]


def _apart(found: list[Away], slips: list[Slip], told: Flags) -> list[Away]:
    """Those that do not begin while another one, or a slip, known before, is away or comes back.

    Marks all of their bars in `told`, the bar that is back among them.
    """
    spans = [(*slip, None) for slip in slips]
    spans += [(a.ticker, a.bar + a.known, a.bar, a.bar + a.back, a) for a in found]
    chosen = []
    until = (-1, -1)
    for ticker, _, first, last, one in sorted(spans, key=lambda span: span[:3]):
        if one is None or (ticker, first) > until:
            told[ticker, first : last + 1] = True
            until = max(until, (ticker, last))
            chosen += [] if one is None else [one]
    return chosen


def _disagree(grid: Grid, related: Surprise, peers: Peers, told: Flags, largest: Floats) -> Found:
    """Days on which a ticker parts from three peers that do nothing unusual, and stays apart.

    A fall looks the same if a distribution is not in the closes, and is no more than `info`.
    Known five bars later, none of which brings it back.
    """
    habit = PEERS_HABIT * related.largest
    least = np.maximum(per_bar(habit), PEERS_LEAST)
    parts = (np.abs(related.size) >= least) & peers.is_close & ~told
    parts &= np.abs(peers.expected) <= PEERS_STILL * per_bar(largest)
    i, b = np.nonzero(parts[:, :-AWAY_BARS])
    x = related.size[i, b]
    times, _ = related.sigmas(grid, i, b, np.abs(x), habit[i, b // BLOCK])
    after = np.nan_to_num(related.size[i[:, None], b[:, None] + np.arange(1, AWAY_BARS + 1)])
    stays = (np.cumsum(after, axis=1) / x[:, None] > -PEERS_BACK).all(axis=1)
    stays &= grid.session[i, b + AWAY_BARS] >= 0
    # The way back, from a wrong close or from a run of stale ones, is no way apart.
    before = np.nan_to_num(related.size[i[:, None], b[:, None] - np.arange(1, AWAY_BARS + 1)])
    stays &= (np.cumsum(before, axis=1) / x[:, None] > -PEERS_BACK).all(axis=1)
    stays &= _overnight(grid, i, b, x, peers.expected)
    far = stays & (times >= PEERS_SIGMAS)
    i, b, x, times = i[far], b[far], x[far], times[far]
    said = [
        f"{_percent(by)}{peers.named(grid, j, t)}, and it stays; {n:.1f} sigma"
        f"{': as where a distribution is not in the closes' if by < 0 else ''}"
        for j, t, by, n in zip(i.tolist(), b.tolist(), x.tolist(), times.tolist(), strict=True)
    ]
    close, day, known = grid.close[i, b], grid.session[i, b], grid.session[i, b + AWAY_BARS]
    expected = close * np.exp(-x)
    return Found("peers", i, day, known, close, expected, np.where(x < 0, 0, 1), said)


def _told(grid: Grid, found: list[Away], peers: Peers) -> list[Found]:
    """Spikes: back with the next bar. Outliers: back later, one row for every bar away."""
    spikes = [(one, one.bar, (one.there - one.then) / 2) for one in found if one.back == 1]
    outliers = []
    for one in found:
        if one.back > 1:
            closes = np.log(grid.close[one.ticker, one.bar - 1 : one.bar + one.back])
            moved = (closes[1:] - closes[0]).tolist()
            outliers += [(one, one.bar + n, by) for n, by in enumerate(moved)]
    return [_found(grid, "spike", spikes, peers), _found(grid, "outlier", outliers, peers)]


def _found(grid: Grid, kind: str, rows: list[tuple[Away, int, float]], peers: Peers) -> Found:
    """Closes that are wrong by a log error, as known when they were back."""
    if not rows:
        return Found.none(kind)
    i = np.array([one.ticker for one, _, _ in rows])
    b = np.array([bar for _, bar, _ in rows])
    known = np.array([one.bar + one.known for one, _, _ in rows])
    error = np.array([by for _, _, by in rows])
    severity = np.where(np.abs(error) >= 0.02, 2, np.where(np.abs(error) >= 0.01, 1, 0))
    close = grid.close[i, b]
    said = [
        f"{_percent(one.there)}, {_percent(one.then)} {one.back} bar{'s' if one.back > 1 else ''} "
        f"later{peers.named(grid, one.ticker, one.bar) if one.is_related else ''}; "
        f"{one.times:.1f} sigma"
        for one, _, _ in rows
    ]
    expected = close * np.exp(-error)
    return Found(
        kind, i, grid.session[i, b], grid.session[i, known], close, expected, severity, said
    )


def _percent(move: float) -> str:
    return f"{np.expm1(move):+.2%}"
