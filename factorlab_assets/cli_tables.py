"""What the `factorlab` command prints: plain tables, 80 wide, of what the store holds.

Belongs here: columns, forms of numbers, colours. Does not: arguments or exit codes (`cli`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)


def plain(text: object) -> str:
    """Text from outside, so that rich reads no markup in it."""
    return str(text).replace("[", r"\[")


def plain_table(*columns: str, numbers: int = 0, folded: int = 0) -> Table:
    """A plain table, 80 wide: the first column is never folded, nor the others but `folded` many.

    The last `numbers` columns are aligned right.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for i, column in enumerate(columns):
        right = i >= len(columns) - numbers
        may_fold = 0 < i <= folded
        table.add_column(column, justify="right" if right else "left", no_wrap=not may_fold)
    return table


def show_noted(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows in columns, each with its last cell, a sentence, on lines of its own below it."""
    if not rows:
        return
    cells = [list(heads), *([str(cell) for cell in row[:-1]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    out.print(Text(lines[0], style="bold"), soft_wrap=True)
    for line, row in zip(lines[1:], rows, strict=True):
        out.print(Text(line), soft_wrap=True)
        show_indented(row[-1], 2, "dim")


def show_indented(text: object, by: int, style: str = "") -> None:
    """A sentence, folded, every line of it indented."""
    out.print(Padding(Text(str(text), style=style), (0, 0, 0, by), expand=False))


def percent(value: float | None) -> str:
    """A decimal as a percentage with its sign; a dash where there is none."""
    return "–" if value is None or value != value else f"{round(value, 4) + 0.0:+.2%}"


def share(value: float | None) -> str:
    """A decimal as a percentage to one digit; a dash where there is none."""
    return "–" if value is None or value != value else f"{round(value, 3) + 0.0:.1%}"


def ratio(value: float | None) -> str:
    """A ratio to two digits; a dash where there is none."""
    return "–" if value is None or value != value else f"{round(value, 2) + 0.0:.2f}"


def price(value: float | None) -> str:
    """A price or an amount to six digits; a dash where there is none."""
    return "–" if value is None or value != value else f"{value:.6g}"


def say_version(version: Any, before: str = "") -> None:
    """Which data it is, and loudly that it is invented where it is."""
    out.print(f"{before}{version.data_version_id}  {plain(version.source)}, {version.price_basis}")
    if version.price_basis == "synthetic":
        out.print("[yellow]SYNTHETIC: invented prices.[/yellow]")


def say_more(count: int, limit: int) -> None:
    """That rows were left out, where they were."""
    if count > limit:
        out.print(f"[dim]{count - limit:,} more: --limit {count}[/dim]")


def show_versions(store: Any, month: str | None) -> None:
    """The data versions of one month, or of all."""
    columns = ("data version", "source", "notes", "from", "to", "names", "rows")
    table = plain_table(*columns, numbers=4, folded=2)
    ledger = store.versions()
    current = {(version.month, version.role): version.seq for version in ledger}
    for version in ledger:
        if month not in (None, version.month):
            continue
        notes = ["backfilled"] * version.is_backfilled + ["survivors"] * version.is_survivors
        notes += ["second source"] * (version.role == "second")
        notes += ["current"] * (current[version.month, version.role] == version.seq)
        source = ", ".join(dict.fromkeys([version.source, version.price_basis]))
        span = [f"{version.first_date:%Y-%m}", version.last_date]
        cells = [version.data_version_id, source, ", ".join(notes), *span]
        table.add_row(*map(plain, [*cells, version.n_tickers, version.n_rows]))
    out.print(table)


def show_quality(store: Any, month: str) -> None:
    """The tickers that something is to be said about, at most ten."""
    from factorlab_assets import schemas

    rows = store.load(schemas.PRICE_QUALITY, [month]).to_pylist()
    faulty = [r for r in rows if r["status"] != "ok" or r["n_rejected"] or r["sessions_stale"]]
    for row in faulty[:10]:
        late = f"ends {row['sessions_stale']} sessions early" if row["sessions_stale"] else ""
        said = [row["status"] if row["status"] != "ok" else "", late, row["reasons"]]
        out.print(f"  {row['ticker']:<6} {plain('; '.join(filter(None, said)))}")
    if faulty:
        out.print(f"{len(faulty)} of {len(rows)} tickers with faults: table price_quality has all")
    suspects = store.load(schemas.SUSPECT_PRICES, [month]).num_rows
    known = sum(row["is_total_return_known"] for row in rows)
    out.print(
        f"{suspects:,} suspects (factorlab prices suspects); total returns known of {known} of "
        f"{len(rows)} tickers (factorlab prices show TICKER)"
    )


_PERCENT: Callable[[float], str] = "{:.1%}".format
_RATIO: Callable[[float], str] = "{:.2f}".format
_SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "n_months": ("months", "{:d}".format),
    "cagr": ("CAGR", _PERCENT),
    "volatility_ann": ("vol", _PERCENT),
    "sharpe": ("Sharpe", _RATIO),
    "max_drawdown": ("max DD", _PERCENT),
    "turnover_ann": ("turn", _RATIO),
    "cost_drag_ann": ("cost", "{:.2%}".format),
    "t_excess_equal_vol": ("t(ex)", _RATIO),
}
_LEGEND = "monthly, net; turn and cost per year; t(ex): over the benchmark at equal volatility"


def show_metrics(store: Any, month: str, names: Sequence[str]) -> None:
    """The full-period metrics of strategies in a month, and why others have none."""
    from factorlab_assets import schemas

    keys = [f"{month}|{name}" for name in names]
    refused = store.refusals(schemas.METRICS, keys)
    good = [key for key in keys if key not in refused]
    rows = store.load(schemas.METRICS, good).to_pylist() if good else []
    rows = [row for row in rows if row["segment"] == "full"]
    heads = [head for head, _ in _SHOWN.values()]
    table = plain_table("strategy", *heads, numbers=len(heads))
    table.collapse_padding = True  # else a long name cuts the figures short
    for row in rows:
        numbers = [_number(row[name], form) for name, (_, form) in _SHOWN.items()]
        table.add_row(row["strategy"], *numbers)
    if rows:
        about = {"basis": "price_basis", "cash": "rf_label", "caveats": "caveats"}
        said = (f"{label}: {plain(_of_whom(rows, name))}" for label, name in about.items())
        out.print(f"{month}  " + "  ".join(said))
        out.print(table)
        out.print(f"[dim]{_LEGEND}[/dim]")
    for key, reason in refused.items():
        out.print(f"[yellow]no metrics of {plain(key)}:[/yellow] {plain(reason)}")


def _of_whom(rows: Sequence[dict[str, Any]], name: str) -> str:
    """What all rows say, or each thing that they say with the strategies that say it.

    >>> rows = [{"strategy": "a", "basis": "close"}, {"strategy": "b", "basis": "total_return"}]
    >>> _of_whom(rows[:1], "basis"), _of_whom(rows, "basis")
    ('close', 'close (a); total_return (b)')
    """
    whom: dict[str, list[str]] = {}
    for row in rows:
        said = {"": "none", "synthetic": "SYNTHETIC"}.get(row[name], row[name])
        whom.setdefault(said, []).append(row["strategy"])
    if len(whom) == 1:
        return next(iter(whom))
    return "; ".join(f"{said} ({', '.join(names)})" for said, names in sorted(whom.items()))


def _number(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None or value != value else form(value)
