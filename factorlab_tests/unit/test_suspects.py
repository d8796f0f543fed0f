"""Suspect bars, kind by kind, in markets small enough to see: a close is 100, then 101, then 100.

Such a ticker's daily sigma is 1.4826 × ln 1.01, 1.475 %: 6.6 of them are 10.2 %.
"""

from __future__ import annotations

import datetime as dt
from math import exp, log, sqrt
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets.core.calendar import sessions
from factorlab_assets.core.suspects import MARKET, SUSPECT_RULES, find_suspects
from factorlab_assets.core.suspects_ratios import ANOTHER_UNIT
from factorlab_assets.schemas import SUSPECT_KINDS

DAYS = sessions(dt.date(2020, 1, 2), dt.date(2020, 12, 31))
AT = 100
"""A bar whose close is 100: 2020-05-27."""


class Market:
    """Tickers A to F that swing between 100 and 101, each bar to be spoilt by hand."""

    def __init__(self, names: str = "ABCDEF", days: np.ndarray = DAYS) -> None:
        self.names, self.days = names, days
        shape = (len(names), len(days))
        self.close = np.tile(np.where(np.arange(shape[1]) % 2, 101.0, 100.0), (shape[0], 1))
        self.open = np.full(shape, np.nan)
        self.high, self.low = np.full(shape, np.nan), np.full(shape, np.nan)
        self.volume = np.full(shape, 1e6)
        self.keep = np.ones(shape, dtype=bool)

    def find(self, month: str = "2020-12", **options: Any) -> list[dict[str, Any]]:
        """The findings; an open that was not set is the close, a high or low fits the bar."""
        opened = np.where(np.isnan(self.open), self.close, self.open)
        high = np.where(np.isnan(self.high), np.maximum(opened, self.close), self.high)
        low = np.where(np.isnan(self.low), np.minimum(opened, self.close), self.low)
        i, d = np.nonzero(self.keep)
        columns = {"ticker": np.array(list(self.names))[i], "date": self.days[d]}
        prices = {"open": opened, "high": high, "low": low, "close": self.close}
        columns |= {name: x[i, d] for name, x in (prices | {"volume": self.volume}).items()}
        with duckdb.connect() as con:
            con.register("bars", pa.table(columns))
            before = con.sql("SHOW TABLES").fetchall()
            found = find_suspects(con, "bars", month, **options)
            assert con.sql("SHOW TABLES").fetchall() == before, "nothing is left behind"
        return found.to_pylist()


@pytest.fixture
def market() -> Market:
    return Market()


def day(at: int) -> dt.date:
    return DAYS[at].item()


def brief(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Ticker, date, kind and known_at of each finding."""
    return [(row["ticker"], row["date"], row["kind"], row["known_at"]) for row in found]


def test_a_market_that_swings_as_ever_has_no_suspects(market: Market) -> None:
    assert market.find() == []


def test_every_kind_has_its_reasons() -> None:
    assert set(SUSPECT_RULES) == set(SUSPECT_KINDS)
    assert all(rule.figure and rule.reason for rules in SUSPECT_RULES.values() for rule in rules)


def test_no_bars_no_findings(market: Market) -> None:
    market.keep[:] = False
    assert market.find() == []
    assert Market().find("2019-12") == []


# missing, missing_market


def test_a_session_without_a_bar_is_known_when_the_ticker_is_back(market: Market) -> None:
    market.keep[0, AT : AT + 2] = False
    (found,) = market.find()
    assert (found["ticker"], found["date"], found["kind"]) == ("A", day(AT), "missing")
    assert (found["value"], found["severity"]) == (2, "warning")
    assert found["known_at"] == day(AT + 2)


def test_a_ticker_that_ends_is_not_missing(market: Market) -> None:
    market.keep[0, AT:] = False
    assert market.find() == []


def test_a_thin_ticker_may_stay_away_for_a_day(market: Market) -> None:
    market.volume[0] = 900
    market.keep[0, AT] = False
    assert market.find() == []


def test_a_ticker_that_is_often_absent_must_be_absent_for_long(market: Market) -> None:
    market.keep[0, 30:200:8] = False  # an eighth of its days
    market.keep[0, 226:230] = False
    assert [row for row in market.find() if row["date"] >= day(150)] == []
    market.keep[0, 226:250] = False
    assert brief(market.find())[-1] == ("A", day(226), "missing", day(250))


def test_a_session_that_most_tickers_lack_is_the_markets(market: Market) -> None:
    market.keep[:4, AT] = False
    (found,) = market.find()
    assert (found["ticker"], found["date"], found["kind"]) == (MARKET, day(AT), "missing_market")
    assert found["value"] == pytest.approx(4 / 6, abs=1e-12)
    assert (found["severity"], found["known_at"]) == ("error", day(AT))


def test_a_session_that_nobody_has_is_known_at_the_next(market: Market) -> None:
    market.keep[:, AT] = False
    assert brief(market.find()) == [(MARKET, day(AT), "missing_market", day(AT + 1))]


def test_tickers_that_ended_long_ago_do_not_lack_a_session(market: Market) -> None:
    market.keep[:4, AT:] = False
    # Four of six are alive for another 21 sessions, as far as anybody can know.
    assert brief(market.find()) == [
        (MARKET, day(at), "missing_market", day(at)) for at in range(AT, AT + 21)
    ]


# stale, ohlc, volume


def test_four_unchanged_closes_are_stale_on_the_day_of_the_fourth(market: Market) -> None:
    market.close[0, AT + 1 : AT + 9] = 100
    (found,) = market.find()
    assert (found["date"], found["kind"]) == (day(AT + 1), "stale")
    assert (found["value"], found["expected"]) == (4, 3)  # 0.02⁴ = 1.6e-7, 0.02³ = 8e-6
    assert (found["severity"], found["known_at"]) == ("warning", day(AT + 4))


def test_who_often_stands_still_may_do_so_for_longer(market: Market) -> None:
    market.close[0] = np.resize([100, 100, 100, 101], len(DAYS))  # half of its days
    market.close[0, 200:215] = 100
    assert market.find() == []
    market.close[0, 200:240] = 100
    assert [row["kind"] for row in market.find()] == ["stale"]


def test_a_price_that_moves_by_tenths_of_a_cent_stands_still_by_rounding(market: Market) -> None:
    market.close[0] = np.resize([1.0, 1.004], len(DAYS))
    market.close[0, AT + 1 : AT + 9] = 1.0
    assert market.find() == []


@pytest.mark.parametrize(
    ("bar", "value", "expected", "said"),
    [
        ((100, 99, 101, 100), 99, 101, "high below low"),
        ((100, 100, 98, 100.5), 100.5, 100, "close above high"),
        ((100, 101, 99, 98.5), 98.5, 99, "close below low"),
        ((102, 101, 99, 100), 102, 101, "open above high"),
        ((98, 101, 99, 100), 98, 99, "open below low"),
    ],
)
def test_a_bar_that_contradicts_itself(
    market: Market, bar: tuple[float, ...], value: float, expected: float, said: str
) -> None:
    for prices, price in zip(
        (market.open, market.high, market.low, market.close), bar, strict=True
    ):
        prices[0, AT] = price
    (found,) = market.find()
    assert (found["ticker"], found["date"], found["kind"]) == ("A", day(AT), "ohlc")
    assert (found["value"], found["expected"]) == (value, expected)
    assert found["known_at"] == day(AT)
    assert found["evidence"].startswith(said)


def test_a_contradiction_by_rounding_is_none(market: Market) -> None:
    market.high[0, AT] = 100 * (1 - 5e-7)
    assert market.find() == []


def test_a_source_whose_bars_always_contradict_is_not_listed_for_ever(market: Market) -> None:
    market.high[0] = 99
    found = market.find()
    assert {row["kind"] for row in found} == {"ohlc"}
    assert max(row["date"] for row in found) < day(63)


def test_no_volume_where_there_always_is_some(market: Market) -> None:
    market.volume[0, AT], market.volume[0, AT + 9] = 0, 4900
    market.volume[1, AT] = 5100
    market.volume[2], market.volume[2, AT] = 900, 0
    found = market.find()
    assert brief(found) == [("A", day(at), "volume", day(at)) for at in (AT, AT + 9)]
    assert [(row["value"], row["expected"]) for row in found] == [(0, 1e6), (4900, 1e6)]
    assert [row["severity"] for row in found] == ["warning", "info"]


# spike


def test_a_close_that_is_gone_with_the_next_open_is_a_spike(market: Market) -> None:
    market.close[0, AT] = 115
    (found,) = market.find()
    assert brief([found]) == [("A", day(AT), "spike", day(AT + 1))]
    # Between the closes beside it, 101 and 101.
    assert (found["value"], found["expected"]) == (115, pytest.approx(101, rel=1e-9))
    assert found["severity"] == "error"
    assert found["evidence"].startswith("+13.86%, -12.17% 1 bar later; 8.8 sigma")
    # 8.8 = ln(115 / 101) / (1.4826 · ln 1.01)
    assert log(115 / 101) / (1.4826 * log(1.01)) == pytest.approx(8.8, abs=0.05)


def test_a_price_that_turns_through_the_day_is_news(market: Market) -> None:
    market.close[0, AT], market.open[0, AT + 1] = 115, 110
    assert market.find() == []


def test_a_close_of_which_a_third_stays_is_told_when_the_rest_has_not_gone(market: Market) -> None:
    market.close[0, AT + 1 :] *= 1.06
    market.close[0, AT] = 120
    assert brief(market.find()) == [("A", day(AT), "spike", day(AT + 5))]
    market.keep[:, AT + 5 :] = False
    assert market.find() == []


def test_of_two_that_overlap_the_one_known_first_is_told(market: Market) -> None:
    market.close[0, AT:] *= 1.2
    market.close[0, AT + 1] = 107  # the dip, not the 120 before it
    assert brief(market.find()) == [("A", day(AT + 1), "spike", day(AT + 2))]


def test_less_than_a_rare_move_is_no_spike(market: Market) -> None:
    market.close[0, AT] = 111  # 6.4 sigma
    assert market.find() == []
    market.close[0, AT] = 112  # 7.0
    assert [row["kind"] for row in market.find()] == ["spike"]


def test_who_turns_every_month_must_turn_by_more(market: Market) -> None:
    market.close[0, 10:AT:21] = 108
    market.close[0, AT] = 115
    assert [row for row in market.find() if row["date"] == day(AT)] == []


def test_when_all_fall_and_rise_nobody_is_suspect(market: Market) -> None:
    market.close[:, AT] = [85, 86, 84, 87, 83, 88]
    market.close[:, AT + 30 :] *= 0.8
    assert market.find() == []
    alone = Market()
    alone.close[0, AT] = 85
    assert brief(alone.find()) == [("A", day(AT), "spike", day(AT + 1))]


def test_a_class_of_its_own_excuses_its_members(market: Market) -> None:
    many = Market("ABCDEFGHIJKLMNO")
    many.close[:5, AT] = [85, 86, 84, 87, 83]
    assert [row["ticker"] for row in many.find()] == list("ABCDE")
    gold = dict.fromkeys("ABCDE", "Gold")
    assert many.find(asset_classes=gold) == []


# decimal, split


def test_prices_a_hundred_times_too_small_are_told_on_their_days(market: Market) -> None:
    market.close[0, AT : AT + 2] /= 100
    found = market.find()
    assert brief(found) == [("A", day(at), "decimal", day(at)) for at in (AT, AT + 1)]
    assert [(row["value"], row["expected"]) for row in found] == [(1.0, 100), (1.01, 101)]
    assert found[0]["evidence"] == "100 times too small beside the closes before"


def test_a_slip_of_eight_bars_is_told_at_once_for_five_and_then_when_it_is_back(
    market: Market,
) -> None:
    market.close[0, AT : AT + 8] *= 1000
    known = [*range(AT, AT + 5), *[AT + 8] * 3]
    assert brief(market.find()) == [
        ("A", day(AT + n), "decimal", day(at)) for n, at in enumerate(known)
    ]


@pytest.mark.parametrize(("back", "is_unit"), [(63, False), (64, True), (None, True)])
def test_a_unit_that_is_another_for_a_quarter_is_told_for_five_bars_and_of_what_follows(
    back: int | None, is_unit: bool
) -> None:
    market = Market(days=DAYS[: AT + 70])
    market.close[0, AT : None if back is None else AT + back] *= 100
    (sixth,) = [row for row in market.find() if row["date"] == day(AT + 5)]
    assert sixth["evidence"].endswith(ANOTHER_UNIT) == is_unit
    assert sixth["known_at"] == day(AT + (64 if is_unit else 63))
    assert sixth["value"] / sixth["expected"] == pytest.approx(100, rel=1e-9)
    if back is None:
        five = [("A", day(at), "decimal", day(at)) for at in range(AT, AT + 5)]
        assert brief(market.find()) == [*five, ("A", day(AT + 5), "decimal", day(AT + 64))]


def test_ten_times_is_a_slip_if_it_goes_and_a_split_if_it_stays(market: Market) -> None:
    market.close[0, AT : AT + 3] *= 10
    market.close[1, AT:] *= 10
    found = market.find()
    assert brief(found) == [
        *(("A", day(at), "decimal", day(AT + 3)) for at in range(AT, AT + 3)),
        ("B", day(AT), "split", day(AT + 5)),
    ]
    assert [row["expected"] for row in found] == [100, 101, 100, 100]


@pytest.mark.parametrize("ratio", [1 / 2, 3, 2 / 3, 1 / 20])
def test_a_jump_by_a_splits_ratio_that_stays(market: Market, ratio: float) -> None:
    market.close[0, AT:] *= ratio
    (found,) = market.find()
    assert brief([found]) == [("A", day(AT), "split", day(AT + 5))]
    assert found["value"] / found["expected"] == pytest.approx(ratio, rel=1e-9)
    assert found["severity"] == "error"


def test_a_price_that_halves_through_the_day_has_crashed(market: Market) -> None:
    market.close[0, AT:] /= 2
    market.open[0, AT] = 80
    assert market.find() == []


def test_a_fall_by_no_splits_ratio_is_news(market: Market) -> None:
    market.close[0, AT:] *= 0.58
    assert market.find() == []


def test_a_split_is_told_when_it_has_stayed_for_five_bars() -> None:
    year = Market(days=DAYS[:252])  # twelve blocks to the last bar
    year.close[0, -5:] /= 2
    assert year.find() == []
    year.close[0, -6] /= 2
    assert brief(year.find()) == [("A", day(246), "split", day(251))]


# outlier


def test_a_level_that_is_left_after_three_bars(market: Market) -> None:
    market.close[0, AT : AT + 3] *= 1.2
    found = market.find()
    assert brief(found) == [("A", day(at), "outlier", day(AT + 3)) for at in range(AT, AT + 3)]
    assert [row["value"] for row in found] == pytest.approx([120, 121.2, 120], rel=1e-9)
    assert [row["expected"] for row in found] == pytest.approx([101, 101, 101], rel=1e-9)
    assert {row["severity"] for row in found} == {"warning"}


def test_an_error_of_which_half_goes_at_once_and_half_later(market: Market) -> None:
    market.close[0, AT] *= 1.3
    market.close[0, AT + 1 : AT + 4] *= sqrt(1.3)
    assert brief(market.find()) == [
        ("A", day(at), "outlier", day(AT + 4)) for at in range(AT, AT + 4)
    ]


def test_a_level_that_lasts_is_none(market: Market) -> None:
    market.close[0, AT : AT + 6] *= 1.2
    assert market.find() == []


# peers

TWO_YEARS = sessions(dt.date(2019, 1, 2), dt.date(2020, 12, 31))
LATE = 400


@pytest.fixture
def relatives() -> Market:
    """Four funds of one index, each off by a thousandth in its own rhythm, and two others."""
    market = Market("ABCDEF", TWO_YEARS)
    n = np.arange(len(TWO_YEARS))
    index = 100 * np.exp(np.cumsum(0.01 * np.resize([1, -1, 1, 1, -1, -1, 1, -1], len(n))))
    for i, rhythm in enumerate((2, 3, 5, 7)):
        market.close[i] = index * np.where(n % rhythm, 1, 1.001)
    for i, rhythm in ((4, 11), (5, 13)):
        market.close[i] = 100 * np.where(n % rhythm, 1, 1.01) * np.where(n % 2, 1, 1.01)
    return market


def late(at: int) -> dt.date:
    return TWO_YEARS[at].item()


def test_relatives_that_stay_together_are_not_suspect(relatives: Market) -> None:
    assert relatives.find() == []


def test_a_close_that_only_its_relatives_deny_is_a_spike(relatives: Market) -> None:
    relatives.close[0, LATE] *= 1.03  # twice the sigma of its closes
    (found,) = relatives.find()
    assert brief([found]) == [("A", late(LATE), "spike", late(LATE + 1))]
    assert "beside B, C and D" in found["evidence"]
    assert found["expected"] == pytest.approx(relatives.close[0, LATE] / 1.03, rel=2e-3)


def test_without_a_year_of_relatives_the_same_close_is_not_seen(relatives: Market) -> None:
    relatives.close[0, 200] *= 1.03
    assert relatives.find() == []


def test_a_fund_that_parts_from_its_relatives_for_good(relatives: Market) -> None:
    relatives.close[0, LATE:] *= 1.05
    (found,) = relatives.find()
    assert brief([found]) == [("A", late(LATE), "peers", late(LATE + 5))]
    assert found["severity"] == "info"
    assert found["evidence"].startswith("+5.")
    assert "beside B, C and D, and it stays" in found["evidence"]
    assert found["expected"] == pytest.approx(found["value"] / 1.05, rel=2e-3)


def test_a_wrong_price_of_one_relative_accuses_nobody_else(relatives: Market) -> None:
    relatives.close[1, LATE] *= 1.08
    assert [row["ticker"] for row in relatives.find()] == ["B"]


def test_a_fall_beside_relatives_may_be_a_distribution_and_says_so(relatives: Market) -> None:
    relatives.close[0, LATE:] *= 0.96
    (found,) = relatives.find()
    assert (found["kind"], found["severity"]) == ("peers", "info")
    assert found["evidence"].endswith("as where a distribution is not in the closes")


def test_expected_is_what_the_error_leaves(market: Market) -> None:
    market.close[0, AT] = 130
    market.close[0, AT + 1 :] *= 1.02
    (found,) = market.find()
    error = (log(130 / 101) - log(101 * 1.02 / 130)) / 2
    assert found["expected"] == pytest.approx(130 * exp(-error), rel=1e-9)
