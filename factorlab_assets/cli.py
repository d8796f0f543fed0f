"""The `factorlab` command: set up, ingest, run, look, verify.

Belongs here: arguments and exit codes. Does not: tables (`cli_tables`), or anything that another
program would import.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from factorlab_assets import (
    cli_compare,
    cli_evaluation,
    cli_experiments,
    cli_factors,
    cli_prices,
    cli_report,
    cli_revisions,
    cli_universe,
)
from factorlab_assets.cli_options import Demo, Month, settings_of, store_of
from factorlab_assets.cli_run import definitions, progress, run_named, strategy_files
from factorlab_assets.cli_tables import out, plain, show_quality, show_versions
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError

app = typer.Typer(
    help="From daily closes to factor portfolios that can be believed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
SOURCES = "synthetic, stooq-files, stooq-http or alphavantage"
PAID = "CSV file or folder: ticker, ex_date, amount, maybe split"
OWN = "folder of your own panels: ticker, date, date_avail, value"

DEMO_MONTH = "2024-05"
DEMO_PAGES = ["trend_12m", "xsmom_12_1"]
MARKET_STEPS = 10


def main() -> None:
    """Run the command; a FactorLabError becomes one paragraph and exit code 1."""
    try:
        app()
    except FactorLabError as error:
        Console(stderr=True, highlight=False).print(
            f"[red]Error:[/red] {plain(error)}", soft_wrap=True
        )
        sys.exit(1)


@app.command()
def init() -> None:
    """Create the Dagster home and a .env that plain `dagster` commands read."""
    from factorlab_assets.assets import launch

    settings = settings_of()
    home = launch.init_home(settings)
    env = settings.root / ".env"
    lines = env.read_text().splitlines() if env.exists() else []
    if not any(line.startswith("DAGSTER_HOME=") for line in lines):
        env.write_text("\n".join([*lines, f"DAGSTER_HOME={home}", ""]))
    out.print(f"Dagster home  {home}\nsettings      {env}\ndatabase      {settings.database_path}")


@app.command()
def ingest(
    month: Month,
    source: Annotated[str, typer.Option(help=SOURCES)] = "",
    path: Annotated[Path | None, typer.Option(help="archive, folder or file")] = None,
    distributions: Annotated[Path | None, typer.Option(help=PAID)] = None,
    characteristics: Annotated[Path | None, typer.Option(help=OWN)] = None,
    universe: Annotated[str, typer.Option(help="a named universe, or all")] = "",
    second: Annotated[bool, typer.Option("--second", help="beside the month's prices")] = False,
    replace_source: Annotated[bool, typer.Option(help="let another source take over")] = False,
) -> None:
    """Store one month's data version and compute its quality and monthly returns."""
    from factorlab_assets.assets import launch

    settings = settings_of()
    launch.init_home(settings)
    config = {
        "source": source,
        "path": str(path.absolute()) if path else "",
        "distributions": str(distributions.absolute()) if distributions else "",
        "characteristics": str(characteristics.absolute()) if characteristics else "",
        "universe": universe,
        "second": second,
        "replace_source": replace_source,
    }
    with progress(f"market {month}", MARKET_STEPS):
        launch.run_market(definitions(settings), month, config)
    show_versions(store_of(settings), month)
    show_quality(store_of(settings), month)


@app.command()
def run(
    month: Month,
    strategy: Annotated[list[str] | None, typer.Option(help="a strategy; repeatable")] = None,
    every: Annotated[bool, typer.Option("--all", help="every valid strategy file")] = False,
) -> None:
    """Compute strategies on a month's current data and print their metrics."""
    run_named(settings_of(), month, strategy or [], every)


@app.command()
def demo() -> None:
    """Ingest invented prices into the demo's own database, run every shipped strategy, and build
    the pages of some of them and the library."""
    from factorlab_assets.assets import launch

    settings = settings_of(demo=True)
    launch.init_home(settings)
    with progress(f"market {DEMO_MONTH}", MARKET_STEPS):
        launch.run_market(definitions(settings), DEMO_MONTH, {"source": "synthetic"})
    run_named(settings, DEMO_MONTH, [], every=True)
    out.print()
    cli_report.demo_pages(settings, DEMO_MONTH, DEMO_PAGES)
    out.print(
        f"database      {settings.database_path}\nDagster home  {settings.dagster_home}"
        f"\nlook          {sys.argv[0]} ui --demo\n[yellow]SYNTHETIC: invented prices.[/yellow]"
    )


@app.command()
def ui(
    demo: Demo = False, port: Annotated[int, typer.Option(help="where it listens")] = 3000
) -> None:
    """Open the Dagster web UI with its daemon on this machine."""
    from factorlab_assets.assets import launch

    settings = settings_of(demo)
    launch.init_home(settings)
    # `dagster dev` is what workspace.yaml works with; its hint at another command is no news.
    environment = {"PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"} | os.environ
    if demo:
        environment |= {
            "FACTORLAB_DATA_DIR": str(settings.path(settings.data_dir)),
            "FACTORLAB_DATABASE": str(settings.database_path),
            "FACTORLAB_SOURCE": "synthetic",
        }
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", str(port)]
    sys.exit(subprocess.call(command, cwd=settings.root, env=environment))


@app.command()
def versions(demo: Demo = False) -> None:
    """List every data version: source, span, basis, and which one each month points at."""
    show_versions(store_of(settings_of(demo)), None)


@app.command()
def strategies() -> None:
    """List the strategy files, and what is wrong with those that are not valid."""
    settings = settings_of()
    good, bad = strategy_files(settings)
    for name, said in good.items():
        of = said.universe.of
        filters = [f"{key} {value:g}" for key, value in said.universe.filters.items()]
        universe = ", ".join([*([of] if isinstance(of, str) else of), *filters])
        used = [f"{f.name} {factors.window(f.name, f.params, f.lag)}" for f in said.factors]
        form = said.portfolio
        out.print(f"\n[bold]{name}[/bold]{'' if said.active else '  (not active)'}")
        out.print(f"  [dim]{plain(' '.join(said.description.split()))}[/dim]")
        out.print(f"  universe   {plain(universe)}")
        out.print(f"  factors    {plain('; '.join(used) or 'none')}")
        out.print(f"  portfolio  {form.type}, {form.weighting}, gross {form.gross:g}")
        out.print(f"  benchmark  {plain(said.benchmark)}")
    for name, error in bad.items():
        out.print(f"[red]not valid[/red] {plain(name)}: {plain(error)}")
    if bad:
        raise typer.Exit(1)


@app.command()
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="do it, not only say it")] = False,
) -> None:
    """Drop data versions that no month points at and no experiment rests on."""
    dropped = store_of(settings_of()).prune(dry_run=not yes)
    verb = "dropped" if yes else "would drop (say --yes)"
    out.print(f"{verb}: {', '.join(dropped) or 'nothing'}")


# After the commands of this file: help lists them in this order.
app.add_typer(cli_prices.app, name="prices", no_args_is_help=True)
for of in (cli_experiments, cli_evaluation, cli_report, cli_compare):
    for command in of.COMMANDS:
        app.command()(command)
app.command("factors")(cli_factors.list_factors)
app.command("revisions")(cli_revisions.revisions)
app.command("universe")(cli_universe.universe)


if __name__ == "__main__":
    main()
