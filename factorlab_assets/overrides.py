"""A strategy file as the mapping that it says: changed by dotted paths, and written out again.

Belongs here: paths, `--set`, and the text of a strategy file. Does not: what a value may be (the
models say that), or many combinations of values (`sweep`).

A path names keys as the file does. A factor goes by its label or name, or by its place, from 0:
`factors.trend.params.lookback`, `factors.0.params.lookback`. Where a factor has no such key,
`params` may be left out: `factors.trend.lookback`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

import yaml

from factorlab_assets import parsing
from factorlab_assets.errors import FactorLabError
from factorlab_assets.model import Model
from factorlab_assets.strategy import Resolved, Strategy, resolve
from factorlab_assets.strategy_signals import Factor
from factorlab_assets.universes import NamedUniverse

Place = tuple[str | int, ...]
"""A path, spelled out: its keys, and places in lists."""

_DO = "correct the path; docs/strategies.md lists every key"
_WIDTH = 100


def apply(said: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a strategy file says, with other values at some paths; later ones see earlier ones.

    Parameters
    ----------
    said : the file's mapping. It is not changed. changes : dotted path -> value.

    Raises
    ------
    FactorLabError : a path that leads nowhere, or to one of several factors.

    >>> apply({"factors": [{"name": "trend"}]}, {"factors.trend.lookback": 6})
    {'factors': [{'name': 'trend', 'params': {'lookback': 6}}]}
    """
    changed = copy.deepcopy(dict(said))
    for path, value in changes.items():
        _put(changed, place(changed, path), copy.deepcopy(value))
    return changed


def apply_at(said: Mapping[str, Any], changes: Mapping[Place, Any]) -> dict[str, Any]:
    """`apply` where each path's `place` is known."""
    changed = copy.deepcopy(dict(said))
    for where, value in changes.items():
        _put(changed, where, copy.deepcopy(value))
    return changed


def place(said: Mapping[str, Any], path: str) -> Place:
    """Where a dotted path leads in what a strategy file says.

    Raises
    ------
    FactorLabError : nowhere, or to one of several factors; says what there is.

    >>> place({"factors": [{"name": "trend", "label": "t"}]}, "factors.t.lookback")
    ('factors', 0, 'params', 'lookback')
    """
    found: list[str | int] = []
    kind: Any = Strategy
    rest, value = path.split("."), said
    while rest:
        found_here, rest, kind = _step(path, found, rest, kind, value)
        for key in found_here:
            value = _inside(value, key)
        found += found_here
    return tuple(found)


def _step(
    path: str, found: Sequence[str | int], rest: list[str], kind: Any, value: Any
) -> tuple[list[str | int], list[str], Any]:
    """The next keys of a path, what is left of it, and the type of what they lead to."""
    at = ".".join(map(str, found))
    if isinstance(kind, type) and issubclass(kind, Model):
        key, *left = rest
        fields = kind.model_fields
        if key in fields and not (kind is Strategy and key == "name"):
            return [key], left, _plain_type(fields[key].annotation)
        if kind is Factor:
            return ["params", ".".join(rest)], [], None
        known = ", ".join(name for name in fields if kind is not Strategy or name != "name")
        raise _nowhere(path, at, key, known)
    if get_origin(kind) is tuple:
        each = _plain_type(get_args(kind)[0])
        entries = value if isinstance(value, list | tuple) else []
        if each is Factor:
            index, left = _factor(path, entries, rest)
        else:
            index, left = _index(path, at, rest, len(entries)), rest[1:]
        return [index], left, each
    if get_origin(kind) is dict:
        each = _plain_type(get_args(kind)[1])
        if isinstance(each, type) and issubclass(each, Model) and len(rest) > 1:
            return [".".join(rest[:-1])], rest[-1:], each
        return [".".join(rest)], [], None  # a ticker or a name may have a dot in it
    if kind is dict:
        return [rest[0]], rest[1:], dict
    raise _nowhere(path, at, rest[0], "nothing: it is a value, not a mapping")


def _plain_type(annotation: Any) -> Any:
    """A model, tuple[...] or dict[...] of a field's type; `dict` where it may be several models,
    None where it is a value."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    origin = get_origin(annotation)
    if origin in (tuple, dict):
        return annotation
    inside = [each for each in map(_plain_type, get_args(annotation)) if each is not None]
    if origin is Union or len(inside) > 1:
        return inside[0] if len(inside) == 1 else dict if inside else None
    return inside[0] if inside else None


def _factor(path: str, factors: Sequence[Any], rest: list[str]) -> tuple[int, list[str]]:
    """Which factor the path names, and what is left of it: by key, by name, or by place."""
    said = [each if isinstance(each, Mapping) else {} for each in factors]
    labels = [str(each.get("label") or each.get("name") or "") for each in said]
    names = [str(each.get("name") or "") for each in said]
    for called in (labels, names):
        for length in range(len(rest), 0, -1):  # a label may have a dot in it
            wanted = ".".join(rest[:length])
            matches = [i for i, label in enumerate(called) if label == wanted]
            if len(matches) > 1:
                raise FactorLabError(
                    "the path names several factors",
                    where=path,
                    got=wanted,
                    expected="one of " + ", ".join(f"factors.{i} ({labels[i]})" for i in matches),
                    do="name it by its label or its place",
                )
            if matches:
                return matches[0], rest[length:]
    if rest[0].isdigit() and int(rest[0]) < len(factors):
        return int(rest[0]), rest[1:]
    known = ", ".join(f"{i} ({label})" for i, label in enumerate(labels))
    raise _nowhere(path, "factors", rest[0], known or "no factor")


def _index(path: str, at: str, rest: Sequence[str], count: int) -> int:
    if rest[0].isdigit() and int(rest[0]) < count:
        return int(rest[0])
    raise _nowhere(path, at, rest[0], f"0 to {count - 1}" if count else "an empty list")


def _nowhere(path: str, at: str, key: str, known: str) -> FactorLabError:
    return FactorLabError(
        "the path leads to nothing that a strategy file says",
        where=path,
        got=repr(key),
        expected=f"in {at or 'the file'}: {known}",
        do=_DO,
    )


def _inside(value: Any, key: str | int) -> Any:
    """What is at a key, None where nothing is."""
    if isinstance(key, int):
        return value[key]
    return value.get(key) if isinstance(value, Mapping) else None


def _put(changed: dict[str, Any], where: Place, value: Any) -> None:
    """Set the value, making the mappings on the way that are not there."""
    inside: Any = changed
    for depth, key in enumerate(where[:-1]):
        there = _inside(inside, key)
        if isinstance(there, tuple):
            there = list(there)
        if depth == 0 and key == "universe" and isinstance(there, str | list):
            there = {"of": there}  # what it is short for
        elif not isinstance(there, dict | list):
            there = {}
        inside[key] = there
        inside = there
    inside[where[-1]] = value


def parse_set(changes: Iterable[str]) -> dict[str, Any]:
    """Paths and values of `--set path=value`, the values as YAML reads them.

    Raises
    ------
    FactorLabError : no path or no "=", a path given twice, or a value that is not YAML.

    >>> parse_set(["portfolio.select.top_k=5", "universe=[SPY, TLT]", "cash.ticker="])
    {'portfolio.select.top_k': 5, 'universe': ['SPY', 'TLT'], 'cash.ticker': None}
    """
    found: dict[str, Any] = {}
    for each in changes:
        path, is_given, text = each.partition("=")
        path = path.strip()
        if not path or not is_given or path in found:
            raise FactorLabError(
                "that path is given twice" if path in found else "that sets nothing",
                where="--set",
                got=repr(each),
                expected="path=value, each path once, as in portfolio.select.top_k=5",
            )
        found[path] = parsing.value(text, f"--set {path}")
    return found


def strategy_text(said: Mapping[str, Any], header: str = "") -> str:
    """The text of a strategy file that says this: description first, keys in the models' order.

    Parameters
    ----------
    said : as `parsing` reads it from a file. header : becomes a comment above it.

    >>> print(strategy_text({"universe": "all", "description": "Holds all."}, "An example"), end="")
    # An example
    description: Holds all.
    universe: all
    """
    body = yaml.dump(
        _Block(_ordered({key: value for key, value in said.items() if key != "name"}, Strategy)),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=_WIDTH,
    )
    # A comment may hold no character that YAML refuses, and may not end early.
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in header.splitlines())
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + body


class _Block(dict[str, Any]):
    """A mapping with a line per key, short as it may be."""


class _Dumper(yaml.SafeDumper):
    """Writes an object that stands in two places twice, and not as a reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, said: str) -> yaml.ScalarNode:
    """Escaped where it holds what YAML may take for a line's end."""
    is_plain = all(c.isprintable() or c == "\n" for c in said)
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _Block,
    lambda dumper, said: dumper.represent_mapping("tag:yaml.org,2002:map", said, flow_style=False),
)


def _ordered(said: Any, kind: Any) -> Any:
    """The same, every mapping's keys in the order of its model; others keep theirs."""
    if isinstance(said, list | tuple):
        each = _plain_type(get_args(kind)[0]) if get_origin(kind) is tuple else None
        return [_ordered(one, each) for one in said]
    if not isinstance(said, Mapping):
        return said
    if isinstance(kind, type) and issubclass(kind, Model):
        fields = kind.model_fields
        keys = [key for key in fields if key in said] + [key for key in said if key not in fields]
        inside = {key: _plain_type(fields[key].annotation) for key in keys if key in fields}
        return {key: _ordered(said[key], inside.get(key)) for key in keys}
    each = _plain_type(get_args(kind)[1]) if get_origin(kind) is dict else None
    return {key: _ordered(value, each) for key, value in said.items()}


def from_config(
    name: str,
    config: Mapping[str, Any],
    universes: Mapping[str, NamedUniverse],
    strategies: Mapping[str, Strategy],
    description: str = "From the ledger of experiments.",
) -> dict[str, Any]:
    """What the strategy file says that a recorded configuration stands for.

    A configuration keeps tickers and groups, and not the universe's name: today's universe of the
    same tickers and groups is named where there is one, else the tickers are. Keys that have their
    defaults are left out.

    Parameters
    ----------
    name : of the new strategy. config : of the ledger. universes, strategies : those there are.

    Returns
    -------
    A mapping that `resolve` makes the same `config_hash` of.

    Raises
    ------
    FactorLabError : it does not fit this version of FactorLab; nobody has its groups any more; or
        the strategy that it is compared with is gone or another.
    """
    recorded = Resolved.from_config(name, config)
    _check_benchmark(recorded, universes, strategies)
    said = _said(recorded.strategy) | {"description": description}
    del said["name"]
    filters = {key: value for key, value in said.get("universe", {}).items() if key != "of"}
    for of in _candidates(recorded, universes):
        said["universe"] = of["of"] if set(of) == {"of"} and not filters else of | filters
        strategy = Strategy.model_validate(said | {"name": name})
        try:
            if resolve(strategy, universes, strategies).config_hash == recorded.config_hash:
                return said
        except FactorLabError:
            continue  # a universe without these groups
    tickers = recorded.tickers
    raise FactorLabError(
        "no universe has the groups that the experiment was computed with",
        where=f"configuration of {name}: groups {', '.join(sorted(recorded.groups)) or 'of none'}",
        got=", ".join(sorted(universes)),
        expected="one of the same tickers, groups and merge"
        + ("" if tickers is None else f": {', '.join(tickers)}"),
        do="add it to the universes file, as the ledger's config has it",
    )


def _candidates(
    recorded: Resolved, universes: Mapping[str, NamedUniverse]
) -> Iterable[dict[str, Any]]:
    """What `universe` may have said, the most telling first."""
    tickers = recorded.tickers
    if tickers is None:
        yield {"of": "all"}
        return
    wanted = set(tickers)
    for name, universe in universes.items():
        if set(universe.tickers) == wanted:
            yield {"of": name}
    yield {"of": list(tickers)}
    for name, universe in universes.items():
        for asset_class in dict.fromkeys(universe.tickers.values()):
            if {t for t, cls in universe.tickers.items() if cls == asset_class} == wanted:
                yield {"of": name, "asset_class": asset_class}


def _check_benchmark(
    recorded: Resolved,
    universes: Mapping[str, NamedUniverse],
    strategies: Mapping[str, Strategy],
) -> None:
    """Raise FactorLabError where the strategy that it was compared with is not that one today."""
    if recorded.benchmark is None:
        return
    other = recorded.strategy.benchmark.removeprefix("strategy:")
    today = None
    if other in strategies:
        plain = strategies[other].model_copy(update={"benchmark": "SPY"})
        today = resolve(plain, universes, strategies).config_hash
    if today != recorded.benchmark.config_hash:
        raise FactorLabError(
            "the strategy that the experiment was compared with is another today"
            if today
            else "the strategy that the experiment was compared with is gone",
            where=f"configuration of {recorded.name}: benchmark",
            got=f"strategy:{other}, configuration {today or 'none'}",
            expected=f"configuration {recorded.benchmark.config_hash}",
            do=f"write {json.dumps(recorded.benchmark.config)[:200]}… as that strategy again, "
            "or compare with something else",
        )


def _said(model: Model) -> dict[str, Any]:
    """What a file has to say for this model: all that is not a default, and which kind it is."""
    found = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name == "kind" or value != field.get_default(call_default_factory=True):
            found[name] = _as_said(value)
    return found


def _as_said(value: Any) -> Any:
    if isinstance(value, Model):
        return _said(value)
    if isinstance(value, list | tuple):
        return [_as_said(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _as_said(each) for key, each in value.items()}
    return value
