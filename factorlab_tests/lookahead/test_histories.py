"""The altered histories are what altering the bars by hand, one history at a time, gives."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest

from factorlab_assets.core.bars import Bars
from factorlab_assets.core.calendar import month_of, month_starts
from factorlab_assets.core.histories import PULSE, Histories, build_histories
from factorlab_assets.core.panel import VALUES, Panel, panel_from_table
from factorlab_assets.core.returns import bars_beside, monthly_returns
from factorlab_tests.lookahead.conftest import ETFS, MONTH


@pytest.fixture(scope="module", params=["bars", "grown"], ids=["close", "total_return"])
def table(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def histories(con: duckdb.DuckDBPyConnection, table: str) -> Histories:
    return build_histories(con, table, MONTH, sorted(ETFS))


@pytest.fixture
def editable(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Own copies of the ETFs' prices, to be altered by hand."""
    wanted = ", ".join(f"'{ticker}'" for ticker in ETFS)
    with duckdb.connect() as own:
        for name in ("bars", "grown"):
            rows = con.sql(f"FROM {name} WHERE ticker IN ({wanted})").to_arrow_table()
            own.register("rows", rows)
            own.execute(f"CREATE TABLE {name} AS FROM rows")
            own.unregister("rows")
        yield own


def panel_of(con: duckdb.DuckDBPyConnection, table: str, month: str = MONTH) -> Panel:
    return panel_from_table(monthly_returns(con, table, month))


def assert_identical(one: Panel, two: Panel) -> None:
    assert one.tickers.tolist() == two.tickers.tolist()
    assert one.dates.tolist() == two.dates.tolist()
    for name in VALUES:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


def months(day: np.datetime64, later: int) -> tuple[str, str]:
    month = day.astype("datetime64[M]") + later
    return str(month), str(month_starts(str(month), str(month))[0])


def test_each_calendar_month_is_cut_once_and_some_days_in_mid_month(histories: Histories):
    days = [cut.day for cut in histories.cuts if cut.part == "truncation"]
    ends = [day for day in days if day in histories.base.dates]
    assert sorted(int(str(day)[5:7]) for day in ends) == list(range(1, 13))
    assert len(days) - len(ends) == 3
    assert min(ends) < histories.base.dates[36]
    assert max(ends) == histories.base.dates[-2]


def test_a_truncated_history_is_that_of_bars_that_end_there(
    histories: Histories, editable: duckdb.DuckDBPyConnection, table: str
):
    truncated = [cut for cut in histories.cuts if cut.part == "truncation"]
    for cut in sorted(truncated, key=lambda cut: cut.day, reverse=True):
        editable.execute(f"DELETE FROM {table} WHERE date > '{cut.day}'")
        assert_identical(cut.panel, panel_of(editable, table, month_of(cut.day.item())))


def test_a_wild_future_has_inverted_wild_deleted_and_new_tickers(histories: Histories):
    for cut in histories.cuts:
        if cut.part == "truncation":
            continue
        base, after = histories.base, cut.panel.dates > cut.day
        own = cut.panel.select(base.tickers)
        known = np.isfinite(base.mark[: len(own.dates)][after])
        moved = own.mark[after] / base.mark[: len(own.dates)][after]
        deleted = known.any(axis=0) & np.isnan(own.mark[after]).all(axis=0)
        assert deleted.any()
        assert (np.nanmax(moved[:, ~deleted], axis=0, initial=0.0) > 10).any()
        new = [ticker for ticker in cut.panel.tickers if ticker.startswith("ZZ.")]
        assert {ticker[3:] for ticker in new} == set(base.tickers[deleted])
        assert np.isnan(cut.panel.select(new).mark[~after]).all()


def test_a_pulse_of_one_ticker_is_that_of_its_bars_multiplied(
    histories: Histories, editable: duckdb.DuckDBPyConnection, table: str
):
    pulse = histories.pulses[1]
    month, entry = months(pulse.day, 1)
    editable.execute(
        f"UPDATE {table} SET open = before.close, close = before.close, seen = before.close "
        f"FROM (SELECT ticker, arg_max(close, date) AS close FROM {table} "
        f"WHERE date <= '{pulse.day}' GROUP BY ticker) AS before "
        f"WHERE {table}.ticker = before.ticker AND {table}.date = '{entry}'"
    )
    assert_identical(pulse.calm, panel_of(editable, table, month))
    editable.execute(
        f"UPDATE {table} SET open = open * {PULSE}, close = close * {PULSE}, seen = seen * {PULSE} "
        f"WHERE date > '{entry}' AND ticker = 'GLD'"
    )
    assert_identical(pulse.moved_alone("GLD"), panel_of(editable, table, month))


def test_a_gap_is_that_of_deleted_bars(
    histories: Histories, editable: duckdb.DuckDBPyConnection, table: str
):
    pulse = histories.pulses[0]
    month, _ = months(pulse.day, 1)
    calm, full = pulse.calm, pulse.gapped.select(pulse.calm.tickers)
    row = len(calm.dates) - 1
    gone = np.isin(calm.tickers, pulse.deleted)
    assert 0 < gone.sum() < len(gone)
    for name in VALUES:
        found, expected = getattr(full, name), getattr(calm, name)
        assert np.isnan(found[row, gone]).all()
        np.testing.assert_array_equal(found[row, ~gone], expected[row, ~gone])
        np.testing.assert_array_equal(found[:row], expected[:row])
    assert np.isfinite(full.price[row + 1 : row + 3]).all()
    assert str(full.dates[-1])[:7] == months(pulse.day, 3)[0]
    assert month == str(full.dates[row])[:7]


def test_the_noise_has_the_true_days_and_no_drift(histories: Histories):
    for noise in histories.noises:
        np.testing.assert_array_equal(np.isfinite(noise.price), np.isfinite(histories.base.price))
        returns = noise.price[1:] / noise.price[:-1] - 1.0
        known = returns[np.isfinite(returns)]
        assert abs(known.mean() / known.std() * np.sqrt(known.size)) < 3
        later, sooner = returns[1:].ravel(), returns[:-1].ravel()
        both = np.isfinite(later) & np.isfinite(sooner)
        assert abs(np.corrcoef(later[both], sooner[both])[0, 1]) < 0.1


def test_the_next_month_leaves_the_noise_alone(
    con: duckdb.DuckDBPyConnection, histories: Histories, table: str
):
    sooner = build_histories(con, table, "2010-05", ["GLD", "SPY"])
    for noise, known in zip(histories.noises, sooner.noises, strict=True):
        assert_identical(noise.select(["GLD", "SPY"]).until(known.dates[-1]), known)
    one, two = sooner.noises
    assert not np.isclose(one.price, two.price, rtol=1e-6).any()


def test_nothing_is_left_behind_on_the_connection(con: duckdb.DuckDBPyConnection):
    before = con.sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    build_histories(con, "bars", MONTH, ["SPY", "IEF"])
    with pytest.raises(duckdb.Error):
        build_histories(con, "no_such_table", MONTH, ["SPY", "IEF"])
    assert con.sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall() == before
    assert con.sql("SELECT * FROM duckdb_views() WHERE NOT internal").fetchall() == []


@pytest.mark.parametrize("first", ["2018-12-03", "2018-11-01", "2018-06-01", "2017-06-01"])
def test_a_short_history_has_fewer_alterations(con: duckdb.DuckDBPyConnection, first: str):
    bars = f"(FROM bars WHERE date >= '{first}')"
    short = build_histories(con, bars, MONTH, ["SPY", "IEF"])
    n_months = len(short.base.dates)
    for pulse in short.pulses:
        assert pulse.day in short.base.dates[:-1]
    ends = [cut for cut in short.cuts if cut.part == "truncation" and cut.day in short.base.dates]
    assert len(ends) == min(12, n_months - 1)


@pytest.fixture(scope="module")
def dressed(con: duckdb.DuckDBPyConnection) -> Histories:
    return build_histories(con, "grown", MONTH, sorted(ETFS), with_bars=True)


def bars_of(con: duckdb.DuckDBPyConnection, panel: Panel) -> Bars:
    return bars_beside(con, "grown", "close", panel.dates, panel.tickers.tolist())


def assert_same_bars(one: Bars | None, two: Bars | None) -> None:
    assert one is not None
    assert two is not None
    for name in ("days", "month", "close", "dollar_volume"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    for name in ("row", "column", "seen", "known_at"):
        np.testing.assert_array_equal(getattr(one.late, name), getattr(two.late, name))


def test_histories_without_bars_have_the_same_months(
    con: duckdb.DuckDBPyConnection, dressed: Histories
):
    plain = build_histories(con, "grown", MONTH, sorted(ETFS))
    for one, two in zip((plain.base, *plain.noises), (dressed.base, *dressed.noises), strict=True):
        assert_identical(one, two)
    for cut, other in zip(plain.cuts, dressed.cuts, strict=True):
        assert_identical(cut.panel, other.panel)
    for pulse, same in zip(plain.pulses, dressed.pulses, strict=True):
        for kind in ("calm", "moved", "gapped"):
            assert_identical(getattr(pulse, kind), getattr(same, kind))


def test_bars_that_are_cut_off_are_as_they_were_known_then(
    dressed: Histories, editable: duckdb.DuckDBPyConnection
):
    assert_same_bars(dressed.base.bars, bars_of(editable, dressed.base))
    assert dressed.base.bars is not None
    assert len(dressed.base.bars.late.row) > 50
    straddled = 0
    for cut in sorted(dressed.cuts, key=lambda cut: cut.day, reverse=True):
        if cut.part != "truncation":
            continue
        day = f"DATE '{cut.day}'"
        editable.execute(f"DELETE FROM grown WHERE date > {day}")
        (late,) = editable.execute(
            f"UPDATE grown SET close = seen, known_at = NULL WHERE known_at > {day}"
        ).fetchall()
        straddled += late[0]
        assert_same_bars(cut.panel.bars, bars_of(editable, cut.panel))
    assert straddled > 0


def test_a_wild_future_of_bars_changes_what_comes_after_and_late_repairs_alone(
    con: duckdb.DuckDBPyConnection,
):
    late = "CASE WHEN seen <> close THEN date + 200 END"
    bars = f"(SELECT * REPLACE ({late} AS known_at) FROM grown)"
    histories = build_histories(con, bars, MONTH, sorted(ETFS), with_bars=True)
    straddled = 0
    for cut in histories.cuts:
        if cut.part == "truncation":
            continue
        own, base = cut.panel.select(histories.base.tickers).bars, histories.base.bars
        assert own is not None
        assert base is not None
        assert_same_bars(own.as_known(cut.day), base.as_known(cut.day))
        late = own.late.where((own.late.known_at > cut.day) & (own.days[own.late.row] <= cut.day))
        straddled += len(late.row)
        np.testing.assert_array_equal(own.close[late.row, late.column], 3 * late.seen)
        after = own.days > cut.day
        later = base.close[: len(own.days)][after], base.dollar_volume[: len(own.days)][after]
        known = np.isfinite(later[0]) & np.isfinite(own.close[after])
        assert known.any()
        for now, then in ((own.close[after], later[0]), (own.dollar_volume[after], later[1])):
            changed = known & (now != then)
            np.testing.assert_array_equal(changed.any(axis=0), known.any(axis=0))
    assert straddled > 0


def test_bars_of_a_pulse_go_with_its_prices(
    dressed: Histories, editable: duckdb.DuckDBPyConnection
):
    pulse = dressed.pulses[1]
    month, entry = months(pulse.day, 1)
    calm, alone = pulse.calm.bars, pulse.moved_alone("GLD").bars
    assert calm is not None
    assert alone is not None
    gold = pulse.calm.tickers.tolist().index("GLD")
    others = np.arange(len(pulse.calm.tickers)) != gold
    after = calm.days > np.datetime64(entry)
    for name in ("close", "dollar_volume"):
        one, two = getattr(calm, name), getattr(alone, name)
        np.testing.assert_array_equal(one[:, others], two[:, others])
        np.testing.assert_array_equal(one[~after], two[~after])
        np.testing.assert_array_equal(one[after, gold] * PULSE, two[after, gold])
    first, last = np.searchsorted(calm.days, [np.datetime64(entry), pulse.day])
    np.testing.assert_array_equal(calm.close[first], calm.close[last])
    gapped = pulse.gapped.bars
    assert gapped is not None
    gone = np.isin(pulse.gapped.tickers, pulse.deleted)
    inside = np.flatnonzero(gapped.days.astype("datetime64[M]") == np.datetime64(month))
    assert np.isnan(gapped.close[inside][:, gone]).all()
    assert np.isnan(gapped.dollar_volume[inside][:, gone]).all()
    assert np.isfinite(gapped.close[inside][:, ~gone]).all()
    assert np.isfinite(gapped.close[inside[-1] + 1]).all()
