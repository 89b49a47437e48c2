"""Who may do what at the REST API: each endpoint wants its scope, and nothing else lets in."""

from __future__ import annotations

import pytest
import requests

from exchange.access import Scope
from exchange.node.doors.doorkeeper import take
from exchange.node.http.api import ROUTES
from exchange.node.http.api_call import Route
from tests.api.conftest import ALL, api, check
from tests.doors import Place

BY_NAME = {route.name: route for route in ROUTES}
# The table: which scope opens which endpoint.
WANTED = {
    "listMessages": Scope.API_READ,
    "readMessage": Scope.API_READ,
    "readContent": Scope.API_READ,
    "readStatus": Scope.API_READ,
    "search": Scope.API_READ,
    "followEvents": Scope.API_READ,
    "sendMessage": Scope.API_SEND,
    "answerMessage": Scope.API_ACK,
    "listMembers": Scope.API_DIRECTORY,
    "findCounterparts": Scope.API_DIRECTORY,
    "findOwner": Scope.API_DIRECTORY,
}


def path_of(route: Route) -> str:
    return route.path.replace("{id}", "0f0f0f0f-0000-4000-8000-000000000000")


def test_the_table_has_every_endpoint() -> None:
    assert WANTED.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", WANTED)
def test_an_endpoint_wants_its_scope_and_that_alone(door: Place, name: str) -> None:
    route = BY_NAME[name]
    query = "?seconds=0" if name == "followEvents" else ""
    without = api(door, scopes=frozenset(Scope) - {WANTED[name]})
    refused = without.ask(route.method, path_of(route), params=query[1:])
    assert (refused.status_code, refused.json()["code"]) == (403, "access.scope")
    just = api(door, scopes=frozenset({WANTED[name]}))
    assert just.ask(route.method, path_of(route), params=query[1:]).status_code != 403


@pytest.mark.parametrize("name", WANTED)
def test_nobody_enters_without_a_right_or_with_one_that_ended(door: Place, name: str) -> None:
    route = BY_NAME[name]
    url = f"{door.url}api/v1{path_of(route)}"
    bare = requests.request(route.method, url, timeout=10)
    check(route.method, path_of(route), bare)
    assert (bare.status_code, bare.json()["code"]) == (401, "access.missing")
    ended = api(door, f"ended-{name.lower()}", scopes=ALL)
    node = door.pe.up
    take(node.store, node.sources, f"ended-{name.lower()}", who="admin")
    answer = ended.ask(route.method, path_of(route))
    assert (answer.status_code, answer.json()["code"]) == (401, "access.unknown")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_page_of_another_site_enters_by_what_a_browser_remembers(door: Place, site: str) -> None:
    client = api(door)
    for path in ("/messages", "/search", "/events"):
        refused = client.get(path, headers={"Sec-Fetch-Site": site}, seconds=0)
        assert (refused.status_code, refused.json()["code"]) == (403, "access.other-site")
    assert client.get("/messages", headers={"Sec-Fetch-Site": "none"}).status_code == 200
    headers = {**client.session.headers, "Sec-Fetch-Site": site}
    assert requests.get(f"{door.url}taxii2/", headers=headers, timeout=10).status_code == 403
