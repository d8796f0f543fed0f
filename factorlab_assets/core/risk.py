"""Covariances and betas at a date, from the returns that were known then.

Belongs here: which returns a risk model sees, and the models. Does not: what is done with a
covariance (`optimise`, `portfolio`).

scikit-learn and skfolio are imported only by the models that are theirs: that takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.factors.base import NO_SPREAD
from factorlab_assets.core.factors.base import returns as monthly_returns
from factorlab_assets.core.memo import Memo, digest
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy_book import Beta, Risk

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

SESSIONS = 21
"""Trading days that count as a month: a daily covariance times this is a monthly one."""
ENOUGH = 0.9
"""Rows without a gap are used alone where they are so large a share of what is asked for."""
MOST_SAID = 5
"""Tickers named in a note; the others are counted."""
NOTE_BYTES = 500
"""What a remembered covariance takes beside its matrix, about."""


@dataclass(frozen=True)
class Covariance:
    """A covariance of monthly returns, and of whom.

    names : (n,) columns of the panel, ascending. matrix : (n, n) decimal squared per month,
    symmetric, positive semidefinite, read-only. n_obs : returns it rests on (months or days).
    note : what is to be said of it, "" where nothing, e.g. "no risk history: A, B".
    """

    names: Rows
    matrix: Floats
    n_obs: int
    note: str


_covariances = Memo[Covariance](most_bytes=128 * 2**20)


def covariance(risk: Risk, panel: Panel, t: int, wanted: Bools) -> Covariance:
    """The covariance of the wanted names' monthly returns, as it could be estimated at row t.

    The window is the last `risk.window` months: their monthly returns, or the daily ones of their
    sessions, whose covariance times 21 is a month's. A return needs a price at both its ends (a
    daily one: bars on consecutive sessions); nothing is filled forward.

    - A name is left out, and noted, without `least_months` months of returns in the window (a
      month counts with returns on half its sessions), or where its returns do not vary.
    - Rows with a gap are dropped if at least 90 % of the rows of `least_months` are left. Else
      a missing return is the name's mean, and its other returns are stretched about it by
      √((T − 1)/(T_known − 1)): its variance stays, its correlations shrink with what is missing.
    - Models: `sample` (ddof 1); `exponential`, the mean of r r' weighted by 2^(−age/half_life), not
      centred, as RiskMetrics has it; `ledoit_wolf` and `oas`, shrunk to a multiple of the unit
      matrix; `denoised`, correlations whose eigenvalues within the Marchenko-Pastur edge are
      replaced by their mean; `gerber`, the positive semidefinite variant at half a standard
      deviation, negative eigenvalues at 0; `factor`, correlations of the first `n_factors`
      principal components, and ones on the diagonal. The two that shrink are scikit-learn's, the
      two after them skfolio's.

    Parameters
    ----------
    panel : with `bars` where `risk.returns` is daily. wanted : (N,) who is asked for.

    Returns
    -------
    Covariance; of nobody (n = 0) where no wanted name has a history. Fewer rows than names is
    noted: every model still gives a covariance, but `sample` and `exponential` ones are singular.

    Raises
    ------
    FactorLabError : daily returns of a panel without bars.

    References
    ----------
    Ledoit, Wolf (2004), doi 10.1016/S0047-259X(03)00096-4. Chen, Wiesel, Eldar, Hero (2010), doi
    10.1109/TSP.2010.2053029. López de Prado (2020), chapter 2, doi 10.1017/9781108883658. Gerber,
    Markowitz, Ernst, Miao, Javid, Sargen (2022), doi 10.3905/jpm.2021.1.316.
    """
    asked = np.flatnonzero(wanted)
    daily = risk.returns == "daily"
    change, month = _daily(risk, panel, t, asked) if daily else _monthly(risk, panel, t, asked)
    tickers, size = panel.tickers[asked], NOTE_BYTES + 8 * len(asked) ** 2
    return _covariances.get(
        digest(risk, change, month, asked, tickers),
        lambda: _of_window(risk, change, month, asked, tickers),
        size,
    )


def _of_window(
    risk: Risk, change: Floats, month: Rows, asked: Rows, tickers: npt.NDArray[np.str_]
) -> Covariance:
    """The covariance of the returns (rows, n) of the panel's columns `asked`."""
    has_history = _months(np.isfinite(change), month) >= risk.least_months
    per_month = len(month) / max(len(np.unique(month)), 1)
    rows, n_filled = _whole(change[:, has_history], ENOUGH * risk.least_months * per_month)
    varies = _varies(rows)
    rows = np.ascontiguousarray(rows[:, varies])
    kept = asked[has_history][varies]
    said = {
        "no risk history": tickers[~has_history],
        "no variance": tickers[has_history][~varies],
    }
    notes = [f"{what}: {_listed(who)}" for what, who in said.items() if who.size]
    if n_filled:
        notes.append(f"{n_filled} missing returns filled")
    if 0 < len(rows) < len(kept):
        notes.append(f"fewer returns than names: {len(rows)} of {len(kept)}")
    return Covariance(kept, _estimate(risk, rows), len(rows), "; ".join(notes))


def betas(beta: Beta, panel: Panel, market: Panel) -> Floats:
    """Each name's beta at each date, (T, N): the slope of its monthly returns on the market's.

    β = Σ(m − m̄)·r / Σ(m − m̄)² over the last `window` months, by least squares with an intercept.
    NaN where one of the window's returns is not known, or the market's do not vary.

    Parameters
    ----------
    market : the panel, of the same dates, that `beta.market` is looked up in.

    Notes
    -----
    At row t the last return is P_t as seen at t over P_{t−1}, which is what was known then.
    """
    own = market.select([beta.market])
    change, index = monthly_returns(panel.price), monthly_returns(own.price)
    last_change, last_index = _as_seen(panel), _as_seen(own)
    beta_of = np.full(change.shape, np.nan)
    if len(change) <= beta.window:
        return beta_of
    # Row t's window is rows t − window + 1 … t; lag k of every window at once is one slice.
    windows = [slice(beta.window - lag, len(change) - lag) for lag in range(beta.window - 1, 0, -1)]
    moves = [*(index[each] for each in windows), last_index[beta.window :]]
    rs = [*(change[each] for each in windows), last_change[beta.window :]]
    centre, squares = np.zeros((2, *moves[0].shape))
    for move in moves:  # not np.mean, whose order of adding depends on how many rows there are
        centre += move / beta.window
    covaried = np.zeros((len(centre), change.shape[1]))
    for move, r in zip(moves, rs, strict=True):
        covaried += (move - centre) * r
        squares += (move - centre) ** 2
    flat = squares <= beta.window * (NO_SPREAD * (1.0 + np.abs(centre))) ** 2
    beta_of[beta.window :] = covaried / np.where(flat, np.nan, squares)
    return beta_of


def _as_seen(panel: Panel) -> Floats:
    """Each date's return over its last month, (T, N), from its own price as it was seen then."""
    out = np.full(panel.price.shape, np.nan)
    out[1:] = panel.seen[1:] / panel.price[:-1] - 1.0
    return out


def _monthly(risk: Risk, panel: Panel, t: int, asked: Rows) -> tuple[Floats, Rows]:
    """The window's returns (rows, n), and the month that each row belongs to."""
    price = np.ascontiguousarray(panel.price[max(t - risk.window, 0) : t + 1, asked])
    price[-1] = panel.seen[t, asked]
    return price[1:] / price[:-1] - 1.0, np.arange(len(price) - 1)


def _daily(risk: Risk, panel: Panel, t: int, asked: Rows) -> tuple[Floats, Rows]:
    if panel.bars is None:
        raise FactorLabError("a risk model on daily returns needs daily bars", got="none")
    bars = panel.bars.as_known(panel.dates[t])
    first = int(np.searchsorted(bars.month, max(t - risk.window + 1, 0)))
    start = max(first - 1, 0)
    close = np.ascontiguousarray(bars.close[start:, asked])  # sums round alike
    return close[1:] / close[:-1] - 1.0, bars.month[start + 1 :]


def _months(known: Bools, month: Rows) -> Rows:
    """How many months each name has returns on at least half the sessions of, (n,)."""
    if not len(month):
        return np.zeros(known.shape[1], dtype=np.intp)
    starts = np.flatnonzero(np.diff(month, prepend=-1))
    counts = np.add.reduceat(known.astype(np.intp), starts, axis=0)
    sizes = np.diff(starts, append=len(month))
    return np.asarray(np.sum(2 * counts >= sizes[:, np.newaxis], axis=0))


def _whole(change: Floats, least: float) -> tuple[Floats, int]:
    """Returns without gaps, and how many of them were filled."""
    known = np.isfinite(change)
    complete = known.all(axis=1)
    if np.count_nonzero(complete) >= max(least, 2.0):
        return change[complete], 0
    change, known = change[known.any(axis=1)], known[known.any(axis=1)]
    counts = np.count_nonzero(known, axis=0)
    mean = np.where(known, change, 0.0).sum(axis=0) / np.maximum(counts, 1)
    stretch = np.sqrt(max(len(change) - 1, 0) / np.maximum(counts - 1, 1))
    filled = mean + np.where(known, change - mean, 0.0) * stretch
    return filled, int(np.count_nonzero(~known))


def _varies(rows: Floats) -> Bools:
    """Who has returns that differ by more than their rounding, (n,)."""
    if len(rows) < 2:
        return np.zeros(rows.shape[1], dtype=np.bool_)
    return np.asarray(rows.std(axis=0) > NO_SPREAD * (1.0 + np.abs(rows.mean(axis=0))))


def _listed(names: Iterable[str]) -> str:
    said = [str(name) for name in names]
    more = len(said) - MOST_SAID
    return ", ".join(said[:MOST_SAID]) + (f" and {more} more" if more > 0 else "")


def _estimate(risk: Risk, rows: Floats) -> Floats:
    """The covariance per month of returns (T, n) without gaps, each of which varies."""
    per_month = SESSIONS if risk.returns == "daily" else 1
    if rows.shape[1] == 0:
        matrix = np.zeros((0, 0))
    elif risk.model == "exponential":
        matrix = _exponential(rows, risk.half_life * per_month)
    elif risk.model == "sample" or rows.shape[1] == 1:
        matrix = _sample(rows)
    elif risk.model == "factor":
        matrix = _factor(rows, risk.n_factors)
    elif risk.model in {"ledoit_wolf", "oas"}:
        matrix = _shrunk(risk.model, rows)
    else:
        matrix = _of_skfolio(risk.model, rows)
    matrix = per_month * (matrix + matrix.T) / 2.0
    matrix.setflags(write=False)
    return matrix


def _sample(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=0)
    return np.asarray(centred.T @ centred / (len(rows) - 1))


def _exponential(rows: Floats, half_life: int) -> Floats:
    weight = 0.5 ** (np.arange(len(rows) - 1, -1, -1) / half_life)
    scaled = rows * np.sqrt(weight / weight.sum())[:, np.newaxis]
    return np.asarray(scaled.T @ scaled)


def _factor(rows: Floats, n_factors: int) -> Floats:
    """Σ = D (L L' + diag(1 − Σ_k L_ik²)) D: loadings L are the correlation's first principal
    components times the roots of their eigenvalues, D the standard deviations."""
    sample = _sample(rows)
    spread = np.sqrt(np.diag(sample))
    values, vectors = np.linalg.eigh(sample / np.outer(spread, spread))
    loadings = vectors[:, -n_factors:] * np.sqrt(np.maximum(values[-n_factors:], 0.0))
    correlation = loadings @ loadings.T
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation * np.outer(spread, spread))


def _shrunk(model: str, rows: Floats) -> Floats:
    from sklearn import covariance as estimators

    shrink = estimators.ledoit_wolf if model == "ledoit_wolf" else estimators.oas
    return np.asarray(shrink(rows)[0])


def _of_skfolio(model: str, rows: Floats) -> Floats:
    from skfolio import moments

    # As it is: where skfolio moves eigenvalues itself, it warns at every date.
    as_it_is = {"nearest": False}
    if model == "gerber":
        return semidefinite(moments.GerberCovariance(**as_it_is).fit(rows).covariance_)
    sample = moments.EmpiricalCovariance(**as_it_is)
    # With as many rows as names the density of eigenvalues that it fits has a pole at 0.
    rows = rows[1:] if len(rows) == rows.shape[1] else rows
    # It divides by the number of eigenvalues within the edge, even if there are none.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(moments.DenoiseCovariance(sample, **as_it_is).fit(rows).covariance_)


def semidefinite(matrix: Floats) -> Floats:
    """The symmetric matrix (n, n) with negative eigenvalues at 0, scaled to its own diagonal."""
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= 0.0:
        return matrix
    clipped = vectors * np.maximum(values, 0.0) @ vectors.T
    scale = np.sqrt(np.diag(matrix) / np.diag(clipped))
    return np.asarray(clipped * np.outer(scale, scale))
