"""TAXII 2.1 §3.2 to §3.5, §5.3, §5.4, §5.6 and §5.8: order, filters, pages, manifests, versions."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from tests.doors import Client, Place
from tests.taxii.conftest import indicator
from tests.taxii.test_taxii_core import assert_error

FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
OBJECTS, MANIFEST = "collections/received/objects/", "collections/received/manifest/"
MANY = 23


@pytest.fixture(scope="module")
def many(door: Place) -> list[dict[str, Any]]:
    """Indicators that came in one message, whose moments would all be one."""
    sent = [indicator(f"number {n}") for n in range(MANY)]
    door.mail(*sent)
    return sent


def ids(objects: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in objects]


def added(client: Client, path: str = MANIFEST, **parameters: Any) -> list[tuple[str, str]]:
    """Id and date_added of every manifest record."""
    pages = client.pages(path, **parameters)
    return [(one["id"], one["date_added"]) for page in pages for one in page.json().get("objects", [])]


# -- §2, §3.2, §3.3 ---------------------------------------------------------------------------------------------------


def test_3_3_objects_and_manifests_come_in_the_order_they_were_added(
    client: Client, many: list[dict[str, Any]]
) -> None:
    found = added(client)
    assert [moment for _, moment in found] == sorted({moment for _, moment in found})  # unique, too
    assert [id_ for id_, _ in found if id_ in ids(many)] == ids(many)
    assert ids(client.objects("received", limit=1000)) == [id_ for id_, _ in found]


def test_2_every_moment_has_microseconds_and_is_utc(client: Client, many: list[dict[str, Any]]) -> None:
    answer = client.get(OBJECTS)
    for text in [moment for _, moment in added(client)] + [answer.headers[FIRST], answer.headers[LAST]]:
        assert len(text) == len("2026-01-01T00:00:00.000000Z")
        assert text.endswith("Z")


@pytest.mark.parametrize("path", [OBJECTS, MANIFEST])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_3_2_the_headers_are_the_moments_of_first_and_last(
    client: Client, many: list[dict[str, Any]], path: str, limit: int
) -> None:
    moments = [moment for _, moment in added(client)][:limit]
    answer = client.get(path, limit=limit)
    assert (answer.headers[FIRST], answer.headers[LAST]) == (moments[0], moments[-1])


def test_3_2_an_object_and_its_versions_have_the_headers_too(
    client: Client, many: list[dict[str, Any]]
) -> None:
    moment = dict(added(client))[many[3]["id"]]
    for path in ("", "versions/"):
        answer = client.get(f"{OBJECTS}{many[3]['id']}/{path}")
        assert (answer.headers[FIRST], answer.headers[LAST]) == (moment, moment)


def test_3_2_an_empty_page_has_them_and_loses_nobody_his_place(
    client: Client, many: list[dict[str, Any]]
) -> None:
    after = "2030-01-01T00:00:00.000001Z"
    answer = client.get(OBJECTS, added_after=after)
    assert answer.json() == {}
    assert (answer.headers[FIRST], answer.headers[LAST]) == (after, after)
    assert (
        client.get("collections/tlp-clear/objects/", match_id="x--y").headers[LAST]
        == "1970-01-01T00:00:00.000000Z"
    )


# -- §3.4: added_after and limit ------------------------------------------------------------------------------------


def test_3_4_added_after_leaves_out_that_moment_itself(client: Client, many: list[dict[str, Any]]) -> None:
    found = added(client)
    for place in (0, 5, len(found) - 1):
        assert added(client, added_after=found[place][1]) == found[place + 1 :]


def test_3_4_added_after_takes_fewer_and_more_decimals(client: Client, many: list[dict[str, Any]]) -> None:
    assert added(client, added_after="2000-01-01T00:00:00Z") == added(client)
    assert added(client, added_after="2000-01-01T00:00:00.123456789Z") == added(client)


@pytest.mark.parametrize("limit", [1, 2, MANY, 1000, 2**64, 10**40])
def test_3_4_no_more_objects_than_the_limit(client: Client, many: list[dict[str, Any]], limit: int) -> None:
    whole = added(client)
    answer = client.get(OBJECTS, limit=limit).json()
    assert len(answer["objects"]) == min(limit, len(whole))
    assert answer.get("more", False) is (limit < len(whole))


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "1.5"},
        {"limit": "many"},
        {"limit": ""},
        {"limit": ["1", "2"]},
        {"added_after": "yesterday"},
        {"added_after": "2026-01-01"},
        {"added_after": "2026-13-01T00:00:00Z"},
        {"added_after": "2026-01-01T00:00:00+00:00"},
        {"added_after": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]},
        {"added_after": ""},
        {"next": "not one of ours"},
        {"next": "A" * 71},
        {"match_version": "all,last"},
        {"match_version": "last,last"},
        {"match_version": "newest"},
        {"match_version": ["last", "first"]},
        {"match_spec_version": "two"},
        {"match_type": ""},
        {"match_type": "indicator,"},
        {"match_x_tlp": "purple"},
        {"match_x_kind": "rumour"},
    ],
)
@pytest.mark.parametrize("path", [OBJECTS, MANIFEST])
def test_3_4_a_malformed_parameter_is_400(client: Client, path: str, parameters: dict[str, Any]) -> None:
    answer = client.get(path, **parameters)
    assert answer.status_code == 400
    assert_error(answer)


def test_3_4_unknown_parameters_and_fields_are_ignored(client: Client, many: list[dict[str, Any]]) -> None:
    assert client.objects("received", colour="blue", match_colour="blue") == client.objects("received")


# -- §3.4.1: match ---------------------------------------------------------------------------------------------------


def test_3_4_1_id(client: Client, many: list[dict[str, Any]]) -> None:
    assert client.objects("received", match_id=many[4]["id"]) == [many[4]]
    both = f"{many[9]['id']},{many[4]['id']}"
    assert client.objects("received", match_id=both) == [many[4], many[9]]
    assert client.objects("received", match_id=f"indicator--{uuid.uuid4()}") == []
    unknown = ",".join(f"indicator--{uuid.uuid4()}" for _ in range(299))
    assert client.objects("received", match_id=f"{unknown},{many[4]['id']}") == [many[4]]


def test_3_4_1_type(client: Client, many: list[dict[str, Any]]) -> None:
    found = client.objects("received", match_type="grouping,identity", limit=1000)
    assert {one["type"] for one in found} == {"grouping", "identity"}
    for known in ("threat-actor", "windows-registry-key", "language-content"):
        assert client.get(OBJECTS, match_type=known).json() == {}


def test_3_4_1_filters_are_joined_by_and(client: Client, many: list[dict[str, Any]]) -> None:
    assert client.objects("received", match_id=many[0]["id"], match_type="malware") == []


def test_5_3_a_manifest_is_filtered_by_the_objects_it_tells_of(
    client: Client, many: list[dict[str, Any]]
) -> None:
    for filters in ({"match_type": "indicator"}, {"match_id": many[2]["id"]}, {"match_spec_version": "2.0"}):
        told = [
            one["id"] for page in client.pages(MANIFEST, **filters) for one in page.json().get("objects", [])
        ]
        assert told == ids(client.objects("received", limit=1000, **filters))


def test_5_3_1_a_manifest_has_media_types_of_its_collection(
    client: Client, many: list[dict[str, Any]]
) -> None:
    types = client.get("collections/received/").json()["media_types"]
    assert all(one["media_type"] in types for one in client.get(MANIFEST).json()["objects"])


@pytest.fixture(scope="module")
def versions(door: Place) -> list[dict[str, Any]]:
    """Three versions of one indicator, the middle one first."""
    id_ = f"indicator--{uuid.uuid4()}"
    made = [
        indicator(name, id=id_, modified=f"2026-09-0{day}T00:00:00.000Z")
        for name, day in (("a", 1), ("b", 2), ("c", 3))
    ]
    for one in (made[1], made[0], made[2]):
        door.mail(one)
    return made


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, "c"),
        ("last", "c"),
        ("first", "a"),
        ("last,first", "ac"),
        ("all", "bac"),
        ("2026-09-02T00:00:00.000Z", "b"),
        ("2026-09-02T00:00:00Z,last", "bc"),
        ("2020-01-01T00:00:00.000Z", ""),
    ],
)
def test_3_4_1_version(
    client: Client, versions: list[dict[str, Any]], asked: str | None, expected: str
) -> None:
    filters = {"match_id": versions[0]["id"]} | ({} if asked is None else {"match_version": asked})
    assert "".join(one["name"] for one in client.objects("received", **filters)) == expected
    path = f"{OBJECTS}{versions[0]['id']}/"
    answer = client.get(path, **({} if asked is None else {"match_version": asked}))
    assert "".join(one["name"] for one in answer.json().get("objects", [])) == expected
    records = client.get(MANIFEST, **filters).json().get("objects", [])
    by_time = {one["modified"]: one["name"] for one in versions}
    assert "".join(by_time[one["version"]] for one in records) == expected


def test_5_8_versions_are_listed_as_they_were_added(client: Client, versions: list[dict[str, Any]]) -> None:
    path = f"{OBJECTS}{versions[0]['id']}/versions/"
    expected = [versions[n]["modified"] for n in (1, 0, 2)]
    assert client.get(path).json() == {"versions": expected}
    assert [one for page in client.pages(path, limit=1) for one in page.json()["versions"]] == expected
    second = client.get(path, limit=1).headers[LAST]
    assert client.get(path, added_after=second).json() == {"versions": expected[1:]}
    assert client.get(path, match_spec_version="2.0").json() == {}


@pytest.mark.parametrize("path", ["", "versions/"])
def test_5_6_and_5_8_an_object_that_is_not_there_is_404(client: Client, path: str) -> None:
    answer = client.get(f"{OBJECTS}indicator--{uuid.uuid4()}/{path}")
    assert answer.status_code == 404
    assert_error(answer)


def test_5_6_an_object_that_a_filter_leaves_out_is_an_empty_envelope(
    client: Client, many: list[dict[str, Any]]
) -> None:
    answer = client.get(f"{OBJECTS}{many[0]['id']}/", match_spec_version="2.0")
    assert (answer.status_code, answer.json()) == (200, {})


def test_3_4_1_of_two_specifications_the_latest_is_given_unless_both_are_asked_for(
    door: Place, client: Client
) -> None:
    id_ = f"indicator--{uuid.uuid4()}"
    new = indicator("2.1", id=id_)
    old = {name: value for name, value in new.items() if name not in ("spec_version", "pattern_type")}
    old |= {"name": "2.0", "labels": ["malicious-activity"]}
    door.mail(old, new)

    def names(**filters: str) -> list[str]:
        return [one["name"] for one in client.objects("received", match_id=id_, **filters)]

    assert names() == ["2.1"]
    assert names(match_spec_version="2.0") == ["2.0"]
    assert names(match_spec_version="2.0,2.1") == ["2.0", "2.1"]
    assert names(match_spec_version="3.0") == []
    records = client.get(MANIFEST, match_id=id_, match_spec_version="2.0").json()["objects"]
    assert [one["media_type"] for one in records] == ["application/stix+json;version=2.0"]


def test_objects_without_a_version_are_served_once_for_the_same_bytes(door: Place, client: Client) -> None:
    address = {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": f"ipv4-addr--{uuid.uuid4()}",
        "value": "203.0.113.9",
    }
    door.mail(address)
    before = [one for one in added(client) if one[0] == address["id"]]
    door.mail(address)
    assert [one for one in added(client) if one[0] == address["id"]] == before
    door.mail(address | {"resolves_to_refs": [f"mac-addr--{uuid.uuid4()}"]})
    assert len(client.objects("received", match_id=address["id"])) == 1
    assert len(client.objects("received", match_id=address["id"], match_version="all")) == 2
    spoken = [one["version"] for one in client.get(MANIFEST, match_id=address["id"]).json()["objects"]]
    assert client.get(f"{OBJECTS}{address['id']}/", match_version=spoken[0]).status_code == 200


# -- §3.5: pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 5, 1000])
@pytest.mark.parametrize("path", [OBJECTS, MANIFEST])
def test_3_5_pages_are_the_whole_without_gap_or_repeat(
    client: Client, many: list[dict[str, Any]], path: str, limit: int
) -> None:
    whole = client.get(path, limit=1000).json()["objects"]
    assert [
        one for page in client.pages(path, limit=limit) for one in page.json().get("objects", [])
    ] == whole


def test_3_5_the_same_next_gives_the_same_page_again(client: Client, many: list[dict[str, Any]]) -> None:
    next_ = client.get(OBJECTS, limit=4).json()["next"]
    assert client.get(OBJECTS, limit=4, next=next_).json() == client.get(OBJECTS, limit=4, next=next_).json()


def test_3_5_an_empty_next_is_none_and_a_missing_limit_is_that_of_before(
    client: Client, many: list[dict[str, Any]]
) -> None:
    first = client.get(OBJECTS, limit=4).json()
    assert client.get(OBJECTS, limit=4, next="").json() == first
    assert len(client.get(OBJECTS, next=first["next"]).json()["objects"]) == 4


def test_3_5_added_after_beside_next_is_no_step_back(client: Client, many: list[dict[str, Any]]) -> None:
    """As OpenCTI polls: added_after of its last time with every page."""
    start = added(client)[2][1]
    expected = added(client)[3:]
    assert added(client, added_after=start, limit=3) == expected


def test_3_5_next_is_bound_to_its_query_and_can_not_be_made(
    client: Client, many: list[dict[str, Any]]
) -> None:
    next_ = client.get(OBJECTS, limit=4).json()["next"]
    assert client.get(MANIFEST, limit=4, next=next_).status_code == 400
    assert client.get("collections/alert/objects/", limit=4, next=next_).status_code == 400
    assert client.get(OBJECTS, limit=4, next=next_, match_type="indicator").status_code == 400
    for place in range(0, len(next_), 7):
        other = next_[:place] + ("A" if next_[place] != "A" else "B") + next_[place + 1 :]
        assert client.get(OBJECTS, limit=4, next=other).status_code == 400


def test_3_5_next_gives_no_rights(door: Place, client: Client, many: list[dict[str, Any]]) -> None:
    next_ = client.get(OBJECTS, limit=4).json()["next"]
    other = door.client("other", collections=frozenset({"drafts"}))
    assert other.get(OBJECTS, next=next_).status_code == 404


def test_3_5_without_next_the_last_moment_leads_on(client: Client, many: list[dict[str, Any]]) -> None:
    found, after = [], "1970-01-01T00:00:00.000000Z"
    while True:
        answer = client.get(OBJECTS, limit=5, added_after=after)
        found += ids(answer.json().get("objects", []))
        after = answer.headers[LAST]
        if not answer.json().get("more"):
            break
    assert found == [id_ for id_, _ in added(client)]


def test_3_5_a_page_ends_before_its_bytes_are_too_many(door: Place, client: Client) -> None:
    large = [indicator("large", description="x" * 1_900_000) for _ in range(4)]
    door.mail(*large)
    after = dict(added(client))[large[0]["id"]]
    first = client.get(OBJECTS, match_id=",".join(ids(large))).json()
    assert first["more"] is True
    assert len(first["objects"]) == 2
    pages = client.pages(OBJECTS, match_id=",".join(ids(large)))
    assert [one for page in pages for one in page.json()["objects"]] == large
    assert len(added(client, match_id=",".join(ids(large)))) == 4
    assert after


# -- our own ---------------------------------------------------------------------------------------------------------


def test_objects_come_back_as_they_went_in(door: Place, client: Client) -> None:
    raw = (
        b'{ "type":"indicator","spec_version":"2.1","id":"indicator--%b",  "created":"2026-09-01T00:00:00.000Z",'
        b'"modified":"2026-09-01T00:00:00.000000Z","pattern":"[ipv4-addr:value = \'203.0.113.57\']",'
        b'"pattern_type":"stix","valid_from":"2026-09-01T00:00:00Z","confidence":1e1,"x_foo":"\\u00e9\\/" }'
    ) % str(uuid.uuid4()).encode()
    door.mail_raw(raw)
    answer = client.get(OBJECTS, match_id=orjson.loads(raw)["id"])
    assert answer.content == b'{"objects":[%b]}' % raw
