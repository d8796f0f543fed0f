"""The HTML tear sheet: its numbers are the stored ones, nothing odd gets through, all can read it.

Belongs here: the page as text. Does not: the page in a browser
(`orchestration/test_tear_sheet_browser.py`), or how a number is said (`test_theme.py`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from factorlab_assets import schemas
from factorlab_assets.reports.sheet import Sheet
from factorlab_assets.reports.tear_sheet_html import render
from factorlab_tests import sheets

VOID = {"meta", "link", "br", "input", "img"}
SHOWN = (
    "metrics",
    "inference",
    "backtest_returns",
    "rolling_metrics",
    "calendar_returns",
    "drawdowns",
    "weights",
    "contributions",
    "notable_months",
    "exposures",
    "robustness",
    "regime_metrics",
    "feasibility",
    "factor_diagnostics",
    "verdict",
)
"""Every table that has a section; of `daily_returns` only a line is drawn."""


class Page(HTMLParser):
    """The page taken apart: elements, words, ids, and numbers with where they come from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.words: list[tuple[str, str]] = []
        self.numbers: dict[tuple[str, str, str], str] = {}
        self.table: dict[str, str] = {}
        self.columns: list[str] = []
        self.key, self.cell = "", -1
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.elements.append((tag, said))
        if tag not in VOID:
            self.open.append((tag, said))
        if tag == "table":
            self.table, self.columns, self.key = said, [], ""
        if tag == "tr":
            self.key, self.cell = said.get("data-key", ""), -1
        if tag in ("th", "td"):
            self.cell += 1
        if tag == "th" and said.get("scope") == "col":
            self.columns.append(said.get("data-column", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self.open]
        self.words.append((tags[-1] if tags else "", data))
        for _, said in reversed(self.open):
            if "data-key" in said and "data-column" in said:
                self._found(said["data-table"], said["data-column"], said["data-key"], data)
                return
        is_cell = tags[-1:] in (["td"], ["th"]) and "tbody" in tags
        if is_cell and self.key and (column := self.columns[self.cell]):
            by = self.table.get("data-by", "")
            self._found(self.table["data-table"] + by, column, self.key, data)

    def _found(self, table: str, column: str, key: str, said: str) -> None:
        place = (table, column, key)
        self.numbers[place] = self.numbers.get(place, said) if table == "metrics" else said


@cache
def page(name: str = "full") -> Page:
    return Page(render(sheets.ALL[name]()))


def stored(sheet: Sheet, table: str) -> dict[str, dict[str, object]]:
    keys = [k for k in schemas.TABLES[table].primary_key if k not in ("month", "strategy")]
    return {
        "|".join(v.isoformat() if isinstance(v := row[k], dt.date) else str(v) for k in keys): row
        for row in sheet.rows(table)
    }


def value_of(said: str) -> tuple[float, float]:
    """What a number says as a decimal, and half a unit of its last digit."""
    found = re.fullmatch(r"([−+]?)([\d,]+)(?:\.(\d+))?(%|×| bps)?", said)
    assert found, said
    sign, whole, digits, unit = found.groups()
    scale = 0.01 if unit == "%" else 1.0
    value = float(f"{whole.replace(',', '')}.{digits or 0}") * scale
    return (-value if sign == "−" else value), 0.5 * 10 ** -len(digits or "") * scale


def is_unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def agrees(said: str, value: object, column: str) -> None:
    if isinstance(value, str):
        assert said == value
    elif isinstance(value, dt.date):
        assert said == value.isoformat()
    elif said in ("not yet", "n/a"):
        assert is_unknown(value)
    elif said in ("yes", "no"):
        assert value == float(said == "yes")
    else:
        shown, half = value_of(said)
        if column == "heat":
            shown, half = shown / 100.0, half / 100.0
        assert isinstance(value, int | float)
        assert shown == pytest.approx(value, abs=half * 1.001 + 1e-12)


@pytest.mark.parametrize("name", ["full", "divided", "short", "ruined", "many_tickers"])
def test_every_number_is_the_one_that_is_stored(name: str) -> None:
    sheet, found = sheets.ALL[name](), page(name)
    rows = {table: stored(sheet, table) for table in sheet.tables}
    seen: Counter[str] = Counter()
    for (table, column, key), said in found.numbers.items():
        if table in ("lineage", "weightsticker", "weightsclass") or column in ("named", "scale"):
            continue
        row = rows[table].get(key)
        if row is None:  # what all items of a month share
            row = next(r for k, r in rows[table].items() if k.startswith(f"{key}|"))
        if table == "backtest_returns" and column == "net_return" and "%" not in said:
            agrees(said, row[column], "heat")
        elif said != "":
            agrees(said, row[column], column)
        seen[table] += 1
    shown = [t for t in SHOWN if t != "weights" and rows.get(t)]
    assert [table for table in shown if not seen[table]] == []


def test_weights_are_the_stored_ones_and_classes_their_sums() -> None:
    sheet, found = sheets.full(), page()
    by_class: dict[tuple[str, str], float] = {}
    held = 0
    for row in sheet.rows("weights"):
        day, ticker, weight = str(row["date"]), str(row["ticker"]), row["weight"]
        assert isinstance(weight, float)
        said = found.numbers.get(("weightsticker", ticker, day))
        assert (said is None) == (weight == 0.0)
        if said is not None:
            agrees(said, weight, "weight")
            held += 1
        place = (sheet.asset_classes[ticker], day)
        by_class[place] = by_class.get(place, 0.0) + weight
    assert held > 100
    for (label, day), weight in by_class.items():
        if weight:
            agrees(found.numbers["weightsclass", label, day], weight, "weight")


def test_months_of_the_heat_map_compound_to_its_years() -> None:
    found = page()
    growth: dict[str, list[float]] = {}
    for (table, column, key), said in found.numbers.items():
        if (table, column) == ("backtest_returns", "net_return"):
            growth.setdefault(key[:4], []).append(
                1 + value_of(said)[0] / (1 if "%" in said else 100)
            )
    assert len(growth) == 19 + 1
    for year, months in growth.items():
        said = found.numbers["calendar_returns", "net_return", year]
        assert math.prod(months) - 1 == pytest.approx(value_of(said)[0], abs=0.0125)


def test_contributions_add_up_to_what_the_page_says() -> None:
    text = render(sheets.full())
    found = page()
    said = re.search(r'data-sum="contributions">([^<]+)<', text)
    assert said
    items = [
        value_of(shown)[0]
        for (table, column, _), shown in found.numbers.items()
        if (table, column) == ("contributions", "contribution")
    ]
    total = value_of(said.group(1))[0]
    assert sum(items) == pytest.approx(total, abs=0.00005 * (len(items) + 1) + 1e-9)
    last = sheets.full().rows("backtest_returns")[-1]["nav"]
    assert total == pytest.approx(float(str(last)) - 1.0, abs=0.00005 + 1e-9)
    assert "just as" in text


def test_a_total_that_does_not_add_up_is_said() -> None:
    sheet = sheets.full()
    cut = sheet.tables["contributions"].slice(1)
    text = render(replace(sheet, tables={**sheet.tables, "contributions": cut}))
    assert "which is not how" in text


@pytest.mark.parametrize("table", SHOWN)
def test_a_missing_table_leaves_what_is_missing_and_why(table: str) -> None:
    sheet = sheets.without(sheets.full(), table, "no <b>rows</b> & no luck")
    text = render(sheet)
    Page(text)
    assert f'data-missing="{table}"' in text
    assert "no &lt;b&gt;rows&lt;/b&gt; &amp; no luck" in text
    whole = render(sheets.full())
    assert f'data-missing="{table}"' not in whole


@pytest.mark.parametrize("name", sorted(sheets.ALL))
def test_odd_sheets_give_a_whole_page_that_asks_for_nothing(name: str) -> None:
    found = page(name)
    tags = Counter(tag for tag, _ in found.elements)
    assert (tags["main"], tags["h1"], tags["nav"], tags["footer"], tags["script"]) == (1,) * 5
    assert tags["img"] + tags["iframe"] + tags["object"] + tags["base"] + tags["form"] == 0
    ids = Counter(said["id"] for _, said in found.elements if "id" in said)
    assert [each for each, count in ids.items() if count > 1] == []
    for tag, said in found.elements:
        assert not [key for key in said if key.startswith("on")]
        assert said.get("href", "#").startswith(("#", "data:,"))
        assert "src" not in said
        if tag == "link":
            assert said == {"rel": "icon", "href": "data:,"}
        for key in ("aria-labelledby",):
            assert all(each in ids for each in said.get(key, "").split())
        if said.get("href", "").startswith("#"):
            assert said["href"][1:] in ids
    words = " ".join(word for _, word in found.words)
    assert "NaN" not in words
    assert " nan" not in words
    assert "None" not in words


def test_headings_tables_and_pictures_can_be_read_without_seeing() -> None:
    found = page()
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    text = render(sheets.full())
    tables = re.findall(r"<table.*?</table>", text, re.S)
    assert len(tables) > 20
    for each in tables:
        assert re.search(r"<caption>[^<]+", each)
        assert each.count("<th") == each.count('scope="col"') + each.count('scope="row"') + 1
    pictures = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(pictures) > 15
    for each in pictures:
        assert 'role="img"' in each
        assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", each)
    for each in re.findall(r"<figure.*?</figure>", text, re.S):
        if "data-scrub" in each:
            assert "<table" in each


def test_nothing_that_somebody_wrote_does_anything() -> None:
    text, found = render(sheets.hostile()), page("hostile")
    words = " ".join(word for _, word in found.words)
    assert words.count("<script>alert('x')</script>") > 10
    assert "{{ 7*7 }}" in words
    assert "javascript:alert(1)" in words
    assert text.count("<script") == 1
    assert "\x07" not in text
    assert "�" in words
    inside = re.search(r"<style>(.*?)</style>", text, re.S)
    assert inside
    assert "alert" not in inside.group(1)


def test_hostile_strategy_month_and_hashes_are_words() -> None:
    sheet = sheets.full()
    odd = dict.fromkeys(
        ("strategy", "month", "experiment_id", "data_version_id", "config_hash", "code_version"),
        sheets.ODD,
    )
    identity = replace(sheet.identity, **odd, price_basis=sheets.ODD, lineage={sheets.ODD: "x"})
    found = Page(render(replace(sheet, identity=identity)))
    tags = Counter(tag for tag, _ in found.elements)
    assert (tags["script"], tags["img"]) == (1, 0)


def test_a_table_without_rows_says_what_it_lacks() -> None:
    assert "fewer than 36 months" in render(sheets.short())
    assert "never below an earlier one" in render(sheets.short())


def test_synthetic_prices_are_said_where_they_are() -> None:
    sheet = sheets.full()
    assert 'class="banner"' in render(sheet)
    real = replace(sheet, identity=replace(sheet.identity, price_basis="close", source="stooq"))
    assert "SYNTHETIC" not in render(real)


def test_page_one_has_what_to_doubt_first() -> None:
    text = render(sheets.full())
    first = text[text.index('<section id="verdict"') : text.index('<section id="results"')]
    total = next(r for r in sheets.full().rows("verdict") if r["component"] == "total")
    for said in ("Trials", "Data vintage", "Price basis", "Excess over 60/40", "t = "):
        assert said in first
    assert "Capacity at 50 bps a year" in first
    assert f">{total['grade']}</p>" in first
    assert f">{total['light']}</span>" in first
    for row in sheets.full().rows("verdict"):
        assert f'data-key="{row["component"]}"' in first


def test_the_same_sheet_gives_the_same_page_fast_and_small() -> None:
    sheet = sheets.full()
    assert render(sheet) == render(sheet)
    assert len(render(sheet).encode()) < 700_000
    took = []
    for _ in range(5):
        start = time.perf_counter()
        render(sheet)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.25
