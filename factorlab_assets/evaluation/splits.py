"""Choosing on some months what earns in others: by a date, walking forward, cross-validating.

Belongs here: which months train and which test, what is chosen, what that earned. Does not: how
likely a choice is overfitted (`overfitting`), or computing what a combination earns (`core.many`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.book import BEFORE_START, NOT_SELECTED, Book, no_outcomes
from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.errors import FactorLabError
from factorlab_assets.strategy import Resolved
from factorlab_assets.strategy_book import Schedule
from factorlab_assets.strategy_sweep import Choose, CrossValidation, WalkForward

Ints = npt.NDArray[np.int64]
Scheme = Literal["anchored", "rolling"]

NONE = -1
"""Where no combination is chosen."""
LEAST_LEFT = 2
"""Months that purge and embargo have to leave of a fold."""
TIE_DECIMALS = 10
"""Scores that agree to so many decimals tie: equal combinations may differ by rounding."""
NO_CHOICE = "no combination could be chosen"


def in_and_out(dates: Dates, in_sample_until: str) -> tuple[Bools, Bools]:
    """Which rows are in sample, up to and with this month, and which out of it, after; (T,) each.

    Raises
    ------
    FactorLabError : one of the two would be empty.

    >>> ends = np.array(["2024-01-31", "2024-02-29", "2024-03-28"], dtype="datetime64[D]")
    >>> [rows.tolist() for rows in in_and_out(ends, "2024-01")]
    [[True, False, False], [False, True, True]]
    """
    months = dates.astype("datetime64[M]")
    early = months <= np.datetime64(in_sample_until, "M")
    if early.all() or not early.any():
        raise FactorLabError(
            "the split is outside the data",
            got=f"in_sample_until: {in_sample_until}",
            expected=f"{months[0]} to {months[-2]}" if len(months) > 1 else "two months of returns",
            do="choose a month with returns before and after it",
        )
    return early, ~early


class Earned(NamedTuple):
    """What C combinations earned in T months, decimals; NaN where one has no return.

    net : (C, T). rf : (T,) or (C, T). benchmark : (T,), NaN = not known.
    """

    net: Floats
    rf: Floats
    benchmark: Floats

    def rows(self, months: slice | Ints) -> Earned:
        """Of some months alone."""
        return Earned(self.net[:, months], self.rf[..., months], self.benchmark[months])

    def of(self, numbers: Ints) -> Earned:
        """Of some combinations alone."""
        rf = self.rf if self.rf.ndim == 1 else self.rf[numbers]
        return Earned(self.net[numbers], rf, self.benchmark)


def score(earned: Earned, by: Choose) -> Floats:
    """What a choice goes by, annual, (C,); NaN for a combination that lacks a month, or whose ratio
    is over a spread that is only rounding.

    sharpe = mean(r − rf)/sd(r − rf)·√12 · information_ratio = the same of r − benchmark, over the
    months in which the benchmark is known · cagr = Π(1 + r)^(12/T) − 1, NaN of a NAV below 0.
    """
    net, rf, benchmark = earned
    if by == "cagr":
        nav = np.prod(1.0 + net, axis=1)
        lived = np.where(nav >= 0.0, nav, np.nan)
        return np.asarray((lived ** (MONTHS / net.shape[1]) - 1.0).round(TIE_DECIMALS))
    if by == "sharpe":
        return _ratio(net - rf)
    return _ratio((net - benchmark)[:, np.isfinite(benchmark)])


def _ratio(excess: Floats) -> Floats:
    """Annual mean per standard deviation of each row."""
    if excess.shape[1] < 2:
        return np.full(len(excess), np.nan)
    spread = excess.std(axis=1, ddof=1)
    is_noise = ~(spread > NOISE * (1.0 + np.abs(excess).max(axis=1)))
    ratio = excess.mean(axis=1) / np.where(is_noise, np.nan, spread) * np.sqrt(MONTHS)
    return np.asarray(ratio.round(TIE_DECIMALS))


def choose(earned: Earned, by: Choose) -> tuple[int, float]:
    """The combination with the highest score, the first of those that tie, and its score; `NONE`
    and NaN where none has one."""
    scores = score(earned, by)
    if np.isnan(scores).all():
        return NONE, np.nan
    best = int(np.nanargmax(scores))
    return best, float(scores[best])


@dataclass(frozen=True)
class Window:
    """One choice: the rows it was made on, those it earns, what was chosen and its score there."""

    train: slice
    test: slice
    chosen: int
    score: float


@dataclass(frozen=True)
class Walk:
    """A walk forward over T months.

    chosen : (T,) which combination earned the month, `NONE` before the first test window and where
    none could be chosen; net : (T,) what it earned, NaN there, and where it has no return.
    """

    scheme: Scheme
    windows: tuple[Window, ...]
    chosen: Ints
    net: Floats

    @property
    def note(self) -> str:
        """How many windows there are, how often the choice changes, and what is missing."""
        picks = [window.chosen for window in self.windows]
        changes = np.count_nonzero(np.diff(picks))
        missing = np.count_nonzero(np.isnan(self.net[self.windows[0].test.start :]))
        return f"{len(picks)} {self.scheme} windows, {changes} changes of the choice" + (
            f"; {missing} months without a return" if missing else ""
        )


def walk_forward(earned: Earned, dates: Dates, settings: WalkForward, scheme: Scheme) -> Walk:
    """Choose by the months up to a month-end, hold what was chosen, and choose again.

    The first window trains on the first `train_months` months in which every combination that has
    any return has one. The choice that is made at the close of a window's last training month earns
    the `test_months` months after it; then the next is made: on the last `train_months` months
    (rolling), or on all since the first (anchored). The last window may be shorter.

    Parameters
    ----------
    earned, dates : monthly returns; row t is known at dates[t]. scheme : anchored or rolling.

    Returns
    -------
    Walk. A combination that lacks a month of a training window cannot be chosen there.

    Raises
    ------
    FactorLabError : the history holds no whole window.

    Notes
    -----
    Stitched returns leave the cost of going from one combination to the next out: each has paid for
    its own trades only. `stitched_book` is the way to have them.

    >>> up, down = [0.02, 0.01] * 7, [-0.01, -0.02] * 7
    >>> ends = np.arange("2020-01", "2021-03", dtype="datetime64[M]").astype("datetime64[D]")
    >>> earned = Earned(np.array([down, up]), np.zeros(14), np.zeros(14))
    >>> walk = walk_forward(earned, ends, WalkForward(train_months=12, test_months=1), "rolling")
    >>> walk.chosen[12:].tolist(), walk.net[12:].tolist()
    ([1, 1], [0.02, 0.01])
    """
    first, end = _common(earned.net)
    train, test = settings.train_months, settings.test_months
    if end - first < train + test:
        raise FactorLabError(
            "the walk-forward window is longer than the history",
            where=f"months that all combinations have: {dates[first]} to {dates[end - 1]}"
            if end > first
            else "no combination has a return",
            got=f"train_months {train} and test_months {test} for {max(end - first, 0)} months",
            expected=f"at most {max(end - first, 0)} together",
            do="take shorter windows or a longer history",
        )
    windows: list[Window] = []
    chosen = np.full(len(dates), NONE, dtype=np.int64)
    net = np.full(len(dates), np.nan)
    for at in range(first + train, end, test):
        trained = slice(first if scheme == "anchored" else at - train, at)
        tested = slice(at, min(at + test, end))
        best, scored = choose(earned.rows(trained), settings.choose_by)
        windows.append(Window(trained, tested, best, scored))
        chosen[tested] = best
        if best != NONE:
            net[tested] = earned.net[best, tested]
    return Walk(scheme, tuple(windows), chosen, net)


def _common(net: Floats) -> tuple[int, int]:
    """The first row that every combination with any return has, and the row after the last that
    any has; (0, 0) without returns."""
    known = np.isfinite(net)
    known = known[known.any(axis=1)]
    if len(known) == 0:
        return 0, 0
    last = np.flatnonzero(known.any(axis=0))[-1]
    return int(known.argmax(axis=1).max()), int(last) + 1


def stitched_book(walk: Walk, books: Mapping[int, Book]) -> Book:
    """One book whose row t is that of the combination which earns row t + 1 of the walk.

    So at the month-end of a choice its weights replace the old combination's, and `simulate` books
    the trade between the two. The last row, which earns nothing yet, is the last choice's.

    Parameters
    ----------
    books : of every combination that the walk chose, by its number; (T, N) on the walk's dates and
        the same N names.

    Raises
    ------
    FactorLabError : a book is missing, or of another shape.

    Notes
    -----
    Run it by `as_traded` of the strategy: a change of the choice trades at any month-end, also
    where the combinations themselves trade only every few months. Where there is no choice, nothing
    is held.
    """
    in_force = np.append(walk.chosen[1:], walk.windows[-1].chosen)
    numbers = sorted(set(in_force[in_force != NONE].tolist()))
    shapes = {books[i].weights.shape for i in numbers if i in books}
    if any(i not in books for i in numbers) or len(shapes) > 1:
        raise FactorLabError(
            "the chosen combinations cannot be one book",
            got=f"books of {sorted(books)}, shapes {sorted(shapes)}",
            expected=f"books of {numbers}, each of the same dates and names",
        )
    rows, n_names = shapes.pop() if shapes else (len(in_force), 0)
    start = int((in_force != NONE).argmax()) if numbers else rows
    weights = np.zeros((rows, n_names))
    reason = np.full((rows, n_names), NOT_SELECTED, dtype=np.int8)
    reason[:start] = BEFORE_START
    outcome = no_outcomes(rows)
    outcome[start:] = np.where(in_force[start:] == NONE, NO_CHOICE, "")
    for i in numbers:
        own = in_force == i
        weights[own], reason[own] = books[i].weights[own], books[i].reason[own]
        outcome[own] = books[i].outcome[own]
    return Book(weights, reason, start, outcome)


def as_traded(resolved: Resolved) -> Resolved:
    """The strategy, trading at every month-end: what `stitched_book` is to be run with.

    Between the rebalances of a combination its book holds drifted weights, to which nothing has to
    be traded, so that no month pays but those of its own trades and those of a change. Turnover is
    `drifted` therefore. This is exact for trades at the close; traded at the next session, a month
    without a trade of its own is charged for what its book drifted by in that session.
    """
    said = resolved.strategy
    schedule = Schedule(days_before_month_end=said.schedule.days_before_month_end)
    execution = said.execution.model_copy(update={"turnover": "drifted"})
    plain = said.model_copy(update={"schedule": schedule, "execution": execution})
    return resolved.model_copy(update={"strategy": plain})


@dataclass(frozen=True)
class CrossValidated:
    """What `cross_validate` found; no paths where `note` says why.

    sharpe : (n_paths,) annual, of every recombined path. chosen : (n_splits,) combinations.
    """

    sharpe: Floats = field(default_factory=lambda: np.empty(0))
    chosen: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    note: str = ""

    @property
    def quantiles(self) -> dict[str, float]:
        """Lowest, quartiles and highest of the paths' annual Sharpe ratios."""
        shares = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "max": 1.0}
        if len(self.sharpe) == 0:
            return dict.fromkeys(shares, np.nan)
        return {name: float(np.quantile(self.sharpe, at)) for name, at in shares.items()}

    def rows(self) -> list[dict[str, object]]:
        """Its figures as rows of `sweep_evidence`, less month, strategy and returns."""
        said = {f"cpcv_{name}": value for name, value in self.quantiles.items()}
        said["cpcv_paths"] = float(len(self.sharpe)) if len(self.sharpe) else np.nan
        return [
            {"statistic": name, "value": value, "low": np.nan, "high": np.nan, "note": self.note}
            for name, value in said.items()
        ]


def cross_validate(
    earned: Earned,
    settings: CrossValidation,
    *,
    lookback: int,
    holding: int,
    choose_by: Choose = "sharpe",
) -> CrossValidated:
    """Sharpe ratios of histories of which every fold was earned by a choice made on other folds.

    The months that all combinations have are cut into F folds of equal length, the last one taking
    the rest. For each of the F!/(K!(F − K)!) ways to take K of them as test folds, the combination
    that scores highest on the other months is chosen and earns the K folds. Each fold is a test
    fold in K/F of the splits; so the tests make up that many whole histories, the paths.

    Parameters
    ----------
    lookback : months that the longest factor looks back. holding : months that a weight is held.
        Before a test fold the `holding` months are purged from training: they are held into it.
        After it the `holding` months are purged and `lookback` more embargoed: their signals have
        seen the test.

    Returns
    -------
    CrossValidated. No paths, with the reason in its note, where a fold does not have two months
    more than lookback + holding, fewer than two combinations have a return in every month, or none
    can be chosen in some split. Others are left out, and the note says so.

    References
    ----------
    López de Prado (2018), Advances in Financial Machine Learning, Wiley, chapters 7.4 and 12;
    splits and paths by skfolio's CombinatorialPurgedCV.
    """
    from skfolio.model_selection import CombinatorialPurgedCV  # takes a second to import

    first, end = _common(earned.net)
    whole = np.isfinite(earned.net[:, first:end]).all(axis=1) & (end > first)
    why = _why_not_folds(end - first, settings, lookback, holding)
    if np.count_nonzero(whole) < 2:
        why = f"{np.count_nonzero(whole)} combinations have a return in every month: 2 are needed"
    if why:
        return CrossValidated(note=why)
    numbers = np.flatnonzero(whole)
    used = earned.of(numbers).rows(slice(first, end))
    excess = used.net - used.rf
    cv = CombinatorialPurgedCV(settings.folds, settings.test_folds, holding, lookback)
    paths = np.full((cv.n_test_paths, end - first), np.nan)
    ids, chosen = cv.get_path_ids(), np.full(cv.n_splits, NONE, dtype=np.int64)
    for i, (train, tests) in enumerate(cv.split(excess.T)):
        best, _ = choose(used.rows(train), choose_by)
        if best == NONE:
            return CrossValidated(note=f"{NO_CHOICE} in split {i + 1} of {cv.n_splits}")
        chosen[i] = numbers[best]
        for path, test in zip(ids[i], tests, strict=True):
            paths[path, test] = excess[best, test]
    left_out = len(earned.net) - len(numbers)
    note = (
        f"{len(paths)} paths, {len(chosen)} splits, {settings.test_folds} of {settings.folds} folds"
        f" of {(end - first) // settings.folds} months; {holding} purged, {lookback} embargoed"
        + (f"; left out, lacking months: {left_out} combinations" if left_out else "")
    )
    return CrossValidated(_ratio(paths), chosen, note)


def _why_not_folds(months: int, settings: CrossValidation, lookback: int, holding: int) -> str:
    """Why so many months cannot be cut into these folds; empty where they can."""
    length, gone = months // settings.folds, lookback + holding
    if length >= gone + LEAST_LEFT:
        return ""
    most = months // (gone + LEAST_LEFT)
    fits = f"at most {most} folds fit" if most > settings.test_folds else "no folds fit"
    return (
        f"{months} months make {settings.folds} folds of {length}: with {holding} purged and "
        f"{lookback} embargoed a fold needs {gone + LEAST_LEFT}; {fits}"
    )
