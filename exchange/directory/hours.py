"""Whether somebody answers at a moment: hours, time zones, holidays, daylight saving.

Owns that calculation. Zones come as an argument (`Zones`), for their tables lie in files; the moment does too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, TypeAlias

from exchange.directory.records import Holiday, Holidays, Hours, Shift
from exchange.directory.vocabulary import WEEKDAYS

# IANA name -> its rules, None for a name that this machine doesn't know
Zones: TypeAlias = Callable[[str], tzinfo | None]

_LOOK_AHEAD_DAYS: Final = 15  # the longest holidays there are; beyond it, call and see
_DAY: Final = timedelta(days=1)
_MIDNIGHT_AFTER: Final = "24:00"


@dataclass(frozen=True)
class Answering:
    """Does somebody answer? `why`: `always`, `open`, `closed`, `holiday`, or `hours-unknown` where none are known.

    `until` is when that changes (UTC ms), 0 where it can't be said; `local` the time there, `holiday` its name.
    """

    now: bool
    why: str
    until: int = 0
    local: str = ""
    holiday: str = ""


UNKNOWN: Final = Answering(now=False, why="hours-unknown")


def answering(hours: Hours | None, holidays: Holidays, at: int, zones: Zones) -> Answering:
    """At `at` (UTC ms). Round the clock means holidays too."""
    zone = zones(hours.zone) if hours else None
    moment = _moment(at)
    local = moment.astimezone(zone).strftime("%H:%M") if zone else ""
    if hours is None or not (hours.always or (zone and hours.weekly)):
        return UNKNOWN
    if hours.always or zone is None:
        return Answering(now=True, why="always", local=local)
    today = moment.astimezone(zone).date()
    for start, end in _spans(hours, holidays, today - _DAY, zone):
        if start <= moment < end:
            return Answering(now=True, why="open", until=_ms(end), local=local)
    ahead = (today + _DAY * number for number in range(_LOOK_AHEAD_DAYS))
    opens = min(
        (start for day in ahead for start, _ in _spans_of(day, hours, holidays, zone) if start > moment),
        default=None,
    )
    off = next((each for each in holidays if _falls_on(each, today)), None)
    until = _ms(opens) if opens else 0
    if off:
        return Answering(now=False, why="holiday", until=until, local=local, holiday=off.name)
    return Answering(now=False, why="closed", until=until, local=local)


def _spans(
    hours: Hours, holidays: Holidays, first: date, zone: tzinfo
) -> Iterator[tuple[datetime, datetime]]:
    """What is open on two days: a shift of yesterday may go on this morning."""
    yield from _spans_of(first, hours, holidays, zone)
    yield from _spans_of(first + _DAY, hours, holidays, zone)


def _spans_of(
    day: date, hours: Hours, holidays: Holidays, zone: tzinfo
) -> Iterator[tuple[datetime, datetime]]:
    """From when to when it is open by the shifts that begin on `day`."""
    if any(_falls_on(each, day) for each in holidays):
        return
    for shift in hours.weekly:
        if WEEKDAYS[day.weekday()] in shift.days:
            yield _begin(day, shift, zone), _end(day, shift, zone)


def _begin(day: date, shift: Shift, zone: tzinfo) -> datetime:
    return _at(day, shift.start, zone)


def _end(day: date, shift: Shift, zone: tzinfo) -> datetime:
    return _at(day if shift.end > shift.start else day + _DAY, shift.end, zone)


def _at(day: date, clock: str, zone: tzinfo) -> datetime:
    # an hour that the change to summer time leaves out counts as the one after it
    if clock == _MIDNIGHT_AFTER:
        day, clock = day + _DAY, "00:00"
    return datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)


def _falls_on(holiday: Holiday, day: date) -> bool:
    return holiday.date in (day.isoformat(), day.isoformat()[5:])


def _moment(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
