"""One date's weights under every limit that the strategy declares, and what had to be relaxed.

Belongs here: the order of things at a date, and the order of falling back. Does not: choosing names
(`selection`), objectives (`optimise`, `risk_weights`), the limits (`limits`, `feasible`), or what
is traded of the result and held until the next date (`path`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import optimise
from factorlab_assets.core.book import (
    AT_MAX_WEIGHT,
    EARLIER,
    NO_HISTORY,
    NO_WEIGHT,
    NOT_HELD,
    NOT_PLACED,
    NOT_REACHED,
    REASONS,
    SAFE,
    SELECTED,
    SOLD_IN_PART,
    TOO_MANY,
    TOO_SMALL,
    listed,
)
from factorlab_assets.core.draft import Draft
from factorlab_assets.core.feasible import Objective, Wish, fewer, too_much, within
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.limits import SCALED, SOLVED, Declared, Moment
from factorlab_assets.core.memo import Memo, digest
from factorlab_assets.core.optimise import Limits, Solution
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.risk import Covariance
from factorlab_assets.core.risk_weights import Names, Unsolved, of_part
from factorlab_assets.core.selection import Chosen
from factorlab_assets.core.weighting import Codes, filtered, give_to_safe, parts
from factorlab_assets.strategy_book import OPTIMISED, RISK_WEIGHTED, Portfolio

SETTLED = frozenset(("max_weight", "min_weight", "max_names", "groups", "neutral", "turnover"))
SETTLED |= {"gross", "long leg", "short leg"}
"""Limits that weights are moved into; the others are kept by scaling and by what is traded."""
UNSETTLED = frozenset(("groups", "beta_target", "net", "neutral"))
"""What scaling, or closing what it has made too small, may break."""

_IS_CHOSEN, _IS_SETTLED = np.zeros((2, len(REASONS)), dtype=np.bool_)
_IS_CHOSEN[[SELECTED, AT_MAX_WEIGHT, NO_WEIGHT, TOO_SMALL, TOO_MANY]] = True
_IS_SETTLED[[SAFE, EARLIER]] = True
_drafts = Memo[Draft](most_bytes=16 * 2**20)


@dataclass(frozen=True)
class Day:
    """One date, and nothing of any other: what is known of it, and how weights are made of that.

    same : what all dates of the book have in common. target, reason, missing : (N,);
    chosen, has_safe : of one row. missing : who would be eligible but for a covariance or beta.
    """

    same: bytes
    portfolio: Portfolio
    declared: Declared
    tickers: npt.NDArray[np.str_]
    chosen: Chosen
    target: Floats
    reason: Codes
    has_rest: bool
    has_safe: Bools
    missing: Bools
    now: Moment

    @property
    def size(self) -> int:
        """How many tickers there are."""
        return len(self.tickers)

    def drafted(self, *, is_cash: bool) -> Draft:
        """The weights that the date wants, under every limit but those of scaling and of trades.

        Parameters
        ----------
        is_cash : everything is to be sold.
        """
        wanted = self.chosen.longs[0]
        if self.chosen.shorts is not None:
            wanted = wanted | self.chosen.shorts[0]
        by_risk = wanted if self.portfolio.weighting in RISK_WEIGHTED and not is_cash else None
        return self._remembered(("drafted", is_cash), by_risk, self._drafted, is_cash)

    def on_target(self, draft: Draft) -> Draft:
        """What can be traded multiplied until volatility or beta are on target, or a limit is met.

        Positions that become smaller than min_weight are closed, the least first. Groups and legs
        that do not fit then are relaxed, and the turnover cap where the target cannot be kept
        with it.
        """
        if draft.kept or not self.portfolio.is_scaled:
            return draft
        held = draft.weights != 0.0 if self.portfolio.volatility_target else None
        given = ("on target", draft.weights, draft.reason, draft.outcome)
        return self._remembered(given, held, self._on_target, draft)

    def _remembered(
        self, given: tuple[object, ...], names: Bools | None, step: Callable[..., Draft], *args: Any
    ) -> Draft:
        """What a step makes, from memory where everything it looks at was the same before.

        The covariance of those whom it is first asked for is estimated in any case: what its window
        holds shows in it.
        """
        estimate: tuple[object, ...] = ()
        if names is not None and names.any():
            of = self.now.covariance(names)
            estimate = of.names, of.matrix, of.note
        rows = (None if each is None else each[0] for each in vars(self.chosen).values())
        key = digest(
            *(self.same, *given, *estimate),
            *(self.now.score, *rows, self.target, self.reason, self.has_rest, self.has_safe),
            *(self.missing, self.now.stays, self.now.before, self.now.betas),
        )
        return _drafts.get(key, lambda: step(*args), 512 + 9 * self.size).copy()

    def _drafted(self, is_cash: bool) -> Draft:
        draft = Draft(np.zeros(self.size), self.reason.copy())
        if self.missing.any():
            draft.note(f"{NOT_HELD}no risk history: {listed(self.tickers[self.missing])}")
        try:
            if not is_cash:
                self._wish(draft)
            draft.weights = draft.weights + self.now.frozen
            self._settle(draft)
        except Unsolved as why:
            draft.keep(self.now.before, str(why))
        else:
            if "net" in self.declared.broken(draft.weights, self.now):
                draft.relax(["net"])  # a leg has fewer names than it needs, or none
            self._explain(draft)
        return draft

    def _on_target(self, draft: Draft) -> Draft:
        draft = draft.copy()
        draft.weights = row = self._scaled(draft.weights)
        broken = self.declared.broken(row, self.now)
        draft.relax(UNSETTLED.intersection(broken))
        if "turnover" in broken:
            try:
                row = self._nearest(row, groups="groups" not in draft.relaxed, turnover=True)
            except Unsolved:
                draft.relax(["turnover"])
            broken = self.declared.broken(row, self.now)
            if {"volatility_target", "beta_target"}.intersection(broken):
                draft.relax(["turnover"])
            else:
                draft.weights = row
                draft.relax(UNSETTLED.intersection(broken))
        reached = self.declared.reached(draft.weights, self.now)
        if draft.weights.any() and reached is not None and 0.0 < reached < 1.0 - SCALED:
            draft.note(NOT_REACHED)
        self._explain(draft)
        return draft

    def _scaled(self, weights: Floats) -> Floats:
        now, declared = self.now, self.declared
        free = np.where(now.stays, 0.0, weights)
        while True:
            row = free + now.frozen
            reached = declared.reached(row, now)
            if reached is None or reached <= 0.0:
                return row
            row = free * min(1.0 / reached, declared.room(row, now.stays)) + now.frozen
            small = too_much(declared, now, row)
            if not small.any():
                return row
            free[small] = 0.0
            if self.portfolio.is_beta_neutral and now.betas is not None:
                _offset_betas(free, np.nan_to_num(now.betas))

    def _wish(self, draft: Draft) -> None:
        """The weights of date t before limits; of a program of the whole book, under them.

        Names that cannot be traded leave the others 1 − Σ|w of these|/gross of every total.
        """
        portfolio = self.portfolio
        scale = max(1.0 - float(np.abs(self.now.frozen).sum()) / portfolio.gross, 0.0)
        if portfolio.weighting in RISK_WEIGHTED:
            self._weigh_by_risk(draft, scale)
        else:
            draft.weights = self.target * scale
            if self.has_rest:
                draft.note(NOT_PLACED)
        if portfolio.is_beta_neutral and not self._is_program and self.now.betas is not None:
            _offset_betas(draft.weights, np.nan_to_num(self.now.betas))

    @property
    def _is_program(self) -> bool:
        """Whether one program weighs the whole book, and not each leg by itself."""
        portfolio = self.portfolio
        if portfolio.weighting == "maximum_diversification":
            return portfolio.type == "long_only" or portfolio.is_directional
        return portfolio.weighting in OPTIMISED

    def _weigh_by_risk(self, draft: Draft, scale: float) -> None:
        portfolio, chosen = self.portfolio, self.chosen
        legs = list(parts(portfolio, chosen))
        names = [
            Names(leg.chosen[0], np.broadcast_to(leg.side, leg.chosen.shape)[0], leg.total * scale)
            for leg in legs
        ]
        wanted = np.zeros(self.size, dtype=np.bool_)
        for each in names:
            wanted |= each.mask
        shares = [np.zeros(self.size) for _ in names]
        if wanted.any():
            estimate = self.now.covariance(wanted)
            draft.note_estimate(estimate.note)
            draft.reason[wanted] = NO_HISTORY
            draft.reason[estimate.names] = SELECTED
            if self._is_program:
                shares = self._program(draft, names, estimate)
            else:
                shares = [of_part(portfolio, each, estimate) for each in names]
                self._note_cash(draft, sum(map(np.sum, shares)), sum(n.total for n in names))
        lost = np.zeros(1)
        for leg, each, share in zip(legs, names, shares, strict=True):
            left, taken = filtered(share[np.newaxis], replace(leg, total=each.total), chosen)
            lost += taken
            draft.weights += each.side * left[0]
        row, reason = draft.weights[np.newaxis], draft.reason[np.newaxis]
        give_to_safe(self.declared.safe, self.has_safe, chosen, lost, row, reason)

    def _program(self, draft: Draft, names: list[Names], estimate: Covariance) -> list[Floats]:
        """|w| of each leg (N,), from one program for all of them."""
        portfolio, now = self.portfolio, self.now
        mask, side = np.zeros(self.size, dtype=np.bool_), np.ones(self.size)
        for each in names:
            mask, side = mask | each.mask, np.where(each.mask, each.side, side)
        totals = [each.total for each in names]
        if not portfolio.has_two_legs:
            totals = [sum(totals)]
        elif len(names) == 1:  # the other leg is to be nothing
            totals.insert(0 if side[names[0].mask].sum() < 0.0 else 1, 0.0)
        penalty = portfolio.turnover_penalty if portfolio.weighting == "mean_variance" else 0.0
        wish = Wish(mask, side, tuple(totals), is_flexible=False, penalty=penalty)

        able = np.zeros(self.size, dtype=np.bool_)
        able[estimate.names] = True
        goal = self._objective(estimate)

        def solve(*, groups: bool, turnover: bool) -> Floats:
            return within(self.declared, now, wish, goal, able, groups=groups, turnover=turnover)

        row, has_room = self._with_fallback(solve, draft, not portfolio.is_scaled)
        row = row - now.frozen
        if has_room:
            self._note_cash(draft, float(np.abs(row).sum()), sum(totals))
        draft.weights = np.where(mask, 0.0, row)  # of no leg: what the cap lets be sold in part
        return [np.where(each.mask, np.abs(row), 0.0) for each in names]

    def _objective(self, of: Covariance) -> Objective:
        portfolio = self.portfolio
        alpha = portfolio.alpha_per_score * np.nan_to_num(self.now.score)

        def objective(columns: npt.NDArray[np.intp], limits: Limits) -> Solution:
            matrix = of.matrix
            if len(columns) < len(of.names):
                inside = np.searchsorted(of.names, columns)
                matrix = matrix[np.ix_(inside, inside)]
            if portfolio.weighting == "minimum_variance":
                return optimise.minimum_variance(matrix, limits)
            if portfolio.weighting == "maximum_diversification":
                return optimise.maximum_diversification(matrix, limits)
            aversion = portfolio.risk_aversion
            return optimise.mean_variance(matrix, alpha[columns], aversion, limits)

        return objective

    def _settle(self, draft: Draft) -> None:
        """Move weights to the nearest ones within the limits, if they are not there."""
        turnover = not self.portfolio.is_scaled and "turnover" not in draft.relaxed
        wanted = SETTLED - draft.relaxed - (set() if turnover else {"turnover"})

        def is_settled() -> bool:
            return wanted.isdisjoint(self.declared.broken(draft.weights, self.now))

        if is_settled():
            return
        is_one = self.portfolio.is_directional
        draft.weights = fewer(self.declared, self.now, draft.weights, is_one)
        if is_settled():
            return
        row, may_group = draft.weights, "groups" not in draft.relaxed

        def solve(*, groups: bool, turnover: bool) -> Floats:
            return self._nearest(row, groups=groups and may_group, turnover=turnover)

        draft.weights, has_room = self._with_fallback(solve, draft, turnover)
        if has_room:
            self._note_cash(draft, float(np.abs(draft.weights).sum()), float(np.abs(row).sum()))

    def _nearest(self, row: Floats, *, groups: bool, turnover: bool) -> Floats:
        """The weights within the limits that are nearest to a row (N,), its totals kept."""
        free = np.where(self.now.stays, 0.0, row)
        totals: tuple[float, ...] = (float(np.abs(free).sum()),)
        if self.portfolio.has_two_legs:
            totals = (float(np.maximum(free, 0.0).sum()), float(np.maximum(-free, 0.0).sum()))
        wish = Wish(free != 0.0, np.where(free < 0.0, -1.0, 1.0), totals)

        def goal(columns: npt.NDArray[np.intp], limits: Limits) -> Solution:
            return optimise.nearest(row[columns], limits)

        able = np.ones(self.size, dtype=np.bool_)
        return within(self.declared, self.now, wish, goal, able, groups=groups, turnover=turnover)

    def _with_fallback(
        self, solve: Callable[..., Floats], draft: Draft, turnover: bool
    ) -> tuple[Floats, bool]:
        """Weights (N,) under all limits, else without the turnover cap, else without groups too.

        The cap is asked for only where the weights without it exceed it. Also returned: whether it
        did not bind.

        Raises
        ------
        Unsolved : nothing keeps to what is left.
        """
        relaxed = []
        try:
            row = solve(groups=True, turnover=False)
        except Unsolved:
            if not self.declared.groups:
                raise
            row, relaxed = solve(groups=False, turnover=False), ["groups"]
        if not turnover or "turnover" not in self.declared.broken(row, self.now):
            draft.relax(relaxed)
            return row, True
        if not relaxed:
            try:
                return solve(groups=True, turnover=True), False
            except Unsolved:
                pass
        draft.relax(["turnover", *relaxed])
        return row, True

    def _note_cash(self, draft: Draft, placed: float, total: float) -> None:
        if placed < total - SOLVED:
            draft.note(NOT_PLACED)

    def _explain(self, draft: Draft) -> None:
        """Bring the reasons into line with what became of the weights."""
        portfolio, reason, held = self.portfolio, draft.reason, draft.weights != 0.0
        chosen, settled = _IS_CHOSEN[reason], _IS_SETTLED[reason]
        nothing = NO_WEIGHT
        if portfolio.min_weight is not None:
            nothing = TOO_SMALL
        elif portfolio.max_names is not None:
            nothing = TOO_MANY
        at_max = np.abs(draft.weights) >= portfolio.max_weight - self.declared.tolerance
        reason[chosen & ~held & (reason != TOO_MANY)] = nothing
        reason[chosen & held & ~at_max] = SELECTED
        reason[chosen & held & at_max] = AT_MAX_WEIGHT
        reason[held & ~chosen & ~settled] = SOLD_IN_PART


def _offset_betas(weights: Floats, betas: Floats) -> None:
    """Size the two legs (N,), in place, so that Σwβ = 0 and Σ|w| is as it was.

    With b the mean beta of a leg, longs get b_short/(b_long + b_short) of the whole; left as they
    are where one of them is not above 0 (the nearest weights that are neutral are found later).
    """
    longs, shorts = weights > 0.0, weights < 0.0
    long, short = weights[longs].sum(), -weights[shorts].sum()
    if long == 0.0 or short == 0.0:
        return
    of_long = (weights[longs] * betas[longs]).sum() / long
    of_short = -(weights[shorts] * betas[shorts]).sum() / short
    if of_long > 0.0 and of_short > 0.0:
        gross = (long + short) / (of_long + of_short)
        weights[longs] *= gross * of_short / long
        weights[shorts] *= gross * of_long / short
