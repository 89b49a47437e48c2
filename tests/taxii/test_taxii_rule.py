"""What is posted goes on at once where config.toml has a rule; what the rule may not send waits as a draft."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from exchange.formats.stix.cover import carried_objects, read_message
from exchange.limits import DAY_MS
from exchange.node.retention import Records, Retention
from exchange.node.store.store import sql
from exchange.node.taxii import drafts
from exchange.retention import RetentionPolicy
from exchange.tlp import Tlp
from tests.doors import CO, QUIET, Place, place
from tests.taxii.conftest import indicator


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("rule"), replace(QUIET, posts_to=(CO,), posts_tlp="green")) as running:
        yield running


def test_a_post_becomes_a_message_with_its_objects_byte_for_byte(door: Place) -> None:
    raw = json.dumps(indicator(), indent=1).encode()
    client = door.client("sends")
    assert client.post_raw(b'{"objects":[%b]}' % raw).status_code == 202
    door.run(door.sim.rounds(3))
    [received] = door.sim.sites[CO].inbox()
    message = read_message(received.payload)
    assert (message.kind, message.tlp, carried_objects(message)) == ("alert", Tlp.GREEN, [raw])
    assert drafts.listed(door.pe.up.store) == []
    client.post_raw(b'{"objects":[%b]}' % raw)  # nothing new in it: no second message
    door.run(door.sim.rounds(3))
    assert len(door.sim.sites[CO].inbox()) == 1


def test_what_the_rule_may_not_send_waits_for_a_person_who_is_told(door: Place) -> None:
    secret = indicator(object_marking_refs=[Tlp.RED.marking_id])
    door.client("waits").post(secret)
    [draft] = drafts.listed(door.pe.up.store)
    assert (draft.by, draft.objects) == ("waits", 1)
    assert "tlp.red-needs-persons" in door.pe.alarm_codes()


def test_a_draft_is_taken_out_as_a_file_and_dropped(door: Place) -> None:
    node, client = door.pe.up, door.client("drops")
    one = indicator(object_marking_refs=[Tlp.RED.marking_id])
    status = client.post(one)
    found = drafts.taken_out(node.store, node.sources, status["id"][:8], who="analyst")
    assert orjson.loads(found.bundle)["objects"] == [one]
    assert drafts.dropped(node.store, node.sources, status["id"][:8], who="analyst") == status["id"]
    assert client.get(f"collections/drafts/objects/{one['id']}/").status_code == 404
    assert status["id"] not in [each.id for each in drafts.listed(node.store)]


# -- what is forgotten -------------------------------------------------------------------------------------------------


def forget(door: Place) -> None:
    """The node does all that is due by now."""
    node = door.pe.up
    door.run(Retention(node.store, RetentionPolicy(), node.sources).erase_due())


def posts(door: Place) -> int:
    """How many the node knows of."""
    return int(
        door.pe.up.store.db.read_sync(lambda c: sql(c, "SELECT count(*) AS it FROM taxii_posts").one().it)
    )


def test_what_was_posted_and_sent_is_erased_with_the_message(door: Place) -> None:
    client, one = door.client("erases"), indicator()
    client.post(one)
    path = f"collections/drafts/objects/{one['id']}/"
    assert client.get(path).status_code == 200
    sent = door.pe.desk.outbox()[0].message.id
    door.run(door.sim.rounds(3))
    node = door.pe.up
    door.run(Records(node.store, RetentionPolicy(), node.sources, who="ana").erase(sent))
    assert client.get(path).status_code == 404


def test_4_3_a_status_is_there_for_a_week_and_a_draft_until_somebody_takes_it(door: Place) -> None:
    client = door.client("patient")
    waiting = indicator(object_marking_refs=[Tlp.RED.marking_id])
    kept, gone = client.post(waiting), client.post(indicator() | {"pattern_type": 7})
    door.sim.world.now += 7 * DAY_MS - 1
    forget(door)
    for status in (kept, gone):
        assert client.get(f"status/{status['id']}/").json() == status
    before = posts(door)
    door.sim.world.now += 1
    forget(door)
    for status in (kept, gone):
        assert client.get(f"status/{status['id']}/").status_code == 404
    assert posts(door) < before
    assert client.get(f"collections/drafts/objects/{waiting['id']}/").json()["objects"] == [waiting]
    assert kept["id"] in [draft.id for draft in drafts.listed(door.pe.up.store)]
