"""Pictures of what prices mean: the basis of each ticker over time, one ticker with its suspects.

Belongs here: drawing stretches of `price_basis` and suspect bars, in the manner of `charts`. Does
not: deciding what is suspect or on which basis, files.

Blue is price alone, green is with distributions, in lines and bands alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets.reports import svg
from factorlab_assets.reports.charts import MAX_BANDS
from factorlab_assets.reports.inline import BLOCKS
from factorlab_assets.reports.svg import INK, LEFT, RIGHT, TOP, WIDTH, Dates, Floats, label
from factorlab_assets.reports.theme import BLUE, GREEN, ORANGE, OTHER, VERMILLION

HUES = {"price_only": BLUE, "adjusted": GREEN, "mixed": ORANGE, "unknown": "#c3c9ce"}
HUES |= {"synthetic": "#b8a800"}
NAMES = {"price_only": "price only", "adjusted": "with distributions", "mixed": "with some"}
NAMES |= {"unknown": "cannot be told", "synthetic": "synthetic"}
SHADES = {"price_only": "░", "adjusted": "█", "mixed": "▒", "unknown": "·", "synthetic": "~"}
KNOWN = "total return known"
COLUMNS = 240
"""Dates at which tickers are counted where there are too many for bands."""
SEVERITY_HUES = {"error": VERMILLION, "warning": ORANGE, "info": OTHER}
MOST_MARKS = 120

Bools = npt.NDArray[np.bool_]


def basis_band(stretches: pa.Table, *, title: str) -> str:
    """What each ticker's closes mean from date to date, and where total returns can be had.

    stretches : schemas.PRICE_BASIS's ticker, first_date, last_date, basis, is_total_return_known.
    A dark line under a band marks known total returns. Above 40 tickers: how many are on which
    basis at each date.
    """
    basis = overall_basis(stretches)
    if not stretches.num_rows:
        return svg.no_data(title, basis, "no ticker has bars")
    first, last, bases, known = _columns(stretches)
    span = np.array([first.min(), last.max()])
    tickers = sorted(set(stretches["ticker"].to_pylist()))
    said = f"what a close means: {len(tickers):,} tickers, {svg.said(span)}"
    if span[0] == span[1]:
        return svg.no_data(title, basis, f"{said}: a single day")
    if len(tickers) > MAX_BANDS:
        body, bottom = _counts(first, last, bases, known, span), float(svg.BOTTOM)
    else:
        body, bottom = _bands(stretches, tickers, span)
    legend = _legend([b for b in HUES if b in bases], bool(known.any()), bottom + 36)
    return svg.frame(title, basis, said, body + legend, height=round(bottom) + 66)


def basis_text(stretches: pa.Table) -> str:
    """The bands in letters, a year each, small enough to be seen without a click; markdown.

    Nothing where there are too many tickers for bands. In a year of two bases the later one counts.

    >>> day = lambda text: pa.scalar(text).cast(pa.date32())
    >>> rows = {"ticker": ["A", "A"], "first_date": [day("2019-03-01"), day("2020-07-01")]}
    >>> rows |= {"last_date": [day("2020-06-30"), day("2021-05-31")]}
    >>> print(basis_text(pa.table(rows | {"basis": ["price_only", "adjusted"]})))
    ```
      2019–2021
    A  ░██
    ░ price only  █ with distributions
    ```
    """
    rows = stretches.select(["ticker", "first_date", "last_date", "basis"]).to_pylist()
    tickers = sorted({row["ticker"] for row in rows})
    if not rows or len(tickers) > MAX_BANDS // 2:
        return ""
    first = min(row["first_date"].year for row in rows)
    last = max(row["last_date"].year for row in rows)
    width = max(map(len, tickers))
    years = {ticker: [" "] * (last - first + 1) for ticker in tickers}
    for row in sorted(rows, key=lambda row: (row["ticker"], row["first_date"])):
        span = range(row["first_date"].year - first, row["last_date"].year - first + 1)
        for year in span:
            years[row["ticker"]][year] = SHADES[row["basis"]]
    lines = [f"{'':<{width}} {first}–{last}"]
    lines += [f"{ticker:<{width}} {''.join(years[ticker])}" for ticker in tickers]
    used = [basis for basis in SHADES if basis in {row["basis"] for row in rows}]
    lines.append("  ".join(f"{SHADES[basis]} {NAMES[basis]}" for basis in used))
    return "\n".join(["```", *lines, "```"])


def overall_basis(stretches: pa.Table) -> str:
    """One word for all stretches: theirs where they agree, "mixed" where not."""
    bases = sorted(set(stretches["basis"].to_pylist()))
    if "synthetic" in bases:
        return "synthetic"
    return NAMES[bases[0]] if len(bases) == 1 else "mixed" if bases else "unknown"


def _columns(stretches: pa.Table) -> tuple[Dates, Dates, npt.NDArray[np.str_], Bools]:
    return (
        svg.as_days(stretches["first_date"].to_numpy()),
        svg.as_days(stretches["last_date"].to_numpy()),
        np.array(stretches["basis"].to_pylist(), dtype=np.str_),
        np.array(stretches["is_total_return_known"].to_pylist(), dtype=bool),
    )


def _bands(stretches: pa.Table, tickers: Sequence[str], span: Dates) -> tuple[str, float]:
    """The bands and the height at which they end."""
    step = min(20.0, max(14.0, (svg.BOTTOM - TOP) / len(tickers)))
    bottom = TOP + step * len(tickers)
    parts = [svg.time_axis(span, bottom=bottom)]
    for i, ticker in enumerate(tickers):
        own = stretches.filter(pc.equal(stretches["ticker"], ticker))
        y, (first, last, _, known) = TOP + i * step, _columns(own)
        parts.append(label(LEFT - 6, y + step / 2 + 4, svg.escape(ticker, 7), anchor="end"))
        parts.append(_band(own, span, y + 3, step - 6))
        days = (last - first).astype(int) + 1
        share = svg.percent(float((days * known).sum() / days.sum()))
        parts.append(label(WIDTH - 14, y + step / 2 + 4, f"{share} known", size=10, anchor="end"))
    return "".join(parts), bottom


def _band(stretches: pa.Table, span: Dates, y: float, height: float) -> str:
    """One ticker's stretches, coloured; a dark line at their foot where total returns are known."""
    first, last, bases, known = _columns(stretches)
    left, right = (np.rint(10 * svg.time_x(day, span)).astype(int) for day in (first, last))
    width = np.maximum(right - left, 10)  # a single bar is a pixel wide

    def boxes(chosen: Bools, top: float, tall: float) -> str:
        return "".join(
            f"M{x} {10 * top:.0f}h{w}v{10 * tall:.0f}h{-w}z"
            for x, w in zip(left[chosen].tolist(), width[chosen].tolist(), strict=True)
        )

    drawn = [
        f'<path d="{boxes(bases == basis, y, height)}" transform="scale(.1)" fill="{hue}"/>'
        for basis, hue in HUES.items()
        if (bases == basis).any()
    ]
    if known.any():
        foot = boxes(known, y + height - 1, 3)
        drawn.append(f'<path d="{foot}" transform="scale(.1)" fill="{INK}"/>')
    return "".join(drawn)


def _counts(
    first: Dates, last: Dates, bases: npt.NDArray[np.str_], known: Bools, span: Dates
) -> str:
    """Tickers on each basis over time, stacked; a dark line for those with known total returns."""
    start, end = span.astype(int).tolist()
    days = svg.as_days(np.unique(np.linspace(start, end, COLUMNS).astype(int)))

    def alive(chosen: Bools) -> Floats:
        begun = np.searchsorted(np.sort(first[chosen]), days, "right")
        over = np.searchsorted(np.sort(last[chosen]), days, "left")
        return (begun - over).astype(float)

    drawn = [basis for basis in HUES if (bases == basis).any()]
    stack = np.cumsum([alive(bases == basis) for basis in drawn], axis=0)
    top = float(stack[-1].max()) * 1.04
    x = np.append(np.rint(svg.time_x(days, span)), RIGHT)
    parts = [
        f'<path d="{svg.steps(x, _height(counted, top), svg.BOTTOM)}" fill="{HUES[basis]}"/>'
        for basis, counted in reversed(list(zip(drawn, stack, strict=True)))
    ]
    count = alive(known)
    if known.any():
        y = svg.at(count, 0, top, svg.BOTTOM, TOP)
        parts.append(svg.stroke(svg.line(x[:-1], y, count), INK, 1.6))
    ticks = svg.linear_ticks(0.0, top, 5)
    heights = svg.at(ticks, 0.0, top, svg.BOTTOM, TOP)
    parts += [svg.y_axis(heights, [f"{tick:,.0f}" for tick in ticks]), svg.time_axis(span)]
    shown = f"{count[-1]:,.0f} of {stack[-1, -1]:,.0f} known"
    parts.append(label(RIGHT + 8, TOP + 10, shown, fill=INK, bold=True))
    parts.append(label(RIGHT + 8, TOP + 24, "at the end"))
    return "".join(parts)


def _height(counted: Floats, top: float) -> Floats:
    height: Floats = np.rint(svg.at(counted, 0.0, top, svg.BOTTOM, TOP))
    return height


def _legend(bases: Sequence[str], is_known: bool, y: float) -> str:
    """Swatches of what is drawn, from the left."""
    parts, x = [], 14.0
    for basis in bases:
        parts.append(svg.rect(x, y - 9, 10, 10, HUES[basis]))
        parts.append(label(x + 15, y, NAMES[basis]))
        x += 28 + 5.4 * len(NAMES[basis])
    if is_known:
        parts.append(svg.rect(x, y - 2, 14, 3, INK))
        parts.append(label(x + 19, y, KNOWN))
    return "".join(parts)


def price_picture(
    bars: pa.Table, stretches: pa.Table, suspects: pa.Table, *, title: str, basis: str
) -> str:
    """One ticker: its closes, their total-return index, suspect bars and repairs, and its basis.

    Parameters
    ----------
    bars : date, close (as the source gave it), total_return (repaired, null where not known).
    stretches : as in `basis_band`, of this ticker. suspects : schemas.SUSPECT_PRICES's date, kind,
        severity, action, old_close, new_close, of this ticker.
    """
    days = svg.as_days(bars["date"].to_numpy())
    close, total = (svg.log10(_floats(bars[name])) for name in ("close", "total_return"))
    if len(days) < 2 or np.isfinite(close).sum() < 2:
        return svg.no_data(title, basis, "fewer than two bars")
    curves = [(total, GREEN, "total return")] * bool(np.isfinite(total).any())
    curves.append((close, BLUE, "close"))
    lo = min(np.nanmin(values) for values, _, _ in curves)
    hi = max(np.nanmax(values) for values, _, _ in curves)
    pad, floor = max(0.04 * (hi - lo), 0.01), 236.0
    scale = (lo - pad, hi + pad, floor, float(TOP))
    ticks = svg.log_ticks(*scale[:2])
    ticks = ticks[np.isfinite(ticks)]
    x, bottom = svg.time_x(days, days), floor + 34
    parts = [
        svg.time_axis(days, bottom=bottom),
        svg.y_axis(svg.at(np.log10(ticks), *scale), [f"{tick:g}" for tick in ticks]),
    ]
    ends = []
    for values, hue, name in curves:
        y = svg.at(values, *scale)
        parts.append(svg.stroke(svg.line(x, y, values), hue, 1.3))
        end = np.flatnonzero(np.isfinite(values))[-1]
        ends.append((float(y[end]), hue, f"{10 ** values[end]:.5g} {name}"))
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < 13:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - 6.5, *ends[0][1:]), (middle + 6.5, *ends[1][1:])]
    parts += [label(RIGHT + 8, y + 4, said, fill=hue, bold=True) for y, hue, said in ends]
    marks, told = _marks(suspects, days, scale, floor + 9)
    parts.append(marks)
    if stretches.num_rows:
        parts.append(_band(stretches, days[[0, -1]], floor + 18, 12))
        parts.append(label(RIGHT + 8, floor + 28, "basis", size=10))
    bases = set(stretches["basis"].to_pylist())
    is_known = any(stretches["is_total_return_known"].to_pylist())
    below = bottom + 18
    if bases:
        below += 18
        parts.append(_legend([b for b in HUES if b in bases], is_known, below))
    if suspects.num_rows:
        below += 18
        parts.append(_mark_legend(suspects, below))
    said = f"per share (log scale), {svg.said(days)}; {told}"
    return svg.frame(title, basis, said, "".join(parts), height=round(below) + 30)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.to_numpy(), dtype=float)


def _marks(
    suspects: pa.Table, days: Dates, scale: tuple[float, float, float, float], strip: float
) -> tuple[str, str]:
    """A cross at each suspect close, a ring at what replaced it, a tick below where there is none.

    The most severe are drawn, at most `MOST_MARKS`. Returns them and the sentence about them.
    """
    rows = suspects.to_pylist()
    rows.sort(
        key=lambda row: (list(SEVERITY_HUES).index(row["severity"]), -row["date"].toordinal())
    )
    parts = []
    for row in reversed(rows[:MOST_MARKS]):
        hue = SEVERITY_HUES[row["severity"]]
        x = float(svg.time_x(svg.as_days([row["date"]]), days)[0])
        x = min(max(x, LEFT), RIGHT)
        parts.append(svg.rect(x - 0.8, strip - 5, 1.6, 10, hue))
        old, new = (
            float(np.clip(svg.at(np.log10(row[name]), *scale), TOP, scale[2]))
            if row[name]
            else None
            for name in ("old_close", "new_close")
        )
        if old is not None:
            cross = f"M{x - 3:.1f} {old - 3:.1f}l6 6m0 -6l-6 6"
            parts.append(f'<path d="{cross}" stroke="{hue}" stroke-width="1.6" fill="none"/>')
        if new is not None and row["action"] != "keep":
            parts.append(f'<circle cx="{x:.1f}" cy="{new:.1f}" r="3" fill="none" stroke="{INK}"/>')
    more = f", {MOST_MARKS} drawn" if len(rows) > MOST_MARKS else ""
    return "".join(parts), f"suspect bars: {len(rows):,}{more}"


def _mark_legend(suspects: pa.Table, y: float) -> str:
    """Colours of the severities that occur and how often, and what a ring is."""
    counts = dict.fromkeys(SEVERITY_HUES, 0)
    for level in suspects["severity"].to_pylist():
        counts[level] += 1
    parts, x = [], 14.0
    for level, count in counts.items():
        if count:
            cross = f"M{x + 2} {y - 7}l6 6m0 -6l-6 6"
            hue = SEVERITY_HUES[level]
            parts.append(f'<path d="{cross}" stroke="{hue}" stroke-width="1.6" fill="none"/>')
            parts.append(label(x + 15, y, f"{count} {level}"))
            x += 28 + 5.4 * len(f"{count} {level}")
    if any(action != "keep" for action in suspects["action"].to_pylist()):
        parts.append(f'<circle cx="{x + 5}" cy="{y - 4}" r="3" fill="none" stroke="{INK}"/>')
        parts.append(label(x + 15, y, "repaired close"))
    return "".join(parts)


def sparkline(values: npt.ArrayLike, width: int) -> str:
    """Values as block characters on a log scale, the mean of each piece; blank where not known.

    >>> sparkline([1.0, 2.0, 4.0, np.nan, 8.0], 5)
    '▁▃▆ █'
    """
    known = svg.log10(values)
    if not np.isfinite(known).any():
        return ""
    lo, hi = np.nanmin(known), np.nanmax(known)
    blocks = []
    for piece in np.array_split(known, min(width, len(known))):
        there = piece[np.isfinite(piece)]
        level = (there.mean() - lo) / (hi - lo) * (len(BLOCKS) - 1) if hi > lo and len(there) else 0
        blocks.append(BLOCKS[round(float(level))] if len(there) else " ")
    return "".join(blocks)
