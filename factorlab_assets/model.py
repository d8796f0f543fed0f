"""What the pydantic models of a strategy file and of the universes file share.

Belongs here: the base model and field types. Does not: any particular model.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from factorlab_assets.schemas import TICKER_PATTERN

Ticker = Annotated[str, Field(pattern=TICKER_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Whole = Annotated[int, Strict()]
"""Strict, because YAML reads yes and on as true, which would count as 1."""
Number = Annotated[float, Strict()]


class Model(BaseModel):
    """A frozen mapping of known keys; an unknown one is an error that lists the known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(data.keys() - cls.model_fields.keys())):
            allowed = ", ".join(cls.model_fields)
            raise ValueError(f"only the keys {allowed}; there is no {', '.join(unknown)}")
        return data
