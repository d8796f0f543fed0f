"""One ingest of one month: what its files become, in which role, and what is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factorlab_assets.errors import FactorLabError
from factorlab_assets.ingest import Ingested, ingest
from factorlab_assets.schemas import CHARACTERISTICS, DISTRIBUTIONS, RAW_PRICES
from factorlab_assets.settings import Settings
from factorlab_assets.sources.vendor_csv import HEADER
from factorlab_assets.store import Store

MONTH = "2024-05"
STOOQ = "Date,Open,High,Low,Close\n2024-05-30,20,21,19,20\n2024-05-31,20,21,19,20.5\n"
VENDOR = (
    f"{HEADER}\n2024-06-03,10,11,9,10,8,100,0.0,2.0\n2024-05-31,40,42,38,41,8,100,1.0,1.0\n"
    "2024-05-30,40,42,38,40,8,100,0.0,1.0\n"
)

Run = Callable[..., Ingested]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", lock_timeout_s=0.5)


@pytest.fixture
def run(tmp_path: Path, store: Store) -> Run:
    """Ingest from the folders `stooq` and `vendor`, which have SPY and IEF but no GLD."""
    for folder, text in (("stooq", STOOQ), ("vendor", VENDOR)):
        for ticker in ("SPY", "IEF"):
            path = tmp_path / folder / f"{ticker}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    (tmp_path / "universes.yaml").write_text("u: {tickers: {SPY: Equity, IEF: Rates, GLD: Gold}}\n")

    def run(
        folder: str, month: str = MONTH, paid: str = "", own: str = "", **said: Any
    ) -> Ingested:
        settings = Settings(
            _env_file=None,
            root=tmp_path,
            universes_file=Path("universes.yaml"),
            universe="u",
            source={"stooq": "stooq-files", "vendor": "alphavantage"}[folder],
            source_path=tmp_path / folder,
            distributions_path=tmp_path / paid if paid else None,
            characteristics=Path(own) if own else None,
        )
        return ingest(store, settings, month, **said)

    return run


def listed(folder: Path, *lines: str) -> str:
    (folder / "paid.csv").write_text("\n".join(["ticker,ex_date,amount", *lines]))
    return "paid.csv"


def paid_of(store: Store, done: Ingested) -> list[tuple[str, dt.date, float, float]]:
    rows = store.load(DISTRIBUTIONS, [done.version.data_version_id]).to_pylist()
    return [(row["ticker"], row["ex_date"], row["amount"], row["split"]) for row in rows]


def test_the_second_vendor_may_be_a_months_prices(run: Run, store: Store) -> None:
    done = run("vendor", paid="vendor")
    version = store.current_version(MONTH)
    assert version == done.version
    assert (version.source, version.role, version.is_backfilled) == (
        "alphavantage",
        "primary",
        True,
    )
    bars = store.load(RAW_PRICES, [version.data_version_id])
    assert bars.column("close").to_pylist() == [20.0, 20.5] * 2
    first, last = dt.date(2024, 5, 30), dt.date(2024, 5, 31)
    assert paid_of(store, done) == [
        (ticker, day, amount, 1.0)
        for ticker in ("IEF", "SPY")
        for day, amount in ((first, 0.0), (last, 0.5))
    ]


def test_a_second_source_stands_beside_the_months_prices(run: Run, store: Store) -> None:
    first = run("stooq")
    done = run("vendor", second=True, paid="vendor")
    assert store.current_version(MONTH) == first.version
    assert store.second_version(MONTH) == done.version
    assert (done.version.role, done.version.source) == ("second", "alphavantage")
    with pytest.raises(FactorLabError, match="second data came from another source"):
        run("stooq", second=True)
    with pytest.raises(FactorLabError, match="primary data came from another source"):
        run("vendor")
    assert len(store.versions()) == 2


def test_without_prices_there_is_nothing_to_stand_beside(run: Run, store: Store) -> None:
    with pytest.raises(FactorLabError, match=r"no prices that a second.*without --second first"):
        run("vendor", second=True)
    assert store.versions() == []


def test_the_same_archive_is_no_second_source(run: Run, store: Store) -> None:
    run("stooq")
    with pytest.raises(FactorLabError, match="held against themselves"):
        run("stooq", second=True)
    assert store.second_version(MONTH) is None


@pytest.mark.parametrize("source", ["stooq-files", "alphavantage"])
def test_a_source_of_files_needs_a_path(store: Store, source: Any) -> None:
    with pytest.raises(FactorLabError, match=f"{source} needs an archive"):
        ingest(store, Settings(_env_file=None, source=source), MONTH)


def test_bad_distributions_store_nothing(run: Run, store: Store, tmp_path: Path) -> None:
    paid = listed(tmp_path, "SPY,2024-05-31,1", "IEF,2024-05-31,11", "XYZ,2024-05-31,1")
    with pytest.raises(FactorLabError, match=r"2 of 3 rows") as error:
        run("stooq", paid=paid)
    for told in ("IEF,2024-05-31,11 (amount above 25% of", "XYZ,2024-05-31,1 (unknown ticker)"):
        assert told in str(error.value)
    assert store.versions() == []


def test_panels_of_ones_own_are_of_tickers_with_bars_and_of_the_months_prices(
    run: Run, store: Store, tmp_path: Path
) -> None:
    lines = ["ticker,date,date_avail,value", "SPY,2024-03-31,2024-05-31,2.5"]
    (tmp_path / "own").mkdir()
    panel = tmp_path / "own" / "size.csv"
    panel.write_text("\n".join([*lines, "GLD,2024-03-31,2024-05-31,1"]))
    done = run("stooq", own="own")
    assert done.notes == ["size: 1 rows of 1 tickers without bars left out, as of GLD"]
    (row,) = store.load(CHARACTERISTICS, [done.version.data_version_id]).to_pylist()
    assert (row["ticker"], row["value"]) == ("SPY", 2.5)
    second = run("vendor", own="own", second=True)
    assert "characteristics are not read: no strategy reads a second source" in second.notes
    assert store.load(CHARACTERISTICS, [second.version.data_version_id]).num_rows == 0
    panel.write_text("\n".join([*lines, "IEF,2024-05-31,2024-03-31,1"]))
    before = store.versions()
    with pytest.raises(FactorLabError, match=r"size.csv line 3: IEF.*date_avail before date"):
        run("stooq", own="own")
    assert store.versions() == before


def test_distributions_of_a_ticker_without_bars_are_left_out_aloud(
    run: Run, store: Store, tmp_path: Path
) -> None:
    done = run("stooq", paid=listed(tmp_path, "SPY,2024-05-31,1", "GLD,2024-05-31,1"))
    assert paid_of(store, done) == [("SPY", dt.date(2024, 5, 31), 1.0, 1.0)]
    assert done.notes == ["1 distributions of tickers without bars left out"]


def test_both_real_vendors_stand_side_by_side(shared_data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    vendor = shared_data / "alphavantage_2020"

    def said(source: Any, path: Path) -> Settings:
        return Settings(_env_file=None, source=source, source_path=path, distributions_path=vendor)

    stooq = said("stooq-files", shared_data / "stooq" / "bulk_2024")
    first = ingest(store, stooq, "2020-11")
    second = ingest(store, said("alphavantage", vendor), "2020-11", second=True)
    assert (store.current_version("2020-11"), store.second_version("2020-11")) == (
        first.version,
        second.version,
    )
    assert (first.version.n_tickers, second.version.n_tickers) == (13, 13)
    assert paid_of(store, first) == paid_of(store, second)
    assert len(paid_of(store, first)) == 1437
    assert "a split after that is not in their amounts" in first.notes[-1]
    assert second.notes == []
    n, n_apart, n_splits = returns_apart(store, first, second)
    assert (n, n_splits) == (50_900, 5)
    assert n_apart < 0.006 * n


def returns_apart(store: Store, first: Ingested, second: Ingested) -> tuple[int, int, int]:
    """On how many ticker-days without a distribution both have a return, on how many these are
    more than 20 bp apart, and on how many days of a split they are within that.
    """
    with store.read() as con:
        found: tuple[int, int, int] = con.execute(
            """WITH returns AS (
                SELECT *, close / lag(close) OVER (
                    PARTITION BY data_version_id, ticker ORDER BY date) - 1 AS ret
                FROM raw_prices),
            pairs AS (
                SELECT abs(a.ret - b.ret) AS apart, coalesce(d.split, 1) AS split
                FROM returns AS a JOIN returns AS b USING (ticker, date)
                LEFT JOIN distributions AS d ON d.data_version_id = a.data_version_id
                    AND d.ticker = a.ticker AND d.ex_date = a.date
                WHERE a.data_version_id = ? AND b.data_version_id = ?
                    AND a.ret + b.ret IS NOT NULL AND coalesce(d.amount, 0) = 0)
            SELECT count(*), count(*) FILTER (apart > 0.002),
                count(*) FILTER (split <> 1 AND apart <= 0.002) FROM pairs""",
            [first.version.data_version_id, second.version.data_version_id],
        ).fetchall()[0]
    return found


def test_a_list_beside_invented_prices_is_left_aside_aloud(store: Store, tmp_path: Path) -> None:
    (tmp_path / "universes.yaml").write_text("u: {tickers: {SPY: Equity}}\n")
    settings = Settings(
        _env_file=None,
        root=tmp_path,
        universes_file=Path("universes.yaml"),
        universe="u",
        source="synthetic",
        distributions_path=tmp_path / listed(tmp_path, "IEF,2024-05-30,0.5"),
    )
    done = ingest(store, settings, MONTH)
    assert any("invented closes are total returns" in note for note in done.notes)
    assert done.version.price_basis == "synthetic"
    assert not store.load(DISTRIBUTIONS, [done.version.data_version_id]).num_rows
