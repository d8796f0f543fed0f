"""What is suspect was suspect when it says that it was known: the causality law of findings.

With the bars after any session cut off, exactly the findings of the whole history that were known
by then are found, with the same figures and words.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core import suspects_grid
from factorlab_assets.core.suspects import find_suspects
from factorlab_assets.sources.planted import Rates, plant
from factorlab_assets.sources.synthetic import Synthetic

FIRST, LAST, MONTH = dt.date(2014, 1, 1), dt.date(2017, 12, 29), "2017-12"
CLASSES = ("Equity", "Rates", "REIT")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def classes() -> dict[str, str]:
    return {f"{name[:2].upper()}{at:02d}": name for name in CLASSES for at in range(12)}


@pytest.fixture(scope="module")
def bars(classes: dict[str, str]) -> pa.Table:
    """Thirty-six tickers over four years, errors ten times as often as they should be."""
    prices = Synthetic(classes, seed=5, start=FIRST).fetch(None, LAST).prices
    return plant(prices, 5, rates=Rates().times(10), asset_classes=classes).prices


def find(bars: pa.Table, classes: dict[str, str], until: dt.date = LAST) -> Rows:
    with duckdb.connect() as con:
        con.register("bars", bars)
        relation = f"(FROM bars WHERE date <= DATE '{until}')"
        return find_suspects(con, relation, MONTH, asset_classes=classes).to_pylist()


@pytest.fixture(scope="module")
def whole(bars: pa.Table, classes: dict[str, str]) -> Rows:
    return find(bars, classes)


def known_by(rows: Rows, day: dt.date) -> Rows:
    return [row for row in rows if row["known_at"] <= day]


def test_a_cut_history_finds_what_was_known_by_then(
    bars: pa.Table, classes: dict[str, str], whole: Rows
) -> None:
    # Cut where something became known, and the session before: there a look ahead would show.
    late = sorted({row["known_at"] for row in whole if row["known_at"] > row["date"]})
    days = np.unique(np.asarray(bars["date"]))
    cuts = [day for known in late[10 :: len(late) // 6] for day in (known, _before(days, known))]
    cuts += [dt.date(2015, 12, 31), dt.date(2016, 1, 4)]
    for cut in cuts:
        assert find(bars, classes, cut) == known_by(whole, cut), f"cut at {cut}"


def _before(days: np.ndarray, day: dt.date) -> dt.date:
    return days[np.searchsorted(days, np.datetime64(day)) - 1].item()


def test_the_law_is_tried_on_every_kind(whole: Rows) -> None:
    kinds = {row["kind"] for row in whole}
    late = {row["kind"] for row in whole if row["known_at"] > row["date"]}
    assert {"spike", "outlier", "split", "peers", "decimal", "missing", "stale"} <= late
    assert {"ohlc", "volume", "missing_market"} <= kinds
    assert all(row["known_at"] >= row["date"] for row in whole)


def test_a_habit_that_sees_the_months_to_come_breaks_the_law(
    bars: pa.Table, classes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def around(per_block: np.ndarray) -> np.ndarray:
        padded = np.pad(per_block, ((0, 0), (6, 5)), constant_values=np.nan)
        return np.lib.stride_tricks.sliding_window_view(padded, 12, axis=1)

    monkeypatch.setattr(suspects_grid, "_before", around)
    rows = find(bars, classes)
    cuts = [dt.date(year, month, 10) for year in (2015, 2016) for month in (3, 7, 11)]
    assert any(find(bars, classes, cut) != known_by(rows, cut) for cut in cuts)
