"""The OpenAPI document is what the router serves, is a good OpenAPI 3.1 document, and is there for everybody."""

from __future__ import annotations

import jsonschema_rs
import pytest
import requests

from exchange.errors import CODES
from exchange.node.http.api import DOCUMENT as WHERE, ROUTES, described
from exchange.node.http.api_call import API, Route
from exchange.node.http.api_openapi import codes_of
from exchange.node.http.problems import status_of
from exchange.node.http.server import build
from tests.api.conftest import DOCUMENT, ApiClient
from tests.doors import Place


def test_it_is_served_to_who_has_no_right(door: Place) -> None:
    answer = requests.get(door.url.rstrip("/") + WHERE, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.content == described()


def test_it_has_each_path_that_is_served_and_no_other(door: Place) -> None:
    served = {
        (route.method, route.resource.canonical.removeprefix(API))
        for route in build(door.context).router.routes()
        if route.resource is not None and route.resource.canonical.startswith(API)
    }
    documented = {
        (method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert documented == {(route.method, route.path) for route in ROUTES}
    assert {one for one in served if one[0] != "HEAD"} == documented | {("GET", WHERE.removeprefix(API))}


def test_each_schema_is_one_and_each_reference_leads_somewhere() -> None:
    whole = {"components": DOCUMENT["components"]}
    for name in DOCUMENT["components"]["schemas"]:
        jsonschema_rs.validator_for(whole | {"$ref": f"#/components/schemas/{name}"})
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                for media in answer.get("content", {}).values():
                    jsonschema_rs.validator_for(whole | media["schema"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_refusal_is_documented_under_its_status(route: Route) -> None:
    names = route.all_codes
    for name in names:
        assert any(code == name or code.startswith(name.removesuffix("*")) for code in CODES), name
    found = codes_of(names)
    assert all(status_of(code) == status for status, codes in found.items() for code in codes)
    assert {401, 403, 429, 500, 503} <= found.keys()


@pytest.mark.parametrize("path", ["/nothing", "/messages/x/y/z", "/openapi"])
def test_what_isnt_there_is_not_found(client: ApiClient, path: str) -> None:
    answer = client.session.get(client.root + path, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "request.not-found")


def test_a_request_line_that_is_too_long_is_told_so(client: ApiClient) -> None:
    for size in (20_000, 60_000):
        assert client.get("/search", text="x" * size).status_code == 431


def test_a_path_knows_its_methods(client: ApiClient) -> None:
    answer = client.session.put(f"{client.root}/messages", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (405, "request.method")
    assert set(answer.headers["Allow"].split(",")) >= {"GET", "POST"}
