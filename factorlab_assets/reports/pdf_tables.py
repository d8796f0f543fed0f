"""The tables of the PDF: headline figures, verdict, drawdowns, betas, and the head and the footer.

Belongs here: stored figures as text in its place. Does not: pictures (`pdf_plots`, `pdf_book`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from factorlab_assets.reports import pdf_fonts, pdf_page, theme
from factorlab_assets.reports.pdf_page import (
    HEIGHT,
    LEFT,
    LOOK,
    RIGHT,
    SMALL,
    TEXT,
    TITLE,
    TOP,
    Column,
    Page,
    write,
)

Row = pdf_page.Row
Said = Callable[[object], str]
SEGMENTS = {"full": "all months", "in_sample": "in sample", "out_of_sample": "out of sample"}
FIGURES: tuple[tuple[str, str, Said], ...] = (
    ("Growth, compound a year", "cagr", theme.percent),
    ("Volatility a year", "volatility_ann", theme.percent),
    ("Sharpe ratio", "sharpe", theme.ratio),
    ("Sortino ratio", "sortino", theme.ratio),
    ("Max drawdown, months", "max_drawdown", theme.percent),
    ("Max drawdown, days", "max_drawdown_daily", theme.percent),
    ("Calmar ratio", "calmar", theme.ratio),
    ("Months above 0", "hit_rate", theme.percent),
    ("Over benchmark a year", "excess_ann", theme.percent),
    ("Tracking error a year", "tracking_error_ann", theme.percent),
    ("Information ratio", "information_ratio", theme.ratio),
    ("Beta on the benchmark", "beta", theme.ratio),
    ("t of excess, same volatility", "t_excess_equal_vol", theme.ratio),
    ("Turnover a year, two-way", "turnover_ann", theme.percent),
    ("Cost a year", "cost_drag_ann", theme.percent),
)
INTERVALS = {"sharpe": "raw", "information_ratio": "benchmark"}
"""Metric -> of which returns the interval of the Sharpe ratio is its own."""
PROBABILITIES = (
    ("P (Sharpe ratio above 0)", "raw", "psr"),
    ("… as the best of all trials", "raw", "dsr"),
    ("… and over the benchmark", "benchmark", "dsr"),
)
COMPONENTS = {
    "sharpe": "Sharpe ratio",
    "delay_stability": "later signals",
    "neutralization_stability": "without classes",
    "baseline_uniqueness": "unlike baselines",
    "class_consistency": "in every class",
    "positive_years": "years above 0",
    "factor_uniqueness": "unlike styles",
}


def head(page: Page) -> None:
    """Name, description, months and bases on the first page; the name alone is on the others."""
    who = page.sheet.identity
    write(page, LEFT, TOP + 0.2, who.strategy, size=TITLE, bold=True, within=5.5)
    _synthetic(page, TOP + 0.2)
    y = pdf_page.paragraph(
        page, LEFT, TOP + 0.42, who.description, columns=122, lines=3, size=TEXT + 0.5
    )
    months = pdf_page.records(page, "backtest_returns")
    span = "no months"
    if months:
        span = f"{theme.month(months[0]['date'])} to {theme.month(months[-1]['date'])}"
        span += f", {len(months)} month{'s' if len(months) > 1 else ''}"
    said = [span, f"benchmark {who.benchmark}", who.rf_label, f"prices: {who.price_basis}"]
    line = "  ·  ".join([*said, *([who.caveats] if who.caveats else [])])
    write(page, LEFT, y + 0.03, line, size=TEXT, within=RIGHT - LEFT)


def short_head(page: Page) -> None:
    """The name, above a rule."""
    write(page, LEFT, TOP + 0.1, page.sheet.identity.strategy, size=10, bold=True, within=5.5)
    _synthetic(page, TOP + 0.1)
    pdf_page.rule(page, TOP + 0.2, LEFT, RIGHT, LOOK.grid, 0.8)


def _synthetic(page: Page, y: float) -> None:
    if page.sheet.identity.is_synthetic:
        write(page, RIGHT, y, "SYNTHETIC", size=11, bold=True, colour=LOOK.synthetic, align="right")


def footer(page: Page, number: int, of: int) -> None:
    """What the page is a function of, and where in the document it is."""
    who = page.sheet.identity
    y = HEIGHT - 0.6
    pdf_page.rule(page, y - 0.13, LEFT, RIGHT, LOOK.grid, 0.8)
    ids = (
        f"experiment {who.experiment_id}  ·  data {who.data_version_id}  ·  "
        f"config {who.config_hash}  ·  code {who.code_version}"
    )
    seen = f"as known at the close of {who.month}  ·  source {who.source}, observed {who.observed}"
    basis = f"price basis {who.price_basis}"
    if who.is_synthetic:
        basis += ": SYNTHETIC, every price is invented"
    write(page, LEFT, y, ids, size=SMALL, colour=LOOK.muted, within=RIGHT - LEFT)
    write(page, LEFT, y + 0.12, seen, size=SMALL, colour=LOOK.muted, within=RIGHT - LEFT)
    write(page, LEFT, y + 0.24, basis, size=SMALL, colour=LOOK.muted, within=5.5)
    said = f"page {number} of {of}"
    write(page, RIGHT, y + 0.24, said, size=SMALL, colour=LOOK.muted, align="right")


def headline(page: Page, y: float) -> None:
    """Metrics by segment, the confidence intervals of the ratios, and the probabilities."""
    by_segment = {row["segment"]: row for row in pdf_page.records(page, "metrics")}
    drawn = [segment for segment in SEGMENTS if segment in by_segment]
    pdf_page.heading(page, y, "Headline figures")
    y += 0.22
    right = 4.46
    if not drawn:
        why = pdf_page.why_missing(page.sheet, "metrics")
        pdf_page.absent(page, y, "The headline figures", why, columns=64)
        return
    edges = [3.35] if len(drawn) == 1 else [2.48, 2.98, 3.65][: len(drawn)]
    columns = [Column("", LEFT, is_number=False)]
    columns += [Column(SEGMENTS[s], x) for s, x in zip(drawn, edges, strict=True)]
    columns.append(Column("confidence interval" if len(drawn) == 1 else "interval", right))
    stated = {
        (row["returns"], row["statistic"]): row for row in pdf_page.records(page, "inference")
    }
    rows = [
        [label, *(said(by_segment[s][name]) for s in drawn), _interval(stated, name)]
        for label, name, said in FIGURES
    ]
    blank = [""] * len(drawn[1:])
    for label, kind, statistic in PROBABILITIES:
        value = stated.get((kind, statistic), {}).get("value")
        rows.append([label, theme.probability(value), *blank, ""])
    y = pdf_page.table(page, y, columns, rows, left=LEFT, right=right, step=0.148)
    pdf_page.paragraph(page, LEFT, y, _how_sure(page, stated), columns=84, lines=2, size=SMALL)


def _interval(stated: dict[tuple[str, str], Row], metric: str) -> str:
    """The bootstrap's interval of a Sharpe ratio, else Lo's."""
    if metric not in INTERVALS:
        return ""
    for statistic in ("sharpe_bootstrap", "sharpe_lo"):
        row = stated.get((INTERVALS[metric], statistic), {})
        if theme.is_known(row.get("low")) and theme.is_known(row.get("high")):
            return f"{theme.ratio(row['low'])} to {theme.ratio(row['high'])}"
    return theme.UNKNOWN


def _how_sure(page: Page, stated: dict[tuple[str, str], Row]) -> str:
    if not stated:
        why = pdf_page.why_missing(page.sheet, "inference")
        return f"Intervals and probabilities cannot be shown: {why}."
    row = stated.get(("raw", "sharpe_bootstrap"), {})
    if theme.is_known(row.get("low")):
        return f"Interval: bootstrap, {row['note']}."
    return f"No interval: {row.get('note') or 'the bootstrap is not among the rows'}."


def verdict(page: Page, y: float, x: float = 4.68, bottom: float = 5.3) -> None:
    """Light, grade, composite, the components' scores, and the reasons in words."""
    pdf_page.block(page, x, y - 0.16, RIGHT - x, bottom - y + 0.16, LOOK.panel)
    x, right = x + 0.14, RIGHT - 0.14
    rows = {row["component"]: row for row in pdf_page.records(page, "verdict")}
    write(page, x, y + 0.06, "Verdict", size=pdf_page.HEAD, bold=True)
    if "total" not in rows:
        why = pdf_page.why_missing(page.sheet, "verdict")
        y = pdf_page.absent(page, y + 0.3, "The verdict", why, x=x, columns=50)
        _facts(page, x, y + 0.1)
        return
    total = rows["total"]
    light = theme.LIGHTS.get(total["light"], theme.OTHER)
    pdf_page.block(page, x, y + 0.2, 0.22, 0.22, light)
    write(page, x + 0.32, y + 0.38, str(total["light"]), size=13, bold=True, longest=10)
    graded = total["grade"] if total["grade"] != "none" else "no grade"
    letter = f"grade {graded}" if graded != "no grade" else graded
    write(page, right, y + 0.30, letter, size=11, bold=True, align="right", longest=14)
    composite = "no composite"
    if theme.is_known(total["score"]):
        composite = f"composite {theme.ratio(total['score'], 1)} of 100"
    write(page, right, y + 0.45, composite, size=TEXT, align="right", colour=LOOK.muted)
    y = _components(page, rows, x, right, y + 0.68)
    y = _reasons(page, str(total["note"]), x, y + 0.1, bottom)


def _components(page: Page, rows: dict[str, Row], x: float, right: float, y: float) -> float:
    write(page, right - 0.42, y, "score", size=SMALL, colour=LOOK.muted, align="right")
    write(page, right, y, "weight", size=SMALL, colour=LOOK.muted, align="right")
    start, width = x + 0.98, right - 0.78 - (x + 0.98)
    for name, label in COMPONENTS.items():
        y += 0.142
        row = rows.get(name, {})
        score, used = row.get("score"), row.get("weight_used")
        write(page, x, y, label, size=TEXT)
        pdf_page.block(page, start, y - 0.075, width, 0.08, LOOK.grid)
        if isinstance(score, int | float) and theme.is_known(score):
            pdf_page.block(page, start, y - 0.075, width * score / 100, 0.08, LOOK.strategy)
        write(page, right - 0.42, y, theme.ratio(score, 0), align="right")
        write(page, right, y, theme.percent(used, 0), align="right", colour=LOOK.muted)
    return y


def _reasons(page: Page, note: str, x: float, y: float, bottom: float) -> float:
    """The reasons, a line or two each, as long as there is room."""
    y += 0.06
    for reason in (part for part in note.split("; ") if part.strip()):
        left = int((bottom - y) / (SMALL * 1.38 / 72))
        if left < 1:
            break
        y = pdf_page.paragraph(
            page, x, y, f"– {reason}", columns=58, lines=min(3, left), size=SMALL, colour=LOOK.ink
        )
    return y


def _facts(page: Page, x: float, y: float) -> None:
    """What is known without a verdict: trials, vintage, basis."""
    found = [
        row["value"]
        for row in pdf_page.records(page, "inference")
        if (row["returns"], row["statistic"]) == ("raw", "n_trials")
    ]
    who = page.sheet.identity
    facts = (
        f"trials: {theme.count(found[0]) if found else theme.UNKNOWN}",
        f"data: {who.data_version_id}, observed {who.observed}",
        f"price basis: {who.price_basis}",
    )
    for fact in facts:
        y = pdf_page.paragraph(page, x, y, f"– {fact}", columns=54, lines=2, colour=LOOK.ink)


def drawdowns(page: Page, y: float, bottom: float) -> None:
    """The deepest drawdowns: peak, trough, recovery, depth, length."""
    pdf_page.heading(page, y, "Deepest drawdowns", "month-ends, NAV after costs")
    rows = pdf_page.records(page, "drawdowns")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "drawdowns", "NAV was never below its high")
        pdf_page.absent(page, y + 0.22, "Drawdowns", why)
        return
    columns = [Column("", LEFT, is_number=False)]
    columns += [Column("depth", 1.55), Column("months", 2.3), Column("peak", 3.5)]
    columns += [Column("trough", 4.7), Column("high reached again", 6.1)]
    fitting = max(1, int((bottom - y - 0.22) / 0.15))
    said = [
        [
            str(row["rank"]),
            theme.percent(row["depth"]),
            theme.count(row["n_months"]),
            theme.day(row["peak"]),
            theme.day(row["trough"]),
            theme.day(row["recovery"]) if row["recovery"] is not None else "not yet",
        ]
        for row in rows[:fitting]
    ]
    pdf_page.table(page, y + 0.22, columns, said, left=LEFT, right=6.1, step=0.15)


def betas(page: Page, y: float, bottom: float) -> None:
    """Betas with Newey and West's t, a block per model side by side."""
    pdf_page.heading(page, y, "Betas", "of the return over cash; t by Newey and West")
    rows = pdf_page.records(page, "exposures")
    if not rows:
        why = pdf_page.why_missing(page.sheet, "exposures")
        pdf_page.absent(page, y + 0.22, "Betas", why)
        return
    width = (RIGHT - LEFT - 0.5) / 3
    for k, (model, name) in enumerate(
        (("market", "market"), ("classes", "classes"), ("styles", "styles"))
    ):
        own = [row for row in rows if row["model"] == model]
        x = LEFT + k * (width + 0.25)
        if not own:
            write(page, x, y + 0.24, f"{name}: no rows", size=SMALL, colour=LOOK.muted)
            continue
        _model(page, own, name, x, x + width, y + 0.24, bottom)


def _model(
    page: Page, rows: Sequence[Row], name: str, left: float, right: float, y: float, bottom: float
) -> None:
    if not any(theme.is_known(row["beta"]) for row in rows):
        said = f"{name}: {rows[0]['note'] or 'no figures'}"
        pdf_page.paragraph(page, left, y, said, columns=44, lines=5, size=SMALL)
        return
    fit = f"{name}, R² {theme.ratio(rows[0]['r_squared'])}, {rows[0]['n_months']} months"
    columns = [Column(fit, left, is_number=False), Column("beta", right - 0.42), Column("t", right)]
    ordered = sorted(rows, key=lambda row: row["factor"] == "intercept")
    fitting = max(1, int((bottom - y) / 0.14))
    kept = ordered if len(ordered) <= fitting else [*ordered[: fitting - 2], ordered[-1]]
    shown = []
    for row in kept:
        is_intercept = row["factor"] == "intercept"
        beta = theme.percent(row["beta"]) if is_intercept else theme.ratio(row["beta"])
        label = "unexplained, a year" if is_intercept else pdf_fonts.plain(row["factor"], 20)
        shown.append([label, beta, theme.ratio(row["t_value"], 1)])
    y = pdf_page.table(page, y, columns, shown, left=left, right=right, step=0.14)
    if len(kept) < len(ordered):
        more = f"{len(ordered) - len(kept)} more are in the HTML page"
        write(page, left, y, more, size=SMALL, colour=LOOK.muted)
