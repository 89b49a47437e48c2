"""The commands about a node's keys and its health, against a real hub over TLS: as typed, with and without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.canonical import b64, dumps
from exchange.cli.app import run
from exchange.cli.call import remember_key_file
from exchange.cli.seeds import from_paper, on_paper
from exchange.keys import PrivateKeys
from exchange.node.app import real_sources, serve
from exchange.node.home import REVOKE, Home, create, open_home
from exchange.node.keys.own_keys import NEXT, SEED
from exchange.node.metrics import FILE
from exchange.storage.unlock import Unlock, create_key_file
from tests.hub_server import Hub, running_hub
from tests.worlds import keys, make_world, seed


def real_clock() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    world = make_world(now=real_clock() - 60_000)
    async with running_hub(world, tmp_path / "hub", clock=real_clock) as one:
        yield one


@pytest.fixture
def home(hub: Hub, tmp_path: Path) -> Home:
    """pe's node at the running hub, its anchor not confirmed and its log not fetched yet."""
    root = tmp_path / "pe"
    create_key_file(tmp_path / "key")
    unlock = Unlock.key_file(tmp_path / "key")
    create(root, "pe-csirt", unlock, real_sources())
    remember_key_file(root, tmp_path / "key")
    open_home(root, unlock).keystore.update(
        {
            SEED: seed("pe-csirt"),
            NEXT: dumps(keys("next/pe-csirt").public.to_json()),
            REVOKE: dumps(keys("revoke/pe-csirt").public.signing.to_json()),
        }
    )
    settings = {"member": "pe-csirt", "hub": hub.origin, "net": b64(hub.world.net), "ca": "hub-ca.pem"}
    (root / "config.toml").write_text("".join(f'{name} = "{text}"\n' for name, text in settings.items()))
    (root / "hub-ca.pem").write_bytes((hub.home / "ca.pem").read_bytes())
    for path in (root / "config.toml", root / "hub-ca.pem"):
        path.chmod(0o600)
    return open_home(root, unlock)


async def exchange(capfd: pytest.CaptureFixture[str], home: Home, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command with --json; its exit code and its object. Beside the hub of this event loop."""
    capfd.readouterr()
    code = await asyncio.to_thread(run, [*words, "--home", str(home.paths.root), "--json", "--yes"])
    return code, orjson.loads(capfd.readouterr().out.splitlines()[-1])


async def fetched(hub: Hub, home: Home) -> None:
    """The home has the log, and the world's statements in its name count as its own."""
    from exchange.node.app import running
    from tests.simulator import own_past

    async with running(home, real_sources()) as node:
        await node.store.db.write(lambda c: own_past(c, hub.world, "pe-csirt"))
        await node.replica.start(node.hub, least=(1, hub.world.directory.root(1)))
        await node.sync.once()


def paper(tmp_path: Path, name: str) -> str:
    """The file somebody typed that seed into."""
    path = tmp_path / name.replace("/", "-")
    path.write_text(on_paper(seed(name)).lower() + "\n")
    return str(path)


async def test_keys_are_rotated_by_the_server_and_health_is_told(
    hub: Hub, home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await fetched(hub, home)
    up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(home, real_sources(), ready=up.set_result))
    await asyncio.wait_for(up, 20)
    try:
        code, answer = await exchange(
            capfd, home, "node", "rotate", "--next-seed", paper(tmp_path, "next/pe-csirt")
        )
        assert (code, answer.get("outcome")) == (0, "logged"), answer
        assert on_paper(from_paper(answer["next_seed"])) == answer["next_seed"]
        again = open_home(home.paths.root, Unlock.key_file(tmp_path / "key"))
        assert again.identity().keys.public == keys("next/pe-csirt").public
        assert again.keystore.get(NEXT) == dumps(
            PrivateKeys(from_paper(answer["next_seed"])).public.to_json()
        )
        code, status = await exchange(capfd, home, "node", "status")
        assert (code, status["exposed"], status["alarms"]) == (0, 0, [])
        code, _ = await exchange(
            capfd, home, "node", "unit-init", "tracing", "--key-file", str(tmp_path / "unit.key")
        )
        assert code == 0
        node = up.result()
        async with asyncio.timeout(30):
            while not node.sync.condition.connected:  # it comes back under the new key
                await node.sync.changed.wait(30)
        code, health = await exchange(capfd, home, "doctor")
        faults = {one["name"]: one["fix"] for one in health["checks"] if one["state"] == "fail"}
        assert (code, list(faults)) == (1, ["anchor"])  # nobody has compared the digits
        code, wrong = await exchange(
            capfd, home, "node", "rotate", "--next-seed", paper(tmp_path, "next/pe-csirt")
        )
        assert (code, wrong["error"]["code"]) == (3, "directory.not-next")
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    text = (home.paths.root / FILE).read_text()
    assert "exchange_node_directory_size " in text
    assert (home.paths.root / FILE).stat().st_mode & 0o777 == 0o600


async def test_key_is_revoked_by_its_paper_without_a_server(
    hub: Hub, home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await fetched(hub, home)
    code, before = await exchange(capfd, home, "node", "exposure")
    assert (code, before["exposures"]) == (0, [])
    out = tmp_path / "revocation.json"
    words = ("--printed-seed", paper(tmp_path, "revoke/pe-csirt"), "--output", str(out))
    code, answer = await exchange(capfd, home, "node", "revoke", *words)
    assert (code, answer.get("outcome")) == (0, "logged"), answer
    assert orjson.loads(out.read_bytes()) == answer["statement"]
    code, health = await exchange(capfd, home, "doctor")
    assert code == 1
    assert "hub.unknown-key" in [one["code"] for one in health["checks"]]
    code, _ = await exchange(capfd, home, "node", "leave")
    assert code == 4


async def test_doctor_names_what_others_may_read_and_a_hub_out_of_reach(
    hub: Hub, home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    home.paths.config.chmod(0o644)
    hub.stop.set()
    code, health = await exchange(capfd, home, "doctor")
    faults = {one["name"]: one["fix"] for one in health["checks"] if one["state"] == "fail"}
    assert code == 1
    assert {"modes", "server", "anchor", "directory"} <= faults.keys()
    assert "chmod" in faults["modes"]
