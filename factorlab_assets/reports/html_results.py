"""Sections of the HTML tear sheet on what was earned: NAV, headline figures, years, months, falls.

Belongs here: what these sections show of which table. Does not: markup and pictures
(`html_parts`, `html_charts`), or what was held (`html_book`).
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from factorlab_assets.reports import html_charts, svg, theme
from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports.html_charts import Line
from factorlab_assets.reports.html_parts import Chapter, Part, Row, absent, number, table
from factorlab_assets.reports.sheet import Sheet
from factorlab_assets.reports.svg import Dates, Floats

RETURNS = [
    parts.day("date", "month-end"),
    parts.Column("nav", "NAV", theme.nav),
    parts.percent("net_return", "net return", signed=True),
    parts.percent("benchmark_return", "benchmark", signed=True),
    parts.percent("drawdown", "drawdown"),
]
HEADLINES = (
    ("cagr", "Growth a year (CAGR)", "percent"),
    ("volatility_ann", "Volatility a year", "percent"),
    ("sharpe", "Sharpe ratio", "ratio"),
    ("sortino", "Sortino ratio", "ratio"),
    ("max_drawdown", "Deepest drawdown, monthly", "percent"),
    ("max_drawdown_daily", "Deepest drawdown, daily", "percent"),
    ("calmar", "Calmar ratio", "ratio"),
    ("hit_rate", "Months above 0", "percent"),
    ("excess_ann", "Excess over the benchmark a year", "percent"),
    ("information_ratio", "Information ratio", "ratio"),
    ("tracking_error_ann", "Tracking error a year", "percent"),
    ("beta", "Beta on the benchmark", "ratio"),
    ("t_excess_equal_vol", "t of the excess at equal volatility", "ratio"),
    ("turnover_ann", "Turnover a year, two-way", "percent"),
    ("cost_drag_ann", "Trading costs a year", "percent2"),
)
"""Of `metrics`: column, name, how it is said."""
_SAY = {
    "percent": theme.percent,
    "percent2": lambda value: theme.percent(value, 2),
    "ratio": theme.ratio,
}
_INTERVALS = {"sharpe": ("raw", "sharpe_lo"), "information_ratio": ("benchmark", "sharpe_lo")}
"""Headline -> the row of `inference` that has its confidence interval."""


def results(sheet: Sheet) -> Chapter:
    """The chapter on what was earned."""
    return Chapter(
        "results",
        "What was earned",
        [
            Part("nav", "NAV against the benchmark", _nav(sheet), is_wide=False),
            Part("headline", "Headline figures", _headline(sheet), is_wide=False),
            Part("rolling", "Over the last 36 months", _rolling(sheet)),
            Part("years", "Calendar years", _years(sheet), is_wide=False),
            Part("drawdowns", "Drawdowns", _drawdowns(sheet), is_wide=False),
            Part("months", "Month by month", _months(sheet)),
            Part("segments", "In and out of sample", _segments(sheet)),
        ],
    )


def dates_of(sheet: Sheet, name: str, column: str = "date") -> Dates:
    """A table's dates."""
    found = sheet.tables[name][column].to_pylist()
    return np.array(found, "datetime64[D]")


def values_of(sheet: Sheet, name: str, column: str) -> Floats:
    """A table's column of numbers; NaN = not known."""
    found = sheet.tables[name][column].to_pylist()
    return np.array([np.nan if value is None else value for value in found], float)


def has(sheet: Sheet, name: str) -> bool:
    """Whether a table has rows."""
    return name in sheet.tables and sheet.tables[name].num_rows > 0


def _nav(sheet: Sheet) -> str:
    if not has(sheet, "backtest_returns"):
        return absent(sheet, "backtest_returns", "the growth of capital")
    days = dates_of(sheet, "backtest_returns")
    daily = "daily_returns" if has(sheet, "daily_returns") else "backtest_returns"
    span = np.array([min(days[0], dates_of(sheet, daily)[0]), days[-1]])
    returns = values_of(sheet, "backtest_returns", "benchmark_return")
    benchmark = np.where(np.isnan(returns), np.nan, np.cumprod(1.0 + np.nan_to_num(returns)))
    name = sheet.identity.benchmark[:12] or "benchmark"
    fine, nav = dates_of(sheet, daily), values_of(sheet, daily, "nav")
    top, bottom, floor = html_charts.TOP, 190.0, 262.0
    plot = _both(days, benchmark, fine, nav, name, span, (top, bottom))
    plot += html_charts.below(
        fine, values_of(sheet, daily, "drawdown"), top=bottom + 14, bottom=floor, span=span
    )
    plot += html_charts.years(span, floor)
    last = sheet.rows("backtest_returns")[-1]
    told = (
        f"From {svg.said(span)}, 1 grew to {theme.nav(last['nav'])}; "
        f"the drawdown at the end was {theme.percent(last['drawdown'])}."
    )
    rows = table(
        "backtest_returns",
        "Months of the backtest",
        sheet.rows("backtest_returns"),
        RETURNS,
        ["date"],
    )
    picture = html_charts.Plot(plot, floor + 24, f"{span[0]} {span[1]}")
    often = "daily" if daily == "daily_returns" else "monthly"
    unit = f"growth of 1 on a log scale, and drawdown, {often}"
    return html_charts.figure("nav-chart", "NAV", unit, told, picture, rows)


def _both(
    days: Dates,
    benchmark: Floats,
    fine: Dates,
    nav: Floats,
    name: str,
    span: Dates,
    edges: tuple[float, float],
) -> str:
    """The strategy's line, at its own dates, over the benchmark's, on one log scale."""
    top, bottom = edges
    drawn = [
        (days, svg.log10(benchmark), "var(--benchmark)", name, 1.3),
        (fine, svg.log10(nav), "var(--strategy)", "strategy", 1.7),
    ]
    drawn = [each for each in drawn if np.isfinite(each[1]).sum() >= 2]
    if not drawn:
        return html_charts.nothing("fewer than two dates with a NAV above 0").body
    known = np.concatenate([each[1][np.isfinite(each[1])] for each in drawn])
    pad = max(0.04 * float(np.ptp(known)), 0.005)
    lo, hi = float(known.min()) - pad, float(known.max()) + pad
    ticks = svg.log_ticks(lo, hi)
    said = [f"{tick:.4g}×" for tick in ticks.tolist()]
    out = [html_charts.y_axis(svg.at(np.log10(ticks), lo, hi, bottom, top), said)]
    labels = []
    for when, values, hue, label, width in drawn:
        y = svg.at(values, lo, hi, bottom, top)
        d = svg.line(html_charts.time_x(when, span), y, values, most=html_charts.MOST_POINTS)
        out.append(html_charts.path(d, hue, width))
        labels.append((float(y[np.flatnonzero(np.isfinite(values))[-1]]), hue, label))
    return "".join([*out, *html_charts.ends(labels, top, bottom)])


def _headline(sheet: Sheet) -> str:
    full = next((r for r in sheet.rows("metrics") if r["segment"] == "full"), None)
    if full is None:
        return absent(sheet, "metrics", "the headline figures")
    inferred = {(r["returns"], r["statistic"]): r for r in sheet.rows("inference")}
    body = []
    for column, name, how in HEADLINES:
        place = _INTERVALS.get(column)
        interval = _interval(inferred.get(place) if place else None, place)
        said = parts.figure_of("metrics", column, "full", _SAY[how](full.get(column)), "td")
        body.append(f'<tr><th scope="row" class="t">{name}</th>{said}<td>{interval}</td></tr>')
    when = f"{theme.day(full['first_date'])} to {theme.day(full['last_date'])}"
    caption = (
        f"{theme.count(full['n_months'])} months, {when}; {full['rf_label']}; "
        f"benchmark {full['benchmark']}"
    )
    return (
        f'<div class="scroll"><table><caption>{parts.clean(caption)}</caption><thead><tr>'
        '<th scope="col" class="t">figure</th><th scope="col">value</th>'
        '<th scope="col">confidence interval</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>" + _how(inferred)
    )


def _interval(row: Row | None, place: tuple[str, str] | None) -> str:
    if row is None or place is None or not theme.is_known(row.get("low")):
        return ""
    key = "|".join(place)
    low, high = (
        parts.figure_of("inference", end, key, theme.ratio(row[end])) for end in ("low", "high")
    )
    return f"{low} to {high}"


def _how(inferred: dict[tuple[object, object], dict[str, object]]) -> str:
    row = inferred.get(("raw", "sharpe_lo"))
    return parts.note(f"Intervals: {row['note']}.") if row and row["note"] else ""


def _rolling(sheet: Sheet) -> str:
    if not has(sheet, "rolling_metrics"):
        return absent(sheet, "rolling_metrics", "rolling Sharpe ratio, volatility and betas")
    days = dates_of(sheet, "rolling_metrics")
    read = {
        name: values_of(sheet, "rolling_metrics", name)
        for name in ("sharpe", "volatility_ann", "beta", "market_beta")
    }
    rows = sheet.rows("rolling_metrics")
    hue = "var(--strategy)"
    benchmark = Line(sheet.identity.benchmark[:12] or "benchmark", hue, read["beta"])
    market, is_market = (
        Line("SPY", "var(--benchmark)", read["market_beta"]),
        benchmark.name == "SPY",
    )
    shown = (
        ("sharpe", "Sharpe ratio", "a year", [Line("strategy", hue, read["sharpe"])], _plain),
        (
            "volatility_ann",
            "Volatility",
            "% a year",
            [Line("strategy", hue, read["volatility_ann"])],
            svg.percent,
        ),
        (
            "beta",
            "Beta",
            "slope on the benchmark" + ("" if is_market else " and on SPY"),
            [benchmark] if is_market else [market, benchmark],
            _plain,
        ),
    )
    out = []
    for name, title, unit, drawn, say in shown:
        plot = html_charts.lines(days, drawn, say, bottom=140, rest=0.0)
        columns = [parts.day("date", "36 months to"), *_ROLLING[name]]
        numbers = table("rolling_metrics", f"{title} of 36 months", rows, columns, ["date"])
        told = f"{title} of the 36 months to each month-end, {svg.said(days)}; the numbers follow."
        out.append(html_charts.figure(f"rolling-{name}", title, unit, told, plot, numbers))
    return f'<div class="charts three">{"".join(out)}</div>'


_ROLLING = {
    "sharpe": [parts.Column("sharpe", "Sharpe ratio")],
    "volatility_ann": [parts.percent("volatility_ann", "volatility")],
    "beta": [parts.Column("beta", "on the benchmark"), parts.Column("market_beta", "on SPY")],
}


def _plain(value: float) -> str:
    return svg.decimal(value, 1)


def _years(sheet: Sheet) -> str:
    if not has(sheet, "calendar_returns"):
        return absent(sheet, "calendar_returns", "returns of calendar years")
    rows = sheet.rows("calendar_returns")
    own = Line("strategy", "var(--strategy)", values_of(sheet, "calendar_returns", "net_return"))
    name = sheet.identity.benchmark[:12] or "benchmark"
    other = values_of(sheet, "calendar_returns", "benchmark_return")
    plot = html_charts.columns(
        [str(row["year"]) for row in rows],
        [own, Line(name, "var(--benchmark)", other)],
        svg.percent,
    )
    columns = [
        parts.Column("year", "year", str),
        parts.percent("net_return", "strategy", signed=True),
        parts.percent("benchmark_return", "benchmark", signed=True),
        parts.count("n_months", "months"),
    ]
    numbers = table("calendar_returns", "Returns of calendar years", rows, columns, ["year"])
    known = [row for row in rows if theme.is_known(row["net_return"])]
    above = sum(number(row["net_return"]) > 0 for row in known)
    told = f"{len(known)} calendar years, {above} of them above 0; the numbers follow."
    unit = "net return, %; the first and the last may be parts of a year"
    return html_charts.figure("years-chart", "Years", unit, told, plot, numbers)


def _months(sheet: Sheet) -> str:
    if not has(sheet, "backtest_returns"):
        return absent(sheet, "backtest_returns", "the months")
    whole = {row["year"]: row for row in sheet.rows("calendar_returns")}
    by_month: dict[int, dict[int, Row]] = {}
    for row in sheet.rows("backtest_returns"):
        when = row["date"]
        if isinstance(when, dt.date):
            by_month.setdefault(when.year, {})[when.month] = row
    head = "".join(f'<th scope="col">{name}</th>' for name in theme.MONTHS)
    body = []
    for year, found in by_month.items():
        cells = "".join(_tile(found.get(month)) for month in range(1, 13))
        total = theme.percent(whole[year]["net_return"]) if year in whole else ""
        named = f' data-table="calendar_returns" data-column="net_return" data-key="{year}"'
        cells += f"<td{named if total else ''}><b>{total}</b></td>"
        body.append(f'<tr><th scope="row">{year}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="heat">'
        "<caption>Net return of every month, and of its year, in percent</caption>"
        f'<thead><tr><th scope="col">year</th>{head}<th scope="col">whole</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _tile(row: Row | None) -> str:
    if row is None:
        return "<td></td>"
    value = number(row["net_return"])
    tint = 0 if np.isnan(value) else min(100, round(1000 * abs(value)))  # 10 % is the full tint
    said = theme.percent(value).removesuffix("%")
    return (
        f'<td class="{"up" if value >= 0 else "down"}" style="--t:{tint}%" '
        f'data-table="backtest_returns" data-column="net_return" '
        f'data-key="{parts.key_of(row, ["date"])}">{said}</td>'
    )


def _drawdowns(sheet: Sheet) -> str:
    if not has(sheet, "drawdowns"):
        return absent(sheet, "drawdowns", "the deepest drawdowns")
    columns = [
        parts.count("rank", "rank"),
        parts.day("peak", "peak"),
        parts.day("trough", "trough"),
        parts.Column("recovery", "recovered", lambda v: theme.day(v) if v else "not yet"),
        parts.percent("depth", "depth"),
        parts.count("n_months", "months"),
    ]
    caption = (
        "The deepest drawdowns of the monthly NAV: months from peak to recovery, or to the end"
    )
    return table("drawdowns", caption, sheet.rows("drawdowns"), columns, ["rank"])


def _segments(sheet: Sheet) -> str:
    rows = sheet.rows("metrics")
    if not rows:
        return absent(sheet, "metrics", "the metrics of each segment")
    columns = [
        parts.text("segment", "segment"),
        parts.count("n_months", "months"),
        parts.day("first_date", "from"),
        parts.day("last_date", "to"),
        parts.percent("cagr", "CAGR"),
        parts.percent("volatility_ann", "volatility"),
        parts.Column("sharpe", "Sharpe"),
        parts.percent("max_drawdown", "drawdown"),
        parts.percent("excess_ann", "excess a year", signed=True),
        parts.Column("information_ratio", "information ratio"),
    ]
    said = table("metrics", "Metrics of each segment", rows, columns, ["segment"])
    if len(rows) == 1:
        said += parts.note("The strategy file names no month that divides in sample from out.")
    return said
