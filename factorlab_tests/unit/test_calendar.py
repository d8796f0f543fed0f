"""The calendar against dates that anyone can look up."""

from __future__ import annotations

import csv
import datetime as dt
import warnings
from pathlib import Path

import exchange_calendars
import numpy as np
import pytest

from factorlab_assets.core import calendar
from factorlab_assets.core.xnys import CLOSED
from factorlab_assets.errors import FactorLabError


def test_the_table_of_closed_days_is_that_of_exchange_calendars() -> None:
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        bounds = {"start": str(calendar.FIRST_DAY), "end": str(calendar.LAST_DAY)}
        known = exchange_calendars.get_calendar("XNYS", **bounds).sessions
    days = np.arange(np.datetime64(calendar.FIRST_DAY), np.datetime64(calendar.LAST_DAY) + 1)
    sessions = np.isin(days, known.to_numpy().astype("datetime64[D]"))
    assert not sessions[~np.is_busday(days)].any()
    closed = days[np.is_busday(days) & ~sessions].astype(str).tolist()
    lines = [line.split() for line in CLOSED.strip().splitlines()]
    listed = [f"{year}-{day[:2]}-{day[2:]}" for year, *those in lines for day in those]
    assert listed == closed
    assert calendar.sessions(calendar.FIRST_DAY, calendar.LAST_DAY).tolist() == (
        days[sessions].tolist()
    )


def test_a_month_ends_on_its_last_session_not_on_its_last_weekday() -> None:
    assert calendar.month_end("2024-03") == dt.date(2024, 3, 28)  # Good Friday on the 29th
    assert calendar.month_end("2024-05") == dt.date(2024, 5, 31)
    assert calendar.month_end("2012-10") == dt.date(2012, 10, 31)  # the day after Sandy


def test_sessions_leave_out_weekends_holidays_and_emergency_closures() -> None:
    assert calendar.sessions(dt.date(2024, 5, 25), dt.date(2024, 5, 27)).size == 0
    after_attack = calendar.sessions(dt.date(2001, 9, 10), dt.date(2001, 9, 17))
    assert after_attack.tolist() == [dt.date(2001, 9, 10), dt.date(2001, 9, 17)]
    assert after_attack.dtype == np.dtype("datetime64[D]")


def test_a_year_has_its_known_number_of_sessions() -> None:
    assert len(calendar.sessions(dt.date(2023, 1, 1), dt.date(2023, 12, 31))) == 250
    assert len(calendar.sessions(dt.date(2024, 1, 1), dt.date(2024, 12, 31))) == 252
    assert len(calendar.sessions(dt.date(1990, 1, 1), dt.date(1990, 12, 31))) == 253


def test_month_starts_and_ends_enclose_exactly_the_months_sessions() -> None:
    starts = calendar.month_starts("2019-11", "2020-02")
    ends = calendar.month_ends("2019-11", "2020-02")
    assert starts.astype(str).tolist() == ["2019-11-01", "2019-12-02", "2020-01-02", "2020-02-03"]
    assert ends.astype(str).tolist() == ["2019-11-29", "2019-12-31", "2020-01-31", "2020-02-28"]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        month_days = calendar.sessions(start.replace(day=1), end)
        assert (month_days[0], month_days[-1]) == (np.datetime64(start), np.datetime64(end))


def test_the_first_month_of_the_calendar_has_a_start_too() -> None:
    first = calendar.sessions(calendar.FIRST_DAY, dt.date(1928, 1, 31))[:1]
    assert first.tolist() == calendar.month_starts("1928-01", "1928-01").tolist()


@pytest.mark.parametrize(
    ("today", "closed"),
    [
        ("2024-03-27", "2024-02"),
        ("2024-03-28", "2024-02"),  # the last session itself is not over
        ("2024-03-29", "2024-03"),  # Good Friday: no session, March is over
        ("2024-04-01", "2024-03"),
        ("2024-01-01", "2023-12"),
    ],
)
def test_a_month_is_closed_once_its_last_session_is_over(today: str, closed: str) -> None:
    assert calendar.last_closed_month(dt.date.fromisoformat(today)) == closed


def test_only_the_first_session_of_a_month_is_one() -> None:
    days = [dt.date(2024, 6, number) for number in (1, 2, 3, 4)]
    assert [calendar.is_first_session(day) for day in days] == [False, False, True, False]
    assert calendar.is_first_session(dt.date(2024, 1, 2))


@pytest.mark.parametrize("day", [dt.date(1927, 12, 31), dt.date(2050, 1, 1)])
def test_days_outside_the_calendar_are_refused_not_guessed(day: dt.date) -> None:
    with pytest.raises(FactorLabError, match=f"Got: {day}"):
        calendar.sessions(min(day, dt.date(2000, 1, 3)), max(day, dt.date(2000, 1, 3)))


@pytest.mark.parametrize("month", ["2024-13", "2024", "May 2024", "2024-05-01"])
def test_what_is_no_month_is_refused_with_an_example(month: str) -> None:
    with pytest.raises(FactorLabError, match=r"not a month.*as in 2024-05"):
        calendar.month_end(month)


def test_the_shared_calendar_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        calendar.sessions(dt.date(2024, 1, 1), dt.date(2024, 1, 31))[0] = np.datetime64(
            "1999-01-01"
        )


def test_real_bars_fall_on_sessions_only(shared_data: Path) -> None:
    with (shared_data / "stooq/bulk_2024/spy.us.txt").open() as file:
        days = np.array([row["<DATE>"] for row in csv.DictReader(file)])
    iso = [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days]
    bars = np.array(iso, dtype="datetime64[D]")
    known = calendar.sessions(bars[0].item(), bars[-1].item())
    assert np.isin(bars, known).all()
    assert len(known) - len(bars) < 0.01 * len(known)
