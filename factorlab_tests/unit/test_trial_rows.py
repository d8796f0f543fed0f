"""Rows of `trial_returns` from a batch, against the same strategies' backtests one by one."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets import schemas
from factorlab_assets.core import many, research
from factorlab_assets.core.shared import SharedPanel
from factorlab_assets.core.trial_rows import trial_rows
from factorlab_assets.strategy import Resolved
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

XSMOM = {"name": "xsmom", "params": {"lookback": 3, "skip": 1}, "delay": 0}
WALK = 50.0 * np.exp(np.cumsum(0.05 * np.random.default_rng(5).standard_normal((24, 4)), axis=0))
PANEL = panel_of({ticker: WALK[:, i] for i, ticker in enumerate(("A", "B", "BIL", "SPY"))})


def strategies() -> list[Resolved]:
    cash = [{}, {"yield_ann": 0.02}, {"ticker": "BIL"}]
    found = [
        strategy_of(factors=[XSMOM], portfolio={"select": {"top_k": k}, "min_names": 1}, cash=each)
        for k, each in enumerate(cash, start=1)
    ]
    found += [
        strategy_of(factors=[XSMOM], portfolio={"min_names": 1}, benchmark=name)
        for name in ("equal_weight", "GONE")
    ]
    found.append(strategy_of(factors=[XSMOM], portfolio={"min_names": 9}))
    return [resolved_of(each, None) for each in found]


def test_rows_say_what_the_backtests_say() -> None:
    every, market = strategies(), SharedPanel.of(PANEL)
    ids = [f"id-{i}" for i in range(len(every))]
    rows = trial_rows(ids, every, many.evaluate(every, market), market)
    assert rows.column_names == list(schemas.TRIAL_RETURNS.columns)
    assert rows["experiment_id"].unique().to_pylist() == ids[:-1]
    by_id = rows.to_pandas().groupby("experiment_id")
    for id_, resolved in zip(ids[:-1], every, strict=False):
        backtest, own = research.run(resolved, PANEL).backtest, by_id.get_group(id_)
        assert own["date"].astype("datetime64[s]").tolist() == list(
            backtest.dates.astype("datetime64[s]")
        )
        for name in rows.column_names[2:]:
            np.testing.assert_allclose(
                own[name].to_numpy(np.float64), getattr(backtest, name), rtol=0, atol=1e-12
            )
    unknown = by_id.get_group("id-4")["benchmark_return"]
    assert unknown.isna().all()


@pytest.mark.parametrize("companions", [0, 1, 3])
def test_a_row_does_not_depend_on_its_companions(companions: int) -> None:
    every, market = strategies(), SharedPanel.of(PANEL)
    ids = [f"id-{i}" for i in range(len(every))]
    together = trial_rows(ids, every, many.evaluate(every, market), market)
    few, own = every[: companions + 1], SharedPanel.of(PANEL)
    fewer = trial_rows(ids[: companions + 1], few, many.evaluate(few, own), own)
    assert fewer == together[: fewer.num_rows]
    assert fewer.num_rows > 0
