"""Filtered universes and a user's own panels, from the ingest to what is stored and shown."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from rich.console import Console

from factorlab_assets import cli_tables, cli_universe, schemas
from factorlab_assets.cli_universe import universe
from factorlab_assets.errors import FactorLabError
from factorlab_assets.verify import verify
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
    settings_in,
)

TICKERS = ("GLD", "IEF", "SPY", "TLT")
SMALLEST = """\
description: The smaller half by the user's own panel, of names a year old.
universe: {of: [GLD, IEF, SPY, TLT], min_history: 12, top_dollar_volume: 3, liquidity_months: 1}
factors: [{name: characteristic, params: {panel: size}, weight: -1, delay: 0}]
portfolio: {select: {top_k: 2}, min_names: 2}
"""
NOBODY = SMALLEST.replace("min_history: 12", "min_price: 1.0e+9")
UNKNOWN = SMALLEST.replace("panel: size", "panel: sizes")


def write_panel(folder: Path, later: float = 0.0) -> Path:
    """A number per ticker and quarter since 1999, known 40 days later; `later` moves the last."""
    folder.mkdir(exist_ok=True)
    lines = ["ticker,date,date_avail,value"]
    for n, ticker in enumerate(TICKERS):
        for quarter in np.arange("1999-03", "2012-04", 3, dtype="datetime64[M]"):
            day: dt.date = ((quarter + 1).astype("datetime64[D]") - 1).item()
            value = (n * 7 + day.month) % 5 + (later if day.year == 2012 else 0.0)
            lines.append(f"{ticker},{day},{day + dt.timedelta(40)},{value}")
    (folder / "size.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A month ingested with the panel `size`, and what is said about three strategies on it."""
    with dg.instance_for_test() as instance:
        folder = tmp_path_factory.mktemp("own")
        project = Project(settings_in(folder), instance)
        for name, text in (("smallest", SMALLEST), ("nobody", NOBODY), ("unknown", UNKNOWN)):
            project.strategy(name, text)
        panels = write_panel(folder / "panels")
        market = project.market(characteristics=str(panels))
        assert failure(market) == ""
        assert materializations(market, "raw_prices")[MONTH]["characteristics"] == "size (212 rows)"
        assert failure(project.cell("smallest")) == ""
        yield project


def rows_of(project: Project, name: str) -> list[dict[str, Any]]:
    table = schemas.TABLES[name]
    return project.store.load(table, [f"{MONTH}|smallest"]).to_pylist()


def test_the_panel_is_part_of_the_version(own: Project) -> None:
    version = own.store.current_version(MONTH)
    assert version is not None
    rows = own.store.load(schemas.CHARACTERISTICS, [version.data_version_id]).to_pylist()
    assert {row["panel"] for row in rows} == {"size"}
    assert {row["ticker"] for row in rows} == set(TICKERS)
    assert max(row["date_avail"] for row in rows) == dt.date(2012, 5, 10)


def test_members_are_stored_with_the_reason_of_every_ticker(own: Project) -> None:
    rows = rows_of(own, "memberships")
    dates = sorted({row["date"] for row in rows})
    assert len(rows) == 4 * len(dates)
    first = [row["reason"] for row in rows if row["date"] == dates[0]]
    assert set(first) <= {"too short a history", "no month-end price"}
    last = {row["ticker"]: row["reason"] for row in rows if row["date"] == dates[-1]}
    assert sorted(last.values()) == ["member"] * 3 + ["not among the largest"]
    assert all(row["is_member"] == (row["reason"] == "member") for row in rows)


def test_only_members_have_a_signal_and_are_held(own: Project) -> None:
    members = {
        (row["date"], row["ticker"]) for row in rows_of(own, "memberships") if row["is_member"]
    }
    signals = rows_of(own, "factor_signals")
    assert {(r["date"], r["ticker"]) for r in signals if r["signal"] is not None} <= members
    assert {(r["date"], r["ticker"]) for r in rows_of(own, "scores")} <= members
    held = {(row["date"], row["ticker"]) for row in rows_of(own, "weights") if row["weight"]}
    assert held
    assert held <= members


def test_the_factor_is_the_panel_as_it_was_available(own: Project) -> None:
    raw = {(r["date"], r["ticker"]): r["raw"] for r in rows_of(own, "factor_signals")}
    # The first quarter of 2012 was known on 10 May: GLD is the first ticker, SPY the third.
    assert raw[dt.date(2012, 4, 30), "SPY"] == (2 * 7 + 12) % 5
    assert raw[dt.date(2012, 5, 31), "SPY"] == (2 * 7 + 3) % 5
    assert raw[dt.date(2012, 5, 31), "GLD"] == 3


def test_verify_and_the_proof_agree(own: Project) -> None:
    done = [r for r in own.store.experiments().to_pylist() if r["status"] == "done"]
    found = verify(own.store, done[-1]["experiment_id"])
    assert found.identical, found.told
    assert "memberships" in found.told


def test_the_asset_shows_how_many_and_why_the_others_are_none(own: Project) -> None:
    result = own.cell("smallest", asset_selection=[dg.AssetKey("memberships")])
    assert failure(result) == ""
    key = f"{MONTH}|smallest"
    assert evaluations(result)["memberships", "schema", None if alone(result) else key]
    shown = materializations(result, "memberships")[key]
    assert shown["members"] == "3 of 4"
    assert "- member: 3" in shown["reasons"]
    assert "- not among the largest: 1" in shown["reasons"]
    dates = sorted({row["date"] for row in rows_of(own, "memberships")})
    assert shown["empty"].startswith(f"{dates[0]} to ")
    assert "█" in shown["over_time"]
    assert "SYNTHETIC" in shown["over_time"]


def alone(result: dg.ExecuteInProcessResult) -> bool:
    """Whether the run's own check results carry no partition."""
    return ("memberships", "schema", None) in evaluations(result)


def test_a_universe_that_is_always_empty_is_refused_with_its_filters(own: Project) -> None:
    result = own.cell("nobody")
    said = failure(result)
    assert "the universe is empty at every month-end" in said
    assert "× price too low" in said
    assert "min_price: 1e+09, top_dollar_volume: 3" in said


def test_a_panel_that_the_version_lacks_is_named_with_those_it_has(own: Project) -> None:
    said = failure(own.cell("unknown"))
    assert "no panel of that name" in said
    assert "Got: sizes" in said
    assert "one of size" in said
    assert "--characteristics" in said


def test_other_values_are_another_version(own: Project, tmp_path: Path) -> None:
    settings = own.settings.model_copy(update={"data_dir": tmp_path / "data"})
    other = Project(settings, own.instance)
    same, changed = write_panel(tmp_path / "a"), write_panel(tmp_path / "b", later=1.0)
    ids = []
    for panels in (same, changed, same, None):
        config = {"characteristics": str(panels)} if panels else {}
        prices = [dg.AssetKey("raw_prices")]
        result = other._execute(
            "market",
            partition_key=MONTH,
            run_config={"ops": {"raw_prices": {"config": config}}},
            asset_selection=prices,
        )
        assert failure(result) == ""
        version = other.store.current_version(MONTH)
        assert version is not None
        ids.append(version.data_version_id)
    mine = own.store.current_version(MONTH)
    assert mine is not None
    assert ids[0] == ids[2] == mine.data_version_id
    assert len(set(ids)) == 3


def told(project: Project, monkeypatch: pytest.MonkeyPatch, *said: str, **more: str) -> str:
    printed = io.StringIO()
    console = Console(file=printed, width=100, highlight=False)
    monkeypatch.setattr(cli_universe, "out", console)
    monkeypatch.setattr(cli_tables, "out", console)
    monkeypatch.setattr(cli_universe, "settings_of", lambda demo: project.settings)
    universe(*said, **more)
    return printed.getvalue()


def test_the_command_prints_members_and_reasons(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = told(own, monkeypatch, "smallest")
    assert "smallest at 2012-06-29: 3 of 4 tickers may be held" in said
    assert "not among the largest  1\n" in said
    assert "nobody may be held on" in said
    earlier = told(own, monkeypatch, "smallest", MONTH, date="2011-03-30")
    assert "at 2011-02-28" in earlier
    with pytest.raises(FactorLabError, match=r"no month-end.*1900-01-01.*a day from"):
        told(own, monkeypatch, "smallest", date="1900-01-01")
    with pytest.raises(FactorLabError, match=r"factorlab run --month 2012-06 --strategy nobody"):
        told(own, monkeypatch, "nobody")
