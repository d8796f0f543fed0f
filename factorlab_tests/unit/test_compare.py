"""Series beside each other: the months that all have, the metrics of `core.performance` on them,
and correlations as pandas has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorlab_assets.core.calendar import Dates, month_ends
from factorlab_assets.core.panel import Floats
from factorlab_assets.core.performance import metrics
from factorlab_assets.errors import FactorLabError
from factorlab_assets.evaluation.compare import COLUMNS, Series, compare, correlations

NAN = float("nan")
ENDS = month_ends("2015-01", "2019-12")


def series(name: str, seed: int, rows: slice | list[int] = slice(None), days: int = 0) -> Series:
    """Sixty months of noise, or some of them, `days` before each month's last session."""
    rng = np.random.default_rng(seed)
    net = rng.normal(0.01, 0.04, 60)
    others = rng.normal(0.001, 0.0005, 60), rng.normal(0.006, 0.03, 60)
    paid = rng.uniform(0.0, 1.0, 60), rng.uniform(0.0, 0.002, 60)
    values = (each[rows] for each in (net, *others, *paid))
    return Series(name, (ENDS - days)[rows], *values)


def by_date(one: Series, dates: Dates) -> list[Floats]:
    """A series' columns on these dates, found one by one."""
    place = [one.dates.tolist().index(date) for date in dates.tolist()]
    return [getattr(one, column)[place] for column in COLUMNS]


def test_metrics_are_those_of_the_common_months():
    early, late = series("early", 1, slice(0, 40)), series("late", 2, slice(15, 60))
    found = compare([early, late])
    assert found.dates.tolist() == ENDS[15:40].tolist()
    for one in (early, late):
        assert found.metrics[one.name] == pytest.approx(
            metrics(*by_date(one, ENDS[15:40])), abs=1e-12, nan_ok=True
        )
    assert list(found.metrics) == ["early", "late"]
    assert found.metrics["early"]["cagr"] != pytest.approx(early.metrics["cagr"], abs=1e-3)


def test_a_month_that_one_lacks_is_nobodys():
    whole = series("whole", 1)
    gappy = series("gappy", 2, [i for i in range(60) if i % 7])
    odd = series("odd", 3, list(range(1, 60, 2)))
    found = compare([whole, gappy, odd])
    kept = [i for i in range(1, 60, 2) if i % 7]
    assert found.dates.tolist() == ENDS[kept].tolist()
    assert found.net.shape == (3, len(kept))
    assert found.net[0] == pytest.approx(whole.net_return[kept], abs=0.0)
    assert found.excess[1] == pytest.approx(by_date(gappy, ENDS[kept])[0] - gappy_rf(gappy, kept))
    nav = (1.0 + pd.Series(by_date(odd, ENDS[kept])[0])).cumprod()
    assert found.nav[2] == pytest.approx(nav.to_numpy(), rel=1e-12)


def gappy_rf(one: Series, kept: list[int]) -> Floats:
    return by_date(one, ENDS[kept])[1]


def test_days_before_the_month_end_stand_beside_the_month_end():
    """Dates never coincide, months do."""
    at_end, before = series("end", 1, slice(0, 50)), series("before", 2, slice(5, 60), days=3)
    assert not np.isin(before.dates, at_end.dates).any()
    for pair in ([at_end, before], [before, at_end]):
        found = compare(pair)
        assert found.dates.tolist() == ENDS[5:50].tolist()
        assert found.metrics["before"] == pytest.approx(
            metrics(*by_date(before, ENDS[5:50] - 3)), abs=1e-12, nan_ok=True
        )
        own = {each.name: each.dates for each in found.series}
        assert own["before"].tolist() == (ENDS[5:50] - 3).tolist()


@given(
    st.lists(st.sets(st.integers(0, 59), min_size=50), min_size=2, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_correlations_are_those_of_pandas_on_the_dates_that_join(rows, seed):
    given_ = [series(f"s{i}", seed + i, sorted(said)) for i, said in enumerate(rows)]
    joined = pd.concat(
        [pd.Series(each.net_return, index=each.dates, name=each.name) for each in given_],
        axis=1,
        join="inner",
    )
    if len(joined) < 12:
        return
    found = compare(given_)
    assert found.dates.tolist() == [day.date() for day in joined.index]
    assert found.correlation == pytest.approx(joined.corr().to_numpy(), abs=1e-12)
    assert (np.abs(found.correlation) <= 1.0).all()


def test_what_does_not_vary_correlates_with_nothing_and_has_no_ratio():
    flat = series("flat", 1)
    flat.net_return[:] = 0.1 + 0.2  # 0.30000000000000004: its spread is rounding
    flat.rf[:] = 0.3
    noisy, other = series("noisy", 2), series("other", 3)
    found = compare([flat, noisy, other])
    assert np.isnan(found.correlation[0]).all()
    assert np.isnan(found.correlation[:, 0]).all()
    assert np.diag(found.correlation)[1:] == pytest.approx([1.0, 1.0], abs=1e-15)
    assert np.isnan(found.metrics["flat"]["sharpe"])
    assert np.isfinite(found.metrics["noisy"]["sharpe"])
    almost = np.full(60, 0.01)
    almost[::2] += 1e-17
    assert np.isnan(correlations(np.stack([almost, noisy.net_return]))[0]).all()
    small = 1e-9 * noisy.net_return  # small, and no rounding
    assert correlations(np.stack([small, -noisy.net_return]))[0, 1] == pytest.approx(-1.0, abs=1e-5)


def test_a_benchmark_that_is_not_known_in_some_months_is_left_out_of_those():
    one, two = series("one", 1), series("two", 2)
    one.benchmark_return[:20] = NAN
    found = compare([one, two]).metrics["one"]
    known = one.net_return[20:] - one.benchmark_return[20:]
    assert found["excess_ann"] == pytest.approx(12.0 * known.mean(), abs=1e-12)
    assert found["cagr"] == pytest.approx(np.prod(1.0 + one.net_return) ** (12 / 60) - 1.0)


def test_rows_of_a_table_are_taken_as_they_are():
    one = series("one", 1, slice(0, 12))
    one.benchmark_return[0] = NAN
    columns = {column: pa.array(getattr(one, column), from_pandas=True) for column in COLUMNS}
    table = pa.table({"date": pa.array(one.dates), **columns})
    assert table["benchmark_return"].null_count == 1
    read = Series.from_table("read", table)
    assert read.dates.tolist() == one.dates.tolist()
    for column in COLUMNS:
        assert getattr(read, column).tolist()[1:] == getattr(one, column).tolist()[1:]
    assert np.isnan(read.benchmark_return[0])


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ([], "two or more different experiments. Got: none"),
        ([series("a", 1)], "two or more different experiments. Got: a"),
        ([series("a", 1), series("a", 2)], "two or more different experiments. Got: a, a"),
        (
            [series("a", 1, slice(0, 30)), series("b", 2, slice(19, 60))],
            "too few months in common. Got: 11: a 2015-01-30 to 2017-06-30; b 2016-08-31",
        ),
        ([series("a", 1, slice(0, 0)), series("b", 2)], "Got: 0: b 2015-01-30"),
    ],
)
def test_what_cannot_be_compared_says_why(given_, message):
    with pytest.raises(FactorLabError, match=message):
        compare(given_)


def test_twelve_months_are_enough():
    pair = [series("a", 1, slice(0, 30)), series("b", 2, slice(18, 60))]
    assert len(compare(pair).dates) == 12
