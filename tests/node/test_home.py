"""The home: made, opened, tied to a network, owned by one process that commands can ask; encrypted inside."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.canonical import b64
from exchange.errors import Refused, Unavailable
from exchange.invitation import Invitation
from exchange.keys import PrivateKeys
from exchange.message import Urgency
from exchange.node.app import real_sources, running, serve
from exchange.node.control import channel as control
from exchange.node.control.verbs import wait_for
from exchange.node.doors.doors import own_reader
from exchange.node.home import Home, create, open_home
from exchange.node.node import Node
from exchange.node.store import access as store_access
from exchange.node.store.store import open_store
from exchange.release import Door
from exchange.storage.files import check_home_modes
from exchange.storage.unlock import Unlock, create_key_file
from tests.hub_server import Hub, running_hub
from tests.simulator import Simulation, Site
from tests.worlds import World, make_world

CANARY = "Quetzalcoatlus"


@pytest.fixture
def unlock(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "key")
    return Unlock.key_file(tmp_path / "key")


def invitation(world: World, *, member: str = "mx-csirt", hub: str = "https://hub.example") -> Invitation:
    return Invitation(
        net=world.net,
        hub=hub,
        ca=b"",
        size=world.directory.size,
        root=world.directory.root(),
        member=member,
        member_class="national_csirt",
        country="MX",
        expires=world.now + 1,
        token=bytes(32),
    )


def test_home_is_private_and_keeps_no_printed_seed(tmp_path: Path, unlock: Unlock) -> None:
    root = tmp_path / "home"
    seeds = create(root, "mx-csirt", unlock, real_sources())
    assert check_home_modes(root) == []
    everything = b"".join(path.read_bytes() for path in root.iterdir())
    home = open_home(root, unlock)
    kept = b"".join(home.keystore.get(name) for name in home.keystore.names())
    for seed in (seeds.revoke, seeds.next):
        assert seed not in everything
        assert seed not in kept
    assert home.revoke_public() == PrivateKeys(seeds.revoke).public.signing


def test_home_belongs_to_the_network_it_was_tied_to(tmp_path: Path, unlock: Unlock) -> None:
    world = make_world(())
    create(tmp_path / "home", "mx-csirt", unlock, real_sources())
    home = open_home(tmp_path / "home", unlock)
    with pytest.raises(Refused, match=r"node\.not-joined"):
        home.identity()
    with pytest.raises(Refused, match=r"node\.other-member"):
        home.tie(invitation(world, member="pe-csirt"))
    home.tie(invitation(world))
    again = open_home(tmp_path / "home", unlock)
    assert (again.settings.hub, again.settings.net) == ("https://hub.example", b64(world.net))
    assert again.identity().address == "mx-csirt"
    assert again.next_commitment() == home.tie(invitation(world)).next_commitment()
    with pytest.raises(Refused, match=r"node\.joined"):
        home.tie(invitation(world)).tie(invitation(make_world((), now=world.now + 1)))


@pytest.mark.parametrize(
    "text",
    [
        "member = 1",
        'member = "hub"',
        'member = "mx-csirt"\ncolour = "red"',
        'member = "mx-csirt"\nhub = "http://plain"\nnet = "x"',
        'member = "mx-csirt"\nproxy = "http://user:secret@proxy:3128"',
        "not toml",
        'member = "mx-csirt"\n#' + "x" * 70_000,
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path: Path, unlock: Unlock, text: str) -> None:
    create(tmp_path / "home", "mx-csirt", unlock, real_sources())
    (tmp_path / "home" / "config.toml").write_text(text)
    with pytest.raises(Refused, match=r"settings\.invalid"):
        open_home(tmp_path / "home", unlock)


def test_folder_that_is_no_home_is_missing(tmp_path: Path, unlock: Unlock) -> None:
    with pytest.raises(Refused, match=r"home\.missing"):
        open_home(tmp_path, unlock)


@pytest.fixture
async def hub(tmp_path: Path) -> object:
    async with running_hub(make_world(), tmp_path / "hub") as one:
        yield one


def tied(hub: Hub, folder: Path, unlock: Unlock) -> Home:
    """A home of mx-csirt, tied to the running hub."""
    create(folder, "mx-csirt", unlock, real_sources())
    home = open_home(folder, unlock).tie(invitation(hub.world, hub=hub.origin))
    (folder / "hub-ca.pem").write_bytes((hub.home / "ca.pem").read_bytes())
    (folder / "config.toml").write_text(
        (folder / "config.toml").read_text().replace('ca = ""', 'ca = "hub-ca.pem"', 1)
    )
    assert home.settings.hub == hub.origin
    return open_home(folder, unlock)


@pytest.mark.parametrize("left", [b"", None])
async def test_database_that_is_gone_is_not_begun_anew(
    hub: Hub, tmp_path: Path, unlock: Unlock, left: bytes | None
) -> None:
    home = tied(hub, tmp_path / "node", unlock)
    home.paths.database.unlink()
    if left is not None:
        home.paths.database.write_bytes(left)
    with pytest.raises(Refused) as caught:
        home.open_store(owner=True)
    assert caught.value.code == "storage.damaged"


@pytest.mark.parametrize("depth", [1, 12])
async def test_serving_process_owns_the_home_and_answers(
    hub: Hub, tmp_path: Path, unlock: Unlock, depth: int
) -> None:
    folder = tmp_path.joinpath(*["folder-with-a-name"] * depth) / "home"
    home = tied(hub, folder, unlock)
    up: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(home, real_sources(), ready=up.set_result))
    node = await asyncio.wait_for(up, 20)
    path = home.paths.socket
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused, match=r"home\.locked"):
        async with running(home, real_sources()):
            pass
    async with asyncio.timeout(20):
        while node.sync.condition.problem == "":
            await node.sync.changed.wait(1)
    status = await asyncio.to_thread(control.ask, path, "status")
    assert (status["member"], status["is_member"], status["problem"]) == (
        "mx-csirt",
        False,
        "auth.unknown-issuer",
    )
    assert await asyncio.to_thread(control.ask, path, "poke") == {}
    with pytest.raises(Refused, match=r"message\.unknown"):
        await asyncio.to_thread(control.ask, path, "wait", ids=["nobody"], seconds=0)
    with pytest.raises(Refused, match=r"request\.bad"):
        await asyncio.to_thread(control.ask, path, "read-everything")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 20)
    assert not path.exists()
    with pytest.raises(Unavailable, match=r"node\.not-running"):
        await asyncio.to_thread(control.ask, path, "status")


async def test_part_that_can_not_go_on_ends_the_server(hub: Hub, tmp_path: Path, unlock: Unlock) -> None:
    home, real, broken = tied(hub, tmp_path / "home", unlock), real_sources(), []

    def clock() -> int:
        if broken:
            raise RuntimeError("no time left")
        return real.clock()

    serving = serve(home, replace(real, clock=clock), ready=lambda _: broken.append(True))
    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(serving, 20)
    assert (caught.value.code, caught.value.detail) == ("internal.error", "RuntimeError")


async def test_wait_ends_when_every_addressee_has_it(sim: Simulation, pe: Site, bb: Site) -> None:
    await bb.stop()
    sent = pe.send("co-csirt", "bb-csirt")
    await sim.rounds()
    assert not await wait_for(pe.up, [sent], 0)
    await bb.start()
    await sim.rounds()
    assert await wait_for(pe.up, [sent], 0)


async def test_content_lies_encrypted_in_the_home(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt", subject=CANARY, text=CANARY * 10, urgency=Urgency.FLASH)
    await sim.rounds()
    co.desk.open(sent)
    co.desk.answer(sent, "declined", person=CANARY, note=CANARY)
    await sim.rounds()
    assert pe.copy(sent, "co-csirt").note == CANARY
    for site in (pe, co):
        await site.stop()
        held = b"".join(path.read_bytes() for path in site.home.rglob("*") if path.is_file())
        assert CANARY.encode() not in held
        assert b64(CANARY.encode()).encode() not in held
    hub_files = b"".join(path.read_bytes() for path in (sim.folder / "hub").rglob("*") if path.is_file())
    assert CANARY.encode() not in hub_files


async def test_opens_and_exports_are_logged_in_a_chain(sim: Simulation, pe: Site, co: Site) -> None:
    first, second = pe.send("co-csirt"), pe.send("co-csirt")
    await sim.rounds()
    co.desk.open(first)
    co.desk.open(first)
    co.up.doors("night-shift").let_out(Door.EXPORT, second, [own_reader("co-csirt")], lambda passed: passed)
    rows = list(reversed(co.desk.access_log()))
    assert [(row.who, row.action, row.what) for row in rows] == [
        ("analyst", "open", f"pe-csirt {first}"),
        ("analyst", "open", f"pe-csirt {first}"),
        ("night-shift", "export", f"pe-csirt {second} to own co-csirt: TLP:AMBER may go to own member"),
    ]
    assert co.desk.verify_access_log() == 3
    assert pe.desk.access_log() == []


@pytest.mark.parametrize(
    "tampering",
    ["DELETE FROM access_log WHERE n = 2", "UPDATE access_log SET who = 'nobody' WHERE n = 1"],
)
def test_access_log_shows_tampering(tmp_path: Path, tampering: str) -> None:
    store = open_store(tmp_path / "node.db", bytes(32), owner=True)
    for number in range(3):
        store.db.write_sync(
            lambda c, number=number: store_access.append(
                c, at=number, who="ana", action="open", what=f"message {number}"
            )
        )
    assert store.db.read_sync(store_access.verify) == 3
    store.db.write_sync(lambda c: c.exec_driver_sql(tampering))
    with pytest.raises(Refused, match=r"storage\.row-damaged"):
        store.db.read_sync(store_access.verify)
    store.db.close_sync()


async def test_command_beside_the_owner_queues_and_reads(sim: Simulation, pe: Site, co: Site) -> None:
    """A second process's view of the database: no lock, the same rows."""
    beside = open_store(pe.home / "node.db", bytes(32), owner=False)
    pe_node, pe.node = pe.node, None
    assert pe_node is not None
    pe.node = replace(pe_node, store=beside)
    sent = pe.send("co-csirt")
    beside.db.close_sync()
    pe.node = pe_node
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")


async def test_answering_needs_a_message_and_a_known_word(sim: Simulation, co: Site) -> None:
    with pytest.raises(Refused, match=r"message\.unknown"):
        co.desk.answer("nobody", "working", person="Ana")
    with pytest.raises(Refused, match=r"message\.bad-status"):
        co.desk.answer("nobody", "eaten", person="Ana")
    with pytest.raises(Refused, match=r"message\.unknown"):
        co.desk.open("nobody")
    with pytest.raises(Refused, match=r"message\.unknown"):
        co.desk.sent("nobody")
