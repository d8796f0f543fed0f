"""Exposures: betas that are known in the head, what is left out and why, and styles that know
nothing of what comes after them.

Invariants: a style's and a class's return up to a date does not move with anything later; the
spelling of tickers moves nothing; beta on the benchmark is that of `metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from factorlab_assets import schemas
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import metrics
from factorlab_assets.evaluation.exposures import (
    STYLES,
    class_returns,
    exposures,
    lags_of,
    newey_west,
    style_returns,
)
from factorlab_tests.small_panels import NAN, panel_of

ROUND = np.array([1.0, 1.0, -1.0, -1.0])
ACROSS = np.array([1.0, -1.0, 1.0, -1.0])
"""Sums of 0, and uncorrelated with each other: regressions on them are known in the head."""


def prices(returns: Floats) -> list[float]:
    return list(100.0 * np.concatenate([[1.0], np.cumprod(1.0 + returns)]))


def market_of(returns: Mapping[str, Floats]) -> Panel:
    return panel_of({name: prices(each) for name, each in returns.items()})


def backtest_of(panel: Panel, net: Sequence[float], **said: Any) -> Backtest:
    """The last months of a panel with these net returns; the rest is 0 but for what is said."""
    nothing = {each.name: np.zeros(len(net)) for each in fields(Backtest)}
    given = {name: np.asarray(values) for name, values in said.items()}
    dates = panel.dates[len(panel.dates) - len(net) :]
    return Backtest(**(nothing | {"dates": dates, "net_return": np.asarray(net)} | given))


def table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """The rows by (model, factor), found to be rows of the table."""
    named = [{"month": "2024-05", "strategy": "s", **row} for row in rows]
    frame = pd.DataFrame(named)[list(schemas.EXPOSURES.columns)]
    schemas.EXPOSURES.schema.validate(frame)
    assert not frame.duplicated(list(schemas.EXPOSURES.primary_key)).any()
    return frame.set_index(["model", "factor"])


def half_of(market: Floats, error: Floats) -> Floats:
    return 0.002 + 0.5 * market + error


def random_panel(n_months: int = 80, n: int = 9, seed: int = 3) -> Panel:
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.005, 0.05, (n_months - 1, n))
    panel = market_of({f"T{i}": moves[:, i] for i in range(n)})
    gone = rng.random(panel.price.shape) < 0.03
    price = np.where(gone, NAN, panel.price)
    return replace(panel, price=price, seen=price, mark=price)


# --- the regression ------------------------------------------------------------------------------


def test_a_beta_known_in_the_head():
    market = np.tile(0.04 * ROUND, 6)
    net = half_of(market, np.tile(0.01 * ACROSS, 6))
    panel = market_of({"SPY": market})
    rows = table(exposures(backtest_of(panel, net, benchmark_return=market), panel, {}, {}))
    assert rows.loc[("market", "SPY"), "beta"] == pytest.approx(0.5, abs=1e-12)
    assert rows.loc[("market", "intercept"), "beta"] == pytest.approx(12 * 0.002, abs=1e-12)
    # R² = 0.5²·0.04² / (0.5²·0.04² + 0.01²) = 4 / 5.
    assert rows.loc[("market", "SPY"), "r_squared"] == pytest.approx(0.8, abs=1e-12)
    assert set(rows.loc["market", "n_months"]) == {24}


def test_without_lags_it_is_whites_variance_with_the_correction_for_small_samples():
    # Residuals are 0.01 in size in every month: Var β = n/(n − 2) · 0.01² / Σx².
    market = np.tile(0.04 * ROUND, 6)
    net = half_of(market, np.tile(0.01 * ACROSS, 6))
    fit = newey_west(np.column_stack([np.ones(24), market]), net, 0)
    error = np.sqrt(24 / 22 * 0.01**2 / (24 * 0.04**2))
    assert fit.se[1] == pytest.approx(error, rel=1e-12)
    assert fit.t[1] == pytest.approx(0.5 / error, rel=1e-12)


def test_a_mean_of_returns_that_turn_around_is_known_better_with_lags():
    # e alternates: Γ₀ = 24 e², Γ₁ = −23 e²; one lag weighs ½: S = e²·(24 − 23), twice ½ of Γ₁.
    series = 0.01 + np.tile([0.02, -0.02], 12)
    fit = newey_west(np.ones((24, 1)), series, 1)
    assert fit.se[0] == pytest.approx(np.sqrt(24 / 23 * 0.02**2 * (24 - 23)) / 24, rel=1e-12)


def test_lags_grow_slowly():
    assert [lags_of(n) for n in (12, 60, 100, 200, 600)] == [2, 3, 4, 4, 5]


def test_beta_on_the_benchmark_is_that_of_the_metrics():
    rng = np.random.default_rng(8)
    benchmark, rf = rng.normal(0.01, 0.04, 40), np.full(40, 0.001)
    net = 0.7 * benchmark + rng.normal(0.0, 0.02, 40)
    panel = market_of({"QQQ": benchmark, "SPY": rng.normal(0.0, 0.04, 40)})
    backtest = backtest_of(panel, net, rf=rf, benchmark_return=benchmark)
    rows = table(exposures(backtest, panel, {}, {}, benchmark="QQQ"))
    nothing = np.zeros(40)
    told = metrics(net, rf, benchmark, nothing, nothing)
    assert rows.loc[("market", "QQQ"), "beta"] == pytest.approx(told["beta"], rel=1e-12)


def test_returns_are_over_cash_on_both_sides():
    market, rf = np.tile(0.04 * ROUND, 6), np.tile(0.003 * ACROSS, 6)
    panel = market_of({"SPY": market + rf})
    backtest = backtest_of(panel, 0.5 * market + rf, rf=rf, benchmark_return=market + rf)
    rows = table(exposures(backtest, panel, {"SPY": "equity"}, {}))
    assert rows.loc[("market", "SPY"), "beta"] == pytest.approx(0.5, abs=1e-12)
    assert rows.loc[("classes", "equity"), "beta"] == pytest.approx(0.5, abs=1e-12)


def test_two_classes_each_with_its_own_beta():
    equity, bonds = np.tile(0.04 * ROUND, 6), np.tile(0.02 * ACROSS, 6)
    error = np.tile(0.01 * ROUND * ACROSS, 6)
    panel = market_of({"SPY": equity, "QQQ": equity, "TLT": bonds})
    backtest = backtest_of(panel, 0.3 * equity + 0.6 * bonds + error, benchmark_return=equity)
    classes = {"SPY": "equity", "QQQ": "equity", "TLT": "bonds"}
    rows = table(exposures(backtest, panel, classes, {}))
    assert rows.loc[("classes", "equity"), "beta"] == pytest.approx(0.3, abs=1e-12)
    assert rows.loc[("classes", "bonds"), "beta"] == pytest.approx(0.6, abs=1e-12)
    assert rows.loc[("classes", "equity"), "note"] == "2 tickers, equally weighted, over cash"
    assert rows.loc[("classes", "bonds"), "note"] == "1 ticker, over cash"


def test_styles_are_regressed_on_as_they_are():
    market, style = np.tile(0.04 * ROUND, 6), np.tile(0.02 * ACROSS, 6)
    panel = market_of({"SPY": market})
    net = -0.4 * style + 0.01 * np.tile(ROUND * ACROSS, 6)
    backtest = backtest_of(panel, net, rf=np.full(24, 0.0), benchmark_return=market)
    rows = table(exposures(backtest, panel, {}, {"xsmom": np.concatenate([[NAN], style])}))
    assert rows.loc[("styles", "xsmom"), "beta"] == pytest.approx(-0.4, abs=1e-12)
    assert "P[t−12] … P[t−1]" in rows.loc[("styles", "xsmom"), "note"]


# --- what cannot be had ---------------------------------------------------------------------------


def test_an_exact_fit_has_no_t_values():
    market = np.random.default_rng(1).normal(0.01, 0.04, 36)
    panel = market_of({"SPY": market})
    rows = table(exposures(backtest_of(panel, market, benchmark_return=market), panel, {}, {}))
    assert rows.loc[("market", "SPY"), "beta"] == pytest.approx(1.0, abs=1e-9)
    assert rows.loc[("market", "SPY"), "r_squared"] == pytest.approx(1.0, abs=1e-12)
    assert rows.loc["market", "t_value"].isna().all()
    assert "the fit is exact" in rows.loc[("market", "SPY"), "note"]


def test_cash_alone_moves_with_nothing():
    market = np.random.default_rng(1).normal(0.01, 0.04, 36)
    panel, rf = market_of({"SPY": market}), np.full(36, 0.002)
    rows = table(exposures(backtest_of(panel, rf, rf=rf, benchmark_return=market), panel, {}, {}))
    assert rows.loc[("market", "SPY"), "beta"] == pytest.approx(0.0, abs=1e-12)
    assert rows.loc["market", ["t_value", "r_squared"]].isna().all(axis=None)
    assert "do not move" in rows.loc[("market", "SPY"), "note"]


@pytest.mark.parametrize("months", [0, 1, 3, 11])
def test_too_few_months(months: int):
    panel = random_panel(months + 2)
    backtest = backtest_of(panel, [0.01 * (-1) ** i for i in range(months)])
    classes = dict.fromkeys(panel.tickers, "all")
    rows = table(exposures(backtest, panel, classes, style_returns(panel), benchmark="T0"))
    assert len(rows) == 2 + 2 + 5
    assert rows[["beta", "t_value", "r_squared"]].isna().all(axis=None)
    assert rows.loc[("market", "T0"), "note"].startswith(
        f"left out: known in {months} of {months} months, 12 needed"
    )
    assert (rows["note"] != "").all()


def test_three_months_are_needed_for_each_coefficient():
    rng = np.random.default_rng(2)
    names = [f"T{i}" for i in range(5)]
    panel = market_of({name: rng.normal(0.0, 0.04, 18) for name in names})
    backtest = backtest_of(panel, rng.normal(0.0, 0.04, 18))
    each = {name: f"class {name}" for name in names}
    assert table(exposures(backtest, panel, each, {})).loc["classes", "beta"].notna().all()
    shorter = backtest_of(panel, rng.normal(0.0, 0.04, 17))
    rows = table(exposures(shorter, panel, each, {})).loc["classes"]
    assert rows["beta"].isna().all()
    assert rows.loc["intercept", "note"] == (
        "17 months with all of the returns, at least 18 are needed"
    )


def test_a_class_that_came_late_does_not_cost_the_others_their_months():
    rng = np.random.default_rng(4)
    equity, coins = rng.normal(0.01, 0.04, 60), rng.normal(0.01, 0.1, 60)
    panel = market_of({"SPY": equity, "BTC": coins})
    price = panel.price.copy()
    price[:40, 0] = NAN
    late = replace(panel, price=price, seen=price, mark=price)
    backtest = backtest_of(panel, 0.5 * equity + rng.normal(0.0, 0.01, 60))
    classes = {"SPY": "equity", "BTC": "coins", "NONE": "nothing"}
    rows = table(exposures(backtest, late, classes, {})).loc["classes"]
    assert rows.loc["equity", "n_months"] == 60
    assert rows.loc[["coins", "nothing"], "beta"].isna().all()
    assert rows.loc["coins", "note"].startswith("left out: known in 20 of 60 months, 30 needed")
    assert rows.loc["nothing", "note"].startswith("left out: known in 0 of 60 months")


def test_collinear_and_constant_returns_are_left_out():
    rng = np.random.default_rng(4)
    equity, rf = rng.normal(0.01, 0.04, 60), np.full(60, 0.002)
    panel = market_of({"SPY": equity, "IVV": equity, "BIL": rf})
    backtest = backtest_of(panel, 0.5 * equity + rng.normal(0.0, 0.01, 60), rf=rf)
    classes = {"SPY": "shares", "IVV": "a twin", "BIL": "bills"}
    rows = table(exposures(backtest, panel, classes, {})).loc["classes"]
    assert rows.loc["a twin", "beta"] == pytest.approx(0.5, abs=0.1)
    assert rows.loc[["shares", "bills"], ["beta", "t_value"]].isna().all(axis=None)
    assert rows.loc["shares", "note"].startswith("left out: a combination of a twin")
    assert rows.loc["bills", "note"].startswith("left out: it does not move")


def test_nearly_the_same_returns_say_so():
    rng = np.random.default_rng(4)
    one = rng.normal(0.01, 0.04, 60)
    panel = market_of({"A": one, "B": one + rng.normal(0.0, 0.001, 60)})
    rows = table(exposures(backtest_of(panel, one[::-1]), panel, {"A": "a", "B": "b"}, {}))
    assert "the others explain 100 % of it" in rows.loc[("classes", "a"), "note"]


def test_what_stands_for_the_market():
    rng = np.random.default_rng(4)
    spy, other, net = rng.normal(0.0, 0.04, (3, 24))
    both, alone = market_of({"SPY": spy, "GLD": other}), market_of({"GLD": other})

    def named(panel: Panel, benchmark: str) -> dict[str, float]:
        backtest = backtest_of(panel, net, benchmark_return=0.5 * other)
        rows = table(exposures(backtest, panel, {}, {}, benchmark=benchmark)).loc["market"]
        return dict(rows["beta"].drop("intercept"))

    slope = {name: np.polyfit(x, net, 1)[0] for name, x in (("SPY", spy), ("GLD", other))}
    assert named(both, "60/40") == pytest.approx({"SPY": slope["SPY"]}, rel=1e-9)
    assert named(both, "GLD") == pytest.approx({"GLD": 2 * slope["GLD"]}, rel=1e-9)
    assert named(alone, "60/40") == pytest.approx({"60/40": 2 * slope["GLD"]}, rel=1e-9)


def test_a_benchmark_without_a_price_says_so():
    panel = random_panel(30)
    net = np.random.default_rng(1).normal(0.0, 0.04, 24)
    backtest = backtest_of(panel, net, benchmark_return=np.full(24, NAN))
    rows = table(exposures(backtest, panel, {}, {}, benchmark="strategy:x"))
    assert rows.loc[("market", "strategy:x"), "note"].startswith("left out: known in 0 of 24")
    assert rows.loc[("classes", "intercept"), "note"] == "no asset class is known of any ticker"
    assert rows.loc[("styles", "intercept"), "note"] == "no style returns"


def test_hostile_names_and_a_lost_capital():
    rng = np.random.default_rng(4)
    panel = market_of({name: rng.normal(0.0, 0.04, 24) for name in ("A", "B", "C")})
    net = rng.normal(0.0, 0.04, 23)
    net[-1] = -1.0
    classes = {"A": "intercept", "B": "<script>alert(1)</script>", "C": ""}
    early = replace(backtest_of(panel, net), dates=panel.dates[1:-1])
    rows = table(exposures(early, panel, classes, {})).loc["classes"]
    assert set(rows.index) == {"intercept", "intercept (returns)", "<script>alert(1)</script>"}
    assert rows["beta"].notna().all()


# --- styles and classes ---------------------------------------------------------------------------


def test_a_third_of_the_names_on_each_side():
    # The month's losers B, E earn 0.10 and 0.20 next; its winners C, F lose 0.05 each.
    first = {"A": 0.0, "B": -0.2, "C": 0.2, "D": 0.01, "E": -0.1, "F": 0.1}
    then = {"A": 0.5, "B": 0.1, "C": -0.05, "D": 0.5, "E": 0.2, "F": -0.05}
    panel = market_of({name: np.array([first[name], then[name]]) for name in first})
    found = style_returns(panel)
    assert found["reversal_1m"] == pytest.approx([NAN, NAN, 0.15 - -0.05], nan_ok=True, abs=1e-12)
    assert np.isnan(found["xsmom"]).all()


def test_a_name_that_is_gone_next_month_still_counts():
    # A is the loser that reversal buys; it never trades again and stays at its last price.
    panel = panel_of(
        {
            "A": [1.0, 0.5, NAN, NAN],
            "B": [1.0, 1.0, 1.0, 1.0],
            "C": [1.0, 1.5, 1.2, 1.2],
        }
    )
    found = style_returns(panel)["reversal_1m"]
    assert found == pytest.approx([NAN, NAN, 0.0 - -0.2, NAN], nan_ok=True, abs=1e-12)


def test_names_that_tie_share_their_places():
    # Three tie at the bottom of reversal, of which one place is sold: their mean.
    panel = panel_of(
        {
            "A": [1.0, 1.1, 1.1],
            "B": [1.0, 1.1, 2.2],
            "C": [1.0, 1.1, 4.4],
            "D": [1.0, 1.0, 1.0],
        }
    )
    found = style_returns(panel)["reversal_1m"]
    assert found[2] == pytest.approx(0.0 - (0.0 + 1.0 + 3.0) / 3, abs=1e-12)


def test_fewer_than_three_names_have_no_style():
    found = style_returns(market_of({"A": np.full(20, 0.01), "B": np.full(20, 0.02)}))
    assert set(found) == set(STYLES)
    assert all(np.isnan(values).all() for values in found.values())


def test_only_members_count():
    panel = random_panel()
    inside = np.ones(panel.price.shape, dtype=np.bool_)
    inside[:, 6:] = False
    smaller = panel.select(panel.tickers[:6])
    for name, values in style_returns(panel, inside).items():
        np.testing.assert_allclose(values, style_returns(smaller)[name], rtol=0, atol=1e-14)


def test_a_classs_return_is_the_mean_of_its_names():
    panel = panel_of({"A": [1.0, 1.1, NAN], "B": [NAN, 1.0, 1.3], "C": [1.0, 2.0, 2.0]})
    found = class_returns(panel, {"A": "x", "B": "x", "C": ""})
    assert list(found) == ["x"]
    # A alone at first; then both, and A, without a price, stays where it was.
    assert found["x"] == pytest.approx([NAN, 0.1, 0.15], nan_ok=True, abs=1e-12)


def test_who_could_be_bought_is_as_it_was_known_then():
    panel = panel_of({"A": [1.0, 1.1], "B": [1.0, 1.3]})
    seen, price = panel.price.copy(), panel.price.copy()
    seen[0, 0] = NAN  # A's price became known later
    only_b = class_returns(replace(panel, seen=seen), {"A": "x", "B": "x"})["x"]
    assert only_b[1] == pytest.approx(0.3, abs=1e-12)
    price[0, 0] = NAN  # and here it was taken back later
    both = class_returns(replace(panel, price=price), {"A": "x", "B": "x"})["x"]
    assert both[1] == pytest.approx(0.2, abs=1e-12)


def test_the_spelling_of_tickers_moves_nothing():
    panel = random_panel()
    turned = replace(
        panel,
        price=panel.price[:, ::-1],
        seen=panel.seen[:, ::-1],
        mark=panel.mark[:, ::-1],
    )
    for name, values in style_returns(panel).items():
        np.testing.assert_allclose(values, style_returns(turned)[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("cut", [14, 40, 70])
@pytest.mark.parametrize("what", ["flipped", "removed", "wild", "cut off"])
def test_nothing_later_moves_a_style_or_a_class(cut: int, what: str):
    panel = random_panel()
    classes = {ticker: "odd" if i % 2 else "even" for i, ticker in enumerate(panel.tickers)}
    price = panel.price.copy()
    if what == "flipped":
        price[cut:] = price[cut - 1] ** 2 / price[cut:]
    elif what == "removed":
        price[cut:, ::3] = NAN
    elif what == "wild":
        price[cut:] *= np.random.default_rng(1).lognormal(0.0, 3.0, price[cut:].shape)
    other = replace(panel, price=price, seen=price, mark=price)
    if what == "cut off":
        other = panel.until(panel.dates[cut - 1])
    for make in (style_returns, lambda each: class_returns(each, classes)):
        before, after = make(panel), make(other)
        for name, values in before.items():
            np.testing.assert_array_equal(values[:cut], after[name][:cut])
            assert what == "cut off" or not np.array_equal(values[cut:], after[name][cut:])
    assert np.isfinite(style_returns(panel)["xsmom"][13:]).all()


def test_a_repair_that_was_known_later_decides_nothing_before():
    # B's price at t = 1 was seen as 0.5 and repaired to 1.1 later: it was the loser to buy then.
    panel = panel_of({"A": [1.0, 0.9, 0.9], "B": [1.0, 1.1, 1.1], "C": [1.0, 1.2, 2.4]})
    seen = panel.price.copy()
    seen[1, 1] = 0.5
    bought = style_returns(replace(panel, seen=seen))["reversal_1m"]
    assert bought[2] == pytest.approx(0.0 - 1.0, abs=1e-12)
    assert style_returns(panel)["reversal_1m"][2] == pytest.approx(0.0 - 1.0, abs=1e-12)
    seen[1, 2] = 0.4  # and C was the loser: bought, and A, the winner as seen, sold
    turned = style_returns(replace(panel, seen=seen))["reversal_1m"]
    assert turned[2] == pytest.approx(1.0 - 0.0, abs=1e-12)
