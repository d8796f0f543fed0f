"""The real files from end to end, against plain pandas that shares no code with the product.

Tolerance 1e-12: the same closes, divided and multiplied in another order.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factorlab_assets import ingest, prices, strategy, universes, verify
from factorlab_assets.core import factors, returns
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.schemas import SUSPECT_KINDS
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store, Version

MONTH, LAST = "2024-05", "2024-05-31"


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> tuple[Store, Version]:
    return _ingested(tmp_path_factory.mktemp("real"), shared_data / "stooq" / "bulk_2024")


@pytest.fixture(scope="module")
def month_ends(shared_data: Path) -> pd.DataFrame:
    """The last close of each month and ticker, of the files as they are."""
    files = sorted((shared_data / "stooq" / "bulk_2024").glob("*.txt"))
    closes = pd.concat(_closes(file.read_text()) for file in files)
    wide = closes[closes["date"] <= LAST].pivot(index="date", columns="ticker", values="close")
    return wide.groupby(wide.index.to_period("M")).last()


def _ingested(folder: Path, path: Path, universe: str = "etf13") -> tuple[Store, Version]:
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        source="stooq-files",
        source_path=path,
        universe=universe,
    )
    store = Store(settings.database_path)
    return store, ingest.ingest(store, settings, MONTH).version


def _closes(text: str) -> pd.DataFrame:
    """Ticker, date and close of one file, less the rows that hold a price of 0."""
    rows = pd.read_csv(io.StringIO(text))
    rows = rows[(rows[["<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>"]] > 0).all(axis=1)]
    rows = rows[["<TICKER>", "<DATE>", "<CLOSE>"]].set_axis(["ticker", "date", "close"], axis=1)
    rows["ticker"] = rows["ticker"].str.removesuffix(".US")
    return rows.assign(date=pd.to_datetime(rows["date"].astype(str)))


def _backtest(cell: tuple[Store, Version], name: str) -> pd.DataFrame:
    """A shipped strategy's rows of backtest_returns, by month, on closes as they came."""
    store, version = cell
    as_they_came = PriceRules(actions=dict.fromkeys(SUSPECT_KINDS, "keep"))
    settings = Settings(_env_file=None)
    good, _ = strategy.load_strategies(settings.strategies_path, factors.complete)
    named = universes.load_universes(settings.universes_path)
    inputs = prices.Inputs(version, None, as_they_came)
    rows = verify.recompute(store, inputs, strategy.resolve(good[name], named, good))
    frame = rows["backtest_returns"].to_pandas()
    return frame.set_index(pd.to_datetime(frame["date"]).dt.to_period("M"))


def _cagr(nav: pd.Series) -> float:
    return (nav.iloc[-1] / nav.iloc[0]) ** (12 / (len(nav) - 1)) - 1


def test_spy_bought_and_held_grows_as_its_file_says(
    thirteen: tuple[Store, Version], month_ends: pd.DataFrame
):
    ours = _backtest(thirteen, "equal_weight_13")["benchmark_return"]
    spy = month_ends["SPY"].loc[ours.index[0] - 1 :]
    assert (1 + ours).prod() ** (12 / len(ours)) - 1 == pytest.approx(_cagr(spy), rel=1e-12)
    assert _cagr(spy) == pytest.approx(0.0923, abs=5e-5)  # without most of its dividends


def test_equal_weight_earns_the_mean_of_what_had_a_price(
    thirteen: tuple[Store, Version], month_ends: pd.DataFrame
):
    ours = _backtest(thirteen, "equal_weight_13")["gross_return"]
    means = (month_ends / month_ends.shift() - 1).mean(axis=1)  # leaves out what has no return yet
    assert ours.index[0] == pd.Period("2005-03")
    assert ours.to_numpy() == pytest.approx(means.loc[ours.index].to_numpy(), rel=1e-12, abs=1e-15)


def test_momentum_grows_as_a_plain_loop_says_costs_included(
    thirteen: tuple[Store, Version], month_ends: pd.DataFrame
):
    ours = _backtest(thirteen, "xsmom_12_1")
    expected = pd.Series(dict(_momentum_nav(month_ends)))
    assert ours.index[0] == pd.Period("2006-03")
    assert ours["nav"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert ours["cost"].sum() > 0.05  # costs that the loop has to get right


def _momentum_nav(month_ends: pd.DataFrame) -> Iterator[tuple[pd.Period, float]]:
    """NAV of the four best of P[t−1]/P[t−12], a quarter each, 10 bps two-way on what is traded."""
    changes = month_ends / month_ends.shift() - 1
    scores = month_ends.shift(1) / month_ends.shift(12) - 1
    first = scores.index[scores.notna().sum(axis=1) >= 8][0]
    nav, cost = 1.0, 0.0
    held: Mapping[str, float] = {}
    for month in scores.loc[first:].index:
        if held:
            change = {ticker: changes.at[month, ticker] for ticker in held}
            gross = sum(weight * change[ticker] for ticker, weight in held.items())
            nav *= 1 + gross - cost
            held = {t: weight * (1 + change[t]) / (1 + gross) for t, weight in held.items()}
            yield month, nav
        known = scores.loc[month].dropna()
        best = sorted(known.index, key=lambda ticker: (-known[ticker], ticker))[:4]
        wanted = dict.fromkeys(best, 0.25)
        traded = {*held, *wanted}
        cost = sum(abs(wanted.get(t, 0.0) - held.get(t, 0.0)) for t in traded) * 10 / 1e4
        held = wanted


@pytest.fixture(scope="module")
def whole_archive(shared_data: Path) -> pd.DataFrame:
    """Every close of the archive up to the month, (dates, tickers), as the files have them."""
    with zipfile.ZipFile(shared_data / "stooq" / "us_etfs_20240621.zip") as archive:
        files = [name for name in archive.namelist() if name.endswith(".txt")]
        closes = pd.concat(_closes(archive.read(name).decode()) for name in files)
    closes = closes[closes["date"] <= LAST].drop_duplicates(["ticker", "date"], keep="first")
    return closes.pivot(index="date", columns="ticker", values="close")


@pytest.mark.slow
def test_every_month_of_the_whole_archive_is_what_pandas_makes_of_it(
    whole_archive: pd.DataFrame, tmp_path: Path, shared_data: Path
):
    archive = shared_data / "stooq" / "us_etfs_20240621.zip"
    store, version = _ingested(tmp_path, archive, universe="all")
    assert version.n_tickers == len(whole_archive.columns) == 607
    with store.read() as con:
        bars = ingest.version_bars(version.data_version_id)
        ours = returns.monthly_returns(con, returns.plain(bars), MONTH).to_pandas()
    price, stale, has_bar = _by_pandas(whole_archive)
    wide = {name: ours.pivot(index="date", columns="ticker", values=name) for name in ours}
    found = wide["price"].set_axis(pd.PeriodIndex(wide["price"].index, freq="M"))
    found = found.reindex(index=price.index, columns=price.columns)
    np.testing.assert_allclose(found, price, rtol=1e-12)
    change = price / price.shift() - 1
    got = wide["ret"].set_axis(found.index).reindex(columns=price.columns)
    np.testing.assert_allclose(got, change, rtol=1e-12, atol=1e-15)
    ours_early = ours[ours["sessions_stale"] > 0]
    early = (stale > 0) & has_bar
    assert len(ours_early) == early.to_numpy().sum() == 695
    assert ours_early["price"].isna().sum() == (early & price.isna()).to_numpy().sum() == 25


def _by_pandas(closes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Month-end prices at most five sessions old, the age of each, and who traded in the month."""
    position = pd.Series(np.arange(len(closes)), index=closes.index)
    last_bar = closes.notna().mul(position + 1, axis=0).replace(0, np.nan).ffill() - 1
    months = closes.index.to_period("M")
    end = position.groupby(months).last()
    stale = (-last_bar.groupby(months).last()).add(end, axis=0)
    price = closes.ffill().groupby(months).last().where(stale <= 5)
    return price, stale, closes.notna().groupby(months).any()


def test_the_months_end_is_the_exchanges_last_session(thirteen: tuple[Store, Version]):
    assert thirteen[1].last_date == dt.date(2024, 5, 31)
    assert thirteen[1].is_backfilled
