"""Suspects that jump by a telling ratio: slips of the decimal point, splits gone wrong.

Belongs here: kinds decimal and split. Does not: jumps of any size (`suspects_moves`).
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.suspects_grid import BLOCK, Flags, Floats, Found, Grid

DECIMAL_SLACK = 0.2
DECIMAL_MOST = 3
DECIMAL_BACK = 63
RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
SPLIT_SLACK = 0.04
SPLIT_MOST_SLACK = 0.12
SPLIT_OPEN_SLACK = 0.15
SPLIT_LEFT = 0.3
SPLIT_RARITY = 4.0
STAYS = 5

ANOTHER_UNIT = "and so for a quarter: another unit from here on"
"""How the evidence of a slip ends that was one no longer: `adjust` scales what follows."""

_TEN = float(np.log(10))


Slip = tuple[int, int, int, int]
"""Ticker; bar at which it is known; first and last bar, the one that is back among them."""


def decimals(grid: Grid, raw: Floats) -> tuple[Found, list[Slip]]:
    """Closes that are 10, 100 or 1000 times too large or too small.

    A jump by 100 or 1000, within a factor of e^0.2, is told on its own day, as are the four bars
    after it while the price stays there, and up to 63 when it comes back. A jump by 10 may be a
    split: it is told when the price comes back within five bars. The bar that is back is not
    suspect. What stayed for five bars and is not back within 63, without any other such jump, is
    another unit: its sixth bar is told, for all that follow.
    """
    rows: list[tuple[int, int, int, int]] = []
    slips: list[Slip] = []
    units: list[tuple[int, int, int]] = []
    ticker, start, shifted = -1, 0, 0
    # One by one, in order: a clean archive has none, a bad one a handful.
    for i, b in np.argwhere(np.abs(raw) >= _TEN - DECIMAL_SLACK).tolist():
        shift = round(raw[i, b] / _TEN)
        if b < 2 or abs(shift) > DECIMAL_MOST or abs(raw[i, b] - shift * _TEN) > DECIMAL_SLACK:
            continue
        if units and units[-1][0] == i and b - units[-1][1] <= DECIMAL_BACK:
            units.pop()
        is_ten = abs(shift) == 1
        most = STAYS if is_ten else DECIMAL_BACK
        if ticker == i and shift == -shifted and b - start <= most:
            rows += [(i, t, shifted, b) for t in range(start if is_ten else start + STAYS, b)]
            slips.append((i, b, start if is_ten else b, b))
            ticker = -1
            continue
        ticker, start, shifted = i, b, shift
        if not is_ten:
            level = np.cumsum(raw[i, b : b + STAYS]) / _TEN
            n = int(np.logical_and.accumulate(np.abs(level - shift) < 0.5).sum())
            rows += [(i, t, shift, t) for t in range(b, b + n)]
            slips += [(i, t, t, t) for t in range(b, b + n)]
            after = b + DECIMAL_BACK + 1
            if n == STAYS and after < raw.shape[1] and grid.session[i, after] >= 0:
                units.append((i, b, shift))
    if not rows:
        return Found.none("decimal"), slips
    rows += [(i, b + STAYS, shift, b + DECIMAL_BACK + 1) for i, b, shift in units]
    lasting = {(i, b + STAYS) for i, b, _ in units}
    i_, b_, shift_, known = (np.array(column) for column in zip(*sorted(rows), strict=True))
    close = grid.close[i_, b_]
    said = [
        f"{10.0 ** abs(s):g} times too {'large' if s > 0 else 'small'} beside the closes before"
        + (f", {ANOTHER_UNIT}" if (i, b) in lasting else "")
        for i, b, s in zip(i_.tolist(), b_.tolist(), shift_.tolist(), strict=True)
    ]
    day, severity = grid.session[i_, b_], np.full(len(i_), 2)
    expected = close / 10.0**shift_
    found = Found("decimal", i_, day, grid.session[i_, known], close, expected, severity, said)
    return found, slips


def splits(
    grid: Grid, raw: Floats, largest: Floats, common: Floats, told: Flags
) -> tuple[Found, Flags]:
    """Jumps by a split's ratio, from the open on, that stay for five bars; and all such jumps.

    The jump is at least 4 times the largest of an ordinary month, or of what the whole group does.
    value = close, expected = close at the earlier scale. Known five bars later.
    """
    i, b = np.nonzero((np.abs(raw) >= np.log(RATIOS[0]) - SPLIT_MOST_SLACK) & ~told)
    x, usual = raw[i, b], largest[i, b // BLOCK]
    ratios = np.log(np.array(RATIOS))
    which = np.abs(np.abs(x)[:, None] - ratios).argmin(axis=1)
    ln_ratio = np.sign(x) * ratios[which]
    slack = np.clip(2 * usual, SPLIT_SLACK, SPLIT_MOST_SLACK)
    gap = np.log(grid.open[i, b] / grid.close[i, b - 1])
    moved = np.maximum(common[grid.group[i], grid.session[i, b]], 1)
    like = np.abs(x - ln_ratio) <= slack
    like &= ~(np.abs(gap - ln_ratio) > np.maximum(slack, SPLIT_OPEN_SLACK))
    like &= np.abs(x) >= SPLIT_RARITY * usual * moved
    like &= grid.session[i, b] - grid.session[i, b - 1] <= STAYS
    i, b, ln_ratio = i[like], b[like], ln_ratio[like]
    jumps = np.zeros_like(told)
    jumps[i, b] = True
    after = np.minimum(b[:, None] + np.arange(1, STAYS + 1), grid.close.shape[1] - 1)
    # NaN = a bar is not there yet.
    drift = np.abs(np.log(grid.close[i[:, None], after] / grid.close[i, b][:, None])).max(axis=1)
    stays = (drift <= SPLIT_LEFT * np.abs(ln_ratio)) & (b + STAYS < grid.close.shape[1])
    i, b, ln_ratio = i[stays], b[stays], ln_ratio[stays]
    close = grid.close[i, b]
    said = [
        f"{'×' if r > 0 else '÷'} {np.exp(abs(r)):g} overnight, and it stays; "
        "the market does not move so"
        for r in ln_ratio
    ]
    known = grid.session[i, np.minimum(b + STAYS, grid.close.shape[1] - 1)]
    day, severity = grid.session[i, b], np.full(len(i), 2)
    expected = close * np.exp(-ln_ratio)
    return Found("split", i, day, known, close, expected, severity, said), jumps
