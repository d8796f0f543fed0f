"""How pages look: surfaces, hues, a colour per ticker and asset class, and how numbers are said.

Belongs here: what the PDF, the HTML pages and the small pictures share, so that a colour means the
same and a number reads the same everywhere. Does not: drawing, or computing what is drawn.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache

from factorlab_assets.reports import svg

# The colour-blind safe palette of Okabe and Ito (2008): one hue per asset class, shades within.
BLUE, GREEN, PURPLE, ORANGE, VERMILLION = "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#d55e00"
CLASS_HUES = {"Equity": BLUE, "Rates": GREEN, "Credit": PURPLE, "Commodity": ORANGE}
CLASS_HUES |= {"REIT": VERMILLION}
SPARE_HUES = ("#56b4e9", "#b8a800", "#6f6f6f")
BENCHMARK, CASH, OTHER = "#7b8288", "#dfe3e6", "#9aa1a7"
LIGHTS = {"green": GREEN, "amber": ORANGE, "red": VERMILLION}
"""Of a verdict; always beside its word: a colour alone says nothing to some readers."""
NO_CLASS = "no class"
UNKNOWN = "n/a"
"""What stands where a number is not known."""
_ROUNDS = (0.0, 0.35, -0.3, 0.55)
"""Towards white or black, by how often the hues have been used up."""
_MOST_SHADES = 20


@dataclass(frozen=True)
class Surface:
    """Colours of a page: background, panels upon it, text, quiet text, lines, strategy, loss."""

    paper: str
    panel: str
    ink: str
    muted: str
    grid: str
    strategy: str
    benchmark: str
    loss: str
    synthetic: str


LIGHT = Surface(
    "#ffffff", "#f6f7f8", svg.INK, svg.MUTED, svg.GRID, BLUE, BENCHMARK, VERMILLION, "#8a5f00"
)
DARK = Surface(
    "#14181c",
    "#1d2328",
    "#e8ebed",
    "#a3adb5",
    "#343c43",
    "#56b4e9",
    "#98a1a8",
    "#f0813a",
    "#e8b23a",
)


@dataclass(frozen=True)
class Colours:
    """The colour of every ticker and asset class of one sheet, the same in all of its pictures.

    asset_classes : ticker -> class, of the whole universe; an empty class is "no class". What is
    not in it is grey. dark : for a dark background.

    >>> Colours({"SPY": "Equity"}).ticker("SPY") == Colours({"SPY": "Equity"}).of_class("Equity")
    True
    """

    asset_classes: Mapping[str, str]
    dark: bool = False
    _tickers: Mapping[str, str] = field(init=False, repr=False)
    _classes: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        families: dict[str, list[str]] = {}
        for name in sorted(self.asset_classes):
            families.setdefault(self.asset_classes[name] or NO_CLASS, []).append(name)
        tickers, classes = shades(families), hues(in_order(families))
        if self.dark:
            tickers = {name: on_dark(colour) for name, colour in tickers.items()}
            classes = {name: on_dark(colour) for name, colour in classes.items()}
        object.__setattr__(self, "_tickers", tickers)
        object.__setattr__(self, "_classes", classes)

    def ticker(self, name: str) -> str:
        """Its colour, "#rrggbb"."""
        return self._tickers.get(name, OTHER)

    def of_class(self, name: str) -> str:
        """The colour of an asset class, "#rrggbb"."""
        return self._classes.get(name or NO_CLASS, OTHER)

    @property
    def classes(self) -> list[str]:
        """The asset classes in the order in which they are listed and stacked."""
        return list(self._classes)


def in_order(families: Mapping[str, object]) -> list[str]:
    """Asset classes as they are listed: the common ones first, "other" last."""
    known = [*CLASS_HUES]
    rank = {name: k for k, name in enumerate(known)}
    return sorted(families, key=lambda f: (f == "other", rank.get(f, len(known)), f))


def shades(families: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Name -> colour: one hue per family, from dark to light within it.

    families : family -> its names, in their order. Beyond twenty names the shades come again.
    """
    order = in_order(families)
    hue = hues(order)
    return {
        name: colour
        for family in order
        for name, colour in zip(
            families[family], _within(hue[family], len(families[family])), strict=True
        )
    }


def hues(families: Sequence[str]) -> dict[str, str]:
    """Family -> hue: the common asset classes keep their own, the others take what is free."""
    found = {family: CLASS_HUES[family] for family in families if family in CLASS_HUES}
    free = [hue for hue in (*CLASS_HUES.values(), *SPARE_HUES) if hue not in found.values()]
    free = free or list(SPARE_HUES)
    for k, family in enumerate(f for f in families if f not in CLASS_HUES):
        found[family] = mix(free[k % len(free)], _ROUNDS[k // len(free) % len(_ROUNDS)])
    found |= {"other": OTHER} if "other" in families else {}
    return {family: found[family] for family in families}


@lru_cache(maxsize=256)
def _within(hue: str, count: int) -> tuple[str, ...]:
    drawn = min(count, _MOST_SHADES)
    if drawn <= 1:
        return (hue,) * count
    darkest, lightest = -min(0.3, 0.18 * (drawn - 1)), min(0.62, 0.45 * (drawn - 1))
    step = (lightest - darkest) / (drawn - 1)
    scale = [mix(hue, darkest + k * step) for k in range(drawn)]
    return tuple(scale[k % drawn] for k in range(count))


def mix(hue: str, amount: float) -> str:
    """`hue` moved towards white (amount up to 1) or black (down to −1)."""
    target = 255 if amount > 0 else 0
    mixed = (round(part + (target - part) * min(abs(amount), 1.0)) for part in _parts(hue))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def on_dark(colour: str) -> str:
    """`colour` made light enough to be seen on the dark surface: a contrast of at least 3."""
    return _until(colour, DARK.paper, 3.0)


def as_text(colour: str, surface: Surface = LIGHT) -> str:
    """`colour` made readable as text on a surface: a contrast of at least 4.5.

    >>> as_text(BLUE), contrast(as_text(ORANGE), LIGHT.paper) >= 4.5
    ('#0072b2', True)
    """
    return _until(colour, surface.paper, 4.5)


@lru_cache(maxsize=4096)
def _until(colour: str, paper: str, wanted: float) -> str:
    towards = 1.0 if _luminance(paper) < 0.2 else -1.0
    steps = (mix(colour, towards * k / 20) for k in range(21))
    return next((each for each in steps if contrast(each, paper) >= wanted), colour)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21, as WCAG 2 defines it.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (part / 255 for part in _parts(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def css_variables(surface: Surface) -> str:
    """A surface as CSS custom properties: "--paper:#ffffff;--panel:…"."""
    return "".join(f"--{each.name}:{getattr(surface, each.name)};" for each in fields(surface))


def is_known(value: object) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def percent(value: object, digits: int = 1, signed: bool = False) -> str:
    """A decimal as a percentage, one digit where not told otherwise.

    >>> percent(-0.33712), percent(0.05, signed=True), percent(None), percent(float("nan"))
    ('−33.7%', '+5.0%', 'n/a', 'n/a')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return _plus(svg.percent(value, digits), signed)


def probability(value: object) -> str:
    """A probability as a percentage; 100 % and 0 % only where nothing else is possible.

    >>> probability(0.77), probability(0.99998), probability(1e-9)
    ('77.0%', '> 99.9%', '< 0.1%')
    """
    if not isinstance(value, int | float) or not 0.0 < value < 1.0:
        return percent(value)
    return "> 99.9%" if value > 0.9995 else "< 0.1%" if value < 0.0005 else percent(value)


def ratio(value: object, digits: int = 2, signed: bool = False) -> str:
    """A ratio, a beta or a t-value, two digits where not told otherwise.

    >>> ratio(1.236), ratio(-0.004), ratio(None)
    ('1.24', '0.00', 'n/a')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return _plus(svg.decimal(value, digits), signed)


def nav(value: object) -> str:
    """Growth of 1, three digits.

    >>> nav(6.2449), nav(0.0312), nav(62.449), nav(-0.2), nav(12345.6)
    ('6.24×', '0.03×', '62.4×', '−0.20×', '12,346×')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size >= 1e9:
        return f"{value:.2e}×".replace("-", "−")
    digits = 2 if size < 10 else 1 if size < 100 else 0
    return f"{round(value, digits) + 0.0:,.{digits}f}×".replace("-", "−")


def bps(value: object) -> str:
    """Basis points, given in basis points.

    >>> bps(12.34), bps(250.0)
    ('12 bps', '250 bps')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return f"{svg.decimal(value, 0 if abs(value) >= 10 else 1)} bps"


def count(value: object) -> str:
    """A whole number with its thousands set apart.

    >>> count(12345), count(None)
    ('12,345', 'n/a')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.0f}".replace("-", "−")


def day(value: object) -> str:
    """A date as 2024-05-31.

    >>> day(dt.date(2024, 5, 31)), day(None)
    ('2024-05-31', 'n/a')
    """
    return value.isoformat()[:10] if isinstance(value, dt.date) else UNKNOWN


def month(value: object) -> str:
    """A date's month as May 2024, whatever the machine's language.

    >>> month(dt.date(2024, 5, 31))
    'May 2024'
    """
    return f"{MONTHS[value.month - 1]} {value.year}" if isinstance(value, dt.date) else UNKNOWN


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _plus(said: str, signed: bool) -> str:
    is_zero = not any(digit in said for digit in "123456789")
    return said if not signed or said.startswith("−") or is_zero else f"+{said}"
