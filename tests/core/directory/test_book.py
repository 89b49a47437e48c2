"""The address book joins log and parts, and shows each level what is meant for it."""

from __future__ import annotations

import pytest

from exchange.directory.book import READERS
from exchange.directory.contacts import Part
from exchange.directory.records import HoldersRecord
from exchange.errors import Refused
from exchange.limits import DAY_MS
from tests.address_book import peru, shelf


def test_a_contact_is_joined_with_its_parts_and_its_member() -> None:
    book = peru().book()
    duty = book.contacts["pe-csirt/duty"]
    assert duty.phones == (("phone_247", "+5115550199"),)
    assert (duty.country, duty.standing, duty.own_keys) == ("PE", "validated", False)
    assert book.members["pe-csirt"].names["en"] == "National Digital Security Centre"
    assert book.members["pe-csirt"].contacts == (
        "pe-csirt/duty",
        "pe-csirt/npc",
        "pe-csirt/spoc",
        "pe-csirt/tracing",
    )


def test_what_a_contact_leaves_open_its_member_says() -> None:
    book = peru().book()
    spoc = book.contacts["pe-csirt/spoc"]
    assert [each.lang for each in spoc.languages] == ["es"]
    assert [each.name for each in spoc.holidays] == ["Fiestas Patrias"]


def test_standing_is_that_of_the_books_time() -> None:
    peruvian = peru()
    later = peruvian.book(peruvian.world.now + 181 * DAY_MS)
    assert later.contacts["pe-csirt/duty"].standing == "overdue"
    assert later.contacts["pe-csirt/spoc"].standing == "validated"


def test_a_broken_part_is_skipped_and_counted() -> None:
    peruvian = peru()
    digest = peruvian.put("pe-csirt/duty", "holders", b'{"phone_247": [[[')
    peruvian.network.contacts["pe-csirt/duty"].parts["holders"] = digest
    book = peruvian.book()
    assert book.set_aside == (("pe-csirt/duty", "holders"),)
    assert book.contacts["pe-csirt/duty"].holders is None
    assert book.contacts["pe-csirt/duty"].record is not None


def test_members_that_a_later_version_brought_are_left_out() -> None:
    peruvian = peru()
    digest = peruvian.put("pe-csirt/duty", "holders", b'{"phone_247": "+5115550111", "pager": {"kind": 1}}')
    peruvian.network.contacts["pe-csirt/duty"].parts["holders"] = digest
    holders = peruvian.book().contacts["pe-csirt/duty"].holders
    assert holders == HoldersRecord(phone_247="+5115550111")


def test_a_part_the_log_does_not_name_says_nothing() -> None:
    peruvian = peru()
    forged = Part("pe-csirt/spoc", "holders", bytes(16), b'{"phone_247": "+5119999999"}')
    peruvian.parts.append(forged)
    assert peruvian.book().contacts["pe-csirt/spoc"].holders is None


def test_what_ended_is_a_tombstone() -> None:
    peruvian = peru()
    ended = peruvian.contact("pe-csirt/old", "press", role_name={"es": "Prensa"}, ended=peruvian.world.now)
    book = peruvian.book()
    assert book.contacts["pe-csirt/old"].record is None
    assert book.contacts["pe-csirt/old"].ended == ended.ended
    assert "pe-csirt/old" not in {entry.address for entry in book.living()}
    assert book.card("pe-csirt/old", "members")["ended"] == ended.ended


def test_each_level_sees_what_is_meant_for_it() -> None:
    peruvian = peru()
    peruvian.put("pe-csirt/duty", "owner", b'{"notes": "canary-owner"}')
    peruvian.network.contacts["pe-csirt/duty"].parts["owner"] = peruvian.parts[-1].hash(peruvian.world.net)
    book = peruvian.book()
    shown = {level: str(book.card("pe-csirt/duty", level)) for level in READERS}
    canaries = {
        "Quispe": "members",
        "+5115550199": "holders",
        "canary-owner": "owner",
        "ransomware": "public",
    }
    for canary, least in canaries.items():
        seen = [level for level in READERS if canary in shown[level]]
        assert seen == list(READERS[READERS.index(least) :]), canary


def test_a_members_card() -> None:
    peruvian = shelf()
    peruvian.record("pe-csirt", name_short="PECERT")
    peruvian.claim("pe-csirt", asn=[64496])
    book = peruvian.book()
    public = book.card("pe-csirt", "public")
    assert public == {
        "address": "pe-csirt",
        "class": "national_csirt",
        "country": "PE",
        "public": {"name_short": "PECERT"},
    }
    assert book.card("pe-csirt", "members")["claims"] == {"asn": [64496]}


def test_nobodys_card() -> None:
    with pytest.raises(Refused) as refused:
        peru().book().card("xx-csirt", "public")
    assert refused.value.code == "contact.unknown"
