"""`factorlab compare` and `leaderboard`: experiments side by side over the months all have.

Belongs here: what is printed, and the picture's file. Does not: the statistics
(`evaluation.compare`, `evaluation.sharpe_difference`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from factorlab_assets.cli_options import (
    Demo,
    LatestMonth,
    current_version,
    settings_of,
    store_of,
)
from factorlab_assets.cli_run import definitions
from factorlab_assets.cli_tables import out, percent, plain, plain_table, ratio, say_version, share
from factorlab_assets.errors import FactorLabError
from factorlab_assets.files import write_file

if TYPE_CHECKING:  # what it brings along is needed by this command alone
    from factorlab_assets.evaluation.compare import Comparison

SHOWN: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "cagr": ("CAGR", share),
    "volatility_ann": ("vol", share),
    "sharpe": ("Sharpe", ratio),
    "max_drawdown": ("max DD", share),
    "turnover_ann": ("turn", ratio),
    "cost_drag_ann": ("cost", percent),
    "excess_ann": ("excess", share),
    "information_ratio": ("IR", ratio),
}
DRAWS, SEED = 2_000, 0
"""Of the bootstrap behind a difference of Sharpe ratios."""
LOW_IS_GOOD = ("volatility_ann", "turnover_ann", "cost_drag_ann")


def compare(
    names: Annotated[list[str], typer.Argument(help="strategies, combinations or experiment ids")],
    month: Annotated[str, typer.Option(help="of the names; by default the latest stored")] = "",
    sort: Annotated[str, typer.Option(help="metric to sort by, the best first")] = "",
    demo: Demo = False,
) -> None:
    """Put experiments side by side, over the months that all of them have.

    Metrics, correlations, a test of the Sharpe ratios' difference from the first one's, and a
    picture of all NAVs.
    """
    from factorlab_assets import ledger
    from factorlab_assets.evaluation import compare as side_by_side

    if sort and sort not in SHOWN:
        raise FactorLabError("no metric to sort by", got=sort, expected=", ".join(SHOWN))
    settings = settings_of(demo)
    store = store_of(settings)
    version = current_version(store, month)
    found = [ledger.find(store, name, version.month) for name in names]
    series = [
        ledger.series(store, row["experiment_id"], name)
        for name, row in zip(names, found, strict=True)
    ]
    compared = side_by_side.compare(series)
    say_version(version)
    _show_metrics(compared, sort)
    _show_correlations(compared)
    _show_differences(compared)
    basis = "synthetic" if version.price_basis == "synthetic" else "as computed"
    path = settings.reports_path / "compare" / _file_name(names)
    _draw(compared, path, basis)
    out.print(f"picture  {path}", soft_wrap=True)


def leaderboard(
    month: LatestMonth = "",
    sort: Annotated[str, typer.Option(help="metric to sort by, the best first")] = "sharpe",
    demo: Demo = False,
) -> None:
    """Put every strategy of a month side by side, as the library's assets do."""
    from factorlab_assets import schemas
    from factorlab_assets.assets import launch, library

    shown = SHOWN | {"dsr_benchmark": ("dsr(b)", ratio)}
    del shown["cost_drag_ann"]
    if sort not in shown:
        raise FactorLabError("no metric to sort by", got=sort, expected=", ".join(shown))
    settings = settings_of(demo)
    store = store_of(settings)
    version = current_version(store, month)
    launch.init_home(settings)
    launch.run_library(definitions(settings), version.month)
    rows = store.load(schemas.LEADERBOARD, [version.month]).to_pylist()
    say_version(version)
    table = plain_table("strategy", *(head for head, _ in shown.values()), numbers=len(shown))
    table.collapse_padding = True  # else a long name cuts the figures short
    for row in sorted(rows, key=lambda row: _last_if_unknown(sort, row[sort])):
        table.add_row(plain(row["strategy"]), *(form(row[m]) for m, (_, form) in shown.items()))
    out.print(table)
    first, last, n = rows[0]["first_date"], rows[0]["last_date"], rows[0]["n_months"]
    out.print(
        f"[dim]{n} common months, {first} to {last}; net, per year; dsr(b): deflated Sharpe ratio "
        "over the benchmark[/dim]"
    )
    for name, why in library.month_of(store, settings, version.month).left_out.items():
        out.print(f"[yellow]left out {plain(name)}:[/yellow] {plain(why)}", soft_wrap=True)


def _show_metrics(compared: Comparison, sort: str) -> None:
    found = compared.metrics
    order = list(found)
    if sort:
        order.sort(key=lambda name: _last_if_unknown(sort, found[name][sort]))
    heads = [head for head, _ in SHOWN.values()]
    table = plain_table("", *heads, numbers=len(heads))
    for name in order:
        table.add_row(plain(name), *(form(found[name][m]) for m, (_, form) in SHOWN.items()))
    out.print(table)
    first, last = compared.dates[[0, -1]].tolist()
    out.print(f"[dim]{len(compared.dates)} common months, {first} to {last}; net, per year[/dim]")


def _last_if_unknown(metric: str, value: float | None) -> float:
    """What sorts the best first."""
    if value is None or np.isnan(value):
        return float("inf")
    return value if metric in LOW_IS_GOOD else -value


def _show_correlations(compared: Comparison) -> None:
    names = [each.name for each in compared.series]
    numbers = [f"({i + 1})" for i in range(len(names))]
    table = plain_table("correlation", *numbers, numbers=len(numbers))
    for number, name, row in zip(numbers, names, compared.correlation, strict=True):
        table.add_row(f"{number} {plain(name)}", *(ratio(float(value)) for value in row))
    out.print("", table)


def _show_differences(compared: Comparison) -> None:
    from factorlab_assets.evaluation.sharpe_difference import difference

    first, *others = compared.series
    base = first.net_return - first.rf
    table = plain_table(
        f"Sharpe less {plain(first.name)}'s", "difference", "p", "p bootstrap", numbers=3
    )
    notes = []
    for other in others:
        tested = difference(other.net_return - other.rf, base, DRAWS, SEED)
        figures = (tested.difference, tested.p_value, tested.p_bootstrap)
        table.add_row(plain(other.name), *(ratio(value) for value in figures))
        notes += [f"{other.name}: {tested.note}"] if tested.note else []
    out.print("", table)
    out.print("[dim]two-sided p of no difference (Ledoit and Wolf 2008)[/dim]")
    for note in notes:
        out.print(f"[dim]{plain(note)}[/dim]", soft_wrap=True)


def _draw(compared: Comparison, path: Path, basis: str) -> None:
    from factorlab_assets.reports.charts_library import nav_overlay

    names = [each.name for each in compared.series]
    title = f"{len(names)} experiments"
    write_file(path, nav_overlay(compared.dates, compared.nav, names, title=title, basis=basis))


def _file_name(names: list[str]) -> str:
    """The same for the same names; they may be longer than a file's name can be."""
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()[:12]
    return f"compare-{digest}.svg"


COMMANDS = (compare, leaderboard)
