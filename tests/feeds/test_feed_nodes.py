"""A node as the outside server, a node's collection of what came from outside, a process killed between pages."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from exchange.feed_settings import Proof
from exchange.node.store import access as store_access
from tests.doors import READS, Client, Place
from tests.feeds.places import Home, add_feed
from tests.feeds.servers import TLP_GREEN, Server, indicator, page

ROOT = Path(__file__).resolve().parents[2]


def collection_of(door: Place, token: str, alias: str) -> str:
    listed = Client(door.url, token).get("collections/").json()["collections"]
    return next(one["id"] for one in listed if one["alias"] == alias)


async def test_another_node_is_read_as_any_server_and_goes_on_where_it_was(home: Home, door: Place) -> None:
    sent = [indicator(str(n), TLP_GREEN) for n in range(3)]
    token = door.token("partner", scopes=READS)
    door.mail(*sent)
    received = collection_of(door, token, "received")
    home.add("pe", f"{door.url}taxii2/node/", collection=received, credential=token, proof=Proof.BEARER)
    first = await home.poll("pe")
    assert first.code == ""
    got = {one["id"]: one for one in home.objects("pe")}
    assert [got[one["id"]] for one in sent] == sent
    assert (await home.poll("pe")).objects == 0
    later = indicator("later", TLP_GREEN)
    door.mail(later)
    again = await home.poll("pe")
    assert again.code == ""
    assert later["id"] in {one["id"] for one in home.objects("pe")}
    assert home.objects("pe").count(sent[0]) == 1


def test_what_came_from_outside_has_a_collection_of_its_own(door: Place, server: Server) -> None:
    plain, green = indicator("plain"), indicator("green", TLP_GREEN)
    server.answer = lambda _: page([plain, green])
    add_feed(door, "cert", server.url, readers=("their-siem",))
    progress, ended = door.run(door.pe.up.feeds.poll("cert"))
    assert (progress.code, progress.new, ended) == ("", 2, True)

    siem = door.client("siem", scopes=READS)
    assert siem.objects("outside") == [plain, green]
    assert siem.objects("outside", match_x_tlp="green") == [green]
    seen = {
        one["id"] for alias in ("received", "tlp-green", "tlp-amber-strict") for one in siem.objects(alias)
    }
    assert not seen & {plain["id"], green["id"]}
    for own in ("cert", "their-siem"):  # what reads here is where it came from
        assert door.client(own, scopes=READS).objects("outside") == []
    log = door.pe.up.store.db.read_sync(lambda c: store_access.listed(c, limit=50))
    assert "2 objects from outside to siem" in {row.what for row in log if row.who == "token:siem"}

    # a stricter label through another door counts for what is there already
    server.answer = lambda _: page(
        [{key: value for key, value in green.items() if key != "object_marking_refs"}]
    )
    add_feed(door, "other", server.url)
    door.run(door.pe.up.feeds.poll("other"))
    assert siem.objects("outside", match_x_tlp="green") == []
    assert [one["id"] for one in siem.objects("outside", match_x_tlp="amber+strict")] == [
        plain["id"],
        green["id"],
    ]


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.feeds.places import Home, add_feed
async def main():
    home = Home(Path(sys.argv[2])).open()
    print((await home.poll("cert")).code)
asyncio.run(main())
"""


async def test_a_process_killed_between_pages_loses_nothing_and_repeats_nothing(
    home: Home, server: Server
) -> None:
    pages = [[indicator(f"{n}/{m}") for m in range(3)] for n in range(4)]
    child: list[asyncio.subprocess.Process] = []
    kills = [2]

    def answer(request: web.Request) -> web.Response:
        place = int(request.query.get("next") or 0)
        if place in kills:
            kills.clear()
            os.kill(child[0].pid, signal.SIGKILL)
        more = place < 3
        return page(pages[place], more=more, next_=str(place + 1) if more else None)

    server.answer = answer
    home.add("cert", server.url)
    await home.close()
    command = [sys.executable, "-c", KILLED, str(ROOT), str(home.path)]
    child.append(await asyncio.create_subprocess_exec(*command))
    assert await asyncio.wait_for(child[0].wait(), 30) == -signal.SIGKILL
    home.open()
    assert [one["name"] for one in home.objects("cert")] == ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]
    assert (await home.poll("cert")).code == ""
    assert [one["name"] for one in home.objects("cert")] == [one["name"] for each in pages for one in each]
    assert server.asked("next") == ["", "1", "2", "2", "3"]
