"""What a strategy file says of the tries around it: its sweep, and those made elsewhere.

Belongs here: the `sweep` block. Does not: what a combination's value may be (the other parts of the
file say that), or expanding the block into strategies (`sweep`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from factorlab_assets.model import Model, Number, Whole

MOST_COMBINATIONS = 10_000
"""Of one sweep."""

Value = bool | Whole | Number | str | None
Choose = Literal["sharpe", "information_ratio", "cagr"]


class Span(Model):
    """Values from `start` to `stop`, both included, `step` apart."""

    start: Whole | Number
    stop: Whole | Number
    step: Whole | Number

    @model_validator(mode="after")
    def _goes_up(self) -> Span:
        if self.step <= 0 or self.stop < self.start:
            raise ValueError("start ≤ stop and step > 0")
        return self

    @property
    def _is_whole(self) -> bool:
        return all(isinstance(each, int) for each in (self.start, self.stop, self.step))

    @property
    def count(self) -> int:
        """How many values there are."""
        if self._is_whole:
            return int((self.stop - self.start) // self.step) + 1
        steps = (self.stop - self.start) / self.step
        return int(steps + max(1e-9, steps * 1e-15)) + 1  # the last one, missed by rounding

    def at(self, i: int) -> Value:
        """The value number `i`, from 0, free of the rounding that adding steps up would leave.

        >>> [Span(start=0.1, stop=0.3, step=0.1).at(i) for i in range(3)]
        [0.1, 0.2, 0.3]
        """
        value = self.start + i * self.step
        return value if self._is_whole else round(value, 12)


class WalkForward(Model):
    """Choosing on a training window what earns in the months after it, again and again."""

    train_months: Annotated[Whole, Field(ge=12)] = 60
    test_months: Annotated[Whole, Field(ge=1)] = 12
    choose_by: Choose = "sharpe"


class CrossValidation(Model):
    """Combinatorial purged cross-validation: every choice of test folds among all folds."""

    folds: Annotated[Whole, Field(ge=3, le=16)] = 10
    test_folds: Annotated[Whole, Field(ge=2)] = 2

    @model_validator(mode="after")
    def _fewer(self) -> CrossValidation:
        if self.test_folds >= self.folds:
            raise ValueError("test_folds must be fewer than folds")
        return self


class Sweep(Model):
    """A grid of combinations, or a seeded sample of it.

    parameters : dotted path into the file (`factors.LABEL.lookback`) -> its values; the last path
    varies fastest. sample : so many combinations drawn without replacement; None takes all of them.
    blocks : into how many the history is cut for the probability of backtest overfitting.
    """

    parameters: Annotated[dict[str, Span | tuple[Value, ...]], Field(min_length=1)]
    sample: Annotated[Whole, Field(ge=1, le=MOST_COMBINATIONS)] | None = None
    seed: Annotated[Whole, Field(ge=0)] = 0
    blocks: Annotated[Whole, Field(ge=4, le=16, multiple_of=2)] = 16
    walk_forward: WalkForward = WalkForward()
    cross_validation: CrossValidation = CrossValidation()

    @field_validator("parameters")
    @classmethod
    def _each_once(
        cls, said: dict[str, Span | tuple[Value, ...]]
    ) -> dict[str, Span | tuple[Value, ...]]:
        for path, values in said.items():
            if isinstance(values, tuple) and not values:
                raise ValueError(f"{path} has no values")
            if isinstance(values, tuple) and len(set(map(repr, values))) < len(values):
                raise ValueError(f"{path} names a value twice")
        return said

    @model_validator(mode="after")
    def _not_too_many(self) -> Sweep:
        if self.sample is None and self.total > MOST_COMBINATIONS:
            raise ValueError(
                f"at most {MOST_COMBINATIONS:,} combinations, and these are {self.total:,}; leave "
                "values out, or say `sample: 1000` to draw a thousand of them"
            )
        return self

    @property
    def counts(self) -> dict[str, int]:
        """How many values each parameter has."""
        return {
            path: values.count if isinstance(values, Span) else len(values)
            for path, values in self.parameters.items()
        }

    @property
    def total(self) -> int:
        """How many combinations the whole grid has."""
        return math.prod(self.counts.values())

    def at(self, index: int) -> dict[str, Value]:
        """The combination number `index` of the grid, from 0: path -> value.

        >>> Sweep(parameters={"a": (1, 2), "b": ("x", "y", "z")}).at(4)
        {'a': 2, 'b': 'y'}
        """
        found: dict[str, Value] = {}
        for path, count in reversed(self.counts.items()):
            index, i = divmod(index, count)
            values = self.parameters[path]
            found[path] = values.at(i) if isinstance(values, Span) else values[i]
        return dict(reversed(found.items()))
