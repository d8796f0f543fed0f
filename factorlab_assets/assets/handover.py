"""Rows handed from one table of a run to the next, where the store would only give them back.

Belongs here: what this process wrote last, and whether it is still what the store holds. Does not:
reading or judging: who may use a cell is the store's to say, every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

MOST_ROWS = 3_000_000
"""Kept in all, about 50 bytes each; what was written longest ago goes first."""

Place = tuple[Path, str, str]
"""Database, table, month."""

_kept: dict[Place, tuple[Mapping[str, str], Mapping[str, pa.Table]]] = {}


def keep(place: Place, hashes: Mapping[str, str], rows: Mapping[str, pa.Table]) -> None:
    """Remember a month's rows by strategy, with the content hash that the store gave each."""
    _kept.pop(place, None)
    _kept[place] = hashes, rows
    total = sum(_rows(each) for _, each in _kept.values())
    for oldest in list(_kept):
        if total <= MOST_ROWS:
            break
        total -= _rows(_kept.pop(oldest)[1])


def take(place: Place, hashes: Mapping[str, str]) -> dict[str, pa.Table] | None:
    """Those strategies' rows, if all were kept and their content is still of these hashes."""
    known, rows = _kept.get(place, ({}, {}))
    if any(known.get(name) != content for name, content in hashes.items()):
        return None
    return {name: rows[name] for name in hashes if name in rows}


def _rows(by_strategy: Mapping[str, pa.Table]) -> int:
    return sum(rows.num_rows for rows in by_strategy.values())
