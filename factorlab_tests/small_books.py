"""Books of a few names, and price histories whose sample covariance is known in the head.

Belongs here: what several tests of books share. Does not: panels and markets (`small_panels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from factorlab_assets.core.book import REASONS, Book
from factorlab_assets.core.identities import constraint_violations
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.core.risk import betas
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.small_panels import panel_of, ranked, strategy_of

PATTERNS = np.array(
    [
        [1, -1, 1, -1, 1, -1, 1, -1],
        [1, 1, -1, -1, 1, 1, -1, -1],
        [1, -1, -1, 1, 1, -1, -1, 1],
        [1, 1, 1, 1, -1, -1, -1, -1],
    ]
)
"""Eight months each, sum 0, and uncorrelated with each other."""
RISK = {"model": "sample", "window": 8}
"""Sees exactly one round of the patterns: variances are 8/7 · size², covariances 0."""


def calm_panel(sizes: Mapping[str, float], rounds: int = 1, **said: Any) -> Panel:
    """Up to four uncorrelated tickers that move by `sizes` each month: 1 + 8 · rounds months."""
    prices: dict[str, Sequence[float]] = {}
    for (ticker, size), pattern in zip(sizes.items(), PATTERNS, strict=False):
        moves = 1.0 + size * np.tile(pattern, rounds)
        prices[ticker] = 100.0 * np.concatenate([[1.0], np.cumprod(moves)])
    return panel_of(prices, **said)


def weighed(weighting: str, factors: bool = False, **portfolio: Any) -> Strategy:
    """A strategy on `RISK`; with `factors`, one that ranks."""
    schedule = {"schedule": portfolio.pop("schedule")} if "schedule" in portfolio else {}
    said = {"weighting": weighting, "risk": RISK, "min_names": 1} | portfolio
    return ranked(said, **schedule) if factors else strategy_of(portfolio=said, **schedule)


def one_date(
    strategy: Strategy, scores: list[float], raw: list[float] | None = None, **said: Any
) -> Book:
    """The book of a single date in which every ticker A, B, C … has a price."""
    panel = panel_of({chr(65 + i): [100.0] for i in range(len(scores))})
    said.setdefault("universe_size", len(scores))
    if raw is not None:
        said["raw_filter"] = np.array([raw])
    return build(strategy, np.array([scores]), panel, **said)


def book_of(
    strategy: Strategy,
    panel: Panel,
    score: Any = 0.0,
    groups: Mapping[str, str] | None = None,
    **known: Any,
) -> Book:
    """The book, found to keep or confess every limit; one row of scores stands for all dates."""
    score = np.broadcast_to(np.asarray(score, dtype=np.float64), panel.price.shape).copy()
    score[np.isnan(panel.seen)] = np.nan
    portfolio, of = strategy.portfolio, dict(groups or {})
    known.setdefault("universe_size", len(panel.tickers))
    if portfolio.needs_beta:
        known["betas"] = betas(portfolio.beta, panel, panel)
    book = build(strategy, score, panel, groups=of, **known)
    cell = Resolved(
        strategy=strategy,
        tickers=tuple(panel.tickers.tolist()),
        asset_classes={},
        groups={portfolio.group_by: of},
    )
    assert constraint_violations(cell, panel, book) == []
    return book


def last(*arguments: Any, **known: Any) -> list[float]:
    """The weights of the last date."""
    return list(book_of(*arguments, **known).weights[-1].tolist())


def reasons(book: Book, row: int = 0) -> list[str]:
    """Why each ticker weighs what it does."""
    return [REASONS[code] for code in book.reason[row]]
