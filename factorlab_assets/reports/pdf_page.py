"""A printed page's parts: text that is only text, panels placed in inches, axes, tables, sentences.

Belongs here: what every page and picture of the PDF shares. Does not: what a picture shows
(`pdf_plots`, `pdf_book`), or the order of the pages (`tear_sheet_pdf`).

Lengths are inches from the page's top left corner, sizes of text are points. Text from outside
passes through `pdf_fonts.plain`: one line, no control characters, nothing that the font lacks.
Mathematical markup is off, so that $ and _ and \\ stand for themselves.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from factorlab_assets.reports import pdf_fonts, svg, theme
from factorlab_assets.reports.sheet import Sheet
from factorlab_assets.reports.svg import Dates, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 8.27, 11.69
"""A4."""
LEFT, RIGHT, TOP = 0.65, WIDTH - 0.65, 0.5
PLOT_LEFT, PLOT_RIGHT = LEFT + 0.42, RIGHT - 1.12
"""Beside a plot stand its axis on the left and its direct labels on the right."""
LOOK = theme.LIGHT
Row = dict[str, Any]
SMALL, TEXT, HEAD, TITLE = 6.0, 7.0, 8.5, 16.0


@dataclass(frozen=True)
class Page:
    """A page being drawn: its figure, the sheet, and the colours of its tickers and classes."""

    figure: Figure
    sheet: Sheet
    colours: theme.Colours


@dataclass(frozen=True)
class Column:
    """A table's column: head, edge in inches (the right one of a number's), and how it is set."""

    head: str
    x: float
    is_number: bool = True


def write(
    page: Page,
    x: float,
    y: float,
    said: str,
    *,
    size: float = TEXT,
    colour: str = LOOK.ink,
    bold: bool = False,
    align: str = "left",
    longest: int = 400,
    within: float = 0.0,
) -> None:
    """Text whose baseline is at y inches from the top; align : left, center or right.

    within : inches that it may take, 0 = as many as it needs; what does not fit is cut.
    """
    said = pdf_fonts.plain(said, longest)
    if within:
        said = pdf_fonts.cut(said, size, bold, within)
    page.figure.text(
        x / WIDTH,
        1 - y / HEIGHT,
        said,
        fontproperties=pdf_fonts.font(bold),
        fontsize=size,
        color=colour,
        ha=align,
        va="baseline",
        parse_math=False,
    )


def paragraph(
    page: Page,
    x: float,
    y: float,
    said: str,
    *,
    columns: int,
    lines: int,
    size: float = TEXT,
    colour: str = LOOK.muted,
) -> float:
    """Text wrapped at `columns` characters, at most `lines` lines; the next free baseline."""
    wrapped = textwrap.wrap(
        pdf_fonts.plain(said, columns * (lines + 1)), columns, break_long_words=True
    )
    if len(wrapped) > lines:
        last = wrapped[lines - 1][: columns - 2].rstrip(" ,;.")
        wrapped = [*wrapped[: lines - 1], f"{last} …"]
    for line in wrapped:
        write(page, x, y, line, size=size, colour=colour)
        y += size * 1.38 / 72
    return y


def heading(page: Page, y: float, said: str, about: str = "", x: float = LEFT) -> None:
    """What a panel shows, in bold, with its unit behind it."""
    write(page, x, y, said, size=HEAD, bold=True)
    if about:
        write(
            page,
            x + pdf_fonts.width(said, HEAD, bold=True) + 0.12,
            y,
            about,
            size=SMALL + 0.5,
            colour=LOOK.muted,
        )


def records(page: Page, name: str) -> list[Row]:
    """A table's rows; none where it is missing."""
    return [dict(row) for row in page.sheet.rows(name)]


def absent(page: Page, y: float, what: str, why: str, x: float = LEFT, columns: int = 120) -> float:
    """The sentence that stands where there is nothing to draw."""
    said = f"{what} cannot be shown: {why.strip().rstrip('.') or 'the reason is not recorded'}."
    return paragraph(page, x, y, said, columns=columns, lines=3, size=TEXT)


def why_missing(sheet: Sheet, table: str, short: str = "") -> str:
    """Why a table has nothing to draw: as the sheet says; `short` where it has no row."""
    if table in sheet.missing:
        return sheet.missing[table]
    if table not in sheet.tables:
        return f"the table {table} is not there"
    return short or f"the table {table} has no rows"


def panel(page: Page, x: float, y: float, width: float, height: float) -> Axes:
    """Axes without a frame, y is their top edge."""
    axes = page.figure.add_axes(
        (x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT)
    )
    axes.set_facecolor("none")
    for edge in ("top", "right", "left", "bottom"):
        axes.spines[edge].set_visible(False)
    axes.tick_params(length=0, pad=3)
    return axes


def plot_panel(page: Page, y: float, height: float) -> Axes:
    """The usual panel of a page: room for an axis on the left and for labels on the right."""
    return panel(page, PLOT_LEFT, y, PLOT_RIGHT - PLOT_LEFT, height)


def y_axis(axes: Axes, ticks: Sequence[float], names: Sequence[str]) -> None:
    """Horizontal grid lines with their labels."""
    axes.set_yticks(list(ticks))
    axes.set_yticklabels(
        list(names),
        fontproperties=pdf_fonts.font(),
        fontsize=SMALL,
        color=LOOK.muted,
        parse_math=False,
    )
    axes.yaxis.grid(True, color=LOOK.grid, linewidth=0.6)
    axes.set_axisbelow(True)


def percent_axis(axes: Axes, lo: float, hi: float, most: int = 4) -> None:
    """A linear axis from lo to hi whose labels are percentages."""
    axes.set_ylim(lo, hi)
    ticks = svg.linear_ticks(lo, hi, most)
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else hi - lo
    digits = _digits(100.0 * step)
    y_axis(axes, ticks.tolist(), [theme.percent(float(tick), digits) for tick in ticks])


def ratio_axis(axes: Axes, lo: float, hi: float, most: int = 4) -> None:
    """A linear axis from lo to hi whose labels are ratios."""
    axes.set_ylim(lo, hi)
    ticks = svg.linear_ticks(lo, hi, most)
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else hi - lo
    digits = max(1, _digits(step))
    y_axis(axes, ticks.tolist(), [theme.ratio(float(tick), digits) for tick in ticks])


def _digits(step: float) -> int:
    """As many as tell ticks apart that are `step` apart."""
    return int(np.clip(np.ceil(-np.log10(step) - 1e-9), 0, 6))


def time_axis(axes: Axes, days: Dates, *, named: bool = True) -> None:
    """Years beneath the plot, about ten; the two end dates where fewer than two years begin."""
    span = days[[0, -1]].astype("datetime64[D]")
    first, last = (span.astype("datetime64[Y]").astype(int) + 1970).tolist()
    ends = span.astype(float).tolist()
    axes.set_xlim(ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1)
    every = next(k for k in (1, 2, 5, 10, 20, 50, 100, 1000) if last - first <= 10 * k)
    years = [year for year in range(first + 1, last + 1) if year % every == 0]
    if len(years) < 2:
        places, names = ends, [str(each) for each in span]
    else:
        starts = np.array([f"{year}-01-01" for year in years], "datetime64[D]")
        places, names = starts.astype(float).tolist(), [str(year) for year in years]
        axes.xaxis.grid(True, color=LOOK.grid, linewidth=0.4)
    axes.set_xticks(places)
    axes.set_xticklabels(
        names if named else [""] * len(names),
        fontproperties=pdf_fonts.font(),
        fontsize=SMALL,
        color=LOOK.muted,
        parse_math=False,
    )
    if len(years) < 2:
        left, right = axes.get_xticklabels()
        left.set_horizontalalignment("left")
        right.set_horizontalalignment("right")


def with_start(days: Dates) -> Dates:
    """The days with the month-end before the first of them in front: there NAV is 1."""
    before = days[:1].astype("datetime64[M]").astype("datetime64[D]") - np.timedelta64(1, "D")
    return np.concatenate([before, days])


def numbers(days: Dates) -> Floats:
    """Days as the numbers that the time axis counts in."""
    return days.astype("datetime64[D]").astype(float)


def column(rows: Sequence[dict[str, Any]], name: str) -> Floats:
    """A column of records as floats, NaN where not known."""
    return np.array([np.nan if row[name] is None else float(row[name]) for row in rows])


def days_of(rows: Sequence[dict[str, Any]], name: str = "date") -> Dates:
    """A column of records as days."""
    return np.array([row[name] for row in rows], "datetime64[D]")


def beside(
    page: Page, axes: Axes, labels: Sequence[tuple[float, str, str]], *, size: float = SMALL + 0.5
) -> None:
    """Direct labels to the right of a panel: (value on its axis, text, colour), moved apart."""
    box = axes.get_position()
    top, bottom = HEIGHT * (1 - box.y1), HEIGHT * (1 - box.y0)
    lo, hi = axes.transData.inverted().transform(axes.transAxes.transform([(0, 0), (0, 1)]))[:, 1]
    is_log = axes.get_yscale() == "log"
    placed = []
    for value, said, colour in labels:
        share = np.log(value / lo) / np.log(hi / lo) if is_log else (value - lo) / (hi - lo)
        placed.append((bottom - float(np.clip(share, 0, 1)) * (bottom - top), said, colour))
    step = size * 1.32 / 72
    heights = apart([y for y, _, _ in placed], step, top, bottom)
    for y, (_, said, colour) in zip(heights, placed, strict=True):
        write(
            page, box.x1 * WIDTH + 0.07, y + 0.03, said, size=size,
            colour=theme.as_text(colour), bold=True, within=RIGHT - box.x1 * WIDTH - 0.07,
        )  # fmt: skip


def apart(wanted: Sequence[float], step: float, top: float, bottom: float) -> list[float]:
    """Heights as near to those wanted as `step` between neighbours lets them be.

    >>> apart([1.0, 1.0, 3.0], 0.5, 0.0, 4.0)
    [0.75, 1.25, 3.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    groups: list[tuple[float, int]] = []  # middle, members
    for i in order:
        middle, size = wanted[i], 1
        while groups and middle - groups[-1][0] < step * (size + groups[-1][1]) / 2:
            other, count = groups.pop()
            middle, size = (middle * size + other * count) / (size + count), size + count
        groups.append((middle, size))
    found = []
    for middle, size in groups:
        half = step * (size - 1) / 2
        middle = min(max(middle, top + half), max(bottom - half, top + half))
        found += [middle - half + k * step for k in range(size)]
    placed = [0.0] * len(order)
    for i, y in zip(order, found, strict=True):
        placed[i] = y
    return placed


def table(
    page: Page,
    y: float,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    left: float,
    right: float,
    step: float = 0.152,
    size: float = TEXT,
) -> float:
    """A table with a rule under its head; numbers are set flush right. The next free height."""
    for each in columns:
        align = "right" if each.is_number else "left"
        write(page, each.x, y, each.head, size=SMALL, colour=LOOK.muted, align=align)
    rule(page, y + 0.045, left, right, LOOK.muted, 0.6)
    for row in rows:
        y += step
        for each, said in zip(columns, row, strict=True):
            align = "right" if each.is_number else "left"
            write(page, each.x, y, said, size=size, align=align)
        rule(page, y + 0.045, left, right, LOOK.grid, 0.4)
    return y + step


def boxes(axes: Axes, edges: Sequence[Sequence[float]], colours: Sequence[str]) -> None:
    """Rectangles (left, bottom, right, top) on a panel, as one object: quick for hundreds."""
    from matplotlib.collections import PolyCollection

    corners = [[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in edges]
    drawn = PolyCollection(corners, facecolors=list(colours), edgecolors="none")
    axes.add_collection(drawn, autolim=False)


def rule(page: Page, y: float, left: float, right: float, colour: str, width: float) -> None:
    """A horizontal line."""
    from matplotlib.lines import Line2D

    ends, height = [left / WIDTH, right / WIDTH], 1 - y / HEIGHT
    page.figure.add_artist(Line2D(ends, [height, height], color=colour, linewidth=width))


def block(page: Page, x: float, y: float, width: float, height: float, colour: str) -> None:
    """A filled rectangle, y is its top edge."""
    from matplotlib.patches import Rectangle

    corner = (x / WIDTH, 1 - (y + height) / HEIGHT)
    page.figure.add_artist(
        Rectangle(corner, width / WIDTH, height / HEIGHT, facecolor=colour, edgecolor="none")
    )
