"""What the other layers do with the ledgers of experiments and of their returns.

Belongs here: one method per such thing, in a transaction of its own. Does not: the rows themselves
(`store_experiments`), or opening the database (`store`, whose `Store` has these methods).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import duckdb
import pyarrow as pa

from factorlab_assets import store_experiments
from factorlab_assets.store_experiments import Experiment


class ExperimentLedgers(ABC):
    """The append-only ledgers `experiments` and `trial_returns` of a database."""

    @abstractmethod
    def read(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection that reads."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A writing connection in one transaction."""

    def queue_attempts(self, experiments: Sequence[Experiment]) -> None:
        """Record that experiments are to be computed; those that are queued already stay so."""
        with self._transaction() as con:
            store_experiments.queue(con, experiments)

    def begin_attempts(self, experiments: Sequence[Experiment], run_id: str) -> None:
        """Record that a run starts on experiments; one that it has under way goes on.

        A queued attempt of the same experiment is the one that starts. Attempts of other runs that
        never ended and whose process is gone are recorded as failed.
        """
        with self.read() as con:
            is_due = store_experiments.due(con, experiments, run_id).num_rows > 0
        if is_due:
            with self._transaction() as con:
                store_experiments.begin(con, experiments, run_id)

    def settle_attempts(self) -> int:
        """Record attempts that never ended and whose process is gone as failed; how many."""
        with self.read() as con:
            is_due = store_experiments.lost(con).num_rows > 0
        if not is_due:
            return 0
        with self._transaction() as con:
            return store_experiments.settle(con)

    def end_queued(self, ended: Sequence[tuple[str, str]]) -> int:
        """Record (experiment_id, reason) as failed where it is queued and cannot run; how many."""
        with self._transaction() as con:
            return store_experiments.end_queued(con, ended)

    def end_attempts(
        self,
        ended: Sequence[tuple[str, str, str]],
        run_id: str,
        returns: pa.Table | None = None,
    ) -> None:
        """Record (experiment_id, "done" or "failed", detail) for attempts that this run began.

        Parameters
        ----------
        returns : columns of `trial_returns`, of those that are done; stored in the same
            transaction. An experiment that has returns already gets none again.

        Raises
        ------
        RefusedError : the run has no such attempt under way, or returns of another experiment;
            nothing was recorded.
        """
        with self._transaction() as con:
            store_experiments.end(con, ended, run_id, returns)

    def experiments(
        self, experiment_id: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The ledger of experiments in order of recording: all of it, or one experiment's.

        columns : those to read; `config` is by far the largest.
        """
        with self.read() as con:
            return store_experiments.read(con, experiment_id, columns)

    def trials(self) -> pa.Table:
        """Every experiment once, as its last row names it, in order of that row's seq.

        Columns experiment_id, strategy, sweep, config_hash, code_version, data_version_id, month,
        status (done if any attempt ever was, else failed if any was, else started, else queued),
        seq. What a config_hash stands for is in `configs`.
        """
        with self.read() as con:
            return store_experiments.trials(con)

    def configs(self) -> pa.Table:
        """config_hash, config: every configuration of the ledger once."""
        with self.read() as con:
            return store_experiments.configs(con)

    def trial_returns(self, experiment_ids: Iterable[str]) -> pa.Table:
        """What experiments earned, ordered by experiment_id and date; no rows of what has none."""
        with self.read() as con:
            return store_experiments.trial_returns(con, experiment_ids)

    def returns_hashes(self, returns: pa.Table) -> dict[str, str]:
        """experiment_id -> content hash of its rows of `trial_returns`, as a combination's done row
        names it: {"trial_returns": hash}."""
        return store_experiments.returns_hashes(returns)
