"""The named universes of a file, and which tickers, classes and groups a strategy's universe means.

Belongs here: the models of `data/universes.yaml` and looking a universe up. Does not: who of it may
be held at a date (`core.membership`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

from pydantic import Field

from factorlab_assets import parsing
from factorlab_assets.errors import FactorLabError
from factorlab_assets.model import Model, Name, Ticker
from factorlab_assets.strategy_signals import Universe

ASSET_CLASS = "asset_class"
"""The grouping that every named universe has."""


class NamedUniverse(Model):
    """A named universe: ticker -> asset class, and further groupings of its tickers."""

    description: str = ""
    tickers: Annotated[dict[Ticker, Name], Field(min_length=1)]
    groups: dict[Name, dict[Ticker, Name]] = {}
    """Grouping -> ticker -> group, beside asset_class."""
    merge: dict[Name, Name] = {}
    """Where fewer than three names of a group are there, they count to the group named here; of
    that group the same holds, and without one they count to the whole cross-section."""


@dataclass(frozen=True)
class Meaning:
    """What a strategy's universe means: `tickers` None is every one of the version.

    groups : grouping -> ticker -> group, asset_class among them. merge : small group -> larger.
    """

    tickers: tuple[str, ...] | None
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    merge: dict[str, str] = field(default_factory=dict)


def load_universes(path: Path) -> dict[str, NamedUniverse]:
    """The named universes of a file; `all` is no name, it means every ticker of a version."""
    do = "correct it, or restore the file"
    universes = parsing.read_yaml(path, dict[str, NamedUniverse], do)
    if "all" in universes:
        raise FactorLabError("no universe may be named all: that is every ticker", where=path)
    for name, universe in universes.items():
        if ASSET_CLASS in universe.groups:
            where = f"{path}: {name}.groups.{ASSET_CLASS}"
            raise FactorLabError("asset_class is what `tickers` say", where=where, do=do)
        _check_merge(universe.merge, f"{path}: {name}.merge")
    return universes


def _check_merge(merge: Mapping[str, str], where: str) -> None:
    """Raise FactorLabError where small groups would count to each other in a circle."""
    try:
        TopologicalSorter({small: (large,) for small, large in merge.items()}).prepare()
    except CycleError as error:
        raise FactorLabError(
            "groups that merge into each other in a circle",
            where=where,
            got=" → ".join(error.args[1][::-1]),
            expected="small groups that count to larger ones",
            do="leave one of them out",
        ) from None


def look_up(universe: Universe, universes: Mapping[str, NamedUniverse], where: str) -> Meaning:
    """The tickers that a strategy's `universe` names, and how they are grouped.

    A list of tickers and `all` are grouped as all named universes together say.

    Raises
    ------
    FactorLabError : an unknown universe, one without a ticker of the asset class, or groups that
        merge in a circle; `where` says whose it is.
    """
    named = list(universes.values())
    tickers: tuple[str, ...] | None = None
    if isinstance(universe.of, tuple):
        tickers = tuple(sorted(set(universe.of)))
    elif universe.of in universes:
        own = universes[universe.of]
        tickers = tuple(sorted(own.tickers))
        named = [own]
    elif universe.of != "all":
        raise FactorLabError(
            "unknown universe",
            where=f"{where}: universe",
            got=repr(universe.of),
            expected=f"'all', a list of tickers, or one of {', '.join(sorted(universes))}",
            do="add it to the universes file or correct the name",
        )
    groups: dict[str, dict[str, str]] = {ASSET_CLASS: {}}
    merge: dict[str, str] = {}
    for each in named:
        groups[ASSET_CLASS] |= each.tickers
        for name, members in each.groups.items():
            groups[name] = groups.get(name, {}) | members
        merge |= each.merge
    _check_merge(merge, f"{where}: universe: merge of {', '.join(sorted(universes))}")
    if universe.asset_class is not None:
        classes = groups[ASSET_CLASS]
        of_class = [t for t, cls in classes.items() if cls == universe.asset_class]
        tickers = tuple(sorted(t for t in of_class if tickers is None or t in tickers))
        if not tickers:
            raise FactorLabError(
                "no ticker of that asset class",
                where=f"{where}: universe.asset_class",
                got=repr(universe.asset_class),
                expected=f"one of {', '.join(sorted(set(classes.values())))}",
                do="correct it, or give its tickers that class in the universes file",
            )
    if tickers is not None:
        groups = {
            name: {t: members[t] for t in tickers if t in members}
            for name, members in groups.items()
        }
    return Meaning(tickers, groups, merge)
