"""The tries that a result has to be judged by: which of the ledger's experiments are of its family.

Belongs here: telling trials from reruns, drawing a family, counting it, its common window and the
spread of its Sharpe ratios. Does not: reading the ledger (`store`), grouping return streams
(`clusters`), or what the numbers mean for a result (`inference`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from factorlab_assets.core.calendar import Dates
from factorlab_assets.core.holding import Bools
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import MONTHS, NOISE
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.clusters import (
    SAME,
    Labels,
    average_correlation,
    clusters,
    effective_number,
)
from factorlab_assets.evaluation.sharpe import LEAST, Moments, moments
from factorlab_assets.schemas import RETURNS

FOLLOWS = 0.005
"""Tracking error a year, decimal, below which a trial is what it is compared with, less costs: its
Sharpe ratio over that is a large number that says nothing, and would be all of the spread."""
FEWEST_COMMON = 36
"""Months that two streams share, below which their correlation makes no family."""
OVER = {
    "raw": "cash",
    "benchmark": "the benchmark",
    "equal_weight": "the equally weighted universe",
}
"""What each kind of returns is over, in words."""
_SHOWN = 3


@dataclass(frozen=True)
class Trial:
    """One experiment of the ledger.

    universe : see `universe_of`. prior : `prior_trials` of its strategy file. recorded : its order
    in the ledger; of several experiments with one configuration the later speaks for it.
    """

    config_hash: str
    name: str
    sweep: str
    experiment_id: str
    status: Literal["done", "failed"]
    universe: str
    prior: int = 0
    recorded: int = 0

    @property
    def file(self) -> str:
        """The strategy file that it came from."""
        return self.sweep or self.name


@dataclass(frozen=True)
class Trials(Sequence[Trial]):
    """Experiments and what they earned, decimals per month: net, rf (C, T), NaN where one has no
    row; dates (T,) ascending month-ends."""

    trials: tuple[Trial, ...]
    dates: Dates
    net: Floats
    rf: Floats

    @classmethod
    def of(cls, trials: Sequence[Trial], rows: pa.Table, dates: Dates | None = None) -> Trials:
        """Place rows of `trial_returns` (any order; other experiments' are passed over).

        dates : the columns wanted, by calendar month; None is every month that has a row.
        """
        ids = pa.array([trial.experiment_id for trial in trials], type=pa.string())
        row = pc.index_in(rows["experiment_id"].cast(pa.string()), value_set=ids)
        row = np.asarray(pc.fill_null(row, -1), dtype=np.intp)
        day = rows["date"].to_numpy().astype("datetime64[D]")
        if dates is None:
            dates = np.unique(day[row >= 0])
        months = dates.astype("datetime64[M]")
        month = day.astype("datetime64[M]")
        column = np.minimum(np.searchsorted(months, month), max(len(months) - 1, 0))
        wanted = (row >= 0) & np.isin(month, months)
        values = []
        for name in ("net_return", "rf"):
            matrix = np.full((len(trials), len(months)), np.nan)
            said = rows[name].to_numpy()
            matrix[row[wanted], column[wanted]] = said[wanted]
            values.append(matrix)
        return cls(tuple(trials), dates, *values)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return self.trials[index]

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)


@dataclass(frozen=True)
class Family:
    """Every distinct configuration that was tried of one idea, in the order of their hashes.

    names : all names that a configuration went by. own : the place of the one judged. correlation :
    of its active returns with the own ones, NaN where there is none. cluster : its group, −1 where
    it has no returns to be grouped by. moments : returns kind -> of each (M,) on the common window,
    NaN where a trial has none; months : kind -> how many months that is; variance : kind -> of
    their Sharpe ratios per month, NaN below two. n_effective_clusters : groups, and by itself
    whatever could not be grouped.
    """

    trials: tuple[Trial, ...]
    names: tuple[tuple[str, ...], ...]
    own: int
    n: int
    n_failed: int
    prior: int
    correlation: Floats
    cluster: Labels
    moments: Mapping[str, Moments]
    months: Mapping[str, int]
    variance: Mapping[str, float]
    average_correlation: float
    n_effective_correlation: float
    n_effective_clusters: int
    note: str

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Each cluster's names, in the order of the cluster labels."""
        said: list[list[str]] = [[] for _ in range(int(self.cluster.max(initial=-1)) + 1)]
        for names, label in zip(self.names, self.cluster.tolist(), strict=True):
            if label >= 0:
                said[label].extend(names)
        return tuple(tuple(sorted(names)) for names in said)


def universe_of(config: Mapping[str, Any]) -> str:
    """A key of who may be held by a recorded configuration: its tickers and universe filters.

    The order of tickers and filters that are not set play no part.

    >>> universe_of({"tickers": ["TLT", "SPY"], "universe": {"min_price": None}})
    '{"filters":{},"tickers":["SPY","TLT"]}'
    """
    given = config.get("universe") or {}
    said = {key: value for key, value in given.items() if value is not None}
    if not {"min_dollar_volume", "top_dollar_volume"} & said.keys():
        said.pop("liquidity_months", None)
    tickers = config.get("tickers")
    key = {"filters": said, "tickers": "all" if tickers is None else sorted(set(tickers))}
    return json.dumps(key, sort_keys=True, separators=(",", ":"))


def family(own_hash: str, trials: Trials, benchmark: Floats, equal_weight: Floats) -> Family:
    """All that was tried of the idea that the configuration `own_hash` is one try of.

    A trial is a distinct configuration: experiments with the same one count once, whatever they
    were called and however often they ran. The family are the trials on the same universe and
    those of other universes whose active returns correlate at least 0.8 with the own ones over at
    least 36 months. N = finished + failed + those made elsewhere (`prior_trials`: of the strategy
    files that share a configuration the largest, summed over the others).

    Trials that cover less than half of the own months, or only follow what they are compared with
    (tracking error below 0.5 % a year), count in N and not in the variance; the
    common window are the own months that all the rest have. On it Sharpe ratios per month are taken
    of net − rf, and of net less the own benchmark and less the equally weighted universe.

    Parameters
    ----------
    own_hash : a configuration with returns among the trials.
    trials : C of them, failed ones included. benchmark, equal_weight : (T,) on `trials.dates`, of
    the strategy judged, decimals per month, NaN = not known.

    Raises
    ------
    FactorLabError : no experiment of this configuration has returns.

    Notes
    -----
    Active returns are over the benchmark; over the equally weighted universe where the benchmark is
    known in less than half of the own months; over cash where that is so too. The effective number
    by average correlation is ρ̄ + (1 − ρ̄)·N of Bailey and López de Prado (2014),
    https://doi.org/10.3905/jpm.2014.40.5.094; the one by clusters follows López de Prado and Lewis
    (2019), https://doi.org/10.1080/14697688.2019.1622311 (see `clusters`). What has no returns on
    the window cannot be grouped and counts by itself. A trial of another universe that failed has
    no returns to be recognised by.
    """
    own_months = _own_months(own_hash, trials)
    known = {"benchmark": np.isfinite(benchmark), "equal_weight": np.isfinite(equal_weight)}
    known = {kind: own_months & known.get(kind, True) for kind in RETURNS}
    by_choice = ("benchmark", "equal_weight", "raw")
    over = next(kind for kind in by_choice if 2 * known[kind].sum() >= own_months.sum())
    less = {"benchmark": benchmark, "equal_weight": equal_weight}
    rows, same, correlation = _kin(own_hash, trials, own_months, less.get(over))
    covered, window = _common(trials, rows, own_months)
    months = {kind: int((window & known[kind]).sum()) for kind in RETURNS}
    said = {
        kind: _moments(
            _excess(trials, rows, less.get(kind))[:, window & known[kind]],
            covered,
            least=0.0 if kind == "raw" else FOLLOWS,
        )
        for kind in RETURNS
    }
    active = _excess(trials, rows, less.get(over))[:, window & known[over]]
    cluster, mean = _grouped(active, covered)
    members = tuple(trials[row] for row in rows)
    prior = _made_elsewhere(trials, {trial.config_hash for trial in members})
    n_failed = sum(trial.status == "failed" for trial in members)
    elsewhere = int((~same).sum())
    told = _counted(members, n_failed, prior)
    if elsewhere:
        told += f"; {elsewhere} on another universe, alike in returns over {OVER[over]}"
    told += f"; {_compared(covered, trials.dates[window], n_failed)}"
    return Family(
        trials=members,
        names=_names(trials, members),
        own=next(i for i, trial in enumerate(members) if trial.config_hash == own_hash),
        n=len(members) + prior,
        n_failed=n_failed,
        prior=prior,
        correlation=correlation,
        cluster=cluster,
        moments=said,
        months=months,
        variance={kind: _variance(m.sharpe) for kind, m in said.items()},
        average_correlation=mean,
        n_effective_correlation=effective_number(len(members) + prior, mean),
        n_effective_clusters=int(cluster.max() + 1 + (cluster < 0).sum()) + prior,
        note=told,
    )


def _own_months(own_hash: str, trials: Trials) -> Bools:
    """The months of the longest experiment with this configuration, (T,)."""
    rows = [i for i, trial in enumerate(trials) if trial.config_hash == own_hash]
    known = np.isfinite(trials.net[rows])
    if not known.any():
        raise FactorLabError(
            "there are no returns to judge",
            where=f"configuration {own_hash}",
            got=f"{len(rows)} experiments of it, none of them with a return",
            expected="a finished experiment among the trials",
            do="materialize the strategy first",
        )
    months: Bools = known[known.sum(axis=1).argmax()]
    return months


def _kin(
    own_hash: str, trials: Trials, own_months: Bools, less: Floats | None
) -> tuple[Labels, Bools, Floats]:
    """A row for each configuration of the family, by hash; whether on the same universe; and the
    correlation of its active returns with the own ones."""
    rows = _distinct(trials, own_months)
    hashes = np.array([trials[row].config_hash for row in rows])
    universe = np.array([trials[row].universe for row in rows])
    place = int(np.searchsorted(hashes, own_hash))
    correlation = _correlations(_excess(trials, rows, less), place)
    same = universe == universe[place]
    kin = same | (correlation >= SAME)
    return rows[kin], same[kin], correlation[kin]


def _distinct(trials: Trials, own_months: Bools) -> Labels:
    """The row that speaks for each configuration, by hash: finished before failed, then the most of
    the own months, then the one recorded last."""
    covers = np.isfinite(trials.net[:, own_months]).sum(axis=1)
    hashes = np.array([trial.config_hash for trial in trials])
    ids = np.array([trial.experiment_id for trial in trials])
    age = np.array([-trial.recorded for trial in trials])
    unfinished = np.array([trial.status != "done" for trial in trials])
    order = np.lexsort((ids, age, -covers, unfinished, hashes))
    ordered = hashes[order]
    first: Labels = order[np.r_[True, ordered[1:] != ordered[:-1]]]
    return first


def _excess(trials: Trials, rows: Labels, less: Floats | None) -> Floats:
    """What the trials earned over something, or (None) over cash, (M, T)."""
    net = trials.net[rows]
    return net - (trials.rf[rows] if less is None else less)


def _correlations(streams: Floats, place: int) -> Floats:
    """Of each stream with the one at `place`, over the months that both have; NaN where they are
    fewer than 36 or one of them does not vary."""
    both = np.isfinite(streams) & np.isfinite(streams[place])
    count = both.sum(axis=1)
    known = count >= FEWEST_COMMON
    x, y = np.where(both, streams, 0.0), np.where(both, streams[place], 0.0)
    size = np.maximum(count, 1)[:, None]
    x = np.where(both, x - x.sum(axis=1, keepdims=True) / size, 0.0)
    y = np.where(both, y - y.sum(axis=1, keepdims=True) / size, 0.0)
    spread_x, spread_y = np.sqrt((x**2).sum(axis=1)), np.sqrt((y**2).sum(axis=1))
    known &= np.minimum(spread_x, spread_y) > NOISE * 2.0 * np.sqrt(size[:, 0])
    found = np.full(len(streams), np.nan)
    np.divide((x * y).sum(axis=1), spread_x * spread_y, out=found, where=known)
    clipped: Floats = np.clip(found, -1.0, 1.0)
    return clipped


def _common(trials: Trials, rows: Labels, own_months: Bools) -> tuple[Bools, Bools]:
    """Which trials have at least half of the own months, (M,); and the months that all these have,
    (T,)."""
    known = np.isfinite(trials.net[rows]) & np.isfinite(trials.rf[rows])
    covered = 2 * known[:, own_months].sum(axis=1) >= own_months.sum()
    return covered, own_months & known[covered].all(axis=0)


def _moments(excess: Floats, covered: Bools, *, least: float) -> Moments:
    """Of each trial (M,); NaN where one is not compared, or varies by less than `least` a year."""
    compared = np.zeros_like(covered)
    if excess.shape[1] >= LEAST:
        compared = covered & (excess.std(axis=1, ddof=1) * np.sqrt(MONTHS) >= least)
    return moments(np.where(compared[:, None], excess, np.nan))


def _variance(sharpe: Floats) -> float:
    known = sharpe[np.isfinite(sharpe)]
    return float(known.var(ddof=1)) if len(known) > 1 else np.nan


def _grouped(active: Floats, covered: Bools) -> tuple[Labels, float]:
    """Cluster of each trial, −1 where it cannot be had, and the average correlation."""
    labels = np.full(len(active), -1, dtype=np.intp)
    if active.shape[1] < LEAST:
        return labels, np.nan
    labels[covered] = clusters(active[covered])
    return labels, average_correlation(active[covered])


def _made_elsewhere(trials: Trials, members: set[str]) -> int:
    """`prior_trials` of a family: files that share a configuration are one idea and say it once."""
    files = np.unique([trial.file for trial in trials], return_inverse=True)[1]
    hashes, which = np.unique([trial.config_hash for trial in trials], return_inverse=True)
    size = len(files) + len(hashes)
    edges = (np.ones(len(files)), (len(hashes) + files, which))
    idea = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    largest = np.zeros(size, dtype=np.intp)
    np.maximum.at(largest, idea[which], [trial.prior for trial in trials])
    return int(largest[np.unique(idea[: len(hashes)][np.isin(hashes, list(members))])].sum())


def _names(trials: Trials, members: Sequence[Trial]) -> tuple[tuple[str, ...], ...]:
    """All names that each configuration went by."""
    said: dict[str, set[str]] = {}
    for trial in trials:
        said.setdefault(trial.config_hash, set()).add(trial.name)
    return tuple(tuple(sorted(said[trial.config_hash])) for trial in members)


def _counted(members: Sequence[Trial], n_failed: int, prior: int) -> str:
    """What was tried, and how many."""
    files = Counter(sorted(trial.file for trial in members)).most_common()
    named = [f"{count} of {file}" for file, count in files[:_SHOWN]]
    named += [f"{len(files) - _SHOWN} more files"] if len(files) > _SHOWN else []
    return (
        f"{len(members) + prior} distinct configurations ({', '.join(named)}): "
        f"{len(members) - n_failed} finished, {n_failed} failed, {prior} made elsewhere"
    )


def _compared(covered: Bools, dates: Dates, n_failed: int) -> str:
    """On which months, and which trials are left out there."""
    short = len(covered) - int(covered.sum()) - n_failed
    left = f", without {short} that cover less than half of the own months" if short > 0 else ""
    if not len(dates):
        return f"no month that all {int(covered.sum())} compared ones have{left}"
    months = dates.astype("datetime64[M]")
    return (
        f"compared on the {len(dates)} months from {months[0]} to {months[-1]} that "
        f"{int(covered.sum())} have{left}"
    )
