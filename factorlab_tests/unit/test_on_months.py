"""A strategy's own series among those of all trials: by calendar month, and nowhere else."""

from __future__ import annotations

import numpy as np

from factorlab_assets.assets.evaluation import on_months
from factorlab_assets.core.calendar import month_ends
from factorlab_assets.evaluation.trials import Trials

NONE = np.empty((0, 6))


def placed(dates: np.ndarray) -> list[float]:
    trials = Trials((), month_ends("2020-01", "2020-06"), NONE, NONE)
    return on_months(trials, dates)(np.arange(1.0, len(dates) + 1)).tolist()


def test_each_value_is_in_its_own_month() -> None:
    said = placed(month_ends("2020-02", "2020-04"))
    assert np.array_equal(said, [np.nan, 1.0, 2.0, 3.0, np.nan, np.nan], equal_nan=True)
    days_before = placed(month_ends("2020-02", "2020-04") - 4)
    assert np.array_equal(days_before, said, equal_nan=True)


def test_months_that_no_trial_has_are_left_out() -> None:
    said = placed(month_ends("2019-11", "2020-08"))
    assert said == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
