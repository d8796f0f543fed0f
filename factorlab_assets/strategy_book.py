"""What a strategy file says about the book: selection, weighting, constraints, schedule, costs.

Belongs here: these models. Does not: computing (`core`), or signals (`strategy_signals`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from factorlab_assets.model import Model, Name, Number, Ticker, Whole

Weighting = Literal[
    "equal",
    "signal",
    "rank",
    "fixed",
    "inverse_volatility",
    "risk_parity",
    "minimum_variance",
    "maximum_diversification",
    "hierarchical_risk_parity",
    "mean_variance",
]
OPTIMISED = ("minimum_variance", "maximum_diversification", "mean_variance")
"""Weightings that are solved under the constraints; the others are moved into them afterwards."""
RISK_WEIGHTED = (*OPTIMISED, "inverse_volatility", "risk_parity", "hierarchical_risk_parity")
"""Weightings that need a covariance."""


class Select(Model):
    """Who is held: the top k, the top fraction, all beyond a threshold, or all with a score."""

    top_k: Annotated[Whole, Field(ge=1)] | None = None
    fraction: Annotated[Number, Field(gt=0, le=1)] | None = None
    threshold: Annotated[Number, Field(ge=0)] | None = None
    """Longs have a score above it, shorts one below its negative."""
    only_positive: str | None = None
    """Factor label whose raw value must be above 0 (below 0 for shorts)."""
    safe: Ticker | None = None
    """Holds what only_positive and breadth take away; it is not ranked itself. Default: cash."""
    breadth: Annotated[Number, Field(gt=0)] | None = None
    """So many names failing only_positive move all to safe, fewer their share of it."""

    @model_validator(mode="after")
    def _one_way(self) -> Select:
        ways = {"top_k": self.top_k, "fraction": self.fraction, "threshold": self.threshold}
        said = [name for name, value in ways.items() if value is not None]
        if len(said) > 1:
            raise ValueError(f"give one of top_k, fraction, threshold, not {' and '.join(said)}")
        for name in ("safe", "breadth"):
            if getattr(self, name) is not None and self.only_positive is None:
                raise ValueError(f"{name} goes with only_positive")
        return self


class Risk(Model):
    """How the covariance at a date is estimated, from returns up to that date."""

    model: Literal[
        "sample", "exponential", "ledoit_wolf", "oas", "denoised", "gerber", "factor"
    ] = "ledoit_wolf"
    returns: Literal["monthly", "daily"] = "monthly"
    window: Annotated[Whole, Field(ge=2, le=240)] = 36
    """Months, also where returns are daily."""
    min_history: Annotated[Whole, Field(ge=2, le=240)] | None = None
    """Months of returns a name needs; default: the window. Without them it is not held."""
    half_life: Annotated[Whole, Field(ge=1, le=240)] = 12
    """exponential: months after which a return counts half."""
    n_factors: Annotated[Whole, Field(ge=1, le=50)] = 3
    """factor: statistical factors."""

    @model_validator(mode="after")
    def _fits(self) -> Risk:
        if self.min_history is not None and self.min_history > self.window:
            raise ValueError("min_history is at most window")
        return self

    @property
    def least_months(self) -> int:
        return self.min_history or self.window


class Beta(Model):
    """How betas at a date are estimated: monthly returns on a market ticker's, least squares."""

    market: Ticker = "SPY"
    window: Annotated[Whole, Field(ge=12, le=240)] = 36


class Bounds(Model):
    """The least and the most that the net weights of a group may sum to."""

    min: Annotated[Number, Field(ge=-10, le=10)] = -10.0
    max: Annotated[Number, Field(ge=-10, le=10)] = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if self.min > self.max:
            raise ValueError("min is at most max")
        return self


class Portfolio(Model):
    """From scores to weights.

    gross is Σ|w| and net Σw of a fully invested book. `fixed_weights` are held as given, so they
    must keep to gross and max_weight themselves.
    """

    type: Literal["long_only", "long_short"] = "long_only"
    select: Select = Select()
    weighting: Weighting = "equal"
    fixed_weights: dict[Ticker, Number] = {}
    risk: Risk = Risk()
    risk_aversion: Annotated[Number, Field(gt=0, le=1e6)] = 5.0
    """mean_variance: maximise α·w − risk_aversion/2 · w'Σw − turnover_penalty · Σ|w − w_before|."""
    alpha_per_score: Annotated[Number, Field(gt=0, le=1)] = 0.005
    """mean_variance: expected monthly return per unit of score, α."""
    turnover_penalty: Annotated[Number, Field(ge=0, le=1)] = 0.0
    max_weight: Annotated[Number, Field(gt=0, le=1)] = 1.0
    min_weight: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """What is held weighs at least so much; smaller positions are not opened."""
    max_names: Annotated[Whole, Field(ge=1)] | None = None
    group_by: Name = "asset_class"
    groups: dict[Name, Bounds] = {}
    """Bounds on each group's net weight."""
    gross: Annotated[Number, Field(gt=0, le=10)] = 1.0
    net: Annotated[Number, Field(ge=-10, le=10)] | None = None
    neutral: Literal["dollar", "beta"] = "dollar"
    """long_short: whether the legs' money or their betas offset each other (as far as net says)."""
    beta: Beta = Beta()
    beta_target: Annotated[Number, Field(ge=-5, le=5)] | None = None
    volatility_target: Annotated[Number, Field(gt=0, le=2)] | None = None
    """Annual; the book is scaled to it by the covariance of `risk`, up to max_leverage."""
    max_leverage: Annotated[Number, Field(gt=0, le=10)] = 1.0
    """Σ|w| after scaling to a volatility or beta target is at most so many times gross."""
    max_turnover: Annotated[Number, Field(gt=0, le=20)] | None = None
    """Two-way, per rebalance; the first one is free of it."""
    min_trade: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Trades of a smaller fraction of capital are not made."""
    min_names: Annotated[Whole, Field(ge=1)] | None = None
    """Default: the larger of 2k and half the universe."""

    @model_validator(mode="after")
    def _consistent(self) -> Portfolio:
        fixed = self.fixed_weights.values()
        if (self.weighting == "fixed") != bool(fixed):
            raise ValueError("fixed_weights go with weighting: fixed, and only with it")
        if fixed:
            self._check_fixed()
        if self.net is not None and self.net != self.target_net:
            raise ValueError(f"net is {self.target_net:g} in such a book; leave it out")
        if abs(self.target_net) > self.gross + 1e-9:
            raise ValueError("net is at most gross in size")
        for is_wrong, told in self._do_not_go_together():
            if is_wrong:
                raise ValueError(told)
        self._check_names()
        self._check_groups()
        return self

    def _do_not_go_together(self) -> tuple[tuple[bool, str], ...]:
        short, select = self.type == "long_short", self.select
        return (
            (
                self.min_weight is not None and self.min_weight > self.max_weight,
                "min_weight is at most max_weight",
            ),
            (self.min_trade >= self.max_weight, "min_trade is below max_weight"),
            (
                short and bool(select.safe or select.breadth),
                "safe and breadth go with type: long_only",
            ),
            (self.neutral == "beta" and not short, "neutral: beta goes with type: long_short"),
            (
                self.is_beta_neutral and bool(self.net),
                "neutral: beta sizes the legs; leave net out",
            ),
            (
                self.is_beta_neutral and self.is_directional,
                "threshold leaves the legs to the scores, neutral: beta sizes them; leave one out",
            ),
            (
                self.is_directional and bool(self.net),
                "with a threshold the scores decide what is long and short; leave net out",
            ),
            (
                self.beta_target is not None and self.is_beta_neutral,
                "a beta-neutral book has no beta to scale; leave beta_target out",
            ),
            (
                self.beta_target == 0.0,
                "beta_target 0 would hold nothing; say neutral: beta in a long_short book",
            ),
            (
                None not in (self.beta_target, self.volatility_target),
                "one scale cannot meet volatility_target and beta_target; leave one out",
            ),
            (
                self.max_leverage != 1.0 and not self.is_scaled,
                "max_leverage goes with volatility_target or beta_target",
            ),
            (
                self.turnover_penalty > 0.0 and self.weighting != "mean_variance",
                "turnover_penalty goes with weighting: mean_variance",
            ),
        )

    def _check_fixed(self) -> None:
        fixed = self.fixed_weights
        weights = [weight for weight in fixed.values() if weight]
        if {self.select.top_k, self.select.fraction, self.select.threshold} != {None}:
            raise ValueError(
                "fixed_weights say who is held; leave top_k and fraction out, and threshold"
            )
        if self.select.safe in fixed:
            raise ValueError("safe holds what others lose; leave it out of fixed_weights")
        if self.type == "long_only" and min(fixed.values()) < 0:
            raise ValueError("the fixed_weights of a long_only book are not below 0")
        sizes = [abs(weight) for weight in weights]
        if math.fsum(sizes) > self.gross + 1e-9 or max(sizes, default=0.0) > self.max_weight:
            raise ValueError("fixed_weights keep to gross and max_weight; correct one of them")
        if min(sizes, default=1.0) < (self.min_weight or 0.0):
            raise ValueError("fixed_weights keep to min_weight; correct one of them")
        if len(sizes) > (self.max_names or len(sizes)):
            raise ValueError("there are more fixed_weights than max_names; correct one of them")

    def _check_names(self) -> None:
        """Raise ValueError where the names of a book can never weigh what they have to."""
        legs = 2 if self.type == "long_short" else 1
        top_k, most = self.select.top_k, self.max_names
        if most is not None and most < legs:
            raise ValueError("a long_short book has a name on each side: max_names is at least 2")
        if top_k is not None and most is not None and legs * top_k > most:
            raise ValueError(f"top_k takes {legs * top_k} names, max_names lets {most} be held")
        names = top_k or (most and (most if self.is_directional else most // legs))
        if names and self.weighting != "fixed":
            self.check_room(names, f"top_k {top_k}" if top_k else f"max_names {most}")
        if top_k and self.min_weight and self.weighting not in (*OPTIMISED, "signal"):
            needed, leg = top_k * self.min_weight, min(filter(None, self.leg_totals))
            if needed > leg + 1e-9:
                raise ValueError(
                    f"top_k {top_k} names of min_weight {self.min_weight:g} weigh {needed:g}, "
                    f"and there is {leg:g} for them; lower one of the two"
                )

    def check_room(self, names: int, said: str) -> None:
        """Raise ValueError where so many names (on each side) leave part of the book in cash.

        A leg beyond what whole positions of 100 % fill is no contradiction of a declared limit.
        """
        leg, room = max(self.leg_totals), names * self.max_weight
        if self.max_weight < 1.0 and room < leg - 1e-9:
            raise ValueError(
                f"{said} with max_weight {self.max_weight:g} holds at most {room:g} of the {leg:g} "
                "that is to be invested; raise max_weight or the number of names, or lower gross"
            )

    def _check_groups(self) -> None:
        if self.type == "long_short" or not self.groups:
            return
        for name, bounds in self.groups.items():
            if bounds.max < 0.0 or bounds.min > self.gross:
                raise ValueError(
                    f"groups.{name}: a long_only group weighs between 0 and gross {self.gross:g}"
                )
        least = math.fsum(max(bounds.min, 0.0) for bounds in self.groups.values())
        if least > self.gross + 1e-9:
            raise ValueError(f"the min of groups sum to {least:g}, more than gross {self.gross:g}")

    @property
    def leg_totals(self) -> tuple[float, ...]:
        """What the legs of a fully invested book sum to; one total where nothing divides it.

        Betas divide it as they are: half is taken for each leg.
        """
        if self.type == "long_only" or self.is_directional:
            return (self.gross,)
        if self.is_beta_neutral:
            return self.gross / 2.0, self.gross / 2.0
        return (self.gross + self.target_net) / 2.0, (self.gross - self.target_net) / 2.0

    @property
    def is_scaled(self) -> bool:
        """Whether the book is scaled to a volatility or a beta."""
        return self.volatility_target is not None or self.beta_target is not None

    @property
    def is_directional(self) -> bool:
        """Whether each name's sign is its score's, so that nothing fixes the legs' sizes."""
        return self.type == "long_short" and self.select.threshold is not None

    @property
    def is_beta_neutral(self) -> bool:
        """Whether the legs are sized by their betas, and not by net."""
        return self.type == "long_short" and self.neutral == "beta"

    @property
    def has_two_legs(self) -> bool:
        """Whether longs and shorts each have a total of their own."""
        return self.type == "long_short" and not self.is_directional and not self.is_beta_neutral

    @property
    def needs_covariance(self) -> bool:
        return self.weighting in RISK_WEIGHTED or self.volatility_target is not None

    @property
    def needs_beta(self) -> bool:
        return self.beta_target is not None or self.is_beta_neutral

    @property
    def target_net(self) -> float:
        """Σw of a fully invested book: free only where a long_short book is built from scores."""
        if self.weighting == "fixed":
            return math.fsum(self.fixed_weights.values())
        if self.type == "long_only":
            return self.gross
        return self.net or 0.0


class Schedule(Model):
    """When the book is traded."""

    every_months: Annotated[Whole, Field(ge=1, le=60)] = 1
    """Month numbers that it divides, counted from year 0 (3: March, June, …), and the start."""
    months: tuple[Annotated[Whole, Field(ge=1, le=12)], ...] = ()
    """Only in these calendar months, and at the start; with every_months: 1."""
    tranches: Annotated[Whole, Field(ge=1, le=60)] = 1
    """The book is the mean of the last so many months' targets, each drifted since its own date."""
    band: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Only names that drifted from their target by more than this share of it are traded."""
    days_before_month_end: Annotated[Whole, Field(ge=0, le=15)] = 0
    """Sessions before the month's last: all is of that day, whatever it is compared with too."""

    @model_validator(mode="after")
    def _one_way(self) -> Schedule:
        if self.months and self.every_months != 1:
            raise ValueError("give months or every_months, not both")
        if self.tranches > 1 and (self.months or self.every_months != 1):
            raise ValueError("tranches are formed monthly; leave months and every_months out")
        return self


class Execution(Model):
    """When trades happen, and which turnover is charged (DESIGN timing law)."""

    trade_at: Literal["close", "next_close", "next_open"] = "close"
    turnover: Literal["drifted", "target"] = "drifted"


class Costs(Model):
    """Trading costs in basis points of traded value; carrying costs in decimals per year."""

    tc_bps: Annotated[Number, Field(ge=0, le=1000)] = 5.0
    slippage_bps: Annotated[Number, Field(ge=0, le=1000)] = 5.0
    spread_bps: dict[Ticker, Annotated[Number, Field(ge=0, le=10000)]] = {}
    """Quoted bid-ask spread of each ticker, half of which a trade pays; others pay none."""
    impact: Annotated[Number, Field(ge=0, le=10)] = 0.0
    """Square-root law: impact · daily volatility · √(traded / daily dollar volume) of what is
    traded, both of the last three months; unknown volume: as if a whole day's were traded."""
    capital: Annotated[Number, Field(gt=0)] | None = None
    """Dollars that the impact is reckoned for, the same at every date."""
    borrow_ann: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """On the value of short positions."""
    margin_spread_ann: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Above the cash rate, on what is borrowed."""

    @model_validator(mode="after")
    def _whole(self) -> Costs:
        if (self.impact > 0.0) != (self.capital is not None):
            raise ValueError("impact and capital go together")
        return self


class Cash(Model):
    """What cash earns, and what Sharpe ratios are over: a constant, or a ticker's returns."""

    yield_ann: Annotated[Number, Field(gt=-1, le=1)] = 0.0
    """Decimal per year, compounded."""
    ticker: Ticker | None = None
    """Its monthly return on the strategy's own price basis; 0 in months without a bar of it, which
    its next bar makes up for."""

    @model_validator(mode="after")
    def _one_way(self) -> Cash:
        if self.ticker is not None and self.yield_ann != 0.0:
            raise ValueError("give yield_ann or ticker, not both")
        return self

    @property
    def monthly(self) -> float:
        """(1 + y)^(1/12) − 1."""
        return float((1.0 + self.yield_ann) ** (1.0 / 12.0) - 1.0)

    @property
    def label(self) -> str:
        return f"rf = {self.ticker or format(self.yield_ann, 'g')}"
