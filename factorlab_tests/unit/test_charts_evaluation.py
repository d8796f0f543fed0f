"""The bracket and the map of a sweep: what is marked, said and left out, and how large it gets."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from factorlab_assets.reports import charts, theme
from factorlab_assets.reports.charts_evaluation import (
    bracket_inline,
    bracket_picture,
    heat_inline,
    heat_map,
)
from factorlab_tests.browser import find_chromium, open_page

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>&\x00 ]]> " + 200 * "wide "
MOST = 12_000
RNG = np.random.default_rng(0)
KEPT, FRESH = RNG.normal(0.04, 0.02, 2_000), RNG.normal(0.0, 0.015, 2_000)
SWEEP = np.array([[0.10, 0.20, NAN], [0.30, 0.90, 0.50], [-0.40, 0.60, 0.70]])


def bracketed(own: float = 0.07, text: str = "title", **said: Any) -> str:
    plain: dict[str, Any] = {"permuted": KEPT, "random": FRESH, "metric": "cagr", "basis": "close"}
    plain |= {"oracle_gross": 0.6, "oracle_net": 0.5} | said
    return bracket_picture(own, title=text, **plain)


def mapped(values: Any = SWEEP, text: str = "title", **said: Any) -> str:
    values = np.asarray(values)
    names = {"rows": [f"r{i}" for i in range(len(values))]}
    names |= {"columns": [f"c{i}" for i in range(values.shape[1])]}
    plain = names | {"basis": "close", "row": "lookback", "column": "top_k"} | said
    return heat_map(plain.pop("rows"), plain.pop("columns"), values, title=text, **plain)


def texts(picture: str) -> list[str]:
    return [str(said.text) for said in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_the_bracket_says_who_beats_how_many() -> None:
    said = texts(bracketed())
    for expected in ("strategy 7.0%", "tickers exchanged", "drawn afresh", "oracle →"):
        assert expected in said
    share = 100.0 * np.mean(KEPT < 0.07)
    assert f"beats {share:.1f}%" in said
    assert "beats 100.0%" in said
    assert {"before costs 60.0%", "after costs 50.0%"} <= set(said)
    assert f"median {100 * np.median(KEPT):.1f}%" in said
    assert any("2,000 random books within each" in text for text in said)
    assert "price basis: close" in said


def test_ratios_are_not_percentages() -> None:
    said = texts(bracketed(0.55, metric="sharpe", permuted=10 * KEPT, random=10 * FRESH))
    assert "strategy 0.55" in said
    assert any(text.startswith("Sharpe ratio per year, net") for text in said)
    assert "after costs 0.50" in said


def histogram(picture: str, colour: str) -> tuple[int, int]:
    """Left edge and highest point of the steps of a colour, in pixels."""
    d = re.findall(rf'd="(M[^"]*z)" fill="(?:none" stroke=")?{colour}"', picture)
    assert len(d) == 1
    x, y = (int(number) for number in re.findall(r"-?\d+", d[0])[:2])
    heights = y + np.cumsum([int(v) for v in re.findall(r"v(-?\d+)", d[0])])
    return x, int(heights.min())


def test_both_histograms_have_the_same_scale() -> None:
    """Of twice as many equal paths each share is the same; a narrower null is higher."""
    picture = bracketed()
    _, kept = histogram(picture, theme.BLUE)
    _, fresh = histogram(picture, theme.VERMILLION)
    assert fresh < kept
    twice = bracketed(permuted=np.repeat(KEPT, 2))
    assert histogram(twice, theme.BLUE) == histogram(picture, theme.BLUE)


@pytest.mark.parametrize("oracle", [0.12, NAN])
def test_an_oracle_that_is_near_is_a_line_in_the_plot(oracle: float) -> None:
    near = bracketed(oracle_gross=oracle, oracle_net=0.11)
    assert "oracle" in texts(near)
    assert near.count("stroke-dasharray") == (2 if oracle == oracle else 1)
    assert bracketed().count("stroke-dasharray") == 0
    if oracle != oracle:
        assert "before costs none" in texts(near)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"permuted": np.array([])}, "no random books"),
        ({"random": np.array([NAN])}, "no random books"),
        ({"own": NAN}, "no random books"),
        ({"permuted": np.full(9, 0.07), "random": np.full(9, 0.07 + 1e-14)}, "only one book"),
    ],
)
def test_without_random_books_there_is_no_picture(said: dict[str, Any], why: str) -> None:
    told = texts(bracketed(**said))
    assert "no data" in told
    assert any(why in text for text in told)


def test_a_path_without_a_figure_is_not_drawn() -> None:
    some = np.append(KEPT, NAN)
    assert any("2,000 random books" in text for text in texts(bracketed(permuted=some)))


def test_the_map_prints_its_values_and_borders_the_best() -> None:
    picture = mapped()
    said = texts(picture)
    for value in ("0.10", "0.90", "−0.40", "0.70"):
        assert value in said
    numbers = [text for text in said if re.fullmatch(r"−?\d\.\d\d", text)]
    assert len(numbers) == 8 + 1, "and the low end of the scale"
    assert {"r0", "c2", "lookback", "top_k"} <= set(said)
    # Of the eight around the best, one has no figure.
    mean = (np.nansum(SWEEP) - 0.9) / 7.0
    about = f"Sharpe ratio per year; best 0.90, its 7 neighbours {mean:.2f} on average"
    assert about in said
    assert picture.count('stroke-width="2.5"') == 1


def test_the_best_of_a_corner_has_fewer_neighbours() -> None:
    assert any("best 0.49, its neighbour 0.24" in text for text in texts(mapped([[0.49, 0.24]])))
    assert any(text.endswith("best 0.49") for text in texts(mapped([[0.49]])))


def test_colours_go_with_sign_and_size() -> None:
    """0.8 and −0.8 are the ends of their scales, 0.4 is halfway, 0 is the middle."""
    picture = mapped([[0.8, -0.8], [0.4, 0.0]])
    cells = dict(re.findall(r'<path d="(M[^"]*z)" fill="(#[0-9a-f]{6})"', picture))
    by_value = dict(zip((0.8, -0.8, 0.4, 0.0), sorted(cells, key=_place), strict=True))
    assert cells[by_value[0.8]] == "#08519c"
    assert cells[by_value[-0.8]] == "#b35806"
    assert cells[by_value[0.0]] == "#f4f4f1"
    halfway = [
        round((int("f4f4f1"[k : k + 2], 16) + int("08519c"[k : k + 2], 16)) / 2) for k in (0, 2, 4)
    ]
    assert cells[by_value[0.4]] == "#" + "".join(f"{part:02x}" for part in halfway)


def _place(d: str) -> tuple[int, int]:
    x, y = (int(number) for number in re.findall(r"-?\d+", d)[:2])
    return y, x


@pytest.mark.parametrize("values", [np.full((2, 2), NAN), np.empty((0, 3))])
def test_a_map_without_figures_says_so(values: Any) -> None:
    assert "no data" in texts(mapped(values, columns=["a", "b"]))


def test_a_map_with_too_many_values_points_to_the_table() -> None:
    said = texts(mapped(np.ones((21, 2))))
    assert any("21 × 2 values are too many" in text for text in said)


def test_large_maps_have_colours_and_no_numbers() -> None:
    picture = mapped(RNG.normal(0.4, 0.3, (20, 20)))
    assert not [text for text in texts(picture) if re.fullmatch(r"0\.\d\d", text)]
    assert len(picture.encode()) < MOST


def test_the_small_versions_are_shown_without_a_click() -> None:
    small = bracket_inline(0.07, KEPT, FRESH, metric="cagr", basis="close")
    assert charts.inline_excess(small) <= 0
    lines = small.splitlines()
    assert [line.split("|")[1] for line in lines[2:]] == [
        "exchanged once",
        "drawn afresh",
        "strategy",
    ]
    assert len({len(line.split("|")[2]) for line in lines[2:]}) == 1
    lo, hi = min(FRESH.min(), KEPT.min()), KEPT.max()
    assert lines[4].split("|")[2].index("▲") == int(30 * (0.07 - lo) / (hi - lo))
    assert lines[4].endswith("|7.0%|")
    assert "SYNTHETIC" in bracket_inline(0.1, KEPT, FRESH, metric="sharpe", basis="synthetic")
    none = np.array([NAN])
    assert "no random books" in bracket_inline(0.1, none, FRESH, metric="cagr", basis="close")


def test_the_small_map_has_a_block_per_cell() -> None:
    small = heat_inline(["r0", "r1", "r2"], ["a", "b", "c"], SWEEP, basis="close", about="k")
    lines = small.splitlines()
    assert lines[2:] == ["|r0|▄▄·|0.20|", "|r1|▅█▆|0.90|", "|r2|▁▆▇|0.70|"]
    assert "a … c: ▁ −0.40 █ 0.90, price basis: close" in lines[0]
    wide = heat_inline([f"r{i}" for i in range(90)], ["a"] * 40, RNG.random((90, 40)), basis="b")
    assert charts.inline_excess(wide) <= 0
    assert wide.splitlines()[-1] == "|…| | |"
    assert "no figures" in heat_inline(["a"], ["b"], np.array([[NAN]]), basis="close")


PICTURES = {"bracket": bracketed, "map": mapped}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_pictures_are_small_the_same_again_and_escape_what_is_not_ours(draw: Any) -> None:
    assert draw() == draw()
    picture = draw(text=HOSTILE, basis="synthetic")
    assert "<script>" not in picture
    assert len(picture.encode()) < MOST
    assert "SYNTHETIC" in texts(picture)
    shown = charts.as_markdown_image(picture, "alt")
    assert unquote(shown.partition("svg+xml,")[2][:-2]) == picture


def test_hostile_names_stay_text() -> None:
    picture = mapped(rows=[HOSTILE] * 3, columns=[HOSTILE] * 3, row=HOSTILE, column=HOSTILE)
    assert "<script>" not in picture
    assert "<script>" not in heat_inline([HOSTILE], [HOSTILE], np.ones((1, 1)), basis=HOSTILE)


@pytest.mark.browser
def test_a_browser_draws_every_text_within_the_picture() -> None:
    executable, why = find_chromium()
    if executable is None:
        pytest.skip(why)
    wide = mapped(RNG.normal(0.4, 0.3, (20, 20)), rows=["inverse_volatility"] * 20)
    drawn = [bracketed(), bracketed(0.001), mapped(), wide, bracketed(0.9, metric="sharpe")]
    with open_page(executable) as (page, errors):
        for picture in drawn:
            page.set_content(picture)
            beyond = page.evaluate(
                """() => {
                  const paper = document.querySelector('svg').getBoundingClientRect();
                  return [...document.querySelectorAll('text')].filter(text => {
                    const box = text.getBoundingClientRect();
                    return box.left < paper.left || box.right > paper.right + 1
                      || box.top < paper.top || box.bottom > paper.bottom;
                  }).map(text => text.textContent);
                }"""
            )
            assert beyond == []
        assert errors == []
