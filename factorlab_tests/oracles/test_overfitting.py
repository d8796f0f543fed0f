"""Overfitting and data snooping against ffn 1.4.1, arch 8.0.0 and a reality check by hand.

ffn cuts blocks from the newest end and takes the first of several best trials: so both see months
that the blocks hold exactly, and trials that do not tie. It pools no block sums, so logits agree to
rounding. arch sees the same draws: its p-values are counts and agree exactly. Of draws of our own
the p-value is held at four of its standard errors. skfolio 1.12 has no such probability.
"""

from __future__ import annotations

import ffn
import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA, StationaryBootstrap, StepM

from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation.overfitting import cscv
from factorlab_assets.evaluation.snooping import snooping

DRAWS, BLOCK, SEED = 500, 4, 11


def noise(trials: int, months: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    common = 0.02 * rng.standard_normal(months)
    own = 0.02 * rng.standard_normal((trials, months)) * rng.uniform(0.5, 2.0, (trials, 1))
    return common + own


@pytest.mark.parametrize(("trials", "months", "blocks"), [(6, 64, 8), (13, 120, 6), (30, 100, 10)])
def test_logits_are_ffns(trials: int, months: int, blocks: int):
    excess = noise(trials, months)
    said = cscv(excess, blocks)
    theirs = ffn.core.calc_prob_backtest_overfitting(
        pd.DataFrame(excess.T), blocks, full_output=True
    )
    assert said.logits == pytest.approx(theirs["logits"].to_numpy(), abs=1e-12)
    assert said.pbo == theirs["pbo"]


@pytest.mark.parametrize("edge", [0.0, 0.004])
def test_p_values_and_superior_trials_are_archs(edge: float):
    active = noise(8, 180)
    active[3] += edge
    said = snooping(active, 0.9, DRAWS, SEED, BLOCK)
    scaled = (active / active.std(axis=1, ddof=1, keepdims=True)).T
    by_hand = {"block_size": BLOCK, "reps": DRAWS, "seed": SEED}
    spa = SPA(np.zeros(180), -scaled, **by_hand)
    spa.compute()
    assert [said.lower, said.consistent, said.upper] == spa.pvalues.to_list()
    stepped = StepM(np.zeros(180), -scaled, size=0.1, **by_hand)
    stepped.compute()
    assert list(said.superior or ()) == stepped.superior_models
    # arch studentises nothing, whatever is asked of it: its SPA of raw returns is White's
    check = SPA(np.zeros(180), -active.T, **by_hand)
    check.compute()
    assert said.reality_check == check.pvalues["upper"]


def test_archs_own_steps_fail_where_all_trials_are_superior():
    # the first step names the large one alone, whose noise hides the small one
    better = np.array([[0.01], [0.2]]) * (1.0 + np.random.default_rng(0).standard_normal((2, 180)))
    stepped = StepM(np.zeros(180), -better.T, block_size=BLOCK, reps=DRAWS, seed=SEED)
    with pytest.raises(ValueError, match="zero-size"):
        stepped.compute()
    assert snooping(better, 0.95, DRAWS, SEED, BLOCK).superior == (0, 1)


def test_reality_check_by_hand_on_archs_draws():
    active = noise(5, 120)
    means = active.mean(axis=1)
    above = 0
    for (rows,), _ in StationaryBootstrap(BLOCK, np.arange(120), seed=SEED).bootstrap(DRAWS):
        above += max(active[k, rows].mean() - means[k] for k in range(5)) > means.max()
    said = snooping(active, 0.95, DRAWS, SEED, BLOCK)
    assert said.reality_check == pytest.approx(above / DRAWS, abs=0.5 / DRAWS)


def test_reality_check_by_hand_on_draws_of_its_own():
    active = noise(5, 120)
    rng = np.random.default_rng(5)
    above = []
    for _ in range(2_000):
        rows = [int(rng.integers(120))]
        while len(rows) < 120:
            goes_on = rng.random() > 1.0 / BLOCK
            rows.append((rows[-1] + 1) % 120 if goes_on else int(rng.integers(120)))
        drawn = active[:, rows].mean(axis=1) - active.mean(axis=1)
        above.append(drawn.max() > active.mean(axis=1).max())
    p = float(np.mean(above))
    said = snooping(active, 0.95, 2_000, SEED, BLOCK).reality_check
    assert 0.05 < p < 0.95
    assert said == pytest.approx(p, abs=4.0 * np.sqrt(2.0 * p * (1.0 - p) / 2_000))
