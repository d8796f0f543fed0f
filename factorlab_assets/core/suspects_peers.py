"""What a ticker's closest relatives say that its return should have been.

Belongs here: choosing peers and predicting from them. Does not: judging what differs.

Peers of a calendar year are chosen on the year before, so that a bar's peers were known before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.suspects_grid import Flags, Floats, Grid, Ints, by_session

N_PEERS = 3
"""A median of three bears one wrong price among the peers."""
LEAST_CORRELATION = 0.7
CLOSE_CORRELATION = 0.72
"""Of each peer, where it is to say by itself that a close is wrong."""
"""Of each peer: below it, more than 60 % of the ticker's typical move is its own."""
FEWEST_RETURNS = 120
"""Half a year of daily returns; with fewer, the best of hundreds of correlations is luck."""
MOST_CANDIDATES = 2000
"""Tickers that may be peers of others: beyond it, those with the most bars in the year before."""

_CHUNK = 512


@dataclass(frozen=True)
class Peers:
    """Whose returns a ticker's are held against, and what they say.

    expected : (N, B) log return, NaN where a ticker has no peers.
    is_close : (N, years) whether each peer's correlation is at least `CLOSE_CORRELATION`.
    year : (D,) calendar year of each session, from 0. chosen : year -> (N, 3), −1 = none.
    """

    expected: Floats
    is_close: Flags
    year: Ints
    chosen: dict[int, Ints]

    def named(self, grid: Grid, ticker: int, bar: int) -> str:
        """' beside A, B and C'."""
        year = int(self.year[grid.session[ticker, bar]])
        *most, last = (grid.tickers[j] for j in self.chosen[year][ticker])
        return f" beside {', '.join(most)} and {last}"


def expected_returns(grid: Grid, returns: Floats, clip: Floats) -> Peers:
    """The median of what each of three peers predicts.

    r̂_i = median over its peers j of β_ij · r_j, with β_ij = Σ r_i r_j / Σ r_j² over last year.

    Parameters
    ----------
    returns : (N, B) log return from bar to bar.
    clip : (N, B) what is usual for a ticker: the size beyond which a return counts no more, when
        peers are chosen. NaN where not known; such a return counts nothing.

    Notes
    -----
    Only returns over exactly one session are predicted, and predict. Correlations are about zero,
    the mean of a daily return being nothing beside its size.
    """
    one_session = np.zeros(grid.session.shape, dtype=np.bool_)
    one_session[:, 1:] = (np.diff(grid.session, axis=1) == 1) & (grid.session[:, 1:] > 0)
    daily = by_session(grid, np.where(one_session, returns, np.nan))
    clipped = by_session(grid, np.where(one_session, np.clip(returns, -clip, clip), np.nan))
    np.nan_to_num(clipped, copy=False)
    predicted = np.full_like(daily, np.nan)
    year = grid.sessions.astype("datetime64[Y]").astype(np.int64)
    year -= year[0]
    starts = np.searchsorted(year, np.arange(year[-1] + 2))
    chosen = {}
    is_close = np.zeros((len(daily), len(starts) - 1), dtype=np.bool_)
    for y, (before, start, stop) in enumerate(zip(starts, starts[1:], starts[2:], strict=False), 1):
        own, peers, beta, least = _peers(np.ascontiguousarray(clipped[:, before:start]))
        chosen[y] = np.full((len(daily), N_PEERS), -1)
        chosen[y][own] = peers
        is_close[own, y] = least >= CLOSE_CORRELATION
        for at in range(0, len(own), _CHUNK):
            rows = slice(at, at + _CHUNK)
            told = beta[rows, :, None] * daily[peers[rows], start:stop]
            predicted[own[rows], start:stop] = _middle(told)
    at_bar = np.take_along_axis(predicted, np.maximum(grid.session, 0), axis=1)
    return Peers(np.where(one_session, at_bar, np.nan), is_close, year, chosen)


def _peers(year: Floats) -> tuple[Ints, Ints, Floats, Floats]:
    """Tickers that have three peers (M,), their peers and the betas on them (M, 3), and the least
    of the three correlations (M,).
    """
    counts = (year != 0).sum(axis=1)
    enough = np.flatnonzero(counts >= FEWEST_RETURNS)
    if len(enough) <= N_PEERS:
        none = np.empty((0, N_PEERS))
        return np.empty(0, np.int64), none.astype(np.int64), none, np.empty(0)
    norm = np.sqrt(np.einsum("ij,ij->i", year, year))
    unit = year[enough] / norm[enough, None]
    by_bars = np.argsort(-counts[enough], kind="stable")[:MOST_CANDIDATES]
    candidates = np.sort(by_bars)
    chosen, strength = [], []
    for at in range(0, len(enough), _CHUNK):
        rows = np.arange(at, min(at + _CHUNK, len(enough)))
        size = np.abs(unit[rows] @ unit[candidates].T)
        size[rows[:, None] == candidates] = -1
        # Equal correlations (one fund under two names) go by name, whatever a product rounded to.
        size = np.round(size, 10) - candidates * 1e-12
        best = np.argpartition(-size, N_PEERS - 1, axis=1)[:, :N_PEERS]
        chosen.append(np.sort(candidates[best], axis=1))
        strength.append(np.take_along_axis(size, best, axis=1).min(axis=1))
    least = np.concatenate(strength)
    has = least >= LEAST_CORRELATION
    own, peers = enough[has], enough[np.concatenate(chosen)[has]]
    beta = np.empty(peers.shape)
    for j in range(N_PEERS):
        other = year[peers[:, j]]
        # Summed row by row: the last bit is the same however many tickers there are.
        beta[:, j] = (year[own] * other).sum(axis=1) / (other * other).sum(axis=1)
    return own, peers, beta, least[has]


def _middle(told: Floats) -> Floats:
    """(M, 3, D) the median over the three; of two that are known their mean; else NaN."""
    a, b, c = told[:, 0], told[:, 1], told[:, 2]
    middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    unknown = np.isnan(told)
    pair = np.where(unknown, 0, told).sum(axis=1) / 2
    return np.where(unknown.sum(axis=1) == 1, pair, middle)
