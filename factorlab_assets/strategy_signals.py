"""What a strategy file says about signals: universe, factors, transforms, combination.

Belongs here: these models. Does not: computing (`core`), or the portfolio (`strategy_book`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from factorlab_assets.model import Model, Name, Number, Ticker, Whole


class Universe(Model):
    """Who may be held, decided anew at every month-end by what is known then; filters compose."""

    of: Name | Annotated[tuple[Ticker, ...], Field(min_length=1)] = "etf13"
    """A named universe, 'all' (every ticker of the version), or tickers."""
    asset_class: Name | None = None
    """Only the tickers of this class of the universes file."""
    min_history: Annotated[Whole, Field(ge=1, le=600)] | None = None
    """Month-end prices known so far, the date's own included, at least."""
    min_price: Annotated[Number, Field(gt=0)] | None = None
    """Month-end close at least: adjusted for splits, never for distributions."""
    min_dollar_volume: Annotated[Number, Field(gt=0)] | None = None
    """Median daily dollar volume of the last `liquidity_months`, at least."""
    top_dollar_volume: Annotated[Whole, Field(ge=1)] | None = None
    """Only so many, those with the largest median dollar volume of whoever passes the rest."""
    liquidity_months: Annotated[Whole, Field(ge=1, le=60)] = 3
    max_stale_sessions: Annotated[Whole, Field(ge=0, le=5)] | None = None
    """Still trading: the last bar is at most so many sessions old."""

    @property
    def reads_daily(self) -> bool:
        """Whether a filter needs daily bars."""
        return self.reads_volume or self.max_stale_sessions is not None

    @property
    def reads_volume(self) -> bool:
        """Whether a filter needs dollar volume."""
        return self.min_dollar_volume is not None or self.top_dollar_volume is not None

    @property
    def filters(self) -> dict[str, float]:
        """Every filter that is set: its key, and what it demands."""
        keys = ("min_history", "min_price", "min_dollar_volume", "top_dollar_volume")
        said = {key: getattr(self, key) for key in (*keys, "max_stale_sessions")}
        said = {key: value for key, value in said.items() if value is not None}
        return said | ({"liquidity_months": self.liquidity_months} if self.reads_volume else {})


class Winsorize(Model):
    """Clip each date's cross-section at two quantiles, or at median ± mads · 1.4826 · MAD."""

    kind: Literal["winsorize"] = "winsorize"
    lower: Annotated[Number, Field(ge=0, lt=0.5)] = 0.05
    upper: Annotated[Number, Field(gt=0.5, le=1)] = 0.95
    mads: Annotated[Number, Field(gt=0, le=100)] | None = None
    """Median absolute deviations, scaled so that one is a normal standard deviation."""

    @model_validator(mode="after")
    def _one_way(self) -> Winsorize:
        # By their values: a recorded configuration spells every default out.
        if self.mads is not None and _differs(self, "lower", "upper"):
            raise ValueError("give mads, or lower and upper, not both")
        return self


class ZScore(Model):
    """Subtract each date's mean, divide by its standard deviation (ddof 0)."""

    kind: Literal["zscore"] = "zscore"
    within: Name | None = None


class Demean(Model):
    """Subtract each date's mean."""

    kind: Literal["demean"] = "demean"
    within: Name | None = None


class Rank(Model):
    """Each date's average rank, mapped to 0 … 1."""

    kind: Literal["rank"] = "rank"
    within: Name | None = None


class Normal(Model):
    """Each date's average rank through the inverse normal distribution."""

    kind: Literal["normal"] = "normal"


class Neutralize(Model):
    """The residual of each date's regression on groups and on other factors' raw values."""

    kind: Literal["neutralize"] = "neutralize"
    groups: Name | None = None
    factors: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> Neutralize:
        if self.groups is None and not self.factors:
            raise ValueError("give groups, factors, or both")
        if len(set(self.factors)) < len(self.factors):
            raise ValueError("factors names one of them twice")
        return self


class Clip(Model):
    """Set what lies outside low … high to the nearer of the two."""

    kind: Literal["clip"] = "clip"
    low: Number = -3.0
    high: Number = 3.0

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if self.low >= self.high:
            raise ValueError("low is below high")
        return self


class Delay(Model):
    """The values of so many months before."""

    kind: Literal["delay"] = "delay"
    months: Annotated[Whole, Field(ge=1, le=60)] = 1


class Smooth(Model):
    """The mean of the last so many months' values, the date's own included."""

    kind: Literal["smooth"] = "smooth"
    months: Annotated[Whole, Field(ge=2, le=60)] = 3


Transform = Annotated[
    Winsorize | ZScore | Demean | Rank | Normal | Neutralize | Clip | Delay | Smooth,
    Field(discriminator="kind"),
]


class Factor(Model):
    """One factor of the strategy; `label` (default: the name) tells two of one kind apart."""

    name: str
    label: str = ""
    params: dict[str, Any] = {}
    delay: Annotated[Whole, Field(ge=0, le=12)] | None = None
    transforms: tuple[Transform, ...] = ()
    weight: Annotated[Number, Field(ge=-100, le=100)] = 1.0

    @property
    def key(self) -> str:
        return self.label or self.name

    @property
    def lag(self) -> int:
        """`delay`; reading a file puts the factor's own there where it says none."""
        assert self.delay is not None  # noqa: S101  # load_strategy fills it in
        return self.delay

    @property
    def others(self) -> tuple[str, ...]:
        """Labels of the factors whose raw values its transforms look at."""
        against = (each for each in self.transforms if isinstance(each, Neutralize))
        return tuple(label for each in against for label in each.factors)

    @property
    def groupings(self) -> set[str]:
        """The groupings that its transforms look at."""
        named = (getattr(t, "within", None) or getattr(t, "groups", None) for t in self.transforms)
        return {name for name in named if name}


class Combine(Model):
    """From the factors' signals to one score."""

    how: Literal["mean", "rank_mean", "inverse_volatility", "conditional"] = "mean"
    window: Annotated[Whole, Field(ge=6, le=240)] = 36
    """inverse_volatility: months that the volatility of a factor's own returns is of."""
    condition: Name | None = None
    """conditional: label of the factor that decides who has a score at all."""
    keep: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """conditional: the share of names with the highest signal of that factor."""
    missing: Literal["require", "known", "neutral"] = "require"
    """A factor without a signal: no score, the mean of the others, or the cross-section's mean."""

    @model_validator(mode="after")
    def _consistent(self) -> Combine:
        if (self.how == "conditional") != (self.condition is not None):
            raise ValueError("condition goes with how: conditional, and only with it")
        if self.how != "conditional" and _differs(self, "keep"):
            raise ValueError("keep goes with how: conditional")
        if self.how != "inverse_volatility" and _differs(self, "window"):
            raise ValueError("window goes with how: inverse_volatility")
        return self


def _differs(model: Model, *names: str) -> bool:
    """Whether one of these fields has another value than its default."""
    fields = type(model).model_fields
    return any(getattr(model, name) != fields[name].default for name in names)
