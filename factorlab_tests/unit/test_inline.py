"""Thumbnails fit into what Dagster shows without a click, and still tell the truth."""

from __future__ import annotations

import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets.reports import inline
from factorlab_assets.schemas import MEMBER_REASONS

MONTHS = np.arange("2004-01", "2024-06", dtype="datetime64[M]").astype("datetime64[D]")
BASES = st.sampled_from(["close", "total_return", "synthetic"])


def _fits(shown: str) -> bool:
    return len(shown.encode("utf-16-le")) // 2 < 1000  # what Dagster shows without a click


def _svg(shown: str) -> ElementTree.Element:
    return ElementTree.fromstring(unquote(shown[:-2].split("(<data:image/svg+xml,")[1]))


def _texts(shown: str) -> list[str]:
    return [element.text or "" for element in _svg(shown) if element.tag.endswith("text")]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6000), st.text(max_size=40), BASES, st.booleans())
def test_a_nav_thumbnail_of_anything_fits(
    seed: int, n: int, name: str, basis: str, has_gaps: bool
) -> None:
    rng = np.random.default_rng(seed)
    nav = np.exp(np.cumsum(rng.normal(0, 0.05, n)))
    drawdown = nav / np.maximum.accumulate(nav) - 1
    if has_gaps:
        nav[2::3] = np.nan
    shown = inline.nav_inline(
        np.datetime64("2004-01-01") + np.arange(n),
        nav,
        drawdown,
        benchmark_nav=nav[::-1],
        benchmark_label=name,
        basis=basis,
    )
    assert any(said.endswith(f"price basis: {basis}") for said in _texts(shown))
    assert ("SYNTHETIC" in _texts(shown)) == (basis == "synthetic")
    assert _fits(shown) or has_gaps


def test_a_nav_thumbnail_draws_both_curves_and_the_deepest_fall() -> None:
    nav = np.linspace(1.0, 3.0, len(MONTHS))
    nav[100] = 0.9
    drawdown = nav / np.maximum.accumulate(nav) - 1
    shown = inline.nav_inline(
        MONTHS, nav, drawdown, benchmark_nav=nav**2, benchmark_label="SPY", basis="close"
    )
    assert {"3.00× strategy", "9.00× SPY", "−50.3%"} <= set(_texts(shown))
    assert "growth of 1 (log) 2004–2024, price basis: close" in _texts(shown)
    own = next(path for path in _svg(shown) if path.get("stroke") == "#07b").get("d", "")
    heights = np.cumsum([int(dy) for dy in re.findall(r"-?\d+", own.replace("l", " "))[1::2]])
    assert np.diff(heights).max() == pytest.approx(46 * np.log(nav[99] / 0.9) / np.log(10), abs=2)


@pytest.mark.parametrize("n", [0, 1])
def test_thumbnails_of_nothing_say_no_data(n: int) -> None:
    ones = np.ones(n)
    said = "no data, **SYNTHETIC** prices"
    assert inline.nav_inline(MONTHS[:n], ones, ones - 1, basis="synthetic") == said
    book = np.full((n, 1), np.nan)
    assert inline.weights_inline(MONTHS[:n], book, ["A"], {}, basis="synthetic") == said


def test_long_weights_are_blocks_above_a_floor_of_zero() -> None:
    book = np.array([[0.5, 0.0], [0.5, 0.25], [0.0, 0.01]])
    shown = inline.weights_inline(MONTHS[:3], book, ["A", "B"], {}, basis="close")
    assert shown.split("\n") == [
        "|weight|2004-01 to 2004-03, ▁ 0 █ 50%, price basis: close|now|",
        "|-|-|-:|",
        "|A|██▁|0%|",
        "|B|▁▅▂|1%|",
        "|cash|█▅█|99%|",
    ]


def test_short_weights_lie_below_the_middle() -> None:
    book = np.array([[0.5, -0.5], [0.0, 0.25]])
    shown = inline.weights_inline(MONTHS[:2], book, ["A", "B"], {}, basis="total_return")
    assert shown.split("\n") == [
        "|weight|2004-01 to 2004-02, ▁ −50% ▄ 0 ▇ 50%, price basis: total&#95;return|now|",
        "|-|-|-:|",
        "|A|▇▄|0%|",
        "|B|▁▆|25%|",
    ]


@given(st.integers(1, 40), st.integers(1, 300), st.text(max_size=12), BASES, st.booleans())
def test_a_weights_thumbnail_of_anything_fits(
    n: int, n_dates: int, name: str, basis: str, is_short: bool
) -> None:
    book = np.random.default_rng(n).normal(size=(n_dates, n)) / n
    shown = inline.weights_inline(
        MONTHS[0] + np.arange(n_dates),
        book if is_short else np.abs(book),
        [f"{name}{i}" for i in range(n)],
        {},
        basis=basis,
    )
    assert _fits(shown)
    lines = shown.split("\n")
    assert {line.count("|") for line in lines} == {4}
    assert inline.basis_told(basis) in lines[0]


def test_a_column_is_the_mean_of_its_dates() -> None:
    book = np.repeat([[1.0], [0.0]], 120, axis=0)
    shown = inline.weights_inline(MONTHS[:240], book, ["A"], {}, basis="close")
    assert "|A|" + "█" * 20 + "▁" * 20 + "|0%|" in shown.split("\n")
    always = inline.weights_inline(MONTHS[:61], np.ones((61, 1)), ["A"], {}, basis="close")
    assert "|A|" + "█" * 31 + "|100%|" in always.split("\n")


def test_members_are_counted_by_reason_over_time() -> None:
    counts = np.array([[0, 4, 0], [1, 3, 0], [2, 2, 0], [4, 0, 0]], dtype=float)
    shown = inline.members_inline(
        MONTHS[:4], counts, ["member", "price too low", "never"], basis="close"
    )
    assert shown.splitlines() == [
        "|names|2004-01 to 2004-04, ▁ 0 █ 4, price basis: close|now|",
        "|-|-|-:|",
        "|member|▁▃▅█|4|",
        "|price too low|█▇▅▁|0|",
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 900), st.integers(0, 9999), BASES)
def test_members_of_anything_fit(seed: int, n_dates: int, most: int, basis: str) -> None:
    reasons = list(MEMBER_REASONS)
    counts = np.random.default_rng(seed).integers(0, most + 1, (n_dates, len(reasons)))
    days = np.datetime64("1950-01-31") + 30 * np.arange(n_dates)
    shown = inline.members_inline(days, counts.astype(float), reasons, basis=basis)
    assert _fits(shown)
    assert ("SYNTHETIC" in shown) == (basis == "synthetic")
    assert shown.startswith("no data") == (not counts.any())


@given(st.integers(0, 2**32 - 1), st.integers(1, 1200), BASES)
def test_a_thumbnail_of_any_costs_fits(seed: int, n: int, basis: str) -> None:
    rng = np.random.default_rng(seed)
    names = ("commission", "slippage", "spread cost", "impact cost", "borrow", "financing")
    paid = {name: rng.exponential(0.001, n) for name in names}
    shown = inline.costs_inline(np.datetime64("2004-01-01") + np.arange(n), paid, basis=basis)
    assert _fits(shown)
    assert len(shown.splitlines()) == 2 + len(names)


def test_costs_are_told_per_year_by_what_was_paid() -> None:
    twice = np.repeat([0.001, 0.002], len(MONTHS) // 2 + 1)[: len(MONTHS)]
    paid = {"commission": twice, "slippage": 0.0 * twice, "borrow": 0.0005 + 0.0 * twice}
    lines = inline.costs_inline(MONTHS, paid, basis="close").splitlines()
    assert lines[0] == "|paid|2004-01 to 2024-05, ▁ 0 █ 2.4%, price basis: close|a year|"
    assert [line.split("|")[1] for line in lines[2:]] == ["commission", "borrow"]
    assert lines[2].endswith("|1.80%|")
    assert lines[3].endswith("|0.60%|")
    blocks = lines[2].split("|")[2]
    assert set(blocks[: len(blocks) // 2 - 1]) == {"▅"}
    assert set(blocks[len(blocks) // 2 + 1 :]) == {"█"}
    assert set(lines[3].split("|")[2]) == {"▃"}


def test_where_nothing_is_paid_the_thumbnail_says_so() -> None:
    free = inline.costs_inline(MONTHS, {"commission": np.zeros(len(MONTHS))}, basis="synthetic")
    assert free == "nothing was paid, **SYNTHETIC** prices"
    assert inline.costs_inline(MONTHS[:0], {"a": np.zeros(0)}, basis="close").startswith("nothing")
