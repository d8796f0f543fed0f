"""Small pictures and tables for Dagster's metadata: arrays in, SVG or markdown text out.

Belongs here: what a run draws by the hundred, so plain string building, about 1 ms a picture and
the same bytes for the same input. Does not: the tear sheet's plots, computing what is drawn, files.

Every picture brings its own background (Dagster has a light and a dark theme), names its price
basis and says SYNTHETIC where prices are invented. Input with nothing to draw gives a picture that
says "no data". Dates are ascending, NaN = not known, text from outside is escaped here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from factorlab_assets.reports import svg, theme
from factorlab_assets.reports.svg import BOTTOM, INK, LEFT, RIGHT, TOP, Dates, Floats, Ints, label
from factorlab_assets.reports.theme import BENCHMARK, BLUE, CASH, VERMILLION

MAX_LAYERS, MAX_BANDS, MAX_BARS = 20, 40, 20
MAX_CHARACTERS = 10_500
"""What legend and steps of a weights picture may take, so that all of it stays under 12 kB."""

INLINE_CHARACTERS = 1000
"""Dagster (1.13) shows markdown of fewer UTF-16 units inline, longer behind "[Show Markdown]"."""

_MARKDOWN = {ord(c): f"&#{ord(c)};" for c in r"&<>|\`*_~[]!"}
_ADDRESS = {c: f"%{ord(c):02X}" for c in r"%#&<>\`"}  # the percent sign before what brings new ones


def nav_and_drawdown(
    dates: Dates,
    nav: Floats,
    drawdown: Floats,
    *,
    benchmark_nav: Floats | None = None,
    benchmark_label: str = "benchmark",
    title: str,
    basis: str,
) -> str:
    """Growth of 1 on a log scale, the drawdown below it; both keep their extremes.

    dates, nav, drawdown, benchmark_nav : (T,), monthly or daily; drawdown a decimal <= 0.
    A NAV of 0 or less has no logarithm: the line stops there while the drawdown goes on.
    """
    days = svg.as_days(dates)
    own, below = svg.log10(nav), svg.finite(drawdown)
    if min(np.isfinite(own).sum(), np.isfinite(below).sum()) < 2:
        return svg.no_data(title, basis, "fewer than two known dates")
    curves = [(own, BLUE, "strategy", 1.7)]
    if benchmark_nav is not None and np.isfinite(svg.log10(benchmark_nav)).any():
        curves.insert(0, (svg.log10(benchmark_nav), BENCHMARK, benchmark_label, 1.3))
    lo, hi = min(np.nanmin(c[0]) for c in curves), max(np.nanmax(c[0]) for c in curves)
    pad = max(0.04 * (hi - lo), 0.01)
    lo, hi, floor = lo - pad, hi + pad, BOTTOM - 80
    ticks = svg.log_ticks(lo, hi)
    heights = svg.at(np.log10(ticks), lo, hi, floor, TOP)
    parts = [svg.time_axis(days), svg.y_axis(heights, [f"{tick:g}×" for tick in ticks])]
    x, ends = svg.time_x(days, days), []
    for values, colour, name, width in curves:
        y = svg.at(values, lo, hi, floor, TOP)
        parts.append(svg.stroke(svg.line(x, y, values), colour, width))
        last = np.flatnonzero(np.isfinite(values))[-1]
        ends.append(
            (float(y[last]), colour, f"{svg.times(10 ** values[last])} {svg.escape(name, 12)}")
        )
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 13:
        middle, side = (ends[0][0] + ends[1][0]) / 2, 6.5 if ends[0][0] > ends[1][0] else -6.5
        ends = [(middle + side, *ends[0][1:]), (middle - side, *ends[1][1:])]
    parts += [label(RIGHT + 8, y + 4, name, fill=hue, bold=True) for y, hue, name in ends]
    parts += _drawdown_panel(days, x, below, BOTTOM - 58)
    return svg.frame(
        title, basis, f"growth of 1 (log scale) and drawdown, {svg.said(days)}", "".join(parts)
    )


def _drawdown_panel(days: Dates, x: Floats, drawdown: Floats, top: float) -> list[str]:
    worst = int(np.nanargmin(drawdown))
    lowest = float(drawdown[worst])
    floor = min(lowest * 1.05, -0.01)
    y = svg.at(drawdown, 0.0, floor, top, BOTTOM)
    ticks = svg.linear_ticks(floor, 0.0, 3)
    area = svg.line(x, y, drawdown, base=top)
    return [
        svg.y_axis(svg.at(ticks, 0.0, floor, top, BOTTOM), map(svg.percent, ticks)),
        f'<path d="{area}" transform="scale(.1)" fill="{VERMILLION}" fill-opacity=".55"/>',
        f'<circle cx="{x[worst]:.1f}" cy="{y[worst]:.1f}" r="2.5" fill="{VERMILLION}"/>',
        label(RIGHT + 8, top + 24, f"{svg.percent(lowest, 1)} lowest", fill=VERMILLION, bold=True),
        label(RIGHT + 8, top + 38, f"on {days[worst]}"),
    ]


def weights_over_time(
    dates: Dates,
    weights: Floats,
    tickers: Sequence[str],
    classes: Mapping[str, str],
    *,
    title: str,
    basis: str,
) -> str:
    """The book over time as stacked steps: a weight set at t is held until the next date.

    weights : (T, N), decimal of NAV, unknown counts as 0; classes : ticker -> asset class.
    Long-only books show cash in grey; longs and shorts stack away from zero. More than 20 held
    tickers are drawn by asset class, or the largest beside "other" where no class is known. A long
    history is drawn in means over equally many dates, so that every column still adds up.
    """
    known, days = svg.finite(weights), svg.as_days(dates)
    if len(days) < 2 or np.isnan(known).all():
        return svg.no_data(title, basis, "fewer than two dates with weights")
    book = np.where(np.isnan(known), 0.0, known)
    names, colours, members = layers(book, [str(t) for t in tickers], classes)
    longs, shorts = (total(side(book, 0.0), members) for side in (np.maximum, np.minimum))
    is_long_only = not shorts.any()
    columns, up, down = _columns(longs, shorts)
    top, bottom = float(up.max(initial=1.0 if is_long_only else 0.01)), float(down.min(initial=0.0))
    held_until = days[-1] + np.median(np.diff(days).astype(int)).astype(int)
    span = np.append(days, held_until)
    x = np.rint(svg.time_x(np.append(days[columns], held_until), span))
    ticks = svg.linear_ticks(bottom, top, 5)
    zero = int(np.rint(svg.at(0.0, bottom, top, BOTTOM, TOP)))
    parts = [svg.y_axis(svg.at(ticks, bottom, top, BOTTOM, TOP), map(svg.percent, ticks))]
    if is_long_only:
        full = float(svg.at(1.0, bottom, top, BOTTOM, TOP))
        parts.append(svg.rect(LEFT, full, RIGHT - LEFT, BOTTOM - full, CASH))
    for side, stack in ((longs, up), (shorts, down)):
        y = np.rint(svg.at(stack, bottom, top, BOTTOM, TOP))
        parts += [  # the widest first, the others over it
            f'<path d="{svg.steps(x, y[:, i], zero)}" fill="{colours[i]}"/>'
            for i in reversed(range(len(names)))
            if side[:, i].any()
        ]
    parts.append(f'<path d="M{LEFT} {zero}H{RIGHT}" stroke="{INK}"/>')
    parts.append(svg.time_axis(span, top=BOTTOM))
    last = (longs + shorts)[-1]
    rest = ("cash", CASH, 1 - last.sum()) if is_long_only else ("net", "", last.sum())
    parts += _legend([rest, *zip(names[::-1], colours[::-1], last[::-1], strict=True)], days[-1])
    mean = f", means over {columns[1]} dates" if columns[1] > 1 else ""
    return svg.frame(title, basis, f"weight, % of NAV{mean}, {svg.said(days)}", "".join(parts))


def _columns(longs: Floats, shorts: Floats) -> tuple[Ints, Floats, Floats]:
    """First row of every column drawn, and the stacks (columns, layers) up and down from zero.

    As many columns as there is room for: a book that rarely changes is drawn date by date.
    """
    most = (MAX_CHARACTERS - 240 * longs.shape[1]) // 8  # a layer and its legend; a step
    per_column = 1
    while True:
        columns = np.arange(0, len(longs), per_column)
        dates_in = np.diff(np.append(columns, len(longs)))[:, None]
        up = np.cumsum(np.add.reduceat(longs, columns) / dates_in, axis=1)
        down = np.cumsum(np.add.reduceat(shorts, columns) / dates_in, axis=1)
        n_steps = sum((np.abs(np.diff(side, axis=0)) > 0.002).sum() for side in (up, down))
        if n_steps <= most:
            return columns, up, down
        per_column = max(per_column + 1, int(per_column * n_steps / most))


def layers(
    book: Floats, tickers: list[str], classes: Mapping[str, str]
) -> tuple[list[str], list[str], list[Ints]]:
    """What is stacked, from zero outwards: names, colours and each one's columns of the book."""
    is_many = len(tickers) > MAX_LAYERS
    held = np.flatnonzero(book.any(axis=0)) if is_many else np.arange(len(tickers))
    name_of = {int(i): tickers[i] for i in held}
    if len(held) > MAX_LAYERS and any(classes.get(name) for name in name_of.values()):
        name_of = {i: classes.get(name) or "no class" for i, name in name_of.items()}
    if len(set(name_of.values())) > MAX_LAYERS:
        size = dict.fromkeys(name_of.values(), 0.0)
        for i, total in enumerate(np.abs(book).sum(axis=0).tolist()):
            if i in name_of:
                size[name_of[i]] += total
        largest = sorted(size, key=lambda name: (-size[name], name))[:12]
        name_of = {i: name if name in largest else "other" for i, name in name_of.items()}
    families: dict[str, list[str]] = {}
    for name in sorted(set(name_of.values())):
        families.setdefault(classes.get(name) or name, []).append(name)
    colours = theme.shades(families)
    members: dict[str, list[int]] = {name: [] for name in colours}
    for i, name in name_of.items():
        members[name].append(i)
    return list(colours), list(colours.values()), [np.array(each) for each in members.values()]


def total(book: Floats, members: list[Ints]) -> Floats:
    """The book summed over each layer's columns: (T, layers).

    Not as a product of matrices: its threads wait for one another on a busy machine.
    """
    order, starts = np.concatenate((*members, [])), np.cumsum([0, *map(len, members)])[:-1]
    return np.add.reduceat(book[:, order.astype(int)], starts, axis=1)


def _legend(rows: list[tuple[str, str, float]], day: np.datetime64) -> list[str]:
    """Names with swatch and latest value beside the plot, in the order of the stack."""
    step = min(16.0, (BOTTOM - TOP + 4) / len(rows))
    size = 11 if step > 11.5 else 9
    parts = [label(RIGHT + 12, TOP - 5, f"at {day}", size=10)]
    for k, (name, colour, value) in enumerate(rows):
        y = TOP + 9 + k * step
        if colour:
            parts.append(svg.rect(RIGHT + 12, y - 7, 8, 8, colour))
        parts.append(label(RIGHT + 24, y, svg.escape(name, 9), size=size))
        parts.append(label(svg.WIDTH - 10, y, svg.percent(value), size=size, anchor="end"))
    return parts


def coverage(tickers: Sequence[str], first: Dates, last: Dates, *, title: str, basis: str) -> str:
    """Which ticker has bars from when to when; above 40 tickers, how many have bars at each date.

    first, last : (N,) dates of the first and last bar, NaT where a ticker has none.
    """
    start, end = svg.as_days(first), svg.as_days(last)
    has_bars = ~(np.isnat(start) | np.isnat(end))
    if not has_bars.any():
        return svg.no_data(title, basis, "no ticker has bars")
    span = np.array([start[has_bars].min(), end[has_bars].max()])
    said = f"{has_bars.sum():,} of {len(start):,} tickers have bars, {svg.said(span)}"
    if span[0] == span[1]:
        return svg.no_data(title, basis, f"{said}: a single day")
    if len(start) > MAX_BANDS:
        body = _count_over_time(start[has_bars], end[has_bars], span)
        return svg.frame(title, basis, f"number of tickers with history; {said}", body)
    step = min(18.0, max(12.0, (BOTTOM - TOP) / len(start)))
    bottom = TOP + step * len(start)
    left, right = svg.time_x(start, span), svg.time_x(end, span)
    parts = [svg.time_axis(span, bottom=bottom)]
    for i, ticker in enumerate(tickers):
        y = TOP + i * step
        parts.append(label(LEFT - 6, y + step / 2 + 4, svg.escape(str(ticker), 7), anchor="end"))
        months = "no bars"
        if has_bars[i]:
            months = f"{str(start[i])[:7]} – {str(end[i])[:7]}"
            parts.append(svg.rect(left[i], y + 2, max(right[i] - left[i], 1), step - 4, BLUE))
        parts.append(label(svg.WIDTH - 10, y + step / 2 + 4, months, size=10, anchor="end"))
    return svg.frame(title, basis, said, "".join(parts), height=round(bottom) + 38)


def _count_over_time(start: Dates, end: Dates, span: Dates) -> str:
    days = np.unique(np.concatenate((span, start, end + 1)))
    days = days[days <= span[1]]
    count = np.searchsorted(np.sort(start), days, "right") - np.searchsorted(np.sort(end), days)
    top = float(count.max()) * 1.04
    ticks = svg.linear_ticks(0.0, top, 5)
    keep = svg.decimate(count.astype(float))
    x = np.append(np.rint(svg.time_x(days, span))[keep], RIGHT)
    y = np.rint(svg.at(count[keep], 0.0, top, BOTTOM, TOP))
    d = svg.steps(x, y, BOTTOM)
    return (
        f'<path d="{d}" fill="{BLUE}" fill-opacity=".8"/>'
        + svg.y_axis(svg.at(ticks, 0.0, top, BOTTOM, TOP), [f"{tick:,.0f}" for tick in ticks])
        + svg.time_axis(span)
        + label(RIGHT + 8, float(y[-1]) + 4, f"{count[-1]:,} at the end", fill=BLUE, bold=True)
    )


def signal_heat(
    dates: Dates, tickers: Sequence[str], values: Floats, *, title: str, basis: str
) -> str:
    """The latest cross-section as bars from 0, best first; above 20 names the ten at each end.

    values : (T, N), higher = more attractive; the latest date with a known value is drawn, ties in
    the order of the tickers' names.
    """
    grid = svg.finite(values)
    rows = np.flatnonzero(np.isfinite(grid).any(axis=1)) if grid.size else np.array([], int)
    if not rows.size:
        return svg.no_data(title, basis, "no value is known")
    day, latest = svg.as_days(dates)[rows[-1]], grid[rows[-1]].tolist()
    known = [
        (value, str(t)) for value, t in zip(latest, tickers, strict=True) if np.isfinite(value)
    ]
    known.sort(key=lambda pair: (-pair[0], pair[1]))
    said = f"{len(known):,} of {len(latest):,} tickers known at the close of {day}"
    half = MAX_BARS // 2
    drawn = known if len(known) <= MAX_BARS else [*known[:half], *known[-half:]]
    if len(known) > MAX_BARS:
        said += f"; the {half} highest and the {half} lowest"
    lo, hi = min(0.0, drawn[-1][0]), max(0.0, drawn[0][0])
    hi = hi if hi > lo else 1.0  # nothing but zeros
    digits = int(np.clip(2 - np.floor(np.log10(max(hi, -lo))), 0, 9))
    zero = float(svg.at(0.0, lo, hi, LEFT, RIGHT))
    step = min(18.0, max(12.0, (BOTTOM - TOP) / len(drawn)))
    parts = []
    for i, (value, ticker) in enumerate(drawn):
        y = TOP + i * step + (6 if len(drawn) < len(known) and i >= half else 0)
        end = float(svg.at(value, lo, hi, LEFT, RIGHT))
        hue = BLUE if value > 0 else VERMILLION
        parts.append(svg.rect(min(zero, end), y + 1.5, max(abs(end - zero), 0.5), step - 3, hue))
        parts.append(label(LEFT - 6, y + step / 2 + 4, svg.escape(ticker, 7), anchor="end"))
        number = svg.decimal(value, digits)
        parts.append(label(svg.WIDTH - 40, y + step / 2 + 4, number, anchor="end"))
    bottom = TOP + step * len(drawn) + 6
    parts.append(f'<path d="M{zero:.1f} {TOP}V{bottom:.1f}" stroke="{INK}"/>')
    return svg.frame(title, basis, said, "".join(parts), height=round(bottom) + 24)


def as_markdown_image(picture: str, alt: str) -> str:
    """Markdown that shows an SVG inline: Dagster keeps data addresses and strips raw HTML.

    Percent signs are shorter than base64: the address is the SVG itself but for a few characters.
    """
    for character, code in _ADDRESS.items():
        picture = picture.replace(character, code)
    return f"![{escape_markdown(alt)}](<data:image/svg+xml,{picture}>)"


def preview_table(table: pa.Table, n: int) -> str:
    """The last `n` rows as a markdown table, numbers to five digits, nulls empty.

    Fewer rows where `n` would be more text than Dagster shows without a click.

    >>> print(preview_table(pa.table({"ticker": ["A|B"], "ret": [0.01234567]}), 5))
    |ticker|ret|
    |-|-:|
    |A&#124;B|0.012346|
    """
    lines = _table_lines(table.slice(max(0, table.num_rows - n)))
    while len(lines) > 3 and inline_excess("\n".join(lines)) > 0:
        del lines[2]
    return "\n".join(lines)


def markdown_table(table: pa.Table) -> str:
    """All rows as a markdown table, in the form of `preview_table`."""
    return "\n".join(_table_lines(table))


def _table_lines(table: pa.Table) -> list[str]:
    if not table.num_columns:
        return ["no columns"]
    is_number = [pa.types.is_integer(t) or pa.types.is_floating(t) for t in table.schema.types]
    columns = [map(_cell, column.to_pylist()) for column in table.columns]
    head = [[escape_markdown(name) for name in table.column_names]]
    head.append(["-:" if number else "-" for number in is_number])
    return [f"|{'|'.join(cells)}|" for cells in (*head, *zip(*columns, strict=True))]


def inline_excess(markdown: str) -> int:
    """How many characters too many `markdown` has to be shown inline; fits where not positive."""
    return len(markdown.encode("utf-16-le")) // 2 - (INLINE_CHARACTERS - 1)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.date):
        return str(value).replace("-", "\N{NON-BREAKING HYPHEN}")  # else a narrow column breaks it
    return f"{value:.5g}" if isinstance(value, float) else escape_markdown(str(value))


@lru_cache(maxsize=4096)
def escape_markdown(text: str) -> str:
    """`text` on one line, with what markdown or HTML would interpret as character references."""
    return svg.one_line(text).translate(_MARKDOWN)
