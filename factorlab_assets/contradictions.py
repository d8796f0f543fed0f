"""What a portfolio's limits ask of its universe: a book that its tickers can never make.

Belongs here: what shows only once the tickers and their groups are known. Does not: what a
portfolio says against itself (`strategy_book`), or dates that have fewer names (`core`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy_book import Portfolio


def check_universe(
    portfolio: Portfolio,
    tickers: Sequence[str],
    groups: Mapping[str, str],
    where: str,
    *,
    largest: int | None = None,
) -> None:
    """Raise FactorLabError where a fixed universe cannot be what the portfolio declares.

    Parameters
    ----------
    groups : ticker -> group of `portfolio.group_by`. largest : names that its filters let through
        at most. On single dates there may be fewer names: what has no room then stays cash.
    """
    ranked = [ticker for ticker in tickers if ticker != portfolio.select.safe]
    count = len(ranked) if largest is None else min(len(ranked), largest)
    if portfolio.weighting != "fixed" and portfolio.select.threshold is None:
        _check_names(portfolio, count, where)
    if portfolio.groups and (portfolio.type == "long_only" or portfolio.has_two_legs):
        _check_groups(portfolio, tickers, groups, where)


def _check_names(portfolio: Portfolio, count: int, where: str) -> None:
    fraction, legs = portfolio.select.fraction, len(portfolio.leg_totals)
    names = count if fraction is None else max(math.floor(fraction * count + 1e-9), 1)
    names = min(names, portfolio.select.top_k or names, count // legs)
    names = min(names, (portfolio.max_names or names * legs) // legs)
    try:
        portfolio.check_room(names, f"a universe of {count} names to rank")
    except ValueError as error:
        raise FactorLabError(
            "the portfolio's limits contradict its universe",
            where=f"{where}: portfolio.max_weight",
            got=error,
            do="raise max_weight, widen the universe or lower portfolio.gross",
        ) from None
    leg, least = min(filter(None, portfolio.leg_totals)), portfolio.min_weight or 0.0
    if portfolio.weighting == "equal" and names * least > leg + 1e-9:
        raise FactorLabError(
            "the portfolio's limits contradict its universe",
            where=f"{where}: portfolio.min_weight",
            got=f"{names} equal names of at least {least:g}",
            expected=f"together at most {leg:g}",
            do="lower min_weight, or hold fewer names by top_k or max_names",
        )


def _check_groups(
    portfolio: Portfolio, tickers: Sequence[str], groups: Mapping[str, str], where: str
) -> None:
    bounds, net = portfolio.groups, portfolio.target_net
    most = math.fsum(bound.max for bound in bounds.values())
    least = math.fsum(bound.min for bound in bounds.values())
    is_covered = all(groups.get(ticker) in bounds for ticker in tickers)
    if is_covered and not least - 1e-9 <= net <= most + 1e-9:
        raise FactorLabError(
            "the bounds of the groups contradict the book's net weight",
            where=f"{where}: portfolio.groups",
            got=f"min sum to {least:g}, max to {most:g}, and every ticker is in one of them",
            expected=f"net {net:g} between the two",
            do="widen the bounds, or change portfolio.net or gross",
        )
    for name, bound in bounds.items():
        count = sum(groups.get(ticker) == name for ticker in tickers)
        if bound.min > count * portfolio.max_weight + 1e-9:
            raise FactorLabError(
                "a group cannot reach its least weight",
                where=f"{where}: portfolio.groups.{name}.min",
                got=f"{bound.min:g}",
                expected=f"at most {count} tickers times max_weight {portfolio.max_weight:g}",
                do="lower it, or raise max_weight",
            )
