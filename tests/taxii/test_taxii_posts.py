"""TAXII 2.1 §4.3, §5.5 and §5.7: posts, their status, deletions; also many at once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from exchange.access import Scope
from exchange.node.doors.doorkeeper import take
from exchange.node.taxii.posting import CHUNK
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.doors import READS, TAXII, Client, Place
from tests.taxii.conftest import indicator
from tests.taxii.test_taxii_core import assert_error
from tests.taxii.test_taxii_policy import PAP_IDS

DRAFTS = "collections/drafts/"


def path_of(one: dict[str, Any]) -> str:
    return f"{DRAFTS}objects/{one['id']}/"


# -- §5.5 ------------------------------------------------------------------------------------------------------------


def test_5_5_a_post_is_answered_with_a_status_that_can_be_asked_for_again(client: Client) -> None:
    one = indicator()
    status = client.post(one)
    assert uuid.UUID(status["id"]).version == 4
    assert status["status"] == "complete"
    assert (
        status["total_count"],
        status["success_count"],
        status["failure_count"],
        status["pending_count"],
    ) == (1, 1, 0, 0)
    assert status["successes"] == [{"id": one["id"], "version": one["modified"]}]
    assert "failures" not in status
    assert "pendings" not in status
    for path in (f"status/{status['id']}/", f"status/{status['id']}"):
        answer = client.get(path)
        assert (answer.headers["Content-Type"], answer.json()) == (TAXII, status)


def test_4_3_a_status_is_its_posters_alone(door: Place, client: Client) -> None:
    status = client.post(indicator())
    assert door.client("someone-else").get(f"status/{status['id']}/").status_code == 404


def test_5_5_what_was_posted_is_there_in_every_form(client: Client) -> None:
    one = indicator("posted")
    client.post(one)
    assert client.get(path_of(one)).json() == {"objects": [one]}
    assert one in [found for page in client.pages(f"{DRAFTS}objects/") for found in page.json()["objects"]]
    assert [
        record["id"] for record in client.get(f"{DRAFTS}manifest/", match_id=one["id"]).json()["objects"]
    ] == [one["id"]]
    assert client.get(f"{path_of(one)}versions/").json() == {"versions": [one["modified"]]}


def test_5_5_objects_come_back_as_they_were_posted(client: Client) -> None:
    raw = (
        b'{"type":"indicator", "spec_version":"2.1","id":"indicator--%b","created":"2026-09-01T00:00:00.000Z",'
        b'"modified":"2026-09-01T00:00:00.000Z","pattern":"[ipv4-addr:value = \'203.0.113.57\']",'
        b'"pattern_type":"stix","valid_from":"2026-09-01T00:00:00Z","x_n":1.50,"x_t":"\\u00e9" }'
    ) % str(uuid.uuid4()).encode()
    assert client.post_raw(b' {"objects" : [ %b ] }' % raw).json()["success_count"] == 1
    assert client.get(path_of(orjson.loads(raw))).content == b'{"objects":[%b]}' % raw


def test_5_5_an_exact_duplicate_is_no_error_and_no_second_object(client: Client) -> None:
    one = indicator()
    first = client.get(path_of(one))
    assert first.status_code == 404
    for _ in range(3):
        assert client.post(one, one)["success_count"] == 2
    assert (
        len(client.get(f"{DRAFTS}manifest/", match_id=one["id"], match_version="all").json()["objects"]) == 1
    )


def test_5_5_another_object_under_a_version_that_is_taken_fails_by_itself(client: Client) -> None:
    one, other = indicator("first"), indicator()
    client.post(one)
    status = client.post(one | {"name": "second"}, other)
    assert [failed["id"] for failed in status["failures"]] == [one["id"]]
    assert [good["id"] for good in status["successes"]] == [other["id"]]
    assert client.get(path_of(one)).json()["objects"] == [one]


def test_5_5_a_newer_version_is_added(client: Client) -> None:
    one = indicator("old")
    new = one | {"name": "new", "modified": "2026-09-05T00:00:00.000Z"}
    client.post(one)
    client.post(new)
    assert client.get(path_of(one)).json()["objects"] == [new]
    assert client.get(path_of(one), match_version="all").json()["objects"] == [one, new]


def test_5_5_objects_fail_one_by_one(client: Client) -> None:
    good, bad = indicator(), indicator() | {"pattern_type": 7}
    status = client.post(good, bad, {"type": "indicator"}, 17, "text", [], {"type": "a", "id": "b"})
    assert (status["total_count"], status["success_count"], status["failure_count"]) == (7, 1, 6)
    assert status["failures"][0]["id"] == bad["id"]
    assert all(one["message"] and isinstance(one["version"], str) for one in status["failures"])
    assert client.get(path_of(good)).json()["objects"] == [good]
    assert client.get(path_of(bad)).status_code == 404


def test_5_5_stix_2_0_and_bare_observables_are_taken_and_served(client: Client) -> None:
    old = {
        "type": "malware",
        "id": f"malware--{uuid.uuid4()}",
        "created": "2019-01-01T00:00:00.000Z",
        "modified": "2019-01-01T00:00:00.000Z",
        "name": "Old",
        "labels": ["ransomware"],
    }
    bare = {
        "type": "domain-name",
        "spec_version": "2.1",
        "id": f"domain-name--{uuid.uuid4()}",
        "value": "example.org",
    }
    assert client.post(old, bare)["failure_count"] == 0
    for one in (old, bare):
        assert client.get(path_of(one)).json()["objects"] == [one]
        assert len(client.get(f"{path_of(one)}versions/").json()["versions"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"not JSON", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"objects":[]}', 422),
        (b'{"objects":{}}', 422),
        (b'{"objects":[{}],"objects":[{}]}', 422),
        (b'{"objects":[' + b"[" * 100 + b"]" * 100 + b"]}", 422),
        (b"\xff\xfe", 422),
    ],
)
def test_5_5_a_body_that_is_no_envelope_is_422_and_stores_nothing(
    client: Client, body: bytes, status: int
) -> None:
    before = client.get(f"{DRAFTS}manifest/", limit=1000).json()
    answer = client.post_raw(body)
    assert answer.status_code == status
    assert_error(answer)
    assert client.get(f"{DRAFTS}manifest/", limit=1000).json() == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/taxii+json;version=2.0", None, "application/xml"]
)
def test_5_5_another_content_type_is_415(client: Client, content_type: str | None) -> None:
    answer = client.post_raw(orjson.dumps({"objects": [indicator()]}), content_type=content_type)
    assert answer.status_code == 415
    assert_error(answer)


@pytest.mark.parametrize(
    "content_type",
    [
        TAXII,
        "application/taxii+json",
        "application/taxii+json; version=2.1",
        "application/json",
        "application/json; charset=utf-8",
    ],
)
def test_3_1_our_content_types_are_never_415(client: Client, content_type: str) -> None:
    answer = client.post_raw(orjson.dumps({"objects": [indicator()]}), content_type=content_type)
    assert answer.status_code == 202


def test_5_5_what_cant_be_accepted_is_406(client: Client) -> None:
    answer = client.session.post(
        f"{client.root}{DRAFTS}objects/",
        data=b"{}",
        headers={"Content-Type": TAXII, "Accept": "text/html"},
        timeout=10,
    )
    assert answer.status_code == 406


def test_5_5_a_body_over_the_limit_is_413_and_one_below_it_never(client: Client) -> None:
    most = client.get().json()["max_content_length"]
    small = orjson.dumps({"objects": [indicator()]})
    assert client.post_raw(small + b" " * (most - len(small))).status_code == 202
    answer = client.post_raw(small + b" " * (most - len(small) + 1))
    assert answer.status_code == 413
    assert_error(answer)


def test_4_2_a_body_may_have_as_many_objects_as_its_bytes_hold(client: Client) -> None:
    """Tools fill envelopes by bytes, as the API root says; a network's payload has 20,000 objects at most."""
    many = 20_001
    status = client.post_raw(b'{"objects":[%b]}' % b",".join([b"{}"] * many)).json()
    assert (status["total_count"], status["failure_count"]) == (many, many)


def test_5_5_a_post_that_is_stored_in_pieces_is_one(client: Client) -> None:
    objects = [indicator(str(n)) for n in range(2 * CHUNK + 1)]
    status = client.post(*objects, objects[0] | {"name": "another"}, {})
    assert [one["id"] for one in status["successes"]] == [one["id"] for one in objects]
    assert [one["id"] for one in status["failures"]] == ["#1002", objects[0]["id"]]
    assert client.get(f"status/{status['id']}/").json() == status
    assert client.get(path_of(objects[-1])).json()["objects"] == [objects[-1]]
    assert client.delete(path_of(objects[-1])).status_code == 200


@pytest.mark.parametrize("marked", [Tlp.RED.marking_id, PAP_IDS[Pap.AMBER]])
def test_a_draft_is_handed_back_to_its_poster_and_to_others_as_its_label_says(
    door: Place, client: Client, reader: Client, marked: str
) -> None:
    open_, kept = indicator(), indicator(object_marking_refs=[marked])
    client.post(open_, kept)
    assert [client.get(path_of(one)).status_code for one in (open_, kept)] == [200, 200]
    assert [reader.get(path_of(one)).status_code for one in (open_, kept)] == [200, 404]
    writer = door.client()
    assert writer.delete(path_of(kept)).status_code == 404
    assert writer.post(kept)["success_count"] == 1  # it is there, and that is all it is told
    take(door.pe.up.store, door.pe.up.sources, "siem", who="admin")
    client.session.headers["Authorization"] = f"Bearer {door.token('siem')}"  # a new token in its place
    assert client.get(path_of(kept)).json()["objects"] == [kept]


def test_an_exercise_and_work_may_have_the_same_object(door: Place, client: Client) -> None:
    drill, one = door.client(exercise=True), indicator()
    for each in (client, drill):
        assert each.get(path_of(one)).status_code == 404
        each.post(one)
        assert each.get(path_of(one)).json()["objects"] == [one]


def test_5_5_a_body_without_a_length_is_taken_too(client: Client) -> None:
    one = indicator()

    def pieces() -> Iterator[bytes]:
        yield b'{"objects":['
        yield orjson.dumps(one)
        yield b"]}"

    headers = {"Content-Type": TAXII}
    answer = client.session.post(f"{client.root}{DRAFTS}objects/", data=pieces(), headers=headers, timeout=10)
    assert answer.json()["success_count"] == 1
    assert client.get(path_of(one)).json()["objects"] == [one]


def test_5_5_who_may_not_write_gets_403(door: Place, client: Client, reader: Client) -> None:
    data = orjson.dumps({"objects": [indicator()]})
    assert reader.post_raw(data).status_code == 403
    assert client.post_raw(data, collection="received").status_code == 403
    assert client.post_raw(data, collection="nowhere").status_code == 404
    assert door.client(scopes=frozenset({Scope.TAXII_WRITE})).post_raw(data).status_code == 202


# -- §5.7 ------------------------------------------------------------------------------------------------------------


def test_5_7_what_is_deleted_is_gone_everywhere(client: Client) -> None:
    one, other = indicator(), indicator()
    newer = one | {"modified": "2026-09-09T00:00:00.000Z"}
    client.post(one, newer, other)
    answer = client.delete(path_of(one))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == TAXII
    assert client.get(path_of(one)).status_code == 404
    assert client.get(f"{path_of(one)}versions/").status_code == 404
    for endpoint in ("objects/", "manifest/"):
        assert client.get(DRAFTS + endpoint, match_id=one["id"]).json() == {}
    assert client.get(path_of(other)).json()["objects"] == [other]
    again = client.delete(path_of(one))
    assert again.status_code == 404
    assert_error(again)


def test_5_7_one_version_is_deleted_by_itself(client: Client) -> None:
    one = indicator()
    newer = one | {"modified": "2026-09-09T00:00:00.000Z"}
    client.post(one, newer)
    assert client.delete(path_of(one), match_version=newer["modified"]).status_code == 200
    assert client.get(path_of(one), match_version=newer["modified"]).status_code == 404
    assert client.get(path_of(one)).json()["objects"] == [one]
    assert client.delete(path_of(one), match_version="last").status_code == 200
    assert client.get(path_of(one)).status_code == 404


@pytest.mark.parametrize(
    ("scopes", "collection", "expected"),
    [
        (frozenset({Scope.TAXII_WRITE}), "received", 404),  # neither
        (READS, "drafts", 403),
        (READS, "received", 403),
        (frozenset({Scope.TAXII_WRITE}), "drafts", 403),
    ],
)
def test_5_7_who_may_not_delete_is_told_as_the_table_says(
    door: Place, client: Client, scopes: frozenset[Scope], collection: str, expected: int
) -> None:
    one = indicator()
    client.post(one)
    answer = door.client(scopes=scopes).delete(f"collections/{collection}/objects/{one['id']}/")
    assert answer.status_code == expected
    assert_error(answer)


def test_5_7_a_malformed_version_deletes_nothing(client: Client) -> None:
    one = indicator()
    client.post(one)
    assert client.delete(path_of(one), match_version="newest").status_code == 400
    assert client.get(path_of(one)).json()["objects"] == [one]


# -- many at once ------------------------------------------------------------------------------------------------------


def at_once(*jobs: Callable[[], object]) -> None:
    """Run them in threads; what fails in one fails here."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def test_eight_clients_post_one_object(door: Place, client: Client) -> None:
    one, clients = indicator(), [door.client(f"eighth-{n}") for n in range(8)]
    statuses: list[dict[str, Any]] = []
    at_once(*(lambda each=each: statuses.append(each.post(one)) for each in clients))
    assert [status["success_count"] for status in statuses] == [1] * 8
    assert (
        len(client.get(f"{DRAFTS}manifest/", match_id=one["id"], match_version="all").json()["objects"]) == 1
    )


def test_a_reader_misses_nothing_of_what_many_write_meanwhile(door: Place) -> None:
    """Each page's position is before all that is added later: date_added is given in the order of commits."""
    writers, seen = [door.client(f"writer-{n}") for n in range(4)], list[str]()
    reading = door.client("reading")
    *_, newest = reading.pages(f"{DRAFTS}objects/", limit=1000)
    start = newest.headers["X-TAXII-Date-Added-Last"]
    sent = [[indicator() for _ in range(12)] for _ in writers]
    done = threading.Event()

    def write(each: Client, objects: list[dict[str, Any]]) -> None:
        for place in range(0, len(objects), 3):
            each.post(*objects[place : place + 3])

    def read() -> None:
        after, last = start, False
        while True:
            answer = reading.get(f"{DRAFTS}objects/", added_after=after, limit=5)
            seen.extend(one["id"] for one in answer.json().get("objects", []))
            after = answer.headers["X-TAXII-Date-Added-Last"]
            if last and not answer.json().get("objects"):
                return
            last = done.is_set()

    def write_all() -> None:
        at_once(*(lambda n=n: write(writers[n], sent[n]) for n in range(len(writers))))
        done.set()

    at_once(read, write_all)
    assert len(seen) == len(set(seen))
    assert set(seen) == {one["id"] for objects in sent for one in objects}


def test_deletions_between_pages_neither_repeat_nor_hide_the_rest(client: Client) -> None:
    objects = [indicator() for _ in range(9)]
    wanted = ",".join(one["id"] for one in objects)
    client.post(*objects)
    first = client.get(f"{DRAFTS}objects/", match_id=wanted, limit=3).json()
    for one in (objects[1], objects[2], objects[3], objects[5]):
        client.delete(path_of(one))
    rest = client.get(f"{DRAFTS}objects/", match_id=wanted, next=first["next"]).json()
    assert rest["objects"] == [objects[4], objects[6], objects[7]]
    last = client.get(f"{DRAFTS}objects/", match_id=wanted, next=rest["next"]).json()
    assert last == {"objects": [objects[8]]}
    client.delete(path_of(objects[8]))
    assert client.get(f"{DRAFTS}objects/", match_id=wanted, next=rest["next"]).json() == {}
