# ruff: noqa: S608 - every name in this SQL comes from schemas.TABLES, every value is a parameter
"""The append-only ledgers of experiments and of what they earned, on an open connection.

Belongs here: attempts that are queued, start, end, or are found dead, and the returns kept with
those that ended well. Does not: what an experiment computes, or opening the database (`store`).

An attempt is (experiment_id, attempt); its last row says where it stands. Rows are only appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factorlab_assets import schemas
from factorlab_assets.engine import scratch
from factorlab_assets.errors import RefusedError
from factorlab_assets.lock import is_gone, this_process
from factorlab_assets.store_partitions import append, arrow_schema, now
from factorlab_assets.validation import digest, normalise

_ROW = arrow_schema(schemas.EXPERIMENTS, without=("seq", "recorded_at"))

_OPEN = """
SELECT experiment_id, attempt, max(seq) AS seq, arg_max(status, seq), arg_max(run_id, seq),
    arg_max(holder, seq)
FROM experiments GROUP BY experiment_id, attempt
HAVING count_if(status IN ('done', 'failed')) = 0 ORDER BY seq"""

_STATUS = """CASE WHEN bool_or(status = 'done') THEN 'done' WHEN bool_or(status = 'failed')
THEN 'failed' WHEN bool_or(status = 'started') THEN 'started' ELSE 'queued' END"""


@dataclass(frozen=True)
class Experiment:
    """One configuration on one data version by one code version; `sweep` names the sweep that it
    is a combination of."""

    experiment_id: str
    month: str
    strategy: str
    data_version_id: str
    config_hash: str
    code_version: str
    config: str
    prices: str
    git_commit: str
    sweep: str = ""


@dataclass(frozen=True)
class _Attempt:
    """An attempt without an end; `seq` is its last row."""

    experiment_id: str
    attempt: int
    seq: int
    status: str
    run_id: str
    holder: str


def begin(con: duckdb.DuckDBPyConnection, experiments: Sequence[Experiment], run_id: str) -> None:
    """Append the rows that are `due`."""
    _append(con, due(con, experiments, run_id))


def due(con: duckdb.DuckDBPyConnection, experiments: Sequence[Experiment], run_id: str) -> pa.Table:
    """A started row per experiment that is not under way in this run already.

    It takes up the experiment's queued attempt where there is one. Attempts of other runs that
    never ended and whose process is gone get their failed row here.
    """
    open_ = _open(con)
    begun = {a.experiment_id for a in open_ if a.status == "started" and a.run_id == run_id}
    queued = {a.experiment_id: a.attempt for a in open_ if a.status == "queued"}
    new = {e.experiment_id: e for e in experiments if e.experiment_id not in begun}
    last = _last_attempts(con, new)
    place = {"status": "started", "run_id": run_id, "holder": this_process(), "detail": ""}
    rows = [
        asdict(experiment) | place | {"attempt": queued.get(id_, last.get(id_, 0) + 1)}
        for id_, experiment in new.items()
    ]
    lost = _lost(con, [a for a in open_ if a.run_id != run_id])
    return pa.concat_tables([lost, pa.Table.from_pylist(rows, schema=_ROW)])


def queue(con: duckdb.DuckDBPyConnection, experiments: Sequence[Experiment]) -> None:
    """Append a queued row per experiment that is not queued already."""
    waiting = {a.experiment_id for a in _open(con) if a.status == "queued"}
    new = {e.experiment_id: e for e in experiments if e.experiment_id not in waiting}
    last = _last_attempts(con, new)
    nowhere = {"status": "queued", "run_id": "", "holder": "", "detail": ""}
    rows = [
        asdict(experiment) | nowhere | {"attempt": last.get(id_, 0) + 1}
        for id_, experiment in new.items()
    ]
    _append(con, pa.Table.from_pylist(rows, schema=_ROW))


def lost(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """A failed row per attempt that never ended and whose process is gone."""
    return _lost(con, _open(con))


def settle(con: duckdb.DuckDBPyConnection) -> int:
    """Append the rows that are `lost`; how many."""
    rows = lost(con)
    _append(con, rows)
    return int(rows.num_rows)


def end_queued(con: duckdb.DuckDBPyConnection, ended: Sequence[tuple[str, str]]) -> int:
    """Append a failed row per (experiment_id, reason) that is queued still; how many."""
    waiting = {a.experiment_id: a.seq for a in _open(con) if a.status == "queued"}
    rows = [(waiting[id_], "failed", why) for id_, why in dict(ended).items() if id_ in waiting]
    _append(con, _again(con, rows))
    return len(rows)


def end(
    con: duckdb.DuckDBPyConnection,
    ended: Sequence[tuple[str, str, str]],
    run_id: str,
    returns: pa.Table | None = None,
) -> None:
    """Append (experiment_id, done or failed, detail) for attempts that this run started.

    One experiment ends once, as is said of it last. With them go the `returns` (columns of
    `trial_returns`) of those that are done; an experiment that has returns already gets none again.

    Raises
    ------
    RefusedError : no attempt of that experiment by this run is under way; returns of an experiment
        that is not among the done.
    """
    under_way = {
        a.experiment_id: a.seq for a in _open(con) if a.status == "started" and a.run_id == run_id
    }
    last = {id_: (status, detail) for id_, status, detail in ended}
    strange = [experiment_id for experiment_id in last if experiment_id not in under_way]
    if strange:
        raise RefusedError(
            "no attempt of that experiment is under way in this run",
            where=f"table experiments, run {run_id}",
            got=strange[0],
            expected=", ".join(list(under_way)[:5]) or "an attempt begun before",
        )
    _append(con, _again(con, [(under_way[id_], *said) for id_, said in last.items()]))
    if returns is not None:
        _append_returns(
            con, returns, {id_ for id_, (status, _) in last.items() if status == "done"}
        )


def _append_returns(con: duckdb.DuckDBPyConnection, returns: pa.Table, done: set[str]) -> None:
    given = set(pc.unique(returns["experiment_id"]).to_pylist())
    if strange := sorted(given - done):
        raise RefusedError(
            "returns of an experiment that does not end as done with them",
            where="table trial_returns",
            got=strange[0],
            expected=", ".join(sorted(done)[:5]) or "none",
        )
    held = con.execute(
        "SELECT DISTINCT experiment_id FROM trial_returns WHERE experiment_id IN "
        "(SELECT unnest(?::VARCHAR[]))",
        [list(given)],
    ).fetchall()
    if held:
        of_held = pc.is_in(returns["experiment_id"], pa.array([id_ for (id_,) in held]))
        returns = returns.filter(pc.invert(of_held))
    append(con, schemas.TRIAL_RETURNS, returns)


def returns_hashes(returns: pa.Table) -> dict[str, str]:
    """experiment_id -> the content hash of its rows of `trial_returns`: order-free, without the id.

    It is what a combination's done row names: {"trial_returns": hash}.
    """
    content = ", ".join(name for name in schemas.TRIAL_RETURNS.columns if name != "experiment_id")
    with scratch() as con:
        normalise(con, schemas.TRIAL_RETURNS, returns, "incoming")
        found = con.execute(
            f"""SELECT experiment_id, count(*), sum(hash({content}))::HUGEINT FROM incoming
            GROUP BY experiment_id ORDER BY experiment_id"""
        ).fetchall()
    return {id_: digest(n, hash_sum) for id_, n, hash_sum in found}


def read(
    con: duckdb.DuckDBPyConnection,
    experiment_id: str | None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The ledger in order of recording: all of it, or one experiment's rows."""
    wanted = schemas.EXPERIMENTS.columns if columns is None else columns
    if strange := [name for name in wanted if name not in schemas.EXPERIMENTS.columns]:
        raise RefusedError(
            "the ledger has no such column",
            where="table experiments",
            got=strange[0],
            expected=", ".join(schemas.EXPERIMENTS.columns),
        )
    of_one = "" if experiment_id is None else "WHERE experiment_id = $id"
    return con.sql(
        f"SELECT {', '.join(wanted)} FROM experiments {of_one} ORDER BY seq",
        params={} if experiment_id is None else {"id": experiment_id},
    ).to_arrow_table()


def trials(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """Every experiment once, as its last row names it, in order of that row's seq.

    files : all strategy files that it was ever computed from. status : done if any attempt ever
    was, else failed if any was, else started, else queued.
    """
    return con.sql(
        f"""SELECT experiment_id, strategy, sweep, config_hash, code_version, data_version_id,
            month, known.status AS status, seq, files
        FROM experiments JOIN (
            SELECT max(seq) AS seq, {_STATUS} AS status,
                list(DISTINCT if(sweep = '', strategy, sweep)) AS files
            FROM experiments GROUP BY experiment_id
        ) AS known USING (seq) ORDER BY seq"""
    ).to_arrow_table()


def configs(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """config_hash, config: every configuration of the ledger once."""
    return con.sql(
        """SELECT config_hash, config FROM experiments
        WHERE seq IN (SELECT min(seq) FROM experiments GROUP BY config_hash) ORDER BY seq"""
    ).to_arrow_table()


def trial_returns(con: duckdb.DuckDBPyConnection, experiment_ids: Iterable[str]) -> pa.Table:
    """What experiments earned, ordered by experiment_id and date."""
    con.register("wanted", pa.table({"experiment_id": pa.array(experiment_ids, pa.string())}))
    return con.sql(
        f"""SELECT {", ".join(schemas.TRIAL_RETURNS.columns)} FROM trial_returns
        WHERE experiment_id IN (SELECT experiment_id FROM wanted) ORDER BY experiment_id, date"""
    ).to_arrow_table()


def _open(con: duckdb.DuckDBPyConnection) -> list[_Attempt]:
    """Attempts that have no end, in order of recording."""
    return [_Attempt(*row) for row in con.execute(_OPEN).fetchall()]


def _lost(con: duckdb.DuckDBPyConnection, open_: Sequence[_Attempt]) -> pa.Table:
    gone = cache(is_gone)
    return _again(
        con,
        [
            (a.seq, "failed", f"never ended: its process {a.holder} is gone")
            for a in open_
            if a.status == "started" and gone(a.holder)
        ],
    )


def _last_attempts(con: duckdb.DuckDBPyConnection, experiment_ids: Iterable[str]) -> dict[str, int]:
    found = con.execute(
        """SELECT experiment_id, max(attempt)::BIGINT FROM experiments
        WHERE experiment_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY ALL""",
        [list(experiment_ids)],
    ).fetchall()
    return dict(found)


def _again(con: duckdb.DuckDBPyConnection, rows: Sequence[tuple[int, str, str]]) -> pa.Table:
    """Rows of the ledger by seq, each with another status and detail, in the order given."""
    if not rows:
        return _ROW.empty_table()
    seq, status, detail = zip(*rows, strict=True)
    said = {"seq": pa.array(seq, pa.int64()), "place": np.arange(len(rows))}
    con.register("said", pa.table(said | {"new_status": status, "new_detail": detail}))
    kept = [name for name in _ROW.names if name not in ("status", "detail")]
    return (
        con.sql(
            f"""SELECT {", ".join(kept)}, new_status AS status, new_detail AS detail
            FROM experiments JOIN said USING (seq) ORDER BY place"""
        )
        .to_arrow_table()
        .select(_ROW.names)
    )


def _append(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    first = con.execute("SELECT coalesce(max(seq), 0) + 1 FROM experiments").fetchall()[0][0]
    numbers = pa.array(np.arange(first, first + rows.num_rows))
    moment = pa.repeat(pa.scalar(now(), pa.timestamp("us")), rows.num_rows)
    append(
        con,
        schemas.EXPERIMENTS,
        rows.append_column("seq", numbers).append_column("recorded_at", moment),
    )
