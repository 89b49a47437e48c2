"""Whom `send --to` reaches: functions, units and persons, resolved on a stored log with no hub in reach."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.canonical import b64, sha256
from exchange.cli.app import run
from exchange.directory.bodies_contacts import build_contact, build_unit
from exchange.directory.contacts import Part
from exchange.directory.records import ContactRecord, Person, to_bytes
from exchange.formats.stix.cover import read_message
from exchange.keys import digits
from exchange.limits import DAY_MS
from exchange.node.app import build, real_sources
from exchange.node.home import create, open_home
from exchange.node.identity import Sources
from exchange.node.mail.desk import Desk
from exchange.node.store import parts as store_parts
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tlp import Tlp
from tests.hub_services import services
from tests.simulated_hub import SimulatedHub
from tests.stix_samples import SOMEBODY, bundle_of
from tests.worlds import World, keys, make_world, signed

TRACING, SPOC, NAMED = "pe-csirt/tracing", "pe-csirt/spoc", "pe-csirt/office"
PERSON = "pe-csirt/p-aaaaaaaaaa"
CLOSED = "https://127.0.0.1:9"  # nobody listens there


@dataclass
class Place:
    """What a SimulatedHub asks for."""

    hub: Any
    tokens: dict[str, bytes]


@dataclass
class Node:
    """co's home, its key, and running commands on it."""

    home: Path
    key: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the JSON object, and what was said on stderr."""
        code = run([*words, "--home", str(self.home), "--json"])
        out, err = self.capsys.readouterr()
        return code, json.loads(out.splitlines()[-1]), err

    def send(self, *to: str, tlp: str = "green", option: str = "--json") -> tuple[int, dict[str, Any], str]:
        addressees = [word for one in to for word in ("--to", one)]
        about = ("--kind", "alert", "--tlp", tlp, "--subject", "Test", option)
        return self.run("node", "send", *addressees, *about)

    def sent(self, message_id: str) -> Any:
        """The queued message, from the database."""
        home = open_home(self.home, Unlock.key_file(self.key))
        store = home.open_store(owner=False)
        try:
            return Desk(store, real_sources(), who="test").sent(message_id).message
        finally:
            store.db.close_sync()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("addressees")
    create_key_file(folder / "key")
    asyncio.run(_furnish(folder))
    return folder


@pytest.fixture
def co(furnished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Node:
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(furnished / "key"))
    return Node(furnished / "co", furnished / "key", capsys)


async def _furnish(folder: Path) -> None:
    """co's home with the log of a network where pe has a tracing unit, a spoc at its node, and a person with keys."""
    world = make_world(("pe-csirt", "co-csirt"), now=time.time_ns() // 1_000_000)
    real = real_sources()
    seeded = Sources(real.clock, real.monotonic, lambda size: sha256(b"seed of co-csirt")[:size], real.new_id)
    unlock = Unlock.key_file(folder / "key")
    create(folder / "co", "co-csirt", unlock, seeded)
    _unit(world, TRACING, "unit")
    _unit(world, PERSON, "person")
    record = ContactRecord(persons=(Person(handle=PERSON.partition("/")[2], name="Ana Quispé"),))
    part = Part(NAMED, "members", bytes(16), to_bytes(record))
    _contact(world, TRACING, "operational_tracing", "police", own_keys=True)
    _contact(world, SPOC, "spoc", "csirt")
    _contact(world, NAMED, "technical_office", "csirt", parts={"members": part.hash(world.net)})
    lines = {"member": "co-csirt", "hub": CLOSED, "net": b64(world.net)}
    (folder / "co" / "config.toml").write_text(
        "".join(f'{name} = "{text}"\n' for name, text in lines.items())
    )
    home = open_home(folder / "co", unlock)
    store = home.open_store(owner=True)
    (folder / "hub").mkdir()
    async with services(world, folder / "hub") as hub:
        await hub.registrar.renew()
        api = SimulatedHub(Place(hub, {}), "co-csirt")
        node = build(
            store=store,
            keystore=home.keystore,
            prekeys=home.prekeys,
            identity=home.identity(),
            hub=api,
            sources=real,
        )
        await node.replica.start(api, least=(1, world.directory.root(1)))
    await store.db.write(
        lambda c: store_parts.add(c, store.cipher, part.hash(world.net), part, own=False, now=world.now)
    )
    await store.db.close()
    words = ["node", "confirm-anchor", digits(world.net), "--home", str(folder / "co")]
    assert run([*words, "--key-file", str(folder / "key"), "--quiet"]) == 0


def _unit(world: World, address: str, kind: str) -> None:
    body = build_unit(
        net=world.net,
        address=address,
        kind=kind,
        keys=keys(address).public,
        after=bytes(32),
        not_after=world.now + DAY_MS,
    )
    assert world.append(signed(body, address, "pe-csirt")).effective


def _contact(
    world: World,
    address: str,
    function: str,
    community: str,
    *,
    own_keys: bool = False,
    parts: dict[str, bytes] | None = None,
) -> None:
    body = build_contact(
        net=world.net,
        address=address,
        function=function,
        community=community,
        topics=["firearms"],
        parts=parts or {},
        after=bytes(32),
        not_after=world.now + DAY_MS,
        unit=keys(address).public.signing.skid(world.net) if own_keys else b"",
        nomination=sha256(b"note verbale"),
    )
    signer = address if own_keys else "pe-csirt"
    outcome = world.append(signed(body, "officer/alba", "officer/bruno", signer))
    assert outcome.effective, outcome.code


def test_function_with_keys_goes_to_its_unit(co: Node) -> None:
    code, value, said = co.send("pe:operational_tracing")
    assert (code, value["to"]) == (0, [TRACING])
    assert (
        "pe:operational_tracing is pe-csirt/tracing (operational_tracing); sealed to keys of its own" in said
    )
    assert read_message(co.sent(value["id"]).payload).audience_function is None


def test_function_without_keys_goes_to_the_node_and_says_whom_it_is_for(co: Node) -> None:
    for to in ("pe:spoc", SPOC):
        code, value, said = co.send(to)
        assert (code, value["to"]) == (0, ["pe-csirt"])
        assert "sealed to the node of pe-csirt" in said
        assert read_message(co.sent(value["id"]).payload).audience_function == "spoc"


def test_fall_back_is_shown(co: Node) -> None:
    code, value, said = co.send("pe:press")
    assert (code, value["to"]) == (0, ["pe-csirt"])
    assert "pe:press is pe-csirt/spoc (spoc); nobody there has that function" in said


def test_other_community_needs_more_than_yes(co: Node) -> None:
    code, value, _ = co.send("pe:prosecution", option="--yes")
    assert (code, value["error"]["code"]) == (3, "contact.other-community")
    code, value, said = co.send("pe:prosecution", option="--cross-community")
    assert (code, value["to"]) == (0, ["pe-csirt"])
    assert "pe-csirt/spoc" in said


def test_person_is_sent_red_by_name_and_nobody_else_is(co: Node, tmp_path: Path) -> None:
    code, value, said = co.send("pe-csirt/ana quispe", tlp="red")
    assert (code, value["to"], value["tlp"]) == (0, [PERSON], "TLP:RED")
    assert f"pe-csirt/ana quispe is {PERSON}" in said
    assert not co.sent(value["id"]).compress
    red = tmp_path / "red.json"
    red.write_bytes(bundle_of(SOMEBODY | {"object_marking_refs": [Tlp.RED.marking_id]}))
    words = ("node", "send", str(red), "--kind", "alert", "--tlp", "green")
    code, value, _ = co.run(*words, "--to", PERSON)
    assert (code, value["tlp"], value["set_aside"]) == (0, "TLP:RED", [])
    for others in (["pe-csirt"], [TRACING], [PERSON, "pe-csirt"]):
        code, value, _ = co.send(*others, tlp="red")
        assert (code, value["error"]["code"]) == (3, "tlp.red-needs-persons")
        code, value, _ = co.run(*words, "--to", ",".join(others))
        assert (code, value["error"]["code"]) == (3, "tlp.red-needs-persons")


def test_copy_that_nothing_can_be_sealed_for_is_named(co: Node) -> None:
    code, _, said = co.send(TRACING)
    assert code == 0
    assert f"{TRACING} has no key that can be sealed to now; its copy waits here until it has one" in said
    assert "sealed to now" not in co.send("pe-csirt")[2]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("pe-csirt/nobody", "unit.unknown"),
        ("pe-csirt/Luz Rojas", "unit.unknown"),
        ("pe:spoc,pe:technical_office", "cli.usage"),
        ("xx:spoc", "contact.unknown"),
        ("pe:operational_traceing", "contact.unknown"),  # a slip isn't sent to the desk of another community
        ("xx-csirt", "directory.unknown-member"),
    ],
)
def test_who_cannot_be_addressed(co: Node, to: str, code: str) -> None:
    exit_code, value, _ = co.send(to)
    assert (exit_code, value["error"]["code"]) == (2 if code == "cli.usage" else 3, code)


def test_as_opens_the_units_own_home_with_its_own_key(co: Node, tmp_path: Path) -> None:
    key = tmp_path / "unit.key"
    code, value, _ = co.run("node", "unit-init", "liaison", "--key-file", str(key))
    assert (code, value["address"], value["created"]) == (0, "co-csirt/liaison", True)
    assert Path(value["home"]) == co.home / "units" / "liaison"
    # the key file was noted there, and the variable is the member's
    code, status, _ = co.run("node", "status", "--as", "liaison")
    assert (code, status["member"], status["digits"]) == (0, "co-csirt/liaison", value["digits"])
    code, refused, _ = co.run("node", "inbox", "--as", "liaison", "--key-file", str(co.key))
    assert (code, refused["error"]["code"]) == (4, "keystore.wrong-key")
    code, refused, _ = co.run("node", "inbox", "--key-file", str(key))
    assert (code, refused["error"]["code"]) == (4, "keystore.wrong-key")
    code, again, _ = co.run("node", "unit-init", "liaison", "--key-file", str(key))
    assert (code, again["created"], again["digits"]) == (0, False, value["digits"])
    code, host, _ = co.run("node", "status")
    found = [
        (one["since"], one["home_here"]) for one in host["units"] if one["address"] == "co-csirt/liaison"
    ]
    assert found == [(None, True)]


@pytest.mark.parametrize(
    ("handle", "code", "exit_code"), [("../../co", "settings.invalid", 2), ("nothing", "home.missing", 1)]
)
def test_as_leads_nowhere_else(co: Node, handle: str, code: str, exit_code: int) -> None:
    got, value, _ = co.run("node", "inbox", "--as", handle)
    assert (got, value["error"]["code"]) == (exit_code, code)


def test_digits_that_differ_publish_nothing(co: Node, tmp_path: Path) -> None:
    co.run("node", "unit-init", "other", "--key-file", str(tmp_path / "other.key"))
    code, value, _ = co.run("node", "unit-publish", "other", "--digits", "00000 " * 8)
    assert (code, value["error"]["code"]) == (6, "cli.digits-differ")


def test_what_is_sent_of_an_exercise_is_of_it_at_every_door(co: Node, tmp_path: Path) -> None:
    about = ("node", "send", "--to", NAMED, "--kind", "alert", "--tlp", "green", "--subject", "Drill")
    code, sent, _ = co.run(*about, "--exercise", "EX-1")
    assert (code, read_message(co.sent(sent["id"]).payload).exercise_id) == (0, "EX-1")
    export = ("node", "export", sent["id"], "--output", str(tmp_path / "drill.json"))
    assert co.run(*export)[1]["error"]["code"] == "release.exercise"
    assert co.run(*export, "--exercise")[0] == 0
    assert co.run(*about, "--exercise", "EX 1")[1]["error"]["code"].startswith("message.")
