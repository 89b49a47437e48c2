"""What is posted goes on at once where config.toml has a rule; what the rule may not send waits as a draft."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from exchange.formats.cover import carried_objects, read_message
from exchange.node import drafts
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
