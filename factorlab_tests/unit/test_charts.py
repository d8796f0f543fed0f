"""Pictures are well-formed, small, honest about their basis, and lose no extreme."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets.reports import charts, svg, theme
from factorlab_tests.browser import find_chromium, open_page

HOSTILE = "</text><script>alert('1')</script>&amp; \"q\" ]]> `x` \\ 100% #1 \x00\x1b\n![a](b)"
SVG = "{http://www.w3.org/2000/svg}"
MONTHS = np.arange("2004-01", "2024-06", dtype="datetime64[M]").astype("datetime64[D]")
CLASSES = {"SPY": "Equity", "QQQ": "Equity", "TLT": "Rates", "GLD": "Commodity"}


def _series(n: int) -> tuple[np.ndarray, np.ndarray]:
    nav = np.exp(np.cumsum(np.random.default_rng(3).normal(0.005, 0.04, n)))
    return nav, nav / np.maximum.accumulate(nav) - 1


def _nav(title: str = "t", basis: str = "close", label: str = "SPY") -> str:
    nav, drawdown = _series(len(MONTHS))
    other = {"benchmark_nav": nav**0.5, "benchmark_label": label}
    return charts.nav_and_drawdown(MONTHS, nav, drawdown, **other, title=title, basis=basis)


def _daily(title: str = "t", basis: str = "close", label: str = "SPY") -> str:
    nav, drawdown = _series(5000)
    days = np.datetime64("2004-01-01") + np.arange(5000)
    other = {"benchmark_nav": nav[::-1], "benchmark_label": label}
    return charts.nav_and_drawdown(days, nav, drawdown, **other, title=title, basis=basis)


def _book(n: int, sign: int) -> np.ndarray:
    drawn = np.random.default_rng(5).normal(size=(len(MONTHS), n))
    return drawn / np.abs(drawn).sum(1, keepdims=True) if sign < 0 else _shares(np.abs(drawn))


def _shares(drawn: np.ndarray) -> np.ndarray:
    return drawn / drawn.sum(axis=1, keepdims=True)


def _weights(n: int, sign: int) -> Callable[..., str]:
    def picture(title: str = "t", basis: str = "close", label: str = "SPY") -> str:
        tickers = [f"{label}{i}" for i in range(n)]
        classes = {ticker: f"{label}{i % 3}" for i, ticker in enumerate(tickers)}
        book = _book(n, sign)
        return charts.weights_over_time(MONTHS, book, tickers, classes, title=title, basis=basis)

    return picture


def _coverage(n: int) -> Callable[..., str]:
    def picture(title: str = "t", basis: str = "close", label: str = "SPY") -> str:
        first = np.datetime64("2004-01-01") + np.arange(n) * 17
        last = np.datetime64("2024-01-01") - np.arange(n) * 5
        return charts.coverage([label] * n, first, last, title=title, basis=basis)

    return picture


def _signal(n: int) -> Callable[..., str]:
    def picture(title: str = "t", basis: str = "close", label: str = "SPY") -> str:
        values = np.random.default_rng(2).normal(size=(2, n))
        return charts.signal_heat(MONTHS[:2], [label] * n, values, title=title, basis=basis)

    return picture


PICTURES: dict[str, Callable[..., str]] = {
    "nav monthly": _nav,
    "nav daily": _daily,
    "13 long": _weights(13, 1),
    "20 long/short": _weights(20, -1),
    "300 long/short": _weights(300, -1),
    "coverage of 13": _coverage(13),
    "coverage of 40": _coverage(40),
    "coverage of 607": _coverage(607),
    "13 signals": _signal(13),
    "600 signals": _signal(600),
}
each_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)


def _texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def _paths(picture: str, colour: str) -> list[str]:
    paths = ElementTree.fromstring(picture).iter(f"{SVG}path")
    return [path.get("d", "") for path in paths if colour in (path.get("stroke"), path.get("fill"))]


def _points(d: str) -> np.ndarray:
    """Absolute points, pixels, of a one-piece line path in tenths of a pixel."""
    start, moves = re.fullmatch(r"M(\d+ -?\d+)l([^A-Za-z]*)", d).groups()
    numbers = [int(number) for number in re.findall(r"-?\d+", f"{start} {moves}")]
    return np.cumsum(np.reshape(numbers, (-1, 2)), axis=0) / 10


@each_picture
def test_a_picture_is_small_well_formed_and_names_its_price_basis(
    picture: Callable[..., str],
) -> None:
    drawn = picture(title="trend_12m", basis="total_return")
    root = ElementTree.fromstring(drawn)
    assert (root.tag, root.get("width")) == (f"{SVG}svg", "600")
    assert {"trend_12m", "price basis: total_return"} <= set(_texts(drawn))
    assert "SYNTHETIC" not in _texts(drawn)
    assert len(charts.as_markdown_image(drawn, "alt").encode()) < 12_000


@each_picture
def test_invented_prices_are_called_synthetic(picture: Callable[..., str]) -> None:
    assert {"SYNTHETIC", "price basis: synthetic"} <= set(_texts(picture(basis="synthetic")))


@each_picture
def test_text_from_outside_stays_text(picture: Callable[..., str]) -> None:
    drawn = picture(title=HOSTILE, basis=HOSTILE, label=HOSTILE)
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(drawn).iter()}
    assert tags <= {"svg", "rect", "text", "path", "circle"}
    assert any(said.startswith("</text><script>alert('1')") for said in _texts(drawn))


@each_picture
def test_the_same_input_gives_the_same_bytes(picture: Callable[..., str]) -> None:
    assert picture() == picture()


@pytest.mark.parametrize("n", [0, 1, 5])
def test_nothing_to_draw_says_no_data(n: int) -> None:
    unknown, dates, names = np.full((n, 3), np.nan), MONTHS[:n], ["A", "B", "C"]
    one = np.where(np.arange(n) == 0, 1.0, np.nan)
    never = np.full(3, "NaT", "datetime64[D]")
    head = {"title": "t", "basis": "synthetic"}
    for drawn in (
        charts.nav_and_drawdown(dates, one, one - 1, **head),
        charts.nav_and_drawdown(dates, unknown[:, 0], unknown[:, 0], **head),
        charts.weights_over_time(dates, unknown, names, CLASSES, **head),
        charts.weights_over_time(dates[:1], np.ones((min(n, 1), 3)), names, CLASSES, **head),
        charts.coverage(names, never, never, **head),
        charts.coverage([], never[:0], never[:0], **head),
        charts.signal_heat(dates, names, unknown, **head),
    ):
        assert {"no data", "SYNTHETIC", "price basis: synthetic"} <= set(_texts(drawn))


@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.integers(6, 30))
def test_decimation_keeps_ends_and_extremes_within_its_budget(seed: int, n: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    array = np.where(rng.random(n) < 0.2, rng.choice([np.nan, np.inf]), rng.integers(0, 20, n))
    known = np.flatnonzero(np.isfinite(array))
    kept = svg.decimate(array, most)
    assert len(kept) <= most
    assert (np.diff(kept) > 0).all()
    assert set(kept) <= set(known)
    if known.size:
        assert {kept[0], kept[-1]} == {known[0], known[-1]}
        assert array[kept].min() == array[known].min()
        assert array[kept].max() == array[known].max()


def test_a_crash_of_one_day_in_twenty_years_is_drawn_at_its_depth() -> None:
    days = np.datetime64("2004-01-01") + np.arange(5000)
    nav = np.linspace(1.0, 4.0, 5000)
    nav[3217] *= 0.5
    drawdown = nav / np.maximum.accumulate(nav) - 1
    drawn = charts.nav_and_drawdown(days, nav, drawdown, title="t", basis="close")
    lowest = drawdown[3217]
    (area,) = _paths(drawn, theme.VERMILLION)
    depth = _points(area[: area.index("V")])[:, 1].max()
    assert depth == pytest.approx(204 + (262 - 204) / 1.05, abs=0.1)  # 5 % of air below it
    assert f"{svg.percent(lowest, 1)} lowest" in _texts(drawn)
    assert f"on {days[3217]}" in _texts(drawn)
    nav_line = _points(_paths(drawn, theme.BLUE)[0])
    assert len(nav_line) <= svg.MAX_POINTS
    fall = np.diff(nav_line[:, 1]).max()
    decades = np.log10(nav.max() / nav.min()) * 1.08
    assert fall == pytest.approx(np.log10(2) / decades * (182 - 56), abs=2)


def test_growth_is_on_a_log_scale_and_both_curves_end_at_their_labels() -> None:
    nav = np.array([1.0, 10.0, 100.0])
    drawn = charts.nav_and_drawdown(
        MONTHS[:3], nav, nav * 0, benchmark_nav=nav[::-1], title="t", basis="close"
    )
    ((_, first), (_, middle), (_, last)) = _points(_paths(drawn, theme.BLUE)[0])
    assert first - middle == pytest.approx(middle - last, abs=0.11)
    assert {"100× strategy", "1.00× benchmark", "1×", "10×", "100×"} <= set(_texts(drawn))


def test_a_curve_is_broken_where_it_is_not_known() -> None:
    nav = np.array([1.0, 2.0, np.nan, 2.0, 3.0, 0.0])
    drawn = charts.nav_and_drawdown(
        MONTHS[:6], nav, np.array([0, 0, 0, 0, 0, -1.0]), title="t", basis="close"
    )
    (line,) = _paths(drawn, theme.BLUE)
    assert line.count("M") == 2
    assert {"3.00× strategy", "−100.0% lowest"} <= set(_texts(drawn))


def test_a_stack_is_as_high_as_its_weights_and_held_until_the_next_date() -> None:
    book = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, np.nan]])
    drawn = charts.weights_over_time(
        MONTHS[:2], book, ["SPY", "TLT", "GLD"], CLASSES, title="t", basis="close"
    )
    # 206 pixels are 100 %, 217 are one of two months; rates lie over equities.
    assert _paths(drawn, theme.BLUE) == ["M50 262v-103h217v103h217V262z"]
    assert _paths(drawn, theme.GREEN) == ["M50 262v-206h217v103h217V262z"]
    assert _paths(drawn, theme.ORANGE) == []
    assert _texts(drawn)[-9:-1] == ["cash", "50%", "GLD", "0%", "TLT", "50%", "SPY", "0%"]


def test_shorts_are_stacked_below_zero_with_the_net_beside() -> None:
    book = np.array([[0.5, -0.25], [0.5, -0.25]])
    drawn = charts.weights_over_time(
        MONTHS[:2], book, ["SPY", "TLT"], CLASSES, title="t", basis="close"
    )
    zero = 56 + round(206 * 0.5 / 0.75)
    assert _paths(drawn, theme.BLUE) == [f"M50 {zero}v{56 - zero}h434V{zero}z"]
    assert _paths(drawn, theme.GREEN) == [f"M50 {zero}v{262 - zero}h434V{zero}z"]
    assert _texts(drawn)[-7:-1] == ["net", "25%", "TLT", "−25%", "SPY", "50%"]


def test_a_ticker_keeps_its_colour_whatever_the_order_of_the_input() -> None:
    tickers = ["SPY", "QQQ", "TLT", "GLD"]
    book = np.full((3, 4), 0.25)
    named = {"title": "t", "basis": "close"}
    drawn = charts.weights_over_time(MONTHS[:3], book, tickers, CLASSES, **named)
    turned = dict(reversed(CLASSES.items()))
    assert charts.weights_over_time(MONTHS[:3], book, tickers[::-1], turned, **named) == drawn


def test_many_tickers_are_drawn_by_class_or_the_largest_beside_other() -> None:
    tickers = [f"T{i:02d}" for i in range(50)]
    book = _shares(np.arange(1.0, 101.0).reshape(2, 50))
    classes = {ticker: "Rates" if i % 2 else "Equity" for i, ticker in enumerate(tickers)}
    named = {"title": "t", "basis": "close"}
    by_class = charts.weights_over_time(MONTHS[:2], book, tickers, classes, **named)
    assert _texts(by_class)[-7:-1] == ["cash", "0%", "Rates", "50%", "Equity", "50%"]
    largest = _texts(charts.weights_over_time(MONTHS[:2], book, tickers, {}, **named))
    assert [name for name in largest if name in tickers] == tickers[:37:-1]
    assert largest[largest.index("other") + 1] == "70%"  # 51 to 88 of 51 to 100
    few_held = np.where(np.arange(50) < 2, 0.5, 0.0) * np.ones((2, 1))
    held = charts.weights_over_time(MONTHS[:2], few_held, tickers, classes, **named)
    assert _texts(held)[-7:-1] == ["cash", "0%", "T01", "50%", "T00", "50%"]


def test_a_long_history_is_drawn_in_means_that_still_add_up() -> None:
    drawn = _weights(13, 1)()
    said = next(said for said in _texts(drawn) if said.startswith("weight"))
    assert re.search(r"means over \d dates", said)
    assert 'd="M50 262v-206h434V262z"' in drawn  # the outermost of 13 that add up to 1


def test_bands_span_first_to_last_bar() -> None:
    drawn = charts.coverage(
        ["LONG", "HALF", "NONE"],
        np.array(["2004-01-01", "2014-01-01", "NaT"], "datetime64[D]"),
        np.array(["2024-01-01", "2024-01-01", "NaT"], "datetime64[D]"),
        title="t",
        basis="close",
    )
    bars = [r for r in ElementTree.fromstring(drawn).iter(f"{SVG}rect") if r.get("rx") is None]
    assert [float(bar.get("width")) for bar in bars] == pytest.approx([434, 217], abs=0.2)
    assert {
        "no bars",
        "2014-01 – 2024-01",
        "2 of 3 tickers have bars, 2004-01-01 to 2024-01-01",
    } <= (set(_texts(drawn)))


def test_above_forty_tickers_their_number_over_time_is_drawn() -> None:
    first = np.array(["2004-01-01"] * 30 + ["2014-01-01"] * 30, "datetime64[D]")
    last = np.array(["2019-01-01"] * 10 + ["2024-01-01"] * 50, "datetime64[D]")
    drawn = charts.coverage(["T"] * 60, first, last, title="t", basis="close")
    (steps,) = _paths(drawn, theme.BLUE)
    height = 206 / 1.04
    ups = [int(up) for up in re.findall(r"v(-?\d+)", steps)]
    assert ups == pytest.approx([-height / 2, -height / 2, height / 6], abs=1)
    assert "50 at the end" in _texts(drawn)


def test_the_latest_known_cross_section_is_drawn_best_first_ties_by_name() -> None:
    values = np.array([[9.0, 9.0, 9.0, 9.0], [0.5, -1.0, 0.5, np.nan], [np.nan] * 4])
    drawn = charts.signal_heat(MONTHS[:3], ["B", "C", "A", "D"], values, title="t", basis="close")
    assert _texts(drawn)[2:-1] == ["A", "0.50", "B", "0.50", "C", "−1.00"]
    assert f"3 of 4 tickers known at the close of {MONTHS[1]}" in _texts(drawn)


def test_of_many_signals_the_ten_at_each_end_are_drawn() -> None:
    names = [f"T{i:02d}" for i in range(30)]
    drawn = charts.signal_heat(
        MONTHS[:1], names, np.arange(30.0)[None, :], title="t", basis="close"
    )
    assert [said for said in _texts(drawn) if said in names] == names[:19:-1] + names[9::-1]


def test_the_address_of_a_picture_decodes_to_the_picture_whatever_is_written_in_it() -> None:
    drawn = f"<svg>{HOSTILE.splitlines()[0]} %41 &amp; é ×</svg>"
    shown = charts.as_markdown_image(drawn, "alt [x] `y`")
    head, address = shown[:-2].split("(<data:image/svg+xml,")
    assert head == "![alt &#91;x&#93; &#96;y&#96;]"
    assert unquote(address) == drawn
    assert not set(address) & set("<>&#`\\\n")


def test_a_preview_shows_the_last_rows_escaped_with_numbers_to_the_right() -> None:
    table = pa.table(
        {
            "a|b": ["x", "<b>*y*</b>\n| z", None],
            "ret": [1.0, 0.123456789, None],
            "n": [1, 2, 3],
        }
    )
    assert charts.preview_table(table, 2).split("\n") == [
        "|a&#124;b|ret|n|",
        "|-|-:|-:|",
        "|&#60;b&#62;&#42;y&#42;&#60;/b&#62; &#124; z|0.12346|2|",
        "|||3|",
    ]
    assert charts.preview_table(table.slice(0, 0), 5) == "|a&#124;b|ret|n|\n|-|-:|-:|"
    assert charts.preview_table(pa.table({}), 5) == "no columns"


def test_a_preview_drops_the_oldest_rows_until_it_shows_without_a_click() -> None:
    table = pa.table({f"column_{k}": list(range(100)) for k in range(15)})
    lines = charts.preview_table(table, 100).split("\n")
    assert 800 < len("\n".join(lines)) < 1000
    assert lines[-1].startswith("|99|")
    assert lines[2].startswith(f"|{100 - len(lines) + 2}|")


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (["2004-03-31", "2024-05-31"], [str(year) for year in range(2006, 2025, 2)]),
        (["2018-12-31", "2024-05-31"], [str(year) for year in range(2019, 2025)]),
        (["2023-03-31", "2024-05-31"], ["2023-03-31", "2024-05-31"]),
    ],
)
def test_years_are_ticked_where_they_begin(days: list[str], shown: list[str]) -> None:
    drawn = svg.time_axis(np.array(days, "datetime64[D]"))
    assert re.findall(">([^<]+)</text>", drawn) == shown


@pytest.mark.parametrize(
    ("lo", "hi", "ticks"),
    [
        (0.5, 700, [1, 10, 100]),
        (0.4, 6, [0.5, 1, 2, 5]),
        (0.94, 1.12, [0.95, 1.0, 1.05, 1.1]),
        (1e-12, 10, [1e-12, 1e-9, 1e-6, 1e-3, 1]),
    ],
)
def test_growth_is_ticked_at_round_values(lo: float, hi: float, ticks: list[float]) -> None:
    assert svg.log_ticks(np.log10(lo), np.log10(hi)) == pytest.approx(ticks, rel=1e-9)


def test_no_minus_stands_before_zero() -> None:
    assert [svg.percent(value) for value in (-1e-17, -0.004, -0.25)] == ["0%", "0%", "−25%"]


@pytest.mark.browser
def test_a_browser_draws_every_picture() -> None:
    executable, reason = find_chromium()
    if executable is None:
        pytest.skip(reason)
    addresses = [
        charts.as_markdown_image(picture(title=HOSTILE), "")[5:-2] for picture in PICTURES.values()
    ]
    with open_page(executable) as (page, errors):
        page.set_content("".join(f'<img src="{html.escape(each)}">' for each in addresses))
        sizes = page.eval_on_selector_all("img", "images => images.map(i => i.naturalWidth)")
    assert (sizes, errors) == ([600] * len(addresses), [])


def test_a_whole_table_has_every_row_escaped() -> None:
    n = 300
    table = pa.table({"name|": [HOSTILE] * n, "value": [1 / 3] * n, "none": pa.nulls(n)})
    lines = charts.markdown_table(table).split("\n")
    assert len(lines) == 2 + n
    assert lines[0] == "|name&#124;|value|none|"
    assert lines[1] == "|-|-:|-|"
    assert len({line.count("|") for line in lines}) == 1, "no cell opens another"
    assert all("<" not in line and line.endswith("|0.33333||") for line in lines[2:])
    assert charts.markdown_table(table).startswith(charts.preview_table(table, 9))
    assert charts.markdown_table(pa.table({})) == "no columns"
