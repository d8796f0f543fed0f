"""What a strategy declares that a book keeps to, and which of it one date's weights break.

Belongs here: the declared limits, said once for those who build a book and those who check it.
Does not: moving weights into them (`construct`, `optimise`), or exempting a date (`identities`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.risk import Covariance, covariance
from factorlab_assets.core.selection import column
from factorlab_assets.strategy import Strategy
from factorlab_assets.strategy_book import Portfolio

TOLERANCE = 1e-12
"""Of weights that are no solver's: sums of at most some thousand terms of order 1."""
SOLVED = 1e-8
"""Of weights that a solver found or moved: it keeps to each limit to 1e-9."""
DUST = 1e-10
"""A weight below this is a solver's 0."""
SCALED = 1e-6
"""Of a volatility or beta target, relative."""


@dataclass(frozen=True)
class Group:
    """Bounds on the net weight of the names of a mask (N,)."""

    name: str
    names: Bools
    least: float
    most: float


@dataclass(frozen=True)
class Moment:
    """One date: who cannot be traded and what was held before (N,), drifted; None at the start.

    betas : (N,) where the portfolio needs them. score : (N,), NaN = not known. covariance : of the
    names of a mask, as known then.
    """

    stays: Bools
    before: Floats | None
    betas: Floats | None
    score: Floats
    covariance: Callable[[Bools], Covariance]

    @classmethod
    def at(
        cls,
        portfolio: Portfolio,
        panel: Panel,
        betas: Floats | None,
        score: Floats,
        t: int,
        before: Floats | None,
        stays: Bools,
    ) -> Moment:
        """Row t of a panel; `betas`, `score` (T, N)."""

        def estimate(names: Bools) -> Covariance:
            return covariance(portfolio.risk, panel, t, names)

        return cls(stays, before, None if betas is None else betas[t], score[t], estimate)

    @property
    def frozen(self) -> Floats:
        """What cannot be traded, (N,)."""
        before = np.zeros(len(self.stays)) if self.before is None else self.before
        return np.where(self.stays, before, 0.0)


@dataclass(frozen=True)
class Declared:
    """The limits of a portfolio on a panel of N tickers.

    safe : column of the safe ticker, which stands for cash: no max_weight, min_weight or max_names
    is about it. tolerance : what rounding may add to each limit.
    """

    portfolio: Portfolio
    groups: tuple[Group, ...]
    safe: int | None
    tolerance: float

    @classmethod
    def of(cls, strategy: Strategy, panel: Panel, groups: Mapping[str, str]) -> Declared:
        """`groups` : ticker -> group of `portfolio.group_by`."""
        portfolio = strategy.portfolio
        of = np.array([groups.get(str(ticker), "") for ticker in panel.tickers])
        rows = tuple(
            Group(name, of == name, bounds.min, bounds.max)
            for name, bounds in portfolio.groups.items()
        )
        tolerance = SOLVED if is_stepped(strategy) else TOLERANCE
        return cls(portfolio, rows, column(panel, portfolio.select.safe), tolerance)

    @property
    def gross(self) -> float:
        """The most that Σ|w| may be."""
        return self.portfolio.gross * (
            self.portfolio.max_leverage if self.portfolio.is_scaled else 1.0
        )

    @property
    def legs(self) -> tuple[float, float]:
        """The most that longs and shorts may each sum to."""
        portfolio = self.portfolio
        if portfolio.weighting == "fixed" or not (
            portfolio.has_two_legs or portfolio.type == "long_only"
        ):
            return self.gross, self.gross
        share = portfolio.target_net / portfolio.gross
        return self.gross * (1.0 + share) / 2.0, self.gross * (1.0 - share) / 2.0

    def named(self, weights: Floats) -> Floats:
        """The weights without the safe ticker's."""
        if self.safe is None:
            return weights
        own = weights.copy()
        own[..., self.safe] = 0.0
        return own

    def broken(self, weights: Floats, now: Moment) -> list[str]:
        """Which limits the weights (N,) of a date that trades break, in words.

        Names that cannot be traded are exempt from limits on single names; where there are any,
        exposures are only bounded by Σ|w| ≤ gross, or what they alone amount to.
        """
        portfolio, tolerance = self.portfolio, self.tolerance
        size = np.abs(self.named(weights))
        free = np.where(now.stays, 0.0, size)
        found = []
        if free.max(initial=0.0) > portfolio.max_weight + tolerance:
            found.append("max_weight")
        least = portfolio.min_weight
        if least is not None and ((free > 0.0) & (free < least - tolerance)).any():
            found.append("min_weight")
        if portfolio.max_names is not None and np.count_nonzero(free) > portfolio.max_names:
            found.append("max_names")
        for group in self.groups:
            net = float(weights[group.names].sum())
            if not group.least - tolerance <= net <= group.most + tolerance:
                found.append("groups")
                break
        return found + self._exposures(weights, now) + self._trades(weights, now)

    def _exposures(self, weights: Floats, now: Moment) -> list[str]:
        tolerance = self.tolerance
        frozen = float(np.abs(weights[now.stays]).sum())
        longs, shorts = np.maximum(weights, 0.0).sum(), np.maximum(-weights, 0.0).sum()
        found = []
        if longs + shorts > max(frozen, self.gross) + tolerance:
            found.append("gross")
        if frozen > 0.0:
            return found
        most_long, most_short = self.legs
        found += ["long leg"] if longs > most_long + tolerance else []
        found += ["short leg"] if shorts > most_short + tolerance else []
        if self.portfolio.is_beta_neutral and abs(beta(weights, now.betas)) > tolerance:
            found.append("neutral")
        if self.is_unbalanced(weights):
            found.append("net")
        return found + self._targets(weights, now)

    def is_unbalanced(self, weights: Floats) -> npt.NDArray[np.bool_]:
        """Whether the legs of a book (..., N), if it holds anything, are not `net` apart; of a book
        that is scaled, its share of Σ|w|."""
        portfolio = self.portfolio
        if not portfolio.has_two_legs or portfolio.weighting == "fixed":
            return np.zeros(weights.shape[:-1], dtype=np.bool_)
        net: float | Floats = portfolio.target_net
        if portfolio.is_scaled:
            net = net / portfolio.gross * np.abs(weights).sum(axis=-1)
        return np.asarray((np.abs(weights.sum(axis=-1) - net) > SOLVED) & weights.any(axis=-1))

    def _targets(self, weights: Floats, now: Moment) -> list[str]:
        """Volatility or beta above the target, or below it though the book could be larger."""
        reached = self.reached(weights, now)
        if reached is None or not weights.any():
            return []
        name = "volatility_target" if self.portfolio.volatility_target else "beta_target"
        if reached <= 0.0:  # a beta that scaling cannot bring to the target; cash has no volatility
            return [name] if name == "beta_target" else []
        above = reached > 1.0 + SCALED
        larger = self.room(weights, now.stays) > 1.0 + SCALED and not self._is_spent(weights, now)
        return [name] if above or (reached < 1.0 - SCALED and larger) else []

    def _is_spent(self, weights: Floats, now: Moment) -> bool:
        """Whether the turnover cap lets nothing more be bought."""
        most = self.portfolio.max_turnover
        if most is None or now.before is None:
            return False
        return bool(self.traded(weights, now).sum() > most - SCALED)

    def reached(self, weights: Floats, now: Moment) -> float | None:
        """Volatility or beta as a multiple of its target; None without a target."""
        portfolio = self.portfolio
        if portfolio.volatility_target is not None:
            own = volatility(weights, now.covariance(weights != 0.0))
            return own / portfolio.volatility_target
        if portfolio.beta_target is not None:
            return beta(weights, now.betas) / portfolio.beta_target
        return None

    def room(self, weights: Floats, stays: Bools) -> float:
        """By what the tradable weights may be multiplied until the first limit is reached."""
        free = np.where(stays, 0.0, weights)
        held = weights - free
        longs, shorts = np.maximum(free, 0.0).sum(), np.maximum(-free, 0.0).sum()
        bounds = [(self.gross - np.abs(held).sum(), longs + shorts)]
        bounds += zip(self.legs, (longs, shorts), strict=True)
        bounds.append((self.portfolio.max_weight, np.abs(self.named(free)).max(initial=0.0)))
        for group in self.groups:
            own, locked = free[group.names].sum(), held[group.names].sum()
            limit = group.most - locked if own > 0.0 else locked - group.least
            if limit >= abs(own) - self.tolerance:  # else it is relaxed
                bounds.append((limit, abs(own)))
        return float(min((most / total for most, total in bounds if total > 0.0), default=0.0))

    def traded(self, weights: Floats, now: Moment) -> Floats:
        """|w − before| of each name, (N,)."""
        before = np.zeros_like(weights) if now.before is None else now.before
        return np.where(now.stays, 0.0, np.abs(weights - before))

    def _trades(self, weights: Floats, now: Moment) -> list[str]:
        traded = self.traded(weights, now)
        found = []
        most, least = self.portfolio.max_turnover, self.portfolio.min_trade
        if most is not None and now.before is not None and traded.sum() > most + self.tolerance:
            found.append("turnover")
        if ((traded > TOLERANCE) & (traded < least - TOLERANCE)).any():
            found.append("min_trade")
        return found


def is_stepped(strategy: Strategy) -> bool:
    """Whether the book must be built date by date, because a date rests on the one before it, or on
    a covariance, or on limits that weights have to be moved into."""
    portfolio, schedule = strategy.portfolio, strategy.schedule
    limits = (portfolio.min_weight, portfolio.max_turnover, portfolio.beta_target)
    by_weight = portfolio.max_names is not None and not strategy.factors
    return (
        portfolio.needs_covariance
        or portfolio.needs_beta
        or any(limit is not None for limit in limits)
        or bool(portfolio.groups)
        or by_weight
        or portfolio.min_trade > 0.0
        or schedule.band > 0.0
        or schedule.tranches > 1
    )


def beta(weights: Floats, betas: Floats | None) -> float:
    """Σwβ; a name without a beta counts 0."""
    return 0.0 if betas is None else float((np.nan_to_num(betas) * weights).sum())


def volatility(weights: Floats, covariance: Covariance) -> float:
    """√(12·w'Σw), annual; a name without a covariance counts as cash."""
    own = weights[covariance.names]
    return float(np.sqrt(max(12.0 * float(own @ covariance.matrix @ own), 0.0)))
