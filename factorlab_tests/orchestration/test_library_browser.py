"""The library page in a real browser: sorting, filtering, bookmarks, and a comparison's numbers
beside those of `evaluation.compare`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from factorlab_assets.core.backtest import drawdown
from factorlab_assets.evaluation.compare import Series, compare
from factorlab_assets.reports.library_page import Experiment, Library, render
from factorlab_tests.browser import find_chromium, open_page
from factorlab_tests.library_samples import sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM, WHY_NOT = find_chromium()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]
LIBRARY = sample(60)
HOSTILE = "<img src=x onerror=document.title='owned'>\"'&</script>"
ROUNDING = 240 * 0.5e-7
"""Returns are packed in steps of 1e-7: a NAV near 1 is off by half of that each month at most."""


@pytest.fixture(scope="module")
def browser() -> Iterator[tuple[Page, list[str], list[str]]]:
    """One page for all tests, its console errors, and what it asked for."""
    asked: list[str] = []
    with open_page(str(CHROMIUM)) as (page, errors):
        page.unroute("**/*")
        page.on("request", lambda request: asked.append(request.url))
        yield page, errors, asked


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Shows a library at an address; afterwards nothing was complained of or asked for."""
    page, errors, asked = browser

    def show(library: Library = LIBRARY, at: str = "") -> Page:
        file = tmp_path / "index.html"
        file.write_text(render(library), encoding="utf-8")
        page.goto("about:blank")
        page.goto(f"{file.as_uri()}{at}")
        return page

    errors.clear()
    asked.clear()
    page.set_viewport_size({"width": 1440, "height": 900})
    yield show
    assert errors == []
    assert {url.partition("#")[0] for url in asked} <= {
        "about:blank",
        (tmp_path / "index.html").as_uri(),
    }


def names(page: Page) -> list[str]:
    """Of the first rows, as shown."""
    return page.locator("#rows tbody tr:not(.space) th").evaluate_all("a => a.map(e => e.title)")


def titles(experiments: list[Experiment]) -> list[str]:
    return [f"{one.sweep}: {one.name}" if one.sweep else one.name for one in experiments]


def sort(page: Page, column: str) -> None:
    page.click(f'#rows thead button[data-sort="{column}"]')


def pick(page: Page, *which: int) -> list[Experiment]:
    """Open the page with these picked, by its address."""
    chosen = [LIBRARY.experiments[i] for i in which]
    hash_ = "&".join(f"pick={one.experiment_id}" for one in chosen)
    page.goto(f"{page.url.partition('#')[0]}#{hash_}")
    page.wait_for_selector("#comparison:not([hidden])")
    return chosen


def in_order(figure: str, sign: int) -> list[str]:
    known = [one for one in LIBRARY.experiments if one.figures[figure] is not None]
    return titles(sorted(known, key=lambda one: sign * float(one.figures[figure] or 0.0)))


def test_any_column_sorts_both_ways_and_the_unknown_come_last(shown):
    page = shown()
    for figure in ("sharpe", "dsr_benchmark", "n_trials"):
        for sign, said in ((-1, "descending"), (1, "ascending")):
            sort(page, figure)
            expected = in_order(figure, sign)
            assert names(page)[:12] == expected[:12]
            head = page.locator(f'th:has(button[data-sort="{figure}"])')
            assert head.get_attribute("aria-sort") == said
    sort(page, "name")
    assert page.locator('th[aria-sort="ascending"]').inner_text().startswith("Experiment")
    page.locator("#scroller").evaluate("e => e.scrollTop = e.scrollHeight")
    sort(page, "dsr_benchmark")
    page.locator("#scroller").evaluate("e => e.scrollTop = e.scrollHeight")
    page.wait_for_selector('#rows tr[aria-rowindex="61"]')
    unknown = {titles([o])[0] for o in LIBRARY.experiments if o.figures["dsr_benchmark"] is None}
    assert unknown
    assert set(names(page)[-len(unknown) :]) == unknown


def test_only_the_rows_in_sight_exist_and_all_of_them_can_be_scrolled_to(shown):
    page = shown(sample(400))
    assert page.locator("#rows tbody tr").count() < 60
    assert page.locator("#rows").get_attribute("aria-rowcount") == "401"
    page.locator("#scroller").evaluate("e => e.scrollTop = e.scrollHeight")
    page.wait_for_selector('#rows tr[aria-rowindex="401"]')


def test_text_and_ranges_filter(shown):
    page = shown()
    page.fill("#query", "sharpe > 0.5 cagr <= 8% grid")
    expected = [
        one
        for one in LIBRARY.experiments
        if float(one.figures["sharpe"] or 0.0) > 0.5
        and float(one.figures["cagr"] or 0.0) <= 0.08
        and one.sweep
    ]
    assert 0 < len(expected) < len(LIBRARY.experiments)
    page.wait_for_selector(f'#told:has-text("{len(expected)} of 60")')
    assert set(names(page)) <= set(titles(expected))
    page.fill("#query", "no_such_figure > 1")
    page.wait_for_selector('#told:has-text("no figure is called no_such_figure")')
    page.click("#reset")
    page.click("#ranges summary")
    page.select_option("#figure", "sharpe")
    page.fill("#least", "0.5")
    page.press("#least", "Enter")
    assert page.input_value("#query") == "sharpe >= 0.5"
    more = sum(float(one.figures["sharpe"] or 0.0) >= 0.5 for one in LIBRARY.experiments)
    assert page.inner_text("#told").startswith(f"{more} of 60")


def test_the_address_keeps_sort_filter_and_picks(shown):
    page = shown()
    page.fill("#query", "cagr > 1%")
    sort(page, "max_drawdown")
    sort(page, "max_drawdown")
    page.locator("#rows tbody input").nth(0).check()
    page.locator("#rows tbody input").nth(2).check()
    page.wait_for_selector('#told:not(:has-text("60 of 60"))')
    before, picked = names(page), page.inner_text("#picked")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert names(page) == before
    assert page.inner_text("#picked") == picked == "2 of 6 picked"
    assert page.input_value("#query") == "cagr > 1%"
    assert page.locator('th[aria-sort="ascending"]').inner_text().startswith("Max")


def test_a_comparison_is_what_compare_computes(shown):
    page = shown()
    chosen = pick(page, 0, 1, 9, 10)
    zero = [np.zeros(len(one.dates)) for one in chosen]
    found = compare(
        [
            Series(one.experiment_id, one.dates, one.net_return, z, z, z, z)
            for one, z in zip(chosen, zero, strict=True)
        ]
    )
    assert len({len(one.dates) for one in chosen}) > 1
    read = np.array(
        page.locator("#numbers tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.querySelectorAll('data')].map(d => Number(d.value)))"
        )
    )
    months = page.locator("#numbers tbody th").evaluate_all("a => a.map(e => e.textContent)")
    assert months == found.dates.astype("datetime64[M]").astype(str).tolist()
    # Growth multiplies what was rounded before.
    nav, fall = read[:, ::2].T, read[:, 1::2].T
    assert nav == pytest.approx(found.nav, rel=ROUNDING)
    falls = np.array([drawdown(nav) for nav in found.nav])
    assert fall == pytest.approx(falls, abs=2 * ROUNDING)
    rows = page.locator("#correlation tbody tr").evaluate_all(
        "rows => rows.map(r => [r.dataset.of, [...r.querySelectorAll('data')].map(d => +d.value)])"
    )
    order = [[one.experiment_id for one in chosen].index(name) for name, _ in rows]
    assert sorted(order) == [0, 1, 2, 3]
    expected = found.correlation[np.ix_(order, order)]
    assert np.array([row for _, row in rows]) == pytest.approx(expected, abs=1e-5)
    for figure, metric in (
        ("common_cagr", "cagr"),
        ("common_volatility", "volatility_ann"),
        ("common_worst", "max_drawdown"),
    ):
        said = [found.metrics[one.experiment_id][metric] for one in chosen]
        assert figures(page, figure) == pytest.approx(said, abs=1e-5)
    stored = [float(one.figures["sharpe"] or 0.0) for one in chosen]
    assert figures(page, "sharpe") == pytest.approx(stored, abs=1e-8)


def figures(page: Page, name: str) -> list[float]:
    cells = page.locator(f'#figures tr[data-figure="{name}"] data')
    return [float(value) for value in cells.evaluate_all("a => a.map(e => e.value)")]


def test_the_best_is_marked_and_differences_are_to_the_first(shown):
    page = shown()
    chosen = pick(page, 0, 1, 2)
    sharpe = [float(one.figures["sharpe"] or 0.0) for one in chosen]
    row = page.locator('#figures tr[data-figure="sharpe"]')
    best = float(row.locator("td.best data").get_attribute("value") or "nan")
    assert best == pytest.approx(max(sharpe), abs=1e-8)
    said = [float(text.replace("−", "-")) for text in row.locator("small").all_inner_texts()]
    assert said == pytest.approx([sharpe[1] - sharpe[0], sharpe[2] - sharpe[0]], abs=0.0051)
    assert "same" in (
        page.locator('#figures tr[data-figure="n_same"]').get_attribute("class") or ""
    )


def test_what_is_alike_stands_together(shown):
    rng = np.random.default_rng(1)
    one, other, dates = (
        rng.normal(0, 0.03, 60),
        rng.normal(0, 0.03, 60),
        LIBRARY.experiments[0].dates,
    )
    plain = replace(LIBRARY.experiments[0], dates=dates[-60:])
    mixed = {"a": one, "b": other, "c": one + 0.001, "d": 2 * other}
    made = [replace(plain, name=n, experiment_id=n, net_return=r) for n, r in mixed.items()]
    page = shown(replace(LIBRARY, experiments=made), "#pick=a&pick=b&pick=c&pick=d")
    order = "".join(
        page.locator("#correlation tbody tr").evaluate_all("rows => rows.map(r => r.dataset.of)")
    )
    assert order in {"acbd", "bdac"}


def test_too_few_common_months_are_said(shown):
    late, early = LIBRARY.experiments[0], LIBRARY.experiments[1]
    short = replace(late, dates=late.dates[-11:], net_return=late.net_return[-11:])
    page = shown(replace(LIBRARY, experiments=[short, early]))
    page.locator("#rows tbody input").nth(0).check()
    page.locator("#rows tbody input").nth(1).check()
    assert "11 months in common: too few" in page.inner_text("#window")
    assert not page.is_visible("#nav")
    assert page.is_visible("#figures")


def test_the_keyboard_reaches_everything(shown):
    page = shown()
    page.focus('#rows thead button[data-sort="sharpe"]')
    page.keyboard.press("Enter")
    assert names(page)[:5] == in_order("sharpe", -1)[:5]
    page.focus("#rows tbody input >> nth=0")
    page.keyboard.press("Space")
    page.focus("#nav svg")
    page.keyboard.press("Home")
    said = page.get_attribute("#nav svg", "aria-valuetext") or ""
    page.keyboard.press("ArrowRight")
    later = page.get_attribute("#nav svg", "aria-valuetext") or ""
    assert said[:7] < later[:7]
    blank = page.locator(".blank").first
    blank.scroll_into_view_if_needed()
    blank.focus()
    assert page.inner_text("#tip") == blank.get_attribute("data-why")
    page.keyboard.press("Escape")
    assert not page.is_visible("#tip")
    assert page.locator("#scroller").get_attribute("tabindex") == "0"


def test_no_more_than_six_are_picked(shown):
    page = shown()
    pick(page, 0, 1, 2, 3, 4, 5)
    page.locator("#rows tbody input:not(:checked)").nth(0).click()
    assert page.locator("#legend li").count() == 6
    page.locator("#legend button").nth(0).click()
    assert page.locator("#legend li").count() == 5


def test_history_shows_every_refresh(shown):
    page = shown()
    chosen = pick(page, 0)
    refreshes = LIBRARY.history[chosen[0].name]
    panel = page.locator('#history figure[data-figure="sharpe"]')
    assert panel.locator("circle").count() == len(refreshes) > 1
    said = panel.locator("circle").nth(0).get_attribute("data-why") or ""
    first = refreshes[0].figures["sharpe"]
    assert f"{refreshes[0].month}: {first:.2f}".replace("-", "−").endswith(said[-4:])
    assert refreshes[0].month in said


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_sticks_out(shown, width):
    page = shown()
    page.set_viewport_size({"width": width, "height": 900})
    pick(page, 0, 1, 9)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_holds_every_row(shown):
    page = shown()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(names(page)) == 60
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(names(page)) < 60


def test_hostile_names_are_text_everywhere(shown):
    odd = replace(LIBRARY.experiments[0], name=HOSTILE, sweep=HOSTILE, experiment_id=HOSTILE)
    odd = replace(odd, figures=dict(odd.figures) | {HOSTILE: 1.0}, link="")
    odd = replace(odd, missing={"link": HOSTILE})
    other = replace(LIBRARY.experiments[1], name=HOSTILE)
    page = shown(
        replace(LIBRARY, experiments=[odd, other], history={HOSTILE: LIBRARY.history["trend"]})
    )
    page.locator("#rows tbody input").nth(0).check()
    page.locator("#rows tbody input").nth(1).check()
    page.locator(".name [data-why]").first.focus()
    assert page.inner_text("#tip").endswith(HOSTILE)
    assert HOSTILE in page.inner_text("#legend")
    assert page.locator("img").count() == 0
    assert re.match("Experiments of", page.title())


def test_an_empty_month_says_so(shown):
    page = shown(replace(LIBRARY, experiments=[]))
    assert "No experiment in" in page.inner_text("main")
