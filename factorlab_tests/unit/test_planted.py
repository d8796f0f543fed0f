"""Planted errors: they are where the list says, as large as it says, and nowhere else."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from factorlab_assets.core.calendar import sessions
from factorlab_assets.sources.base import PRICE_SCHEMA
from factorlab_assets.sources.planted import MARKET, Planted, Rates, plant
from factorlab_assets.sources.planted_dividends import file_of, significant, split_tickers
from factorlab_assets.sources.synthetic import Synthetic

FIRST, LAST = dt.date(2006, 1, 1), dt.date(2022, 12, 30)
TICKERS = {f"{name[:2].upper()}{at}": name for name in ("Equity", "Rates") for at in range(8)}
NONE = Rates().times(0)
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def bars() -> pa.Table:
    return Synthetic(TICKERS, seed=3, start=FIRST).fetch(None, LAST).prices


@pytest.fixture(scope="module")
def clean(bars: pa.Table) -> Planted:
    return plant(bars, 1, rates=NONE, asset_classes=TICKERS)


@pytest.fixture(scope="module")
def planted(bars: pa.Table) -> Planted:
    """Many errors of all kinds but those which change all that is before them."""
    many = Rates(
        missing=4, stale=4, spike=4, decimal=4, ohlc=4, volume=4, outlier=4, split=0, peers=0
    )
    return plant(bars, 1, rates=many, asset_classes=TICKERS)


def by_bar(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas(date_as_object=False)
    return frame.set_index([frame["ticker"], frame["date"]]).drop(columns=["ticker", "date"])


def errors(planted: Planted, kind: str) -> pd.DataFrame:
    truth = planted.truth.to_pandas(date_as_object=False)
    return truth[truth["kind"] == kind]


def spans(planted: Planted, kinds: set[str]) -> set[tuple[str, pd.Timestamp]]:
    """Every (ticker, session) that the list says is wrong."""
    days = pd.DatetimeIndex(sessions(FIRST, LAST))
    truth = planted.truth.to_pandas(date_as_object=False)
    return {
        (row.ticker, day)
        for row in truth[truth["kind"].isin(kinds)].itertuples()
        for day in days[(days >= row.date) & (days <= row.last_date)]
    }


def test_the_same_seed_plants_the_same_and_another_seed_something_else(
    bars: pa.Table, planted: Planted
) -> None:
    ours = plant(bars, 1, asset_classes=TICKERS)
    again, other = (plant(bars, seed, asset_classes=TICKERS) for seed in (1, 2))
    assert ours == again
    assert ours.prices != other.prices
    for kind in ("spike", "ohlc", "missing"):
        assert not errors(ours, kind).equals(errors(other, kind))
    assert ours.distributions != other.distributions


def test_without_errors_the_file_is_as_the_vendor_wrote_it(bars: pa.Table, clean: Planted) -> None:
    assert clean.prices.schema == PRICE_SCHEMA
    for ticker in split_tickers(bars):
        filed = file_of(ticker, 1).bars
        ours = by_bar(clean.prices).loc[ticker.ticker]
        assert (ours.index == ticker.days).all()
        for name in ("close", "volume"):
            assert (ours[name].to_numpy() == getattr(filed, name)).all()
        # Opens differ where news came at night.
        assert 0.9 < (ours["open"].to_numpy() == filed.open).mean() < 1
    assert set(clean.truth["kind"].to_pylist()) == {"missing"}, "the source's own gaps"


def test_every_change_is_listed_and_everything_listed_is_a_change(
    clean: Planted, planted: Planted
) -> None:
    before, after = by_bar(clean.prices), by_bar(planted.prices)
    gone = set(before.index) - set(after.index)
    lacking = spans(planted, {"missing"}) - spans(clean, {"missing"})
    market = errors(planted, "missing_market")
    for day, share in zip(market["date"], market["size"], strict=True):
        held = before.xs(day, level="date").index
        lost = {(name, at) for name, at in gone if at == day} - lacking
        assert 0.3 < share < 1, "with so many errors many tickers have one near"
        # The share is of the tickers that trade before and after; some errors hold on to a bar.
        assert len(lost) == pytest.approx(share * len(held), abs=1.01)
        gone -= lost
    assert gone == lacking

    held = before.loc[after.index]
    changed = set(after.index[(held != after).any(axis=1)])
    kinds = {"stale", "spike", "decimal", "ohlc", "volume", "outlier"}
    assert changed <= spans(planted, kinds)
    for kind in kinds:
        assert len(errors(planted, kind)) >= 10
        starts = set(errors(planted, kind).set_index(["ticker", "date"]).index)
        # A stale bar may be right by chance, and times 100 undo an earlier, lasting 1/100.
        assert len(starts - changed) <= (2 if kind in ("stale", "decimal") else 0), kind


@pytest.mark.parametrize(
    ("kind", "sigmas", "least", "most"), [("spike", 8, 0.03, 0.35), ("outlier", 10, 0.05, 0.25)]
)
def test_wrong_closes_are_as_large_as_promised(
    bars: pa.Table,
    clean: Planted,
    planted: Planted,
    kind: str,
    sigmas: float,
    least: float,
    most: float,
) -> None:
    wrong = by_bar(planted.prices)["close"]
    true = by_bar(clean.prices)["close"].loc[wrong.index]
    log = np.log(by_bar(bars)["close"])
    moves = log.groupby(level=0).diff().abs()
    sigma = moves.groupby(level=0).transform(lambda x: 1.4826 * x.rolling(63).median().shift(1))
    assert len(errors(planted, kind)) > 20
    for row in errors(planted, kind).itertuples():
        key = (row.ticker, row.date)
        # Beside the bar before: all bars may have the wrong unit.
        error = (wrong / true).loc[row.ticker].loc[: row.date]
        assert error.iloc[-1] / error.iloc[-2] - 1 == pytest.approx(row.size, abs=3e-5)
        assert max(least, sigmas * sigma[key]) * (1 - 1e-9) <= abs(row.size) <= most


def test_nothing_is_planted_where_there_is_nothing() -> None:
    nothing = plant(PRICE_SCHEMA.empty_table(), 1)
    assert nothing.truth.num_rows == nothing.prices.num_rows == 0
    assert nothing.distributions.num_rows == nothing.total_return.num_rows == 0


def test_contradictory_bars_are_those_of_the_list(planted: Planted) -> None:
    rows = by_bar(planted.prices)
    highest, lowest = rows[["open", "close"]].max(axis=1), rows[["open", "close"]].min(axis=1)
    found = set(rows.index[(rows["high"] < highest) | (rows["low"] > lowest)])
    assert found == spans(planted, {"ohlc"}) & set(rows.index)


def test_stale_runs_repeat_the_bar_before(planted: Planted) -> None:
    close = by_bar(planted.prices)["close"]
    for row in errors(planted, "stale").itertuples():
        mine = close.loc[row.ticker]
        before = mine[mine.index < row.date].iloc[-1]
        run = mine[(mine.index >= row.date) & (mine.index <= row.last_date)]
        assert len(run) == row.size >= 4
        assert (run == before).all()


@pytest.mark.parametrize("kind", ["split", "peers"])
def test_what_lasts_is_one_jump(bars: pa.Table, clean: Planted, kind: str) -> None:
    lasting = plant(bars, 1, rates=Rates(**{**vars(NONE), kind: 3.0}), asset_classes=TICKERS)
    ratio = by_bar(lasting.prices)["close"] / by_bar(clean.prices)["close"]
    jumps = ratio / ratio.groupby(level=0).shift(1)
    wrong = errors(lasting, kind).set_index(["ticker", "date"])["size"] + (kind == "peers")
    assert len(wrong) > 20
    found = jumps[(jumps - 1).abs() > 0.01].sort_index()
    # Six significant digits on each side of the jump, two decimals where prices are small.
    pd.testing.assert_series_equal(found, wrong.sort_index(), check_names=False, rtol=1e-3)


def test_a_split_error_is_told_with_the_distributions(bars: pa.Table) -> None:
    split = plant(bars, 1, rates=Rates(**{**vars(NONE), "split": 3.0}))
    wrong = errors(split, "split").set_index(["ticker", "date"])["size"]
    assert len(wrong) > 20
    told = split.distributions.to_pandas(date_as_object=False).set_index(["ticker", "ex_date"])
    for key, size in wrong.items():
        expected = {"twice": size, "missing": 1 / size}[told.loc[key, "truth"]]
        assert told.loc[key, "split"] == pytest.approx(expected)


def test_two_large_moves_in_five_happen_mostly_overnight(clean: Planted) -> None:
    file = by_bar(clean.prices)
    before = file["close"].groupby(level=0).shift(1)
    move, gap = np.log(file["close"] / before), np.log(file["open"] / before)
    sigma = (
        move.abs().groupby(level=0).transform(lambda x: 1.4826 * x.rolling(63).median().shift(1))
    )
    is_large = move.abs() > 4 * sigma
    assert is_large.sum() > 300
    assert 0.3 < (gap / move > 0.5)[is_large].mean() < 0.5
    assert (file["high"] >= file["open"]).all()
    assert (file["low"] <= file["open"]).all()


@pytest.fixture(scope="module")
def by_basis(bars: pa.Table) -> dict[str, Planted]:
    return {
        basis: plant(bars, 1, rates=NONE, basis=basis)
        for basis in ("adjusted", "price_only", "mixed")
    }


def test_what_a_holder_earned_does_not_depend_on_the_file(by_basis: dict[str, Planted]) -> None:
    adjusted, price_only, mixed = by_basis.values()
    assert adjusted.total_return == price_only.total_return == mixed.total_return
    assert adjusted.prices != price_only.prices != mixed.prices
    paid = [of.distributions.drop_columns(["truth"]) for of in by_basis.values()]
    assert paid[0] == paid[1] == paid[2]
    truths = [set(of.distributions["truth"].to_pylist()) - {"none"} for of in by_basis.values()]
    # A split that the file carries is no dividend.
    assert truths == [{"carried", "early"}, {"carried", "missing"}, {"carried", "early", "missing"}]


def test_prices_and_dividends_make_the_synthetic_total_return(
    bars: pa.Table, by_basis: dict[str, Planted]
) -> None:
    """Return by return: (P + D) / P_before of the price-only file is that of the source's bars."""
    of = by_basis["price_only"]
    paid = of.distributions.to_pandas(date_as_object=False).set_index(["ticker", "ex_date"])
    close, wealth = by_bar(of.prices)["close"], by_bar(of.total_return)["close"]
    before = close.groupby(level=0).shift(1)
    amount = paid["amount"].reindex(close.index).fillna(0)
    ours = ((close + amount) / before).dropna()
    true = (wealth / wealth.groupby(level=0).shift(1)).dropna()
    # Six significant digits in two closes: 1e-5.
    assert np.abs(ours - true).max() < 1.1e-5
    source = by_bar(bars)["close"]
    given = (source / source.groupby(level=0).shift(1)).dropna()
    # Two closes in cents as traded (before a 1:10 split ten of ours), and a dividend finer still.
    cents = np.abs(true - given) * before.dropna() / 0.01
    assert cents.mul(paid["split"].clip(upper=1).groupby("ticker").prod(), level=0).max() < 1.02


def test_a_price_without_dividends_is_in_cents_as_it_was_traded(
    by_basis: dict[str, Planted],
) -> None:
    """Before a split of 2 that the file carries, twice its close is in cents."""
    of = by_basis["price_only"]
    file = of.prices.to_pandas(date_as_object=False)
    paid = of.distributions.to_pandas(date_as_object=False)
    splits = paid[paid["split"] != 1]
    assert len(splits) >= 5
    for row in splits.itertuples():
        file.loc[(file["ticker"] == row.ticker) & (file["date"] < row.ex_date), PRICES] *= row.split
    traded = file[PRICES].to_numpy()
    traded = traded[(traded >= 1) & (traded < 1000)]
    assert np.abs(traded * 100 - np.rint(traded * 100)).max() < 0.11, "six digits of up to 1000"


@pytest.mark.parametrize("basis", ["adjusted", "mixed"])
def test_the_file_carries_what_the_list_says(by_basis: dict[str, Planted], basis: str) -> None:
    of = by_basis[basis]
    file, raw = by_bar(of.prices), by_bar(by_basis["price_only"].prices)
    paid = of.distributions.to_pandas(date_as_object=False)
    factor = file["close"] / raw["close"]
    step = factor / factor.groupby(level=0).shift(-1)
    cash = raw["close"].groupby(level=0).shift(1)
    told = {name: rows.set_index("ex_date") for name, rows in paid.groupby("ticker")}
    seen = dict.fromkeys(("carried", "early", "missing"), 0)
    for name, rows in told.items():
        expected = pd.Series(1.0, index=file.loc[name].index)
        for day, row in rows[rows["amount"] > 0].iterrows():
            at = expected.index.get_loc(day)
            seen[row["truth"]] += 1
            if row["truth"] != "missing":
                back = at - 1 - (row["truth"] == "early")
                expected.iloc[back] *= 1 - row["amount"] / cash[(name, day)]
        assert np.abs(step.loc[name].dropna() - expected[:-1]).max() < 2.1e-5
    assert all(seen[truth] > 3 for truth in ("carried", "early"))
    assert (seen["missing"] > 100) == (basis == "mixed")


def test_a_row_with_a_factor_has_a_fraction_of_a_share_and_one_without_is_as_traded(
    by_basis: dict[str, Planted],
) -> None:
    file, raw = by_bar(by_basis["mixed"].prices), by_bar(by_basis["price_only"].prices)
    has_factor = (file["close"] / raw["close"] - 1).abs() > 1e-4
    assert (file[~has_factor] - raw[~has_factor]).abs().loc[:, PRICES].max().max() < 0.01
    assert (raw["volume"] % 1 == 0).all()
    is_whole = (file["volume"] % 1 == 0).where(has_factor).dropna().groupby(level=0).mean()
    assert set(np.round(is_whole).unique()) == {0, 1}, "repaired tickers have whole volumes"
    assert ((is_whole < 0.01) | (is_whole == 1)).all()
    worth = file["close"] * file["volume"] / (raw["close"] * raw["volume"]) - 1
    assert worth.abs().max() < 1e-3, "what was traded in money is the same"


def test_lists_of_distributions_end_with_the_file(planted: Planted) -> None:
    paid = planted.distributions.to_pandas(date_as_object=False)
    last = planted.total_return.to_pandas(date_as_object=False).groupby("ticker")["date"].max()
    assert not paid.duplicated(["ticker", "ex_date"]).any()
    pd.testing.assert_series_equal(paid.groupby("ticker")["ex_date"].max(), last, check_names=False)
    assert MARKET not in set(paid["ticker"])


def test_prices_have_a_vendors_digits() -> None:
    values = np.array([1.234567, 12.345678, 123.45678, 1234.5678, 1098603.5251, 0.01234567])
    expected = [1.23457, 12.3457, 123.457, 1234.57, 1098603.53, 0.0123457]
    assert significant(values, 6).tolist() == expected
