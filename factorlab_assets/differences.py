"""What made two experiments come out differently: data, configuration or code, metric by metric.

Belongs here: splitting the change. Does not: recomputing an experiment (`verify`), or what a metric
is (`core.performance`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from factorlab_assets import explain, ledger, prices, verify
from factorlab_assets.core.performance import metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.store import Store
from factorlab_assets.strategy import Resolved

METRICS = (
    "cagr",
    "volatility_ann",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "hit_rate",
    "turnover_ann",
    "cost_drag_ann",
    "excess_ann",
    "tracking_error_ann",
    "information_ratio",
    "beta",
    "t_excess_equal_vol",
)
"""The headline metrics: all that follow from what an experiment earned."""

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Change:
    """One metric's change and its parts: after − before = data + configuration + code + undivided.

    None where a metric is undefined or a part cannot be told; `undivided` is what the parts that
    cannot be told are together, None where all can.
    """

    metric: str
    before: float | None
    after: float | None
    data: float | None
    configuration: float | None
    code: float | None
    undivided: float | None


@dataclass(frozen=True)
class Difference:
    """Two experiments, what differs between them, and what that does to every metric.

    differs : of data, configuration and code those that do, and how. notes : what could not be
    rerun and why, and what else there is to say.
    """

    first: str
    second: str
    differs: Mapping[str, str]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def diff(store: Store, first: str, second: str) -> Difference:
    """Split what changed from one finished experiment to another into data, configuration and code.

    With R₁ and R₂ the recorded figures and f(d, c) those that today's code makes of data d and
    configuration c: ::

        data          = ½·[f(d₂, c₁) − f(d₁, c₁)] + ½·[f(d₂, c₂) − f(d₁, c₂)]
        configuration = ½·[f(d₁, c₂) − f(d₁, c₁)] + ½·[f(d₂, c₂) − f(d₂, c₁)]
        code          = [f(d₁, c₁) − R₁] + [R₂ − f(d₂, c₂)]

    The three sum to R₂ − R₁. Data and configuration are averaged over both orders in which they can
    change, each player's Shapley value (Shapley 1953), so that neither gets what they do together.
    Where only one of the three differs there is nothing to split: the whole change is its.

    Parameters
    ----------
    first, second : experiment ids, of any strategies, combinations and months.

    Returns
    -------
    Difference. What cannot be rerun (a version that was pruned, a configuration that today's models
    refuse) leaves the parts that rest on it None; they are told together, undivided.

    Raises
    ------
    FactorLabError : an experiment that never finished, or of which no returns were kept.

    References
    ----------
    Shapley, L. S. (1953), A value for n-person games, Contributions to the Theory of Games II;
    chapter 2 of Roth, A. E. (ed., 1988), The Shapley Value, doi:10.1017/CBO9780511528446.
    """
    rows = [verify.finished(store, id_) for id_ in (first, second)]
    before, after = (figures(ledger.returns(store, id_)) for id_ in (first, second))
    differs = _differs(*rows)
    if len(differs) <= 1:
        changes = tuple(_by_one(name, before, after, set(differs)) for name in METRICS)
        return Difference(first, second, differs, changes, ())
    rerun = _Rerun(store, rows)
    made = {(d, c): rerun.figures(d, c) for d, c in itertools.product((0, 1), repeat=2)}
    changes = tuple(_split(name, before, after, made, set(differs)) for name in METRICS)
    notes = list(dict.fromkeys(rerun.failed.values()))
    if "code" not in differs and any(change.code for change in changes):
        notes.append(
            f"both are recorded by the same code, {rows[0]['code_version']}; code is here what it "
            "made of them otherwise than today's"
        )
    return Difference(first, second, differs, changes, tuple(notes))


def figures(returns: pa.Table) -> Figures:
    """The headline metrics of an experiment's rows of `trial_returns`, by date; NaN = undefined."""
    names = ("net_return", "rf", "benchmark_return", "turnover", "cost")
    columns = (np.asarray(returns[n].to_numpy(zero_copy_only=False), np.float64) for n in names)
    found = metrics(*columns)
    return {name: found[name] for name in METRICS}


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """What differs between two ledger rows, and how."""
    found = {}
    if any(one[name] != other[name] for name in ("data_version_id", "prices")):
        said = explain.changed(one["data_version_id"], other["data_version_id"], "version")
        said += explain.changed(json.loads(one["prices"]), json.loads(other["prices"]), "prices")
        found["data"] = ", ".join(said)
    if one["config_hash"] != other["config_hash"]:
        said = explain.changed(json.loads(one["config"]), json.loads(other["config"]))
        found["configuration"] = ", ".join(said)
    if one["code_version"] != other["code_version"]:
        found["code"] = f"{one['code_version']} → {other['code_version']}"
    return found


class _Rerun:
    """f(d, c) of two experiments by today's code, each pair once; what fails, and why."""

    def __init__(self, store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
        self.store, self.rows = store, rows
        self.failed: dict[tuple[Any, ...], str] = {}
        self._made: dict[tuple[Any, ...], Figures | None] = {}

    def figures(self, data: int, configuration: int) -> Figures | None:
        """Of the data of one experiment with the configuration of one; None where it failed."""
        of_data, of_config = self.rows[data], self.rows[configuration]
        key = (of_data["data_version_id"], of_data["prices"], of_config["config_hash"])
        if key not in self._made:
            try:
                self._made[key] = self._run(of_data, of_config)
            except FactorLabError as error:
                self._made[key] = None
                self.failed[key] = (
                    f"{of_config['strategy']} as of {of_config['experiment_id']} cannot be rerun "
                    f"on {of_data['data_version_id']}: {error}"
                )
        return self._made[key]

    def _run(self, of_data: Mapping[str, Any], of_config: Mapping[str, Any]) -> Figures:
        inputs = prices.Inputs.recorded(self.store, of_data["data_version_id"], of_data["prices"])
        resolved = Resolved.from_config(of_config["strategy"], json.loads(of_config["config"]))
        as_batch = verify.is_of_batch(self.store, of_config["experiment_id"])
        rows = verify.earned(self.store, inputs, resolved, "rerun", as_batch=as_batch)
        if rows.num_rows == 0:
            raise FactorLabError(
                "it has no month to earn a return in", where=f"strategy {resolved.name}"
            )
        return figures(rows)


def _by_one(name: str, before: Figures, after: Figures, differs: set[str]) -> Change:
    """A change that all comes from the one thing that differs, if any does."""
    total = after[name] - before[name]
    parts = {cause: total if cause in differs else 0.0 for cause in _CAUSES}
    return _change(name, before, after, parts)


def _split(
    name: str,
    before: Figures,
    after: Figures,
    made: Mapping[tuple[int, int], Figures | None],
    differs: set[str],
) -> Change:
    """A change by the formula of `diff`, as far as its terms could be made."""
    f = {pair: None if found is None else found[name] for pair, found in made.items()}
    first, last, then, late = f[0, 0], f[1, 1], f[0, 1], f[1, 0]
    parts: dict[str, float | None] = dict.fromkeys(_CAUSES)
    if first is None or last is None:
        parts |= {cause: 0.0 for cause in ("data", "configuration") if cause not in differs}
        return _change(name, before, after, parts, after[name] - before[name])
    parts["code"] = (first - before[name]) + (after[name] - last)
    if then is None or late is None:
        return _change(name, before, after, parts, last - first)
    parts["data"] = ((late - first) + (last - then)) / 2.0
    parts["configuration"] = ((then - first) + (last - late)) / 2.0
    return _change(name, before, after, parts)


_CAUSES = ("data", "configuration", "code")


def _change(
    name: str,
    before: Figures,
    after: Figures,
    parts: Mapping[str, float | None],
    undivided: float | None = None,
) -> Change:
    said = [before[name], after[name], *(parts[cause] for cause in _CAUSES), undivided]
    return Change(name, *(None if x is None or np.isnan(x) else float(x) for x in said))
