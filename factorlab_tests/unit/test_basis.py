"""What closes carry of their distributions, on files of which it is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core.basis import distribution_status, price_basis
from factorlab_assets.schemas import DISTRIBUTION_STATUS, PRICE_BASIS
from factorlab_tests.vendor_files import EVERY, Traded, lend

MONTH = "2025-12"
ALL, NONE = range(99), range(0)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def traded() -> Traded:
    return Traded()


def every(traded: Traded) -> range:
    return range(len(traded.at))


def told(
    con: duckdb.DuckDBPyConnection,
    bars: pa.Table,
    paid: pa.Table,
    second: pa.Table | None,
    month: str = MONTH,
) -> list[dict[str, Any]]:
    lend(con, bars=bars, paid=paid)
    if second is not None:
        lend(con, second=second)
    name = "second" if second is not None else None
    return distribution_status(con, "bars", "paid", name, month).to_pylist()


def statuses(rows: list[dict[str, Any]]) -> str:
    """One letter each: carried, early, missing, unknown."""
    return "".join(row["status"][0] for row in rows)


def test_a_second_file_of_plain_prices_tells_each_distribution(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    n = len(traded.at)
    raw = traded.file(NONE, digits=2)
    for carried in (every(traded), NONE, range(3, 9), [0, 1, 2, 4, 5, 8]):
        rows = told(con, traded.file(carried), traded.paid(), raw)
        assert statuses(rows) == "".join("c" if k in carried else "m" for k in range(n))
        for k, row in enumerate(rows):
            later = [i for i in carried if i > k]
            factor = np.prod([1 - traded.amount[i] / traded.close[traded.at[i] - 1] for i in later])
            assert row["factor"] == pytest.approx(factor, abs=3e-5)
            assert row["carried"] == (row["amount"] if k in carried else 0)
            on_ex_date = row["ex_date"] if k in carried else None
            assert row["applied_on"] == on_ex_date
            assert row["known_at"] == traded.days[-1].item()


def test_the_columns_are_those_of_the_table(con: duckdb.DuckDBPyConnection, traded: Traded) -> None:
    lend(con, bars=traded.file(ALL[: len(traded.at)]), paid=traded.paid())
    status = distribution_status(con, "bars", "paid", "bars", MONTH)
    keys = ("month", "data_version_id")
    assert status.column_names == [c for c in DISTRIBUTION_STATUS.columns if c not in keys]
    basis = price_basis(con, "bars", "paid", status, None, MONTH)
    assert basis.column_names == [c for c in PRICE_BASIS.columns if c not in keys]
    assert not con.sql("SELECT * FROM duckdb_views() WHERE view_name LIKE 'factorlab%'").fetchall()


def test_a_second_file_that_carries_what_this_one_lacks_tells_as_well(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    rows = told(con, traded.file(NONE), traded.paid(), traded.file(every(traded)))
    assert set(statuses(rows)) == {"m"}
    assert {row["factor"] for row in rows} == {1.0}, "this file prints plain cents itself"


def test_of_two_files_that_carry_the_same_nothing_can_be_told(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    carried = every(traded)
    rows = told(con, traded.file(carried), traded.paid(), traded.file(carried))
    assert statuses(rows)[:-1] == "u" * (len(rows) - 1)
    assert statuses(rows)[-1] == "c", "the last adjusted row dates the last distribution"


def test_a_distribution_carried_some_bars_early_is_dated(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    moved = {2: -1, 6: -3}
    bars = traded.file(every(traded), moved=moved)
    rows = told(con, bars, traded.paid(), traded.file(NONE, digits=2))
    assert [k for k, row in enumerate(rows) if row["status"] == "early"] == [2, 6]
    for k, by in moved.items():
        assert rows[k]["applied_on"] == traded.days[traded.at[k] + by].item()
        assert rows[k]["early_until"] == rows[k]["ex_date"]
        due = 1 / (1 - traded.amount[k] / traded.close[traded.at[k] - 1]) - 1
        assert rows[k]["early_step"] == pytest.approx(due, abs=3e-5)


def test_a_wrong_close_before_an_ex_date_is_no_early_distribution(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    k = 4
    prices = traded.prices.copy()
    prices[3, traded.at[k] - 1] -= traded.amount[k]  # the second's close, ex-dividend a day soon
    second = traded.table(prices, traded.volume)
    rows = told(con, traded.file(every(traded)), traded.paid(), second)
    assert set(statuses(rows)) == {"c"}


def test_a_wrong_bar_before_an_ex_date_is_none_either_unless_its_volume_tells_the_same(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    eve = traded.at[4] - 1
    prices = traded.prices.copy()
    prices[:, eve] -= traded.amount[4]
    second = traded.table(prices, traded.volume)
    rows = told(con, traded.file(every(traded)), traded.paid(), second)
    assert set(statuses(rows)) == {"c"}


def test_a_distribution_carried_late_is_dated(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    bars = traded.file(every(traded), moved={5: 2})
    rows = told(con, bars, traded.paid(), traded.file(NONE, digits=2))
    assert set(statuses(rows)) == {"c"}
    assert rows[5]["applied_on"] == traded.days[traded.at[5] + 2].item()


@pytest.mark.parametrize(
    ("share", "status"), [(0.3, "missing"), (0.7, "carried"), (1.5, "carried")]
)
def test_how_much_of_an_amount_is_carried_is_measured(
    con: duckdb.DuckDBPyConnection, traded: Traded, share: float, status: str
) -> None:
    bars = traded.file(every(traded), share={3: share})
    row = told(con, bars, traded.paid(), traded.file(NONE, digits=2))[3]
    assert row["status"] == status
    assert row["carried"] == pytest.approx(share * row["amount"], abs=0.02 * row["amount"])
    assert f"{row['carried'] / row['amount']:.2f} of it" in row["evidence"]


def test_plain_cents_and_whole_volumes_alone_show_that_nothing_is_carried(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    assert set(statuses(told(con, traded.file(NONE), traded.paid(), None))) == {"m"}
    rows = told(con, traded.file(range(7)), traded.paid(), None)
    assert statuses(rows) == "u" * 6 + "c" + "m" * (len(rows) - 7)
    assert rows[7]["evidence"].startswith("plain cents and whole volumes since")


def test_prices_alone_show_it_where_volumes_were_made_whole_again(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    bars = traded.file(range(7))
    whole = pa.array(np.round(bars["volume"].to_numpy()))
    rows = told(con, bars.set_column(6, "volume", whole), traded.paid(), None)
    assert statuses(rows) == "u" * 6 + "c" + "m" * (len(rows) - 7)


@pytest.mark.parametrize("scale", [100.0, 0.5])
def test_prices_in_another_unit_around_an_ex_date_are_not_read(
    con: duckdb.DuckDBPyConnection, traded: Traded, scale: float
) -> None:
    bars = traded.file(every(traded))
    slip = np.ones(len(traded.days))
    slip[traded.at[5] - 8 : traded.at[5] + 3] = scale
    for place, name in enumerate(("open", "high", "low", "close"), start=2):
        bars = bars.set_column(place, name, pa.array(bars[name].to_numpy() * slip))
    rows = told(con, bars, traded.paid(), traded.file(NONE, digits=2))
    assert set(statuses(rows)) == {"c"}


def test_a_lasting_step_that_is_no_distribution_tells_nothing(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    bars = traded.file(NONE, digits=2)
    wrong = np.where(np.arange(len(traded.days)) >= traded.at[5], 1.05, 1.0)
    for place, name in enumerate(("open", "high", "low", "close"), start=2):
        bars = bars.set_column(place, name, pa.array(bars[name].to_numpy() * wrong))
    rows = told(con, bars, traded.paid(), traded.file(NONE, digits=2))
    assert statuses(rows) == "m" * 5 + "u" + "m" * (len(rows) - 6)


def test_only_what_the_month_knew_is_looked_at(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    bars, raw = traded.file(every(traded)), traded.file(NONE, digits=2)
    rows = told(con, bars, traded.paid(), raw, "2019-06")
    assert max(row["ex_date"] for row in rows) <= dt.date(2019, 6, 28)
    assert {row["known_at"] for row in rows} == {dt.date(2019, 6, 28)}
    later = np.flatnonzero(traded.days[traded.at] > np.datetime64("2019-06-28"))
    last = np.prod([1 - traded.amount[k] / traded.close[traded.at[k] - 1] for k in later])
    assert rows[-1]["factor"] == pytest.approx(last, abs=3e-5), "what later rows carry scales these"


def test_an_ex_date_that_no_return_touches_has_no_row(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    bars = traded.file(NONE)
    some = bars.slice(int(traded.at[2]), int(traded.at[5] - traded.at[2]))
    rows = told(con, some, traded.paid(), None)
    assert [row["ex_date"] for row in rows] == traded.days[traded.at[3:5]].tolist()


def test_two_distributions_without_a_bar_between_them_share_what_is_found(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    k = int(traded.at[4])
    paid = traded.paid().to_pylist()
    paid.append({**paid[4], "ex_date": traded.days[k - 1].item()})
    keep = np.ones(len(traded.days), bool)
    keep[k - 1] = False
    rows = told(
        con, traded.file(NONE).filter(keep), pa.Table.from_pylist(paid), traded.file(NONE, digits=2)
    )
    assert len(rows) == len(traded.at) + 1
    assert set(statuses(rows)) == {"m"}


def basis_of(
    con: duckdb.DuckDBPyConnection,
    bars: pa.Table,
    paid: pa.Table | None,
    second: pa.Table | None,
) -> list[tuple[str, bool, dt.date, dt.date]]:
    rows = [] if paid is None else told(con, bars, paid, second)
    lend(con, bars=bars)
    if second is not None:
        lend(con, second=second)
    status = pa.Table.from_pylist(rows) if rows else pa.table({"ticker": pa.array([], pa.string())})
    table = price_basis(
        con, "bars", "paid" if paid is not None else None, status,
        "second" if second is not None else None, MONTH,
    )  # fmt: skip
    return [
        (r["basis"], r["is_total_return_known"], r["first_date"], r["last_date"])
        for r in table.to_pylist()
    ]


def test_stretches_follow_the_distributions_and_cover_the_bars(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    day = [d.item() for d in traded.days]
    raw = traded.file(NONE, digits=2)
    assert basis_of(con, traded.file(every(traded)), traded.paid(), raw) == [
        ("adjusted", True, day[0], day[-1])
    ]
    assert basis_of(con, raw, traded.paid(), raw) == [("price_only", True, day[0], day[-1])]
    at = traded.at
    assert basis_of(con, traded.file(range(5, 9)), traded.paid(), raw) == [
        ("price_only", True, day[0], day[at[5] - 1]),
        ("adjusted", True, day[at[5]], day[at[9] - 1]),
        ("price_only", True, day[at[9]], day[-1]),
    ]


def test_a_distribution_left_out_makes_its_surroundings_mixed(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    n, raw = len(traded.at), traded.file(NONE, digits=2)
    first, last = traded.days[0].item(), traded.days[-1].item()
    but_one = [k for k in range(n) if k != 6]
    assert basis_of(con, traded.file(but_one), traded.paid(), raw) == [("mixed", True, first, last)]
    two_sides = [k for k in range(5, n) if k != 7]  # missing ×5, carried ×2, missing, carried …
    assert [row[0] for row in basis_of(con, traded.file(two_sides), traded.paid(), raw)] == [
        "price_only",
        "mixed",
    ]


def test_total_returns_are_unknown_around_what_cannot_be_told_alone(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    keep = np.ones(len(traded.days), bool)
    keep[traded.at[5] : traded.at[6]] = False  # no second source there
    raw = traded.file(NONE, digits=2).filter(keep)
    day = [d.item() for d in traded.days]
    assert basis_of(con, traded.file(every(traded)), traded.paid(), raw) == [
        ("adjusted", True, day[0], day[traded.at[5] - 1]),
        ("unknown", False, day[traded.at[5]], day[traded.at[7] - 1]),
        ("adjusted", True, day[traded.at[7]], day[-1]),
    ]


def test_a_list_holds_to_its_last_row_or_until_a_distribution_is_overdue(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    raw = traded.file(NONE)
    paid = traded.paid()
    upto = paid.slice(0, 8)  # no row that says it is complete
    gap = np.median(np.diff(traded.days[traded.at[:8]]).astype(int))
    rows = basis_of(con, raw, upto, raw)
    assert [row[:2] for row in rows] == [("price_only", True), ("price_only", False)]
    end = traded.days[traded.at[7]].item() + dt.timedelta(int(1.5 * gap))
    assert rows[0][3] <= end < rows[1][2]
    complete = pa.concat_tables([upto, paid.slice(paid.num_rows - 1)])
    assert [row[:2] for row in basis_of(con, raw, complete, raw)] == [("price_only", True)]


@pytest.mark.parametrize(("kept", "is_known"), [(slice(0, None), True), (slice(9, None), False)])
def test_a_list_holds_from_its_first_row_or_until_a_distribution_would_be_due(
    con: duckdb.DuckDBPyConnection, traded: Traded, kept: slice, is_known: bool
) -> None:
    paid = traded.paid().to_pylist()[kept]
    lend(con, bars=traded.file(NONE, digits=2), paid=pa.Table.from_pylist(paid))
    status = distribution_status(con, "bars", "paid", None, MONTH)
    first, *_, last = 2 * price_basis(con, "bars", "paid", status, None, MONTH).to_pylist()
    assert (first["is_total_return_known"], last["is_total_return_known"]) == (is_known, True)
    if not is_known:
        assert first["evidence"].startswith("list begins 20")
        due = paid[0]["ex_date"] - first["last_date"]
        assert dt.timedelta(EVERY) < due < dt.timedelta(3 * EVERY), "a gap and a half, in days"


def test_a_list_without_a_distribution_makes_price_returns_total_returns(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    nothing = traded.paid().slice(len(traded.at))
    first, last = traded.days[0].item(), traded.days[-1].item()
    assert basis_of(con, traded.file(NONE), nothing, None) == [("adjusted", True, first, last)]


def test_without_a_list_the_print_tells_where_the_factor_is_one(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    day = [d.item() for d in traded.days]
    assert basis_of(con, traded.file(NONE), None, None) == [("price_only", False, day[0], day[-1])]
    assert basis_of(con, traded.file(range(7)), None, None) == [
        ("unknown", False, day[0], day[traded.at[6] - 1]),
        ("price_only", False, day[traded.at[6]], day[-1]),
    ]


def test_without_a_list_the_steps_to_a_plain_second_file_tell(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    raw = traded.file(NONE, digits=2)
    full = basis_of(con, traded.file(every(traded)), None, raw)
    assert [row[:2] for row in full] == [("adjusted", True)]
    assert basis_of(con, raw, None, raw)[0][:2] == ("price_only", False)
    half = basis_of(con, traded.file(range(7)), None, raw)
    assert [row[:2] for row in half] == [("adjusted", True), ("price_only", False)]
    assert traded.days[traded.at[6]] < half[1][2] < traded.days[traded.at[8]]


def test_a_list_that_goes_on_beyond_the_month_is_complete_to_its_end(
    con: duckdb.DuckDBPyConnection, traded: Traded
) -> None:
    """As where a later version is read up to an earlier month."""
    end, later = dt.date(2019, 3, 29), traded.days[-1].item()
    nothing = pa.Table.from_pylist(
        [
            {"ticker": "A", "ex_date": day, "amount": 0.0, "split": 1.0}
            for day in (traded.days[0].item(), later)
        ]
    )
    lend(con, bars=traded.file(NONE, digits=2), paid=nothing)
    status = distribution_status(con, "bars", "paid", None, "2019-03")
    (one,) = price_basis(con, "bars", "paid", status, None, "2019-03").to_pylist()
    assert (one["last_date"], one["basis"], one["is_total_return_known"]) == (end, "adjusted", True)
    (before,) = price_basis(con, "bars", "paid", status, None, "2018-12").to_pylist() or (None,)
    assert before is None, "no bars yet"


@pytest.mark.parametrize("lacking", [2.0, 0.5, 0.125])
@pytest.mark.parametrize("in_list", [2.0, 0.5, 8.0, 1.0])
def test_amounts_before_a_split_that_the_file_lacks_are_in_its_older_unit(
    con: duckdb.DuckDBPyConnection, traded: Traded, lacking: float, in_list: float
) -> None:
    """A split in the list that the closes have not, or have twice; none where the list says so."""
    at, prices = traded.at[6] + 3, traded.prices.copy()
    prices[:, :at] *= lacking
    paid = traded.paid().to_pylist()
    paid.append({"ticker": "A", "ex_date": traded.days[at].item(), "amount": 0.0, "split": in_list})
    listed = pa.Table.from_pylist(sorted(paid, key=lambda row: row["ex_date"]))
    rows = told(con, traded.table(np.round(prices, 2), traded.volume), listed, None)
    known = lacking if lacking in (in_list, 1 / in_list) else 1.0
    for k, row in enumerate(rows):
        if row["status"] == "missing":
            assert row["factor"] == pytest.approx(known if k <= 6 else 1.0)
    assert sum(row["status"] == "missing" for row in rows) >= len(rows) - 7


def test_a_ticker_of_any_name_is_text_alone(con: duckdb.DuckDBPyConnection, traded: Traded) -> None:
    name = "O'HARE"
    bars, paid = traded.file(NONE, digits=2, ticker=name), traded.paid(name)
    rows = told(con, bars, paid, traded.file(NONE, digits=2, ticker=name))
    assert {row["ticker"] for row in rows} == {name}
    assert set(statuses(rows)) == {"m"}
