"""The market stage: ingest, quality, monthly returns, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from factorlab_assets import schemas
from factorlab_assets.prices import Inputs
from factorlab_tests.orchestration.conftest import (
    MONTH,
    Project,
    evaluations,
    failure,
    materializations,
)


def test_one_run_stores_a_version_and_shows_it(ingested: Project) -> None:
    version = ingested.store.current_version(MONTH)
    assert version is not None
    assert version.data_version_id.startswith(f"{MONTH}-")
    assert version.price_basis == "synthetic"
    assert not version.is_backfilled
    assert version.n_tickers == 13
    fingerprints = {
        table.name: ingested.store.partitions(table)[0].fingerprint
        for table in (schemas.PRICE_QUALITY, schemas.ADJUSTED_PRICES, schemas.MONTHLY_RETURNS)
    }
    inputs = Inputs.current(ingested.store, ingested.settings, MONTH)
    assert inputs is not None
    assert set(fingerprints.values()) == {inputs.fingerprint}
    assert inputs.fingerprint.startswith(f"{version.data_version_id}.")


def test_metadata_name_version_span_rows_and_that_it_is_invented(project: Project) -> None:
    result = project.market()
    assert failure(result) == ""
    shown = materializations(result, "raw_prices")[MONTH]
    assert shown["dagster/row_count"] > 10_000
    assert shown["data_version"].startswith(MONTH)
    assert shown["date_range"].endswith("2012-06-29")
    assert "SYNTHETIC" in shown
    assert "|ticker|" in shown["preview"]
    assert "data:image/svg+xml" in materializations(result, "price_quality")[MONTH]["spans"]
    assert all(evaluations(result).values())
    assert ("raw_prices", "freshness", MONTH) in evaluations(result)


def test_strategy_files_become_partitions(ingested: Project) -> None:
    files = {path.stem for path in ingested.settings.strategies_path.glob("*.yaml")}
    assert set(ingested.instance.get_dynamic_partitions("strategy")) == files


def test_the_same_content_makes_no_new_version(project: Project) -> None:
    assert failure(project.market()) == ""
    before = project.store.versions()
    assert failure(project.market()) == ""
    assert project.store.versions() == before


def test_invented_and_real_prices_do_not_mix_unless_told(project: Project, tmp_path: Path) -> None:
    assert failure(project.market()) == ""
    before = project.store.current_version(MONTH)
    (tmp_path / "files").mkdir()
    for ticker in ("spy", "ief"):
        (tmp_path / "files" / f"{ticker}_us_d.csv").write_text(
            "Date,Open,High,Low,Close,Volume\n2012-06-28,10,11,9,10,5\n2012-06-29,10,11,9,10.5,5\n"
        )
    project.settings.universes_path.write_text("two: {tickers: {SPY: Equity, IEF: Rates}}\n")
    said = {"source": "stooq-files", "path": str(tmp_path / "files"), "universe": "two"}
    refused = project.market(**said)
    assert not refused.success
    assert "came from another source" in failure(refused)
    assert project.store.current_version(MONTH) == before
    assert failure(project.market(**said, replace_source=True)) == ""
    current = project.store.current_version(MONTH)
    assert current is not None
    assert current.price_basis == "close"


def test_a_source_that_ends_early_fails_and_stores_nothing(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "old.csv").write_text(
        "Date,Open,High,Low,Close,Volume\n2012-06-27,10,11,9,10,5\n2012-06-28,10,11,9,10.5,5\n"
    )
    project.settings.universes_path.write_text("one: {tickers: {OLD: Equity}}\n")
    path = str(tmp_path / "old.csv")
    result = project.market(source="stooq-files", path=path, universe="one")
    assert not result.success
    assert "freshness" in failure(result)
    assert "2012-06-29" in failure(result)
    assert project.store.versions() == []


def test_a_second_source_is_reported_and_changes_no_returns(
    project: Project, tmp_path: Path
) -> None:
    assert failure(project.market()) == ""
    before = project.store.load(schemas.MONTHLY_RETURNS, [MONTH])
    (tmp_path / "spy.csv").write_text("Date,Open,High,Low,Close\n2012-06-29,10,11,9,10.5\n")
    project.settings.universes_path.write_text("one: {tickers: {SPY: Equity}}\n")
    said = {"source": "stooq-files", "path": str(tmp_path / "spy.csv"), "universe": "one"}
    result = project.market(**said, second=True)
    assert failure(result) == ""
    second = project.store.second_version(MONTH)
    assert second is not None
    shown = materializations(result, "raw_prices")[MONTH]
    assert (shown["role"], shown["data_version"]) == ("second", second.data_version_id)
    assert shown["dagster/row_count"] == 1
    assert project.store.load(schemas.MONTHLY_RETURNS, [MONTH]) == before


def test_distributions_make_total_returns(project: Project, tmp_path: Path) -> None:
    (tmp_path / "paid.csv").write_text(
        "Date,Open,High,Low,Close,Volume\n2012-05-31,10,10,10,10,5\n2012-06-29,10,11,9,10.5,5\n"
    )
    (tmp_path / "d.csv").write_text(
        "ticker,ex_date,amount\nPAID,2012-05-31,0\nPAID,2012-06-29,0.5\n"
    )
    project.settings.universes_path.write_text("one: {tickers: {PAID: Equity}}\n")
    result = project.market(
        source="stooq-files",
        path=str(tmp_path / "paid.csv"),
        distributions=str(tmp_path / "d.csv"),
        universe="one",
    )
    assert failure(result) == ""
    rows = project.store.load(schemas.MONTHLY_RETURNS, [MONTH]).to_pylist()
    assert rows[-1]["total_ret"] == pytest.approx((10.5 + 0.5) / 10 - 1, abs=1e-15)
    version = project.store.current_version(MONTH)
    assert version is not None
    assert version.price_basis == "total_return"
