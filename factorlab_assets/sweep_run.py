"""Computing a sweep: every combination an experiment, in chunks that are whole or not there.

Belongs here: what is missing, the ledger rows and returns of what is computed, and the plain
figures of all. Does not: what a combination earns (`core.many`), whether it means anything
(`evaluation`), or where panels come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.core import many, research
from factorlab_assets.core.combine import combine
from factorlab_assets.core.membership import check_anyone, members
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance_many import metrics_of_many
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.signals import compute_signals, universe
from factorlab_assets.core.trial_rows import trial_rows
from factorlab_assets.errors import FactorLabError, RefusedError, StoreBusyError
from factorlab_assets.prices import Inputs
from factorlab_assets.store import Store
from factorlab_assets.store_partitions import arrow_schema
from factorlab_assets.strategy import Resolved
from factorlab_assets.sweep import Combination, Expansion

CHUNK = 200
"""Combinations that are begun, computed and ended together: what a kill may lose."""
COMPUTING = "cannot be computed: "
"""How the reason of a failed combination begins."""
MarketFor = Callable[[Resolved], tuple[Hashable, Panel]]
"""The panel that a strategy is computed on, and a key that is equal where the panel is the same.

Raises FactorLabError where it has none.
"""
Progress = Callable[[int, int], None]
"""Is told how many combinations are there, and of how many."""

_FIGURES = ("net_return", "rf", "benchmark_return", "turnover", "cost")


@dataclass(frozen=True)
class SweepDone:
    """What became of a sweep's combinations, by name.

    experiment_ids : of all. failed : reason of those that cannot be computed. n_computed,
    n_reused : how many were computed now, and how many were there before, the failed included.
    """

    experiment_ids: dict[str, str]
    failed: dict[str, str]
    n_computed: int
    n_reused: int


def run_sweep(
    store: Store,
    expansion: Expansion,
    inputs: Inputs,
    market_for: MarketFor,
    run_id: str,
    progress: Progress | None = None,
) -> SweepDone:
    """Compute the combinations that are not there yet, and record them.

    A chunk at a time is begun, computed, and ended with its returns in one transaction. Killed at
    any instant, what was ended is there; the next run records the rest of that chunk's attempts as
    failed and computes what is missing. A combination that cannot be computed (it never starts, a
    ticker has no prices) is failed with the reason, and stays so for the same data and code.

    Parameters
    ----------
    inputs : what the month's prices are a function of. run_id : of the run that computes.

    Raises
    ------
    FactorLabError : of the store alone.
    """
    every = expansion.combinations
    experiments = {
        each.name: inputs.experiment(each.name, each.resolved, expansion.name) for each in every
    }
    ids = {name: each.experiment_id for name, each in experiments.items()}
    known = _known(store, list(ids.values()))
    missing = _by_score([each for each in every if ids[each.name] not in known])
    panels: dict[Hashable, SharedPanel] = {}
    failed = {name: known[id_] for name, id_ in ids.items() if known.get(id_)}
    if progress is not None:
        progress(len(every) - len(missing), len(every))
    for low in range(0, len(missing), CHUNK):
        chunk = missing[low : low + CHUNK]
        store.begin_attempts([experiments[each.name] for each in chunk], run_id)
        returns, reasons = _computed(chunk, [ids[each.name] for each in chunk], market_for, panels)
        hashes = store.returns_hashes(returns)
        ended = [
            (ids[each.name], "failed", reasons[i])
            if i in reasons
            else (ids[each.name], "done", json.dumps({"trial_returns": hashes[ids[each.name]]}))
            for i, each in enumerate(chunk)
        ]
        store.end_attempts(ended, run_id, returns=returns)
        failed |= {chunk[i].name: reason for i, reason in reasons.items()}
        if progress is not None:
            progress(len(every) - len(missing) + low + len(chunk), len(every))
    return SweepDone(ids, failed, len(missing), len(every) - len(missing))


def _known(store: Store, ids: Sequence[str]) -> dict[str, str]:
    """Experiment -> "" where its returns are there, else why an earlier run could not compute it.

    Only what a sweep's own computation said counts as failed: a process that was killed, or a cell
    that a check turned down, says nothing of what a computation would.
    """
    with store.read() as con:
        con.register("wanted", pa.table({"experiment_id": pa.array(ids, pa.string())}))
        done = con.execute(
            """SELECT DISTINCT experiment_id FROM trial_returns
            WHERE experiment_id IN (SELECT experiment_id FROM wanted)"""
        ).fetchall()
        failed = con.execute(
            """SELECT experiment_id, arg_max(detail, seq) FROM experiments
            WHERE experiment_id IN (SELECT experiment_id FROM wanted)
                AND status = 'failed' AND sweep <> '' AND starts_with(detail, $computing)
            GROUP BY experiment_id""",
            {"computing": COMPUTING},
        ).fetchall()
    return dict(failed) | {id_: "" for (id_,) in done}


def _by_score(combinations: Sequence[Combination]) -> list[Combination]:
    """Those of one score beside each other, so that chunks seldom compute it twice."""
    scores: dict[str, list[Combination]] = {}
    for each in combinations:
        parts = {"universe", "factors", "combine"}
        scores.setdefault(each.resolved.strategy.model_dump_json(include=parts), []).append(each)
    return [each for alike in scores.values() for each in alike]


def _computed(
    chunk: Sequence[Combination],
    ids: Sequence[str],
    market_for: MarketFor,
    panels: dict[Hashable, SharedPanel],
) -> tuple[pa.Table, dict[int, str]]:
    """Rows of `trial_returns` of a chunk, and place -> reason of those that have none; `panels`
    keeps what was computed of a panel for the chunks to come."""
    reasons: dict[int, str] = {}
    alike: dict[Hashable, list[int]] = {}
    for i, each in enumerate(chunk):
        try:
            key, market = market_for(each.resolved)
            if key not in panels:
                panels[key] = market if isinstance(market, SharedPanel) else SharedPanel.of(market)
            research.check_beside(each.resolved, panels[key])
            alike.setdefault(key, []).append(i)
        except (RefusedError, StoreBusyError):
            raise  # of the store: no fault of the combination's
        except FactorLabError as error:
            reasons[i] = str(error)
    tables = [_schema().empty_table()]
    for key, places in alike.items():
        strategies = [chunk[i].resolved for i in places]
        rows, failed = _returns(strategies, [ids[i] for i in places], panels[key])
        tables.append(rows)
        reasons |= {places[at]: str(error) for at, error in failed.items()}
    said = {i: f"{COMPUTING}{reason}" for i, reason in reasons.items()}
    return pa.concat_tables(tables), said


def _returns(
    strategies: Sequence[Resolved], ids: Sequence[str], market: Panel
) -> tuple[pa.Table, dict[int, FactorLabError]]:
    """What strategies of one panel earned, in rows of `trial_returns`."""
    failed: dict[int, FactorLabError] = {}
    batch = many.evaluate(strategies, market, failed)
    for i, resolved in enumerate(strategies):
        if i in failed:
            continue
        try:
            if batch.start[i] >= len(batch.dates) - 1:
                _tell_why(resolved, market)
            research.benchmark_returns(resolved, market)
        except FactorLabError as error:
            failed[i] = error
    return trial_rows(ids, strategies, batch, market, failed), failed


def _tell_why(resolved: Resolved, market: Panel) -> None:
    """Raise FactorLabError where a book has no month to earn anything in."""
    who = members(resolved, market)
    check_anyone(resolved, universe(resolved, market), who)
    signals = compute_signals(resolved, market, who.allowed)
    score = combine(resolved, market, signals, who.allowed)
    book = research.build_book(resolved, market, score, signals, who.allowed)
    research.check_started(resolved, market, score, book, who.allowed)


def _schema() -> pa.Schema:
    return arrow_schema(schemas.TRIAL_RETURNS)


@dataclass(frozen=True)
class Series:
    """Return series of experiments beside each other, in the order asked for.

    dates : (T,). The others (C, T), NaN where an experiment has no return.
    """

    dates: Any
    net_return: Floats
    rf: Floats
    benchmark_return: Floats
    turnover: Floats
    cost: Floats


def side_by_side(returns: pa.Table, ids: Sequence[str]) -> Series:
    """Rows of `trial_returns` as matrices; an experiment without rows has NaN alone.

    A column is a calendar month, dated by the latest of its dates: experiments that trade some days
    before a month's end stand beside those of the same month.
    """
    day = returns["date"].to_numpy().astype("datetime64[D]")
    months, column = np.unique(day.astype("datetime64[M]"), return_inverse=True)
    dates = months.astype("datetime64[D]")
    np.maximum.at(dates, column, day)
    place = {id_: i for i, id_ in enumerate(ids)}
    coded = returns["experiment_id"].combine_chunks().dictionary_encode()
    of_code = np.array([place[id_] for id_ in coded.dictionary.to_pylist()], dtype=np.intp)
    row = of_code[coded.indices.to_numpy()]
    values = {}
    for name in _FIGURES:
        values[name] = np.full((len(ids), len(dates)), np.nan)
        values[name][row, column] = returns[name].to_numpy()
    return Series(dates, **values)


def sweep_rows(store: Store, expansion: Expansion, done: SweepDone) -> dict[str, Any]:
    """The columns of `sweep_metrics` that need no inference, a row per combination, by name.

    combination, experiment_id, parameters, status, note, n_months and the statistics of
    `core.performance_many`, NaN where a combination failed.
    """
    ids = [done.experiment_ids[each.name] for each in expansion.combinations]
    series = side_by_side(store.trial_returns(ids), ids)
    figures = metrics_of_many(
        series.net_return, series.rf, series.benchmark_return, series.turnover, series.cost
    )
    notes = [done.failed.get(each.name, "") for each in expansion.combinations]
    return {
        "combination": [each.name for each in expansion.combinations],
        "experiment_id": ids,
        "parameters": [json.dumps(each.parameters) for each in expansion.combinations],
        "status": ["failed" if note else "done" for note in notes],
        "note": notes,
        **figures,
        "n_months": figures["n_months"].astype(np.int64),
    }
