"""A sheet whose every figure is written by hand, so that a test knows it on a page.

Belongs here: the rows. Does not: sheets of strategies that ran (`sheets`).
"""

from __future__ import annotations

import datetime as dt
import math
from functools import cache

import pyarrow as pa

from factorlab_assets import schemas
from factorlab_assets.reports.sheet import Identity, Sheet

FIRST, MONTHS = 2019 * 12 + 10, 50  # November 2019 to December 2023
COMPONENTS = {
    "sharpe": (38.0, 0.25),
    "delay_stability": (81.0, 0.15),
    "neutralization_stability": (None, 0.0),
    "baseline_uniqueness": (12.0, 0.15),
    "class_consistency": (44.0, 0.1),
    "positive_years": (75.0, 0.1),
    "factor_uniqueness": (9.0, 0.1),
}


def _day(k: int) -> dt.date:
    year, month = divmod(FIRST + k, 12)
    return dt.date(year, month + 1, 28)


def _backtest() -> list[dict[str, object]]:
    rows, nav, high = [], 1.0, 1.0
    for k in range(MONTHS):
        net = (0.031, -0.012, 0.004)[k % 3] - (0.2 if k == 20 else 0.0)
        nav *= 1 + net
        high = max(high, nav)
        row: dict[str, object] = dict.fromkeys(
            schemas.BACKTEST_RETURNS.columns.keys() - {"month", "strategy"}, 0.0
        )
        row |= {"date": _day(k), "net_return": net, "nav": nav, "drawdown": nav / high - 1}
        row |= {"gross_return": net + 0.0005, "cost": 0.0005, "turnover": 0.5}
        row |= {"benchmark_return": 0.005, "gross_exposure": 1.0, "net_exposure": 0.6}
        rows.append(row | {"n_holdings": 3, "n_unpriced": 0, "n_volume_unknown": 0})
    return rows


def _years(backtest: list[dict[str, object]]) -> list[dict[str, object]]:
    rows = []
    for year in range(2019, 2024):
        own = [r for r in backtest if r["date"].year == year]
        rows.append(
            {
                "year": year,
                "n_months": len(own),
                "net_return": math.prod(1 + r["net_return"] for r in own) - 1,
                "benchmark_return": 1.005 ** len(own) - 1,
                "is_full": len(own) == 12,
            }
        )
    return rows


@cache
def made() -> Sheet:
    """A sheet by hand: every figure on it is told apart from the others."""
    backtest = _backtest()
    metrics: dict[str, object] = {
        name: 0.0 for name, kind in schemas.METRICS.columns.items() if kind == "DOUBLE"
    }
    metrics |= {"segment": "full", "cagr": 0.1234, "volatility_ann": 0.1567, "sharpe": 0.789}
    metrics |= {"sortino": 1.371, "max_drawdown": -0.2345, "max_drawdown_daily": -0.2987}
    metrics |= {"calmar": 0.526, "hit_rate": 0.6613, "excess_ann": 0.0421, "beta": 0.834}
    metrics |= {"tracking_error_ann": 0.0777, "information_ratio": 0.542, "turnover_ann": 6.02}
    metrics |= {"cost_drag_ann": 0.0063, "t_excess_equal_vol": -1.91}
    inference = [
        ("benchmark", "dsr", 0.6543, None, None),
        ("benchmark", "sharpe_bootstrap", 0.542, -0.113, 1.197),
        ("raw", "dsr", 0.8765, None, None),
        ("raw", "n_trials", 12.0, None, None),
        ("raw", "psr", 0.99999, None, None),
        ("raw", "sharpe_bootstrap", 0.789, 0.214, 1.364),
    ]
    names = ("returns", "statistic", "value", "low", "high")
    weights = [
        {"date": _day(k - 1), "ticker": name, "weight": w, "reason": "", "outcome": ""}
        for k in range(MONTHS + 1)
        for name, w in (("AAA", 0.51), ("BBB", 0.29), ("CCC", -0.2), ("NIL", 0.0))
    ]
    drawn = [
        {"rank": 1, "peak": _day(19), "trough": _day(20), "recovery": _day(41), "depth": -0.2345},
        {"rank": 2, "peak": _day(45), "trough": _day(46), "recovery": None, "depth": -0.0123},
    ]
    betas = [
        ("classes", "Equity", 0.613, 4.56),
        ("market", "SPY", 0.417, 3.14),
        ("market", "intercept", 0.0517, 1.23),
        ("styles", "trend", -0.222, -2.71),
    ]
    verdict: list[dict[str, object]] = [
        {"component": name, "value": 0.5, "low": None, "high": None, "score": score}
        | {"weight": 0.1, "weight_used": used, "grade": "", "light": "", "note": ""}
        for name, (score, used) in COMPONENTS.items()
    ]
    note = "composite 53.2 of 100; trials: N = 12; excess over 60/40: +1.9 % a year, t = 1.08"
    verdict.append(
        verdict[0]
        | {"component": "total", "score": 53.2, "grade": "C", "light": "amber", "note": note}
    )
    rolled = [
        {"date": _day(k), "sharpe": 0.111 + 0.01 * k, "volatility_ann": 0.1 + 0.001 * k}
        | {"beta": 0.25 + 0.001 * k, "market_beta": 0.7 - 0.002 * k}
        for k in range(35, MONTHS)
    ]
    rows = {
        "backtest_returns": backtest,
        "metrics": [metrics],
        "inference": [dict(zip(names, row, strict=True)) | {"note": "drawn"} for row in inference],
        "calendar_returns": _years(backtest),
        "weights": weights,
        "drawdowns": [row | {"n_months": 22 - row["rank"]} for row in drawn],
        "exposures": [
            {"model": m, "factor": f, "beta": b, "t_value": t, "r_squared": 0.61, "n_months": 50}
            | {"note": ""}
            for m, f, b, t in betas
        ],
        "verdict": verdict,
        "rolling_metrics": rolled,
    }
    tables = {name: pa.Table.from_pylist(said) for name, said in rows.items()}
    classes = {"AAA": "Equity", "BBB": "Rates", "CCC": "Equity", "NIL": "Credit"}
    return Sheet(IDENTITY, tables, {}, classes)


IDENTITY = Identity(
    strategy="by_hand",
    description="Three names, two of them held.",
    month="2023-12",
    experiment_id="e1e2e3e4e5e6e7e8",
    data_version_id="2023-12-0a1b2c3d4e5f",
    source="synthetic",
    observed="2024-01-02",
    config_hash="c0ffee0123456789",
    code_version="feedbeef01234567",
    git_commit="0" * 40,
    price_basis="synthetic",
    rf_label="rf = 0",
    benchmark="60/40",
    caveats="",
    config="",
    lineage={},
)
