"""`factorlab submit`, `rerun`, `promote`, `experiments`, `verify`, `diff`: one experiment's life.

Belongs here: arguments, and what is printed. Does not: what a submission is (`submit`), how an
experiment is recomputed (`verify`) or held against another (`differences`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from numpy.typing import NDArray

from factorlab_assets import cli_run
from factorlab_assets.cli_options import Demo, LatestMonth, settings_of, store_of
from factorlab_assets.cli_tables import (
    out,
    plain,
    plain_table,
    say_more,
    say_version,
    show_indented,
)
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings

if TYPE_CHECKING:  # the store costs half a second that errors do not need
    from factorlab_assets.store import Store
    from factorlab_assets.submit import Draft

Id = Annotated[str, typer.Argument(help="as `factorlab experiments` lists it, or its beginning")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="portfolio.select.top_k=5, say; repeatable")
]
NewName = Annotated[str, typer.Option("--name", help="of the new strategy")]
Now = Annotated[bool, typer.Option("--now", help="compute it here and at once")]
Replace = Annotated[bool, typer.Option("--replace", help="a file of that name may be replaced")]

SHOWN_AS = {"queued": "queued", "started": "running", "done": "done", "failed": "failed"}
NAME_WIDTH = 30
PERCENTS = (
    *("cagr", "volatility_ann", "max_drawdown", "hit_rate"),
    *("cost_drag_ann", "excess_ann", "tracking_error_ann"),
)
Ints = NDArray[np.int64]


def submit(
    file: Annotated[str, typer.Argument(help="a YAML file anywhere, or a strategy's name")],
    month: LatestMonth = "",
    changes: Changes = None,
    name: NewName = "",
    now: Now = False,
    replace: Replace = False,
    demo: Demo = False,
) -> None:
    """Check a strategy, lock the month's data version and the code, and queue its computation."""
    from factorlab_assets import overrides
    from factorlab_assets import submit as submitting

    settings = settings_of(demo)
    said = submitting.draft(settings, file).varied(overrides.parse_set(changes or []), name)
    _submit(settings, said, month, now=now, replace=replace)


def rerun(
    experiment_id: Id,
    changes: Changes = None,
    name: NewName = "",
    month: Annotated[str, typer.Option(help="calendar month; by default the experiment's")] = "",
    now: Now = False,
    replace: Replace = False,
    demo: Demo = False,
) -> None:
    """Submit a past experiment's configuration again, as it was or with other values."""
    from factorlab_assets import overrides
    from factorlab_assets import submit as submitting

    settings = settings_of(demo)
    said = submitting.clone(
        store_of(settings), settings, experiment_id, overrides.parse_set(changes or []), name
    )
    _submit(settings, said, month, now=now, replace=replace)


def _submit(settings: Settings, said: Draft, month: str, *, now: bool, replace: bool) -> None:
    from factorlab_assets import submit as submitting
    from factorlab_assets.assets import launch

    store = store_of(settings)
    ready = submitting.prepare(store, settings, said, month=month, may_replace=replace)
    cli_run.judge_prices(settings, ready.month)
    told = submitting.submit(store, settings, ready)
    launch.register([ready.name])
    experiment = ready.experiment
    out.print(f"experiment  {experiment.experiment_id}  {plain(ready.name)}")
    say_version(ready.inputs.version, "data        ")
    out.print(f"code        {experiment.code_version}, commit {experiment.git_commit}")
    out.print(f"file        {plain(ready.path)}", soft_wrap=True)
    if ready.expansion is not None:
        done, left_out = ready.expansion.combinations, len(ready.expansion.left_out)
        also = f", {left_out:,} left out" if left_out else ""
        out.print(f"sweep       {len(done):,} combinations of {ready.expansion.total:,}{also}:")
        out.print(f"            `factorlab sweep {plain(ready.name)}` shows them")
    if told:
        out.print(f"[yellow]Note:[/yellow] {plain(told)}", soft_wrap=True)
    if now:
        cli_run.compute(settings, ready.month, [ready.name])
        if ready.expansion is not None:
            cli_run.compute_sweep(settings, ready.month, ready.name)
        return
    out.print(
        "queued: `factorlab ui` computes it while it runs (sensor queued_experiments, each half "
        "minute); `--now` computes it here"
    )


def experiments(
    strategy: Annotated[str, typer.Option(help="only of this strategy or combination")] = "",
    month: Annotated[str, typer.Option(help="only of this month, as in 2024-05")] = "",
    status: Annotated[str, typer.Option(help="queued, running, done or failed")] = "",
    sweep: Annotated[str, typer.Option(help="the combinations of this sweep, one by one")] = "",
    limit: Annotated[int, typer.Option(help="how many, the latest", min=1)] = 20,
    demo: Demo = False,
) -> None:
    """List experiments, the latest last: where each stands, and why one failed."""
    if status and status not in SHOWN_AS.values():
        raise FactorLabError("no such status", got=status, expected=", ".join(SHOWN_AS.values()))
    store = store_of(settings_of(demo))
    store.settle_attempts()
    lines = _lines(_latest(store), each=sweep)
    wanted = {"strategy": strategy, "month": month, "sweep": sweep}
    found = [
        line
        for line in lines
        if all(line[key] == value for key, value in wanted.items() if value)
        and (not status or line["counts"].get(status))
    ]
    if not found:
        out.print("no such experiment" if lines else "no experiment yet: factorlab submit FILE")
        return
    shown = found[-limit:]
    _show(shown, _reasons(store, [line for line in shown if line["status"] == "failed"]))
    say_more(len(found), limit)


def _latest(store: Store) -> pa.Table:
    """The last row of every experiment of a strategy, in order of recording, without its config;
    its status is its attempt's, which another strategy of the same configuration may have ended."""
    columns = ["experiment_id", "attempt", "status", "month", "strategy", "sweep"]
    rows = store.experiments(columns=[*columns, "data_version_id"])
    attempts, of_attempt = _last(rows, "experiment_id", "attempt")
    status = rows["status"].take(of_attempt).take(attempts)
    rows = rows.set_column(rows.column_names.index("status"), "status", status)
    _, of_strategy = _last(rows, "experiment_id", "strategy")
    return rows.take(np.sort(of_strategy))


def _last(rows: pa.Table, *key: str) -> tuple[Ints, Ints]:
    """Each row's number of its key, and each key's last row."""
    texts = [rows[name].cast(pa.string()) for name in key]
    keys = pc.binary_join_element_wise(*texts, "|").combine_chunks().dictionary_encode()
    codes = keys.indices.to_numpy().astype(np.int64)
    last = np.zeros(len(keys.dictionary), dtype=np.int64)
    np.maximum.at(last, codes, np.arange(len(codes)))
    return codes, last


def _lines(rows: pa.Table, each: str) -> list[dict[str, Any]]:
    """A line per experiment; the combinations of a sweep in one, but those of the sweep `each`."""
    lines: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows.to_pylist():
        row["status"] = SHOWN_AS[row["status"]]
        key: tuple[str, ...] = (row["experiment_id"], row["strategy"])
        if row["sweep"] and row["sweep"] != each:
            key = (row["sweep"], row["month"], row["data_version_id"])
            row |= {"experiment_id": "sweep", "strategy": row["sweep"]}
        counts = lines.pop(key, {"counts": Counter()})["counts"]  # the latest of them is its place
        counts[row["status"]] += 1
        lines[key] = row | {"counts": counts}
    for line in lines.values():
        line["status"] = next(
            s for s in ("running", "queued", "done", "failed") if line["counts"][s]
        )
    return list(lines.values())


def _reasons(store: Store, failed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Why experiments failed, by id."""
    found = {}
    with store.read():
        for line in failed:
            id_ = line["experiment_id"]
            if id_ != "sweep":
                rows = store.experiments(id_, ["status", "detail"]).to_pylist()
                found[id_] = [row["detail"] for row in rows if row["status"] == "failed"][-1]
    return found


def _show(lines: Sequence[Mapping[str, Any]], reasons: Mapping[str, str]) -> None:
    """80 wide: long names are folded, reasons and counts stand below."""
    width = max(len("strategy"), *(min(len(line["strategy"]), NAME_WIDTH) for line in lines))
    form = f"{{:<16}}  {{:<{width}}}  {{:<7}}  {{:<12}}  {{}}"
    head = form.format("experiment", "strategy", "month", "data", "status")
    out.print(f"[bold]{head}[/bold]", soft_wrap=True)
    for line in lines:
        name, *rest = wrap(line["strategy"], width, break_on_hyphens=False)
        data = line["data_version_id"].rpartition("-")[2]
        cells = [line["experiment_id"], name, line["month"], data, line["status"]]
        out.print(plain(form.format(*cells)), soft_wrap=True)
        for more in rest:
            out.print(plain(f"{'':<16}  {more}"), soft_wrap=True)
        if line["experiment_id"] == "sweep":
            counts = ", ".join(f"{n:,} {status}" for status, n in line["counts"].items())
            show_indented(f"{counts} (--sweep {line['strategy']} lists them)", 2, "dim")
        if reason := reasons.get(line["experiment_id"]):
            show_indented(reason, 2, "red")


def promote(
    sweep: Annotated[str, typer.Argument(help="the strategy with the sweep block")],
    combination: Annotated[str, typer.Argument(help="as `factorlab experiments --sweep` lists it")],
    name: NewName = "",
    month: LatestMonth = "",
    replace: Replace = False,
    demo: Demo = False,
) -> None:
    """Make a combination of a sweep a strategy of its own."""
    from factorlab_assets import submit as submitting
    from factorlab_assets.assets import launch

    settings = settings_of(demo)
    store = store_of(settings)
    said = submitting.promoted(settings, sweep, combination, name)
    ready = submitting.prepare(store, settings, said, month=month, may_replace=replace)
    told = submitting.write_strategy(store, settings, ready)
    launch.init_home(settings)
    launch.register([ready.name])
    out.print(f"strategy  {plain(ready.name)}\nfile      {plain(ready.path)}", soft_wrap=True)
    if told:
        out.print(f"[yellow]Note:[/yellow] {plain(told)}", soft_wrap=True)
    out.print(
        f"what to do next: factorlab run --month {ready.month} --strategy {plain(ready.name)}",
        soft_wrap=True,
    )


def verify(experiment_id: Id, demo: Demo = False) -> None:
    """Recompute an experiment from its stored data and configuration and compare every table."""
    from factorlab_assets import submit as submitting
    from factorlab_assets import verify as recompute

    store = store_of(settings_of(demo))
    found = recompute.verify(store, submitting.full_id(store, experiment_id))
    out.print(plain(found.told))
    if not found.identical:
        raise typer.Exit(1)


def diff(
    first: Annotated[str, typer.Argument(help="an experiment's id, or its beginning")],
    second: Annotated[str, typer.Argument(help="another")],
    demo: Demo = False,
) -> None:
    """Split what changed from one experiment to another into data, configuration and code."""
    from factorlab_assets import differences
    from factorlab_assets import submit as submitting

    store = store_of(settings_of(demo))
    ids = [submitting.full_id(store, said) for said in (first, second)]
    found = differences.diff(store, *ids)
    out.print(f"from {found.first} to {found.second}")
    if not found.differs:
        out.print("the same data, configuration and code")
    for cause, how in found.differs.items():
        out.print(f"[bold]{cause}[/bold]")
        show_indented(how, 2)
    heads = ["before", "after", "data", "config", "code"]
    undivided = any(change.undivided is not None for change in found.changes)
    table = plain_table("metric", *heads, *["together"] * undivided, numbers=5 + undivided)
    for change in found.changes:
        form = ("{:.2%}", "{:+.2%}") if change.metric in PERCENTS else ("{:.3f}", "{:+.3f}")
        ends = [_figure(value, form[0]) for value in (change.before, change.after)]
        parts = [change.data, change.configuration, change.code, *[change.undivided] * undivided]
        table.add_row(change.metric, *ends, *(_figure(part, form[1]) for part in parts))
    out.print(table)
    out.print("[dim]after − before = data + config + code, by today's code; –: not to be had[/dim]")
    for note in found.notes:
        out.print("[yellow]Note:[/yellow]")
        show_indented(note, 2)


def _figure(value: float | None, form: str) -> str:
    """A figure, 0 where it is nothing at all, a dash where there is none.

    >>> [_figure(value, "{:+.3f}") for value in (0.5, 0.0, None)]
    ['+0.500', '0', '–']
    """
    if value is None or value != value:
        return "–"
    return form.format(value) if value else "0"


COMMANDS: tuple[Callable[..., None], ...] = (submit, rerun, promote, experiments, verify, diff)
