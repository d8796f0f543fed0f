"""`factorlab evaluate`, `evidence` and `sweep`: what results are worth.

Belongs here: what is computed when, and what is printed of it. Does not: the statistics
(`evaluation`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factorlab_assets import schemas
from factorlab_assets.cli_options import (
    Demo,
    LatestMonth,
    Limit,
    current_version,
    settings_of,
    store_of,
)
from factorlab_assets.cli_run import (
    compute,
    compute_sweep,
    definitions,
    out_of_date,
    progress,
    strategy_files,
)
from factorlab_assets.cli_tables import (
    out,
    percent,
    plain,
    plain_table,
    ratio,
    say_more,
    say_version,
    show_indented,
    show_noted,
)
from factorlab_assets.errors import FactorLabError

if TYPE_CHECKING:  # the store costs half a second that errors and help do not need
    from factorlab_assets.settings import Settings
    from factorlab_assets.store import Store

EVALUATION_STEPS = 4
PROBABILITIES = ("psr", "dsr", "dsr_effective", "verdict")
MOST_NAMED = 4
"""Files of a group of trials."""
SUMMARY = ("minimum", "median", "maximum")
COUNTS = (
    *("n_trials", "n_failed", "n_effective_clusters"),
    *("cpcv_paths", "pbo_splits", "stepm"),
)
TOLD = ("verdict", "best", "stepm")
"""Statistics whose note is the news."""
Names = Annotated[list[str], typer.Argument(help="strategies, as `factorlab strategies` has them")]
Name = Annotated[str, typer.Argument(help="as `factorlab strategies` names it")]


def evaluate(names: Names, month: LatestMonth = "", demo: Demo = False) -> None:
    """Judge strategies: how sure, in which states of the market, against luck, what they hang on.

    One that is not computed yet on today's data, file and code is computed first.
    """
    settings = settings_of(demo)
    store = store_of(settings)
    key = current_version(store, month).month
    known = known_names(settings, names)
    judged(settings, key, known)
    for name in known:
        _show_evidence(store, key, name)


def judged(settings: Settings, month: str, names: list[str]) -> None:
    """Compute what is out of date of strategies, and judge them."""
    from factorlab_assets.assets import launch

    if outdated := out_of_date(settings, month, names):
        compute(settings, month, outdated)
    launch.init_home(settings)
    with progress(f"evaluation {month}", EVALUATION_STEPS):
        launch.run_cells(definitions(settings), "evaluation", month, names)


def evidence(name: Name, month: LatestMonth = "", demo: Demo = False) -> None:
    """Print what is stored of a strategy's evaluation; compute nothing."""
    store = store_of(settings_of(demo))
    version = current_version(store, month)
    say_version(version)
    _show_evidence(store, version.month, name)


def sweep(
    name: Name,
    month: LatestMonth = "",
    sort: Annotated[str, typer.Option(help="column to sort by, the highest first")] = "sharpe",
    limit: Limit = 10,
    demo: Demo = False,
) -> None:
    """Compute what is missing of a strategy's sweep; print its best and what that is worth."""
    columns = [c for c, kind in schemas.SWEEP_METRICS.columns.items() if kind == "DOUBLE"]
    if sort not in columns:
        raise FactorLabError("no column to sort by", got=sort, expected=", ".join(columns))
    settings = settings_of(demo)
    store = store_of(settings)
    version = current_version(store, month)
    (known,) = known_names(settings, [name])
    compute_sweep(settings, version.month, known)
    say_version(version)
    rows = _stored(store, schemas.SWEEP_METRICS, version.month, known)
    _show_combinations(rows, sort, limit)
    _show_heat(rows, sort)
    _show_statistics(_stored(store, schemas.SWEEP_EVIDENCE, version.month, known))


def trials(
    name: Annotated[str, typer.Argument(help="a strategy, a combination or an experiment's id")],
    month: LatestMonth = "",
    limit: Limit = 20,
    demo: Demo = False,
) -> None:
    """List the tries that a result is judged by, grouped by how alike they earned."""
    from factorlab_assets import ledger

    settings = settings_of(demo)
    store = store_of(settings)
    version = current_version(store, month)
    good, _ = strategy_files(settings)
    prior = {file: said.prior_trials for file, said in good.items()}
    found = ledger.family_of(store, ledger.find(store, name, version.month), prior)
    say_version(version)
    out.print(f"{plain(found.note)}.", soft_wrap=True)
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(found.cluster.tolist()):
        groups.setdefault(group, []).append(place)
    rows = []
    largest = sorted(groups.items(), key=lambda item: (item[0] < 0, -len(item[1])))
    for group, places in sorted(largest, key=lambda item: found.own not in item[1]):
        files = Counter(found.trials[i].file for i in places).most_common()
        said = [f"{count} of {file}" if count > 1 else file for file, count in files[:MOST_NAMED]]
        more = [f"{len(files) - MOST_NAMED} more files"] if len(files) > MOST_NAMED else []
        alike = max((found.correlation[i] for i in places), default=float("nan"))
        label = "not grouped" if group < 0 else f"{group + 1}"
        label += " *" * (found.own in places)
        rows.append((label, f"{len(places):,}", ratio(float(alike)), ", ".join([*said, *more])))
    show_noted(["group", "tries", "alike"], rows[:limit])
    say_more(len(rows), limit)
    out.print(
        "[dim]* has the strategy itself; alike: the highest correlation of active returns with its "
        "own; not grouped: failed or too short[/dim]"
    )


COMMANDS = (evaluate, evidence, trials, sweep)


def known_names(settings: Settings, names: Sequence[str]) -> list[str]:
    """The names themselves, if each is a valid strategy file's."""
    good, bad = strategy_files(settings)
    for name in names:
        if f"{name}.yaml" in bad:
            raise bad[f"{name}.yaml"]
        if name not in good:
            raise FactorLabError(
                "unknown strategy",
                got=repr(name),
                expected=", ".join(good) or "a file",
                do=f"add {name}.yaml to {settings.strategies_path}, or correct the name",
            )
    return list(dict.fromkeys(names))


def _refusal(store: Store, table: schemas.Table, month: str, name: str) -> str:
    """Why a cell's rows may not be read; empty where they may."""
    key = f"{month}|{name}"
    return store.refusals(table, [key]).get(key, "")


def _stored(store: Store, table: schemas.Table, month: str, name: str) -> list[dict[str, Any]]:
    return list(store.load(table, [f"{month}|{name}"]).to_pylist())


def _show_evidence(store: Store, month: str, name: str) -> None:
    out.print(f"\n[bold]{plain(name)}[/bold]  {month}")
    for table, show in _PARTS:
        reason = _refusal(store, table, month, name)
        if reason:
            out.print(f"[yellow]no {table.name}:[/yellow] {plain(reason)}", soft_wrap=True)
        else:
            show(_stored(store, table, month, name))


def _show_statistics(rows: Sequence[dict[str, Any]]) -> None:
    """Statistics in rows, what they are of in columns; what has a reason instead of a figure says
    it below."""
    if not rows:
        return
    kinds = [kind for kind in schemas.RETURNS if any(row["returns"] == kind for row in rows)]
    of = {(row["statistic"], row["returns"]): row for row in rows}
    names = sorted({row["statistic"] for row in rows}, key=_order)
    table = plain_table("statistic", *kinds, numbers=len(kinds))
    for name in names:
        cells = [_figure(name, of.get((name, kind))) for kind in kinds]
        table.add_row(name, *cells)
    out.print("", table)
    for row in rows:
        if row["statistic"] in TOLD:
            show_indented(f"{row['statistic']}: {row['note']}", 2)
    reasons = {
        f"{row['returns']}: {row['note']}"
        for row in rows
        if row["value"] is None and row["note"] and row["statistic"] not in TOLD
    }
    for reason in sorted(reasons):
        show_indented(reason, 2, "dim")


def _order(statistic: str) -> tuple[int, str]:
    """Those of an experiment as they are made, those of a sweep by name."""
    from factorlab_assets.evaluation.inference import STATISTICS

    known = statistic in STATISTICS
    return (STATISTICS.index(statistic) if known else len(STATISTICS), statistic)


def _figure(name: str, row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    value = row["value"]
    if name in COUNTS:
        return f"{value:.0f}"
    said = f"{value:.3f}" if name in PROBABILITIES else f"{value:.2f}"
    if row["low"] is None or row["high"] is None:
        return said
    return f"{said}  {row['low']:.2f}…{row['high']:.2f}"


def _show_regimes(rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    table = plain_table("regime", "label", "months", "return", "Sharpe", "excess", numbers=4)
    for row in rows:
        figures = [row["n_months"], percent(row["return_ann"]), ratio(row["sharpe"])]
        label = [plain(row["regime"]), plain(row["label"])]
        table.add_row(*label, *map(str, figures), percent(row["excess_ann"]))
    out.print("", table)


def _show_feasibility(rows: Sequence[dict[str, Any]]) -> None:
    heads = ("metric", "value", "5 %", "median", "95 %", "percentile")
    table = plain_table("luck, foresight", *heads, numbers=5)
    for row in rows:
        form = percent if row["metric"] == "cagr" else ratio
        cells = [form(row[column]) for column in ("value", "p05", "median", "p95")]
        share = "–" if row["percentile"] is None else f"{row['percentile']:.1%}"
        table.add_row(row["kind"].replace("_", " "), row["metric"], *cells, share)
    out.print("", table)
    for note in dict.fromkeys(row["note"] for row in rows if row["kind"] == "permuted"):
        show_indented(note, 2, "dim")


def _show_robustness(rows: Sequence[dict[str, Any]]) -> None:
    """Every cost and delay; of longer tests the setting that takes most away, and the range."""
    heads = ("changed to", "Sharpe", "change", "CAGR", "bps")
    table = plain_table("robustness", *heads, numbers=4)
    for test in schemas.ROBUSTNESS_TESTS:
        of = sorted((row for row in rows if row["test"] == test), key=lambda row: row["position"])
        if any(row["setting"] in SUMMARY for row in of):
            each = [row for row in of if row["setting"] not in SUMMARY and row["sharpe"]]
            of = [row for row in of if row["setting"] in SUMMARY]
            of = [*sorted(each, key=lambda row: row["sharpe"])[:1], *of]
        for row in of:
            bps = "–" if row["value_bps"] is None else f"{row['value_bps']:.1f}"
            figures = [ratio(row["sharpe"]), ratio(row["sharpe_change"]), percent(row["cagr"]), bps]
            table.add_row(test.replace("_", " "), plain(row["setting"]), *figures)
    out.print("", table)


_PARTS: tuple[tuple[schemas.Table, Callable[[Sequence[dict[str, Any]]], None]], ...] = (
    (schemas.INFERENCE, _show_statistics),
    (schemas.REGIME_METRICS, _show_regimes),
    (schemas.FEASIBILITY, _show_feasibility),
    (schemas.ROBUSTNESS, _show_robustness),
)


def _show_combinations(rows: Sequence[dict[str, Any]], sort: str, limit: int) -> None:
    done = [row for row in rows if row["status"] == "done"]
    done.sort(key=lambda row: (row[sort] is None, -(row[sort] or 0.0)))
    heads = ("CAGR", "Sharpe", "max DD", "turn", "dsr", "dsr(b)")
    table = plain_table("combination", *heads, numbers=len(heads))
    for row in done[:limit]:
        table.add_row(
            plain(_parameters(row)),
            percent(row["cagr"]),
            ratio(row["sharpe"]),
            percent(row["max_drawdown"]),
            ratio(row["turnover_ann"]),
            ratio(row["dsr"]),
            ratio(row["dsr_benchmark"]),
        )
    out.print(table)
    say_more(len(done), limit)
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed[:limit]:
        out.print(f"[yellow]failed {plain(_parameters(row))}:[/yellow] {plain(row['note'])}")
    out.print(
        f"[dim]{len(done)} combinations done, {len(failed)} failed; dsr: deflated Sharpe ratio "
        "over cash, dsr(b): over the benchmark[/dim]"
    )


def _parameters(row: dict[str, Any]) -> str:
    """Its values by the last step of their paths.

    >>> _parameters({"parameters": '{"factors.trend.lookback": 12, "portfolio.select.top_k": 5}'})
    'lookback 12, top_k 5'
    """
    said = json.loads(row["parameters"])
    return ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in said.items())


def _show_heat(rows: Sequence[dict[str, Any]], sort: str) -> None:
    """The best of the others over two parameters, where there are two or more."""
    from factorlab_assets.evaluation.plateau import plateau

    found = plateau(rows, sort)
    if not found.across:
        return
    table = plain_table(
        f"{sort}: {found.down} by {found.across}", *found.columns, numbers=len(found.columns)
    )
    for name, values in zip(found.names, found.values, strict=True):
        table.add_row(name, *(ratio(float(value)) for value in values))
    out.print("", table)
    if found.over:
        out.print(f"[dim]each the best over {plain(found.over)}[/dim]")
