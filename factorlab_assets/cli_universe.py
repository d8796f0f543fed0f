"""`factorlab universe`: who a strategy could hold at a date, and why not the others.

Belongs here: what is printed. Does not: deciding it (`core.membership`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import pyarrow.compute as pc
import typer

from factorlab_assets.cli_options import Demo, LatestMonth, current_version, settings_of, store_of
from factorlab_assets.cli_tables import out, plain, say_version, show_noted
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import MEMBER_REASONS, MEMBERSHIPS

NAMED = 60
"""Tickers named per reason."""


def universe(
    strategy: Annotated[str, typer.Argument(help="as `factorlab strategies` names it")],
    month: LatestMonth = "",
    date: Annotated[str, typer.Option(help="a day: the month-end up to it, else the last")] = "",
    demo: Demo = False,
) -> None:
    """Print a strategy's members at a month-end, and why the other tickers are none."""
    store = store_of(settings_of(demo))
    version = current_version(store, month)
    key = f"{version.month}|{strategy}"
    for reason in store.refusals(MEMBERSHIPS, [key]).values():
        raise FactorLabError(
            "no stored members of that strategy",
            where=f"month {version.month}",
            got=f"{strategy}: {reason}",
            expected="a strategy that was computed on the month (see `factorlab strategies`)",
            do=f"factorlab run --month {version.month} --strategy {strategy}",
        )
    rows = store.load(MEMBERSHIPS, [key])
    dates = sorted(pc.unique(rows["date"]).to_pylist())
    day = _month_end(date, dates)
    named: dict[str, list[str]] = {}
    for row in rows.filter(pc.equal(rows["date"], day)).to_pylist():
        named.setdefault(row["reason"], []).append(row["ticker"])
    everyone = sum(map(len, named.values()))
    say_version(version)
    out.print(
        f"[bold]{plain(strategy)}[/bold] at {day}: {len(named.get('member', []))} of {everyone} "
        "tickers may be held"
    )
    found = [reason for reason in MEMBER_REASONS if reason in named]
    show_noted(["reason", "names"], [(r, str(len(named[r])), _some(named[r])) for r in found])
    members = rows.filter(rows["is_member"])
    with_anyone = len(pc.unique(members["date"]))
    if with_anyone < len(dates):
        first = min(members["date"].to_pylist())
        out.print(
            f"[dim]nobody may be held on {len(dates) - with_anyone} of {len(dates)} month-ends; "
            f"the first with a member is {first}[/dim]"
        )


def _month_end(said: str, dates: list[dt.date]) -> dt.date:
    """The last of the dates up to the day that was said."""
    if not said:
        return dates[-1]
    try:
        day = dt.date.fromisoformat(said)
    except ValueError:
        day = dt.date.min
    known = [date for date in dates if date <= day]
    if not known:
        raise FactorLabError(
            "no month-end of the strategy up to that day",
            got=repr(said),
            expected=f"a day from {dates[0]} to {dates[-1]}, as in {dates[-1]}",
        )
    return known[-1]


def _some(tickers: list[str]) -> str:
    rest = len(tickers) - NAMED
    return ", ".join(tickers[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
