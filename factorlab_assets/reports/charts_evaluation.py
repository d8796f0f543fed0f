"""Pictures of how good a result is: the feasibility bracket, and a sweep as a map of its figures.

Belongs here: how they are drawn, full-size and small. Arrays in, SVG or markdown text out. Does
not: computing what is drawn (`evaluation`), or pictures of a strategy's own course (`charts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal

import numpy as np

from factorlab_assets.evaluation.bracket import TIED, percentile
from factorlab_assets.reports import charts, inline, svg
from factorlab_assets.reports.svg import BOTTOM, INK, LEFT, MUTED, PAPER, RIGHT, TOP, Floats, label
from factorlab_assets.reports.theme import BLUE, PURPLE, VERMILLION

Metric = Literal["cagr", "sharpe"]
UNITS = {"cagr": "growth per year", "sharpe": "Sharpe ratio per year"}
BINS = 56
PLOT_TOP = TOP + 16
"""Of the histogram: the strategy's label stands above it."""
WIDE = 0.6
"""An oracle that would leave less than this share of the plot to the paths stands beside it."""
MOST_ROWS, MOST_COLUMNS, MOST_SAID = 20, 20, 200
"""Of a map, so that it stays below 12 kB; and the most cells whose numbers are printed."""
SHADES = 8
"""Of each sign: one path each."""
LOW, MIDDLE, HIGH = "#b35806", "#f4f4f1", "#08519c"
"""Orange below 0, blue above: told apart by every kind of colour vision."""
SAID_FROM = 24
"""Pixels of a cell that its number fits into."""


def bracket_picture(
    own: float,
    permuted: Floats,
    random: Floats,
    oracle_gross: float,
    oracle_net: float,
    *,
    metric: Metric,
    title: str,
    basis: str,
) -> str:
    """Where a strategy lies among random books, and what foresight would have earned.

    permuted, random : (P,) figures of the paths, NaN = none: tickers exchanged once per path
    (filled), drawn afresh at each rebalance (outlined). All are net of costs but `oracle_gross`.
    Oracles far off the paths stand beside the plot with an arrow.
    """
    kept, fresh = (each[np.isfinite(each)] for each in (np.asarray(permuted), np.asarray(random)))
    if not len(kept) or not len(fresh) or not np.isfinite(own):
        return svg.no_data(title, basis, "no random books to compare the strategy with")
    if np.allclose(np.concatenate([kept, fresh]), own, rtol=0.0, atol=TIED):
        return svg.no_data(title, basis, "only one book is possible: luck has no say")
    form = _form(metric)
    edges = _edges(np.concatenate([kept, fresh, [own]]), [oracle_gross, oracle_net])
    lo, hi = float(edges[0]), float(edges[-1])
    shares = [np.histogram(each, edges)[0] / len(each) for each in (kept, fresh)]
    most = 1.04 * float(max(each.max() for each in shares))
    x = np.rint(svg.at(edges, lo, hi, LEFT, RIGHT))
    heights = [np.rint(svg.at(each, 0.0, most, BOTTOM, PLOT_TOP)) for each in shares]
    ticks = svg.linear_ticks(0.0, most, 4)
    parts = [
        svg.y_axis(svg.at(ticks, 0.0, most, BOTTOM, PLOT_TOP), _percents(ticks)),
        f'<path d="{svg.steps(x, heights[0], BOTTOM)}" fill="{BLUE}" fill-opacity=".6"/>',
        f'<path d="{svg.steps(x, heights[1], BOTTOM)}" fill="none" stroke="{VERMILLION}" '
        'stroke-width="1.4"/>',
        *_value_axis(lo, hi, form),
        *_mark(own, lo, hi, f"strategy {form(own)}"),
    ]
    told = f"{(hi - lo) / BINS:.2g}" if metric == "sharpe" else svg.percent((hi - lo) / BINS, 2)
    parts += _bracket_legend(own, kept, fresh, form)
    parts += _oracles(oracle_gross, oracle_net, lo, hi, form)
    count = f"{len(kept):,}" if len(kept) == len(fresh) else f"{len(kept):,} and {len(fresh):,}"
    subtitle = f"{UNITS[metric]}, net: % of {count} random books within each {told}"
    return svg.frame(title, basis, subtitle, "".join(parts))


def _form(metric: Metric) -> Callable[[float], str]:
    """How a figure is said."""
    if metric == "cagr":
        return lambda value: svg.percent(value, 1)
    return lambda value: svg.decimal(value, 2)


def _percents(shares: Floats) -> list[str]:
    """Shares as percentages, with as many decimals as tell them apart."""
    digits = 0 if np.allclose(100.0 * shares, np.rint(100.0 * shares)) else 1
    return [svg.percent(share, digits) for share in shares]


def _edges(values: Floats, oracles: Sequence[float]) -> Floats:
    """Edges of the bins: around all paths and the strategy, and the oracles where they are near."""
    lo, hi = float(values.min()), float(values.max())
    near = [each for each in oracles if np.isfinite(each)]
    if near and hi - lo > WIDE * (max(hi, *near) - lo):
        hi = max(hi, *near)
    pad = max(0.03 * (hi - lo), 1e-3)
    return np.linspace(lo - pad, hi + pad, BINS + 1)


def _value_axis(lo: float, hi: float, form: Callable[[float], str]) -> list[str]:
    ticks = svg.linear_ticks(lo, hi, 6)
    places = svg.at(ticks, lo, hi, LEFT, RIGHT)
    return [
        label(place, BOTTOM + 15, form(tick), anchor="middle")
        for place, tick in zip(places.tolist(), ticks.tolist(), strict=True)
    ] + [f'<path d="M{LEFT} {BOTTOM}H{RIGHT}" stroke="{INK}"/>']


def _mark(value: float, lo: float, hi: float, told: str) -> list[str]:
    """A line down the plot with its label above, which stays within the plot's edges."""
    place = float(svg.at(value, lo, hi, LEFT, RIGHT))
    anchor = "start" if place < LEFT + 50 else "end" if place > RIGHT - 50 else "middle"
    return [
        f'<path d="M{place:.1f} {PLOT_TOP - 6}V{BOTTOM}" stroke="{INK}" stroke-width="2"/>',
        label(place, PLOT_TOP - 10, told, fill=INK, anchor=anchor, bold=True),
    ]


def _bracket_legend(
    own: float, kept: Floats, fresh: Floats, form: Callable[[float], str]
) -> list[str]:
    parts = []
    for y, hue, name, null in (
        (PLOT_TOP + 8, BLUE, "tickers exchanged", kept),
        (PLOT_TOP + 74, VERMILLION, "drawn afresh", fresh),
    ):
        lines = ["once per path"] if name.endswith("exchanged") else ["at each rebalance"]
        lines += [f"median {form(float(np.median(null)))}"]
        lines += [f"beats {svg.percent(percentile(own, null), 1)}"]
        parts.append(label(RIGHT + 8, y, name, fill=hue, bold=True))
        parts += [label(RIGHT + 8, y + 13 * (i + 1), line) for i, line in enumerate(lines)]
    return parts


def _oracles(
    gross: float, net: float, lo: float, hi: float, form: Callable[[float], str]
) -> list[str]:
    """Dashed lines where they are within the plot, an arrow towards them where they are beyond."""
    beyond = " →" if any(each > hi for each in (gross, net)) else ""
    parts = [label(RIGHT + 8, PLOT_TOP + 140, f"oracle{beyond}", fill=PURPLE, bold=True)]
    for i, (value, name) in enumerate(((gross, "before costs"), (net, "after costs"))):
        told = form(value) if np.isfinite(value) else "none"
        parts.append(label(RIGHT + 8, PLOT_TOP + 153 + 13 * i, f"{name} {told}"))
        if lo <= value <= hi:
            place = float(svg.at(value, lo, hi, LEFT, RIGHT))
            dashes = "6 3" if name.startswith("before") else "2 3"
            parts.append(
                f'<path d="M{place:.1f} {PLOT_TOP}V{BOTTOM}" stroke="{PURPLE}" '
                f'stroke-width="1.6" stroke-dasharray="{dashes}"/>'
            )
    return parts


def bracket_inline(
    own: float, permuted: Floats, random: Floats, *, metric: Metric, basis: str
) -> str:
    """The same in a small table: the paths' histograms in block characters, and where the strategy
    is among them."""
    kept, fresh = (each[np.isfinite(each)] for each in (np.asarray(permuted), np.asarray(random)))
    if not len(kept) or not len(fresh) or not np.isfinite(own):
        return f"no random books, {inline.basis_told(basis)}"
    form = _form(metric)
    values = np.concatenate([kept, fresh, [own]])
    lo, hi = float(values.min()), float(values.max())
    edges = np.linspace(lo, hi + 1e-9 * (1.0 + abs(hi)), 31)
    counts = [np.histogram(each, edges)[0] / len(each) for each in (kept, fresh)]
    most = max(float(each.max()) for each in counts)
    rows = [
        (
            name,
            "".join(inline.BLOCKS[level] for level in np.ceil(7 * each / most - 1e-9).astype(int)),
        )
        for name, each in zip(("exchanged once", "drawn afresh"), counts, strict=True)
    ]
    place = int(np.searchsorted(edges, own, side="right")) - 1
    rows.append(("strategy", "·" * place + "▲" + "·" * (29 - place)))
    cells = [f"beats {svg.percent(percentile(own, each), 1)}" for each in (kept, fresh)]
    head = f"|{UNITS[metric]}|{form(lo)} to {form(hi)}, {inline.basis_told(basis)}|net|\n|-|-|-:|"
    lines = [
        f"|{name}|{blocks}|{cell}|"
        for (name, blocks), cell in zip(rows, [*cells, form(own)], strict=True)
    ]
    return "\n".join((head, *lines))


Box = tuple[int, int, int, int]
"""Left and top of a map, width and height of its cells, in pixels."""


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Floats,
    *,
    title: str,
    basis: str,
    row: str = "",
    column: str = "",
    about: str = "Sharpe ratio per year",
    digits: int = 2,
) -> str:
    """Values (R, C) as colours and numbers; NaN is crossed out, the best has a border.

    Blue above 0 and orange below, as strong as the value is large. The subtitle says what the best
    one's neighbours have on average: a plateau, or a lucky spike. `about` says what is shown, `row`
    and `column` what varies. More than 20 rows or columns: the table is what shows them.
    """
    grid_of = svg.finite(values)
    if grid_of.size == 0 or np.isnan(grid_of).all():
        return svg.no_data(title, basis, "no combination has a figure")
    n_rows, n_columns = grid_of.shape
    if n_rows > MOST_ROWS or n_columns > MOST_COLUMNS:
        why = f"{n_rows} × {n_columns} values are too many for a picture; see the table"
        return svg.no_data(title, basis, why)
    left = 34 + round(6.2 * min(max(len(str(name)) for name in rows), 14))
    width = min((svg.WIDTH - 24 - left) // n_columns, 72)
    box = left, TOP + 30, width, round(float(np.clip(250.0 / n_rows, 15.0, 60.0)))
    best = np.unravel_index(int(np.nanargmax(grid_of)), grid_of.shape)
    i, j = int(best[0]), int(best[1])
    parts = [
        *_axes(rows, columns, row, column, box),
        *_cells(grid_of, digits, box),
        f'<path d="{_cell(i, j, box)}" fill="none" stroke="{INK}" stroke-width="2.5"/>',
    ]
    height = box[1] + n_rows * box[3] + 34
    parts += _scale(float(np.nanmax(np.abs(grid_of))) or 1.0, digits, height - 9)
    said = f"{about}; best {svg.decimal(grid_of[i, j], digits)}{_beside(grid_of, i, j, digits)}"
    return svg.frame(title, basis, said, "".join(parts), height=height)


def _beside(values: Floats, i: int, j: int, digits: int) -> str:
    """What the cells around one have on average."""
    around = values[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
    known = np.isfinite(around)
    count = int(np.count_nonzero(known)) - 1
    if count < 1:
        return ""
    mean = (np.nansum(around) - values[i, j]) / count
    several = f"its {count} neighbours" if count > 1 else "its neighbour"
    return f", {several} {svg.decimal(float(mean), digits)}{' on average' * (count > 1)}"


def _axes(
    rows: Sequence[str],
    columns: Sequence[str],
    row: str,
    column: str,
    box: Box,
) -> list[str]:
    left, top, width, step = box
    longest = max(int(width / 6.2), 2)
    parts = [
        label(left - 6, top + (i + 0.5) * step + 4, svg.escape(str(name), 14), anchor="end")
        for i, name in enumerate(rows)
    ]
    parts += [
        label(left + (j + 0.5) * width, top - 5, svg.escape(str(name), longest), anchor="middle")
        for j, name in enumerate(columns)
    ]
    middle = left + width * len(columns) / 2
    parts.append(label(middle, top - 20, svg.escape(column, 60), anchor="middle", bold=True))
    y = top + step * len(rows) / 2
    room = max(step * len(rows) // 6, 10)
    turned = label(0, 0, svg.escape(row, room), anchor="middle", bold=True)
    parts.append(f'<g transform="translate(18 {y:.1f}) rotate(-90)">{turned}</g>')
    return parts


def _cell(i: int, j: int, box: Box, gap: int = 0) -> str:
    """Path around a cell, so many pixels inside it."""
    left, top, width, step = box
    across, down = width - 2 * gap, step - 2 * gap
    return f"M{left + j * width + gap} {top + i * step + gap}h{across}v{down}h-{across}z"


def _cells(values: Floats, digits: int, box: Box) -> list[str]:
    """A path of all cells of a shade, one of those crossed out, and the numbers on light and dark
    shades."""
    left, top, width, step = box
    levels = np.rint(SHADES * values / (float(np.nanmax(np.abs(values))) or 1.0))
    paths: dict[float, str] = {}
    crossed, texts = "", {INK: "", PAPER: ""}
    for i, j in product(range(values.shape[0]), range(values.shape[1])):
        x, y, level = left + j * width, top + i * step, float(levels[i, j])
        if np.isnan(level):
            crossed += f"M{x + 3} {y + step - 3}L{x + width - 3} {y + 3}"
            continue
        paths[level] = paths.get(level, "") + _cell(i, j, box, gap=1)
        ink = PAPER if abs(level) > 0.6 * SHADES else INK
        texts[ink] += label(x + width / 2, y + step / 2 + 4, svg.decimal(values[i, j], digits))
    parts = [f'<path d="{d}" fill="{_shade(level)}"/>' for level, d in sorted(paths.items())]
    parts.append(f'<path d="{crossed}" stroke="{MUTED}" stroke-opacity=".5"/>')
    if width >= SAID_FROM and values.size <= MOST_SAID:
        size = 11 if width >= 34 else 9
        parts += [
            f'<g font-size="{size}" fill="{ink}" text-anchor="middle">{said}</g>'
            for ink, said in texts.items()
        ]
    return parts


def _shade(level: float) -> str:
    """Between the middle colour and the one of the value's sign, in `SHADES` steps."""
    end, strength = HIGH if level >= 0.0 else LOW, abs(level) / SHADES
    pairs = ((int(MIDDLE[k : k + 2], 16), int(end[k : k + 2], 16)) for k in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * strength):02x}" for a, b in pairs)


def _scale(strongest: float, digits: int, y: float) -> list[str]:
    """What the shades mean, from the left edge on."""
    low, high = (svg.decimal(side * strongest, digits) for side in (-1.0, 1.0))
    x = 20 + 6.5 * len(low)
    levels = range(-SHADES, SHADES + 1, 2)
    swatches = [
        svg.rect(x + 14 * k, y - 9, 14, 10, _shade(level)) for k, level in enumerate(levels)
    ]
    after = x + 14 * len(levels) + 6
    crossed = f"{high}; crossed out: no figure"
    return [label(14, y, low), *swatches, label(after, y, crossed)]


def heat_inline(
    rows: Sequence[str], columns: Sequence[str], values: Floats, *, basis: str, about: str = ""
) -> str:
    """The same in a small table: a row of block characters per row, and its best value.

    ▁ is the lowest of all, █ the highest, · where there is none.
    """
    known = svg.finite(values)
    if known.size == 0 or np.isnan(known).all():
        return f"no figures, {inline.basis_told(basis)}"
    lo, hi = float(np.nanmin(known)), float(np.nanmax(known))
    levels = np.rint(7 * (known - lo) / ((hi - lo) or 1.0))
    scale = f"▁ {svg.decimal(lo, 2)} █ {svg.decimal(hi, 2)}"
    span = charts.escape_markdown(f"{columns[0]} … {columns[-1]}"[:40])
    head = (
        f"|{charts.escape_markdown(about[:40])}|{span}: {scale}, {inline.basis_told(basis)}|best|"
    )
    lines = [head, "|-|-|-:|"]
    for i, name in enumerate(rows):
        blocks = "".join("·" if np.isnan(k) else inline.BLOCKS[int(k)] for k in levels[i])
        best = "" if np.isnan(known[i]).all() else svg.decimal(float(np.nanmax(known[i])), 2)
        lines.append(f"|{charts.escape_markdown(str(name)[:14])}|{blocks}|{best}|")
    while len(lines) > 3 and charts.inline_excess("\n".join([*lines, "|…| | |"])) > 0:
        del lines[-1]
    return "\n".join(lines if len(lines) == len(rows) + 2 else [*lines, "|…| | |"])
