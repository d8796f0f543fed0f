"""Charts of the HTML tear sheet: inline SVG whose colours are the page's CSS variables.

Belongs here: axes, lines, areas, bars and dots as strings, and the figure around them. Does not:
what is drawn where (`html_results`, `html_book`, `html_evidence`), or numbers of a page.

A figure holds its picture and, folded, the table that the picture is of. The page's script reads
that table where a reader points: its rows are the points, in the order of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from factorlab_assets.reports import svg
from factorlab_assets.reports.html_parts import clean, details
from factorlab_assets.reports.svg import Dates, Floats

WIDTH, LEFT, RIGHT, TOP = 480, 46, 392, 12
NAMED_RIGHT = 420
"""Where horizontal bars end; right of it their figures."""
ROW = 20
MOST_POINTS = 420
APART = 15.0
"""Between two labels, so that they stay apart where a small screen has larger letters."""


@dataclass(frozen=True)
class Line:
    """A line of a chart: its label, colour (CSS) and values (T,)."""

    name: str
    colour: str
    values: Floats


@dataclass(frozen=True)
class Plot:
    """The inside of a picture, its height, and where a reader may point in it.

    scrub : "" (nowhere), "band", or the first and last day of a time axis.
    """

    body: str
    height: float
    scrub: str = ""


def figure(anchor: str, title: str, unit: str, told: str, plot: Plot, numbers: str = "") -> str:
    """A picture with its title, what it says to those who cannot see it, and its numbers."""
    scrub = ""
    if plot.scrub:
        scrub = f' data-scrub="{plot.scrub}" data-left="{LEFT}" data-right="{RIGHT}"'
    head = f"<strong>{clean(title)}</strong> <span>{clean(unit)}</span>"
    return (
        f'<figure class="chart" id="{anchor}"{scrub}><figcaption>{head}</figcaption>'
        f'<svg role="img" viewBox="0 0 {WIDTH} {plot.height:.0f}" '
        f'aria-labelledby="{anchor}-t {anchor}-d">'
        f'<title id="{anchor}-t">{clean(title)}, {clean(unit)}</title>'
        f'<desc id="{anchor}-d">{clean(told)}</desc>{plot.body}</svg>'
        + (details("Numbers", numbers) if numbers else "")
        + "</figure>"
    )


def words(x: float, y: float, said: str, *, anchor: str = "", kind: str = "", hue: str = "") -> str:
    """Text in a picture; `kind` is a class of the page's style."""
    style = f' class="{kind}"' if kind else ""
    style += f' text-anchor="{anchor}"' if anchor else ""
    style += f' style="fill:{hue}"' if hue else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{clean(said)}</text>'


def y_axis(heights: Floats, names: Sequence[str]) -> str:
    """Lines across at `heights` with their labels to the left."""
    grid = "".join(f"M{LEFT} {y:.1f}H{RIGHT}" for y in heights)
    return f'<path class="grid" d="{grid}"/>' + "".join(
        words(LEFT - 6, y + 4, name, anchor="end")
        for y, name in zip(heights.tolist(), names, strict=True)
    )


def time_x(days: Dates, span: Dates) -> Floats:
    """Where `days` lie when the first and last of `span` are the plot's edges."""
    first, last = span[[0, -1]].astype(float).tolist()
    return svg.at(days.astype(float), first, max(last, first + 1.0), LEFT, RIGHT)


def years(span: Dates, bottom: float) -> str:
    """Labels of about six years; the two ends where fewer than two years begin."""
    first, last = (span[[0, -1]].astype("datetime64[Y]").astype(int) + 1970).tolist()
    every = next(k for k in (1, 2, 5, 10, 20, 50, 100, 1000) if last - first <= 6 * k)
    starts = [year for year in range(first + 1, last + 1) if year % every == 0]
    if len(starts) < 2:
        ends = words(LEFT, bottom + 16, str(span[0])[:7])
        return ends + words(RIGHT, bottom + 16, str(span[-1])[:7], anchor="end")
    x = time_x(np.array([f"{year}-01-01" for year in starts], "datetime64[D]"), span)
    marks = "".join(f"M{at:.1f} {bottom}v4" for at in x.tolist())
    return f'<path class="axis" d="{marks}"/>' + "".join(
        words(at, bottom + 16, str(year), anchor="middle")
        for at, year in zip(x.tolist(), starts, strict=True)
    )


def path(d: str, colour: str, width: float) -> str:
    """A line along a path in tenths of a unit."""
    return f'<path class="line" d="{d}" style="stroke:{colour};stroke-width:{10 * width:g}"/>'


def area(d: str, colour: str) -> str:
    """A filled path in tenths of a unit."""
    return f'<path class="area" d="{d}" style="fill:{colour}"/>'


def ends(found: Sequence[tuple[float, str, str]], top: float, bottom: float) -> Iterator[str]:
    """Labels (height, colour, words) at the right edge, moved until none covers another."""
    ordered = sorted(found)
    heights = np.array([y for y, _, _ in ordered])
    for _ in range(40):
        gaps = np.diff(heights)
        tight = np.flatnonzero(gaps < APART - 0.1)
        if not tight.size:
            break
        for k in tight:
            push = (APART - (heights[k + 1] - heights[k])) / 2
            heights[k], heights[k + 1] = heights[k] - push, heights[k + 1] + push
        heights = np.clip(heights, top, bottom)
    for y, (_, hue, said) in zip(heights.tolist(), ordered, strict=True):
        yield words(RIGHT + 7, y + 4, said, kind="name", hue=hue)


def lines(
    days: Dates,
    drawn: Sequence[Line],
    say: Callable[[float], str],
    *,
    top: float = TOP,
    bottom: float = 178,
    is_log: bool = False,
    rest: float | None = None,
    span: Dates | None = None,
) -> Plot:
    """Lines over time with their names at their ends. rest : a value that is always in sight.

    `span` is the time axis, where it reaches further than `days`.
    """
    values = [svg.log10(each.values) if is_log else svg.finite(each.values) for each in drawn]
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    axis = days if span is None else span
    if known.size < 2:
        return nothing("fewer than two known dates")
    lo, hi = _range(known, rest)
    ticks = svg.log_ticks(lo, hi) if is_log else svg.linear_ticks(lo, hi, 5)
    where = np.log10(ticks) if is_log else ticks
    parts = [y_axis(svg.at(where, lo, hi, bottom, top), [say(tick) for tick in ticks.tolist()])]
    if rest is not None and lo < rest < hi:
        level = float(svg.at(rest, lo, hi, bottom, top))
        parts.append(f'<path class="axis" d="M{LEFT} {level:.1f}H{RIGHT}"/>')
    x, labels = time_x(days, axis), []
    for line, each in zip(drawn, values, strict=True):
        if not np.isfinite(each).any():
            continue
        y = svg.at(each, lo, hi, bottom, top)
        d = svg.line(x, y, each, most=MOST_POINTS)
        parts.append(path(d, line.colour, 1.7 if line is drawn[-1] else 1.3))
        labels.append((float(y[np.flatnonzero(np.isfinite(each))[-1]]), line.colour, line.name))
    parts += ends(labels, top, bottom)
    parts.append(years(axis, bottom))
    return Plot("".join(parts), bottom + 24, f"{axis[0]} {axis[-1]}")


def _range(known: Floats, rest: float | None) -> tuple[float, float]:
    lo, hi = float(known.min()), float(known.max())
    if rest is not None:
        lo, hi = min(lo, rest), max(hi, rest)
    pad = max(0.05 * (hi - lo), 1e-6 * max(abs(hi), 1.0))
    return lo - pad, hi + pad


def below(days: Dates, values: Floats, *, top: float, bottom: float, span: Dates) -> str:
    """An area hanging from 0: a drawdown, in percent."""
    known = svg.finite(values)
    if np.isfinite(known).sum() < 2:
        return ""
    floor = min(float(np.nanmin(known)) * 1.05, -0.01)
    ticks = svg.linear_ticks(floor, 0.0, 3)
    y = svg.at(known, 0.0, floor, top, bottom)
    d = svg.line(time_x(days, span), y, known, base=top, most=MOST_POINTS)
    return (
        y_axis(svg.at(ticks, 0.0, floor, top, bottom), [svg.percent(t) for t in ticks.tolist()])
        + area(d, "var(--loss)")
        + words(RIGHT + 7, top + 12, "drawdown", kind="name", hue="var(--loss)")
    )


def stacked(
    days: Dates, layers: Sequence[tuple[str, str, Floats]], say: Callable[[float], str]
) -> Plot:
    """Steps over time on top of each other: longs up and shorts down from 0, held until the next.

    layers : name, colour and weights (T,), from zero outwards.
    """
    book = np.column_stack([values for _, _, values in layers])
    up, down = np.cumsum(np.maximum(book, 0.0), 1), np.cumsum(np.minimum(book, 0.0), 1)
    hi, lo = max(float(up.max(initial=0.0)), 0.01), min(float(down.min(initial=0.0)), 0.0)
    top, bottom = TOP, 198
    span = np.append(days, days[-1] + 30)
    x = 10 * time_x(span, span)
    zero = round(10 * float(svg.at(0.0, lo, hi, bottom, top)))
    parts = []
    for k in reversed(range(len(layers))):
        for side in (up, down):
            if side[:, k].any():
                y = np.rint(10 * svg.at(side[:, k], lo, hi, bottom, top))
                parts.append(area(svg.steps(np.rint(x), y, zero), layers[k][1]))
    ticks = svg.linear_ticks(lo, hi, 4)
    parts.append(y_axis(svg.at(ticks, lo, hi, bottom, top), [say(t) for t in ticks.tolist()]))
    parts.append(years(span, bottom))
    return Plot("".join(parts), bottom + 24, f"{span[0]} {span[-1]}")


def legend(layers: Sequence[tuple[str, str]]) -> str:
    """Names with their colours, for pictures whose layers have no end to be named at."""
    items = "".join(
        f'<li><i style="background:{colour}"></i>{clean(name)}</li>' for name, colour in layers
    )
    return f'<ul class="legend">{items}</ul>'


def columns(
    names: Sequence[str], drawn: Sequence[Line], say: Callable[[float], str], *, height: float = 178
) -> Plot:
    """Groups of vertical bars from 0, one group per name; every so many names are written."""
    values = [svg.finite(each.values) for each in drawn]
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    if not known.size:
        return nothing("no value is known")
    lo, hi = _range(known, 0.0)
    ticks = svg.linear_ticks(lo, hi, 5)
    zero = float(svg.at(0.0, lo, hi, height, TOP))
    band = (RIGHT - LEFT) / len(names)
    wide = min(0.8 * band / len(drawn), 24.0)
    tops = svg.at(ticks, lo, hi, height, TOP)
    parts = [y_axis(tops, [say(tick) for tick in ticks.tolist()])]
    for k, (line, each) in enumerate(zip(drawn, values, strict=True)):
        tips = svg.at(each, lo, hi, height, TOP).tolist()
        start = LEFT + 0.5 * (band - len(drawn) * wide) + k * wide
        d = "".join(
            f"M{start + i * band:.1f} {zero:.1f}h{wide:.1f}V{tip:.1f}h-{wide:.1f}z"
            for i, tip in enumerate(tips)
            if np.isfinite(tip)
        )
        parts.append(f'<path d="{d}" style="fill:{line.colour}"/>')
        parts.append(words(RIGHT + 7, TOP + 6 + 16 * k, line.name, kind="name", hue=line.colour))
    parts.append(f'<path class="axis" d="M{LEFT} {zero:.1f}H{RIGHT}"/>')
    every = -(-len(names) // 8)
    parts += [
        words(LEFT + (i + 0.5) * band, height + 16, name, anchor="middle")
        for i, name in enumerate(names)
        if i % every == 0
    ]
    return Plot("".join(parts), height + 24, "band")


@dataclass(frozen=True)
class Dot:
    """A row of a chart of figures: name, value, how it is said, its interval and its colour."""

    name: str
    value: float
    said: str
    low: float = float("nan")
    high: float = float("nan")
    colour: str = "var(--strategy)"
    inner: tuple[float, float] | None = None


def bars(rows: Sequence[Dot]) -> Plot:
    """Horizontal bars from 0, with name and value; all of what is shown is written."""
    known = [row.value for row in rows if np.isfinite(row.value)]
    if not known:
        return nothing("no value is known")
    lo, hi = min(0.0, *known), max(0.0, *known)
    hi = hi if hi > lo else 1.0
    names = _names(rows)
    start, end = names + 8, min(NAMED_RIGHT, WIDTH - 14 - 6.6 * max(len(row.said) for row in rows))
    zero = float(svg.at(0.0, lo, hi, start, end))
    parts = []
    for k, row in enumerate(rows):
        y = 4 + ROW * k
        parts.append(words(names, y + 14, _cut(row.name), anchor="end", kind="name"))
        if np.isfinite(row.value):
            tip = float(svg.at(row.value, lo, hi, start, end))
            d = f"M{zero:.1f} {y + 3}H{tip:.1f}v{ROW - 6}H{zero:.1f}z"
            parts.append(f'<path d="{d}" style="fill:{row.colour}"/>')
        parts.append(words(WIDTH, y + 14, row.said, anchor="end"))
    bottom = 4 + ROW * len(rows)
    parts.append(f'<path class="axis" d="M{zero:.1f} 2V{bottom}"/>')
    return Plot("".join(parts), bottom + 4)


def dots(rows: Sequence[Dot], *, marks: Sequence[tuple[float, str]] = ()) -> Plot:
    """Dots with their intervals on one scale; marks : values with a line down and their names."""
    parts_of = [(row.value, row.low, row.high) for row in rows]
    known = np.array([*np.ravel(parts_of), *(value for value, _ in marks), 0.0])
    known = known[np.isfinite(known)]
    lo, hi = _range(known, None)
    names = _names(rows)
    start, top = names + 12, 22 if marks else 4
    bottom = top + ROW * len(rows)

    def place(value: float) -> float:
        return float(svg.at(value, lo, hi, start, NAMED_RIGHT))

    parts = [f'<path class="grid" d="M{place(0.0):.1f} {top}V{bottom}"/>']
    for value, name in marks:
        parts.append(f'<path class="mark" d="M{place(value):.1f} {top}V{bottom}"/>')
        parts.append(words(place(value), top - 6, name, anchor="middle", kind="name"))
    for k, row in enumerate(rows):
        y = top + ROW * k + ROW / 2
        parts.append(words(names, y + 4, _cut(row.name), anchor="end", kind="name"))
        if np.isfinite(row.low) and np.isfinite(row.high):
            d = f"M{place(row.low):.1f} {y}H{place(row.high):.1f}"
            parts.append(f'<path class="range" d="{d}"/>')
        if row.inner is not None and np.isfinite(row.inner).all():
            d = f"M{place(row.inner[0]):.1f} {y}H{place(row.inner[1]):.1f}"
            parts.append(f'<path class="range wide" d="{d}"/>')
        if np.isfinite(row.value):
            x = place(row.value)
            parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="4" style="fill:{row.colour}"/>')
        parts.append(words(WIDTH, y + 4, row.said, anchor="end"))
    parts.append(_value_axis(lo, hi, start, bottom))
    return Plot("".join(parts), bottom + 24)


def _value_axis(lo: float, hi: float, start: float, bottom: float) -> str:
    ticks = svg.linear_ticks(lo, hi, 5)
    digits = max(0, int(np.ceil(-np.log10(ticks[1] - ticks[0]) - 1e-9))) if len(ticks) > 1 else 2
    places = svg.at(ticks, lo, hi, start, NAMED_RIGHT).tolist()
    return f'<path class="axis" d="M{start} {bottom}H{NAMED_RIGHT}"/>' + "".join(
        words(at, bottom + 16, svg.decimal(tick, digits), anchor="middle")
        for at, tick in zip(places, ticks.tolist(), strict=True)
    )


def nothing(why: str) -> Plot:
    """The inside of a picture with nothing to draw."""
    return Plot(words(WIDTH / 2, 40, f"nothing to draw: {why}", anchor="middle"), 70)


def _names(rows: Sequence[Dot]) -> float:
    """Where names end, with room for the longest."""
    return min(150.0, max(40.0, 10 + 7.2 * max((len(_cut(row.name)) for row in rows), default=0)))


def _cut(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"
