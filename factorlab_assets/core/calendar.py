"""The exchange calendar (XNYS): which days are sessions, and where months begin and end.

A month may be dated some sessions before its last one (`days_before`): on its first one where it
has not so many. What comes between that date and the next month's then belongs to the next one.

Belongs here: dates. Does not: prices, or what is traded on them. The calendar is the table `xnys`,
from 1928 to 2049 whatever today is, so that no clock leaks into a result; a day outside that range
is an error, never a guessed weekday.
"""

from __future__ import annotations

import datetime as dt
from functools import cache

import numpy as np
import numpy.typing as npt

from factorlab_assets.core.xnys import CLOSED
from factorlab_assets.errors import FactorLabError

Dates = npt.NDArray[np.datetime64]

FIRST_DAY = dt.date(1928, 1, 1)
LAST_DAY = dt.date(2049, 12, 31)


def sessions(first: dt.date, last: dt.date) -> Dates:
    """Every XNYS session from `first` to `last`, both included, as `datetime64[D]`.

    Raises
    ------
    FactorLabError : a day outside 1928 to 2049, where the calendar is not known.

    Examples
    --------
    >>> sessions(dt.date(2024, 5, 24), dt.date(2024, 5, 29))
    array(['2024-05-24', '2024-05-28', '2024-05-29'], dtype='datetime64[D]')
    """
    for day in (first, last):
        _known(day)
    every = _every_session()
    start, stop = np.searchsorted(every, [np.datetime64(first), np.datetime64(last) + 1])
    return every[start:stop]


def month_ends(first_month: str, last_month: str, days_before: int = 0) -> Dates:
    """The last session of each calendar month from `first_month` to `last_month` ('2024-05'), or
    the one so many sessions before it.

    >>> month_ends("2024-03", "2024-04", days_before=1)
    array(['2024-03-27', '2024-04-29'], dtype='datetime64[D]')
    """
    ends = _every_month_end(days_before)
    return ends[_month_index(first_month) : _month_index(last_month) + 1]


def month_starts(first_month: str, last_month: str, days_before: int = 0) -> Dates:
    """The first session of each calendar month from `first_month` to `last_month` ('2024-05'), or
    the one after the date of the month before."""
    every, ends = _every_session(), _every_month_end(days_before)
    before = np.searchsorted(every, ends[:-1])
    starts = every[np.concatenate(([0], before + 1))]
    return starts[_month_index(first_month) : _month_index(last_month) + 1]


def month_end(month: str, days_before: int = 0) -> dt.date:
    """The last session of a calendar month, or the one so many sessions before it.

    >>> month_end("2024-03")
    datetime.date(2024, 3, 28)
    """
    return _date(month_ends(month, month, days_before)[0])


def months_of(days: Dates, days_before: int = 0) -> Dates:
    """The month that each day belongs to: that whose date is the first on or after it.

    >>> months_of(np.array(["2024-03-27", "2024-03-28"], dtype="datetime64[D]"), 1)
    array(['2024-03', '2024-04'], dtype='datetime64[M]')
    """
    place = np.searchsorted(_every_month_end(days_before), days)
    return np.asarray(np.datetime64(FIRST_DAY, "M") + place)


def month_of(day: dt.date) -> str:
    """The calendar month of a day, as a partition key.

    >>> month_of(dt.date(2024, 5, 31))
    '2024-05'
    """
    return f"{day:%Y-%m}"


def last_closed_month(today: dt.date) -> str:
    """The latest month whose last session is over: strictly before `today`.

    >>> last_closed_month(dt.date(2024, 5, 31)), last_closed_month(dt.date(2024, 6, 1))
    ('2024-04', '2024-05')
    """
    _known(today)
    ends = _every_month_end()
    return month_of(_date(ends[np.searchsorted(ends, np.datetime64(today)) - 1]))


def is_first_session(day: dt.date) -> bool:
    """Whether `day` is the first session of its month.

    >>> is_first_session(dt.date(2024, 6, 3)), is_first_session(dt.date(2024, 6, 1))
    (True, False)
    """
    month = month_of(day)
    return bool(month_starts(month, month)[0] == np.datetime64(day))


@cache
def _every_session() -> Dates:
    days = np.arange(np.datetime64(FIRST_DAY), np.datetime64(LAST_DAY) + 1)
    lines = [line.split() for line in CLOSED.strip().splitlines()]
    closed = [f"{year}-{day[:2]}-{day[2:]}" for year, *those in lines for day in those]
    every: Dates = days[np.is_busday(days, holidays=np.array(closed, dtype="datetime64[D]"))]
    every.setflags(write=False)
    return every


@cache
def _every_month_end(days_before: int = 0) -> Dates:
    every = _every_session()
    months = every.astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    first = np.concatenate([[0], last[:-1] + 1])
    ends: Dates = every[np.maximum(last - days_before, first)]
    ends.setflags(write=False)
    return ends


def _month_index(month: str) -> int:
    try:
        day = dt.date.fromisoformat(f"{month}-01")
    except ValueError:
        raise FactorLabError(
            "that is not a month", got=repr(month), expected="year and month, as in 2024-05"
        ) from None
    _known(day)
    return (day.year - FIRST_DAY.year) * 12 + day.month - FIRST_DAY.month


def _known(day: dt.date) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise FactorLabError(
            "the exchange calendar is not known on that day",
            got=day,
            expected=f"{FIRST_DAY} to {LAST_DAY}",
        )


def _date(day: np.datetime64) -> dt.date:
    return dt.date.fromisoformat(str(day))
