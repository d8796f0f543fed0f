"""The pictures of what was earned: NAV, drawdown, calendar years, months, rolling statistics.

Belongs here: the first two pages' pictures. Does not: what was held (`pdf_book`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from factorlab_assets.reports import pdf_fonts, pdf_page, svg, theme
from factorlab_assets.reports.pdf_page import LEFT, LOOK, RIGHT, SMALL, Page
from factorlab_assets.reports.svg import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = pdf_page.Row
YEARS_WITH_NUMBERS = 45
"""More years are drawn as colours alone."""


def nav(page: Page, y: float, height: float, below: float) -> None:
    """Growth of 1 on a log scale against the benchmark's, and the drawdown in a panel below it.

    A NAV of 0 or less has no logarithm: the line stops there while the drawdown goes on.
    """
    pdf_page.heading(page, y, "Growth of 1", "after costs, log scale; drawdown below")
    rows = pdf_page.records(page, "backtest_returns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "backtest_returns")
        pdf_page.absent(page, y + 0.25, "The growth of 1", why)
        return
    days = pdf_page.with_start(pdf_page.days_of(rows))
    own = np.concatenate([[1.0], pdf_page.column(rows, "nav")])
    other = pdf_page.column(rows, "benchmark_return")
    against = np.concatenate([[1.0], np.cumprod(1.0 + other)])  # up to its first unknown month
    axes = pdf_page.plot_panel(page, y + 0.12, height)
    known = svg.log10(np.concatenate([own, against]))
    lo, hi = float(np.nanmin(known)), float(np.nanmax(known))
    pad = max(0.05 * (hi - lo), 0.01)
    axes.set_yscale("log")
    axes.set_ylim(10 ** (lo - pad), 10 ** (hi + pad))
    axes.minorticks_off()
    ticks = svg.log_ticks(lo - pad, hi + pad)
    pdf_page.y_axis(axes, ticks.tolist(), [f"{tick:g}×" for tick in ticks])
    pdf_page.time_axis(axes, days, named=False)
    x, labels = pdf_page.numbers(days), list[tuple[float, str, str]]()
    name = page.sheet.identity.benchmark
    for values, colour, who, width in (
        (against, LOOK.benchmark, name, 1.0),
        (own, LOOK.strategy, "strategy", 1.4),
    ):
        if np.isfinite(values[1:]).any():
            shown = np.where(values > 0, values, np.nan)
            axes.plot(x, shown, color=colour, linewidth=width, solid_joinstyle="round")
            last = float(values[np.isfinite(values)][-1])
            place = last if last > 0 else 10 ** (lo - pad)
            labels.append((place, f"{theme.nav(last)} {who}", colour))
    pdf_page.beside(page, axes, labels)
    _drawdown(page, rows, y + 0.12 + height + 0.1, below)


def _drawdown(page: Page, rows: Sequence[Row], y: float, height: float) -> None:
    days = pdf_page.with_start(pdf_page.days_of(rows))
    values = np.concatenate([[0.0], pdf_page.column(rows, "drawdown")])
    axes = pdf_page.plot_panel(page, y, height)
    worst = float(np.nanmin(values))
    pdf_page.percent_axis(axes, min(1.06 * worst, -0.01), 0.0, 3)
    pdf_page.time_axis(axes, days)
    shown = np.nan_to_num(values)
    axes.fill_between(pdf_page.numbers(days), shown, 0.0, color=LOOK.loss, alpha=0.45, linewidth=0)
    said = [(0.0, "never below its high", LOOK.muted)]
    if worst < 0:
        when = theme.month(rows[int(np.nanargmin(values)) - 1]["date"])
        said = [(worst, f"{theme.percent(worst)} lowest", LOOK.loss), (worst, when, LOOK.loss)]
    pdf_page.beside(page, axes, said)


def calendar_years(page: Page, y: float, height: float) -> None:
    """A bar per calendar year, the benchmark beside it; incomplete years are pale."""
    pdf_page.heading(page, y, "Calendar years", "after costs, %; pale where a year is not complete")
    rows = pdf_page.records(page, "calendar_returns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "calendar_returns")
        pdf_page.absent(page, y + 0.25, "Calendar years", why)
        return
    own, other = (pdf_page.column(rows, name) for name in ("net_return", "benchmark_return"))
    both = np.nan_to_num(np.concatenate([own, other, [0.0]]))
    lo, hi = float(both.min()), float(both.max())
    pad = max(0.06 * (hi - lo), 0.005)
    start = pdf_page.PLOT_LEFT + 0.12
    axes = pdf_page.panel(page, start, y + 0.12, RIGHT - start, height)
    axes.set_xlim(-0.5, max(len(rows), 6) - 0.5)
    axes.set_xticks([])
    pdf_page.percent_axis(axes, lo - (pad if lo < 0 else 0), hi + pad, 4)
    tints = [LOOK.strategy if row["is_full"] else theme.mix(LOOK.strategy, 0.55) for row in rows]
    edges = [(k - 0.36, 0.0, k + 0.06, value) for k, value in enumerate(np.nan_to_num(own))]
    edges += [(k + 0.1, 0.0, k + 0.36, value) for k, value in enumerate(np.nan_to_num(other))]
    grey = [theme.mix(LOOK.benchmark, 0.3)] * len(rows)
    pdf_page.boxes(axes, edges, [*tints, *grey])
    axes.axhline(0.0, color=LOOK.ink, linewidth=0.6)
    _year_table(page, rows, start, y + 0.12 + height)


def _year_table(page: Page, rows: Sequence[Row], start: float, y: float) -> None:
    """Beneath the bars their years and what they are, as long as there is room for them."""
    slot = (RIGHT - start) / max(len(rows), 6)
    every = -(-len(rows) // 22)
    name = page.sheet.identity.benchmark
    lines = [
        ("", [str(row["year"]) for row in rows], LOOK.muted),
        ("strategy", [theme.percent(row["net_return"], 0) for row in rows], LOOK.strategy),
        (name, [theme.percent(row["benchmark_return"], 0) for row in rows], LOOK.benchmark),
    ]
    for label, said, colour in lines if every == 1 else lines[:1]:
        y += 0.125
        hue = theme.as_text(colour)
        pdf_page.write(page, LEFT, y, label, size=SMALL, colour=hue, bold=True, within=start - LEFT)
        for k in range(0, len(rows), every):
            x = start + slot * (k + 0.5)
            pdf_page.write(page, x, y, said[k], size=SMALL, colour=hue, align="center")


def months(page: Page, y: float, tallest: float) -> float:
    """The monthly net returns as a heat map, the year's stored return behind each row."""
    pdf_page.heading(
        page,
        y,
        "Monthly returns",
        "%, after costs; the months of a row compound to its year",
    )
    rows = pdf_page.records(page, "backtest_returns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "backtest_returns")
        return pdf_page.absent(page, y + 0.25, "Monthly returns", why)
    known = {row["year"]: row for row in pdf_page.records(page, "calendar_returns")}
    first: int = rows[0]["date"].year
    count: int = rows[-1]["date"].year - first + 1
    grid = np.full((count, 12), np.nan)
    for row in rows:
        grid[row["date"].year - first, row["date"].month - 1] = row["net_return"]
    step = min(0.185, tallest / count)
    axes = pdf_page.panel(page, LEFT + 0.42, y + 0.3, 5.9, step * count)
    axes.set_xlim(0, 13.3)
    axes.set_ylim(count, 0)
    axes.set_yticks([])
    axes.set_xticks([])
    most = min(max(float(np.nanmax(np.abs(grid), initial=0.0)), 0.02), 0.15)
    colours = [[_heat(value, most) for value in line] for line in grid.tolist()]
    _cells(axes, colours)
    size = min(SMALL, step * 72 * 0.62)
    for k, name in enumerate((*theme.MONTHS, "year")):
        x, align = LEFT + 0.42 + 5.9 / 13.3 * (k + 0.5), "center"
        if name == "year":
            x, align = LEFT + 0.42 + 5.9, "right"
        pdf_page.write(page, x, y + 0.26, name, size=SMALL, colour=LOOK.muted, align=align)
    for k in range(count) if count <= YEARS_WITH_NUMBERS else range(0, count, 5):
        height = y + 0.3 + (k + 0.5) * step + size * 0.36 / 72
        pdf_page.write(page, LEFT, height, str(first + k), size=size, colour=LOOK.muted)
        year = known.get(first + k, {})
        said = theme.percent(year.get("net_return"))
        x = LEFT + 0.42 + 5.9
        pdf_page.write(page, x, height, said, size=size, bold=True, align="right")
        if year and not year["is_full"]:
            part = f"{year['n_months']} month{'s' if year['n_months'] > 1 else ''}"
            pdf_page.write(page, x + 0.08, height, part, size=size, colour=LOOK.muted)
    if count <= YEARS_WITH_NUMBERS:
        _numbers(axes, grid, colours, size)
    return y + 0.3 + step * float(count)


def _cells(axes: Axes, colours: Sequence[Sequence[str]]) -> None:
    edges = [
        (j + 0.02, i + 0.04, j + 0.98, i + 0.96)
        for i, line in enumerate(colours)
        for j in range(len(line))
    ]
    pdf_page.boxes(axes, edges, [tint for line in colours for tint in line])


def _numbers(axes: Axes, grid: Floats, colours: Sequence[Sequence[str]], size: float) -> None:
    for i, j in zip(*np.nonzero(np.isfinite(grid)), strict=True):
        value, tint = float(grid[i, j]), colours[i][j]
        on_white = theme.contrast(LOOK.ink, tint) >= 4.5
        axes.text(
            j + 0.5,
            i + 0.53,
            svg.decimal(100 * value, 1),
            ha="center",
            va="center",
            fontproperties=pdf_fonts.font(),
            fontsize=size,
            color=LOOK.ink if on_white else LOOK.paper,
            parse_math=False,
        )


def _heat(value: float, most: float) -> str:
    """Blue above 0, vermillion below, paler towards 0; grey paper where there is no month."""
    if not np.isfinite(value):
        return LOOK.panel
    hue = theme.BLUE if value >= 0 else theme.VERMILLION
    return theme.mix(hue, 1.0 - 0.75 * min(abs(value) / most, 1.0) - 0.03)


def rolling(page: Page, y: float, height: float, gap: float) -> float:
    """Sharpe ratio, volatility and beta of the last 36 months; the next free height."""
    pdf_page.heading(page, y, "The last 36 months", "month by month; dashed: over all months")
    rows = pdf_page.records(page, "rolling_metrics")
    if not rows:
        why = pdf_page.why_missing(
            page.sheet, "rolling_metrics", "the backtest has fewer than 36 months"
        )
        return pdf_page.absent(page, y + 0.25, "Rolling statistics", why) + 0.2
    whole = next((r for r in pdf_page.records(page, "metrics") if r["segment"] == "full"), {})
    who = pdf_fonts.plain(page.sheet.identity.benchmark, 14)
    market = ("market_beta", "on SPY", theme.ORANGE)
    panels: tuple[tuple[str, str, str, Callable[[object], str], bool], ...] = (
        ("sharpe", "Sharpe ratio", "", theme.ratio, False),
        ("volatility_ann", "Volatility, % a year", "", theme.percent, True),
        ("beta", "Beta", f"on {who}", theme.ratio, False),
    )
    y += 0.16
    for name, title, label, said, is_percent in panels:
        lines = [(name, label, LOOK.strategy)]
        if name == "beta" and page.sheet.identity.benchmark != "SPY":
            lines.append(market)
        pdf_page.write(page, pdf_page.PLOT_LEFT, y + 0.06, title, size=SMALL + 0.5)
        _rolled(page, rows, lines, whole.get(name), said, is_percent, y + 0.1, height)
        y += height + gap
    return y + 0.16


def _rolled(
    page: Page,
    rows: Sequence[Row],
    lines: Sequence[tuple[str, str, str]],
    whole: object,
    said: Callable[[object], str],
    is_percent: bool,
    y: float,
    height: float,
) -> None:
    """One panel: its lines with their latest values, and the figure of all months."""
    drawn = [
        (values, label, colour)
        for name, label, colour in lines
        if np.isfinite(values := svg.finite(pdf_page.column(rows, name))).any()
    ]
    if not drawn:
        why = "not known in any window"
        pdf_page.absent(page, y + 0.2, "This statistic", why, x=pdf_page.PLOT_LEFT)
        return
    every = np.concatenate([values[np.isfinite(values)] for values, _, _ in drawn])
    ends = [*every.tolist(), 0.0]
    if isinstance(whole, float) and np.isfinite(whole):
        ends.append(whole)
    lo, hi = min(ends), max(ends)
    pad = max(0.08 * (hi - lo), 0.002)
    axes = pdf_page.plot_panel(page, y, height)
    axis = pdf_page.percent_axis if is_percent else pdf_page.ratio_axis
    axis(axes, lo - (pad if lo < 0 else 0), hi + pad, 3)
    days = pdf_page.days_of(rows)
    pdf_page.time_axis(axes, days)
    axes.axhline(0.0, color=LOOK.ink, linewidth=0.6)
    if isinstance(whole, float) and np.isfinite(whole):
        axes.axhline(whole, color=LOOK.muted, linewidth=0.7, linestyle=(0, (3, 2)))
    labels = []
    for values, label, colour in drawn:
        axes.plot(pdf_page.numbers(days), values, color=colour, linewidth=1.2)
        last = float(values[np.isfinite(values)][-1])
        labels.append((last, f"{said(last)} {label}", colour))
    if isinstance(whole, float) and np.isfinite(whole):
        labels.append((whole, f"{said(whole)} all months", LOOK.muted))
    pdf_page.beside(page, axes, labels)
