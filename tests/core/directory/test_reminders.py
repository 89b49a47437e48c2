"""Who is reminded when to confirm a contact point, and how members stand in that."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from exchange.directory.bodies_contacts import build_confirm, build_contact_end
from exchange.directory.bodies_members import build_suspend
from exchange.directory.reminders import STEPS, Reminder, Told, due, group_of, lapsed, open_items, scores
from exchange.limits import DAY_MS
from exchange.message import MAX_SUBJECT_CHARS, MAX_TEXT_CHARS
from exchange.node.directory.secretariat import MAX_ITEMS
from exchange.phrases import letters
from exchange.phrases.languages import LANGUAGES
from tests.contact_points import BOTH, NOTE, NPC, TRACING, Country
from tests.worlds import NOW, make_world

YEAR = 365  # days


@pytest.fixture
def peru() -> Country:
    """An authority, and two contacts that it nominated: a year, and half a year."""
    peru = Country(make_world())
    peru.npc()
    peru.log(peru.contact_body(TRACING), NPC, "pe-csirt")
    peru.log(
        peru.contact_body("pe-csirt/watch", function="technical_24x7", topics=["ransomware"]),
        NPC,
        "pe-csirt",
    )
    return peru


class Secretary:
    """Asks every day, sends what is due and remembers what was sent."""

    def __init__(self, country: Country) -> None:
        self.country = country
        self.told: dict[str, Told] = {}
        self.last: dict[str, int] = {}

    def day(self, day: int, hour: int = 9) -> tuple[Reminder, ...]:
        now = NOW + day * DAY_MS + hour * 3_600_000
        found = due(self.country.directory, now, told=self.told, last=self.last)
        for reminder in found:
            self.last[reminder.group] = now
            self.told.update({item.contact.address: item.told for item in reminder.items})
        return found

    def days(self, first: int, last: int) -> dict[int, tuple[Reminder, ...]]:
        """The days on which something was sent."""
        return {day: found for day in range(first, last) if (found := self.day(day))}


def test_reminders_come_on_the_days_of_the_schedule(peru: Country) -> None:
    peru.log(build_contact_end(**peru.common("pe-csirt/watch")), "pe-csirt")
    peru.log(build_contact_end(**peru.common(NPC)), NPC)
    sent = Secretary(peru).days(0, 2 * YEAR)
    assert list(sent) == [YEAR + step for step in STEPS]
    assert [reminder.items[0].step for (reminder,) in sent.values()] == list(STEPS)
    standings = [reminder.items[0].standing for (reminder,) in sent.values()]
    assert standings == ["due", "due", "due", "overdue", "overdue", "overdue", "lapsed"]
    assert [reminder.copied for (reminder,) in sent.values()] == [False] * 3 + [True] * 4


def test_one_authority_gets_one_message_for_all_its_contacts(peru: Country) -> None:
    (reminder,) = Secretary(peru).day(YEAR - 60)
    assert reminder.group == NPC
    addresses = [item.contact.address for item in reminder.items]
    assert addresses == ["pe-csirt/watch", NPC, TRACING]
    assert reminder.validate_by == NOW + 180 * DAY_MS


def test_an_authority_is_written_to_at_most_once_a_week(peru: Country) -> None:
    peru.world.advance(3 * DAY_MS)
    peru.log(peru.contact_body("pe-csirt/office", function="technical_office"), NPC, "pe-csirt")
    peru.log(build_contact_end(**peru.common("pe-csirt/watch")), "pe-csirt")
    sent = Secretary(peru).days(0, 2 * YEAR)
    days = list(sent)
    assert all(second - first >= 7 for first, second in pairwise(days))
    assert days[:2] == [YEAR - 60, YEAR - 53]  # what came 3 days later waits for the week to be over
    office = [item.step for (one,) in sent.values() for item in one.items if "office" in item.contact.address]
    assert sorted(set(office)) == list(STEPS)


def test_the_same_day_twice_sends_once(peru: Country) -> None:
    secretary = Secretary(peru)
    assert secretary.day(YEAR - 60)
    assert not secretary.day(YEAR - 60, hour=10)
    assert not secretary.day(YEAR - 59)


def test_a_confirmed_contact_is_left_in_peace_until_next_year(peru: Country) -> None:
    secretary = Secretary(peru)
    secretary.days(0, YEAR - 60 + 1)
    peru.world.advance((YEAR - 60) * DAY_MS)
    for address, signer in ((TRACING, "pe-csirt"), (NPC, NPC), ("pe-csirt/watch", "pe-csirt")):
        peru.log(build_confirm(**peru.common(address)), signer)
    assert not secretary.days(YEAR - 59, YEAR + 59)
    (watch,) = secretary.day(YEAR + 60)
    assert [item.contact.address for item in watch.items] == ["pe-csirt/watch"]


def test_archived_and_silenced_contacts_are_not_reminded(peru: Country) -> None:
    assert not Secretary(peru).day(YEAR + 211)
    peru.log(
        build_suspend(
            net=peru.world.net,
            handle="pe-csirt",
            ground="breach",
            document=NOTE,
            until=NOW + 300 * DAY_MS,
            not_after=NOW + DAY_MS,
        ),
        *BOTH,
    )
    assert not Secretary(peru).day(YEAR)
    assert [score.member for score in scores(peru.directory, NOW)] == ["bb-csirt", "co-csirt"]


def test_who_nobody_nominates_is_a_group_of_its_own(peru: Country) -> None:
    address = "co-csirt/tracing"
    peru.log(peru.contact_body(address, nomination=NOTE), "co-csirt", *BOTH)
    assert group_of(peru.directory, peru.contact(address)) == "co-csirt"
    assert group_of(peru.directory, peru.contact()) == NPC
    assert group_of(peru.directory, peru.contact(NPC)) == NPC
    groups = [one.group for one in Secretary(peru).day(YEAR)]
    assert groups == ["co-csirt", NPC]


def test_everybody_sees_how_many_contacts_are_confirmed(peru: Country) -> None:
    found = {score.member: score for score in scores(peru.directory, NOW + 200 * DAY_MS)}
    assert (found["pe-csirt"].total, found["pe-csirt"].percent) == (3, 66)
    assert found["pe-csirt"].counts["overdue"] == 1
    assert (found["co-csirt"].total, found["co-csirt"].percent) == (0, 100)
    assert [score.percent for score in scores(peru.directory, NOW + 200 * DAY_MS)] == [100, 100, 66]


def test_lapsed_contacts_are_listed_by_country_for_the_missions(peru: Country) -> None:
    assert lapsed(peru.directory, NOW + 209 * DAY_MS) == {}
    found = lapsed(peru.directory, NOW + 210 * DAY_MS)
    assert {country: [item.contact.address for item in items] for country, items in found.items()} == {
        "PE": ["pe-csirt/watch"]
    }


def test_the_longest_reminder_fits_a_message(peru: Country) -> None:
    item = open_items(peru.directory, NOW + 400 * DAY_MS)[0]
    longest = replace(item.contact, address=f"{'m' * 32}/{'c' * 32}", function="f" * 32)
    items = [replace(item, contact=longest, standing="lapsed")] * MAX_ITEMS
    for language in LANGUAGES:
        letter = letters.reminder(items, {longest.address: language}, home=language, copied=True)
        assert len(letter.text) < MAX_TEXT_CHARS
        assert len(letter.subject) < MAX_SUBJECT_CHARS
