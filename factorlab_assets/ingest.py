"""From a source to a stored data version: choose, fetch, judge coverage and freshness, store.

Belongs here: what one ingest of one month does. Does not: parsing formats, SQL, or Dagster.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from factorlab_assets import schemas, strategy
from factorlab_assets.core import calendar
from factorlab_assets.distributions import read_distributions
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.sources.base import Fetched, Source
from factorlab_assets.sources.stooq_files import StooqFiles
from factorlab_assets.sources.stooq_http import StooqHttp
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.store import Store, Verdict, Version

MIN_COVERED = 0.5
"""Below this share of requested tickers with bars the ingest is refused: a broken download, rather
than a few dead tickers."""


@dataclass(frozen=True)
class Ingested:
    """A stored data version, what its source gave, and sentences for the user."""

    version: Version
    fetched: Fetched
    notes: Sequence[str]


def ingest(
    store: Store, settings: Settings, month: str, *, replace_source: bool = False
) -> Ingested:
    """Fetch everything known at the close of `month` and store it as a data version.

    The settings say which source, path, universe and distributions. Nothing is stored unless the
    source reaches the month's last exchange session and covers enough of the tickers asked for.

    Raises
    ------
    FactorLabError : the month is not over, the source cannot be read, is stale or covers too
        little, or the month's current version came from another source and `replace_source` is off.
    """
    end = calendar.month_end(month)
    if end >= dt.date.today():
        raise FactorLabError(
            "that month is not over",
            got=month,
            expected=f"a month up to {calendar.last_closed_month(dt.date.today())}",
        )
    _refuse_mixing(store, settings, month, replace_source)
    universes = strategy.load_universes(settings.universes_path)
    tickers = _tickers(settings, universes)
    source = source_of(settings, universes)
    fetched = source.fetch(tickers, end)
    verdicts = [_coverage(fetched), _freshness(fetched, end)]
    for verdict in verdicts:
        if not verdict.passed:
            raise FactorLabError(
                f"the {verdict.check} check failed; nothing was stored",
                where=f"ingest of {month} from {settings.source}",
                got=verdict.detail["got"],
                expected=verdict.detail["expected"],
                do="; ".join([*fetched.notes, verdict.detail["do"]]),
            )
    distributions, notes = None, list(fetched.notes)
    if settings.distributions_path is not None:
        path = settings.path(settings.distributions_path)
        held = {record.ticker for record in fetched.coverage if record.n_rows}
        distributions, left_out = read_distributions(path, held, end)
        notes += left_out
    version = store.add_version(
        month,
        fetched,
        source=settings.source,
        price_basis=_basis(settings, distributions),
        distributions=distributions,
        observed_at=_observed_at(settings, end),
        is_survivors=tickers is None and settings.source == "stooq-files",
        replace_source=replace_source,
        verdicts=verdicts,
    )
    if isinstance(source, StooqHttp):
        source.finish(fetched, end)
    return Ingested(version, fetched, notes)


def source_of(settings: Settings, universes: dict[str, strategy.Universe]) -> Source:
    """The source that the settings name."""
    if settings.source == "stooq-files":
        if settings.source_path is None:
            raise FactorLabError(
                "stooq-files needs an archive",
                where="setting FACTORLAB_SOURCE_PATH",
                got="nothing",
                expected="Stooq's zip as downloaded, its unpacked folder, or a folder of CSV files",
                do="give --path, or set FACTORLAB_SOURCE_PATH in .env",
            )
        return StooqFiles(settings.path(settings.source_path))
    if settings.source == "stooq-http":
        return StooqHttp(settings.stooq_url, settings.stooq_apikey, settings.downloads_path)
    classes = {t: cls for universe in universes.values() for t, cls in universe.tickers.items()}
    return Synthetic(classes, settings.seed, settings.extra_tickers)


def _tickers(settings: Settings, universes: dict[str, strategy.Universe]) -> list[str] | None:
    if settings.universe == "all":
        return None
    if settings.universe not in universes:
        raise FactorLabError(
            "unknown universe",
            where="setting FACTORLAB_UNIVERSE",
            got=settings.universe,
            expected=f"'all' or one of {', '.join(sorted(universes))}",
            do=f"add it to {settings.universes_path} or correct the name",
        )
    return sorted(universes[settings.universe].tickers)


def _refuse_mixing(store: Store, settings: Settings, month: str, replace_source: bool) -> None:
    current = store.current_version(month)
    if current is not None and current.source != settings.source and not replace_source:
        raise FactorLabError(
            "the month's current data came from another source",
            where=f"{settings.database_path}, month {month}",
            got=settings.source,
            expected=current.source,
            do="use another data folder (FACTORLAB_DATA_DIR), or say --replace-source; the old "
            "version is kept either way",
        )


def _basis(settings: Settings, distributions: pa.Table | None) -> str:
    if settings.source == "synthetic":
        return "synthetic"
    return "close" if distributions is None else "total_return"


def _observed_at(settings: Settings, end: dt.date) -> dt.datetime:
    """When the source was looked at: a file's own time; invented prices have their month's end."""
    if settings.source == "synthetic":
        return dt.datetime.combine(end, dt.time())
    if settings.source == "stooq-files" and settings.source_path is not None:
        modified = settings.path(Path(settings.source_path)).stat().st_mtime
        return dt.datetime.fromtimestamp(modified, dt.UTC).replace(tzinfo=None, microsecond=0)
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)


def _freshness(fetched: Fetched, end: dt.date) -> Verdict:
    dates = fetched.prices.column("date")
    last = max((c.last_date for c in fetched.coverage if c.last_date), default=None)
    stale = [c.ticker for c in fetched.coverage if c.last_date and c.last_date < end]
    detail = {
        "got": f"last bar on {last}" if len(dates) else "no bars",
        "expected": f"bars up to the month's last session, {end}",
        "do": "fetch a newer archive, or ingest an earlier month",
        "tickers_ending_earlier": len(stale),
        "for_example": stale[:5],
    }
    return Verdict("", "freshness", last == end, detail)


def _coverage(fetched: Fetched) -> Verdict:
    without = [f"{c.ticker} ({c.status})" for c in fetched.coverage if c.status != "ok"]
    share = 1 - len(without) / max(len(fetched.coverage), 1)
    detail = {
        "got": f"bars for {share:.0%} of {len(fetched.coverage)} tickers; "
        f"without: {', '.join(without[:10]) or 'none'}",
        "expected": f"bars for at least {MIN_COVERED:.0%}",
        "do": "see which tickers the source lacks; fetch again, or choose a universe that it holds",
        "without_bars": without[:50],
        "rows_kept_out": sum(r.n_rows for r in fetched.rejections),
    }
    return Verdict("", "coverage", bool(fetched.coverage) and share >= MIN_COVERED, detail)


def version_bars(data_version_id: str) -> str:
    """SQL relation expression: the bars of one data version."""
    return version_rows("raw_prices", data_version_id)


def version_distributions(version: Version) -> str | None:
    """SQL relation expression: the distributions of one data version, None where it has none."""
    if version.price_basis != "total_return":
        return None
    return version_rows("distributions", version.data_version_id)


def version_rows(table: str, data_version_id: str) -> str:
    """SQL relation expression: one data version's rows of a table that is kept per version."""
    schemas.check_version(data_version_id)
    return f"(SELECT * FROM {table} WHERE data_version_id = '{data_version_id}')"  # noqa: S608  # a checked id


def caveats(version: Version, resolved: strategy.Resolved) -> str:
    """What an experiment's numbers know too much of: later restatements, only survivors."""
    said = ["backfilled"] * version.is_backfilled
    if resolved.tickers is None and version.is_survivors:
        said.append("survivors")
    return ", ".join(said)
