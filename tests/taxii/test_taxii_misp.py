"""MISP's push, request by request: its pages for a TAXII server, then its script, which uses taxii2-client.

MISP 2.5 keeps of a server its base URL, API root (no slash at its ends), a collection's id and `base64(name:password)`.
The pages look at collections and objects; the script asks the API root how long an envelope may be and posts STIX 2.1
objects in envelopes as long as that, without waiting. What misp-stix makes of an event is unmarked but for its report.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import requests
import taxii2client
from requests.auth import HTTPBasicAuth
from taxii2client.exceptions import ValidationError

from exchange.node.taxii import drafts
from tests.doors import TAXII, WRITES, Client, Place

MOMENT = "2026-09-01T00:00:00.000Z"
GREEN = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"


@dataclass(frozen=True)
class Misp:
    """What MISP knows of the node, and the requests that it makes."""

    base: str
    root: str
    key: str
    collection: str

    def page(self, path: str, **query: str | int) -> Any:
        """A GET of its pages: they send a content type too, and write `basic` in small letters."""
        headers = {"Accept": TAXII, "Content-type": TAXII, "Authorization": f"basic {self.key}"}
        answer = requests.get(f"{self.base}/{self.root}{path}", params=query, headers=headers, timeout=10)
        assert answer.status_code == 200
        return answer.json()

    def push(self, objects: Iterable[dict[str, Any]]) -> list[taxii2client.Status]:
        """Its script: what was answered to each envelope."""
        auth = HTTPBasicAuth(*base64.b64decode(self.key).split(b":"))
        url = f"{self.base}/{self.root}"
        with taxii2client.ApiRoot(url, auth=auth) as root:
            most = root.max_content_length
        with taxii2client.Collection(f"{url}/collections/{self.collection}", auth=auth) as collection:
            return [
                collection.add_objects(data, wait_for_completion=False) for data in envelopes(objects, most)
            ]


def envelopes(objects: Iterable[dict[str, Any]], most: int) -> Iterator[bytes]:
    """As many objects in each as `most` bytes hold."""
    data = b""
    for one in objects:
        part = orjson.dumps(one)
        if data and len(data) + len(part) + len(b'{"objects":[,]}') > most:
            yield b'{"objects":[%b]}' % data
            data = b""
        data = data + b"," + part if data else part
    if data:
        yield b'{"objects":[%b]}' % data


def event(**report: Any) -> list[dict[str, Any]]:
    """A made-up event in the forms of misp-stix: report, sightings of an address, an indicator, custom objects."""
    author = f"identity--{uuid.uuid4()}"
    one, other = uuid.uuid4(), uuid.uuid4()
    common = {"spec_version": "2.1", "created_by_ref": author, "created": MOMENT, "modified": MOMENT}
    labels = {"labels": ['misp:type="ip-dst"', 'misp:category="Network activity"']}
    seen = [f"network-traffic--{one}", f"ipv4-addr--{one}"]
    said = [
        {
            "type": "observed-data",
            "id": f"observed-data--{one}",
            **common,
            "first_observed": "2026-09-01T00:00:00Z",
            "last_observed": "2026-09-01T00:00:00Z",
            "number_observed": 1,
            "object_refs": seen,
            **labels,
        },
        {
            "type": "network-traffic",
            "spec_version": "2.1",
            "id": seen[0],
            "dst_ref": seen[1],
            "protocols": ["tcp"],
        },
        {"type": "ipv4-addr", "spec_version": "2.1", "id": seen[1], "value": "203.0.113.5"},
        {
            "type": "indicator",
            "id": f"indicator--{one}",
            **common,
            "pattern": "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '203.0.113.5']",
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": "2026-09-01T00:00:00Z",
            "kill_chain_phases": [{"kill_chain_name": "misp-category", "phase_name": "Network activity"}],
            **labels,
        },
        {
            "type": "x-misp-attribute",
            "id": f"x-misp-attribute--{other}",
            **common,
            "labels": ['misp:type="btc"', 'misp:category="Financial fraud"'],
            "x_misp_category": "Financial fraud",
            "x_misp_type": "btc",
            "x_misp_value": "made up",
        },
        {
            "type": "x-misp-object",
            "id": f"x-misp-object--{other}",
            **common,
            "labels": ['misp:name="bank-account"', 'misp:meta-category="financial"'],
            "x_misp_attributes": [
                {"category": "Financial fraud", "object_relation": "iban", "to_ids": True, "type": "iban"}
            ],
            "x_misp_meta_category": "financial",
            "x_misp_name": "bank-account",
        },
        {
            "type": "relationship",
            "spec_version": "2.1",
            "id": f"relationship--{uuid.uuid5(one, 'based-on')}",
            "created": MOMENT,
            "modified": MOMENT,
            "relationship_type": "based-on",
            "source_ref": f"indicator--{one}",
            "target_ref": f"observed-data--{one}",
        },
    ]
    head = [
        {
            "type": "identity",
            "spec_version": "2.1",
            "id": author,
            "created": MOMENT,
            "modified": MOMENT,
            "name": "PE-CSIRT",
            "identity_class": "organization",
        },
        {
            "type": "report",
            "id": f"report--{uuid.uuid4()}",
            **common,
            "name": "An event",
            "published": "2026-09-01T00:01:40Z",
            "object_refs": [each["id"] for each in said],
            "labels": ["Threat-Report", 'misp:tool="MISP-STIX-Converter"'],
            "object_marking_refs": [GREEN],
            **report,
        },
    ]
    marking = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": GREEN,
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": "TLP:GREEN",
        "definition": {"tlp": "green"},
    }
    return [*head, *said, marking]


@pytest.fixture(scope="module")
def misp(door: Place) -> Misp:
    token = door.token("misp", scopes=WRITES)
    [drafts_id] = [
        one["id"] for one in door.client().get("collections/").json()["collections"] if one["can_write"]
    ]
    key = base64.b64encode(f"misp:{token}".encode()).decode()
    return Misp(door.url.rstrip("/"), "taxii2/node", key, drafts_id)


def test_its_pages_show_collections_objects_and_one_object(misp: Misp) -> None:
    sent = event()
    misp.push(sent)
    found = misp.page("/collections/")["collections"]
    assert {one["id"]: one["can_write"] for one in found}[misp.collection]
    shown: list[dict[str, Any]] = []
    answer = misp.page(f"/collections/{misp.collection}/objects/", limit=50)
    shown += answer["objects"]
    while answer.get("more"):
        answer = misp.page(f"/collections/{misp.collection}/objects/", limit=50, next=answer["next"])
        shown += answer["objects"]
    assert [one for one in shown if one in sent] == sent
    for one in sent:
        assert misp.page(f"/collections/{misp.collection}/objects/{one['id']}/")["objects"][0] == one


def test_an_event_is_pushed_and_pushed_again_and_changed(door: Place, misp: Misp, client: Client) -> None:
    sent = event()
    [status] = misp.push(sent)
    assert (status.status, status.total_count, status.failure_count) == ("complete", len(sent), 0)
    [again] = misp.push(sent)
    assert (again.success_count, again.failure_count) == (len(sent), 0)
    mine = [one for one in drafts.listed(door.pe.up.store) if one.id in (status.id, again.id)]
    assert [(one.by, one.objects) for one in mine] == [
        ("misp", len(sent) - 1)
    ]  # the label's definition is there
    report = sent[1] | {"modified": "2026-09-02T00:00:00.000Z", "name": "A changed event"}
    [changed] = misp.push([*sent[:1], report, *sent[2:]])
    assert changed.failure_count == 0
    path = f"collections/drafts/objects/{report['id']}/"
    assert client.get(path).json()["objects"] == [report]
    assert client.get(path, match_version="all").json()["objects"] == [sent[1], report]


def test_more_than_one_envelope_holds_goes_in_several(misp: Misp) -> None:
    sent = [one for n in range(6) for one in event(description=str(n) * 1_900_000)]
    statuses = misp.push(sent)
    assert len(statuses) == 2
    assert sum(status.success_count for status in statuses) == len(sent)


def test_what_fails_is_told_for_each_object_and_the_rest_is_taken(misp: Misp) -> None:
    sent = event()
    bad = sent[5] | {"id": f"indicator--{uuid.uuid4()}", "pattern_type": 7}
    [status] = misp.push([*sent, bad])
    assert status.failure_count == 1
    assert (status.failures[0]["id"], status.failures[0]["version"]) == (bad["id"], MOMENT)
    assert status.failures[0]["message"].startswith("stix.")


def test_its_client_wants_the_collections_id_not_its_alias(misp: Misp) -> None:
    """Why docs/taxii.md asks for the id."""
    with pytest.raises(ValidationError):
        Misp(misp.base, misp.root, misp.key, "drafts").push(event())
