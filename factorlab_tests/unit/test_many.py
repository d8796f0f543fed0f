"""Many strategies as one batch: by hand, against one by one, what goes alone and why, memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import many, many_books, research
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.ranked import Ranked
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import NAN, daily_market, panel_of, resolved_of, strategy_of

TOLERANCE = 1e-12
"""Returns of the order of 1: sums of a few names in another order."""


def xsmom(lookback: int = 3, skip: int = 1, **said: Any) -> dict[str, Any]:
    params = {"lookback": lookback, "skip": skip}
    return {"name": "xsmom", "params": params, "delay": 0} | said


def momentum(select: dict[str, Any] | None = None, **said: Any) -> Resolved:
    """Momentum over every ticker; keywords `factors`, `costs`, `cash`, `universe`, `execution`,
    `schedule` are the strategy's, `tickers` what it may hold, any other the portfolio's."""
    tickers = said.pop("tickers", None)
    parts = ("factors", "costs", "cash", "universe", "execution", "schedule", "combine")
    own = {key: said.pop(key) for key in parts if key in said}
    portfolio = {"select": select or {}} | said
    return resolved_of(strategy_of(**({"factors": [xsmom()]} | own), portfolio=portfolio), tickers)


def random_panel(months: int, names: int, seed: int = 3, sd: float = 0.08) -> Panel:
    """Random walks of which every third is listed some months late; nothing else is missing."""
    rng = np.random.default_rng(seed)
    price = 50.0 * np.exp(np.cumsum(sd * rng.standard_normal((months, names)), axis=0))
    for late, column in enumerate(range(2, names, 3)):
        price[: 5 * (late + 1), column] = NAN
    return panel_of({f"T{i:03d}": price[:, i] for i in range(names)})


PANEL = random_panel(60, 11)


def same(strategies: Sequence[Resolved], market: Panel) -> many.Batch:
    """The batch, after holding each row against `research.run`."""
    batch = many.evaluate(strategies, market)
    assert batch.net_return.shape == (len(strategies), len(market.dates))
    assert not (batch.turnover < 0.0).any()
    for i, resolved in enumerate(strategies):
        one = research.run(resolved, market)
        assert batch.start[i] == one.book.start, resolved.config_json
        rows = slice(one.book.start + 1, one.book.start + 1 + len(one.backtest.dates))
        for name in many.VALUES:
            expected = np.full(len(market.dates), NAN)
            expected[rows] = getattr(one.backtest, name)
            said = getattr(batch, name)[i]
            assert said == pytest.approx(expected, abs=TOLERANCE, nan_ok=True), name
    return batch


PRICES = {"A": [1, 2, 2, 2, 1], "B": [1, 1, 2, 3, 3], "C": [1, 1, 1, 1, 2]}
COSTS = {"tc_bps": 60.0, "slippage_bps": 40.0}


class TestByHand:
    def one(self, **said: Any) -> dict[str, list[float]]:
        said = {"factors": [xsmom(1, 0)], "costs": COSTS, "tickers": "ABC"} | said
        batch = same([momentum(**said)], panel_of(PRICES))
        assert batch.alone == ("",)
        assert batch.start.tolist() == [1]
        for name in many.VALUES:
            assert np.isnan(getattr(batch, name)[0, :2]).all()
        return {name: getattr(batch, name)[0, 2:].tolist() for name in many.VALUES}

    def test_the_best_name_is_held_from_each_date_to_the_next(self):
        said = self.one(select={"top_k": 1})
        assert said["gross_return"] == pytest.approx([0.0, 0.5, 0.0], abs=1e-15)
        assert said["turnover"] == pytest.approx([1.0, 2.0, 0.0], abs=1e-15)
        assert said["cost"] == pytest.approx([0.01, 0.02, 0.0], abs=1e-15)
        assert said["net_return"] == pytest.approx([-0.01, 0.48, 0.0], abs=1e-15)

    def test_ties_go_by_ticker_and_turnover_is_from_what_weights_became(self):
        said = self.one(select={"top_k": 2})
        assert said["gross_return"] == pytest.approx([0.5, 0.25, -0.25], abs=1e-15)
        # A and B at a half each become 1/3 and 2/3, then 2/5 and 3/5.
        assert said["turnover"] == pytest.approx([1.0, 1 / 3, 0.2], abs=1e-15)

    def test_against_targets_an_unchanged_book_turns_nothing_over(self):
        said = self.one(select={"top_k": 2}, execution={"turnover": "target"})
        assert said["turnover"] == pytest.approx([1.0, 0.0, 0.0], abs=1e-15)

    def test_weights_in_proportion_to_the_score(self):
        said = self.one(select={"top_k": 2}, weighting="signal")
        assert said["gross_return"] == pytest.approx([0.0, 0.5, 0.0], abs=1e-15)

    def test_a_short_leg_earns_the_fall_and_pays_for_it(self):
        costs = COSTS | {"borrow_ann": 0.12}
        said = self.one(select={"top_k": 1}, type="long_short", costs=costs)
        # Half of A against half of C, then twice B against C, which stands still, then doubles.
        assert said["gross_return"] == pytest.approx([-0.005, 0.245, -0.505], abs=1e-15)
        # From ±0.5 both legs are measured by the NAV that they have become parts of.
        drift = 0.5 / 0.995
        assert said["turnover"][1] == pytest.approx(drift + 0.5 + (drift - 0.5), abs=1e-15)


SELECTS: tuple[dict[str, Any], ...] = ({}, {"top_k": 3}, {"top_k": 20}, {"fraction": 0.35})


class TestAgainstOneByOne:
    @pytest.mark.parametrize("kind", ["long_only", "long_short"])
    @pytest.mark.parametrize("weighting", ["equal", "signal", "rank"])
    @pytest.mark.parametrize("turnover", ["drifted", "target"])
    def test_every_shape_that_is_batched(self, kind, weighting, turnover):
        dear = {"tc_bps": 12.0, "slippage_bps": 3.0, "borrow_ann": 0.03, "margin_spread_ann": 0.02}
        strategies = [
            momentum(
                select,
                type=kind,
                weighting=weighting,
                execution={"turnover": turnover},
                factors=[xsmom(lookback), {"name": "trend", "params": {"lookback": 4}, "delay": 1}],
                min_names=min_names,
                **rest,
            )
            for select in (*SELECTS, {"top_k": 2, "only_positive": "trend"})
            for lookback in (2, 5)
            for min_names in (None, 2)
            for rest in ({}, {"costs": dear, "cash": {"yield_ann": 0.05}, "gross": 0.7})
        ]
        batch = same(strategies, PANEL)
        assert not any(batch.alone)
        assert np.isfinite(batch.net_return[:, -1]).sum() > 0.8 * len(strategies)

    def test_transforms_combinations_and_members(self):
        normal = [{"kind": "winsorize"}, {"kind": "zscore"}]
        two = [xsmom(transforms=normal, weight=0.7)]
        two += [{"name": "low_vol", "params": {"lookback": 6}, "delay": 1, "weight": -0.4}]
        strategies = [
            momentum({"top_k": k}, factors=two, universe=universe, combine={"how": how})
            for k in (2, 4)
            for universe in ("all", {"of": "all", "min_history": 9})
            for how in ("mean", "rank_mean")
        ]
        assert not any(same(strategies, PANEL).alone)

    def test_universes_of_their_own_in_any_order(self):
        some = PANEL.tickers[[0, 1, 3, 4, 6, 7]].tolist()
        strategies = [
            momentum({"top_k": k}, tickers=tickers, factors=[xsmom(lookback)])
            for k in (1, 3)
            for tickers in (some, None, [*some, "NONE"])
            for lookback in (4, 2)
        ]
        assert not any(same(strategies, PANEL).alone)
        batch, backwards = (many.evaluate(each, PANEL) for each in (strategies, strategies[::-1]))
        assert batch.net_return.tobytes() == backwards.net_return[::-1].tobytes()

    def test_a_cap_on_equal_weights_leaves_the_rest_in_cash(self):
        strategies = [momentum(select, max_weight=0.25) for select in ({}, {"fraction": 0.2})]
        assert not any(same(strategies, PANEL).alone)

    def test_what_is_borrowed_is_paid_for(self):
        costs = {"margin_spread_ann": 0.024, "borrow_ann": 0.012}
        plain, dear = (
            momentum({"top_k": 2}, gross=1.5, costs=said, cash={"yield_ann": 0.03})
            for said in ({}, costs)
        )
        batch = same([plain, dear], PANEL)
        assert not any(batch.alone)
        paid = (batch.gross_return[0] - batch.gross_return[1])[-20:]
        assert paid == pytest.approx(0.5 * 0.002, abs=1e-14)

    def test_a_book_that_loses_everything_ends_there(self):
        prices = {"A": [1, 2, 4, 16, 64, 64], "B": [9, 8, 7, 6, 5, 4], "C": [1, 1, 1, 1, 1, 1]}
        strategy = momentum(
            {"top_k": 1}, type="long_short", gross=2.0, net=-2.0, factors=[xsmom(1, 0, weight=-1.0)]
        )
        batch = same([strategy], panel_of(prices))
        assert batch.alone == ("",)
        assert batch.net_return[0, 2:] == pytest.approx([-1.0, NAN, NAN, NAN], nan_ok=True)

    def test_a_strategy_that_never_starts_has_no_rows(self):
        batch = same([momentum(min_names=12), momentum()], PANEL)
        assert batch.start[0] == len(PANEL.dates)
        assert np.isnan(batch.net_return[0]).all()
        assert np.isfinite(batch.net_return[1, -1])

    def test_each_starts_where_it_has_the_names_that_it_asks_for(self):
        prices = {"A": [1.0] * 9, "B": [NAN] * 4 + [1.0] * 5}
        first = [xsmom(1, 0)]
        strategies = [
            momentum(factors=first),
            momentum({"fraction": 0.5}, factors=first),
            momentum(type="long_short", factors=first),
            momentum({"fraction": 0.5}, factors=first, min_names=1),
        ]
        assert same(strategies, panel_of(prices)).start.tolist() == [1, 5, 5, 1]

    def test_dates_with_too_few_names_are_cash(self):
        prices = {name: [1.0] * 4 + [NAN] * 2 + [1.0] * 4 for name in "BCD"}
        prices["A"] = [1.1**i for i in range(10)]
        batch = same(
            [momentum({"top_k": 1}, min_names=n, factors=[xsmom(1, 0)]) for n in (1, 3)],
            panel_of(prices),
        )
        assert batch.alone == ("", "")
        # Without three scores at 4, 5 and 6 (where only the prices are back) A is sold.
        assert batch.turnover[1, 2:] == pytest.approx([1, 0, 0, 1, 0, 0, 1, 0], abs=1e-15)
        assert batch.gross_return[1, 2:] == pytest.approx([0.1] * 3 + [0.0] * 3 + [0.1] * 2)
        assert batch.gross_return[0, 2:] == pytest.approx([0.1] * 8)

    def test_one_month_and_no_strategy(self):
        short = PANEL.until(PANEL.dates[0])
        assert np.isnan(same([momentum()], short).net_return).all()
        assert many.evaluate([], PANEL).net_return.shape == (0, 60)


class TestAlone:
    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ({"weighting": "inverse_volatility"}, "portfolio.weighting: inverse_volatility"),
            ({"max_names": 3}, "portfolio.max_names: 3"),
            ({"volatility_target": 0.1}, "portfolio.volatility_target: 0.1"),
            ({"select": {"threshold": 0.5}}, "portfolio.select.threshold: 0.5"),
            ({"schedule": {"every_months": 3}}, "schedule.every_months: 3"),
            ({"schedule": {"tranches": 2}}, "schedule.tranches: 2"),
            ({"execution": {"trade_at": "next_open"}}, "execution.trade_at: next_open"),
            ({"costs": {"spread_bps": {"T001": 9.0}}}, "costs.spread_bps: {'T001': 9.0}"),
            ({"cash": {"ticker": "T001"}}, "cash.ticker: T001"),
        ],
    )
    def test_what_is_no_ranked_book_held_from_month_to_month(self, said, why):
        strategy = momentum(**said)
        assert many.why_alone(strategy) == why
        assert not many.is_batchable(strategy)
        batch = same([momentum(), strategy], PANEL)
        assert batch.alone == ("", why)

    def test_keys_that_only_serve_others_change_nothing(self):
        idle = {
            "risk": {"window": 12},
            "risk_aversion": 2.0,
            "alpha_per_score": 0.01,
            "beta": {"window": 24},
            "group_by": "region",
        }
        strategies = [momentum({"top_k": 2}), momentum({"top_k": 2}, **idle)]
        assert all(many.is_batchable(each) for each in strategies)
        batch = same(strategies, PANEL)
        assert batch.net_return[0].tobytes() == batch.net_return[1].tobytes()

    def test_holes_and_delistings_are_held_as_one_by_one(self):
        market, _ = daily_market(48, ["AA", "BB", "CC", "DD", "EE", "FF"], seed=5, gaps=0.06)
        assert np.isnan(market.price[20:]).any()
        strategies = [
            momentum({"top_k": k}, weighting=w, type=kind, costs={"tc_bps": 20.0})
            for k, w in itertools.product((1, 2, 3), ("equal", "signal", "rank"))
            for kind in ("long_only", "long_short")
        ]
        batch = same(strategies, market)
        assert set(batch.alone) == {"", "a held name has no price at a later date"}

    def test_nothing_is_left_of_the_batch_where_one_by_one_ends_sooner(self):
        prices = {"A": [1.0, 1.1, 1.2, NAN, 4.0, 4.0], "B": [1.0] * 6, "C": [1.0] * 6}
        short = momentum(
            {"top_k": 1}, type="long_short", net=-1.0, factors=[xsmom(1, 0, weight=-1.0)]
        )
        batch = same([short], panel_of(prices))
        assert batch.alone == ("a held name has no price at a later date",)
        assert np.isnan(batch.net_return[0, 5])

    def test_a_price_that_was_another_at_its_time_decides_as_it_was_seen(self):
        seen = PANEL.price.copy()
        seen[20] *= np.linspace(0.5, 1.5, seen.shape[1])
        values = (PANEL.price, seen, PANEL.mark, PANEL.entry_open, PANEL.entry_close)
        repaired = Panel(PANEL.dates, PANEL.tickers, *values)
        strategies = [momentum({"top_k": k}, factors=[xsmom(3, 0)]) for k in (1, 4)]
        batch = same(strategies, repaired)
        plain = many.evaluate(strategies, PANEL)
        assert not any(batch.alone)
        assert (batch.net_return[:, 21] != plain.net_return[:, 21]).all()

    def test_a_cap_that_moves_weights_to_other_names(self):
        strategies = [
            momentum({"top_k": 3}, weighting=w, max_weight=0.4) for w in ("signal", "rank")
        ]
        wide = momentum({"top_k": 3}, weighting="rank", max_weight=0.5)  # 3/6 of the first
        batch = same([*strategies, wide], PANEL)
        assert batch.alone == ("portfolio.max_weight binds", "portfolio.max_weight binds", "")

    def test_ranks_of_scores_that_tie(self):
        tied = [xsmom(transforms=[{"kind": "clip", "low": -0.05, "high": 0.05}])]
        strategies = [momentum({"top_k": 3}, weighting=w, factors=tied) for w in ("rank", "equal")]
        assert same(strategies, PANEL).alone == ("scores tie", "")


GRID = [
    momentum(select, factors=[xsmom(lookback)], weighting=weighting)
    for lookback in (2, 3, 5)
    for select in SELECTS
    for weighting in ("equal", "signal")
]


class TestSharing:
    def test_a_score_is_computed_and_sorted_once(self, monkeypatch):
        combined, ranked = [], []
        combine, rank = many_books.combine, Ranked.of
        monkeypatch.setattr(
            many_books, "combine", lambda *given: combined.append(1) or combine(*given)
        )
        monkeypatch.setattr(
            Ranked, "of", lambda *given: ranked.append(len(given[0])) or rank(*given)
        )
        many.evaluate(GRID, PANEL)
        assert len(combined) == 3
        assert ranked == [3]

    @pytest.mark.parametrize("cells", [1, 700, 20_000])
    def test_pieces_of_any_size_give_the_same_bits(self, monkeypatch, cells):
        whole = many.evaluate(GRID, PANEL)
        monkeypatch.setattr(many_books, "MOST_CELLS", cells)
        parts = many.evaluate(GRID, PANEL)
        for name in many.VALUES:
            assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes(), name

    def test_memory_is_bounded_however_many_strategies_there_are(self):
        market = random_panel(120, 300)
        kinds = itertools.product(("equal", "signal"), ("long_only", "long_short"))
        strategies = [
            momentum(select, factors=[xsmom(lookback)], weighting=weighting, type=kind)
            for weighting, kind in kinds
            for lookback in range(3, 15)
            for select in ({"fraction": 0.5}, {"top_k": 20})
        ]
        peaks = []
        for some in (strategies, strategies * 8):
            tracemalloc.start()
            batch = many.evaluate(some, market)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert not any(batch.alone)
            peaks[-1] -= sum(getattr(batch, name).nbytes for name in many.VALUES)
        assert peaks[0] < 64 * 2**20
        assert peaks[1] < 1.1 * peaks[0]

    def test_of_a_large_panel_it_is_so_much_per_cell(self, monkeypatch):
        monkeypatch.setattr(many_books, "MOST_CELLS", 1000)
        market = random_panel(120, 300)
        tracemalloc.start()
        batch = many.evaluate(
            [momentum(type="long_short", weighting=w) for w in ("equal", "rank")], market
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert not any(batch.alone)
        assert peak < 512 * market.price.size


class TestFailed:
    """A strategy that cannot be computed ends everything, or by itself alone."""

    STRATEGIES = (
        momentum({"top_k": 2}),
        momentum(factors=[{"name": "characteristic", "params": {"panel": "none"}, "delay": 0}]),
        momentum({"top_k": 3}),
        momentum({"top_k": 2}, universe={"of": "all", "min_dollar_volume": 1e6}),
        momentum({"top_k": 2}, weighting="inverse_volatility", risk={"returns": "daily"}),
        momentum({"top_k": 2}, weighting="rank"),
        momentum(
            {"top_k": 2},
            factors=[{"name": "characteristic", "params": {"panel": "none"}, "delay": 0}],
        ),
    )

    def test_by_itself_alone(self):
        failed: dict[int, FactorLabError] = {}
        batch = many.evaluate(self.STRATEGIES, PANEL, failed)
        assert sorted(failed) == [1, 3, 4, 6]
        for i, error in failed.items():
            with pytest.raises(FactorLabError) as caught:
                research.run(self.STRATEGIES[i], PANEL)
            assert str(error) == str(caught.value)
        good = [0, 2, 5]
        alone = many.evaluate([self.STRATEGIES[i] for i in good], PANEL)
        assert batch.net_return[good].tobytes() == alone.net_return.tobytes()
        assert np.isnan(batch.net_return[sorted(failed)]).all()
        assert batch.start[sorted(failed)].tolist() == [len(PANEL.dates)] * 4

    @pytest.mark.parametrize("bad", [1, 3, 4])
    def test_everything(self, bad):
        with pytest.raises(FactorLabError):
            many.evaluate([self.STRATEGIES[0], self.STRATEGIES[bad]], PANEL)
