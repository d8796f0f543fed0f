"""Statistics of many series side by side are those of each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorlab_assets.core.performance import metrics
from factorlab_assets.core.performance_many import metrics_of_many

TOLERANCE = 1e-12


def series(seed: int, count: int, months: int) -> dict[str, np.ndarray]:
    """Rows that start and end anywhere: ordinary ones, constant ones, ruins; gaps in benchmarks."""
    rng = np.random.default_rng(seed)
    net = rng.normal(0.004, 0.05, (count, months))
    net[::5] = 0.01
    net[3::7, months // 2] = -1.0
    net[4::7, months // 2 :] = -1.5
    start = rng.integers(0, months, count)
    stop = months - rng.integers(0, months // 2 + 1, count)
    column = np.arange(months)
    net[(column < start[:, None]) | (column >= stop[:, None])] = np.nan
    benchmark = rng.normal(0.003, 0.04, net.shape)
    benchmark[rng.random(net.shape) < 0.1] = np.nan
    benchmark[::4] = net[::4]
    rf = np.broadcast_to(rng.choice([0.0, 0.002], (count, 1)), net.shape)
    turnover = np.abs(rng.normal(0.3, 0.2, net.shape))
    return {
        "net": net,
        "rf": rf,
        "benchmark": benchmark,
        "turnover": turnover,
        "cost": turnover / 900,
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 50))
def test_each_row_is_what_it_is_by_itself(seed, count, months):
    given_ = series(seed, count, months)
    found = metrics_of_many(**given_)
    for i in range(count):
        rows = np.isfinite(given_["net"][i])
        assert found["n_months"][i] == rows.sum()
        if not rows.any():
            assert all(np.isnan(v[i]) for name, v in found.items() if name != "n_months")
            continue
        expected = metrics(**{name: values[i, rows] for name, values in given_.items()})
        for name in found.keys() - {"n_months"}:
            assert found[name][i] == pytest.approx(
                expected[name], rel=TOLERANCE, abs=TOLERANCE, nan_ok=True
            ), name


def test_by_hand():
    net = np.array([[0.1, -0.1, np.nan], [np.nan, 0.02, 0.04]])
    zero = np.zeros_like(net)
    found = metrics_of_many(net, zero, zero + 0.01, zero + 0.5, zero + 0.001)
    assert found["cagr"] == pytest.approx([0.99**6 - 1.0, (1.02 * 1.04) ** 6 - 1.0], rel=1e-12)
    assert found["max_drawdown"] == pytest.approx([-0.1, 0.0], abs=1e-15)
    sd = np.array([0.1 * np.sqrt(2.0), 0.02 / np.sqrt(2.0)])
    assert found["sharpe"] == pytest.approx(np.array([0.0, 0.03]) / sd * np.sqrt(12), rel=1e-12)
    assert found["information_ratio"] == pytest.approx(
        np.array([-0.01, 0.02]) / sd * np.sqrt(12), rel=1e-12
    )
    assert found["excess_ann"] == pytest.approx([-0.12, 0.24], rel=1e-12)
    assert found["turnover_ann"] == pytest.approx([6.0, 6.0], rel=1e-12)
    assert found["cost_drag_ann"] == pytest.approx([0.012, 0.012], rel=1e-12)


def test_no_series_and_no_months():
    for shape in ((0, 3), (2, 0)):
        found = metrics_of_many(*np.empty((5, *shape)))
        assert found["n_months"].tolist() == [0.0] * shape[0]
        assert np.isnan(found["sharpe"]).all()
