"""From what a user wrote to pydantic types, with errors that name the file and the place in it.

Belongs here: reading YAML, and telling pydantic's complaints as a FactorLabError. Does not: what a
strategy, a universe or a setting may say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from factorlab_assets.errors import FactorLabError

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]  # its slower twin

T = TypeVar("T")
NOT_ALLOWED = "the file says something that is not allowed"


def read_yaml(path: Path, kind: type[T], do: str) -> T:
    """The file's mapping as a `kind`.

    Raises
    ------
    FactorLabError : the file cannot be read, is not YAML, holds no mapping, or says something that
        `kind` does not allow; `do` is what it tells the user to do about that.
    """
    return validated(kind, mapping(read_text(path), path), path, NOT_ALLOWED, do)


def validated(kind: type[T], said: object, origin: object, what: str, do: str) -> T:
    """What was `said` at `origin` as a `kind`.

    Raises
    ------
    FactorLabError : `what` went wrong, and where in it.
    """
    try:
        return TypeAdapter(kind).validate_python(said)
    except ValidationError as error:
        raise explained(error, said, origin, what, do) from None


def explained(
    error: ValidationError, said: object, origin: object, what: str, do: str
) -> FactorLabError:
    """pydantic's `error` about what was `said` at `origin`, as an error of ours.

    One place is told, the deepest: where a value may take several forms, pydantic complains about
    every one of them, and the deepest complaint is about the form that was meant.
    """
    problems: dict[tuple[int | str, ...], list[Mapping[str, Any]]] = {}
    for problem in error.errors(include_url=False):
        place = _place(said, problem["loc"], is_missing=problem["type"] == "missing")
        problems.setdefault(place, []).append(problem)
    place = max(problems, key=len)
    wanted = dict.fromkeys(_wanted(problem) for problem in problems[place])
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    others = f" (and in {len(problems) - 1} other places)" if len(problems) > 1 else ""
    return FactorLabError(
        what + others,
        where=f"{origin}: {path.lstrip('.') or 'top level'}",
        got=_got(problems[place][0]),
        expected=" or ".join(wanted),
        do=do,
    )


def _place(said: object, loc: Sequence[int | str], *, is_missing: bool) -> tuple[int | str, ...]:
    """`loc` without the union members' names, which pydantic puts between the steps into `said`."""
    place: list[int | str] = []
    for step in loc:
        known = range(len(said)) if isinstance(said, list | tuple) else said
        if isinstance(known, range | dict) and step in known:
            said = said[step]  # type: ignore[index]  # known are its indices or keys
            place.append(step)
    return (*place, loc[-1]) if is_missing else tuple(place)


def _wanted(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "a value"
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def _got(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "nothing"
    if isinstance(problem["input"], dict):
        return ""  # the complaint is about keys, which it names
    shown = repr(problem["input"])
    return shown if len(shown) <= 200 else shown[:200] + "…"


class _OnceLoader(SafeLoader):
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key {key.value} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_text(path: Path) -> str:
    """What the file holds.

    Raises
    ------
    FactorLabError : it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise FactorLabError("the file cannot be read", where=path, got=reason) from None
    except UnicodeDecodeError as error:
        raise _not_yaml(path, error) from None


def mapping(text: str, origin: object) -> dict[str, Any]:
    """The YAML mapping that `text`, which stands at `origin`, says.

    Raises
    ------
    FactorLabError : it is not YAML, or no mapping of text to values.
    """
    try:
        said = yaml.load(text, _OnceLoader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise _not_yaml(origin, error) from None
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said):
        raise FactorLabError(
            "the file holds no mapping",
            where=origin,
            got="nothing" if said is None else type(said).__name__,
            expected="keys and values, as in data/strategies/trend_12m.yaml",
        )
    return said


def value(text: str, where: object) -> Any:
    """What YAML reads in a text.

    Raises
    ------
    FactorLabError : it is not YAML.
    """
    try:
        return yaml.load(text, _OnceLoader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise FactorLabError(
            "the value is not valid YAML", where=where, got=error, do="quote it"
        ) from None


def _not_yaml(origin: object, error: Exception) -> FactorLabError:
    what = "the file is not valid YAML"
    return FactorLabError(what, where=origin, got=error, expected="a mapping in UTF-8")
