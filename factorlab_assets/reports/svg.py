"""Drawing with strings: escaping, scales, ticks, decimation, paths and the frame of a small SVG.

Belongs here: what every picture in `charts.py` shares. Does not: what a picture shows.

Paths of lines are in tenths of a pixel (integers are the shortest text), inside `scale(.1)`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

WIDTH = 600
LEFT, RIGHT, TOP, BOTTOM = 50, 484, 56, 262
"""The plot's edges; right of it the direct labels, above it the head, below it years and basis."""
MAX_POINTS = 300

INK, MUTED, GRID, PAPER = "#1f2933", "#5b6670", "#e1e5e8", "#fcfcfa"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def one_line(text: str) -> str:
    """`text` with its white space collapsed and without characters that XML forbids."""
    return " ".join(_NOT_XML.sub("\ufffd", text).split())


@lru_cache(maxsize=4096)
def escape(text: str, longest: int) -> str:
    """`text` on one line, cut to `longest` characters, safe inside XML text and attributes.

    >>> escape("a <b>\\n& c", 80), escape("trend_12m", 6)
    ('a &lt;b&gt; &amp; c', 'trend…')
    """
    line = one_line(text)
    return html.escape(line if len(line) <= longest else line[: longest - 1] + "…")


def label(
    x: float,
    y: float,
    escaped: str,
    *,
    size: int = 11,
    fill: str = "",
    anchor: str = "",
    bold: bool = False,
) -> str:
    """A text element; `anchor` is "middle" or "end", the default is the start."""
    style = f' font-size="{size}"' if size != 11 else ""
    style += f' fill="{fill}"' if fill else ""
    style += f' text-anchor="{anchor}"' if anchor else ""
    style += ' font-weight="600"' if bold else ""
    return f'<text x="{_short(x)}" y="{_short(y)}"{style}>{escaped}</text>'


def rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    """A filled rectangle, in pixels."""
    size = f'width="{_short(width)}" height="{_short(height)}"'
    return f'<rect x="{_short(x)}" y="{_short(y)}" {size} fill="{fill}"/>'


def stroke(d: str, colour: str, width: float) -> str:
    """A line along a path in tenths of a pixel; `width` in pixels."""
    return (
        f'<path d="{d}" transform="scale(.1)" fill="none" stroke="{colour}" '
        f'stroke-width="{_short(10 * width)}" stroke-linejoin="round" stroke-linecap="round"/>'
    )


def as_days(dates: npt.ArrayLike) -> Dates:
    """Dates of any kind as datetime64[D]; None is NaT."""
    return np.asarray(dates, "datetime64[D]")


def finite(values: npt.ArrayLike) -> Floats:
    """`values` as floats, NaN where infinite."""
    known = np.asarray(values, float)
    return np.where(np.isfinite(known), known, np.nan)


def log10(values: npt.ArrayLike) -> Floats:
    """Logarithms of `values`, NaN where there is none."""
    known = finite(values)
    return np.log10(known, out=np.full(known.shape, np.nan), where=known > 0)


def at(value: npt.ArrayLike, lo: float, hi: float, start: float, end: float) -> Floats:
    """Where `value` lies in pixels when lo..hi is drawn from `start` to `end`."""
    values: Floats = np.asarray(value, float)
    return start + (values - lo) / (hi - lo) * (end - start)


def decimate(values: Floats, most: int = MAX_POINTS) -> Ints:
    """Indices of at most `most` known values: the first, the last, and every bucket's extremes.

    >>> decimate(np.array([1.0, np.nan, 3.0])).tolist()
    [0, 2]
    """
    known: Ints = np.flatnonzero(np.isfinite(values))
    if known.size <= most:
        return known
    size = -(-known.size // (most // 2 - 1))
    shown = values[known]
    buckets = np.append(shown, np.repeat(shown[-1], -known.size % size)).reshape(-1, size)
    starts = np.arange(len(buckets)) * size
    is_kept = np.zeros(buckets.size, dtype=np.bool_)
    is_kept[starts + buckets.argmin(axis=1)] = is_kept[starts + buckets.argmax(axis=1)] = True
    is_kept[[0, known.size - 1]] = True
    kept: Ints = known[is_kept[: known.size]]
    return kept


def line(
    x: Floats,
    y: Floats,
    values: Floats,
    base: float | None = None,
    *,
    per_pixel: int = 10,
    most: int = MAX_POINTS,
) -> str:
    """Path through the known `values`, at most `most`, broken where one is not known.

    x, y : pixels of every value, written in whole units of 1 / per_pixel. With `base` (a y) each
    unbroken piece is closed into an area.
    """
    keep = decimate(values, most)
    unknown = np.cumsum(~np.isfinite(values))[keep]
    points = np.rint(per_pixel * np.column_stack((x[keep], y[keep]))).astype(int)
    pieces = []
    breaks = np.flatnonzero(unknown[1:] != unknown[:-1]) + 1
    for piece in np.split(points, breaks) if breaks.size else [points]:
        moves = (piece[1:] - piece[:-1]).ravel().tolist()
        drawn = f"M{piece[0, 0]} {piece[0, 1]}l" + " ".join(map(str, moves or [0, 0]))
        if base is not None:
            drawn += f"V{per_pixel * base:.0f}H{piece[0, 0]}z"
        pieces.append(drawn)
    return "".join(pieces).replace(" -", "-")


def steps(x: Floats, y: Floats, base: int) -> str:
    """Closed path (pixels) under steps: height y[i] from x[i] to x[i + 1], down to `base`."""
    turns = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    heights = y[turns].astype(int)
    edges = x[np.append(turns[1:], len(y))].astype(int)
    moves = zip(
        np.diff(heights, prepend=base).tolist(),
        np.diff(edges, prepend=int(x[0])).tolist(),
        strict=True,
    )
    return f"M{int(x[0])} {base}" + "".join(f"v{up}h{right}" for up, right in moves) + f"V{base}z"


def linear_ticks(lo: float, hi: float, most: int) -> Floats:
    """Round values in lo..hi, about `most` of them.

    >>> linear_ticks(-0.34, 0.0, 3).tolist()
    [-0.2, 0.0]
    """
    raw = (hi - lo) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.99 * raw)
    ticks: Floats = np.arange(np.ceil(lo / step), np.floor(hi / step) + 1) * step + 0.0
    return ticks


def log_ticks(lo: float, hi: float) -> Floats:
    """Round values whose log10 lies in lo..hi: decades, else 1-2-5, else evenly spaced."""
    decades = 10.0 ** np.arange(np.floor(lo), np.ceil(hi) + 1)
    for factors in ([1.0], [1.0, 2.0, 5.0]):
        ticks: Floats = np.outer(decades, factors).ravel()
        ticks = ticks[(np.log10(ticks) >= lo) & (np.log10(ticks) <= hi)]
        if len(ticks) > 2:
            return ticks[:: -(-len(ticks) // 6)]
    return linear_ticks(10.0**lo, 10.0**hi, 4)


def decimal(value: float, digits: int) -> str:
    """A number with a real minus sign, and none before zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")


def percent(value: float, digits: int = 0) -> str:
    """A decimal as a percentage with a real minus sign.

    >>> percent(-0.3371, 1)
    '−33.7%'
    """
    return decimal(100 * value, digits) + "%"


def times(growth: float) -> str:
    """Growth of 1, three digits."""
    return f"{growth:.2f}×" if 0.1 <= growth < 10 else f"{growth:.3g}×"


def said(days: Dates) -> str:
    """The first and the last of `days` in words."""
    return f"{days[0]} to {days[-1]}"


def y_axis(heights: Floats, names: Iterable[str]) -> str:
    """Horizontal grid lines at `heights` (pixels) with their labels left of them."""
    grid = "".join(f"M{LEFT} {_short(y)}H{RIGHT}" for y in heights)
    return f'<path d="{grid}" stroke="{GRID}"/>' + "".join(
        label(LEFT - 6, y + 4, name, anchor="end") for y, name in zip(heights, names, strict=True)
    )


def time_x(days: Dates, span: Dates) -> Floats:
    """Pixels of `days` when the first and last day of `span` are the plot's edges."""
    first, last = span[[0, -1]].astype(float).tolist()
    return at(days.astype(float), first, last, LEFT, RIGHT)


def time_axis(span: Dates, bottom: float = BOTTOM, top: float = TOP) -> str:
    """Year lines and labels, about ten; the two end dates where fewer than two years begin."""
    first, last = (span[[0, -1]].astype("datetime64[Y]").astype(int) + 1970).tolist()
    every = next(k for k in (1, 2, 5, 10, 20, 50, 100, 1000) if last - first <= 10 * k)
    years = [year for year in range(first + 1, last + 1) if year % every == 0]
    y = bottom + 15
    if len(years) < 2:
        return label(LEFT, y, str(span[0])) + label(RIGHT, y, str(span[-1]), anchor="end")
    starts = np.array([f"{year}-01-01" for year in years], "datetime64[D]")
    x = time_x(starts, span).tolist()
    grid = "".join(f"M{_short(tick)} {top}V{_short(bottom)}" for tick in x)
    return f'<path d="{grid}" stroke="{GRID}"/>' + "".join(
        label(tick, y, str(year), anchor="middle") for tick, year in zip(x, years, strict=True)
    )


def frame(title: str, basis: str, subtitle: str, body: str, height: int = 300) -> str:
    """The finished picture: paper, head, price basis, and SYNTHETIC where prices are invented."""
    synthetic = basis == "synthetic"
    warning = (
        f'<text x="{WIDTH - 14}" y="29" text-anchor="end" font-size="20" font-weight="600" '
        'letter-spacing="2" fill="#9a6a00">SYNTHETIC</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="Inter,Helvetica,Arial,sans-serif" '
        f'font-size="11" fill="{MUTED}">'
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6" '
        f'fill="{PAPER}" stroke="#c9ced3"/>'
        + f'<svg width="{WIDTH - (180 if synthetic else 14)}" height="44">'  # wide letters are cut
        + label(14, 21, escape(title, 52 if synthetic else 76), size=14, fill=INK, bold=True)
        + "</svg>"
        + label(14, 38, escape(subtitle, 90))
        + (warning if synthetic else "")
        + body
        + label(WIDTH - 14, height - 9, "price basis: " + escape(basis, 24), anchor="end")
        + "</svg>"
    )


def no_data(title: str, basis: str, why: str) -> str:
    """The picture that stands where there is nothing to draw."""
    middle = WIDTH / 2
    said = label(middle, 160, "no data", size=22, anchor="middle")
    return frame(title, basis, "", said + label(middle, 180, escape(why, 90), anchor="middle"))


def _short(value: float) -> str:
    return f"{round(float(value), 1):g}"
