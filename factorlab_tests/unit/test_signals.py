"""From a strategy to its signals: what transforms are given, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.signals import compute_signals
from factorlab_assets.core.transforms import demean, neutralize, zscore
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

NAMES = list("ABCDEF")
RNG = np.random.default_rng(8)
PRICE = 50 * np.exp(np.cumsum(RNG.normal(0, 0.1, (12, 6)), axis=0))
MARKET = panel_of({name: PRICE[:, i] for i, name in enumerate(NAMES)})
HALVES = {name: "low" if name < "D" else "high" for name in NAMES}


def factor(
    label: str, lookback: int, *chain: dict[str, Any], weight: float = 1.0
) -> dict[str, Any]:
    said = {"name": "trend", "label": label, "params": {"lookback": lookback}, "delay": 0}
    return said | {"transforms": list(chain), "weight": weight}


def resolved(*factors: dict[str, Any], groups: Any = HALVES, merge: Any = None) -> Resolved:
    cell = resolved_of(strategy_of(factors=list(factors)), NAMES)
    return cell.model_copy(update={"groups": {"half": groups}, "merge": merge or {}})


def test_a_factor_is_neutralized_against_raw_values_of_others_whatever_their_order() -> None:
    chain = {"kind": "neutralize", "factors": ["b", "c"]}
    first = factor("a", 3, {"kind": "zscore"}, chain)
    helpers = (
        factor("b", 1, {"kind": "rank"}, weight=0.0),
        factor("c", 2, chain | {"factors": ["a"]}),
    )
    made = compute_signals(resolved(first, *helpers), MARKET)
    expected = neutralize(zscore(made.raw[0]), [made.raw[1], made.raw[2]])
    np.testing.assert_array_equal(made.signal[0], expected)
    assert np.isfinite(expected[3:]).all()
    turned = compute_signals(resolved(*helpers[::-1], first), MARKET)
    np.testing.assert_array_equal(turned.signal[2], expected)


def test_groups_are_those_of_the_strategys_universe() -> None:
    made = compute_signals(resolved(factor("a", 1, {"kind": "demean", "within": "half"})), MARKET)
    expected = np.hstack([demean(made.raw[0][:, :3]), demean(made.raw[0][:, 3:])])
    np.testing.assert_allclose(made.signal[0], expected, atol=1e-15)


def test_members_limit_signals_and_never_raw_values() -> None:
    cell = resolved(factor("a", 1, {"kind": "demean"}))
    members = np.ones(PRICE.shape, dtype=bool)
    members[:, 5] = False
    made = compute_signals(cell, MARKET, members)
    assert np.isfinite(made.raw[0][1:]).all()
    assert np.isnan(made.signal[0][:, 5]).all()
    np.testing.assert_allclose(made.signal[0][1:, :5].sum(axis=1), 0.0, atol=1e-14)


def test_what_is_remembered_is_told_apart_by_all_that_a_signal_depends_on() -> None:
    within = {"kind": "zscore", "within": "half"}
    against = {"kind": "neutralize", "factors": ["b"]}
    some, fewer = np.ones((2, *PRICE.shape), dtype=bool)
    some[:, 0] = fewer[:, :2] = False
    other_groups = {name: "low" if name in "ABE" else "high" for name in NAMES}
    four = {name: "low" if name < "E" else "high" for name in NAMES}
    cases = [
        (resolved(factor("a", 3)), None),
        (resolved(factor("a", 3)), some),
        (resolved(factor("a", 3, {"kind": "zscore"})), some),
        (resolved(factor("a", 3, {"kind": "zscore"})), fewer),
        (resolved(factor("a", 3, within)), None),
        (resolved(factor("a", 3, within), groups=other_groups), None),
        (resolved(factor("a", 3, within), groups=four), None),
        (resolved(factor("a", 3, within), groups=four, merge={"high": "low"}), None),
        (resolved(factor("a", 3, against), factor("b", 1)), None),
        (resolved(factor("a", 3, against), factor("b", 2)), None),
        (resolved(factor("a", 3, against), factor("b", 2, {"kind": "rank"})), None),
    ]
    shared = SharedPanel.of(MARKET)
    kept = [compute_signals(cell, shared, who).signal[0].copy() for cell, who in cases]
    for (cell, who), once in zip(cases, kept, strict=True):
        np.testing.assert_array_equal(once, compute_signals(cell, MARKET, who).signal[0])
    # What a helper's own transforms make of it decides nothing; all else does.
    np.testing.assert_array_equal(kept[-1], kept[-2])
    assert len({each.tobytes() for each in kept}) == len(kept) - 1


def test_a_repair_that_came_later_is_in_no_regressor() -> None:
    seen = PRICE.copy()
    seen[8, 2] *= 1.4
    late = replace(MARKET, seen=seen)
    chain = {"kind": "neutralize", "factors": ["b"]}
    cell = resolved(factor("a", 3, chain), factor("b", 1))
    made = compute_signals(cell, late)
    then = replace(late.until(late.dates[8]), price=np.vstack([PRICE[:8], seen[8:9]]))
    np.testing.assert_array_equal(made.signal[:, :9], compute_signals(cell, then).signal)
    assert not np.array_equal(made.signal[0, 8], compute_signals(cell, MARKET).signal[0, 8])
    np.testing.assert_array_equal(made.signal[:, 9:], compute_signals(cell, MARKET).signal[:, 9:])
