"""A sweep's results over two of its parameters: a plateau, or a lucky spike?

Belongs here: laying combinations out as a grid. Does not: drawing it (`charts_evaluation`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from factorlab_assets.core.panel import Floats

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Plateau:
    """A sweep's figures over two of its parameters.

    down, across : the parameters that vary over the rows and columns, "" for one that is not there.
    names, columns : their values as text. values : (R, C), NaN where no combination has a figure.
    over : the other parameters, of which a cell shows the best; "" where there are none.
    """

    down: str
    across: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    over: str


def plateau(rows: Sequence[Row], metric: str) -> Plateau:
    """A sweep's rows over its two parameters with the most values; the best over all others.

    rows : of `sweep_metrics`. metric : the higher, the better.

    >>> said = [('{"a": 1, "b": 1}', 0.5), ('{"a": 1, "b": 2}', 0.7), ('{"a": 2, "b": 1}', None)]
    >>> found = plateau([{"parameters": p, "sharpe": s} for p, s in said], "sharpe")
    >>> found.down, found.across, found.values.tolist()
    ('a', 'b', [[0.5, 0.7], [nan, nan]])
    """
    said = [json.loads(row["parameters"]) for row in rows]
    paths = dict.fromkeys(path for each in said for path in each)
    values = {path: _in_order(each.get(path) for each in said) for path in paths}
    varied = sorted(
        (path for path in paths if len(values[path]) > 1), key=lambda p: -len(values[p])
    )
    down, across = [*sorted(varied[:2], key=list(values).index), "", ""][:2]
    sides = values.get(down, [None]), values.get(across, [None])
    grid = np.full((len(sides[0]), len(sides[1])), np.nan)
    for row, each in zip(rows, said, strict=True):
        if row[metric] is not None:
            at = sides[0].index(each.get(down)), sides[1].index(each.get(across))
            grid[at] = np.fmax(grid[at], row[metric])
    names, columns = (tuple(map(_said, side)) for side in sides)
    rest = ", ".join(_last(path) for path in varied[2:])
    return Plateau(_last(down), _last(across), names, columns, grid, rest)


def neighbours(rows: Sequence[Row], metric: str) -> tuple[int, list[float]]:
    """The place of the best row, and the metric of those that differ from it by one step of one
    parameter: a spike stands alone, a plateau does not. (−1, []) where no row has the metric.

    >>> said = [('{"a": 1}', 0.5), ('{"a": 2}', 0.7), ('{"a": 3}', None), ('{"a": 4}', 0.1)]
    >>> neighbours([{"parameters": p, "sharpe": s} for p, s in said], "sharpe")
    (1, [0.5])
    """
    known = [i for i, row in enumerate(rows) if row[metric] is not None]
    if not known:
        return -1, []
    best = max(known, key=lambda i: rows[i][metric])
    said = [json.loads(row["parameters"]) for row in rows]
    step = {path: _in_order(each[path] for each in said) for path in said[best]}
    place = [{path: step[path].index(value) for path, value in each.items()} for each in said]
    apart = [sum(abs(each[p] - place[best][p]) for p in step) for each in place]
    return best, [float(rows[i][metric]) for i in known if apart[i] == 1]


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _said(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Each once; numbers ascending, anything else after them as it comes."""
    once = list(dict.fromkeys(values))
    numbers = [v for v in once if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted(numbers) + [v for v in once if v not in numbers] if numbers else once
