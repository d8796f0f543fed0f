"""Cells that read daily bars, and cells whose months end early: run, proved and made again."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from factorlab_assets import schemas
from factorlab_assets.assets import cells
from factorlab_assets.core.calendar import month_end
from factorlab_assets.verify import verify
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)

PLAIN = """\
description: The best four of a year.
factors: [{{name: trend, delay: 0}}]
portfolio: {{select: {{top_k: 4}}}}
{more}
"""
EARLY = "schedule: {days_before_month_end: 3}"
DAILY = "costs: {impact: 0.1, capital: 1.0e+6}"
STRATEGIES = {
    "q_plain": PLAIN.format(more=""),
    "q_early": PLAIN.format(more=EARLY),
    "q_daily": PLAIN.format(more=DAILY),
    "q_early_daily": PLAIN.format(more=f"{EARLY}\n{DAILY}"),
}


@pytest.fixture(scope="module")
def ran(ingested: Project) -> Project:
    """The four in one run."""
    for name, text in STRATEGIES.items():
        ingested.strategy(name, text)
    ingested.market()  # registers them
    result = ingested.cells("q_daily", "q_plain")
    assert failure(result) == ""
    checks = evaluations(result)
    for name in STRATEGIES:
        assert checks["backtest_returns", "no_lookahead", f"{MONTH}|{name}"]
        assert checks["daily_returns", "compounds_to_months", f"{MONTH}|{name}"]
    proofs = materializations(result, "backtest_returns")
    for name in STRATEGIES:
        shown = str(proofs[f"{MONTH}|{name}"]["proof"])
        assert ("sessions" in shown) == ("daily" in name), "histories have bars where they are read"
    return ingested


def rows(project: Project, table: str, name: str) -> list[dict[str, object]]:
    return project.store.load(schemas.TABLES[table], [f"{MONTH}|{name}"]).to_pylist()


@pytest.mark.parametrize("name", ["q_early", "q_early_daily"])
def test_everything_is_dated_on_the_days_that_it_is_of(ran: Project, name: str) -> None:
    for table in ("factor_signals", "scores", "weights", "backtest_returns", "daily_returns"):
        dates = {row["date"] for row in rows(ran, table, name)}
        assert max(dates) == month_end(MONTH, 3), table
        if table != "daily_returns":
            assert dates == {month_end(f"{day:%Y-%m}", 3) for day in dates}, table


def test_an_early_book_is_another_one_and_impact_costs_something(ran: Project) -> None:
    earned = {name: rows(ran, "backtest_returns", name) for name in STRATEGIES}
    nav = {name: found[-1]["nav"] for name, found in earned.items()}
    assert len(set(nav.values())) == 4
    assert nav["q_daily"] < nav["q_plain"]
    assert nav["q_early_daily"] < nav["q_early"]
    assert sum(row["impact_cost"] for row in earned["q_daily"]) > 0
    assert sum(row["impact_cost"] for row in earned["q_plain"]) == 0


def test_they_are_made_again_to_the_last_bit(ran: Project) -> None:
    done = ran.store.experiments()
    done = done.filter(pc.equal(done["status"], "done")).to_pylist()
    ids = {row["strategy"]: row["experiment_id"] for row in done}
    for name in STRATEGIES:
        found = verify(ran.store, ids[name])
        assert found.identical, found.told


def test_bars_are_read_for_the_tables_that_look_at_them_alone(
    ran: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = cells.with_bars

    def counted(*given: object, **said: object) -> object:
        read.append(1)
        return real(*given, **said)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(cells, "with_bars", counted)
    assert failure(ran.cell("q_plain")) == ""
    assert read == []
    assert failure(ran.cell("q_daily")) == ""
    assert len(read) == 6, (
        "memberships to weights but for scores, backtest_returns, and two that judge"
    )
