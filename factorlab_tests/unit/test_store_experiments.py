"""The ledgers of experiments and of what they earned.

Invariants: rows are only appended, seq counts them; an attempt ends once; returns come with the
done row or not at all, once per experiment.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from factorlab_assets import lock, schemas, store_experiments, store_versions
from factorlab_assets.errors import RefusedError
from factorlab_assets.schemas import SCORES
from factorlab_assets.store import Store
from factorlab_tests.architecture.repository import package_modules
from factorlab_tests.store_samples import cell_key, changed, experiment, returns, scores


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", lock_timeout_s=0.5)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """A process that still runs, by which attempts are begun for as long as the test says so."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(store_experiments, "this_process", lambda: lock._name(child.pid))
    return child


def statuses(store: Store) -> list[tuple[str, int, str]]:
    rows = store.experiments().to_pylist()
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    return [(row["experiment_id"], row["attempt"], row["status"]) for row in rows]


def test_an_attempt_has_a_row_before_and_after(store: Store) -> None:
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    assert statuses(store) == [("e", 1, "started"), ("f", 1, "started")]
    store.end_attempts([("e", "done", "{}"), ("f", "failed", "why")], "run")
    assert statuses(store)[2:] == [("e", 1, "done"), ("f", 1, "failed")]
    last = store.experiments("f").to_pylist()[-1]
    assert (last["detail"], last["run_id"], last["config_hash"]) == ("why", "run", "c")


def test_a_run_that_goes_on_starts_no_second_attempt_and_the_next_run_does(store: Store) -> None:
    for _ in range(2):
        store.begin_attempts([experiment("e"), experiment("e")], "run")
    assert statuses(store) == [("e", 1, "started")]
    store.begin_attempts([experiment("e")], "another")
    store.end_attempts([("e", "done", "")], "run")
    store.end_attempts([("e", "failed", "")], "another")
    store.begin_attempts([experiment("e")], "run")
    assert statuses(store)[1:] == [
        ("e", 2, "started"),
        ("e", 1, "done"),
        ("e", 2, "failed"),
        ("e", 3, "started"),
    ]


def test_an_attempt_whose_process_died_is_recorded_as_failed(
    store: Store, passing: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.begin_attempts([experiment("e")], "run")
    monkeypatch.undo()
    store.begin_attempts([experiment("other")], "later")
    assert [s for s in statuses(store) if s[0] == "e"] == [("e", 1, "started")]
    passing.communicate()
    store.begin_attempts([], "later still")
    assert statuses(store)[-1] == ("e", 1, "failed")
    assert "is gone" in store.experiments("e").to_pylist()[-1]["detail"]
    store.begin_attempts([], "later still")
    assert len(statuses(store)) == 3


def test_whoever_looks_records_what_died(
    store: Store, passing: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.queue_attempts([experiment("queued")])
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    monkeypatch.undo()
    store.begin_attempts([experiment("alive")], "another")
    assert store.settle_attempts() == 0
    passing.communicate()
    assert store.settle_attempts() == 2
    assert statuses(store)[4:] == [("e", 1, "failed"), ("f", 1, "failed")]
    assert store.experiments("e")["run_id"].to_pylist() == ["run", "run"]
    assert store.settle_attempts() == 0
    assert len(statuses(store)) == 6


@pytest.mark.parametrize("run", ["another run", "run"])
def test_only_what_was_begun_can_end(store: Store, run: str) -> None:
    store.begin_attempts([experiment("e")], "run")
    store.end_attempts([("e", "done", "")], "run")
    with pytest.raises(RefusedError, match="no attempt of that experiment is under way"):
        store.end_attempts([("e", "done", "")], run)
    assert len(statuses(store)) == 2


def test_a_ledger_takes_no_row_that_breaks_its_schema(store: Store) -> None:
    with pytest.raises(RefusedError, match="data_version_id like"):
        store.begin_attempts([experiment("e", version="no version")], "run")
    store.begin_attempts([experiment("e")], "run")
    with pytest.raises(RefusedError, match="status in queued, started, done, failed"):
        store.end_attempts([("e", "perhaps", "")], "run")
    assert statuses(store) == [("e", 1, "started")]


# Queued


def test_a_queued_attempt_is_the_one_that_starts(store: Store) -> None:
    store.queue_attempts([experiment("e"), experiment("f")])
    store.queue_attempts([experiment("f"), experiment("f")])
    assert statuses(store) == [("e", 1, "queued"), ("f", 1, "queued")]
    assert [(r["run_id"], r["holder"]) for r in store.experiments("e").to_pylist()] == [("", "")]
    store.begin_attempts([experiment("e")], "run")
    store.end_attempts([("e", "done", "{}")], "run")
    assert statuses(store)[2:] == [("e", 1, "started"), ("e", 1, "done")]
    store.queue_attempts([experiment("e")])
    assert statuses(store)[4:] == [("e", 2, "queued")]
    store.begin_attempts([experiment("e")], "run")
    assert statuses(store)[5:] == [("e", 2, "started")]


def test_what_can_no_longer_run_as_queued_ends_as_failed(store: Store) -> None:
    store.queue_attempts([experiment("e"), experiment("f")])
    store.begin_attempts([experiment("f")], "run")
    assert store.end_queued([("e", "its file is gone"), ("f", "no"), ("g", "no")]) == 1
    assert statuses(store)[3:] == [("e", 1, "failed")]
    last = store.experiments("e").to_pylist()[-1]
    assert (last["detail"], last["run_id"]) == ("its file is gone", "")
    assert store.end_queued([("e", "again")]) == 0
    store.queue_attempts([experiment("e")])
    assert statuses(store)[4:] == [("e", 2, "queued")]


# What they earned


def test_returns_are_kept_with_the_done_row_and_once(store: Store) -> None:
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    both = [("e", "done", "{}"), ("f", "failed", "why")]
    with pytest.raises(RefusedError, match=r"does not end as done.*trial_returns.*f\b"):
        store.end_attempts(both, "run", returns("e", "f"))
    assert statuses(store) == [("e", 1, "started"), ("f", 1, "started")]
    store.end_attempts(both, "run", returns("e"))
    assert store.trial_returns(["f", "e"]) == returns("e")
    store.begin_attempts([experiment("e"), experiment("f")], "again")
    both = [(id_, "done", "{}") for id_ in "ef"]
    store.end_attempts(both, "again", returns("f", "e", net=0.5))
    assert store.trial_returns(["e", "f"])["net_return"].to_pylist() == [0.01, 0.01, 0.5, 0.5]
    assert store.trial_returns([]).num_rows == 0


def test_returns_that_break_their_schema_leave_the_attempt_under_way(store: Store) -> None:
    store.begin_attempts([experiment("e")], "run")
    bad = changed(returns("e"), 1, cost=-0.1)
    with pytest.raises(RefusedError, match=r"cost >= 0.*trial_returns"):
        store.end_attempts([("e", "done", "{}")], "run", bad)
    assert statuses(store) == [("e", 1, "started")]
    assert store.trial_returns(["e"]).num_rows == 0


def test_two_names_of_one_experiment_end_it_once(store: Store) -> None:
    store.begin_attempts([experiment("e"), experiment("e", strategy="copy")], "run")
    store.end_attempts([("e", "failed", "why"), ("e", "done", "{}")], "run", returns("e"))
    assert statuses(store) == [("e", 1, "started"), ("e", 1, "done")]


def test_the_hash_of_returns_is_of_their_content_alone(store: Store) -> None:
    said = store.returns_hashes(returns("e", "f"))
    assert list(said) == ["e", "f"]
    assert said["e"] == said["f"] == store.returns_hashes(returns("e").take([1, 0]))["e"]
    assert store.returns_hashes(changed(returns("e"), 1, rf=1e-18))["e"] != said["e"]
    assert said["e"] == "95b036b65c604027"


# Trials


def test_every_experiment_is_a_trial_once_with_the_best_that_became_of_it(store: Store) -> None:
    named = {"done": "c1", "failed": "c1", "started": "c2", "queued": "c3"}
    trials = {
        id_: experiment(id_, strategy=f"s-{id_}", config_hash=config, config=f"{{{config}}}")
        for id_, config in named.items()
    }
    store.begin_attempts([trials["done"], trials["failed"]], "run")
    store.end_attempts([("done", "done", "{}"), ("failed", "failed", "why")], "run")
    store.begin_attempts([trials["done"]], "again")
    store.end_attempts([("done", "failed", "why")], "again")
    store.begin_attempts([experiment("failed", strategy="other", config_hash="c1")], "again")
    store.begin_attempts([trials["started"]], "run")
    store.queue_attempts([trials["queued"]])
    rows = store.trials().to_pylist()
    assert [(r["experiment_id"], r["status"]) for r in rows] == [(s, s) for s in named]
    assert [r["strategy"] for r in rows] == ["s-done", "other", "s-started", "s-queued"]
    assert [r["seq"] for r in rows] == [6, 7, 8, 9]
    configs = [{"config_hash": c, "config": f"{{{c}}}"} for c in ("c1", "c2", "c3")]
    assert store.configs().to_pylist() == configs


def test_a_combination_names_its_sweep(store: Store) -> None:
    store.begin_attempts([experiment("e", strategy="grid.k-1", sweep="grid")], "run")
    (row,) = store.trials().to_pylist()
    assert (row["strategy"], row["sweep"]) == ("grid.k-1", "grid")


def test_a_listing_reads_the_columns_that_it_shows(store: Store) -> None:
    store.begin_attempts([experiment("e"), experiment("f")], "run")
    assert store.experiments(columns=["status", "experiment_id"]).to_pylist() == [
        {"status": "started", "experiment_id": "e"},
        {"status": "started", "experiment_id": "f"},
    ]
    assert store.experiments().column_names == list(schemas.EXPERIMENTS.columns)
    with pytest.raises(RefusedError, match=r"no such column.*nothing"):
        store.experiments(columns=["nothing"])


# Nothing is edited or deleted

LEDGERS = ("experiments", "trial_returns", "data_versions")
CHANGES = re.compile(
    r"\b(DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|DROP\s+TABLE(?:\s+IF\s+EXISTS)?|INSERT\s+OR\s+REPLACE"
    r"\s+INTO|REPLACE\s+TABLE|UPDATE|MERGE\s+INTO)\s+(\{[\w.]+\}|\w+)"
)


def changed_tables() -> set[tuple[str, str]]:
    """(module, table) of every statement of the package that takes rows away or edits them; a table
    in braces is a variable's."""
    found = set()
    for module, tree in package_modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str)
            ):
                said = ast.unparse(node)
                found |= {(module.rpartition("/")[2], table) for _, table in CHANGES.findall(said)}
    return found


def test_no_statement_takes_rows_from_a_ledger_or_edits_them() -> None:
    found = changed_tables()
    assert found >= {
        ("store_partitions.py", "{table.name}"),
        ("store_versions.py", "{table.name}"),
        ("store_format.py", "meta"),
    }, "the search no longer sees what is there"
    assert not {table for _, table in found} & set(LEDGERS)
    variable = {(module, table) for module, table in found if table.startswith("{")}
    # Which tables those are is in the two tests below; `core` makes and drops its own, unstored.
    assert {module for module, _ in variable} == {
        "store_partitions.py",
        "store_versions.py",
        "known_at.py",
        "histories.py",
    }


def test_a_ledger_has_no_partition_to_replace_and_prune_takes_data_versions_alone(
    store: Store,
) -> None:
    for name in LEDGERS:
        with pytest.raises(RefusedError, match="no partitions to replace"):
            store.write_partitions(schemas.TABLES[name], returns("e"), {"2024-05": "one"})
    assert not {table.name for table in store_versions.TABLES} & set(LEDGERS)


def test_records_are_put_in_place_of_others_in_two_tables_alone() -> None:
    put = {
        ast.unparse(node.args[1])
        for node in ast.walk(package_modules()["factorlab_assets/store_partitions.py"])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_put"
    }
    assert put == {"schemas.PARTITIONS", "schemas.VERDICTS"}


def test_writing_cells_leaves_the_ledgers_alone(store: Store) -> None:
    store.begin_attempts([experiment("e")], "run")
    store.end_attempts([("e", "done", "{}")], "run", returns("e"))
    before = store.experiments(), store.trial_returns(["e"])
    for value in (1.0, 2.0):
        store.write_partitions(SCORES, scores("a", value=value), {cell_key("a"): str(value)})
    store.prune(dry_run=False)
    store.compact()
    assert (store.experiments(), store.trial_returns(["e"])) == before
