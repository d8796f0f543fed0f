"""From stored bars to the prices that research reads: what is found, mended, grown and refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from factorlab_assets import cli_tables, schemas
from factorlab_assets.prices import Chooser
from factorlab_assets.strategy import Resolved, Strategy
from factorlab_tests.orchestration import two_vendors as vendors
from factorlab_tests.orchestration.conftest import (
    Project,
    failure,
)
from factorlab_tests.orchestration.two_vendors import (
    AFTER_SPIKE,
    LAST_GOOD,
    MONTH,
    SPIKE,
    SPIKE_TIMES,
    TRADED,
    current_inputs,
    rows,
    traded,
)


@dataclass(frozen=True)
class Computed:
    """A project whose strategies have been computed, and the run that did it."""

    project: Project
    run: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    """Vendor one's prices with what was paid, and every strategy on them; not to be changed."""
    with vendors.world(tmp_path_factory.mktemp("vendors")) as project:
        vendors.ingest_one(project)
        names = sorted(vendors.STRATEGIES)
        result = project.cells(names[0], names[-1], MONTH)
        assert failure(result) == ""
        yield Computed(project, result)


@pytest.fixture(scope="module")
def alone(ran: Computed) -> Project:
    return ran.project


def cell(project: Project, table: str, name: str) -> pa.Table:
    return project.store.load(schemas.TABLES[table], [f"{MONTH}|{name}"])


def full(project: Project, name: str) -> dict[str, Any]:
    """The metrics of a strategy's whole span."""
    (row,) = [r for r in cell(project, "metrics", name).to_pylist() if r["segment"] == "full"]
    return row


# What is stored


def test_every_table_carries_the_fingerprint_of_what_it_was_computed_from(alone: Project) -> None:
    inputs = current_inputs(alone)
    assert inputs.second is None
    assert set(vendors.fingerprints(alone)) == set(vendors.FROM_INPUTS)
    assert set(vendors.fingerprints(alone).values()) == {inputs.fingerprint}
    assert inputs.fingerprint.partition(".")[0] == inputs.version.data_version_id


def test_each_distribution_is_missing_from_closes_that_are_price_only(alone: Project) -> None:
    status = rows(alone, "distribution_status")
    assert {row["status"] for row in status} == {"missing"}
    assert {row["ticker"] for row in status} == set(vendors.PAYING)
    assert len(status) == sum(len(TRADED[ticker].at) for ticker in vendors.PAYING)
    said = {
        row["ticker"]: (row["basis"], row["is_total_return_known"])
        for row in rows(alone, "price_basis")
    }
    expected = dict.fromkeys(vendors.PAYING, ("price_only", True))
    assert said == expected | {"STK": ("adjusted", True), "NOL": ("price_only", False)}
    told = {row["ticker"]: row["suspects"] for row in rows(alone, "price_quality")}
    assert told == dict.fromkeys(TRADED, "") | {"INC": "1 × spike"}


# A month-end spike: known from the next day on


def test_a_month_end_spike_is_known_the_next_day(alone: Project) -> None:
    (row,) = rows(alone, "suspect_prices")
    assert (row["ticker"], row["date"], row["kind"]) == ("INC", SPIKE, "spike")
    assert row["known_at"] == AFTER_SPIKE
    assert row["old_close"] == pytest.approx(traded("INC", SPIKE) * SPIKE_TIMES, abs=0.006)


def test_the_month_end_is_mended_but_was_seen_with_the_spike(alone: Project) -> None:
    """Without a second source the bar is dropped: the last good one is a session old."""
    (row,) = rows(alone, "monthly_returns", ticker="INC", date=SPIKE)
    assert row["seen"] == pytest.approx(traded("INC", SPIKE) * SPIKE_TIMES, abs=0.006)
    assert row["last_trading_day"] == LAST_GOOD
    assert row["price"] == traded("INC", LAST_GOOD)
    others = [r for r in rows(alone, "monthly_returns") if r != row]
    assert all(r["seen"] == r["price"] for r in others)
    (bar,) = rows(alone, "adjusted_prices", ticker="INC", date=SPIKE)
    assert (bar["open"], bar["close"], bar["seen"]) == (None, None, row["seen"])


def test_signals_of_the_month_rest_on_what_was_seen_and_later_ones_do_not(
    alone: Project,
) -> None:
    signals = {
        (row["ticker"], row["date"]): row["raw"]
        for row in cell(alone, "factor_signals", "closes").to_pylist()
    }
    seen = round(traded("INC", SPIKE) * SPIKE_TIMES, 2)
    assert signals["INC", SPIKE] == pytest.approx(
        seen / traded("INC", dt.date(2019, 10, 31)) - 1, rel=1e-12
    )
    last_good = traded("INC", LAST_GOOD)
    april = dt.date(2020, 4, 30)
    assert signals["INC", april] == pytest.approx(traded("INC", april) / last_good - 1, rel=1e-12)


def test_the_book_that_bought_at_the_spike_earns_what_was_traded(alone: Project) -> None:
    """The spike made INC the best of three; its return is from the mended close."""
    held = cell(alone, "weights", "closes").to_pylist()
    (name,) = [r["ticker"] for r in held if r["date"] == SPIKE and r["weight"]]
    assert name == "INC"
    february = dt.date(2020, 2, 28)
    returns = cell(alone, "backtest_returns", "closes")
    (net,) = returns.filter(pc.equal(returns["date"], february))["net_return"].to_pylist()
    before, after = traded("INC", LAST_GOOD), traded("INC", february)
    assert net == pytest.approx(after / before - 1, rel=1e-12)


# Total returns


def test_total_returns_are_closes_and_distributions_by_hand(alone: Project) -> None:
    """BIG held throughout: (P_t + D_t) / P_{t−1}, chained; its closes alone miss what was paid."""
    of = TRADED["BIG"]
    days = of.days.tolist()
    for name, chained in (("held_total", of.total_return()), ("held_close", of.close)):
        found = cell(alone, "backtest_returns", name)
        dates = found["date"].to_pylist()
        ends = np.array([days.index(day) for day in [dt.date(2019, 1, 31), *dates]])
        expected = chained[ends[1:]] / chained[ends[:-1]] - 1
        np.testing.assert_allclose(found["net_return"], expected, rtol=0, atol=1e-12)
        cagr = (chained[ends[-1]] / chained[ends[0]]) ** (12 / len(dates)) - 1
        assert full(alone, name)["cagr"] == pytest.approx(cagr, abs=1e-12)
    paid = full(alone, "held_total")["cagr"] - full(alone, "held_close")["cagr"]
    assert 0.04 < paid < 0.06


def test_metrics_say_what_a_return_of_them_means(alone: Project) -> None:
    said = {name: full(alone, name) for name in vendors.STRATEGIES}
    without = "no total return of 1 of 4 tickers (NOL)"
    assert {name: (row["price_basis"], row["caveats"]) for name, row in said.items()} == {
        "closes": ("close", ""),
        "totals": ("total_return", ""),
        "unsaid": ("total_return", ""),
        "unsaid_unlisted": ("close", f"closes: {without}"),
        "totals_unlisted": ("mixed", without),
        "held_close": ("close", ""),
        "held_total": ("total_return", ""),
    }
    figures = {name: row["cagr"] for name, row in said.items()}
    assert figures["unsaid"] == figures["totals"] != figures["closes"]


# Mixed bases: warned about, or refused


def one_basis(result: dg.ExecuteInProcessResult, name: str) -> tuple[bool, str]:
    """(passed, severity) of the check for a strategy."""
    (said,) = [
        event.event_specific_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
        and event.event_specific_data.check_name == "one_basis"
        and event.event_specific_data.partition == f"{MONTH}|{name}"
    ]
    return said.passed, said.severity.value


def test_a_strategy_that_mixes_bases_is_warned_about_and_computed(ran: Computed) -> None:
    warned = {name for name in vendors.STRATEGIES if one_basis(ran.run, name) != (True, "ERROR")}
    assert warned == {"closes", "totals_unlisted"}
    assert one_basis(ran.run, "closes") == (False, "WARN")
    key = f"{MONTH}|closes"
    (verdict,) = [
        v for v in ran.project.store.verdicts(schemas.FACTOR_SIGNALS, key) if v.check == "one_basis"
    ]
    assert verdict.passed
    assert {row["ticker"]: row["basis"] for row in verdict.detail["first"]} == {
        "BIG": "price_only",
        "IDX": "price_only",
        "INC": "price_only",
        "STK": "adjusted",
    }
    assert "--distributions" in verdict.detail["what to do"]
    assert ran.project.store.refusals(schemas.FACTOR_SIGNALS, [key]) == {}


def test_with_the_setting_to_block_it_is_refused(alone: Project, tmp_path: Path) -> None:
    project = vendors.copied(alone, tmp_path)
    before = current_inputs(project).fingerprint
    project.settings.price_rules_path.write_text("mixed_basis: block\n")
    assert current_inputs(project).fingerprint == before, "it is no other price"
    result = project.cell("totals_unlisted", MONTH)
    assert not result.success
    assert one_basis(result, "totals_unlisted") == (False, "ERROR")
    key = f"{MONTH}|totals_unlisted"
    assert "one_basis" in project.store.refusals(schemas.FACTOR_SIGNALS, [key])[key]
    last = project.store.experiments().to_pylist()[-1]
    assert (last["status"], "NOL" in last["detail"]) == ("failed", True)
    project.settings.price_rules_path.write_text("mixed_basis: warn\n")
    signals = [dg.AssetKey("factor_signals")]
    assert failure(project.cell("totals_unlisted", MONTH, asset_selection=signals)) == ""
    assert project.store.refusals(schemas.FACTOR_SIGNALS, [key]) == {}


def test_a_benchmark_strategys_own_benchmark_decides_nothing() -> None:
    """Only the net returns of the other strategy are compared with, so only its tickers count."""

    def held(name: str, ticker: str, benchmark: str, of: Resolved | None = None) -> Resolved:
        said = Strategy(name=name, description="held", benchmark=benchmark)
        return Resolved(strategy=said, tickers=(ticker,), asset_classes={}, benchmark=of)

    other = held("other", "B", "Z")
    mine = held("mine", "A", "strategy:other", other)
    known = {"A": True, "B": True, "Z": False}
    about = {ticker: {"ticker": ticker, "basis": "price_only"} for ticker in known}
    chooser = Chooser(about, known, is_synthetic=False)
    assert chooser.choose(mine).label == "total_return"
    assert chooser.choose(other).label == "close"
    assert Chooser(about, known | {"B": False}, is_synthetic=False).choose(mine).label == "close"


def test_the_table_of_metrics_says_which_strategy_is_on_which_basis(
    alone: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_tables, "out", Console(width=300, highlight=False))
    cli_tables.show_metrics(alone.store, MONTH, ["totals", "unsaid_unlisted"])
    head, *_ = capsys.readouterr().out.splitlines()
    assert "basis: close (unsaid_unlisted); total_return (totals)  cash: rf = 0  caveats: " in head
    assert (
        "closes: no total return of 1 of 4 tickers (NOL) (unsaid_unlisted); none (totals)" in head
    )
    cli_tables.show_metrics(alone.store, MONTH, ["totals", "unsaid"])
    assert "basis: total_return  cash: rf = 0  caveats: none\n" in capsys.readouterr().out
