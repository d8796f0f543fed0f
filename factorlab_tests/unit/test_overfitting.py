"""Backtest overfitting: by hand, against a literal loop, noise, skill, ties, purge, bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from factorlab_assets.core.panel import Floats
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation import overfitting
from factorlab_assets.evaluation.overfitting import cscv

ROUNDING = 1e-9
"""Logits and Sharpe ratios of order 1; ties are settled at 1e-10."""


def noise(trials: int, months: int, seed: int = 0) -> Floats:
    return 0.04 * np.random.default_rng(seed).standard_normal((trials, months)) + 0.005


def literal(excess: Floats, blocks: int, purge: int = 0) -> dict[str, Floats]:
    """The definition, month by month and split by split."""
    n_trials, months = excess.shape
    length = months // blocks
    kept = excess[:, months - blocks * length :]
    found: dict[str, list[float]] = {"logit": [], "in": [], "out": [], "loss": []}
    for trained in itertools.combinations(range(blocks), blocks // 2):
        within, beyond = [], []
        for t in range(blocks * length):
            block, place = divmod(t, length)
            if block not in trained:
                beyond.append(t)
                continue
            starts = place < purge and block > 0 and block - 1 not in trained
            left = length - 1 - place
            ends = left < purge and block < blocks - 1 and block + 1 not in trained
            if not (starts or ends):
                within.append(t)
        one, other = (
            (kept[:, rows].mean(axis=1) / kept[:, rows].std(axis=1, ddof=1)).round(10)
            for rows in (within, beyond)
        )
        best = one == one.max()
        rank = rankdata(other)[best].mean() / (n_trials + 1)
        found["logit"].append(np.log(rank / (1.0 - rank)))
        found["in"].append(one.max() * np.sqrt(12.0))
        found["out"].append(other[best].mean() * np.sqrt(12.0))
        found["loss"].append((other[best] < 0.0).mean())
    return {name: np.array(values) for name, values in found.items()}


def same(excess: Floats, blocks: int, purge: int = 0) -> overfitting.Overfitting:
    """What `cscv` finds, after holding it against the definition."""
    said, expected = cscv(excess, blocks, purge), literal(excess, blocks, purge)
    assert said.logits == pytest.approx(expected["logit"], abs=ROUNDING)
    assert said.best_in == pytest.approx(expected["in"], abs=ROUNDING)
    assert said.best_out == pytest.approx(expected["out"], abs=ROUNDING)
    assert said.loss == pytest.approx(expected["loss"].mean(), abs=ROUNDING)
    settled = np.abs(expected["logit"]) > ROUNDING
    by_hand = (expected["logit"][settled] < 0.0).sum() + (~settled).sum()
    assert said.pbo == pytest.approx(by_hand / len(expected["logit"]), abs=ROUNDING)
    return said


class TestByHand:
    def test_two_trials_that_take_turns_are_always_chosen_wrongly(self):
        # A is better in the first half, B in the second: with two blocks the best is then the worse
        good, bad = [0.03, 0.01], [0.01, -0.01]
        said = cscv(np.array([good + bad, bad + good]), blocks=2)
        assert said.logits == pytest.approx([np.log(0.5)] * 2, abs=1e-12)
        assert said.pbo == 1.0
        # sd of 0.03 and 0.01 is 0.02/√2: Sharpe ratios √2 and 0 a month
        assert said.best_in == pytest.approx([np.sqrt(24.0)] * 2, abs=1e-8)
        assert said.best_out == pytest.approx([0.0, 0.0], abs=1e-8)

    def test_the_better_of_three_in_every_block_has_the_highest_rank(self):
        pattern = np.tile([0.02, -0.01, 0.01], 4)
        said = cscv(pattern + np.array([[0.0], [0.01], [-0.02]]), blocks=4)
        assert said.logits == pytest.approx([np.log(3.0)] * 6, abs=1e-12)
        assert (said.pbo, said.loss, said.n_splits, said.n_trials) == (0.0, 0.0, 6, 3)

    def test_slope_is_that_of_a_line_through_the_splits(self):
        said = cscv(noise(7, 60), blocks=6)
        slope, intercept = np.polyfit(said.best_in, said.best_out, 1)
        assert (said.slope, said.intercept) == pytest.approx((slope, intercept), abs=1e-9)

    def test_a_choice_that_never_varies_has_no_slope(self):
        said = cscv(np.tile([[0.02, 0.01], [0.0, -0.01]], 8), blocks=4)
        assert np.isnan(said.slope)
        assert np.isnan(said.intercept)


class TestAgainstTheDefinition:
    @pytest.mark.parametrize("purge", [0, 1, 2])
    @pytest.mark.parametrize(("trials", "months", "blocks"), [(2, 24, 4), (5, 50, 8), (6, 41, 6)])
    def test_logits_ratios_and_loss(self, trials: int, months: int, blocks: int, purge: int):
        if months // blocks >= 2 * purge + 2:
            same(noise(trials, months, purge), blocks, purge)
        else:
            assert "blocks fit" in cscv(noise(trials, months), blocks, purge).note

    def test_small_pieces_change_nothing(self, monkeypatch: pytest.MonkeyPatch):
        whole = cscv(noise(5, 48), 8, 1)
        monkeypatch.setattr(overfitting, "MOST_CELLS", 15)
        assert cscv(noise(5, 48), 8, 1).logits.tolist() == whole.logits.tolist()

    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        trials=st.integers(2, 6),
        months=st.integers(24, 50),
        copies=st.integers(0, 2),
    )
    def test_with_copies_of_trials(self, seed: int, trials: int, months: int, copies: int):
        own = noise(trials, months, seed)
        same(np.vstack([own, *([1.7 * own] * copies)]), 6, 1)


class TestTies:
    def test_trials_that_are_all_the_same_are_at_the_median(self):
        said = cscv(np.tile(noise(1, 48), (4, 1)), blocks=4)
        assert said.logits.tolist() == [0.0] * 6
        assert said.pbo == 1.0

    def test_leverage_ties(self):
        one = noise(1, 48)
        assert cscv(np.vstack([one, 2.0 * one, 3.0 * one]), blocks=4).logits.tolist() == [0.0] * 6

    def test_several_best_in_sample_share_the_mean_of_their_ranks_out_of_sample(self):
        # A and B tie in the first half, where C is worst; in the second A has rank 1 and B rank 3
        first = [0.03, 0.01]
        excess = np.array([[*first, -0.02, -0.03], [*first, 0.05, 0.04], [0.0, -0.01, 0.0, 0.01]])
        said = same(excess, 2)
        assert said.logits[0] == pytest.approx(0.0, abs=1e-12)
        assert said.logits[1] == pytest.approx(np.log(2.5 / 1.5), abs=1e-12)


class TestNoiseAndSkill:
    def test_noise_is_overfitted_half_of_the_time(self):
        pbo = [cscv(noise(20, 96, seed), blocks=8).pbo for seed in range(60)]
        assert np.mean(pbo) == pytest.approx(0.5, abs=4.0 * np.std(pbo) / np.sqrt(60))
        assert np.std(pbo) < 0.3

    def test_purging_leaves_noise_at_one_half(self):
        pbo = [cscv(noise(20, 96, seed), blocks=8, purge=2).pbo for seed in range(60)]
        assert np.mean(pbo) == pytest.approx(0.5, abs=4.0 * np.std(pbo) / np.sqrt(60))

    def test_a_truly_better_trial_is_not(self):
        excess = noise(20, 240)
        excess[7] += 0.02
        said = cscv(excess)
        assert said.n_splits == 12_870
        assert said.pbo < 0.01
        assert said.loss < 0.001


class TestPurge:
    def test_what_is_next_to_a_test_block_does_not_train(self):
        # A is best by its two border months only; unpurged it would be chosen in sample
        excess = np.array(
            [[0.0, 0.01, 0.0, 0.9, 0.0, 0.01, 0.0, 0.01], [0.02, 0.03, 0.02, 0.03] * 2]
        )
        excess = np.repeat(excess, 2, axis=1) + 0.001 * noise(2, 16)
        plain, purged = same(excess, 2), same(excess, 2, 2)
        assert plain.best_in[0] != pytest.approx(purged.best_in[0], abs=0.01)

    def test_changing_purged_months_changes_no_choice_in_sample(self):
        excess = noise(6, 40)
        changed = excess.copy()
        changed[:, 18:20] += noise(6, 2, 9)  # the end of the first half, next to the second
        one, other = cscv(excess, 2, 2), cscv(changed, 2, 2)
        assert one.best_in[0] == pytest.approx(other.best_in[0], abs=1e-9)
        assert one.best_out[1] != pytest.approx(other.best_out[1], abs=1e-3)


class TestWindow:
    def test_what_blocks_cannot_hold_is_dropped_from_the_oldest_end(self):
        excess = noise(5, 51)
        said = cscv(excess, blocks=8)
        assert said.dropped == 3
        assert "3 oldest months dropped" in said.note
        assert said.logits.tolist() == cscv(excess[:, 3:], blocks=8).logits.tolist()
        other = excess.copy()
        other[:, :3] = 9.0
        assert cscv(other, blocks=8).logits.tolist() == said.logits.tolist()

    def test_order_and_leverage_of_trials_do_not_matter(self):
        excess = noise(6, 48)
        turned = cscv(excess[::-1] * np.arange(1.0, 7.0)[:, np.newaxis], 6, 1)
        assert turned.logits == pytest.approx(cscv(excess, 6, 1).logits, abs=ROUNDING)


class TestBadInput:
    def test_too_few_trials(self):
        said = cscv(noise(1, 64))
        assert np.isnan(said.pbo)
        assert said.note == "1 trials: at least 2 have to be compared"

    def test_too_few_months(self):
        said = cscv(noise(5, 60), blocks=16, purge=1)
        assert np.isnan(said.pbo)
        assert "60 months make 16 blocks of 3" in said.note
        assert said.note.endswith("a block needs 4; at most 14 blocks fit")
        assert np.isfinite(cscv(noise(5, 60), blocks=14, purge=1).pbo)
        assert cscv(noise(5, 3)).note.endswith("no blocks fit")

    def test_missing_returns(self):
        excess = noise(5, 64)
        excess[2, 3] = np.nan
        said = cscv(excess)
        assert np.isnan(said.pbo)
        assert said.note == "1 of 5 trials have no return in some month of the window"

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3.0])
    def test_trials_that_do_not_vary_are_left_out(self, value: float):
        excess = noise(5, 64)
        said = cscv(np.vstack([excess, np.full((1, 64), value)]))
        assert said.logits.tolist() == cscv(excess).logits.tolist()
        assert said.note.endswith("left out, hardly varying: 1 trials")
        assert "0 of 3 trials vary" in cscv(np.full((3, 64), value)).note

    def test_in_cash_for_half_of_the_blocks_is_left_out_and_for_less_is_not(self):
        excess = noise(3, 64)
        excess[0, :32] = 0.0
        assert cscv(excess, blocks=8).n_trials == 2
        excess[0, 24:32] = 0.01 * np.arange(8)
        assert same(excess, 8).n_trials == 3

    @pytest.mark.parametrize(("blocks", "purge"), [(5, 0), (0, 0), (4, -1)])
    def test_blocks_that_cannot_be_halved(self, blocks: int, purge: int):
        with pytest.raises(FactorLabError, match="cannot be cut"):
            cscv(noise(3, 64), blocks, purge)

    def test_rows_have_the_reason(self):
        rows = {row["statistic"]: row for row in cscv(noise(1, 64)).rows()}
        assert set(rows) == {"pbo", "pbo_slope", "pbo_loss", "pbo_splits"}
        assert all(np.isnan(row["value"]) and "at least 2" in row["note"] for row in rows.values())
        said = cscv(noise(4, 64), 4)
        assert {row["statistic"]: row["value"] for row in said.rows()} == {
            "pbo": said.pbo,
            "pbo_slope": said.slope,
            "pbo_loss": said.loss,
            "pbo_splits": 6.0,
        }
