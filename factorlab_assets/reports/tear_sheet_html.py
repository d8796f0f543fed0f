"""The HTML tear sheet: one file that opens offline and shows all that the store has of a cell.

Belongs here: putting the page together. Does not: its chapters (`html_results`, `html_book`,
`html_evidence`,
`html_signals`), its head (`html_head`), or reading the store.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from factorlab_assets.reports import (
    html_book,
    html_evidence,
    html_head,
    html_results,
    html_signals,
    theme,
)
from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports.html_parts import Chapter, Part
from factorlab_assets.reports.sheet import Sheet

_HERE = resources.files("factorlab_assets.reports")


def render(sheet: Sheet) -> str:
    """The page as text: HTML that asks nothing of a network, light and dark, on screen and paper.

    Parameters
    ----------
    sheet : an experiment's stored rows; every number of the page is one of them, rounded.

    Notes
    -----
    A table that is missing or has no rows leaves a sentence that says so and why. Text of any kind
    is escaped; what somebody wrote can be read, and does nothing.
    """
    light, dark, hue = _colours(sheet)
    return _template().render(
        identity={
            name: parts.seen(value) if isinstance(value, str) else value
            for name, value in vars(sheet.identity).items()
        },
        is_synthetic=sheet.identity.is_synthetic,
        title=parts.clean(f"{sheet.identity.strategy} {sheet.identity.month}"),
        style=_static("page.css"),
        script=_static("tear_sheet.js"),
        light=theme.css_variables(theme.LIGHT) + light,
        dark=theme.css_variables(theme.DARK) + dark,
        verdict=html_head.verdict(sheet),
        facts=html_head.facts(sheet),
        chapters=[
            html_results.results(sheet),
            html_book.book(sheet, hue),
            html_evidence.evidence(sheet),
            html_signals.signals(sheet),
            _sources(sheet),
        ],
    )


def _colours(sheet: Sheet) -> tuple[str, str, dict[str, str]]:
    """CSS variables for light and for dark, and "ticker:NAME" or "class:NAME" -> one of them."""
    used = {str(row["item"]) for row in sheet.rows("contributions")}
    if html_results.has(sheet, "weights"):
        found = sheet.tables["weights"]
        used |= set(found["ticker"].unique().to_pylist())
    names = [name for name in sorted(used) if name in sheet.asset_classes]
    by_day, by_night = theme.Colours(sheet.asset_classes), theme.Colours(sheet.asset_classes, True)
    hue: dict[str, str] = {}
    css = ["", ""]
    known: dict[tuple[str, str], str] = {}
    for kind, members in (("ticker", names), ("class", by_day.classes)):
        for name in members:
            pair = tuple(
                each.ticker(name) if kind == "ticker" else each.of_class(name)
                for each in (by_day, by_night)
            )
            at = (pair[0], pair[1])
            if at not in known:
                known[at] = f"--h{len(known)}"
                css = [
                    said + f"{known[at]}:{colour};" for said, colour in zip(css, at, strict=True)
                ]
            hue[f"{kind}:{name}"] = f"var({known[at]})"
    for name in ("cash", "costs", "financing", "borrow"):
        hue[f"ticker:{name}"] = hue[f"class:{name}"] = "var(--benchmark)"
    css = [
        said
        + "".join(
            f"--{word}:{theme.as_text(theme.LIGHTS[light], surface)};"
            for word, light in (("good", "green"), ("fair", "amber"), ("poor", "red"))
        )
        for said, surface in zip(css, (theme.LIGHT, theme.DARK), strict=True)
    ]
    return css[0], css[1], hue


def _sources(sheet: Sheet) -> Chapter:
    """The chapter on what all of it was computed from."""
    who = sheet.identity
    named = [
        ("Experiment", who.experiment_id),
        ("Month", who.month),
        ("Data version", who.data_version_id),
        ("Source", who.source),
        ("Observed", who.observed),
        ("Configuration hash", who.config_hash),
        ("Code version", who.code_version),
        ("Git commit", who.git_commit),
        ("Price basis", who.price_basis),
        ("Cash", who.rf_label),
        ("Benchmark", who.benchmark),
        ("Caveats", who.caveats or "none"),
    ]
    said = parts.facts((name, f"<code>{parts.clean(value)}</code>") for name, value in named)
    rows = [{"table": name, "hash": content} for name, content in sorted(who.lineage.items())]
    columns = [parts.text("table", "table"), parts.text("hash", "content hash of its rows")]
    listed = parts.table("lineage", "What the page was made from", rows, columns, ["table"])
    if not rows:
        listed = parts.note("No content hashes are recorded.")
    config = f'<pre tabindex="0"><code>{parts.clean(who.config)}</code></pre>'
    if not who.config.strip():
        config = parts.note("No configuration is recorded.")
    return Chapter(
        "sources",
        "What it was computed from",
        [
            Part("configuration", "Configuration", config, is_wide=False),
            Part(
                "lineage", "Lineage", said + parts.details("Content hashes", listed), is_wide=False
            ),
        ],
    )


@cache
def _static(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = (_HERE / "templates" / "tear_sheet.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
