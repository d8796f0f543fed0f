"""From a `sweep` block to its combinations, each a strategy of its own.

Belongs here: drawing combinations, their names, which of them are none, and promoting one. Does
not: computing any (`sweep_run`), or what a path leads to (`overrides`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factorlab_assets import parsing
from factorlab_assets.errors import FactorLabError
from factorlab_assets.overrides import Place, apply, apply_at, place, strategy_text
from factorlab_assets.strategy import (
    CheckFactor,
    Resolved,
    Strategy,
    check_name,
    from_mapping,
    resolve,
)
from factorlab_assets.strategy_sweep import Sweep, Value
from factorlab_assets.universes import NamedUniverse

NOT_SWEPT = ("name", "description", "active", "sweep", "prior_trials")
"""Keys of a file that no number depends on."""
LONGEST = 80
"""Characters of a name."""
_HASH = 8
_SEE_DOCS = "correct the sweep block; docs/strategies.md has an example"

Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Combination:
    """One strategy of a sweep; parameters : path, as the file has it, -> value."""

    name: str
    parameters: dict[str, Value]
    resolved: Resolved


@dataclass(frozen=True)
class LeftOut:
    """A combination that is no experiment, and why."""

    name: str
    parameters: dict[str, Value]
    reason: str


@dataclass(frozen=True)
class Expansion:
    """A sweep's combinations, in the order of its grid; total : of the whole grid."""

    name: str
    sweep: Sweep
    total: int
    combinations: tuple[Combination, ...]
    left_out: tuple[LeftOut, ...]


def expand_file(
    path: Path,
    check_factor: CheckFactor,
    universes: Mapping[str, NamedUniverse],
    strategies: Mapping[str, Strategy],
) -> Expansion:
    """The combinations of a strategy file that has a sweep block; see `expand`."""
    name, said = _read(path)
    return expand(name, said, check_factor, universes, strategies, origin=path)


def expand(
    name: str,
    said: Mapping[str, Any],
    check_factor: CheckFactor,
    universes: Mapping[str, NamedUniverse],
    strategies: Mapping[str, Strategy],
    *,
    origin: object = "",
) -> Expansion:
    """The combinations of a strategy with a sweep block.

    The whole grid, the last parameter varying fastest, or `sample` of it, drawn by `seed` without
    replacement. A combination that no strategy file could say (a skip beyond the lookback, more
    names than there are) is left out with the reason, and so is one that says the same as an
    earlier one: neither counts as a try.

    Parameters
    ----------
    name, said : the sweep's, as its file says it. origin : what errors call the file.
    check_factor, universes, strategies : as `from_mapping` and `resolve` take them.

    Returns
    -------
    Expansion; its combinations are named SWEEP.lookback-12.top_k-5 by the shortest ends of their
    paths that tell them apart. Grids of any size take the time of the combinations drawn.

    Raises
    ------
    FactorLabError : the strategy itself is not valid, it has no sweep block, a path leads nowhere,
        to what decides no number, or to where another one leads; or every combination is left out.
    """
    origin = origin or f"strategy {name}"
    sweep, plain, places = _understood(name, said, check_factor, origin)
    drawn = [sweep.at(index) for index in _drawn(sweep)]
    combinations: list[Combination] = []
    left_out: list[LeftOut] = []
    first: dict[str, str] = {}
    for own, parameters in zip(_names(name, plain, places, drawn), drawn, strict=True):
        changes = {places[path]: value for path, value in parameters.items()}
        try:
            strategy = from_mapping(own, apply_at(plain, changes), own, check_factor)
            resolved = resolve(strategy, universes, strategies)
        except FactorLabError as error:
            left_out.append(LeftOut(own, parameters, str(error)))
            continue
        reason = _too_many_names(resolved)
        same = first.setdefault(resolved.config_hash, own)
        if same != own:
            reason = f"the same configuration as {same}"
        if reason:
            left_out.append(LeftOut(own, parameters, reason))
        else:
            combinations.append(Combination(own, parameters, resolved))
    if not combinations:
        raise FactorLabError(
            "no combination of the sweep is a strategy",
            where=f"{origin}: sweep",
            got=f"{len(left_out):,} refused, {left_out[0].name} because: {left_out[0].reason}",
            do=_SEE_DOCS,
        )
    return Expansion(name, sweep, sweep.total, tuple(combinations), tuple(left_out))


def promote(path: Path, combination: str, name: str, check_factor: CheckFactor) -> str:
    """The text of a strategy file `name` that is a combination of the sweep in file `path`.

    It says where it comes from, has no sweep block, and the combination's `config_hash`.

    Raises
    ------
    FactorLabError : as for `expand`, no such combination, or one that is no strategy.
    """
    sweep_name, said = _read(path)
    sweep, plain, places = _understood(sweep_name, said, check_factor, path)
    drawn = [sweep.at(index) for index in _drawn(sweep)]
    named = dict(zip(_names(sweep_name, plain, places, drawn), drawn, strict=True))
    if combination not in named:
        raise FactorLabError(
            "the sweep has no such combination",
            where=path,
            got=repr(combination),
            expected=f"one of {len(named):,}, as {next(iter(named))}",
            do="see the table sweep_metrics, or correct the name",
        )
    text = apply(plain, named[combination])
    given = ", ".join(f"{key} = {_text(value)}" for key, value in named[combination].items())
    origin = f"Combination {combination} of the sweep {sweep_name}: {given}."
    text["description"] = f"{str(plain['description']).strip()} {origin}"
    from_mapping(check_name(name), text, f"{path}: {combination}", check_factor)
    return strategy_text(text, origin)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    name = check_name(path.name.removesuffix(".yaml"))
    return name, parsing.mapping(parsing.read_text(path), path)


def _too_many_names(resolved: Resolved) -> str:
    """What is wrong where there can never be as many names as are to be held; "" where nothing is.

    A file may say so: it holds all that there are, and cash. In a sweep it is a slip.
    """
    portfolio, tickers = resolved.strategy.portfolio, resolved.tickers
    if portfolio.select.top_k is None or tickers is None:
        return ""
    count = len(set(tickers) - {portfolio.select.safe})
    count = min(count, resolved.strategy.universe.top_dollar_volume or count)
    wanted = portfolio.select.top_k * (2 if portfolio.type == "long_short" else 1)
    return f"{wanted} names to hold, and {count} in the universe" if wanted > count else ""


def _understood(
    name: str, said: Mapping[str, Any], check_factor: CheckFactor, origin: object
) -> tuple[Sweep, dict[str, Any], dict[str, Place]]:
    """The sweep block, what the file says without it, and where each parameter's path leads."""
    sweep = from_mapping(name, said, origin, check_factor).sweep
    if sweep is None:
        raise FactorLabError(
            "the strategy has no sweep block",
            where=origin,
            do="add `sweep: {parameters: {portfolio.select.top_k: [3, 4, 5]}}`",
        )
    plain = {key: value for key, value in said.items() if key != "sweep"}
    places: dict[str, Place] = {}
    for path in sweep.parameters:
        where = f"{origin}: sweep.parameters: {path}"
        try:
            leads_to = place(plain, path)
        except FactorLabError as error:
            raise FactorLabError("bad sweep", where=where, got=error, do=_SEE_DOCS) from None
        if leads_to[0] in NOT_SWEPT:
            wanted = f"a path that a number depends on, none of {', '.join(NOT_SWEPT)}"
            raise FactorLabError("bad sweep", where=where, expected=wanted, do=_SEE_DOCS)
        for other, earlier in places.items():
            shorter = min(len(leads_to), len(earlier))
            if leads_to[:shorter] == earlier[:shorter]:
                what = "two parameters lead to the same value"
                raise FactorLabError(what, where=where, got=other, do=_SEE_DOCS)
        places[path] = leads_to
    return sweep, plain, places


def _drawn(sweep: Sweep) -> Sequence[int]:
    """Which combinations of the grid, ascending.

    The i-th draw is SHA-256(seed|i) modulo the grid's size, one drawn before is drawn again: the
    same on every machine and with every version of Python and numpy, and for grids of any size.
    """
    if sweep.sample is None or sweep.sample >= sweep.total:
        return range(sweep.total)
    found: set[int] = set()
    i = 0
    while len(found) < sweep.sample:
        digest = hashlib.sha256(f"{sweep.seed}|{i}".encode()).digest()
        found.add(int.from_bytes(digest, "big") % sweep.total)
        i += 1
    return sorted(found)


def _spoken(said: Mapping[str, Any], place: Place) -> list[str]:
    """A place as it is told: factors by their keys, `params` left out."""
    spoken = [str(step) for step in place]
    if place[0] == "factors" and len(place) > 1:
        factor = said["factors"][place[1]]
        spoken[1] = str(factor.get("label") or factor.get("name"))
        spoken = [step for i, step in enumerate(spoken) if not (i == 2 and step == "params")]
    return spoken


def _tails(spoken: Sequence[Sequence[str]]) -> list[str]:
    """The shortest ends that are each another.

    >>> _tails([["factors", "a", "lookback"], ["factors", "b", "lookback"], ["select", "top_k"]])
    ['a_lookback', 'b_lookback', 'top_k']
    """
    lengths = [1] * len(spoken)
    while True:
        tails = [tuple(each[-n:]) for each, n in zip(spoken, lengths, strict=True)]
        often = Counter(tails)
        longer = [
            min(n + (often[tail] > 1), len(each))
            for each, tail, n in zip(spoken, tails, lengths, strict=True)
        ]
        if longer == lengths:
            return ["_".join(tail) for tail in tails]
        lengths = longer


def _names(
    name: str,
    plain: Mapping[str, Any],
    places: Mapping[str, Place],
    drawn: Sequence[Parameters],
) -> list[str]:
    """A name per combination, each once; a hash tells those apart that are too long or alike."""
    tails = _tails([_spoken(plain, where) for where in places.values()])
    full = [
        ".".join(
            [
                name,
                *(f"{tail}-{_text(own[path])}" for path, tail in zip(places, tails, strict=True)),
            ]
        )
        for own in drawn
    ]
    safe = [re.sub(r"[^a-z0-9_.-]+", "_", each.lower()) for each in full]
    often = Counter(safe)
    return [
        own if often[own] == 1 and len(own) <= LONGEST else _hashed(own, parameters)
        for own, parameters in zip(safe, drawn, strict=True)
    ]


def _hashed(name: str, parameters: Parameters) -> str:
    digest = hashlib.sha256(json.dumps(dict(parameters)).encode()).hexdigest()[:_HASH]
    return f"{name[: LONGEST - _HASH - 1]}-{digest}"


def _text(value: Value) -> str:
    """A value in a name, and as YAML has it.

    >>> [_text(value) for value in (12, 0.5, 1e-7, True, None, "drifted")]
    ['12', '0.5', '1e-07', 'true', 'null', 'drifted']
    """
    return value if isinstance(value, str) else json.dumps(value)
