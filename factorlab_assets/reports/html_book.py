"""Sections of the HTML tear sheet on what was held: weights, turnover, contributions, months.

Belongs here: what these sections show of which table. Does not: markup and pictures
(`html_parts`, `html_charts`), or returns (`html_results`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from factorlab_assets.reports import html_charts, svg, theme
from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports.html_charts import Dot, Line
from factorlab_assets.reports.html_parts import Chapter, Part, absent, number, table
from factorlab_assets.reports.html_results import dates_of, has, values_of
from factorlab_assets.reports.sheet import Sheet
from factorlab_assets.reports.svg import Dates, Floats

MOST_LAYERS = 14
"""Tickers or classes with a layer of their own; the smallest of more are drawn as "other"."""
MOST_BARS = 20
COSTS = (
    ("turnover_ann", "Turnover a year, two-way", 1),
    ("cost_drag_ann", "Trading costs a year", 2),
    ("commission_ann", "of it commission", 2),
    ("slippage_ann", "of it slippage", 2),
    ("spread_cost_ann", "of it quoted spreads", 2),
    ("impact_cost_ann", "of it market impact", 2),
    ("borrow_ann", "Paid for shorts a year", 2),
    ("financing_ann", "Paid above rf for loans a year", 2),
)


def book(sheet: Sheet, hue: Mapping[str, str]) -> Chapter:
    """The chapter on what was held. hue : "ticker:NAME" and "class:NAME" -> CSS colour."""
    return Chapter(
        "book",
        "What was held",
        [
            Part("weights", "Weights over time", _weights(sheet, hue)),
            Part("turnover", "Turnover and costs", _turnover(sheet)),
            Part("exposure", "Exposure", _exposure(sheet)),
            Part("contributions", "Contributions", _contributions(sheet, hue)),
            Part("notable", "Best and worst months", _notable(sheet)),
        ],
    )


def _weights(sheet: Sheet, hue: Mapping[str, str]) -> str:
    if not has(sheet, "weights"):
        return absent(sheet, "weights", "what was held")
    days, tickers, grid = _pivot(sheet)
    if not grid.any():
        return parts.note("Nothing was held at any month-end: all capital stayed in cash.")
    by_ticker = {name: grid[:, i] for i, name in enumerate(tickers) if grid[:, i].any()}
    by_class: dict[str, Floats] = {}
    for name, values in by_ticker.items():
        label = sheet.asset_classes.get(name) or theme.NO_CLASS
        by_class[label] = by_class.get(label, 0.0) + values
    order = theme.in_order(by_class)
    ranked = sorted(
        by_ticker, key=lambda n: (order.index(sheet.asset_classes.get(n) or theme.NO_CLASS), n)
    )
    kinds = (
        ("ticker", "By ticker", ranked, by_ticker),
        ("class", "By asset class", order, by_class),
    )
    out = [_stack(kind, title, days, names, found, hue) for kind, title, names, found in kinds]
    return f'<div class="charts">{"".join(out)}</div>'


def _pivot(sheet: Sheet) -> tuple[Dates, list[str], Floats]:
    """Month-ends, tickers and weights (T, N) of the stored rows."""
    found = sheet.tables["weights"]
    when = found["date"].to_numpy().astype("datetime64[D]")
    coded = found["ticker"].combine_chunks().dictionary_encode()
    days, rows = np.unique(when, return_inverse=True)
    grid = np.zeros((len(days), len(coded.dictionary)))
    grid[rows, coded.indices.to_numpy()] = np.nan_to_num(values_of(sheet, "weights", "weight"))
    return days, coded.dictionary.to_pylist(), grid


def _stack(
    kind: str,
    title: str,
    days: Dates,
    names: Sequence[str],
    found: Mapping[str, Floats],
    hue: Mapping[str, str],
) -> str:
    size = {name: float(np.abs(found[name]).sum()) for name in names}
    largest = set(sorted(size, key=lambda name: (-size[name], name))[:MOST_LAYERS])
    shown = [name for name in names if len(names) <= MOST_LAYERS + 1 or name in largest]
    layers = [(name, hue.get(f"{kind}:{name}", theme.OTHER), found[name]) for name in shown]
    if rest := [found[name] for name in names if name not in shown]:
        layers.append((f"{len(rest)} others", theme.OTHER, np.sum(rest, axis=0)))
    plot = html_charts.stacked(days, layers, svg.percent)
    head = "".join(
        f'<th scope="col" data-column="{parts.clean(name)}">{parts.clean(name)}</th>'
        for name, _, _ in layers
    )
    body = []
    grid = np.column_stack([values for _, _, values in layers])
    for day, row in zip(days.tolist(), grid.tolist(), strict=True):
        cells = "".join(f"<td>{theme.percent(w) if w else ''}</td>" for w in row)
        body.append(f'<tr data-key="{day}"><th scope="row">{day}</th>{cells}</tr>')
    caption = f"Weights {title.lower()}, % of NAV; nothing stands for 0"
    numbers = (
        f'<div class="scroll"><table data-table="weights" data-by="{kind}" class="sortable">'
        f'<caption>{caption}</caption><thead><tr><th scope="col">month-end</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
    told = f"{len(names)} of them were held at some time, {svg.said(days)}; the numbers follow."
    unit = "weight set at the month-end, % of NAV"
    figure = html_charts.figure(f"weights-{kind}", title, unit, told, plot, numbers)
    key = html_charts.legend([(name, colour) for name, colour, _ in layers])
    return f"<div>{figure}{key}</div>"


def _turnover(sheet: Sheet) -> str:
    if not has(sheet, "backtest_returns"):
        return absent(sheet, "backtest_returns", "turnover and costs")
    rows, days = sheet.rows("backtest_returns"), dates_of(sheet, "backtest_returns")
    columns = [
        parts.day("date", "month-end"),
        parts.percent("turnover", "turnover"),
        parts.percent("cost", "cost", 3),
    ]
    drawn = [Line("turnover", "var(--strategy)", values_of(sheet, "backtest_returns", "turnover"))]
    numbers = table("backtest_returns", "Turnover and its cost", rows, columns, ["date"])
    told = f"Two-way turnover at the rebalance before each month, {svg.said(days)}."
    plot = html_charts.lines(days, drawn, svg.percent, bottom=140, rest=0.0)
    unit = "two-way, % of NAV a month"
    picture = html_charts.figure("turnover-chart", "Turnover", unit, told, plot, numbers)
    full = next((r for r in sheet.rows("metrics") if r["segment"] == "full"), None)
    if full is None:
        return picture + absent(sheet, "metrics", "what costs took a year")
    said = [
        (name, parts.figure_of("metrics", column, "full", theme.percent(full.get(column), digits)))
        for column, name, digits in COSTS
    ]
    return f'<div class="charts">{picture}<div>{parts.facts(said)}</div></div>'


def _exposure(sheet: Sheet) -> str:
    if not has(sheet, "backtest_returns"):
        return absent(sheet, "backtest_returns", "gross and net exposure")
    rows, days = sheet.rows("backtest_returns"), dates_of(sheet, "backtest_returns")
    read = {
        name: values_of(sheet, "backtest_returns", name)
        for name in ("gross_exposure", "net_exposure", "n_holdings")
    }
    out = []
    for anchor, title, unit, drawn, say, columns in (
        (
            "exposure-chart",
            "Gross and net exposure",
            "% of NAV",
            [
                Line("gross", "var(--benchmark)", read["gross_exposure"]),
                Line("net", "var(--strategy)", read["net_exposure"]),
            ],
            svg.percent,
            [parts.percent("gross_exposure", "gross"), parts.percent("net_exposure", "net")],
        ),
        (
            "holdings-chart",
            "Names held",
            "tickers",
            [Line("held", "var(--strategy)", read["n_holdings"])],
            lambda value: f"{value:,.0f}",
            [parts.count("n_holdings", "held"), parts.count("n_unpriced", "without a price")],
        ),
    ):
        plot = html_charts.lines(days, drawn, say, bottom=140, rest=0.0)
        every = [parts.day("date", "month-end"), *columns]
        numbers = table("backtest_returns", title, rows, every, ["date"])
        told = f"{title} in each month, {svg.said(days)}; the numbers follow."
        out.append(html_charts.figure(anchor, title, unit, told, plot, numbers))
    return f'<div class="charts">{"".join(out)}</div>'


def _contributions(sheet: Sheet, hue: Mapping[str, str]) -> str:
    if not has(sheet, "contributions"):
        return absent(sheet, "contributions", "what each ticker added")
    rows = sheet.rows("contributions")
    rows.sort(key=lambda row: -number(row["contribution"]))
    total = sum(number(row["contribution"]) for row in rows)
    by_class: dict[str, float] = {}
    for row in rows:
        name = str(row["item"])
        if row["kind"] == "ticker":
            name = str(row["asset_class"] or theme.NO_CLASS)
        by_class[name] = by_class.get(name, 0.0) + number(row["contribution"])
    columns = [
        parts.text("item", "item"),
        parts.text("asset_class", "class"),
        parts.percent("contribution", "added", 2, signed=True),
        parts.percent("mean_weight", "mean weight"),
        parts.count("n_months", "months held"),
    ]
    numbers = table(
        "contributions", "What each item added to the growth of 1", rows, columns, ["item"]
    )
    half = MOST_BARS // 2
    drawn = [row for row in rows if row["kind"] == "ticker" or row["contribution"]]
    shown = drawn if len(drawn) <= MOST_BARS else [*drawn[:half], *drawn[-half:]]
    items = [
        _bar(str(r["item"]), number(r["contribution"]), hue.get(f"ticker:{r['item']}", theme.OTHER))
        for r in shown
    ]
    classes = [
        _bar(name, value, hue.get(f"class:{name}", theme.OTHER))
        for name, value in sorted(by_class.items(), key=lambda pair: -pair[1])
        if value
    ]
    told = f"{len(rows)} items that add up to {theme.percent(total, 2, True)}; the table follows."
    title = "By ticker" if shown is drawn else f"By ticker: the {half} at each end"
    unit = "added to the growth of 1, %"
    left = html_charts.figure(
        "contributions-ticker", title, unit, told, html_charts.bars(items), numbers
    )
    classed = html_charts.figure(
        "contributions-class", "By asset class", unit, told, html_charts.bars(classes)
    )
    return _sum(sheet, total) + f'<div class="charts">{left}{classed}</div>'


def _bar(name: str, value: float, colour: str) -> Dot:
    return Dot(name, value, theme.percent(value, 1, True), colour=colour)


def _sum(sheet: Sheet, total: float) -> str:
    """What the items add up to, beside what it has to be."""
    added = f'<span data-sum="contributions">{theme.percent(total, 2, True)}</span>'
    last = sheet.rows("backtest_returns")[-1:]
    if not last:
        return f"<p>The items add up to {added}.</p>"
    key = parts.key_of(last[0], ["date"])
    nav = parts.figure_of("backtest_returns", "nav", key, theme.nav(last[0]["nav"]))
    is_same = abs(total - (number(last[0]["nav"]) - 1.0)) <= 1e-9 * max(1.0, abs(total))
    word = "just as" if is_same else "which is not how"
    return f"<p>The items add up to {added}, {word} a NAV of 1 became {nav}.</p>"


def _notable(sheet: Sheet) -> str:
    if not has(sheet, "notable_months"):
        return absent(sheet, "notable_months", "the best and worst months")
    out = []
    for side in ("best", "worst"):
        rows = [row for row in sheet.rows("notable_months") if row["side"] == side]
        rows.sort(key=lambda row: (number(row["rank"]), -abs(number(row["contribution"]))))
        body = []
        for _, found in groupby(rows, key=lambda row: row["rank"]):
            month = list(found)
            first = month[0]
            key = parts.key_of(first, ["date"])
            earned = parts.figure_of(
                "notable_months",
                "net_return",
                key,
                theme.percent(first["net_return"], 1, True),
                "td",
            )
            held = ", ".join(_held(row) for row in month[:8])
            held += f" and {len(month) - 8} more" if len(month) > 8 else ""
            body.append(
                f'<tr><th scope="row">{theme.month(first["date"])}</th>{earned}'
                f'<td class="t held">{held}</td></tr>'
            )
        out.append(
            f'<div class="scroll"><table><caption>The {side} months: '
            "ticker, weight, its return; costs</caption>"
            '<thead><tr><th scope="col">month</th><th scope="col">net return</th>'
            f'<th scope="col" class="t">held</th></tr></thead><tbody>{"".join(body)}</tbody>'
            "</table></div>"
        )
    return f'<div class="charts">{"".join(out)}</div>'


def _held(row: Mapping[str, object]) -> str:
    key = parts.key_of(row, ["date", "item"])
    if not number(row["weight"]):
        took = theme.percent(row["contribution"], 2, True)
        said = parts.figure_of("notable_months", "contribution", key, took)
        return f"<span><b>{parts.clean(row['item'])}</b> {said}</span>"
    weight = parts.figure_of("notable_months", "weight", key, theme.percent(row["weight"], 0))
    ret = parts.figure_of("notable_months", "ret", key, theme.percent(row["ret"], 1, True))
    return f"<span><b>{parts.clean(row['item'])}</b> {weight} {ret}</span>"
