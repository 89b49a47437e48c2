"""Clients that people use, each in a full cycle: taxii2-client, OpenCTI's way of polling, MISP's push."""

from __future__ import annotations

from typing import Any

import orjson
import requests
from taxii2client.common import TokenAuth
from taxii2client.v21 import Collection, Server, as_pages

from tests.doors import READS, WRITES, Place
from tests.taxii.conftest import indicator


def test_taxii2_client_goes_from_discovery_to_a_deletion(door: Place) -> None:
    sent = [indicator(str(n)) for n in range(7)]
    door.mail(*sent)
    server = Server(door.url + "taxii2/", auth=TokenAuth(door.token("taxii2-client", scopes=WRITES)))
    [root] = server.api_roots
    assert server.default is root
    found = {one.alias: one for one in root.collections}
    pages = list(as_pages(found["received"].get_objects, per_request=3))
    got = [one for page in pages for one in page["objects"]]
    assert [one for one in got if one in sent] == sent
    records = [
        one for page in as_pages(found["received"].get_manifest, per_request=3) for one in page["objects"]
    ]
    assert [one["id"] for one in records] == [one["id"] for one in got]
    one = indicator()
    status = found["drafts"].add_objects({"objects": [one]})
    assert (status.status, status.success_count) == ("complete", 1)
    assert root.get_status(status.id).success_count == 1
    assert found["drafts"].get_object(one["id"])["objects"] == [one]
    assert found["drafts"].object_versions(one["id"])["versions"] == [one["modified"]]
    found["drafts"].delete_object(one["id"])
    assert found["drafts"].get_objects(id=one["id"]) == {}


def test_taxii2_client_with_a_name_and_a_password(door: Place) -> None:
    door.token("by-password", scopes=READS, password="correct horse battery")
    received = next(
        one for one in door.client().get("collections/").json()["collections"] if one["alias"] == "received"
    )
    url = f"{door.url}taxii2/node/collections/{received['id']}/"
    collection = Collection(url, user="by-password", password="correct horse battery")
    assert (collection.can_read, collection.can_write) == (True, False)


def test_opencti_polls_with_added_after_and_then_next(door: Place) -> None:
    """Its ingester keeps one added_after for all pages of a round, and takes the next one from the last header."""
    token = door.token("opencti", scopes=READS)
    headers = {"Accept": "application/json, text/plain, */*", "Authorization": f"Bearer {token}"}
    url = f"{door.url}taxii2/node/collections/received/objects/"

    def poll(added_after: str | None) -> tuple[list[dict[str, Any]], str]:
        found, next_ = list[dict[str, Any]](), ""
        while True:
            parameters = {"next": next_, "added_after": added_after, "limit": 2}
            answer = requests.get(url, params=parameters, headers=headers, timeout=10)
            assert answer.status_code == 200
            found += answer.json().get("objects", [])
            if not answer.json().get("more"):
                return found, answer.headers["x-taxii-date-added-last"]
            next_ = answer.json()["next"]

    _, position = poll(None)
    assert poll(position)[0] == []
    sent = [indicator(str(n)) for n in range(5)]
    door.mail(*sent)
    found, position = poll(position)
    assert [one for one in found if one["type"] == "indicator"] == sent
    assert poll(position) == ([], position)


def test_misp_pushes_an_event_as_an_envelope(door: Place) -> None:
    """Its push posts what misp-stix makes of an event, with custom objects and properties, and asks for the status."""
    event = {
        "type": "grouping",
        "spec_version": "2.1",
        "id": "grouping--8f8c8a0e-3c8f-4f3a-9a43-6f5d0c2b7a11",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": "2026-09-01T00:00:00.000Z",
        "name": "An event",
        "context": "suspicious-activity",
        "object_refs": [
            "indicator--0a4c2f9d-3f35-4b0a-8a42-6a6f3a1f6f5c",
            "x-misp-object--2c0b5f0e-7a53-4a7e-9b39-0d3c4f6d2a10",
        ],
        "labels": ["Threat-Report", 'misp:tool="MISP-STIX-Converter"'],
    }
    attribute = indicator(id="indicator--0a4c2f9d-3f35-4b0a-8a42-6a6f3a1f6f5c") | {
        "labels": ['misp:type="ip-dst"', 'misp:to_ids="True"'],
    }
    custom = {
        "type": "x-misp-object",
        "spec_version": "2.1",
        "id": "x-misp-object--2c0b5f0e-7a53-4a7e-9b39-0d3c4f6d2a10",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": "2026-09-01T00:00:00.000Z",
        "x_misp_name": "bank-account",
        "x_misp_attributes": [{"type": "text", "object_relation": "text", "value": "made up"}],
    }
    token = door.token("misp", scopes=WRITES)
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/taxii+json; version=2.1",
        "Content-Type": "application/taxii+json; version=2.1",
    }
    url = f"{door.url}taxii2/node/collections/drafts/objects/"
    answer = requests.post(
        url, data=orjson.dumps({"objects": [event, attribute, custom]}), headers=headers, timeout=10
    )
    assert answer.status_code == 202
    assert answer.json()["failure_count"] == 0
    status = requests.get(f"{door.url}taxii2/node/status/{answer.json()['id']}/", headers=headers, timeout=10)
    assert status.json() == answer.json()
    assert requests.get(url, headers=headers, timeout=10).json()["objects"] == [event, attribute, custom]
