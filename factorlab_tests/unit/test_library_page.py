"""The library page as text: what is packed, what is escaped, what is said of the unknown."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.reports.library_page import (
    LABELS,
    MOST_PICKED,
    NOT_STORED,
    SHOWN,
    Experiment,
    Library,
    Refresh,
    Verdict,
    as_json,
    render,
)

NAN = float("nan")
ENDS = month_ends("2020-01", "2020-06")
NET = np.array([0.01, -0.02, 0.03, 0.0, -1.0, 0.1234567])
ONE = Experiment(
    "trend",
    "aaaa",
    {"sharpe": 0.5, "cagr": NAN, "own_figure": 3.0},
    ENDS,
    NET,
    link="2024-05/trend sheet.html",
    verdict=Verdict("amber", "C", 51.5, "Few months."),
    missing={"cagr": "NAV fell below 0"},
)
HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028'\"\x00\ud800"


def library(*experiments: Experiment, **said: Any) -> Library:
    plain: dict[str, Any] = {"month": "2024-05", "price_basis": "close", "is_synthetic": False}
    return Library(**plain | said, experiments=experiments)


class Page(HTMLParser):
    """Tags with their attributes, and the text of the data script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        inside = self.tags[-1][0] if self.tags else ""
        (self.scripts if inside == "script" else self.words).append(data)

    @property
    def data(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.scripts[0])
        return said


def packed(text: str) -> list[int]:
    return np.frombuffer(base64.b64decode(text), "<i4").tolist()


def test_figures_and_returns_are_packed_by_column():
    two = replace(ONE, name="other", experiment_id="bbbb", figures={"sharpe": -1 / 3}, link="")
    data = Page(render(library(ONE, two))).data
    assert data["names"] == ["trend", "other"]
    assert data["keys"] == ["aaaa", "bbbb"]
    assert [each["name"] for each in data["figures"]] == ["cagr", "sharpe", "own_figure"]
    assert data["values"] == {
        "cagr": [None, None],
        "sharpe": [0.5, -0.333333333],
        "own_figure": [3.0, None],
    }
    assert packed(data["returns"][0]) == [100000, -200000, 300000, 0, -10000000, 1234567]
    assert data["months"] == [2020 * 12, 2020 * 12]
    assert (data["light"][0], data["grade"][0], data["composite"][0]) == ("amber", "C", 51.5)
    assert data["links"] == ["2024-05/trend%20sheet.html", ""]


def test_what_is_blank_has_its_reason():
    bare = replace(ONE, experiment_id="b", verdict=None, link="", net_return=np.full(6, NAN))
    bare = replace(bare, missing={"verdict": "a sweep has none"})
    data = Page(render(library(ONE, bare))).data
    said = {
        part: {row: data["reasons"][reason] for row, reason in rows.items()}
        for part, rows in data["blank"].items()
    }
    assert said["cagr"] == {"0": "NAV fell below 0", "1": NOT_STORED}
    assert said["verdict"] == {"1": "a sweep has none"}
    assert said["link"] == said["returns"] == {"1": NOT_STORED}
    assert said["sharpe"] == {}


def test_months_with_a_gap_are_listed_and_unknown_returns_are_left_out():
    net = np.array([NAN, 0.1, NAN, 0.2, 500.0, 0.3])
    data = Page(render(library(replace(ONE, net_return=net)))).data
    assert data["months"] == [[24241, 24243, 24245]]
    assert packed(data["returns"][0]) == [1000000, 2000000, 3000000]


def test_the_same_experiment_twice_has_two_keys():
    assert Page(render(library(ONE, ONE, ONE))).data["keys"] == ["aaaa", "aaaa~2", "aaaa~3"]


def test_hostile_texts_stay_texts():
    plain = Page(render(library(ONE, notes=["note"], history={"a": [Refresh("2024-04", {})]})))
    odd = replace(
        ONE,
        name=HOSTILE,
        sweep=HOSTILE,
        experiment_id=HOSTILE,
        link="javascript:alert(1)",
        verdict=Verdict(HOSTILE, HOSTILE, None, HOSTILE),
        missing={"cagr": HOSTILE},
        figures=dict(ONE.figures) | {HOSTILE: 1.0},
    )
    said = {"notes": [HOSTILE], "price_basis": HOSTILE, "universe_note": HOSTILE}
    text = render(library(odd, **said, history={HOSTILE: [Refresh(HOSTILE, {HOSTILE: 1.0})]}))
    page = Page(text)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert page.data["names"] == [HOSTILE.replace("\ud800", "?")]
    assert page.data["links"] == ["javascript%3Aalert%281%29"]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert any("<img src=x onerror=alert(1)>" in word for word in page.words)
    text.encode("utf-8")


def test_nothing_is_fetched():
    text = render(library(ONE))
    page = Page(text)
    fetched = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "action", "srcset"} and value and value[0] != "#"
    ]
    assert fetched == ["data:,"]
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org)", text)
    assert "default-src 'none'" in text


def test_synthetic_prices_and_notes_are_said():
    text = render(library(ONE, is_synthetic=True, notes=["backfilled & all"]))
    assert "<strong>SYNTHETIC</strong>" in text
    assert "backfilled &amp; all" in text
    assert "SYNTHETIC" not in render(library(ONE))


def test_a_month_without_experiments_says_so():
    text = render(library())
    assert "No experiment in 2024-05" in text
    assert "<script" not in text
    assert "<table" not in text


def test_the_same_library_is_the_same_page():
    assert render(library(ONE)) == render(library(ONE))


def test_json_cannot_end_its_script():
    said = as_json([HOSTILE])
    assert not set("<>&\u2028") & set(said)
    assert json.loads(said) == [HOSTILE]
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json([NAN])


def test_what_is_shown_first_has_a_label():
    assert set(SHOWN) <= set(LABELS)
    assert MOST_PICKED == 6
