"""From a panel to the signals of a strategy's factors, as they were known at each date.

Belongs here: what each factor is given to look at, and from raw values to signals. Does not: the
factors' mathematics (`factors`), transforms (`transforms`), or the score (`combine`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import factors, transforms
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.memo import Memo, digest
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_signals import Factor

_NEWEST: Memo[tuple[factors.FactorSpec, Floats]] = Memo(most_bytes=8 * 2**20)


@dataclass(frozen=True)
class Signals:
    """A strategy's factors: labels (F,), and values (F, T, N) raw and after transforms."""

    keys: tuple[str, ...]
    raw: Floats
    signal: Floats


def universe(resolved: Resolved, market: Panel) -> Panel:
    """The part of the market that the strategy may hold."""
    if resolved.tickers is None or list(resolved.tickers) == market.tickers.tolist():
        return market
    return market.select(resolved.tickers)


def compute_signals(resolved: Resolved, market: Panel, members: Bools | None = None) -> Signals:
    """Each factor of the strategy over its universe: raw, and after its transforms.

    Raw values are of everyone, and all of them are there before the transforms, which may look at
    those of other factors. A signal, and the cross-section that it is made in, is only of
    `members`, (T, N); None is whoever has a value (see `transforms.apply`).
    """
    panel = universe(resolved, market)
    by_label = {factor.key: factor for factor in resolved.strategy.factors}
    if not by_label:
        return Signals((), *np.empty((2, 0, *panel.price.shape)))
    raws = {label: _raw(panel, market, factor) for label, factor in by_label.items()}
    context = transforms.Context(panel.tickers, resolved.groups, resolved.merge, raws, members)
    signal = [_signal(panel, factor, by_label, context) for factor in by_label.values()]
    return Signals(tuple(by_label), _stacked(list(raws.values())), _stacked(signal))


def _stacked(values: list[Floats]) -> Floats:
    return values[0][np.newaxis] if len(values) == 1 else np.stack(values)


def _raw(panel: Panel, market: Panel, factor: Factor) -> Floats:
    return panel.once(_key_of_raw(factor), lambda: raw_values(panel, market, factor))


def _signal(
    panel: Panel, factor: Factor, by_label: dict[str, Factor], context: transforms.Context
) -> Floats:
    """A factor after its transforms, (T, N); remembered by all that it depends on."""
    key = (
        "signal",
        _key_of_raw(factor),
        factor.transforms,
        tuple(_key_of_raw(by_label[label]) for label in factor.others),
        tuple((name, *sorted(context.groups[name].items())) for name in sorted(factor.groupings)),
        tuple(sorted(context.merge.items())) if factor.groupings else (),
        None if context.members is None else sha256(context.members.tobytes()).digest(),
    )
    raw = context.raws[factor.key]
    return panel.once(key, lambda: transforms.apply(factor.transforms, raw, context))


def _key_of_raw(factor: Factor) -> Hashable:
    return ("raw", factor.name, tuple(sorted(factor.params.items())), factor.lag)


def raw_values(panel: Panel, market: Panel, factor: Factor) -> Floats:
    """The factor's values (T, N) of a panel, each as it was known at its own date.

    Parameters
    ----------
    market : the panel that the factor's `market` ticker is looked up in.
    """
    raw = factors.compute(factor.name, _data(panel, market, factor), factor.params, factor.lag)
    _put_as_seen(raw, factor, panel, market)
    return raw


def _data(panel: Panel, market: Panel, factor: Factor) -> factors.Data:
    """What the factor looks at, everything as it is known in the end."""
    spec = factors.REGISTRY[factor.name]
    needed = factors.check(factor.name, factor.params)
    bars = panel.bars if spec.reads == "bars" else None
    outside = panel.outside.get(needed["panel"]) if spec.reads == "outside" else None
    if "market" not in needed:
        return factors.Data(panel.price, bars=bars, outside=outside)
    own = market.select([needed["market"]])
    closes = own.bars.close if bars is not None and own.bars is not None else None
    return factors.Data(panel.price, own.price, bars, closes, outside)


def _put_as_seen(raw: Floats, factor: Factor, panel: Panel, market: Panel) -> None:
    """Replace each date's values by those from its prices as they were known then.

    Only dates with a price that was repaired later differ. A signal with a delay knows every repair
    of the month-end prices it uses: none is made that was known more than a month late. A daily bar
    may wait for the next one for longer than that, so it is asked when its repair was known.
    """
    spec, lag = factors.REGISTRY[factor.name], factor.lag
    params = factors.check(factor.name, factor.params)
    if spec.reads == "outside" or (spec.reads == "prices" and lag > 0):
        return
    own = market.select([params["market"]] if "market" in params else [])
    read = [panel, own]
    if spec.reads == "prices":
        read = [each if each.bars is None else replace(each, bars=None) for each in read]
    for t in np.unique(np.concatenate([repaired_later(each, lag) for each in read])):
        last = t - lag
        first = max(last - spec.first(params), 0)
        then, beside = (_as_known(each, first, last, t) for each in read)
        raw[t] = _newest(factor, _data(then, beside, factor), params)


def _newest(factor: Factor, data: factors.Data, params: factors.Params) -> Floats:
    """The factor's values at the data's last date, (N,); those of daily bars are remembered."""
    spec, bars = factors.REGISTRY[factor.name], data.bars

    def make() -> tuple[factors.FactorSpec, Floats]:
        return spec, factors.compute(factor.name, data, params, 0)[-1]

    if bars is None:
        return make()[1]
    read = (data.price, data.market, data.market_bars, bars.close, bars.dollar_volume, bars.month)
    key = digest(id(spec), sorted(params.items()), *read)  # spec is kept, so its id stays its own
    return _NEWEST.get(key, make, 8 * data.price.shape[-1] + 200)[1]


def _as_known(panel: Panel, first: int, last: int, t: int) -> Panel:
    """The prices and bars of dates `first` … `last`, as they were known at date t."""
    price = panel.price[first : last + 1].copy()
    if last == t:
        price[-1] = panel.seen[t]
    values = (price, price, price, price, price)
    bars = None
    if panel.bars is not None:
        bars = panel.bars.as_known(panel.dates[t], first, last)
    return Panel(panel.dates[first : last + 1], panel.tickers, *values, bars=bars)


def repaired_later(panel: Panel, lag: int = 0) -> npt.NDArray[np.intp]:
    """The rows t at which a price or bar of row t − lag or before was known otherwise than it is
    now."""
    return panel.once(("repaired later", lag), lambda: _repaired_later(panel, lag))


def _repaired_later(panel: Panel, lag: int) -> npt.NDArray[np.intp]:
    same = (panel.seen == panel.price) | (np.isnan(panel.seen) & np.isnan(panel.price))
    rows = [np.flatnonzero(~same.all(axis=1))] if lag == 0 else []
    if panel.bars is not None:
        # A bar repaired at `known_at` was known otherwise on every date from its own month-end on.
        late = panel.bars.late
        first = panel.bars.month[late.row] + lag
        stop = np.searchsorted(panel.dates, late.known_at)
        rows += [np.arange(low, high) for low, high in zip(first, stop, strict=True)]
    return np.unique(np.concatenate([np.empty(0, dtype=np.intp), *rows]))
