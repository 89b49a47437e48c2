"""Clients that people use, each in a full cycle: taxii2-client, OpenCTI's polling. MISP's push: test_taxii_misp.py."""

from __future__ import annotations

from typing import Any

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
