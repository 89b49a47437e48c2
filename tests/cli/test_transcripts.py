"""Tells the stories beside this file: what a person types and sees, against a real hub and real nodes."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.tlp import Tlp
from tests.cli.transcript import Story, story
from tests.stix_samples import SOMEBODY, bundle_of

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A hub and two members that serve, as network.txt makes them; one key file opens every home."""
    folder = tmp_path_factory.mktemp("story")
    _write_files(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as environment, story(folder, PORT=str(port)) as told:
        environment.setenv("EXCHANGE_KEY_FILE", str(folder / "key"))
        environment.setenv("NO_COLOR", "1")
        told.tell((HERE / "network.txt").read_text())
        yield told


# In this order, in one network: each story begins as the one before ends.
@pytest.mark.parametrize("name", ["first_message", "refusals"])
def test_story(name: str, network: Story) -> None:
    network.tell((HERE / f"{name}.txt").read_text())


def _write_files(folder: Path) -> None:
    """The key, the passphrases and the STIX files that the stories name."""
    files = {
        "key": secrets.token_bytes(32),
        "passphrase": b"correct horse battery\n",
        "other-passphrase": b"another horse entirely\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    red = SOMEBODY | {"object_marking_refs": [Tlp.RED.marking_id]}
    (folder / "red.json").write_bytes(bundle_of(red))
    (folder / "mixed.json").write_bytes(bundle_of(SOMEBODY, {"type": "nothing"}))
    (folder / "bad.json").write_bytes(b"{")
