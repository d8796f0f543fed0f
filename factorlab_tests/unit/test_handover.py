"""What one table of a run hands to the next: only what the store holds still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from factorlab_assets.assets import handover

PLACE = (Path("one.duckdb"), "scores", "2024-05")
ROWS = {name: pa.table({"score": [float(i)] * 4}) for i, name in enumerate(("a", "b"))}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    handover._kept.clear()
    yield
    handover._kept.clear()


def test_rows_are_handed_over_while_their_content_is_the_stored_one() -> None:
    handover.keep(PLACE, {"a": "h1", "b": "h2"}, ROWS)
    assert handover.take(PLACE, {"a": "h1", "b": "h2"}) == ROWS
    assert handover.take(PLACE, {"b": "h2"}) == {"b": ROWS["b"]}
    assert handover.take(PLACE, {"a": "h1", "b": "written by another process since"}) is None
    assert handover.take(PLACE, {"a": "h1", "c": "never kept"}) is None


def test_a_cell_that_stored_no_rows_is_handed_over_without_any() -> None:
    handover.keep(PLACE, {"a": "h1", "empty": "h0"}, {"a": ROWS["a"]})
    assert handover.take(PLACE, {"a": "h1", "empty": "h0"}) == {"a": ROWS["a"]}


@pytest.mark.parametrize("i", [0, 1, 2])
def test_another_database_table_or_month_has_nothing(i: int) -> None:
    handover.keep(PLACE, {"a": "h1"}, ROWS)
    other = list(PLACE)
    other[i] = Path("two.duckdb") if i == 0 else "other"
    assert handover.take(tuple(other), {"a": "h1"}) is None


def test_the_oldest_goes_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "MOST_ROWS", 8)
    later = (*PLACE[:2], "2024-06")
    handover.keep(PLACE, {"a": "h1"}, ROWS)
    handover.keep(later, {"a": "h1"}, ROWS)
    assert handover.take(PLACE, {"a": "h1"}) is None
    assert handover.take(later, {"a": "h1"}) == {"a": ROWS["a"]}
