"""A strategy file as a whole, and reading one with errors that name the place.

Belongs here: what holds between the parts of a file, and what decides a strategy's numbers. Does
not: the parts (`strategy_signals`, `strategy_book`), or computing any of it. Factor names and their
parameters are checked by the `check_factor` that the caller hands in (`core.factors.complete`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from factorlab_assets import parsing
from factorlab_assets.contradictions import check_universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.model import Model, Whole
from factorlab_assets.schemas import MONTH_PATTERN, STRATEGY_PATTERN, TICKER_PATTERN
from factorlab_assets.strategy_book import Cash, Costs, Execution, Portfolio, Schedule
from factorlab_assets.strategy_signals import Combine, Factor, Universe
from factorlab_assets.strategy_sweep import Sweep
from factorlab_assets.universes import ASSET_CLASS, Meaning, NamedUniverse, look_up

CheckFactor = Callable[[str, Mapping[str, Any], int | None], tuple[dict[str, Any], int]]
"""(factor name, given parameters) -> all parameters; raises ValueError with what is allowed."""


def _is_benchmark(text: str) -> str:
    kind, _, name = text.partition(":")
    pattern, tried = (STRATEGY_PATTERN, name) if kind == "strategy" else (TICKER_PATTERN, text)
    if text not in ("equal_weight", "60/40") and not re.fullmatch(pattern, tried):
        raise ValueError("an upper-case ticker, equal_weight, 60/40 or strategy:NAME")
    return text


def _as_universe(said: Any) -> Any:
    """A name or a list of tickers is short for a universe without filters."""
    return said if isinstance(said, dict | Universe) else {"of": said}


class Strategy(Model):
    """The complete configuration of one idea; its name is the file's."""

    name: Annotated[str, Field(pattern=STRATEGY_PATTERN)]
    description: Annotated[str, Field(min_length=1)]
    active: bool = True
    universe: Annotated[Universe, BeforeValidator(_as_universe)] = Universe()
    price: Literal["close", "total_return"] | None = None  # None: see `prices.choose`
    factors: tuple[Factor, ...] = ()
    combine: Combine = Combine()
    portfolio: Portfolio = Portfolio()
    schedule: Schedule = Schedule()
    execution: Execution = Execution()
    costs: Costs = Costs()
    cash: Cash = Cash()
    benchmark: Annotated[str, AfterValidator(_is_benchmark)] = "SPY"
    in_sample_until: Annotated[str, Field(pattern=MONTH_PATTERN)] | None = None
    sweep: Sweep | None = None
    prior_trials: Annotated[Whole, Field(ge=0)] = 0
    """Tries of the same idea that were made elsewhere: they count wherever tries are counted."""

    @model_validator(mode="after")
    def _consistent(self) -> Strategy:
        keys = [factor.key for factor in self.factors]
        if len(set(keys)) < len(keys):
            raise ValueError("two factors share a label; give each its own `label`")
        select = self.portfolio.select
        named: dict[str, list[str | None]] = {
            "portfolio.select.only_positive": [select.only_positive],
            "combine.condition": [self.combine.condition],
        }
        for i, factor in enumerate(self.factors):
            named[f"factors[{i}].transforms: neutralize"] = list(factor.others)
            if factor.key in factor.others:
                raise ValueError(f"factor {factor.key!r} cannot be neutralized against itself")
        for place, labels in named.items():
            for label in labels:
                if label is not None and label not in keys:
                    raise ValueError(f"{place} names {label!r}, not one of {keys}")
        self._check_condition()
        chosen = select.top_k or select.fraction or select.threshold is not None
        by_sign = self.portfolio.type == "long_short" and self.portfolio.weighting != "fixed"
        by_score = self.portfolio.weighting in ("signal", "rank", "mean_variance")
        if not keys and (chosen or by_sign or by_score):
            raise ValueError("ranking, signal weights and long_short need at least one factor")
        if not keys and self.portfolio.max_names and self.portfolio.weighting == "equal":
            raise ValueError("portfolio.max_names chooses by score or weight: name a factor")
        if self.schedule.tranches > 1:
            said = self.portfolio
            without = ("max_turnover", "turnover_penalty", "min_weight", "max_names")
            if given := [name for name in without if getattr(said, name)]:
                raise ValueError(
                    f"schedule.tranches hold and trade what each month chose; leave portfolio."
                    f"{given[0]} out"
                )
        return self

    def _check_condition(self) -> None:
        weights = {factor.key: factor.weight for factor in self.factors}
        condition = self.combine.condition
        if condition is None:
            return
        if weights.pop(condition) < 0.0:
            raise ValueError(
                f"combine.condition keeps the highest signals of {condition!r}, whose own weight "
                "plays no part; a weight below 0 does not turn it round"
            )
        if not any(weights.values()):
            raise ValueError(
                f"combine.condition names {condition!r}, and no other factor has a weight to score "
                "those that it keeps"
            )

    @property
    def beside(self) -> set[str]:
        """Tickers whose prices it reads beside its universe's and its benchmark's."""
        named = {f.params["market"] for f in self.factors if "market" in f.params}
        named |= {self.portfolio.beta.market} if self.portfolio.needs_beta else set()
        return named | ({self.cash.ticker} if self.cash.ticker else set())

    @property
    def groupings(self) -> set[str]:
        """The groupings that its numbers depend on."""
        used = {self.portfolio.group_by} if self.portfolio.groups else set()
        return used.union(*(factor.groupings for factor in self.factors))


class Resolved(Model):
    """A strategy with all that decides its numbers; `tickers` None is every one of the version.

    asset_classes : for pictures. groups : grouping -> ticker -> group, those that the numbers
    depend on; merge : what a group of too few names counts to.
    """

    strategy: Strategy
    tickers: tuple[str, ...] | None
    asset_classes: dict[str, str]
    groups: dict[str, dict[str, str]] = {}
    merge: dict[str, str] = {}
    benchmark: Resolved | None = None

    @property
    def name(self) -> str:
        return self.strategy.name

    @classmethod
    def from_config(
        cls, name: str, config: Mapping[str, Any], check_factor: CheckFactor | None = None
    ) -> Resolved:
        """The strategy that a recorded `config` came from: same numbers, same `config_hash`.

        Description and asset classes are gone: they decide no number. With `check_factor`, factors
        have what they gained since it was recorded, as if it were read from a file today.

        Raises
        ------
        FactorLabError : this FactorLab's strategies have other fields.
        """
        said = dict(config)
        tickers, benchmark = said.pop("tickers"), said.pop("benchmark_config", None)
        groups, merge = said.pop("groups", {}), said.pop("merge", {})
        said |= {"name": name, "description": "from the ledger"}
        said["universe"] = {**said.get("universe", {}), "of": tickers or "all"}
        what = "the recorded configuration does not fit this version of FactorLab"
        do = "check out the commit that the ledger names"
        strategy = parsing.validated(Strategy, said, f"configuration of {name}", what, do)
        if check_factor is not None:
            full = _checked(f"configuration of {name}", strategy.factors, check_factor)
            strategy = strategy.model_copy(update={"factors": full})
        of = strategy.benchmark.removeprefix("strategy:")
        other = cls.from_config(of, benchmark, check_factor) if benchmark else None
        return cls(
            strategy=strategy,
            tickers=tickers,
            asset_classes={},
            groups=groups,
            merge=merge,
            benchmark=other,
        )

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the experiment id is made of: name, prose and other tries left out, and what is only
        shown."""
        said = self.strategy.model_dump(mode="json", exclude=_NOT_CONFIG)
        for resolved in ("of", "asset_class"):
            del said["universe"][resolved]
        said["portfolio"]["net"] = self.strategy.portfolio.target_net
        said["tickers"] = self.tickers
        if self.groups:
            said |= {"groups": self.groups, "merge": self.merge}
        if self.benchmark is not None:
            said["benchmark_config"] = self.benchmark.config
        return said

    @cached_property
    def config_json(self) -> str:
        return json.dumps(self.config, sort_keys=True, separators=(",", ":"))

    @cached_property
    def config_hash(self) -> str:
        return hashlib.sha256(self.config_json.encode()).hexdigest()[:16]


_NOT_CONFIG = {"name", "description", "active", "sweep", "prior_trials"}
_SEE_DOCS = "correct it; docs/strategies.md lists every key, `factorlab factors` every parameter"


def check_name(name: str) -> str:
    """`name` itself if it may be a strategy's name (and so a partition key and a file name)."""
    if not re.fullmatch(STRATEGY_PATTERN, name):
        raise FactorLabError(
            "that cannot be a strategy's name",
            got=repr(name),
            expected="1 to 80 of a-z, 0-9, '_', '-' and '.', the first a letter or a digit",
            do="rename the file, or give another name",
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
    return from_mapping(name, parsing.mapping(parsing.read_text(path), path), path, check_factor)


def from_mapping(
    name: str, said: Mapping[str, Any], origin: object, check_factor: CheckFactor
) -> Strategy:
    """The strategy that a file of this mapping would be; `origin` is what errors call it.

    Raises
    ------
    FactorLabError : it says something not allowed; names the place in it, the value and what is.
    """
    check_name(name)
    if "name" in said:
        where, what = f"{origin}: name", parsing.NOT_ALLOWED
        raise FactorLabError(what, where=where, expected="no such key", do=_SEE_DOCS)
    given = {"name": name, **said}
    strategy = parsing.validated(Strategy, given, origin, parsing.NOT_ALLOWED, _SEE_DOCS)
    factors = _checked(origin, strategy.factors, check_factor)
    return strategy.model_copy(update={"factors": factors})


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


def resolve(
    strategy: Strategy, universes: Mapping[str, NamedUniverse], strategies: Mapping[str, Strategy]
) -> Resolved:
    """The strategy with its universe and benchmark looked up.

    Raises
    ------
    FactorLabError : an unknown universe or benchmark strategy.
    """
    where = f"strategy {strategy.name}"
    members = look_up(strategy.universe, universes, where)
    _check_members(strategy, members, where)
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
    used = strategy.groupings
    return Resolved(
        strategy=strategy,
        tickers=members.tickers,
        asset_classes=members.groups[ASSET_CLASS] if members.tickers else {},
        groups={name: members.groups[name] for name in sorted(used)},
        merge=members.merge if used else {},
        benchmark=benchmark,
    )


def _check_members(strategy: Strategy, members: Meaning, where: str) -> None:
    """Raise FactorLabError where the file names a ticker or a grouping that is not there."""
    portfolio = strategy.portfolio
    safe = portfolio.select.safe
    named = {
        "portfolio.fixed_weights": set(portfolio.fixed_weights),
        "portfolio.select.safe": {safe} if safe else set(),
        "costs.spread_bps": set(strategy.costs.spread_bps),
    }
    for place, tickers in named.items():
        if members.tickers is not None and (stray := sorted(tickers - set(members.tickers))):
            raise FactorLabError(
                "tickers outside the universe",
                where=f"{where}: {place}",
                got=", ".join(stray),
                expected=", ".join(members.tickers),
            )
    for i, factor in enumerate(strategy.factors):
        most = max((len(t.factors) for t in factor.transforms if t.kind == "neutralize"), default=0)
        if most and members.tickers is not None and len(members.tickers) <= most + 1:
            raise FactorLabError(
                "a regression on as many factors as there are names leaves no signal",
                where=f"{where}: factors[{i}].transforms: neutralize",
                got=f"{most} factors and an intercept, {len(members.tickers)} tickers",
                expected=f"at least {most + 2} tickers",
                do="neutralize against fewer factors, or widen the universe",
            )
    for name in sorted(strategy.groupings):
        if name not in members.groups:
            raise FactorLabError(
                "unknown grouping",
                where=where,
                got=repr(name),
                expected=f"one of {', '.join(sorted(members.groups))}",
                do="add it to the universe's `groups` in the universes file, or correct the name",
            )
    known = set(members.groups.get(portfolio.group_by, {}).values())
    if stray := sorted(set(portfolio.groups) - known):
        raise FactorLabError(
            "bounds on groups that no ticker of the universe is in",
            where=f"{where}: portfolio.groups",
            got=", ".join(stray),
            expected=f"some of {', '.join(sorted(known))}",
        )
    if members.tickers is not None:
        groups, largest = (
            members.groups.get(portfolio.group_by, {}),
            strategy.universe.top_dollar_volume,
        )
        check_universe(portfolio, members.tickers, groups, where, largest=largest)


def _checked(origin: object, factors: tuple[Factor, ...], check: CheckFactor) -> tuple[Factor, ...]:
    checked = []
    for i, factor in enumerate(factors):
        try:
            params, delay = check(factor.name, factor.params, factor.delay)
        except ValueError as error:
            where = f"{origin}: factors[{i}]"
            raise FactorLabError("bad factor", where=where, got=error, do=_SEE_DOCS) from None
        checked.append(factor.model_copy(update={"params": params, "delay": delay}))
    return tuple(checked)
