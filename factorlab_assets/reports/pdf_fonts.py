"""The PDF's two faces: what they can draw, how wide a text is, and cutting it to the room there is.

Belongs here: text before it has a place. Does not: placing it (`pdf_page`).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from factorlab_assets.reports import svg

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties


@lru_cache(maxsize=2)
def font(bold: bool = False) -> FontProperties:
    """The font that comes with matplotlib, whatever the machine has besides."""
    return _font(bold)


def _font(bold: bool) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=_font_file(bold))


def _font_file(bold: bool) -> str:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """Code points that both faces can draw."""
    from matplotlib.ft2font import FT2Font

    faces = (FT2Font(_font_file(bold)).get_charmap() for bold in (False, True))
    return frozenset.intersection(*(frozenset(face) for face in faces))


def plain(text: str, longest: int = 400) -> str:
    """`text` on one line, at most `longest` characters, without what cannot or must not be drawn.

    >>> plain("a\\x00b  $x_1$\\u202e")
    'a\ufffdb $x_1$'
    """
    known = _characters()
    shown = []
    for character in svg.one_line(text[: 4 * longest + 100]):
        kind = unicodedata.category(character)
        if kind == "Cf":  # turns the direction of reading, or joins: nothing to see
            continue
        drawable = ord(character) in known and not kind.startswith("C")
        shown.append(character if drawable else "\N{REPLACEMENT CHARACTER}")
    line = "".join(shown)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def width(said: str, size: float, bold: bool = False) -> float:
    """How wide a text is, inches, with a little to spare."""
    from matplotlib.font_manager import get_font

    face = get_font(_font_file(bold))
    face.set_size(100.0, 72)  # large, so that fitting to whole pixels does not matter
    face.set_text(said, 0.0)
    return float(face.get_width_height()[0]) / 64 / 72 * size / 100.0 * 1.03


def cut(said: str, size: float, bold: bool, within: float) -> str:
    """As much of a text as there is room for."""
    if width(said, size, bold) <= within:
        return said
    fitting = range(1, len(said))
    kept = bisect_left(fitting, within, key=lambda k: width(f"{said[:k]}…", size, bold))
    return f"{said[: max(kept, 1)].rstrip()}…"
