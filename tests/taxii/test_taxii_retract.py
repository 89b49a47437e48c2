"""From the command that replaces or retracts a message to the collections of who had received it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.canonical import b64
from exchange.cli.app import run
from exchange.cli.node import home as cli_home
from tests.doors import CO, PE, Client, Place
from tests.simulator import KEY
from tests.taxii.conftest import indicator

CLOSED = "https://127.0.0.1:9"  # nobody listens there


@pytest.fixture
def node(
    door: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs `exchange node ...` on a member's home while its node runs, which carries what is queued; its JSON."""
    for module in ("send", "retract"):  # by the world's clock, not the machine's
        monkeypatch.setattr(f"exchange.cli.node.{module}.now_ms", lambda: door.sim.world.now)
    monkeypatch.setattr(cli_home, "wake", lambda *_: door.run(door.sim.rounds(3)))

    def call(member: str, *words: str) -> Any:
        site = door.sim.sites[member]
        settings = {"member": member, "hub": CLOSED, "net": b64(door.sim.world.net)}
        lines = "".join(f'{name} = "{text}"\n' for name, text in settings.items())
        (site.home / "config.toml").write_text(lines)
        given = ("--home", str(site.home), "--key-file", str(site.home / KEY), "--json", "--yes")
        code = run(["node", *words, *given])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    return call


def sends(node: Callable[..., Any], folder: Path, one: dict[str, Any], *words: str) -> str:
    """CO sends this object to PE by the command; the message's id."""
    path = folder / "list.json"
    path.write_bytes(orjson.dumps({"type": "bundle", "id": f"bundle--{one['id'][-36:]}", "objects": [one]}))
    given = ("--to", PE, "--kind", "alert", "--tlp", "green", "--subject", "A list")
    return str(node(CO, "send", str(path), *given, *words)["id"])


def held(client: Client) -> set[str]:
    """The ids of all that the collection of everything gives."""
    pages = client.pages("collections/received/objects/", limit=1000)
    return {one["id"] for page in pages for one in page.json().get("objects", [])}


def test_what_is_retracted_is_in_no_collection_of_who_received_it(
    node: Callable[..., Any], client: Client, tmp_path: Path
) -> None:
    wrong = indicator("wrong")
    sent = sends(node, tmp_path, wrong)
    assert {wrong["id"], f"grouping--{sent}"} <= held(client)
    by = node(CO, "retract", sent, "--reason", "Our own scanner")["id"]
    left = held(client)
    assert {wrong["id"], f"grouping--{sent}"} & left == set()
    assert f"grouping--{by}" in left
    [row] = [row for row in node(PE, "inbox")["messages"] if row["id"] == sent]
    assert row["replaced_by"] == by


def test_what_is_sent_in_its_place_is_there_instead(
    node: Callable[..., Any], client: Client, tmp_path: Path
) -> None:
    wrong, right = indicator("wrong"), indicator("right")
    sent = sends(node, tmp_path, wrong)
    assert wrong["id"] in held(client)
    sends(node, tmp_path, right, "--supersedes", sent)
    left = held(client)
    assert (wrong["id"] in left, right["id"] in left) == (False, True)
