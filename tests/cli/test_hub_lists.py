"""What an administrator reads beside a serving hub: how members stand, who waits, what it lacks, who must act."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.app import run
from exchange.directory.bodies_base import build_add
from exchange.directory.members import Move
from exchange.hub.store.directory import Application
from exchange.hub.store.pending import Waiting
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS
from tests.hub.statements import ALBA, BRUNO, a_part, claim, status, suspension
from tests.hub_services import write_log
from tests.worlds import NOW, World, a_member, make_world, signed

EVER = NOW + 36_500 * DAY_MS  # commands read the machine's own clock


@pytest.fixture
def world() -> World:
    world = make_world(("pe-csirt", "co-csirt", "bb-csirt", "uy-csirt"))
    world.append(suspension(world, "co-csirt", ALBA))
    world.append(status(world, "bb-csirt", Move.LEAVE, "bb-csirt", until=NOW + 7 * DAY_MS))
    world.append(status(world, "uy-csirt", Move.RESTRICT, ALBA, BRUNO))
    return world


@pytest.fixture
def hub(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    store = HubStore.open(tmp_path)
    write_log(store, world)
    store.close_sync()

    def call(*words: str) -> str:
        assert run(["hub", *words, "--home", str(tmp_path)]) == 0
        return capsys.readouterr().out

    return call


def test_members_say_who_must_act(hub: Any) -> None:
    lines = hub("members").splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["MEMBER", "COUNTRY", "CLASS", "STATUS"],
        ["bb-csirt", "BB", "national_csirt", "offboarding"],
        ["co-csirt", "CO", "national_csirt", "suspended"],
        ["pe-csirt", "PE", "national_csirt", "active"],
        ["uy-csirt", "UY", "national_csirt", "restricted"],
    ]
    leaving, suspended, restricted = lines[5:]
    assert leaving == "bb-csirt: nobody: it is removed when its notice ends; leaves at 2026-09-28 14:13:20Z"
    assert "another officer, before 2026-09-22 14:13:20Z, or its suspension is void" in suspended
    assert restricted.endswith("exchange officer reinstate uy-csirt")
    rows = {row["member"]: row for row in json.loads(hub("members", "--json"))["members"]}
    assert rows["co-csirt"]["confirm_by"] == NOW + DAY_MS
    assert (rows["pe-csirt"]["next"], rows["pe-csirt"]["until"]) == ("", 0)


def test_what_waits_says_what_it_lacks(hub: Any, world: World, tmp_path: Path) -> None:
    assert hub("applications").splitlines() == ["nobody is waiting"]
    body = build_add(net=world.net, member=a_member("ar-csirt", net=world.net), not_after=EVER)
    applied = signed(body, "ar-csirt", ALBA)
    rejected = Application("cl-csirt", signed(world.add_body("cl-csirt"), "cl-csirt"), NOW, NOW + DAY_MS)
    part = a_part("pe-csirt", "members", "192.0.2.0/24")
    made = claim(world, "pe-csirt", part, not_after=EVER)

    async def fill() -> None:
        store = HubStore.open(tmp_path)
        await store.put_application(Application("ar-csirt", applied, NOW, EVER))
        await store.put_application(rejected.over("rejected", "no legal basis", now=NOW))
        await store.put_pending(world.net, Waiting(made, (part,), "pe-csirt", NOW, NOW + DAY_MS))
        await store.close()

    asyncio.run(fill())
    value = json.loads(hub("applications", "--json"))
    (newcomer,), (waiting,) = value["applications"], value["pending"]
    assert (newcomer["member"], newcomer["signed_by"]) == ("ar-csirt", ["ar-csirt", ALBA])
    assert newcomer["lacks"] == "1 officer, 2 sponsors"
    assert (waiting["what"], waiting["about"], waiting["lacks"]) == ("constituency", "pe-csirt", "2 officers")
    out = hub("applications")
    assert "ar-csirt  2026-09-21 14:13:20Z  1 officer, 2 sponsors  ar-csirt, officer/alba" in out
    assert f"{waiting['id']}  constituency  pe-csirt" in out
    assert "cl-csirt" not in out
    assert "192.0.2.0" not in out
