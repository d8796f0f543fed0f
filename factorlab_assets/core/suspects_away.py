"""Closes that leave where they belong, and come back within five bars.

Belongs here: what surprises about a return, and which surprises come back. Does not: what they are
called and how they are told (`suspects_moves`).

A bar's surprise is its log return less what its peers' returns say, or the return itself where it
has no peers. Every bar is screened in arrays; the few that stand out are then held against the
bars around them. News moves a price through the day and keeps it there; a wrong close is denied by
the next open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.suspects_grid import (
    BLOCK,
    Flags,
    Floats,
    Grid,
    Ints,
    blocks,
    group_moves,
    past,
    per_bar,
)

BARS = 5
"""Bars within which a wrong close is right again; what stays longer is a level."""
FLOOR = 5e-4
"""Nothing smaller is a habit or a sigma: prices are rounded to cents."""
SIGMA_BARS, SIGMA_FEWEST = 63, 21
MEDIAN_TO_SIGMA = 1.4826
RECENT, RECENT_TIMES = 10, 2.5
QUIET = 0.5
OVERNIGHT = 0.6
WAY_BACK = 0.5

TURN_SIGMAS, TURN_SIGMAS_RELATED = 6.6, 9.0
TURN_HABIT = 3.0
TURN_LEAST = 0.004
TURN_BACK, TURN_NOISY_BACK, TURN_NOISE = 0.2, 0.45, 7.0
TURN_SPAN = 10
SURE_SIGMAS = 15.0

RUN_SIGMAS, RUN_SIGMAS_RELATED = 8.0, 12.0
RUN_HABIT = 2.2
RUN_LEAST, RUN_LEAST_RELATED = 0.03, 0.02
RUN_BACK, RUN_FLAT, RUN_HALF = 0.55, 0.5, 0.3


@dataclass(frozen=True)
class Surprise:
    """What a bar's return has beyond what was to be expected of it.

    size : (N, B) signed log return; NaN = not known. largest, turned : (N, K) a month's largest
    size, and largest turn, as a rule. common : (G, D) the group's median |size| / largest on a
    session. expected : (N, B) what peers said; None = none were asked.
    """

    size: Floats
    largest: Floats
    turned: Floats
    common: Floats
    expected: Floats | None = None

    @classmethod
    def of(cls, grid: Grid, raw: Floats, expected: Floats | None = None) -> Surprise:
        """The surprises in (N, B) log returns, and the habits behind them."""
        size = raw if expected is None else raw - expected
        much = np.abs(size)
        largest = np.maximum(past(np.fmax.reduce(blocks(much), axis=2), 0.5), FLOOR)
        turned = np.maximum(past(np.fmax.reduce(blocks(_turn(size)), axis=2), 0.75), FLOOR)
        much /= per_bar(largest)
        return cls(size, largest, turned, group_moves(grid, much), expected)

    def sigmas(
        self, grid: Grid, i: Ints, b: Ints, size: Floats, habit: Floats
    ) -> tuple[Floats, Floats]:
        """(M,) how many times the daily sigma a size is, 0 if it is not beyond the habit; sigma.

        Sigma is 1.4826 × the median size of the 63 bars before. Beyond the habit: larger than
        `habit`, and than 2.5 × the third largest of the ten bars before (an earlier wrong close
        makes two); both scaled up where half the group moves by more than 0.5 times the largest of
        a month.
        """
        bars = np.maximum(b[:, None] - np.arange(1, SIGMA_BARS + 1), 0)
        before = np.abs(self.size[i[:, None], bars])
        ordered = np.sort(before, axis=1)
        known = SIGMA_BARS - np.isnan(ordered).sum(axis=1)
        sigma = np.maximum(ordered[np.arange(len(i)), known // 2] * MEDIAN_TO_SIGMA, FLOOR)
        recent = np.sort(np.nan_to_num(before[:, :RECENT]), axis=1)[:, -3]
        moved = np.maximum(self.common[grid.group[i], grid.session[i, b]] / QUIET, 1)
        beyond = size >= np.maximum(habit, RECENT_TIMES * recent) * moved
        return np.where(beyond & (known >= SIGMA_FEWEST), size / sigma, 0), sigma

    def summed(self, i: Ints, b: Ints, way: int) -> Floats:
        """(M, 5) surprises added up over the bars after (way = 1) or before (−1), nearest first."""
        bars = np.clip(b[:, None] + way * np.arange(1, BARS + 1), 0, self.size.shape[1] - 1)
        return np.cumsum(np.nan_to_num(self.size[i[:, None], bars]), axis=1)

    def is_way_back(self, i: Ints, b: Ints, move: Floats) -> Flags:
        """(M,) whether a move takes back half of itself or more, of the five bars before."""
        least: Floats = np.min(self.summed(i, b, -1) / move[:, None], axis=1, initial=0)
        return least <= -WAY_BACK


@dataclass(frozen=True)
class Away:
    """A close that leaves by `there` at a bar, and is `back` by `then` so many bars later.

    known : bars until that is sure. sigmas : of the ticker's daily sigma.
    """

    ticker: int
    bar: int
    back: int
    known: int
    there: float
    then: float
    sigmas: float
    is_related: bool


def closes_away(grid: Grid, surprise: Surprise, here: Flags) -> list[Away]:
    """Closes among `here` (N, B) that leave by more than is usual and come back."""
    is_related = surprise.expected is not None
    least = RUN_LEAST_RELATED if is_related else RUN_LEAST
    # A turn of which either half is below 0.7 of the mean is not back.
    stands = _turn(surprise.size) >= 0.7 * np.maximum(
        per_bar(TURN_HABIT * surprise.turned), TURN_LEAST
    )
    stands |= np.abs(surprise.size) >= np.maximum(per_bar(RUN_HABIT * surprise.largest), least)
    i, b = np.nonzero(stands & here)
    width = grid.close.shape[1]
    ahead = b[:, None] + np.arange(BARS + 1)
    moves = surprise.size[i[:, None], np.minimum(ahead, width - 1)]
    moves[ahead >= width] = np.nan
    is_turn, is_clear, turn_sigmas = _turns(grid, surprise, i, b, moves)
    end, run_sigmas = _runs(grid, surprise, i, b, moves)
    # Half back at once may be the first half of two: the other one would come by the last bar.
    is_turn &= is_clear | ((end == 0) & ~np.isnan(moves).any(axis=1))
    back = np.where(is_turn, 1, end)
    known = np.where(is_turn & ~is_clear, BARS, back)
    then, sigmas = moves[np.arange(len(i)), back], np.where(is_turn, turn_sigmas, run_sigmas)
    rows = np.flatnonzero(back)
    where = np.stack([i, b, back, known])[:, rows].T.tolist()
    figures = np.stack([moves[:, 0], then, sigmas])[:, rows].T.tolist()
    return [
        Away(ticker, bar, bars, sure, by, again, times, is_related)
        for (ticker, bar, bars, sure), (by, again, times) in zip(where, figures, strict=True)
    ]


def overnight(grid: Grid, i: Ints, b: Ints, move: Floats, expected: Floats | None) -> Flags:
    """(M,) whether 0.6 of a move was there at the open, or no open is known.

    Half of what peers say of the day is taken off.
    """
    at = np.minimum(b, grid.close.shape[1] - 1)
    gap = np.log(grid.open[i, at] / grid.close[i, at - 1])
    if expected is not None:
        gap -= expected[i, at] / 2
    there: Flags = ~(gap * np.sign(move) < OVERNIGHT * np.abs(move))
    return there


def _turn(size: Floats) -> Floats:
    """(N, B) the smaller of a bar's and the next bar's size if they are opposite, else 0."""
    turn = np.zeros_like(size)
    a, b = size[:, :-1], size[:, 1:]
    np.minimum(np.abs(a), np.abs(b), out=turn[:, :-1], where=a * b < 0)
    turn[np.isnan(size)] = np.nan
    return turn


def _turns(
    grid: Grid, surprise: Surprise, i: Ints, b: Ints, moves: Floats
) -> tuple[Flags, Flags, Floats]:
    """(M,) whether the next bar is back; whether clearly so; and the sigmas of the error."""
    is_related = surprise.expected is not None
    there, then = moves[:, 0], moves[:, 1]
    error, left = np.abs(there - then) / 2, np.abs(there + then)
    most = np.maximum(np.abs(there), np.abs(then))
    after = np.minimum(b + 1, grid.close.shape[1] - 1)
    span = grid.session[i, after] - grid.session[i, b - 1]
    waited = np.sqrt(np.maximum(span, 2) / 2)
    habit = TURN_HABIT * surprise.turned[i, b // BLOCK]
    sigmas, sigma = surprise.sigmas(grid, i, b, error / waited, habit)
    is_turn = (there * then < 0) & (error >= TURN_LEAST) & (span <= TURN_SPAN)
    is_turn &= sigmas >= (TURN_SIGMAS_RELATED if is_related else TURN_SIGMAS)
    is_clear = left <= TURN_BACK * most
    is_turn &= is_clear | (left <= np.minimum(TURN_NOISY_BACK * most, TURN_NOISE * sigma))
    if not is_related:
        is_turn &= overnight(grid, i, b + 1, then, None) | (sigmas >= SURE_SIGMAS)
    return is_turn, is_clear, sigmas


def _runs(grid: Grid, surprise: Surprise, i: Ints, b: Ints, moves: Floats) -> tuple[Ints, Floats]:
    """(M,) bars until a level of two to five bars is left again, 0 = none; its sigmas."""
    is_related = surprise.expected is not None
    size = np.abs(moves[:, 0])
    is_back = _is_back(moves / moves[:, :1])
    end = is_back.argmax(axis=1)
    habit = RUN_HABIT * surprise.largest[i, b // BLOCK]
    sigmas, _ = surprise.sigmas(grid, i, b, size, habit)
    is_run = is_back.any(axis=1) & (size >= (RUN_LEAST_RELATED if is_related else RUN_LEAST))
    is_run &= sigmas >= (RUN_SIGMAS_RELATED if is_related else RUN_SIGMAS)
    is_run &= ~surprise.is_way_back(i, b, moves[:, 0])
    is_run &= overnight(grid, i, b, moves[:, 0], surprise.expected)
    is_run &= overnight(grid, i, b + end, moves[np.arange(len(i)), end], surprise.expected)
    return np.where(is_run, end, 0), sigmas


def _is_back(moves: Floats) -> Flags:
    """(M, 6) whether a close is back at that bar: all at once, or by halves, and flat in between.

    moves : (M, 6) in units of the first. Two bars at least: a bar that turns at once is no run.
    """
    flat = np.abs(moves) <= RUN_FLAT
    half = np.abs(moves + 0.5) <= RUN_HALF
    still = np.logical_and.accumulate(flat[:, 2:-1], axis=1)
    still = np.concatenate([np.ones((len(moves), 1), dtype=np.bool_), still], axis=1)
    is_back = np.zeros(moves.shape, dtype=np.bool_)
    is_back[:, 2:] = still & (np.abs(np.cumsum(moves, axis=1)[:, 2:]) <= RUN_BACK)
    at_once = flat[:, 1:2] & (moves[:, 2:] <= RUN_BACK - 1)
    is_back[:, 2:] &= at_once | (half[:, 1:2] & half[:, 2:])
    return is_back
