"""Trading costs part by part: by hand, and volatility and volume against pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from factorlab_assets.core.bars import Late
from factorlab_assets.core.costs import LEAST_DAYS, MONTHS, TradingCosts, liquidity, trading_costs
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import resolve
from factorlab_assets.strategy_book import Costs
from factorlab_tests.small_panels import NAN, panel_of, strategy_of
from factorlab_tests.traded_panels import no_repairs, traded_market, with_bars

FREE = {"tc_bps": 0.0, "slippage_bps": 0.0}
TWO = panel_of({"A": [1.0] * 4, "B": [1.0] * 4})
TRADES = [[0.5, 0.25], [0.0, 0.0], [0.1, 0.0]]
DAYS = 21 + 19 + 22 + 21  # sessions of January to April 2020


def cost_of(panel: Panel, trades: list[list[float]], **said: Any) -> TradingCosts:
    return trading_costs(Costs.model_validate(FREE | said), panel, np.array(trades))


class TestParts:
    def test_commission_and_slippage_are_basis_points_of_turnover(self):
        said = cost_of(TWO, TRADES, tc_bps=4.0, slippage_bps=8.0)
        assert said.turnover.tolist() == [0.75, 0.0, 0.1]
        assert said.commission == pytest.approx([0.0003, 0, 0.00004], abs=1e-18)
        assert said.slippage == pytest.approx([0.0006, 0, 0.00008], abs=1e-18)
        assert said.total == pytest.approx([0.0009, 0, 0.00012], abs=1e-18)
        assert not said.spread.any()
        assert not said.impact.any()

    def test_a_trade_pays_half_its_own_tickers_spread(self):
        said = cost_of(TWO, TRADES, spread_bps={"A": 20.0, "B": 40.0})
        assert said.spread == pytest.approx([0.0005 + 0.0005, 0.0, 0.0001], abs=1e-18)
        only_b = cost_of(TWO, TRADES, spread_bps={"B": 40.0})
        assert only_b.spread == pytest.approx([0.0005, 0.0, 0.0], abs=1e-18)

    def test_nothing_said_costs_nothing(self):
        said = cost_of(TWO, TRADES)
        assert not said.total.any()
        assert said.n_volume_unknown.tolist() == [0, 0, 0]

    def test_the_parts_are_the_whole(self):
        panel = swinging()
        every = {"tc_bps": 3.0, "slippage_bps": 4.0, "spread_bps": {"A": 9.0}}
        said = cost_of(panel, TRADES, **every, impact=0.8, capital=1e7)
        parts = said.commission + said.slippage + said.spread + said.impact
        assert (said.impact[[0, 2]] > 0.0).all()
        assert said.total == pytest.approx(parts, rel=1e-14)


def swinging(volume: float = 1e6) -> Panel:
    """A swings by 2 % and back every day, B by 1 %, both at `volume` dollars a day."""
    up = np.arange(DAYS) % 2
    close = np.column_stack([100.0 * 1.02**up, 50.0 * 1.01**up])
    return with_bars(TWO, close, np.full(close.shape, volume))


class TestImpact:
    def test_it_is_volatility_times_the_root_of_what_is_traded_in_days(self):
        # 0.25 of 100 million is 25 days of a million each: five daily moves. The moves are 2 % up
        # and 1.96 % down, 21 − 1 of them in January, and 1 % up and 0.99 % down.
        said = cost_of(swinging(), [[0.25, 0.0], [0.0, 0.25], [0, 0]], impact=0.5, capital=1e8)
        daily = np.array([0.02, -0.02 / 1.02] * 10)
        sigma = daily.std(ddof=1)
        assert sigma == pytest.approx(0.0203, abs=1e-4)
        assert said.impact[0] == pytest.approx(0.5 * sigma * 5 * 0.25, rel=1e-12)
        daily = np.array([0.01, -0.01 / 1.01] * 20)[:39]
        assert said.impact[1] == pytest.approx(0.5 * daily.std(ddof=1) * 5 * 0.25, rel=1e-12)
        assert said.n_volume_unknown.tolist() == [0, 0, 0]

    def test_four_times_the_capital_costs_twice_as_much(self):
        small, large = (
            cost_of(swinging(), TRADES, impact=1.0, capital=capital).impact
            for capital in (1e6, 4e6)
        )
        assert large == pytest.approx(2 * small, rel=1e-14)

    def test_a_name_without_volume_pays_for_a_whole_day_at_5_percent_or_its_own_more(self):
        panel = swinging()
        assert panel.bars is not None
        volume = panel.bars.dollar_volume.copy()
        volume[:, 0] = NAN
        panel = replace(panel, bars=replace(panel.bars, dollar_volume=volume))
        said = cost_of(panel, TRADES, impact=0.5, capital=1e6)
        known = cost_of(swinging(), [[0.0, 0.25], [0, 0], [0, 0]], impact=0.5, capital=1e6)
        assert said.impact[0] == pytest.approx(0.5 * 0.05 * 0.5 + known.impact[0], rel=1e-13)
        assert said.impact[2] == pytest.approx(0.5 * 0.05 * 0.1, rel=1e-13)
        assert said.n_volume_unknown.tolist() == [1, 0, 1]
        wild = replace(panel.bars, close=panel.bars.close * 1.2 ** (np.arange(DAYS) % 2)[:, None])
        dear = cost_of(replace(panel, bars=wild), TRADES, impact=0.5, capital=1e6)
        assert dear.impact[2] == pytest.approx(0.5 * 0.1 * _sigma(wild.close, 2)[0], rel=1e-12)
        assert _sigma(wild.close, 2)[0] > 0.05

    def test_a_volume_of_nothing_is_not_known(self):
        said = cost_of(swinging(volume=0.0), TRADES, impact=0.5, capital=1e6)
        assert said.n_volume_unknown.tolist() == [2, 0, 1]
        assert said.impact == pytest.approx([0.5 * 0.05 * 0.75, 0, 0.5 * 0.05 * 0.1], rel=1e-13)

    def test_without_daily_bars_it_is_an_error_that_says_so(self):
        with pytest.raises(FactorLabError, match=r"market impact .* costs\.impact"):
            cost_of(TWO, TRADES, impact=0.5, capital=1e6)


class TestFile:
    @pytest.mark.parametrize(
        ("said", "about"),
        [
            ({"impact": 0.5}, "impact and capital go together"),
            ({"capital": 1e6}, "impact and capital go together"),
            ({"spread_bps": {"spy": 3.0}}, "spread_bps"),
            ({"spread_bps": {"SPY": -3.0}}, "greater than or equal to 0"),
            ({"impact": 0.5, "capital": 0.0}, "greater than 0"),
        ],
    )
    def test_what_cannot_be_is_an_error_of_the_file(self, said: dict[str, Any], about: str):
        with pytest.raises(ValidationError, match=about):
            Costs.model_validate(said)

    def test_a_spread_of_a_ticker_outside_the_universe_is_an_error_that_names_it(self):
        strategy = strategy_of(
            universe=["A", "B"], benchmark="A", costs={"spread_bps": {"A": 1.0, "XYZ": 2.0}}
        )
        with pytest.raises(FactorLabError, match=r"costs\.spread_bps.*XYZ.*A, B"):
            resolve(strategy, {}, {})
        inside = strategy_of(universe=["A", "B"], benchmark="A", costs={"spread_bps": {"A": 1.0}})
        assert resolve(inside, {}, {}).tickers == ("A", "B")


def _sigma(close: Floats, t: int) -> Floats:
    """Of January 2020 up to month t ≤ 2."""
    last = [21, 40, 62][t]
    return (close[1:last] / close[: last - 1] - 1.0).std(axis=0, ddof=1)


class TestLiquidity:
    @pytest.mark.parametrize("seed", range(3))
    def test_pandas_comes_to_the_same(self, seed: int):
        panel, _ = traded_market(15, "ABCD", seed, gaps=0.08)
        assert panel.bars is not None
        bars, found = panel.bars, liquidity(panel)
        assert len(bars.late.row) > 3
        for t, date in enumerate(panel.dates):
            close = bars.close.copy()
            for row, column, seen, known_at in zip(
                bars.late.row, bars.late.column, bars.late.seen, bars.late.known_at, strict=True
            ):
                if known_at > date:
                    close[row, column] = seen
            recent = (bars.month <= t) & (bars.month > t - MONTHS)
            returns = pd.DataFrame(close).pct_change(fill_method=None)[recent]
            volume = pd.DataFrame(bars.dollar_volume)[recent]
            sigma = returns.std().where(returns.count() >= LEAST_DAYS)
            mean = volume.mean().where(volume.count() >= LEAST_DAYS)
            assert found.volatility[t] == pytest.approx(sigma.to_numpy(), rel=1e-11, nan_ok=True)
            assert found.volume[t] == pytest.approx(mean.to_numpy(), rel=1e-13, nan_ok=True)
        assert np.isnan(found.volume[-1, 0])
        assert np.isnan(found.volatility[0, -1])
        assert np.isfinite(found.volatility[3:, :-1]).mean() > 0.8

    def test_a_month_without_any_session_in_the_bars_is_an_empty_window(self):
        panel = swinging()
        assert panel.bars is not None
        keep = panel.bars.month >= 3
        late_start = replace(
            panel.bars,
            days=panel.bars.days[keep],
            month=panel.bars.month[keep],
            close=panel.bars.close[keep],
            dollar_volume=panel.bars.dollar_volume[keep],
        )
        found = liquidity(replace(panel, bars=late_start))
        assert np.isnan(found.volatility[:3]).all()
        assert found.volume[3].tolist() == [1e6, 1e6]

    def test_a_repair_counts_from_the_day_it_was_known_also_in_the_next_months_first_return(self):
        plain = swinging()
        assert plain.bars is not None
        row = 20  # the last session of January: its return is January's, the next February's
        known_at = plain.dates[2]
        late = Late(np.array([row]), np.array([0]), np.array([300.0]), np.array([known_at]))
        found = liquidity(replace(plain, bars=replace(plain.bars, late=late)))
        calm, wild = liquidity(plain), plain.bars.close.copy()
        wild[row, 0] = 300.0
        assert found.volatility[0, 0] == pytest.approx(_sigma(wild, 0)[0], rel=1e-12)
        assert found.volatility[1, 0] == pytest.approx(_sigma(wild, 1)[0], rel=1e-12)
        assert found.volatility[2:].tolist() == calm.volatility[2:].tolist()
        assert found.volatility[:, 1].tolist() == calm.volatility[:, 1].tolist()

    def test_a_close_counts_as_long_as_the_first_return_after_it_does(self):
        plain = swinging()
        assert plain.bars is not None
        # Of April's three months, February to April, the first return starts from January's close.
        late = Late(np.array([20]), np.array([0]), np.array([300.0]), plain.dates[-1:] + 10)
        found = liquidity(replace(plain, bars=replace(plain.bars, late=late)))
        wild = plain.bars.close[20:].copy()
        wild[0, 0] = 300.0
        sigma = (wild[1:] / wild[:-1] - 1.0).std(axis=0, ddof=1)
        assert found.volatility[3] == pytest.approx(sigma, rel=1e-12)
        assert sigma[0] > 2 * sigma[1]

    def test_no_later_day_changes_a_bit(self):
        panel, _ = traded_market(12, "ABC", seed=9)
        whole = liquidity(panel)
        for t in range(12):
            part = liquidity(panel.until(panel.dates[t]))
            for one, two in zip(whole, part, strict=True):
                assert one[: t + 1].tobytes() == two.tobytes()

    def test_nothing_is_late_in_a_market_without_repairs(self):
        panel, _ = traded_market(8, "AB", seed=2)
        assert panel.bars is not None
        plain = replace(panel, bars=replace(panel.bars, late=no_repairs()))
        assert not np.array_equal(liquidity(plain)[0], liquidity(panel)[0], equal_nan=True)
