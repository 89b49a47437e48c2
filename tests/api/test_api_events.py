"""What happens is told as it happens, and who comes back with the id of the last event misses nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from exchange.access import Scope
from exchange.node.doors.doorkeeper import take
from exchange.node.http.api_events import STREAMS
from exchange.node.store.api import newest
from exchange.node.store.store import raise_alarm
from tests.api.conftest import ApiClient, api
from tests.doors import CO, Place
from tests.taxii.conftest import indicator

READS = frozenset({Scope.API_READ})
Event = tuple[str, str, dict[str, Any]]


@contextmanager
def following(client: ApiClient, *, last: str = "", **query: Any) -> Iterator[Iterator[Event]]:
    """The events of a stream that stays open: id, name, data."""
    headers = {"Last-Event-ID": last} if last else {}
    with client.session.get(
        f"{client.root}/events", params=query, headers=headers, stream=True, timeout=10
    ) as answer:
        assert answer.status_code == 200, answer.text
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines).startswith("retry: ")
        yield events_in(lines)


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "id" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}
        elif name:
            fields[name] = value


def told(client: ApiClient, after: str) -> list[Event]:
    """What there is to tell past a position, at once."""
    answer = client.get("/events", after=after, seconds=0)
    return list(events_in(iter(answer.text.splitlines())))


def now(door: Place) -> str:
    at = door.run(door.pe.up.store.db.read(newest))
    return f"{at.inbox}-{at.changes}-{at.alarms}"


def test_mail_is_told_as_it_comes_without_what_it_says(door: Place, client: ApiClient) -> None:
    with following(client) as events:
        id_ = door.mail(indicator(), subject="Zarzamora")
        _, name, data = next(events)
    assert (name, data["id"], data["sender"], data["tlp"], data["kind"]) == (
        "message", id_, CO, "TLP:AMBER", "alert",
    )  # fmt: skip
    assert "subject" not in data


def test_each_step_of_a_copy_is_told(door: Place, client: ApiClient) -> None:
    start = now(door)
    id_ = door.pe.send(CO)
    door.run(door.sim.rounds(3))
    co = door.sim.sites[CO]
    co.desk.open(id_)
    co.desk.answer(id_, "acknowledged", person="Luis")
    door.run(door.sim.rounds(4))
    steps = [data for _, name, data in told(client, start) if name == "status" and data["id"] == id_]
    assert [step["level"] for step in steps] == ["accepted", "stored", "opened", "acknowledged"]
    assert {step["address"] for step in steps} == {CO}


def test_who_comes_back_goes_on_where_it_was_also_after_the_node_started_again(
    door: Place, client: ApiClient
) -> None:
    start = now(door)
    ids = [door.mail(indicator()) for _ in range(4)]
    all_ = told(client, start)
    with following(client, last=start) as events:
        first = list(itertools.islice(events, 2))
    door.reopen()
    with following(client, last=first[-1][0]) as events:
        rest = list(itertools.islice(events, 2))
    assert first + rest == all_
    assert [data["id"] for _, _, data in all_] == ids
    assert told(client, all_[-1][0]) == []


def test_the_header_counts_before_the_parameter(door: Place, client: ApiClient) -> None:
    start = now(door)
    door.mail(indicator())
    answer = client.get("/events", after="0-0-0", seconds=0, headers={"Last-Event-ID": start})
    assert answer.text.count("event: message") == 1


def test_an_alarm_is_told_to_whom_is_not_for_exercises(door: Place, client: ApiClient) -> None:
    start, at = now(door), door.sim.world.now
    store = door.pe.up.store
    door.run(
        store.db.write(
            lambda c: raise_alarm(c, key="k/1", at=at, code="chain.fork", subject=CO, evidence=b"x")
        )
    )
    [(_, name, data)] = told(client, start)
    assert (name, data["code"], data["subject"]) == ("alarm", "chain.fork", CO)
    assert told(api(door, exercise=True, scopes=READS), start) == []


def test_a_position_of_a_newer_node_is_answered_with_reset_and_goes_on(
    door: Place, client: ApiClient
) -> None:
    """As of a node that was restored from a backup since."""
    [(position, name, data)] = told(client, "900000-0-0")
    assert (name, data, position) == ("reset", {}, now(door))


def test_changes_too_old_to_be_kept_are_told_of_by_reset(door: Place, client: ApiClient) -> None:
    door.pe.send(CO)
    door.run(door.sim.rounds(3))
    store = door.pe.up.store

    def forget(connection: Any) -> None:
        connection.exec_driver_sql("DELETE FROM mail_changes WHERE n < (SELECT max(n) FROM mail_changes)")

    door.run(store.db.write(forget))
    names = [name for _, name, _ in told(client, f"{now(door).split('-')[0]}-0-{now(door).split('-')[2]}")]
    assert names == ["reset", "status"]


@pytest.mark.parametrize("position", ["x", "1-2", "1-2-3-4", "-1-0-0", "1-2-9999999999999999999"])
def test_a_position_that_is_none_is_refused(client: ApiClient, position: str) -> None:
    by_parameter = client.get("/events", seconds=0, after=position)
    by_header = client.get("/events", seconds=0, headers={"Last-Event-ID": position})
    for answer in (by_parameter, by_header):
        assert (answer.status_code, answer.json()["code"]) == (400, "api.bad-parameter")


def test_a_stream_ends_with_its_right(door: Place) -> None:
    client = api(door, "ends", scopes=READS)
    with following(client) as events:
        node = door.pe.up
        take(node.store, node.sources, "ends", who="admin")
        door.mail(indicator())
        assert list(events) == []


def test_a_right_has_a_few_streams_and_gets_its_place_back(door: Place) -> None:
    client = api(door, scopes=READS)
    streams = [following(client) for _ in range(STREAMS)]
    for stream in streams:
        stream.__enter__()
    refused = client.get("/events", seconds=0)
    assert (refused.status_code, refused.json()["code"]) == (429, "api.streams")
    for stream in streams:
        stream.__exit__(None, None, None)
    for _ in range(20):
        door.mail(indicator())  # writing to whoever went shows that they did
        if client.get("/events", seconds=0).status_code == 200:
            break
    assert client.get("/events", seconds=0).status_code == 200


def test_other_rights_have_streams_of_their_own(door: Place) -> None:
    with following(api(door, scopes=READS)) as one, following(api(door, scopes=READS)) as two:
        id_ = door.mail(indicator())
        assert next(one)[2]["id"] == next(two)[2]["id"] == id_
    assert requests.get(f"{door.url}api/v1/events", timeout=10).status_code == 401
