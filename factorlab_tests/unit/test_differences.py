"""What made two experiments differ: parts that sum exactly, and what cannot be told.

Invariants: after − before = data + configuration + code (+ undivided), for every metric; the other
way round every part has the other sign.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factorlab_assets import identity
from factorlab_assets.core.performance import metrics
from factorlab_assets.differences import METRICS, Change, Difference, diff, figures
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store
from factorlab_assets.verify import earned
from factorlab_tests.kept_experiments import (
    behind_its_back,
    inputs_of,
    keep_cell,
    keep_combination,
    momentum,
)
from factorlab_tests.store_samples import returns

EXACT = 1e-12
Kept = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A database of experiments on two versions and two months, and their ids by name."""
    store = Store(tmp_path_factory.mktemp("kept") / "x.duckdb")
    april, may, better = (
        inputs_of(store, "2024-04"),
        inputs_of(store),
        inputs_of(store, up=0.001),
    )
    ids = {
        "one": keep_cell(store, may, momentum()),
        "new data": keep_cell(store, better, momentum("other_name")),
        "new configuration": keep_cell(store, may, momentum(top_k=1)),
        "both": keep_combination(store, better, momentum("sweep.top_k-1", top_k=1)),
        "older code": keep_cell(store, april, momentum(costs={"tc_bps": 30.0}), code="older"),
    }
    assert len(set(ids.values())) == len(ids)
    return store.path, ids


@pytest.fixture
def ids(kept: Kept) -> dict[str, str]:
    return kept[1]


@pytest.fixture
def store(kept: Kept, tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copy(kept[0], tmp_path / "x.duckdb"), lock_timeout_s=5)


def parts(change: Change) -> list[float | None]:
    return [change.data, change.configuration, change.code, change.undivided]


def assert_sums(found: Difference) -> None:
    """Every metric's parts sum to its change; most metrics are defined and did change."""
    changed = 0
    for change in found.changes:
        if change.before is None or change.after is None:
            continue
        total = change.after - change.before
        assert sum(x for x in parts(change) if x is not None) == pytest.approx(total, abs=EXACT)
        changed += total != 0.0
    assert [change.metric for change in found.changes] == list(METRICS)
    assert changed > 8


def of(found: Difference, metric: str) -> Change:
    (change,) = [each for each in found.changes if each.metric == metric]
    return change


def test_only_the_data_differ(store: Store, ids: dict[str, str]) -> None:
    found = diff(store, ids["one"], ids["new data"])
    assert list(found.differs) == ["data"]
    assert found.differs["data"].startswith('version: "2024-05-')
    assert_sums(found)
    for change in found.changes:
        assert (change.configuration, change.code, change.undivided) == (0.0, 0.0, None)
    cagr = of(found, "cagr")
    assert cagr.data is not None
    assert cagr.data > 0.1  # every ticker grows by 0.1 % a day more


def test_only_the_configuration_differs(store: Store, ids: dict[str, str]) -> None:
    found = diff(store, ids["one"], ids["new configuration"])
    assert found.differs == {"configuration": "portfolio.select.top_k: 2 → 1"}
    assert_sums(found)
    assert {(change.data, change.code) for change in found.changes} == {(0.0, 0.0)}


def test_the_same_experiment_differs_in_nothing(store: Store, ids: dict[str, str]) -> None:
    found = diff(store, ids["one"], ids["one"])
    assert found.differs == {}
    assert {(c.data, c.configuration, c.code) for c in found.changes} == {(0.0, 0.0, 0.0)}


def test_only_the_code_differs(store: Store, ids: dict[str, str]) -> None:
    behind_its_back(store, "UPDATE experiments SET code_version = 'old' WHERE attempt = 1")
    statement = "UPDATE experiments SET code_version = 'new' WHERE experiment_id = '{}'"
    behind_its_back(store, statement.format(ids["new data"]))
    for column in ("data_version_id", "prices", "config_hash"):
        behind_its_back(
            store,
            f"UPDATE experiments SET {column} = (SELECT any_value({column}) FROM experiments WHERE "
            f"experiment_id = '{ids['one']}') WHERE experiment_id = '{ids['new data']}'",
        )
    found = diff(store, ids["one"], ids["new data"])
    assert found.differs == {"code": "old → new"}
    assert_sums(found)
    assert {(change.data, change.configuration) for change in found.changes} == {(0.0, 0.0)}


def test_data_and_configuration_are_averaged_over_both_orders(
    store: Store, ids: dict[str, str]
) -> None:
    found = diff(store, ids["one"], ids["both"])
    assert list(found.differs) == ["data", "configuration"]
    assert found.notes == ()
    assert_sums(found)
    known = {name: figures(store.trial_returns([ids[name]])) for name in ids}
    one, new = known["one"], known["both"]
    of_data, of_config = known["new data"], known["new configuration"]
    for change in found.changes:
        name = change.metric
        data = ((of_data[name] - one[name]) + (new[name] - of_config[name])) / 2
        configuration = ((of_config[name] - one[name]) + (new[name] - of_data[name])) / 2
        assert change.data == pytest.approx(data, abs=1e-10)  # a batch sums in another order
        assert change.configuration == pytest.approx(configuration, abs=1e-10)
        assert change.code == 0.0
        assert change.undivided is None
    interaction = new["cagr"] - of_data["cagr"] - (of_config["cagr"] - one["cagr"])
    assert abs(interaction) > 1e-4, "the two orders say the same: the test shows nothing"


def test_the_other_way_round_every_part_has_the_other_sign(
    store: Store, ids: dict[str, str]
) -> None:
    there, back = (
        diff(store, *pair)
        for pair in ((ids["one"], ids["older code"]), (ids["older code"], ids["one"]))
    )
    for one, other in zip(there.changes, back.changes, strict=True):
        for part, its in zip(parts(one)[:3], parts(other)[:3], strict=True):
            assert part == pytest.approx(-its if its is not None else None, abs=EXACT)


def test_all_three_differ_across_months(store: Store, ids: dict[str, str]) -> None:
    """The code that recorded the older one doubled what is earned."""
    behind_its_back(
        store,
        "UPDATE trial_returns SET net_return = 2 * net_return "
        f"WHERE experiment_id = '{ids['older code']}'",
    )
    found = diff(store, ids["older code"], ids["both"])
    assert list(found.differs) == ["data", "configuration", "code"]
    assert found.differs["code"] == f"older → {identity.code_version()}"
    assert_sums(found)
    volatility = of(found, "volatility_ann")
    assert volatility.before is not None
    assert volatility.code == pytest.approx(-volatility.before / 2, abs=EXACT)


def test_a_pruned_version_leaves_its_parts_untold(store: Store, ids: dict[str, str]) -> None:
    version = store.experiments(ids["new data"])["data_version_id"][0].as_py()
    behind_its_back(store, f"DELETE FROM partitions WHERE partition = '{version}'")
    found = diff(store, ids["one"], ids["both"])
    assert_sums(found)
    for change in found.changes:
        assert parts(change)[:3] == [None, None, None]
    assert len(found.notes) == 2
    assert all("the rows of that data version are gone" in note for note in found.notes)
    assert f"cannot be rerun on {version}" in found.notes[0]
    alone = diff(store, ids["one"], ids["new data"])
    assert alone.notes == ()
    assert of(alone, "cagr").data is not None  # told without running anything


def test_a_configuration_that_no_longer_validates_leaves_its_parts_untold(
    store: Store, ids: dict[str, str]
) -> None:
    behind_its_back(
        store,
        "UPDATE experiments SET config = replace(config, '\"top_k\":1', '\"top_k\":-1') "
        f"WHERE experiment_id = '{ids['both']}'",
    )
    found = diff(store, ids["one"], ids["both"])
    assert_sums(found)
    assert {tuple(parts(change)[:3]) for change in found.changes} == {(None, None, None)}
    assert all("does not fit this version of FactorLab" in note for note in found.notes)


def test_what_cannot_cross_is_undivided_beside_the_code(
    store: Store, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each can be rerun on its own data, but the second not on the first's."""

    def only_at_home(store: Store, inputs: object, resolved: object, *said: str, as_batch: bool):
        version = inputs.version.data_version_id  # type: ignore[attr-defined]  # a stand-in's
        if as_batch and version == first:
            raise FactorLabError("a ticker is missing")
        return earned(store, inputs, resolved, *said, as_batch=as_batch)

    first = store.experiments(ids["one"])["data_version_id"][0].as_py()
    monkeypatch.setattr("factorlab_assets.verify.earned", only_at_home)
    found = diff(store, ids["one"], ids["both"])
    assert_sums(found)
    assert {tuple(parts(change)[:3]) for change in found.changes} == {(None, None, 0.0)}
    (note,) = found.notes
    assert "a ticker is missing" in note


def test_code_that_both_share_but_not_today_is_noted(store: Store, ids: dict[str, str]) -> None:
    behind_its_back(store, "UPDATE experiments SET code_version = 'k'")
    behind_its_back(
        store,
        f"UPDATE trial_returns SET turnover = turnover + 1 WHERE experiment_id = '{ids['both']}'",
    )
    found = diff(store, ids["one"], ids["both"])
    assert_sums(found)
    (note,) = found.notes
    assert note.startswith("both are recorded by the same code, k;")
    assert of(found, "turnover_ann").code == pytest.approx(12.0, abs=EXACT)


def test_what_is_undefined_has_no_parts(store: Store, ids: dict[str, str]) -> None:
    behind_its_back(store, "UPDATE trial_returns SET benchmark_return = NULL")
    found = diff(store, ids["one"], ids["new configuration"])
    beta = of(found, "beta")
    assert (beta.before, beta.after, beta.configuration, beta.undivided) == (None,) * 4
    assert of(found, "sharpe").configuration is not None


def test_figures_are_those_of_the_returns() -> None:
    rows = pa.concat_tables([returns("e", net=0.01), returns("e", net=-0.02).slice(0, 1)])
    net, zero = np.array([0.01, 0.01, -0.02]), np.zeros(3)
    said = metrics(net, zero, zero + 0.005, zero + 1.0, zero + 0.001)
    assert figures(rows) == {name: said[name] for name in METRICS}
    assert figures(rows)["turnover_ann"] == 12.0


def test_experiments_without_returns_are_told(store: Store, ids: dict[str, str]) -> None:
    behind_its_back(store, "DELETE FROM trial_returns")
    with pytest.raises(FactorLabError, match="no returns were kept"):
        diff(store, ids["one"], ids["both"])
    with pytest.raises(FactorLabError, match="no finished experiment"):
        diff(store, "nothing", ids["both"])
