"""One node with its door open for each file of tests, and clients of its REST API that hold it to its document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest
import requests

from exchange.access import Scope
from exchange.node.http.api import described
from tests.doors import Place, place

ALL = frozenset({Scope.API_READ, Scope.API_SEND, Scope.API_ACK, Scope.API_DIRECTORY})
DOCUMENT = orjson.loads(described())


class ApiClient:
    """One right of entry. Each answer is one that the document says, or the test fails."""

    def __init__(self, url: str, token: str) -> None:
        self.root = f"{url}api/v1"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        return self.ask("GET", path, headers=headers, params=query)

    def post(self, path: str, body: object) -> requests.Response:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.ask("POST", path, data=data, headers={"Content-Type": "application/json"})

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = self.session.request(method, self.root + path, timeout=10, **more)
        check(method, path, answer)
        return answer


def check(method: str, path: str, answer: requests.Response) -> None:
    """The answer's status, media type, body and headers are as the document says."""
    operation = operation_of(method, path)
    said = operation["responses"].get(str(answer.status_code))
    assert said, f"{method} {path} answered {answer.status_code}, which isn't documented: {answer.text[:300]}"
    assert set(said["headers"]) - set(answer.headers) == set()
    media = answer.headers.get("Content-Type", "")
    assert media in said.get("content", {"": {}}), f"{method} {path}: {media}"
    if media.endswith("json"):
        schema = said["content"][media]["schema"] | {"components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema).validate(answer.json())


def operation_of(method: str, path: str) -> dict[str, Any]:
    """The operation that answers this path."""
    for pattern, operations in DOCUMENT["paths"].items():
        steps, asked = pattern.split("/"), path.split("/")
        same = len(steps) == len(asked) and all(
            step == there or step.startswith("{") for step, there in zip(steps, asked, strict=True)
        )
        if same and method.lower() in operations:
            return operations[method.lower()]
    raise AssertionError(f"{method} {path} isn't in the document")


def api(door: Place, name: str | None = None, **grant: Any) -> ApiClient:
    """A new right of entry at the API, to everything unless `scopes` says less."""
    grant = {"scopes": ALL, **grant}
    return ApiClient(door.url, door.token(name or f"script-{len(_made)}-{_made.append(0) or ''}", **grant))


_made: list[int] = []


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def client(door: Place) -> ApiClient:
    """May do everything."""
    return api(door, "script")
