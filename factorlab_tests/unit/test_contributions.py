"""Where growth came from, on books and prices that fit in the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from factorlab_assets.core import research
from factorlab_assets.core.backtest import Backtest, simulate
from factorlab_assets.core.book import Book
from factorlab_assets.core.holding import Carry, rebalances
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.portfolio import build
from factorlab_assets.evaluation.contributions import OTHERS, contributions, notable_months
from factorlab_assets.strategy import Resolved
from factorlab_tests.sheet_runs import market, records, shipped
from factorlab_tests.small_panels import NAN, panel_of, resolved_of, strategy_of

CLASSES = {"A": "Equity"}


class Ran:
    """Given weights on a panel, and rows by item."""

    def __init__(self, panel: Panel, weights: list[list[float]], start: int = 0, **said: Any):
        values = np.array(weights, dtype=np.float64)
        self.panel, strategy = panel, strategy_of(**said)
        self.book = Book(values, np.zeros(values.shape, dtype=np.int8), start)
        plain = resolved_of(strategy, panel.tickers.tolist())
        self.resolved: Resolved = plain.model_copy(update={"asset_classes": CLASSES})
        carry = Carry.of(strategy, panel)
        unknown = np.full(len(panel.dates), NAN)
        self.backtest: Backtest = simulate(strategy, self.book, panel, unknown, carry)

    def contributions(self) -> dict[str, dict[str, Any]]:
        rows = contributions(self.resolved, self.panel, self.book, self.backtest)
        records("contributions", rows)
        nav = float(self.backtest.nav[-1]) if len(self.backtest.nav) else 1.0
        assert sum(row["contribution"] for row in rows) == pytest.approx(nav - 1.0, abs=1e-12)
        if rows:
            assert sum(row["mean_weight"] for row in rows) == pytest.approx(1.0, abs=1e-12)
            assert [row["item"] for row in rows[-4:]] == list(OTHERS)
        return {str(row["item"]): row for row in rows}

    def added(self) -> dict[str, float]:
        return {item: row["contribution"] for item, row in self.contributions().items()}

    def notable(self, most: int = 5) -> list[dict[str, Any]]:
        rows = notable_months(self.resolved, self.panel, self.book, self.backtest, most)
        records("notable_months", rows)
        for day in {row["date"] for row in rows}:
            own = [row for row in rows if row["date"] == day]
            assert own == sorted(own, key=lambda row: -abs(row["contribution"]))
            total = sum(row["contribution"] for row in own)
            assert total == pytest.approx(own[0]["net_return"], abs=1e-12)
        return rows


TWO = panel_of({"A": [100, 110, 99, 99], "B": [100, 100, 150, 75]})


class TestContributions:
    def test_each_month_counts_as_much_as_there_was_capital(self):
        # 1 → 1.1 with A; 1.1 → 1.65 with B; then half in B, half in cash: 1.65 → 1.2375
        ran = Ran(TWO, [[1, 0], [0, 1], [0, 0.5], [0, 0]])
        added = ran.added()
        assert added["A"] == pytest.approx(0.1, rel=1e-12)
        assert added["B"] == pytest.approx(0.55 - 0.4125, rel=1e-12)
        assert [added[name] for name in OTHERS] == [0.0] * 4
        rows = ran.contributions()
        assert (rows["A"]["asset_class"], rows["B"]["asset_class"]) == ("Equity", "")
        assert (rows["A"]["kind"], rows["cash"]["kind"]) == ("ticker", "other")
        months = {item: rows[item]["n_months"] for item in ("A", "B", "cash", "costs")}
        assert months == {"A": 1, "B": 2, "cash": 1, "costs": 0}
        assert rows["B"]["mean_weight"] == pytest.approx(0.5)
        assert rows["cash"]["mean_weight"] == pytest.approx(1.0 / 6.0)

    def test_a_name_never_held_has_no_row(self):
        assert "B" not in Ran(TWO, [[1, 0]] * 4).contributions()

    def test_what_is_paid_takes_away(self):
        flat = panel_of({"A": [100, 100, 100], "B": [100, 100, 100]})
        costs = {"tc_bps": 100.0, "slippage_bps": 0.0}
        costs |= {"margin_spread_ann": 0.12, "borrow_ann": 0.24}
        said = {"costs": costs, "cash": {"yield_ann": 1.01**12 - 1.0}}
        added = Ran(flat, [[1.5, -0.5]] * 3, **said).added()
        # Long 1.5, short 0.5: Σw = 1, no cash; borrow 2 % of 0.5 a month; costs of 2 at first
        nav = 1.0 - 0.02 - 0.01
        assert added["borrow"] == pytest.approx(-0.01 - 0.01 * nav, rel=1e-12)
        assert added["financing"] == added["cash"] == 0.0
        drift = abs(1.5 - 1.5 / 0.99) + abs(-0.5 + 0.5 / 0.99)
        assert added["costs"] == pytest.approx(-0.02 - nav * drift * 0.01, rel=1e-12)
        owing = Ran(flat, [[2.0, 0.0], [0, 0], [0, 0]], **said).added()
        first = 1.0 - 0.02 - 0.01 - 0.01  # cost of 2, rf and spread of 1
        assert owing["cash"] == pytest.approx(-0.01 + 0.01 * first, rel=1e-12)
        assert owing["financing"] == pytest.approx(-0.01, rel=1e-12)

    @pytest.mark.parametrize("trade_at", ["next_close", "next_open"])
    def test_the_old_book_earns_up_to_the_trade(self, trade_at: str):
        # A from 100 to 120 at the trade, then to 60; B doubles before the trade and again after it
        entry = {"A": [NAN, 100, 120, 120], "B": [NAN, 100, 200, 400]}
        panel = panel_of({"A": [100, 100, 60, 60], "B": [100, 100, 400, 400]}, entry=entry)
        ran = Ran(panel, [[1, 0], [0, 1], [0, 1], [0, 0]], execution={"trade_at": trade_at})
        added = ran.added()
        assert added["A"] == pytest.approx(0.2, rel=1e-12)  # not its fall after the trade
        assert added["B"] == pytest.approx(1.2, rel=1e-12)  # 1.2 doubled once, not twice
        rows = [row for row in ran.notable(1) if row["side"] == "best"]
        assert [row["item"] for row in rows] == ["B", "A"]
        assert [row["weight"] for row in rows] == [1.0, 0.0]
        assert [row["ret"] for row in rows] == pytest.approx([3.0, -0.4])

    def test_a_name_without_a_price_books_later(self):
        gone = panel_of({"A": [100, NAN, 50, 50], "B": [100, 100, 100, 100]})
        rows = Ran(gone, [[0.5, 0.5]] * 4).contributions()
        assert rows["A"]["contribution"] == pytest.approx(-0.25, rel=1e-12)
        assert rows["A"]["n_months"] == 3

    def test_cash_may_be_a_ticker_that_the_universe_lacks(self):
        said = strategy_of(cash={"ticker": "CASH"})
        both = panel_of({"A": [100, 110, 121], "CASH": [100, 101, 104.03]})
        panel = both.select(["A"])
        book = Book(np.full((3, 1), 0.5), np.zeros((3, 1), dtype=np.int8), 0)
        unknown = np.full(3, NAN)
        backtest = simulate(said, book, panel, unknown, Carry.of(said, both))
        rows = contributions(resolved_of(said, ["A"]), panel, book, backtest)
        added = {str(row["item"]): row["contribution"] for row in rows}
        assert added["cash"] == pytest.approx(0.005 + 1.055 * 0.015, rel=1e-12)
        assert sum(map(float, added.values())) == pytest.approx(backtest.nav[-1] - 1.0, abs=1e-12)

    def test_a_book_that_starts_late_counts_from_there(self):
        added = Ran(TWO, [[0, 0], [0, 1], [0, 1], [0, 1]], start=1).added()
        assert added["B"] == pytest.approx(-0.25, rel=1e-12)

    def test_ruin_is_the_last_month(self):
        halved = panel_of({"A": [100, 50, 500], "B": [1, 1, 1]})
        added = Ran(halved, [[2, 0], [2, 0], [2, 0]]).added()
        assert added["A"] == -1.0

    def test_a_book_lost_before_the_trade_still_adds_up(self):
        entry = {"A": [NAN, 100, 20], "B": [NAN, 100, 100]}
        panel = panel_of({"A": [100, 100, 20], "B": [100, 100, 150]}, entry=entry)
        said = {"execution": {"trade_at": "next_close"}, "cash": {"yield_ann": 0.1}}
        ran = Ran(panel, [[2, 0], [0, 0.5], [0, 0]], **said)
        added = ran.added()
        assert ran.backtest.nav[-1] < 0.0
        # The first month owes 1 at rf; then A falls by 80 % before the trade, twice the capital
        # by then: what is left is owed, and half of that is cash.
        rf = 1.1 ** (1 / 12) - 1.0
        assert added["A"] == pytest.approx(-1.6, rel=1e-12)
        left = 1.0 - rf - 1.6
        assert added["cash"] == pytest.approx(-rf + left * 0.5 * rf, rel=1e-12)

    def test_no_months_no_rows(self):
        ran = Ran(TWO, [[0, 0]] * 4, start=4)
        assert (ran.contributions(), ran.notable()) == ({}, [])

    def test_all_cash_is_a_row(self):
        rows = Ran(TWO, [[0, 0]] * 4, cash={"yield_ann": 1.01**12 - 1.0}).contributions()
        assert list(rows) == list(OTHERS)
        assert rows["cash"]["contribution"] == pytest.approx(1.01**3 - 1.0, rel=1e-12)
        assert (rows["cash"]["mean_weight"], rows["cash"]["n_months"]) == (1.0, 3)


class TestNotableMonths:
    def test_best_and_worst_and_what_was_held(self):
        ran = Ran(TWO, [[1, 0], [0.2, 0.8], [0, 0.5], [0, 0]])
        rows = ran.notable(1)
        best = [row for row in rows if row["side"] == "best"]
        worst = [row for row in rows if row["side"] == "worst"]
        assert {row["date"] for row in best} == {TWO.dates[2].item()}
        assert [(row["item"], row["weight"]) for row in best] == [("B", 0.8), ("A", 0.2)]
        assert [row["ret"] for row in best] == pytest.approx([0.5, -0.1])
        assert [row["contribution"] for row in best] == pytest.approx([0.4, -0.02])
        assert best[0]["net_return"] == pytest.approx(0.38)
        assert [(row["item"], row["weight"]) for row in worst] == [("B", 0.5), ("cash", 0.5)]
        assert worst[0]["net_return"] == pytest.approx(-0.25)

    @pytest.mark.parametrize(
        ("months", "best", "worst"), [(1, 1, 0), (2, 1, 1), (3, 2, 1), (9, 5, 4), (30, 5, 5)]
    )
    def test_no_month_is_both(self, months: int, best: int, worst: int):
        rng = np.random.default_rng(months)
        price = 100.0 * np.cumprod(1.0 + rng.normal(0.0, 0.1, months + 1))
        ran = Ran(panel_of({"A": price.tolist()}), [[1.0]] * (months + 1))
        rows = ran.notable()
        found = {(row["side"], row["rank"]): row["net_return"] for row in rows}
        net = sorted(ran.backtest.net_return.tolist())
        assert [found["best", i + 1] for i in range(best)] == net[::-1][:best]
        assert [found["worst", i + 1] for i in range(worst)] == net[:worst]
        assert len(found) == best + worst

    def test_of_equal_months_the_earlier_comes_first(self):
        rows = Ran(panel_of({"A": [1.0] * 13}), [[1.0]] * 13).notable(2)
        months = [(row["side"], row["date"].month) for row in rows]
        assert months == [("best", 2), ("best", 3), ("worst", 4), ("worst", 5)]

    def test_a_month_in_cash_says_so_and_costs_have_their_line(self):
        said = {"costs": {"tc_bps": 100.0, "slippage_bps": 0.0}}
        rows = Ran(TWO, [[0, 0], [0.5, 0.5], [0, 0], [0, 0]], **said).notable()
        by_month: dict[int, list[str]] = {}
        for row in rows:
            by_month.setdefault(row["date"].month, []).append(row["item"])
        assert by_month == {2: ["cash"], 3: ["B", "A", "costs"], 4: ["costs", "cash"]}


@pytest.mark.parametrize("trade_at", ["close", "next_close", "next_open"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_ledger_of_shares_says_the_same_of_every_ticker(trade_at: str, every: int):
    rng = np.random.default_rng(3)
    months, names = 60, ["A", "B", "C"]
    price = 50.0 * np.exp(np.cumsum(0.06 * rng.standard_normal((months, 3)), axis=0))
    entry = price.copy()
    entry[1:] = price[:-1] * np.exp(0.02 * rng.standard_normal((months - 1, 3)))
    panel = panel_of(
        dict(zip(names, price.T.tolist(), strict=True)),
        entry=dict(zip(names, entry.T.tolist(), strict=True)),
    )
    # In between rebalances the book drifts, and the ledger keeps its shares.
    wanted = {"A": 0.7, "B": -0.2, "C": 0.5}
    strategy = strategy_of(
        portfolio={
            "type": "long_short",
            "weighting": "fixed",
            "fixed_weights": wanted,
            "gross": 1.4,
            "net": 1.0,
        },
        schedule={"every_months": every},
        execution={"trade_at": trade_at},
    )
    book = build(strategy, np.zeros(price.shape), panel, universe_size=3)
    backtest = simulate(strategy, book, panel, np.full(months, NAN))
    rows = contributions(resolved_of(strategy, names), panel, book, backtest)
    found = [float(str(row["contribution"])) for row in rows[:3]]

    money, shares, gained = 1.0, np.zeros(3), np.zeros(3)
    target = np.array(list(wanted.values()))
    is_due = rebalances(panel.dates, book.start, strategy.schedule)
    for t in range(book.start, months - 1):
        at = entry[t + 1] if trade_at != "close" and is_due[t] else price[t]
        before = shares * (at - price[t])
        if is_due[t]:
            shares = target * (money + before.sum()) / at
        earned = before + shares * (price[t + 1] - at)
        money, gained = money + earned.sum(), gained + earned
    assert found == pytest.approx(gained.tolist(), abs=1e-12)
    assert backtest.nav[-1] == pytest.approx(money, rel=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "three_factor_ls",
        "overlapping_momentum",
        "sixty_forty_quarterly",
        "tsmom_vol10",
        "momentum_within_classes",
        "vigilant_g4",
    ],
)
def test_a_shipped_strategy_adds_up_over_twenty_years(name: str):
    resolved = shipped(name)
    found = research.run(resolved, market())
    of = resolved, found.panel, found.book, found.backtest
    added = sum(float(str(row["contribution"])) for row in contributions(*of))
    assert added == pytest.approx(found.backtest.nav[-1] - 1.0, abs=1e-12)
    net = dict(zip(found.backtest.dates.tolist(), found.backtest.net_return, strict=True))
    parts: dict[Any, float] = {}
    for row in notable_months(*of):
        parts[row["date"]] = parts.get(row["date"], 0.0) + float(str(row["contribution"]))
    assert len(parts) == 10
    assert parts == pytest.approx({day: net[day] for day in parts}, abs=1e-12)
