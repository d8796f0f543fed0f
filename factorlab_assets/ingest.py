"""From a source to a stored data version: choose, fetch, judge coverage and freshness, store.

Belongs here: what one ingest of one month does. Does not: parsing formats, SQL, or Dagster.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import schemas
from factorlab_assets.characteristics import read_characteristics
from factorlab_assets.core import calendar
from factorlab_assets.distributions import read_distributions
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.sources import stooq_files, vendor_csv
from factorlab_assets.sources.base import Fetched, Source
from factorlab_assets.sources.stooq_http import StooqHttp
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.store import Store, Verdict, Version
from factorlab_assets.store_partitions import WARNING
from factorlab_assets.store_versions import another_source, current_of
from factorlab_assets.universes import NamedUniverse, load_universes

MIN_COVERED = 0.5
"""Below this share of requested tickers with bars the ingest is refused: a broken download, rather
than a few dead tickers."""

FROM_FILES: Mapping[str, tuple[Callable[[Path], Source], str]] = {
    "stooq-files": (stooq_files.StooqFiles, stooq_files.EXPECTED),
    "alphavantage": (vendor_csv.VendorCsv, vendor_csv.EXPECTED),
}
"""The sources that read what the user has on disk, and what is to be found there."""


@dataclass(frozen=True)
class Ingested:
    """A stored data version, what its source gave, and sentences for the user."""

    version: Version
    fetched: Fetched
    notes: Sequence[str]


def ingest(
    store: Store,
    settings: Settings,
    month: str,
    *,
    second: bool = False,
    replace_source: bool = False,
) -> Ingested:
    """Fetch everything known at the close of `month` and store it as a data version.

    The settings say which source, path, universe, distributions and characteristics. Nothing is
    stored unless the source covers enough of the tickers asked for, and reaches the month's last
    exchange session; a second source may end earlier, with a note.

    Parameters
    ----------
    second : store it beside the month's prices, as another source to hold them against.

    Raises
    ------
    FactorLabError : the month is not over, the source cannot be read, is stale or covers too
        little, a distribution or a characteristic is not usable, there are no prices for a second
        source to stand beside, or the month's current version in that role came from another
        source and `replace_source` is off.
    """
    end = calendar.month_end(month)
    if end >= dt.date.today():
        raise FactorLabError(
            "that month is not over",
            got=month,
            expected=f"a month up to {calendar.last_closed_month(dt.date.today())}",
        )
    role = "second" if second else "primary"
    _refuse_mixing(store, settings, month, role, replace_source)
    universes = load_universes(settings.universes_path)
    tickers = _tickers(settings, universes)
    source = source_of(settings, universes)
    fetched = source.fetch(tickers, end)
    verdicts = [_coverage(fetched), _freshness(fetched, end, second)]
    for verdict in verdicts:
        if not verdict.passed:
            raise FactorLabError(
                f"the {verdict.check} check failed; nothing was stored",
                where=f"ingest of {month} from {settings.source}",
                got=verdict.detail["got"],
                expected=verdict.detail["expected"],
                do="; ".join([*fetched.notes, verdict.detail["do"]]),
            )
    distributions, notes = _distributions(settings, fetched, end)
    characteristics, said = _characteristics(settings, fetched, end, second)
    notes += said
    version = store.add_version(
        month,
        fetched,
        source=settings.source,
        price_basis=_basis(settings, distributions),
        distributions=distributions,
        characteristics=characteristics,
        observed_at=_observed_at(settings, end),
        is_survivors=tickers is None and settings.source in FROM_FILES,
        role=role,
        replace_source=replace_source,
        verdicts=verdicts,
    )
    if isinstance(source, StooqHttp):
        source.finish(fetched, end)
    notes += [v.detail[WARNING] for v in verdicts if WARNING in v.detail]
    return Ingested(version, fetched, [*fetched.notes, *notes])


def _distributions(
    settings: Settings, fetched: Fetched, end: dt.date
) -> tuple[pa.Table | None, list[str]]:
    """The distributions of the tickers that have bars, and what there is to say about them."""
    if settings.distributions_path is None:
        return None, []
    if settings.source == "synthetic":
        return None, ["the list of distributions is not read: invented closes are total returns"]
    listed, notes = read_distributions(
        settings.path(settings.distributions_path),
        {record.ticker for record in fetched.coverage},
        end,
        bars=fetched.prices,
        adjusted_to=fetched.last_available or end,
    )
    held = listed.filter(pc.is_in(listed["ticker"], pc.unique(fetched.prices["ticker"])))
    if len(held) < len(listed):
        notes.append(f"{len(listed) - len(held)} distributions of tickers without bars left out")
    return held, notes


def _characteristics(
    settings: Settings, fetched: Fetched, end: dt.date, second: bool
) -> tuple[pa.Table | None, list[str]]:
    """The user's own panels of the tickers that have bars, and what there is to say about them."""
    if settings.characteristics is None:
        return None, []
    if second:
        return None, ["characteristics are not read: no strategy reads a second source"]
    priced = pc.unique(fetched.prices["ticker"]).to_pylist()
    return read_characteristics(settings.path(settings.characteristics), priced, end)


def source_of(settings: Settings, universes: dict[str, NamedUniverse]) -> Source:
    """The source that the settings name."""
    if settings.source in FROM_FILES:
        kind, expected = FROM_FILES[settings.source]
        if settings.source_path is None:
            raise FactorLabError(
                f"{settings.source} needs an archive",
                where="setting FACTORLAB_SOURCE_PATH",
                got="nothing",
                expected=expected,
                do="give --path, or set FACTORLAB_SOURCE_PATH in .env",
            )
        return kind(settings.path(settings.source_path))
    if settings.source == "stooq-http":
        return StooqHttp(settings.stooq_url, settings.stooq_apikey, settings.downloads_path)
    return Synthetic(asset_classes(universes), settings.seed, settings.extra_tickers)


def _tickers(settings: Settings, universes: dict[str, NamedUniverse]) -> list[str] | None:
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


def _refuse_mixing(
    store: Store, settings: Settings, month: str, role: str, replace_source: bool
) -> None:
    """Refuse before anything is fetched what the store would refuse after it."""
    ledger = store.versions()
    if role == "second" and current_of(ledger, month, "primary") is None:
        raise FactorLabError(
            "no prices that a second source could stand beside",
            where=f"{settings.database_path}, month {month}",
            expected="an ingested month (see `factorlab versions`)",
            do=f"ingest {month} without --second first",
        )
    current = current_of(ledger, month, role)
    if current is not None and current.source != settings.source and not replace_source:
        raise another_source(current, settings.source)


def _basis(settings: Settings, distributions: pa.Table | None) -> str:
    if settings.source == "synthetic":
        return "synthetic"
    return "close" if distributions is None else "total_return"


def _observed_at(settings: Settings, end: dt.date) -> dt.datetime:
    """When the source was looked at: a file's own time; invented prices have their month's end."""
    if settings.source == "synthetic":
        return dt.datetime.combine(end, dt.time())
    if settings.source in FROM_FILES and settings.source_path is not None:
        modified = settings.path(Path(settings.source_path)).stat().st_mtime
        return dt.datetime.fromtimestamp(modified, dt.UTC).replace(tzinfo=None, microsecond=0)
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)


def _freshness(fetched: Fetched, end: dt.date, second: bool) -> Verdict:
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
    if second and last != end:
        detail[WARNING] = f"the second source ends on {last}: nothing later is held against it"
    return Verdict("", "freshness", second or last == end, detail)


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


def asset_classes(universes: Mapping[str, NamedUniverse]) -> dict[str, str]:
    """Ticker -> asset class, of every universe."""
    return {t: cls for each in universes.values() for t, cls in each.tickers.items()}


def version_bars(data_version_id: str) -> str:
    """SQL relation expression: the bars of one data version."""
    return version_rows("raw_prices", data_version_id)


def version_rows(table: str, data_version_id: str) -> str:
    """SQL relation expression: one data version's rows of a table that is kept per version."""
    schemas.check_version(data_version_id)
    return f"(SELECT * FROM {table} WHERE data_version_id = '{data_version_id}')"  # noqa: S608  # a checked id
