"""Many NAVs in one picture: who is drawn, named and coloured, and what is not ours stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.reports import charts, svg, theme
from factorlab_assets.reports.charts_library import APART, HUES, nav_overlay
from factorlab_tests.browser import find_chromium, open_page

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert('1')</script>&amp; \"q\" ]]> \\ \x00\x1b\n" + 40 * "W"
ENDS = month_ends("2005-01", "2024-05")


def grown(n: int, months: int = len(ENDS)) -> Floats:
    rng = np.random.default_rng(6)
    return np.asarray(np.exp(np.cumsum(rng.normal(0.006, 0.03, (n, months)), axis=1)))


def overlay(nav: Floats, names: Sequence[str] | None = None, **said: str) -> str:
    names = [f"s{i}" for i in range(len(nav))] if names is None else names
    plain = {"title": "title", "basis": "close"} | said
    return nav_overlay(ENDS[: nav.shape[1]], nav, names, **plain)


def texts(picture: str) -> dict[str, ElementTree.Element]:
    return {str(said.text): said for said in ElementTree.fromstring(picture).iter(f"{SVG}text")}


def strokes(picture: str) -> list[tuple[str, str]]:
    """Colour and path of every line, in the order of drawing."""
    paths = ElementTree.fromstring(picture).iter(f"{SVG}path")
    return [(p.get("stroke", ""), p.get("d", "")) for p in paths if p.get("fill") == "none"]


def test_each_has_a_line_a_name_and_an_end_in_one_colour() -> None:
    nav = np.linspace(1.0, [[1.5], [2.0], [12.0]], 60, axis=2)[:, 0]
    picture = overlay(nav, ["low", "middle", "high"])
    said = texts(picture)
    assert [hue for hue, _ in strokes(picture)] == list(HUES[2::-1]), "the first is on top"
    for name, end, hue in zip(
        ("low", "middle", "high"), ("1.50×", "2.00×", "12×"), HUES, strict=False
    ):
        assert said[name].get("fill") == said[end].get("fill") == hue
    heights = [float(said[end].get("y", "")) for end in ("12×", "2.00×", "1.50×")]
    assert heights == sorted(heights)
    about = "growth of 1 (log scale), 2005-01-31 to 2009-12-31"
    assert {"title", "price basis: close", about} <= said.keys()
    assert "SYNTHETIC" not in said


def test_equal_growth_is_an_equal_height() -> None:
    """From 1 to 2 is as far as from 2 to 4: the scale is one of logarithms, and common."""
    months = np.arange(61)
    picture = overlay(np.stack([2.0 ** (months / 60), 4.0 ** (months / 60)]))
    (_, steep), (_, flat) = strokes(picture)
    rise = []
    for d in (flat, steep):
        start, moves = re.fullmatch(r"M\d+ (\d+)l(.*)", d).groups()
        steps = [int(number) for number in re.findall(r"-?\d+", moves)]
        rise.append(-sum(steps[1::2]))
        assert int(start) == pytest.approx(10 * svg.BOTTOM, abs=100)
    assert rise[1] == pytest.approx(2 * rise[0], abs=2)
    assert {"1×", "2×", "4×"} <= texts(picture).keys() | {"4×"}


def test_beyond_six_they_are_grey_and_counted() -> None:
    picture = overlay(grown(30))
    colours = [hue for hue, _ in strokes(picture)]
    assert colours == [theme.OTHER] * 24 + list(reversed(HUES))
    said = texts(picture)
    assert {f"s{i}" for i in range(6)} <= said.keys()
    assert not {f"s{i}" for i in range(6, 30)} & said.keys()
    assert said["and 24 more"].get("fill") == theme.OTHER
    assert not [text for text in texts(overlay(grown(6))) if "more" in text]
    assert "and 1 more" in texts(overlay(grown(7)))


def test_a_picture_of_a_whole_library_stays_small() -> None:
    for n in (7, 30, 60, 200):
        picture = overlay(grown(n))
        assert len(strokes(picture)) == n
        assert len(charts.as_markdown_image(picture, "alt").encode()) < 75_000
    assert overlay(grown(60)) == overlay(grown(60))


def test_labels_of_like_ends_stand_apart_and_inside() -> None:
    for shared in (0.5, 1.0, 3.0):
        nav = grown(6) ** 0.2
        nav[:, -1] = shared + 1e-3 * np.arange(6)
        nav[0, 100] = 2.0
        said = re.findall(rf'<text x="{svg.RIGHT + 8}" y="([\d.]+)"', overlay(nav))
        y = np.sort(np.array(said, dtype=float))
        assert len(y) == 6
        assert np.diff(y).min() >= APART - 0.11
        assert y.max() <= svg.BOTTOM + 4
        assert y.min() >= svg.TOP


def test_what_is_not_known_breaks_the_line() -> None:
    nav = grown(3)
    nav[0, 50:60] = NAN
    nav[1, 100:] = 0.0  # lost everything: no logarithm
    nav[2, :-1] = NAN  # a single point is no line
    lines = dict(strokes(overlay(nav)))
    assert lines.keys() == {HUES[0], HUES[1]}
    assert lines[HUES[0]].count("M") == 2
    assert lines[HUES[1]].count("M") == 1
    ends = [e for e in texts(overlay(nav)).values() if e.get("x") == f"{svg.RIGHT + 8}"]
    assert [end.text for end in ends if end.get("fill") == HUES[1]] == [svg.times(nav[1, 99])]


@pytest.mark.parametrize(
    "nav",
    [np.ones((2, 1)), np.full((2, 9), NAN), np.zeros((2, 9)), np.empty((0, 9)), np.empty((2, 0))],
    ids=["one point", "not known", "lost", "no series", "no month"],
)
def test_without_a_line_there_is_no_picture(nav: Floats) -> None:
    said = texts(overlay(nav))
    assert {"no data", "fewer than two known dates"} <= said.keys()


def test_series_that_do_not_move_are_lines_all_the_same() -> None:
    picture = overlay(np.ones((2, 24)))
    assert len(strokes(picture)) == 2
    assert "1.00×" in texts(picture)


def test_what_is_not_ours_stays_text() -> None:
    picture = overlay(grown(8), [HOSTILE] * 8, title=HOSTILE, basis=HOSTILE)
    ElementTree.fromstring(picture)
    assert "<script" not in picture
    assert [text for text in texts(picture) if text.startswith("</text><sc…")]
    shown = charts.as_markdown_image(picture, "alt")
    assert unquote(shown.partition("svg+xml,")[2][:-2]) == picture


def test_invented_prices_say_so() -> None:
    assert "SYNTHETIC" in texts(overlay(grown(2), basis="synthetic"))


@pytest.mark.browser
def test_a_browser_draws_every_text_apart_and_within_the_picture() -> None:
    executable, why = find_chromium()
    if executable is None:
        pytest.skip(why)
    wide = [f"{i}{'W' * 60}" for i in range(9)]
    usual = [f"momentum_within_classes.lookback-{i}" for i in range(9)]
    drawn = [
        overlay(grown(9), wide),
        overlay(grown(9), usual, basis="synthetic"),
        overlay(np.ones((6, 24)), usual[:6]),
        overlay(grown(2, 1)),
    ]
    with open_page(executable) as (page, errors):
        for picture in drawn:
            page.set_content(picture)
            found = page.evaluate(
                """() => {
                  const paper = document.querySelector('svg').getBoundingClientRect();
                  const texts = [...document.querySelectorAll('text')]
                    .filter(text => text.getAttribute('font-weight') === '600'
                      && !text.hasAttribute('font-size'))
                    .map(text => {
                      const box = text.getBoundingClientRect();
                      const own = text.parentElement;
                      const edge = own.ownerSVGElement === null ? Infinity
                        : paper.left + own.x.baseVal.value + own.width.baseVal.value;
                      const right = Math.min(box.right, edge);
                      const {left, top, bottom} = box;
                      return [text.textContent, {left, right, top, bottom}];
                    });
                  const said = texts.filter(([, b]) => b.left < paper.left
                    || b.right > paper.right + 1 || b.top < paper.top || b.bottom > paper.bottom);
                  for (const [i, [a, p]] of texts.entries())
                    for (const [b, q] of texts.slice(i + 1))
                      if (p.left < q.right && q.left < p.right
                          && p.top + 3 < q.bottom && q.top + 3 < p.bottom)
                        said.push([a + ' over ' + b]);
                  return said.map(([text]) => text);
                }"""
            )
            assert found == []
        assert errors == []
