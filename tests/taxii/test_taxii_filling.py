"""The collections of a node with much mail: a client is told to come back, and what it began goes on without it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from exchange.errors import Refused, Unavailable
from exchange.node.taxii import adding
from exchange.node.taxii.filling import RETRY_SECONDS, Filling
from exchange.tlp import Tlp
from tests.doors import TAXII, Client, Place
from tests.taxii.test_taxii_policy import marked


class Runs:
    """What fills: each run waits at the gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.count = 0
        self.begun = asyncio.Queue[int]()
        self.ended = asyncio.Event()

    async def fill(self) -> bool:
        self.count += 1
        self.begun.put_nowait(self.count)
        await self.gate.wait()
        self.ended.set()
        return True

    async def left(self) -> int:
        return 7


async def test_who_waits_too_long_is_told_how_much_is_left_and_the_run_goes_on() -> None:
    runs = Runs()
    filling = Filling(runs.fill, runs.left, patience=0)
    with pytest.raises(Unavailable) as told:
        await filling.up_to_now()
    assert (told.value.code, told.value.facts["retry_after"]) == ("taxii.filling", RETRY_SECONDS)
    assert "messages left: 7" in told.value.detail
    runs.gate.set()
    await runs.ended.wait()
    assert runs.count == 1


async def test_a_run_that_had_begun_before_is_not_enough() -> None:
    runs = Runs()
    filling = Filling(runs.fill, runs.left, patience=60)
    async with asyncio.TaskGroup() as both:
        both.create_task(filling.up_to_now())
        await runs.begun.get()
        both.create_task(filling.up_to_now())
        await asyncio.sleep(0)
        assert runs.count == 1
        runs.gate.set()
    assert runs.count == 2


async def test_a_client_that_goes_takes_no_run_with_it() -> None:
    runs = Runs()
    filling = Filling(runs.fill, runs.left, patience=60)
    waiting = asyncio.create_task(filling.up_to_now())
    await runs.begun.get()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    runs.gate.set()
    await runs.ended.wait()


async def test_at_the_end_the_run_ends_and_whoever_waits_hears() -> None:
    runs = Runs()
    filling = Filling(runs.fill, runs.left, patience=60)
    waiting = asyncio.create_task(filling.up_to_now())
    await runs.begun.get()
    await filling.stop()
    with pytest.raises(Unavailable, match=r"storage\.closed"):
        await waiting
    with pytest.raises(Unavailable, match=r"storage\.closed"):
        await filling.up_to_now()
    assert not runs.ended.is_set()


async def test_what_filling_raises_is_told_and_logged_by_its_code_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fill() -> bool:
        raise Refused("storage.io", "something of a message")

    filling = Filling(fill, Runs().left, patience=60)
    with caplog.at_level(logging.ERROR), pytest.raises(Refused, match=r"storage\.io"):
        await filling.up_to_now()
    assert "filling failed" in caplog.text
    assert "something" not in caplog.text


def test_a_run_that_stops_before_all_is_in_gives_nothing_of_it(
    door: Place, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ones = [marked(Tlp.GREEN.marking_id) for _ in range(2)]
    for one in ones:
        door.mail(one)
    monkeypatch.setattr(adding, "CHUNK", 1)  # a step for each object or message
    with monkeypatch.context() as bounded:
        bounded.setattr(adding, "MAX_STEPS", 1)
        early = reader.get("collections/received/objects/")
        assert (early.status_code, early.json()["error_code"]) == (503, "taxii.filling")
    given = reader.objects("received", limit=1000)
    assert all(one in given for one in ones)


def test_a_client_of_a_node_with_much_mail_comes_back_and_finds_it(
    door: Place, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = marked(Tlp.GREEN.marking_id)
    door.mail(one)
    with monkeypatch.context() as impatient:
        impatient.setattr(door.context.collections._filling, "_patience", 0)
        early = reader.get("collections/received/objects/")
        assert (early.status_code, early.headers["Retry-After"]) == (503, str(RETRY_SECONDS))
        assert early.headers["Content-Type"] == TAXII
        assert early.json()["error_code"] == "taxii.filling"
        assert "messages left: 1" in early.json()["description"]
    assert one in reader.objects("received", limit=1000)
