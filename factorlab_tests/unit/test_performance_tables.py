"""Rolling statistics, calendar years and drawdowns on returns that can be checked by eye."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest

from factorlab_assets.core.performance import metrics
from factorlab_assets.evaluation.performance_tables import calendar_years, drawdowns, rolling
from factorlab_tests.sheet_runs import records
from factorlab_tests.small_backtests import earning

NAN = float("nan")


def random_months(months: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.01, 0.04, (3, months))


class TestRolling:
    def test_a_row_is_what_performance_says_of_its_window_alone(self):
        net, bench, spy = random_months(50)
        rf = np.abs(random_months(50, seed=1)[0])
        rows = rolling(earning(net, bench, rf=rf), spy)
        assert len(rows) == 15
        records("rolling_metrics", rows)
        zero = np.zeros(36)
        for i in (0, 7, 14):
            own = slice(i, i + 36)
            said = metrics(net[own], rf[own], bench[own], zero, zero)
            other = metrics(net[own], rf[own], spy[own], zero, zero)["beta"]
            expected = {name: said[name] for name in ("sharpe", "volatility_ann", "beta")}
            found = {name: rows[i][name] for name in (*expected, "market_beta")}
            assert found == pytest.approx(expected | {"market_beta": other}, rel=1e-12)
            assert rows[i]["date"] == earning(net).dates[i + 35].item()

    def test_a_book_twice_its_benchmark_has_a_beta_of_two(self):
        bench = random_months(36)[1]
        (row,) = rolling(earning(2.0 * bench, bench), -bench)
        assert row["beta"] == pytest.approx(2.0, rel=1e-12)
        assert row["market_beta"] == pytest.approx(-2.0, rel=1e-12)

    def test_a_window_with_an_unknown_month_has_no_slope(self):
        net, bench, spy = random_months(38)
        bench[0], spy[37] = NAN, NAN
        rows = rolling(earning(net, bench), spy)
        assert [bool(np.isnan(row["beta"])) for row in rows] == [True, False, False]
        assert [bool(np.isnan(row["market_beta"])) for row in rows] == [False, False, True]
        assert all(np.isfinite([row["sharpe"], row["volatility_ann"]]).all() for row in rows)

    def test_what_never_moves_has_no_ratio_and_what_it_is_compared_with_no_slope(self):
        (row,) = rolling(earning([0.01] * 36, [0.1] * 36), np.zeros(36))
        assert row["volatility_ann"] == 0.0
        assert np.isnan([row["sharpe"], row["beta"], row["market_beta"]]).all()

    def test_the_slope_of_a_flat_book_is_nothing(self):
        (row,) = rolling(earning([0.01] * 36, random_months(36)[1]), random_months(36)[2])
        assert row["beta"] == pytest.approx(0.0, abs=1e-12)
        assert row["market_beta"] == pytest.approx(0.0, abs=1e-12)

    @pytest.mark.parametrize(("months", "count"), [(0, 0), (3, 0), (35, 0), (36, 1), (37, 2)])
    def test_there_is_a_row_from_the_last_month_of_the_first_window_on(self, months, count):
        net, bench, spy = random_months(months)
        assert len(rolling(earning(net, bench), spy)) == count

    def test_the_window_can_be_another(self):
        rows = rolling(earning([0.1, -0.1, 0.3]), np.zeros(3), window=2)
        spread = np.array([0.2, 0.4]) / np.sqrt(2.0) * np.sqrt(12.0)
        assert [row["volatility_ann"] for row in rows] == pytest.approx(spread.tolist())


class TestCalendarYears:
    def test_months_compound_to_years_and_years_to_nav(self):
        net = random_months(30)[0]
        backtest = earning(net, first="2019-11")
        rows = calendar_years(backtest)
        records("calendar_returns", rows)
        said = [(row["year"], row["n_months"], row["is_full"]) for row in rows]
        assert said == [(2019, 2, False), (2020, 12, True), (2021, 12, True), (2022, 4, False)]
        assert rows[0]["net_return"] == pytest.approx((1 + net[0]) * (1 + net[1]) - 1, rel=1e-12)
        grown = np.prod([1.0 + float(str(row["net_return"])) for row in rows])
        assert grown == pytest.approx(backtest.nav[-1], rel=1e-12)

    def test_by_hand(self):
        (row,) = calendar_years(earning([0.1, -0.5, 1.0], [0.0, 1.0, -0.5]))
        assert row["net_return"] == pytest.approx(0.1, rel=1e-12)
        assert row["benchmark_return"] == pytest.approx(0.0, abs=1e-15)

    def test_a_year_with_an_unknown_month_of_the_benchmark_has_none(self):
        bench = np.full(24, 0.01)
        bench[5] = NAN
        first, second = calendar_years(earning(np.zeros(24), bench))
        assert np.isnan(first["benchmark_return"])
        assert second["benchmark_return"] == pytest.approx(1.01**12 - 1, rel=1e-12)

    def test_eleven_months_are_no_full_year(self):
        (row,) = calendar_years(earning([0.0] * 11, first="2020-02"))
        assert (row["n_months"], row["is_full"]) == (11, False)

    def test_no_months_no_years(self):
        assert calendar_years(earning([])) == []

    def test_ruin_is_a_year_of_minus_one(self):
        rows = calendar_years(earning([0.5] * 12 + [0.2, -1.0]))
        assert rows[-1]["net_return"] == -1.0


class TestDrawdowns:
    def test_by_hand(self):
        # NAV 1.1, 0.88, 0.99, 1.21, 1.21, 0.605
        net = [0.1, -0.2, 0.125, 1.21 / 0.99 - 1.0, 0.0, -0.5]
        rows = drawdowns(earning(net))
        records("drawdowns", rows)
        day = dt.date
        assert rows == [
            {
                "rank": 1,
                "peak": day(2020, 5, 29),
                "trough": day(2020, 6, 30),
                "recovery": None,
                "depth": pytest.approx(-0.5),
                "n_months": 1,
            },
            {
                "rank": 2,
                "peak": day(2020, 1, 31),
                "trough": day(2020, 2, 28),
                "recovery": day(2020, 4, 30),
                "depth": pytest.approx(-0.2),
                "n_months": 3,
            },
        ]

    @pytest.mark.parametrize(
        ("days_before", "start"), [(0, dt.date(2019, 12, 31)), (3, dt.date(2019, 12, 26))]
    )
    def test_what_is_below_the_start_began_there(self, days_before: int, start: dt.date):
        (row,) = drawdowns(earning([-0.1, 0.05, 0.2], days_before=days_before))
        assert (row["peak"], row["n_months"]) == (start, 3)
        assert row["recovery"] is not None

    def test_no_more_than_most_the_deepest_first_and_none_overlaps(self):
        rng = np.random.default_rng(1)
        backtest = earning(rng.normal(0.01, 0.03, 400), first="1980-01")
        every, few = drawdowns(backtest, most=1000), drawdowns(backtest)
        assert len(few) == 10 < len(every)
        assert few == every[:10]
        assert [row["rank"] for row in few] == list(range(1, 11))
        assert [row["depth"] for row in every] == sorted(row["depth"] for row in every)
        assert every[0]["depth"] == backtest.drawdown.min()
        in_order = sorted(every, key=lambda row: row["peak"])
        for before, after in pairwise(in_order):
            assert before["peak"] < before["trough"] < before["recovery"] <= after["peak"]
        below = int((backtest.drawdown < 0).sum())
        ended = sum(row["recovery"] is not None for row in every)
        assert sum(row["n_months"] for row in every) == below + ended

    def test_of_two_as_deep_the_earlier_comes_first(self):
        rows = drawdowns(earning([-0.5, 1.0, -0.5, 1.0]))
        assert [row["depth"] for row in rows] == [-0.5, -0.5]
        assert rows[0]["peak"] < rows[1]["peak"]

    def test_a_high_that_is_missed_by_rounding_is_reached(self):
        net = [0.3, -0.3, 1.0 / 0.7 - 1.0, 0.0]
        backtest = earning(net)
        assert backtest.nav[2] < backtest.nav[0]  # the case would not be one otherwise
        (row,) = drawdowns(backtest)
        assert row["recovery"] == backtest.dates[2].item()

    def test_what_never_falls_has_none(self):
        assert drawdowns(earning([0.1, 0.0, 0.1])) == []
        assert drawdowns(earning([])) == []

    @pytest.mark.parametrize("last", [-1.0, -1.5])
    def test_ruin_is_as_deep_as_it_is_and_never_over(self, last: float):
        (row,) = drawdowns(earning([0.5, last]))
        assert (row["depth"], row["recovery"], row["n_months"]) == (last, None, 1)


def test_returns_that_nobody_knows_crash_nothing():
    unknown = earning([NAN] * 40)
    (*_, last) = rolling(unknown, np.full(40, NAN))
    assert np.isnan(last["sharpe"])
    assert all(np.isnan(row["net_return"]) for row in calendar_years(unknown))
    assert drawdowns(unknown) == []
