"""Repaired prices and their growth to total returns, by hand and by law.

The law: cutting bars and findings at any date c changes nothing dated up to c, by a single bit, but
`close` and `open` where a repair became known only after c.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.adjust import adjusted_prices, repairs
from factorlab_assets.core.basis import STATUS_SCHEMA, distribution_status
from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.suspects_ratios import ANOTHER_UNIT
from factorlab_assets.price_rules import PriceRules
from factorlab_assets.schemas import ADJUSTED_PRICES, SUSPECT_PRICES
from factorlab_tests.small_bars import Bar, day, put_bars
from factorlab_tests.vendor_files import Traded, lend

REPAIRED_SCHEMA = pa.schema(
    [
        ("ticker", pa.string()),
        ("date", pa.date32()),
        ("kind", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("expected", pa.float64()),
        ("evidence", pa.string()),
        ("known_at", pa.date32()),
        ("action", pa.string()),
        ("old_close", pa.float64()),
        ("new_close", pa.float64()),
        ("reason", pa.string()),
    ]
)
SUSPECT_SCHEMA = pa.schema(list(REPAIRED_SCHEMA)[:8])
NOTHING = REPAIRED_SCHEMA.empty_table()

# 2020: 3 to 7 February is a week from Monday to Friday, as is 10 to 14.
WEEK = [f"2020-02-{n:02}" for n in (3, 4, 5, 6, 7, 10, 11, 12, 13, 14)]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def suspect(
    date: str, kind: str, known_at: str, value: float = 0.0, expected: float = 0.0
) -> dict[str, Any]:
    row = dict.fromkeys(SUSPECT_SCHEMA.names, "")
    return row | {
        "ticker": "A",
        "date": day(date),
        "kind": kind,
        "value": value,
        "expected": expected,
        "known_at": day(known_at),
    }


def repaired(*rows: tuple[str, str, str, float, float | None]) -> pa.Table:
    """Rows of (date, action, known_at, old close, new close)."""
    kinds = {"rescale": "split"}
    return pa.Table.from_pylist(
        [
            suspect(date, kinds.get(action, "spike"), known)
            | {"action": action, "old_close": old, "new_close": new, "reason": ""}
            for date, action, known, old, new in rows
        ],
        REPAIRED_SCHEMA,
    )


def status(*rows: dict[str, Any]) -> pa.Table:
    usual = dict.fromkeys(STATUS_SCHEMA.names) | {
        "ticker": "A",
        "status": "missing",
        "carried": 0.0,
        "factor": 1.0,
    }
    return pa.Table.from_pylist([usual | row for row in rows], STATUS_SCHEMA)


def paid(date: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"ex_date": day(date), "amount": amount, **more}


def adjusted(
    con: duckdb.DuckDBPyConnection,
    bars: list[Bar],
    repaired: pa.Table = NOTHING,
    paid: pa.Table | None = None,
) -> dict[tuple[str, str], dict[str, Any]]:
    put_bars(con, bars)
    with adjusted_prices(con, "bars", repaired, status() if paid is None else paid) as query:
        rows = con.sql(query).to_arrow_table().to_pylist()
    found = {(row["ticker"], f"{row['date']}"): row for row in rows}
    assert len(found) == len(rows) == len(bars)
    return found


def column(found: dict[tuple[str, str], dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for _, row in sorted(found.items())]


def closes(*values: float, days: list[str] = WEEK) -> list[Bar]:
    return [("A", date, value) for date, value in zip(days, values, strict=False)]


def test_prices_without_findings_or_distributions_are_the_bars(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put_bars(con, [("A", "2020-02-03", 10.1, 9.7), ("B", "2020-02-04", 1.3)])
    with adjusted_prices(con, "bars", NOTHING, status()) as query:
        table = con.sql(query).to_arrow_table()
    keys = ("month", "data_version_id")
    assert set(table.column_names) == {c for c in ADJUSTED_PRICES.columns if c not in keys}
    rows = {row["ticker"]: row for row in table.to_pylist()}
    same = {"close": 10.1, "seen": 10.1, "open": 9.7, "growth": 1.0}
    same |= {"dollar_volume": 10.1, "known_at": None}
    assert rows["A"] == {"ticker": "A", "date": day("2020-02-03"), **same}
    assert not con.sql("SELECT * FROM duckdb_views() WHERE view_name LIKE 'factorlab%'").fetchall()


def test_a_missing_distribution_is_earned_exactly_on_its_ex_date(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = adjusted(con, closes(100, 99, 108.9), paid=status(paid(WEEK[1], 3)))
    assert column(found, "growth") == [1.0, *[pytest.approx(1 + 3 / 99, rel=1e-15)] * 2]
    assert column(found, "close") == column(found, "seen") == [100, 99, 108.9]
    # (99 + 3) / 100: the return of the day, whatever comes later.
    assert 99 * found["A", WEEK[1]]["growth"] / 100 == pytest.approx(1.02, rel=1e-15)


def test_an_amount_counts_at_the_scale_that_the_closes_have(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = adjusted(con, closes(50, 49.5, 54.45), paid=status(paid(WEEK[1], 3, factor=0.5)))
    assert found["A", WEEK[2]]["growth"] == pytest.approx(1 + 3 / 99, rel=1e-15)


def test_a_carried_distribution_makes_the_day_p_plus_d_over_p(
    con: duckdb.DuckDBPyConnection,
) -> None:
    carried = paid(WEEK[1], 4, status="carried", applied_on=day(WEEK[1]), carried=4.0)
    found = adjusted(con, closes(96, 98, 97), paid=status(carried))  # 96 = 100 × (1 − 4 / 100)
    gain = 98 * found["A", WEEK[1]]["growth"] / 96
    assert gain == pytest.approx((98 + 4) / 100, rel=1e-15)
    assert found["A", WEEK[2]]["growth"] == found["A", WEEK[1]]["growth"]


def test_what_is_carried_of_a_distribution_is_taken_out_and_all_of_it_put_in(
    con: duckdb.DuckDBPyConnection,
) -> None:
    part = paid(WEEK[1], 4, status="missing", applied_on=day(WEEK[1]), carried=1.0)
    found = adjusted(con, closes(99, 98, 97), paid=status(part))  # 99 = 100 × (1 − 1 / 100)
    assert 98 * found["A", WEEK[1]]["growth"] / 99 == pytest.approx(1.02, rel=1e-15)


def test_a_distribution_carried_early_is_moved_to_its_day(con: duckdb.DuckDBPyConnection) -> None:
    # Prices 100, 101, 98, 97 with 4 paid on the third day; carried from the second day on.
    early = paid(
        WEEK[2], 4, status="early", applied_on=day(WEEK[1]), carried=4.0,
        early_step=101 / 97 - 1, early_until=day(WEEK[2]),
    )  # fmt: skip
    found = adjusted(con, closes(100 * 97 / 101, 101, 98, 97), paid=status(early))
    wealth = np.multiply(column(found, "close"), column(found, "growth"))
    assert wealth / wealth[0] == pytest.approx(
        [1, 101 / 100, 1.01 * 102 / 101, 1.01 * 102 / 101 * 97 / 98], rel=1e-14
    )


def test_some_bars_before_an_ex_date_that_carry_it_are_mended_alone(
    con: duckdb.DuckDBPyConnection,
) -> None:
    early = paid(
        WEEK[3], 4, status="early", applied_on=day(WEEK[1]), carried=4.0,
        early_step=0.05, early_until=day(WEEK[2]),
    )  # fmt: skip
    found = adjusted(con, closes(96, 105, 96, 98), paid=status(early))
    wealth = np.multiply(column(found, "close"), column(found, "growth"))
    assert wealth == pytest.approx([96, 100, 96, 96 * 102 / 100], rel=1e-14)


def test_one_that_is_not_known_to_be_in_the_closes_is_left_out(
    con: duckdb.DuckDBPyConnection,
) -> None:
    unknown = paid(WEEK[1], 4, status="unknown", factor=None)
    assert set(column(adjusted(con, closes(100, 98, 97), paid=status(unknown)), "growth")) == {1.0}


@pytest.mark.parametrize("ex_date", ["2020-02-01", "2020-02-08", "2020-02-06"])
def test_an_ex_date_without_a_bar_moves_to_the_next_bar_on_a_session(
    con: duckdb.DuckDBPyConnection, ex_date: str
) -> None:
    days = ["2020-01-31", "2020-02-08", "2020-02-10", "2020-03-02"]  # the second is a Saturday
    found = adjusted(con, closes(100, 500, 50, 60, days=days), paid=status(paid(ex_date, 5)))
    assert column(found, "growth") == [1, 1, *[pytest.approx(1.1, rel=1e-15)] * 2]


def test_two_that_fall_on_one_bar_add_up(con: duckdb.DuckDBPyConnection) -> None:
    days = ["2020-02-07", "2020-02-10"]
    both = status(paid("2020-02-08", 5), paid("2020-02-10", 1))
    assert adjusted(con, closes(100, 50, days=days), paid=both)["A", days[1]]["growth"] == (
        pytest.approx(1 + 6 / 50, rel=1e-15)
    )


@pytest.mark.parametrize("ex_date", ["2020-01-31", "2020-02-03", "2020-02-06"])
def test_an_ex_date_outside_the_tickers_bars_touches_nothing(
    con: duckdb.DuckDBPyConnection, ex_date: str
) -> None:
    bars = [*closes(10, 11), ("B", WEEK[4], 1)]
    assert set(column(adjusted(con, bars, paid=status(paid(ex_date, 5))), "growth")) == {1.0}


def test_holes_longer_than_a_fortnight_are_bridged(con: duckdb.DuckDBPyConnection) -> None:
    bars: list[Bar] = [("A", "2020-01-02", 100), ("A", "2020-06-01", 50)]
    found = adjusted(con, bars, paid=status(paid("2020-03-02", 5)))
    assert column(found, "growth") == [1, pytest.approx(1.1, rel=1e-15)]


def test_a_dropped_bar_has_no_price_once_that_is_known(con: duckdb.DuckDBPyConnection) -> None:
    found = adjusted(con, closes(10, 99, 11), repaired((WEEK[1], "drop", WEEK[2], 99, None)))
    assert column(found, "close") == [10, None, 11]
    assert column(found, "open") == [10, None, 11]
    assert column(found, "seen") == [10, 99, 11]
    at_once = repaired((WEEK[1], "drop", WEEK[1], 99, None))
    assert column(adjusted(con, closes(10, 99, 11), at_once), "seen") == [10, None, 11]


def test_a_dropped_stale_run_is_dropped_to_its_last_bar(con: duckdb.DuckDBPyConnection) -> None:
    """Told at its third bar; the fourth is known at once, and what moves again is none of it."""
    run = repaired((WEEK[1], "drop", WEEK[3], 9, None))
    run = run.set_column(2, "kind", pa.array(["stale"]))
    found = adjusted(con, closes(9, 9, 9, 9, 9, 10, 9), run)
    assert column(found, "close") == [9, None, None, None, None, 10, 9]
    assert column(found, "seen") == [9, 9, 9, None, None, 10, 9]


def test_a_close_that_a_repair_keeps_keeps_its_open(con: duckdb.DuckDBPyConnection) -> None:
    found = adjusted(con, closes(10, 11), repaired((WEEK[1], "replace", WEEK[1], 11, 11)))
    assert column(found, "open") == [10, 11]


def test_a_split_scales_all_later_prices_once_that_is_known(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = adjusted(
        con, closes(10, 5, 5.5, 6), repaired((WEEK[1], "rescale", WEEK[2], 5, 10)),
        status(paid(WEEK[3], 0.6)),
    )  # fmt: skip
    assert column(found, "close") == column(found, "open") == [10, 10, 11, 12]
    assert column(found, "seen") == [10, 5, 11, 12]
    assert found["A", WEEK[3]]["growth"] == pytest.approx(1.1, rel=1e-15), "0.6 beside 6, not 12"


def test_two_splits_multiply(con: duckdb.DuckDBPyConnection) -> None:
    both = repaired((WEEK[1], "rescale", WEEK[2], 5, 10), (WEEK[3], "rescale", WEEK[3], 1.8, 5.4))
    found = adjusted(con, closes(10, 5, 5.4, 1.8, 2), both)
    assert column(found, "close") == pytest.approx([10, 10, 10.8, 10.8, 12], rel=1e-15)


def test_a_growth_that_rests_on_a_wrong_close_is_put_right_when_that_is_known(
    con: duckdb.DuckDBPyConnection,
) -> None:
    slip = repaired((WEEK[1], "replace", WEEK[2], 9800, 98))
    found = adjusted(con, closes(100, 9800, 98, 98), slip, status(paid(WEEK[1], 4)))
    right = pytest.approx(1 + 4 / 98, rel=1e-14)
    assert column(found, "growth") == [1, pytest.approx(1 + 4 / 9800, rel=1e-15), right, right]


def test_a_growth_that_rests_on_a_dropped_close_takes_the_one_beside_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    slip = repaired((WEEK[1], "drop", WEEK[2], 9800, None))
    found = adjusted(con, closes(100, 9800, 98), slip, status(paid(WEEK[1], 4)))
    assert found["A", WEEK[2]]["growth"] == pytest.approx(1 + 4 / 100, rel=1e-14)


@pytest.mark.parametrize("digits", [4, 8])
def test_files_that_carry_all_none_or_some_have_the_same_total_returns(
    con: duckdb.DuckDBPyConnection, digits: int
) -> None:
    traded = Traded(seed=3)
    n = len(traded.at)
    lend(con, paid=traded.paid(), raw=traded.file(range(0), digits=2))
    for carried, moved in (
        (range(n), {}),
        (range(0), {}),
        (range(3, 9), {}),
        ([0, 1, 4, 7, 8, 12], {}),
        (range(n), {2: -1, 5: -1, 7: 1}),
    ):
        lend(con, file=traded.file(carried, moved=moved, digits=digits))
        told = distribution_status(con, "file", "paid", "raw", "2025-12")
        with adjusted_prices(con, "file", NOTHING, told) as query:
            rows = con.sql(f"SELECT close * growth AS w FROM ({query}) ORDER BY date").fetchnumpy()
        wealth = rows["w"] / rows["w"][0]
        # Four decimals of a close of 50 are 1 bp of a cent's hundredth: 1e-6 each.
        np.testing.assert_allclose(wealth, traded.total_return(), rtol=10.0**-digits * 0.05)


def ruled(
    con: duckdb.DuckDBPyConnection,
    bars: list[Bar],
    second: list[Bar] | None,
    *suspects: dict[str, Any],
    actions: dict[str, str] | None = None,
    paid: pa.Table | None = None,
) -> list[dict[str, Any]]:
    put_bars(con, bars)
    put_bars(con, second or [], "second")
    table = pa.Table.from_pylist(list(suspects), SUSPECT_SCHEMA)
    rules = PriceRules(actions=actions or {})
    done = repairs(con, table, "bars", "second" if second is not None else None, rules, paid)
    keys = ("month", "data_version_id")
    assert done.column_names == [c for c in SUSPECT_PRICES.columns if c not in keys]
    return done.to_pylist()


def test_a_bar_is_kept_or_dropped_as_the_rule_says(con: duckdb.DuckDBPyConnection) -> None:
    rows = ruled(
        con, closes(10, 99, 11), None,
        suspect(WEEK[1], "outlier", WEEK[1]), suspect(WEEK[2], "ohlc", WEEK[2]),
        suspect("2020-02-10", "missing", "2020-02-10"), actions={"ohlc": "drop"},
    )  # fmt: skip
    assert [(r["action"], r["old_close"], r["new_close"]) for r in rows] == [
        ("keep", 99, 99),
        ("drop", 11, None),
        ("keep", None, None),
    ]
    assert rows[1]["reason"] == "the rule drops it; nothing is filled in"


def test_a_close_is_replaced_by_the_seconds_return_from_the_last_good_bar(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows = ruled(
        con, closes(10, 77, 99, 11), closes(100, 103, 105, 110),
        suspect(WEEK[1], "spike", WEEK[3]), suspect(WEEK[2], "spike", WEEK[3]),
    )  # fmt: skip
    assert [r["new_close"] for r in rows] == pytest.approx([10.3, 10.5], rel=1e-15)
    assert rows[1]["reason"] == f"second source's return since {WEEK[0]}: +0.0500"


def test_a_close_that_the_second_has_too_is_kept(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = ruled(
        con, closes(10, 7.7, 9.9, 11), closes(100, 77.01, 99, 110),
        suspect(WEEK[1], "spike", WEEK[2]),
    )  # fmt: skip
    assert (row["old_close"], row["new_close"]) == (7.7, 7.7)
    assert row["reason"] == "kept: the second source makes the same move"


def test_what_the_closes_carry_since_the_good_bar_is_in_the_close_that_replaces(
    con: duckdb.DuckDBPyConnection,
) -> None:
    # 100 the day before, 4 paid, 98 on the ex-date; the file carries it: 96, then 98.
    carried = paid(WEEK[1], 4, status="carried", applied_on=day(WEEK[1]), carried=4.0)
    row = ruled(
        con, closes(96, 140, 97), closes(100, 98, 97), suspect(WEEK[1], "spike", WEEK[2]),
        paid=status(carried),
    )[0]  # fmt: skip
    assert row["new_close"] == pytest.approx(98, rel=1e-15)


def test_a_close_that_carries_a_distribution_early_is_not_replaced(
    con: duckdb.DuckDBPyConnection,
) -> None:
    early = paid(
        WEEK[2], 4, status="early", applied_on=day(WEEK[1]), carried=4.0,
        early_step=0.04, early_until=day(WEEK[2]),
    )  # fmt: skip
    spike = suspect(WEEK[1], "spike", WEEK[2])
    row = ruled(con, closes(96, 101, 97), closes(100, 101, 97), spike, paid=status(early))[0]
    assert (row["action"], row["old_close"], row["new_close"]) == ("replace", 101, 101)
    assert row["reason"] == f"kept: it carries the distribution of {WEEK[2]} too early"


@pytest.mark.parametrize("second", [None, [], [("A", WEEK[1], 5.0)], [("A", WEEK[0], 5.0)]])
def test_without_a_second_return_a_close_to_replace_is_dropped(
    con: duckdb.DuckDBPyConnection, second: list[Bar] | None
) -> None:
    row = ruled(con, closes(10, 99, 11), second, suspect(WEEK[1], "spike", WEEK[2]))[0]
    assert (row["action"], row["old_close"], row["new_close"]) == ("replace", 99, None)
    assert row["reason"].startswith("dropped: ")


def test_a_split_is_mended_unless_the_second_source_makes_the_same_move(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = suspect(WEEK[1], "split", WEEK[2], 5, 10)
    for second in (None, closes(20, 20.4, 21)):
        row = ruled(con, closes(10, 5, 5.5), second, found)[0]
        assert (row["old_close"], row["new_close"]) == (5, 10)
        assert row["reason"] == "this and later prices × 2"
    row = ruled(con, closes(10, 5, 5.5), closes(20, 10.2, 11), found)[0]
    assert (row["action"], row["new_close"]) == ("rescale", 5)
    assert row["reason"] == "kept: the second source makes the same move"


@pytest.mark.parametrize(
    ("found", "known"),
    [
        ([], [None] * 5),
        ([(1, "replace", 1, 9.0)], [None] * 5),  # known on its own day
        ([(1, "replace", 3, 9.0)], [None, 3, None, None, None]),
        ([(1, "drop", 3, None)], [None, 3, None, None, None]),
        ([(1, "rescale", 3, 20.0)], [None, 3, 3, None, None]),
        ([(1, "rescale", 3, 20.0), (2, "rescale", 4, 20.0)], [None, 3, 4, 4, None]),
        ([(1, "rescale", 4, 20.0), (2, "rescale", 3, 20.0)], [None, 4, 4, 4, None]),
        ([(1, "rescale", 3, 20.0), (2, "replace", 4, 9.0)], [None, 3, 4, None, None]),
        ([(1, "rescale", 3, 20.0), (2, "drop", 2, None)], [None, 3, None, None, None]),
    ],
)
def test_known_at_is_the_day_that_the_last_word_on_a_close_is_known(
    con: duckdb.DuckDBPyConnection, found: list[Any], known: list[int | None]
) -> None:
    told = repaired(*((WEEK[i], action, WEEK[at], 10.0, new) for i, action, at, new in found))
    rows = adjusted(con, closes(10, 10, 10, 10, 10), told)
    assert column(rows, "known_at") == [None if at is None else day(WEEK[at]) for at in known]


def test_a_dollar_volume_is_what_the_file_says_and_unknown_without_a_volume(
    con: duckdb.DuckDBPyConnection,
) -> None:
    bars = pa.table({
        "ticker": ["A"] * 4, "date": [day(d) for d in WEEK[:4]], "open": [9.0] * 4,
        "close": [10.0, 20.0, 10.0, 5.0], "volume": [3.0, 7.0, None, 0.0],
    })  # fmt: skip
    spike = repaired((WEEK[1], "drop", WEEK[2], 20.0, None))
    found = computed(con, bars, spike, status())
    assert [row["dollar_volume"] for row in found] == [30.0, 140.0, None, 0.0]
    assert [row["close"] for row in found] == [10.0, None, 10.0, 5.0]


DAYS = sessions(dt.date(2020, 1, 2), dt.date(2020, 3, 31))


@pytest.mark.parametrize(("rule", "then"), [("replace", 5.0), ("drop", 5.0), ("keep", 500.0)])
def test_another_unit_scales_what_follows_unless_the_rule_keeps_it(
    con: duckdb.DuckDBPyConnection, rule: str, then: float
) -> None:
    unit = suspect(WEEK[2], "decimal", WEEK[3], 500, 5) | {"evidence": f"large, {ANOTHER_UNIT}"}
    bars = closes(5, 500, 500, 500)
    slip = suspect(WEEK[1], "decimal", WEEK[1], 500, 5)
    (first, sixth) = ruled(con, bars, None, slip, unit, actions={"decimal": rule})
    assert (first["action"], sixth["action"]) == (rule, "keep" if rule == "keep" else "rescale")
    found = adjusted(con, bars, pa.Table.from_pylist([first, sixth], REPAIRED_SCHEMA))
    wrong = 500.0 if rule == "keep" else None
    assert column(found, "close") == [5, wrong, then, then]
    assert column(found, "seen") == [5, wrong, 500, then]


def random_history(seed: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Bars with holes, findings known up to five bars later, and distributions of all kinds."""
    rng = np.random.default_rng(seed)
    days = DAYS[rng.random(len(DAYS)) < rng.choice([0.4, 0.9, 1.0])]
    n = len(days)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.05, n)))
    bars = {"ticker": ["A"] * n, "date": pa.array(days), "open": close, "close": close}
    bars = pa.table(bars | {"volume": rng.integers(1, 9, n).astype(float)})
    found = []
    for i in sorted(rng.choice(n, min(n, rng.integers(0, 8)), replace=False).tolist()):
        known = days[min(n - 1, i + rng.integers(0, 6))].item()
        action = str(rng.choice(["drop", "replace", "rescale"]))
        new = {"drop": None, "replace": close[i] * 1.1, "rescale": close[i] * 2}[action]
        row = suspect(str(days[i]), "split" if action == "rescale" else "spike", str(known))
        found.append(row | {"action": action, "old_close": close[i], "new_close": new})
    told = []
    span = pd_days(DAYS[0], DAYS[-1])
    for ex_date in sorted(rng.choice(len(span), rng.integers(0, 12), replace=False).tolist()):
        row = paid(
            str(span[ex_date]), float(rng.uniform(0.01, 1)), factor=float(rng.uniform(0.5, 1))
        )
        kind = str(rng.choice(["missing", "carried", "early", "unknown"]))
        at = int(np.searchsorted(days, span[ex_date]))
        if kind in ("carried", "early") and 1 < at < n:
            on = days[at - (kind == "early")].item()
            row |= {"status": kind, "applied_on": on, "carried": row["amount"]}
            row |= {"early_step": 0.01, "early_until": days[at].item()} if kind == "early" else {}
        told.append(row)
    return bars, pa.Table.from_pylist(found, REPAIRED_SCHEMA), status(*told)


def pd_days(first: np.datetime64, last: np.datetime64) -> np.ndarray:
    return np.arange(first, last + 1)


def computed(
    con: duckdb.DuckDBPyConnection, bars: pa.Table, found: pa.Table, told: pa.Table
) -> list[dict[str, Any]]:
    lend(con, history=bars)
    with adjusted_prices(con, "history", found, told) as query:
        return con.sql(f"SELECT * FROM ({query}) ORDER BY date").to_arrow_table().to_pylist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, len(DAYS) - 1))
def test_the_law_nothing_known_later_changes_what_was_known(
    con: duckdb.DuckDBPyConnection, seed: int, cut: int
) -> None:
    bars, found, told = random_history(seed)
    c = DAYS[cut].item()
    whole = [row for row in computed(con, bars, found, told) if row["date"] <= c]
    early = computed(
        con,
        bars.filter(pa.compute.less_equal(bars["date"], c)),
        found.filter(pa.compute.less_equal(found["known_at"], c)),
        told,
    )
    late = {row["date"] for row in found.to_pylist() if row["known_at"] > c}
    rescaled = min((r["date"] for r in found.to_pylist() if r["known_at"] > c
                    and r["action"] == "rescale"), default=dt.date.max)  # fmt: skip
    assert len(whole) == len(early)
    for after, before in zip(whole, early, strict=True):
        for name in ("seen", "growth", "dollar_volume"):
            assert after[name] == before[name]
        known = after["known_at"] is None or after["known_at"] <= c
        if after["date"] not in late and after["date"] < rescaled:
            assert known
        if known:
            assert after == before
        if after["known_at"] is None:
            assert after["close"] == after["seen"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_law_the_order_of_rows_changes_nothing(
    con: duckdb.DuckDBPyConnection, seed: int
) -> None:
    bars, found, told = random_history(seed)
    shuffled = [
        table.take(np.random.default_rng(seed + i).permutation(table.num_rows))
        for i, table in enumerate((bars, found, told))
    ]
    assert computed(con, bars, found, told) == computed(con, *shuffled)
