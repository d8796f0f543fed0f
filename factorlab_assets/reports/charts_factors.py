"""The picture of a factor: what it makes of prices over time. Arrays in, SVG text out.

Belongs here: how one factor's values are drawn, and the figures that are in the drawing, for
terminals. Does not: computing a factor, or which tickers are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factorlab_assets.reports import svg
from factorlab_assets.reports.svg import LEFT, RIGHT, Dates, Floats, label
from factorlab_assets.reports.theme import BENCHMARK, BLUE, VERMILLION

HEIGHT = 420
PRICE_TOP, PRICE_FLOOR, VALUE_TOP, FLOOR = 66, 164, 190, 384
"""Where the panel of prices begins and ends, and where that of values does."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the cross-section: lowest, quartile, median, quartile, highest."""


@dataclass(frozen=True)
class Story:
    """A factor's values over time: of all tickers together, and of two of them.

    dates : (T,) from the first date with a value to the last. spread : (T, 5) by `SHARES`. names :
    the tickers with the highest and the lowest value on the last date, one where there is but one.
    values, prices : (T, 1 or 2) theirs. n_tickers : tickers with a value on some date.
    """

    dates: Dates
    spread: Floats
    names: tuple[str, ...]
    values: Floats
    prices: Floats
    n_tickers: int


def story(dates: Dates, tickers: Sequence[str], prices: Floats, values: Floats) -> Story | None:
    """What there is to tell of values and prices (T, N); None where no value is known."""
    known = np.isfinite(values)
    rows = np.flatnonzero(known.any(axis=1))
    if not rows.size:
        return None
    own = slice(rows[0], rows[-1] + 1)
    values, prices = svg.finite(values)[own], svg.finite(prices)[own]
    spread = np.full((len(values), len(SHARES)), np.nan)
    told = known[own].any(axis=1)
    spread[told] = np.nanquantile(values[told], SHARES, axis=1).T
    order = np.argsort(values[-1], kind="stable")[: known[rows[-1]].sum()]
    ends = [order[-1]] if len(order) == 1 else [order[-1], order[0]]
    names = tuple(str(tickers[i]) for i in ends)
    days = svg.as_days(dates)[own]
    count = int(known.any(axis=0).sum())
    return Story(days, spread, names, values[:, ends], prices[:, ends], count)


def factor_picture(told: Story | None, *, title: str, about: str, basis: str) -> str:
    """Prices of the tickers that a factor holds highest and lowest now, and its values below.

    Of the values also the range of all tickers, the range of the middle half, and the median.
    `about` says what they are: parameters and window.
    """
    if told is None:
        return svg.no_data(title, basis, "no value is known: the history is too short")
    if len(told.dates) < 2:
        return svg.no_data(title, basis, f"values on one date alone, {told.dates[0]}")
    x = svg.time_x(told.dates, told.dates)
    parts = [svg.time_axis(told.dates, bottom=FLOOR, top=PRICE_TOP)]
    parts += _prices(x, told)
    parts += _values(x, told)
    of = f"{told.n_tickers:,} ticker{'s' * (told.n_tickers != 1)}"
    return svg.frame(
        title, basis, f"{about}; {of}, {svg.said(told.dates)}", "".join(parts), height=HEIGHT
    )


def _prices(x: Floats, told: Story) -> list[str]:
    logs = svg.log10(told.prices)
    lo, hi = _padded(np.nanmin(logs), np.nanmax(logs))
    ticks = svg.log_ticks(lo, hi)
    return [
        svg.y_axis(svg.at(np.log10(ticks), lo, hi, PRICE_FLOOR, PRICE_TOP), map(_number, ticks)),
        *_lines(x, svg.at(logs, lo, hi, PRICE_FLOOR, PRICE_TOP), told.names, told.prices),
        label(LEFT + 4, PRICE_TOP - 6, "price, log scale"),
    ]


def _values(x: Floats, told: Story) -> list[str]:
    lo, hi = _padded(np.nanmin(told.spread), np.nanmax(told.spread))
    ticks = svg.linear_ticks(lo, hi, 5)
    y = svg.at(told.spread, lo, hi, FLOOR, VALUE_TOP)
    own = svg.at(told.values, lo, hi, FLOOR, VALUE_TOP)
    return [
        svg.y_axis(svg.at(ticks, lo, hi, FLOOR, VALUE_TOP), map(_number, ticks)),
        *(_band(x, y[:, low], y[:, high]) for low, high in ((0, 4), (1, 3))),
        svg.stroke(svg.line(x, y[:, 2], told.spread[:, 2]), BENCHMARK, 1.3),
        *_lines(x, own, told.names, told.values),
        label(LEFT + 4, VALUE_TOP - 6, "value; grey: all tickers, the middle half, the median"),
    ]


def _lines(x: Floats, y: Floats, names: Sequence[str], values: Floats) -> list[str]:
    """A line for each ticker, (T, 1 or 2), labelled at its end."""
    parts, ends = [], []
    for i, (name, colour) in enumerate(zip(names, (BLUE, VERMILLION), strict=False)):
        rows = np.flatnonzero(np.isfinite(y[:, i]))
        if rows.size:
            parts.append(svg.stroke(svg.line(x, y[:, i], y[:, i]), colour, 1.5))
            text = f"{_number(values[rows[-1], i])} {svg.escape(name, 6)}"
            ends.append((float(y[rows[-1], i]), colour, text))
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 13:
        middle, side = (ends[0][0] + ends[1][0]) / 2, 6.5 if ends[0][0] > ends[1][0] else -6.5
        ends = [(middle + side, *ends[0][1:]), (middle - side, *ends[1][1:])]
    return parts + [label(RIGHT + 8, at + 4, text, fill=hue, bold=True) for at, hue, text in ends]


def _band(x: Floats, low: Floats, high: Floats) -> str:
    """The area between two lines, broken where one is not known."""
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    pieces = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    drawn = []
    for piece in pieces:
        rows = np.append(piece[:: -(-len(piece) // svg.MAX_POINTS)], piece[-1])
        there, back = ((x[rows], high[rows]), (x[rows][::-1], low[rows][::-1]))
        points = np.rint(10 * np.hstack([there, back])).astype(int).T
        drawn.append("M" + "L".join(f"{px} {py}" for px, py in points) + "z")
    style = f'transform="scale(.1)" fill="{BENCHMARK}" fill-opacity=".22"'
    return f'<path d="{"".join(drawn)}" {style}/>'


def _padded(lo: float, hi: float) -> tuple[float, float]:
    pad = 0.04 * (hi - lo) or max(0.1 * abs(hi), 0.1)
    return lo - pad, hi + pad


def _number(value: float) -> str:
    """Three digits that count, with a real minus sign.

    >>> _number(-0.01234), _number(1234.5), _number(0.0)
    ('−0.0123', '1,234', '0')
    """
    size = abs(value)
    return (f"{value:,.0f}" if size >= 1000 else f"{value:.3g}").replace("-", "−")
