"""The library: one page with every experiment of a month, to sort, filter and compare.

Belongs here: what the page is given, and packing it. Does not: reading the store (`assets`), how
the page behaves (`static/library.js`, `static/library_compare.js`), or an experiment's own page
(`tear_sheet_html`).

The page is one file without a request. Figures are the store's. What a comparison draws (NAV,
drawdown, correlation over common months) is arithmetic of the stored monthly returns, done by the
page as `evaluation.compare` does it, and it says so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from factorlab_assets import schemas
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation.frontier import Frontier
from factorlab_assets.reports import charts_library, theme

SCALE = 1e-7
"""A return is packed as a whole number of these: NAVs of 20 years are right to about 1e-5."""
MOST_RETURN = 200.0
"""A return beyond this (20,000 % in a month) does not fit: it counts as not known."""
PICKS = charts_library.HUES[:5]
"""Colours of what is compared; the last one is the ink, as a sixth hue would look like the first
once it is dark enough for text."""
MOST_PICKED = len(PICKS) + 1
"""Experiments to compare: as many as have a colour of their own."""
NOT_STORED = "no figure is stored"
STATIC = Path(__file__).parent / "static"

SHOWN: tuple[str, ...] = (
    "cagr",
    "volatility_ann",
    "sharpe",
    "max_drawdown",
    "turnover_ann",
    "excess_ann",
    "information_ratio",
    "dsr_benchmark",
    "n_trials",
    "n_months",
)
"""Figures that have a column before the reader chooses others."""
LABELS: Mapping[str, tuple[str, str, int]] = {
    "cagr": ("CAGR", "percent1", 1),
    "volatility_ann": ("Volatility", "percent1", -1),
    "sharpe": ("Sharpe", "ratio2", 1),
    "sortino": ("Sortino", "ratio2", 1),
    "max_drawdown": ("Max drawdown", "percent1", 1),
    "max_drawdown_daily": ("Max drawdown, daily", "percent1", 1),
    "calmar": ("Calmar", "ratio2", 1),
    "hit_rate": ("Hit rate", "percent1", 1),
    "turnover_ann": ("Turnover", "percent0", -1),
    "cost_drag_ann": ("Cost drag", "percent2", -1),
    "commission_ann": ("Commission", "percent2", -1),
    "slippage_ann": ("Slippage", "percent2", -1),
    "spread_cost_ann": ("Spread cost", "percent2", -1),
    "impact_cost_ann": ("Impact cost", "percent2", -1),
    "borrow_ann": ("Borrowing", "percent2", -1),
    "financing_ann": ("Financing", "percent2", -1),
    "excess_ann": ("Excess", "percent1", 1),
    "tracking_error_ann": ("Tracking error", "percent1", 0),
    "information_ratio": ("Information ratio", "ratio2", 1),
    "beta": ("Beta", "ratio2", 0),
    "t_excess_equal_vol": ("t of excess", "ratio2", 1),
    "dsr_benchmark": ("Deflated Sharpe", "ratio2", 1),
    "n_trials": ("Trials", "count", 0),
    "n_months": ("Months", "count", 0),
    "composite": ("Composite", "count", 1),
}
"""Figure -> what it is called, how it is written, whether more (1) or less (−1) is better."""


@dataclass(frozen=True)
class Verdict:
    """The total of an experiment's stored verdict.

    light : green, amber or red. grade : a letter, or empty where there is none. composite : 0 to
    100, or None. note : the reasons in words.
    """

    light: str
    grade: str
    composite: float | None
    note: str


@dataclass(frozen=True)
class Experiment:
    """One row: what the store has on an experiment.

    name : strategy, or what a combination of a sweep is called. sweep : empty for a strategy.
    link : the tear sheet's path relative to the page; empty for none.
    figures : metric -> value as stored; None or NaN = not known.
    missing : why something is blank: a figure's name, or "verdict", "link", "returns" -> reason.
    dates, net_return : (T,) month-ends and decimals per month; NaN = not known.
    """

    name: str
    experiment_id: str
    figures: Mapping[str, float | None]
    dates: Dates
    net_return: Floats
    sweep: str = ""
    link: str = ""
    verdict: Verdict | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refresh:
    """A strategy's figures as a month's data knew them; the composite is one of them."""

    month: str
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class Library:
    """All that the page shows.

    month : "2024-05". price_basis : what a return means. is_synthetic : prices were invented.
    universe : its tickers and frontier; None where `universe_note` says why there is none.
    history : strategy -> its refreshes, the earliest first, this month's included.
    notes : what every number knows too much of (backfilled, survivors), and who was left out.
    """

    month: str
    price_basis: str
    is_synthetic: bool
    experiments: Sequence[Experiment]
    universe: Frontier | None = None
    universe_note: str = "no frontier was made"
    history: Mapping[str, Sequence[Refresh]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def render(library: Library) -> str:
    """The page: HTML that needs no other file. The same library gives the same text.

    Names, notes and reasons may hold anything: they are shown as text.
    """
    template = _templates().get_template("library.html.j2")
    text = template.render(
        library=library,
        data=as_json(_packed(library)),
        style=_own("the palette", _colours()) + _static("library.css"),
        scripts=[_static("library.js"), _static("library_compare.js")],
        most=MOST_PICKED,
    )
    # A lone surrogate has no UTF-8: the file could not be written.
    return text.encode("utf-8", "replace").decode("utf-8")


def as_json(value: object) -> str:
    """JSON that can stand inside a script element, whatever texts are in it.

    >>> as_json({"a": "</script>&"})
    '{"a":"\\\\u003c/script\\\\u003e\\\\u0026"}'
    """
    said = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        said = said.replace(character, f"\\u{ord(character):04x}")
    return said


@cache
def _templates() -> Environment:
    loader = PackageLoader("factorlab_assets.reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _static(name: str) -> str:
    return _own(name, (STATIC / name).read_text(encoding="utf-8"))


def _own(name: str, text: str) -> str:
    """Our own style or script, which stands there as it is: it must not end its element."""
    if "</" in text:
        raise ValueError(f"{name} would end the element that it stands in")
    return text


def _colours() -> str:
    """The theme as CSS variables, light and dark."""

    def of(surface: theme.Surface) -> str:
        hues = {f"pick{i}": hue for i, hue in enumerate(PICKS)} | theme.LIGHTS
        hues[f"pick{len(PICKS)}"] = surface.ink
        said = (f"--{name}:{theme.as_text(hue, surface)};" for name, hue in hues.items())
        return theme.css_variables(surface) + "".join(said)

    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{of(theme.DARK)}}}}}"
    return f":root{{{of(theme.LIGHT)}}}{dark}\n"


def _packed(library: Library) -> dict[str, Any]:
    """Everything by column: a thousand rows repeat no name."""
    experiments = library.experiments
    figures = _figures(experiments)
    reasons: dict[str, int] = {}

    def why(part: str, known: Iterable[bool]) -> dict[int, int]:
        """Row -> number of the reason, of the rows where it is not known."""
        found = {}
        for i, (one, is_there) in enumerate(zip(experiments, known, strict=True)):
            if not is_there:
                reason = one.missing.get(part) or NOT_STORED
                found[i] = reasons.setdefault(reason, len(reasons))
        return found

    values = {name: [_number(one.figures.get(name)) for one in experiments] for name in figures}
    verdicts = [one.verdict for one in experiments]
    composite = [None if v is None else _number(v.composite) for v in verdicts]
    months, packed = zip(*map(_returns, experiments), strict=True) if experiments else ((), ())
    blank = {name: why(name, (v is not None for v in column)) for name, column in values.items()}
    blank["verdict"] = why("verdict", (v is not None for v in verdicts))
    blank["link"] = why("link", (bool(one.link) for one in experiments))
    blank["returns"] = why("returns", (bool(each) for each in packed))
    return {
        "month": library.month,
        "scale": SCALE,
        "most": MOST_PICKED,
        "figures": [_described(name) for name in figures],
        "keys": _keys(experiments),
        "names": [one.name for one in experiments],
        "sweeps": [one.sweep for one in experiments],
        "links": [quote(one.link, safe="/#", errors="replace") for one in experiments],
        "light": [v.light if v else "" for v in verdicts],
        "grade": [v.grade if v else "" for v in verdicts],
        "note": [v.note if v else "" for v in verdicts],
        "composite": composite,
        "values": values,
        "blank": blank,
        "reasons": list(reasons),
        "months": months,
        "returns": packed,
        "universe": _universe(library),
        "history": {
            name: [[each.month, _known(each.figures)] for each in refreshes]
            for name, refreshes in library.history.items()
        },
        "described": {name: _described(name) for name in LABELS},
    }


def _figures(experiments: Sequence[Experiment]) -> list[str]:
    """The figures that any experiment has: the known ones in their order, then the others."""
    found = dict.fromkeys(name for one in experiments for name in one.figures)
    found.pop("composite", None)
    return [name for name in LABELS if name in found] + [n for n in found if n not in LABELS]


def _described(name: str) -> dict[str, object]:
    label, written, better = LABELS.get(name, (name, "ratio2", 0))
    about = next(
        (
            str(table.schema.columns[name].description)
            for table in (schemas.METRICS, schemas.LEADERBOARD)
            if name in table.columns
        ),
        "",
    )
    said = {"name": name, "label": label, "format": written, "better": better, "about": about}
    return said | {"shown": name in SHOWN}


def _number(value: object) -> float | None:
    """Nine digits of a known number."""
    if not theme.is_known(value):
        return None
    return float(f"{value:.9g}")


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    found = {name: _number(value) for name, value in figures.items()}
    return {name: value for name, value in found.items() if value is not None}


def _keys(experiments: Sequence[Experiment]) -> list[str]:
    """What a bookmark calls each: its id, numbered where one id stands there twice."""
    seen: dict[str, int] = {}
    keys = []
    for one in experiments:
        seen[one.experiment_id] = n = seen.get(one.experiment_id, 0) + 1
        keys.append(one.experiment_id if n == 1 else f"{one.experiment_id}~{n}")
    return keys


def _returns(one: Experiment) -> tuple[int | list[int], str]:
    """The months (the first where none is left out, counted from year 0), returns in base64."""
    net = np.asarray(one.net_return, dtype=np.float64)
    known = np.isfinite(net) & (np.abs(net) <= MOST_RETURN)
    months = one.dates[known].astype("datetime64[M]").astype(np.int64) + 1970 * 12
    whole = np.round(net[known] / SCALE).astype("<i4")
    packed = base64.b64encode(whole.tobytes()).decode()
    if len(months) and (np.diff(months) == 1).all():
        return int(months[0]), packed
    return months.tolist(), packed


def _universe(library: Library) -> dict[str, object]:
    """The tickers and the frontier, or why there are none."""
    found = library.universe
    if found is None:
        return {"note": library.universe_note, "tickers": [], "frontier": []}

    def pairs(volatility: Floats, mean: Floats) -> list[tuple[float, float]]:
        return [
            (round(float(v), 7), round(float(m), 7)) for v, m in zip(volatility, mean, strict=True)
        ]

    left_out = "; ".join(f"{ticker}: {why}" for ticker, why in found.left_out.items())
    return {
        "note": f"Left out: {left_out}." if left_out else "",
        "span": f"{str(found.first)[:7]} to {str(found.last)[:7]}, {found.n_months} months",
        "tickers": list(found.tickers),
        "points": pairs(found.volatility, found.mean),
        "frontier": pairs(found.frontier_volatility, found.frontier_mean),
    }
