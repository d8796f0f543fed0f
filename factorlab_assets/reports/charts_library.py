"""Pictures of strategies side by side.

Belongs here: what shows several experiments in one picture. Does not: one experiment's pictures
(`charts`), or aligning the series (`evaluation.compare`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from factorlab_assets.reports import svg, theme
from factorlab_assets.reports.svg import BOTTOM, INK, LEFT, RIGHT, TOP, Dates, Floats, label

HUES = (theme.BLUE, theme.VERMILLION, theme.GREEN, theme.PURPLE, theme.ORANGE, "#56b4e9")
"""The first so many series have a colour and a name of their own; the rest are grey."""
APART = 12.0
"""Pixels between two labels."""
SMALL = 9
"""Size of the text of a map."""
PER_ROW, COLUMN, ROW = 3, 180, 15
"""Names beneath the years, and how far their columns and rows are apart, pixels."""
LONGEST = 30
"""Characters of a name."""
GREY_POINTS = 2_000
"""Of all grey lines together, so that the picture of a large library stays small."""


def nav_overlay(dates: Dates, nav: Floats, names: Sequence[str], *, title: str, basis: str) -> str:
    """Growth of 1 of several series on one log scale, named in its colour.

    dates : (T,); nav : (S, T), in the order of importance: beyond six they are drawn grey.
    """
    days, drawn = svg.as_days(dates), svg.log10(nav)
    known = np.isfinite(drawn).sum(axis=1) >= 2 if drawn.size else np.zeros(0, bool)
    if not known.any():
        return svg.no_data(title, basis, "fewer than two known dates")
    lo, hi = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    pad = max(0.04 * (hi - lo), 0.01)
    lo, hi = lo - pad, hi + pad
    ticks = svg.log_ticks(lo, hi)
    heights = svg.at(np.log10(ticks), lo, hi, BOTTOM, TOP)
    parts = [svg.time_axis(days), svg.y_axis(heights, [f"{tick:g}×" for tick in ticks])]
    x = svg.time_x(days, days)
    grey = max(GREY_POINTS // max(len(nav) - len(HUES), 1), 8)
    ends: list[tuple[float, str, str]] = []
    for i in reversed(np.flatnonzero(known).tolist()):
        y = svg.at(drawn[i], lo, hi, BOTTOM, TOP)
        is_named = i < len(HUES)
        hue, width = (HUES[i], 1.6) if is_named else (theme.OTHER, 0.8)
        most = svg.MAX_POINTS if is_named else min(grey, svg.MAX_POINTS)
        parts.append(svg.stroke(svg.line(x, y, drawn[i], most=most), hue, width))
        if is_named:
            last = np.flatnonzero(np.isfinite(drawn[i]))[-1]
            ends.append((float(y[last]), hue, svg.times(10 ** drawn[i, last])))
    parts += [label(RIGHT + 8, y + 4, said, fill=hue, bold=True) for y, hue, said in _apart(ends)]
    named, height = _names(names)
    subtitle = f"growth of 1 (log scale), {svg.said(days)}"
    return svg.frame(title, basis, subtitle, "".join([*parts, *named]), height)


def _names(names: Sequence[str]) -> tuple[list[str], int]:
    """The names in their colours, in rows beneath the years, cut where the next one begins, and the
    picture's height."""
    said = [(_short(name), hue) for name, hue in zip(names, HUES, strict=False)]
    if len(names) > len(HUES):
        said.append((f"and {len(names) - len(HUES)} more", theme.OTHER))
    parts = [
        f'<svg x="{LEFT + COLUMN * (i % PER_ROW)}" y="{BOTTOM + 22 + ROW * (i // PER_ROW)}" '
        f'width="{COLUMN - 6}" height="{ROW}">{label(0, 12, name, fill=hue, bold=True)}</svg>'
        for i, (name, hue) in enumerate(said)
    ]
    return parts, 310 + ROW * ((len(said) - 1) // PER_ROW)


def _short(name: str) -> str:
    """A name, cut in the middle: combinations of one sweep differ at the end.

    >>> _short("momentum_within_classes.top_k-5")
    'momentum_w…hin_classes.top_k-5'
    """
    line = svg.one_line(name)
    cut = line if len(line) <= LONGEST else f"{line[:10]}…{line[11 - LONGEST :]}"
    return svg.escape(cut, LONGEST)


def _apart(ends: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Labels from top to bottom, pushed down where they would touch, and back up from the floor."""
    placed = sorted(ends)
    y = np.array([each[0] for each in placed])
    for i in range(1, len(y)):
        y[i] = max(y[i], y[i - 1] + APART)
    if len(y):
        y[-1] = min(y[-1], BOTTOM)
    for i in range(len(y) - 2, -1, -1):
        y[i] = min(y[i], y[i + 1] - APART)
    return [(float(at), hue, said) for at, (_, hue, said) in zip(y, placed, strict=True)]


def correlation_map(names: Sequence[str], correlation: Floats, *, title: str, basis: str) -> str:
    """Correlations of up to thirty-odd series: those that are alike stand next to each other.

    correlation : (S, S), NaN = not known. The order is that of average linkage on 1 − ρ.
    """
    known = np.isfinite(correlation).all(axis=1) if len(names) else np.zeros(0, bool)
    if known.sum() < 2:
        return svg.no_data(title, basis, "fewer than two series that vary")
    kept = np.flatnonzero(known)
    within = correlation[np.ix_(kept, kept)]
    apart = np.clip(1.0 - within, 0.0, 2.0)
    np.fill_diagonal(apart, 0.0)
    order = leaves_list(linkage(squareform(apart, checks=False), "average"))
    within, said = within[np.ix_(order, order)], [names[kept[i]] for i in order]
    left, size = 170.0, min(400.0 / len(said), 24.0)
    parts = []
    for i, name in enumerate(said):
        y = 52.0 + i * size
        at = label(left - 6, y + 0.75 * size, svg.escape(name, 26), anchor="end", size=SMALL)
        parts.append(at)
        for j in range(len(said)):
            parts.append(svg.rect(left + j * size, y, size, size, _shade(float(within[i, j]))))
            if size >= 20.0:
                text = svg.decimal(within[i, j], 2)
                middle = left + (j + 0.5) * size
                ink = "#fff" if abs(within[i, j]) > 0.6 else INK
                at = label(middle, y + 0.68 * size, text, anchor="middle", size=SMALL, fill=ink)
                parts.append(at)
    lowest = float(within.min())
    told = f"correlation of monthly net returns, {svg.decimal(lowest, 2)} to 1: blue +1, orange −1"
    return svg.frame(title, basis, told, "".join(parts), int(52 + size * len(said)) + 34)


def _shade(correlation: float) -> str:
    """White at 0, blue at 1, orange at −1."""
    hue = theme.BLUE if correlation >= 0.0 else theme.ORANGE
    strength = min(abs(correlation), 1.0)
    red, green, blue = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    mixed = (round(255 + (part - 255) * 0.85 * strength) for part in (red, green, blue))
    return "#" + "".join(f"{part:02x}" for part in mixed)
