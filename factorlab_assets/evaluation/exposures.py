"""What a strategy's returns move with: the rows of `exposures`, and the styles of a universe.

Belongs here: betas on the market, asset classes and styles, and their Newey-West t-values. Does
not: betas over rolling windows (`performance_tables`), or what the factors say (`diagnostics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core import factors
from factorlab_assets.core.backtest import Backtest
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.core.signals import raw_values
from factorlab_assets.evaluation.sorts import earned_next, in_order, investable
from factorlab_assets.strategy_signals import Factor

Row = dict[str, object]

STYLES = ("xsmom", "trend", "low_vol", "reversal_1m")
"""Registered factors, with their own parameters and delays."""
LEAST_MONTHS = 12
"""Of a regression, at least."""
MONTHS_PER_BETA = 3
"""And so many for each of its coefficients, the intercept among them."""
LEAST_SHARE = 0.5
"""What is known in fewer of the strategy's months is left out: the others keep theirs."""
THIRD = 3
COLLINEAR = 1e-8
"""What the others leave of a column is rounding below this share of its length."""
ALIKE = 0.9
"""A regressor of which the others explain more says so: its beta is known poorly."""
INTERCEPT = "intercept"
MARKET = "SPY"


class Fit(NamedTuple):
    """Least squares: beta, se and t (K,), R², and the residuals (T,)."""

    beta: Floats
    se: Floats
    t: Floats
    r_squared: float
    residuals: Floats


def lags_of(n: int) -> int:
    """How many lags Newey and West's variance takes of n months: ⌊4·(n/100)^(2/9)⌋.

    References: Newey and West (1994), doi:10.2307/2297912, the rule of thumb for Bartlett weights.

    >>> [lags_of(n) for n in (1, 12, 100, 240)]
    [1, 2, 4, 4]
    """
    return int(4.0 * (n / 100.0) ** (2.0 / 9.0))


def newey_west(x: Floats, y: Floats, lags: int) -> Fit:
    """Least squares of y on the columns of x, with t-values that autocorrelation does not flatter.

    β = (X'X)⁻¹X'y, e = y − Xβ, Var β = n/(n − k) · (X'X)⁻¹ S (X'X)⁻¹ with
    S = Γ₀ + Σ_j (1 − j/(lags + 1))·(Γ_j + Γ_j'), Γ_j = Σ_t x_t e_t e_{t−j} x_{t−j}'; t = β/se.

    Parameters
    ----------
    x : (T, K), of full rank, K < T, an intercept among its columns where one is wanted. y : (T,),
    all known. lags : 0 … T − 1.

    Returns
    -------
    `Fit`. R² = 1 − Σe²/Σ(y − ȳ)². se and t are NaN where the residuals are only rounding, R² where
    y does not move.

    References
    ----------
    Newey and West (1987), "A Simple, Positive Semi-definite, Heteroskedasticity and
    Autocorrelation Consistent Covariance Matrix", Econometrica 55(3), 703-708,
    doi:10.2307/1913610, equation 5; the factor n/(n − k) is the usual correction for small samples.

    >>> months = np.array([[1.0], [1.0], [1.0], [1.0]])
    >>> fit = newey_west(months, np.array([0.01, 0.03, 0.01, 0.03]), 0)
    >>> fit.beta.round(4).tolist(), fit.t.round(4).tolist()
    ([0.02], [3.4641])
    """
    n, k = x.shape
    q, r = np.linalg.qr(x)
    solved = np.linalg.inv(r)
    beta = solved @ (q.T @ y)
    residuals = y - x @ beta
    noise = NOISE * (1.0 + np.abs(y).max(initial=0.0))
    apart = y - y.mean()
    moves = np.sqrt(np.mean(apart**2)) > noise
    r_squared = 1.0 - float(residuals @ residuals) / float(apart @ apart) if moves else np.nan
    # Each coefficient's part of (X'X)⁻¹ x_t e_t; its variance is their long-run sum of products.
    influence = (q * residuals[:, np.newaxis]) @ solved.T
    variance = (influence**2).sum(axis=0)
    for lag in range(1, lags + 1):
        together = (influence[lag:] * influence[:-lag]).sum(axis=0)
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * together
    is_exact = np.sqrt(np.mean(residuals**2)) <= noise
    known = (variance > 0.0) & (not is_exact)
    se = np.sqrt(np.where(known, variance, np.nan) * n / (n - k))
    return Fit(beta, se, beta / se, r_squared, residuals)


def style_returns(
    panel: Panel, members: Bools | None = None, styles: Sequence[str] = STYLES
) -> dict[str, Floats]:
    """Each style's return in a universe: top less bottom third by a factor, before costs.

    At every date t names with a signal and a price are sorted by the registered factor, its own
    parameters and delay; of n, the ⌊n/3⌋ highest are held long and as many lowest short, with equal
    weights, from t to t+1. Names that tie share their places (`sorts.in_order`).

    Parameters
    ----------
    panel : the universe (T, N). members : (T, N), who may be held; None is whoever has a price.

    Returns
    -------
    name -> (T,) on the panel's dates, decimal of the return that is complete at each; NaN at the
    first, and where fewer than 3 names could be sorted. Nothing after a date moves it.

    >>> from factorlab_tests.small_panels import panel_of
    >>> three = panel_of({"A": [1.0, 1.1, 1.1], "B": [1.0, 1.0, 1.0], "C": [1.0, 0.8, 1.0]})
    >>> style_returns(three, styles=["reversal_1m"])["reversal_1m"].round(4).tolist()
    [nan, nan, 0.25]
    """
    earned, formed = earned_next(panel), investable(panel, members)[:-1]
    found = {}
    for name in styles:
        params, delay = factors.complete(name, {}, None)
        signal = raw_values(panel, panel, Factor(name=name, params=params, delay=delay))
        order = in_order(signal[:-1], earned, formed)
        size = order.names // THIRD
        long = order.means(order.names - size, order.names)
        found[name] = _dated(long - order.means(np.zeros_like(size), size))
    return found


def class_returns(panel: Panel, asset_classes: Mapping[str, str]) -> dict[str, Floats]:
    """Each asset class's return: of its names with a price at t, equally weighted, to t+1.

    Parameters
    ----------
    panel : the universe. asset_classes : ticker -> class; an empty class is none.

    Returns
    -------
    class, ascending -> (T,) decimal on the panel's dates, NaN where no name of it had a price.
    """
    earned, formed = earned_next(panel), investable(panel)[:-1]
    of = np.array([asset_classes.get(str(ticker), "") for ticker in panel.tickers], dtype=np.str_)
    found = {}
    for name in sorted(set(of.tolist()) - {""}):
        held = formed & (of == name)
        count = held.sum(axis=1)
        total = np.where(held, earned, 0.0).sum(axis=1)
        found[name] = _dated(total / np.where(count > 0, count, np.nan))
    return found


def exposures(
    backtest: Backtest,
    market: Panel,
    asset_classes: Mapping[str, str],
    styles: Mapping[str, Floats],
    *,
    benchmark: str = MARKET,
) -> list[Row]:
    """Rows of `exposures`, less month and strategy: three regressions of net − rf.

    market : on the benchmark over cash where it is a ticker, else on SPY, and where that has no
    price on whatever the benchmark is. classes : on every asset class over cash (`class_returns`).
    styles : on long-short returns, which need no cash. beta of `intercept` is ·12, decimal a year;
    t-values are Newey and West's with `lags_of` the months.

    Parameters
    ----------
    market : every ticker, or at least SPY and those of `asset_classes`. asset_classes : ticker ->
    class, of the strategy's universe. styles : name -> (T,) on the market's dates. benchmark : the
    strategy's; its returns are the backtest's.

    Returns
    -------
    An intercept and every regressor of each model. NaN, with the reason in `note`, for a regressor
    that is known in under half of the months, or is a constant or a combination of those before it;
    and for a model of fewer than 12 months, or 3 per coefficient. Months in which a regressor is
    not known are left out of its model.
    """
    at = np.searchsorted(market.dates, backtest.dates)
    excess, rf = backtest.net_return - backtest.rf, backtest.rf
    name, of_market, what = _market(backtest, market, benchmark, at)
    rows = _regressed("market", excess, [_Regressor(name, of_market - rf, what)], "no market")
    held = market.select(asset_classes)
    classes = []
    for label, values in class_returns(held, asset_classes).items():
        count = sum(asset_classes.get(str(ticker)) == label for ticker in held.tickers)
        of = "1 ticker" if count == 1 else f"{count} tickers, equally weighted"
        classes.append(_Regressor(label, values[at] - rf, f"{of}, over cash"))
    rows += _regressed("classes", excess, classes, "no asset class is known of any ticker")
    long_short = [_Regressor(label, styles[label][at], _told(label)) for label in sorted(styles)]
    return rows + _regressed("styles", excess, long_short, "no style returns")


@dataclass(frozen=True)
class _Regressor:
    """A column: its name, values (n,) with NaN = not known, and what it is."""

    name: str
    values: Floats
    about: str

    @property
    def factor(self) -> str:
        """Its name in the table, where the intercept has one too."""
        return f"{self.name} (returns)" if self.name == INTERCEPT else self.name


def _market(
    backtest: Backtest, market: Panel, benchmark: str, at: npt.NDArray[np.intp]
) -> tuple[str, Floats, str]:
    """Name, return of every row and description of what stands for the market."""
    there = benchmark in market.tickers
    spy = market.select([MARKET])
    if there or np.isnan(spy.price).all():
        what = "ticker" if there else "benchmark"
        return benchmark, backtest.benchmark_return, f"return of the {what} over cash"
    marks = np.where(np.isfinite(spy.price), spy.mark, np.nan)[:, 0]
    returns = _dated(marks[1:] / marks[:-1] - 1.0)
    return MARKET, returns[at], "return of the ticker over cash"


def _told(style: str) -> str:
    """What a style is, in words."""
    if style not in factors.REGISTRY:
        return "long less short"
    params, delay = factors.complete(style, {}, None)
    window = factors.window(style, params, delay)
    return f"top less bottom third of the universe by {style} ({window}), before costs"


def _dated(of_periods: Floats) -> Floats:
    """Returns of the periods t → t+1, (T−1,), at the dates that they are complete at, (T,)."""
    return np.concatenate([[np.nan], of_periods])


def _regressed(model: str, y: Floats, regressors: Sequence[_Regressor], nothing: str) -> list[Row]:
    """The rows of one model: its intercept, then every regressor, with figures or a reason."""
    enough = max(LEAST_MONTHS, LEAST_SHARE * len(y))
    rows: list[Row] = []
    used: list[_Regressor] = []
    for each in regressors:
        months = int(np.isfinite(each.values).sum())
        if months >= enough:
            used.append(each)
            continue
        why = f"left out: known in {months} of {len(y)} months, {int(np.ceil(enough))} needed"
        rows.append(_row(model, each.factor, months, f"{why}; {each.about}"))
    if not used:
        why = "none of its returns is known for long enough" if regressors else nothing
        return [_row(model, INTERCEPT, 0, why), *rows]
    columns = np.column_stack([each.values for each in used])
    known = np.isfinite(columns).all(axis=1) & np.isfinite(y)
    months = int(known.sum())
    kept, reasons = _independent(columns[known], used)
    for i, reason in reasons.items():
        note = f"left out: {reason}; {used[i].about}"
        rows.append(_row(model, used[i].factor, months, note))
    used = [used[i] for i in kept]
    needed = max(LEAST_MONTHS, MONTHS_PER_BETA * (len(used) + 1))
    if months < needed or not used:
        why = f"{months} months with all of the returns, at least {needed} are needed"
        why = why if used else "none of its returns moves"
        short = [_row(model, each.factor, months, f"{why}; {each.about}") for each in used]
        return [_row(model, INTERCEPT, months, why), *short, *rows]
    return _fitted(model, y[known], columns[known][:, kept], used) + rows


def _independent(columns: Floats, of: Sequence[_Regressor]) -> tuple[list[int], dict[int, str]]:
    """Which columns an intercept and those kept before leave something of; of others, why not."""
    kept: list[int] = []
    reasons: dict[int, str] = {}
    basis = np.full((len(columns), 1), 1.0 / np.sqrt(max(len(columns), 1)))
    for i, column in enumerate(columns.T):
        rest, apart = column, column - column.mean() if len(column) else column
        for _ in range(2):  # once more takes what rounding left
            rest = rest - basis @ (basis.T @ rest)
        length, own = float(np.linalg.norm(rest)), float(np.linalg.norm(apart))
        if own <= NOISE * np.sqrt(len(columns)) * (1.0 + np.abs(column).max(initial=0.0)):
            reasons[i] = "it does not move"
        elif length <= COLLINEAR * own:
            reasons[i] = f"a combination of {', '.join(of[j].name for j in kept)}"
        else:
            kept.append(i)
            basis = np.column_stack([basis, rest / length])
    return kept, reasons


def _fitted(model: str, y: Floats, columns: Floats, used: Sequence[_Regressor]) -> list[Row]:
    """Rows with figures: y and columns are all known, and no column is made of the others."""
    lags = lags_of(len(y))
    x = np.column_stack([np.ones(len(y)), columns])
    fit = newey_west(x, y, lags)
    reason = ""
    if np.isnan(fit.r_squared):
        reason = "; the strategy's returns over cash do not move"
    elif np.isnan(fit.t).all():
        reason = "; the fit is exact, without an error to divide by"
    about = f"return a year at betas of 0; Newey-West with {lags} lags, variance times n/(n − k)"
    said = {"r_squared": fit.r_squared}
    rows = [_row(model, INTERCEPT, len(y), about + reason, fit.beta[0] * MONTHS, fit.t[0], **said)]
    for i, each in enumerate(used, start=1):
        note = each.about + reason
        if len(used) > 1:
            others = newey_west(np.delete(x, i, axis=1), x[:, i], 0).r_squared
            if others > ALIKE:
                note += f"; the others explain {100.0 * others:.0f} % of it: its beta is uncertain"
        rows.append(_row(model, each.factor, len(y), note, fit.beta[i], fit.t[i], **said))
    return rows


def _row(
    model: str,
    factor: str,
    n_months: int,
    note: str,
    beta: float = np.nan,
    t_value: float = np.nan,
    r_squared: float = np.nan,
) -> Row:
    figures: Row = {"beta": float(beta), "t_value": float(t_value), "r_squared": float(r_squared)}
    return {"model": model, "factor": factor, **figures, "n_months": n_months, "note": note}
