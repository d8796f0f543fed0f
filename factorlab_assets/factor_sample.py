"""The prices that a factor is shown on: a stored month's, or invented ones.

Belongs here: choosing and reading them, and the factor's values on them. Does not: drawing or
printing (`reports.charts_factors`, `cli_factors`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np

from factorlab_assets import ingest, prices, schemas
from factorlab_assets.core import factors, outside, signals
from factorlab_assets.core.factors import FactorSpec
from factorlab_assets.core.market import with_bars
from factorlab_assets.core.panel import Panel, panel_from_table
from factorlab_assets.core.returns import monthly_returns, plain
from factorlab_assets.errors import FactorLabError
from factorlab_assets.settings import Settings
from factorlab_assets.sources.synthetic import Synthetic
from factorlab_assets.store import Store, Version
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_assets.strategy_signals import Factor
from factorlab_assets.universes import load_universes

INVENTED = {
    "SPY": "Equity", "EFA": "Equity", "IEF": "Rates", "SHY": "Rates", "GLD": "Commodity",
    "VNQ": "REIT",
}  # fmt: skip
"""Tickers with invented prices, the default markets among them."""
INVENTED_FROM, INVENTED_MONTH = dt.date(2012, 1, 3), "2024-05"
MOST = 40
"""Of a data version without a ticker of any named universe: so many, evenly spaced by name."""


@dataclass(frozen=True)
class Sample:
    """A factor's values on some prices: dates, tickers, prices and values (T, N) in `series`.

    params : every parameter, checked. basis : what the prices are. source : where they are from.
    note : what kept the newest stored month from being it.
    """

    params: Mapping[str, Any]
    series: tuple[Any, Any, Any, Any]
    basis: str
    source: str
    note: str = ""


def of(store: Store, settings: Settings, spec: FactorSpec, given: Mapping[str, Any]) -> Sample:
    """The factor on the newest stored month, or on invented prices where there is none.

    Parameters
    ----------
    given : parameters; those left out have their defaults, and a panel that must be named and is
        not is an invented one.

    Raises
    ------
    FactorLabError : a parameter that is not allowed, or a panel that the month does not have.
    """
    unsaid = {p.name for p in spec.params if p.pattern and not p.default} - set(given)
    try:
        params = factors.check(spec.name, dict.fromkeys(unsaid, "invented") | dict(given))
    except ValueError as error:
        raise FactorLabError("bad parameter", got=error) from None
    factor = Factor(name=spec.name, params=params, delay=spec.delay)
    if unsaid:
        told = "; ".join(f"say --param {name}=NAME for one of yours" for name in sorted(unsaid))
        return _invented(factor, told)
    try:
        version = _newest(store)
    except FactorLabError as error:
        return _invented(factor, f"no stored month: {error}")
    if version is None:
        return _invented(factor, "")
    return _stored(store, settings, factor, version)


def _newest(store: Store) -> Version | None:
    """The version of the newest month, if its prices may be used."""
    with store.read():
        months = {version.month for version in store.versions()}
        if not months:
            return None
        for table in prices.READ_BY_RESEARCH:
            store.demand(table, [max(months)])
        return store.current_version(max(months))


def _stored(store: Store, settings: Settings, factor: Factor, version: Version) -> Sample:
    """The named universes' tickers of a month, on the basis that a strategy of them reads."""
    month = version.month
    with store.read() as con:
        monthly = store.load(schemas.MONTHLY_RETURNS, [month])
        stretches = store.load(schemas.PRICE_BASIS, [month])
        there = set(monthly["ticker"].unique().to_pylist())
        named = set(ingest.asset_classes(load_universes(settings.universes_path))) & there
        resolved = _shown(factor, named or _some(sorted(there)))
        synthetic = version.price_basis == "synthetic"
        chosen = prices.Chooser.of(stretches, is_synthetic=synthetic).choose(resolved)
        market = panel_from_table(monthly, chosen.basis)
        rows = ingest.version_rows("characteristics", version.data_version_id)
        if read := outside.read_by(resolved):
            outside.check_there(resolved, outside.panels_of(con, rows))
            market = outside.beside(market, outside.rows_of(con, rows, read))
        bars = prices.month_prices(month)
        market = with_bars(con, bars, market, chosen.basis, [resolved])
    return _sample(resolved, market, chosen.label, f"data version {version.data_version_id}")


def _some(tickers: list[str]) -> Iterable[str]:
    rows = np.unique(np.linspace(0, len(tickers) - 1, MOST).astype(int))
    return [tickers[row] for row in rows]


def _invented(factor: Factor, note: str) -> Sample:
    """Six tickers' invented prices; a panel from outside is what 1 / price was a quarter ago."""
    last = np.datetime64(INVENTED_MONTH, "M") + 1
    source = Synthetic(INVENTED, seed=7, start=INVENTED_FROM)
    bars = source.fetch(None, (last.astype("datetime64[D]") - 1).item()).prices
    resolved = _shown(factor, INVENTED)
    with duckdb.connect() as con:
        con.register("invented_bars", bars)
        own = plain("invented_bars")
        market = panel_from_table(monthly_returns(con, own, INVENTED_MONTH))
        market = with_bars(con, own, market, "close", [resolved])
    market = replace(market, outside={"invented": _published(market)})
    return replace(_sample(resolved, market, "synthetic", "invented prices"), note=note)


def _published(market: Panel) -> Any:
    """A number that is there each quarter, a month after it: so much for a unit of price."""
    quarter = np.arange(len(market.dates)) // 3 * 3 - 1
    return np.where(
        quarter[:, np.newaxis] > 0, 1.0 / market.price[np.maximum(quarter - 1, 0)], np.nan
    )


def _shown(factor: Factor, tickers: Iterable[str]) -> Resolved:
    strategy = Strategy(
        name="shown", description="a factor alone", factors=(factor,), benchmark="equal_weight"
    )
    return Resolved(strategy=strategy, tickers=tuple(sorted(tickers)), asset_classes={})


def _sample(resolved: Resolved, market: Panel, basis: str, source: str) -> Sample:
    raw = signals.compute_signals(resolved, market).raw[0]
    panel = signals.universe(resolved, market)
    series = (panel.dates, panel.tickers.tolist(), panel.price, raw)
    return Sample(resolved.strategy.factors[0].params, series, basis, source)
