"""Honest strategies pass the proof; each kind of leak, planted, is caught by the part named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest

from factorlab_assets.core import combine, factors, histories, research, signals
from factorlab_assets.core import proof as proof_module
from factorlab_assets.core.factors.base import lag
from factorlab_assets.core.holding import carried
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.proof import CANNOT_SEE, Proof, Scenarios, prove
from factorlab_assets.core.returns import monthly_returns
from factorlab_assets.core.trial import Run
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.lookahead.conftest import ETFS, MONTH, shipped
from factorlab_tests.small_panels import resolved_of, strategy_of

SHIPPED = shipped()
CLIPPED = {"kind": "winsorize", "lower": 0.1, "upper": 0.9}
TRANSFORMS: dict[str, list[dict[str, Any]]] = {
    "raw": [],
    "winsorize": [CLIPPED],
    "zscore": [{"kind": "zscore"}],
    "rank": [{"kind": "rank"}],
    "all": [CLIPPED, {"kind": "zscore"}, {"kind": "rank"}],
}
OF_PRICES = [name for name, spec in factors.REGISTRY.items() if spec.reads != "outside"]
"""Factors of a user's own panel need one: `test_outside`."""
BOOKS: dict[str, dict[str, Any]] = {
    "signal weights, capped": {"portfolio": {"weighting": "signal", "max_weight": 0.2}},
    "long/short, levered, at a cost": {
        "portfolio": {"type": "long_short", "select": {"top_k": 3}, "gross": 3.0, "net": 0.5},
        "costs": {"borrow_ann": 0.02, "margin_spread_ann": 0.01},
        "cash": {"yield_ann": 0.03},
    },
    "quarterly, at the next open": {
        "portfolio": {"select": {"top_k": 4}},
        "schedule": {"every_months": 3},
        "execution": {"trade_at": "next_open"},
        "cash": {"yield_ann": 0.03},
    },
    "long/short, at the next close": {
        "portfolio": {"type": "long_short", "select": {"fraction": 0.3}},
        "execution": {"trade_at": "next_close", "turnover": "target"},
    },
    "rising only": {"portfolio": {"select": {"top_k": 5, "only_positive": "trend"}}},
    "against equal weight": {"benchmark": "equal_weight"},
    "against 60/40": {"benchmark": "60/40"},
}


@pytest.fixture(scope="module")
def scenarios(con: duckdb.DuckDBPyConnection, request: pytest.FixtureRequest) -> Scenarios:
    """The thirteen ETFs."""
    return Scenarios.build(con, request.param, MONTH, list(SHIPPED.values()))


@pytest.fixture(scope="module")
def everything(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """Every ticker of the version: some of them list late, some are delisted."""
    return Scenarios.build(con, "grown", MONTH, [momentum(tickers=None)])


@pytest.fixture(scope="module")
def daily(con: duckdb.DuckDBPyConnection) -> Scenarios:
    """Every ticker of the version, with its daily bars."""
    dear = {"impact": 0.1, "capital": 1e6}
    return Scenarios.build(con, "grown", MONTH, [momentum(tickers=None, costs=dear)])


def momentum(
    tickers: Sequence[str] | None = tuple(ETFS), transforms: Sequence[Any] = (), **said: Any
) -> Resolved:
    """Long the best four of the last year, monthly."""
    factor = {"name": "trend", "delay": 0, "transforms": list(transforms)}
    plain = {"factors": [factor], "portfolio": {"select": {"top_k": 4}, "min_names": 6}}
    return resolved_of(strategy_of(**plain | said), tickers)


def parts(proof: Proof) -> set[str]:
    assert proof.passed == (not proof.findings)
    return {finding["part"] for finding in proof.findings}


@pytest.mark.parametrize(
    ("scenarios", "name"),
    [
        pytest.param(
            bars,
            name,
            id=f"{name}-{basis}",
            marks=[pytest.mark.slow] if basis == "total_return" else [],
        )
        for basis, bars in {"close": "bars", "total_return": "grown"}.items()
        for name in SHIPPED
    ],
    indirect=["scenarios"],
)
def test_every_shipped_strategy_passes(scenarios: Scenarios, name: str):
    proof = scenarios.prove(SHIPPED[name])
    assert proof.findings == []
    assert proof.figures["months"] > 100
    assert proof.figures["largest_change"] == 0.0
    assert proof.figures["impulse_held"] >= 3
    assert proof.figures["largest_impulse_error"] < 1e-12
    assert abs(proof.figures["null_t"]) < 4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(
            name, kind, marks=[] if kind == "raw" or name == "xsmom" else [pytest.mark.slow]
        )
        for name in OF_PRICES
        for kind in TRANSFORMS
    ],
)
def test_every_factor_passes_with_every_transform(
    request: pytest.FixtureRequest, name: str, kind: str
):
    reads_bars = factors.REGISTRY[name].reads == "bars"
    scenarios: Scenarios = request.getfixturevalue("daily" if reads_bars else "everything")
    factor = {"name": name, "delay": factors.REGISTRY[name].delay, "transforms": TRANSFORMS[kind]}
    portfolio = {"type": "long_short", "select": {"top_k": 3}}
    strategy = strategy_of(factors=[factor], portfolio=portfolio)
    for tickers in (None, tuple(ETFS)):
        proof = scenarios.prove(resolved_of(strategy, tickers))
        assert proof.findings == []
        assert proof.figures["impulse_held"] == 6, "a long and a short at each pulse"


@pytest.mark.parametrize("kind", BOOKS)
def test_every_kind_of_book_passes(everything: Scenarios, kind: str):
    for tickers in (None, tuple(ETFS)):
        proof = everything.prove(momentum(tickers, [{"kind": "zscore"}], **BOOKS[kind]))
        assert proof.findings == []
        assert proof.figures["impulse_held"] >= 3


def with_signals(change: Callable[[Resolved, Panel, Floats], Floats]) -> Run:
    """The real path, but for its signals (F, T, N)."""

    def run(resolved: Resolved, market: Panel) -> research.Result:
        honest = research.run(resolved, market)
        signal = change(resolved, honest.panel, honest.signals.signal)
        signals = replace(honest.signals, signal=signal)
        score = combine.combine(resolved, market, signals)
        book = research.build_book(resolved, market, score, signals)
        backtest = research.run_backtest(resolved, market, book)
        return research.Result(honest.panel, signals, score, book, backtest)

    return run


def with_market(change: Callable[[Panel], Panel]) -> Run:
    """The real path, but for its month-end prices."""
    return lambda resolved, market: research.run(resolved, change(market))


def with_strategy(change: Callable[[Strategy, Panel], Strategy]) -> Run:
    """The real path, but for the strategy's settings."""

    def run(resolved: Resolved, market: Panel) -> research.Result:
        strategy = change(resolved.strategy, market)
        return research.run(resolved.model_copy(update={"strategy": strategy}), market)

    return run


def with_backtest(change: Callable[[Resolved, Panel, research.Result], Any]) -> Run:
    """The real path, but for some columns of its backtest."""

    def run(resolved: Resolved, market: Panel) -> research.Result:
        honest = research.run(resolved, market)
        return replace(honest, backtest=change(resolved, market, honest))

    return run


def one_month_late(resolved: Resolved, market: Panel, honest: research.Result) -> Any:
    weights = honest.book.weights.copy()
    weights[:-1] = weights[1:]
    return research.run_backtest(resolved, market, replace(honest.book, weights=weights))


def same_row(resolved: Resolved, market: Panel, honest: research.Result) -> Any:
    late = one_month_late(resolved, market, honest)
    earned = ("gross_return", "net_return", "nav", "drawdown")
    return replace(honest.backtest, **{name: getattr(late, name) for name in earned})


def cost_of_next_trade(resolved: Resolved, market: Panel, honest: research.Result) -> Any:
    late = one_month_late(resolved, market, honest)
    return replace(honest.backtest, cost=late.cost, turnover=late.turnover)


def next_benchmark(resolved: Resolved, market: Panel, honest: research.Result) -> Any:
    benchmark = honest.backtest.benchmark_return
    return replace(honest.backtest, benchmark_return=np.append(benchmark[1:], np.nan))


def made_up(resolved: Resolved, market: Panel, honest: research.Result) -> Any:
    return replace(honest.backtest, gross_return=honest.backtest.gross_return + 0.02)


def winsorized_over_time(resolved: Resolved, panel: Panel, signal: Floats) -> Floats:
    return np.clip(signal, *np.nanquantile(signal, [0.05, 0.95]))


def centred(resolved: Resolved, panel: Panel, signal: Floats) -> Floats:
    ahead = np.full(signal.shape, np.nan)
    ahead[:, :-1] = signal[:, 1:]
    return (lag(signal, 1) + signal + ahead) / 3


def next_price(resolved: Resolved, panel: Panel, signal: Floats) -> Floats:
    out = signal.copy()
    out[:, :-1] = panel.price[1:] / panel.price[:-1] - 1
    return out


def next_price_in_december(resolved: Resolved, panel: Panel, signal: Floats) -> Floats:
    december = panel.dates.astype("datetime64[M]").astype(int) % 12 == 11
    return np.where(december[:, np.newaxis], next_price(resolved, panel, signal), signal)


def forward_filled(market: Panel) -> Panel:
    return replace(market, price=carried(market.price), seen=carried(market.seen))


def backward_filled(market: Panel) -> Panel:
    price, seen = (carried(values[::-1])[::-1] for values in (market.price, market.seen))
    return replace(market, price=price, seen=seen)


def repaired_at_once(market: Panel) -> Panel:
    return replace(market, seen=market.price)


def still_known(resolved: Resolved, market: Panel) -> research.Result:
    """A signal stays as it was from the second month without a price on."""
    honest = research.run(resolved, market)
    gone = np.isnan(honest.panel.price)
    gone[1:] &= gone[:-1]
    raw = np.where(gone, carried(honest.signals.raw[0]), honest.signals.raw[0])
    return replace(honest, signals=replace(honest.signals, raw=raw[np.newaxis]))


def known_through_a_gap(resolved: Resolved, market: Panel) -> research.Result:
    """Signals of filled prices, though only who has a price is traded."""
    honest = research.run(resolved, market)
    filled = signals.compute_signals(resolved, forward_filled(market))
    score = combine.combine(resolved, market, filled)
    book = research.build_book(resolved, market, score, filled)
    backtest = research.run_backtest(resolved, market, book)
    return research.Result(honest.panel, filled, score, book, backtest)


def sold_without_a_price(resolved: Resolved, market: Panel) -> research.Result:
    """A held name is sold at a month-end where it cannot be."""
    honest = research.run(resolved, market)
    filled = forward_filled(market)
    book = research.build_book(resolved, filled, honest.score, honest.signals)
    backtest = research.run_backtest(resolved, market, book)
    return research.Result(honest.panel, honest.signals, honest.score, book, backtest)


def bought_without_a_price(resolved: Resolved, market: Panel) -> research.Result:
    """Who had a price once, and has none now, comes into the book."""
    honest = research.run(resolved, market)
    known = np.isfinite(honest.panel.price)
    lost = np.logical_or.accumulate(known, axis=0) & ~known & (honest.book.weights == 0.0)
    weights = np.where(lost, 0.01, honest.book.weights)
    return replace(honest, book=replace(honest.book, weights=weights))


def survivors(market: Panel) -> Panel:
    alive = np.isfinite(market.price[-1])
    price, seen = (np.where(alive, each, np.nan) for each in (market.price, market.seen))
    return replace(market, price=price, seen=seen)


def half_of_all_there_will_be(strategy: Strategy, market: Panel) -> Strategy:
    half = {"min_names": len(market.tickers) // 2}
    return strategy.model_copy(update={"portfolio": strategy.portfolio.model_copy(update=half)})


LEAKS: dict[str, tuple[Run, set[str]]] = {
    "same-row returns": (with_backtest(same_row), {"impulse", "null"}),
    "costs of the next trade": (with_backtest(cost_of_next_trade), {"impulse", "gap"}),
    "the benchmark's next return": (with_backtest(next_benchmark), {"truncation", "wild future"}),
    "returns from nowhere": (with_backtest(made_up), {"null"}),
    "full-sample winsorizing": (with_signals(winsorized_over_time), {"truncation", "wild future"}),
    "a centred window": (with_signals(centred), {"truncation", "wild future"}),
    "next month's price": (with_signals(next_price), {"truncation", "wild future", "null"}),
    "next month's price in December": (with_signals(next_price_in_december), {"truncation"}),
    "a forward fill": (with_market(forward_filled), {"gap"}),
    "a forward fill of signals": (known_through_a_gap, {"gap"}),
    "signals of the delisted": (still_known, {"gap"}),
    "a sale without a price": (sold_without_a_price, {"gap"}),
    "a purchase without a price": (bought_without_a_price, {"gap"}),
    "a backward fill": (with_market(backward_filled), {"truncation", "wild future", "gap"}),
    "a universe of survivors": (with_market(survivors), {"truncation", "wild future"}),
    "min_names of the whole sample": (with_strategy(half_of_all_there_will_be), {"truncation"}),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(everything: Scenarios, leak: str):
    run, caught_by = LEAKS[leak]
    honest = momentum(tickers=None, costs={"tc_bps": 10.0})
    assert everything.prove(honest).passed
    proof = everything.prove(honest, run=run)
    assert caught_by <= parts(proof)
    json.dumps(proof.findings, allow_nan=False)
    for finding in proof.findings:
        assert finding["before"] != finding["after"]
        assert finding["cells"] > 0


def test_a_repair_before_it_is_known_is_caught(everything: Scenarios):
    factor = {"name": "trend", "delay": 0, "transforms": [{"kind": "rank"}]}
    honest = resolved_of(strategy_of(factors=[factor], portfolio={"select": {"top_k": 3}}), None)
    assert everything.prove(honest).figures["repair"] == 3
    assert everything.prove(honest).passed
    assert parts(everything.prove(honest, run=with_market(repaired_at_once))) == {"repair"}


def test_bad_luck_on_one_draw_of_white_noise_is_no_leak(everything: Scenarios):
    unlucky = everything.histories.noises[0]

    def run(resolved: Resolved, market: Panel) -> research.Result:
        honest = research.run(resolved, market)
        if market is not unlucky:
            return honest
        return replace(honest, backtest=made_up(resolved, market, honest))

    proof = everything.prove(momentum(), run=run)
    assert proof.passed
    assert proof.figures["scenarios"] == everything.prove(momentum()).figures["scenarios"] + 1


def test_a_finding_names_the_first_cell_that_moved(everything: Scenarios):
    proof = everything.prove(momentum(), run=with_signals(next_price))
    first = proof.findings[0]
    assert first["part"] == "truncation"
    assert (first["table"], first["column"]) == ("factor_signals", "signal trend")
    assert first["cut"] == first["date"] == "2001-06-29"
    panel = everything.histories.base
    price = panel.price[:, panel.tickers == first["ticker"]][:, 0]
    now = int(np.flatnonzero(panel.dates == np.datetime64("2001-06-29"))[0])
    assert first["before"] == price[now + 1] / price[now] - 1
    assert first["after"] is not None, "the last month keeps the honest signal"
    assert first["cells"] == 3, "of SPY, QQQ and IWM; the others had no year of prices yet"


@pytest.mark.parametrize(
    ("close", "found"),
    [
        ("lead(close, 1, close) OVER (PARTITION BY ticker ORDER BY date)", {"truncation"}),
        ("close / last(close) OVER (PARTITION BY ticker ORDER BY date "
         "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)", {"truncation"}),
    ],
    ids=["tomorrow's close", "prices rescaled to end at 1"],
)  # fmt: skip
def test_a_leak_in_the_daily_sql_is_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, close: str, found: set[str]
):
    def leaky(con: Any, bars: str, *rest: Any, **said: Any) -> Any:
        altered = f"(SELECT * REPLACE ({close} AS close) FROM {bars})"
        return monthly_returns(con, altered, *rest, **said)

    monkeypatch.setattr(histories, "monthly_returns", leaky)
    proof = prove(momentum(), con, "bars", MONTH)
    prices = [finding for finding in proof.findings if finding["table"] == "monthly_returns"]
    assert found <= {finding["part"] for finding in prices}


def test_prices_filled_into_a_gap_are_caught(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    real = histories.panel_from_table
    monkeypatch.setattr(
        histories, "panel_from_table", lambda rows, **said: forward_filled(real(rows, **said))
    )
    assert parts(prove(momentum(), con, "bars", MONTH)) == {"gap"}


@pytest.mark.parametrize(("tickers", "size"), [(None, 20), (tuple(ETFS), 13)])
def test_a_big_universe_is_proved_on_a_sample(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, tickers: Any, size: int
):
    monkeypatch.setattr(proof_module, "SAMPLED_FROM", 13)
    monkeypatch.setattr(proof_module, "SAMPLE", 6)
    resolved = momentum(tickers, portfolio={"select": {"top_k": 8}, "min_names": 10})
    scenarios = Scenarios.build(con, "bars", MONTH, [resolved])
    proof = scenarios.prove(resolved)
    assert proof.findings == []
    assert proof.figures["of_tickers"] == size
    assert proof.figures["tickers"] <= 8, "the sample, and SPY and IEF of 60/40"
    assert proof.figures["impulse_held"] >= 3
    asked = []

    def spying(resolved: Resolved, market: Panel) -> research.Result:
        asked.append(resolved.strategy.portfolio)
        return research.run(resolved, market)

    scenarios.prove(resolved, run=spying)
    share = proof.figures["tickers"] / size
    counts = (round(8 * share), round(10 * share))
    assert {(each.select.top_k, each.min_names) for each in asked} == {counts}
    assert not scenarios.prove(resolved, run=with_backtest(same_row)).passed


def test_of_a_big_fixed_book_the_sampled_names_are_held(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(proof_module, "SAMPLED_FROM", 10)
    monkeypatch.setattr(proof_module, "SAMPLE", 4)
    fixed = {"weighting": "fixed", "fixed_weights": dict.fromkeys(ETFS, 0.05)}
    proof = prove(resolved_of(strategy_of(portfolio=fixed), ETFS), con, "bars", MONTH)
    assert proof.findings == []
    assert (proof.figures["tickers"], proof.figures["of_tickers"]) == (4, 13)
    assert proof.figures["impulse_held"] >= 3


def test_a_short_history_is_proved_as_far_as_it_goes(con: duckdb.DuckDBPyConnection):
    bars = "(FROM bars WHERE date >= '2017-12-01')"
    held = resolved_of(strategy_of(), ["SPY", "IEF"])
    proof = prove(held, con, bars, MONTH)
    assert proof.findings == []
    assert (proof.figures["months"], proof.figures["null_t"]) == (12, None)
    assert proof.cannot_see[: len(CANNOT_SEE)] == CANNOT_SEE
    assert "white noise" in proof.cannot_see[-1]
    nothing = prove(momentum(), con, bars, MONTH)
    assert parts(nothing) == {"truncation"}
    assert nothing.findings[0]["after"] == "none"
