"""Words planted in a message are found at the recipient, and in no log, hub table, hub file, request body or metric."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson

from tests.trip.finder import find, find_in_database, find_in_folder
from tests.trip.network import Network
from tests.trip.processes import until
from tests.trip.tls_tap import TlsTap

TEXT = "Zanahoria7Kx2"
SUBJECT = "Calabaza3Qp9"
FILE_NAME = "Berenjena5Wt1"
CASE = "Alcachofa8Rm4"
OBJECT = "Remolacha2Vb6"
PERSON = "Espinaca9Jd3"
NOTE = "Pimiento4Hs7"
WORDS = (TEXT, SUBJECT, FILE_NAME, CASE, OBJECT, PERSON, NOTE)


def report(folder: Path) -> Path:
    """A STIX file whose name and content have a word each."""
    path = folder / f"{FILE_NAME}.json"
    malware = {
        "type": "malware",
        "spec_version": "2.1",
        "id": "malware--a6cd26bb-0a55-4c5d-9d9c-4c3bfbb1dd3c",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": "2026-09-01T00:00:00.000Z",
        "name": OBJECT,
        "is_family": False,
    }
    path.write_bytes(orjson.dumps(malware))
    return path


async def converse(network: Network, folder: Path) -> None:
    """pe sends, co shows and acknowledges, bb is away and catches up; everything by commands."""
    pe, co = network["pe-csirt"], network["co-csirt"]
    code, sent = await pe.command(
        *("send", str(report(folder)), "--to", "co-csirt,bb-csirt", "--kind", "alert", "--tlp", "amber"),
        *("--subject", SUBJECT, "--text", TEXT, "--case", CASE, "--urgency", "flash"),
    )
    assert code == 0, sent
    await until(lambda: sent["id"] in co.holds.ids(), "co has it")
    code, shown = await co.command("show", sent["id"])
    assert code == 0
    for word in (TEXT, SUBJECT, CASE):
        assert find(word, orjson.dumps(shown)), f"{word} did not arrive"
    code, exported = await co.command("export", sent["id"], "--output", str(folder / "exported"))
    assert code == 0, exported
    assert find(OBJECT, (folder / "exported").read_bytes())
    code, acked = await co.command("ack", sent["id"], "--person", PERSON, "--note", NOTE)
    assert code == 0, acked
    await network["bb-csirt"].serve.up()
    await network.delivered("pe-csirt", [sent["id"]], ["co-csirt", "bb-csirt"])
    await until(lambda: network.copy("pe-csirt", sent["id"], "co-csirt").acknowledged_at, "pe has co's word")
    code, told = await pe.command("report", sent["id"])
    assert code == 0
    assert find(PERSON, orjson.dumps(told))


async def test_canary_words_are_nowhere_but_at_their_readers(network: Network, tmp_path: Path) -> None:
    inner = network.move_hub()
    await network.hub.serve.up()
    public = network.homes.port
    async with TlsTap(inner, server=network.server_tls(), client=network.client_tls(), port=public) as tap:
        await network.up("pe-csirt", "co-csirt")
        await converse(network, tmp_path)
        async with network.calling("pe-csirt") as caller:
            metrics = (await caller.call("GET", "/metrics", authorization="")).body
        titles = {child.name: child.title() for child in network.children}
        while_running = {word: find_in_folder(word, network.hub.path) for word in WORDS}
        while_running |= {f"table {word}": find_in_database(word, network.hub.holds.path) for word in WORDS}
        await network.down()
    assert b"exchange_hub_accepted_total" in metrics
    assert b"PUT /v1/envelopes/" in tap.to_hub
    assert all(b"serve" in title for title in titles.values())
    places = {
        "metrics": metrics,
        "wire to the hub": bytes(tap.to_hub),
        "wire to the nodes": bytes(tap.to_nodes),
        **{f"title of {name}": title for name, title in titles.items()},
        **{f"log of {child.name}": child.output() for child in network.children},
    }
    assert all(places.values()), "each place had something to look through"
    for word in WORDS:
        assert {place: ways for place, data in places.items() if (ways := find(word, data))} == {}
        assert find_in_folder(word, network.hub.path) == []
        assert find_in_database(word, network.hub.holds.path) == []
    assert {word: found for word, found in while_running.items() if found} == {}

    # the nodes' own files: content is encrypted there, and a word in the clear would be a leak, too
    for word in WORDS:
        for node in network.nodes.values():
            assert find_in_folder(word, node.path) == []


async def test_canary_planted_at_a_hub_is_found(network: Network, tmp_path: Path) -> None:
    """The search of the test above can fail."""
    hub = Path(shutil.copytree(network.hub.path, tmp_path / "hub"))
    assert find_in_folder(TEXT, hub) == []
    with closing(sqlite3.connect(hub / "hub.db")) as db, db:
        db.execute("INSERT INTO senders VALUES (?, 1, 1, 1)", (f"x{TEXT}x",))
    assert find_in_database(TEXT, hub / "hub.db") == ["senders.address: plain"]
    assert find_in_folder(TEXT, hub) != []
