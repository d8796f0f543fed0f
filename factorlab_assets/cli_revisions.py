"""`factorlab revisions`: what a month's data changed in history, and what rests on the older one.

Belongs here: the command and its tables. Does not: finding changes (`core.revisions`) or computing
what they do (`restatement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factorlab_assets.cli_options import (
    Demo,
    LatestMonth,
    Limit,
    current_version,
    settings_of,
    store_of,
    stored_version,
)
from factorlab_assets.cli_tables import (
    out,
    percent,
    plain,
    plain_table,
    ratio,
    say_more,
    say_version,
    show_noted,
)
from factorlab_assets.errors import FactorLabError

if TYPE_CHECKING:
    from factorlab_assets.restatement import Effect
    from factorlab_assets.store import Store, Version


def revisions(
    month: LatestMonth = "",
    against: Annotated[str, typer.Option(help="the older data version")] = "",
    effects: Annotated[bool, typer.Option(help="recompute what rests on the older one")] = True,
    limit: Limit = 20,
    demo: Demo = False,
) -> None:
    """Tell what a month's data changed in earlier history, and what that does to experiments."""
    from factorlab_assets import ingest, restatement
    from factorlab_assets.core.revisions import revisions as changed

    store = store_of(settings_of(demo))
    later = current_version(store, month)
    earlier = stored_version(store, against) if against else _before(store, later)
    if earlier.month > later.month:
        raise FactorLabError(
            "that version is of a later month",
            got=earlier.data_version_id,
            expected=f"one of {later.month} or before",
        )
    then, now = (ingest.version_bars(version.data_version_id) for version in (earlier, later))
    with store.read() as con:
        rows = changed(con, then, now, later.month).to_pylist()
    say_version(later, "now      ")
    say_version(earlier, "earlier  ")
    if earlier.source != later.source:
        said = "these are two sources, and no restatement: see factorlab prices reconcile"
        out.print(f"[yellow]Note:[/yellow] {said}")
    _revised(rows, limit)
    if effects:
        found = restatement.effects(store, earlier, later)
        _affected(found, earlier, later, restatement.rested_on(store))


def _revised(rows: list[dict[str, Any]], limit: int) -> None:
    if not rows:
        out.print("nothing changed in the history that both tell")
        return
    table = plain_table("likely cause", "stretches", "tickers", "bars", "largest return", numbers=4)
    for kind in sorted({row["kind"] for row in rows}):
        own = [row for row in rows if row["kind"] == kind]
        tickers, cells = len({row["ticker"] for row in own}), sum(row["n_cells"] for row in own)
        sizes = [row["size_ret"] for row in own if row["size_ret"] is not None]
        largest = percent(max(sizes, default=None))
        table.add_row(kind, f"{len(own):,}", f"{tickers:,}", f"{cells:,}", largest)
    out.print(table)
    rows.sort(key=lambda r: (-(r["size_ret"] or 0), -r["n_cells"], r["ticker"]))
    told = ("ticker", "first_date", "last_date", "kind")
    worst = [
        [
            *(row[name] for name in told),
            f"{row['n_cells']:,}",
            percent(row["size_ret"]),
            row["evidence"],
        ]
        for row in rows[:limit]
    ]
    show_noted(("ticker", "from", "to", "cause", "bars", "return"), worst)
    say_more(len(rows), limit)


def _affected(
    found: list[Effect], earlier: Version, later: Version, rested_on: Mapping[str, int]
) -> None:
    from factorlab_assets.restatement import METRICS

    if not found:
        out.print(f"\nno finished experiment rests on {earlier.data_version_id}")
        others = [f"{name} ({n})" for name, n in rested_on.items() if name != later.data_version_id]
        if others:
            out.print(f"they rest on {', '.join(others)}: name one with --against")
        return
    heads = ("strategy", "metric", "before", "by history", "by new months", f"with {later.month}")
    table = plain_table(*heads, numbers=4)
    for effect in found:
        if effect.failed:
            out.print(f"[yellow]{plain(effect.strategy)}:[/yellow] {plain(effect.failed)}")
            continue
        if effect.other_basis:
            said = f"prices read as {effect.other_basis}, which the changes hold as well"
            out.print(f"[yellow]{plain(effect.strategy)}:[/yellow] {said}")
        for metric in METRICS:
            form, change = (ratio, _signed) if metric == "sharpe" else (percent, percent)
            name = effect.strategy if metric == METRICS[0] else ""
            changes = map(change, effect.changes(metric))
            first, last = form(effect.before[metric]), form(effect.after[metric])
            table.add_row(plain(name), metric, first, *changes, last)
    out.print(f"\n{len(found)} experiments rest on {earlier.data_version_id}, recomputed:")
    out.print(table)
    out.print(
        f"[dim]by history: what the changed data up to {earlier.month} do; by new months: what "
        f"those after it add, to {later.month}; all by today's code, with the second source and "
        "rules of the experiment[/dim]"
    )


def _signed(change: float | None) -> str:
    return "–" if change is None or change != change else f"{change:+.2f}"


def _before(store: Store, later: Version) -> Version:
    earlier = store.earlier_version(later)
    if earlier is None:
        raise FactorLabError(
            "nothing to compare with",
            where=store.path,
            got=f"{later.data_version_id} is the first data version",
            do="ingest a second month, or that month again, or name a version with --against",
        )
    return earlier
