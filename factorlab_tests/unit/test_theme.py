"""Colours mean the same everywhere and can be told apart; numbers are said the same everywhere."""

from __future__ import annotations

import datetime as dt
import itertools
import math

import numpy as np
import pytest

from factorlab_assets.reports import charts, theme
from factorlab_assets.reports.theme import Colours

CLASSES = {
    "SPY": "Equity",
    "QQQ": "Equity",
    "IEF": "Rates",
    "GLD": "Commodity",
    "VNQ": "REIT",
    "LQD": "Credit",
}


def test_a_class_keeps_its_hue_and_a_ticker_its_shade_of_it():
    colours = Colours(CLASSES)
    assert colours.of_class("Equity") == "#0072b2"
    assert colours.of_class("Rates") == "#009e73"
    assert colours.ticker("IEF") == "#009e73", "alone in its class"
    assert colours.ticker("QQQ") != colours.ticker("SPY")
    assert colours.ticker("nowhere") == colours.of_class("nowhere") == theme.OTHER


def test_the_order_of_the_tickers_does_not_matter():
    turned = Colours(dict(reversed(list(CLASSES.items()))))
    assert {t: turned.ticker(t) for t in CLASSES} == {
        t: Colours(CLASSES).ticker(t) for t in CLASSES
    }
    assert turned.classes == ["Equity", "Rates", "Credit", "Commodity", "REIT"]


def test_a_small_picture_draws_a_ticker_in_the_same_colour():
    tickers = sorted(CLASSES)
    names, colours, _ = charts.layers(np.full((2, len(tickers)), 0.1), tickers, CLASSES)
    sheet = Colours(CLASSES)
    assert dict(zip(names, colours, strict=True)) == {t: sheet.ticker(t) for t in tickers}


def test_every_class_has_a_colour_of_its_own_and_none_is_white():
    many = {f"T{k}": f"class {k}" for k in range(30)}
    drawn = [Colours(many).of_class(name) for name in many.values()]
    assert len(set(drawn)) == 30
    assert all(theme.contrast(colour, theme.LIGHT.paper) > 1.2 for colour in drawn)


def test_a_ticker_without_a_class_has_a_colour():
    colours = Colours({"A": "", "B": "Equity"})
    assert colours.ticker("A") == colours.of_class("") == colours.of_class(theme.NO_CLASS)
    assert colours.ticker("A") != theme.OTHER


def test_five_hundred_names_of_one_class_have_colours():
    colours = Colours({f"T{k:03}": "Equity" for k in range(500)})
    assert colours.ticker("T000") != colours.ticker("T001")
    assert all(len(colours.ticker(f"T{k:03}")) == 7 for k in range(500))


@pytest.mark.parametrize("hue", [*theme.CLASS_HUES.values(), *theme.SPARE_HUES, "#ffffff"])
def test_a_hue_can_be_read_as_text(hue: str):
    for surface in (theme.LIGHT, theme.DARK):
        assert theme.contrast(theme.as_text(hue, surface), surface.paper) >= 4.5


def test_ink_and_quiet_text_can_be_read_on_both_surfaces():
    for surface in (theme.LIGHT, theme.DARK):
        for text, paper in itertools.product(
            (surface.ink, surface.muted, surface.synthetic), (surface.paper, surface.panel)
        ):
            assert theme.contrast(text, paper) >= 4.5, (text, paper)


def test_on_a_dark_page_every_class_can_be_seen():
    dark = Colours(CLASSES, dark=True)
    for name in CLASSES:
        assert theme.contrast(dark.ticker(name), theme.DARK.paper) >= 3.0


def _seen(colour: str, matrix: np.ndarray) -> np.ndarray:
    """A colour as a colour-blind eye sees it (Viénot, Brettel and Mollon 1999), linear RGB."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return matrix @ np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
        np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    ],
    ids=["protan", "deutan"],
)
def test_the_lights_differ_to_a_colour_blind_eye(matrix: np.ndarray):
    seen = [_seen(colour, matrix) for colour in theme.LIGHTS.values()]
    gaps = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(gaps) > 0.08, gaps


def test_contrast_of_black_and_white_is_twenty_one():
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21.0, abs=1e-12)
    assert theme.contrast("#777777", "#777777") == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (theme.percent(0.12345), "12.3%"),
        (theme.percent(-0.00001), "0.0%"),
        (theme.percent(-0.5, 0), "−50%"),
        (theme.percent(0.00001, signed=True), "0.0%"),
        (theme.percent(0.021, signed=True), "+2.1%"),
        (theme.ratio(-1.005), "−1.00"),
        (theme.ratio(0.5, signed=True), "+0.50"),
        (theme.nav(6.2449), "6.24×"),
        (theme.nav(1e12), "1.00e+12×"),
        (theme.nav(0.0), "0.00×"),
        (theme.bps(7.25), "7.2 bps"),
        (theme.count(1234567), "1,234,567"),
        (theme.day(dt.date(2024, 5, 31)), "2024-05-31"),
        (theme.month(dt.date(2024, 5, 31)), "May 2024"),
    ],
)
def test_a_number_is_said(said: str, expected: str):
    assert said == expected


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf, "text"])
def test_what_is_not_known_is_said_to_be_so(unknown: object):
    for said in (theme.percent, theme.ratio, theme.nav, theme.bps, theme.count, theme.day):
        assert said(unknown) == "n/a"
    assert not theme.is_known(unknown)


def test_surfaces_are_css():
    assert theme.css_variables(theme.LIGHT).startswith("--paper:#ffffff;--panel:#")
    assert theme.css_variables(theme.DARK).count("--") == theme.css_variables(theme.LIGHT).count(
        "--"
    )
