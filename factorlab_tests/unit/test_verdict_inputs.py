"""What score_v1 looks at: the strategy without its class effect, baselines, classes, capacity.

Tolerance 1e-12: the same sums in another order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.costs import liquidity
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.signals import compute_signals
from factorlab_assets.evaluation.exposures import style_returns
from factorlab_assets.evaluation.variants import Earned
from factorlab_assets.evaluation.verdict import score_v1
from factorlab_assets.evaluation.verdict_inputs import (
    balanced_returns,
    baselines,
    capacity,
    class_returns,
    gather,
    neutralized,
    own_baseline,
    trades,
)
from factorlab_assets.strategy import Resolved
from factorlab_assets.verdict_settings import EQUAL_WEIGHT, Capacity, VerdictSettings
from factorlab_tests.small_panels import (
    bars_with,
    daily_market,
    month_days,
    panel_of,
    ranked,
    resolved_of,
    strategy_of,
)

CLASSES = dict.fromkeys("ABC", "Equity") | dict.fromkeys("DEF", "Rates")
NAMES = list("ABCDEF")
TREND = [{"name": "trend", "params": {"lookback": 3}, "delay": 1}]
TOP = {"select": {"top_k": 2}, "min_names": 3}


def market(n_months: int = 40, extra: tuple[str, ...] = ()) -> SharedPanel:
    """Random prices of six tickers and the extra ones."""
    return SharedPanel.of(daily_market(n_months, sorted([*NAMES, *extra]), seed=5)[0])


def ran(resolved: Resolved, panel: Panel) -> tuple[research.Result, Backtest]:
    result = research.run(resolved, panel)
    return result, result.backtest


# --- without the class effect --------------------------------------------------------------------


def test_signals_are_demeaned_within_each_class_after_all_else():
    own = [{**TREND[0], "transforms": [{"kind": "rank"}]}]
    changed = neutralized(resolved_of(strategy_of(factors=own, portfolio=TOP), NAMES), CLASSES, {})
    assert isinstance(changed, Resolved)
    assert [t.kind for t in changed.strategy.factors[0].transforms] == ["rank", "demean"]
    panel = panel_of(
        {name: np.cumprod([1.0] + [1.0 + 0.01 * i] * 8) for i, name in enumerate(NAMES)}
    )
    signal = compute_signals(changed, panel).signal[0, -1]
    # Ranks 0, .2, … 1: each class's own mean is taken off.
    assert signal == pytest.approx([-0.2, 0.0, 0.2, -0.2, 0.0, 0.2], abs=1e-12)


def test_it_is_the_strategy_of_a_file_that_says_so():
    panel, plain = market(), resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    written = strategy_of(
        factors=[{**TREND[0], "transforms": [{"kind": "demean", "within": "asset_class"}]}],
        portfolio=TOP,
    )
    by_file = Resolved(
        strategy=written,
        tickers=tuple(NAMES),
        asset_classes=CLASSES,
        groups={"asset_class": CLASSES},
    )
    changed = neutralized(plain, CLASSES, {})
    assert isinstance(changed, Resolved)
    assert changed.config_hash == by_file.config_hash != plain.config_hash
    earned = ran(changed, panel)[1].net_return
    assert (earned == ran(by_file, panel)[1].net_return).all()
    assert (earned != ran(plain, panel)[1].net_return).any()


@pytest.mark.parametrize(
    ("strategy", "classes", "reason"),
    [
        (strategy_of(), CLASSES, "the strategy has no factors"),
        (ranked(TOP), {}, "no asset classes are known"),
        (ranked(TOP), dict.fromkeys(NAMES, "Equity"), "no two classes"),
        (ranked(TOP), dict(zip(NAMES, "UVWXYZ", strict=True)), "no two classes"),
    ],
)
def test_where_there_is_no_class_effect_it_says_why(
    strategy: Any, classes: dict[str, str], reason: str
):
    said = neutralized(resolved_of(strategy, NAMES), classes, {})
    assert isinstance(said, str)
    assert reason in said


def test_small_classes_count_to_the_one_that_they_merge_into():
    classes = dict(zip(NAMES, ["Equity"] * 3 + ["Gold", "Oil", "Oil"], strict=True))
    plain = resolved_of(ranked(TOP), NAMES)
    merged = neutralized(plain, classes, {"Gold": "Real", "Oil": "Real"})
    assert isinstance(merged, Resolved)
    assert merged.merge == {"Gold": "Real", "Oil": "Real"}
    # Without it they count to everyone, which is another group than Equity.
    assert isinstance(neutralized(plain, classes, {}), Resolved)


# --- baselines -----------------------------------------------------------------------------------


def named(name: str, **said: Any) -> Resolved:
    return resolved_of(strategy_of(name=name, **said), NAMES)


BALANCED = {"weighting": "fixed", "fixed_weights": {"SPY": 0.6, "IEF": 0.4}}


@pytest.mark.parametrize(
    ("own", "name", "other", "reason"),
    [
        (named("a", factors=TREND), "a", named("a"), "the strategy itself"),
        (named("a", factors=TREND), "b", named("b", factors=TREND), "the same configuration"),
        (named("a", factors=TREND), "b", named("b"), ""),
        (named("a", factors=TREND), "b", "there is no such strategy", ""),
        (named("a", benchmark="strategy:b"), "b", named("b", factors=TREND), "its benchmark"),
        (
            named("a", factors=TREND, benchmark="60/40"),
            "sixty_forty",
            named("sixty_forty", portfolio=BALANCED),
            "its benchmark",
        ),
        (
            named("a", factors=TREND),
            "sixty_forty",
            named("sixty_forty", portfolio=BALANCED),
            "",
        ),
        (named("a", factors=TREND, benchmark=EQUAL_WEIGHT), EQUAL_WEIGHT, "-", "its benchmark"),
        (named("a"), EQUAL_WEIGHT, "-", "it is itself the equally weighted universe"),
        (named("a", factors=TREND), EQUAL_WEIGHT, "-", ""),
    ],
)
def test_its_own_baseline_is_left_out(own: Resolved, name: str, other: Any, reason: str):
    assert own_baseline(own, name, other) == reason


def test_baselines_are_net_returns_over_the_equally_weighted_universe():
    panel = market(extra=("SPY",))
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    months = Earned.of(ran(own, panel)[1])
    even = np.linspace(-0.01, 0.01, len(months.months))
    held = resolved_of(
        strategy_of(name="held", portfolio={"weighting": "fixed", "fixed_weights": {"SPY": 1.0}}),
        ["SPY"],
    )
    never = resolved_of(strategy_of(name="never", portfolio={"min_names": 3}), ["SPY"])
    given = {"held": held, "never": never, "gone": "there is no such file"}
    names = [EQUAL_WEIGHT, *given, "unheard"]
    found = baselines(own, panel, months, names, given, even)
    assert list(found) == names
    of_it = ran(held, panel)[1]
    late = len(months.months) - len(of_it.dates)  # SPY is listed later than the strategy starts
    assert late > 0
    assert np.isnan(np.asarray(found["held"])[:late]).all()
    expected = of_it.net_return - even[late:]
    assert np.asarray(found["held"])[late:] == pytest.approx(expected, abs=1e-12)
    assert (found[EQUAL_WEIGHT] == 0.0).all()
    assert "strategy" in str(found["never"])
    assert found["gone"] == "there is no such file"
    assert found["unheard"] == "there is no such strategy"
    again = baselines(own, panel, months, ["held", "never"], given, even)
    assert np.array_equal(np.asarray(again["held"]), np.asarray(found["held"]), equal_nan=True)
    assert again["never"] == found["never"]


def test_60_40_is_spy_and_ief_in_its_months():
    panel = market(extra=("SPY", "IEF"))
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    months = Earned.of(ran(own, panel)[1])
    found = balanced_returns(own, panel, months)
    price = panel.select(["SPY", "IEF"]).price  # IEF first
    returns = (price[1:] / price[:-1] - 1.0) @ np.array([0.4, 0.6])
    assert found == pytest.approx(returns[-len(months.months) :], abs=1e-12, nan_ok=True)
    assert np.isfinite(found).sum() > 12
    assert balanced_returns(own, market(), months) == "SPY and IEF have no prices in its months"


# --- classes -------------------------------------------------------------------------------------


def test_a_class_earns_per_unit_of_its_weight():
    # A doubles, B stays, D falls by half; 30 % A, 10 % B, 20 % D, the rest is cash at 1 % a month.
    panel = panel_of({"A": [1.0, 2.0], "B": [1.0, 1.0], "D": [2.0, 1.0]})
    fixed = {"A": 0.3, "B": 0.1, "D": 0.2}
    own = resolved_of(
        strategy_of(
            portfolio={"weighting": "fixed", "fixed_weights": fixed},
            cash={"yield_ann": 1.01**12 - 1.0},
        ),
        "ABD",
    )
    result, backtest = ran(own, panel)
    found = class_returns(own, panel, result.book, backtest, CLASSES)
    assert isinstance(found, dict)
    assert found["Equity"] == pytest.approx([0.75 * 0.99 + 0.25 * -0.01], abs=1e-12)
    assert found["Rates"] == pytest.approx([-0.51], abs=1e-12)


def test_a_short_counts_by_its_size():
    panel = panel_of({"A": [1.0, 1.1], "B": [1.0, 1.1], "D": [1.0, 1.0]})
    said = {"type": "long_short", "weighting": "fixed"}
    fixed = {"A": 0.4, "B": -0.4, "D": 0.2}
    own = resolved_of(strategy_of(portfolio=said | {"fixed_weights": fixed}), "ABD")
    result, backtest = ran(own, panel)
    found = class_returns(own, panel, result.book, backtest, CLASSES)
    assert found["Equity"] == pytest.approx([0.0], abs=1e-12)  # type: ignore[index]  # not a text


def test_the_parts_of_the_classes_add_up_to_the_gross_return():
    panel = market()
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    result, backtest = ran(own, panel)
    found = class_returns(own, panel, result.book, backtest, CLASSES)
    assert isinstance(found, dict)
    weights = result.book.weights[:-1][result.book.start :]
    total = np.zeros(len(backtest.dates))
    for name, series in found.items():
        held = weights[:, [CLASSES[t] == name for t in NAMES]].sum(axis=1)
        assert (np.isnan(series) == (held == 0.0)).all()
        total += np.where(held > 0.0, held * np.nan_to_num(series), 0.0)
    assert total == pytest.approx(backtest.gross_return, abs=1e-12)
    assert {*found} == {"Equity", "Rates"}


def test_without_classes_there_are_tiers_of_size_or_a_reason():
    own = resolved_of(strategy_of(portfolio={"min_names": 1}), NAMES)
    panel = market(12)
    result, backtest = ran(own, panel)
    said = class_returns(own, panel, result.book, backtest, {})
    assert said == "no asset classes are known, and no dollar volumes to make tiers of size of"
    days, month = month_days(12)
    close = 1.0 + 0.01 * np.random.default_rng(2).normal(size=(len(days), 6)).cumsum(axis=0) / 10
    volume = np.broadcast_to(10.0 ** np.arange(4, 10), close.shape)  # A least traded
    with_bars = SharedPanel.of(bars_panel(close, volume, month))
    result, backtest = ran(own, with_bars)
    found = class_returns(own, with_bars, result.book, backtest, {})
    assert isinstance(found, dict)
    assert {*found} == {"small", "middle", "large"}
    price = with_bars.price
    small = (price[1:] / price[:-1] - 1.0)[:, :2].mean(axis=1)
    known = np.isfinite(found["small"])
    assert known.sum() >= 10
    drifting = found["small"][known] - small[known]
    assert np.abs(drifting).max() < 1e-12


def test_a_tier_is_of_the_volume_known_when_the_weights_were_set():
    days, month = month_days(12)
    close = np.exp(0.01 * np.random.default_rng(2).normal(size=(len(days), 6)).cumsum(axis=0))
    volume = np.where(
        (month < 6)[:, np.newaxis], 10.0 ** np.arange(4, 10), 10.0 ** np.arange(14, 8, -1)
    )
    panel = SharedPanel.of(bars_panel(close, volume, month))
    own = resolved_of(strategy_of(portfolio={"min_names": 1}), NAMES)
    result, backtest = ran(own, panel)
    found = class_returns(own, panel, result.book, backtest, {})
    returns = panel.price[1:] / panel.price[:-1] - 1.0
    small = found["small"]  # type: ignore[index]  # not a text
    # Of month 6 by what was known after month 5, and of month 7 after the first with other volumes.
    assert small[5] == pytest.approx(returns[5, :2].mean(), abs=1e-12)
    assert small[6] == pytest.approx(returns[6, 4:].mean(), abs=1e-12)


def bars_panel(close: np.ndarray, volume: np.ndarray, month: np.ndarray) -> Panel:
    """The panel of these daily closes and volumes."""
    n_months = int(month.max()) + 1
    last = np.searchsorted(month, np.arange(n_months), side="right") - 1
    prices = dict(zip(NAMES, close[last].T, strict=True))
    bars = bars_with(close, volume, n_months=n_months)
    return replace(panel_of(prices, first="2010-01"), bars=bars)


# --- capacity ------------------------------------------------------------------------------------


def traded_market(n_months: int = 24, volume: float = 1e6) -> SharedPanel:
    days, month = month_days(n_months)
    rng = np.random.default_rng(4)
    close = np.exp(0.01 * rng.normal(size=(len(days), 6)).cumsum(axis=0))
    return SharedPanel.of(bars_panel(close, np.full(close.shape, volume), month))


def test_trades_are_those_that_the_backtest_pays_for():
    panel = traded_market()
    for execution in ({}, {"turnover": "target"}, {"trade_at": "next_close"}):
        own = resolved_of(strategy_of(factors=TREND, portfolio=TOP, execution=execution), NAMES)
        result, backtest = ran(own, panel)
        found = trades(own, panel, result.book).sum(axis=1)
        assert found[result.book.start :] == pytest.approx(backtest.turnover, abs=1e-12)
        assert backtest.turnover.max() > 0.1


def test_capacity_by_hand():
    panel = traded_market(36)
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    result, backtest = ran(own, panel)
    said = Capacity(cost_bps_ann=50.0, impact=2.0, months=12)
    dollars, note = capacity(own, panel, result.book, backtest, said)
    volatility, volume = (each[:-1][-12:] for each in liquidity(panel))
    size = trades(own, panel, result.book)[-12:]
    # Twelve months: their sum is a year's.
    cost = sum(
        2.0 * s * np.sqrt(d * dollars / v) * d
        for s, v, d in zip(volatility.ravel(), volume.ravel(), size.ravel(), strict=True)
    )
    assert cost == pytest.approx(0.0050, rel=1e-9)
    assert note == "by square-root impact with a factor of 2 over the last 12 months"


def test_capacity_grows_with_volume_and_with_the_square_of_cost():
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)

    def at(volume: float = 1e6, **said: Any) -> float:
        panel = traded_market(volume=volume)
        result, backtest = ran(own, panel)
        return capacity(own, panel, result.book, backtest, Capacity(**said))[0]

    plain = at()
    assert at(volume=3e6) == pytest.approx(3.0 * plain, rel=1e-9)
    assert at(cost_bps_ann=100.0) == pytest.approx(4.0 * plain, rel=1e-9)
    assert at(impact=2.0) == pytest.approx(plain / 4.0, rel=1e-9)


def test_trades_of_unknown_volume_count_as_dear_as_the_others():
    panel = traded_market()
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    result, backtest = ran(own, panel)
    assert panel.bars is not None
    volume = panel.bars.dollar_volume.copy()
    volume[:, 0] = 0.0
    without = SharedPanel.of(replace(panel, bars=replace(panel.bars, dollar_volume=volume)))
    size = trades(own, panel, result.book)[result.book.start :]
    volatility = liquidity(panel).volatility[:-1][result.book.start :]
    root = (volatility * size**1.5)[:, 1:].sum() / 1e3 / (size[:, 1:].sum() / size.sum())
    expected = (0.0050 / (root * 12.0 / len(size))) ** 2
    said = Capacity(least_known=0.1)
    found = capacity(own, without, result.book, backtest, said)[0]
    assert found == pytest.approx(expected, rel=1e-9)


def test_where_capacity_is_not_known_it_says_why():
    own = resolved_of(strategy_of(factors=TREND, portfolio=TOP), NAMES)
    for panel, reason in (
        (market(), "dollar volumes were not read"),
        (traded_market(volume=0.0), "dollar volumes are known of 0% of what was traded"),
    ):
        result, backtest = ran(own, panel)
        dollars, note = capacity(own, panel, result.book, backtest, Capacity())
        assert np.isnan(dollars)
        assert reason in note
    panel = traded_market()
    result, backtest = ran(own, panel)
    still = replace(result.book, weights=np.zeros_like(result.book.weights))
    assert "nothing was traded" in capacity(own, panel, still, backtest, Capacity())[1]


# --- all of it -----------------------------------------------------------------------------------


def gathered(strategy: Any, panel: Panel, classes: dict[str, str]) -> Any:
    own = resolved_of(strategy, NAMES)
    result, backtest = ran(own, panel)
    rows = {"metrics": research.measure(own, backtest, None, price_basis="synthetic")}
    return gather(
        own,
        panel,
        result.book,
        backtest,
        VerdictSettings(),
        rows,
        equal_weight=backtest.benchmark_return,
        strategies={},
        styles=style_returns(panel, styles=["reversal_1m"]),
        classes=classes,
        merge={},
        vintage="invented",
    )


def test_everything_is_gathered_over_the_strategys_own_months():
    panel = traded_market(48)
    said = gathered(
        strategy_of(factors=TREND, portfolio=TOP, benchmark=EQUAL_WEIGHT), panel, CLASSES
    )
    count = len(said.excess)
    assert count == said.metrics["n_months"]
    months = (said.active, said.later, said.neutral, *said.classes.values(), *said.styles.values())
    for series in months:
        assert series.shape == (count,)
    assert np.isnan(said.later[:2]).all()  # two months later there is no signal yet
    assert np.isfinite(said.later[2:]).all()
    assert said.baselines[EQUAL_WEIGHT] == "its benchmark"
    style = style_returns(panel, styles=["reversal_1m"])["reversal_1m"]
    assert (said.styles["reversal_1m"] == style[-count:]).all()
    assert said.capacity[0] > 0.0
    rows = {row["component"]: row for row in score_v1(said)}
    assert np.isfinite(float(rows["neutralization_stability"]["score"]))


def test_a_strategy_without_factors_says_what_cannot_be_had():
    said = gathered(strategy_of(portfolio={"min_names": 1}), market(), {})
    assert said.later == "the strategy has no factors"
    assert "no factors" in said.neutral
    assert said.over_balanced == "SPY and IEF have no prices in its months"
    total = score_v1(said)[-1]
    assert total["grade"] == "none"
