"""Luck and skill on histories of which the truth is known: 200 portfolios drawn at random, and one
whose picks do know something of the month to come.

Over equal weight, the verdict has to see through the best of the random ones, and to let the
planted one pass, with the same number of tries. Over cash it cannot: the universe itself rose. What
is drawn at random has no skill whatever the seed, so several are tried, and how often noise passes
is counted.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factorlab_assets.core.panel import Floats
from factorlab_assets.evaluation.inference import infer, infer_many
from factorlab_assets.evaluation.trials import Family, Trial, Trials, family, universe_of
from factorlab_assets.evaluation_settings import Bootstrap, EvaluationSettings
from factorlab_assets.sources.synthetic import INCEPTIONS, Synthetic

TRIES, HELD, SKILL = 200, 4, 0.2
FIRST, LAST = "2005-02", "2024-05"
SETTINGS = EvaluationSettings(bootstrap=Bootstrap(draws=200))
CLASSES = {
    **dict.fromkeys(("SPY", "QQQ", "IWM", "EFA", "EEM"), "Equity"),
    **dict.fromkeys(("TLT", "IEF", "SHY"), "Rates"),
    **dict.fromkeys(("LQD", "HYG"), "Credit"),
    **dict.fromkeys(("GLD", "DBC"), "Commodity"),
    "VNQ": "REIT",
}


@dataclass(frozen=True)
class History:
    """Monthly returns (T, N), NaN where a name has none, with their equal weight and SPY's (T,)."""

    dates: np.ndarray
    returns: Floats
    equal_weight: Floats
    spy: Floats

    @classmethod
    def of(cls, closes: pd.DataFrame) -> History:
        """From daily closes (days, tickers): what was last paid in each month."""
        month_ends = closes.groupby(closes.index.to_period("M")).last().loc[FIRST:LAST]
        returns = (month_ends / month_ends.shift() - 1).iloc[1:]
        dates = returns.index.to_timestamp(how="end").to_numpy().astype("datetime64[D]")
        equal_weight, spy = returns.mean(axis=1).to_numpy(), returns["SPY"].to_numpy()
        return cls(dates, returns.to_numpy(), equal_weight, spy)

    def held(self, score: Floats) -> Floats:
        """What equal parts of the names with the highest score earn, (..., T)."""
        score = np.where(np.isfinite(self.returns), score, -np.inf)
        best = np.argpartition(-score, HELD, axis=-1)[..., :HELD]
        earned = np.broadcast_to(self.returns, score.shape)
        return np.take_along_axis(earned, best, axis=-1).mean(axis=-1)

    def random(self, seed: int) -> Floats:
        """200 portfolios of four names drawn anew every month, (200, T)."""
        return self.held(np.random.default_rng(seed).random((TRIES, *self.returns.shape)))

    def skilled(self, seed: int) -> Floats:
        """One whose picks correlate 0.2 with the returns to come, (1, T)."""
        z = (self.returns - np.nanmean(self.returns, axis=1, keepdims=True)) / np.nanstd(
            self.returns, axis=1, keepdims=True
        )
        noise = np.random.default_rng(seed).normal(size=z.shape)
        return self.held(SKILL * z + np.sqrt(1 - SKILL**2) * noise)[None]

    def family(self, net: Floats, own: int, benchmark: Floats) -> Family:
        """Of one of these tries (C, T), all of one universe."""
        universe = universe_of({"tickers": list(INCEPTIONS)})
        said = [Trial(f"{i:04}", f"t{i}", "", f"e{i}", "done", universe) for i in range(len(net))]
        trials = Trials(tuple(said), self.dates, net, np.zeros_like(net))
        return family(f"{own:04}", trials, benchmark, self.equal_weight)

    def judged(self, net: Floats, own: int, benchmark: Floats) -> pd.Series:
        """The values of its inference."""
        of, rf = self.family(net, own, benchmark), np.zeros(net.shape[1])
        rows = infer(self.dates, net[own], rf, benchmark, self.equal_weight, of, SETTINGS)
        return pd.DataFrame(rows).set_index(["returns", "statistic"])["value"]


def _best(excess: Floats) -> int:
    return int((excess.mean(axis=1) / excess.std(axis=1)).argmax())


@pytest.fixture(scope="module")
def invented() -> History:
    bars = Synthetic(CLASSES, seed=7).fetch(None, dt.date(2024, 5, 31)).prices.to_pandas()
    closes = bars.pivot(index="date", columns="ticker", values="close")
    return History.of(closes.set_axis(pd.to_datetime(closes.index)))


@pytest.fixture(scope="module")
def real(shared_data: Path) -> History:
    files = sorted((shared_data / "stooq" / "bulk_2024").glob("*.txt"))
    closes = {}
    for file in files:
        rows = pd.read_csv(file)
        rows = rows[rows["<CLOSE>"] > 0]
        days = pd.to_datetime(rows["<DATE>"].astype(str))
        closes[file.name.split(".")[0].upper()] = pd.Series(rows["<CLOSE>"].to_numpy(), index=days)
    return History.of(pd.DataFrame(closes).sort_index())


@pytest.fixture(scope="module", params=["invented", "real"])
def history(request: pytest.FixtureRequest) -> History:
    found: History = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("by", ["raw", "active"])
def test_the_best_of_200_random_portfolios_looks_skilled_and_is_not_believed(
    history: History, seed: int, by: str
):
    net = history.random(seed)
    best = _best(net if by == "raw" else net - history.equal_weight)
    said = history.judged(net, best, history.equal_weight)
    assert said["benchmark", "n_trials"] == TRIES
    assert said["raw", "psr"] > 0.99
    assert said["raw", "dsr"] > 0.9  # counting tries is no help where every one of them rose
    assert said["equal_weight", "psr"] > 0.95  # nor is the benchmark, without counting them
    assert said["equal_weight", "dsr"] < 0.9
    assert said["benchmark", "verdict"] == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_signal_is_believed_after_as_many_tries(history: History, seed: int):
    net = np.vstack([history.skilled(seed + 1_000), history.random(seed)[1:]])
    said = history.judged(net, 0, history.equal_weight)
    assert said["benchmark", "n_trials"] == TRIES
    assert said["equal_weight", "dsr"] > 0.95
    assert said["benchmark", "verdict"] == 1.0
    assert said["benchmark", "haircut_bonferroni"] > 0.5


def test_most_random_portfolios_pass_without_the_count_and_none_with_it(history: History):
    net = history.random(0)
    of = history.family(net, 0, history.equal_weight)
    columns = infer_many(net, np.zeros_like(net), history.equal_weight, of, SETTINGS)
    assert (columns["psr"] > 0.95).mean() > 0.7
    assert 0.01 < (columns["psr_benchmark"] > 0.95).mean() < 0.1  # about one in twenty
    assert (columns["dsr_benchmark"] < 0.9).all()


def test_random_portfolios_are_as_many_ideas_as_they_are(history: History):
    """Drawn anew each month they have nothing in common but the universe."""
    of = history.family(history.random(0), 0, history.equal_weight)
    assert of.average_correlation == pytest.approx(0.0, abs=0.02)
    assert of.n_effective_correlation > 0.98 * TRIES
    assert of.n_effective_clusters > 0.9 * TRIES


def test_the_best_of_pure_noise_passes_less_than_once_in_twenty_worlds():
    """50 tries of 120 months in each of 100 worlds; without the count, 1 − 0.95⁵⁰ = 92 % pass."""
    rng = np.random.default_rng(0)
    dates = (np.arange("2000-02", "2010-02", dtype="datetime64[M]")).astype("datetime64[D]") - 1
    zero = np.zeros(120)
    passed = np.zeros(2)
    for _ in range(100):
        net = rng.normal(0.0, 0.03, (50, 120))
        world = History(dates, net.T, zero, zero)
        columns = infer_many(net, np.zeros_like(net), zero, world.family(net, 0, zero), SETTINGS)
        passed += [columns[name].max() > 0.95 for name in ("psr_benchmark", "dsr_benchmark")]
    assert passed[0] / 100 == pytest.approx(1 - 0.95**50, abs=0.09)  # three standard errors
    assert passed[1] / 100 < 0.05
