"""The pydantic models of a strategy file, and reading one with errors that name the place.

Belongs here: what a strategy file may say. Does not: computing any of it. Factor names and their
parameters are checked by the `check_factor` that the caller hands in (`core.factors.complete`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from factorlab_assets import parsing
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import MONTH_PATTERN, STRATEGY_PATTERN, TICKER_PATTERN

CheckFactor = Callable[[str, Mapping[str, Any], int | None], tuple[dict[str, Any], int]]
"""(factor name, given parameters) -> all parameters; raises ValueError with what is allowed."""

Ticker = Annotated[str, Field(pattern=TICKER_PATTERN)]
Whole = Annotated[int, Strict()]
"""Strict, because YAML reads yes and on as true, which would count as 1."""
Number = Annotated[float, Strict()]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(data.keys() - cls.model_fields.keys())):
            allowed = ", ".join(cls.model_fields)
            raise ValueError(f"only the keys {allowed}; there is no {', '.join(unknown)}")
        return data


class Winsorize(_Model):
    """Clip each date's cross-section at two quantiles."""

    kind: Literal["winsorize"] = "winsorize"
    lower: Annotated[Number, Field(ge=0, lt=0.5)] = 0.05
    upper: Annotated[Number, Field(gt=0.5, le=1)] = 0.95


class ZScore(_Model):
    """Subtract each date's mean, divide by its standard deviation (ddof 0)."""

    kind: Literal["zscore"] = "zscore"


class Rank(_Model):
    """Each date's average rank, mapped to 0 … 1."""

    kind: Literal["rank"] = "rank"


Transform = Annotated[Winsorize | ZScore | Rank, Field(discriminator="kind")]


class Factor(_Model):
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


class Select(_Model):
    """Who is held: the top k, the top fraction, or all with a score (neither given)."""

    top_k: Annotated[Whole, Field(ge=1)] | None = None
    fraction: Annotated[Number, Field(gt=0, le=1)] | None = None
    only_positive: str | None = None
    """Factor label whose raw value must be above 0 (below 0 for shorts)."""

    @model_validator(mode="after")
    def _one_way(self) -> Select:
        if self.top_k is not None and self.fraction is not None:
            raise ValueError("give top_k or fraction, not both")
        return self


class Portfolio(_Model):
    """From scores to weights.

    gross is Σ|w| and net Σw of a fully invested book. `fixed_weights` are held as given, so they
    must keep to gross and max_weight themselves.
    """

    type: Literal["long_only", "long_short"] = "long_only"
    select: Select = Select()
    weighting: Literal["equal", "signal", "fixed"] = "equal"
    fixed_weights: dict[Ticker, Number] = {}
    max_weight: Annotated[Number, Field(gt=0, le=1)] = 1.0
    gross: Annotated[Number, Field(gt=0, le=10)] = 1.0
    net: Annotated[Number, Field(ge=-10, le=10)] | None = None
    min_names: Annotated[Whole, Field(ge=1)] | None = None
    """Default: the larger of 2k and half the universe."""
    rebalance_months: Literal[1, 2, 3, 6, 12] = 1

    @model_validator(mode="after")
    def _consistent(self) -> Portfolio:
        fixed = self.fixed_weights.values()
        if (self.weighting == "fixed") != bool(fixed):
            raise ValueError("fixed_weights go with weighting: fixed, and only with it")
        if fixed and (self.select.top_k or self.select.fraction):
            raise ValueError("fixed_weights say who is held; leave top_k and fraction out")
        if fixed and self.type == "long_only" and min(fixed) < 0:
            raise ValueError("the fixed_weights of a long_only book are not below 0")
        sizes = [abs(weight) for weight in fixed]
        if math.fsum(sizes) > self.gross + 1e-9 or max(sizes, default=0.0) > self.max_weight:
            raise ValueError("fixed_weights keep to gross and max_weight; correct one of them")
        if self.net is not None and self.net != self.target_net:
            raise ValueError(f"net is {self.target_net:g} in such a book; leave it out")
        if abs(self.target_net) > self.gross + 1e-9:
            raise ValueError("net is at most gross in size")
        return self

    @property
    def target_net(self) -> float:
        """Σw of a fully invested book: free only where a long_short book is built from scores."""
        if self.weighting == "fixed":
            return math.fsum(self.fixed_weights.values())
        if self.type == "long_only":
            return self.gross
        return self.net or 0.0


class Execution(_Model):
    """When trades happen, and which turnover is charged (DESIGN timing law)."""

    trade_at: Literal["close", "next_close", "next_open"] = "close"
    turnover: Literal["drifted", "target"] = "drifted"


class Costs(_Model):
    """Trading costs in basis points of traded value; carrying costs in decimals per year."""

    tc_bps: Annotated[Number, Field(ge=0, le=1000)] = 5.0
    slippage_bps: Annotated[Number, Field(ge=0, le=1000)] = 5.0
    borrow_ann: Annotated[Number, Field(ge=0, le=1)] = 0.0
    margin_spread_ann: Annotated[Number, Field(ge=0, le=1)] = 0.0


class Cash(_Model):
    """What cash earns, and what Sharpe ratios are over; decimal per year, compounded."""

    yield_ann: Annotated[Number, Field(gt=-1, le=1)] = 0.0

    @property
    def monthly(self) -> float:
        """(1 + y)^(1/12) − 1."""
        return float((1.0 + self.yield_ann) ** (1.0 / 12.0) - 1.0)

    @property
    def label(self) -> str:
        return f"rf = {self.yield_ann:g}"


def _is_benchmark(text: str) -> str:
    kind, _, name = text.partition(":")
    pattern, tried = (STRATEGY_PATTERN, name) if kind == "strategy" else (TICKER_PATTERN, text)
    if text not in ("equal_weight", "60/40") and not re.fullmatch(pattern, tried):
        raise ValueError("an upper-case ticker, equal_weight, 60/40 or strategy:NAME")
    return text


class Strategy(_Model):
    """The complete configuration of one idea; its name is the file's."""

    name: Annotated[str, Field(pattern=STRATEGY_PATTERN)]
    description: Annotated[str, Field(min_length=1)]
    active: bool = True
    universe: str | Annotated[tuple[Ticker, ...], Field(min_length=1)] = "etf13"
    """A named universe, 'all' (every ticker of the version), or tickers."""
    price: Literal["close", "total_return"] | None = None  # None: see `prices.choose`
    factors: tuple[Factor, ...] = ()
    portfolio: Portfolio = Portfolio()
    execution: Execution = Execution()
    costs: Costs = Costs()
    cash: Cash = Cash()
    benchmark: Annotated[str, AfterValidator(_is_benchmark)] = "SPY"
    in_sample_until: Annotated[str, Field(pattern=MONTH_PATTERN)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Strategy:
        keys = [factor.key for factor in self.factors]
        if len(set(keys)) < len(keys):
            raise ValueError("two factors share a label; give each its own `label`")
        wanted = self.portfolio.select.only_positive
        if wanted is not None and wanted not in keys:
            raise ValueError(f"portfolio.select.only_positive names {wanted!r}, not one of {keys}")
        chosen = self.portfolio.select.top_k or self.portfolio.select.fraction
        by_sign = self.portfolio.type == "long_short" and self.portfolio.weighting != "fixed"
        if not keys and (chosen or by_sign or self.portfolio.weighting == "signal"):
            raise ValueError("ranking, signal weights and long_short need at least one factor")
        return self


class Resolved(_Model):
    """A strategy with all that decides its numbers; `tickers` None is every one of the version."""

    strategy: Strategy
    tickers: tuple[str, ...] | None
    asset_classes: dict[str, str]
    benchmark: Resolved | None = None

    @property
    def name(self) -> str:
        return self.strategy.name

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any]) -> Resolved:
        """The strategy that a recorded `config` came from: same numbers, same `config_hash`.

        Description and asset classes are gone: they decide no number.

        Raises
        ------
        FactorLabError : this FactorLab's strategies have other fields.
        """
        said = dict(config)
        tickers, benchmark = said.pop("tickers"), said.pop("benchmark_config", None)
        said |= {"name": name, "description": "from the ledger", "universe": tickers or "all"}
        what = "the recorded configuration does not fit this version of FactorLab"
        do = "check out the commit that the ledger names"
        strategy = parsing.validated(Strategy, said, f"configuration of {name}", what, do)
        of = strategy.benchmark.removeprefix("strategy:")
        other = cls.from_config(of, benchmark) if benchmark else None
        return cls(strategy=strategy, tickers=tickers, asset_classes={}, benchmark=other)

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the experiment id is made of: name, prose and asset classes left out."""
        unsaid = {"name", "description", "active", "universe"}
        said = self.strategy.model_dump(mode="json", exclude=unsaid)
        said["portfolio"]["net"] = self.strategy.portfolio.target_net
        said["tickers"] = self.tickers
        if self.benchmark is not None:
            said["benchmark_config"] = self.benchmark.config
        return said

    @cached_property
    def config_json(self) -> str:
        return json.dumps(self.config, sort_keys=True, separators=(",", ":"))

    @cached_property
    def config_hash(self) -> str:
        return hashlib.sha256(self.config_json.encode()).hexdigest()[:16]


class Universe(_Model):
    """A named universe: ticker -> asset class."""

    description: str = ""
    tickers: Annotated[dict[Ticker, Annotated[str, Field(min_length=1)]], Field(min_length=1)]


_SEE_DOCS = "correct it; docs/strategies.md lists every key, `factorlab factors` every parameter"


def check_name(name: str) -> str:
    """`name` itself if it may be a strategy's name (and so a partition key and a file name)."""
    if not re.fullmatch(STRATEGY_PATTERN, name):
        raise FactorLabError(
            "that cannot be a strategy's name",
            got=repr(name),
            expected="1 to 80 of a-z, 0-9, '_', '-' and '.', the first a letter or a digit",
            do="rename the file",
        )
    return name


def load_strategy(path: Path, check_factor: CheckFactor) -> Strategy:
    """The strategy in `path`; its name is the file's.

    Raises
    ------
    FactorLabError : the file cannot be read, is not YAML, or says something not allowed; names the
        file, the path in it, the value and what is allowed.
    """
    if path.suffix != ".yaml":
        raise FactorLabError("a strategy file ends in .yaml", where=path, do="rename the file")
    name = check_name(path.name.removesuffix(".yaml"))
    strategy = parsing.read_yaml(path, Strategy, _SEE_DOCS, name=name)
    return strategy.model_copy(update={"factors": _checked(path, strategy.factors, check_factor)})


def load_strategies(
    folder: Path, check_factor: CheckFactor
) -> tuple[dict[str, Strategy], dict[str, FactorLabError]]:
    """All strategies of a folder by name, and by file what is wrong with those not valid."""
    good: dict[str, Strategy] = {}
    bad: dict[str, FactorLabError] = {}
    if not folder.is_dir():
        raise FactorLabError("there is no such folder of strategy files", where=folder)
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            strategy = load_strategy(path, check_factor)
            good[strategy.name] = strategy
        except FactorLabError as error:
            bad[path.name] = error
    return good, bad


def load_universes(path: Path) -> dict[str, Universe]:
    """The named universes of a file; `all` is no name, it means every ticker of a version."""
    universes = parsing.read_yaml(path, dict[str, Universe], "correct it, or restore the file")
    if "all" in universes:
        raise FactorLabError("no universe may be named all: that is every ticker", where=path)
    return universes


def resolve(
    strategy: Strategy, universes: Mapping[str, Universe], strategies: Mapping[str, Strategy]
) -> Resolved:
    """The strategy with its universe and benchmark looked up.

    Raises
    ------
    FactorLabError : an unknown universe or benchmark strategy.
    """
    tickers, classes = _universe(strategy, universes)
    benchmark = None
    kind, _, other = strategy.benchmark.partition(":")
    if kind == "strategy":
        if other not in strategies or other == strategy.name:
            raise FactorLabError(
                "unknown benchmark strategy",
                where=f"strategy {strategy.name}: benchmark",
                got=repr(other),
                expected=f"another of {', '.join(sorted(strategies))}",
                do="name an existing strategy file, a ticker, equal_weight or 60/40",
            )
        plain = strategies[other].model_copy(update={"benchmark": "SPY"})
        benchmark = resolve(plain, universes, strategies)
    return Resolved(strategy=strategy, tickers=tickers, asset_classes=classes, benchmark=benchmark)


def _universe(
    strategy: Strategy, universes: Mapping[str, Universe]
) -> tuple[tuple[str, ...] | None, dict[str, str]]:
    known = {t: cls for universe in universes.values() for t, cls in universe.tickers.items()}
    if strategy.universe == "all":
        return None, {}
    if isinstance(strategy.universe, tuple):
        tickers = tuple(sorted(set(strategy.universe)))
    elif strategy.universe in universes:
        tickers = tuple(sorted(universes[strategy.universe].tickers))
        known |= universes[strategy.universe].tickers
    else:
        raise FactorLabError(
            "unknown universe",
            where=f"strategy {strategy.name}: universe",
            got=repr(strategy.universe),
            expected=f"'all', a list of tickers, or one of {', '.join(sorted(universes))}",
            do="add it to the universes file or correct the name",
        )
    stray = sorted(set(strategy.portfolio.fixed_weights) - set(tickers))
    if stray:
        raise FactorLabError(
            "fixed weights for tickers outside the universe",
            where=f"strategy {strategy.name}: portfolio.fixed_weights",
            got=", ".join(stray),
            expected=", ".join(tickers),
        )
    return tickers, {ticker: known[ticker] for ticker in tickers if ticker in known}


def _checked(path: Path, factors: tuple[Factor, ...], check: CheckFactor) -> tuple[Factor, ...]:
    checked = []
    for i, factor in enumerate(factors):
        try:
            params, delay = check(factor.name, factor.params, factor.delay)
        except ValueError as error:
            where = f"{path}: factors[{i}]"
            raise FactorLabError("bad factor", where=where, got=error, do=_SEE_DOCS) from None
        checked.append(factor.model_copy(update={"params": params, "delay": delay}))
    return tuple(checked)
