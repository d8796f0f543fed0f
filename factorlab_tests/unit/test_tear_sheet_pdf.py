"""The printed tear sheet: the stored numbers, the same bytes, and a page for every odd sheet."""

from __future__ import annotations

import hashlib
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache

import matplotlib as mpl
import numpy as np
import pytest

from factorlab_assets.reports import pdf_fonts, pdf_page, tear_sheet_pdf, theme
from factorlab_assets.reports.sheet import Sheet
from factorlab_tests import sheets
from factorlab_tests.pdf_text import pages_of
from factorlab_tests.sheet_by_hand import IDENTITY, MONTHS, made


def read(sheet: Sheet) -> list[list[str]]:
    """What is written on the pages."""
    with mpl.rc_context({"pdf.compression": 0}):
        return pages_of(tear_sheet_pdf.render(sheet))


@cache
def printed() -> bytes:
    return tear_sheet_pdf.render(made())


@cache
def odd(name: str) -> list[list[str]]:
    return read(sheets.ALL[name]())


@cache
def written() -> list[list[str]]:
    return read(made())


def after(texts: list[str], label: str, count: int = 1) -> list[str]:
    """What is written behind a label, in the order of writing."""
    place = texts.index(label)
    return texts[place + 1 : place + 1 + count]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Growth, compound a year", ["12.3%", ""]),
        ("Volatility a year", ["15.7%", ""]),
        ("Sharpe ratio", ["0.79", "0.21 to 1.36"]),
        ("Sortino ratio", ["1.37", ""]),
        ("Max drawdown, months", ["−23.4%", ""]),
        ("Max drawdown, days", ["−29.9%", ""]),
        ("Calmar ratio", ["0.53", ""]),
        ("Months above 0", ["66.1%", ""]),
        ("Over benchmark a year", ["4.2%", ""]),
        ("Tracking error a year", ["7.8%", ""]),
        ("Information ratio", ["0.54", "−0.11 to 1.20"]),
        ("Beta on the benchmark", ["0.83", ""]),
        ("t of excess, same volatility", ["−1.91", ""]),
        ("Turnover a year, two-way", ["602.0%", ""]),
        ("Cost a year", ["0.6%", ""]),
        ("P (Sharpe ratio above 0)", ["> 99.9%", ""]),
        ("… as the best of all trials", ["87.6%", ""]),
        ("… and over the benchmark", ["65.4%", ""]),
    ],
)
def test_a_headline_figure_is_the_stored_one(label: str, expected: list[str]):
    found = after(written()[0], label, 2)
    said = [each for each in expected if each]
    assert found[: len(said)] == said


def test_the_verdict_is_the_stored_one():
    page = written()[0]
    assert {"amber", "grade C", "composite 53.2 of 100"} <= set(page)
    assert after(page, "later signals", 2) == ["81", "15%"]
    assert after(page, "without classes", 2) == ["n/a", "0%"]
    assert "– excess over 60/40: +1.9 % a year, t = 1.08" in page
    assert "– trials: N = 12" in page


def test_nav_its_benchmark_and_the_lowest_point_are_named_with_their_values():
    page, rows = written()[0], made().rows("backtest_returns")
    assert f"{theme.nav(rows[-1]['nav'])} strategy" in page
    assert f"{theme.nav(1.005**MONTHS)} 60/40" in page
    assert f"{theme.percent(min(r['drawdown'] for r in rows))} lowest" in page


def test_the_months_on_the_page_are_the_stored_ones_and_compound_to_the_years():
    page = written()[1]
    own = [r for r in made().rows("backtest_returns") if r["date"].year == 2021]
    year = next(r for r in made().rows("calendar_returns") if r["year"] == 2021)
    assert after(page, "2021") == [theme.percent(year["net_return"])]
    cells = [text for text in page if re.fullmatch(r"−?\d+\.\d", text)]
    stored = [100 * r["net_return"] for r in made().rows("backtest_returns")]
    shown = [float(cell.replace("−", "-")) for cell in cells[:MONTHS]]
    assert shown == pytest.approx(stored, abs=0.05 + 1e-9)
    of_2021 = shown[14:26]
    assert math.prod(1 + m / 100 for m in of_2021) - 1 == pytest.approx(
        year["net_return"], abs=12 * 0.0005
    )
    assert math.prod(1 + r["net_return"] for r in own) - 1 == pytest.approx(
        year["net_return"], abs=1e-15
    )


def test_an_incomplete_year_says_how_many_months_it_has():
    page = written()[1]
    assert after(page, "2019", 2)[1] == "2 months"
    assert "12 months" not in page


def test_calendar_years_are_written_beneath_their_bars():
    years = made().rows("calendar_returns")
    own = [theme.percent(row["net_return"], 0) for row in years]
    other = [theme.percent(row["benchmark_return"], 0) for row in years]
    page = written()[0]
    places = [k for k, text in enumerate(page) if text == "strategy"]
    assert page[places[-1] + 1 : places[-1] + 6] == own
    assert after(page, "60/40", 5) == other


def test_rolling_statistics_end_with_their_latest_value():
    page, last = written()[1], made().rows("rolling_metrics")[-1]
    assert any(text.startswith(theme.ratio(last["sharpe"])) for text in page)
    assert any(text.startswith(theme.percent(last["volatility_ann"])) for text in page)
    assert f"{theme.ratio(last['beta'])} on 60/40" in page
    assert f"{theme.ratio(last['market_beta'])} on SPY" in page
    assert {"0.79 all months", "15.7% all months", "0.83 all months"} <= set(page)


def test_drawdowns_are_the_stored_ones():
    page = written()[1]
    first = ["−23.4%", "21", "2021-06-28", "2021-07-28", "2023-04-28"]
    second = ["−1.2%", "20", "2023-08-28", "2023-09-28", "not yet"]
    start = page.index("high reached again")
    assert page[start + 1 : start + 13] == ["1", *first, "2", *second]


def test_weights_are_named_with_their_latest_value():
    page = written()[2]
    assert after(page, "AAA") == ["51.0%"]
    assert after(page, "CCC") == ["−20.0%"]
    assert "NIL" not in page, "never held"
    assert after(page, "Equity") == ["31.0%"]
    assert after(page, "Rates") == ["29.0%"]


def test_turnover_costs_and_exposures_are_the_stored_ones():
    page = written()[2]
    assert {"602%", "0.63% a year", "gross 100%", "net 60%"} <= set(page)
    assert "3 names held in Dec 2023" in page


def test_betas_stand_with_their_t():
    page = written()[2]
    assert after(page, "SPY", 2) == ["0.42", "3.1"]
    assert after(page, "unexplained, a year", 2) == ["5.2%", "1.2"]
    assert after(page, "trend", 2) == ["−0.22", "−2.7"]


def test_the_footer_of_every_page_says_what_it_is_a_function_of():
    for number, page in enumerate(written(), 1):
        said = " ".join(page)
        for part in (
            "experiment e1e2e3e4e5e6e7e8",
            "data 2023-12-0a1b2c3d4e5f",
            "config c0ffee0123456789",
            "code feedbeef01234567",
            "price basis synthetic: SYNTHETIC, every price is invented",
            f"page {number} of 3",
        ):
            assert part in said


def test_real_prices_are_not_called_synthetic():
    real = replace(made(), identity=replace(IDENTITY, price_basis="total_return", source="files"))
    assert not any("SYNTHETIC" in text for page in read(real) for text in page)


def test_the_same_sheet_gives_the_same_bytes():
    before = dict(mpl.rcParams)
    once, again = tear_sheet_pdf.render(made()), printed()
    assert dict(mpl.rcParams) == before, "matplotlib is left as it was"
    assert once == again
    assert once.startswith(b"%PDF-1.4")
    other = replace(made(), identity=replace(IDENTITY, config_hash="another"))
    assert tear_sheet_pdf.render(other) != once
    for dated in (b"CreationDate", b"ModDate", b"Matplotlib v"):
        assert dated not in once


def test_a_fresh_process_with_other_settings_gives_the_same_bytes(tmp_path):
    own = "font.size: 30\naxes.facecolor: red\npdf.fonttype: 3\nlines.linewidth: 9\n"
    (tmp_path / "matplotlibrc").write_text(own)
    code = (
        "import hashlib\n"
        "from factorlab_assets.reports import tear_sheet_pdf\n"
        "from factorlab_tests.sheet_by_hand import made\n"
        "print(hashlib.sha256(tear_sheet_pdf.render(made())).hexdigest())\n"
    )
    environment = {**os.environ, "MATPLOTLIBRC": str(tmp_path), "PYTHONHASHSEED": "77"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == hashlib.sha256(printed()).hexdigest()


def test_it_is_three_pages_of_vectors_with_fonts_that_can_be_searched():
    file = printed()
    assert file.count(b"/Type /Page\n") + file.count(b"/Type /Page ") == 3
    assert b"/Subtype /Image" not in file
    assert b"/Subtype /Type3" not in file
    assert b"/ToUnicode" in file


@pytest.mark.parametrize(
    ("table", "page", "what"),
    [
        ("metrics", 0, "The headline figures"),
        ("verdict", 0, "The verdict"),
        ("calendar_returns", 0, "Calendar years"),
        ("backtest_returns", 0, "The growth of 1"),
        ("backtest_returns", 1, "Monthly returns"),
        ("rolling_metrics", 1, "Rolling statistics"),
        ("drawdowns", 1, "Drawdowns"),
        ("weights", 2, "The weights"),
        ("backtest_returns", 2, "Turnover and costs"),
        ("backtest_returns", 2, "Exposure"),
        ("exposures", 2, "Betas"),
    ],
)
def test_a_missing_table_is_said_with_the_reason(table: str, page: int, what: str):
    said = " ".join(_without_any()[page])
    assert f"{what} cannot be shown: the cat sat on {table}." in said


@cache
def _without_any() -> list[list[str]]:
    missing = {table: f"the cat sat on {table}" for table in made().tables}
    return read(replace(made(), tables={}, missing=missing))


def test_one_missing_table_takes_nothing_else_along():
    page = read(sheets.without(made(), "inference", "not run"))[0]
    assert "Intervals and probabilities cannot be shown: not run." in " ".join(page)
    assert after(page, "Sharpe ratio", 2) == ["0.79", "n/a"]
    assert "grade C" in page


SLOW = ("divided", "many_tickers", "one_ticker", "nothing_held", "all_nan", "empty")
"""Odd sheets that only the slow suite draws."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in sheets.ALL],
)
def test_every_odd_sheet_is_a_page(name: str):
    pages = odd(name)
    assert len(pages) == 3
    assert all("page" in page[-1] for page in pages)
    assert not any(re.search(r"\bnan\b|\binf\b|None", text) for page in pages for text in page)


def test_ruin_is_told_as_such():
    page = odd("ruined")[0]
    assert "0.00× strategy" in page
    assert "−100.0% lowest" in page


def test_a_book_that_holds_nothing_says_so():
    said = " ".join(odd("nothing_held")[2])
    assert "the book held nothing on any date" in said
    assert "Nothing was traded." in said


def test_of_five_hundred_tickers_the_largest_are_named():
    page = odd("many_tickers")[2]
    named = [text for text in page if re.fullmatch(r"X\d{4}", text)]
    assert len(named) == 12
    assert any(re.fullmatch(r"\d+ others", text) for text in page)


def test_what_looks_like_mathematics_is_text():
    said = "$\\frac{a}{b}$ x_1^2 \\alpha 50% #{}"
    sheet = replace(made(), identity=replace(IDENTITY, strategy="a_b$c$", description=said))
    page = read(sheet)[0]
    assert "a_b$c$" in page
    assert said in page


def test_what_cannot_be_drawn_is_replaced():
    assert pdf_fonts.plain("a\u202eb\u200bc\x07d漢\n e") == "abc\N{REPLACEMENT CHARACTER}d\ufffd e"
    assert pdf_fonts.plain("x" * 50, 10) == "x" * 9 + "…"
    assert pdf_fonts.plain("") == ""


def test_a_long_name_is_cut_where_the_room_ends():
    sheet = replace(made(), identity=replace(IDENTITY, strategy="w" * 80))
    title = next(text for text in read(sheet)[0] if text.startswith("www"))
    assert title.endswith("…")
    assert pdf_fonts.width(title, pdf_page.TITLE, bold=True) <= 5.5


def test_labels_are_moved_apart_and_stay_inside():
    found = pdf_page.apart([1.0, 1.0, 1.1, 5.0], 0.2, 0.9, 5.0)
    assert np.diff(sorted(found)).min() >= 0.2 - 1e-12
    assert min(found) >= 0.9
    assert max(found) <= 5.0
    assert pdf_page.apart([], 0.2, 0.0, 1.0) == []


def test_one_month_is_a_page():
    one = {
        name: rows.slice(0, 1) if name in ("backtest_returns", "calendar_returns") else rows
        for name, rows in made().tables.items()
    }
    pages = read(replace(made(), tables=one))
    assert len(pages) == 3
    assert any("Nov 2019 to Nov 2019, 1 month ·" in text for text in pages[0])
