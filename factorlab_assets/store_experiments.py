"""The append-only ledger of experiments on an open connection.

Belongs here: attempts that start, end, or are found dead. Does not: what an experiment computes, or
opening the database (`store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.errors import RefusedError
from factorlab_assets.lock import is_gone, this_process
from factorlab_assets.store_partitions import append, now


@dataclass(frozen=True)
class Experiment:
    """One configuration on one data version by one code version."""

    experiment_id: str
    month: str
    strategy: str
    data_version_id: str
    config_hash: str
    code_version: str
    config: str
    prices: str
    git_commit: str


def begin(con: duckdb.DuckDBPyConnection, experiments: Sequence[Experiment], run_id: str) -> None:
    """Append the rows that are `due`."""
    rows = due(con, experiments, run_id)
    if rows:
        _append(con, rows)


def due(
    con: duckdb.DuckDBPyConnection, experiments: Sequence[Experiment], run_id: str
) -> list[dict[str, Any]]:
    """A started row per experiment that is not under way in this run already.

    Attempts of other runs that never ended and whose process is gone get their failed row here.
    """
    rows = []
    under_way = set()
    for row in _open(con):
        if row["run_id"] == run_id:
            under_way.add(row["experiment_id"])
        elif is_gone(row["holder"]):
            reason = f"never ended: its process {row['holder']} is gone"
            rows.append(row | {"status": "failed", "detail": reason})
    attempts = "SELECT experiment_id, max(attempt)::BIGINT FROM experiments GROUP BY ALL"
    last = dict(con.execute(attempts).fetchall())
    for experiment in experiments:
        if experiment.experiment_id not in under_way:
            under_way.add(experiment.experiment_id)
            attempt = last.get(experiment.experiment_id, 0) + 1
            started = {"attempt": attempt, "status": "started", "run_id": run_id, "detail": ""}
            rows.append(asdict(experiment) | started | {"holder": this_process()})
    return rows


def end(con: duckdb.DuckDBPyConnection, ended: Sequence[tuple[str, str, str]], run_id: str) -> None:
    """Append (experiment_id, done or failed, detail) for attempts that this run started.

    Raises
    ------
    RefusedError : no attempt of that experiment by this run is under way.
    """
    under_way = {row["experiment_id"]: row for row in _open(con) if row["run_id"] == run_id}
    strange = [experiment_id for experiment_id, *_ in ended if experiment_id not in under_way]
    if strange:
        raise RefusedError(
            "no attempt of that experiment is under way in this run",
            where=f"table experiments, run {run_id}",
            got=strange[0],
            expected=", ".join(list(under_way)[:5]) or "an attempt begun before",
        )
    _append(
        con,
        [under_way[id_] | {"status": status, "detail": detail} for id_, status, detail in ended],
    )


def read(con: duckdb.DuckDBPyConnection, experiment_id: str | None) -> pa.Table:
    """The ledger in order of recording: all of it, or one experiment's rows."""
    return con.sql(
        "SELECT * FROM experiments WHERE experiment_id = coalesce($id, experiment_id) ORDER BY seq",
        params={"id": experiment_id},
    ).to_arrow_table()


def _open(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Started rows of attempts that have no end, in order of recording."""
    found: list[dict[str, Any]] = (
        con.sql(
            """SELECT s.* FROM experiments s ANTI JOIN experiments e
            ON (e.experiment_id, e.attempt) = (s.experiment_id, s.attempt) AND e.status <> 'started'
            WHERE s.status = 'started' ORDER BY s.seq"""
        )
        .to_arrow_table()
        .to_pylist()
    )
    return found


def _append(con: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    first = con.execute("SELECT coalesce(max(seq), 0) + 1 FROM experiments").fetchall()[0][0]
    moment = now()
    numbered = [row | {"seq": first + i, "recorded_at": moment} for i, row in enumerate(rows)]
    append(con, schemas.EXPERIMENTS, numbered)
