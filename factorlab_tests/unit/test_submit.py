"""Submitting: nothing is written before all is checked, and nothing runs as something else.

Three tickers with three bars each: A and B may be held, SPY is the benchmark.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets import identity, strategy, submit, submit_queue
from factorlab_assets.errors import FactorLabError
from factorlab_assets.schemas import STRATEGY_PATTERN
from factorlab_assets.settings import Settings
from factorlab_assets.store import Store
from factorlab_tests.store_samples import MONTH, bars, experiment, ingest

UNIVERSES = "pair: {tickers: {A: stocks, B: stocks}}\nothers: {tickers: {X: stocks, Y: stocks}}\n"
MINE = """\
# a comment of mine
description: The better of two.
universe: pair
factors: [{name: trend, params: {lookback: 3}}]
portfolio: {select: {top_k: 1}}
"""
SWEPT = (
    MINE + "sweep: {parameters: {factors.trend.lookback: [3, 6], portfolio.gross: [0.5, 1.0]}}\n"
)


@dataclass(frozen=True)
class Lab:
    """A project of one month and one strategy file."""

    settings: Settings
    store: Store

    @property
    def folder(self) -> Path:
        return self.settings.strategies_path

    def file(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def prepared(self, said: submit.Draft, **words: object) -> submit.Submission:
        return submit.prepare(self.store, self.settings, said, **words)

    def submitted(self, said: submit.Draft, **words: object) -> tuple[str, str]:
        """The experiment's id, and what is said of a replaced file."""
        ready = self.prepared(said, **words)
        told = submit.submit(self.store, self.settings, ready)
        return ready.experiment.experiment_id, told

    def statuses(self) -> list[tuple[str, str]]:
        rows = self.store.experiments(columns=["strategy", "status"]).to_pylist()
        return [(row["strategy"], row["status"]) for row in rows]

    def why_not(self) -> dict[str, str]:
        return submit_queue.why_not(self.store, self.settings, submit_queue.queued(self.store))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One month of the three tickers, made once: each test has a copy."""
    path = tmp_path_factory.mktemp("database") / "factorlab.duckdb"
    ingest(Store(path), bars("A", "B", "SPY"))
    return path


@pytest.fixture
def lab(tmp_path: Path, database: Path) -> Lab:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (tmp_path / "universes.yaml").write_text(UNIVERSES)
    settings = Settings(
        _env_file=None,
        root=tmp_path,
        strategies_dir=folder,
        universes_file=tmp_path / "universes.yaml",
        data_dir=tmp_path / "data",
    )
    made = Lab(settings, Store(tmp_path / "data" / "factorlab.duckdb", lock_timeout_s=1))
    made.store.path.parent.mkdir()
    shutil.copy(database, made.store.path)
    made.file("base", MINE)
    return made


def mine(text: str = MINE, name: str = "mine") -> submit.Draft:
    return submit.Draft(name, text, f"{name}.yaml")


# Reading and varying


def test_a_file_anywhere_and_a_strategys_name_are_drafts(lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "idea.yml"
    outside.write_text(MINE)
    assert submit.draft(lab.settings, str(outside)) == submit.Draft("idea", MINE, str(outside))
    assert submit.draft(lab.settings, "base").text == MINE


@pytest.mark.parametrize("said", ["nothing", "../strategies/base", "/etc/passwd", ""])
def test_what_is_no_strategy_file_is_refused(lab: Lab, said: str) -> None:
    with pytest.raises(FactorLabError, match="strategy file"):
        submit.draft(lab.settings, said)


def test_a_path_is_no_name_where_only_names_may_be_given(lab: Lab) -> None:
    with pytest.raises(FactorLabError, match=r"no such strategy file.*one of base"):
        submit.draft(lab.settings, str(lab.folder / "base.yaml"), only_names=True)


def test_a_varied_draft_says_what_was_set_in_its_name_and_its_text() -> None:
    varied = mine().varied({"portfolio.select.top_k": 2, "factors.trend.lookback": 6})
    assert varied.name == "mine.top_k-2.lookback-6"
    assert varied.said["portfolio"] == {"select": {"top_k": 2}}
    assert varied.said["factors"][0]["params"] == {"lookback": 6}
    assert varied.text.startswith("# mine with portfolio.select.top_k=2, factors.trend.lookback=6")
    assert mine().varied({}) == mine()
    assert mine().varied({}, "other").name == "other"


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_.]{1,40}", fullmatch=True),
        st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.text()),
        min_size=1,
        max_size=4,
    )
)
def test_any_change_makes_a_name_that_may_be_one(changes: dict[str, object]) -> None:
    assert re.fullmatch(STRATEGY_PATTERN, submit.varied_name("trend_12m", changes))


def test_long_names_differ_by_their_hash() -> None:
    names = {submit.varied_name("n" * 60, {"portfolio.label": "x" * 40 + end}) for end in "ab"}
    assert len(names) == 2
    assert {len(name) for name in names} == {80}


# Checking


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"universe": "nowhere"}, "unknown universe.*'nowhere'.*pair"),
        ({"factors": [{"name": "luck"}]}, r"bad factor.*factors\[0\].*luck.*does not exist"),
        ({"factors.trend.lookback": 0}, "lookback: got 0, allowed a whole number from 1 to 120"),
        ({"portfolio.gross": 99}, "portfolio.gross.*Got: 99"),
        ({"portfolio.max_weight": 0.5}, "raise max_weight"),
        ({"benchmark": "strategy:gone"}, "unknown benchmark strategy.*'gone'"),
        ({"benchmark": "QQQ"}, "no prices in that data version.*Got: QQQ.*A, B, SPY"),
        ({"universe": "others"}, "no prices in that data version.*Got: X, Y"),
        ({"sweep": {"parameters": {"portfolio.nothing": [1, 2]}}}, "bad sweep.*nothing"),
        ({"sweep": {"parameters": {"factors.trend.lookback": [0]}}}, "no combination.*allowed"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    lab: Lab, changes: dict[str, object], told: str
) -> None:
    before = sorted(lab.folder.iterdir())
    with pytest.raises(FactorLabError, match=told):
        lab.submitted(mine().varied(changes, "mine"))
    assert sorted(lab.folder.iterdir()) == before
    assert lab.statuses() == []


@pytest.mark.parametrize("name", ["../x", "A", "a b", "x" * 81, ".hidden", "x'; DROP TABLE y"])
def test_a_name_that_is_none_reaches_no_path(lab: Lab, name: str) -> None:
    with pytest.raises(FactorLabError, match="cannot be a strategy's name"):
        lab.prepared(mine(name=name))


@pytest.mark.parametrize("month", ["2024-04", "2024-13", "x' OR 1=1"])
def test_a_month_without_prices_is_refused(lab: Lab, month: str) -> None:
    with pytest.raises(FactorLabError, match=re.escape(month)):
        lab.prepared(mine(), month=month)


def test_without_a_month_it_is_the_latest_and_without_any_prices_it_says_so(
    lab: Lab, tmp_path: Path
) -> None:
    assert lab.prepared(mine()).month == MONTH
    with pytest.raises(FactorLabError, match="no prices yet"):
        submit.prepare(Store(tmp_path / "other.duckdb"), lab.settings, mine())


def test_a_sweep_is_expanded_before_it_is_submitted(lab: Lab) -> None:
    expansion = lab.prepared(mine(SWEPT)).expansion
    assert expansion is not None
    assert len(expansion.combinations) == expansion.total == 4
    assert lab.prepared(mine()).expansion is None


# Writing


def test_the_file_is_written_as_it_came_and_the_ledger_locks_data_code_and_configuration(
    lab: Lab,
) -> None:
    id_, told = lab.submitted(mine())
    assert (lab.folder / "mine.yaml").read_text() == MINE
    assert told == ""
    (row,) = lab.store.experiments(id_).to_pylist()
    resolved = lab.prepared(mine()).resolved
    version = lab.store.current_version(MONTH)
    assert version is not None
    assert row["status"] == "queued"
    assert (row["strategy"], row["month"], row["attempt"]) == ("mine", MONTH, 1)
    assert (row["config"], row["config_hash"]) == (resolved.config_json, resolved.config_hash)
    assert row["data_version_id"] == version.data_version_id
    assert (row["code_version"], row["git_commit"]) == (
        identity.code_version(),
        identity.git_commit(),
    )
    assert submit_queue.queued(lab.store)[0]["experiment_id"] == id_


def test_what_is_submitted_twice_waits_once(lab: Lab) -> None:
    lab.submitted(mine())
    lab.submitted(mine())
    assert lab.statuses() == [("mine", "queued")]


def test_another_content_needs_a_word_and_an_experiment_that_has_the_old_one_is_named(
    lab: Lab,
) -> None:
    first, _ = lab.submitted(mine())
    other = mine(MINE.replace("lookback: 3", "lookback: 6"))
    with pytest.raises(FactorLabError, match=r"something else.*mine\.yaml.*--name, or --replace"):
        lab.submitted(other)
    assert (lab.folder / "mine.yaml").read_text() == MINE
    _, told = lab.submitted(other, may_replace=True)
    assert told == f"what mine.yaml said before is experiment {first}: factorlab rerun {first}"
    assert (lab.folder / "mine.yaml").read_text() == other.text
    assert sorted(path.name for path in lab.folder.iterdir()) == ["base.yaml", "mine.yaml"]


@pytest.mark.parametrize(
    "old", [MINE.replace("lookback: 3", "lookback: 9"), "nonsense: [1", "", SWEPT]
)
def test_a_replaced_file_that_no_experiment_has_is_kept_beside(lab: Lab, old: str) -> None:
    lab.file("mine", old)
    _, told = lab.submitted(mine(), may_replace=True)
    (kept,) = lab.folder.glob("mine.yaml.*.replaced")
    assert kept.read_text() == old
    assert str(kept) in told
    assert "mine" in strategy.load_strategies(lab.folder, lambda _n, p, d: (dict(p), d or 0))[0]


def test_a_replaced_sweep_is_kept_beside_though_an_experiment_has_the_rest(lab: Lab) -> None:
    lab.submitted(mine())
    lab.file("mine", SWEPT)
    lab.submitted(mine(), may_replace=True)
    assert [path.read_text() for path in lab.folder.glob("mine.yaml.*.replaced")] == [SWEPT]


def test_the_same_experiment_does_not_wait_under_two_names(lab: Lab) -> None:
    lab.submitted(mine())
    with pytest.raises(FactorLabError, match=r"under another name.*Got: twin.*Expected: mine"):
        lab.submitted(mine(name="twin"))
    assert not (lab.folder / "twin.yaml").exists()


# Waiting


def test_what_began_or_ended_waits_no_longer_and_may_be_submitted_again(lab: Lab) -> None:
    id_, _ = lab.submitted(mine())
    lab.store.begin_attempts([lab.prepared(mine()).experiment], "run")
    assert submit_queue.queued(lab.store) == []
    lab.store.end_attempts([(id_, "failed", "no reason")], "run")
    assert submit_queue.queued(lab.store) == []
    lab.submitted(mine())
    assert [row["attempt"] for row in submit_queue.queued(lab.store)] == [2]


def test_a_submission_that_nothing_changed_for_may_run(lab: Lab) -> None:
    lab.submitted(mine())
    assert lab.why_not() == {}


def test_what_changed_since_is_named_and_nothing_runs_as_something_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_, _ = lab.submitted(mine())
    before = lab.store.current_version(MONTH)
    path = lab.folder / "mine.yaml"
    for text, told in (
        (MINE.replace("lookback: 3", "lookback: 4"), "mine.yaml, or what it refers to, was edited"),
        ("nonsense: true", "mine.yaml is no valid strategy file any more"),
    ):
        path.write_text(text)
        assert lab.why_not()[id_].startswith(told)
    path.unlink()
    assert lab.why_not() == {id_: "mine.yaml is no valid strategy file any more: submit it again"}
    path.write_text(MINE + "# only a comment\n")
    assert lab.why_not() == {}

    with monkeypatch.context() as patch:
        patch.setattr(identity, "code_version", lambda: "another")
        assert lab.why_not()[id_].startswith("the code changed from")
    rules = lab.settings.price_rules_path
    rules.parent.mkdir(exist_ok=True)
    rules.write_text("actions: {volume: drop}\n")
    try:
        assert "price rules" in lab.why_not()[id_]
    finally:
        rules.unlink()

    after = ingest(lab.store, bars("A", "B", "SPY", close=11.0))
    assert before is not None
    assert lab.why_not() == {
        id_: f"the data version changed from {before.data_version_id} to {after.data_version_id}: "
        "submit it again"
    }


# Ids, clones, promotions


def test_a_unique_beginning_of_an_id_stands_for_it(lab: Lab) -> None:
    lab.store.queue_attempts([experiment(id_) for id_ in ("abcdef12", "abcdef34", "feed0000")])
    assert submit.full_id(lab.store, "feed00") == "feed0000"
    assert submit.full_id(lab.store, "abcdef12") == "abcdef12"
    with pytest.raises(FactorLabError, match=r"several.*abcdef12, abcdef34"):
        submit.full_id(lab.store, "abcdef")
    for said in ("feed0", "", "ffffff", "' OR 1=1 --"):
        with pytest.raises(FactorLabError, match=r"no such experiment.*first 6 characters"):
            submit.full_id(lab.store, said)


def test_a_clone_has_the_same_configuration_and_a_varied_one_another(lab: Lab) -> None:
    id_, _ = lab.submitted(mine())
    (row,) = lab.store.experiments(id_).to_pylist()
    same = submit.clone(lab.store, lab.settings, id_[:6], {})
    assert (same.name, same.month) == (f"mine.rerun-{id_[:6]}", MONTH)
    assert lab.prepared(same).resolved.config_hash == row["config_hash"]
    varied = submit.clone(lab.store, lab.settings, id_, {"factors.trend.lookback": 6})
    assert varied.name == "mine.lookback-6"
    resolved = lab.prepared(varied).resolved
    assert resolved.strategy.factors[0].params == {"lookback": 6}
    assert resolved.config_hash != row["config_hash"]
    assert submit.clone(lab.store, lab.settings, id_, {}, "own").name == "own"


def test_a_combination_becomes_a_strategy_of_its_own(lab: Lab) -> None:
    lab.file("grid", SWEPT)
    full = "grid.lookback-6.gross-0.5"
    for said in (full, "lookback-6.gross-0.5"):
        draft = submit.promoted(lab.settings, "grid", said)
        assert draft.name == full
        resolved = lab.prepared(draft).resolved
        assert resolved.strategy.sweep is None
        assert resolved.strategy.portfolio.gross == 0.5
        assert resolved.strategy.factors[0].params == {"lookback": 6}
    assert submit.promoted(lab.settings, "grid", full, "winner").name == "winner"
    with pytest.raises(FactorLabError, match=r"no such combination.*grid.lookback-3"):
        submit.promoted(lab.settings, "grid", "lookback-7")
    for name in ("../grid", "nothing"):
        with pytest.raises(FactorLabError, match=f"{name}"):
            submit.promoted(lab.settings, name, "lookback-6")
