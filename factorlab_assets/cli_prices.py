"""`factorlab prices …`: what prices are worth, ticker by ticker.

Belongs here: arguments, tables and files of these commands. Does not: judging prices (`core`) or
drawing (`reports.charts_prices`).
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections import Counter
from collections.abc import Sequence
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
    price,
    say_more,
    say_version,
    show_indented,
    show_noted,
)
from factorlab_assets.errors import FactorLabError
from factorlab_assets.files import write_file

if TYPE_CHECKING:
    from factorlab_assets.schemas import Table
    from factorlab_assets.store import Store, Version

app = typer.Typer(help="What prices are worth: basis, suspects, second source.")

Ticker = Annotated[str, typer.Argument(help="as `factorlab prices suspects` names it")]
SPARK_WIDTH, LAST_BARS, LISTED = 72, 5, 12
SEVERITY = {"error": 0, "warning": 1, "info": 2}


@app.command()
def show(
    ticker: Ticker,
    month: LatestMonth = "",
    start: Annotated[str, typer.Option("--from", help="first day, as in 2020-01-31")] = "",
    end: Annotated[str, typer.Option("--to", help="last day")] = "",
    demo: Demo = False,
) -> None:
    """Print one ticker's basis, suspects, distributions and last bars, and draw it."""
    from factorlab_assets import schemas
    from factorlab_assets.reports import charts_prices

    settings = settings_of(demo)
    store = store_of(settings)
    name = _ticker(ticker)
    version = current_version(store, month)
    first, last = _day(start, version.first_date), _day(end, version.last_date)
    bars = _bars(store, version, name)
    shown = [bar for bar in bars if first <= bar["date"] <= last]
    if not shown:
        raise FactorLabError(
            "no bars of that ticker between those days",
            got=f"{name}, {first} to {last}",
            expected=f"days from {bars[0]['date']} to {bars[-1]['date']}",
        )
    say_version(version, f"{name}  ")
    kept = schemas.PRICE_BASIS, schemas.SUSPECT_PRICES, schemas.DISTRIBUTION_STATUS
    tables = (*kept, schemas.ADJUSTED_PRICES)
    usable = _usable(store, version, *tables)
    basis, suspects, paid, adjusted = (
        _rows(store, table, version, name) if table.name in usable else [] for table in tables
    )
    suspects = [suspect for suspect in suspects if first <= suspect["date"] <= last]
    _add_adjusted(shown, adjusted, basis)
    path = settings.path(settings.data_dir) / "reports" / f"prices_{version.month}_{name}.svg"
    write_file(path, _picture(name, version, shown, basis, suspects))
    out.print(f"{len(bars):,} bars, {bars[0]['date']} to {bars[-1]['date']}")
    out.print(charts_prices.sparkline([bar["close"] for bar in shown], SPARK_WIDTH))
    _basis(basis)
    if "suspect_prices" in usable:
        _suspects(suspects, LISTED)
    if "distribution_status" in usable:
        _distributions([row for row in paid if first <= row["ex_date"] <= last])
    _last_bars(shown)
    out.print(f"\npicture  {plain(path)}", soft_wrap=True)


@app.command("suspects")
def list_suspects(
    month: LatestMonth = "",
    kind: Annotated[str, typer.Option(help="one kind alone")] = "",
    ticker: Annotated[str, typer.Option(help="one ticker alone")] = "",
    limit: Limit = 40,
    demo: Demo = False,
) -> None:
    """List suspect bars, the worst first: what is wrong, what was done, since when it is known."""
    from factorlab_assets import schemas
    from factorlab_assets.core.suspects import MARKET

    if kind and kind not in schemas.SUSPECT_KINDS:
        raise FactorLabError("no such kind", got=kind, expected=", ".join(schemas.SUSPECT_KINDS))
    store = store_of(settings_of(demo))
    version = current_version(store, month)
    name = _ticker(ticker) if ticker else ""
    if name not in ("", MARKET):
        _bars(store, version, name)
    say_version(version)
    if _usable(store, version, schemas.SUSPECT_PRICES):
        rows = _rows(store, schemas.SUSPECT_PRICES, version, name)
        _suspects([row for row in rows if kind in ("", row["kind"])], limit)


@app.command("reconcile")
def hold_against(
    here: Annotated[str, typer.Argument(help="a data version, as `factorlab versions` lists it")],
    there: Annotated[str, typer.Argument(help="another one")],
    third: Annotated[str, typer.Option(help="one more, to tell which of the two is odd")] = "",
    limit: Limit = 20,
    demo: Demo = False,
) -> None:
    """Compare two data versions day by day: where returns differ, and which of them is odd."""
    from factorlab_assets import ingest, universes
    from factorlab_assets.core.reconcile import reconcile as compare

    settings = settings_of(demo)
    store = store_of(settings)
    versions = [stored_version(store, name) for name in filter(None, (here, there, third))]
    if third in (here, there):
        raise FactorLabError(
            "a data version cannot say of itself who is odd",
            got=f"--third {third}",
            expected="a third one (see `factorlab versions`)",
        )
    classes = ingest.asset_classes(universes.load_universes(settings.universes_path))
    mine, theirs, *more = (ingest.version_bars(version.data_version_id) for version in versions)
    judge = more[0] if more else None
    month = min(version.month for version in versions)
    with store.read() as con:
        found = compare(con, mine, theirs, month, asset_classes=classes, third=judge)
    rows = found.to_pylist()
    for place, version in zip(("here   ", "there  ", "third  "), versions, strict=False):
        say_version(version, place)
    counts = Counter((row["kind"], row["odd"]) for row in rows)
    table = plain_table("kind", "odd: here", "there", "both", "unclear", numbers=4)
    for kind in sorted({row["kind"] for row in rows}):
        odd = [counts[kind, who] for who in ("here", "there", "both", "unclear")]
        table.add_row(kind, *map(str, odd))
    out.print(table if rows else f"no differences up to {month} beyond rounding")
    rows.sort(key=lambda r: (-abs(r["difference"] or 0), r["ticker"], r["date"]))
    worst = [
        [row[name] for name in ("ticker", "date", "kind", "odd")]
        + [percent(row["ret"]), percent(row["second_ret"]), row["evidence"]]
        for row in rows[:limit]
    ]
    show_noted(("ticker", "date", "kind", "odd", "here", "there"), worst)
    say_more(len(rows), limit)


@app.command()
def rules(demo: Demo = False) -> None:
    """Print what makes a bar suspect, why, and what is done about it."""
    from factorlab_assets import schemas
    from factorlab_assets.core.suspects import SUSPECT_RULES
    from factorlab_assets.price_rules import load_rules

    path = settings_of(demo).price_rules_path
    in_force = load_rules(path)
    for kind in schemas.SUSPECT_KINDS:
        out.print(f"\n[bold]{kind}[/bold]  action: {in_force.action(kind)}")
        for rule in SUSPECT_RULES[kind]:
            show_indented(rule.figure, 2)
            show_indented(rule.reason, 4, "dim")
    out.print(f"\nstrategies that mix bases: {in_force.mixed_basis}")
    out.print(f"rules: {plain(path)}{'' if path.exists() else ' (no file: the defaults)'}")


def _add_adjusted(
    bars: Sequence[dict[str, Any]],
    adjusted: Sequence[dict[str, Any]],
    basis: Sequence[dict[str, Any]],
) -> None:
    """To each bar its repaired close and, in the stretches where it is known, its total return."""
    known = [(s["first_date"], s["last_date"]) for s in basis if s["is_total_return_known"]]
    by_date = {row["date"]: row for row in adjusted if row["close"] is not None}
    for bar in bars:
        own = by_date.get(bar["date"])
        is_known = own and any(start <= bar["date"] <= end for start, end in known)
        bar["repaired"] = own["close"] if own else None
        bar["total_return"] = (
            own["close"] * own["growth"] if own and is_known and own["growth"] else None
        )


def _counted(rows: Sequence[dict[str, Any]], what: str, column: str) -> str:
    """How many there are, and of which sorts."""
    sorts = ", ".join(f"{n} {k}" for k, n in Counter(row[column] for row in rows).most_common())
    return f"{len(rows):,} {what}{'' if len(rows) == 1 else 's'}{': ' + sorts if rows else ''}"


def _basis(rows: Sequence[dict[str, Any]]) -> None:
    from factorlab_assets.reports import charts_prices

    said = []
    for row in rows:
        known = "known" if row["is_total_return_known"] else "not known"
        span = (row["first_date"], row["last_date"])
        said.append([charts_prices.NAMES[row["basis"]], *span, known, row["evidence"]])
    show_noted(("basis", "from", "to", "total return"), said)


def _suspects(rows: list[dict[str, Any]], limit: int) -> None:
    out.print(f"\n{_counted(rows, 'suspect', 'kind')}")
    rows.sort(key=lambda r: (SEVERITY[r["severity"]], r["ticker"], r["date"]))
    said = [
        [row[name] for name in ("ticker", "date", "kind", "severity", "action")]
        + [price(row["old_close"]), price(row["new_close"]), row["known_at"], row["evidence"]]
        for row in rows[:limit]
    ]
    heads = ("ticker", "date", "kind", "severity", "action", "was", "is", "known at")
    show_noted(heads, said)
    say_more(len(rows), limit)


def _distributions(rows: Sequence[dict[str, Any]]) -> None:
    out.print(f"\n{_counted(rows, 'distribution', 'status')}")
    said = []
    for row in rows[-LISTED:]:
        applied = row["applied_on"] or "–"
        amount = price(row["amount"])
        said.append([row["ex_date"], amount, row["status"], applied, row["evidence"]])
    show_noted(("ex-date", "amount", "status", "applied on"), said)
    if len(rows) > LISTED:
        out.print(f"[dim]the last {LISTED}; --from and --to choose others[/dim]")


def _last_bars(bars: Sequence[dict[str, Any]]) -> None:
    heads = ("date", "open", "close", "repaired", "total return", "volume")
    table = plain_table(*heads, numbers=5)
    for bar in bars[-LAST_BARS:]:
        prices = [bar[name] for name in ("open", "close", "repaired", "total_return")]
        volume = "–" if bar["volume"] is None else f"{bar['volume']:,.0f}"
        table.add_row(str(bar["date"]), *map(price, prices), volume)
    out.print()
    out.print(table)


def _picture(
    name: str,
    version: Version,
    bars: Sequence[dict[str, Any]],
    basis: Sequence[dict[str, Any]],
    suspects: Sequence[dict[str, Any]],
) -> str:
    import pyarrow as pa

    from factorlab_assets import schemas
    from factorlab_assets.reports import charts_prices
    from factorlab_assets.store_partitions import arrow_schema

    first, last = bars[0]["date"], bars[-1]["date"]
    seen = [
        s | {"first_date": max(s["first_date"], first), "last_date": min(s["last_date"], last)}
        for s in basis
        if s["last_date"] >= first and s["first_date"] <= last
    ]
    kinds = [("date", pa.date32()), ("close", pa.float64()), ("total_return", pa.float64())]
    stretches = pa.Table.from_pylist(seen, schema=arrow_schema(schemas.PRICE_BASIS))
    return charts_prices.price_picture(
        pa.Table.from_pylist(list(bars), schema=pa.schema(kinds)),
        stretches,
        pa.Table.from_pylist(list(suspects), schema=arrow_schema(schemas.SUSPECT_PRICES)),
        title=f"{name}, {version.data_version_id}",
        basis=charts_prices.overall_basis(stretches) if seen else version.price_basis,
    )


def _rows(store: Store, table: Table, version: Version, ticker: str) -> list[dict[str, Any]]:
    """A month's rows of this version, of one ticker or of all."""
    import duckdb

    with store.read() as con:
        relation = con.table(table.name).filter(
            (duckdb.ColumnExpression("data_version_id") == version.data_version_id)
            & (duckdb.ColumnExpression("month") == version.month)
        )
        if ticker:
            relation = relation.filter(duckdb.ColumnExpression("ticker") == ticker)
        rows: list[dict[str, Any]] = (
            relation.order(", ".join(table.primary_key)).to_arrow_table().to_pylist()
        )
    return rows


def _usable(store: Store, version: Version, *tables: Table) -> set[str]:
    """The tables that hold this version's month; says why the others do not: 0 rows were a lie."""
    import duckdb

    refused = {table.name: store.refusals(table, [version.month]) for table in tables}
    reasons = {name: said[version.month] for name, said in refused.items() if said}
    with store.read() as con:
        for name in refused.keys() - reasons.keys():
            of_month = duckdb.ColumnExpression("month") == version.month
            ids = con.table(name).filter(of_month).select("data_version_id").distinct().fetchall()
            if ids and (version.data_version_id,) not in ids:
                reasons[name] = f"computed from {ids[0][0]}; materialize it again"
    for name, reason in sorted(reasons.items()):
        out.print(f"[yellow]no {name}:[/yellow] {plain(reason)}")
    return refused.keys() - reasons.keys()


def _bars(store: Store, version: Version, ticker: str) -> list[dict[str, Any]]:
    """The ticker's bars of a version, by date.

    Raises
    ------
    FactorLabError : it has none.
    """
    import duckdb

    with store.read() as con:
        own = duckdb.ColumnExpression("data_version_id") == version.data_version_id
        every = con.table("raw_prices").filter(own)
        bars: list[dict[str, Any]] = (
            every.filter(duckdb.ColumnExpression("ticker") == ticker)
            .order("date")
            .to_arrow_table()
            .to_pylist()
        )
        if bars:
            return bars
        known = [name for (name,) in every.select("ticker").distinct().fetchall()]
    near = difflib.get_close_matches(ticker, known, n=5) or sorted(known)[:5]
    raise FactorLabError(
        "no bars of that ticker",
        where=f"data version {version.data_version_id}",
        got=ticker,
        expected=f"one of its {len(known):,} tickers: {', '.join(near)}, …",
    )


def _ticker(text: str) -> str:
    """A ticker in upper case, safe to stand in a file's name."""
    from factorlab_assets import schemas

    if not re.fullmatch(schemas.TICKER_PATTERN, text.upper()):
        raise FactorLabError("that is no ticker", got=repr(text), expected="letters, as in SPY")
    return text.upper()


def _day(text: str, default: dt.date) -> dt.date:
    try:
        return dt.date.fromisoformat(text) if text else default
    except ValueError:
        raise FactorLabError(
            "that is no day", got=repr(text), expected="year, month, day, as in 2024-05-31"
        ) from None
