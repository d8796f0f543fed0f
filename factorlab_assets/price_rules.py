"""What is done about suspect prices and mixed bases: the rule file `data/prices.yaml`.

Belongs here: the rules' model and how they are read. Does not: finding suspects (`core.suspects`),
or changing a price (`core.adjust`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from factorlab_assets import parsing
from factorlab_assets.schemas import SUSPECT_KINDS

Action = Literal["keep", "drop", "replace", "rescale"]

DEFAULT_ACTIONS: dict[str, Action] = {
    "missing": "keep",
    "missing_market": "keep",
    "stale": "keep",
    "spike": "replace",
    "decimal": "replace",
    "ohlc": "keep",
    "volume": "keep",
    "split": "rescale",
    "outlier": "keep",
    "peers": "keep",
}


class PriceRules(BaseModel):
    """What to do per kind of suspect, and about a strategy whose prices mean different things.

    actions : kind -> keep, drop (no price, nothing filled), replace (the second source's close;
        dropped where it has none), rescale (kind split alone: every later price by the ratio).
    mixed_basis : whether a strategy whose tickers' closes carry dividends unequally is warned
        about, or refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: dict[str, Action] = {}
    mixed_basis: Literal["warn", "block"] = "warn"

    @model_validator(mode="after")
    def _known(self) -> PriceRules:
        for kind, action in self.actions.items():
            if kind not in SUSPECT_KINDS:
                raise ValueError(f"no kind {kind!r}; there are {', '.join(SUSPECT_KINDS)}")
            if kind in ("missing", "missing_market") and action != "keep":
                raise ValueError(f"{kind}: there is no bar to {action}; keep is all there is")
            if kind == "stale" and action not in ("keep", "drop"):
                raise ValueError(f"stale: a run of bars can be kept or dropped, not {action}d")
            if (action == "rescale") > (kind == "split") or (action, kind) == ("replace", "split"):
                raise ValueError(f"{kind}: {action} makes no sense; rescale is for splits alone")
        return self

    def action(self, kind: str) -> Action:
        """What to do about a suspect of this kind."""
        return self.actions.get(kind, DEFAULT_ACTIONS[kind])

    @property
    def spelled_out(self) -> dict[str, Action]:
        """The action of every kind, defaults included."""
        return {kind: self.action(kind) for kind in SUSPECT_KINDS}


def load_rules(path: Path) -> PriceRules:
    """The rules of a file; without a file the defaults.

    Raises
    ------
    FactorLabError : not YAML, or a kind or action that there is not.
    """
    if not path.exists():
        return PriceRules()
    return parsing.read_yaml(path, PriceRules, "correct it; docs/prices.md lists kinds and actions")
