"""Free text without accents, and from digits, keys and mail domains back to who it is."""

from __future__ import annotations

import pytest

from exchange.canonical import b64
from exchange.directory.members import Unit
from exchange.directory.onboarding import removed
from exchange.directory.records import MembersRecord
from exchange.directory.search import search, who
from exchange.errors import Refused
from exchange.keys import member_digits
from tests.address_book import Shelf, peru
from tests.worlds import keys


@pytest.fixture(scope="module")
def made() -> Shelf:
    peruvian = peru()
    peruvian.claim("pe-csirt", domain=["gob.pe"])
    parts = peruvian.network.records["pe-csirt"].parts
    parts["members"] = peruvian.put("pe-csirt", "members", MembersRecord(email_domains=("pecert.example",)))
    return peruvian


@pytest.mark.parametrize(
    ("query", "address", "field"),
    [
        ("tracage", "pe-csirt/tracing", "role_name"),
        ("ARMAS fuego", "pe-csirt/tracing", "role_name"),
        ("nusta", "pe-csirt/duty", "persons"),
        ("jefa", "pe-csirt/duty", "persons"),
        ("seguridad dig", "pe-csirt", "name_official"),
        ("pecert", "pe-csirt", "name_short"),
        ("administracion", "pe-csirt", "constituency_text"),
        ("ddos", "pe-csirt/duty", "topics"),
    ],
)
def test_found_without_accents_or_case(made: Shelf, query: str, address: str, field: str) -> None:
    best = search(made.book(), query)[0]
    assert (best.address, best.field) == (address, field)


def test_every_word_must_fit_and_whole_words_come_first(made: Shelf) -> None:
    assert search(made.book(), "armas zzz") == []
    assert [each.address for each in search(made.book(), "ransom")] == [
        "pe-csirt/duty",
        "pe-csirt/npc",
        "pe-csirt/spoc",
    ]


@pytest.mark.parametrize("query", ["", "  !?", "x" * 257, "a " * 17])
def test_a_query_needs_words(made: Shelf, query: str) -> None:
    with pytest.raises(Refused):
        search(made.book(), query)


def test_the_removed_and_the_ended_are_not_found() -> None:
    gone = peru()
    gone.contact("pe-csirt/old", "press", role_name={"es": "Antigua"}, ended=gone.world.now)
    assert search(gone.book(), "antigua") == []
    gone.network.members["pe-csirt"] = removed(gone.network.members["pe-csirt"], at=gone.world.now)
    assert search(gone.book(), "pecert") == []
    assert who(gone.world.directory, gone.book(), "rastreo@policia.example") == []


def test_from_a_units_key(made: Shelf) -> None:
    directory = made.world.directory
    unit = Unit("pe-csirt/lab", "unit", keys("pe-csirt/lab").public, made.world.now)
    made.network.units[unit.address] = unit
    found = who(directory, made.book(), b64(unit.keys.signing.skid(directory.net)))
    assert [each.address for each in found] == ["pe-csirt/lab"]


def test_from_digits_heard_on_the_phone(made: Shelf) -> None:
    directory = made.world.directory
    digits = member_digits(directory.net, "pe-csirt", directory.members["pe-csirt"].keys)
    for asked in (digits, digits[:11], digits.replace(" ", "")[:7]):
        assert [(each.address, each.text) for each in who(directory, made.book(), asked)] == [
            ("pe-csirt", digits)
        ]


def test_from_the_beginning_of_a_key(made: Shelf) -> None:
    directory = made.world.directory
    for address, held in (("hub", directory.hub.keys), ("officer/alba", directory.officers["alba"].keys)):
        skid = b64(held.signing.skid(directory.net))
        assert [each.address for each in who(directory, made.book(), skid[:8])] == [address]
    assert who(directory, made.book(), "AAAAAAAA") == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("rastreo@policia.example", ["pe-csirt/tracing"]),
        ("someone@policia.example", ["pe-csirt/tracing"]),
        ("x@pecert.example", ["pe-csirt"]),
        ("pecert.example", ["pe-csirt"]),
        ("x@mininter.gob.pe", ["pe-csirt"]),
        ("x@example.org", []),
    ],
)
def test_from_a_mail_address(made: Shelf, asked: str, found: list[str]) -> None:
    assert [each.address for each in who(made.world.directory, made.book(), asked)] == found


@pytest.mark.parametrize("asked", ["", "12", "abc", "a b c", "@", "x@-"])
def test_what_is_none_of_them_is_refused(made: Shelf, asked: str) -> None:
    with pytest.raises(Refused):
        who(made.world.directory, made.book(), asked)
