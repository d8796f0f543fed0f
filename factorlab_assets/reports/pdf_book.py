"""The pictures of what was held: weights by ticker and class, turnover and cost, gross and net.

Belongs here: the third page's pictures. Does not: what was earned (`pdf_plots`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from factorlab_assets.reports import pdf_page, theme
from factorlab_assets.reports.pdf_page import LEFT, LOOK, PLOT_RIGHT, RIGHT, SMALL, Page
from factorlab_assets.reports.svg import Dates, Floats

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

Row = pdf_page.Row
MOST_TICKERS = 13
"""The largest by mean absolute weight; the rest are drawn together."""
MOST_CLASSES = 8


@dataclass(frozen=True)
class Layer:
    """One band of a stack: name, colour, weights (T,)."""

    name: str
    colour: str
    weights: Floats


@dataclass(frozen=True)
class Book:
    """The stored weights: dates (T,), tickers in order of their names, weights (T, N)."""

    dates: Dates
    tickers: list[str]
    weights: Floats


def book_of(rows: pa.Table) -> Book:
    """Rows of `weights` as a matrix; a weight that has no row is 0."""
    days, at = np.unique(rows["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    names, who = np.unique(np.asarray(rows["ticker"].to_pylist(), str), return_inverse=True)
    weights = np.zeros((len(days), len(names)))
    weights[at, who] = np.nan_to_num(rows["weight"].to_numpy())
    return Book(days, [str(name) for name in names], weights)


def by_ticker(page: Page, book: Book) -> list[Layer]:
    """A layer per ticker that was ever held, by class; beyond the largest the rest together."""
    size = np.abs(book.weights).mean(axis=0)
    held = [i for i in np.argsort(-size, kind="stable").tolist() if size[i] > 0]
    shown = held if len(held) <= MOST_TICKERS else held[: MOST_TICKERS - 1]
    rank = {name: k for k, name in enumerate(page.colours.classes)}
    classes = page.sheet.asset_classes
    last = len(rank)

    def place(i: int) -> tuple[int, str]:
        name = book.tickers[i]
        return rank.get(classes.get(name) or theme.NO_CLASS, last), name

    layers = [
        Layer(book.tickers[i], page.colours.ticker(book.tickers[i]), book.weights[:, i])
        for i in sorted(shown, key=place)
    ]
    if rest := held[len(shown) :]:
        together = book.weights[:, rest].sum(axis=1)
        layers.append(Layer(f"{len(rest)} others", theme.OTHER, together))
    return layers


def by_class(page: Page, book: Book) -> list[Layer]:
    """A layer per asset class that was ever held."""
    members: dict[str, list[int]] = {}
    for i, name in enumerate(book.tickers):
        members.setdefault(page.sheet.asset_classes.get(name) or theme.NO_CLASS, []).append(i)
    layers = []
    for name in theme.in_order(members):
        weights = book.weights[:, members[name]]
        if weights.any():
            layers.append(Layer(name, page.colours.of_class(name), weights.sum(axis=1)))
    if len(layers) <= MOST_CLASSES:
        return layers
    order = sorted(layers, key=lambda layer: -float(np.abs(layer.weights).mean()))
    largest = {layer.name for layer in order[: MOST_CLASSES - 1]}
    together = np.sum([layer.weights for layer in layers if layer.name not in largest], axis=0)
    kept = [layer for layer in layers if layer.name in largest]
    return [*kept, Layer(f"{len(layers) - len(kept)} others", theme.OTHER, together)]


def weights(page: Page, y: float, heights: tuple[float, float], gap: float) -> None:
    """Weights over time by ticker, and by asset class beneath it."""
    rows = page.sheet.tables.get("weights")
    pdf_page.heading(page, y, "Weights by ticker", "% of NAV at each month-end, held to the next")
    if rows is None or not rows.num_rows:
        why = pdf_page.why_missing(page.sheet, "weights")
        pdf_page.absent(page, y + 0.25, "The weights", why)
        return
    book = book_of(rows)
    if not book.weights.any():
        said = "the book held nothing on any date, all of it is cash"
        pdf_page.absent(page, y + 0.25, "Weights", said)
        return
    _stack(page, book.dates, by_ticker(page, book), y + 0.14, heights[0])
    y += 0.14 + heights[0] + gap
    pdf_page.heading(page, y, "Weights by asset class", "% of NAV, longs less shorts of a class")
    _stack(page, book.dates, by_class(page, book), y + 0.14, heights[1])


def _stack(page: Page, dates: Dates, layers: Sequence[Layer], y: float, height: float) -> None:
    """Longs stacked up and shorts down from 0, in steps; what a long-only book leaves is cash."""
    step = int(np.median(np.diff(dates).astype(int))) if len(dates) > 1 else 30
    days = np.append(dates, dates[-1] + np.timedelta64(step, "D"))
    x = pdf_page.numbers(days)
    axes = pdf_page.plot_panel(page, y, height)
    up, down = np.zeros(len(days)), np.zeros(len(days))
    is_long_only = not any((layer.weights < 0).any() for layer in layers)
    total = np.sum([np.maximum(layer.weights, 0) for layer in layers], axis=0)
    shorts = np.sum([np.minimum(layer.weights, 0) for layer in layers], axis=0)
    top = max(float(total.max()), 1.0 if is_long_only else 0.01)
    low = float(shorts.min())
    pdf_page.percent_axis(axes, low, top * 1.001, 4)
    pdf_page.time_axis(axes, days)
    if is_long_only:
        axes.fill_between(x, 0.0, 1.0, color=theme.CASH, linewidth=0)
    for layer in layers:
        held = np.append(layer.weights, layer.weights[-1])
        for side, start in ((np.maximum(held, 0), up), (np.minimum(held, 0), down)):
            if side.any():
                axes.fill_between(
                    x, start, start + side, step="post", color=layer.colour, linewidth=0
                )
                start += side
    axes.axhline(0.0, color=LOOK.ink, linewidth=0.6)
    rest = 1.0 - float(sum(layer.weights[-1] for layer in layers))
    key = [(layer.name, layer.colour, float(layer.weights[-1])) for layer in reversed(layers)]
    key += [] if not is_long_only else [("cash", theme.CASH, rest)]
    _key(page, key, dates[-1], y, height)


def _key(
    page: Page, rows: Sequence[tuple[str, str, float]], day: np.datetime64, y: float, height: float
) -> None:
    """Names with their colour and latest weight beside the stack, in its order."""
    x = PLOT_RIGHT + 0.1
    pdf_page.write(page, RIGHT, y - 0.02, f"at {day}", size=SMALL, colour=LOOK.muted, align="right")
    step = min(0.15, (height - 0.04) / len(rows))
    size = min(SMALL + 0.5, step * 72 * 0.72)
    for k, (name, colour, weight) in enumerate(rows):
        line = y + 0.11 + k * step
        pdf_page.block(page, x, line - 0.068, 0.08, 0.08, colour)
        pdf_page.write(page, x + 0.13, line, name, size=size, within=0.56)
        pdf_page.write(page, RIGHT, line, theme.percent(weight), size=size, align="right")


def trading(page: Page, y: float, heights: tuple[float, float], gap: float) -> None:
    """Turnover at each rebalance, and what trading and holding cost each month."""
    pdf_page.heading(page, y, "Turnover", "two-way, % of NAV at the rebalance before the month")
    rows = pdf_page.records(page, "backtest_returns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "backtest_returns")
        pdf_page.absent(page, y + 0.25, "Turnover and costs", why)
        return
    whole = next((r for r in pdf_page.records(page, "metrics") if r["segment"] == "full"), {})
    turnover = np.nan_to_num(pdf_page.column(rows, "turnover"))
    if turnover.any():
        axes = _bars(page, rows, [(turnover, LOOK.strategy)], y + 0.14, heights[0], named=False)
        _mean(page, axes, "mean a year", whole.get("turnover_ann"))
    else:
        pdf_page.paragraph(page, LEFT, y + 0.25, "Nothing was traded.", columns=120, lines=1)
    y += 0.14 + heights[0] + gap
    drag = theme.percent(whole.get("cost_drag_ann"), 2)
    pdf_page.heading(page, y, "Cost drag", "trading cost, financing and borrow, % of NAV a month")
    parts = [("trading", "cost", theme.VERMILLION), ("financing", "financing", theme.ORANGE)]
    parts.append(("borrow", "borrow", theme.PURPLE))
    bars = [(np.nan_to_num(pdf_page.column(rows, name)), hue) for _, name, hue in parts]
    if not any(values.any() for values, _ in bars):
        said = "Nothing was paid in any month."
        pdf_page.paragraph(page, LEFT, y + 0.25, said, columns=120, lines=1)
        return
    axes = _bars(page, rows, bars, y + 0.14, heights[1])
    labels = [(f"{drag} a year", theme.VERMILLION)]
    for name, _, hue in parts[1:]:
        mean = whole.get(f"{name}_ann")
        if isinstance(mean, float) and mean > 0:
            labels.append((f"{theme.percent(mean, 2)} {name} a year", hue))
    top = axes.get_ylim()[1]
    pdf_page.beside(page, axes, [(top, said, hue) for said, hue in labels])


def _mean(page: Page, axes: Axes, label: str, value: object) -> None:
    top = axes.get_ylim()[1]
    said = [(top, theme.percent(value, 0), LOOK.strategy), (top, label, LOOK.strategy)]
    pdf_page.beside(page, axes, said)


def _bars(
    page: Page,
    rows: Sequence[Row],
    stacked: Sequence[tuple[Floats, str]],
    y: float,
    height: float,
    *,
    named: bool = True,
) -> Axes:
    """Monthly values as filled steps from 0, one above the other."""
    days = pdf_page.days_of(rows)
    total = np.sum([values for values, _ in stacked], axis=0)
    axes = pdf_page.plot_panel(page, y, height)
    pdf_page.percent_axis(axes, 0.0, max(1.05 * float(total.max()), 1e-4), 3)
    days = pdf_page.with_start(days)
    pdf_page.time_axis(axes, days, named=named)
    x, start = pdf_page.numbers(days)[1:], np.zeros(len(days) - 1)
    width = 0.8 * (float(np.median(np.diff(x))) if len(x) > 1 else 20.0)
    for values, colour in stacked:
        if values.any():
            edges = np.stack([x - width, start, x, start + values], axis=1).tolist()
            pdf_page.boxes(axes, edges, [colour])
            start = start + values
    axes.axhline(0.0, color=LOOK.ink, linewidth=0.6)
    return axes


def exposures(page: Page, y: float, height: float) -> None:
    """Gross and net exposure over time."""
    pdf_page.heading(page, y, "Gross and net exposure", "% of NAV in the month")
    rows = pdf_page.records(page, "backtest_returns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "backtest_returns")
        pdf_page.absent(page, y + 0.25, "Exposure", why)
        return
    days = pdf_page.days_of(rows)
    gross, net = (pdf_page.column(rows, name) for name in ("gross_exposure", "net_exposure"))
    every = np.nan_to_num(np.concatenate([gross, net, [0.0, 0.01]]))
    lo, hi = float(every.min()), float(every.max())
    pad = 0.08 * (hi - lo)
    axes = pdf_page.plot_panel(page, y + 0.14, height)
    pdf_page.percent_axis(axes, lo - (pad if lo < 0 else 0), hi + pad, 3)
    pdf_page.time_axis(axes, days)
    axes.axhline(0.0, color=LOOK.ink, linewidth=0.6)
    labels = []
    lines = [(gross, "gross", LOOK.muted, 2.2), (net, "net", LOOK.strategy, 1.0)]
    is_same = bool(np.allclose(gross, net, rtol=0.0, atol=1e-12, equal_nan=True))
    for values, label, colour, width in lines[1:] if is_same else lines:
        if np.isfinite(values).any():
            axes.step(pdf_page.numbers(days), values, where="pre", color=colour, linewidth=width)
            last = float(values[np.isfinite(values)][-1])
            said = f"{'gross = net' if is_same else label} {theme.percent(last, 0)}"
            labels.append((last, said, colour))
    pdf_page.beside(page, axes, labels)
    held = rows[-1]["n_holdings"]
    pdf_page.write(
        page,
        RIGHT,
        y,
        f"{theme.count(held)} names held in {theme.month(rows[-1]['date'])}",
        size=SMALL + 0.5,
        colour=LOOK.muted,
        align="right",
    )
