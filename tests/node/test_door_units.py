"""A unit's HTTP door: its own port, rights and collections; nothing of its member's, and nothing of its own to that."""

from __future__ import annotations

from dataclasses import replace

import aiohttp

from exchange.access import Scope
from exchange.door_settings import DoorSettings
from exchange.node.home import Paths, read_settings
from tests.node.test_door import OPEN, door, token
from tests.node.unit_homes import UnitSite, made, published
from tests.simulator import Simulation, Site

WRITES = frozenset({Scope.TAXII_READ, Scope.TAXII_WRITE})
INDICATOR = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": "indicator--b1f5a1d5-1f6c-4f0e-9c55-9a2f5a3b7e10",
    "created": "2026-09-01T00:00:00.000Z",
    "modified": "2026-09-01T00:00:00.000Z",
    "pattern": "[ipv4-addr:value = '203.0.113.57']",
    "pattern_type": "stix",
    "valid_from": "2026-09-01T00:00:00.000Z",
}


async def asked(port: int, secret: str, path: str) -> tuple[int, dict[str, object]]:
    """Status and body of a GET below the API root."""
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"http://127.0.0.1:{port}/taxii2/node/{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_units_doors_stay_closed_until_their_readers_open_them(sim: Simulation, host: Site) -> None:
    """Of the member's settings only those that reach the hub are a unit's too: two doors can't share a port."""
    with (host.home / "config.toml").open("a") as config:
        config.write('[http]\nopen = true\ntls = true\nclient_ca = "clients.pem"\nposts_to = ["co-csirt"]\n')
    made(host, "tracing")
    assert read_settings(host.home).http.open
    assert read_settings(Paths(host.home).unit("tracing").root).http == DoorSettings()


async def test_each_door_gives_what_came_to_its_own_address(sim: Simulation, host: Site, co: Site) -> None:
    unit = await published(sim, host, "tracing")
    co.send("pe-csirt/tracing")
    await sim.rounds()
    for each, other, came in ((unit, host, True), (host, unit, False)):
        own, foreign = token(each, "siem"), token(other, "other")
        async with door(each, OPEN) as (_, port, _):
            status, found = await asked(port, own, "collections/received/objects/")
            assert (status, "objects" in found) == (200, came)
            assert (await asked(port, own, "collections/from-co-csirt/manifest/"))[1].keys() == found.keys()
            assert (await asked(port, foreign, "collections/"))[0] == 401
    assert [row.who for row in unit.desk.access_log() if row.action == "taxii"] == ["token:siem"]
    assert [row.who for row in host.desk.access_log() if row.action == "taxii"] == []


async def test_what_is_posted_at_a_units_door_goes_in_its_name(sim: Simulation, host: Site, co: Site) -> None:
    unit: UnitSite = await published(sim, host, "tracing")
    secret = token(unit, "misp", scopes=WRITES)
    settings = replace(OPEN, posts_to=("co-csirt",), posts_tlp="green")
    async with door(unit, settings) as (_, port, _), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/taxii2/node/collections/drafts/objects/"
        headers = {"Authorization": f"Bearer {secret}"}
        async with session.post(url, json={"objects": [INDICATOR]}, headers=headers) as answer:
            assert answer.status == 202
            assert (await answer.json(content_type=None))["success_count"] == 1
    await sim.rounds()
    assert [one.sender for one in co.inbox()] == ["pe-csirt/tracing"]
