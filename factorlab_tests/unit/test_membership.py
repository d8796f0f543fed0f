"""Who may be held at a month-end: every filter by hand, and all of them against pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core import membership, research
from factorlab_assets.core.bars import Bars, Late
from factorlab_assets.core.book import REASONS as BOOK_REASONS
from factorlab_assets.core.calendar import month_ends, sessions
from factorlab_assets.core.membership import REASONS, Members, members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.errors import FactorLabError
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

NO_REPAIRS = Late(
    np.empty(0, dtype=np.intp),
    np.empty(0, dtype=np.intp),
    np.empty(0),
    np.empty(0, dtype="datetime64[D]"),
)


def daily_panel(close: Floats, volume: Floats, *, first: str = "2020-01", n_months: int) -> Panel:
    """A panel whose bars are given, of tickers A, B, …; without a bar in the last six sessions of a
    month there is no month-end price."""
    dates = month_ends(first, str(np.datetime64(first, "M") + (n_months - 1)))
    days = sessions(np.datetime64(f"{first}-01").item(), dates[-1].item())
    assert close.shape == volume.shape == (len(days), close.shape[1])
    month = np.searchsorted(dates, days)
    bars = Bars(days, month, close, close * volume, NO_REPAIRS)
    price = np.full((n_months, close.shape[1]), NAN)
    for t in range(n_months):
        for n in range(close.shape[1]):
            own = close[month == t, n][-6:]
            known = own[np.isfinite(own)]
            price[t, n] = known[-1] if known.size else NAN
    names = np.array([chr(65 + n) for n in range(close.shape[1])])
    return Panel(dates, names, *[price] * 5, bars=bars)


def n_sessions(n_months: int, first: str = "2020-01") -> int:
    dates = month_ends(first, str(np.datetime64(first, "M") + (n_months - 1)))
    return len(sessions(np.datetime64(f"{first}-01").item(), dates[-1].item()))


def told(panel: Panel, **filters: Any) -> list[list[str]]:
    """The reason of every ticker at every date."""
    found = judged(panel, **filters)
    assert np.array_equal(found.is_member, found.reason == REASONS.index("member"))
    return [[REASONS[code] for code in row] for row in found.reason]


def judged(panel: Panel, **filters: Any) -> Members:
    tickers = panel.tickers.tolist()
    strategy = strategy_of(universe={"of": tickers} | filters)
    return members(resolved_of(strategy, tickers), panel)


# Filters that need month-ends alone


def test_without_filters_whoever_has_a_price_as_it_was_known_may_be_held() -> None:
    panel = panel_of({"A": [1.0, NAN, 1.0], "B": [NAN, 1.0, 1.0]})
    seen = panel.seen.copy()
    seen[2] = NAN, 5.0
    found = judged(replace(panel, seen=seen))
    assert found.is_member.tolist() == [[True, False], [False, True], [False, True]]
    assert not found.is_filtered
    assert found.allowed is None


def test_history_counts_prices_known_by_then_and_its_own_as_it_was_known() -> None:
    panel = panel_of({"A": [1.0, NAN, 1.0, 1.0], "B": [NAN, 1.0, 1.0, 1.0]})
    seen = panel.seen.copy()
    seen[1, 0], seen[3, 1] = 1.0, NAN
    short, none = "too short a history", "no month-end price"
    assert told(replace(panel, seen=seen), min_history=2) == [
        [short, none],
        ["member", short],
        ["member", "member"],
        ["member", none],
    ]


def test_a_price_is_the_close_as_it_was_known_even_on_total_returns() -> None:
    grown = panel_of({"A": [8.0, 8.0], "B": [5.0, 20.0]})
    assert told(grown, min_price=5.0)[0] == ["member", "member"]
    quoted = np.array([[4.0, 4.99], [5.0, 6.0]])
    panel = replace(grown, quoted=quoted)
    assert told(panel, min_price=5.0) == [["price too low"] * 2, ["member", "member"]]
    assert told(panel.select(["B"]), min_price=5.0) == [["price too low"], ["member"]]
    assert told(panel.until(panel.dates[0]), min_price=5.0) == [["price too low"] * 2]
    assert told(SharedPanel.of(panel), min_price=5.0)[0] == ["price too low"] * 2


# Filters that need daily bars


def test_the_median_is_of_the_sessions_of_the_last_months() -> None:
    """January 2020 has 21 sessions, February 19: in January A trades 1 a day, then 3."""
    count = n_sessions(2)
    assert count == 40
    volume = np.where(np.arange(count) < 21, 1.0, 3.0)[:, np.newaxis]
    panel = daily_panel(np.ones((count, 1)), volume, n_months=2)
    assert membership.median_dollar_volume(panel, 1).tolist() == [[1.0], [3.0]]
    assert membership.median_dollar_volume(panel, 2).tolist() == [[1.0], [1.0]]
    assert told(panel, min_dollar_volume=2.0, liquidity_months=1) == [
        ["dollar volume too low"],
        ["member"],
    ]


def test_a_session_without_a_bar_counts_nothing_and_an_unknown_volume_is_left_out() -> None:
    """21 sessions: A has bars on the last ten, B on the last eleven, C's first ten are unknown."""
    close, volume = np.ones((21, 3)), np.full((21, 3), 7.0)
    close[:11, 0] = close[:10, 1] = NAN
    volume[:10, 2] = NAN
    panel = daily_panel(close, volume, n_months=1)
    assert membership.median_dollar_volume(panel, 1).tolist() == [[0.0, 7.0, 7.0]]
    volume[:, 2] = NAN
    unknown = daily_panel(close, volume, n_months=1)
    assert np.isnan(membership.median_dollar_volume(unknown, 1)[0, 2])
    low, last = "dollar volume too low", "not among the largest"
    assert told(unknown, min_dollar_volume=1.0) == [[low, "member", low]]
    assert told(unknown, top_dollar_volume=3) == [["member", "member", last]]


def test_the_largest_are_of_those_who_pass_the_rest_and_ties_go_by_ticker() -> None:
    volume = np.tile([5.0, 90.0, 5.0, 5.0, 1.0], (21, 1))
    close = np.ones((21, 5))
    panel = daily_panel(close, volume, n_months=1)
    last = "not among the largest"
    assert told(panel, top_dollar_volume=2) == [["member", "member", last, last, last]]
    close[:, 1] = 0.5
    cheap = daily_panel(close, volume, n_months=1)
    assert told(cheap, top_dollar_volume=2, min_price=1.0) == [
        ["member", "price too low", "member", last, last]
    ]
    assert told(panel, top_dollar_volume=9) == [["member"] * 5]


def test_still_trading_is_a_close_in_the_last_sessions() -> None:
    close = np.ones((21, 3))
    close[-1:, 0] = close[-2:, 1] = close[-3:, 2] = NAN
    panel = daily_panel(close, close, n_months=1)
    gone = "no longer trading"
    assert told(panel, max_stale_sessions=0) == [[gone, gone, gone]]
    assert told(panel, max_stale_sessions=1) == [["member", gone, gone]]
    assert told(panel, max_stale_sessions=2) == [["member", "member", gone]]
    assert told(panel, max_stale_sessions=3) == [["member", "member", "member"]]


def test_a_bar_that_was_found_to_be_none_only_later_was_there_at_the_time() -> None:
    count = n_sessions(2)
    close = np.ones((count, 1))
    close[20] = NAN
    panel = daily_panel(close, close, n_months=2)
    assert panel.bars is not None
    assert told(panel, max_stale_sessions=0)[0] == ["no longer trading"]

    def repaired(known_at: str) -> Panel:
        row, column = np.array([20]), np.array([0])
        late = Late(row, column, np.array([3.0]), np.array([known_at], dtype="datetime64[D]"))
        return replace(panel, bars=replace(panel.bars, late=late))

    assert told(repaired("2020-02-03"), max_stale_sessions=0)[0] == ["member"]
    assert told(repaired("2020-01-31"), max_stale_sessions=0)[0] == ["no longer trading"]
    # Its unknown volume was one of a bar then, not of a session without one.
    volume = membership.median_dollar_volume
    assert volume(panel, 1)[0, 0] == volume(repaired("2020-02-03"), 1)[0, 0] == 1.0
    few = panel.bars.dollar_volume.copy()
    few[:12] = NAN
    unknown = replace(repaired("2020-02-03"), bars=replace(panel.bars, dollar_volume=few))
    assert unknown.bars is not None
    late = Late(np.arange(12), np.zeros(12, int), np.ones(12), np.repeat(panel.dates[1:], 12))
    gone = panel.bars.close.copy()
    gone[:12] = NAN
    unknown = replace(panel, bars=replace(unknown.bars, close=gone, late=late))
    assert volume(unknown, 1)[0, 0] == 1.0


def test_the_first_filter_that_fails_is_the_reason() -> None:
    close = np.full((21, 2), 0.5)
    close[-1] = NAN
    panel = daily_panel(close, close, n_months=1)
    harsh = {"max_stale_sessions": 0, "min_history": 2, "min_price": 1.0, "min_dollar_volume": 1.0}
    reasons = []
    for key in list(harsh):
        reasons += told(panel, **harsh)[0][:1]
        del harsh[key]
    assert reasons == [
        "no longer trading",
        "too short a history",
        "price too low",
        "dollar volume too low",
    ]


def test_without_bars_a_filter_on_them_says_what_to_do() -> None:
    with pytest.raises(FactorLabError, match=r"need daily bars.*strategy test: universe"):
        judged(panel_of({"A": [1.0]}), top_dollar_volume=1)


# All filters at once, against pandas


@st.composite
def markets(draw: st.DrawFn) -> Panel:
    """Up to five tickers over up to eight months, with gaps, listings and delistings."""
    n_months, n = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (n_sessions(n_months), n)
    close = np.round(5 * np.exp(np.cumsum(rng.normal(0, 0.05, shape), axis=0)), 2)
    volume = rng.integers(1, 5, shape) * rng.choice([1.0, 10.0], n)
    volume[rng.random(shape) < 0.1] = NAN
    close[rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = NAN
    for column in range(n):
        start, stop = np.sort(rng.integers(0, 2 * shape[0], 2)) - shape[0] // 2
        close[: max(start, 0), column] = close[max(stop, 0) :, column] = NAN
    return daily_panel(close, volume, n_months=n_months)


filters = st.fixed_dictionaries(
    {},
    optional={
        "min_history": st.integers(1, 4),
        "min_price": st.sampled_from([3.0, 5.0, 6.0]),
        "min_dollar_volume": st.sampled_from([1.0, 5.0, 12.0]),
        "top_dollar_volume": st.integers(1, 4),
        "liquidity_months": st.integers(1, 4),
        "max_stale_sessions": st.integers(0, 5),
    },
)


def by_pandas(panel: Panel, said: dict[str, Any]) -> list[list[str]]:
    """The same, date by date and ticker by ticker."""
    assert panel.bars is not None
    bars, out = panel.bars, []
    for t, day in enumerate(panel.dates):
        row: dict[str, str] = {}
        medians: dict[str, float] = {}
        for n, ticker in enumerate(panel.tickers):
            closes = pd.Series(bars.close[:, n], pd.DatetimeIndex(bars.days)).loc[:day]
            money = pd.Series(bars.dollar_volume[:, n], closes.index.union(bars.days)).loc[:day]
            money = money.mask(closes.isna(), 0.0)
            first = (day.astype("datetime64[M]") - (said.get("liquidity_months", 3) - 1)).item()
            medians[ticker] = money.loc[pd.Timestamp(first) :].median()
            row[ticker] = "member"
            if np.isnan(panel.seen[t, n]):
                row[ticker] = "no month-end price"
            elif closes.iloc[-1 - said.get("max_stale_sessions", 5) :].isna().all():
                row[ticker] = "no longer trading"
            elif np.isfinite(panel.seen[: t + 1, n]).sum() < said.get("min_history", 0):
                row[ticker] = "too short a history"
            elif panel.seen[t, n] < said.get("min_price", 0.0):
                row[ticker] = "price too low"
            elif not medians[ticker] >= said.get("min_dollar_volume", -np.inf) and (
                "min_dollar_volume" in said
            ):
                row[ticker] = "dollar volume too low"
        rest = [ticker for ticker, reason in row.items() if reason == "member"]
        ranked = pd.Series({ticker: medians[ticker] for ticker in rest}, dtype=float).dropna()
        ranked = ranked.sort_index().sort_values(ascending=False, kind="stable")
        if "top_dollar_volume" in said:
            for ticker in set(rest) - set(ranked.index[: said["top_dollar_volume"]]):
                row[ticker] = "not among the largest"
        out.append([row[ticker] for ticker in panel.tickers])
    return out


@settings(deadline=None, max_examples=60)
@given(markets(), filters)
def test_every_combination_is_what_pandas_says(panel: Panel, said: dict[str, Any]) -> None:
    assert told(panel, **said) == by_pandas(panel, said)


@settings(deadline=None, max_examples=40)
@given(markets(), st.integers(1, 9))
def test_the_median_is_pandas_median(panel: Panel, months: int) -> None:
    assert panel.bars is not None
    days = pd.DatetimeIndex(panel.bars.days)
    money = pd.DataFrame(panel.bars.dollar_volume, days).mask(np.isnan(panel.bars.close), 0.0)
    found = membership.median_dollar_volume(panel, months)
    for t, month in enumerate(days.to_period("M").unique()):
        own = days.to_period("M")
        expected = money[(own <= month) & (own > month - months)].median()
        np.testing.assert_array_equal(found[t], expected)


@settings(deadline=None, max_examples=40)
@given(markets(), filters, st.randoms(use_true_random=False))
def test_a_date_rests_on_nothing_after_it(panel: Panel, said: dict[str, Any], random: Any) -> None:
    day = panel.dates[random.randrange(len(panel.dates))]
    whole, cut = judged(panel, **said), judged(panel.until(day), **said)
    stop = len(cut.reason)
    assert whole.reason[:stop].tobytes() == cut.reason.tobytes()
    assert whole.is_member[:stop].tobytes() == cut.is_member.tobytes()


def test_blocks_of_dates_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    shape = (n_sessions(7), 3)
    panel = daily_panel(np.exp(rng.normal(size=shape)), np.exp(rng.normal(size=shape)), n_months=7)
    whole = membership.median_dollar_volume(panel, 2)
    monkeypatch.setattr(membership, "_MOST_CELLS", 1)
    assert membership.median_dollar_volume(panel, 2).tobytes() == whole.tobytes()


# What is said of it


def test_spans_without_a_member_are_told_from_when_to_when() -> None:
    panel = panel_of({"A": [NAN, NAN, 1.0, NAN, 1.0, NAN]})
    assert membership.empty_spans(panel.dates, judged(panel)) == [
        ("2020-01-31", "2020-02-28"),
        ("2020-04-30", "2020-04-30"),
        ("2020-06-30", "2020-06-30"),
    ]
    full = panel_of({"A": [1.0]})
    assert membership.empty_spans(full.dates, judged(full)) == []


def test_a_universe_that_is_empty_on_all_dates_is_refused_with_the_filters_and_counts() -> None:
    panel = panel_of({"A": [1.0, 1.0], "B": [NAN, 9.0]})
    tickers = ["A", "B"]
    strategy = strategy_of(universe={"of": tickers, "min_price": 5, "min_history": 2})
    resolved = resolved_of(strategy, tickers)
    found = members(resolved, panel)
    with pytest.raises(FactorLabError) as error:
        membership.check_anyone(resolved, panel, found)
    said = str(error.value)
    assert "2 tickers on 2 dates: 2 × too short a history" in said
    assert "1 × price too low" in said
    assert "1 × no month-end price" in said
    assert "a ticker that passes min_history: 2, min_price: 5" in said
    membership.check_anyone(resolved, panel, judged(panel, min_price=5.0))


# What becomes of it


@pytest.mark.parametrize("more", [{}, {"max_turnover": 9.0}], ids=["plain", "stepped"])
def test_while_nobody_is_a_member_the_book_is_cash_and_says_so(more: dict[str, Any]) -> None:
    panel = panel_of({"A": [9.0, 9.0, 1.0, 9.0, 9.0], "B": [9.0, 9.0, 1.0, 1.0, 9.0]})
    tickers = ["A", "B"]
    universe = {"of": tickers, "min_price": 5}
    strategy = strategy_of(universe=universe, portfolio={"min_names": 1, **more})
    result = research.run(resolved_of(strategy, tickers), panel)
    assert result.members is not None
    assert membership.empty_spans(panel.dates, result.members) == [("2020-03-31", "2020-03-31")]
    assert result.book.weights.tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 0], [1, 0], [0.5, 0.5]]
    reasons = [[BOOK_REASONS[code] for code in row] for row in result.book.reason]
    assert reasons[2:4] == [["not a member"] * 2, ["selected: at max_weight", "not a member"]]
    assert np.isnan(result.score).tolist() == (~result.members.is_member).tolist()


def test_cross_sections_are_of_members() -> None:
    """C is far away from the others, and too cheap to be one of them."""
    panel = panel_of({"A": [9.0, 10.0], "B": [9.0, 12.0], "C": [1.0, 2.0]})
    tickers = ["A", "B", "C"]
    factor = {"name": "trend", "params": {"lookback": 1}, "delay": 0}
    factor["transforms"] = [{"kind": "zscore"}]
    strategy = strategy_of(universe={"of": tickers, "min_price": 5}, factors=[factor])
    signals = research.run(resolved_of(strategy, tickers), panel).signals
    np.testing.assert_allclose(signals.signal[0, 1], [-1.0, 1.0, NAN], rtol=0, atol=1e-12)
    assert signals.raw[0, 1, 2] == 1.0


def test_equal_weight_to_compare_with_is_of_members() -> None:
    panel = panel_of({"A": [10.0, 11.0, 11.0], "B": [1.0, 2.0, 4.0]})
    tickers = ["A", "B"]
    strategy = strategy_of(universe={"of": tickers, "min_price": 5}, benchmark="equal_weight")
    found = research.benchmark_returns(resolved_of(strategy, tickers), panel)
    np.testing.assert_allclose(found, [NAN, 0.1, 0.0], rtol=0, atol=1e-12)
    both = strategy_of(universe={"of": tickers}, benchmark="equal_weight")
    found = research.benchmark_returns(resolved_of(both, tickers), panel)
    np.testing.assert_allclose(found, [NAN, 0.55, 0.5], rtol=0, atol=1e-12)
