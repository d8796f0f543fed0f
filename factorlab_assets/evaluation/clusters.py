"""How many different things many return streams are: their correlation, and groups of them.

Belongs here: streams in, a grouping out. Does not: which streams (`trials`), or what the number of
groups decides (`inference`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import NOISE

Labels = npt.NDArray[np.intp]

SAME = 0.8
"""Correlation from which two streams are one idea."""
STRUCTURE = 0.25
"""Mean silhouette below which a grouping is no structure (Kaufman and Rousseeuw 1990)."""
MOST = 2_000
"""Streams that are compared pair by pair."""
_EVERY_CUT, _STEP = 30, 1.15


def average_correlation(streams: Floats) -> float:
    """The mean over all pairs of streams of their correlation; NaN below two streams.

    With rows z_i of mean 0 and length 1 it is (|Σz|² − Σ|z|²) / (C·(C − 1)): no matrix of pairs.

    Parameters
    ----------
    streams : (C, T) returns, all known. One that never varies correlates 0 with every other.

    >>> streams = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    >>> round(average_correlation(streams), 12)
    -0.333333333333
    """
    count = len(streams)
    if count < 2:
        return np.nan
    unit = _unit(streams)
    together = float((unit.sum(axis=0) ** 2).sum() - (unit**2).sum())
    return together / (count * (count - 1))


def effective_number(n: int, average: float) -> float:
    """Tries that count as independent: N_eff = ρ̄ + (1 − ρ̄)·N.

    Parameters
    ----------
    n : tries. average : their mean correlation ρ̄; below 0 or NaN (unknown) it is taken as 0, so
    that N_eff never exceeds N.

    Notes
    -----
    Bailey and López de Prado (2014), The Deflated Sharpe Ratio, appendix,
    https://doi.org/10.3905/jpm.2014.40.5.094, which lets ρ̄ be negative.

    >>> effective_number(10, 0.5), effective_number(10, 1.0), effective_number(10, -0.1)
    (5.5, 1.0, 10.0)
    """
    share = max(average, 0.0) if np.isfinite(average) else 0.0
    return share + (1.0 - share) * n


def clusters(streams: Floats) -> Labels:
    """Which streams belong together: a label per stream, 0 the largest group.

    Average linkage of the distances √((1 − ρ)/2), cut where the mean silhouette is highest; a
    stream by itself has silhouette 0. Cuts into 2 to 30 groups are all tried, beyond that every
    15 % more and then some about the best. Where no cut reaches a mean silhouette of 0.25 there is
    no structure to find: then groups end where they would correlate less than 0.8 on average, so
    that unrelated streams are a group each and copies of one idea are a single group.

    Parameters
    ----------
    streams : (C, T) returns, all known. One that never varies correlates 0 with every other.

    Returns
    -------
    (C,) labels, larger groups first, equal ones by their first stream.

    Notes
    -----
    Deterministic, but for ties the same in whatever order the streams come. Of more than 2,000
    streams as many, evenly spread, are grouped, and the others join the one they correlate most
    with. References: López de Prado and Lewis (2019), Detection of False Investment Strategies
    Using Unsupervised Learning Methods, https://doi.org/10.1080/14697688.2019.1622311, who cluster
    by k-means and judge by mean/standard deviation of the silhouettes; Rousseeuw (1987),
    Silhouettes, https://doi.org/10.1016/0377-0427(87)90125-7.

    >>> up = np.array([1.0, -1.0, 2.0, 0.0])
    >>> clusters(np.array([up, -up, 2 * up])).tolist()
    [0, 1, 0]
    """
    unit = _unit(streams)
    if len(unit) <= MOST:
        return _ordered(_grouped(unit))
    chosen = np.unique(np.linspace(0, len(unit) - 1, MOST).astype(np.intp))
    nearest = (unit @ unit[chosen].T).argmax(axis=1)
    nearest[chosen] = np.arange(len(chosen))
    return _ordered(_grouped(unit[chosen])[nearest])


def _unit(streams: Floats) -> Floats:
    """Rows less their mean, of length 1; 0 where a row's dispersion is only rounding."""
    centred = streams - streams.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    noise = NOISE * (1.0 + np.abs(streams).max(axis=1, keepdims=True)) * np.sqrt(streams.shape[1])
    return np.where(length > noise, centred / np.where(length > noise, length, 1.0), 0.0)


def _grouped(unit: Floats) -> Labels:
    if len(unit) == 1:
        return np.zeros(1, dtype=np.intp)
    distance = np.sqrt(np.clip((1.0 - unit @ unit.T) / 2.0, 0.0, 1.0))
    distance = (distance + distance.T) / 2.0
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    leaves = leaves_list(tree)
    sums = np.zeros((len(unit), len(unit) + 1))
    np.cumsum(distance[np.ix_(leaves, leaves)], axis=1, out=sums[:, 1:])

    def score(count: int) -> float:
        return _silhouette(sums, fcluster(tree, count, "maxclust")[leaves])

    scores: dict[int, float] = {}
    for cuts in (_coarse, _fine):
        scores |= {count: score(count) for count in cuts(len(unit), scores)}
    best = max(scores, key=lambda count: (scores[count], -count), default=0)
    if not scores or scores[best] < STRUCTURE:
        found = fcluster(tree, np.sqrt((1.0 - SAME) / 2.0), "distance")
    else:
        found = fcluster(tree, best, "maxclust")
    return np.asarray(found, dtype=np.intp)


def _coarse(n: int, _: dict[int, float]) -> list[int]:
    """Numbers of groups to try first: all up to 30, then every 15 % more."""
    beyond = _EVERY_CUT * _STEP ** np.arange(1, 60)
    tried = {*range(2, _EVERY_CUT + 1), *beyond.astype(int).tolist()}
    return sorted(count for count in tried if count < n)


def _fine(n: int, scores: dict[int, float]) -> list[int]:
    """Up to ten more on either side of the best so far."""
    if not scores:
        return []
    best = max(scores, key=scores.__getitem__)
    low = max((count for count in scores if count < best), default=best)
    high = min((count for count in scores if count > best), default=n - 1)
    near = np.r_[np.linspace(low, best, 12), np.linspace(best, high, 12)].astype(int)
    return sorted({*near.tolist()} - scores.keys())


def _silhouette(sums: Floats, labels: Labels) -> float:
    """Mean of (b − a)/max(a, b): a the mean distance to the own group, b to the nearest other.

    sums : (n, n + 1) running sums of distances over streams in the order of the tree's leaves, in
    which every group is a run of neighbours.
    """
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    ends = np.r_[starts[1:], len(labels)]
    if len(starts) < 2:
        return 0.0
    size = ends - starts
    group = np.repeat(np.arange(len(starts)), size)
    rows = np.arange(len(labels))
    total = sums[:, ends] - sums[:, starts]
    own = total[rows, group] / np.maximum(size[group] - 1, 1)
    mean = total / size
    mean[rows, group] = np.inf
    other = mean.min(axis=1)
    larger = np.maximum(own, other)
    alone = (size[group] == 1) | (larger <= NOISE)
    return float(np.where(alone, 0.0, (other - own) / np.where(alone, 1.0, larger)).mean())


def _ordered(labels: Labels) -> Labels:
    """The same groups numbered by size, then by first stream."""
    _, first, which, size = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.empty(len(first), dtype=np.intp)
    place[np.lexsort((first, -size))] = np.arange(len(first))
    return place[which]
