"""What TAXII 2.1 demands of a server (OASIS Standard, 10 June 2021), each in our words with the checks that hold it.

And the checks that stand in no other file: lists that must not be empty, pages of one object's versions, deletions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.doors import TAXII, Client, Place
from tests.taxii.conftest import indicator
from tests.taxii.test_taxii_core import ENDPOINTS, assert_error

HERE: Final = Path(__file__).parent
DRAFTS: Final = "collections/drafts/"
MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

MUSTS: Final = {
    # 1.6, 8: HTTP, TLS, authentication
    "1.6.9 whoever isn't let in gets 401 with a challenge": "without_a_right_of_entry_all_is_401",
    "8.5.2 Basic works, with TLS underneath (door tests: 1.2 or newer)": "basic_with_a_password tls_is_by_the_nodes",
    "8.5 rights can differ for API roots, collections, objects": "what_can_be_read_and_written_is_said sees_no_others",
    # 2: data types
    "2 identifiers are random UUIDs": "each_collection_has_what_the_standard a_post_is_answered_with_a_status",
    "2 timestamps have six decimals and Z": "every_moment_has_microseconds every_moment_of_a_status",
    "2 a list is never empty": "no_answer_has_an_empty_list",
    "2 JSON is UTF-8": "what_is_not_ascii_is_utf_8",
    # 3.1: headers
    "3.1 the answer says its media type and version": "a_media_range_that_covers_ours",
    "3.1 a client that accepts nothing we have gets 406": "other_media_ranges_are_406",
    "3.1 without a version the newest is meant": "no_accept_header_gets_the_newest",
    "3.1 a body of another media type is 415": "another_content_type_is_415 our_content_types_are_never_415",
    "3.1 every endpoint's path ends in a slash": "the_slash_at_the_end_may_lack",
    "3.2 objects, manifests, an object, its versions: moments of first and last": "the_headers_are_the_moments"
    " an_object_and_its_versions_have_the_headers an_empty_page_has_them",
    "3.3 ascending by the moment of adding": "come_in_the_order_they_were_added",
    # 3.4: filters
    "3.4 added_after is one moment, and leaves it out": "added_after_leaves_out a_malformed_parameter_is_400",
    "3.4 limit is above zero; no more than that come": "no_more_objects_than_the_limit a_malformed_parameter",
    "3.4 a field of match at most once, what is unknown ignored": "a_malformed_parameter unknown_parameters_and",
    "3.4 fields are joined by AND, values by OR": "filters_are_joined_by_and 3_4_1_id 3_4_1_type",
    "3.4.1 version: last unless said; first, all, moments": "3_4_1_version",
    "3.4.1 spec_version: the latest of each object unless said": "of_two_specifications_the_latest",
    "3.4.1 versions of what has none are the server's own": "objects_without_a_version_are_served",
    # 3.5, 3.7: pages
    "3.5 more says whether the client must go on": "no_more_objects_than_the_limit the_last_page_has_neither",
    "3.5 next leads on with the same query": "pages_are_the_whole next_is_bound_to_its_query"
    " versions_of_one_object_come_in_pages",
    "3.5 without next the last moment leads on": "without_next_the_last_moment",
    "3.7 an envelope without objects has no such property": "no_answer_has_an_empty_list an_empty_page_has_them",
    # 3.6: errors
    "3.6 every error has an error message with a title": "what_is_not_there_is_404 is_405_with_an_error"
    " a_request_line_that_is_too_long an_unreadable_path",
    "3.6.1 http_status is text": "what_is_not_there_is_404",
    # 4
    "4.1 discovery is at /taxii2/": "discovery_is_at_the_root",
    "4.1.1 the default is one of the API roots; none is plain HTTP": "the_default_is_one_of_the_api_roots",
    "4.2.1 title, versions, max_content_length": "the_api_root_says_its_version",
    "4.2.1 a body up to that length is taken": "a_body_over_the_limit_is_413 as_many_objects_as_its_bytes_hold",
    "4.3 a status can be asked for, for a day at least": "a_status_that_can_be_asked_for a_status_is_there_for_a_week",
    "4.3 a status that isn't there is 404": "a_status_that_is_not_there",
    "4.3.1 counts add up, details have id and version": "objects_fail_one_by_one every_moment_of_a_status",
    # 5
    "5.1 the same order each time": "collections_come_in_the_same_order",
    "5.2 by id and by alias; an alias is unique": "found_by_its_id_and_its_alias each_collection_has_what",
    "5.2.1 id, title, can_read, can_write": "each_collection_has_what_the_standard what_can_be_read",
    "5.3 what can't be read gives no manifest, objects, versions": "what_cant_be_read_is_403_or_404",
    "5.3.1 id, date_added, version, media_type, one record a version": "a_manifest_has_media_types"
    " a_manifest_is_filtered 3_4_1_version every_record_of_a_manifest",
    "5.4 objects as they are": "objects_come_back_as_they_went_in",
    "5.5 202 with a status; 403, 404, 413, 415, 422": "who_may_not_write_gets_403 a_body_that_is_no_envelope"
    " a_body_over_the_limit another_content_type a_post_is_answered",
    "5.5 the same object again is no error": "an_exact_duplicate_is_no_error",
    "5.6 an object, filtered by version; 404": "3_4_1_version an_object_that_is_not_there",
    "5.7 one version or all are deleted; a table of who may": "one_version_is_deleted what_is_deleted_is_gone"
    " who_may_not_delete_is_told a_specification_is_deleted",
    "5.8 versions by the moment of adding": "versions_are_listed_as_they_were_added",
}


def test_every_demand_has_its_checks() -> None:
    files = [*HERE.glob("test_taxii_*.py"), HERE.parent / "node" / "test_door.py"]
    names = [name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())]
    missing = {
        part for parts in MUSTS.values() for part in parts.split() if not any(part in n for n in names)
    }
    assert missing == set()


# -- checks that stand in no other file --------------------------------------------------------------------------------


def lists_in(value: object) -> Iterator[list[Any]]:
    """Every list of our own making: what is within objects is their authors'."""
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, list):
                yield member
            if name != "objects":
                yield from lists_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from lists_in(member)


def test_2_no_answer_has_an_empty_list(client: Client) -> None:
    one = indicator()
    answers = [client.post(one), client.post(17), client.post(one, 17)]
    answers += [client.get(path).json() for path in ENDPOINTS]
    nothing = f"{DRAFTS}objects/{one['id']}/"
    answers += [
        client.get(path, match_spec_version="2.0").json()
        for path in (f"{DRAFTS}objects/", f"{DRAFTS}manifest/", nothing, f"{nothing}versions/")
    ]
    assert all(found for answer in answers for found in lists_in(answer))


def test_2_what_is_not_ascii_is_utf_8(client: Client) -> None:
    one = indicator("Señal — 信号 🚨")
    client.post(one)
    answer = client.get(f"{DRAFTS}objects/{one['id']}/")
    assert "Señal — 信号 🚨".encode() in answer.content
    assert client.get(DRAFTS).json()["title"].encode() in client.get(DRAFTS).content


def test_4_3_1_every_moment_of_a_status_has_microseconds_and_its_counts_add_up(client: Client) -> None:
    address = {"type": "ipv4-addr", "spec_version": "2.1", "value": "203.0.113.9"}
    address["id"] = "ipv4-addr--6f0a1c8a-6a3a-4a55-8c4a-0f6d2a0b9d11"
    status = client.post(indicator(), address, {"type": "indicator"})
    assert MOMENT.fullmatch(status["request_timestamp"])
    assert status["total_count"] == 3
    counts = [status[f"{each}_count"] for each in ("success", "failure", "pending")]
    assert counts == [len(status["successes"]), len(status["failures"]), 0] == [2, 1, 0]
    assert MOMENT.fullmatch(status["successes"][1]["version"])  # the server's own


def test_5_3_1_every_record_of_a_manifest_says_all_that_it_must(client: Client) -> None:
    one = indicator()
    client.post(one)
    answer = client.get(f"{DRAFTS}manifest/", match_id=one["id"])
    [record] = answer.json()["objects"]
    assert record == {
        "id": one["id"],
        "date_added": answer.headers["X-TAXII-Date-Added-Last"],
        "version": one["modified"],
        "media_type": "application/stix+json;version=2.1",
    }


@pytest.fixture(scope="module")
def versions(client: Client) -> list[dict[str, Any]]:
    """Five versions of one object."""
    first = indicator()
    made = [first | {"modified": f"2026-09-0{day}T00:00:00.000Z", "name": str(day)} for day in range(1, 6)]
    client.post(*made)
    return made


@pytest.mark.parametrize(("path", "name"), [("", "objects"), ("versions/", "versions")])
def test_3_5_versions_of_one_object_come_in_pages(
    client: Client, versions: list[dict[str, Any]], path: str, name: str
) -> None:
    where, filters = f"{DRAFTS}objects/{versions[0]['id']}/{path}", {} if path else {"match_version": "all"}
    expected = [one["modified"] for one in versions] if path else versions
    assert client.get(where, **filters).json() == {name: expected}
    for limit in (1, 2, 5):
        pages = [page.json() for page in client.pages(where, limit=limit, **filters)]
        assert [one for page in pages for one in page[name]] == expected
        assert all(page[name] for page in pages)
    first = client.get(where, limit=2, **filters)
    after = {"added_after": first.headers["X-TAXII-Date-Added-Last"]}
    assert client.get(where, **after, **filters).json() == {name: expected[2:]}
    again = client.get(where, next=first.json()["next"], **after, **filters).json()
    assert again[name] == expected[2:4]  # the limit of before
    assert client.get(where, next="", limit=2, **filters).json() == first.json()


def test_3_5_the_last_page_has_neither_more_nor_next(client: Client, versions: list[dict[str, Any]]) -> None:
    for path, filters in (
        (f"{DRAFTS}objects/", {"match_id": versions[0]["id"], "match_version": "all"}),
        (f"{DRAFTS}manifest/", {"match_id": versions[0]["id"], "match_version": "all"}),
        (f"{DRAFTS}objects/{versions[0]['id']}/versions/", {}),
    ):
        *before, last = [page.json() for page in client.pages(path, limit=2, **filters)]
        assert [page["more"] for page in before] == [True, True]
        assert all(page["next"] for page in before)
        assert last.keys() & {"more", "next"} == set()


def test_5_7_first_last_and_moments_are_deleted_and_the_rest_stays(client: Client) -> None:
    first = indicator()
    made = [first | {"modified": f"2026-09-0{day}T00:00:00.000Z"} for day in range(1, 6)]
    client.post(*made)
    path = f"{DRAFTS}objects/{first['id']}/"
    assert client.delete(path, match_version=f"first,{made[2]['modified']}").status_code == 200
    assert client.get(path, match_version="all").json()["objects"] == [made[1], made[3], made[4]]
    assert client.delete(path, match_version="2020-01-01T00:00:00.000Z").status_code == 404
    assert client.delete(path, match_version="all").status_code == 200
    assert client.get(path).status_code == 404


def test_5_7_a_specification_is_deleted_by_itself(client: Client) -> None:
    new = indicator()
    old = {name: value for name, value in new.items() if name not in ("spec_version", "pattern_type")}
    old |= {"labels": ["malicious-activity"]}
    client.post(old, new)
    path = f"{DRAFTS}objects/{new['id']}/"
    assert client.delete(path, match_spec_version="2.1").status_code == 200
    assert client.get(path).json()["objects"] == [old]


def test_3_6_whatever_is_refused_says_so_in_an_error_message(door: Place, client: Client) -> None:
    """Each way of being refused that the other files don't look at the message of."""
    one = indicator()
    objects = f"{client.root}{DRAFTS}objects/"
    asked = client.session.request
    refused = {
        "delete without rights": door.client(scopes=frozenset()).delete(f"{DRAFTS}objects/{one['id']}/"),
        "no such object": client.delete(f"{DRAFTS}objects/{one['id']}/"),
        "bad version to delete": client.delete(f"{DRAFTS}objects/{one['id']}/", match_version="all,last"),
        "post to nowhere": client.post_raw(b"{}", collection="nowhere"),
        "post, not acceptable": asked(
            "POST", objects, data=b"{}", headers={"Content-Type": TAXII, "Accept": "text/html"}, timeout=10
        ),
        "post, encoded": asked(
            "POST",
            objects,
            data=b"{}",
            headers={"Content-Type": TAXII, "Content-Encoding": "gzip"},
            timeout=10,
        ),
        "id too long": client.get(f"{DRAFTS}objects/x--{'a' * 400}/"),
    }
    statuses = {name: answer.status_code for name, answer in refused.items()}
    assert list(statuses.values()) == [403, 404, 400, 404, 406, 415, 404]
    for answer in refused.values():
        assert_error(answer)
        assert int(answer.headers["Content-Length"]) == len(answer.content)
