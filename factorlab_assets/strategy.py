"""The pydantic models of a strategy file, and reading one with errors that name the place.

Belongs here: what a strategy file may say. Does not: computing any of it. Factor names and their
parameters are checked by the `check_factor` that the caller hands in (`core.factors.check`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import MONTH_PATTERN, STRATEGY_PATTERN, TICKER_PATTERN

CheckFactor = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""(factor name, given parameters) -> all parameters; raises ValueError with what is allowed."""

Ticker = Annotated[str, Field(pattern=TICKER_PATTERN)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Winsorize(_Model):
    """Clip each date's cross-section at two quantiles."""

    kind: Literal["winsorize"] = "winsorize"
    lower: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    upper: Annotated[float, Field(gt=0.5, le=1)] = 0.95


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
    delay: Annotated[int, Field(ge=0, le=12)]
    transforms: tuple[Transform, ...] = ()
    weight: Annotated[float, Field(ge=-100, le=100)] = 1.0

    @property
    def key(self) -> str:
        return self.label or self.name


class Select(_Model):
    """Who is held: the top k, the top fraction, or all with a score (neither given)."""

    top_k: Annotated[int, Field(ge=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    only_positive: str | None = Field(
        None, description="factor label whose raw value must be above 0 (below 0 for shorts)"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Select:
        if self.top_k is not None and self.fraction is not None:
            raise ValueError("give top_k or fraction, not both")
        return self


class Portfolio(_Model):
    """From scores to weights.

    gross is Σ|w| and net Σw of a fully invested book; a long-only book has net = gross.
    """

    type: Literal["long_only", "long_short"] = "long_only"
    select: Select = Select()
    weighting: Literal["equal", "signal", "fixed"] = "equal"
    fixed_weights: dict[Ticker, float] = {}
    max_weight: Fraction = 1.0
    gross: Annotated[float, Field(gt=0, le=10)] = 1.0
    net: Annotated[float, Field(ge=-10, le=10)] | None = None
    min_names: Annotated[int, Field(ge=1)] | None = Field(
        None, description="default: the larger of 2k and half the universe"
    )
    rebalance_months: Literal[1, 2, 3, 6, 12] = 1

    @model_validator(mode="after")
    def _consistent(self) -> Portfolio:
        if (self.weighting == "fixed") != bool(self.fixed_weights):
            raise ValueError("fixed_weights go with weighting: fixed, and only with it")
        if self.type == "long_only" and self.net not in (None, self.gross):
            raise ValueError("a long_only book has net = gross; leave net out")
        if self.net is not None and abs(self.net) > self.gross:
            raise ValueError("net is at most gross in size")
        return self

    @property
    def target_net(self) -> float:
        if self.net is not None:
            return self.net
        return self.gross if self.type == "long_only" else 0.0


class Execution(_Model):
    """When trades happen, and which turnover is charged (DESIGN timing law)."""

    trade_at: Literal["close", "next_close", "next_open"] = "close"
    turnover: Literal["drifted", "target"] = "drifted"


class Costs(_Model):
    """Trading costs in basis points of traded value; carrying costs in decimals per year."""

    tc_bps: Annotated[float, Field(ge=0, le=1000)] = 5.0
    slippage_bps: Annotated[float, Field(ge=0, le=1000)] = 5.0
    borrow_ann: Annotated[float, Field(ge=0, le=1)] = 0.0
    margin_spread_ann: Annotated[float, Field(ge=0, le=1)] = 0.0


class Cash(_Model):
    """What cash earns, and what Sharpe ratios are over; decimal per year, compounded."""

    yield_ann: Annotated[float, Field(gt=-1, le=1)] = 0.0

    @property
    def monthly(self) -> float:
        """(1 + y)^(1/12) − 1."""
        return float((1.0 + self.yield_ann) ** (1.0 / 12.0) - 1.0)

    @property
    def label(self) -> str:
        return f"rf = {self.yield_ann:g}"


class Strategy(_Model):
    """The complete configuration of one idea; its name is the file's."""

    name: Annotated[str, Field(pattern=STRATEGY_PATTERN)]
    description: Annotated[str, Field(min_length=1)]
    active: bool = Field(True, description="recomputed by itself when its month's data change")
    universe: str | tuple[Ticker, ...] = Field(
        "etf13", description="a named universe, 'all' (every ticker of the version), or tickers"
    )
    factors: tuple[Factor, ...] = ()
    portfolio: Portfolio = Portfolio()
    execution: Execution = Execution()
    costs: Costs = Costs()
    cash: Cash = Cash()
    benchmark: Annotated[str, Field(description="ticker, equal_weight, 60/40, strategy:NAME")] = "SPY"
    in_sample_until: Annotated[str, Field(pattern=MONTH_PATTERN)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Strategy:
        keys = [factor.key for factor in self.factors]
        if len(set(keys)) < len(keys):
            raise ValueError("two factors share a label; give each its own `label`")
        wanted = self.portfolio.select.only_positive
        if wanted is not None and wanted not in keys:
            raise ValueError(f"portfolio.select.only_positive names {wanted!r}, not one of {keys}")
        ranked = self.portfolio.select.top_k or self.portfolio.select.fraction
        if not keys and (
            ranked or self.portfolio.weighting == "signal" or self.portfolio.type == "long_short"
        ):
            raise ValueError("ranking, signal weights and long_short need at least one factor")
        return self


class Resolved(_Model):
    """A strategy with everything that decides its numbers spelled out: defaults, tickers, benchmark.

    `tickers` is None where every ticker of the version takes part.
    """

    strategy: Strategy
    tickers: tuple[str, ...] | None
    asset_classes: dict[str, str]
    benchmark: Resolved | None = None

    @property
    def name(self) -> str:
        return self.strategy.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the experiment id is made of: names, prose and asset classes left out."""
        said = self.strategy.model_dump(mode="json", exclude={"name", "description", "active", "universe"})
        said["tickers"] = self.tickers
        if self.benchmark is not None:
            said["benchmark"] = self.benchmark.config
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


def check_name(name: str) -> str:
    """`name` itself if it may be a strategy's name (and so a partition key and a file name)."""
    if not re.fullmatch(STRATEGY_PATTERN, name):
        raise FactorLabError(
            "that cannot be a strategy's name",
            got=repr(name),
            expected="lower-case letters, digits, '_', '-' and '.', at most 80, no leading sign",
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
    data = _read_yaml(path)
    data["name"] = check_name(path.name.removesuffix(".yaml"))
    try:
        strategy = Strategy.model_validate(data)
    except ValidationError as error:
        raise _explained(path, error) from None
    return strategy.model_copy(update={"factors": _checked(path, strategy.factors, check_factor)})


def load_strategies(
    folder: Path, check_factor: CheckFactor
) -> tuple[dict[str, Strategy], dict[str, FactorLabError]]:
    """All strategies of a folder by name, and what is wrong with the files that are not valid."""
    good: dict[str, Strategy] = {}
    bad: dict[str, FactorLabError] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            strategy = load_strategy(path, check_factor)
            good[strategy.name] = strategy
        except FactorLabError as error:
            bad[path.name] = error
    return good, bad


def load_universes(path: Path) -> dict[str, Universe]:
    """The named universes of a file."""
    data = _read_yaml(path)
    try:
        return {str(name): Universe.model_validate(said) for name, said in data.items()}
    except ValidationError as error:
        raise _explained(path, error) from None


def resolve(
    strategy: Strategy,
    universes: Mapping[str, Universe],
    strategies: Mapping[str, Strategy],
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
    return Resolved(
        strategy=strategy, tickers=tickers, asset_classes=classes, benchmark=benchmark
    )


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


def _checked(
    path: Path, factors: tuple[Factor, ...], check_factor: CheckFactor
) -> tuple[Factor, ...]:
    checked = []
    for i, factor in enumerate(factors):
        try:
            params = check_factor(factor.name, factor.params)
        except ValueError as error:
            raise FactorLabError(
                "a factor that cannot be computed", where=f"{path}: factors[{i}]", got=error
            ) from None
        checked.append(factor.model_copy(update={"params": params}))
    return tuple(checked)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FactorLabError(
            "the file cannot be read", where=path, got=error.strerror or error
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FactorLabError(
            "the file is not valid YAML", where=path, got=error, expected="a mapping in UTF-8"
        ) from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise FactorLabError(
            "the file holds no mapping",
            where=path,
            got=type(data).__name__,
            expected="keys and values, as in data/strategies/trend_12m.yaml",
        )
    return data


def _explained(path: Path, error: ValidationError) -> FactorLabError:
    problems = error.errors(include_url=False)
    first = problems[0]
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    unknown = first["type"] == "extra_forbidden"
    return FactorLabError(
        f"the file says something that is not allowed{more}",
        where=f"{path}: {place or 'top level'}",
        got="a key that does not exist" if unknown else repr(first["input"])[:200],
        expected="only documented keys" if unknown else first["msg"],
        do="correct it; `factorlab strategies --help` and docs/strategies.md list every key",
    )
