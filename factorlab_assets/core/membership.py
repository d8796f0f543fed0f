"""Who of a strategy's universe may be held at each month-end, by what is known then.

Belongs here: the filters of `Universe` and the reason of everyone they keep out. Does not: which
tickers a universe names (`universes`), or what becomes of those already held (`portfolio`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets import schemas
from factorlab_assets.core.bars import Bars
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_signals import Universe

REASONS = schemas.MEMBER_REASONS
MEMBER, NO_PRICE, STALE, SHORT, CHEAP, ILLIQUID, NOT_LARGEST = range(len(REASONS))
_MOST_CELLS = 4_000_000
"""Daily values looked at in one piece: 32 MB."""


@dataclass(frozen=True)
class Members:
    """Membership of a strategy's universe, (T, N) over its panel.

    is_member : may be held. reason : int8 index into `REASONS`. is_filtered : whether a filter of
    the strategy file decides, and not the month-end price alone.
    """

    is_member: Bools
    reason: npt.NDArray[np.int8]
    is_filtered: bool = False

    @property
    def allowed(self) -> Bools | None:
        """`is_member` where filters decide; None where whoever has a price may be held."""
        return self.is_member if self.is_filtered else None


def members(resolved: Resolved, market: Panel) -> Members:
    """Who may be held at each month-end t, by what was known at its close.

    Without filters: whoever has a month-end price. The filters of the strategy's universe compose;
    `reason` is the first that fails, in this order.

    - month-end price: `panel.seen[t]` is known.
    - max_stale_sessions k: one of the last k + 1 sessions up to t has a close.
    - min_history n: at least n month-end prices up to t, t's own included.
    - min_price p: the close of t as known then ≥ p. On total returns too it is the close, without
      distributions. Closes are adjusted for splits that came later: a name that split ten to one
      afterwards shows a tenth of what was quoted.
    - min_dollar_volume v: the median of daily close · volume over the sessions of the last
      `liquidity_months` months ≥ v. A session without a bar counts 0, one whose volume is not known
      is left out; a name that is listed since less than half of them has a median of 0.
    - top_dollar_volume n: among the n largest such medians of all who pass the rest; ties by
      ticker.

    Parameters
    ----------
    market : the month's panel, with `bars` where `universe.reads_daily`.

    Raises
    ------
    FactorLabError : a filter needs daily bars, and the panel has none.

    Notes
    -----
    A row rests on nothing after its date, whichever rows follow. The proof's altered histories have
    total returns without the closes beside them: there min_price is held against the former.

    Examples
    --------
    >>> from factorlab_assets.strategy import Strategy
    >>> said = {"of": ("A", "B"), "min_history": 2}
    >>> old = Strategy(name="old", description="-", universe=said)
    >>> price = np.array([[1.0, np.nan], [1.0, 1.0]])
    >>> dates = np.array(["2024-04-30", "2024-05-31"], dtype="datetime64[D]")
    >>> market = Panel(dates, np.array(["A", "B"]), *[price] * 5)
    >>> resolved = Resolved(strategy=old, tickers=("A", "B"), asset_classes={})
    >>> found = members(resolved, market)
    >>> [[REASONS[i] for i in row] for row in found.reason]
    [['too short a history', 'no month-end price'], ['member', 'too short a history']]
    """
    said, panel = resolved.strategy.universe, universe(resolved, market)
    if said.reads_daily and panel.bars is None:
        raise FactorLabError(
            "the filters of the universe need daily bars",
            where=f"strategy {resolved.name}: universe",
            got="a panel of month-ends alone",
            do="give the panel its bars (core.returns.bars_beside)",
        )
    key = ("members", *said.filters.items())
    is_member, reason = panel.once(key, lambda: _judged(said, panel))
    return Members(is_member, reason, is_filtered=bool(said.filters))


def _judged(said: Universe, panel: Panel) -> tuple[Bools, npt.NDArray[np.int8]]:
    reason = np.full(panel.seen.shape, MEMBER, dtype=np.int8)

    def keep(passes: Bools, otherwise: int) -> None:
        reason[(reason == MEMBER) & ~passes] = otherwise

    keep(np.isfinite(panel.seen), NO_PRICE)
    if said.max_stale_sessions is not None:
        keep(trading(panel, said.max_stale_sessions), STALE)
    if said.min_history is not None:
        keep(history(panel) >= said.min_history, SHORT)
    if said.min_price is not None:
        quoted = panel.seen if panel.quoted is None else panel.quoted
        keep(quoted >= said.min_price, CHEAP)
    if said.reads_volume:
        volume = median_dollar_volume(panel, said.liquidity_months)
        if said.min_dollar_volume is not None:
            keep(volume >= said.min_dollar_volume, ILLIQUID)
        if said.top_dollar_volume is not None:
            keep(_largest(volume, reason == MEMBER, said.top_dollar_volume), NOT_LARGEST)
    return reason == MEMBER, reason


def history(panel: Panel) -> npt.NDArray[np.int64]:
    """Month-end prices known up to each date, its own as it was known then, (T, N)."""
    known = np.isfinite(panel.price)
    before = np.cumsum(known, axis=0) - known
    return np.asarray(before + np.isfinite(panel.seen), dtype=np.int64)


def trading(panel: Panel, most: int) -> Bools:
    """Whether one of the last `most` + 1 sessions up to each date has a close, (T, N)."""
    bars = _bars(panel)
    back = np.arange(most + 1)

    def any_of(known: Bools, stops: npt.NDArray[np.intp]) -> Bools:
        rows = stops[:, np.newaxis] - 1 - back
        return np.asarray((known[np.maximum(rows, 0)] & (rows >= 0)[..., np.newaxis]).any(axis=1))

    stops = np.searchsorted(bars.days, panel.dates, side="right")
    found = any_of(np.isfinite(bars.close), stops)
    # Few dates fall between a bar and the day on which it was found to be none, or to be one.
    late = bars.late
    close = bars.close[late.row, late.column]
    late = late.where(np.isfinite(close) != np.isfinite(late.seen))
    spans = zip(bars.month[late.row], np.searchsorted(panel.dates, late.known_at), strict=True)
    for t in {t for first, last in spans for t in range(first, last)}:
        then = np.isfinite(bars.as_known(panel.dates[t]).close[-len(back) :])
        found[t] = then.any(axis=0)
    return found


def median_dollar_volume(panel: Panel, months: int) -> Floats:
    """The median daily dollar volume of the sessions of each date's last `months`, (T, N).

    A session without a bar counts 0; one with a bar of unknown volume is left out. NaN where no
    session is left.
    """
    bars = _bars(panel)
    close = bars.close
    if bars.late.row.size:  # on its own day a bar was there that was found to be none only later
        close = close.copy()
        close[bars.late.row, bars.late.column] = bars.late.seen
    volume = np.where(np.isnan(bars.dollar_volume) & np.isnan(close), 0.0, bars.dollar_volume)
    stops = np.searchsorted(bars.days, panel.dates, side="right")
    starts = np.searchsorted(bars.month, np.arange(len(panel.dates)) - (months - 1))
    width = int((stops - starts).max(initial=0))
    out = np.full(panel.seen.shape, np.nan)
    if width == 0:
        return out
    step = max(_MOST_CELLS // (width * max(volume.shape[1], 1)), 1)
    for low in range(0, len(out), step):
        rows = slice(low, low + step)
        day = starts[rows, np.newaxis] + np.arange(width)
        inside = day < stops[rows, np.newaxis]
        block = volume[np.minimum(day, len(volume) - 1)]
        block[~inside] = np.nan
        out[rows] = _medians(block)
    return out


def _medians(block: Floats) -> Floats:
    """Over axis 1 of (T, D, N), NaN left out; NaN of nothing else."""
    block.sort(axis=1)  # NaN last
    known = np.isfinite(block).sum(axis=1)[:, np.newaxis]
    low = np.take_along_axis(block, np.maximum(known - 1, 0) // 2, axis=1)
    high = np.take_along_axis(block, np.minimum(known // 2, block.shape[1] - 1), axis=1)
    return np.asarray(np.where(known > 0, (low + high) / 2.0, np.nan)[:, 0])


def _largest(value: Floats, among: Bools, count: int) -> Bools:
    """The `count` largest of each row among those, ties by column; NaN is none of them."""
    wanted = among & np.isfinite(value)
    order = np.argsort(np.where(wanted, -value, np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[np.newaxis], axis=1)
    return np.asarray(wanted & (place < count))


def _bars(panel: Panel) -> Bars:
    assert panel.bars is not None  # noqa: S101  # `members` has refused a panel without
    return panel.bars


def counts(reason: npt.NDArray[np.int8]) -> dict[str, int]:
    """How many entries there are of each reason, most frequent first."""
    found = Counter(reason.ravel().tolist())
    return {REASONS[code]: n for code, n in found.most_common()}


def empty_spans(dates: npt.NDArray[np.datetime64], found: Members) -> list[tuple[str, str]]:
    """First and last date of every run of dates without a single member."""
    empty = np.concatenate([[False], ~found.is_member.any(axis=1), [False]])
    edges = np.flatnonzero(empty[1:] != empty[:-1])
    return [(str(dates[a]), str(dates[b - 1])) for a, b in edges.reshape(-1, 2).tolist()]


def check_anyone(resolved: Resolved, panel: Panel, found: Members) -> None:
    """Raise FactorLabError where nobody is a member on any date."""
    if found.is_member.any():
        return
    filters = ", ".join(f"{k}: {v:g}" for k, v in resolved.strategy.universe.filters.items())
    reasons = (f"{n} × {reason}" for reason, n in counts(found.reason).items())
    raise FactorLabError(
        "the universe is empty at every month-end",
        where=f"strategy {resolved.name}: universe, {panel.dates[0]} to {panel.dates[-1]}",
        got=f"{len(panel.tickers)} tickers on {len(panel.dates)} dates: {', '.join(reasons)}",
        expected=f"a ticker that passes {filters}" if filters else "a ticker with prices",
        do="loosen the filter that keeps most of them out, or name other tickers"
        if filters
        else "ingest these tickers, or name others",
    )
