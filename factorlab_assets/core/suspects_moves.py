"""Suspects among returns, each bar told once, by its strongest kind.

Belongs here: kinds spike, outlier and peers; the order of kinds. Does not: finding closes that come
back (`suspects_away`), jumps by a telling ratio (`suspects_ratios`), who is related to whom
(`suspects_peers`), kinds that need no opinion on returns (`suspects_presence`).
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.suspects_away import BARS, Away, Surprise, closes_away, overnight
from factorlab_assets.core.suspects_grid import BLOCK, Flags, Floats, Found, Grid, per_bar
from factorlab_assets.core.suspects_peers import Peers, expected_returns
from factorlab_assets.core.suspects_ratios import Slip, decimals, splits

ERROR, WARNING = 0.02, 0.01
PEERS_SIGMAS = 8.0
PEERS_HABIT = 2.2
PEERS_LEAST = 0.025
PEERS_BACK = 0.9
PEERS_STILL = 1.5

_Row = tuple[Away, int, float]


def suspect_moves(grid: Grid) -> list[Found]:
    """Findings of the kinds decimal, spike, outlier, split and peers."""
    raw = np.full(grid.close.shape, np.nan)
    raw[:, 1:] = np.diff(np.log(grid.close), axis=1)
    decimal, slips = decimals(grid, raw)
    own = Surprise.of(grid, raw)
    peers = expected_returns(grid, raw, per_bar(own.largest))
    related = Surprise.of(grid, raw, peers.expected)
    has_peers = np.isfinite(related.size) & np.isfinite(per_bar(related.largest))
    has_peers[:, :-1] &= has_peers[:, 1:]
    away = closes_away(grid, related, has_peers) + closes_away(grid, own, ~has_peers)
    told = np.zeros(raw.shape, dtype=np.bool_)
    chosen = _first_known(away, slips, told)
    split, jumps = splits(grid, raw, own.largest, own.common, told)
    apart = _apart(grid, related, peers, told | jumps, own.largest)
    spikes = [(one, one.bar, (one.there - one.then) / 2) for one in chosen if one.back == 1]
    outliers = [row for one in chosen if one.back > 1 for row in _bars_away(grid, one)]
    spike = _found(grid, "spike", spikes, peers, highest=2)
    outlier = _found(grid, "outlier", outliers, peers, highest=1)
    return [decimal, spike, outlier, split, apart]


def _first_known(found: list[Away], slips: list[Slip], told: Flags) -> list[Away]:
    """Those that do not begin while another one, or a slip, known before, is away or comes back.

    Marks all of their bars in `told`, the bar that is back among them.
    """
    spans: list[tuple[int, int, int, int, Away | None]] = [(*slip, None) for slip in slips]
    spans += [(a.ticker, a.bar + a.known, a.bar, a.bar + a.back, a) for a in found]
    chosen = []
    until = (-1, -1)
    for ticker, _, first, last, one in sorted(spans, key=lambda span: span[:3]):
        if one is None or (ticker, first) > until:
            told[ticker, first : last + 1] = True
            until = max(until, (ticker, last))
            chosen += [] if one is None else [one]
    return chosen


def _bars_away(grid: Grid, one: Away) -> list[_Row]:
    """Every bar of a run, and how far its close is from the last one before."""
    closes = np.log(grid.close[one.ticker, one.bar - 1 : one.bar + one.back])
    return [(one, one.bar + n, by) for n, by in enumerate((closes[1:] - closes[0]).tolist())]


def _found(grid: Grid, kind: str, rows: list[_Row], peers: Peers, highest: int) -> Found:
    """Closes that are wrong by a log error. value = close, expected = close without the error."""
    if not rows:
        return Found.none(kind)
    i = np.array([one.ticker for one, _, _ in rows])
    b = np.array([bar for _, bar, _ in rows])
    known = np.array([one.bar + one.known for one, _, _ in rows])
    error = np.array([by for _, _, by in rows])
    size = np.abs(error)
    severity = np.minimum(np.where(size >= ERROR, 2, np.where(size >= WARNING, 1, 0)), highest)
    said = [
        f"{_percent(one.there)}, {_percent(one.then)} {one.back} bar{'s' if one.back > 1 else ''} "
        f"later{peers.named(grid, one.ticker, one.bar) if one.is_related else ''}; "
        f"{one.sigmas:.1f} sigma"
        for one, _, _ in rows
    ]
    close, day, known_on = grid.close[i, b], grid.session[i, b], grid.session[i, known]
    return Found(kind, i, day, known_on, close, close * np.exp(-error), severity, said)


def _apart(grid: Grid, related: Surprise, peers: Peers, told: Flags, largest: Floats) -> Found:
    """Days on which a ticker parts overnight from close peers that do nothing unusual.

    value = close, expected = close if it had gone with them. Only `info`: news of one fund, and a
    distribution that is not in the closes, look the same. Known five bars later, none of which
    brings it back.
    """
    habit = PEERS_HABIT * related.largest
    least = np.maximum(per_bar(habit), PEERS_LEAST)
    parts = (np.abs(related.size) >= least) & ~told
    parts &= np.abs(peers.expected) <= PEERS_STILL * per_bar(largest)
    i, b = np.nonzero(parts[:, :-BARS])
    x = related.size[i, b]
    sigmas, _ = related.sigmas(grid, i, b, np.abs(x), habit[i, b // BLOCK])
    stays = (sigmas >= PEERS_SIGMAS) & (grid.session[i, b + BARS] >= 0)
    stays &= peers.is_close[i, peers.year[grid.session[i, b]]]
    stays &= overnight(grid, i, b, x, peers.expected)
    after = related.summed(i, b, 1)
    stays &= (after / x[:, None] > -PEERS_BACK).all(axis=1) & ~related.is_way_back(i, b, x)
    i, b, x, sigmas = i[stays], b[stays], x[stays], sigmas[stays]
    said = [
        f"{_percent(by)}{peers.named(grid, j, t)}, and it stays; {n:.1f} sigma"
        f"{': as where a distribution is not in the closes' if by < 0 else ''}"
        for j, t, by, n in zip(i.tolist(), b.tolist(), x.tolist(), sigmas.tolist(), strict=True)
    ]
    close, day, known = grid.close[i, b], grid.session[i, b], grid.session[i, b + BARS]
    return Found("peers", i, day, known, close, close * np.exp(-x), np.zeros_like(i), said)


def _percent(move: float) -> str:
    return f"{np.expm1(move):+.2%}"
