"""`factorlab factors`: every factor, or all that is said of one, with its picture.

Belongs here: what is printed. Does not: which prices a factor is drawn on (`factor_sample`), or the
drawing (`reports.charts_factors`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from factorlab_assets.cli_options import Demo, settings_of, store_of
from factorlab_assets.cli_tables import out, plain, plain_table, show_indented, show_noted
from factorlab_assets.core import factors
from factorlab_assets.core.factors import FactorSpec
from factorlab_assets.errors import FactorLabError
from factorlab_assets.files import write_file

if TYPE_CHECKING:  # drawing costs half a second that the list does not need
    from factorlab_assets.factor_sample import Sample
    from factorlab_assets.reports.charts_factors import Story

TOLD_DATES = 8
READS = {
    "prices": "month-end prices",
    "bars": "daily bars (at least half of the window's sessions)",
    "outside": "a panel of your own, as it was available",
}


def list_factors(
    name: Annotated[str, typer.Argument(help="one factor: all of it, and its picture")] = "",
    param: Annotated[list[str] | None, typer.Option(help="lookback=6, say; repeatable")] = None,
    demo: Demo = False,
) -> None:
    """List the factors, or print one: formula, parameters, paper, timing, picture."""
    if not name:
        _every()
        return
    if name not in factors.REGISTRY:
        raise FactorLabError(
            "unknown factor",
            got=repr(name),
            expected=f"one of {', '.join(factors.REGISTRY)}",
            do="correct the name; `factorlab factors` says what each is",
        )
    from factorlab_assets import factor_sample
    from factorlab_assets.reports import charts_factors

    spec, given = factors.REGISTRY[name], dict(_given(text) for text in param or [])
    settings = settings_of(demo)
    sample = factor_sample.of(store_of(settings), settings, spec, given)
    about = _about(sample.params) or "no parameters"
    told = charts_factors.story(*sample.series)
    picture = charts_factors.factor_picture(
        told, title=f"{name}: {sample.source}", about=about, basis=sample.basis
    )
    path = settings.path(settings.data_dir) / "reports" / "factors" / f"{name}.svg"
    write_file(path, picture)
    _said(spec, sample)
    _told(told, sample, about)
    out.print(f"\npicture  {plain(path)}", soft_wrap=True)


def _every() -> None:
    rows = []
    for family, specs in factors.FAMILIES.items():
        for spec in specs:
            # What must be said has no default, and is no part of a window.
            full = {p.name: p.default or p.name for p in spec.params}
            window = factors.window(spec.name, full, spec.delay)
            told = _about({p.name: p.default for p in spec.params})
            rows.append((spec.name, family, window, f"{spec.summary} {told and f'({told})'}"))
    show_noted(("factor", "family", "a signal of date t uses"), rows)
    out.print("\n[dim]factorlab factors NAME: formula, ranges, paper, notes, picture[/dim]")


def _about(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" if value != "" else name for name, value in params.items())


def _said(spec: FactorSpec, sample: Sample) -> None:
    """All that the registry says of a factor."""
    family = next(family for family, specs in factors.FAMILIES.items() if spec in specs)
    out.print(f"[bold]{spec.name}[/bold]  {family}")
    show_indented(spec.summary, 2)
    sign = "+1: the quantity as it is" if spec.sign > 0 else "−1: the quantity is negated"
    span = spec.first(sample.params) + spec.delay + 1
    window = factors.window(spec.name, sample.params, spec.delay)
    rows = [
        ("formula", spec.formula),
        *((param.name, f"{param.meaning}: {param.described}") for param in spec.params),
        ("sign", f"{sign}, so that higher is more attractive"),
        ("timing", f"delay {spec.delay}; a signal of date t uses {window}"),
        ("reads", f"{READS[spec.reads]}; the first value takes {span} month-ends"),
        ("paper", spec.paper),
        ("doi", spec.doi),
    ]
    wide = max(len(head) for head, _ in rows)
    table = plain_table("", "", folded=1)
    table.show_header = False
    for head, text in rows:
        table.add_row(f"  {head:<{wide}}", plain(text))
    out.print(table)
    notes = (inspect.getdoc(spec.compute) or "").partition("\n\nRaises\n")[0]
    for paragraph in notes.split("\n\n"):
        out.print()
        show_indented(" ".join(paragraph.split()), 2, "dim")


def _told(told: Story | None, sample: Sample, about: str) -> None:
    """What the picture shows, in figures."""
    out.print(f"\n[bold]{plain(sample.source)}[/bold]  {plain(sample.basis)}; {plain(about)}")
    if sample.basis == "synthetic":
        out.print("[yellow]SYNTHETIC: invented prices.[/yellow]")
    if sample.note:
        out.print(f"[yellow]Note:[/yellow] {plain(sample.note)}")
    if told is None:
        out.print("no value is known: the history is too short, or the market is not in the data")
        return
    heads = ["date", "lowest", "25 %", "median", "75 %", "highest"]
    heads += [word for name in told.names for word in (name, "price")]
    table = plain_table(*map(plain, heads), numbers=len(heads) - 1)
    table.padding = (0, 1, 0, 0)  # ten columns in 80 characters
    at = np.unique(np.linspace(0, len(told.dates) - 1, TOLD_DATES).round().astype(int))
    for row in at.tolist():
        pairs = zip(told.values[row].tolist(), told.prices[row].tolist(), strict=True)
        figures = [*told.spread[row].tolist(), *(number for pair in pairs for number in pair)]
        table.add_row(str(told.dates[row])[:7], *map(_figure, figures))
    out.print(table)
    out.print(f"[dim]of {told.n_tickers} tickers; the two are last highest and lowest[/dim]")


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.3g}"


def _given(text: str) -> tuple[str, str | int]:
    """A parameter and its value, a whole number where it reads as one."""
    name, separator, value = text.partition("=")
    if not separator:
        raise FactorLabError("that is no parameter", got=repr(text), expected="as in lookback=6")
    return name, int(value) if value.removeprefix("-").isdecimal() else value
