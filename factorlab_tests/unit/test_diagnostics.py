"""What signals said of later months, where it is known by construction: correlations of 1 and −1,
quantiles that earn what they were given, and what there is too little of.

Invariants: only the order of a date's signals counts, not their size nor how tickers are spelt;
decay_1 is ic_mean; every row has a note.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from factorlab_assets import schemas
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.signals import Signals
from factorlab_assets.evaluation.diagnostics import diagnostics, quantiles, spearman
from factorlab_assets.evaluation.sorts import Sorted, in_order
from factorlab_tests.small_panels import NAN


def panel_of_returns(returns: Floats) -> Panel:
    """(T, N) returns of the months that end at each date, the first of them without any."""
    price = 100.0 * np.cumprod(
        np.where(np.arange(len(returns))[:, None] > 0, 1.0 + returns, 1.0), 0
    )
    months = month_ends("2000-01", str(np.datetime64("2000-01", "M") + (len(price) - 1)))
    names = np.array([f"T{i:03d}" for i in range(price.shape[1])])
    return Panel(months, names, price, price, price, price, price)


def random_returns(n_months: int = 40, n: int = 8, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(0.005, 0.05, (n_months, n))


def ahead(returns: Floats, months: int) -> Floats:
    """What a seer knows at t: the return of month t + months."""
    known = np.full(returns.shape, NAN)
    known[:-months] = returns[months:]
    return known


def told(
    signal: Floats,
    panel: Panel,
    *,
    label: str = "a",
    score: Floats | None = None,
    members: Bools | None = None,
) -> pd.DataFrame:
    """The rows by (factor, statistic), found to be rows of the table."""
    signals = Signals((label,), signal[np.newaxis], signal[np.newaxis])
    rows = diagnostics(signals, signal if score is None else score, panel, members)
    named = [{"month": "2024-05", "strategy": "s", **row} for row in rows]
    frame = pd.DataFrame(named)[list(schemas.FACTOR_DIAGNOSTICS.columns)]
    schemas.FACTOR_DIAGNOSTICS.schema.validate(frame)
    assert not frame.duplicated(list(schemas.FACTOR_DIAGNOSTICS.primary_key)).any()
    assert (frame["note"] != "").all()
    return frame.set_index(["factor", "statistic"])


def of_a(signal: Floats, panel: Panel, **said: Bools) -> pd.DataFrame:
    return told(signal, panel, **said).loc["a"]


# --- correlations --------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_seer_and_its_opposite(sign: float):
    returns = random_returns()
    rows = of_a(sign * ahead(returns, 1), panel_of_returns(returns))
    assert rows.loc["ic_mean", "value"] == pytest.approx(sign, abs=1e-12)
    assert rows.loc["ic_positive", "value"] == max(sign, 0.0)
    assert rows.loc["ic_mean", "n_months"] == 39
    assert np.isnan(rows.loc["ic_t", "value"])
    assert rows.loc["ic_t", "note"] == "every month is the same"


@pytest.mark.parametrize("months", [1, 3, 12])
def test_decay_finds_the_month_that_was_seen(months: int):
    returns = random_returns()
    rows = of_a(ahead(returns, months), panel_of_returns(returns))
    decay = rows.loc[[f"decay_{h}" for h in range(1, 13)], "value"]
    assert decay[f"decay_{months}"] == pytest.approx(1.0, abs=1e-12)
    assert decay.drop(f"decay_{months}").abs().max() < 0.3
    assert rows.loc[f"decay_{months}", "n_months"] == 40 - months
    assert rows.loc["decay_1", "value"] == rows.loc["ic_mean", "value"]


def test_half_of_the_months_right_and_half_wrong():
    returns = random_returns(25)
    turn = np.where(np.arange(25) % 2 == 0, 1.0, -1.0)[:, np.newaxis]
    rows = of_a(turn * ahead(returns, 1), panel_of_returns(returns))
    assert rows.loc["ic_mean", "value"] == pytest.approx(0.0, abs=1e-12)
    assert rows.loc["ic_t", "value"] == pytest.approx(0.0, abs=1e-9)
    assert rows.loc["ic_positive", "value"] == 0.5


def test_autocorrelation_of_what_stays_and_of_what_turns():
    returns = random_returns(30)
    panel, always = panel_of_returns(returns), np.tile(np.arange(8.0), (30, 1))
    turn = np.where(np.arange(30) % 2 == 0, 1.0, -1.0)[:, np.newaxis]
    assert of_a(always, panel).loc["autocorrelation", "value"] == pytest.approx(1.0, abs=1e-12)
    turned = of_a(turn * always, panel).loc["autocorrelation"]
    assert turned["value"] == pytest.approx(-1.0, abs=1e-12)
    assert turned["n_months"] == 29


def test_ties_have_their_average_rank():
    # Ranks 1.5, 1.5, 3 against 1, 2, 3: 1.5 / √(1.5 · 2).
    found = spearman(np.array([[1.0, 1.0, 2.0]]), np.array([[5.0, 6.0, 7.0]]))
    assert found.value == pytest.approx([np.sqrt(0.75)], abs=1e-12)


def test_rows_without_a_correlation():
    first = np.array([[1.0, 2.0, NAN], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, np.inf]])
    second = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [7.0, 7.0, 7.0], [1.0, 2.0, 3.0]])
    found = spearman(first, second)
    assert np.isnan(found.value).all()
    assert found.names.tolist() == [2, 3, 3, 2]


# --- quantiles -----------------------------------------------------------------------------------


def test_quantiles_earn_what_they_were_given():
    # Six names that earn 1 % … 6 % every month, in the order of their signals: two portfolios.
    returns = np.tile(np.arange(1.0, 7.0) / 100.0, (30, 1))
    rows = of_a(np.tile(np.arange(6.0), (30, 1)), panel_of_returns(returns))
    assert rows.loc["quantile_1", "value"] == pytest.approx(12 * 0.02, abs=1e-12)
    assert rows.loc["quantile_2", "value"] == pytest.approx(12 * 0.05, abs=1e-12)
    assert rows.loc["top_minus_bottom", "value"] == pytest.approx(12 * 0.03, abs=1e-12)
    assert "quantile_3" not in rows.index
    assert rows.loc["quantile_1", "n_months"] == 29
    assert np.isnan(rows.loc["top_minus_bottom_t", "value"])


@pytest.mark.parametrize(("names", "parts"), [(5, 0), (6, 2), (8, 2), (9, 3), (15, 5), (40, 5)])
def test_three_names_in_each_and_at_most_five(names: int, parts: int):
    returns = random_returns(30, names)
    rows = of_a(random_returns(30, names, 2), panel_of_returns(returns))
    known = [f"quantile_{q}" for q in range(1, 6) if f"quantile_{q}" in rows.index]
    if parts == 0:
        assert known == ["quantile_1"]
        assert rows.loc["quantile_1":, "value"].isna().all()
        assert rows.loc["top_minus_bottom", "note"] == (
            "two portfolios of 3 names take 6 in 12 months and in half of those with 3; at most 5"
            " have a signal and a price"
        )
    else:
        assert len(known) == parts
        assert rows["value"].notna().all()


@pytest.mark.parametrize("parts", range(2, 6))
def test_every_quantile_has_three_names_or_more(parts: int):
    for count in range(3 * parts, 40):
        # With return 1 of one name and 0 of the others, its quantile's mean is 1 over its size.
        order = Sorted(np.eye(count), np.full(count, count))
        sizes = 1.0 / quantiles(order, parts).max(axis=1)
        assert sizes.min() >= 3.0 - 1e-9
        assert sizes.max() - sizes.min() < 1.5


def test_months_with_too_few_names_are_left_out():
    returns = random_returns(60, 15)
    signal = random_returns(60, 15, 2)
    signal[:20, 12:] = NAN  # 12 names do not fill five portfolios
    rows = of_a(signal, panel_of_returns(returns))
    assert rows.loc["quantile_5", "n_months"] == 39
    assert "20 months with fewer than 15 names are left out" in rows.loc["quantile_5", "note"]
    signal[:40, 12:] = NAN  # in most months they do not: four
    rows = of_a(signal, panel_of_returns(returns))
    assert "quantile_5" not in rows.index
    assert rows.loc["quantile_4", "n_months"] == 59


def test_names_that_tie_share_their_places():
    returns = np.tile(np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.11]), (20, 1))
    # Four are down and two are up: the upper half has both, and half a place of each of the rest.
    signs = np.tile(np.array([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0]), (20, 1))
    rows = of_a(signs, panel_of_returns(returns))
    assert rows.loc["quantile_1", "value"] == pytest.approx(12 * 0.015, abs=1e-12)
    assert rows.loc["quantile_2", "value"] == pytest.approx(12 * (0.015 + 0.15) / 3, abs=1e-12)


def test_a_name_that_is_gone_next_month_counts_where_it_was():
    order = in_order(np.array([[1.0, 2.0]]), np.array([[0.0, 0.04]]), np.ones((1, 2), np.bool_))
    assert order.earned.tolist() == [[0.0, 0.04]]
    returns = np.tile(np.arange(1.0, 7.0) / 100.0, (14, 1))
    panel = panel_of_returns(returns)
    price = panel.price.copy()
    price[-1, 5] = NAN
    gone = replace(panel, price=price, seen=price, mark=price)
    rows = of_a(np.tile(np.arange(6.0), (14, 1)), gone)
    # In the last of 13 months the best name stays where it was: 0.06 / 3 less.
    assert rows.loc["quantile_2", "value"] == pytest.approx(12 * (0.05 - 0.02 / 13), abs=1e-12)
    assert rows.loc["ic_mean", "value"] == pytest.approx(1.0, abs=1e-12)


# --- whose, and what is not there ----------------------------------------------------------------


def test_no_factors_no_rows():
    panel = panel_of_returns(random_returns())
    nothing = Signals((), *np.empty((2, 0, *panel.price.shape)))
    assert diagnostics(nothing, np.zeros(panel.price.shape), panel) == []


def test_every_factor_and_the_score():
    returns = random_returns()
    panel, seer = panel_of_returns(returns), ahead(returns, 1)
    rows = told(-seer, panel, score=seer)
    assert rows.loc[("a", "ic_mean"), "value"] == pytest.approx(-1.0, abs=1e-12)
    assert rows.loc[("score", "ic_mean"), "value"] == pytest.approx(1.0, abs=1e-12)


def test_a_factor_that_is_called_score():
    panel = panel_of_returns(random_returns())
    rows = told(random_returns(seed=3), panel, label="score")
    assert list(rows.index.unique("factor")) == ["score", "combined score"]


@pytest.mark.parametrize("months", [1, 2, 5, 12])
def test_too_few_months(months: int):
    returns = random_returns(months)
    rows = of_a(random_returns(months, seed=2), panel_of_returns(returns))
    assert rows["value"].isna().all()
    assert rows.loc["ic_mean", "n_months"] == months - 1
    if months > 1:
        assert rows.loc["ic_mean", "note"] == (
            f"{months - 1} months with 3 names that have both and do not all tie, at least 12 are"
            " needed; at most 8 names have both"
        )


def test_twelve_months_are_enough_for_the_next_and_not_for_the_one_after():
    rows = of_a(random_returns(13, seed=2), panel_of_returns(random_returns(13)))
    assert rows.loc[["ic_mean", "ic_t", "decay_1", "quantile_1"], "value"].notna().all()
    assert rows.loc["decay_2":"decay_12", "value"].isna().all()


@pytest.mark.parametrize("names", [1, 2])
def test_too_few_names(names: int):
    rows = of_a(random_returns(40, names, 2), panel_of_returns(random_returns(40, names)))
    assert rows["value"].isna().all()
    assert rows.loc["ic_mean", "note"].endswith(f"at most {names} names have both")


def test_a_signal_that_says_the_same_of_everyone():
    returns = random_returns()
    rows = of_a(np.ones(returns.shape), panel_of_returns(returns))
    assert rows.loc["ic_mean":"autocorrelation", "value"].isna().all()
    # Everyone shares every place: both halves are the mean of all.
    held = returns[1:].mean() * 12
    assert rows.loc[["quantile_1", "quantile_2"], "value"].tolist() == pytest.approx([held, held])


def test_a_signal_that_is_never_known():
    returns = random_returns()
    rows = of_a(np.full(returns.shape, NAN), panel_of_returns(returns))
    assert rows["value"].isna().all()
    assert (rows["n_months"] == 0).all()


def test_only_members_count():
    returns = random_returns(40, 9)
    signal = ahead(returns, 1)
    signal[:, 6:] *= -1.0
    inside = np.ones(returns.shape, dtype=np.bool_)
    inside[:, 6:] = False
    panel = panel_of_returns(returns)
    rows = of_a(signal, panel, members=inside)
    assert rows.loc["ic_mean", "value"] == pytest.approx(1.0, abs=1e-12)
    assert of_a(signal, panel).loc["ic_mean", "value"] < 0.9
    alone = of_a(signal[:, :6], panel.select(panel.tickers[:6]))
    pd.testing.assert_frame_equal(rows, alone, rtol=0, atol=1e-12)


def test_only_the_order_counts_and_not_the_spelling():
    returns, signal = random_returns(60, 12), random_returns(60, 12, 2)
    signal[signal < -0.05] = -0.05  # some tie
    rows = of_a(signal, panel_of_returns(returns))
    stretched = of_a(np.exp(50.0 * signal), panel_of_returns(returns))
    turned = of_a(signal[:, ::-1], panel_of_returns(returns[:, ::-1]))
    pd.testing.assert_frame_equal(rows, stretched, rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(rows, turned, rtol=0, atol=1e-9)


def test_five_hundred_names_over_twenty_years_are_quick():
    returns, signal = random_returns(240, 500), random_returns(240, 500, 2)
    panel, began = panel_of_returns(returns), time.process_time()
    told(signal, panel)
    assert time.process_time() - began < 2 * 2.0  # a factor and the score
