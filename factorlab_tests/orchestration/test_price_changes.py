"""What changes when rules, a second source or the archive do: prices anew, and nothing unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest

from factorlab_assets import ingest, prices, restatement, schemas
from factorlab_assets.assets import automation
from factorlab_assets.core import known_at
from factorlab_assets.errors import FactorLabError
from factorlab_assets.verify import verify
from factorlab_tests.orchestration import two_vendors as vendors
from factorlab_tests.orchestration.conftest import (
    Project,
    evaluations,
    failure,
    materializations,
)
from factorlab_tests.orchestration.test_automation import sensor
from factorlab_tests.orchestration.test_cli import Command
from factorlab_tests.orchestration.two_vendors import (
    LAST_GOOD,
    MONTH,
    SPIKE,
    SPIKE_TIMES,
    current_inputs,
    rows,
    traded,
)

CELL = f"{MONTH}|totals"
KEEP, DROP = "actions: {spike: keep}\n", "actions: {spike: drop}\n"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Vendor one's prices, and a strategy computed on them. Tests change copies of it."""
    with vendors.world(tmp_path_factory.mktemp("vendors")) as project:
        vendors.ingest_one(project)
        assert failure(project.cell("totals", MONTH)) == ""
        yield project


@pytest.fixture(scope="module")
def second_came(alone: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after vendor two's prices have come; the strategy is not computed anew yet."""
    project = vendors.copied(alone, tmp_path_factory.mktemp("second"))
    vendors.ingest_two(project)
    return project


@pytest.fixture(scope="module")
def both(second_came: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after the strategy was computed anew: experiments without a second, and with it."""
    project = vendors.copied(second_came, tmp_path_factory.mktemp("both"))
    assert failure(project.cell("totals", MONTH)) == ""
    return project


def contents(project: Project) -> dict[str, str]:
    """Month table -> content hash."""
    tables = [table for table in schemas.TABLES.values() if table.partition == "month"]
    return {t.name: r.content_hash for t in tables for r in project.store.partitions(t)}


def experiments(project: Project) -> list[str]:
    """The ids of finished experiments, in order."""
    found = project.store.experiments().to_pylist()
    return [row["experiment_id"] for row in found if row["status"] == "done"]


def assert_reproduced(project: Project, *experiment_ids: str) -> None:
    for experiment_id in experiment_ids:
        found = verify(project.store, experiment_id)
        assert found.identical, found.told


def cli(project: Project) -> Command:
    """`factorlab` in the project."""
    said = project.settings
    env = {
        "DAGSTER_HOME": str(said.dagster_home),
        "FACTORLAB_ROOT": str(said.root),
        "FACTORLAB_DATA_DIR": str(said.data_dir),
        "FACTORLAB_DATABASE": str(said.database),
        "FACTORLAB_STRATEGIES_DIR": str(said.strategies_dir),
        "FACTORLAB_UNIVERSES_FILE": str(said.universes_file),
        "FACTORLAB_PRICE_RULES_FILE": str(said.price_rules_file),
    }
    return Command(said.root, env)


def adjusted_anew(project: Project) -> dg.ExecuteInProcessResult:
    """Suspects and adjusted prices, and what those need, judged and computed again."""
    wanted = ("suspect_prices", "distribution_status", "price_basis", "adjusted_prices")
    keys = [dg.AssetKey(name) for name in wanted]
    return project._execute("prices", partition_key=MONTH, asset_selection=keys)


def ingest_beside(project: Project, source: str, folder: str, **said: bool) -> Sequence[str]:
    """Store a second version, and compute nothing of it; the notes of that."""
    path = project.settings.root / folder
    settings = project.settings.model_copy(update={"source": source, "source_path": path})
    return ingest.ingest(project.store, settings, MONTH, second=True, **said).notes


def requests(project: Project) -> list[Any]:
    answers, _ = sensor(project, automation.changed_data)
    return [answer for answer in answers if isinstance(answer, dg.RunRequest)]


# Rules


def test_another_rule_changes_the_prices_and_what_rests_on_them_alone(
    alone: Project, tmp_path: Path
) -> None:
    project = vendors.copied(alone, tmp_path)
    before = current_inputs(project)
    project.settings.price_rules_path.write_text(KEEP)
    after = current_inputs(project)
    assert (after.version, after.second) == (before.version, before.second)
    assert after.fingerprint != before.fingerprint
    assert not prices.are_ready(project.store, project.settings, MONTH)
    done = cli(project)("run", "--month", MONTH, "--strategy", "totals")
    assert done.returncode == 0, done.stderr
    assert f"prices {MONTH}" in done.stdout
    old, new = contents(alone), contents(project)
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {"suspect_prices", "adjusted_prices", "monthly_returns"}
    (kept,), (dropped,) = rows(project, "suspect_prices"), rows(alone, "suspect_prices")
    ruled = ("action", "new_close", "reason")
    assert {name for name in kept if kept[name] != dropped[name]} == set(ruled)
    assert (kept["action"], kept["new_close"]) == ("keep", kept["old_close"])
    assert prices.are_ready(project.store, project.settings, MONTH)
    first, second = experiments(project)
    assert first != second
    project.settings.price_rules_path.unlink()
    assert_reproduced(project, first, second)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("actions: [spike\n", "prices.yaml|rules.yaml"),
        ("actions: {spikes: drop}\n", "no kind 'spikes'"),
        ("actions: {missing: drop}\n", "there is no bar to drop"),
        ("actions: {stale: replace}\n", "a run of bars can be kept or dropped"),
    ],
)
def test_a_rule_file_that_cannot_be_used_is_one_paragraph(
    alone: Project, tmp_path: Path, text: str, said: str
) -> None:
    project = vendors.copied(alone, tmp_path)
    project.settings.price_rules_path.write_text(text)
    told = cli(project).refused("run", "--month", MONTH, "--strategy", "totals")
    assert str(project.settings.price_rules_path) in told
    assert any(one in told for one in said.split("|"))
    with pytest.raises(FactorLabError, match=r"rules\.yaml"):
        current_inputs(project)


def test_a_strategy_that_is_refused_for_its_bases_is_told_what_to_do(
    alone: Project, tmp_path: Path
) -> None:
    project = vendors.copied(alone, tmp_path)
    project.settings.price_rules_path.write_text("mixed_basis: block\n")
    told = cli(project).refused("run", "--month", MONTH, "--strategy", "totals_unlisted")
    assert "one_basis. What to do: ingest with --distributions" in " ".join(told.split())
    assert "dagster._core" not in told


def test_a_run_with_such_a_rule_file_says_so_and_leaves_what_is_there(
    alone: Project, tmp_path: Path
) -> None:
    project = vendors.copied(alone, tmp_path)
    project.settings.price_rules_path.write_text("actions: {spike: mend}\n")
    for result in (adjusted_anew(project), project.cell("totals", MONTH)):
        assert not result.success
        assert "actions.spike" in failure(result)
    assert contents(project) == contents(alone)
    assert experiments(project) == experiments(alone)


# A finding that is told too early


def test_a_leak_fails_the_check_and_blocks_research_until_it_is_mended(
    alone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = vendors.copied(alone, tmp_path)
    project.settings.price_rules_path.write_text(DROP)
    honest = known_at.find_suspects

    def too_early(*said: Any, **options: Any) -> Any:
        found = honest(*said, **options)
        at = found.schema.get_field_index("known_at")
        return found.set_column(at, "known_at", found["date"])

    monkeypatch.setattr(known_at, "find_suspects", too_early)
    result = adjusted_anew(project)
    assert evaluations(result)["adjusted_prices", "known_at", MONTH] is False
    (verdict,) = [
        v for v in project.store.verdicts(schemas.ADJUSTED_PRICES, MONTH) if v.check == "known_at"
    ]
    assert not verdict.passed
    assert {(r["table"], r["ticker"], r["cut"]) for r in verdict.detail["first"]} == {
        ("suspect_prices", "INC", str(SPIKE)),
        ("adjusted_prices", "INC", str(SPIKE)),
    }
    assert "known_at" in project.store.refusals(schemas.ADJUSTED_PRICES, [MONTH])[MONTH]
    refused = project.cell("totals", MONTH)
    assert not refused.success
    assert "monthly_returns" in failure(refused)
    assert experiments(project) == experiments(alone)

    monkeypatch.undo()
    assert failure(adjusted_anew(project)) == ""
    mended = contents(project)
    assert mended["adjusted_prices"] == contents(alone)["adjusted_prices"], "the same prices"
    assert "known_at" not in str(project.store.refusals(schemas.ADJUSTED_PRICES, [MONTH]))


# A second source that comes later


def test_with_a_second_source_the_same_bars_make_other_prices(
    alone: Project, second_came: Project
) -> None:
    one, two = current_inputs(alone), current_inputs(second_came)
    assert one.version == two.version
    assert two.second is not None
    assert json.loads(two.record)["second"] == two.second.data_version_id
    assert one.fingerprint != two.fingerprint
    assert set(vendors.fingerprints(second_came).values()) == {two.fingerprint}


def test_a_bad_close_is_replaced_by_the_second_source_as_soon_as_that_is_known(
    second_came: Project,
) -> None:
    (row,) = rows(second_came, "monthly_returns", ticker="INC", date=SPIKE)
    assert row["price"] == pytest.approx(traded("INC", SPIKE), rel=1e-12)
    assert row["seen"] == pytest.approx(traded("INC", SPIKE) * SPIKE_TIMES, abs=0.006)
    (bar,) = rows(second_came, "adjusted_prices", ticker="INC", date=SPIKE)
    assert (bar["open"], bar["close"], bar["seen"]) == (None, row["price"], row["seen"])


def test_reconciliation_names_the_second_version_and_who_is_odd(second_came: Project) -> None:
    (row,) = rows(second_came, "reconciliation")
    assert (row["ticker"], row["date"], row["odd"]) == ("INC", SPIKE, "here")
    second = current_inputs(second_came).second
    assert second is not None
    assert row["second_version_id"] == second.data_version_id
    difference = traded("INC", SPIKE) * (SPIKE_TIMES - 1) / traded("INC", LAST_GOOD)
    assert row["difference"] == pytest.approx(difference, rel=1e-3)


def test_a_second_source_makes_cells_outdated_once_prices_are_adjusted(
    alone: Project, second_came: Project, both: Project, tmp_path: Path
) -> None:
    project = vendors.copied(alone, tmp_path)
    assert automation.outdated_cells(project.store, project.settings) == {}
    assert prices.are_ready(project.store, project.settings, MONTH)
    ingest_beside(project, "alphavantage", "two")
    assert not prices.are_ready(project.store, project.settings, MONTH)
    assert requests(project) == [], "not while the prices are the old ones"
    named = current_inputs(second_came).fingerprint
    outdated = automation.outdated_cells(second_came.store, second_came.settings)
    assert outdated == {CELL: named}
    (request,), (again,) = requests(second_came), requests(second_came)
    assert request.partition_key == CELL
    assert request.run_key == again.run_key, "asked for once"
    assert automation.outdated_cells(both.store, both.settings) == {}


def test_a_second_source_may_end_before_the_month_does(alone: Project, tmp_path: Path) -> None:
    """An older archive: a bar after its end has no second close, and is dropped as without one."""
    project = vendors.copied(alone, tmp_path)
    vendors.vendor_two(project.settings.root / "older", through=vendors.LAST_GOOD)
    (note,) = ingest_beside(project, "alphavantage", "older")
    assert str(LAST_GOOD) in note
    assert failure(adjusted_anew(project)) == ""
    (finding,) = rows(project, "suspect_prices")
    assert (finding["action"], finding["new_close"]) == ("replace", None)
    assert contents(project)["adjusted_prices"] == contents(alone)["adjusted_prices"]


def test_the_same_prices_wanted_again_after_others_are_asked_for_again(
    alone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = vendors.copied(alone, tmp_path)
    monkeypatch.setattr(automation, "outdated_cells", lambda *_: {CELL: "the first prices"})
    (before,) = requests(project)
    anew = project.cell("totals", MONTH, asset_selection=[dg.AssetKey("metrics")])
    assert failure(anew) == ""
    (after,) = requests(project)
    assert before.run_key != after.run_key


# Reproducing, pruning


def test_experiments_are_reproduced_from_their_own_second_source_and_rules(
    both: Project, tmp_path: Path
) -> None:
    project = vendors.copied(both, tmp_path)
    project.settings.price_rules_path.write_text(KEEP)
    without, with_second = experiments(project)
    assert without != with_second
    assert_reproduced(project, without, with_second)


def test_prune_spares_second_versions_that_experiments_name(
    second_came: Project, both: Project, tmp_path: Path
) -> None:
    old = current_inputs(both).second
    assert old is not None
    for name, source, spared in (("named", both, True), ("unnamed", second_came, False)):
        (tmp_path / name).mkdir()
        project = vendors.copied(source, tmp_path / name)
        vendors.restated(project)
        ingest_beside(project, "stooq-files", "restated", replace_source=True)
        assert current_inputs(project).second != old
        assert project.store.prune(dry_run=False) == ([] if spared else [old.data_version_id])
        if spared:
            assert_reproduced(project, experiments(project)[-1])


# A month ingested again


def test_a_month_ingested_again_tells_what_changed_and_what_rests_on_it(
    both: Project, tmp_path: Path
) -> None:
    """Vendor one has put all that BIG ever paid into its closes, which vendor two tells: no total
    return moves."""
    project = vendors.copied(both, tmp_path)
    vendors.restated(project)
    earlier = current_inputs(project).version
    result = vendors.ingest_one(project, folder="restated")
    later = current_inputs(project).version
    assert later != earlier
    changed = rows(project, "revisions")
    assert {(row["ticker"], row["kind"]) for row in changed} == {("BIG", "distribution")}
    assert {row["earlier_version_id"] for row in changed} == {earlier.data_version_id}
    shown = materializations(result, "revisions")[MONTH]
    assert shown["strategies_that_rest_on_it"] == "totals"
    assert shown["compared_with"] == earlier.data_version_id
    told = rows(project, "distribution_status", ticker="BIG")
    assert {row["status"] for row in told} == {"carried"}
    (basis,) = rows(project, "price_basis", ticker="BIG")
    assert (basis["basis"], basis["is_total_return_known"]) == ("adjusted", True)
    for column, tolerance in (("total_ret", 2e-5), ("ret", None)):
        then, now = (
            np.array([row[column] for row in rows(one, "monthly_returns", ticker="BIG")][1:])
            for one in (both, project)
        )
        if tolerance:
            np.testing.assert_allclose(now, then, rtol=0, atol=tolerance)
        else:
            assert (now - then).max() > 0.003, "while its price returns are others"
    (effect,) = restatement.effects(project.store, earlier, later)
    assert (effect.strategy, effect.failed) == ("totals", "")
    metrics = both.store.load(schemas.METRICS, [CELL])
    full = metrics.filter(pc.equal(metrics["segment"], "full"))
    assert effect.before["cagr"] == full["cagr"][0].as_py()
    restated, new_months = effect.changes("cagr")
    assert restated == pytest.approx(0, abs=1e-4)
    assert new_months == 0
