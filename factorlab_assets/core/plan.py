"""What a book wants at every date, each for itself: the whole history, one row of which is a day.

Belongs here: cutting out a row, so that a date sees no other. Does not: what is made of it
(`construct`), or what of that is traded (`path`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from factorlab_assets.core.construct import Day
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.limits import Declared, Moment
from factorlab_assets.core.memo import digest
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.selection import Chosen, Eligible, Known
from factorlab_assets.core.weighting import Targets, has_safe
from factorlab_assets.strategy import Strategy


@dataclass(frozen=True)
class Plan:
    """What every date of a book wants, each for itself; `day` gives one.

    target : of its weights only those are used that need no covariance.
    """

    strategy: Strategy
    declared: Declared
    known: Known
    eligible: Eligible
    chosen: Chosen
    target: Targets
    has_safe: Bools

    @classmethod
    def of(
        cls,
        strategy: Strategy,
        known: Known,
        eligible: Eligible,
        chosen: Chosen,
        target: Targets,
    ) -> Plan:
        """The plan of a strategy."""
        declared = Declared.of(strategy, known.panel, known.groups)
        has_price = has_safe(known.panel, declared.safe)
        return cls(strategy, declared, known, eligible, chosen, target, has_price)

    def day(self, t: int, before: Floats | None, stays: Bools) -> Day:
        """Row t; `before` (N,) is held, None at the start, `stays` cannot be traded."""
        known, missing, target = self.known, self.eligible.no_history, self.target
        portfolio = self.strategy.portfolio
        return Day(
            self._same,
            portfolio,
            self.declared,
            known.panel.tickers,
            self.chosen.at(t),
            target.weights[t],
            target.reason[t],
            bool(target.has_rest[t]),
            self.has_safe[[t]],
            np.zeros_like(stays) if missing is None else missing[t],
            Moment.at(portfolio, known.panel, known.betas, known.score, t, before, stays),
        )

    @cached_property
    def _same(self) -> bytes:
        groups = [(group.name, group.names.tobytes()) for group in self.declared.groups]
        return digest(self.strategy.portfolio, groups, self.known.panel.tickers)
