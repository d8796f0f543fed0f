"""What was earned in which months: every month's label was known at the month-end before it.

Belongs here: the rules that label month-ends, and metrics by label. Does not: what a regime may say
(`evaluation_settings`), or statistics of an unbroken run of months (`core.performance`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import MONTHS, NOISE, metrics
from factorlab_assets.core.signals import repaired_later, universe
from factorlab_assets.evaluation_settings import UNKNOWN, Regime
from factorlab_assets.strategy import Resolved

Codes = npt.NDArray[np.intp]

LEAST_MONTHS = 12
"""Of fewer months with a label nothing is told: their mean and volatility are mostly chance."""
LEAST_HISTORY = 36
"""Trailing volatilities, the newest included, that its thirds are taken of at least."""
INDICES = ("60/40", "equal_weight")
"""Benchmarks that are no ticker; `strategy:NAME` is the other kind."""


class Followed(NamedTuple):
    """The prices that labels are made of, (T,): as they are known in the end, and `seen` as each
    was known on its own date. NaN = not known."""

    name: str
    price: Floats
    seen: Floats


def followed(regime: Regime, resolved: Resolved, market: Panel) -> Followed:
    """What the regime looks at: a ticker's month-end prices, or its strategy's benchmark.

    60/40, equal_weight and strategy:NAME are an index, 1 at the month-end before the first return
    that is known, of equal_weight at the first with prices of half its tickers. It ends where a
    return is not known: what is beyond a gap has no link to before.
    """
    name = regime.ticker or resolved.strategy.benchmark
    if regime.ticker is None and (resolved.benchmark is not None or name in INDICES):
        return Followed(name, *_index(resolved, market))
    own = market.select([name])
    return Followed(name, own.price[:, 0], own.seen[:, 0])


def labels(regime: Regime, price: Floats, seen: Floats) -> Codes:
    """Which label each month-end has, by what was known at its close: its place in `labels`.

    With P the prices as known at t, and m = `months`: average — P_t over the mean of P_{t−m+1} …
    P_t (Faber's rule); trend — P_t over P_{t−m}; drawdown — P_t / max(P_0 … P_t) − 1 against the
    edges, a label reaching from its edge, included, down to the next; volatility — the sample
    standard deviation of the last m returns against the thirds of all such volatilities up to t
    (linear interpolation), of which there are at least `LEAST_HISTORY`.

    Parameters
    ----------
    price, seen : (T,), see `Followed`: at t, `seen` of t and `price` of earlier dates are known.

    Returns
    -------
    (T,) codes, −1 where a price that the rule needs is not known.

    References
    ----------
    Faber (2007), "A Quantitative Approach to Tactical Asset Allocation", Journal of Wealth
    Management 9(4), doi:10.3905/jwm.2007.674809, for the ten-month average.

    >>> rises = np.array([1.0, 2.0, 3.0, 1.0])
    >>> labels(Regime(rule="average", months=3), rises, rises).tolist()
    [-1, -1, 1, 0]
    """
    return _RULES[regime.rule](regime, price, seen)


def of_rows(codes: Codes, dates: Dates, rows: Dates) -> Codes:
    """The label of each return: that of the month-end before the one at which it is complete.

    Parameters
    ----------
    codes : of the month-ends `dates`, (T,). rows : dates of the returns, all of them in `dates`.
    """
    before = np.searchsorted(dates, rows) - 1
    return np.where(before >= 0, codes[before], -1)


def regime_metrics(
    resolved: Resolved,
    market: Panel,
    backtest: Backtest,
    regimes: Mapping[str, Regime],
    *,
    price_basis: str,
    prices: Panel | None = None,
) -> list[dict[str, object]]:
    """Rows of `regime_metrics`, less month and strategy: one per regime and label.

    return_ann = mean·12 · volatility_ann = sd·√12 · sharpe, hit_rate, excess_ann as
    `performance.metrics` says · benchmark_return_ann = mean·12 of the months in which it is known.
    A label's months are scattered: they have no growth rate and no drawdown.

    Parameters
    ----------
    market : that the strategy ran on. price_basis : what a price of it is, in a word.
    prices : where the tickers of regimes are looked up, on the same dates and basis; None is
        `market`, which holds them unless it was cut down to what the strategy reads.

    Returns
    -------
    Every label, also of no month, and after them `unknown` where there are such months: n_months
    add up to all of the backtest's. Figures are NaN, and `note` says why, below `LEAST_MONTHS`.
    """
    found: list[dict[str, object]] = []
    for name, regime in regimes.items():
        looked_at = market if regime.ticker is None or prices is None else prices
        of = followed(regime, resolved, looked_at)
        codes = of_rows(labels(regime, of.price, of.seen), market.dates, backtest.dates)
        for i, label in enumerate(regime.labels):
            definition = define(regime, i, of.name, price_basis)
            row = {"regime": name, "label": label, "definition": definition}
            found.append(row | _figures(backtest, codes == i))
        if (codes < 0).any():
            row = {"regime": name, "label": UNKNOWN, "definition": "none of the labels was known"}
            found.append(row | _without_figures(int((codes < 0).sum()), _why_unknown(regime, of)))
    return found


def define(regime: Regime, i: int, name: str, price_basis: str) -> str:
    """When a month has label i, complete enough to be recomputed.

    >>> print(define(Regime(rule="trend", months=12), 1, "IEF", "close"))
    IEF at month-end t is above its own 12 month-ends before; known at the close of t, for the
    return from t to t+1; month-end prices as known at t, price basis: close
    """
    m = regime.months
    above = "above" if i else "at or below"
    if regime.rule == "average":
        said = f"is {above} the mean of its last {m} month-ends, t included"
    elif regime.rule == "trend":
        said = f"is {above} its own {m} month-ends before"
    elif regime.rule == "drawdown":
        said = f"is {_between(regime, i)} its highest month-end since its first, t included"
    else:
        which = ("lowest", "middle", "highest")[i]
        said = (
            f"has a volatility (standard deviation of its last {m} monthly returns) in the {which} "
            f"third of all its volatilities up to t, at least {LEAST_HISTORY} of them"
        )
    index = "index of its returns" if name in INDICES or ":" in name else "month-end prices"
    if name == "equal_weight":
        index += " since half of its tickers have prices"
    return (
        f"{name} at month-end t {said}; known at the close of t, for the return from t to t+1; "
        f"{index} as known at t, price basis: {price_basis}"
    )


FIGURES = (
    "return_ann",
    "volatility_ann",
    "sharpe",
    "hit_rate",
    "benchmark_return_ann",
    "excess_ann",
)


def _figures(backtest: Backtest, months: npt.NDArray[np.bool_]) -> dict[str, object]:
    """The figures of these months and how many there are; NaN and a note of too few."""
    count = int(months.sum())
    if count < LEAST_MONTHS:
        note = f"{count} months; figures take at least {LEAST_MONTHS}"
        return _without_figures(count, note)
    net, rf = backtest.net_return[months], backtest.rf[months]
    benchmark = backtest.benchmark_return[months]
    known = np.isfinite(benchmark)
    n_known, note = int(known.sum()), ""
    if n_known < count:
        note = f"the benchmark is known in {n_known} of {count} months"
    if n_known < LEAST_MONTHS:
        benchmark, known = np.full(count, np.nan), np.zeros(count, dtype=np.bool_)
        note += f"; its figures take at least {LEAST_MONTHS}"
    nothing = np.zeros(count)
    said = metrics(net, rf, benchmark, nothing, nothing)
    of_benchmark = float(benchmark[known].mean()) * MONTHS if known.any() else np.nan
    own = {"return_ann": float(net.mean()) * MONTHS, "benchmark_return_ann": of_benchmark}
    values = {name: own[name] if name in own else said[name] for name in FIGURES}
    return {"n_months": count, **values, "note": note}


def _without_figures(count: int, note: str) -> dict[str, object]:
    return {"n_months": count, **dict.fromkeys(FIGURES, np.nan), "note": note}


def _why_unknown(regime: Regime, of: Followed) -> str:
    if np.isnan(of.price).all():
        return f"{of.name} has no price in the data"
    m = regime.months
    needed = {
        "average": f"{m} month-end prices in a row",
        "trend": f"the prices at a month-end and {m} before it",
        "drawdown": "the price at a month-end",
        "volatility": f"{LEAST_HISTORY} volatilities of {m} monthly returns each",
    }
    return f"a label takes {needed[regime.rule]}, which {of.name} does not have there"


def _between(regime: Regime, i: int) -> str:
    depth = [f"{-100.0 * edge:.6g} %" for edge in regime.edges]
    if i == 0:
        return f"less than {depth[0]} below"
    reach = f" and less than {depth[i]}" if i < len(depth) else ""
    return f"at least {depth[i - 1]}{reach} below"


def _index(resolved: Resolved, market: Panel) -> tuple[Floats, Floats]:
    """The benchmark as an index: of the returns as they are, and of each as it was seen.

    A return was seen otherwise only at dates with a price that was repaired later.
    """
    returns = research.benchmark_returns(resolved, market)
    if resolved.benchmark is None and resolved.strategy.benchmark == "equal_weight":
        returns = np.where(_is_broad(resolved, market), returns, np.nan)
    price = _linked(returns)
    seen = price.copy()
    read = market.select(research.tickers_read(resolved, market.tickers.tolist()))
    for t in repaired_later(replace(read, bars=None)):
        if t > 0:
            then = research.benchmark_returns(resolved, _as_known(market, int(t)))
            seen[t] = price[t - 1] * (1.0 + then[-1])
    return price, seen


def _is_broad(resolved: Resolved, market: Panel) -> npt.NDArray[np.bool_]:
    """Whether half of the tickers had a price at a month-end before, (T,): the mean of the one or
    two that are listed first is no market. A universe of whoever is in the data has no half that
    could be known at the time."""
    if resolved.tickers is None:
        return np.ones(len(market.dates), dtype=np.bool_)
    names = universe(resolved, market)
    has_half = 2 * np.isfinite(names.seen).sum(axis=1) >= len(names.tickers)
    return np.concatenate([[False], np.logical_or.accumulate(has_half)[:-1]])


def _as_known(market: Panel, t: int) -> Panel:
    """The market up to date t, with that date's prices as they were known then."""
    then = market.until(market.dates[t])
    seen = then.seen[-1]
    is_other = (seen != then.price[-1]) & ~(np.isnan(seen) & np.isnan(then.price[-1]))
    price, mark = then.price.copy(), then.mark.copy()
    price[-1], mark[-1] = seen, np.where(is_other, seen, mark[-1])
    return replace(then, price=price, mark=mark)


def _linked(returns: Floats) -> Floats:
    """(T,) index of returns, 1 before the first known one; NaN from the first gap on."""
    index = np.full(len(returns), np.nan)
    known = np.flatnonzero(np.isfinite(returns))
    if known.size:
        first = max(int(known[0]), 1)
        index[first - 1] = 1.0
        index[first:] = np.cumprod(1.0 + returns[first:])
    return index


def _windows(price: Floats, seen: Floats, n: int) -> Floats:
    """The last n prices up to each date as they were known at it, (T, n), the newest last."""
    padded = np.concatenate([np.full(n - 1, np.nan), price])
    windows = np.lib.stride_tricks.sliding_window_view(padded, n).copy()
    windows[:, -1] = seen
    return windows


def _is_above(values: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """By more than rounding; positive (T,) values."""
    return np.asarray(values > others * (1.0 + NOISE))


def _coded(codes: npt.NDArray[np.integer], known: npt.NDArray[np.bool_]) -> Codes:
    return np.where(known, codes, -1).astype(np.intp)


def _average(regime: Regime, price: Floats, seen: Floats) -> Codes:
    mean: Floats = _windows(price, seen, regime.months).mean(axis=1)
    return _coded(_is_above(seen, mean).astype(np.intp), np.isfinite(mean))


def _trend(regime: Regime, price: Floats, seen: Floats) -> Codes:
    ends = _windows(price, seen, regime.months + 1)[:, [0, -1]]
    rose = _is_above(ends[:, 1], ends[:, 0]).astype(np.intp)
    return _coded(rose, np.isfinite(ends[:, 0]) & np.isfinite(ends[:, 1]))


def _drawdown(regime: Regime, price: Floats, seen: Floats) -> Codes:
    before = np.concatenate([[np.nan], np.fmax.accumulate(price)[:-1]])
    depth = seen / np.fmax(before, seen) - 1.0
    passed = depth[:, np.newaxis] <= np.array(regime.edges) + NOISE
    return _coded(passed.sum(axis=1), np.isfinite(depth))


def _volatility(regime: Regime, price: Floats, seen: Floats) -> Codes:
    newest = _spread(_windows(price, seen, regime.months + 1))
    earlier = _spread(_windows(price, price, regime.months + 1))
    # Row t: every volatility up to t, those of earlier dates by the prices that t knows.
    known = np.where(np.tri(len(price), k=-1, dtype=np.bool_), earlier, np.nan)
    np.fill_diagonal(known, newest)
    n_known = np.isfinite(known).sum(axis=1)
    enough = np.isfinite(newest) & (n_known >= LEAST_HISTORY)
    codes = np.zeros(len(price), dtype=np.intp)
    if enough.any():
        thirds = np.nanquantile(known[enough], [1 / 3, 2 / 3], axis=1)
        codes[enough] = (newest[enough] > thirds + NOISE).sum(axis=0)
    return _coded(codes, enough)


def _spread(windows: Floats) -> Floats:
    """Sample standard deviation of the returns within each window; 0 where it is only rounding."""
    returns = windows[:, 1:] / windows[:, :-1] - 1.0
    spread = returns.std(axis=1, ddof=1)
    return np.asarray(np.where(spread <= NOISE * (1.0 + np.abs(returns).max(axis=1)), 0.0, spread))


_RULES: Mapping[str, Callable[[Regime, Floats, Floats], Codes]] = {
    "average": _average,
    "trend": _trend,
    "drawdown": _drawdown,
    "volatility": _volatility,
}
