"""What a shared panel keeps: the same arrays, never of other prices, and never too much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from factorlab_assets.core import shared
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.shared import SharedPanel


def panel(value: float = 1.0) -> SharedPanel:
    dates = np.array(["2024-04-30", "2024-05-31"], dtype="datetime64[D]")
    prices = np.full((2, 2), value)
    return SharedPanel.of(Panel(dates, np.array(["A", "B"]), *[prices] * 5))


def test_a_thing_is_made_once_per_key() -> None:
    own, made = panel(), []

    def make() -> Floats:
        made.append(1)
        return np.array([2.0])

    first = own.once("a", make)
    assert own.once("a", make) is first
    assert own.once("b", make) is not first
    assert len(made) == 2


def test_a_selection_is_kept_and_remembers_too() -> None:
    own = panel()
    chosen = own.select(["B"])
    assert own.select(["B"]) is chosen
    assert isinstance(chosen, SharedPanel)
    assert chosen.tickers.tolist() == ["B"]
    assert own.select(["A"]).tickers.tolist() == ["A"]


def test_a_panel_of_other_prices_remembers_nothing() -> None:
    own = panel(1.0)
    own.once("price", lambda: own.price * 1.0)
    other = replace(own, price=own.price + 1.0)
    assert other.once("price", lambda: other.price * 1.0).tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_what_is_shared_cannot_be_written_to() -> None:
    own = panel()
    one, (two, _) = own.once("a", lambda: np.ones(2)), own.once("b", lambda: (np.ones(2), None))
    for values in (one, two):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 2.0


def test_the_oldest_goes_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST_BYTES", 2 * 8 * 10)
    own = panel()
    for key in "abc":
        own.once(key, lambda: np.ones(10))
    assert list(own.kept) == ["b", "c"]
    own.once("large", lambda: np.ones(100))
    assert list(own.kept) == []
