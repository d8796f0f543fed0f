"""Running a stage in this process with its progress shown, as several commands do.

Belongs here: what `run`, `demo` and `submit --now` share. Does not: a command.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from factorlab_assets.cli_options import store_of
from factorlab_assets.cli_tables import out, plain, show_metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings

PRICE_STEPS, RESEARCH_STEPS, SWEEP_STEPS = 8, 9, 3


def run_named(settings: Settings, month: str, names: list[str], every: bool) -> None:
    """Compute strategies, or every valid one, on a month's current data; print their metrics.

    Raises
    ------
    FactorLabError : neither or both were said, a file is not there or not valid, the month has no
        prices, or a cell could not be computed.
    """
    good, bad = strategy_files(settings)
    for name, error in bad.items():
        out.print(f"[yellow]left out {plain(name)}:[/yellow] {plain(error)}")
    if every == bool(names):
        raise FactorLabError("say --strategy NAME or --all", got="both" if every else "neither")
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
    if store_of(settings).current_version(month) is None:
        raise FactorLabError(
            "no prices for that month",
            where=settings.database_path,
            got=month,
            expected="an ingested month (see `factorlab versions`)",
            do=f"factorlab ingest --month {month} …",
        )
    compute(settings, month, sorted(set(names)) or list(good))


def compute(settings: Settings, month: str, names: list[str]) -> None:
    """Compute valid strategies on a month's current data and print their metrics."""
    from factorlab_assets.assets import launch

    judge_prices(settings, month)
    try:
        with progress(f"research {month}", RESEARCH_STEPS):
            launch.run_research(definitions(settings), month, names)
    finally:
        show_metrics(store_of(settings), month, names)


def compute_sweep(settings: Settings, month: str, name: str) -> None:
    """Compute what is missing of a strategy's sweep on a month's current data."""
    from factorlab_assets.assets import launch

    judge_prices(settings, month)
    with progress(f"sweep {month}", SWEEP_STEPS):
        launch.run_cells(definitions(settings), "sweep", month, [name])


def out_of_date(settings: Settings, month: str, names: list[str]) -> list[str]:
    """Those whose stored metrics are not what today's data, file and code would compute."""
    from factorlab_assets import prices, schemas, strategy, universes

    good, _ = strategy_files(settings)
    named = universes.load_universes(settings.universes_path)
    store = store_of(settings)
    inputs = prices.Inputs.current(store, settings, month)
    if inputs is None:
        return names
    wanted = {}
    for name in names:
        resolved = strategy.resolve(good[name], named, good)
        wanted[f"{month}|{name}"] = inputs.experiment(name, resolved).experiment_id
    refused = store.refusals(schemas.METRICS, list(wanted), wanted)
    return [key.partition("|")[2] for key in refused]


def judge_prices(settings: Settings, month: str) -> None:
    """Judge and adjust a month's prices anew where rules, code or a second source changed."""
    from factorlab_assets import prices
    from factorlab_assets.assets import launch

    launch.init_home(settings)
    if not prices.are_ready(store_of(settings), settings, month):
        with progress(f"prices {month}", PRICE_STEPS):
            launch.run_prices(definitions(settings), month)


def definitions(settings: Settings) -> Any:
    """The Dagster project over these settings."""
    from factorlab_assets.definitions import build_definitions

    return build_definitions(settings)


def strategy_files(settings: Settings) -> tuple[dict[str, Any], dict[str, FactorLabError]]:
    """The valid strategies by name, and what is wrong with the other files."""
    from factorlab_assets import strategy
    from factorlab_assets.core import factors

    return strategy.load_strategies(settings.strategies_path, factors.complete)


class _Steps(logging.Handler):
    """Moves the progress bar when an asset says that it is done, tells how far one is that is not,
    and prints what it warns of."""

    def __init__(self, tell: Callable[[str, int], None]) -> None:
        super().__init__(logging.DEBUG)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            out.print(f"[yellow]Note:[/yellow] {plain(record.getMessage())}", soft_wrap=True)
        else:
            self._tell(record.getMessage(), int(record.levelno >= logging.INFO))


@contextmanager
def progress(title: str, steps: int) -> Iterator[None]:
    """A progress bar of so many steps a run, moved by what the assets say that they have done."""
    columns = (TextColumn("{task.description:<46}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=out) as progress:
        task = progress.add_task(title, total=steps)

        def tell(said: str, done: int) -> None:
            of = progress.tasks[0]
            if done and of.completed == of.total:  # strategies far apart take further runs
                progress.update(task, total=of.total + steps)
            progress.update(task, advance=done, description=f"{title}: {said}")

        handler = _Steps(tell)
        logger = logging.getLogger("factorlab.progress")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
