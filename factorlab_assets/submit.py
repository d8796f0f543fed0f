"""Submitting an experiment: everything is checked first, then locked, written and queued.

Belongs here: what a submission is, and cloning a recorded experiment into one. Does not: what
becomes of it while it waits (`submit_queue`), starting runs (`assets.submission`,
`cli_experiments`), or how the ledger keeps its rows (`store_experiments`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from factorlab_assets import (
    identity,
    overrides,
    parsing,
    prices,
    schemas,
    strategy,
    submit_queue,
    sweep,
)
from factorlab_assets.core import factors, research
from factorlab_assets.errors import FactorLabError
from factorlab_assets.files import write_file
from factorlab_assets.settings import Settings
from factorlab_assets.store import Experiment, Store

LEAST_OF_AN_ID = 6
"""So many first characters of an experiment's id may stand for it, where they are one's alone."""
LONGEST_NAME = 80
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Draft:
    """What is to become a strategy file: its text, where that came from, and a name for it.

    month : the one to compute it on unless another is said; empty: the latest.
    """

    name: str
    text: str
    origin: str
    month: str = ""

    @property
    def said(self) -> dict[str, Any]:
        """The mapping that the text says."""
        return parsing.mapping(self.text, self.origin)

    def varied(self, changes: Mapping[str, Any], name: str = "") -> Draft:
        """The same with other values at some paths, under a name of its own."""
        if not changes:
            return replace(self, name=name or self.name)
        told = ", ".join(f"{path}={value}" for path, value in changes.items())
        text = overrides.strategy_text(
            overrides.apply(self.said, changes), header=f"{self.name} with {told}"
        )
        own, origin = name or varied_name(self.name, changes), f"{self.origin} with {told}"
        return replace(self, name=own, text=text, origin=origin)


@dataclass(frozen=True)
class Submission:
    """A strategy that passed every check, its file, and the prices that it is locked to.

    replaces : the text that stands in its file now; None where that is the same or there is none.
    expansion : the combinations of its sweep, where it has one.
    """

    text: str
    path: Path
    replaces: str | None
    resolved: strategy.Resolved
    inputs: prices.Inputs
    expansion: sweep.Expansion | None

    @property
    def name(self) -> str:
        return self.resolved.name

    @property
    def month(self) -> str:
        return self.inputs.version.month

    @cached_property
    def experiment(self) -> Experiment:
        """Its row of the ledger."""
        code = identity.code_version()
        config_hash = self.resolved.config_hash
        return Experiment(
            experiment_id=identity.experiment_id(config_hash, self.inputs.fingerprint, code),
            month=self.month,
            strategy=self.name,
            data_version_id=self.inputs.version.data_version_id,
            config_hash=config_hash,
            code_version=code,
            config=self.resolved.config_json,
            prices=self.inputs.record,
            git_commit=identity.git_commit(),
        )


def draft(settings: Settings, said: str, *, only_names: bool = False) -> Draft:
    """The strategy file that `said` is the path of (unless `only_names`), or the name of.

    Raises
    ------
    FactorLabError : there is none, or it cannot be read.
    """
    path = Path(said).expanduser()
    if path.is_file() and not only_names:
        if path.suffix not in SUFFIXES:
            raise FactorLabError("a strategy file ends in .yaml", where=path, do="rename the file")
        return Draft(path.stem, parsing.read_text(path), str(path))
    own = settings.strategies_path / f"{said}.yaml"
    if not re.fullmatch(schemas.STRATEGY_PATTERN, said) or not own.is_file():
        there = sorted(path.stem for path in settings.strategies_path.glob("*.yaml"))
        raise FactorLabError(
            "no such strategy file",
            got=repr(said),
            expected=("" if only_names else "the path of a YAML file, or ")
            + f"one of {', '.join(there) or 'none yet'}",
            do="correct it",
        )
    return Draft(said, parsing.read_text(own), str(own))


def recorded(store: Store, settings: Settings, experiment_id: str) -> Draft:
    """The strategy file of an experiment that the ledger has.

    Raises
    ------
    FactorLabError : no such experiment, or its configuration does not fit any more.
    """
    id_ = full_id(store, experiment_id)
    row = store.experiments(id_, ["strategy", "config", "month"]).to_pylist()[-1]
    named, files = submit_queue.surroundings(settings)
    what = f"The configuration of experiment {id_} ({row['month']}|{row['strategy']})."
    said = overrides.from_config(row["strategy"], json.loads(row["config"]), named, files, what)
    text = overrides.strategy_text(said)
    return Draft(row["strategy"], text, f"experiment {id_}", row["month"])


def clone(
    store: Store,
    settings: Settings,
    experiment_id: str,
    changes: Mapping[str, Any],
    name: str = "",
) -> Draft:
    """A past experiment's configuration, changed or not, as a strategy of another name.

    Raises
    ------
    FactorLabError : as for `recorded`, or a path in `changes` that leads nowhere.
    """
    past = recorded(store, settings, experiment_id)
    if changes:
        return past.varied(changes, name)
    again = f".rerun-{full_id(store, experiment_id)[:LEAST_OF_AN_ID]}"
    return replace(past, name=name or _shortened(past.name, again))


def prepare(
    store: Store, settings: Settings, said: Draft, *, month: str = "", may_replace: bool = False
) -> Submission:
    """Check all of a draft and lock it to a month's prices as they are; nothing is written.

    Parameters
    ----------
    month : by default the draft's, else the latest stored. may_replace : a file of that name may
        have another content.

    Raises
    ------
    FactorLabError : the file says something that is not allowed, there or together with the
        universe, the factors or the benchmark; the month has no prices, or none of the strategy's
        tickers; a file of that name says something else.
    """
    name = strategy.check_name(said.name)
    wanted = strategy.from_mapping(name, said.said, said.origin, factors.complete)
    named, files = submit_queue.surroundings(settings)
    files = {**files, name: wanted}
    resolved = strategy.resolve(wanted, named, files)
    expansion = None
    if wanted.sweep is not None:
        checked = factors.complete
        expansion = sweep.expand(name, said.said, checked, named, files, origin=said.origin)
    inputs = _inputs(store, settings, month or said.month)
    _check_tickers(store, resolved, inputs)
    path = settings.strategies_path / f"{name}.yaml"
    there = parsing.read_text(path) if path.exists() else None
    replaces = there if there != said.text else None
    if replaces is not None and not may_replace:
        raise FactorLabError(
            "a strategy of that name is there and says something else",
            where=path,
            got=said.origin,
            expected="the same content, or a name that is free",
            do="give another --name, or --replace it (what it says is kept)",
        )
    return Submission(said.text, path, replaces, resolved, inputs, expansion)


def submit(store: Store, settings: Settings, submission: Submission) -> str:
    """Write the strategy file and queue the experiment; what became of a replaced file, in words.

    Raises
    ------
    FactorLabError : the same experiment waits under another strategy's name.
    """
    experiment = submission.experiment
    waiting = {row["experiment_id"]: row["strategy"] for row in submit_queue.queued(store)}
    other = waiting.get(experiment.experiment_id, submission.name)
    if other != submission.name:
        raise FactorLabError(
            "the same configuration waits to be computed under another name",
            where=f"experiment {experiment.experiment_id}",
            got=submission.name,
            expected=other,
            do="wait until that is done, or submit with --now",
        )
    told = write_strategy(store, settings, submission)
    store.queue_attempts([experiment])
    return told


def promoted(settings: Settings, sweep_name: str, combination: str, name: str = "") -> Draft:
    """A combination of a sweep as a strategy file; `combination` with the sweep's name or without.

    Raises
    ------
    FactorLabError : there is no such sweep, or it has no such combination.
    """
    path = settings.strategies_path / f"{strategy.check_name(sweep_name)}.yaml"
    if not path.is_file():
        raise FactorLabError(
            "no such sweep",
            got=repr(sweep_name),
            expected=f"a strategy with a sweep block in {settings.strategies_path}",
            do="correct the name; `factorlab rerun` takes a combination by its experiment's id",
        )
    own = combination.removeprefix(f"{sweep_name}.")
    full = f"{sweep_name}.{own}"
    text = sweep.promote(path, full, name or full, factors.complete)
    return Draft(name or full, text, f"combination {full}")


def write_strategy(store: Store, settings: Settings, submission: Submission) -> str:
    """Write the strategy file as a whole or not at all; what became of a replaced one, in words."""
    path, old = submission.path, submission.replaces
    told = "" if old is None else _keep_replaced(store, settings, submission, old)
    if old is not None or not path.exists():
        write_file(path, submission.text)
    return told


def full_id(store: Store, said: str) -> str:
    """The id of an experiment, from itself or from its first characters.

    Raises
    ------
    FactorLabError : no experiment's id begins so, several do, or that is no id.
    """
    ids = pc.unique(store.experiments(columns=["experiment_id"])["experiment_id"]).to_pylist()
    if said in ids:
        return said
    found = [id_ for id_ in ids if id_.startswith(said)] if len(said) >= LEAST_OF_AN_ID else []
    if len(found) == 1:
        return str(found[0])
    what = "several experiments have ids that begin so" if found else "no such experiment"
    raise FactorLabError(
        what,
        where=store.path,
        got=repr(said),
        expected=", ".join(found[:5])
        or f"an id, or at least its first {LEAST_OF_AN_ID} characters",
        do="`factorlab experiments` lists them",
    )


def varied_name(base: str, changes: Mapping[str, Any]) -> str:
    """A name that says what was set, shortened with a hash where it would be too long.

    >>> varied_name("trend_12m", {"portfolio.select.top_k": 5, "universe.of": ["SPY", "TLT"]})
    'trend_12m.top_k-5.of-spy-tlt'
    """
    return _shortened(base, "".join(f".{_spelled(*each)}" for each in changes.items()))


def _spelled(path: str, value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else json.dumps(value)
    quoted = text.strip('"')
    return re.sub(r"[^a-z0-9_.-]+", "_", f"{path.rpartition('.')[2]}-{quoted}".lower())


def _shortened(base: str, ending: str) -> str:
    if len(base + ending) <= LONGEST_NAME:
        return base + ending
    mark = "-" + hashlib.sha256((base + ending).encode()).hexdigest()[:8]
    return (base + ending)[: LONGEST_NAME - len(mark)] + mark


def _inputs(store: Store, settings: Settings, month: str) -> prices.Inputs:
    months = sorted({version.month for version in store.versions() if version.role == "primary"})
    wanted = schemas.check_month(month) if month else (months or [""])[-1]
    inputs = prices.Inputs.current(store, settings, wanted) if wanted else None
    if inputs is None:
        raise FactorLabError(
            "no prices for that month" if month else "no prices yet",
            where=store.path,
            got=month,
            expected=f"one of {', '.join(months[-6:])}" if months else "an ingested month",
            do=f"factorlab ingest --month {month or 'MONTH'} …",
        )
    return inputs


def _check_tickers(store: Store, resolved: strategy.Resolved, inputs: prices.Inputs) -> None:
    """Raise FactorLabError where the version lacks a ticker that is not of the universe alone."""
    with store.read() as con:
        rows = con.sql(f"SELECT DISTINCT ticker FROM {inputs.bars}").fetchall()  # noqa: S608  # ours
    known = {ticker for (ticker,) in rows}
    held = known if resolved.tickers is None else set(resolved.tickers)
    beside = research.tickers_read(resolved, known) - held
    missing = sorted(beside - known) or (sorted(held) if not held & known else [])
    if missing:
        raise FactorLabError(
            "tickers that the strategy reads have no prices in that data version",
            where=f"strategy {resolved.name}, {inputs.version.data_version_id}",
            got=", ".join(missing[:10]),
            expected=f"some of {', '.join(sorted(known)[:10])}{', …' if len(known) > 10 else ''}",
            do="name others, or ingest a universe that has them",
        )


def _keep_replaced(store: Store, settings: Settings, submission: Submission, old: str) -> str:
    """Say which experiment has what the old file said; where none has, keep the file beside."""
    path = submission.path
    ledger = store.experiments(columns=["experiment_id", "config_hash"])
    same = ledger.filter(pc.equal(ledger["config_hash"], _hash_of(settings, submission, old)))
    if same.num_rows:
        found = same["experiment_id"].to_pylist()[-1]
        return f"what {path.name} said before is experiment {found}: factorlab rerun {found}"
    kept = path.with_name(f"{path.name}.{hashlib.sha256(old.encode()).hexdigest()[:8]}.replaced")
    write_file(kept, old)
    return f"what {path.name} said before is no experiment, and is kept as {kept}"


def _hash_of(settings: Settings, submission: Submission, old: str) -> str:
    """The configuration that all of the replaced text stands for; empty where it is none, or where
    the text has a sweep, which no experiment's configuration keeps."""
    named, files = submit_queue.surroundings(settings)
    name, path = submission.name, submission.path
    try:
        before = strategy.from_mapping(name, parsing.mapping(old, path), path, factors.complete)
        resolved = strategy.resolve(before, named, {**files, name: before})
        return "" if before.sweep else resolved.config_hash
    except FactorLabError:
        return ""
