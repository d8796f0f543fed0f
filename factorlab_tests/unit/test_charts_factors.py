"""The picture of a factor: its figures, what is drawn of them, and on which prices."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.reports.charts_factors import factor_picture, story
from factorlab_tests.browser import find_chromium, open_page

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>&\x00 ]]> " + 200 * "wide "
DATES = month_ends("2020-01", "2020-04")
TICKERS = ["A", "B", "C", "D", "E"]
VALUES = np.array(
    [
        [NAN, NAN, NAN, NAN, NAN],
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [5.0, NAN, NAN, NAN, 1.0],
        [0.0, -2.0, 8.0, 2.0, NAN],
    ]
)
PRICES = 100.0 + 10.0 * np.arange(20.0).reshape(4, 5)


def drawn(values: Any = VALUES, text: str = "title", **said: Any) -> str:
    values = np.asarray(values)
    prices = said.pop("prices", PRICES[: len(values)])
    names = said.pop("tickers", TICKERS)
    told = story(DATES[: len(values)], names, prices, values)
    return factor_picture(told, title=text, about=text, basis=said.pop("basis", "close"))


def texts(picture: str) -> list[str]:
    return [str(said.text) for said in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_the_story_is_the_range_the_quartiles_and_the_two_at_the_ends() -> None:
    told = story(DATES, TICKERS, PRICES, VALUES)
    assert told is not None
    assert told.dates.tolist() == DATES[1:].tolist(), "from the first value on"
    expected = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [-2, -0.5, 1, 3.5, 8]]
    np.testing.assert_allclose(told.spread, expected, rtol=1e-15)
    assert told.names == ("C", "B")
    np.testing.assert_array_equal(told.values, [[3, 2], [NAN, NAN], [8, -2]])
    np.testing.assert_array_equal(told.prices, PRICES[1:, [2, 1]])
    assert told.n_tickers == 5
    alone = story(DATES, TICKERS[:1], PRICES[:, :1], VALUES[:, :1])
    assert alone is not None
    assert alone.names == ("A",), "one ticker is not highest and lowest at once"


@pytest.mark.parametrize(
    "picture",
    [
        lambda text: drawn(text=text),
        lambda text: drawn(tickers=[text + name for name in TICKERS]),
        lambda text: drawn(text=text, basis=text),
        lambda text: drawn(VALUES[:1], text=text),
        lambda text: drawn(VALUES[:2], text=text),
    ],
)
def test_every_picture_is_well_formed_whatever_its_texts_are(picture) -> None:
    for text in ("plain", HOSTILE):
        shown = picture(text)
        found = {element.tag for element in ElementTree.fromstring(shown).iter()}
        assert found <= {f"{SVG}{tag}" for tag in ("svg", "rect", "text", "path")}
        assert shown == picture(text)


def test_the_two_tickers_are_labelled_with_their_last_price_and_value() -> None:
    said = texts(drawn())
    assert {"270 C", "260 B", "8 C", "−2 B"} <= set(said)
    assert any("5 tickers, 2020-02-28 to 2020-04-30" in text for text in said)


def test_a_month_without_a_value_breaks_the_area() -> None:
    values = np.array([[1.0, 2.0], [2.0, 3.0], [NAN, NAN], [4.0, 5.0]])
    shown = drawn(values, prices=PRICES[:, :2], tickers=["A", "B"])
    areas = re.findall(r'<path d="([^"]+)"[^>]*fill-opacity', shown)
    assert [area.count("M") for area in areas] == [2, 2], "before the hole and after it"
    whole = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0]])
    shown = drawn(whole, prices=PRICES[:, :2], tickers=["A", "B"])
    assert [a.count("M") for a in re.findall(r'd="([^"]+)"[^>]*fill-opacity', shown)] == [1, 1]


def test_a_picture_without_enough_to_draw_says_so() -> None:
    assert "no data" in texts(drawn(VALUES[:1]))
    assert any("the history is too short" in text for text in texts(drawn(VALUES[:1])))
    assert any("on one date alone, 2020-02-28" in text for text in texts(drawn(VALUES[:2])))


def test_values_that_never_differ_have_a_scale_too() -> None:
    for constant in (0.0, 1.0):
        assert "no data" not in texts(drawn(np.full((4, 5), constant)))


def test_invented_prices_say_so() -> None:
    assert "SYNTHETIC" in texts(drawn(basis="synthetic"))
    assert "SYNTHETIC" not in texts(drawn())


@pytest.mark.browser
def test_a_browser_draws_every_text_inside_the_picture() -> None:
    executable, why = find_chromium()
    if executable is None:
        pytest.skip(why)
    names = ["A" * 30, "B" * 30, "C" * 30, "D", "E"]
    wide = drawn(-1.23e-3 * VALUES, tickers=names, text=30 * "wide ")
    with open_page(executable) as (page, errors):
        page.set_content(wide)
        edges: Any = page.evaluate(
            """() => [...document.querySelectorAll('svg > text')].map(
                text => [text.textContent, text.getBoundingClientRect().left,
                         text.getBoundingClientRect().right])"""
        )
        frame: Any = page.evaluate("document.querySelector('svg').getBoundingClientRect().right")
    assert errors == []
    assert [said for said, left, right in edges if left < 8 or right > frame - 4] == []
