"""A message says what is attached to it, received or sent; its bytes don't leave by the REST API."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from exchange.attachment import Attachment
from exchange.node.attachments.attaching import attach
from exchange.node.store.attachment_files import files_of
from exchange.tlp import Tlp
from tests.api.conftest import ApiClient
from tests.doors import CO, PE, Place
from tests.simulator import Site

DATA = b"%PDF of malware " * 1_000


def attached(site: Site, folder: Path) -> Attachment:
    path = folder / "zarzamora.pdf"
    path.write_bytes(DATA)
    node = site.up
    files = files_of(node.store)
    return attach(files, path, net=node.identity.net, malware=True, random=node.sources.random)


def test_what_is_attached_is_told_but_not_given(door: Place, client: ApiClient, tmp_path: Path) -> None:
    co = door.sim.sites[CO]
    came = co.send(PE, attachments=[attached(co, tmp_path)])
    went = door.pe.send(CO, attachments=[attached(door.pe, tmp_path)])
    door.run(door.sim.rounds(3))
    said = {
        "n": 1,
        "name": "zarzamora.pdf",
        "size": len(DATA),
        "sha256": sha256(DATA).hexdigest(),
        "media_type": "application/pdf",
        "malware": True,
    }
    assert client.get(f"/messages/{came}").json()["attachments"] == [said | {"state": "offered"}]
    assert client.get(f"/messages/{went}").json()["attachments"] == [said | {"state": "there"}]


def test_nothing_is_told_of_what_is_attached_to_what_is_withheld(
    door: Place, client: ApiClient, tmp_path: Path
) -> None:
    went = door.pe.send(CO, tlp=Tlp.RED, attachments=[attached(door.pe, tmp_path)])
    answer = client.get(f"/messages/{went}")
    assert answer.json()["code"] == "tlp.red-needs-persons"
    assert "zarzamora" not in answer.text
