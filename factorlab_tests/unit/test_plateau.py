"""A sweep over two of its parameters, and the neighbours of its best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from factorlab_assets.evaluation.plateau import neighbours, plateau

GRID = [
    {"factors.m.lookback": lookback, "factors.m.skip": skip, "portfolio.select.top_k": k}
    for lookback, skip, k in product((12, 3, 6), (0, 1), (2, 3, 4, 5))
]


def rows_of(said: Sequence[Mapping[str, Any]], values: Sequence[float | None]) -> list[dict]:
    pairs = zip(said, values, strict=True)
    return [{"parameters": json.dumps(each), "sharpe": value} for each, value in pairs]


def test_a_sweep_is_laid_out_over_its_two_longest_parameters() -> None:
    values: list[float | None] = [float(i) for i in range(24)]
    values[:9] = [None] * 9  # lookback 12; and lookback 3, skip 0, top_k 2
    found = plateau(rows_of(GRID, values), "sharpe")
    assert (found.down, found.across, found.over) == ("lookback", "top_k", "skip")
    assert found.names == ("3", "6", "12")
    assert found.columns == ("2", "3", "4", "5")
    np.testing.assert_array_equal(found.values[0], [12.0, 13.0, 14.0, 15.0])
    assert np.isnan(found.values[2]).all()


def test_one_parameter_is_a_column_and_words_keep_their_order() -> None:
    words = [{"portfolio.weighting": name} for name in ("signal", "equal", "rank")]
    found = plateau(rows_of(words, [1.0, 2.0, 3.0]), "sharpe")
    assert (found.down, found.across, found.over) == ("weighting", "", "")
    assert found.names == ("signal", "equal", "rank")
    assert found.values.tolist() == [[1.0], [2.0], [3.0]]
    switched = plateau(rows_of([{"c": 0.25}, {"c": None}, {"c": 0.1}], [1.0, 2.0, 3.0]), "sharpe")
    assert switched.names == ("0.1", "0.25", "")


def test_neighbours_differ_by_one_step_of_one_parameter() -> None:
    values = [0.0] * 24
    best = GRID.index({"factors.m.lookback": 6, "factors.m.skip": 0, "portfolio.select.top_k": 3})
    values[best] = 1.0
    for place, figure in ((best - 1, 0.1), (best + 1, 0.2), (best + 4, 0.3)):
        values[place] = figure  # top_k 2, top_k 4, skip 1
    values[best - 8] = 0.4  # lookback 3
    values[best - 16] = 0.5  # lookback 12
    values[best + 5] = 0.9  # skip 1 and top_k 4: two steps
    place, around = neighbours(rows_of(GRID, values), "sharpe")
    assert place == best
    assert sorted(around) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_sweep_without_a_figure_has_no_best() -> None:
    assert neighbours(rows_of(GRID[:2], [None, None]), "sharpe") == (-1, [])
