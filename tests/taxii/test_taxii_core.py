"""TAXII 2.1 (OASIS Standard, 10 June 2021) §1.6, §3.1, §3.6, §4, §5.1, §5.2 and §8.2: what holds for every endpoint."""

from __future__ import annotations

import base64
import socket
import uuid

import pytest
import requests

from exchange.access import Scope
from tests.doors import READS, TAXII, WRITES, Client, Place
from tests.taxii.conftest import indicator

ENDPOINTS = (
    "",
    "collections/",
    "collections/received/",
    "collections/received/manifest/",
    "collections/received/objects/",
)
NOWHERE = (
    "nowhere/",
    "collections/nowhere/",
    "collections/nowhere/objects/",
    "collections/00000000-0000-4000-8000-000000000000/manifest/",
)


@pytest.fixture(scope="module", autouse=True)
def something(door: Place) -> str:
    """The collections aren't empty."""
    one = indicator()
    door.mail(one)
    return str(one["id"])


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=10)


# -- §1.6.8, §3.1: media types --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept",
    [
        TAXII,
        "application/taxii+json",
        "application/taxii+json; version=2.1",
        'application/taxii+json ; version="2.1"',
        "APPLICATION/TAXII+JSON;version=2.1",
        "application/taxii+json;version=2.1,application/stix+json;version=2.1",
        "text/html;q=0.9, application/taxii+json;version=2.1;q=0.5",
        "application/json, text/plain, */*",
        "application/json",
        "application/*;q=0.1",
        "*/*",
        "",
    ],
)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_3_1_a_media_range_that_covers_ours_is_never_406(client: Client, path: str, accept: str) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == TAXII


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/taxii+json;version=2.0",
        "application/vnd.oasis.taxii+json;version=2.0",
        "application/taxii+json;q=0",
        "application/taxii+json;version=2.1;q=0, */*",
    ],
)
def test_3_1_other_media_ranges_are_406_with_an_error_message(client: Client, accept: str) -> None:
    answer = client.get("collections/", headers={"Accept": accept})
    assert answer.status_code == 406
    assert_error(answer)


def test_3_1_no_accept_header_gets_the_newest_version(client: Client, door: Place) -> None:
    session = requests.Session()
    request = requests.Request(
        "GET", client.root, headers={"Authorization": client.session.headers["Authorization"]}
    )
    prepared = session.prepare_request(request)
    del prepared.headers["Accept"]
    assert session.send(prepared, timeout=10).headers["Content-Type"] == TAXII


@pytest.mark.parametrize("path", ENDPOINTS)
def test_3_1_the_slash_at_the_end_may_lack(client: Client, path: str) -> None:
    answer = client.session.get((client.root + path).rstrip("/"), timeout=10)
    assert answer.json() == client.get(path).json()


# -- §3.6: errors ---------------------------------------------------------------------------------------------------


def assert_error(answer: requests.Response) -> None:
    """§3.6.1: an error message of the right type, whose status is that of the answer."""
    assert answer.headers["Content-Type"] == TAXII
    error = answer.json()
    assert isinstance(error["title"], str)
    assert error["title"]
    assert error["http_status"] == str(answer.status_code)


@pytest.mark.parametrize("path", NOWHERE)
def test_3_6_what_is_not_there_is_404_with_an_error_message(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert_error(answer)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE"])
def test_3_6_a_method_that_an_endpoint_lacks_is_405_with_an_error_message(
    client: Client, method: str
) -> None:
    answer = client.session.request(method, client.root + "collections/", timeout=10)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert_error(answer)


def test_3_6_the_methods_of_each_endpoint_are_told(client: Client) -> None:
    told = {
        path: client.session.put(f"{client.root}collections/drafts/{path}", timeout=10).headers["Allow"]
        for path in ("", "objects/", "objects/a--1/", "objects/a--1/versions/")
    }
    assert list(told.values()) == ["GET, HEAD", "GET, HEAD, POST", "DELETE, GET, HEAD", "GET, HEAD"]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_1_6_head_is_get_without_its_body(client: Client, path: str) -> None:
    whole, head = client.get(path), client.session.head(client.root + path, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == whole.headers[name]
    assert client.session.head(client.root + "nowhere/", timeout=10).status_code == 404


def test_3_6_a_request_line_that_is_too_long_is_told_so_and_the_connection_ends(client: Client) -> None:
    answer = client.get("collections/received/objects/", match_id="x" * 20_000)
    assert answer.status_code == 431
    assert answer.headers["Connection"] == "close"
    assert_error(answer)


def test_3_6_what_is_no_http_is_told_so_without_a_word_of_what_was_sent(door: Place) -> None:
    host, port = door.url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        link.sendall(b"CANARY /taxii2/ NOTHING\r\n\r\n")
        answer = b"".join(iter(lambda: link.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"CANARY" not in answer
    assert b"aiohttp" not in answer


def test_3_6_an_unreadable_path_is_an_error_message(client: Client) -> None:
    answer = client.get("collections/received/objects/%ff%00/")
    assert answer.status_code in (400, 404)
    assert_error(answer)


# -- §1.6.9, §5: authentication --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", *ENDPOINTS, *NOWHERE])
@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Bearer wrong",
        "Bearer exn_" + "A" * 43,
        "Basic !!!",
        "Basic " + base64.b64encode(b"siem").decode(),
        "Digest x",
    ],
)
def test_1_6_9_without_a_right_of_entry_all_is_401_with_a_challenge(
    door: Place, client: Client, path: str, credentials: str
) -> None:
    headers = {"Accept": TAXII} | ({"Authorization": credentials} if credentials else {})
    answer = get(client.root + path, **headers)
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert_error(answer)


def test_1_6_9_discovery_needs_a_right_of_entry_too(door: Place) -> None:
    assert get(door.url + "taxii2/", Accept=TAXII).status_code == 401


def test_1_6_9_basic_with_a_password(door: Place) -> None:
    door.token("reader-by-password", scopes=READS, password="correct horse battery")
    url = door.url + "taxii2/node/collections/"
    good = requests.get(url, auth=("reader-by-password", "correct horse battery"), timeout=10)
    assert good.status_code == 200
    assert (
        requests.get(url, auth=("reader-by-password", "correct horse batterz"), timeout=10).status_code == 401
    )
    assert requests.get(url, auth=("nobody", "correct horse battery"), timeout=10).status_code == 401


def test_1_6_9_a_token_works_as_bearer_token_and_password(door: Place) -> None:
    token = door.token("three-ways", scopes=READS)
    url = door.url + "taxii2/node/"
    for scheme in ("Bearer", "bearer", "Token"):
        assert get(url, Authorization=f"{scheme} {token}").status_code == 200
    assert requests.get(url, auth=("anything", token), timeout=10).status_code == 200


def test_1_6_9_a_right_that_is_revoked_ends_at_once(door: Place) -> None:
    from exchange.node.doors.doorkeeper import take

    client = door.client("brief", scopes=READS)
    assert client.get().status_code == 200
    take(door.pe.up.store, door.pe.up.sources, "brief", who="admin")
    assert client.get().status_code == 401


def test_1_6_9_a_right_that_is_over_ends(door: Place) -> None:
    client = door.client("until", scopes=READS, until=door.sim.world.now + 1)
    assert client.get().status_code == 200
    door.sim.world.now += 1
    assert client.get().status_code == 401


def test_1_6_9_a_right_for_something_else_is_403(door: Place) -> None:
    answer = door.client("numbers", scopes=frozenset({Scope.METRICS})).get("collections/")
    assert answer.status_code == 403
    assert_error(answer)


# -- §4: discovery and API root --------------------------------------------------------------------------------------


def test_8_2_1_discovery_is_at_the_root_of_the_server(door: Place, client: Client) -> None:
    for path in ("taxii2/", "taxii2"):
        assert client.session.get(door.url + path, timeout=10).json()["title"]


def test_4_1_1_the_default_is_one_of_the_api_roots_and_each_is_relative_or_https(
    door: Place, client: Client
) -> None:
    found = client.session.get(door.url + "taxii2/", timeout=10).json()
    assert found["default"] in found["api_roots"]
    for root in found["api_roots"]:
        assert root.startswith("https://") or (root.startswith("/") and not root.startswith("//"))
        assert "?" not in root
        assert client.session.get(door.url + root.removeprefix("/"), timeout=10).status_code == 200


def test_4_2_1_the_api_root_says_its_version_and_how_long_a_body_may_be(client: Client) -> None:
    root = client.get().json()
    assert root["title"]
    assert TAXII in root["versions"]
    assert root["max_content_length"] > 0


def test_4_3_a_status_that_is_not_there_is_404(client: Client) -> None:
    answer = client.get(f"status/{uuid.uuid4()}/")
    assert answer.status_code == 404
    assert_error(answer)


# -- §5.1, §5.2: collections -----------------------------------------------------------------------------------------


def test_5_1_collections_come_in_the_same_order_each_time(client: Client) -> None:
    assert client.get("collections/").json() == client.get("collections/").json()


def test_5_2_1_each_collection_has_what_the_standard_requires(client: Client) -> None:
    found = client.get("collections/").json()["collections"]
    for one in found:
        assert uuid.UUID(one["id"]).version == 4
        assert one["title"]
        assert type(one["can_read"]) is bool
        assert type(one["can_write"]) is bool
        assert "application/stix+json;version=2.1" in one["media_types"]
    for name in ("id", "alias"):
        assert len({one[name] for one in found}) == len(found)


def test_5_2_a_collection_is_found_by_its_id_and_its_alias(client: Client) -> None:
    for one in client.get("collections/").json()["collections"]:
        assert client.get(f"collections/{one['id']}/").json() == one
        assert client.get(f"collections/{one['alias']}/").json() == one


def test_5_2_a_right_for_some_collections_sees_no_others(door: Place) -> None:
    client = door.client("narrow", scopes=READS, collections=frozenset({"tlp-green"}))
    assert [one["alias"] for one in client.get("collections/").json()["collections"]] == ["tlp-green"]
    assert client.get("collections/tlp-green/objects/").status_code == 200
    for path in ("", "objects/", "manifest/"):
        assert client.get(f"collections/received/{path}").status_code == 404


def test_5_2_1_what_can_be_read_and_written_is_said_for_each_caller(door: Place) -> None:
    said = {}
    for name, scopes in (("r", READS), ("w", frozenset({Scope.TAXII_WRITE})), ("rw", WRITES)):
        for one in door.client(f"says-{name}", scopes=scopes).get("collections/").json()["collections"]:
            said[name, one["alias"]] = (one["can_read"], one["can_write"])
    assert (said["r", "drafts"], said["w", "drafts"], said["rw", "drafts"]) == (
        (True, False),
        (False, True),
        (True, True),
    )
    assert (said["r", "received"], said["w", "received"], said["rw", "received"]) == (
        (True, False),
        (False, False),
        (True, False),
    )


@pytest.mark.parametrize(
    "path", ["manifest/", "objects/", "objects/indicator--1/", "objects/indicator--1/versions/"]
)
def test_5_3_to_5_8_what_cant_be_read_is_403_or_404(door: Place, path: str) -> None:
    client = door.client(scopes=frozenset({Scope.TAXII_WRITE}))
    answer = client.get(f"collections/received/{path}")
    assert answer.status_code in (403, 404)
    assert_error(answer)


def test_8_2_1_a_client_without_a_user_agent_is_served(door: Place, client: Client) -> None:
    request = requests.Request(
        "GET", client.root, headers={"Authorization": client.session.headers["Authorization"]}
    )
    session = requests.Session()
    prepared = session.prepare_request(request)
    del prepared.headers["User-Agent"]
    assert session.send(prepared, timeout=10).status_code == 200
