"""Nothing leaves by the REST API that the policy of the doors keeps in, and the access log says what did and didn't."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.access import Scope
from exchange.formats.stix.cover import read_message
from exchange.node.store import access as store_access
from exchange.node.store.links import add_void
from exchange.node.store.notices import mark_unverified
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.api.conftest import ApiClient, api
from tests.doors import CO, Place
from tests.taxii.conftest import indicator
from tests.taxii.test_taxii_policy import PAP_IDS

READS = frozenset({Scope.API_READ})
SAID = "Zarzamora"
HIDDEN = ("kind", "case", "subject", "objects")


def mailed(door: Place, *, tlp: Tlp = Tlp.AMBER, pap: Pap | None = None, **fields: Any) -> str:
    marks = {} if pap is None else {"object_marking_refs": [PAP_IDS[pap]]}
    return door.mail(indicator(f"{SAID} host", **marks), tlp=tlp, subject=SAID, **fields)


class Given:
    """All that a right of entry is given, by every way there is."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self.rows = {row["id"]: row for row in client.get("/messages", limit=200).json()["messages"]}
        self.hits = {hit["id"] for hit in client.get("/search", text=SAID).json()["hits"]}
        self.events = client.get("/events", after="0-0-0", seconds=0).text

    def withheld(self, id_: str) -> str:
        """The code of what keeps a message in, empty where it may leave: by every way the same."""
        row = self.rows[id_]
        whole, content = (self.client.get(f"/messages/{id_}{path}") for path in ("", "/content"))
        assert SAID not in self.events
        if row["withheld"] is None:
            assert (whole.status_code, content.status_code) == (200, 200)
            assert row["subject"] == whole.json()["subject"] == SAID
            assert id_ in self.hits
            return ""
        code = row["withheld"]["code"]
        assert [row[name] for name in HIDDEN] == [None] * len(HIDDEN)
        assert {whole.json()["code"], content.json()["code"]} == {code}
        assert whole.json()["ask"] == row["withheld"]["ask"] != ""
        assert id_ not in self.hits
        assert SAID not in whole.text + content.text
        return str(code)


def gets(client: ApiClient, id_: str) -> str:
    return Given(client).withheld(id_)


Labelled = dict[str, tuple[Pap | None, bool]]


@pytest.fixture(scope="module")
def labelled(door: Place) -> Labelled:
    """A message of each label that reaches a node, and at AMBER for an exercise too, by id."""
    return {
        mailed(door, tlp=tlp, pap=pap, **({"exercise_id": "EX-1"} if made else {})): (pap, made)
        for tlp in (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT)
        for pap in (None, Pap.GREEN, Pap.AMBER, Pap.RED)
        for made in ((False, True) if tlp is Tlp.AMBER else (False,))
    }


@pytest.mark.parametrize("passive", [False, True])
@pytest.mark.parametrize("exercise", [False, True])
def test_each_label_for_each_sort_of_right(
    door: Place, labelled: Labelled, passive: bool, exercise: bool
) -> None:
    """What the table of docs/policy.md says of own machines."""
    given = Given(api(door, passive=passive, exercise=exercise, scopes=READS))
    for id_, (pap, made) in labelled.items():
        by_pap = "release.pap" if pap is Pap.RED or (pap is Pap.AMBER and not passive) else ""
        mixed = "release.exercise" if made else "release.not-an-exercise"
        assert given.withheld(id_) == (by_pap if made is exercise else mixed)


def test_what_is_red_stays_in_also_where_this_node_sent_it(door: Place, client: ApiClient) -> None:
    """No node can send RED to another's node: one that a person here was named in is sent by this node itself."""
    id_ = door.pe.send(CO, subject=SAID, tlp=Tlp.RED)
    answer = client.get(f"/messages/{id_}")
    assert (answer.status_code, answer.json()["code"]) == (403, "tlp.red-needs-persons")
    [row] = [one for one in client.get("/messages", box="out").json()["messages"] if one["id"] == id_]
    assert row["withheld"]["code"] == "tlp.red-needs-persons"
    assert row["subject"] is None
    assert client.get(f"/messages/{id_}/status").status_code == 200  # how far it came tells nothing of it


def test_what_its_sender_took_back_waits_for_a_person(door: Place, client: ApiClient) -> None:
    door.sim.world.now += 1
    id_ = mailed(door)
    assert gets(client, id_) == ""
    received = next(found for found in door.pe.inbox() if found.message_id == id_)
    store = door.pe.up.store
    door.run(store.db.write(lambda c: add_void(c, CO, received.env, "taken back")))
    assert gets(client, id_) == "release.doubted"
    assert Given(client).rows[id_]["withheld"]["ask"] == CO


def test_what_is_under_a_stolen_key_waits_for_a_person(door: Place, client: ApiClient) -> None:
    door.sim.world.now += 1
    id_ = mailed(door)
    store = door.pe.up.store
    skid = door.sim.sites[CO].up.identity.skid
    door.run(store.db.write(lambda c: mark_unverified(c, address=CO, skid=skid, since=door.sim.world.now)))
    assert gets(client, id_) == "release.doubted"


def test_a_filter_by_kind_tells_nothing_of_what_is_withheld(door: Place, client: ApiClient) -> None:
    id_ = mailed(door, exercise_id="EX-1")
    assert id_ in [row["id"] for row in client.get("/messages").json()["messages"]]
    assert id_ not in [row["id"] for row in client.get("/messages", kind="alert").json()["messages"]]


def test_the_access_log_says_what_left_and_what_did_not(door: Place) -> None:
    client = api(door, "logged", scopes=READS)
    open_, closed = mailed(door), mailed(door, exercise_id="EX-1")
    for _ in range(2):
        client.get("/messages")
    client.get("/search", text=SAID)
    client.get(f"/messages/{open_}")
    client.get(f"/messages/{open_}/content")
    client.get(f"/messages/{closed}")
    assert said(door, open_) == ["api list", "api", "api"]
    assert said(door, closed) == ["api refused", "api refused"]
    assert door.run(door.pe.up.store.db.read(store_access.verify)) > 0


def said(door: Place, id_: str) -> list[str]:
    """What the access log says that the right `logged` did with a message."""
    rows = [row for row in door.pe.desk.access_log() if row.who == "token:logged"]
    return [row.action for row in reversed(rows) if row.what.startswith(f"{CO} {id_} to own logged: ")]


def test_what_is_for_exercises_sends_exercises_and_knows_of_nothing_real(door: Place) -> None:
    drill = api(door, exercise=True)
    order = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green"}
    assert drill.post("/messages", order).json()["code"] == "release.not-an-exercise"
    sent = drill.post("/messages", order | {"exercise": "EX-9"})
    assert sent.status_code == 201
    real, made = mailed(door), mailed(door, exercise_id="EX-9")
    own = door.pe.send(CO)
    ack = {"level": "acknowledged", "person": "Ana"}
    assert drill.post(f"/messages/{real}/ack", ack).status_code == 404
    assert drill.post(f"/messages/{made}/ack", ack).status_code == 200
    assert drill.get(f"/messages/{own}/status").status_code == 404
    assert drill.get(f"/messages/{sent.json()['id']}/status").status_code == 200


def test_objects_that_hold_the_cover_of_an_exercise_go_by_what_is_for_exercises_alone(door: Place) -> None:
    id_ = mailed(door, exercise_id="EX-1")
    received = next(one for one in door.pe.inbox() if one.message_id == id_)
    carried = orjson.loads(read_message(received.payload).bundle)["objects"]
    order = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "amber+strict", "objects": carried}
    refused = api(door).post("/messages", order)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
        403,
        "release.exercise",
        "objects",
    )
    assert api(door, exercise=True).post("/messages", order).json()["code"] != "release.not-an-exercise"


def test_an_answer_does_not_tell_the_case_of_what_is_withheld(door: Place) -> None:
    """By its id, a right that may send and nothing else could ask for it."""
    sends = api(door, scopes=frozenset({Scope.API_SEND}))
    kept, exercise = mailed(door, pap=Pap.RED), mailed(door, exercise_id="EX-1")
    order = {"to": [CO], "kind": "response", "subject": "x", "outcome": "partial", "tlp": "green"}
    refused = sends.post("/messages", order | {"in_reply_to": kept}).json()
    assert (refused["code"], refused["field"]) == ("release.pap", "in_reply_to")
    assert "case-1" not in str(refused)
    answer = sends.post("/messages", order | {"in_reply_to": kept, "case": "case-7"})
    assert (answer.status_code, answer.json()["case"]) == (201, "case-7")
    unknown = sends.post("/messages", order | {"in_reply_to": exercise, "case": "case-7"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "message.unknown")
