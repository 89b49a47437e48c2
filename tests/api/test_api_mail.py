"""What a script does with mail by the REST API: list, read, search, send once, follow copies, answer for a person."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from exchange.formats.stix.cover import carried_objects, read_message
from exchange.limits import HOUR_MS
from exchange.node.http import api_mail as http_api_mail
from exchange.node.http.api_models import time_of
from exchange.tlp import Tlp
from tests.api.conftest import ApiClient
from tests.doors import CO, PE, Place
from tests.taxii.conftest import indicator


def row_of(client: ApiClient, id_: str, **query: Any) -> dict[str, Any] | None:
    """The message's row in the first page of a list."""
    rows = client.get("/messages", **query).json()["messages"]
    return next((row for row in rows if row["id"] == id_), None)


def sends(door: Place, client: ApiClient, **more: Any) -> dict[str, Any]:
    """Send a message to CO, which takes it in; the answer."""
    answer = client.post(
        "/messages", {"to": [CO], "kind": "alert", "subject": "Look", "tlp": "green", **more}
    )
    assert answer.status_code == 201, answer.text
    door.run(door.sim.rounds(3))
    return answer.json()


def at_co(door: Place, id_: str) -> Any:
    """The message as CO got it."""
    return next(read_message(one.payload) for one in door.sim.sites[CO].inbox() if one.message_id == id_)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_list_has_the_newest_first_in_pages_without_gap_or_repeat(door: Place, client: ApiClient) -> None:
    sent = [door.mail(indicator()) for _ in range(5)]
    seen: list[str] = []
    before = None
    while True:
        more = {"before": before} if before else {}
        page = client.get("/messages", limit=2, **more).json()
        seen += [row["id"] for row in page["messages"]]
        before = page["next"]
        if before is None:
            break
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in sent] == sent[::-1]


def test_a_list_is_filtered_by_kind_label_sender_and_whether_anybody_opened_it(
    door: Place, client: ApiClient
) -> None:
    alert = door.mail(indicator(), tlp=Tlp.GREEN)
    update = door.mail(indicator(), kind="incident-update", in_reply_to=str(uuid.uuid4()))
    assert row_of(client, alert, kind="alert")
    assert row_of(client, update, kind="alert") is None
    assert row_of(client, alert, tlp="green")
    assert row_of(client, update, tlp="green") is None
    assert row_of(client, alert, sender=CO)
    assert row_of(client, alert, sender=PE) is None
    client.post(f"/messages/{alert}/ack", {"level": "opened", "person": "Ana"})
    assert row_of(client, alert, unopened="true") is None
    assert row_of(client, update, unopened="true")


def test_a_program_that_reads_opens_nothing_and_its_sender_learns_nothing(
    door: Place, client: ApiClient
) -> None:
    id_ = door.mail(indicator())
    for path in (f"/messages/{id_}", f"/messages/{id_}/content"):
        assert client.get(path).status_code == 200
    client.get("/search", value="203.0.113.57")
    door.run(door.sim.rounds(3))
    row = row_of(client, id_)
    assert row
    assert row["state"] == "new"
    assert door.sim.sites[CO].copy(id_, PE).opened_at is None


def test_the_content_is_what_the_sender_signed_byte_for_byte(door: Place, client: ApiClient) -> None:
    raw = json.dumps(indicator(), indent=2).encode()
    id_ = door.mail_raw(raw)
    answer = client.get(f"/messages/{id_}/content")
    [payload] = [one.payload for one in door.pe.inbox() if one.message_id == id_]
    assert answer.content == payload
    assert carried_objects(read_message(answer.content)) == [raw]
    tag = answer.headers["ETag"]
    again = client.get(f"/messages/{id_}/content", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/messages/{id_}/content", headers={"If-None-Match": '"x"'}).status_code == 200


def test_a_large_content_comes_whole(door: Place, client: ApiClient) -> None:
    """Larger than one write takes."""
    id_ = door.mail(*(indicator(f"Large {n}", description="d" * 300_000) for n in range(3)))
    answer = client.get(f"/messages/{id_}/content")
    [payload] = [one.payload for one in door.pe.inbox() if one.message_id == id_]
    assert len(payload) > 900_000
    assert answer.content == payload
    assert client.get(f"/messages/{id_}").status_code == 200  # on the same connection


def test_a_message_says_what_it_says(door: Place, client: ApiClient) -> None:
    by = door.sim.world.now + HOUR_MS
    id_ = door.mail(indicator(), subject="Seen at a bank", text="Two hosts\nof one network", ack_by=by)
    mail = client.get(f"/messages/{id_}").json()
    assert (mail["subject"], mail["text"]) == ("Seen at a bank", "Two hosts\nof one network")
    assert (mail["sender"], mail["box"], mail["ack_by"], mail["objects"]) == (CO, "in", time_of(by), 1)


@pytest.mark.parametrize("id_", ["0f0f0f0f-0000-4000-8000-000000000000", "x" * 500, "%00", "%2e%2e"])
def test_what_is_not_there_is_not_found(client: ApiClient, id_: str) -> None:
    for path in ("", "/content", "/status"):
        answer = client.get(f"/messages/{id_}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "message.unknown")


# -- searching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"value": "198.51.100.23"}, True),
        ({"value": "198[.]51[.]100[.]23"}, True),
        ({"value": "98.51.100.23"}, False),
        ({"value": "198.51.100.2"}, False),
        ({"value": "hxxp://bad.example/a"}, True),
        ({"value": "BAD.example"}, True),
        ({"value": "d.example"}, False),
        ({"text": "operacion nandu"}, True),
        ({"text": "operacion", "value": "198.51.100.23"}, True),
        ({"text": "operacion", "value": "198.51.100.99"}, False),
    ],
)
def test_a_search_finds_values_where_they_stand_alone_and_words_whatever_their_accents(
    door: Place, client: ApiClient, query: dict[str, str], found: bool
) -> None:
    one = indicator("An address", pattern="[ipv4-addr:value = '198.51.100.23']")
    id_ = door.mail(one, text="Operación Ñandú: see hxxp://bad[.]example/a")
    hits = client.get("/search", **query).json()["hits"]
    hit = next((hit for hit in hits if hit["id"] == id_), None)
    assert (hit is not None) is found
    if hit and "value" in query and query["value"].startswith("198"):
        assert hit["found_in"] == [one["id"]]


def test_a_search_goes_on_where_it_stopped(
    door: Place, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [door.mail(indicator(f"Needle {n}")) for n in range(3)]
    monkeypatch.setattr("exchange.node.mail.search.MOST_MESSAGES", 2)
    seen, before, steps = [], None, 0
    while before is not None or not steps:
        page = client.get("/search", text="needle", **({"before": before} if before else {})).json()
        assert page["looked"] <= 2
        seen += [hit["id"] for hit in page["hits"]]
        before, steps = page["next"], steps + 1
    assert [id_ for id_ in seen if id_ in wanted] == wanted[::-1]
    assert steps > 1


# -- sending -----------------------------------------------------------------------------------------------------------


def test_what_is_sent_arrives_with_its_objects_byte_for_byte(door: Place, client: ApiClient) -> None:
    raw = json.dumps(indicator(), indent=3)
    around = {"to": [CO], "kind": "alert", "subject": "Look", "tlp": "green", "text": "Here"}
    body = json.dumps(around)[:-1] + f', "objects": [{raw}]}}'
    answer = client.post("/messages", body.encode())
    assert answer.status_code == 201, answer.text
    door.run(door.sim.rounds(3))
    got = at_co(door, answer.json()["id"])
    assert (got.subject, got.text, got.tlp, got.kind) == ("Look", "Here", Tlp.GREEN, "alert")
    assert carried_objects(got) == [raw.encode()]
    row = row_of(client, got.id, box="out")
    assert row
    assert (row["to"], row["objects"], row["state"]) == ([CO], 1, None)


def test_objects_come_in_a_bundle_too_and_the_strictest_label_counts(door: Place, client: ApiClient) -> None:
    one = indicator(object_marking_refs=[Tlp.GREEN.marking_id])
    bundle = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [one]}
    sent = sends(door, client, tlp="clear", bundle=bundle)
    assert sent["tlp"] == "TLP:GREEN"
    assert [json.loads(data) for data in carried_objects(at_co(door, sent["id"]))] == [one]


def test_the_same_order_is_sent_once_and_another_under_its_id_never(door: Place, client: ApiClient) -> None:
    order = {"to": [CO], "kind": "alert", "subject": "Once", "tlp": "green", "id": str(uuid.uuid4())}
    first = client.post("/messages", order)
    again = client.post("/messages", order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"new": False}
    other = client.post("/messages", order | {"subject": "Another"})
    assert (other.status_code, other.json()["code"], other.json()["field"]) == (409, "api.taken", "id")
    door.run(door.sim.rounds(3))
    assert door.sim.sites[CO].received().count(order["id"]) == 1


def test_an_answer_has_the_case_and_urgency_of_what_it_answers(door: Place, client: ApiClient) -> None:
    id_ = door.mail(indicator(), case_id="case-77")
    sent = sends(door, client, kind="response", in_reply_to=id_, outcome="partial")
    assert (sent["case"], sent["urgency"]) == ("case-77", "routine")
    assert at_co(door, sent["id"]).in_reply_to == id_


def test_a_report_has_its_incident(door: Place, client: ApiClient) -> None:
    incident = {
        "name": "Locked files",
        "determination": "suspected",
        "types": ["ransomware"],
        "first_seen": "2026-09-20T10:00:00-05:00",
    }
    sent = sends(door, client, kind="incident-report", incident=incident)
    values = [json.loads(data) for data in carried_objects(at_co(door, sent["id"]))]
    assert [value["type"] for value in values] == ["incident", "event"]
    assert values[1]["start_time"] == "2026-09-20T15:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"kind": "forward"}, (422, "api.bad-body", "kind")),
        ({"subjekt": "x"}, (422, "api.bad-body", "subjekt")),
        ({"to": []}, (422, "api.bad-body", "to")),
        ({"to": "co-csirt"}, (422, "api.bad-body", "to")),
        ({"expires": "tomorrow"}, (422, "api.bad-body", "expires")),
        ({"expires": "2001-01-01T00:00:00Z"}, (422, "message.bad-time", None)),
        ({"subject": "two\nlines"}, (422, "message.bad-text", None)),
        ({"kind": "response"}, (422, "message.missing-reply-to", "in_reply_to")),
        ({"in_reply_to": "0f0f0f0f-0000-4000-8000-000000000000"}, (404, "message.unknown", "in_reply_to")),
        ({"to": ["xx-csirt"]}, (422, "directory.unknown-member", "to")),
        ({"to": [PE]}, (403, "policy.self-only", "to")),
        ({"to": ["PE:no_such"]}, (422, "contact.unknown", "to")),
        ({"to": ["co-csirt/Nobody Here"]}, (422, "unit.unknown", "to")),
        ({"tlp": "red"}, (403, "tlp.red-needs-persons", "tlp")),
        ({"tlp": "amber"}, (403, "policy.anchor-unconfirmed", None)),
        ({"exercise": "EX-1"}, (403, "release.exercise", "exercise")),
        ({"objects": [{"type": "indicator"}]}, (422, "api.bad-objects", "objects")),
        ({"bundle": {"type": "bundle"}}, (422, "stix.bad-bundle", None)),
        ({"bundle": {"type": "bundle"}, "objects": [{}]}, (422, "api.bad-body", "bundle")),
        (
            {"incident": {"name": "x", "determination": "who", "types": ["y"]}},
            (422, "incident.unknown-word", "incident"),
        ),
    ],
)
def test_what_can_not_be_sent_is_refused_whole_with_its_reason(
    client: ApiClient, change: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    before = len(client.get("/messages", box="out", limit=200).json()["messages"])
    answer = client.post("/messages", {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green", **change})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("field")) == refusal
    assert problem["detail"]
    assert len(client.get("/messages", box="out", limit=200).json()["messages"]) == before


def test_of_several_objects_all_go_or_none_and_each_fault_is_told(client: ApiClient) -> None:
    bad = {"type": "indicator", "id": f"indicator--{uuid.uuid4()}"}
    body = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green", "objects": [indicator(), bad]}
    problem = client.post("/messages", body).json()
    assert [error["object"] for error in problem["errors"]] == [bad["id"]]


def test_more_than_a_message_may_hold_is_refused_before_it_is_read(client: ApiClient) -> None:
    answer = client.post("/messages", b" " * (http_api_mail.MOST + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too-large")


# -- answers -----------------------------------------------------------------------------------------------------------


def test_a_person_answers_through_a_tool_and_the_sender_learns_who(door: Place, client: ApiClient) -> None:
    id_ = door.mail(indicator())
    for level in ("opened", "acknowledged"):
        told = client.post(f"/messages/{id_}/ack", {"level": level, "person": "Ana Quispe", "note": "On it"})
        assert told.json() == {"id": id_, "level": level, "told": 1}
    door.run(door.sim.rounds(4))
    copy = door.sim.sites[CO].copy(id_, PE)
    assert copy.opened_at
    assert copy.acknowledged_at
    assert (copy.person, copy.note) == ("Ana Quispe", "On it")
    row = row_of(client, id_)
    assert row
    assert row["state"] == "acknowledged"


def test_the_status_says_for_each_copy_how_far_it_came_and_what_it_lacks(
    door: Place, client: ApiClient
) -> None:
    sent = sends(door, client)
    [copy] = client.get(f"/messages/{sent['id']}/status").json()["copies"]
    assert (copy["address"], copy["level"], copy["missing"], copy["overdue"]) == (
        CO,
        "stored",
        "opened",
        False,
    )
    door.sim.sites[CO].desk.answer(sent["id"], "acknowledged", person="Luis")
    door.run(door.sim.rounds(4))
    [copy] = client.get(f"/messages/{sent['id']}/status").json()["copies"]
    assert (copy["level"], copy["missing"]) == ("acknowledged", None)
    received = door.mail(indicator())
    assert client.get(f"/messages/{received}/status").status_code == 404  # it wasn't sent from here


def test_of_two_messages_under_one_id_none_is_given_or_answered_until_it_is_said_whose(
    door: Place, client: ApiClient
) -> None:
    id_ = sends(door, client)["id"]
    door.mail(indicator(), id=id_)
    for path in (f"/messages/{id_}", f"/messages/{id_}/content"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "message.ambiguous")
        assert client.get(path, sender="bb-csirt").status_code == 404
    assert [client.get(f"/messages/{id_}", sender=each).json()["box"] for each in (CO, PE)] == ["in", "out"]
    order = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green", "in_reply_to": id_}
    refused = client.post("/messages", order)
    assert (refused.json()["code"], refused.json()["field"]) == ("message.ambiguous", "in_reply_to")
    for each in (CO, PE):
        answer = client.post("/messages", order | {"in_reply_to_sender": each})
        assert answer.status_code == 201
    refused = client.post("/messages", order | {"in_reply_to_sender": "bb-csirt"})
    assert (refused.status_code, refused.json()["code"]) == (404, "message.unknown")
    answered = client.post(f"/messages/{id_}/ack", {"level": "working", "person": "Ana", "sender": CO})
    assert answered.json()["told"] == 1


def test_an_answer_that_its_sender_could_not_read_is_refused_here(door: Place, client: ApiClient) -> None:
    """The protocol counts bytes: a name of 200 letters may have 600."""
    id_ = door.mail(indicator())
    answer = client.post(f"/messages/{id_}/ack", {"level": "working", "person": "\u6f22" * 200})
    assert (answer.status_code, answer.json()["code"]) == (422, "message.text-too-long")
    assert answer.json()["field"] == "person"
    row = row_of(client, id_)
    assert row
    assert row["state"] == "new"
