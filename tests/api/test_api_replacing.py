"""A script that puts a message in the place of one sent before; and who answered, with which word."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from requests import Response

from exchange.formats.stix.cover import read_message
from exchange.message import Urgency
from exchange.node.store import erasing as store_erasing, outbox as store_outbox
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.api.conftest import ApiClient, api
from tests.doors import CO, PE, Place
from tests.taxii.conftest import indicator

ORDER = {"to": [CO], "kind": "incident-update", "subject": "Retracted", "tlp": "green"}


def posts(client: ApiClient, **more: Any) -> Response:
    return client.post("/messages", ORDER | more)


def went(client: ApiClient, **more: Any) -> str:
    """An alert that this node sent; its id."""
    answer = posts(client, kind="alert", subject="A list", **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def problem(answer: Response) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json()["code"], answer.json().get("field")


def test_what_supersedes_arrives_so_in_the_case_and_urgency_of_the_old_one(
    door: Place, client: ApiClient
) -> None:
    old = went(client, case="case-7", urgency="priority")
    sent = posts(client, supersedes=old).json()
    assert (sent["case"], sent["urgency"], sent["keeping"]) == ("case-7", "priority", [])
    door.run(door.sim.rounds(3))
    got = next(
        read_message(one.payload) for one in door.sim.sites[CO].inbox() if one.message_id == sent["id"]
    )
    assert (got.supersedes, got.case_id, got.urgency) == (old, "case-7", Urgency.PRIORITY)
    assert client.get(f"/messages/{sent['id']}").json()["supersedes"] == old
    assert [client.get(f"/messages/{one}").json()["replaced_by"] for one in (old, sent["id"])] == [
        sent["id"],
        None,
    ]
    said = posts(client, supersedes=old, case="case-8", urgency="routine").json()
    assert client.get(f"/messages/{old}").json()["replaced_by"] == said["id"]
    assert (said["case"], said["urgency"]) == ("case-8", "routine")


def test_a_message_that_its_sender_replaced_says_by_which(door: Place, client: ApiClient) -> None:
    old = door.mail(indicator())
    assert client.get(f"/messages/{old}").json()["replaced_by"] is None
    new = door.mail(indicator(), supersedes=old)
    assert client.get(f"/messages/{old}").json()["replaced_by"] == new
    assert client.get(f"/messages/{new}").json()["replaced_by"] is None


def test_an_answer_that_replaces_stays_in_the_case_of_what_it_answers(door: Place, client: ApiClient) -> None:
    asked = door.mail(indicator(), case_id="case-9")
    old = went(client, case="case-7")
    answer = posts(client, supersedes=old, in_reply_to=asked)
    assert answer.json()["case"] == "case-9"


@pytest.mark.parametrize("has_come", [False, True])
def test_addressees_that_the_new_one_leaves_out_are_named(
    door: Place, client: ApiClient, has_come: bool
) -> None:
    """Also once this node has a copy of its own, which names no addressees."""
    old = went(client, to=[CO, PE])
    while has_come and old not in door.pe.received():
        door.run(door.sim.rounds(1))
    assert posts(client, supersedes=old).json()["keeping"] == [PE]


@pytest.mark.parametrize("in_answer", [False, True])
def test_whom_the_old_one_named_to_nobody_the_new_one_does_not_either(
    door: Place, client: ApiClient, in_answer: bool
) -> None:
    """A program that says nothing of it must not show the addressees to each other after all."""
    old = went(client, to=[CO, PE], separate=True)
    thread = {"in_reply_to": door.mail(indicator())} if in_answer else {}
    new = posts(client, to=[CO, PE], supersedes=old, **thread).json()["id"]
    store = door.pe.up.store
    found = door.run(store.db.read(lambda c: store_outbox.find(c, store.cipher, new)))
    assert found is not None
    assert found[1].separate


@pytest.mark.parametrize("of", ["received", "nothing", "a drill"])
def test_nothing_but_what_this_node_sent_and_the_right_knows_of_can_be_replaced(
    door: Place, client: ApiClient, of: str
) -> None:
    drill = api(door, exercise=True)
    ids = {
        "received": lambda: door.mail(indicator()),
        "nothing": lambda: str(uuid.uuid4()),
        "a drill": lambda: went(drill, exercise="EX-9"),
    }
    assert problem(posts(client, supersedes=ids[of]())) == (404, "message.unknown", "supersedes")


def test_an_id_that_another_has_used_too_is_this_nodes_own_here(door: Place, client: ApiClient) -> None:
    old = went(client, case="case-7")
    door.mail(indicator(), id=old, case_id="case-of-co")
    answer = posts(client, supersedes=old)
    assert (answer.status_code, answer.json()["case"]) == (201, "case-7")


def test_a_drill_replaces_its_own_messages_only(door: Place) -> None:
    drill = api(door, exercise=True)
    old = went(drill, exercise="EX-9")
    refused = posts(drill, supersedes=old, exercise="EX-8")
    assert problem(refused) == (422, "message.other-exercise", "exercise")
    assert posts(drill, supersedes=old, exercise="EX-9").status_code == 201


def test_the_case_of_what_is_withheld_is_not_told(door: Place, client: ApiClient) -> None:
    marked = indicator(object_marking_refs=[Tlp.GREEN.marking_id], labels=[Pap.RED.label])
    old = went(client, objects=[marked], case="case-7")
    assert client.get(f"/messages/{old}").json()["code"] == "release.pap"
    assert problem(posts(client, supersedes=old)) == (403, "release.pap", "supersedes")
    assert posts(client, supersedes=old, case="case-8").json()["case"] == "case-8"


def test_a_repeat_is_answered_though_what_it_replaced_was_erased(door: Place, client: ApiClient) -> None:
    old, id_ = went(client), str(uuid.uuid4())
    assert posts(client, supersedes=old, id=id_).status_code == 201
    store, now = door.pe.up.store, door.sim.world.now
    door.run(store.db.write(lambda c: store_erasing.erase(c, store.cipher, old, now=now)))
    again = posts(client, supersedes=old, id=id_)
    assert (again.status_code, again.json()["new"]) == (200, False)
    other = posts(client, supersedes=old, id=str(uuid.uuid4()))
    assert problem(other) == (404, "message.unknown", "supersedes")


def test_an_id_that_is_none_is_named(client: ApiClient) -> None:
    assert problem(posts(client, supersedes="0f0f")) == (422, "api.bad-body", "supersedes")


def test_the_status_says_who_answered_and_their_word(door: Place, client: ApiClient) -> None:
    sent = went(client)
    [copy] = client.get(f"/messages/{sent}/status").json()["copies"]
    assert (copy["person"], copy["note"]) == ("", "")
    door.run(door.sim.rounds(3))
    door.sim.sites[CO].desk.answer(sent, "working", person="Andre", note="Blocked at the border")
    door.run(door.sim.rounds(4))
    [copy] = client.get(f"/messages/{sent}/status").json()["copies"]
    assert (copy["level"], copy["person"], copy["note"]) == ("working", "Andre", "Blocked at the border")
