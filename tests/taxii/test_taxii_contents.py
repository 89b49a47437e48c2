"""What of members' mail the TAXII door gives out: all of it in order, and what they say differently of one object."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest

from exchange.canonical import sha256
from exchange.limits import DAY_MS
from exchange.node.store import inbox as store_inbox
from exchange.node.store.inbox import Received
from exchange.node.taxii.adding import OTHER_CONTENT
from exchange.node.taxii.reading import read_waiting
from tests.doors import CO, Client, Place
from tests.taxii.conftest import indicator

MOST = 3  # objects in a transaction
SIZES = (1, 1, 2 * MOST, 1, MOST, 2)  # of messages, in objects
EPOCH = "1970-01-01T00:00:00.000Z"


def alarmed_about(door: Place) -> list[str]:
    """The two members of each alarm."""
    return [one.subject for one in door.pe.desk.alarms() if one.code == OTHER_CONTENT]


def from_another(door: Place, sender: str, one: dict[str, Any]) -> None:
    """What another member than CO sends, once it stands in the collections."""
    first = door.mail(one)
    other = "UPDATE inbox SET sender = ? WHERE message_id = ?"
    door.run(door.pe.up.store.db.write(lambda c: c.exec_driver_sql(other, (sender, first))))
    door.run(door.context.collections.settle())


def test_what_another_member_sends_under_an_id_and_version_hides_nothing(door: Place, client: Client) -> None:
    real = indicator("the real one")
    forged = {**real, "name": "harmless"}
    from_another(door, "bb-csirt", forged)
    assert alarmed_about(door) == []
    door.mail(real)
    for filters in ({}, {"match_version": "all"}, {"match_version": real["modified"]}):
        assert client.objects("received", match_id=real["id"], **filters) == [forged, real]
    assert client.objects(f"from-{CO}", match_id=real["id"]) == [real]
    versions = client.get(f"collections/received/objects/{real['id']}/versions/").json()["versions"]
    assert versions == [real["modified"]]
    assert alarmed_about(door) == [f"bb-csirt {CO}"]


@pytest.mark.parametrize(
    ("stated", "said", "copies"),
    [
        ({"created": EPOCH, "modified": EPOCH}, {"labels": ["PAP:GREEN"]}, 1),  # as of galaxies of MISP
        ({}, {"created": EPOCH}, 2),  # as older versions read an attribute of MISP
    ],
)
def test_what_members_tell_of_one_thing_of_misp_alarms_nobody(
    stated: dict[str, Any], said: dict[str, Any], copies: int, door: Place, client: Client
) -> None:
    one = indicator() | stated
    from_another(door, "cc-csirt", one)
    door.mail(one | said)
    for filters in ({}, {"match_version": "all"}):
        assert client.objects("received", match_id=one["id"], **filters) == [one, one | said][:copies]
    assert client.objects(f"from-{CO}", match_id=one["id"]) == [one | said]
    assert f"cc-csirt {CO}" not in alarmed_about(door)


@pytest.mark.parametrize("read_ahead", [1, 10**6])
def test_a_backlog_comes_in_whole_and_in_order_whatever_its_messages_sizes(
    door: Place, client: Client, monkeypatch: pytest.MonkeyPatch, read_ahead: int
) -> None:
    """Several small messages go into one transaction, one large message into several."""
    monkeypatch.setattr("exchange.node.taxii.adding.CHUNK", MOST)
    monkeypatch.setattr("exchange.node.taxii.reading.READ_BYTES", read_ahead)
    mail = [[indicator(f"{n} {k}") for k in range(size)] for n, size in enumerate(SIZES)]
    for objects in mail:
        door.mail(*objects)
    sent = [one for objects in mail for one in objects]
    came = client.objects("received", limit=100, **{"match[type]": "indicator"})
    assert came[-len(sent) :] == sent


def test_messages_without_objects_count_as_what_they_are_long(
    door: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a later version's, which this one can't read, a sender may put hundreds of 10 MB behind each other."""
    door.run(door.context.collections.settle())
    store, rows = door.pe.up.store, []
    monkeypatch.setattr("exchange.node.taxii.reading.READ_BYTES", 1_000)
    for number in range(5):
        data, env = b"{" + b" " * 600, sha256(bytes([number]))
        row = Received(
            n=0,
            sender=CO,
            message_id=str(uuid.uuid4()),
            type="stix",
            lane="routine",
            created=door.sim.world.now,
            expires=door.sim.world.now + DAY_MS,
            received_at=door.sim.world.now,
            marks=frozenset({"newer"}),
            conflict=False,
            env=env,
            payload=data,
            summary={},
        )
        rows.append((row, env))
    door.run(store.db.write(lambda c: store_inbox.add(c, store.cipher, rows)))
    found = door.run(store.db.read(partial(read_waiting, store.cipher, 256)))
    assert [one.message_id for one in found] == [row.message_id for row, _ in rows[:2]]
