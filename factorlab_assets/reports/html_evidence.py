"""Sections of the HTML tear sheet on what a result is worth: inference, robustness, luck, regimes.

Belongs here: what these sections show of which table. Does not: markup and pictures
(`html_parts`, `html_charts`), the verdict (`html_head`), or where it comes from (`html_signals`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from factorlab_assets.reports import html_charts, theme
from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports.html_charts import Dot
from factorlab_assets.reports.html_parts import Chapter, Column, Part, Row, absent, number, table
from factorlab_assets.reports.html_results import has
from factorlab_assets.reports.sheet import Sheet

OVER = {
    "raw": "Over cash",
    "benchmark": "Over the benchmark",
    "equal_weight": "Over the equally weighted universe",
}
TESTS = {
    "cost": ("At other costs", "commission and slippage per unit of turnover"),
    "break_even": ("Break-even costs", "the cost at which nothing is left"),
    "delay": ("With later signals", "months by which every signal is late"),
    "start": ("From later starts", "January of each year"),
    "rebalance_day": ("On other rebalance days", "trading days before the month's last"),
    "without_ticker": ("Without one ticker", "the one it hangs on most first"),
    "without_year": ("Without one year", "the one it hangs on most first"),
}
KINDS = {
    "strategy": "strategy",
    "oracle_gross": "oracle, gross",
    "oracle_net": "oracle, net",
    "permuted": "tickers exchanged",
    "random": "drawn afresh",
}
_MOST_DOTS = 24
STATISTICS = {
    "sharpe_lo": ("Sharpe ratio, Lo’s interval", "ratio"),
    "sharpe_bootstrap": ("Sharpe ratio, bootstrap", "ratio"),
    "psr": ("Probability of a Sharpe ratio above 0", "share"),
    "n_trials": ("Tries", "count"),
    "n_failed": ("of them failed", "count"),
    "n_effective_correlation": ("Effective tries, by correlation", "tenth"),
    "n_effective_clusters": ("Effective tries, by groups", "count"),
    "expected_max_sharpe": ("Best Sharpe ratio without skill", "ratio"),
    "dsr": ("Deflated Sharpe probability", "share"),
    "dsr_effective": ("the same by groups of tries", "share"),
    "min_track_record": ("Months needed", "count"),
    "haircut_bonferroni": ("Sharpe ratio after Bonferroni", "ratio"),
    "haircut_holm": ("after Holm", "ratio"),
    "haircut_bhy": ("after Benjamini, Hochberg, Yekutieli", "ratio"),
    "verdict": ("Passes at the level", "verdict"),
}
"""Of `inference`, in the order in which they are told: name, and how the figure is said."""


def evidence(sheet: Sheet) -> Chapter:
    """The chapter on what the result is worth."""
    return Chapter(
        "evidence",
        "What it is worth",
        [
            Part("inference", "How sure the Sharpe ratio is", _inference(sheet)),
            Part("robustness", "With one thing changed", _robustness(sheet)),
            Part("bracket", "Between luck and foresight", _bracket(sheet)),
            Part("regimes", "In which months", _regimes(sheet)),
        ],
    )


def _inference(sheet: Sheet) -> str:
    if not has(sheet, "inference"):
        return absent(sheet, "inference", "how sure the Sharpe ratio is")
    rows = sheet.rows("inference")
    columns = [
        parts.text("named", "statistic"),
        Column("said", "value", str),
        Column("low", "low", _end),
        Column("high", "high", _end),
        parts.text("note", "how it was made"),
    ]
    out = []
    dots = []
    for kind, title in OVER.items():
        found = sorted((row for row in rows if row["returns"] == kind), key=_order)
        if not found:
            continue
        shown = [_told(row) for row in found]
        body = table("inference", title, shown, columns, ["returns", "statistic"])
        body = body.replace('data-column="said"', 'data-column="value"', 1)
        out.append(parts.details(title, body) if kind != "benchmark" else body)
        row = next((r for r in found if r["statistic"] == "sharpe_lo"), None)
        if row is not None:
            name = title.replace("equally weighted universe", "universe")
            dots.append(_dot(name, row["value"], row["low"], row["high"]))
    if any(math.isfinite(dot.value) for dot in dots):
        told = "; ".join(f"{dot.name}: {dot.said}" for dot in dots)
        unit = "a year, with its confidence interval"
        out.insert(
            0,
            html_charts.figure("sharpe-chart", "Sharpe ratio", unit, told, html_charts.dots(dots)),
        )
    return "".join(out)


def _order(row: Row) -> int:
    name = str(row["statistic"])
    return list(STATISTICS).index(name) if name in STATISTICS else len(STATISTICS)


def _told(row: Row) -> dict[str, object]:
    """The row with its statistic's name in words, and its figure as that statistic is said."""
    name, how = STATISTICS.get(str(row["statistic"]), (str(row["statistic"]), "ratio"))
    value = row["value"]
    said = theme.ratio(value)
    if how == "count":
        said = theme.count(value)
    elif how == "share":
        said = theme.ratio(value, 3)
    elif how == "tenth":
        said = theme.ratio(value, 1)
    elif how == "verdict" and theme.is_known(value):
        said = "yes" if number(value) >= 1.0 else "no"
    return {**row, "named": name, "said": said}


def _end(value: object) -> str:
    return theme.ratio(value) if theme.is_known(value) else ""


def _dot(name: str, value: object, low: object = None, high: object = None) -> Dot:
    return Dot(name, number(value), theme.ratio(value), number(low), number(high))


def _robustness(sheet: Sheet) -> str:
    if not has(sheet, "robustness"):
        return absent(sheet, "robustness", "the strategy with one thing changed")
    rows = sheet.rows("robustness")
    rows.sort(key=lambda row: number(row["position"]))
    out = []
    for test, (title, what) in TESTS.items():
        found = [row for row in rows if row["test"] == test]
        if found:
            out.append(_tested(test, title, what, found))
    return f'<div class="charts">{"".join(out)}</div>'


def _tested(test: str, title: str, what: str, rows: list[dict[str, object]]) -> str:
    columns = [
        parts.text("setting", "setting"),
        Column("sharpe", "Sharpe"),
        Column("sharpe_change", "change", lambda value: theme.ratio(value, 2, True)),
        parts.percent("cagr", "CAGR"),
        parts.percent("excess_ann", "excess a year", signed=True),
        parts.count("n_months", "months"),
        parts.text("note", "note"),
    ]
    if test == "break_even":
        columns = [columns[0], Column("value_bps", "cost", theme.bps), *columns[3:]]
    numbers = table("robustness", f"{title}: {what}", rows, columns, ["test", "setting"])
    if test == "break_even":
        return f"<div>{numbers}</div>"
    settings = [row for row in rows if row["setting"] not in ("minimum", "median", "maximum")]
    dots = [
        _dot(str(row["setting"]).removesuffix(" before month-end"), row["sharpe"])
        for row in settings[:_MOST_DOTS]
    ]
    if not any(math.isfinite(dot.value) for dot in dots):
        return f"<div>{numbers}</div>"
    told = "; ".join(f"{dot.name}: {dot.said}" for dot in dots)
    own = [number(row["sharpe"]) - number(row["sharpe_change"]) for row in settings]
    marks = [(value, "as it is") for value in own if math.isfinite(value)][:1]
    more = f", the first {_MOST_DOTS} of {len(settings)}" if len(settings) > _MOST_DOTS else ""
    plot = html_charts.dots(dots, marks=marks)
    return html_charts.figure(
        f"robust-{test}", title, f"Sharpe ratio; {what}{more}", told, plot, numbers
    )


def _bracket(sheet: Sheet) -> str:
    if not has(sheet, "feasibility"):
        return absent(sheet, "feasibility", "what luck and foresight would have earned")
    rows = [
        {**row, "named": KINDS.get(str(row["kind"]), row["kind"])}
        for row in sheet.rows("feasibility")
    ]
    out = []
    for metric, title, unit, say in (
        ("sharpe", "Sharpe ratio", "a year; dots: medians, lines: 5 to 95 %", theme.ratio),
        ("cagr", "CAGR", "% a year; dots: medians, lines: 5 to 95 %", theme.percent),
    ):
        found = [row for row in rows if row["metric"] == metric]
        numbers = table("feasibility", title, found, _bracket_columns(say), ["kind", "metric"])
        numbers += "".join(
            parts.note(f"{row['named']}: {row['note']}.") for row in found if row["note"]
        )
        dots = [_bracketed(row, say, metric) for row in found]
        told = "; ".join(f"{dot.name}: {dot.said}" for dot in dots)
        if any(math.isfinite(dot.value) for dot in dots):
            out.append(
                html_charts.figure(
                    f"bracket-{metric}", title, unit, told, html_charts.dots(dots), numbers
                )
            )
        else:
            out.append(f"<div>{numbers}</div>")
    return f'<div class="charts">{"".join(out)}</div>'


def _bracket_columns(say: Callable[[object], str]) -> list[Column]:
    return [
        parts.text("named", "whose"),
        *(
            Column(name, head, say)
            for name, head in (
                ("value", "value"),
                ("p05", "5 %"),
                ("p25", "25 %"),
                ("median", "median"),
                ("p75", "75 %"),
                ("p95", "95 %"),
                ("best", "best"),
            )
        ),
        parts.percent("percentile", "strategy beats", 0),
        parts.count("n_paths", "paths"),
    ]


def _bracketed(row: Row, say: Callable[[object], str], metric: str) -> Dot:
    scale = 100.0 if metric == "cagr" else 1.0  # the axis is in percent there
    is_drawn = theme.is_known(row["median"])
    value = row["median"] if is_drawn else row["value"]
    is_own = row["kind"] == "strategy"
    return Dot(
        str(row["named"]),
        scale * number(value),
        say(value),
        scale * number(row["p05"]),
        scale * number(row["p95"]),
        "var(--strategy)" if is_own else "var(--benchmark)",
        (scale * number(row["p25"]), scale * number(row["p75"])),
    )


def _regimes(sheet: Sheet) -> str:
    if not has(sheet, "regime_metrics"):
        return absent(sheet, "regime_metrics", "what was earned in which months")
    columns = [
        parts.text("label", "months with"),
        parts.count("n_months", "months"),
        parts.percent("return_ann", "return a year", signed=True),
        parts.percent("volatility_ann", "volatility"),
        Column("sharpe", "Sharpe"),
        parts.percent("hit_rate", "above 0", 0),
        parts.percent("benchmark_return_ann", "benchmark a year", signed=True),
        parts.percent("excess_ann", "excess a year", signed=True),
        parts.text("note", "note"),
    ]
    by_regime: dict[str, list[dict[str, object]]] = {}
    for row in sheet.rows("regime_metrics"):
        by_regime.setdefault(str(row["regime"]), []).append(row)
    out = []
    for name, rows in by_regime.items():
        said = "".join(
            f"<dt>{parts.clean(row['label'])}</dt><dd>{parts.clean(row['definition'])}</dd>"
            for row in rows
        )
        body = table("regime_metrics", f"Regime: {name}", rows, columns, ["regime", "label"])
        out.append(body + parts.details("What the labels mean", f"<dl>{said}</dl>"))
    return "".join(out)
