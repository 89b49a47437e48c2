"""What is posted goes on at once where config.toml has a rule; what the rule may not send waits as a draft."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.stix.cover import carried_objects, read_message
from exchange.limits import DAY_MS
from exchange.node.directory.membership import CONFIRMED
from exchange.node.retention import Records, Retention
from exchange.node.store.store import Transaction, set_fact, sql
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


def test_what_is_posted_for_an_exercise_goes_to_nobody_as_if_it_were_real(door: Place) -> None:
    """Nor what carries the cover of one, by whatever right: no exercise's id is said, and a person must say it."""
    node, before = door.pe.up, len(door.sim.sites[CO].inbox())
    posted = door.client("drill", exercise=True).post(indicator("of a drill"))
    door.mail(indicator("drilled"), exercise_id="EX-1")
    cover = orjson.loads(read_message(door.pe.inbox()[-1].payload).bundle)["objects"][0]
    carried = door.client("carries").post(cover)
    assert carried["success_count"] == 1
    door.run(door.sim.rounds(3))
    assert len(door.sim.sites[CO].inbox()) == before
    assert "release.exercise" in door.pe.alarm_codes()
    kept = {draft.id: draft for draft in drafts.listed(node.store)}
    assert (kept[posted["id"]].by, kept[posted["id"]].exercise) == ("drill", True)
    assert not kept[carried["id"]].exercise
    for id_, exercise in ((posted["id"], False), (carried["id"], True)):
        with pytest.raises(Refused) as refused:
            drafts.taken_out(node.store, node.sources, id_, who="ana", exercise=exercise)
        assert refused.value.code == ("release.not-an-exercise" if exercise else "release.exercise")
    found = drafts.taken_out(node.store, node.sources, posted["id"], who="ana", exercise=True)
    assert found.objects == 1


@contextmanager
def breaking(door: Place, table: str, rows: int = 0, *, name: str = "broken") -> Iterator[None]:
    """The disk takes so many rows more into that table, and then no more."""

    def begin(connection: Transaction) -> None:
        there = sql(connection, f"SELECT count(*) AS n FROM {table}").one().n  # noqa: S608 - our own table
        sql(
            connection,
            f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN (SELECT count(*) FROM {table}) >= {there + rows}"  # noqa: S608 - our own table
            " BEGIN SELECT RAISE(ABORT, 'the disk ends here'); END",
        )

    door.run(door.pe.up.store.db.write(begin))
    yield
    door.run(door.pe.up.store.db.write(lambda c: sql(c, f"DROP TRIGGER {name}")))


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize(("full", "stored"), [(("messages", 0), 3), (("taxii_objects", 2), 2)])
def test_a_post_that_broke_off_goes_when_the_door_opens_again(
    door: Place, monkeypatch: pytest.MonkeyPatch, full: tuple[str, int], stored: int, repeats: bool
) -> None:
    """Once, whether its tool, which had no answer, posts it again or not."""
    monkeypatch.setattr("exchange.node.taxii.posting.CHUNK", 2)
    client, before = door.client(), len(door.sim.sites[CO].inbox())
    objects = [indicator(str(number)) for number in range(3)]
    with breaking(door, *full):
        assert client.post_raw(orjson.dumps({"objects": objects})).status_code == 500
    door.reopen()
    if repeats:
        assert client.post(*objects)["success_count"] == len(objects)
    door.run(door.sim.rounds(3))
    messages = [read_message(each.payload) for each in door.sim.sites[CO].inbox()[before:]]
    came = [orjson.loads(data) for message in messages for data in carried_objects(message)]
    assert came == (objects if repeats else objects[:stored])
    assert {message.tlp for message in messages} == {Tlp.GREEN}
    assert not [draft for draft in drafts.listed(door.pe.up.store) if draft.due]


def test_what_is_due_goes_with_the_next_post_also_without_a_new_start(door: Place) -> None:
    client, before = door.client(), len(door.sim.sites[CO].inbox())
    one, other = indicator("due"), indicator("next")
    with breaking(door, "messages"):
        assert client.post_raw(orjson.dumps({"objects": [one]})).status_code == 500
    assert [draft.objects for draft in drafts.listed(door.pe.up.store) if draft.due] == [1]
    client.post(other)
    door.run(door.sim.rounds(3))
    came = [carried_objects(read_message(each.payload)) for each in door.sim.sites[CO].inbox()[before:]]
    assert [[orjson.loads(data) for data in each] for each in came] == [[one], [other]]


def test_a_post_that_always_breaks_off_waits_for_a_person_and_keeps_no_other_out(door: Place) -> None:
    client = door.client()
    with breaking(door, "messages"):
        assert client.post_raw(orjson.dumps({"objects": [indicator()]})).status_code == 500
        door.reopen()
        newest = drafts.listed(door.pe.up.store)[0]
        assert (newest.objects, newest.due) == (1, False)
        assert "internal.error" in door.pe.alarm_codes()
        assert client.post({})["failure_count"] == 1


def test_what_cant_even_be_given_up_is_due_still(door: Place) -> None:
    client, before = door.client(), len(door.sim.sites[CO].inbox())
    one, other = indicator("due"), indicator("next")
    with breaking(door, "messages"), breaking(door, "alarms", name="silent"):
        for _ in range(2):
            assert client.post_raw(orjson.dumps({"objects": [one]})).status_code == 500
    client.post(other)
    door.run(door.sim.rounds(3))
    came = [carried_objects(read_message(each.payload)) for each in door.sim.sites[CO].inbox()[before:]]
    assert [[orjson.loads(data) for data in each] for each in came] == [[one], [other]]
    assert not [draft for draft in drafts.listed(door.pe.up.store) if draft.due]


def test_what_is_due_keeps_the_label_it_had_when_it_came(door: Place) -> None:
    """Also where what defines that label isn't stored with it."""
    client, before = door.client(), len(door.sim.sites[CO].inbox())
    door.run(door.pe.up.store.db.write(lambda c: set_fact(c, CONFIRMED, 1)))
    amber = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": "2026-09-01T00:00:00.000Z",
        "definition_type": "tlp",
        "definition": {"tlp": "amber"},
    }
    with breaking(door, "messages"):
        client.post_raw(orjson.dumps({"objects": [amber, indicator(object_marking_refs=[amber["id"]])]}))
    door.reopen()
    door.run(door.sim.rounds(3))
    [received] = door.sim.sites[CO].inbox()[before:]
    assert read_message(received.payload).tlp is Tlp.AMBER_STRICT  # as strict as TLP 1.0's AMBER


def test_without_the_rule_what_was_due_waits_for_a_person(door: Place) -> None:
    client, settings = door.client(), door.context.settings
    with breaking(door, "messages"):
        client.post_raw(orjson.dumps({"objects": [indicator()]}))
    door.context.settings = replace(settings, posts_to=())
    door.reopen()
    door.context.settings = settings
    door.reopen()
    [draft] = [each for each in drafts.listed(door.pe.up.store) if each.at == door.sim.world.now][:1]
    assert (draft.objects, draft.due) == (1, False)


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
