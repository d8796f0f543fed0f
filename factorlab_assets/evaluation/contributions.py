"""Where a backtest's growth came from: each ticker, cash and costs, and its best and worst months.

Belongs here: taking returns apart so that the parts add up again. Does not: making the returns
(`core.backtest`), or statistics of them (`performance_tables`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from factorlab_assets.core.backtest import Backtest, at_close
from factorlab_assets.core.book import Book
from factorlab_assets.core.costs import NOT_TRADED
from factorlab_assets.core.holding import Carry, earned, legs, rebalances
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Resolved

Row = dict[str, object]
CASH = "cash"
OTHERS = (CASH, "costs", "financing", "borrow")
"""What is no ticker, and is named in lower case, as no ticker is."""


@dataclass(frozen=True)
class _Parts:
    """The net return of each of the backtest's months, item by item, parts of its starting NAV.

    tickers, weights, returns : (T, N) what each name added, its weight at the month-end before and
    its return from there on. others : name -> (T,) in the order of `OTHERS`. All parts of a month
    add up to its net return.
    """

    tickers: Floats
    weights: Floats
    returns: Floats
    others: dict[str, Floats]


def contributions(resolved: Resolved, panel: Panel, book: Book, backtest: Backtest) -> list[Row]:
    """Rows of `contributions` less month and strategy: Σ_t NAV_{t−1}·part_{t,i} of each item i.

    The part of a ticker is w·r, that of cash (1 − Σw)·rf, the other items' what was paid, below 0.
    Where the trade is at `next_close` or `next_open`, with the old book's return R_b up to it,
    gross = R_b + (1 + R_b)·R_a: a ticker's part is w_old·r_b + (1 + R_b)·w·r_a, and what cash
    earned and loans cost counts (1 + R_b) times, as `backtest.simulate` has it.

    Parameters
    ----------
    panel : the strategy's universe. book, backtest : the strategy's, on that panel.

    Returns
    -------
    Tickers that were held, ascending, then `OTHERS`; none of a backtest without months. They sum to
    NAV_T − 1, rounding apart. mean_weight is the mean over all months, of cash of 1 − Σw, of what
    was paid 0: they sum to 1. n_months counts months with a weight, or with something paid.
    """
    if len(backtest.dates) == 0:
        return []
    parts = _parts(resolved, panel, book, backtest)
    before = np.concatenate([[1.0], backtest.nav[:-1]])
    sums = before @ parts.tickers
    is_held = (parts.weights != 0.0) | (parts.tickers != 0.0)
    rows: list[Row] = []
    for n in np.flatnonzero(is_held.any(axis=0)):
        ticker = str(panel.tickers[n])
        own = parts.weights[:, n]
        asset_class = resolved.asset_classes.get(ticker, "")
        rows.append(_row(ticker, "ticker", asset_class, sums[n], own.mean(), own))
    cash = _uninvested(parts.weights)
    for name, part in parts.others.items():
        of = cash if name == CASH else part
        mean = cash.mean() if name == CASH else 0.0
        rows.append(_row(name, "other", "", float(before @ part), mean, of))
    return rows


def notable_months(
    resolved: Resolved, panel: Panel, book: Book, backtest: Backtest, most: int = 5
) -> list[Row]:
    """Rows of `notable_months` less month and strategy: the best and the worst months, item by
    item, the largest contribution in size first.

    A month's items are the tickers that were held at the month-end before or up to the trade, cash
    where there is any, and whatever was paid; their contributions, parts of the NAV before, sum to
    the month's net return. `ret` is the ticker's return of the month, of cash the cash rate, of
    what was paid 0.

    Parameters
    ----------
    most : so many best months and so many worst at most; no month is both, and of an odd number of
        months too few for that the middle one is among the best. Of equal months the earlier first.
    """
    count = len(backtest.dates)
    if count == 0:
        return []
    parts = _parts(resolved, panel, book, backtest)
    upwards = np.argsort(backtest.net_return, kind="stable")
    downwards = np.argsort(-backtest.net_return, kind="stable")
    n_best = min(most, (count + 1) // 2)
    best = downwards[:n_best]
    worst = upwards[~np.isin(upwards, best)][: min(most, count - n_best)]
    rows: list[Row] = []
    for side, months in (("best", best), ("worst", worst)):
        for rank, t in enumerate(months.tolist(), 1):
            about = {"date": backtest.dates[t].item(), "rank": rank, "side": side}
            about["net_return"] = float(backtest.net_return[t])
            items = sorted(_items(panel, backtest, parts, t), key=_by_size)
            rows += [{**about, **item} for item in items]
    return rows


def _row(name: str, kind: str, asset_class: str, sum_: float, mean: float, of: Floats) -> Row:
    said: Row = {"item": name, "kind": kind, "asset_class": asset_class}
    months = int(np.count_nonzero(of))
    return said | {"contribution": float(sum_), "mean_weight": float(mean), "n_months": months}


def _items(panel: Panel, backtest: Backtest, parts: _Parts, t: int) -> Iterator[dict[str, object]]:
    """What made up the net return of month t."""
    weights = parts.weights[t]
    for n in np.flatnonzero((weights != 0.0) | (parts.tickers[t] != 0.0)):
        figures = weights[n], parts.returns[t, n], parts.tickers[t, n]
        yield _item(str(panel.tickers[n]), *map(float, figures))
    for name, part in parts.others.items():
        cash = float(_uninvested(weights)) if name == CASH else 0.0
        if cash or (name != CASH and part[t] != 0.0):
            ret = float(backtest.rf[t]) if name == CASH else 0.0
            yield _item(name, cash, ret, float(part[t]))


def _uninvested(weights: Floats) -> Floats:
    """1 − Σw of (..., N) weights, 0 where that is only rounding."""
    cash = 1.0 - weights.sum(axis=-1)
    return np.where(np.abs(cash) > NOT_TRADED, cash, 0.0)


def _item(name: str, weight: float, ret: float, contribution: float) -> dict[str, object]:
    return {"item": name, "weight": weight, "ret": ret, "contribution": contribution}


def _by_size(item: dict[str, object]) -> tuple[float, str]:
    return -abs(float(str(item["contribution"]))), str(item["item"])


def _parts(resolved: Resolved, panel: Panel, book: Book, backtest: Backtest) -> _Parts:
    """The backtest's net returns taken apart; the arithmetic is that of `backtest.simulate`."""
    strategy, rows = resolved.strategy, slice(book.start, book.start + len(backtest.dates))
    rebalanced = rebalances(panel.dates, book.start, strategy.schedule)
    period = legs(panel, rebalanced, strategy.execution.trade_at)
    # The universe need not hold the cash ticker; before and after these rows rf does not matter.
    rf = np.zeros(len(panel.dates) - 1)
    rf[rows] = backtest.rf
    carry = Carry.of(strategy, panel)._replace(rf=rf)
    old = at_close(book, period, earned(book.weights[:-1], period.after, carry))[rows]

    weights, after = book.weights[:-1][rows], period.after[rows]
    tickers, returns, start = weights * after, after, np.ones(len(weights))
    if period.before is not None:
        before = period.before[rows]
        start = 1.0 + (old * before).sum(axis=1)
        tickers = old * before + start[:, np.newaxis] * tickers
        returns = (1.0 + before) * (1.0 + after) - 1.0
    cash, financing, borrow = (start * of for of in carry.during(rows).interest(weights))
    # 0 − 0 leaves no −0 behind
    paid = (0.0 - of for of in (backtest.cost, financing, borrow))
    return _Parts(tickers, weights, returns, dict(zip(OTHERS, (cash, *paid), strict=True)))
