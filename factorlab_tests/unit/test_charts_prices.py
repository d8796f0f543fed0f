"""The pictures of prices: every band, line and mark where it belongs, and the basis said."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import schemas
from factorlab_assets.reports import charts_prices, svg
from factorlab_assets.reports.charts_prices import HUES, basis_band, price_picture, sparkline
from factorlab_assets.store_partitions import arrow_schema
from factorlab_tests.browser import find_chromium, open_page

HOSTILE = "</text><script>alert('1')</script>&amp; \"q\" \x00\x1b\n"
SVG = "{http://www.w3.org/2000/svg}"
FIRST, MIDDLE, LAST = dt.date(2004, 1, 1), dt.date(2014, 1, 1), dt.date(2024, 1, 1)
BAND = arrow_schema(
    schemas.PRICE_BASIS, without=("month", "data_version_id", "evidence", "known_at")
)
SUSPECT = pa.schema(
    [
        arrow_schema(schemas.SUSPECT_PRICES).field(name)
        for name in ("date", "kind", "severity", "action", "old_close", "new_close")
    ]
)


def band(*rows: tuple[str, dt.date, dt.date, str, bool]) -> pa.Table:
    said = [dict(zip(BAND.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(said, schema=BAND)


def suspect(*rows: tuple[dt.date, str, str, str, float | None, float | None]) -> pa.Table:
    said = [dict(zip(SUSPECT.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(said, schema=SUSPECT)


def bars(total: bool = True, n: int = 5000) -> pa.Table:
    close = 50 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, n)))
    growth = np.exp(np.linspace(0, 1, n)) if total else np.full(n, np.nan)
    days = np.linspace(0, (LAST - FIRST).days, n).astype(int)
    return pa.table(
        {
            "date": pa.array(np.datetime64(FIRST) + days, pa.date32()),
            "close": close,
            "total_return": pa.array(close * growth, from_pandas=True),
        }
    )


TWO = band(
    ("A", FIRST, MIDDLE, "price_only", True),
    ("A", MIDDLE, LAST, "adjusted", False),
    ("B", MIDDLE, LAST, "unknown", False),
)
PICTURES = {
    "bands": lambda text: basis_band(TWO, title=text),
    "band of a hostile ticker": lambda text: basis_band(
        band((text, FIRST, LAST, "mixed", True)), title="t"
    ),
    "counts": lambda text: basis_band(
        band(*((f"T{i}", FIRST, LAST, "mixed", True) for i in range(50))), title=text
    ),
    "prices": lambda text: price_picture(
        bars(), TWO.slice(0, 2), suspect((MIDDLE, text, "error", "drop", 50.0, None)),
        title=text, basis="close",
    ),
    "no bars": lambda text: price_picture(
        bars().slice(0, 1), BAND.empty_table(), SUSPECT.empty_table(), title=text, basis=text
    ),
    "no tickers": lambda text: basis_band(BAND.empty_table(), title=text),
}  # fmt: skip


def texts(picture: str) -> list[str]:
    return [str(said.text) for said in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def boxes(picture: str, hue: str) -> list[tuple[float, float]]:
    """First and last pixel of every box of a band in that colour."""
    (d,) = re.findall(f'<path d="([^"]*)" transform="scale\\(.1\\)" fill="{hue}"/>', picture)
    found = re.findall(r"M(\d+) [\d.]+h(\d+)", d)
    return [(int(x) / 10, (int(x) + int(w)) / 10) for x, w in found]


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_well_formed_whatever_its_texts_are(name: str) -> None:
    for text in ("plain", HOSTILE):
        drawn = PICTURES[name](text)
        assert {e.tag for e in ElementTree.fromstring(drawn).iter()} <= {
            f"{SVG}{tag}" for tag in ("svg", "rect", "text", "path", "circle")
        }
        assert len(drawn) < 15_000
        assert drawn == PICTURES[name](text)


def test_a_band_is_coloured_by_basis_from_first_to_last_date() -> None:
    own = basis_band(TWO.slice(0, 2), title="t")
    half = (svg.LEFT + svg.RIGHT) / 2
    assert boxes(own, HUES["price_only"]) == [pytest.approx((svg.LEFT, half), abs=0.2)]
    assert boxes(own, HUES["adjusted"]) == [pytest.approx((half, svg.RIGHT), abs=0.2)]
    # Total returns are known in the first half alone.
    assert boxes(own, svg.INK) == [pytest.approx((svg.LEFT, half), abs=0.2)]
    assert "50% known" in texts(own)


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    said = texts(basis_band(TWO, title="t"))
    assert {"price only", "with distributions", "cannot be told", "total return known"} <= set(said)
    assert "with some" not in said
    only = texts(basis_band(band(("B", FIRST, LAST, "unknown", False)), title="t"))
    assert "total return known" not in only


def test_many_tickers_are_counted_by_basis() -> None:
    rows = [(f"T{i}", FIRST, LAST, "mixed" if i < 20 else "adjusted", i < 30) for i in range(50)]
    rows += [(f"U{i}", FIRST, MIDDLE, "mixed", True) for i in range(7)]  # delisted since
    said = texts(basis_band(band(*rows), title="t"))
    assert "30 of 50 known" in said
    assert not [text for text in said if text.startswith("T1")]


def test_invented_prices_say_so() -> None:
    drawn = basis_band(band(("A", FIRST, LAST, "synthetic", True)), title="t")
    assert "SYNTHETIC" in texts(drawn)
    args = (bars(), BAND.empty_table(), SUSPECT.empty_table())
    assert "SYNTHETIC" in texts(price_picture(*args, title="t", basis="synthetic"))


def test_both_lines_are_labelled_with_their_last_values_and_a_missing_one_is_left_out() -> None:
    args = (TWO.slice(0, 2), SUSPECT.empty_table())
    table = bars()
    close, total = (table[name].to_pylist()[-1] for name in ("close", "total_return"))
    assert total == pytest.approx(np.e * close, rel=1e-12)
    said = texts(price_picture(table, *args, title="t", basis="close"))
    assert {f"{close:.5g} close", f"{total:.5g} total return"} <= set(said)
    said = texts(price_picture(bars(total=False), *args, title="t", basis="close"))
    assert not [text for text in said if text.endswith("total return")]


def test_suspects_are_marked_where_they_are_and_repairs_ringed_unless_kept() -> None:
    rows = suspect(
        (MIDDLE, "spike", "error", "replace", 60.0, 50.0),
        (MIDDLE, "outlier", "warning", "keep", 60.0, 60.0),
        (FIRST, "missing", "info", "keep", None, None),
    )
    drawn = price_picture(bars(), TWO.slice(0, 2), rows, title="t", basis="close")
    x = float(svg.time_x(svg.as_days([MIDDLE]), svg.as_days([FIRST, LAST]))[0])
    crosses = [float(at) for at in re.findall(r'd="M([\d.]+) [\d.]+l6 6m0 -6l-6 6"', drawn)]
    assert crosses[:2] == pytest.approx([x - 3, x - 3], abs=0.1)
    circles = list(ElementTree.fromstring(drawn).iter(f"{SVG}circle"))
    assert float(circles[0].get("cx", "")) == pytest.approx(x, abs=0.1)
    assert len(circles) == 2, "one repair, and one in the legend"
    assert {"1 error", "1 warning", "1 info", "repaired close"} <= set(texts(drawn))


def test_of_very_many_suspects_the_worst_are_drawn() -> None:
    days = [FIRST + dt.timedelta(days=i) for i in range(1000)]
    rows = suspect(*((day, "stale", "info", "keep", 50.0, 50.0) for day in days))
    worst = suspect((MIDDLE, "spike", "error", "keep", 50.0, 50.0))
    drawn = price_picture(
        bars(), TWO.slice(0, 2), pa.concat_tables([rows, worst]), title="t", basis="close"
    )
    assert drawn.count("l6 6m0 -6l-6 6") == charts_prices.MOST_MARKS + 2  # two in the legend
    hue = charts_prices.SEVERITY_HUES["error"]
    crosses = re.findall(f'l6 6m0 -6l-6 6" stroke="{hue}"', drawn)
    assert len(crosses) == 2, "the error, and the legend"
    assert any("suspect bars: 1,001, 120 drawn" in text for text in texts(drawn))


def test_a_sparkline_is_as_wide_as_asked_and_shows_gaps() -> None:
    assert len(sparkline(np.linspace(1, 2, 1000), 60)) == 60
    assert sparkline([np.nan, np.nan], 60) == ""
    assert sparkline([3.0, 3.0], 60) == "▁▁"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["bands", "counts", "prices"])
def test_a_browser_draws_every_text_inside_the_picture(name: str) -> None:
    executable, why = find_chromium()
    if executable is None:
        pytest.skip(why)
    with open_page(executable) as (page, errors):
        page.set_content(PICTURES[name]("title"))
        widths: Any = page.evaluate(
            """() => [...document.querySelectorAll('svg text')].map(
                text => [text.textContent, text.getBoundingClientRect().left,
                         text.getBoundingClientRect().right])"""
        )
        frame: Any = page.evaluate("document.querySelector('svg').getBoundingClientRect().right")
    assert errors == []
    assert [said for said, left, right in widths if left < 8 or right > frame - 4] == []
