"""What the commands share: options, and the settings, store and data version that they choose.

Belongs here: what more than one file of commands needs. Does not: a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings

if TYPE_CHECKING:  # the store costs half a second that listings and errors do not need
    from factorlab_assets.store import Store, Version

Month = Annotated[str, typer.Option(help="calendar month, as in 2024-05")]
LatestMonth = Annotated[str, typer.Option(help="calendar month; by default the latest stored")]
Demo = Annotated[bool, typer.Option(help="the demo's own database instead of yours")]
Limit = Annotated[int, typer.Option(help="how many rows, the worst first", min=0)]


def settings_of(demo: bool = False) -> Settings:
    """The user's settings, or the demo's."""
    if demo:
        folder = Settings().data_dir / "demo"
        return Settings(data_dir=folder, database=None, source="synthetic")
    return Settings()


def store_of(settings: Settings) -> Store:
    """The store that the settings name."""
    from factorlab_assets.store import Store

    return Store(settings.database_path, lock_timeout_s=settings.lock_timeout_s)


def current_version(store: Store, month: str) -> Version:
    """The prices that a month points at; those of the latest month where none is named.

    Raises
    ------
    FactorLabError : that is no month, or nothing was ingested for it.
    """
    from factorlab_assets import schemas

    months = {version.month for version in store.versions()}
    if month:
        schemas.check_month(month)
    found = store.current_version(month or max(months, default=""))
    if found is None:
        raise FactorLabError(
            "no prices for that month" if month else "no prices yet",
            where=store.path,
            got=month,
            expected=f"one of {', '.join(sorted(months)[-6:])}" if months else "an ingested month",
            do=f"factorlab ingest --month {month or 'MONTH'} …",
        )
    return found


def stored_version(store: Store, data_version_id: str) -> Version:
    """A version whose bars are still there.

    Raises
    ------
    FactorLabError : that is no version, there was never one of that name, or it was pruned.
    """
    from factorlab_assets import schemas

    version = store.version(schemas.check_version(data_version_id))
    if data_version_id not in {p.partition for p in store.partitions(schemas.RAW_PRICES)}:
        raise FactorLabError(
            "the bars of that data version were pruned",
            where=store.path,
            got=data_version_id,
            do="ingest it again from the same file",
        )
    return version
