"""Building blocks of the HTML tear sheet: escaped text, tables whose cells name their origin.

Belongs here: markup that every section uses. Does not: charts (`html_charts`), or what a section
shows (`html_results`, `html_book`, `html_evidence`, `html_signals`).

Where a number comes from stands in the page: a <table data-table="metrics"> has a
<th data-column="sharpe"> per column and a <tr data-key="full"> per row of the store; a figure
outside such a table carries all three itself.
"""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from factorlab_assets.reports import theme
from factorlab_assets.reports.sheet import Sheet

Row = Mapping[str, object]
Say = Callable[[object], str]

_UNSEEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What HTML has no character for: controls and halves of pairs."""


def clean(value: object) -> str:
    """Text from outside, safe inside markup and attributes; line ends stay.

    >>> clean("<b>&\\x00'")
    '&lt;b&gt;&amp;�&#x27;'
    """
    return html.escape(seen("" if value is None else str(value)))


def seen(text: str) -> str:
    """`text` without characters that HTML does not have; not escaped."""
    return _UNSEEN.sub("�", text)


_EMPTY = {
    "rolling_metrics": "the backtest has fewer than 36 months",
    "drawdowns": "NAV at a month-end was never below an earlier one",
    "factor_diagnostics": "the strategy has no factors",
    "regime_metrics": "the evaluation file defines no regime",
}
"""Why a table that was computed may have no rows."""


def key_of(row: Row, keys: Sequence[str]) -> str:
    """A row's place in its table: its keys less month and strategy, joined by a bar."""
    return "|".join(_plain(row.get(key)) for key in keys)


def _plain(value: object) -> str:
    return value.isoformat()[:10] if isinstance(value, dt.date) else str(value)


@dataclass(frozen=True)
class Column:
    """A column of a shown table: the store's name, the head, how a value is said.

    `say` gives markup or a formatted number; `str` is plain text, escaped. is_text : aligned left.
    """

    name: str
    head: str
    say: Say = theme.ratio
    is_text: bool = False


def text(name: str, head: str) -> Column:
    """A column of words."""
    return Column(name, head, str, is_text=True)


def percent(name: str, head: str, digits: int = 1, *, signed: bool = False) -> Column:
    """A column of decimals, said as percentages."""
    return Column(name, head, lambda value: theme.percent(value, digits, signed))


def count(name: str, head: str) -> Column:
    """A column of whole numbers."""
    return Column(name, head, theme.count)


def day(name: str, head: str) -> Column:
    """A column of dates."""
    return Column(name, head, theme.day)


def table(
    name: str,
    caption: str,
    rows: Iterable[Row],
    columns: Sequence[Column],
    keys: Sequence[str],
    *,
    sortable: bool = True,
) -> str:
    """Rows of the store as a table: the first column is the head of its row."""
    rows = list(rows)
    columns = [c for c in columns if c.name != "note" or any(row.get("note") for row in rows)]
    head = "".join(
        f'<th scope="col" data-column="{c.name}"{_align(c)}>{clean(c.head)}</th>' for c in columns
    )
    body = "".join(_row(row, columns, keys) for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll"><table data-table="{name}"{kind}>'
        f"<caption>{clean(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Row, columns: Sequence[Column], keys: Sequence[str]) -> str:
    cells = []
    for k, column in enumerate(columns):
        value = row.get(column.name)
        said = clean(value) if column.say is str else column.say(value)
        tag = "th" if k == 0 else "td"
        scope = ' scope="row"' if k == 0 else ""
        cells.append(f"<{tag}{scope}{_align(column)}>{said}</{tag}>")
    return f'<tr data-key="{clean(key_of(row, keys))}">{"".join(cells)}</tr>'


def _align(column: Column) -> str:
    return ' class="t"' if column.is_text else ""


def figure_of(name: str, column: str, key: str, said: str, tag: str = "span") -> str:
    """One number outside a table, with where it comes from; `said` is a formatted number."""
    return (
        f'<{tag} data-table="{name}" data-column="{column}" data-key="{clean(key)}">{said}</{tag}>'
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and what is said of them (markup)."""
    inner = "".join(f"<div><dt>{clean(name)}</dt><dd>{said}</dd></div>" for name, said in pairs)
    return f'<dl class="facts">{inner}</dl>'


def details(summary: str, body: str) -> str:
    """Something folded away until it is asked for."""
    return f"<details><summary>{clean(summary)}</summary>{body}</details>"


def note(said: str) -> str:
    """A quiet paragraph of plain text."""
    return f'<p class="note">{clean(said)}</p>' if said else ""


def absent(sheet: Sheet, name: str, what: str) -> str:
    """What stands where a table has no rows: what is missing, and why."""
    why = sheet.missing.get(name) or "the store has no rows of it"
    if name in sheet.tables and name not in sheet.missing:
        why = _EMPTY.get(name, why)
    return (
        f'<p class="missing" data-missing="{clean(name)}"><strong>Not shown:</strong> '
        f"{clean(what)} ({clean(name)}): {clean(why)}.</p>"
    )


@dataclass(frozen=True)
class Part:
    """A part of a chapter: its address, its title and its markup."""

    anchor: str
    title: str
    body: str
    is_wide: bool = True


@dataclass(frozen=True)
class Chapter:
    """A chapter of the page: what the table of contents lists."""

    anchor: str
    title: str
    parts: Sequence[Part]


def number(value: object) -> float:
    """A value as a float; NaN where it is not known."""
    return (
        float(value) if isinstance(value, int | float) and theme.is_known(value) else float("nan")
    )
