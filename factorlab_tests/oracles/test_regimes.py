"""The trap of labelling a month by itself, on real closes, against plain loops over the vendor's
file: SPY above its ten-month average.

Tolerance 1e-12: the same closes, divided and added in another order. The figures themselves were
read off these loops once, on SPY's file of the 2024 archive up to 2024-05-31.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from factorlab_assets.core import research
from factorlab_assets.evaluation.regimes import regime_metrics
from factorlab_assets.evaluation_settings import Regime
from factorlab_tests.small_panels import panel_of, resolved_of, strategy_of

MONTHS = 10


@pytest.fixture(scope="module")
def closes(shared_data: Path) -> list[float]:
    """SPY's last close of each month."""
    rows = pd.read_csv(shared_data / "stooq" / "bulk_2024" / "spy.us.txt")
    dates = pd.to_datetime(rows["<DATE>"].astype(str))
    rows = rows[dates <= "2024-05-31"].groupby(dates.dt.to_period("M")).last()
    assert str(rows.index[0]) == "2005-02"
    return rows["<CLOSE>"].tolist()


def above_average(closes: list[float], *, shift: int) -> list[float]:
    """Returns of the months whose label, of the month-end `shift` months before their end, says
    that the close was above the mean of the last ten."""
    found = []
    for t in range(1, len(closes)):
        at = t - shift
        window = closes[at - MONTHS + 1 : at + 1] if at >= MONTHS - 1 else []
        if window and closes[at] > sum(window) / MONTHS:
            found.append(closes[t] / closes[t - 1] - 1.0)
    return found


def test_a_month_labelled_by_itself_seems_to_earn_twice_as_much(closes: list[float]):
    same, honest = (above_average(closes, shift=shift) for shift in (0, 1))
    assert 12 * sum(same) / len(same) == pytest.approx(0.214, abs=0.001)
    assert 12 * sum(honest) / len(honest) == pytest.approx(0.105, abs=0.001)


def test_ours_is_the_honest_one(closes: list[float]):
    market = panel_of({"SPY": closes}, first="2005-02")
    said = strategy_of(portfolio={"weighting": "fixed", "fixed_weights": {"SPY": 1.0}})
    resolved = resolved_of(said, ["SPY"])
    backtest = research.run(resolved, market).backtest
    regimes = {"market": Regime(rule="average", months=MONTHS)}
    rows = regime_metrics(resolved, market, backtest, regimes, price_basis="close")
    above = next(row for row in rows if row["label"] == "above its average")
    honest = above_average(closes, shift=1)
    assert above["n_months"] == len(honest) == 175
    assert above["return_ann"] == pytest.approx(12 * sum(honest) / len(honest), rel=1e-12)
    assert above["benchmark_return_ann"] == pytest.approx(above["return_ann"], rel=1e-12)
    assert sum(row["n_months"] for row in rows) == len(closes) - 1
