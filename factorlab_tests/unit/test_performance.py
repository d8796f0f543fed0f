"""Statistics of monthly returns: by hand, and NaN wherever one is undefined."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from factorlab_assets.core.backtest import Backtest, drawdown, growth
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import PAID, metrics, segments
from factorlab_assets.schemas import METRICS
from factorlab_tests.small_panels import NAN

ROOT12 = math.sqrt(12.0)


def said_of(net: list[float] | Floats, benchmark: list[float] | None = None, rf: float = 0.0):
    values = np.array(net, dtype=np.float64)
    other = np.full(len(values), NAN) if benchmark is None else np.array(benchmark)
    zero = np.zeros(len(values))
    paid = dict.fromkeys(PAID, zero)
    return metrics(values, np.full(len(values), rf), other, zero, zero, **paid)


def backtest_of(net: list[float], first: str = "2020-01", **columns: list[float]) -> Backtest:
    values = np.array(net, dtype=np.float64)
    last = str(np.datetime64(first, "M") + (len(net) - 1))
    given = {name: np.array(column, dtype=np.float64) for name, column in columns.items()}
    zero, none = np.zeros(len(net)), np.zeros(len(net), dtype=np.int64)
    arrays = {field.name: zero for field in fields(Backtest)} | {
        "dates": month_ends(first, last),
        "gross_return": values,
        "net_return": values,
        "benchmark_return": np.full(len(net), NAN),
        "nav": growth(values),
        "drawdown": drawdown(growth(values)),
        "n_holdings": none,
        "n_unpriced": none,
        "n_volume_unknown": none,
    }
    return Backtest(**(arrays | given))


class TestFormulas:
    def test_growth_and_drawdown_start_from_one(self):
        said = said_of([-0.2, 0.5, -0.1])
        assert said["cagr"] == pytest.approx(1.08**4 - 1, rel=1e-14)
        assert said["max_drawdown"] == pytest.approx(-0.2, abs=1e-15)
        assert said["calmar"] == pytest.approx((1.08**4 - 1) / 0.2, rel=1e-13)

    def test_volatility_is_the_sample_standard_deviation(self):
        assert said_of([0.01, 0.03])["volatility_ann"] == pytest.approx(
            math.sqrt(0.0002) * ROOT12, rel=1e-13
        )

    def test_sharpe_and_sortino_are_over_cash(self):
        said = said_of([0.03, -0.01, 0.01], rf=0.01)
        assert said["sharpe"] == pytest.approx(0.0, abs=1e-13)
        said = said_of([0.03, -0.01, 0.04], rf=0.01)
        assert said["sharpe"] == pytest.approx(0.01 / math.sqrt(0.0007) * ROOT12, rel=1e-12)
        assert said["sortino"] == pytest.approx(0.12 / (math.sqrt(0.0004 / 3) * ROOT12), rel=1e-12)

    def test_a_month_of_nothing_is_no_hit(self):
        assert said_of([0.1, 0.0, -0.1, 0.2])["hit_rate"] == 0.5

    def test_turnover_and_cost_are_means_times_twelve(self):
        zero = np.zeros(2)
        said = metrics(zero, zero, zero, np.array([1.0, 0.5]), np.array([0.001, 0.0]))
        assert said["turnover_ann"] == pytest.approx(9.0, rel=1e-14)
        assert said["cost_drag_ann"] == pytest.approx(0.006, rel=1e-14)

    def test_what_was_paid_is_told_part_by_part_and_per_year(self):
        backtest = backtest_of([0.1, 0.2], commission=[0.001, 0.003], borrow=[0.0, 0.002])
        said = segments(backtest, None, None)[0]
        assert said["commission_ann"] == pytest.approx(0.024, rel=1e-14)
        assert said["borrow_ann"] == pytest.approx(0.012, rel=1e-14)
        assert said["impact_cost_ann"] == said["financing_ann"] == 0.0

    def test_ratios_are_over_the_cash_rate_of_each_month(self):
        net, rf = [0.02, 0.03, 0.07], [0.01, 0.01, 0.03]
        said = segments(backtest_of(net, rf=rf), None, None)[0]
        same = segments(backtest_of([0.01, 0.02, 0.04]), None, None)[0]
        assert said["sharpe"] == pytest.approx(same["sharpe"], rel=1e-12)

    def test_against_a_benchmark(self):
        said = said_of([0.02, 0.05, -0.01], [0.01, 0.03, 0.0])
        assert said["excess_ann"] == pytest.approx(0.02 / 3 * 12, rel=1e-12)
        spread = math.sqrt(((0.01 - 0.02 / 3) ** 2 + (0.02 - 0.02 / 3) ** 2 + (0.05 / 3) ** 2) / 2)
        assert said["tracking_error_ann"] == pytest.approx(spread * ROOT12, rel=1e-12)
        assert said["information_ratio"] == pytest.approx(0.02 / 3 / spread * ROOT12, rel=1e-12)

    def test_a_levered_benchmark_has_its_leverage_as_beta(self):
        bench = [0.01, 0.03, -0.02, 0.04]
        said = said_of([2.5 * b + 0.001 for b in bench], bench)
        assert said["beta"] == pytest.approx(2.5, rel=1e-12)

    def test_at_equal_volatility_leverage_alone_is_no_excess(self):
        rng = np.random.default_rng(5)
        bench = 0.005 + 0.04 * rng.standard_normal(60)
        idle = 0.001 * rng.standard_normal(60)
        plain = said_of(bench + idle, list(bench))["t_excess_equal_vol"]
        levered = said_of(3.0 * (bench + idle), list(bench))["t_excess_equal_vol"]
        assert levered == pytest.approx(plain, rel=1e-9)

    def test_the_t_value_by_hand(self):
        # sd of the strategy is twice the benchmark's, so d = r − 2b = (0.03, −0.01, 0.01).
        bench = [0.01, 0.02, 0.03]
        net = [0.05, 0.03, 0.07]
        said = said_of(net, bench)
        assert np.std(net, ddof=1) == pytest.approx(2 * np.std(bench, ddof=1), rel=1e-14)
        assert said["t_excess_equal_vol"] == pytest.approx(0.01 / 0.02 * math.sqrt(3), rel=1e-12)

    def test_only_months_in_which_the_benchmark_is_known_are_compared(self):
        part = said_of([0.5, 0.02, 0.05, -0.01, 0.3], [NAN, 0.01, 0.03, 0.0, NAN])
        whole = said_of([0.02, 0.05, -0.01], [0.01, 0.03, 0.0])
        for name in ("excess_ann", "tracking_error_ann", "beta", "t_excess_equal_vol"):
            assert part[name] == whole[name]
        assert part["hit_rate"] == 0.8

    def test_every_metric_has_its_column(self):
        columns = set(METRICS.columns)
        assert set(said_of([0.1, 0.2])) <= columns
        about = {"month", "strategy", "segment", "price_basis", "rf_label", "benchmark", "caveats"}
        about |= {"first_date", "last_date", "n_months"}
        assert columns - set(said_of([0.1, 0.2])) == about


class TestUndefined:
    def test_a_constant_return_has_no_sharpe(self):
        assert 0.1 + 0.2 != 0.3
        wobble = [0.01 + sign * 2e-17 for sign in (0, 1, 0, 1, 1)]
        prices = 100.0 * 1.01 ** np.arange(61)
        for net in ([0.01] * 12, wobble, prices[1:] / prices[:-1] - 1.0, [0.0] * 5):
            said = said_of(net, [0.01, 0.02, 0.01, 0.0, 0.03] + [0.01] * (len(net) - 5))
            assert said["volatility_ann"] == 0.0
            assert math.isnan(said["sharpe"])
            assert math.isnan(said["t_excess_equal_vol"])

    def test_no_losing_month_means_no_sortino_and_no_calmar(self):
        said = said_of([0.01, 0.02, 0.03])
        assert math.isnan(said["sortino"])
        assert math.isnan(said["calmar"])
        assert said["max_drawdown"] == 0.0
        assert said["sharpe"] > 0

    def test_one_month_has_growth_but_no_spread(self):
        said = said_of([-0.1], [0.05])
        assert said["cagr"] == pytest.approx(0.9**12 - 1, rel=1e-14)
        assert said["excess_ann"] == pytest.approx(-1.8, rel=1e-13)
        assert said["hit_rate"] == 0.0
        for name in (
            "volatility_ann",
            "sharpe",
            "tracking_error_ann",
            "information_ratio",
            "beta",
            "t_excess_equal_vol",
        ):
            assert math.isnan(said[name]), name

    def test_a_strategy_that_is_its_benchmark_has_no_information_ratio(self):
        net = [0.01, -0.02, 0.03, 0.015]
        said = said_of([r + 1e-17 for r in net], net)
        assert said["beta"] == pytest.approx(1.0, rel=1e-12)
        assert said["tracking_error_ann"] == 0.0
        assert math.isnan(said["information_ratio"])
        assert math.isnan(said["t_excess_equal_vol"])

    def test_a_benchmark_that_does_not_move_has_no_beta(self):
        said = said_of([0.01, -0.02, 0.03], [0.01, 0.01, 0.01])
        assert math.isnan(said["beta"])
        assert math.isnan(said["t_excess_equal_vol"])

    def test_without_a_benchmark_nothing_is_compared(self):
        said = said_of([0.01, -0.02, 0.03])
        for name in ("excess_ann", "tracking_error_ann", "information_ratio", "beta"):
            assert math.isnan(said[name]), name

    def test_a_loss_of_everything_is_minus_one_and_of_more_is_undefined(self):
        assert said_of([0.1, -1.0])["cagr"] == -1.0
        ruined = said_of([0.1, -1.5])
        assert math.isnan(ruined["cagr"])
        assert math.isnan(ruined["calmar"])
        assert ruined["max_drawdown"] == pytest.approx(-1.5, rel=1e-14)

    def test_nothing_is_ever_infinite(self):
        for net in ([0.0], [0.0, 0.0], [1e-300, -1e-300], [5.0, -1.0], [1e-9] * 3):
            assert not any(math.isinf(value) for value in said_of(net, [0.0] * len(net)).values())

    def test_tiny_but_real_dispersion_counts(self):
        said = said_of([1e-4, 2e-4, 1e-4, 2e-4])
        assert said["sharpe"] == pytest.approx(1.5e-4 / np.std([1, 2, 1, 2], ddof=1) * 1e4 * ROOT12)


class TestSegments:
    def test_without_a_cut_there_is_the_whole_alone(self):
        rows = segments(backtest_of([0.1, -0.1]), None, None)
        assert [row["segment"] for row in rows] == ["full"]
        assert rows[0]["n_months"] == 2
        assert str(rows[0]["first_date"]) == "2020-01-31"
        assert str(rows[0]["last_date"]) == "2020-02-28"

    def test_each_segment_starts_from_one(self):
        rows = segments(backtest_of([0.1, -0.5, 0.2, 0.1]), None, "2020-02")
        by = {row["segment"]: row for row in rows}
        assert by["full"]["max_drawdown"] == pytest.approx(-0.5, abs=1e-15)
        assert by["out_of_sample"]["max_drawdown"] == 0.0
        assert by["out_of_sample"]["cagr"] == pytest.approx(1.32**6 - 1, rel=1e-13)
        assert by["in_sample"]["n_months"] == by["out_of_sample"]["n_months"] == 2
        assert str(by["out_of_sample"]["first_date"]) == "2020-03-31"

    def test_a_segment_without_months_is_left_out(self):
        early = segments(backtest_of([0.1, -0.5]), None, "2010-01")
        assert [row["segment"] for row in early] == ["full", "out_of_sample"]
        late = segments(backtest_of([0.1, -0.5]), None, "2030-01")
        assert [row["segment"] for row in late] == ["full", "in_sample"]

    def test_no_months_at_all_give_no_rows(self):
        empty = backtest_of([0.1])
        nothing = Backtest(**{name: values[:0] for name, values in vars(empty).items()})
        assert segments(nothing, None, "2020-01") == []

    def test_the_daily_drawdown_is_of_the_segments_own_days(self):
        days = np.array(["2020-01-15", "2020-01-31", "2020-02-14", "2020-02-28"], dtype="M8[D]")
        net = np.array([-0.5, 1.0, -0.6, 1.5])
        daily = Daily(days, net, growth(net), drawdown(growth(net)))
        rows = segments(backtest_of([0.0, 0.0]), daily, "2020-01")
        assert [row["max_drawdown_daily"] for row in rows] == pytest.approx([-0.6, -0.5, -0.6])
        assert math.isnan(segments(backtest_of([0.0]), None, None)[0]["max_drawdown_daily"])
