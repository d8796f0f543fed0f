"""Data snooping: noise, planted winners, poor trials that hide nothing, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from factorlab_assets.core.panel import Floats
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.resample import block_length
from factorlab_assets.evaluation.snooping import Snooping, snooping

DRAWS = 300


def noise(trials: int, months: int = 180, seed: int = 0) -> Floats:
    return 0.02 * np.random.default_rng(seed).standard_normal((trials, months))


def p_values(found: Snooping) -> list[float]:
    return [found.lower, found.consistent, found.upper, found.reality_check]


class TestNoise:
    def test_its_best_is_not_significant_on_average(self):
        found = [snooping(noise(30, 180, seed), 0.95, DRAWS, seed) for seed in range(30)]
        for which in range(4):
            p = np.array([p_values(each)[which] for each in found])
            assert 0.3 < p.mean() < 0.7
            assert (p < 0.05).sum() <= 5
        assert sum(bool(each.superior) for each in found) <= 5

    def test_hundreds_of_trials_do_not_make_it_so(self):
        # with a scale from blocks instead of a plain standard deviation the mean would be about 0.2
        p = [snooping(noise(400, 240, seed), 0.95, 100, seed, 7).consistent for seed in range(8)]
        assert np.mean(p) > 0.28

    def test_p_values_are_in_hansens_order(self):
        active = noise(20) + np.linspace(-0.01, 0.002, 20)[:, np.newaxis]
        found = snooping(active, 0.95, DRAWS)
        assert found.lower <= found.consistent <= found.upper
        assert found.lower < found.upper


class TestPlanted:
    def test_a_winner_is_found_and_named(self):
        active = noise(20)
        active[[4, 11]] += 0.008
        found = snooping(active, 0.95, DRAWS)
        assert max(p_values(found)) < 0.01
        assert found.superior == (4, 11)

    def test_a_trial_that_loses_is_not_a_winner(self):
        active = noise(20)
        active[4] -= 0.008
        found = snooping(active, 0.95, DRAWS)
        assert min(p_values(found)) > 0.1
        assert found.superior == ()

    def test_poor_and_wild_trials_do_not_hide_it_from_spa_but_from_the_reality_check(self):
        active = noise(20)
        active[0] += 0.006
        active[10:] = 20.0 * active[10:] - 0.5
        found = snooping(active, 0.95, DRAWS)
        assert found.consistent < 0.01
        assert found.superior == (0,)
        assert found.reality_check > 0.2

    def test_all_trials_may_be_superior(self):
        assert snooping(noise(3) + 0.02, 0.95, DRAWS).superior == (0, 1, 2)
        assert snooping(noise(1) + 0.02, 0.95, DRAWS).superior == (0,)


class TestBootstrap:
    def test_the_seed_decides(self):
        one, same, other = (snooping(noise(5), 0.95, DRAWS, seed) for seed in (1, 1, 2))
        assert one == same
        assert p_values(one) != p_values(other)

    def test_the_block_is_that_of_the_best_trial_unless_given(self):
        assert snooping(noise(5), 0.95, DRAWS, 0, 9).block == 9
        steps = noise(1)[0]
        lasting = np.array([steps[max(0, t - 12) : t + 1].mean() for t in range(180)]) + 0.02
        found = snooping(np.vstack([noise(4, seed=1), lasting]), 0.95, DRAWS)
        assert found.block == np.ceil(block_length(lasting)) >= 5
        assert f"blocks of {found.block} months" in found.note
        assert snooping(noise(4, seed=1), 0.95, DRAWS).block < 5

    def test_the_scale_of_returns_does_not_matter(self):
        assert p_values(snooping(8.0 * noise(5), 0.95, DRAWS)) == p_values(
            snooping(noise(5), 0.95, DRAWS)
        )


class TestBadInput:
    @pytest.mark.parametrize(
        ("active", "note"),
        [
            (np.zeros((0, 60)), "no trials"),
            (noise(5, 23), "23 months: at least 24 are needed"),
            (np.full((3, 60), 0.01), "none of 3 trials varies against the benchmark"),
            (
                np.where(np.eye(3, 60) == 1.0, np.nan, noise(3, 60)),
                "3 of 3 trials have no active return in some month of the window",
            ),
        ],
    )
    def test_nothing_to_test(self, active: Floats, note: str):
        found = snooping(active, 0.95, DRAWS)
        assert np.isnan(p_values(found)).all()
        assert found.superior is None
        assert found.note == note
        for row in found.rows(["a", "b", "c"]):
            assert np.isnan(row["value"])
            assert row["note"] == note

    def test_a_trial_that_is_the_benchmark_is_left_out(self):
        active = noise(5)
        active[4] += 0.02
        with_it = np.vstack([np.zeros((1, 180)), active])
        found, without = snooping(with_it, 0.95, DRAWS), snooping(active, 0.95, DRAWS)
        assert p_values(found) == p_values(without)
        assert (found.superior, without.superior) == ((5,), (4,))
        assert found.note.endswith("left out, as they do not vary: 1 trials")

    @pytest.mark.parametrize("said", [{"level": 1.0}, {"draws": 0}, {"block": 0}])
    def test_a_bootstrap_that_cannot_be_drawn(self, said: dict[str, int]):
        with pytest.raises(FactorLabError, match="cannot be drawn"):
            snooping(noise(5), **said)


def test_rows_name_the_superior():
    names = [f"t{i}" for i in range(8)]
    rows = {row["statistic"]: row for row in snooping(noise(8) + 0.02, 0.95, DRAWS).rows(names)}
    assert list(rows) == ["spa_lower", "spa_consistent", "spa_upper", "reality_check", "stepm"]
    assert rows["stepm"]["value"] == 8.0
    assert rows["stepm"]["note"] == "t0, t1, t2, t3, t4 and 3 more"
    rows = {row["statistic"]: row for row in snooping(noise(8), 0.95, DRAWS).rows(names)}
    assert (rows["stepm"]["value"], rows["stepm"]["note"]) == (0.0, "none")
