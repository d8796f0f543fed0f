"""The synthetic source: what is promised of its numbers, and numbers frozen for every platform."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from pandera.errors import SchemaErrors

from factorlab_assets.core.calendar import month_ends, sessions
from factorlab_assets.schemas import RAW_PRICES
from factorlab_assets.sources import synthetic
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.synthetic import INCEPTIONS, VOLATILITIES, Synthetic, write_parquet

PROJECT_ROOT = Path(__file__).resolve().parents[2]
MAY = dt.date(2024, 5, 31)
UNIVERSE: dict[str, str] = yaml.safe_load((PROJECT_ROOT / "data/universes.yaml").read_text())[
    "etf13"
]["tickers"]


@pytest.fixture(scope="module")
def etfs() -> pa.Table:
    return Synthetic(UNIVERSE, seed=7).fetch(None, MAY).prices


def of(prices: pa.Table, ticker: str) -> pa.Table:
    return prices.filter(pc.field("ticker") == ticker)


def fingerprint(prices: pa.Table) -> str:
    """A hash of every value, bit by bit."""
    digest = hashlib.sha256("|".join(prices["ticker"].to_pylist()).encode())
    for name in PRICE_SCHEMA.names[1:]:
        digest.update(prices[name].to_numpy().tobytes())
    return digest.hexdigest()[:16]


def closes(prices: pa.Table) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Month-end closes, months x tickers, NaN before inception."""
    ends = month_ends("1993-01", "2024-05")
    tickers = sorted(set(prices["ticker"].to_pylist()))
    table = np.full((len(ends), len(tickers)), np.nan)
    for column, ticker in enumerate(tickers):
        bars = of(prices, ticker)
        last = np.searchsorted(bars["date"].to_numpy(), ends, side="right") - 1
        table[last >= 0, column] = bars["close"].to_numpy()[last[last >= 0]]
    return tickers, table


def daily_returns(prices: pa.Table, ticker: str) -> npt.NDArray[np.float64]:
    close = of(prices, ticker)["close"].to_numpy()
    return close[1:] / close[:-1] - 1


def test_the_numbers_are_frozen(etfs: pa.Table) -> None:
    # A change here changes every synthetic result ever shown: it needs a line in CHANGELOG.md.
    assert (etfs.num_rows, fingerprint(etfs)) == (72052, "4f7cd9eae87ac905")
    extras = Synthetic({}, seed=1, extra_tickers=3).fetch(None, dt.date(2010, 12, 31)).prices
    assert (extras.num_rows, fingerprint(extras)) == (5559, "754a438f59683421")


@pytest.mark.parametrize("through", ["1993-02-26", "2006-02-28", "2015-08-31", "2024-04-30"])
def test_a_months_history_is_a_prefix_of_a_later_months(etfs: pa.Table, through: str) -> None:
    day = dt.date.fromisoformat(through)
    earlier = Synthetic(UNIVERSE, seed=7).fetch(None, day).prices
    assert earlier.num_rows > 0
    assert earlier.equals(etfs.filter(pc.field("date") <= day).combine_chunks())


def test_a_series_depends_neither_on_the_others_asked_for_nor_on_the_extras(
    etfs: pa.Table,
) -> None:
    alone = Synthetic(UNIVERSE, seed=7).fetch(["GLD"], MAY).prices
    assert alone.equals(of(etfs, "GLD"))
    larger = Synthetic({"AAA": "Credit", **UNIVERSE}, seed=7, extra_tickers=5)
    assert of(larger.fetch(["X0002", "GLD"], MAY).prices, "GLD").equals(alone)
    more = Synthetic(UNIVERSE, seed=7, extra_tickers=9).fetch(["X0002"], MAY).prices
    assert more.equals(larger.fetch(["X0002"], MAY).prices)


def test_another_seed_is_another_history(etfs: pa.Table) -> None:
    other = Synthetic(UNIVERSE, seed=8).fetch(["SPY"], MAY).prices
    assert not np.allclose(
        other["close"].to_numpy()[:100], of(etfs, "SPY")["close"].to_numpy()[:100]
    )


def test_every_bar_satisfies_the_schema_of_raw_prices(etfs: pa.Table) -> None:
    extras = Synthetic({}, seed=3, extra_tickers=6).fetch(None, MAY).prices
    assert etfs.schema.equals(PRICE_SCHEMA)
    frame = pa.concat_tables([etfs, extras]).to_pandas()
    frame.insert(0, "month", "2024-05")
    frame.insert(1, "data_version_id", "2024-05-0123456789ab")
    try:
        RAW_PRICES.schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        pytest.fail(f"broken: {sorted(set(error.failure_cases['check']))}", pytrace=False)
    assert not frame.duplicated(["ticker", "date"]).any()


def test_prices_have_four_decimals_and_volumes_are_whole(etfs: pa.Table) -> None:
    for name in ("open", "high", "low", "close"):
        values = etfs[name].to_numpy()
        assert np.array_equal(values, np.round(values, 4))
    volume = etfs["volume"].to_numpy()
    assert np.array_equal(volume, np.rint(volume))
    assert volume.min() > 0


def test_the_etfs_list_on_their_real_first_days(etfs: pa.Table) -> None:
    assert set(INCEPTIONS) == set(UNIVERSE) == set(VOLATILITIES)
    for ticker, first in INCEPTIONS.items():
        assert of(etfs, ticker)["date"][0].as_py() == first, ticker


def test_the_first_days_are_those_of_the_vendors_files(shared_data: Path) -> None:
    late = [ticker for ticker in INCEPTIONS if ticker not in ("SPY", "QQQ", "DBC")]
    for ticker in late:
        with (shared_data / "alphavantage_2020" / f"{ticker}.csv").open() as file:
            first = min(row[0] for row in csv.reader(file) if row[0][:1].isdigit())
        assert INCEPTIONS[ticker].isoformat() == first, ticker
    for ticker in ("QQQ", "DBC", "HYG"):
        text = (shared_data / f"stooq/bulk_2024/{ticker.lower()}.us.txt").read_text()
        assert text.splitlines()[1].split(",")[2] == f"{INCEPTIONS[ticker]:%Y%m%d}", ticker


def test_days_are_sessions_with_a_few_missing(etfs: pa.Table) -> None:
    missing, longest = 0, 0
    for ticker, first in INCEPTIONS.items():
        days = of(etfs, ticker)["date"].to_numpy().astype("datetime64[D]")
        held = np.isin(sessions(first, MAY), days)
        assert held.sum() == len(days)
        missing += int((~held).sum())
        runs = "".join("x" if day else "." for day in held).split("x")
        longest = max(longest, *map(len, runs))
    assert 0.0005 < missing / etfs.num_rows < 0.002
    assert 2 <= longest <= 6


def test_volatility_is_that_of_the_class(etfs: pa.Table) -> None:
    for ticker, expected in VOLATILITIES.items():
        measured = float(np.std(daily_returns(etfs, ticker))) * 252**0.5
        assert measured == pytest.approx(expected, rel=0.15), ticker


def test_classes_move_together_and_apart_as_real_ones_do(etfs: pa.Table) -> None:
    tickers, price = closes(etfs)
    returns = price[1:] / price[:-1] - 1
    whole = np.isfinite(returns).all(axis=1)
    matrix = np.corrcoef(returns[whole].T)

    def correlation(one: str, other: str) -> float:
        return float(matrix[tickers.index(one), tickers.index(other)])

    assert correlation("SPY", "QQQ") > 0.7
    assert correlation("TLT", "IEF") > 0.8
    assert 0.3 < correlation("SPY", "VNQ") < 0.8
    assert correlation("SPY", "TLT") < 0.0
    assert abs(correlation("GLD", "IEF")) < 0.35


def test_returns_have_fat_tails_and_clustered_volatility(etfs: pa.Table) -> None:
    for ticker in ("SPY", "TLT", "GLD"):
        ret = daily_returns(etfs, ticker)
        z = (ret - ret.mean()) / ret.std()
        assert 4.5 < float(np.mean(z**4)) < 15, ticker
        size = np.abs(z)
        assert float(np.corrcoef(size[20:], size[:-20])[0, 1]) > 0.03, ticker
        assert abs(float(np.corrcoef(z[1:], z[:-1])[0, 1])) < 0.05, ticker


def momentum_sharpes() -> npt.NDArray[np.float64]:
    """Per seed, the Sharpe of sign(12-month return), equal risk, premium for holding taken off."""
    found = []
    for seed in range(10):
        tickers, price = closes(Synthetic(UNIVERSE, seed).fetch(None, MAY).prices)
        risk = np.array([VOLATILITIES[ticker] for ticker in tickers])
        premium = (synthetic.CASH_RETURN + synthetic.SHARPE * risk) / 12
        past = price[12:-1] / price[:-13] - 1 - 12 * premium
        following = price[13:] / price[12:-1] - 1 - premium
        earned = np.nanmean((np.sign(past) * following / risk)[12:], axis=1)
        found.append(earned.mean() / earned.std() * 12**0.5)
    return np.array(found)


def test_momentum_finds_trends_but_no_money_machine() -> None:
    found = momentum_sharpes()
    assert 0.25 < found.mean() < 0.6
    assert found.min() > -0.2
    assert found.max() < 1.2


def test_without_trends_momentum_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "TREND_SHARPE", 0.0)
    assert abs(momentum_sharpes().mean()) < 0.2


def test_a_users_own_tickers_list_on_a_day_of_their_own() -> None:
    own = Synthetic({"AAA": "Equity", "BBB": "Rates", "CCC": "Crypto"}, seed=7)
    fetched = own.fetch(None, MAY)
    firsts = [record.first_date for record in fetched.coverage]
    assert len(set(firsts)) == 3
    assert all(first and dt.date(1993, 1, 4) <= first < dt.date(2005, 1, 4) for first in firsts)
    assert own.fetch(None, MAY).coverage == fetched.coverage


def test_extra_tickers_list_and_delist_over_time() -> None:
    coverage = Synthetic({}, seed=7, extra_tickers=60).fetch(None, MAY).coverage
    assert [record.ticker for record in coverage][::59] == ["X0001", "X0060"]
    listed = [record.first_date for record in coverage if record.first_date]
    ended = [record for record in coverage if record.last_date and record.last_date.year < 2024]
    assert sum(first.year == 1990 for first in listed) > 10
    assert sum(first.year > 2000 for first in listed) > 20
    assert 10 < len(ended) < 40


def test_coverage_tells_what_each_asked_ticker_yielded() -> None:
    source = Synthetic(UNIVERSE, seed=7)
    fetched = source.fetch(["HYG", "NOPE", "SPY", "SPY"], dt.date(1993, 2, 26))
    hyg, nope, spy = fetched.coverage
    assert (hyg.status, hyg.detail) == ("no_data", "not listed in that time")
    assert (nope.status, nope.ticker) == ("missing", "NOPE")
    assert (spy.status, spy.n_rows, spy.last_date) == ("ok", 20, dt.date(1993, 2, 26))
    assert fetched.prices.num_rows == 20
    assert fetched.last_available == dt.date(1993, 2, 26)
    assert fetched.notes == ("SYNTHETIC: these prices are invented (seed 7)",)


def test_nothing_trades_before_the_start() -> None:
    begun = Synthetic(UNIVERSE, 7, extra_tickers=5, start=dt.date(2010, 1, 1)).fetch(None, MAY)
    assert pc.min(begun.prices["date"]).as_py() == dt.date(2010, 1, 4)


def test_before_the_first_listing_there_are_no_rows() -> None:
    fetched = Synthetic(UNIVERSE, 7).fetch(None, dt.date(1980, 1, 31))
    assert (fetched.prices.num_rows, fetched.last_available) == (0, None)
    assert fetched.prices.schema.equals(PRICE_SCHEMA)


def test_a_benchmark_panel_is_whole_and_ordered(tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    rows = write_parquet(path, n_tickers=60, n_years=2)
    panel = pq.read_table(path)
    n_sessions = len(sessions(dt.date(2022, 6, 1), MAY))
    assert panel.schema.equals(PRICE_SCHEMA)
    assert rows == panel.num_rows
    assert 0.99 < rows / (60 * n_sessions) < 1
    keys = list(zip(panel["ticker"].to_pylist(), panel["date"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert len({ticker for ticker, _ in keys}) == 60
    assert pc.min(panel["date"]).as_py() == dt.date(2022, 6, 1)
    assert rows == write_parquet(tmp_path / "again.parquet", n_tickers=60, n_years=2)
    assert panel.equals(pq.read_table(tmp_path / "again.parquet"))


def test_draws_are_nearly_normal() -> None:
    draws = synthetic._draws(7, "test", 100_000, 1)
    assert draws.mean() == pytest.approx(0, abs=0.01)
    assert draws.var() == pytest.approx(1, abs=0.01)
    assert np.abs(draws).max() < 3.47
