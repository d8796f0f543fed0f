"""What the ledgers say of experiments: which one is meant, what it earned, what else was tried.

Belongs here: finding experiments by name or id, their series, and all trials. Does not: writing
ledgers (`store_experiments`), or judging anything (`evaluation`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import identity, schemas
from factorlab_assets.core import factors
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.compare import Series
from factorlab_assets.evaluation.trials import Family, Trial, Trials, family, universe_of
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved

SHORTEST_PREFIX = 6
"""Of an experiment's id, that may stand for it."""
_COLUMNS = ["seq", "experiment_id", "month", "strategy", "sweep", "status"]


def find(store: Store, said: str, month: str = "") -> dict[str, Any]:
    """The ledger's row of the finished experiment that was meant: seq, experiment_id, month,
    strategy, sweep.

    Parameters
    ----------
    said : a strategy's or a combination's name, of which the latest is meant; or an experiment's
        id, or the beginning of one. month : of a name; by default any.

    Raises
    ------
    FactorLabError : nothing finished is called so, or the beginning of several ids.
    """
    rows = store.experiments(columns=_COLUMNS)
    done = rows.filter(pc.equal(rows["status"], "done"))
    named = done.filter(pc.equal(done["strategy"], said))
    if not named.num_rows and (ids := _combinations(store, said)):
        named = done.filter(pc.is_in(done["experiment_id"], pa.array(ids, pa.string())))
    if month:
        named = named.filter(pc.equal(named["month"], month))
    if named.num_rows:
        return dict(named.slice(named.num_rows - 1).to_pylist()[0])
    if len(said) >= SHORTEST_PREFIX:
        alike = done.filter(pc.starts_with(done["experiment_id"], said))
        ids = pc.unique(alike["experiment_id"]).to_pylist()
        if len(ids) == 1:
            return dict(alike.slice(alike.num_rows - 1).to_pylist()[0])
        if ids:
            raise FactorLabError(
                "the beginning of several experiments' ids",
                got=said,
                expected=", ".join(ids[:5]),
                do="give more of it",
            )
    raise FactorLabError(
        "no finished experiment of that name or id",
        where=store.path,
        got=said + (f" in {month}" if month else ""),
        expected="a strategy, a combination or an id that `factorlab experiments` lists as done",
        do="factorlab run --month MONTH --strategy NAME computes one",
    )


def _combinations(store: Store, said: str) -> list[str]:
    """Experiments that stored sweeps call so: the ledger does not, where the same configuration had
    been computed by another name before."""
    table = schemas.SWEEP_METRICS
    with store.read():
        keys = [record.partition for record in store.partitions(table)]
        keys = [key for key in keys if said.startswith(f"{key.partition('|')[2]}.")]
        refused = store.refusals(table, keys) if keys else {}
        if not (good := [key for key in keys if key not in refused]):
            return []
        rows = store.load(table, good)
    return list(rows.filter(pc.equal(rows["combination"], said))["experiment_id"].to_pylist())


def series(store: Store, experiment_id: str, name: str) -> Series:
    """What a finished experiment earned, month by month.

    Raises
    ------
    FactorLabError : the ledger has no returns of it.
    """
    return Series.from_table(name, returns(store, experiment_id))


def returns(store: Store, experiment_id: str) -> pa.Table:
    """A finished experiment's rows of `trial_returns`, in order.

    Raises
    ------
    FactorLabError : there are none.
    """
    rows = store.trial_returns([experiment_id])
    if rows.num_rows == 0:
        raise FactorLabError(
            "no returns were kept of that experiment",
            where=f"table {schemas.TRIAL_RETURNS.name}",
            got=experiment_id,
            expected="an experiment that was finished since returns are kept",
            do="compute it again",
        )
    return rows


def trials(store: Store, prior: Mapping[str, int]) -> Trials:
    """Every configuration that was ever tried, done or failed, and what it earned up to the latest
    month.

    A configuration that older code recorded is the one that today's models read it as, where they
    can: what only gained a setting of its default is no new trial.

    Parameters
    ----------
    prior : strategy file -> its `prior_trials`.
    """
    with store.read():
        every, configs = store.trials(), store.configs()
        said = dict(zip(*(configs[name].to_pylist() for name in configs.column_names), strict=True))
        found: dict[str, Trial] = {}
        read: dict[str, tuple[str, str]] = {}
        for row in every.to_pylist():
            if row["status"] not in ("done", "failed"):
                continue
            recorded = row["config_hash"]
            if recorded not in read:
                read[recorded] = _as_read_today(row, json.loads(said[recorded]))
            hash_, universe = read[recorded]
            trial = Trial(
                config_hash=hash_,
                name=row["strategy"],
                sweep=row["sweep"],
                experiment_id=row["experiment_id"],
                status=row["status"],
                universe=universe,
                prior=max(prior.get(file, 0) for file in row["files"]),
                recorded=row["seq"],
            )
            found[row["experiment_id"]] = trial
        last = _speaking(found, every)
        return Trials.of(list(found.values()), store.trial_returns(last))


def family_of(store: Store, row: Mapping[str, Any], prior: Mapping[str, int]) -> Family:
    """All that was tried of the idea of an experiment, over its own benchmark.

    row : as `find` gives it. prior : as `trials` takes it.

    Raises
    ------
    FactorLabError : the ledger has no returns of it.
    """
    own, every = returns(store, row["experiment_id"]), trials(store, prior)
    (hash_,) = {t.config_hash for t in every if t.experiment_id == row["experiment_id"]}
    months = every.dates.astype("datetime64[M]")
    own_months = own["date"].to_numpy().astype("datetime64[M]")
    is_there = np.isin(own_months, months)  # not where a later version of the data begins later
    benchmark, nothing = np.full((2, len(months)), np.nan)
    place = np.searchsorted(months, own_months[is_there])
    benchmark[place] = own["benchmark_return"].to_numpy()[is_there]
    return family(hash_, every, benchmark, nothing)


def _as_read_today(row: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, str]:
    """The hash and the universe of a recorded configuration."""
    if row["code_version"] != identity.code_version():
        try:
            read = Resolved.from_config(row["strategy"], config, factors.complete)
            return read.config_hash, universe_of(read.config)
        except FactorLabError:
            pass  # today's models do not know it: it stays what it was
    return row["config_hash"], universe_of(config)


def _speaking(found: Mapping[str, Trial], every: pa.Table) -> list[str]:
    """The experiment that speaks for each configuration: of the latest month, and of several the
    one recorded last. An older month that is computed afterwards takes nothing away."""
    month = dict(zip(every["experiment_id"].to_pylist(), every["month"].to_pylist(), strict=True))
    done = [id_ for id_, trial in found.items() if trial.status == "done"]
    done.sort(key=lambda id_: (month[id_], found[id_].recorded))
    return sorted({found[id_].config_hash: id_ for id_ in done}.values())
