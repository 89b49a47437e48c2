"""Whether somebody answers: shifts, nights, holidays, and the two days a year that are not 24 hours long."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.directory.hours import UNKNOWN, Answering, answering
from exchange.directory.record_rules import write
from exchange.directory.records import Holiday, Hours
from tests.address_book import ALWAYS, OFFICE, zones

HOLIDAYS = (Holiday(date="07-28", name="Fiestas Patrias"), Holiday(date="2026-10-08", name="Angamos"))


def ms(text: str) -> int:
    """UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def asked(hours: object, at: str, holidays: tuple[Holiday, ...] = ()) -> Answering:
    return answering(write(Hours, hours), holidays, ms(at), zones)


@pytest.mark.parametrize(
    ("at", "now", "why", "until"),
    [
        ("2026-11-03T13:00", True, "open", "2026-11-03T22:00"),  # Tuesday 08:00 in Lima
        ("2026-11-03T12:59", False, "closed", "2026-11-03T13:00"),
        ("2026-11-03T22:00", False, "closed", "2026-11-04T13:00"),
        ("2026-11-06T22:00", False, "closed", "2026-11-09T13:00"),  # Friday evening
        ("2027-07-28T15:00", False, "holiday", "2027-07-29T13:00"),  # every year
        ("2026-10-08T15:00", False, "holiday", "2026-10-09T13:00"),
        ("2027-10-08T15:00", True, "open", "2027-10-08T22:00"),  # that one was once only
    ],
)
def test_office_hours(at: str, now: bool, why: str, until: str) -> None:
    answer = asked(OFFICE, at, HOLIDAYS)
    assert (answer.now, answer.why, answer.until) == (now, why, ms(until))


def test_round_the_clock_means_holidays_too() -> None:
    assert asked(ALWAYS, "2026-07-28T03:00", HOLIDAYS) == Answering(True, "always", local="22:00")


def test_the_holiday_is_named() -> None:
    assert asked(OFFICE, "2026-07-28T15:00", HOLIDAYS).holiday == "Fiestas Patrias"


def test_a_night_shift_ends_on_the_next_day_and_begins_on_no_holiday() -> None:
    night = {"zone": "America/Lima", "weekly": [{"days": ["mon"], "from": "22:00", "to": "06:00"}]}
    assert asked(night, "2026-11-03T10:59").now  # Tuesday 05:59
    assert not asked(night, "2026-11-03T11:00").now
    assert not asked(night, "2026-11-04T10:00").now
    monday = (Holiday(date="2026-11-02"),)
    assert not asked(night, "2026-11-03T10:59", monday).now


def test_midnight_can_be_an_end() -> None:
    late = {"zone": "America/Lima", "weekly": [{"days": ["mon"], "from": "16:00", "to": "24:00"}]}
    assert asked(late, "2026-11-03T04:59").until == ms("2026-11-03T05:00")
    assert not asked(late, "2026-11-03T05:00").now


@pytest.mark.parametrize(
    ("at", "now"),
    [
        ("2026-03-06T13:00", True),  # 08:00 in winter time, UTC-5
        ("2026-03-06T12:30", False),
        ("2026-03-09T12:00", True),  # 08:00 in summer time, UTC-4
        ("2026-03-09T21:30", False),
    ],
)
def test_summer_time_moves_the_hours(at: str, now: bool) -> None:
    hours = {**OFFICE, "zone": "America/New_York"}
    assert asked(hours, at).now is now


def test_the_hour_that_summer_time_leaves_out_and_the_one_that_comes_twice() -> None:
    hours = {"zone": "America/New_York", "weekly": [{"days": ["sun"], "from": "02:30", "to": "04:00"}]}
    assert asked(hours, "2026-03-08T07:29").until == ms("2026-03-08T07:30")  # 02:30 isn't: 03:30 it is
    twice = {"zone": "America/New_York", "weekly": [{"days": ["sun"], "from": "01:30", "to": "03:00"}]}
    assert asked(twice, "2026-11-01T06:45").now  # the second 01:45


def test_nothing_known_is_not_the_same_as_closed() -> None:
    assert answering(None, (), ms("2026-11-03T13:00"), zones) is UNKNOWN
    assert asked({"zone": "Mars/Olympus", "weekly": OFFICE["weekly"]}, "2026-11-03T13:00") is UNKNOWN
    assert asked({"zone": "America/Lima"}, "2026-11-03T13:00") is UNKNOWN
    assert asked({"zone": "Mars/Olympus", "always": True}, "2026-11-03T13:00").now


def test_two_weeks_of_holidays_have_no_end_in_sight() -> None:
    month = tuple(Holiday(date=f"01-{day:02}") for day in range(1, 31))
    answer = asked(OFFICE, "2026-01-01T15:00", month)
    assert (answer.why, answer.until) == ("holiday", 0)
