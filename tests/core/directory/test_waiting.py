"""What waits for signatures: read off the hub's answers, judged by the own log, and how long is too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exchange.canonical import Json, b64, sha256, text_b64
from exchange.directory.bodies_contacts import build_constituency
from exchange.directory.bodies_members import BY_NETWORK, build_revoke, build_status
from exchange.directory.contacts import Part
from exchange.directory.cosigning import check_seen, claims_of
from exchange.directory.members import Move, Status
from exchange.directory.statements import Statement, signatures_json
from exchange.directory.waiting import (
    MAX_DOCUMENT,
    MENDABLE,
    Pending,
    application_hash,
    is_late,
    lack_of,
    read_application,
    read_pending,
    wants_member,
    working_days,
)
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS
from tests.worlds import World, a_member, keys, make_world, signed

SALT = bytes(16)
DOCUMENT = b'{"name_short":"UY"}'


def ms(day: int) -> int:
    """Noon of that day of November 2026, whose 2nd is a Monday."""
    return int(datetime(2026, 11, day, 12, tzinfo=UTC).timestamp() * 1000)


def row(world: World, **changes: Json) -> dict[str, Json]:
    """An application as the hub lists it."""
    member = replace(
        a_member("uy-csirt", net=world.net),
        status=Status.PROVISIONAL,
        application=application_hash(world.net, SALT, DOCUMENT),
    )
    statement = signed(world.add_body("uy-csirt", member=member), "uy-csirt")
    return {
        "member": "uy-csirt",
        **statement.to_json(),
        "since": world.now,
        "document": b64(DOCUMENT),
        "salt": b64(SALT),
        "ended": "",
        "reason": "",
        **changes,
    }


def pending(world: World, statement: Statement, *parts: Part) -> Pending:
    value: dict[str, Json] = {
        **statement.to_json(),
        "parts": [part.to_json() for part in parts],
        "since": world.now,
        "until": world.now + DAY_MS,
    }
    return read_pending(value, world.net)


def a_claim(world: World, part: Part, entries: int) -> Statement:
    body = build_constituency(
        net=world.net,
        handle="pe-csirt",
        entries=entries,
        part=part.hash(world.net),
        after=bytes(32),
        not_after=world.now + DAY_MS,
    )
    return signed(body, "pe-csirt")


def claims(text: str) -> Part:
    return Part("pe-csirt", "members", bytes(16), text.encode())


def test_whoever_signs_a_claim_sees_the_networks_that_it_names() -> None:
    world, part = make_world(), claims('{"asn":[64500],"prefix":["192.0.2.0/24"]}')
    one = pending(world, a_claim(world, part, 2), part)
    assert (one.parts, one.unseen) == ((part,), ())
    check_seen(one)
    assert claims_of(one).count == 2


@pytest.mark.parametrize(
    "shown",
    [
        [],
        [Part("pe-csirt", "members", bytes(16), b'{"asn":[64501]}')],
        [Part("pe-csirt", "public", bytes(16), b'{"asn":[64500]}')],
        [Part("co-csirt", "members", bytes(16), b'{"asn":[64500]}')],
    ],
)
def test_nobody_signs_what_the_hub_does_not_show(shown: list[Part]) -> None:
    world = make_world()
    one = pending(world, a_claim(world, claims('{"asn":[64500]}'), 1), *shown)
    assert (one.parts, one.unseen) == ((), ("members",))
    with pytest.raises(Refused, match=r"directory\.bad-part.*members"):
        check_seen(one)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ('{"asn":[64500]}', 2),
        ('{"asn":[64500,64500]}', 2),  # twice the same is one
        ('{"prefix":["0.0.0.0/0"]}', 1),
        ('{"asn":[64500],"mine":true}', 1),
        ("no JSON", 1),
    ],
)
def test_a_claim_says_what_it_lists(text: str, entries: int) -> None:
    world, part = make_world(), claims(text)
    with pytest.raises(Refused, match=r"record\.bad-field"):
        check_seen(pending(world, a_claim(world, part, entries), part))


def test_an_application_is_read_with_its_document() -> None:
    world = make_world()
    one = read_application(row(world), world.net)
    assert (one.member.handle, one.document, one.ended) == ("uy-csirt", DOCUMENT, "")
    lack = lack_of(world.directory, one.statement, world.now)
    assert lack.code in MENDABLE
    assert lack.counts == {"officers": (0, 2), "sponsors": (0, 2)}


@pytest.mark.parametrize(
    "changes",
    [
        {"document": b64(DOCUMENT + b" ")},
        {"salt": b64(bytes(15) + b"x")},
        {"document": ""},
        {"document": b64(bytes(MAX_DOCUMENT + 1))},
    ],
)
def test_a_document_that_its_hash_does_not_name_is_refused(changes: dict[str, Json]) -> None:
    world = make_world()
    with pytest.raises(Rejected, match=r"application\.bad-document"):
        read_application(row(world, **changes), world.net)


def test_one_that_ended_needs_no_document_and_says_why() -> None:
    world = make_world()
    value = row(world, document="", salt="", ended="rejected", reason=text_b64("Por qué no"))
    one = read_application(value, world.net)
    assert (one.ended, one.reason, one.document) == ("rejected", "Por qué no", b"")


def test_an_application_under_another_handle_is_none() -> None:
    world = make_world()
    with pytest.raises(Rejected, match=r"directory\.bad-statement"):
        read_application(row(world, member="mx-csirt"), world.net)


def test_nothing_is_lacking_of_what_all_have_signed() -> None:
    world = make_world()
    lack = lack_of(
        world.directory, world.add_statement("uy-csirt", sponsors=world.directory.members), world.now
    )
    assert (lack.code, lack.counts) == ("", {})


def test_an_activation_wants_the_members_own_sponsors() -> None:
    world = make_world()
    newcomer = replace(a_member("uy-csirt", net=world.net), status=Status.PROVISIONAL)
    world.append(world.add_statement("uy-csirt", sponsors=("pe-csirt", "co-csirt"), member=newcomer))
    body = build_status(
        net=world.net,
        handle="uy-csirt",
        move=Move.ACTIVATE,
        ground="checklist",
        document=sha256(b"paper"),
        after=bytes(32),
        not_after=world.now + DAY_MS,
    )
    one = pending(world, signed(body, "pe-csirt"))
    wanted = [handle for handle in world.directory.members if wants_member(world.directory, one, handle)]
    assert wanted == ["co-csirt"]


def test_a_revocation_wants_members_of_other_countries() -> None:
    world = make_world(("pe-csirt", "pe-police", "co-csirt", "bb-csirt"))
    body = build_revoke(
        net=world.net,
        address="pe-csirt",
        by=BY_NETWORK,
        ground="stolen",
        skid=keys("pe-csirt").public.signing.skid(world.net),
        since=world.now,
        not_after=world.now + DAY_MS,
    )
    one = pending(world, signed(body, "officer/alba", "bb-csirt"))
    wanted = [handle for handle in world.directory.members if wants_member(world.directory, one, handle)]
    assert wanted == ["co-csirt"]
    assert not wants_member(world.directory, one, "xx-csirt")


def test_a_pending_statement_with_a_closed_schema_of_its_own() -> None:
    world = make_world()
    statement = signed(world.add_body("uy-csirt"), "uy-csirt")
    value: dict[str, Json] = {
        "body": b64(statement.body),
        "signatures": signatures_json(statement.signatures),
    }
    with pytest.raises(Rejected, match=r"json\.bad-schema"):
        read_pending(value, world.net)


def test_twenty_working_days_and_no_weekend_among_them() -> None:
    assert working_days(ms(2), ms(2)) == 0
    assert working_days(ms(6), ms(8)) == 0  # Friday to Sunday
    assert working_days(ms(6), ms(9)) == 1
    assert working_days(ms(2), ms(30)) == 20
    assert not is_late(ms(2), ms(30))
    assert is_late(ms(2), ms(30) + DAY_MS)
    assert working_days(ms(9), ms(2)) == 0
