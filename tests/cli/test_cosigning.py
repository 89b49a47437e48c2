"""What a person is shown before it signs what waits at the hub: also what lies beside the statement."""

from __future__ import annotations

from exchange.cli.waiting import pending_lines, pending_value
from exchange.directory.bodies_contacts import build_constituency, build_contact
from exchange.directory.contacts import Part
from exchange.directory.waiting import Lack, Pending, read_pending
from exchange.limits import DAY_MS
from tests.worlds import NOW, World, make_world, signed

PERSONS = Part("pe-csirt/duty", "members", bytes(16), b'{"persons":[{"name":"Ana Quispe\\u001b[2J"}]}')
CLAIMS = Part("pe-csirt", "members", bytes(16), b'{"asn":[64500],"prefix":["192.0.2.0/24","2001:db8::/32"]}')


def waiting(world: World, body: bytes, *parts: Part) -> Pending:
    value = signed(body, "pe-csirt").to_json()
    shown = [part.to_json() for part in parts]
    return read_pending({**value, "parts": shown, "since": NOW, "until": NOW + DAY_MS}, world.net)


def shown(world: World, one: Pending) -> str:
    return "\n".join(pending_lines(one, pending_value(one, Lack(), world.net), NOW))


def test_a_contacts_persons_and_a_claims_networks_are_shown() -> None:
    world = make_world()
    common = {"net": world.net, "after": bytes(32), "not_after": NOW + DAY_MS}
    contact = build_contact(
        address="pe-csirt/duty",
        function="technical_24x7",
        community="csirt",
        topics=["ransomware"],
        parts={"members": PERSONS.hash(world.net), "holders": bytes(32)},
        **common,
    )
    text = shown(world, waiting(world, contact, PERSONS))
    assert "it says to all members (its hash fits):\n  persons:\n    - name: Ana Quispe" in text
    assert "\x1b" not in text
    assert "holders" in text  # named, and nothing that an officer sees
    claim = build_constituency(handle="pe-csirt", entries=3, part=CLAIMS.hash(world.net), **common)
    text = shown(world, waiting(world, claim, CLAIMS))
    assert "  prefix:\n    - 192.0.2.0/24\n    - 2001:db8::/32" in text
    assert "in all 3: 1 AS numbers, 2 networks, 0 domains, 0 sectors, 0 countries" in text
    assert "it says to all members: (the hub shows nothing that fits)" in shown(world, waiting(world, claim))
