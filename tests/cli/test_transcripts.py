"""Tells the stories beside this file: what a person types and sees, against a real hub and real nodes."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from exchange.tlp import Tlp
from tests.cli.transcript import Story, story

HERE = Path(__file__).parent
STORIES = ("first_message", "refusals")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a key file that opens every home, and the files that the stories name."""
    files = {"key": secrets.token_bytes(32), "passphrase": b"correct horse battery\n"}
    files |= {"other-passphrase": b"another horse entirely\n"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("NO_COLOR", "1")
    identity = {
        "type": "identity",
        "spec_version": "2.1",
        "id": "identity--cf8b0cc2-b8fc-4f13-8fd9-1a0244e0722a",
        "created": "2026-11-03T06:40:00.000Z",
        "modified": "2026-11-03T06:40:00.000Z",
        "name": "Somebody",
    }
    bundle = {"type": "bundle", "id": "bundle--24f585ab-fdde-4ee9-871b-15fca2063a19"}
    red = identity | {"object_marking_refs": [Tlp.RED.marking_id]}
    (tmp_path / "red.json").write_bytes(orjson.dumps(bundle | {"objects": [red]}))
    (tmp_path / "mixed.json").write_bytes(orjson.dumps(bundle | {"objects": [identity, {"type": "nothing"}]}))
    (tmp_path / "bad.json").write_bytes(b"{")
    return tmp_path


@pytest.fixture
def network(folder: Path) -> Iterator[Story]:
    """A hub and two members that serve, as network.txt makes them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with story(folder, PORT=str(port)) as told:
        told.tell((HERE / "network.txt").read_text())
        yield told


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str, network: Story) -> None:
    network.tell((HERE / f"{name}.txt").read_text())
