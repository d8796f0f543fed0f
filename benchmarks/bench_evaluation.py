"""Judging a sweep: backtest overfitting of 1,000 trials × 240 months, beside a loop over splits.

Belongs here: what the evaluation of results takes. Does not: computing those results (`bench_many`,
`bench_cell`). Everyone starts from monthly excess returns in memory.

The loop is what one would write first: for each of the 12,870 ways to halve 16 blocks, gather the
months of both halves, take means and standard deviations, rank. It is timed on every 100th split
and scaled up, which leaves making the list of splits out; its logits are held against ours.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import rankdata

from benchmarks import harness
from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation.overfitting import cscv

TRIALS, MONTHS, BLOCKS, PURGE = 1_000, 240, 16, 1
MOST_SECONDS, LEAST_RATIO = 5.0, 5.0
EVERY = 100


def rows() -> list[harness.Row]:
    """Every part."""
    return overfitting()


def overfitting() -> list[harness.Row]:
    """CSCV, and the loop."""
    excess = returns()
    plain, purged = cscv(excess, BLOCKS), cscv(excess, BLOCKS, PURGE)
    ours = harness.least_of(3, lambda: cscv(excess, BLOCKS, PURGE))
    splits = list(itertools.combinations(range(BLOCKS), BLOCKS // 2))
    taken = splits[::EVERY]
    scale = len(splits) / len(taken)
    theirs = harness.least_of(2, lambda: loop(excess, taken))
    apart = np.abs(loop(excess, taken) - plain.logits[::EVERY]).max()
    name = f"overfitting (CSCV), {TRIALS:,} trials × {MONTHS} months, {BLOCKS} blocks, purged"
    return [
        harness.at_most(name, ours["seconds"], "s", MOST_SECONDS),
        harness.Row("  splits", purged.n_splits, "splits"),
        harness.at_least(
            f"  a numpy loop over the splits, of 1 in {EVERY}, unpurged",
            theirs["seconds"] * scale / ours["seconds"],
            "x",
            LEAST_RATIO,
        ),
        harness.Row("    of processor time", theirs["cpu"] * scale / ours["cpu"], "x"),
        harness.at_most("    its logits less ours, at most", apart * 1e9, "e-9", 1),
    ]


def returns() -> Floats:
    """Trials that have much in common, as those of a sweep have."""
    rng = np.random.default_rng(7)
    own = 0.02 * rng.standard_normal((TRIALS, MONTHS))
    return 0.005 + 0.03 * rng.standard_normal(MONTHS) + own


def loop(excess: Floats, splits: list[tuple[int, ...]]) -> Floats:
    """The logits of some splits, one after another."""
    blocks = np.arange(MONTHS).reshape(BLOCKS, -1)
    logits = []
    for trained in splits:
        inside = np.zeros(BLOCKS, dtype=np.bool_)
        inside[list(trained)] = True
        one, other = excess[:, blocks[inside].ravel()], excess[:, blocks[~inside].ravel()]
        within = one.mean(axis=1) / one.std(axis=1, ddof=1)
        beyond = other.mean(axis=1) / other.std(axis=1, ddof=1)
        share = rankdata(beyond)[within.argmax()] / (TRIALS + 1)
        logits.append(np.log(share / (1.0 - share)))
    return np.array(logits)


if __name__ == "__main__":
    harness.show(rows())
