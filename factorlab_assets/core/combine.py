"""From the signals of several factors to one score.

Belongs here: every rule of combination, and of signals that are missing. Does not: the signals.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import Signals, universe
from factorlab_assets.core.transforms import NO_SPREAD, demean, rank
from factorlab_assets.strategy import Resolved

LEAST_MONTHS = 6
"""A volatility of fewer months is not known."""


def combine(
    resolved: Resolved, market: Panel, signals: Signals, members: Bools | None = None
) -> Floats:
    """The score of each name at each date, in the unit of the signals.

    Over the factors whose weight is not 0, by `combine.how`:

    - mean: Σ weight·signal / Σ|weight|.
    - rank_mean: the same of each signal's rank in its cross-section, 0 lowest … 1 highest.
    - inverse_volatility: the same with weight / `factor_volatility` of the factor. At a date where
      that of one of the factors is not known, the weights are as given.
    - conditional: the mean of the factors other than `condition`, for whoever has one of the
      `keep`·n (rounded down, at least one) highest signals of the n that `condition` has, ties by
      ticker. Its own weight plays no part, and without its signal there is no score.

    By `combine.missing`, where a name lacks a factor's signal:

    - require: it has no score.
    - known: the mean is over the factors that it has, Σ|weight| too.
    - neutral: the cross-section's mean signal (or rank) stands in. No name has a score at a date
      where nobody has the signal, nor a name that has none of the signals.

    Without any factor of weight, 0 where the month-end price is known.

    Parameters
    ----------
    signals : raw and signal (F, T, N) of the strategy's universe. members : (T, N), who may be held
        at each date; None is everyone. Only members have a score, and cross-sections are of them.

    Returns
    -------
    (T, N), NaN = no score. Row t rests on signals up to t and prices known at t.
    """
    factors, rule = resolved.strategy.factors, resolved.strategy.combine
    panel = universe(resolved, market)
    used = [i for i, f in enumerate(factors) if f.weight != 0.0 and f.key != rule.condition]
    if not used:
        known = np.isfinite(panel.seen)
        return np.where(known if members is None else known & members, 0.0, np.nan)
    signal = signals.signal
    if members is not None:
        signal = np.where(members, signal, np.nan)
    of_used = signal if used == list(range(len(signal))) else signal[used]
    weights = np.array([factors[i].weight for i in used])[:, np.newaxis, np.newaxis]
    if rule.how == "rank_mean":
        of_used = rank(of_used)
    elif rule.how == "inverse_volatility":
        weights = weights * _calmness(of_used, panel, rule.window)
    score = _mean(of_used, weights, rule.missing)
    if rule.condition is not None:
        condition = signal[signals.keys.index(rule.condition)]
        score = np.where(_highest(condition, rule.keep), score, np.nan)
    return score


def factor_volatility(signal: Floats, panel: Panel, window: int) -> Floats:
    """The standard deviation of a factor's own monthly returns, decimal per month, as known then.

    The factor's return of month t is Σ h_{t−1}·r_t, dollar-neutral and of gross 1: at t−1 every
    name with a signal and a month-end price is held by h = (signal − mean) / Σ|signal − mean|, and
    r_t = P_t / P_{t−1} − 1, 0 for a name without one of the prices. There is no return where nobody
    was held or the signals were all alike.

    Parameters
    ----------
    signal : (T, N), NaN = not known. window : months.

    Returns
    -------
    (T,): of the known returns among the last `window` months, ddof 1. NaN with fewer than six of
    them, or where they do not differ. Row t knows prices as they were seen at t, and repairs of
    earlier ones.
    """
    known = ~np.isnan(signal) & np.isfinite(panel.seen)
    centred = np.where(known, demean(np.where(known, signal, np.nan)), 0.0)
    gross = np.sum(np.abs(centred), axis=1, keepdims=True)
    held = centred / np.where(gross > 0.0, gross, 1.0)

    def earned(price: Floats) -> Floats:
        """Of each month, (T,), at the prices of its end."""
        moved = price[1:] / panel.price[:-1] - 1.0
        total = np.sum(held[:-1] * np.where(np.isfinite(moved), moved, 0.0), axis=1)
        first = np.full(min(len(price), 1), np.nan)
        return np.concatenate([first, np.where(gross[:-1, 0] > 0.0, total, np.nan)])

    before = np.concatenate([np.full(window - 1, np.nan), earned(panel.price)])
    returns = np.lib.stride_tricks.sliding_window_view(before, window)[: len(signal)].copy()
    returns[:, -1] = earned(panel.seen)
    return _deviation(returns)


def _deviation(returns: Floats) -> Floats:
    """The standard deviation, ddof 1, of each row; NaN of few or where it is rounding error."""
    known = ~np.isnan(returns)
    count = known.sum(axis=1)
    centre = np.sum(np.where(known, returns, 0.0), axis=1) / np.maximum(count, 1)
    squares = np.where(known, (returns - centre[:, np.newaxis]) ** 2, 0.0)
    deviation = np.sqrt(np.sum(squares, axis=1) / np.maximum(count - 1, 1))
    differs = deviation > NO_SPREAD * (1.0 + np.abs(centre))
    return np.where((count >= LEAST_MONTHS) & differs, deviation, np.nan)


def _calmness(signal: Floats, panel: Panel, window: int) -> Floats:
    """1 / volatility of each factor, (F, T, 1); 1 at a date where one of them is not known."""
    volatility = np.stack([factor_volatility(each, panel, window) for each in signal])
    known = ~np.isnan(volatility).any(axis=0)
    return np.asarray(1.0 / np.where(known, volatility, 1.0))[:, :, np.newaxis]


def _mean(signal: Floats, weights: Floats, missing: str) -> Floats:
    """Σ weight·signal / Σ|weight| over the factors, (F, T, N) → (T, N)."""
    score = np.zeros(signal.shape[1:])
    if missing == "require":  # not known spreads by itself
        gross = sum(np.abs(weight) for weight in weights)
        for each, weight in zip(signal, weights, strict=True):
            score += each * (weight / gross)
        return score
    known = ~np.isnan(signal)
    counts = known if missing == "known" else np.ones(known.shape, dtype=np.bool_)
    if missing == "neutral":
        count = np.sum(known, axis=-1, keepdims=True)
        total = np.sum(np.where(known, signal, 0.0), axis=-1, keepdims=True)
        middle = np.where(count > 0, total, np.nan) / np.maximum(count, 1)
        signal = np.where(known, signal, middle)
    gross = sum(np.abs(each) * own for each, own in zip(weights, counts, strict=True))
    for each, own, weight in zip(signal, counts, weights, strict=True):
        score += np.where(own, each, 0.0) * (weight / np.where(gross > 0.0, gross, 1.0))
    return np.where(known.any(axis=0), score, np.nan)


def _highest(values: Floats, share: float) -> Bools:
    """The share of each row's known values that are highest, ties by column."""
    known = ~np.isnan(values)
    count = known.sum(axis=1, keepdims=True)
    kept = np.maximum(np.floor(share * count + 1e-9), 1.0)  # as select.fraction counts
    place = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1)  # NaN last
    return np.asarray(known & (place < kept))
