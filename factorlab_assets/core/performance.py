"""Performance statistics of monthly net returns: DESIGN's formulas, NaN where one is undefined.

Belongs here: numbers about a return series. Does not: making the series (`backtest`, `daily`), or
significance beyond the one t-value of the `metrics` table.
"""

from __future__ import annotations

import numpy as np

from factorlab_assets.core.backtest import Backtest, drawdown, growth
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.daily import Daily
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats

MONTHS = 12
"""N: periods per year."""

PAID = ("commission", "slippage", "spread_cost", "impact_cost", "borrow", "financing")
"""What a backtest paid, part by part; each has its yearly mean among the metrics."""

NOISE = 1e-12
"""Dispersion below this, relative to 1 + the largest return in size, is rounding and counts as 0: a
return is a price ratio less 1, so its error is of the order of 1e-16 whatever its own size."""


def metrics(
    net: Floats,
    rf: Floats,
    benchmark: Floats,
    turnover: Floats,
    cost: Floats,
    daily_net: Floats | None = None,
    **paid: Floats,
) -> dict[str, float]:
    """The statistics of a contiguous run of months, by their column in the `metrics` table.

    With N = 12, sample standard deviations (ddof 1) and NAV anchored at 1 before the first month:
    cagr = NAV_T^(N/T) − 1 · volatility_ann = sd·√N · sharpe = mean(r − rf)/sd(r − rf)·√N ·
    sortino = mean(r − rf)·N / (√mean(min(r − rf, 0)²)·√N) · max_drawdown = min(NAV/running max − 1)
    · calmar = cagr/|max_drawdown| · hit_rate = share of months with r > 0 · turnover_ann,
    cost_drag_ann and NAME_ann of whatever else was paid = mean·N; and, over the months in which the
    benchmark b is known, excess_ann = mean(r − b)·N · tracking_error_ann = sd(r − b)·√N ·
    information_ratio = their ratio · beta = cov(r − rf, b − rf)/var(b − rf) ·
    t_excess_equal_vol = mean(d)/sd(d)·√n of d = (r − rf) − s·(b − rf) with
    s = sd(r − rf)/sd(b − rf), which levers the benchmark to the strategy's volatility.

    Parameters
    ----------
    net, rf, benchmark, turnover, cost : (T,) decimals per month, T ≥ 1; benchmark NaN = not known.
    daily_net : daily returns of the same months, for max_drawdown_daily.
    paid : further columns of the backtest, (T,) each (`PAID`).

    Notes
    -----
    NaN where undefined: spread of fewer than two months, any ratio over a spread, a downside or a
    drawdown of 0 (see `NOISE`), and the growth rate of a NAV below 0.

    >>> year = np.array([0.1, -0.1])
    >>> zero = np.zeros(2)
    >>> said = metrics(year, zero, np.array([np.nan, 0.0]), zero, zero)
    >>> round(said["max_drawdown"], 12), said["hit_rate"], said["sharpe"], said["beta"]
    (-0.1, 0.5, 0.0, nan)
    """
    excess = net - rf
    nav = growth(net)
    cagr = float(nav[-1] ** (MONTHS / len(net)) - 1.0) if nav[-1] >= 0.0 else np.nan
    worst = float(drawdown(nav).min())
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    said = {
        "cagr": cagr,
        "volatility_ann": _spread(net) * np.sqrt(MONTHS),
        "sharpe": _ratio(excess.mean(), _spread(excess), excess) * np.sqrt(MONTHS),
        "sortino": _ratio(excess.mean(), downside, excess) * np.sqrt(MONTHS),
        "max_drawdown": worst,
        "max_drawdown_daily": _daily_drawdown(daily_net),
        "calmar": _ratio(cagr, -worst, net),
        "hit_rate": np.mean(net > 0.0),
        "turnover_ann": turnover.mean() * MONTHS,
        "cost_drag_ann": cost.mean() * MONTHS,
    }
    said |= {f"{name}_ann": values.mean() * MONTHS for name, values in paid.items()}
    known = np.isfinite(benchmark)
    said |= _relative(net[known], excess[known], benchmark[known], rf[known])
    return {name: float(value) for name, value in said.items()}


def segments(
    backtest: Backtest, daily: Daily | None, in_sample_until: str | None
) -> list[dict[str, object]]:
    """Metrics of `full` and, where a month divides them, of `in_sample` (up to it) and
    `out_of_sample` (after it), with segment, first_date, last_date and n_months.

    Each segment starts from NAV 1. One without a month is left out.
    """
    months = backtest.dates.astype("datetime64[M]")
    everything = np.ones(len(months), dtype=np.bool_)
    cuts = {"full": everything}
    if in_sample_until is not None:
        early = months <= np.datetime64(in_sample_until, "M")
        cuts |= {"in_sample": early, "out_of_sample": ~early}
    rows: list[dict[str, object]] = []
    for name, rows_in in cuts.items():
        if not rows_in.any():
            continue
        said = metrics(
            backtest.net_return[rows_in],
            backtest.rf[rows_in],
            backtest.benchmark_return[rows_in],
            backtest.turnover[rows_in],
            backtest.cost[rows_in],
            None if daily is None else _of_rows(daily, backtest.dates, rows_in),
            **{name: getattr(backtest, name)[rows_in] for name in PAID},
        )
        dates = backtest.dates[rows_in].tolist()
        about = {"segment": name, "first_date": dates[0], "last_date": dates[-1]}
        rows.append({**about, "n_months": len(dates), **said})
    return rows


def _relative(net: Floats, excess: Floats, benchmark: Floats, rf: Floats) -> dict[str, float]:
    """The statistics against a benchmark that is known in every one of these months."""
    active, other = net - benchmark, benchmark - rf
    mean_active = active.mean() if len(active) else np.nan
    spread, spread_other = _spread(excess), _spread(other)
    beta = t_value = np.nan
    if spread_other > 0.0:
        beta = np.cov(excess, other, ddof=1)[0, 1] / spread_other**2
        levered = excess - spread / spread_other * other
        t_value = _ratio(levered.mean(), _spread(levered), levered) * np.sqrt(len(levered))
    return {
        "excess_ann": mean_active * MONTHS,
        "tracking_error_ann": _spread(active) * np.sqrt(MONTHS),
        "information_ratio": _ratio(mean_active, _spread(active), active) * np.sqrt(MONTHS),
        "beta": beta,
        "t_excess_equal_vol": t_value,
    }


def _spread(values: Floats) -> float:
    """Sample standard deviation; exactly 0 where it is only rounding, NaN below two values."""
    if len(values) < 2:
        return np.nan
    spread = float(values.std(ddof=1))
    return 0.0 if spread <= _noise(values) else spread


def _ratio(numerator: float, denominator: float, values: Floats) -> float:
    """The ratio, NaN where the denominator is NaN, 0, or only the rounding of `values`."""
    if not len(values) or not denominator > _noise(values):
        return np.nan
    return float(numerator / denominator)


def _noise(values: Floats) -> float:
    return NOISE * (1.0 + float(np.abs(values).max()))


def _daily_drawdown(daily_net: Floats | None) -> float:
    if daily_net is None or len(daily_net) == 0:
        return np.nan
    return float(drawdown(growth(daily_net)).min())


def _of_rows(daily: Daily, dates: Dates, rows_in: Bools) -> Floats:
    """The daily returns of these rows of the backtest: each row ends with its date."""
    return np.asarray(daily.net_return[rows_in[np.searchsorted(dates, daily.dates)]])
