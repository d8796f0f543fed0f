"""The head of the HTML tear sheet: who it is of, the verdict in words, and what to doubt first.

Belongs here: the verdict panel and the facts of page one. Does not: scoring (`evaluation.verdict`),
or the chapters below it.
"""

from __future__ import annotations

import re

from factorlab_assets.reports import html_parts as parts
from factorlab_assets.reports import html_results, theme
from factorlab_assets.reports.html_parts import Column, absent, number, table
from factorlab_assets.reports.sheet import Sheet

TOTAL = "total"
SIGNS = {"green": "●", "amber": "◆", "red": "▲"}
"""A shape per light, for those to whom the colours look alike."""
_FACT = re.compile(r"(?:^|; )((?:trials|data|price basis|excess over 60/40|capacity)\b[^:;]*): ")


def verdict(sheet: Sheet) -> str:
    """The panel: light, grade and composite, the reasons, and every component."""
    rows = sheet.rows("verdict")
    total = next((row for row in rows if row["component"] == TOTAL), None)
    if total is None:
        return absent(sheet, "verdict", "the verdict")
    light, grade = str(total["light"]), str(total["grade"])
    sign = SIGNS.get(light, "○")
    composite = parts.figure_of("verdict", "score", TOTAL, theme.ratio(total["score"], 0))
    reasons, _ = split(str(total["note"] or ""))
    kind = light if light in SIGNS else "none"
    long = " long" if len(grade) > 1 else ""
    return (
        f'<div class="light {kind}"><p class="grade{long}" data-table="verdict" '
        f'data-column="grade" data-key="{TOTAL}">{parts.clean(grade)}</p>'
        f'<p><span class="word"><span aria-hidden="true">{sign}</span> '
        f'<span data-table="verdict" data-column="light" data-key="{TOTAL}">{parts.clean(light)}'
        f"</span></span> <b>{composite}</b> of 100</p></div>"
        f'<ul class="reasons">{"".join(f"<li>{parts.clean(each)}</li>" for each in reasons)}</ul>'
        + _components(rows)
    )


def split(said: str) -> tuple[list[str], dict[str, str]]:
    """The note of the total: reasons, and the facts that stand behind them by their names.

    >>> split("composite 40; no gate; trials: N = 3; capacity at 50 bps a year: $5, so; so")
    (['composite 40', 'no gate'], {'trials': 'N = 3', 'capacity at 50 bps a year': '$5, so; so'})
    """
    found = list(_FACT.finditer(said))
    stop = found[0].start() if found else len(said)
    reasons = [each for each in said[:stop].split("; ") if each.strip()]
    ends = [each.start() for each in found[1:]] + [len(said)]
    facts = {each.group(1): said[each.end() : end] for each, end in zip(found, ends, strict=True)}
    return reasons, facts


def _components(rows: list[dict[str, object]]) -> str:
    shown = [
        {**row, "named": str(row["component"]).replace("_", " "), "scale": _scale(row["score"])}
        for row in rows
        if row["component"] != TOTAL
    ]
    columns = [
        parts.text("named", "component"),
        Column("scale", "0 to 100", lambda value: f"{value}"),
        Column("score", "score", lambda value: theme.ratio(value, 0)),
        Column("value", "value"),
        Column("low", "low", _end),
        Column("high", "high", _end),
        parts.percent("weight", "weight", 0),
        parts.percent("weight_used", "used", 1),
    ]
    caption = "score_v1; used: the weight after what cannot be computed"
    said = "".join(
        f"<dt>{parts.clean(row['named'])}</dt><dd>{parts.clean(row['note'])}</dd>"
        for row in shown
        if row["note"]
    )
    why = parts.details("How each was scored", f"<dl>{said}</dl>") if said else ""
    return table("verdict", caption, shown, columns, ["component"]) + why


def _scale(score: object) -> str:
    """A bar of the score, markup."""
    if not theme.is_known(score):
        return ""
    return f'<i class="scale"><i style="width:{number(score):.0f}%"></i></i>'


def _end(value: object) -> str:
    return theme.ratio(value) if theme.is_known(value) else ""


def facts(sheet: Sheet) -> str:
    """What page one has to say beside the verdict."""
    who = sheet.identity
    total = next((r for r in sheet.rows("verdict") if r["component"] == TOTAL), None)
    _, told = split(str(total["note"] or "")) if total else ([], {})
    vintage = f"{parts.clean(who.data_version_id)}, observed {parts.clean(who.observed)}"
    vintage += f"<small>{parts.clean(who.caveats)}</small>" if who.caveats else ""
    capacity = next((name for name in told if name.startswith("capacity")), "capacity")
    return parts.facts(
        [
            ("Trials", _trials(sheet)),
            ("Data vintage", vintage),
            ("Price basis", parts.clean(who.price_basis)),
            ("Excess over 60/40", _fact(sheet, told.get("excess over 60/40"))),
            (capacity[:1].upper() + capacity[1:], _fact(sheet, told.get(capacity))),
            ("Cash and benchmark", parts.clean(f"{who.rf_label}; {who.benchmark}")),
        ]
    )


def _fact(sheet: Sheet, said: str | None) -> str:
    if said is None:
        why = sheet.missing.get("verdict")
        if why is None:
            is_there = html_results.has(sheet, "verdict")
            why = "the verdict does not tell it" if is_there else "the store has no verdict"
        return f"not known <small>{parts.clean(why)}</small>"
    value, _, how = said.partition(", ")
    return f"{parts.clean(value)} <small>{parts.clean(how)}</small>"


def _trials(sheet: Sheet) -> str:
    row = next(
        (
            r
            for r in sheet.rows("inference")
            if (r["returns"], r["statistic"]) == ("raw", "n_trials")
        ),
        None,
    )
    if row is None:
        why = sheet.missing.get("inference") or "the store has no rows of inference"
        return f"not counted <small>{parts.clean(why)}</small>"
    said = parts.figure_of("inference", "value", "raw|n_trials", theme.count(row["value"]))
    return f"{said} <small>{parts.clean(row['note'])}</small>"
