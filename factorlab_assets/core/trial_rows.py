"""What strategies earned, as rows of the ledger `trial_returns`.

Belongs here: from a batch or from rows of `backtest_returns` to them. Does not: the batch (`many`),
or keeping the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.core import research
from factorlab_assets.core.holding import Carry
from factorlab_assets.core.many import VALUES, Batch
from factorlab_assets.core.panel import Panel
from factorlab_assets.core.tables import ARROW
from factorlab_assets.strategy import Resolved


def trial_rows(
    ids: Sequence[str],
    strategies: Sequence[Resolved],
    batch: Batch,
    market: Panel,
    without: Collection[int] = (),
) -> pa.Table:
    """One row per strategy and month of its backtest, ordered as the strategies are, then by date.

    Parameters
    ----------
    ids : the strategies' experiments. batch : `many.evaluate` of the strategies on `market`, which
        should be a `SharedPanel`: what several are compared with is then computed once.
    without : places of strategies that get no rows.

    Returns
    -------
    The columns of `trial_returns`, decimals per month; a strategy that never starts has no rows.
    """
    beside = {name: np.full(batch.net_return.shape, np.nan) for name in ("rf", "benchmark_return")}
    for i in set(range(len(strategies))).difference(without):
        each = strategies[i]
        beside["rf"][i, 1:] = Carry.of(each.strategy, market).rf
        beside["benchmark_return"][i] = research.benchmark_returns(each, market)
    is_row = np.isfinite(batch.net_return)
    is_row[list(without)] = False
    which, month = np.nonzero(is_row)
    values = {name: getattr(batch, name) for name in VALUES} | beside
    names = pa.array(ids, pa.string()).take(pa.array(which))
    said = {"experiment_id": names, "date": batch.dates[month]}
    said |= {name: of_all[which, month] for name, of_all in values.items()}
    kinds = schemas.TRIAL_RETURNS.columns
    columns = [pa.array(said[name], ARROW[kind], from_pandas=True) for name, kind in kinds.items()]
    return pa.table(columns, names=list(kinds))


def of_backtests(rows: pa.Table, experiments: Mapping[str, str]) -> pa.Table:
    """Rows of `trial_returns` from those of `backtest_returns`: strategy -> its experiment."""
    ids = pa.array([experiments[name] for name in rows["strategy"].to_pylist()], pa.string())
    kept = [name for name in schemas.TRIAL_RETURNS.columns if name != "experiment_id"]
    return rows.select(kept).add_column(0, "experiment_id", ids)
