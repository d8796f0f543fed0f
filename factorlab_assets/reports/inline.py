"""Pictures small enough for Dagster to show without a click: under 1,000 characters of markdown.

Belongs here: thumbnails, each a finished piece of markdown that names its price basis. Does not:
the full-size pictures, which Dagster puts behind "[Show Markdown]" (`charts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from factorlab_assets.reports import charts, svg
from factorlab_assets.reports.svg import Dates, Floats

BLOCKS = "▁▂▃▄▅▆▇█"
FEWEST = 6
"""Points of a line that is still a line."""
_ALIGNED = ("-", "-", "-:")


def nav_inline(
    dates: Dates,
    nav: Floats,
    drawdown: Floats,
    *,
    benchmark_nav: Floats | None = None,
    benchmark_label: str = "benchmark",
    basis: str,
) -> str:
    """Growth of 1 on a log scale over its drawdown, with as many points as fit.

    Arrays as in `charts.nav_and_drawdown`.
    """
    days, below = svg.as_days(dates), svg.finite(drawdown)
    own = svg.log10(nav)
    if min(np.isfinite(own).sum(), np.isfinite(below).sum()) < 2:
        return f"no data, {basis_told(basis)}"
    curves = [(own, "#07b", "strategy")]
    if benchmark_nav is not None and np.isfinite(svg.log10(benchmark_nav)).any():
        curves.insert(0, (svg.log10(benchmark_nav), "#888", benchmark_label))
    most = 60
    while True:
        picture = _nav_picture(days, curves, below, basis, most)
        shown = charts.as_markdown_image(picture, "NAV and drawdown")
        excess = charts.inline_excess(shown)
        if excess <= 0 or most == FEWEST:
            return shown
        # A point of a path takes three to four characters.
        most = max(FEWEST, most - max(3, excess // (3 * len(curves) + 3)))


def _nav_picture(
    days: Dates, curves: list[tuple[Floats, str, str]], drawdown: Floats, basis: str, most: int
) -> str:
    """Single quotes, short colours and whole pixels: the fewest characters."""
    lo = min(np.nanmin(values) for values, _, _ in curves)
    hi = max(np.nanmax(values) for values, _, _ in curves) + 1e-6
    x = svg.time_x(days, days) * 0.6 - 20
    parts, ends = [], []
    for values, colour, name in curves:
        y = svg.at(values, lo, hi, 78, 32)
        d = svg.line(x, y, values, per_pixel=1, most=most)
        parts.append(f"<path d='{d}' fill='none' stroke='{colour}'/>")
        last = np.flatnonzero(np.isfinite(values))[-1]
        growth = svg.times(10 ** values[last])
        ends.append((float(y[last]), colour, f"{growth} {svg.escape(name, 9)}"))
    ends.sort()
    if len(ends) > 1:
        ends[1] = (max(ends[1][0], ends[0][0] + 12), *ends[1][1:])
    worst = float(np.nanmin(drawdown))
    y = svg.at(drawdown, 0.0, min(worst, -1e-6), 86, 112)
    d = svg.line(x, y, drawdown, base=86, per_pixel=1, most=most)
    parts.append(f"<path d='{d}' fill='#e94'/>")
    ends.append((104.0, "#d50", svg.percent(worst, 1)))
    parts += [f"<text x='276' y='{y + 4:.0f}' fill='{hue}'>{said}</text>" for y, hue, said in ends]
    years = days[[0, -1]].astype("datetime64[Y]")
    head = f"growth of 1 (log) {years[0]}–{years[1]}, price basis: {svg.escape(basis, 16)}"
    parts.append(f"<text x='8' y='15'>{head}</text>")
    if basis == "synthetic":
        parts.append("<text x='282' y='17' font-size='17' fill='#960'>SYNTHETIC</text>")
    return (
        "<svg xmlns='http://www.w3.org/2000/svg' width='390' height='118' "
        f"style='background:{svg.PAPER};font:11px Arial' fill='#567'>{''.join(parts)}</svg>"
    )


def weights_inline(
    dates: Dates,
    weights: Floats,
    tickers: Sequence[str],
    classes: Mapping[str, str],
    *,
    basis: str,
) -> str:
    """A table of one line per ticker: its weight over time in block characters, and the last one.

    Arguments and grouping as in `charts.weights_over_time`. Long-only: ▁ is 0, whatever is held is
    above it and █ is the largest weight, or any more in cash. Long/short: ▄ is 0, ▇ and ▁ the
    largest either way.
    """
    days, known = svg.as_days(dates), svg.finite(weights)
    if not len(days) or np.isnan(known).all():
        return f"no data, {basis_told(basis)}"
    book = np.where(np.isnan(known), 0.0, known)
    names, _, members = charts.layers(book, [str(ticker) for ticker in tickers], classes)
    drawn = charts.total(book, members)
    for columns in range(40, 1, -2):
        shown = _block_table(days, drawn, names, basis, min(columns, len(days)))
        if charts.inline_excess(shown) <= 0:
            break
    return shown


def members_inline(dates: Dates, counts: Floats, reasons: Sequence[str], *, basis: str) -> str:
    """A table of one line per reason: how many names it has over time in block characters, and at
    the last date.

    ▁ is 0, whatever is there is above it and █ is the most that any reason has.

    Parameters
    ----------
    counts : (T, K) names at each date whose reason is `reasons[k]`; one that never is has no line.
    """
    days = svg.as_days(dates)
    ever = np.flatnonzero(counts.any(axis=0)).tolist()
    if not ever:
        return f"no data, {basis_told(basis)}"
    lines = {reasons[k]: (counts[:, k], f"{counts[-1, k]:.0f}") for k in ever}
    return _lines(days, lines, "names", "now", "{:.0f}".format, basis)


def costs_inline(dates: Dates, paid: Mapping[str, Floats], *, basis: str) -> str:
    """A table of one line per cost: what it took per year over time in block characters, and on
    average.

    ▁ is 0, whatever was paid is above it and █ is the most that any of them took.

    Parameters
    ----------
    paid : cost -> (T,) decimal of NAV each month, ≥ 0; one that was never paid has no line.
    """
    days, ever = svg.as_days(dates), {name: each for name, each in paid.items() if each.any()}
    if not ever:
        return f"nothing was paid, {basis_told(basis)}"
    lines = {n: (12.0 * each, svg.percent(12.0 * each.mean(), 2)) for n, each in ever.items()}
    return _lines(days, lines, "paid", "a year", lambda most: svg.percent(most, 1), basis)


def _lines(
    days: Dates,
    lines: Mapping[str, tuple[Floats, str]],
    what: str,
    last: str,
    form: Callable[[float], str],
    basis: str,
) -> str:
    """One line per name: its values (T,) ≥ 0 in as many blocks as fit, and a last cell."""
    values = np.column_stack([each for each, _ in lines.values()])
    span = f"{str(days[0])[:7]} to {str(days[-1])[:7]}"
    for columns in range(40, 1, -2):
        starts = np.arange(0, len(days), -(-len(days) // min(columns, len(days))))
        means = np.add.reduceat(values, starts) / np.diff(np.append(starts, len(days)))[:, None]
        levels = np.ceil(7 * means / means.max() - 1e-9).astype(int)
        scale = f"{span}, ▁ 0 █ {form(means.max())}, {basis_told(basis)}"
        rows = [
            (name, "".join(BLOCKS[level] for level in own), cell)
            for (name, (_, cell)), own in zip(lines.items(), levels.T, strict=True)
        ]
        shown = "\n".join(f"|{'|'.join(row)}|" for row in ((what, scale, last), _ALIGNED, *rows))
        if charts.inline_excess(shown) <= 0:
            break
    return shown


def _block_table(days: Dates, drawn: Floats, names: list[str], basis: str, columns: int) -> str:
    starts = np.arange(0, len(days), -(-len(days) // columns))
    means = np.add.reduceat(drawn, starts) / np.diff(np.append(starts, len(days)))[:, None]
    largest = float(np.abs(means).max(initial=0.0)) or 1.0
    now = drawn[-1].tolist()
    if (drawn < 0).any():
        levels = 3 + np.rint(3 * means / largest).astype(int)
        scale = f"▁ {svg.percent(-largest)} ▄ 0 ▇ {svg.percent(largest)}"
    else:
        names, now = [*names, "cash"], [*now, 1 - sum(now)]
        shares = np.column_stack((means, 1 - means.sum(axis=1))) / largest
        levels = np.ceil(7 * np.clip(shares, 0, 1) - 1e-9).astype(int)
        scale = f"▁ 0 █ {svg.percent(largest)}"
    span = f"{str(days[0])[:7]} to {str(days[-1])[:7]}"
    head = f"|weight|{span}, {scale}, {basis_told(basis)}|now|\n|-|-|-:|"
    rows = [
        (charts.escape_markdown(name[:12]), "".join(BLOCKS[k] for k in level), svg.percent(last))
        for name, level, last in zip(names, levels.T, now, strict=True)
    ]
    return "\n".join((head, *(f"|{'|'.join(row)}|" for row in rows)))


def basis_told(basis: str) -> str:
    """The price basis in markdown; loud where prices are invented."""
    if basis == "synthetic":
        return "**SYNTHETIC** prices"
    return f"price basis: {charts.escape_markdown(basis)}"
