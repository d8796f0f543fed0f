"""Sections of the HTML tear sheet on where a result comes from: signals and betas.

Belongs here: what these sections show of which table. Does not: markup and pictures
(`html_parts`, `html_charts`), or what the result is worth (`html_evidence`).
"""

from __future__ import annotations

import math

from factorlab_assets.reports import html_charts, theme
from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports.html_charts import Dot
from factorlab_assets.reports.html_parts import Chapter, Column, Part, Row, absent, number, table
from factorlab_assets.reports.html_results import has
from factorlab_assets.reports.sheet import Sheet

MODELS = {"market": "Market", "classes": "Asset classes", "styles": "Styles"}
_FIRST = {
    "ic_mean": "Information coefficient, mean",
    "ic_t": "its t-value (Newey–West)",
    "ic_positive": "Months above 0",
    "autocorrelation": "Autocorrelation of ranks",
    "top_minus_bottom": "Top less bottom, a year",
    "top_minus_bottom_t": "its t-value (Newey–West)",
}
_DECIMALS = {"autocorrelation": 2, "ic_t": 2, "top_minus_bottom_t": 2}


def signals(sheet: Sheet) -> Chapter:
    """The chapter on what the signals foretold, and what returns hang on."""
    return Chapter(
        "signals",
        "Where it comes from",
        [
            Part("diagnostics", "What the signals foretold", _diagnostics(sheet)),
            Part("betas", "Exposure to factors", _betas(sheet)),
        ],
    )


def _diagnostics(sheet: Sheet) -> str:
    if not has(sheet, "factor_diagnostics"):
        return absent(sheet, "factor_diagnostics", "what the signals foretold")
    by_factor: dict[str, list[dict[str, object]]] = {}
    for row in sheet.rows("factor_diagnostics"):
        by_factor.setdefault(str(row["factor"]), []).append(row)
    out: list[str] = []
    seen: dict[object, str] = {}
    for k, (name, rows) in enumerate(by_factor.items()):
        figures = tuple((row["statistic"], row["value"]) for row in rows)
        if figures in seen:
            said = f"{name}: the same figures as {seen[figures]}, which is this signal alone."
            out.append(parts.note(said) + parts.details("Numbers", _diagnosis(name, rows)))
        else:
            out.append(_diagnosed(k, name, rows))
        seen.setdefault(figures, name)
    return "".join(out)


def _diagnosis(name: str, rows: list[dict[str, object]]) -> str:
    """All statistics of one signal, as a table."""
    columns = [
        parts.text("statistic", "statistic"),
        Column("said", "value", str),
        parts.count("n_months", "months"),
        parts.text("note", "what it is"),
    ]
    shown = [{**row, "said": _statistic(row)} for row in sorted(rows, key=_rank)]
    made = table("factor_diagnostics", f"Signal: {name}", shown, columns, ["factor", "statistic"])
    return made.replace('data-column="said"', 'data-column="value"', 1)


def _diagnosed(k: int, name: str, rows: list[dict[str, object]]) -> str:
    rows = sorted(rows, key=_rank)
    numbers = _diagnosis(name, rows)
    said = parts.facts(
        (head, parts.figure_of("factor_diagnostics", "value", f"{name}|{key}", _statistic(row)))
        for key, head in _FIRST.items()
        for row in rows
        if row["statistic"] == key
    )
    out = []
    for prefix, title, unit in (
        ("quantile_", "Mean return by quantile", "a year, %; the last is the most attractive"),
        ("decay_", "Decay", "rank correlation with the return so many months after"),
    ):
        found = [row for row in rows if str(row["statistic"]).startswith(prefix)]
        dots = [
            Dot(
                str(row["statistic"]).replace("decay_", "month ").replace("_", " "),
                number(row["value"]),
                _statistic(row),
            )
            for row in found
        ]
        if any(math.isfinite(dot.value) for dot in dots):
            told = "; ".join(f"{dot.name}: {dot.said}" for dot in dots)
            plot = html_charts.bars(dots)
            out.append(html_charts.figure(f"signal-{k}-{prefix[:-1]}", title, unit, told, plot))
    drawn = f'<div class="charts">{"".join(out)}</div>' if out else ""
    below = parts.details("Numbers", numbers) if out else numbers
    return f"<h4>{parts.clean(name)}</h4>{said}{drawn}{below}"


def _rank(row: Row) -> tuple[int, int]:
    statistic = str(row["statistic"])
    order = ["ic_mean", "ic_t", "ic_positive", "autocorrelation", "quantile"]
    order += ["top_minus_bottom", "top_minus_bottom_t", "decay"]
    head, _, tail = statistic.rpartition("_")
    name = head if tail.isdigit() else statistic
    return order.index(name) if name in order else len(order), int(tail) if tail.isdigit() else 0


def _statistic(row: Row) -> str:
    name = str(row["statistic"])
    if name == "ic_positive":
        return theme.percent(row["value"], 0)
    if name.startswith("quantile_") or name == "top_minus_bottom":
        return theme.percent(row["value"], 1, True)
    if name.startswith("decay_"):
        return theme.ratio(row["value"], 3, True)
    return theme.ratio(row["value"], _DECIMALS.get(name, 3))


def _betas(sheet: Sheet) -> str:
    if not has(sheet, "exposures"):
        return absent(sheet, "exposures", "betas to market, asset classes and styles")
    columns = [
        parts.text("factor", "factor"),
        Column("beta", "beta"),
        Column("t_value", "t (Newey–West)"),
        Column("r_squared", "R²"),
        parts.count("n_months", "months"),
        parts.text("note", "what it is"),
    ]
    out = []
    rows = sheet.rows("exposures")
    for model, title in MODELS.items():
        found = [row for row in rows if row["model"] == model]
        if not found:
            continue
        numbers = table(
            "exposures", f"Regressed on: {title.lower()}", found, columns, ["model", "factor"]
        )
        dots = [
            Dot(
                str(row["factor"]),
                number(row["beta"]),
                f"{theme.ratio(row['beta'])} (t {theme.ratio(row['t_value'], 1)})",
            )
            for row in found
            if "intercept" not in str(row["factor"])
        ]
        if any(math.isfinite(dot.value) for dot in dots):
            told = "; ".join(f"{dot.name}: {dot.said}" for dot in dots)
            plot = html_charts.bars(dots)
            out.append(
                html_charts.figure(
                    f"betas-{model}", title, "beta, and its t-value", told, plot, numbers
                )
            )
        else:
            out.append(f"<div>{numbers}</div>")
    return f'<div class="charts">{"".join(out)}</div>'
