"""What one right of entry may take of a node: requests, bodies, depth; it is told what is left."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exchange.errors import Refused
from exchange.http_rate import Rate
from tests.api.conftest import ApiClient, api
from tests.doors import CO, QUIET, Place, place
from tests.taxii.conftest import indicator

ORDER = {"to": [CO], "kind": "alert", "subject": "x", "tlp": "green"}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A node that lets few requests through: one a second, two at once."""
    with place(tmp_path_factory.mktemp("slow"), replace(QUIET, requests_per_second=1)) as running:
        yield running


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up(slow: Place) -> None:
    eager, other = api(slow), api(slow)
    answers = [eager.get("/messages") for _ in range(5)]
    assert answers[0].status_code == 200
    last = answers[-1]
    assert (last.status_code, last.json()["code"]) == (429, "rate.too-many")
    assert int(last.headers["Retry-After"]) >= 1
    assert other.get("/messages").status_code == 200


def test_an_answer_says_what_is_left(door: Place) -> None:
    client = api(door)
    for _ in range(2):
        answer = client.get("/messages", limit=1)
        most, window = numbers(r'"right";q=(\d+);w=(\d+)', answer.headers["RateLimit-Policy"])
        left, again = numbers(r'"right";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
        assert (most, window) == (2 * QUIET.requests_per_second, 2)
        assert left < most
        assert again <= window


def numbers(pattern: str, header: str) -> list[int]:
    found = re.fullmatch(pattern, header)
    assert found, header
    return [int(number) for number in found.groups()]


def test_what_is_left_comes_back_with_time() -> None:
    at = [0.0]
    rate = Rate(per_second=2, burst=4, seconds=lambda: at[0])
    assert (rate.left("a"), rate.policy) == ((4, 0), (4, 2))
    for _ in range(4):
        rate.take("a")
    assert rate.left("a") == (0, 2)
    with pytest.raises(Refused):
        rate.take("a")
    at[0] = 1.0
    rate.take("a")
    assert rate.left("a") == (1, 2)
    assert rate.left("b") == (4, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"to":' + b"[" * 100 + b"]" * 100 + b"}", "json.too-deep"),
        (b'{"objects":[' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"]}", "json.too-deep"),
        (b'{"objects":[' + b"{}," * 20_000 + b"{}]}", "json.too-many-objects"),
        (b'{"kind":"alert","kind":"alert"}', "api.bad-body"),
        (b"[]", "api.bad-body"),
        (b"", "json.bad-syntax"),
        (b"\xff", "json.not-utf8"),
    ],
)
def test_a_body_that_no_reader_should_see_is_refused_by_its_form(
    client: ApiClient, body: bytes, code: str
) -> None:
    answer = client.post("/messages", body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize("media", ["text/plain", "application/xml", ""])
def test_a_body_says_that_it_is_json(client: ApiClient, media: str) -> None:
    answer = client.ask("POST", "/messages", data=b"{}", headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["code"]) == (415, "api.media-type")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/messages", "limit=0", "limit"),
        ("/messages", "limit=x", "limit"),
        ("/messages", "limit=1&limit=2", "limit"),
        ("/messages", "limits=1", "limits"),
        ("/messages", "box=all", "box"),
        ("/messages", "tlp=TLP:GREEN", "tlp"),
        ("/messages", "unopened=1", "unopened"),
        ("/messages", "before=-1", "before"),
        ("/messages", "before=99999999999999999999", "before"),
        ("/search", "", "value"),
        ("/search", "value=%20&text=%20", "value"),
        ("/directory/owners", "", "asset"),
        ("/directory/owners", "asset=...", "asset"),
        ("/directory/counterparts", "country=PER", "country"),
    ],
)
def test_a_parameter_at_fault_is_named(client: ApiClient, path: str, query: str, field: str) -> None:
    answer = client.ask("GET", path, params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "api.bad-parameter")
    assert answer.json()["field"] == field


def test_the_same_order_by_many_hands_at_once_is_sent_once(door: Place, client: ApiClient) -> None:
    order = ORDER | {"id": "0f0f0f0f-0000-4000-8000-000000000001", "objects": [indicator()]}
    hands = [api(door) for _ in range(1)] + [ApiClient(door.url, _token(client)) for _ in range(7)]
    seen: list[tuple[int, str]] = []

    def ask(hand: ApiClient) -> None:
        answer = hand.post("/messages", order)
        seen.append((answer.status_code, answer.json().get("code", "")))

    threads = [threading.Thread(target=ask, args=(hand,)) for hand in hands[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [(200, "")] * 6 + [(201, "")]
    other = hands[0].post("/messages", order)  # another right doesn't know that order
    assert (other.status_code, other.json()["code"]) == (409, "api.taken")


def _token(client: ApiClient) -> str:
    return str(client.session.headers["Authorization"]).split()[1]
